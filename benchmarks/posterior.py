"""Posteriors beside pymc-marketing: fits, draws, scores with intervals, and the memory they take.

pymc-marketing lives in a virtual environment of its own (``.venv-peers``), made here; it is no dependency of
the project. Every task runs in a process of its own, one after the other, and its process tree is watched:
it is ended when it takes more memory or time than allowed, which is a result like any other.

    python benchmarks/posterior.py                                       # writes benchmarks/POSTERIOR.md
    python benchmarks/posterior.py --sizes 1000 10000 --largest 100000   # a quick look, writes nothing
    python benchmarks/posterior.py --keep FILE     # measures again only what others disturbed or is missing
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import sys
import tempfile
import time
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

import numpy as np
from peers import peers_python
from posterior_tasks import PEER_DRAWS, TASKS, run_task
from watching import Outcome, machine, watch
from workload import DAYS, HORIZON, SPEND, TRUTH, make_histories

HERE = Path(__file__).parent
RESULTS = HERE / "POSTERIOR.md"
SIZES = (1_000, 10_000, 50_000, 94_000, 200_000)
COMPANY = 0.3  # cores; with more used by others a time is marked


class Bench:
    """Runs tasks and remembers what became of them."""

    def __init__(self, folder: Path, memory_gb: float, cap: float, keep: Path | None = None) -> None:
        self.folder, self.memory_gb, self.cap, self.keep = folder, memory_gb, cap, keep
        self.found: dict[tuple[str, int], Outcome] = {}
        if keep is not None and keep.exists():
            self.found = {(n, s): Outcome(**o) for n, s, o in json.loads(keep.read_text())}
        self.theirs = peers_python()

    def good(self, name: str, size: int) -> bool:
        """Whether there is an earlier result that nobody disturbed."""
        found = self.found.get((name, size))
        return found is not None and found.company <= COMPANY and found.ended in ("", "memory", "time")

    def path(self, size: int) -> Path:
        path = self.folder / str(size) / "customers.parquet"
        if not path.exists():
            path.parent.mkdir()
            make_histories(size).to_parquet(path, index=False)
            self.run("save", size)
        return path

    def _note(self, name: str, size: int, outcome: Outcome) -> Outcome:
        self.found[name, size] = outcome
        shown = f"{outcome.seconds:8.2f} s" if outcome.done else f"ended: {outcome.ended}"
        print(f"  {name:<14}{size:>10,}  {shown}  {outcome.peak_mb:8,.0f} MB  "
              f"others {outcome.company:.1f} cores", flush=True)  # fmt: skip
        if self.keep is not None:
            self.keep.write_text(json.dumps([(n, s, asdict(o)) for (n, s), o in self.found.items()]))
        return outcome

    def run(self, name: str, size: int, repeats: int = 1, cap: float = 1200.0) -> None:
        if self.good(name, size) and name != "save":
            return
        command = [sys.executable, __file__, "--task", name, "--repeats", str(repeats)]
        outcome = watch([*command, "--path", str(self.path(size))], self.memory_gb, cap)
        if name == "save" and not outcome.done:
            raise SystemExit(f"the models to score could not be made: {outcome.ended}")
        self._note(name, size, outcome)

    def peer(self, task: str, size: int) -> None:
        """A size is not tried once a smaller one ran out of time."""
        name = f"peer {task}"
        if self.good(name, size):
            return
        smaller = [o.ended for (n, s), o in self.found.items() if n == name and s < size]
        if "time" in smaller:
            self._note(name, size, Outcome(float("nan"), float("nan"), 0.0, "not tried"))
            return
        data = str(self.path(size).with_name("peer.csv"))
        command = [self.theirs, str(HERE / "peer_pymc_marketing.py"), task, data]
        self._note(name, size, watch(command, self.memory_gb, self.cap))

    def seconds(self, name: str, size: int) -> str:
        found = self.found.get((name, size))
        if found is None:
            return ""
        if found.ended in ("memory", "time"):
            limit = f"{self.memory_gb:g} GB" if found.ended == "memory" else f"{self.cap:g} s"
            return f"ended at {limit}"
        if found.ended:
            return found.ended
        mark = "*" if found.company > COMPANY else ""
        return (f"{found.seconds:.2f}" if found.seconds < 10 else f"{found.seconds:.0f}") + mark

    def peak(self, name: str, size: int) -> str:
        found = self.found.get((name, size))
        if found is None or not np.isfinite(found.peak_mb):
            return ""
        return f"{'> ' if found.ended == 'memory' else ''}{found.peak_mb:,.0f}"

    def ratio(self, ours: str, theirs: str, size: int) -> str:
        a, b = self.found.get((ours, size)), self.found.get((theirs, size))
        if a is None or b is None or not a.done:
            return ""
        if not b.done:
            return f"> {self.cap / a.seconds:.0f} x" if b.ended == "time" else ""
        times = b.seconds / a.seconds
        return f"{times:.{0 if times >= 10 else 1}f} x"

    def ess(self, name: str, size: int) -> str:
        found = self.found.get((name, size))
        value = None if found is None else found["ess"] or found["ess_bulk"]
        return "" if value is None else f"{value:,.0f}"


def measure(bench: Bench, sizes: list[int], largest: int) -> None:
    for size in (largest, *sizes):
        bench.run("laplace", size, 3)
        bench.run("nuts", size)
        bench.run("score", size, 3)
        bench.run("stream", size, 3)
        if size == largest:
            bench.run("stream_every", size, cap=bench.cap)
            continue
        for task in ("map", "mcmc", "score"):
            bench.peer(task, size)


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    rule = "|" + "--:|" * len(head)
    return ["| " + " | ".join(head) + " |", rule, *("| " + " | ".join(row) + " |" for row in rows), ""]


def targets(b: Bench, size: int) -> list[str]:
    """What was promised of the largest size, and what came of it."""
    fit, chains, scored = (b.found[name, size] for name in ("laplace", "nuts", "score"))
    lean, every = b.found["stream", size], b.found["stream_every", size]

    def row(what: str, limit: str, measured: str, met: bool | None) -> list[str]:
        return [what, limit, measured, {True: "met", False: "MISSED", None: ""}[met]]

    size_text = f"{size:,} customers"
    least = chains["ess_bulk"] or 0.0
    rows = [
        row(f"{size_text}: laplace fit and 1,000 importance-weighted draws", "15 s",
            f"{b.seconds('laplace', size)} s", fit.seconds < 15 and fit["draws"] == 1000),
        row(f"{size_text}: nuts, 4 chains on {os.cpu_count()} cores, min bulk ESS at least 400", "300 s",
            f"{b.seconds('nuts', size)} s, min bulk ESS {least:,.0f}, {chains['verdict']}",
            chains.seconds < 300 and least >= 400),
        row(f"{size_text}: scores with 80 and 95 % intervals of purchases and value", "60 s",
            f"{b.seconds('score', size)} s in memory, {b.seconds('stream', size)} s file to file",
            max(scored.seconds, lean.seconds) < 60),
        row(f"{size_text}: peak memory of such a scoring process, file to file", "1,024 MB",
            f"{lean.peak_mb:,.0f} MB, {lean.held_mb:,.0f} MB of it libraries and model", lean.peak_mb < 1024),
        row("same with every one of the 1,000 draws used for every customer", "1,024 MB",
            f"{every.peak_mb:,.0f} MB, {every.seconds:.0f} s" if every.done
            else f"ended at {every.peak_mb:,.0f} MB" + f" after {b.cap:g} s" * (every.ended == "time"),
            every.done and every.peak_mb < 1024),
        row("same scores with all customers and results in memory", "",
            f"{scored.peak_mb:,.0f} MB, {scored.held_mb:,.0f} MB of it libraries, model and data", None),
    ]  # fmt: skip
    return ["| what | limit | measured | |", "|---|--:|--:|---|",
            *("| " + " | ".join(r) + " |" for r in rows), ""]  # fmt: skip


def write(b: Bench, sizes: list[int], largest: int, date: str, load: float) -> str:
    every = [*sizes, largest]
    peer = next((o["versions"] for (name, _), o in b.found.items() if name.startswith("peer") and o.done), {})
    theirs = ", ".join(f"{k} {v}" for k, v in peer.items()) or "not run"
    company = max(o.company for o in b.found.values())
    used = b.found["score", largest]["used"]
    gaps = [
        abs(b.found["peer mcmc", s]["parameters"][k] / b.found["nuts", s]["parameters"][k] - 1.0)
        for s in sizes if b.found["peer mcmc", s].done for k in ("r", "alpha")
    ]  # fmt: skip
    agreement = f" Where both finish, r and alpha agree to {max(gaps):.1%}." if gaps else ""
    lines = [
        "# Posteriors",
        "",
        *machine(date, f" PyMC {metadata.version('pymc')}, ArviZ {metadata.version('arviz')}. Load "
                       f"{load:.1f} at the start; others used at most {company:.1f} cores beside a task, and "
                       f"times during which they used more than {COMPANY} are marked *."),
        f"The peer in its own environment: {theirs}.",
        "",
        f"Customers are simulated from BG/NBD ({', '.join(f'{k} = {v:g}' for k, v in TRUTH.items())}, days) "
        f"and Gamma-Gamma ({', '.join(f'{k} = {v:g}' for k, v in SPEND.items())}), first purchases spread "
        f"over {DAYS} days; the horizon is {HORIZON} days. Every task has a process of its own, which is "
        f"ended at {b.memory_gb:g} GB, and the peer's at {b.cap:g} s with imports; a size is not tried once "
        "a smaller one ran out of time. Ours are medians of 3 (laplace, scores) and one run of "
        "nuts, whose time holds PyMC's import; the peer's MAP is the median of 3, so compiling counts "
        "little, and its MCMC one run of 4 chains with its own defaults. Memory is the whole process's (or "
        "processes') peak with Python, libraries and data. Write this file anew with `make bench-posterior`.",
        "",
        "## Targets",
        "",
        *targets(b, largest),
        "## Fits",
        "",
        "MAP is one point; laplace is 1,000 draws with importance weights; MCMC and nuts are 4 chains. "
        "`ESS` is the least bulk effective number of draws of a parameter." + agreement,
        "",
        *table(
            ["customers", "pymc-marketing MAP, s", "MB", "our laplace, s", "MB", "ratio",
             "pymc-marketing MCMC, s", "ESS", "MB", "our nuts, s", "ESS", "MB", "ratio"],
            [[f"{s:,}", b.seconds("peer map", s), b.peak("peer map", s), b.seconds("laplace", s),
              b.peak("laplace", s), b.ratio("laplace", "peer map", s), b.seconds("peer mcmc", s),
              b.ess("peer mcmc", s), b.peak("peer mcmc", s), b.seconds("nuts", s), b.ess("nuts", s),
              b.peak("nuts", s), b.ratio("nuts", "peer mcmc", s)] for s in every],
        ),
        "## Scores from a posterior",
        "",
        f"The peer's `expected_purchases` gives {PEER_DRAWS:,} draws of one expectation (as many as its fit "
        "keeps). Ours give expectations, chances, and 80 and 95 % predictive intervals of purchases and "
        f"value from a posterior of 1,000 draws, of which as many are used as the numbers need ({used} at "
        f"{largest:,} customers, with weights); file to file is Parquet to Parquet, block by block.",
        "",
        *table(
            ["customers", "pymc-marketing, s", "MB", "ours, all in memory, s", "MB", "ratio",
             "ours, file to file, s", "MB"],
            [[f"{s:,}", b.seconds("peer score", s), b.peak("peer score", s), b.seconds("score", s),
              b.peak("score", s), b.ratio("score", "peer score", s), b.seconds("stream", s),
              b.peak("stream", s)] for s in every],
        ),
    ]  # fmt: skip
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="beside the peer")
    parser.add_argument("--largest", type=int, default=1_000_000, help="ours alone (default: 1000000)")
    parser.add_argument("--memory", type=float, default=12.0, metavar="GB", help="(default: 12)")
    parser.add_argument("--cap", type=float, default=180.0, metavar="S", help="for the peer (default: 180)")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="where results are kept between runs")
    parser.add_argument("--date", default=dt.date.today().isoformat(), help="printed in the results")
    parser.add_argument("--out", type=Path, help="by default POSTERIOR.md, and nothing for other sizes")
    parser.add_argument("--task", choices=TASKS, help=argparse.SUPPRESS)
    parser.add_argument("--path", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--repeats", type=int, default=1, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.task:
        print(json.dumps(run_task(given.task, given.path, given.repeats)))
        return
    if platform.system() != "Linux":
        raise SystemExit("posterior.py reads /proc to watch memory, so it needs Linux.")
    begin, load = time.perf_counter(), os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), given.memory, given.cap, given.keep)
        measure(bench, given.sizes, given.largest)
        text = write(bench, given.sizes, given.largest, given.date, load)
    print(text)
    print(f"The run took {time.perf_counter() - begin:.0f} s.")
    usual = tuple(given.sizes) == SIZES and given.largest >= 1_000_000
    out = given.out or (RESULTS if usual else None)
    if out is not None:
        out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
