"""What happened after ``as_of``: the actuals that a forecast meets, and the days of a tracking plot."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pandas as pd

from forecast.errors import ArgumentError
from forecast.periods import parse_day
from forecast.summary.histories import MONEY, Histories, OrderTable, purchases_sql

_numbers = itertools.count(1)


class NewCustomers(NamedTuple):
    """Totals of the customers who bought for the first time inside a window; ``value`` includes firsts."""

    customers: int
    purchases: int
    repeat_purchases: int
    value: float


def holdout(orders: OrderTable, histories: Histories, end: Any) -> pd.DataFrame:
    """What each customer of the histories bought in ``(as_of, end]``.

    Parameters
    ----------
    orders : Orders or anything like it
        May be another log than the one of the histories, for example a later export.
    histories : Histories
    end : date or ISO string
        Last day of the window, inclusive.

    Returns
    -------
    DataFrame
        ``customer_id, actual_purchases (int64), actual_value (float64)``, in the order of the histories; 0
        for those who did not buy. ``actual_value`` is NaN throughout in a log without money.

    Raises
    ------
    ArgumentError
        When ``end`` is not a day after ``as_of``.

    Examples
    --------
    >>> import pandas as pd
    >>> from forecast.orders import read_orders
    >>> from forecast.summary.histories import purchase_histories
    >>> log = pd.DataFrame({"customer_id": ["a", "a", "b"], "value": [10.0, 20.0, 5.0],
    ...                     "order_date": ["2024-01-01", "2024-02-01", "2024-01-21"]})
    >>> orders = read_orders(log)
    >>> holdout(orders, purchase_histories(orders, "2024-01-31"), "2024-02-29")
      customer_id  actual_purchases  actual_value
    0           a                 1          20.0
    1           b                 0           0.0
    """
    day = _after(histories.as_of, end)
    frame = purchases_between(orders, histories, histories.as_of, day)
    return frame.rename(columns={"purchases": "actual_purchases", "value": "actual_value"})


def purchases_between(
    orders: OrderTable, histories: Histories, after: dt.date, until: dt.date
) -> pd.DataFrame:
    """Repeat purchases of each customer of the histories in ``(after, until]``, first purchases left out.

    Returns
    -------
    DataFrame
        ``customer_id, purchases (int64), value (float64)``, in the order of the histories.
    """
    with _customers(orders, histories) as customers:
        frame: pd.DataFrame = orders.connection.execute(
            "SELECT h.customer_id, count(DISTINCT o.order_day) AS purchases, "
            f"{_no_money(orders)} coalesce(CAST(sum(CAST(o.value AS {MONEY})) AS DOUBLE), 0) END AS value "
            f"FROM {customers} h LEFT JOIN {orders.table} o ON o.customer_id = h.customer_id "
            f"AND o.order_day > greatest(h.first_purchase, DATE '{after}') AND o.order_day <= DATE '{until}' "
            "GROUP BY h.customer_id ORDER BY h.customer_id"
        ).df()
    return frame.astype({"purchases": "int64", "value": "float64"})


def purchases_in(orders: OrderTable, after: dt.date, until: dt.date) -> pd.DataFrame:
    """Purchases in ``(after, until]`` of every customer who made one, first purchases included.

    Returns
    -------
    DataFrame
        ``customer_id, purchases (int64), value (float64), first_purchase (datetime64[s])``, by id.
    """
    frame: pd.DataFrame = orders.connection.execute(
        f"WITH f AS (SELECT customer_id, min(order_day) AS first_purchase FROM {orders.table} GROUP BY 1) "
        "SELECT o.customer_id, count(DISTINCT o.order_day) AS purchases, "
        f"{_no_money(orders)} coalesce(CAST(sum(CAST(o.value AS {MONEY})) AS DOUBLE), 0) END AS value, "
        "any_value(f.first_purchase) AS first_purchase "
        f"FROM {orders.table} o JOIN f USING (customer_id) "
        f"WHERE o.order_day > DATE '{after}' AND o.order_day <= DATE '{until}' "
        "GROUP BY o.customer_id ORDER BY o.customer_id"
    ).df()
    return frame.astype({"purchases": "int64", "value": "float64", "first_purchase": "datetime64[s]"})


def daily_purchases(
    orders: OrderTable, histories: Histories | None = None, *, start: Any = None, end: Any = None
) -> pd.DataFrame:
    """Purchases of each calendar day, days without any included.

    Parameters
    ----------
    orders : Orders or anything like it
    histories : Histories, optional
        Count only its customers (those acquired by its ``as_of``).
    start, end : date or ISO string, optional
        First and last day; those of the orders when left out.

    Returns
    -------
    DataFrame
        ``day (datetime64[s]), purchases, first_purchases, repeat_purchases (int64), value (float64)``.

    Raises
    ------
    ArgumentError
        When ``end`` is before ``start``.
    """
    first = orders.first_day if start is None else parse_day(start, "start")
    last = orders.last_day if end is None else parse_day(end, "end")
    if last < first:
        raise ArgumentError(f"end {last} is before start {first}", advice="Swap them.")
    with _customers(orders, histories) as customers:
        only = "" if histories is None else f" WHERE customer_id IN (SELECT customer_id FROM {customers})"
        frame: pd.DataFrame = orders.connection.execute(
            f"WITH p AS (SELECT * FROM ({purchases_sql(orders.table, last)}){only}), "
            "f AS (SELECT customer_id, min(day) AS day FROM p GROUP BY customer_id), "
            "d AS (SELECT day, count(*) AS purchases, CAST(sum(v) AS DOUBLE) AS value FROM p GROUP BY day), "
            "n AS (SELECT day, count(*) AS firsts FROM f GROUP BY day) "
            "SELECT day, coalesce(purchases, 0) AS purchases, coalesce(firsts, 0) AS first_purchases, "
            "coalesce(purchases, 0) - coalesce(firsts, 0) AS repeat_purchases, "
            f"{_no_money(orders)} coalesce(value, 0) END AS value FROM "
            "(SELECT CAST(unnest(generate_series("
            f"DATE '{first}', DATE '{last}', INTERVAL 1 DAY)) AS DATE) AS day) "
            "LEFT JOIN d USING (day) LEFT JOIN n USING (day) ORDER BY day"
        ).df()
    counts = dict.fromkeys(("purchases", "first_purchases", "repeat_purchases"), "int64")
    return frame.astype({"day": "datetime64[s]", "value": "float64", **counts})


def new_customers(orders: OrderTable, as_of: Any, end: Any) -> NewCustomers:
    """Totals of the customers whose first purchase lies in ``(as_of, end]``, up to ``end``.

    Raises
    ------
    ArgumentError
        When ``end`` is not a day after ``as_of``.

    Examples
    --------
    >>> import pandas as pd
    >>> from forecast.orders import read_orders
    >>> log = pd.DataFrame({"customer_id": ["a", "a", "b"], "value": [10.0, 20.0, 5.0],
    ...                     "order_date": ["2024-01-01", "2024-02-01", "2024-02-21"]})
    >>> new_customers(read_orders(log), "2024-01-31", "2024-02-29")
    NewCustomers(customers=1, purchases=1, repeat_purchases=0, value=5.0)
    """
    begin = parse_day(as_of)
    last = _after(begin, end)
    customers, purchases, value = orders.connection.execute(
        "SELECT count(*), coalesce(sum(n), 0), sum(v) FROM (SELECT customer_id, min(day) AS first, "
        f"count(*) AS n, sum(v) AS v FROM ({purchases_sql(orders.table, last)}) GROUP BY customer_id) "
        f"WHERE first > DATE '{begin}'"
    ).fetchall()[0]
    return NewCustomers(int(customers), int(purchases), int(purchases) - int(customers), float(value or 0))


def _after(as_of: dt.date, end: Any) -> dt.date:
    day = parse_day(end, "end")
    if day <= as_of:
        raise ArgumentError(f"end {day} is not after as_of {as_of}", advice="The window is (as_of, end].")
    return day


def _no_money(orders: OrderTable) -> str:
    """Opening of an expression that is NaN when the log has no money at all."""
    return (
        f"CASE WHEN NOT EXISTS (SELECT 1 FROM {orders.table} WHERE value IS NOT NULL) THEN 'NaN'::DOUBLE ELSE"
    )


@contextmanager
def _customers(orders: OrderTable, histories: Histories | None) -> Iterator[str]:
    """Name of a relation with the histories' customers on the orders' connection."""
    if histories is None:
        yield ""
    elif histories.connection is orders.connection:
        yield histories.table
    else:
        name = f"customers_{next(_numbers)}"
        ids = histories.connection.sql(
            f"SELECT customer_id, first_purchase FROM {histories.table}"
        ).to_arrow_table()
        orders.connection.register(name, ids)
        try:
            yield name
        finally:
            orders.connection.unregister(name)
