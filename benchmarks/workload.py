"""Simulated customers and orders that several benchmarks measure on, and the parameters behind them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

TRUTH = {"r": 0.5, "alpha": 30.0, "a": 0.8, "b": 2.5}
SPEND = {"p": 6.25, "q": 3.74, "gamma": 15.44}
LAST_DAY = pd.Timestamp("2025-12-31")
DAYS = 730
HORIZON = 365


def make_customers(size: int, seed: int = 0) -> pd.DataFrame:
    """Simulated histories on a daily clock: birth days spread evenly over two years, nothing repeated.

    Last purchases are rounded up to whole days and there is at most one purchase a day, so a customer
    with a repeat purchase has a recency of at least one day and never more repeats than days.
    """
    from forecast import BetaGeoNBD

    rng = np.random.default_rng(seed)
    age = rng.integers(0, DAYS + 1, size).astype(float)
    found = BetaGeoNBD.from_parameters(**TRUTH).simulate(age, seed=seed)
    recency = np.minimum(np.ceil(found["recency"].to_numpy()), age)
    frequency = np.minimum(found["frequency"].to_numpy(), recency).astype(np.int64)
    recency = np.where(frequency > 0, recency, 0.0)
    rate = rng.gamma(SPEND["q"], 1.0 / SPEND["gamma"], size)
    total = rng.gamma(SPEND["p"] * np.maximum(frequency, 1)) / rate
    mean = np.where(frequency > 0, np.maximum(total / np.maximum(frequency, 1), 0.01), np.nan)
    return pd.DataFrame(
        {
            "frequency": frequency,
            "recency": recency.astype(np.int64),
            "T": age.astype(np.int64),
            "monetary_value": mean.round(4),
            "monetary_count": frequency,
        }
    )


def make_orders(customers: pd.DataFrame, most: int, seed: int = 1) -> pd.DataFrame:
    """Order lines of the first customers, up to ``most``; purchases between first and last fall evenly."""
    rng = np.random.default_rng(seed)
    lines = customers["frequency"].to_numpy() + 1
    kept = int(np.searchsorted(np.cumsum(lines), most, side="right"))
    lines = lines[:kept]
    who = np.repeat(np.arange(kept), lines)
    place = np.arange(lines.sum()) - np.repeat(np.cumsum(lines) - lines, lines)
    last = customers["recency"].to_numpy()[who]
    offset = np.where(place == 0, 0, np.where(place == lines[who] - 1, last, rng.integers(0, last + 1)))
    age = customers["T"].to_numpy()[who]
    frame = pd.DataFrame(
        {
            "customer_id": np.char.add("C", np.char.zfill(who.astype(str), 7)),
            "order_date": (LAST_DAY - pd.to_timedelta(age - offset, unit="D")).astype("datetime64[s]"),
            "value": rng.gamma(2.0, 18.0, len(who)).round(2) + 0.01,
        }
    )
    return frame.iloc[rng.permutation(len(frame))].reset_index(drop=True)


def make_log(path: Path, orders: int, texts: bool = False, seed: int = 1, days: int = 1095) -> int:
    """Write a log of about so many orders over three years, in the order of days, as Parquet or CSV.

    Rates of purchase and of leaving are gamma distributed, so a few customers order very often; a day may
    hold several orders of one customer. Ids are seven digits or more, in no order of their own; with
    ``texts`` a letter stands in front. Returns the number of orders.
    """
    rng = np.random.default_rng(seed)

    def people(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        birth = rng.integers(0, days, size).astype(np.int32)
        stay = rng.exponential(1.0, size) / (rng.gamma(1.2, 1.0 / 250.0, size) + 1e-6)
        stay = np.minimum(stay, days - 1 - birth).astype(np.float32)
        return birth, stay, rng.poisson(rng.gamma(0.6, 1.0 / 40.0, size) * stay).astype(np.int32) + 1

    a_head = people(200_000)[2].mean()
    birth, stay, counts = people(int(orders / a_head))
    who = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    day = (birth[who] + rng.random(len(who), dtype=np.float32) * stay[who]).astype(np.int16)
    day[np.cumsum(counts) - counts] = birth
    order = np.argsort(day, kind="stable")
    who, day = who[order], day[order]
    ids = rng.permutation(len(counts)).astype(np.int64) + 1_000_000
    rate = rng.gamma(SPEND["q"], 1.0 / SPEND["gamma"], len(counts))
    start = LAST_DAY.to_datetime64().astype("datetime64[D]") - np.timedelta64(days - 1, "D")
    writer: Any = None
    for begin in range(0, len(who), 2_000_000):
        names = pa.array(ids[who[begin : begin + 2_000_000]])
        if texts:
            names = pc.binary_join_element_wise("C", names.cast(pa.string()), "")
        spent = rng.gamma(SPEND["p"], 1.0, len(names)) / rate[who[begin : begin + 2_000_000]]
        when = start + day[begin : begin + 2_000_000].astype("timedelta64[D]")
        table = pa.table(
            {
                "customer_id": names,
                "order_date": pa.array(when.astype("datetime64[ms]")),
                "value": pa.array((spent + 0.01).round(2)),
            }
        )
        if path.suffix == ".csv":
            table = table.set_column(1, "order_date", table["order_date"].cast(pa.date32()))
            writer = writer or pa.csv.CSVWriter(str(path), table.schema)
            writer.write_table(table)
        else:
            writer = writer or pq.ParquetWriter(str(path), table.schema)
            writer.write_table(table, row_group_size=1_000_000)
    writer.close()
    return len(who)


def make_histories(size: int) -> pd.DataFrame:
    """Simulated customers with the columns of a frame of histories."""
    frame = make_customers(size)
    first = (LAST_DAY - pd.to_timedelta(frame["T"], unit="D")).astype("datetime64[s]")
    value = frame["monetary_value"].fillna(0.0) * frame["monetary_count"] + 20.0
    return frame.assign(
        customer_id=np.arange(size),
        first_purchase=first,
        last_purchase=(first + pd.to_timedelta(frame["recency"], unit="D")).astype("datetime64[s]"),
        historical_value=value,
    )
