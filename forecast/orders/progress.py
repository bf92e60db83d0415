"""How far a long statement of the database is, told to whoever draws a bar."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Progress = Callable[[str, int, int], None]
_EVERY = 0.25


@contextmanager
def watched(connection: Any, progress: Progress | None, what: str) -> Iterator[None]:
    """Call ``progress(what, done, 100)`` now and then while the block runs; nothing without ``progress``."""
    if progress is None or not hasattr(connection, "query_progress"):  # older databases cannot be asked
        yield
        return
    # Progress is only counted while a bar is enabled; printing it is left to the caller.
    connection.execute("SET enable_progress_bar = true")
    connection.execute("SET enable_progress_bar_print = false")
    over = threading.Event()

    def look() -> None:
        while not over.wait(_EVERY):
            share = connection.query_progress()
            progress(what, max(0, min(100, int(share))), 100 if share > 0 else 0)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        connection.execute("SET enable_progress_bar = false")
