"""Customers' predictive distributions: expectation, chance to buy, and intervals of what will happen."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from forecast.errors import ArgumentError
from forecast.fitting import Fitted
from forecast.maths import gammagamma
from forecast.periods import check_discount_rate, check_levels, check_margin, level_label
from forecast.predict.tables import purchase_quantiles, purchase_tables, thin, value_quantiles

BLOCK = 262_144

SCORE_COLUMNS = (
    "customer_id", "as_of", "horizon_days", "first_purchase", "last_purchase", "frequency", "recency", "T",
    "monetary_value", "historical_value", "p_alive", "p_purchase", "expected_purchases",
    "expected_purchase_value", "spend_basis", "expected_value", "total_value",
)  # fmt: skip


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


def log_p_alive(fitted: Fitted, draw: tuple[float, ...], x: Any, t_x: Any, T: Any) -> np.ndarray:
    """Log of the chance to be a customer still, elementwise."""
    return -np.logaddexp(0.0, fitted.spec.formulas.log_odds_left(*draw, x=x, t_x=t_x, T=T))


def _interval_shares(levels: Sequence[float]) -> tuple[np.ndarray, list[str]]:
    shares, names = [], []
    for level in levels:
        shares += [0.5 - level / 200.0, 0.5 + level / 200.0]
        names += [f"lo-{level_label(level)}", f"hi-{level_label(level)}"]
    return np.array(shares), names


def predict_customers(
    model: ClvModel,
    x: np.ndarray,
    t_x: np.ndarray,
    T: np.ndarray,
    n: np.ndarray | None = None,
    m: np.ndarray | None = None,
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
    x, t_x, T : ndarray, shape (customers,)
        Checked purchase histories, in the model's unit of time.
    n, m : ndarray, shape (customers,), optional
        Number and mean of valued repeat purchases; needed with a spend model. ``m`` is ignored
        where ``n`` is 0.
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

    Notes
    -----
    Customers are taken in blocks; no number depends on the block size. With several draws, means are
    averaged over draws.
    """
    levels = check_levels(levels)
    margin = check_margin(margin)
    discount_rate = check_discount_rate(discount_rate)
    if len(model.purchases.each_draw()) != 1:
        raise ArgumentError("only models with one draw can be scored", advice="Fit with method='mle'.")
    parts = []
    for begin in range(0, max(len(x), 1), BLOCK):
        rows = slice(begin, begin + BLOCK)
        money = (None, None) if n is None or m is None else (n[rows], m[rows])
        parts.append(_block(model, x[rows], t_x[rows], T[rows], *money, days, levels, margin, discount_rate))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _block(
    model: ClvModel,
    x: np.ndarray,
    t_x: np.ndarray,
    T: np.ndarray,
    n: np.ndarray | None,
    m: np.ndarray | None,
    days: float,
    levels: tuple[float, ...],
    margin: float,
    discount_rate: float,
) -> dict[str, np.ndarray]:
    (draw,) = model.purchases.each_draw()
    if len(x) == 0:
        x = t_x = T = np.zeros(0)
    x, t_x, T = (np.asarray(v, dtype=float) for v in (x, t_x, T))
    shares, names = _interval_shares(levels)
    p_alive = np.exp(log_p_alive(model.purchases, draw, x, t_x, T))
    tables = purchase_tables(model.purchases, draw, x, T, days, discount_rate, tails=True)
    expected = p_alive * tables.expected[tables.index]
    out = {
        "p_alive": p_alive,
        "p_purchase": p_alive * tables.tails[tables.offsets[:-1] + 1][tables.index],
        "expected_purchases": expected,
    }
    if levels:
        counts = purchase_quantiles(tables.index, p_alive, tables.offsets, tables.tails, shares)
        out.update({f"purchases-{name}": counts[j] for j, name in enumerate(names)})
    if model.spend is None or n is None or m is None:
        return out
    (spend,) = model.spend.each_draw()
    p, q, gamma = spend
    n = np.asarray(n, dtype=float)
    total = np.where(n > 0, n * np.nan_to_num(np.asarray(m, dtype=float)), 0.0)
    worth = margin * tables.discount[tables.index]
    mean = gammagamma.expected_value(p, q, gamma, n=n, m=m)
    out["expected_purchase_value"] = mean
    out["expected_value"] = expected * model.paid_share * mean * worth
    if levels:
        tails = tables.tails
        if model.paid_share < 1.0:
            tails = thin(tables.offsets, tails, model.paid_share)
        values = value_quantiles(tables, tails, p_alive, (p, q, gamma), n, gamma + total, shares)
        out.update({f"value-{name}": values[j] * worth for j, name in enumerate(names)})
    return out


def score_table(
    model: ClvModel,
    histories: pd.DataFrame,
    *,
    as_of: dt.date,
    days: int,
    levels: Any = (80.0, 95.0),
    margin: float = 1.0,
    discount_rate: float = 0.0,
) -> pd.DataFrame:
    """The score table of interface.md: one row a customer, in the order of ``histories``.

    Parameters
    ----------
    model : ClvModel
    histories : pandas.DataFrame
        As :meth:`forecast.summary.Histories.to_frame` gives it.
    as_of : datetime.date
    days, levels, margin, discount_rate
        As in :func:`predict_customers`. ``margin`` applies to history and forecast alike.

    Returns
    -------
    pandas.DataFrame
        :data:`SCORE_COLUMNS` and the interval columns. Without a spend model the money columns are
        left out.
    """
    column = {name: histories[name].to_numpy() for name in ("frequency", "recency", "T", "monetary_count")}
    mean = histories["monetary_value"].to_numpy(dtype=float)
    found = predict_customers(
        model,
        column["frequency"],
        column["recency"],
        column["T"],
        column["monetary_count"],
        mean,
        days=days,
        levels=levels,
        margin=margin,
        discount_rate=discount_rate,
    )
    kept = ["customer_id", "first_purchase", "last_purchase", "frequency", "recency", "T", "monetary_value"]
    table = histories[kept].copy()
    table["as_of"] = pd.Timestamp(as_of).as_unit("s")
    table["horizon_days"] = np.int64(days)
    historical = margin * histories["historical_value"].to_numpy(dtype=float)
    table["historical_value"] = historical
    for name, values in found.items():
        table[name] = values
    if model.spend is None:
        table = table.drop(columns=["monetary_value", "historical_value"])
        wanted = [c for c in SCORE_COLUMNS if c in table.columns]
    else:
        table["spend_basis"] = np.where(column["monetary_count"] > 0, "own purchases", "population")
        table["total_value"] = historical + found["expected_value"]
        wanted = list(SCORE_COLUMNS)
    intervals = [c for c in found if "-lo-" in c or "-hi-" in c]
    return table[wanted + intervals]
