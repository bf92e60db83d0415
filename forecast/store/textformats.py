r"""Tables as CSV and JSON text, appended block by block to an open file.

A CSV cell of text that a spreadsheet would run as a formula (it begins with ``=``, ``+``, ``-``, ``@``, a
tab or a carriage return) gets a leading apostrophe; numbers are left alone.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc

from forecast.errors import ArgumentError
from forecast.store.atomic import plain

FORMULA_STARTS = r"^[=+\-@\t\r]"


@contextlib.contextmanager
def csv_sink(stream: IO[str], schema: pa.Schema) -> Iterator[Callable[[pa.Table], None]]:
    """Appends tables to an open CSV file, whose header is written at once.

    Raises
    ------
    ArgumentError
        When a column holds lists, structures or bytes.

    Examples
    --------
    >>> import io
    >>> stream = io.StringIO()
    >>> table = pa.table({"a": ["@x"]})
    >>> with csv_sink(stream, table.schema) as sink:
    ...     sink(table)
    >>> print(stream.getvalue(), end="")
    a
    '@x
    """
    for field in schema:
        if pa.types.is_nested(field.type) or _is_binary(field.type):
            raise ArgumentError(
                f"column {field.name!r} holds {field.type}, which has no place in a CSV cell",
                advice="Write .parquet or .json, or drop the column.",
            )
    names = _text_cells(pa.array(schema.names, pa.string())).to_pylist()
    stream.write(",".join(names) + "\n")

    def sink(table: pa.Table) -> None:
        if table.num_rows == 0:
            return
        cells = [_csv_cells(column.combine_chunks()) for column in table.columns]
        if len(cells) == 1:  # an empty line would be skipped by readers
            lines = pc.fill_null(cells[0], '""')
        else:
            lines = pc.binary_join_element_wise(*cells, ",", null_handling="replace", null_replacement="")
        stream.write("\n".join(lines.to_pylist()) + "\n")

    yield sink


def _csv_cells(column: pa.Array) -> pa.Array:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _csv_cells(column.dictionary_decode())
    if _is_text(kind):
        return _text_cells(pc.cast(column, pa.string()))
    if pa.types.is_floating(kind):
        numbers = pc.cast(column, pa.float64()) if pa.types.is_float16(kind) else column
        return pc.cast(pc.if_else(pc.is_nan(numbers), pa.scalar(None, numbers.type), numbers), pa.string())
    if pa.types.is_timestamp(kind):
        text = pc.strftime(column, "%Y-%m-%dT%H:%M:%S%z" if kind.tz else "%Y-%m-%dT%H:%M:%S")
        return pc.replace_substring_regex(text, r"\.0+([+-]\d+)?$", r"\1")
    return pc.cast(column, pa.string())


def _text_cells(text: pa.Array) -> pa.Array:
    guarded = pc.if_else(
        pc.match_substring_regex(text, FORMULA_STARTS),
        pc.binary_join_element_wise(pa.scalar("'"), text, ""),
        text,
    )
    doubled = pc.replace_substring(guarded, '"', '""')
    quoted = pc.binary_join_element_wise(pa.scalar('"'), doubled, pa.scalar('"'), "")
    # An empty text is quoted, so that it differs from a missing one.
    return pc.if_else(pc.match_substring_regex(guarded, r'[",\n\r]|^ | $|^$'), quoted, guarded)


@contextlib.contextmanager
def jsonl_sink(stream: IO[str], schema: pa.Schema) -> Iterator[Callable[[pa.Table], None]]:
    """Appends tables to an open file, a record a line.

    Examples
    --------
    >>> import io
    >>> stream = io.StringIO()
    >>> table = pa.table({"a": [1, 2]})
    >>> with jsonl_sink(stream, table.schema) as sink:
    ...     sink(table)
    >>> print(stream.getvalue(), end="")
    {"a": 1}
    {"a": 2}
    """

    def sink(table: pa.Table) -> None:
        stream.writelines(line + "\n" for line in _records(table))

    yield sink


@contextlib.contextmanager
def json_sink(stream: IO[str], schema: pa.Schema) -> Iterator[Callable[[pa.Table], None]]:
    """Appends tables to an open file as one array of records, closed at the end.

    Examples
    --------
    >>> import io
    >>> stream = io.StringIO()
    >>> table = pa.table({"a": [1]})
    >>> with json_sink(stream, table.schema) as sink:
    ...     sink(table)
    >>> stream.getvalue()
    '[\\n{"a": 1}\\n]\\n'
    """
    start = "[\n"

    def sink(table: pa.Table) -> None:
        nonlocal start
        for line in _records(table):
            stream.write(start + line)
            start = ",\n"

    yield sink
    stream.write("[]\n" if start == "[\n" else "\n]\n")


def _records(table: pa.Table) -> Iterator[str]:
    columns = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        kind = column.type
        if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            column = pa.chunked_array([_csv_cells(chunk) for chunk in column.chunks], pa.string())
            kind = pa.string()
        if pa.types.is_floating(kind) and not pa.types.is_float16(kind):
            column = pc.if_else(pc.is_finite(column), column, pa.scalar(None, kind))
        elif not (pa.types.is_integer(kind) or pa.types.is_boolean(kind) or _is_text(kind)):
            columns.append([plain(value, f"column {name!r}") for value in column.to_pylist()])
            continue
        columns.append(column.to_pylist())
    encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
    for row in zip(*columns, strict=True):
        yield encode(dict(zip(table.column_names, row, strict=True)))


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _is_binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)
