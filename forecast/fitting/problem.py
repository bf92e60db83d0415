"""What is to be fitted: a likelihood on scaled data, in the parameters a search can walk freely.

Time and money are scaled by their means, so units cannot matter. The data stay as they are and the
parameters carry the scale: whole days stay whole, which the compiled sums use.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from forecast.errors import FitError
from forecast.fitting.priors import Priors, moments
from forecast.fitting.search import Function, Optimum, maximise
from forecast.fitting.spec import ModelSpec, Objective
from forecast.maths import jets
from forecast.maths.jets import JETS
from forecast.maths.ops import NUMPY
from forecast.summary.statistics import PurchaseCounts, SpendCounts

_MANY_ROWS, _FEW_CUSTOMERS = 100_000, 20_000


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
    start : tuple of float
        Natural parameters on the scaled data.
    weight : ndarray, shape (rows,)
    units : ndarray, shape (rows,)
        How often the density of one customer of the row carries the unit: once a purchase time or a value.
    data : dict of str to ndarray, shape (rows,)
        The rows behind the objective, in the input's unit.
    """

    spec: ModelSpec
    objective: Objective
    scale: float
    start: tuple[float, ...]
    weight: np.ndarray
    units: np.ndarray
    data: dict[str, np.ndarray]

    @property
    def customers(self) -> int:
        return round(float(self.weight.sum()))

    @property
    def shift_rows(self) -> np.ndarray:
        """What the log-likelihood in the input's unit differs by, row by row."""
        return -self.weight * self.units * math.log(self.scale)

    @property
    def shift(self) -> float:
        """What the log-likelihood in the input's unit differs by."""
        return -float(np.dot(self.weight, self.units)) * math.log(self.scale)

    def subset(self, rows: np.ndarray | slice) -> Problem:
        """The problem of some of the rows, on the same scale."""
        data = {name: values[rows] for name, values in self.data.items()}
        return make_problem(self.spec, self.weight[rows], self.units[rows], data, self.scale, self.start)

    @property
    def factor(self) -> np.ndarray:
        """From scaled to the input's parameters."""
        return np.array([self.scale if name in self.spec.scaled else 1.0 for name in self.spec.parameters])

    @property
    def names(self) -> tuple[str, ...]:
        """The coordinates in which the posterior is walked: unconstrained parameters first."""
        return self.spec.unconstrained

    def origin(self) -> np.ndarray:
        """The start in these coordinates."""
        return np.array([float(v) for v in self.spec.formulas.unconstrained(*self.start)])

    def natural(self, u: np.ndarray) -> np.ndarray:
        """Natural scaled parameters at unconstrained ones, shape (..., P)."""
        parts = np.moveaxis(u[..., : len(self.spec.parameters)], -1, 0)
        return np.stack([np.asarray(v) for v in self.spec.natural(*parts)], axis=-1)

    def in_logs(self) -> Function:
        """The log-likelihood as a function of log parameters."""

        def function(u: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
            theta = np.exp(u)
            value, gradient, hessian = self.objective(theta)
            gradient = gradient * theta
            return value, gradient, hessian * np.outer(theta, theta) + np.diag(gradient)

        return function

    def likelihood(self, v: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """The log-likelihood with gradient and Hessian in the coordinates of :attr:`names`."""
        walked = self.spec.formulas.natural(JETS, *jets.variables(v.tolist()))
        value, gradient, hessian = self.objective(np.array([part.value for part in walked]))
        parts = [jets.weighted_sum(part, np.ones(1)) for part in walked]
        jacobian = np.stack([part[1] for part in parts])
        curved = jacobian.T @ hessian @ jacobian
        curved += sum(gradient[k] * parts[k][2] for k in range(len(parts)))
        return value, gradient @ jacobian, curved

    def value(self, v: np.ndarray) -> float:
        """The value alone of :meth:`likelihood`, at a fraction of the cost; -inf beyond what floats hold."""
        with np.errstate(over="ignore"):
            theta = self.natural(v)
        if not ((theta > 0.0) & (theta < np.inf)).all():
            return -np.inf  # draws far out in a tail: nothing is as unlikely
        return self.objective.value(theta)

    def rows_at(self, v: np.ndarray) -> np.ndarray:
        """Log-likelihood of one customer of each row, in the input's units, shape (rows,)."""
        theta = self.natural(v) * self.factor
        return self.spec.formulas.log_likelihood(NUMPY, *theta.tolist(), **self.data)

    def log_posterior(self, priors: Priors) -> Function:
        """Log-likelihood plus log prior as a function of the coordinates of :attr:`names`."""
        mean, sd = moments(priors, self.names)

        def function(v: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
            value, gradient, hessian = self.likelihood(v)
            away = (v - mean) / sd
            return value - 0.5 * float(away @ away), gradient - away / sd, hessian - np.diag(sd**-2.0)

        return function

    def log_density(self, priors: Priors, v: np.ndarray) -> float:
        """The value alone of :meth:`log_posterior`."""
        mean, sd = moments(priors, self.names)
        return self.value(v) - 0.5 * float(np.square((v - mean) / sd).sum())


def make_problem(
    spec: ModelSpec,
    weight: np.ndarray,
    units: np.ndarray,
    data: dict[str, np.ndarray],
    scale: float,
    start: tuple[float, ...],
) -> Problem:
    """A problem from its rows; nothing is checked."""
    factor = np.array([scale if name in spec.scaled else 1.0 for name in spec.parameters])
    shift = float(np.dot(weight, units)) * math.log(scale)
    objective = _Scaled(spec.objective(weight, **data), factor, shift)
    return Problem(spec, objective, scale, start, weight, units, data)


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
    data = {"x": counts.x, "t_x": counts.t_x, "T": counts.T}
    if len(counts.x) > _MANY_ROWS:  # come near on few customers first: the last steps cost the most
        sample = counts.sample(_FEW_CUSTOMERS)
        rough = {"x": sample.x, "t_x": sample.t_x, "T": sample.T}
        start = _rough(make_problem(spec, sample.weight, sample.x, rough, scale, start))
    return make_problem(spec, counts.weight, counts.x, data, scale, start)


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
    start = spec.formulas.start(mean / scale, variance * (mean / scale) ** 2)
    data = {"n": counts.n, "m": counts.mean}
    return make_problem(spec, counts.weight, np.ones_like(counts.mean), data, scale, start)
