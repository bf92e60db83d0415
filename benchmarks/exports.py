"""A large Shopify export: read, cleaned and accounted for, beside pandas on the same file.

The file comes from the synthetic shop. Each side runs in a process of its own, one after the other, so that
its peak memory is its own; the numbers are medians. Pandas does what a notebook does: read the file, put the
lines together by order number, and add up the orders of each customer. Ours does all that
``forecast.read_orders`` does, with the memory of its database limited.

    python benchmarks/exports.py                      # five million lines, writes benchmarks/EXPORTS.md
    python benchmarks/exports.py --customers 20000    # a quick look, writes nothing
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from watching import forget_peak, machine, memory

PAGE = Path(__file__).with_name("EXPORTS.md")
CUSTOMERS = 860_000
LIMIT = "1200MB"


def ours(path: str) -> dict[str, Any]:
    import forecast

    orders = forecast.read_orders(path, duckdb_config={"memory_limit": LIMIT})
    return {
        "orders": len(orders),
        "customers": orders.customers,
        "balances": orders.reconciliation.balances(),
    }


def ours_without_limit(path: str) -> dict[str, Any]:
    import forecast

    orders = forecast.read_orders(path)
    return {
        "orders": len(orders),
        "customers": orders.customers,
        "balances": orders.reconciliation.balances(),
    }


def pandas(path: str) -> dict[str, Any]:
    import pandas as pd

    lines = pd.read_csv(path, low_memory=False)
    first = ["Email", "Phone", "Created at", "Financial Status", "Subtotal", "Shipping", "Taxes", "Total",
             "Discount Amount", "Refunded Amount", "Cancelled at"]  # fmt: skip
    orders = lines.groupby("Name", sort=False).agg(
        {**dict.fromkeys(first, "first"), "Lineitem quantity": "sum"}
    )
    orders = orders[orders["Cancelled at"].isna() & orders["Total"].gt(0)]
    orders["day"] = pd.to_datetime(orders["Created at"].str[:10])
    customers = orders.groupby(orders["Email"].str.lower()).agg(
        orders=("Total", "size"), value=("Subtotal", "sum"), first=("day", "min"), last=("day", "max")
    )
    return {"orders": len(orders), "customers": len(customers)}


def _child(task: str, path: str) -> None:
    forget_peak()
    before = time.perf_counter()
    found = globals()[task](path)
    print(json.dumps({**found, "seconds": time.perf_counter() - before, "peak": memory("VmHWM") / 1e6}))


def _run(task: str, path: Path, repeats: int) -> list[dict[str, Any]]:
    runs = []
    for _ in range(repeats):
        done = subprocess.run(
            [sys.executable, __file__, "--task", task, str(path)], capture_output=True, text=True, check=True
        )
        runs.append(json.loads(done.stdout.splitlines()[-1]))
        print(task, runs[-1], flush=True)
    return runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=CUSTOMERS)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--file", help="an export that is there already")
    parser.add_argument("--task", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        _child(*options.task)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(options.file) if options.file else _export(options.customers, Path(folder))
        results = {
            task: _run(task, path, options.repeats) for task in ("ours", "pandas", "ours_without_limit")
        }
        lines = sum(1 for _ in path.open("rb")) - 1
    if options.customers == CUSTOMERS:
        PAGE.write_text(_page(results, lines), "utf-8")


def _export(customers: int, folder: Path) -> Path:
    import forecast

    return forecast.synthetic_shop(customers, 730, seed=5).export("shopify-csv", folder)[0]


def _page(results: dict[str, list[dict[str, Any]]], lines: int) -> str:
    median = {
        task: {key: statistics.median(run[key] for run in runs) for key in ("seconds", "peak")}
        for task, runs in results.items()
    }
    n = len(results["ours"])
    runs = "One run of each" if n == 1 else f"Medians of {n} runs"
    names = {
        "ours": f"`forecast.read_orders`, database limited to {LIMIT}",
        "ours_without_limit": "`forecast.read_orders`, no limit",
        "pandas": "pandas: `read_csv`, `groupby`",
    }
    rows = "".join(
        f"| {name} | {median[task]['seconds']:.1f} | "
        f"{median['pandas']['seconds'] / median[task]['seconds']:.2f} | "
        f"{median[task]['peak']:.2f} |\n"
        for task, name in names.items()
    )
    return (
        "# A large Shopify export\n\n"
        f"One CSV of 79 columns and about {lines:,} text lines, written by the synthetic shop "
        "(`python benchmarks/exports.py`). Ours reads days, amounts, identities, refunds and "
        "duplicates, judges "
        "every order and accounts for every row and every cent; pandas reads the file, puts lines "
        "together and "
        f"adds up customers, nothing more. {runs}, one after the other.\n\n"
        "| | seconds | times as fast as pandas | peak memory, GB |\n|---|---:|---:|---:|\n"
        f"{rows}\n{chr(10).join(machine(dt.date.today().isoformat(), ''))}\n"
    )


if __name__ == "__main__":
    main()
