"""One door to every method: the same problem goes to mle, laplace or nuts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from forecast.errors import ArgumentError
from forecast.fitting.fitted import Fitted
from forecast.fitting.laplace import fit_laplace
from forecast.fitting.mle import fit_mle
from forecast.fitting.priors import resolve_priors
from forecast.fitting.problem import Problem, purchase_problem, spend_problem
from forecast.fitting.spec import GAMMA_GAMMA, ModelSpec
from forecast.summary.statistics import PurchaseCounts, SpendCounts

METHODS = ("laplace", "nuts", "mle")


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
    return _fit(purchase_problem(spec, counts), method, priors, seed)


def fit_spend(
    counts: SpendCounts,
    spec: ModelSpec = GAMMA_GAMMA,
    method: str = "mle",
    *,
    priors: Mapping[str, Any] | None = None,
    seed: int = 0,
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
    return _fit(spend_problem(spec, counts), method, priors, seed)


def _fit(problem: Problem, method: str, priors: Mapping[str, Any] | None, seed: int) -> Fitted:
    if check_method(method) == "mle":
        return fit_mle(problem)
    resolved = resolve_priors(problem.spec.unconstrained, priors)
    if method == "laplace":
        return fit_laplace(problem, resolved, seed=seed)
    from forecast.fitting.mcmc import sample  # PyMC takes seconds to import

    found = sample(problem, resolved, seed=seed)
    return replace(found.fitted, posterior=found.data)
