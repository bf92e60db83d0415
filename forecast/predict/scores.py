"""The score table: one row a customer, with what is known and what is expected."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd

from forecast.history.rfm import words
from forecast.predict.customers import predict_customers
from forecast.predict.population import ClvModel, Customers
from forecast.predict.segments import SEGMENT_COLUMNS, segment_columns

SCORE_COLUMNS = (
    "customer_id", "as_of", "horizon_days", "first_purchase", "last_purchase", "frequency", "recency", "T",
    "monetary_value", "historical_value", "p_alive", "p_purchase", "expected_purchases",
    "expected_purchase_value", "spend_basis", "expected_value", "total_value",
)  # fmt: skip

SPEND_BASIS = ("own purchases", "first purchase, shrunk", "population")


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
        :data:`SCORE_COLUMNS`, the interval columns and :data:`SEGMENT_COLUMNS`. Without a spend model the
        money columns are left out. ``spend_basis`` says what informs a customer's expected purchase value:
        ``own purchases``, ``first purchase, shrunk`` or ``population``.
    """
    customers = Customers.from_frame(histories, model)
    full = margin == 1.0 and discount_rate == 0.0
    found = predict_customers(
        model, customers, days=days, levels=levels, margin=margin, discount_rate=discount_rate
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
        table["spend_basis"] = _basis(histories, customers)
        table["total_value"] = historical + found["expected_value"]
        wanted = list(SCORE_COLUMNS)
    intervals = [c for c in found if "-lo-" in c or "-hi-" in c]
    for name, values in segment_columns(model, histories, customers, found, as_of, days, full=full).items():
        table[name] = values
    return table[[*wanted, *intervals, *SEGMENT_COLUMNS]]


def _basis(histories: pd.DataFrame, customers: Customers) -> Any:
    """What informs each customer's expected purchase value."""
    repeats = histories["monetary_count"].to_numpy() > 0
    some = np.zeros(len(repeats), bool) if customers.n is None else customers.n > 0
    return words(SPEND_BASIS, np.where(some & repeats, 0, np.where(some, 1, 2)))
