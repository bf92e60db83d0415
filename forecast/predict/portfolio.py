"""Portfolio totals: simulated customers are added up draw by draw, then summarised.

The quantile of a sum is not the sum of quantiles; this is the only place where sums get intervals. Expected
sums are exact. Where customers are many, some of them, evenly spread, stand for all in the draws.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd

from forecast.maths.compiling import njit
from forecast.periods import check_discount_rate, check_levels, check_margin, level_label
from forecast.predict.customers import predict_customers
from forecast.predict.population import ClvModel, Customers, log_p_alive
from forecast.predict.tables import expected_and_discount, gathered, tail_table
from forecast.summary.table import BATCH, HistoryTable

_BLOCK = 16_384
PARAMETER_DRAWS = 200
# Customers that are simulated, and those of a group where groups are many.
MOST_SIMULATED = 131_072
MOST_OF_A_GROUP = 1_024
# By purchases and by value, these speak for themselves: one of them could outweigh thousands.
LARGEST_SIMULATED = 8_192
_SIZES = {"purchases", "value"}
_OWN = "of this customer: "  # no history has a column of that name
_TARGETS = {"purchases": "expected_purchases", "active": "p_purchase", "value": "expected_value"}


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
    means: bool = False,
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
    means : bool
        Also what each draw's parameters make one expect.

    Returns
    -------
    dict of str to ndarray, shape (groups, draws)
        ``purchases``, ``active`` (customers with at least one purchase) and, with a spend model,
        ``value``; with ``means`` also ``mean purchases`` and so on, infinite where a draw's mean spend is,
        and ``tail of value``, the smallest shape of a customer's mean spend: its moments below that exist.
    """
    margin, discount_rate = check_margin(margin), check_discount_rate(discount_rate)
    size = len(customers)
    group = np.zeros(size, np.int64) if groups is None else np.asarray(groups, np.int64)
    count = int(group.max()) + 1 if size else 1
    names = ["purchases", "value", "active"]
    if means:
        names += [*(f"mean {name}" for name in names), "tail of value"]
    totals = {name: np.zeros((count, draws)) for name in names}
    fitted = model.purchases
    purchases, _ = fitted.thinned(min(draws, PARAMETER_DRAWS))
    spend = customers.spend() if model.spend is not None else None
    spends = np.zeros(0, int) if model.spend is None else model.spend.thinned(len(purchases))[0]
    if spend is None:
        totals = {name: found for name, found in totals.items() if "value" not in name}
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

    def run(number: int, each_of: Callable[..., Iterable[Any]] = map) -> list[np.ndarray]:
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

        def block(b: int) -> tuple[np.ndarray, ...]:
            rows = slice(begins[b], begins[b] + _BLOCK)
            simulated: tuple[np.ndarray, ...] = _simulate(
                np.random.default_rng(streams[b]), pairs.index[rows], p_alive[rows], offsets, tails,
                group[rows], count, len(columns[number]), each[rows], shape[rows], scale[rows],
                model.paid_share,
            )  # fmt: skip
            return simulated

        parts = list(each_of(block, range(len(begins))))
        found = [np.sum([part[k] for part in parts], axis=0) for k in range(3)]
        if means:
            some = p_alive * tails[offsets[:-1] + 1][pairs.index]
            bought = p_alive * (np.add.reduceat(tails, offsets[:-1]) - 1.0)[pairs.index]
            worth_each, tail = np.zeros(size), np.full(count, np.inf)
            if len(each):
                with np.errstate(divide="ignore"):
                    worth_each = model.paid_share * each * scale / np.maximum(shape - 1.0, 0.0)
                np.minimum.at(tail, group, shape)
            value = np.multiply(bought, worth_each, out=np.zeros(size), where=bought > 0.0)
            expected = (bought, value, some)
            found += [np.bincount(group, weights=one, minlength=count)[:, None] for one in expected]
            found.append(tail[:, None])
        return found

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        alone = groups_of_draws == 1  # then blocks are what threads share
        done = [run(0, pool.map)] if alone else pool.map(run, range(groups_of_draws))
        for number, found in enumerate(done):
            for name, part in zip(names, found, strict=True):
                if name in totals:
                    totals[name][:, columns[number]] = part
    return totals


