"""What a newcomer is worth, as sections: the table, value by age, payback, a plan, and what-ifs."""

from __future__ import annotations

from typing import Any

import pandas as pd

from forecast.predict.payback import ValueByAge
from forecast.reports import figures_newcomers
from forecast.reports.blocks import Gallery, Key, Section, Terms, drawn, table
from forecast.reports.wording import chance, count, figures, money, percent, plain

NEWCOMER_TERMS: dict[str, str] = {
    "newcomer": "A customer who is won on the day after the last day known.",
    "value": "The first order and all repeat purchases until the horizon, times the margin. Not the same as "
    "residual CLV, which begins today and leaves out what is past.",
    "of four in five": "Predictive: what one newcomer will be worth lies there with that chance. It is "
    "wide, since most never buy again.",
    "limits of the mean": "Credible: how well the mean over many newcomers is known.",
    "group": "By an attribute of the first order; thin groups are shrunk towards the whole.",
    "CAC": "Cost of acquisition: spend of whole months over customers won in them, all spend on the day of "
    "the first order. \u201cAll\u201d are the groups that spend was given for, together.",
    "LTV:CAC": "Value until the horizon over CAC, on the margin given. Rules of thumb such as 3 are meant on "
    "contribution margin.",
    "paid back": "The first month of age at whose end mean cumulative value is at least CAC. \u201cNot "
    "within\u201d says that it is not reached until the horizon, with its chance beside it.",
    "highest CAC": "What is just earned back until the horizon; in nine of ten cases more than the second "
    "number.",
}


def newcomer_keys(found: pd.DataFrame, currency: str | None) -> list[Key]:
    """The numbers at the top: of the whole."""
    whole = found[found["group"] == "all"].iloc[0]
    keys = []
    if "expected_value" in found:
        amount = money(whole["expected_value"])
        keys.append(Key("Value of a newcomer", f"{currency} {amount}" if currency else amount,
                        f"first order {money(whole['first_order_value'])} before margin"))  # fmt: skip
    keys.append(Key("Buy again", percent(whole["p_repeat"]),
                    f"{whole['expected_repeat_purchases']:.2f} repeat purchases each"))  # fmt: skip
    if "cac" in found and whole["cac"] == whole["cac"]:
        keys.append(Key("LTV:CAC", figures(whole["ltv_cac"], 2), f"CAC {money(whole['cac'])}"))
        keys.append(Key("Chance to be paid back", chance(whole["p_payback"]), str(whole["payback"])))
    return keys


def newcomer_sections(
    found: pd.DataFrame, values: ValueByAge | None, changes: pd.DataFrame | None, currency: str | None
) -> list[Section]:
    """All sections of the page of newcomers."""
    groups = found[found["customers_observed"].notna()]
    level = next((str(name)[9:] for name in groups if str(name).startswith("value-lo-")), None)
    if level is not None:
        groups = groups.assign(one=_ends(groups, "value", level), mean=_ends(groups, "expected_value", level))
    shown: dict[str, Any] = {
        "group": ("Group", plain), "customers_observed": ("Customers seen", count),
        "first_order_value": ("First order", money), "p_repeat": ("Buy again", chance),
        "expected_repeat_purchases": ("Repeat purchases", lambda value: figures(value, 3)),
        "expected_value": ("Value", money), "mean": (f"{level} % limits of the mean", str),
        "one": (f"{level} % of newcomers", str),
    }  # fmt: skip
    sections = [Section("groups", "By group", [table(groups, "What a newcomer is worth", shown)])]
    costs = groups[groups["cac"].notna()] if "cac" in groups else None
    if values is not None:
        words = "Bands are 80 % limits of the mean. Where a curve is flat the customers have left."
        figure = figures_newcomers.value_by_age(values, costs, currency=currency)
        months = [m for m in (0, 1, 3, 6, 12, 24, 36) if m <= values.months[-1]]
        by_month = pd.DataFrame({"month": [str(m) for m in months], "value": values.mean[months, 0]})
        shown_months = table(
            by_month, "Of all groups", {"month": ("Months of age", plain), "value": ("Value so far", money)}
        )
        sections.append(Section("age", "Value by age", [Gallery([drawn(figure, words), shown_months])]))
    if costs is not None and len(costs):
        lo = next(str(name) for name in costs if str(name).startswith("max_cac-lo-"))
        columns: dict[str, Any] = {
            "group": ("Group", plain), "acquired": ("Won", count), "spend": ("Spend", money),
            "cac": ("CAC", money), "ltv_cac": ("LTV:CAC", lambda value: figures(value, 2)),
            "payback": ("Paid back", plain), "p_payback": ("Chance of it", chance),
            "max_cac": ("Highest CAC", money), lo: ("nine in ten", money),
        }  # fmt: skip
        sections.append(
            Section("payback", "Cost and payback", [table(costs, "What winning one cost", columns)])
        )
    if "planned_customers" in found:
        planned = found[found["planned_customers"].notna()]
        if level is not None:
            planned = planned.assign(ends=_ends(planned, "planned_value", level))
        columns = {
            "period": ("Period", plain), "group": ("Group", plain),
            "planned_customers": ("Customers", count), "planned_value": ("Value until the horizon", money),
            "ends": (f"{level} % interval", str),
        }  # fmt: skip
        sections.append(
            Section("plan", "Plan", [table(planned, "What the planned newcomers are worth", columns)])
        )
    if changes is not None:
        low = next(str(name) for name in changes if str(name).startswith("change-lo-"))
        lines = changes.assign(ends=_ends(changes, "change", low[10:]))
        columns = {
            "scenario": ("If", plain), "group": ("Group", plain), "expected_value": ("Value", money),
            "change": ("Change", money), "ends": (f"{low[10:]} % limits of the change", str),
        }  # fmt: skip
        note = (
            "What would follow if it were so; whether a measure brings it about, no model of purchases knows."
        )
        sections.append(
            Section("what-if", "What if", [table(lines, "Changed customers", columns, note=note)])
        )
    sections.append(Section("definitions", "Definitions", [Terms("On this page", NEWCOMER_TERMS)]))
    return sections


def _ends(frame: pd.DataFrame, name: str, level: str) -> list[str]:
    pairs = zip(frame[f"{name}-lo-{level}"], frame[f"{name}-hi-{level}"], strict=True)
    return [f"{money(lo)} to {money(hi)}" for lo, hi in pairs]
