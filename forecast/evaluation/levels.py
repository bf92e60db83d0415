"""What a candidate's earlier forecasts teach its next one: level, its uncertainty, and the shape.

Records are of origins whose window had ended when the next forecast was made; nothing else is used.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from forecast.evaluation.origins import Origin
from forecast.predict import ClvModel, Customers, predict_customers
from forecast.predict.calibration import NONE, YEAR, Calibration
from forecast.predict.customers import score_counts

GRID = np.linspace(0.0, 1.0, 51)
# The logarithm of actual over forecast is a Gaussian process of three parts: a level that keeps 0.7 of
# itself from one quarter to the next, a season that returns yearly and fades over six years, and what is new.
_LEVEL_YEARS, _SEASON_YEARS, _SEASON_WIDTH = 0.7, 6.0, 0.6
# How large each part is, is not known: sizes are weighed by their likelihood and by what is usual,
# lognormal around _USUAL. Rolling origins of seven shops hardly told other settings apart.
_SIZES = np.array(
    list(
        itertools.product((0.025, 0.05, 0.1, 0.2, 0.4), (0.025, 0.05, 0.1, 0.2, 0.4), (0.05, 0.1, 0.2, 0.35))
    )
)
_USUAL, _USUAL_SD = np.array([0.05, 0.08, 0.06]), 0.7
_DEGREES, _MOST_RECORDS = 8.0, 24
_IDENTITY_WORTH, _FADES = 500.0, 0.7
_YEAR = 365.25
_FARTHEST = 0.7  # a factor of two either way


@dataclass(frozen=True)
class Miss:
    """By how much an uncorrected forecast of a total was off.

    Attributes
    ----------
    cutoff, end : datetime.date
        The window is after the first, until the second.
    error : float
        Logarithm of actual over forecast.
    actual : float
        How many independent orders the total is worth: its own chance has variance ``1 / actual``.
    """

    cutoff: dt.date
    end: dt.date
    error: float
    actual: float

    @property
    def times(self) -> np.ndarray:
        """Three times that stand for the window, in years, shape (3,)."""
        return (self.cutoff.toordinal() + np.array([1, 3, 5]) / 6.0 * (self.end - self.cutoff).days) / _YEAR


@dataclass(frozen=True)
class Record(Miss):
    """How a candidate's uncorrected forecast of orders fared at one origin.

    Attributes
    ----------
    pit : ndarray, shape (51,)
        Distribution function of the customers' probability integral transforms on :data:`GRID`, once the
        level is put right.
    customers : int
    """

    pit: np.ndarray
    customers: int


def record(model: ClvModel, origin: Origin) -> Record | None:
    """The record of an uncorrected forecast; None where nobody was expected to buy or nobody did."""
    plain = replace(model, calibration=NONE)
    customers = Customers.from_frame(origin.histories, plain)
    forecast = float(predict_customers(plain, customers, days=origin.days)["expected_purchases"].sum())
    outcome = origin.actual["actual_purchases"].to_numpy()
    actual = float(outcome.sum())
    if forecast <= 0.0 or actual <= 0.0:
        return None
    error = float(np.log(actual / forecast))
    level = float(np.exp(np.clip(error, -_FARTHEST, _FARTHEST)))
    found = score_counts(
        replace(plain, calibration=Calibration(levels=np.array([level]))),
        customers,
        outcome,
        days=origin.days,
    )
    below, at = found["below"][:, None], np.maximum(found["at"], found["below"] + 1e-12)[:, None]
    pit = np.zeros(len(GRID))
    for rows in np.array_split(np.arange(len(customers)), max(1, len(customers) // 20_000)):
        pit += np.clip((GRID - below[rows]) / (at[rows] - below[rows]), 0.0, 1.0).sum(axis=0)
    pit /= len(customers)
    return Record(origin.cutoff, origin.end, error, actual, pit, len(customers))


def learn(records: Sequence[Record], cutoff: dt.date) -> Calibration:
    """The calibration of a forecast made at ``cutoff``.

    Parameters
    ----------
    records : sequence of Record
        Of the same candidate; those whose window ends after ``cutoff`` are not looked at.
    cutoff : datetime.date

    Returns
    -------
    Calibration

    Examples
    --------
    >>> learn([], dt.date(2024, 1, 1)).level
    1.0
    """
    known = _known(records, cutoff)
    levels, level_sd = level_ahead(known, cutoff)
    weight = np.array([own.customers * _FADES ** (len(known) - 1 - i) for i, own in enumerate(known)])
    knots, warped = np.array([0.0, 1.0]), np.array([0.0, 1.0])
    if known:
        knots = GRID
        total = weight @ np.array([own.pit for own in known]) + _IDENTITY_WORTH * GRID
        warped = total / total[-1]
    return Calibration(
        levels=levels,
        level_sd=level_sd,
        degrees=_DEGREES + len(known),
        knots=knots,
        warped=warped,
        facts={"origins": [own.cutoff.isoformat() for own in known]},
    )


def level_ahead(misses: Sequence[Miss], cutoff: dt.date) -> tuple[np.ndarray, float]:
    """Expected actual over forecast in steps of a 24th of a year after ``cutoff``, and how unsure it is.

    Parameters
    ----------
    misses : sequence of Miss
        Those whose window ends after ``cutoff`` are not looked at.
    cutoff : datetime.date

    Returns
    -------
    levels : ndarray, shape (48,)
    sd : float
        Standard deviation of the logarithm of the next quarter's.

    Examples
    --------
    >>> levels, sd = level_ahead([], dt.date(2024, 1, 1))
    >>> float(levels[0]), round(sd, 2)
    (1.0, 0.19)
    """
    ahead = cutoff.toordinal() / _YEAR + (np.arange(2 * YEAR) + 0.5) / YEAR
    mean, variance = _process(_known(misses, cutoff), ahead)
    return np.exp(np.clip(mean, -_FARTHEST, _FARTHEST)), float(np.sqrt(variance[: YEAR // 4].mean()))


M = TypeVar("M", bound=Miss)


def _known(misses: Sequence[M], cutoff: dt.date) -> list[M]:
    return sorted((own for own in misses if own.end <= cutoff), key=lambda own: own.cutoff)[-_MOST_RECORDS:]


def _process(known: Sequence[Miss], ahead: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of log(actual / forecast) at times ``ahead``, in years; sizes are averaged over."""
    at = np.array([own.times for own in known]).ravel()
    error = np.clip([own.error for own in known], -_FARTHEST, _FARTHEST)
    level, season, noise = (_SIZES[:, [k]] ** 2 for k in range(3))  # each of shape (sizes, 1)

    def kernel(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        gap = np.abs(one[:, None] - other[None, :])
        back = np.exp(-2.0 * (np.sin(np.pi * gap) / _SEASON_WIDTH) ** 2 - gap / _SEASON_YEARS)
        return level[..., None] * np.exp(-gap / _LEVEL_YEARS) + season[..., None] * back

    usual = -0.5 * (((np.log(_SIZES) - np.log(_USUAL)) / _USUAL_SD) ** 2).sum(axis=1)
    means = np.zeros((len(_SIZES), len(ahead)))
    variances = np.broadcast_to(level + season + noise, means.shape)
    if known:
        counted = np.array([1.0 / own.actual for own in known])  # a total's own chance
        each, shape = np.eye(len(known)), (len(_SIZES), len(known), 3, -1)
        between = kernel(at, at).reshape(*shape[:3], len(known), 3).mean(axis=(2, 4))
        root = np.linalg.cholesky(between + (noise + counted)[..., None] * each)
        white = np.linalg.solve(root, np.broadcast_to(error[:, None], (len(_SIZES), len(known), 1)))
        across = np.linalg.solve(root, kernel(at, ahead).reshape(shape).mean(axis=2))
        means = (across * white).sum(axis=1)
        variances = variances - (across**2).sum(axis=1)
        usual = usual - 0.5 * (white**2).sum(axis=(1, 2))
        usual = usual - np.log(np.diagonal(root, axis1=1, axis2=2)).sum(axis=1)
    weight = np.exp(usual - usual.max())
    weight /= weight.sum()
    mean = weight @ means
    return mean, weight @ (variances + (means - mean) ** 2)
