"""Histories made by Spark are those of DuckDB, to the last bit, however the orders lie."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mess import mess, same, same_account, written

import forecast
from forecast import orders as rooms
from forecast.errors import ArgumentError, InputError
from forecast.orders import cells, codes, dates, sql
from forecast.summary import spark_queries, spark_reading

MAPPING = {"customer_id": "customer_id", "order_date": "order_date", "value": "value", "order_id": None}


@pytest.fixture(scope="module")
def parquet(tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(mess(), tmp_path_factory.mktemp("mess") / "orders.parquet")


@pytest.fixture(scope="module")
def orders(parquet: str) -> forecast.Orders:
    return forecast.read_orders(parquet, mapping=MAPPING)


LAYOUTS = {
    "one": lambda df: df.coalesce(1),
    "seven": lambda df: df.repartition(7),
    "by customer": lambda df: df.repartition(5, "customer_id"),
    "by day": lambda df: df.repartitionByRange(4, "order_date"),
    "nearly all empty": lambda df: df.repartition(200, "channel"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_histories_are_those_of_duckdb_however_the_orders_lie(
    spark, parquet, orders, layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One customer has half of the orders; whether its rows are brought together first makes no difference."""
    monkeypatch.setattr(spark_queries, "HEAVY", 0.05 if layout in ("seven", "by day") else 1.0)
    df = LAYOUTS[layout](spark.read.parquet(parquet))
    found = forecast.spark.summarise(df, mapping=MAPPING)
    same(found, forecast.purchase_histories(orders))
    same_account(found, orders)
    found.close()


@pytest.mark.parametrize(("as_of", "heavy"), [("2024-03-01", 1.0), ("2026-01-01", 0.05)])
def test_groups_days_and_an_as_of(
    spark, parquet, orders, as_of, heavy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spark_queries, "HEAVY", heavy)
    by = ["channel", "first_quarter", "first_month"]
    df = spark.read.parquet(parquet)
    found = forecast.spark.summarise(df, mapping=MAPPING, as_of=as_of, by=by)
    other = forecast.purchase_histories(orders, as_of, by)
    same(found, other)
    same_account(found, orders)
    assert found.notes[1:] == other.notes
    pairs = [
        (found.purchase_counts("channel"), other.purchase_counts("channel")),
        (found.spend_counts("channel"), other.spend_counts("channel")),
        (found.spend_counts(first=True), other.spend_counts(first=True)),
        (found.repeat_days(), other.repeat_days()),
        (found.first_values("channel"), other.first_values("channel")),
        (found.first_values()[:1], other.first_values()[:1]),
    ]
    for own, theirs in pairs:
        for one, two in zip(own, theirs, strict=True):
            np.testing.assert_array_equal(one, two)
    assert found.arrivals("channel") == other.arrivals("channel")
    assert found.arrivals() == other.arrivals()
    whole = pd.concat(list(found.batches(100)))
    pd.testing.assert_frame_equal(whole, found.to_frame())
    assert found.asked(by="channel").to_frame().columns[-1] == "channel"
    found.close()


def test_lines_of_an_order_count_once_and_free_orders_may_go(spark, parquet) -> None:
    for zero in ("keep", "drop"):
        orders = forecast.read_orders(parquet, zero_value=zero)
        assert orders.mapping["order_id"] == "order_id"
        found = forecast.spark.summarise(spark.read.parquet(parquet), zero_value=zero)
        same(found, forecast.purchase_histories(orders))
        same_account(found, orders)
        assert found.n_orders == len(orders)
        found.close()


def test_orders_without_money(spark, parquet) -> None:
    mapping = {"value": None, "order_id": None}
    orders = forecast.read_orders(parquet, mapping=mapping)
    found = forecast.spark.summarise(spark.read.parquet(parquet), mapping=mapping)
    pd.testing.assert_frame_equal(found.to_frame(), forecast.purchase_histories(orders).to_frame())
    assert not len(found.spend_counts()[0])


