"""What the priors believe, in a shop's terms, and what the data made of it."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from forecast.errors import ArgumentError
from forecast.fitting import GAMMA_GAMMA, Fitted, ModelSpec, purchase_model
from forecast.fitting.priors import resolve_priors
from forecast.maths.ops import NUMPY
from forecast.periods import check_seed

LEVEL = 90
YEAR = 365
_DRAWS = 20_000
_KEENEST = (
    3650.0  # purchases a year in the mean of a shop: a purchase is a day with orders, so more is absurd
)
_LEAVES = "chance that a customer leaves"
_MOST, _LEAST = 1e15, 1e-12
PRIOR_COLUMNS = ("part", "parameter", "prior_median", "prior_lo-90", "prior_hi-90")
POSTERIOR_COLUMNS = ("posterior_median", "posterior_lo-90", "posterior_hi-90", "overlap")


@dataclass(frozen=True, repr=False)
class PriorPredictive:
    """What a model believes before it has seen data.

    Attributes
    ----------
    table : pandas.DataFrame
        ``quantity, unit, median, lo-90, hi-90``: of one customer who is drawn from a shop that is drawn
        from the priors, and of shops.
    sentences : tuple of str
        The same in words.
    """

    table: pd.DataFrame
    sentences: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(self.sentences)

    def __repr__(self) -> str:
        return str(self)


def draw_prior(
    spec: ModelSpec, priors: Mapping[str, Any] | None, scale: float, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Natural parameters from the priors, in days or currency; ``scale`` is the mean age or value."""
    resolved = resolve_priors(spec.unconstrained, priors)
    u = [rng.normal(resolved[name].mean, resolved[name].sd, _DRAWS) for name in spec.unconstrained]
    with np.errstate(over="ignore"):
        natural = [np.clip(v, _LEAST, _MOST) for v in spec.natural(*u)]
    return {
        name: value * (scale if name in spec.scaled else 1.0)
        for name, value in zip(spec.parameters, natural, strict=True)
    }


def prior_predictive(
    priors: Mapping[str, Any] | None = None,
    purchases: str = "bg-nbd",
    mean_age_days: float = 365,
    mean_value: float = 50.0,
    seed: int = 0,
) -> PriorPredictive:
    """What the priors say of a shop before its data are seen: do you believe it?

    Parameters
    ----------
    priors : mapping, optional
        As for :func:`forecast.fit`: ``{"log_r": {"mean": 0.0, "sd": 1.0}}``.
    purchases : str
        The model's name.
    mean_age_days, mean_value : float
        Mean age of the customers, and their mean purchase value: the units in which priors speak.
    seed : int

    Returns
    -------
    PriorPredictive
        With ``table`` and ``sentences``; printed, it is the sentences.

    Raises
    ------
    ArgumentError
        When a prior, the model, an age, a value or the seed cannot be meant.

    Examples
    --------
    >>> print(prior_predictive(mean_age_days=365, mean_value=50.0))  # doctest: +ELLIPSIS
    Before seeing data the model believes: a customer buys again between 0 and ... times in the first year ...
    """
    for name, value in {"mean_age_days": mean_age_days, "mean_value": mean_value}.items():
        if not isinstance(value, numbers.Real) or isinstance(value, bool) or not 0 < value < 1e12:
            raise ArgumentError(f"{name} is {value!r}", advice="Give a positive number.")
    spec = purchase_model(purchases)
    rng = np.random.default_rng(check_seed(seed))
    drawn = draw_prior(spec, priors, float(mean_age_days), rng)
    silent = np.exp(spec.formulas.log_likelihood(NUMPY, *drawn.values(), x=0.0, t_x=0.0, T=float(YEAR)))
    lines = [
        ("repeat purchases of a customer in the first year", "purchases", _counts(spec, drawn, rng)),
        ("customers of a shop without a repeat purchase in the first year", "share", silent),
        *_leaving(spec, drawn, rng),
    ]
    never = float((lines[0][2] == 0).mean())
    money = draw_prior(GAMMA_GAMMA, priors, float(mean_value), rng)
    level = np.maximum(GAMMA_GAMMA.formulas.newcomer(rng, _DRAWS, *money.values()), 1e-300)
    lines += [
        ("value of a purchase", "currency", rng.gamma(money["p"]) / level),
        ("mean purchase value of a customer", "currency", money["p"] / level),
    ]
    table = pd.DataFrame([{"quantity": name, "unit": unit, **_middle(v)} for name, unit, v in lines])
    return PriorPredictive(table, _sentences(table, never))


