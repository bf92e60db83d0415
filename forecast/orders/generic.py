"""The generic reader: one column a role, rows judged one by one, lines of an order added up."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from forecast.errors import InputError
from forecast.orders.cells import ValueReading, exact, read_ids, read_values
from forecast.orders.codes import USED
from forecast.orders.currencies import check_currency, one_currency
from forecast.orders.dates import bad_date_error, is_implausible, read_days
from forecast.orders.dialect import GENERIC, choose_value_policy, choose_zero
from forecast.orders.files import kind_of
from forecast.orders.handle import Orders, Spread, stamp_of
from forecast.orders.merging import merge_lines, order_notes, overlap_notes, purchases_by_file
from forecast.orders.platforms.identities import hash_column
from forecast.orders.reconciliation import Line, Reconciliation, nothing_left, together
from forecast.orders.sources import Source, refuse_no_records
from forecast.orders.sql import ident, text
from forecast.orders.staging import Staging, stage

# Columns of a log that would bring back whom a pseudonym hides.
_PERSONAL = ("mail", "phone", "name", "address", "street", "zip", "postcode", "postal", "birth", "ip")
# Larger logs are not copied: their rows are read from where they lie as they are needed.
MOST_COPIED = 1_000_000
# Texts have to be read anew each time, so these are copied for longer.
MOST_TEXTS_COPIED = 10_000_000
_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
# One customer in so many tells how ids are spread.
SAMPLED = 1_024
_numbers = itertools.count(1)


class Counted(NamedTuple):
    """File, code, rows and value of what was judged; more where all of it can be used."""

    codes: list[tuple[int, str | None, int, Decimal]]
    facts: tuple[int, dt.date, dt.date] | None = None
    spread: Spread | None = None


def read_log(
    connection: Any,
    sources: list[Source],
    *,
    mapping: Mapping[str, str | None] | None,
    timezone: str | None,
    date_format: str | None,
    currency: str | None,
    value_policy: str | None,
    zero_value: str | None,
    salt: bytes | None,
    paths: tuple[Path, ...],
    notes: list[str],
) -> Orders:
    """Orders of a log whose columns are found by their headers or named by the user.

    Raises
    ------
    InputError
        When the data are unreadable, ambiguous, of several currencies, or leave no usable order.
    ArgumentError
        When an option cannot be meant.
    """
    policy = choose_value_policy(GENERIC, value_policy)
    zero = choose_zero(zero_value, GENERIC.zero_value)
    for one in sources:
        refuse_no_records(connection, one)
    number = next(_numbers)
    staging = stage(connection, sources, mapping, GENERIC, f"staged_{number}")
    if salt is not None:
        hidden = [name for name in staging.extras if any(word in name.casefold() for word in _PERSONAL)]
        for name in hidden:
            del staging.extras[name]
        notes.append("customer ids were replaced by pseudonyms")
        if hidden:
            notes.append(f"columns that may name a person were left out: {', '.join(hidden)}")
    code = _one_currency(connection, staging, currency, notes)
    judged = f"judged_{number}"
    in_place = salt is None and _stays_in_place(connection, sources, staging)
    made = "VIEW" if in_place else "TABLE"
    counted = _judge(connection, staging, timezone, date_format, zero, notes, judged, made)
    if salt is not None:
        hash_column(connection, judged, ["customer_id"], salt)
    tables = (f"orders_{number}", f"rejects_{number}")
    account: Any = _split(connection, sources, staging, judged, tables, notes, code, in_place, counted.codes)
    if in_place:
        account = cache(account)
        for one in sources:
            one.tables = ()  # they live as long as the orders
    else:
        account = account()
        connection.execute(f"DROP TABLE {judged}")
        connection.execute(f"DROP VIEW {staging.view}")
    return Orders(
        connection=connection,
        orders_table=tables[0],
        rejects_table=tables[1],
        account=account,
        mapping=staging.mapping,
        dialect=GENERIC.name,
        currency=code,
        timezone=timezone,
        value_policy=policy,
        zero_value=zero,
        extras=tuple(staging.extras),
        paths=paths,
        stamps=tuple(map(stamp_of, paths)) if in_place and not all(one.delimiter for one in sources) else (),
        facts=counted.facts,
        spread=counted.spread,
    )


def _stays_in_place(connection: Any, sources: list[Source], staging: Staging) -> bool:
    """Whether orders are read as they are needed: many, one row an order, in Parquet or delimited text."""
    if "order_id" in staging.mapping or not all(
        one.path is not None and one.broken is None and (one.delimiter or kind_of(one.path) == "parquet")
        for one in sources
    ):
        return False
    rows = sum(connection.execute(f"SELECT count(*) FROM {one.relation}").fetchall()[0][0] for one in sources)
    return bool(rows >= (MOST_TEXTS_COPIED if any(one.delimiter for one in sources) else MOST_COPIED))


def _one_currency(connection: Any, staging: Staging, currency: str | None, notes: list[str]) -> str | None:
    currency = check_currency(currency)
    if "currency" not in staging.mapping:
        return currency
    header = staging.mapping["currency"]
    counted = connection.execute(
        f"SELECT nullif(upper(CAST({ident('r:currency')} AS VARCHAR)), '') AS c, count(*) "
        f"FROM {staging.view} WHERE NOT is_blank GROUP BY c ORDER BY 2 DESC, 1 LIMIT 20"
    ).fetchall()
    return one_currency(
        counted,
        currency,
        unit="rows",
        header=header,
        notes=notes,
        convert="convert the amounts first.",
        several="read one currency at a time, or map a converted column to value and currency to nothing "
        "(--map currency= or None).",
    )


def _judge(
    connection: Any,
    staging: Staging,
    timezone: str | None,
    date_format: str | None,
    zero_value: str,
    notes: list[str],
    table: str,
    kind: str,
) -> Counted:
    """Fill ``table`` with all rows, their parsed cells and the code of those that cannot be used."""
    where, header = staging.view, staging.mapping
    ids, id_notes = read_ids(
        connection, where, ident("r:customer_id"), staging.types["customer_id"], header["customer_id"]
    )
    days = read_days(
        connection,
        where,
        ident("r:order_date"),
        staging.types["order_date"],
        timezone,
        date_format,
        header["order_date"],
    )
    values = ValueReading("CAST(NULL AS DOUBLE)", "false", "CAST(NULL AS VARCHAR)")
    if "value" in header:
        values = read_values(
            connection, where, ident("r:value"), staging.types["value"], header["value"], staging.semicolons
        )
    order_id, number_notes = "CAST(NULL AS VARCHAR)", list[str]()
    if "order_id" in header:
        order_id, number_notes = read_ids(
            connection, where, ident("r:order_id"), staging.types["order_id"], header["order_id"]
        )
    items = "CAST(NULL AS DOUBLE)"
    if "items" in header:
        cell = ident("r:items")
        items = f"CASE WHEN isfinite(TRY_CAST({cell} AS DOUBLE)) THEN TRY_CAST({cell} AS DOUBLE) END"
        lost = connection.execute(
            f"SELECT count(*) FROM {where} WHERE CAST({cell} AS VARCHAR) <> '' AND ({items}) IS NULL"
        ).fetchall()[0][0]
        if lost:
            notes.append(f"{header['items']}: {lost:,} cells are no numbers and were left blank")
    notes.extend([*id_notes, *values.notes, *number_notes])
    notes.append(f"{header['order_date']}: read as {days.note}")
    extras = "".join(f", {ident('x:' + name)}" for name in staging.extras)
    connection.execute(
        f"CREATE {kind} {table} AS SELECT *, {_code('value' in header, zero_value)} AS code FROM ("
        f"SELECT file, source_file, row, is_blank, {ids} AS customer_id, {days.blank} AS no_day, "
        f"{days.day} AS order_day, {values.value} AS value, {values.blank} AS no_value, "
        f"{values.shown} AS shown_value, {order_id} AS order_id, {items} AS items{extras} FROM {where})"
    )
    if kind == "VIEW":
        whole = staging.types["customer_id"] in _WHOLE
        source = table
        if whole:
            # Numbers are much quicker than their texts, which only the result needs.
            source = f"{table}_numbers"
            connection.execute(
                f"CREATE VIEW {source} AS SELECT file, is_blank, CAST({ident('r:customer_id')} AS BIGINT) AS "
                f"customer_id, {days.blank} AS no_day, {days.day} AS order_day, {values.value} AS value, "
                f"{values.blank} AS no_value FROM {where}"
            )
        clean = _all_usable(connection, source, whole, _arms("value" in header, zero_value))
        if clean is not None:
            return clean
    counted = connection.execute(
        f"SELECT file, code, count(*), coalesce(sum({exact('value')}), 0), "
        "count(*) FILTER (NOT no_day AND order_day IS NULL), count(*) FILTER (NOT no_day), "
        "count(*) FILTER (NOT no_value AND value IS NULL), count(*) FILTER (NOT no_value) "
        f"FROM {table} GROUP BY file, code"
    ).fetchall()
    bad_days, dates, bad_values, values_there = (sum(row[at] for row in counted) for at in range(4, 8))
    if bad_days * 2 > dates:
        raise bad_date_error(connection, where, days, bad_days, header["order_date"])
    if "value" in header and bad_values * 2 > values_there:
        raise InputError(
            "most amounts are no finite plain numbers",
            where=f"column {header['value']!r}",
            count=bad_values,
            advice="Write 1234.56 or 1.234,56 without currency signs, or map the column of money to value.",
        )
    return Counted([row[:4] for row in counted])


def _all_usable(connection: Any, table: str, whole: bool, arms: Sequence[tuple[str, str]]) -> Counted | None:
    """All there is to know, in one pass, of a log whose rows can all be used; None for another."""
    bad = " OR ".join(f"coalesce({test}, false)" for test, _ in arms)
    longest = "0" if whole else "max(strlen(customer_id))"
    found = connection.execute(
        f"SELECT file, count(*), coalesce(sum({exact('value')}), 0), min(order_day), max(order_day), "
        f"count(value), min(customer_id), max(customer_id), {longest}, max(abs(value)), "
        f"list(customer_id) FILTER (hash(customer_id) % {SAMPLED} = 0), count(*) FILTER ({bad}) "
        f"FROM {table} GROUP BY file"
    ).fetchall()
    if any(row[-1] for row in found):
        return None
    rows, _, first, last, valued, low, high, length, largest, some = list(zip(*found, strict=True))[1:-1]
    spread = Spread(
        sum(rows), sum(valued), min(low), max(high), max(length), max((v for v in largest if v), default=0),
        [one for ids in some for one in ids or ()], table if whole else None,
    )  # fmt: skip
    facts = (sum(rows), min(first), max(last))
    return Counted([(file, None, n, value) for file, n, value, *_ in found], facts, spread)


def _code(has_value: bool, zero_value: str) -> str:
    arms = _arms(has_value, zero_value)
    return "CASE " + " ".join(f"WHEN {test} THEN {text(code)}" for test, code in arms) + " END"


def _arms(has_value: bool, zero_value: str) -> list[tuple[str, str]]:
    arms = [
        ("is_blank", "blank_row"),
        ("customer_id IS NULL", "missing_customer_id"),
        ("no_day", "missing_date"),
        ("order_day IS NULL", "bad_date"),
        (is_implausible("order_day"), "implausible_date"),
    ]
    if has_value:
        arms += [
            ("no_value", "missing_value"),
            ("value IS NULL", "bad_value"),
            ("value < 0", "negative_value"),
        ]
        if zero_value == "drop":
            arms.append(("value = 0", "zero_value"))
    return arms


def _split(
    connection: Any,
    sources: list[Source],
    staging: Staging,
    judged: str,
    tables: tuple[str, str],
    notes: list[str],
    currency: str | None,
    in_place: bool,
    counted: list[tuple[int, str | None, int, Decimal]],
) -> Callable[[], Reconciliation]:
    """Used rows into one table, rejected ones into the other; what comes back makes the account of both."""
    orders, rejects = tables
    files = [source.label for source in sources]
    rows_in = {
        files[i]: connection.execute(f"SELECT count(*) FROM {source.relation}").fetchall()[0][0]
        for i, source in enumerate(sources)
    }
    value_in = {file: Decimal(0) for file in files}
    for file, _, _, value in counted:
        value_in[files[file]] += value
    lines = [Line(files[file], code, rows, value) for file, code, rows, value in counted if code is not None]
    # Where all rows can be used, nothing is asked of each row again.
    where = "WHERE code IS NOT NULL" if lines else "LIMIT 0"
    connection.execute(
        f"CREATE TABLE {rejects} AS SELECT source_file, row AS source_row, code, shown_value AS value "
        f"FROM {judged} {where}"
    )
    for source in sources:
        if source.broken is None:
            continue
        for code, rows in connection.execute(
            f"SELECT code, count(*) FROM {source.broken} GROUP BY code"
        ).fetchall():
            rows_in[source.label] += rows
            lines.append(Line(source.label, code, rows, Decimal(0)))
        connection.execute(
            f"INSERT INTO {rejects} SELECT {text(source.label)}, row, code, NULL FROM {source.broken}"
        )
    usable = {files[file]: rows for file, code, rows, _ in counted if code is None}
    if not usable:
        raise nothing_left(lines)
    extras = "".join(f", {ident('x:' + name)} AS {ident(name)}" for name in staging.extras)
    kept = "WHERE code IS NULL" if where.startswith("WHERE") else ""
    connection.execute(
        f"CREATE {'VIEW' if in_place else 'TABLE'} {orders} AS SELECT customer_id, order_day, value, "
        f"order_id, items, source_file, row AS source_row{extras} FROM {judged} {kept}"
    )
    has_order_id = "order_id" in staging.mapping

    def account() -> Reconciliation:
        told = [*notes, *overlap_notes(connection, judged, files, has_order_id)]
        if has_order_id:
            merge_lines(connection, orders, list(staging.extras))
        told += order_notes(connection, orders, has_order_id)
        every = [*lines, *_account(connection, orders, files, usable)]
        negative = sum(line.rows for line in lines if line.code == "negative_value")
        if negative:
            told.append(
                f"{negative:,} rows with negative amounts were left out: returns are not purchases, "
                "and the values of the orders they belong to are before returns"
            )
        has_value = "value" in staging.mapping
        return Reconciliation(rows_in, value_in, together(every, files), tuple(told), currency, has_value)

    return account


def _account(connection: Any, orders: str, files: list[str], usable: dict[str, int]) -> list[Line]:
    kept = {
        file: (rows, value)
        for file, rows, value in connection.execute(
            f"SELECT source_file, count(*), coalesce(sum({exact('value')}), 0) "
            f"FROM {orders} GROUP BY source_file"
        ).fetchall()
    }
    purchases = purchases_by_file(connection, orders, files)
    lines = []
    for file in files:
        rows, value = kept.get(file, (0, Decimal(0)))
        lines.append(Line(file, USED, purchases.get(file, 0), value))
        lines.append(Line(file, "line_merged", usable.get(file, 0) - rows, Decimal(0)))
        lines.append(Line(file, "same_day_merged", rows - purchases.get(file, 0), Decimal(0)))
    return [line for line in lines if line.rows or line.value or line.code == USED]
