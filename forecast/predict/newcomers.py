"""What a customer is worth who is not one yet: the first order, and the repeat purchases until an age.

The first order's value comes from those observed, everything after it from the fitted models. A newcomer is a
customer without a history, so the formulas are those of scoring.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from forecast.errors import FitError, InputError
from forecast.fitting.design import OTHER
from forecast.maths import gammagamma
from forecast.periods import check_discount_rate, check_levels, check_margin, check_seed, level_label
from forecast.predict.population import ClvModel, Customers, log_p_alive
from forecast.predict.tables import Pairs, expected_and_discount, gathered, tail_table
from forecast.summary.first_orders import FirstOrders

ROUNDS = 256  # joint draws of the parameters
_INDIVIDUALS = 100  # newcomers a round and line
_MOST = 20_000  # newcomers a round, however many groups there are


def newcomer_table(
    model: ClvModel,
    first_orders: Mapping[str, Any] | None,
    *,
    as_of: dt.date,
    days: int,
    levels: Any = (80.0, 95.0),
    margin: float = 1.0,
    discount_rate: float = 0.0,
    seed: int = 0,
) -> pd.DataFrame:
    """The value of a customer won on the day after ``as_of``, from the first order to an age of ``days``.

    Parameters
    ----------
    model : ClvModel
    first_orders : dict or None
        As :func:`forecast.summary.first_orders.first_orders` gives it.
    as_of : datetime.date
    days : int
        Age until which purchases count.
    levels : sequence of float
        Percent.
    margin, discount_rate : float
        Shares; the rate is annual. The first order is not discounted.
    seed : int

    Returns
    -------
    pandas.DataFrame
        One row for ``all``; with groups one for each, sorted, and one for a group not seen.
        ``group, horizon_days, customers_observed`` (customers behind the row),
        ``first_order_value`` (currency, before margin and discount), ``p_repeat`` (chance of at least one
        repeat purchase), ``expected_repeat_purchases``, ``expected_value`` (first order and repeat purchases,
        margin-weighted and discounted to the first order), ``expected_value-lo-80`` … (credible limits of
        this mean) and ``value-lo-80`` … (predictive: they cover what one newcomer will be worth). Without
        money the columns of money are left out. ``all`` is the mix of groups observed.

    Raises
    ------
    ArgumentError
        When a level, the margin, the rate or the seed cannot be meant.
    InputError
        When the model keeps no statistics of first orders, or has covariates.
    FitError
        When a group's posterior has no finite mean.

    Notes
    -----
    The first order is taken to say nothing of how often a newcomer buys; of the values to come it says what
    the spend model learned: nothing, or as much as any other purchase. With method ``mle`` the models'
    parameters are taken as known, so the credible limits hold only the error of the first order's mean.

    Examples
    --------
    >>> from forecast.fitting import Fitted, purchase_model
    >>> from forecast.summary.first_orders import describe_first_orders
    >>> nbd = Fitted.from_parameters(purchase_model("nbd"), dict(r=1.0, alpha=365.0), "given")
    >>> first = describe_first_orders(np.full(50, 20.0))
    >>> found = newcomer_table(ClvModel(nbd), first, as_of=dt.date(2026, 9, 30), days=365)
    >>> found[["group", "customers_observed", "p_repeat", "expected_repeat_purchases"]].round(6)
      group  customers_observed  p_repeat  expected_repeat_purchases
    0   all                  50       0.5                        1.0
    """
    levels = check_levels(levels)
    margin, discount_rate = check_margin(margin), check_discount_rate(discount_rate)
    check_seed(seed)
    lines = Lines.of(model, first_orders, as_of, days, discount_rate)
    first = lines.first
    shares = first.shares
    expected = _expected(lines)
    lead = ["all", *first.names, OTHER] if first.names else ["all"]
    _refuse_endless(lead[1:], expected)
    observed = [int(first.customers.sum()), *first.customers.tolist()]

    def column(values: np.ndarray) -> np.ndarray:
        """The mix of the groups observed, then each."""
        return np.concatenate([[shares @ values], values])[: len(lead)]

    table = pd.DataFrame(
        {"group": lead, "horizon_days": np.int64(days), "customers_observed": observed[: len(lead)]}
    )
    money = model.spend is not None
    if money:
        table["first_order_value"] = column(first.mean)
    table["p_repeat"] = column(model.calibration.above(expected["p_repeat"]))
    table["expected_repeat_purchases"] = column(expected["purchases"])
    if not money:
        return table
    table["expected_value"] = column(
        margin * (first.mean + model.paid_share * expected["discounted"] * expected["spend"])
    )
    if levels:
        drawn = draw_newcomers(lines, seed)
        weight = drawn.weight
        means = np.column_stack([drawn.means @ shares, drawn.means])[:, : len(lead)]
        single = [drawn.mixed, *drawn.single] if first.names else [drawn.mixed]
        for level in levels:
            ends = np.array([0.5 - level / 200.0, 0.5 + level / 200.0])
            limits = np.array([quantiles(mean, weight, ends) for mean in means.T])
            covers = np.array([quantiles(v.ravel(), np.repeat(weight, v.shape[1]), ends) for v in single])
            for k, end in enumerate(("lo", "hi")):
                table[f"expected_value-{end}-{level_label(level)}"] = margin * limits[:, k]
                table[f"value-{end}-{level_label(level)}"] = margin * covers[:, k]
    single_columns = [name for name in table.columns if str(name).startswith("value-")]
    return table[[name for name in table.columns if name not in single_columns] + single_columns]


def _refuse_endless(groups: list[str], expected: dict[str, np.ndarray]) -> None:
    """A posterior that knows next to nothing of a group may hold infinite means."""
    bad = ~np.isfinite(np.stack(list(expected.values()))).all(axis=0)
    if bad.any():
        named = [name for name, wrong in zip(groups, bad, strict=False) if wrong]
        raise FitError(
            f"the model's parameters give no finite mean for {', '.join(named[:3]) or 'a newcomer'}",
            advice="Merge the smallest groups and fit again; its verdict says more.",
        )


def quantiles(values: np.ndarray, weight: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Quantiles of weighted draws; they are values that were drawn.

    Examples
    --------
    >>> quantiles(np.arange(101.0), np.full(101, 1.0), np.array([0.05, 0.95])).tolist()
    [5.0, 95.0]
    """
    order = np.argsort(values, kind="stable")
    share = np.cumsum(weight[order])
    place = np.searchsorted(share, shares * share[-1] * (1.0 - 1e-12))
    return values[order][np.minimum(place, len(values) - 1)]


