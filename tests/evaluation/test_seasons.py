"""Seasons, levels and the choice among models, from orders to forecasts: what helps, and what leaks."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seasonal_shop import FIRST, calm, christmas, read, simulate

import forecast
from forecast.cli import main
from forecast.errors import ArgumentError, FitError
from forecast.evaluation import choosing, levels
from forecast.evaluation.backtest import Backtest, backtest
from forecast.evaluation.candidates import Candidate, fit_clv
from forecast.evaluation.levels import GRID, Record, learn, record
from forecast.evaluation.rolling import Rolling, earlier
from forecast.fitting.clock import Clock
from forecast.predict import ClvModel, Customers, predict_customers
from forecast.predict.calibration import NONE, YEAR, Calibration
from forecast.predict.customers import score_counts
from forecast.predict.portfolio import simulate_totals

LENGTH, QUARTER = 1370, 91
CUT = FIRST + dt.timedelta(days=LENGTH - 1 - QUARTER)
END = FIRST + dt.timedelta(days=LENGTH - 1)


@pytest.fixture(scope="module")
def busy() -> forecast.Orders:
    """A shop with a strong December."""
    return read(simulate(christmas(LENGTH), size=2500))


@pytest.fixture(scope="module")
def model(busy: forecast.Orders) -> forecast.Model:
    return forecast.fit(busy, as_of=CUT, purchases="bg-nbd", seasonal="yes")


def at(orders: forecast.Orders, cut: dt.date = CUT, end: dt.date = END) -> tuple:
    """What is known at a cut, what happened after it."""
    return Rolling(orders, method="mle").at(cut, end)


# --- seasons ------------------------------------------------------------------------------------------


def test_the_next_quarter_is_foreseen_with_its_season(busy: forecast.Orders) -> None:
    known, origin = at(busy)
    actual = origin.actual["actual_purchases"].sum()
    off = {}
    for seasonal in (False, True):
        found = fit_clv(known, "bg-nbd", "mle", seasonal=seasonal)
        customers = Customers.from_frame(origin.histories, found)
        expected = predict_customers(found, customers, days=QUARTER)["expected_purchases"].sum()
        off[seasonal] = abs(np.log(expected / actual))
    assert actual > 1000  # so that chance alone is 3 %
    assert off[True] < 0.06
    assert off[False] > 0.10
    parts = [predict_customers(found, customers, days=k)["expected_purchases"].sum() for k in (30, 91)]
    assert 0.0 < parts[0] < parts[1]


def test_a_shop_without_seasons_loses_nothing_by_asking_for_one() -> None:
    scores = {False: 0.0, True: 0.0}
    for seed in range(3):
        known, origin = at(read(simulate(calm(LENGTH), size=1500, seed=seed)))
        actual = origin.actual["actual_purchases"].to_numpy()
        for seasonal in scores:
            found = fit_clv(known, "bg-nbd", "mle", seasonal=seasonal)
            customers = Customers.from_frame(origin.histories, found)
            scores[seasonal] += score_counts(found, customers, actual, days=QUARTER)["crps"].mean()
            if found.clock is not None:
                assert abs(found.clock.ahead(CUT, QUARTER) / QUARTER - 1.0) < 0.05
    assert scores[True] < 1.01 * scores[False]


def test_a_clock_without_coefficients_forecasts_as_the_calendar_does(busy: forecast.Orders) -> None:
    plain = forecast.fit(busy, as_of=CUT, purchases="bg-nbd", method="mle")
    flat = Clock(CUT, 8, (), np.zeros(16), np.zeros(16))
    clocked = replace(plain, clv=replace(plain.clv, clock=flat))
    for options in ({}, {"horizon": "2Q", "discount_rate": 0.1}):
        pd.testing.assert_frame_equal(
            plain.score(busy, as_of=CUT, **options),
            clocked.score(busy, as_of=CUT, **options),
            check_exact=True,
        )
    one, other = (own.portfolio(busy, as_of=CUT, draws=100) for own in (plain, clocked))
    pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_rows_blocks_and_files_change_no_score(
    busy: forecast.Orders, model: forecast.Model, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scores = model.score(busy, QUARTER, as_of=CUT)
    assert scores["expected_purchases"].sum() > 0
    model.save(tmp_path / "shop")
    again = forecast.load(tmp_path / "shop")
    assert again.clv.clock is not None
    pd.testing.assert_frame_equal(again.score(busy, QUARTER, as_of=CUT), scores, check_exact=True)
    mixed = read(busy.to_frame().rename(columns={"order_day": "order_date"})
                 [["customer_id", "order_date", "value"]].sample(frac=1.0, random_state=1))  # fmt: skip
    refitted = forecast.fit(mixed, as_of=CUT, purchases="bg-nbd", seasonal="yes")
    assert (refitted.clv.clock.coefficients == model.clv.clock.coefficients).all()
    pd.testing.assert_frame_equal(refitted.score(mixed, QUARTER, as_of=CUT), scores, check_exact=True)
    monkeypatch.setattr("forecast.predict.population.BLOCK", 300)
    pd.testing.assert_frame_equal(model.score(busy, QUARTER, as_of=CUT), scores, check_exact=True)


def test_a_short_history_carries_no_season() -> None:
    short = read(simulate(calm(420), size=400))
    for purchases in ("bg-nbd", "auto"):
        with pytest.raises(FitError, match="days of history cannot carry a yearly season"):
            forecast.fit(short, purchases=purchases, seasonal="yes")
    with pytest.raises(ArgumentError, match=r"seasonal is 'maybe'\. Choose auto, yes or no"):
        forecast.fit(short, seasonal="maybe")


# --- levels and shapes --------------------------------------------------------------------------------


def test_a_drop_of_the_level_is_partly_put_right() -> None:
    intensity = calm(LENGTH)
    intensity[-361:] = 0.6
    rolling = Rolling(read(simulate(intensity, size=2500)), method="mle")
    own = Candidate("bg-nbd", True, True)
    for cut, end in earlier([(CUT, END)], FIRST, 5):
        rolling.remember(own, *rolling.at(cut, end))
    known, origin = rolling.at(CUT, END)
    taught = rolling.corrected(own, known)
    assert taught.calibration.level < 0.95
    off = {}
    for name, found in (("plain", replace(taught, calibration=NONE)), ("level", taught)):
        customers = Customers.from_frame(origin.histories, found)
        expected = predict_customers(found, customers, days=QUARTER)["expected_purchases"].sum()
        off[name] = np.log(expected / origin.actual["actual_purchases"].sum())
    assert off["plain"] > 0.05
    assert abs(off["level"]) < 0.7 * off["plain"]


def records(errors: list[float], pit: np.ndarray = GRID) -> list[Record]:
    """Records a quarter apart, the last of which ends on 1 January 2024."""
    end = dt.date(2024, 1, 1)
    found = []
    for error in reversed(errors):
        found.append(Record(end - dt.timedelta(days=91), end, error, 1000.0, pit, 5000))
        end -= dt.timedelta(days=91)
    return found[::-1]


def test_nothing_is_learned_from_windows_that_have_not_ended() -> None:
    cut = dt.date(2024, 1, 1)
    told = records([0.1, -0.2, 0.3])
    future = Record(cut - dt.timedelta(days=60), cut + dt.timedelta(days=1), 5.0, 900.0, GRID**2, 9000)
    same = learn([future, *told], cut)
    assert same.to_dict() == learn(told, cut).to_dict()
    assert learn(told[::-1], cut).to_dict() == learn(told, cut).to_dict()
    before = cut - dt.timedelta(days=1)
    assert learn(told, before).to_dict() == learn(told[:2], before).to_dict()
    assert len(same.facts["origins"]) == 3


@given(errors=st.lists(st.floats(-3.0, 3.0), max_size=9), power=st.floats(0.2, 5.0))
def test_what_is_learned_keeps_its_bounds(errors: list[float], power: float) -> None:
    found = learn(records(errors, GRID**power), dt.date(2024, 1, 1))
    assert ((found.levels > 0.49) & (found.levels < 2.02)).all()
    assert found.level_sd > 0.03
    assert (np.diff(found.warped) > 0.0).all()
    assert (found.warped[0], found.warped[-1]) == (0.0, 1.0)
    assert (found.knots[0], found.knots[-1]) == (0.0, 1.0)
    beyond = np.linspace(0.0, 1.0, 101)
    assert (np.diff(found.above(beyond)) >= 0.0).all()
    assert found.above(np.array([0.0, 1.0])).tolist() == [0.0, 1.0]
    if errors and np.ptp(np.sign(errors)) == 0 and min(map(abs, errors)) > 0.1:
        assert np.sign(np.log(found.level)) == np.sign(errors[0])  # and less than all of it:
        assert abs(np.log(found.level)) < max(map(abs, errors))


def test_an_error_that_returns_each_year_is_expected_in_its_season_alone() -> None:
    """Three years in which each first quarter was a third below: the next one is, the second is not."""
    told = records([-0.4, 0.0, 0.0, 0.0] * 3)
    found = learn(told, dt.date(2024, 1, 1))
    first, second, third, fourth, again = (
        np.log(found.levels[k : k + YEAR // 4].mean()) for k in range(0, 5 * YEAR // 4, YEAR // 4)
    )
    assert -0.4 < first < -0.25
    assert -0.4 < again < -0.2
    assert max(abs(second), abs(third), abs(fourth)) < 0.1
    assert found.level == pytest.approx(np.exp(first))
    half = found.over(lambda days: days)
    assert half(365.25 / 4) == pytest.approx(365.25 / 4 * np.exp(first))
    assert half(365.25) / 365.25 == pytest.approx(found.levels[:YEAR].mean())
    once = learn(told[:4], dt.date(2023, 1, 2))
    assert first < np.log(once.level) < -0.02  # seen once it is believed in part


def test_an_error_of_every_quarter_is_a_level_and_errors_without_order_are_noise() -> None:
    drop = learn(records([-0.3] * 6), dt.date(2024, 1, 1))
    assert -0.3 < np.log(drop.level) < -0.15
    assert np.log(drop.levels).max() < -0.06  # less is certain of the year after next
    noise = learn(records([0.2, -0.2, -0.2, 0.2, -0.2, 0.2, 0.2, -0.2]), dt.date(2024, 1, 1))
    assert np.abs(np.log(noise.levels)).max() < 0.1
    assert noise.level_sd > 1.2 * drop.level_sd


def test_beyond_two_years_the_last_year_repeats() -> None:
    levels = np.linspace(0.5, 1.5, 2 * YEAR)
    time = Calibration(levels=levels).over(lambda days: days)
    assert time(2 * 365.25) == pytest.approx(2 * 365.25)
    year = 365.25 * levels[YEAR:].mean()
    for k in (3, 4, 7):
        assert time(k * 365.25) - time((k - 1) * 365.25) == pytest.approx(year)
    assert [time(days) for days in (0.0, 7.0)] == [0.0, 3.5]
    first = {"level": 0.9, "level_sd": 0.1, "degrees": 9.0, "knots": [0, 1], "warped": [0, 1], "facts": {}}
    assert Calibration.from_dict(first).over(lambda days: days)(10.0) == 9.0  # as the first version wrote it


def test_without_records_nothing_is_corrected() -> None:
    found = learn([], dt.date(2024, 1, 1))
    assert (found.level, found.warps) == (1.0, False)
    assert 0.12 < found.level_sd < 0.2
    beyond = np.linspace(0.0, 1.0, 11)
    assert found.above(beyond) is beyond
    assert NONE.shares(beyond) is beyond
    assert (NONE.draw_levels(50, 0) == 1.0).all()


@pytest.fixture(scope="module")
def plain(busy: forecast.Orders) -> tuple[ClvModel, Customers, np.ndarray]:
    known, origin = at(busy)
    found = fit_clv(known, "bg-nbd", "laplace")
    return found, Customers.from_frame(origin.histories, found), origin.actual["actual_purchases"].to_numpy()


def test_a_warp_changes_shapes_and_no_mean(plain: tuple[ClvModel, Customers, np.ndarray]) -> None:
    found, customers, actual = plain
    bent = replace(found, calibration=Calibration(knots=GRID, warped=GRID**1.3))
    a, b = (predict_customers(own, customers, days=QUARTER, levels=(80,)) for own in (found, bent))
    for name in ("p_alive", "expected_purchases", "expected_purchase_value", "expected_value"):
        assert (a[name] == b[name]).all(), name
    assert (b["p_purchase"] > a["p_purchase"]).all()  # less below a count is more above it
    assert (b["purchases-hi-80"] >= a["purchases-hi-80"]).all()
    assert (b["purchases-hi-80"] > a["purchases-hi-80"]).any()
    one, other = (score_counts(own, customers, actual, days=QUARTER) for own in (found, bent))
    assert other["at"] == pytest.approx(np.interp(one["at"], GRID, GRID**1.3), abs=1e-9)
    same = replace(found, calibration=Calibration(knots=GRID, warped=GRID))
    c = predict_customers(same, customers, days=QUARTER, levels=(80,))
    for name in a:
        assert c[name] == pytest.approx(a[name], rel=1e-9, abs=1e-9), name


def test_a_level_multiplies_what_is_expected_and_leaves_who_is_alive(
    plain: tuple[ClvModel, Customers, np.ndarray],
) -> None:
    found, customers, _ = plain
    before = predict_customers(found, customers, days=QUARTER)
    for level in (0.8, 1.25):
        own = replace(found, calibration=Calibration(levels=np.array([level])))
        after = predict_customers(own, customers, days=QUARTER)
        assert (after["p_alive"] == before["p_alive"]).all()
        ratio = after["expected_purchases"].sum() / before["expected_purchases"].sum()
        assert ratio == pytest.approx(level, rel=0.04)  # a little less: there is more time to leave in
        assert after["expected_value"].sum() / before["expected_value"].sum() == pytest.approx(
            ratio, rel=0.02
        )
        same = predict_customers(found, customers, days=QUARTER * level)
        assert after["expected_purchases"] == pytest.approx(same["expected_purchases"])


def test_an_unsure_level_widens_totals_and_no_customer(
    plain: tuple[ClvModel, Customers, np.ndarray],
) -> None:
    found, customers, actual = plain
    unsure = replace(found, calibration=Calibration(level_sd=0.2, degrees=10.0))
    a, b = (predict_customers(own, customers, days=QUARTER, levels=(80,)) for own in (found, unsure))
    for name in a:
        assert np.array_equal(a[name], b[name]), name
    one, other = (score_counts(own, customers, actual, days=QUARTER) for own in (found, unsure))
    for name in one:
        assert (one[name] == other[name]).all()
    exact = {"purchases": a["expected_purchases"].sum(), "value": a["expected_value"].sum()}
    for name, mean in exact.items():
        sure, wide = (
            simulate_totals(own, customers, days=QUARTER, draws=1000, seed=1)[name].sum(axis=0)
            for own in (found, unsure)
        )
        assert sure.mean() == pytest.approx(mean, rel=0.01)
        assert wide.mean() == pytest.approx(mean, rel=0.01)
        added = np.sqrt(wide.std() ** 2 - sure.std() ** 2) / mean
        assert added == pytest.approx(0.2 * np.sqrt(10.0 / 8.0), rel=0.15)
        again = simulate_totals(unsure, customers, days=QUARTER, draws=1000, seed=1)[name].sum(axis=0)
        assert (again == wide).all()


def distance(found: dict[str, np.ndarray]) -> float:
    """Of the mean distribution of randomised integral transforms from the even one."""
    below, at_ = found["below"][:, None], np.maximum(found["at"], found["below"] + 1e-12)[:, None]
    return float(np.abs(np.clip((GRID - below) / (at_ - below), 0.0, 1.0).mean(axis=0) - GRID).max())


def test_shapes_learned_earlier_make_misfit_customers_more_even(
    busy: forecast.Orders, plain: tuple[ClvModel, Customers, np.ndarray]
) -> None:
    """Customers who buy twice what the model says or nothing: the mean holds, the shape does not."""
    found, customers, _ = plain
    origin = at(busy)[1]
    each = np.arange(len(customers))
    counts = simulate_totals(found, customers, days=QUARTER, groups=each, draws=4, seed=5)["purchases"]
    counts = (2 * counts * np.random.default_rng(5).integers(0, 2, counts.shape)).astype(np.int64)
    told = []
    for k in range(3):
        own = record(found, replace(origin, actual=pd.DataFrame({"actual_purchases": counts[:, k]})))
        assert own is not None
        told.append(replace(own, cutoff=CUT - dt.timedelta(days=91 * (3 - k)), end=CUT))
    taught = learn(told, CUT)
    bent = replace(found, calibration=replace(taught, levels=np.ones(1)))
    before, after = (score_counts(m, customers, counts[:, 3], days=QUARTER) for m in (found, bent))
    assert distance(before) > 0.04
    assert distance(after) < 0.85 * distance(before)  # counts are coarse: not all of it can be put right
    assert after["crps"].mean() < before["crps"].mean()


def test_a_record_is_of_the_uncorrected_forecast(busy: forecast.Orders) -> None:
    known, origin = at(busy)
    found = fit_clv(known, "bg-nbd", "mle")
    taught = replace(found, calibration=Calibration(levels=np.array([0.5]), knots=GRID, warped=GRID**2))
    one, other = record(found, origin), record(taught, origin)
    assert one is not None
    assert other is not None
    assert (one.error, one.actual) == (other.error, other.actual)
    assert (one.pit == other.pit).all()
    nobody = replace(origin, actual=origin.actual.assign(actual_purchases=0))
    assert record(found, nobody) is None


# --- what would leak ----------------------------------------------------------------------------------

CANDIDATES = ("bg-nbd", "bg-nbd+season+level", "mbg-nbd+level", "pareto-nbd", "auto", "naive", "last-year")
SAID = ["cutoff", "model", "customer_id", "expected_purchases", "p_purchase", "expected_value"]


def after_changed(frame: pd.DataFrame, cut: pd.Timestamp, seed: int = 7) -> pd.DataFrame:
    """Every order after the cut gets another day, customer and value, and customers are won who were not."""
    rng = np.random.default_rng(seed)
    later = (frame["order_date"] > cut).to_numpy()
    changed = frame.copy()
    rows = int(later.sum())
    changed.loc[later, "order_date"] = rng.permutation(frame.loc[later, "order_date"].to_numpy())
    changed.loc[later, "customer_id"] = rng.permutation(frame.loc[later, "customer_id"].to_numpy())
    changed.loc[later, "value"] = rng.gamma(2.0, 50.0, rows).round(2)
    kept = changed.drop(index=changed.index[later][rng.random(rows) < 0.3])
    new = changed[later].sample(frac=0.8, random_state=seed)
    new = new.assign(customer_id=[f"new{k % 300}" for k in range(len(new))])
    last = frame[frame["order_date"] == frame["order_date"].max()].head(1)
    return pd.concat([kept, new, last], ignore_index=True)


@pytest.fixture(scope="module")
def cdnow_frame() -> pd.DataFrame:
    frame = forecast.cdnow()
    frame = frame.assign(order_date=pd.to_datetime(frame["order_date"]))
    some = frame["customer_id"].drop_duplicates().iloc[::3]
    return frame[frame["customer_id"].isin(some)].reset_index(drop=True)


@pytest.fixture(scope="module")
def told(cdnow_frame: pd.DataFrame) -> tuple[Backtest, list]:
    return remembered(read(cdnow_frame))


class Quick(Rolling):
    """Quicker than what users get, on the same way."""

    def __init__(self, orders: forecast.Orders, method: str = "mle", seed: int = 0, spend: bool = True):
        super().__init__(orders, "mle", seed, spend)


def remembered(orders: forecast.Orders) -> tuple[Backtest, list]:
    """A backtest, and every calibration and choice that was made on its way."""
    seen: list = []
    with pytest.MonkeyPatch.context() as patch:
        learned, chosen = levels.learn, choosing.Chooser.choose

        def learn_and_tell(records: list, cutoff: dt.date) -> Calibration:
            found = learned(records, cutoff)
            seen.append((cutoff, found.to_dict()))
            return found

        def choose_and_tell(self: choosing.Chooser, cutoff: dt.date) -> choosing.Choice:
            found = chosen(self, cutoff)
            seen.append((cutoff, found))
            return found

        patch.setattr("forecast.evaluation.rolling.learn", learn_and_tell)
        patch.setattr(choosing.Chooser, "choose", choose_and_tell)
        patch.setattr("forecast.evaluation.backtest.Rolling", Quick)
        names = ("bg-nbd", "mbg-nbd", "mbg-nbd+level", "bg-nbd+season+level")
        patch.setattr("forecast.evaluation.backtest.CHOICES", tuple(map(Candidate.parse, names)))
        patch.setattr("forecast.evaluation.rolling.SAMPLE", 500)
        patch.setattr(choosing, "LEAST_ORIGINS", 2)  # CDNOW has but two before the first window
        found = backtest(orders, QUARTER, 2, candidates=CANDIDATES, draws=50)
    return found, seen


def test_nothing_after_a_cut_reaches_a_forecast_a_calibration_or_a_choice(
    told: tuple[Backtest, list], cdnow_frame: pd.DataFrame
) -> None:
    found, seen = told
    cuts = sorted(found.forecasts["cutoff"].unique())
    assert len(cuts) == 2
    cut = cuts[-1]
    other, again = remembered(read(after_changed(cdnow_frame, cut)))
    for name in CANDIDATES:
        rows = [
            f[f["model"] == name][SAID].reset_index(drop=True) for f in (found.forecasts, other.forecasts)
        ]
        pd.testing.assert_frame_equal(*rows, check_exact=True)
    assert set(found.forecasts["model"]) == set(CANDIDATES)
    outcome = [
        f[f["cutoff"] == cut]["actual_purchases"].to_numpy() for f in (found.forecasts, other.forecasts)
    ]
    assert (outcome[0] != outcome[1]).any()
    totals = [
        b[(b["scope"] == "portfolio") & b["metric"].isin(["forecast", "lo-90", "hi-90"])].reset_index(
            drop=True
        )
        for b in (found.board, other.board)
    ]
    pd.testing.assert_frame_equal(*totals, check_exact=True)
    assert len(seen) > 12
    assert [entry for entry in seen if entry[0] <= cut.date()] == [
        entry for entry in again if entry[0] <= cut.date()
    ]
    assert found.notes == other.notes


def test_the_first_window_does_not_know_the_second(
    told: tuple[Backtest, list], cdnow_frame: pd.DataFrame
) -> None:
    cut = told[0].forecasts["cutoff"].min()
    other, _ = remembered(read(after_changed(cdnow_frame, cut, seed=8)))
    rows = [f[f["cutoff"] == cut][SAID].reset_index(drop=True) for f in (told[0].forecasts, other.forecasts)]
    pd.testing.assert_frame_equal(*rows, check_exact=True)
    later = [f[f["cutoff"] > cut]["expected_purchases"].sum() for f in (told[0].forecasts, other.forecasts)]
    assert later[0] != later[1]


def test_a_learner_that_saw_its_own_window_would_be_found(
    told: tuple[Backtest, list], cdnow_frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The canary sings: learning from windows that have not ended changes forecasts."""
    monkeypatch.setattr(
        "forecast.evaluation.rolling.learn",
        lambda records, cutoff: learn(records, dt.date(2099, 1, 1)),
    )
    monkeypatch.setattr(Rolling, "corrected", _sees_all)
    monkeypatch.setattr("forecast.evaluation.backtest.Rolling", Quick)
    frame = cdnow_frame
    leaky = [
        backtest(read(f), QUARTER, 1, candidates="mbg-nbd+level", draws=20).forecasts["expected_purchases"]
        for f in (frame, after_changed(frame, told[0].forecasts["cutoff"].max()))
    ]
    assert not np.array_equal(leaky[0], leaky[1])


