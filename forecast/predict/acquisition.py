"""What customers who will be won in windows ahead buy in them: first orders and repeat purchases, jointly.

Each draw wins so many newcomers of each kind, on days of the windows, and walks them to the end under the
parameters of the same draw of known customers, so that both add up draw by draw.
"""

from __future__ import annotations

import datetime as dt
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.interpolate import PchipInterpolator

from forecast.errors import InputError
from forecast.predict.arrivals import Arrivals
from forecast.predict.newcomers import mean_spend
from forecast.predict.population import ClvModel, Customers, log_p_alive
from forecast.predict.tables import gathered
from forecast.predict.windows import TARGETS, parameter_sets, spend_levels_in
from forecast.summary.first_orders import FirstOrders

_MOST = 20_000  # newcomers walked in a draw; where more are won each stands for several
_MOST_KINDS = 300
_KNOTS = 65


@dataclass(frozen=True, eq=False)
class Kinds:
    """Kinds of newcomers: a group of the arrivals and the traits that the models need.

    Attributes
    ----------
    customers : Customers
        One a kind, without a history, at ``as_of``.
    first : FirstOrders
    line : ndarray of int, shape (kinds,)
        Whose first orders a kind has.
    group : ndarray of int, shape (kinds,)
        Which group of the arrivals it belongs to.
    share : ndarray, shape (kinds,)
        Of that group's newcomers.
    """

    customers: Customers
    first: FirstOrders
    line: np.ndarray
    group: np.ndarray
    share: np.ndarray

    @classmethod
    def of(
        cls,
        model: ClvModel,
        arrivals: Arrivals,
        first: FirstOrders,
        recent: pd.DataFrame,
        by: str | None,
        as_of: dt.date,
        seed: int = 0,
    ) -> Kinds:
        """From recent newcomers, whose traits the next ones are taken to have.

        Parameters
        ----------
        recent : DataFrame
            A row a newcomer of late, with the model's traits and ``by``.
        by : str, optional
            The column of the arrivals' groups.

        Raises
        ------
        InputError
            When the model has traits and nobody was won of late to take them from.
        """
        columns = list(dict.fromkeys([*([by] if by else []), *model.traits]))
        if model.traits and recent.empty:
            raise InputError(
                "nobody was won in the last year, and the model needs the traits of newcomers",
                advice="Issue a closed cohort: --plan none.",
            )
        kinds = pd.DataFrame({"n": [1.0]})
        if columns and len(recent):
            kinds = recent[columns].value_counts(sort=False).rename("n").reset_index()
            if len(kinds) > _MOST_KINDS:  # numbers differ from customer to customer: a sample stands for all
                kinds = recent[columns].sample(_MOST_KINDS, random_state=seed).assign(n=1.0)
            kinds = kinds.sort_values(columns, ignore_index=True)
        names = list(arrivals.groups)
        if by is not None:
            missing = [name for name in names if by not in kinds or name not in set(kinds[by].astype(str))]
            # Planned groups that nobody was of: like the whole in all else.
            others = [kinds.drop(columns=by, errors="ignore").assign(**{by: name}) for name in missing]
            kinds = pd.concat([kinds, *others], ignore_index=True) if by in kinds else pd.concat(others)
            kinds = kinds[kinds[by].astype(str).isin(names)].reset_index(drop=True)
            label = kinds[by].astype(str)
            group = np.array([names.index(name) for name in label])
            known = {name: k for k, name in enumerate(first.names)}
            line = np.array([known.get(name, len(first.names)) if first.names else 0 for name in label])
        else:
            group = line = np.zeros(len(kinds), int)
        count = kinds["n"].to_numpy(dtype=float)
        share = count / np.bincount(group, count, minlength=len(names))[group]
        none = np.zeros(len(kinds))
        customers = Customers(none, none, none, none, none, as_of=as_of)
        return cls(customers.with_traits(kinds, model), first, line, group, share)


@dataclass(frozen=True, eq=False)
class Acquired:
    """What newcomers of windows ahead do.

    Attributes
    ----------
    mean : dict of str to ndarray, shape (windows, cohorts, groups)
        Exact expectations of ``purchases``, ``value`` and ``acquired``; cohorts are the windows of the first
        purchase.
    draws : dict of str to ndarray, shape (windows, cohorts, groups, draws)
        Of these and of ``active``. Values are margin-weighted.
    """

    mean: dict[str, np.ndarray]
    draws: dict[str, np.ndarray]


