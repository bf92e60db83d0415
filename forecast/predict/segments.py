"""What lists are made of: tier, next purchase, overdue and RFM group of each customer."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from forecast.history.rfm import RfmCutOffs, words
from forecast.predict.customers import expected_value
from forecast.predict.population import ClvModel, Customers
from forecast.predict.tiers import DAYS, TIERS, CutOffs, TierCutOffs
from forecast.predict.timing import next_purchase_days, overdue

SEGMENT_COLUMNS = ("tier", "next_purchase_median", "overdue", "rfm", "rfm_group")


def freeze_cut_offs(model: ClvModel, frames: Iterable[pd.DataFrame]) -> CutOffs:
    """Cut-offs of tiers and RFM groups from the customers that a model was fitted on.

    Parameters
    ----------
    model : ClvModel
    frames : iterable of pandas.DataFrame
        Their histories, in parts.

    Returns
    -------
    CutOffs
        Aggregates alone: no number in it is a customer's.

    Examples
    --------
    >>> from forecast.fitting import Fitted, purchase_model
    >>> nbd = Fitted.from_parameters(purchase_model("nbd"), dict(r=1.0, alpha=100.0), "given")
    >>> shop = pd.DataFrame({"frequency": [0, 1, 9], "recency": [0, 5, 99], "T": [100, 100, 100],
    ...                      "monetary_value": np.nan, "monetary_count": 0, "historical_value": 0.0})
    >>> freeze_cut_offs(ClvModel(nbd), [shop]).tiers.from_value  # 1.8, 3.65 and 18.25 purchases are expected
    (inf, inf, inf, 10.9..., 2.7...)
    """
    values, silent, spent = [], [], []
    for frame in frames:
        values.append(expected_value(model, Customers.from_frame(frame, model), days=DAYS))
        silent.append((frame["T"] - frame["recency"]).to_numpy(dtype=float))
        spent.append(frame["historical_value"].to_numpy(dtype=float))
    money = None if model.spend is None else np.concatenate(spent)
    return CutOffs(TierCutOffs.of(np.concatenate(values)), RfmCutOffs.of(np.concatenate(silent), money))


def segment_columns(
    model: ClvModel,
    histories: pd.DataFrame,
    customers: Customers,
    found: dict[str, np.ndarray],
    as_of: dt.date,
    days: int,
    *,
    full: bool,
) -> dict[str, Any]:
    """The columns of :data:`SEGMENT_COLUMNS`, one entry a customer.

    Parameters
    ----------
    model : ClvModel
    histories : pandas.DataFrame
    customers : Customers
        The same as the model sees them.
    found : dict of str to ndarray
        What :func:`predict_customers` says of them.
    as_of : datetime.date
    days : int
        Length of the horizon.
    full : bool
        Whether values in ``found`` are at margin 1 and without discount.

    Returns
    -------
    dict of str to array
        ``tier, rfm`` and ``rfm_group`` are blank when an older version fitted the model. ``tier`` is by the
        value of the next 365 days at margin 1 without discount, whatever the horizon; ``overdue`` is a
        probability; ``next_purchase_median`` is a day, blank where a purchase in the horizon is less likely
        than not.
    """
    ahead = next_purchase_days(model, customers, found["p_purchase"], days=days)
    day = np.datetime64(as_of, "s") + ahead.astype("timedelta64[D]")
    columns: dict[str, Any] = {
        "next_purchase_median": np.where(ahead > 0, day, np.datetime64("NaT", "s")),
        "overdue": overdue(model, customers),
    }
    if model.cut_offs is None:
        blank = words(TIERS, np.full(len(customers), -1))
        return columns | dict.fromkeys(("tier", "rfm", "rfm_group"), blank)
    if days == DAYS and full:
        value = found["expected_purchases" if model.spend is None else "expected_value"]
    else:
        value = expected_value(model, customers, days=DAYS)
    groups = model.cut_offs.rfm.groups(histories)
    columns["tier"] = model.cut_offs.tiers.tiers(value)
    return columns | {name: groups[name] for name in ("rfm", "rfm_group")}
