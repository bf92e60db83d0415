"""What customers share: one table a distinct (x, T) and draw, gathered by all who have it.

Given that a customer is still one, the BG family depends only on ``(x, T)``. Expectation and tail of
future purchases are computed once per distinct pair; only ``p_alive`` and the customer's own spend level
are individual.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from forecast.fitting import Fitted
from forecast.maths.compiling import njit
from forecast.periods import discount_steps

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


@njit(cache=True, nogil=True)
def grouped(index: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows group by group, in a group as they come, and where each of ``size`` groups begins.

    Examples
    --------
    >>> rows, starts = grouped(np.array([1, 0, 1]), 2)
    >>> rows.tolist(), starts.tolist()
    ([1, 0, 2], [0, 1, 3])
    """
    starts = np.zeros(size + 1, np.int64)
    for i in range(index.size):
        starts[index[i] + 1] += 1
    for group in range(size):
        starts[group + 1] += starts[group]
    place = starts.copy()
    rows = np.empty(index.size, np.int64)
    for i in range(index.size):
        rows[place[index[i]]] = i
        place[index[i]] += 1
    return rows, starts


def gathered(draw: tuple[Any, ...], cell: np.ndarray | None) -> tuple[Any, ...]:
    """Parameters row by row: those of each row's cell, or the same for all."""
    return draw if cell is None else tuple(v if np.ndim(v) == 0 else v[cell] for v in draw)


@dataclass(frozen=True)
class Pairs:
    """Distinct histories as far as a live customer's process knows them, and which one each customer has.

    Most models forget when a live customer bought last: ``t_x`` is then zero for all.
    """

    x: np.ndarray
    t_x: np.ndarray
    T: np.ndarray
    index: np.ndarray
    cell: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        fitted: Fitted,
        x: np.ndarray,
        t_x: np.ndarray,
        T: np.ndarray,
        cell: np.ndarray | None = None,
    ) -> Pairs:
        first, second, index = distinct_pairs(x, T)
        columns = [first, np.zeros_like(first), second]
        own = None
        if "t_x" in fitted.spec.formulas.LIVE_BY:
            last, pair, index = distinct_pairs(t_x, index.astype(float))
            kept = pair.astype(np.int64)
            columns = [first[kept], last, second[kept]]
        if cell is not None:
            places, pair, index = distinct_pairs(cell.astype(float), index.astype(float))
            kept = pair.astype(np.int64)
            columns, own = [column[kept] for column in columns], places.astype(np.int64)
        return cls(columns[0], columns[1], columns[2], index, own)

    def live(self, fitted: Fitted, draw: tuple[Any, ...]) -> tuple[Any, ...]:
        """Parameters of the process of live customers, one row a distinct history."""
        own = gathered(draw, self.cell)
        return fitted.spec.formulas.if_alive(*own, x=self.x, t_x=self.t_x, T=self.T)