def test_stamps_become_the_shops_days(spark, tmp_path: Path) -> None:
    """Around the hour that is skipped, that comes twice, and the turn of the year; the session's zone is another."""
    moments = pd.to_datetime(["2024-03-30 23:30", "2024-03-31 00:59", "2024-03-31 01:30", "2024-10-26 22:30",
                              "2024-10-27 00:30", "2024-10-27 23:30", "2023-12-31 22:59", "2023-12-31 23:01"])  # fmt: skip
    log = pa.table({"customer_id": list("abcabcab"), "order_date": pa.array(moments, pa.timestamp("us", "UTC")),
                    "value": np.arange(8.0) + 1})  # fmt: skip
    aware = written(log, tmp_path / "aware.parquet")
    plain = written(
        log.set_column(1, "order_date", pa.array(moments, pa.timestamp("us"))), tmp_path / "plain.parquet"
    )
    texts = [str(moment) for moment in moments]
    text = written(log.set_column(1, "order_date", pa.array(texts)), tmp_path / "text.parquet")
    for path in (aware, plain, text):
        for zone in ("Europe/Amsterdam", "America/Los_Angeles"):
            orders = forecast.read_orders(path, timezone=zone)
            found = forecast.spark.summarise(spark.read.parquet(path), timezone=zone)
            same(found, forecast.purchase_histories(orders))
        with pytest.raises(InputError, match="no time zone of the shop is given"):
            forecast.spark.summarise(spark.read.parquet(path))
    with pytest.raises(ArgumentError, match="'Mars/Olympus' is not known"):
        forecast.spark.summarise(spark.read.parquet(aware), timezone="Mars/Olympus")


def test_texts_and_numbers_of_other_types(spark, tmp_path: Path) -> None:
    days = ["2024-01-05", "2024/1/7", "2024-02-30", "soon", "", "2024-1-9", "2024-03-01"]
    values = ["10", " 12.50 ", "5", "1", "2", "1e2", "x"]
    cases = {
        "texts": pa.table({"customer_id": list("ababcdb"), "order_date": days, "value": values}),
        "whole ids": pa.table({"customer_id": [1, 2, 1, 10, 2, 3, 1], "order_date": days, "value": [1, 2, 3, 4, 5, 6, 7]}),
        "broken ids": pa.table({"customer_id": [17850.0, None, np.nan, 2.0, 17850.0, 2.0, 2.0], "order_date": days,
                                "value": pa.array([1.1, 2.2, 3.3, 4.4, 5.5, 6.6, 7.7], pa.float32())}),
        "endings": pa.table({"customer_id": ["1.0", "2.0", "3.0", None, "1.0", "2.0", "10.0"], "order_date": days,
                             "value": values}),
        "some endings": pa.table({"customer_id": ["1.0", "2.0", "3.0", None, "1.0", "2.0", "x"], "order_date": days,
                                  "value": values}),
        "endings but for a rejected row": pa.table({"customer_id": ["1.0", "2.0", "x", None, "1.0", "2.0", "1.0"],
                                                    "order_date": days, "value": values}),
    }  # fmt: skip
    for name, table in cases.items():
        path = written(table, tmp_path / f"{name}.parquet")
        orders = forecast.read_orders(path)
        found = forecast.spark.summarise(spark.read.parquet(path))
        same(found, forecast.purchase_histories(orders))
        same_account(found, orders)
        assert ("ends in .0" in str(found.notes)) == (name == "endings"), name


