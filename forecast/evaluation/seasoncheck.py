"""What a check needs of a seasonal clock: histories in its time, and the season of the year ahead."""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

import numpy as np
import pandas as pd

from forecast.fitting.clock import Clock, features
from forecast.summary import Histories

_DAY = np.timedelta64(1, "D")
_NORMAL_90 = 1.6448536269514722


class Seen(NamedTuple):
    """Purchase histories in a model's own time, and the calendar behind them.

    Attributes
    ----------
    x, t_x, T, weight : ndarray, shape (rows,)
        Distinct histories as the model's likelihood sees them, and the customers behind each.
    births : ndarray of int, shape (days + 1,)
        Customers won on each day from the first to ``as_of``.
    repeats : ndarray, shape (days + 1,)
        Repeat purchases of each day.
    passed : ndarray, shape (days + 1,), optional
        The clock at the end of each day; None where the model counts days.
    """

    x: np.ndarray
    t_x: np.ndarray
    T: np.ndarray
    weight: np.ndarray
    births: np.ndarray
    repeats: np.ndarray
    passed: np.ndarray | None


def seen(histories: Histories, clock: Clock | None) -> Seen:
    """The histories as a model with this clock was, or would be, fitted on.

    Parameters
    ----------
    histories : Histories
    clock : Clock, optional

    Returns
    -------
    Seen
    """
    x, t_x, age, weight = (v.astype(float) for v in histories.purchase_counts())
    last = int(age.max())
    born = (last - age).astype(np.int64)
    births = np.bincount(born, weights=weight, minlength=last + 1).astype(np.int64)
    days = np.datetime64(histories.as_of) - np.arange(last, -1, -1) * _DAY
    when, repeats = histories.repeat_days()
    daily = np.bincount((when - days[0]).astype(np.int64), weights=repeats, minlength=last + 1)
    if clock is None:
        return Seen(x, t_x, age, weight, births, daily, None)
    passed = np.cumsum(clock.intensity(days))
    bought = passed[born + t_x.astype(np.int64)]
    return Seen(x, bought - passed[born], passed[-1] - passed[born], weight, births, daily, passed)


def season_ahead(clock: Clock, as_of: dt.date, days: int = 365) -> pd.DataFrame:
    """How busy each coming day is, as a multiple of the mean day, and how well that is known.

    Parameters
    ----------
    clock : Clock
    as_of : datetime.date
        The days after it are shown.
    days : int

    Returns
    -------
    pandas.DataFrame
        ``day, intensity, lo-90, hi-90``. The interval comes from the standard errors of the coefficients.

    Examples
    --------
    >>> flat = Clock(dt.date(2024, 1, 1), 1, (), np.zeros(2), np.zeros(2))
    >>> season_ahead(flat, dt.date(2024, 1, 1), 2)[["intensity", "lo-90", "hi-90"]].to_numpy().tolist()
    [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """
    when = np.datetime64(as_of) + np.arange(1, days + 1) * _DAY
    middle = clock.intensity(when)
    matrix = features(when, clock.harmonics, clock.windows)
    spread = np.exp(_NORMAL_90 * np.sqrt(np.square(matrix) @ np.square(clock.standard_errors)))
    return pd.DataFrame(
        {
            "day": when.astype("datetime64[s]"),
            "intensity": middle,
            "lo-90": middle / spread,
            "hi-90": middle * spread,
        }
    )


def same_time(one: Clock | None, other: Clock | None) -> bool:
    """Whether two models count the same time, so that their likelihoods are of the same data.

    Examples
    --------
    >>> flat = Clock(dt.date(2024, 1, 1), 1, (), np.zeros(2), np.zeros(2))
    >>> same_time(None, None), same_time(flat, flat), same_time(flat, None)
    (True, True, False)
    """
    if one is None or other is None:
        return one is other
    alike = [(c.harmonics, c.windows, c.log_mean, c.coefficients.tolist()) for c in (one, other)]
    return alike[0] == alike[1]
