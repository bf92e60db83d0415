"""NBD: customers buy by a Poisson process with gamma rates and never leave (Ehrenberg 1959).

``lambda ~ Gamma(r, alpha)``. Times (``t_x, T, h``) and ``alpha`` share one unit. It is the BG process
without drop-out, so prediction is shared with :mod:`forecast.maths.bgprocess` at ``a = 0``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from forecast.maths import bgprocess

PARAMETERS = ("r", "alpha")
UNCONSTRAINED = ("log_r", "log_alpha")
EFFECTS = {"rate": ("log_alpha", -1.0)}
LIVE_BY = ("x", "T")  # what the process of a live customer depends on
PROCESS = bgprocess


def log_likelihood(ops: Any, r: Any, alpha: Any, *, x: Any, t_x: Any, T: Any) -> Any:
    """Log-likelihood of one customer's purchase times, elementwise.

    Examples
    --------
    >>> from forecast.maths.ops import NUMPY
    >>> round(float(log_likelihood(NUMPY, 1.0, 1.0, x=0.0, t_x=0.0, T=1.0)), 6)
    -0.693147
    """
    return ops.gammaln(r + x) - ops.gammaln(r) + r * ops.log(alpha) - (r + x) * ops.log(alpha + T)


def natural(ops: Any, log_r: Any, log_alpha: Any) -> tuple[Any, ...]:
    """Natural parameters from unconstrained ones, in any namespace of operations."""
    return ops.exp(log_r), ops.exp(log_alpha)


def unconstrained(r: Any, alpha: Any) -> tuple[Any, ...]:
    """Inverse of :func:`natural`."""
    return np.log(r), np.log(alpha)


def log_odds_left(r: Any, alpha: Any, *, x: Any, t_x: Any, T: Any) -> Any:
    """Log of P(left) / P(still a customer): minus infinity, nobody leaves."""
    return np.full(np.broadcast(r, x, t_x, T).shape, -np.inf)


def if_alive(r: Any, alpha: Any, *, x: Any, t_x: Any, T: Any) -> tuple[Any, Any, Any, Any]:
    """BG-process parameters ``(r, alpha, a, b)`` of a customer who is still one at ``T``."""
    return r + x, alpha + T, 0.0, 1.0


def typical(r: Any, alpha: Any, scale: float) -> Any:
    """Expected purchases of a new customer in ``scale``, up to drop-out: what draws disagree about."""
    return r / alpha * scale


def newcomer(rng: np.random.Generator, size: int, r: float, alpha: float) -> tuple[Any, Any, Any]:
    """Draw ``(purchase rate, drop-out chance, gone after the first purchase)`` of new customers."""
    return rng.gamma(r, 1.0 / alpha, size), np.zeros(size), np.zeros(size, dtype=bool)


def simulate(
    rng: np.random.Generator, T: np.ndarray, h: float, r: float, alpha: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """New customers of ages ``T``: repeats, recency, still a customer, purchases in ``(T, T + h]``."""
    return bgprocess.walk(rng, *newcomer(rng, len(T), r, alpha), T, h)


def times(rng: np.random.Generator, T: np.ndarray, r: float, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """Every repeat purchase of new customers until their ages ``T``: which customer, and when."""
    T = np.ascontiguousarray(T, dtype=float)
    return bgprocess.times(rng, *newcomer(rng, len(T), r, alpha), T)


def start(mean: float, variance: float) -> tuple[float, ...]:
    """Where to start the search, time scaled by the mean age: moments of the repeat counts.

    Examples
    --------
    >>> start(1.0, 3.0)
    (0.5, 0.5)
    """
    excess = max(variance - mean, 0.1 * mean)
    r = float(np.clip(mean**2 / excess, 0.05, 50.0))
    return r, r / mean
