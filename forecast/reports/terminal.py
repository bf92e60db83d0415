"""What the command says on a terminal: a few lines for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from forecast.evaluation.backtest import Backtest
from forecast.periods import Period, level_label
from forecast.reports.wording import NONE, chance, listed, missing

NOTHING_TO_COMPARE = "no purchases after the cuts; nothing to compare"


def money(value: float, currency: str | None) -> str:
    """An amount for a sentence.

    Examples
    --------
    >>> money(1234567.891, "USD")
    'USD 1,234,568'
    """
    digits = 0 if abs(value) >= 1000 else 2
    return f"{currency + ' ' if currency else ''}{value:,.{digits}f}"


def history_lines(summary: Mapping[str, Any], currency: str | None) -> list[str]:
    """Historical CLV in a few lines; what cannot be known is a dash with its reason."""
    poor = f"{NONE} (the log has no amounts)"
    once = f"{NONE} (nobody bought on two days)"
    bare = missing(summary["revenue"])

    def amount(name: str) -> str:
        return poor if bare else once if missing(summary[name]) else money(summary[name], currency)

    years = summary["lifespan_years"]
    margin = summary.get("margin", 1.0)
    after = "" if margin == 1.0 else f" (after a margin of {margin:.0%})".replace("%", " %")
    return [
        f"Historical CLV as of {summary['as_of']}, {summary['customers']:,} customers",
        f"  revenue {amount('revenue')} from {summary['orders']:,} orders",
        f"  average order value {amount('aov')}{after}, "
        f"{summary['purchase_frequency']:.2f} orders per customer and year, "
        f"lifespan {once if missing(years) else f'{years:.2f} years'}",
        f"  formula CLV {amount('formula_clv')}{after}; repeat rate {summary['repeat_rate']:.1%}",
    ]


def span_line(periods: Sequence[Period]) -> str | None:
    """What a horizon in quarters spans, in words; None for one in days.

    Examples
    --------
    >>> import datetime as dt
    >>> from forecast.periods import horizon_periods
    >>> span_line(horizon_periods("2Q", dt.date(2026, 8, 15)))
    '2 quarters 2026Q4 and 2027Q1 and, before them, 46 days of the running quarter 2026Q3 (partial)'
    >>> span_line(horizon_periods("91", dt.date(2026, 8, 15)))
    """
    whole = [period.label for period in periods if not period.partial]
    if "days" in whole[0]:
        return None
    text = f"{len(whole)} quarter{'s' if len(whole) > 1 else ''} {listed(whole)}"
    for period in periods:
        if period.partial:
            them = "them" if len(whole) > 1 else "it"
            days = f"{period.days} day{'s' if period.days > 1 else ''}"
            text += f" and, before {them}, {days} of the running quarter {period.label} (partial)"
    return text


def model_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Saved models, a line each.

    Examples
    --------
    >>> model_lines([{"name": "shop", "version": 1, "aliases": ["champion"], "problem": "it is gone"}])
    ['shop@1 (champion)   as of ?, ? customers  PROBLEM: it is gone']
    """
    return [
        f"{row['name']}@{row['version']}"
        + (f" ({', '.join(row['aliases'])})" if row.get("aliases") else "")
        + f"  {row.get('model', '')} as of {row.get('as_of', '?')}, {row.get('customers', '?')} customers"
        + (f"  PROBLEM: {row['problem']}" if row.get("problem") else "")
        for row in rows
    ]


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


def newcomer_lines(table: pd.DataFrame, levels: tuple[float, ...], currency: str | None) -> list[str]:
    """What the next customer is worth, a line each group.

    Examples
    --------
    >>> row = {"group": "all", "customers_observed": 705, "p_repeat": 0.5, "expected_repeat_purchases": 1.25}
    >>> newcomer_lines(pd.DataFrame([row]), (), "EUR")
    ['  all: 1.25 repeat purchases, 50 % buy again; 705 customers observed']
    """
    told = []
    for row in table[table["customers_observed"].notna()].to_dict("records"):
        repeats = f"{row['expected_repeat_purchases']:.2f} repeat purchases, {row['p_repeat']:.0%} buy again"
        text = repeats.replace("%", " %")
        if "expected_value" in row:
            spans = "; ".join(
                f"{label} % of newcomers {money(row[f'value-lo-{label}'], currency)} to "
                f"{money(row[f'value-hi-{label}'], currency)}"
                for label in map(level_label, levels)
            )
            value, first = (money(row[name], currency) for name in ("expected_value", "first_order_value"))
            text = f"value {value} ({spans}), first order {first}, {text}"
        told.append(f"  {row['group']}: {text}; {row['customers_observed']:,} customers observed")
    return told


