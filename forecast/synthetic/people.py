"""Customers of a synthetic shop: who they are, when they came, how they buy, and when they leave."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from forecast.maths import bgnbd, gammagamma
from forecast.synthetic.settings import Settings

FIRST_NAMES = [
    *("Ada", "Bram", "Cleo", "Daan", "Elif", "Femke", "Gijs", "Hana", "Imre", "Jip", "Kim", "Lotte", "Milo"),
    *("Noor", "Otis", "Pien", "Quin", "Rosa", "Sem", "Tess", "Ugo", "Vera", "Wout", "Xena", "Yara", "Zoë"),
]
LAST_NAMES = [
    *(
        "Amberwick",
        "Bellflower",
        "Cloverfield",
        "Dunmore",
        "Elderberry",
        "Foxley",
        "Greenhollow",
        "Hazelmere",
    ),
    *("Ivybridge", "Juniper", "Kestrel", "Larkspur", "Meadowsweet", "Nettlebed", "Oakhaven", "Primrose"),
    *("Quillfeather", "Rosewater", "Sorrel", "Thistledown", "Umberleigh", "Violet", "Willowby", "Yarrow"),
]
CITIES = ["Bloomburg", "Clearwater", "Duinstad", "Eikenrode", "Fernhill", "Goudbeek", "Heidorp", "Lindenau"]
DOMAINS = ["example.com", "example.net", "example.org"]
COUNTRIES = {"NL": 0.7, "DE": 0.14, "BE": 0.12, "FR": 0.04}
RELAY = "marketplace.amazon.com"


def joined(*parts: Any) -> pa.Array:
    """Texts put together row by row; a missing part makes the whole missing."""
    length = next(len(part) for part in parts if not isinstance(part, str))
    arrays = [pa.scalar(part) if isinstance(part, str) else column(part) for part in parts]
    found = pc.binary_join_element_wise(*arrays, "")
    assert len(found) == length
    return found


def column(values: Any) -> pa.Array:
    """A column of text for Arrow; numbers become their digits."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    elif not isinstance(values, pa.Array):
        values = pa.array(values, from_pandas=True)
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    return values if pa.types.is_string(values.type) else values.cast(pa.string())


def texts(values: Any) -> pd.Series:
    """A column of text for a frame; it stays one where every value is missing."""
    return pd.Series(column(values).to_pandas()).astype("string")


def people(rng: np.random.Generator, settings: Settings) -> pd.DataFrame:
    """One row a customer, in the order of their first day."""
    size, intensity = settings.customers, settings.intensity
    # Customers are won with the season, and the more the longer the shop is there.
    weight = intensity * (1.0 + settings.growth) ** (np.arange(settings.days) / 365.25)
    first = np.sort(rng.choice(settings.days, size, p=weight / weight.sum()))
    first[0] = 0
    channels = settings.channel_parameters
    share = np.array([channel.share for channel in channels.values()])
    channel = rng.choice(len(channels), size, p=share / share.sum())
    frame = pd.DataFrame({"person": np.arange(size), "first": first})
    frame["channel"] = texts(np.array(list(channels), dtype=object)[channel])

    # One draw decides between the ways to be known, so that they never overlap.
    ways = np.cumsum([settings.guest_share, settings.phone_only_share, settings.marketplace_share])
    way = np.searchsorted(ways, rng.random(size), side="right")
    frame["is_guest"], phone_only, frame["is_marketplace"] = way == 0, way == 1, way == 2
    frame["is_wholesale"] = (way == 3) & (rng.random(size) < settings.wholesale_share)
    frame["is_subscription"] = (way != 2) & (rng.random(size) < settings.subscription_share)
    frame["account_id"] = pd.Series(10001 + np.arange(size), dtype="Int64").mask(way < 3)
    _identify(rng, frame, phone_only)

    rate = np.array([channels[name].rate for name in channels])[channel]
    scale = np.array([channels[name].spend for name in channels])[channel]
    _live(rng, settings, frame, rate)
    spend = settings.spend_parameters
    # A wholesaler buys for a shop, not for a household.
    scale = scale * np.where(frame["is_wholesale"], 8.0, 1.0)
    frame["spend"] = spend["p"] / gammagamma.newcomer(rng, size, **spend) * scale
    return frame


def _identify(rng: np.random.Generator, frame: pd.DataFrame, phone_only: np.ndarray) -> None:
    size, number = len(frame), frame["person"].to_numpy() + 1
    for name, choices in (("first_name", FIRST_NAMES), ("last_name", LAST_NAMES), ("city", CITIES)):
        frame[name] = texts(np.array(choices, dtype=object)[rng.integers(0, len(choices), size)])
    country = rng.choice(len(COUNTRIES), size, p=list(COUNTRIES.values()))
    frame["country"] = texts(np.array(list(COUNTRIES), dtype=object)[country])
    domain = np.array(DOMAINS, dtype=object)[rng.integers(0, len(DOMAINS), size)]
    plain = frame["first_name"].str.lower().str.replace("ë", "e")
    email = texts(joined(plain, ".", frame["last_name"].str.lower(), number, "@", domain))
    relay = texts(joined("b", 900_000_000 + 7 * number, "@", RELAY))
    email = email.where(~frame["is_marketplace"], relay)
    frame["email"] = email.where(~phone_only, None)
    # +999 belongs to no country.
    phone = texts(joined("+999", 100_000_000 + 17 * number))
    known = phone_only | (rng.random(size) < 0.5) & ~frame["is_marketplace"].to_numpy()
    frame["phone"] = phone.where(known, None)


def _live(rng: np.random.Generator, settings: Settings, frame: pd.DataFrame, factor: np.ndarray) -> None:
    """Purchase rates and lifetimes on the shop's clock, and the day a customer has left by.

    Of a BG/NBD customer the number of repeat purchases until leaving is geometric: the last of them is the
    moment of leaving, and all before are spread evenly, as of every Poisson process.
    """
    size, given = len(frame), settings.process_parameters
    if settings.process == "bg-nbd":
        rate, leave, _ = bgnbd.newcomer(rng, size, **given)
        last = rng.geometric(np.maximum(leave, 1e-9))
        frame["last"] = last
        rate = rate * factor
        life = rng.gamma(last, 1.0 / np.maximum(rate, 1e-300))
        frame["dropout"] = leave
    else:
        rate = rng.gamma(given["r"], 1.0 / given["alpha"], size) * factor
        leave = rng.gamma(given["s"], 1.0 / given["beta"], size)
        life = rng.exponential(1.0 / np.maximum(leave, 1e-300))
        frame["dropout"] = leave
    frame["rate"], frame["life"] = rate, life
    clock = np.concatenate([[0.0], np.cumsum(settings.intensity)])
    gone = np.searchsorted(clock[1:], clock[frame["first"]] + life * (1.0 - 1e-12))
    day = settings.first_day + np.minimum(gone, settings.days - 1)
    frame["left"] = pd.Series(day.astype("datetime64[s]")).where(gone < settings.days)
    frame["first_day"] = (settings.first_day + frame["first"].to_numpy()).astype("datetime64[s]")
    frame["room"] = clock[-1] - clock[frame["first"]]
