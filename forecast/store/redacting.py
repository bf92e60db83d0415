"""Taking customers who asked to be forgotten out of every issued forecast of a ledger."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from forecast.errors import StoreError
from forecast.store.atomic import disk, sync_folder, write_bytes
from forecast.store.ledger import Issue, list_issues
from forecast.store.locking import locked
from forecast.store.redactions import (
    FORGOTTEN,
    REDACTION_SCHEMA,
    REDACTION_VERSION,
    REDACTIONS,
    current_file,
    prepared_file,
    read_redactions,
    record_name,
)
from forecast.store.sealed import file_hash, sealed_text
from forecast.store.writing import write_table

ID = "customer_id"


def issued_to(root: Any, ids: Collection[str]) -> bool:
    """Whether some issued forecast has one of the customers; damaged ones cannot be asked.

    Examples
    --------
    >>> issued_to("no-such-ledger", {"ada"})
    False
    """
    return any(_found(issue, name, ids) for issue in list_issues(root)[0] for name in _tables(issue))


def redact(root: Any, ids: Collection[str], number: int, day: str) -> tuple[int, list[StoreError]]:
    """Replace the ids by ``forgotten-<number>`` in every forecast of a ledger; sums stay what they were.

    The rows move to the end of their quarter: among sorted ids their place would tell about them. What is
    done already is left alone, so that a call which was stopped can be made again.

    Parameters
    ----------
    root : path
        The ledger; a missing one has no forecasts.
    ids : collection of str
        Every id that the customer may have been issued under. An issue in which more than one occurs keeps
        them apart as ``forgotten-3``, ``forgotten-3-2``.
    number : int
    day : str
        Recorded as the day of the redaction.

    Returns
    -------
    issues : int
        In how many forecasts the customer was found.
    problems : list of StoreError
        Forecasts that are damaged; they were not touched and may still hold the customer.

    Raises
    ------
    StoreError
        When somebody else is redacting, or the disk refuses.
    """
    if not Path(root).is_dir():
        return 0, []
    touched = 0
    with locked(root):
        issues, problems = list_issues(root)
        for issue in issues:
            _finish(issue)
            found = [name for name in _tables(issue) if _found(issue, name, ids)]
            for name in found:
                _redact(issue, f"{name}.parquet", ids, number, day)
            touched += bool(found)
    return touched, problems


def forgotten(issued: Any) -> Any:
    """Which of some ids, a pandas series, stand for customers who were forgotten."""
    return issued.astype(str).str.fullmatch(FORGOTTEN)


def _tables(issue: Issue) -> list[str]:
    found = []
    for name in issue.tables:
        path = current_file(issue.path, f"{name}.parquet")
        with disk(path, "read"):
            if ID in pq.read_schema(path).names:
                found.append(name)
    return found


def _found(issue: Issue, name: str, ids: Collection[str]) -> list[str]:
    path = current_file(issue.path, f"{name}.parquet")
    with disk(path, "read"):
        column = pq.read_table(path, columns=[ID]).column(ID)
    kept = pc.unique(column.filter(pc.is_in(column, pa.array(sorted(ids), column.type))))
    return sorted(kept.to_pylist())


def _finish(issue: Issue) -> None:
    """Bring a redaction to its end that was stopped after its record; throw away what never came to one."""
    home = issue.path / REDACTIONS
    if not home.is_dir():
        return
    with disk(issue.path):
        for record in read_redactions(issue.path, issue.checksum):
            waiting = prepared_file(issue.path, record["number"], record["file"])
            if waiting.is_file():
                os.replace(waiting, issue.path / record["file"])
        sync_folder(issue.path)
        for left in home.glob(".*"):
            left.unlink()


def _redact(issue: Issue, file: str, ids: Collection[str], number: int, day: str) -> None:
    home, path = issue.path / REDACTIONS, issue.path / file
    with disk(home):
        home.mkdir(exist_ok=True)
        sync_folder(issue.path)
        table = pq.read_table(path)
    found = _found(issue, file.removesuffix(".parquet"), ids)
    names = {own: f"forgotten-{number}" + (f"-{k}" if k > 1 else "") for k, own in enumerate(found, start=1)}
    column = table.column(ID)
    hit = pc.is_in(column, pa.array(found, column.type))
    renamed = pa.array([names.get(own, own) for own in column.to_pylist()], column.type)
    table = table.set_column(table.column_names.index(ID), ID, renamed)
    table = table.take(_last_of_quarter(table, hit))
    place = len(read_redactions(issue.path, issue.checksum)) + 1
    waiting = prepared_file(issue.path, place, file)
    write_table(table, waiting)
    record = {
        "schema": REDACTION_SCHEMA, "schema_version": REDACTION_VERSION, "issue": issue.checksum,
        "number": place, "redacted_on": day, "file": file, "rows": pc.sum(hit).as_py(),
        "old": file_hash(path), "new": file_hash(waiting),
    }  # fmt: skip
    write_bytes(sealed_text(record), home / record_name(place))
    with disk(path):
        os.replace(waiting, path)
        sync_folder(issue.path)


def _last_of_quarter(table: pa.Table, hit: Any) -> list[int]:
    """Rows in an order in which the forgotten come last in their quarter, all others as they were."""
    quarters = table.column("quarter").to_pylist() if "quarter" in table.column_names else [""] * len(table)
    rank = {quarter: k for k, quarter in enumerate(dict.fromkeys(quarters))}
    marked = hit.to_pylist()
    # Those who were forgotten before stand at the end as well.
    before = [bool(re.fullmatch(FORGOTTEN, str(own))) for own in table.column(ID).to_pylist()]
    keys = [(rank[q], m or b) for q, m, b in zip(quarters, marked, before, strict=True)]
    return sorted(range(len(keys)), key=keys.__getitem__)
