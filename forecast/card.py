"""The card of a model: Markdown for the person who meets the file without its maker."""

from __future__ import annotations

from typing import Any

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
    lines = [
        f"# {name}: {model.title}",
        "",
        f"Fitted by {METHODS[model.purchases.method]} on {p['customers']:,} customers with orders from "
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
    lines += ["", "## Definitions", "", *_definitions(model), "", "## Data", ""]
    lines += [
        f"- {key}: {p[key]}" for key in ("currency", "timezone", "value_policy", "zero_value", "dialect")
    ]
    lines += [f"- fingerprint of the purchases: `{p['fingerprint']}`", ""]
    return "\n".join(lines)


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
            "- Spend is learned from repeat purchases above 0; customers without one get the "
            f"population's mean. Share of repeat purchases with a value: {model.clv.paid_share:.6f}; "
            "expected values are thinned by it."
        )
        lines.append("- Spend is assumed to be independent of how often a customer buys.")
    return lines
