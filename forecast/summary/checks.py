"""The gate in front of every model: one check of purchase histories for fit and predict alike.

All breaches are collected and reported together, with counts and example rows. Rows are named by
position, never by customer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from forecast.errors import InputError

LONGEST = 73_050  # days, 200 years: what is older is in another unit
MOST_ORDERS = 2**31 - 1  # more is no count of orders
CENT = 0.01  # sums of money may be off by so much a purchase, since many a warehouse rounds to cents

_ADVICE = {
    "frequency": "frequency counts repeat purchases: whole numbers from 0 up",
    "recency": "recency is last minus first purchase, so 0 <= recency <= T, and 0 without a repeat",
    "T": "T is as_of minus first purchase, from 0 up",
    "monetary_value": "monetary_value is the mean of the repeat purchases above 0, and NaN without one",
    "monetary_count": "monetary_count is how many purchases that mean has, at most frequency",
    "customer_id": "give one row a customer",
    "first_purchase": "first_purchase is as_of minus T, a day such as 2026-09-30",
    "last_purchase": "last_purchase is first_purchase plus recency, a day such as 2026-09-30",
    "first_value": "first_value is the value of all orders of the first day, empty where it is not known",
    "historical_value": "historical_value is the value of all purchases, so first_value + monetary_count x "
    "monetary_value, less what negative repeat purchases take off",
    "purchases": "purchases are the days with an order, so frequency + 1",
    "orders": "orders are at least as many as purchases",
    "day": "give one row a day, after the first purchase of all and not after as_of",
    "repeat_purchases": "repeat_purchases counts customers who bought again on that day, so that all days "
    "add up to all frequency",
    "record": "give every record as many cells as the header",
}


class Breaches:
    """Broken rules with their counts and first rows, gathered over one table or its blocks.

    Parameters
    ----------
    where : str
        Named in the message.
    """

    def __init__(self, where: str) -> None:
        self.where = where
        self.rows: Sequence[str] | None = None  # names of the current block's rows, if not their places
        self._found: dict[tuple[str, str], tuple[int, list[str]]] = {}

    def add(self, column: str, what: str, bad: np.ndarray, values: np.ndarray | None = None) -> None:
        """Rows of the current block that break a rule, with their values where these help."""
        places = np.flatnonzero(bad)
        if len(places):
            names = [f"row {i}" if self.rows is None else self.rows[i] for i in places[:3].tolist()]
            shown = [
                name if values is None else f"{name}: {values[i]:g}"
                for name, i in zip(names, places, strict=False)
            ]
            self.count(column, what, len(places), shown)

    def count(self, column: str, what: str, number: int, examples: Sequence[str]) -> None:
        """So many rows break a rule, for example these."""
        if number:
            before, shown = self._found.get((column, what), (0, []))
            self._found[column, what] = (before + number, [*shown, *examples][:3])

    def report(self) -> None:
        """Say all of them.

        Raises
        ------
        InputError
            When there is one.
        """
        if self._found:
            told = [
                f"{column} {what} ({number:,} row{'s' if number > 1 else ''}: {', '.join(shown)})"
                for (column, what), (number, shown) in self._found.items()
            ]
            advice = dict.fromkeys(_ADVICE[column] for column, _ in self._found)
            raise InputError("; ".join(told), where=self.where, advice="; ".join(advice) + ".")


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
    breaches = Breaches(where)
    if "customer_id" in frame.columns:
        breaches.add("customer_id", "repeats", frame["customer_id"].duplicated().to_numpy())
    if purchases:
        check_purchases(arrays, breaches)
    if spend:
        check_spend(arrays, count, breaches)
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


def check_purchases(arrays: dict[str, np.ndarray], breaches: Breaches) -> None:
    """Rules of ``frequency, recency, T`` in any unit of time."""
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


def check_spend(arrays: dict[str, np.ndarray], count: str, breaches: Breaches) -> None:
    """Rules of ``monetary_value`` and the ``count`` behind it."""
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


def check_days(arrays: dict[str, np.ndarray], breaches: Breaches, end: int | None) -> None:
    """Rules of histories in days beside those of :func:`check_purchases`: a purchase a day, and the calendar.

    Parameters
    ----------
    arrays : dict of str to ndarray
        ``frequency, recency, T`` and, where they are given, ``first_purchase`` and ``last_purchase`` as days
        since 1970, ``purchases`` and ``orders``; NaN where a cell is blank.
    breaches : Breaches
    end : int or None
        ``as_of`` in days since 1970.
    """
    x, t_x, T = arrays["frequency"], arrays["recency"], arrays["T"]
    for name, days in (("recency", t_x), ("T", T)):
        breaches.add(name, "is no whole number of days", np.isfinite(days) & (days != np.floor(days)), days)
    breaches.add("T", "is above 200 years of days", np.isfinite(T) & (T > LONGEST), T)
    breaches.add("frequency", "is above recency, with at most one purchase a day", (t_x > 0) & (x > t_x), x)
    first, last = arrays.get("first_purchase"), arrays.get("last_purchase")
    if first is not None:
        breaches.add("first_purchase", "is missing", np.isnan(first))
        if end is not None:
            breaches.add("first_purchase", "is not as_of minus T", _differ(first + T, end))
    if last is not None:
        breaches.add("last_purchase", "is missing", np.isnan(last))
        if first is not None:
            breaches.add("last_purchase", "is not first_purchase plus recency", _differ(last - first, t_x))
        elif end is not None:
            breaches.add("last_purchase", "is not as_of minus T plus recency", _differ(last - t_x + T, end))
    if "purchases" in arrays:
        days = arrays["purchases"]
        breaches.add("purchases", "is not frequency + 1", ~(days == x + 1), days)
    if "orders" in arrays:
        n = arrays["orders"]
        breaches.add("orders", "is missing or no whole number", ~(np.isfinite(n) & (n == np.floor(n))))
        breaches.add("orders", "is below purchases", n < x + 1, n)
        breaches.add("orders", f"is above {MOST_ORDERS:,}", n > MOST_ORDERS, n)


def check_money(arrays: dict[str, np.ndarray], breaches: Breaches) -> None:
    """Rules of all columns of money together, beside those of :func:`check_spend`."""
    x, n, m = arrays["frequency"], arrays["monetary_count"], arrays["monetary_value"]
    first, total = arrays["first_value"], arrays["historical_value"]
    none = (n == 0) & np.isfinite(m) & (m != 0)
    breaches.add("monetary_value", "is given without a valued repeat purchase", none, m)
    breaches.add("first_value", "is infinite", np.isinf(first), first)
    breaches.add("historical_value", "is missing or infinite", ~np.isfinite(total))
    paid = np.where(n > 0, n * m, 0.0)
    known = np.nan_to_num(first) + paid
    room = CENT * (n + 1.0) + 1e-9 * (np.abs(known) + np.abs(total))
    told = "first_value + monetary_count x monetary_value"
    breaches.add("historical_value", f"is above {told}", total - known > room, total)
    whole = (n == x) & np.isfinite(first)  # no repeat purchase that could have taken something off
    breaches.add("historical_value", f"is below {told}", whole & (known - total > room), total)


def _differ(one: np.ndarray, other: Any) -> np.ndarray:
    """Where two finite numbers differ; what is not finite has been told already."""
    return np.isfinite(one) & np.isfinite(other) & (one != other)
