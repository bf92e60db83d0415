"""The gate in front of every model: one check of purchase histories for fit and predict alike.

All breaches are collected and reported together, with counts and example rows. Rows are named by
position, never by customer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from forecast.errors import InputError

_ADVICE = {
    "frequency": "frequency counts repeat purchases: whole numbers from 0 up",
    "recency": "recency is last minus first purchase, so 0 <= recency <= T, and 0 without a repeat",
    "T": "T is as_of minus first purchase, from 0 up",
    "monetary_value": "monetary_value is the mean of the repeat purchases above 0, and NaN without one",
    "monetary_count": "monetary_count is how many purchases that mean has, at most frequency",
    "customer_id": "give one row a customer",
}


class _Breaches:
    def __init__(self, where: str) -> None:
        self.where = where
        self.found: list[str] = []
        self.advice: dict[str, None] = {}
        self.rows = 0

    def add(self, column: str, what: str, bad: np.ndarray, values: np.ndarray | None = None) -> None:
        rows = np.flatnonzero(bad)
        if not len(rows):
            return
        self.rows += len(rows)
        shown = ", ".join(
            f"row {i}" if values is None else f"row {i}: {values[i]:g}" for i in rows[:3].tolist()
        )
        self.found.append(f"{column} {what} ({len(rows):,} row{'s' if len(rows) > 1 else ''}: {shown})")
        self.advice[_ADVICE[column]] = None

    def report(self) -> None:
        if self.found:
            raise InputError("; ".join(self.found), where=self.where, advice="; ".join(self.advice) + ".")


def as_frame(histories: Any, where: str = "histories") -> pd.DataFrame:
    """A pandas frame from pandas, polars or Arrow; anything else is refused.

    Raises
    ------
    InputError
        When the object is no table.
    """
    if isinstance(histories, pd.DataFrame):
        return histories
    if hasattr(histories, "to_pandas") and hasattr(histories, "columns"):
        return histories.to_pandas()
    raise InputError(
        f"a table is needed, not {type(histories).__name__}", where=where,
        advice="Give a pandas, polars or Arrow frame with columns frequency, recency, T.",
    )  # fmt: skip


def check_histories(
    histories: Any, *, purchases: bool = True, spend: bool = False, where: str = "histories"
) -> Any:
    """Check purchase histories and return their columns as arrays.

    Parameters
    ----------
    histories : DataFrame
        Columns ``frequency, recency, T`` for purchases; ``monetary_value`` and ``monetary_count`` (or,
        where that is absent, ``frequency``) for spend. Other columns are ignored, but ``customer_id``
        must not repeat.
    purchases, spend : bool
        Which columns are needed.
    where : str
        Named in the message.

    Returns
    -------
    dict of str to ndarray of float, shape (n,)

    Raises
    ------
    InputError
        Listing every breach with its count and first rows: missing or doubled columns, no rows, text,
        NaN, infinities, fractions, negatives, recency beyond T, and so on.

    Examples
    --------
    >>> frame = pd.DataFrame({"frequency": [2, 1], "recency": [30.0, 50.0], "T": [38.0, 40.0]})
    >>> check_histories(frame)
    Traceback (most recent call last):
    forecast.errors.InputError: recency is beyond T (1 row: row 1: 50), in histories. recency is last ...
    """
    frame = as_frame(histories, where)
    needed = ["frequency", "recency", "T"] if purchases else []
    count = "monetary_count" if "monetary_count" in frame.columns else "frequency"
    if spend:
        needed += [name for name in ("monetary_value", count) if name not in needed]
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        raise InputError(
            f"column{'s' if len(missing) > 1 else ''} missing: {', '.join(missing)}", where=where,
            advice=f"Found {', '.join(map(str, frame.columns)) or 'no columns'}; rename or compute them.",
        )  # fmt: skip
    doubled = [name for name in needed if list(frame.columns).count(name) > 1]
    if doubled:
        raise InputError(f"column twice: {', '.join(doubled)}", where=where, advice="Keep one of each.")
    if len(frame) == 0:
        raise InputError("there are no customers", where=where, advice="Give at least one row.")
    arrays = {name: _numbers(frame[name], name, where) for name in needed}
    breaches = _Breaches(where)
    if "customer_id" in frame.columns:
        breaches.add("customer_id", "repeats", frame["customer_id"].duplicated().to_numpy())
    if purchases:
        _check_purchases(arrays, breaches)
    if spend:
        _check_spend(arrays, count, breaches)
        arrays["monetary_count"] = arrays[count]
    breaches.report()
    return arrays


def _numbers(column: pd.Series, name: str, where: str) -> np.ndarray:
    if pd.api.types.is_bool_dtype(column) or not (
        pd.api.types.is_numeric_dtype(column) or pd.api.types.is_object_dtype(column)
    ):
        raise InputError(f"{name} is not numeric but {column.dtype}", where=where, advice=_ADVICE[name] + ".")
    try:
        return column.to_numpy(dtype=float, na_value=np.nan)
    except (TypeError, ValueError):
        raise InputError(
            f"{name} holds something that is not a number", where=where, advice=_ADVICE[name] + "."
        ) from None


def _check_purchases(arrays: dict[str, np.ndarray], breaches: _Breaches) -> None:
    x, t_x, T = arrays["frequency"], arrays["recency"], arrays["T"]
    for name in ("frequency", "recency", "T"):
        values = arrays[name]
        finite = np.isfinite(values)
        if not finite.all():
            breaches.add(name, "is missing or infinite", ~finite)
        if (values < 0).any():
            breaches.add(name, "is negative", values < 0, values)
    if not np.array_equal(x, np.floor(x)):
        breaches.add("frequency", "is not a whole number", np.isfinite(x) & (x != np.floor(x)), x)
    if not (t_x <= T).all():
        breaches.add("recency", "is beyond T", t_x > T, t_x)
    if ((x == 0) & (t_x > 0)).any():
        breaches.add("recency", "is above 0 without a repeat purchase", (x == 0) & (t_x > 0), t_x)
    if ((x > 0) & (t_x == 0)).any():
        breaches.add("recency", "is 0 in spite of a repeat purchase", (x > 0) & (t_x == 0), t_x)


def _check_spend(arrays: dict[str, np.ndarray], count: str, breaches: _Breaches) -> None:
    n, m = arrays[count], arrays["monetary_value"]
    if count == "monetary_count" or "recency" not in arrays:
        whole = np.isfinite(n) & (n >= 0) & (n == np.floor(n))
        breaches.add(count, "is missing, negative or no whole number", ~whole)
    if count == "monetary_count" and "frequency" in arrays:
        breaches.add(count, "exceeds frequency", n > arrays["frequency"], n)
    valued = n > 0
    breaches.add("monetary_value", "is missing in spite of a repeat purchase", valued & np.isnan(m))
    breaches.add("monetary_value", "is infinite", np.isinf(m), m)
    breaches.add("monetary_value", "is not above 0", valued & (m <= 0), m)
