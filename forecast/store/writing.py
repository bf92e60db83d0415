"""Everything that writes a file. Tables go to CSV, Parquet and JSON block by block, whole or not at all.

A CSV cell of text that a spreadsheet would run as a formula (it begins with ``=``, ``+``, ``-``, ``@``, a
tab or a carriage return) gets a leading apostrophe; numbers are left alone. Text is quoted only where it
must be, leading zeros stay, lines end in ``\\n``, days are ISO, missing values are empty cells.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from forecast.errors import ArgumentError, InputError
from forecast.store.atomic import plain, replacing, sync_folder, write_bytes, write_json, write_text

__all__ = [
    "TableWriter",
    "replacing",
    "sync_folder",
    "write_bytes",
    "write_json",
    "write_table",
    "write_text",
]

ENDINGS = (".csv", ".parquet", ".json", ".jsonl")
FORMULA_STARTS = r"^[=+\-@\t\r]"


def write_table(table: Any, path: str | os.PathLike[str]) -> Path:
    """Write a table in the format of the file's ending, whole or not at all.

    Parameters
    ----------
    table : pandas.DataFrame, pyarrow Table, RecordBatch or RecordBatchReader, or any Arrow stream
        A frame's index is not written: a named one is refused, so that no key is lost.
        A stream is never held whole.
    path : path
        ``.csv``, ``.parquet``, ``.json`` (an array of records) or ``.jsonl`` (a record a line).

    Returns
    -------
    pathlib.Path
        The path as given.

    Raises
    ------
    ArgumentError
        When the ending is unknown, or the frame's index has a name.
    InputError
        When a column mixes types.

    Notes
    -----
    In CSV and JSON a time column of a whole table that holds midnights only is written as days.

    Examples
    --------
    >>> import tempfile
    >>> frame = pd.DataFrame({"customer_id": ["007", "=1+1"], "value": [-1.5, None]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     print(write_table(frame, Path(folder) / "out.csv").read_text(), end="")
    customer_id,value
    007,-1.5
    '=1+1,
    """
    ending = _ending(path)
    if isinstance(table, pa.RecordBatchReader):
        reader = table
    elif isinstance(table, pd.DataFrame | pa.Table | pa.RecordBatch):
        whole = _as_table(table)
        if ending != ".parquet":
            whole = _midnights_as_days(whole)
        reader = whole.to_reader(max_chunksize=100_000)
    elif hasattr(table, "__arrow_c_stream__"):
        reader = pa.RecordBatchReader.from_stream(table)
    else:
        raise ArgumentError(
            f"a {type(table).__name__} is not a table", advice="Give a frame or an Arrow table."
        )
    with TableWriter(path, reader.schema) as writer:
        if ending == ".parquet" and not isinstance(table, pa.RecordBatchReader):
            writer.write(reader.read_all())  # one row group of the usual size instead of many small ones
        else:
            for batch in reader:
                writer.write(batch)
    return Path(path)


class TableWriter:
    """A table written block by block, renamed into place when the ``with`` block ends well.

    Parameters
    ----------
    path : path
        ``.csv``, ``.parquet``, ``.json`` or ``.jsonl``.
    schema : pyarrow.Schema, optional
        Columns and types; taken from the first block when missing. Later blocks are cast to it.

    Raises
    ------
    ArgumentError
        When the ending is unknown, or nothing at all was written and no schema given.
    InputError
        When a block has other columns, or values that do not fit.

    Notes
    -----
    A Parquet block is a row group (a large one is split at 1,048,576 rows). A time column is written to CSV
    and JSON as ``1997-01-01T00:00:00``; declare it ``date32`` to write days.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with TableWriter(Path(folder) / "out.csv") as writer:
    ...         writer.write(pd.DataFrame({"a": [1], "b": ["x"]}))
    ...         writer.write(pd.DataFrame({"a": [2], "b": ["y,z"]}))
    ...     print((Path(folder) / "out.csv").read_text(), end="")
    a,b
    1,x
    2,"y,z"
    """

    def __init__(self, path: str | os.PathLike[str], schema: pa.Schema | None = None) -> None:
        self.path = Path(path)
        self.rows = 0
        self._ending = _ending(path)
        self._schema = None if schema is None else _clean_schema(schema)
        self._stack = contextlib.ExitStack()
        self._sink: Callable[[pa.Table], None] | None = None
        self._temporary: Path | None = None

    def __enter__(self) -> TableWriter:
        self._temporary = self._stack.enter_context(replacing(self.path))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None and self._sink is None:
            try:
                self._open()
            except BaseException as problem:
                self._stack.__exit__(type(problem), problem, problem.__traceback__)
                raise
        self._temporary = None
        self._stack.__exit__(kind, error, trace)

    def write(self, block: Any) -> None:
        """Append a pandas frame or Arrow data.

        Raises
        ------
        ArgumentError
            When the writer is not open, or the frame's index has a name.
        InputError
            When the block has other columns, or values that do not fit.

        Examples
        --------
        >>> TableWriter("out.csv").write(pd.DataFrame({"a": [1]}))
        Traceback (most recent call last):
        forecast.errors.ArgumentError: the table writer is not open. Use it in a with block.
        """
        if self._temporary is None:
            raise ArgumentError("the table writer is not open", advice="Use it in a with block.")
        table = _as_table(block)
        if self._schema is None:
            self._schema = table.schema
        table = _cast(table, self._schema, self.rows)
        if self._sink is None:
            self._open()
        assert self._sink is not None
        self._sink(table)
        self.rows += table.num_rows

    def _open(self) -> None:
        if self._schema is None:
            raise ArgumentError(
                f"no block was written to {self.path}", advice="Write a block or give the schema."
            )
        assert self._temporary is not None
        if self._ending == ".parquet":
            writer = self._stack.enter_context(
                pq.ParquetWriter(self._temporary, self._schema, compression="zstd")
            )
            self._sink = writer.write_table
        else:
            file = self._temporary.open("x", encoding="utf-8", newline="")
            stream = self._stack.enter_context(file)
            sink = {".csv": _csv_sink, ".jsonl": _jsonl_sink, ".json": _json_sink}[self._ending]
            self._sink = self._stack.enter_context(sink(stream, self._schema))


@contextlib.contextmanager
def _csv_sink(stream: IO[str], schema: pa.Schema) -> Iterator[Callable[[pa.Table], None]]:
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
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
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
def _jsonl_sink(stream: IO[str], schema: pa.Schema) -> Iterator[Callable[[pa.Table], None]]:
    def sink(table: pa.Table) -> None:
        stream.writelines(line + "\n" for line in _records(table))

    yield sink


@contextlib.contextmanager
def _json_sink(stream: IO[str], schema: pa.Schema) -> Iterator[Callable[[pa.Table], None]]:
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
        columns.append([plain(value, f"column {name!r}") for value in column.to_pylist()])
    for row in zip(*columns, strict=True):
        yield json.dumps(dict(zip(table.column_names, row, strict=True)), ensure_ascii=False, allow_nan=False)


def _ending(path: str | os.PathLike[str]) -> str:
    ending = Path(path).suffix.lower()
    if ending not in ENDINGS:
        raise ArgumentError(
            f"no table format is known by the ending {ending!r} of {os.fspath(path)}",
            advice=f"Use one of {', '.join(ENDINGS)}.",
        )
    return ending


def _clean_schema(schema: pa.Schema) -> pa.Schema:
    names = schema.names
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"columns occur twice: {', '.join(twice)}", where="the table", advice="Rename them.")
    # pandas' own metadata carry library versions, which would make equal tables differ.
    return schema.remove_metadata()


def _as_table(block: Any) -> pa.Table:
    if isinstance(block, pd.DataFrame):
        named = [str(name) for name in block.index.names if name is not None]
        if named:
            raise ArgumentError(
                f"the index {', '.join(named)} would not be written", advice="Call reset_index() first."
            )
        strange = [name for name in block.columns if not isinstance(name, str)]
        if strange:
            raise InputError(f"a column name is not text: {strange[0]!r}", advice="Name columns with text.")
        columns = [_column(block.iloc[:, place], name) for place, name in enumerate(block.columns)]
        schema = pa.schema([pa.field(n, c.type) for n, c in zip(block.columns, columns, strict=True)])
        return pa.Table.from_arrays(columns, schema=_clean_schema(schema))
    if isinstance(block, pa.RecordBatch):
        block = pa.Table.from_batches([block])
    elif not isinstance(block, pa.Table):
        if not hasattr(block, "__arrow_c_stream__"):
            raise ArgumentError(
                f"a {type(block).__name__} is not a table", advice="Give a frame or an Arrow table."
            )
        block = pa.RecordBatchReader.from_stream(block).read_all()
    return block.cast(_clean_schema(block.schema))


def _column(series: pd.Series, name: str) -> pa.Array:
    try:
        column = pa.array(series, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as problem:
        raise InputError(
            "values of different types cannot share a column",
            where=f"column {name!r}",
            examples=[str(problem).splitlines()[0][:120]],
            advice="Convert the column to one type.",
        ) from None
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _cast(table: pa.Table, schema: pa.Schema, row: int) -> pa.Table:
    if table.column_names != schema.names:
        missing = [name for name in schema.names if name not in table.column_names]
        extra = [name for name in table.column_names if name not in schema.names]
        if missing or extra:
            raise InputError(
                "a block has other columns than the first",
                where=f"the block at row {row}",
                examples=[f"missing: {missing}", f"not known: {extra}"],
                advice="Write blocks of equal columns.",
            )
        table = table.select(schema.names)
    try:
        cast = table.cast(schema)
        for field, column in zip(schema, table.columns, strict=True):
            # Arrow drops a time of day silently.
            if pa.types.is_date(field.type) and pa.types.is_timestamp(column.type) and not _midnights(column):
                raise ValueError(f"column {field.name!r} carries a time of day")
        return cast
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as problem:
        raise InputError(
            "a block's values do not fit the table's types",
            where=f"the block at row {row}",
            examples=[str(problem).splitlines()[0][:120]],
            advice="Give the schema when the first block is opened.",
        ) from None


def _midnights_as_days(table: pa.Table) -> pa.Table:
    for place, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type) and field.type.tz is None:
            column = table.column(place)
            if _midnights(column):
                table = table.set_column(place, field.name, pc.cast(column, pa.date32(), safe=False))
    return table


def _midnights(column: pa.ChunkedArray) -> bool:
    days = pc.cast(pc.cast(column, pa.date32(), safe=False), column.type)
    return pc.all(pc.equal(days, column), min_count=0).as_py()


def _is_binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)
