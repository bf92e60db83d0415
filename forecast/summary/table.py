"""What all tables of purchase histories can do, wherever they come from: statistics, frames and batches."""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from forecast.errors import ArgumentError

COLUMNS = (
    "customer_id",
    "first_purchase",
    "last_purchase",
    "frequency",
    "recency",
    "T",
    "monetary_value",
    "monetary_count",
    "first_value",
    "historical_value",
    "orders",
    "purchases",
)


# Customers that are worked on at a time.
BATCH = 131_072
# What a compact table keeps besides; no column of anybody's file has such a name.
BOUGHT, ORDERED, PAID = "history: bought", "history: ordered", "history: paid"

# What can be grouped by beside the columns of the orders: it follows from the first purchase's day.
DERIVED = {
    "first_quarter": "strftime(first_purchase, '%Y') || 'Q' || quarter(first_purchase)",
    "first_month": "strftime(first_purchase, '%Y-%m')",
}


def ident(name: str) -> str:
    """A column name, quoted for the database."""
    return '"' + name.replace('"', '""') + '"'


def grouping_names(by: str | Sequence[str] | None, present: Sequence[str]) -> tuple[str, ...]:
    """Names of the columns to group by, of those that are ``present`` or follow from the first purchase.

    Raises
    ------
    ArgumentError
        When there is no such column, or its name is taken by a column of the histories.

    Examples
    --------
    >>> grouping_names("channel", ["channel", "country"])
    ('channel',)
    """
    names = (by,) if isinstance(by, str) else tuple(by or ())
    for name in names:
        if name not in present and name not in DERIVED:
            raise ArgumentError(
                f"there is no column {name!r} to group by",
                advice=f"Columns: {', '.join(present)}; and {', '.join(DERIVED)}.",
            )
        if name in COLUMNS or names.count(name) > 1:
            raise ArgumentError(f"column {name!r} cannot group", advice="Choose one other column, once.")
    return names


def compact_columns(as_of: dt.date) -> str:
    """Columns of a table of histories that keeps each number once, as narrow as it may be.

    ``BOUGHT`` purchases, ``ORDERED`` orders and ``PAID`` repeat purchases of value are kept; what follows
    from them and the days is worked out when it is asked for.
    """
    bought, ordered, paid = map(ident, (BOUGHT, ORDERED, PAID))
    follows = {
        "frequency": f"CAST({bought} AS BIGINT) - 1",
        "recency": "CAST(last_purchase - first_purchase AS BIGINT)",
        "T": f"CAST(DATE '{as_of}' - first_purchase AS BIGINT)",
        "monetary_count": f"CAST({paid} AS BIGINT)",
        "orders": f"CAST({ordered} AS BIGINT)",
        "purchases": f"CAST({bought} AS BIGINT)",
    }
    return (
        f"customer_id VARCHAR, first_purchase DATE, last_purchase DATE, {bought} INTEGER, {ordered} INTEGER, "
        f"{paid} INTEGER, monetary_value DOUBLE, first_value DOUBLE, historical_value DOUBLE"
    ) + "".join(f", {name} BIGINT AS ({rule})" for name, rule in follows.items())


def check_batch(rows: int) -> None:
    """Refuse batches without rows.

    Raises
    ------
    ArgumentError
    """
    if rows < 1:
        raise ArgumentError(f"rows is {rows}", advice="Ask for at least 1 customer a batch.")


