"""The table of models: a new model is one formula file and one row here."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, Protocol

import numpy as np

from forecast.errors import ArgumentError
from forecast.maths import bgcnbd, bgnbd, gammagamma, jets, kernels, nbd, paretokernel, paretonbd
from forecast.maths.jets import JETS
from forecast.maths.ops import NUMPY

_BLOCK = 16_384


class Objective(Protocol):
    """A weighted log-likelihood: called, it gives value, gradient and Hessian."""

    def __call__(self, theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]: ...

    def value(self, theta: np.ndarray) -> float:
        """The value alone."""
        ...


class TextSum:
    """The weighted sum of a likelihood text over rows, for models without a compiled one.

    Rows are taken in blocks, so that derivatives of many rows never lie in memory together.
    """

    def __init__(self, text: Callable[..., Any], weight: np.ndarray, data: dict[str, np.ndarray]) -> None:
        self._text, self._weight, self._data = text, weight, data

    def __call__(self, theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        variables = jets.variables(list(theta))
        value, gradient, hessian = 0.0, np.zeros(len(theta)), np.zeros((len(theta), len(theta)))
        for begin in range(0, len(self._weight), _BLOCK):
            rows = slice(begin, begin + _BLOCK)
            data = {name: values[rows] for name, values in self._data.items()}
            part = jets.weighted_sum(self._text(JETS, *variables, **data), self._weight[rows])
            value, gradient, hessian = value + part[0], gradient + part[1], hessian + part[2]
        return value, gradient, hessian

    def value(self, theta: np.ndarray) -> float:
        """The value alone."""
        total = 0.0
        for begin in range(0, len(self._weight), _BLOCK):
            rows = slice(begin, begin + _BLOCK)
            data = {name: values[rows] for name, values in self._data.items()}
            total += float(np.dot(self._weight[rows], self._text(NUMPY, *theta.tolist(), **data)))
        return total


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
    formulas : module or namespace
        ``log_likelihood, start`` and, for purchases, ``log_odds_left, if_alive, LIVE_BY, PROCESS, simulate,
        times``.
    scaled : tuple of str
        Parameters that carry the unit of time (purchases) or money (spend).
    compiled : callable, optional
        A compiled sum that equals the text, for many rows.
    limits : tuple
        Tests on the scaled parameters that recognise a boundary, with its meaning.
    reference : str
    elementary : bool
        Whether the text is short. One that integrates takes long to compile and to evaluate.
    """

    name: str
    title: str
    formulas: Any
    scaled: tuple[str, ...]
    reference: str
    compiled: Callable[..., Objective] | None = None
    limits: tuple[Limit, ...] = field(default=())
    elementary: bool = True

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
    compiled=kernels.NBDSum,
    limits=(_SAME_RATE,),
)
_BG_LIMITS: tuple[Limit, ...] = (
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
)
BG_NBD = ModelSpec(
    name="bg-nbd",
    title="BG/NBD",
    formulas=bgnbd,
    scaled=("alpha",),
    reference="Fader, Hardie & Lee (2005), Marketing Science 24(2)",
    compiled=kernels.BGNBDSum,
    limits=_BG_LIMITS,
)
MBG_NBD = ModelSpec(
    name="mbg-nbd",
    title="MBG/NBD",
    formulas=bgcnbd.family(1, 1),
    scaled=("alpha",),
    reference="Batislam, Denizel & Filiztekin (2007), IJRM 24(3)",
    compiled=partial(kernels.BGNBDSum, m=1),
    limits=_BG_LIMITS,
)
PARETO_NBD = ModelSpec(
    name="pareto-nbd",
    title="Pareto/NBD",
    formulas=paretonbd,
    scaled=("alpha", "beta"),
    reference="Schmittlein, Morrison & Colombo (1987), Management Science 33(1)",
    compiled=paretokernel.ParetoNBDSum,
    elementary=False,
    limits=(
        (
            lambda v: v["s"] * math.log1p(1.0 / v["beta"]) < 1e-3,
            "nobody is seen to leave: the model has become NBD, s and beta are not identified",
        ),
        (
            lambda v: v["s"] > 200,
            "all customers leave at the same rate: only s / beta is identified",
        ),
        (
            lambda v: v["beta"] < 1e-4,
            "customers leave right after the first purchase or hardly ever: beta is not identified",
        ),
        _SAME_RATE,
    ),
)


@cache
def _regular(k: int, m: int) -> ModelSpec:
    """The (M)BG/CNBD-k model."""
    prefix = "M" * m
    return ModelSpec(
        name=f"{prefix.lower()}bg-cnbd-{k}",
        title=f"{prefix}BG/CNBD-{k}",
        formulas=bgcnbd.family(k, m),
        scaled=("alpha",),
        reference="Reutterer, Platzer & Schröder (2021), IJRM 38(1)",
        compiled=partial(kernels.BGNBDSum, m=m) if k == 1 else None,
        limits=_BG_LIMITS,
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

PURCHASE_MODELS: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        BG_NBD,
        NBD,
        MBG_NBD,
        PARETO_NBD,
        _regular(2, 0),
        _regular(2, 1),
        _regular(3, 0),
        _regular(3, 1),
    )
}
# What a backtest compares when nothing is said; regular purchasing is asked for by name.
DEFAULT_CANDIDATES = ("bg-nbd", "nbd", "mbg-nbd", "pareto-nbd")


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
    >>> purchase_model("mbg-cnbd-4").title
    'MBG/CNBD-4'
    """
    if name in PURCHASE_MODELS:
        return PURCHASE_MODELS[name]
    regular = re.fullmatch(r"(m?)bg-cnbd-(\d)", name)
    if regular and 1 <= int(regular[2]) <= bgcnbd.MOST_REGULAR:
        return _regular(int(regular[2]), len(regular[1]))
    raise ArgumentError(
        f"there is no purchase model {name!r}",
        advice=f"Choose one of {', '.join(PURCHASE_MODELS)}; "
        f"bg-cnbd-K and mbg-cnbd-K take any K from 1 to {bgcnbd.MOST_REGULAR}.",
    )
