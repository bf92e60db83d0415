"""Pareto/NBD: customers buy at a steady rate until they leave, at any time (Schmittlein et al. 1987).

``lambda ~ Gamma(r, alpha)`` is the rate of purchases, ``mu ~ Gamma(s, beta)`` that of leaving. Times
(``t_x, T, h``), ``alpha`` and ``beta`` share one unit.

A customer who has left did so after ``t_x``: the likelihood holds the integral of
``(alpha + y)^-(r+x) (beta + y)^-(s+1)`` over ``y`` from ``t_x`` to ``T``. The literature writes it with
hypergeometric functions, which have no elementary derivatives and overflow for heavy buyers. Here it is a
fixed Gauss-Legendre rule of elementary operations in ``v``, ``y = t_x + delta (e^v - 1)``: with
``1 / delta = (r + x + 1) / (alpha + t_x) + (s + 1) / (beta + t_x)`` no singularity comes nearer to the axis
than ``pi``, and the integrand, relative to its value at ``t_x``, neither over- nor underflows.

References
----------
Schmittlein, Morrison & Colombo (1987), Management Science 33(1); Fader & Hardie (2005), A note on deriving
the Pareto/NBD model and related expressions. The quadrature is ours.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from forecast.maths import nbd, paretoprocess
from forecast.maths.ops import NUMPY

PARAMETERS = ("r", "alpha", "s", "beta")
UNCONSTRAINED = ("log_r", "log_alpha", "log_s", "log_beta")
EFFECTS = {"rate": ("log_alpha", -1.0), "dropout": ("log_beta", -1.0)}
LIVE_BY = ("x", "T")
PROCESS = paretoprocess

_AT, _WEIGHT = np.polynomial.legendre.leggauss(48)
# In groups of eight, so that intermediate arrays are eight times the data and not 48 times.
NODES = (0.5 * (_AT + 1.0)).reshape(6, 8)
WEIGHTS = (0.5 * _WEIGHT).reshape(6, 8)


def _log_odds_left(ops: Any, r: Any, alpha: Any, s: Any, beta: Any, x: Any, t_x: Any, T: Any) -> Any:
    """Log odds of having left, for ``T > t_x``; some finite number where ``T = t_x``."""
    silence = ops.where(t_x < T, T - t_x, 1.0)
    count, leave = r + x, s + 1.0
    rate, exit = alpha + t_x, beta + t_x
    delta = 1.0 / ((count + 1.0) / rate + leave / exit)
    kappa = ops.log1p(silence / delta)
    width, count_, leave_ = ops.spread(kappa), ops.spread(count), ops.spread(leave)
    by_rate, by_exit = ops.spread(delta / rate), ops.spread(delta / exit)
    integral: Any = 0.0
    for nodes, weights in zip(NODES, WEIGHTS, strict=True):
        v = width * nodes
        grown = ops.expm1(v)
        fall = count_ * ops.log1p(by_rate * grown) + leave_ * ops.log1p(by_exit * grown)
        integral = ops.total(ops.exp(v - fall) * weights) + integral
    return (
        ops.log(s)
        + ops.log(delta / exit)
        + ops.log(kappa)
        + ops.log(integral)
        + s * (ops.log(beta + T) - ops.log(exit))
        + count * (ops.log(alpha + T) - ops.log(rate))
    )


def log_likelihood(ops: Any, r: Any, alpha: Any, s: Any, beta: Any, *, x: Any, t_x: Any, T: Any) -> Any:
    """Log-likelihood of one customer's ``(x, t_x, T)``, elementwise.

    Examples
    --------
    >>> value = log_likelihood(NUMPY, 0.553, 10.578, 0.606, 11.669, x=2.0, t_x=30.43, T=38.86)
    >>> round(float(value), 6)
    -9.554283
    """
    left = ops.where(t_x < T, ops.softplus(_log_odds_left(ops, r, alpha, s, beta, x, t_x, T)), 0.0)
    stay = s * (ops.log(beta) - ops.log(beta + T))
    return nbd.log_likelihood(ops, r, alpha, x=x, t_x=t_x, T=T) + stay + left


def natural(ops: Any, log_r: Any, log_alpha: Any, log_s: Any, log_beta: Any) -> tuple[Any, ...]:
    """Natural parameters from unconstrained ones, in any namespace of operations."""
    return ops.exp(log_r), ops.exp(log_alpha), ops.exp(log_s), ops.exp(log_beta)


def unconstrained(r: Any, alpha: Any, s: Any, beta: Any) -> tuple[Any, ...]:
    """Inverse of :func:`natural`."""
    return np.log(r), np.log(alpha), np.log(s), np.log(beta)


def log_odds_left(r: Any, alpha: Any, s: Any, beta: Any, *, x: Any, t_x: Any, T: Any) -> Any:
    """Log of P(left) / P(still a customer) at ``T``; ``p_alive = 1 / (1 + exp(this))``.

    Examples
    --------
    >>> odds = log_odds_left(0.55337, 10.57952, 0.60591, 11.65812, x=26.0, t_x=30.86, T=31.0)
    >>> round(float(1.0 / (1.0 + np.exp(odds))), 6)
    0.997919
    """
    odds = _log_odds_left(NUMPY, r, alpha, s, beta, np.asarray(x), np.asarray(t_x), np.asarray(T))
    return np.where(np.asarray(t_x) < np.asarray(T), odds, -np.inf)


def if_alive(r: Any, alpha: Any, s: Any, beta: Any, *, x: Any, t_x: Any, T: Any) -> tuple[Any, Any, Any, Any]:
    """Pareto-process parameters ``(r, alpha, s, beta)`` of a customer who is still one at ``T``."""
    return r + x, alpha + T, s, beta + T


def typical(r: Any, alpha: Any, s: Any, beta: Any, scale: float) -> Any:
    """Roughly the purchases of a new customer in ``scale``: what draws disagree about."""
    return r / alpha * scale / (1.0 + scale * s / beta)


def simulate(
    rng: np.random.Generator, T: Any, h: float, r: Any, alpha: Any, s: Any, beta: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """New customers of ages ``T``: repeat purchases, recency, still a customer, purchases in ``(T, T + h]``.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x, t_x, alive, future = simulate(rng, np.full(4, 90.0), 30.0, 2.0, 30.0, 0.6, 50.0)
    >>> bool((t_x <= 90.0).all()), x.shape
    (True, (4,))
    """
    T = np.asarray(T, dtype=float)
    rate = rng.gamma(r, 1.0 / np.asarray(alpha), T.size)
    end = rng.exponential(size=T.size) / np.maximum(rng.gamma(s, 1.0 / np.asarray(beta), T.size), 1e-300)
    exposed = np.minimum(end, T)
    x = rng.poisson(rate * exposed)
    # The last of x arrivals spread evenly over a time is the largest of x uniform numbers.
    t_x = np.where(x > 0, exposed * rng.random(T.size) ** (1.0 / np.maximum(x, 1)), 0.0)
    future = rng.poisson(rate * np.clip(end - T, 0.0, h))
    return x, t_x, end > T, future


def times(
    rng: np.random.Generator, T: Any, r: Any, alpha: Any, s: Any, beta: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Every repeat purchase of new customers until their ages ``T``: which customer, and when.

    Examples
    --------
    >>> who, when = times(np.random.default_rng(0), np.full(99, 90.0), 2.0, 30.0, 0.6, 50.0)
    >>> bool((when <= 90.0).all()), bool((np.diff(who) >= 0).all())
    (True, True)
    """
    T = np.asarray(T, dtype=float)
    who, when = paretoprocess.future(rng, np.broadcast_to(r, T.shape), alpha, s, beta, T)
    return who, when


def start(mean: float, variance: float) -> tuple[float, ...]:
    """Where to start the search, time scaled by the mean age."""
    return (*nbd.start(mean, variance), 0.8, 1.0)
