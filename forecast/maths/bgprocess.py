"""What a live customer of the BG family does next: expectation, tail and draws of future purchases.

Given that a customer is still one at ``T``, the process starts anew with updated parameters
``(r, alpha, a, b)``; NBD is the case ``a = 0``. All quantities here are for such a customer in
``(0, h]``. Nothing is computed by subtracting nearly equal numbers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import special

from forecast.errors import ForecastError
from forecast.maths.compiling import njit

_EPS = 2.220446049250313e-16
_TAIL = 1e-13


@njit(cache=True, nogil=True)
def _series(r: np.ndarray, alpha: np.ndarray, a: np.ndarray, b: np.ndarray, h: float) -> tuple:
    """Expectation by the transformed Gauss series, free of the singularities at a = 1 and a + b = 1.

    With ``L = ln(1 + h / alpha)`` and ``z = h / (alpha + h)`` the two removable singularities of
    Euler's form are divided out term by term:
    ``E = (a + b - 1) (1 - e^{-(a-1) L}) / (a - 1)
          - e^{-(a-1) L} sum_k (a+b-1-r)_k (a)_{k-1} / ((a+b)_{k-1} k!) z^k``.
    Returns the values and the relative rounding error that the largest term implies.
    """
    value = np.empty(r.size)
    error = np.empty(r.size)
    for i in range(r.size):
        z = h / (alpha[i] + h)
        log_growth = math.log1p(h / alpha[i])
        s = a[i] - 1.0
        if abs(s * log_growth) < 1e-300:
            slope = log_growth
        else:
            slope = -math.expm1(-s * log_growth) / s
        head = (a[i] + b[i] - 1.0) * slope
        upper = a[i] + b[i] - 1.0 - r[i]
        scale = math.exp(-s * log_growth)
        term = upper * z
        total = term
        peak = abs(term)
        k = 1.0
        ratio = 0.0
        while k < 200000.0:
            ratio = (upper + k) * (a[i] + k - 1.0) / ((a[i] + b[i] + k - 1.0) * (k + 1.0)) * z
            term *= ratio
            total += term
            if abs(term) > peak:
                peak = abs(term)
            k += 1.0
            if term == 0.0 or (abs(ratio) < 1.0 and abs(term) < _EPS * 0.1 * (1.0 - z) * abs(total)):
                break
        value[i] = head - scale * total
        largest = max(abs(head), scale * peak)
        if k >= 200000.0 or not value[i] > 0.0:
            error[i] = np.inf
        else:
            error[i] = _EPS * (4.0 + math.sqrt(k)) * largest / value[i]
    return value, error


def _quadrature(r: float, alpha: float, a: float, b: float, h: float) -> float:
    """``E = int [1 - (1 + p h / alpha)^-r] / p dBeta(p; a, b)``: slower, all terms positive.

    The trapezoid rule in the log odds of ``p`` converges exponentially; steps are halved until two
    results agree.
    """
    width, centre = math.sqrt(1.0 / a + 1.0 / b), math.log(a / b)
    # With few who leave, most chances are near 0, where the gain per p is constant: it is taken out.
    constant, power = (r * h / alpha, a + 1.0) if a < 0.3 else (0.0, a)
    low = min(centre, -math.log1p(h / alpha)) - 45.0 / power - 12.0 * min(width, 4.0)
    high = max(centre, 0.0) + 45.0 / b + 12.0 * width
    step = 0.5 * min(1.0, width, 4.0 / math.sqrt(r))
    last = math.nan
    for _ in range(6):
        t = np.arange(low, high + step, step)
        log_p = -np.logaddexp(0.0, -t)
        p = np.exp(log_p)
        gain = -np.expm1(-r * np.log1p(p * h / alpha))
        inner = np.where(p > 1e-290, gain / np.maximum(p, 1e-290), r * h / alpha)
        log_weight = a * log_p - b * np.logaddexp(0.0, t)
        if constant:
            weight = np.exp(log_weight - special.betaln(a, b)) * step
        else:  # all of the mass is in reach: no beta function of huge arguments is needed
            weight = np.exp(log_weight - log_weight.max())
            weight /= weight.sum()
        value = constant + float(np.dot(weight, inner - constant))
        if abs(value - last) <= 1e-11 * value:
            return value
        last, step = value, step / 2.0
    return math.nan


def expectation(r: Any, alpha: Any, a: Any, b: Any, h: float) -> np.ndarray:
    """Expected purchases of live customers in ``(0, h]``.

    Parameters
    ----------
    r, alpha, a, b : array_like, shape (n,)
        Updated parameters, for example ``r + x, alpha + T, a, b + x``; ``a = 0`` for a process without
        drop-out.
    h : float
        Length of the horizon, in the unit of ``alpha``.

    Returns
    -------
    ndarray, shape (n,)

    Raises
    ------
    ForecastError
        When neither the series nor the quadrature settles; not seen on plausible parameters.

    References
    ----------
    Fader, Hardie & Lee (2005), eq. 9 and 10; the arrangement is ours.

    Examples
    --------
    >>> round(float(expectation(0.2425945, 4.4136019, 0.7929199, 2.4258881, 39.0)[()]), 7)
    1.1950086
    """
    r, alpha, a, b = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (r, alpha, a, b)))
    if not a.any():
        return r / alpha * h
    shape = r.shape
    r, alpha, a, b = (np.array(v).ravel() for v in (r, alpha, a, b))
    value, error = _series(r, alpha, a, b, float(h))
    for i in np.flatnonzero(error > 1e-10):
        value[i] = _quadrature(r[i], alpha[i], a[i], b[i], h)
        if math.isnan(value[i]):
            raise ForecastError(
                "the expected number of purchases could not be computed",
                where=f"r={r[i]:g} alpha={alpha[i]:g} a={a[i]:g} b={b[i]:g} h={h:g}",
                advice="These parameters are implausible; please report them.",
            )
    return value.reshape(shape)


def tail(r: Any, alpha: Any, a: Any, b: Any, h: Any, n: Any) -> np.ndarray:
    """P(at least ``n`` purchases in ``(0, h]``), elementwise and exact.

    The survival of ``n - 1`` chances to leave times a negative-binomial tail, which is a regularised
    incomplete beta function.

    Examples
    --------
    >>> float(tail(1.0, 1.0, 0.0, 1.0, 1.0, 1))
    0.5
    """
    n = np.asarray(n, dtype=float)
    m = np.maximum(n, 1.0)
    counts = special.betainc(m, r, h / (np.asarray(alpha) + h))
    if np.ndim(a) == 0 and a == 0.0:
        stay: Any = 1.0
    else:
        stay = np.exp(special.betaln(a, b + m - 1.0) - special.betaln(a, b))
    return np.where(n < 1.0, 1.0, stay * counts)


def some(r: Any, alpha: Any, a: Any, b: Any, h: Any) -> np.ndarray:
    """P(at least one purchase in ``(0, h]``), elementwise: nobody leaves before the first.

    Examples
    --------
    >>> float(some(1.0, 1.0, 0.8, 2.5, 1.0))
    0.5
    """
    return -np.expm1(-r * np.log1p(h / np.asarray(alpha)))


due = some  # the same for customers who do not leave in the meantime


def pmf(r: Any, alpha: Any, a: Any, b: Any, h: Any, n: Any) -> np.ndarray:
    """P(exactly ``n`` purchases in ``(0, h]``), elementwise, by addition only.

    Examples
    --------
    >>> round(float(pmf(0.243, 4.414, 0.793, 2.426, 39.0, 0)), 7)
    0.5737864
    """
    n = np.asarray(n, dtype=float)
    z = h / (np.asarray(alpha) + h)
    log_counts = (
        special.gammaln(r + n)
        - special.gammaln(r)
        - special.gammaln(n + 1.0)
        + r * np.log1p(-z)
        + n * np.log(z)
    )
    if np.ndim(a) == 0 and a == 0.0:
        return np.exp(log_counts)
    stay = np.exp(special.betaln(a, b + n) - special.betaln(a, b))
    m = np.maximum(n, 1.0)
    leave = np.exp(special.betaln(np.asarray(a) + 1.0, b + m - 1.0) - special.betaln(a, b))
    last = leave * special.betainc(m, r, z)
    return stay * np.exp(log_counts) + np.where(n > 0.0, last, 0.0)


@njit(cache=True, nogil=True)
def tail_sizes(r: np.ndarray, alpha: np.ndarray, h: float, limit: int) -> np.ndarray:
    """Lengths of tails that reach down to 1e-13 where nobody leaves: with drop-out they are shorter."""
    sizes = np.empty(r.size, np.int64)
    for i in range(r.size):
        z = h / (alpha[i] + h)
        j, p = _within_reach(r[i], z, limit)
        while j < limit:
            ratio = (r[i] + j) / (j + 1.0) * z
            if ratio < 1.0 and p * ratio < _TAIL * (1.0 - ratio):
                break
            p *= ratio
            j += 1
        sizes[i] = j + 2
    return sizes


@njit(cache=True, nogil=True)
def _within_reach(r: float, z: float, limit: int) -> tuple[int, float]:
    """The first count, 0 but for very large rates, whose chance a double holds well, and that chance."""
    log_p = r * math.log1p(-z)
    j = 0
    while log_p < -600.0 and j < limit:
        log_p += math.log((r + j) / (j + 1.0) * z)
        j += 1
    return j, math.exp(log_p)


@njit(cache=True, nogil=True)
def _fill_tails(
    r: np.ndarray,
    alpha: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    h: float,
    offsets: np.ndarray,
    out: np.ndarray,
) -> None:
    for i in range(r.size):
        z = h / (alpha[i] + h)
        begin, end = offsets[i], offsets[i + 1]
        reached, p = _within_reach(r[i], z, end - begin)
        out[begin : begin + reached] = 0.0
        for j in range(reached, end - begin):
            out[begin + j] = p
            p *= (r[i] + j) / (j + 1.0) * z
        for j in range(end - 2, begin - 1, -1):  # tails are summed from the far end: no subtraction
            out[j] += out[j + 1]
        out[begin] = 1.0
        stay = 1.0
        for n in range(2, end - begin):
            stay *= (b[i] + n - 2.0) / (a[i] + b[i] + n - 2.0)
            out[begin + n] *= stay


def tail_table(r: Any, alpha: Any, a: Any, b: Any, h: float, limit: int = 100_000) -> tuple:
    """Tails P(N >= n), n = 0, 1, ..., of many live customers, one after another in a flat array.

    Parameters
    ----------
    r, alpha, a, b : array_like, shape (m,)
    h : float
    limit : int
        Longest tail.

    Returns
    -------
    offsets : ndarray of int, shape (m + 1,)
        Tail ``i`` is ``values[offsets[i]:offsets[i + 1]]``; beyond it the chance is below 1e-13.
    values : ndarray

    Examples
    --------
    >>> offsets, values = tail_table([1.0], [1.0], 0.0, [1.0], 1.0)
    >>> values[:4].round(4).tolist()
    [1.0, 0.5, 0.25, 0.125]
    """
    r, alpha, a, b = (
        np.array(v)  # a copy: what is broadcast must not be handed on
        for v in np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (r, alpha, a, b)))
    )
    sizes = tail_sizes(r, alpha, float(h), limit)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    values = np.empty(int(offsets[-1]))
    _fill_tails(r, alpha, a, b, float(h), offsets, values)
    return offsets, values


@njit(cache=True, nogil=True)
def walk(
    rng: np.random.Generator, rate: np.ndarray, leave: np.ndarray, gone: np.ndarray, T: np.ndarray, h: float,
    k: int = 1,
) -> tuple:  # fmt: skip
    """Simulate customers from their first purchase: repeats until ``T``, then in ``(T, T + h]``.

    Every ``k``-th event of a Poisson process with the customer's rate is a purchase.

    Returns
    -------
    x, t_x, alive, future : ndarrays, shape (n,)
        Repeat purchases and the time of the last one by ``T``, whether still a customer at ``T``, and
        the purchases in the horizon.
    """
    n = rate.size
    x = np.zeros(n, np.int64)
    future = np.zeros(n, np.int64)
    t_x = np.zeros(n)
    alive = np.ones(n, np.bool_)
    for i in range(n):
        if gone[i]:
            alive[i] = False
            continue
        t = 0.0
        while True:
            for _ in range(k):
                t += rng.exponential() / max(rate[i], 1e-300)
            if t > T[i] + h:
                break
            if t <= T[i]:
                x[i] += 1
                t_x[i] = t
            else:
                future[i] += 1
            if rng.random() < leave[i]:
                if t <= T[i]:
                    alive[i] = False
                break
    return x, t_x, alive, future


@njit(cache=True, nogil=True)
def times(
    rng: np.random.Generator, rate: np.ndarray, leave: np.ndarray, gone: np.ndarray, T: np.ndarray,
    k: int = 1, passed: Any = None,
) -> tuple:  # fmt: skip
    """Simulate every repeat purchase of customers until their ages ``T``, as :func:`walk` does.

    ``passed`` events, where given, lie between the last purchase and time 0 already.

    Returns
    -------
    who, when : ndarrays, shape (purchases,)
        Which customer, and the time since the first purchase; customer after customer.
    """
    who = np.empty(2 * rate.size + 16, np.int64)
    when = np.empty(who.size)
    size = 0
    for i in range(rate.size):
        if gone[i]:
            continue
        t = 0.0
        missing = k if passed is None else k - passed[i]
        while True:
            for _ in range(missing):
                t += rng.exponential() / max(rate[i], 1e-300)
            missing = k
            if t > T[i]:
                break
            if size == who.size:
                who, when = np.concatenate((who, who)), np.concatenate((when, when))
            who[size], when[size] = i, t
            size += 1
            if rng.random() < leave[i]:
                break
    return who[:size], when[:size]


def future(rng: np.random.Generator, r: Any, alpha: Any, a: Any, b: Any, h: Any) -> tuple:
    """Simulate every purchase of live customers in ``(0, h]``.

    Parameters
    ----------
    r, alpha, a, b : array_like, shape (n,)
        As in :func:`expectation`; ``a = 0`` is a customer who never leaves.
    h : float or array_like, shape (n,)

    Returns
    -------
    who, when : ndarrays, shape (purchases,)
        Which customer, and when.

    Examples
    --------
    >>> who, when = future(np.random.default_rng(0), np.full(2000, 3.0), 10.0, 0.8, 2.5, 20.0)
    >>> expected = float(expectation(np.array([3.0]), 10.0, 0.8, 2.5, 20.0)[0])
    >>> bool(abs(len(who) / 2000 / expected - 1.0) < 0.05), bool(when.max() <= 20.0)
    (True, True)
    """
    r, alpha, a, b = (np.array(v, dtype=float) for v in np.broadcast_arrays(*np.atleast_1d(r, alpha, a, b)))
    rate = rng.gamma(r, 1.0 / alpha)
    leave = np.where(a > 0.0, rng.beta(np.maximum(a, 1e-300), b), 0.0)
    until = np.ascontiguousarray(np.broadcast_to(np.asarray(h, dtype=float), r.shape))
    return times(rng, rate, leave, np.zeros(len(r), np.bool_), until)
