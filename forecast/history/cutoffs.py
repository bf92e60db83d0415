"""Cut-offs between values: where shares of the customers end, ties kept together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_SAME = 1e-9  # values that differ by less, relative to the larger, are one: rounding must not part customers


def cut_points(values: np.ndarray, shares: Sequence[float]) -> list[float]:
    """From which value on a customer belongs to the best 10 %, 20 % ...

    Parameters
    ----------
    values : ndarray, shape (customers,)
        More is better; NaN is left out.
    shares : sequence of float
        Rising, between 0 and 1.

    Returns
    -------
    list of float
        One a share, halfway between two neighbouring values, so that it is no customer's own; infinite
        where the customers are too few for anybody to be in so small a share.

    Notes
    -----
    Equal values are never parted: they stand where the middle of them stands. A value is within a share when
    the customers above it and half of those who have it are at most that share of all.

    Examples
    --------
    >>> cut_points(np.array([1.0, 2.0, 3.0, 4.0]), [0.25, 0.5])
    [3.5, 2.5]
    >>> cut_points(np.array([5.0, 1.0, 1.0, 1.0]), [0.01, 0.5])  # the ones stand at 62.5 %
    [inf, 3.0]
    """
    known = np.asarray(values, dtype=float)
    order = np.sort(known[~np.isnan(known)])[::-1]
    gap = order[:-1] - order[1:]
    first = np.flatnonzero(np.concatenate([[True], gap > _SAME * np.abs(order[:-1])]))
    last = np.concatenate([first[1:], [len(order)]])
    middle = (first + last) / (2.0 * len(order))
    found = []
    for share in shares:
        inside = int(np.searchsorted(middle, share * (1.0 + 1e-12), side="right"))
        if inside == 0:
            found.append(float("inf"))
        elif inside == len(first):
            found.append(float(order[-1] - _SAME * abs(order[-1])))
        else:
            found.append(float((order[last[inside - 1] - 1] + order[first[inside]]) / 2.0))
    return found
