"""JSON files that carry a checksum of their own: whole and unchanged, or told as damaged."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from pathlib import Path
from typing import Any

from forecast.errors import StoreError
from forecast.store.atomic import disk
from forecast.store.plaindata import fingerprint, parse_strict


def file_hash(path: Path) -> str:
    """SHA-256 of a file.

    Raises
    ------
    OSError
        When the disk refuses.
    """
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sealed_text(record: dict[str, Any]) -> bytes:
    """The record with its ``checksum`` as the bytes of a file.

    Examples
    --------
    >>> b'"checksum"' in sealed_text({"schema": "example", "schema_version": 1})
    True
    """
    sealed = {**record, "checksum": fingerprint(record)}
    return (json.dumps(sealed, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")


def damaged(what: str, path: Path, *, thing: str, advice: str) -> StoreError:
    """The error of a file that is not as it was written."""
    return StoreError(f"the {thing} is damaged: {what}", where=str(path), advice=advice)


def read_sealed(path: Path, schema: str, version: int, *, thing: str, advice: str) -> dict[str, Any]:
    """A record whose checksum holds; the checksum stays in it.

    Raises
    ------
    StoreError
        When the file is missing, changed, of another kind or of another version.
    """
    if not path.is_file():
        raise damaged("a file is missing", path, thing=thing, advice=advice)
    with disk(path, "read"):
        data = path.read_bytes()
    try:
        record = parse_strict(data.decode("utf-8"))
        if not isinstance(record, dict) or record.get("schema") != schema:
            raise ValueError("it is no such file")
        told = record.pop("checksum", None)
        if fingerprint(record) != told:
            raise ValueError("it was changed after it was written")
    except ValueError as problem:
        raise damaged(str(problem), path, thing=thing, advice=advice) from None
    if record["schema_version"] != version:
        raise StoreError(
            f"version {record['schema_version']} of the {thing} is not known",
            where=str(path),
            advice="Use the version of clv-forecast that wrote it, or a newer one.",
        )
    return {**record, "checksum": told}


def now() -> str:
    """This moment in UTC, to the second."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
