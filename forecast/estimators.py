"""Estimators with scikit-learn manners on a frame of purchase histories.

Time and money are in the input's own units, parameters come back in them, and rows keep the caller's
index. The same gate guards ``fit`` and ``predict``.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from forecast.estimating import Estimator, PurchaseEstimator
from forecast.fitting import check_method, fit_spend
from forecast.fitting.spec import BG_NBD, GAMMA_GAMMA
from forecast.fitting.spec import NBD as NBD_SPEC
from forecast.maths import gammagamma
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
