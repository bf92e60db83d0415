"""Spark on two workers of this machine: processes of their own, as on a cluster."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
HERE = Path(__file__).parent
JAVA = shutil.which("java") or (Path(os.environ.get("JAVA_HOME", "/nowhere")) / "bin" / "java").exists()
MISSING = None
if importlib.util.find_spec("pyspark") is None:
    MISSING = 'PySpark is not installed: pip install "clv-forecast[spark]", or make test-spark'
elif not JAVA:
    MISSING = "there is no Java: bash .ci/java"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if MISSING is not None:
        for item in items:
            if HERE in item.path.parents and {"spark", "java"} & set(getattr(item, "fixturenames", ())):
                item.add_marker(pytest.mark.skip(reason=MISSING))


@pytest.fixture(scope="session")
def java() -> None:
    """For tests that start a Spark of their own."""


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A session on two executors, with speculation and AQE on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pyspark
        from pyspark.sql import SparkSession

        home = str(Path(pyspark.__file__).parent)
        place = tmp_path_factory.mktemp("spark")
        os.environ.update(
            SPARK_HOME=home, SPARK_LOCAL_IP="127.0.0.1", PYSPARK_PYTHON=sys.executable,
            SPARK_WORKER_DIR=str(place / "work"), SPARK_LOCAL_DIRS=str(place / "local"),
            SPARK_NO_DAEMONIZE="1",
        )  # fmt: skip
        session = (
            SparkSession.builder.master("local-cluster[2,1,1024]")
            .appName("tests")
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.driver.memory", "1g")
            .config("spark.ui.enabled", "false")
            .config("spark.sql.shuffle.partitions", "3")
            .config("spark.sql.warehouse.dir", str(place / "warehouse"))
            .config("spark.sql.session.timeZone", "Pacific/Auckland")
            .config("spark.executorEnv.PYTHONPATH", str(ROOT))
            .config("spark.executorEnv.PYTHONWARNINGS", "ignore")
            .config("spark.speculation", "true")
            .config("spark.speculation.interval", "100ms")
            .config("spark.speculation.multiplier", "1.5")
            .config("spark.speculation.quantile", "0.5")
            .config("spark.task.maxFailures", "8")
            .getOrCreate()
        )
    session.sparkContext.setLogLevel("OFF")
    yield session
    session.stop()
    # The workers stop with the context; what they say while doing so belongs to nobody.