def simulate_newcomers(
    model: ClvModel,
    arrivals: Arrivals,
    kinds: Kinds,
    *,
    margin: float = 1.0,
    draws: int = 1000,
    seed: int = 0,
) -> Acquired:
    """Joint draws of what newcomers of the arrivals' windows do until the end of the last.

    Parameters
    ----------
    model : ClvModel
    arrivals : Arrivals
        Its windows follow one another from the day after ``as_of`` on.
    kinds : Kinds
    margin : float
    draws, seed : int
        As given to :func:`forecast.predict.windows.simulate_windows`, so that draws belong together.

    Notes
    -----
    At most 20,000 newcomers are walked in a draw; where more are won each stands for several, which widens
    intervals by less than 1 % of the total.
    """
    fitted, first = model.purchases, kinds.first
    clock = _cumulative(model, kinds, arrivals)
    ends = np.cumsum([window.days for window in arrivals.windows])
    windows, groups = len(ends), len(arrivals.groups)
    targets = (*TARGETS, "acquired") if model.spend is not None else ("purchases", "active", "acquired")
    found = {name: np.zeros((windows, windows, groups, draws)) for name in targets}
    won = arrivals.draw(draws, seed)
    pairs = kinds.customers.pairs(fitted)
    sets = parameter_sets(model, draws, seed)
    own, *streams = np.random.SeedSequence([seed, 5_309]).spawn(len(sets) + 1)
    factors = first.factors(np.random.default_rng(own), draws)
    days = [np.cumsum(share) for share in arrivals.days]
    starts = ends - [window.days for window in arrivals.windows]
    spend_levels = spend_levels_in(model, ends.tolist())
    tells = model.spend_from == "all"

    def run(number: int) -> None:
        rng, own_set = np.random.default_rng(streams[number]), sets[number]
        draw = fitted.draw(own_set.purchases, kinds.customers.purchase_matrix)
        stays = np.exp(log_p_alive(fitted, draw, kinds.customers))
        live = [np.broadcast_to(v, pairs.x.shape) for v in pairs.live(fitted, draw)]
        time = clock * own_set.level
        limits = time[ends]
        spend = []
        if model.spend is not None:
            raw = model.spend.draw(own_set.spend, kinds.customers.spend_matrix)
            spend = [np.broadcast_to(v, stays.shape) for v in gathered(raw, kinds.customers.cell)]
        for column in own_set.columns:
            cohort, kind, stands = _walked(rng, won[:, :, column], kinds)
            day = np.empty(len(kind), int)
            for k in range(windows):
                of = cohort == k
                place = np.searchsorted(days[k], rng.random(int(of.sum())) * days[k][-1], side="right")
                day[of] = starts[k] + 1 + np.minimum(place, len(days[k]) - 1)
            since = time[day]
            back = np.flatnonzero(rng.random(len(kind)) < stays[kind])
            rows = pairs.index[kind[back]]
            who, when = fitted.spec.formulas.PROCESS.future(
                rng, *(v[rows] for v in live), limits[-1] - since[back]
            )
            who = back[who]
            window = np.minimum(np.searchsorted(limits, since[who] + when, side="left"), windows - 1)
            cell, repeats = np.unique(who * windows + window, return_counts=True)
            customer, in_window = np.divmod(cell, windows)
            again = cohort[customer] != in_window

            def add(
                name: str, who: np.ndarray, when: np.ndarray, what: np.ndarray, column: int = column,
                cohort: np.ndarray = cohort, kind: np.ndarray = kind, stands: np.ndarray = stands,
            ) -> None:  # fmt: skip
                place = (when * windows + cohort[who]) * groups + kinds.group[kind[who]]
                total = np.bincount(place, stands[who] * what, minlength=windows * windows * groups)
                found[name][..., column] += total.reshape(windows, windows, groups)

            everyone, one = np.arange(len(kind)), np.ones(len(kind))
            add("acquired", everyone, cohort, one)
            add("purchases", everyone, cohort, one)
            add("purchases", customer, in_window, repeats.astype(float))
            add("active", everyone, cohort, one)
            add("active", customer[again], in_window[again], np.ones(int(again.sum())))
            if model.spend is not None:
                line = kinds.line[kind]
                value = first.draw(rng, line) * factors[column][line]
                add("value", everyone, cohort, margin * value)
                paid = repeats if model.paid_share >= 1.0 else rng.binomial(repeats, model.paid_share)
                p, q, gamma = (v[kind] for v in spend)
                known = (value > 0) & tells
                scale = (gamma + np.where(known, value, 0.0)) / np.maximum(
                    rng.standard_gamma(q + p * known), 1e-300
                )
                spent = np.where(paid > 0, rng.standard_gamma(p[customer] * np.maximum(paid, 1)), 0.0)
                worth = margin * own_set.spend_level * spend_levels[in_window]
                add("value", customer, in_window, worth * scale[customer] * spent)

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(run, range(len(sets))))
    return Acquired(_expected(model, arrivals, kinds, clock, margin), found)


