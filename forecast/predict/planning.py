"""Newcomers with money around them: what winning them cost, and what a plan of them will be worth."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from forecast.errors import ArgumentError
from forecast.fitting.design import OTHER
from forecast.periods import DAYS_PER_MONTH, check_levels, level_label
from forecast.predict.arrivals import check_plan
from forecast.predict.newcomers import Lines, draw_newcomers, newcomer_table, quantiles
from forecast.predict.payback import acquired_in, payback_table, value_by_age
from forecast.predict.population import ClvModel

_FEW = 200
_REPEATS = 16  # draws of a planned period for each draw of the parameters


def planned_value(
    model: ClvModel,
    first_orders: Mapping[str, Any] | None,
    plan: pd.DataFrame,
    *,
    as_of: dt.date,
    days: int,
    levels: Any = (80.0, 95.0),
    margin: float = 1.0,
    discount_rate: float = 0.0,
    seed: int = 0,
) -> pd.DataFrame:
    """What planned newcomers will be worth together, period by period.

    Parameters
    ----------
    plan : DataFrame
        ``period, group, customers``, as :func:`forecast.orders.plans.read_plan` gives it.
    model, first_orders, as_of, days, levels, margin, discount_rate, seed
        As in :func:`forecast.predict.newcomers.newcomer_table`.

    Returns
    -------
    DataFrame
        ``period, group, horizon_days, planned_customers, planned_value`` (each until ``days`` after the first
        order) and ``planned_value-lo-80`` … (predictive, from summed draws; the number won is Poisson around
        the plan). A group that the model has not seen is valued as one.

    Notes
    -----
    Everybody is valued as if won on the day after ``as_of``; the season of later periods is left out.
    """
    levels = check_levels(levels)
    lines = Lines.of(model, first_orders, as_of, days, discount_rate)
    drawn, first = draw_newcomers(lines, seed), lines.first
    places = {name: g for g, name in enumerate(first.names)}
    exact = newcomer_table(
        model, first_orders, as_of=as_of, days=days, levels=(), discount_rate=discount_rate
    ).set_index("group")["expected_value"]
    rng = np.random.default_rng([seed, 411])
    rows = []
    for own in plan.to_dict("records"):
        name, size = str(own["group"]), float(own["customers"])
        line = places.get(name, len(first.names))
        whole = name == "all" or not first.names
        mean = drawn.means @ first.shares if whole else drawn.means[:, line]
        single = drawn.mixed if whole else drawn.single[line]
        expected = float(exact["all" if whole else name if name in exact.index else OTHER])
        won = rng.poisson(size, (len(mean), _REPEATS))
        total = _sums(rng, won, mean, single)
        row = {
            "period": own["period"], "group": name, "horizon_days": days, "planned_customers": size,
            "planned_value": margin * size * expected,
        }  # fmt: skip
        weight = np.repeat(drawn.weight, _REPEATS)
        for level in levels:
            ends = quantiles(total.ravel(), weight, np.array([0.5 - level / 200.0, 0.5 + level / 200.0]))
            row[f"planned_value-lo-{level_label(level)}"] = margin * max(float(ends[0]), 0.0)
            row[f"planned_value-hi-{level_label(level)}"] = margin * float(ends[1])
        rows.append(row)
    return pd.DataFrame(rows)


def _sums(rng: np.random.Generator, won: np.ndarray, mean: np.ndarray, single: np.ndarray) -> np.ndarray:
    """Values of so many newcomers together: one by one where they are few, else nearly normal."""
    few, spread = won <= _FEW, single.std(axis=1)
    total = won * mean[:, None] + np.sqrt(won) * spread[:, None] * rng.standard_normal(won.shape)
    for k, r in zip(*np.nonzero(few), strict=True):
        total[k, r] = rng.choice(single[k], won[k, r]).sum()
    return np.asarray(total)


def priced_newcomers(
    model: ClvModel,
    first_orders: Mapping[str, Any] | None,
    *,
    as_of: dt.date,
    days: int,
    levels: Any = (80.0, 95.0),
    plan: pd.DataFrame | None = None,
    spend: pd.DataFrame | None = None,
    margin: float = 1.0,
    discount_rate: float = 0.0,
    seed: int = 0,
) -> pd.DataFrame:
    """The table of newcomers, beside what winning them cost and what a plan of them will be worth.

    Parameters
    ----------
    plan, spend : DataFrame, optional
        As :mod:`forecast.orders.plans` reads them.
    model, first_orders, as_of, days, levels, margin, discount_rate, seed
        As in :func:`forecast.predict.newcomers.newcomer_table`.

    Returns
    -------
    DataFrame
        The columns of :func:`forecast.predict.newcomers.newcomer_table`; with ``spend`` those of
        :func:`forecast.predict.payback.payback_table`, blank where a group had none; with ``plan``
        ``period`` and the columns of :func:`planned_value`, one more row a line of the plan.

    Raises
    ------
    ArgumentError
        As :func:`forecast.predict.payback.acquired_in`, and when the horizon is less than a month with
        spend.
    """
    options: dict[str, Any] = {
        "as_of": as_of, "margin": margin, "discount_rate": discount_rate, "seed": seed
    }  # fmt: skip
    levels = check_levels(levels)
    table = newcomer_table(model, first_orders, days=days, levels=levels, **options)
    if spend is not None:
        months = int(days / DAYS_PER_MONTH + 0.01)
        if months < 1:
            raise ArgumentError(
                f"the horizon of {days} days holds no whole month, and payback is told in months",
                advice="Give a horizon of 31 days or more.",
            )
        values = value_by_age(model, first_orders, months=months, days=days, **options)
        found = payback_table(values, acquired_in(first_orders, spend), levels[0] if levels else 80.0)
        table = table.merge(found, on="group", how="left")
    if plan is not None:
        check_plan(plan, as_of)
        planned = planned_value(model, first_orders, plan, days=days, levels=levels, **options)
        table.insert(0, "period", None)
        table = pd.concat([table.astype({"customers_observed": "Int64"}), planned], ignore_index=True)
    return table
