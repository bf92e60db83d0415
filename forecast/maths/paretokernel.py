"""The compiled sum of the Pareto/NBD likelihood, for millions of rows.

It equals the weighted sum of the text in :mod:`forecast.maths.paretonbd` over rows, with exact gradient
and Hessian; a conformance test ties it to that text to 1e-10. The quadrature is the text's, with fewer
nodes where the silence is short and they suffice to rounding. Its derivatives are moments: those of
``log(alpha + y), 1 / (alpha + y), log(beta + y), 1 / (beta + y)`` over the time ``y`` of leaving.
"""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy.special import gammaln

from forecast.maths import jets
from forecast.maths.compiling import njit
from forecast.maths.jets import JETS
from forecast.maths.kernels import Derivatives

_BLOCK = 16_384
_SIZES = np.array([12, 16, 24, 32, 48])
_REACH = np.array([1.5, 2.5, 4.0, 5.5])  # widths up to which 12, 16, 24 and 32 nodes are exact to 1e-14
_NODES = np.zeros((len(_SIZES), 48))
_WEIGHTS = np.zeros((len(_SIZES), 48))
for _row, _size in enumerate(_SIZES):
    _at, _weight = np.polynomial.legendre.leggauss(_size)
    _NODES[_row, :_size], _WEIGHTS[_row, :_size] = 0.5 * (_at + 1.0), 0.5 * _weight