def _counts(spec: ModelSpec, drawn: dict[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Repeat purchases in the first year of one customer of each shop, of shops up to the keenest."""
    own = dict(drawn)
    own["alpha"] = np.maximum(own["alpha"], own["r"] * (YEAR / _KEENEST))
    return spec.formulas.simulate(rng, np.full(_DRAWS, float(YEAR)), 0.0, *own.values())[0]


def _leaving(
    spec: ModelSpec, drawn: dict[str, np.ndarray], rng: np.random.Generator
) -> list[tuple[str, str, np.ndarray]]:
    """A customer's chance to leave, at purchases or in time; nothing where nobody leaves."""
    if "beta" in drawn:
        chance = -np.expm1(-YEAR * rng.gamma(drawn["s"], 1.0 / drawn["beta"]))
        return [(f"{_LEAVES} in the first year", "share", chance)]
    if "a" not in drawn:
        return []
    first = spec.formulas.log_odds_left(*(1.0 for _ in drawn), x=0.0, t_x=0.0, T=0.0) > -np.inf
    when = "after a purchase" if first else "after a repeat purchase"
    return [(f"{_LEAVES} {when}", "share", rng.beta(drawn["a"], drawn["b"]))]


def _middle(values: np.ndarray) -> dict[str, float]:
    method: Literal["inverted_cdf", "linear"] = "inverted_cdf" if values.dtype.kind in "iu" else "linear"
    lo, median, hi = np.quantile(values, [0.05, 0.5, 0.95], method=method)
    return {"median": float(median), f"lo-{LEVEL}": float(lo), f"hi-{LEVEL}": float(hi)}


def _sentences(table: pd.DataFrame, never: float) -> tuple[str, ...]:
    row = {line["quantity"]: line for line in table.to_dict("records")}
    count = row["repeat purchases of a customer in the first year"]
    silent = row["customers of a shop without a repeat purchase in the first year"]
    value, mean = row["value of a purchase"], row["mean purchase value of a customer"]
    found = [
        "Before seeing data the model believes: a customer buys again between "
        f"{count['lo-90']:,.0f} and {count['hi-90']:,.0f} times in the first year (90 %), half of them "
        f"{'not at all' if count['median'] == 0 else _at_most(count['median'])}.",
        f"{never:.0%} do not come back in that year; from shop to shop between {silent['lo-90']:.0%} and "
        f"{silent['hi-90']:.0%} (90 %).",
    ]
    leaving = [name for name in row if name.startswith(_LEAVES)]
    if not leaving:
        found.append("Nobody leaves for good.")
    for name in leaving:
        leaves, when = row[name], name.removeprefix(_LEAVES).strip()
        found.append(
            f"{when[0].upper()}{when[1:]} a customer leaves for good with a chance of {leaves['lo-90']:.0%} "
            f"to {leaves['hi-90']:.0%} (90 %)."
        )
    found.append(
        f"A customer spends between {amount(value['lo-90'])} and {amount(value['hi-90'])} per purchase "
        f"(90 %), and on average between {amount(mean['lo-90'])} and {amount(mean['hi-90'])}."
    )
    return tuple(line.replace("%", " %").replace("  %", " %") for line in found)


def amount(value: float) -> str:
    """An amount of money: cents below 100, whole units above.

    Examples
    --------
    >>> amount(35.8936), amount(2500.4)
    ('35.89', '2,500')
    """
    return f"{value:,.2f}" if abs(value) < 100 else f"{value:,.0f}"


def _at_most(number: float) -> str:
    return "at most once" if number == 1 else f"at most {number:,.0f} times"


def prior_posterior(
    part: str, fitted: Fitted, priors: Mapping[str, Any] | None, rng: np.random.Generator
) -> pd.DataFrame:
    """Prior and posterior of each parameter side by side, and how much they overlap.

    Parameters
    ----------
    part : {'purchases', 'spend'}
    fitted : Fitted
        With many draws.
    priors : mapping, optional
        Overrides with which the model was fitted.
    rng : numpy.random.Generator

    Returns
    -------
    pandas.DataFrame
        Parameters in days or currency. ``overlap`` is the shared area of the two densities, from 0 (the
        data say something else) to 1 (the data say nothing).
    """
    before = draw_prior(fitted.spec, priors, fitted.scale, rng)
    lines = []
    for name, after in fitted.draws.items():
        line: dict[str, Any] = {"part": part, "parameter": name}
        for label, values in (("prior", before[name]), ("posterior", after)):
            line |= {f"{label}_{key}": value for key, value in _middle(values).items()}
        lines.append({**line, "overlap": overlap(before[name], after)})
    return pd.DataFrame(lines, columns=[*PRIOR_COLUMNS, *POSTERIOR_COLUMNS])


def overlap(one: np.ndarray, other: np.ndarray, classes: int = 25) -> float:
    """Shared area of two densities, from their draws; the same on any scale.

    Examples
    --------
    >>> even = np.linspace(0.0, 1.0, 10_001)
    >>> round(overlap(even, even), 2), round(overlap(even, even + 0.5), 2), overlap(even, even + 2.0)
    (1.0, 0.5, 0.0)
    """
    inner = np.linspace(0.0, 1.0, classes + 1)
    edges = np.unique(np.concatenate([np.quantile(one, inner), np.quantile(other, inner)]))
    edges = np.concatenate([[-np.inf], edges, [np.inf]])
    shares = [np.histogram(values, edges)[0] / len(values) for values in (one, other)]
    return float(np.minimum(*shares).sum())
