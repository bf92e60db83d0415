"""What became of the rows of a Spark table of orders, and which of its columns are refused."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from forecast.errors import InputError
from forecast.summary.spark_reading import CODES, REFUSED, REJECTED, Reading

Fates = dict[str, tuple[int, Decimal]]


def fates(rows: list[dict[str, Any]], has_order_id: bool) -> Fates:
    """Rows and money of each fate, in the order in which rows are judged."""
    kept = [row for row in rows if row["code"] in ("used", "after_as_of")]
    purchases, orders, lines = (sum(row[name] for row in kept) for name in ("purchases", "orders", "lines"))
    found = {"used": (purchases, sum((row["value"] for row in kept), Decimal(0)))}
    if has_order_id:
        found["line_merged"] = (lines - orders, Decimal(0))
    found["same_day_merged"] = (orders - purchases, Decimal(0))
    for code in REJECTED:
        own = [row for row in rows if row["code"] == code]
        if own:
            found[code] = (sum(row["lines"] for row in own), sum((row["value"] for row in own), Decimal(0)))
    return found


def refuse(rows: list[dict[str, Any]], reading: Reading) -> None:
    """Columns that are not read, and those in which most cells are nothing that can be."""
    counts = dict.fromkeys(CODES, 0)
    for row in rows:
        counts[row["code"]] += row["lines"]
    where = {role: f"column {name!r}" for role, name in reading.roles.items()}
    zone = "The day is the shop's own day: pass timezone='Europe/Amsterdam', or 'UTC' if that is meant."
    day, value = where["order_date"], where.get("value")
    told = {
        "odd_id": ("ids are numbers with decimals, or too long for a number", where["customer_id"],
                   "Read that column as text, so that every digit of an id survives."),
        "timed_day": ("stamps carry a time of day, and no time zone of the shop is given", day, zone),
        "timed_stamp": ("stamps say their offset from UTC, and no time zone of the shop is given", day, zone),
        "other_date": ("dates are written in a form that the Spark engine does not read", day,
                       "Make them dates with to_date or stamps with to_timestamp first, or read the file "
                       "with the duckdb engine."),
        "other_value": ("amounts have commas, which the Spark engine does not read", value,
                        "Make them numbers first, or read the file with the duckdb engine."),
    }  # fmt: skip
    for code in REFUSED:
        if counts[code]:
            what, place, advice = told[code]
            raise InputError(what, where=place, count=counts[code], advice=advice)
    dated = sum(counts.values()) - sum(
        counts[c] for c in ("blank_row", "missing_customer_id", "missing_date")
    )
    if counts["bad_date"] * 2 > dated:
        raise InputError(
            "most cells are no dates that are known", where=day, count=counts["bad_date"],
            advice="Map the right column to order_date, or make it a column of dates with to_date first.",
        )  # fmt: skip
    valued = dated - sum(counts[c] for c in ("bad_date", "implausible_date", "missing_value"))
    if counts["bad_value"] * 2 > valued:
        raise InputError(
            "most amounts are no finite plain numbers", where=value, count=counts["bad_value"],
            advice="Make them numbers first, or map the column of money to value.",
        )  # fmt: skip


def nothing_left(codes: Mapping[str, tuple[int, Decimal]]) -> InputError:
    """The error when no usable order is left."""
    counts = {code: rows for code, (rows, _) in codes.items() if code in REJECTED}
    return InputError(
        "no usable orders are left",
        count=sum(counts.values()),
        examples=[f"{code}: {rows:,}" for code, rows in sorted(counts.items())],
        advice="Check the mapping of the columns.",
    )


def endings(rows: list[dict[str, Any]], reading: Reading) -> tuple[bool, list[str]]:
    """Whether every id ends in .0, as a spreadsheet or frame leaves it, and what is told of endings."""
    header = reading.roles["customer_id"]
    if reading.dotted is None:
        return False, []
    dotted = sum(row["dotted"] for row in rows if row["code"] == "used")
    others = any(row["undotted"] for row in rows) or any(row["filled"] > row["dotted"] for row in rows)
    if dotted and not others:
        return True, [
            f"{header}: every id ends in .0, as a spreadsheet or frame leaves it; the ending was taken off"
        ]
    if dotted:
        return False, [
            f"{header}: customers whose ids end in .0: {dotted:,}; others do not, so all were left"
        ]
    return False, []
