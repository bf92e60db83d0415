"""Cells and files of the platforms' exports: decimals, dates, CSV."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from forecast.synthetic.people import column, joined

CHUNK = 250_000
MONTHS = np.array(re.findall("...", "JanFebMarAprMayJunJulAugSepOctNovDec"), dtype=object)


def cents(money: Any) -> np.ndarray:
    """Money as whole cents."""
    return np.rint(np.asarray(money, dtype=float) * 100.0).astype(np.int64)


def decimals(amount: Any, digits: int = 2) -> pa.Array:
    """Cents as exact decimals of so many digits, and as such in a file."""
    amount = np.asarray(amount, dtype=np.int64) * 10 ** (digits - 2)
    words = np.empty((len(amount), 2), dtype=np.int64)
    words[:, 0], words[:, 1] = amount, amount >> 63  # the high word is the sign's
    return pa.Array.from_buffers(pa.decimal128(18, digits), len(amount), [None, pa.py_buffer(words)])


def amounts(money: Any, digits: int = 2) -> list[str]:
    """Money as text with so many digits, for JSON."""
    return decimals(cents(money), digits).cast(pa.string()).to_pylist()


def by_order(frame: pd.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """Lines or refunds of each order as records; money is text."""
    money = [name for name in frame if pd.api.types.is_float_dtype(frame[name])]
    text = frame.assign(**{str(name): amounts(frame[name]) for name in money})
    found: dict[str, list[dict[str, Any]]] = {}
    for record in text.to_dict("records"):
        named = {str(name): value for name, value in record.items()}
        found.setdefault(named["order_id"], []).append(named)
    return found


def known(values: pd.Series) -> list[Any]:
    """Values as Python has them, and None for what is missing."""
    return values.astype(object).where(values.notna(), None).tolist()


def pick(condition: Any, values: Any, other: Any = None) -> pa.Array:
    """The values where the condition holds, else another or nothing."""
    values = values if isinstance(values, pa.Array | pa.Scalar) else pa.scalar(values, pa.string())
    if other is None:
        other = pa.scalar(None, values.type)
    elif isinstance(other, str):
        other = pa.scalar(other)
    return pc.if_else(pa.array(np.asarray(condition, dtype=bool)), values, other)


def coded(values: Any, codes: Mapping[Any, str | None]) -> pa.Array:
    """Words of the shop in the words of a platform."""
    return pa.array(pd.Series(np.asarray(values, dtype=object)).map(codes), pa.string(), from_pandas=True)


def clock(wall: Any, layout: str = "%Y-%m-%d %H:%M:%S") -> pa.Array:
    """Wall times as text."""
    moments = pa.array(np.asarray(wall, dtype="datetime64[s]"))
    return pc.strftime(moments, format=layout)


def offset(moments: pd.Series, wall: pd.Series, between: str = "") -> pa.Array:
    """How far the shop's clock is from UTC at each moment: +0100, and +0200 in summer."""
    away = (np.asarray(wall, dtype="datetime64[s]") - np.asarray(moments, dtype="datetime64[s]")).astype(int)
    found, which = np.unique(away // 60, return_inverse=True)
    names = [f"{'-' if m < 0 else '+'}{abs(m) // 60:02d}{between}{abs(m) % 60:02d}" for m in found.tolist()]
    return pa.array(names, pa.string()).take(pa.array(which))


def stamped(moments: pd.Series, wall: pd.Series, layout: str, between: str = "") -> pa.Array:
    """Wall times with the offset of the shop's clock."""
    return joined(clock(wall, layout), offset(moments, wall, between))


def american(wall: Any, padded: bool) -> pa.Array:
    """Dates as ``Apr 5, 2024 02:25:08 PM`` (padded) or ``4/5/2024 14:25``."""
    index = pd.DatetimeIndex(np.asarray(wall, dtype="datetime64[s]"))
    if padded:
        month = MONTHS[index.month.to_numpy() - 1]
        return joined(month, " ", index.day.to_numpy(), ", ", clock(wall, "%Y %I:%M:%S %p"))
    parts = (index.month.to_numpy(), "/", index.day.to_numpy(), "/", index.year.to_numpy())
    return joined(*parts, " ", index.hour.to_numpy(), ":", clock(wall, "%M"))


def arrow(values: Any) -> pa.Array:
    """A column of a file: decimals stay, everything else is text."""
    if isinstance(values, pa.Array) and pa.types.is_decimal(values.type):
        return values
    return column(values)


def write_csv(path: Path, columns: Mapping[str, Any], rows: int) -> Path:
    """Columns as a CSV file; a column that is None is blank, one that is a text is the same in every row."""
    table = pa.table({name: _filled(values, rows) for name, values in columns.items()})
    return write_batches(path, table.schema, table.to_batches(max_chunksize=CHUNK))


def _filled(values: Any, rows: int) -> pa.Array:
    if values is None:
        return pa.nulls(rows, pa.string())
    return pa.repeat(values, rows) if isinstance(values, str) else arrow(values)


def write_batches(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Path:
    """Batches as one CSV file, in their order; quotes only where a cell needs them."""
    reader = pa.RecordBatchReader.from_batches(schema, batches)
    with duckdb.connect(config={"threads": "2"}) as connection:
        connection.register("sheet", reader)
        # The path is ours to quote: COPY takes no parameters.
        target = str(path).replace("'", "''")
        connection.execute(f"COPY (SELECT * FROM sheet) TO '{target}' (FORMAT csv, HEADER, DELIMITER ',')")
    return path


def write_json(path: Path, content: Any) -> Path:
    """One JSON document."""
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8", newline="\n")
    return path


def write_lines(path: Path, records: Iterator[dict[str, Any]]) -> Path:
    """One JSON document a line."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    return path
