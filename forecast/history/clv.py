"""Historical CLV: formula, per customer, and by acquisition cohort."""

from __future__ import annotations

import datetime as dt
from functools import cached_property
from typing import Any

import pandas as pd

from forecast.errors import ArgumentError
from forecast.history.cohorts import cohort_frame, cohort_label
from forecast.history.metrics import DEFINITIONS, as_plain, metric_frame
from forecast.history.payback import payback_frame
from forecast.orders.plans import read_spend
from forecast.periods import check_margin
from forecast.summary.histories import Histories, OrderTable, as_known, check_orders, purchase_histories


def historical_clv(
    orders: OrderTable, as_of: Any = None, *, margin: float = 1.0, by: str | None = None, cohort: str = "M"
) -> History:
    """What customers have been worth up to and including ``as_of``.

    Parameters
    ----------
    orders : Orders or anything like it
    as_of : date or ISO string, optional
        Last day that counts, inclusive; the latest order day when left out.
    margin : float
        Contribution margin as a share; every number of money but ``revenue`` is multiplied by it.
    by : str, optional
        Column to group by, taken from each customer's first order.
    cohort : {"M", "Q"}
        Cohorts by calendar month or quarter of the first purchase.

    Returns
    -------
    History

    Raises
    ------
    InputError
        When ``as_of`` is before the first order.
    ArgumentError
        When an option cannot be meant.

    Examples
    --------
    >>> import pandas as pd
    >>> from forecast.orders import read_orders
    >>> log = pd.DataFrame({"customer_id": ["a"] * 10, "value": [60.0] * 10,
    ...                     "order_date": pd.date_range("2022-01-01", "2023-12-31", periods=10).normalize()})
    >>> history = historical_clv(read_orders(log))
    >>> history.customers["value"].tolist(), history.summary["aov"]
    ([600.0], 60.0)
    """
    check_orders(orders)
    if cohort not in ("M", "Q"):
        raise ArgumentError(f"cohort is {cohort!r}", advice="Give 'M' for months or 'Q' for quarters.")
    if by is not None and not isinstance(by, str):
        raise ArgumentError(f"by is {by!r}", advice="Give one column name.")
    margin = check_margin(margin)
    policy = getattr(orders, "value_policy", None)
    if policy == "contribution" and margin != 1.0:
        raise ArgumentError(
            "the values are contributions already, and a margin is given", advice="Leave margin at 1."
        )
    histories = purchase_histories(orders, as_of, by=() if by is None else (by,))
    return History(as_known(orders, histories.as_of), histories, margin, by, cohort)


