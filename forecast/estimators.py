"""Estimators with scikit-learn manners on a frame of purchase histories.

Time and money are in the input's own units, parameters come back in them, and rows keep the caller's
index. The same gate guards ``fit`` and ``predict``.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from forecast.errors import ArgumentError
from forecast.estimating import Estimator, PurchaseEstimator
from forecast.fitting import ModelSpec, check_method, fit_spend
from forecast.fitting.spec import BG_NBD, GAMMA_GAMMA, MBG_NBD, PARETO_NBD, purchase_model
from forecast.fitting.spec import NBD as NBD_SPEC
from forecast.maths import gammagamma
from forecast.maths.bgcnbd import MOST_REGULAR
from forecast.predict.population import ClvModel, Customers
from forecast.predict.tables import gathered
from forecast.summary.checks import as_frame, check_histories
from forecast.summary.statistics import group_spend


class BetaGeoNBD(PurchaseEstimator):
    """BG/NBD: Poisson purchases with gamma rates; a customer may leave after each repeat purchase.

    Parameters
    ----------
    method : {'mle', 'laplace'}
        Maximum likelihood, or draws of the posterior from a Gaussian at its mode with smoothed
        importance weights.
    priors : mapping, optional
        Overrides of the weak priors, for ``laplace``.
    random_state : int
        Seed of the draws.

    Attributes
    ----------
    params_ : dict
        ``r, alpha, a, b``; ``alpha`` in the input's unit of time.
    standard_errors_ : dict
    covariance_ : pandas.DataFrame, shape (4, 4)
    log_likelihood_ : float
        In the input's unit of time.
    verdict_ : Verdict
        In words: converged, or at which boundary and what that means.

    References
    ----------
    Fader, P., Hardie, B. & Lee, K. L. (2005). "Counting your customers" the easy way: an alternative to
    the Pareto/NBD model. Marketing Science 24(2), 275-284.

    Examples
    --------
    >>> truth = BetaGeoNBD.from_parameters(r=0.5, alpha=30.0, a=0.8, b=2.5)
    >>> histories = truth.simulate(np.full(2000, 365.0), seed=1)
    >>> bg = BetaGeoNBD().fit(histories)
    >>> bg.verdict_.code
    'converged'
    >>> bool(abs(bg.params_["r"] - 0.5) < 3 * bg.standard_errors_["r"])
    True
    """

    _spec = BG_NBD


class NBD(PurchaseEstimator):
    """NBD: Poisson purchases with gamma rates, and nobody ever leaves; a simple rule to beat.

    Parameters
    ----------
    method, priors, random_state
        As in :class:`BetaGeoNBD`.

    References
    ----------
    Ehrenberg, A. S. C. (1959). The pattern of consumer purchases. Applied Statistics 8(1), 26-41.

    Examples
    --------
    >>> histories = NBD.from_parameters(r=0.5, alpha=30.0).simulate(np.full(500, 365.0), seed=1)
    >>> sorted(NBD().fit(histories).params_)
    ['alpha', 'r']
    """

    _spec = NBD_SPEC


class ModifiedBetaGeoNBD(PurchaseEstimator):
    """MBG/NBD: BG/NBD whose customers may leave after the first purchase too.

    A one-time buyer who has been silent for long is then probably gone; BG/NBD holds that such a customer
    never leaves.

    Parameters
    ----------
    method, priors, random_state
        As in :class:`BetaGeoNBD`.

    References
    ----------
    Batislam, E. P., Denizel, M. & Filiztekin, A. (2007). Empirical validation and comparison of models for
    customer base analysis. International Journal of Research in Marketing 24(3), 201-209.

    Examples
    --------
    >>> mbg = ModifiedBetaGeoNBD.from_parameters(r=0.5, alpha=6.0, a=1.0, b=3.0)
    >>> new = pd.DataFrame({"frequency": [0], "recency": [0.0], "T": [0.0]})
    >>> float(mbg.p_alive(new).iloc[0])  # b / (a + b)
    0.75
    """

    _spec = MBG_NBD


class ParetoNBD(PurchaseEstimator):
    """Pareto/NBD: Poisson purchases with gamma rates until customers leave, at any time.

    Parameters
    ----------
    method, priors, random_state
        As in :class:`BetaGeoNBD`.

    Attributes
    ----------
    params_ : dict
        ``r, alpha, s, beta``; ``alpha`` and ``beta`` in the input's unit of time.

    References
    ----------
    Schmittlein, D. C., Morrison, D. G. & Colombo, R. (1987). Counting your customers: who are they and what
    will they do next? Management Science 33(1), 1-24.

    Examples
    --------
    >>> pareto = ParetoNBD.from_parameters(r=0.553, alpha=10.578, s=0.606, beta=11.669)
    >>> one = pd.DataFrame({"frequency": [2], "recency": [30.43], "T": [38.86]})
    >>> round(float(pareto.p_alive(one).iloc[0]), 3), round(float(pareto.predict(one, 52).iloc[0]), 3)
    (0.869, 1.851)
    """

    _spec = PARETO_NBD


class BetaGeoCNBD(PurchaseEstimator):
    """(M)BG/CNBD-k: BG/NBD and MBG/NBD for customers who buy more regularly than by chance.

    Every ``k``-th event of a Poisson process is a purchase, so that the times between purchases are Erlang-k.

    Parameters
    ----------
    k : int
        Regularity, from 1 (BG/NBD) to 8.
    modified : bool
        Whether customers may leave after the first purchase too (MBG/CNBD-k).
    method, priors, random_state
        As in :class:`BetaGeoNBD`.

    Attributes
    ----------
    params_ : dict
        ``r, alpha, a, b``; ``alpha`` in the input's unit of time, and for events rather than purchases.
    log_likelihood_ : float
        Without a term that needs every single purchase time: not comparable between different ``k``.

    References
    ----------
    Reutterer, T., Platzer, M. & Schröder, N. (2021). Leveraging purchase regularity for predicting customer
    behavior the easy way. International Journal of Research in Marketing 38(1), 194-215.

    Examples
    --------
    >>> truth = BetaGeoCNBD.from_parameters(k=3, modified=True, r=0.8, alpha=10.0, a=0.6, b=2.0)
    >>> histories = truth.simulate(np.full(2000, 365.0), seed=1)
    >>> regular = BetaGeoCNBD(k=3, modified=True).fit(histories)
    >>> bool(abs(regular.params_["r"] - 0.8) < 3 * regular.standard_errors_["r"])
    True
    """

    _choices = ("k", "modified")

    def __init__(
        self,
        k: int = 2,
        modified: bool = False,
        method: str = "mle",
        priors: Any = None,
        random_state: int = 0,
        by: str | None = None,
        covariates: Any = None,
    ) -> None:
        super().__init__(method, priors, random_state, by, covariates)
        self.k = k
        self.modified = modified

    def _model(self) -> ModelSpec:
        whole = isinstance(self.k, int | np.integer) and not isinstance(self.k, bool)
        if not whole or not 1 <= self.k <= MOST_REGULAR:
            raise ArgumentError(f"k is {self.k!r}", advice=f"Give a whole number from 1 to {MOST_REGULAR}.")
        return purchase_model(f"{'m' if self.modified else ''}bg-cnbd-{self.k}")


class GammaGamma(Estimator):
    """Gamma-Gamma: what a customer spends on a purchase, shrunk towards the population.

    Parameters
    ----------
    method, priors, random_state
        As in :class:`BetaGeoNBD`.

    Attributes
    ----------
    params_ : dict
        ``p, q, gamma``; ``gamma`` in the input's currency.
    population_mean_ : float
        ``p gamma / (q - 1)``, the expected purchase value of a customer without history.

    References
    ----------
    Colombo, R. & Jiang, W. (1999). A stochastic RFM model. Journal of Interactive Marketing 13(3), 2-12.
    Fader, P. & Hardie, B. (2013). The Gamma-Gamma model of monetary value.

    Examples
    --------
    >>> gg = GammaGamma.from_parameters(p=6.24935, q=3.74426, gamma=15.44431)
    >>> customers = pd.DataFrame({"frequency": [2, 0], "monetary_value": [40.0, np.nan]})
    >>> gg.predict(customers).round(4).tolist()
    [39.1305, 35.1705]
    """

    _spec = GAMMA_GAMMA

    @property
    def population_mean_(self) -> float:
        check_is_fitted(self)
        draws = zip(*self.fitted_.predictive_draws(), strict=True)
        return float(
            sum(w * gammagamma.expected_value(*self.fitted_.draw(i), n=0.0, m=0.0) for i, w in draws)
        )

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit on customers with at least one valued repeat purchase.

        Parameters
        ----------
        X : DataFrame
            ``monetary_value`` and ``monetary_count`` (or, where that is absent, ``frequency``).
            Customers whose count is 0 say nothing about spend and are left out.

        Raises
        ------
        InputError
            When values are missing, infinite or not above 0 where there are purchases.
        FitError
            When spend cannot be identified, or its mean would be infinite (``q <= 1``).
        """
        check_method(self.method)
        frame = as_frame(X)
        columns = check_histories(frame, purchases=False, spend=True)
        cell, how = self._how(frame)
        counts = group_spend(columns["monetary_count"], columns["monetary_value"], cell)
        return self._keep(fit_spend(counts, **how))

    def predict(self, X: Any) -> pd.Series:
        """Expected value of a purchase of each customer; the population's without history.

        Returns
        -------
        pandas.Series, shape (customers,)
            On the caller's index.

        Raises
        ------
        InputError
            As in ``fit``.
        sklearn.exceptions.NotFittedError
        """
        check_is_fitted(self)
        frame = as_frame(X)
        columns = check_histories(frame, purchases=False, spend=True)
        n, m = columns["monetary_count"], columns["monetary_value"]
        none = Customers(n, n, n).with_traits(frame, ClvModel(self.fitted_))
        values = np.zeros(len(frame))
        for index, weight in zip(*self.fitted_.predictive_draws(), strict=True):
            draw = gathered(self.fitted_.draw(index, none.purchase_matrix), none.cell)
            values += weight * gammagamma.expected_value(*draw, n=n, m=m)
        return pd.Series(values, index=frame.index, name="expected_purchase_value")
