"""What was given back: refunds as a column, nested in the order, as rows of their own, or in a second table.

Whatever their form they end up as rows of one table: which order, on what day (if that is known), how much.
"""

from __future__ import annotations

from typing import Any

from forecast.orders.cells import read_ids, read_values
from forecast.orders.dates import Clock, read_days
from forecast.orders.dialects.platform import MONEY, Platform
from forecast.orders.platforms.collapsing import Cells
from forecast.orders.platforms.entries import over
from forecast.orders.sql import ident

# Below half a cent nothing is left of an order, or nothing was given back.
HALF_CENT = 0.005
_COLUMNS = (
    "own BIGINT, parent VARCHAR, day DATE, amount DOUBLE, net DOUBLE, tax DOUBLE, shipping DOUBLE, "
    "file INTEGER, source_file VARCHAR, "
    "row BIGINT"
)


def collect_refunds(
    connection: Any,
    entries: str,
    platform: Platform,
    memos: Cells | None,
    *,
    timezone: str | None,
    notes: list[str],
) -> str:
    """Make the table ``<entries>_given``: refunds nested in an order (``own``) and those of a second table.

    The latter name their order by ``parent`` and keep their place in the input.
    """
    table = f"{entries}_given"
    connection.execute(f"CREATE OR REPLACE TABLE {table} ({_COLUMNS})")
    clock = Clock(platform.clock, timezone, platform.month_first)
    nested = platform.refund_list
    if nested is not None:
        view = f"{table}_nested"
        at = "CAST(NULL AS VARCHAR)" if nested.at is None else nested.at
        net, tax = (part or "CAST(NULL AS DOUBLE)" for part in (nested.net, nested.tax))
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {view} AS SELECT entry, ({at}) AS given_at, "
            f"({nested.amount}) AS amount, "
            f"({net}) AS net, ({tax}) AS tax FROM (SELECT entry, tax_inside, unnest({nested.items}) AS "
            f"r FROM {entries} "
            "WHERE record IS NOT NULL)"
        )
        day = "CAST(NULL AS DATE)"
        if connection.execute(f"SELECT count(given_at) FROM {view}").fetchall()[0][0]:
            day = read_days(connection, view, "given_at", "VARCHAR", None, None, "refunds", clock).day
        connection.execute(
            f"INSERT INTO {table} SELECT entry, NULL, {day}, amount, net, tax, NULL, NULL, NULL, NULL "
            f"FROM {view} "
            f"WHERE abs(coalesce(amount, 0)) > {HALF_CENT}"
        )
    if memos is not None and platform.memos is not None:
        typed = ["file", "source_file", "row"]
        for field in memos.headers:
            cell, kind, header = ident(field), memos.types[field], memos.headers[field]
            if field in MONEY:
                reading = read_values(connection, memos.name, cell, kind, header, memos.semicolons)
                notes.extend(reading.notes)
                typed.append(f"{reading.value} AS {cell}")
            elif field in ("parent_id", "order_id"):
                typed.append(f"{read_ids(connection, memos.name, cell, kind, header)[0]} AS {cell}")
            elif field == "refunded_at":
                days = read_days(connection, memos.name, cell, kind, None, None, header, clock)
                typed.append(f"{days.day} AS day")
        have = set(memos.headers)
        parts = ", ".join(
            "CAST(NULL AS DOUBLE)" if part is None else over(part, have)
            for part in (platform.memos.net, platform.memos.tax, platform.memos.shipping)
        )
        connection.execute(
            f"INSERT INTO {table} SELECT NULL, coalesce(parent_id, ''), day, "
            f"{over(platform.memos.amount, have)}, {parts}, file, source_file, row "
            f"FROM (SELECT {', '.join(typed)} FROM {memos.name} WHERE NOT is_blank)"
        )
    return table


