"""Lines become orders, orders of one day become purchases; nothing of it depends on the order of rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from forecast.orders.sql import MONEY, ident

_ONE_ORDER = "order_id, customer_id, order_day"


def merge_lines(connection: Any, orders: str, extras: list[str]) -> None:
    """Merge rows of the same order number, customer and day in place; rows without a number stay apart.

    An extra column keeps the smallest of the lines' values, which no order of rows can change.
    """
    repeated = connection.execute(
        f"SELECT 1 FROM {orders} WHERE order_id IS NOT NULL GROUP BY {_ONE_ORDER} HAVING count(*) > 1 LIMIT 1"
    ).fetchall()
    if not repeated:
        return
    merged = f"{orders}_merged"
    smallest = "".join(f", min({ident(name)}) AS {ident(name)}" for name in extras)
    same = "".join(f", {ident(name)}" for name in extras)
    first = "min({'file': source_file, 'row': source_row})"
    connection.execute(
        f"CREATE TABLE {merged} AS "
        f"SELECT customer_id, order_day, CAST(sum(CAST(value AS {MONEY})) AS DOUBLE) AS value, order_id, "
        f"CAST(sum(TRY_CAST(items AS {MONEY})) AS DOUBLE) AS items, {first}.file AS source_file, "
        f"{first}.row AS source_row{smallest} FROM {orders} WHERE order_id IS NOT NULL GROUP BY {_ONE_ORDER} "
        "UNION ALL SELECT customer_id, order_day, value, order_id, items, source_file, source_row"
        f"{same} FROM {orders} WHERE order_id IS NULL"
    )
    connection.execute(f"DROP TABLE {orders}")
    connection.execute(f"ALTER TABLE {merged} RENAME TO {orders}")


def purchases_by_file(connection: Any, orders: str, files: Sequence[str] = ()) -> dict[str, int]:
    """Customer-days of each file; one that spans files counts with the first by name."""
    if len(files) == 1:
        days = f"SELECT count(*) FROM (SELECT DISTINCT customer_id, order_day FROM {orders})"
        return {files[0]: int(connection.execute(days).fetchall()[0][0])}
    return dict(
        connection.execute(
            "SELECT file, count(*) FROM (SELECT min(source_file) AS file "
            f"FROM {orders} GROUP BY customer_id, order_day) GROUP BY file"
        ).fetchall()
    )


def order_notes(connection: Any, orders: str, has_order_id: bool) -> list[str]:
    """What is odd about ids: counts only, never the ids."""
    notes = []
    zeros, cases = connection.execute(
        "SELECT coalesce(sum(n) FILTER (kind = 'zeros'), 0), "
        "coalesce(sum(n) FILTER (kind = 'case'), 0) FROM ("
        f"WITH ids AS (SELECT DISTINCT customer_id FROM {orders}) "
        "SELECT 'zeros' AS kind, count(*) AS n FROM ids GROUP BY ltrim(customer_id, '0') HAVING n > 1 "
        "UNION ALL SELECT 'case', count(*) AS n FROM ids GROUP BY lower(customer_id) HAVING n > 1)"
    ).fetchall()[0]
    if zeros:
        notes.append(
            f"ids that differ only by leading zeros: {zeros:,}; each was kept as a customer of its own"
        )
    if cases:
        notes.append(
            f"ids that differ only by capital letters: {cases:,}; each was kept as a customer of its own"
        )
    if has_order_id:
        split = connection.execute(
            f"SELECT count(*) FROM (SELECT 1 FROM {orders} WHERE order_id IS NOT NULL "
            "GROUP BY order_id HAVING count(*) > 1)"
        ).fetchall()[0][0]
        if split:
            notes.append(
                f"order numbers with more than one customer or day: {split:,}; each combination is one order"
            )
    return notes


def overlap_notes(connection: Any, judged: str, files: list[str], has_order_id: bool) -> list[str]:
    """Rows of one file that an earlier file has too: overlapping exports count twice.

    Only days that two files share are looked at, so that one file a period costs nothing.
    """
    if len(files) < 2:
        return []
    usable = f"(SELECT * FROM {judged} WHERE code IS NULL)"
    spans = connection.execute(
        f"SELECT min(order_day), max(order_day) FROM {usable} GROUP BY file ORDER BY 1"
    ).fetchall()
    shared, latest = [], None
    for start, end in spans:
        if latest is not None and start <= latest:
            shared.append(f"order_day BETWEEN DATE '{start}' AND DATE '{min(end, latest)}'")
        latest = end if latest is None else max(end, latest)
    if not shared:
        return []
    # Lines of one order may differ in value; rows without a number are known by their value alone.
    found = connection.execute(
        "SELECT one, file, sum(n) FROM (SELECT file, n, "
        "min(file) OVER (PARTITION BY customer_id, order_day, order_id, v) AS one FROM "
        "(SELECT file, customer_id, order_day, order_id, CASE WHEN order_id IS NULL THEN value END AS v, "
        f"count(*) AS n FROM {usable} WHERE {' OR '.join(shared)} GROUP BY ALL)) WHERE file > one "
        "GROUP BY one, file ORDER BY one, file"
    ).fetchall()
    what = "order number, customer and day" if has_order_id else "customer, day and value"
    return [
        f"LOOK HERE: {rows:,} rows of {files[file]} repeat rows of {files[one]} (the same {what}): "
        "overlapping exports count twice; give each period once"
        for one, file, rows in found
    ]
