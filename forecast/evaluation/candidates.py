"""What competes in a backtest: fitted models and simple rules behind one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from forecast.errors import ArgumentError
from forecast.evaluation.baselines import BASELINES
from forecast.evaluation.origins import Origin
from forecast.fitting import GAMMA_GAMMA, PURCHASE_MODELS, Fitted, fit_purchases, fit_spend, purchase_model
from forecast.fitting.clock import Clock, fit_clock
from forecast.fitting.design import read_traits
from forecast.fitting.mean_spend import fit_mean_spend
from forecast.fitting.spec import BG_NBD, DEFAULT_CANDIDATES
from forecast.predict import ClvModel, Customers, predict_customers
from forecast.predict.customers import score_counts
from forecast.predict.population import spend_history
from forecast.predict.portfolio import simulate_totals
from forecast.summary import HistoryTable
from forecast.summary.statistics import (
    DayCounts,
    PurchaseCounts,
    SpendCounts,
    group_purchases,
    group_spend,
)

LEVEL = 90.0
AUTO = "auto"
HGB, AVERAGE = "hgb", "average"
LEARNERS = (HGB, AVERAGE)  # beside the models on the board; never chosen, never saved


@dataclass(frozen=True)
class Forecasts:
    """What a candidate says at one origin.

    Attributes
    ----------
    customers : dict of str to ndarray, shape (customers,)
        ``expected_purchases`` and, where they exist, ``expected_value, p_purchase``.
    totals : dict of str to ndarray, shape (draws,)
        Joint draws of ``purchases, active, value`` of all customers; empty for a rule.
    counts : dict of str to ndarray, shape (customers,)
        Exact scores of the predictive counts against the outcome; empty for a rule.
    """

    customers: dict[str, np.ndarray]
    totals: dict[str, np.ndarray] = field(default_factory=dict)
    counts: dict[str, np.ndarray] = field(default_factory=dict)


def fit_clv(
    histories: HistoryTable,
    purchases: str = "bg-nbd",
    method: str = "laplace",
    *,
    priors: Mapping[str, Any] | None = None,
    by: str | None = None,
    covariates: Mapping[str, Any] | None = None,
    seasonal: bool | Clock = False,
    spend: str | Fitted | None = "repeat",
    seed: int = 0,
    progress: bool = False,
) -> ClvModel:
    """Fit a purchase model and, where orders carry money, Gamma-Gamma, on sufficient statistics.

    Parameters
    ----------
    histories : HistoryTable
        Of orders or given, with the columns that ``by`` and ``covariates`` name.
    purchases : str
    method : {'laplace', 'nuts', 'mle'}
    priors : mapping, optional
        Overrides of the weak priors.
    by : str, optional
        A column whose groups are partially pooled.
    covariates : mapping, optional
        Columns by what they act on: ``{"rate": ["channel"], "dropout": [...], "spend": [...]}``.
    seasonal : bool or Clock
        On a seasonal clock, which is fitted first or was fitted to the same histories.
    spend : {'repeat', 'all', 'mean'} or Fitted, optional
        Gamma-Gamma on repeat purchases or on all, or one mean for everybody, or what was fitted to the same
        histories; None: purchases alone.
    seed : int
    progress : bool

    Raises
    ------
    ArgumentError
        When the model or an effect is unknown.
    InputError
        When a trait is missing or cannot be encoded.
    FitError
        When the data do not identify it.
    """
    spec = purchase_model(purchases)
    known = [*spec.effects, *GAMMA_GAMMA.effects]
    options: dict[str, Any] = {"method": method, "priors": priors, "seed": seed, "progress": progress}
    clock = None
    if by is None and not covariates:
        counts = PurchaseCounts(*histories.purchase_counts())
        values = SpendCounts(*histories.spend_counts(first=spend == "all"))
    else:
        frame = histories.to_frame()
        cell, options["traits"] = read_traits(frame, by, covariates, known)
        values = group_spend(*spend_history(frame, "all" if spend == "all" else "repeat"), cell)
        x, t_x, age = (frame[name].to_numpy() for name in ("frequency", "recency", "T"))
        counts = group_purchases(x, t_x, age, cell)
    if seasonal:
        days = DayCounts.of(counts, histories.as_of, histories.repeat_days())
        clock = seasonal if isinstance(seasonal, Clock) else fit_clock(BG_NBD, days)
        counts = days.on(clock.intensity(days.days))
    fitted = fit_purchases(spec, counts, **options)
    if spend is None or not len(values.n):
        return ClvModel(fitted, clock=clock)
    if isinstance(spend, Fitted):
        return ClvModel(fitted, spend, histories.paid_share, clock)
    if spend == "mean":
        worth = fit_mean_spend(values, method, seed=seed)
    else:
        worth = fit_spend(values, **options)
    if spend != "repeat":
        worth = replace(worth, extra={**worth.extra, "from": spend})
    return ClvModel(fitted, worth, histories.paid_share, clock)


@dataclass(frozen=True)
class Candidate:
    """A fitted model in a backtest, and what is done with it.

    Attributes
    ----------
    purchases : str
    seasonal : bool
        On a seasonal clock.
    level : bool
        Corrected by what its own earlier forecasts teach.
    spend : {'repeat', 'all', 'mean'}
        What spend is learned from.
    """

    purchases: str
    seasonal: bool = False
    level: bool = False
    spend: str = "repeat"

    @property
    def name(self) -> str:
        spend = "" if self.spend == "repeat" else f"+{self.spend}-spend"
        return self.purchases + "+season" * self.seasonal + "+level" * self.level + spend

    @classmethod
    def parse(cls, name: str) -> Candidate:
        """``bg-nbd+season+level``, ``bg-nbd+all-spend``.

        Raises
        ------
        ArgumentError
            When the model or a suffix is unknown.

        Examples
        --------
        >>> Candidate.parse("mbg-nbd+season")
        Candidate(purchases='mbg-nbd', seasonal=True, level=False, spend='repeat')
        """
        model, *more = name.split("+")
        spec = purchase_model(model)
        spends = [word.removesuffix("-spend") for word in more if word in ("all-spend", "mean-spend")]
        if set(more) - {"season", "level", "all-spend", "mean-spend"} or len(spends) > 1:
            raise ArgumentError(
                f"candidate {name!r} is not understood",
                advice="Write MODEL, MODEL+season, MODEL+season+level, MODEL+all-spend, MODEL+mean-spend.",
            )
        return cls(spec.name, "season" in more, "level" in more, *spends)


def check_candidates(names: Sequence[str] | str | None) -> list[str]:
    """Names of candidates, each once and known.

    Raises
    ------
    ArgumentError
        When a name is unknown or none is given.

    Examples
    --------
    >>> check_candidates("bg-nbd,bg-nbd+season,naive")
    ['bg-nbd', 'bg-nbd+season', 'naive']
    """
    if names is None:
        return [AUTO, *DEFAULT_CANDIDATES, *BASELINES]
    if isinstance(names, str):
        names = [name.strip() for name in names.split(",") if name.strip()]
    others = (*BASELINES, *LEARNERS, AUTO)
    unknown = [name for name in names if name not in others and not _is_model(name)]
    if unknown or not names:
        raise ArgumentError(
            f"unknown candidates: {', '.join(unknown) or 'none given'}",
            advice=f"Choose from {', '.join([AUTO, *PURCHASE_MODELS, *LEARNERS, *BASELINES])}; "
            "models may have +season, +level and +all-spend or +mean-spend.",
        )
    return list(dict.fromkeys(names))


def _is_model(name: str) -> bool:
    try:
        Candidate.parse(name)
    except ArgumentError:
        return False
    return True


def forecast_rule(name: str, origin: Origin) -> Forecasts | None:
    """What a simple rule says; None where it does not exist yet (a year of history is missing)."""
    histories = origin.histories
    if not origin.has_value:  # the rules reckon money beside purchases; without any it is left out below
        money = ("historical_value", "first_value", "previous_value", "last_year_value")
        histories = histories.assign(**dict.fromkeys(money, 0.0))
    found = BASELINES[name](histories, origin.days)
    if np.isnan(found.expected_purchases).any():
        return None
    customers = {"expected_purchases": found.expected_purchases}
    if origin.has_value:
        customers["expected_value"] = found.expected_value
    return Forecasts(customers)


def forecast_model(model: ClvModel, origin: Origin, *, draws: int, seed: int) -> Forecasts:
    """What a fitted model says: means, joint totals and exact scores of the counts."""
    customers = Customers.from_frame(origin.histories, model)
    found = predict_customers(model, customers, days=origin.days)
    totals = simulate_totals(model, customers, days=origin.days, draws=draws, seed=seed)
    actual = origin.actual["actual_purchases"].to_numpy()
    return Forecasts(
        {
            name: found[name]
            for name in ("expected_purchases", "expected_value", "p_purchase")
            if name in found
        },
        {name: values.sum(axis=0) for name, values in totals.items()},
        score_counts(model, customers, actual, days=origin.days),
    )
