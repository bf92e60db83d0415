"""What the drivers of databases say of a column, as an Arrow type."""

from __future__ import annotations

from typing import Any

import pyarrow as pa


def declared_type(kind: str, column: Any) -> pa.DataType | None:
    """The type that the server says a column has; None where its cells must tell, as in SQLite.

    Parameters
    ----------
    kind : {"mysql", "postgresql", "sqlite"}
    column : sequence
        The driver's description of it.
    """
    if kind == "mysql":
        return _of_mysql(column[1], column[4], column[5])
    if kind == "postgresql":
        return _of_postgresql(column.type_code, column.precision, column.scale)
    return None


def _of_mysql(code: int, length: int, scale: int) -> pa.DataType | None:
    from pymysql.constants import FIELD_TYPE as its

    if code in (its.TINY, its.SHORT, its.INT24, its.LONG, its.LONGLONG, its.YEAR, its.BIT):
        return pa.int64()
    if code in (its.DECIMAL, its.NEWDECIMAL):
        # The length counts the sign and the point.
        return _decimal(length - 1 - (scale > 0), scale)
    if code in (its.FLOAT, its.DOUBLE):
        return pa.float64()
    if code in (its.TIMESTAMP, its.DATETIME):
        return pa.timestamp("us")
    return pa.date32() if code in (its.DATE, its.NEWDATE) else pa.string()


def _of_postgresql(code: int, precision: int | None, scale: int | None) -> pa.DataType | None:
    from psycopg.postgres import types as its

    named = {
        "bool": pa.bool_(),
        "int2": pa.int64(),
        "int4": pa.int64(),
        "int8": pa.int64(),
        "float4": pa.float64(),
        "float8": pa.float64(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us"),
        "timestamptz": pa.timestamp("us", tz="UTC"),
    }
    info = its.get(code)
    name = info.name if info is not None else ""
    if name == "numeric":
        return _decimal(precision, scale)
    return named.get(name, pa.string())


def _decimal(precision: int | None, scale: int | None) -> pa.DataType | None:
    # A sum has more digits than fit, or none are declared; its cells tell.
    if precision is None or scale is None or not 0 <= scale <= precision <= 38 or precision == 0:
        return None
    return pa.decimal128(precision, scale)
