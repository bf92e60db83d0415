"""From entries to orders: who bought, which copy counts, what was given back, what is used and why not."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from forecast.orders.cells import exact
from forecast.orders.codes import SALES, USED
from forecast.orders.dialect import choose_zero
from forecast.orders.dialects.platform import ATTRIBUTES, FLAGS
from forecast.orders.handle import Orders
from forecast.orders.merging import order_notes, purchases_by_file
from forecast.orders.platforms.exports import Entries
from forecast.orders.platforms.identities import resolve
from forecast.orders.platforms.judging import (
    PLAIN,
    choose_policy,
    crowd_sql,
    judged_sql,
    mark_duplicates,
    possible_policies,
    with_refunds_sql,
)  # fmt: skip
from forecast.orders.platforms.refunds import attach_refunds
from forecast.orders.reconciliation import Line, Reconciliation, nothing_left, together
from forecast.orders.sql import ident


def settle(
    connection: Any,
    entries: Entries,
    *,
    timezone: str | None,
    value_policy: str | None,
    zero_value: str | None,
    exclude: Sequence[str],
    paths: tuple[Path, ...],
    may_be_empty: bool = False,
) -> Orders:
    """Judge the entries of a platform; they are used up by it.

    Raises
    ------
    InputError
        When no usable order is left, unless that may be.
    ArgumentError
        When the value policy cannot be had.
    """
    platform, name, notes = entries.platform, entries.table, list(entries.notes)
    policy = choose_policy(platform, possible_policies(connection, name, platform), value_policy, notes)
    plain = platform.policies == PLAIN
    zero = choose_zero(zero_value, "keep" if plain else "drop")
    if platform.aggregate:
        # Nobody can be told from anybody else: each order stands for itself, and no model sees it.
        connection.execute(
            f"UPDATE {name} SET customer_id = coalesce(order_id, CAST(entry AS VARCHAR)), is_guest = true"
        )
    else:
        resolve(connection, name, notes)
    mark_duplicates(connection, name)
    refunds = attach_refunds(
        connection, name, entries.given, platform.memos.on if platform.memos else "entity_id"
    )
    crowds = "false" if platform.aggregate or plain else f"customer_id IN ({crowd_sql(name)})"
    last_day = connection.execute(
        f"SELECT max(order_day) FROM {name} WHERE order_day <= current_date + 1"
    ).fetchall()[0][0]
    if platform.aggregate:
        exclude = ()
    options = {"policy": policy, "zero_value": zero, "exclude": exclude, "last_day": last_day}
    canonical = f"{name}_canonical"
    seen = f"(SELECT *, {crowds} AS is_crowd FROM ({with_refunds_sql(name, refunds)}))"
    connection.execute(
        f"CREATE TABLE {canonical} AS SELECT * EXCLUDE ({', '.join(_DONE_WITH)}) FROM "
        f"({judged_sql(seen, **options)})"
    )
    _judge_refunds(connection, canonical, refunds)
    columns = _columns(connection, canonical, entries.extras, () if plain else FLAGS)
    orders, rejects = f"{name}_orders", f"{name}_rejects"
    picked = ", ".join(f"{sql} AS {ident(column)}" for column, sql in columns.items())
    connection.execute(f"CREATE TABLE {orders} AS SELECT {picked} FROM {canonical} WHERE code IS NULL")
    versions = _versions(connection, name, refunds, crowds, options, picked)
    _rejects(connection, entries, canonical, refunds, rejects)
    reconciliation = _reconcile(connection, entries, canonical, orders, refunds, policy, notes)
    if not may_be_empty and not connection.execute(f"SELECT count(*) FROM {orders}").fetchall()[0][0]:
        told = reconciliation.by_code()
        raise nothing_left(
            reconciliation.lines, platform.hints.get("total" if "missing_value" in told else "identity")
        )
    for table in (refunds, name):
        connection.execute(f"DROP TABLE {table}")
    return Orders(
        connection=connection,
        orders_table=orders,
        rejects_table=rejects,
        account=reconciliation,
        mapping=entries.mapping,
        dialect=platform.name,
        currency=entries.currency,
        timezone=timezone,
        value_policy=policy,
        zero_value=zero,
        extras=tuple(column for column in columns if column not in _CORE),
        paths=paths,
        canonical_table=canonical,
        versions_table=versions,
        refusal=platform.aggregate,
    )


_CORE = {
    "customer_id": "customer_id", "order_day": "order_day", "value": "value", "order_id": "order_id",
    "items": "items", "source_file": "source_file", "source_row": "row",
}  # fmt: skip


# What nobody asks for once an order is judged, e-mails and phones above all.
_DONE_WITH = (
    "email", "phone", "unique_id", "entity_id", "parent_id", "updated_at", "status_text",
    "has_cancel", "no_day",
    "is_masked", "is_shared", "is_test", "is_crowd", "is_old", "is_forgotten", "pays_later",
    "tax_inside", "loaded",
    "load", "digest", "seen_to", "refunded", "refunded_net", "row_back", "row_back_net", "row_back_tax",
    "row_back_shipping",
)  # fmt: skip


def _columns(connection: Any, canonical: str, extras: Sequence[str], flags: Sequence[str]) -> dict[str, str]:
    """Columns of the orders and where they come from; attributes that nobody filled are left out."""
    filled = connection.execute(
        f"SELECT {', '.join(f'count({column})' for column in ATTRIBUTES)} FROM {canonical} WHERE code IS NULL"
    ).fetchall()[0]
    columns = dict(_CORE)
    columns |= {column: column for column, n in zip(ATTRIBUTES, filled, strict=True) if n}
    columns |= {flag: flag for flag in flags}
    return columns | {extra: ident("x:" + extra) for extra in extras}


def _judge_refunds(connection: Any, canonical: str, refunds: str) -> None:
    """Rows that are refunds are no orders: taken off their order, or left over."""
    connection.execute(
        f"UPDATE {canonical} SET code = CASE WHEN is_duplicate THEN 'duplicate_order' "
        "WHEN bad_money THEN 'bad_value' WHEN total IS NULL THEN 'missing_value' "
        "WHEN r.found OR total = 0 THEN 'refund_netted' ELSE 'refund_unmatched' END "
        f"FROM (SELECT c.entry, coalesce(bool_or(x.entry IS NOT NULL), false) AS found FROM {canonical} c "
        f"LEFT JOIN {refunds} x ON x.as_row AND x.file = c.file AND x.row = c.row WHERE c.is_refund "
        "GROUP BY 1) r "
        f"WHERE {canonical}.entry = r.entry AND is_order AND NOT is_blank"
    )


def _versions(
    connection: Any, name: str, refunds: str, crowds: str, options: dict[str, Any], picked: str
) -> str | None:
    """The orders that changed on a known day, as they were known from one day to the next; None for none."""
    events = f"{name}_events"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {events} AS SELECT DISTINCT entry, day FROM ("
        f"SELECT r.entry, r.day FROM {refunds} r WHERE r.entry IS NOT NULL AND r.day IS NOT NULL "
        f"UNION ALL SELECT entry, cancel_day FROM {name} WHERE cancelled AND cancel_day IS NOT NULL "
        f"UNION ALL SELECT entry, seen_from FROM {name} WHERE seen_from IS NOT NULL "
        f"UNION ALL SELECT entry, order_day FROM {name} WHERE is_old OR seen_from IS NOT NULL)"
    )
    if not connection.execute(f"SELECT count(*) FROM {events}").fetchall()[0][0]:
        return None
    versions, states = f"{name}_versions", f"{name}_states"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {states} AS SELECT e.entry, s.day AS known_from, "
        "least(lead(s.day) OVER (PARTITION BY e.entry ORDER BY s.day), e.seen_to) AS known_to FROM ("
        f"SELECT DISTINCT x.entry, greatest(x.day, o.order_day, coalesce(o.seen_from, x.day)) AS day "
        f"FROM (SELECT * FROM {events} UNION ALL SELECT entry, order_day FROM {name} "
        f"WHERE entry IN (SELECT entry FROM {events})) x JOIN {name} o USING (entry)) s "
        f"JOIN {name} e USING (entry) WHERE e.seen_to IS NULL OR s.day < e.seen_to"
    )
    # The same judgement as of each day: what was given back or cancelled later is not seen yet.
    dated = "cancelled AND (cancel_day IS NULL OR cancel_day <= known_from)"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {name}_then AS SELECT e.* EXCLUDE (entry, cancelled, is_duplicate), "
        f"row_number() OVER () AS entry, e.entry AS of_entry, s.known_from, s.known_to, {dated} AS "
        "cancelled, "
        f"e.is_duplicate AND NOT e.is_old AS is_duplicate FROM {states} s JOIN {name} e USING (entry)"
    )
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {refunds}_then AS SELECT e.entry, r.day, r.amount, r.net, "
        "r.tax, r.shipping, r.as_row "
        f"FROM {name}_then e JOIN {refunds} r ON r.entry = e.of_entry "
        "WHERE r.day IS NULL OR r.day <= e.known_from"
    )
    seen = f"(SELECT *, {crowds} AS is_crowd FROM ({with_refunds_sql(f'{name}_then', f'{refunds}_then')}))"
    connection.execute(
        f"CREATE TABLE {versions} AS SELECT {picked}, known_from, known_to FROM "
        f"({judged_sql(seen, **options)}) "
        "WHERE code IS NULL AND NOT is_refund"
    )
    for table in (states, events, f"{name}_then", f"{refunds}_then"):
        connection.execute(f"DROP TABLE {table}")
    return versions


def _rejects(connection: Any, entries: Entries, canonical: str, refunds: str, table: str) -> None:
    connection.execute(
        f"CREATE TABLE {table} AS SELECT source_file, row AS source_row, code, "
        f"CAST(round(total, 2) AS VARCHAR) AS value FROM {canonical} "
        "WHERE code IS NOT NULL AND code <> 'refund_netted'"
    )
    connection.execute(
        f"INSERT INTO {table} SELECT DISTINCT source_file, row, 'refund_unmatched', "
        f"CAST(round(-amount, 2) AS VARCHAR) FROM {refunds} r WHERE as_row AND entry IS NULL "
        f"AND NOT EXISTS (SELECT 1 FROM {canonical} c WHERE c.is_refund AND c.file = r.file AND c.row "
        "= r.row)"
    )
    for label, broken in entries.broken:
        connection.execute(f"INSERT INTO {table} SELECT ?, row, code, NULL FROM {broken}", [label])
    if entries.rejects is not None:
        connection.execute(f"INSERT INTO {table} SELECT * FROM {entries.rejects}")


def _exact(column: str) -> str:
    return f"coalesce(sum({exact(column)}), 0)"


def _reconcile(
    connection: Any,
    entries: Entries,
    canonical: str,
    orders: str,
    refunds: str,
    policy: str,
    notes: list[str],
) -> Reconciliation:
    value_in = {file: Decimal(0) for file in entries.files}
    lines = [Line(file, code, rows, Decimal(0)) for file, code, rows in entries.merged if rows]
    for line in entries.left:
        lines.append(line)
        value_in[line.file] += line.value
    # What was given back is taken off the copy that counts, not off earlier ones that knew it too.
    money = (
        "CASE WHEN is_duplicate THEN total WHEN NOT is_refund THEN money "
        "WHEN code = 'refund_netted' THEN 0 ELSE total END"
    )
    for file, code, rows, more, came, kept, total in connection.execute(
        f"SELECT source_file, code, count(*), sum(lines - 1), {_exact('total')}, {_exact('value')}, "
        f"{_exact(money)} "
        f"FROM {canonical} GROUP BY ALL"
    ).fetchall():
        value_in[file] += came
        lines.append(Line(file, "line_merged", int(more), Decimal(0)))
        if code is not None:
            lines.append(Line(file, code, rows, total))
        else:
            lines.append(Line(file, USED, 0, kept))
    parts = ("left_discount", "left_refund", "left_shipping", "left_tax", "left_cost")
    for file, kept, total, *left in connection.execute(
        f"SELECT source_file, {_exact('value')}, {_exact('money')}, {', '.join(_exact(p) for p in parts)} "
        f"FROM {canonical} WHERE code IS NULL GROUP BY 1"
    ).fetchall():
        for part, amount in zip(parts, left, strict=True):
            lines.append(Line(file, part.removeprefix("left_"), 0, amount))
        lines.append(Line(file, "other", 0, total - kept - sum(left, Decimal(0))))
    memo = (
        f"as_row AND source_file IS NOT NULL AND NOT EXISTS (SELECT 1 FROM {canonical} c "
        "WHERE c.is_refund AND c.file = r.file AND c.row = r.row)"
    )
    for file, found, rows, amount in connection.execute(
        f"SELECT source_file, entry IS NOT NULL, count(*), {_exact('amount')} FROM (SELECT DISTINCT ON "
        "(file, row) * "
        f"FROM {refunds} r WHERE {memo} ORDER BY file, row, entry) GROUP BY ALL"
    ).fetchall():
        value_in[file] -= amount
        code = "refund_netted" if found else "refund_unmatched"
        lines.append(Line(file, code, rows, Decimal(0) if found else -amount))
    purchases = purchases_by_file(connection, orders)
    for file, rows in connection.execute(f"SELECT source_file, count(*) FROM {orders} GROUP BY 1").fetchall():
        lines.append(Line(file, USED, purchases.get(file, 0), Decimal(0)))
        lines.append(Line(file, "same_day_merged", rows - purchases.get(file, 0), Decimal(0)))
    notes += order_notes(connection, orders, False)
    if policy not in PLAIN:
        notes += _notes(connection, canonical)
    return Reconciliation(
        entries.rows_in,
        value_in,
        together(lines, entries.files),
        tuple(dict.fromkeys(notes)),
        entries.currency,
        True,
        bridge={} if policy in PLAIN else _bridge(connection, canonical),
        value_policy=policy,
    )


def _bridge(connection: Any, canonical: str) -> dict[str, Decimal]:
    """From gross to net to total sales, of all orders that are sales, used or not."""
    codes = ", ".join(f"'{code}'" for code in SALES)
    row = connection.execute(
        f"SELECT count(gross), {_exact('coalesce(gross, 0)')}, {_exact('coalesce(net - gross, 0)')}, "
        f"{_exact('round(-back_net, 6)')}, {_exact('round(coalesce(shipping, 0) - back_shipping, 6)')}, "
        f"{_exact('round(coalesce(tax, 0) - back_tax, 6)')}, {_exact('total')}, {_exact('round(-back, 6)')} "
        f"FROM {canonical} WHERE NOT is_refund AND (code IS NULL OR code IN ({codes})) AND total IS NOT NULL"
    ).fetchall()[0]
    known, gross, discounts, returns, shipping, tax, total, back = row
    if not known:
        return {"before_returns": total, "returns": back, "total_sales": total + back}
    net = gross + discounts + returns
    return {
        "gross_sales": gross, "discounts": discounts, "returns": returns, "net_sales": net,
        "shipping": shipping, "tax": tax, "other": total + back - net - shipping - tax,
        "total_sales": total + back,
    }  # fmt: skip


def _notes(connection: Any, canonical: str) -> list[str]:
    """What should be looked at: refunds without a date, orders far out, a history that starts mid-life."""
    notes = []
    undated, amount = connection.execute(
        f"SELECT count(*), {_exact('CASE WHEN undated_back > 0 THEN undated_back ELSE total END')} "
        f"FROM {canonical} "
        "WHERE NOT is_refund AND NOT is_duplicate AND seen_from IS NULL AND (undated_back > 0 "
        "OR (cancelled AND cancel_day IS NULL))"
    ).fetchall()[0]
    if undated:
        notes.append(
            f"{undated:,} orders carry refunds or cancellations without a date ({amount:,.2f}): a "
            "backtest sees "
            "them earlier than the shop did. Dated refunds, or an order store with a load a month, mend that"
        )
    far, share = connection.execute(
        "SELECT count(*), coalesce(sum(value) / nullif(any_value(everything), 0), 0) FROM (SELECT value, "
        "avg(value) OVER () + 5 * stddev_samp(value) OVER () AS limit_, sum(value) OVER () AS everything "
        f"FROM {canonical} WHERE code IS NULL) WHERE value > limit_"
    ).fetchall()[0]
    if far and share > 0.02:
        notes.append(
            f"{far:,} orders are more than five standard deviations above the mean and make "
            f"{share:.1%} of the "
            "value; they were kept"
        )
    return notes
