"""Customers' predictive distributions: expectation, chance to buy, and intervals of what will happen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from forecast.fitting import Fitted
from forecast.maths import gammagamma
from forecast.periods import check_discount_rate, check_levels, check_margin, level_label
from forecast.predict.population import ClvModel, Customers, log_p_alive
from forecast.predict.tables import (
    Pairs,
    add_beyond,
    count_scores,
    expected_and_discount,
    gathered,
    grouped,
    plain_quantiles,
    purchase_quantiles,
    resize,
    tail_table,
    thin,
)
from forecast.predict.values import value_quantiles

KEPT_DRAWS = 64
_RARE = 1e-3  # differences of distribution functions hold less than seven digits below
VALUE_DRAWS, VALUE_SPEND_DRAWS = 12, 6  # quantiles of value are dear; weights make few draws enough


def _interval_shares(levels: Sequence[float]) -> tuple[np.ndarray, list[str]]:
    shares, names = [], []
    for level in levels:
        shares += [0.5 - level / 200.0, 0.5 + level / 200.0]
        names += [f"lo-{level_label(level)}", f"hi-{level_label(level)}"]
    return np.array(shares), names


def predict_customers(
    model: ClvModel,
    customers: Customers,
    *,
    days: float,
    levels: Any = (),
    margin: float = 1.0,
    discount_rate: float = 0.0,
) -> dict[str, np.ndarray]:
    """Predictive quantities of customers over ``(as_of, as_of + days]``.

    Parameters
    ----------
    model : ClvModel
    customers : Customers
    days : float
        Length of the horizon.
    levels : sequence of float
        Percent.
    margin, discount_rate : float
        Shares; the rate is annual.

    Returns
    -------
    dict of str to ndarray, shape (customers,)
        ``p_alive, p_purchase, expected_purchases`` and ``purchases-lo-80`` …; with a spend model also
        ``expected_purchase_value, expected_value`` and ``value-lo-80`` …. Means are expectations;
        lo and hi are quantiles of the predictive distribution: the realised count and value.

    Raises
    ------
    ArgumentError
        When a level, the margin or the rate cannot be meant.

    Notes
    -----
    Customers are taken in blocks; no number depends on the block size. With several draws,
    distributions are mixed over draws before they are summarised; value intervals take 12 of them.

    Examples
    --------
    >>> from forecast.fitting import Fitted, purchase_model
    >>> bg = Fitted.from_parameters(
    ...     purchase_model("bg-nbd"), dict(r=0.243, alpha=4.414, a=0.793, b=2.426), "given")
    >>> one = Customers(np.array([2.0]), np.array([30.43]), np.array([38.86]))
    >>> predict_customers(ClvModel(bg), one, days=39)["expected_purchases"].round(3).tolist()
    [1.226]
    """
    levels = check_levels(levels)
    margin = check_margin(margin)
    discount_rate = check_discount_rate(discount_rate)
    found: dict[str, np.ndarray] = {}
    size = customers.block
    order = None
    if levels and len(customers) > size:  # those who share a distribution into one block: it is made once
        pairs = customers.pairs(model.purchases)
        order, _ = grouped(pairs.index, len(pairs.x))
    for begin in range(0, len(customers), size):
        rows = slice(begin, begin + size) if order is None else order[begin : begin + size]
        part = _block(model, customers.rows(rows), days, levels, margin, discount_rate)
        for name, values in part.items():
            found.setdefault(name, np.empty(len(customers), values.dtype))[rows] = values
    return found


def _block(
    model: ClvModel,
    customers: Customers,
    days: float,
    levels: tuple[float, ...],
    margin: float,
    discount_rate: float,
) -> dict[str, np.ndarray]:
    fitted = model.purchases
    index, weights = fitted.predictive_draws()
    draws = [fitted.draw(i, customers.purchase_matrix) for i in index]
    pairs = customers.pairs(fitted)
    ahead = model.ahead(customers.as_of)
    names = ("p_alive", "p_purchase", "expected_purchases", "discounted")
    out = {name: np.zeros(len(customers)) for name in names}
    for draw, weight in zip(draws, weights, strict=True):
        p_alive = weight * np.exp(log_p_alive(fitted, draw, customers))
        expected, discount = expected_and_discount(fitted, draw, pairs, ahead, days, discount_rate)
        some = fitted.spec.formulas.PROCESS.some(*pairs.live(fitted, draw), ahead(days))
        out["p_alive"] += p_alive
        out["p_purchase"] += p_alive * some[pairs.index]
        out["expected_purchases"] += p_alive * expected[pairs.index]
        out["discounted"] += p_alive * (expected * discount)[pairs.index]
    discounted = out.pop("discounted")
    out["p_purchase"] = model.calibration.above(out["p_purchase"])
    shares, ends = _interval_shares(levels)
    shares = model.calibration.shares(shares)
    tables = Tables(fitted, draws, pairs, ahead(days))
    if levels:
        if len(draws) == 1:
            counts = plain_quantiles(pairs.index, out["p_alive"], *tables[0], shares)
        else:
            counts = purchase_quantiles(*_beyond(model, customers, pairs, draws, weights, tables), shares)
        out.update({f"purchases-{name}": counts[j] for j, name in enumerate(ends)})
    spend = customers.spend()
    if model.spend is None or spend is None:
        return out
    mean = _mean_spend(model, customers, days)
    out["expected_purchase_value"] = mean
    # The two posteriors are independent, so the mean of the product is the product of the means.
    out["expected_value"] = discounted * mean * (model.paid_share * margin)
    if levels:
        # Intervals of value scale with it: by the margin and the customer's mean discount.
        none = np.full_like(mean, 1.0)
        plain = out["expected_purchases"]
        worth = margin * np.divide(discounted, plain, out=none, where=plain > 0)
        worth *= model.calibration.spend_level(0.0, float(days))
        made = {int(i): tables[number] for number, i in enumerate(index)} if tables.kept else {}
        values = _values(model, customers, pairs, days, shares, made)
        out.update({f"value-{name}": values[j] * worth for j, name in enumerate(ends)})
    return out


def _mean_spend(model: ClvModel, customers: Customers, days: float) -> np.ndarray:
    """Mean value of a purchase in the horizon of each customer."""
    assert model.spend is not None
    assert customers.n is not None
    mean = np.zeros(len(customers))
    for i, weight in zip(*model.spend.predictive_draws(), strict=True):
        draw = gathered(model.spend.draw(i, customers.spend_matrix), customers.cell)
        mean += weight * gammagamma.expected_value(*draw, n=customers.n, m=customers.m)
    return mean * model.calibration.spend_level(0.0, float(days))


def expected_value(model: ClvModel, customers: Customers, *, days: float) -> np.ndarray:
    """Expected value over ``(as_of, as_of + days]`` alone, at margin 1 and without discount.

    Parameters
    ----------
    model : ClvModel
    customers : Customers
    days : float

    Returns
    -------
    ndarray, shape (customers,)
        What :func:`predict_customers` calls ``expected_value``; ``expected_purchases`` where there is no
        money.

    Examples
    --------
    >>> from forecast.fitting import Fitted, purchase_model
    >>> nbd = Fitted.from_parameters(purchase_model("nbd"), dict(r=1.0, alpha=10.0), "given")
    >>> expected_value(ClvModel(nbd), Customers(np.zeros(1), np.zeros(1), np.zeros(1)), days=5).tolist()
    [0.5]
    """
    size, fitted = customers.block, model.purchases
    found = np.empty(len(customers))
    for begin in range(0, len(customers), size):
        rows = slice(begin, begin + size)
        own = customers.rows(rows)
        pairs, ahead = own.pairs(fitted), model.ahead(own.as_of)
        total = np.zeros(len(own))
        for i, weight in zip(*fitted.predictive_draws(), strict=True):
            draw = fitted.draw(i, own.purchase_matrix)
            expected, _ = expected_and_discount(fitted, draw, pairs, ahead, days, 0.0)
            total += weight * np.exp(log_p_alive(fitted, draw, own)) * expected[pairs.index]
        if model.spend is not None and own.n is not None:
            total *= _mean_spend(model, own, days) * model.paid_share
        found[rows] = total
    return found


Draws = list[tuple[Any, ...]]


class Tables:
    """Tails of each draw, kept where there are few draws and made anew where there are many."""

    def __init__(self, fitted: Fitted, draws: Draws, pairs: Pairs, time: float) -> None:
        self._make = lambda number: tail_table(fitted, draws[number], pairs, time)
        self._draws = len(draws)
        self.kept = len(draws) <= KEPT_DRAWS
        self._found: list[tuple[np.ndarray, np.ndarray]] = []

    def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        if not self.kept:
            return self._make(number)
        while len(self._found) <= number:
            self._found.append(self._make(len(self._found)))
        return self._found[number]

    def sizes(self) -> np.ndarray:
        """For each pair the longest tail of all draws."""
        longest = np.diff(self[0][0])
        for number in range(1, self._draws):
            np.maximum(longest, np.diff(self[number][0]), out=longest)
        return longest


def _beyond(
    model: ClvModel, customers: Customers, pairs: Pairs, draws: Draws, weights: np.ndarray, tables: Tables
) -> tuple[np.ndarray, np.ndarray]:
    """Chances of more than ``n`` purchases, n = 0, 1, …, customer after customer, the mean over draws."""
    starts = np.concatenate([[0], np.cumsum(tables.sizes()[pairs.index] - 1)])
    beyond = np.zeros(int(starts[-1]))
    for number, (draw, weight) in enumerate(zip(draws, weights, strict=True)):
        p_alive = np.exp(log_p_alive(model.purchases, draw, customers))
        offsets, tails = tables[number]
        add_beyond(pairs.index, p_alive, offsets, tails, starts, float(weight), beyond)
    return starts, beyond


def _values(
    model: ClvModel,
    customers: Customers,
    pairs: Pairs,
    days: float,
    shares: np.ndarray,
    made: Mapping[int, tuple[np.ndarray, np.ndarray]],
) -> np.ndarray:
    """Quantiles of value, on few weighted draws; the tails of some of them are made already."""
    assert model.spend is not None
    spend = customers.spend()
    assert spend is not None
    index, weights = model.purchases.thinned(VALUE_DRAWS)
    spend_index, spend_weights = model.spend.thinned(VALUE_SPEND_DRAWS)
    spends = [model.spend.draw(i, customers.spend_matrix) for i in spend_index]
    if any(np.ndim(v) > 0 and np.ptp(v) > 0.0 for draw in spends for v in draw[:2]):
        # The shapes p and q differ between groups: one group after another.
        assert customers.cell is not None
        found = np.empty((len(shares), len(customers)))
        for c in np.unique(customers.cell):
            rows = np.flatnonzero(customers.cell == c)
            own = customers.rows(rows)
            found[:, rows] = _values(model, own, own.pairs(model.purchases), days, shares, {})
        return found
    draws = [model.purchases.draw(i, customers.purchase_matrix) for i in index]
    time = model.ahead(customers.as_of)(days)
    tables = [
        made[int(i)] if int(i) in made else tail_table(model.purchases, draw, pairs, time)
        for i, draw in zip(index, draws, strict=True)
    ]
    sizes = np.max([np.diff(offsets) for offsets, _ in tables], axis=0)
    stacked, alive, offsets = [], [], np.zeros(1, np.int64)
    for draw, (own_offsets, tails) in zip(draws, tables, strict=True):
        offsets, filled = resize(own_offsets, thin(own_offsets, tails, model.paid_share), sizes)
        stacked.append(filled)
        alive.append(np.exp(log_p_alive(model.purchases, draw, customers)))
    joint = weights * spend_weights[np.arange(len(draws)) % len(spends)]
    levels = np.stack([gathered(draw, customers.cell)[2] + spend[1] for draw in spends])
    return value_quantiles(
        pairs.index,
        np.stack(alive),
        joint / joint.sum(),
        offsets,
        np.stack(stacked),
        [(float(np.ravel(p)[0]), float(np.ravel(q)[0])) for p, q, _ in spends],
        spend[0],
        levels,
        shares,
    )


def score_counts(
    model: ClvModel, customers: Customers, actual: np.ndarray, *, days: float
) -> dict[str, np.ndarray]:
    """How the predictive counts fare against what happened, customer by customer and exactly.

    Parameters
    ----------
    actual : ndarray of int, shape (customers,)
        Purchases in the horizon.

    Returns
    -------
    dict of str to ndarray, shape (customers,)
        ``crps``, ``below`` and ``at`` (predictive cdf just below and at the outcome, for PIT) and
        ``probability`` of the outcome itself (for the log score).

    Examples
    --------
    >>> from forecast.fitting import Fitted, purchase_model
    >>> nbd = Fitted.from_parameters(purchase_model("nbd"), dict(r=1.0, alpha=1.0), "given")
    >>> one = Customers(np.zeros(1), np.zeros(1), np.zeros(1))
    >>> found = score_counts(ClvModel(nbd), one, np.array([1]), days=1.0)
    >>> {name: round(float(v[0]), 4) for name, v in found.items()}
    {'crps': 0.3333, 'below': 0.5, 'at': 0.75, 'probability': 0.25}
    """
    size = customers.block
    y = np.asarray(actual, dtype=np.int64)
    parts = [
        _score_block(model, customers.rows(slice(begin, begin + size)), y[begin : begin + size], days)
        for begin in range(0, len(customers), size)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _score_block(model: ClvModel, customers: Customers, y: np.ndarray, days: float) -> dict[str, np.ndarray]:
    fitted = model.purchases
    index, weights = fitted.predictive_draws()
    draws = [fitted.draw(i, customers.purchase_matrix) for i in index]
    pairs = customers.pairs(fitted)
    ahead = model.ahead(customers.as_of)(days)
    tables = Tables(fitted, draws, pairs, ahead)
    starts, beyond = _beyond(model, customers, pairs, draws, weights, tables)
    crps, below, at = count_scores(starts, model.calibration.above(beyond), y)
    if model.calibration.warps:
        return {"crps": crps, "below": below, "at": at, "probability": at - below}
    mass = at - below
    rare = np.flatnonzero(mass < _RARE)
    if len(rare):
        mass[rare] = _probability(model, customers.rows(rare), y[rare], ahead, index, weights)
    return {"crps": crps, "below": below, "at": at, "probability": mass}


def _probability(
    model: ClvModel, customers: Customers, y: np.ndarray, time: float, index: Any, weights: Any
) -> np.ndarray:
    """Of the outcome itself, to its last digit however small it is."""
    fitted = model.purchases
    mass = np.zeros(len(customers))
    for i, weight in zip(index, weights, strict=True):
        draw = fitted.draw(i, customers.purchase_matrix)
        p_alive = np.exp(log_p_alive(fitted, draw, customers))
        own = gathered(draw, customers.cell)
        live = fitted.spec.formulas.if_alive(*own, x=customers.x, t_x=customers.t_x, T=customers.T)
        silent = np.where(y == 0, 1.0 - p_alive, 0.0)
        mass += weight * (p_alive * fitted.spec.formulas.PROCESS.pmf(*live, time, y) + silent)
    return mass
