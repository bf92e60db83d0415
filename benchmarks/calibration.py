"""Simulation-based calibration: is the posterior of every model right? (Talts et al. 2018)

Parameters are drawn from an informative prior on a fixed scale, data are simulated from them, and the
model is fitted with the same prior. The rank of each true parameter among the draws of its posterior must
then be uniform. The ranks' empirical distribution is held against the simultaneous envelope of
Säilynoja, Bürkner & Vehtari (2022), found here by simulation.

    python benchmarks/calibration.py --method nuts    # 200 simulations a model, writes CALIBRATION.md
    python benchmarks/calibration.py                  # laplace, prints only

Data sets are small and chains short. The model is compiled once, not once a simulation: with the
likelihood as text, data are constants of one and the same graph, and PyTensor 2 finds the C code that it
compiled for the first again.
"""

from __future__ import annotations

import argparse
import datetime as dt
import functools
import os
import platform
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
from scipy import stats

from forecast.errors import FitError
from forecast.fitting.fitted import Fitted
from forecast.fitting.laplace import fit_laplace
from forecast.fitting.priors import Prior, Priors
from forecast.fitting.problem import Problem, purchase_problem, spend_problem
from forecast.fitting.spec import GAMMA_GAMMA, PURCHASE_MODELS, ModelSpec
from forecast.summary.statistics import group_purchases, group_spend

SCALE = 100.0  # days, or money: in it the priors speak
KEPT = 99  # draws kept of each posterior, so that ranks have 100 values
CHANCE = 0.95
MODELS = ("bg-nbd", "nbd", "gamma-gamma")
CHAINS, DRAWS, TUNE = 2, 400, 100
RESULTS = Path(__file__).with_name("CALIBRATION.md")
PRIORS: Priors = {
    "log_r": Prior(-0.7, 0.4),
    "log_alpha": Prior(-0.5, 0.4),
    "logit_dropout": Prior(-1.0, 0.5),
    "log_certainty": Prior(1.0, 0.4),
    "log_s": Prior(-0.5, 0.4),
    "log_beta": Prior(-0.5, 0.4),
    "log_p": Prior(1.4, 0.3),
    "log_q_minus_1": Prior(0.9, 0.3),
    "log_gamma": Prior(-0.7, 0.3),
}


@dataclass(frozen=True)
class Calibration:
    """Ranks of the truth among posterior draws.

    Attributes
    ----------
    ranks : ndarray of int, shape (simulations, parameters)
        From 0 to ``KEPT``.
    parameters : tuple of str
        Natural ones, as predictions see them.
    doubtful : int
        Simulations whose fit was doubtful; they are kept.
    refused : int
        Simulations whose data nobody would fit (no repeat purchase at all), drawn again.
    """

    ranks: np.ndarray
    parameters: tuple[str, ...]
    doubtful: int
    refused: int

    def limit(self, chance: float = CHANCE) -> float:
        """The p-value above which all parameters of the model together stay with that chance."""
        size, count = self.ranks.shape
        return critical_value(size, KEPT + 1, chance ** (1.0 / count))

    def least(self) -> dict[str, float]:
        """The least pointwise p-value of each parameter along its ECDF."""
        return {name: float(least_p(self.ranks[:, i])) for i, name in enumerate(self.parameters)}

    def outside(self, chance: float = CHANCE) -> dict[str, float]:
        """Parameters that leave the envelope, with the least pointwise p-value along the way.

        ``chance`` is that of all parameters of the model together staying inside.
        """
        limit = self.limit(chance)
        return {name: p for name, p in self.least().items() if p < limit}


def least_p(ranks: np.ndarray, values: int = KEPT + 1) -> np.ndarray | float:
    """The least two-sided binomial p-value of the ranks' ECDF over all points, ``ranks`` (..., n)."""
    size = ranks.shape[-1]
    points = np.arange(1, values) / values
    below = np.stack([(ranks < k).sum(axis=-1) for k in range(1, values)], axis=-1)
    lower = stats.binom.cdf(below, size, points)
    upper = stats.binom.sf(below - 1, size, points)
    least = 2.0 * np.minimum(lower, upper).min(axis=-1)
    return float(least) if ranks.ndim == 1 else least


@functools.cache
def critical_value(size: int, values: int, chance: float, simulations: int = 10_000) -> float:
    """The p-value that uniform ranks stay above with the given chance, everywhere along the ECDF."""
    rng = np.random.default_rng(0)
    return float(np.quantile(least_p(rng.integers(0, values, (simulations, size)), values), 1.0 - chance))


def simulate(
    spec: ModelSpec, priors: Priors, rng: np.random.Generator, customers: int
) -> tuple[list[float], Problem]:
    """True natural parameters, and the problem of customers simulated from them.

    Raises
    ------
    FitError
        When there is nothing to fit.
    """
    u = [rng.normal(priors[name].mean, priors[name].sd) for name in spec.unconstrained]
    factor = [SCALE if name in spec.scaled else 1.0 for name in spec.parameters]
    truth = [float(v) * f for v, f in zip(spec.natural(*u), factor, strict=True)]
    if spec is GAMMA_GAMMA:
        n = rng.integers(1, 8, customers)
        nu = spec.formulas.newcomer(rng, customers, *truth)
        return truth, spend_problem(spec, group_spend(n, rng.gamma(truth[0] * n) / nu / n), scale=SCALE)
    age = rng.uniform(50.0, 300.0, customers)
    x, t_x, _, _ = spec.formulas.simulate(rng, age, 0.0, *truth)
    return truth, purchase_problem(spec, group_purchases(x, t_x, age), scale=SCALE)


