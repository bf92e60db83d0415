"""Compiled sums of the likelihoods that meet millions of rows.

Each returns value, gradient and Hessian in the natural parameters and equals the weighted sum of the
likelihood text over rows; a conformance test ties them to that text to 1e-10. Rows are summed in
fixed blocks, so the number of threads cannot change a bit.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from scipy.special import betaln, gammaln

from forecast.maths import jets
from forecast.maths.bgnbdrows import bgnbd_row_values, bgnbd_rows
from forecast.maths.compiling import njit
from forecast.maths.jets import JETS
from forecast.maths.ops import log_beta

Derivatives = tuple[float, np.ndarray, np.ndarray]
_BLOCK = 65_536


def _in_blocks(kernel: Callable[..., Any], rows: int, *arguments: Any) -> np.ndarray:
    starts = range(0, rows, _BLOCK)
    if len(starts) <= 1:
        return kernel(0, rows, *arguments)
    with ThreadPoolExecutor(min(len(starts), os.cpu_count() or 1)) as pool:
        parts = pool.map(lambda begin: kernel(begin, min(begin + _BLOCK, rows), *arguments), starts)
        return np.sum(list(parts), axis=0)


@njit(cache=True, nogil=True)
def count_keys(keys: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Distinct non-negative integers below ``2 ** bits``, ascending, with how often each occurs.

    Sorts by digits of at most 11 bits in place of ``numpy.unique``, which compares; 32-bit keys take half
    as long as 64-bit ones.

    Examples
    --------
    >>> values, counts = count_keys(np.array([5, 2, 5]), 3)
    >>> values.tolist(), counts.tolist()
    ([2, 5], [1.0, 2.0])
    """
    source = keys.copy()
    target = np.empty_like(source)
    passes = max((bits + 10) // 11, 1)
    width = (bits + passes - 1) // passes
    most = (1 << width) - 1
    places = np.zeros((passes, most + 2), np.int64)
    for key in source:
        for k in range(passes):
            places[k, ((key >> (width * k)) & most) + 1] += 1
    for k in range(passes):
        own = places[k]
        for digit in range(most + 1):
            own[digit + 1] += own[digit]
        for key in source:
            digit = (key >> (width * k)) & most
            target[own[digit]] = key
            own[digit] += 1
        source, target = target, source
    counts = np.empty(source.size)
    size = 0
    for i in range(source.size):
        if size > 0 and target[size - 1] == source[i]:
            counts[size - 1] += 1.0
        else:
            target[size] = source[i]
            counts[size] = 1.0
            size += 1
    return target[:size].copy(), counts[:size].copy()


def _time_codes(t_x: np.ndarray, T: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct times and, for each row, where its recency and age stand among them."""
    if T.size and T.max() < 1e5:
        first, last = t_x.astype(np.int32), T.astype(np.int32)
        if np.array_equal(first, t_x) and np.array_equal(last, T):
            return np.arange(float(last.max()) + 1.0), first, last
    times, codes = np.unique(np.concatenate([t_x, T]), return_inverse=True)
    codes = codes.astype(np.int32)
    return times, codes[: len(t_x)], codes[len(t_x) :]


class NBDSum:
    """The NBD log-likelihood summed over rows: distinct counts and distinct ages are enough.

    Examples
    --------
    >>> total = NBDSum(np.array([0]), np.zeros(1), np.ones(1), np.ones(1))
    >>> round(float(total(np.ones(2))[0]), 6)
    -0.693147
    """

    def __init__(self, x: np.ndarray, t_x: np.ndarray, T: np.ndarray, weight: np.ndarray) -> None:
        counts = np.bincount(x.astype(np.int32), weights=weight)
        self._x = np.flatnonzero(counts).astype(float)
        self._x_weight = counts[counts > 0]
        self._times, _, last = _time_codes(t_x, T)
        self._age_weight = np.bincount(last, weights=weight, minlength=len(self._times))
        self._age_x = np.bincount(last, weights=weight * x, minlength=len(self._times))

    def __call__(self, theta: np.ndarray) -> Derivatives:
        r, alpha = jets.variables(list(theta))
        per_x = JETS.gammaln(r + self._x) - JETS.gammaln(r) + r * JETS.log(alpha)
        per_age = -(r * self._age_weight + self._age_x) * JETS.log(alpha + self._times)
        value, gradient, hessian = jets.weighted_sum(per_x, self._x_weight)
        parts = jets.weighted_sum(per_age, np.ones(len(self._times)))
        return value + parts[0], gradient + parts[1], hessian + parts[2]

    def value(self, theta: np.ndarray) -> float:
        """The value alone."""
        r, alpha = (float(v) for v in theta)
        per_x = gammaln(r + self._x) - gammaln(r) + r * math.log(alpha)
        per_age = (r * self._age_weight + self._age_x) * np.log(alpha + self._times)
        return float(np.dot(per_x, self._x_weight)) - float(per_age.sum())


class BGNBDSum:
    """The BG/NBD or MBG/NBD log-likelihood summed over grouped rows, for many parameter values.

    Parameters
    ----------
    x : ndarray of int, shape (n,)
    t_x, T : ndarray of float, shape (n,)
    weight : ndarray of float, shape (n,)
        Customers behind each row.
    m : {0, 1}
        1 for MBG/NBD, whose customers may leave right after the first purchase.

    Examples
    --------
    >>> total = BGNBDSum(np.array([2]), np.array([30.43]), np.array([38.86]), np.array([1.0]))
    >>> round(float(total(np.array([0.243, 4.414, 0.793, 2.426]))[0]), 6)
    -9.458606
    """

    def __init__(self, x: np.ndarray, t_x: np.ndarray, T: np.ndarray, weight: np.ndarray, m: int = 0) -> None:
        x = x.astype(np.int32)
        self._m = m
        counts = np.bincount(x, weights=weight)
        self._x = np.flatnonzero(counts).astype(float)
        self._x_weight = counts[counts > 0]
        # Logarithms are taken once per distinct time, not once per row.
        self._times, first, last = _time_codes(t_x, T)
        self._age_weight = np.bincount(last, weights=weight, minlength=len(self._times))
        self._age_x = np.bincount(last, weights=weight * x, minlength=len(self._times))
        may_leave = x + m > 0
        self._row_x, self._row_first, self._row_last = x[may_leave], first[may_leave], last[may_leave]
        self._row_weight = weight[may_leave].astype(float)
        self._rows = len(self._row_x)

    def __call__(self, theta: np.ndarray) -> Derivatives:
        r, alpha, a, b = variables = jets.variables(list(theta))
        x = self._x
        per_x = (
            JETS.gammaln(r + x)
            - JETS.gammaln(r)
            + r * JETS.log(alpha)
            + log_beta(JETS, a, b + (x + self._m))
            - log_beta(JETS, a, b)
        )
        per_age = -(r * self._age_weight + self._age_x) * JETS.log(alpha + self._times)
        value, gradient, hessian = jets.weighted_sum(per_x, self._x_weight)
        parts = jets.weighted_sum(per_age, np.ones(len(self._times)))
        value, gradient, hessian = value + parts[0], gradient + parts[1], hessian + parts[2]
        if not self._rows:
            return value, gradient, hessian
        rate, scale, av, bv = (v.value for v in variables)
        top = np.arange(float(self._x[-1]) + 1.0)
        shifted = bv + np.maximum(top + self._m, 1.0) - 1.0
        s = _in_blocks(
            bgnbd_rows, self._rows, self._row_x, self._row_first, self._row_last, self._row_weight,
            rate, math.log(av), np.log(scale + self._times), 1.0 / (scale + self._times),
            np.log(shifted), 1.0 / shifted,
        )  # fmt: skip
        gradient += np.array([s[2], s[3], s[1] / av, s[4]])
        upper = np.array(
            [
                [s[9], s[10] + s[15], s[6] / av, s[11]],
                [0.0, s[12] - s[16], s[7] / av, s[13]],
                [0.0, 0.0, (s[5] - s[1]) / av**2, s[8] / av],
                [0.0, 0.0, 0.0, s[14] + s[17]],
            ]
        )
        hessian += upper + np.triu(upper, 1).T
        return value + s[0], gradient, hessian

    def value(self, theta: np.ndarray) -> float:
        """The value alone, in one thread: draws are spread over threads by the caller."""
        r, alpha, a, b = (float(v) for v in theta)
        x, log_t = self._x, np.log(alpha + self._times)
        stay = betaln(a, b + (x + self._m)) - betaln(a, b)
        per_x = gammaln(r + x) - gammaln(r) + r * math.log(alpha) + stay
        total = float(np.dot(per_x, self._x_weight)) - float(
            np.dot(r * self._age_weight + self._age_x, log_t)
        )
        if not self._rows:
            return total
        top = np.arange(float(self._x[-1]) + 1.0)
        log_b = np.log(b + np.maximum(top + self._m, 1.0) - 1.0)
        return total + bgnbd_row_values(
            0, self._rows, self._row_x, self._row_first, self._row_last, self._row_weight,
            r, math.log(a), log_t, log_b,
        )  # fmt: skip


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc"})
def _gammagamma_rows(
    begin: int, end: int, n: np.ndarray, total: np.ndarray, weight: np.ndarray, gamma: float
) -> np.ndarray:
    out = np.zeros(6)
    for i in range(begin, end):
        level = gamma + total[i]
        log_level = math.log(level)
        inverse = 1.0 / level
        w = weight[i]
        wn = w * n[i]
        out[0] += w * log_level
        out[1] += wn * log_level
        out[2] += w * inverse
        out[3] += wn * inverse
        out[4] += w * inverse * inverse
        out[5] += wn * inverse * inverse
    return out


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc"})
def _gammagamma_row_values(n: np.ndarray, total: np.ndarray, weight: np.ndarray, gamma: float) -> tuple:
    plain, counted = 0.0, 0.0
    for i in range(n.size):
        level = weight[i] * math.log(gamma + total[i])
        plain += level
        counted += n[i] * level
    return plain, counted


class GammaGammaSum:
    """The Gamma-Gamma log-likelihood summed over rows ``(n, m)``, for many parameter values.

    Examples
    --------
    >>> total = GammaGammaSum(np.array([2.0]), np.array([22.35]), np.array([1.0]))
    >>> round(float(total(np.array([6.25, 3.74, 15.44]))[0]), 6)
    -3.551317
    """

    def __init__(self, n: np.ndarray, m: np.ndarray, weight: np.ndarray) -> None:
        self._n = n.astype(float)
        self._total = self._n * m
        self._weight = weight.astype(float)
        self._sizes, codes = np.unique(self._n, return_inverse=True)
        self._size_weight = np.bincount(codes, weights=self._weight)
        log_m = np.log(m)
        self._log_mean = float(np.dot(self._weight, log_m))
        self._log_total = float(np.dot(self._weight * self._n, log_m))

    def __call__(self, theta: np.ndarray) -> Derivatives:
        p, q, gamma = jets.variables(list(theta))
        n = self._sizes
        per_size = (
            JETS.gammaln(p * n + q)
            - JETS.gammaln(p * n)
            - JETS.gammaln(q)
            + q * JETS.log(gamma)
            + p * (n * np.log(n))
        )
        value, gradient, hessian = jets.weighted_sum(per_size, self._size_weight)
        s = _in_blocks(_gammagamma_rows, len(self._n), self._n, self._total, self._weight, gamma.value)
        pv, qv = p.value, q.value
        value += pv * self._log_total - self._log_mean - (pv * s[1] + qv * s[0])
        gradient += np.array([self._log_total - s[1], -s[0], -(pv * s[3] + qv * s[2])])
        cross = np.array([[0.0, 0.0, -s[3]], [0.0, 0.0, -s[2]], [-s[3], -s[2], pv * s[5] + qv * s[4]]])
        return value, gradient, hessian + cross

    def value(self, theta: np.ndarray) -> float:
        """The value alone, in one thread: draws are spread over threads by the caller."""
        p, q, gamma = (float(v) for v in theta)
        n = self._sizes
        per_size = gammaln(p * n + q) - gammaln(p * n) - gammaln(q) + q * math.log(gamma) + p * n * np.log(n)
        total = float(np.dot(per_size, self._size_weight)) + p * self._log_total - self._log_mean
        s = _gammagamma_row_values(self._n, self._total, self._weight, gamma)
        return total - (p * s[1] + q * s[0])
