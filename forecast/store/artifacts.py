"""Saved models: ``models/<name>/<version>/``, written once, verified on every read.

A version's folder holds ``model.json``, ``CARD.md`` and the files given beside them. Besides the caller's
payload, ``model.json`` carries ``schema``, ``schema_version``, ``name``, ``version``, ``created_at`` (UTC),
``checksums`` (SHA-256 of each file beside it) and ``checksum`` (SHA-256 of the canonical JSON of all else
in ``model.json``). How floats are written is told in ``forecast.store.plaindata``. ``aliases.json`` beside
the versions names some of them: ``{"champion": 2}``.
"""

from __future__ import annotations

import datetime as dt
import errno
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forecast.errors import ArgumentError, StoreError
from forecast.store.atomic import disk, sync_file, sync_folder, write_json
from forecast.store.plaindata import decode, encode, fingerprint, parse_strict
from forecast.store.references import (
    ALIASES,
    MODEL,
    check_alias,
    damaged,
    is_name,
    parse_reference,
    read_aliases,
    saved_names,
    saved_versions,
    select_version,
    split_path,
)

__all__ = [
    "Artifact",
    "Saved",
    "list_artifacts",
    "load_artifact",
    "parse_reference",
    "save_artifact",
    "set_alias",
    "split_path",
    "verify_artifact",
]

SCHEMA = "clv-forecast/model"
SCHEMA_VERSION = 1
CARD = "CARD.md"
ENVELOPE = ("schema", "schema_version", "name", "version", "created_at", "checksums", "checksum")

_TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.EACCES, errno.EPERM)


@dataclass(frozen=True)
class Saved:
    """Where a model was saved."""

    path: Path
    name: str
    version: int


@dataclass(frozen=True)
class Artifact:
    """A verified saved model. ``payload`` is what was saved, without the envelope."""

    payload: dict[str, Any]
    name: str
    version: int
    path: Path
    aliases: tuple[str, ...] = ()
    created_at: str = ""
    card: str = ""
    files: tuple[str, ...] = field(default=())


def save_artifact(
    root: str | os.PathLike[str],
    name: str,
    payload: Mapping[str, Any],
    card: str,
    files: Mapping[str, bytes] | None = None,
) -> Saved:
    """Save a model as the next version of its name; nothing is visible before all is on disk.

    Safe when several processes save the same name: each gets its own version.

    Parameters
    ----------
    root : path
        The models folder; created when missing.
    name : str
        Letters, digits, ``.``, ``_``, ``-``.
    payload : mapping
        Plain data: numbers (NaN too), text, days, lists, arrays, mappings with text keys.
    card : str
        Text of ``CARD.md``.
    files : mapping of str to bytes, optional
        Further files of the version.

    Raises
    ------
    ArgumentError
        When a name is not allowed, or the payload has no plain form.
    StoreError
        When the disk refuses.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     saved = save_artifact(folder, "shop", {"model": "bg-nbd"}, "# Shop")
    ...     saved.version, load_artifact(folder, "shop").payload
    (1, {'model': 'bg-nbd'})
    """
    name, selector = parse_reference(name)
    if selector is not None:
        raise ArgumentError(
            f"a version cannot be chosen: {name}@{selector}",
            advice="Give the name alone; the next number follows.",
        )
    taken = [key for key in payload if key in ENVELOPE]
    if taken:
        raise ArgumentError(
            f"the payload uses keys of the file's own: {', '.join(taken)}", advice="Name them otherwise."
        )
    content: dict[str, Any] = encode(dict(payload))
    beside = {CARD: card.encode("utf-8"), **(files or {})}
    for file in beside:
        if not is_name(file) or file == MODEL or (file == CARD and file in (files or {})):
            raise ArgumentError(f"a model's file cannot be called {file!r}", advice="Choose another name.")
    home = Path(root) / name
    with disk(home):
        return _save(home, name, content, beside)


def _save(home: Path, name: str, content: dict[str, Any], beside: Mapping[str, bytes]) -> Saved:
    """Everything into a hidden folder, then one rename."""
    home.mkdir(parents=True, exist_ok=True)
    sync_folder(home.parent)
    temporary = home / f".saving-{secrets.token_hex(8)}"
    temporary.mkdir()
    try:
        for file, data in beside.items():
            (temporary / file).write_bytes(data)
            sync_file(temporary / file)
        envelope = {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, "name": name, "version": 0}
        envelope["created_at"] = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        envelope["checksums"] = {file: hashlib.sha256(beside[file]).hexdigest() for file in sorted(beside)}
        version = _claim(home, temporary, envelope, content)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_folder(home)
    return Saved(home / str(version), name, version)


def _claim(home: Path, temporary: Path, envelope: dict[str, Any], content: dict[str, Any]) -> int:
    """Rename the finished folder to the next free number: the rename is the claim."""
    while True:
        # An alias may outlive its version; its number is not given to another model.
        version = max([0, *saved_versions(home), *read_aliases(home).values()]) + 1
        record = {**envelope, "version": version, **content}
        record["checksum"] = fingerprint(record)
        text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        (temporary / MODEL).write_bytes(text.encode("utf-8"))
        sync_file(temporary / MODEL)
        sync_folder(temporary)
        target = home / str(version)
        try:
            os.rename(temporary, target)  # refused by the system when the folder exists and holds a model
        except OSError as problem:
            if problem.errno in _TAKEN and target.exists():
                continue
            raise
        return version


