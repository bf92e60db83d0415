"""Histories by Spark against one plain aggregation of the same orders: make bench-spark.

Two executors of one core each on this machine. Both sides read the same Parquet, add up by customer and day,
then by customer, and write Parquet; plain SQL takes minimum, maximum, count and sum, ours makes whole
histories and accounts for all rows. Sides take turns, medians of three; wall time, and the processor time of
the executors, which other work changes less. The histories are then held against those of DuckDB.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

import forecast

PAGE = Path(__file__).parent / "SPARK.md"
MAPPING = {"order_id": None}
Times = dict[str, list[tuple[float, float]]]
PLAIN = (
    "SELECT customer_id, min(order_date) AS first_day, max(order_date) AS last_day, count(*) AS purchases, "
    "sum(v) AS total, sum(n) AS orders FROM (SELECT customer_id, order_date, sum(value) AS v, count(*) AS n "
    "FROM {orders} GROUP BY customer_id, order_date) GROUP BY customer_id"
)
GROUPED = "SELECT first_day, last_day, purchases, count(*) AS customers FROM ({}) GROUP BY ALL"


def generate(folder: Path, orders: int, seed: int = 0, files: int = 8) -> int:
    """Two years of daily orders of heavy-tailed customers; one in a thousand rows cannot be used."""
    rng = np.random.default_rng(seed)
    customers = max(orders // 8, 1)
    rates = rng.gamma(0.5, 1.0, customers)
    ends = np.cumsum(rates) / rates.sum()
    names = np.char.add("C", np.char.zfill(np.arange(customers).astype(str), 9))
    for number in range(files):
        rows = orders // files
        who = names[np.minimum(np.searchsorted(ends, rng.random(rows)), customers - 1)]
        days = np.datetime64("2023-01-01") + rng.integers(0, 730, rows)
        values = np.round(rng.gamma(2.0, 25.0, rows), 2)
        values[rng.random(rows) < 0.001] *= -1.0
        table = pa.table({"customer_id": pa.array(who, pa.string()), "order_date": days, "value": values})
        pq.write_table(table, folder / f"orders-{number}.parquet", row_group_size=500_000)
    return rows * files


def start(memory: str) -> Any:
    """Two executors in processes of their own."""
    import pyspark
    from pyspark.sql import SparkSession

    os.environ.setdefault("SPARK_HOME", str(Path(pyspark.__file__).parent))
    os.environ.update(PYSPARK_PYTHON=sys.executable, SPARK_LOCAL_IP="127.0.0.1")
    session = (
        SparkSession.builder.master(f"local-cluster[2,1,{memory}]")
        .config("spark.executor.memory", f"{memory}m")
        .config("spark.driver.memory", "3g")
        .config("spark.driver.maxResultSize", "3g")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "32")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("OFF")
    return session


def executor_pids(name: str) -> list[int]:
    """Processes of the executors of an application."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
            if b"CoarseGrainedExecutorBackend" in words and name.encode() in words:
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def cpu_of(pid: int) -> float:
    try:
        cells = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(cells[11]) + int(cells[12])) / os.sysconf("SC_CLK_TCK")


def spent_so_far(session: Any) -> float:
    """Processor time of all executors, in seconds."""
    return sum(cpu_of(pid) for pid in executor_pids(session.sparkContext.applicationId))


