"""How many customers will be won: as planned, or as in the same weeks of earlier years.

Without a plan the rule is a seasonal naive one, moved half-way to what the last quarter showed: the mean of
the same days in all earlier years, times the square root of how the last 91 days compare with the same rule.
How far it was off before is the spread of a gamma distribution around it; arrivals are Poisson given that.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd

from forecast.errors import ArgumentError

_DAY = np.timedelta64(1, "D")
_YEAR = 365.25
_QUARTER = 91  # days that tell of the level now
_MOVED = 0.5  # share of the last quarter's surprise, in logs, that is expected to last
_LEAST_OVERLAP = 28  # days of a year ago without which the last quarter cannot be compared
_USUAL_SPREAD, _USUAL_WEIGHT = 0.35, 4.0  # before any error was seen: a shop's quarter is off by a third
_MOST_SPREAD = 1.0
_SMOOTH = 7  # days: weekday and chance do not make a season
_RECENT = 365  # days whose newcomers say which groups come


class Window(NamedTuple):
    """Days of a quarter ahead, both ends inclusive."""

    start: dt.date
    end: dt.date

    @property
    def days(self) -> int:
        return (self.end - self.start).days + 1


@dataclass(frozen=True, eq=False)
class Arrivals:
    """Customers expected to be won in windows ahead.

    Attributes
    ----------
    windows : tuple of Window
    groups : tuple of str
    expected : ndarray, shape (windows, groups)
    spread : float
        Standard deviation of the logarithm of what multiplies all of ``expected``; 0 for a plan.
    evidence : ndarray, shape (groups,) or None
        Newcomers behind the groups' shares, which are unsure too; None for a plan by group.
    days : tuple of ndarray
        For each window the share of its newcomers on each of its days.
    source : str
        In words.
    """

    windows: tuple[Window, ...]
    groups: tuple[str, ...]
    expected: np.ndarray
    spread: float
    evidence: np.ndarray | None
    days: tuple[np.ndarray, ...]
    source: str

    def draw(self, size: int, seed: int) -> np.ndarray:
        """Joint draws of arrivals, shape (windows, groups, size); a good year is good in all its windows.

        Examples
        --------
        >>> week = Window(dt.date(2026, 1, 1), dt.date(2026, 1, 7))
        >>> plan = Arrivals((week,), ("all",), np.array([[70.0]]), 0.0, None, (np.full(7, 1 / 7),), "planned")
        >>> plan.draw(4000, 0).mean().round(-1), plan.draw(4000, 0).std().round()
        (np.float64(70.0), np.float64(8.0))
        """
        rng = np.random.default_rng([seed, 73_421])
        factor = np.ones(size)
        if self.spread > 0.0:
            shape = 1.0 / np.expm1(self.spread**2)
            factor = rng.gamma(shape, 1.0 / shape, size)
        rate = self.expected[:, :, None] * factor
        if self.evidence is not None and len(self.groups) > 1 and self.evidence.sum() > 0:
            mean = self.evidence / self.evidence.sum()
            ratio = rng.dirichlet(self.evidence + 1e-9, size).T / np.maximum(mean, 1e-12)[:, None]
            rate = rate * np.where(mean[:, None] > 0.0, ratio, 1.0)
        found: np.ndarray = rng.poisson(rate)
        return found


def usual_arrivals(
    first_days: np.ndarray,
    begin: dt.date,
    as_of: dt.date,
    windows: Sequence[Window],
    groups: Sequence[str] | None = None,
) -> Arrivals:
    """What to expect without a plan.

    Parameters
    ----------
    first_days : ndarray of datetime64[D], shape (customers,)
        When each customer known at ``as_of`` was won.
    begin, as_of : datetime.date
        First and last day of the log. Of a log that begins in the midst of a shop's life the early customers
        are taken for new ones; moving half-way to the last quarter heals a part of this.
    windows : sequence of Window
        After ``as_of``.
    groups : sequence of str, shape (customers,), optional
        Which group each customer is of; shares are those of the last year.

    Returns
    -------
    Arrivals

    Examples
    --------
    >>> days = np.arange("2023-01-01", "2025-01-01", dtype="datetime64[D]")
    >>> found = usual_arrivals(np.repeat(days, 3), days[0].item(), days[-1].item(),
    ...     [Window(dt.date(2025, 1, 1), dt.date(2025, 3, 31))])
    >>> found.expected.round(1).tolist(), found.source
    ([[270.0]], 'the same days of 2 earlier years, moved half-way to the last 91 days (+0 %)')
    """
    first_days = np.asarray(first_days).astype("datetime64[D]")
    start = np.datetime64(begin)
    size = int((np.datetime64(as_of) - start).astype(int)) + 1
    won = np.bincount((first_days - start).astype(int), minlength=size).astype(float)
    spans = [(int((np.datetime64(w.start) - start).astype(int)), w.days) for w in windows]
    found = [_usual(won, place, days) for place, days in spans]
    totals = np.array([profile.sum() for profile, _, _ in found])
    names: tuple[str, ...] = ("all",)
    evidence = None
    expected = totals[:, None]
    if groups is not None:
        recent = first_days > np.datetime64(as_of) - _RECENT * _DAY
        own = np.asarray(groups, dtype=str)
        own = own[recent] if recent.any() else own
        kinds, counts = np.unique(own, return_counts=True)
        names, evidence = tuple(kinds.tolist()), counts.astype(float)
        expected = totals[:, None] * (evidence / evidence.sum())
    return Arrivals(
        tuple(windows), names, expected, _spread(won), evidence,
        tuple(_shares(profile) for profile, _, _ in found), _words(*found[0][1:]),
    )  # fmt: skip


def _usual(won: np.ndarray, place: int, days: int) -> tuple[np.ndarray, int, float]:
    """Arrivals on each day from ``place`` on, earlier years behind them, and how far they were moved."""
    known = len(won)
    if not won[-min(_QUARTER, known) :].any():
        return np.zeros(days), -1, 0.0  # a cohort that nobody joins
    year = [round(_YEAR * k) for k in range(1, int((place + days) / _YEAR) + 1)]
    back = [shift for shift in year if place >= shift and place + days - shift <= known]
    if not back:
        last = won[-min(_QUARTER, known) :]
        return np.full(days, last.mean()), 0, 0.0
    earlier = np.mean([won[place - shift : place - shift + days] for shift in back], axis=0)
    moved = _MOVED * _surprise(won, float(earlier.mean()))
    kernel = np.ones(_SMOOTH)
    smooth = np.convolve(earlier, kernel, "same") / np.convolve(np.ones(days), kernel, "same")
    smooth *= earlier.sum() / max(smooth.sum(), 1e-300)
    return smooth * np.exp(moved), len(back), moved


def _surprise(won: np.ndarray, rate: float) -> float:
    """Logarithm of the last quarter's arrivals over those of the same days in earlier years.

    A log of little more than a year has no such days; the quarter is then compared with ``rate`` a day.
    """
    known = len(won)
    places = np.arange(max(known - _QUARTER, 0), known)
    usual, counts = np.zeros(len(places)), np.zeros(len(places))
    for k in range(1, int(known / _YEAR) + 1):
        back = places - round(_YEAR * k)
        usual += np.where(back >= 0, won[np.maximum(back, 0)], 0.0)
        counts += back >= 0
    seen = counts > 0
    if seen.sum() < _LEAST_OVERLAP:
        return float(np.log((won[places].sum() + 0.5) / (rate * len(places) + 0.5)))
    expected = float((usual[seen] / counts[seen]).sum())
    return float(np.log((won[places[seen]].sum() + 0.5) / (expected + 0.5)))


def _spread(won: np.ndarray) -> float:
    """How far the rule was off in past quarters, in logs, beyond chance."""
    errors, chance = [], []
    end = len(won)
    while end - _QUARTER >= _QUARTER:
        said = float(_usual(won[: end - _QUARTER], end - _QUARTER, _QUARTER)[0].sum())
        came = float(won[end - _QUARTER : end].sum())
        errors.append(np.log((said + 0.5) / (came + 0.5)) ** 2)
        chance.append(1.0 / (came + 0.5) + 1.0 / (said + 0.5))
        end -= _QUARTER
    found = max(sum(errors) - sum(chance), 0.0) + _USUAL_WEIGHT * _USUAL_SPREAD**2
    return float(min(np.sqrt(found / (len(errors) + _USUAL_WEIGHT)), _MOST_SPREAD))


def _shares(profile: np.ndarray) -> np.ndarray:
    total = profile.sum()
    return profile / total if total > 0.0 else np.full(len(profile), 1.0 / len(profile))


def _words(years: int, moved: float) -> str:
    if years < 0:
        return "none: nobody was won in the last 91 days"
    if not years:
        return "the daily mean of the last 91 days: no earlier year is known"
    earlier = f"{years} earlier year{'s' if years > 1 else ''}"
    return f"the same days of {earlier}, moved half-way to the last 91 days ({np.expm1(moved):+.0%})".replace(
        "%)", " %)"
    )


def planned_arrivals(plan: pd.DataFrame, windows: Sequence[Window]) -> Arrivals:
    """What a plan says of windows ahead; its periods' customers are spread evenly over their days.

    Parameters
    ----------
    plan : DataFrame
        ``start, end`` (dates, inclusive), ``group``, ``customers``.
    windows : sequence of Window

    Returns
    -------
    Arrivals

    Raises
    ------
    ArgumentError
        When a day of a window is in no period of the plan, or periods of one group overlap.

    Examples
    --------
    >>> plan = pd.DataFrame({"start": [dt.date(2026, 1, 1)], "end": [dt.date(2026, 3, 31)], "group": ["all"],
    ...                      "customers": [90.0]})
    >>> planned_arrivals(plan, [Window(dt.date(2026, 3, 2), dt.date(2026, 3, 31))]).expected.tolist()
    [[30.0]]
    """
    names = tuple(sorted(set(plan["group"])))
    expected = np.zeros((len(windows), len(names)))
    shares = []
    for k, window in enumerate(windows):
        days = np.arange(np.datetime64(window.start), np.datetime64(window.end) + _DAY)
        daily = np.zeros((len(names), len(days)))
        for g, name in enumerate(names):
            times = np.zeros(len(days), int)
            for row in plan[plan["group"] == name].itertuples():
                inside = (days >= np.datetime64(row.start)) & (days <= np.datetime64(row.end))
                times += inside
                daily[g, inside] += row.customers / ((row.end - row.start).days + 1)
            _covered(days, times, name, len(names) > 1)
        expected[k] = daily.sum(axis=1)
        shares.append(_shares(daily.sum(axis=0)))
    return Arrivals(tuple(windows), names, expected, 0.0, None, tuple(shares), "as planned")


def check_plan(plan: pd.DataFrame, as_of: dt.date) -> None:
    """Refuse a plan of days that are over, or that says a day twice of one group.

    Raises
    ------
    ArgumentError
    """
    for row in plan.to_dict("records"):
        if row["end"] <= as_of:
            raise ArgumentError(
                f"the plan speaks of {row['period']}, which is over on {as_of}, the last day known",
                advice="Give periods ahead.",
            )
    for name, own in plan.groupby("group"):
        rows = own.sort_values("start").to_dict("records")
        for one, other in pairwise(rows):
            if other["start"] <= one["end"]:
                raise ArgumentError(
                    f"the plan of {name!r} has overlapping periods: {one['period']} and {other['period']}",
                    advice="Give each day once: quarters or months, not both.",
                )


def _covered(days: np.ndarray, times: np.ndarray, name: str, grouped: bool) -> None:
    of = f" of {name!r}" if grouped else ""
    if (times == 0).any():
        raise ArgumentError(
            f"the plan{of} says nothing of {int((times == 0).sum())} of {len(days)} days, the first of them "
            f"{days[times == 0][0]}",
            advice="Give a line for every period ahead, with 0 where nobody is expected.",
        )
    if (times > 1).any():
        raise ArgumentError(
            f"the plan{of} has overlapping periods, the first on {days[times > 1][0]}",
            advice="Give each day once: quarters or months, not both.",
        )
