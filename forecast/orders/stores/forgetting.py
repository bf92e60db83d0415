"""Forgetting a person: out of every load of a store and every issued forecast, not to come back."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from forecast.errors import ArgumentError, StoreError
from forecast.orders.dialects.platform import Platform
from forecast.orders.platforms.exports import Entries
from forecast.orders.platforms.identities import pseudonym, read_salt
from forecast.orders.reading import connect
from forecast.orders.reconciliation import Line
from forecast.orders.stores.adding import write_load
from forecast.orders.stores.forgotten import marks, take_out
from forecast.orders.stores.opening import parquet, platform_named
from forecast.orders.stores.record import (
    ENTRIES,
    GIVEN,
    LOADS,
    REJECTS,
    Load,
    Store,
    read_record,
    salt_check,
    sweep,
    write_record,
)
from forecast.store.locking import locked
from forecast.store.redacting import issued_to, redact

# An account with more e-mails, or an e-mail with more accounts, is a till or a shop's own: not one person.
MOST_LINKS = 5


@dataclass(frozen=True)
class Forgotten:
    """What was done; whom it was done for stands nowhere.

    Attributes
    ----------
    orders : int
        Orders that left the store.
    loads, issues : int
        Loads and issued forecasts from which they left.
    day : datetime.date
    before : datetime.date, optional
        The day on which the person had been forgotten already.
    problems : tuple of StoreError
        Forecasts that are damaged and may still hold the person.
    """

    orders: int
    loads: int
    issues: int
    day: dt.date
    before: dt.date | None = None
    problems: tuple[StoreError, ...] = ()


def forget_customer(
    customer_id: str, store: Any, *, ledger: Any = "ledger", hash_ids: Any = None
) -> Forgotten:
    """Forget a person: every order in the store, and the id in every forecast of the ledger.

    Account, e-mail and phone that go together in the store are one person, guest orders included. What is
    kept is a salted one-way mark of each, so that the next export does not bring the orders until today back
    (they are then counted as ``forgotten``), and how many orders left. In the ledger the id becomes
    ``forgotten-<number>`` by a recorded redaction; its sums and settlements stay as they are. Called again,
    it completes what was stopped.

    Parameters
    ----------
    customer_id : str
        As in the scores; or the e-mail or the phone.
    store, ledger : path
        A ledger that is not there has no forecasts.
    hash_ids : path, optional
        The salt of a store with pseudonyms, to find a person by the plain e-mail or phone.

    Returns
    -------
    Forgotten

    Raises
    ------
    ArgumentError
        When neither store nor ledger knows the customer, or the salt is not the store's.
    StoreError
        When the store is damaged, somebody else is writing, or the disk refuses.

    Notes
    -----
    Exports, scores, lists and pages that were written before are not looked for. Whoever holds the store can
    still test whether an address that they know was forgotten; no address can be had from it.

    Examples
    --------
    >>> import tempfile, forecast, pandas as pd
    >>> log = pd.DataFrame({"order_id": ["1", "2"], "customer_id": ["ada", "bo"], "value": [10.0, 20.0],
    ...                     "order_date": ["2024-01-05", "2024-02-06"]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = forecast.add_orders(log, folder, currency="EUR")
    ...     done = forget_customer("ada", folder, ledger=f"{folder}/ledger")
    ...     orders = forecast.read_orders(folder)
    >>> done.orders, len(orders), orders.reconciliation.by_code()["forgotten"][0]
    (1, 1, 1)
    """
    own = str(customer_id).strip()
    if not own:
        raise ArgumentError("no customer is named", advice="Give a customer id, e-mail or phone.")
    home, today = Path(store).expanduser(), dt.date.today()
    kept = read_record(home)
    given = _names(own, kept, hash_ids)
    with locked(home):
        kept = read_record(home)
        connection = connect(None)
        gone, ids = _person(connection, kept, given)
        stones = marks(connection, kept.salt, {*given, *ids})
        before = min((kept.tombstones[mark] for mark in stones if mark in kept.tombstones), default=None)
        issued = issued_to(ledger, {*given, *ids})
        if not gone and not issued and before is None:
            raise ArgumentError(
                f"the customer {shortened(own)} is not known",
                where=str(home),
                advice="Give the customer_id of the scores, or the e-mail"
                + (" and its salt (--hash-ids SALT_FILE)." if kept.settings.hashed else "."),
            )
        number = 1 + max((removal["number"] for removal in kept.removals), default=0)
        # The ledger comes first: as long as the store knows who belongs together, this can be done again.
        issues, problems = redact(ledger, {*given, *ids}, number, today.isoformat())
        orders = _orders(connection) if gone else 0
        loads = [_without(connection, kept, load, gone[load.number]) if load.number in gone else load
                 for load in kept.loads]  # fmt: skip
        if gone or issues or before is None:
            removal = {"number": number, "day": today.isoformat(), "orders": orders, "issues": issues}
            # Someone who came back and is forgotten again is so until today.
            tombstones = {**kept.tombstones, **dict.fromkeys(stones, today.isoformat())}
            kept = replace(
                kept, loads=tuple(loads), tombstones=tombstones, removals=[*kept.removals, removal]
            )
            write_record(kept, kept.checksum)
        sweep(home, {load.folder for load in kept.loads})
    day = None if before is None else dt.date.fromisoformat(before)
    return Forgotten(orders, len(gone), issues, today, day, tuple(problems))


def shortened(own: str) -> str:
    """As much of an id as tells its owner which one was meant, and nobody else.

    Examples
    --------
    >>> shortened("ada@example.com"), shortened("1001")
    ('ada…', '1…')
    """
    return own[: min(3, len(own) // 3)] + "…"


def _names(own: str, store: Store, hash_ids: Any) -> set[str]:
    """How the store may have what was given: as it stands, as an e-mail or phone is cleaned, or hidden."""
    digits = "".join(letter for letter in own if letter.isdigit() or letter == "+")
    names = {own, own.lower()}
    if len(digits) >= 7 and not any(letter.isalpha() for letter in own):
        names.add("+" + digits[2:] if digits.startswith("00") else digits)
    if hash_ids is None:
        return names
    salt = read_salt(hash_ids)
    if salt_check(salt) != store.settings.salt_check:
        what = (
            "is not the one of the order store" if store.settings.hashed else "is given for a store without"
        )
        raise ArgumentError(f"the salt {what}", advice="Give the file that its loads were added with.")
    return names | {pseudonym(salt, name) for name in names}


def _person(connection: Any, store: Store, given: Collection[str]) -> tuple[dict[int, list[int]], set[str]]:
    """Entries of a person, by load, and all ids that the person goes by."""
    parts = [
        f"SELECT {load.number} AS load, entry, account_id, email, phone, is_shared OR is_masked AS is_vague, "
        f"store, order_id, is_refund FROM {parquet(store.file(load, ENTRIES))} WHERE NOT is_blank"
        for load in store.loads
    ]
    connection.execute(f"CREATE TEMP TABLE everybody AS {' UNION ALL '.join(parts)}")

    def of(column: str, other: str, values: set[str]) -> set[str]:
        """What goes with some values, unless too much does."""
        rows = connection.execute(
            f"SELECT {other}, {column} FROM (SELECT DISTINCT account_id, email FROM everybody WHERE NOT "
            "is_vague "
            "AND account_id IS NOT NULL AND email IS NOT NULL) QUALIFY count(*) OVER (PARTITION BY "
            f"{column}) "
            f"<= {MOST_LINKS} AND count(*) OVER (PARTITION BY {other}) <= {MOST_LINKS}"
        ).fetchall()
        return {row[0] for row in rows if row[1] in values}

    def there(column: str, alone: str = "true") -> set[str]:
        rows = connection.execute(
            f"SELECT DISTINCT {column} FROM everybody WHERE list_contains(?, {column}) AND {alone}",
            [sorted(given)],
        ).fetchall()
        return {row[0] for row in rows}

    nobody_else = "account_id IS NULL AND email IS NULL"
    accounts, emails = there("account_id"), there("email")
    phones = there("phone", nobody_else)
    while True:
        more_emails = of("account_id", "email", accounts) - emails
        more_accounts = of("email", "account_id", emails) - accounts
        if not more_emails and not more_accounts:
            break
        emails |= more_emails
        accounts |= more_accounts
    whose = "list_contains(?, account_id) OR list_contains(?, email)"
    sets = [sorted(accounts), sorted(emails)]
    phones |= {
        row[0]
        for row in connection.execute(
            f"SELECT DISTINCT phone FROM everybody WHERE phone IS NOT NULL AND ({whose})", sets
        ).fetchall()
    }
    connection.execute(
        f"CREATE TEMP TABLE person AS SELECT * FROM everybody WHERE {whose} "
        f"OR (list_contains(?, phone) AND {nobody_else})",
        [*sets, sorted(phones)],
    )
    gone: dict[int, list[int]] = {}
    for load, entry in connection.execute("SELECT load, entry FROM person ORDER BY ALL").fetchall():
        gone.setdefault(load, []).append(entry)
    return gone, accounts | emails | phones


def _orders(connection: Any) -> int:
    """Orders of the person, each once whatever loads have it."""
    rows = connection.execute(
        "SELECT count(DISTINCT (store, order_id)) FILTER (order_id IS NOT NULL) "
        "+ count(*) FILTER (order_id IS NULL) FROM person WHERE NOT is_refund"
    ).fetchall()
    return int(rows[0][0])


def _without(connection: Any, store: Store, load: Load, gone: list[int]) -> Load:
    """The load without some entries, in a folder of its own; the old one goes once the record names it."""
    name = f"rewritten_{load.number}"
    for table, file in ((name, ENTRIES), (f"{name}_given", GIVEN), (f"{name}_rejects", REJECTS)):
        connection.execute(f"CREATE TABLE {table} AS SELECT * FROM {parquet(store.file(load, file))}")
    connection.execute(f"CREATE TEMP TABLE {name}_gone AS SELECT unnest(?::BIGINT[]) AS entry", [gone])
    platform: Platform = platform_named(store.settings.dialect)
    entries = Entries(
        platform, name, f"{name}_given", list(load.rows_in), {}, [], [], {}, (), None, [],
        load.lines(), f"{name}_rejects",
    )  # fmt: skip
    take_out(connection, entries, f"{name}_gone")
    folder = f"{load.number}-{secrets.token_hex(3)}"
    checksums = write_load(connection, entries, store.path / LOADS / folder)
    left = _summed(entries.left)
    return replace(load, folder=folder, checksums=checksums, left=left)


def _summed(lines: list[Line]) -> list[list[Any]]:
    """One line for each file and code, so that nobody's orders stand alone where others left before."""
    found: dict[tuple[str, str], Line] = {}
    for line in lines:
        old = found.get((line.file, line.code))
        found[line.file, line.code] = (
            line if old is None else replace(line, rows=line.rows + old.rows, value=line.value + old.value)
        )
    return [[line.file, line.code, line.rows, str(line.value)] for line in found.values()]
