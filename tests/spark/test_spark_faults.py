"""A lost executor, and tasks that run again: the numbers stay, and no row is counted twice."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from mess import mess, odd, same, same_account, written

import forecast
from forecast.summary import spark_queries

MAPPING = {"customer_id": "customer_id", "order_date": "order_date", "value": "value", "order_id": None}


@pytest.fixture(scope="module")
def parquet(tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(mess(seed=5), tmp_path_factory.mktemp("faults") / "orders.parquet")


@pytest.fixture(scope="module")
def orders(parquet: str) -> forecast.Orders:
    return forecast.read_orders(parquet, mapping=MAPPING)


@pytest.mark.parametrize("even", [False, True])
def test_an_executor_is_lost_while_orders_are_read(
    spark, parquet, orders, even, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spark_queries, "is_even", lambda rows: even)
    flag = tmp_path / "killed"
    found = forecast.spark.summarise(odd(spark, parquet, flag, 0), mapping=MAPPING)
    assert flag.exists()
    assert len(list(tmp_path.glob("killed.*"))) > 1
    same(found, forecast.purchase_histories(orders))
    same_account(found, orders)
    found.close()


def test_an_executor_is_lost_with_the_histories_it_kept(spark, parquet, orders) -> None:
    found = forecast.spark.summarise(spark.read.parquet(parquet).repartition(6), mapping=MAPPING)
    known = forecast.purchase_histories(orders)
    same(found, known)
    name = spark.sparkContext.applicationId
    backends = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if "org.apache.spark.executor.CoarseGrainedExecutorBackend" in line and name in line:
            backends.append(int(path.parent.name))
    os.kill(min(backends), signal.SIGKILL)
    same(found, known)
    found.close()
