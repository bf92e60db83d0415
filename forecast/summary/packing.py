"""Compiled loops that make words of ids, numbers that compare as the texts do, and texts again."""

from __future__ import annotations

import numpy as np

from forecast.maths.compiling import njit

_EIGHT = np.uint64(8)
_FOUR = np.uint64(4)
_TEN = np.uint64(10)
_LOW = np.uint64(2**32 - 1)
_MINUS = np.uint64(1)
_ZERO = np.uint64(2)


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
    words : ndarray of uint32 or uint64, shape (n, width)
        Filled: a byte of text a byte, the first one highest.

    Examples
    --------
    >>> words = np.empty((2, 1), np.uint32)
    >>> pack_ids(np.array([0, 2, 5]), np.frombuffer(b"C7C10", np.uint8), 1, words)
    True
    >>> [hex(word) for word in words[:, 0]]  # "7", "10"
    ['0x37000000', '0x31300000']
    """
    n, width = words.shape
    size = words.itemsize
    for i in range(n):
        at, end = offsets[i] + skip, offsets[i + 1]
        for w in range(width):
            word = np.uint64(0)
            for _ in range(size):
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
    """Whole numbers as numbers that compare as their texts do: half a byte a sign, 1 for minus, 2 for zero.

    Examples
    --------
    >>> words = np.empty((3, 1), np.uint32)
    >>> pack_numbers(np.array([7, 10, -1]), words)
    >>> [hex(word) for word in words[:, 0]]
    ['0x90000000', '0x32000000', '0x13000000']
    """
    n, width = words.shape
    size = 2 * words.itemsize
    signs = np.zeros(size * width + 20, np.uint64)
    fours = _four_digits()
    for i in range(n):
        number = numbers[i]
        if 0 <= number < 100_000_000:  # nearly all ids there are
            high = number // 10_000
            word = (fours[high] << np.uint64(16)) | fours[number - 10_000 * high]
            length, bound = 1, 10
            for _ in range(7):
                length += number >= bound
                bound *= 10
            words[i, 0] = ((word << np.uint64(4 * (8 - length))) & _LOW) << np.uint64(4 * (size - 8))
            for w in range(1, width):
                words[i, w] = 0
            continue
        # The smallest of all numbers has no opposite, but as bits it is right.
        rest = np.uint64(-number) if number < 0 else np.uint64(number)
        length = 0
        while rest > 0:
            quotient = rest // _TEN
            signs[length] = _ZERO + rest - quotient * _TEN
            length += 1
            rest = quotient
        if number < 0:
            signs[length] = _MINUS
            length += 1
        for w in range(width):
            word = np.uint64(0)
            end = min(length, size * (w + 1))
            for place in range(size * w, end):
                word = (word << _FOUR) | signs[length - 1 - place]
            words[i, w] = word << np.uint64(4 * (size * (w + 1) - max(end, size * w)))


@njit(cache=True, nogil=True)
def _four_digits() -> np.ndarray:
    """Each number of up to four digits as four signs, zeros in front."""
    found = np.empty(10_000, np.uint64)
    for number in range(10_000):
        rest, word = number, 0
        for place in range(4):
            word |= (2 + rest % 10) << (4 * place)
            rest //= 10
        found[number] = word
    return found


@njit(cache=True, nogil=True)
def unpack_ids(words: np.ndarray, prefix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The texts again, as offsets and bytes.

    Examples
    --------
    >>> offsets, data = unpack_ids(np.array([[0x37000000]], np.uint32), np.frombuffer(b"C", np.uint8))
    >>> offsets.tolist(), data.tobytes()
    ([0, 2], b'C7')
    """
    n, width = words.shape
    size = words.itemsize
    offsets = np.zeros(n + 1, np.int64)
    data = np.empty(n * (len(prefix) + size * width), np.uint8)
    at = 0
    for i in range(n):
        for byte in prefix:
            data[at] = byte
            at += 1
        for w in range(width):
            for place in range(size):
                byte = np.uint8(
                    (np.uint64(words[i, w]) >> np.uint64(8 * (size - 1 - place))) & np.uint64(255)
                )
                if byte != 0:
                    data[at] = byte
                    at += 1
        offsets[i + 1] = at
    return offsets, data[:at]


@njit(cache=True, nogil=True)
def unpack_numbers(words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The texts of whole numbers, as offsets and bytes.

    Examples
    --------
    >>> offsets, data = unpack_numbers(np.array([[0x32000000], [0x13000000]], np.uint32))
    >>> offsets.tolist(), data.tobytes()
    ([0, 2, 4], b'10-1')
    """
    n, width = words.shape
    size = 2 * words.itemsize
    offsets = np.zeros(n + 1, np.int64)
    data = np.empty(n * size * width, np.uint8)
    at = 0
    for i in range(n):
        for w in range(width):
            for place in range(size):
                sign = (np.uint64(words[i, w]) >> np.uint64(4 * (size - 1 - place))) & np.uint64(15)
                if sign == 0:
                    break
                data[at] = 45 if sign == _MINUS else np.uint8(48) + np.uint8(sign - _ZERO)
                at += 1
        offsets[i + 1] = at
    return offsets, data[:at]
