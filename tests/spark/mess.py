"""Orders as they come, with everything that can be wrong with a row; and what DuckDB makes of them."""

from __future__ import annotations

import datetime as dt
import os
import signal
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

import forecast

IDS = [
    " a",
    "a",
    "A",
    "007",
    "7",
    "7.0",
    "é\u00a0",
    "\t",
    "",
    "null",
    "NaN",
    None,
    "nana",
    "<NA>",
    "b\n",
    "\\n",
    "日本",
]
VALUES = [
    0.0,
    -0.0,
    -3.0,
    None,
    np.nan,
    np.inf,
    1e15,
    999_999_999_999_999.5,
    5e-7,
    4.9e-7,
    0.1,
    12.345678,
    1e-9,
    2.5e-6,
]
DAYS = [dt.date(1989, 12, 31), dt.date(1990, 1, 1), dt.date(2999, 1, 1), None, dt.date(2024, 2, 29)]


def mess(rows: int = 6000, seed: int = 0) -> pa.Table:
    """Rows of which a fifth is odd in some column, and one customer with most of the others."""
    rng = np.random.default_rng(seed)
    ids = np.where(rng.random(rows) < 0.5, "crowd", np.char.add("c", rng.integers(0, 700, rows).astype(str)))
    days = np.datetime64("2023-01-01") + rng.integers(0, 600, rows)
    values = np.where(
        rng.random(rows) < 0.5, np.round(rng.gamma(2.0, 20.0, rows), 2), rng.gamma(2.0, 20.0, rows)
    )
    columns = {
        "customer_id": ids.astype(object),
        "order_date": days.astype(object),
        "value": values.astype(object),
    }
    for name, odd in (("customer_id", IDS), ("order_date", DAYS), ("value", VALUES)):
        for place in rng.choice(rows, rows // 15, replace=False):
            columns[name][place] = odd[rng.integers(len(odd))]
    columns["channel"] = rng.choice(np.array(["web", "app", "", "  ", " web ", None], dtype=object), rows)
    columns["order_id"] = np.where(rng.random(rows) < 0.2, None, rng.integers(0, rows // 2, rows).astype(str))
    kinds = {"customer_id": pa.string(), "order_date": pa.date32(), "value": pa.float64()}
    return pa.table(
        {name: pa.array(list(cells), kinds.get(name, pa.string())) for name, cells in columns.items()}
    )


def written(table: pa.Table, path: Path) -> str:
    """The table as Parquet."""
    pq.write_table(table, path)
    return str(path)


def same(spark, duckdb: forecast.Histories) -> None:
    """The same histories and statistics, to the last bit."""
    pd.testing.assert_frame_equal(spark.to_frame(), duckdb.to_frame(), check_exact=True)
    assert (spark.as_of, spark.after_as_of, len(spark)) == (duckdb.as_of, duckdb.after_as_of, len(duckdb))
    np.testing.assert_equal(spark.paid_share, duckdb.paid_share)
    pairs = [
        (spark.purchase_counts(), duckdb.purchase_counts()),
        (spark.spend_counts(), duckdb.spend_counts()),
    ]
    for own, other in pairs:
        for one, two in zip(own, other, strict=True):
            assert one.dtype == two.dtype
            np.testing.assert_array_equal(one, two)


def same_account(spark, orders: forecast.Orders) -> None:
    """Every row met the same fate."""
    own, other = forecast.spark.reconciliation(spark), orders.reconciliation
    assert own.balances()
    rows = {code: rows for code, (rows, _) in own.by_code().items() if rows}
    assert rows == {code: rows for code, (rows, _) in other.by_code().items() if rows}
    for code, (_, value) in other.by_code().items():
        assert abs(own.by_code()[code][1] - value) < 1, code
    assert own.total_rows == other.total_rows


def once(flag: Path, partition: int, pause: float):
    """Rows as they are; the first task that reads the partition pauses, or takes its executor with it.

    Each task that reads the partition leaves a file.
    """

    def through(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark import TaskContext

        context = TaskContext.get()
        yield from batches
        if context.partitionId() != partition:
            return
        with open(f"{flag}.{context.taskAttemptId()}", "w"):
            pass
        try:
            os.close(os.open(flag, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        if pause:
            time.sleep(pause)
            return
        time.sleep(1)  # others are done by now, and lost with the executor
        daemon = Path(f"/proc/{os.getppid()}/stat").read_text().rsplit(")", 1)[1].split()
        os.kill(int(daemon[1]), signal.SIGKILL)

    return through


def odd(spark, parquet: str, flag: Path, pause: float):
    """Six partitions, one of them odd once."""
    table = spark.read.parquet(parquet).repartition(6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return table.mapInArrow(once(flag, 5, pause), table.schema)