def payback_lines(table: pd.DataFrame, currency: str | None) -> list[str]:
    """What winning a customer cost, and when it is paid back, a line each group with spend.

    Examples
    --------
    >>> row = {"group": "ads", "cac": 15.0, "ltv_cac": 2.0, "payback": "in month 4", "p_payback": 0.97,
    ...        "max_cac": 30.0, "acquired": 120.0}
    >>> payback_lines(pd.DataFrame([row]), "EUR")
    ['  ads: CAC EUR 15.00 (120 won), LTV:CAC 2.0, paid back in month 4 (97 % sure within the horizon); \
at most EUR 30.00 is earned back']
    """
    if "cac" not in table:
        return []
    told = []
    for row in table[table["cac"].notna()].to_dict("records"):
        sure = f"{chance(row['p_payback'])} sure within the horizon"
        told.append(
            f"  {row['group']}: CAC {money(row['cac'], currency)} ({row['acquired']:,.0f} won), LTV:CAC "
            f"{row['ltv_cac']:.1f}, paid back {row['payback']} ({sure}); at most "
            f"{money(row['max_cac'], currency)} is earned back"
        )
    return told


def observed_payback_lines(payback: pd.DataFrame, currency: str | None) -> list[str]:
    """What was paid back so far, a line each period and group.

    Examples
    --------
    >>> row = {"period": "2026Q1", "group": "ads", "customers": 120, "cac": 15.0, "months_observed": 4,
    ...        "value_per_customer": 12.0, "payback": "not known yet", "payback_month": np.nan}
    >>> observed_payback_lines(pd.DataFrame([row]), "EUR")
    ['  2026Q1 ads: 120 won at EUR 15.00 each; EUR 12.00 back after 4 months: not known yet']
    """
    told = []
    for row in payback.to_dict("records"):
        head = f"  {row['period']} {row['group']}: {row['customers']:,} won"
        if not row["customers"]:
            told.append(head)
            continue
        month = row["payback_month"]
        status = row["payback"] + (f" in month {month:.0f}" if month == month else "")
        back = money(row["value_per_customer"], currency)
        after = f"after {row['months_observed']} months"
        told.append(f"{head} at {money(row['cac'], currency)} each; {back} back {after}: {status}")
    return told


def plan_lines(table: pd.DataFrame, levels: tuple[float, ...], currency: str | None) -> list[str]:
    """What planned newcomers will be worth, a line each period and group."""
    if "planned_customers" not in table:
        return []
    told = []
    for row in table[table["planned_customers"].notna()].to_dict("records"):
        spans = "; ".join(
            f"{label} % {money(row[f'planned_value-lo-{label}'], currency)} to "
            f"{money(row[f'planned_value-hi-{label}'], currency)}"
            for label in map(level_label, levels)
        )
        value = money(row["planned_value"], currency)
        told.append(
            f"  {row['period']} {row['group']}: {row['planned_customers']:,.0f} customers, {value} ({spans})"
        )
    return told


def what_if_lines(changes: pd.DataFrame, currency: str | None) -> list[str]:
    """The change of each scenario for a newcomer of all groups."""
    low = next(str(name) for name in changes if str(name).startswith("change-lo-"))
    told = []
    for row in changes[(changes["group"] == "all") & (changes["change"] != 0.0)].to_dict("records"):
        ends = f"{money(row[low], currency)} to {money(row[low.replace('lo', 'hi')], currency)}"
        told.append(
            f"  if {row['scenario']}: value {money(row['expected_value'], currency)}, "
            f"that is {money(row['change'], currency)} {'more' if row['change'] > 0 else '(less)'} "
            f"({low[10:]} % {ends})"
        )
    return told


def board_lines(found: Backtest) -> list[str]:
    """The board for a terminal: one line a model, totals of orders and value."""
    table = found.summary()
    lines = []
    for target in ("orders", "value"):
        rows = table[table["target"] == target]
        if not len(rows):
            continue
        if rows["wape"].isna().all():
            lines.append(f"{target}: {NOTHING_TO_COMPARE}")
            continue
        most = int(rows["origins"].max())
        lines.append(f"{target}, {most} origins: error of totals (WAPE), bias, inside 90 %")
        for row in rows.to_dict("records"):
            hits = "" if np.isnan(row["hit_rate"]) else f"  {row['hit_rate']:.0%} inside"
            fewer = "" if row["origins"] == most else f"  {row['origins']} of {most} origins"
            if np.isnan(row["wape"]):
                lines.append(f"  {row['model']:<12} {NONE:>7} {NONE:>8}{fewer}")
                continue
            lines.append(f"  {row['model']:<12} {row['wape']:>7.1%} {row['bias']:>+8.1%}{hits}{fewer}")
    return lines
