"""A platform's rows as they came, put together to one row an order; nothing is read out of the cells yet."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from forecast.errors import ArgumentError, InputError
from forecast.orders.cells import is_nested, read_values
from forecast.orders.columns import listed, normalise
from forecast.orders.dialects.platform import MONEY, NUMBERS, Platform, Table
from forecast.orders.sources import Source
from forecast.orders.sql import ident, text, trimmed

# Money computed while lines are put together is exact, whatever the order of rows.
_EXACT = "DECIMAL(38, 6)"


@dataclass
class Cells:
    """A relation of fields: its name, and the header and database type of each field that is there."""

    name: str
    headers: dict[str, str]
    types: dict[str, str]
    semicolons: bool = False

    def has(self, field: str) -> bool:
        return field in self.headers


def gather(
    connection: Any,
    sources: Sequence[tuple[int, Source]],
    table: Table,
    mapping: Mapping[str, str | None],
    name: str,
    platform: Platform,
) -> Cells:
    """One view of the fields of a kind of file over its sources: ``file, source_file, row, is_blank``, fields.

    Raises
    ------
    InputError
        When a required field, or a column that was asked for, is missing.
    """
    places = [_places(source, table, mapping) for _, source in sources]
    fields = list(dict.fromkeys(field for place in places for field in place))
    headers = {}
    for field in fields:
        headers[field] = next(place[field][1] for place in places if field in place)
    for (_, source), place in zip(sources, places, strict=True):
        for field in table.required:
            if field not in place and not (field == "total" and field in mapping):
                raise InputError(
                    f"no column looks like the {field.replace('_', ' ')}",
                    where=source.label,
                    advice=platform.hints.get(field, "")
                    + f" Columns found: {listed(source.columns)}. Say which one it is: --map {field}=COLUMN.",
                )
    types = {}
    for field in fields:
        kinds = {place[field][2] for place in places if field in place}
        types[field] = kinds.pop() if len(kinds) == 1 else "VARCHAR"
        if is_nested(types[field]):
            types[field] = "VARCHAR"
    arms = []
    for (number, source), place in zip(sources, places, strict=True):
        picked = []
        for field in fields:
            cell = place[field][0] if field in place else "NULL"
            if field not in place or place[field][2] != types[field]:
                cell = f"CAST({cell} AS {types[field]})"
            picked.append(f"{_clean(cell) if types[field] == 'VARCHAR' else cell} AS {ident(field)}")
        blank = " AND ".join(f"{cell} IS NULL" for cell in source.cells) or "false"
        # The record itself stays at hand where refunds are nested in it.
        record, relation = "CAST(NULL AS VARCHAR)", source.relation
        if source.record is not None:
            record = source.record
        if source.record is not None and table.json:
            paths = ", ".join(text("/" + pointer) for pointer in _pointers(table))
            relation = f"(SELECT *, json_extract_string({record}, [{paths}]) AS json_cells FROM {relation})"
            # What is a JSON object holds something.
            blank = "false"
        arms.append(
            f"SELECT CAST({number} AS INTEGER) AS file, {text(source.label)} AS source_file, "
            f"CAST({source.row} AS BIGINT) AS row, ({blank}) AS is_blank, {record} AS record, "
            f"{', '.join(picked)} FROM {relation}"
        )
    connection.execute(f"CREATE OR REPLACE VIEW {name} AS {' UNION ALL '.join(arms)}")
    semicolons = any(source.delimiter == ";" for _, source in sources)
    return Cells(name, headers, types, semicolons)


def _places(
    source: Source, table: Table, mapping: Mapping[str, str | None]
) -> dict[str, tuple[str, str, str]]:
    """Expression, header and type of each field of a source."""
    found: dict[str, tuple[str, str, str]] = {}
    by_name: dict[str, int] = {}
    for i, column in enumerate(source.columns):
        by_name.setdefault(normalise(column), i)
    pointers = _pointers(table)
    for field, names in table.fields.items():
        if field in mapping:
            continue
        if table.json and source.record is not None:
            cells = [f"json_cells[{pointers.index(name) + 1}]" for name in names]
            cell = cells[0] if len(cells) == 1 else f"coalesce({', '.join(cells)})"
            found[field] = (cell, names[0].replace("/", "."), "VARCHAR")
            continue
        for name in names:
            at = by_name.get(normalise(name))
            if at is not None:
                found[field] = (source.cells[at], source.columns[at], source.types[at])
                break
    for field, asked in mapping.items():
        if asked is None:
            continue
        at = by_name.get(normalise(asked))
        exact = [i for i, column in enumerate(source.columns) if column == asked]
        if exact:
            at = exact[0]
        if at is not None:
            found[field] = (source.cells[at], source.columns[at], source.types[at])
        elif source.record is not None:
            cell = f"json_extract_string({source.record}, {text('/' + asked.replace('.', '/'))})"
            found[field] = (cell, asked, "VARCHAR")
        else:
            raise InputError(
                f"the column mapped to {field} is not there: {asked!r}",
                where=source.label,
                advice=f"Columns found: {listed(source.columns)}.",
            )
    return found


def _pointers(table: Table) -> list[str]:
    """Every pointer of a table of records; they are taken out together, so that a record is parsed once."""
    return list(dict.fromkeys(name for names in table.fields.values() for name in names))


def _clean(cell: str) -> str:
    """A text cell without white space and a spreadsheet's apostrophe; NULL where it is blank."""
    bare = f"nullif(nullif({trimmed(cell)}, ''), '\\N')"
    return (
        f"CASE WHEN starts_with({cell}, '''') THEN nullif(ltrim({trimmed(cell)}, ''''), '') ELSE {bare} END"
    )


