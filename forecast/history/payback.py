"""Whether customers who were bought have paid for themselves, as far as can be seen yet."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

from forecast.errors import ArgumentError
from forecast.orders.plans import WHOLE
from forecast.periods import DAYS_PER_MONTH
from forecast.summary.histories import MONEY, Histories, OrderTable, ident

YES, NO, UNKNOWN = "paid back", "not reached", "not known yet"
PAYBACK_COLUMNS = (
    "period",
    "group",
    "customers",
    "spend",
    "cac",
    "months_observed",
    "value_per_customer",
    "value_to_cac",
    "payback",
    "payback_month",
)


def payback_frame(
    orders: OrderTable,
    histories: Histories,
    spend: pd.DataFrame,
    *,
    as_of: dt.date,
    margin: float,
    by: str | None,
    months: int,
) -> pd.DataFrame:
    """What the customers won in each period of a spend table have brought, beside what they cost.

    Parameters
    ----------
    orders : Orders or anything like it
    histories : Histories
        Made with the ``by`` column.
    spend : DataFrame
        ``start, end, group, spend, period``, as :func:`forecast.orders.plans.read_spend` gives it.
    as_of : datetime.date
    margin : float
    by : str or None
    months : int
        After which age a cost that is not earned back counts as not reached.

    Returns
    -------
    DataFrame
        :data:`PAYBACK_COLUMNS`, a row a line of the spend table. Ages are months of 30.44 days since the
        first order; ``months_observed`` is the age that all customers of the row have reached by
        ``as_of``, and ``value_per_customer`` is of that age. ``payback`` is ``paid back`` (by the end of
        ``payback_month``),
        ``not reached`` (in ``months``), or ``not known yet``: too young to tell. NaN where nobody was won.

    Raises
    ------
    ArgumentError
        When a period begins after ``as_of``, or groups are given and no column is named for them.
    """
    named = sorted(set(spend["group"]) - {WHOLE})
    if named and by is None:
        raise ArgumentError(
            f"spend has groups ({', '.join(named[:3])}), and no column is named for them",
            advice="Name it: by='channel', or --by channel.",
        )
    group = "'all'" if by is None else f"CAST(c.{ident(by)} AS VARCHAR)"
    days = orders.connection.execute(
        f"SELECT c.first_purchase AS first, {group} AS g, o.order_day - c.first_purchase AS age, "
        f"sum(CAST(o.value AS {MONEY})) AS v FROM (SELECT * FROM {orders.table} "
        f"WHERE order_day <= DATE '{as_of}') o JOIN {histories.table} c USING (customer_id) GROUP BY ALL"
    ).df()
    won = orders.connection.execute(
        f"SELECT c.first_purchase AS first, {group} AS g, count(*) AS n FROM {histories.table} c GROUP BY ALL"
    ).df()
    # An order on the day of the first belongs to month 0, the first order's own.
    month = np.ceil(days["age"].to_numpy(dtype=float) / DAYS_PER_MONTH).astype(int)
    value = days["v"].astype(float).to_numpy() * margin
    rows = []
    for line in spend.to_dict("records"):
        start, end = pd.Timestamp(line["start"]), pd.Timestamp(line["end"])
        if line["start"] > as_of:
            raise ArgumentError(
                f"spend of {line['period']} is of days after {as_of}, the last day known",
                advice="Leave it out, or read newer orders.",
            )
        own, all_won = (
            frame["first"].between(start, end)
            & ((frame["g"] == line["group"]) if line["group"] != WHOLE else True)
            for frame in (days, won)
        )
        size = int(won.loc[all_won, "n"].sum())
        youngest = won.loc[all_won, "first"].max() if size else end
        seen = int((pd.Timestamp(as_of) - youngest).days // DAYS_PER_MONTH)
        until = min(seen, months)
        curve = np.cumsum(np.bincount(month[own], value[own], minlength=until + 1)[: until + 1])
        status = _status(curve, line["spend"], size, seen >= months)
        rows.append((line["period"], line["group"], size, line["spend"], seen, *status))
    found = pd.DataFrame(
        rows, columns=["period", "group", "customers", "spend", "months_observed", "cac",
                       "value_per_customer", "value_to_cac", "payback", "payback_month"],
    )  # fmt: skip
    return found[list(PAYBACK_COLUMNS)]


def _status(
    curve: np.ndarray, spend: float, size: int, old: bool
) -> tuple[float, float, float, str | None, float]:
    """CAC, value, their ratio, and what can be said of payback."""
    if not size:
        return np.nan, np.nan, np.nan, None, np.nan
    cac, worth = spend / size, curve / size
    reached = np.flatnonzero(worth >= cac)
    ratio = worth[-1] / cac if cac > 0 else np.nan
    if len(reached):
        return cac, worth[-1], ratio, YES, float(reached[0])
    return cac, worth[-1], ratio, NO if old else UNKNOWN, np.nan
