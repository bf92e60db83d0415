"""Entries: one row an order record, its cells read, in words that are the same for every platform."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from forecast.errors import ArgumentError, InputError
from forecast.orders.cells import read_ids, read_values
from forecast.orders.dates import Clock, DayReading, bad_date_error, read_days
from forecast.orders.dialects.platform import FLAGS, IDS, MONEY, STAMPS, Platform
from forecast.orders.platforms.collapsing import Cells
from forecast.orders.platforms.identities import any_of, email_of, is_masked, is_relay, is_shared, phone_of
from forecast.orders.sql import BLANK_TEXTS, ident, text, texts

# Columns of money every entry has; NULL where the platform does not say.
AMOUNTS = ("total", "gross", "discount", "net", "shipping", "tax", "refunded", "refunded_net", "cost")
# Two amounts are the same when they differ by no more than rounding of lines can explain.
CENTS = 0.02
_LONGEST_BLANK = max(map(len, BLANK_TEXTS))
# The number of an entry is its place: file and row; no file has so many rows.
FILE_STEP = 1 << 40
_OFFLINE = (
    "cash.?on.?delivery|cashondelivery|^cod$|[(]cod[)]|nachnahme|rembours|contre.?remboursement|"
    "bank.?transfer|banktransfer|wire.?transfer|bank.?deposit|^bacs$|berweisung|vorkasse|virement|"
    "invoice|rechnung|factuur|^cheque$|^check$|check.?/.?money|checkmo|money.?order|purchase.?order|purchaseorder"
)
STATES = ("completed", "pending", "cancelled", "refunded", "test")


def read_entries(
    connection: Any,
    orders: Cells,
    platform: Platform,
    name: str,
    *,
    timezone: str | None,
    date_format: str | None,
    statuses: Mapping[str, str] | None,
    extras: list[str],
    notes: list[str],
) -> dict[str, DayReading]:
    """Fill the table ``name``, one row an order record (refunds that came as rows included).

    Raises
    ------
    InputError
        When dates or amounts cannot be read, or a time zone is needed.
    """
    source = orders.name
    typed = [
        "file", "source_file", "row", "lines", "is_blank", "bad_line", "record"
    ]  # fmt: skip
    bad_money: list[str] = []
    days: dict[str, DayReading] = {}
    for field in orders.headers:
        cell, kind, header = ident(field), orders.types[field], orders.headers[field]
        if field in MONEY or field == "quantity":
            if kind == "DOUBLE":
                typed.append(f"{cell} AS {cell}")
                continue
            reading = read_values(connection, source, cell, kind, header, orders.semicolons)
            notes.extend(reading.notes)
            typed.append(f"{reading.value} AS {cell}")
            if field in MONEY:
                bad_money.append(f"(NOT {reading.blank} AND {reading.value} IS NULL)")
        elif field in IDS:
            value, id_notes = read_ids(connection, source, cell, kind, header)
            notes.extend(id_notes)
            typed.append(f"{value} AS {cell}")
        elif field == "updated_at":
            typed.append(f"CAST({cell} AS VARCHAR) AS {cell}")
        elif field in STAMPS:
            clock = Clock(platform.clock, timezone, platform.month_first)
            try:
                days[field] = read_days(connection, source, cell, kind, timezone, date_format, header, clock)
            except InputError:
                if field == "ordered_at":
                    raise
                days[field] = DayReading("CAST(NULL AS DATE)", f"{cell} IS NULL", None, "not readable")
                notes.append(f"{header}: the dates are not readable; that there is one still counts")
            one = days[field]
            typed.append(
                f"{one.stamp} AS {field}_stamp, {one.day} AS {field}_day, {one.blank} AS {field}_blank"
            )
        else:
            plain = f"CAST({cell} AS VARCHAR)"
            # The words for nothing are short; longer cells need no look.
            typed.append(
                f"CASE WHEN strlen({plain}) > {_LONGEST_BLANK} OR lower({plain}) NOT IN "
                f"({texts(BLANK_TEXTS)}) "
                f"THEN {plain} END AS {cell}"
            )
    typed.append(f"({' OR '.join(bad_money) or 'false'}) AS bad_money")
    notes.append(f"{orders.headers['ordered_at']}: read as {days['ordered_at'].note}")
    have = set(orders.headers)
    known, entry = _entry_sql(platform, have, statuses, extras)
    connection.execute(
        f"CREATE TABLE {name} AS {entry} FROM (SELECT *, {known} FROM (SELECT {', '.join(typed)} FROM "
        f"{source}))"
    )
    _refuse_mostly_bad(connection, orders, days["ordered_at"], name, platform)
    _status_notes(connection, name, platform, have, notes, statuses)
    return days


def _entry_sql(
    platform: Platform, have: set[str], statuses: Mapping[str, str] | None, extras: list[str]
) -> tuple[str, str]:
    def one(*fields: str) -> str:
        there = [ident(field) for field in fields if field in have]
        return f"coalesce({', '.join(there)})" if there else "CAST(NULL AS VARCHAR)"

    amounts = {column: over(platform.columns.get(column), have) for column in AMOUNTS}
    channel, payment, account = one("channel"), one("payment_method"), one("account_id")
    phones = ", ".join(phone_of(one(field)) for field in ("phone", "phone2", "phone3") if field in have)
    guest = texts((*platform.no_account, ""))
    # Cells that several patterns look at are made once.
    known = (
        f"coalesce({email_of(one('email'))}, {email_of(one('email2'))}) AS k_email, "
        f"CASE WHEN {account} NOT IN ({guest}) THEN regexp_replace({account}, '^gid://[A-Za-z/]+/', '') END "
        f"AS k_account, coalesce(lower({channel}), '') AS k_channel, coalesce(lower({payment}), '') AS "
        "k_payment, "
        f"coalesce(lower({one('tags')}), '') AS k_tags, coalesce(lower({one('customer_group')}), '') "
        "AS k_group, "
        f"{_state(platform, one('status'), statuses)} AS k_state"
    )
    refund = over(platform.refund_rows, have) if platform.refund_rows else "false"
    order = over(platform.order_rows, have) if platform.order_rows else "true"
    items = one("quantity")
    if "items" in have:
        items = (
            f"coalesce(CAST({items} AS DOUBLE), list_sum(list_transform(CAST(items AS JSON[]), "
            "lambda t: coalesce(TRY_CAST(json_extract_string(t, '/quantity') AS DOUBLE), 1))))"
        )
    nested = platform.refund_list.field if platform.refund_list else None
    record = "record" if nested is None else one(nested)
    coupon, parent = one("coupon"), one("parent_id", "original_id")
    attributes = {
        "store": one("store"), "channel": channel, "country": one("country", "country2"),
        "coupon": coupon, "first_product": one("first_product"), "payment_method": payment,
    }  # fmt: skip
    for attribute in attributes:
        if attribute in platform.columns:
            attributes[attribute] = over(platform.columns[attribute], have)
    test = (
        f"coalesce(lower({one('test')}) IN ('true', '1', 'yes'), false) OR contains(k_payment, 'bogus') "
        f"OR coalesce(lower({coupon}) = 'test', false) OR (contains(k_tags, 'test') "
        "AND regexp_matches(k_tags, '(^|[,\\[\\s\"])test(-?order)?([,\\]\\s\"]|$)')) "
        "OR (coalesce(starts_with(k_email, 'test'), false) AND regexp_matches(k_email, '^test([+.-]|@)'))"
    )
    shared = {
        "is_subscription": any_of("k_channel || ' ' || k_tags", "subscription"),
        "is_marketplace": is_relay("k_email", "k_channel", "k_payment"),
        "is_wholesale": any_of(
            "k_tags || ' ' || k_group", "wholesale", "b2b", "grosshandel", "großhandel", "groothandel"
        ),
        "is_employee": any_of("k_tags || ' ' || k_group", "employee", "staff", "mitarbeiter", "medewerker")
        + " OR "
        + any_of("k_payment", "marketingexpense", "financesettlement"),
    }
    more = "".join(f", {ident(name)} AS {ident('x:' + name)}" for name in extras)
    return known, (
        f"SELECT file, source_file, row, lines, is_blank, {record} AS record, "
        f"{one('order_id', 'unique_id')} AS order_id, {one('unique_id')} AS unique_id, "
        f"{one('entity_id')} AS entity_id, {parent} AS parent_id, "
        f"k_account AS account_id, k_email AS email, CASE WHEN k_account IS NULL AND k_email IS NULL "
        f"THEN coalesce({phones or 'NULL'}, NULL) END AS phone, CAST(NULL AS VARCHAR) AS customer_id, "
        f"CAST(false AS BOOLEAN) AS is_guest, {is_masked(one('email', 'email2'))} AS is_masked, "
        f"{is_shared('k_email')} AS is_shared, "
        f"upper({one('currency')}) AS currency, {one('updated_at')} AS updated_at, "
        "ordered_at_stamp AS order_ts, ordered_at_day AS order_day, ordered_at_blank AS no_day, "
        f"{'cancelled_at_day' if 'cancelled_at' in have else 'CAST(NULL AS DATE)'} AS cancel_day, "
        f"{'NOT cancelled_at_blank' if 'cancelled_at' in have else 'false'} AS has_cancel, "
        f"lower({one('status')}) AS status_text, k_state AS state, ({test}) AS is_test, "
        f"k_state = 'pending' AND regexp_matches(k_payment, '{_OFFLINE}') AS pays_later, "
        f"coalesce(({refund}), false) AS is_refund, coalesce(({order}), true) AS is_order, "
        f"(bad_money OR bad_line) AS bad_money, {_inside(platform, have)} AS tax_inside, "
        + ", ".join(f"CAST({sql} AS DOUBLE) AS {column}" for column, sql in amounts.items())
        + f", CAST({items} AS DOUBLE) AS items, "
        + ", ".join(f"CAST({sql} AS VARCHAR) AS {column}" for column, sql in attributes.items())
        + ", "
        + ", ".join(f"({shared[flag]}) AS {flag}" for flag in FLAGS if flag in shared)
        + more
    )


def over(expression: str | None, have: set[str]) -> str:
    """An expression of a dialect over the fields that the files have; the others are NULL."""
    if expression is None:
        return "NULL"
    known = {
        *MONEY,
        *IDS,
        "quantity",
        "items",
        "kind",
        "refund_items",
        "coupon",
        "first_product",
        "stock_code",
        "channel",
    }
    return re.sub(
        r"(?<!['/])\b[a-z_0-9]+\b(?!')",
        lambda word: (
            word[0]
            if word[0] in have or word[0] not in known
            else ("CAST(NULL AS DOUBLE)" if word[0] in MONEY else "CAST(NULL AS VARCHAR)")
        ),
        expression,
    )


def _state(platform: Platform, status: str, statuses: Mapping[str, str] | None) -> str:
    meaning = {**platform.statuses}
    for label, state in (statuses or {}).items():
        if state not in STATES:
            raise ArgumentError(
                f"status {label!r} is mapped to {state!r}", advice=f"Give one of {', '.join(STATES)}."
            )
        meaning[label.strip().casefold()] = state
    if not meaning:
        return "'completed'"
    arms = " ".join(
        f"WHEN lower({status}) IN ({texts([label for label, m in meaning.items() if m == state])}) "
        f"THEN {text(state)}"
        for state in STATES
        if state in meaning.values()
    )
    return f"CASE {arms} ELSE 'completed' END"


def _inside(platform: Platform, have: set[str]) -> str:
    """Whether the amounts of an order hold its tax: as it says, else by which sum gives the total."""
    if not platform.inclusive:
        return "false"
    told = "CAST(NULL AS BOOLEAN)"
    if "tax_included" in have:
        told = "CASE lower(tax_included) WHEN 'true' THEN true WHEN 'false' THEN false END"
    parts = [over(f"coalesce({part}, 0)", have) for part in ("subtotal", "shipping", "tax", "duties")]
    without = f"({parts[0]} + {parts[1]} + {parts[3]})"
    return (
        f"coalesce({told}, CASE WHEN {parts[2]} = 0 THEN false "
        f"WHEN abs(total - ({without} + {parts[2]})) <= {CENTS} THEN false "
        f"WHEN abs(total - {without}) <= {CENTS} THEN true END)"
    )


def _refuse_mostly_bad(
    connection: Any, orders: Cells, days: DayReading, table: str, platform: Platform
) -> None:
    bad_days, dates, bad, filled = connection.execute(
        "SELECT count(*) FILTER (NOT no_day AND order_day IS NULL), count(*) FILTER (NOT no_day), "
        "count(*) FILTER (bad_money), count(*) FILTER (NOT is_blank) FROM " + table
    ).fetchall()[0]
    if bad_days * 2 > dates:
        raise bad_date_error(connection, orders.name, days, bad_days, orders.headers["ordered_at"])
    if bad * 2 > filled:
        money = [orders.headers[field] for field in orders.headers if field in MONEY]
        raise InputError(
            "most amounts are no finite plain numbers",
            where=f"columns {', '.join(money)}",
            count=bad,
            advice="Export the file again without currency signs.",
        )


def _status_notes(
    connection: Any,
    table: str,
    platform: Platform,
    have: set[str],
    notes: list[str],
    statuses: Mapping[str, str] | None,
) -> None:
    """Say which labels are not known: they count as sales."""
    if "status" not in have or not platform.statuses:
        return
    known = {*platform.statuses, *(label.strip().casefold() for label in (statuses or {}))}
    odd = connection.execute(
        f"SELECT status_text, count(*) FROM {table} WHERE status_text NOT IN ({texts(sorted(known))}) "
        "GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 6"
    ).fetchall()
    if odd:
        shown = ", ".join(f"{label[:30]!r} {n:,}" for label, n in odd)
        notes.append(
            f"LOOK HERE: unknown statuses were counted as sales: {shown}; say what they mean with "
            "--status LABEL=completed|pending|cancelled|refunded|test"
        )


def complete(connection: Any, table: str, platform: Platform, rates: str | None, notes: list[str]) -> None:
    """Take tax out of the amounts that hold it, fill gross and other, convert currencies, number the entries.

    Orders whose sums tell neither way follow most of the others.
    """
    inside, outside, unsure = connection.execute(
        f"SELECT count(*) FILTER (tax_inside), count(*) FILTER (NOT tax_inside AND tax > 0), "
        f"count(*) FILTER (tax_inside IS NULL AND total IS NOT NULL) FROM {table}"
    ).fetchall()[0]
    most = "true" if inside > outside else "false"
    if platform.inclusive and (inside or outside):
        notes.append(
            f"tax: {inside:,} orders with prices that hold it, {outside:,} with tax on top"
            + (f", {unsure:,} that add up neither way and follow most others" if unsure else "")
        )
    rate = "1" if rates is None else f"(SELECT rate FROM {rates} r WHERE r.currency = e.currency)"
    share = f"CASE WHEN coalesce(tax_inside, {most}) AND total <> 0 THEN 1 - tax / total ELSE 1 END"
    kept = ", ".join(AMOUNTS)
    connection.execute(
        f"CREATE TABLE {table}_complete AS SELECT * EXCLUDE (x_rate, x_share, other), "
        "CASE WHEN net IS NOT NULL AND shipping IS NOT NULL AND tax IS NOT NULL "
        "THEN total - net - shipping - tax END AS other, CAST(NULL AS DATE) AS loaded, "
        "CAST(NULL AS INTEGER) AS load, CAST(NULL AS VARCHAR) AS digest, "
        "CAST(false AS BOOLEAN) AS is_forgotten, "
        "(has_cancel OR state = 'cancelled') AND NOT is_refund AS cancelled FROM ("
        f"SELECT * EXCLUDE ({kept}), total * x_rate AS total, refunded * x_rate AS refunded, "
        "refunded_net * x_rate AS refunded_net, cost * x_rate AS cost, tax * x_rate AS tax, "
        "shipping * x_share * x_rate AS shipping, discount * x_share * x_rate AS discount, "
        "net * x_share * x_rate AS net, "
        "coalesce(gross, net * x_share + discount * x_share) * x_rate AS gross, 0 AS other "
        f"FROM (SELECT *, {rate} AS x_rate, {share} AS x_share, "
        f"CAST(file AS BIGINT) * {FILE_STEP} + row AS entry FROM {table} e))"
    )
    connection.execute(f"DROP TABLE {table}")
    connection.execute(f"ALTER TABLE {table}_complete RENAME TO {table}")
