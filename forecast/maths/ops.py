"""The seam through which one likelihood text serves several interpreters.

A likelihood is written against a small namespace of elementwise operations, passed as its first
argument; ``spread`` and ``total`` open and close a trailing axis, along which a fixed quadrature lies.
:data:`NUMPY` evaluates it on arrays; :mod:`forecast.maths.jets` evaluates the same text with exact first
and second derivatives. Any other namespace with these names will do.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy import special

NAMES = ("log", "exp", "log1p", "expm1", "gammaln", "softplus", "where", "maximum", "spread", "total")


def softplus(u: Any) -> Any:
    """``log(1 + exp(u))`` without overflow.

    Examples
    --------
    >>> float(softplus(np.array(800.0)))
    800.0
    """
    return np.logaddexp(0.0, u)


def spread(v: Any) -> Any:
    """An array with a trailing axis of length 1; a number as it is.

    Examples
    --------
    >>> spread(np.zeros(3)).shape, spread(2.0)
    ((3, 1), 2.0)
    """
    return v[..., None] if np.ndim(v) else v


def total(v: Any) -> Any:
    """The sum over the trailing axis.

    Examples
    --------
    >>> total(np.ones((2, 3))).tolist()
    [3.0, 3.0]
    """
    return np.sum(v, axis=-1)


NUMPY = SimpleNamespace(
    log=np.log,
    exp=np.exp,
    log1p=np.log1p,
    expm1=np.expm1,
    gammaln=special.gammaln,
    softplus=softplus,
    where=np.where,
    maximum=np.maximum,
    spread=spread,
    total=total,
)


def log_beta(ops: Any, a: Any, b: Any) -> Any:
    """Logarithm of the beta function, in any namespace of operations.

    Examples
    --------
    >>> float(np.exp(log_beta(NUMPY, 2.0, 3.0)))
    0.0833333333333333...
    """
    return ops.gammaln(a) + ops.gammaln(b) - ops.gammaln(a + b)
