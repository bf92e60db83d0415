"""Gamma-Gamma spend: purchase values around a customer's own mean (Colombo & Jiang 1999;
Fader & Hardie 2013, "The Gamma-Gamma model of monetary value").

Values ``z ~ Gamma(p, nu)``, ``nu ~ Gamma(q, gamma)``; ``m`` is the mean of ``n`` observed values.
``gamma`` and ``m`` share one currency.
"""

from __future__ import annotations

from typing import Any

import numpy as np

PARAMETERS = ("p", "q", "gamma")
UNCONSTRAINED = ("log_p", "log_q_minus_1", "log_gamma")
EFFECTS = {"spend": ("log_gamma", 1.0)}


def log_likelihood(ops: Any, p: Any, q: Any, gamma: Any, *, n: Any, m: Any) -> Any:
    """Log density of the mean ``m`` of ``n`` values, elementwise (eq. 1a of the note).

    Examples
    --------
    >>> from forecast.maths.ops import NUMPY
    >>> round(float(log_likelihood(NUMPY, 6.25, 3.74, 15.44, n=2.0, m=22.35)), 6)
    -3.551317
    """
    shape = p * n
    return (
        ops.gammaln(shape + q)
        - ops.gammaln(shape)
        - ops.gammaln(q)
        + q * ops.log(gamma)
        + (shape - 1.0) * ops.log(m)
        + shape * ops.log(n)
        - (shape + q) * ops.log(gamma + n * m)
    )


def natural(ops: Any, log_p: Any, log_q_minus_1: Any, log_gamma: Any) -> tuple[Any, ...]:
    """Natural parameters from unconstrained ones; ``q > 1``, so the mean spend is finite."""
    return ops.exp(log_p), 1.0 + ops.exp(log_q_minus_1), ops.exp(log_gamma)


def unconstrained(p: Any, q: Any, gamma: Any) -> tuple[Any, ...]:
    """Inverse of :func:`natural`."""
    return np.log(p), np.log(q - 1.0), np.log(gamma)


def expected_value(p: Any, q: Any, gamma: Any, *, n: Any, m: Any) -> Any:
    """Expected value of a customer's purchase: its own mean shrunk to the population's.

    ``n = 0`` gives the population mean ``p gamma / (q - 1)``, which needs ``q > 1``.

    Examples
    --------
    >>> round(float(expected_value(6.24935, 3.74426, 15.44431, n=2, m=40.0)), 4)
    39.1305
    """
    total = np.where(np.asarray(n) > 0, n * np.nan_to_num(m), 0.0)
    return p * (gamma + total) / (p * np.asarray(n) + q - 1.0)


def typical(p: Any, q: Any, gamma: Any, scale: float) -> Any:
    """Median-like spend of a new customer (the mean has heavy tails near ``q = 1``)."""
    return p * gamma / q


def newcomer(rng: np.random.Generator, size: int, p: float, q: float, gamma: float) -> np.ndarray:
    """Draw the rates ``nu`` of new customers; their mean spend is ``p / nu``."""
    return rng.gamma(q, 1.0 / gamma, size)


def start(mean: float, variance_of_means: float) -> tuple[float, ...]:
    """Where to start the search, money scaled by its mean."""
    q = 1.0 + max(1.0 + mean**2 / max(variance_of_means, 1e-3 * mean**2), 1.5)
    p = 4.0
    return p, q, mean * (q - 1.0) / p
