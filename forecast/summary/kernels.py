"""Compiled loops that group orders by customer: ids packed into words, rows shared out, histories counted.

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
_EIGHT = np.uint64(8)
_FEW = 24


@njit(cache=True, nogil=True)
def pack_ids(offsets: np.ndarray, data: np.ndarray, skip: int, words: np.ndarray) -> bool:
    """Ids as numbers that compare as the texts do; False where one holds a zero byte.

    Parameters
    ----------
    offsets : ndarray of int, shape (n + 1,)
        Where each id begins in ``data``, the last end behind them.
    data : ndarray of uint8
    skip : int
        Length of the beginning that all ids share.
    words : ndarray of uint64, shape (n, width)
        Filled: eight bytes a word, the first byte highest.

    Examples
    --------
    >>> words = np.empty((2, 1), np.uint64)
    >>> pack_ids(np.array([0, 2, 5]), np.frombuffer(b"C7C10", np.uint8), 1, words)
    True
    >>> [int(word) >> 48 for word in words[:, 0]]  # "7", "10"
    [14080, 12592]
    """
    width = words.shape[1]
    for i in range(words.shape[0]):
        at, end = offsets[i] + skip, offsets[i + 1]
        for w in range(width):
            word = np.uint64(0)
            for _ in range(8):
                word <<= _EIGHT
                if at < end:
                    if data[at] == 0:
                        return False
                    word |= np.uint64(data[at])
                    at += 1
            words[i, w] = word
    return True


@njit(cache=True, nogil=True)
def pack_numbers(numbers: np.ndarray, words: np.ndarray) -> None:
    """The same of whole numbers, as their texts would be packed.

    Examples
    --------
    >>> words = np.empty((2, 1), np.uint64)
    >>> pack_numbers(np.array([7, 10]), words)
    >>> [int(word) >> 48 for word in words[:, 0]]  # "7", "10"
    [14080, 12592]
    """
    digits = np.empty(20, np.uint64)
    for i in range(len(numbers)):
        number = numbers[i]
        # The smallest of all numbers has no opposite, but as bits it is right.
        rest = np.uint64(-number) if number < 0 else np.uint64(number)
        size = 0
        while True:
            digits[size] = np.uint64(48) + rest % np.uint64(10)
            rest //= np.uint64(10)
            size += 1
            if rest == 0:
                break
        if number < 0:
            digits[size] = np.uint64(45)
            size += 1
        for w in range(words.shape[1]):
            word = np.uint64(0)
            for place in range(8):
                word <<= _EIGHT
                at = size - 1 - 8 * w - place
                if at >= 0:
                    word |= digits[at]
            words[i, w] = word


@njit(cache=True, nogil=True)
def unpack_ids(words: np.ndarray, prefix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The texts again, as offsets and bytes.

    Examples
    --------
    >>> offsets, data = unpack_ids(np.array([[14080 << 48]], np.uint64), np.frombuffer(b"C", np.uint8))
    >>> offsets.tolist(), data.tobytes()
    ([0, 2], b'C7')
    """
    n, width = words.shape
    offsets = np.zeros(n + 1, np.int64)
    data = np.empty(n * (len(prefix) + 8 * width), np.uint8)
    at = 0
    for i in range(n):
        for byte in prefix:
            data[at] = byte
            at += 1
        for w in range(width):
            for place in range(8):
                byte = np.uint8((words[i, w] >> np.uint64(56 - 8 * place)) & np.uint64(255))
                if byte != 0:
                    data[at] = byte
                    at += 1
        offsets[i + 1] = at
    return offsets, data[:at]


@njit(cache=True, nogil=True)
def _part_of(words: np.ndarray, i: int, splitters: np.ndarray, near: np.ndarray) -> int:
    """How many splitters are not above the id; ``near`` tells by its first two bytes where to look."""
    top = np.int64(words[i, 0] >> np.uint64(48))
    low, high = near[top], near[top + 1]
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
    return low


@njit(cache=True, nogil=True)
def share_out(
    words: np.ndarray, day: np.ndarray, value: np.ndarray, splitters: np.ndarray, near: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rows put together by the range their id falls into, and where each range begins.

    Parameters
    ----------
    words : ndarray of uint64, shape (n, width)
    day : ndarray of int32, shape (n,)
    value : ndarray of float64, shape (n,)
        Or empty in a log without money; comes back in whole millionths, halves away from zero.
    splitters : ndarray of uint64, shape (ranges - 1, width)
        Sorted; an id that equals one belongs to the range above.
    near : ndarray of int64, shape (65537,)
        How many splitters begin with fewer than each two bytes.

    Returns
    -------
    words, day, value : ndarray
    begins : ndarray of int64, shape (ranges + 1,)
    """
    n, width = words.shape
    ranges = splitters.shape[0] + 1
    part = np.empty(n, np.int32)
    begins = np.zeros(ranges + 1, np.int64)
    for i in range(n):
        part[i] = _part_of(words, i, splitters, near)
        begins[part[i] + 1] += 1
    for k in range(ranges):
        begins[k + 1] += begins[k]
    place = begins[:-1].copy()
    own_words = np.empty_like(words)
    own_day = np.empty_like(day)
    own_value = np.empty(len(value), np.int64)
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
            own_value[to] = np.int64(whole)
    return own_words, own_day, own_value, begins


@njit(cache=True, nogil=True)
def number_ids(words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A number for each different id, in the order of their first rows.

    Returns
    -------
    codes : ndarray of int32, shape (n,)
    distinct : ndarray of uint64, shape (m, width)

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
    distinct = np.empty((n, width), np.uint64)
    size = 0
    for i in range(n):
        mixed = np.uint64(0)
        for w in range(width):
            mixed = (mixed ^ words[i, w]) * _MIX
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
    codes: np.ndarray, rank: np.ndarray, day: np.ndarray, value: np.ndarray
) -> tuple[np.ndarray, np.ndarray, bool]:
    """What each customer did, from rows in any order.

    Parameters
    ----------
    codes : ndarray of int32, shape (n,)
    rank : ndarray of int64, shape (m,)
        Place of each code in the result.
    day : ndarray of int32, shape (n,)
    value : ndarray of int64, shape (n,)
        Millionths; empty in a log without money.

    Returns
    -------
    days : ndarray of int32, shape (m, 5)
        First and last day, purchases (days with orders), orders, purchases of value above 0.
    money : ndarray of int64, shape (m, 3)
        Of the first purchase, of all, of those above 0; zeros in a log without money.
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
                    worth += own_value[i]
                    size += abs(np.float64(own_value[i]))
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
