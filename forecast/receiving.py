"""Purchase histories that a team sends instead of orders: files and frames, read cell by cell."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from forecast.errors import ArgumentError, InputError
from forecast.orders.cells import read_ids
from forecast.orders.currencies import check_currency
from forecast.orders.files import find_files
from forecast.orders.frames import is_frame
from forecast.orders.handle import stamp_of
from forecast.orders.reading import connect
from forecast.orders.sources import Source, close_sources, open_sources
from forecast.orders.sql import BLANK_TEXTS, ident, text, texts, trimmed
from forecast.orders.sufficiency import silence_notes
from forecast.periods import parse_day
from forecast.summary.accepting import ROW, SOURCE, Staged, keep_histories
from forecast.summary.checks import Breaches
from forecast.summary.given import DAYS, NEEDED, GivenHistories
from forecast.summary.table import COLUMNS

_DAILY = ("day", "repeat_purchases")
_NUMERIC = re.compile(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|DOUBLE|FLOAT|REAL|DECIMAL.*")
# A day, or its midnight as a warehouse writes it.
_ISO = "[0-9]{4}-[0-9]{2}-[0-9]{2}([ T]00:00(:00([.]0+)?)?)?(Z| ?UTC|[+]00(:?00)?)?"
_INDEX = re.compile("__index_level_[0-9]+__")
_numbers = itertools.count(1)


def read_histories(
    source: Any,
    as_of: Any = None,
    *,
    currency: str | None = None,
    daily: Any = None,
    duckdb_config: Mapping[str, Any] | None = None,
) -> GivenHistories:
    """Read purchase histories made elsewhere, for :func:`forecast.fit` and :meth:`forecast.Model.score`.

    Every row is held against the rules of histories; nothing is repaired and nothing left out.

    Parameters
    ----------
    source : path, glob, frame, or list of paths or frames
        CSV, TSV, Parquet or JSON lines (text also as ``.gz``); pandas, polars or Arrow frames. One row a
        customer with ``customer_id, frequency, recency, T``, times in days; and, as far as they are there,
        ``first_purchase, last_purchase``, the columns of money ``monetary_value, monetary_count,
        first_value, historical_value`` (all or none), ``orders`` and ``purchases``. Capital letters do not
        matter. Other columns are kept for ``by=`` and ``covariates=``.
    as_of : date or ISO string, optional
        Last day that counts, inclusive. Told by ``first_purchase`` and ``T`` when left out.
    currency : str, optional
        Three-letter code.
    daily : path, frame or list, optional
        Repeat purchases of all customers by day, ``day, repeat_purchases``: what a seasonal clock needs. Days
        without any may be left out.
    duckdb_config : mapping, optional
        Settings of the database that does the work, for example ``{"memory_limit": "4GB"}``.

    Returns
    -------
    GivenHistories

    Raises
    ------
    InputError
        When a file is missing, unreadable or changes meanwhile, a column is missing, cells are no numbers or
        days, nothing tells ``as_of``, or rows break the rules; all breaches are listed with their counts and
        first rows, which are counted as in the file (a header is row 1; frames begin with row 1).
    ArgumentError
        When an option cannot be meant.

    Examples
    --------
    >>> import pandas as pd
    >>> shop = pd.DataFrame({"customer_id": ["a", "b"], "frequency": [2, 0], "recency": [30, 0],
    ...                      "T": [40, 20]})
    >>> histories = read_histories(shop, as_of="2024-02-10")
    >>> histories.to_frame()[["customer_id", "first_purchase", "last_purchase", "frequency", "T"]]
      customer_id first_purchase last_purchase  frequency   T
    0           a     2024-01-01    2024-01-31          2  40
    1           b     2024-01-21    2024-01-21          0  20
    >>> read_histories(shop.assign(recency=[50, 0]), as_of="2024-02-10")
    Traceback (most recent call last):
    forecast.errors.InputError: recency is beyond T (1 row: row 1: 50), in frame. recency is last minus ...
    """
    day = None if as_of is None else parse_day(as_of)
    code = check_currency(currency)
    connection = connect(duckdb_config)
    notes: list[str] = []
    staged, stamps = _stage(connection, source, "histories", NEEDED, COLUMNS, notes)
    table = None
    if daily is not None:
        by_day, more = _stage(connection, daily, "the daily repeat purchases", _DAILY, _DAILY, notes)
        table, stamps = by_day.table, stamps | more
    found = keep_histories(
        connection, staged, day, table, currency=code, paths=[*stamps], notes=[*dict.fromkeys(notes)]
    )
    for path, stamp in stamps.items():
        if stamp_of(path) != stamp:
            raise InputError("the file changed while it was read", where=path.name, advice="Read it again.")
    found.notes += tuple(silence_notes(found, found.as_of))
    return found


def _stage(
    connection: Any, source: Any, what: str, needed: Sequence[str], known: Sequence[str], notes: list[str]
) -> tuple[Staged, dict[Path, tuple[int, int]]]:
    """Cells of known columns as texts, numbers and days in one table, with those of the others as texts.

    The files come with their stamps of before.
    """
    items = list(source) if isinstance(source, list | tuple) else [source]
    if not items or not all(isinstance(item, str | os.PathLike) or is_frame(item) for item in items):
        raise ArgumentError(
            f"{what} cannot be read from {type(source).__name__}",
            advice="Give a path, a pandas, polars or Arrow frame, or a list of them.",
        )
    stamps = {path: stamp_of(path) for item in items if not is_frame(item) for path in find_files(item)}
    opened, told = open_sources(connection, source)
    notes.extend(told)
    table = f"staged_{next(_numbers)}"
    breaches = Breaches(", ".join(own.label for own in opened[:3]) + ", ..." * (len(opened) > 3))
    columns: list[tuple[str, ...]] = []
    queries = []
    for own in opened:
        name = "row" if len(opened) == 1 else f"{own.label} row"
        found, extras, query = _cells(connection, own, needed, known, breaches, notes, name)
        columns.append((*found, *extras))
        queries.append(query)
        if sorted(columns[-1]) != sorted(columns[0]):
            raise InputError(
                "the columns differ from those of the first file", where=own.label,
                advice=f"Give all parts the columns {', '.join(columns[0])}.",
            )  # fmt: skip
        _broken(connection, own, breaches, notes, name)
    breaches.report()
    # Parquet stays where it is: it is looked through more than once, and need not be held.
    in_place = known is COLUMNS and all(own.relation.startswith("read_parquet(") for own in opened)
    kind = "VIEW" if in_place else "TABLE"
    # Frames in several chunks may come in any order, and messages name the first rows.
    ordered = f" ORDER BY {SOURCE}, {ROW}" if any(own.path is None for own in opened) else ""
    connection.execute(f"CREATE TEMP {kind} {table} AS {' UNION ALL BY NAME '.join(queries)}{ordered}")
    if not in_place:
        close_sources(connection, opened)
    if connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0] == 0:
        raise InputError("there are no rows", where=breaches.where, advice="Export them again.")
    others = tuple(name for name in columns[0] if name not in known)
    own_columns = tuple(name for name in columns[0] if name in known)
    labels = tuple(own.label for own in opened)
    return Staged(table, own_columns, others, breaches.where, labels, in_place), stamps


def _cells(
    connection: Any, own: Source, needed: Sequence[str], known: Sequence[str], breaches: Breaches,
    notes: list[str], called: str,
) -> tuple[list[str], list[str], str]:  # fmt: skip
    """Columns of one file or frame, and the query of their cells; cells that do not read are counted."""
    plain = {name.lower(): name for name in known}
    # An index that came along from pandas has no name in CSV and this one in Parquet.
    given = ["" if _INDEX.fullmatch(name) else name.strip() for name in own.columns]
    names = [plain.get(name.lower(), name) for name in given]
    blank = [name for name in names if not name]
    if blank:
        notes.append(f"{own.label}: {len(blank)} column{'s' * (len(blank) > 1)} without a name left out")
    lower = [name.lower() for name in names if name]
    doubled = sorted({name for name in names if name and lower.count(name.lower()) > 1})
    if doubled:
        raise InputError(f"column twice: {', '.join(doubled)}", where=own.label, advice="Keep one of each.")
    missing = [name for name in needed if name not in names]
    if missing:
        raise InputError(
            f"column{'s' if len(missing) > 1 else ''} missing: {', '.join(missing)}", where=own.label,
            advice=f"Found {', '.join(filter(None, names)) or 'no columns'}; rename or compute them.",
        )  # fmt: skip
    found, extras, cells = [], [], []
    for name, cell, kind in zip(names, own.cells, own.types, strict=True):
        if not name:
            continue
        if name not in known:
            extras.append(name)
            cells.append(f"CAST({cell} AS VARCHAR) AS {ident(name)}")
            continue
        found.append(name)
        if name == "customer_id":
            value, more = read_ids(
                connection, own.relation, trimmed(cell) if kind == "VARCHAR" else cell, kind, name
            )
            notes.extend(more)
        else:
            read = _day if name in (*DAYS, "day") else _number
            value, bad, what = read(cell, kind, name, own.label)
            _unread(connection, own, name, bad, what, breaches, called)
        cells.append(f"{value} AS {name}")
    query = (
        f"SELECT {text(own.label)} AS {SOURCE}, {own.row} AS {ROW}, {', '.join(cells)} FROM {own.relation}"
    )
    return found, extras, query


def _number(cell: str, kind: str, name: str, where: str) -> tuple[str, str, str]:
    """A number, when a cell is none, and what to call that."""
    what = "is not a number"
    if _NUMERIC.fullmatch(kind):
        return f"nullif(CAST({cell} AS DOUBLE), CAST('NaN' AS DOUBLE))", "FALSE", what
    if kind != "VARCHAR":
        raise InputError(f"{name} is of type {kind}", where=where, advice="Give numbers.")
    reading = "CASE WHEN NOT contains({0}, '_') THEN TRY_CAST({0} AS DOUBLE) END"
    value, bad = _text_cell(cell, reading)
    return f"nullif({value}, CAST('NaN' AS DOUBLE))", bad, what


def _day(cell: str, kind: str, name: str, where: str) -> tuple[str, str, str]:
    """A day, when a cell is none, and what to call that."""
    what = "is no day such as 2026-09-30"
    if kind == "DATE":
        return cell, f"NOT isfinite({cell})", what
    if kind.startswith("TIMESTAMP"):
        own = f"CAST({cell} AS TIMESTAMP)"
        return f"CAST({own} AS DATE)", f"NOT isfinite({own}) OR {own} <> date_trunc('day', {own})", what
    if kind != "VARCHAR":
        raise InputError(f"{name} is of type {kind}", where=where, advice="Give days such as 2026-09-30.")
    form = text(_ISO).replace("{", "{{").replace("}", "}}")
    reading = f"CASE WHEN regexp_full_match({{0}}, {form}) THEN TRY_CAST(left({{0}}, 10) AS DATE) END"
    return *_text_cell(cell, reading), what


def _text_cell(cell: str, reading: str) -> tuple[str, str]:
    """The value of a text by a way of reading it, and when it is neither that nor blank."""
    plain, own = reading.format(cell), trimmed(cell)
    careful = reading.format(own)  # only for the few cells that do not read as they are: it takes longer
    value = f"CASE WHEN ({plain}) IS NOT NULL THEN ({plain}) ELSE ({careful}) END"
    blank = f"lower({own}) IN ({texts(BLANK_TEXTS)})"
    odd = f"CASE WHEN {cell} IS NULL OR ({plain}) IS NOT NULL THEN FALSE ELSE NOT {blank} END"
    return value, f"CASE WHEN {odd} THEN ({careful}) IS NULL ELSE FALSE END"


def _unread(
    connection: Any, own: Source, name: str, bad: str, what: str, breaches: Breaches, called: str
) -> None:
    if bad == "FALSE":
        return
    number = connection.execute(f"SELECT count(*) FROM {own.relation} WHERE {bad}").fetchall()[0][0]
    if number:
        rows = connection.execute(
            f"SELECT {own.row} AS r FROM {own.relation} WHERE {bad} ORDER BY r LIMIT 3"
        ).fetchall()
        breaches.count(name, what, number, [f"{called} {row}" for (row,) in rows])


def _broken(connection: Any, own: Source, breaches: Breaches, notes: list[str], called: str) -> None:
    """Records that could not be taken apart; blank lines are only noted."""
    if own.broken is None:
        return
    found = dict(
        connection.execute(f"SELECT code, list(row ORDER BY row) FROM {own.broken} GROUP BY code").fetchall()
    )
    if "blank_row" in found:
        notes.append(f"{own.label}: blank lines skipped: {len(found['blank_row']):,}")
    rows = found.get("malformed_row", [])
    breaches.count("record", "does not fit the header", len(rows), [f"{called} {row}" for row in rows[:3]])
