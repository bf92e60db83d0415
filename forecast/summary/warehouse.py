"""The summarise step as one SQL statement, for a team whose orders stay in their warehouse.

Nothing here is run: the statement is theirs to run, and what it returns is read by
:func:`forecast.read_histories`. It gives what :func:`forecast.purchase_histories` gives of the same orders.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from forecast.errors import ArgumentError
from forecast.periods import parse_day
from forecast.summary.table import COLUMNS


@dataclass(frozen=True)
class Words:
    """The few words in which databases differ."""

    quote: str = '"'
    text: str = "VARCHAR"
    whole: str = "BIGINT"
    double: str = "DOUBLE PRECISION"
    money: str = "DECIMAL(38, 6)"
    days: str = "{end} - {begin}"


# In BigQuery NUMERIC has 38 digits, 9 of them behind the point, and takes no others inside a CAST.
DATABASES = {
    "standard": Words(),
    "bigquery": Words("`", "STRING", "INT64", "FLOAT64", "NUMERIC", "DATE_DIFF({end}, {begin}, DAY)"),
    "spark": Words("`", "STRING", "BIGINT", "DOUBLE", days="DATEDIFF({end}, {begin})"),
}
_PLAIN = re.compile("[a-z_][a-z0-9_]*|[A-Z_][A-Z0-9_]*")
_RESERVED = re.compile(
    "all|and|as|by|case|cast|check|column|create|cross|current_date|default|desc|distinct|else|end|"
    "exists|false|for|from|full|grant|group|having|in|inner|interval|into|is|join|left|like|limit|"
    "natural|not|null|on|or|order|outer|primary|references|right|select|set|some|table|then|to|true|"
    "union|unique|user|using|values|when|where|window|with"
)

_HISTORIES = """\
WITH purchase_days AS (
    -- A purchase is everything that a customer ordered on one day.
    SELECT
        {customer_id} AS id,
        {order_day} AS on_day,{value_of_day}
        COUNT(*) AS orders_placed{by_of_day}
    FROM {table}
    WHERE {customer_id} IS NOT NULL AND {order_day} <= {as_of}
    GROUP BY {customer_id}, {order_day}
),
numbered AS (
    SELECT purchase_days.*, ROW_NUMBER() OVER (PARTITION BY id ORDER BY on_day) AS place
    FROM purchase_days
),
customers AS (
    SELECT
        id,
        MIN(on_day) AS first_day,
        MAX(on_day) AS last_day,{value_of_customer}
        SUM(orders_placed) AS all_orders,
        COUNT(*) AS all_purchases{by_of_customer}
    FROM numbered
    GROUP BY id
)
SELECT
    CAST(id AS {text}) AS customer_id,
    first_day AS first_purchase,
    last_day AS last_purchase,
    all_purchases - 1 AS frequency,
    {recency} AS recency,
    {age} AS T,{value}
    CAST(all_orders AS {whole}) AS orders,
    all_purchases AS purchases{by}
