"""What a fit returns: draws of the parameters, their uncertainty, and a verdict in words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from forecast.fitting.spec import ModelSpec


@dataclass(frozen=True)
class Verdict:
    """How far the numbers can be trusted.

    Attributes
    ----------
    code : {'converged', 'boundary'}
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
        }

    @classmethod
    def from_dict(cls, spec: ModelSpec, data: dict[str, Any]) -> Fitted:
        """Inverse of :meth:`to_dict`."""
        return cls(
            spec=spec,
            draws={name: np.array([float(data["parameters"][name])]) for name in spec.parameters},
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
