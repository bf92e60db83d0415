"""Maximum likelihood on the weighted sufficient statistics: a safeguarded Newton search in log parameters.

Gradient and Hessian are exact. Time and money are scaled by their means first, so units cannot matter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from forecast.errors import FitError
from forecast.fitting.fitted import Fitted, Verdict
from forecast.fitting.spec import GAMMA_GAMMA, ModelSpec, Objective
from forecast.summary.statistics import PurchaseCounts, SpendCounts

_MOST_STEPS = 200
_MANY_ROWS, _FEW_ROWS = 100_000, 10_000
_FLAT = 0.01  # curvature below which a log parameter is uncertain by a factor of e^10


@dataclass(frozen=True)
class _Optimum:
    theta: np.ndarray
    value: float
    curvature: np.ndarray  # negative Hessian in log parameters
    steps: int


def _in_logs(objective: Objective, theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    natural = np.exp(theta)
    value, gradient, hessian = objective(natural)
    gradient = gradient * natural
    return value, gradient, hessian * np.outer(natural, natural) + np.diag(gradient)


def _maximise(objective: Objective, start: tuple[float, ...], title: str) -> _Optimum:
    theta = np.log(np.asarray(start, dtype=float))
    value, gradient, hessian = _in_logs(objective, theta)
    settled = False
    steps = 0
    while steps < _MOST_STEPS:
        steps += 1
        size, direction = np.linalg.eigh(-hessian)
        along = direction.T @ gradient
        # A wrong or missing curvature is replaced by its size: the step still climbs.
        step = direction @ (along / np.maximum(np.abs(size), 1e-7 * np.abs(size).max() + 1e-300))
        step *= min(1.0, 2.0 / np.abs(step).max()) if np.abs(step).max() > 0 else 1.0
        gain = float(gradient @ step)
        noise = 1e-13 * abs(value)
        if settled or gain <= noise * 1e-3:
            break
        shrink, found = 1.0, None
        while shrink > 1e-10:
            trial = np.clip(theta + shrink * step, -60.0, 60.0)
            found = _in_logs(objective, trial)
            if math.isfinite(found[0]) and found[0] >= value + 1e-4 * shrink * gain - noise:
                break
            shrink, found = shrink / 2.0, None
        if found is None:
            if gain < 1e-5:  # near a boundary rounding hides what little is left to gain
                break
            raise FitError(
                f"the {title} likelihood could not be climbed further",
                advice="The data do not identify the model; look at the histories.",
            )
        # One more step after the gain is negligible makes the result exact to rounding.
        settled = gain < 1e-8 and shrink == 1.0
        theta = trial
        value, gradient, hessian = found
    else:
        raise FitError(
            f"the {title} search did not settle in {_MOST_STEPS} steps",
            advice="The likelihood is flat: there is too little in the data to tell the parameters apart.",
        )
    return _Optimum(theta, value, -hessian, steps)


def _judge(spec: ModelSpec, found: _Optimum) -> tuple[np.ndarray, Verdict]:
    """Covariance of the log parameters and the verdict; refuses a flat likelihood."""
    size, direction = np.linalg.eigh(found.curvature)
    flat = size < _FLAT
    if not flat.any():
        return np.linalg.inv(found.curvature), Verdict("converged", "a clear optimum was found")
    values = dict(zip(spec.parameters, np.exp(found.theta).tolist(), strict=True))
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


def _finish(spec: ModelSpec, found: _Optimum, scale: float, log_likelihood: float, customers: int) -> Fitted:
    covariance, verdict = _judge(spec, found)
    factor = np.array([scale if name in spec.scaled else 1.0 for name in spec.parameters])
    natural = np.exp(found.theta) * factor
    return Fitted(
        spec=spec,
        draws={name: np.array([value]) for name, value in zip(spec.parameters, natural, strict=True)},
        method="mle",
        covariance=covariance * np.outer(natural, natural),
        log_likelihood=log_likelihood,
        customers=customers,
        verdict=verdict,
        extra={"steps": found.steps, "scale": scale},
    )


def fit_purchases(spec: ModelSpec, counts: PurchaseCounts) -> Fitted:
    """Fit a purchase model.

    Parameters
    ----------
    spec : ModelSpec
    counts : PurchaseCounts
        Any unit of time; parameters come back in it.

    Returns
    -------
    Fitted
        With one draw.

    Raises
    ------
    FitError
        Without customers, without age, without repeat purchases, or when the likelihood is flat.

    Examples
    --------
    >>> from forecast.fitting.spec import purchase_model
    >>> counts = PurchaseCounts(*(np.array(v, float) for v in
    ...     ([0, 1, 3, 9], [0, 50, 80, 95], [100, 100, 100, 100], [60, 20, 15, 5])))
    >>> fit_purchases(purchase_model("nbd"), counts).verdict.code
    'converged'
    """
    total = float(counts.weight.sum())
    if total < 2:
        raise FitError(
            f"there are too few customers to fit {spec.title}", where=f"{counts.customers} customers",
            advice="Use the historical baseline.",
        )  # fmt: skip
    if counts.repeaters == 0:
        raise FitError(
            f"no customer has a repeat purchase, so {spec.title} cannot be fitted",
            where=f"{counts.customers:,} customers",
            advice="If every customer has exactly one order, check that customer_id is not an order id; "
            "else wait for repeat purchases and use the historical baseline.",
        )
    scale = float(np.dot(counts.weight, counts.T) / total)
    if scale <= 0:
        raise FitError(
            "every customer's first purchase is on as_of, so no time has passed to learn from",
            where=f"{counts.customers:,} customers",
            advice="Choose a later as_of.",
        )
    mean = float(np.dot(counts.weight, counts.x) / total)
    variance = float(np.dot(counts.weight, (counts.x - mean) ** 2) / total)
    unit = _Unit(scale)
    start = spec.formulas.start(mean, variance)
    if len(counts.x) > _MANY_ROWS:  # come near on every k-th row first: the last steps cost the most
        start = _rough(unit.purchases(spec, counts.every(len(counts.x) // _FEW_ROWS)), start)
    found = _maximise(unit.purchases(spec, counts), start, spec.title)
    log_likelihood = found.value - mean * total * math.log(scale)
    return _finish(spec, found, scale, log_likelihood, counts.customers)


def _rough(objective: Objective, start: tuple[float, ...]) -> tuple[float, ...]:
    """An optimum of a sample of the rows, or the start itself where there is none."""
    try:
        found = _maximise(objective, start, "sample")
    except FitError:
        return start
    clear = float(np.linalg.eigvalsh(found.curvature)[0]) > 1.0
    return tuple(np.exp(found.theta).tolist()) if clear else start


class _Unit:
    """Rescaled objectives: the data stay as they are, the parameters carry the scale.

    Dividing days by their mean would lose their being whole numbers, which the compiled sum uses.
    """

    def __init__(self, scale: float) -> None:
        self.scale = scale

    def purchases(self, spec: ModelSpec, counts: PurchaseCounts) -> Objective:
        inner = spec.objective(counts.weight, x=counts.x, t_x=counts.t_x, T=counts.T)
        shift = float(np.dot(counts.weight, counts.x)) * math.log(self.scale)
        return self._wrap(spec, inner, shift)

    def spend(self, spec: ModelSpec, counts: SpendCounts) -> Objective:
        inner = spec.objective(counts.weight, n=counts.n, m=counts.mean)
        return self._wrap(spec, inner, float(counts.weight.sum()) * math.log(self.scale))

    def _wrap(self, spec: ModelSpec, inner: Objective, shift: float) -> Objective:
        factor = np.array([self.scale if name in spec.scaled else 1.0 for name in spec.parameters])

        def objective(theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
            value, gradient, hessian = inner(theta * factor)
            return value + shift, gradient * factor, hessian * np.outer(factor, factor)

        return objective


def fit_spend(counts: SpendCounts, spec: ModelSpec = GAMMA_GAMMA) -> Fitted:
    """Fit Gamma-Gamma to customers' mean purchase values.

    Parameters
    ----------
    counts : SpendCounts
        Any currency unit; ``gamma`` comes back in it.

    Raises
    ------
    FitError
        With fewer than two customers, without any spread, when ``q <= 1`` (no finite mean), or when
        the likelihood is flat.

    Examples
    --------
    >>> n, mean = np.array([2.0, 5.0] * 100), np.random.default_rng(0).lognormal(3.0, 0.6, 200)
    >>> fit_spend(SpendCounts(n, mean, np.ones(200))).verdict.code
    'converged'
    """
    total = float(counts.weight.sum())
    if total < 2:
        raise FitError(
            f"there are too few customers with a valued repeat purchase to fit {spec.title}",
            where=f"{counts.customers} customers",
            advice="Wait for repeat purchases, or use the mean purchase value.",
        )
    scale = float(np.dot(counts.weight, counts.mean) / total)
    variance = float(np.dot(counts.weight, (counts.mean / scale - 1.0) ** 2) / total)
    if variance < 1e-12:
        raise FitError(
            f"all customers have the same mean purchase value, so {spec.title} cannot be fitted",
            where=f"{counts.customers:,} customers",
            advice="Use the mean purchase value itself.",
        )
    objective = _Unit(scale).spend(spec, counts)
    found = _maximise(objective, spec.formulas.start(1.0, variance), spec.title)
    q = math.exp(found.theta[1])
    if q <= 1.0:
        raise FitError(
            f"the spread of spend is so heavy-tailed that its mean is infinite (q = {q:.3f} <= 1)",
            advice="Look for a few enormous orders (wholesale, tests, wrong decimals) and set them apart.",
        )
    log_likelihood = found.value - total * math.log(scale)
    return _finish(spec, found, scale, log_likelihood, counts.customers)