def attach_refunds(connection: Any, entries: str, given: str, key: str) -> str:
    """Make the table ``<entries>_refunds``: ``entry, day, amount, net, tax, shipping, as_row`` and its place.

    ``entry`` is NULL where no order was found; ``as_row`` says that the refund was a row of the input, so
    that its money is part of what came in. ``key`` is the column of an order that a second table names.
    """
    table = f"{entries}_refunds"
    alive = "NOT is_refund AND (NOT is_duplicate OR is_old)"
    # A refund that a second table dates is the one that the order itself mentions.
    told_twice = (
        f"own IN (SELECT e.entry FROM {entries} e JOIN {given} m ON m.own IS NULL AND e.{key} = m.parent)"
    )
    connection.execute(
        f"CREATE OR REPLACE TABLE {table} AS SELECT own AS entry, day, amount, net, tax, shipping, "
        "false AS as_row, file, "
        f"source_file, row FROM {given} WHERE own IS NOT NULL AND NOT ({told_twice})"
    )
    connection.execute(
        f"INSERT INTO {table} SELECT e.entry, m.day, m.amount, m.net, m.tax, m.shipping, true, m.file, "
        "m.source_file, m.row "
        f"FROM (SELECT * FROM {given} WHERE own IS NULL) m "
        f"LEFT JOIN (SELECT {key} AS key, entry FROM {entries} WHERE {key} IS NOT NULL AND {alive}) e "
        "ON e.key = m.parent"
    )
    _attach_rows(connection, entries, table, alive)
    _attach_columns(connection, entries, table, alive)
    return table


def _attach_rows(connection: Any, entries: str, table: str, alive: str) -> None:
    """Refund rows: to the order they name; else to the customer's order of that day that they fit best."""
    rows, chosen = f"{table}_rows", f"{table}_chosen"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {rows} AS SELECT entry AS refund, nullif(parent_id, '0') AS parent, "
        "customer_id, order_day, -total AS amount, -net AS net, -tax AS tax, -shipping AS shipping, "
        "file, source_file, row "
        f"FROM {entries} WHERE is_refund AND NOT is_duplicate AND is_order AND total < 0"
    )
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {chosen} AS SELECT r.refund, e.entry FROM {rows} r "
        f"JOIN (SELECT * FROM {entries} WHERE {alive}) e ON coalesce(e.entity_id, e.order_id) = r.parent"
    )
    connection.execute(
        f"INSERT INTO {chosen} SELECT refund, entry FROM (SELECT r.refund, e.entry, row_number() OVER "
        f"(PARTITION BY r.refund ORDER BY abs(e.total - r.amount) > {HALF_CENT}, e.total, e.entry) AS rank "
        f"FROM {rows} r JOIN {entries} e ON e.customer_id = r.customer_id AND e.order_day = r.order_day "
        "WHERE r.parent IS NULL AND NOT e.is_refund AND NOT e.is_duplicate AND NOT e.cancelled "
        f"AND e.total + {HALF_CENT} >= r.amount) WHERE rank = 1"
    )
    # Several rows may have chosen one order; what is more than the order cost belongs to none.
    connection.execute(
        f"INSERT INTO {table} SELECT CASE WHEN so_far <= total + {HALF_CENT} OR parent IS NOT NULL "
        "THEN entry END, "
        "order_day, amount, net, tax, shipping, true, file, source_file, row FROM ("
        "SELECT r.*, c.entry, e.total, "
        "sum(r.amount) OVER (PARTITION BY c.entry ORDER BY r.amount DESC, r.refund) AS so_far "
        f"FROM {rows} r LEFT JOIN {chosen} c USING (refund) LEFT JOIN {entries} e ON e.entry = c.entry)"
    )


def _attach_columns(connection: Any, entries: str, table: str, alive: str) -> None:
    """What the order's own column says beyond the dated refunds; it has no date."""
    connection.execute(
        f"INSERT INTO {table} SELECT e.entry, CASE WHEN e.cancelled THEN e.cancel_day END, "
        "e.refunded - coalesce(r.amount, 0), CASE WHEN r.amount IS NULL THEN e.refunded_net END, NULL, "
        "NULL, false, NULL, NULL, NULL "
        f"FROM (SELECT * FROM {entries} WHERE {alive}) e "
        f"LEFT JOIN (SELECT entry, sum(amount) AS amount FROM {table} GROUP BY entry) r "
        f"USING (entry) WHERE e.refunded - coalesce(r.amount, 0) > {HALF_CENT}"
    )
    # A status that says "refunded" without an amount is a refund of all.
    connection.execute(
        f"INSERT INTO {table} SELECT entry, NULL, total, net, NULL, NULL, false, NULL, NULL, NULL FROM "
        f"{entries} "
        f"WHERE {alive} AND state = 'refunded' AND total > 0 AND entry NOT IN "
        f"(SELECT entry FROM {table} WHERE entry IS NOT NULL)"
    )
