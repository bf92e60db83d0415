"""Pareto-smoothed importance weights (Vehtari, Simpson, Gelman, Yao & Gabry 2024, JMLR 25).

Written here because the reference implementation takes seconds to import and this is met by every
fit; a test ties it to ArviZ's.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import special


def _fit_pareto(x: np.ndarray) -> tuple[float, float]:
    """Shape and scale of a generalised Pareto tail (Zhang & Stephens 2009), shape shrunk to 0.5."""
    x = np.sort(x)
    n = len(x)
    grid = 30 + int(math.sqrt(n))
    quarter = x[int(n / 4 + 0.5) - 1]
    j = np.arange(1, grid + 1, dtype=float)
    b = (1.0 - np.sqrt(grid / (j - 0.5))) / (3.0 * quarter) + 1.0 / x[-1]
    k = np.log1p(-b[:, None] * x).mean(axis=1)
    profile = n * (np.log(-(b / k)) - k - 1.0)
    weight = 1.0 / np.exp(profile - profile[:, None]).sum(axis=1)
    kept = weight >= 10 * np.finfo(float).eps
    weight, b = weight[kept] / weight[kept].sum(), b[kept]
    centre = float(np.dot(b, weight))
    shape = float(np.log1p(-centre * x).mean())
    scale = -shape / centre
    return (n * shape + 5.0) / (n + 10.0), scale


def smooth(log_weights: np.ndarray) -> tuple[np.ndarray, float]:
    """Smoothed, normalised importance weights and the tail's shape k-hat.

    Parameters
    ----------
    log_weights : ndarray, shape (S,)
        Log target minus log proposal, up to a constant.

    Returns
    -------
    weights : ndarray, shape (S,)
        Summing to 1.
    k_hat : float
        Below 0.7 the weighted draws can be trusted; minus infinity for constant weights.

    Examples
    --------
    >>> weights, k_hat = smooth(np.zeros(1000))
    >>> round(float(weights[0]), 6), k_hat
    (0.001, -inf)
    """
    log_w = np.asarray(log_weights, dtype=float) - np.max(log_weights)
    size = len(log_w)
    tail = math.ceil(min(0.2 * size, 3.0 * math.sqrt(size)))
    order = np.argsort(log_w, kind="stable")
    cutoff = max(float(log_w[order[-tail - 1]]), math.log(np.finfo(float).tiny))
    beyond = order[log_w[order] > cutoff]
    k_hat = -math.inf
    if len(beyond) > 4 and np.ptp(log_w[beyond]) > 1e-12:
        excess = np.exp(log_w[beyond]) - math.exp(cutoff)
        k_hat, scale = _fit_pareto(excess)
        share = (np.arange(len(beyond)) + 0.5) / len(beyond)
        if k_hat != 0.0:
            spread = scale * np.expm1(-k_hat * np.log1p(-share)) / k_hat
        else:
            spread = -scale * np.log1p(-share)
        log_w[beyond] = np.log(spread + math.exp(cutoff))
        log_w = np.minimum(log_w, 0.0)
    return np.exp(log_w - special.logsumexp(log_w)), k_hat
