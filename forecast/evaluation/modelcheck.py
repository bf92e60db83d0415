"""Whether a fitted model could have produced the data it was fitted on, and how it compares to another.

The questions are a shop's: how many customers came back how often, when, and what they spent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from forecast.errors import ArgumentError
from forecast.evaluation.leave_one_out import LeaveOneOut, difference, leave_one_out, same_rows
from forecast.evaluation.modelcheck_words import compared, summary_rows, verdict_lines
from forecast.evaluation.priorcheck import POSTERIOR_COLUMNS, PRIOR_COLUMNS, prior_posterior
from forecast.evaluation.seasoncheck import Seen, same_time, season_ahead, seen
from forecast.fitting import Fitted
from forecast.fitting.clock import Clock
from forecast.periods import check_seed, parse_day
from forecast.predict.replication import count_chances, mean_chances, replicated_classes, replicated_weeks
from forecast.summary import Histories, purchase_histories
from forecast.summary.given import HISTORIES
from forecast.summary.histories import check_orders

LEVEL = 90.0
MOST = 10
_MOST_CLASSES = 30

LOO_COLUMNS = (
    "part", "model", "method", "customers", "elpd", "se", "p_loo", "k_hat_high",
    "log_likelihood", "aic", "bic",
)  # fmt: skip
SEASON_COLUMNS = ("day", "intensity", "lo-90", "hi-90")


@dataclass(frozen=True, repr=False)
class CheckNumbers:
    """What a check of a fitted model found.

    Attributes
    ----------
    title, method : str
        Of the model.
    facts : dict
        What the check rests on: ``as_of, customers, currency, …``.
    counts : pandas.DataFrame
        ``repeat_purchases`` (``"0"`` … ``"9"``, ``"10+"``), ``observed, expected, lo-90, hi-90`` customers.
    tracking : pandas.DataFrame
        A row a week: ``day`` (its last), ``days``, and ``weekly`` and ``cumulative`` repeat purchases:
        ``weekly_observed, weekly_expected, weekly_lo-90, weekly_hi-90, cumulative_observed, …``.
    spend : pandas.DataFrame
        A row a class of customers' mean spend, equally wide on a log scale: ``from, to, observed, expected,
        lo-90, hi-90`` customers; empty without a spend model.
    loo : pandas.DataFrame
        A row a part, purchases and spend: leave-one-out ``elpd, se, p_loo`` and the share of customers with
        ``k_hat_high``; after ``mle`` ``log_likelihood, aic, bic`` in its place.
    prior_posterior : pandas.DataFrame
        Each parameter's prior and posterior median and 90 % interval, and their ``overlap``; empty after
        ``mle``.
    notes : tuple of str
        What could not be checked, and why.
    season : pandas.DataFrame
        The seasonal clock of the year after ``as_of``: ``day, intensity, lo-90, hi-90``, where 1 is the mean
        day; empty without a clock.
    clock : Clock or None
        The clock itself. Every number of the check is in its time; weeks are those of the calendar.
    """

    title: str
    method: str
    facts: dict[str, Any]
    counts: pd.DataFrame
    tracking: pd.DataFrame
    spend: pd.DataFrame
    loo: pd.DataFrame
    prior_posterior: pd.DataFrame
    notes: tuple[str, ...] = ()
    left_out: dict[str, LeaveOneOut] = field(default_factory=dict)
    season: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(SEASON_COLUMNS)))
    clock: Clock | None = None

    @property
    def lines(self) -> list[str]:
        """The verdict, one sentence or two a question."""
        return [*verdict_lines(self), *(note[:1].upper() + note[1:] + "." for note in self.notes)]

    @property
    def verdict(self) -> str:
        """The verdict in words."""
        return " ".join(self.lines)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.title} by {self.method}: {self.lines[0]}>"

    def summary(self) -> pd.DataFrame:
        """Observed and expected numbers side by side, each with a verdict.

        Returns
        -------
        pandas.DataFrame
            ``check, quantity, observed, expected, lo-90, hi-90, verdict``.
        """
        return pd.DataFrame(summary_rows(self))

    def compare(self, other: CheckNumbers) -> pd.DataFrame:
        """Which of two models foresees left-out customers better, part by part.

        Parameters
        ----------
        other : ModelCheck
            Of another model on the same orders.

        Returns
        -------
        pandas.DataFrame
            ``part, model, other, criterion, difference, se, verdict``. A positive difference speaks for
            this model. Without a posterior (``mle``) it is half the difference in AIC, without an error.

        Raises
        ------
        ArgumentError
            When the checks are of different orders, one model has a posterior and the other has not, or
            their likelihoods leave out different terms (CNBD-k of different k, or another seasonal clock).
        """
        if not isinstance(other, CheckNumbers):
            raise ArgumentError(
                f"a check is needed, not {type(other).__name__}",
                advice="Check the other model too: forecast.check_model(other, orders).",
            )
        if (self.method == "mle") != (other.method == "mle"):
            raise ArgumentError(
                "a model with a posterior cannot be compared to one without",
                advice="Fit both by laplace or nuts.",
            )
        lines = []
        for own in self.loo.to_dict("records"):
            rivals = other.loo[other.loo["part"] == own["part"]].to_dict("records")
            if not rivals or (own["part"] == "spend" and self._first_counts != other._first_counts):
                continue  # likelihoods of different purchases are not comparable
            names = {"part": own["part"], "model": own["model"], "other": rivals[0]["model"]}
            lines.append(names | self._against(other, own, rivals[0]))
        if not lines or self.facts["fingerprint"] != other.facts["fingerprint"]:
            raise ArgumentError(
                "the two checks do not speak of the same orders",
                advice="Check both models on the orders they were fitted on.",
            )
        return pd.DataFrame(lines)

    @property
    def _first_counts(self) -> bool:
        return self.facts.get("spend is learned from") == "all"

    def _against(self, other: CheckNumbers, own: Mapping, rival: Mapping) -> dict[str, Any]:
        if _regularity(own["model"]) != _regularity(rival["model"]):
            raise ArgumentError(
                f"likelihoods of {own['model']} and {rival['model']} are not comparable: they leave out "
                "different terms of the times between purchases",
                advice="Compare them by a backtest.",
            )
        if own["part"] == "purchases" and not same_time(self.clock, other.clock):
            raise ArgumentError(
                "likelihoods on different seasonal clocks, or with and without one, are not comparable: they "
                "measure time in different units",
                advice="Compare the models by a backtest.",
            )
        if self.method == "mle":
            found, error, criterion = (rival["aic"] - own["aic"]) / 2.0, float("nan"), "AIC"
        else:
            one, two = self.left_out[own["part"]], other.left_out[rival["part"]]
            if not same_rows(one, two):
                raise ArgumentError(
                    "the two checks do not speak of the same customers",
                    advice="Check both models on the orders they were fitted on.",
                )
            (found, error), criterion = difference(one, two), "LOO"
        words = compared(own, rival, found, error)
        return {"criterion": criterion, "difference": found, "se": error, "verdict": words}


def _regularity(title: str) -> str:
    """Of how many events one is a purchase, by the model's title."""
    return title.rpartition("CNBD-")[2] if "CNBD-" in title else "1"