class History:
    """Historical CLV; every frame is computed when it is first asked for.

    Attributes
    ----------
    summary : dict
        The numbers, and their definitions and units under ``definitions``.
    customers, cohorts : DataFrame
    by : DataFrame or None
        The summary's numbers, one row per group of the first order.
    as_of : datetime.date
    margin : float
    """

    def __init__(
        self, orders: OrderTable, histories: Histories, margin: float, by: str | None, cohort: str
    ) -> None:
        self._orders = orders
        self._histories = histories
        self._by = by
        self._cohort = cohort
        self.margin = margin
        self.as_of: dt.date = histories.as_of

    def __repr__(self) -> str:
        return f"<History: {len(self._histories):,} customers as of {self.as_of}>"

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The numbers of the whole shop, what they mean, and what they rest on; plain data."""
        frame = metric_frame(self._orders, self._histories, self.as_of, self.margin)
        currency = getattr(self._orders, "currency", None)
        return {
            "as_of": self.as_of.isoformat(),
            "first_day": self._orders.first_day.isoformat(),
            "currency": currency,
            "timezone": getattr(self._orders, "timezone", None),
            "value_policy": getattr(self._orders, "value_policy", None),
            "margin": self.margin,
            "orders_after_as_of": int(self._histories.after_as_of["rows"]),
            **as_plain(frame.iloc[0]),
            "definitions": {
                name: {"definition": words, "unit": unit.replace("currency", currency or "currency")}
                for name, (words, unit) in DEFINITIONS.items()
            },
        }

    @cached_property
    def customers(self) -> pd.DataFrame:
        """One row per customer, by ``customer_id``.

        ``customer_id, orders, purchases, value, aov, first_purchase, last_purchase, days_between_mean,
        days_between_median, cohort``; gaps between purchases are in days, NaN for one-time buyers.
        """
        until = f"order_day <= DATE '{self.as_of}'"
        frame: pd.DataFrame = self._orders.connection.execute(
            f"SELECT customer_id, orders, purchases, historical_value * {self.margin!r} AS value, "
            f"historical_value * {self.margin!r} / orders AS aov, first_purchase, last_purchase, "
            "recency / nullif(frequency, 0) AS days_between_mean, days_between_median, "
            f"{cohort_label('first_purchase', self._cohort)} AS cohort "
            f"FROM {self._histories.table} LEFT JOIN ("
            "SELECT customer_id, CAST(median(gap) AS DOUBLE) AS days_between_median FROM ("
            "SELECT customer_id, day - lag(day) OVER (PARTITION BY customer_id ORDER BY day) AS gap FROM "
            f"(SELECT DISTINCT customer_id, order_day AS day FROM {self._orders.table} WHERE {until})) "
            "WHERE gap IS NOT NULL GROUP BY customer_id) USING (customer_id) ORDER BY customer_id"
        ).df()
        return frame.astype(
            {
                "first_purchase": "datetime64[s]",
                "last_purchase": "datetime64[s]",
                "days_between_mean": "float64",
                "days_between_median": "float64",
            }
        )

    @cached_property
    def cohorts(self) -> pd.DataFrame:
        """One row per cohort and age in periods since the first purchase's own period (age 0).

        ``cohort, age, customers, active, orders, value, cumulative_value_per_customer, partial``; missing
        where the period has not begun by ``as_of``, and ``partial`` where it has not ended.
        """
        return cohort_frame(self._orders, self._histories, self.as_of, self.margin, self._cohort)

    @cached_property
    def by(self) -> pd.DataFrame | None:
        """The numbers of ``summary`` for each group, or None when no ``by`` was given."""
        if self._by is None:
            return None
        frame = metric_frame(self._orders, self._histories, self.as_of, self.margin, self._by)
        return frame.rename(columns={"group": self._by})

    def payback(self, spend: Any, *, months: int = 24, fiscal_year_start: int = 1) -> pd.DataFrame:
        """Whether customers who were bought have paid for themselves, as far as can be seen yet.

        Parameters
        ----------
        spend : path or DataFrame
            What was spent to win them, see :func:`forecast.orders.plans.read_spend`.
        months : int
            After which age a cost that is not earned back counts as not reached.
        fiscal_year_start : int

        Returns
        -------
        DataFrame
            ``period, group, customers, spend, cac, months_observed, value_per_customer, value_to_cac,
            payback, payback_month``; see :func:`forecast.history.payback.payback_frame`.

        Raises
        ------
        ArgumentError
            When a period begins after ``as_of``, or groups are given and no ``by`` was.
        InputError
            When the table cannot be read.

        Examples
        --------
        >>> from forecast.datasets import cdnow
        >>> from forecast.orders import read_orders
        >>> spend = pd.DataFrame({"period": ["1997-01", "1997-02"], "spend": [30000, 60000]})
        >>> found = historical_clv(read_orders(cdnow()), margin=0.5).payback(spend)
        >>> found[["period", "customers", "cac", "payback", "payback_month"]].round(2)
            period  customers    cac        payback  payback_month
        0  1997-01        781  38.41      paid back           10.0
        1  1997-02        857  70.01  not known yet            NaN
        """
        table = read_spend(spend, self._by, fiscal_year_start)
        return payback_frame(
            self._orders, self._histories, table, as_of=self.as_of, margin=self.margin, by=self._by,
            months=months,
        )  # fmt: skip
