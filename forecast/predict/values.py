"""Predictive quantiles of the value of a customer's future purchases.

Given the parameters, the value of ``k`` purchases over ``gamma + n m`` is beta-prime
``(p k, q + p n)``. Its distribution is mixed over the exact distribution of ``k``, then over draws of the
parameters, on nodes 1/32 apart in the logarithm of value, and inverted for each customer.
"""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise

import numpy as np
from scipy import special

from forecast.maths.compiling import njit
from forecast.predict.tables import distinct_pairs, grouped

_STEP = 1.0 / 32.0  # nodes lie on one lattice, so that blocks cannot shift them
_EDGE = 1e-6
_NOTHING = math.log(1e-18)
_MANY = 16_384


@njit(cache=True, nogil=True)
def _share_below(
    log_y: float,
    weight: np.ndarray,
    alive: np.ndarray,
    none: np.ndarray,
    shift: np.ndarray,
    cdfs: np.ndarray,
    first: float,
    last: np.ndarray,
) -> float:
    """P(value <= y), the mean over draws."""
    total = 0.0
    for d in range(alive.size):
        at = (log_y - shift[d]) / _STEP - first
        if at <= 0.0:
            inside = none[d]
        elif at >= last[d]:
            inside = 1.0
        else:
            k = int(at)
            inside = cdfs[d, k] + (at - k) * (cdfs[d, k + 1] - cdfs[d, k])
        total += weight[d] * (1.0 - alive[d] + alive[d] * inside)
    return total


@njit(cache=True, nogil=True)
def _solve(
    share: float,
    weight: np.ndarray,
    alive: np.ndarray,
    none: np.ndarray,
    shift: np.ndarray,
    cdfs: np.ndarray,
    first: float,
    last: np.ndarray,
) -> float:
    """The quantile: bisection down to the lattice, then the Illinois rule."""
    atom = 0.0
    for d in range(alive.size):
        atom += weight[d] * (1.0 - alive[d] + alive[d] * none[d])
    if share <= atom:
        return 0.0
    low = shift.min() + first * _STEP
    high = low
    for d in range(alive.size):
        high = max(high, shift[d] + (first + last[d]) * _STEP)
    f_low = _share_below(low, weight, alive, none, shift, cdfs, first, last) - share
    f_high = _share_below(high, weight, alive, none, shift, cdfs, first, last) - share
    if f_low >= 0.0:
        return math.exp(low)
    if f_high <= 0.0:
        return math.exp(high)
    side = 0
    for step in range(100):
        width = high - low
        if width < 1e-9:
            break
        if width > 2.0 * _STEP or step > 40:
            middle = 0.5 * (low + high)
        else:
            middle = (low * f_high - high * f_low) / (f_high - f_low)
        f = _share_below(middle, weight, alive, none, shift, cdfs, first, last) - share
        if abs(f) < 1e-11:
            return math.exp(middle)
        if f > 0.0:
            high, f_high = middle, f
            if side == 1:
                f_low *= 0.5
            side = 1
        else:
            low, f_low = middle, f
            if side == -1:
                f_high *= 0.5
            side = -1
    return math.exp(0.5 * (low + high))


@njit(cache=True, nogil=True)
def _solve_plain(
    share: float, alive: float, none: float, shift: float, cdf: np.ndarray, first: float, last: int
) -> float:
    """The quantile where there is one draw: a search among the nodes, and a line between two of them."""
    wanted = share - (1.0 - alive)
    if wanted <= alive * none:
        return 0.0
    wanted /= alive
    low, high = 0, last
    if wanted <= cdf[0]:
        return math.exp(shift + first * _STEP)
    if wanted > cdf[last]:
        return math.exp(shift + (first + last) * _STEP)
    while high - low > 1:
        middle = (low + high) // 2
        if cdf[middle] < wanted:
            low = middle
        else:
            high = middle
    between = (wanted - cdf[low]) / (cdf[high] - cdf[low])
    return math.exp(shift + (first + low + between) * _STEP)


@njit(cache=True, nogil=True)
def _mix_and_solve(
    begin: int,
    end: int,
    pairs: np.ndarray,
    offsets: np.ndarray,
    tails: np.ndarray,
    pieces: np.ndarray,
    first: float,
    starts: np.ndarray,
    members: np.ndarray,
    weight: np.ndarray,
    alive: np.ndarray,
    log_level: np.ndarray,
    shares: np.ndarray,
    out: np.ndarray,
) -> None:
    """For each combination mix the pieces by the purchase pmf, then invert for its customers."""
    draws, nodes = alive.shape[0], pieces.shape[2]
    cdfs, none = np.empty((draws, nodes)), np.empty(draws)
    own, shift = np.empty(draws), np.empty(draws)
    last = np.empty(draws, np.int64)
    for c in range(begin, end):
        low, high = offsets[pairs[c]], offsets[pairs[c] + 1]
        for d in range(draws):
            none[d] = 1.0 - tails[d, low + 1]
            cdfs[d] = none[d]
            for n in range(1, high - low):
                mass = tails[d, low + n] - (tails[d, low + n + 1] if low + n + 1 < high else 0.0)
                if mass > 0.0:
                    piece = pieces[d % pieces.shape[0], n - 1]
                    for k in range(nodes):
                        cdfs[d, k] += mass * piece[k]
            # Where a table ends must not depend on who else is in the block.
            last[d] = min(np.searchsorted(cdfs[d], 1.0 - 2.0 * _EDGE), nodes - 1)
        for m in range(starts[c], starts[c + 1]):
            i = members[m]
            for d in range(draws):
                own[d] = alive[d, i]
                shift[d] = log_level[d % log_level.shape[0], i]
            for j in range(shares.size):
                if draws == 1:
                    out[j, i] = _solve_plain(shares[j], own[0], none[0], shift[0], cdfs[0], first, last[0])
                else:
                    out[j, i] = _solve(shares[j], weight, own, none, shift, cdfs, first, last)


