"""What becomes of a database's types, one by one."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import duckdb
import pytest

from forecast.errors import ArgumentError, InputError
from forecast.orders.databases import opening as databases
from forecast.orders.databases.opening import open_database
from tests.shop_databases import read, rows_of, two, types_of


def test_mariadb_types_stay_what_they_are(mariadb, execute) -> None:
    execute(
        mariadb,
        "CREATE TABLE t (big BIGINT UNSIGNED, whole BIGINT, price DECIMAL(12,4), unsigned_price DECIMAL(6,2) UNSIGNED, "
        "wide DECIMAL(40,2), ratio DOUBLE, at DATETIME(6), day DATE, flag BIT(1), raw VARBINARY(8), kind ENUM('x','y'), "
        "words TEXT CHARACTER SET latin1, clock TIME, nothing DECIMAL(20,4))",
        "INSERT INTO t VALUES (18446744073709551615, -9223372036854775808, 0.1000, 9999.99, 12345678901234567890.12, 0.5, "
        "'2024-03-31 02:30:00.123456', '1999-12-31', b'1', 'raw', 'y', 'Zoë', '23:59:59', NULL), "
        "(1, 1, NULL, 0.01, 0.01, NULL, NULL, NULL, b'0', x'ff00', NULL, NULL, NULL, NULL)",
    )
    connection, source = two(
        read(mariadb, query="SELECT *, sum(price) OVER () AS total FROM t ORDER BY big DESC")
    )
    types, (row, other) = types_of(source), rows_of(connection, source)
    assert row["big"] == 18446744073709551615
    assert row["whole"] == -9223372036854775808
    assert (types["price"], row["price"], types["nothing"]) == (
        "DECIMAL(12,4)",
        Decimal("0.1000"),
        "DECIMAL(20,4)",
    )
    assert (row["unsigned_price"], other["unsigned_price"]) == (Decimal("9999.99"), Decimal("0.01"))
    assert (types["wide"], row["wide"]) == ("DECIMAL(22,2)", Decimal("12345678901234567890.12"))
    assert (types["ratio"], row["ratio"]) == ("DOUBLE", 0.5)
    assert (types["at"], row["at"]) == ("TIMESTAMP", dt.datetime(2024, 3, 31, 2, 30, 0, 123456))
    assert (types["day"], row["day"]) == ("DATE", dt.date(1999, 12, 31))
    assert (row["flag"], other["flag"]) == (1, 0)
    assert (row["raw"], other["raw"]) == ("raw", "ff00")
    assert (row["kind"], row["words"], row["clock"]) == ("y", "Zoë", "23:59:59")
    assert row["total"] == Decimal("0.1")


def test_mariadb_stamps_are_utc_whatever_the_zone_of_the_server(mariadb, execute) -> None:
    execute(
        mariadb,
        "CREATE TABLE t (id INT PRIMARY KEY, at TIMESTAMP NULL, wall DATETIME)",
        "SET time_zone = '-05:00'",
        "INSERT INTO t VALUES (1, FROM_UNIXTIME(1711843200), '2024-03-31 01:00:00')",
    )
    connection, source = two(read(mariadb, query="SELECT * FROM t"))
    (row,) = rows_of(connection, source)
    assert row["at"] == dt.datetime(2024, 3, 31, 0, 0)
    assert row["wall"] == dt.datetime(2024, 3, 31, 1, 0)


def test_mariadb_zero_dates_become_blank_and_are_counted(mariadb, execute) -> None:
    execute(mariadb, "CREATE TABLE t (id INT PRIMARY KEY, at DATETIME, day DATE)")
    loose = mariadb.update_query_dict({"init_command": "SET sql_mode = ''"})
    execute(loose, "INSERT INTO t VALUES (1, '0000-00-00 00:00:00', '0000-00-00'), (2, '2024-01-00 10:00:00', '2024-02-03'), "
            "(3, '2024-01-01 10:00:00', NULL)")  # fmt: skip
    sources, notes, connection = read(mariadb, query="SELECT * FROM t ORDER BY id")
    assert [row["at"] for row in rows_of(connection, sources["query"])] == [
        None,
        None,
        dt.datetime(2024, 1, 1, 10),
    ]
    assert types_of(sources["query"]) == {"id": "BIGINT", "at": "TIMESTAMP", "day": "DATE"}
    assert notes == [
        "query: at is no date (0000-00-00) in 2 rows; taken as blank",
        "query: day is no date (0000-00-00) in 1 row; taken as blank",
    ]


def test_postgresql_types_stay_what_they_are(postgres, execute) -> None:
    execute(
        postgres,
        "CREATE TABLE t (id UUID, big NUMERIC(30,0), price NUMERIC(12,4), free NUMERIC, ratio REAL, at TIMESTAMP, "
        "moment TIMESTAMPTZ, day DATE, flag BOOLEAN, raw BYTEA, doc JSONB, tags TEXT[], words TEXT, small SMALLINT)",
        "INSERT INTO t VALUES ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 123456789012345678901234567890, 0.1, 1.10, 0.5, "
        "'2024-03-31 02:30:00', '2024-03-31 02:30:00+05:30', '1999-12-31', true, 'raw', '{\"ü\": 1}', '{a,b}', 'Zoë', 7), "
        "(NULL, NULL, NULL, 2.125, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
    )
    connection, source = two(read(postgres, query="SELECT * FROM t ORDER BY small"))
    types = types_of(source)
    assert [types[name] for name in ("big", "price", "free", "at", "moment", "day", "flag", "small")] == [
        "DECIMAL(30,0)", "DECIMAL(12,4)", "DECIMAL(4,3)", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "DATE", "BOOLEAN", "BIGINT",
    ]  # fmt: skip
    cells = dict(zip(source.columns, source.cells, strict=True))
    utc = connection.execute(f"SELECT epoch({cells['moment']}) FROM {source.relation}").fetchall()[0][0]
    assert utc == dt.datetime(2024, 3, 30, 21, tzinfo=dt.UTC).timestamp()
    kept = [name for name in source.columns if name != "moment"]
    row = dict(zip(kept, connection.execute(
        f"SELECT {', '.join(cells[name] for name in kept)} FROM {source.relation}"
    ).fetchall()[0], strict=True))  # fmt: skip
    assert row["id"] == "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
    assert row["big"] == 123456789012345678901234567890
    assert (row["price"], row["free"]) == (Decimal("0.1"), Decimal("1.1"))
    assert (row["at"], row["flag"], row["raw"]) == (dt.datetime(2024, 3, 31, 2, 30), True, "raw")
    assert (row["doc"], row["tags"], row["words"]) == ('{"ü": 1}', '["a", "b"]', "Zoë")


def test_numbers_without_a_declared_size_stay_exact_or_become_floats(postgres) -> None:
    query = "SELECT * FROM (VALUES (1.5::numeric, 1::numeric), ('NaN', 10::numeric ^ 60)) AS t (a, b)"
    connection, source = two(read(postgres, query=query))
    assert source.types == ["DOUBLE", "DOUBLE"]
    assert [row["b"] for row in rows_of(connection, source)] == [1.0, 1e60]


def test_dates_without_a_year_of_the_calendar_are_named(postgres) -> None:
    with pytest.raises(InputError, match=r"outside the years 1 to 9999, in the query.*Leave such rows out"):
        read(postgres, query="SELECT 'infinity'::timestamp AS at")


def test_sqlite_columns_widen_when_a_later_batch_needs_it(sqlite, execute, monkeypatch) -> None:
    monkeypatch.setattr(databases, "BATCH_ROWS", 2)
    execute(sqlite, "CREATE TABLE t (a, b, c, d, e)")
    rows = [
        (None, 1, 1, 1.5, b"raw"), (None, 2, 2, None, "text"),
        (None, 2.5, "x7", 2, None), (None, 3, None, 2**62, b"\xff"),
        (5, None, 10, None, 3), (6, 4, 11, 0.25, None),
    ]  # fmt: skip
    execute(sqlite, "INSERT INTO t VALUES (?, ?, ?, ?, ?)", rows=rows)
    connection, source = two(read(sqlite, query="SELECT * FROM t ORDER BY rowid"))
    assert source.types == ["BIGINT", "DOUBLE", "VARCHAR", "DOUBLE", "VARCHAR"]
    found = rows_of(connection, source)
    assert [row["a"] for row in found] == [None, None, None, None, 5, 6]
    assert [row["b"] for row in found] == [1.0, 2.0, 2.5, 3.0, None, 4.0]
    assert [row["c"] for row in found] == ["1", "2", "x7", None, "10", "11"]
    assert [row["e"] for row in found] == ["raw", "text", None, "ff", "3", None]


def test_sqlite_files_are_neither_made_nor_changed(sqlite, execute, tmp_path) -> None:
    missing = tmp_path / "missing.db"
    with pytest.raises(InputError, match=r"the file does not exist, in missing\.db"):
        open_database(duckdb.connect(), f"sqlite:///{missing}")
    assert not missing.exists()
    wrong = tmp_path / "wrong.db"
    wrong.write_text("order,value\n" * 100)
    with pytest.raises(InputError, match="no SQLite database"):
        open_database(duckdb.connect(), f"sqlite:///{wrong}")
    for url in ("sqlite://", "sqlite:///:memory:"):
        with pytest.raises(ArgumentError, match="names no file"):
            open_database(duckdb.connect(), url)
