"""The shop as sections: its orders, its past, its model, its forecast and its best customers."""

from __future__ import annotations

from typing import Any

import pandas as pd

from forecast.card import METHODS
from forecast.history import History
from forecast.model import Model
from forecast.orders.codes import kind_of_code
from forecast.orders.reconciliation import BRIDGE, Reconciliation
from forecast.reports import captions, figures
from forecast.reports.blocks import Gallery, Key, Lines, Section, Table, drawn, table
from forecast.reports.wording import (
    NONE,
    about,
    chance,
    count,
    day,
    missing,
    money,
    name_in_words,
    percent,
    plain,
)
from forecast.reports.wording import figures as digits

_SPEND = {
    "repeat": "Spend is learned from repeat purchases; customers without one get the population's mean.",
    "all": "Spend is learned from all purchases, the first included.",
    "mean": "Spend is the mean of all repeat purchases, the same for every customer.",
}
TARGETS = {"purchases": "Purchases", "active": "Customers who buy", "value": "Value"}


def reconciliation_section(found: Reconciliation) -> Section:
    """Where every row and every amount went."""
    value_in = sum(float(value) for value in found.value_in.values())
    rows = [["rows in", count(found.total_rows), money(value_in), listed_files(found)]]
    codes = found.by_code()
    frame = found.to_frame()
    meanings = dict(zip(frame["code"].astype(str), frame["meaning"].astype(str), strict=True))
    for code, (number, value) in codes.items():
        kind = kind_of_code(code)
        inside = "in the purchase's" if kind == "merged" else money(float(value))
        shown = "" if kind == "left_out" else count(number)
        rows.append([code.replace("_", " "), shown, inside, meanings[code]])
    total = sum(float(value) for _, value in codes.values())
    rows.append(["sum of all fates", count(sum(number for number, _ in codes.values())), money(total), ""])
    amount = f"Value ({found.currency})" if found.currency else "Value"
    heads = [("Rows", False), ("Number", True), (amount, True), ("Meaning", False)]
    if not found.has_value:
        rows, heads = [[row[0], row[1], row[3]] for row in rows], [heads[0], heads[1], heads[3]]
    balance = (
        "Rows and money balance: what went in is what was used, merged or rejected."
        if found.balances()
        else "THIS DOES NOT BALANCE: please report it."
    )
    blocks: list[Any] = [
        Table("From order rows to purchases", heads, rows, balance, frozenset([0, len(rows) - 1]))
    ]
    if found.bridge:
        blocks.append(_bridge_table(found, amount))
    if found.notes:
        blocks.append(Lines([f"Noticed while reading: {note}" for note in found.notes], True))
    return Section("orders", "Where every row went", blocks)


def _bridge_table(found: Reconciliation, amount: str) -> Table:
    rows = [
        [line.replace("_", " "), money(float(value)), BRIDGE[line]] for line, value in found.bridge.items()
    ]
    strong = frozenset(i for i, line in enumerate(found.bridge) if line.endswith("_sales"))
    return Table(
        "Bridge of all sales",
        [("Line", False), (amount, True), ("Meaning", False)],
        rows,
        "Of all orders that are sales, used or not: without cancelled, pending and test orders.",
        strong,
    )


def listed_files(found: Reconciliation) -> str:
    """Names of the files, the first three."""
    more = f" and {len(found.files) - 3} more" if len(found.files) > 3 else ""
    return ", ".join(found.files[:3]) + more


def history_section(history: History) -> Section:
    """Historical CLV: every number with its definition, N-day value, and cohorts."""
    summary = history.summary
    definitions = summary["definitions"]
    rows = [
        [
            name_in_words(name),
            _cell(summary[name], meaning["unit"]),
            meaning["unit"],
            name_in_words(meaning["definition"]),
        ]
        for name, meaning in definitions.items()
        if name in summary and not isinstance(summary[name], dict)
    ]
    heads = [("Number", False), ("Value", True), ("Unit", False), ("What it is", False)]
    margin = "" if summary["margin"] == 1 else f" Margin {percent(summary['margin'])}."
    note = f"Orders of {summary['first_day']} to {summary['as_of']}, inclusive.{margin}"
    unit = f" ({summary['currency']})" if summary.get("currency") else ""
    ltv = [
        [f"{days} days", money(line["value"]), count(line["customers"])]
        for days, line in summary.get("cohort_ltv", {}).items()
    ]
    # The label of a quarter is 2026Q1, that of a month 2026-03.
    cohorts = history.cohorts
    period = "quarter" if cohorts["cohort"].astype(str).str.contains("Q").any() else "month"
    values = history.customers["value"]
    shown: list[Any] = [
        drawn(
            figures.cohort_curves(cohorts, currency=summary.get("currency"), period=period),
            captions.cohorts(cohorts, summary.get("currency"), period),
        ),
        drawn(figures.value_concentration(values), captions.concentration(values)),
        drawn(figures.retention_heatmap(cohorts, period=period), captions.retention(cohorts, period)),
    ]
    if ltv:
        shown.append(
            Table(
                f"Value per customer within so many days of the first purchase{unit}",
                [("Within", False), ("Mean value", True), ("Customers", True)],
                ltv,
                "The day of the first purchase is day 0. Only customers whose first purchase is at least so "
                "long ago count; empty where nobody is old enough yet.",
            )
        )
    numbers = Table("What customers have been worth: the baseline", heads, rows, note)
    return Section("history", "What customers have been worth", [numbers, Gallery(shown)])


