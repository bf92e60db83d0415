"""The check of a model: published counts, ArviZ's leave-one-out, weights, units, branches and words."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import forecast
from forecast.evaluation.leave_one_out import difference, leave_one_out, log_likelihoods
from forecast.evaluation.priorcheck import draw_prior, overlap, prior_posterior
from forecast.fitting import GAMMA_GAMMA, Fitted, purchase_model
from forecast.predict import replication
from forecast.predict.replication import count_chances, interval, mean_chances, replicated_weeks

AS_OF = "1997-09-30"


@pytest.fixture(scope="module")
def laplace(sample_orders: forecast.Orders) -> forecast.Model:
    return forecast.fit(sample_orders, as_of=AS_OF, purchases="bg-nbd")


@pytest.fixture(scope="module")
def by_laplace(laplace: forecast.Model, sample_orders: forecast.Orders) -> forecast.ModelCheck:
    return forecast.check_model(laplace, sample_orders)


@pytest.fixture(scope="module")
def by_mle(sample_orders: forecast.Orders) -> forecast.ModelCheck:
    return forecast.check_model(
        forecast.fit(sample_orders, as_of=AS_OF, method="mle", purchases="bg-nbd"), sample_orders
    )


def some_draws(size: int = 400, seed: int = 0) -> Fitted:
    """NBD with draws wide enough that left-out customers matter."""
    rng = np.random.default_rng(seed)
    fitted = Fitted.from_parameters(purchase_model("nbd"), {"r": 1.0, "alpha": 1.0}, "made up")
    fitted.draws.update(r=rng.lognormal(0.0, 0.2, size), alpha=rng.lognormal(0.0, 0.2, size))
    return fitted


def some_rows(size: int = 60, seed: int = 1) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"x": rng.poisson(2.0, size).astype(float), "t_x": np.zeros(size), "T": np.full(size, 2.0)}


# --- counts ----------------------------------------------------------------------------------------


def test_expected_counts_of_cdnow_are_the_published_ones(by_mle: forecast.ModelCheck) -> None:
    """The histogram of BG/NBD on CDNOW's 39 weeks, as BTYD and the authors' spreadsheet give it."""
    counts = by_mle.counts
    published = [1407.68, 460.32, 192.46, 101.16, 59.85, 38.12, 25.55]
    assert counts["expected"].head(7).to_numpy() == pytest.approx(published, abs=0.006)
    assert counts["observed"].head(7).tolist() == [1411, 439, 214, 100, 62, 38, 29]
    assert counts["expected"].sum() == pytest.approx(2357, rel=1e-9)
    assert counts["observed"].sum() == 2357
    assert counts["repeat_purchases"].tolist()[-1] == "10+"


def test_intervals_hold_the_chance_of_a_binomial_and_more_with_a_posterior(
    by_mle: forecast.ModelCheck, by_laplace: forecast.ModelCheck
) -> None:
    first = by_mle.counts.iloc[0]
    share = first["expected"] / 2357
    half = 1.645 * np.sqrt(2357 * share * (1 - share))
    assert (first["hi-90"] - first["lo-90"]) / 2 == pytest.approx(half, rel=0.1)
    wider = by_laplace.counts.iloc[0]
    assert wider["hi-90"] - wider["lo-90"] > 1.2 * (first["hi-90"] - first["lo-90"])


TRUTHS = {
    "bg-nbd": (0.5, 30.0, 0.8, 2.5),
    "nbd": (0.5, 30.0),
    "mbg-nbd": (0.5, 30.0, 0.8, 2.5),
    "pareto-nbd": (0.5, 30.0, 0.6, 90.0),
    "bg-cnbd-2": (0.8, 15.0, 0.8, 2.5),
    "mbg-cnbd-3": (0.8, 10.0, 0.8, 2.5),
}


def given(name: str) -> Fitted:
    spec = purchase_model(name)
    return Fitted.from_parameters(spec, dict(zip(spec.parameters, TRUTHS[name], strict=True)), "given")


@pytest.mark.parametrize("name", TRUTHS)
def test_chances_of_a_count_are_those_of_simulated_newcomers(name: str) -> None:
    rng = np.random.default_rng(5)
    count = given(name).spec.formulas.simulate(rng, np.full(200_000, 90.0), 0.0, *TRUTHS[name])[0]
    shares = np.bincount(np.minimum(count, 4), minlength=5) / len(count)
    found = count_chances(given(name), TRUTHS[name], np.array([90.0, 0.0, 3.0]), 4)
    assert found[0] == pytest.approx(shares, abs=0.004)
    assert found.sum(axis=1) == pytest.approx([1.0, 1.0, 1.0])


@pytest.mark.parametrize("name", TRUTHS)
def test_purchase_times_are_those_of_the_counts(name: str) -> None:
    formulas = given(name).spec.formulas
    ages = np.repeat([20.0, 90.0], 50_000)
    who, when = formulas.times(np.random.default_rng(1), ages, *TRUTHS[name])
    x, t_x, _, _ = formulas.simulate(np.random.default_rng(2), ages, 0.0, *TRUTHS[name])
    count, last = np.bincount(who, minlength=len(ages)), np.zeros(len(ages))
    np.maximum.at(last, who, when)
    assert (when > 0.0).all()
    assert (when <= ages[who]).all()
    for own in (ages == 20.0, ages == 90.0):
        size = own.sum()
        error = 4.0 * np.sqrt(2.0 * x[own].var() / size)
        assert count[own].mean() == pytest.approx(x[own].mean(), abs=error)
        assert (count[own] ** 2).mean() == pytest.approx((x[own] ** 2).mean(), rel=0.1)
        assert last[own].mean() == pytest.approx(t_x[own].mean(), abs=4.0 * np.sqrt(2.0 * t_x.var() / size))


@pytest.mark.parametrize("name", TRUTHS)
def test_weeks_of_simulated_customers_lie_in_their_bands(name: str) -> None:
    births = np.zeros(120, np.int64)
    births[:60] = 40
    weekly, so_far = replicated_weeks(given(name), births, level=90, seed=3)
    born = np.repeat(np.arange(120), births)
    formulas = given(name).spec.formulas
    paths = []
    for seed in range(40):
        who, when = formulas.times(np.random.default_rng([9, seed]), 119.0 - born, *TRUTHS[name])
        week = (born[who] + np.ceil(when).astype(int) - 1) // 7
        paths.append(np.bincount(week, minlength=len(weekly.expected)))
    seen = np.array(paths)
    assert np.mean((seen >= weekly.lo) & (seen <= weekly.hi)) == pytest.approx(0.9, abs=0.06)
    assert seen.mean(axis=0).sum() == pytest.approx(so_far.expected[-1], rel=0.02)


def test_customers_on_their_first_day_have_not_come_back() -> None:
    fitted = some_draws(1)
    found = count_chances(fitted, fitted.each_draw()[0], np.array([0.0, 5.0]), 3)
    assert found[0].tolist() == [1.0, 0.0, 0.0, 0.0]
    assert found.sum(axis=1) == pytest.approx([1.0, 1.0])


def test_weighted_intervals_are_those_of_repeated_draws() -> None:
    values = np.random.default_rng(2).integers(0, 30, (50, 3)).astype(float)
    times = np.random.default_rng(3).integers(1, 5, 50)
    weighted = interval(values, times / times.sum(), 80.0)
    repeated = np.repeat(values, times, axis=0)
    plain = np.quantile(repeated, [0.1, 0.9], axis=0, method="inverted_cdf")
    assert np.array(weighted) == pytest.approx(plain)


# --- tracking --------------------------------------------------------------------------------------


def test_tracking_ends_where_the_histories_do(by_mle: forecast.ModelCheck, sample_histories) -> None:
    frame = sample_histories.to_frame()
    tracking = by_mle.tracking
    assert tracking["cumulative_observed"].iloc[-1] == frame["frequency"].sum() == 2457
    assert tracking["weekly_observed"].sum() == 2457
    assert tracking["weekly_expected"].sum() == pytest.approx(tracking["cumulative_expected"].iloc[-1])
    assert tracking["days"].sum() == frame["T"].max()
    assert tracking["day"].iloc[-1] == pd.Timestamp(AS_OF)
    # The mean of the histogram and the end of the tracking are the same expectation.
    from forecast.predict.tracking import expected_cumulative

    fitted = forecast.BetaGeoNBD.from_parameters(r=0.2426, alpha=30.9, a=0.793, b=2.426).fitted_
    births = np.bincount(frame["T"].max() - frame["T"]).astype(int)
    weekly, so_far = replicated_weeks(fitted, births, level=90, seed=0)
    days = np.arange(len(births)).astype(float)
    assert so_far.expected[-1] == pytest.approx(expected_cumulative(fitted, births * 1.0, days, days[-1:])[0])
    assert weekly.expected.sum() == pytest.approx(so_far.expected[-1])


def test_bands_are_those_of_a_walk_and_do_not_depend_on_how_many_are_walked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = purchase_model("nbd")
    fitted = Fitted.from_parameters(spec, {"r": 0.5, "alpha": 20.0}, "given")
    births = np.full(29, 200)
    births[-7:] = 0
    _, every = replicated_weeks(fitted, births, level=90, seed=1)
    monkeypatch.setattr(replication, "MOST_WALKED", 1000)
    _, some = replicated_weeks(fitted, births, level=90, seed=1)
    ages = np.arange(28, -1, -1)
    # NBD: var = mean (1 + h / alpha)
    error = np.sqrt((births * 0.5 / 20.0 * ages * (1 + ages / 20.0)).sum())
    for found in (every, some):
        assert found.expected == pytest.approx(every.expected)
        assert (found.hi[-1] - found.lo[-1]) / 2 == pytest.approx(1.645 * error, rel=0.15)
        assert (found.lo < found.expected).all()
        assert (found.expected < found.hi).all()


# --- spend -----------------------------------------------------------------------------------------


def test_chances_of_a_mean_are_those_of_simulated_spend() -> None:
    draw, n = (6.25, 3.74, 15.44), 3
    rng = np.random.default_rng(6)
    rate = GAMMA_GAMMA.formulas.newcomer(rng, 100_000, *draw)
    mean = (rng.gamma(draw[0], 1.0, (n, 100_000)) / rate).mean(axis=0)
    edges = np.array([10.0, 30.0, 60.0])
    shares = np.bincount(np.searchsorted(edges, mean), minlength=4) / len(mean)
    assert mean_chances(draw, np.array([float(n)]), edges)[0] == pytest.approx(shares, abs=0.006)


def test_spend_classes_hold_nearly_all_customers(by_laplace: forecast.ModelCheck) -> None:
    spend = by_laplace.spend
    assert 0.98 * 946 < spend["observed"].sum() <= 946
    assert 0.95 * 946 < spend["expected"].sum() < 946
    assert np.log(spend["to"] / spend["from"]).std() == pytest.approx(0.0, abs=1e-9)


# --- leave-one-out ---------------------------------------------------------------------------------


def test_leave_one_out_is_arvizs() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ArviZ announces its refactoring on import
        az = pytest.importorskip("arviz")
        import xarray as xr

        from forecast.fitting.ecosystem import assemble

    fitted, rows = some_draws(), some_rows()
    values = log_likelihoods(fitted, np.array(fitted.each_draw()), rows)
    posterior = xr.Dataset({"r": (("chain", "draw"), fitted.draws["r"][None])})
    pointwise = xr.Dataset({"y": (("chain", "draw", "row"), values.T[None])})
    data = assemble({"posterior": posterior, "log_likelihood": pointwise})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference = az.loo(data, reff=1.0, pointwise=True)
    found = leave_one_out(fitted, rows, np.ones(60))
    elpd = reference.elpd_loo if hasattr(reference, "elpd_loo") else reference.elpd
    p_loo = reference.p_loo if hasattr(reference, "p_loo") else reference.p
    assert found.elpd == pytest.approx(float(elpd), rel=1e-6)
    # ArviZ 1 divides by n - 1 where the older one and we divide by n.
    correction = 1.0 if hasattr(reference, "elpd_loo") else np.sqrt(59 / 60)
    assert found.se == pytest.approx(float(reference.se) * correction, rel=1e-6)
    assert found.p_loo == pytest.approx(float(p_loo), rel=1e-5)
    assert found.k_hat_high == float((np.asarray(reference.pareto_k) > 0.7).mean())


def test_leave_one_out_is_what_fitting_again_gives() -> None:
    """NBD with one free parameter: posteriors without a customer are integrated on a grid."""
    grid = np.linspace(0.05, 6.0, 4000)
    rows = some_rows(25)
    values = log_likelihoods(some_draws(), np.stack([grid, np.ones_like(grid)], axis=1), rows)
    total = values.sum(axis=0)
    exact = []
    for line in values:
        rest = np.exp(total - line - (total - line).max())
        exact.append(np.log(rest @ np.exp(line) / rest.sum()))
    posterior = np.exp(total - total.max())
    points = (np.arange(4000) + 0.5) / 4000
    fitted = some_draws()
    fitted.draws.update(
        r=np.interp(points, np.cumsum(posterior) / posterior.sum(), grid), alpha=np.ones(4000)
    )
    found = leave_one_out(fitted, rows, np.ones(25))
    assert found.terms == pytest.approx(np.array(exact), abs=0.01)
    assert found.elpd == pytest.approx(sum(exact), abs=0.05)


def test_a_row_of_three_customers_counts_three_times() -> None:
    fitted, rows = some_draws(), some_rows(8)
    weight = np.array([1.0, 3.0, 2.0, 1.0, 5.0, 1.0, 1.0, 4.0])
    times = weight.astype(int)
    weighted = leave_one_out(fitted, rows, weight)
    repeated = leave_one_out(fitted, {k: np.repeat(v, times) for k, v in rows.items()}, np.ones(times.sum()))
    for name in ("elpd", "se", "p_loo", "k_hat_high"):
        assert getattr(weighted, name) == pytest.approx(getattr(repeated, name))
    assert weighted.customers == 18


def test_rows_beyond_the_most_uncertain_need_no_smoothing(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted, rows = some_draws(), some_rows(300)
    fitted.draws.update({k: np.exp(np.log(v) / 10) for k, v in fitted.draws.items()})
    every = leave_one_out(fitted, rows, np.ones(300))
    some = leave_one_out(fitted, rows, np.ones(300), most_smoothed=10)
    assert (every.smoothed, some.smoothed) == (300, 10)
    assert some.elpd == pytest.approx(every.elpd, abs=1e-3)
    # Blocks cannot change a number.
    monkeypatch.setattr("forecast.evaluation.leave_one_out._BLOCK", 1000)
    assert leave_one_out(fitted, rows, np.ones(300)).elpd == pytest.approx(every.elpd, rel=1e-12)


def test_leave_one_out_of_cdnow_is_sane(by_laplace: forecast.ModelCheck, by_mle: forecast.ModelCheck) -> None:
    purchases, spend = by_laplace.loo.to_dict("records")
    assert purchases["customers"] == 2357
    assert 3.0 < purchases["p_loo"] < 6.0
    assert 1.5 < spend["p_loo"] < 4.5
    assert purchases["k_hat_high"] == spend["k_hat_high"] == 0.0
    best = by_mle.loo["log_likelihood"].tolist()
    assert purchases["elpd"] == pytest.approx(best[0] - purchases["p_loo"], abs=2.0)
    assert spend["elpd"] == pytest.approx(best[1] - spend["p_loo"], abs=2.0)


def test_models_are_compared_on_the_same_customers(
    by_laplace: forecast.ModelCheck, by_mle: forecast.ModelCheck, sample_orders: forecast.Orders
) -> None:
    rival = forecast.check_model(forecast.fit(sample_orders, as_of=AS_OF, purchases="nbd"), sample_orders)
    found = by_laplace.compare(rival).set_index("part")
    assert found.loc["purchases", "difference"] == pytest.approx(
        by_laplace.loo["elpd"][0] - rival.loo["elpd"][0]
    )
    assert found.loc["purchases", "verdict"] == "BG/NBD describes purchases better than NBD"
    assert 0 < 2 * found.loc["purchases", "se"] < found.loc["purchases", "difference"]
    assert found.loc["spend", "verdict"].startswith("no clear difference")
    back = rival.compare(by_laplace)
    assert back["difference"].tolist() == pytest.approx([-v for v in found["difference"]])
    assert back["verdict"][0] == "BG/NBD describes purchases better than NBD"
    gain, error = difference(by_laplace.left_out["purchases"], by_laplace.left_out["purchases"])
    assert (gain, error) == (0.0, 0.0)

    simple = forecast.fit(sample_orders, as_of=AS_OF, purchases="nbd", method="mle")
    by_aic = by_mle.compare(forecast.check_model(simple, sample_orders))
    assert by_aic["criterion"].tolist() == ["AIC", "AIC"]
    assert by_aic["difference"][0] == pytest.approx(found.loc["purchases", "difference"], abs=1.0)
    with pytest.raises(forecast.ArgumentError, match="without"):
        by_laplace.compare(by_mle)
    with pytest.raises(forecast.ArgumentError, match="a check is needed, not str"):
        by_laplace.compare("nbd")
    earlier = forecast.fit(sample_orders, as_of="1997-08-31", purchases="bg-nbd")
    with pytest.raises(forecast.ArgumentError, match="do not speak of the same"):
        by_laplace.compare(forecast.check_model(earlier, sample_orders))


# --- priors ----------------------------------------------------------------------------------------


def test_overlap_of_normals_is_the_exact_one() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(0.0, 1.0, 20_000), rng.normal(1.0, 1.0, 4000)
    assert overlap(one, other) == pytest.approx(0.617, abs=0.02)  # 2 Phi(-1/2)
    assert overlap(np.exp(one), np.exp(other)) == pytest.approx(overlap(one, other))


def test_a_parameter_without_data_keeps_its_prior() -> None:
    fitted = some_draws(4000)
    drawn = draw_prior(fitted.spec, None, 1.0, np.random.default_rng(7))
    fitted.draws.update({name: values[:4000] for name, values in drawn.items()})
    table = prior_posterior("purchases", fitted, None, np.random.default_rng(8))
    assert (table["overlap"] > 0.9).all()
    assert table["posterior_median"].to_numpy() == pytest.approx(table["prior_median"].to_numpy(), rel=0.15)


def test_priors_given_to_the_fit_are_laid_under_the_posterior(sample_orders: forecast.Orders) -> None:
    priors = {"log_r": {"mean": -1.4, "sd": 0.05}}
    model = forecast.fit(sample_orders, as_of=AS_OF, priors=priors, purchases="bg-nbd")
    given = forecast.check_model(model, sample_orders, priors=priors).prior_posterior.set_index("parameter")
    assert given.loc["r", "prior_hi-90"] == pytest.approx(np.exp(-1.4 + 1.645 * 0.05), rel=0.01)
    assert given.loc["r", "overlap"] > 0.5
    words = forecast.check_model(model, sample_orders, priors=priors).verdict
    assert "The data say little about r" in words


def test_prior_predictive_speaks_as_a_shop_does() -> None:
    found = forecast.prior_predictive()
    table = found.table.set_index("quantity")
    count = table.loc["repeat purchases of a customer in the first year"]
    assert 0 == count["lo-90"] <= count["median"] < count["hi-90"] < 50
    value = table.loc["value of a purchase"]
    assert value["lo-90"] < 50.0 < value["hi-90"]
    assert str(found).startswith("Before seeing data the model believes: a customer buys again between 0 and")
    assert "do not come back" in str(found)
    assert "per purchase (90 %)" in repr(found)


def test_prior_predictive_follows_the_units_and_the_priors() -> None:
    table = forecast.prior_predictive().table.set_index("quantity")
    dearer = forecast.prior_predictive(mean_value=5000.0).table.set_index("quantity")
    columns = ["median", "lo-90", "hi-90"]
    for name in ("value of a purchase", "mean purchase value of a customer"):
        assert (dearer.loc[name, columns] / table.loc[name, columns]).tolist() == pytest.approx([100.0] * 3)
    years = forecast.prior_predictive(mean_age_days=730).table["hi-90"][0]
    assert years < table["hi-90"].iloc[0]  # the same rate a mean age is half the rate a day
    keen = forecast.prior_predictive({"log_alpha": {"mean": -4.0, "sd": 0.1}})
    assert keen.table["median"][0] > table["median"].iloc[0]
    assert "Nobody leaves for good." in forecast.prior_predictive(purchases="nbd").sentences
    wild = forecast.prior_predictive({name: {"sd": 40.0} for name in ("log_r", "log_gamma", "logit_dropout")})
    assert np.isfinite(wild.table[columns].to_numpy()).all()


def test_prior_predictive_speaks_of_every_model() -> None:
    leaves = {
        "bg-nbd": "After a repeat purchase a customer leaves",
        "mbg-nbd": "After a purchase a customer leaves",
        "pareto-nbd": "In the first year a customer leaves",
        "mbg-cnbd-2": "After a purchase a customer leaves",
        "nbd": "Nobody leaves",
    }
    for name, words in leaves.items():
        found = forecast.prior_predictive(purchases=name)
        assert words in str(found)
        table = found.table.set_index("quantity")
        assert np.isfinite(table[["median", "lo-90", "hi-90"]].to_numpy()).all()
        spec = purchase_model(name)
        drawn = draw_prior(spec, None, 365.0, np.random.default_rng(0))
        # a shop's share without a repeat is the share of its customers who have none
        counts = [
            spec.formulas.simulate(np.random.default_rng(i), np.full(400, 365.0), 0.0, *(
                float(np.median(v)) for v in drawn.values()))[0]
            for i in range(5)
        ]  # fmt: skip
        from forecast.maths.ops import NUMPY

        none = spec.formulas.log_likelihood(
            NUMPY, *(float(np.median(v)) for v in drawn.values()), x=0.0, t_x=0.0, T=365.0
        )
        assert np.mean(np.concatenate(counts) == 0) == pytest.approx(float(np.exp(none)), abs=0.04)
    wide = {name: {"sd": 40.0} for name in ("log_r", "log_alpha", "log_s", "log_beta")}
    wild = forecast.prior_predictive(wide, purchases="pareto-nbd")
    assert np.isfinite(wild.table[["median", "lo-90", "hi-90"]].to_numpy()).all()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"mean_age_days": 0}, "mean_age_days is 0"),
        ({"mean_value": "50"}, "mean_value is '50'"),
        ({"purchases": "magic"}, "no purchase model"),
        ({"priors": {"log_z": {"mean": 0.0}}}, "there is no prior"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_prior_predictive_refuses_what_cannot_be_meant(options: dict, match: str) -> None:
    with pytest.raises(forecast.ArgumentError, match=match):
        forecast.prior_predictive(**options)


# --- the whole check -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nbd", "mbg-nbd", "pareto-nbd", "mbg-cnbd-2"])
def test_every_model_can_be_checked(
    name: str, sample_orders: forecast.Orders, by_laplace: forecast.ModelCheck
) -> None:
    found = forecast.check_model(forecast.fit(sample_orders, as_of=AS_OF, purchases=name), sample_orders)
    assert found.counts["expected"].sum() == pytest.approx(2357, rel=1e-9)
    assert found.counts["observed"].sum() == 2357
    tracking = found.tracking
    assert tracking["weekly_expected"].sum() == pytest.approx(tracking["cumulative_expected"].iloc[-1])
    assert tracking["cumulative_expected"].iloc[-1] == pytest.approx(2457, rel=0.06)
    assert found.loo["k_hat_high"].max() < 0.01
    assert set(found.prior_posterior["parameter"]) >= set(purchase_model(name).parameters)
    if name == "mbg-cnbd-2":  # its likelihood leaves out what BG/NBD's does not
        with pytest.raises(forecast.ArgumentError, match=r"are not comparable.*Compare them by a backtest"):
            found.compare(by_laplace)
    else:
        first = found.compare(by_laplace).iloc[0]
        assert first["criterion"] == "LOO"
        assert (first["difference"] < -20.0) == (name == "nbd")


def test_words_of_a_posterior(by_laplace: forecast.ModelCheck) -> None:
    text = by_laplace.verdict
    assert "one-time buyers" in text
    assert "1,411 seen: well described." in text
    assert "Leave-one-out, purchases: elpd -14,36" in text
    assert "every customer's term can be trusted" in text
    assert "The data decide every parameter" in text
    assert "weeks swing more than chance" in text
    assert by_laplace.notes == ()
    assert repr(by_laplace).startswith("<ModelCheck of BG/NBD + Gamma-Gamma by laplace: The model expects")


def test_maximum_likelihood_says_what_it_lacks(by_mle: forecast.ModelCheck) -> None:
    assert by_mle.loo[["elpd", "se", "p_loo", "k_hat_high"]].isna().all(axis=None)
    line = by_mle.loo.iloc[0]
    assert line["aic"] == pytest.approx(2 * 4 - 2 * line["log_likelihood"])
    assert line["bic"] == pytest.approx(4 * np.log(2357) - 2 * line["log_likelihood"])
    assert by_mle.prior_posterior.empty
    assert "A model by maximum likelihood has no posterior" in by_mle.verdict
    assert "AIC" in by_mle.verdict


def test_summary_is_tidy(by_laplace: forecast.ModelCheck) -> None:
    summary = by_laplace.summary()
    assert list(summary) == ["check", "quantity", "observed", "expected", "lo-90", "hi-90", "verdict"]
    assert summary["check"].tolist() == ["counts"] * 11 + ["tracking"] * 2 + ["spend"]
    assert not summary.isna().any(axis=None)
    inside = (summary["lo-90"] <= summary["observed"]) & (summary["observed"] <= summary["hi-90"])
    assert (inside == (summary["verdict"] == "well described")).all()


def test_the_same_seed_gives_the_same_check_whatever_the_order_and_the_unit(
    sample_orders: forecast.Orders, by_laplace: forecast.ModelCheck
) -> None:
    log = forecast.cdnow("sample").sample(frac=1.0, random_state=3)
    shuffled = forecast.read_orders(log, currency="USD")
    found = forecast.check_model(forecast.fit(shuffled, as_of=AS_OF, purchases="bg-nbd"), shuffled)
    for name in ("counts", "tracking", "spend", "loo", "prior_posterior"):
        pd.testing.assert_frame_equal(getattr(found, name), getattr(by_laplace, name))

    cents = forecast.read_orders(log.assign(value=log["value"] * 100), currency="USD")
    found = forecast.check_model(forecast.fit(cents, as_of=AS_OF, purchases="bg-nbd"), cents)
    pd.testing.assert_frame_equal(found.counts, by_laplace.counts)
    assert (found.spend["from"] / by_laplace.spend["from"]).to_numpy() == pytest.approx(100.0)
    assert found.spend["expected"].to_numpy() == pytest.approx(
        by_laplace.spend["expected"].to_numpy(), rel=1e-4
    )
    assert found.loo["p_loo"].to_numpy() == pytest.approx(by_laplace.loo["p_loo"].to_numpy(), rel=1e-3)
    # A density of cents is a hundredth of one of dollars.
    assert found.loo["elpd"][1] == pytest.approx(by_laplace.loo["elpd"][1] - 946 * np.log(100), rel=1e-6)
    overlaps = by_laplace.prior_posterior["overlap"].to_numpy()
    assert found.prior_posterior["overlap"].to_numpy() == pytest.approx(overlaps, abs=0.01)


def test_a_wrong_model_is_told_apart(sample_orders: forecast.Orders) -> None:
    """NBD lets nobody leave: CDNOW's first weeks are too busy and its last too quiet for it."""
    found = forecast.check_model(
        forecast.fit(sample_orders, as_of=AS_OF, purchases="nbd", method="mle"), sample_orders
    )
    summary = found.summary().set_index("quantity")
    assert summary.loc["customers with 1 repeat purchase", "verdict"] == "9 % too few expected"
    assert summary.loc["weeks within their interval", "verdict"] == "fewer than nine in ten"
    assert "furthest off are customers with 1 repeat purchase: 439 seen" in found.verdict


