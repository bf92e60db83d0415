"""The check of a model with a seasonal clock: its weeks, its counts, a clock that stands for plain days."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from seasonal_shop import TRUTH, christmas, days, read, simulate

import forecast
from forecast.evaluation.leave_one_out import log_likelihoods
from forecast.evaluation.modelcheck_words import inside, swings, whole_weeks
from forecast.evaluation.seasoncheck import season_ahead
from forecast.fitting import Fitted, purchase_model
from forecast.fitting.clock import Clock
from forecast.predict.calibration import Calibration
from forecast.predict.replication import replicated_weeks

AS_OF = "1997-09-30"
SIZE = 1096  # three years


@pytest.fixture(scope="module")
def busy() -> forecast.Orders:
    return read(simulate(christmas(SIZE), 3000, seed=1))


@pytest.fixture(scope="module")
def seasonal(busy: forecast.Orders) -> forecast.Model:
    return forecast.fit(busy, purchases="bg-nbd", seasonal="yes")


@pytest.fixture(scope="module")
def known(seasonal: forecast.Model, busy: forecast.Orders) -> forecast.ModelCheck:
    return forecast.check_model(seasonal, busy)


@pytest.fixture(scope="module")
def unknown(busy: forecast.Orders) -> forecast.ModelCheck:
    return forecast.check_model(forecast.fit(busy, purchases="bg-nbd", seasonal="no"), busy)


def with_clock(model: forecast.Model, clock: Clock | None) -> forecast.Model:
    return replace(model, clv=replace(model.clv, clock=clock))


def ones(as_of: dt.date) -> Clock:
    return Clock(as_of, 1, (), np.zeros(2), np.zeros(2))


# --- weeks -----------------------------------------------------------------------------------------


def test_weeks_of_a_christmas_shop_lie_in_the_band_of_a_model_that_knows_christmas(
    known: forecast.ModelCheck, unknown: forecast.ModelCheck
) -> None:
    shares = [inside(whole_weeks(found.tracking), "weekly_").mean() for found in (known, unknown)]
    assert shares[0] > 0.84
    assert shares[1] < 0.6
    weeks = [found.tracking["weekly_observed"].tolist() for found in (known, unknown)]
    assert weeks[0] == weeks[1]
    assert "156 weeks lie within their 90 % interval, 140 should: as it should be" in known.verdict
    assert "there are seasons, campaigns or a drift that the model does not know" in unknown.verdict
    # December is expected where it is: the busiest week of each year is foreseen within a few percent.
    tracking = known.tracking.assign(year=known.tracking["day"].dt.year)
    for _, year in tracking[tracking["year"] < 2023].groupby("year"):
        top = year.loc[year["weekly_expected"].idxmax()]
        assert top["day"].month == 12
        assert top["weekly_expected"] == pytest.approx(top["weekly_observed"], rel=0.15)


def test_means_and_bands_on_a_clock_are_those_of_simulated_shops() -> None:
    """Against shops walked on the same clock by other code, customer by customer."""
    size, won = 700, 420
    fitted = Fitted.from_parameters(
        purchase_model("bg-nbd"), dict(zip(["r", "alpha", "a", "b"], TRUTH["bg-nbd"], strict=True)), "given"
    )
    intensity = christmas(size)
    frames = [simulate(intensity, 600, seed=seed, until=won) for seed in range(30)]
    seen, births = [], []
    for frame in frames:
        day = (frame["order_date"].to_numpy().astype("datetime64[D]") - days(1)[0]).astype(int)
        first = pd.Series(day).groupby(frame["customer_id"].to_numpy()).transform("min").to_numpy()
        born = np.bincount(first[~frame["customer_id"].duplicated().to_numpy()], minlength=size)
        repeats = np.bincount(day, minlength=size) - born
        births.append(born)
        seen.append(np.add.reduceat(repeats[1:], np.arange(0, size - 1, 7)))
    found = [
        replicated_weeks(fitted, born, level=90, seed=3, passed=np.cumsum(intensity))
        for born in births[:4]
    ]  # fmt: skip
    expected = np.mean([weekly.expected for weekly, _ in found], axis=0)
    assert np.mean(seen, axis=0).sum() == pytest.approx(expected.sum(), rel=0.02)
    assert np.corrcoef(np.mean(seen, axis=0), expected)[0, 1] > 0.99
    held = [(s >= w.lo) & (s <= w.hi) for s, (w, _) in zip(seen, found, strict=False)]
    assert np.mean(held) == pytest.approx(0.9, abs=0.06)


@pytest.mark.parametrize("name", ["nbd", "bg-nbd", "mbg-nbd", "pareto-nbd", "mbg-cnbd-2"])
def test_means_on_a_clock_are_sums_over_birth_days(name: str) -> None:
    spec = purchase_model(name)
    truth = {"nbd": (0.5, 3.0), "pareto-nbd": (0.5, 30.0, 0.6, 2.0)}.get(name, (0.5, 3.0, 0.8, 2.5))
    fitted = Fitted.from_parameters(spec, dict(zip(spec.parameters, truth, strict=True)), "given")
    births = np.random.default_rng(0).poisson(2.0, 400)
    births[0] = 3
    passed = np.cumsum(christmas(400))
    _, so_far = replicated_weeks(fitted, births, level=90, seed=0, passed=passed)
    ends = np.minimum(7 * np.arange(1, len(so_far.expected) + 1), 399)
    for number in (0, 20, len(ends) - 1):
        age = passed[ends[number]] - passed[: ends[number]]
        live = spec.formulas.if_alive(*truth, x=0.0, t_x=0.0, T=0.0)
        stays = 1.0 / (1.0 + np.exp(spec.formulas.log_odds_left(*truth, x=0.0, t_x=0.0, T=0.0)))
        each = stays * np.array(
            [float(spec.formulas.PROCESS.expectation(*(np.array([v]) for v in live), t)[0]) for t in age]
        )
        assert so_far.expected[number] == pytest.approx(births[: ends[number]] @ each, rel=1e-9)


def test_a_shop_of_one_day_has_nothing_to_expect() -> None:
    fitted = Fitted.from_parameters(purchase_model("nbd"), {"r": 1.0, "alpha": 7.0}, "given")
    for births in (np.array([5]), np.array([0, 0, 5])):
        weekly, _ = replicated_weeks(fitted, births, level=90, seed=0, passed=np.cumsum(0.3 + births))
        assert weekly.expected.tolist() == [0.0]
        assert weekly.hi.tolist() == [0.0]


# --- a clock of ones -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bg-nbd", "mbg-cnbd-2"])
def test_a_clock_of_ones_changes_nothing(name: str, sample_orders: forecast.Orders) -> None:
    model = forecast.fit(sample_orders, as_of=AS_OF, purchases=name)
    plain = forecast.check_model(model, sample_orders)
    found = forecast.check_model(with_clock(model, ones(model.as_of)), sample_orders)
    for table in ("counts", "spend", "loo", "prior_posterior"):
        pd.testing.assert_frame_equal(getattr(found, table), getattr(plain, table), check_exact=True)
    pd.testing.assert_frame_equal(found.tracking, plain.tracking, rtol=1e-11)
    assert found.lines[:3] == plain.lines[:3]
    assert plain.season.empty
    assert found.season["intensity"].tolist() == [1.0] * 365


def test_the_level_of_the_future_stays_out(
    seasonal: forecast.Model, known: forecast.ModelCheck, busy: forecast.Orders
) -> None:
    taught = Calibration(levels=np.array([2.0]), level_sd=0.3)
    found = forecast.check_model(replace(seasonal, clv=replace(seasonal.clv, calibration=taught)), busy)
    for table in ("counts", "tracking", "spend", "loo"):
        pd.testing.assert_frame_equal(getattr(found, table), getattr(known, table))


# --- counts and criteria ---------------------------------------------------------------------------


def test_counts_and_criteria_are_of_the_histories_that_the_model_was_fitted_on(
    known: forecast.ModelCheck, seasonal: forecast.Model, busy: forecast.Orders
) -> None:
    assert known.facts["orders the model was fitted on"]
    assert known.facts["seasonal clock"]
    assert known.counts["observed"].sum() == 3000
    assert known.counts["expected"].sum() == pytest.approx(3000)
    assert inside(known.counts).mean() > 0.8
    left = known.left_out["purchases"]
    fitted = seasonal.purchases
    at_mean = np.array([list(fitted.parameters.values())])
    whole = left.weight @ log_likelihoods(fitted, at_mean, left.rows)[:, 0]
    # The posterior's mean is about the mode, whose likelihood the fit kept.
    assert whole == pytest.approx(fitted.log_likelihood, abs=1.0)
    assert known.loo["elpd"][0] == pytest.approx(whole - 4.0, abs=3.0)
    last = forecast.check_model(seasonal, busy, as_of="2022-06-30")
    assert last.loo["elpd"].isna().all()
    assert last.tracking["day"].iloc[-1] == pd.Timestamp("2022-06-30")


def test_only_models_of_the_same_time_are_compared(
    known: forecast.ModelCheck,
    unknown: forecast.ModelCheck,
    seasonal: forecast.Model,
    busy: forecast.Orders,
) -> None:
    simple = forecast.fit(busy, purchases="nbd", seasonal="yes")
    rival = forecast.check_model(simple, busy)
    assert rival.compare(known).loc[0, "verdict"] == "BG/NBD describes purchases better than NBD"
    for one, other in ((known, unknown), (unknown, known)):
        with pytest.raises(forecast.ArgumentError, match=r"different seasonal clocks.*backtest"):
            one.compare(other)
    assert seasonal.clv.clock is not None
    bent = replace(seasonal.clv.clock, coefficients=seasonal.clv.clock.coefficients * 0.9)
    by_mle = [
        forecast.check_model(with_clock(forecast.fit(busy, purchases="nbd", method="mle"), clock), busy)
        for clock in (bent, seasonal.clv.clock)
    ]
    with pytest.raises(forecast.ArgumentError, match="different seasonal clocks"):
        by_mle[0].compare(by_mle[1])


def test_what_is_fitted_by_default_can_be_checked() -> None:
    """A calibrated choice with a season, as the README makes it."""
    orders = read(simulate(christmas(900), 1500, seed=5))
    model = forecast.fit(orders)
    found = forecast.check_model(model, orders)
    assert found.clock is not None
    assert found.clock is model.clv.clock
    assert found.tracking["cumulative_observed"].iloc[-1] == pytest.approx(
        found.tracking["cumulative_expected"].iloc[-1], rel=0.1
    )


# --- the season itself -----------------------------------------------------------------------------


def test_the_season_is_that_of_the_year_ahead_and_holds_the_truth(
    known: forecast.ModelCheck, seasonal: forecast.Model
) -> None:
    season = known.season
    assert season["day"].iloc[0] == pd.Timestamp(seasonal.as_of) + pd.Timedelta(days=1)
    assert len(season) == 365
    assert season.loc[season["intensity"].idxmax(), "day"].month == 12
    truth = christmas(SIZE + 365)[SIZE:]
    assert np.mean((season["lo-90"] <= truth) & (truth <= season["hi-90"])) > 0.75
    assert season["intensity"].mean() == pytest.approx(1.0, abs=0.01)


def test_the_page_shows_the_season(
    known: forecast.ModelCheck, unknown: forecast.ModelCheck, tmp_path: Path
) -> None:
    page = known.to_html(tmp_path / "with.html").read_text("utf-8")
    assert 'id="season"' in page
    assert "Strongest month: December" in page
    assert "so the season was trusted in full" in page
    assert "and how busy each day of the year is" in page
    assert 'id="season"' not in unknown.to_html(tmp_path / "without.html").read_text("utf-8")
    names = {path.stem for path in known.save_figures(tmp_path)}
    assert "season" in names
    assert len(known.plot().axes) == 6


def test_words_follow_what_is_known_of_the_season() -> None:
    from forecast.reports.sections_check import season_words

    flat = ones(dt.date(2024, 1, 1))
    half = replace(flat, coefficients=np.array([0.3, 0.0]), facts={"trust": 0.48})
    assert "trusted to 48 %: a season that was not seen twice" in season_words(half)
    assert "more season than the model trusts yet" in swings(half)
    assert "a changing season" in swings(replace(half, facts={"trust": 1.0}))
    assert season_words(flat) == "No month differs from another by a hundredth."


def test_a_band_is_wider_where_the_season_is_less_sure() -> None:
    clock = Clock(dt.date(2024, 1, 1), 1, (), np.zeros(2), np.full(2, 0.1))
    season = season_ahead(clock, dt.date(2024, 1, 1))
    assert season["hi-90"].to_numpy() == pytest.approx(np.exp(1.6449 * 0.1), rel=1e-4)
    assert season["lo-90"].to_numpy() == pytest.approx(np.exp(-1.6449 * 0.1), rel=1e-4)
