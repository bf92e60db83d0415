"""Expected cumulative repeat purchases of a growing customer base, for the tracking plot."""

from __future__ import annotations

import numpy as np

from forecast.fitting import Fitted

_DRAWS = 16  # a curve to look at


def expected_cumulative(
    fitted: Fitted, births: np.ndarray, first_days: np.ndarray, days: np.ndarray
) -> np.ndarray:
    """Expected repeat purchases until each day, given only when customers were won.

    Parameters
    ----------
    fitted : Fitted
    births : ndarray, shape (b,)
        Customers won on each first-purchase day.
    first_days : ndarray, shape (b,)
        Those days, as numbers in the model's unit of time.
    days : ndarray, shape (d,)
        Days at which to report, on the same clock.

    Returns
    -------
    ndarray, shape (d,)
        The unconditional expectation: no customer's own history enters.

    References
    ----------
    Fader, Hardie & Lee (2005), section 4, figure 4.

    Examples
    --------
    >>> from forecast.fitting import purchase_model
    >>> nbd = Fitted.from_parameters(purchase_model("nbd"), dict(r=1.0, alpha=10.0), "given")
    >>> expected_cumulative(nbd, np.array([2.0]), np.array([0.0]), np.array([0.0, 5.0])).tolist()
    [0.0, 1.0]
    """
    age = np.asarray(days, dtype=float)[:, None] - np.asarray(first_days, dtype=float)[None, :]
    ages, where = np.unique(np.maximum(age, 0.0), return_inverse=True)
    formulas = fitted.spec.formulas
    each = np.zeros(len(ages))
    for index, weight in zip(*fitted.thinned(_DRAWS), strict=True):
        draw = fitted.draw(index)
        stays = 1.0 / (1.0 + np.exp(formulas.log_odds_left(*draw, x=0.0, t_x=0.0, T=0.0)))
        live = formulas.if_alive(*draw, x=0.0, t_x=0.0, T=0.0)
        for k, t in enumerate(ages):
            each[k] += weight * float(stays * formulas.PROCESS.expectation(*live, t)) if t > 0 else 0.0
    return each[where.reshape(age.shape)] @ np.asarray(births, dtype=float)
