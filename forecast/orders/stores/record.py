"""What an order store says of itself: ``store.json``, whole and unchanged or told as damaged.

``DIR/store.json`` names the loads; ``DIR/loads/<folder>/`` holds the Parquet files of each. The file is
replaced by one rename, and only what it names is part of the store: whatever else lies in ``loads`` was left
behind by a writer that was stopped, and the next writer throws it away.
"""

from __future__ import annotations

import datetime as dt
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from forecast.errors import ArgumentError, StoreError
from forecast.orders.platforms.identities import pseudonym
from forecast.orders.reconciliation import Line
from forecast.store.atomic import disk, sync_folder, write_bytes
from forecast.store.locking import LOCK
from forecast.store.plaindata import fingerprint
from forecast.store.sealed import damaged, file_hash, read_sealed, sealed_text

SCHEMA, SCHEMA_VERSION = "clv-forecast/order-store", 1
STORE, LOADS = "store.json", "loads"
THING = "order store"
RESTORE = "Restore the folder from a backup, or make it anew from the exports."
ENTRIES, GIVEN, REJECTS = "entries.parquet", "given.parquet", "rejects.parquet"
_CHECK = "the check value of an order store's salt"


@dataclass(frozen=True)
class Settings:
    """What all loads of a store have in common; of the salt only a check value is kept."""

    dialect: str
    timezone: str | None
    currency: str | None
    salt_check: str | None

    @property
    def hashed(self) -> bool:
        """Whether e-mails and phones are pseudonyms."""
        return self.salt_check is not None


@dataclass(frozen=True)
class Load:
    """One load: where it lies, what was read, and what became of it when it came."""

    number: int
    loaded: str
    folder: str
    files: list[dict[str, Any]]
    mapping: dict[str, str]
    extras: list[str]
    notes: list[str]
    checksums: dict[str, str]
    rows_in: dict[str, int] = field(default_factory=dict)
    merged: list[list[Any]] = field(default_factory=list)
    left: list[list[Any]] = field(default_factory=list)
    codes: dict[str, dict[str, Any]] = field(default_factory=dict)
    orders: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    used: int = 0
    first_day: str | None = None
    last_day: str | None = None

    @property
    def rows(self) -> int:
        """Records of all files."""
        return sum(self.rows_in.values())

    def lines(self, label: Any = str) -> list[Line]:
        """Rows that are in no entry any more, with their money."""
        return [Line(label(file), code, rows, Decimal(value)) for file, code, rows, value in self.left]


