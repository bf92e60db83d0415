"""Frames in memory (pandas, polars, Arrow) as Arrow tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from forecast.errors import InputError


def is_frame(source: Any) -> bool:
    """Whether an object is a table in memory that can be read."""
    return isinstance(source, (pd.DataFrame, pa.Table, pa.RecordBatch, pa.RecordBatchReader)) or (
        hasattr(source, "__arrow_c_stream__") or hasattr(source, "collect")
    )


def frame_to_arrow(frame: Any, label: str) -> tuple[list[str], pa.Table]:
    """Column names and cells of a frame; the columns of the table are called c0, c1, ...

    In pandas a missing number is NaN, so there NaN counts as blank; in the other frames NaN is a number
    that cannot be used.

    Raises
    ------
    InputError
        When the frame is empty or its columns cannot be told apart.
    """
    if isinstance(frame, pd.DataFrame):
        names, columns = _from_pandas(frame, label)
    else:
        if hasattr(frame, "collect") and not hasattr(frame, "__arrow_c_stream__"):
            frame = frame.collect()
        if isinstance(frame, pa.RecordBatchReader):
            frame = frame.read_all()
        elif isinstance(frame, pa.RecordBatch):
            frame = pa.Table.from_batches([frame])
        elif not isinstance(frame, pa.Table):
            frame = frame.to_arrow() if hasattr(frame, "to_arrow") else pa.table(frame)
        names = [str(name) for name in frame.column_names]
        columns = list(frame.columns)
    rows = len(columns[0]) if columns else 0
    if rows == 0:
        raise InputError("the frame has no rows", where=label, advice="Give at least one row.")
    columns = [_plain(column) for column in columns]
    columns.append(pa.array(np.arange(1, rows + 1, dtype=np.int64)))
    return names, pa.Table.from_arrays(columns, names=[f"c{i}" for i in range(len(names))] + ["row"])


def _plain(column: Any) -> Any:
    # Dictionary-encoded text would reach the database as an enumeration that it cannot union.
    if pa.types.is_dictionary(column.type):
        return column.cast(column.type.value_type)
    if pa.types.is_null(column.type):
        return column.cast(pa.string())
    return column


def _from_pandas(frame: pd.DataFrame, label: str) -> tuple[list[str], list[Any]]:
    if isinstance(frame.columns, pd.MultiIndex):
        raise InputError("the frame has several header levels", where=label, advice="Flatten the columns.")
    named = [name for name in frame.index.names if name is not None and name not in frame.columns]
    if named:
        frame = frame.reset_index(level=named)
    names = [str(name) for name in frame.columns]
    return names, [_pandas_column(frame.iloc[:, i]) for i in range(len(names))]


def _pandas_column(series: pd.Series) -> Any:
    try:
        array = pa.array(series, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        # Cells of several kinds in one column: texts keep each of them as it would be printed.
        return pa.array([_cell_text(cell) for cell in series], type=pa.string())
    return array


def _cell_text(cell: Any) -> str | None:
    if cell is None or cell is pd.NaT or cell is pd.NA:
        return None
    if isinstance(cell, float):
        if np.isnan(cell):
            return None
        return str(int(cell)) if cell.is_integer() else repr(cell)
    if hasattr(cell, "isoformat"):
        return str(cell.isoformat())
    return str(cell)