def collapse(connection: Any, cells: Cells, platform: Platform, name: str, notes: list[str]) -> Cells:
    """One row an order: the first filled cell of each field, the number of lines, and sums over lines.

    The first row of an order, by its place in the file, gives its provenance. Orders that share a number
    but have ids of their own stay apart.
    """
    fields = list(cells.headers)
    types = dict(cells.types)
    if not platform.lines:
        bad = ", CAST(false AS BOOLEAN) AS bad_line"
        connection.execute(
            f"CREATE TABLE {name} AS SELECT *, CAST(1 AS BIGINT) AS lines{bad} FROM {cells.name}"
        )
        return Cells(name, cells.headers, types, cells.semicolons)
    key = _line_key(platform, cells)
    if platform.lines and cells.has("unique_id") and platform.key != "unique_id":
        key = _apart(connection, cells, key, notes)
    numbers, bad_line = _line_numbers(connection, cells, platform, notes)
    own = f"NOT coalesce({platform.line_rows}, false)" if platform.line_rows else "true"
    picked = []
    for field in fields:
        if field in NUMBERS or field in platform.line_sums:
            continue
        cell = ident(field)
        if field == "first_product" or field == "quantity":
            picked.append(f"arg_min({cell}, row) FILTER ({cell} IS NOT NULL) AS {cell}")
        else:
            picked.append(f"arg_min({cell}, row) FILTER ({cell} IS NOT NULL AND {own}) AS {cell}")
    for field, expression in numbers.items():
        picked.append(f"CAST(sum(CAST({expression} AS {_EXACT})) AS DOUBLE) AS {ident(field)}")
        types[field] = "DOUBLE"
    connection.execute(
        f"CREATE TABLE {name} AS SELECT file, any_value(source_file) AS source_file, min(row) AS row, "
        f"bool_and(is_blank) AS is_blank, arg_min(record, row) AS record, count(*) AS lines, "
        f"coalesce(bool_or({bad_line}), false) AS bad_line, {', '.join(picked)} "
        f"FROM (SELECT *, {key} AS line_key FROM {cells.name}) GROUP BY file, line_key"
    )
    headers = {**cells.headers, **{f: cells.headers.get(f, f) for f in numbers}}
    return Cells(name, headers, types, cells.semicolons)


def _line_key(platform: Platform, cells: Cells) -> str:
    own = f"CAST({ident(platform.key)} AS VARCHAR)"
    if platform.line_rows and cells.has("parent_id"):
        own = f"coalesce(CAST(parent_id AS VARCHAR), {own})"
    return f"coalesce({own}, chr(0) || CAST(row AS VARCHAR))"


