"""The table that speed.py writes, and how far its rows are from what the machine can do."""

from __future__ import annotations

import numpy as np
from speed_runs import Bench
from speed_tasks import LIMIT, SMALL_LIMIT
from workload import HORIZON


def rows(b: Bench, best: str, size: str) -> list[tuple[str, ...]]:
    """The table: what, ours, theirs, ratio, our and their memory, remark."""

    def row(what: str, ours: str, theirs: str, remark: str) -> tuple[str, ...]:
        known = np.isfinite(b[theirs])
        return (
            what, b.span(ours), b.span(theirs) if known else "fails",
            b.ratio(ours, theirs) if known else "", b.peak(ours), b.peak(theirs), remark,
        )  # fmt: skip

    def alone(what: str, key: str, remark: str) -> tuple[str, ...]:
        return (what, b.span(key), "", "", b.peak(key), "", remark)

    unit = {"their_fit_days": "days", "their_fit_weeks": "weeks"}[best]
    other = "their_fit_weeks" if unit == "days" else "their_fit_days"
    rest = f"{b[other]:.1f} s" if np.isfinite(b[other]) else f"fails ({b.note(other, 'failed')})"
    groups, many = b.note("ours_fit_arrays", "rows"), b.note("ours_fit_many", "rows")
    totals = b.note("their_score", "total") / b.note("ours_score_points", "total") - 1.0

    def same(ours: str, theirs: str) -> str:
        alike = b.note(ours, "repeats") == b.note(theirs, "repeats")
        return "same number of repeat purchases" if alike else "REPEAT PURCHASES DIFFER"

    lines, five = f"{b.orders:,} orders", f"{b.fivefold:,} orders"
    people = f"{b.note('ours_numbers', 'customers'):,} customers"
    grown = b["ours_fivefold"] / b["ours_limited"] / (b.fivefold / b.orders)
    table = [
        row(f"BG/NBD fit, {size} customers, arrays to parameters with standard errors",
            "ours_fit_arrays", best,
            f"grouping to {groups:,} rows included; lifetimes in {unit} ("
            f"{'weeks' if unit == 'days' else 'days'}: {rest}); {b.same('ours_fit_arrays', best)}"),
        row("same, through `BetaGeoNBD().fit(frame)` and its gate", "ours_fit_frame", best,
            b.same("ours_fit_frame", best)),
        row("same, lifetimes given our grouped rows as `weights`", "ours_fit_frame", "their_fit_grouped",
            "grouping not in lifetimes' time; " + b.same("ours_fit_frame", "their_fit_grouped")),
    ]  # fmt: skip
    if "peer map" in b.found:
        told = b.note("peer map", "versions")
        table.append(
            row("same, beside pymc-marketing's `fit(method='map')` (its time, not lifetimes')",
                "ours_fit_frame", "peer map",
                f"pymc-marketing {told['pymc-marketing']} with its own priors, time in weeks; memory is of "
                "its whole process")
        )  # fmt: skip
    return [
        *table,
        alone("same for ten times the customers, arrays to parameters", "ours_fit_many",
              f"grouping to {many:,} rows included"),
        row(f"Gamma-Gamma fit, {size} customers, `GammaGamma().fit(frame)`", "ours_spend", "their_spend",
            b.same("ours_spend", "their_spend")),
        row(f"scoring {size} customers over {HORIZON} days, all point columns", "ours_score_points",
            "their_score",
            f"{b.note('ours_score_points', 'columns')} columns; lifetimes: expectation and P(alive) only; "
            f"sums agree to {abs(totals):.0e}"),
        row("same, lifetimes' `customer_lifetime_value` (12 months of 30 days)", "ours_score_points",
            "their_clv",
            "value, beside our value column"),
        alone("same with 80 % and 95 % predictive intervals of purchases and value", "ours_score_intervals",
              "no counterpart in lifetimes"),
        row(f"{lines} in Parquet, ids whole numbers, to the histories of {people}", "ours_numbers",
            "their_numbers", "reading and checks included; " + same("ours_numbers", "their_numbers")),
        row("same, ids texts", "ours_texts", "their_texts", same("ours_texts", "their_texts")),
        row("same, ids whole numbers, beside one DuckDB query that checks nothing (its time, not lifetimes')",
            "ours_numbers", "query_numbers", same("ours_numbers", "query_numbers")),
        alone(f"same, ids whole numbers, the database limited to {LIMIT}", "ours_limited", ""),
        alone(f"{five} in Parquet, limited to {LIMIT}", "ours_fivefold",
              f"{b.note('ours_fivefold', 'customers'):,} customers; time an order is {grown:.2f} times that "
              "of the smaller log"),
        alone(f"{b.text_lines:,} orders in CSV, limited to {LIMIT}", "ours_csv", "one run"),
        alone(f"`forecast score` of {people} from that Parquet to Parquet, with intervals", "ours_command",
              "account, fingerprint and portfolio draws included"),
        alone(f"`forecast score` of the {size} customers' histories, Parquet to Parquet, with intervals and "
              f"totals, limited to {SMALL_LIMIT}", "ours_score_file", ""),
        alone("same for ten times the customers", "ours_score_many",
              f"one run; {b.note('ours_score_many', 'MB'):,.0f} MB of scores"),
        alone("first fit ever on a machine (`BetaGeoNBD().fit`, nothing compiled)", "ours_fit_frame cold",
              "compiled code is kept on disk afterwards"),
        alone("first scoring with intervals ever", "ours_score_intervals cold", "likewise"),
    ]  # fmt: skip


def limits(b: Bench) -> list[str]:
    """Each part of the path beside the least that any program would have to do."""
    speed = b.note("bandwidth", "bytes") / b["bandwidth"]
    bytes_log = b.orders * 20 * 3
    least = bytes_log / speed
    one, rows_ = b["floor"], b.note("floor", "rows")
    columns = b.note("ours_score_points", "columns")
    wide = 8 * b.customers * columns
    grouping = b.note("ours_fit_arrays", "grouping")
    return [
        f"- Memory is copied at {speed / 1e9:.1f} GB a second (one thread). Orders to histories has to move "
        "each order (id 8 bytes, day 4, value 8) at least three times, decoded, shared out and grouped: "
        f"{bytes_log / 1e9:.1f} GB, {least:.2f} s. We take {b['ours_numbers'] / least:.0f} times as long: "
        "decompressing Parquet twice, exact decimal sums for the account, hashing ids, and writing twelve "
        "columns a customer.",
        f"- One pass of `log` and `exp` over the {rows_:,} distinct histories takes {one * 1e3:.1f} ms in "
        f"one thread. The fit takes {b['ours_fit_arrays'] / one:.0f} such passes; {grouping * 1e3:.0f} ms "
        "of it is grouping, the rest evaluations with gradient and Hessian.",
        f"- Scoring writes {columns} columns of eight bytes a customer: {wide / 1e6:.0f} MB, "
        f"{wide / speed * 1e3:.1f} ms. What it takes beyond goes into one 2F1 and one table of tails for "
        "each distinct (x, T), and into gathering from them in no order.",
    ]
