"""Weak priors as plain data, on scaled and unconstrained parameters, so that units cannot matter.

Each unconstrained parameter has a normal prior, given by its mean and standard deviation. Time is
divided by the customers' mean age and money by their mean value before a prior is met.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from forecast.errors import ArgumentError, InputError


@dataclass(frozen=True)
class Prior:
    """A normal prior of one unconstrained parameter."""

    mean: float
    sd: float


Priors = dict[str, Prior]

DEFAULTS: dict[str, Prior] = {
    # A typical rate of half a purchase a mean lifetime, from a fiftieth to a dozen.
    "log_r": Prior(math.log(0.5), 1.5),
    "log_alpha": Prior(math.log(0.5), 1.5),
    # A customer leaves after a purchase with a chance of 2 to 80 %, customers differing a lot or little.
    "logit_dropout": Prior(-1.0, 1.5),
    "log_certainty": Prior(math.log(3.0), 1.5),
    # At any time (Pareto/NBD): a typical stay of a tenth to a dozen mean ages, customers differing or alike.
    "log_s": Prior(math.log(0.8), 1.25),
    "log_beta": Prior(math.log(0.8), 1.5),
    # Spend: values vary within a customer by 15 to 150 %, and between customers about as much.
    "log_p": Prior(math.log(4.0), 1.5),
    "log_q_minus_1": Prior(math.log(2.5), 1.5),
    "log_gamma": Prior(math.log(0.5), 1.5),
    # Groups differ in each unconstrained parameter by about 0.05 to 1.
    "log_between_groups": Prior(math.log(0.25), 0.75),
    # A standard deviation of a number, or a level of a category, moves a rate by up to e either way.
    "effect": Prior(0.0, 1.0),
}


def moments(priors: Priors, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Means and standard deviations in the order of ``names``."""
    return np.array([priors[name].mean for name in names]), np.array([priors[name].sd for name in names])


def resolve_priors(names: tuple[str, ...], overrides: Mapping[str, Any] | None = None) -> Priors:
    """The priors of a model, defaults where nothing is said.

    Parameters
    ----------
    names : tuple of str
        Unconstrained parameters.
    overrides : mapping, optional
        ``{"log_r": {"mean": 0.0, "sd": 1.0}}``; names of other models are allowed, unknown ones not.

    Raises
    ------
    ArgumentError
        When a name is unknown, or a value is no finite number, or ``sd`` is not positive.

    Examples
    --------
    >>> resolve_priors(("log_r",), {"log_r": {"mean": 0.0, "sd": 1.0}})
    {'log_r': Prior(mean=0.0, sd=1.0)}
    """
    found = {name: DEFAULTS.get(name, DEFAULTS["effect"]) for name in names}
    overrides = dict(overrides or {})
    for name in names:  # what is said of effects in general holds for each that has no word of its own
        if name not in DEFAULTS and "effect" in overrides:
            overrides.setdefault(name, overrides["effect"])
    for name, given in overrides.items():
        if name not in DEFAULTS and name not in found and ":" not in name:
            raise ArgumentError(f"there is no prior {name!r}", advice=f"Known are {', '.join(DEFAULTS)}.")
        if name not in found:
            continue
        values = {"mean": given.mean, "sd": given.sd} if isinstance(given, Prior) else dict(given)
        base = found[name]
        unknown = set(values) - {"mean", "sd"}
        try:
            prior = Prior(float(values.get("mean", base.mean)), float(values.get("sd", base.sd)))
        except (TypeError, ValueError):
            prior = Prior(math.nan, math.nan)
        if unknown or not math.isfinite(prior.mean) or not 0 < prior.sd < math.inf:
            raise ArgumentError(
                f"the prior of {name} is not understood: {values}",
                advice="Give a finite mean and a positive sd, on the scaled unconstrained parameter.",
            )
        found[name] = prior
    return found


def read_priors(path: Any) -> dict[str, Any]:
    """Overrides from a TOML file: one table a parameter with ``mean`` and ``sd``.

    Raises
    ------
    InputError
        When the file cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".toml", delete=False) as file:
    ...     _ = file.write("[log_r]\\nmean = 0.0\\nsd = 1.0\\n")
    >>> read_priors(file.name)
    {'log_r': {'mean': 0.0, 'sd': 1.0}}
    """
    try:
        return tomllib.loads(Path(path).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(
            f"the priors cannot be read: {type(error).__name__}",
            where=str(path),
            advice="Give a TOML file with a table a parameter, such as [log_r] mean = -0.7 sd = 1.5.",
        ) from None
