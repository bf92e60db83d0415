"""What is to be fitted: a likelihood on scaled data, in the parameters a search can walk freely.

Time and money are scaled by their means, so units cannot matter. The data stay as they are and the
parameters carry the scale: whole days stay whole, which the compiled sums use.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from forecast.errors import FitError
from forecast.fitting.priors import Priors
from forecast.fitting.search import Function, Optimum, maximise
from forecast.fitting.spec import ModelSpec, Objective
from forecast.maths import jets
from forecast.maths.jets import JETS
from forecast.summary.statistics import PurchaseCounts, SpendCounts

_MANY_ROWS, _FEW_ROWS = 100_000, 10_000


@dataclass(frozen=True)
class Problem:
    """A likelihood waiting for its maximum or its posterior.

    Attributes
    ----------
    spec : ModelSpec
    objective : callable
        Natural parameters on scaled time or money to value, gradient and Hessian.
    scale : float
        Mean age or mean value, in the input's unit.
    shift : float
        What the log-likelihood in the input's unit differs by.
    customers : int
    start : tuple of float
        Natural parameters on the scaled data.
    weight : ndarray, shape (rows,)
    data : dict of str to ndarray, shape (rows,)
        The rows behind the objective, in the input's unit.
    """

    spec: ModelSpec
    objective: Objective
    scale: float
    shift: float
    customers: int
    start: tuple[float, ...]
    weight: np.ndarray
    data: dict[str, np.ndarray]

    @property
    def factor(self) -> np.ndarray:
        """From scaled to the input's parameters."""
        return np.array([self.scale if name in self.spec.scaled else 1.0 for name in self.spec.parameters])

    def natural(self, u: np.ndarray) -> np.ndarray:
        """Natural scaled parameters at unconstrained ones, shape (..., P)."""
        return np.stack([np.asarray(v) for v in self.spec.natural(*np.moveaxis(u, -1, 0))], axis=-1)

    def in_logs(self) -> Function:
        """The log-likelihood as a function of log parameters."""

        def function(u: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
            theta = np.exp(u)
            value, gradient, hessian = self.objective(theta)
            gradient = gradient * theta
            return value, gradient, hessian * np.outer(theta, theta) + np.diag(gradient)

        return function

    def log_posterior(self, priors: Priors) -> Function:
        """Log-likelihood plus log prior as a function of the unconstrained parameters."""
        names = self.spec.unconstrained
        mean = np.array([priors[name].mean for name in names])
        precision = np.array([priors[name].sd for name in names]) ** -2.0

        def function(u: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
            walked = self.spec.formulas.natural(JETS, *jets.variables(list(u)))
            value, gradient, hessian = self.objective(np.array([part.value for part in walked]))
            parts = [jets.weighted_sum(part, np.ones(1)) for part in walked]
            jacobian = np.stack([part[1] for part in parts])
            curved = jacobian.T @ hessian @ jacobian
            curved += sum(gradient[k] * parts[k][2] for k in range(len(parts)))
            away = u - mean
            value = value - 0.5 * float(away @ (precision * away))
            return value, jacobian.T @ gradient - precision * away, curved - np.diag(precision)

        return function

    def log_density(self, priors: Priors, u: np.ndarray) -> float:
        """The value alone of :meth:`log_posterior`, at a fraction of the cost."""
        names = self.spec.unconstrained
        prior = sum(((u[i] - priors[name].mean) / priors[name].sd) ** 2 for i, name in enumerate(names))
        return self.objective.value(self.natural(u)) - 0.5 * float(prior)


class _Scaled:
    """An objective whose parameters are scaled by factors."""

    def __init__(self, inner: Objective, factor: np.ndarray, shift: float) -> None:
        self._inner, self._factor, self._shift = inner, factor, shift

    def __call__(self, theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        factor = self._factor
        value, gradient, hessian = self._inner(theta * factor)
        return value + self._shift, gradient * factor, hessian * np.outer(factor, factor)

    def value(self, theta: np.ndarray) -> float:
        return self._inner.value(theta * self._factor) + self._shift


def purchase_problem(spec: ModelSpec, counts: PurchaseCounts, scale: float | None = None) -> Problem:
    """The likelihood of purchase histories, after the checks that no likelihood can make.

    Parameters
    ----------
    spec : ModelSpec
    counts : PurchaseCounts
    scale : float, optional
        Unit of time in which priors speak; the mean age by default.

    Raises
    ------
    FitError
        Without customers, without age, or without repeat purchases.
    """
    total = float(counts.weight.sum())
    who = f"{counts.customers:,} customers"
    if total < 2:
        raise FitError(
            f"there are too few customers to fit {spec.title}",
            where=who,
            advice="Use the historical baseline.",
        )
    if counts.repeaters == 0:
        raise FitError(
            f"no customer has a repeat purchase, so {spec.title} cannot be fitted",
            where=who,
            advice="If every customer has exactly one order, check that customer_id is not an order id; "
            "else wait for repeat purchases and use the historical baseline.",
        )
    age = float(np.dot(counts.weight, counts.T) / total)
    if age <= 0:
        raise FitError(
            "every customer's first purchase is on as_of, so no time has passed to learn from",
            where=who,
            advice="Choose a later as_of.",
        )
    scale = age if scale is None else scale
    mean = float(np.dot(counts.weight, counts.x) / total)
    variance = float(np.dot(counts.weight, (counts.x - mean) ** 2) / total)
    start = tuple(
        value * age / scale if name in spec.scaled else value
        for name, value in zip(spec.parameters, spec.formulas.start(mean, variance), strict=True)
    )
    factor = np.array([scale if name in spec.scaled else 1.0 for name in spec.parameters])

    def problem(rows: PurchaseCounts, start: tuple[float, ...]) -> Problem:
        data = {"x": rows.x, "t_x": rows.t_x, "T": rows.T}
        shift = float(np.dot(rows.weight, rows.x)) * math.log(scale)
        objective = _Scaled(spec.objective(rows.weight, **data), factor, shift)
        return Problem(spec, objective, scale, -shift, rows.customers, start, rows.weight, data)

    if len(counts.x) > _MANY_ROWS:  # come near on every k-th row first: the last steps cost the most
        start = _rough(problem(counts.every(len(counts.x) // _FEW_ROWS), start))
    return problem(counts, start)


def _rough(sample: Problem) -> tuple[float, ...]:
    """An optimum of a sample of the rows, or the start itself where there is none."""
    try:
        found: Optimum = maximise(sample.in_logs(), np.log(sample.start), "sample")
    except FitError:
        return sample.start
    clear = float(np.linalg.eigvalsh(found.curvature)[0]) > 1.0
    return tuple(np.exp(found.at).tolist()) if clear else sample.start


def spend_problem(spec: ModelSpec, counts: SpendCounts, scale: float | None = None) -> Problem:
    """The likelihood of customers' mean purchase values.

    Parameters
    ----------
    spec : ModelSpec
    counts : SpendCounts
    scale : float, optional
        Unit of money in which priors speak; the mean value by default.

    Raises
    ------
    FitError
        With fewer than two customers, or without any spread.
    """
    total = float(counts.weight.sum())
    who = f"{counts.customers:,} customers"
    if total < 2:
        raise FitError(
            f"there are too few customers with a valued repeat purchase to fit {spec.title}",
            where=who,
            advice="Wait for repeat purchases, or use the mean purchase value.",
        )
    mean = float(np.dot(counts.weight, counts.mean) / total)
    variance = float(np.dot(counts.weight, (counts.mean / mean - 1.0) ** 2) / total)
    if variance < 1e-12:
        raise FitError(
            f"all customers have the same mean purchase value, so {spec.title} cannot be fitted",
            where=who,
            advice="Use the mean purchase value itself.",
        )
    scale = mean if scale is None else scale
    factor = np.array([scale if name in spec.scaled else 1.0 for name in spec.parameters])
    shift = total * math.log(scale)
    data = {"n": counts.n, "m": counts.mean}
    objective = _Scaled(spec.objective(counts.weight, **data), factor, shift)
    start = spec.formulas.start(mean / scale, variance * (mean / scale) ** 2)
    return Problem(spec, objective, scale, -shift, counts.customers, start, counts.weight, data)
