"""Cuts of a rolling backtest: which, what was known at each, and what happened then."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import pandas as pd

from forecast.errors import ArgumentError
from forecast.periods import horizon_days, quarter_of
from forecast.summary import Histories, purchases_between


@dataclass(frozen=True)
class Origin:
    """One cut: what was known at ``cutoff`` and what happened until ``end``.

    Attributes
    ----------
    histories : pandas.DataFrame
        One row a customer known at the cut, with the columns the simple rules read.
    actual : pandas.DataFrame
        ``actual_purchases, actual_value``, row by row; only for scoring.
    """

    cutoff: dt.date
    end: dt.date
    histories: pd.DataFrame
    actual: pd.DataFrame

    @property
    def days(self) -> int:
        return (self.end - self.cutoff).days

    @property
    def has_value(self) -> bool:
        """Whether orders carry money."""
        return not bool(self.actual["actual_value"].isna().any())


def plan_origins(
    first: dt.date, last: dt.date, h: Any, n_windows: int, step_size: Any = None, fiscal_year_start: int = 1
) -> list[tuple[dt.date, dt.date]]:
    """Cuts and ends of the windows, the earliest first; the last window ends on the last day.

    Parameters
    ----------
    first, last : datetime.date
        Days of the first and last order.
    h : int or str
        Days (``91``), or quarters (``"1Q"``): then cuts are ends of calendar or fiscal quarters and
        only whole quarters are used.
    n_windows : int
    step_size : int or str, optional
        Days or quarters between cuts; the horizon by default.

    Raises
    ------
    ArgumentError
        When there is not enough history for so many windows.

    Examples
    --------
    >>> plan_origins(dt.date(2020, 1, 1), dt.date(2020, 12, 31), "1Q", 2)[0]
    (datetime.date(2020, 6, 30), datetime.date(2020, 9, 30))
    """
    if isinstance(n_windows, bool) or n_windows != int(n_windows) or n_windows < 1:
        raise ArgumentError(f"the number of origins is {n_windows!r}", advice="Ask for 1 or more.")
    quarters = quarters_in(h)
    if quarters is None:
        days = horizon_days(h)
        if step_size is not None and quarters_in(step_size) is not None:
            raise ArgumentError(
                f"horizon {h!r} and step {step_size!r} do not go together", advice="Give both in days."
            )
        step = horizon_days(step_size if step_size is not None else days)
        windows = [
            (last - dt.timedelta(days=days + k * step), last - dt.timedelta(days=k * step))
            for k in range(n_windows)
        ]
    else:
        stride = quarters_in(step_size) if step_size is not None else quarters
        if stride is None or stride < 1 or quarters < 1:
            raise ArgumentError(
                f"horizon {h!r} and step {step_size!r} do not go together", advice="Give both in quarters."
            )
        running = quarter_of(last, fiscal_year_start)
        end = last if running.end == last else running.start - dt.timedelta(days=1)
        windows = []
        for k in range(n_windows):
            ends = _back(end, k * stride, fiscal_year_start)
            windows.append((_back(ends, quarters, fiscal_year_start), ends))
    windows.reverse()
    if windows[0][0] <= first:
        raise ArgumentError(
            f"the history is too short for {n_windows} origins of {h}",
            where=f"orders from {first} to {last}",
            advice="Ask for fewer origins or a shorter horizon.",
        )
    return windows


def quarters_in(text: Any) -> int | None:
    """How many quarters ``"2Q"`` asks for; None where it is no number of quarters.

    Raises
    ------
    ArgumentError
        When it ends as quarters do and is none.

    Examples
    --------
    >>> quarters_in("2Q"), quarters_in(91)
    (2, None)
    """
    if isinstance(text, str) and text.strip()[-1:] in ("Q", "q"):
        number = text.strip()[:-1]
        if not number.isdigit():
            raise ArgumentError(f"horizon is not understood: {text!r}", advice="Write 1Q for one quarter.")
        return int(number)
    return None


def _back(end: dt.date, quarters: int, fiscal_year_start: int) -> dt.date:
    for _ in range(quarters):
        end = quarter_of(end, fiscal_year_start).start - dt.timedelta(days=1)
    return end


def what_is_known(orders: Any, known: Histories, cutoff: dt.date, days: dt.timedelta) -> pd.DataFrame:
    """Histories at a cut with what simple rules read: the window before the cut, and that of a year ago."""
    frame = known.to_frame()
    past = orders.until(cutoff)
    previous = purchases_between(past, known, cutoff - days, cutoff)
    year = dt.timedelta(days=365)
    last_year = purchases_between(past, known, cutoff - year, cutoff - year + days)
    return frame.assign(
        previous_purchases=previous["purchases"].to_numpy(),
        previous_value=previous["value"].to_numpy(),
        last_year_purchases=last_year["purchases"].to_numpy(),
        last_year_value=last_year["value"].to_numpy(),
    )


def look_back(orders: Any, known: Histories, cutoff: dt.date, end: dt.date) -> Origin:
    """What was known at a cut, and what happened in the window after it."""
    frame = what_is_known(orders, known, cutoff, end - cutoff)
    after = purchases_between(orders, known, cutoff, end)
    actual = after.rename(columns={"purchases": "actual_purchases", "value": "actual_value"})
    return Origin(cutoff, end, frame, actual)
