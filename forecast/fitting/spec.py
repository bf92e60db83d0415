"""The table of models: a new model is one formula file and one row here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from forecast.errors import ArgumentError
from forecast.maths import bgnbd, gammagamma, jets, kernels, nbd
from forecast.maths.jets import JETS
from forecast.maths.ops import NUMPY


class Objective(Protocol):
    """A weighted log-likelihood: called, it gives value, gradient and Hessian."""

    def __call__(self, theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]: ...

    def value(self, theta: np.ndarray) -> float:
        """The value alone."""
        ...


class TextSum:
    """The weighted sum of a likelihood text over rows, for models without a compiled one."""

    def __init__(self, text: Callable[..., Any], weight: np.ndarray, data: dict[str, np.ndarray]) -> None:
        self._text, self._weight, self._data = text, weight, data

    def __call__(self, theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        return jets.weighted_sum(self._text(JETS, *jets.variables(list(theta)), **self._data), self._weight)

    def value(self, theta: np.ndarray) -> float:
        """The value alone."""
        return float(np.dot(self._weight, self._text(NUMPY, *theta.tolist(), **self._data)))


Limit = tuple[Callable[[dict[str, float]], bool], str]


@dataclass(frozen=True)
class ModelSpec:
    """What the rooms need to know of a model.

    Attributes
    ----------
    name : str
        As on the command line.
    title : str
        As in the literature.
    formulas : module
        ``log_likelihood, start`` and, for purchases, ``log_odds_left, if_alive, newcomer``.
    scaled : tuple of str
        Parameters that carry the unit of time (purchases) or money (spend).
    compiled : callable, optional
        A compiled sum that equals the text, for many rows.
    limits : tuple
        Tests on the scaled parameters that recognise a boundary, with its meaning.
    reference : str
    """

    name: str
    title: str
    formulas: ModuleType
    scaled: tuple[str, ...]
    reference: str
    compiled: Callable[..., Objective] | None = None
    limits: tuple[Limit, ...] = field(default=())

    @property
    def parameters(self) -> tuple[str, ...]:
        return self.formulas.PARAMETERS

    @property
    def unconstrained(self) -> tuple[str, ...]:
        return self.formulas.UNCONSTRAINED

    @property
    def effects(self) -> dict[str, tuple[str, float]]:
        """What traits may act on: the unconstrained parameter that each effect moves, and its sign."""
        return self.formulas.EFFECTS

    def natural(self, *u: Any) -> tuple[Any, ...]:
        """Natural parameters at unconstrained ones, elementwise."""
        return self.formulas.natural(NUMPY, *u)

    def objective(self, weight: np.ndarray, **data: np.ndarray) -> Objective:
        """Weighted log-likelihood with gradient and Hessian, as a function of the parameters."""
        if self.compiled is not None:
            return self.compiled(**data, weight=weight)
        return TextSum(self.formulas.log_likelihood, weight, data)


_SAME_RATE: Limit = (
    lambda v: v["r"] > 200,
    "all customers buy at the same rate (r and alpha grow without end): the counts vary no more than chance",
)

NBD = ModelSpec(
    name="nbd",
    title="NBD",
    formulas=nbd,
    scaled=("alpha",),
    reference="Ehrenberg (1959)",
    limits=(_SAME_RATE,),
)
BG_NBD = ModelSpec(
    name="bg-nbd",
    title="BG/NBD",
    formulas=bgnbd,
    scaled=("alpha",),
    reference="Fader, Hardie & Lee (2005), Marketing Science 24(2)",
    compiled=kernels.BGNBDSum,
    limits=(
        (
            lambda v: v["a"] / (v["a"] + v["b"]) < 1e-3,
            "no drop-out is seen: the model has become NBD, a and b are not identified",
        ),
        (
            lambda v: v["b"] < 1e-3 * v["a"] or v["b"] < 1e-3,
            "every customer leaves right after a repeat purchase or never does: b is not identified",
        ),
        (
            lambda v: v["a"] + v["b"] > 300,
            "all customers have the same chance to leave: only a / (a + b) is identified",
        ),
        _SAME_RATE,
    ),
)
GAMMA_GAMMA = ModelSpec(
    name="gamma-gamma",
    title="Gamma-Gamma",
    formulas=gammagamma,
    scaled=("gamma",),
    reference="Fader & Hardie (2013), The Gamma-Gamma model of monetary value",
    compiled=kernels.GammaGammaSum,
    limits=(
        (lambda v: v["q"] > 500, "all customers have the same mean spend: q and gamma grow without end"),
        (lambda v: v["p"] > 500, "a customer's purchases all have the same value: p grows without end"),
    ),
)

PURCHASE_MODELS: dict[str, ModelSpec] = {spec.name: spec for spec in (BG_NBD, NBD)}


def purchase_model(name: str) -> ModelSpec:
    """Look a purchase model up by its name.

    Raises
    ------
    ArgumentError
        When there is no such model.

    Examples
    --------
    >>> purchase_model("bg-nbd").parameters
    ('r', 'alpha', 'a', 'b')
    """
    if name not in PURCHASE_MODELS:
        raise ArgumentError(
            f"there is no purchase model {name!r}", advice=f"Choose one of {', '.join(PURCHASE_MODELS)}."
        )
    return PURCHASE_MODELS[name]
