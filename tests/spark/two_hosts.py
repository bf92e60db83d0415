"""A standalone cluster of two hosts by name, which speculation needs: a copy of a task goes to another host.

Run as a script by test_spark_speculation: folder of the orders, whether no customer stands out.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

PAUSE = 60.0


def main() -> None:
    import pyspark
    from mess import odd, same, same_account
    from pyspark.sql import SparkSession

    import forecast
    from forecast.summary import spark_queries

    folder, even = Path(sys.argv[1]), sys.argv[2] == "even"
    home = Path(pyspark.__file__).parent
    os.environ.update(SPARK_HOME=str(home), PYSPARK_PYTHON=sys.executable, SPARK_LOCAL_IP="127.0.0.1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"spark://127.0.0.1:{free.getsockname()[1]}"
    place = "org.apache.spark.deploy"
    parts = [
        [
            f"{place}.master.Master",
            "--host",
            "127.0.0.1",
            "--port",
            url.rpartition(":")[2],
            "--webui-port",
            "0",
        ]
    ]
    for host in ("127.0.0.1", "localhost"):
        work = ["--work-dir", str(folder / f"work-{host}"), "--cores", "1", "--memory", "1g"]
        parts.append([f"{place}.worker.Worker", "--host", host, "--webui-port", "0", *work, url])
    with open(folder / "cluster.log", "w") as log:
        running = [
            subprocess.Popen([str(home / "bin" / "spark-class"), *part], stdout=log, stderr=log)
            for part in parts
        ]
    try:
        session = (
            SparkSession.builder.master(url)
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.ui.enabled", "false")
            .config("spark.executor.memory", "768m")
            .config("spark.sql.shuffle.partitions", "3")
            .config("spark.executorEnv.PYTHONPATH", str(Path(__file__).parent.parent.parent))
            .config("spark.speculation", "true")
            .config("spark.speculation.interval", "100ms")
            .config("spark.speculation.multiplier", "1.5")
            .config("spark.speculation.quantile", "0.5")
            .config("spark.speculation.minTaskRuntime", "100ms")
            .getOrCreate()
        )
        session.sparkContext.setLogLevel("OFF")
        spark_queries.is_even = lambda rows: even
        mapping = {
            "customer_id": "customer_id",
            "order_date": "order_date",
            "value": "value",
            "order_id": None,
        }
        path = str(folder / "orders.parquet")
        begun = time.monotonic()
        found = forecast.spark.summarise(odd(session, path, folder / "slept", PAUSE), mapping=mapping)
        took = time.monotonic() - begun
        orders = forecast.read_orders(path, mapping=mapping)
        same(found, forecast.purchase_histories(orders))
        same_account(found, orders)
        told = {"tasks": len(list(folder.glob("slept.*"))), "overtaken": took < PAUSE}
        sys.stdout.write(json.dumps(told) + "\n")
        session.stop()
    finally:
        for process in running:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
