"""How long the hot paths take, beside lifetimes on the same machine in the same run.

Every task runs in a process of its own, so that its peak memory is its own; a task and its peer run one
after the other. Numbers are medians. Ours are warmed up once, because Numba compiles at the first call
ever and keeps the result on disk; what that first call costs is a row of its own.

    python benchmarks/speed.py                       # a million customers, writes benchmarks/RESULTS.md
    python benchmarks/speed.py --customers 100000    # a quick look, writes nothing
"""

from __future__ import annotations

import argparse
import datetime as dt
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
from speed_figure import draw
from speed_tasks import LIMIT, SMALL_LIMIT, TASKS
from watching import forget_peak, machine, memory, watch
from workload import HORIZON, TRUTH, make_customers, make_log

RESULTS = Path(__file__).with_name("RESULTS.md")


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


# --- the run ------------------------------------------------------------------------------------------


class Bench:
    """Runs tasks and remembers medians."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.found: dict[str, dict[str, Any]] = {}
        self.customers = self.orders = self.fivefold = self.text_lines = 0

    def run(
        self, name: str, repeats: int, *, warm: bool = False, cold: bool = False, at: Path | None = None
    ) -> dict[str, Any]:
        command = [sys.executable, __file__, "--task", name, "--folder", str(at or self.folder)]
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
            "seconds": [found.seconds], "median": found.seconds, "peak_mb": found.peak_mb,
            "note": found.note or {},
        }  # fmt: skip

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


def measure(customers: int, log: int, folder: Path) -> tuple[Bench, list[tuple[str, ...]]]:
    """All tasks in turn, and the rows of the table."""
    make_customers(customers).to_parquet(folder / "customers.parquet", index=False)
    b = Bench(folder)
    b.customers = customers
    for name in ("ours_fit_frame", "ours_score_intervals"):
        b.run(name, 1, cold=True)
    b.ours("ours_fit_arrays")
    b.ours("ours_fit_frame")
    for name in ("their_fit_days", "their_fit_weeks"):
        b.run(name, 1)
    tried = [n for n in ("their_fit_days", "their_fit_weeks") if np.isfinite(b[n])]
    best = min(tried, key=b.__getitem__) if tried else "their_fit_weeks"
    b.run(best, 3)
    b.run("their_fit_grouped", 3)
    b.peer("map")
    b.ours("ours_spend")
    b.run("their_spend", 3)
    b.ours("ours_score_points")
    b.ours("ours_score_intervals")
    b.run("their_score", 3)
    b.run("their_clv", 3)
    make_customers(10 * customers, seed=1).to_parquet(folder / "many.parquet", index=False)
    b.run("ours_fit_many", 3, warm=True)
    b.run("ours_score_file", 3, warm=True)
    b.run("ours_score_many", 1)
    (folder / "many.parquet").unlink()
    b.run("floor", 3, warm=True)
    b.run("bandwidth", 3, warm=True)

    b.orders = make_log(folder / "numbers.parquet", log)
    for name in ("ours_numbers", "query_numbers", "ours_limited"):
        b.run(name, 3, warm=True)
    b.run("their_numbers", 3)
    b.run("ours_command", 1)
    make_log(folder / "texts.parquet", log, texts=True)
    b.run("ours_texts", 3, warm=True)
    b.run("their_texts", 3)
    b.text_lines = make_log(folder / "numbers.csv", log // 10)
    b.run("ours_csv", 1)
    (folder / "numbers.csv").unlink()
    b.fivefold = make_log(folder / "fivefold.parquet", 5 * log)
    b.run("ours_fivefold", 3, warm=True)
    for part in (100, 10):
        smaller = folder / str(part)
        smaller.mkdir()
        make_customers(customers // part).to_parquet(smaller / "customers.parquet", index=False)
        make_log(smaller / "numbers.parquet", log // part)
        for name in ("ours_fit_arrays", "ours_numbers"):
            b.run(name, 3, warm=True, at=smaller)
        for name in (best, "their_numbers"):
            b.run(name, 3, at=smaller)
    return b, rows(b, best, f"{customers:,}")


def rows(b: Bench, best: str, size: str) -> list[tuple[str, ...]]:
    """The table: what, ours, theirs, ratio, our and their memory, remark."""

    def row(what: str, ours: str, theirs: str, remark: str) -> tuple[str, ...]:
        known = np.isfinite(b[theirs])
        return (
            what, b.span(ours), b.span(theirs) if known else "fails",
            b.ratio(ours, theirs) if known else "", b.peak(ours), b.peak(theirs), remark,
        )  # fmt: skip

    def alone(what: str, key: str, remark: str) -> tuple[str, ...]:
        return (what, b.span(key), "", "", b.peak(key), "", remark)

    unit = {"their_fit_days": "days", "their_fit_weeks": "weeks"}[best]
    other = "their_fit_weeks" if unit == "days" else "their_fit_days"
    rest = f"{b[other]:.1f} s" if np.isfinite(b[other]) else f"fails ({b.note(other, 'failed')})"
    groups, many = b.note("ours_fit_arrays", "rows"), b.note("ours_fit_many", "rows")
    totals = b.note("their_score", "total") / b.note("ours_score_points", "total") - 1.0

    def same(ours: str, theirs: str) -> str:
        alike = b.note(ours, "repeats") == b.note(theirs, "repeats")
        return "same number of repeat purchases" if alike else "REPEAT PURCHASES DIFFER"

    lines, five = f"{b.orders:,} orders", f"{b.fivefold:,} orders"
    people = f"{b.note('ours_numbers', 'customers'):,} customers"
    grown = b["ours_fivefold"] / b["ours_limited"] / (b.fivefold / b.orders)
    table = [
        row(f"BG/NBD fit, {size} customers, arrays to parameters with standard errors",
            "ours_fit_arrays", best,
            f"grouping to {groups:,} rows included; lifetimes in {unit} ("
            f"{'weeks' if unit == 'days' else 'days'}: {rest}); {b.same('ours_fit_arrays', best)}"),
        row("same, through `BetaGeoNBD().fit(frame)` and its gate", "ours_fit_frame", best,
            b.same("ours_fit_frame", best)),
        row("same, lifetimes given our grouped rows as `weights`", "ours_fit_frame", "their_fit_grouped",
            "grouping not in lifetimes' time; " + b.same("ours_fit_frame", "their_fit_grouped")),
    ]  # fmt: skip
    if "peer map" in b.found:
        told = b.note("peer map", "versions")
        table.append(
            row("same, beside pymc-marketing's `fit(method='map')` (its time, not lifetimes')",
                "ours_fit_frame", "peer map",
                f"pymc-marketing {told['pymc-marketing']} with its own priors, time in weeks; memory is of "
                "its whole process")
        )  # fmt: skip
    return [
        *table,
        alone("same for ten times the customers, arrays to parameters", "ours_fit_many",
              f"grouping to {many:,} rows included"),
        row(f"Gamma-Gamma fit, {size} customers, `GammaGamma().fit(frame)`", "ours_spend", "their_spend",
            b.same("ours_spend", "their_spend")),
        row(f"scoring {size} customers over {HORIZON} days, all point columns", "ours_score_points",
            "their_score",
            f"{b.note('ours_score_points', 'columns')} columns; lifetimes: expectation and P(alive) only; "
            f"sums agree to {abs(totals):.0e}"),
        row("same, lifetimes' `customer_lifetime_value` (12 months of 30 days)", "ours_score_points",
            "their_clv",
            "value, beside our value column"),
        alone("same with 80 % and 95 % predictive intervals of purchases and value", "ours_score_intervals",
              "no counterpart in lifetimes"),
        row(f"{lines} in Parquet, ids whole numbers, to the histories of {people}", "ours_numbers",
            "their_numbers", "reading and checks included; " + same("ours_numbers", "their_numbers")),
        row("same, ids texts", "ours_texts", "their_texts", same("ours_texts", "their_texts")),
        row("same, ids whole numbers, beside one DuckDB query that checks nothing (its time, not lifetimes')",
            "ours_numbers", "query_numbers", same("ours_numbers", "query_numbers")),
        alone(f"same, ids whole numbers, the database limited to {LIMIT}", "ours_limited", ""),
        alone(f"{five} in Parquet, limited to {LIMIT}", "ours_fivefold",
              f"{b.note('ours_fivefold', 'customers'):,} customers; time an order is {grown:.2f} times that "
              "of the smaller log"),
        alone(f"{b.text_lines:,} orders in CSV, limited to {LIMIT}", "ours_csv", "one run"),
        alone(f"`forecast score` of {people} from that Parquet to Parquet, with intervals", "ours_command",
              "account, fingerprint and portfolio draws included"),
        alone(f"`forecast score` of the {size} customers' histories, Parquet to Parquet, with intervals and "
              f"totals, limited to {SMALL_LIMIT}", "ours_score_file", ""),
        alone("same for ten times the customers", "ours_score_many",
              f"one run; {b.note('ours_score_many', 'MB'):,.0f} MB of scores"),
        alone("first fit ever on a machine (`BetaGeoNBD().fit`, nothing compiled)", "ours_fit_frame cold",
              "compiled code is kept on disk afterwards"),
        alone("first scoring with intervals ever", "ours_score_intervals cold", "likewise"),
    ]  # fmt: skip


def limits(b: Bench) -> list[str]:
    """Each part of the path beside the least that any program would have to do."""
    speed = b.note("bandwidth", "bytes") / b["bandwidth"]
    bytes_log = b.orders * 20 * 3
    least = bytes_log / speed
    one, rows_ = b["floor"], b.note("floor", "rows")
    columns = b.note("ours_score_points", "columns")
    wide = 8 * b.customers * columns
    grouping = b.note("ours_fit_arrays", "grouping")
    return [
        f"- Memory is copied at {speed / 1e9:.1f} GB a second (one thread). Orders to histories has to move "
        "each order (id 8 bytes, day 4, value 8) at least three times, decoded, shared out and grouped: "
        f"{bytes_log / 1e9:.1f} GB, {least:.2f} s. We take {b['ours_numbers'] / least:.0f} times as long: "
        "decompressing Parquet twice, exact decimal sums for the account, hashing ids, and writing twelve "
        "columns a customer.",
        f"- One pass of `log` and `exp` over the {rows_:,} distinct histories takes {one * 1e3:.1f} ms in "
        f"one thread. The fit takes {b['ours_fit_arrays'] / one:.0f} such passes; {grouping * 1e3:.0f} ms "
        "of it is grouping, the rest evaluations with gradient and Hessian.",
        f"- Scoring writes {columns} columns of eight bytes a customer: {wide / 1e6:.0f} MB, "
        f"{wide / speed * 1e3:.1f} ms. What it takes beyond goes into one 2F1 and one table of tails for "
        "each distinct (x, T), and into gathering from them in no order.",
    ]


def pictured(b: Bench, path: Path) -> None:
    """Seconds against size, ours and lifetimes'."""
    hundredth, tenth = b.customers // 100, b.customers // 10
    theirs = next(n for n in ("their_fit_days", "their_fit_weeks") if f"{n} 100" in b.found)
    draw(
        {
            "fit": {
                "ours": b.curve({"ours_fit_arrays 100": hundredth, "ours_fit_arrays 10": tenth,
                                 "ours_fit_arrays": b.customers, "ours_fit_many": 10 * b.customers}),
                "lifetimes": b.curve({f"{theirs} 100": hundredth, f"{theirs} 10": tenth,
                                      theirs: b.customers}),
            },
            "log": {
                "ours": b.curve({"ours_numbers 100": b.orders // 100, "ours_numbers 10": b.orders // 10,
                                 "ours_numbers": b.orders, "ours_fivefold": b.fivefold}),
                "lifetimes": b.curve({"their_numbers 100": b.orders // 100,
                                      "their_numbers 10": b.orders // 10, "their_numbers": b.orders}),
            },
        },
        path,
    )  # fmt: skip


HEAD = ("what", "ours, s", "lifetimes, s", "ratio", "our peak", "their peak", "remark")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--orders", type=int, help="of the log; twenty for each customer by default")
    parser.add_argument("--date", default=dt.date.today().isoformat(), help="printed in the results")
    parser.add_argument("--out", type=Path, help="by default RESULTS.md, and nothing for a smaller size")
    parser.add_argument("--task", choices=TASKS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--repeats", type=int, default=3, help=argparse.SUPPRESS)
    parser.add_argument("--warm", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.task:
        print(json.dumps(run_task(given.task, given.folder, given.repeats, given.warm)))
        return

    begin = time.perf_counter()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    # Our fits use every core, lifetimes one, so company on the machine costs us more.
    busy = f" Other work ran beside it: load {load:.1f} at the start." if load > 0.5 else ""
    with tempfile.TemporaryDirectory() as folder:
        found, table = measure(given.customers, given.orders or 20 * given.customers, Path(folder))
    python = sys.executable
    bare = wall([python, "-c", "pass"])
    starts = [
        ("`forecast --help`", wall([python, "-m", "forecast", "--help"])),
        ("`import forecast`", wall([python, "-c", "import forecast"])),
    ]
    with tempfile.TemporaryDirectory() as folder:
        command = [python, "-m", "forecast", "demo", "--quiet", "--out", str(Path(folder) / "demo")]
        starts.append(("`forecast demo`", wall(command, 3)))
    table += [
        (what, f"{s:.3f}", "", "", "", "", f"whole process; {bare:.3f} s of it is Python itself")
        for what, s in starts
    ]

    text = [
        "# Speed",
        "",
        *machine(given.date, busy),
        "",
        "![Seconds against size](RESULTS.png)",
        "",
        "Medians of 9 (ours) or 3 (lifetimes, and whatever reads a log) in one run, smallest and "
        "largest in brackets; each task in a process of its own. Ours are warmed up once: Numba keeps "
        "compiled code on disk, and the two rows \"ever\" give the cost of the first time. Memory is the "
        "peak beyond what data and imports hold before the task. Our fits use every core, lifetimes one.",
        "",
        "Customers are simulated from BG/NBD "
        f"({', '.join(f'{k} = {v:g}' for k, v in TRUTH.items())}, days) and Gamma-Gamma, with first "
        "purchases spread evenly over two years, whole days, at most one purchase a day, no row repeated on "
        "purpose. lifetimes is tried in days and in weeks, and the faster of the two that converge counts. "
        "Write this file anew with `make bench`.",
        "",
        "The log: rates of purchase and of leaving are gamma distributed over three years, so that a few "
        "customers order very often; rows are in the order of days, ids are not. lifetimes reads the same "
        "file with pandas. Our time ends with a table of histories sorted by id.",
        "",
        "| " + " | ".join(HEAD) + " |",
        "|---|--:|--:|--:|--:|--:|---|",
        *("| " + " | ".join(line) + " |" for line in table),
        "",
        "## How far from what the machine can do",
        "",
        *limits(found),
        "",
    ]  # fmt: skip
    print("\n".join(text))
    print(f"The run took {time.perf_counter() - begin:.0f} s.")
    out = given.out or (RESULTS if given.customers >= 1_000_000 else None)
    if out is not None:
        out.write_text("\n".join(text), encoding="utf-8")
        pictured(found, out.with_suffix(".png"))


if __name__ == "__main__":
    main()
