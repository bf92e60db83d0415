"""Writing the rejected rows: under a temporary name first, and harmless to spreadsheets."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

from forecast.errors import ArgumentError, StoreError

_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?[0-9]+([.,][0-9]+)*([eE][+-]?[0-9]+)?")


def harmless(cell: Any) -> Any:
    """A cell that no spreadsheet runs as a formula; numbers stay as they are.

    Examples
    --------
    >>> harmless("=1+1"), harmless("-12.50"), harmless("web")
    ("'=1+1", '-12.50', 'web')
    """
    if isinstance(cell, str) and _FORMULA.match(cell) and not _NUMBER.fullmatch(cell):
        return "'" + cell
    return cell


def write_frame(frame: pd.DataFrame, path: Any) -> Path:
    """Write a frame by the ending of its path: ``.csv``, ``.parquet`` or ``.json``; missing folders are made.

    Raises
    ------
    ArgumentError
        When the ending is none of these.
    StoreError
        When the disk refuses.
    """
    target = Path(path)
    ending = target.suffix.lower()
    if ending not in (".csv", ".parquet", ".json"):
        raise ArgumentError(
            f"the ending {ending or '(none)'!r} is not written", advice="Use .csv, .parquet or .json."
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _write(frame, target, ending)
    except OSError as error:
        raise StoreError(
            f"{target} cannot be written: {error.strerror or error}",
            advice="Check folder, rights and space.",
        ) from error
    return target


def _write(frame: pd.DataFrame, target: Path, ending: str) -> None:
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=ending)
    os.close(handle)
    temporary = Path(name)
    try:
        if ending == ".csv":
            frame.map(harmless).to_csv(temporary, index=False, lineterminator="\n")
        elif ending == ".parquet":
            frame.to_parquet(temporary, index=False)
        else:
            frame.to_json(temporary, orient="records", indent=1, force_ascii=False)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        # A temporary file is private to its owner; the finished one gets the usual rights.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
