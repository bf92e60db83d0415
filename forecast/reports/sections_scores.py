"""Scores as sections: totals, and every customer on a row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from forecast.history.rfm import GROUPS
from forecast.predict.tiers import TIERS
from forecast.predict.timing import OVERDUE_FROM
from forecast.reports.blocks import Section, table
from forecast.reports.sections_shop import totals_table
from forecast.reports.wording import about, chance, count, day, money, percent, plain
from forecast.reports.wording import figures as digits

# Columns whose cells are the same all down the page stand in the caption instead.
_SAID_ONCE = ("as_of", "horizon_days")


def _few(value: Any) -> str:
    return digits(value, 3)


_COLUMNS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "customer_id": ("Customer", plain),
    "first_purchase": ("First purchase", day),
    "last_purchase": ("Last purchase", day),
    "frequency": ("Repeat purchases", count),
    "recency": ("Recency (days)", count),
    "T": ("T (days)", count),
    "monetary_value": ("Mean repeat value", money),
    "historical_value": ("Historical value", money),
    "p_alive": ("Alive", chance),
    "p_purchase": ("Chance to buy", chance),
    "expected_purchases": ("Expected purchases", _few),
    "expected_purchase_value": ("Expected purchase value", money),
    "spend_basis": ("Spend basis", plain),
    "expected_value": ("Expected value", money),
    "total_value": ("Total value", money),
    "tier": ("Tier", plain),
    "next_purchase_median": ("Next purchase by", day),
    "overdue": ("Overdue", chance),
    "rfm": ("RFM", plain),
    "rfm_group": ("RFM group", plain),
}


def totals_section(portfolio: pd.DataFrame, scores: pd.DataFrame, currency: str | None) -> Section:
    """The totals with their intervals."""
    return Section("totals", "All customers together", [totals_table(portfolio, scores, currency)])


def segments_section(scores: pd.DataFrame, currency: str | None) -> Section | None:
    """How many customers each tier and RFM group has, and what they are expected to bring.

    None where an older version fitted the model.
    """
    if "tier" not in scores or scores["tier"].isna().all():
        return None
    by = "expected_value" if "expected_value" in scores else "expected_purchases"
    word = by.replace("_", " ")
    unit = f" ({currency})" if currency and by == "expected_value" else ""
    columns = {
        "customers": ("Customers", count),
        "of_customers": ("Share of customers", percent),
        by: (word.capitalize() + unit, about),
        "of_expected": (f"Share of {word}", percent),
        "overdue": ("Overdue", count),
    }
    late = (
        "By what was bought so far. Overdue: a silence that nine in ten active customers of the same history "
    )
    late += "would have ended."
    shown = []
    for column, heading, names, note in (
        ("tier", "Tier", TIERS, "By cut-offs that were frozen when the model was fitted; its card has them."),
        ("rfm_group", "RFM group", GROUPS, late),
    ):
        known = scores.groupby(column)
        lines = pd.DataFrame(
            {
                "customers": known.size(),
                by: known[by].sum(),
                "overdue": (scores["overdue"] >= OVERDUE_FROM).groupby(scores[column]).sum(),
            }
        )
        lines = lines.reindex(list(names), fill_value=0).rename_axis(column).reset_index()
        lines["of_customers"] = lines["customers"] / len(scores)
        total = lines[by].sum()
        lines["of_expected"] = lines[by] / total if total > 0 else 0.0
        shown.append(table(lines, f"{heading}s", {column: (heading, plain), **columns}, note=note))
    return Section("segments", "Tiers and groups", shown)


def scores_section(scores: pd.DataFrame, currency: str | None) -> Section:
    """Every customer, in the order given, with every column of the scores."""
    columns: dict[str, tuple[str, Callable[[Any], str]]] = {}
    for name in map(str, scores.columns):
        if name in _SAID_ONCE:
            continue
        target, _, rest = name.partition("-")
        side, _, level = rest.partition("-")
        if target in ("purchases", "value") and side in ("lo", "hi") and level:
            word = "from" if side == "lo" else "to"
            columns[name] = (
                f"{target.capitalize()} {word}, {level} %",
                money if target == "value" else count,
            )
        else:
            columns[name] = _COLUMNS.get(name, (name, plain))
    unit = f" Amounts in {currency}." if currency else ""
    said = ""
    if len(scores):
        said = (
            f"{count(scores['horizon_days'].iloc[0])} days after {day(scores['as_of'].iloc[0])}. "
            "Expected numbers are means; intervals are predictive, customer by customer."
        )
    shown = table(scores, f"{count(len(scores))} customers", columns, note=said + unit)
    return Section("customers", "Customer by customer", [shown])
