"""What customers share: one table a distinct (x, T), gathered by all who have it.

Given that a customer is still one, the BG family depends only on ``(x, T)``. Expectation and tail of
future purchases are computed once per distinct pair; the spend pieces once per number of valued
purchases. Only ``p_alive`` and the customer's own spend level are individual.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numba import njit
from scipy import special

from forecast.fitting import Fitted
from forecast.maths import bgprocess
from forecast.periods import discount_steps

_STEP = 1.0 / 32.0  # nodes lie on one lattice in log value, so that blocks cannot shift them
_EDGE = 1e-6
_NEGLIGIBLE = 1e-10


def distinct_pairs(major: np.ndarray, minor: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct pairs of non-negative numbers and, for each row, which one it has.

    Returns
    -------
    major, minor : ndarray, shape (m,)
    index : ndarray of int, shape (n,)

    Examples
    --------
    >>> a, b, index = distinct_pairs(np.array([1, 0, 1]), np.array([5, 7, 5]))
    >>> a.tolist(), b.tolist(), index.tolist()
    ([0.0, 1.0], [7.0, 5.0], [1, 0, 1])
    """
    whole = np.array_equal(major, np.floor(major)) and np.array_equal(minor, np.floor(minor))
    if whole and major.max() < 1e9 and minor.max() < 1e6:
        width = int(minor.max()) + 1
        key = major.astype(np.int64) * width + minor.astype(np.int64)
        top = int(key.max()) + 1
        if top <= max(4 * len(key), 1 << 20):
            present = np.zeros(top, bool)
            present[key] = True
            values = np.flatnonzero(present)
            place = np.empty(top, np.int64)
            place[values] = np.arange(len(values))
            index = place[key]
        else:
            values, index = np.unique(key, return_inverse=True)
        return (values // width).astype(float), (values % width).astype(float), index
    first, i = np.unique(major, return_inverse=True)
    second, j = np.unique(minor, return_inverse=True)
    values, index = np.unique(i.astype(np.int64) * len(second) + j, return_inverse=True)
    return first[values // len(second)], second[values % len(second)], index


@dataclass(frozen=True)
class PurchaseTables:
    """Future purchases of live customers, one row a distinct ``(x, T)``.

    Attributes
    ----------
    index : ndarray of int, shape (customers,)
        The row of each customer.
    expected, discount : ndarray, shape (pairs,)
        Expected purchases, and the mean discount factor on them.
    offsets, tails : ndarray
        ``P(N >= n)``, see :func:`forecast.maths.bgprocess.tail_table`.
    """

    index: np.ndarray
    expected: np.ndarray
    discount: np.ndarray
    offsets: np.ndarray
    tails: np.ndarray


def purchase_tables(
    fitted: Fitted, draw: tuple[float, ...], x: np.ndarray, T: np.ndarray, days: float, rate: float
) -> PurchaseTables:
    """Tables of one draw for all customers of a block."""
    pair_x, pair_T, index = distinct_pairs(x, T)
    r, alpha, a, b = fitted.spec.formulas.if_alive(*draw, x=pair_x, T=pair_T)
    expected = bgprocess.expectation(r, alpha, a, b, days)
    discount = np.ones_like(expected)
    if rate > 0.0:
        ends, factors = discount_steps(int(days), rate)
        until = np.stack([bgprocess.expectation(r, alpha, a, b, float(end)) for end in ends])
        discount = factors @ np.diff(until, axis=0, prepend=0.0) / until[-1]
    return PurchaseTables(index, expected, discount, *bgprocess.tail_table(r, alpha, a, b, days))


def thin(offsets: np.ndarray, tails: np.ndarray, paid_share: float) -> np.ndarray:
    """Tails of the number of *paid* purchases when each is paid with chance ``paid_share``."""
    return tails if paid_share >= 1.0 else _thin(offsets, tails, paid_share)


@njit(cache=True, nogil=True)
def _thin(offsets: np.ndarray, tails: np.ndarray, paid_share: float) -> np.ndarray:
    out = np.empty_like(tails)
    log_paid, log_free = math.log(paid_share), math.log1p(-paid_share)
    for i in range(offsets.size - 1):
        begin, end = offsets[i], offsets[i + 1]
        size = end - begin
        paid = np.zeros(size)
        for n in range(size):
            mass = tails[begin + n] - (tails[begin + n + 1] if n + 1 < size else 0.0)
            if mass <= 0.0:
                continue
            log_term = n * log_free
            for k in range(n + 1):
                paid[k] += mass * math.exp(log_term)
                if k < n:
                    log_term += math.log((n - k) / (k + 1.0)) + log_paid - log_free
        for k in range(size - 2, -1, -1):
            paid[k] += paid[k + 1]
        out[begin:end] = paid
        out[begin] = 1.0
    return out


@njit(cache=True, nogil=True)
def purchase_quantiles(
    index: np.ndarray, p_alive: np.ndarray, offsets: np.ndarray, tails: np.ndarray, shares: np.ndarray
) -> np.ndarray:
    """Smallest count ``n`` with ``P(N <= n) >= share``, for each customer and share."""
    out = np.empty((shares.size, index.size), np.int32)
    for i in range(index.size):
        begin, end = offsets[index[i]], offsets[index[i] + 1]
        for j in range(shares.size):
            left = 1.0 - shares[j] + 1e-12
            n = 0
            while begin + n + 1 < end and p_alive[i] * tails[begin + n + 1] > left:
                n += 1
            out[j, i] = n
    return out


@njit(cache=True, nogil=True)
def count_scores(
    index: np.ndarray, p_alive: np.ndarray, offsets: np.ndarray, tails: np.ndarray, actual: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Exact CRPS of each customer's predictive count, and its cdf just below and at the outcome.

    ``CRPS = sum_{n < y} F(n)^2 + sum_{n >= y} (1 - F(n))^2`` over the whole support.
    """
    crps = np.zeros(index.size)
    below = np.zeros(index.size)
    at = np.zeros(index.size)
    for i in range(index.size):
        begin, end = offsets[index[i]], offsets[index[i] + 1]
        y = actual[i]
        total = 0.0
        for n in range(max(end - begin - 1, y)):
            more = p_alive[i] * tails[begin + n + 1] if begin + n + 1 < end else 0.0
            total += (1.0 - more) ** 2 if n < y else more**2
        crps[i] = total
        if y > 0:
            below[i] = 1.0 - (p_alive[i] * tails[begin + y] if begin + y < end else 0.0)
        at[i] = 1.0 - (p_alive[i] * tails[begin + y + 1] if begin + y + 1 < end else 0.0)
    return crps, below, at


@njit(cache=True, nogil=True)
def _mix_and_invert(
    combos: np.ndarray,
    combo_pair: np.ndarray,
    sizes: np.ndarray,
    offsets: np.ndarray,
    tails: np.ndarray,
    pieces: np.ndarray,
    log_nodes: np.ndarray,
    starts: np.ndarray,
    members: np.ndarray,
    p_alive: np.ndarray,
    shares: np.ndarray,
    out: np.ndarray,
) -> None:
    """For each combination mix the beta pieces by the purchase pmf, then invert for its customers."""
    nodes = log_nodes.size
    cdf = np.empty(nodes)
    for c in combos:
        begin, end = offsets[combo_pair[c]], offsets[combo_pair[c] + 1]
        none = 1.0 - tails[begin + 1]
        cdf[:] = none
        for n in range(1, sizes[combo_pair[c]]):
            mass = tails[begin + n] - (tails[begin + n + 1] if begin + n + 1 < end else 0.0)
            for k in range(nodes):
                cdf[k] += mass * pieces[n - 1, k]
        for m in range(starts[c], starts[c + 1]):
            i = members[m]
            for j in range(shares.size):
                level = (shares[j] - (1.0 - p_alive[i])) / p_alive[i] if p_alive[i] > 0.0 else -1.0
                if level <= none:
                    out[j, i] = 0.0
                    continue
                k = int(np.searchsorted(cdf, level))
                if k == 0:
                    out[j, i] = math.exp(log_nodes[0])
                elif k >= nodes:
                    out[j, i] = math.exp(log_nodes[nodes - 1])
                else:
                    part = (level - cdf[k - 1]) / (cdf[k] - cdf[k - 1])
                    out[j, i] = math.exp(log_nodes[k - 1] + part * (log_nodes[k] - log_nodes[k - 1]))


@njit(cache=True, nogil=True)
def _sizes(offsets: np.ndarray, tails: np.ndarray) -> np.ndarray:
    """How many counts of each table matter to a distribution of value."""
    out = np.empty(offsets.size - 1, np.int64)
    for i in range(out.size):
        size = 2
        while offsets[i] + size < offsets[i + 1] and tails[offsets[i] + size] > _NEGLIGIBLE:
            size += 1
        out[i] = size
    return out


def value_quantiles(
    tables: PurchaseTables,
    tails: np.ndarray,
    p_alive: np.ndarray,
    spend: tuple[float, float],
    n: np.ndarray,
    level: np.ndarray,
    shares: np.ndarray,
) -> np.ndarray:
    """Quantiles of the value of future purchases, for each share and customer.

    The value of ``k`` purchases over ``gamma + n m`` is beta-prime ``(p k, q + p n)``; its
    distribution is mixed over the exact purchase distribution on nodes 1/32 apart in the logarithm,
    and interpolated: shares are met to 0.0005 in the tests.

    Parameters
    ----------
    tables : PurchaseTables
    tails : ndarray
        Tails of paid purchases, laid out as in ``tables``.
    p_alive, n, level : ndarray, shape (customers,)
        Chance to be a customer, valued purchases so far, and ``gamma + n m``.
    spend : tuple
        ``(p, q)``.
    shares : ndarray, shape (k,)

    Returns
    -------
    ndarray, shape (k, customers)
    """
    p, q = spend
    combo_n, combo_pair, index = distinct_pairs(n, tables.index.astype(float))
    pairs = combo_pair.astype(np.int64)
    members = np.argsort(index, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(index, minlength=len(combo_n)))])
    sizes = _sizes(tables.offsets, tails)
    out = np.empty((len(shares), len(n)))
    bounds = np.flatnonzero(np.concatenate([[True], combo_n[1:] != combo_n[:-1], [True]]))
    for begin, end in pairwise(bounds.tolist()):
        shape = q + p * combo_n[begin]
        most = int(sizes[pairs[begin:end]].max()) - 1
        low = special.betaincinv(p, shape, _EDGE)
        high = min(special.betaincinv(p * most, shape, 1.0 - _EDGE), 1.0 - 1e-12)
        first, last = (math.log(v / (1.0 - v)) / _STEP for v in (low, high))
        log_nodes = np.arange(math.floor(first), math.ceil(last) + 1) * _STEP
        counts = np.arange(1.0, most + 1.0)[:, None]
        pieces = special.betainc(p * counts, shape, special.expit(log_nodes)[None, :])
        _mix_and_invert(
            np.arange(begin, end),
            pairs,
            sizes,
            tables.offsets,
            tails,
            pieces,
            log_nodes,
            starts,
            members,
            p_alive,
            shares,
            out,
        )
    return out * level
