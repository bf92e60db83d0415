"""Real database servers for the tests: private ones in a folder of their own, or those that are named.

``CLV_TEST_MARIADB_URL`` and ``CLV_TEST_POSTGRES_URL`` name servers that run already, with a login that may
create databases. Without them each process of the suite starts its own, when it first needs one.
"""

from __future__ import annotations

import glob
import itertools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine, exc, make_url
from sqlalchemy.pool import NullPool

# Not UTC, so that a stamp shifted by the server's zone cannot be overlooked.
SERVER_ZONE = "+02:30"
PASSWORD = "s3cr3t-w0rd"
START_SECONDS = 60
_numbers = itertools.count(1)


def find_program(*names: str) -> str | None:
    """A program, also where Debian keeps those of servers."""
    folders = sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", *folders])
    return next((found for name in names if (found := shutil.which(name, path=path))), None)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_as(user: str | None, command: list[str], log: Path) -> subprocess.Popen[bytes]:
    account = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if user else {}
    with log.open("ab") as out:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd="/", **account
        )


def finished(user: str | None, command: list[str], log: Path) -> None:
    assert run_as(user, command, log).wait(timeout=120) == 0, log.read_text()


def wait_until_open(url: URL, server: subprocess.Popen[bytes], log: Path) -> None:
    engine = create_engine(url, poolclass=NullPool)
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            engine.connect().close()
            return
        except exc.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the server did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.1)


def folder_of(user: str | None) -> Path:
    """A short path (sockets allow no long one) that the server's user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="clv-"))
    if user:
        shutil.chown(folder, user)
    return folder


def stop(server: subprocess.Popen[bytes], folder: Path) -> None:
    server.terminate()
    try:
        server.wait(timeout=30)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[URL]:
    """A MariaDB server's URL."""
    if named := os.environ.get("CLV_TEST_MARIADB_URL"):
        yield make_url(named)
        return
    install, program = find_program("mariadb-install-db"), find_program("mariadbd")
    if install is None or program is None:
        pytest.skip("no MariaDB server is installed (mariadbd), and CLV_TEST_MARIADB_URL names none")
    folder = folder_of(None)
    me, log, data, port = pwd.getpwuid(os.geteuid()).pw_name, folder / "log", folder / "data", free_port()
    finished(
        None,
        [install, "--no-defaults", f"--user={me}", f"--datadir={data}", "--skip-test-db",
         "--auth-root-authentication-method=normal"],
        log,
    )  # fmt: skip
    first = folder / "first.sql"
    first.write_text(
        f"CREATE USER 'owner'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n"
        "GRANT ALL ON *.* TO 'owner'@'127.0.0.1' WITH GRANT OPTION;\n"
    )
    server = run_as(
        None,
        [program, "--no-defaults", f"--user={me}", f"--datadir={data}", f"--socket={folder / 'socket'}",
         f"--pid-file={folder / 'pid'}", f"--port={port}", "--bind-address=127.0.0.1", "--skip-name-resolve",
         f"--default-time-zone={SERVER_ZONE}", f"--init-file={first}", "--innodb-buffer-pool-size=32M",
         "--innodb-flush-log-at-trx-commit=0"],
        log,
    )  # fmt: skip
    try:
        url = URL.create("mysql+pymysql", "owner", PASSWORD, "127.0.0.1", port)
        wait_until_open(url, server, log)
        yield url
    finally:
        stop(server, folder)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[URL]:
    """A PostgreSQL server's URL."""
    if named := os.environ.get("CLV_TEST_POSTGRES_URL"):
        yield make_url(named)
        return
    install, program = find_program("initdb"), find_program("postgres")
    if install is None or program is None:
        pytest.skip("no PostgreSQL server is installed (postgres), and CLV_TEST_POSTGRES_URL names none")
    # It refuses to run as root.
    user = None
    if os.geteuid() == 0:
        user = next((entry.pw_name for entry in pwd.getpwall() if entry.pw_name == "postgres"), None)
        if user is None:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
    folder = folder_of(user)
    log, data, port = folder / "log", folder / "data", free_port()
    password = folder / "password"
    password.write_text(PASSWORD)
    if user:
        shutil.chown(password, user)
    finished(
        user,
        [install, "-D", str(data), "-U", "owner", "--auth=scram-sha-256", f"--pwfile={password}", "-E", "UTF8",
         "--locale=C", "--no-sync"],
        log,
    )  # fmt: skip
    server = run_as(
        user,
        [program, "-D", str(data), "-p", str(port), "-k", str(folder), "-c", "listen_addresses=127.0.0.1",
         "-c", "fsync=off", "-c", "timezone=Asia/Kolkata"],
        log,
    )  # fmt: skip
    try:
        url = URL.create("postgresql+psycopg", "owner", PASSWORD, "127.0.0.1", port, "postgres")
        wait_until_open(url, server, log)
        yield url
    finally:
        stop(server, folder)


def fresh(server: URL) -> Iterator[URL]:
    """A database of its own, gone after the test."""
    name = f"clv_{os.getpid()}_{next(_numbers)}"
    engine = create_engine(server, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    letters = " CHARACTER SET utf8mb4" if server.get_backend_name() == "mysql" else ""
    with engine.connect() as session:
        session.exec_driver_sql(f"CREATE DATABASE {name}{letters}")
    try:
        yield server.set(database=name)
    finally:
        with engine.connect() as session:
            session.exec_driver_sql(f"DROP DATABASE {name}")


@pytest.fixture
def mariadb(mariadb_server: URL) -> Iterator[URL]:
    """An empty database of MariaDB."""
    yield from fresh(mariadb_server)


@pytest.fixture
def postgres(postgres_server: URL) -> Iterator[URL]:
    """An empty database of PostgreSQL."""
    yield from fresh(postgres_server)


@pytest.fixture
def sqlite(tmp_path: Path) -> URL:
    """An empty database of SQLite."""
    path = tmp_path / "shop.db"
    path.touch()
    return URL.create("sqlite", database=str(path))


@pytest.fixture
def execute() -> Callable[..., None]:
    """Runs statements in a database, the last one for each of the rows if there are any."""

    def run(url: URL, *statements: str, rows: list[tuple] | None = None) -> None:
        engine = create_engine(url, poolclass=NullPool, hide_parameters=True)
        with engine.begin() as session:
            for number, statement in enumerate(statements, start=1):
                if rows and number == len(statements):
                    session.exec_driver_sql(statement, rows)
                else:
                    session.exec_driver_sql(statement, execution_options={"no_parameters": True})

    return run


@pytest.fixture(params=["mariadb", "postgres", "sqlite"])
def database(request) -> URL:
    return request.getfixturevalue(request.param)


@pytest.fixture(params=["mariadb", "postgres"])
def server(request) -> URL:
    return request.getfixturevalue(request.param)
