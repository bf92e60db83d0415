"""Sufficient statistics: distinct purchase histories with the number of customers behind each.

The BG/NBD family sees a customer only through ``(x, t_x, T)``; a million customers have a few hundred
thousand distinct ones. Spend has no finite statistic: it travels as ``(n, mean)`` rows.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from forecast.maths.kernels import count_keys


@dataclass(frozen=True)
class PurchaseCounts:
    """Distinct ``(x, t_x, T)`` and how many customers share each; all arrays of shape (n,).

    With ``cell``, customers whose traits differ are kept apart.
    """

    x: np.ndarray
    t_x: np.ndarray
    T: np.ndarray
    weight: np.ndarray
    cell: np.ndarray | None = None

    @property
    def customers(self) -> int:
        return round(float(self.weight.sum()))

    @property
    def repeaters(self) -> int:
        return round(float(self.weight[self.x > 0].sum()))

    def sample(self, customers: int) -> PurchaseCounts:
        """The histories of so many customers, evenly spread over all, for a rough look."""
        upto = np.cumsum(self.weight)
        chosen = np.searchsorted(upto, (np.arange(customers) + 0.5) * (upto[-1] / customers))
        rows, weight = np.unique(chosen, return_counts=True)
        return PurchaseCounts(self.x[rows], self.t_x[rows], self.T[rows], weight.astype(float))


@dataclass(frozen=True)
class SpendCounts:
    """Distinct ``(n, mean)`` of valued purchases and how many customers share each; shape (n,)."""

    n: np.ndarray
    mean: np.ndarray
    weight: np.ndarray
    cell: np.ndarray | None = None

    @property
    def customers(self) -> int:
        return round(float(self.weight.sum()))


@dataclass(frozen=True)
class DayCounts:
    """Distinct histories with their days; all arrays of shape (n,).

    Attributes
    ----------
    x : ndarray
        Repeat purchases.
    first, last : ndarray of int
        Days of the first and last purchase, counted from ``origin``.
    weight : ndarray
        Customers.
    origin, as_of : datetime.date
    repeats : ndarray, shape (days,)
        Repeat purchases of each day from ``origin`` to ``as_of``.
    cell : ndarray of int, optional
        Which traits each has.
    """

    x: np.ndarray
    first: np.ndarray
    last: np.ndarray
    weight: np.ndarray
    origin: dt.date
    as_of: dt.date
    repeats: np.ndarray
    cell: np.ndarray | None = None

    @classmethod
    def of(cls, counts: PurchaseCounts, as_of: dt.date, repeats: tuple[np.ndarray, np.ndarray]) -> DayCounts:
        """Histories in whole days, put on the calendar.

        Parameters
        ----------
        counts : PurchaseCounts
            In days.
        as_of : datetime.date
        repeats : tuple of ndarray
            Days, and repeat purchases of each; days without any may be left out.
        """
        oldest = int(counts.T.max())
        origin = np.datetime64(as_of) - np.timedelta64(oldest, "D")
        first = oldest - counts.T.astype(np.int64)
        counted = np.zeros(oldest + 1)
        counted[(repeats[0].astype("datetime64[D]") - origin).astype(int)] = repeats[1]
        return cls(
            counts.x.astype(float), first, first + counts.t_x.astype(np.int64),
            counts.weight.astype(float), origin.astype(object), as_of, counted, counts.cell,
        )  # fmt: skip

    @property
    def days(self) -> np.ndarray:
        return np.arange(np.datetime64(self.origin), np.datetime64(self.as_of) + np.timedelta64(1, "D"))

    def coarse(self, step: int) -> DayCounts:
        """Fewer histories: first purchases in the middle of every ``step`` days, gaps likewise.

        Examples
        --------
        >>> day = dt.date(2024, 1, 1)
        >>> one = DayCounts(np.array([0, 2, 2]), np.array([0, 1, 6]), np.array([0, 9, 12]), np.ones(3), day,
        ...                 day, np.zeros(30))
        >>> found = one.coarse(7)
        >>> found.x.tolist(), found.first.tolist(), found.last.tolist(), found.weight.tolist()
        ([0.0, 2.0, 2.0], [3, 3, 3], [3, 7, 14], [1.0, 1.0, 1.0])
        """
        end = len(self.repeats) - 1
        first = np.minimum(self.first // step * step + step // 2, end)
        gap = -(-(self.last - self.first) // step) * step - step // 2
        last = np.where(self.last > self.first, np.minimum(first + gap, end), first)
        last = np.where((self.x > 0) & (last == first), np.minimum(first + 1, end), last)
        size, most = end + 1, int(self.x.max(initial=0.0)) + 1
        key = (self.x.astype(np.int64) * size + first) * size + last
        if self.cell is not None:
            key += self.cell * (most * size * size)
        key, place = np.unique(key, return_inverse=True)
        cell, rest = np.divmod(key, most * size * size)
        return replace(
            self,
            x=(rest // (size * size)).astype(float),
            first=rest // size % size,
            last=rest % size,
            weight=np.bincount(place, weights=self.weight),
            cell=None if self.cell is None else cell,
        )

    def on(self, intensity: np.ndarray) -> PurchaseCounts:
        """The histories on a clock that runs with the given intensity a day."""
        total = np.cumsum(intensity)
        return PurchaseCounts(
            self.x,
            total[self.last] - total[self.first],
            total[-1] - total[self.first],
            self.weight,
            self.cell,
        )


def _codes(values: np.ndarray) -> tuple[np.ndarray, np.ndarray | None, int]:
    """Whole numbers as they are; anything else through its sorted distinct values."""
    whole = values if values.dtype.kind in "iu" else values.astype(np.int64)
    if values.dtype.kind in "iu" or np.array_equal(whole, values):
        top = int(whole.max())
        if int(whole.min()) >= 0 and top < 1 << 20:
            return whole, None, top + 1
    levels, codes = np.unique(values, return_inverse=True)
    return codes, levels, len(levels)


def distinct(columns: list[np.ndarray]) -> tuple[list[np.ndarray], np.ndarray]:
    """Distinct rows of a few columns, sorted, with their counts.

    Parameters
    ----------
    columns : list of ndarray, shape (n,)
        Non-negative, finite.

    Returns
    -------
    rows : list of ndarray, shape (m,)
    counts : ndarray of float, shape (m,)

    Examples
    --------
    >>> rows, counts = distinct([np.array([1, 0, 1]), np.array([5, 5, 5])])
    >>> [r.tolist() for r in rows], counts.tolist()
    ([[0, 1], [5, 5]], [1.0, 2.0])
    """
    if not len(columns[0]):
        return columns, np.zeros(0)
    coded = [_codes(column) for column in columns]
    room = 1.0
    for _, _, size in coded:
        room *= size
    if room >= 2**62:  # too many combinations for one integer key
        order = np.lexsort(columns[::-1])
        ordered = [column[order] for column in columns]
        change = np.zeros(len(order), bool)
        change[:1] = True
        for column in ordered:
            change[1:] |= column[1:] != column[:-1]
        where = np.flatnonzero(change)
        return [c[where] for c in ordered], np.diff(np.append(where, len(order))).astype(float)
    key = coded[0][0].astype(np.int64)
    for codes, _, size in coded[1:]:
        key *= size
        key += codes
    key, counts = count_keys(key.astype(np.int32) if room < 2**31 else key, int(room).bit_length())
    key = key.astype(np.int64)
    rows = []
    for _, levels, size in coded[:0:-1]:
        rest = key // size  # faster than divmod, which divides one by one
        key, part = rest, key - rest * size
        rows.append(part if levels is None else levels[part])
    rows.append(key if coded[0][1] is None else coded[0][1][key])
    return rows[::-1], counts


def group_purchases(
    x: np.ndarray, t_x: np.ndarray, T: np.ndarray, cell: np.ndarray | None = None
) -> PurchaseCounts:
    """Group customers by ``(x, t_x, T)``.

    Parameters
    ----------
    x, t_x, T : ndarray, shape (n,)
        Repeat purchases, recency and age; checked before.
    cell : ndarray of int, shape (n,), optional
        Which traits each has.

    Returns
    -------
    PurchaseCounts

    Examples
    --------
    >>> grouped = group_purchases(np.array([0, 0, 1]), np.array([0, 0, 3]), np.array([7, 7, 7]))
    >>> grouped.x.tolist(), grouped.weight.tolist()
    ([0.0, 1.0], [2.0, 1.0])
    """
    # T leads so that rows with the same age are neighbours.
    own = [] if cell is None else [cell]
    (*own, T, x, t_x), weight = distinct([*own, T, x, t_x])
    return PurchaseCounts(
        x.astype(float), t_x.astype(float), T.astype(float), weight, own[0] if own else None
    )


def group_spend(n: np.ndarray, mean: np.ndarray, cell: np.ndarray | None = None) -> SpendCounts:
    """Customers with at least one valued purchase, grouped by ``(n, mean)``.

    Parameters
    ----------
    n : ndarray, shape (customers,)
        Valued purchases; rows with 0 say nothing about spend and are left out.
    mean : ndarray, shape (customers,)
        Their mean value.

    Examples
    --------
    >>> group_spend(np.array([0, 2, 2]), np.array([np.nan, 5.5, 5.5])).weight.tolist()
    [2.0]
    """
    valued = n > 0
    own = [] if cell is None else [cell[valued]]
    (*own, n, mean), weight = distinct([*own, n[valued], mean[valued]])
    return SpendCounts(n.astype(float), mean.astype(float), weight, own[0] if own else None)


def distinct_traits(frame: pd.DataFrame, columns: Sequence[str]) -> tuple[np.ndarray, pd.DataFrame]:
    """Which row of the distinct traits each customer has, and those rows, sorted.

    Examples
    --------
    >>> cell, cells = distinct_traits(pd.DataFrame({"channel": ["b", "a", "b"]}), ["channel"])
    >>> cell.tolist(), cells["channel"].tolist()
    ([1, 0, 1], ['a', 'b'])
    """
    code = np.zeros(len(frame), np.int64)
    for column in columns:
        own, levels = pd.factorize(frame[column], sort=True, use_na_sentinel=False)
        code = np.unique(code * len(levels) + own, return_inverse=True)[1]
    first = np.unique(code, return_index=True)[1]
    return code, frame.iloc[first][list(columns)].reset_index(drop=True)