def check_numbers(
    model: Any, orders: Any, *, as_of: Any = None, priors: Mapping[str, Any] | None = None, seed: int = 0
) -> dict[str, Any]:
    """What a check finds, by the names of :class:`CheckNumbers`.

    Parameters
    ----------
    model : Model
    orders : Orders
    as_of : date or ISO string, optional
        The model's own by default.
    priors : mapping, optional
        Overrides with which the model was fitted.
    seed : int

    Raises
    ------
    ArgumentError
        When an argument cannot be meant, the orders have another currency or value policy, or the model
        has parameters that differ between customers, which this check does not know yet.
    InputError
        When ``as_of`` is before the first order.
    """
    if not hasattr(model, "clv") or not hasattr(model, "provenance"):
        raise ArgumentError(
            f"a fitted model is needed, not {type(model).__name__}", advice="Fit one: forecast.fit(orders)."
        )
    check_orders(orders)
    for fitted in (model.purchases, model.spend):
        if getattr(fitted, "effects", None) is not None:
            raise ArgumentError(
                "a model whose parameters differ between customers cannot be checked yet",
                advice="Check a model without groups and covariates, or use a backtest.",
            )
    seed = check_seed(seed)
    model.check(orders)
    day = model.as_of if as_of is None else parse_day(as_of)
    histories = purchase_histories(orders, day)
    try:
        fingerprint = orders.until(day).fingerprint
        own = day == model.as_of and fingerprint == model.provenance["fingerprint"]
        found = _found(model, histories, own, priors, seed)
        facts = {
            "as_of": day,
            "customers": len(histories),
            "method": model.purchases.method,
            "currency": model.provenance["currency"],
            "value_policy": model.provenance["value_policy"],
            "orders the model was fitted on": own,
            "spend is learned from": model.clv.spend_from,
            "seasonal clock": model.clv.clock is not None,
            "fingerprint": fingerprint,
        }
    finally:
        histories.close()
    return {"title": model.title, "method": model.purchases.method, "facts": facts, **found}