class PortfolioTotals:
    """Totals of customers who come block by block; memory grows with the groups, not with the customers.

    Parameters
    ----------
    model : ClvModel
    sizes : mapping of str to int
        Customers of each group, in the order of the lines; ``{"all": n}`` without groups.
    days, margin, discount_rate, draws, seed
        As in :func:`simulate_totals`.

    Notes
    -----
    Where customers are too many, the largest of all are simulated, and of the others of a group every
    so-many-th: ``n`` of ``N``. Under one draw of the parameters customers are independent, so the sum of all
    ``N`` is its mean plus a deviation as of the ``n`` times ``(N / n) ** (1 / 2)``. The mean is the exact
    expected sum, moved by as much as that of the ``n`` under that draw. Where mean spend has a tail with the
    exponent ``q < 2`` the power is ``1 / q``, as of stable laws, and for ``q <= 1`` there is no mean to
    deviate from: the sum itself grows that way.
    """

    def __init__(
        self, model: ClvModel, sizes: Mapping[str, int], *, days: int, margin: float = 1.0,
        discount_rate: float = 0.0, draws: int = 1000, seed: int = 0,
    ) -> None:  # fmt: skip
        self._model, self._labels = model, list(sizes)
        self._options: dict[str, Any] = {
            "days": days, "margin": margin, "discount_rate": discount_rate, "draws": draws, "seed": seed
        }  # fmt: skip
        most = max(MOST_SIMULATED // max(len(sizes), 1), MOST_OF_A_GROUP)
        self._whole = sum(sizes.values()) <= MOST_SIMULATED
        self._stride = np.array([1 if self._whole else -(-n // most) for n in sizes.values()], np.int64)
        self._seen = np.zeros(len(sizes), np.int64)
        self._some: list[pd.DataFrame] = []
        self._largest: dict[str, pd.DataFrame] = {}
        # Exact sums of each group and of all, block by block.
        self._sums: dict[str, list[np.ndarray]] = {}

    def add(self, histories: pd.DataFrame, found: Any, labels: Any = None) -> None:
        """Take a block of customers.

        Parameters
        ----------
        histories : pandas.DataFrame
            One row a customer.
        found : mapping of str to array, or frame
            ``expected_purchases, p_purchase`` and, with a spend model, ``expected_value``.
        labels : array_like of str, shape (customers,), optional
            Group of each customer.
        """
        codes = np.zeros(len(histories), np.int64)
        if labels is not None:
            codes = pd.Index(self._labels).get_indexer(pd.Index(labels)).astype(np.int64)
        values = {
            target: np.asarray(found[column], dtype=float)
            for target, column in _TARGETS.items()
            if column in found
        }
        for target, own in values.items():
            sums = np.bincount(codes, weights=own, minlength=len(self._labels))
            self._sums.setdefault(target, []).append(np.append(sums, math.fsum(own)))
        block = histories.assign(**{_OWN + target: own for target, own in values.items()}, **{_OWN: codes})
        block.index = pd.RangeIndex(self._seen.sum(), self._seen.sum() + len(block))
        place = self._seen[codes] + pd.Series(codes).groupby(codes).cumcount().to_numpy()
        self._seen += np.bincount(codes, minlength=len(self._seen))
        self._some.append(block[place % self._stride[codes] == self._stride[codes] // 2])
        if not self._whole:
            for target in _SIZES & values.keys():
                known = self._largest.get(target, block[:0])
                self._largest[target] = _largest(pd.concat([known, block]), _OWN + target)

    def lines(self, levels: tuple[float, ...], by: str | None = None) -> pd.DataFrame:
        """Totals with predictive intervals, as of :func:`portfolio_totals`."""
        exact = {
            target: np.array([math.fsum(parts) for parts in zip(*blocks, strict=True)])
            for target, blocks in self._sums.items()
        }
        some = pd.concat(self._some)
        draws = self._simulated(some, some[_OWN].to_numpy()) if self._whole else self._stood_for(some, exact)
        lines = []
        for target, sums in exact.items():
            groups = draws[target]
            lines.append(_line("total", "all", target, float(sums[-1]), groups.sum(axis=0), levels))
            if by is not None:
                lines.extend(
                    _line(by, label, target, float(sums[g]), groups[g], levels)
                    for g, label in enumerate(self._labels)
                )
        return pd.DataFrame(lines)

    def _simulated(self, rows: pd.DataFrame, codes: np.ndarray, **options: Any) -> dict[str, np.ndarray]:
        customers = Customers.from_frame(rows, self._model)
        return simulate_totals(self._model, customers, groups=codes, **self._options, **options)

    def _stood_for(self, some: pd.DataFrame, exact: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Draws of all groups from their largest customers, and from some who stand for the others."""
        groups = len(self._labels)
        large = pd.concat(self._largest.values())
        large = large[~large.index.duplicated()].sort_index()
        rest = some[~some.index.isin(large.index)]
        rows = pd.concat([large, rest])
        codes = np.concatenate([large[_OWN], rest[_OWN] + groups])
        draws = {
            name: np.vstack([found, np.zeros((2 * groups - len(found), found.shape[1]))])
            for name, found in self._simulated(rows, codes, means=True).items()
        }
        others = self._seen - np.bincount(large[_OWN], minlength=groups)
        share = others / np.maximum(np.bincount(rest[_OWN], minlength=groups), 1)
        share = np.concatenate([np.ones(groups), share])
        totals = {}
        for target, sums in exact.items():
            own = np.bincount(codes, weights=rows[_OWN + target], minlength=2 * groups)
            with np.errstate(invalid="ignore"):  # infinite less infinite: no mean, which is seen to
                both = np.concatenate([own[:groups], sums[:-1] - own[:groups]])
            tail = draws["tail of value"] if target == "value" else np.full_like(draws[target], np.inf)
            found = _stand_in(draws[target], draws[f"mean {target}"], tail, both, own, share)
            totals[target] = found[:groups] + found[groups:]
        return totals


def _largest(block: pd.DataFrame, column: str) -> pd.DataFrame:
    order = np.argsort(-block[column].to_numpy(), kind="stable")
    return block.iloc[np.sort(order[:LARGEST_SIMULATED])]


def _stand_in(
    draws: np.ndarray, mean: np.ndarray, tail: np.ndarray, exact: np.ndarray, of_some: np.ndarray,
    share: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Draws of the totals of all from those of some, shape (groups, draws)."""
    share, exact, of_some = share[:, None], exact[:, None], of_some[:, None]
    # How much all expect beside some; their numbers tell where nothing else does.
    known = np.isfinite(exact) & np.isfinite(of_some) & (of_some > 0.0)
    times = np.divide(exact, of_some, out=np.broadcast_to(share, known.shape).copy(), where=known)
    wider = share ** (1.0 / np.clip(tail, 0.1, 2.0))
    middle = np.isfinite(mean)
    known_mean = np.where(middle, mean, 0.0)
    found: np.ndarray = np.where(middle, times, wider) * known_mean + wider * (draws - known_mean)
    # Whoever has nobody to stand for them has what they expect.
    return np.where((of_some > 0.0) | ~np.isfinite(exact), found, exact)


def portfolio_totals(
    model: ClvModel,
    histories: HistoryTable,
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
    histories : HistoryTable
        Asked for block by block.
    by : str, optional
        A column of ``histories``; its lines follow the total's.

    Returns
    -------
    pandas.DataFrame
        Long: ``scope, group, target, expected, lo-80, hi-80, …``. ``expected`` is the exact mean, so
        that groups add up to the total and customers to both.
    """
    levels = check_levels(levels)
    options: dict[str, Any] = {"days": days, "margin": margin, "discount_rate": discount_rate}
    totals = PortfolioTotals(model, histories.sizes(by), draws=draws, seed=seed, **options)
    for frame in histories.batches(BATCH):
        found = predict_customers(model, Customers.from_frame(frame, model), **options)
        totals.add(frame, found, frame[by] if by else None)
    return totals.lines(levels, by)


def _line(
    scope: str, group: str, target: str, expected: float, draws: np.ndarray, levels: tuple[float, ...]
) -> dict[str, Any]:
    line: dict[str, Any] = {"scope": scope, "group": group, "target": target, "expected": expected}
    for level in levels:
        lo, hi = np.quantile(draws, [0.5 - level / 200.0, 0.5 + level / 200.0])
        line[f"lo-{level_label(level)}"] = float(lo)
        line[f"hi-{level_label(level)}"] = float(hi)
    return line
