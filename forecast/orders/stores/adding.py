"""Adding an export to an order store: read but not judged, and kept as one more load."""

from __future__ import annotations

import contextlib
import datetime as dt
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb

from forecast.errors import ArgumentError, StoreError
from forecast.orders.currencies import check_currency
from forecast.orders.databases.opening import is_url
from forecast.orders.files import find_files
from forecast.orders.handle import Orders
from forecast.orders.platforms.exports import Entries
from forecast.orders.platforms.identities import read_salt
from forecast.orders.platforms.settling import settle
from forecast.orders.progress import Progress
from forecast.orders.reading import Opened, open_source
from forecast.orders.reconciliation import Reconciliation
from forecast.orders.sources import close_sources
from forecast.orders.sql import text
from forecast.orders.stores.forgotten import drop_forgotten
from forecast.orders.stores.logs import LOG, entries_of_log
from forecast.orders.stores.opening import columns_of, parquet, platform_named
from forecast.orders.stores.record import (
    ENTRIES,
    GIVEN,
    LOADS,
    REJECTS,
    STORE,
    Load,
    Settings,
    Store,
    check_folder,
    fresh_salt,
    read_record,
    salt_check,
    sweep,
    write_record,
)
from forecast.periods import parse_day
from forecast.store.atomic import disk, sync_folder
from forecast.store.locking import locked
from forecast.store.sealed import file_hash
from forecast.store.writing import write_table

# What says where a copy came from, or is worked out when all loads are read together.
_NOT_SAID = (
    "entry", "file", "source_file", "row", "lines", "unique_id", "customer_id", "is_guest", "loaded", "load",
    "digest", "is_forgotten", "updated_at", "status_text",
)  # fmt: skip
_NOT_KEPT = ("customer_id", "is_guest", "loaded", "load", "is_forgotten")


@dataclass(frozen=True)
class Addition:
    """What was added: the load (None when every file was there already), and files that were left out.

    ``reconciliation`` says where every row of the load went, whatever other loads hold.
    """

    load: Load | None
    skipped: tuple[str, ...]
    reconciliation: Reconciliation | None