def _found(
    model: Any, histories: Histories, own: bool, priors: Mapping[str, Any] | None, seed: int
) -> dict[str, Any]:
    clock = model.clv.clock  # its calibration concerns the future alone and stays out
    bought = seen(histories, clock)
    x, t_x, age, weight, *_ = bought
    first = model.clv.spend_from == "all"  # spend meets the purchases that it was learned from
    n, mean, valued = (v.astype(float) for v in histories.spend_counts(first=first))
    notes = []
    seeds = [int(v) for v in np.random.SeedSequence(seed).generate_state(4)]
    parts: dict[str, tuple[Fitted, dict[str, np.ndarray], np.ndarray]] = {
        "purchases": (model.purchases, {"x": x, "t_x": t_x, "T": age}, weight)
    }
    spend = _spend(None, n, mean, valued, 0)
    if model.spend is None:
        notes.append("there is no spend model, so spend is not checked")
    elif len(n) == 0:
        notes.append("no customer has a valued repeat purchase, so spend is not checked")
    else:
        spend = _spend(model.spend, n, mean, valued, seeds[2])
        parts["spend"] = (model.spend, {"n": n, "m": mean}, valued)
    many = model.purchases.method not in ("mle", "given")
    left_out: dict[str, LeaveOneOut] = {}
    if not own:
        which = "these are not the orders the model was fitted on"
        if model.provenance.get("dialect") == HISTORIES:
            which = "the model was fitted on histories, not on orders"
        notes.append(f"{which}, so there is no leave-one-out and no AIC")
    elif many:
        rows = {
            p: ({k: v.astype(float) for k, v in r.items()}, w.astype(float)) for p, (_, r, w) in parts.items()
        }
        left_out = {part: leave_one_out(parts[part][0], *rows[part]) for part in parts}
    if not many:
        notes.append(
            "a model by maximum likelihood has no posterior: no leave-one-out and nothing to lay over a "
            "prior, and its intervals hold chance alone. Fit by laplace to have them"
        )
    table = pd.DataFrame(columns=[*PRIOR_COLUMNS, *POSTERIOR_COLUMNS])
    if many:
        rng = np.random.default_rng(seeds[3])
        lines = [
            prior_posterior(part, fitted, fitted.extra.get("priors") if priors is None else priors, rng)
            for part, (fitted, _, _) in parts.items()
        ]
        table = pd.concat(lines, ignore_index=True)
    criteria = [_criteria(part, fitted, left_out.get(part), own) for part, (fitted, _, _) in parts.items()]
    return {
        "counts": _counts(model.purchases, x, age, weight, seeds[0]),
        "tracking": _tracking(model.purchases, histories, bought, seeds[1]),
        "spend": spend,
        "loo": pd.DataFrame(criteria, columns=list(LOO_COLUMNS)),
        "prior_posterior": table,
        "notes": tuple(notes),
        "left_out": left_out,
        **({} if clock is None else {"season": season_ahead(clock, histories.as_of), "clock": clock}),
    }


