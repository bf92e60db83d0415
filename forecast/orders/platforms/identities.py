"""Who bought: the platform's id, else the e-mail, else the phone; and which of them are nobody."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import Any

import pyarrow as pa

from forecast.errors import ArgumentError, InputError
from forecast.orders.sql import text

SHORTEST_SALT = 16
# One person does not order more often than this on one day.
MOST_ORDERS_A_DAY = 10
MOST_OF_AN_ACCOUNT = 50

_SHARED = (
    "^(no-?reply|do-?not-?reply|pos|point-?of-?sale|walk-?in|walkin-?customer|cash-?customer|guest|anonymous|"
    "none|nomail|no-?e?mail|dummy|unknown)[0-9]*@"
)
_RELAY = (
    "@(.*[.])?(marketplace[.]amazon[.][a-z.]+|verkopen[.]bol[.]com|klantbericht[.]bol[.]com|"
    "members[.]ebay[.][a-z.]+|walmartrelay[.]com|marktplaats[.]nl|etsy-mail[.]com)$"
)
_MARKETPLACES = ("ebay", "bol.com", "walmart", "zalando", "cdiscount", "etsy")


def email_of(cell: str) -> str:
    """An e-mail address, trimmed and in lower case; NULL where the cell holds none.

    Examples
    --------
    >>> import duckdb
    >>> duckdb.sql("SELECT " + email_of("' Ada@Example.COM '")).fetchall()[0][0]
    'ada@example.com'
    """
    plain = f"lower(trim({cell}))"
    return f"CASE WHEN regexp_full_match({plain}, '[^@\\s]+@[^@\\s]+') THEN {plain} END"


def phone_of(cell: str) -> str:
    """A phone number as digits with its plus; NULL where too few digits are left, or a spreadsheet cut them.

    Examples
    --------
    >>> import duckdb
    >>> [duckdb.sql("SELECT " + phone_of(f"'{n}'")).fetchall()[0][0]
    ...  for n in ("0031 (6) 1234-5678", "+88 017", "8.80171E+12")]
    ['+31612345678', None, None]
    """
    digits = f"regexp_replace(regexp_replace({cell}, '[^0-9+]', '', 'g'), '^00', '+')"
    cut = f"regexp_matches({cell}, '[0-9][eE][+]')"
    return f"CASE WHEN NOT {cut} AND length({digits}) >= 7 THEN {digits} END"


def any_of(cell: str, *words: str) -> str:
    """Condition of a cell that holds one of some words; much cheaper than a pattern."""
    return "(" + " OR ".join(f"contains({cell}, {text(word)})" for word in words) + ")"


def is_shared(email: str) -> str:
    """Condition of an address behind which many stand."""
    # Only addresses that begin like one of them are looked at more closely.
    near = f"left({email}, 2) IN ('no', 'do', 'po', 'wa', 'ca', 'gu', 'an', 'du', 'un')"
    return f"coalesce({near} AND regexp_matches({email}, '{_SHARED}'), false)"


def is_masked(email: str) -> str:
    """Condition of an address that was blacked out."""
    return f"coalesce({any_of(f'lower({email})', '*', 'redacted', 'xxxx', 'anonymis', 'anonymiz')}, false)"


def is_relay(email: str, channel: str, payment: str) -> str:
    """Condition of an order that came through a marketplace; channel and payment in lower case."""
    near = any_of(email, "amazon", "bol.com", "ebay", "walmartrelay", "marktplaats", "etsy")
    return (
        f"(coalesce({near} AND regexp_matches({email}, '{_RELAY}'), false) "
        f"OR {any_of(channel, 'amazon', *_MARKETPLACES)} OR {channel} = 'bol' "
        # Amazon Pay is a wallet, not the marketplace.
        f"OR {any_of(payment, 'amazon_marketplace', *_MARKETPLACES)})"
    )


def read_salt(path: Any) -> bytes:
    """The salt of a file, which has to be kept apart from the data and the same for every load.

    Raises
    ------
    InputError
        When the file is missing or unreadable.
    ArgumentError
        When the salt is too short to protect anything.
    """
    try:
        salt = Path(path).expanduser().read_bytes().strip()
    except OSError as error:
        raise InputError(
            f"the salt cannot be read ({error.strerror})",
            where=Path(path).name,
            advice='Make one: python -c "import secrets; print(secrets.token_hex(32))" > salt.txt',
        ) from None
    if len(salt) < SHORTEST_SALT:
        raise ArgumentError(
            f"the salt has {len(salt)} bytes",
            advice=f"Give at least {SHORTEST_SALT}, at random, and keep the file secret.",
        )
    return salt


def pseudonym(salt: bytes, value: str) -> str:
    """A name that only the holder of the salt can link to the value: HMAC-SHA-256, 128 bits of it.

    Examples
    --------
    >>> pseudonym(b"0123456789abcdef", "ada@example.com")
    'p-512383176ce1b4c279ee430548cf07ec'
    """
    return "p-" + hmac.new(salt, value.encode(), hashlib.sha256).hexdigest()[:32]


def hash_column(connection: Any, table: str, columns: list[str], salt: bytes) -> None:
    """Replace the values of some columns by pseudonyms, in place."""
    for column in columns:
        values = [
            value
            for (value,) in connection.execute(
                f"SELECT DISTINCT {column} FROM {table} WHERE {column} IS NOT NULL"
            ).fetchall()
        ]
        names = pa.table(
            {
                "plain": pa.array(values, pa.string()),
                "pseudonym": pa.array([pseudonym(salt, value) for value in values], pa.string()),
            }
        )
        connection.register("pseudonyms", names)
        connection.execute(
            f"UPDATE {table} SET {column} = p.pseudonym FROM pseudonyms p WHERE {table}.{column} = p.plain"
        )
        connection.unregister("pseudonyms")


def resolve(connection: Any, entries: str, notes: list[str]) -> None:
    """Fill ``customer_id``: the account, the account of the same e-mail, the e-mail, the phone.

    An e-mail that several accounts share stands for the one that used it first.
    """
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {entries}_accounts AS SELECT email, "
        "arg_min(account_id, {'day': coalesce(order_day, DATE '9999-12-31'), 'id': account_id}) AS account, "
        f"min(account_id) <> max(account_id) AS several FROM {entries} "
        "WHERE account_id IS NOT NULL AND email IS NOT NULL AND NOT is_shared GROUP BY email"
    )
    connection.execute(
        f"UPDATE {entries} SET customer_id = coalesce(account_id, email, phone), "
        "is_guest = account_id IS NULL"
    )
    connection.execute(
        f"UPDATE {entries} SET customer_id = a.account FROM {entries}_accounts a "
        f"WHERE {entries}.account_id IS NULL AND {entries}.email = a.email"
    )
    joined, several, phones = connection.execute(
        "SELECT count(*) FILTER (e.account_id IS NULL AND a.email IS NOT NULL), "
        "count(*) FILTER (e.account_id IS NULL AND a.several), "
        "count(*) FILTER (e.account_id IS NULL AND e.email IS NULL AND e.phone IS NOT NULL) "
        f"FROM {entries} e LEFT JOIN {entries}_accounts a ON e.email = a.email WHERE NOT e.is_refund"
    ).fetchall()[0]
    if joined:
        notes.append(f"guest orders that joined the account with the same e-mail: {joined:,}")
    if several:
        notes.append(
            f"of these, e-mails that several accounts share: {several:,} orders, given to the first account"
        )
    if phones:
        notes.append(f"orders known by their phone alone: {phones:,}")
