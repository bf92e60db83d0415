"""The learner beside the models: it learns from ended windows only, leaks nothing and keeps its place."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

import forecast
from forecast.evaluation.backtest import Backtest, backtest
from forecast.evaluation.candidates import LEARNERS, check_candidates
from forecast.evaluation.choosing import CHOICES
from forecast.evaluation.learner import FEATURES, MONEY_FEATURES, Learner, season
from forecast.evaluation.rolling import Rolling

NAMES = "average,hgb,bg-nbd"
SAID = ["cutoff", "model", "customer_id", "expected_purchases", "expected_value"]


@pytest.fixture(scope="module")
def found(sample_orders: forecast.Orders) -> Backtest:
    return backtest(sample_orders, 91, 2, candidates=NAMES, draws=20)


def test_it_has_rows_on_the_board_without_intervals(found: Backtest) -> None:
    summary = found.summary()
    assert set(summary["model"]) == {"bg-nbd", *LEARNERS}
    assert summary.loc[summary["model"] != "bg-nbd", "hit_rate"].isna().all()
    for model in LEARNERS:
        rows = found.forecasts[found.forecasts["model"] == model]
        assert (rows["expected_purchases"] > 0).all()
        assert (rows["expected_value"] > 0).all()
        assert rows["p_purchase"].isna().all()


def test_the_average_is_the_plain_average(found: Backtest) -> None:
    for column in ("expected_purchases", "expected_value"):
        wide = found.forecasts.pivot(index=["cutoff", "customer_id"], columns="model", values=column)
        np.testing.assert_allclose(wide["average"], (wide["bg-nbd"] + wide["hgb"]) / 2, rtol=1e-12)


def test_on_an_origin_that_it_can_learn_for_it_is_in_range(found: Backtest) -> None:
    """CDNOW's own figures: near BG/NBD on totals and, as an average, above it in the order of customers."""
    orders = found.summary().query("target == 'orders'").set_index("model")
    assert orders.loc["average", "gini"] > orders.loc["bg-nbd", "gini"]
    assert orders.loc["hgb", "mean_abs_error"] < 0.5


def later_rows_changed(frame: pd.DataFrame, cut: str) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    later = (frame["order_date"] > cut).to_numpy()
    changed = frame.copy()
    for name in ("customer_id", "order_date"):
        changed.loc[later, name] = rng.permutation(frame.loc[later, name].to_numpy())
    changed.loc[later, "value"] = rng.gamma(2.0, 50.0, int(later.sum())).round(2)
    return changed


def test_nothing_after_the_cut_can_reach_the_learner(found: Backtest) -> None:
    """The canary: with every later row altered, forecasts at the cut and before are the same to the bit."""
    cut = str(found.forecasts["cutoff"].min().date())
    changed = forecast.read_orders(later_rows_changed(forecast.cdnow(), cut), currency="USD")
    other = backtest(changed, 91, 2, candidates=NAMES, draws=20)
    rows = [
        f.loc[f["cutoff"] == cut, SAID].reset_index(drop=True) for f in (found.forecasts, other.forecasts)
    ]
    assert set(rows[0]["model"]) == {"bg-nbd", *LEARNERS}
    pd.testing.assert_frame_equal(*rows, check_exact=True)
    later = [f.loc[f["cutoff"] > cut, "expected_purchases"].sum() for f in (found.forecasts, other.forecasts)]
    assert later[0] != pytest.approx(later[1], rel=1e-6)  # and after it they are not: the canary can sing


def test_only_ended_windows_teach(sample_orders: forecast.Orders) -> None:
    learner = Learner(Rolling(sample_orders, method="mle"))
    rolling = Rolling(sample_orders, method="mle")
    for month in (7, 8, 9):
        cutoff = dt.date(1997, month, 1)
        learner.remember(*rolling.at(cutoff, cutoff + dt.timedelta(days=91)))
    assert learner.lessons(dt.date(1997, 9, 29)) == []
    assert [own.cutoff.month for own in learner.lessons(dt.date(1997, 10, 31))] == [7, 8]
    assert tuple(learner.lessons(dt.date(1998, 1, 1))[0].features) == (*FEATURES, *MONEY_FEATURES)


def test_without_an_earlier_origin_it_says_so(sample_orders: forecast.Orders) -> None:
    found = backtest(sample_orders, 273, 1, candidates=NAMES, draws=20)
    assert set(found.summary()["model"]) == {"bg-nbd"}
    assert len(found.notes) == 2
    assert all("needs an earlier origin" in note for note in found.notes)


def test_overlapping_windows_do_not_teach(sample_orders: forecast.Orders) -> None:
    """A step shorter than the horizon: the window before has not ended when the next forecast is made."""
    found = backtest(sample_orders, 182, 2, step_size=30, candidates="hgb,naive", draws=20)
    assert len(found.notes) == 2


def test_the_same_seed_and_another_unit_of_money(found: Backtest) -> None:
    cents = forecast.cdnow().assign(value=lambda f: f["value"] * 100)
    other = backtest(forecast.read_orders(cents, currency="USD"), 91, 2, candidates=NAMES, draws=20)
    np.testing.assert_allclose(
        other.forecasts["expected_purchases"], found.forecasts["expected_purchases"], rtol=1e-6
    )
    np.testing.assert_allclose(
        other.forecasts["expected_value"], 100 * found.forecasts["expected_value"], rtol=1e-6
    )


def test_a_log_without_money() -> None:
    orders = forecast.read_orders(forecast.cdnow().drop(columns=["value"]), mapping={"value": None})
    found = backtest(orders, 91, 1, candidates="hgb,average", draws=20)
    assert set(found.summary()["target"]) == {"orders"}
    assert set(found.summary()["model"]) == set(LEARNERS)


def test_it_is_never_chosen_and_never_fitted_to_keep(sample_orders: forecast.Orders) -> None:
    assert not {own.name for own in CHOICES} & set(LEARNERS)
    assert check_candidates("hgb,average") == ["hgb", "average"]
    with pytest.raises(forecast.ForecastError):
        forecast.fit(sample_orders, purchases="hgb")


def test_the_season_is_that_of_the_window() -> None:
    summer, winter = season(dt.date(2023, 6, 1), 60), season(dt.date(2023, 12, 1), 60)
    assert np.hypot(*summer) == pytest.approx(1.0)
    assert summer[1] < -0.9
    assert winter[1] > 0.9
