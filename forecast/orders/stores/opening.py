"""An order store read as one: the newest copy of every order counts, and earlier ones are still known."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from forecast.errors import ArgumentError, ForecastError
from forecast.orders.currencies import check_currency
from forecast.orders.dialects import PLATFORMS
from forecast.orders.dialects.platform import Platform
from forecast.orders.handle import Orders
from forecast.orders.platforms.entries import FILE_STEP
from forecast.orders.platforms.exports import Entries
from forecast.orders.platforms.settling import settle
from forecast.orders.progress import Progress, watched
from forecast.orders.reconciliation import Line
from forecast.orders.sql import MONEY, ident, text
from forecast.orders.stores.logs import LOG, tell_apart
from forecast.orders.stores.record import (
    ENTRIES,
    GIVEN,
    LOADS,
    REJECTS,
    RESTORE,
    THING,
    Load,
    Store,
    damaged,
    is_store,
    read_record,
)

__all__ = ["is_store", "read_store", "refuse_options", "union"]

_numbers = itertools.count(1)


def refuse_options(**options: Any) -> None:
    """Refuse what was settled when the files were added.

    Raises
    ------
    ArgumentError
        When one of them is given.

    Examples
    --------
    >>> refuse_options(mapping=None, rates={"USD": 0.9})
    Traceback (most recent call last):
    forecast.errors.ArgumentError: rates cannot be chosen for an order store: the files were read when they
    were added. Give it to forecast orders add.
    """
    for name, value in options.items():
        if value:
            raise ArgumentError(
                f"{name} cannot be chosen for an order store: the files were read when they were added",
                advice="Give it to forecast orders add.",
            )


def platform_named(dialect: str) -> Platform:
    """The dialect of a store."""
    return next((own for own in PLATFORMS if own.name == dialect), LOG)


def read_store(
    connection: Any,
    path: Any,
    *,
    dialect: str,
    timezone: str | None,
    currency: str | None,
    value_policy: str | None,
    zero_value: str | None,
    exclude: Sequence[str],
    progress: Progress | None,
) -> Orders:
    """The orders of a store under a value policy.

    Raises
    ------
    ArgumentError
        When an option is not the store's.
    StoreError
        When a file of the store is missing or changed.
    InputError
        When no usable order is left.
    """
    store = read_record(path, verify=False)
    _same(store, dialect, timezone, currency)
    with watched(connection, progress, "reading the order store"):
        for attempt in (1, 2, 3):
            try:
                store = read_record(path)
                entries = union(connection, store)
                break
            except (ForecastError, OSError, duckdb.Error):
                # Another process may have replaced the loads between the record and their files.
                if attempt == 3 or read_record(path, verify=False).checksum == store.checksum:
                    raise
        return settle(
            connection, entries, timezone=store.settings.timezone, value_policy=value_policy,
            zero_value=zero_value, exclude=exclude, paths=store.paths,
        )  # fmt: skip


def _same(store: Store, dialect: str, timezone: str | None, currency: str | None) -> None:
    own = store.settings
    asked = (
        ("dialect", dialect, (own.dialect, platform_named(own.dialect).family, "auto")),
        ("timezone", timezone, (own.timezone, None)),
        ("currency", check_currency(currency), (own.currency, None)),
    )
    for name, value, allowed in asked:
        if value not in allowed:
            raise ArgumentError(
                f"the order store was made with {name} {allowed[0]!r}, not {value!r}",
                where=str(store.path),
                advice=f"Leave {name} (--{name}) out, or make a store of its own.",
            )


def label(load: Load, file: str) -> str:
    """How a file of a load is called among those of all loads."""
    return f"load {load.number}: {file}"


def union(connection: Any, store: Store) -> Entries:
    """The entries of all loads, each with the day on which it was loaded.

    Raises
    ------
    StoreError
        When a file cannot be read.
    """
    name = f"entries_store_{next(_numbers)}"
    loads = sorted(store.loads, key=lambda one: (one.loaded, one.number))
    parts, given, rejects = [], [], []
    files = 0
    for load in loads:
        # Entries and files of a load keep their numbers, moved past those of the loads before.
        entry, file = f"{files * FILE_STEP}", f"{files}"
        source = f"{text(label(load, ''))} || source_file AS source_file"
        parts.append(
            f"SELECT * REPLACE (entry + {entry} AS entry, file + {file} AS file, {source}), "
            "CAST(NULL AS VARCHAR) AS customer_id, false AS is_guest, false AS is_forgotten, "
            f"DATE '{load.loaded}' AS loaded, CAST({load.number} AS INTEGER) AS load "
            f"FROM {parquet(store.file(load, ENTRIES))}"
        )
        given.append(
            f"SELECT * REPLACE (own + {entry} AS own, file + {file} AS file, {source}), "
            f"DATE '{load.loaded}' AS loaded, {load.number} AS load FROM {parquet(store.file(load, GIVEN))}"
        )
        rejects.append(f"SELECT * REPLACE ({source}) FROM {parquet(store.file(load, REJECTS))}")
        files += len(load.rows_in)
    try:
        connection.execute(f"CREATE TABLE {name} AS {' UNION ALL BY NAME '.join(parts)}")
        connection.execute(f"CREATE TABLE {name}_rejects_of_loads AS {' UNION ALL '.join(rejects)}")
        left = _given_once(connection, f"{name}_given", " UNION ALL ".join(given))
    except duckdb.IOException as problem:
        what = f"it cannot be read ({str(problem).splitlines()[0][:80]})"
        raise damaged(what, store.path / LOADS, thing=THING, advice=RESTORE) from None
    platform = platform_named(store.settings.dialect)
    if platform is LOG:
        connection.execute(f"UPDATE {name} SET unique_id = NULL")
        tell_apart(connection, name)
    for load in loads:
        left += load.lines(lambda file, load=load: label(load, file))
    return Entries(
        platform, name, f"{name}_given",
        [label(load, file) for load in loads for file in load.rows_in],
        {label(load, file): rows for load in loads for file, rows in load.rows_in.items()},
        [(label(load, file), code, rows) for load in loads for file, code, rows in load.merged],
        [], loads[-1].mapping,
        tuple(dict.fromkeys(extra for load in loads for extra in load.extras)),
        store.settings.currency, _notes(loads), left, f"{name}_rejects_of_loads",
    )  # fmt: skip


def _given_once(connection: Any, table: str, given: str) -> list[Line]:
    """Refunds of a second table: one that several loads have is one; the copies become lines."""
    one = "own, parent, day, amount, net, tax, shipping"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {table}_all AS SELECT *, own IS NULL AND row_number() OVER "
        f"(PARTITION BY {one}, nth ORDER BY loaded, load) > 1 AS is_copy FROM (SELECT *, row_number() OVER "
        f"(PARTITION BY load, {one} ORDER BY file, row) AS nth FROM ({given}))"
    )
    connection.execute(
        f"CREATE TABLE {table} AS SELECT * EXCLUDE (loaded, load, nth, is_copy) FROM {table}_all "
        "WHERE NOT is_copy"
    )
    copies = connection.execute(
        f"SELECT source_file, count(*), coalesce(sum(CAST(amount AS {MONEY})), 0) FROM {table}_all "
        "WHERE is_copy GROUP BY 1"
    ).fetchall()
    connection.execute(f"DROP TABLE {table}_all")
    return [Line(file, "duplicate_order", rows, -Decimal(money)) for file, rows, money in copies]


def parquet(path: Path) -> str:
    """A file of the store after FROM; brackets, stars and question marks in its path are no patterns."""
    plain = "".join(f"[{letter}]" if letter in "[*?" else letter for letter in str(path))
    return f"read_parquet({text(plain)})"


def _notes(loads: Sequence[Load]) -> list[str]:
    """Of the newest load all notes, of the others what has to be looked at."""
    days = sorted({load.loaded for load in loads})
    span = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    notes = [f"an order store of {len(loads):,} loads, of {span}"]
    for load in loads[:-1]:
        notes += [f"load {load.number}: {note}" for note in load.notes if note.startswith("LOOK HERE")]
    return notes + loads[-1].notes


def columns_of(connection: Any, table: str) -> list[str]:
    """Names of a table's columns, quoted."""
    return [ident(row[0]) for row in connection.execute(f"DESCRIBE {table}").fetchall()]
