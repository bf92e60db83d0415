"""Given histories, from cells that were read to a table that may be relied on: every rule, every row."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from forecast.errors import InputError
from forecast.summary.checks import Breaches, check_days, check_money, check_purchases, check_spend
from forecast.summary.given import DAYS, MONEY_COLUMNS, GivenHistories
from forecast.summary.table import BOUGHT, ORDERED, PAID, compact_columns, ident

BLOCK = 1 << 18
_EPOCH = dt.date(1970, 1, 1)
_numbers = itertools.count(1)
# Where a record stands; no column of anybody's file has such a name.
SOURCE, ROW = ident("record: source"), ident("record: row")


@dataclass(frozen=True)
class Staged:
    """What was read of a file or frame, before any rule is applied.

    Attributes
    ----------
    table : str
        ``SOURCE`` and ``ROW`` (where a record stands), the columns as texts, doubles and dates; or a view of
        them.
    columns : tuple of str
        Those of the histories that are there.
    extras : tuple of str
        The other columns, as texts.
    where : str
        Short name for messages.
    sources : tuple of str
        Short names of the files.
    in_place : bool
        Whether ``table`` is a view.
    """

    table: str
    columns: tuple[str, ...]
    extras: tuple[str, ...]
    where: str
    sources: tuple[str, ...]
    in_place: bool = False


def keep_histories(
    connection: Any, staged: Staged, as_of: dt.date | None = None, daily: str | None = None, **facts: Any
) -> GivenHistories:
    """Check what was read and keep it, by ``customer_id``.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
    staged : Staged
        Its table or view is dropped.
    as_of : datetime.date, optional
        Told by ``first_purchase`` (or ``last_purchase``) and ``T`` when left out.
    daily : str, optional
        Table ``day, repeat_purchases, ROW, SOURCE`` of repeat purchases; dropped too.
    **facts
        Of :class:`GivenHistories`.

    Raises
    ------
    InputError
        Listing every breach of the rules of :mod:`forecast.summary.checks` with its count and first rows; or
        when ``as_of`` is told by nothing.
    """
    money = _has_money(connection, staged)
    day = _last_day(connection, staged) if as_of is None else as_of
    breaches = Breaches(staged.where)
    _check_ids(connection, staged, breaches)
    end = None if day is None else (day - _EPOCH).days
    for arrays, names in _blocks(connection, staged):
        breaches.rows = names
        with np.errstate(invalid="ignore", over="ignore"):
            check_purchases(arrays, breaches)
            check_days(arrays, breaches, end)
            if "monetary_count" in arrays:
                check_spend(arrays, "monetary_count", breaches)
            if money:
                check_money(arrays, breaches)
    breaches.report()
    assert day is not None  # without it no row had a usable T, which has been told
    table = f"given_{next(_numbers)}"
    extras = "".join(f", {ident(name)} VARCHAR" for name in staged.extras)
    connection.execute(f"CREATE TEMP TABLE {table} ({compact_columns(day)}{extras})")
    connection.execute(f"INSERT INTO {table} BY NAME {_kept(staged, day)}")
    connection.execute(f"DROP {'VIEW' if staged.in_place else 'TABLE'} {staged.table}")
    if daily is not None:
        daily = _keep_days(connection, daily, table, day)
    return GivenHistories(
        connection, table, day, staged.extras, daily=daily, sources=staged.sources, **facts
    )  # fmt: skip


def _has_money(connection: Any, staged: Staged) -> bool:
    """Whether there is any amount; all columns of money or none are needed.

    Raises
    ------
    InputError
    """
    missing = [name for name in MONEY_COLUMNS if name not in staged.columns]
    if missing and len(missing) < len(MONEY_COLUMNS):
        raise InputError(
            f"column{'s' if len(missing) > 1 else ''} missing: {', '.join(missing)}", where=staged.where,
            advice=f"Give all columns of money or none: {', '.join(MONEY_COLUMNS)}.",
        )  # fmt: skip
    if missing:
        return False
    some = " OR ".join(f"{name} IS NOT NULL" for name in MONEY_COLUMNS if name != "monetary_count")
    found = connection.execute(
        f"SELECT count(*) FROM {staged.table} WHERE monetary_count <> 0 OR {some}"
    ).fetchall()
    return int(found[0][0]) > 0


def _last_day(connection: Any, staged: Staged) -> dt.date | None:
    """The day on which most histories end by their own account; None where no row tells."""
    begin = "first_purchase"
    if begin not in staged.columns:
        begin = "last_purchase - TRY_CAST(recency AS INT)"
    if not set(DAYS) & set(staged.columns):
        raise InputError(
            "nothing tells the day on which the histories end", where=staged.where,
            advice="Give as_of (--as-of), or the column first_purchase.",
        )  # fmt: skip
    found = connection.execute(
        f"SELECT {begin} + TRY_CAST(T AS INT) AS ends FROM {staged.table} "
        "WHERE abs(T) < 1e6 AND abs(recency) < 1e6 GROUP BY ends HAVING ends IS NOT NULL "
        "ORDER BY count(*) DESC, ends DESC LIMIT 1"
    ).fetchall()
    return found[0][0] if found else None


def _row(staged_sources: int) -> str:
    """How a record is named in messages: its number, with its file where there are several."""
    return f"'row ' || {ROW}" if staged_sources == 1 else f"{SOURCE} || ' row ' || {ROW}"


def _check_ids(connection: Any, staged: Staged, breaches: Breaches) -> None:
    name, place = _row(len(staged.sources)), f"{SOURCE}, {ROW}"
    everyone, some, distinct = connection.execute(
        f"SELECT count(*), count(customer_id), count(DISTINCT customer_id) FROM {staged.table}"
    ).fetchall()[0]
    if some < everyone:
        rows = f"SELECT {name} FROM {staged.table} WHERE customer_id IS NULL ORDER BY {place} LIMIT 3"
        shown = [label for (label,) in connection.execute(rows).fetchall()]
        breaches.count("customer_id", "is missing", everyone - some, shown)
    if distinct < some:
        rows = (
            f"SELECT name FROM (SELECT {name} AS name, {place}, "
            f"row_number() OVER (PARTITION BY customer_id ORDER BY {place}) AS k FROM {staged.table} "
            f"WHERE customer_id IS NOT NULL) WHERE k > 1 ORDER BY {place} LIMIT 3"
        )
        shown = [label for (label,) in connection.execute(rows).fetchall()]
        breaches.count("customer_id", "repeats", some - distinct, shown)


def _blocks(connection: Any, staged: Staged) -> Iterator[tuple[dict[str, np.ndarray], Sequence[str]]]:
    """The numbers and days of some rows at a time, NaN where blank, and what the rows are called."""
    wanted = []
    for name in staged.columns:
        if name in DAYS:
            wanted.append(f"CAST({name} - DATE '1970-01-01' AS DOUBLE) AS {name}")
        elif name != "customer_id":
            wanted.append(name)
    query = f"SELECT {', '.join(wanted)}, {SOURCE}, {ROW} FROM {staged.table}"
    for batch in connection.sql(query).to_arrow_reader(BLOCK):
        *values, source, row = batch.columns
        found = {
            name.split()[-1]: np.asarray(own.cast("double").to_numpy(zero_copy_only=False))
            for name, own in zip(wanted, values, strict=True)
        }
        yield found, _Names(source, row, len(staged.sources))


class _Names(Sequence[str]):
    """Names of rows, made only for those that are shown."""

    def __init__(self, source: Any, row: Any, sources: int) -> None:
        self._source, self._row, self._several = source, row, sources > 1

    def __len__(self) -> int:
        return len(self._row)

    def __getitem__(self, place: Any) -> Any:
        return f"{self._source[place]} row {self._row[place]}" if self._several else f"row {self._row[place]}"


def _kept(staged: Staged, day: dt.date) -> str:
    """The query of the table that is kept, with what follows from the other columns."""
    nan = "CAST('NaN' AS DOUBLE)"
    cells = {
        "customer_id": "customer_id",
        "first_purchase": f"DATE '{day}' - CAST(T AS INTEGER)",
        "last_purchase": f"DATE '{day}' - CAST(T - recency AS INTEGER)",
        ident(BOUGHT): "frequency + 1",
        ident(ORDERED): "orders" if "orders" in staged.columns else "NULL",
        ident(PAID): "monetary_count",
        "monetary_value": f"CASE WHEN monetary_count > 0 THEN monetary_value ELSE {nan} END",
        "first_value": f"coalesce(first_value, {nan})",
        "historical_value": f"coalesce(historical_value, {nan})",
    }
    if "monetary_count" not in staged.columns:
        cells |= dict.fromkeys(MONEY_COLUMNS, nan) | {ident(PAID): "0"}
        del cells["monetary_count"]
    extras = [
        f"coalesce(nullif(trim({ident(name)}), ''), 'unknown') AS {ident(name)}" for name in staged.extras
    ]
    columns = [*(f"{cell} AS {name}" for name, cell in cells.items()), *extras]
    return f"SELECT {', '.join(columns)} FROM {staged.table} ORDER BY customer_id"


def _keep_days(connection: Any, daily: str, table: str, as_of: dt.date) -> str:
    """Repeat purchases by day, held against the histories.

    Raises
    ------
    InputError
        Listing every breach.
    """
    breaches = Breaches("the daily repeat purchases")
    first = connection.execute(f"SELECT min(first_purchase) FROM {table}").fetchall()[0][0]
    n = "repeat_purchases"
    rules = (
        ("day", "is missing", "day IS NULL"),
        ("day", "repeats", "day IS NOT NULL AND k > 1"),
        ("day", f"is not after the first purchase of all, {first}", f"day <= DATE '{first}' AND {n} > 0"),
        ("day", f"is after as_of {as_of}", f"day > DATE '{as_of}'"),
        (n, "is missing, negative or no whole number", f"{n} IS NULL OR NOT ({n} >= 0 AND {n} = floor({n}))"),
        (n, "is below the number of customers whose last purchase is on that day", f"{n} < lasts"),
    )
    connection.execute(
        f"CREATE TEMP TABLE {daily}_checked AS SELECT d.*, row_number() OVER (PARTITION BY day "
        f"ORDER BY {ROW}) AS k, coalesce(lasts, 0) AS lasts FROM {daily} d "
        f"LEFT JOIN (SELECT last_purchase AS day, count(*) AS lasts FROM {table} "
        f"WHERE frequency > 0 GROUP BY 1) USING (day)"
    )
    connection.execute(f"DROP TABLE {daily}")
    for column, what, rule in rules:
        found = connection.execute(
            f"SELECT count(*), list('row ' || {ROW} ORDER BY {ROW})[1:3] FROM {daily}_checked WHERE {rule}"
        ).fetchall()[0]
        breaches.count(column, what, found[0], found[1] or [])
    silent = connection.execute(
        f"SELECT DISTINCT CAST(last_purchase AS VARCHAR) FROM {table} WHERE frequency > 0 AND last_purchase "
        f"NOT IN (SELECT day FROM {daily}_checked WHERE day IS NOT NULL) ORDER BY 1"
    ).fetchall()
    left_out = [day for (day,) in silent]
    breaches.count("day", "is left out although it is somebody's last", len(left_out), left_out[:3])
    breaches.report()
    told, known = (
        int(connection.execute(f"SELECT coalesce(sum({n}), 0) FROM {own}").fetchall()[0][0])
        for n, own in ((n, f"{daily}_checked"), ("frequency", table))
    )
    if told != known:
        raise InputError(
            f"the days hold {told:,} repeat purchases, the histories {known:,}",
            where="the daily repeat purchases",
            advice="Make both from the same orders, with the same as_of.",
        )
    kept = f"{table}_daily"
    connection.execute(
        f"CREATE TEMP TABLE {kept} AS SELECT day, CAST({n} AS BIGINT) AS n FROM {daily}_checked WHERE {n} > 0"
    )
    connection.execute(f"DROP TABLE {daily}_checked")
    return kept
