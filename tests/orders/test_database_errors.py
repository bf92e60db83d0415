"""What is told when a database gives no orders: everything but its URL."""

from __future__ import annotations

import re
import sys
import time
import traceback

import duckdb
import pytest
from sqlalchemy import URL

from forecast.errors import ArgumentError, ForecastError, InputError
from forecast.orders.databases import opening as databases
from forecast.orders.databases.opening import is_url, open_database
from tests.shop_databases import fill_magento, read, two


def leaks(error: BaseException, url: URL) -> list[str]:
    """Parts of the URL that a reader of the error or of its traceback would see."""
    told = "".join(traceback.format_exception(error)) + repr(error) + str(vars(error))
    secrets = [url.username, url.password, url.host, url.render_as_string(hide_password=False)]
    return [secret for secret in secrets if secret and re.search(rf"\b{re.escape(secret)}\b", told)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"password": "wr0ng-w0rd"}, "refuses the login"),
        ({"username": "stranger"}, "refuses the login"),
        ({"database": "nowhere_at_all"}, "names no database"),
        ({"port": 1}, "cannot be reached"),
        ({"host": "no-such-host.invalid"}, "cannot be reached"),
        ({"query": {"no_such_option": "x"}}, "option in the URL is not known"),
    ],
)
def test_nothing_of_the_url_is_told_when_connecting_fails(server, change, said) -> None:
    url = server.set(**change)
    with pytest.raises(InputError, match=said) as caught:
        read(url)
    assert leaks(caught.value, url) == []
    assert caught.value.advice
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT * FROM no_such_table", r"refuses the query.*no_such_table.*Check the names"),
        ("SELECT no_such_column FROM log", r"refuses the query.*no_such_column"),
        ("SELECT 1 FORM log", r"refuses the query.*syntax"),
    ],
)
def test_a_bad_query_is_told_in_the_words_of_the_database(database, execute, query, said) -> None:
    execute(database, "CREATE TABLE log (id INTEGER)")
    with pytest.raises(InputError, match=said) as caught:
        read(database, query=query)
    assert leaks(caught.value, database) == []


def test_the_words_of_the_database_are_left_out_where_they_hold_the_login(mariadb, execute) -> None:
    execute(mariadb, "CREATE OR REPLACE USER 'visitor'@'127.0.0.1' IDENTIFIED BY 'pass'", "CREATE TABLE log (id INT)",
            f"GRANT SELECT ON `{mariadb.database}`.log TO 'visitor'@'127.0.0.1'")  # fmt: skip
    guest = mariadb.set(username="visitor", password="pass")
    with pytest.raises(InputError, match="may not read this") as caught:
        read(guest, query="SELECT * FROM mysql.user")
    assert leaks(caught.value, guest) == []
    with pytest.raises(InputError, match=r"refuses the query, in the query\. Check") as caught:
        read(guest, query=f"SELECT {guest.username} FROM log")
    assert leaks(caught.value, guest) == []
    execute(mariadb, "DROP USER 'visitor'@'127.0.0.1'")


def test_nothing_of_the_url_is_in_sources_and_notes(server, execute) -> None:
    fill_magento(execute, server, count=3)
    sources, notes, _ = read(server)
    told = repr(list(sources.values())) + repr(notes)
    assert server.password not in told
    assert server.username not in told
    assert server.host not in told


@pytest.mark.parametrize(
    ("name", "query", "kill"),
    [
        ("mariadb", "SELECT connection_id(), repeat('x', 1000) FROM seq_1_to_300000", "KILL CONNECTION {}"),
        (
            "postgres",
            "SELECT pg_backend_pid(), repeat('x', 1000) FROM generate_series(1, 300000)",
            "SELECT pg_terminate_backend({})",
        ),
    ],
)
def test_a_connection_that_breaks_is_told(request, execute, monkeypatch, name, query, kill) -> None:
    url = request.getfixturevalue(name)
    monkeypatch.setattr(databases, "BATCH_ROWS", 50)
    batches_of = databases._batches

    def breaking(cursor):
        for number, batch in enumerate(batches_of(cursor)):
            if number == 1:
                execute(url, kill.format(batch[0][0]))
            yield batch

    monkeypatch.setattr(databases, "_batches", breaking)
    with pytest.raises(InputError, match="connection to the database was lost") as caught:
        read(url, query=query)
    assert leaks(caught.value, url) == []


def test_who_stops_the_reading_need_not_wait_for_the_rest(server, monkeypatch) -> None:
    def stopping(cursor):
        yield cursor.fetchmany(10)
        raise KeyboardInterrupt

    monkeypatch.setattr(databases, "_batches", stopping)
    rest = "seq_1_to_1000000000" if server.get_backend_name() == "mysql" else "generate_series(1, 3000000)"
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        read(server, query=f"SELECT 1 FROM {rest}")
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://user:p@ss:w/rd@host/shop", "cannot be taken apart"),
        ("mssql+pyodbc://user:w0rd@host/shop", r"mssql\+pyodbc:// is not read.*export the orders"),
        ("postgresql+asyncpg://user:w0rd@host/shop", r"postgresql\+asyncpg:// is not read"),
        ("orders.csv", "no URL of a database"),
    ],
)
def test_urls_that_cannot_be_meant(url, said) -> None:
    with pytest.raises(ArgumentError, match=said) as caught:
        open_database(duckdb.connect(), url)
    assert "w0rd" not in str(caught.value)
    assert "p@ss" not in str(caught.value)


@pytest.mark.parametrize(
    ("scheme", "is_one"),
    [
        ("mysql", True), ("mysql+pymysql", True), ("mariadb", True), ("mariadb+pymysql", True), ("postgres", True),
        ("postgresql", True), ("postgresql+psycopg", True), ("sqlite", True), ("https", False), ("s3", False),
    ],
)  # fmt: skip
def test_urls_of_databases_are_told_from_other_texts(scheme, is_one) -> None:
    assert is_url(f"{scheme}://somewhere/shop") is is_one
    assert not is_url("orders.csv")
    assert not is_url(None)


@pytest.mark.parametrize("scheme", ["mysql", "mariadb", "mariadb+pymysql"])
def test_short_schemes_find_their_driver(mariadb, execute, scheme) -> None:
    execute(mariadb, "CREATE TABLE log (id INT)", "INSERT INTO log VALUES (1)")
    assert two(read(mariadb.set(drivername=scheme), query="SELECT * FROM log"))[1].columns == ["id"]


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_short_schemes_of_postgresql_find_their_driver(postgres, scheme) -> None:
    assert two(read(postgres.set(drivername=scheme), query="SELECT 1 AS id"))[1].columns == ["id"]


@pytest.mark.parametrize("missing", ["sqlalchemy", "pymysql"])
def test_a_missing_package_is_named_by_its_extra(monkeypatch, missing) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ForecastError, match=r'pip install "clv-forecast\[sql\]"'):
        open_database(duckdb.connect(), "mysql://user@127.0.0.1:1/shop")
