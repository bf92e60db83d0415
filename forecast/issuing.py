"""Freeze a forecast: what known customers and those yet to be won are expected to do, quarter by quarter."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forecast.cohorts import cohort_curves
from forecast.errors import ArgumentError
from forecast.evaluation.baselines import BASELINES
from forecast.evaluation.board import frequency_class
from forecast.evaluation.candidates import forecast_rule
from forecast.evaluation.origins import Origin, what_is_known
from forecast.model import Model
from forecast.orders.plans import WHOLE, read_plan
from forecast.periods import Period, check_levels, check_seed, horizon_periods, quarter_of
from forecast.predict import Customers, predict_customers
from forecast.predict.acquisition import Kinds, recent_newcomers, simulate_newcomers
from forecast.predict.arrivals import Arrivals, Window, planned_arrivals, usual_arrivals
from forecast.predict.windows import simulate_windows
from forecast.store.ledger import Issue, list_issues, refuse_twice, write_issue
from forecast.summary import purchase_histories, purchases_in
from forecast.summary.first_orders import FirstOrders, describe_first_orders
from forecast.summary.histories import check_orders
from forecast.summary.table import DERIVED
from forecast.totals import combinations, of_period, total_lines, with_newcomers

POLICY = ("currency", "timezone", "value_policy", "zero_value", "dialect")
CLOSED = "none"  # the plan of a cohort that nobody joins


def issue(
    model: Model,
    orders: Any,
    quarters: int = 4,
    *,
    as_of: Any = None,
    ledger: Any = "ledger",
    plan: Any = None,
    by: str | None = None,
    level: Any = (80, 95),
    margin: float = 1.0,
    fiscal_year_start: int = 1,
    supersedes: str | None = None,
    draws: int = 1000,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> Issue:
    """Forecast the quarters ahead, known customers and those to be won, and freeze it in the ledger.

    Parameters
    ----------
    model : Model
        Saved, so that the forecast can name it.
    orders : Orders
    quarters : int
        Whole calendar (or fiscal) quarters that start after ``as_of``; what is left of the running one is
        issued beside them, marked partial.
    as_of : date or ISO string, optional
        The latest order day by default; later orders are not looked at.
    ledger : path
    plan : path, DataFrame or ``"none"``, optional
        Customers planned, as :func:`forecast.orders.plans.read_plan` takes it. Without a plan arrivals
        are expected as in the same days of earlier years, see :mod:`forecast.predict.arrivals`;
        ``"none"`` is a closed cohort that nobody joins.
    by : str, optional
        A column of the first order whose groups get lines of their own.
    level : float or sequence of float
        Percent.
    margin : float
        Share of value that is kept; the comparison takes it too.
    fiscal_year_start : int
    supersedes : str, optional
        Id of the forecast of the same ``as_of`` that this one corrects.
    draws, seed : int
    progress : callable, optional
        Called with what is done, how many and of how many.

    Returns
    -------
    Issue
        ``issue.table("customers")``: a row a known customer and quarter, ``customer_id, quarter,
        expected_purchases, expected_value, p_purchase`` (of the first period alone) and the groups;
        ``issue.table("totals")``: :data:`forecast.totals.TOTALS`. Scope ``total`` has the groups ``all``,
        ``known`` and ``new``; ``mean`` lines of every scope add up to ``all``, customers to ``known``.
        Targets are ``purchases, active, value`` and ``acquired`` (customers won in the quarter);
        ``issue.table("cohorts")``: cumulative value per customer by age, observed and projected, see
        :func:`forecast.cohorts.cohort_curves`.

    Raises
    ------
    ArgumentError
        When the model is not saved, it was issued already, the orders have another policy, or the plan leaves
        out days of the quarters.
    InputError
        When the plan cannot be read.
    StoreError
        When the disk refuses or the forecast to correct is not there.

    Examples
    --------
    >>> import tempfile, forecast
    >>> orders = forecast.read_orders(forecast.cdnow(), currency="USD")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model = forecast.fit(orders, "1997-12-31", purchases="bg-nbd").save(f"{folder}/models/shop")
    ...     issued = issue(model, orders, 2, as_of="1997-12-31", ledger=f"{folder}/ledger", plan="none",
    ...                    draws=100)
    ...     issued.forecast_id, [own["quarter"] for own in issued.content["quarters"]]
    ('shop-1', ['1998Q1', '1998Q2'])
    """
    if model.name is None:
        raise ArgumentError("the model is not saved", advice='Save it first: model.save("models/shop").')
    if by in DERIVED:
        raise ArgumentError(
            f"{by} has lines already: those of scope cohort", advice="Choose a column of the orders."
        )
    check_orders(orders)
    model.check(orders)
    levels, seed = check_levels(level), check_seed(seed)
    histories = purchase_histories(orders, as_of, model.columns((by,) if by else ()))
    day = histories.as_of
    name = _name(model, ledger, day, supersedes)
    refuse_twice(ledger, day, name)
    periods = horizon_periods(f"{int(quarters)}Q", day, fiscal_year_start)
    frame = what_is_known(orders, histories, day, periods[0].end - day)
    after = histories.after_as_of
    histories.close()
    arrivals = _arrivals(plan, frame, day, periods, by, fiscal_year_start)
    groups = _groups(frame, by, fiscal_year_start)
    customers = Customers.from_frame(frame, model.clv)
    each = _each(model, customers, frame, groups, periods, margin)
    codes, combined = combinations(groups)
    drawn = simulate_windows(
        model.clv,
        customers,
        _ends(periods).tolist(),
        groups=codes,
        margin=margin,
        draws=draws,
        seed=seed,
        progress=progress,
    )
    recent = recent_newcomers(frame, day)
    kept = describe_first_orders(
        recent["first_value"].to_numpy(dtype=float), recent[by].astype(str).to_numpy() if by else None, by
    )
    kinds = Kinds.of(model.clv, arrivals, FirstOrders.from_dict(kept), recent, by, day, seed)
    won = simulate_newcomers(model.clv, arrivals, kinds, margin=margin, draws=draws, seed=seed)
    cells = with_newcomers(combined, arrivals, by, fiscal_year_start)
    said = [of_period(k, period, each, combined, drawn, won) for k, period in enumerate(periods)]
    totals = pd.concat(
        [total_lines(day, period, cells, *own, levels) for period, own in zip(periods, said, strict=True)],
        ignore_index=True,
    )
    tables = {"customers": each, "totals": totals}
    if "value" in drawn:
        tables["cohorts"] = _cohorts(orders, day, periods, cells, said, levels, margin, fiscal_year_start)
    known = orders.until(day)
    content = {
        "model": {
            "name": model.name,
            "version": model.version,
            "title": model.title,
            "as_of": model.as_of.isoformat(),
            "parameters": _parameters(model),
        },
        "policy": {key: getattr(orders, key) for key in POLICY},
        "identity": orders.mapping.get("customer_id"),
        "fingerprint": known.fingerprint,
        "orders": len(known),
        "orders_after_as_of": after,
        "customers": len(frame),
        "quarters": [
            {"quarter": p.label, "start": p.start.isoformat(), "end": p.end.isoformat(), "partial": p.partial}
            for p in periods
        ],
        "arrivals": {
            "source": arrivals.source,
            "spread": arrivals.spread,
            "notes": _plan_notes(arrivals, recent, by),
            "expected": [float(own.sum()) for own in arrivals.expected],
        },
        "fiscal_year_start": fiscal_year_start,
        "by": by,
        "levels": list(levels),
        "margin": margin,
        "draws": draws,
        "seed": seed,
        "supersedes": supersedes,
        "baselines": _baselines(frame, day, periods[0], margin),
        "last_year": _last_year(known, periods[0], margin),
        "versions": {"clv-forecast": metadata.version("clv-forecast")},
    }
    return write_issue(ledger, day, name, content, tables)


def _arrivals(
    plan: Any, frame: pd.DataFrame, day: dt.date, periods: Sequence[Period], by: str | None,
    fiscal_year_start: int,
) -> Arrivals:  # fmt: skip
    windows = [Window(period.start, period.end) for period in periods]
    first_days = frame["first_purchase"].to_numpy().astype("datetime64[D]")
    own = frame[by].astype(str).tolist() if by else None
    usual = usual_arrivals(first_days, first_days.min().item(), day, windows, own)
    if plan is None:
        return usual
    if isinstance(plan, str) and plan == CLOSED:
        nobody = {"start": windows[0].start, "end": windows[-1].end, "group": WHOLE, "customers": 0.0}
        wanted = replace(planned_arrivals(pd.DataFrame([nobody]), windows), source="none: a closed cohort")
    else:
        wanted = planned_arrivals(read_plan(plan, by, fiscal_year_start), windows)
    if wanted.groups == (WHOLE,) and usual.evidence is not None:
        # A plan of the whole, split into groups as the last year's newcomers were.
        share = usual.evidence / usual.evidence.sum()
        return replace(wanted, groups=usual.groups, expected=wanted.expected * share, evidence=usual.evidence)
    if wanted.groups != (WHOLE,) and by is None:
        raise ArgumentError(
            f"the plan has groups ({', '.join(wanted.groups[:3])}), and no column is named for them",
            advice="Name it: by='channel', or --by channel.",
        )
    return wanted


def _plan_notes(arrivals: Arrivals, recent: pd.DataFrame, by: str | None) -> list[str]:
    """Groups of a plan that are new, and groups that it leaves out: either may be a slip."""
    if by is None or arrivals.source != "as planned":
        return []
    seen, told = set(recent[by].astype(str)), set(arrivals.groups)
    found = []
    if told - seen:
        found.append(f"The plan names groups of {by} that nobody was of: {', '.join(sorted(told - seen))}.")
    if seen - told:
        found.append(
            f"The plan has no line for {', '.join(sorted(seen - told)[:5])}: nobody is expected there."
        )
    return found


def _parameters(model: Model) -> dict[str, dict[str, float | None]]:
    """Estimates and standard errors, for the next comparison to see whether they moved."""
    return {
        f"{row['model']} {row['parameter']}": {
            name: float(row[name]) if np.isfinite(row[name]) else None
            for name in ("estimate", "standard_error")
        }
        for row in model.summary().to_dict("records")
    }


def _name(model: Model, ledger: Any, day: dt.date, supersedes: str | None) -> str:
    """``shop-1``, and ``shop-1-r2`` for the first correction."""
    name = f"{model.name}-{model.version}"
    if supersedes is None:
        return name
    found, _ = list_issues(ledger)
    own = {one.forecast_id for one in found if one.as_of == day}
    if supersedes not in own:
        raise ArgumentError(
            f"there is no forecast {supersedes!r} of {day} to correct",
            where=str(Path(ledger)),
            advice=f"Those of that day are: {', '.join(sorted(own)) or 'none'}.",
        )
    number = 2
    while f"{name}-r{number}" in own:
        number += 1
    return f"{name}-r{number}"


def _ends(periods: Sequence[Period]) -> np.ndarray:
    return np.cumsum([period.days for period in periods]).astype(float)


def _groups(frame: pd.DataFrame, by: str | None, fiscal_year_start: int) -> pd.DataFrame:
    """In which group of each scope a customer is."""
    found: dict[str, Any] = {
        "cohort": [quarter_of(day.date(), fiscal_year_start).label for day in frame["first_purchase"]],
        "repeat_purchases": frequency_class(frame["frequency"].to_numpy()),
    }
    if by is not None:
        found[by] = frame[by].astype(str).to_numpy()
    return pd.DataFrame(found)


def _each(
    model: Model, customers: Customers, frame: pd.DataFrame, groups: pd.DataFrame, periods: Sequence[Period],
    margin: float,
) -> pd.DataFrame:  # fmt: skip
    """A row a customer and quarter; expectations of later quarters are differences of exact ones."""
    parts = []
    taught, start, before = model.clv.calibration, 0.0, np.zeros(len(frame))
    for k, (period, end) in enumerate(zip(periods, _ends(periods).tolist(), strict=True)):
        found = predict_customers(model.clv, customers, days=end)
        part: dict[str, Any] = {"customer_id": frame["customer_id"].to_numpy(), "quarter": period.label}
        part["expected_purchases"] = found["expected_purchases"] - before
        if "expected_value" in found:
            # The level of spend is that of the quarter, not of all time until its end.
            level = taught.spend_level(start, end) / taught.spend_level(0.0, end)
            worth = found["expected_purchase_value"] * (level * model.clv.paid_share * margin)
            part["expected_value"] = part["expected_purchases"] * worth
        start, before = end, found["expected_purchases"]
        part["p_purchase"] = found["p_purchase"] if k == 0 else np.full(len(frame), np.nan)
        parts.append(pd.DataFrame(part).assign(**{str(name): groups[name].to_numpy() for name in groups}))
    return pd.concat(parts, ignore_index=True)


def _cohorts(
    orders: Any, day: dt.date, periods: Sequence[Period], cells: pd.DataFrame, said: list[Any],
    levels: tuple[float, ...], margin: float, fiscal_year_start: int,
) -> pd.DataFrame:  # fmt: skip
    """Curves of the cohorts that are known."""
    means, draws = {}, {}
    for label in sorted(set(cells.loc[cells["who"] == "known", "cohort"])):
        own = ((cells["who"] == "known") & (cells["cohort"] == label)).to_numpy()
        means[label] = np.array([mean["value"][own].sum() for mean, _ in said])
        draws[label] = np.stack([drawn["value"][own].sum(axis=0) for _, drawn in said])
    return cohort_curves(
        orders, day, periods, means, draws, levels=levels, margin=margin, fiscal_year_start=fiscal_year_start
    )


def _last_year(orders: Any, period: Period, margin: float) -> dict[str, float]:
    """What all customers did on the same days of a year ago: the rule that everybody has at hand."""
    year = dt.timedelta(days=364)  # the same days of the week
    start, end = period.start - year, period.end - year
    if start < orders.first_day or end > orders.last_day:
        return {}
    found = purchases_in(orders, start - dt.timedelta(days=1), end)
    return {"purchases": float(found["purchases"].sum()), "value": float(found["value"].sum()) * margin}


def _baselines(frame: pd.DataFrame, day: dt.date, period: Period, margin: float) -> dict[str, Any]:
    """What simple rules say of the first period, for the comparison to show beside the model."""
    origin = Origin(day, period.end, frame, pd.DataFrame({"actual_value": frame["historical_value"]}))
    found = {}
    for name in BASELINES:
        said = forecast_rule(name, origin)
        if said is not None:
            found[name] = {
                "purchases": float(said.customers["expected_purchases"].sum()),
                "value": float(np.sum(said.customers.get("expected_value", np.nan))) * margin,
            }
    return found
