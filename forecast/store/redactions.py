"""Redactions: how customers who asked to be forgotten leave the tables of a forecast that is never changed.

``issue.json`` stays as it was. Beside it ``redactions/<number>.json`` records, each with its own checksum,
what
was done to a table: the day, how many rows, and the SHA-256 of the table's file before and after. A table is
whole
when its hash is the newest redaction's, and the redactions lead back, one to the next, to the hash that was
issued. The new file waits as ``redactions/.<number>-<table>`` until the record is there; should everything
stop
between the two, it already counts as the table.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from forecast.store.sealed import damaged, read_sealed

REDACTION_SCHEMA, REDACTION_VERSION = "clv-forecast/redaction", 1
REDACTIONS = "redactions"
LEDGER = "ledger"
RESTORE = "Restore the folder from a backup; an issued forecast cannot be made again."
# What stands in the place of a customer id.
FORGOTTEN = r"forgotten-\d+(-\d+)?"
_NUMBERED = re.compile(r"(\d{4,})\.json")


def read_redactions(folder: Path, checksum: str) -> list[dict[str, Any]]:
    """The redactions of an issue in their order, verified.

    Raises
    ------
    StoreError
        When one is damaged, missing among its numbers, or of another forecast.

    Examples
    --------
    >>> read_redactions(Path("no-such-issue"), "")
    []
    """
    home = folder / REDACTIONS
    names = [_NUMBERED.fullmatch(path.name) for path in (home.iterdir() if home.is_dir() else ())]
    found: list[dict[str, Any]] = []
    for number, name in sorted((int(m[1]), m[0]) for m in names if m):
        path = home / name
        record = read_sealed(path, REDACTION_SCHEMA, REDACTION_VERSION, thing=LEDGER, advice=RESTORE)
        if record.get("issue") != checksum or record.get("number") != number:
            raise damaged("it belongs to another forecast", path, thing=LEDGER, advice=RESTORE)
        if number != len(found) + 1:
            raise damaged("a redaction is missing before it", path, thing=LEDGER, advice=RESTORE)
        found.append(record)
    return found


def newest_hashes(folder: Path, checksum: str, issued: dict[str, str]) -> dict[str, str]:
    """What the hash of each redacted file has to be; files that were never redacted are not in it.

    Raises
    ------
    StoreError
        When a redaction is damaged, or does not begin where the one before it ended.
    """
    found: dict[str, str] = {}
    for record in read_redactions(folder, checksum):
        file = record["file"]
        if record["old"] != found.get(file, issued.get(file)):
            path = folder / REDACTIONS / record_name(record["number"])
            raise damaged("a redaction does not follow from the issue", path, thing=LEDGER, advice=RESTORE)
        found[file] = record["new"]
    return found


def record_name(number: int) -> str:
    """The file of a redaction's record.

    Examples
    --------
    >>> record_name(1)
    '0001.json'
    """
    return f"{number:04d}.json"


def prepared_file(folder: Path, number: int, file: str) -> Path:
    """Where the new file of a redaction waits for its record."""
    return folder / REDACTIONS / f".{number:04d}-{file}"


def current_file(folder: Path, file: str) -> Path:
    """Where a table stands: in its place, or prepared by a redaction that was stopped after its record.

    Examples
    --------
    >>> current_file(Path("issue"), "customers.parquet").as_posix()
    'issue/customers.parquet'
    """
    home = folder / REDACTIONS
    if not home.is_dir():
        return folder / file
    waiting = [
        path for path in home.glob(f".*-{file}") if (home / f"{path.name[1:].split('-')[0]}.json").is_file()
    ]
    return max(waiting, default=folder / file, key=lambda path: path.name)
