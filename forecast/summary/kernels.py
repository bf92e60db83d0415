"""Compiled loops that group orders by customer: rows shared out, ids numbered, histories counted.

Money is whole millionths, so that sums are exact whatever the order of rows; a conformance test ties the
result to the SQL text of :mod:`forecast.summary.histories`, digit by digit.
"""

from __future__ import annotations

import numpy as np

from forecast.maths.compiling import njit

MILLIONTHS = 1_000_000.0
# Up to here a sum of millionths is exact as a float, too.
EXACT = 9_007_199_254_740_992.0
_MIX = np.uint64(0x9E3779B97F4A7C15)
_FEW = 24


@njit(cache=True, nogil=True)
def _part_of(words: np.ndarray, i: int, splitters: np.ndarray, near: np.ndarray) -> int:
    """How many splitters are not above the id; ``near`` tells by its first two bytes where to look."""
    top = np.int64(np.uint64(words[i, 0]) >> np.uint64(8 * words.itemsize - 16))
    low, high = np.int64(near[top]), np.int64(near[top + 1])
    while low < high:
        middle = (low + high) // 2
        above = False
        for w in range(words.shape[1]):
            if splitters[middle, w] != words[i, w]:
                above = splitters[middle, w] > words[i, w]
                break
        if above:
            high = middle
        else:
            low = middle + 1
    return int(low)


