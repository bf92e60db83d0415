"""Customers' predictive distributions: expectation, chance to buy, and intervals of what will happen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from forecast.errors import InputError
from forecast.fitting import Fitted
from forecast.maths import gammagamma
from forecast.periods import check_discount_rate, check_levels, check_margin, level_label
from forecast.predict.tables import (
    Pairs,
    add_beyond,
    count_scores,
    expected_and_discount,
    gathered,
    purchase_quantiles,
    resize,
    tail_table,
    thin,
)
from forecast.predict.values import value_quantiles
from forecast.summary.statistics import distinct_traits

BLOCK = 262_144
MANY_CELLS = 4_096
VALUE_DRAWS, VALUE_SPEND_DRAWS = 12, 6  # quantiles of value are dear; weights make few draws enough


@dataclass(frozen=True)
class ClvModel:
    """A purchase model and, where orders carry money, a spend model.

    Attributes
    ----------
    purchases : Fitted
    spend : Fitted or None
    paid_share : float
        Share of repeat purchases with a value above 0. Free ones count as purchases but bring no
        value, so the number of purchases is thinned before it meets spend.
    """

    purchases: Fitted
    spend: Fitted | None = None
    paid_share: float = 1.0

    @property
    def traits(self) -> tuple[str, ...]:
        """Columns that customers need beside their histories."""
        own = () if self.spend is None else self.spend.traits
        return tuple(dict.fromkeys((*self.purchases.traits, *own)))


def log_p_alive(fitted: Fitted, draw: tuple[Any, ...], customers: Customers) -> np.ndarray:
    """Log of the chance to be a customer still, shape (customers,)."""
    own = gathered(draw, customers.cell)
    odds = fitted.spec.formulas.log_odds_left(*own, x=customers.x, t_x=customers.t_x, T=customers.T)
    return -np.logaddexp(0.0, odds)


def _interval_shares(levels: Sequence[float]) -> tuple[np.ndarray, list[str]]:
    shares, names = [], []
    for level in levels:
        shares += [0.5 - level / 200.0, 0.5 + level / 200.0]
        names += [f"lo-{level_label(level)}", f"hi-{level_label(level)}"]
    return np.array(shares), names


@dataclass(frozen=True)
class Customers:
    """Checked purchase histories as arrays of shape (customers,), in the model's unit of time.

    Attributes
    ----------
    x, t_x, T : ndarray
        Repeat purchases, recency, age.
    n, m : ndarray, optional
        Number and mean of valued repeat purchases; ``m`` is ignored where ``n`` is 0.
    cell : ndarray of int, optional
        Which traits each has, for a model with effects.
    purchase_matrix, spend_matrix : ndarray, shape (cells, K), optional
        The traits as each of the two models encodes them.
    """

    x: np.ndarray
    t_x: np.ndarray
    T: np.ndarray
    n: np.ndarray | None = None
    m: np.ndarray | None = None
    cell: np.ndarray | None = None
    purchase_matrix: np.ndarray | None = None
    spend_matrix: np.ndarray | None = None

    @classmethod
    def from_frame(cls, histories: pd.DataFrame, model: ClvModel | None = None) -> Customers:
        """From a frame with ``frequency, recency, T, monetary_count, monetary_value`` and traits.

        Raises
        ------
        InputError
            When a trait that the model needs is missing or cannot be encoded.
        """
        names = ("frequency", "recency", "T", "monetary_count", "monetary_value")
        found = cls(*(histories[name].to_numpy(dtype=float) for name in names))
        return found if model is None else found.with_traits(histories, model)

    def with_traits(self, frame: pd.DataFrame, model: ClvModel) -> Customers:
        """The same with the traits that the model needs; themselves where it needs none."""
        if not model.traits:
            return self
        missing = [name for name in model.traits if name not in frame]
        if missing:
            raise InputError(
                f"the model needs the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}",
                advice="Give the traits that the model was fitted with.",
            )
        cell, cells = distinct_traits(frame, model.traits)
        sizes = np.bincount(cell, minlength=len(cells))
        matrices = [
            None if part is None or part.effects is None else part.effects.design.matrix(cells, sizes)
            for part in (model.purchases, model.spend)
        ]
        return replace(self, cell=cell, purchase_matrix=matrices[0], spend_matrix=matrices[1])

    def __len__(self) -> int:
        return len(self.x)

    def rows(self, rows: slice | np.ndarray) -> Customers:
        """Some of them."""
        own = {
            name: None if (v := getattr(self, name)) is None else v[rows]
            for name in ("x", "t_x", "T", "n", "m")
        }
        if self.cell is None:
            return Customers(**own)  # type: ignore[arg-type]
        used, cell = np.unique(self.cell[rows], return_inverse=True)
        matrices = [None if m is None else m[used] for m in (self.purchase_matrix, self.spend_matrix)]
        return Customers(**own, cell=cell, purchase_matrix=matrices[0], spend_matrix=matrices[1])  # type: ignore[arg-type]

    @property
    def block(self) -> int:
        """How many to take at once: fewer where each may have parameters of its own."""
        return BLOCK if self.cell is None or int(self.cell.max(initial=0)) < MANY_CELLS else BLOCK // 16

    def pairs(self, fitted: Fitted) -> Pairs:
        """Their distinct histories, as far as live customers of the model differ by them."""
        return Pairs.of(fitted, self.x, self.t_x, self.T, self.cell)

    def spend(self) -> tuple[np.ndarray, np.ndarray] | None:
        """``(n, n m)``, or None where orders carry no money."""
        if self.n is None or self.m is None:
            return None
        return self.n, np.where(self.n > 0, self.n * np.nan_to_num(self.m), 0.0)


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
    size = customers.block
    parts = [
        _block(model, customers.rows(slice(begin, begin + size)), days, levels, margin, discount_rate)
        for begin in range(0, len(customers), size)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


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
    names = ("p_alive", "p_purchase", "expected_purchases", "discounted")
    out = {name: np.zeros(len(customers)) for name in names}
    tables = []
    for draw, weight in zip(draws, weights, strict=True):
        p_alive = weight * np.exp(log_p_alive(model.purchases, draw, customers))
        expected, discount = expected_and_discount(model.purchases, draw, pairs, days, discount_rate)
        offsets, tails = tail_table(model.purchases, draw, pairs, days)
        tables.append((offsets, tails))
        out["p_alive"] += p_alive
        out["p_purchase"] += p_alive * tails[offsets[:-1] + 1][pairs.index]
        out["expected_purchases"] += p_alive * expected[pairs.index]
        out["discounted"] += p_alive * (expected * discount)[pairs.index]
    discounted = out.pop("discounted")
    shares, ends = _interval_shares(levels)
    if levels:
        counts = purchase_quantiles(*_beyond(model, customers, pairs, draws, weights, tables), shares)
        out.update({f"purchases-{name}": counts[j] for j, name in enumerate(ends)})
    spend = customers.spend()
    if model.spend is None or spend is None:
        return out
    mean = np.zeros(len(customers))
    for i, weight in zip(*model.spend.predictive_draws(), strict=True):
        draw = gathered(model.spend.draw(i, customers.spend_matrix), customers.cell)
        mean += weight * gammagamma.expected_value(*draw, n=spend[0], m=customers.m)
    out["expected_purchase_value"] = mean
    # The two posteriors are independent, so the mean of the product is the product of the means.
    out["expected_value"] = discounted * mean * (model.paid_share * margin)
    if levels:
        # Intervals of value scale with it: by the margin and the customer's mean discount.
        none = np.full_like(mean, 1.0)
        plain = out["expected_purchases"]
        worth = margin * np.divide(discounted, plain, out=none, where=plain > 0)
        values = _values(model, customers, pairs, days, shares)
        out.update({f"value-{name}": values[j] * worth for j, name in enumerate(ends)})
    return out


Draws = list[tuple[Any, ...]]
Tables = list[tuple[np.ndarray, np.ndarray]]


def _beyond(
    model: ClvModel, customers: Customers, pairs: Pairs, draws: Draws, weights: np.ndarray, tables: Tables
) -> tuple[np.ndarray, np.ndarray]:
    """Chances of more than ``n`` purchases, n = 0, 1, …, customer after customer, the mean over draws."""
    sizes = np.max([np.diff(offsets) for offsets, _ in tables], axis=0)
    starts = np.concatenate([[0], np.cumsum(sizes[pairs.index] - 1)])
    beyond = np.zeros(int(starts[-1]))
    for draw, weight, (offsets, tails) in zip(draws, weights, tables, strict=True):
        p_alive = np.exp(log_p_alive(model.purchases, draw, customers))
        add_beyond(pairs.index, p_alive, offsets, tails, starts, float(weight), beyond)
    return starts, beyond


def _values(
    model: ClvModel, customers: Customers, pairs: Pairs, days: float, shares: np.ndarray
) -> np.ndarray:
    """Quantiles of value, on few weighted draws."""
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
            found[:, rows] = _values(model, own, own.pairs(model.purchases), days, shares)
        return found
    draws = [model.purchases.draw(i, customers.purchase_matrix) for i in index]
    tables = [tail_table(model.purchases, draw, pairs, days) for draw in draws]
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
    tables = [tail_table(fitted, draw, pairs, days) for draw in draws]
    crps, below, at = count_scores(*_beyond(model, customers, pairs, draws, weights, tables), y)
    mass = np.zeros(len(customers))
    for draw, weight in zip(draws, weights, strict=True):
        p_alive = np.exp(log_p_alive(fitted, draw, customers))
        own = gathered(draw, customers.cell)
        live = fitted.spec.formulas.if_alive(*own, x=customers.x, t_x=customers.t_x, T=customers.T)
        silent = np.where(y == 0, 1.0 - p_alive, 0.0)
        mass += weight * (p_alive * fitted.spec.formulas.PROCESS.pmf(*live, days, y) + silent)
    return {"crps": crps, "below": below, "at": at, "probability": mass}
