"""One mean purchase value for every customer: Gamma-Gamma with nothing left to learn from a customer.

As ``q`` grows with the mean held, customers' own means all become the population's, and purchase values are
``Gamma(p, p / mean)``. The mean's estimate is then that of all purchases; ``p`` is found in one dimension.
The result is kept as Gamma-Gamma parameters with a very large ``q``, so intervals need no second mechanism.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import optimize, special

from forecast.errors import FitError
from forecast.fitting.fitted import Fitted, Verdict
from forecast.fitting.spec import GAMMA_GAMMA
from forecast.summary.statistics import SpendCounts

LARGE_Q = 1e8
DRAWS = 200
_LEAST_LOG_P, _MOST_LOG_P = -5.0, 9.0


def fit_mean_spend(counts: SpendCounts, method: str = "mle", *, seed: int = 0, **extra: Any) -> Fitted:
    """The mean of all purchase values, and how much single purchases vary around it.

    Parameters
    ----------
    counts : SpendCounts
        Any currency unit.
    method : str
        ``mle`` gives one draw; else there are draws of how unsure the mean is.
    seed : int
    **extra
        Facts to keep in ``extra``.

    Returns
    -------
    Fitted
        Of the Gamma-Gamma specification. The error of the mean is that of customers as clusters, so it
        holds even where customers do differ.

    Raises
    ------
    FitError
        With fewer than two customers.

    Examples
    --------
    >>> two = SpendCounts(np.array([1.0, 3.0]), np.array([10.0, 30.0]), np.array([2.0, 2.0]))
    >>> found = fit_mean_spend(two)
    >>> p, q, gamma = found.each_draw()[0]
    >>> round(p * gamma / (q - 1.0), 6)
    25.0
    """
    n, m, weight = counts.n, counts.mean, counts.weight
    customers = float(weight.sum())
    if customers < 2:
        raise FitError(
            "there are too few customers with a valued repeat purchase to give a mean",
            where=f"{counts.customers:,} customers",
            advice="Wait for repeat purchases.",
        )
    purchases = float(weight @ n)
    mean = float(weight @ (n * m)) / purchases
    ratio = m / mean

    def loss(log_p: float) -> float:
        shape = np.exp(log_p) * n
        one = shape * np.log(shape) - special.gammaln(shape) + (shape - 1.0) * np.log(ratio) - shape * ratio
        return -float(weight @ one)

    log_p = float(
        optimize.minimize_scalar(
            loss, bounds=(_LEAST_LOG_P, _MOST_LOG_P), method="bounded", options={"xatol": 1e-9}
        ).x
    )
    step = 1e-3
    curvature = (loss(log_p + step) - 2.0 * loss(log_p) + loss(log_p - step)) / step**2
    error_p = 1.0 / np.sqrt(curvature) if curvature > 0.0 else 0.0
    error_mean = float(np.sqrt(weight @ (n * (ratio - 1.0)) ** 2)) / purchases
    rng = np.random.default_rng([seed, 77])
    size = 1 if method == "mle" else DRAWS
    noise = np.zeros((2, size)) if size == 1 else rng.standard_normal((2, size))
    noise -= noise.mean(axis=1, keepdims=True)
    p = np.exp(log_p + error_p * noise[0])
    means = np.exp(error_mean * noise[1])
    means *= mean / means.mean()  # the logarithm's spread must not move the mean
    draws = {
        "p": p,
        "q": np.full(size, LARGE_Q),
        "gamma": means * (LARGE_Q - 1.0) / p,
    }
    at = np.exp(log_p), LARGE_Q, mean * (LARGE_Q - 1.0) / np.exp(log_p)
    covariance = np.full((3, 3), np.nan)
    covariance[0, 0] = (at[0] * error_p) ** 2
    covariance[2, 2] = at[2] ** 2 * (error_mean**2 + error_p**2)
    covariance[0, 2] = covariance[2, 0] = -at[0] * at[2] * error_p**2
    return Fitted(
        spec=GAMMA_GAMMA,
        draws=draws,
        method=method,
        covariance=covariance,
        log_likelihood=-loss(log_p) - float(weight.sum()) * float(np.log(mean)),
        customers=counts.customers,
        verdict=Verdict("converged", "every customer gets the mean purchase value; q is set, not learned"),
        extra={"scale": mean, "mean": mean, **extra},
    )


def log_mean_shift(p: float, n: np.ndarray) -> np.ndarray:
    """By how much the logarithm of the mean of ``n`` values falls short of the logarithm of their mean.

    Without it, customers with few purchases seem to spend less, since the logarithm of a noisy mean is low.

    Examples
    --------
    >>> log_mean_shift(6.25, np.array([1.0, 10.0])).round(4).tolist()
    [-0.0821, -0.008]
    """
    shape = p * np.asarray(n, dtype=float)
    return np.asarray(special.digamma(shape) - np.log(shape))