def add_orders(
    source: Any,
    store: Any,
    *,
    loaded: Any = None,
    mapping: Mapping[str, str | None] | None = None,
    dialect: str = "auto",
    timezone: str | None = None,
    currency: str | None = None,
    date_format: str | None = None,
    rates: Any = None,
    statuses: Mapping[str, str] | None = None,
    hash_ids: Any = None,
    query: str | None = None,
    progress: Progress | None = None,
    duckdb_config: Mapping[str, Any] | None = None,
) -> Addition:
    """Add an export to an order store; overlaps with earlier ones are welcome.

    The newest copy of an order counts. What an earlier load said of it is still seen by ``orders.until`` of a
    day before the newer one. The first load decides dialect, time zone, currency and pseudonyms of a store.

    Parameters
    ----------
    source : path, glob, frame, database URL, or list of them
        As :func:`forecast.read_orders` takes it. A file that is in the store already, byte by byte, is left
        out.
    store : path
        A folder; made when missing.
    loaded : date or ISO string, optional
        Day on which the export was made, today by default: give it when older exports are added later.
    mapping, dialect, timezone, currency, date_format, rates, statuses, hash_ids, query
        As :func:`forecast.read_orders` takes them; time zone and currency are the store's unless given.
    progress, duckdb_config
        As :func:`forecast.read_orders` takes them.

    Returns
    -------
    Addition

    Raises
    ------
    ArgumentError
        When an option is not that of the store, or cannot be meant.
    InputError
        When the export cannot be read, or is a log without order numbers.
    StoreError
        When the store is damaged, somebody else is writing, or the disk refuses.

    Examples
    --------
    >>> import tempfile, forecast, pandas as pd
    >>> log = pd.DataFrame({"order_id": ["1", "2"], "customer_id": ["ada", "bo"], "value": [10.0, 20.0],
    ...                     "order_date": ["2024-01-05", "2024-02-06"]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     first = add_orders(log[:1], f"{folder}/orders", loaded="2024-01-31", currency="EUR")
    ...     second = add_orders(log, f"{folder}/orders", loaded="2024-02-29")
    ...     orders = forecast.read_orders(f"{folder}/orders")
    >>> len(orders), second.load.new, second.load.unchanged
    (2, 1, 1)
    """
    home = Path(store).expanduser()
    day = dt.date.today() if loaded is None else parse_day(loaded, "loaded")
    if day > dt.date.today() + dt.timedelta(days=1):
        raise ArgumentError(f"loaded is {day}, which is still to come", advice="Give the export's day.")
    salt = None if hash_ids is None else read_salt(hash_ids)
    check_folder(home)
    with disk(home):
        home.mkdir(parents=True, exist_ok=True)
    with locked(home):
        old = read_record(home) if (home / STORE).is_file() else None
        if old is not None:
            timezone, currency = _agree(old, dialect, timezone, currency, salt)
        source, skipped = _without_known(source, old)
        if source is None:
            return Addition(None, skipped, None)
        opened = open_source(
            source, mapping=mapping, dialect=old.settings.dialect if old else dialect, timezone=timezone,
            query=query, progress=progress, duckdb_config=duckdb_config,
        )  # fmt: skip
        options: dict[str, Any] = {"mapping": mapping, "date_format": date_format, "currency": currency,
                                   "rates": rates, "statuses": statuses, "salt": salt}  # fmt: skip
        if opened.platform is None:
            # Whether orders of value 0 count is chosen when the store is read.
            entries = entries_of_log(opened.log(value_policy=None, zero_value="keep", **options))
        else:
            entries = opened.entries(**options)
        settings = Settings(entries.platform.name, opened.timezone, entries.currency, salt_check(salt))
        if old is None:
            old = Store(home, settings, fresh_salt(), ())
        elif old.settings.currency != settings.currency:
            raise _differs("currency", old.settings.currency, settings.currency)
        drop_forgotten(opened.connection, entries, old.salt, old.tombstones)
        load, reconciliation = _append(old, opened, entries, day)
        close_sources(opened.connection, opened.sources)
    return Addition(load, skipped, reconciliation)


def _agree(
    old: Store, dialect: str, timezone: str | None, currency: str | None, salt: bytes | None
) -> tuple[str | None, str | None]:
    """Time zone and currency of the store, when nothing that was asked differs from it."""
    own = old.settings
    if dialect not in ("auto", own.dialect, platform_named(own.dialect).family):
        raise _differs("dialect", own.dialect, dialect)
    if timezone is not None and timezone != own.timezone:
        raise _differs("timezone", own.timezone, timezone)
    if currency is not None and check_currency(currency) != own.currency:
        raise _differs("currency", own.currency, currency)
    if own.hashed and salt is None:
        raise ArgumentError(
            "the order store has pseudonyms, and no salt is given", advice="Give it: --hash-ids SALT_FILE."
        )
    if not own.hashed and salt is not None:
        raise ArgumentError(
            "the order store has plain e-mails and phones, and a salt is given",
            advice="Leave it out, or make a store of its own with pseudonyms.",
        )
    if own.salt_check != salt_check(salt):
        raise ArgumentError(
            "the salt is not the one of the order store", advice="Give the file that its first load had."
        )
    return own.timezone, own.currency


def _differs(name: str, was: Any, now: Any) -> ArgumentError:
    return ArgumentError(
        f"the order store has {name} {was or 'none'}, this load has {now or 'none'}",
        advice="Loads of one store have to agree; make a store of its own for the other.",
    )


def _without_known(source: Any, old: Store | None) -> tuple[Any, tuple[str, ...]]:
    """The source without files that the store has; None when nothing is left."""
    if old is None or is_url(source):
        return source, ()
    known = {file["sha256"] for load in old.loads for file in load.files}
    items = list(source) if isinstance(source, list | tuple) else [source]
    kept: list[Any] = []
    skipped: list[Path] = []
    for item in items:
        if isinstance(item, str | Path):
            for path in find_files(item):
                with disk(path, "read"):
                    (skipped if file_hash(path) in known else kept).append(path)
        else:
            kept.append(item)
    platform = platform_named(old.settings.dialect)
    if kept and (platform.joins or platform.memos):
        return source, ()  # tables that are only understood together
    return (kept or None), tuple(path.name for path in skipped)