def measure(session: Any, df: Any, out: Path, repeats: int) -> Times:
    def plain() -> None:
        session.sql(PLAIN, orders=df).write.mode("overwrite").parquet(str(out / "plain"))

    def ours() -> None:
        found = forecast.spark.summarise(df, mapping=MAPPING)
        found.histories.write.mode("overwrite").parquet(str(out / "ours"))
        found.close()

    def plain_grouped() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            session.sql(GROUPED.format(PLAIN), orders=df).toArrow()

    def grouped() -> None:
        found = forecast.spark.summarise(df, mapping=MAPPING)
        found.purchase_counts()
        found.close()

    sides = {"plain SQL, written": plain, "histories, written": ours,
             "plain SQL, grouped": plain_grouped, "histories, grouped": grouped}  # fmt: skip
    times: Times = {name: [] for name in sides}
    for turn in range(repeats + 1):  # the first warms up
        for name in list(sides) if turn % 2 else list(sides)[::-1]:
            begun, spent = time.perf_counter(), spent_so_far(session)
            sides[name]()
            took = (time.perf_counter() - begun, spent_so_far(session) - spent)
            print(f"turn {turn}: {name}: {took[0]:.1f} s, processor {took[1]:.1f} s", flush=True)
            if turn:
                times[name].append(took)
    return times


def identical(df: Any, folder: Path) -> tuple[int, float]:
    """Customers, and the largest relative difference of money to DuckDB's; all else has to be equal."""
    found = forecast.spark.summarise(df, mapping=MAPPING)
    own = found.to_frame()
    found.close()
    orders = forecast.read_orders(str(folder / "*.parquet"), mapping=MAPPING)
    other = forecast.purchase_histories(orders).to_frame()
    worst = 0.0
    for name in other.columns:
        if other[name].dtype.kind == "f":
            one, two = own[name].to_numpy(), other[name].to_numpy()
            assert (np.isnan(one) == np.isnan(two)).all(), name
            gap = np.abs(one - two) / np.maximum(np.abs(two), 1e-300)
            worst = max(worst, float(np.nanmax(np.where(two == one, 0.0, gap))))
        else:
            pd.testing.assert_series_equal(own[name], other[name])
    return len(own), worst


def page(times: Times, orders: int, customers: int, worst: float, note: str) -> str:
    import pyspark

    lines = [
        "# Histories by Spark", "",
        f"`make bench-spark`: {orders:,} orders of {customers:,} customers in two years, Parquet; PySpark "
        f"{pyspark.__version__}, Python {platform.python_version()}, {os.cpu_count()} cores, local-cluster "
        f"of two executors with one core each. {note}", "",
        "Plain SQL adds up by customer and day, then minimum, maximum, count and sum by customer. Histories "
        "are whole: rows judged and accounted for, exact money, first purchase apart. *Written*: to Parquet; "
        "*grouped*: to distinct histories on the driver. Medians of turns; processor time is that of the "
        "executors.", "",
        "| | wall, s | processor, s | turns: wall / processor |", "|---|---|---|---|",
    ]  # fmt: skip
    medians = {}
    for name, pairs in times.items():
        medians[name] = [statistics.median(values) for values in zip(*pairs, strict=True)]
        turns = ", ".join(f"{wall:.1f} / {cpu:.1f}" for wall, cpu in pairs)
        lines.append(f"| {name} | {medians[name][0]:.1f} | {medians[name][1]:.1f} | {turns} |")
    for kind in ("written", "grouped"):
        own, plain = medians[f"histories, {kind}"], medians[f"plain SQL, {kind}"]
        wall, cpu = (a / b - 1 for a, b in zip(own, plain, strict=True))
        lines += ["", f"Overhead, {kind}: {wall:+.0%} wall, {cpu:+.0%} processor."]
    lines += [
        "",
        f"Against DuckDB: ids, days and counts are equal, money differs by at most {worst:.1g} (relative).",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=int(os.environ.get("CLV_BENCH_ORDERS", 20_000_000)))
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--memory", default="3072", help="MB of each executor")
    parser.add_argument("--note", default="")
    parser.add_argument("--out", type=Path, default=PAGE)
    options = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="bench-spark-"))
    try:
        folder = place / "orders"
        folder.mkdir()
        orders = generate(folder, options.orders)
        session = start(options.memory)
        df = session.read.parquet(str(folder))
        times = measure(session, df, place, options.turns)
        customers, worst = identical(df, folder)
        session.stop()
        text = page(times, orders, customers, worst, options.note)
        options.out.write_text(text, "utf-8")
        print(text)
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
