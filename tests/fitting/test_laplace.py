"""The posterior by Laplace: weights beside ArviZ's, priors as data, units, and draws that predict."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

import forecast
from forecast import ArgumentError, BetaGeoNBD, FitError, GammaGamma, InputError
from forecast.fitting import Fitted, fit_purchases, purchase_model
from forecast.fitting.priors import DEFAULTS, Prior, read_priors, resolve_priors
from forecast.fitting.problem import purchase_problem
from forecast.fitting.psis import smooth
from forecast.predict import ClvModel, Customers, predict_customers
from forecast.predict.portfolio import simulate_totals
from forecast.summary import Histories
from forecast.summary.statistics import group_purchases

TRUTH = BetaGeoNBD.from_parameters(r=0.5, alpha=30.0, a=0.8, b=2.5)


def simulated(size: int, seed: int = 3) -> pd.DataFrame:
    return TRUTH.simulate(np.random.default_rng(seed).integers(60, 720, size).astype(float), seed=seed)


def counts(frame: pd.DataFrame):
    return group_purchases(*(frame[c].to_numpy() for c in ("frequency", "recency", "T")))


@pytest.mark.parametrize("name", ["bg-nbd", "mbg-nbd", "pareto-nbd", "nbd"])
def test_far_out_in_a_tail_nothing_is_as_unlikely(name: str) -> None:
    """Draws of a thin group's parameters may be beyond what floats hold."""
    problem = purchase_problem(purchase_model(name), counts(simulated(500)))
    at = problem.origin()
    assert np.isfinite(problem.value(at))
    for k in range(len(at)):
        for far in (-800.0, 800.0):
            assert problem.value(np.where(np.arange(len(at)) == k, far, at)) == -np.inf


