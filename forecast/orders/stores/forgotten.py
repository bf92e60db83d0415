"""Who was forgotten: salted one-way marks, and taking the orders of the marked out of entries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from forecast.orders.platforms.exports import Entries
from forecast.orders.reconciliation import Line
from forecast.orders.sql import MONEY, text


def mark_sql(salt: str, cell: str) -> str:
    """The mark of an account, e-mail or phone; without the salt nothing can be compared with it."""
    return f"sha256({text(salt + ':')} || {cell})"


def marks(connection: Any, salt: str, ids: Iterable[str]) -> list[str]:
    """Marks of some ids.

    Examples
    --------
    >>> import duckdb
    >>> [len(mark) for mark in marks(duckdb.connect(), "salt", ["ada@example.com"])]
    [64]
    """
    return [
        connection.execute(f"SELECT {mark_sql(salt, '?')}", [own]).fetchall()[0][0] for own in sorted(ids)
    ]


def drop_forgotten(connection: Any, entries: Entries, salt: str, tombstones: Mapping[str, str]) -> int:
    """Take out of entries what people ordered up to the day on which they were forgotten; how many rows.

    Nothing of them is kept but counts, money and row numbers.
    """
    if not tombstones:
        return 0
    stones = f"{entries.table}_stones"
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {stones} (mark VARCHAR, day DATE)")
    connection.executemany(f"INSERT INTO {stones} VALUES (?, ?)", list(tombstones.items()))
    gone = f"{entries.table}_gone"
    arms = []
    # A phone is somebody's own only where nothing else says who ordered.
    for column, alone in (
        ("account_id", ""),
        ("email", ""),
        ("phone", "AND account_id IS NULL AND email IS NULL"),
    ):
        arms.append(
            f"SELECT e.entry FROM {entries.table} e JOIN {stones} s ON s.mark = "
            f"{mark_sql(salt, f'e.{column}')} "
            f"WHERE e.{column} IS NOT NULL AND (e.order_day IS NULL OR e.order_day <= s.day) {alone}"
        )
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {gone} AS {' UNION '.join(arms)}")
    lines = take_out(connection, entries, gone)
    connection.execute(f"DROP TABLE {stones}")
    return sum(line.rows for line in lines)


def take_out(connection: Any, entries: Entries, gone: str) -> list[Line]:
    """Take the entries in the table ``gone`` out, and the refunds that belong to them.

    What is taken out stays as lines of the code ``forgotten``, so that every file still balances.
    """
    name, given = entries.table, entries.given
    memo_key = entries.platform.memos.on if entries.platform.memos else "entity_id"
    mine = f"SELECT coalesce(entity_id, order_id) FROM {name} WHERE entry IN (SELECT entry FROM {gone})"
    connection.execute(
        f"INSERT INTO {gone} SELECT entry FROM {name} WHERE is_refund AND entry NOT IN (SELECT entry FROM "
        f"{gone}) "
        f"AND nullif(parent_id, '0') IN ({mine})"
    )
    of_entry = f"own IN (SELECT entry FROM {gone})"
    of_order = (
        f"own IS NULL AND parent IN (SELECT {memo_key} FROM {name} WHERE entry IN (SELECT entry FROM {gone}))"
    )
    lines = []
    for file, rows, more, money in connection.execute(
        f"SELECT source_file, count(*), sum(lines - 1), coalesce(sum(CAST(total AS {MONEY})), 0) FROM {name} "
        f"WHERE entry IN (SELECT entry FROM {gone}) GROUP BY 1 ORDER BY 1"
    ).fetchall():
        lines += [Line(file, "forgotten", rows, money), Line(file, "line_merged", int(more), Decimal(0))]
    for file, rows, money in connection.execute(
        f"SELECT source_file, count(*), coalesce(sum(CAST(amount AS {MONEY})), 0) FROM {given} WHERE "
        f"{of_order} "
        "AND source_file IS NOT NULL GROUP BY 1 ORDER BY 1"
    ).fetchall():
        lines.append(Line(file, "forgotten", rows, -money))
    if entries.rejects is None:
        entries.rejects = f"{name}_rejected"
        connection.execute(
            f"CREATE TABLE {entries.rejects} (source_file VARCHAR, source_row BIGINT, code VARCHAR, value "
            "VARCHAR)"
        )
    connection.execute(
        f"INSERT INTO {entries.rejects} SELECT source_file, row, 'forgotten', NULL FROM {name} "
        f"WHERE entry IN (SELECT entry FROM {gone}) UNION ALL SELECT source_file, row, 'forgotten', NULL "
        f"FROM {given} WHERE {of_order} AND source_file IS NOT NULL"
    )
    connection.execute(f"DELETE FROM {given} WHERE {of_entry} OR ({of_order})")
    connection.execute(f"DELETE FROM {name} WHERE entry IN (SELECT entry FROM {gone})")
    connection.execute(f"DROP TABLE {gone}")
    lines = [line for line in lines if line.rows or line.value]
    entries.left += lines
    return lines
