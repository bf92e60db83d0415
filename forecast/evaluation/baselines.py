"""Simple rules that a model has to beat; a model that loses to one is seen to lose.

Each rule gives every customer known at ``as_of`` the purchases and the value expected in the next ``h``
days. All but the formula count repeat purchases only: a customer is bought first once, and that purchase says
nothing on how often they come back. No rule discounts or takes a margin. NBD is a fitted model, and is with
the models.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from forecast.errors import InputError
from forecast.evaluation.metric_inputs import checked
from forecast.periods import DAYS_PER_YEAR, horizon_days

HIATUS_DAYS = 182
YEAR_DAYS = 365


class RuleForecast(NamedTuple):
    """Expected repeat purchases and value per customer in the horizon, in the order of the rows."""

    expected_purchases: np.ndarray
    expected_value: np.ndarray


@dataclass(frozen=True)
class Rule:
    """A simple rule: its name, what it does in words, and the columns it reads.

    Calling it with a frame and a horizon gives a `RuleForecast`.
    """

    name: str
    description: str
    columns: tuple[str, ...]
    function: Callable[[Any, Any], RuleForecast]

    def __call__(self, histories: Any, h: Any) -> RuleForecast:
        return self.function(histories, h)


def global_mean(histories: Any, h: Any) -> RuleForecast:
    """Every customer gets the same: all repeat purchases over all days observed, times h.

    ``Σx / ΣT · h`` and ``Σ(historical_value - first_value) / ΣT · h``.

    Parameters
    ----------
    histories : DataFrame or mapping of arrays
        ``frequency, T`` (days), ``historical_value, first_value`` (currency).
    h : int or str
        Days.

    Returns
    -------
    RuleForecast

    Raises
    ------
    ArgumentError
        When the horizon is not understood.
    InputError
        When a column is missing or holds NaN, or no time was observed.

    Examples
    --------
    >>> shop = {"frequency": [1, 0], "T": [60, 40],
    ...         "historical_value": [50.0, 20.0], "first_value": [20.0, 20.0]}
    >>> global_mean(shop, 50).expected_purchases, global_mean(shop, 50).expected_value
    (array([0.5, 0.5]), array([15., 15.]))
    """
    days = horizon_days(h)
    x, age, total, first = _columns(histories, "frequency", "T", "historical_value", "first_value")
    observed = _observed(age)
    return _same_for_all(x.sum() / observed * days, (total - first).sum() / observed * days, x.size)


def naive_last_period(previous_purchases: Any, previous_value: Any) -> RuleForecast:
    """The same again: what each customer bought in the last h days, ``(as_of - h, as_of]``.

    Parameters
    ----------
    previous_purchases, previous_value : array_like, shape (customers,)
        Repeat purchases in that window and their value; a first purchase in it is left out (with it, the rule
        forecasts the acquisition of known customers again: +156 % instead of +31 % on the CDNOW sample).

    Raises
    ------
    InputError
        When a value is missing or the lengths differ.

    Examples
    --------
    >>> naive_last_period([2, 0], [30.0, 0.0]).expected_purchases
    array([2., 0.])
    """
    purchases, value = checked(previous_purchases=previous_purchases, previous_value=previous_value)
    return RuleForecast(purchases.copy(), value.copy())


def same_period_last_year(
    last_year_purchases: Any, last_year_value: Any, history_days: float, h: Any
) -> RuleForecast:
    """What each customer bought in the same h days a year ago, ``(as_of - 365, as_of - 365 + h]``.

    A customer who came later bought nothing then, and is forecast nothing.

    Parameters
    ----------
    last_year_purchases, last_year_value : array_like, shape (customers,)
        Repeat purchases in that window and their value. Ignored (NaN too) where the rule does not exist.
    history_days : float
        Days from the shop's first order to ``as_of``.
    h : int or str
        Days.

    Returns
    -------
    RuleForecast
        All NaN when the history is shorter than 365 days, or the horizon longer: there is no such rule then.

    Raises
    ------
    ArgumentError
        When the horizon is not understood.
    InputError
        When a value is missing or the lengths differ.

    Examples
    --------
    >>> same_period_last_year([1, 0], [9.0, 0.0], 400, 91).expected_value
    array([9., 0.])
    >>> same_period_last_year([0, 0], [0.0, 0.0], 272, 91).expected_value
    array([nan, nan])
    """
    if history_days < YEAR_DAYS or horizon_days(h) > YEAR_DAYS:
        return _same_for_all(np.nan, np.nan, np.asarray(last_year_purchases).size)
    purchases, value = checked(last_year_purchases=last_year_purchases, last_year_value=last_year_value)
    return RuleForecast(purchases.copy(), value.copy())


def hiatus(histories: Any, h: Any, days: int = HIATUS_DAYS) -> RuleForecast:
    """Who bought in the last 26 weeks goes on at their own rate; the others never return.

    ``x / T · h`` and ``(historical_value - first_value) / T · h`` when ``T - recency < days``, else 0.

    Parameters
    ----------
    histories : DataFrame or mapping of arrays
        ``frequency, recency, T`` (days), ``historical_value, first_value`` (currency).
    h : int or str
        Days.
    days : int, default 182
        The last purchase must be among the last so many days, ``as_of`` included.

    Raises
    ------
    ArgumentError
        When the horizon or ``days`` is not a positive number of days.
    InputError
        When a column is missing or holds NaN.

    References
    ----------
    Wübben, M. and von Wangenheim, F. (2008), "Instant customer base analysis: managerial heuristics often
    'get it right'", Journal of Marketing 72(3).

    Examples
    --------
    >>> shop = {"frequency": [2, 2], "recency": [190, 10], "T": [200, 200],
    ...         "historical_value": [50.0, 50.0], "first_value": [10.0, 10.0]}
    >>> hiatus(shop, 100).expected_purchases, hiatus(shop, 100).expected_value
    (array([1., 0.]), array([20.,  0.]))
    """
    length, window = horizon_days(h), horizon_days(days)
    names = ("frequency", "recency", "T", "historical_value", "first_value")
    x, recency, age, total, first = _columns(histories, *names)
    active = (age - recency < window) & (age > 0)
    share = np.where(active, length / np.where(age > 0, age, 1.0), 0.0)
    return RuleForecast(x * share, (total - first) * share)


def formula_clv(histories: Any, h: Any) -> RuleForecast:
    """The spreadsheet's formula for h days: ``AOV × orders per customer per year × h / 365.25``.

    One figure for every customer. AOV is all revenue over all orders; orders per customer-year are all
    orders over all time observed, ``Σ orders / (Σ T / 365.25)``. First orders are in both, as practice has
    it, so the formula counts the acquisition of known customers again. The purchases are customer-days,
    reckoned alike.

    Parameters
    ----------
    histories : DataFrame or mapping of arrays
        ``orders, purchases, T`` (days), ``historical_value`` (currency).
    h : int or str
        Days.

    Raises
    ------
    ArgumentError
        When the horizon is not understood.
    InputError
        When a column is missing or holds NaN, or no time or no orders were observed.

    Examples
    --------
    >>> shop = {"orders": [3, 1], "purchases": [2, 1], "T": [365.25, 365.25],
    ...         "historical_value": [90.0, 30.0]}
    >>> formula_clv(shop, 365).expected_value.round(2)
    array([59.96, 59.96])
    """
    days = horizon_days(h)
    orders, purchases, age, total = _columns(histories, "orders", "purchases", "T", "historical_value")
    if not orders.sum() > 0:
        raise InputError(
            "there are no orders", where="column 'orders'", advice="Count every order, from 1 up."
        )
    customer_years = _observed(age) / DAYS_PER_YEAR
    aov = total.sum() / orders.sum()
    value = aov * (orders.sum() / customer_years) * days / DAYS_PER_YEAR
    return _same_for_all(purchases.sum() / customer_years * days / DAYS_PER_YEAR, value, orders.size)


def _naive_from_frame(histories: Any, h: Any) -> RuleForecast:
    horizon_days(h)
    return naive_last_period(*_columns(histories, "previous_purchases", "previous_value"))


def _last_year_from_frame(histories: Any, h: Any) -> RuleForecast:
    # The oldest customer's first purchase is the shop's first order.
    (age,) = _columns(histories, "T")
    if age.max() < YEAR_DAYS:
        return same_period_last_year(age, age, age.max(), h)
    purchases, value = _columns(histories, "last_year_purchases", "last_year_value")
    return same_period_last_year(purchases, value, age.max(), h)


BASELINES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule(
            "global-mean",
            "Every customer buys at the average rate of all customers so far.",
            ("frequency", "T", "historical_value", "first_value"),
            global_mean,
        ),
        Rule(
            "naive",
            "Every customer repeats what they did in the last period of the same length.",
            ("previous_purchases", "previous_value"),
            _naive_from_frame,
        ),
        Rule(
            "last-year",
            "Every customer repeats what they did in the same period a year ago.",
            ("T", "last_year_purchases", "last_year_value"),
            _last_year_from_frame,
        ),
        Rule(
            "hiatus",
            "Customers who bought in the last 26 weeks go on at their own rate; the others never return.",
            ("frequency", "recency", "T", "historical_value", "first_value"),
            hiatus,
        ),
        Rule(
            "formula",
            "Average order value times orders per customer per year, the same for every customer.",
            ("orders", "purchases", "T", "historical_value"),
            formula_clv,
        ),
    )
}


def _columns(histories: Any, *names: str) -> list[np.ndarray]:
    missing = [name for name in names if name not in histories]
    if missing:
        raise InputError(
            f"columns are missing: {', '.join(missing)}",
            where="the histories",
            advice="Summarise the orders again, or leave the rule out.",
        )
    return checked(**{name: histories[name] for name in names})


def _observed(age: np.ndarray) -> float:
    if (age < 0).any():
        raise InputError(
            "T is negative",
            where="column 'T'",
            count=int((age < 0).sum()),
            advice="T is as_of minus the first purchase, in days.",
        )
    total = float(age.sum())
    if total == 0:
        raise InputError(
            "no time was observed: every customer came on the last day",
            where="column 'T'",
            advice="Take a later as_of.",
        )
    return total


def _same_for_all(purchases: float, value: float, customers: int) -> RuleForecast:
    return RuleForecast(np.full(customers, float(purchases)), np.full(customers, float(value)))
