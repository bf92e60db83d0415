"""One door to every method: the same problem goes to mle, laplace or nuts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from forecast.errors import ArgumentError
from forecast.fitting.design import Design, Traits, covariate_column, learn_covariate, learn_groups
from forecast.fitting.effects import BETWEEN, effect_problem, group_problem, place_effects
from forecast.fitting.fitted import Fitted
from forecast.fitting.groups import check_groups, draw_groups, fit_groups
from forecast.fitting.laplace import fit_laplace
from forecast.fitting.mle import fit_mle
from forecast.fitting.priors import Prior, Priors, resolve_priors
from forecast.fitting.problem import Problem, purchase_problem, spend_problem
from forecast.fitting.spec import GAMMA_GAMMA, ModelSpec
from forecast.summary.statistics import PurchaseCounts, SpendCounts

METHODS = ("laplace", "nuts", "mle")


@dataclass(frozen=True)
class _Wish:
    """How to fit, as the caller asked for it."""

    method: str
    priors: Mapping[str, Any] | None
    seed: int
    traits: Traits | None
    progress: bool


def check_method(method: str) -> str:
    """The method's name.

    Raises
    ------
    ArgumentError
        When there is no such method.
    """
    if method not in METHODS:
        raise ArgumentError(
            f"there is no method {method!r}", advice=f"Choose {', '.join(METHODS[:-1])} or {METHODS[-1]}."
        )
    return method


def fit_purchases(
    spec: ModelSpec,
    counts: PurchaseCounts,
    method: str = "mle",
    *,
    priors: Mapping[str, Any] | None = None,
    seed: int = 0,
    traits: Traits | None = None,
    progress: bool = False,
) -> Fitted:
    """Fit a purchase model.

    Parameters
    ----------
    spec : ModelSpec
    counts : PurchaseCounts
        Any unit of time; parameters come back in it.
    method : {'mle', 'laplace', 'nuts'}
    priors : mapping, optional
        See :func:`forecast.fitting.priors.resolve_priors`; ignored by ``mle``.
    seed : int
    traits : Traits, optional
        Groups or covariates; ``counts.cell`` says which traits each row has.
    progress : bool
        Show a bar while ``nuts`` samples.

    Returns
    -------
    Fitted

    Raises
    ------
    FitError
        Without customers, without age, without repeat purchases, or when the likelihood is flat.

    Examples
    --------
    >>> import numpy as np
    >>> from forecast.fitting.spec import purchase_model
    >>> counts = PurchaseCounts(*(np.array(v, float) for v in
    ...     ([0, 1, 3, 9], [0, 50, 80, 95], [100, 100, 100, 100], [60, 20, 15, 5])))
    >>> fit_purchases(purchase_model("nbd"), counts).verdict.code
    'converged'
    """
    wish = _Wish(method, priors, seed, traits, progress)
    return _fit(purchase_problem(spec, counts), counts.cell, wish)


def fit_spend(
    counts: SpendCounts,
    spec: ModelSpec = GAMMA_GAMMA,
    method: str = "mle",
    *,
    priors: Mapping[str, Any] | None = None,
    seed: int = 0,
    traits: Traits | None = None,
    progress: bool = False,
) -> Fitted:
    """Fit Gamma-Gamma to customers' mean purchase values.

    Parameters
    ----------
    counts : SpendCounts
        Any currency unit; ``gamma`` comes back in it.

    Raises
    ------
    FitError
        With fewer than two customers, without any spread, when ``q <= 1`` (no finite mean), or when
        the likelihood is flat.

    Examples
    --------
    >>> import numpy as np
    >>> n, mean = np.array([2.0, 5.0] * 100), np.random.default_rng(0).lognormal(3.0, 0.6, 200)
    >>> fit_spend(SpendCounts(n, mean, np.ones(200))).verdict.code
    'converged'
    """
    wish = _Wish(method, priors, seed, traits, progress)
    return _fit(spend_problem(spec, counts), counts.cell, wish)


def _fit(problem: Problem, cell: np.ndarray | None, wish: _Wish) -> Fitted:
    check_method(wish.method)
    fitted = _by_method(problem, cell, wish)
    if wish.method == "mle" or not wish.priors:
        return fitted
    plain = {name: asdict(v) if isinstance(v, Prior) else dict(v) for name, v in wish.priors.items()}
    return replace(fitted, extra={**fitted.extra, "priors": plain})


def _by_method(problem: Problem, cell: np.ndarray | None, wish: _Wish) -> Fitted:
    traits = wish.traits
    if traits is not None and cell is not None:
        if traits.by is not None:
            return _fit_groups(problem, cell, traits, traits.by, wish)
        problem = _with_covariates(problem, cell, traits)
    if wish.method == "mle":
        return fit_mle(problem)
    resolved = resolve_priors(problem.names, wish.priors)
    if wish.method == "laplace":
        return fit_laplace(problem, resolved, seed=wish.seed)
    return _sampled(problem, resolved, wish, None)


def _sampled(problem: Problem, priors: Priors, wish: _Wish, landmark: Any) -> Fitted:
    from forecast.fitting.mcmc import sample  # PyMC takes seconds to import

    found = sample(problem, priors, seed=wish.seed, progress=wish.progress, landmark=landmark)
    return replace(found.fitted, posterior=found.data)


def _with_covariates(problem: Problem, cell: np.ndarray, traits: Traits) -> Problem:
    """The problem with the effects that this model knows; itself where there are none."""
    spec = problem.spec
    own = {effect: names for effect, names in traits.covariates.items() if effect in spec.effects}
    columns = list(dict.fromkeys(name for names in own.values() for name in names))
    if not columns:
        return problem
    customers = np.bincount(cell, problem.weight, minlength=len(traits.cells))
    seen = customers > 0  # what is learned comes from the customers fitted on
    design = Design(tuple(learn_covariate(name, traits.cells[seen], customers[seen]) for name in columns))
    acting = [(effect, covariate_column(name)) for effect, names in own.items() for name in names]
    used, cell = np.unique(cell, return_inverse=True)
    matrix = design.matrix(traits.cells.iloc[used])
    return effect_problem(problem, cell, matrix, place_effects(spec, design, acting))


def _fit_groups(problem: Problem, cell: np.ndarray, traits: Traits, by: str, wish: _Wish) -> Fitted:
    if traits.covariates or wish.method == "mle":
        raise ArgumentError(
            "groups are pooled by draws of a posterior, without covariates beside them",
            advice="Use method='laplace' or 'nuts'; or give the groups as a covariate instead of by.",
        )
    term = learn_groups(by, traits.cells)
    check_groups(len(term.levels), problem.customers)
    group = np.argmax(term.encode(traits.cells[by]), axis=1)[cell]
    pooled = group_problem(problem, group, term)
    resolved = resolve_priors((*problem.names, BETWEEN), wish.priors)
    if wish.method == "laplace":
        return fit_groups(pooled, group, resolved, seed=wish.seed)
    draws, _ = draw_groups(pooled, group, resolved, seed=wish.seed)
    landmark = (draws.mean(axis=0), np.diag(draws.std(axis=0)))
    return _sampled(pooled, pooled.complete(resolved), wish, landmark)