FROM customers
"""
_VALUE_OF_DAY = """
        SUM(CAST({value} AS {money})) AS worth,"""
_VALUE_OF_CUSTOMER = """
        -- The first purchase is left out of the mean; purchases of value 0 say nothing about spend.
        SUM(CASE WHEN place > 1 AND worth > 0 THEN worth END) AS paid,
        SUM(CASE WHEN place > 1 AND worth > 0 THEN 1 ELSE 0 END) AS paid_times,
        SUM(CASE WHEN place = 1 THEN worth END) AS first_worth,
        SUM(worth) AS all_worth,"""
_VALUE = """
    CASE WHEN paid_times > 0 THEN CAST(paid AS {double}) / paid_times END AS monetary_value,
    CAST(paid_times AS {whole}) AS monetary_count,
    CAST(first_worth AS {double}) AS first_value,
    CAST(all_worth AS {double}) AS historical_value,"""
_DAILY = """\
SELECT on_day AS day, COUNT(*) AS repeat_purchases
FROM (
    SELECT id, on_day, ROW_NUMBER() OVER (PARTITION BY id ORDER BY on_day) AS place
    FROM (
        SELECT DISTINCT {customer_id} AS id, {order_day} AS on_day
        FROM {table}
        WHERE {customer_id} IS NOT NULL AND {order_day} <= {as_of}
    ) purchase_days
) numbered
WHERE place > 1
GROUP BY on_day
"""


def histories_sql(
    table: str,
    as_of: Any,
    *,
    customer_id: str = "customer_id",
    order_day: str = "order_day",
    value: str | None = "value",
    by: str | Sequence[str] = (),
    database: str = "standard",
) -> str:
    """One SELECT that makes purchase histories of a table of orders, to be run where the orders are.

    Parameters
    ----------
    table : str
        One row an order; with its schema as ``sales.orders``. Names in small or capital letters stand as they
        are, others, and those that are reserved, in quotes; what stands in quotes already keeps them.
    as_of : date or ISO string
        Last day that counts, inclusive.
    customer_id : str
        A column; orders where it is NULL are left out.
    order_day : str
        A column of type DATE, the day in the shop's own time zone.
    value : str, optional
        A column of exact numbers, worth of an order in one currency. None where there is no money.
    by : str or sequence of str
        Columns to keep, from each customer's first day (the smallest text where its orders differ, by the
        order of the database; ``unknown`` where there is none).
    database : {'standard', 'bigquery', 'spark'}
        ``standard`` is for PostgreSQL, Redshift, Snowflake and DuckDB.

    Returns
    -------
    str
        Its result has the columns of :class:`forecast.Histories`, one row a customer in no order, NULL where
        there is no money to speak of. Read it by :func:`forecast.read_histories`.

    Raises
    ------
    ArgumentError
        When a name is none, ``as_of`` is no day, or the database is not known.

    Examples
    --------
    >>> import duckdb
    >>> from forecast.receiving import read_histories
    >>> warehouse = duckdb.connect()
    >>> _ = warehouse.execute("CREATE TABLE sales AS SELECT * FROM (VALUES ('a', DATE '2024-01-01', 10.0), "
    ...                       "('a', DATE '2024-01-31', 30.0)) t (who, day, net)")
    >>> query = histories_sql("sales", "2024-02-10", customer_id="who", order_day="day", value="net")
    >>> read_histories(warehouse.sql(query).df()).to_frame()[["frequency", "recency", "T", "monetary_value"]]
       frequency  recency   T  monetary_value
    0          1       30  40            30.0
    """
    words = _words(database)
    names = (by,) if isinstance(by, str) else tuple(by)
    for name in names:
        if name.lower() in {column.lower() for column in COLUMNS} or names.count(name) > 1:
            raise ArgumentError(f"column {name!r} cannot group", advice="Choose one other column, once.")
    columns = [_name(name, words) for name in names]
    day = f"DATE '{parse_day(as_of)}'"
    money = "" if value is None else _name(value, words)
    tidy = "COALESCE(NULLIF(TRIM(by_{i}), ''), 'unknown')"
    return _HISTORIES.format(
        **_source(table, customer_id, order_day, words),
        as_of=day,
        text=words.text,
        whole=words.whole,
        recency=words.days.format(end="last_day", begin="first_day"),
        age=words.days.format(end=day, begin="first_day"),
        value_of_day=_VALUE_OF_DAY.format(value=money, money=words.money) if money else "",
        value_of_customer=_VALUE_OF_CUSTOMER if money else "",
        value=_VALUE.format(double=words.double, whole=words.whole) if money else "",
        by_of_day=_lines(f"        MIN(CAST({c} AS {words.text})) AS by_{i}" for i, c in enumerate(columns)),
        by_of_customer=_lines(
            f"        MAX(CASE WHEN place = 1 THEN by_{i} END) AS by_{i}" for i in range(len(columns))
        ),
        by=_lines(f"    {tidy.format(i=i)} AS {c}" for i, c in enumerate(columns)),
    )


def daily_sql(
    table: str,
    as_of: Any,
    *,
    customer_id: str = "customer_id",
    order_day: str = "order_day",
    database: str = "standard",
) -> str:
    """One SELECT of the repeat purchases of each day, which a seasonal clock needs beside the histories.

    Parameters
    ----------
    table, as_of, customer_id, order_day, database
        As for :func:`histories_sql`.

    Returns
    -------
    str
        Its result, ``day, repeat_purchases``, is what :func:`forecast.read_histories` takes as ``daily``.

    Raises
    ------
    ArgumentError
        As :func:`histories_sql`.

    Examples
    --------
    >>> print(daily_sql("sales.orders", "2026-06-30", order_day="Order Day").splitlines()[4].strip())
    SELECT DISTINCT customer_id AS id, "Order Day" AS on_day
    """
    words = _words(database)
    return _DAILY.format(**_source(table, customer_id, order_day, words), as_of=f"DATE '{parse_day(as_of)}'")


def _words(database: str) -> Words:
    if database not in DATABASES:
        raise ArgumentError(f"database is {database!r}", advice=f"Choose {', '.join(DATABASES)}.")
    return DATABASES[database]


def _source(table: str, customer_id: str, order_day: str, words: Words) -> dict[str, str]:
    q = words.quote
    parts = re.split(rf"\.(?=(?:[^{q}]*{q}[^{q}]*{q})*[^{q}]*$)", table)  # at points outside of quotes
    return {
        "table": ".".join(_name(part, words) for part in parts),
        "customer_id": _name(customer_id, words),
        "order_day": _name(order_day, words),
    }


def _name(name: Any, words: Words) -> str:
    """A name as it must be written: bare where that is safe, else in quotes."""
    quote = words.quote
    if not isinstance(name, str) or not name.strip() or any(ord(letter) < 32 for letter in name):
        raise ArgumentError(f"{name!r} names no column or table", advice="Give its name.")
    inner = name[1:-1] if len(name) > 2 and name[0] == name[-1] == quote else name
    if quote in inner or "\\" in inner or ";" in inner:
        raise ArgumentError(
            f"the name {name!r} cannot be written safely", advice="Give a view with a plain name instead."
        )
    bare = inner == name and _PLAIN.fullmatch(name) and not _RESERVED.fullmatch(name.lower())
    return name if bare else f"{quote}{inner}{quote}"


def _lines(items: Any) -> str:
    """More columns of a list, each on a line of its own."""
    return "".join(f",\n{item}" for item in items)
