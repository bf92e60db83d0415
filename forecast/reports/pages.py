"""Whole pages: one self-contained HTML file each, without scripts and without the network.

Every function returns the page as text; the same input gives the same text. Whatever came from data is
escaped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from forecast.evaluation.backtest import Backtest
from forecast.evaluation.modelcheck import CheckNumbers
from forecast.history import History
from forecast.model import Model
from forecast.orders.reconciliation import Reconciliation
from forecast.orders.sufficiency import Sufficiency
from forecast.predict.payback import ValueByAge
from forecast.reports.blocks import Lines, Section, Terms
from forecast.reports.definitions import MODEL_TERMS, SCORE_TERMS, TERMS
from forecast.reports.html import html_page
from forecast.reports.sections_backtest import (
    Pictures,
    backtest_sections,
    backtest_terms,
    horizons,
    keys,
    leader,
    standing,
    verdict,
)
from forecast.reports.sections_check import check_keys, check_sections
from forecast.reports.sections_newcomers import newcomer_keys, newcomer_sections
from forecast.reports.sections_review import review_keys, review_sections, review_sentences
from forecast.reports.sections_scores import scores_section, segments_section, totals_section
from forecast.reports.sections_shop import (
    customers_section,
    forecast_keys,
    forecast_section,
    history_keys,
    history_section,
    in_short,
    model_section,
    payback_section,
    reconciliation_section,
)
from forecast.reports.wording import NONE, count, day


def backtest_page(
    backtest: Backtest, *, title: str, facts: Mapping[str, Any], shown: Pictures | None = None
) -> str:
    """A backtest: who came nearest, how far off, for whom, and whether intervals held.

    Parameters
    ----------
    backtest : Backtest
    title : str
    facts : mapping
        What the numbers rest on, printed as it comes: ``currency, value_policy, timezone, …``. The currency
        labels amounts.
    shown : dict, optional
        Its pictures where they are drawn already, as `pictures` gives them.

    Returns
    -------
    str
        HTML.

    Examples
    --------
    >>> from forecast.datasets import cdnow
    >>> from forecast.evaluation.backtest import backtest
    >>> from forecast.orders import read_orders
    >>> found = backtest(read_orders(cdnow()), h=91, n_windows=1, candidates="global-mean,naive")
    >>> backtest_page(found, title="Backtest", facts={"currency": "USD"})[:15]
    '<!DOCTYPE html>'
    """
    currency = facts.get("currency")
    sections = backtest_sections(backtest, currency, shown=shown)
    sections.append(Section("definitions", "Definitions", backtest_terms(backtest)))
    return html_page(
        title,
        deck="Forecasts made from what was known at each cut-off, beside what happened after it.",
        keys=keys(backtest),
        facts={**facts, "cut-offs": horizons(backtest)},
        sections=sections,
    )


def demo_page(
    *,
    history: History,
    model: Model,
    scores: pd.DataFrame,
    portfolio: pd.DataFrame,
    backtest: Backtest,
    reconciliation: Reconciliation,
    facts: Mapping[str, Any],
    shown: Pictures | None = None,
) -> str:
    """CDNOW from order log to forecast: the whole job on one page.

    Parameters
    ----------
    history : History
    model : Model
    scores, portfolio : DataFrame
        As from ``Model.score`` and ``Model.portfolio``, with one ``as_of`` and horizon.
    backtest : Backtest
    reconciliation : Reconciliation
    facts, shown
        As for `backtest_page`.

    Returns
    -------
    str
        HTML.
    """
    currency = facts.get("currency")
    summary = backtest.summary()
    name = leader(summary)
    own = standing(summary, "orders")
    row = own[own["model"] == name]
    held = str(row["held"].iloc[0]) if len(row) and row["held"].iloc[0] != NONE else None
    sections = [
        reconciliation_section(reconciliation),
        history_section(history),
        model_section(model),
        forecast_section(portfolio, scores, currency, held, str(name)),
        customers_section(scores, currency),
        *backtest_sections(backtest, currency, detail=False, shown=shown),
        Section("definitions", "Definitions", [Terms("Forecasts", MODEL_TERMS), *backtest_terms(backtest)]),
    ]
    more: dict[str, Any] = {"cut-offs of the backtest": horizons(backtest)}
    if len(scores):
        horizon = f"{count(scores['horizon_days'].iloc[0])} days after {day(scores['as_of'].iloc[0])}"
        more["horizon of the forecast"] = horizon
    return html_page(
        "CDNOW, from order log to forecast",
        deck="One log of orders, read, counted, modelled and forecast; and every forecast held against what "
        "happened.",
        keys=[
            *history_keys(history)[:3],
            *forecast_keys(portfolio, scores, currency),
            *keys(backtest)[:1],
            *keys(backtest)[2:3],
        ],
        lead=[Lines([*in_short(history, portfolio, scores, currency), *verdict(summary)[:2]], True)],
        facts={**facts, **more},
        sections=sections,
    )


def history_page(
    history: History,
    facts: Mapping[str, Any],
    *,
    title: str = "Historical CLV",
    payback: pd.DataFrame | None = None,
) -> str:
    """What customers have been worth: numbers with definitions, and cohorts.

    Parameters
    ----------
    history : History
    facts : mapping
        As for `backtest_page`.
    title : str
    payback : DataFrame, optional
        As from ``History.payback``.

    Returns
    -------
    str
        HTML.
    """
    more = [] if payback is None else [payback_section(payback)]
    return html_page(
        title,
        deck="What customers have been worth so far: the baseline of every forecast.",
        keys=history_keys(history),
        facts=dict(facts),
        sections=[history_section(history), *more],
    )


def scores_page(
    scores: pd.DataFrame, portfolio: pd.DataFrame, facts: Mapping[str, Any], *, title: str = "Scores"
) -> str:
    """Every customer of a scoring, and the totals.

    Parameters
    ----------
    scores, portfolio : DataFrame
        As from ``Model.score`` and ``Model.portfolio``, with one ``as_of`` and horizon.
    facts : mapping
        As for `backtest_page`.
    title : str

    Returns
    -------
    str
        HTML.
    """
    currency = facts.get("currency")
    segments = segments_section(scores, currency)
    sections = [
        totals_section(portfolio, scores, currency),
        *([] if segments is None else [segments]),
        scores_section(scores, currency),
        Section("definitions", "Definitions", [Terms("Words", {**MODEL_TERMS, **SCORE_TERMS})]),
    ]
    return html_page(
        title,
        deck="What each customer is expected to buy after the last day known.",
        keys=forecast_keys(portfolio, scores, currency),
        facts=dict(facts),
        sections=sections,
    )


def newcomers_page(
    found: pd.DataFrame, values: ValueByAge | None, changes: pd.DataFrame | None, facts: Mapping[str, Any]
) -> str:
    """What a customer is worth who is not won yet, as HTML.

    Parameters
    ----------
    found : DataFrame
        As from ``Model.newcomers``.
    values : ValueByAge, optional
    changes : DataFrame, optional
        As from ``forecast.what_if``.
    facts : mapping
    """
    currency = facts.get("currency")
    return html_page(
        "What a newcomer is worth",
        deck="A customer who is won tomorrow: the first order, and what follows it.",
        keys=newcomer_keys(found, currency),
        facts=facts,
        sections=newcomer_sections(found, values, changes, currency),
    )


def check_page(
    reconciliation: Reconciliation,
    verdict: Sufficiency,
    facts: Mapping[str, Any],
    *,
    title: str = "Check of an order log",
) -> str:
    """Whether an order log can be used, and for what; where every row went.

    Parameters
    ----------
    reconciliation : Reconciliation
    verdict : Sufficiency
    facts : mapping
        As for `backtest_page`.
    title : str

    Returns
    -------
    str
        HTML.
    """
    blocks: list[Any] = [Lines(list(verdict.warnings), True, "caution")] if verdict.warnings else []
    blocks.append(Lines(list(verdict.lines), True))
    return html_page(
        title,
        deck="Where every row and every amount went, and what the orders suffice for.",
        facts=dict(facts),
        sections=[
            Section("sufficiency", "What the orders suffice for", blocks),
            reconciliation_section(reconciliation),
            Section("definitions", "Definitions", [Terms("Words", {"purchase": TERMS["purchase"]})]),
        ],
    )


def model_check_page(check: CheckNumbers, *, title: str = "Check of a model") -> str:
    """Whether a model could have produced the orders it was fitted on.

    Parameters
    ----------
    check : ModelCheck
    title : str

    Returns
    -------
    str
        HTML.
    """
    return html_page(
        title,
        deck=f"{check.title}: what the fitted model would have shown, beside what was seen.",
        keys=check_keys(check),
        facts=check.facts,
        sections=check_sections(check),
    )


def review_content(
    lines: pd.DataFrame,
    record: pd.DataFrame,
    *,
    quarter: str,
    facts: Mapping[str, Any],
    cohorts: pd.DataFrame | None = None,
    drift: pd.DataFrame | None = None,
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """What stands on the page of a quarter's review, for :func:`html_page` and ``markdown_page``.

    Parameters
    ----------
    lines : DataFrame
        As in ``Comparison.lines``.
    record : DataFrame
        As from ``forecast.track_record``.
    quarter : str
    facts : mapping
        What the numbers rest on; ``currency`` labels amounts.
    cohorts : DataFrame, optional
        As in ``Comparison.cohorts``.
    drift : DataFrame, optional
        As from ``forecast.drift``.
    notes : sequence of str
    """
    currency = facts.get("currency")
    return {
        "title": f"Forecast and actual, {quarter}",
        "deck": "What was forecast before the quarter began, frozen then, beside what happened.",
        "keys": review_keys(lines, currency),
        "lead": [Lines(review_sentences(lines, quarter, currency))],
        "facts": facts,
        "sections": review_sections(
            lines, record, currency=currency, cohorts=cohorts, drift=drift, notes=notes
        ),
    }
