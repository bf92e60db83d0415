"""What a fit returns: draws of the parameters, their uncertainty, and a verdict in words."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

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

    @property
    def parameters(self) -> dict[str, float]:
        """Point values: means over the draws."""
        return {name: float(values.mean()) for name, values in self.draws.items()}

    @property
    def standard_errors(self) -> dict[str, float]:
        errors = np.sqrt(np.diag(self.covariance))
        return dict(zip(self.spec.parameters, errors.tolist(), strict=True))

    def each_draw(self) -> list[tuple[float, ...]]:
        """Parameter tuples in the order of the formula files, one a draw."""
        columns = [self.draws[name] for name in self.spec.parameters]
        return [tuple(float(v) for v in row) for row in zip(*columns, strict=True)]

    def thinned(self, most: int) -> tuple[list[tuple[float, ...]], np.ndarray]:
        """At most so many draws, evenly taken, and weights that keep the posterior's means.

        Returns
        -------
        draws : list of tuple
        weights : ndarray
            Positive, summing to 1. They are tilted so that the mean logarithm of every parameter is that
            of all draws, which leaves only curvature to chance.
        """
        every = self.each_draw()
        if len(every) <= most:
            return every, np.full(len(every), 1.0 / len(every))
        kept = [every[i] for i in np.linspace(0, len(every) - 1, most).round().astype(int)]
        logs = np.log(np.array(every))
        return kept, _tilted(np.log(np.array(kept)), logs.mean(axis=0), logs.std(axis=0))

    def predictive_draws(self) -> tuple[list[tuple[float, ...]], np.ndarray]:
        """As many draws as predictions need, with weights; see :meth:`thinned`.

        A model of a million customers is sure of itself and needs few; how many are taken depends on
        the model alone, never on who is scored.
        """
        named = (self.draws[name] for name in self.spec.parameters)
        typical = np.asarray(self.spec.formulas.typical(*named, self.scale))
        noise = float(np.std(typical) / np.mean(typical))
        return self.thinned(int(np.clip(math.ceil((noise / 0.004) ** 2), 32, len(typical))))

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
            **({"draws": {name: v.tolist() for name, v in self.draws.items()}} if self._many else {}),
        }

    @property
    def _many(self) -> bool:
        return len(next(iter(self.draws.values()))) > 1

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


def _tilted(points: np.ndarray, target: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Weights nearest to equal under which the points have the target mean; equal where impossible."""
    z = (points - target) / np.where(spread > 0, spread, 1.0)
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
