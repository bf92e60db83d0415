"""How long a backtest takes, and a fit on the seasonal clock beside the plain one.

python benchmarks/backtesting.py                     # writes benchmarks/BACKTESTING.md
python benchmarks/backtesting.py --customers 2000    # a quick look, writes nothing
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from watching import machine
from workload import make_customers, make_orders

import forecast
from forecast.evaluation.baselines import BASELINES
from forecast.evaluation.candidates import LEARNERS, fit_clv
from forecast.fitting.spec import DEFAULT_CANDIDATES
from forecast.summary import purchase_histories

RESULTS = Path(__file__).with_name("BACKTESTING.md")
CANDIDATES = ["auto", *DEFAULT_CANDIDATES, *LEARNERS, *BASELINES]
ORIGINS = 8


def shop(customers: int, seed: int = 0) -> pd.DataFrame:
    """Three years of orders; as many customers are won each day, and a quarter of orders fall in December."""
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 1000, customers)
    rate = rng.gamma(0.5, 1.0 / 60.0, customers)
    leaves = rng.beta(0.8, 2.5, customers)
    who, day = [np.arange(customers)], [first]
    alive, at = np.arange(customers), first.astype(float)
    while len(alive):
        at = at + np.maximum(rng.exponential(1.0 / np.maximum(rate[alive], 1e-9)), 1.0)
        kept = at < 1180
        alive, at = alive[kept], at[kept]
        who.append(alive)
        day.append(at.astype(np.int64))
        stays = rng.random(len(alive)) >= leaves[alive]
        alive, at = alive[stays], at[stays]
    frame = pd.DataFrame({"customer_id": np.concatenate(who), "day": np.concatenate(day)})
    frame["order_date"] = pd.Timestamp("2022-01-01") + pd.to_timedelta(frame.pop("day"), unit="D")
    frame["customer_id"] = "C" + frame["customer_id"].astype(str)
    return frame.assign(value=rng.gamma(4.0, 10.0, len(frame)).round(2) + 0.01)


def seconds(run: Callable[[], object], repeats: int) -> list[float]:
    run()  # Numba compiles once
    found = []
    for _ in range(repeats):
        begin = time.perf_counter()
        run()
        found.append(time.perf_counter() - begin)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--customers", type=int, help="for both parts; 25,000 and a million by default")
    parser.add_argument("--date", default=dt.date.today().isoformat(), help="printed in the results")
    o = parser.parse_args()
    busy = f" Load before: {os.getloadavg()[0]:.1f}."
    small, large = o.customers or 25_000, o.customers or 1_000_000
    lines = ["# Backtests and seasonal fits", "", *machine(o.date, busy), ""]
    lines += [
        "Written by `make bench-backtesting`.",
        "",
        "| what | customers | seconds | remark |",
        "|---|--:|--:|---|",
    ]

    orders = forecast.read_orders(shop(small), currency="USD")
    forecast.backtest(orders, "1Q", 1, candidates=CANDIDATES)  # Numba compiles once
    begin = time.perf_counter()
    forecast.backtest(orders, "1Q", ORIGINS, candidates=CANDIDATES)
    took = time.perf_counter() - begin
    print(f"backtest {took:.1f} s", flush=True)
    names = ", ".join(CANDIDATES)
    lines.append(
        f"| backtest, {ORIGINS} quarters | {small:,} | {took:.0f} | {len(CANDIDATES)} candidates: {names} |"
    )

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "orders.parquet"
        make_orders(make_customers(large), 10**9).to_parquet(path, index=False)
        histories = purchase_histories(forecast.read_orders(path))
        for method in ("mle", "laplace"):
            plain, clocked = (
                seconds(lambda s=s, m=method: fit_clv(histories, "bg-nbd", m, spend=None, seasonal=s), 5)
                for s in (False, True)
            )
            one, two = float(np.median(plain)), float(np.median(clocked))
            print(f"{method}: plain {one:.2f} s, seasonal {two:.2f} s, {two / one:.1f} x", flush=True)
            ratio = f"{two / one:.1f} x"
            lines += [
                f"| BG/NBD, {method}, histories to parameters | {large:,} | {one:.2f} | median of 5 |",
                f"| the same on the seasonal clock, clock included | {large:,} | {two:.2f} | {ratio} |",
            ]
        histories.close()
    if o.customers is None:
        RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
