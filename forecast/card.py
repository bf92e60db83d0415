"""The card of a model: Markdown for the person who meets the file without its maker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from forecast.history.rfm import RULE
from forecast.predict.calibration import YEAR

_NORMAL_95 = 1.959963984540054
_EFFECT_COLUMNS = [
    "model", "effect", "trait", "estimate", "standard_error", "lower_95", "upper_95", "factor",
]  # fmt: skip

METHODS = {
    "mle": "maximum likelihood",
    "laplace": "the posterior's mode and weighted draws",
    "nuts": "draws of the posterior (NUTS)",
    "given": "given parameters",
}


def model_card(model: Any, name: str) -> str:
    """What it is, from which data, how sure, and what it must not be used for.

    Parameters
    ----------
    model : Model
    name : str

    Returns
    -------
    str
        Markdown.
    """
    p = model.provenance
    untold = "not told by histories" if p["dialect"] == "histories" else None
    orders = "purchases, given as histories," if untold else "orders"
    lines = [
        f"# {name}: {model.title}",
        "",
        f"Fitted by {METHODS[model.purchases.method]} on {p['customers']:,} customers with {orders} from "
        f"{p['first_day']} to {p['as_of']} (inclusive).",
        "",
        f"**Verdict.** {model.verdict}.",
        "",
        "| model | parameter | unit | estimate | standard error | 95 % limits |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.model} | {row.parameter} | {row.unit} | {row.estimate:.6g} | {row.standard_error:.3g} | "
        f"{row.lower_95:.4g} to {row.upper_95:.4g} |"
        for row in model.summary().itertuples()
    ]
    lines += _chosen(model)
    lines += _spend(model)
    lines += _effects(model)
    lines += _cut_offs(model)
    lines += ["", "## Definitions", "", *_definitions(model), "", "## Data", ""]
    lines += [
        f"- {key}: {untold if p[key] is None else p[key]}"
        for key in ("currency", "timezone", "value_policy", "zero_value", "dialect")
    ]
    what = "histories" if untold else "purchases"
    lines += [f"- fingerprint of the {what}: `{p['fingerprint']}`", ""]
    return "\n".join(lines)


MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)  # fmt: skip


def _chosen(model: Any) -> list[str]:
    """Why this model, what its season does, and what earlier forecasts taught, in sentences."""
    lines: list[str] = []
    choice = model.provenance.get("choice") or {}
    if choice.get("table") or choice.get("reason", "") != "asked for by name":
        lines += ["", "## Choice", "", f"{choice.get('candidate', '')}: {choice.get('reason', '')}.", ""]
    if choice.get("table"):
        lines += [
            "Score: logarithm of the CRPS of customers' purchases plus half the absolute logarithm of "
            "forecast over actual total, the mean over origins; smaller is better.",
            "",
            "| candidate | score | behind the best | standard error |",
            "|---|---|---|---|",
        ]
        lines += [
            "| {candidate} | {score:.4f} | {difference:.4f} | {standard_error:.4f} |".format(**row)
            for row in choice["table"]
        ]
    clock = model.clv.clock
    if clock is not None:
        swing = clock.swing()
        lines += [
            "",
            "## Season",
            "",
            f"Customers buy {swing['peak']:.2f} times as often as on average in "
            f"{MONTHS[swing['peak_month'] - 1]} and {swing['low']:.2f} times in "
            f"{MONTHS[swing['low_month'] - 1]}. Purchase parameters are in days of average season.",
        ]
    taught = model.clv.calibration
    if taught.level_sd > 0.0:
        number = len(taught.facts.get("origins", []))
        lines += [
            "",
            "## Level",
            "",
            f"Learned from {number} earlier quarters: time in the quarter ahead is multiplied by "
            f"{taught.level:.3f}, in the four quarters ahead by {_quarters(taught.levels)}, and totals are "
            f"taken to be off by {taught.level_sd:.1%} (one standard deviation) for reasons that no "
            "customer's history shows.",
        ]
    if taught.spend_sd > 0.0:
        lines += [
            "",
            f"Values of repeat purchases are multiplied by {taught.spend_level(0.0, 91.0):.3f} in the "
            f"quarter ahead, by {_quarters(taught.spend_levels)} in the next four, as earlier quarters were "
            f"off; totals of value are taken to be off by {taught.spend_sd:.1%} for it.",
        ]
    return lines


def _quarters(levels: np.ndarray) -> str:
    """Mean levels of the next four quarters, ``1.000, 0.950 ...``."""
    each = np.resize(levels, YEAR) if len(levels) == 1 else levels[:YEAR]
    return ", ".join(f"{level:.3f}" for level in each.reshape(4, -1).mean(axis=1))


_LEARNED = {
    "repeat": "Spend is learned from repeat purchases above 0; customers without one get the "
    "population's mean.",
    "all": "Spend is learned from all purchases above 0, the first included; customers without one get the "
    "population's mean.",
    "mean": "Spend is the mean of all repeat purchases above 0, the same for every customer; its intervals "
    "hold how single purchases vary.",
}


def _spend(model: Any) -> list[str]:
    """Why spend is learned as it is, how that fared, and whether spend depends on frequency."""
    told = model.provenance.get("spend") or {}
    lines: list[str] = []
    if told.get("table"):
        lines += [
            f"Chosen: {told['reason']}.",
            "",
            "| spend from | MAE | RMSE | Gini of value | score behind the best | standard error |",
            "|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {row['spend']} | {row['mae']:.3f} | {row['rmse']:.3f} | {row['gini']:.3f} | "
            f"{row['difference']:.4f} | {row['standard_error']:.4f} |"
            for row in told["table"]
        ]
        lines += [
            "",
            "Errors of buyers' mean purchase value, relative to one mean for everybody. The score is the "
            "mean logarithm of MAE, RMSE and 1 - Gini; smaller is better.",
        ]
    if told.get("classes"):
        parts = [f"{row['repeat_purchases']} {row['ratio']:.2f}" for row in told["classes"]]
        lines += ["", f"Forecast over actual by repeat purchases before: {', '.join(parts)}."]
    if told.get("check"):
        lines += ["", told["check"]["text"]]
    return ["", "## Spend", "", *lines[lines[:1] == [""] :]] if lines else []


def _effects(model: Any) -> list[str]:
    """Covariates one by one; groups in words, since there may be hundreds."""
    lines: list[str] = []
    by = model.provenance.get("by")
    if by is not None:
        sizes = model.purchases.extra.get("group_customers", [])
        told = f", of {min(sizes):,} to {max(sizes):,} customers" if sizes else ""
        count = len(model.purchases.effects.design.names) - 1
        lines += [
            "",
            "## Groups",
            "",
            f"Parameters differ between the {count} groups of `{by}`{told}; the table above is the typical "
            "group's. Small groups are drawn towards it. A group that was not there before is forecast as a "
            "draw from all groups.",
            "",
        ]
        for fitted in (model.purchases, model.spend):
            if fitted is not None and fitted.effects is not None:
                between = ", ".join(
                    f"{name} {v['estimate']:.2f}" for name, v in fitted.extra["between"].items()
                )
                lines.append(f"Standard deviation between groups, {fitted.spec.title}: {between}.")
    elif model.provenance.get("covariates"):
        lines += [
            "",
            "## Covariates",
            "",
            "| model | effect | trait | times | 95 % limits |",
            "|---|---|---|---|---|",
        ]
        lines += [
            f"| {row.model} | {row.effect} | {row.trait} | {row.factor:.3f} | "
            f"{np.exp(row.lower_95):.3f} to {np.exp(row.upper_95):.3f} |"
            for row in model.effects().itertuples()
        ]
        lines += ["", "Numbers are standardised: their effect is that of one standard deviation."]
    return lines


def _cut_offs(model: Any) -> list[str]:
    """Tiers and RFM groups with the numbers at which they begin."""
    if model.clv.cut_offs is None:
        return []
    what = "value" if model.spend is not None else "purchases"
    unit = f" ({model.provenance['currency']})" if model.spend and model.provenance["currency"] else ""
    lines = [
        "",
        "## Tiers",
        "",
        f"By the expected {what} of the next 365 days, at margin 1 and without discount{unit}, whatever the "
        "horizon of a score. Cut from the customers fitted on at the best 1, 5, 10, 25 and 50 % of them, and "
        "the same for every later score until a new fit. Equal values are in one tier.",
        "",
        "| tier | from | share at the fit |",
        "|---|---|---|",
    ]
    lines += [
        f"| {row.tier} | {_cut(row.from_value)} | {row.share_at_fit:.2%} |"
        for row in model.tiers.itertuples()
    ]
    rfm = model.rfm
    lines += [
        "",
        "## RFM groups",
        "",
        "Classes 5 to 1 of recency (days since the last purchase), frequency (purchases) and, where there "
        "is money, historical value. Days and value were cut at fifths of the customers fitted on; the "
        "classes of purchases are fixed, since most customers of most shops have bought once.",
        "",
        "| class | days, at most | purchases, at least |" + " value, at least |" * ("value_from" in rfm),
        "|---|---|---|" + "---|" * ("value_from" in rfm),
    ]
    for row in rfm.to_dict("records"):
        value = f" {_cut(row['value_from'])} |" if "value_from" in row else ""
        lines.append(f"| {row['score']} | {row['days_up_to']:g} | {row['purchases_from']} |{value}")
    lines += [
        "",
        "Groups have Shopify's names; the rule is ours, and its first line that fits counts. Frequency "
        "counts twice where there is no money.",
        "",
        "| recency | frequency + money | group |",
        "|---|---|---|",
    ]
    return lines + [f"| {recency} | {rest} | {group} |" for recency, rest, group in RULE]


def _cut(value: float) -> str:
    return f"{value:,.6g}" if np.isfinite(value) else "nobody: too few customers"


def _definitions(model: Any) -> list[str]:
    lines = [
        "- A purchase is all orders of one customer on one day of the shop; time is in days.",
        "- Expected values are means. Intervals are predictive: they cover what a customer will do"
        + (
            ", given the parameters; how uncertain these are is not in them."
            if model.purchases.method == "mle"
            else " and how uncertain the parameters are; a level that drifts is not in them."
        ),
    ]
    if model.purchases.spec.name == "bg-nbd":
        lines.append(
            "- BG/NBD calls every one-time buyer alive (p_alive = 1). That is a property of the model; "
            "decide with p_purchase."
        )
    if model.spend is not None:
        lines.append(
            f"- {_LEARNED[model.clv.spend_from]} Share of repeat purchases with a value: "
            f"{model.clv.paid_share:.6f}; expected values are thinned by it."
        )
        lines.append("- Spend is assumed to be independent of how often a customer buys.")
    return lines


def parameter_table(parts: Sequence[Any], currency: str | None) -> pd.DataFrame:
    """Parameters of fitted models with standard errors, 95 % limits and the verdict, in long form."""
    rows = []
    for fitted in parts:
        if fitted is None:
            continue
        unit = "days" if fitted is parts[0] else currency or "currency"
        for name, value in fitted.parameters.items():
            error = fitted.standard_errors[name]
            factor = float(np.exp(_NORMAL_95 * error / value))
            rows.append(
                {
                    "model": fitted.spec.title,
                    "parameter": name,
                    "unit": unit if name in fitted.spec.scaled else "",
                    "estimate": value,
                    "standard_error": error,
                    "lower_95": value / factor,
                    "upper_95": value * factor,
                    "verdict": str(fitted.verdict),
                }
            )
    return pd.DataFrame(rows)


def effect_table(parts: Sequence[Any]) -> pd.DataFrame:
    """Effects of groups or covariates on the parameters of fitted models, in long form."""
    rows = []
    for fitted in parts:
        if fitted is None or fitted.effects is None:
            continue
        draws = fitted.effects.draws
        errors = fitted.extra.get("effect_errors", draws.std(axis=0))
        for i, name in enumerate(fitted.effects.names):
            effect, trait = name.split(":", 1)
            estimate = float(draws[:, i].mean())
            limits = np.array([estimate - _NORMAL_95 * errors[i], estimate + _NORMAL_95 * errors[i]])
            if len(draws) > 1:
                limits = np.quantile(draws[:, i], [0.025, 0.975])
            values = (estimate, float(errors[i]), *limits.tolist(), float(np.exp(estimate)))
            rows.append(dict(zip(_EFFECT_COLUMNS, (fitted.spec.title, effect, trait, *values), strict=True)))
    return pd.DataFrame(rows, columns=_EFFECT_COLUMNS)
