"""Every kind of source as one relation: cells c0, c1, ... and the number of the record."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from forecast.errors import ArgumentError, InputError
from forecast.orders.files import find_files, kind_of, labels, refuse_twice, wrapper_of
from forecast.orders.frames import frame_to_arrow, is_frame
from forecast.orders.records import has_blank_lines, layout_of, load_carefully
from forecast.orders.sql import ident, text

_numbers = itertools.count(1)


@dataclass
class Source:
    """One file or frame, as the database sees it.

    Parameters
    ----------
    label : str
        Short name for messages and provenance.
    relation : str
        What stands after FROM.
    row : str
        Expression of the record's number (delimited text: the header is record 1; others count from 1).
    columns, cells, types : list of str
        Header, expression and database type of each column.
    broken : str, optional
        Table ``row, code`` of records that could not be taken apart.
    path : Path, optional
        The file, when it is one.
    delimiter : str, optional
        Of delimited text.
    record : str, optional
        Expression of the JSON object that a row is.
    """

    label: str
    relation: str
    row: str
    columns: list[str]
    cells: list[str]
    types: list[str]
    broken: str | None = None
    path: Path | None = None
    delimiter: str | None = None
    record: str | None = None
    tables: tuple[str, ...] = ()
    views: tuple[str, ...] = ()


Wanted = Callable[[str, Sequence[str]], "set[str] | None"]


def open_sources(
    connection: Any, source: Any, wanted: Wanted | None = None
) -> tuple[list[Source], list[str]]:
    """All files and frames that ``source`` stands for, and notes on how they were read.

    ``wanted`` says which columns of a delimited file are needed, from its name and header; the others are
    not kept, which in a platform's file of 79 columns saves most of the memory.

    Raises
    ------
    InputError
        When one of them is missing, empty, unreadable, or of an unknown kind.
    ArgumentError
        When ``source`` is neither a path nor a frame nor a list of them.
    """
    items = list(source) if isinstance(source, (list, tuple)) else [source]
    if not items:
        raise InputError("no file is given", advice="Name at least one file of orders.")
    paths: list[Path] = []
    frames: list[Any] = []
    for item in items:
        if isinstance(item, (str, os.PathLike)):
            paths.extend(find_files(item))
        elif is_frame(item):
            frames.append(item)
        else:
            raise ArgumentError(
                f"orders cannot be read from a {type(item).__name__}",
                advice="Give a path, a pandas, polars or Arrow frame, or a list of them.",
            )
    refuse_twice(paths)
    if len(frames) != len({id(frame) for frame in frames}):
        raise InputError("a frame is listed twice", advice="Its orders would count double; list it once.")
    opened: list[Source] = []
    notes: list[str] = []
    for path, label in zip(paths, labels(paths), strict=True):
        opened.append(_open_file(connection, path, label, notes, wanted))
        opened[-1].path = path
    for number, frame in enumerate(frames, start=1):
        opened.append(_open_frame(connection, frame, "frame" if len(frames) == 1 else f"frame {number}"))
    return opened, notes


def _pattern(path: Path) -> str:
    """A path as a literal; the database takes brackets, stars and question marks for patterns."""
    return text("".join(f"[{letter}]" if letter in "[*?" else letter for letter in str(path)))


def _open_file(connection: Any, path: Path, label: str, notes: list[str], wanted: Wanted | None) -> Source:
    kind = kind_of(path)
    if kind == "parquet":
        return _open_parquet(connection, path, label)
    if kind == "lines":
        return _open_lines(connection, path, label)
    return _open_text(connection, path, label, notes, wanted)


def _open_text(connection: Any, path: Path, label: str, notes: list[str], wanted: Wanted | None) -> Source:
    layout = layout_of(path)
    number = next(_numbers)
    table, broken = f"raw_{number}", f"raw_{number}_broken"
    cells = [f"c{i}" for i in range(len(layout.header))]
    needed = None if wanted is None else wanted(label, layout.header)
    kept = [i for i, name in enumerate(layout.header) if needed is None or name in needed]
    source = Source(
        label, table, "rowid + 2", [layout.header[i] for i in kept], [cells[i] for i in kept],
        ["VARCHAR"] * len(kept), delimiter=layout.delimiter, tables=(table,),
    )  # fmt: skip
    if layout.skip:
        notes.append(f"{label}: the first line only names the delimiter (sep={layout.delimiter}); skipped")
    if not layout.skip and layout.encoding.startswith("utf-8") and not has_blank_lines(path):
        columns = "{" + ", ".join(f"{text(cell)}: 'VARCHAR'" for cell in cells) + "}"
        try:
            connection.execute(
                f"CREATE OR REPLACE TABLE {table} AS SELECT {', '.join(source.cells)} "
                f"FROM read_csv({_pattern(path)}, auto_detect = false, header = true, "
                f"delim = {text(layout.delimiter)}, quote = '\"', escape = '\"', "
                f"columns = {columns})"
            )
        except duckdb.InterruptException:
            raise
        except duckdb.Error:
            # Something is wrong with at least one record; the careful reader finds out which.
            pass
        else:
            return source
    notes.extend(load_carefully(connection, path, layout, table, broken))
    source.row, source.broken, source.tables = "row", broken, (table, broken)
    return source


def refuse_no_records(connection: Any, source: Source) -> None:
    """A file of orders must hold some; a second table, say of refunds, may be empty.

    Raises
    ------
    InputError
        When the file has a header and nothing else.
    """
    if connection.execute(f"SELECT count(*) FROM {source.relation}").fetchall()[0][0] == 0:
        raise InputError(
            "the file has a header and no readable orders", where=source.label, advice="Check the export."
        )


def _open_lines(connection: Any, path: Path, label: str) -> Source:
    number = next(_numbers)
    table, broken = f"raw_{number}", f"raw_{number}_broken"
    wrapper = wrapper_of(path)
    try:
        if wrapper is None:
            _split_lines(connection, path, table, broken)
        else:
            _split_document(connection, path, wrapper, table, broken)
    except duckdb.InterruptException:
        raise
    except duckdb.Error:
        what = "JSON lines" if wrapper is None else "JSON"
        raise InputError(
            f"the file is not readable as {what}", where=label, advice="Write it as UTF-8, whole."
        ) from None
    if connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0] == 0:
        raise InputError(
            "no record is a JSON object",
            where=label,
            advice="Write one object a line, or an array of objects.",
        )
    keys = connection.execute(
        f"SELECT key FROM (SELECT row, unnest(json_keys(line)) AS key, "
        f"generate_subscripts(json_keys(line), 1) AS place FROM {table}) "
        "GROUP BY key ORDER BY min(place), min(row), key"
    ).fetchall()
    columns = [key for (key,) in keys]
    cells = []
    for name in columns:
        pointer = "/" + name.replace("~", "~0").replace("/", "~1")
        cells.append(f"json_extract_string(line, {text(pointer)})")
    return Source(
        label, table, "row", columns, cells, ["VARCHAR"] * len(cells), broken,
        record="line", tables=(table, broken),
    )  # fmt: skip


def _split_lines(connection: Any, path: Path, table: str, broken: str) -> None:
    """One object a line."""
    lines = f"{table}_lines"
    connection.execute(
        f"CREATE OR REPLACE TABLE {lines} AS SELECT line "
        f"FROM read_csv({_pattern(path)}, auto_detect = false, header = false, "
        f"delim = chr(1), quote = '', escape = '', columns = {{'line': 'VARCHAR'}})"
    )
    connection.execute(
        f"CREATE OR REPLACE TABLE {broken} AS SELECT rowid + 1 AS row, "
        "CASE WHEN coalesce(trim(line), '') = '' THEN 'blank_row' ELSE 'malformed_row' END AS code "
        f"FROM {lines} WHERE coalesce(json_type(CASE WHEN json_valid(line) THEN line END), '') <> 'OBJECT'"
    )
    connection.execute(
        f"CREATE OR REPLACE TABLE {table} AS SELECT rowid + 1 AS row, line FROM {lines} "
        f"WHERE json_valid(line) AND json_type(line) = 'OBJECT'"
    )
    connection.execute(f"DROP TABLE {lines}")


def _split_document(connection: Any, path: Path, wrapper: str, table: str, broken: str) -> None:
    """One document: an array of objects, or an object that holds the array under a key."""
    whole = path.stat().st_size + 1024
    records = (
        f"read_json_objects({_pattern(path)}, format = 'array', maximum_object_size = {whole})"
        if wrapper == ""
        else f"(SELECT unnest(CAST(json_extract(json, {text('/' + wrapper)}) AS JSON[])) AS json "
        f"FROM read_json_objects({_pattern(path)}, format = 'unstructured', maximum_object_size = {whole}))"
    )
    connection.execute(
        f"CREATE OR REPLACE TABLE {table}_all AS SELECT CAST(json AS VARCHAR) AS line FROM {records}"
    )
    connection.execute(
        f"CREATE OR REPLACE TABLE {broken} AS SELECT rowid + 1 AS row, 'malformed_row' AS code "
        f"FROM {table}_all WHERE json_type(line) <> 'OBJECT'"
    )
    connection.execute(
        f"CREATE OR REPLACE TABLE {table} AS SELECT rowid + 1 AS row, line FROM {table}_all "
        "WHERE json_type(line) = 'OBJECT'"
    )
    connection.execute(f"DROP TABLE {table}_all")


def _open_parquet(connection: Any, path: Path, label: str) -> Source:
    relation = f"read_parquet({_pattern(path)}, file_row_number = true)"
    try:
        described = connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
        rows = connection.execute(f"SELECT count(*) FROM {relation}").fetchall()[0][0]
    except duckdb.InterruptException:
        raise
    except duckdb.Error:
        raise InputError(
            "the file is not readable as Parquet", where=label, advice="Export it again."
        ) from None
    if rows == 0:
        raise InputError("the file has no rows", where=label, advice="Export it again.")
    described = [line for line in described if line[0] != "file_row_number"]
    names, types = [line[0] for line in described], [line[1] for line in described]
    return Source(label, relation, "file_row_number + 1", names, [ident(name) for name in names], types)


def _open_frame(connection: Any, frame: Any, label: str) -> Source:
    names, arrow = frame_to_arrow(frame, label)
    view = f"raw_{next(_numbers)}"
    connection.register(view, arrow)
    types = [line[1] for line in connection.execute(f"DESCRIBE SELECT * FROM {view}").fetchall()][:-1]
    return Source(label, view, "row", names, [f"c{i}" for i in range(len(names))], types, views=(view,))


def close_sources(connection: Any, sources: list[Source]) -> None:
    """Give back the memory of what has been read."""
    for source in sources:
        for table in source.tables:
            connection.execute(f"DROP TABLE IF EXISTS {table}")
        for view in source.views:
            connection.unregister(view)
