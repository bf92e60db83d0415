"""Scores as sections: totals, and every customer on a row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from forecast.reports.blocks import Section, table
from forecast.reports.sections_shop import totals_table
from forecast.reports.wording import chance, count, day, money, plain
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
}


def totals_section(portfolio: pd.DataFrame, scores: pd.DataFrame, currency: str | None) -> Section:
    """The totals with their intervals."""
    return Section("totals", "All customers together", [totals_table(portfolio, scores, currency)])


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
