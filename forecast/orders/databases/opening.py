"""Orders straight from a database: MySQL, MariaDB, PostgreSQL or SQLite, by an SQLAlchemy URL.

Nothing of the URL is ever printed: user, password and host stay out of labels, notes and errors.
"""

from __future__ import annotations

import itertools
import re
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forecast.errors import ArgumentError, InputError
from forecast.orders.databases.batches import load_batches
from forecast.orders.databases.column_types import declared_type
from forecast.orders.databases.refusals import refusal
from forecast.orders.databases.shops import Selection, select_tables
from forecast.orders.sources import Source

BATCH_ROWS = 50_000
_CONNECT_SECONDS = 15
_numbers = itertools.count(1)

_DRIVERS = {
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "sqlite": "sqlite+pysqlite",
}
_URL = re.compile(r"\s*(mysql|mariadb|postgresql|postgres|sqlite|mssql|oracle)(?:\+(\w+))?://", re.IGNORECASE)

# Stamps come in UTC, whatever the server's zone is; nothing can be written; two tables are of one moment.
_SESSION = {
    "mysql": (
        "SET time_zone = '+00:00'",
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
    ),
    "postgresql": ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY", "SET LOCAL TIME ZONE 'UTC'"),
    "sqlite": ("BEGIN",),
}

# Comments (but not MySQL's executable ones), and quoted text in each database's way of writing it.
_COMMENT = r"--[^\n]*|/\*(?!!|M!).*?\*/"
_QUOTED = {
    "mysql": r"""|\#[^\n]*|'(?:\\.|''|[^'\\])*'|"(?:\\.|""|[^"\\])*"|`[^`]*`""",
    "postgresql": r"""|\b[eE]'(?:\\.|''|[^'\\])*'|'(?:''|[^'])*'|"(?:""|[^"])*"|(\$\w*\$).*?\1""",
    "sqlite": r"""|'(?:''|[^'])*'|"(?:""|[^"])*"|`[^`]*`|\[[^\]]*\]""",
}


@dataclass
class _Address:
    """A URL taken apart: which database it is, how it is opened, and what must not be told."""

    kind: str
    url: Any = field(repr=False)
    path: Path | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)


def is_url(text: Any) -> bool:
    """Whether a text is the URL of a database.

    Examples
    --------
    >>> is_url("mysql://reader:secret@db/shop"), is_url("sqlite:///shop.db"), is_url("orders.csv")
    (True, True, False)
    """
    return isinstance(text, str) and _URL.match(text) is not None


def open_database(
    connection: Any, url: str, query: str | None = None, dialect: str = "auto"
) -> tuple[list[Source], list[str]]:
    """Tables of a shop's database, or the rows of a query, as sources.

    Parameters
    ----------
    connection : duckdb connection
        Where the rows are put.
    url : str
        ``mysql://``, ``mariadb://``, ``postgresql://`` or ``sqlite:///``, as SQLAlchemy has them.
    query : str, optional
        One SELECT; without it the tables are chosen by the dialect.
    dialect : str
        ``"magento"`` reads ``sales_order`` and ``sales_creditmemo``, ``"woocommerce"`` ``wc_orders``,
        ``wc_order_stats`` and ``wc_order_operational_data``, each with the shop's prefix; ``"auto"``
        whichever is there.

    Returns
    -------
    sources : list of Source
        Labelled by the table, or ``"query"``.
    notes : list of str

    Raises
    ------
    InputError
        When the database cannot be reached or read, has no table of orders (or several), or no rows.
    ArgumentError
        When the URL or the query cannot be meant.
    """
    address = _address(url)
    if query is not None:
        query = _one_select(query, address.kind)
    with _session(address) as session:
        wanted = [Selection("query", query)] if query else _shop_tables(session, address, dialect)
        opened: list[Source] = []
        notes: list[str] = []
        for number, selection in enumerate(wanted):
            source = _load(connection, session, address, selection, notes)
            if source is not None:
                opened.append(source)
            elif number == 0:
                raise InputError(
                    "there are no rows",
                    where=selection.table,
                    advice="Check which database or rows are meant.",
                )
    if query is None:
        notes.insert(0, f"read from the database: {', '.join(source.label for source in opened)}")
    return opened, notes


