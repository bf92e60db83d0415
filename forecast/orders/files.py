"""Which files are meant, and whether they are what their endings say."""

from __future__ import annotations

import glob
import gzip
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from forecast.errors import InputError

TEXT_ENDINGS = (".csv", ".tsv", ".tab", ".psv", ".txt")
LINE_ENDINGS = (".jsonl", ".ndjson", ".json")
PARQUET_ENDINGS = (".parquet", ".pq")
KNOWN = "CSV, TSV (also .txt, .psv), Parquet or JSON lines (.jsonl), text also as .gz"
HEAD_BYTES = 1 << 18


def find_files(source: Any) -> list[Path]:
    """The files that a path or glob stands for, in the order of their names.

    Raises
    ------
    InputError
        When nothing is there, or a folder is.
    """
    name = os.fspath(source)
    if "://" in name:
        raise InputError(
            f"{name.split('://')[0]}:// addresses are not read",
            advice="Copy the file here and give its path.",
        )
    path = Path(name).expanduser()
    if path.is_dir():
        raise InputError(
            "a folder is not read", where=str(path), advice=f"Give its files, for example {path}/*.csv."
        )
    if path.exists():
        return [path]
    if glob.has_magic(name):
        found = sorted(Path(item) for item in glob.glob(str(path), recursive=True) if Path(item).is_file())
        if found:
            return found
        raise InputError("no file matches", where=name, advice="Check the folder and the pattern.")
    raise InputError("the file does not exist", where=name, advice="Check the path.")


def refuse_twice(paths: Sequence[Path]) -> None:
    """No file may be listed twice: its orders would count double.

    Raises
    ------
    InputError
        When two paths lead to one file.
    """
    seen: set[Path] = set()
    for path in paths:
        real = path.resolve()
        if real in seen:
            raise InputError(
                "a file is listed twice",
                where=path.name,
                advice="Its orders would count double; list it once.",
            )
        seen.add(real)


def labels(paths: Sequence[Path]) -> list[str]:
    """Short names for messages: the file's own name, with its folder where two files share a name.

    Examples
    --------
    >>> labels([Path("a/x.csv"), Path("b/x.csv"), Path("b/y.csv")])
    ['a/x.csv', 'b/x.csv', 'y.csv']
    """
    names = [path.name for path in paths]
    short = [
        path.name if names.count(path.name) == 1 else f"{path.parent.name}/{path.name}" for path in paths
    ]
    return [name if short.count(name) == 1 else str(paths[i]) for i, name in enumerate(short)]


def kind_of(path: Path) -> str:
    """``"text"``, ``"lines"`` or ``"parquet"``, by the ending.

    Raises
    ------
    InputError
        When the ending is not known.

    Examples
    --------
    >>> kind_of(Path("orders.csv.gz")), kind_of(Path("orders.PARQUET"))
    ('text', 'parquet')
    """
    name = path.name.lower()
    ending = Path(name.removesuffix(".gz")).suffix
    if ending in TEXT_ENDINGS:
        return "text"
    if ending in LINE_ENDINGS:
        return "lines"
    if ending in PARQUET_ENDINGS and not name.endswith(".gz"):
        return "parquet"
    if ending in (".xlsx", ".xls", ".ods"):
        raise InputError("a workbook is not read", where=path.name, advice="Save the sheet as CSV.")
    raise InputError(
        f"the ending {ending or '(none)'!r} is not known", where=path.name, advice=f"Give {KNOWN}."
    )


def open_binary(path: Path) -> Any:
    """The file's bytes, unpacked if it is a .gz."""
    return gzip.open(path, "rb") if path.name.lower().endswith(".gz") else open(path, "rb")


def read_head(path: Path) -> bytes:
    """The first bytes of a text file.

    Raises
    ------
    InputError
        When the file cannot be read, is empty, or is no text.
    """
    try:
        with open_binary(path) as file:
            head: bytes = file.read(HEAD_BYTES)
    except (OSError, EOFError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(
            f"the file cannot be read ({reason})", where=path.name, advice="Check it and its permissions."
        ) from None
    if not head.strip(b"\xef\xbb\xbf \t\r\n"):
        raise InputError("the file is empty", where=path.name, advice="Export it again.")
    for magic, what in ((b"PK\x03\x04", "a workbook or zip"), (b"PAR1", "Parquet"), (b"\x1f\x8b", "packed")):
        if head.startswith(magic):
            raise InputError(
                f"the file is no text, it is {what}", where=path.name, advice=f"Rename or export it: {KNOWN}."
            )
    if b"\x00" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError("the file is no text (binary)", where=path.name, advice=f"Give {KNOWN}.")
    return head


# Where the APIs of the platforms put the list of records.
WRAPPERS = ("orders", "items", "data", "results", "order")


def wrapper_of(path: Path) -> str | None:
    """How JSON records are wrapped: "" for one array, a key for an object that holds it, None for lines.

    Raises
    ------
    InputError
        When the file cannot be read or is empty.
    """
    head = read_head(path).lstrip(b"\xef\xbb\xbf \t\r\n").decode("utf-8", errors="replace")
    if head.startswith("["):
        return ""
    key = re.match(r'\{\s*"([A-Za-z_]+)"\s*:\s*\[', head)
    if key is not None and key[1] in WRAPPERS:
        return key[1]
    return None
