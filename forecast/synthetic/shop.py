"""A synthetic shop: customers, orders, lines and refunds of known truth, and every platform's exports."""

from __future__ import annotations

import copy
import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import forecast.synthetic.magento as magento
import forecast.synthetic.public as public
import forecast.synthetic.shopify as shopify
import forecast.synthetic.visits as visits
import forecast.synthetic.woocommerce as woocommerce
from forecast.errors import ArgumentError
from forecast.synthetic.expecting import ABILITIES, expected_orders
from forecast.synthetic.people import people
from forecast.synthetic.selling import orders_of
from forecast.synthetic.settings import Settings

_EXPORTS = {**shopify.EXPORTS, **magento.EXPORTS, **woocommerce.EXPORTS, **public.EXPORTS}
_MONEY = [
    "gross", "discount", "net", "shipping", "tax", "other", "total", "refunded", "shown_subtotal",
    "shown_discount", "shown_shipping",
]  # fmt: skip
_ORDERS = [
    "order_id", "store", "person", "account_id", "email", "phone", "order_ts", "order_day", "currency",
    "gross", "discount", "net", "shipping", "tax", "other", "total", "refunded", "status", "cancelled_ts",
    "channel", "country", "coupon", "first_product", "payment_method", "lines", "is_guest", "is_test",
    "is_subscription", "is_wholesale", "is_marketplace", "is_same_day", "shown_subtotal", "shown_discount",
    "shown_shipping",
]  # fmt: skip
_CUSTOMERS = [
    "person", "account_id", "is_guest", "email", "phone", "first_name", "last_name", "city", "country",
    "channel", "first_day", "left", "rate", "dropout", "spend", "is_marketplace", "is_wholesale",
    "is_subscription",
]  # fmt: skip


