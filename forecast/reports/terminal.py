"""What the command says on a terminal: a few lines for a person."""

from __future__ import annotations

import numpy as np
import pandas as pd

from forecast.evaluation.backtest import Backtest
from forecast.periods import level_label


def money(value: float, currency: str | None) -> str:
    """An amount for a sentence.

    Examples
    --------
    >>> money(1234567.891, "USD")
    'USD 1,234,568'
    """
    digits = 0 if abs(value) >= 1000 else 2
    return f"{currency + ' ' if currency else ''}{value:,.{digits}f}"


def parameter_lines(summary: pd.DataFrame) -> list[str]:
    """Parameters with standard errors, from a model's summary."""
    return [
        f"  {row.parameter:<6} {row.estimate:>12.5g}  (s.e. {row.standard_error:.3g}) {row.unit}".rstrip()
        for row in summary.itertuples()
    ]


def portfolio_lines(lines: pd.DataFrame, levels: tuple[float, ...], currency: str | None) -> list[str]:
    """Totals with their intervals."""
    told = []
    names = {"purchases": "purchases", "active": "customers who buy", "value": "value"}
    for row in lines.to_dict("records"):
        show = (lambda v: money(v, currency)) if row["target"] == "value" else (lambda v: f"{v:,.0f}")
        spans = [
            f"{label} % {show(row[f'lo-{label}'])} to {show(row[f'hi-{label}'])}"
            for label in map(level_label, levels)
        ]
        group = "" if row["scope"] == "total" else f"{row['scope']} {row['group']}: "
        told.append(f"  {group}{names[row['target']]} {show(row['expected'])} ({', '.join(spans)})")
    return told


def board_lines(found: Backtest) -> list[str]:
    """The board for a terminal: one line a model, totals of orders and value."""
    table = found.summary()
    lines = []
    for target in ("orders", "value"):
        rows = table[table["target"] == target]
        if not len(rows):
            continue
        lines.append(
            f"{target}, {int(rows['origins'].max())} origins: error of totals (WAPE), bias, inside 90 %"
        )
        for row in rows.to_dict("records"):
            hits = "" if np.isnan(row["hit_rate"]) else f"  {row['hit_rate']:.0%} inside"
            lines.append(f"  {row['model']:<12} {row['wape']:>7.1%} {row['bias']:>+8.1%}{hits}")
    return lines
