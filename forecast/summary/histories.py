"""Purchase histories: what a model may know of each customer at the end of ``as_of``.

A purchase is everything that a customer ordered on one day. Money is added as decimals, so the order of
rows and the number of threads cannot change a digit.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from forecast.errors import ArgumentError, InputError
from forecast.periods import parse_day
from forecast.summary.grouping import grouped_histories
from forecast.summary.table import DERIVED, HistoryTable, grouping_names, ident

MONEY = "DECIMAL(38, 6)"
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
    if isinstance(orders, HistoryTable):
        raise ArgumentError(
            "orders are needed, not purchase histories, which hold no single purchase",
            advice="Give the orders; histories from forecast.read_histories(...) can be fitted and scored.",
        )
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
    described = orders.connection.execute(f"DESCRIBE {orders.table}").fetchall()
    return grouping_names(by, [column[0] for column in described])


def purchases_sql(table: str, until: dt.date, by: Sequence[str] = ()) -> str:
    """Query of purchases: ``customer_id, day, v, n`` and ``by:...``, the smallest text of each column."""
    groups = "".join(f", min(CAST({ident(name)} AS VARCHAR)) AS {ident('by:' + name)}" for name in by)
    return (
        f"SELECT customer_id, order_day AS day, sum(CAST(value AS {MONEY})) AS v, count(*) AS n{groups} "
        f"FROM {table} WHERE order_day <= DATE '{until}' GROUP BY customer_id, order_day"
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
    spread = getattr(known, "spread", None)
    if names or not grouped_histories(orders.connection, known.table, day, table, spread):
        query_histories(orders.connection, known.table, day, table, names, stored)
    return Histories(orders, table, day, names, known.table)


def query_histories(
    connection: Any,
    source: str,
    day: dt.date,
    table: str,
    names: Sequence[str] = (),
    stored: Sequence[str] = (),
) -> None:
    """Make the table of histories by one query: the text that every quicker way has to agree with."""
    inner = purchases_sql(source, day, stored)
    groups = [ident("by:" + name) for name in stored]
    firsts = "".join(f", arg_min(coalesce(nullif(trim({g}), ''), 'unknown'), day) AS {g}" for g in groups)
    grouped = (
        "SELECT customer_id, min(day) AS first_purchase, max(day) AS last_purchase, count(*) AS purchases, "
        "sum(n) AS orders, sum(v) AS total, arg_min_null(v, day) AS first_v, "
        f"count(*) FILTER (v > 0) AS paid, sum(v) FILTER (v > 0) AS paid_total{firsts} "
        f"FROM ({inner}) GROUP BY customer_id"
    )
    # The first purchase is left out of the mean; purchases of value 0 say nothing about spend.
    kept = "".join(
        f", {ident('by:' + name) if name in stored else DERIVED[name]} AS {ident(name)}" for name in names
    )
    connection.execute(
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


class Histories(HistoryTable):
    """Purchase histories of orders, as :func:`purchase_histories` makes them.

    Attributes
    ----------
    after_as_of : dict
        ``rows`` and ``value`` of the orders after ``as_of``, which are left out.
    """

    def __init__(
        self, orders: OrderTable, table: str, as_of: dt.date, by: tuple[str, ...], known: str
    ) -> None:
        silent = (as_of - orders.last_day).days
        notes = (f"as_of {as_of} is {silent:,} days after the last order",) if silent > 366 else ()
        super().__init__(orders.connection, table, as_of, by, notes)
        self._orders_table = known
        rows, value = 0, 0
        if as_of < orders.last_day:
            rows, value = self.connection.execute(
                f"SELECT count(*), sum(CAST(value AS {MONEY})) FROM {orders.table} "
                f"WHERE order_day > DATE '{as_of}'"
            ).fetchall()[0]
        self.after_as_of: dict[str, float] = {"rows": int(rows), "value": float(value or 0)}

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
