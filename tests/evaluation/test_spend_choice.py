"""What spend is learned from: chosen by earlier windows, consistent, saved, and never a loss to the mean."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import forecast
from forecast.evaluation.backtest import backtest
from forecast.evaluation.candidates import Candidate, fit_clv
from forecast.evaluation.metrics_ranking import normalised_gini, top_share_capture
from forecast.evaluation.rolling import Rolling
from forecast.evaluation.spendcheck import independence, spend_by_frequency
from forecast.evaluation.spending import SpendChoice, check_spend, expected_spend
from forecast.evaluation.spending import choose_spend as choose_from_sample
from forecast.fitting.mean_spend import LARGE_Q, fit_mean_spend
from forecast.predict import Customers, predict_customers
from forecast.predict.population import spend_history
from forecast.summary import Histories, holdout
from forecast.summary.statistics import SpendCounts

AS_OF = dt.date(1997, 9, 30)
MONEY = ["expected_purchase_value", "expected_value", "value-lo-80", "value-hi-80"]


def choose_spend(orders: forecast.Orders, day: dt.date) -> SpendChoice:
    return choose_from_sample(Rolling.sampled(orders.until(day)), day)


def shop(own: float, within: float, customers: int = 600, seed: int = 0) -> pd.DataFrame:
    """Orders of a shop whose customers' means differ by ``own`` and whose orders vary by ``within`` (log sd)."""
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 300, customers)
    rate, level = rng.gamma(2.0, 0.006, customers), 40.0 * np.exp(own * rng.standard_normal(customers))
    rows = []
    for i in range(customers):
        days = first[i] + np.concatenate([[0.0], np.cumsum(rng.exponential(1.0 / max(rate[i], 1e-4), 60))])
        days = np.unique(days[days < 900].astype(int))
        value = level[i] * np.exp(within * rng.standard_normal(len(days)) - within**2 / 2)
        rows.append(pd.DataFrame({"customer_id": f"c{i:04d}", "day": days, "value": value.round(2)}))
    frame = pd.concat(rows, ignore_index=True)
    frame["order_date"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(frame.pop("day"), unit="D")
    return frame


def test_spend_that_persists_is_learned_and_spend_that_does_not_is_averaged() -> None:
    """Where a customer's last order says nothing of the next, the mean; where it does, Gamma-Gamma."""
    day = dt.date(2022, 3, 1)
    noise = choose_spend(forecast.read_orders(shop(0.0, 1.0)), day)
    assert noise.basis == "mean"
    assert "means of all customers" in noise.reason
    habit = choose_spend(forecast.read_orders(shop(0.8, 0.2)), day)
    assert habit.basis in ("repeat", "all")
    table = pd.DataFrame(habit.table).set_index("spend")
    assert table.loc[habit.basis, ["mae", "rmse"]].max() < 0.7
    assert table.loc["mean", "mae"] == 1.0
    assert set(table["origins"]) == {7}  # quarters of 91 days that began 90 days or more after the first day


def test_first_purchases_of_another_kind_are_left_out() -> None:
    """A shop whose first orders are vouchers of a random size: all purchases tell less than repeat ones."""
    frame = shop(0.6, 0.2).sort_values(["customer_id", "order_date"], ignore_index=True)
    first = ~frame["customer_id"].duplicated()
    rng = np.random.default_rng(1)
    frame.loc[first, "value"] = (200.0 * np.exp(rng.standard_normal(int(first.sum())))).round(2)
    assert choose_spend(forecast.read_orders(frame), dt.date(2022, 3, 1)).basis == "repeat"


def test_the_choice_does_not_know_what_comes_later_nor_the_unit_of_money() -> None:
    frame = forecast.cdnow()
    choice = choose_spend(forecast.read_orders(frame), AS_OF)
    assert choice.basis == "all"
    later = frame["order_date"] > str(AS_OF)
    rng = np.random.default_rng(0)
    changed = frame.assign(value=np.where(later, rng.gamma(1.0, 500.0, len(frame)).round(2), frame["value"]))
    assert choose_spend(forecast.read_orders(changed), AS_OF) == choice
    cents = choose_spend(forecast.read_orders(frame.assign(value=100 * frame["value"])), AS_OF)
    assert cents.basis == choice.basis
    for own, other in zip(choice.table, cents.table, strict=True):
        assert other.pop("spend") == own.pop("spend")
        assert other == pytest.approx(own, rel=1e-5, abs=1e-6)


def test_too_short_a_history_stays_with_repeat_purchases(sample_orders: forecast.Orders) -> None:
    choice = choose_spend(sample_orders, dt.date(1997, 3, 31))
    assert (choice.basis, choice.table) == ("repeat", [])
    assert "no earlier origin" in choice.reason


def test_with_all_purchases_the_first_is_in_the_mean(sample_histories: Histories) -> None:
    frame = sample_histories.to_frame()
    n, m = spend_history(frame, "all")
    assert (n == frame["monetary_count"] + (frame["first_value"] > 0)).all()
    np.testing.assert_allclose(np.where(n > 0, n * m, 0.0), frame["historical_value"], atol=1e-8)
    none, _ = spend_history(frame, "mean")
    assert not none.any()
    with pytest.raises(forecast.InputError, match="needs the column first_value"):
        spend_history(frame.drop(columns="first_value"), "all")


@pytest.mark.parametrize("basis", ["all", "mean"])
def test_a_fit_says_what_informs_spend_and_survives_saving(
    basis: str, sample_orders: forecast.Orders, tmp_path: Path
) -> None:
    model = forecast.fit(sample_orders, as_of=AS_OF, purchases="bg-nbd", spend=basis)
    assert model.clv.spend_from == basis
    scores = model.score(sample_orders, 91, 80, as_of=AS_OF)
    words = {"all": {"own purchases", "first purchase, shrunk", "population"}, "mean": {"population"}}
    assert set(scores["spend_basis"]) == words[basis]
    assert np.isfinite(scores[MONEY]).all().all()
    assert (scores["value-lo-80"] <= scores["value-hi-80"]).all()
    model.save(tmp_path / "shop")
    other = forecast.load(tmp_path / "shop")
    assert other.clv.spend_from == basis
    pd.testing.assert_frame_equal(other.score(sample_orders, 91, 80, as_of=AS_OF), scores)
    assert "## Spend" in other.card("shop")
    assert other.spend_check == model.spend_check


def test_one_mean_for_everybody_is_exact_and_keeps_intervals(sample_orders: forecast.Orders) -> None:
    model = forecast.fit(sample_orders, as_of=AS_OF, purchases="bg-nbd", spend="mean")
    scores = model.score(sample_orders, 91, 90, as_of=AS_OF)
    frame = forecast.purchase_histories(sample_orders, AS_OF).to_frame()
    mean = (frame["monetary_count"] * frame["monetary_value"]).sum() / frame["monetary_count"].sum()
    np.testing.assert_allclose(scores["expected_purchase_value"], mean, rtol=2e-4)
    assert np.ptp(scores["expected_purchase_value"]) < 1e-6
    total = model.portfolio(sample_orders, 91, 90, as_of=AS_OF, draws=400).set_index("target").loc["value"]
    assert total["lo-90"] < total["expected"] < total["hi-90"]
    value = holdout(sample_orders, forecast.purchase_histories(sample_orders, AS_OF), "1997-12-30")
    inside = (value["actual_value"] >= scores["value-lo-90"]) & (
        value["actual_value"] <= scores["value-hi-90"]
    )
    assert 0.88 < inside.mean() < 0.98


def test_the_mean_is_the_limit_of_gamma_gamma() -> None:
    """With draws the mean is unsure as it should be; a single draw is the maximum; units only scale."""
    rng = np.random.default_rng(2)
    n = rng.integers(1, 6, 4000).astype(float)
    counts = SpendCounts(n, rng.gamma(3.0 * n, 20.0 / (3.0 * n)), np.ones(4000))
    point, draws = fit_mean_spend(counts), fit_mean_spend(counts, "laplace")
    p, q, gamma = point.each_draw()[0]
    assert q == LARGE_Q
    assert p == pytest.approx(3.0, rel=0.05)
    assert p * gamma / (q - 1.0) == pytest.approx((n * counts.mean).sum() / n.sum(), rel=1e-9)
    means = draws.draws["p"] * draws.draws["gamma"] / (LARGE_Q - 1.0)
    expected = 20.0 / np.sqrt(3.0 * n.sum())
    assert means.std() == pytest.approx(expected, rel=0.2)
    cents = fit_mean_spend(replace(counts, mean=100.0 * counts.mean)).each_draw()[0]
    assert cents == pytest.approx((p, q, 100.0 * gamma), rel=1e-5)


def test_a_shop_of_one_price_can_be_fitted_with_the_mean() -> None:
    frame = shop(0.0, 0.0).assign(value=9.99)
    orders = forecast.read_orders(frame)
    with pytest.raises(forecast.FitError, match="same mean purchase value"):
        forecast.fit(orders, purchases="bg-nbd")
    scores = forecast.fit(orders, purchases="bg-nbd", spend="mean").score(orders, 91)
    np.testing.assert_allclose(scores["expected_purchase_value"], 9.99, rtol=1e-6)


def test_the_master_cohort_by_all_purchases(
    master_orders: forecast.Orders, master_histories: Histories
) -> None:
    """evaluation 2c: Gini .672 and capture .516 by repeat purchases, .709 and .524 by all."""
    actual = holdout(master_orders, master_histories, "1998-06-30")["actual_value"].to_numpy()
    found = {}
    for basis in ("repeat", "all"):
        model = fit_clv(master_histories, "bg-nbd", "mle", spend=basis)
        customers = Customers.from_frame(master_histories.to_frame(), model)
        value = predict_customers(model, customers, days=273)["expected_value"]
        found[basis] = normalised_gini(actual, value), top_share_capture(actual, value, 0.1)
    assert found["repeat"] == pytest.approx((0.672, 0.516), abs=0.001)
    assert found["all"] == pytest.approx((0.709, 0.524), abs=0.001)
    assert choose_spend(master_orders, AS_OF).basis == "all"


def test_candidates_carry_what_spend_is_learned_from(sample_orders: forecast.Orders) -> None:
    assert Candidate.parse("bg-nbd+level+all-spend") == Candidate("bg-nbd", level=True, spend="all")
    assert Candidate("bg-nbd", spend="mean").name == "bg-nbd+mean-spend"
    with pytest.raises(forecast.ArgumentError, match=r"is not understood.*MODEL\+all-spend"):
        Candidate.parse("bg-nbd+all-spend+mean-spend")
    found = backtest(sample_orders, 91, 3, candidates="bg-nbd,bg-nbd+all-spend", draws=20)
    both = found.summary().pivot(index="target", columns="model", values="gini")
    assert both.loc["orders", "bg-nbd"] == both.loc["orders", "bg-nbd+all-spend"]
    assert both.loc["value", "bg-nbd"] < both.loc["value", "bg-nbd+all-spend"]


def test_names_and_defaults() -> None:
    assert [check_spend(None, "auto"), check_spend(None, "bg-nbd"), check_spend("all", "auto")] == [
        "auto", "repeat", "all",
    ]  # fmt: skip
    with pytest.raises(forecast.ArgumentError, match="Choose auto, repeat, all or mean"):
        check_spend("median", "auto")
    with pytest.raises(forecast.FitError, match="too few customers"):
        expected_spend(pd.DataFrame({"monetary_count": [1], "monetary_value": [5.0]}), "mean")


def test_independence_has_its_nominal_error() -> None:
    """Simulated independent customers: the 95 % interval holds 0 about 95 times in 100."""
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(200):
        n = 1.0 + rng.geometric(0.5, 400)
        mean = rng.gamma(6.0 * n, 1.0 / (6.0 * n)) * 20.0 / rng.gamma(4.0, 1.0, 400)
        found = independence(n, mean, np.ones(400), 6.0)
        hits += found["lower_95"] <= 0.0 <= found["upper_95"]
    assert 180 <= hits <= 198


def test_dependence_is_measured_and_told_whatever_the_unit() -> None:
    rng = np.random.default_rng(6)
    n = 1.0 + rng.geometric(0.3, 3000)
    mean = 30.0 * n**0.3 * rng.gamma(8.0 * n, 1.0 / (8.0 * n))
    found = independence(n, mean, np.ones(3000), 8.0)
    assert found["doubled"] == pytest.approx(2.0**0.3, abs=0.02)
    assert found["lower_95"] > 0.0
    assert "strong" in found["text"]
    assert "value of frequent buyers is understated" in found["text"]
    cents = independence(n, 100.0 * mean, np.ones(3000), 8.0)
    assert cents["correlation"] == pytest.approx(found["correlation"], abs=1e-12)
    less = independence(n, mean / n**0.6, np.ones(3000), 8.0)
    assert "overstated and of rare ones understated" in less["text"]
    assert "too few" in independence(n[:5], mean[:5], np.ones(5), 8.0)["text"]


def test_the_model_carries_the_check_and_the_backtest_the_damage(sample_orders: forecast.Orders) -> None:
    model = forecast.fit(sample_orders, as_of=AS_OF, purchases="bg-nbd", method="mle")
    check = model.spend_check
    assert check is not None
    assert check["lower_95"] < check["correlation"] < check["upper_95"]
    assert check["text"] in model.card("shop")
    found = backtest(sample_orders, 91, 1, candidates="bg-nbd,global-mean", draws=20)
    table = found.spend_by_frequency()
    assert set(table["repeat_purchases"]) == {"0", "1", "2", "3+"}
    own = found.forecasts.query("model == 'bg-nbd' and frequency == 1")
    row = table.query("model == 'bg-nbd' and repeat_purchases == '1'").iloc[0]
    assert row["forecast"] == pytest.approx(own["expected_value"].sum() / own["expected_purchases"].sum())
    assert len(spend_by_frequency(found.board[found.board["group"] == "none"])) == 0


def test_groups_and_one_mean_go_together() -> None:
    frame = shop(0.5, 0.3, 400)
    frame["channel"] = np.where(frame["customer_id"].str[-1] < "5", "web", "store")
    orders = forecast.read_orders(frame)
    model = forecast.fit(orders, purchases="bg-nbd", by="channel", spend="mean")
    assert "## Groups" in model.card("shop")
    assert set(model.score(orders, 91)["spend_basis"]) == {"population"}
    pooled = forecast.fit(orders, purchases="bg-nbd", by="channel", spend="all")
    assert set(pooled.score(orders, 91)["spend_basis"]) == {"own purchases", "first purchase, shrunk"}


def test_a_log_without_money_has_no_spend() -> None:
    orders = forecast.read_orders(forecast.cdnow().drop(columns=["value"]), mapping={"value": None})
    model = forecast.fit(orders, as_of=AS_OF, spend="auto", purchases="bg-nbd")
    assert model.spend is None
    assert model.spend_check is None
