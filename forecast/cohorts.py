"""Cohort curves: what customers won in a quarter have been worth by age, and what they are expected to be."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from forecast.evaluation.settle import level_columns
from forecast.history import historical_clv
from forecast.periods import Period, quarter_of


def cohort_curves(
    orders: Any,
    day: dt.date,
    periods: Sequence[Period],
    means: Mapping[str, np.ndarray],
    draws: Mapping[str, np.ndarray],
    *,
    levels: Any,
    margin: float,
    fiscal_year_start: int = 1,
) -> pd.DataFrame:
    """Cumulative value per customer of each cohort, observed until ``day`` and projected after it.

    Parameters
    ----------
    orders : Orders
    day : datetime.date
        Last day known.
    periods : sequence of Period
        Quarters ahead, from the day after on; the rest of a running one first.
    means : mapping of str to ndarray, shape (periods,)
        Expected value of each cohort in each period, margin-weighted.
    draws : mapping of str to ndarray, shape (periods, draws)
        Joint draws of the same, so that sums over periods have intervals.
    levels : sequence of float
    margin : float
    fiscal_year_start : int

    Returns
    -------
    DataFrame
        ``cohort, age, quarter, customers, cumulative_value_per_customer, projected`` and ``lo-80, hi-80``, …
        of what is projected. Age 0 is the cohort's own quarter; a running quarter is projected to its end.
    """
    months = historical_clv(orders, day, margin=margin, cohort="M").cohorts
    months = months[months["value"].notna()]

    def place(first: dt.date, ahead: int = 0) -> tuple[str, int]:
        at = first.year * 12 + first.month - 1 + ahead
        quarter = quarter_of(dt.date(at // 12, at % 12 + 1, 1), fiscal_year_start)
        return quarter.label, quarter.start.year * 4 + (quarter.start.month - 1) // 3

    born = [dt.date.fromisoformat(f"{month}-01") for month in months["cohort"]]
    cohort = [place(first) for first in born]
    bought = [place(first, age) for first, age in zip(born, months["age"].tolist(), strict=True)]
    found = months.assign(
        cohort=[label for label, _ in cohort], quarter=[label for label, _ in bought],
        age=[later - first for (_, later), (_, first) in zip(bought, cohort, strict=True)],
    )  # fmt: skip
    sizes = months.assign(cohort=found["cohort"], month=months["cohort"]).drop_duplicates("month")
    customers = sizes.groupby("cohort")["customers"].sum()
    sums = found.groupby(["cohort", "age", "quarter"], sort=False)["value"].sum().reset_index()
    sums = sums.sort_values(["cohort", "age"], kind="stable")
    sums["value"] = sums.groupby("cohort", sort=False)["value"].cumsum()
    columns = level_columns(levels)
    rows: list[dict[str, Any]] = []
    for label, lines in sums.groupby("cohort", sort=False):
        name, size = str(label), float(customers[str(label)])
        # A running quarter is known in part: its end is projected.
        known = lines.iloc[:-1] if periods[0].partial else lines
        rows += [
            {"cohort": name, "age": int(row["age"]), "quarter": row["quarter"], "customers": int(size),
             "cumulative_value_per_customer": row["value"] / size, "projected": False}
            for row in known.to_dict("records")
        ]  # fmt: skip
        if name not in means:
            continue
        so_far, age = float(lines["value"].iloc[-1]), int(lines["age"].iloc[-1])
        for k, period in enumerate(periods):
            total = so_far + draws[name][: k + 1].sum(axis=0)
            rows.append(
                {"cohort": name, "age": age + k + (not periods[0].partial), "quarter": period.label,
                 "customers": int(size), "projected": True,
                 "cumulative_value_per_customer": (so_far + float(means[name][: k + 1].sum())) / size,
                 **{end: float(np.quantile(total, share)) / size for end, share in columns}}
            )  # fmt: skip
    return pd.DataFrame(rows)