@dataclass(frozen=True)
class Lines:
    """Newcomers as customers without a history, one a line of the table."""

    model: ClvModel
    first: FirstOrders
    customers: Customers
    pairs: Pairs
    ahead: Callable[[float], float]
    days: int
    rate: float

    @classmethod
    def of(
        cls, model: ClvModel, kept: Mapping[str, Any] | None, as_of: dt.date, days: int, rate: float
    ) -> Lines:
        """Refuses what it cannot tell."""
        if kept is None:
            raise InputError(
                "the model keeps no statistics of first orders: an older version fitted it",
                advice="Fit it again.",
            )
        first = FirstOrders.from_dict(dict(kept))
        others = [name for name in model.traits if name != first.by]
        if others:
            raise InputError(
                f"the model has covariates ({', '.join(others)}), and newcomers have none but their group",
                advice="Fit a model with by= one column instead of covariates.",
            )
        none = np.zeros(len(first.mean))
        customers = Customers(none, none, none, none, none, as_of=as_of)
        if first.by is not None:
            frame = pd.DataFrame({first.by: [*first.names, OTHER]})
            customers = customers.with_traits(frame, model)
        known = model.ahead(as_of)
        # Won on the day after as_of, so the first repeat purchase can come on the second.
        pairs = customers.pairs(model.purchases)
        return cls(model, first, customers, pairs, lambda age: known(age + 1.0) - known(1.0), days, rate)

    def purchases(
        self, index: int, level: float = 1.0
    ) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]:
        """Under one draw: expected repeat purchases, their mean discount, and chances to exceed.

        The last are ``P(N >= n)``, n = 1, 2, …, line after line, with the places where lines begin.
        """
        fitted, rows, pairs = self.model.purchases, self.customers, self.pairs
        draw = fitted.draw(index, rows.purchase_matrix)
        stays = np.exp(log_p_alive(fitted, draw, rows))

        def ahead(age: float) -> float:
            return self.ahead(age) * level

        expected, discount = expected_and_discount(fitted, draw, pairs, ahead, self.days, self.rate)
        offsets, tails = tail_table(fitted, draw, pairs, ahead(float(self.days)))
        sizes = np.diff(offsets)[pairs.index] - 1
        starts = np.concatenate([[0], np.cumsum(sizes)])
        within = np.arange(starts[-1]) - np.repeat(starts[:-1], sizes)
        beyond = tails[np.repeat(offsets[:-1][pairs.index] + 1, sizes) + within] * np.repeat(stays, sizes)
        return stays * expected[pairs.index], discount[pairs.index], (starts, beyond)

    def spend(self, index: int) -> tuple[Any, ...]:
        """One draw of the spend model's parameters, line by line."""
        assert self.model.spend is not None
        rows = self.customers
        own = gathered(self.model.spend.draw(index, rows.spend_matrix), rows.cell)
        return tuple(np.broadcast_to(np.asarray(v, dtype=float), rows.x.shape) for v in own)

    @property
    def first_tells(self) -> bool:
        """Whether the spend model takes a first order for evidence of the next ones."""
        return self.model.spend_from == "all"

    def mean_spend(self, draw: tuple[Any, ...], factor: Any = 1.0) -> np.ndarray:
        """Expected value of a paid repeat purchase, as scores would have it after the first order."""
        return self.spend_level * mean_spend(draw, self.first.paid if self.first_tells else None, factor)

    @property
    def spend_level(self) -> float:
        """What multiplies the value of repeat purchases until the horizon."""
        return self.model.calibration.spend_level(0.0, float(self.days))


