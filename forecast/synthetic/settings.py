"""What a synthetic shop is asked to be: its customers, its habits, its money; and the curve of its season."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np

from forecast.errors import ArgumentError

PROCESSES = {"bg-nbd": ("r", "alpha", "a", "b"), "pareto-nbd": ("r", "alpha", "s", "beta")}
PURCHASES = {
    "bg-nbd": {"r": 0.6, "alpha": 55.0, "a": 0.8, "b": 3.0},
    "pareto-nbd": {"r": 0.6, "alpha": 55.0, "s": 0.6, "beta": 120.0},
}
SPEND = {"p": 6.0, "q": 4.0, "gamma": 30.0}


class Channel(NamedTuple):
    """A channel of acquisition: its share of new customers, their rate and spend against the shop's own."""

    share: float
    rate: float = 1.0
    spend: float = 1.0


CHANNELS = {
    "organic": Channel(0.45, 1.0, 1.0),
    "paid_search": Channel(0.25, 0.7, 0.9),
    "social": Channel(0.15, 0.5, 0.8),
    "email": Channel(0.15, 1.8, 1.2),
}


@dataclass(frozen=True)
class Settings:
    """The arguments of :func:`forecast.synthetic.synthetic_shop`, checked and complete."""

    customers: int
    days: int
    start: str | dt.date
    seed: int
    timezone: str
    currency: str
    process: str
    purchases: Mapping[str, float] | None
    spend: Mapping[str, float] | None
    channels: Mapping[str, Sequence[float]] | None
    growth: float
    seasonality: float | Sequence[float] | np.ndarray
    refund_rate: float
    partial_share: float
    cancelled_share: float
    pending_share: float
    test_share: float
    zero_value_share: float
    guest_share: float
    guest_checkout_share: float
    phone_only_share: float
    anonymous_share: float
    cash_on_delivery_share: float
    same_day_share: float
    discount_share: float
    subscription_share: float
    wholesale_share: float
    marketplace_share: float
    tax_rate: float
    tax_inclusive: bool
    shipping: float
    free_shipping_from: float
    lines_per_order: float

    def __post_init__(self) -> None:
        if self.process not in PROCESSES:
            raise ArgumentError(
                f"there is no process {self.process!r}", advice="Ask for 'bg-nbd' or 'pareto-nbd'."
            )
        for name in ("customers", "days"):
            if not (isinstance(getattr(self, name), int) and getattr(self, name) >= 1):
                raise ArgumentError(f"{name} is a whole number from 1 up, not {getattr(self, name)!r}")
        for field in fields(self):
            if field.name.endswith(("_share", "refund_rate")) and not 0.0 <= getattr(self, field.name) <= 1.0:
                raise ArgumentError(f"{field.name} is a share from 0 to 1, not {getattr(self, field.name)!r}")
        if self.guest_share + self.phone_only_share + self.marketplace_share > 1.0:
            raise ArgumentError(
                "guest_share, phone_only_share and marketplace_share are more than 1 together"
            )
        for name in ("tax_rate", "shipping", "free_shipping_from"):
            if not getattr(self, name) >= 0.0:
                raise ArgumentError(f"{name} is a number from 0 up, not {getattr(self, name)!r}")
        if not self.lines_per_order >= 1.0:
            raise ArgumentError(f"lines_per_order is a number from 1 up, not {self.lines_per_order!r}")
        try:
            zoneinfo.ZoneInfo(self.timezone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError) as problem:
            raise ArgumentError(
                f"there is no time zone {self.timezone!r}", advice="A name such as Europe/Amsterdam."
            ) from problem
        _positive("purchases", self.process_parameters, PROCESSES[self.process])
        _positive("spend", self.spend_parameters, tuple(SPEND))
        if self.spend_parameters["q"] <= 1.0:
            raise ArgumentError("spend's q must be above 1: below it there is no mean spend")
        channels = self.channel_parameters.values()
        if min(map(min, channels)) < 0.0 or not sum(channel.share for channel in channels):
            raise ArgumentError(
                "channels is {name: (share, rate, spend)}, each from 0 up and not every share 0"
            )

    @property
    def first_day(self) -> np.datetime64:
        """The first day of the shop."""
        try:
            return np.datetime64(str(self.start), "D")
        except ValueError as problem:
            raise ArgumentError(f"start is a day such as 2023-01-01, not {self.start!r}") from problem

    @property
    def process_parameters(self) -> dict[str, float]:
        """Parameters of the purchase process, in days of the shop's clock."""
        return {**PURCHASES[self.process], **(self.purchases or {})}

    @property
    def spend_parameters(self) -> dict[str, float]:
        """Parameters of the Gamma-Gamma spend, before tax and discount."""
        return {**SPEND, **(self.spend or {})}

    @property
    def channel_parameters(self) -> dict[str, Channel]:
        """The channels of acquisition."""
        return {name: Channel(*values) for name, values in (self.channels or CHANNELS).items()}

    @property
    def intensity(self) -> np.ndarray:
        """How much clock time each day has: 1 on average, more before Christmas, more on Sundays.

        A customer's purchase rate is constant on this clock; calendar days see it times the intensity.
        """
        if not isinstance(self.seasonality, int | float):
            given = np.asarray(self.seasonality, dtype=float)
            if given.shape != (self.days,) or not (np.isfinite(given).all() and (given > 0.0).all()):
                raise ArgumentError(
                    "seasonality is the height of the Christmas peak, or one positive number for each day"
                )
            return given / given.mean()
        # The mean is taken over four whole years, so that a part of a year keeps its own level.
        when = self.first_day + np.arange(max(self.days, 1461))
        of_year = (when - when.astype("datetime64[Y]").astype("datetime64[D]")).astype(int)
        height = float(self.seasonality)
        peak = np.exp(height * np.exp(-0.5 * ((of_year - 342.0) / 20.0) ** 2))
        # 1970-01-01 was a Thursday; Sundays sell most.
        weekday = (when.astype(int) + 3) % 7
        week = 1.0 + 0.15 * min(height, 1.0) * np.array([0.0, -1.0, -1.0, 0.0, -0.5, 0.5, 2.0])[weekday]
        found = peak * week
        return (found / found[:1461].mean())[: self.days]


def _positive(what: str, given: Mapping[str, float], names: tuple[str, ...]) -> None:
    if set(given) != set(names) or not all(value > 0.0 for value in given.values()):
        raise ArgumentError(f"{what} are {', '.join(names)}, each above 0; not {dict(given)}")