def test_large_sums_are_exact(spark, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    values = np.concatenate(
        [rng.random(300) * 10.0 ** rng.integers(-6, 15, 300), rng.integers(0, 10**9, 300) + 0.5e-6]
    )
    log = pa.table({"customer_id": np.char.add("c", rng.integers(0, 60, 600).astype(str)),
                    "order_date": np.datetime64("2024-01-01") + rng.integers(0, 50, 600), "value": values})  # fmt: skip
    path = written(log, tmp_path / "large.parquet")
    found = forecast.spark.summarise(spark.read.parquet(path)).to_frame()
    other = forecast.purchase_histories(forecast.read_orders(path)).to_frame()
    for name in ("historical_value", "first_value", "monetary_value"):
        np.testing.assert_allclose(found[name], other[name], rtol=1e-15, atol=0)


def test_columns_that_are_not_read_are_refused(spark) -> None:
    log = {"customer_id": ["a", "b"], "order_date": ["2024-01-05", "2024-01-06"], "value": [1.0, 2.0]}
    cases = [
        ({"order_date": ["05.01.2024", "2024-01-06"]}, "in a form that the Spark engine does not read, in column 'order_date' (1 row)"),
        ({"order_date": ["2024-01-05T10:00:00Z", "2024-01-06"]}, "in a form that the Spark engine does not read"),
        ({"order_date": ["x", "y"]}, "most cells are no dates that are known"),
        ({"value": ["1,50", "2"]}, "amounts have commas"),
        ({"value": ["$1", "$2"]}, "most amounts are no finite plain numbers"),
        ({"customer_id": [1.5, 2.0]}, "ids are numbers with decimals"),
        ({"customer_id": [[1], [2]]}, "ids are of type array<bigint>"),
        ({"order_date": [1.0, 2.0]}, "the dates are of type double"),
        ({"value": [True, False]}, "the amounts are of type boolean"),
        ({"customer_id": ["", None]}, "no usable orders are left (2 rows; missing_customer_id: 2)"),
        ({"currency": ["EUR", "USD"]}, "2 currencies"),
    ]  # fmt: skip
    for change, message in cases:
        table = spark.createDataFrame(pa.table({**log, **change}))
        with pytest.raises(InputError, match=re.escape(message)):
            forecast.spark.summarise(table)
    table = spark.createDataFrame(pa.table({**log, "currency": ["eur", None], "score": [1.0, 2.0]}))
    found = forecast.spark.summarise(table)
    assert (found.currency, found.notes) == ("EUR", ("1 rows name no currency and were taken as EUR",))
    with pytest.raises(InputError, match="as_of 2023-01-01 is before the first order"):
        forecast.spark.summarise(table, as_of="2023-01-01")
    with pytest.raises(ArgumentError, match="there is no column 'colour' to group by"):
        forecast.spark.summarise(table, by="colour")
    with pytest.raises(ArgumentError, match="'score' is of type double and cannot group"):
        forecast.spark.summarise(table, by="score")
    with pytest.raises(ArgumentError, match="the histories have no column 'channel'"):
        found.purchase_counts("channel")
    with pytest.raises(ArgumentError, match="the histories are as of 2024-01-06, not 2024-02-01"):
        found.asked("2024-02-01")
    with pytest.raises(ArgumentError, match="rows is 0"):
        next(found.batches(0))


def test_a_platforms_export_is_refused(spark) -> None:
    path = (
        Path(rooms.__file__).parent.parent.parent
        / "tests"
        / "orders"
        / "fixtures"
        / "magento_grid_24h_PM.csv"
    )
    table = spark.read.csv(str(path), header=True)
    with pytest.raises(ArgumentError, match="the Spark engine does not tell"):
        forecast.spark.summarise(table)


def test_both_engines_have_one_rule() -> None:
    assert spark_reading.BLANK_TEXTS == sql.BLANK_TEXTS
    assert spark_reading.LARGEST_VALUE == cells.LARGEST_VALUE == float("1e15")
    assert spark_reading.FIRST_PLAUSIBLE_DAY == dates.FIRST_PLAUSIBLE_DAY == dt.date(1990, 1, 1)
    assert set(spark_reading.REJECTED) <= set(codes.REJECTED)


def test_what_is_no_spark_table_is_refused() -> None:
    with pytest.raises(ArgumentError, match="a Spark table of orders is needed, not list"):
        forecast.spark.summarise([1])
