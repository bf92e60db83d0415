"""Purchase histories: what a model may know of each customer at the end of ``as_of``.

A purchase is everything that a customer ordered on one day. Money is added as decimals, so the order of
rows and the number of threads cannot change a digit.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd

from forecast.errors import ArgumentError, InputError
from forecast.periods import parse_day

MONEY = "DECIMAL(38, 6)"
# What can be grouped by beside the columns of the orders: it follows from the first purchase's day.
DERIVED = {
    "first_quarter": "strftime(first_purchase, '%Y') || 'Q' || quarter(first_purchase)",
    "first_month": "strftime(first_purchase, '%Y-%m')",
}
_numbers = itertools.count(1)


class OrderTable(Protocol):
    """What histories need: a table ``customer_id, order_day, value`` and its days."""

    @property
    def connection(self) -> Any: ...

    @property
    def table(self) -> str: ...

    @property
    def first_day(self) -> dt.date: ...

    @property
    def last_day(self) -> dt.date: ...


def ident(name: str) -> str:
    """A column name, quoted for the database."""
    return '"' + name.replace('"', '""') + '"'


def resolve_as_of(orders: OrderTable, as_of: Any) -> dt.date:
    """The last day that counts: the latest order day unless one is given.

    Raises
    ------
    ArgumentError
        When ``as_of`` is not a day.
    InputError
        When it is before the first order.
    """
    if as_of is None:
        return orders.last_day
    day = parse_day(as_of)
    if day < orders.first_day:
        raise InputError(
            f"as_of {day} is before the first order", advice=f"Orders begin on {orders.first_day}."
        )
    return day


def as_known(orders: Any, day: dt.date) -> Any:
    """The orders as they were known on an earlier day, where refunds and cancellations have dates."""
    if getattr(orders, "versions_table", None) is None or day >= orders.last_day:
        return orders
    return orders.until(day)


def check_orders(orders: Any) -> None:
    """Refuse what was not read as orders, a frame above all.

    Raises
    ------
    ArgumentError

    Examples
    --------
    >>> check_orders([1, 2])
    Traceback (most recent call last):
    forecast.errors.ArgumentError: orders are needed, not list. Read them first: forecast.read_orders(...).
    """
    if not hasattr(orders, "connection") or not hasattr(orders, "table"):
        raise ArgumentError(
            f"orders are needed, not {type(orders).__name__}",
            advice="Read them first: forecast.read_orders(...).",
        )


def by_columns(orders: OrderTable, by: str | Sequence[str] | None) -> tuple[str, ...]:
    """Names of the grouping columns, checked against the table.

    Raises
    ------
    ArgumentError
        When there is no such column, or its name is taken by a column of the histories.
    """
    names = (by,) if isinstance(by, str) else tuple(by or ())
    described = orders.connection.execute(f"DESCRIBE {orders.table}").fetchall()
    present = [column[0] for column in described]
    for name in names:
        if name not in present and name not in DERIVED:
            raise ArgumentError(
                f"there is no column {name!r} to group by",
                advice=f"Columns: {', '.join(present)}; and {', '.join(DERIVED)}.",
            )
        if name in COLUMNS or names.count(name) > 1:
            raise ArgumentError(f"column {name!r} cannot group", advice="Choose one other column, once.")
    return names


def purchases_sql(table: str, until: dt.date, by: Sequence[str] = ()) -> str:
    """Query of purchases: ``customer_id, day, v, n`` and ``by:...``, the smallest text of each column."""
    groups = "".join(f", min(CAST({ident(name)} AS VARCHAR)) AS {ident('by:' + name)}" for name in by)
    return (
        f"SELECT customer_id, order_day AS day, sum(CAST(value AS {MONEY})) AS v, count(*) AS n{groups} "
        f"FROM {table} WHERE order_day <= DATE '{until}' GROUP BY customer_id, order_day"
    )


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


def purchase_histories(
    orders: OrderTable, as_of: Any = None, by: str | Sequence[str] | None = ()
) -> Histories:
    """The history of every customer who has bought by the end of ``as_of``.

    Parameters
    ----------
    orders : Orders or anything like it
        With ``connection``, ``table``, ``first_day`` and ``last_day``.
    as_of : date or ISO string, optional
        Last day that counts, inclusive; the latest order day when left out. A later day lets customers age.
    by : str or sequence of str
        Columns of the orders to keep, taken from the customer's first day (the smallest text where its
        orders differ; ``"unknown"`` where there is none); also ``first_quarter`` and ``first_month``, of the
        first purchase.

    Returns
    -------
    Histories
        One row per customer, in the order of ``customer_id``.

    Raises
    ------
    InputError
        When ``as_of`` is before the first order.
    ArgumentError
        When ``as_of`` is not a day or a ``by`` column is missing.

    Examples
    --------
    >>> import pandas as pd
    >>> from forecast.orders import read_orders
    >>> log = pd.DataFrame({"customer_id": ["a", "a", "a", "b"], "value": [10.0, 20.0, 30.0, 5.0],
    ...                     "order_date": ["2024-01-01", "2024-01-11", "2024-01-31", "2024-01-21"]})
    >>> histories = purchase_histories(read_orders(log), as_of="2024-02-10")
    >>> histories.to_frame()[["customer_id", "frequency", "recency", "T", "monetary_value"]]
      customer_id  frequency  recency   T  monetary_value
    0           a          2       30  40            25.0
    1           b          0        0  20             NaN
    """
    check_orders(orders)
    day = resolve_as_of(orders, as_of)
    names = by_columns(orders, by)
    table = f"histories_{next(_numbers)}"
    present = {column[0] for column in orders.connection.execute(f"DESCRIBE {orders.table}").fetchall()}
    stored = [name for name in names if name in present]
    known = as_known(orders, day)
    inner = purchases_sql(known.table, day, stored)
    groups = [ident("by:" + name) for name in stored]
    firsts = "".join(f", arg_min(coalesce(nullif(trim({g}), ''), 'unknown'), day) AS {g}" for g in groups)
    grouped = (
        "SELECT customer_id, min(day) AS first_purchase, max(day) AS last_purchase, count(*) AS purchases, "
        "sum(n) AS orders, sum(v) AS total, arg_min(v, day) AS first_v, "
        f"count(*) FILTER (v > 0) AS paid, sum(v) FILTER (v > 0) AS paid_total{firsts} "
        f"FROM ({inner}) GROUP BY customer_id"
    )
    # The first purchase is left out of the mean; purchases of value 0 say nothing about spend.
    kept = "".join(
        f", {ident('by:' + name) if name in stored else DERIVED[name]} AS {ident(name)}" for name in names
    )
    orders.connection.execute(
        f"CREATE TEMP TABLE {table} AS SELECT customer_id, first_purchase, last_purchase, "
        "purchases - 1 AS frequency, CAST(last_purchase - first_purchase AS BIGINT) AS recency, "
        f"CAST(DATE '{day}' - first_purchase AS BIGINT) AS T, "
        "CASE WHEN paid_repeats > 0 THEN CAST(paid_total - greatest(first_v, 0) AS DOUBLE) / paid_repeats "
        "ELSE CAST('NaN' AS DOUBLE) END AS monetary_value, paid_repeats AS monetary_count, "
        "coalesce(CAST(first_v AS DOUBLE), CAST('NaN' AS DOUBLE)) AS first_value, "
        "coalesce(CAST(total AS DOUBLE), CAST('NaN' AS DOUBLE)) AS historical_value, "
        f"CAST(orders AS BIGINT) AS orders, purchases{kept} "
        f"FROM (SELECT *, paid - CASE WHEN first_v > 0 THEN 1 ELSE 0 END AS paid_repeats FROM ({grouped})) "
        "ORDER BY customer_id"
    )
    return Histories(orders, table, day, names, known.table)


class Histories:
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
    after_as_of : dict
        ``rows`` and ``value`` of the orders after ``as_of``, which are left out.
    notes : tuple of str
    """

    def __init__(
        self, orders: OrderTable, table: str, as_of: dt.date, by: tuple[str, ...], known: str
    ) -> None:
        self.connection = orders.connection
        self.table = table
        self.as_of = as_of
        self.by = by
        self._orders_table = known
        rows, value = self.connection.execute(
            f"SELECT count(*), sum(CAST(value AS {MONEY})) FROM {orders.table} "
            f"WHERE order_day > DATE '{as_of}'"
        ).fetchall()[0]
        self.after_as_of: dict[str, float] = {"rows": int(rows), "value": float(value or 0)}
        silent = (as_of - orders.last_day).days
        self.notes: tuple[str, ...] = ()
        if silent > 366:
            self.notes = (f"as_of {as_of} is {silent:,} days after the last order",)
        count, repeats, paid = self.connection.execute(
            f"SELECT count(*), sum(frequency), sum(monetary_count) FROM {table}"
        ).fetchall()[0]
        self._count = int(count)
        self._repeats, self._paid = int(repeats), int(paid)

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
        return self.connection.sql(f"SELECT * FROM {self.table} ORDER BY customer_id").to_arrow_table()

    def to_frame(self) -> pd.DataFrame:
        """All histories as a pandas frame, by ``customer_id``; days are ``datetime64[s]``."""
        return _with_days(self.connection.execute(f"SELECT * FROM {self.table} ORDER BY customer_id").df())

    def batches(self, rows: int = 65536) -> Iterator[pd.DataFrame]:
        """Frames of at most ``rows`` customers, by ``customer_id``; the index counts through.

        Raises
        ------
        ArgumentError
            When ``rows`` is below 1.
        """
        if rows < 1:
            raise ArgumentError(f"rows is {rows}", advice="Ask for at least 1 customer a batch.")
        # The table is written once and in order, so positions are stable and no query stays open meanwhile.
        for start in range(0, self._count, rows):
            frame = self.connection.execute(
                f"SELECT * FROM {self.table} WHERE rowid >= {start} AND rowid < {start + rows} ORDER BY rowid"
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
        group = self._group(by)
        found = self.connection.execute(
            f"SELECT {group} AS g, frequency AS x, recency AS t_x, T AS age, count(*) AS w FROM {self.table} "
            "GROUP BY g, x, t_x, age ORDER BY g, x, t_x, age"
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
        group = self._group(by)
        count, mean = "monetary_count", "monetary_value"
        if first:
            begun = "CASE WHEN first_value > 0 AND NOT isnan(first_value) THEN"
            count = f"(monetary_count + {begun} 1 ELSE 0 END)"
            repeats = "CASE WHEN monetary_count > 0 THEN monetary_count * monetary_value ELSE 0 END"
            mean = f"({repeats} + {begun} first_value ELSE 0 END) / {count}"
        found = self.connection.execute(
            f"SELECT {group} AS g, {count} AS c, {mean} AS m, count(*) AS w FROM {self.table} "
            f"WHERE {count} > 0 GROUP BY ALL ORDER BY g, c, m"
        ).fetchnumpy()
        arrays = (
            np.asarray(found["c"], dtype=np.int64),
            np.asarray(found["m"], dtype=np.float64),
            np.asarray(found["w"], dtype=np.int64),
        )
        return arrays if by is None else (*arrays, np.asarray(found["g"], dtype=object))

    def repeat_days(self) -> tuple[np.ndarray, np.ndarray]:
        """Repeat purchases of each day up to ``as_of``, days without any left out.

        Returns
        -------
        day : ndarray of datetime64[D], shape (days,)
        count : ndarray of int64, shape (days,)
        """
        found = self.connection.execute(
            "SELECT p.day AS day, p.n - coalesce(f.n, 0) AS n FROM "
            f"(SELECT order_day AS day, count(DISTINCT customer_id) AS n FROM {self._orders_table} "
            f"WHERE order_day <= DATE '{self.as_of}' GROUP BY day) p LEFT JOIN "
            f"(SELECT first_purchase AS day, count(*) AS n FROM {self.table} GROUP BY day) f USING (day) "
            "WHERE p.n > coalesce(f.n, 0) ORDER BY day"
        ).fetchnumpy()
        return np.asarray(found["day"]).astype("datetime64[D]"), np.asarray(found["n"], dtype=np.int64)

    def _group(self, by: str | None) -> str:
        if by is None:
            return "''"
        if by not in self.by:
            raise ArgumentError(f"the histories have no column {by!r}", advice=f"Make them with by={by!r}.")
        return ident(by)


def _with_days(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype({"first_purchase": "datetime64[s]", "last_purchase": "datetime64[s]"})
