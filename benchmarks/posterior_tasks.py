"""What posterior.py times of ours: each task gets a file of histories and returns what is timed."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from watching import memory
from workload import HORIZON, LAST_DAY

PEER_DRAWS = 4000

Timed = Callable[[], dict[str, Any]]


def _purchases(path: Path) -> tuple[np.ndarray, ...]:
    frame = pd.read_parquet(path, columns=["frequency", "recency", "T"])
    return tuple(frame[name].to_numpy() for name in frame)


def _fit(path: Path, method: str) -> Timed:
    from forecast.fitting import fit_purchases, purchase_model
    from forecast.summary.statistics import group_purchases

    arrays = _purchases(path)

    def run() -> dict[str, Any]:
        found = fit_purchases(purchase_model("bg-nbd"), group_purchases(*arrays), method)
        kept = {name: found.extra[name] for name in ("k_hat", "ess_bulk", "r_hat") if name in found.extra}
        draws = len(next(iter(found.draws.values())))
        return {"parameters": found.parameters, "draws": draws, "verdict": found.verdict.code, **kept}

    return run


def laplace(path: Path) -> Timed:
    """Grouping, mode, 1,000 weighted draws."""
    return _fit(path, "laplace")


def nuts(path: Path) -> Timed:
    """Grouping, four chains, and PyMC's import, which every such fit pays."""
    return _fit(path, "nuts")


def save(path: Path) -> Timed:
    """Not measured: fits the models that are scored, and the posterior given to pymc-marketing."""
    from forecast.fitting import fit_purchases, fit_spend, purchase_model
    from forecast.fitting.laplace import fit_laplace
    from forecast.fitting.priors import resolve_priors
    from forecast.fitting.problem import purchase_problem
    from forecast.summary.statistics import group_purchases, group_spend

    frame = pd.read_parquet(path)
    counts = group_purchases(*(frame[name].to_numpy() for name in ("frequency", "recency", "T")))
    spec = purchase_model("bg-nbd")

    def run() -> dict[str, Any]:
        spend = group_spend(frame["monetary_count"].to_numpy(), frame["monetary_value"].to_numpy())
        parts = (fit_purchases(spec, counts, "laplace"), fit_spend(spend, method="laplace"))
        path.with_name("model.json").write_text(json.dumps([part.to_dict() for part in parts]))
        priors = resolve_priors(spec.unconstrained)
        many = fit_laplace(purchase_problem(spec, counts), priors, draws=PEER_DRAWS)
        pd.DataFrame(many.draws).to_csv(path.with_name("draws.csv"), index=False)
        frame[["customer_id", "frequency", "recency", "T"]].to_csv(path.with_name("peer.csv"), index=False)
        return {}

    return run


def _model(path: Path, every_draw: bool = False) -> Any:
    from forecast.fitting import GAMMA_GAMMA, Fitted, purchase_model
    from forecast.predict import ClvModel

    class EveryDraw(Fitted):
        """A posterior of which predictions use every draw, where ours take as many as they need."""

        def predictive_draws(self) -> tuple[list[tuple[float, ...]], np.ndarray]:
            return self.thinned(len(self.each_draw()))

    kind = EveryDraw if every_draw else Fitted
    purchases, spend = json.loads(path.with_name("model.json").read_text())
    specs = (purchase_model("bg-nbd"), GAMMA_GAMMA)
    parts = (kind.from_dict(spec, data) for spec, data in zip(specs, (purchases, spend), strict=True))
    return ClvModel(*parts)


def score(path: Path) -> Timed:
    """All customers in memory, results too."""
    from forecast.predict import Customers, predict_customers

    model, frame = _model(path), pd.read_parquet(path)

    def run() -> dict[str, Any]:
        found = predict_customers(model, Customers.from_frame(frame), days=HORIZON, levels=(80.0, 95.0))
        used = len(model.purchases.predictive_draws()[0])
        return {"total": float(found["expected_purchases"].sum()), "columns": len(found), "used": used}

    return run


def _stream(path: Path, every_draw: bool) -> Timed:
    import pyarrow.parquet as pq

    from forecast.pipeline import BATCH  # what `forecast score` reads at a time
    from forecast.predict import score_table
    from forecast.store.writing import TableWriter

    model = _model(path, every_draw)

    def run() -> dict[str, Any]:
        total = 0.0
        with (
            tempfile.TemporaryDirectory(dir=path.parent) as folder,
            TableWriter(Path(folder) / "scores.parquet") as writer,
        ):
            for batch in pq.ParquetFile(path).iter_batches(BATCH):
                table = score_table(model, batch.to_pandas(), as_of=LAST_DAY.date(), days=HORIZON)
                total += float(table["expected_purchases"].sum())
                writer.write(table)
        return {"total": total, "used": len(model.purchases.predictive_draws()[0])}

    return run


def stream(path: Path) -> Timed:
    """Block by block from one Parquet file into another, as `forecast score` does."""
    return _stream(path, every_draw=False)


def stream_every(path: Path) -> Timed:
    """The same with every one of the 1,000 draws in every customer's distribution."""
    return _stream(path, every_draw=True)


TASKS: dict[str, Callable[[Path], Timed]] = {
    f.__name__: f for f in (laplace, nuts, save, score, stream, stream_every)
}


def run_task(name: str, path: Path, repeats: int) -> dict[str, Any]:
    run = TASKS[name](path)
    held, seconds, note = memory("VmRSS"), [], {}
    for _ in range(repeats):
        begin = time.perf_counter()
        note = run()
        seconds.append(time.perf_counter() - begin)
    return {"seconds": seconds, "note": note, "held_mb": held / 1024, "peak_mb": memory("VmHWM") / 1024}