def _address(url: str) -> _Address:
    matched = _URL.match(url)
    if matched is None:
        raise ArgumentError(
            "this is no URL of a database", advice="Write for example mysql://user@host/shop."
        )
    family, driver = matched[1].lower(), matched[2]
    if family not in _DRIVERS or driver not in (None, _DRIVERS[family].split("+")[1]):
        raise ArgumentError(
            f"{matched[0].strip()} is not read",
            advice="Write mysql://, mariadb://, postgresql:// or sqlite:///, or export the orders to a file.",
        )
    engine = _sqlalchemy()
    try:
        parsed = engine.make_url(url.strip()).set(drivername=_DRIVERS[family])
    except (engine.exc.SQLAlchemyError, ValueError):
        # Its words would quote the URL.
        raise ArgumentError(
            "the URL of the database cannot be taken apart",
            advice="Write mysql://user:password@host:3306/shop; in a password write %40 for @, %2F for /.",
        ) from None
    kind = parsed.get_backend_name()
    if kind == "sqlite":
        return _Address(kind, parsed, _database_file(parsed.database))
    given = [parsed.username, parsed.password, parsed.host, *_flat(parsed.query.values())]
    return _Address(kind, parsed, secrets=tuple(str(part) for part in given if part))


def _database_file(name: str | None) -> Path:
    if not name or name == ":memory:":
        raise ArgumentError("the URL names no file", advice="Write sqlite:///folder/shop.db.")
    path = Path(name).expanduser()
    if not path.is_file():
        # SQLite itself would make an empty one.
        raise InputError("the file does not exist", where=path.name, advice="Check the path.")
    return path


def _flat(values: Any) -> Iterator[str]:
    for value in values:
        yield from [value] if isinstance(value, str) else value


def _sqlalchemy() -> Any:
    try:
        import sqlalchemy
    except ImportError:
        raise _missing() from None
    return sqlalchemy


def _missing() -> InputError:
    return InputError(
        "databases are read by packages that are not installed",
        advice='Run pip install "clv-forecast[sql]".',
    )


def _one_select(query: str, kind: str) -> str:
    """The query without its last semicolon, when it is one SELECT."""
    bare = re.sub(_COMMENT + _QUOTED[kind], _blanked, query, flags=re.DOTALL).strip().rstrip("; \t\r\n")
    start = bare.lstrip("( \t\r\n")
    if re.match(r"(?:select|with)\b", start, re.IGNORECASE) is None:
        raise ArgumentError("the query is no SELECT", advice="Give one SELECT (or WITH ... SELECT).")
    if ";" in bare:
        raise ArgumentError("the query is more than one statement", advice="Give one SELECT.")
    if kind == "mysql" and re.search(r"\binto\s+(?:outfile|dumpfile)\b", bare, re.IGNORECASE):
        # A transaction that only reads would not stop it.
        raise ArgumentError("the query writes a file", advice="Give a SELECT without INTO.")
    return query.strip().removesuffix(";")


def _blanked(part: re.Match[str]) -> str:
    return " " if part[0].startswith(("--", "/*", "#")) else "''"


@contextmanager
def _session(address: _Address) -> Iterator[Any]:
    """A connection in one transaction that only reads, its stamps in UTC."""
    sqlalchemy = _sqlalchemy()
    options: dict[str, Any] = {}
    if address.path is not None:
        path = address.path
        options["creator"] = lambda: _open_file(path)
    try:
        if address.path is None:
            options["connect_args"] = _connect_options(address)
        engine = sqlalchemy.create_engine(address.url, poolclass=sqlalchemy.pool.NullPool, **options)
    except ImportError:
        raise _missing() from None
    try:
        try:
            session = engine.connect()
        except Exception as error:
            # Whatever it is, it may quote the URL.
            raise refusal(error, None, address.secrets) from None
        with _told(address, None), session:
            for statement in _SESSION[address.kind]:
                session.exec_driver_sql(statement)
            yield session
    finally:
        engine.dispose()


