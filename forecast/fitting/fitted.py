"""What a fit returns: draws of the parameters, their uncertainty, and a verdict in words."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from forecast.fitting.effects import Effects
from forecast.fitting.spec import ModelSpec


@dataclass(frozen=True)
class Verdict:
    """How far the numbers can be trusted.

    Attributes
    ----------
    code : {'converged', 'boundary', 'doubtful'}
    text : str
        The same in words, with the consequence.
    """

    code: str
    text: str

    def __str__(self) -> str:
        return f"{self.code}: {self.text}"

    @property
    def converged(self) -> bool:
        return self.code == "converged"


@dataclass(frozen=True)
class Fitted:
    """A fitted model. A maximum-likelihood fit is a posterior with one draw.

    Attributes
    ----------
    spec : ModelSpec
    draws : dict of str to ndarray, shape (S,)
        Parameters in the input's units (days, currency).
    method : str
    covariance : ndarray, shape (P, P)
        Of the natural parameters, NaN in rows that the data do not identify.
    log_likelihood : float
        In the input's units.
    customers : int
    verdict : Verdict
    extra : dict
        Facts worth keeping: iterations, scale.
    posterior : object, optional
        ArviZ data with prior, posterior, sample statistics and log-likelihood, after nuts.
    effects : Effects, optional
        How traits shift the unconstrained parameters; ``draws`` are then those of the population.
    """

    spec: ModelSpec
    draws: dict[str, np.ndarray]
    method: str
    covariance: np.ndarray
    log_likelihood: float
    customers: int
    verdict: Verdict
    extra: dict[str, Any] = field(default_factory=dict)
    posterior: Any = None
    effects: Effects | None = None

    @property
    def parameters(self) -> dict[str, float]:
        """Point values: means over the draws."""
        return {name: float(values.mean()) for name, values in self.draws.items()}

    @property
    def standard_errors(self) -> dict[str, float]:
        errors = np.sqrt(np.diag(self.covariance))
        return dict(zip(self.spec.parameters, errors.tolist(), strict=True))

    @property
    def size(self) -> int:
        """Number of draws."""
        return len(next(iter(self.draws.values())))

    @property
    def traits(self) -> tuple[str, ...]:
        """Columns that customers need beside their histories."""
        return () if self.effects is None else self.effects.design.columns

    def each_draw(self) -> list[tuple[float, ...]]:
        """Parameter tuples in the order of the formula files, one a draw, without effects."""
        columns = [self.draws[name] for name in self.spec.parameters]
        return [tuple(float(v) for v in row) for row in zip(*columns, strict=True)]

    def draw(self, index: int, matrix: np.ndarray | None = None) -> tuple[Any, ...]:
        """One draw of the parameters; with effects, those of each row of the design's matrix.

        Parameters
        ----------
        index : int
        matrix : ndarray, shape (cells, K), optional
            Needed by a model with effects, which else answers for the population.
        """
        plain = tuple(float(self.draws[name][index]) for name in self.spec.parameters)
        if self.effects is None or matrix is None:
            return plain
        u = np.array([float(v) for v in self.spec.formulas.unconstrained(*plain)])
        return self.spec.natural(*(u + self.effects.shifts(matrix, index, len(u))).T)

    def thinned(self, most: int) -> tuple[np.ndarray, np.ndarray]:
        """At most so many draws, evenly taken, and weights that keep the posterior's means.

        Returns
        -------
        index : ndarray of int
            For :meth:`draw`.
        weights : ndarray
            Positive, summing to 1. They are tilted so that the mean logarithm of every parameter, and the
            mean of what a typical customer is expected to do, are those of all draws.
        """
        if self.size <= most:
            return np.arange(self.size), np.full(self.size, 1.0 / self.size)
        kept = np.linspace(0, self.size - 1, most).round().astype(int)
        logs = np.log(np.array([self.draws[name] for name in self.spec.parameters]).T)
        typical = self._typical()
        # What the logarithms do not tell of it already: two columns that say the same cannot both be kept.
        plain = np.column_stack([np.ones(self.size), logs])
        rest = typical - plain @ np.linalg.lstsq(plain, typical, rcond=None)[0]
        told = np.column_stack([logs, rest]) if rest.std() > 1e-9 * abs(typical.mean()) else logs
        return kept, _tilted(told[kept], told)

    def _typical(self) -> np.ndarray:
        named = (self.draws[name] for name in self.spec.parameters)
        return np.asarray(self.spec.formulas.typical(*named, self.scale))

    def predictive_draws(self) -> tuple[np.ndarray, np.ndarray]:
        """As many draws as predictions need, with weights; see :meth:`thinned`.

        A model of a million customers is sure of itself and needs few; how many are taken depends on
        the model alone, never on who is scored.
        """
        typical = self._typical()
        noise = float(np.std(typical) / np.mean(typical))
        least = 32 if self.effects is None else 200  # a group may be less sure than the population
        # Weights do most of the work: 128 draws give CDNOW's totals within 0.1 % of a thousand.
        wanted = np.clip(math.ceil((noise / 0.004) ** 2), least, 4 * least)
        return self.thinned(min(int(wanted), self.size))

    @property
    def scale(self) -> float:
        """Mean age or mean value of the customers it was fitted on; 1 where it was not."""
        return float(self.extra.get("scale", 1.0))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the artifact."""
        return {
            "model": self.spec.name,
            "method": self.method,
            "parameters": self.parameters,
            "standard_errors": self.standard_errors,
            "covariance": self.covariance.tolist(),
            "log_likelihood": self.log_likelihood,
            "customers": self.customers,
            "verdict": {"code": self.verdict.code, "text": self.verdict.text},
            "extra": self.extra,
            **({} if self.effects is None else {"effects": self.effects.to_dict()}),
            **({"draws": {name: v.tolist() for name, v in self.draws.items()}} if self._many else {}),
        }

    @property
    def _many(self) -> bool:
        return self.size > 1

    @classmethod
    def from_dict(cls, spec: ModelSpec, data: dict[str, Any]) -> Fitted:
        """Inverse of :meth:`to_dict`."""
        kept = data.get("draws", data["parameters"])
        return cls(
            spec=spec,
            draws={name: np.atleast_1d(np.array(kept[name], dtype=float)) for name in spec.parameters},
            method=data["method"],
            covariance=np.array(data["covariance"], dtype=float),
            log_likelihood=float(data["log_likelihood"]),
            customers=int(data["customers"]),
            verdict=Verdict(data["verdict"]["code"], data["verdict"]["text"]),
            extra=dict(data["extra"]),
            effects=Effects.from_dict(data["effects"]) if "effects" in data else None,
        )

    @classmethod
    def from_parameters(cls, spec: ModelSpec, parameters: dict[str, float], text: str) -> Fitted:
        """A model whose parameters come from elsewhere; it has no standard errors."""
        size = len(spec.parameters)
        return cls(
            spec=spec,
            draws={name: np.array([float(parameters[name])]) for name in spec.parameters},
            method="given",
            covariance=np.full((size, size), np.nan),
            log_likelihood=float("nan"),
            customers=0,
            verdict=Verdict("converged", text),
        )


def _tilted(points: np.ndarray, every: np.ndarray) -> np.ndarray:
    """Weights nearest to equal under which the points have the mean of all; equal where impossible."""
    # In uncorrelated directions of spread 1: parameters that move together are no obstacle.
    centre, spread = every.mean(axis=0), every.std(axis=0)
    # A constant has rounding alone.
    spread = np.where(spread > 1e-12 * (1.0 + np.abs(centre)), spread, np.inf)
    scaled = (every - centre) / spread
    size, turn = np.linalg.eigh(scaled.T @ scaled / len(scaled))
    kept = size > 1e-10
    z = (points - centre) / spread @ (turn[:, kept] / np.sqrt(size[kept]))
    slope = np.zeros(z.shape[1])
    for _ in range(50):
        weight = np.exp(z @ slope - (z @ slope).max())
        weight /= weight.sum()
        mean = weight @ z
        if np.abs(mean).max() < 1e-12:
            return weight
        spread_now = (z - mean).T @ ((z - mean) * weight[:, None])
        slope -= np.linalg.lstsq(spread_now, mean, rcond=None)[0]
        if not np.isfinite(slope).all() or np.abs(slope).max() > 5.0:
            break
    return np.full(len(points), 1.0 / len(points))