def expected_and_discount(
    fitted: Fitted,
    draw: tuple[Any, ...],
    pairs: Pairs,
    ahead: Callable[[float], float],
    days: float,
    rate: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Expected purchases of live customers and the mean discount factor on them, shape (pairs,)."""
    process, live = fitted.spec.formulas.PROCESS, pairs.live(fitted, draw)
    expected = process.expectation(*live, ahead(days))
    if rate == 0.0:
        return expected, np.ones_like(expected)
    ends, factors = discount_steps(int(days), rate)
    # Step by step, pair by pair: a product of matrices would round a customer's sum by who else is there.
    discounted, before = np.zeros_like(expected), np.zeros_like(expected)
    for end, factor in zip(ends, factors, strict=True):
        until = process.expectation(*live, ahead(float(end)))
        discounted += factor * (until - before)
        before = until
    return expected, discounted / before


def tail_table(
    fitted: Fitted, draw: tuple[Any, ...], pairs: Pairs, time: float
) -> tuple[np.ndarray, np.ndarray]:
    """``P(N >= n)`` of live customers in a time ahead as offsets and values, as far as it is above 1e-10."""
    offsets, tails = fitted.spec.formulas.PROCESS.tail_table(*pairs.live(fitted, draw), time)
    return resize(offsets, tails, needed(offsets, tails, _NEGLIGIBLE))


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
def needed(offsets: np.ndarray, tails: np.ndarray, beyond: float) -> np.ndarray:
    """How many counts of each table have a tail above ``beyond``; at least 0 and 1."""
    out = np.empty(offsets.size - 1, np.int64)
    for i in range(out.size):
        size = 2
        while offsets[i] + size < offsets[i + 1] and tails[offsets[i] + size] > beyond:
            size += 1
        out[i] = size
    return out


@njit(cache=True, nogil=True)
def resize(offsets: np.ndarray, tails: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same tables cut or filled with zeros to given sizes."""
    places = np.zeros(offsets.size, np.int64)
    for i in range(sizes.size):
        places[i + 1] = places[i] + sizes[i]
    out = np.zeros(places[-1])
    for i in range(sizes.size):
        for n in range(min(sizes[i], offsets[i + 1] - offsets[i])):
            out[places[i] + n] = tails[offsets[i] + n]
    return places, out


@njit(cache=True, nogil=True)
def add_beyond(
    index: np.ndarray,
    p_alive: np.ndarray,
    offsets: np.ndarray,
    tails: np.ndarray,
    starts: np.ndarray,
    share: float,
    beyond: np.ndarray,
) -> None:
    """Add ``share * p_alive * P(N >= n + 1 | alive)`` to each customer's chances of more than ``n``."""
    for i in range(index.size):
        begin, end = offsets[index[i]] + 1, offsets[index[i] + 1]
        weight = share * p_alive[i]
        for n in range(min(starts[i + 1] - starts[i], end - begin)):
            beyond[starts[i] + n] += weight * tails[begin + n]


@njit(cache=True, nogil=True)
def plain_quantiles(
    index: np.ndarray, p_alive: np.ndarray, offsets: np.ndarray, tails: np.ndarray, shares: np.ndarray
) -> np.ndarray:
    """What :func:`purchase_quantiles` finds where there is one draw: nothing is mixed, nothing is kept."""
    out = np.empty((shares.size, index.size), np.int32)
    for i in range(index.size):
        begin = offsets[index[i]] + 1
        most = offsets[index[i] + 1] - begin
        for j in range(shares.size):
            left = 1.0 - shares[j] + 1e-12
            n = 0
            while n < most and p_alive[i] * tails[begin + n] > left:
                n += 1
            out[j, i] = n
    return out


@njit(cache=True, nogil=True)
def purchase_quantiles(starts: np.ndarray, beyond: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Smallest count ``n`` with ``P(N <= n) >= share``, for each customer and share."""
    out = np.empty((shares.size, starts.size - 1), np.int32)
    for i in range(starts.size - 1):
        for j in range(shares.size):
            left = 1.0 - shares[j] + 1e-12
            n = 0
            while starts[i] + n < starts[i + 1] and beyond[starts[i] + n] > left:
                n += 1
            out[j, i] = n
    return out


@njit(cache=True, nogil=True)
def count_scores(
    starts: np.ndarray, beyond: np.ndarray, actual: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Exact CRPS of each customer's predictive count, and its cdf just below and at the outcome.

    ``CRPS = sum_{n < y} F(n)^2 + sum_{n >= y} (1 - F(n))^2`` over the whole support.
    """
    size = starts.size - 1
    crps = np.zeros(size)
    below = np.zeros(size)
    at = np.zeros(size)
    for i in range(size):
        length = starts[i + 1] - starts[i]
        y = actual[i]
        total = 0.0
        for n in range(max(length, y)):
            more = beyond[starts[i] + n] if n < length else 0.0
            total += (1.0 - more) ** 2 if n < y else more**2
        crps[i] = total
        if y > 0:
            below[i] = 1.0 - (beyond[starts[i] + y - 1] if y - 1 < length else 0.0)
        at[i] = 1.0 - (beyond[starts[i] + y] if y < length else 0.0)
    return crps, below, at
