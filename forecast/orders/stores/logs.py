"""A generic log as entries, so that a store can keep it like a platform's export.

Its rows were judged when they were read: what is used becomes an entry with one amount, what is not stays
as counts, money and row numbers.
"""

from __future__ import annotations

import itertools
from typing import Any

from forecast.errors import InputError
from forecast.orders.dialects.platform import ATTRIBUTES, FLAGS, Platform, Table
from forecast.orders.handle import Orders
from forecast.orders.platforms.entries import AMOUNTS
from forecast.orders.platforms.exports import Entries
from forecast.orders.platforms.judging import PLAIN
from forecast.orders.reconciliation import kind_of_code
from forecast.orders.sql import ident, text

LOG = Platform(name="generic", title="an order log", table=Table((), {}, ()), policies=PLAIN)
_numbers = itertools.count(1)

_TEXTS = ("unique_id", "entity_id", "parent_id", "email", "phone", "customer_id", "updated_at", "status_text")
_FALSE = ("is_blank", "is_masked", "is_shared", "no_day", "has_cancel", "is_test", "pays_later", "is_refund",
          "bad_money", "tax_inside", "is_forgotten", "cancelled", *FLAGS)  # fmt: skip


def entries_of_log(orders: Orders) -> Entries:
    """Entries of a log that the generic reader read.

    Raises
    ------
    InputError
        When it has no order numbers, or no money.
    """
    if "order_id" not in orders.mapping:
        raise InputError(
            "the log has no order numbers, so a later copy of an order cannot be told from a second order",
            advice="Map the column of order numbers (--map order_id=COLUMN), or keep the files and read them "
            "together: forecast check logs/*.csv.",
        )
    if "value" not in orders.mapping:
        raise InputError(
            "a log without money cannot be kept in an order store",
            advice="Keep the files and read them together: forecast check logs/*.csv.",
        )
    connection, said = orders.connection, orders.reconciliation
    name = f"entries_log_{next(_numbers)}"
    files = list(said.files)
    number = " ".join(f"WHEN {text(file)} THEN {k}" for k, file in enumerate(files))
    currency = "CAST(NULL AS VARCHAR)" if orders.currency is None else text(orders.currency)
    parts = [
        f"CAST(CASE source_file {number} END AS INTEGER) AS file", "source_file", "source_row AS row",
        "CAST(1 AS BIGINT) AS lines", "order_id", "customer_id AS account_id", f"{currency} AS currency",
        "CAST(order_day AS TIMESTAMP) AS order_ts", "order_day", "CAST(NULL AS DATE) AS cancel_day",
        "'completed' AS state", "true AS is_order", "value AS total", "CAST(items AS DOUBLE) AS items",
        "CAST(NULL AS DOUBLE) AS other", "row_number() OVER () AS entry", "CAST(NULL AS DATE) AS loaded",
        "CAST(NULL AS INTEGER) AS load", "CAST(NULL AS VARCHAR) AS digest",
        *(f"CAST(NULL AS VARCHAR) AS {column}" for column in (*_TEXTS, *ATTRIBUTES)),
        *(f"CAST(NULL AS DOUBLE) AS {column}" for column in AMOUNTS if column != "total"),
        *(f"false AS {column}" for column in _FALSE),
        *(f"{ident(extra)} AS {ident('x:' + extra)}" for extra in orders.extras),
    ]  # fmt: skip
    connection.execute(f"CREATE TABLE {name} AS SELECT {', '.join(parts)} FROM {orders.table}")
    connection.execute(
        f"CREATE TABLE {name}_given (own BIGINT, parent VARCHAR, day DATE, amount DOUBLE, net DOUBLE, "
        "tax DOUBLE, shipping DOUBLE, file INTEGER, source_file VARCHAR, row BIGINT)"
    )
    notes = list(said.notes)
    bare = connection.execute(f"SELECT count(*) FROM {name} WHERE order_id IS NULL").fetchall()[0][0]
    if bare:
        notes.append(
            f"LOOK HERE: {bare:,} orders have no number; where a later load has them again, they count twice"
        )
    tell_apart(connection, name)
    return Entries(
        LOG, name, f"{name}_given", files, dict(said.rows_in),
        [(line.file, line.code, line.rows) for line in said.lines if line.code == "line_merged"], [],
        dict(orders.mapping), orders.extras, orders.currency, notes,
        left=[line for line in said.lines if kind_of_code(line.code) == "rejected"],
        rejects=orders.rejects_table,
    )  # fmt: skip


def tell_apart(connection: Any, entries: str) -> None:
    """Give ids of their own to orders of one load that share a number: each customer and day is an order.

    Their copies in other loads get them as well.
    """
    connection.execute(
        f"UPDATE {entries} SET unique_id = account_id || chr(31) || CAST(order_day AS VARCHAR) WHERE "
        "order_id IN ("
        f"SELECT order_id FROM {entries} WHERE order_id IS NOT NULL GROUP BY order_id, load HAVING count(*) "
        "> 1)"
    )