def load_artifact(root: str | os.PathLike[str], reference: str) -> Artifact:
    """Read a saved model after verifying every file of it.

    Parameters
    ----------
    root : path
        The models folder.
    reference : str
        ``NAME`` (its champion, else its newest), ``NAME@VERSION`` or ``NAME@ALIAS``.

    Raises
    ------
    ArgumentError
        When the reference is not understood.
    StoreError
        When there is no such model, it is damaged, of another kind, or of a newer version.

    Examples
    --------
    >>> load_artifact("no-such-folder", "shop")
    Traceback (most recent call last):
    forecast.errors.StoreError: there is no model 'shop', in no-such-folder. Nothing is saved there yet.
    """
    name, selector = parse_reference(reference)
    home = Path(root) / name
    with disk(home, "read"):
        version = select_version(Path(root), name, selector)
        return _load(home, name, version)


def _load(home: Path, name: str, version: int) -> Artifact:
    path = home / str(version)
    record = _read_model(path, name, version)
    for file, digest in record["checksums"].items():
        try:
            data = (path / file).read_bytes()
        except FileNotFoundError:
            raise damaged(path / file, "a file is missing") from None
        if hashlib.sha256(data).hexdigest() != digest:
            raise damaged(path / file, "a file was changed after it was saved")
        if file == CARD:
            card = data.decode("utf-8")
    payload = {key: item for key, item in record.items() if key not in ENVELOPE}
    try:
        payload = decode(payload)
    except ValueError as problem:
        raise damaged(path / MODEL, str(problem)) from None
    return Artifact(
        payload=payload,
        name=name,
        version=version,
        path=path,
        aliases=tuple(sorted(a for a, v in read_aliases(home).items() if v == version)),
        created_at=record["created_at"],
        card=card,
        files=tuple(sorted(record["checksums"])),
    )


def verify_artifact(root: str | os.PathLike[str], reference: str) -> Artifact:
    """The model, when every file of it is as it was saved; the same checks guard every load.

    Raises
    ------
    ArgumentError
        When the reference is not understood.
    StoreError
        When the model is missing or damaged; the message names the file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = save_artifact(folder, "shop", {"r": 0.24}, "# Shop")
    ...     verify_artifact(folder, "shop@1").files
    ('CARD.md',)
    """
    return load_artifact(root, reference)


def list_artifacts(root: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """One row per saved version: by name, then version; a missing folder has none.

    Returns
    -------
    list of dict
        ``name, version, aliases, created_at, problem`` and the entries of ``payload["summary"]``. A damaged
        ``model.json`` is a row with its ``problem`` in words, so that one bad version hides no other. Files
        beside ``model.json`` are checked by `verify_artifact`.

    Raises
    ------
    StoreError
        When an ``aliases.json`` is damaged.

    Examples
    --------
    >>> list_artifacts("no-such-folder")
    []
    """
    with disk(root, "read"):
        return _rows(Path(root))


def _rows(root: Path) -> list[dict[str, Any]]:
    rows = []
    for name in saved_names(root):
        home = root / name
        aliases = read_aliases(home)
        for version in saved_versions(home):
            row: dict[str, Any] = {
                "name": name,
                "version": version,
                "aliases": sorted(alias for alias, number in aliases.items() if number == version),
                "created_at": None,
                "problem": None,
            }
            try:
                record = _read_model(home / str(version), name, version)
                summary = decode(record.get("summary", {}))
                row["created_at"] = record["created_at"]
            except (StoreError, ValueError) as problem:
                row["problem"] = str(problem)
                summary = {}
            if isinstance(summary, dict):
                row.update({key: item for key, item in summary.items() if key not in row})
            rows.append(row)
    return rows


def set_alias(root: str | os.PathLike[str], reference: str, alias: str) -> Saved:
    """Let an alias name a version, for example ``champion``; it leaves the version that had it.

    The version is verified first. When two processes set aliases at once, the later one stands.

    Raises
    ------
    ArgumentError
        When the reference or the alias is not understood.
    StoreError
        When there is no such version, or it is damaged.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for _ in range(2):
    ...         _ = save_artifact(folder, "shop", {}, "# Shop")
    ...     _ = set_alias(folder, "shop@1", "champion")
    ...     load_artifact(folder, "shop").version
    1
    """
    check_alias(alias)
    artifact = load_artifact(root, reference)
    home = artifact.path.parent
    write_json(dict(sorted({**read_aliases(home), alias: artifact.version}.items())), home / ALIASES)
    return Saved(artifact.path, artifact.name, artifact.version)


def _read_model(path: Path, name: str, version: int) -> dict[str, Any]:
    file = path / MODEL
    try:
        record = parse_strict(file.read_bytes().decode("utf-8"))
    except FileNotFoundError:
        raise damaged(file, "a file is missing") from None
    except ValueError as problem:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise damaged(file, str(problem)) from None
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise StoreError("this is not a saved model", where=str(file), advice=f"Expected schema {SCHEMA!r}.")
    written = record.get("schema_version")
    if type(written) is int and written > SCHEMA_VERSION:
        raise StoreError(
            f"the model was written by a newer version of clv-forecast (schema {written})",
            where=str(file),
            advice=f"This one reads schema {SCHEMA_VERSION}; upgrade clv-forecast.",
        )
    body = {key: item for key, item in record.items() if key != "checksum"}
    if record.get("checksum") != fingerprint(body):
        raise damaged(file, "a file was changed after it was saved")
    missing = [key for key in ENVELOPE if key not in record]
    if missing or written != SCHEMA_VERSION:
        raise damaged(file, f"{', '.join(missing) or 'schema_version'} is missing or not understood")
    if (record["name"], record["version"]) != (name, version):
        raise damaged(file, f"it was saved as {record['name']}@{record['version']}")
    files = record["checksums"]
    if not isinstance(files, dict) or CARD not in files or not all(map(is_name, files)):
        raise damaged(file, "its list of files is not understood")
    return record
