"""Issue, wait, compare: every quarter of an order log as the quarterly review would have seen it.

At each quarter's end a model is fitted with what was known then, a forecast is issued, and a quarter later
it is compared with what happened: known customers, those won in the quarter, and the whole. CDNOW is a cohort
that nobody joins. Further logs are Parquet files in the folder that CLV_BENCH_DATA names, as for accuracy.py.

    python benchmarks/replay.py                      # writes benchmarks/REPLAY.md and REPLAY.png
    python benchmarks/replay.py --sets cdnow-master  # a quick look, writes nothing
    python benchmarks/replay.py --kept FOLDER        # keeps the ledgers; what was issued is not issued again
"""

from __future__ import annotations

import argparse
import datetime as dt
import tempfile
import time
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd
from accuracy_runs import LEAST_AGE, Source, sources
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import forecast
from forecast.periods import quarter_of
from forecast.reports.canvas import safe
from forecast.reports.figures_review import track_record as figure
from forecast.store.ledger import list_issues

SETS = ("cdnow-master", "uci_online_retail_ii", "essec_purchases")
GOAL = 0.12
DRAWS = 1000


def quarter_ends(orders: forecast.Orders) -> list[dt.date]:
    """Ends of quarters after which a whole quarter is known, from half a year of history on."""
    found, day = [], orders.first_day
    while True:
        end = quarter_of(day).end
        day = end + dt.timedelta(days=1)
        if quarter_of(day).end > orders.last_day:
            return found
        if (end - orders.first_day).days >= LEAST_AGE:
            found.append(end)


def replay(source: Source, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The track record of one log, and what the last comparison says of drift."""
    orders = source.read()
    plan = "none" if source.name.startswith("cdnow") else None
    ledger = folder / source.name / "ledger"
    done = {issue.as_of for issue in list_issues(ledger)[0]}
    for end in quarter_ends(orders):
        if end in done:
            continue
        began = time.perf_counter()
        model = forecast.fit(orders, end).save(folder / source.name / "models" / "shop")
        issued = forecast.issue(model, orders, 1, as_of=end, ledger=ledger, plan=plan, draws=DRAWS)
        found = forecast.compare(orders, ledger=ledger, quarter=issued.content["quarters"][0]["quarter"])
        print(f"{source.name} {time.perf_counter() - began:5.1f} s {found!r}", flush=True)
    return forecast.track_record(ledger), forecast.drift(ledger)


def summary(record: pd.DataFrame, name: str) -> list[str]:
    """Lines of the table: the whole quarter, known and new customers."""
    rows = []
    target = "value" if (record["target"] == "value").any() else "purchases"
    begin = record["as_of"].min() + dt.timedelta(days=548)  # the first forecast is half a year into the log
    for group, of in (
        ("all", "all"),
        ("known", "known"),
        ("new", "new"),
        ("all, from the third year", "all"),
    ):
        own = record[(record["target"] == target) & (record["group"] == of)]
        own = own[own["as_of"] >= begin] if group != of else own
        if not len(own) or not own[["forecast", "actual"]].to_numpy().any():
            continue
        miss, total = own["forecast"] - own["actual"], own["actual"].sum()
        error = own["error"].abs()
        rows.append(
            f"| {name} | {group} | {target} | {len(own)} | {miss.abs().sum() / total:.1%} | "
            f"{miss.sum() / total:+.1%} | {error.median():.1%} | {(error <= GOAL).mean():.0%} | "
            f"{own['hit-80'].mean():.0%} | {own['hit-95'].mean():.0%} |"
        )
    return rows


def quarters(record: pd.DataFrame, name: str) -> list[str]:
    """Every quarter of one log."""
    target = "value" if (record["target"] == "value").any() else "purchases"
    own = record[record["target"] == target].pivot(index="quarter", columns="group")
    lines = [
        f"## {name}", "",
        "| quarter | forecast | 80 % interval | actual | error | known | new | won: forecast, actual |",
        "| :-- | --: | --: | --: | --: | --: | --: | --: |",
    ]  # fmt: skip
    won = record[(record["target"] == "acquired") & (record["group"] == "new")].set_index("quarter")
    for quarter, row in own.iterrows():
        new = row[("error", "new")]
        lines.append(
            f"| {quarter} | {row[('forecast', 'all')]:,.0f} | {row[('lo-80', 'all')]:,.0f} to "
            f"{row[('hi-80', 'all')]:,.0f} | {row[('actual', 'all')]:,.0f} | {row[('error', 'all')]:+.1%} | "
            f"{row[('error', 'known')]:+.1%} | {'' if new != new else f'{new:+.1%}'} | "
            f"{won.loc[quarter, 'forecast']:,.0f}, {won.loc[quarter, 'actual']:,.0f} |"
        )
    return [*lines, ""]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", help="names, with commas between; all by default")
    parser.add_argument("--kept", type=Path, help="a folder for models and ledgers")
    parser.add_argument("--date", default=dt.date.today().isoformat(), help="printed in the results")
    given = parser.parse_args()
    wanted = given.sets.split(",") if given.sets else SETS
    available = {source.name: source for source in sources()[0]}
    records = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in wanted:
            if name in available:
                records[name], drift = replay(available[name], given.kept or Path(scratch))
                print("\n".join(quarters(records[name], name)))
                print(drift.to_string(index=False))
    table = [
        "| log | customers | of | quarters | WAPE | bias | median error | within 12 % | in 80 % | in 95 % |",
        "| :-- | :-- | :-- | --: | --: | --: | --: | --: | --: | --: |",
        *(line for name, record in records.items() for line in summary(record, name)),
    ]
    print("\n".join(table))
    if given.sets:
        return
    text = [
        "# Quarters issued and settled", "",
        f"{given.date}; clv-forecast {metadata.version('clv-forecast')}; written by `make bench-replay`.", "",
        "At each quarter's end, from half a year of history on, `forecast.fit` with its defaults, "
        "`forecast.issue` and, a quarter later, `forecast.compare`. Arrivals of new customers are "
        "expected as in the same days of earlier years, moved half-way to the last quarter; CDNOW is a "
        "cohort that nobody joins. The goal (A9) is an error of the whole quarter within 12 %.", "",
        *table, "", "![Track records](REPLAY.png)", "",
        *(line for name, record in records.items() for line in quarters(record, name)),
    ]  # fmt: skip
    Path(__file__).with_name("REPLAY.md").write_text("\n".join(text).rstrip() + "\n", encoding="utf-8")
    draw(records, Path(__file__).with_name("REPLAY.png"))


def draw(records: dict[str, pd.DataFrame], path: Path) -> None:
    """One plot: a panel a log."""
    canvas = FigureCanvasAgg(Figure(figsize=(11, 3.6 * len(records)), layout="constrained"))
    panels = np.atleast_1d(canvas.figure.subplots(len(records), 1))
    for axes, (name, record) in zip(panels, records.items(), strict=True):
        target = "value" if (record["target"] == "value").any() else "purchases"
        figure(record[record["group"] == "all"], target, axes)
        axes.set_title(f"{safe(name)}: {target} of the whole quarter", loc="left", fontweight="bold", pad=24)
    canvas.figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
