"""What a sampled posterior holds for ArviZ: parameters, priors, the sampler's statistics, pointwise terms.

Importing this file imports ArviZ, which takes seconds: only the sampler does.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

import forecast.fitting.ecosystem as ecosystem
from forecast.fitting.priors import Priors, moments
from forecast.fitting.problem import Problem

PRIOR_DRAWS = 1000
POINTWISE_ROWS = 100_000  # with more rows there is no pointwise log-likelihood,
_POINTWISE_VALUES = 2**23  # and with many of them fewer draws of it: 64 MB are enough


def data_groups(
    problem: Problem, priors: Priors, u: np.ndarray, stats: dict[str, np.ndarray], rng: np.random.Generator
) -> dict[str, xr.Dataset]:
    """Named groups of named arrays with named dimensions.

    Parameters
    ----------
    problem : Problem
    priors : Priors
    u : ndarray, shape (chains, draws, parameters)
        Unconstrained draws.
    stats : dict of ndarray, shape (chains, draws)
        The sampler's own.
    rng : numpy.random.Generator
        Draws from the priors.

    Returns
    -------
    dict of str to xarray.Dataset
        As :class:`forecast.fitting.mcmc.Posterior` describes them.
    """
    names = problem.names
    mean, sd = moments(priors, names)
    prior = mean + sd * rng.standard_normal((1, PRIOR_DRAWS, len(names)))
    about = {"model": problem.spec.name, "scale": problem.scale}
    groups = {
        "posterior": _parameters(problem, u).assign_attrs(about),
        "prior": _parameters(problem, prior).assign_attrs(about),
        "sample_stats": ecosystem.dataset(("chain", "draw"), stats),
    }
    rows = len(problem.weight)
    if rows <= POINTWISE_ROWS:
        stride = -(-u.shape[0] * u.shape[1] * rows // _POINTWISE_VALUES)
        values = _pointwise(problem, u[:, ::stride])
        groups["log_likelihood"] = xr.Dataset(
            {"log_likelihood": (("chain", "draw", "row"), values)},
            {"chain": np.arange(u.shape[0]), "draw": np.arange(u.shape[1])[::stride], "row": np.arange(rows)},
            {"of": "one customer of the row; constant_data holds how many there are"},
        )
        data = {**problem.data, "weight": problem.weight}
        groups["constant_data"] = ecosystem.dataset(("row",), data)
    return groups


def _parameters(problem: Problem, u: np.ndarray) -> xr.Dataset:
    """Natural parameters in the input's units and unconstrained ones, dims (chain, draw)."""
    with np.errstate(over="ignore"):
        natural = problem.natural(u) * problem.factor
    columns = {name: natural[..., i] for i, name in enumerate(problem.spec.parameters)}
    columns |= {name: u[..., i] for i, name in enumerate(problem.names)}
    return ecosystem.dataset(("chain", "draw"), columns)


def _pointwise(problem: Problem, u: np.ndarray) -> np.ndarray:
    """Log-likelihood of one customer of each row, in the input's units, shape (..., rows)."""
    flat = u.reshape(-1, u.shape[-1])
    found = np.empty((len(flat), len(problem.weight)))
    for i, v in enumerate(flat):
        found[i] = problem.rows_at(v)
    return found.reshape(*u.shape[:-1], -1)
