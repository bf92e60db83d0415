"""Totals of an issued forecast: every combination of groups once, then summed for each scope.

Means are exact wherever there is a closed form, draws are joint, so that every scope adds up to the whole.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd

from forecast.periods import Period, quarter_of
from forecast.predict.acquisition import Acquired
from forecast.predict.arrivals import Arrivals

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
NEW = "new"  # the class of customers won after ``as_of``


def combinations(groups: pd.DataFrame) -> tuple[np.ndarray, pd.DataFrame]:
    """One code for each combination of groups that there is, so that one set of draws serves all scopes."""
    names = [str(name) for name in groups]
    codes = groups.groupby(names, sort=True).ngroup().to_numpy()
    return codes, groups.drop_duplicates().sort_values(names).reset_index(drop=True)


def with_newcomers(
    combined: pd.DataFrame, arrivals: Arrivals, by: str | None, fiscal_year_start: int
) -> pd.DataFrame:
    """Cells of the forecast: combinations of known customers' groups, then cohorts and groups to be won."""
    rows: list[dict[str, Any]] = []
    for window in arrivals.windows:
        cohort = quarter_of(window.start, fiscal_year_start).label
        rows += [
            {"cohort": cohort, "repeat_purchases": NEW, "begins": window.start, **({by: group} if by else {})}
            for group in arrivals.groups
        ]
    known = combined.assign(who="known", begins=dt.date.min)
    return pd.concat([known, pd.DataFrame(rows).assign(who=NEW)], ignore_index=True)


def of_period(
    place: int, period: Period, each: pd.DataFrame, combined: pd.DataFrame, drawn: dict[str, np.ndarray],
    won: Acquired,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:  # fmt: skip
    """Means and draws of a quarter, cell by cell."""
    own = each[each["quarter"] == period.label]
    sums = own.groupby([str(name) for name in combined], sort=False)
    exact = {"purchases": "expected_purchases", "value": "expected_value", "active": "p_purchase"}
    means, draws = {}, {}
    index = pd.MultiIndex.from_frame(combined)
    for target, all_new in won.draws.items():
        new = all_new[place].reshape(-1, all_new.shape[-1])
        old = drawn[target][place] if target in drawn else np.zeros((len(combined), new.shape[1]))
        draws[target] = np.concatenate([old, new])
        found = draws[target].mean(axis=1)
        # Who buys in a later quarter has no closed form: there it is the mean of the draws.
        if target in won.mean:
            found[len(old) :] = won.mean[target][place].ravel()
        if target in ("purchases", "value") or (target == "active" and place == 0):
            found[: len(old)] = sums[exact[target]].sum().reindex(index).to_numpy()
        if target == "active" and place == 0:
            found[len(old) :] = won.mean["acquired"][0].ravel()
        means[target] = found
    return means, draws


def total_lines(
    day: dt.date, period: Period, cells: pd.DataFrame, means: dict[str, np.ndarray],
    draws: dict[str, np.ndarray], levels: tuple[float, ...],
) -> pd.DataFrame:  # fmt: skip
    """Totals of a quarter: the whole and its two parts, then every scope's groups."""
    rows: list[tuple[Any, ...]] = []
    shares = sorted({share for level in levels for share in (0.5 - level / 200.0, 0.5 + level / 200.0)})
    whole = [("total", name, own) for name, own in (
        ("all", np.ones(len(cells), bool)), ("known", (cells["who"] == "known").to_numpy()),
        (NEW, (cells["who"] == NEW).to_numpy()),
    )]  # fmt: skip
    # A cohort that begins after the quarter has no line in it.
    cells = cells.assign(cohort=cells["cohort"].where(cells["begins"] <= period.end, ""))
    for scope in [str(name) for name in cells if name not in ("who", "begins")]:
        whole += [
            (scope, group, (cells[scope] == group).to_numpy()) for group in sorted(set(cells[scope]) - {""})
        ]
    for scope, group, own in whole:
        for target, drawn in draws.items():
            sums = drawn[own].sum(axis=0)
            head = (day, period.end, target, scope, group)
            if target == "acquired" and group == "known":
                continue
            rows.append((*head, "mean", np.nan, float(means[target][own].sum())))
            rows += [(*head, "quantile", share, float(np.quantile(sums, share))) for share in shares]
    found = pd.DataFrame(rows, columns=list(TOTALS))
    return found.assign(**{name: pd.to_datetime(found[name]) for name in TOTALS[:2]})