def _append(old: Store, opened: Opened, entries: Entries, day: dt.date) -> tuple[Load, Reconciliation]:
    connection, name, home = opened.connection, entries.table, old.path
    _refuse_early(connection, name, day)
    _digest(connection, entries)
    number = max([0, *(load.number for load in old.loads)]) + 1
    sweep(home, {load.folder for load in old.loads})
    known = _known(connection, old, name, day, number)
    folder = f"{number}-{secrets.token_hex(3)}" if (home / LOADS / str(number)).exists() else str(number)
    checksums = write_load(connection, entries, home / LOADS / folder)
    files = [
        {"name": label, "sha256": file_hash(one.path) if one.path else None}
        for label, one in zip(entries.files, opened.sources, strict=True)
    ]
    try:
        orders = settle(
            connection, entries, timezone=opened.timezone, value_policy=None, zero_value=None, exclude=(),
            paths=(), may_be_empty=True,
        )  # fmt: skip
        load = _told(orders, entries, known, Load(
            number=number, loaded=day.isoformat(), folder=folder, files=files, mapping=dict(entries.mapping),
            extras=list(entries.extras), notes=list(entries.notes), checksums=checksums,
        ))  # fmt: skip
        write_record(replace(old, loads=(*old.loads, load)), old.checksum)
    except BaseException:
        shutil.rmtree(home / LOADS / folder, ignore_errors=True)
        raise
    return load, orders.reconciliation


def _told(orders: Orders, entries: Entries, known: dict[str, int], load: Load) -> Load:
    """The load with what became of its rows."""
    span = orders.connection.execute(
        f"SELECT min(order_day), max(order_day) FROM {orders.orders_table}"
    ).fetchall()[0]
    codes = orders.reconciliation.by_code().items()
    return replace(
        load, rows_in=dict(entries.rows_in), merged=[list(part) for part in entries.merged if part[2]],
        left=[[line.file, line.code, line.rows, str(line.value)] for line in entries.left],
        codes={code: {"rows": rows, "value": str(value)} for code, (rows, value) in codes},
        orders=known["orders"], new=known["new"], changed=known["changed"], unchanged=known["unchanged"],
        used=orders.n_orders,
        first_day=None if span[0] is None else span[0].isoformat(),
        last_day=None if span[1] is None else span[1].isoformat(),
    )  # fmt: skip


def _refuse_early(connection: Any, entries: str, day: dt.date) -> None:
    """An export cannot hold orders of days after it was made: earlier days would see them."""
    last = connection.execute(
        f"SELECT max(order_day) FROM {entries} WHERE order_day <= current_date + 1"
    ).fetchall()[0][0]
    if last is not None and last > day + dt.timedelta(days=1):
        raise ArgumentError(
            f"the export is said to be of {day}, and it has orders until {last}",
            advice="Give the day on which it was made: --loaded DAY.",
        )


def _digest(connection: Any, entries: Entries) -> None:
    """A hash of all that a copy says of its order, by which a later copy that says the same is known."""
    name = entries.table
    columns = [c for c in columns_of(connection, name) if c.strip('"') not in _NOT_SAID]
    # Cells that are blank are left out, so that a column that comes later changes no digest.
    said = ", ".join(f"{text(column + '=')} || CAST(e.{column} AS VARCHAR)" for column in sorted(columns))
    connection.execute(
        f"UPDATE {name} SET digest = d.digest FROM (SELECT e.entry, md5(concat_ws(chr(31), {said}, "
        "g.refunds)) "
        f"AS digest FROM {name} e LEFT JOIN (SELECT own, string_agg(concat_ws('|', day, amount, net, tax, "
        "shipping), ';' "
        f"ORDER BY day, amount, net) AS refunds FROM {entries.given} WHERE own IS NOT NULL GROUP BY own) g "
        f"ON g.own = e.entry) d WHERE {name}.entry = d.entry"
    )


