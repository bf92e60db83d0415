"""Joint draws of what customers do in windows that follow one another: the quarters of an issued forecast.

A quarter that starts later is not forecast by differences of quantiles: each draw walks the customers
through all windows at once, so that sums over windows, groups and targets hold within every draw.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from forecast.predict.population import ClvModel, Customers, log_p_alive
from forecast.predict.portfolio import PARAMETER_DRAWS
from forecast.predict.tables import gathered

TARGETS = ("purchases", "active", "value")


class ParameterSet(NamedTuple):
    """Joint draws that share the models' parameters and the level."""

    columns: np.ndarray
    purchases: int
    spend: int
    level: float
    spend_level: float


def parameter_sets(model: ClvModel, draws: int, seed: int) -> list[ParameterSet]:
    """Which parameters each joint draw has: the same for known customers and newcomers, so both add up."""
    purchases, _ = model.purchases.thinned(min(draws, PARAMETER_DRAWS))
    spends = np.zeros(1, int) if model.spend is None else model.spend.thinned(len(purchases))[0]
    # A level is drawn anew for each set, and sets share out the work: so there are as many as may be.
    size = min(draws, PARAMETER_DRAWS)
    levels, worth = model.calibration.draw_levels(size, seed), model.calibration.draw_spend_levels(size, seed)
    return [
        ParameterSet(
            columns,
            int(purchases[k % len(purchases)]),
            int(spends[k % len(spends)]),
            float(levels[k]),
            float(worth[k]),
        )
        for k, columns in enumerate(np.array_split(np.arange(draws), size))
    ]


def spend_levels_in(model: ClvModel, ends: Sequence[float]) -> np.ndarray:
    """What multiplies the value of repeat purchases in each window, shape (windows,)."""
    starts = [0.0, *ends][:-1]
    return np.array([model.calibration.spend_level(a, b) for a, b in zip(starts, ends, strict=True)])


def simulate_windows(
    model: ClvModel,
    customers: Customers,
    ends: Sequence[float],
    *,
    groups: np.ndarray | None = None,
    margin: float = 1.0,
    draws: int = 1000,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, np.ndarray]:
    """Joint draws of totals in the windows ``(0, ends[0]], (ends[0], ends[1]], …`` after ``as_of``.

    Parameters
    ----------
    model : ClvModel
    customers : Customers
    ends : sequence of float
        Days after ``as_of``, rising.
    groups : ndarray of int, shape (customers,), optional
        Group of each customer, 0, 1, …; one group by default.
    margin : float
    draws : int
    seed : int
        Every draw of the parameters has its own stream, so thread count cannot change a number.
    progress : callable, optional
        Called with what is done, how many and of how many.

    Returns
    -------
    dict of str to ndarray, shape (windows, groups, draws)
        ``purchases``, ``active`` (customers with a purchase in the window) and, with a spend model,
        ``value``. An unsure level is one for all windows of a draw.

    Examples
    --------
    >>> from forecast.fitting import Fitted, purchase_model
    >>> nbd = Fitted.from_parameters(purchase_model("nbd"), dict(r=2.0, alpha=20.0), "given")
    >>> shop = Customers(np.full(500, 3.0), np.full(500, 40.0), np.full(500, 80.0))
    >>> found = simulate_windows(ClvModel(nbd), shop, [10.0, 20.0], draws=200)
    >>> found["purchases"].shape, found["purchases"].mean(axis=2).round(-1).ravel().tolist()
    ((2, 1, 200), [250.0, 250.0])
    """
    size, windows = len(customers), len(ends)
    group = np.zeros(size, np.int64) if groups is None else np.asarray(groups, np.int64)
    count = int(group.max()) + 1 if size else 1
    fitted = model.purchases
    spend = customers.spend() if model.spend is not None else None
    kept = TARGETS if spend is not None else TARGETS[:2]
    totals = {name: np.zeros((windows, count, draws)) for name in kept}
    if size == 0:
        return totals
    pairs = customers.pairs(fitted)
    ahead = model.ahead(customers.as_of)
    clock = np.array([ahead(float(end)) for end in ends])
    spend_levels = spend_levels_in(model, ends)
    sets = parameter_sets(model, draws, seed)
    seeds = np.random.SeedSequence(seed).spawn(len(sets))

    def run(number: int) -> np.ndarray:
        """All customers under one draw of the parameters, shape (targets, windows, groups, columns)."""
        rng, own_set = np.random.default_rng(seeds[number]), sets[number]
        draw = fitted.draw(own_set.purchases, customers.purchase_matrix)
        p_alive = np.exp(log_p_alive(fitted, draw, customers))
        live = [np.broadcast_to(v, pairs.x.shape) for v in pairs.live(fitted, draw)]
        limits = clock * own_set.level
        found = np.zeros((len(kept), windows, count, len(own_set.columns)))
        if spend is not None and model.spend is not None:
            own = model.spend.draw(own_set.spend, customers.spend_matrix)
            p, q, gamma = (np.broadcast_to(v, size) for v in gathered(own, customers.cell))
        for column in range(len(own_set.columns)):
            alive = np.flatnonzero(rng.random(size) < p_alive)
            rows = pairs.index[alive]
            who, when = fitted.spec.formulas.PROCESS.future(rng, *(v[rows] for v in live), float(limits[-1]))
            window = np.minimum(np.searchsorted(limits, when, side="left"), windows - 1)
            cell, number_of = np.unique(alive[who] * windows + window, return_counts=True)
            customer, window = np.divmod(cell, windows)
            place = window * count + group[customer]

            def total(values: np.ndarray | None, place: np.ndarray = place) -> np.ndarray:
                return np.bincount(place, weights=values, minlength=windows * count).reshape(windows, count)

            found[0, ..., column] = total(number_of.astype(float))
            found[1, ..., column] = total(None)
            if spend is not None:
                paid = number_of if model.paid_share >= 1.0 else rng.binomial(number_of, model.paid_share)
                shape = q + p * spend[0]
                level = (gamma + spend[1]) * margin / np.maximum(rng.standard_gamma(shape), 1e-300)
                value = np.where(paid > 0, rng.standard_gamma(p[customer] * np.maximum(paid, 1)), 0.0)
                worth = own_set.spend_level * spend_levels[window]
                found[2, ..., column] = total(level[customer] * value * worth)
        return found

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for number, found in enumerate(pool.map(run, range(len(sets)))):
            for k, name in enumerate(kept):
                totals[name][..., sets[number].columns] = found[k]
            if progress is not None:
                progress("quarters simulated", number + 1, len(sets))
    return totals