class SyntheticShop:
    """A shop whose truth is known; made by :func:`synthetic_shop`.

    Attributes
    ----------
    customers : pandas.DataFrame
        One row a customer: ``person``, ``account_id`` (missing for guests), ``email``, ``phone``, names,
        ``country``, ``channel`` of acquisition, ``first_day``, ``left`` (the day of leaving; missing where
        the customer has not left by the last day), ``rate`` (purchases a day of the shop's clock while a
        customer), ``dropout`` (the chance to leave at each repeat purchase, or the rate of leaving for
        Pareto/NBD), ``spend`` (mean of the customer's orders before tax and discount) and the kinds.
    orders : pandas.DataFrame
        One row an order, oldest first. ``order_ts`` is in UTC, ``order_day`` the shop's own day. Money
        without tax: ``gross - discount = net``; ``net + shipping + tax + other = total``, to the cent;
        ``refunded`` is with tax. ``shown_subtotal``, ``shown_discount`` and ``shown_shipping`` are as the
        shop shows them: with tax where prices include it. ``person`` is missing for sales without a name and
        for tests.
    lines : pandas.DataFrame
        One row a line: ``quantity`` times ``unit_price``, as shown, is ``line_total``; ``line_discount``,
        ``gross`` and ``net`` add up to the order's.
    refunds : pandas.DataFrame
        One row a refund: ``refund_ts``, ``refund_day``, ``amount`` with tax, and its parts.
    intensity : pandas.Series
        The clock time of each day; 1 on average.
    parameters : dict
        ``process``, ``purchases`` (times in days of the clock), ``spend`` and ``channels``.
    settings : Settings
        Every argument.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.timezone, self.currency = settings.timezone, settings.currency
        self.parameters: dict[str, Any] = {
            "process": settings.process,
            "purchases": settings.process_parameters,
            "spend": settings.spend_parameters,
            "channels": {name: channel._asdict() for name, channel in settings.channel_parameters.items()},
        }
        days = pd.date_range(str(settings.first_day), periods=settings.days, unit="s")
        self.intensity = pd.Series(settings.intensity, index=days, name="intensity")
        # Each part has its own stream, so that one more customer does not change how all others pay.
        rngs = [np.random.default_rng(child) for child in np.random.SeedSequence(settings.seed).spawn(5)]
        found = people(rngs[0], settings)
        orders, lines, refunds = orders_of(rngs[1:], settings, found)
        for frame, names in (
            (orders, _MONEY),
            (lines, ["unit_price", "line_total", "line_discount", "gross", "net"]),
            (refunds, ["amount", "gross", "net", "shipping", "tax"]),
        ):
            for name in names:
                frame[name] = frame[name] / 100.0
        orders["person"] = orders["person"].astype("Int64").mask(orders["person"] < 0)
        self.customers, self.orders = found[_CUSTOMERS], orders[_ORDERS]
        self.lines, self.refunds = lines, refunds.drop(columns="row")

    def __repr__(self) -> str:
        return (
            f"<SyntheticShop {len(self.customers):,} customers, {len(self.orders):,} orders, "
            f"{self.first_day} to {self.last_day}, seed {self.settings.seed}>"
        )

    @property
    def first_day(self) -> dt.date:
        """The shop's first day."""
        return self.intensity.index[0].date()

    @property
    def last_day(self) -> dt.date:
        """The shop's last day: later refunds and cancellations are not known."""
        return self.intensity.index[-1].date()

    @property
    def dialects(self) -> list[str]:
        """The dialects that :meth:`export` writes."""
        return list(_EXPORTS)

    def buyers(self, orders: pd.DataFrame) -> pd.DataFrame:
        """The customers of orders, row by row; the first one's row where an order has none."""
        return self.customers.take(orders["person"].fillna(0).astype("int64").to_numpy()).reset_index(
            drop=True
        )

    @property
    def changed(self) -> pd.Series:
        """When each order was changed last: refunded, cancelled, or placed."""
        last = self.refunds.groupby("order_id")["refund_ts"].max().reindex(self.orders["order_id"])
        given = last.set_axis(self.orders.index).astype(self.orders["order_ts"].dtype)
        return given.fillna(self.orders["cancelled_ts"]).fillna(self.orders["order_ts"])

    def wall(self, moments: pd.Series) -> pd.Series:
        """Moments in UTC as the shop's clock shows them."""
        return visits.wall_time(moments, self.timezone)

    def until(self, day: str | dt.date) -> SyntheticShop:
        """The shop as it was known at the end of a day: what came later has not happened.

        Two exports of one shop, of an earlier day and of its last, overlap as real ones do: some orders of
        the earlier were refunded or cancelled since.

        Examples
        --------
        >>> shop = synthetic_shop(200, 365, seed=7)
        >>> early = shop.until("2023-06-30")
        >>> len(early.orders) < len(shop.orders), early.orders["order_day"].max().date() <= early.last_day
        (True, True)
        """
        last = pd.Timestamp(day)
        if not self.first_day <= last.date() <= self.last_day:
            raise ArgumentError(f"{day} is not a day of the shop: {self.first_day} to {self.last_day}")
        then = copy.copy(self)
        then.intensity = self.intensity[:last]
        then.customers = self.customers[self.customers["first_day"] <= last].reset_index(drop=True)
        then.customers["left"] = then.customers["left"].mask(then.customers["left"] > last)
        then.refunds = self.refunds[self.refunds["refund_day"] <= last].reset_index(drop=True)
        orders = self.orders[self.orders["order_day"] <= last].reset_index(drop=True)
        given = then.refunds.groupby("order_id")["amount"].sum().reindex(orders["order_id"]).fillna(0.0)
        orders["refunded"] = given.to_numpy().round(2)
        later = self.wall(orders["cancelled_ts"]).dt.normalize() > last
        orders["cancelled_ts"] = orders["cancelled_ts"].mask(later)
        status = orders["status"].mask(later | orders["status"].str.endswith("refunded"), "completed")
        status = status.mask(orders["refunded"] > 0.0, "partially_refunded")
        whole = (orders["refunded"] > 0.0) & (orders["refunded"] == orders["total"])
        orders["status"] = status.mask(whole, "refunded")
        then.orders = orders
        then.lines = self.lines[self.lines["order_id"].isin(orders["order_id"])].reset_index(drop=True)
        return then

    def export(self, dialect: str, folder: str | Path) -> list[Path]:
        """Write the shop as a platform exports it, with the platform's own columns, cells and quirks.

        Parameters
        ----------
        dialect : str
            One of ``shop.dialects``.
        folder : str or Path
            Made where it is missing; files of the same names are replaced.

        Returns
        -------
        list of Path
            The files written.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     [path.name for path in synthetic_shop(20).export("olist", folder)]
        ['olist_orders_dataset.csv', 'olist_order_items_dataset.csv', 'olist_customers_dataset.csv']
        """
        write = _EXPORTS[self._known(dialect)]
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        return write(self, target)

    def expected(self, dialect: str, value_policy: str | None = None) -> pd.DataFrame:
        """The orders that a correct reader finds in the export of a dialect.

        Parameters
        ----------
        dialect : str
            One of ``shop.dialects``.
        value_policy : str, optional
            ``gross_sales``, ``net_sales`` or ``total_sales``; the dialect's own where not given.

        Returns
        -------
        pandas.DataFrame
            ``order_id``, ``customer_id``, ``order_day``, ``value`` and ``code``. ``code`` is None for an
            order that is used and the reason for every other, which has no customer and no value. Orders
            that are not in the export are not here either.

        Notes
        -----
        Not every file carries everything; ``forecast.synthetic.expecting.ABILITIES`` says per dialect what
        can be seen in it, and what follows. Values are not rounded; where tax is taken out by its share, a
        reader may differ by a cent.

        Examples
        --------
        >>> found = synthetic_shop(200, seed=1).expected("shopify-csv")
        >>> sorted(found["code"].dropna().unique())[:3]
        ['cancelled', 'fully_refunded', 'marketplace']
        """
        ability = ABILITIES[self._known(dialect)]
        policy = value_policy or ability.policies[0]
        if policy not in ability.policies:
            raise ArgumentError(
                f"{dialect} does not carry {policy!r}", advice=f"It can give {', '.join(ability.policies)}."
            )
        return expected_orders(self, dialect, policy)

    def _known(self, dialect: str) -> str:
        if dialect not in _EXPORTS:
            raise ArgumentError(
                f"there is no export {dialect!r}", advice=f"Ask for one of {', '.join(_EXPORTS)}."
            )
        return dialect


