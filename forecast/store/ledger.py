"""The ledger of issued forecasts: ``ledger/<as_of>/<forecast_id>/``, written once, verified on every read.

An issue's folder holds ``issue.json`` and its tables in Parquet. Besides the caller's content ``issue.json``
carries ``schema``, ``schema_version``, ``as_of``, ``forecast_id``, ``issued_at`` (UTC), ``checksums``
(SHA-256 of each table's file) and ``checksum`` (of the canonical JSON of all else). It is never changed: a
correction is a new issue that names the one it supersedes. Customers who asked to be forgotten leave its
tables by a recorded redaction, see :mod:`forecast.store.redactions`. What a comparison found is appended
beside it as ``settlements/<quarter>-<number>.json``, each with its own checksum. Order comes from names and
numbers, never from a clock.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import os
import re
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from forecast.errors import ArgumentError, StoreError
from forecast.store.atomic import disk, sync_file, sync_folder
from forecast.store.plaindata import decode, encode
from forecast.store.redactions import LEDGER, RESTORE, current_file, newest_hashes
from forecast.store.references import is_name
from forecast.store.sealed import damaged, file_hash, now, read_sealed, sealed_text
from forecast.store.writing import write_table

SCHEMA, SETTLEMENT_SCHEMA, SCHEMA_VERSION = "clv-forecast/issue", "clv-forecast/settlement", 1
ISSUE, SETTLEMENTS = "issue.json", "settlements"
_ENVELOPE = ("schema", "schema_version", "as_of", "forecast_id", "issued_at", "checksums", "checksum")
_TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.EACCES, errno.EPERM)
_SETTLED = re.compile(r"(?P<quarter>.+)-(?P<number>\d{4})\.json")


@dataclass(frozen=True)
class Issue:
    """An issued forecast as read and verified.

    Attributes
    ----------
    path : pathlib.Path
    as_of : datetime.date
    forecast_id : str
    issued_at : str
        UTC; for display, never for order.
    content : dict
        What was issued beside the tables.
    tables : tuple of str
        Names of the tables.
    checksum : str
        Of the whole: ``issue.json`` and, through it, each table.
    redacted : tuple of str
        Tables from which customers were taken who asked to be forgotten.
    """

    path: Path
    as_of: dt.date
    forecast_id: str
    issued_at: str
    content: dict[str, Any]
    tables: tuple[str, ...]
    checksum: str
    redacted: tuple[str, ...] = ()

    def table(self, name: str) -> pd.DataFrame:
        """One of the tables; verified when the issue was read."""
        path = current_file(self.path, f"{name}.parquet")
        with disk(path, "read"):
            frame: pd.DataFrame = pq.read_table(path).to_pandas()
        return frame


def write_issue(
    root: str | os.PathLike[str],
    as_of: dt.date,
    forecast_id: str,
    content: Mapping[str, Any],
    tables: Mapping[str, pd.DataFrame],
) -> Issue:
    """Freeze a forecast: the whole folder appears by one rename, or nothing does.

    Parameters
    ----------
    root : path
        The ledger; created when missing.
    as_of : datetime.date
    forecast_id : str
        Letters, digits, ``.``, ``_``, ``-``.
    content : mapping
        Plain data with text keys.
    tables : mapping of str to DataFrame

    Raises
    ------
    ArgumentError
        When the id is not allowed or has been issued already.
    StoreError
        When the disk refuses.

    Examples
    --------
    >>> import tempfile
    >>> frame = pd.DataFrame({"customer_id": ["007"], "expected_value": [12.5]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     day = dt.date(2026, 9, 30)
    ...     issue = write_issue(folder, day, "shop-1", {"currency": "EUR"}, {"customers": frame})
    ...     read_issue(issue.path).content, issue.path.relative_to(folder).as_posix()
    ({'currency': 'EUR'}, '2026-09-30/shop-1')
    """
    if not is_name(forecast_id):
        raise ArgumentError(
            f"a forecast cannot be called {forecast_id!r}", advice="Use letters, digits, '.', '_' and '-'."
        )
    day = as_of.isoformat()
    record: dict[str, Any] = {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, "as_of": day}
    record |= {"forecast_id": forecast_id, "issued_at": _now(), **encode(dict(content))}
    home = Path(root) / day
    target = home / forecast_id
    with disk(target):
        if target.exists():
            raise _twice(target)
        home.mkdir(parents=True, exist_ok=True)
        sync_folder(home.parent)
        temporary = home / f".issuing-{secrets.token_hex(8)}"
        temporary.mkdir()
        try:
            for name, frame in tables.items():
                write_table(frame, temporary / f"{name}.parquet")
            record["checksums"] = {
                f"{name}.parquet": file_hash(temporary / f"{name}.parquet") for name in sorted(tables)
            }
            (temporary / ISSUE).write_bytes(sealed_text(record))
            sync_file(temporary / ISSUE)
            sync_folder(temporary)
            try:
                os.rename(temporary, target)  # refused by the system when the folder is there
            except OSError as problem:
                if problem.errno in _TAKEN and target.exists():
                    raise _twice(target) from None
                raise
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        sync_folder(home)
    return read_issue(target)


def refuse_twice(root: str | os.PathLike[str], as_of: dt.date, forecast_id: str) -> None:
    """Refuse an id that was issued already, before anything is computed; :func:`write_issue` is the judge.

    Raises
    ------
    ArgumentError
    """
    target = Path(root) / as_of.isoformat() / forecast_id
    if target.exists():
        raise _twice(target)


def read_issue(path: str | os.PathLike[str]) -> Issue:
    """Read an issued forecast after verifying every file of it.

    Raises
    ------
    StoreError
        When it is missing or not as it was issued; the message names the file.
    """
    folder = Path(path)
    record = _read(folder / ISSUE, SCHEMA)
    checksums = record.get("checksums")
    if not isinstance(checksums, dict) or not all(is_name(str(file)) for file in checksums):
        raise _damaged(folder / ISSUE, "the list of checksums is not understood")
    if (record.get("as_of"), record.get("forecast_id")) != (folder.parent.name, folder.name):
        raise _damaged(folder / ISSUE, "it was issued under another name")
    redacted = newest_hashes(folder, record["checksum"], checksums)
    for file, expected in checksums.items():
        path = current_file(folder, file)
        if not path.is_file():
            raise _damaged(path, "a file is missing")
        with disk(path, "read"):
            if file_hash(path) != redacted.get(file, expected):
                raise _damaged(folder / file, "a file was changed after it was issued")
    return Issue(
        folder,
        dt.date.fromisoformat(record["as_of"]),
        record["forecast_id"],
        str(record["issued_at"]),
        decode({key: item for key, item in record.items() if key not in _ENVELOPE}),
        tuple(file.removesuffix(".parquet") for file in sorted(checksums)),
        record["checksum"],
        tuple(file.removesuffix(".parquet") for file in sorted(redacted)),
    )


def list_issues(root: str | os.PathLike[str]) -> tuple[list[Issue], list[StoreError]]:
    """All issues by ``as_of``, then id, and what is wrong with those that cannot be read.

    Examples
    --------
    >>> list_issues("no-such-ledger")
    ([], [])
    """
    found: list[Issue] = []
    problems: list[StoreError] = []
    home = Path(root)
    with disk(home, "read"):
        folders = sorted(
            folder
            for day in (home.iterdir() if home.is_dir() else ())
            if day.is_dir() and not day.name.startswith(".")
            for folder in day.iterdir()
            if folder.is_dir() and not folder.name.startswith(".")  # left behind by a crash: never a forecast
        )
    for folder in folders:
        try:
            found.append(read_issue(folder))
        except StoreError as problem:
            problems.append(problem)
    return found, problems


def append_settlement(issue: Issue, quarter: str, content: Mapping[str, Any]) -> Path:
    """Append what a comparison found, under the next number; nothing that is there is changed.

    Raises
    ------
    ArgumentError
        When the content has no plain form.
    StoreError
        When the disk refuses, or an earlier settlement is damaged.
    """
    folder = issue.path / SETTLEMENTS
    with disk(folder):
        folder.mkdir(exist_ok=True)
        sync_folder(issue.path)
        temporary = folder / f".settling-{secrets.token_hex(8)}"
        try:
            while True:
                number = max([0, *(n for q, n, _ in _numbered(issue) if q == quarter)]) + 1
                record: dict[str, Any] = {"schema": SETTLEMENT_SCHEMA, "schema_version": SCHEMA_VERSION}
                record |= {
                    "issue": issue.checksum,
                    "quarter": quarter,
                    "number": number,
                    "settled_at": _now(),
                }
                record |= encode(dict(content))
                temporary.write_bytes(sealed_text(record))
                sync_file(temporary)
                target = folder / f"{quarter}-{number:04d}.json"
                with contextlib.suppress(FileExistsError):  # somebody else took the number
                    os.link(temporary, target)
                    sync_folder(folder)
                    return target
        finally:
            temporary.unlink(missing_ok=True)


def read_settlements(issue: Issue, quarter: str) -> list[dict[str, Any]]:
    """What comparisons of a quarter found, the first one first.

    Raises
    ------
    StoreError
        When one is damaged, missing among its numbers, or of another issue.
    """
    found: list[dict[str, Any]] = []
    for own, number, path in sorted(_numbered(issue)):
        if own != quarter:
            continue
        record = _read(path, SETTLEMENT_SCHEMA)
        if record.get("issue") != issue.checksum or record.get("number") != number:
            raise _damaged(path, "it belongs to another forecast")
        if number != len(found) + 1:
            raise _damaged(path.with_name(f"{quarter}-{len(found) + 1:04d}.json"), "a settlement is missing")
        found.append(decode({key: item for key, item in record.items() if key != "checksum"}))
    return found


def _numbered(issue: Issue) -> list[tuple[str, int, Path]]:
    folder = issue.path / SETTLEMENTS
    names = [(_SETTLED.fullmatch(path.name), path) for path in (folder.iterdir() if folder.is_dir() else ())]
    return [
        (m["quarter"], int(m["number"]), path) for m, path in names if m and not path.name.startswith(".")
    ]


def _read(path: Path, schema: str) -> dict[str, Any]:
    """A JSON file of the ledger whose checksum holds."""
    return read_sealed(path, schema, SCHEMA_VERSION, thing=LEDGER, advice=RESTORE)


def _damaged(path: Path, what: str) -> StoreError:
    return damaged(what, path, thing=LEDGER, advice=RESTORE)


def _twice(target: Path) -> ArgumentError:
    return ArgumentError(
        f"this forecast has been issued already: {target}",
        advice="A forecast is issued once. To correct it, issue a new one that supersedes it "
        f"(--supersedes {target.name}).",
    )


def _now() -> str:
    return now()