def _sees_all(self: Rolling, candidate: Candidate, known: forecast.Histories) -> ClvModel:
    """A candidate corrected by its own window's outcome."""
    cutoff = known.as_of
    self.remember(candidate, *self.at(cutoff, cutoff + dt.timedelta(days=QUARTER)))
    return replace(self.model(candidate, known), calibration=self.calibration(candidate, cutoff))


# --- the choice ---------------------------------------------------------------------------------------


def few_choices(patch: pytest.MonkeyPatch) -> None:
    """Fewer customers and candidates than users get, so that a choice takes seconds."""
    names = ("bg-nbd+level", "mbg-nbd+level", "bg-nbd+season+level", "mbg-nbd+season+level")
    patch.setattr(choosing, "CHOICES", tuple(map(Candidate.parse, names)))
    patch.setattr("forecast.evaluation.rolling.SAMPLE", 600)


@pytest.fixture(scope="module")
def chosen(busy: forecast.Orders) -> forecast.Model:
    with pytest.MonkeyPatch.context() as patch:
        few_choices(patch)
        return forecast.fit(busy, as_of=CUT)


def test_a_strong_season_is_chosen_and_the_card_says_why(
    chosen: forecast.Model, busy: forecast.Orders
) -> None:
    choice = chosen.provenance["choice"]
    assert "+season" in choice["candidate"]
    assert chosen.clv.clock is not None
    assert chosen.clv.calibration.level_sd > 0.03
    scores = [row["score"] for row in choice["table"]]
    assert scores == sorted(scores)
    best = {row["candidate"]: row for row in choice["table"]}
    assert best[choice["candidate"]]["difference"] <= best[choice["candidate"]]["standard_error"]
    assert best["bg-nbd+level"]["difference"] > 0.0
    card = chosen.card("shop")
    assert "## Choice" in card
    assert choice["reason"] in card
    assert "## Season" in card
    assert "December" in card
    totals = chosen.portfolio(busy, QUARTER, as_of=CUT, draws=200).set_index("target")
    actual = at(busy)[1].actual["actual_purchases"].sum()
    assert totals.loc["purchases", "lo-95"] < actual < totals.loc["purchases", "hi-95"]


