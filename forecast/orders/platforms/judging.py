"""What becomes of every order: used, with its value under the policy, or left out with one reason."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from forecast.errors import ArgumentError
from forecast.orders.dates import is_implausible
from forecast.orders.dialects.platform import FLAGS, Platform
from forecast.orders.platforms.identities import MOST_OF_AN_ACCOUNT, MOST_ORDERS_A_DAY
from forecast.orders.platforms.refunds import HALF_CENT
from forecast.orders.sql import text

# A pending order that is older than this was paid some other way, or nobody cleans up.
PENDING_DAYS = 14
EXCLUDABLE = {flag.removeprefix("is_"): flag for flag in FLAGS if flag != "is_guest"}
# What each policy needs to be known of an order.
NEEDS = {
    "gross_sales": ("gross", "net", "shipping", "tax"),
    "net_sales": ("net", "shipping", "tax"),
    "total_sales": (),
    "contribution": ("net", "shipping", "tax", "cost"),
    "value": (),
}
# Of a log that has one amount an order and says no more.
PLAIN = ("value",)


def possible_policies(connection: Any, entries: str, platform: Platform) -> tuple[str, ...]:
    """The policies that the columns which are there can carry."""
    columns = sorted({column for needs in NEEDS.values() for column in needs})
    counts = connection.execute(
        f"SELECT {', '.join(f'count({column})' for column in columns)} FROM {entries} WHERE total IS NOT NULL"
    ).fetchall()[0]
    known = {column for column, n in zip(columns, counts, strict=True) if n}
    return tuple(p for p in platform.policies if known.issuperset(NEEDS[p]))


def choose_policy(platform: Platform, possible: Sequence[str], asked: str | None, notes: list[str]) -> str:
    """The value policy; the first possible one unless one is asked for.

    Raises
    ------
    ArgumentError
        When the files cannot carry it.
    """
    why = platform.hints.get("policy", "The columns that it needs are not in the file")
    if asked is None:
        if possible[0] not in ("net_sales", *PLAIN):
            notes.append(f"{why}, so values are {possible[0]}, net of refunds")
        return possible[0]
    if asked not in NEEDS:
        raise ArgumentError(
            f"value_policy {asked!r} is not known", advice=f"Choose one of {', '.join(possible)}."
        )
    if asked not in possible:
        if asked == "contribution":
            why = "There is no column of cost (map one: --map cost=COLUMN)"
        raise ArgumentError(
            f"value_policy {asked!r} cannot be read from {platform.title}",
            advice=f"{why}. It can give {', '.join(possible)}.",
        )
    return asked


def check_exclude(exclude: Sequence[str] | str | None) -> tuple[str, ...]:
    """Kinds of orders to leave out, by name.

    Raises
    ------
    ArgumentError
        When a name is not known.
    """
    asked = [exclude] if isinstance(exclude, str) else list(exclude or ())
    for name in asked:
        if name not in EXCLUDABLE:
            raise ArgumentError(f"exclude has {name!r}", advice=f"Known: {', '.join(sorted(EXCLUDABLE))}.")
    return tuple(asked)


def mark_duplicates(connection: Any, entries: str) -> None:
    """Set ``is_duplicate``: of the copies of one order the newest, else the one with most done to it, stays.

    Copies of an earlier load (``loaded``) stay visible from their own load until the next that says something
    else (``is_old``, ``seen_from``, ``seen_to``), so that the past can be seen as it was known. A later load
    may hold an older file: a copy that was updated before one already known is never the one that counts.
    """
    ranked, known = f"{entries}_ranked", f"{entries}_known"
    best = "updated_at DESC NULLS LAST, cancelled DESC, coalesce(refunded, 0) DESC, source_file DESC, row"
    one = "PARTITION BY store, order_id, own, is_refund"
    newest = f"load DESC NULLS LAST, {best}"
    # Only stamps that begin with the year can be compared as texts.
    updated = "CASE WHEN regexp_matches(updated_at, '^[0-9]{4}-[0-9]{2}-[0-9]{2}') THEN updated_at END"
    # Copies that have an id of their own are orders of their own (two shops, one number).
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {ranked} AS SELECT entry, loaded, store, order_id, own, is_refund, "
        f"digest, stale, row_number() OVER ({one} ORDER BY stale, loaded DESC NULLS LAST, {newest}) AS rank, "
        f"row_number() OVER ({one}, loaded ORDER BY stale, {newest}) AS rank_in_day FROM ("
        f"SELECT *, coalesce(loaded IS NOT NULL AND {updated} < max({updated}) OVER "
        f"({one} ORDER BY loaded, load), false) AS stale FROM ("
        "SELECT e.*, CASE WHEN c.ids > 1 THEN unique_id END AS own "
        f"FROM {entries} e JOIN (SELECT store, order_id, count(DISTINCT unique_id) AS ids FROM {entries} "
        "WHERE order_id IS NOT NULL AND is_order AND NOT is_blank GROUP BY ALL HAVING count(*) > 1) c "
        "ON c.order_id = e.order_id AND c.store IS NOT DISTINCT FROM e.store "
        "WHERE e.is_order AND NOT e.is_blank))"
    )
    # Loads one after another that say the same of an order are one spell; its last copy stands for it.
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {known} AS SELECT entry, begun, "
        f"lag(begun) OVER ({one} ORDER BY begun) IS NULL AS is_first, "
        f"lead(begun) OVER ({one} ORDER BY begun) AS ended FROM (SELECT store, order_id, own, "
        "is_refund, spell, arg_max(entry, loaded) AS entry, "
        "min(loaded) AS begun FROM (SELECT *, "
        f"count(*) FILTER (is_other) OVER ({one} ORDER BY loaded) AS spell FROM (SELECT *, "
        f"digest IS DISTINCT FROM lag(digest) OVER ({one} ORDER BY loaded) AS is_other "
        f"FROM {ranked} WHERE rank_in_day = 1 AND NOT stale AND loaded IS NOT NULL)) GROUP BY ALL)"
    )
    if not connection.execute(f"SELECT count(*) FROM {ranked}").fetchall()[0][0]:
        for column in ("is_duplicate BOOLEAN DEFAULT false", "is_old BOOLEAN DEFAULT false"):
            connection.execute(f"ALTER TABLE {entries} ADD COLUMN {column}")
        for column in ("seen_from", "seen_to"):
            connection.execute(f"ALTER TABLE {entries} ADD COLUMN {column} DATE")
        connection.execute(f"DROP TABLE {ranked}")
        return
    connection.execute(
        f"CREATE TABLE {entries}_marked AS SELECT e.*, coalesce(r.rank > 1, false) AS is_duplicate, "
        "coalesce(r.rank > 1 AND k.ended IS NOT NULL, false) AS is_old, "
        "CASE WHEN NOT k.is_first THEN k.begun END AS seen_from, k.ended AS seen_to "
        f"FROM {entries} e LEFT JOIN {ranked} r USING (entry) LEFT JOIN {known} k USING (entry)"
    )
    for table in (entries, ranked, known):
        connection.execute(f"DROP TABLE {table}")
    connection.execute(f"ALTER TABLE {entries}_marked RENAME TO {entries}")


def judged_sql(
    entries: str, *, policy: str, zero_value: str, exclude: Sequence[str], last_day: dt.date | None
) -> str:
    """Entries with ``code`` (NULL where used), ``value``, and the money that the policy leaves out.

    ``entries`` has the refunds as ``back`` and ``back_net`` (in all) and ``row_back``, ``row_back_net``
    (those that were rows of the input), and whether it is ``cancelled``.
    """
    full = f"(total > {HALF_CENT} AND back >= total - {HALF_CENT})"
    old = "false"
    if last_day is not None:
        old = f"order_day < DATE '{last_day - dt.timedelta(days=PENDING_DAYS)}'"
    arms = [
        ("is_blank", "blank_row"),
        ("NOT is_order", "not_an_order"),
        ("is_duplicate", "duplicate_order"),
        ("is_forgotten", "forgotten"),
        ("cancelled", "cancelled"),
        (full, "fully_refunded"),
        ("is_test OR state = 'test'", "test_order"),
        (f"state = 'pending' AND NOT pays_later AND NOT coalesce({old}, false)", "pending"),
        ("no_day", "missing_date"),
        ("order_day IS NULL", "bad_date"),
        (is_implausible("order_day"), "implausible_date"),
        ("bad_money", "bad_value"),
        ("total IS NULL", "missing_value"),
        ("total < 0", "negative_value"),
    ]
    if zero_value == "drop":
        arms.append((f"abs(total) <= {HALF_CENT}", "zero_value"))
    arms += [
        ("customer_id IS NULL AND is_masked", "masked_email"),
        ("customer_id IS NULL", "no_identity"),
        ("is_masked AND customer_id = email", "masked_email"),
        ("is_shared AND account_id IS NULL OR is_crowd", "shared_identity"),
    ]
    arms += [(EXCLUDABLE[name], name) for name in exclude]
    value = {
        "gross_sales": "gross",
        "net_sales": "net - back_net",
        "total_sales": "total - back",
        "value": "total - back",
        "contribution": "net - back_net - cost",
    }[policy]
    arms += [
        (f"({value}) IS NULL", "missing_value"),
        (f"round({value}, 6) < -{HALF_CENT}", "negative_value"),
    ]
    case = "CASE " + " ".join(f"WHEN {test} THEN {text(code)}" for test, code in arms) + " END"
    parts = {
        "left_discount": "-discount" if policy == "gross_sales" else "0",
        "left_cost": "cost" if policy == "contribution" else "0",
        "left_refund": {
            "gross_sales": "-row_back_net",
            "total_sales": "back - row_back",
        }.get(policy, "back_net - row_back_net"),
        "left_shipping": "0" if policy == "total_sales" else "shipping - row_back_shipping",
        "left_tax": "0" if policy == "total_sales" else "tax - row_back_tax",
    }
    columns = ", ".join(f"round({sql}, 6) AS {name}" for name, sql in parts.items())
    return (
        f"SELECT *, {case} AS code, greatest(round({value}, 6), 0) AS value, {columns}, "
        f"coalesce(total, 0) - row_back AS money FROM {entries}"
    )


def with_refunds_sql(entries: str, refunds: str) -> str:
    """Entries with what was given back, in all and by rows of the input.

    A refund that does not say what it is for is shared out over goods, tax and shipping as the order was.
    """
    ratio = "CASE WHEN e.total <> 0 THEN r.amount / e.total ELSE 0 END"
    parts = {
        "net": f"coalesce(r.net, {ratio} * e.net)",
        "tax": f"coalesce(r.tax, CASE WHEN r.net IS NULL THEN {ratio} * e.tax ELSE 0 END)",
        "shipping": f"coalesce(r.shipping, CASE WHEN r.net IS NULL THEN {ratio} * e.shipping "
        "ELSE r.amount - r.net - coalesce(r.tax, 0) END)",
    }
    sums = ["sum(r.amount) AS back", "sum(r.amount) FILTER (r.as_row) AS row_back"]
    for name, part in parts.items():
        sums += [f"sum({part}) AS back_{name}", f"sum({part}) FILTER (r.as_row) AS row_back_{name}"]
    sums.append("sum(r.amount) FILTER (r.day IS NULL) AS undated_back")
    names = [one.rsplit(" AS ", 1)[1] for one in sums]
    return (
        f"SELECT e.*, {', '.join(f'coalesce(b.{name}, 0) AS {name}' for name in names)} FROM {entries} e "
        f"LEFT JOIN (SELECT r.entry, {', '.join(sums)} FROM {refunds} r JOIN {entries} e USING (entry) "
        "GROUP BY r.entry) b USING (entry)"
    )


def crowd_sql(entries: str) -> str:
    """Customers with more orders on one day than one person makes; an account may be a busy one."""
    most = f"CASE WHEN bool_or(account_id IS NOT NULL) THEN {MOST_OF_AN_ACCOUNT} ELSE {MOST_ORDERS_A_DAY} END"
    return (
        f"SELECT customer_id FROM {entries} WHERE customer_id IS NOT NULL AND NOT is_duplicate AND NOT "
        "is_refund "
        f"AND NOT cancelled GROUP BY customer_id, order_day HAVING count(*) > {most}"
    )


def rates_table(connection: Any, rates: Mapping[str, float], name: str) -> str:
    """Rates of exchange as a table ``currency, rate``."""
    rows = ", ".join(f"({text(currency)}, CAST({rate!r} AS DOUBLE))" for currency, rate in rates.items())
    connection.execute(f"CREATE TEMP TABLE {name} AS SELECT * FROM (VALUES {rows}) AS r(currency, rate)")
    return name