def fit(problem: Problem, priors: Priors, method: str, seed: int) -> Fitted:
    """One fit; laplace with the number of draws that a user gets."""
    if method == "laplace":
        return fit_laplace(problem, priors, seed=seed)
    from forecast.fitting.mcmc import fit_nuts

    return fit_nuts(problem, priors, seed=seed, chains=CHAINS, draws=DRAWS, tune=TUNE, likelihood="text")


def calibrate(
    spec: ModelSpec, method: str = "laplace", *, simulations: int = 50, customers: int = 300, seed: int = 0
) -> Calibration:
    """Ranks of true parameters among ``KEPT`` evenly spaced draws of their posteriors."""
    priors = {name: PRIORS[name] for name in spec.unconstrained}
    rng = np.random.default_rng(seed)
    ranks: list[list[int]] = []
    doubtful = refused = 0
    while len(ranks) < simulations:
        try:
            truth, problem = simulate(spec, priors, rng, customers)
        except FitError:
            refused += 1
            continue
        fitted = fit(problem, priors, method, seed=len(ranks))
        doubtful += fitted.verdict.code == "doubtful"
        row = []
        for name, value in zip(spec.parameters, truth, strict=True):
            draws = fitted.draws[name]
            kept = draws[np.linspace(0, len(draws) - 1, KEPT).astype(int)]
            row.append(int((kept < value).sum()))
        ranks.append(row)
    return Calibration(np.array(ranks), spec.parameters, doubtful, refused)


def rows(spec: ModelSpec, found: Calibration, seconds: float) -> list[str]:
    """The table's rows of a model, one a parameter."""
    size = len(found.ranks)
    lines = []
    for i, (name, least) in enumerate(found.least().items()):
        share = found.ranks[:, i] / KEPT
        cells = [
            spec.title if i == 0 else "", name, "outside" if least < found.limit() else "inside",
            f"{least:.4f}", f"{found.limit():.4f}", f"{share.mean():.3f}",
            f"{np.mean(np.abs(share - 0.5) < 0.4):.3f}",
            *([f"{found.doubtful} of {size}", str(found.refused), f"{seconds:.0f}"] if i == 0 else [""] * 3),
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return lines


HEAD = (
    "model", "parameter", "ranks", "least p", "limit", "mean rank", "in 80 % interval", "doubtful",
    "drawn again", "s",
)  # fmt: skip


def report(table: list[str], method: str, simulations: int, customers: int, date: str, load: float) -> str:
    """The page."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("clv-forecast", "pymc", "numpy"))
    how = f"{CHAINS} chains of {DRAWS} draws after {TUNE}" if method == "nuts" else "1,000 weighted draws"
    lines = [
        f"# Calibration of {method}",
        "",
        f"{date}; {os.cpu_count()} cores, Python {platform.python_version()}, {versions}; load {load:.1f} at "
        "the start.",
        "",
        f"{simulations} times a model: parameters drawn from an informative prior, {customers} customers "
        f"simulated from them, the model fitted with the same prior ({how}). The rank of the true parameter "
        f"among {KEPT} evenly spaced draws must be uniform (Talts et al. 2018). `ranks` says whether their "
        f"ECDF stays inside the simultaneous {CHANCE:.0%} envelope of the model's parameters together "
        "(Säilynoja et al. 2022): `least p` is the least pointwise p-value along the ECDF, and the envelope "
        "is left below `limit`. A right posterior has a mean rank of 0.5 and the truth in its central 80 % "
        "interval 80 % of the time. Doubtful fits are kept; data that nobody would fit (no repeat purchase "
        "at all) are drawn again. Write this file anew with `make bench-calibration`.",
        "",
        "| " + " | ".join(HEAD) + " |",
        "|---|---|---|--:|--:|--:|--:|--:|--:|--:|",
        *table,
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", choices=("laplace", "nuts"), default="laplace")
    known = [*PURCHASE_MODELS, GAMMA_GAMMA.name]
    parser.add_argument("--models", nargs="+", choices=known, default=list(MODELS), metavar="MODEL")
    parser.add_argument("--simulations", type=int, default=200)
    parser.add_argument("--customers", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--date", default=dt.date.today().isoformat(), help="printed in the results")
    parser.add_argument("--out", type=Path, help="by default CALIBRATION.md for nuts with 200 simulations")
    options = parser.parse_args()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    failed = False
    table: list[str] = []
    for name in options.models:
        spec = GAMMA_GAMMA if name == GAMMA_GAMMA.name else PURCHASE_MODELS[name]
        begun = time.perf_counter()
        found = calibrate(
            spec,
            options.method,
            simulations=options.simulations,
            customers=options.customers,
            seed=options.seed,
        )
        seconds = time.perf_counter() - begun
        outside = found.outside()
        failed |= bool(outside)
        table += rows(spec, found, seconds)
        least = {key: round(p, 4) for key, p in found.least().items()}
        print(
            f"{spec.name:12s} {options.method:8s} {options.simulations} simulations "
            f"{'OUTSIDE ' + str(sorted(outside)) if outside else 'inside'} the envelope "
            f"(least p {least}, "
            f"limit {found.limit():.4f}), {found.doubtful} doubtful, {found.refused} drawn again, "
            f"{seconds:.0f} s",
            flush=True,
        )
    usual = options.method == "nuts" and options.simulations >= 200 and set(MODELS) <= set(options.models)
    out = options.out or (RESULTS if usual else None)
    if out is not None:
        out.write_text(
            report(table, options.method, options.simulations, options.customers, options.date, load),
            encoding="utf-8",
        )
    raise SystemExit(int(failed))


if __name__ == "__main__":
    main()