def _connect_options(address: _Address) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if "connect_timeout" not in address.url.query:
        options["connect_timeout"] = _CONNECT_SECONDS
    if address.kind == "mysql":
        from pymysql.constants import FIELD_TYPE
        from pymysql.converters import conversions

        # Flags are numbers; as bytes they would be unprintable texts.
        options["conv"] = {**conversions, FIELD_TYPE.BIT: int.from_bytes}
    return options


def _open_file(path: Path) -> sqlite3.Connection:
    opened = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    opened.text_factory = lambda raw: raw.decode("utf-8", "replace")
    return opened


@contextmanager
def _told(address: _Address, where: str | None) -> Iterator[None]:
    """Errors of the driver as ours, with nothing of the URL in them."""
    errors = (_sqlalchemy().exc.SQLAlchemyError, _driver_error(address.kind), OSError, UnicodeDecodeError)
    try:
        yield
    except errors as error:
        raise refusal(error, where, address.secrets) from None


def _driver_error(kind: str) -> type[Exception]:
    if kind == "mysql":
        from pymysql import MySQLError

        return MySQLError
    if kind == "postgresql":
        from psycopg import Error

        return Error
    return sqlite3.Error


def _shop_tables(session: Any, address: _Address, dialect: str) -> list[Selection]:
    sqlalchemy = _sqlalchemy()
    found: dict[str, list[str]] = {}

    def columns_of(table: str) -> list[str]:
        if table not in found:
            result = session.exec_driver_sql(f"SELECT * FROM {_quoted(table, address.kind)} WHERE 1 = 0")
            found[table] = list(result.keys())
            result.close()
        return found[table]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sqlalchemy.exc.SAWarning)
        inspector = sqlalchemy.inspect(session)
        names = [*inspector.get_table_names(), *inspector.get_view_names()]
    return select_tables(dialect, names, columns_of, lambda name: _quoted(name, address.kind))


def _quoted(name: str, kind: str) -> str:
    mark = "`" if kind == "mysql" else '"'
    return mark + name.replace(mark, mark * 2) + mark


def _load(
    connection: Any, session: Any, address: _Address, selection: Selection, notes: list[str]
) -> Source | None:
    """One SELECT as a table of the reading database; None when it gives no rows."""
    table = f"database_{next(_numbers)}"
    with _told(address, "the query" if selection.table == "query" else selection.table):
        cursor = _stream(session, address.kind)
        try:
            # Without parameters: a percent sign or a colon in the query is only that.
            cursor.execute(selection.statement)
            columns = cursor.description
            declared = [declared_type(address.kind, column) for column in columns]
            rows, zero_dates = load_batches(connection, table, declared, _batches(cursor))
        except BaseException:
            _abandon(session, cursor)
            raise
        cursor.close()
    if rows == 0:
        connection.execute(f"DROP TABLE {table}")
        return None
    names = [str(column[0]) for column in columns]
    for i, count in zero_dates.items():
        rows_said = f"{count:,} row{'' if count == 1 else 's'}"
        notes.append(f"{selection.table}: {names[i]} is no date (0000-00-00) in {rows_said}; taken as blank")
    types = [line[1] for line in connection.execute(f"DESCRIBE {table}").fetchall()]
    cells = [f"c{i}" for i in range(len(names))]
    return Source(selection.table, table, "rowid + 1", names, cells, types, tables=(table,))


def _stream(session: Any, kind: str) -> Any:
    """A cursor of the driver's own that leaves the rows at the server until they are asked for.

    Through SQLAlchemy an interrupted stream would first be read to its end.
    """
    opened = session.connection.driver_connection
    if kind == "mysql":
        from pymysql.cursors import SSCursor

        return opened.cursor(SSCursor)
    return opened.cursor(name="orders") if kind == "postgresql" else opened.cursor()


def _batches(cursor: Any) -> Iterator[Any]:
    while batch := cursor.fetchmany(BATCH_ROWS):
        yield batch


def _abandon(session: Any, cursor: Any) -> None:
    """Close the connection in the middle of a stream, however much is still to come."""
    unread = getattr(cursor, "_result", None)
    if unread is not None and hasattr(unread, "unbuffered_active"):
        # Else PyMySQL reads it all before it closes the cursor.
        unread.unbuffered_active = False
    with suppress(Exception):
        cursor.close()
    session.invalidate()
