"""Compare an issued forecast with what happened, and keep the comparison beside it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from forecast.errors import ArgumentError
from forecast.evaluation.settle import TARGETS, bridge, deciles, relative_error, settle_lines
from forecast.issuing import POLICY
from forecast.periods import quarter_of
from forecast.record import drift, nothing_issued, track_record
from forecast.store.atomic import write_text
from forecast.store.ledger import Issue, append_settlement, list_issues, read_settlements
from forecast.store.redacting import forgotten
from forecast.summary import purchase_histories, purchases_in
from forecast.summary.histories import check_orders
from forecast.totals import NEW

MATURE_AFTER = 30  # days in which refunds of a quarter still arrive
KEYS = ("scope", "group", "target")


@dataclass(frozen=True, repr=False)
class Comparison:
    """Forecast vs actual of one quarter.

    Attributes
    ----------
    quarter : str
    issue : Issue
    lines : DataFrame
        ``quarter, scope, group, target, forecast, lo-80, hi-80, …, actual, error, hit-80, …,
        actual_first``. Scopes are ``total`` (groups ``all``, ``known`` and ``new``), ``cohort``,
        ``repeat_purchases``, the column asked for, ``decile`` (of known customers), ``bridge`` (what each
        factor adds to value), ``baseline`` (simple rules of known customers) and ``baseline of all``.
        ``actual_first`` is what the first comparison reported.
    cohorts : DataFrame
        Cumulative value per customer by cohort and age as the forecast projected it, with ``actual``
        beside the projections of this quarter; empty for a log without money. See
        :func:`forecast.cohorts.cohort_curves`.
    mature : bool
        Whether the orders reach far enough past the quarter for its refunds to be in.
    notes : tuple of str
    facts : dict
        What forecast and actuals rest on, for the page.
    """

    quarter: str
    issue: Issue
    lines: pd.DataFrame
    cohorts: pd.DataFrame
    mature: bool
    notes: tuple[str, ...] = field(default=())
    facts: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Comparison of {self.issue.forecast_id} with {self.quarter}: {self.sentence('value')}>"

    def line(self, target: str, scope: str = "total", group: str = "all") -> dict[str, Any]:
        """One line as a dict; empty where there is none."""
        own = self.lines
        own = own[(own["target"] == target) & (own["scope"] == scope) & (own["group"] == group)]
        return {} if own.empty else {str(key): value for key, value in own.iloc[0].items()}

    def table(self, scope: str, target: str = "value") -> pd.DataFrame:
        """The lines of one scope, ``"channel"`` or ``"bridge"``; empty where there are none."""
        own = self.lines[(self.lines["scope"] == scope) & (self.lines["target"] == target)]
        return own.drop(columns=["scope", "target"]).dropna(axis="columns", how="all").reset_index(drop=True)

    def sentence(self, target: str) -> str:
        """``1,250 forecast, 1,180 came (+5.9 %), inside the 80 % interval``."""
        own = self.line(target) or self.line("purchases")
        level = max(float(name[4:]) for name in own if name.startswith("hit-"))
        off = "" if own["error"] != own["error"] else f" ({own['error']:+.1%})"
        inside = "inside" if own[f"hit-{level:g}"] else "outside"
        text = f"{own['forecast']:,.0f} forecast, {own['actual']:,.0f} came{off}"
        return f"{text}, {inside} the {level:g} % interval"

    def content(self) -> dict[str, Any]:
        """What stands on the page: this quarter, the ledger's track record and whether to fit again.

        Raises
        ------
        StoreError
            When a forecast or a settlement is damaged.
        """
        from forecast.reports.pages import review_content

        ledger = self.issue.path.parents[1]
        return review_content(
            self.lines, track_record(ledger), quarter=self.quarter, facts=self.facts, cohorts=self.cohorts,
            drift=drift(ledger), notes=self.notes,
        )  # fmt: skip

    def to_html(self, path: Any) -> Path:
        """The review as one page, without scripts and without the network.

        Raises
        ------
        StoreError
            When a forecast or a settlement is damaged, or the disk refuses.
        """
        from forecast.reports.html import html_page

        return write_text(html_page(**self.content()), path)


def compare(
    orders: Any, *, ledger: Any = "ledger", quarter: str = "latest", settle: bool = True
) -> Comparison:
    """Compare what was issued for a quarter with what happened.

    Of several forecasts of a quarter the one made last is taken, and of those made on one day the one that
    nothing supersedes.

    Parameters
    ----------
    orders : Orders
        Of the same shop, read the same way, and reaching to the end of the quarter.
    ledger : path
    quarter : str
        ``2026Q3``, or ``latest``: the last one that is over.
    settle : bool
        Append the comparison to the ledger.

    Returns
    -------
    Comparison

    Raises
    ------
    ArgumentError
        When nothing was issued for the quarter, it is not over, or the orders have another currency, time
        zone, value policy, treatment of free orders, dialect or customer id than the forecast.
    StoreError
        When the forecast or a settlement is damaged.

    Examples
    --------
    >>> import tempfile, forecast
    >>> orders = forecast.read_orders(forecast.cdnow(), currency="USD")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model = forecast.fit(orders, "1997-12-31", purchases="bg-nbd").save(f"{folder}/models/shop")
    ...     _ = forecast.issue(model, orders, 1, as_of="1997-12-31", ledger=f"{folder}/ledger", draws=100)
    ...     found = compare(orders, ledger=f"{folder}/ledger")
    >>> found.quarter, int(found.line("purchases")["actual"])
    ('1998Q1', 656)
    """
    check_orders(orders)
    issue, window, notes = _chosen(orders, ledger, quarter)
    label, start, end = window["quarter"], *(dt.date.fromisoformat(window[k]) for k in ("start", "end"))
    _same_policy(orders, issue)
    margin = float(issue.content["margin"])
    _same_customers(orders, issue, label, notes)
    totals = issue.table("totals")
    totals = totals[totals["target_end_date"] == pd.Timestamp(end)]
    scopes = [name for name in dict.fromkeys(totals["scope"]) if name != "total"]
    customers = _actual(orders, issue, window, margin)
    lines = settle_lines(totals, customers, scopes, issue.content["levels"])
    parts = [lines]
    targets = [target for target in TARGETS if target in set(lines["target"])]
    if "value" in targets:
        rows = bridge(lines)
        parts.append(
            pd.DataFrame({"scope": "bridge", "group": list(rows), "target": "value", "actual": rows.values()})
        )
    known = customers[customers["who"] == "known"]
    for target in ("purchases", "value") if "value" in targets else ("purchases",):
        tenths = deciles(known[f"expected_{target}"], known[target])
        parts.append(tenths.assign(scope="decile", target=target))
        if start == issue.as_of + dt.timedelta(days=1):
            parts.append(_rules(issue, customers, target))
    found = pd.concat([part for part in parts if len(part)], ignore_index=True)
    found.insert(0, "quarter", label)
    found["error"] = relative_error(found["forecast"], found["actual"]).where(found["forecast"].notna())
    mature = orders.last_day >= end + dt.timedelta(days=MATURE_AFTER)
    if not mature:
        notes.append(
            f"{label} is not mature: orders reach to {orders.last_day}, refunds may still arrive until "
            f"{end + dt.timedelta(days=MATURE_AFTER)}; compare again then"
        )
    found = _with_first(found, issue, label)
    curves = _curves(issue, label, lines)
    comparison = Comparison(label, issue, found, curves, mature, tuple(notes), _facts(issue, orders))
    if settle:
        kept = found.drop(columns="actual_first")
        append_settlement(issue, label, {
            "actuals_as_of": orders.last_day.isoformat(), "fingerprint": orders.fingerprint,
            "mature": mature, "lines": kept.to_dict("list"),
        })  # fmt: skip
    return comparison


def _chosen(orders: Any, ledger: Any, quarter: str) -> tuple[Issue, dict[str, Any], list[str]]:
    """The issue and its quarter; damaged issues are noted and never taken."""
    issues, problems = list_issues(ledger)
    notes = [str(problem) for problem in problems]
    if not issues:
        raise problems[0] if problems else nothing_issued(ledger)
    replaced = {(one.as_of, one.content["supersedes"]) for one in issues}
    offered = [
        (window["end"], issue.as_of, issue.forecast_id, issue, window)
        for issue in issues
        if (issue.as_of, issue.forecast_id) not in replaced
        for window in issue.content["quarters"]
        if not window["partial"]
    ]
    over = [one for one in offered if one[0] <= orders.last_day.isoformat()]
    wanted = [
        one for one in (over if quarter == "latest" else offered) if quarter in ("latest", one[4]["quarter"])
    ]
    if not wanted:
        labels = sorted({one[4]["quarter"] for one in offered})
        rest = [w["quarter"] for one in issues for w in one.content["quarters"] if w["partial"]]
        said = (
            "no quarter that was forecast is over"
            if quarter == "latest"
            else f"nothing was issued for {quarter}"
        )
        if quarter in rest:
            said = f"of {quarter} only the rest was issued, and rests are not compared"
        raise ArgumentError(
            f"{said}; whole quarters issued: {', '.join(labels) or 'none'}",
            advice=f"Choose one that is over on {orders.last_day}, the last day of the orders.",
        )
    end, _, _, issue, window = max(wanted, key=lambda one: one[:3])
    if end > orders.last_day.isoformat():
        raise ArgumentError(
            f"{window['quarter']} is not over: it ends on {end}, the orders reach to {orders.last_day}",
            advice="Compare when the orders reach to its end.",
        )
    return issue, window, notes


def _same_policy(orders: Any, issue: Issue) -> None:
    told = {**issue.content["policy"], "customer_id": issue.content["identity"]}
    now = {**{key: getattr(orders, key) for key in POLICY}, "customer_id": orders.mapping.get("customer_id")}
    changed = [key for key in told if told[key] != now[key]]
    if changed:
        key = changed[0]
        raise ArgumentError(
            f"the forecast was issued with {key} {told[key]!r}, these orders have {now[key]!r}",
            where=f"{issue.path}",
            advice="Read the orders as they were read then; forecasts of another policy are not comparable.",
        )


def _same_customers(orders: Any, issue: Issue, quarter: str, notes: list[str]) -> None:
    """The ids of the forecast must be ids of these orders, whatever their column is called."""
    each = issue.table("customers")
    if "customers" in issue.redacted:
        gone = each[forgotten(each["customer_id"])]
        each = each.drop(gone.index)
        own = gone[gone["quarter"] == quarter]
        notes.append(
            f"{gone['customer_id'].nunique():,} customers were forgotten since the forecast: what was "
            f"expected of them ({own['expected_purchases'].sum():,.1f} purchases) stays in it, what they "
            "bought is no longer in the orders"
        )
    issued = each["customer_id"].drop_duplicates()
    known = orders.connection.execute(
        f"SELECT DISTINCT customer_id FROM {orders.table} WHERE order_day <= DATE '{issue.as_of}'"
    ).fetchnumpy()["customer_id"]
    lost = int((~issued.isin(known)).sum())
    if 2 * lost > len(issued):
        raise ArgumentError(
            f"{lost:,} of the {len(issued):,} customers of the forecast are not in these orders",
            where=f"{issue.path}",
            advice="Read the orders with the customer id that the forecast was issued with.",
        )
    if lost:
        notes.append(f"{lost:,} customers of the forecast have no order until then any more")


def _facts(issue: Issue, orders: Any) -> dict[str, Any]:
    return {
        "forecast": issue.forecast_id,
        "issued from": issue.as_of,
        "model": issue.content["model"]["title"],
        "known customers": issue.content["customers"],
        "arrivals expected": issue.content["arrivals"]["source"],
        "margin": issue.content["margin"],
        "actuals known until": orders.last_day,
        **{key: getattr(orders, key) for key in POLICY[:-1]},
        "fingerprint": orders.fingerprint,
        "hash of the forecast": issue.checksum,
    }


def _actual(orders: Any, issue: Issue, window: dict[str, Any], margin: float) -> pd.DataFrame:
    """What customers known at the issue did, in its order, and then all others who bought."""
    start, end = (dt.date.fromisoformat(window[key]) for key in ("start", "end"))
    each = issue.table("customers")
    each = each[each["quarter"] == window["quarter"]].reset_index(drop=True).assign(who="known")
    happened = purchases_in(orders, start - dt.timedelta(days=1), end)
    happened["value"] *= margin
    both = each.merge(happened[["customer_id", "purchases", "value"]], on="customer_id", how="left")
    both = both.fillna({"purchases": 0, "value": 0.0}).assign(acquired=0)
    new = happened[~happened["customer_id"].isin(each["customer_id"])].reset_index(drop=True)
    year_start, by = int(issue.content["fiscal_year_start"]), issue.content["by"]
    first = new["first_purchase"].dt.date
    new = new.assign(
        who=NEW,
        repeat_purchases=NEW,
        cohort=[quarter_of(day, year_start).label for day in first],
        acquired=[int(start <= day <= end) for day in first],
    ).drop(columns="first_purchase")
    if by is not None:
        histories = purchase_histories(orders, end, (by,))
        groups = histories.to_frame().set_index("customer_id")[by].astype(str)
        histories.close()
        new[by] = groups.reindex(new["customer_id"]).to_numpy()
    return pd.concat([both, new], ignore_index=True)


def _curves(issue: Issue, label: str, lines: pd.DataFrame) -> pd.DataFrame:
    """Cohort curves as projected, with what came of the first quarter after the forecast."""
    if "cohorts" not in issue.tables:
        return pd.DataFrame()
    curves = issue.table("cohorts")
    own = lines[(lines["scope"] == "cohort") & (lines["target"] == "value")].set_index("group")["actual"]
    so_far = curves[~curves["projected"]].groupby("cohort")["cumulative_value_per_customer"].last()
    first = label == issue.content["quarters"][0]["quarter"] and not issue.content["quarters"][0]["partial"]
    here = curves["projected"] & (curves["quarter"] == label) & first
    came = curves["cohort"].map(so_far) + curves["cohort"].map(own) / curves["customers"]
    return curves.assign(actual=came.where(here))


def _rules(issue: Issue, customers: pd.DataFrame, target: str) -> pd.DataFrame:
    """Simple rules beside the model: of known customers, and of the whole quarter."""
    known = float(customers.loc[customers["who"] == "known", target].sum())
    rows = [("baseline", name, said[target], known) for name, said in issue.content["baselines"].items()]
    last_year = issue.content.get("last_year", {})
    if last_year:
        whole = float(customers[target].sum())
        rows.append(("baseline of all", "same quarter last year", last_year[target], whole))
    found = pd.DataFrame(rows, columns=["scope", "group", "forecast", "actual"])
    return found.assign(target=target)


def _with_first(found: pd.DataFrame, issue: Issue, label: str) -> pd.DataFrame:
    """Beside each actual what was reported first."""
    settled = read_settlements(issue, label)
    if not settled:
        return found.assign(actual_first=found["actual"])
    first = pd.DataFrame(settled[0]["lines"]).set_index(list(KEYS))["actual"].rename("actual_first")
    return found.merge(first, how="left", left_on=list(KEYS), right_index=True)
