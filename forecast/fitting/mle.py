"""Maximum likelihood on the weighted sufficient statistics, with the verdict on what was found."""

from __future__ import annotations

import math

import numpy as np

from forecast.errors import FitError
from forecast.fitting.fitted import Fitted, Verdict
from forecast.fitting.problem import Problem
from forecast.fitting.search import Optimum, maximise
from forecast.fitting.spec import ModelSpec

_FLAT = 0.01  # curvature below which a log parameter is uncertain by a factor of e^10


def fit_mle(problem: Problem) -> Fitted:
    """The maximum, with the covariance from the observed information.

    Raises
    ------
    FitError
        When the likelihood is flat, or the mean spend would be infinite (``q <= 1``).
    """
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
