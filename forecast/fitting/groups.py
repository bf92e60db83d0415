"""Partially pooled groups: each has parameters of its own, drawn from a population of groups.

``u_g ~ Normal(mu, diag(sd^2))`` on the unconstrained parameters. Given ``mu`` and ``sd`` the groups are
independent, so each group's likelihood is replaced by a Gaussian at its shrunken mode, the groups and
``mu`` are integrated out, and ``sd`` is drawn from what remains by adaptive importance sampling. Each draw
of a group is then corrected by its exact likelihood, and Pareto smoothing judges the whole. Thin groups
shrink to the population; a group that was not there before is a draw from it.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from forecast.errors import FitError
from forecast.fitting.effects import BETWEEN, GroupProblem
from forecast.fitting.fitted import Fitted, Verdict
from forecast.fitting.laplace import DRAWS, K_HAT_LIMIT, from_draws, mode, systematic
from forecast.fitting.priors import Prior, Priors, moments
from forecast.fitting.problem import Problem
from forecast.fitting.psis import smooth
from forecast.fitting.search import maximise
from forecast.maths.ops import NUMPY

_CANDIDATES, _MANY = 8, 200  # a thin group's posterior is not Gaussian: more candidates, one is chosen
_PROPOSALS, _ROUNDS = 2_000, 6
_VALUES = 2_000_000


@dataclass(frozen=True)
class _Bowl:
    """A Gaussian likeness of a group's likelihood: ``linear' u - u' curvature u / 2``."""

    at: np.ndarray
    linear: np.ndarray
    curvature: np.ndarray
    peak: float  # makes the likeness equal to the log-likelihood at ``at``

    def value(self, u: np.ndarray) -> np.ndarray:
        return u @ self.linear - 0.5 * np.einsum("...i,ij,...j", u, self.curvature, u) + self.peak


def fit_groups(
    problem: GroupProblem, group: np.ndarray, priors: Priors, *, draws: int = DRAWS, seed: int = 0
) -> Fitted:
    """Draws of the population's and every group's parameters.

    Parameters
    ----------
    problem : GroupProblem
    group : ndarray of int, shape (rows,)
        Place of each row's group among the term's levels.
    priors : Priors
        Of the population's means, and ``log_between_groups`` of the standard deviations between groups.
    draws, seed : int

    Returns
    -------
    Fitted
        ``draws`` are the population's; ``effects`` hold each group's deviation and that of a new group.

    Raises
    ------
    FitError
        When the population's mode is not found.
    """
    v, k_hat = draw_groups(problem, group, priors, draws=draws, seed=seed)
    return from_draws(problem, v, "laplace", _judge(k_hat), {"k_hat": k_hat, "seed": seed})


def draw_groups(
    problem: GroupProblem, group: np.ndarray, priors: Priors, *, draws: int = DRAWS, seed: int = 0
) -> tuple[np.ndarray, float]:
    """Draws in the problem's coordinates, shape (draws, V), and the larger k-hat of the two corrections."""
    names = problem.spec.unconstrained
    rng = np.random.default_rng(seed)
    order = np.argsort(group, kind="stable")
    bounds = np.searchsorted(group[order], np.arange(len(problem.term.levels) + 1))
    parts = [problem.subset(order[i:j]) for i, j in pairwise(bounds.tolist())]
    log_sd, bowls = _expand(problem, parts, priors)
    log_sds, k_outer = _draw_sd(bowls, log_sd, priors, names, draws, rng)
    mu, u = _draw_given_sd(bowls, log_sds, priors, names, rng)
    weights = np.zeros(draws)
    for g, part in enumerate(parts):  # each group's draws are corrected by its exact likelihood
        u[:, g], gained = _corrected(part, bowls[g], u[:, g], mu, log_sds, rng)
        weights += gained
    smoothed, k_hat = smooth(weights)
    if k_hat <= K_HAT_LIMIT:
        kept = systematic(smoothed, rng)
        mu, u, log_sds = mu[kept], u[kept], log_sds[kept]
    return problem.coordinates(mu, log_sds, u), float(max(k_hat, k_outer))


def _judge(k_hat: float) -> Verdict:
    if k_hat > K_HAT_LIMIT:
        return Verdict(
            "doubtful",
            f"the Gaussian is a poor likeness of some groups' posterior (k-hat {k_hat:.2f} > {K_HAT_LIMIT}): "
            "use method nuts, or merge the smallest groups",
        )
    return Verdict("converged", f"groups are partially pooled, their draws well behaved (k-hat {k_hat:.2f})")