def synthetic_shop(
    customers: int = 1000,
    days: int = 730,
    *,
    start: str | dt.date = "2023-01-01",
    seed: int = 0,
    timezone: str = "Europe/Amsterdam",
    currency: str = "EUR",
    process: str = "bg-nbd",
    purchases: Mapping[str, float] | None = None,
    spend: Mapping[str, float] | None = None,
    channels: Mapping[str, Sequence[float]] | None = None,
    growth: float = 0.2,
    seasonality: float | Sequence[float] | np.ndarray = 0.8,
    refund_rate: float = 0.06,
    partial_share: float = 0.4,
    cancelled_share: float = 0.03,
    pending_share: float = 0.01,
    test_share: float = 0.003,
    zero_value_share: float = 0.005,
    guest_share: float = 0.25,
    guest_checkout_share: float = 0.08,
    phone_only_share: float = 0.02,
    anonymous_share: float = 0.01,
    cash_on_delivery_share: float = 0.05,
    same_day_share: float = 0.02,
    discount_share: float = 0.15,
    subscription_share: float = 0.0,
    wholesale_share: float = 0.0,
    marketplace_share: float = 0.02,
    tax_rate: float = 0.21,
    tax_inclusive: bool = True,
    shipping: float = 4.95,
    free_shipping_from: float = 75.0,
    lines_per_order: float = 1.9,
) -> SyntheticShop:
    """A made-up shop with known truth, to test a pipeline on: its customers, orders and platform exports.

    Customers come over the whole period, buy by a BG/NBD or Pareto/NBD process on a seasonal clock, and spend
    by Gamma-Gamma. Around that the shop has what real ones have: guests, refunds, cancellations, tests,
    orders near midnight and on nights when the clocks change. All persons are made up.

    Parameters
    ----------
    customers, days : int
        How many customers come in how many days.
    start : str or datetime.date
        The first day.
    seed : int
        The same seed and arguments make the same shop.
    timezone, currency : str
        The shop's zone and currency.
    process : {"bg-nbd", "pareto-nbd"}
        How customers buy and leave.
    purchases : dict, optional
        Its parameters, in days: ``r, alpha, a, b`` or ``r, alpha, s, beta``. Some may be left out.
    spend : dict, optional
        ``p, q, gamma`` of Gamma-Gamma: an order's ``gross``, before tax and discount.
    channels : dict, optional
        ``{name: (share, rate, spend)}``: the share of new customers, and their rate and spend against the
        shop's own.
    growth : float
        Yearly growth of the number of new customers.
    seasonality : float or sequence of float
        The height of the Christmas peak (0: no season), or a number for each day.
    refund_rate, partial_share : float
        Share of sales that are refunded, and of those the share that is refunded in part.
    cancelled_share, pending_share, zero_value_share : float
        Shares of orders.
    test_share, anonymous_share : float
        Test orders and sales without a name, against all purchases of customers.
    guest_share, phone_only_share, marketplace_share : float
        Shares of customers without an account: with an e-mail, with a phone alone, with a relay address.
    guest_checkout_share : float
        Share of repeat orders that an account's holder places as a guest with the same e-mail.
    cash_on_delivery_share, same_day_share, discount_share : float
        Shares of orders paid at the door, followed by another on the same day, and with a discount.
    subscription_share, wholesale_share : float
        Share of customers whose purchases renew every 30 days on top of the process, and share of those with
        an account who buy for a shop, at eight times the spend.
    tax_rate, tax_inclusive : float, bool
        The rate, and whether prices are shown with it.
    shipping, free_shipping_from : float
        Shipping as shown, and the subtotal from which it is free.
    lines_per_order : float
        Mean number of lines; at most 12.

    Returns
    -------
    SyntheticShop

    Raises
    ------
    ArgumentError
        When an argument cannot be meant.

    Notes
    -----
    The process is that of the customers' purchases. Renewals, second orders of a day, tests and sales without
    a name come on top of it, with flags; set their shares to 0 to have the process alone. What has not
    happened by the last day, as a later refund, is not in the shop.

    Examples
    --------
    >>> shop = synthetic_shop(300, 365, seed=7)
    >>> shop.parameters["purchases"]
    {'r': 0.6, 'alpha': 55.0, 'a': 0.8, 'b': 3.0}
    >>> shop.orders[["order_id", "order_day", "net", "shipping", "tax", "total"]].head(2)
      order_id  order_day    net  shipping    tax  total
    0     1001 2023-01-01  16.26      4.09   4.27  24.62
    1     1002 2023-01-05  50.36      4.09  11.44  65.89
    """
    return SyntheticShop(Settings(**locals()))
