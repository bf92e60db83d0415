"""A slow task is overtaken by its copy on another host, and counts once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from mess import mess, written

HERE = Path(__file__).parent


def test_a_slow_task_is_overtaken_by_its_copy(java, tmp_path: Path) -> None:
    written(mess(seed=9), tmp_path / "orders.parquet")
    own = {name: value for name, value in os.environ.items() if not name.startswith(("SPARK_", "PYSPARK_"))}
    done = subprocess.run(
        [sys.executable, str(HERE / "two_hosts.py"), str(tmp_path), "even"],
        env={**own, "PYTHONPATH": str(HERE.parent.parent)}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {"tasks": 2, "overtaken": True}
