"""The posterior by a Gaussian at its mode, corrected by Pareto-smoothed importance weights."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from forecast.errors import FitError
from forecast.fitting.effects import EffectProblem, GroupProblem
from forecast.fitting.fitted import Fitted, Verdict
from forecast.fitting.priors import Priors
from forecast.fitting.problem import Problem
from forecast.fitting.psis import smooth
from forecast.fitting.search import Optimum, maximise

DRAWS = 1000
K_HAT_LIMIT = 0.7
_PIECES = 64  # of the draws, handed out to threads
_MANY_ROWS, _FEW_DRAWS = 100_000, 250  # an integral a row is dear: fewer draws, some of them twice


def mode(problem: Problem, priors: Priors) -> Optimum:
    """The posterior's mode in the unconstrained parameters.

    Raises
    ------
    FitError
        When the search does not settle, or the posterior is not peaked there.
    """
    found = maximise(problem.log_posterior(priors), problem.origin(), problem.spec.title)
    if float(np.linalg.eigvalsh(found.curvature)[0]) <= 0:
        raise FitError(
            f"the {problem.spec.title} posterior has no peak",
            advice="Tighten the priors or use method='nuts'.",
        )
    return found


def fit_laplace(problem: Problem, priors: Priors, *, draws: int = DRAWS, seed: int = 0) -> Fitted:
    """Draws of the posterior, equally weighted after importance resampling.

    Parameters
    ----------
    problem : Problem
    priors : Priors
    draws : int
    seed : int

    Returns
    -------
    Fitted
        With ``draws`` draws; ``extra["k_hat"]`` says how well the Gaussian fits.
    """
    found = mode(problem, priors)
    size = len(found.at)
    rng = np.random.default_rng(seed)
    root = np.linalg.cholesky(np.linalg.inv(found.curvature))
    slow = not problem.spec.elementary and len(problem.weight) > _MANY_ROWS
    z = rng.standard_normal((min(draws, _FEW_DRAWS) if slow else draws, size))
    u = found.at + z @ root.T

    def densities(rows: np.ndarray) -> list[float]:
        return [problem.log_density(priors, row) for row in rows]

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        target = np.concatenate(list(pool.map(densities, np.array_split(u, min(len(u), _PIECES)))))
    weights, k_hat = smooth(target + 0.5 * np.square(z).sum(axis=1))
    kept = u[systematic(weights, rng, draws)]
    return from_draws(
        problem, kept, "laplace", _judge(k_hat), {"k_hat": k_hat, "steps": found.steps, "seed": seed}
    )


def systematic(weights: np.ndarray, rng: np.random.Generator, size: int | None = None) -> np.ndarray:
    """Equally weighted indices with the least noise, in random order."""
    size = len(weights) if size is None else size
    points = (np.arange(size) + rng.random()) / size
    index = np.minimum(np.searchsorted(np.cumsum(weights), points), len(weights) - 1)
    return rng.permutation(index)


def _judge(k_hat: float) -> Verdict:
    if k_hat > K_HAT_LIMIT:
        return Verdict(
            "doubtful",
            f"the Gaussian is a poor likeness of the posterior (k-hat {k_hat:.2f} > {K_HAT_LIMIT}): "
            "use method nuts",
        )
    shown = "below 0" if k_hat < 0 else f"{k_hat:.2f}"
    return Verdict("converged", f"the posterior is well described by its mode and weights (k-hat {shown})")


def from_draws(problem: Problem, u: np.ndarray, method: str, verdict: Verdict, extra: dict) -> Fitted:
    """A fitted model from equally weighted draws of the problem's coordinates, shape (S, V)."""
    natural = problem.natural(u) * problem.factor
    centre = problem.value(u.mean(axis=0))
    effects = None
    if isinstance(problem, EffectProblem):
        effects = replace(problem.effects, draws=u[:, len(problem.spec.parameters) :].copy())
    elif isinstance(problem, GroupProblem):
        effects = problem.effects(u, extra["seed"])
        extra = {
            **extra,
            "by": problem.term.column,
            "between": problem.between(u),
            "group_customers": problem.sizes,
        }
    return Fitted(
        spec=problem.spec,
        draws={name: natural[:, i].copy() for i, name in enumerate(problem.spec.parameters)},
        method=method,
        covariance=np.cov(natural, rowvar=False),
        log_likelihood=centre + problem.shift,
        customers=problem.customers,
        verdict=verdict,
        extra={**extra, "scale": problem.scale},
        effects=effects,
    )
