"""Everything that writes a file. Tables go to CSV, Parquet and JSON block by block, whole or not at all.

A CSV cell of text that a spreadsheet would run as a formula (it begins with ``=``, ``+``, ``-``, ``@``, a
tab or a carriage return) gets a leading apostrophe; numbers are left alone. Text is quoted only where it
must be, leading zeros stay, lines end in ``\\n``, days are ISO, missing values are empty cells.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from forecast.errors import ArgumentError, InputError
from forecast.store.atomic import replacing, sync_folder, write_bytes, write_json, write_text
from forecast.store.textformats import csv_sink, json_sink, jsonl_sink

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
    blocks: Iterable[Any]
    if isinstance(table, pd.DataFrame | pa.Table | pa.RecordBatch):
        whole = _as_table(table)
        schema, blocks = whole.schema, [whole]
        if ending != ".parquet":  # text is made in small blocks, a Parquet row group is as large as it may be
            whole = _midnights_as_days(whole)
            schema, blocks = whole.schema, whole.to_batches(max_chunksize=100_000)
    elif isinstance(table, pa.RecordBatchReader) or hasattr(table, "__arrow_c_stream__"):
        reader = table if isinstance(table, pa.RecordBatchReader) else pa.RecordBatchReader.from_stream(table)
        schema, blocks = reader.schema, reader
    else:
        raise ArgumentError(
            f"a {type(table).__name__} is not a table", advice="Give a frame or an Arrow table."
        )
    with TableWriter(path, schema) as writer:
        for block in blocks:
            writer.write(block)
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
            sink = {".csv": csv_sink, ".jsonl": jsonl_sink, ".json": json_sink}[self._ending]
            self._sink = self._stack.enter_context(sink(stream, self._schema))


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
    return pa.schema([field.with_type(_usual(field.type)).remove_metadata() for field in schema])


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
    schema = _clean_schema(block.schema)
    columns = [_without_views(column) for column in block.columns]
    return pa.Table.from_arrays(columns, names=block.column_names).cast(schema)


def _usual(kind: pa.DataType) -> pa.DataType:
    """Views of text, as polars passes them, have few functions in Arrow."""
    if pa.types.is_dictionary(kind):
        return pa.dictionary(kind.index_type, _usual(kind.value_type), kind.ordered)
    return pa.large_string() if pa.types.is_string_view(kind) else kind


def _without_views(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if not pa.types.is_dictionary(kind) or not pa.types.is_string_view(kind.value_type):
        return column
    chunks = [
        pa.DictionaryArray.from_arrays(chunk.indices, chunk.dictionary.cast(pa.large_string()))
        for chunk in column.chunks
    ]
    return pa.chunked_array(chunks, pa.dictionary(kind.index_type, pa.large_string()))


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
