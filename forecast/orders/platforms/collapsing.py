"""A platform's rows as they came, put together to one row an order; nothing is read out of the cells yet."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from forecast.errors import ArgumentError, InputError
from forecast.orders.cells import exact, is_nested, read_values
from forecast.orders.columns import listed, normalise
from forecast.orders.dialects.platform import MONEY, NUMBERS, Platform, Table
from forecast.orders.sources import Source
from forecast.orders.sql import ident, text, trimmed


@dataclass
class Cells:
    """A relation of fields: its name, and the header and database type of each field that is there."""

    name: str
    headers: dict[str, str]
    types: dict[str, str]
    semicolons: bool = False

    def clean(self, field: str, table: str = "") -> str:
        """The expression of a field's clean cell."""
        cell = table + ident(field)
        return clean(cell) if self.types[field] == "VARCHAR" else cell

    def has(self, field: str) -> bool:
        return field in self.headers


def gather(
    connection: Any,
    sources: Sequence[tuple[int, Source]],
    table: Table,
    mapping: Mapping[str, str | None],
    name: str,
    platform: Platform,
    raw: bool = False,
) -> Cells:
    """One view of a kind of file over its sources: ``file, source_file, row, is_blank``, and its fields.

    With ``raw`` only empty cells become NULL, and whoever reads the cells has to clean them.

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
            if types[field] == "VARCHAR":
                cell = f"nullif({cell}, '')" if raw else clean(cell)
            picked.append(f"{cell} AS {ident(field)}")
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


def clean(cell: str) -> str:
    """A text cell without white space and a spreadsheet's apostrophe; NULL where it is blank.

    Nearly all cells are clean, and a look at both ends is much cheaper than trimming.
    """
    odd = (
        f"{cell} < '!' OR ({cell} >= '''' AND {cell} < '(') OR ({cell} >= chr(160) AND {cell} < chr(161)) "
        f"OR {cell} = '\\N' OR ascii(right({cell}, 1)) <= 32 OR ascii(right({cell}, 1)) = 160"
    )
    plain = trimmed(f"ltrim({trimmed(cell)}, '''')")
    return f"CASE WHEN {odd} THEN nullif(nullif({plain}, ''), '\\N') ELSE {cell} END"


def collapse(connection: Any, cells: Cells, platform: Platform, name: str, notes: list[str]) -> Cells:
    """One row an order: the first filled cell of each field, the number of lines, and sums over lines.

    The first row of an order, by its place in the file, gives its provenance. Orders that share a number
    but have ids of their own stay apart.
    """
    if not platform.lines:
        connection.execute(
            f"CREATE TABLE {name} AS SELECT *, CAST(1 AS BIGINT) AS lines, CAST(false AS BOOLEAN) AS "
            "bad_line "
            f"FROM {cells.name}"
        )
        return Cells(name, cells.headers, dict(cells.types), cells.semicolons)
    numbers, bad_line = _line_numbers(connection, cells, platform, notes)
    own = f"NOT coalesce({platform.line_rows}, false)" if platform.line_rows else "true"
    fields = [f for f in cells.headers if f not in NUMBERS and f not in platform.line_sums]
    key = _line_key(platform, cells)
    groups = f"{name}_groups"
    split = cells.has("unique_id") and platform.key != "unique_id"
    _group(connection, cells, groups, key, fields, own, numbers, bad_line, split)
    if split and connection.execute(f"SELECT count(*) FROM {groups} WHERE several").fetchall()[0][0]:
        key = _apart(connection, cells, groups, key, notes)
        _group(connection, cells, groups, key, fields, own, numbers, bad_line, False)
    # Nearly always the first row holds all there is, and one join finds it.
    sums = "".join(f", {ident('sum:' + field)} AS {ident(field)}" for field in numbers)
    tidy = "".join(f", {cells.clean(field)} AS {ident(field)}" for field in fields)
    connection.execute(
        f"CREATE TABLE {name} AS SELECT *, (filled & ~({_mask(fields)})) <> 0 AS is_scattered FROM ("
        f"SELECT file, source_file, row, blank AS is_blank, record, lines, bad_line{sums}{tidy}, "
        "line_key, filled "
        f"FROM (SELECT c.*, g.is_blank AS blank, g.* EXCLUDE (file, head, is_blank, several) "
        f"FROM {cells.name} c JOIN {groups} g ON c.file = g.file AND c.row = g.head))"
    )
    connection.execute(f"ALTER TABLE {name} DROP COLUMN filled")
    if connection.execute(f"SELECT count(*) FROM {name} WHERE is_scattered").fetchall()[0][0]:
        _gather_scattered(connection, cells, name, key, fields, own, list(numbers))
    connection.execute(f"ALTER TABLE {name} DROP COLUMN line_key")
    connection.execute(f"ALTER TABLE {name} DROP COLUMN is_scattered")
    connection.execute(f"DROP TABLE {groups}")
    types = {field: cells.types[field] for field in fields} | dict.fromkeys(numbers, "DOUBLE")
    headers = {field: cells.headers[field] for field in fields}
    headers |= {field: cells.headers.get(field, field) for field in numbers}
    return Cells(name, headers, types, cells.semicolons)


def _mask(fields: Sequence[str], table: str = "") -> str:
    """Which fields of a row are filled, as bits of a number."""
    bits = (
        f"CASE WHEN {table}{ident(field)} IS NOT NULL THEN {1 << i} ELSE 0 END"
        for i, field in enumerate(fields)
    )
    return f"CAST({' + '.join(bits)} AS BIGINT)"


def _group(
    connection: Any,
    cells: Cells,
    groups: str,
    key: str,
    fields: Sequence[str],
    own: str,
    numbers: Mapping[str, str],
    bad_line: str,
    split: bool,
) -> None:
    """Orders and their first rows; ``filled`` tells which fields any row of the order has."""
    sums = "".join(
        f", CAST(sum({exact(expression)}) AS DOUBLE) AS {ident('sum:' + field)}"
        for field, expression in numbers.items()
    )
    several = "min(unique_id) <> max(unique_id)" if split else "false"
    connection.execute(
        f"CREATE OR REPLACE TABLE {groups} AS SELECT file, line_key, "
        f"coalesce(min(row) FILTER ({own}), min(row)) AS head, count(*) AS lines, "
        f"bool_and(is_blank) AS is_blank, coalesce(bool_or({bad_line}), false) AS bad_line, "
        f"coalesce({several}, false) AS several, bit_or(CASE WHEN {own} THEN {_mask(fields)} ELSE 0 "
        "END) AS filled"
        f"{sums} FROM (SELECT *, {key} AS line_key FROM {cells.name}) GROUP BY file, line_key"
    )


def _gather_scattered(
    connection: Any,
    cells: Cells,
    name: str,
    key: str,
    fields: Sequence[str],
    own: str,
    numbers: Sequence[str],
) -> None:
    """Orders whose cells lie in several rows: the first filled one of each field."""
    first = "".join(
        f", arg_min({cells.clean(field)}, row) FILTER ({cells.clean(field)} IS NOT NULL AND {own}) "
        f"AS {ident(field)}"
        for field in fields
    )
    plain = "".join(f", s.{ident(field)}" for field in fields)
    sums = "".join(f", h.{ident(field)}" for field in numbers)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {name}_scattered AS SELECT h.file, h.source_file, h.row, h.is_blank, "
        f"h.record, h.lines, h.bad_line{sums}{plain}, h.line_key, false AS is_scattered "
        f"FROM {name} h JOIN (SELECT file, line_key{first} FROM (SELECT *, {key} AS line_key FROM "
        f"{cells.name}) "
        f"WHERE (file, line_key) IN (SELECT (file, line_key) FROM {name} WHERE is_scattered) "
        "GROUP BY file, line_key) s USING (file, line_key)"
    )
    connection.execute(f"DELETE FROM {name} WHERE is_scattered")
    connection.execute(f"INSERT INTO {name} SELECT * FROM {name}_scattered")
    connection.execute(f"DROP TABLE {name}_scattered")


def _line_key(platform: Platform, cells: Cells) -> str:
    own = f"CAST({cells.clean(platform.key)} AS VARCHAR)"
    if platform.line_rows and cells.has("parent_id"):
        own = f"coalesce(CAST({cells.clean('parent_id')} AS VARCHAR), {own})"
    return f"coalesce({own}, chr(0) || CAST(row AS VARCHAR))"


def _apart(connection: Any, cells: Cells, groups: str, key: str, notes: list[str]) -> str:
    """Order numbers under which one file has several ids: each id is an order, lines follow their head."""
    found = connection.execute(f"SELECT count(*) FROM {groups} WHERE several").fetchall()[0][0]
    notes.append(
        f"order numbers with more than one {cells.headers['unique_id']}: {found:,}; kept apart by it"
    )
    rows, view = f"{cells.name}_of", f"{cells.name}_apart"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {rows} AS SELECT c.file, c.row, "
        "last_value(c.unique_id IGNORE NULLS) OVER (PARTITION BY c.file, g.line_key ORDER BY c.row) AS of_id "
        f"FROM (SELECT *, {key} AS line_key FROM {cells.name}) c "
        f"JOIN (SELECT file, line_key FROM {groups} WHERE several) g USING (file, line_key)"
    )
    connection.execute(
        f"CREATE OR REPLACE VIEW {view} AS SELECT c.*, r.of_id FROM {cells.name} c "
        f"LEFT JOIN {rows} r USING (file, row)"
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
            connection,
            cells.name,
            cells.clean(field),
            cells.types[field],
            cells.headers[field],
            cells.semicolons,
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
