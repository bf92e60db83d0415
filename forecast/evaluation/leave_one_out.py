"""Leave-one-out cross-validation without fitting again, on distinct rows with their weights.

Customers with equal rows have equal terms, so a row that stands for ``w`` customers counts ``w`` times its
one customer's term. Draws meet rows block by block; rows times draws are never in memory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from forecast.fitting import Fitted
from forecast.fitting.psis import smooth
from forecast.maths.ops import NUMPY

K_HAT_LIMIT = 0.7
MOST_SMOOTHED = 5_000
_BLOCK = 2**20


@dataclass(frozen=True)
class LeaveOneOut:
    """How well each customer is foreseen from all others.

    Attributes
    ----------
    elpd : float
        Expected log predictive density of left-out customers, summed over customers.
    se : float
        Standard error of this sum.
    p_loo : float
        Effective number of parameters: what the fit gains by having seen the customer.
    k_hat_high : float
        Share of the customers whose term cannot be trusted (k-hat above 0.7).
    terms, weight : ndarray, shape (rows,)
        One customer's term, and customers behind each row.
    rows : dict of str to ndarray, shape (rows,)
        The distinct histories, so that only equal data are compared.
    smoothed : int
        Rows with Pareto-smoothed weights; see :func:`leave_one_out`.
    """

    elpd: float
    se: float
    p_loo: float
    k_hat_high: float
    terms: np.ndarray
    weight: np.ndarray
    rows: dict[str, np.ndarray]
    smoothed: int

    @property
    def customers(self) -> int:
        return round(float(self.weight.sum()))


def leave_one_out(
    fitted: Fitted, rows: dict[str, np.ndarray], weight: np.ndarray, *, most_smoothed: int = MOST_SMOOTHED
) -> LeaveOneOut:
    """PSIS-LOO of weighted rows.

    Parameters
    ----------
    fitted : Fitted
        With draws of the posterior given these very rows.
    rows : dict of str to ndarray, shape (rows,)
        As the model's likelihood names them: ``x, t_x, T``, or ``n, m``.
    weight : ndarray, shape (rows,)
        Customers behind each row.
    most_smoothed : int
        Where there are more rows, only so many, those about which the draws disagree most, get
        Pareto-smoothed weights; the others' terms vary so little that the widely applicable information
        criterion is the same number.

    Returns
    -------
    LeaveOneOut

    References
    ----------
    Vehtari, Gelman & Gabry (2017), Statistics and Computing 27.

    Examples
    --------
    >>> from forecast.fitting import purchase_model
    >>> draws = {"r": np.linspace(0.9, 1.1, 100), "alpha": np.linspace(1.1, 0.9, 100)}
    >>> nbd = Fitted.from_parameters(purchase_model("nbd"), dict(r=1.0, alpha=1.0), "given")
    >>> nbd.draws.update(draws)
    >>> rows = {"x": np.array([0.0]), "t_x": np.array([0.0]), "T": np.array([1.0])}
    >>> found = leave_one_out(nbd, rows, np.array([3.0]))
    >>> round(found.elpd, 2), found.k_hat_high
    (-2.1, 0.0)
    """
    theta = np.array(fitted.each_draw())
    count, draws = len(weight), len(theta)
    width = max(_BLOCK // draws, 1)
    terms, density, noise = np.empty(count), np.empty(count), np.empty(count)
    k_hat = np.full(count, -math.inf)
    for begin in range(0, count, width):
        block = slice(begin, begin + width)
        values = log_likelihoods(fitted, theta, {name: v[block] for name, v in rows.items()})
        density[block] = _log_mean(values)
        noise[block] = values.var(axis=1, ddof=1)
    terms = density - noise
    chosen = np.sort(np.argsort(-noise, kind="stable")[:most_smoothed])
    for begin in range(0, len(chosen), width):
        own = chosen[begin : begin + width]
        values = log_likelihoods(fitted, theta, {name: v[own] for name, v in rows.items()})
        for place, line in zip(own, values, strict=True):
            share, k_hat[place] = smooth(-line)
            top = line.max()
            terms[place] = top + math.log(float(share @ np.exp(line - top)))
    total = float(weight.sum())
    elpd = math.fsum(weight * terms)
    return LeaveOneOut(
        elpd=elpd,
        se=math.sqrt(total * float(weight @ np.square(terms - elpd / total)) / total),
        p_loo=math.fsum(weight * (density - terms)),
        k_hat_high=float(weight[k_hat > K_HAT_LIMIT].sum()) / total,
        terms=terms,
        weight=weight,
        rows=rows,
        smoothed=len(chosen),
    )


def log_likelihoods(fitted: Fitted, theta: np.ndarray, rows: dict[str, np.ndarray]) -> np.ndarray:
    """Log-likelihood of one customer of each row under each draw, shape (rows, draws)."""
    columns: dict[str, Any] = {name: np.asarray(v, dtype=float)[:, None] for name, v in rows.items()}
    found = fitted.spec.formulas.log_likelihood(NUMPY, *theta.T[:, None, :], **columns)
    return np.asarray(found, dtype=float)


def _log_mean(values: np.ndarray) -> np.ndarray:
    """Logarithm of the mean of exponentials along the draws."""
    top = values.max(axis=1)
    return top + np.log(np.exp(values - top[:, None]).mean(axis=1))


def difference(one: LeaveOneOut, other: LeaveOneOut) -> tuple[float, float]:
    """What ``one`` foresees better than ``other``, and the standard error, customer by customer.

    The rows must be the same; see :func:`same_rows`.
    """
    each = one.terms - other.terms
    total = float(one.weight.sum())
    gain = math.fsum(one.weight * each)
    return gain, math.sqrt(float(one.weight @ np.square(each - gain / total)))


def same_rows(one: LeaveOneOut, other: LeaveOneOut) -> bool:
    """Whether both speak of the same customers."""
    return (
        one.rows.keys() == other.rows.keys()
        and all(np.array_equal(one.rows[name], other.rows[name]) for name in one.rows)
        and np.array_equal(one.weight, other.weight)
    )