@pytest.mark.parametrize("freedom", [1.5, 4.0, 30.0])
def test_smoothed_weights_are_arvizs(freedom: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ArviZ announces its refactoring on import
        import arviz
    if not hasattr(arviz, "psislw"):
        pytest.skip("this ArviZ offers smoothed weights elsewhere; the older one is the oracle")
    for seed in range(3):
        log_weights = np.random.default_rng(seed).standard_t(freedom, 1000)
        weights, k_hat = smooth(log_weights)
        reference, k_reference = arviz.psislw(log_weights.copy())
        assert k_hat == pytest.approx(float(k_reference), rel=1e-9)
        assert weights == pytest.approx(np.exp(reference), rel=1e-9)


def test_log_density_agrees_with_the_full_posterior_and_its_derivatives() -> None:
    problem = purchase_problem(purchase_model("bg-nbd"), counts(simulated(500)))
    priors = resolve_priors(problem.spec.unconstrained)
    u = np.array([-0.6, -2.0, -1.1, 1.0])
    value, gradient, hessian = problem.log_posterior(priors)(u)
    assert problem.log_density(priors, u) == pytest.approx(value, rel=1e-12)
    for i in range(4):
        step = np.zeros(4)
        step[i] = 1e-5
        up, down = (problem.log_posterior(priors)(u + s * step) for s in (1, -1))
        assert gradient[i] == pytest.approx((up[0] - down[0]) / 2e-5, rel=1e-5, abs=1e-4)
        assert hessian[i] == pytest.approx((up[1] - down[1]) / 2e-5, rel=1e-5, abs=1e-4)


def test_draws_follow_the_posterior_found_by_quadrature() -> None:
    """One-parameter check: NBD with alpha pinned by its prior, r integrated on a grid."""
    frame = simulated(60)
    pinned = {"log_alpha": {"mean": -2.0, "sd": 1e-4}}
    fitted = fit_purchases(purchase_model("nbd"), counts(frame), "laplace", priors=pinned)
    problem = purchase_problem(purchase_model("nbd"), counts(frame))
    priors = resolve_priors(problem.spec.unconstrained, pinned)
    grid = np.linspace(-4, 2, 2001)
    density = np.array([problem.log_density(priors, np.array([g, -2.0])) for g in grid])
    density = np.exp(density - density.max())
    density /= integrate.trapezoid(density, grid)
    mean = integrate.trapezoid(np.exp(grid) * density, grid)
    assert fitted.parameters["r"] == pytest.approx(mean, rel=0.01)


def test_cdnow_posterior_is_near_the_reference_run(weekly: pd.DataFrame) -> None:
    # Weak priors: r about .243, alpha 4.4 to 4.5 weeks; a and b depend on the prior on a + b.
    bg = BetaGeoNBD(method="laplace").fit(weekly)
    assert bg.params_["r"] == pytest.approx(0.243, abs=0.002)
    assert bg.params_["alpha"] == pytest.approx(4.45, abs=0.06)
    assert 0.75 < np.median(bg.fitted_.draws["a"]) < 0.87
    assert 2.3 < np.median(bg.fitted_.draws["b"]) < 2.75
    assert bg.verdict_.converged
    assert "k-hat" in bg.verdict_.text


@pytest.mark.parametrize("size", [236, 3000])
@pytest.mark.parametrize("time", [1 / 7, 24.0])
def test_units_of_time_do_not_matter(size: int, time: float) -> None:
    days = simulated(size)
    other = days.assign(recency=days["recency"] * time, T=days["T"] * time)
    one, two = (BetaGeoNBD(method="laplace").fit(f) for f in (days, other))
    assert one.predict(days, 91).to_numpy() == pytest.approx(
        two.predict(other, 91 * time).to_numpy(), rel=1e-7
    )


@pytest.mark.parametrize("money", [100.0, 0.1])
def test_units_of_money_do_not_matter(money: float) -> None:
    rng = np.random.default_rng(1)
    euros = pd.DataFrame({"frequency": rng.integers(1, 9, 236), "monetary_value": rng.lognormal(3, 0.6, 236)})
    other = euros.assign(monetary_value=euros["monetary_value"] * money)
    one, two = (GammaGamma(method="laplace").fit(f) for f in (euros, other))
    assert (one.predict(euros) * money).to_numpy() == pytest.approx(two.predict(other).to_numpy(), rel=1e-7)


def test_the_same_seed_gives_the_same_draws_whatever_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = simulated(400)
    one = BetaGeoNBD(method="laplace", random_state=5).fit(frame)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    two = BetaGeoNBD(method="laplace", random_state=5).fit(frame)
    three = BetaGeoNBD(method="laplace", random_state=6).fit(frame)
    assert (one.fitted_.draws["b"] == two.fitted_.draws["b"]).all()
    assert (one.fitted_.draws["b"] != three.fitted_.draws["b"]).any()


def test_where_the_likelihood_is_flat_the_prior_speaks() -> None:
    ages = np.full(800, 365.0)
    frame = forecast.NBD.from_parameters(r=0.8, alpha=40.0).simulate(ages, seed=2)
    bg = BetaGeoNBD(method="laplace").fit(frame)
    share = bg.fitted_.draws["a"] / (bg.fitted_.draws["a"] + bg.fitted_.draws["b"])
    assert np.quantile(share, 0.95) < 0.03
    assert np.isfinite(list(bg.standard_errors_.values())).all()


def test_few_draws_with_weights_do_the_work_of_many() -> None:
    fitted = fit_purchases(purchase_model("bg-nbd"), counts(simulated(1500)), "laplace")
    every = np.array(fitted.each_draw())
    for most in (12, 40):
        kept, weights = fitted.thinned(most)
        draws = [fitted.draw(i) for i in kept]
        assert len(draws) == most
        assert weights.sum() == pytest.approx(1.0)
        assert (weights > 0).all()
        assert weights @ np.log(np.array(draws)) == pytest.approx(np.log(every).mean(axis=0), abs=1e-9)
    one = Customers(np.array([2.0, 0.0]), np.array([90.0, 0.0]), np.array([200.0, 100.0]))
    means = []
    for most in (12, 1000):
        kept, weights = fitted.thinned(most)
        draws = [fitted.draw(i) for i in kept]
        each = [
            predict_customers(
                ClvModel(
                    Fitted.from_parameters(fitted.spec, dict(zip(fitted.spec.parameters, d, strict=True)), "")
                ),
                one,
                days=180,
            )["expected_purchases"]
            for d in draws[:: max(most // 100, 1)]
        ]
        used = weights[:: max(most // 100, 1)]
        means.append(used @ np.array(each) / used.sum())
    assert means[0] == pytest.approx(means[1], rel=0.03)


def test_intervals_of_totals_hold_the_parameters_uncertainty() -> None:
    frame = simulated(400)
    columns = Customers(*(frame[c].to_numpy(dtype=float) for c in ("frequency", "recency", "T")))
    wide, narrow = (
        simulate_totals(
            ClvModel(fit_purchases(purchase_model("bg-nbd"), counts(frame), m)), columns, days=365
        )
        for m in ("laplace", "mle")
    )
    assert wide["purchases"].std() > 1.15 * narrow["purchases"].std()


def test_totals_cover_what_happens_in_simulation() -> None:
    """90 % intervals of a total and of customers, over repeated worlds, parameters unknown."""
    hits, inside, n = 0, 0.0, 40
    for seed in range(n):
        rng = np.random.default_rng(seed)
        world = BetaGeoNBD.from_parameters(
            r=float(rng.lognormal(-0.7, 0.4)), alpha=float(30 * rng.lognormal(0, 0.4)), a=0.8, b=2.5
        ).simulate(rng.integers(60, 500, 300).astype(float), horizon=180, seed=seed)
        fitted = fit_purchases(purchase_model("bg-nbd"), counts(world), "laplace", seed=seed)
        columns = Customers(*(world[c].to_numpy(dtype=float) for c in ("frequency", "recency", "T")))
        total = simulate_totals(ClvModel(fitted), columns, days=180, draws=400, seed=seed)["purchases"][0]
        lo, hi = np.quantile(total, [0.05, 0.95])
        actual = world["future_purchases"].to_numpy()
        hits += lo <= actual.sum() <= hi
        found = predict_customers(ClvModel(fitted), columns, days=180, levels=90)
        inside += ((actual >= found["purchases-lo-90"]) & (actual <= found["purchases-hi-90"])).mean() / n
    assert 0.79 <= hits / n <= 0.99  # binomial noise around 0.90 with 40 worlds
    assert 0.90 <= inside <= 0.985  # discrete intervals can only cover more


def test_a_saved_posterior_predicts_the_same(tmp_path: Path, sample_orders: forecast.Orders) -> None:
    model = forecast.fit(sample_orders, as_of="1997-09-30").save(tmp_path / "shop")
    again = forecast.load(tmp_path / "shop")
    one, two = (m.score(sample_orders, 91, as_of="1997-09-30") for m in (model, again))
    pd.testing.assert_frame_equal(one, two)
    assert len(again.purchases.each_draw()) == 1000
    assert again.purchases.method == "laplace"
    assert "uncertain the parameters" in again.card()


@given(mean=st.floats(-3, 3), sd=st.floats(0.1, 5))
def test_priors_are_plain_data(mean: float, sd: float) -> None:
    found = resolve_priors(("log_r", "log_alpha"), {"log_r": {"mean": mean, "sd": sd}, "log_p": {"sd": 2.0}})
    assert found == {"log_r": Prior(mean, sd), "log_alpha": DEFAULTS["log_alpha"]}


def test_a_strong_prior_pulls(tmp_path: Path) -> None:
    frame = simulated(300)
    path = tmp_path / "priors.toml"
    path.write_text("[log_r]\nmean = 1.0\nsd = 0.02\n")
    pulled = BetaGeoNBD(method="laplace", priors=read_priors(path)).fit(frame)
    assert pulled.params_["r"] == pytest.approx(np.e, rel=0.06)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"log_x": {"mean": 0}}, "there is no prior 'log_x'"),
        ({"log_r": {"mean": 0, "sd": 0}}, "the prior of log_r is not understood"),
        ({"log_r": {"mean": float("nan")}}, "the prior of log_r is not understood"),
        ({"log_r": {"mean": "high"}}, "the prior of log_r is not understood"),
        ({"log_r": {"sigma": 1.0}}, "the prior of log_r is not understood"),
    ],
)
def test_priors_that_cannot_be_meant(overrides: dict, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        resolve_priors(("log_r",), overrides)


@pytest.mark.parametrize("text", ["[log_r\n", None])
def test_priors_that_cannot_be_read(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "p.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match="the priors cannot be read"):
        read_priors(path)


def test_no_repeat_purchase_is_refused_by_every_method() -> None:
    frame = pd.DataFrame({"frequency": [0, 0], "recency": [0, 0], "T": [10, 20]})
    with pytest.raises(FitError, match="no customer has a repeat purchase"):
        BetaGeoNBD(method="laplace").fit(frame)


def test_nuts_is_a_method_like_the_others(tmp_path: Path, sample_orders: forecast.Orders) -> None:
    quick, slow = (forecast.fit(sample_orders, as_of="1997-09-30", method=m) for m in ("laplace", "nuts"))
    for name, value in quick.purchases.parameters.items():
        spread = quick.purchases.standard_errors[name]
        assert abs(slow.purchases.parameters[name] - value) < 0.2 * spread, name
    saved = slow.save(tmp_path / "shop")
    folder = tmp_path / "shop" / "1"
    assert {f.name for f in folder.iterdir()} == {
        "model.json",
        "CARD.md",
        "posterior.nc",
        "posterior-spend.nc",
    }
    again = forecast.load(tmp_path / "shop")
    one, two = (m.portfolio(sample_orders, 91, as_of="1997-09-30", draws=200) for m in (saved, again))
    pd.testing.assert_frame_equal(one, two)
    assert "independent draws" in again.verdict
    (folder / "posterior.nc").write_bytes(b"damaged")
    with pytest.raises(forecast.StoreError, match=r"posterior\.nc"):
        forecast.load(tmp_path / "shop")


def test_the_prior_on_a_plus_b_shows_in_a_and_b_and_hardly_elsewhere(sample_histories: Histories) -> None:
    # The README quotes these numbers.
    frame = sample_histories.to_frame()
    for sd, a, b, purchases in [(1.5, 0.84, 2.67, 1653), (3.0, 0.85, 2.69, 1652), (0.5, 0.82, 2.57, 1659)]:
        bg = BetaGeoNBD(method="laplace", priors={"log_certainty": {"sd": sd}}).fit(frame)
        assert bg.params_["a"] == pytest.approx(a, abs=0.006)
        assert bg.params_["b"] == pytest.approx(b, abs=0.006)
        assert bg.params_["r"] == pytest.approx(0.2437, abs=0.0005)
        assert bg.params_["alpha"] / 7 == pytest.approx(4.45, abs=0.01)
        assert bg.predict(frame, 273).sum() == pytest.approx(purchases, abs=0.8)


def test_priors_that_were_given_stay_with_the_model() -> None:
    frame = simulated(400)
    given = {"log_r": {"mean": 0.0, "sd": 1.0}}
    assert BetaGeoNBD(method="laplace", priors=given).fit(frame).fitted_.extra["priors"] == given
    assert "priors" not in BetaGeoNBD(method="laplace").fit(frame).fitted_.extra
