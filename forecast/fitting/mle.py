"""Maximum likelihood on the weighted sufficient statistics, with the verdict on what was found."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from forecast.errors import FitError
from forecast.fitting.effects import EffectProblem
from forecast.fitting.fitted import Fitted, Verdict
from forecast.fitting.problem import Problem
from forecast.fitting.search import Optimum, maximise
from forecast.fitting.spec import ModelSpec
from forecast.maths import jets

_FLAT = 0.01  # curvature below which a log parameter is uncertain by a factor of e^10


def fit_mle(problem: Problem) -> Fitted:
    """The maximum, with the covariance from the observed information.

    Raises
    ------
    FitError
        When the likelihood is flat, or the mean spend would be infinite (``q <= 1``).
    """
    if isinstance(problem, EffectProblem):
        return _fit_with_effects(problem)
    spec = problem.spec
    found = maximise(problem.in_logs(), np.log(problem.start), spec.title)
    values = dict(zip(spec.parameters, np.exp(found.at).tolist(), strict=True))
    if values.get("q", math.inf) <= 1.0:
        raise FitError(
            f"the spread of spend is so heavy-tailed that its mean is infinite (q = {values['q']:.3f} <= 1)",
            advice="Look for a few enormous orders (wholesale, tests, wrong decimals) and set them apart.",
        )
    covariance, verdict = _judge(spec, found, values)
    natural = np.exp(found.at) * problem.factor
    return Fitted(
        spec=spec,
        draws={name: np.array([value]) for name, value in zip(spec.parameters, natural, strict=True)},
        method="mle",
        covariance=covariance * np.outer(natural, natural),
        log_likelihood=found.value + problem.shift,
        customers=problem.customers,
        verdict=verdict,
        extra={"steps": found.steps, "scale": problem.scale},
    )


def _fit_with_effects(problem: EffectProblem) -> Fitted:
    """The maximum in the unconstrained parameters and the effects on them."""
    spec, size = problem.spec, len(problem.spec.parameters)
    found = maximise(problem.likelihood, problem.origin(), spec.title)
    if float(np.linalg.eigvalsh(found.curvature)[0]) < _FLAT:
        raise FitError(
            f"the {spec.title} likelihood is flat: very different effects fit equally well",
            advice="Leave out covariates that say the same, or use method='laplace', whose priors hold them.",
        )
    covariance = np.linalg.inv(found.curvature)
    walked = [jets.weighted_sum(part, np.ones(1)) for part in
              spec.formulas.natural(jets.JETS, *jets.variables(found.at[:size].tolist()))]  # fmt: skip
    jacobian = np.stack([part[1] for part in walked]) * problem.factor[:, None]
    natural = np.array([part[0] for part in walked]) * problem.factor
    errors = np.sqrt(np.diag(covariance)[size:])
    return Fitted(
        spec=spec,
        draws={name: np.array([value]) for name, value in zip(spec.parameters, natural, strict=True)},
        method="mle",
        covariance=jacobian @ covariance[:size, :size] @ jacobian.T,
        log_likelihood=found.value + problem.shift,
        customers=problem.customers,
        verdict=Verdict("converged", "a clear optimum was found"),
        extra={"steps": found.steps, "scale": problem.scale, "effect_errors": errors.tolist()},
        effects=replace(problem.effects, draws=found.at[None, size:]),
    )


def _judge(spec: ModelSpec, found: Optimum, values: dict[str, float]) -> tuple[np.ndarray, Verdict]:
    """Covariance of the log parameters and the verdict; refuses a flat likelihood."""
    size, direction = np.linalg.eigh(found.curvature)
    flat = size < _FLAT
    if not flat.any():
        return np.linalg.inv(found.curvature), Verdict("converged", "a clear optimum was found")
    meanings = [meaning for test, meaning in spec.limits if test(values)]
    if not meanings:
        raise FitError(
            f"the {spec.title} likelihood is flat: very different parameters fit equally well",
            advice="Use more customers, a longer history, or a simpler model (nbd).",
        )
    kept = direction[:, ~flat]
    covariance = (kept / size[~flat]) @ kept.T
    loose = (np.abs(direction[:, flat]) > 0.1).any(axis=1)
    covariance[loose, :] = np.nan
    covariance[:, loose] = np.nan
    return covariance, Verdict("boundary", "; ".join(meanings))