def _counts(fitted: Fitted, x: np.ndarray, age: np.ndarray, weight: np.ndarray, seed: int) -> pd.DataFrame:
    ages, cell = np.unique(age, return_inverse=True)
    customers = np.bincount(cell, weights=weight).astype(np.int64)
    found = replicated_classes(
        fitted, customers, lambda draw: count_chances(fitted, draw, ages, MOST), level=LEVEL, seed=seed
    )
    classes = np.minimum(x, MOST).astype(np.int64)
    observed = np.bincount(classes, weights=weight, minlength=MOST + 1).astype(np.int64)
    names = [*(str(k) for k in range(MOST)), f"{MOST}+"]
    return pd.DataFrame(
        {"repeat_purchases": names, "observed": observed, "expected": found.expected,
         "lo-90": found.lo, "hi-90": found.hi}
    )  # fmt: skip


def _tracking(fitted: Fitted, histories: Histories, bought: Seen, seed: int) -> pd.DataFrame:
    last = len(bought.births) - 1
    each, so_far = replicated_weeks(fitted, bought.births, level=LEVEL, seed=seed, passed=bought.passed)
    ends = np.minimum(7 * np.arange(1, len(each.expected) + 1), last)
    first = np.datetime64(histories.as_of) - np.timedelta64(last, "D")
    so_many = np.cumsum(bought.repeats)[ends].astype(np.int64)
    frame: dict[str, Any] = {
        "day": (first + ends.astype("timedelta64[D]")).astype("datetime64[s]"),
        "days": np.diff(ends, prepend=0),
    }
    for name, observed, found in (
        ("weekly", np.diff(so_many, prepend=0), each),
        ("cumulative", so_many, so_far),
    ):
        frame |= {
            f"{name}_observed": observed,
            f"{name}_expected": found.expected,
            f"{name}_lo-90": np.maximum(found.lo, 0.0),
            f"{name}_hi-90": found.hi,
        }
    return pd.DataFrame(frame)


def _spend(
    fitted: Fitted | None, n: np.ndarray, mean: np.ndarray, weight: np.ndarray, seed: int
) -> pd.DataFrame:
    """Classes of customers' mean spend that hold all but the most extreme hundredth."""
    names = ["from", "to", "observed", "expected", "lo-90", "hi-90"]
    if fitted is None:
        return pd.DataFrame(columns=names, dtype=float)
    order = np.argsort(mean, kind="stable")
    share = np.cumsum(weight[order]) / weight.sum()
    low, high = (
        float(mean[order][min(int(np.searchsorted(share, s)), len(order) - 1)]) for s in (0.005, 0.995)
    )
    low, high = low / 1.1, high * 1.1
    classes = int(np.clip(math.sqrt(weight.sum()), 5, _MOST_CLASSES))
    edges = np.geomspace(low, high, classes + 1)
    numbers, cell = np.unique(n, return_inverse=True)
    customers = np.bincount(cell, weights=weight).astype(np.int64)
    found = replicated_classes(
        fitted, customers, lambda draw: mean_chances(draw, numbers, edges), level=LEVEL, seed=seed
    )
    # A value on an edge belongs to the class above it.
    place = np.searchsorted(edges, mean, side="right")
    observed = np.bincount(place, weights=weight, minlength=classes + 2).astype(np.int64)
    columns = (edges[:-1], edges[1:], observed[1:-1], *(v[1:-1] for v in found))
    return pd.DataFrame(dict(zip(names, columns, strict=True)))


def _criteria(part: str, fitted: Fitted, left_out: LeaveOneOut | None, own: bool) -> dict[str, Any]:
    line: dict[str, Any] = dict.fromkeys(LOO_COLUMNS, float("nan"))
    line |= {"part": part, "model": fitted.spec.title, "method": fitted.method, "customers": fitted.customers}
    if left_out is not None:
        line |= {
            "elpd": left_out.elpd, "se": left_out.se, "p_loo": left_out.p_loo,
            "k_hat_high": left_out.k_hat_high,
        }  # fmt: skip
    elif fitted.method == "mle" and own:
        size = len(fitted.spec.parameters)
        line |= {
            "log_likelihood": fitted.log_likelihood,
            "aic": 2.0 * size - 2.0 * fitted.log_likelihood,
            "bic": size * math.log(fitted.customers) - 2.0 * fitted.log_likelihood,
        }
    return line
