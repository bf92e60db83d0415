"""Replicated data: what the fitted model would have shown for the customers that were there.

A model that describes its data could have produced them. Customers who are equal before anything is
seen, by age or by number of values, are drawn together, so no customer meets every draw.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.polynomial import chebyshev
from scipy import special

from forecast.fitting import Fitted

PARAMETER_DRAWS = 200
REPLICATIONS = 2000
_BLOCK = 2**20
_MOST_TERMS = 1024
MOST_WALKED = 100_000  # customers walked in each draw; the noise of more of them is scaled up from these


class Replicated(NamedTuple):
    """Mean and central interval of replicated data, each of shape (k,)."""

    expected: np.ndarray
    lo: np.ndarray
    hi: np.ndarray


def interval(values: np.ndarray, weight: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Central interval of weighted draws, column by column; its ends are values that were drawn.

    Parameters
    ----------
    values : ndarray, shape (S, k)
    weight : ndarray, shape (S,)
    level : float
        Percent.

    Returns
    -------
    lo, hi : ndarray, shape (k,)

    Examples
    --------
    >>> lo, hi = interval(np.arange(101.0)[:, None], np.full(101, 1 / 101), 90.0)
    >>> lo.tolist(), hi.tolist()
    ([5.0], [95.0])
    """
    order = np.argsort(values, axis=0, kind="stable")
    ranked = np.take_along_axis(values, order, axis=0)
    share = np.cumsum(weight[order], axis=0)
    ends = []
    for end in (0.5 - level / 200.0, 0.5 + level / 200.0):
        place = np.minimum((share < end - 1e-12).sum(axis=0), len(values) - 1)
        ends.append(np.take_along_axis(ranked, place[None], axis=0)[0])
    return ends[0], ends[1]


def _draws(fitted: Fitted) -> tuple[list[tuple[float, ...]], np.ndarray]:
    """Draws of the parameters, evenly taken, with the weights that keep the posterior's means."""
    index, weights = fitted.thinned(PARAMETER_DRAWS)
    return [fitted.draw(int(k)) for k in index], weights


def _newcomers(fitted: Fitted, draw: tuple[float, ...], ages: np.ndarray) -> tuple[float, list[np.ndarray]]:
    """Chance to stay after the first purchase, and the process of those who do, with the age as unit of time.

    One call of the process, over a time of 1, then serves all ages.
    """
    spec = fitted.spec
    odds = spec.formulas.log_odds_left(*draw, x=0.0, t_x=0.0, T=0.0)
    own = [
        value / ages if name in spec.scaled else value
        for name, value in zip(spec.parameters, draw, strict=True)
    ]
    live = spec.formulas.if_alive(*own, x=0.0, t_x=0.0, T=0.0)
    return float(1.0 / (1.0 + np.exp(odds))), [np.broadcast_to(v, ages.shape) for v in live]


def count_chances(fitted: Fitted, draw: tuple[float, ...], ages: np.ndarray, most: int) -> np.ndarray:
    """Chance of 0, 1, …, ``most`` - 1 and of ``most`` or more repeat purchases by each age.

    Returns
    -------
    ndarray, shape (ages, most + 1)

    Examples
    --------
    >>> from forecast.fitting import purchase_model
    >>> nbd = Fitted.from_parameters(purchase_model("nbd"), dict(r=1.0, alpha=7.0), "given")
    >>> count_chances(nbd, (1.0, 7.0), np.array([0.0, 7.0]), 2).round(9).tolist()
    [[1.0, 0.0, 0.0], [0.5, 0.25, 0.25]]
    """
    found = np.zeros((len(ages), most + 1))
    found[:, 0] = 1.0
    old = ages > 0
    if old.any():
        stays, live = _newcomers(fitted, draw, ages[old])
        offsets, tails = fitted.spec.formulas.PROCESS.tail_table(*live, 1.0)
        counts = np.arange(most + 1)
        beyond = counts[None, :] >= np.diff(offsets)[:, None]
        place = np.minimum(offsets[:-1, None] + counts[None, :], len(tails) - 1)
        tail = np.where(beyond, 0.0, tails[place])
        found[old] = stays * (tail - np.append(tail[:, 1:], np.zeros((len(tail), 1)), axis=1))
        found[old, 0] += 1.0 - stays
    return found


