"""What an output may not be: an input, another output, or a part of a saved model."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from forecast.errors import ArgumentError
from forecast.store.references import ALIASES, MODEL

FILE_ENDINGS = (".csv", ".tsv", ".txt", ".parquet", ".json", ".jsonl", ".html", ".htm", ".xlsx")


def protect(outputs: Iterable[Any], inputs: Iterable[Any] = ()) -> None:
    """Refuse outputs that would overwrite what is read, each other, or a saved model; links are followed.

    Parameters
    ----------
    outputs : iterable of path or None
        Files that will be written; ``None`` is left out.
    inputs : iterable of path
        Files that are read.

    Raises
    ------
    ArgumentError
        When one of them may not be written.

    Examples
    --------
    >>> protect(["scores.csv", None], ["orders.csv"])
    >>> protect(["./orders.csv"], ["orders.csv"])
    Traceback (most recent call last):
    forecast.errors.ArgumentError: the output would overwrite an input: ./orders.csv. Choose another file.
    """
    read = [Path(path) for path in inputs]
    seen: list[Path] = []
    for output in outputs:
        if output is None:
            continue
        path = Path(output)
        if any(_same(path, other) for other in read):
            raise ArgumentError(
                f"the output would overwrite an input: {output}", advice="Choose another file."
            )
        if any(_same(path, other) for other in seen):
            raise ArgumentError(f"two outputs are the same file: {output}", advice="Give each its own file.")
        seen.append(path)
        home = _model_around(_real(path))
        if home is not None:
            raise ArgumentError(
                f"the output lies inside a saved model: {output}",
                where=str(home),
                advice="Models are written once and verified; choose a place outside.",
            )


def output_folder(path: Any) -> Path:
    """A folder to write into; a name that ends like a file is a slip.

    Raises
    ------
    ArgumentError
        When the name has a file's ending and is no folder yet.

    Examples
    --------
    >>> output_folder("history.html")
    Traceback (most recent call last):
    forecast.errors.ArgumentError: the output is a folder: history.html. Give a folder, such as history.
    """
    folder = Path(path)
    if folder.suffix.lower() in FILE_ENDINGS and not folder.is_dir():
        raise ArgumentError(
            f"the output is a folder: {path}",
            advice=f"Give a folder, such as {folder.with_suffix('')}.",
        )
    return folder


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _same(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return _real(one) == _real(other)


def _model_around(path: Path) -> Path | None:
    """The model's folder that the path is, or lies in."""
    for folder in (path, *path.parents):
        if (folder / MODEL).is_file():
            return folder.parent
        if (folder / ALIASES).is_file() or _has_versions(folder):
            return folder
    return None


def _has_versions(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(e.name.isdecimal() and os.path.isfile(os.path.join(e.path, MODEL)) for e in entries)
    except OSError:
        return False