def _apart(connection: Any, cells: Cells, key: str, notes: list[str]) -> str:
    """Order numbers under which one file has several ids: each id is an order, lines follow their head."""
    shared = f"{cells.name}_shared"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {shared} AS SELECT file, {key} AS line_key FROM {cells.name} "
        "WHERE unique_id IS NOT NULL GROUP BY ALL HAVING min(unique_id) <> max(unique_id)"
    )
    found = connection.execute(f"SELECT count(*) FROM {shared}").fetchall()[0][0]
    if not found:
        return key
    notes.append(
        f"order numbers with more than one {cells.headers['unique_id']}: {found:,}; kept apart by it"
    )
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {shared}_rows AS SELECT c.file, c.row, "
        "last_value(c.unique_id IGNORE NULLS) OVER (PARTITION BY c.file, s.line_key ORDER BY c.row) AS of_id "
        f"FROM (SELECT *, {key} AS line_key FROM {cells.name}) c JOIN {shared} s USING (file, line_key)"
    )
    view = f"{cells.name}_apart"
    connection.execute(
        f"CREATE OR REPLACE VIEW {view} AS SELECT c.*, r.of_id FROM {cells.name} c "
        f"LEFT JOIN {shared}_rows r USING (file, row)"
    )
    cells.name = view
    return f"{key} || coalesce(chr(31) || CAST(of_id AS VARCHAR), '')"


def _line_numbers(
    connection: Any, cells: Cells, platform: Platform, notes: list[str]
) -> tuple[dict[str, str], str]:
    """Sums over the lines of an order, as expressions, and the condition of a line that cannot be read."""
    raw: dict[str, str] = {}
    bad = []
    wanted = [*NUMBERS, *(("price", "total", "tax", "shipping", "discount") if platform.line_sums else ())]
    for field in wanted:
        if not cells.has(field):
            continue
        reading = read_values(
            connection, cells.name, ident(field), cells.types[field], cells.headers[field], cells.semicolons
        )
        notes.extend(reading.notes)
        raw[field] = reading.value
        if platform.line_sums:
            needed = field in platform.table.required
            gone = f"NOT is_blank AND {reading.value} IS NULL" + (
                "" if needed else f" AND NOT {reading.blank}"
            )
            bad.append(f"({gone})")
    sums = {"quantity": raw["quantity"]} if "quantity" in raw else {}
    for field, expression in platform.line_sums.items():
        sums[field] = _with_numbers(expression, raw)
    return sums, " OR ".join(bad) or "false"


def _with_numbers(expression: str, numbers: Mapping[str, str]) -> str:
    """An expression over the lines' numbers; what a file does not have is NULL."""
    return re.sub(
        r"\b[a-z_]+\b",
        lambda word: (
            f"({numbers[word[0]]})"
            if word[0] in numbers
            else "NULL"
            if word[0] in (*MONEY, *NUMBERS)
            else word[0]
        ),
        expression,
    )


def check_fields(mapping: Mapping[str, str | None] | None, platform: Platform) -> dict[str, str | None]:
    """A mapping of fields to columns for a platform's files.

    Raises
    ------
    ArgumentError
        When it is no mapping of names.
    """
    if mapping is not None and not isinstance(mapping, Mapping):
        raise ArgumentError(
            f"mapping is a {type(mapping).__name__}", advice="Give a dict such as {'total': 'Total'}."
        )
    fields = {}
    for role, column in (mapping or {}).items():
        field = {"customer_id": "account_id", "order_date": "ordered_at", "items": "quantity"}.get(role, role)
        if not isinstance(role, str) or not role.isidentifier():
            raise ArgumentError(
                f"mapping has no role {role!r}", advice="Give names such as total or channel."
            )
        if column is not None and not isinstance(column, str):
            raise ArgumentError(f"mapping of {role} is not a column name: {column!r}")
        if field == "value":
            raise ArgumentError(
                f"{platform.title} has its own amounts; value cannot be mapped",
                advice="Choose a value policy (--value-policy), map total, or read with --dialect generic.",
            )
        fields[field] = column
    return fields
