"""Days, quarters, horizons, levels and rates: every number with a unit is read here, once.

Time is in days, levels are in percent, discount rates are annual. What looks like another unit is
refused with the right call in the message.
"""

from __future__ import annotations

import datetime as dt
import math
import numbers
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from forecast.errors import ArgumentError

DAYS_PER_YEAR = 365.25
DAYS_PER_MONTH = DAYS_PER_YEAR / 12.0
DISCOUNT_STEP = 30


def parse_day(value: Any, name: str = "as_of") -> dt.date:
    """One calendar day from a date, a datetime, a pandas Timestamp or an ISO string.

    Raises
    ------
    ArgumentError
        When the value is not a day, or carries a time of day.

    Examples
    --------
    >>> parse_day("1997-09-30")
    datetime.date(1997, 9, 30)
    """
    if isinstance(value, np.datetime64):
        value = value.astype("datetime64[us]").item()
    if isinstance(value, str):
        try:
            value = dt.datetime.fromisoformat(value.strip())
        except ValueError:
            raise ArgumentError(f"{name} is not a day: {value!r}", advice="Write it as 2026-09-30.") from None
    if isinstance(value, dt.datetime):
        if value != value:
            raise ArgumentError(f"{name} is not a day: {value!r}", advice="Write it as 2026-09-30.")
        if value.time() != dt.time(0):
            raise ArgumentError(
                f"{name} carries a time of day: {value}",
                advice=f"{name} is a whole day of the shop, inclusive; give the date alone.",
            )
        return value.date()
    if isinstance(value, dt.date):
        return value
    raise ArgumentError(f"{name} is not a day: {value!r}", advice="Write it as '2026-09-30'.")


@dataclass(frozen=True, order=True)
class Quarter:
    """A calendar or fiscal quarter, both ends inclusive."""

    start: dt.date
    end: dt.date
    label: str

    @property
    def days(self) -> int:
        return (self.end - self.start).days + 1


