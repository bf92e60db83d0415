"""A simulated shop whose customers buy on a seasonal clock, for the tests of seasons."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

import forecast
from forecast.fitting.spec import purchase_model

FIRST = dt.date(2020, 1, 1)
TRUTH = {"bg-nbd": (0.8, 60.0, 0.5, 4.0), "mbg-cnbd-2": (0.9, 25.0, 0.5, 4.0)}


def days(size: int) -> np.ndarray:
    """The days of the shop, from its first."""
    return np.datetime64(FIRST) + np.arange(size) * np.timedelta64(1, "D")


def calm(size: int) -> np.ndarray:
    """No season at all."""
    return np.ones(size)


def christmas(size: int, height: float = 1.2) -> np.ndarray:
    """A peak in the first half of December, and mean 1 over whole years."""
    when = days(size)
    day = (when - when.astype("datetime64[Y]")).astype(int)
    found = np.exp(height * np.exp(-0.5 * ((day - 342.0) / 20.0) ** 2))
    return found / found[:1461].mean()


def simulate(
    intensity: np.ndarray, size: int = 4000, seed: int = 0, model: str = "bg-nbd", until: int | None = None
) -> pd.DataFrame:
    """Orders of customers who buy on the clock that the intensity of each day makes.

    Customers are won evenly over the first ``until`` days. A gap in clock time ends on the first day whose
    end it does not pass.
    """
    rng = np.random.default_rng(seed)
    total = np.cumsum(intensity)
    first = rng.integers(0, until or len(intensity) - 120, size)
    first[0] = 0
    who, when = purchase_model(model).formulas.times(rng, total[-1] - total[first], *TRUTH[model])
    later = np.searchsorted(total, total[first[who]] + when * (1.0 - 1e-12))
    customer, day = np.concatenate([np.arange(size), who]), np.concatenate([first, later])
    frame = pd.DataFrame(
        {
            "customer_id": np.char.mod("c%05d", customer),
            "order_date": days(len(intensity))[np.minimum(day, len(intensity) - 1)].astype("datetime64[s]"),
            "value": (rng.gamma(4.0, 25.0, len(day)) / rng.gamma(4.0, 1.0, size)[customer]).round(2) + 0.01,
        }
    )
    return frame.sort_values(["order_date", "customer_id"], kind="stable").reset_index(drop=True)


def read(frame: pd.DataFrame) -> forecast.Orders:
    """The orders as the package reads them."""
    return forecast.read_orders(frame, currency="USD")