def test_the_choice_is_the_same_each_time(chosen: forecast.Model, busy: forecast.Orders) -> None:
    with pytest.MonkeyPatch.context() as patch:
        few_choices(patch)
        choice, calibration = choosing.choose_model(Rolling.sampled(busy.until(CUT)), CUT)
        assert (choice.reason, choice.table) == tuple(
            chosen.provenance["choice"][name] for name in ("reason", "table")
        )
        taught = chosen.clv.calibration  # spend has a level of its own beside that of purchases
        assert calibration.to_dict() == replace(taught, spend_levels=np.ones(1), spend_sd=0.0).to_dict()
        frame = busy.to_frame()[["customer_id", "order_day", "value"]].rename(
            columns={"order_day": "order_date"}
        )
        later = read(after_changed(frame, pd.Timestamp(CUT)))
        again, taught = choosing.choose_model(Rolling.sampled(later.until(CUT)), CUT)
    assert again == choice  # and nothing after the day matters
    assert taught.to_dict() == calibration.to_dict()


def test_a_short_history_falls_back_and_says_so() -> None:
    short = forecast.fit(read(simulate(calm(400), size=600)))
    choice = short.provenance["choice"]
    assert choice["candidate"] == "bg-nbd+level"
    assert "fewer than the 3 needed to compare" in choice["reason"]
    assert short.clv.clock is None
    assert choice["reason"] in short.card("shop")


