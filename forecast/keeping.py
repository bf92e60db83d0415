"""The verbs of the order store: add an export, list the loads, forget a customer."""

from __future__ import annotations

from typing import Any

from forecast.orders.stores.adding import add_orders
from forecast.orders.stores.forgetting import forget_customer
from forecast.orders.stores.listing import list_orders
from forecast.orders.stores.record import read_record
from forecast.pipeline import Outcome, noted


def orders_add(source: Any, store: Any, **options: Any) -> Outcome:
    """Add an export to a store; files that are there already are left out, and that is no error."""
    done = add_orders(source, store, **options)
    lines = [f"{name} is in the store already, and was left out" for name in done.skipped]
    data: dict[str, Any] = {"store": str(store), "skipped": list(done.skipped), "load": None}
    if done.load is None or done.reconciliation is None:
        return Outcome(data, [*lines, "Nothing to add"])
    load, said = done.load, done.reconciliation
    lines += [
        f"Load {load.number} of {load.loaded}: {load.rows:,} rows, {load.orders:,} orders, of which "
        f"{load.new:,} new, {load.changed:,} changed, {load.unchanged:,} unchanged",
        "",
        str(said),
        f"Wrote load {load.number} into {store}; read it as ORDERS: forecast check {store}",
    ]
    data |= {"load": load.number, "loaded": load.loaded, "rows": load.rows, "orders": load.orders}
    data |= {"new": load.new, "changed": load.changed, "unchanged": load.unchanged, "used": load.used}
    return Outcome({**data, "reconciliation": said.summary()}, lines)


def orders_list(store: Any) -> Outcome:
    """The loads of a store; a damaged one is a problem and hides no other."""
    kept = read_record(store, verify=False)
    table = list_orders(store)
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    own = kept.settings
    head = [f"{own.dialect}, {own.currency or 'currency unknown'}, {own.timezone or 'no time zone'}"]
    head += ["e-mails and phones are pseudonyms"] * own.hashed
    lines = ["; ".join(head)]
    for row in rows:
        files = ", ".join(row["files"][:3]) + " and more" * (len(row["files"]) > 3)
        lines.append(
            f"  {row['load']:>3}  {row['loaded']}  {row['rows']:,} rows, {row['orders']:,} orders: "
            f"{row['new']:,} new, {row['changed']:,} changed, {row['unchanged']:,} unchanged, "
            f"{row['used']:,} used; {row['first_day']} to {row['last_day']}  ({files})"
        )
    lines += [
        f"  {removal['orders']:,} orders of a forgotten person removed on {removal['day']}"
        for removal in kept.removals
    ]
    damage = [row["problem"] for row in rows if row["problem"]]
    data = {
        "store": str(store), "dialect": own.dialect, "timezone": own.timezone, "currency": own.currency,
        "hashed": own.hashed, "loads": rows, "removals": kept.removals,
    }  # fmt: skip
    return Outcome(data, lines, damage[0] if damage else None)


def orders_forget(customer_id: str, store: Any, *, ledger: Any = "ledger", hash_ids: Any = None) -> Outcome:
    """Forget a customer; whom, the outcome does not say."""
    done = forget_customer(customer_id, store, ledger=ledger, hash_ids=hash_ids)
    told = f"{done.orders:,} orders removed from {done.loads:,} loads of {store}"
    lines = [told + f", {done.issues:,} issued forecasts redacted in {ledger}"]
    if done.before is not None:
        lines.append(f"The customer was forgotten on {done.before} already")
    notes = ["Files written before (exports, scores, lists, backtests) are not looked for: delete them too"]
    data = {
        "store": str(store), "ledger": str(ledger), "orders": done.orders, "loads": done.loads,
        "issues": done.issues, "day": done.day, "before": done.before, "notes": notes,
        "problems": [str(problem) for problem in done.problems],
    }  # fmt: skip
    problem = None
    if done.problems:
        problem = f"{len(done.problems)} forecasts may still hold the customer: {done.problems[0]}"
    return Outcome(data, [*lines, *noted(notes)], problem)
