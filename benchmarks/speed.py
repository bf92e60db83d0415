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
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from speed_figure import draw
from speed_runs import Bench, run_task, wall
from speed_table import limits, rows
from speed_tasks import TASKS
from watching import machine
from workload import TRUTH, make_customers, make_log

RESULTS = Path(__file__).with_name("RESULTS.md")


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
    b.text_lines = make_log(folder / "numbers.csv", 5 * log)
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
        "Medians of 9 (ours) or 3 (the peers, and whatever reads a log) in one run, smallest and "
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