@njit(cache=True, nogil=True)
def _choice(width: float, reach: np.ndarray) -> int:
    which = 0
    while which < reach.size and width > reach[which]:
        which += 1
    return which


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc"})
def _rows(
    begin: int, end: int, x: np.ndarray, t_x: np.ndarray, T: np.ndarray, weight: np.ndarray,
    r: float, alpha: float, s: float, beta: float,
    sizes: np.ndarray, reach: np.ndarray, nodes: np.ndarray, weights: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Sums of ``softplus`` of the log odds: value, gradient, upper triangle of the Hessian."""
    out = np.zeros(15)
    g = np.empty(4)
    hess = np.empty(10)
    for i in range(begin, end):
        n, c = r + x[i], s + 1.0
        A, B = alpha + t_x[i], beta + t_x[i]
        delta = 1.0 / ((n + 1.0) / A + c / B)
        width = math.log1p((T[i] - t_x[i]) / delta)
        p, q = delta / A, delta / B
        which = _choice(width, reach)
        total = 0.0
        la = lb = ea = eb = 0.0
        la_la = la_ea = la_lb = la_eb = ea_ea = ea_lb = ea_eb = lb_lb = lb_eb = eb_eb = 0.0
        for k in range(sizes[which]):
            v = width * nodes[which, k]
            grown = math.expm1(v)
            pa, qb = p * grown, q * grown
            log_a, log_b = math.log1p(pa), math.log1p(qb)
            w = weights[which, k] * math.exp(v - n * log_a - c * log_b)
            share_a, share_b = pa / (1.0 + pa), qb / (1.0 + qb)
            total += w
            wa, wb, va, vb = w * log_a, w * log_b, w * share_a, w * share_b
            la += wa
            lb += wb
            ea += va
            eb += vb
            la_la += wa * log_a
            la_ea += wa * share_a
            la_lb += wa * log_b
            la_eb += wa * share_b
            ea_ea += va * share_a
            ea_lb += va * log_b
            ea_eb += va * share_b
            lb_lb += wb * log_b
            lb_eb += wb * share_b
            eb_eb += vb * share_b
        inverse = 1.0 / total
        la, lb, ea, eb = la * inverse, lb * inverse, ea * inverse, eb * inverse
        la_la = la_la * inverse - la * la
        la_ea = la_ea * inverse - la * ea
        la_lb = la_lb * inverse - la * lb
        la_eb = la_eb * inverse - la * eb
        ea_ea = ea_ea * inverse - ea * ea
        ea_lb = ea_lb * inverse - ea * lb
        ea_eb = ea_eb * inverse - ea * eb
        lb_lb = lb_lb * inverse - lb * lb
        lb_eb = lb_eb * inverse - lb * eb
        eb_eb = eb_eb * inverse - eb * eb
        old_a, old_b = alpha + T[i], beta + T[i]
        over_a, over_b = math.log(old_a / A), math.log(old_b / B)
        mean_a, mean_b = (1.0 - ea) / A, (1.0 - eb) / B  # of 1 / (alpha + y) and 1 / (beta + y)
        square_a = ((1.0 - ea) ** 2 + ea_ea) / (A * A)
        square_b = ((1.0 - eb) ** 2 + eb_eb) / (B * B)
        u = math.log(s * q * width * total) + s * over_b + n * over_a
        g[0] = over_a - la
        g[1] = n * (1.0 / old_a - mean_a)
        g[2] = 1.0 / s + over_b - lb
        g[3] = s / old_b - c * mean_b
        hess[0] = la_la
        hess[1] = 1.0 / old_a - mean_a - n / A * la_ea
        hess[2] = la_lb
        hess[3] = -c / B * la_eb
        hess[4] = n * (n / (A * A) * ea_ea + square_a - 1.0 / (old_a * old_a))
        hess[5] = -n / A * ea_lb
        hess[6] = n * c / (A * B) * ea_eb
        hess[7] = lb_lb - 1.0 / (s * s)
        hess[8] = 1.0 / old_b - mean_b - c / B * lb_eb
        hess[9] = c * c / (B * B) * eb_eb + c * square_b - s / (old_b * old_b)
        t = math.exp(-abs(u))
        share = 1.0 / (1.0 + t)
        both = weight[i] * t * share * share
        gone = weight[i] * (share if u >= 0.0 else t * share)
        out[0] += weight[i] * (max(u, 0.0) + math.log1p(t))
        place = 0
        for a in range(4):
            out[1 + a] += gone * g[a]
            for b in range(a, 4):
                out[5 + place] += gone * hess[place] + both * g[a] * g[b]
                place += 1
    return out


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc"})
def _row_values(
    x: np.ndarray, t_x: np.ndarray, T: np.ndarray, weight: np.ndarray,
    r: float, alpha: float, s: float, beta: float,
    sizes: np.ndarray, reach: np.ndarray, nodes: np.ndarray, weights: np.ndarray,
) -> float:  # fmt: skip
    found = 0.0
    for i in range(x.size):
        n, c = r + x[i], s + 1.0
        A, B = alpha + t_x[i], beta + t_x[i]
        delta = 1.0 / ((n + 1.0) / A + c / B)
        width = math.log1p((T[i] - t_x[i]) / delta)
        p, q = delta / A, delta / B
        which = _choice(width, reach)
        total = 0.0
        for k in range(sizes[which]):
            v = width * nodes[which, k]
            grown = math.expm1(v)
            total += weights[which, k] * math.exp(v - n * math.log1p(p * grown) - c * math.log1p(q * grown))
        u = math.log(s * q * width * total)
        u += s * math.log((beta + T[i]) / B) + n * math.log((alpha + T[i]) / A)
        found += weight[i] * (max(u, 0.0) + math.log1p(math.exp(-abs(u))))
    return found


class ParetoNBDSum:
    """The Pareto/NBD log-likelihood summed over grouped rows, for many parameter values.

    Parameters
    ----------
    x, t_x, T : ndarray, shape (n,)
    weight : ndarray, shape (n,)
        Customers behind each row.

    Examples
    --------
    >>> total = ParetoNBDSum(*(np.array([v]) for v in (2.0, 30.43, 38.86, 1.0)))
    >>> round(float(total(np.array([0.553, 10.578, 0.606, 11.669]))[0]), 6)
    -9.554283
    """

    def __init__(self, x: np.ndarray, t_x: np.ndarray, T: np.ndarray, weight: np.ndarray) -> None:
        x, t_x, T, weight = (np.asarray(v, dtype=float) for v in (x, t_x, T, weight))
        self._x, codes = np.unique(x, return_inverse=True)
        self._x_weight = np.bincount(codes, weights=weight)
        self._ages, codes = np.unique(T, return_inverse=True)
        self._age_weight = np.bincount(codes, weights=weight)
        self._age_x = np.bincount(codes, weights=weight * x)
        silent = t_x < T  # the others are still customers
        self._data = tuple(np.array(v[silent]) for v in (x, t_x, T, weight))

    def __call__(self, theta: np.ndarray) -> Derivatives:
        r, alpha, s, beta = jets.variables(list(theta))
        x, ages, number = self._x, self._ages, self._age_weight
        per_x = JETS.gammaln(r + x) - JETS.gammaln(r) + r * JETS.log(alpha)
        per_age = s * number * (JETS.log(beta) - JETS.log(beta + ages)) - (
            r * number + self._age_x
        ) * JETS.log(alpha + ages)
        parts = [jets.weighted_sum(per_x, self._x_weight), jets.weighted_sum(per_age, np.ones(len(ages)))]
        value, gradient, hessian = (a + b for a, b in zip(*parts, strict=True))
        found = self._silent(theta)
        upper = np.zeros((4, 4))
        upper[np.triu_indices(4)] = found[5:]
        return value + found[0], gradient + found[1:5], hessian + upper + np.triu(upper, 1).T

    def _silent(self, theta: np.ndarray) -> np.ndarray:
        rows, point = len(self._data[0]), tuple(float(v) for v in theta)

        def part(begin: int) -> np.ndarray:
            end = min(begin + _BLOCK, rows)
            return _rows(begin, end, *self._data, *point, _SIZES, _REACH, _NODES, _WEIGHTS)

        starts = range(0, rows, _BLOCK)
        if len(starts) <= 1:
            return part(0) if rows else np.zeros(15)
        with ThreadPoolExecutor(min(len(starts), os.cpu_count() or 1)) as pool:
            return np.sum(list(pool.map(part, starts)), axis=0)  # in order: threads change no bit

    def value(self, theta: np.ndarray) -> float:
        """The value alone, in one thread: draws are spread over threads by the caller."""
        r, alpha, s, beta = (float(v) for v in theta)
        x, ages, number = self._x, self._ages, self._age_weight
        per_x = gammaln(r + x) - gammaln(r) + r * math.log(alpha)
        per_age = s * number * (math.log(beta) - np.log(beta + ages))
        per_age -= (r * number + self._age_x) * np.log(alpha + ages)
        silent = _row_values(*self._data, r, alpha, s, beta, _SIZES, _REACH, _NODES, _WEIGHTS)
        return float(np.dot(per_x, self._x_weight)) + float(per_age.sum()) + silent
