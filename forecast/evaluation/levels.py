"""What a candidate's earlier forecasts teach its next one: level, its uncertainty, and the shape.

Records are of origins whose window had ended when the next forecast was made; nothing else is used.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from forecast.evaluation.origins import Origin
from forecast.predict import ClvModel, Customers, predict_customers
from forecast.predict.calibration import NONE, Calibration
from forecast.predict.customers import score_counts

GRID = np.linspace(0.0, 1.0, 51)
# The level wanders: it keeps 0.7 of its departure from one quarter to the next and moves by about 10 %.
_KEEPS, _MOVES, _SEASONLESS, _NOISE = 0.7, 0.10, 0.30, 0.12
# Before anything is known a quarter's total is off by about 13 %; that is worth four origins.
_USUAL, _WORTH, _DEGREES = 0.13, 4.0, 8.0
_IDENTITY_WORTH, _FADES, _MOST_RECORDS = 500.0, 0.7, 12
_FARTHEST = 0.7  # a factor of two either way


@dataclass(frozen=True)
class Record:
    """How a candidate's uncorrected forecast fared at one origin.

    Attributes
    ----------
    cutoff, end : datetime.date
    error : float
        Logarithm of actual over forecast orders.
    actual : float
        Orders.
    pit : ndarray, shape (51,)
        Distribution function of the customers' probability integral transforms on :data:`GRID`, once the
        level is put right.
    customers : int
    seasonal : bool
        Whether the forecast had a clock. Without one an error is as likely season as level, and less of it
        is carried over.
    """

    cutoff: dt.date
    end: dt.date
    error: float
    actual: float
    pit: np.ndarray
    customers: int
    seasonal: bool = True


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
        replace(plain, calibration=Calibration(level=level)), customers, outcome, days=origin.days
    )
    below, at = found["below"][:, None], np.maximum(found["at"], found["below"] + 1e-12)[:, None]
    pit = np.zeros(len(GRID))
    for rows in np.array_split(np.arange(len(customers)), max(1, len(customers) // 20_000)):
        pit += np.clip((GRID - below[rows]) / (at[rows] - below[rows]), 0.0, 1.0).sum(axis=0)
    pit /= len(customers)
    clocked = model.clock is not None
    return Record(origin.cutoff, origin.end, error, actual, pit, len(customers), clocked)


def learn(records: Sequence[Record], cutoff: dt.date, corrects: bool = True) -> Calibration:
    """The calibration of a forecast made at ``cutoff``.

    Parameters
    ----------
    records : sequence of Record
        Of the same candidate; those whose window ends after ``cutoff`` are not looked at.
    cutoff : datetime.date
    corrects : bool
        Without it the forecast stays as it is, and only how far totals were off is learned.

    Returns
    -------
    Calibration

    Examples
    --------
    >>> learn([], dt.date(2024, 1, 1)).level
    1.0
    """
    known = sorted((r for r in records if r.end <= cutoff), key=lambda r: r.cutoff)[-_MOST_RECORDS:]
    spread = _MOVES**2 / (1.0 - _KEEPS**2)
    mean, variance = 0.0, spread
    squares = 0.0
    for own in known:
        measured = (_NOISE if own.seasonal else _SEASONLESS) ** 2 + 2.0 / own.actual
        error = float(np.clip(own.error, -_FARTHEST, _FARTHEST))
        squares += max((own.error - mean) ** 2 - 1.0 / own.actual, 0.0)
        gain = variance / (variance + measured)
        mean, variance = mean + gain * (error - mean), variance * (1.0 - gain)
        mean, variance = _KEEPS * mean * corrects, _KEEPS**2 * variance + _MOVES**2
    sd = float(np.sqrt((_WORTH * _USUAL**2 + squares) / (_WORTH + len(known))))
    weight = np.array([own.customers * _FADES ** (len(known) - 1 - i) for i, own in enumerate(known)])
    knots, warped = np.array([0.0, 1.0]), np.array([0.0, 1.0])
    if len(known) and corrects:
        knots = GRID
        total = weight @ np.array([own.pit for own in known]) + _IDENTITY_WORTH * GRID
        warped = total / total[-1]
    return Calibration(
        level=float(np.exp(mean)),
        level_sd=sd,
        degrees=_DEGREES + len(known),
        knots=knots,
        warped=warped,
        facts={"origins": [own.cutoff.isoformat() for own in known]},
    )