@njit(cache=True, nogil=True)
def find_parts(words: np.ndarray, splitters: np.ndarray, near: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The range each id falls into, and where each range begins once rows are put together by it.

    Parameters
    ----------
    words : ndarray of uint32 or uint64, shape (n, width)
    splitters : ndarray of the same kind, shape (ranges - 1, width)
        Sorted; an id that equals one belongs to the range above.
    near : ndarray of int16, shape (65537,)
        How many splitters begin with fewer than each two bytes.

    Returns
    -------
    part : ndarray of int16, shape (n,)
    begins : ndarray of int64, shape (ranges + 1,)
    """
    n, ranges = words.shape[0], splitters.shape[0] + 1
    part = np.empty(n, np.int16)
    begins = np.zeros(ranges + 1, np.int64)
    for i in range(n):
        part[i] = _part_of(words, i, splitters, near)
        begins[part[i] + 1] += 1
    for k in range(ranges):
        begins[k + 1] += begins[k]
    return part, begins


@njit(cache=True, nogil=True)
def share_out(
    part: np.ndarray,
    begins: np.ndarray,
    words: np.ndarray,
    day: np.ndarray,
    value: np.ndarray,
    own_words: np.ndarray,
    own_day: np.ndarray,
    own_value: np.ndarray,
    unit: float,
) -> bool:
    """Put rows together by their range, in numbers as narrow as they allow.

    Parameters
    ----------
    part, begins : ndarray
        Of :func:`find_parts`.
    words, day : ndarray, shape (n, width) and (n,)
    value : ndarray of float64, shape (n,)
        Or empty in a log without money.
    own_words, own_day, own_value : ndarray
        Filled; money in units.
    unit : float
        So many millionths, to which values are rounded, halves away from zero.

    Returns
    -------
    bool
        False where a value is no whole number of units, or too large for the numbers it goes into.
    """
    n, width = words.shape
    place = begins[:-1].copy()
    largest = 2.0 ** (8 * own_value.itemsize - 1)
    for i in range(n):
        to = place[part[i]]
        place[part[i]] += 1
        for w in range(width):
            own_words[to, w] = words[i, w]
        own_day[to] = day[i]
        if len(value):
            scaled = value[i] * MILLIONTHS
            whole = np.trunc(scaled)
            if abs(scaled - whole) >= 0.5:
                whole += np.sign(scaled)
            units = np.rint(whole / unit)
            if units * unit != whole or abs(units) >= largest:
                return False
            own_value[to] = np.int64(units)
    return True


@njit(cache=True, nogil=True)
def number_ids(words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A number for each different id, in the order of their first rows.

    Returns
    -------
    codes : ndarray of int32, shape (n,)
    distinct : ndarray of the words' kind, shape (m, width)

    Examples
    --------
    >>> codes, distinct = number_ids(np.array([[7], [3], [7]], np.uint64))
    >>> codes.tolist(), distinct.tolist()
    ([0, 1, 0], [[7], [3]])
    """
    n, width = words.shape
    bits = 4
    while (1 << bits) < 2 * n:
        bits += 1
    shift = np.uint64(64 - bits)
    last = (1 << bits) - 1
    slots = np.full(1 << bits, -1, np.int32)
    codes = np.empty(n, np.int32)
    distinct = np.empty((n, width), words.dtype)
    size = 0
    for i in range(n):
        mixed = np.uint64(0)
        for w in range(width):
            mixed = (mixed ^ np.uint64(words[i, w])) * _MIX
            mixed ^= mixed >> np.uint64(29)
        at = np.int64((mixed * _MIX) >> shift)
        while True:
            code = slots[at]
            if code < 0:
                slots[at] = size
                codes[i] = size
                for w in range(width):
                    distinct[size, w] = words[i, w]
                size += 1
                break
            same = True
            for w in range(width):
                if distinct[code, w] != words[i, w]:
                    same = False
                    break
            if same:
                codes[i] = code
                break
            at = (at + 1) & last
    return codes, distinct[:size].copy()


@njit(cache=True, nogil=True)
def count_histories(
    codes: np.ndarray, rank: np.ndarray, day: np.ndarray, value: np.ndarray, unit: int
) -> tuple[np.ndarray, np.ndarray, bool]:
    """What each customer did, from rows in any order.

    Parameters
    ----------
    codes : ndarray of int32, shape (n,)
    rank : ndarray of int64, shape (m,)
        Place of each code in the result.
    day : ndarray of int, shape (n,)
    value : ndarray of int, shape (n,)
        Money; empty in a log without it.
    unit : int
        Millionths that money is counted in.

    Returns
    -------
    days : ndarray of int32, shape (m, 5)
        First and last day, purchases (days with orders), orders, purchases of value above 0.
    money : ndarray of int64, shape (m, 3)
        Millionths of the first purchase, of all, of those above 0; zeros in a log without money.
    exact : bool
        False where a customer's millionths are too many for a float.
    """
    m = len(rank)
    begins = np.zeros(m + 1, np.int64)
    for code in codes:
        begins[rank[code] + 1] += 1
    for k in range(m):
        begins[k + 1] += begins[k]
    place = begins[:-1].copy()
    own_day = np.empty_like(day)
    own_value = np.empty_like(value)
    for i in range(len(codes)):
        r = rank[codes[i]]
        own_day[place[r]] = day[i]
        if len(value):
            own_value[place[r]] = value[i]
        place[r] += 1
    days = np.zeros((m, 5), np.int32)
    money = np.zeros((m, 3), np.int64)
    exact = True
    for r in range(m):
        begin, end = begins[r], begins[r + 1]
        _sort_days(own_day[begin:end], own_value[begin:end])
        days[r, 0], days[r, 1], days[r, 3] = own_day[begin], own_day[end - 1], end - begin
        size = 0.0
        i = begin
        while i < end:
            today, worth = own_day[i], np.int64(0)
            while i < end and own_day[i] == today:
                if len(value):
                    worth += np.int64(own_value[i]) * unit
                    size += abs(np.float64(own_value[i])) * unit
                i += 1
            days[r, 2] += 1
            money[r, 1] += worth
            if today == own_day[begin]:
                money[r, 0] = worth
            if worth > 0:
                days[r, 4] += 1
                money[r, 2] += worth
        exact = exact and size < EXACT
    return days, money, exact


@njit(cache=True, nogil=True)
def _sort_days(day: np.ndarray, value: np.ndarray) -> None:
    """By day, in place; nearly all customers have few orders, and logs come in the order of days."""
    n = len(day)
    ordered = True
    for i in range(1, n):
        if day[i] < day[i - 1]:
            ordered = False
            break
    if ordered:
        return
    if n > _FEW:
        order = np.argsort(day, kind="mergesort")
        day[:] = day[order]
        if len(value):
            value[:] = value[order]
        return
    for i in range(1, n):
        d, j = day[i], i
        v = value[i] if len(value) else 0
        while j > 0 and day[j - 1] > d:
            day[j] = day[j - 1]
            if len(value):
                value[j] = value[j - 1]
            j -= 1
        day[j] = d
        if len(value):
            value[j] = v
