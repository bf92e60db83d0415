"""The check of a model as sections: could it have produced the data, and what did the data teach it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from forecast.card import MONTHS
from forecast.evaluation.modelcheck import CheckNumbers
from forecast.evaluation.modelcheck_words import inside, swings, verdict_lines
from forecast.fitting.clock import Clock
from forecast.reports import figures_check
from forecast.reports.blocks import Gallery, Key, Lines, Section, Table, Terms, drawn, table
from forecast.reports.figures_check import overlap_words
from forecast.reports.wording import chance, count, figures, minus, percent, plain

CHECK_TERMS: dict[str, str] = {
    "expected": "What the model would show on average for these customers: given when each made its first "
    "purchase, and nothing else of it.",
    "90 % interval": "Nine of ten data sets made by the model lie in it. It holds the chance in what "
    "customers do and, with a posterior, how uncertain the parameters are.",
    "leave-one-out (elpd)": "Expected log predictive density: how well each customer is foreseen from all "
    "others, summed over customers. Only differences between models on the same orders mean something; "
    "more is better. Computed from the draws by Pareto-smoothed importance sampling (PSIS-LOO).",
    "p_loo": "Effective number of parameters: what the fit gains by having seen each customer.",
    "k-hat": "How much one customer weighs on the posterior. Above 0.7 its term cannot be trusted.",
    "overlap": "Shared area of the densities of prior and posterior: 0 when the data say something else, 1 "
    "when they say nothing.",
}

_CLOCK_TERMS = {
    "season": "How busy each day of the year is, as a multiple of the mean day, the same for all customers. "
    "Ages and gaps between purchases are counted in days of average season. The intervals of counts and "
    "weeks take the season as known; its own interval stands in its figure.",
}


def check_keys(check: CheckNumbers) -> list[Key]:
    """The numbers at the top."""
    one_time = check.counts.iloc[0]
    last = check.tracking.iloc[-1]
    return [
        Key(
            "One-time buyers expected",
            count(one_time["expected"]),
            f"90 %: {count(one_time['lo-90'])} to {count(one_time['hi-90'])}; {count(one_time['observed'])} "
            "seen",
        ),
        Key(
            "Repeat purchases expected",
            count(last["cumulative_expected"]),
            f"90 %: {count(last['cumulative_lo-90'])} to {count(last['cumulative_hi-90'])}; "
            f"{count(last['cumulative_observed'])} seen",
        ),
    ]


def check_sections(check: CheckNumbers) -> list[Section]:
    """All questions, each with its picture."""
    currency = check.facts.get("currency")
    verdict: list[Any] = [Lines(verdict_lines(check), bullets=True)]
    if check.notes:
        verdict.append(Lines(check.lines[-len(check.notes) :], bullets=len(check.notes) > 1, kind="caution"))
    sections = [
        Section("verdict", "The verdict", verdict),
        Section(
            "counts",
            "How often",
            [
                Gallery(
                    [
                        drawn(
                            figures_check.repeat_counts(check.counts),
                            "Grey bars are customers seen; points and whiskers what the model expects, each "
                            "customer at its own age. The scale is a square root: equal distances are about "
                            "equal surprises.",
                        ),
                        _counts_table(check.counts),
                    ]
                )
            ],
        ),
        Section(
            "tracking",
            "When",
            [
                Gallery(
                    [
                        drawn(
                            figures_check.cumulative_purchases(check.tracking),
                            f"The model knows only when customers were won{_and_season(check.clock)}. A line "
                            "that leaves the band means another rhythm than the model's.",
                        ),
                        drawn(
                            figures_check.weekly_purchases(check.tracking),
                            f"Weeks outside the band swing more than chance: {swings(check.clock)}. Only "
                            "whole weeks are drawn.",
                        ),
                    ]
                )
            ],
        ),
    ]
    if check.clock is not None:
        picture = drawn(figures_check.season(check.season), season_words(check.clock))
        sections.append(Section("season", "Season", [picture]))
    if len(check.spend):
        caption = (
            "Customers with a valued repeat purchase, by the mean of these purchases. Spikes out of the "
            "band are often price points."
        )
        picture = drawn(figures_check.spend_density(check.spend, currency=currency), caption)
        sections.append(Section("spend", "How much", [picture]))
    if check.loo[["elpd", "aic"]].notna().to_numpy().any():
        sections.append(_loo_section(check.loo))
    if len(check.prior_posterior):
        sections.append(_prior_section(check.prior_posterior, currency))
    terms = CHECK_TERMS if check.clock is None else {**CHECK_TERMS, **_CLOCK_TERMS}
    sections.append(Section("definitions", "Definitions", [Terms("Words", terms)]))
    return sections


def _and_season(clock: Clock | None) -> str:
    return "" if clock is None else " and how busy each day of the year is"


def season_words(clock: Clock) -> str:
    """Strongest and weakest month, and how far the season was trusted.

    Examples
    --------
    >>> import datetime as dt
    >>> import numpy as np
    >>> print(season_words(Clock(dt.date(2024, 1, 1), 1, (), np.zeros(2), np.zeros(2))))
    No month differs from another by a hundredth.
    >>> waves = Clock(dt.date(2024, 1, 1), 1, (), np.array([0.5, 0.0]), np.zeros(2), 0.06, {"trust": 0.5})
    >>> print(season_words(waves))  # doctest: +ELLIPSIS
    Strongest month: January (1.52 times the mean day), weakest: July (0.58 times). ... trusted to 50 %: ...
    """
    swing = clock.swing()
    if swing["peak"] - swing["low"] < 0.01:
        text = "No month differs from another by a hundredth."
    else:
        text = (
            f"Strongest month: {MONTHS[swing['peak_month'] - 1]} ({swing['peak']:.2f} times the mean day), "
            f"weakest: {MONTHS[swing['low_month'] - 1]} ({swing['low']:.2f} times)."
        )
    trust = clock.facts.get("trust")
    if trust is None:
        return text
    if trust >= 1.0:
        return f"{text} The orders showed every day of the year twice, so the season was trusted in full."
    return (
        f"{text} What the orders showed was trusted to {percent(trust)}: a season that was not seen twice "
        "may have been a campaign or growth."
    )


def _counts_table(counts: pd.DataFrame) -> Table:
    return table(
        counts.assign(inside=_words(counts), span=_spans(counts)),
        "Customers by number of repeat purchases",
        {
            "repeat_purchases": ("Repeats", plain),
            "observed": ("Seen", count),
            "expected": ("Expected", _one_decimal),
            "span": ("90 % interval", str),
            "inside": ("Inside", plain),
        },
    )


def _words(frame: pd.DataFrame) -> list[str]:
    return ["yes" if held else "no" for held in inside(frame)]


def _spans(frame: pd.DataFrame) -> list[str]:
    ends = zip(frame["lo-90"], frame["hi-90"], strict=True)
    return [f"{count(lo)} to {count(hi)}" for lo, hi in ends]


def _one_decimal(value: Any) -> str:
    return minus(f"{value:,.1f}")


def _loo_section(loo: pd.DataFrame) -> Section:
    columns: dict[str, Any] = {"model": ("Model", plain), "customers": ("Customers", count)}
    if loo["elpd"].notna().any():
        columns |= {
            "elpd": ("elpd", _one_decimal),
            "se": ("Standard error", _one_decimal),
            "p_loo": ("p_loo", _one_decimal),
            "k_hat_high": ("k-hat above 0.7", percent),
        }
    else:
        columns |= {
            "log_likelihood": ("Log-likelihood", _one_decimal),
            "aic": ("AIC", _one_decimal),
            "bic": ("BIC", _one_decimal),
        }
    shown = table(
        loo.dropna(axis="columns", how="all"),
        "To compare models by",
        columns,
        note="Compare only models of the same orders; the numbers mean nothing by themselves.",
    )
    return Section("compare", "To compare with another model", [shown])


def _prior_section(found: pd.DataFrame, currency: str | None) -> Section:
    shown = found.assign(
        prior=[_span(row, "prior") for row in found.to_dict("records")],
        posterior=[_span(row, "posterior") for row in found.to_dict("records")],
    )
    columns: dict[str, Any] = {
        "parameter": ("Parameter", plain),
        "prior": ("Prior", str),
        "posterior": ("Posterior", str),
        "overlap": ("Overlap", chance),
    }
    picture = drawn(figures_check.prior_posterior(found, currency=currency), overlap_words(found))
    both = Gallery([picture, table(shown, "Median and 90 % interval, before and after", columns)])
    return Section("prior", "What the data taught", [both])


def _span(row: Mapping[Any, Any], name: str) -> str:
    middle, lo, hi = (figures(row[f"{name}_{end}"], 2) for end in ("median", "lo-90", "hi-90"))
    return f"{middle} ({lo} to {hi})"