def test_other_orders_are_checked_without_leaving_out(
    laplace: forecast.Model, sample_orders: forecast.Orders
) -> None:
    found = forecast.check_model(laplace, sample_orders, as_of="1998-06-30")
    assert found.loo["elpd"].isna().all()
    assert "These are not the orders the model was fitted on" in found.verdict
    assert found.tracking["day"].iloc[-1] == pd.Timestamp("1998-06-30")
    assert len(found.prior_posterior) == 7


def test_four_thousand_draws_of_chains_are_as_good_as_a_thousand(
    laplace: forecast.Model, by_laplace: forecast.ModelCheck, sample_orders: forecast.Orders
) -> None:
    """What nuts leaves: more draws than the simulation takes."""
    parts = [
        replace(part, method="nuts", draws={name: np.repeat(v, 4) for name, v in part.draws.items()})
        for part in (laplace.purchases, laplace.spend)
    ]
    model = replace(laplace, clv=replace(laplace.clv, purchases=parts[0], spend=parts[1]))
    found = forecast.check_model(model, sample_orders)
    assert found.method == "nuts"
    assert found.loo["elpd"].to_numpy() == pytest.approx(by_laplace.loo["elpd"].to_numpy(), abs=0.2)
    ratio = found.counts["expected"] / by_laplace.counts["expected"]
    assert ratio.to_numpy() == pytest.approx(1.0, abs=0.01)
    assert found.notes == ()