def mean_chances(draw: tuple[float, ...], n: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Chance that the mean of ``n`` Gamma-Gamma values falls below, between and above the edges.

    ``n m / gamma`` has a beta prime distribution with shapes ``p n`` and ``q``.

    Returns
    -------
    ndarray, shape (n, edges + 1)

    Examples
    --------
    >>> mean_chances((1.0, 1.0, 10.0), np.array([1.0]), np.array([10.0])).tolist()
    [[0.5, 0.5]]
    """
    p, q, gamma = draw
    total = n[:, None] * edges[None, :]
    below = special.betainc(p * n[:, None], q, total / (gamma + total))
    return np.diff(below, axis=1, prepend=0.0, append=1.0)


def replicated_classes(
    fitted: Fitted,
    customers: np.ndarray,
    chances: Callable[[tuple[float, ...]], np.ndarray],
    *,
    level: float,
    seed: int,
) -> Replicated:
    """How many customers fall into each class, given how many there are in each cell of equals.

    Parameters
    ----------
    fitted : Fitted
    customers : ndarray of int, shape (cells,)
    chances : callable
        One draw of the parameters to chances of shape (cells, classes).
    level : float
        Percent.
    seed : int

    Returns
    -------
    Replicated
        By class. The mean is exact given the draws; the interval holds chance and parameters.

    Examples
    --------
    >>> from forecast.fitting import purchase_model
    >>> nbd = Fitted.from_parameters(purchase_model("nbd"), dict(r=1.0, alpha=7.0), "given")
    >>> even = np.array([[0.5, 0.5]])
    >>> found = replicated_classes(nbd, np.array([100]), lambda draw: even, level=90, seed=0)
    >>> found.expected.tolist(), found.lo.tolist(), found.hi.tolist()
    ([50.0, 50.0], [42, 41], [58, 58])
    """
    draws, weights = _draws(fitted)
    each = -(-REPLICATIONS // len(draws))
    expected: np.ndarray | float = 0.0
    simulated: list[np.ndarray] = []
    for draw, weight, own in zip(draws, weights, np.random.SeedSequence(seed).spawn(len(draws)), strict=True):
        share = np.clip(chances(draw), 0.0, 1.0)
        share /= share.sum(axis=1, keepdims=True)
        expected = expected + weight * (customers @ share)
        rng = np.random.default_rng(own)
        simulated.extend(rng.multinomial(customers, share).sum(axis=0) for _ in range(each))
    lo, hi = interval(np.array(simulated), np.repeat(weights / each, each), level)
    return Replicated(np.asarray(expected), lo, hi)


def replicated_weeks(
    fitted: Fitted, births: np.ndarray, *, level: float, seed: int, passed: np.ndarray | None = None
) -> tuple[Replicated, Replicated]:
    """Repeat purchases by week and so far, given only when customers were won.

    Parameters
    ----------
    fitted : Fitted
        In days, or in the time of ``passed``.
    births : ndarray of int, shape (days + 1,)
        Customers won on each day; the last one is the last day that counts.
    level : float
        Percent.
    seed : int
    passed : ndarray, shape (days + 1,), optional
        The model's clock at the end of each day, for a model whose time is not days.

    Returns
    -------
    weekly, cumulative : Replicated
        For days 1 to 7, 8 to 14, … up to the last day. Means are exact given the draws. With more than
        100,000 customers, so many are walked in each draw and their noise is scaled up.

    Examples
    --------
    >>> from forecast.fitting import purchase_model
    >>> nbd = Fitted.from_parameters(purchase_model("nbd"), dict(r=50.0, alpha=500.0), "given")
    >>> weekly, cumulative = replicated_weeks(nbd, np.array([100] + [0] * 14), level=90, seed=0)
    >>> weekly.expected.round(6).tolist(), cumulative.expected.round(6).tolist()
    ([70.0, 70.0], [70.0, 140.0])
    """
    last = len(births) - 1
    weeks = max(-(-last // 7), 1)
    ends = np.minimum(7 * np.arange(1, weeks + 1), last)
    everybody = np.repeat(np.arange(last + 1), births)
    walked = everybody[:: -(-len(everybody) // MOST_WALKED)]
    sample = np.bincount(walked, minlength=last + 1)
    spread = np.sqrt(len(everybody) / len(walked))
    draws, weights = _draws(fitted)
    share = np.resize(weights, max(len(draws), PARAMETER_DRAWS))
    seeds = np.random.SeedSequence(seed).spawn(len(share))
    both = np.stack([births, sample]).astype(float)
    left = (last - walked).astype(float) if passed is None else passed[-1] - passed[walked]
    if passed is None:
        means = [_expected_so_far(fitted, draw, both, ends) for draw in draws]
    else:
        means = _expected_on_clock(fitted, draws, both, ends, passed)

    def run(k: int) -> np.ndarray:
        rng = np.random.default_rng(seeds[k])
        number = k % len(draws)
        who, when = fitted.spec.formulas.times(rng, left, *draws[number])
        if passed is None:
            day = walked[who] + np.maximum(np.ceil(when).astype(np.int64), 1)
        else:  # the first day whose end the purchase does not pass
            day = np.searchsorted(passed, passed[walked[who]] + when)
            day = np.clip(day, walked[who] + 1, last)
        week = (day - 1) // 7
        chance = np.cumsum(np.bincount(week, minlength=weeks)) - means[number][1]
        return means[number][0] + spread * chance

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        paths = np.array(list(pool.map(run, range(len(share)))))
    steps = np.diff(paths, axis=1, prepend=0.0)
    expected = np.tensordot(weights, np.array([mean[0] for mean in means]), axes=1)
    share = share / share.sum()
    return (
        Replicated(np.diff(expected, prepend=0.0), *interval(steps, share, level)),
        Replicated(expected, *interval(paths, share, level)),
    )


def _expected_so_far(
    fitted: Fitted, draw: tuple[float, ...], births: np.ndarray, ends: np.ndarray
) -> np.ndarray:
    """Expected repeat purchases until each end, shape (rows of births, ends)."""
    ages = np.arange(1.0, births.shape[1])
    each = np.zeros(births.shape[1])
    if len(ages):
        stays, live = _newcomers(fitted, draw, ages)
        each[1:] = stays * fitted.spec.formulas.PROCESS.expectation(*live, 1.0)
    return np.stack([np.convolve(row, each)[ends] for row in births])


def _expected_on_clock(
    fitted: Fitted, draws: list[tuple[float, ...]], births: np.ndarray, ends: np.ndarray, passed: np.ndarray
) -> list[np.ndarray]:
    """The same for each draw, where a day's length depends on the calendar.

    There are as many ages as pairs of days. Along the logarithm of age, counted in the unit of the model's
    own scale, the expectation is so smooth that a few dozen Chebyshev polynomials give it to about twelve
    digits; their sums over birth days are the same for all draws.
    """
    born = np.flatnonzero(births.any(axis=0))
    longest = float(passed[-1] - passed[born[0]])
    if longest <= 0.0:
        return [np.zeros((len(births), len(ends)))] * len(draws)
    scaled = [place for place, name in enumerate(fitted.spec.parameters) if name in fitted.spec.scaled]
    unit = min(draw[place] for draw in draws for place in scaled)
    top = float(np.log1p(longest / unit))
    series = [_series(fitted, draw, unit, top) for draw in draws]
    sums = np.zeros((max(map(len, series)), len(births), len(ends)))
    width = max(_BLOCK // len(born), 1)
    for begin in range(0, len(ends), width):
        some = slice(begin, begin + width)
        ages = passed[ends[None, some]] - passed[born[:, None]]
        lived = (ages > 0.0).astype(float)  # polynomials of the unborn are 0
        z = 2.0 * np.log1p(np.maximum(ages, 0.0) / unit) / top - 1.0
        last, wave = z * lived, lived  # T(-1) and T(0); each next one is 2 z T(k) - T(k - 1)
        for line in sums:
            line[:, some] = births[:, born] @ wave
            last, wave = wave, 2.0 * z * wave - last
    return [np.tensordot(own, sums[: len(own)], axes=1) for own in series]


def _series(fitted: Fitted, draw: tuple[float, ...], unit: float, top: float) -> np.ndarray:
    """Chebyshev coefficients of a newcomer's expected repeat purchases in the logarithm of age."""

    def exact(z: np.ndarray) -> np.ndarray:
        stays, live = _newcomers(fitted, draw, unit * np.expm1((z + 1.0) / 2.0 * top))
        return np.asarray(stays * fitted.spec.formulas.PROCESS.expectation(*live, 1.0))

    terms = 32
    while True:
        found: np.ndarray = chebyshev.chebinterpolate(exact, terms - 1)
        size = np.abs(found)
        if size[-terms // 4 :].max() <= 1e-12 * size.max() or terms >= _MOST_TERMS:
            return found[: 1 + int(np.flatnonzero(size > 1e-15 * size.max()).max(initial=0))]
        terms *= 2
