"""Portfolio totals: simulated customers are added up draw by draw, then summarised.

The quantile of a sum is not the sum of quantiles; this is the only place where sums get intervals.
"""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd

from forecast.maths.compiling import njit
from forecast.periods import check_discount_rate, check_levels, check_margin, level_label
from forecast.predict.customers import predict_customers
from forecast.predict.population import ClvModel, Customers, log_p_alive
from forecast.predict.tables import expected_and_discount, gathered, tail_table

_BLOCK = 16_384
PARAMETER_DRAWS = 200


@njit(cache=True, nogil=True)
def _simulate(
    rng: np.random.Generator,
    index: np.ndarray,
    p_alive: np.ndarray,
    offsets: np.ndarray,
    tails: np.ndarray,
    group: np.ndarray,
    groups: int,
    draws: int,
    p: np.ndarray,
    shape: np.ndarray,
    scale: np.ndarray,
    paid_share: float,
) -> tuple:
    """Totals of purchases, value and buyers by group and draw; silent customers cost nothing."""
    purchases = np.zeros((groups, draws))
    value = np.zeros((groups, draws))
    active = np.zeros((groups, draws))
    for i in range(index.size):
        begin, end = offsets[index[i]], offsets[index[i] + 1]
        some = tails[begin + 1]
        chance = p_alive[i] * some
        if chance <= 0.0:
            continue
        log_silent = math.log1p(-chance) if chance < 1.0 else -np.inf
        g = group[i]
        s = -1
        while True:
            # The gap to the next draw in which this customer buys is geometric.
            gap = math.log(1.0 - rng.random()) / log_silent if chance < 1.0 else 0.0
            if s + 1.0 + gap >= draws:
                break
            s += 1 + int(gap)
            u = some * (1.0 - rng.random())
            n = 1
            while begin + n + 1 < end and tails[begin + n + 1] >= u:
                n += 1
            purchases[g, s] += n
            active[g, s] += 1.0
            if p.size > 0:
                paid = n
                if paid_share < 1.0:
                    paid = 0
                    for _ in range(n):
                        if rng.random() < paid_share:
                            paid += 1
                if paid > 0:
                    value[g, s] += scale[i] * rng.standard_gamma(p[i] * paid) / rng.standard_gamma(shape[i])
    return purchases, value, active


