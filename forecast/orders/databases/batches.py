"""Rows of a database, batch by batch, into a table with a type for each column."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa

from forecast.orders.sql import ident

_TROUBLE = (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError)
_STAMP = pa.timestamp("us")
_STAMP_WITH_ZONE = pa.timestamp("us", tz="UTC")
# Digits of the largest whole number of each kind.
_DIGITS = {pa.int64(): 19, pa.uint64(): 20}


def load_batches(
    connection: Any,
    table: str,
    declared: Sequence[pa.DataType | None],
    batches: Iterable[Sequence[Sequence[Any]]],
) -> tuple[int, dict[int, int]]:
    """Fill ``table`` with columns c0, c1, ... in the order in which the rows come.

    A column begins with the type that the server declares, or with that of its first cells; cells that
    do not fit (numbers too large, texts among numbers) widen it.

    Parameters
    ----------
    connection : duckdb connection
    table : str
        Created anew.
    declared : sequence of Arrow types
        ``None`` where the server declares none.
    batches : iterable
        Rows, some at a time; only one batch is held in memory.

    Returns
    -------
    rows : int
    zero_dates : dict of int to int
        How many cells of a column were no day of the calendar (MariaDB's 0000-00-00) and became blank.
    """
    types = list(declared)
    columns = ", ".join(f"c{i} {_database_type(kind)}" for i, kind in enumerate(types))
    connection.execute(f"CREATE OR REPLACE TABLE {ident(table)} ({columns})")
    rows, zero_dates = 0, dict[int, int]()
    for batch in batches:
        arrays = []
        for i, cells in enumerate(zip(*batch, strict=True)):
            # Only what the server declares is forced; a whole number found so far would cut off fractions.
            array, zeros = _array(cells, declared[i])
            if zeros:
                zero_dates[i] = zero_dates.get(i, 0) + zeros
            wide = array.type if types[i] is None else _wider(types[i], array.type)
            if wide != types[i]:
                _widen(connection, table, i, types[i], wide)
                types[i] = None if pa.types.is_null(wide) else wide
            arrays.append(array)
        rows += len(batch)
        part = f"{table}_batch"
        connection.register(part, pa.Table.from_arrays(arrays, names=[f"c{i}" for i in range(len(arrays))]))
        try:
            connection.execute(f"INSERT INTO {ident(table)} SELECT * FROM {ident(part)}")
        finally:
            connection.unregister(part)
    return rows, zero_dates


def _array(cells: Sequence[Any], kind: pa.DataType | None) -> tuple[pa.Array, int]:
    zeros = 0
    if kind is not None and pa.types.is_temporal(kind):
        # What the driver leaves as text is no day of the calendar.
        zeros = sum(isinstance(cell, str) for cell in cells)
        if zeros:
            cells = [None if isinstance(cell, str) else cell for cell in cells]
    if kind is not None:
        try:
            return pa.array([_text(cell) for cell in cells] if kind == pa.string() else cells, kind), zeros
        except _TROUBLE:
            pass
    return _as_they_are(cells), zeros


def _as_they_are(cells: Sequence[Any]) -> pa.Array:
    """An array of the narrowest type that holds all cells."""
    try:
        array = pa.array(cells)
    except _TROUBLE:
        array = None
    if array is not None:
        kind = array.type
        if pa.types.is_timestamp(kind):
            return array.cast(_STAMP if kind.tz is None else _STAMP_WITH_ZONE)
        if pa.types.is_decimal256(kind):
            return array.cast(pa.float64())
        plain = (pa.types.is_null, pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating,
                 pa.types.is_decimal128, pa.types.is_string, pa.types.is_date32)  # fmt: skip
        if any(test(kind) for test in plain):
            return array
    known = [cell for cell in cells if cell is not None]
    if all(isinstance(cell, int) and not isinstance(cell, bool) for cell in known):
        try:
            return pa.array([None if cell is None else Decimal(cell) for cell in cells], pa.decimal128(38, 0))
        except _TROUBLE:
            pass
    elif all(isinstance(cell, (int, float, Decimal)) and not isinstance(cell, bool) for cell in known):
        return pa.array([None if cell is None else float(cell) for cell in cells], pa.float64())
    return pa.array([_text(cell) for cell in cells], pa.string())


def _text(cell: Any) -> str | None:
    if cell is None or isinstance(cell, str):
        return cell
    if isinstance(cell, (bytes, bytearray, memoryview)):
        raw = bytes(cell)
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            # Replacing what is no text would make different keys equal.
            return raw.hex()
    if isinstance(cell, (dict, list)):
        return json.dumps(cell, ensure_ascii=False, default=str)
    if isinstance(cell, (dt.date, dt.time)):
        return cell.isoformat()
    return str(cell)


def _wider(old: pa.DataType, new: pa.DataType) -> pa.DataType:
    """The type that holds both."""
    if old == new or pa.types.is_null(new):
        return old
    if _is_number(old) and _is_number(new):
        if pa.types.is_floating(old) or pa.types.is_floating(new):
            return pa.float64()
        scale = max(_scale(old), _scale(new))
        digits = max(_whole_digits(old), _whole_digits(new)) + scale
        return pa.decimal128(digits, scale) if digits <= 38 else pa.float64()
    if {old, new} == {pa.date32(), _STAMP}:
        return _STAMP
    return pa.string()


def _is_number(kind: pa.DataType) -> bool:
    return kind in _DIGITS or pa.types.is_floating(kind) or pa.types.is_decimal128(kind)


def _scale(kind: pa.DataType) -> int:
    return kind.scale if pa.types.is_decimal(kind) else 0


def _whole_digits(kind: pa.DataType) -> int:
    return kind.precision - kind.scale if pa.types.is_decimal(kind) else _DIGITS[kind]


def _widen(connection: Any, table: str, i: int, old: pa.DataType | None, new: pa.DataType) -> None:
    if _database_type(old) != _database_type(new):
        connection.execute(f"ALTER TABLE {ident(table)} ALTER COLUMN c{i} TYPE {_database_type(new)}")


def _database_type(kind: pa.DataType | None) -> str:
    if kind is None or pa.types.is_null(kind):
        return "VARCHAR"
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision}, {kind.scale})"
    return {
        pa.bool_(): "BOOLEAN",
        pa.int64(): "BIGINT",
        pa.uint64(): "UBIGINT",
        pa.float64(): "DOUBLE",
        pa.date32(): "DATE",
        _STAMP: "TIMESTAMP",
        _STAMP_WITH_ZONE: "TIMESTAMP WITH TIME ZONE",
    }.get(kind, "VARCHAR")
