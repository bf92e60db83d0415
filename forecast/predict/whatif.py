"""What if customers stayed longer, bought more often or spent more: the change in value, with its limits.

A scenario changes the future only. Who is still a customer, and what is known of each, stays as it was
fitted; then the live process of every customer is changed: the chance to stay after a purchase (or, for
Pareto/NBD, through a year), the rate of purchases, the value of a purchase.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from forecast.errors import ArgumentError
from forecast.fitting import Fitted
from forecast.maths import gammagamma
from forecast.periods import DAYS_PER_YEAR, check_levels, check_margin, check_seed, level_label
from forecast.predict.customers import expected_value
from forecast.predict.newcomers import Lines, newcomer_table, quantiles
from forecast.predict.population import ClvModel, Customers, log_p_alive
from forecast.predict.tables import gathered

MOST_CUSTOMERS = 20_000  # more are sampled: a change is a share of the exact value
_SURE = 0.999


@dataclass(frozen=True)
class Scenario:
    """What is changed, all at once.

    Attributes
    ----------
    retention : float
        Factor on the chance to stay after a purchase (or through a year): 1.05 is 5 % better.
    orders_per_year : float
        Purchases more that a customer makes in a year, while being one.
    basket : float
        Factor on the value of each purchase, first orders included.

    Raises
    ------
    ArgumentError
        When a factor is not above 0 or nothing is a number.

    Examples
    --------
    >>> str(Scenario(retention=1.05)), str(Scenario(orders_per_year=1.0, basket=1.1)), str(Scenario())
    ('retention +5 %', 'orders +1 a year, basket +10 %', 'as fitted')
    """

    retention: float = 1.0
    orders_per_year: float = 0.0
    basket: float = 1.0

    def __post_init__(self) -> None:
        for name, own in (("retention", self.retention), ("basket", self.basket)):
            if not 0.0 < own < 10.0:
                raise ArgumentError(f"{name} is {own!r}", advice="Give a factor: 1.05 is 5 % more.")
        if not -100.0 < self.orders_per_year < 1000.0:
            raise ArgumentError(
                f"orders_per_year is {self.orders_per_year!r}", advice="Give orders more a year: 1."
            )

    def __str__(self) -> str:
        parts = []
        if self.retention != 1.0:
            parts.append(f"retention {100 * (self.retention - 1):+.3g} %")
        if self.orders_per_year:
            parts.append(f"orders {self.orders_per_year:+.3g} a year")
        if self.basket != 1.0:
            parts.append(f"basket {100 * (self.basket - 1):+.3g} %")
        return ", ".join(parts) or "as fitted"


def read_scenario(text: str) -> Scenario:
    """``retention=5%``, ``orders=+1`` or ``basket=10%``; several with commas between are one scenario.

    Raises
    ------
    ArgumentError
        When it is none of these.

    Examples
    --------
    >>> read_scenario("retention=5%,orders=1")
    Scenario(retention=1.05, orders_per_year=1.0, basket=1.0)
    """
    found: dict[str, float] = {}
    for part in text.split(","):
        name, _, amount = part.strip().partition("=")
        percent = amount.strip().endswith("%")
        try:
            number = float(amount.strip().rstrip("%"))
        except ValueError:
            number = float("nan")
        if name == "orders" and not percent and number == number:
            found["orders_per_year"] = number
        elif name in ("retention", "basket") and percent and number == number:
            found[name] = 1.0 + number / 100.0
        else:
            raise ArgumentError(
                f"{part!r} cannot be read as a change", advice="Write retention=5%, orders=+1 or basket=10%."
            )
    return Scenario(**found)


def changed(fitted: Fitted, live: tuple[Any, ...], scenario: Scenario) -> tuple[Any, ...]:
    """Parameters of live customers' process under a scenario.

    Parameters
    ----------
    fitted : Fitted
    live : tuple of array_like
        From ``if_alive``: shape and rate of purchases first, then those of leaving.

    Raises
    ------
    ArgumentError
        When retention is to change in a model in which nobody leaves.

    Notes
    -----
    BG family: the mean chance to stay, ``b / (a + b)``, is multiplied (at most to 0.999) and ``a + b`` kept.
    Pareto/NBD: the chance to stay a year, ``(beta / (beta + 365.25))^s``, is multiplied through ``s``.
    """
    shape, scale, *leaving = (np.asarray(v, dtype=float) for v in live)
    if scenario.orders_per_year:
        # Of a regular process only each k-th event is a purchase.
        events = getattr(fitted.spec.formulas.PROCESS, "k", 1) * scenario.orders_per_year / DAYS_PER_YEAR
        rate = np.maximum(shape / scale + events, 1e-12)
        scale = shape / rate
    if scenario.retention != 1.0:
        names = fitted.spec.parameters
        if "beta" in names:
            s, beta = leaving[0], leaving[1]
            stays = -s * np.log1p(DAYS_PER_YEAR / beta)
            wanted = np.minimum(stays + np.log(scenario.retention), np.log(_SURE))
            leaving[0] = s * wanted / stays
        elif "a" in names:
            a, b = leaving[0], leaving[1]
            stays = np.minimum(b / (a + b) * scenario.retention, np.maximum(_SURE, b / (a + b)))
            leaving[0], leaving[1] = (a + b) * (1.0 - stays), (a + b) * stays
        else:
            raise ArgumentError(
                f"nobody leaves in {fitted.spec.title}, so retention cannot change",
                advice="Fit a model with drop-out: bg-nbd, mbg-nbd or pareto-nbd.",
            )
    return (shape, scale, *leaving)


def what_if_table(
    model: ClvModel,
    first_orders: Mapping[str, Any] | None,
    scenarios: list[Scenario],
    *,
    as_of: dt.date,
    days: int,
    histories: pd.DataFrame | None = None,
    levels: Any = (80.0,),
    margin: float = 1.0,
    seed: int = 0,
) -> pd.DataFrame:
    """Value of the next newcomer, and of known customers, under each scenario.

    Parameters
    ----------
    model : ClvModel
        With spend.
    first_orders : dict
        As :func:`forecast.summary.first_orders.first_orders` gives it.
    scenarios : list of Scenario
    as_of : datetime.date
    days : int
        Horizon.
    histories : DataFrame, optional
        Known customers, one row each; then lines of their total too.
    levels : sequence of float
        Percent.
    margin : float
    seed : int
        Draws the sample where there are more than 20,000 known customers.

    Returns
    -------
    DataFrame
        ``scenario, group, horizon_days, expected_value, change, change-lo-80, change-hi-80, …``; groups are
        ``all`` and each group of newcomers (a newcomer's value, first order included), and ``known
        customers`` (their total). Limits are credible ones of the mean's change: what the data leave open of
        the parameters. Nobody knows whether a measure brings the scenario about.

    Raises
    ------
    ArgumentError
        When the model knows no money, or the scenario means nothing to it.
    """
    levels, margin = check_levels(levels), check_margin(margin)
    check_seed(seed)
    if model.spend is None:
        raise ArgumentError("the model knows no money", advice="Fit it on orders with a value column.")
    lines = Lines.of(model, first_orders, as_of, days, 0.0)
    first = lines.first
    names = ["all", *first.names] if first.names else ["all"]
    parts = [_Part(lines.customers, lines.ahead(float(days)), first.mean)]
    if histories is not None:
        sample = histories
        if len(histories) > MOST_CUSTOMERS:
            sample = histories.sample(MOST_CUSTOMERS, random_state=seed)
        parts.append(_Part(Customers.from_frame(sample, model), model.ahead(as_of)(float(days)), None))
    every = [Scenario(), *scenarios]
    index, weight = model.purchases.predictive_draws()
    spends, _ = model.spend.predictive_draws()
    draws = np.zeros((len(every), len(index), len(names) + (histories is not None)))
    for k, own in enumerate(index):
        spend = int(spends[k % len(spends)])
        found = [_values(model, lines, part, int(own), spend, every) for part in parts]
        newcomers = found[0]
        draws[:, k, 0] = newcomers @ first.shares if first.names else newcomers[:, 0]
        draws[:, k, 1 : len(names)] = newcomers[:, : len(names) - 1]
        if histories is not None:
            draws[:, k, -1] = found[1].sum(axis=1)
    # Few joint draws do not quite have the product of the two posteriors' means: the base is the exact one.
    exact = newcomer_table(model, first_orders, as_of=as_of, days=days, levels=())[
        "expected_value"
    ].to_numpy()
    base = [*exact[: len(names)]]
    if histories is not None:
        base.append(float(expected_value(model, Customers.from_frame(histories, model), days=days).sum()))
    draws *= margin * np.array(base) / (weight @ draws[0])
    rows = []
    labels = [*names, "known customers"] if histories is not None else names
    for j, scenario in enumerate(every):
        for g, name in enumerate(labels):
            change = draws[j, :, g] - draws[0, :, g]
            row: dict[str, Any] = {
                "scenario": str(scenario), "group": name, "horizon_days": days,
                "expected_value": float(weight @ draws[j, :, g]), "change": float(weight @ change),
            }  # fmt: skip
            for level in levels:
                ends = quantiles(change, weight, np.array([0.5 - level / 200.0, 0.5 + level / 200.0]))
                row[f"change-lo-{level_label(level)}"], row[f"change-hi-{level_label(level)}"] = ends.tolist()
            rows.append(row)
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class _Part:
    """Customers, the time ahead of them, and newcomers' expected first order."""

    customers: Customers
    time: float
    first: np.ndarray | None


def _values(
    model: ClvModel, lines: Lines, part: _Part, index: int, spend_index: int, scenarios: list[Scenario]
) -> np.ndarray:
    """Expected value of each customer under one draw, shape (scenarios, customers)."""
    assert model.spend is not None
    fitted, rows = model.purchases, part.customers
    draw = fitted.draw(index, rows.purchase_matrix)
    stays = np.exp(log_p_alive(fitted, draw, rows))
    pairs = rows.pairs(fitted)
    live = pairs.live(fitted, draw)
    raw = gathered(model.spend.draw(spend_index, rows.spend_matrix), rows.cell)
    if part.first is not None:
        spend = lines.mean_spend(tuple(np.broadcast_to(v, stays.shape) for v in raw))
    else:
        history = rows.spend()
        assert history is not None
        n, total = history
        m = np.divide(total, n, out=np.zeros_like(total), where=n > 0)
        spend = np.asarray(gammagamma.expected_value(*raw, n=n, m=m)) * lines.spend_level
    out = np.zeros((len(scenarios), len(stays)))
    for k, scenario in enumerate(scenarios):
        after = live if scenario == Scenario() else changed(fitted, live, scenario)
        expected = fitted.spec.formulas.PROCESS.expectation(*after, part.time)
        first = 0.0 if part.first is None else part.first
        repeats = stays * np.broadcast_to(expected, pairs.x.shape)[pairs.index]
        out[k] = scenario.basket * (first + model.paid_share * repeats * spend)
    return out