def payback_section(payback: pd.DataFrame) -> Section:
    """What customers cost who were bought, and what they brought so far."""
    shown = payback.assign(payback=payback["payback"].fillna("nobody was won"))
    note = (
        "Months are of age, 30.44 days each, and only an age counts that all customers of the row have "
        "reached. \u201cNot reached\u201d is known; \u201cnot known yet\u201d is too young to tell."
    )
    columns = {
        "period": ("Period", plain), "group": ("Group", plain), "customers": ("Won", count),
        "spend": ("Spend", money), "cac": ("Cost of one", money),
        "value_per_customer": ("Brought by one", money), "months_observed": ("Months seen", count),
        "payback": ("Paid back", plain), "payback_month": ("In month", count),
    }  # fmt: skip
    return Section("payback", "Paid back?", [table(shown, "Customers who were bought", columns, note=note)])


def _cell(value: Any, unit: str) -> str:
    if missing(value):
        return NONE
    if "share" in unit:
        return percent(value)
    if isinstance(value, int):
        return count(value)
    return (
        money(value) if ("per customer" in unit and "orders" not in unit) or unit.isupper() else digits(value)
    )


def history_keys(history: History) -> list[Key]:
    """The past in a few numbers."""
    summary = history.summary
    unit = f" ({summary['currency']})" if summary.get("currency") else ""
    found = [Key("Customers", count(summary["customers"]), f"{percent(summary['repeat_rate'])} bought again")]
    if not missing(summary.get("value")):
        found.append(
            Key(f"Value so far{unit}", about(summary["value"]), f"{count(summary['orders'])} orders")
        )
        found.append(
            Key(
                f"Formula CLV{unit}",
                money(summary["formula_clv"]),
                "order value × orders a year × lifespan: the simple baseline",
            )
        )
    return found


def model_section(model: Model) -> Section:
    """The card's essence: parameters, verdict, assumptions."""
    frame = model.summary()
    limits = [
        f"{digits(lo)} to {digits(hi)}" for lo, hi in zip(frame["lower_95"], frame["upper_95"], strict=True)
    ]
    known = ~frame["standard_error"].isna()
    shown = frame.assign(limits=[text if ok else NONE for text, ok in zip(limits, known, strict=True)])
    p = model.provenance
    parameters = table(
        shown,
        f"Parameters of {model.title}",
        {
            "parameter": ("Parameter", plain),
            "model": ("Model", plain),
            "unit": ("Unit", plain),
            "estimate": ("Estimate", lambda value: digits(value, 4)),
            "standard_error": ("Standard error", lambda value: digits(value, 2)),
            "limits": ("95 % limits", str),
        },
        note=f"Fitted by {METHODS[model.purchases.method]} on {count(p['customers'])} customers with orders "
        f"from {p['first_day']} to {p['as_of']}, inclusive; time in days.",
    )
    lines = [f"Verdict. {model.verdict}."]
    if model.purchases.spec.name == "bg-nbd":
        lines.append(
            "BG/NBD supposes that each customer buys at a steady rate of their own, and may leave for good "
            "after any "
            "repeat purchase. It calls every one-time buyer alive; the chance to buy is the number to "
            "decide with."
        )
    if model.spend is not None:
        lines.append(
            f"{_SPEND[model.clv.spend_from]} It is supposed to be independent of how often a customer buys."
        )
    seasons = "" if model.clv.clock is not None else "seasons, "
    lines.append(f"The model knows nothing of {seasons}campaigns or prices.")
    return Section("model", "The model", [Lines(lines), parameters])


def _levels(portfolio: pd.DataFrame) -> list[str]:
    return [str(name)[3:] for name in portfolio.columns if str(name).startswith("lo-")]


def forecast_section(
    portfolio: pd.DataFrame, scores: pd.DataFrame, currency: str | None, held: str | None, name: str
) -> Section:
    """Totals with intervals, and what these do not hold."""
    totals = totals_table(portfolio, scores, currency)
    caution = [
        "How sure is this? The intervals of totals hold the chance in what each customer does and, unless "
        "the fit was maximum likelihood, how uncertain the parameters are. A season or a level that drifts "
        "is not in them yet, so they are too narrow."
    ]
    if held:
        caution.append(
            f"In the backtest below, the 90 % intervals of {name} held {held} totals of purchases."
        )
    return Section("forecast", "The forecast", [totals, Lines(caution, kind="caution")])


