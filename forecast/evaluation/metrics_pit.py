"""Calibration of predictive distributions of counts by the probability integral transform (PIT).

Counts have exact distribution functions, so nothing here is sampled, except where a name says randomised.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from forecast.errors import ArgumentError, InputError
from forecast.evaluation.metric_inputs import checked_bins, checked_probabilities
from forecast.periods import check_levels

PIT_NULL_SIMULATIONS = 2000
_PIT_NULL_SIZE = 4000


def randomised_pit(cdf_below: Any, cdf_at: Any, rng: np.random.Generator) -> np.ndarray:
    """Randomised probability integral transform: uniform on 0 to 1 when the forecast is right.

    Parameters
    ----------
    cdf_below, cdf_at : array_like, shape (customers,)
        ``P(X < y)`` and ``P(X <= y)`` at what happened.
    rng : numpy.random.Generator
        Draws the place within the jump.

    Raises
    ------
    InputError
        When a value is missing or outside 0 to 1, the input is empty, or the function falls.

    References
    ----------
    Czado, C., Gneiting, T. and Held, L. (2009), "Predictive model assessment for count data", Biometrics 65.

    Examples
    --------
    >>> randomised_pit([0.0, 0.7], [0.7, 0.7], np.random.default_rng(0)).round(3)
    array([0.446, 0.7  ])
    """
    below, at = _jump(cdf_below, cdf_at)
    return below + rng.random(below.shape) * (at - below)


def pit_ks(pit: Any) -> float:
    """Kolmogorov-Smirnov distance of PIT values to the uniform, 0 (calibrated) to 1.

    Compare it with `pit_ks_null`: a perfect model of few customers is not at 0.

    Raises
    ------
    InputError
        When a value is missing or outside 0 to 1, or the input is empty.

    Examples
    --------
    >>> pit_ks([0.25, 0.5, 0.75])
    0.25
    """
    (pit,) = checked_probabilities(pit=pit)
    return float(_ks(np.sort(pit)))


def pit_ks_null(n: int, level: float = 95, seed: int = 0) -> tuple[float, float]:
    """Range of `pit_ks` that a perfect model of ``n`` customers has, simulated (2,000 runs).

    Above 4,000 customers the runs have 4,000 and are scaled by Stephens' ``√n + 0.12 + 0.11/√n``, which makes
    the statistic's distribution free of n.

    Returns
    -------
    lo, hi : float
        The central ``level`` percent.

    Raises
    ------
    ArgumentError
        When n is below 1 or the level is not in percent.

    References
    ----------
    Stephens, M. A. (1970), "Use of the Kolmogorov-Smirnov, Cramér-von Mises and related statistics without
    extensive tables", JRSS B 32.

    Examples
    --------
    >>> lo, hi = pit_ks_null(100)
    >>> round(lo, 2), round(hi, 2)
    (0.05, 0.15)
    """
    (level,) = check_levels(level)
    if n < 1:
        raise ArgumentError(f"the number of customers is {n}", advice="Give 1 or more.")
    size = min(int(n), _PIT_NULL_SIZE)
    runs = _null_runs(size, int(seed)) * _stephens(size) / _stephens(int(n))
    lo, hi = np.quantile(runs, [(1 - level / 100) / 2, (1 + level / 100) / 2])
    return float(lo), float(hi)


def pit_coverage(cdf_below: Any, cdf_at: Any, level: float) -> float:
    """Share of customers inside their central interval, as a count distribution should be judged.

    The expectation, over the randomisation, of the share of PIT values within ``(1 ± level) / 2``: exactly
    the level for a perfect model, while intervals with whole ends cover more. Without an end on a count there
    is no rounding, and without drawing there is no seed.

    Parameters
    ----------
    cdf_below, cdf_at : array_like, shape (customers,)
        ``P(X < y)`` and ``P(X <= y)`` at what happened.
    level : float
        In percent.

    Returns
    -------
    float
        A share; compare with ``level / 100``.

    Raises
    ------
    ArgumentError
        When the level is not in percent.
    InputError
        When a value is missing or outside 0 to 1, the input is empty, or the function falls.

    References
    ----------
    Czado, C., Gneiting, T. and Held, L. (2009), "Predictive model assessment for count data", Biometrics 65.

    Examples
    --------
    >>> pit_coverage([0.0, 0.9], [0.5, 1.0], level=80)
    0.4
    """
    (level,) = check_levels(level)
    below, at = _jump(cdf_below, cdf_at)
    start, end = (1 - level / 100) / 2, (1 + level / 100) / 2
    width = at - below
    overlap = np.clip(np.minimum(at, end) - np.maximum(below, start), 0.0, None)
    inside = (start <= at) & (at <= end)
    share = np.where(width > 0, overlap / np.where(width > 0, width, 1.0), inside)
    return float(share.mean())


def pit_shares(cdf_below: Any, cdf_at: Any, bins: int = 10) -> np.ndarray:
    """Shares of customers in equal bins of the probability integral transform: all equal when it is right.

    The expectation over the randomisation, so that nothing is drawn.

    Parameters
    ----------
    cdf_below, cdf_at : array_like, shape (customers,)
        ``P(X < y)`` and ``P(X <= y)`` at what happened.
    bins : int, default 10

    Returns
    -------
    ndarray of float, shape (bins,)
        They add up to 1.

    Raises
    ------
    ArgumentError
        When ``bins`` is not a whole number from 1 up.
    InputError
        When a value is missing or outside 0 to 1, the input is empty, or the function falls.

    Examples
    --------
    >>> pit_shares([0.0, 0.6], [0.5, 0.8], bins=4).tolist()
    [0.25, 0.25, 0.375, 0.125]
    """
    below, at = _jump(cdf_below, cdf_at)
    edges = np.linspace(0.0, 1.0, checked_bins(bins, bins) + 1)
    width = np.maximum(at - below, 1e-12)
    reached = [float(np.clip((edge - below) / width, 0.0, 1.0).mean()) for edge in edges[1:-1]]
    return np.diff([0.0, *reached, 1.0])


def _ks(ordered: np.ndarray) -> np.ndarray:
    n = ordered.shape[-1]
    above = np.arange(1, n + 1) / n - ordered
    below = ordered - np.arange(n) / n
    return np.maximum(above.max(axis=-1), below.max(axis=-1))


def _stephens(n: int) -> float:
    return float(np.sqrt(n) + 0.12 + 0.11 / np.sqrt(n))


@functools.lru_cache(maxsize=16)
def _null_runs(size: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.array([_ks(np.sort(rng.random(size))) for _ in range(PIT_NULL_SIMULATIONS)])


def _jump(cdf_below: Any, cdf_at: Any) -> list[np.ndarray]:
    below, at = checked_probabilities(cdf_below=cdf_below, cdf_at=cdf_at)
    falls = below > at + 1e-9
    if falls.any():
        raise InputError(
            "a distribution function falls",
            where="cdf_below and cdf_at",
            count=int(falls.sum()),
            examples=[f"row {int(np.argmax(falls))}"],
        )
    return [np.minimum(below, at), at]
