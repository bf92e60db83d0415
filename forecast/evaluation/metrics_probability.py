"""Scores of predictive distributions of counts, and scores and calibration of probabilities.

Whether distributions of counts are calibrated is in `metrics_pit`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from forecast.errors import ArgumentError, InputError
from forecast.evaluation.metric_inputs import (
    averaged_over_ties,
    checked,
    checked_bins,
    checked_probabilities,
    within_unit,
)

LOG_SCORE_FLOOR = 1e-12


def crps_from_cdf(cdf: Any, actual: Any, tail: float = 1e-3) -> np.ndarray:
    """Continuous ranked probability score of counts: ``Σ_n (F(n) - 1{n >= y})²``; smaller is better.

    Exact for a distribution on 0, 1, ..., N - 1.

    Parameters
    ----------
    cdf : array_like, shape (customers, N)
        ``P(X <= n)`` for n = 0, ..., N - 1.
    actual : array_like of counts, shape (customers,)
    tail : float, default 1e-3
        The largest mass a row may leave beyond N - 1. F is taken as 1 from N on: an actual y >= N adds y - N
        terms of 1. A row's neglected terms are below ``tail`` squared each.

    Returns
    -------
    ndarray of float, shape (customers,)
        In purchases.

    Raises
    ------
    InputError
        When a value is missing, a row falls, ends below ``1 - tail``, or an actual is no count.

    References
    ----------
    Epstein, E. S. (1969), "A scoring system for probability forecasts of ranked categories", Journal of
    Applied Meteorology 8; Gneiting, T. and Raftery, A. E. (2007), JASA 102, section 4.2.

    Examples
    --------
    >>> crps_from_cdf([[0.5, 1.0], [0.5, 1.0]], [0, 3])
    array([0.25, 2.25])
    """
    (cdf,) = checked(ndim=2, cdf=cdf)
    cdf = within_unit(cdf, "cdf")
    (actual,) = checked(actual=actual)
    rows, width = cdf.shape
    if actual.shape[0] != rows:
        raise InputError(f"{actual.shape[0]} values beside {rows} rows of cdf", where="actual")
    _refuse_rows((actual < 0) | (actual != np.floor(actual)), "values are not counts", "actual")
    _refuse_rows((np.diff(cdf, axis=1) < -1e-9).any(axis=1), "a distribution function falls", "cdf")
    _refuse_rows(
        cdf[:, -1] < 1.0 - tail, f"mass above {tail:g} lies beyond the last column ({width - 1})", "cdf"
    )
    reached = np.arange(width) >= actual[:, None]
    return np.square(cdf - reached).sum(axis=1) + np.maximum(actual - width, 0.0)


def log_score(pmf_at_actual: Any, floor: float = LOG_SCORE_FLOOR) -> np.ndarray:
    """Logarithmic score ``-log P(X = y)``; smaller is better.

    Parameters
    ----------
    pmf_at_actual : array_like, shape (customers,)
        Probability the forecast gave to what happened.
    floor : float, default 1e-12
        Smaller probabilities count as this, so that no single customer decides (27.6 at most). Probabilities
        estimated by sampling need a floor of about one over the number of draws, and it matters.

    Raises
    ------
    ArgumentError
        When the floor is not within 0 to 1.
    InputError
        When a value is missing or outside 0 to 1, or the input is empty.

    References
    ----------
    Good, I. J. (1952), "Rational decisions", JRSS B 14.

    Examples
    --------
    >>> log_score([1.0, 0.5, 0.0]).round(3)
    array([-0.   ,  0.693, 27.631])
    """
    if not 0 < floor < 1:
        raise ArgumentError(f"the floor is {floor!r}", advice="Give a small probability, such as 1e-12.")
    (pmf,) = checked_probabilities(pmf_at_actual=pmf_at_actual)
    return -np.log(np.maximum(pmf, floor))


def brier(probability: Any, outcome: Any) -> float:
    """Mean squared error of a probability, 0 to 1; smaller is better.

    Raises
    ------
    InputError
        When a value is missing, a probability is outside 0 to 1, an outcome is not 0 or 1, or there is none.

    References
    ----------
    Brier, G. W. (1950), "Verification of forecasts expressed in terms of probability", Monthly Weather
    Review 78.

    Examples
    --------
    >>> brier([0.5, 1.0], [1, 1])
    0.125
    """
    p, y = _binary(probability, outcome)
    return float(np.square(p - y).mean())


def expected_calibration_error(p: Any, y: Any, bins: int = 10) -> float:
    """Mean distance between promised and observed shares, over bins of equal size by rank.

    ``Σ_b n_b / n |mean p - mean y|``. Customers of equal probability count with their mean outcome, so their
    order does not matter. A perfect model is not at 0: with 600 customers .02 is nearly out of
    reach.

    Raises
    ------
    ArgumentError
        When ``bins`` is not a whole number from 1 up.
    InputError
        When a value is missing, a probability is outside 0 to 1, an outcome is not 0 or 1, or there is none.

    References
    ----------
    Naeini, M. P., Cooper, G. F. and Hauskrecht, M. (2015), "Obtaining well calibrated probabilities using
    Bayesian binning", AAAI.

    Examples
    --------
    >>> round(expected_calibration_error([0.1, 0.1, 0.9, 0.9], [0, 0, 1, 1], bins=2), 3)
    0.1
    """
    table = reliability_table(p, y, bins)
    gaps = (table["mean_probability"] - table["observed_share"]).abs()
    return float((gaps * table["n"]).sum() / table["n"].sum())


def reliability_table(p: Any, y: Any, bins: int = 10) -> pd.DataFrame:
    """Promised and observed shares by bins of equal size, from the lowest probability up.

    Parameters
    ----------
    p : array_like, shape (customers,)
        Probability of at least one purchase in the horizon.
    y : array_like of 0 and 1, shape (customers,)
        Whether there was one.
    bins : int, default 10

    Returns
    -------
    pandas.DataFrame
        ``bin`` (1 is lowest), ``n``, ``mean_probability``, ``observed_share``.

    Raises
    ------
    ArgumentError
        When ``bins`` is not a whole number from 1 up.
    InputError
        When a value is missing, a probability is outside 0 to 1, an outcome is not 0 or 1, or there is none.

    Examples
    --------
    >>> reliability_table([0.1, 0.1, 0.9, 0.9], [0, 0, 1, 1], bins=2)
       bin  n  mean_probability  observed_share
    0    1  2               0.1             0.0
    1    2  2               0.9             1.0
    """
    p, y = _binary(p, y)
    order, outcomes = averaged_over_ties(p, y)
    parts = np.array_split(np.arange(p.size), checked_bins(bins, p.size))
    ordered = p[order]
    return pd.DataFrame(
        {
            "bin": np.arange(1, len(parts) + 1),
            "n": [part.size for part in parts],
            "mean_probability": [ordered[part].mean() for part in parts],
            "observed_share": [outcomes[part].mean() for part in parts],
        }
    )


def _binary(p: Any, y: Any) -> list[np.ndarray]:
    p, y = checked_probabilities(p=p, y=y)
    _refuse_rows((y != 0) & (y != 1), "outcomes are not 0 or 1", "y")
    return [p, y]


def _refuse_rows(wrong: np.ndarray, what: str, where: str) -> None:
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(what, where=where, count=int(wrong.sum()), examples=[f"row {row}"])
