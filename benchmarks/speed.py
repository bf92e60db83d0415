"""How long the hot paths take, beside lifetimes on the same machine in the same run.

Every task runs in a process of its own, so that its peak memory is its own; a task and its peer run one
after the other. Numbers are medians. Ours are warmed up once, because Numba compiles at the first call
ever and keeps the result on disk; what that first call costs is a row of its own.

    python benchmarks/speed.py                       # a million customers, writes benchmarks/RESULTS.md
    python benchmarks/speed.py --customers 100000    # a quick look, writes nothing
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from watching import forget_peak, machine, memory
from workload import HORIZON, LAST_DAY, SPEND, TRUTH, make_customers, make_orders

RESULTS = Path(__file__).with_name("RESULTS.md")


# --- tasks: each returns what is timed and, where there is one, a note for the table -----------------------

Timed = Callable[[], Any]


def _arrays(frame: pd.DataFrame) -> tuple[np.ndarray, ...]:
    return tuple(frame[name].to_numpy(dtype=float) for name in ("frequency", "recency", "T"))


def _model(spend: bool = True) -> Any:
    from forecast.fitting import GAMMA_GAMMA, Fitted, purchase_model
    from forecast.predict import ClvModel

    bg = Fitted.from_parameters(purchase_model("bg-nbd"), TRUTH, "given")
    return ClvModel(bg, Fitted.from_parameters(GAMMA_GAMMA, SPEND, "given") if spend else None)


def ours_fit_arrays(folder: Path) -> Timed:
    from forecast.fitting import fit_purchases, purchase_model
    from forecast.summary.statistics import group_purchases

    x, t_x, T = _arrays(pd.read_parquet(folder / "customers.parquet"))

    def run() -> dict[str, Any]:
        counts = group_purchases(x, t_x, T)
        fitted = fit_purchases(purchase_model("bg-nbd"), counts)
        return {"parameters": fitted.parameters, "errors": fitted.standard_errors, "rows": len(counts.x)}

    return run


def ours_fit_frame(folder: Path) -> Timed:
    from forecast import BetaGeoNBD

    frame = pd.read_parquet(folder / "customers.parquet")
    return lambda: {"parameters": BetaGeoNBD().fit(frame).params_}


def _their_fit(folder: Path, unit: float, grouped: bool = False) -> Timed:
    from lifetimes import BetaGeoFitter

    x, t_x, T = _arrays(pd.read_parquet(folder / "customers.parquet"))
    weights = None
    if grouped:
        from forecast.summary.statistics import group_purchases

        counts = group_purchases(x, t_x, T)
        x, t_x, T, weights = counts.x, counts.t_x, counts.T, counts.weight

    def run() -> dict[str, Any]:
        fitter = BetaGeoFitter()
        fitter.fit(x, t_x / unit, T / unit, weights=weights)
        found = {name: float(value) for name, value in fitter.params_.items()}
        found["alpha"] *= unit
        return {"parameters": found}

    return run


def their_fit_days(folder: Path) -> Timed:
    return _their_fit(folder, 1.0)


def their_fit_weeks(folder: Path) -> Timed:
    return _their_fit(folder, 7.0)


def their_fit_grouped(folder: Path) -> Timed:
    return _their_fit(folder, 7.0, grouped=True)


def ours_spend(folder: Path) -> Timed:
    from forecast import GammaGamma

    frame = pd.read_parquet(folder / "customers.parquet")
    return lambda: {"parameters": GammaGamma().fit(frame).params_}


def their_spend(folder: Path) -> Timed:
    from lifetimes import GammaGammaFitter

    frame = pd.read_parquet(folder / "customers.parquet")
    frame = frame[frame["frequency"] > 0]
    mean = float(frame["monetary_value"].mean())

    def run(scale: float) -> dict[str, Any]:
        fitter = GammaGammaFitter()
        fitter.fit(frame["frequency"], frame["monetary_value"] / scale)
        p, q, v = (float(fitter.params_[name]) for name in ("p", "q", "v"))
        return {"parameters": {"p": p, "q": q, "gamma": v * scale}, "scale": scale}

    # Whether its search settles depends on the unit of money, so it gets one in which it does.
    for scale in (mean, 1.0, 10.0, 100.0):
        with contextlib.suppress(Exception), contextlib.redirect_stdout(io.StringIO()):
            run(scale)
            break
    return lambda: run(scale)


def _ours_score(folder: Path, levels: tuple[float, ...]) -> Timed:
    from forecast.predict import Customers, predict_customers

    model, customers = _model(), Customers.from_frame(pd.read_parquet(folder / "customers.parquet"))

    def run() -> dict[str, Any]:
        found = predict_customers(model, customers, days=HORIZON, levels=levels)
        return {"total": float(found["expected_purchases"].sum()), "columns": len(found)}

    return run


def ours_score_points(folder: Path) -> Timed:
    return _ours_score(folder, ())


def ours_score_intervals(folder: Path) -> Timed:
    return _ours_score(folder, (80.0, 95.0))


def _their_model() -> Any:
    from lifetimes import BetaGeoFitter

    fitter = BetaGeoFitter()
    fitter.params_ = pd.Series(TRUTH)
    fitter.predict = fitter.conditional_expected_number_of_purchases_up_to_time
    return fitter


def their_score(folder: Path) -> Timed:
    fitter, frame = _their_model(), pd.read_parquet(folder / "customers.parquet")

    def run() -> dict[str, Any]:
        x, t_x, T = frame["frequency"], frame["recency"], frame["T"]
        expected = fitter.conditional_expected_number_of_purchases_up_to_time(HORIZON, x, t_x, T)
        fitter.conditional_probability_alive(x, t_x, T)
        return {"total": float(np.sum(expected))}

    return run


def their_clv(folder: Path) -> Timed:
    from lifetimes import GammaGammaFitter

    fitter, frame = _their_model(), pd.read_parquet(folder / "customers.parquet")
    spend = GammaGammaFitter()
    spend.params_ = pd.Series({"p": SPEND["p"], "q": SPEND["q"], "v": SPEND["gamma"]})
    value = frame["monetary_value"].fillna(0.0)

    def run() -> dict[str, Any]:
        spend.customer_lifetime_value(
            fitter, frame["frequency"], frame["recency"], frame["T"], value,
            time=12, discount_rate=0.0, freq="D",
        )  # fmt: skip
        return {}

    return run


def ours_histories(folder: Path) -> Timed:
    from forecast import purchase_histories, read_orders

    def run() -> dict[str, Any]:
        frame = purchase_histories(read_orders(folder / "orders.parquet")).to_frame()
        return {"customers": len(frame), "repeats": int(frame["frequency"].sum())}

    return run


def their_histories(folder: Path) -> Timed:
    from lifetimes.utils import summary_data_from_transaction_data

    def run() -> dict[str, Any]:
        orders = pd.read_parquet(folder / "orders.parquet")
        frame = summary_data_from_transaction_data(
            orders, "customer_id", "order_date", monetary_value_col="value",
            observation_period_end=LAST_DAY, freq="D",
        )  # fmt: skip
        return {"customers": len(frame), "repeats": int(frame["frequency"].sum())}

    return run


TASKS: dict[str, Callable[[Path], Timed]] = {
    function.__name__: function
    for function in (
        ours_fit_arrays, ours_fit_frame, their_fit_days, their_fit_weeks, their_fit_grouped, ours_spend,
        their_spend, ours_score_points, ours_score_intervals, their_score, their_clv, ours_histories,
        their_histories,
    )
}  # fmt: skip


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

    def run(self, name: str, repeats: int, *, warm: bool = False, cold: bool = False) -> dict[str, Any]:
        command = [sys.executable, __file__, "--task", name, "--folder", str(self.folder)]
        command += ["--repeats", str(repeats), *(["--warm"] if warm else [])]
        environment = dict(os.environ)
        if cold:
            environment["NUMBA_CACHE_DIR"] = tempfile.mkdtemp(dir=self.folder)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{name} failed:\n{done.stderr}")
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        result["median"] = float(np.median(result["seconds"])) if result["seconds"] else float("nan")
        key = f"{name} cold" if cold else name
        self.found[key] = result
        print(f"  {key:<28} {result['median']:8.3f} s  {result['note'].get('failed', '')}", flush=True)
        return result

    def ours(self, name: str) -> None:
        self.run(name, 9, warm=True)

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


def measure(customers: int, most_orders: int, folder: Path) -> tuple[Bench, list[tuple[str, ...]]]:
    """All tasks in turn, and the rows of the table."""
    frame = make_customers(customers)
    frame.to_parquet(folder / "customers.parquet", index=False)
    orders = make_orders(frame, most_orders)
    orders.to_parquet(folder / "orders.parquet", index=False)
    size, lines = f"{len(frame):,}", f"{len(orders):,}"
    del frame, orders

    b = Bench(folder)
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
    b.ours("ours_spend")
    b.run("their_spend", 3)
    b.ours("ours_score_points")
    b.ours("ours_score_intervals")
    b.run("their_score", 3)
    b.run("their_clv", 3)
    b.run("ours_histories", 3, warm=True)
    b.run("their_histories", 3)
    return b, rows(b, best, size, lines)


def rows(b: Bench, best: str, size: str, lines: str) -> list[tuple[str, ...]]:
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
    groups = b.note("ours_fit_arrays", "rows")
    totals = b.note("their_score", "total") / b.note("ours_score_points", "total") - 1.0
    same_repeats = b.note("ours_histories", "repeats") == b.note("their_histories", "repeats")
    return [
        row(f"BG/NBD fit, {size} customers, arrays to parameters with standard errors",
            "ours_fit_arrays", best,
            f"grouping to {groups:,} rows included; lifetimes in {unit} ("
            f"{'weeks' if unit == 'days' else 'days'}: {rest}); {b.same('ours_fit_arrays', best)}"),
        row("same, through `BetaGeoNBD().fit(frame)` and its gate", "ours_fit_frame", best,
            b.same("ours_fit_frame", best)),
        row("same, lifetimes given our grouped rows as `weights`", "ours_fit_frame", "their_fit_grouped",
            "grouping not in lifetimes' time; " + b.same("ours_fit_frame", "their_fit_grouped")),
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
        row(f"{lines} orders in Parquet to purchase histories", "ours_histories", "their_histories",
            "reading, checks and reconciliation included; " + (
                "same number of repeat purchases" if same_repeats else "REPEAT PURCHASES DIFFER")),
        alone("first fit ever on a machine (`BetaGeoNBD().fit`, nothing compiled)", "ours_fit_frame cold",
              "compiled code is kept on disk afterwards"),
        alone("first scoring with intervals ever", "ours_score_intervals cold", "likewise"),
    ]  # fmt: skip


HEAD = ("what", "ours, s", "lifetimes, s", "ratio", "our peak", "their peak", "remark")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--orders", type=int, help="two for each customer by default")
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
        _, table = measure(given.customers, given.orders or 2 * given.customers, Path(folder))
    python = sys.executable
    bare = wall([python, "-c", "pass"])
    starts = [
        ("`forecast --help`", wall([python, "-m", "forecast", "--help"])),
        ("`import forecast`", wall([python, "-c", "import forecast"])),
    ]
    table += [
        (what, f"{s:.3f}", "", "", "", "", f"whole process; {bare:.3f} s of it is Python itself")
        for what, s in starts
    ]

    text = [
        "# Speed",
        "",
        *machine(given.date, busy),
        "",
        "Medians of 9 (ours) and 3 (lifetimes, and both for orders to histories) in one run, smallest and "
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
        "| " + " | ".join(HEAD) + " |",
        "|---|--:|--:|--:|--:|--:|---|",
        *("| " + " | ".join(line) + " |" for line in table),
        "",
    ]  # fmt: skip
    print("\n".join(text))
    print(f"The run took {time.perf_counter() - begin:.0f} s.")
    out = given.out or (RESULTS if given.customers >= 1_000_000 else None)
    if out is not None:
        out.write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    main()