@dataclass(frozen=True)
class Store:
    """An order store as read and verified.

    ``tombstones`` are salted hashes of who was forgotten, with the day; ``removals`` say how many orders left
    on what day, and nothing of whom.
    """

    path: Path
    settings: Settings
    salt: str
    loads: tuple[Load, ...]
    tombstones: dict[str, str] = field(default_factory=dict)
    removals: list[dict[str, Any]] = field(default_factory=list)
    checksum: str = ""

    def file(self, load: Load, name: str) -> Path:
        """Where a file of a load lies."""
        return self.path / LOADS / load.folder / name

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every file of the store."""
        return (
            self.path / STORE,
            *(self.file(load, name) for load in self.loads for name in load.checksums),
        )


def is_store(source: Any) -> bool:
    """Whether a path is the folder of an order store.

    Examples
    --------
    >>> is_store("orders.csv")
    False
    """
    return isinstance(source, str | os.PathLike) and (Path(source).expanduser() / STORE).is_file()


def salt_check(salt: bytes | None) -> str | None:
    """A value by which a salt is recognised and from which it cannot be had."""
    return None if salt is None else pseudonym(salt, _CHECK)


def fresh_salt() -> str:
    """A salt for the tombstones of a new store."""
    return secrets.token_hex(16)


def read_record(path: Any, *, verify: bool = True) -> Store:
    """Read a store's record, and by default verify every file of it.

    Raises
    ------
    StoreError
        When there is no store, or a file of it is missing or changed.

    Examples
    --------
    >>> read_record("no-such-folder")
    Traceback (most recent call last):
    forecast.errors.StoreError: there is no order store, in no-such-folder. Make one: forecast orders add
    FILES
    --store no-such-folder.
    """
    home = Path(path).expanduser()
    if not (home / STORE).is_file():
        raise StoreError(
            "there is no order store",
            where=str(path),
            advice=f"Make one: forecast orders add FILES --store {path}.",
        )
    record = read_sealed(home / STORE, SCHEMA, SCHEMA_VERSION, thing=THING, advice=RESTORE)
    try:
        store = Store(
            home, Settings(**record["settings"]), record["salt"],
            tuple(Load(**one) for one in record["loads"]),
            record["tombstones"], record["removals"], record["checksum"],
        )  # fmt: skip
    except (KeyError, TypeError) as problem:
        raise damaged(f"{problem} is not understood", home / STORE, thing=THING, advice=RESTORE) from None
    if verify:
        for load in store.loads:
            verify_load(store, load)
    return store


def verify_load(store: Store, load: Load) -> None:
    """Check every byte of a load.

    Raises
    ------
    StoreError
        When a file is missing or changed.
    """
    for name, expected in load.checksums.items():
        path = store.file(load, name)
        if not path.is_file():
            raise damaged("a file is missing", path, thing=THING, advice=RESTORE)
        with disk(path, "read"):
            if file_hash(path) != expected:
                raise damaged("a file was changed after it was written", path, thing=THING, advice=RESTORE)


def write_record(store: Store, expected: str) -> Store:
    """Replace ``store.json``, unless somebody else did since it was read (``expected`` is its checksum then).

    Raises
    ------
    StoreError
        When it is another one by now, or the disk refuses.
    """
    path = store.path / STORE
    now = read_record(store.path, verify=False).checksum if path.is_file() else ""
    if now != expected:
        raise StoreError(
            "somebody else has written in the meantime", where=str(store.path), advice="Try again."
        )
    record: dict[str, Any] = {
        "schema": SCHEMA, "schema_version": SCHEMA_VERSION, "settings": asdict(store.settings),
        "salt": store.salt, "loads": [asdict(load) for load in store.loads],
        "removals": store.removals, "tombstones": dict(sorted(store.tombstones.items())),
    }  # fmt: skip
    write_bytes(sealed_text(record), path)
    return Store(**{**store.__dict__, "checksum": fingerprint(record)})


def sweep(path: Path, loads: Mapping[str, Any] | set[str]) -> None:
    """Throw away whatever in ``loads`` the record does not name: a writer was stopped, or customers left.

    Raises
    ------
    StoreError
        When the disk refuses.
    """
    home = path / LOADS
    with disk(home, "cleared"):
        for folder in home.iterdir() if home.is_dir() else ():
            if folder.name not in loads:
                shutil.rmtree(folder)
        for left in path.glob(f".{Path(STORE).stem}.*.tmp.json"):
            left.unlink()
        if home.is_dir():
            sync_folder(home)


def check_folder(path: Path) -> None:
    """Refuse a folder that holds other things, before a store is made in it.

    Raises
    ------
    ArgumentError
        When it is a file, or something else lies in it.
    """
    if path.is_file():
        raise ArgumentError(f"the order store is a file: {path}", advice="Give a folder.")
    if not path.is_dir() or (path / STORE).is_file():
        return
    others = [one.name for one in path.iterdir() if one.name not in (LOCK, LOADS) and one.name[0] != "."]
    if others:
        raise ArgumentError(
            f"the folder holds other things: {others[0]}", where=str(path), advice="Give a folder of its own."
        )


def day_of(text: str) -> dt.date:
    """A day as written in the record."""
    return dt.date.fromisoformat(text)
