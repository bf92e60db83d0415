"""BG/NBD: a customer may leave right after each repeat purchase (Fader, Hardie & Lee 2005).

``lambda ~ Gamma(r, alpha)``, drop-out chance ``p ~ Beta(a, b)``. Times (``t_x, T, h``) and ``alpha``
share one unit. The model says that every one-time buyer is still a customer: that is its property,
not a finding about them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from forecast.maths import bgprocess, nbd
from forecast.maths.ops import log_beta

PARAMETERS = ("r", "alpha", "a", "b")
UNCONSTRAINED = ("log_r", "log_alpha", "logit_dropout", "log_certainty")
# What a customer's traits may move, and how. Multiplying a and b by one factor, as CLVTools does, moves the
# certainty and leaves the mean chance to leave as it is.
EFFECTS = {
    "rate": ("log_alpha", -1.0),
    "dropout": ("logit_dropout", 1.0),
    "certainty": ("log_certainty", 1.0),
}
LIVE_BY = ("x", "T")  # what the process of a live customer depends on
PROCESS = bgprocess


def log_likelihood(ops: Any, r: Any, alpha: Any, a: Any, b: Any, *, x: Any, t_x: Any, T: Any) -> Any:
    """Log-likelihood of one customer's ``(x, t_x, T)``, elementwise (eq. 6 of the paper, in logs).

    The dead term enters as ``softplus`` of its log odds, so that nothing overflows.

    Examples
    --------
    >>> from forecast.maths.ops import NUMPY
    >>> value = log_likelihood(NUMPY, 0.243, 4.414, 0.793, 2.426, x=2.0, t_x=30.43, T=38.86)
    >>> round(float(value), 6)
    -9.458606
    """
    stay = log_beta(ops, a, b + x) - log_beta(ops, a, b)
    odds = (
        ops.log(a)
        - ops.log(b + ops.maximum(x, 1.0) - 1.0)
        + (r + x) * (ops.log(alpha + T) - ops.log(alpha + t_x))
    )
    left = ops.where(x > 0, ops.softplus(odds), 0.0)
    return nbd.log_likelihood(ops, r, alpha, x=x, t_x=t_x, T=T) + stay + left


def natural(ops: Any, log_r: Any, log_alpha: Any, logit_dropout: Any, log_certainty: Any) -> tuple[Any, ...]:
    """Natural parameters from unconstrained ones: ``a / (a + b)`` and ``a + b`` are less entangled."""
    mean = 1.0 / (1.0 + ops.exp(-logit_dropout))
    certainty = ops.exp(log_certainty)
    return ops.exp(log_r), ops.exp(log_alpha), mean * certainty, (1.0 - mean) * certainty


def unconstrained(r: Any, alpha: Any, a: Any, b: Any) -> tuple[Any, ...]:
    """Inverse of :func:`natural`."""
    return np.log(r), np.log(alpha), np.log(a) - np.log(b), np.log(a + b)


def log_odds_left(r: Any, alpha: Any, a: Any, b: Any, *, x: Any, t_x: Any, T: Any) -> Any:
    """Log of P(left) / P(still a customer) at ``T``; ``p_alive = 1 / (1 + exp(this))``."""
    odds = (
        np.log(a) - np.log(b + np.maximum(x, 1.0) - 1.0) + (r + x) * (np.log(alpha + T) - np.log(alpha + t_x))
    )
    return np.where(x > 0, odds, -np.inf)


def if_alive(r: Any, alpha: Any, a: Any, b: Any, *, x: Any, t_x: Any, T: Any) -> tuple[Any, Any, Any, Any]:
    """BG-process parameters ``(r, alpha, a, b)`` of a customer who is still one at ``T``."""
    return r + x, alpha + T, a, b + x


def typical(r: Any, alpha: Any, a: Any, b: Any, scale: float) -> Any:
    """Roughly the purchases of a new customer in ``scale``: what draws disagree about."""
    rate = r / alpha * scale
    return rate / (1.0 + rate * a / (a + b))


def newcomer(
    rng: np.random.Generator, size: int, r: float, alpha: float, a: float, b: float
) -> tuple[Any, Any, Any]:
    """Draw ``(purchase rate, drop-out chance, gone after the first purchase)`` of new customers."""
    return rng.gamma(r, 1.0 / alpha, size), rng.beta(a, b, size), np.zeros(size, dtype=bool)


def simulate(
    rng: np.random.Generator, T: np.ndarray, h: float, r: float, alpha: float, a: float, b: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """New customers of ages ``T``: repeat purchases, recency, still a customer, purchases in ``(T, T + h]``.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x, t_x, alive, future = simulate(rng, np.full(4, 90.0), 30.0, 2.0, 30.0, 0.8, 2.5)
    >>> bool((t_x <= 90.0).all()), x.shape
    (True, (4,))
    """
    return bgprocess.walk(rng, *newcomer(rng, len(T), r, alpha, a, b), T, h)


def times(
    rng: np.random.Generator, T: np.ndarray, r: float, alpha: float, a: float, b: float
) -> tuple[np.ndarray, np.ndarray]:
    """Every repeat purchase of new customers until their ages ``T``: which customer, and when."""
    T = np.ascontiguousarray(T, dtype=float)
    return bgprocess.times(rng, *newcomer(rng, len(T), r, alpha, a, b), T)


def start(mean: float, variance: float) -> tuple[float, ...]:
    """Where to start the search, time scaled by the mean age."""
    return (*nbd.start(mean, variance), 0.8, 2.5)
