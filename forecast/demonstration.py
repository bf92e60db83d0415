"""The whole job on data that anybody can have: CDNOW's master log."""

from __future__ import annotations

import itertools
from typing import Any

import pandas as pd

from forecast.datasets import cdnow
from forecast.evaluation.backtest import backtest as run_backtest
from forecast.evaluation.baselines import BASELINES
from forecast.history import historical_clv
from forecast.model import load
from forecast.orders import read_orders
from forecast.periods import check_seed
from forecast.pipeline import Outcome, Progress, facts, fit, history, score
from forecast.reports.pages import demo_page
from forecast.reports.sections_backtest import pictures
from forecast.reports.terminal import board_lines
from forecast.reports.writing import write_backtest
from forecast.store.guarding import output_folder
from forecast.store.writing import write_table, write_text


def demo(*, out: Any = "demo", seed: int = 0, progress: Progress | None = None) -> Outcome:
    """The whole job on CDNOW's master log: baseline, forecast, backtest, saved model and one page."""
    check_seed(seed)
    folder = output_folder(out)
    done = itertools.count()

    def step(text: str) -> None:
        if progress is not None:
            progress(text, next(done), 6)

    step("reading CDNOW's 69,659 order lines")
    write_table(cdnow("master"), folder / "orders.csv")
    orders = read_orders(folder / "orders.csv", currency="USD")
    step("historical CLV")
    past = historical_clv(orders)
    baseline = history(orders, out=folder / "history")
    step("fitting BG/NBD and Gamma-Gamma")
    fitted = fit(orders, "cdnow", models=folder / "models", purchases="bg-nbd")
    model = load(folder / "models" / "cdnow")
    step("scoring 23,570 customers")
    scored = score(orders, "cdnow", models=folder / "models", out=folder / "scores.parquet", seed=seed)
    scores = pd.read_parquet(folder / "scores.parquet")
    portfolio = pd.DataFrame(scored.data["portfolio"])
    step("backtesting four quarters against simple rules")
    found = run_backtest(orders, "1Q", 4, candidates=["bg-nbd", "nbd", *BASELINES], seed=seed)
    about = facts(orders)
    shown = pictures(found, about.get("currency"))  # for both pages
    write_backtest(found, folder / "backtest", about, shown)
    step("drawing the page")
    page = demo_page(
        history=past,
        model=model,
        scores=scores,
        portfolio=portfolio,
        backtest=found,
        reconciliation=orders.reconciliation,
        facts=about,
        shown=shown,
    )
    write_text(page, folder / "index.html")
    step("done")
    best = found.summary().query("target == 'orders'").iloc[0]
    lines = [
        "CDNOW, 23,570 customers: from an order log to a forecast",
        "",
        *baseline.lines,
        "",
        *fitted.lines[2:-1],
        "",
        *scored.lines[:-1],
        "",
        *board_lines(found),
        f"Smallest error of quarterly orders: {best['model']} ({best['wape']:.1%}).",
        "Intervals of totals do not know seasons or drift; the hits show how often that was enough.",
        "",
        f"Scores      {folder}/scores.parquet",
        f"Model       {folder}/models/cdnow",
        f"Backtest    {folder}/backtest/backtest.html",
        f"Open this:  {folder}/index.html",
    ]
    data = {
        "history": baseline.data,
        "fit": fitted.data,
        "score": scored.data,
        "page": str(folder / "index.html"),
    }
    return Outcome({**data, "backtest": found.summary().to_dict("records")}, lines)
