"""When customers of a synthetic shop buy: the process on the seasonal clock, then the time of the day."""

from __future__ import annotations

import numpy as np
import pandas as pd

from forecast.synthetic.settings import Settings

DAY = 86_400


def purchases(rng: np.random.Generator, settings: Settings, customers: pd.DataFrame) -> pd.DataFrame:
    """Days of first and repeat purchases of every customer: ``person`` and ``day``, from 0 up."""
    first, room = customers["first"].to_numpy(), customers["room"].to_numpy()
    rate, life = customers["rate"].to_numpy(), customers["life"].to_numpy()
    seen = np.minimum(life, room)
    if settings.process == "bg-nbd":
        # All but the last purchase lie evenly in the life; the last is its end.
        inner = rng.binomial(customers["last"].to_numpy() - 1, np.where(life > 0, seen / life, 0.0))
        ends = np.flatnonzero(life <= room)
    else:
        inner = rng.poisson(rate * seen)
        ends = np.empty(0, dtype=int)
    who = np.repeat(np.arange(len(customers)), inner)
    when = rng.random(len(who)) * seen[who]
    who, when = np.concatenate([who, ends]), np.concatenate([when, life[ends]])
    clock = np.concatenate([[0.0], np.cumsum(settings.intensity)])
    # The end of a life is on the day that its leaving is dated to.
    day = np.searchsorted(clock[1:], clock[first[who]] + when * (1.0 - 1e-12))
    return pd.DataFrame(
        {
            "person": np.concatenate([np.arange(len(customers)), who]),
            "day": np.concatenate([first, np.minimum(day, settings.days - 1)]),
        }
    )


def renewals(rng: np.random.Generator, settings: Settings, customers: pd.DataFrame) -> pd.DataFrame:
    """Subscriptions renew every 30 days from the first purchase, with a chance of 0.9 each time."""
    chosen = customers[customers["is_subscription"]]
    count = np.minimum(rng.geometric(0.1, len(chosen)) - 1, (settings.days - 1 - chosen["first"]) // 30)
    who = np.repeat(np.arange(len(chosen)), count)
    step = np.arange(len(who)) - np.repeat(np.cumsum(count) - count, count) + 1
    day = chosen["first"].to_numpy()[who] + 30 * step
    return pd.DataFrame({"person": chosen["person"].to_numpy()[who], "day": day})


def stamps(rng: np.random.Generator, settings: Settings, day: np.ndarray) -> pd.Series:
    """Moments in UTC of orders on store-local days: most in the evening, some at the edges of days.

    Of the orders on a day when the clocks change, a third lie in its first four hours, where an hour is
    missing or comes twice.
    """
    size = len(day)
    second = (rng.beta(3.2, 1.9, size) * DAY).astype(np.int64)
    edge = rng.random(size)
    second = np.where(edge < 0.005, rng.integers(0, 300, size), second)
    second = np.where(edge > 0.995, DAY - 1 - rng.integers(0, 300, size), second)
    night = np.isin(day, _changes(settings)) & (rng.random(size) < 0.33)
    second = np.where(night, rng.integers(0, 4 * 3600, size), second)
    return to_utc(rng, settings, day, np.minimum(second, DAY - 1))


def to_utc(rng: np.random.Generator, settings: Settings, day: np.ndarray, second: np.ndarray) -> pd.Series:
    """Moments in UTC of wall times; of an hour that comes twice either is taken, a missing one moves on."""
    wall = settings.first_day.astype("datetime64[s]") + day.astype(np.int64) * DAY + second
    index = pd.DatetimeIndex(wall).tz_localize(
        settings.timezone, ambiguous=rng.random(len(day)) < 0.5, nonexistent="shift_forward"
    )
    return pd.Series(index.tz_convert("UTC").as_unit("s"))


def plain(moments: pd.Series) -> np.ndarray:
    """Moments in UTC as NumPy has them."""
    return moments.dt.tz_localize(None).to_numpy().astype("datetime64[s]")


def wall_time(moments: pd.Series, timezone: str) -> pd.Series:
    """Store-local wall time of moments in UTC, without a zone."""
    return moments.dt.tz_convert(timezone).dt.tz_localize(None)


def _changes(settings: Settings) -> np.ndarray:
    days = pd.DatetimeIndex(settings.first_day + np.arange(settings.days + 1)).as_unit("s")
    local = days.tz_localize(
        settings.timezone, ambiguous=np.ones(len(days), dtype=bool), nonexistent="shift_forward"
    )
    length = np.diff(local.tz_convert("UTC").tz_localize(None).to_numpy()).astype("timedelta64[s]")
    return np.flatnonzero(length.astype(np.int64) != DAY)
