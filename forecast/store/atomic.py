"""Outputs appear whole or not at all: temporary name, fsync, rename.

A reader never meets half a file, and a crash leaves the previous file as it was.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import math
import os
import secrets
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from forecast.errors import ArgumentError, StoreError


@contextlib.contextmanager
def disk(path: str | os.PathLike[str], doing: str = "written") -> Iterator[None]:
    """Turns what the system refuses into one advising line that names the path and the reason.

    Raises
    ------
    StoreError
        When the block raises an ``OSError``.

    Examples
    --------
    >>> with disk("a.csv"):
    ...     raise PermissionError(13, "Permission denied")
    Traceback (most recent call last):
    forecast.errors.StoreError: a.csv cannot be written: Permission denied. Check folder, rights and space.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise StoreError(
            f"{os.fspath(path)} cannot be {doing}: {reason}",
            advice="Check folder, rights and space.",
        ) from error


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to disk, so that a rename survives a power cut.

    Raises
    ------
    OSError
        When the disk refuses.

    Examples
    --------
    >>> sync_folder(Path("."))
    """
    if os.name == "nt":  # pragma: no cover - Windows cannot open a folder, and needs no such call
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_file(path: Path) -> None:
    """Flush a file's content to disk.

    Raises
    ------
    OSError
        When the disk refuses.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "a.txt"
    ...     _ = path.write_text("kept")
    ...     sync_file(path)
    """
    with open(path, "rb+") as stream:
        os.fsync(stream.fileno())


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside the target, which becomes the target when the block ends well.

    Parent folders are created. A link is followed, so that it stays a link. When the block (or the disk)
    fails, the temporary file is removed and the target keeps its content.

    Yields
    ------
    pathlib.Path
        Where to write; its ending is the target's ending.

    Raises
    ------
    ArgumentError
        When the target is a folder or a device.
    StoreError
        When the disk refuses.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(Path(folder) / "a.txt") as temporary:
    ...         _ = temporary.write_text("whole")
    ...     (Path(folder) / "a.txt").read_text()
    'whole'
    """
    with disk(path):
        target = Path(path)
        if target.is_symlink():
            target = target.resolve()
        if target.exists() and not target.is_file():
            # Renaming onto /dev/stdout would replace the device itself.
            raise ArgumentError(f"the output is not a file: {target}", advice="Name a file to write.")
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.stem[:100]}.{secrets.token_hex(8)}.tmp{target.suffix}")
        try:
            yield temporary
            sync_file(temporary)
            os.replace(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(target.parent)


def write_bytes(data: bytes, path: str | os.PathLike[str]) -> Path:
    """Write bytes, whole or not at all.

    Returns
    -------
    pathlib.Path
        The path as given.

    Raises
    ------
    ArgumentError
        When the target is a folder or a device.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_bytes(b"abc", Path(folder) / "new" / "a.bin").read_bytes()
    b'abc'
    """
    with replacing(path) as temporary:
        temporary.write_bytes(data)
    return Path(path)


def write_text(text: str, path: str | os.PathLike[str]) -> Path:
    r"""Write text as UTF-8 with ``\n`` line ends on every system, whole or not at all.

    Raises
    ------
    ArgumentError
        When the target is a folder or a device.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_text("é\n", Path(folder) / "a.txt").read_bytes()
    b'\xc3\xa9\n'
    """
    return write_bytes(text.encode("utf-8"), path)


def plain(value: Any, where: str = "the value") -> Any:
    """A value as JSON knows it: NaN, NaT and infinities become ``None``, days ISO text, arrays lists.

    Parameters
    ----------
    value : object
        Mappings with text keys, sequences, arrays, numbers, days, text, paths and ``None``, nested.
    where : str, default "the value"
        How an error names the place.

    Raises
    ------
    ArgumentError
        When something has no plain form.

    Examples
    --------
    >>> plain({"a": np.array([1.5, np.nan]), "day": dt.date(2026, 9, 30)})
    {'a': [1.5, None], 'day': '2026-09-30'}
    """
    if isinstance(value, np.datetime64 | np.timedelta64):
        return None if np.isnat(value) else str(value)
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return float(value) if value.is_finite() else None
    if isinstance(value, dt.date | dt.time):
        return value.isoformat() if value == value else None  # NaT differs from itself
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, np.ndarray):
        return [plain(item, where) for item in value]
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise ArgumentError(f"a key is not text: {key!r}", where=where, advice="Use text keys.")
        return {key: plain(item, f"{where}[{key!r}]") for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value) if isinstance(value, set | frozenset) else value
        return [plain(item, where) for item in items]
    raise ArgumentError(
        f"a {type(value).__name__} cannot be written as JSON",
        where=where,
        advice="Give numbers, text, days, lists and mappings.",
    )


def write_json(obj: Any, path: str | os.PathLike[str]) -> Path:
    """Write an object as JSON in the order given, whole or not at all.

    NaN and infinities become ``null``: strict readers refuse the bare words.

    Raises
    ------
    ArgumentError
        When something in the object has no plain form, or the target is a folder or a device.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     print(write_json({"b": 1, "a": float("nan")}, Path(folder) / "a.json").read_text(), end="")
    {
      "b": 1,
      "a": null
    }
    """
    text = json.dumps(plain(obj), indent=2, ensure_ascii=False, allow_nan=False)
    return write_text(text + "\n", path)