def _walked(rng: np.random.Generator, won: np.ndarray, kinds: Kinds) -> tuple[np.ndarray, ...]:
    """Cohort and kind of each newcomer walked in a draw, and how many each stands for."""
    total = int(won.sum())
    walked = won if total <= _MOST else np.ceil(won * (_MOST / total)).astype(int)
    cohort, group = (np.repeat(v.ravel(), walked.ravel()) for v in np.indices(won.shape))
    with np.errstate(invalid="ignore", divide="ignore"):
        stands = (won / walked)[cohort, group]
    kind = np.empty(len(group), int)
    for g in range(won.shape[1]):
        of, own = group == g, np.flatnonzero(kinds.group == g)
        kind[of] = own[0] if len(own) == 1 else rng.choice(own, int(of.sum()), p=kinds.share[own])
    return cohort, kind, stands


def _cumulative(model: ClvModel, kinds: Kinds, arrivals: Arrivals) -> np.ndarray:
    """Time on the model's clock until the end of each day ahead, from 0 at ``as_of``."""
    ahead = model.ahead(kinds.customers.as_of)
    size = sum(window.days for window in arrivals.windows)
    return np.array([0.0, *(ahead(float(day)) for day in range(1, size + 1))])


def _expected(
    model: ClvModel, arrivals: Arrivals, kinds: Kinds, clock: np.ndarray, margin: float
) -> dict[str, np.ndarray]:
    """Exact means: arrivals times what each is expected to do until its window ends."""
    fitted, first = model.purchases, kinds.first
    pairs = kinds.customers.pairs(fitted)
    knots = clock[-1] * np.linspace(0.0, 1.0, _KNOTS) ** 2  # a newcomer's first weeks bend most
    repeats = np.zeros((_KNOTS, len(pairs.index)))
    for index, weight in zip(*fitted.predictive_draws(), strict=True):
        draw = fitted.draw(int(index), kinds.customers.purchase_matrix)
        stays = np.exp(log_p_alive(fitted, draw, kinds.customers))
        live = pairs.live(fitted, draw)
        for k, time in enumerate(knots[1:], 1):
            repeats[k] += weight * stays * fitted.spec.formulas.PROCESS.expectation(*live, time)[pairs.index]
    until = PchipInterpolator(knots, repeats, axis=0)
    spend = np.zeros(len(pairs.index))
    if model.spend is not None:
        told = tuple(v[kinds.line] for v in first.paid) if model.spend_from == "all" else None
        for index, weight in zip(*model.spend.predictive_draws(), strict=True):
            raw = model.spend.draw(int(index), kinds.customers.spend_matrix)
            spend += weight * mean_spend(gathered(raw, kinds.customers.cell), told)
    ends = np.cumsum([window.days for window in arrivals.windows])
    windows, groups = len(ends), len(arrivals.groups)
    spend_levels = spend_levels_in(model, ends.tolist())
    found = {name: np.zeros((windows, windows, groups)) for name in ("purchases", "value", "acquired")}
    for j in range(windows):
        won = (arrivals.expected[j][kinds.group] * kinds.share)[:, None]
        day = ends[j] - arrivals.windows[j].days + 1 + np.arange(arrivals.windows[j].days)
        each = [arrivals.days[j] @ until(np.maximum(clock[end] - clock[day], 0.0)) for end in (0, *ends[j:])]
        again = np.diff(np.stack(each), axis=0)

        def total(values: np.ndarray) -> np.ndarray:
            return np.bincount(kinds.group, values, minlength=groups)

        found["acquired"][j, j] = total(won[:, 0])
        found["purchases"][j, j] += total(won[:, 0])
        found["value"][j, j] += total(won[:, 0] * first.mean[kinds.line]) * margin
        for k in range(j, windows):
            found["purchases"][k, j] += total(won[:, 0] * again[k - j])
            each_worth = spend * (model.paid_share * margin * spend_levels[k])
            found["value"][k, j] += total(won[:, 0] * again[k - j] * each_worth)
    if model.spend is None:
        del found["value"]
    return found


def recent_newcomers(frame: pd.DataFrame, as_of: dt.date, days: int = 365) -> pd.DataFrame:
    """Customers won in the last year; all of them where nobody was."""
    first = frame["first_purchase"].to_numpy().astype("datetime64[D]")
    of_late = first > np.datetime64(as_of) - np.timedelta64(days, "D")
    return frame[of_late] if of_late.any() else frame