class HistoryTable(ABC):
    """Purchase histories in the database; frames and statistics are made on request.

    Columns: ``customer_id, first_purchase, last_purchase, frequency, recency, T, monetary_value,
    monetary_count, first_value, historical_value, orders, purchases`` and the ``by`` columns. Times are in
    days, money in the currency of the orders; NaN where there is no money to speak of.

    Attributes
    ----------
    connection : duckdb.DuckDBPyConnection
    table : str
        Sorted by ``customer_id``.
    as_of : datetime.date
    by : tuple of str
    notes : tuple of str
    """

    def __init__(
        self, connection: Any, table: str, as_of: dt.date, by: Sequence[str] = (), notes: Sequence[str] = ()
    ) -> None:
        self.connection = connection
        self.table = table
        self.as_of = as_of
        self.by = tuple(by)
        self.notes = tuple(notes)
        count, repeats, paid = connection.execute(
            f"SELECT count(*), sum(frequency), sum(monetary_count) FROM {table}"
        ).fetchall()[0]
        self._count = int(count)
        self._repeats, self._paid = int(repeats), int(paid)

    @property
    def _selected(self) -> str:
        return ", ".join([*COLUMNS, *(f"{self.group(name)} AS {ident(name)}" for name in self.by)])

    @property
    def _all(self) -> str:
        return f"SELECT {self._selected} FROM {self.table} ORDER BY customer_id"

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        return f"<Histories: {self._count:,} customers as of {self.as_of}>"

    @property
    def paid_share(self) -> float:
        """Share of the repeat purchases with a value above 0; NaN without repeat purchases."""
        return self._paid / self._repeats if self._repeats else float("nan")

    def close(self) -> None:
        """Give the table's memory back; the histories cannot be used afterwards."""
        self.connection.execute(f"DROP TABLE IF EXISTS {self.table}")

    def to_arrow(self) -> Any:
        """All histories as an Arrow table, by ``customer_id``."""
        return self.connection.sql(self._all).to_arrow_table()

    def to_frame(self) -> pd.DataFrame:
        """All histories as a pandas frame, by ``customer_id``; days are ``datetime64[s]``."""
        return _with_days(self.connection.execute(self._all).df())

    def batches(self, rows: int = 65536) -> Iterator[pd.DataFrame]:
        """Frames of at most ``rows`` customers, by ``customer_id``; the index counts through.

        Raises
        ------
        ArgumentError
            When ``rows`` is below 1.
        """
        check_batch(rows)
        # The table is written once and in order, so positions are stable and no query stays open meanwhile.
        for start in range(0, self._count, rows):
            frame = self.connection.execute(
                f"SELECT {self._selected} FROM {self.table} "
                f"WHERE rowid >= {start} AND rowid < {start + rows} ORDER BY rowid"
            ).df()
            frame.index = pd.RangeIndex(start, start + len(frame))
            yield _with_days(frame)

    def purchase_counts(self, by: str | None = None) -> tuple[np.ndarray, ...]:
        """Distinct histories with the number of customers that have them.

        Parameters
        ----------
        by : str, optional
            One of the ``by`` columns; its labels come as a fifth array, and groups are kept apart.

        Returns
        -------
        x, t_x, T, weight : ndarray of int64, shape (distinct,)
            Frequency, recency and age in days, and customers; sorted.

        Raises
        ------
        ArgumentError
            When the histories were not made with this ``by`` column.
        """
        group = self.group(by)
        found = self.connection.execute(
            f"SELECT {group} AS g, frequency AS x, recency AS t_x, T AS age, count(*) AS w FROM {self.table} "
            "GROUP BY ALL ORDER BY 1, 2, 3, 4"  # by place: the table may have columns of these names
        ).fetchnumpy()
        arrays = tuple(np.asarray(found[name], dtype=np.int64) for name in ("x", "t_x", "age", "w"))
        return arrays if by is None else (*arrays, np.asarray(found["g"], dtype=object))

    def spend_counts(self, by: str | None = None, *, first: bool = False) -> tuple[np.ndarray, ...]:
        """Distinct spending histories of the customers with a valued repeat purchase.

        Parameters
        ----------
        by : str, optional
            One of the ``by`` columns; its labels come as a fourth array.
        first : bool
            Count the first purchase too, where it has a value.

        Returns
        -------
        count : ndarray of int64, shape (distinct,)
            Purchases in the mean.
        mean : ndarray of float64, shape (distinct,)
            Their mean value, in currency.
        weight : ndarray of int64, shape (distinct,)
            Customers; sorted by count and mean.

        Raises
        ------
        ArgumentError
            When the histories were not made with this ``by`` column.
        """
        group = self.group(by)
        count, mean = "monetary_count", "monetary_value"
        if first:
            begun = "CASE WHEN first_value > 0 AND NOT isnan(first_value) THEN"
            count = f"(monetary_count + {begun} 1 ELSE 0 END)"
            repeats = "CASE WHEN monetary_count > 0 THEN monetary_count * monetary_value ELSE 0 END"
            mean = f"({repeats} + {begun} first_value ELSE 0 END) / {count}"
        found = self.connection.execute(
            f"SELECT {group} AS g, {count} AS c, {mean} AS m, count(*) AS w FROM {self.table} "
            f"WHERE {count} > 0 GROUP BY ALL ORDER BY 1, 2, 3"
        ).fetchnumpy()
        arrays = (
            np.asarray(found["c"], dtype=np.int64),
            np.asarray(found["m"], dtype=np.float64),
            np.asarray(found["w"], dtype=np.int64),
        )
        return arrays if by is None else (*arrays, np.asarray(found["g"], dtype=object))

    @abstractmethod
    def repeat_days(self) -> tuple[np.ndarray, np.ndarray]:
        """Repeat purchases of each day up to ``as_of``, days without any left out.

        Returns
        -------
        day : ndarray of datetime64[D], shape (days,)
        count : ndarray of int64, shape (days,)
        """

    def first_values(self, by: str | None = None) -> tuple[np.ndarray, np.ndarray | None]:
        """Value of each customer's first purchase, sorted.

        Parameters
        ----------
        by : str, optional
            One of the ``by`` columns; groups are kept apart.

        Returns
        -------
        values : ndarray, shape (customers,)
            NaN where there is none.
        labels : ndarray of str, shape (customers,), or None
        """
        found = self.connection.execute(
            f"SELECT {self.group(by)} AS g, first_value AS v FROM {self.table} ORDER BY 1, 2"
        ).fetchnumpy()
        values = np.ma.filled(found["v"], np.nan).astype(float)
        return values, None if by is None else np.asarray(found["g"], dtype=str)

    def arrivals(self, by: str | None = None) -> list[tuple[str, str, int]]:
        """Customers won by group (``all`` for None) and month (``2026-09``), sorted."""
        group = "'all'" if by is None else self.group(by)
        found: list[tuple[str, str, int]] = self.connection.execute(
            f"SELECT CAST({group} AS VARCHAR), strftime(first_purchase, '%Y-%m'), count(*) "
            f"FROM {self.table} GROUP BY 1, 2 ORDER BY 1, 2"
        ).fetchall()
        return found

    def sizes(self, by: str | None = None) -> dict[str, int]:
        """Customers of each group, sorted; ``all`` for None."""
        found: dict[str, int] = {}
        for group, _, customers in self.arrivals(by):
            found[group] = found.get(group, 0) + customers
        return found

    def group(self, by: str | None) -> str:
        """A ``by`` column as an expression over the table; one group of all for None.

        Raises
        ------
        ArgumentError
            When the histories were not made with this ``by`` column.
        """
        if by is None:
            return "''"
        if by not in self.by:
            raise ArgumentError(f"the histories have no column {by!r}", advice=f"Make them with by={by!r}.")
        return ident(by)


def _with_days(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype({"first_purchase": "datetime64[s]", "last_purchase": "datetime64[s]"})
