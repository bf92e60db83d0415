"""Everything that depends on the versions of PyMC and ArviZ.

Python 3.11 resolves PyMC 5 with ArviZ 0.2x, whose results are ``InferenceData``; newer interpreters
resolve PyMC 6 with ArviZ 1, whose results are ``xarray.DataTree``. Groups of named arrays are the same in
both. Importing this file imports ArviZ, which takes seconds, so nothing imports it before it is needed.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

with warnings.catch_warnings():
    # ArviZ 0.23 announces ArviZ 1 with a FutureWarning at its import.
    warnings.filterwarnings("ignore", category=FutureWarning)
    import arviz as az

_IS_TREE = "InferenceData" not in vars(az)
_SAMPLE_STATS = {  # our names, with those of PyMC's sampler and of nutpie's
    "lp": ("lp", "logp"),
    "energy": ("energy",),
    "diverging": ("diverging",),
    "acceptance_rate": ("acceptance_rate", "mean_tree_accept"),
    "step_size": ("step_size",),
    "tree_depth": ("tree_depth", "depth"),
    "n_steps": ("n_steps",),
}


def assemble(groups: Mapping[str, xr.Dataset]) -> Any:
    """One ArviZ object from named groups: ``InferenceData`` or ``DataTree``, whichever ArviZ speaks.

    Examples
    --------
    >>> data = assemble({"posterior": xr.Dataset({"r": (("chain", "draw"), np.ones((2, 3)))})})
    >>> dict(group(data, "posterior").sizes)
    {'chain': 2, 'draw': 3}
    """
    if _IS_TREE:
        return xr.DataTree.from_dict({f"/{name}": dataset for name, dataset in groups.items()})
    inference_data: Any = az.InferenceData
    return inference_data(**groups)


def group_names(data: Any) -> tuple[str, ...]:
    """Names of the groups.

    Examples
    --------
    >>> group_names(assemble({"prior": xr.Dataset({"r": ("draw", np.ones(3))})}))
    ('prior',)
    """
    return tuple(data.children) if _IS_TREE else tuple(data.groups())


def group(data: Any, name: str) -> xr.Dataset:
    """A group as a dataset.

    Raises
    ------
    KeyError
        When there is no such group.
    """
    found = data[name]
    return found.to_dataset() if isinstance(found, xr.DataTree) else found


def write(data: Any, path: str | Path) -> None:
    """Write all groups to one netCDF file, numbers compressed; the same draws give the same values."""
    encoding = {
        name: {
            key: {"zlib": True, "complevel": 4}
            for key, variable in group(data, name).variables.items()
            if variable.dtype.kind in "fiu" and variable.size
        }
        for name in group_names(data)
    }
    for k, name in enumerate(group_names(data)):
        group(data, name).to_netcdf(
            path, mode="w" if k == 0 else "a", group=name, engine="h5netcdf", encoding=encoding[name]
        )


def to_bytes(data: Any) -> bytes:
    """The same file's content, for a place that writes files itself."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "posterior.nc"
        write(data, path)
        return path.read_bytes()


def read(path: str | Path) -> Any:
    """Inverse of :func:`write`; the file is closed again.

    Raises
    ------
    OSError
        When the file cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "posterior.nc"
    >>> write(assemble({"posterior": xr.Dataset({"r": (("chain", "draw"), np.ones((2, 3)))})}), path)
    >>> group(read(path), "posterior")["r"].shape
    (2, 3)
    """
    with xr.open_datatree(path, engine="h5netcdf") as tree:
        groups = {name: child.to_dataset().load() for name, child in tree.children.items()}
    return assemble(groups)


def r_hat(draws: np.ndarray) -> float:
    """Rank-normalised split R-hat (Vehtari et al. 2021) of draws, shape (chains, draws); NaN for one chain.

    Examples
    --------
    >>> bool(r_hat(np.random.default_rng(0).standard_normal((4, 1000))) < 1.01)
    True
    """
    if len(draws) < 2:
        return float("nan")
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # constant draws give NaN, which the verdict reads
        return float(az.rhat(np.asarray(draws)))