def _expected(lines: Lines) -> dict[str, np.ndarray]:
    """Means over the draws that scoring takes, line by line."""
    out = {name: np.zeros(len(lines.first.mean)) for name in ("p_repeat", "purchases", "discounted", "spend")}
    for index, weight in zip(*lines.model.purchases.predictive_draws(), strict=True):
        expected, discount, (starts, beyond) = lines.purchases(int(index))
        out["p_repeat"] += weight * beyond[starts[:-1]]
        out["purchases"] += weight * expected
        out["discounted"] += weight * expected * discount
    if lines.model.spend is not None:
        for index, weight in zip(*lines.model.spend.predictive_draws(), strict=True):
            with np.errstate(all="ignore"):  # refused by its caller when the mean is not finite
                out["spend"] += weight * lines.mean_spend(lines.spend(int(index)))
    return out


@dataclass(frozen=True)
class _Drawn:
    """Joint draws before margin: the mean of each line, single newcomers, and newcomers of the mix."""

    weight: np.ndarray  # (rounds,)
    means: np.ndarray  # (rounds, lines)
    single: np.ndarray  # (lines, rounds, individuals)
    mixed: np.ndarray  # (rounds, individuals)


def draw_newcomers(lines: Lines, seed: int) -> _Drawn:
    """Draws of the parameters times newcomers; the parts of a value meet before it is summarised."""
    model, first = lines.model, lines.first
    assert model.spend is not None
    index, weight = model.purchases.thinned(ROUNDS)
    spend_index, spend_weight = model.spend.thinned(ROUNDS)
    number = np.arange(ROUNDS)
    joint = weight[number % len(index)] * spend_weight[number % len(spend_index)]
    count = len(first.mean)
    each = int(np.clip(_MOST // count, 10, _INDIVIDUALS))
    own, *streams = np.random.SeedSequence(seed).spawn(ROUNDS + 1)
    factors = first.factors(np.random.default_rng(own), ROUNDS)
    levels = model.calibration.draw_levels(ROUNDS, seed)
    worth = model.calibration.draw_spend_levels(ROUNDS, seed)
    means = np.zeros((ROUNDS, count))
    single = np.zeros((count, ROUNDS, each))
    mixed = np.zeros((ROUNDS, _INDIVIDUALS))
    for k in range(ROUNDS):
        rng = np.random.default_rng(streams[k])
        expected, discount, (starts, beyond) = lines.purchases(int(index[k % len(index)]), float(levels[k]))
        spend = lines.spend(int(spend_index[k % len(spend_index)]))
        repeat = worth[k] * model.paid_share * expected * discount * lines.mean_spend(spend, factors[k])
        means[k] = first.mean * factors[k] + repeat
        line = np.concatenate(
            [np.repeat(np.arange(count), each), rng.choice(count, _INDIVIDUALS, p=first.shares)]
        )
        value = first.draw(rng, line) * factors[k][line]
        paid = rng.binomial(_counts(model, rng, line, starts, beyond), model.paid_share)
        spent = _repeat_value(rng, [v[line] for v in spend], paid, value, lines.first_tells)
        value += discount[line] * (worth[k] * lines.spend_level) * spent
        single[:, k] = value[: count * each].reshape(count, each)
        mixed[k] = value[count * each :]
    return _Drawn(joint / joint.sum(), means, single, mixed)


def mean_spend(
    draw: tuple[Any, ...], paid: tuple[np.ndarray, np.ndarray] | None, factor: Any = 1.0
) -> np.ndarray:
    """Expected value of a paid repeat purchase of newcomers under one draw of the spend model.

    Parameters
    ----------
    draw : tuple
        ``p, q, gamma``.
    paid : tuple of ndarray or None
        Chance that the first order's value is above 0, and the mean of ``max(value, 0)``; None where first
        orders say nothing of the next.
    factor : array_like
        The true over the estimated mean of first orders.
    """
    p, q, gamma = draw
    blank = np.asarray(gammagamma.expected_value(p, q, gamma, n=0.0, m=0.0))
    if paid is None:
        return blank
    chance, value = paid
    return chance * p * gamma / (p + q - 1.0) + p * value * factor / (p + q - 1.0) + (1.0 - chance) * blank


def _counts(
    model: ClvModel, rng: np.random.Generator, line: np.ndarray, starts: np.ndarray, beyond: np.ndarray
) -> np.ndarray:
    """Repeat purchases of newcomers of given lines, each by inversion of its distribution."""
    # Lines end to end make one rising sequence, so that one search serves all.
    keys = np.repeat(np.arange(len(starts) - 1), np.diff(starts)) + (1.0 - beyond)
    wanted = line + model.calibration.shares(rng.random(len(line)))
    found = np.searchsorted(keys, wanted, side="right") - starts[line]
    return np.clip(found, 0, np.diff(starts)[line])


def _repeat_value(
    rng: np.random.Generator, spend: list[np.ndarray], paid: np.ndarray, first: np.ndarray, tells: bool
) -> np.ndarray:
    """Value of so many paid repeat purchases of newcomers with these first orders."""
    p, q, gamma = spend
    known = (first > 0) & tells
    shape, scale = q + p * known, gamma + np.where(known, first, 0.0)
    total = np.zeros(len(paid))
    some = paid > 0
    total[some] = scale[some] * rng.standard_gamma(p[some] * paid[some]) / rng.standard_gamma(shape[some])
    return total
