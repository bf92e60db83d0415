"""Fits: recovery, units, boundaries, and refusals instead of numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast import NBD, BetaGeoNBD, FitError, GammaGamma
from forecast.fitting import Fitted, fit_purchases, fit_spend, purchase_model
from forecast.fitting.spec import BG_NBD
from forecast.maths import gammagamma
from forecast.summary.statistics import PurchaseCounts, SpendCounts, group_purchases

TRUTH = {"r": 0.5, "alpha": 30.0, "a": 0.8, "b": 2.5}


def simulated(size: int, seed: int, **parameters: float) -> pd.DataFrame:
    ages = np.random.default_rng(seed).integers(60, 720, size).astype(float)
    return BetaGeoNBD.from_parameters(**(TRUTH | parameters)).simulate(ages, seed=seed)


def test_simulated_parameters_are_recovered_within_their_errors() -> None:
    bg = BetaGeoNBD().fit(simulated(30_000, 3))
    for name, truth in TRUTH.items():
        assert abs(bg.params_[name] - truth) < 3.5 * bg.standard_errors_[name]
    assert bg.verdict_.converged


def test_standard_errors_are_those_of_repeated_samples() -> None:
    fits = [BetaGeoNBD().fit(simulated(1500, seed)) for seed in range(60)]
    spread = np.std([np.log(f.params_["r"]) for f in fits])
    told = np.mean([f.standard_errors_["r"] / f.params_["r"] for f in fits])
    assert told == pytest.approx(spread, rel=0.3)


@pytest.mark.parametrize("time", [1 / 7, 24.0, 1 / 365.25])
@pytest.mark.parametrize("size", [236, 4000])
def test_units_of_time_do_not_matter(time: float, size: int) -> None:
    days = simulated(size, 5)
    other = days.assign(recency=days["recency"] * time, T=days["T"] * time)
    a, b = BetaGeoNBD().fit(days), BetaGeoNBD().fit(other)
    assert a.predict(days, 91).to_numpy() == pytest.approx(b.predict(other, 91 * time).to_numpy(), rel=1e-8)
    assert b.params_["alpha"] == pytest.approx(a.params_["alpha"] * time, rel=1e-7)
    repeats = days["frequency"].sum()
    assert b.log_likelihood_ == pytest.approx(a.log_likelihood_ - repeats * np.log(time), rel=1e-10)


@pytest.mark.parametrize("money", [100.0, 0.01, 10.0])
def test_units_of_money_do_not_matter(money: float) -> None:
    rng = np.random.default_rng(1)
    n = rng.integers(1, 9, 500)
    nu = gammagamma.newcomer(rng, 500, 6.0, 3.7, 15.0)
    euros = pd.DataFrame({"frequency": n, "monetary_value": rng.gamma(6.0 * n) / nu / n})
    cents = euros.assign(monetary_value=euros["monetary_value"] * money)
    a, b = GammaGamma().fit(euros), GammaGamma().fit(cents)
    assert (a.predict(euros) * money).to_numpy() == pytest.approx(b.predict(cents).to_numpy(), rel=1e-8)
    assert b.params_["gamma"] == pytest.approx(a.params_["gamma"] * money, rel=1e-7)


@given(order=st.permutations(range(40)))
def test_the_order_of_rows_does_not_matter(order: list[int]) -> None:
    frame = simulated(40, 8)
    shuffled = frame.iloc[order]
    assert BetaGeoNBD().fit(frame).params_ == BetaGeoNBD().fit(shuffled).params_


def test_weights_are_repetitions() -> None:
    frame = simulated(300, 9)
    twice = pd.concat([frame, frame], ignore_index=True)
    counts = group_purchases(*(frame[c].to_numpy() for c in ("frequency", "recency", "T")))
    doubled = PurchaseCounts(counts.x, counts.t_x, counts.T, counts.weight * 2)
    a, b = fit_purchases(BG_NBD, doubled), BetaGeoNBD().fit(twice)
    assert a.parameters == pytest.approx(b.params_, rel=1e-9)
    assert a.log_likelihood == pytest.approx(b.log_likelihood_, rel=1e-12)


def test_without_drop_out_the_verdict_names_the_boundary() -> None:
    ages = np.full(3000, 365.0)
    frame = NBD.from_parameters(r=0.8, alpha=40.0).simulate(ages, seed=2)
    bg, nbd = BetaGeoNBD().fit(frame), NBD().fit(frame)
    assert bg.verdict_.code == "boundary"
    assert "no drop-out is seen" in bg.verdict_.text
    assert np.isnan(bg.standard_errors_["a"])
    assert bg.params_["r"] == pytest.approx(nbd.params_["r"], rel=1e-3)
    assert bg.predict(frame, 91).sum() == pytest.approx(nbd.predict(frame, 91).sum(), rel=1e-3)


def test_equal_rates_are_named() -> None:
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"frequency": rng.binomial(12, 0.5, 400), "T": 365.0})
    frame["recency"] = np.where(frame["frequency"] > 0, 300.0, 0.0)
    nbd = NBD().fit(frame)
    assert nbd.verdict_.code == "boundary"
    assert "same rate" in nbd.verdict_.text


@pytest.mark.parametrize("estimator", [BetaGeoNBD, NBD])
@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (
            {"frequency": [0, 0, 0], "recency": [0, 0, 0], "T": [10, 20, 30]},
            "no customer has a repeat purchase",
        ),
        ({"frequency": [2], "recency": [20], "T": [30]}, "too few customers"),
    ],
    ids=["all one-time", "one row"],
)
def test_what_cannot_be_identified_is_refused(
    estimator: type, frame: dict[str, list[int]], message: str
) -> None:
    with pytest.raises(FitError, match=message):
        estimator().fit(pd.DataFrame(frame))


def test_no_time_passed_is_refused() -> None:
    counts = PurchaseCounts(np.array([1.0]), np.array([0.0]), np.array([0.0]), np.array([5.0]))
    with pytest.raises(FitError, match="no time has passed"):
        fit_purchases(purchase_model("nbd"), counts)


def test_an_infinite_mean_spend_is_refused() -> None:
    rng = np.random.default_rng(3)
    nu = gammagamma.newcomer(rng, 4000, 2.0, 0.7, 10.0)
    n = np.full(4000, 5.0)
    mean = rng.gamma(2.0 * n) / nu / n
    with pytest.raises(FitError, match=r"its mean is infinite \(q = 0\.[67]"):
        fit_spend(SpendCounts(n, mean, np.ones(4000)))


@pytest.mark.parametrize(
    ("n", "mean", "message"),
    [
        ([3.0], [10.0], "too few customers with a valued repeat purchase"),
        ([3.0, 2.0, 5.0], [10.0, 10.0, 10.0], "same mean purchase value"),
    ],
)
def test_spend_that_cannot_be_identified_is_refused(n: list[float], mean: list[float], message: str) -> None:
    with pytest.raises(FitError, match=message):
        fit_spend(SpendCounts(np.array(n), np.array(mean), np.ones(len(n))))


def test_a_flat_likelihood_without_a_known_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    rng = np.random.default_rng(4)
    counts = PurchaseCounts(
        *(
            v.astype(float)
            for v in (rng.binomial(12, 0.5, 400), np.full(400, 300), np.full(400, 365), np.ones(400))
        )
    )
    with pytest.raises(FitError, match="likelihood is flat"):
        fit_purchases(replace(purchase_model("nbd"), limits=()), counts)


def test_a_search_that_does_not_settle_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from forecast.fitting import search

    monkeypatch.setattr(search, "_MOST_STEPS", 1)
    with pytest.raises(FitError, match="did not settle in 1 steps"):
        BetaGeoNBD().fit(simulated(300, 1))


def test_a_fit_survives_being_written_down() -> None:
    fitted = BetaGeoNBD().fit(simulated(300, 1)).fitted_
    again = Fitted.from_dict(fitted.spec, fitted.to_dict())
    assert again.parameters == fitted.parameters
    assert (again.covariance == fitted.covariance).all()
    assert again.verdict == fitted.verdict