def test_spend_that_cannot_be_fitted_does_not_decide_among_purchase_models() -> None:
    frame = simulate(christmas(LENGTH), size=400).assign(value=1.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choosing, "CHOICES", (Candidate("bg-nbd"), Candidate("bg-nbd", True)))
        day = FIRST + dt.timedelta(days=800)
        choice, _ = choosing.choose_model(Rolling.sampled(read(frame).until(day)), day)
    assert len(choice.table) == 2


def test_the_sample_of_a_choice_is_that_of_its_day(busy: forecast.Orders) -> None:
    some = Rolling.sampled(busy.until(CUT), since=CUT)._orders
    assert len(some) == len(busy.until(CUT))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("forecast.evaluation.rolling.SAMPLE", 200)
        first = FIRST + dt.timedelta(days=500)
        early, late = (
            Rolling.sampled(orders, since=first)._orders.until(first).to_frame()
            for orders in (busy, busy.until(CUT))
        )
        pd.testing.assert_frame_equal(early, late)
        assert 100 < early["customer_id"].nunique() < 300


# --- the shell ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "orders.csv"
    simulate(christmas(900), size=500).to_csv(path, index=False)
    return path


def test_models_and_seasons_by_name_in_the_shell(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["--models", str(tmp_path / "models"), "--currency", "USD"]
    for name, options in (
        ("regular", ["--purchases", "mbg-cnbd-2", "--seasonal", "no"]),
        ("seasonal", ["--purchases", "bg-nbd", "--seasonal", "yes"]),
    ):
        assert main(["fit", str(log), "--name", name, *options, *common]) == 0
        found = forecast.load(tmp_path / "models" / name)
        assert found.purchases.spec.name == options[1]
        assert (found.clv.clock is not None) == (name == "seasonal")
    capsys.readouterr()
    assert main(["fit", str(log), "--name", "x", "--purchases", "bgnbd", *common]) == 1
    error = capsys.readouterr().err
    assert "there is no purchase model 'bgnbd'" in error
    assert "mbg-cnbd-K" in error
    assert main(["backtest", str(log), "--candidates", "bg-nbd+weather", "--out", str(tmp_path / "b")]) == 1
    assert "models may have +season" in capsys.readouterr().err
    assert main(["fit", str(log), "--name", "x", "--purchases", "mbg-cnbd-9", *common]) == 1
    assert "take any K from 1 to 8" in capsys.readouterr().err