def totals_table(portfolio: pd.DataFrame, scores: pd.DataFrame, currency: str | None) -> Table:
    """What all customers are expected to bring, with intervals."""
    shown = portfolio.assign(
        what=[
            TARGETS.get(target, target) + (f" ({currency})" if target == "value" and currency else "")
            for target in portfolio["target"]
        ]
    )
    columns: dict[str, Any] = {"what": ("Total", plain)}
    if len(shown[["scope", "group"]].drop_duplicates()) > 1:
        columns["group"] = ("Group", plain)
    columns["expected"] = ("Expected", count)
    for level in _levels(portfolio):
        shown[f"interval-{level}"] = [
            f"{count(lo)} to {count(hi)}"
            for lo, hi in zip(shown[f"lo-{level}"], shown[f"hi-{level}"], strict=True)
        ]
        columns[f"interval-{level}"] = (f"{level} % interval", str)
    note = (
        f"All {count(len(scores))} customers known on {day(scores['as_of'].iloc[0])}" if len(scores) else ""
    )
    if len(scores):
        note += (
            f", over the {count(scores['horizon_days'].iloc[0])} days after it. New customers are not in it."
        )
    return table(shown, "What known customers will bring", columns, note=note)


def customers_section(scores: pd.DataFrame, currency: str | None, n: int = 10) -> Section:
    """The customers with the highest expected value."""
    by = "expected_value" if "expected_value" in scores else "expected_purchases"
    top = scores.sort_values([by, "customer_id"], ascending=[False, True]).head(n)
    unit = f" ({currency})" if currency else ""
    columns: dict[str, Any] = {
        "customer_id": ("Customer", plain),
        "last_purchase": ("Last purchase", day),
        "frequency": ("Repeat purchases so far", count),
        "historical_value": (f"Historical value{unit}", money),
        "p_purchase": ("Chance to buy", chance),
        "expected_purchases": ("Expected purchases", lambda value: digits(value, 2)),
    }
    for level in _levels_of(top, "value")[:1]:
        low, high = top[f"value-lo-{level}"], top[f"value-hi-{level}"]
        top = top.assign(interval=[f"{money(lo)} to {money(hi)}" for lo, hi in zip(low, high, strict=True)])
        columns["expected_value"] = (f"Expected value{unit}", money)
        columns["interval"] = (f"{level} % interval", str)
    total = scores[by].sum()
    lines = []
    if total > 0:
        share = percent(top[by].sum() / total)
        what = "value" if by == "expected_value" else "purchases"
        lines.append(
            f"These {len(top)} of {count(len(scores))} customers hold {share} of the expected {what}. Look "
            "at the "
            "intervals: one customer's future is wide open, even of the best."
        )
    note = (
        "Ids are the pseudonymous numbers of the order log. Intervals are predictive, customer by customer."
    )
    return Section(
        "top", "The best customers", [Lines(lines), table(top, "Highest expected value", columns, note=note)]
    )


def _levels_of(scores: pd.DataFrame, target: str) -> list[str]:
    start = f"{target}-lo-"
    return [str(name)[len(start) :] for name in scores.columns if str(name).startswith(start)]


def forecast_keys(portfolio: pd.DataFrame, scores: pd.DataFrame, currency: str | None) -> list[Key]:
    """The forecast in a number."""
    lines = portfolio[portfolio["scope"] == "total"].set_index("target")
    if lines.empty or scores.empty:
        return []
    target = "value" if "value" in lines.index else "purchases"
    row = lines.loc[target]
    unit = f" ({currency})" if currency and target == "value" else ""
    remark = (
        f"known customers, {count(scores['horizon_days'].iloc[0])} days after {day(scores['as_of'].iloc[0])}"
    )
    return [Key(f"Expected {target}{unit}", about(row["expected"]), remark)]


def in_short(
    history: History, portfolio: pd.DataFrame, scores: pd.DataFrame, currency: str | None
) -> list[str]:
    """The past and the forecast in two sentences."""
    summary = history.summary
    unit = f" {currency}" if currency else ""
    worth = "" if missing(summary.get("value")) else f" and brought {about(summary['value'])}{unit}"
    text = [
        f"{count(summary['customers'])} customers placed {count(summary['orders'])} orders{worth} by "
        f"{summary['as_of']}; {percent(summary['repeat_rate'])} of them bought again."
    ]
    lines = portfolio[portfolio["scope"] == "total"].set_index("target")["expected"]
    if len(lines) and len(scores):
        value = f", worth {about(lines['value'])}{unit}" if "value" in lines.index else ""
        text.append(
            f"In the {count(scores['horizon_days'].iloc[0])} days after {day(scores['as_of'].iloc[0])} these "
            f"customers are expected to make {about(lines['purchases'])} purchases{value}."
        )
    return text
