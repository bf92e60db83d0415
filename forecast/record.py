"""What the ledger says of all quarters so far: the track record, and whether to fit again."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pandas as pd

from forecast.errors import StoreError
from forecast.evaluation.drift import drift_table
from forecast.store.ledger import list_issues, read_settlements


def track_record(ledger: Any = "ledger") -> pd.DataFrame:
    """Every settled quarter of every forecast that nothing supersedes: as first reported, and as restated.

    Returns
    -------
    DataFrame
        ``quarter, forecast_id, as_of, group, target, forecast, lo-80, hi-80, …, actual, error, hit-80, …,
        restated``: totals of ``all``, ``known`` and ``new`` customers, ``actual`` as first reported,
        ``restated`` as last.

    Raises
    ------
    StoreError
        When a forecast or a settlement is damaged.
    """
    issues, problems = list_issues(ledger)
    if problems:
        raise problems[0]
    replaced = {(one.as_of, one.content["supersedes"]) for one in issues}
    parts = []
    for issue in issues:
        if (issue.as_of, issue.forecast_id) in replaced:
            continue
        for window in issue.content["quarters"]:
            settled = read_settlements(issue, window["quarter"])
            if not settled:
                continue
            first, last = (pd.DataFrame(one["lines"]) for one in (settled[0], settled[-1]))
            own = first[first["scope"] == "total"].set_index(["group", "target"], drop=False)
            again = last[last["scope"] == "total"].set_index(["group", "target"])["actual"]
            parts.append(
                own.assign(
                    forecast_id=issue.forecast_id, as_of=issue.as_of, restated=again.reindex(own.index)
                )
            )
    if not parts:
        return pd.DataFrame(
            columns=["quarter", "forecast_id", "as_of", "group", "target", "forecast", "actual", "error"]
        )
    found = pd.concat(parts, ignore_index=True)
    names = ["quarter", "forecast_id", "as_of", "group", "target"]
    return found[[*names, *(n for n in found if n not in (*names, "scope"))]]


def drift(ledger: Any = "ledger") -> pd.DataFrame:
    """Whether the shop has moved away from its forecasts, and so whether to fit again.

    Returns
    -------
    DataFrame
        ``check, value, light, rule`` of the model that issued last, see
        :func:`forecast.evaluation.drift.drift_table`; :func:`forecast.evaluation.drift.advice` says what to
        do in a sentence.

    Raises
    ------
    StoreError
        When there is no issued forecast, or a forecast or a settlement is damaged.
    """
    issues, problems = list_issues(ledger)
    if problems or not issues:
        raise problems[0] if problems else nothing_issued(ledger)
    last = issues[-1]
    named = [one for one in issues if one.content["model"]["name"] == last.content["model"]["name"]]
    versions = {one.content["model"]["version"]: one for one in reversed(named)}  # the first of each
    kinds = []
    start = versions[last.content["model"]["version"]]
    if start is last and len(named) > 1:
        start = named[-2]  # fitted anew: then against the forecast before
    for one in (start, last):
        each = one.table("customers").drop_duplicates("customer_id")
        kinds.append(each["repeat_purchases"].value_counts())
    parameters = [versions[key].content["model"]["parameters"] for key in sorted(versions)]
    return drift_table(
        track_record(ledger),
        kinds,
        parameters,
        dt.date.fromisoformat(last.content["model"]["as_of"]),
        last.as_of,
    )


def nothing_issued(ledger: Any) -> StoreError:
    """The error of an empty ledger."""
    return StoreError(
        "there is no issued forecast",
        where=str(Path(ledger)),
        advice="Issue one: forecast issue ORDERS --model NAME.",
    )
