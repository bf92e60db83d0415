"""One writer at a time in a folder; the system lets go of the lock when the writer ends, however it ends."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from forecast.errors import StoreError
from forecast.store.atomic import disk

LOCK = ".lock"


@contextlib.contextmanager
def locked(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Hold the folder while the block runs; the empty file ``.lock`` stays in it.

    Raises
    ------
    StoreError
        When somebody else holds it, or the disk refuses.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, locked(folder), locked(folder):
    ...     pass
    Traceback (most recent call last):
    forecast.errors.StoreError: somebody else is writing, in ... Wait until they are done, and try again.
    """
    path = Path(folder) / LOCK
    with disk(path):
        path.touch()
    with open(path, "ab") as stream:
        try:
            _take(stream)
        except OSError:
            raise StoreError(
                "somebody else is writing",
                where=str(folder),
                advice="Wait until they are done, and try again.",
            ) from None
        yield


def _take(stream: Any) -> None:
    if sys.platform == "win32":  # pragma: no cover - only there
        import msvcrt

        msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
        return
    import fcntl

    fcntl.flock(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