def _expand(problem: GroupProblem, parts: list[Problem], priors: Priors) -> tuple[np.ndarray, list[_Bowl]]:
    """Where to expand: the modes of all groups under the population that they themselves suggest."""
    names = problem.spec.unconstrained
    prior_mean, prior_sd = moments(priors, names)
    mu = mode(problem.subset(slice(None)), priors).at  # all groups alike
    log_sd = np.full(len(mu), priors[BETWEEN].mean)
    modes = np.repeat(mu[None], len(parts), axis=0)
    for _ in range(40):
        own = {name: Prior(m, s) for name, m, s in zip(names, mu, np.exp(log_sd), strict=True)}
        found = []
        for part, start in zip(parts, modes, strict=True):
            if not len(part.weight):
                found.append((mu, np.diag(np.exp(-2.0 * log_sd))))
                continue
            optimum = maximise(part.log_posterior(own), start, problem.spec.title)
            found.append((optimum.at, optimum.curvature))
        modes = np.stack([at for at, _ in found])
        spread = np.stack([np.diag(np.linalg.inv(curved)) for _, curved in found])
        precision = np.exp(-2.0 * log_sd)
        moved = (precision * modes.sum(axis=0) + prior_mean / prior_sd**2) / (
            precision * len(parts) + prior_sd**-2.0
        )
        second = (np.square(modes - moved) + spread).sum(axis=0)
        wider = _mode_of_log_sd(second, len(parts), priors[BETWEEN], log_sd)
        change = max(np.abs(moved - mu).max(), np.abs(wider - log_sd).max())
        mu, log_sd = moved, wider
        if change < 0.02:
            break
    precision = np.diag(np.exp(-2.0 * log_sd))
    bowls = []
    for part, at in zip(parts, modes, strict=True):
        if len(part.weight):
            value, gradient, hessian = part.likelihood(at)
        else:
            value, gradient, hessian = 0.0, 0.0 * mu, 0.0 * precision
        # A thin group's likelihood may bend upwards; the likeness is then flat there.
        sizes, directions = np.linalg.eigh(-hessian)
        curvature = (directions * np.maximum(sizes, 0.0)) @ directions.T
        linear = gradient + curvature @ at
        bowls.append(_Bowl(at, linear, curvature, value - at @ linear + 0.5 * at @ curvature @ at))
    return log_sd, bowls


def _mode_of_log_sd(second: np.ndarray, groups: int, prior: Prior, start: np.ndarray) -> np.ndarray:
    """Mode of ``-G s - Q exp(-2 s) / 2`` plus a normal log prior, by Newton steps, elementwise."""
    s = start.copy()
    for _ in range(30):
        pull = second * np.exp(-2.0 * s)
        slope = -groups + pull - (s - prior.mean) / prior.sd**2
        s = s + np.clip(slope / (2.0 * pull + prior.sd**-2.0), -1.0, 1.0)
    return s