def _known(connection: Any, old: Store, entries: str, day: dt.date, number: int) -> dict[str, int]:
    """How many orders of the load are new, changed or as the load before it had them."""
    earlier = [load for load in old.loads if (load.loaded, load.number) < (day.isoformat(), number)]
    one = "is_order AND NOT is_blank AND NOT is_refund AND order_id IS NOT NULL"
    parts = [
        f"SELECT store, order_id, digest, {k} AS place FROM {parquet(old.file(load, ENTRIES))} WHERE {one}"
        for k, load in enumerate(sorted(earlier, key=lambda load: (load.loaded, load.number)))
    ]
    nothing = "SELECT NULL AS store, NULL AS order_id, NULL AS digest, 0 AS place WHERE false"
    before = " UNION ALL ".join(parts) or nothing
    rows = connection.execute(
        f"WITH old AS (SELECT store, order_id, digest FROM ({before}) "
        "QUALIFY rank() OVER (PARTITION BY store, order_id ORDER BY place DESC) = 1), "
        f"now AS (SELECT store, order_id, max(digest) AS digest FROM {entries} WHERE {one} "
        "GROUP BY store, order_id, unique_id) "
        "SELECT count(*), count(*) FILTER (d.order_id IS NULL), count(*) FILTER (s.order_id IS NOT NULL) "
        "FROM now "
        "LEFT JOIN (SELECT DISTINCT store, order_id FROM old) d ON d.order_id = now.order_id "
        "AND d.store IS NOT DISTINCT FROM now.store "
        "LEFT JOIN (SELECT DISTINCT store, order_id, digest FROM old) s ON s.order_id = now.order_id "
        "AND s.store IS NOT DISTINCT FROM now.store AND s.digest = now.digest"
    ).fetchall()[0]
    orders, new, unchanged = rows
    return {"orders": orders, "new": new, "changed": orders - new - unchanged, "unchanged": unchanged}


def write_load(connection: Any, entries: Entries, target: Path) -> dict[str, str]:
    """Write the files of a load into a folder that appears by one rename; their checksums.

    Raises
    ------
    StoreError
        When the disk refuses.
    """
    rejects = [] if entries.rejects is None else [f"SELECT * FROM {entries.rejects}"]
    rejects += [
        f"SELECT {text(file)} AS source_file, row AS source_row, code, CAST(NULL AS VARCHAR) AS value FROM "
        f"{table}"
        for file, table in entries.broken
    ]
    nothing = "SELECT '' AS source_file, CAST(0 AS BIGINT) AS source_row, '' AS code, '' AS value WHERE false"
    kept = ", ".join(c for c in columns_of(connection, entries.table) if c.strip('"') not in _NOT_KEPT)
    tables = {
        ENTRIES: f"SELECT {kept} FROM {entries.table} ORDER BY entry",
        GIVEN: f"SELECT * FROM {entries.given} ORDER BY ALL",
        REJECTS: " UNION ALL ".join([nothing, *rejects]),
    }
    temporary = target.with_name(f".adding-{secrets.token_hex(8)}")
    with _whole(temporary):
        for name, query in tables.items():
            write_table(connection.sql(query), temporary / name)
        checksums = {name: file_hash(temporary / name) for name in tables}
        temporary.rename(target)
        sync_folder(target.parent)
    return checksums


@contextlib.contextmanager
def _whole(temporary: Path) -> Iterator[None]:
    """A folder that is gone again when the block fails."""
    with disk(temporary.parent):
        temporary.mkdir(parents=True)
        try:
            yield
        except duckdb.IOException as problem:
            reason = str(problem).splitlines()[0]
            raise StoreError(f"the load cannot be written: {reason}", advice="Check space.") from None
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


__all__ = ["LOG", "Addition", "add_orders", "write_load"]
