"""The posterior by Hamiltonian Monte Carlo: PyMC's NUTS, started and preconditioned by the mode.

The PyMC model is generated from a :class:`~forecast.fitting.problem.Problem`: normal priors on the
unconstrained parameters, and the likelihood either from the model's text, read with PyTensor's
operations, or from the compiled sum of the same text. The sampler walks in ``z`` with
``u = mode + L z``, where ``L L'`` is the inverse curvature at the mode, so that the posterior looks like
a standard normal distribution and a short tuning is enough.

Importing this file imports PyMC, which takes seconds: it is met only when ``nuts`` is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

import forecast.fitting.ecosystem as ecosystem  # first: it imports ArviZ without its announcement
from forecast.errors import ArgumentError, FitError
from forecast.fitting.effects import EffectProblem, GroupProblem
from forecast.fitting.fitted import Fitted, Verdict
from forecast.fitting.laplace import from_draws, mode
from forecast.fitting.posterior_data import data_groups
from forecast.fitting.priors import Priors, moments
from forecast.fitting.problem import Problem

with ecosystem.quiet():
    import pymc as pm
    import pytensor.tensor as pt
    from pymc.logprob.transforms import Transform
    from pytensor.graph.basic import Apply
    from pytensor.graph.op import Op

CHAINS = 4
DRAWS, TUNE = 1000, 200
MANY_ROWS, DRAWS_OF_MANY, TUNE_OF_MANY = (
    100_000,
    400,
    150,
)  # whose posterior is Gaussian, and whose steps dear
R_HAT_LIMIT, ESS_LIMIT, BFMI_LIMIT = 1.01, 400, 0.3
TEXT_ROWS = 10_000
TARGET_ACCEPT = 0.8
_VARIABLE = "unconstrained"

PYTENSOR = SimpleNamespace(
    log=pt.log,
    exp=pt.exp,
    log1p=pt.log1p,
    expm1=pt.expm1,
    gammaln=pt.gammaln,
    softplus=pt.softplus,
    where=pt.where,
    maximum=pt.maximum,
    spread=lambda v: pt.shape_padright(v) if getattr(v, "ndim", 0) else v,
    total=lambda v: pt.sum(v, axis=-1),
)


@ecosystem.differentiable
class LogLikelihood(Op):
    """A problem's own objective as one PyTensor operation: unconstrained parameters to value and gradient.

    Compiled by Numba where the model has a compiled sum, and exact by second-order jets where not. A test
    ties it to the text that PyTensor reads.

    Parameters
    ----------
    problem : Problem
    """

    def __init__(self, problem: Problem) -> None:
        self._likelihood = problem.likelihood

    def make_node(self, *inputs: Any) -> Apply:
        return Apply(self, [pt.as_tensor(inputs[0], dtype="float64")], [pt.dscalar(), pt.dvector()])

    def perform(self, node: Any, inputs: Any, outputs: Any) -> None:
        (u,) = inputs
        value, gradient = -np.inf, np.zeros(len(u))
        with np.errstate(all="ignore"):  # far out in the tails; such a step is refused
            try:
                found, slope, _ = self._likelihood(u)
            except (OverflowError, ZeroDivisionError, ValueError):
                found, slope = -np.inf, gradient
            if np.isfinite(found) and np.isfinite(slope).all():
                value, gradient = found, slope
        outputs[0][0] = np.asarray(value, dtype=float)
        outputs[1][0] = gradient

    def pullback(self, inputs: Any, outputs: Any, cotangents: Any) -> list[Any]:
        return [cotangents[0] * outputs[1]]


class Whitened(Transform):
    """``u = centre + root z``, in which the sampler walks."""

    name = "whitened"

    def __init__(self, centre: np.ndarray, root: np.ndarray) -> None:
        self.centre, self._root = centre, root
        self._inverse = np.linalg.inv(root)
        self._log_size = float(np.log(np.diag(root)).sum())

    def forward(self, value: Any, *inputs: Any) -> Any:
        return (self._inverse * (value - self.centre)).sum(axis=1)

    def backward(self, value: Any, *inputs: Any) -> Any:
        return (self._root * value).sum(axis=1) + self.centre

    def log_jac_det(self, value: Any, *inputs: Any) -> Any:
        return pt.constant(self._log_size)


@dataclass(frozen=True)
class Posterior:
    """A fit by sampling, and everything that the sampler knows.

    Attributes
    ----------
    fitted : Fitted
        With the draws of all chains one after another, equally weighted.
    data : arviz.InferenceData or xarray.DataTree
        ``posterior`` and ``prior`` hold natural parameters in the input's units and unconstrained ones of the
        scaled data; ``sample_stats`` the sampler's own; with at most 100,000 rows ``log_likelihood`` holds
        ``log_likelihood[chain, draw, row]`` of one customer, and ``constant_data`` the rows with ``weight``,
        the customers behind each.
    """

    fitted: Fitted
    data: Any


def build_model(
    problem: Problem, priors: Priors, *, likelihood: str = "compiled", whitening: Whitened | None = None
) -> Any:
    """The PyMC model of a problem.

    Parameters
    ----------
    problem : Problem
    priors : Priors
    likelihood : {'compiled', 'text'}
        The problem's own objective as one operation, or its text read by PyTensor row by row.
    whitening : Whitened, optional
        The transform in which the sampler walks, started at its centre.

    Returns
    -------
    pymc.Model
        With the random vector ``unconstrained``, and the natural parameters in the input's units.

    Examples
    --------
    >>> from forecast.fitting.priors import resolve_priors
    >>> from forecast.fitting.problem import spend_problem
    >>> from forecast.fitting.spec import GAMMA_GAMMA
    >>> from forecast.summary.statistics import SpendCounts
    >>> counts = SpendCounts(*(np.array(v) for v in ([2.0, 5.0], [20.0, 35.0], [60.0, 40.0])))
    >>> model = build_model(spend_problem(GAMMA_GAMMA, counts), resolve_priors(GAMMA_GAMMA.unconstrained))
    >>> [v.name for v in model.free_RVs], [v.name for v in model.deterministics]
    (['unconstrained'], ['p', 'q', 'gamma'])
    """
    spec, names = problem.spec, problem.names
    mean, sd = moments(priors, names)
    with pm.Model(coords={"parameter": list(names)}) as model:
        u = pm.Normal(
            _VARIABLE,
            mu=mean,
            sigma=sd,
            dims="parameter",
            initval=whitening.centre if whitening is not None else None,
            default_transform=whitening,
        )
        scaled = spec.formulas.natural(PYTENSOR, *(u[i] for i in range(len(spec.unconstrained))))
        natural = [
            pm.Deterministic(name, value * factor)
            for name, value, factor in zip(spec.parameters, scaled, problem.factor.tolist(), strict=True)
        ]
        if likelihood == "compiled":
            both: Any = LogLikelihood(problem)(u)
            total = both[0]
        else:
            theta = natural
            if isinstance(problem, EffectProblem | GroupProblem):
                own = spec.formulas.natural(PYTENSOR, *(p[problem.cells.cell] for p in problem.by_cell(u)))
                theta = [value * factor for value, factor in zip(own, problem.factor.tolist(), strict=True)]
            rows = spec.formulas.log_likelihood(PYTENSOR, *theta, **problem.data)
            total = pt.sum(rows * problem.weight) - problem.shift
        pm.Potential("log_likelihood", total)
    return model


def fit_nuts(problem: Problem, priors: Priors, **options: Any) -> Fitted:
    """The fitted model of :func:`sample`, which has the options."""
    return sample(problem, priors, **options).fitted


def sample(
    problem: Problem,
    priors: Priors,
    *,
    chains: int = CHAINS,
    draws: int | None = None,
    tune: int | None = None,
    seed: int = 0,
    cores: int | None = None,
    progress: bool = False,
    likelihood: str | None = None,
    sampler: str | None = None,
    landmark: tuple[np.ndarray, np.ndarray] | None = None,
) -> Posterior:
    """Draw from the posterior.

    Parameters
    ----------
    problem : Problem
    priors : Priors
    chains, draws, tune : int, optional
        Chains, draws kept of each, and draws thrown away before them; 1,000 and 200 when not given, 400 and
        150 with more than 100,000 rows.
    seed : int
        The same seed gives the same draws.
    cores : int, optional
        Chains at the same time. PyMC takes one by default: for many rows compiled sums use all cores.
    progress : bool
        Show a progress bar.
    likelihood : {'compiled', 'text'}, optional
        See :func:`build_model`; the text with at most 10,000 rows, where it is faster.
    sampler : {'pymc', 'nutpie'}, optional
        nutpie where it is installed and the likelihood is the text, else PyMC's own.
    landmark : tuple of ndarray, optional
        Where to start and how wide to walk, in place of the posterior's mode and curvature.

    Returns
    -------
    Posterior

    Raises
    ------
    ArgumentError
        When a number of chains, draws, tuning steps or cores makes no sense, or nutpie is asked for
        where it cannot be had.
    FitError
        When no starting point has a finite posterior density.

    Examples
    --------
    >>> from forecast.fitting.priors import resolve_priors
    >>> from forecast.fitting.problem import spend_problem
    >>> from forecast.fitting.spec import GAMMA_GAMMA
    >>> from forecast.summary.statistics import SpendCounts
    >>> counts = SpendCounts(*(np.array(v) for v in ([2.0, 5.0], [20.0, 35.0], [60.0, 40.0])))
    >>> problem = spend_problem(GAMMA_GAMMA, counts)
    >>> found = sample(problem, resolve_priors(GAMMA_GAMMA.unconstrained), chains=2, draws=50, tune=50)
    >>> found.fitted.draws["q"].shape, found.fitted.verdict.code
    ((100,), 'doubtful')
    """
    many = len(problem.weight) > MANY_ROWS
    draws = (DRAWS_OF_MANY if many else DRAWS) if draws is None else draws
    tune = (TUNE_OF_MANY if many else TUNE) if tune is None else tune
    if likelihood is None:
        small = len(problem.weight) <= TEXT_ROWS and problem.spec.elementary
        likelihood = "text" if small else "compiled"
    if sampler is None:
        sampler = "nutpie" if likelihood == "text" and ecosystem.has_nutpie() else "pymc"
    if sampler == "nutpie" and (likelihood != "text" or not ecosystem.has_nutpie()):
        raise ArgumentError(
            "nutpie cannot sample this", advice="Install nutpie and use likelihood='text', or sampler='pymc'."
        )
    for name, value in {"chains": chains, "draws": draws, "tune": tune, "cores": cores}.items():
        least = 4 if name == "draws" else 1
        if value is not None and value < least:
            raise ArgumentError(f"{name} = {value} makes no sense", advice=f"Give at least {least}.")
    centre, root = _landmark(problem, priors) if landmark is None else landmark
    rng = np.random.default_rng(seed)
    starts = [_start(problem, priors, centre, root, rng) for _ in range(chains)]
    with ecosystem.quiet():
        model = build_model(problem, priors, likelihood=likelihood, whitening=Whitened(centre, root))
        if sampler == "nutpie":
            found = ecosystem.sample_by_nutpie(
                model, draws=draws, tune=tune, chains=chains, cores=cores, seed=seed, progress=progress
            )
        else:
            found = pm.sample(
                model=model,
                draws=draws,
                tune=tune,
                chains=chains,
                cores=cores or 1,
                random_seed=seed,
                init="adapt_diag",
                initvals=[{_VARIABLE: start} for start in starts],
                nuts_sampler="pymc",
                nuts={"target_accept": TARGET_ACCEPT, "step_scale": 1.0},  # z is nearly standard normal
                var_names=[_VARIABLE],
                progressbar=progress,
                quiet=not progress,
                compute_convergence_checks=False,  # judged below, in words
                compile_kwargs={"mode": ecosystem.mode_of_operations()} if likelihood == "compiled" else None,
            )
    u, stats = ecosystem.sampler_output(found, _VARIABLE)
    every = np.concatenate([u, problem.natural(u)], axis=-1)
    extra = ecosystem.diagnose(every, stats) | {"chains": chains, "seed": seed, "sampler": sampler}
    fitted = from_draws(problem, u.reshape(-1, u.shape[-1]), "nuts", _judge(extra), extra)
    return Posterior(fitted, ecosystem.assemble(data_groups(problem, priors, u, stats, rng)))


def _landmark(problem: Problem, priors: Priors) -> tuple[np.ndarray, np.ndarray]:
    """Where the posterior is and how wide: its mode and curvature, or the prior where it has no peak."""
    try:
        found = mode(problem, priors)
    except FitError:
        mean, sd = moments(priors, problem.names)
        return mean, np.diag(sd)
    return found.at, np.linalg.cholesky(np.linalg.inv(found.curvature))


def _start(
    problem: Problem, priors: Priors, centre: np.ndarray, root: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """A starting point as far from the centre as a draw would be."""
    away = root @ rng.standard_normal(len(centre))
    for _ in range(30):
        with np.errstate(all="ignore"):
            if np.isfinite(problem.log_density(priors, centre + away)):
                return centre + away
        away = away / 2.0
    raise FitError(
        f"the {problem.spec.title} posterior is nowhere finite near its priors",
        advice="Look at the priors: they speak of scaled, unconstrained parameters.",
    )


def _judge(found: dict[str, Any]) -> Verdict:
    """The verdict in words; what cannot be computed is a doubt."""
    doubts = []
    if not found["r_hat"] <= R_HAT_LIMIT:
        shown = "unknown" if np.isnan(found["r_hat"]) else f"{found['r_hat']:.3f} > {R_HAT_LIMIT}"
        doubts.append(f"the chains do not agree (R-hat {shown}): use more chains, tuning and draws")
    size = min(found["ess_bulk"], found["ess_tail"])
    if not size >= ESS_LIMIT:
        shown = "unknown" if np.isnan(size) else f"{size:.0f} < {ESS_LIMIT}"
        doubts.append(f"the draws are worth too few independent ones ({shown}): use more draws")
    if found["divergences"]:
        doubts.append(
            f"{found['divergences']} divergent steps, so a corner of the posterior may be missing: "
            "tighten the priors or use a simpler model"
        )
    if not found["e_bfmi"] >= BFMI_LIMIT:
        doubts.append(
            f"the tails are explored slowly (E-BFMI {found['e_bfmi']:.2f} < {BFMI_LIMIT}): tighten the priors"
        )
    if doubts:
        return Verdict("doubtful", "; ".join(doubts))
    return Verdict(
        "converged",
        f"{found['chains']} chains agree (R-hat {found['r_hat']:.3f}), worth {size:,.0f} independent draws, "
        "no divergent steps",
    )
