"""What the estimators have in common, so that each of them is little more than its documentation."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from forecast.errors import ArgumentError
from forecast.fitting import Fitted, ModelSpec, check_method, fit_purchases
from forecast.fitting.design import read_traits
from forecast.predict.customers import predict_customers
from forecast.predict.population import ClvModel, Customers, log_p_alive
from forecast.predict.tables import gathered
from forecast.summary.checks import as_frame, check_histories
from forecast.summary.statistics import group_purchases


def _positive(value: Any, name: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number) or number <= 0:
        raise ArgumentError(
            f"{name} is {value!r}", advice=f"Give a positive {name} in the unit of recency and T."
        )
    return number


class Estimator(BaseEstimator):
    """What all estimators share: options, fitted attributes and a summary."""

    _spec: ClassVar[ModelSpec]
    _choices: ClassVar[tuple[str, ...]] = ()  # options that choose the model within a family

    def __init__(
        self,
        method: str = "mle",
        priors: Any = None,
        random_state: int = 0,
        by: str | None = None,
        covariates: Any = None,
    ) -> None:
        self.method = method
        self.priors = priors
        self.random_state = random_state
        self.by = by
        self.covariates = covariates

    def _model(self) -> ModelSpec:
        """The model that the options name."""
        return self._spec

    def _how(self, X: pd.DataFrame) -> tuple[np.ndarray | None, dict[str, Any]]:
        cell, traits = read_traits(X, self.by, self.covariates, list(self._model().effects))
        how = {"method": self.method, "priors": self.priors, "seed": self.random_state, "traits": traits}
        return cell, how

    def _keep(self, fitted: Fitted) -> Self:
        self.fitted_ = fitted
        self.params_ = fitted.parameters
        self.standard_errors_ = fitted.standard_errors
        names = list(fitted.spec.parameters)
        self.covariance_ = pd.DataFrame(fitted.covariance, index=names, columns=names)
        self.log_likelihood_ = fitted.log_likelihood
        self.verdict_ = fitted.verdict
        return self

    @classmethod
    def from_parameters(cls, **parameters: Any) -> Self:
        """An estimator with given parameters, as if fitted; it has no standard errors.

        Options that choose the model, as ``k`` of :class:`forecast.BetaGeoCNBD`, are given beside them.

        Raises
        ------
        ArgumentError
            When a parameter is missing, unknown or not positive.

        Examples
        --------
        >>> from forecast import GammaGamma
        >>> GammaGamma.from_parameters(p=6.25, q=3.74, gamma=15.44).params_["q"]
        3.74
        """
        own = cls(**{name: parameters.pop(name) for name in cls._choices if name in parameters})
        spec = own._model()
        if set(parameters) != set(spec.parameters):
            raise ArgumentError(
                f"{spec.title} has the parameters {', '.join(spec.parameters)}, not {', '.join(parameters)}",
                advice="Give each of them once.",
            )
        values = {name: _positive(parameters[name], name) for name in spec.parameters}
        return own._keep(Fitted.from_parameters(spec, values, "parameters were given, not fitted"))

    def summary(self) -> pd.DataFrame:
        """Parameters, standard errors and 95 % limits; the limits are log-normal, so positive."""
        check_is_fitted(self)
        value = pd.Series(self.params_, dtype=float)
        error = pd.Series(self.standard_errors_, dtype=float)
        factor = np.exp(1.959963984540054 * error / value)
        return pd.DataFrame(
            {
                "estimate": value,
                "standard_error": error,
                "lower_95": value / factor,
                "upper_95": value * factor,
            }
        )


class PurchaseEstimator(Estimator):
    """What all models of purchases share: fit, predictions and simulation."""

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit.

        Parameters
        ----------
        X : DataFrame, shape (customers, >= 3)
            Columns ``frequency, recency, T``; others are ignored.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        InputError
            When the histories break a rule; every breach is listed.
        FitError
            When the data do not identify the model.
        """
        check_method(self.method)
        frame = as_frame(X)
        columns = check_histories(frame)
        cell, how = self._how(frame)
        counts = group_purchases(columns["frequency"], columns["recency"], columns["T"], cell)
        return self._keep(fit_purchases(self._model(), counts, **how))

    def _columns(self, X: Any) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
        check_is_fitted(self)
        frame = as_frame(X)
        return frame, check_histories(frame)

    def _predict(self, X: Any, horizon: float) -> tuple[pd.Index, dict[str, np.ndarray]]:
        days = _positive(horizon, "horizon")
        frame, c = self._columns(X)
        model = ClvModel(self.fitted_)
        customers = Customers(c["frequency"], c["recency"], c["T"]).with_traits(frame, model)
        return frame.index, predict_customers(model, customers, days=days)

    def predict(self, X: Any, horizon: float) -> pd.Series:
        """Expected purchases of each customer in the ``horizon`` after ``T``.

        Parameters
        ----------
        X : DataFrame, shape (customers, >= 3)
        horizon : float
            In the unit of ``recency`` and ``T``.

        Returns
        -------
        pandas.Series, shape (customers,)
            On the caller's index.

        Raises
        ------
        InputError, ArgumentError
            As in ``fit``; a horizon that is not positive.
        sklearn.exceptions.NotFittedError
        """
        index, found = self._predict(X, horizon)
        return pd.Series(found["expected_purchases"], index=index, name="expected_purchases")

    def p_purchase(self, X: Any, horizon: float) -> pd.Series:
        """Probability of at least one purchase in the ``horizon``: the number to decide with."""
        index, found = self._predict(X, horizon)
        return pd.Series(found["p_purchase"], index=index, name="p_purchase")

    def p_alive(self, X: Any) -> pd.Series:
        """Probability that each customer is still one at ``T``; not observable, for display."""
        index, found = self._predict(X, 1.0)
        return pd.Series(found["p_alive"], index=index, name="p_alive")

    def pmf(self, X: Any, horizon: float, max_purchases: int = 10) -> pd.DataFrame:
        """Exact predictive probabilities of ``0 … max_purchases`` purchases in the ``horizon``.

        Returns
        -------
        pandas.DataFrame, shape (customers, max_purchases + 1)
            On the caller's index; rows sum to 1 as ``max_purchases`` grows.

        Raises
        ------
        InputError, ArgumentError
            As in ``predict``; ``max_purchases`` below 0.

        Examples
        --------
        >>> from forecast import BetaGeoNBD
        >>> bg = BetaGeoNBD.from_parameters(r=0.243, alpha=4.414, a=0.793, b=2.426)
        >>> one = pd.DataFrame({"frequency": [0], "recency": [0.0], "T": [0.0]})
        >>> bg.pmf(one, horizon=39, max_purchases=1).round(4).to_numpy().tolist()
        [[0.5738, 0.1994]]
        """
        days = _positive(horizon, "horizon")
        if isinstance(max_purchases, bool) or int(max_purchases) != max_purchases or max_purchases < 0:
            raise ArgumentError(
                f"max_purchases is {max_purchases!r}", advice="Give a whole number from 0 up."
            )
        frame, c = self._columns(X)
        counts = np.arange(int(max_purchases) + 1)
        fitted = self.fitted_
        customers = Customers(c["frequency"], c["recency"], c["T"]).with_traits(frame, ClvModel(fitted))
        mass = np.zeros((len(frame), len(counts)))
        for index, weight in zip(*fitted.predictive_draws(), strict=True):
            draw = fitted.draw(index, customers.purchase_matrix)
            alive = np.exp(log_p_alive(fitted, draw, customers))[:, None]
            live = fitted.spec.formulas.if_alive(
                *gathered(draw, customers.cell), x=customers.x, t_x=customers.t_x, T=customers.T
            )
            columns = (np.asarray(v)[:, None] if np.ndim(v) else v for v in live)
            mass += weight * alive * fitted.spec.formulas.PROCESS.pmf(*columns, days, counts[None, :])
            mass[:, 0] += weight * (1.0 - alive[:, 0])
        return pd.DataFrame(mass, index=frame.index, columns=pd.Index(counts, name="purchases"))

    def expected_purchases_new(self, horizon: Any) -> np.ndarray:
        """Expected repeat purchases of a new customer within ``horizon`` of the first purchase.

        Parameters
        ----------
        horizon : float or array_like

        Returns
        -------
        ndarray

        Examples
        --------
        >>> from forecast import BetaGeoNBD
        >>> bg = BetaGeoNBD.from_parameters(r=0.2425945, alpha=4.4136019, a=0.7929199, b=2.4258881)
        >>> bg.expected_purchases_new([4, 39]).round(7).tolist()
        [0.1957648, 1.1950086]
        """
        check_is_fitted(self)
        times = np.atleast_1d(np.asarray(horizon, dtype=float))
        one = pd.DataFrame({"frequency": [0], "recency": [0.0], "T": [0.0]})
        return np.array([self.predict(one, float(t)).iloc[0] for t in times])

    def simulate(self, T: Any, horizon: float | None = None, seed: int = 0) -> pd.DataFrame:
        """Simulate new customers of given ages, and what they do next.

        Parameters
        ----------
        T : array_like, shape (customers,)
            Ages.
        horizon : float, optional
            Also simulate ``(T, T + horizon]``.
        seed : int

        Returns
        -------
        pandas.DataFrame
            ``frequency, recency, T, alive`` and, with a horizon, ``future_purchases``.

        Raises
        ------
        ArgumentError
            When an age is negative or not finite, or the horizon not positive.
        """
        check_is_fitted(self)
        ages = np.atleast_1d(np.asarray(T, dtype=float))
        if not (np.isfinite(ages).all() and (ages >= 0).all()):
            raise ArgumentError("T is negative or not finite", advice="Give each customer's age, from 0 up.")
        ahead = 0.0 if horizon is None else _positive(horizon, "horizon")
        rng = np.random.default_rng(seed)
        point = self.fitted_.parameters.values()
        x, t_x, alive, future = self.fitted_.spec.formulas.simulate(rng, ages, ahead, *point)
        frame = pd.DataFrame({"frequency": x, "recency": t_x, "T": ages, "alive": alive})
        if horizon is not None:
            frame["future_purchases"] = future
        return frame
