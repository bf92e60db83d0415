"""Parameters that differ between customers: shifts of the unconstrained parameters by traits.

Customers with equal traits form a cell; its unconstrained parameters are ``u + sum_j sign x_j effect_j``.
A rate's effect is log-linear in the rate, a drop-out's in the odds to leave, a spend's in its level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from forecast.fitting.design import Design, Term
from forecast.fitting.priors import Prior, Priors
from forecast.fitting.problem import Problem
from forecast.fitting.spec import ModelSpec
from forecast.maths import jets
from forecast.maths.jets import JETS
from forecast.maths.ops import NUMPY

BETWEEN = "log_between_groups"
_CHUNK = 16_384
_ROWS_A_CELL = 400  # from here on a compiled sum a cell beats one text over all rows


@dataclass(frozen=True)
class Effects:
    """Draws of effects, and where each acts.

    Attributes
    ----------
    design : Design
    names : tuple of str, length V
    column, parameter : ndarray of int, shape (V,)
        Column of the design's matrix, and unconstrained parameter that it moves.
    sign : ndarray, shape (V,)
    draws : ndarray, shape (S, V)
    """

    design: Design
    names: tuple[str, ...]
    column: np.ndarray
    parameter: np.ndarray
    sign: np.ndarray
    draws: np.ndarray

    def shifts(self, matrix: np.ndarray, draw: int, size: int) -> np.ndarray:
        """What one draw adds to the ``size`` unconstrained parameters, shape (cells, size)."""
        each = np.zeros((matrix.shape[1], size))  # summed by column first: a table of cells is not copied
        np.add.at(each, (self.column, self.parameter), self.sign * self.draws[draw])
        return matrix @ each

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "design": self.design.to_dict(),
            "names": list(self.names),
            "column": self.column.tolist(),
            "parameter": self.parameter.tolist(),
            "sign": self.sign.tolist(),
            "draws": self.draws.tolist(),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Effects:
        """Inverse of :meth:`to_dict`."""
        return cls(
            Design.from_dict(data["design"]),
            tuple(data["names"]),
            np.array(data["column"], dtype=np.int64),
            np.array(data["parameter"], dtype=np.int64),
            np.array(data["sign"], dtype=float),
            np.array(data["draws"], dtype=float),
        )


def place_effects(spec: ModelSpec, design: Design, acting: Sequence[tuple[str, str]]) -> Effects:
    """Effects without draws: one for each pair of an effect (``rate``) and a covariate's column."""
    names, column, parameter, sign = [], [], [], []
    offsets = np.cumsum([0, *(len(term.names) for term in design.terms)])
    for effect, covariate in acting:
        target, direction = spec.effects[effect]
        term = design.columns.index(covariate)
        for j, name in enumerate(design.terms[term].names):
            names.append(f"{effect}:{name}")
            column.append(int(offsets[term]) + j)
            parameter.append(spec.unconstrained.index(target))
            sign.append(direction)
    return Effects(
        design, tuple(names), np.array(column, dtype=np.int64), np.array(parameter, dtype=np.int64),
        np.array(sign), np.zeros((0, len(names))),
    )  # fmt: skip