def _add_months(first: dt.date, months: int) -> dt.date:
    index = first.year * 12 + first.month - 1 + months
    return dt.date(index // 12, index % 12 + 1, 1)


def check_fiscal_year_start(month: Any) -> int:
    """The first month of the fiscal year.

    Raises
    ------
    ArgumentError
        When it is not a month.

    Examples
    --------
    >>> check_fiscal_year_start(7)
    7
    """
    if month not in range(1, 13):
        raise ArgumentError(f"fiscal_year_start is not a month: {month!r}", advice="Give 1 (January) to 12.")
    return int(month)


def check_seed(seed: Any) -> int:
    """A seed of random draws: 0 or above.

    Raises
    ------
    ArgumentError
        When it is negative or not whole.

    Examples
    --------
    >>> check_seed(0)
    0
    """
    if isinstance(seed, bool) or not isinstance(seed, numbers.Integral) or seed < 0:
        raise ArgumentError(f"seed is {seed!r}", advice="Give a whole number, 0 or above.")
    return int(seed)


def quarter_of(day: dt.date, fiscal_year_start: int = 1) -> Quarter:
    """The quarter that holds a day; a fiscal year is named after the calendar year it ends in.

    Raises
    ------
    ArgumentError
        When ``fiscal_year_start`` is not a month.

    Examples
    --------
    >>> quarter_of(dt.date(2026, 8, 3)).label
    '2026Q3'
    >>> quarter_of(dt.date(2026, 8, 3), fiscal_year_start=7).label
    'FY2027Q1'
    """
    check_fiscal_year_start(fiscal_year_start)
    offset = (day.month - fiscal_year_start) % 12
    start = _add_months(day.replace(day=1), -(offset % 3))
    end = _add_months(start, 3) - dt.timedelta(days=1)
    number = offset // 3 + 1
    if fiscal_year_start == 1:
        return Quarter(start, end, f"{start.year}Q{number}")
    year = _add_months(start, 12 - 3 * (number - 1)) - dt.timedelta(days=1)
    return Quarter(start, end, f"FY{year.year}Q{number}")


def quarters_after(as_of: dt.date, count: int, fiscal_year_start: int = 1) -> list[Quarter]:
    """The ``count`` whole quarters that start after ``as_of``.

    Raises
    ------
    ArgumentError
        When ``count`` is below 1.

    Examples
    --------
    >>> [q.label for q in quarters_after(dt.date(2026, 9, 30), 2)]
    ['2026Q4', '2027Q1']
    >>> [q.label for q in quarters_after(dt.date(2026, 9, 29), 2)]
    ['2026Q4', '2027Q1']
    """
    if count < 1:
        raise ArgumentError(f"the number of quarters is {count}", advice="Ask for 1 or more.")
    quarters = []
    day = quarter_of(as_of, fiscal_year_start).end + dt.timedelta(days=1)
    for _ in range(count):
        quarter = quarter_of(day, fiscal_year_start)
        quarters.append(quarter)
        day = quarter.end + dt.timedelta(days=1)
    return quarters


@dataclass(frozen=True)
class Period:
    """A part of a horizon, both ends inclusive; ``partial`` when it is the rest of a running quarter."""

    label: str
    start: dt.date
    end: dt.date
    days: int
    partial: bool


def horizon_periods(horizon: Any, as_of: dt.date, fiscal_year_start: int = 1) -> list[Period]:
    """What a horizon consists of: its quarters, and before them the days left of the running quarter.

    A horizon in days is one period. The days add up to `horizon_days`.

    Raises
    ------
    ArgumentError
        As `horizon_days`.

    Examples
    --------
    >>> [(p.label, p.days, p.partial) for p in horizon_periods("2Q", dt.date(2026, 8, 15))]
    [('2026Q3', 46, True), ('2026Q4', 92, False), ('2027Q1', 90, False)]
    """
    days = horizon_days(horizon, as_of, fiscal_year_start)
    first = as_of + dt.timedelta(days=1)
    number, unit = _read_horizon(horizon)
    if unit == "D":
        return [Period(f"{days} days", first, as_of + dt.timedelta(days=days), days, False)]
    running = quarter_of(as_of, fiscal_year_start)
    left = (running.end - as_of).days
    rest = [Period(running.label, first, running.end, left, True)] if left else []
    whole = quarters_after(as_of, int(number), fiscal_year_start)
    return rest + [Period(q.label, q.start, q.end, q.days, False) for q in whole]


def horizon_days(horizon: Any, as_of: dt.date | None = None, fiscal_year_start: int = 1) -> int:
    """Length in days of a horizon written ``365``, ``"365D"`` or ``"4Q"``.

    Parameters
    ----------
    horizon : int or str
        Days, or whole quarters. Quarters are counted from the first one that starts after ``as_of``;
        the rest of the running quarter belongs to the horizon too.
    as_of : datetime.date, optional
        Needed for quarters.

    Raises
    ------
    ArgumentError
        When the horizon is not positive, not whole, or of an unknown unit.

    Examples
    --------
    >>> horizon_days("365D"), horizon_days("1Q", dt.date(2026, 9, 30))
    (365, 92)
    """
    check_fiscal_year_start(fiscal_year_start)
    number, unit = _read_horizon(horizon)
    if unit == "Q":
        if as_of is None:
            raise ArgumentError("a horizon in quarters needs as_of", advice=_HORIZON)
        if number > 400:
            raise ArgumentError(f"horizon is longer than a century: {horizon!r}", advice=_HORIZON)
        last = quarters_after(as_of, int(number), fiscal_year_start)[-1]
        return (last.end - as_of).days
    if not math.isfinite(number) or number != int(number):
        raise ArgumentError(f"horizon is not a whole number of days: {horizon!r}", advice=_HORIZON)
    if number <= 0:
        raise ArgumentError(f"horizon is not positive: {horizon!r}", advice=_HORIZON)
    if number > 36525:
        raise ArgumentError(f"horizon is longer than a century: {horizon!r} days", advice=_HORIZON)
    return int(number)


_HORIZON = "Give days (365 or '365D') or quarters ('4Q')."


def _read_horizon(horizon: Any) -> tuple[float, str]:
    """Number and unit, ``D`` or ``Q``, of a horizon as it was written."""
    if isinstance(horizon, str):
        match = re.fullmatch(r"\s*(-?\d+)\s*([dDqQ]?)\s*", horizon)
        if match is None:
            raise ArgumentError(f"horizon is not understood: {horizon!r}", advice=_HORIZON)
        return float(match.group(1)), match.group(2).upper() or "D"
    if isinstance(horizon, bool) or not isinstance(horizon, numbers.Real):
        raise ArgumentError(f"horizon is not understood: {horizon!r}", advice=_HORIZON)
    return float(horizon), "D"


def check_levels(level: Any) -> tuple[float, ...]:
    """Interval levels in percent, each once, in the order given.

    Raises
    ------
    ArgumentError
        When a level is outside (0, 100) or looks like a share instead of percent.

    Examples
    --------
    >>> check_levels("80,95"), check_levels(90)
    ((80.0, 95.0), (90.0,))
    """
    if isinstance(level, str):
        level = [part for part in level.split(",") if part.strip()]
    if not isinstance(level, Iterable):
        level = [level]
    levels: list[float] = []
    for item in level:
        try:
            number = float(item)
        except (TypeError, ValueError):
            raise ArgumentError(
                f"level is not a number: {item!r}", advice="Give percent, for example 80,95."
            ) from None
        if 0 < number <= 1:
            advice = "levels are percent between 0 and 100, e.g. 80."
            if number < 1:
                advice = f"Levels are in percent: write {number * 100:g} for {number * 100:g} %."
            raise ArgumentError(f"level {number:g} looks like a share", advice=advice)
        if not 0 < number < 100:
            raise ArgumentError(
                f"level {number:g} is outside 0 to 100", advice="Give percent, for example 80,95."
            )
        if number not in levels:
            levels.append(number)
    return tuple(levels)


def level_label(level: float) -> str:
    """Name of a level in a column: ``80.0`` is ``'80'``, ``97.5`` stays.

    Examples
    --------
    >>> level_label(80.0), level_label(97.5)
    ('80', '97.5')
    """
    return f"{level:g}"


def check_discount_rate(rate: Any) -> float:
    """An annual discount rate as a share: ``0.10`` is 10 % a year.

    Raises
    ------
    ArgumentError
        When the rate is negative, not finite, or above 1 (percent was meant).

    Examples
    --------
    >>> check_discount_rate(0.1)
    0.1
    """
    rate = _number(rate, "discount_rate")
    if rate > 1:
        raise ArgumentError(
            f"discount_rate {rate:g} would be {rate * 100:g} % a year",
            advice=f"The rate is annual and a share: write {rate / 100:g} for {rate:g} %.",
        )
    if rate < 0:
        raise ArgumentError(
            f"discount_rate {rate:g} is negative", advice="Write 0.10 for 10 % a year, 0 for none."
        )
    return rate


def check_margin(margin: Any) -> float:
    """A contribution margin as a share of value: ``0.3`` is 30 %.

    Raises
    ------
    ArgumentError
        When the margin is outside 0 to 1.

    Examples
    --------
    >>> check_margin(0.3)
    0.3
    """
    margin = _number(margin, "margin")
    if not 0 <= margin <= 1:
        hint = f"write {margin / 100:g} for {margin:g} %" if 1 < margin <= 100 else "write 0.3 for 30 %"
        raise ArgumentError(f"margin {margin:g} is outside 0 to 1", advice=f"The margin is a share: {hint}.")
    return margin


def _number(value: Any, name: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ArgumentError(f"{name} is not a number: {value!r}", advice=f"Give {name} as a share.") from None
    if not math.isfinite(number):
        raise ArgumentError(f"{name} is not finite: {value!r}", advice=f"Give {name} as a share.")
    return number


def discount_steps(days: int, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the 30-day steps of a horizon, and the factor at the middle of each step.

    Parameters
    ----------
    days : int
        Length of the horizon.
    rate : float
        Annual rate, as a share.

    Returns
    -------
    ends : ndarray of int, shape (steps,)
        Last day of each step, counted from ``as_of``; the last one is ``days``.
    factors : ndarray of float, shape (steps,)
        ``(1 + rate) ** (-middle / 365.25)``. Without discounting there is one step.

    Examples
    --------
    >>> ends, factors = discount_steps(60, 0.10)
    >>> ends.tolist(), factors.round(5).tolist()
    ([30, 60], [0.99609, 0.98833])
    """
    if rate == 0.0:
        return np.array([days]), np.ones(1)
    starts = np.arange(0, days, DISCOUNT_STEP)
    ends = np.minimum(starts + DISCOUNT_STEP, days)
    return ends, (1.0 + rate) ** (-(starts + ends) / 2.0 / DAYS_PER_YEAR)