def test_a_log_without_money_is_checked_without_spend() -> None:
    log = forecast.cdnow("sample")[["customer_id", "order_date"]]
    orders = forecast.read_orders(log, mapping={"value": None})
    found = forecast.check_model(forecast.fit(orders, as_of=AS_OF, method="mle"), orders)
    assert found.spend.empty
    assert "spend is not checked" in found.verdict
    assert found.loo["part"].tolist() == ["purchases"]


def test_errors_advise(laplace: forecast.Model, sample_orders: forecast.Orders) -> None:
    with pytest.raises(forecast.ArgumentError, match="a fitted model is needed, not str"):
        forecast.check_model("shop", sample_orders)
    with pytest.raises(forecast.ArgumentError, match="orders are needed, not DataFrame"):
        forecast.check_model(laplace, forecast.cdnow("sample"))
    with pytest.raises(forecast.ArgumentError, match="seed"):
        forecast.check_model(laplace, sample_orders, seed=-1)
    with pytest.raises(forecast.InputError, match="before the first order"):
        forecast.check_model(laplace, sample_orders, as_of="1990-01-01")
    euros = forecast.read_orders(forecast.cdnow("sample"), currency="EUR")
    with pytest.raises(forecast.ArgumentError, match="currency"):
        forecast.check_model(laplace, euros)


@pytest.mark.parametrize(
    "options", [{"by": "half"}, {"covariates": {"rate": ["half"]}}, {"covariates": {"spend": ["half"]}}]
)
def test_models_with_groups_or_covariates_wait(options: dict) -> None:
    log = forecast.cdnow("sample")
    log = log.assign(half=np.where(log["customer_id"].astype(int) % 2 == 0, "even", "odd"))
    orders = forecast.read_orders(log, currency="USD")
    model = forecast.fit(orders, as_of=AS_OF, **options)
    with pytest.raises(forecast.ArgumentError, match="differ between customers cannot be checked yet"):
        forecast.check_model(model, orders)
