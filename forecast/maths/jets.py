"""Second-order forward differentiation: a value, its gradient and its Hessian travel together.

The likelihood texts are short and have at most a handful of parameters, so carrying
``1 + P + P (P + 1) / 2`` arrays through them is exact, needs no compiler and no tape. Missing
derivatives are ``None``, not arrays of zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy import special

from forecast.maths import ops


def _add(a: Any, b: Any) -> Any:
    if a is None:
        return b
    return a if b is None else a + b


def _times(a: Any, b: Any) -> Any:
    return None if a is None or b is None else a * b


class Jet:
    """A number or array with its derivatives in ``P`` parameters.

    Parameters
    ----------
    value : float or ndarray
    first : list, length P
        Derivatives, ``None`` where zero.
    second : list, length P (P + 1) / 2
        Second derivatives in row order of the upper triangle, ``None`` where zero.
    """

    __slots__ = ("first", "second", "value")
    __array_ufunc__ = None  # arrays hand arithmetic over to the jet

    def __init__(self, value: Any, first: list[Any], second: list[Any]) -> None:
        self.value = value
        self.first = first
        self.second = second

    def _chain(self, value: Any, d1: Any, d2: Any) -> Jet:
        first = [_times(d1, g) for g in self.first]
        second = []
        k = 0
        for i, gi in enumerate(self.first):
            for gj in self.first[i:]:
                second.append(_add(_times(d2, _times(gi, gj)), _times(d1, self.second[k])))
                k += 1
        return Jet(value, first, second)

    def __add__(self, other: Any) -> Jet:
        if isinstance(other, Jet):
            return Jet(
                self.value + other.value,
                [_add(a, b) for a, b in zip(self.first, other.first, strict=True)],
                [_add(a, b) for a, b in zip(self.second, other.second, strict=True)],
            )
        return Jet(self.value + other, self.first, self.second)

    __radd__ = __add__

    def __neg__(self) -> Jet:
        return self * -1.0

    def __sub__(self, other: Any) -> Jet:
        return self + (-other)

    def __rsub__(self, other: Any) -> Jet:
        return (-self) + other

    def __mul__(self, other: Any) -> Jet:
        if not isinstance(other, Jet):
            return Jet(
                self.value * other,
                [_times(g, other) for g in self.first],
                [_times(h, other) for h in self.second],
            )
        u, v = self, other
        first = [_add(_times(a, v.value), _times(b, u.value)) for a, b in zip(u.first, v.first, strict=True)]
        second = []
        k = 0
        for i in range(len(first)):
            for j in range(i, len(first)):
                cross = _add(_times(u.first[i], v.first[j]), _times(u.first[j], v.first[i]))
                term = _add(_times(u.second[k], v.value), _times(v.second[k], u.value))
                second.append(_add(cross, term))
                k += 1
        return Jet(u.value * v.value, first, second)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Jet:
        if isinstance(other, Jet):
            inverse = 1.0 / other.value
            return self * other._chain(inverse, -(inverse**2), 2.0 * inverse**3)
        return self * (1.0 / other)

    def __rtruediv__(self, other: Any) -> Jet:
        inverse = 1.0 / self.value
        return self._chain(inverse, -(inverse**2), 2.0 * inverse**3) * other


def _lift(plain: Callable[[Any], Any], derivatives: Callable[[Any], tuple[Any, Any, Any]]) -> Any:
    def operation(u: Any) -> Any:
        return u._chain(*derivatives(u.value)) if isinstance(u, Jet) else plain(u)

    return operation


def _softplus(u: Any) -> tuple[Any, Any, Any]:
    share = special.expit(u)
    return np.logaddexp(0.0, u), share, share * special.expit(-u)


def _exp(u: Any) -> tuple[Any, Any, Any]:
    value = np.exp(u)
    return value, value, value


def _where(condition: Any, u: Any, v: Any) -> Any:
    if not isinstance(u, Jet) and not isinstance(v, Jet):
        return np.where(condition, u, v)
    template = u if isinstance(u, Jet) else v
    empty = [None] * len(template.first), [None] * len(template.second)
    u = u if isinstance(u, Jet) else Jet(u, *empty)
    v = v if isinstance(v, Jet) else Jet(v, *empty)

    def pick(a: Any, b: Any) -> Any:
        if a is None and b is None:
            return None
        return np.where(condition, 0.0 if a is None else a, 0.0 if b is None else b)

    return Jet(
        np.where(condition, u.value, v.value),
        [pick(a, b) for a, b in zip(u.first, v.first, strict=True)],
        [pick(a, b) for a, b in zip(u.second, v.second, strict=True)],
    )


def _expm1(u: Any) -> tuple[Any, Any, Any]:
    slope = np.exp(u)
    return np.expm1(u), slope, slope


def _spread(u: Any) -> Any:
    if not isinstance(u, Jet):
        return ops.spread(u)
    return Jet(ops.spread(u.value), [ops.spread(g) for g in u.first], [ops.spread(h) for h in u.second])


def _total(u: Any) -> Any:
    if not isinstance(u, Jet):
        return ops.total(u)
    shape = np.shape(u.value)

    def summed(part: Any) -> Any:  # a derivative may be the same along the axis and lack it
        return None if part is None else ops.total(np.broadcast_to(part, shape))

    return Jet(summed(u.value), [summed(g) for g in u.first], [summed(h) for h in u.second])


JETS = SimpleNamespace(
    log=_lift(np.log, lambda u: (np.log(u), 1.0 / u, -1.0 / (u * u))),
    exp=_lift(np.exp, _exp),
    log1p=_lift(np.log1p, lambda u: (np.log1p(u), 1.0 / (1.0 + u), -1.0 / (1.0 + u) ** 2)),
    expm1=_lift(np.expm1, _expm1),
    gammaln=_lift(
        special.gammaln, lambda u: (special.gammaln(u), special.digamma(u), special.polygamma(1, u))
    ),
    softplus=_lift(lambda u: np.logaddexp(0.0, u), _softplus),
    where=_where,
    maximum=np.maximum,  # only ever applied to data
    spread=_spread,
    total=_total,
)


def variables(values: Sequence[float]) -> list[Jet]:
    """Independent variables at a point.

    Examples
    --------
    >>> a, b = variables([2.0, 3.0])
    >>> product = a * b
    >>> product.value, product.first, product.second
    (6.0, [3.0, 2.0], [None, 1.0, None])
    """
    return variables_at([float(value) for value in values])


def variables_at(values: Sequence[Any]) -> list[Jet]:
    """Independent variables at many points at once: each value may be an array."""
    size = len(values)
    jets = []
    for i, value in enumerate(values):
        first: list[Any] = [None] * size
        first[i] = 1.0
        jets.append(Jet(value, first, [None] * (size * (size + 1) // 2)))
    return jets


def weighted_sum(jet: Jet, weight: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Weighted sum over rows of a jet, its gradient and its Hessian.

    Parameters
    ----------
    jet : Jet
        With arrays that broadcast to ``weight``.
    weight : ndarray, shape (n,)

    Returns
    -------
    value : float
    gradient : ndarray, shape (P,)
    hessian : ndarray, shape (P, P)

    Examples
    --------
    >>> (u,) = variables([3.0])
    >>> value, gradient, hessian = weighted_sum(u * u * np.array([1.0, 2.0]), np.array([1.0, 10.0]))
    >>> float(value), gradient.tolist(), hessian.tolist()
    (189.0, [126.0], [[42.0]])
    """

    def total(part: Any) -> float:
        if part is None:
            return 0.0
        return float(np.dot(np.broadcast_to(part, weight.shape), weight))

    size = len(jet.first)
    gradient = np.array([total(g) for g in jet.first])
    hessian = np.empty((size, size))
    k = 0
    for i in range(size):
        for j in range(i, size):
            hessian[i, j] = hessian[j, i] = total(jet.second[k])
            k += 1
    return total(jet.value), gradient, hessian
