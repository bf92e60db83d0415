"""Simulation-based calibration: is the posterior of every model right? (Talts et al. 2018)

Parameters are drawn from an informative prior on a fixed scale, data are simulated from them, and the
model is fitted with the same prior. The rank of each true parameter among the draws of its posterior must
then be uniform. The ranks' empirical distribution is held against the simultaneous envelope of
Säilynoja, Bürkner & Vehtari (2022), found here by simulation.

    python benchmarks/calibration.py                                  # laplace, 200 simulations a model
    python benchmarks/calibration.py --method nuts --simulations 200
"""

from __future__ import annotations

import argparse
import functools
import time
from dataclasses import dataclass

import numpy as np
from scipy import stats

from forecast.errors import FitError
from forecast.fitting.fitted import Fitted
from forecast.fitting.laplace import fit_laplace
from forecast.fitting.priors import Prior, Priors
from forecast.fitting.problem import Problem, purchase_problem, spend_problem
from forecast.fitting.spec import GAMMA_GAMMA, PURCHASE_MODELS, ModelSpec
from forecast.maths import bgprocess
from forecast.summary.statistics import group_purchases, group_spend

SCALE = 100.0  # days, or money: in it the priors speak
KEPT = 99  # draws kept of each posterior, so that ranks have 100 values
CHANCE = 0.95
PRIORS: Priors = {
    "log_r": Prior(-0.7, 0.4),
    "log_alpha": Prior(-0.5, 0.4),
    "logit_dropout": Prior(-1.0, 0.5),
    "log_certainty": Prior(1.0, 0.4),
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

    def outside(self, chance: float = CHANCE) -> dict[str, float]:
        """Parameters that leave the envelope, with the least pointwise p-value along the way.

        ``chance`` is that of all parameters of the model together staying inside.
        """
        size, count = self.ranks.shape
        limit = critical_value(size, KEPT + 1, chance ** (1.0 / count))
        found = {name: least_p(self.ranks[:, i]) for i, name in enumerate(self.parameters)}
        return {name: p for name, p in found.items() if p < limit}


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
    rate, leave, gone = spec.formulas.newcomer(rng, customers, *truth)
    x, t_x, _, _ = bgprocess.walk(rng, rate, leave, gone, age, 0.0)
    return truth, purchase_problem(spec, group_purchases(x, t_x, age), scale=SCALE)


def fit(problem: Problem, priors: Priors, method: str, seed: int) -> Fitted:
    """One fit; laplace with the number of draws that a user gets."""
    if method == "laplace":
        return fit_laplace(problem, priors, seed=seed)
    from forecast.fitting.mcmc import fit_nuts

    return fit_nuts(problem, priors, seed=seed, chains=2, draws=500)


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", choices=("laplace", "nuts"), default="laplace")
    parser.add_argument("--simulations", type=int, default=200)
    parser.add_argument("--customers", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    failed = False
    for spec in (*PURCHASE_MODELS.values(), GAMMA_GAMMA):
        begun = time.perf_counter()
        found = calibrate(
            spec,
            options.method,
            simulations=options.simulations,
            customers=options.customers,
            seed=options.seed,
        )
        outside = found.outside()
        failed |= bool(outside)
        limit = critical_value(options.simulations, KEPT + 1, CHANCE ** (1.0 / len(found.parameters)))
        least = {name: round(float(least_p(found.ranks[:, i])), 4) for i, name in enumerate(found.parameters)}
        print(
            f"{spec.name:12s} {options.method:8s} {options.simulations} simulations "
            f"{'OUTSIDE ' + str(sorted(outside)) if outside else 'inside'} the envelope "
            f"(least p {least}, limit {limit:.4f}), {found.doubtful} doubtful, {found.refused} drawn again, "
            f"{time.perf_counter() - begun:.0f} s",
            flush=True,
        )
    raise SystemExit(int(failed))


if __name__ == "__main__":
    main()
