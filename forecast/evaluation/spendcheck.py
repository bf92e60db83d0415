"""Whether spend depends on how often people buy, which Gamma-Gamma supposes it does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from forecast.fitting.mean_spend import log_mean_shift

LEAST_CUSTOMERS = 30
_NORMAL_95 = 1.959963984540054


def independence(n: np.ndarray, mean: np.ndarray, weight: np.ndarray, p: float) -> dict[str, Any]:
    """Whether customers who buy more often spend more or less a purchase.

    Parameters
    ----------
    n, mean, weight : ndarray, shape (distinct,)
        Valued repeat purchases, their mean value, and customers.
    p : float
        Shape of purchase values around a customer's own mean: the logarithm of a mean of few values is low,
        which is put right first.

    Returns
    -------
    dict
        ``correlation, lower_95, upper_95`` of the logarithms of mean value and number of purchases (Fisher's
        z), ``doubled`` (factor on value for twice the purchases), ``customers`` and ``text``. Numbers are
        None where nothing varies.

    Examples
    --------
    >>> n, mean = np.array([1.0, 2.0, 4.0, 8.0]), 10.0 * 1.1 ** np.arange(4.0)
    >>> independence(n, mean, np.full(4, 50.0), 1e9)["doubled"]
    1.1
    """
    customers = round(float(weight.sum()))
    x, y = np.log(n.astype(float)), np.log(mean) - log_mean_shift(p, n)
    found: dict[str, Any] = {
        "correlation": None, "lower_95": None, "upper_95": None, "doubled": None, "customers": customers,
        "text": "There are too few repeat buyers, or they are too alike, to see whether spend depends on "
        "frequency.",
    }  # fmt: skip
    if customers < LEAST_CUSTOMERS:
        return found
    share = weight / weight.sum()
    dx, dy = x - share @ x, y - share @ y
    sxx, syy, sxy = share @ dx**2, share @ dy**2, share @ (dx * dy)
    if min(sxx, syy) < 1e-12:
        return found
    r = float(np.clip(sxy / np.sqrt(sxx * syy), -1.0 + 1e-12, 1.0 - 1e-12))
    reach = _NORMAL_95 / np.sqrt(customers - 3)
    low, high = float(np.tanh(np.arctanh(r) - reach)), float(np.tanh(np.arctanh(r) + reach))
    doubled = float(2.0 ** (sxy / sxx))
    found |= {
        "correlation": r, "lower_95": low, "upper_95": high, "doubled": round(doubled, 4),
        "text": _consequence(r, low, high, doubled),
    }  # fmt: skip
    return found


def _consequence(r: float, low: float, high: float, doubled: float) -> str:
    seen = (
        "Among repeat buyers mean value and frequency, both in logarithms, correlate by "
        f"{r:.2f} ({low:.2f} to {high:.2f}, 95 %)"
    )
    if low <= 0.0 <= high:
        return f"{seen}: no sign that spend depends on frequency, and the model may multiply the two."
    size = "weak" if abs(r) < 0.1 else "moderate" if abs(r) < 0.3 else "strong"
    more, frequent, rare = (
        ("more", "understated", "overstated") if r > 0 else ("less", "overstated", "understated")
    )
    return (
        f"{seen}: a {size} dependence. Who buys twice as often spends {abs(doubled - 1.0):.1%} {more} a "
        f"purchase. The model does not know this: the value of frequent buyers is {frequent} and of rare "
        f"ones {rare} as far as their own purchases do not tell yet. The backtest's rows by frequency show "
        "by how much."
    )


def spend_by_frequency(board: pd.DataFrame) -> pd.DataFrame:
    """Value a purchase by repeat purchases before the cut, forecast beside actual: what dependence costs.

    Parameters
    ----------
    board : pandas.DataFrame
        A backtest's.

    Returns
    -------
    pandas.DataFrame
        ``model, repeat_purchases, forecast, actual, ratio``: value over orders, pooled over origins.

    Examples
    --------
    >>> sums = {"orders-forecast": 10.0, "orders-actual": 8.0, "value-forecast": 200.0, "value-actual": 200.0}
    >>> rows = pd.DataFrame([("m", "frequency", "1", *row) for row in sums.items()])
    >>> spend_by_frequency(rows.set_axis(["model", "scope", "group", "metric", "value"], axis=1))
      model repeat_purchases  forecast  actual  ratio
    0     m                1      20.0    25.0    0.8
    """
    rows = board[board["scope"] == "frequency"]
    wide = rows.pivot_table(
        index=["model", "group"], columns="metric", values="value", aggfunc="sum", sort=False
    )
    if "value-forecast" not in wide:
        return pd.DataFrame(columns=["model", "repeat_purchases", "forecast", "actual", "ratio"])
    forecast = wide["value-forecast"] / wide["orders-forecast"]
    actual = wide["value-actual"] / wide["orders-actual"]
    found = pd.DataFrame({"forecast": forecast, "actual": actual, "ratio": forecast / actual})
    return found.rename_axis(["model", "repeat_purchases"]).reset_index()