def simulate_totals(
    model: ClvModel,
    customers: Customers,
    *,
    days: float,
    groups: np.ndarray | None = None,
    margin: float = 1.0,
    discount_rate: float = 0.0,
    draws: int = 1000,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Joint draws of totals over ``(as_of, as_of + days]``.

    Parameters
    ----------
    model, customers, days, margin, discount_rate
        As in :func:`forecast.predict.predict_customers`.
    groups : ndarray of int, shape (customers,), optional
        Group of each customer, 0, 1, …; one group by default.
    draws : int
    seed : int
        Every draw of the parameters and block of customers has its own spawned stream, so thread count
        cannot change a number.

    Returns
    -------
    dict of str to ndarray, shape (groups, draws)
        ``purchases``, ``active`` (customers with at least one purchase) and, with a spend model,
        ``value``.
    """
    margin, discount_rate = check_margin(margin), check_discount_rate(discount_rate)
    size = len(customers)
    group = np.zeros(size, np.int64) if groups is None else np.asarray(groups, np.int64)
    count = int(group.max()) + 1 if size else 1
    totals = {name: np.zeros((count, draws)) for name in ("purchases", "value", "active")}
    fitted = model.purchases
    purchases, _ = fitted.thinned(min(draws, PARAMETER_DRAWS))
    spend = customers.spend() if model.spend is not None else None
    spends = np.zeros(0, int) if model.spend is None else model.spend.thinned(len(purchases))[0]
    if spend is None:
        del totals["value"]
    if size == 0:
        return totals
    pairs = customers.pairs(fitted)
    ahead = model.ahead(customers.as_of)
    # An unsure level is drawn anew for each group of draws, so there are as many groups as may be.
    groups_of_draws = min(draws, PARAMETER_DRAWS) if model.calibration.unsure else len(purchases)
    columns = np.array_split(np.arange(draws), groups_of_draws)
    seeds = np.random.SeedSequence(seed).spawn(groups_of_draws)
    levels = model.calibration.draw_levels(groups_of_draws, seed)
    worth = model.calibration.draw_spend_levels(groups_of_draws, seed)
    worth = worth * model.calibration.spend_level(0.0, days)

    def run(number: int) -> list[np.ndarray]:
        """All customers under one draw of the parameters; its stream is its own."""
        draw = fitted.draw(purchases[number % len(purchases)], customers.purchase_matrix)
        p_alive = np.exp(log_p_alive(fitted, draw, customers))
        offsets, tails = tail_table(fitted, draw, pairs, ahead(days) * float(levels[number]))
        each, shape, scale = np.zeros(0), np.zeros(0), np.zeros(0)
        if spend is not None and model.spend is not None:
            own = model.spend.draw(spends[number % len(spends)], customers.spend_matrix)
            p, q, gamma = gathered(own, customers.cell)
            each = np.full(size, p)
            shape, scale = q + p * spend[0], (gamma + spend[1]) * (margin * worth[number])
            if discount_rate > 0.0:
                factor = expected_and_discount(fitted, draw, pairs, ahead, days, discount_rate)[1]
                scale = scale * factor[pairs.index]
        begins = range(0, size, _BLOCK)
        streams = seeds[number].spawn(len(begins))
        parts = [
            _simulate(
                np.random.default_rng(streams[b]), pairs.index[rows], p_alive[rows], offsets, tails,
                group[rows], count, len(columns[number]), each[rows], shape[rows], scale[rows],
                model.paid_share,
            )
            for b, rows in enumerate(slice(begin, begin + _BLOCK) for begin in begins)
        ]  # fmt: skip
        return [np.sum([part[k] for part in parts], axis=0) for k in range(3)]

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for number, found in enumerate(pool.map(run, range(groups_of_draws))):
            for name, part in zip(("purchases", "value", "active"), found, strict=True):
                if name in totals:
                    totals[name][:, columns[number]] = part
    return totals


def portfolio_totals(
    model: ClvModel,
    histories: pd.DataFrame,
    *,
    days: int,
    levels: Any = (80.0, 95.0),
    by: str | None = None,
    margin: float = 1.0,
    discount_rate: float = 0.0,
    draws: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Totals of purchases, buyers and value with predictive intervals, overall and by group.

    Parameters
    ----------
    histories : pandas.DataFrame
        One row a customer.
    by : str, optional
        A column of ``histories``; its lines follow the total's.

    Returns
    -------
    pandas.DataFrame
        Long: ``scope, group, target, expected, lo-80, hi-80, …``. ``expected`` is the exact mean, so
        that groups add up to the total and customers to both.
    """
    levels = check_levels(levels)
    customers = Customers.from_frame(histories, model)
    found = predict_customers(model, customers, days=days, margin=margin, discount_rate=discount_rate)
    exact = {"purchases": found["expected_purchases"], "active": found["p_purchase"]}
    if "expected_value" in found:
        exact["value"] = found["expected_value"]
    codes, labels = np.zeros(len(customers), np.int64), ["all"]
    if by is not None:
        codes, names = pd.factorize(histories[by], sort=True)
        labels = [str(name) for name in names]
    simulated = simulate_totals(
        model,
        customers,
        days=days,
        groups=codes,
        margin=margin,
        discount_rate=discount_rate,
        draws=draws,
        seed=seed,
    )
    lines = []
    for target, values in exact.items():
        total = simulated[target].sum(axis=0)
        lines.append(_line("total", "all", target, math.fsum(values), total, levels))
        if by is not None:
            sums = np.bincount(codes, weights=values, minlength=len(labels))
            lines.extend(
                _line(by, label, target, float(sums[g]), simulated[target][g], levels)
                for g, label in enumerate(labels)
            )
    return pd.DataFrame(lines)


def _line(
    scope: str, group: str, target: str, expected: float, draws: np.ndarray, levels: tuple[float, ...]
) -> dict[str, Any]:
    line: dict[str, Any] = {"scope": scope, "group": group, "target": target, "expected": expected}
    for level in levels:
        lo, hi = np.quantile(draws, [0.5 - level / 200.0, 0.5 + level / 200.0])
        line[f"lo-{level_label(level)}"] = float(lo)
        line[f"hi-{level_label(level)}"] = float(hi)
    return line
