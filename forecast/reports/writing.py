"""Results on disk: tables, and the page that belongs to them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from forecast.errors import ArgumentError
from forecast.evaluation.backtest import Backtest
from forecast.history import History
from forecast.store.writing import TableWriter, write_json, write_table, write_text

BACKTEST_FILES = ("backtest.parquet", "forecasts.parquet", "backtest.html")
HISTORY_FILES = ("history.html", "summary.json", "customers.parquet", "cohorts.parquet")
MOST_ROWS = 10_000
MakeList = Callable[[pd.DataFrame], pd.DataFrame]


def is_page(path: Any) -> bool:
    """Whether an output is a page, by its ending.

    Examples
    --------
    >>> is_page("scores.HTML"), is_page("scores.csv"), is_page(None)
    (True, False, False)
    """
    return str(path).lower().endswith((".html", ".htm"))


def history_files(by: str | None, spend: bool = False) -> tuple[str, ...]:
    """Names of what `write_history` writes.

    Examples
    --------
    >>> history_files("channel")[-1]
    'by.parquet'
    """
    more = [name for name, wanted in (("by.parquet", by is not None), ("payback.parquet", spend)) if wanted]
    return (*HISTORY_FILES, *more)


def write_history(
    found: History,
    summary: Mapping[str, Any],
    folder: Path,
    facts: Mapping[str, Any],
    payback: pd.DataFrame | None = None,
) -> None:
    """The summary, the tables and the page."""
    from forecast.reports.pages import history_page

    write_json(summary, folder / "summary.json")
    write_table(found.customers, folder / "customers.parquet")
    write_table(found.cohorts, folder / "cohorts.parquet")
    if found.by is not None:
        write_table(found.by, folder / "by.parquet")
    if payback is not None:
        write_table(payback, folder / "payback.parquet")
    write_text(history_page(found, facts, payback=payback), folder / "history.html")


def write_backtest(
    found: Backtest, folder: Path, facts: Mapping[str, Any], shown: dict[str, Any] | None = None
) -> None:
    """The board, the forecasts and the page, with its pictures where they are drawn already."""
    from forecast.reports.pages import backtest_page

    write_table(found.board, folder / "backtest.parquet")
    write_table(found.forecasts, folder / "forecasts.parquet")
    page = backtest_page(found, title="Backtest", facts=dict(facts), shown=shown)
    write_text(page, folder / "backtest.html")


def check_page_rows(path: Any, rows: int) -> None:
    """Refuse a page that no browser likes.

    Raises
    ------
    ArgumentError
        When a page is asked for more than 10,000 customers.

    Examples
    --------
    >>> check_page_rows("scores.html", 10_000)
    """
    if is_page(path) and rows > MOST_ROWS:
        raise ArgumentError(
            f"a page of {rows:,} customers is too long; at most {MOST_ROWS:,} are written",
            advice="Write .parquet or .csv.",
        )


def write_scores(
    tables: Iterable[pd.DataFrame], path: Any, lists: Mapping[Any, MakeList] | None = None
) -> pd.DataFrame | None:
    """Scores to a table, block by block; for a page they are only gathered, since totals go with them.

    Lists that are made of the same blocks appear with them: all files or none, unless the disk fails.
    """
    gathered: list[pd.DataFrame] = []
    with contextlib.ExitStack() as files:
        open_lists = [(files.enter_context(TableWriter(p)), make) for p, make in (lists or {}).items()]
        writer = None if is_page(path) else files.enter_context(TableWriter(path))
        for table in tables:
            for own, make in open_lists:
                own.write(_with_days(make(table)))
            if writer is None:
                gathered.append(table)
            else:
                writer.write(_with_days(table))
    return pd.concat(gathered, ignore_index=True) if writer is None else None


def write_scores_page(
    scores: pd.DataFrame, portfolio: pd.DataFrame, facts: Mapping[str, Any], path: Any
) -> None:
    """The page of a scoring."""
    from forecast.reports.pages import scores_page

    write_text(scores_page(scores, portfolio, facts), path)


def write_newcomers_page(
    found: pd.DataFrame, values: Any, changes: pd.DataFrame | None, facts: Mapping[str, Any], path: Any
) -> None:
    """The page of newcomers."""
    from forecast.reports.pages import newcomers_page

    write_text(newcomers_page(found, values, changes, facts), path)


def _with_days(table: pd.DataFrame) -> Any:
    """The table for writing: days as days, not as midnights."""
    found = pa.Table.from_pandas(table, preserve_index=False)
    for place, field in enumerate(found.schema):
        if pa.types.is_timestamp(field.type):
            found = found.set_column(place, field.name, found.column(place).cast(pa.date32()))
    return found.replace_schema_metadata(None)
