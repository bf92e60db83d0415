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
    """

    spec: ModelSpec
    draws: dict[str, np.ndarray]
    method: str
    covariance: np.ndarray
    log_likelihood: float
    customers: int
    verdict: Verdict
    extra: dict[str, Any] = field(default_factory=dict)

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

    def thinned(self, most: int) -> list[tuple[float, ...]]:
        """At most so many draws, evenly taken from all."""
        every = self.each_draw()
        if len(every) <= most:
            return every
        return [every[i] for i in np.linspace(0, len(every) - 1, most).round().astype(int)]

    def predictive_draws(self) -> list[tuple[float, ...]]:
        """As many draws as predictions need: enough to know means to 0.2 %, and no fewer than 32.

        A model of a million customers is sure of itself and needs few; how many are taken depends on
        the model alone, never on who is scored.
        """
        every = self.each_draw()
        if len(every) == 1:
            return every
        typical = self.spec.formulas.typical(*(self.draws[name] for name in self.spec.parameters), self.scale)
        noise = float(np.std(typical) / np.mean(typical))
        return self.thinned(int(np.clip(math.ceil((noise / 0.002) ** 2), 32, len(every))))

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
