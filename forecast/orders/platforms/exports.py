"""A platform's export, from its files to orders: each step is a table, so that every row can be followed."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as made_by
from typing import Any

from forecast.errors import ArgumentError, InputError
from forecast.orders.cells import read_ids, read_values
from forecast.orders.columns import extra_names
from forecast.orders.currencies import check_currency, one_currency
from forecast.orders.dialects import Look, table_of
from forecast.orders.dialects.platform import ATTRIBUTES, MONEY, NUMBERS, Join, Platform
from forecast.orders.platforms.collapsing import Cells, check_fields, collapse, gather
from forecast.orders.platforms.entries import complete, read_entries
from forecast.orders.platforms.identities import hash_column
from forecast.orders.platforms.judging import rates_table
from forecast.orders.platforms.refunds import collect_refunds
from forecast.orders.reconciliation import Line
from forecast.orders.sources import Source, refuse_no_records
from forecast.orders.sql import ident, text

_numbers = itertools.count(1)


@dataclass
class Entries:
    """Order records of a platform, read but not judged yet: what an order store keeps.

    Attributes
    ----------
    table : str
        One row an order record, see :mod:`forecast.orders.platforms.entries`.
    given : str
        Refunds nested in orders or from a second table.
    rows_in : dict of str to int
        Records of each file.
    merged : list of (file, code, rows)
        Rows that are in no entry: of a second table, or blank or broken.
    left : list of Line
        Rows that are in no entry any more, with their money: those of people who asked to be forgotten, and
        those that the generic reader rejected.
    rejects : str, optional
        Table ``source_file, source_row, code, value`` of rows that are in no entry.
    """

    platform: Platform
    table: str
    given: str
    files: list[str]
    rows_in: dict[str, int]
    merged: list[tuple[str, str, int]]
    broken: list[tuple[str, str]]
    mapping: dict[str, str]
    extras: tuple[str, ...]
    currency: str | None
    notes: list[str]
    left: list[Line] = made_by(default_factory=list)
    rejects: str | None = None


def read_export(
    connection: Any,
    sources: list[Source],
    platform: Platform,
    *,
    mapping: Mapping[str, str | None] | None,
    timezone: str | None,
    date_format: str | None,
    currency: str | None,
    rates: Mapping[str, float] | None,
    statuses: Mapping[str, str] | None,
    salt: bytes | None,
    notes: list[str],
) -> Entries:
    """Read the files of one platform into entries.

    Raises
    ------
    InputError
        When columns are missing, cells cannot be read, or currencies are mixed without rates.
    ArgumentError
        When an option cannot be meant.
    """
    name = f"entries_{next(_numbers)}"
    fields = check_fields(mapping, platform)
    looks = [Look(s.label, tuple(s.columns), s.record is not None) for s in sources]
    kinds = [table_of(platform, look) for look in looks]
    by_kind = {
        id(table): [(i, s) for i, s in enumerate(sources) if kinds[i] is table] for table in platform.tables()
    }
    for _, source in by_kind[id(platform.table)]:
        refuse_no_records(connection, source)
    rows_in = {s.label: _count(connection, s.relation) for s in sources}
    cells = gather(
        connection,
        by_kind[id(platform.table)],
        platform.table,
        fields,
        f"{name}_cells",
        platform,
        platform.lines,
    )
    taken = (*platform.table.fields, *MONEY, *NUMBERS, *ATTRIBUTES)
    taken += ("email", "phone", "account_id", "status", "unique_id")
    extras = [field for field in fields if field not in taken and fields[field] is not None]
    heads = collapse(connection, cells, platform, f"{name}_heads", notes)
    # What the heads do not hold is not needed again, and a large file is most of the memory.
    for _, source in by_kind[id(platform.table)]:
        if source.relation in source.tables:
            connection.execute(f"DROP TABLE {source.relation}")
    merged: list[tuple[str, str, int]] = []
    for join in platform.joins:
        parts = by_kind[id(join.table)]
        if parts:
            heads = _join(connection, heads, join, parts, platform, f"{heads.name}_j", notes)
            merged += [(s.label, "joined", _count(connection, s.relation)) for _, s in parts]
        elif join.needed and not any(cells.has(field) for field in join.take):
            raise InputError(
                f"{platform.title}: a file is missing",
                where=", ".join(s.label for s in sources),
                advice=platform.hints.get("identity", ""),
            )
    if not platform.aggregate and not any(
        map(heads.has, ("account_id", "email", "email2", "phone", "phone2", "phone3"))
    ):
        raise InputError(
            "no column says who the customer is",
            where=sources[0].label,
            advice=platform.hints.get("identity", "Export the orders with e-mail, phone or customer id."),
        )
    if (
        not platform.line_sums
        and not platform.joins
        and not heads.has("total")
        and "items" not in platform.table.fields
    ):
        raise InputError(
            "no column looks like the total", where=sources[0].label, advice=platform.hints.get("total")
        )
    read_entries(
        connection, heads, platform, name,
        timezone=timezone, date_format=date_format, statuses=statuses, extras=extras, notes=notes,
    )  # fmt: skip
    _drop(connection, name, heads)
    code, rate_name = _currency(
        connection, name, currency, rates, notes, heads.headers.get("currency", "currency")
    )
    complete(connection, name, platform, rate_name, notes)
    memo_parts = by_kind[id(platform.memos.table)] if platform.memos else []
    memos = None
    if memo_parts and platform.memos:
        memos = gather(connection, memo_parts, platform.memos.table, {}, f"{name}_memos", platform)
    given = collect_refunds(connection, name, platform, memos, timezone=timezone, notes=notes)
    if salt is not None:
        hash_column(connection, name, ["email", "phone"], salt)
        notes.append("e-mails and phones were replaced by pseudonyms; account ids stay as they are")
    connection.execute(f"ALTER TABLE {name} DROP COLUMN record")
    broken = []
    for s in sources:
        if s.broken is not None:
            for why, rows in connection.execute(
                f"SELECT code, count(*) FROM {s.broken} GROUP BY 1"
            ).fetchall():
                rows_in[s.label] += rows
                merged.append((s.label, why, rows))
            broken.append((s.label, s.broken))
    if memos is not None:
        merged += [
            (label, "blank_row", rows)
            for label, rows in connection.execute(
                f"SELECT source_file, count(*) FROM {memos.name} WHERE is_blank GROUP BY 1"
            ).fetchall()
        ]
    for (view,) in connection.execute(
        "SELECT view_name FROM duckdb_views() WHERE NOT internal AND starts_with(view_name, ?)", [name]
    ).fetchall():
        connection.execute(f"DROP VIEW {view}")
    mapping_used = {field: heads.headers[field] for field in heads.headers}
    return Entries(
        platform, name, given, [s.label for s in sources], rows_in, merged, broken, mapping_used,
        tuple(extra_names(extras)), code, notes,
    )  # fmt: skip


def _count(connection: Any, relation: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {relation}").fetchall()[0][0])


def _drop(connection: Any, name: str, heads: Cells) -> None:
    """The cells of the orders are no longer needed once they have been read."""
    for table, kind in connection.execute(
        "SELECT table_name, table_type FROM information_schema.tables WHERE table_name IN (?, ?)",
        [f"{name}_heads", heads.name],
    ).fetchall():
        connection.execute(f"DROP {'VIEW' if kind == 'VIEW' else 'TABLE'} IF EXISTS {table}")


def _join(
    connection: Any,
    heads: Cells,
    join: Join,
    parts: Sequence[tuple[int, Source]],
    platform: Platform,
    name: str,
    notes: list[str],
) -> Cells:
    """Add what a second table says about each order."""
    cells = gather(connection, parts, join.table, {}, f"{name}_cells", platform)
    typed = []
    for field in cells.headers:
        cell, kind, header = ident(field), cells.types[field], cells.headers[field]
        if field == "order_id":
            typed.append(f"{read_ids(connection, cells.name, cell, kind, header)[0]} AS join_key")
        elif field in MONEY or field == "quantity":
            reading = read_values(connection, cells.name, cell, kind, header, cells.semicolons)
            notes.extend(reading.notes)
            typed.append(f"{reading.value} AS {cell}")
        else:
            typed.append(f"CAST({cell} AS VARCHAR) AS {cell}")
    take = {field: sql for field, sql in join.take.items() if field in cells.headers or sql == "count(*)"}
    on = read_ids(connection, heads.name, ident(join.on), heads.types[join.on], heads.headers[join.on])[0]
    keep = [field for field in heads.headers if field not in take]
    types = {field: heads.types[field] for field in keep}
    picked = [f"h.{ident(field)}" for field in keep]
    for field in take:
        if heads.has(field):
            picked.append(
                f"coalesce(CAST(h.{ident(field)} AS VARCHAR), CAST(j.{ident(field)} AS VARCHAR)) AS "
                f"{ident(field)}"
            )
            types[field] = "VARCHAR"
        else:
            picked.append(f"j.{ident(field)}")
            types[field] = "DOUBLE" if field in MONEY or field == "quantity" else "VARCHAR"
    sums = ", ".join(
        f"CAST({sql} AS {'DOUBLE' if field in MONEY or field == 'quantity' else 'VARCHAR'}) AS {ident(field)}"
        for field, sql in take.items()
    )
    connection.execute(
        f"CREATE TABLE {name} AS SELECT h.file, h.source_file, h.row, h.is_blank, h.record, h.lines, "
        "h.bad_line, "
        f"{', '.join(picked)} FROM (SELECT *, {on} AS join_key FROM {heads.name}) h LEFT JOIN (SELECT "
        f"join_key, {sums} "
        f"FROM (SELECT {', '.join(typed)} FROM {cells.name}) WHERE join_key IS NOT NULL GROUP BY join_key) j "
        "USING (join_key)"
    )
    headers = {**heads.headers, **{field: cells.headers.get(field, field) for field in take}}
    return Cells(name, headers, types, heads.semicolons)


def _currency(
    connection: Any,
    table: str,
    currency: str | None,
    rates: Mapping[str, float] | None,
    notes: list[str],
    header: str,
) -> tuple[str | None, str | None]:
    """The one currency of the amounts; several need rates."""
    currency = check_currency(currency)
    counted = connection.execute(
        f"SELECT currency, count(*) FROM {table} WHERE NOT is_blank GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 20"
    ).fetchall()
    found = [(str(code)[:12], rows) for code, rows in counted if code is not None]
    blank = sum(rows for code, rows in counted if code is None)
    if rates:
        known = {str(code).strip().upper() for code in rates}
        missing = [f"{code} {rows:,} orders" for code, rows in found if code not in known]
        if missing:
            raise InputError(
                f"no rate for {', '.join(missing)}",
                where=f"column {header!r}",
                advice="Add them to the rates.",
            )
        base = currency or next(
            (str(c).strip().upper() for c, rate in rates.items() if float(rate) == 1), None
        )
        if base is None:
            raise ArgumentError(
                "the rates do not say into which currency they convert",
                advice="Give that one the rate 1, or pass currency (--currency).",
            )
        if blank and found:
            connection.execute(f"UPDATE {table} SET currency = {text(base)} WHERE currency IS NULL")
            notes.append(f"{blank:,} orders name no currency and were taken as {base}")
        notes.append(
            f"amounts converted to {base} by the rates given: " + ", ".join(f"{c} {n:,}" for c, n in found)
        )
        return base, rates_table(connection, rates, f"{table}_rates")
    one = one_currency(
        counted,
        currency,
        unit="orders",
        header=header,
        notes=notes,
        convert="give rates to convert.",
        several="give rates (--rates rates.csv with the columns currency and rate), or read one currency at "
        "a time.",
    )
    return one, None
