"""How far a forecast was from what happened: totals, means, intervals and differences between models.

Every function takes arrays with one row per customer (or per total), refuses NaN and empty input with
`InputError`, and does not depend on the order of the rows. Scores of predictive distributions are in
`metrics_probability`, their calibration in `metrics_pit`, rankings in `metrics_ranking`; all are offered
here. MAE and RMSE describe: the predictive median wins MAE on sparse data at a bias of -61 %, so no model
is chosen by them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from forecast.errors import ArgumentError, InputError
from forecast.evaluation.metric_inputs import checked
from forecast.evaluation.metrics_pit import pit_coverage, pit_ks, pit_ks_null, randomised_pit
from forecast.evaluation.metrics_probability import (
    brier,
    crps_from_cdf,
    expected_calibration_error,
    log_score,
    reliability_table,
)
from forecast.evaluation.metrics_ranking import (
    decile_mape,
    decile_table,
    normalised_gini,
    spearman,
    top_share_capture,
)
from forecast.periods import check_levels

__all__ = [
    "PairedDifference",
    "bias",
    "brier",
    "crps_from_cdf",
    "decile_mape",
    "decile_table",
    "expected_calibration_error",
    "interval_hit",
    "interval_score",
    "log_score",
    "mae",
    "normalised_gini",
    "paired_bootstrap",
    "pit_coverage",
    "pit_ks",
    "pit_ks_null",
    "poisson_deviance",
    "randomised_pit",
    "reliability_table",
    "rmse",
    "spearman",
    "top_share_capture",
    "wape",
    "winkler",
]


def bias(forecast_total: float, actual_total: float) -> float:
    """Signed error of a total as a share of the actual: ``(F - A) / A``; 0.1 is 10 % too high.

    NaN when the actual total is 0: there is nothing to be a share of.

    Raises
    ------
    InputError
        When a total is NaN.

    Examples
    --------
    >>> bias(90.0, 100.0)
    -0.1
    """
    forecast, actual = (
        array[0] for array in checked(forecast_total=[forecast_total], actual_total=[actual_total])
    )
    return float((forecast - actual) / actual) if actual != 0 else float("nan")


def wape(actual: Any, forecast: Any) -> float:
    """Weighted absolute percentage error as a share: ``Σ|A - F| / Σ|A|``.

    Over origins, the rows are totals; over customers, customers. NaN when all actuals are 0.

    Raises
    ------
    InputError
        When a value is missing, the input is empty, or the lengths differ.

    References
    ----------
    Kolassa, S. and Schütz, W. (2007), "Advantages of the MAD/Mean ratio over the MAPE", Foresight 6.

    Examples
    --------
    >>> wape([100.0, 0.0], [90.0, 10.0])
    0.2
    """
    actual, forecast = checked(actual=actual, forecast=forecast)
    total = np.abs(actual).sum()
    return float(np.abs(actual - forecast).sum() / total) if total > 0 else float("nan")


def mae(actual: Any, forecast: Any) -> float:
    """Mean absolute error, in the unit of the values; the predictive median minimises it.

    Raises
    ------
    InputError
        When a value is missing, the input is empty, or the lengths differ.

    Examples
    --------
    >>> mae([0.0, 2.0], [1.0, 1.0])
    1.0
    """
    actual, forecast = checked(actual=actual, forecast=forecast)
    return float(np.abs(actual - forecast).mean())


def rmse(actual: Any, forecast: Any) -> float:
    """Root of the mean squared error, in the unit of the values; a few large customers decide it.

    Raises
    ------
    InputError
        When a value is missing, the input is empty, or the lengths differ.

    Examples
    --------
    >>> rmse([0.0, 2.0], [1.0, 1.0])
    1.0
    """
    actual, forecast = checked(actual=actual, forecast=forecast)
    return float(np.sqrt(np.square(actual - forecast).mean()))


def poisson_deviance(actual: Any, mean: Any) -> float:
    """Mean Poisson deviance of a forecast mean: ``2 (y log(y / μ) - y + μ)``.

    Smaller is better, and the true mean minimises it. A mean of 0 costs nothing for a customer with 0 and is
    infinite for one who bought.

    Raises
    ------
    InputError
        When a value is missing or negative, the input is empty, or the lengths differ.

    References
    ----------
    McCullagh, P. and Nelder, J. A. (1989), Generalized Linear Models, 2nd ed., section 2.3.

    Examples
    --------
    >>> round(poisson_deviance([0, 1, 3], [0.5, 1.0, 2.0]), 4)
    0.4776
    """
    actual, mean = checked(actual=actual, mean=mean)
    for name, values in (("actual", actual), ("mean", mean)):
        if (values < 0).any():
            raise InputError(
                "values are negative", where=name, count=int((values < 0).sum()), advice="Counts start at 0."
            )
    deviance = mean - actual
    bought = actual > 0
    with np.errstate(divide="ignore", over="ignore"):
        deviance[bought] += actual[bought] * np.log(actual[bought] / mean[bought])
    return float(2.0 * deviance.mean())


def interval_hit(actual: Any, lo: Any, hi: Any) -> np.ndarray:
    """Whether each value lies in its interval, both ends included.

    For counts the ends are counts, so such intervals cover more than their level; use `pit_coverage` to judge
    the level of a count model.

    Raises
    ------
    InputError
        When a value is missing, the input is empty, the lengths differ, or an interval is upside down.

    Examples
    --------
    >>> interval_hit([1, 5], [0, 0], [1, 4])
    array([ True, False])
    """
    actual, lo, hi = _intervals(actual, lo, hi)
    return (lo <= actual) & (actual <= hi)


def interval_score(actual: Any, lo: Any, hi: Any, level: float) -> np.ndarray:
    """Winkler's score: the interval's width plus ``2 / α`` times the distance of a miss; smaller is better.

    Parameters
    ----------
    actual, lo, hi : array_like, shape (n,)
        In one unit.
    level : float
        In percent; ``α = 1 - level / 100``.

    Returns
    -------
    ndarray of float, shape (n,)

    Raises
    ------
    ArgumentError
        When the level is not in percent.
    InputError
        When a value is missing, the input is empty, the lengths differ, or an interval is upside down.

    References
    ----------
    Gneiting, T. and Raftery, A. E. (2007), "Strictly proper scoring rules, prediction, and estimation",
    JASA 102, equation 43.

    Examples
    --------
    >>> interval_score([5.0, 12.0], [0.0, 0.0], [10.0, 10.0], level=80)
    array([10., 30.])
    """
    (level,) = check_levels(level)
    actual, lo, hi = _intervals(actual, lo, hi)
    alpha = 1.0 - level / 100.0
    return (hi - lo) + 2.0 / alpha * (np.maximum(lo - actual, 0.0) + np.maximum(actual - hi, 0.0))


winkler = interval_score


def _intervals(actual: Any, lo: Any, hi: Any) -> list[np.ndarray]:
    arrays = checked(finite=False, actual=actual, lo=lo, hi=hi)
    upside_down = arrays[1] > arrays[2]
    if upside_down.any():
        raise InputError(
            "intervals end before they begin",
            where="lo and hi",
            count=int(upside_down.sum()),
            examples=[f"row {int(np.argmax(upside_down))}"],
            advice="Pass lo before hi.",
        )
    return arrays


class PairedDifference(NamedTuple):
    """Mean of ``loss_a - loss_b`` with its interval; below 0, a is better."""

    difference: float
    lo: float
    hi: float


def paired_bootstrap(
    loss_a: Any, loss_b: Any, n: int = 1000, seed: int = 0, level: float = 95
) -> PairedDifference:
    """Mean difference of two models' losses on the same customers, with a percentile bootstrap interval.

    Customers are drawn with replacement within one origin; origins are never pooled, since their customers
    are the same people.

    Parameters
    ----------
    loss_a, loss_b : array_like, shape (customers,)
        Losses in the same order of customers; smaller is better.
    n : int, default 1000
        Number of resamples.
    seed : int, default 0
    level : float, default 95
        In percent.

    Raises
    ------
    ArgumentError
        When n is below 1 or the level is not in percent.
    InputError
        When a value is missing, the input is empty, or the lengths differ.

    References
    ----------
    Efron, B. and Tibshirani, R. J. (1993), An Introduction to the Bootstrap, chapter 13.

    Examples
    --------
    >>> paired_bootstrap([1.0, 2.0, 3.0], [2.0, 3.0, 4.0])
    PairedDifference(difference=-1.0, lo=-1.0, hi=-1.0)
    """
    (level,) = check_levels(level)
    if n < 1:
        raise ArgumentError(f"the number of resamples is {n}", advice="Give 1 or more; 1000 is usual.")
    loss_a, loss_b = checked(loss_a=loss_a, loss_b=loss_b)
    # Sorted, so that the same customers in another order give the same interval.
    difference = np.sort(loss_a - loss_b)
    rng = np.random.default_rng(seed)
    means = np.array([difference[rng.integers(0, difference.size, difference.size)].mean() for _ in range(n)])
    lo, hi = np.quantile(means, [(1 - level / 100) / 2, (1 + level / 100) / 2])
    return PairedDifference(float(difference.mean()), float(lo), float(hi))