def _given_sd(
    bowls: list[_Bowl], log_sd: np.ndarray, priors: Priors, names: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log marginal density of many ``log_sd`` (S, P), and mean and covariance of ``mu`` given each."""
    mean, sd = moments(priors, names)
    size = len(names)
    precision = np.exp(-2.0 * log_sd)[:, :, None] * np.eye(size)
    weight = np.repeat(np.diag(sd**-2.0)[None], len(log_sd), axis=0)
    pull = np.repeat((mean / sd**2)[None], len(log_sd), axis=0)
    density = -0.5 * np.square((log_sd - priors[BETWEEN].mean) / priors[BETWEEN].sd).sum(axis=1)
    for bowl in bowls:
        both = bowl.curvature + precision
        inverse = np.linalg.inv(both)
        weight += precision @ inverse @ bowl.curvature
        pull += np.einsum("sij,sjk,k->si", precision, inverse, bowl.linear)
        density += 0.5 * np.einsum("i,sij,j->s", bowl.linear, inverse, bowl.linear)
        density -= log_sd.sum(axis=1) + 0.5 * np.linalg.slogdet(both)[1]
    weight = 0.5 * (weight + weight.transpose(0, 2, 1))
    covariance = np.linalg.inv(weight)
    centre = np.einsum("sij,sj->si", covariance, pull)
    density += 0.5 * np.einsum("si,si->s", pull, centre) - 0.5 * np.linalg.slogdet(weight)[1]
    return density, centre, covariance


def _draw_sd(
    bowls: list[_Bowl], start: np.ndarray, priors: Priors, names: tuple[str, ...], draws: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, float]:  # fmt: skip
    """Draws of the log standard deviations between groups, by importance sampling that adapts itself."""
    size, freedom = len(start), 7.0
    centre, spread = start, np.eye(size) * 0.4**2
    for turn in range(_ROUNDS):
        count = _PROPOSALS * (3 if turn == _ROUNDS - 1 else 1)
        root = np.linalg.cholesky(spread)
        stretch = np.sqrt(freedom / rng.chisquare(freedom, count))
        z = rng.standard_normal((count, size)) * stretch[:, None]
        s = np.clip(centre + z @ root.T, -12.0, 4.0)
        proposal = -0.5 * (freedom + size) * np.log1p(np.square(z).sum(axis=1) / freedom)
        weights, k_hat = smooth(_given_sd(bowls, s, priors, names)[0] - proposal)
        if turn < _ROUNDS - 1:
            centre = weights @ s
            away = s - centre
            spread = 1.2 * (away.T * weights) @ away + 1e-4 * np.eye(size)
    return s[systematic(weights, rng, draws)], k_hat


def _draw_given_sd(
    bowls: list[_Bowl], log_sd: np.ndarray, priors: Priors, names: tuple[str, ...], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draws of the population's mean (S, P) and of the groups given it (S, G, P)."""
    _, centre, covariance = _given_sd(bowls, log_sd, priors, names)
    mu = centre + np.einsum("sij,sj->si", np.linalg.cholesky(covariance), rng.standard_normal(centre.shape))
    u = np.stack([_conditional(bowl, mu, log_sd, rng) for bowl in bowls], axis=1)
    return mu, u


def _conditional(bowl: _Bowl, mu: np.ndarray, log_sd: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draws of a group's parameters from its Gaussian likeness times the population, shape (S, P)."""
    precision = np.exp(-2.0 * log_sd)
    both = bowl.curvature + precision[:, :, None] * np.eye(mu.shape[1])
    centre = np.linalg.solve(both, (bowl.linear + precision * mu)[..., None])[..., 0]
    root = np.linalg.cholesky(both)
    z = rng.standard_normal(mu.shape)[..., None]
    return centre + np.linalg.solve(root.transpose(0, 2, 1), z)[..., 0]


def _corrected(
    part: Problem, bowl: _Bowl, u: np.ndarray, mu: np.ndarray, log_sd: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draws chosen among candidates by the exact likelihood, and the logarithm of the mean correction."""
    if not len(part.weight):
        return u, np.zeros(len(u))
    more = _CANDIDATES - 1 if len(part.weight) <= _MANY else 0
    candidates = np.stack([u, *(_conditional(bowl, mu, log_sd, rng) for _ in range(more))], axis=1)
    flat = candidates.reshape(-1, u.shape[1])
    gained = (_values(part, flat) - bowl.value(flat)).reshape(len(u), -1)
    gained = np.where(np.isfinite(gained), gained, -np.inf)
    top = gained.max(axis=1, keepdims=True)
    share = np.cumsum(np.exp(gained - top), axis=1)
    pick = (share < rng.random((len(u), 1)) * share[:, -1:]).sum(axis=1)
    chosen = candidates[np.arange(len(u)), np.minimum(pick, more)]
    return chosen, top[:, 0] + np.log(share[:, -1] / share.shape[1])


def _values(part: Problem, u: np.ndarray) -> np.ndarray:
    """The log-likelihood at many points, shape (S,)."""
    rows = len(part.weight)
    if rows > _MANY:
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            return np.array(list(pool.map(part.value, u)))
    found = np.empty(len(u))
    step = max(1, _VALUES // rows)
    with np.errstate(all="ignore"):  # far out in the tails; such a candidate is never chosen
        for begin in range(0, len(u), step):
            theta = part.natural(u[begin : begin + step]) * part.factor
            columns = tuple(theta[:, k, None] for k in range(theta.shape[1]))
            values = part.spec.formulas.log_likelihood(NUMPY, *columns, **part.data)
            found[begin : begin + step] = values @ part.weight - part.shift
    return found


def check_groups(levels: int, customers: int) -> None:
    """Refuse what cannot be pooled.

    Raises
    ------
    FitError
        With fewer than two groups, or with as many groups as customers.
    """
    if levels < 2 or levels > customers / 2:
        raise FitError(
            f"{levels:,} groups of {customers:,} customers cannot be pooled",
            advice="Give a column with at least two values, shared by many customers.",
        )
