"""A safeguarded Newton search with exact gradient and Hessian."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from forecast.errors import FitError

_MOST_STEPS = 200
_ROUNDING = 1e-10  # a value near zero may be the difference of large sums

Function = Callable[[np.ndarray], tuple[float, np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Optimum:
    """Where the search ended.

    Attributes
    ----------
    at : ndarray, shape (P,)
    value : float
    curvature : ndarray, shape (P, P)
        Negative Hessian.
    steps : int
    """

    at: np.ndarray
    value: float
    curvature: np.ndarray
    steps: int


def maximise(function: Function, start: np.ndarray, title: str) -> Optimum:
    """Climb to a maximum; one step beyond the tolerance makes it exact to rounding.

    Raises
    ------
    FitError
        When the function cannot be climbed, or does not settle: the data do not identify the model.
    """
    at = np.asarray(start, dtype=float)
    value, gradient, hessian = function(at)
    settled = False
    steps = 0
    while steps < _MOST_STEPS:
        steps += 1
        size, direction = np.linalg.eigh(-hessian)
        along = direction.T @ gradient
        # A wrong or missing curvature is replaced by its size: the step still climbs.
        step = direction @ (along / np.maximum(np.abs(size), 1e-7 * np.abs(size).max() + 1e-300))
        step *= min(1.0, 2.0 / np.abs(step).max()) if np.abs(step).max() > 0 else 1.0
        gain = float(gradient @ step)
        noise = 1e-13 * abs(value)
        if settled or gain <= noise * 1e-3:
            break
        shrink, found = 1.0, None
        while shrink > 1e-10:
            trial = np.clip(at + shrink * step, -60.0, 60.0)
            found = function(trial)
            if math.isfinite(found[0]) and found[0] >= value + 1e-4 * shrink * gain - noise - _ROUNDING:
                break
            shrink, found = shrink / 2.0, None
        if found is None:
            if gain < 1e-5:  # near a boundary rounding hides what little is left to gain
                break
            raise FitError(
                f"the {title} likelihood could not be climbed further",
                advice="The data do not identify the model; look at the histories.",
            )
        settled = gain < 1e-8 and shrink == 1.0
        at = trial
        value, gradient, hessian = found
    else:
        raise FitError(
            f"the {title} search did not settle in {_MOST_STEPS} steps",
            advice="The likelihood is flat: there is too little in the data to tell the parameters apart.",
        )
    return Optimum(at, value, -hessian, steps)
