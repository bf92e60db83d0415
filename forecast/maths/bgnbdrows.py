"""Sums over rows of (M)BG/NBD histories: value, gradient and Hessian from tables of the distinct times.

``first`` and ``last`` say where a row's recency and age stand in the tables; ``log_t`` and ``inv_t`` are the
logarithm and the inverse of ``alpha`` plus each time, ``log_b`` and ``inv_b`` those of ``b + x - 1``.
"""

from __future__ import annotations

import math

import numpy as np

from forecast.maths.compiling import njit

_PIECE = 256


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc"})
def bgnbd_rows(
    begin: int,
    end: int,
    x: np.ndarray,
    first: np.ndarray,
    last: np.ndarray,
    weight: np.ndarray,
    r: float,
    log_a: float,
    log_t: np.ndarray,
    inv_t: np.ndarray,
    log_b: np.ndarray,
    inv_b: np.ndarray,
) -> np.ndarray:
    """Eighteen weighted sums over the rows from ``begin`` to ``end``, of which derivatives are made.

    With ``u`` the log odds of having left, ``s`` their chance and ``v`` its slope: the sum of
    ``log(1 + e^u)``, then of ``s`` and of ``v`` times the products of what ``u`` depends on.

    Examples
    --------
    >>> one, times = np.array([1]), np.log(np.array([10.0, 12.0, 14.0]))
    >>> sums = bgnbd_rows(0, 1, one, one, one + 1, np.ones(1), 0.5, 0.0, times, 1 / np.exp(times),
    ...                   np.zeros(2), np.ones(2))
    >>> sums.shape, round(float(sums[0]), 6)  # log(1 + (14 / 12) ** 1.5)
    ((18,), 0.815429)
    """
    # In pieces that stay in the nearest cache, one plain loop for each thing to do: these run on many lanes.
    out = np.zeros(18)
    ns, ds, us, eas, ebs, bs, ws, ts = np.empty((8, _PIECE))
    for start in range(begin, end, _PIECE):
        size = min(_PIECE, end - start)
        for j in range(size):
            i = start + j
            ns[j] = r + x[i]
            ds[j] = log_t[last[i]] - log_t[first[i]]
            eas[j] = inv_t[last[i]]
            ebs[j] = inv_t[first[i]]
            bs[j] = -inv_b[x[i]]
            us[j] = log_a - log_b[x[i]] + ns[j] * ds[j]
            ws[j] = weight[i]
        _exp_of_minus(us, ts, size)
        product = 1.0  # of 1 + t where one customer stands behind a row: its logarithm is taken once
        for j in range(size):
            if ws[j] == 1.0:
                product *= 1.0 + ts[j]
            else:
                out[0] += ws[j] * math.log1p(ts[j])
        out[0] += math.log(product)
        _add_rows(out, size, ns, ds, us, eas, ebs, bs, ws, ts)
    return out


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc"})
def _exp_of_minus(u: np.ndarray, out: np.ndarray, size: int) -> None:
    """``exp(-abs(u))`` to a rounding or two, without a branch; 0 below the smallest normal number."""
    power = np.empty(_PIECE, np.int64)
    for j in range(size):
        v = max(-abs(u[j]), -708.0)
        k = np.floor(v * 1.4426950408889634 + 0.5)
        f = (v - k * 0.6931471803691238) - k * 1.9082149292705877e-10
        p = 1.0 / 6227020800.0
        p = p * f + 1.0 / 479001600.0
        p = p * f + 1.0 / 39916800.0
        p = p * f + 1.0 / 3628800.0
        p = p * f + 1.0 / 362880.0
        p = p * f + 1.0 / 40320.0
        p = p * f + 1.0 / 5040.0
        p = p * f + 1.0 / 720.0
        p = p * f + 1.0 / 120.0
        p = p * f + 1.0 / 24.0
        p = p * f + 1.0 / 6.0
        p = p * f + 0.5
        p = p * f + 1.0
        out[j] = p * f + 1.0
        power[j] = (np.int64(k) + 1023) << 52
    scale = power.view(np.float64)
    for j in range(size):
        out[j] = 0.0 if abs(u[j]) >= 708.0 else out[j] * scale[j]


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc"})
def _add_rows(
    out: np.ndarray, size: int, ns: np.ndarray, ds: np.ndarray, us: np.ndarray, eas: np.ndarray,
    ebs: np.ndarray, bs: np.ndarray, ws: np.ndarray, ts: np.ndarray,
) -> None:  # fmt: skip
    c0 = c1 = c2 = c3 = c4 = c5 = c6 = c7 = c8 = c9 = 0.0
    c10 = c11 = c12 = c13 = c14 = c15 = c16 = c17 = 0.0
    for j in range(size):
        n, d, u, ea, eb, b, w, t = ns[j], ds[j], us[j], eas[j], ebs[j], bs[j], ws[j], ts[j]
        e = ea - eb
        ne = n * e
        share = 1.0 / (1.0 + t)
        s = w * (share if u >= 0.0 else t * share)
        v = w * t * share * share
        c0 += w * max(u, 0.0)
        c1 += s
        c2 += s * d
        c3 += s * ne
        c4 += s * b
        c5 += v
        c6 += v * d
        c7 += v * ne
        c8 += v * b
        c9 += v * d * d
        c10 += v * d * ne
        c11 += v * d * b
        c12 += v * ne * ne
        c13 += v * ne * b
        c14 += v * b * b
        c15 += s * e
        c16 += s * ne * (ea + eb)
        c17 += s * b * b
    for k, c in enumerate((c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15, c16, c17)):
        out[k] += c


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc"})
def bgnbd_row_values(
    begin: int,
    end: int,
    x: np.ndarray,
    first: np.ndarray,
    last: np.ndarray,
    weight: np.ndarray,
    r: float,
    log_a: float,
    log_t: np.ndarray,
    log_b: np.ndarray,
) -> float:
    """The first of these sums alone.

    Examples
    --------
    >>> one, times = np.array([1]), np.log(np.array([10.0, 12.0, 14.0]))
    >>> round(bgnbd_row_values(0, 1, one, one, one + 1, np.ones(1), 0.5, 0.0, times, np.zeros(2)), 6)
    0.815429
    """
    total, product = 0.0, 1.0
    for i in range(begin, end):
        u = log_a - log_b[x[i]] + (r + x[i]) * (log_t[last[i]] - log_t[first[i]])
        t = math.exp(-abs(u))
        total += weight[i] * max(u, 0.0)
        if weight[i] == 1.0:
            product *= 1.0 + t
            if product > 1e300:
                total += math.log(product)
                product = 1.0
        else:
            total += weight[i] * math.log1p(t)
    return total + math.log(product)
