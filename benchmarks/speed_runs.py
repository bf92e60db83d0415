"""Runs of speed.py's tasks, each in a process of its own, and what is remembered of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from peers import peers_python
from speed_tasks import TASKS
from watching import forget_peak, memory, watch


def run_task(name: str, folder: Path, repeats: int, warm: bool) -> dict[str, Any]:
    """In the task's own process: time it, and say how much memory it took beyond data and imports."""
    warnings.simplefilter("ignore")  # lifetimes divides by zero in its search and says so each time
    np.seterr(all="ignore")
    run = TASKS[name](folder)
    held = memory("VmRSS")
    forget_peak()
    if warm:
        run()
    seconds: list[float] = []
    note: dict[str, Any] = {}
    try:
        for _ in range(repeats):
            begin = time.perf_counter()
            note = run()
            seconds.append(time.perf_counter() - begin)
    except Exception as error:  # a peer that does not converge is a result, not a failure
        note = {"failed": " ".join(f"{type(error).__name__}: {error}".split())[:90]}
    return {"seconds": seconds, "peak_mb": (memory("VmHWM") - held) / 1024, "note": note}


class Bench:
    """Runs tasks and remembers medians."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.found: dict[str, dict[str, Any]] = {}
        self.customers = self.orders = self.fivefold = self.text_lines = 0

    def run(
        self, name: str, repeats: int, *, warm: bool = False, cold: bool = False, at: Path | None = None
    ) -> dict[str, Any]:
        command = [
            sys.executable,
            str(Path(__file__).with_name("speed.py")),
            "--task",
            name,
            "--folder",
            str(at or self.folder),
        ]
        command += ["--repeats", str(repeats), *(["--warm"] if warm else [])]
        environment = dict(os.environ)
        if cold:
            environment["NUMBA_CACHE_DIR"] = tempfile.mkdtemp(dir=self.folder)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{name} failed:\n{done.stderr}")
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        result["median"] = float(np.median(result["seconds"])) if result["seconds"] else float("nan")
        key = f"{name} cold" if cold else name if at is None else f"{name} {at.name}"
        self.found[key] = result
        print(f"  {key:<28} {result['median']:8.3f} s  {result['note'].get('failed', '')}", flush=True)
        return result

    def ours(self, name: str) -> None:
        self.run(name, 9, warm=True)

    def peer(self, task: str) -> None:
        """pymc-marketing, in an environment of its own; left out where that cannot be made."""
        frame = pd.read_parquet(self.folder / "customers.parquet", columns=["frequency", "recency", "T"])
        path = self.folder / "peer.csv"
        frame.rename_axis("customer_id").to_csv(path)
        script = str(Path(__file__).with_name("peer_pymc_marketing.py"))
        found = watch([peers_python(), script, task, str(path)], 20.0, 1200.0)
        if not found.done:
            print(f"  peer {task}: {found.ended}")
            return
        self.found[f"peer {task}"] = {
            "seconds": found["seconds"], "median": found.seconds, "peak_mb": found.peak_mb,
            "note": found.note or {},
        }  # fmt: skip
        print(f"  {'peer ' + task:<28} {found.seconds:8.3f} s", flush=True)

    def curve(self, sizes: dict[str, int]) -> list[tuple[int, float]]:
        """Sizes and medians of the tasks that have been run."""
        known = [(size, self[name]) for name, size in sizes.items() if name in self.found]
        return sorted(point for point in known if np.isfinite(point[1]))

    def __getitem__(self, name: str) -> float:
        return float(self.found[name]["median"])

    def span(self, name: str) -> str:
        """The median, and between which times it lies."""
        seconds, digits = self.found[name]["seconds"], 3 if self[name] < 1 else 2
        if len(seconds) == 1:
            return f"{self[name]:.{digits}f}"
        return f"{self[name]:.{digits}f} ({min(seconds):.{digits}f} to {max(seconds):.{digits}f})"

    def ratio(self, ours: str, theirs: str) -> str:
        times = self[theirs] / self[ours]
        return f"{times:.{0 if times >= 10 else 1}f} x"

    def note(self, name: str, key: str) -> Any:
        return self.found[name]["note"].get(key)

    def peak(self, name: str) -> str:
        return f"{self.found[name]['peak_mb']:,.0f} MB"

    def same(self, ours: str, theirs: str) -> str:
        a, b = self.note(ours, "parameters"), self.note(theirs, "parameters")
        if not a or not b:
            return "no parameters to compare"
        gap = max(abs(a[name] / b[name] - 1.0) for name in a)
        return f"parameters agree to {gap:.0e}"


def wall(command: list[str], repeats: int = 7) -> float:
    """Median seconds of a whole process, once it has run."""
    subprocess.run(command, capture_output=True, check=True)
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        seconds.append(time.perf_counter() - begin)
    return float(np.median(seconds))
