"""When customers buy next: the day by which it is as likely as not, and whether it is overdue."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from forecast.predict.population import ClvModel, Customers, log_p_alive
from forecast.predict.tables import gathered

OVERDUE_FROM = 0.9  # a customer is called overdue from here on
OVERDUE_DRAWS = 12  # weights make few draws enough, as for quantiles of value
_HELD = 2_000_000  # customers times draws whose chances to be alive are kept at once
_LOG_HALF = np.log(2.0)


def next_purchase_days(
    model: ClvModel, customers: Customers, p_purchase: np.ndarray, *, days: int
) -> np.ndarray:
    """The first day after ``as_of`` by which a purchase is as likely as not.

    Parameters
    ----------
    model : ClvModel
    customers : Customers
    p_purchase : ndarray, shape (customers,)
        Chance of a purchase in ``days``, as :func:`forecast.predict.predict_customers` says it.
    days : int
        Length of the horizon.

    Returns
    -------
    ndarray of int, shape (customers,)
        1 to ``days``; 0 for those whose chance stays below one half in the horizon.

    Raises
    ------
    InputError
        When the model has a clock and the customers come without days.

    Notes
    -----
    The chance is that of the whole prediction: over the draws, of being a customer still, on the seasonal
    clock, with level and calibrated shape. The mean of the day need not exist: some never buy again.

    Examples
    --------
    >>> from forecast.fitting import Fitted, purchase_model
    >>> nbd = Fitted.from_parameters(purchase_model("nbd"), dict(r=1.0, alpha=10.0), "given")
    >>> two = Customers(np.array([0.0, 4.0]), np.zeros(2), np.array([90.0, 90.0]))
    >>> next_purchase_days(ClvModel(nbd), two, np.array([0.23, 0.74]), days=30)  # 100 (2**(1/5) - 1) = 14.9
    array([ 0, 15])
    """
    found = np.zeros(len(customers), np.int64)
    likely = np.flatnonzero(p_purchase >= 0.5)
    if not len(likely):
        return found
    time = model.days_ahead(customers.as_of, days)
    index, weights = model.purchases.predictive_draws()
    size = min(customers.block, max(_HELD // len(index), 1))
    for begin in range(0, len(likely), size):
        rows = likely[begin : begin + size]
        found[rows] = _first_days(
            _chance(model, customers.rows(rows), index, weights, time), p_purchase[rows], days
        )
    return found


Chance = Callable[[np.ndarray, np.ndarray], np.ndarray]


def _chance(
    model: ClvModel, customers: Customers, index: np.ndarray, weights: np.ndarray, time: np.ndarray
) -> Chance:
    """The chance that some of the customers, by place, have bought by the end of given days."""
    fitted = model.purchases
    draws = [fitted.draw(i, customers.purchase_matrix) for i in index]
    shares = [w * np.exp(log_p_alive(fitted, d, customers)) for w, d in zip(weights, draws, strict=True)]

    def chance(places: np.ndarray, day: np.ndarray) -> np.ndarray:
        x, t_x, T = customers.x[places], customers.t_x[places], customers.T[places]
        cell = None if customers.cell is None else customers.cell[places]
        total, ahead = np.zeros(len(places)), time[day]
        for draw, share in zip(draws, shares, strict=True):
            live = fitted.spec.formulas.if_alive(*gathered(draw, cell), x=x, t_x=t_x, T=T)
            total += share[places] * fitted.spec.formulas.PROCESS.some(*live, ahead)
        return model.calibration.above(total)

    return chance


def _first_days(chance: Chance, at_end: np.ndarray, days: int) -> np.ndarray:
    """First days on which a rising chance is at least one half; on the last day it is.

    Interpolation between a day that is too early and one that is late enough, in the logarithm of the chance
    to have bought nothing, which is nearly a line; halving where that gains little.
    """
    size = len(at_end)
    early, late = np.zeros(size, np.int64), np.full(size, days, np.int64)
    below, above = np.full(size, -_LOG_HALF), _silence(at_end)
    todo = np.arange(size) if days > 1 else np.zeros(0, np.int64)
    last_early = np.zeros(size, bool)
    turn = 0
    while len(todo):
        low, high = early[todo], late[todo]
        if turn % 4 == 3:
            day = (low + high) // 2
        else:
            at = low + (high - low) * below[todo] / (below[todo] - above[todo])
            day = np.clip(np.round(at).astype(np.int64), low + 1, high - 1)
        value = _silence(chance(todo, day))
        reached = value >= 0.0
        # The Illinois rule: an end that stays twice is believed half as much, else it would stay for ever.
        same = (last_early[todo] != reached) & (turn > 0)
        put, kept = todo[reached], todo[reached & same]
        late[put], above[put] = day[reached], value[reached]
        below[kept] /= 2.0
        put, kept = todo[~reached], todo[~reached & same]
        early[put], below[put] = day[~reached], value[~reached]
        above[kept] /= 2.0
        last_early[todo] = ~reached
        todo = todo[late[todo] - early[todo] > 1]
        turn += 1
    return late


def _silence(chance: np.ndarray) -> np.ndarray:
    """Above zero where a purchase is more likely than not, exactly."""
    found = -np.log1p(-np.minimum(chance, 1.0 - 1e-12)) - _LOG_HALF
    return np.where(chance >= 0.5, np.maximum(found, 0.0), np.minimum(found, -1e-300))


def overdue(model: ClvModel, customers: Customers) -> np.ndarray:
    """How likely customers who are still active would have bought again by now.

    Parameters
    ----------
    model : ClvModel
    customers : Customers

    Returns
    -------
    ndarray, shape (customers,)
        ``1 - P(no purchase since the last one | still active, the history up to the last one)``, the mean
        over at most 12 weighted draws. From :data:`OVERDUE_FROM` on a customer is called overdue.

    Notes
    -----
    It asks how unusual the silence is for this customer, not whether the customer has left: ``p_alive`` and
    ``p_purchase`` weigh that. Who has bought once has shown no rhythm: for them it is the share of the
    population (or of their group) whose second purchase would have come by now, the same for all of one age.
    Levels are of the future and have no part in it. For BG/NBD it is
    ``1 - ((alpha + t_x) / (alpha + T))^(r + x)``.

    Examples
    --------
    >>> from forecast.fitting import Fitted, purchase_model
    >>> bg = Fitted.from_parameters(
    ...     purchase_model("bg-nbd"), dict(r=0.243, alpha=4.414, a=0.793, b=2.426), "given")
    >>> two = Customers(np.array([9.0, 0.0]), np.array([30.0, 0.0]), np.array([38.0, 38.0]))
    >>> overdue(ClvModel(bg), two).round(3).tolist()
    [0.855, 0.423]
    """
    found = np.empty(len(customers))
    fitted, size = model.purchases, customers.block
    index, weights = fitted.thinned(OVERDUE_DRAWS)
    for begin in range(0, len(customers), size):
        rows = slice(begin, begin + size)
        own = customers.rows(rows)
        total, silent = np.zeros(len(own)), own.T - own.t_x
        for i, weight in zip(index, weights, strict=True):
            draw = gathered(fitted.draw(i, own.purchase_matrix), own.cell)
            then = fitted.spec.formulas.if_alive(*draw, x=own.x, t_x=own.t_x, T=own.t_x)
            total += weight * fitted.spec.formulas.PROCESS.due(*then, silent)
        found[rows] = np.clip(total, 0.0, 1.0)
    return found
