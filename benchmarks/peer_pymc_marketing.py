"""pymc-marketing's part of posterior.py: runs in its own virtual environment and knows nothing of ours.

    python peer_pymc_marketing.py map|mcmc|score peer.csv

Time is given to it in weeks, as in its examples, since its default priors speak of the input's unit. All its
settings are its defaults; only the number of chains is named. Prints one line of JSON.
"""

from __future__ import annotations

import json
import logging
import platform
import sys
import time
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

import arviz as az
import numpy as np
import pandas as pd
import xarray as xr
from pymc_marketing.clv import BetaGeoModel

CHAINS, DRAWS = 4, 1000
DAYS_A_WEEK, HORIZON_WEEKS = 7.0, 365 / 7
NAMES = ("r", "alpha", "a", "b")


def read(path: Path) -> pd.DataFrame:
    """Histories as it wants them: ``customer_id, frequency, recency, T``, in weeks."""
    found = pd.read_csv(path)
    return found.assign(recency=found["recency"] / DAYS_A_WEEK, T=found["T"] / DAYS_A_WEEK)


def in_days(values: dict[str, float]) -> dict[str, float]:
    return values | {"alpha": values["alpha"] * DAYS_A_WEEK}


def fit(data: pd.DataFrame, **options: Any) -> dict[str, np.ndarray]:
    model = BetaGeoModel()
    model.fit(data, progressbar=False, random_seed=0, **options)
    return {name: model.fit_result[name].to_numpy() for name in NAMES}


def by_map(data: pd.DataFrame, _: Path) -> tuple[list[float], dict[str, Any]]:
    seconds, found = [], {}
    for _repeat in range(3):
        begin = time.perf_counter()
        found = fit(data, method="map")
        seconds.append(time.perf_counter() - begin)
    return seconds, {"parameters": in_days({name: float(v.mean()) for name, v in found.items()})}


def by_mcmc(data: pd.DataFrame, _: Path) -> tuple[list[float], dict[str, Any]]:
    begin = time.perf_counter()
    found = fit(data, method="mcmc", chains=CHAINS)
    seconds = time.perf_counter() - begin
    size = min(float(az.ess(values, method="bulk")) for values in found.values())
    return [seconds], {
        "ess": size,
        "parameters": in_days({name: float(v.mean()) for name, v in found.items()}),
    }


def score(data: pd.DataFrame, path: Path) -> tuple[list[float], dict[str, Any]]:
    """``expected_purchases`` for the posterior in ``draws.csv``: 4 chains of 1,000 draws."""
    draws = pd.read_csv(path.with_name("draws.csv"))
    model = BetaGeoModel()
    model.build_model(data)
    columns = {name: draws[name].to_numpy() for name in NAMES}
    columns["alpha"] = columns["alpha"] / DAYS_A_WEEK
    posterior = {name: (("chain", "draw"), v.reshape(CHAINS, DRAWS)) for name, v in columns.items()}
    coordinates = {"chain": np.arange(CHAINS), "draw": np.arange(DRAWS)}
    model.idata = xr.DataTree.from_dict({"/posterior": xr.Dataset(posterior, coordinates)})
    begin = time.perf_counter()
    found = model.expected_purchases(data, future_t=HORIZON_WEEKS)
    total = float(found.mean(("chain", "draw")).sum())
    return [time.perf_counter() - begin], {"total": total, "shape": list(found.shape)}


def main() -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    task, path = sys.argv[1], Path(sys.argv[2])
    seconds, note = {"map": by_map, "mcmc": by_mcmc, "score": score}[task](read(path), path)
    versions = {name: metadata.version(name) for name in ("pymc-marketing", "pymc", "arviz")}
    print(json.dumps({"seconds": seconds, "note": note, "python": platform.python_version(), **versions}))


if __name__ == "__main__":
    main()