def effective_size(draws: np.ndarray, method: str) -> float:
    """Effective number of draws, shape (chains, draws), for ``method`` 'bulk' or 'tail'.

    Examples
    --------
    >>> 3000 < effective_size(np.random.default_rng(0).standard_normal((4, 1000)), "bulk") < 5000
    True
    """
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return float(
            az.ess(np.asarray(draws), method=method, prob=(0.05, 0.95) if method == "tail" else None)
        )


def diagnose(draws: np.ndarray, stats: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The worst R-hat and effective sizes over parameters, divergent steps and the least E-BFMI.

    Parameters
    ----------
    draws : ndarray, shape (chains, draws, parameters)
    stats : mapping of str to ndarray, shape (chains, draws)
        With ``diverging`` and ``energy``.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> stats = {"diverging": np.zeros((4, 500), bool), "energy": rng.standard_normal((4, 500))}
    >>> sorted(diagnose(rng.standard_normal((4, 500, 2)), stats))
    ['divergences', 'e_bfmi', 'ess_bulk', 'ess_tail', 'r_hat']
    """
    every = np.moveaxis(draws, -1, 0)
    with np.errstate(all="ignore"):
        energy = stats["energy"]
        e_bfmi = np.square(np.diff(energy, axis=1)).mean(axis=1) / energy.var(axis=1)
    return {
        "r_hat": float(np.max([r_hat(one) for one in every])),
        "ess_bulk": float(np.min([effective_size(one, "bulk") for one in every])),
        "ess_tail": float(np.min([effective_size(one, "tail") for one in every])),
        "divergences": int(stats["diverging"].sum()),
        "e_bfmi": float(e_bfmi.min()),
    }


def dataset(dims: tuple[str, ...], values: Mapping[str, np.ndarray]) -> xr.Dataset:
    """Named arrays that share their dimensions, which are counted from 0.

    Examples
    --------
    >>> dataset(("chain", "draw"), {"r": np.ones((2, 3))})["draw"].to_numpy().tolist()
    [0, 1, 2]
    """
    shape = next(iter(values.values())).shape
    return xr.Dataset(
        {name: (dims, value) for name, value in values.items()},
        {dim: np.arange(size) for dim, size in zip(dims, shape, strict=True)},
    )


def sampler_output(found: Any, variable: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Draws of a variable, shape (chains, draws, ...), and the sampler's statistics under our names."""
    stats = group(found, "sample_stats")
    kept = {}
    for ours, theirs in _SAMPLE_STATS.items():
        for name in theirs:
            if name in stats:
                kept[ours] = stats[name].to_numpy()
                break
    return group(found, "posterior")[variable].to_numpy(), kept


def differentiable(operation: type) -> type:
    """Class decorator: PyTensor 3 calls ``pullback`` what PyTensor 2 calls ``L_op``."""
    own: Any = operation  # its type does not say what the class defines
    if not hasattr(own.__base__, "pullback"):
        own.L_op = own.pullback
    return operation


def mode_of_operations() -> Any:
    """How PyTensor runs a graph around an operation written in Python, which Numba cannot compile."""
    from pytensor import config
    from pytensor.compile.mode import Mode

    return "CVM" if config.cxx else Mode(linker="py", optimizer="fast_run")


def has_nutpie() -> bool:
    """Whether nutpie is installed.

    Examples
    --------
    >>> has_nutpie() in (True, False)
    True
    """
    return importlib.util.find_spec("nutpie") is not None


def sample_by_nutpie(
    model: Any, *, draws: int, tune: int, chains: int, cores: int | None, seed: int, progress: bool
) -> Any:
    """Sample a PyMC model whose every operation Numba can compile.

    Raises
    ------
    ImportError
        Without nutpie.
    """
    nutpie = importlib.import_module("nutpie")
    return nutpie.sample(
        nutpie.compile_pymc_model(model),
        draws=draws,
        tune=tune,
        chains=chains,
        cores=cores,
        seed=seed,
        progress_bar=progress,
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Only errors of PyMC and PyTensor are heard: the verdict says the rest in words."""
    loggers = [logging.getLogger(name) for name in ("pymc", "pytensor")]
    before = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning)
            # PyTensor from a wheel finds no BLAS to link to; there is no matrix product in these models.
            warnings.filterwarnings("ignore", message="PyTensor could not link to a BLAS")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
