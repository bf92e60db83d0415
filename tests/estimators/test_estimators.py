"""scikit-learn manners, pandas manners, and one gate for fit and predict."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import estimator_checks

from forecast import (
    NBD,
    ArgumentError,
    BetaGeoCNBD,
    BetaGeoNBD,
    GammaGamma,
    InputError,
    ModifiedBetaGeoNBD,
    ParetoNBD,
)
from forecast.estimating import PurchaseEstimator

TRUTH = BetaGeoNBD.from_parameters(r=0.5, alpha=30.0, a=0.8, b=2.5)
ESTIMATORS = [BetaGeoNBD, NBD, ModifiedBetaGeoNBD, ParetoNBD, BetaGeoCNBD, GammaGamma]


@pytest.fixture(scope="module")
def histories() -> pd.DataFrame:
    frame = TRUTH.simulate(np.full(400, 300.0), seed=4)
    rng = np.random.default_rng(4)
    frame["monetary_value"] = np.where(frame["frequency"] > 0, rng.gamma(3.0, 11.0, 400), np.nan)
    frame.index = pd.Index([f"c{i:03d}" for i in range(400)], name="customer")
    return frame


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize(
    "check",
    [
        "check_no_attributes_set_in_init",
        "check_parameters_default_constructible",
        "check_get_params_invariance",
        "check_set_params",
        "check_estimator_cloneable",
        "check_estimator_repr",
        "check_valid_tag_types",
    ],
)
def test_scikit_learns_own_checks(estimator: type, check: str) -> None:
    getattr(estimator_checks, check)(estimator.__name__, estimator())


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_fit_returns_self_keeps_its_arguments_and_leaves_the_input_alone(
    estimator: type, histories: pd.DataFrame
) -> None:
    before = histories.copy(deep=True)
    own = estimator()
    assert own.fit(histories) is own
    choices = {"k": 2, "modified": False} if estimator is BetaGeoCNBD else {}
    assert own.get_params() == choices | {
        "method": "mle",
        "priors": None,
        "random_state": 0,
        "by": None,
        "covariates": None,
    }
    pd.testing.assert_frame_equal(histories, before)
    again = clone(own)
    assert not hasattr(again, "params_")
    assert again.fit(histories).params_ == own.params_
    assert set(own.params_) == set(own.standard_errors_)
    errors = list(own.standard_errors_.values())  # NaN where so few customers leave a model at its boundary
    assert np.sqrt(np.diag(own.covariance_)) == pytest.approx(errors, nan_ok=True)
    assert list(own.summary().columns) == ["estimate", "standard_error", "lower_95", "upper_95"]


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_not_fitted(estimator: type, histories: pd.DataFrame) -> None:
    arguments = (histories,) if estimator is GammaGamma else (histories, 30)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        estimator().predict(*arguments)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_unknown_method(estimator: type, histories: pd.DataFrame) -> None:
    with pytest.raises(ArgumentError, match=r"there is no method 'map'. Choose laplace, nuts or mle"):
        estimator(method="map").fit(histories)


def test_regularity_is_an_option_that_clones_and_is_refused_where_it_cannot_be_meant(
    histories: pd.DataFrame,
) -> None:
    regular = clone(BetaGeoCNBD(k=3, modified=True))
    assert regular.get_params()["k"] == 3
    assert regular.fit(histories).fitted_.spec.name == "mbg-cnbd-3"
    assert regular.set_params(k=1).fit(histories).params_ == pytest.approx(
        ModifiedBetaGeoNBD().fit(histories).params_, rel=1e-6
    )
    given = BetaGeoCNBD.from_parameters(k=4, r=1.0, alpha=9.0, a=0.5, b=2.0)
    assert (given.fitted_.spec.title, given.k, given.modified) == ("BG/CNBD-4", 4, False)
    for k in (0, 9, 2.0, "2", True):
        with pytest.raises(ArgumentError, match=r"k is .*Give a whole number from 1 to 8"):
            BetaGeoCNBD(k=k).fit(histories)


@pytest.mark.parametrize(
    "truth",
    [
        ModifiedBetaGeoNBD.from_parameters(r=0.6, alpha=30.0, a=0.8, b=2.5),
        ParetoNBD.from_parameters(r=0.6, alpha=30.0, s=0.6, beta=150.0),
        BetaGeoCNBD.from_parameters(k=2, modified=True, r=0.8, alpha=15.0, a=0.8, b=2.5),
    ],
    ids=lambda own: own.fitted_.spec.name,
)
def test_what_is_simulated_is_found_again_and_foreseen(truth: PurchaseEstimator) -> None:
    frame = truth.simulate(np.linspace(60.0, 400.0, 4000), horizon=90, seed=3)
    own = clone(truth).fit(frame)
    for name, value in truth.params_.items():
        assert abs(np.log(own.params_[name] / value)) < 3.5 * own.standard_errors_[name] / own.params_[name]
    total = frame["future_purchases"].sum()
    assert own.predict(frame, 90).sum() == pytest.approx(total, rel=0.07)
    assert own.p_alive(frame).mean() == pytest.approx(frame["alive"].mean(), abs=0.05)
    assert own.p_purchase(frame, 90).mean() == pytest.approx((frame["future_purchases"] > 0).mean(), abs=0.02)
    mass = own.pmf(frame.head(200), 90, 60)
    assert mass.sum(axis=1).to_numpy() == pytest.approx(1.0, abs=1e-6)
    assert (mass @ mass.columns.to_numpy()).to_numpy() == pytest.approx(
        own.predict(frame.head(200), 90).to_numpy(), rel=1e-3
    )


def test_the_callers_index_and_order_are_kept(histories: pd.DataFrame) -> None:
    bg = BetaGeoNBD().fit(histories)
    turned = histories.iloc[::-1]
    for name, result in (
        ("predict", bg.predict(turned, 90)),
        ("p_purchase", bg.p_purchase(turned, 90)),
        ("p_alive", bg.p_alive(turned)),
        ("pmf", bg.pmf(turned, 90, 3)),
        ("spend", GammaGamma().fit(histories).predict(turned)),
    ):
        assert result.index.equals(turned.index), name
    assert (bg.predict(turned, 90).iloc[::-1] == bg.predict(histories, 90)).all()


@given(order=st.permutations(range(50)))
def test_every_method_permutes_with_its_input(order: list[int]) -> None:
    frame = TRUTH.simulate(np.linspace(20, 400, 50), seed=1)
    bg = TRUTH
    mixed = frame.iloc[order]
    assert (bg.predict(mixed, 60) == bg.predict(frame, 60).iloc[order]).all()
    assert (bg.p_alive(mixed) == bg.p_alive(frame).iloc[order]).all()
    assert (bg.pmf(mixed, 60, 4) == bg.pmf(frame, 60, 4).iloc[order]).all(axis=None)


def test_polars_and_arrow_are_accepted(histories: pd.DataFrame) -> None:
    plain = histories.reset_index(drop=True)
    expected = TRUTH.predict(plain, 90)
    assert TRUTH.predict(pl.from_pandas(plain), 90).tolist() == expected.tolist()
    assert TRUTH.predict(pa.Table.from_pandas(plain), 90).tolist() == expected.tolist()


def test_p_purchase_is_one_minus_the_mass_at_zero(histories: pd.DataFrame) -> None:
    mass = TRUTH.pmf(histories, 90, max_purchases=60)
    assert (1 - mass[0]).to_numpy() == pytest.approx(TRUTH.p_purchase(histories, 90).to_numpy(), abs=1e-12)
    assert mass.sum(axis=1).to_numpy() == pytest.approx(1.0, abs=1e-6)


def test_simulate_is_reproducible_and_daily_logic_holds() -> None:
    one, two = (TRUTH.simulate(np.full(500, 200.0), horizon=50, seed=9) for _ in range(2))
    pd.testing.assert_frame_equal(one, two)
    assert (one["recency"] <= one["T"]).all()
    assert ((one["frequency"] == 0) == (one["recency"] == 0)).all()
    assert (one.loc[~one["alive"], "future_purchases"] == 0).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda f: TRUTH.predict(f, 0), "horizon is 0"),
        (lambda f: TRUTH.predict(f, -10), "horizon is -10"),
        (lambda f: TRUTH.predict(f, float("nan")), "horizon is nan"),
        (lambda f: TRUTH.predict(f, True), "horizon is True"),
        (lambda f: TRUTH.predict(f, "soon"), "horizon is 'soon'"),
        (lambda f: TRUTH.pmf(f, 30, -1), "max_purchases is -1"),
        (lambda f: TRUTH.pmf(f, 30, 1.5), "max_purchases is 1.5"),
        (lambda f: TRUTH.simulate([-1.0]), "T is negative or not finite"),
        (lambda f: TRUTH.simulate([10.0], horizon=-1), "horizon is -1"),
        (lambda f: BetaGeoNBD.from_parameters(r=1.0), "has the parameters r, alpha, a, b, not r"),
        (lambda f: BetaGeoNBD.from_parameters(r=-1.0, alpha=1, a=1, b=1), "r is -1.0"),
    ],
)
def test_arguments_that_cannot_be_meant(call, message: str, histories: pd.DataFrame) -> None:
    with pytest.raises(ArgumentError, match=message):
        call(histories)


GOOD = {"frequency": [2, 0], "recency": [20.0, 0.0], "T": [30.0, 30.0], "monetary_value": [9.0, np.nan]}
BAD = [
    ("fraction", {"frequency": [1.5, 0]}, r"frequency is not a whole number \(1 row: row 0: 1.5\)"),
    ("negative", {"frequency": [-3, 0]}, r"frequency is negative \(1 row: row 0: -3\)"),
    ("nan frequency", {"frequency": [np.nan, 0]}, r"frequency is missing or infinite \(1 row: row 0\)"),
    ("inf T", {"T": [np.inf, 30.0]}, "T is missing or infinite"),
    ("nan recency", {"recency": [np.nan, 0.0]}, "recency is missing or infinite"),
    ("beyond T", {"recency": [31.0, 0.0]}, r"recency is beyond T \(1 row: row 0: 31\)"),
    ("negative recency", {"recency": [-2.0, 0.0]}, "recency is negative"),
    ("negative T", {"T": [-30.0, 30.0]}, "T is negative"),
    ("recency without repeat", {"recency": [20.0, 4.0]}, "recency is above 0 without a repeat purchase"),
    ("repeat without recency", {"recency": [0.0, 0.0]}, "recency is 0 in spite of a repeat purchase"),
    ("text", {"frequency": ["two", "0"]}, "frequency (is not numeric|holds something that is not a number)"),
    ("booleans", {"frequency": [True, False]}, "frequency is not numeric but bool"),
    ("dates", {"T": pd.to_datetime(["2024-01-01", "2024-01-02"])}, "T is not numeric but datetime64"),
    ("doubled ids", {"customer_id": ["007", "007"]}, r"customer_id repeats \(1 row: row 1\)"),
]


@pytest.mark.parametrize(("change", "message"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
@pytest.mark.parametrize("verb", ["fit", "predict", "p_alive", "p_purchase", "pmf"])
def test_bad_histories_are_refused_by_every_verb(verb: str, change: dict, message: str) -> None:
    frame = pd.DataFrame(GOOD | change)
    arguments = () if verb in ("fit", "p_alive") else (30,)
    with pytest.raises(InputError, match=message):
        getattr(TRUTH if verb != "fit" else BetaGeoNBD(), verb)(frame, *arguments)


SPEND = [
    ("zero", {"monetary_value": [0.0, np.nan]}, "monetary_value is not above 0"),
    ("negative", {"monetary_value": [-5.0, np.nan]}, "monetary_value is not above 0"),
    ("infinite", {"monetary_value": [np.inf, np.nan]}, "monetary_value is infinite"),
    ("missing", {"monetary_value": [np.nan, np.nan]}, "monetary_value is missing in spite of a repeat"),
    ("text", {"monetary_value": ["9,00", ""]}, "monetary_value (is not numeric|holds something)"),
    ("count", {"monetary_count": [-1, 0]}, "monetary_count is missing, negative or no whole number"),
    ("fractional frequency", {"frequency": [1.5, 0]}, "frequency is missing, negative or no whole number"),
]


@pytest.mark.parametrize(("change", "message"), [b[1:] for b in SPEND], ids=[b[0] for b in SPEND])
@pytest.mark.parametrize("verb", ["fit", "predict"])
def test_bad_spend_is_refused_by_fit_and_predict(verb: str, change: dict, message: str) -> None:
    gg = GammaGamma() if verb == "fit" else GammaGamma.from_parameters(p=6.0, q=3.7, gamma=15.0)
    with pytest.raises(InputError, match=message):
        getattr(gg, verb)(pd.DataFrame(GOOD | change))


@pytest.mark.parametrize("verb", ["fit", "predict"])
@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame(), r"columns missing: frequency, recency, T.*Found no columns"),
        (pd.DataFrame({"frequency": [], "recency": [], "T": []}), "there are no customers"),
        (pd.DataFrame(GOOD).drop(columns="T"), r"column missing: T, in histories.*Found frequency, recency"),
        (
            pd.DataFrame([[1, 1, 2.0, 3.0]], columns=["frequency", "frequency", "recency", "T"]),
            "column twice: frequency",
        ),
        (np.ones((3, 3)), "a table is needed, not ndarray"),
        ([1, 2, 3], "a table is needed, not list"),
    ],
    ids=["no columns", "no rows", "no T", "doubled column", "array", "list"],
)
def test_what_is_no_table_of_histories(verb: str, frame: object, message: str) -> None:
    arguments = () if verb == "fit" else (30,)
    with pytest.raises(InputError, match=message):
        getattr(BetaGeoNBD() if verb == "fit" else TRUTH, verb)(frame, *arguments)


def test_all_breaches_are_told_at_once() -> None:
    frame = pd.DataFrame({"frequency": [-1, 1.5, 2], "recency": [0.0, 5.0, 50.0], "T": [9.0, 9.0, 9.0]})
    with pytest.raises(InputError, match=r"is negative.*is not a whole number.*is beyond T"):
        BetaGeoNBD().fit(frame)


def test_agreement_with_lifetimes_where_it_is_right(weekly: pd.DataFrame) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # lifetimes is archived and warns of its own age
        from lifetimes import BetaGeoFitter, GammaGammaFitter

        peer = BetaGeoFitter().fit(weekly["frequency"], weekly["recency"], weekly["T"])
        own = BetaGeoNBD().fit(weekly)
        assert own.params_ == pytest.approx(dict(peer.params_), rel=2e-3)
        same = BetaGeoNBD.from_parameters(**{k: float(v) for k, v in peer.params_.items()})
        x, t_x, T = (weekly[c].to_numpy() for c in ("frequency", "recency", "T"))
        expected = peer.conditional_expected_number_of_purchases_up_to_time(39, x, t_x, T)
        assert same.predict(weekly, 39).to_numpy() == pytest.approx(np.asarray(expected), rel=1e-6)
        alive = np.asarray(peer.conditional_probability_alive(x, t_x, T))
        assert same.p_alive(weekly).to_numpy() == pytest.approx(alive, rel=1e-9)
        spenders = weekly[weekly["monetary_count"] > 0]
        spend = GammaGammaFitter().fit(spenders["monetary_count"], spenders["monetary_value"])
        assert GammaGamma().fit(weekly).params_ == pytest.approx(
            {"p": spend.params_["p"], "q": spend.params_["q"], "gamma": spend.params_["v"]}, rel=5e-3
        )
