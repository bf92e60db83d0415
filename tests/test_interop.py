"""A fitted lifetimes model means the same here, whatever unit of time it was fitted in."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.datasets import CDNOW_AS_OF, cdnow
from forecast.errors import ArgumentError, FitError, InputError
from forecast.fitting import Fitted, purchase_model
from forecast.interop import from_lifetimes
from forecast.predict import ClvModel, Customers, predict_customers


@pytest.fixture(scope="module")
def lifetimes() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import lifetimes as package
    return package


@pytest.fixture(scope="module")
def histories() -> pd.DataFrame:
    orders = cdnow()
    orders = orders[orders["order_date"] <= pd.Timestamp(CDNOW_AS_OF)]
    purchases = orders.groupby(["customer_id", "order_date"], as_index=False)["value"].sum()
    by = purchases.groupby("customer_id")
    frame = pd.DataFrame(
        {"first": by["order_date"].min(), "last": by["order_date"].max(), "x": by.size() - 1}
    )
    frame["t_x"] = (frame["last"] - frame["first"]).dt.days
    frame["T"] = (pd.Timestamp(CDNOW_AS_OF) - frame["first"]).dt.days
    repeats = purchases[by.cumcount() > 0]
    frame["m"] = repeats[repeats["value"] > 0].groupby("customer_id")["value"].mean()
    return frame


def _fit(package: Any, histories: pd.DataFrame, days: float, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return package.BetaGeoFitter(**options).fit(
            histories["x"], histories["t_x"] / days, histories["T"] / days
        )


def test_weeks_and_days_give_the_published_fit(lifetimes: Any, histories: pd.DataFrame) -> None:
    weeks = from_lifetimes(_fit(lifetimes, histories, 7.0), time_unit="W")
    days = from_lifetimes(_fit(lifetimes, histories, 1.0), time_unit="D")
    assert weeks["model"] == days["model"] == "bg-nbd"
    assert weeks["notes"] == []
    published = {"r": 0.2426, "alpha": 4.4136 * 7, "a": 0.7929, "b": 2.4259}
    for name, value in published.items():
        assert weeks["parameters"][name] == pytest.approx(value, rel=2e-3)
        assert days["parameters"][name] == pytest.approx(value, rel=2e-3)


def test_the_forecast_is_the_same_in_days(lifetimes: Any, histories: pd.DataFrame) -> None:
    weekly = _fit(lifetimes, histories, 7.0)
    ours = from_lifetimes(weekly, time_unit="W")["parameters"]
    daily = lifetimes.BetaGeoFitter()
    daily.params_ = pd.Series(ours)
    np.testing.assert_allclose(
        daily.conditional_expected_number_of_purchases_up_to_time(273, 2, 200, 250),
        weekly.conditional_expected_number_of_purchases_up_to_time(39, 2, 200 / 7, 250 / 7),
    )


@pytest.mark.parametrize("kind", ["ModifiedBetaGeoFitter", "ParetoNBDFitter"])
def test_other_purchase_models_expect_the_same(lifetimes: Any, kind: str) -> None:
    parameters = {"r": 0.55, "alpha": 6.0, "s": 0.6, "beta": 11.0, "a": 0.8, "b": 2.4}
    fitter = getattr(lifetimes, kind)()
    fitter.params_ = pd.Series(parameters)
    read = from_lifetimes(fitter, time_unit="W")
    model = ClvModel(Fitted.from_parameters(purchase_model(read["model"]), read["parameters"], "given"))
    x, t_x, T = np.array([2.0, 5.0, 1.0]), np.array([20.0, 30.0, 4.0]), np.array([30.0, 38.0, 35.0])
    ours = predict_customers(model, Customers(x, 7.0 * t_x, 7.0 * T), days=273)["expected_purchases"]
    theirs = fitter.conditional_expected_number_of_purchases_up_to_time(39, x, t_x, T)
    np.testing.assert_allclose(ours, np.asarray(theirs), rtol=1e-6)


def test_gamma_gamma_needs_no_unit(lifetimes: Any, histories: pd.DataFrame) -> None:
    buyers = histories[histories["m"].notna()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitter = lifetimes.GammaGammaFitter().fit(buyers["x"], buyers["m"])
    read = from_lifetimes(fitter)
    assert read["model"] == "gamma-gamma"
    assert list(read["parameters"]) == ["p", "q", "gamma"]
    assert read["parameters"]["gamma"] == fitter.params_["v"]
    p, q, gamma = read["parameters"].values()
    assert fitter.conditional_expected_average_profit(0.0, 0.0) == pytest.approx(p * gamma / (q - 1))


def test_a_penalised_fit_is_noted(lifetimes: Any, histories: pd.DataFrame) -> None:
    read = from_lifetimes(_fit(lifetimes, histories, 7.0, penalizer_coef=0.01), time_unit="W")
    assert len(read["notes"]) == 1
    assert "penalizer_coef=0.01" in read["notes"][0]


def test_what_cannot_be_read(lifetimes: Any) -> None:
    for fitter in (lifetimes.BetaGeoBetaBinomFitter(),):
        with pytest.raises(ArgumentError, match="cannot be read yet"):
            from_lifetimes(fitter, time_unit="W")
    with pytest.raises(FitError, match="BetaGeoFitter is not fitted"):
        from_lifetimes(lifetimes.BetaGeoFitter(), time_unit="W")
    with pytest.raises(ArgumentError, match="a SimpleNamespace is no model of lifetimes"):
        from_lifetimes(SimpleNamespace(params_={}), time_unit="W")


@pytest.mark.parametrize(
    ("unit", "match"),
    [(None, "time_unit is missing"), ("M", "'M' has no fixed length"), ("weeks", "'weeks' is unknown")],
)
def test_the_unit_must_be_said(lifetimes: Any, unit: str | None, match: str) -> None:
    fitter = lifetimes.BetaGeoFitter()
    fitter.params_ = pd.Series({"r": 0.2, "alpha": 4.0, "a": 0.8, "b": 2.4})
    with pytest.raises(ArgumentError, match=match):
        from_lifetimes(fitter, time_unit=unit)


def test_impossible_parameters(lifetimes: Any) -> None:
    fitter = lifetimes.BetaGeoFitter()
    fitter.params_ = pd.Series({"r": 0.2, "alpha": np.nan, "a": 0.8, "b": 2.4})
    with pytest.raises(InputError, match="parameter 'alpha' of the BetaGeoFitter is nan"):
        from_lifetimes(fitter, time_unit="W")
    fitter.params_ = pd.Series({"r": 0.2})
    with pytest.raises(InputError, match="has no parameter 'alpha'"):
        from_lifetimes(fitter, time_unit="W")
    spend = lifetimes.GammaGammaFitter()
    spend.params_ = pd.Series({"p": 6.0, "q": 0.9, "v": 15.0})
    with pytest.raises(FitError, match=r"q = 0\.9: its mean spend is infinite"):
        from_lifetimes(spend)
