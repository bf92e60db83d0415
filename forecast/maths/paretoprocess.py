"""What a live Pareto/NBD customer does next: expectation, tail, chances of counts, discounted value.

Given that a customer is still one at ``T``, the process starts anew with ``lambda ~ Gamma(r, alpha)`` and
``mu ~ Gamma(s, beta)``, updated to ``(r + x, alpha + T, s, beta + T)``. All quantities here are for such a
customer in ``(0, h]``; counts are negative binomial given how long the customer stays, and are summed over
that time by a composite quadrature whose terms are all positive.

References
----------
Fader & Hardie (2005), A note on deriving the Pareto/NBD model and related expressions; Fader, Hardie & Lee
(2005), Journal of Marketing Research 42(4) for the discounted value. The quadratures are ours.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import special

from forecast.maths.bgprocess import tail_sizes
from forecast.maths.compiling import njit

_AT, _WEIGHT = np.polynomial.legendre.leggauss(16)


def expectation(r: Any, alpha: Any, s: Any, beta: Any, h: float) -> np.ndarray:
    """Expected purchases of live customers in ``(0, h]``.

    Parameters
    ----------
    r, alpha, s, beta : array_like, shape (n,)
        Updated parameters.
    h : float
        Length of the horizon, in the unit of ``alpha`` and ``beta``.

    Returns
    -------
    ndarray, shape (n,)

    Examples
    --------
    >>> round(float(expectation(0.5532699, 10.577801, 0.60602, 11.663915, 52.0)), 5)
    1.4735
    """
    r, alpha, s, beta = (np.asarray(v, dtype=float) for v in (r, alpha, s, beta))
    growth = np.log1p(h / beta)
    power = -(s - 1.0) * growth
    flat = np.abs(power) < 1e-300
    stay = np.where(flat, 1.0, np.expm1(power) / np.where(flat, 1.0, power))  # s = 1 is no singularity
    return r / alpha * beta * growth * stay


@njit(cache=True, nogil=True)
def _stays(
    r: float, alpha: float, s: float, beta: float, h: float, nodes: np.ndarray, weights: np.ndarray
) -> tuple:
    """How long a customer stays within the horizon: times and their chances, the whole horizon last.

    In ``v = asinh(sqrt(t / alpha))`` the counts of all ``t`` are equally sharp, about ``1 / (2 sqrt(r))``
    wide. Panels are no wider than that allows, and grow from the scale on which customers leave.
    """
    end = math.asinh(math.sqrt(h / alpha))
    widest = min(1.0, 2.0 / math.sqrt(r))
    scale = math.sqrt(beta / (alpha * (1.0 + s)))
    panels, v = 0, 0.0
    while v < end:
        v += min(widest, max(1.5 * scale, v))
        panels += 1
    size = nodes.size
    time, chance = np.empty(panels * size + 1), np.empty(panels * size + 1)
    low = 0.0
    for p in range(panels):
        high = min(low + min(widest, max(1.5 * scale, low)), end)
        if p == panels - 1:
            high = end
        half = 0.5 * (high - low)
        for i in range(size):
            v = low + half * (1.0 + nodes[i])
            t = alpha * math.sinh(v) ** 2
            rise = 2.0 * alpha * math.sinh(v) * math.cosh(v)
            time[p * size + i] = t
            leave = s / (beta + t) * math.exp(-s * math.log1p(t / beta))
            chance[p * size + i] = half * weights[i] * rise * leave
        low = high
    time[-1] = h
    chance[-1] = math.exp(-s * math.log1p(h / beta))
    return time, chance


@njit(cache=True, nogil=True)
def _fill_tails(
    r: np.ndarray, alpha: np.ndarray, s: np.ndarray, beta: np.ndarray, h: float,
    offsets: np.ndarray, out: np.ndarray, limit: int, nodes: np.ndarray, weights: np.ndarray,
) -> None:  # fmt: skip
    for i in range(r.size):
        tail = out[offsets[i] : offsets[i + 1]]
        tail[:] = 0.0
        log_rise = np.empty(tail.size)
        for n in range(tail.size):
            log_rise[n] = math.log((r[i] + n) / (n + 1.0))
        time, chance = _stays(r[i], alpha[i], s[i], beta[i], h, nodes, weights)
        for k in range(time.size):
            z = time[k] / (alpha[i] + time[k])
            log_p = r[i] * math.log1p(-z)
            n = 0
            if log_p < -600.0:  # far from zero purchases: in logs until the chance can be held
                log_z = math.log(z)
                while n < tail.size and log_p < -600.0:
                    log_p += log_rise[n] + log_z
                    n += 1
            mass = chance[k] * math.exp(log_p)
            while n < tail.size:
                tail[n] += mass
                mass *= (r[i] + n) / (n + 1.0) * z
                if mass < 1e-300:
                    break
                n += 1
        if tail.size > limit:  # cut off: what is missing lies beyond
            tail[-1] += max(0.0, 1.0 - tail.sum())
        for n in range(tail.size - 2, -1, -1):  # tails are summed from the far end: no subtraction
            tail[n] += tail[n + 1]
        tail[0] = 1.0


def tail_table(r: Any, alpha: Any, s: Any, beta: Any, h: float, limit: int = 100_000) -> tuple:
    """Tails P(N >= n), n = 0, 1, ..., of many live customers, one after another in a flat array.

    Parameters
    ----------
    r, alpha, s, beta : array_like, shape (m,)
    h : float
    limit : int
        Longest tail; the chance of more is put at its end.

    Returns
    -------
    offsets : ndarray of int, shape (m + 1,)
        Tail ``i`` is ``values[offsets[i]:offsets[i + 1]]``; beyond it the chance is below 1e-13.
    values : ndarray

    Examples
    --------
    >>> offsets, values = tail_table([1.0], [1.0], 1.0, [1e12], 1.0)
    >>> values[:4].round(4).tolist()  # nobody leaves
    [1.0, 0.5, 0.25, 0.125]
    """
    columns = [np.array(v, dtype=float) for v in np.broadcast_arrays(*np.atleast_1d(r, alpha, s, beta))]
    sizes = tail_sizes(columns[0], columns[1], float(h), limit)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    values = np.empty(int(offsets[-1]))
    _fill_tails(*columns, float(h), offsets, values, limit, _AT, _WEIGHT)
    return offsets, values


@njit(cache=True, nogil=True)
def _masses(
    r: np.ndarray, alpha: np.ndarray, s: np.ndarray, beta: np.ndarray, h: np.ndarray, n: np.ndarray,
    log_ways: np.ndarray, nodes: np.ndarray, weights: np.ndarray,
) -> np.ndarray:  # fmt: skip
    found = np.empty(r.size)
    for i in range(r.size):
        if not h[i] > 0.0:
            found[i] = 1.0 if n[i] == 0.0 else 0.0
            continue
        time, chance = _stays(r[i], alpha[i], s[i], beta[i], h[i], nodes, weights)
        total = 0.0
        for k in range(time.size):
            z = time[k] / (alpha[i] + time[k])
            log_p = log_ways[i] + r[i] * math.log1p(-z)
            if n[i] > 0.0:
                log_p += n[i] * math.log(z)
            total += chance[k] * math.exp(min(log_p, 0.0))
        found[i] = total
    return found


def pmf(r: Any, alpha: Any, s: Any, beta: Any, h: Any, n: Any) -> np.ndarray:
    """P(exactly ``n`` purchases in ``(0, h]``), elementwise, by addition only.

    Examples
    --------
    >>> pmf(0.55, 10.56, 0.61, 11.64, 52.0, np.arange(3)).round(7).tolist()
    [0.5763486, 0.1600896, 0.0812421]
    """
    spread = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (r, alpha, s, beta, h, n)))
    r, alpha, s, beta, h, n = (np.array(v).ravel() for v in spread)
    log_ways = special.gammaln(r + n) - special.gammaln(r) - special.gammaln(n + 1.0)
    return _masses(r, alpha, s, beta, h, n, log_ways, _AT, _WEIGHT).reshape(spread[0].shape)


def some(r: Any, alpha: Any, s: Any, beta: Any, h: Any) -> np.ndarray:
    """P(at least one purchase in ``(0, h]``), elementwise.

    Examples
    --------
    >>> round(float(some(0.55, 10.56, 0.61, 11.64, 52.0)), 7)
    0.4236514
    """
    return 1.0 - pmf(r, alpha, s, beta, h, 0.0)


def due(r: Any, alpha: Any, s: Any, beta: Any, h: Any) -> np.ndarray:
    """P(at least one purchase in ``(0, h]``) of customers who do not leave in the meantime, elementwise.

    Rates to buy and to leave are independent, so this is the same without the second.

    Examples
    --------
    >>> float(due(1.0, 1.0, 0.6, 11.6, 1.0))
    0.5
    """
    return -np.expm1(-r * np.log1p(h / np.asarray(alpha)))


def future(rng: np.random.Generator, r: Any, alpha: Any, s: Any, beta: Any, h: Any) -> tuple:
    """Simulate every purchase of live customers in ``(0, h]``: which customer, and when.

    Examples
    --------
    >>> who, when = future(np.random.default_rng(0), np.full(2000, 3.0), 10.0, 0.8, 20.0, 20.0)
    >>> expected = float(expectation(3.0, 10.0, 0.8, 20.0, 20.0))
    >>> bool(abs(len(who) / 2000 / expected - 1.0) < 0.05), bool(when.max() <= 20.0)
    (True, True)
    """
    r, alpha, s, beta = np.broadcast_arrays(
        *(np.asarray(v, dtype=float) for v in np.atleast_1d(r, alpha, s, beta))
    )
    rate = rng.gamma(r, 1.0 / alpha)
    end = rng.exponential(size=r.size) / np.maximum(rng.gamma(s, 1.0 / beta), 1e-300)
    exposed = np.minimum(end, np.asarray(h, dtype=float))
    who = np.repeat(np.arange(r.size), rng.poisson(rate * exposed))
    return who, exposed[who] * rng.random(who.size)  # spread evenly while the customer stays; not in order


@njit(cache=True, nogil=True)
def _discounted_stay(s: np.ndarray, x: np.ndarray) -> np.ndarray:
    """``int_0^inf e^(-x u) (1 + u)^-s du``, which is ``U(1, 2 - s, x)``, by the trapezoid rule in ``w``,
    ``u = exp(w - exp(-w)) / (x + s)``: it converges exponentially, and all terms are positive.
    """
    found = np.empty(s.size)
    step = 1.0 / 16.0
    for i in range(s.size):
        scale = 1.0 / (x[i] + s[i])
        high = max(4.0, math.log(750.0 / (x[i] * scale)) + 1.0)
        total = 0.0
        for k in range(int(-4.0 / step), int(high / step) + 1):
            w = k * step
            fall = math.exp(-w)
            u = scale * math.exp(w - fall)
            total += u * (1.0 + fall) * math.exp(-x[i] * u - s[i] * math.log1p(u))
        found[i] = total * step
    return found


def discounted(r: Any, alpha: Any, s: Any, beta: Any, delta: Any) -> np.ndarray:
    """Expected purchases of live customers over all future, discounted continuously at rate ``delta``.

    Times the chance to be a customer this is the literature's DERT (residual transactions); with the
    parameters themselves it is the DET of a new customer.

    Parameters
    ----------
    r, alpha, s, beta : array_like
    delta : array_like
        Positive, per unit of time: ``log(1 + annual rate) / units a year``.

    Returns
    -------
    ndarray

    References
    ----------
    Fader, Hardie & Lee (2005), "RFM and CLV", Journal of Marketing Research 42(4), eq. 7:
    ``r / alpha beta U(1, 2 - s, beta delta)`` after Kummer's transformation.

    Examples
    --------
    >>> round(float(discounted(0.553, 10.578, 0.606, 11.669, np.log(1.1) / 52.0)), 6)
    4.814492
    """
    spread = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (r, alpha, s, beta, delta)))
    r, alpha, s, beta, delta = (np.array(v).ravel() for v in spread)
    found = r / alpha * beta * _discounted_stay(s, beta * delta)
    return found.reshape(spread[0].shape)
