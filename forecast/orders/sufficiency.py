"""Are there enough orders, and for what? A verdict in words."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from forecast.errors import InputError
from forecast.orders.handle import Orders
from forecast.periods import parse_day

MIN_CUSTOMERS = 500
MIN_DAYS = 180
MAX_SILENT_DAYS = 30
MIN_FREQUENT = 50
FREQUENT_PURCHASES = 3
MIN_REPEATERS = 50
# So many times the newcomers of a usual month in the first one, and the history starts mid-life.
MID_LIFE = 3
MONTH = 30


@dataclass(frozen=True)
class Sufficiency:
    """What can be computed, in words; iterate it for the lines.

    Attributes
    ----------
    facts : dict
        ``customers, repeaters, frequent, days, silent_days, purchases``.
    verdicts : dict of str to str
        ``"yes"``, ``"wide"`` (with wide intervals) or ``"no"`` for ``history``, ``cohorts``, ``model``.
    lines : tuple of str
    warnings : tuple of str
        What should be looked at first.
    """

    facts: dict[str, int]
    verdicts: dict[str, str]
    lines: tuple[str, ...]
    warnings: tuple[str, ...]

    def __iter__(self) -> Iterator[str]:
        return iter((*self.warnings, *self.lines))

    def __str__(self) -> str:
        return "\n".join(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "facts": dict(self.facts),
            "verdicts": dict(self.verdicts),
            "lines": list(self.lines),
            "warnings": list(self.warnings),
        }


def sufficiency(
    orders: Orders,
    as_of: Any = None,
    *,
    min_customers: int = MIN_CUSTOMERS,
    min_days: int = MIN_DAYS,
    max_silent_days: int = MAX_SILENT_DAYS,
    min_frequent: int = MIN_FREQUENT,
) -> Sufficiency:
    """Say whether the orders suffice, and for what.

    Parameters
    ----------
    orders : Orders
    as_of : date or ISO string, optional
        Last day, inclusive; the latest order day when left out.
    min_customers, min_days, max_silent_days, min_frequent : int
        Thresholds: customers, days of history, days without an order before ``as_of``, and customers with
        three or more purchases.

    Raises
    ------
    InputError
        When ``as_of`` is before the first order.

    Examples
    --------
    >>> import pandas as pd
    >>> from forecast.orders import read_orders
    >>> log = pd.DataFrame({"customer_id": ["a", "b"], "order_date": ["2024-01-01", "2024-03-01"],
    ...                     "value": [1.0, 2.0]})
    >>> verdict = sufficiency(read_orders(log))
    >>> verdict.verdicts["model"]
    'no'
    >>> print(verdict.warnings[0])
    Every one of the 2 customers has exactly one order: is this an order-level id?
    """
    if orders.refusal is not None:
        return _totals_only(orders)
    day = orders.last_day if as_of is None else parse_day(as_of)
    if day < orders.first_day:
        raise InputError(
            f"as_of {day} is before the first order", advice=f"Orders begin on {orders.first_day}."
        )
    row = orders.connection.execute(
        f"SELECT count(*), count(*) FILTER (n >= 2), count(*) FILTER (n >= {FREQUENT_PURCHASES}), "
        "max(last), sum(n), sum(orders) FROM (SELECT count(DISTINCT order_day) AS n, max(order_day) AS last, "
        f"count(*) AS orders FROM {orders.table} WHERE order_day <= DATE '{day}' GROUP BY customer_id)"
    ).fetchall()[0]
    customers, repeaters, frequent, last, purchases, n_orders = row
    facts = {
        "customers": int(customers),
        "repeaters": int(repeaters),
        "frequent": int(frequent),
        "days": (day - orders.first_day).days + 1,
        "silent_days": (day - last).days,
        "purchases": int(purchases),
        "orders": int(n_orders),
    }
    missing = _missing(facts, min_customers, min_days, max_silent_days, min_frequent)
    model = "yes" if not missing else "wide"
    if repeaters == 0 or facts["days"] < 30 or customers < 20:
        model = "no"
    verdicts = {"history": "yes", "cohorts": "yes" if facts["days"] >= 60 else "wide", "model": model}
    warnings = (*_warnings(facts, day), *_mid_life(orders, day))
    return Sufficiency(facts, verdicts, _lines(facts, verdicts, missing, day), warnings)


def _mid_life(orders: Orders, day: dt.date) -> tuple[str, ...]:
    """A warning when far more customers turn up in the first month than in those after it.

    An export that begins in the middle of a shop's life makes its old customers look new.
    """
    counts = [
        n
        for (n,) in orders.connection.execute(
            f"SELECT count(c.first) FROM range(0, CAST(DATE '{day}' - DATE '{orders.first_day}' AS "
            "BIGINT) + 1 - "
            f"{MONTH}, {MONTH}) AS m(start) LEFT JOIN (SELECT min(order_day) - DATE "
            f"'{orders.first_day}' AS first "
            f"FROM {orders.table} GROUP BY customer_id) c ON c.first >= m.start AND c.first < m.start "
            f"+ {MONTH} "
            "GROUP BY m.start ORDER BY m.start"
        ).fetchall()
    ]
    if len(counts) < 4 or counts[0] < MIN_REPEATERS:
        return ()
    later = sorted(counts[1:])[len(counts[1:]) // 2]
    if counts[0] <= MID_LIFE * later:
        return ()
    return (
        f"{counts[0]:,} customers first appear in the first {MONTH} days, {later:,} in a usual {MONTH} "
        "days after: "
        "does the export begin in the middle of the shop's life? Old customers then look new; export "
        "from the "
        "first order on, or leave out customers of the first months.",
    )


def _totals_only(orders: Orders) -> Sufficiency:
    """The verdict on a report that does not say who bought."""
    facts = {"orders": len(orders), "days": (orders.last_day - orders.first_day).days + 1}
    lines = (
        f"{facts['orders']:,} orders from {orders.first_day} to {orders.last_day}",
        "totals by month: yes",
        f"historical CLV, cohorts, model: no: {orders.refusal}",
    )
    return Sufficiency(facts, {"history": "no", "cohorts": "no", "model": "no"}, lines, ())


def silence_notes(orders: Any, as_of: Any = None) -> list[str]:
    """A note when nothing was bought for long before ``as_of``: everybody then looks as if gone.

    Examples
    --------
    >>> import pandas as pd
    >>> from forecast.orders import read_orders
    >>> log = pd.DataFrame({"customer_id": ["a"], "order_date": ["2024-01-01"], "value": [1.0]})
    >>> silence_notes(read_orders(log), "2024-03-01")
    ['The last order is 60 days before 2024-03-01: is as_of right, or is the export incomplete?']
    """
    if as_of is None:
        return []
    day = parse_day(as_of)
    silent = (day - orders.last_day).days
    if silent <= MAX_SILENT_DAYS:
        return []
    return [f"The last order is {silent:,} days before {day}: is as_of right, or is the export incomplete?"]


def _missing(facts: dict[str, int], customers: int, days: int, silent: int, frequent: int) -> list[str]:
    missing = []
    if facts["customers"] < customers:
        missing.append(f"{facts['customers']:,} customers, {customers:,} are wanted")
    if facts["days"] < days:
        missing.append(f"{facts['days']:,} days of history, {days:,} are wanted")
    if facts["silent_days"] > silent:
        missing.append(f"no order in the last {facts['silent_days']:,} days, at most {silent:,} are wanted")
    if facts["frequent"] < frequent:
        missing.append(
            f"{facts['frequent']:,} customers with {FREQUENT_PURCHASES} or more purchases, "
            f"{frequent:,} are wanted"
        )
    return missing


def _lines(
    facts: dict[str, int], verdicts: dict[str, str], missing: list[str], day: dt.date
) -> tuple[str, ...]:
    lines = [
        f"{facts['customers']:,} customers, {facts['repeaters']:,} of them bought again, "
        f"{facts['days']:,} days of history up to {day}",
        "historical CLV: yes",
        "cohorts: yes"
        if verdicts["cohorts"] == "yes"
        else "cohorts: yes, but hardly two months can be compared",
    ]
    if verdicts["model"] == "yes":
        lines.append("model of future purchases (BG/NBD): yes")
    elif verdicts["model"] == "wide":
        lines.append(f"model of future purchases (BG/NBD): with wide intervals: {'; '.join(missing)}")
    else:
        lines.append(
            f"model of future purchases (BG/NBD): no: {'; '.join(missing) or 'too little to learn from'}"
        )
    if facts["repeaters"] < MIN_REPEATERS:
        lines.append(f"by group (channel, product): no: {facts['repeaters']:,} repeat customers in all")
    return tuple(lines)


def _warnings(facts: dict[str, int], day: dt.date) -> tuple[str, ...]:
    warnings = []
    if facts["orders"] == facts["customers"]:
        warnings.append(
            f"Every one of the {facts['customers']:,} customers has exactly one order: "
            "is this an order-level id?"
        )
    elif facts["repeaters"] == 0:
        warnings.append(f"None of the {facts['customers']:,} customers bought on a second day.")
    if facts["silent_days"] > 366:
        warnings.append(f"The last order is {facts['silent_days']:,} days before {day}: is as_of right?")
    return tuple(warnings)
