"""The seam through which one likelihood text serves several interpreters.

A likelihood is written against a small namespace of elementwise operations, passed as its first
argument. :data:`NUMPY` evaluates it on arrays; :mod:`forecast.maths.jets` evaluates the same text with
exact first and second derivatives. Any other namespace with these names will do.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy import special

NAMES = ("log", "exp", "gammaln", "softplus", "where", "maximum")


def softplus(u: Any) -> Any:
    """``log(1 + exp(u))`` without overflow.

    Examples
    --------
    >>> float(softplus(np.array(800.0)))
    800.0
    """
    return np.logaddexp(0.0, u)


NUMPY = SimpleNamespace(
    log=np.log,
    exp=np.exp,
    gammaln=special.gammaln,
    softplus=softplus,
    where=np.where,
    maximum=np.maximum,
)


def log_beta(ops: Any, a: Any, b: Any) -> Any:
    """Logarithm of the beta function, in any namespace of operations.

    Examples
    --------
    >>> float(np.exp(log_beta(NUMPY, 2.0, 3.0)))
    0.0833333333333333...
    """
    return ops.gammaln(a) + ops.gammaln(b) - ops.gammaln(a + b)
