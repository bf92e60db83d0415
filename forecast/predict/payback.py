"""When a newcomer has paid for what winning one cost: value by age, acquisition cost, payback.

Cumulative value of a newcomer rises with age, from the first order on. It pays back the cost of acquisition
(CAC) in the first month whose end finds it at least as high. Each draw of the parameters has a curve of its
own, so payback has a probability.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from forecast.errors import ArgumentError
from forecast.fitting.design import OTHER
from forecast.periods import DAYS_PER_MONTH, DAYS_PER_YEAR, check_discount_rate, check_margin, check_seed
from forecast.predict.newcomers import ROUNDS, Lines, mean_spend, quantiles
from forecast.predict.population import ClvModel, log_p_alive
from forecast.predict.tables import gathered


@dataclass(frozen=True, eq=False)
class ValueByAge:
    """Cumulative value of one newcomer at the end of each month of age, margin-weighted.

    Attributes
    ----------
    groups : tuple of str
        ``all``, and with groups each of them and one not seen.
    months : ndarray of int, shape (months,)
        0 is the first order alone.
    mean : ndarray, shape (months, groups)
    draws : ndarray, shape (rounds, months, groups)
        Of this mean, one curve for each draw of the parameters.
    weight : ndarray, shape (rounds,)
        Of the draws, summing to 1.
    """

    groups: tuple[str, ...]
    months: np.ndarray
    mean: np.ndarray
    draws: np.ndarray
    weight: np.ndarray

    def limits(self, level: float) -> tuple[np.ndarray, np.ndarray]:
        """Credible limits of the mean, each of shape (months, groups)."""
        ends = np.array([0.5 - level / 200.0, 0.5 + level / 200.0])
        flat = self.draws.reshape(len(self.weight), -1)
        found = np.array([quantiles(own, self.weight, ends) for own in flat.T])
        return found[:, 0].reshape(self.mean.shape), found[:, 1].reshape(self.mean.shape)


def value_by_age(
    model: ClvModel,
    first_orders: Mapping[str, Any] | None,
    *,
    as_of: dt.date,
    months: int,
    days: float | None = None,
    margin: float = 1.0,
    discount_rate: float = 0.0,
    seed: int = 0,
) -> ValueByAge:
    """Expected cumulative value of a newcomer, month by month.

    Parameters
    ----------
    model : ClvModel
        With spend.
    first_orders : dict
        As :func:`forecast.summary.first_orders.first_orders` gives it.
    as_of : datetime.date
        The newcomer is won on the day after.
    months : int
        Of 30.44 days.
    days : float, optional
        No age is beyond: 12 months end at a horizon of 365 days.
    margin, discount_rate : float
        Shares; the rate is annual, applied in the middle of each month.
    seed : int

    Raises
    ------
    ArgumentError
        When an option cannot be meant, or the model knows no money.
    InputError
        As :func:`forecast.predict.newcomers.newcomer_table`.

    Examples
    --------
    >>> from forecast.fitting import GAMMA_GAMMA, Fitted, purchase_model
    >>> from forecast.summary.first_orders import describe_first_orders
    >>> nbd = Fitted.from_parameters(purchase_model("nbd"), dict(r=1.0, alpha=365.25), "given")
    >>> spend = Fitted.from_parameters(GAMMA_GAMMA, dict(p=2.0, q=3.0, gamma=20.0), "given")
    >>> first = describe_first_orders(np.full(50, 20.0))
    >>> found = value_by_age(ClvModel(nbd, spend), first, as_of=dt.date(2026, 9, 30), months=12)
    >>> found.mean[[0, 6, 12], 0].round(2).tolist()
    [20.0, 30.0, 40.0]
    """
    margin, discount_rate = check_margin(margin), check_discount_rate(discount_rate)
    check_seed(seed)
    if model.spend is None:
        raise ArgumentError(
            "the model knows no money, so nothing can be paid back",
            advice="Fit it on orders with a value column.",
        )
    ages = np.minimum(np.arange(months + 1) * DAYS_PER_MONTH, np.inf if days is None else days)
    lines = Lines.of(model, first_orders, as_of, 1, 0.0)
    first = lines.first
    time = np.array([0.0, *(lines.ahead(float(age)) for age in ages[1:])])
    middle = 0.5 * (ages[1:] + ages[:-1])
    discount = (1.0 + discount_rate) ** (-middle / DAYS_PER_YEAR)

    taught = model.calibration
    # The mean level until an age, as the table of newcomers has it at the horizon.
    spend_levels = np.array([taught.spend_level(0.0, age) for age in ages[1:].tolist()])

    def worth(index: int, spend: np.ndarray, level: float = 1.0, factor: Any = 1.0) -> np.ndarray:
        """One curve a line, shape (months + 1, lines)."""
        fitted = model.purchases
        draw = fitted.draw(index, lines.customers.purchase_matrix)
        stays = np.exp(log_p_alive(fitted, draw, lines.customers))
        live = lines.pairs.live(fitted, draw)
        until = np.zeros((len(time), len(stays)))
        for k, end in enumerate(time[1:] * level, 1):
            until[k] = stays * fitted.spec.formulas.PROCESS.expectation(*live, end)[lines.pairs.index]
        repeats = np.cumsum(np.diff(until, axis=0) * discount[:, None], axis=0) * spend_levels[:, None]
        grown = np.concatenate([np.zeros((1, len(stays))), repeats]) * spend * model.paid_share
        curve: np.ndarray = margin * (first.mean * factor + grown)
        return curve

    paid = first.paid if lines.first_tells else None

    def spent(index: int, factor: Any = 1.0) -> np.ndarray:
        assert model.spend is not None
        raw = model.spend.draw(index, lines.customers.spend_matrix)
        return mean_spend(gathered(raw, lines.customers.cell), paid, factor)

    pairs = zip(*model.spend.predictive_draws(), strict=True)
    spend = np.sum([weight * spent(int(index)) for index, weight in pairs], axis=0)
    pairs = zip(*model.purchases.predictive_draws(), strict=True)
    mean = np.sum([weight * worth(int(index), spend) for index, weight in pairs], axis=0)
    index, weight = model.purchases.thinned(ROUNDS)
    spend_index, spend_weight = model.spend.thinned(ROUNDS)
    factors = first.factors(np.random.default_rng(np.random.SeedSequence(seed).spawn(ROUNDS + 1)[0]), ROUNDS)
    levels, worths = taught.draw_levels(ROUNDS, seed), taught.draw_spend_levels(ROUNDS, seed)
    number = np.arange(ROUNDS)
    joint = weight[number % len(index)] * spend_weight[number % len(spend_index)]
    draws = np.stack(
        [
            worth(
                int(index[k % len(index)]),
                worths[k] * spent(int(spend_index[k % len(spend_index)]), factors[k]),
                float(levels[k]), factors[k],
            )
            for k in range(ROUNDS)
        ]
    )  # fmt: skip
    lead = ("all", *first.names, OTHER) if first.names else ("all",)

    def mixed(values: np.ndarray) -> np.ndarray:
        """The mix of groups observed, then each."""
        return np.concatenate([values @ first.shares[:, None], values], axis=-1)[..., : len(lead)]

    return ValueByAge(lead, np.arange(months + 1), mixed(mean), mixed(draws), joint / joint.sum())


def acquired_in(kept: Mapping[str, Any] | None, spend: pd.DataFrame) -> pd.DataFrame:
    """Customers won and money spent to win them, over the periods of a spend table.

    Parameters
    ----------
    kept : dict
        As :func:`forecast.summary.first_orders.first_orders` gives it.
    spend : DataFrame
        ``start, end, group, spend``, as :func:`forecast.orders.plans.read_spend` gives it.

    Returns
    -------
    DataFrame
        ``group, acquired, spend``: ``all`` first, the sum of the groups that spend was given for.

    Raises
    ------
    ArgumentError
        When a month is covered in part, is not known to its end, or a group is not known.
    """
    won = (kept or {}).get("arrivals")
    if won is None:
        raise ArgumentError(
            "the model does not keep when customers were won: an older version fitted it",
            advice="Fit it again.",
        )
    months = [pd.Period(month, "M") for month in won["months"]]
    counts = {name: dict(zip(months, own, strict=True)) for name, own in won["customers"].items()}
    groups = sorted(set(spend["group"]))
    unknown = [name for name in groups if name != "all" and name not in counts]
    if unknown:
        raise ArgumentError(
            f"the model knows no group {unknown[0]!r} of newcomers",
            advice=f"It knows: {', '.join(sorted(set(counts) - {'all'})[:8]) or 'none; fit it with by='}.",
        )
    last = pd.Timestamp(won["until"])
    covered: dict[str, set[pd.Period]] = {}
    for name, own in spend.groupby("group"):
        days = pd.DatetimeIndex(
            np.concatenate([pd.date_range(r["start"], r["end"]) for r in own.to_dict("records")])
        )
        if days.has_duplicates:
            raise ArgumentError(
                f"spend has overlapping periods, the first on {days[days.duplicated()][0]:%Y-%m-%d}",
                advice="Give each day once: quarters or months, not both.",
            )
        present = pd.Series(1, days).groupby(days.to_period("M")).sum()
        for month, size in zip(present.index.to_list(), present.to_list(), strict=True):
            if size != month.days_in_month or month.end_time.normalize() > last:
                raise ArgumentError(
                    f"{month} is covered in part: spend by {size} of its days, orders until {last:%Y-%m-%d}",
                    advice="Give spend of whole months that the model knows to their end.",
                )
        covered[str(name)] = set(present.index)

    def won_in(name: str, months_of: set[pd.Period]) -> int:
        of = counts.values() if name == "all" else [counts[name]]
        return sum(of_group.get(month, 0) for of_group in of for month in months_of)

    totals = spend.groupby("group")["spend"].sum()
    rows = [(name, won_in(name, covered[name]), float(totals[name])) for name in groups]
    if "all" not in groups:
        rows.insert(0, ("all", sum(own for _, own, _ in rows), float(spend["spend"].sum())))
    return pd.DataFrame(rows, columns=["group", "acquired", "spend"])


def payback_table(values: ValueByAge, costs: pd.DataFrame, level: float = 80.0) -> pd.DataFrame:
    """What winning a customer cost, beside what one is worth.

    Parameters
    ----------
    values : ValueByAge
        Up to the horizon.
    costs : DataFrame
        ``group, acquired, spend``; groups are some of ``values.groups``.
    level : float
        Percent, of the limits.

    Returns
    -------
    DataFrame
        ``group, acquired, spend, cac`` (NaN where nobody was won), ``ltv_cac`` with limits,
        ``payback_month`` (1, 2, …; 0 when the first order pays; NaN), ``p_payback`` (chance that it is paid
        back within the horizon), ``payback`` in words, ``max_cac`` (that the mean pays back within the
        horizon) and ``max_cac-lo-80`` (that it does so with nine chances in ten, for level 80).

    Examples
    --------
    >>> curve = np.array([[10.0], [20.0], [30.0]])
    >>> one = ValueByAge(("all",), np.arange(3), curve, curve[None], np.ones(1))
    >>> found = payback_table(one, pd.DataFrame({"group": ["all"], "acquired": [10], "spend": [150.0]}))
    >>> found[["cac", "ltv_cac", "payback_month", "p_payback", "payback", "max_cac"]].to_dict("records")
    [{'cac': 15.0, 'ltv_cac': 2.0, 'payback_month': 1.0, 'p_payback': 1.0, 'payback': 'in month 1',
      'max_cac': 30.0}]
    """
    low, high = values.limits(level)
    rows = []
    for cost in costs.to_dict("records"):
        group, won, spend = str(cost["group"]), int(cost["acquired"]), float(cost["spend"])
        g = values.groups.index(group)
        cac = spend / won if won else np.nan
        reached = np.flatnonzero(values.mean[:, g] >= cac)
        month = float(values.months[reached[0]]) if len(reached) else np.nan
        chance = float(values.weight[values.draws[:, -1, g] >= cac].sum()) if won else np.nan
        words = (
            "nobody was won" if not won else "with the first order" if month == 0
            else f"in month {month:.0f}" if month == month else f"not within {values.months[-1]} months"
        )  # fmt: skip
        mean, lo, hi = (float(own[-1, g]) for own in (values.mean, low, high))
        rows.append(
            {
                "group": group, "acquired": won, "spend": spend, "cac": cac,
                "ltv_cac": mean / cac if cac else np.nan,
                f"ltv_cac-lo-{level:g}": lo / cac if cac else np.nan,
                f"ltv_cac-hi-{level:g}": hi / cac if cac else np.nan,
                "payback_month": month, "p_payback": min(chance, 1.0), "payback": words,
                "max_cac": mean, f"max_cac-lo-{level:g}": lo,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)
