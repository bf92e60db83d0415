"""The machine that benchmarks run on, and what processes take of it."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

PACKAGES = ("clv-forecast", "numpy", "scipy", "numba", "pandas", "pyarrow", "duckdb", "lifetimes")


def machine(date: str, busy: str) -> list[str]:
    """Processor, memory, versions, and how busy it was; no names, no paths."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            x.split(":", 1)[1].strip() for x in info.read_text().splitlines() if x.startswith("model name")
        ]
        model = names[0] if names else model
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES)
    return [
        f"{date}; {os.cpu_count()} cores ({model}), {size:.0f} GB, {platform.system()}; "
        f"Python {platform.python_version()}, {versions}.{busy}"
    ]


def memory(name: str) -> float:
    """Memory held now (VmRSS) or at most (VmHWM), in kB; NaN where the system does not say."""
    status = Path("/proc/self/status")
    for line in status.read_text().splitlines() if status.exists() else ():
        if line.startswith(name):
            return float(line.split()[1])
    return float("nan")


def forget_peak() -> None:
    """Start the high-water mark anew, so that imports and reading do not count."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


@dataclass(frozen=True)
class Outcome:
    """What became of a task: ``seconds`` is the median, NaN where it ended early and ``ended`` says why."""

    seconds: float
    peak_mb: float
    company: float
    ended: str = ""
    note: dict[str, Any] | None = None
    held_mb: float = float("nan")

    def __getitem__(self, key: str) -> Any:
        return (self.note or {}).get(key)

    @property
    def done(self) -> bool:
        return not self.ended


def _tree(root: int) -> list[int]:
    """A process and all that descend from it."""
    parents: dict[int, list[int]] = {}
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                parent = int((place / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
            parents.setdefault(parent, []).append(int(place.name))
    found, waiting = [], [root]
    while waiting:
        found.append(waiting.pop())
        waiting += parents.get(found[-1], [])
    return found


def _held_mb(pids: list[int]) -> float:
    """Memory of processes; pages that they share count once (proportional set size)."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def _busy() -> float:
    """Seconds that all cores were busy since the machine started."""
    fields = [int(v) for v in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:8]]
    return (fields[0] + fields[1] + fields[2] + fields[5] + fields[6]) / os.sysconf("SC_CLK_TCK")


def _own() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def watch(command: list[str], memory_gb: float, cap: float) -> Outcome:
    """Run a command that prints JSON last; end it and its children when it takes too much."""
    begin, busy, own = time.perf_counter(), _busy(), _own()
    peak, ended = 0.0, ""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err, start_new_session=True)
        while process.poll() is None:
            looked = time.perf_counter()
            peak = max(peak, _held_mb(_tree(process.pid)))
            looked = time.perf_counter() - looked
            if peak > memory_gb * 1024:
                ended = "memory"
            elif time.perf_counter() - begin > cap:
                ended = "time"
            if ended:
                os.killpg(process.pid, signal.SIGKILL)  # the group that was started here, nothing else
                process.wait()
                break
            time.sleep(max(0.05, 30.0 * looked))  # looking takes time of the cores that are measured
        passed = time.perf_counter() - begin
        company = max(0.0, (_busy() - busy - (_own() - own)) / passed)
        out.seek(0)
        err.seek(0)
        lines, complaint = out.read().splitlines(), err.read().strip().splitlines()
    if ended:
        return Outcome(float("nan"), peak, company, ended)
    if process.returncode:
        return Outcome(float("nan"), peak, company, (complaint or ["no word"])[-1][:80])
    found = json.loads(lines[-1])
    versions = {name: found[name] for name in ("python", "pymc-marketing", "pymc", "arviz") if name in found}
    note = {**found["note"], "versions": versions, "seconds": found["seconds"]}
    median, held = float(np.median(found["seconds"])), found.get("held_mb", float("nan"))
    return Outcome(median, found.get("peak_mb", peak), company, "", note, held)
