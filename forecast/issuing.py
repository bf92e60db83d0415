"""Freeze a forecast: what each customer and each group is expected to do, quarter by quarter."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forecast.errors import ArgumentError
from forecast.evaluation.baselines import BASELINES
from forecast.evaluation.board import frequency_class
from forecast.evaluation.candidates import forecast_rule
from forecast.evaluation.origins import Origin, what_is_known
from forecast.model import Model
from forecast.periods import Period, check_levels, check_seed, horizon_periods, quarter_of
from forecast.predict import Customers, predict_customers
from forecast.predict.windows import simulate_windows
from forecast.store.ledger import Issue, list_issues, write_issue
from forecast.summary import purchase_histories

TOTALS = (
    "origin_date",
    "target_end_date",
    "target",
    "scope",
    "group",
    "output_type",
    "output_type_id",
    "value",
)
POLICY = ("currency", "timezone", "value_policy", "zero_value", "dialect")


def issue(
    model: Model,
    orders: Any,
    quarters: int = 4,
    *,
    as_of: Any = None,
    ledger: Any = "ledger",
    by: str | None = None,
    level: Any = (80, 95),
    margin: float = 1.0,
    fiscal_year_start: int = 1,
    supersedes: str | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> Issue:
    """Forecast the customers known today for the quarters ahead, and freeze it in the ledger.

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

    Returns
    -------
    Issue
        ``issue.table("customers")``: a row a customer and quarter, ``customer_id, quarter,
        expected_purchases, expected_value, p_purchase`` (of the first period alone) and the groups;
        ``issue.table("totals")``: :data:`TOTALS`, where ``mean`` lines of groups add up to the total.

    Raises
    ------
    ArgumentError
        When the model is not saved, it was issued already, or the orders have another policy.
    StoreError
        When the disk refuses or the forecast to correct is not there.

    Examples
    --------
    >>> import tempfile, forecast
    >>> orders = forecast.read_orders(forecast.cdnow(), currency="USD")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model = forecast.fit(orders, "1997-12-31", purchases="bg-nbd").save(f"{folder}/models/shop")
    ...     issued = issue(model, orders, 2, as_of="1997-12-31", ledger=f"{folder}/ledger", draws=100)
    ...     issued.forecast_id, [own["quarter"] for own in issued.content["quarters"]]
    ('shop-1', ['1998Q1', '1998Q2'])
    """
    if model.name is None:
        raise ArgumentError("the model is not saved", advice='Save it first: model.save("models/shop").')
    model.check(orders)
    levels, seed = check_levels(level), check_seed(seed)
    histories = purchase_histories(orders, as_of, model.columns((by,) if by else ()))
    day = histories.as_of
    name = _name(model, ledger, day, supersedes)
    periods = horizon_periods(f"{int(quarters)}Q", day, fiscal_year_start)
    frame = what_is_known(orders, histories, day, periods[0].end - day)
    after = histories.after_as_of
    histories.close()
    groups = _groups(frame, by, fiscal_year_start)
    customers = Customers.from_frame(frame, model.clv)
    each = _each(model, customers, frame, groups, periods, margin)
    codes, combined = _combined(groups)
    drawn = simulate_windows(
        model.clv, customers, _ends(periods).tolist(), groups=codes, margin=margin, draws=draws, seed=seed
    )
    totals = pd.concat(
        [
            _lines(day, period, k, each, combined, {t: v[k] for t, v in drawn.items()}, levels)
            for k, period in enumerate(periods)
        ],
        ignore_index=True,
    )
    known = orders.until(day)
    content = {
        "model": {"name": model.name, "version": model.version, "title": model.title},
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
        "fiscal_year_start": fiscal_year_start,
        "by": by,
        "levels": list(levels),
        "margin": margin,
        "draws": draws,
        "seed": seed,
        "supersedes": supersedes,
        "baselines": _baselines(frame, day, periods[0], margin),
        "versions": {"clv-forecast": metadata.version("clv-forecast")},
    }
    return write_issue(ledger, day, name, content, {"customers": each, "totals": totals})


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


def _combined(groups: pd.DataFrame) -> tuple[np.ndarray, pd.DataFrame]:
    """One code for each combination of groups that there is, so that one set of draws serves all scopes."""
    names = [str(name) for name in groups]
    codes = groups.groupby(names, sort=True).ngroup().to_numpy()
    return codes, groups.drop_duplicates().sort_values(names).reset_index(drop=True)


def _each(
    model: Model, customers: Customers, frame: pd.DataFrame, groups: pd.DataFrame, periods: Sequence[Period],
    margin: float,
) -> pd.DataFrame:  # fmt: skip
    """A row a customer and quarter; expectations of later quarters are differences of exact ones."""
    parts = []
    before: dict[str, Any] = {"expected_purchases": 0.0, "expected_value": 0.0}
    for k, (period, end) in enumerate(zip(periods, _ends(periods), strict=True)):
        found = predict_customers(model.clv, customers, days=float(end), margin=margin)
        part: dict[str, Any] = {"customer_id": frame["customer_id"].to_numpy(), "quarter": period.label}
        for name in before:
            if name in found:
                part[name], before[name] = found[name] - before[name], found[name]
        part["p_purchase"] = found["p_purchase"] if k == 0 else np.full(len(frame), np.nan)
        parts.append(pd.DataFrame(part).assign(**{str(name): groups[name].to_numpy() for name in groups}))
    return pd.concat(parts, ignore_index=True)


def _lines(
    day: dt.date, period: Period, place: int, each: pd.DataFrame, combined: pd.DataFrame,
    drawn: dict[str, np.ndarray], levels: tuple[float, ...],
) -> pd.DataFrame:  # fmt: skip
    """Totals of a quarter: the whole, then every scope's groups."""
    own = each[each["quarter"] == period.label]
    rows: list[tuple[Any, ...]] = []
    shares = sorted({share for level in levels for share in (0.5 - level / 200.0, 0.5 + level / 200.0)})
    exact = {"purchases": "expected_purchases", "value": "expected_value"}
    for scope in ("total", *map(str, combined)):
        labels = np.array(["all"] * len(combined)) if scope == "total" else combined[scope].to_numpy()
        for group in sorted(set(labels)):
            of_group = own if scope == "total" else own[own[scope] == group]
            for target, draws in drawn.items():
                sums = draws[labels == group].sum(axis=0)
                # Who buys in a later quarter has no closed form: the mean of the draws.
                mean = float(of_group[exact[target]].sum()) if target in exact else float(sums.mean())
                if target == "active" and place == 0:
                    mean = float(of_group["p_purchase"].sum())
                head = (day, period.end, target, scope, group)
                rows.append((*head, "mean", np.nan, mean))
                rows += [(*head, "quantile", share, float(np.quantile(sums, share))) for share in shares]
    found = pd.DataFrame(rows, columns=list(TOTALS))
    return found.assign(**{name: pd.to_datetime(found[name]) for name in TOTALS[:2]})


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
