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
from numba import njit
from scipy import special

from forecast.fitting import Fitted
from forecast.maths import bgprocess

PARAMETER_DRAWS = 200
REPLICATIONS = 2000
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


def _newcomer(fitted: Fitted, draw: tuple[float, ...]) -> tuple[float, tuple[float, ...]]:
    """Chance to stay after the first purchase, and the process of a customer who does."""
    odds = fitted.spec.formulas.log_odds_left(*draw, x=0.0, t_x=0.0, T=0.0)
    process = fitted.spec.formulas.if_alive(*draw, x=0.0, t_x=0.0, T=0.0)
    return float(1.0 / (1.0 + np.exp(odds))), tuple(float(v) for v in process)


def count_chances(fitted: Fitted, draw: tuple[float, ...], ages: np.ndarray, most: int) -> np.ndarray:
    """Chance of 0, 1, …, ``most`` - 1 and of ``most`` or more repeat purchases by each age.

    Returns
    -------
    ndarray, shape (ages, most + 1)

    Examples
    --------
    >>> from forecast.fitting import purchase_model
    >>> nbd = Fitted.from_parameters(purchase_model("nbd"), dict(r=1.0, alpha=7.0), "given")
    >>> count_chances(nbd, (1.0, 7.0), np.array([0.0, 7.0]), 2).tolist()
    [[1.0, 0.0, 0.0], [0.5, 0.25, 0.25]]
    """
    stays, (r, alpha, a, b) = _newcomer(fitted, draw)
    found = np.zeros((len(ages), most + 1))
    found[:, 0] = 1.0
    old = ages > 0
    if old.any():
        age = ages[old][:, None]
        found[old, :most] = stays * bgprocess.pmf(r, alpha, a, b, age, np.arange(most)[None, :])
        found[old, 0] += 1.0 - stays
        found[old, most] = stays * bgprocess.tail(r, alpha, a, b, age[:, 0], most)
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


@njit(cache=True, nogil=True)
def _walk(
    rng: np.random.Generator,
    birth: np.ndarray,
    rate: np.ndarray,
    leave: np.ndarray,
    gone: np.ndarray,
    last: int,
    weeks: int,
) -> np.ndarray:
    """Repeat purchases of all customers in each week: days 1 to 7, 8 to 14, … up to ``last``."""
    found = np.zeros(weeks)
    for i in range(birth.size):
        if gone[i]:
            continue
        t = 0.0
        while True:
            t += rng.exponential() / max(rate[i], 1e-300)
            if t > last - birth[i]:
                break
            found[(birth[i] + int(np.ceil(t)) - 1) // 7] += 1.0
            if rng.random() < leave[i]:
                break
    return found


def replicated_weeks(
    fitted: Fitted, births: np.ndarray, *, level: float, seed: int
) -> tuple[Replicated, Replicated]:
    """Repeat purchases by week and so far, given only when customers were won.

    Parameters
    ----------
    fitted : Fitted
        In days.
    births : ndarray of int, shape (days + 1,)
        Customers won on each day; the last one is the last day that counts.
    level : float
        Percent.
    seed : int

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
    means = [_expected_so_far(fitted, draw, np.stack([births, sample]).astype(float), ends) for draw in draws]

    def run(k: int) -> np.ndarray:
        rng = np.random.default_rng(seeds[k])
        number = k % len(draws)
        rate, leave, gone = fitted.spec.formulas.newcomer(rng, len(walked), *draws[number])
        chance = np.cumsum(_walk(rng, walked, rate, leave, gone, last, weeks)) - means[number][1]
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
    stays, (r, alpha, a, b) = _newcomer(fitted, draw)
    ages = np.arange(1.0, births.shape[1])
    each = np.zeros(births.shape[1])
    if len(ages):  # in units of the age, so that one call serves all ages
        each[1:] = stays * bgprocess.expectation(r, alpha / ages, a, b, 1.0)
    return np.stack([np.convolve(row, each)[ends] for row in births])