class Cells:
    """The log-likelihood of each cell at parameters of its own.

    Parameters
    ----------
    problem : Problem
        Of all rows together.
    cell : ndarray of int, shape (rows,)
    count : int
        Number of cells.
    """

    def __init__(self, problem: Problem, cell: np.ndarray, count: int) -> None:
        self._problem, self.cell, self._count = problem, cell, count
        self._parts: list[Problem] | None = None
        if len(cell) >= _ROWS_A_CELL * count:
            order = np.argsort(cell, kind="stable")
            bounds = np.searchsorted(cell[order], np.arange(count + 1))
            self._parts = [problem.subset(order[i:j]) for i, j in pairwise(bounds.tolist())]

    def __call__(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Value, gradient and Hessian in the unconstrained parameters: (C,), (C, P), (C, P, P)."""
        size = u.shape[1]
        value = np.zeros(self._count)
        gradient = np.zeros((self._count, size))
        hessian = np.zeros((self._count, size, size))
        if self._parts is not None:
            for c, part in enumerate(self._parts):
                if len(part.weight):
                    value[c], gradient[c], hessian[c] = part.likelihood(u[c])
            return value, gradient, hessian
        for begin in range(0, len(self.cell), _CHUNK):
            rows = slice(begin, begin + _CHUNK)
            cell, weight = self.cell[rows], self._problem.weight[rows]
            jet = self._text(JETS, jets.variables_at(u[cell].T), rows)

            def add(part: Any, cell: np.ndarray = cell, weight: np.ndarray = weight) -> np.ndarray | float:
                if part is None:
                    return 0.0
                return np.bincount(cell, np.broadcast_to(part, weight.shape) * weight, minlength=self._count)

            value += add(jet.value)
            k = 0
            for i in range(size):
                gradient[:, i] += add(jet.first[i])
                for j in range(i, size):
                    found = add(jet.second[k])
                    hessian[:, i, j] += found
                    if i != j:
                        hessian[:, j, i] += found
                    k += 1
        return value + self._shifted(), gradient, hessian

    def value(self, u: np.ndarray) -> float:
        """The sum over cells alone."""
        if self._parts is not None:
            return float(sum(part.value(u[c]) for c, part in enumerate(self._parts) if len(part.weight)))
        return float(np.dot(self._problem.weight, self.rows(u))) - self._problem.shift

    def rows(self, u: np.ndarray) -> np.ndarray:
        """Log-likelihood of one customer of each row, in the input's units."""
        found = np.empty(len(self.cell))
        for begin in range(0, len(found), _CHUNK):
            rows = slice(begin, begin + _CHUNK)
            found[rows] = self._text(NUMPY, tuple(u[self.cell[rows]].T), rows)
        return found

    def _text(self, ops: Any, u: Any, rows: slice) -> Any:
        formulas = self._problem.spec.formulas
        theta = formulas.natural(ops, *u)
        theta = [v if f == 1.0 else v * f for v, f in zip(theta, self._problem.factor.tolist(), strict=True)]
        data = {name: values[rows] for name, values in self._problem.data.items()}
        return formulas.log_likelihood(ops, *theta, **data)

    def _shifted(self) -> np.ndarray:
        """What the scale adds to each cell's value, so that both ways agree."""
        inside = np.bincount(self.cell, self._problem.shift_rows, minlength=self._count)
        return -inside


@dataclass(frozen=True)
class EffectProblem(Problem):
    """A likelihood whose parameters are shifted by covariates.

    Attributes
    ----------
    cells : Cells
    matrix : ndarray, shape (cells, K)
    effects : Effects
        Where each effect acts; without draws.
    """

    cells: Cells
    matrix: np.ndarray
    effects: Effects

    @property
    def names(self) -> tuple[str, ...]:
        return self.spec.unconstrained + self.effects.names

    def origin(self) -> np.ndarray:
        return np.concatenate([super().origin(), np.zeros(len(self.effects.names))])

    def _unconstrained(self, v: np.ndarray) -> np.ndarray:
        size = len(self.spec.unconstrained)
        own = replace(self.effects, draws=v[None, size:])
        return v[:size] + own.shifts(self.matrix, 0, size)

    def by_cell(self, v: Any) -> list[Any]:
        """Unconstrained parameters of each cell, for an array or a symbol that behaves like one."""
        size = len(self.spec.unconstrained)
        found = []
        for k in range(size):
            own = np.flatnonzero(self.effects.parameter == k)
            moved = self.matrix[:, self.effects.column[own]] * self.effects.sign[own]
            found.append(v[k] + (moved * v[size + own]).sum(axis=1))
        return found

    def likelihood(self, v: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        size = len(self.spec.unconstrained)
        values, gradients, hessians = self.cells(self._unconstrained(v))
        gradient = np.zeros(len(v))
        hessian = np.zeros((len(v), len(v)))
        # Each unconstrained parameter is linear in a few coordinates: itself, and the effects on it.
        where, slopes = [], []
        for k in range(size):
            own = np.flatnonzero(self.effects.parameter == k)
            where.append(np.concatenate([[k], size + own]).astype(int))
            moved = self.matrix[:, self.effects.column[own]] * self.effects.sign[own]
            slopes.append(np.concatenate([np.ones((len(values), 1)), moved], axis=1))
        for k in range(size):
            gradient[where[k]] += slopes[k].T @ gradients[:, k]
            for m in range(size):
                hessian[np.ix_(where[k], where[m])] += slopes[k].T @ (hessians[:, k, m, None] * slopes[m])
        return float(values.sum()), gradient, hessian

    def value(self, v: np.ndarray) -> float:
        return self.cells.value(self._unconstrained(v))

    def rows_at(self, v: np.ndarray) -> np.ndarray:
        return self.cells.rows(self._unconstrained(v))


def effect_problem(problem: Problem, cell: np.ndarray, matrix: np.ndarray, effects: Effects) -> EffectProblem:
    """The problem with effects of covariates, from the one without them."""
    fields = {name: getattr(problem, name) for name in Problem.__dataclass_fields__}
    return EffectProblem(**fields, cells=Cells(problem, cell, len(matrix)), matrix=matrix, effects=effects)


@dataclass(frozen=True)
class GroupProblem(Problem):
    """A likelihood whose groups are drawn from a population, in coordinates that a sampler can walk.

    The coordinates are the population's mean, the log standard deviations between groups, and each group's
    deviation in units of them.
    """

    cells: Cells
    term: Term

    @property
    def names(self) -> tuple[str, ...]:
        own = self.spec.unconstrained
        spreads = tuple(f"{BETWEEN}:{name}" for name in own)
        deviations = tuple(f"deviation:{name}:{level}" for level in self.term.levels for name in own)
        return own + spreads + deviations

    def complete(self, priors: Priors) -> Priors:
        """Priors of all coordinates from those of the population and of the spread between groups."""
        size = len(self.spec.unconstrained)
        spreads = dict.fromkeys(self.names[size : 2 * size], priors[BETWEEN])
        return {**priors, **spreads, **dict.fromkeys(self.names[2 * size :], Prior(0.0, 1.0))}

    def _split(self, v: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        size = len(self.spec.unconstrained)
        z = v[..., 2 * size :].reshape(*v.shape[:-1], len(self.term.levels), size)
        return v[..., :size], np.exp(v[..., size : 2 * size]), z

    def by_cell(self, v: Any) -> list[Any]:
        """Unconstrained parameters of each group, for an array or a symbol that behaves like one."""
        size = len(self.spec.unconstrained)
        z = v[2 * size :].reshape((len(self.term.levels), size))
        spread = np.exp(v[size : 2 * size])
        return [v[k] + spread[k] * z[:, k] for k in range(size)]

    def likelihood(self, v: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Value and gradient; the Hessian is never needed and is left empty."""
        u, sd, z = self._split(v)
        values, gradients, _ = self.cells(u + sd * z)
        by_sd = (gradients * z).sum(axis=0) * sd
        return (
            float(values.sum()),
            np.concatenate([gradients.sum(axis=0), by_sd, (gradients * sd).ravel()]),
            np.empty((0, 0)),
        )

    def value(self, v: np.ndarray) -> float:
        u, sd, z = self._split(v)
        return self.cells.value(u + sd * z)

    def rows_at(self, v: np.ndarray) -> np.ndarray:
        u, sd, z = self._split(v)
        return self.cells.rows(u + sd * z)

    def coordinates(self, mu: np.ndarray, log_sd: np.ndarray, u: np.ndarray) -> np.ndarray:
        """Draws of population and groups in these coordinates, shape (S, V)."""
        z = (u - mu[:, None]) / np.exp(log_sd)[:, None]
        return np.concatenate([mu, log_sd, z.reshape(len(mu), -1)], axis=1)

    def effects(self, v: np.ndarray, seed: int) -> Effects:
        """Each group's deviations from the population, and those of a new group; ``v`` has shape (S, V)."""
        _, sd, z = self._split(v)
        new = np.random.default_rng(seed).standard_normal((len(v), 1, sd.shape[1]))
        deviations = sd[:, None] * np.concatenate([z, new], axis=1)
        size, count = sd.shape[1], len(self.term.levels) + 1
        return Effects(
            Design((self.term,)),
            tuple(f"{name}:{level}" for level in self.term.names for name in self.spec.unconstrained),
            np.repeat(np.arange(count), size),
            np.tile(np.arange(size), count),
            np.ones(count * size),
            deviations.reshape(len(v), -1),
        )

    @property
    def sizes(self) -> list[int]:
        """Customers of each group."""
        counted = np.bincount(self.cells.cell, self.weight, minlength=len(self.term.levels))
        return counted.round().astype(int).tolist()

    def between(self, v: np.ndarray) -> dict[str, dict[str, float]]:
        """How much groups differ in each unconstrained parameter."""
        sd = self._split(v)[1]
        return {
            name: {"estimate": float(sd[:, i].mean()), "standard_error": float(sd[:, i].std())}
            for i, name in enumerate(self.spec.unconstrained)
        }


def group_problem(problem: Problem, cell: np.ndarray, term: Term) -> GroupProblem:
    """The problem with partially pooled groups, from the one without them."""
    fields = {name: getattr(problem, name) for name in Problem.__dataclass_fields__}
    return GroupProblem(**fields, cells=Cells(problem, cell, len(term.levels)), term=term)