def value_quantiles(
    index: np.ndarray,
    alive: np.ndarray,
    weight: np.ndarray,
    offsets: np.ndarray,
    tails: np.ndarray,
    spend: list[tuple[float, float]],
    n: np.ndarray,
    level: np.ndarray,
    shares: np.ndarray,
) -> np.ndarray:
    """Quantiles of the undiscounted value of future purchases.

    Parameters
    ----------
    index : ndarray of int, shape (customers,)
        Pair of each customer.
    alive : ndarray, shape (draws, customers)
        Chance to be a customer still.
    weight : ndarray, shape (draws,)
        Of each draw, summing to 1.
    offsets, tails : ndarray, shapes (pairs + 1,) and (draws, ...)
        Tails of paid purchases given alive, by pair, one row a draw.
    spend : list of tuple
        Draws of ``(p, q)``; purchase draw ``d`` goes with spend draw ``d`` modulo their number.
    n : ndarray, shape (customers,)
        Number of valued purchases so far.
    level : ndarray, shape (spend draws, customers)
        ``gamma`` plus their sum.
    shares : ndarray, shape (k,)

    Returns
    -------
    ndarray, shape (k, customers)
        Shares are met to 0.0005 in the tests.
    """
    combo_n, combo_pair, combo = distinct_pairs(n, index.astype(float))
    pairs = combo_pair.astype(np.int64)
    members, starts = grouped(combo, len(combo_n))
    log_level = np.log(level)
    sizes = np.diff(offsets)
    out = np.empty((len(shares), len(n)))
    threads = os.cpu_count() or 1
    # Combinations with the same n share pieces; those with many customers are taken a few at a time.
    group = np.concatenate([[0], np.cumsum(combo_n[1:] != combo_n[:-1])])
    heads = np.flatnonzero(np.diff(group, prepend=-1))
    most = np.maximum.reduceat(sizes[pairs], heads) - 1
    spans = np.flatnonzero(np.diff(group, prepend=-1, append=-1) | np.diff(starts // _MANY, prepend=-1))

    @lru_cache(maxsize=threads)
    def pieces(number: int) -> tuple[float, np.ndarray]:
        return _pieces(spend, float(combo_n[heads[number]]), int(most[number]))

    def solve(span: tuple[int, int]) -> None:
        first, cdfs = pieces(int(group[span[0]]))
        _mix_and_solve(
            *span, pairs, offsets, tails, cdfs, first, starts, members, weight, alive, log_level, shares, out
        )

    with ThreadPoolExecutor(threads) as pool:  # each writes to other customers
        list(pool.map(solve, pairwise(spans.tolist())))
    return out


def _pieces(spend: list[tuple[float, float]], n: float, most: int) -> tuple[float, np.ndarray]:
    """Beta-prime cdfs of 1, 2, ... ``most`` purchases on the lattice, for each spend draw."""
    lows, highs = [], []
    for p, q in spend:
        low = special.betaincinv(p, q + p * n, _EDGE)
        high = min(special.betaincinv(p * most, q + p * n, 1.0 - _EDGE), 1.0 - 1e-12)
        lows.append(math.log(low / (1.0 - low)))
        highs.append(math.log(high / (1.0 - high)))
    first = math.floor(min(lows) / _STEP)
    nodes = np.arange(first, math.ceil(max(highs) / _STEP) + 1) * _STEP
    return float(first), np.stack([_cdfs(p, q + p * n, most, nodes) for p, q in spend])


def _cdfs(p: float, b: float, most: int, nodes: np.ndarray) -> np.ndarray:
    """``I(p k, b)`` at the log odds ``nodes``, for k = 1, 2, ... ``most``; 0 and 1 beyond what doubles hold.

    The density of the log odds is log-concave: the mass beyond a point is at most the density over the
    slope of its logarithm.
    """
    at, a = special.expit(nodes), p * np.arange(1.0, most + 1.0)[:, None]
    slope = a - (a + b) * at
    log_density = a * np.log(at) + b * special.log_expit(-nodes) - special.betaln(a, b)
    beyond = log_density - np.log(np.maximum(np.abs(slope), 1e-300))
    found = np.where(slope < 0.0, 1.0, 0.0)
    special.betainc(a, b, at, out=found, where=beyond > _NOTHING)
    return found
