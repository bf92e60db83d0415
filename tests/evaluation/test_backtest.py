"""Backtests: no leak, the right windows, sums that hold, and losers that are seen."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import forecast
from forecast.evaluation.backtest import Backtest, backtest, plan_origins
from forecast.evaluation.baselines import BASELINES
from forecast.evaluation.candidates import check_candidates
from forecast.summary import purchase_histories, purchases_between

FIRST, LAST = dt.date(1997, 1, 1), dt.date(1998, 6, 30)


@pytest.fixture(scope="module")
def found(sample_orders: forecast.Orders) -> Backtest:
    return backtest(sample_orders, "1Q", 4, draws=300)


def test_windows_in_quarters() -> None:
    assert plan_origins(FIRST, LAST, "1Q", 3) == [
        (dt.date(1997, 9, 30), dt.date(1997, 12, 31)),
        (dt.date(1997, 12, 31), dt.date(1998, 3, 31)),
        (dt.date(1998, 3, 31), dt.date(1998, 6, 30)),
    ]
    running = plan_origins(FIRST, dt.date(1998, 6, 29), "1Q", 1)
    assert running == [(dt.date(1997, 12, 31), dt.date(1998, 3, 31))]
    fiscal = plan_origins(FIRST, LAST, "1Q", 1, fiscal_year_start=2)
    assert fiscal == [(dt.date(1998, 1, 31), dt.date(1998, 4, 30))]
    assert plan_origins(FIRST, LAST, "2Q", 1) == [(dt.date(1997, 12, 31), dt.date(1998, 6, 30))]


def test_windows_in_days() -> None:
    windows = plan_origins(FIRST, LAST, 91, 3, 30)
    assert [(end - cut).days for cut, end in windows] == [91, 91, 91]
    assert windows[-1][1] == LAST
    assert [(b[0] - a[0]).days for a, b in pairwise(windows)] == [30, 30]


def later_rows_changed(frame: pd.DataFrame, cut: str, seed: int) -> pd.DataFrame:
    """Every row after the cut gets another customer, another amount and another later day."""
    rng = np.random.default_rng(seed)
    later = (frame["order_date"] > cut).to_numpy()
    changed = frame.copy()
    changed.loc[later, "customer_id"] = rng.permutation(frame.loc[later, "customer_id"].to_numpy())
    changed.loc[later, "value"] = rng.gamma(2.0, 50.0, int(later.sum())).round(2)
    changed.loc[later, "order_date"] = rng.permutation(frame.loc[later, "order_date"].to_numpy())
    return changed


@pytest.mark.parametrize("cut", ["1997-12-31", "1998-03-31"])
def test_nothing_after_the_cut_can_reach_a_forecast(found: Backtest, cut: str) -> None:
    changed = forecast.read_orders(later_rows_changed(forecast.cdnow(), cut, 1), currency="USD")
    other = backtest(changed, "1Q", 4, draws=300)
    said = ["customer_id", "expected_purchases", "p_purchase", "expected_value"]
    rows = [f[(f["cutoff"] <= cut)].reset_index(drop=True) for f in (found.forecasts, other.forecasts)]
    pd.testing.assert_frame_equal(rows[0][["cutoff", "model", *said]], rows[1][["cutoff", "model", *said]])
    assert set(rows[0]["model"]) >= {"auto", "bg-nbd", "nbd", "naive", "hiatus", "global-mean", "formula"}
    last = rows[0]["cutoff"] == cut
    assert (rows[0].loc[last, "actual_purchases"] != rows[1].loc[last, "actual_purchases"]).any()
    lines = ["forecast", "lo-90", "hi-90"]
    boards = [
        b[(b["cutoff"] <= cut) & (b["scope"] == "portfolio") & b["metric"].isin(lines)].reset_index(drop=True)
        for b in (found.board, other.board)
    ]
    pd.testing.assert_frame_equal(*boards)


def test_a_leak_would_be_seen(found: Backtest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The canary sings: with the cut taken away from the reader, forecasts do change."""
    from forecast.orders import Orders

    monkeypatch.setattr(Orders, "until", lambda self, as_of: self)
    real = purchase_histories
    monkeypatch.setattr(
        "forecast.evaluation.rolling.purchase_histories", lambda orders, as_of: real(orders, LAST)
    )
    leaky = backtest(
        forecast.read_orders(forecast.cdnow(), currency="USD"), "1Q", 1, candidates="bg-nbd", draws=50
    )
    cut = found.forecasts["cutoff"].max()
    honest = found.forecasts[(found.forecasts["model"] == "bg-nbd") & (found.forecasts["cutoff"] == cut)]
    assert leaky.forecasts["expected_purchases"].sum() != pytest.approx(
        honest["expected_purchases"].sum(), rel=1e-3
    )


def test_sums_hold_at_every_origin(found: Backtest) -> None:
    board = found.board
    for (cut, model), rows in found.forecasts.groupby(["cutoff", "model"]):
        own = board[(board["cutoff"] == cut) & (board["model"] == model)]

        def total(scope: str, group: str | None, metric: str, own: pd.DataFrame = own) -> float:
            keep = (own["scope"] == scope) & (own["metric"] == metric)
            return float(own[keep & (own["group"] == group if group else True)]["value"].sum())

        assert total("portfolio", "orders", "forecast") == pytest.approx(rows["expected_purchases"].sum())
        assert total("portfolio", "orders", "actual") == rows["actual_purchases"].sum()
        for scope in ("frequency", "cohort"):
            assert total(scope, None, "orders-forecast") == pytest.approx(rows["expected_purchases"].sum())
            assert total(scope, None, "value-actual") == pytest.approx(rows["actual_value"].sum())


def test_known_and_new_customers_are_apart_and_add_up(
    found: Backtest, sample_orders: forecast.Orders
) -> None:
    board = found.board[found.board["model"] == "actual"]
    daily = sample_orders.relation().to_arrow_table().to_pandas()
    for cut, rows in board.groupby("cutoff"):
        wide = rows.pivot(index="scope", columns="group", values="value")
        assert (wide.loc["known customers"] + wide.loc["new customers"]).to_dict() == pytest.approx(
            wide.loc["all customers"].to_dict()
        )
        end = cut + pd.Timedelta(days=int(rows["horizon_days"].iloc[0]))
        day = pd.to_datetime(daily["order_day"])
        inside = daily[(day > cut) & (day <= end)]
        assert inside["value"].sum() == pytest.approx(wide.loc["all customers", "value"])
        assert (
            len(inside.drop_duplicates(["customer_id", "order_day"])) == wide.loc["all customers", "orders"]
        )


def test_the_board_shows_losers_and_says_what_could_not_run(found: Backtest) -> None:
    summary = found.summary()
    assert set(summary["model"]) == {"auto", "bg-nbd", "nbd", "mbg-nbd", "pareto-nbd", *BASELINES}
    orders = summary[summary["target"] == "orders"].set_index("model")
    assert orders.loc["bg-nbd", "wape"] < orders.loc["formula", "wape"]
    assert orders.loc["last-year", "origins"] == 1
    chosen = [note for note in found.notes if note.startswith("auto at ")]
    assert len(chosen) == 4
    others = [note for note in found.notes if note not in chosen]
    assert len(others) == 3
    assert all("needs a year of history" in note for note in others)


def test_numbers_on_cdnow_as_published(found: Backtest) -> None:
    """evaluation: BG/NBD's quarterly errors on the sample after the first quarter, refitted."""
    board = found.board[(found.board["scope"] == "portfolio") & (found.board["model"] == "bg-nbd")]
    bias = board[(board["group"] == "orders") & (board["metric"] == "bias")]["value"]
    assert bias.abs().mean() == pytest.approx(0.1185, abs=0.001)


def test_without_refit_the_first_fit_is_kept(sample_orders: forecast.Orders) -> None:
    kept = backtest(sample_orders, "1Q", 2, refit=False, candidates="bg-nbd", draws=50)
    fresh = backtest(sample_orders, "1Q", 2, candidates="bg-nbd", draws=50)
    cuts = sorted(kept.forecasts["cutoff"].unique())
    same = [
        kept.forecasts.query("cutoff == @c")["expected_purchases"].sum()
        == fresh.forecasts.query("cutoff == @c")["expected_purchases"].sum()
        for c in cuts
    ]
    assert same == [True, False]


def test_the_same_seed_gives_the_same_board(sample_orders: forecast.Orders) -> None:
    boards = [
        backtest(sample_orders, 91, 1, candidates="bg-nbd,hiatus", draws=100, seed=5).board for _ in range(2)
    ]
    pd.testing.assert_frame_equal(*boards)


def test_a_log_without_money_is_backtested_on_orders_alone() -> None:
    frame = forecast.cdnow()
    orders = forecast.read_orders(frame.drop(columns=["value"]), mapping={"value": None})
    found = backtest(orders, "1Q", 1, draws=50)
    assert set(found.summary()["target"]) == {"orders"}
    assert {"bg-nbd", "naive"} <= set(found.summary()["model"])


def test_progress_is_told(sample_orders: forecast.Orders) -> None:
    seen: list[tuple[Any, ...]] = []
    backtest(sample_orders, 91, 1, candidates="naive,hiatus", progress=lambda *a: seen.append(a))
    assert [s[1:] for s in seen] == [(0, 2), (1, 2), (2, 2)]


def test_repeat_purchases_between_leave_first_purchases_out(sample_orders: forecast.Orders) -> None:
    histories = purchase_histories(sample_orders, "1997-09-30")
    whole = purchases_between(sample_orders, histories, dt.date(1996, 12, 31), dt.date(1997, 9, 30))
    frame = histories.to_frame()
    assert (whole["purchases"] == frame["frequency"]).all()
    assert whole["value"].sum() == pytest.approx((frame["historical_value"] - frame["first_value"]).sum())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"h": 0}, "horizon is not positive"),
        ({"h": "1Q", "step_size": 91}, "do not go together"),
        ({"h": 91, "step_size": "1Q"}, "do not go together.*Give both in days"),
        ({"h": "aQ"}, "horizon is not understood"),
        ({"n_windows": 0}, "number of origins is 0"),
        ({"n_windows": 1.5}, "number of origins is 1.5"),
        ({"n_windows": 99}, r"too short for 99 origins of 91, in orders from 1997-01-01"),
        ({"candidates": "lstm"}, r"unknown candidates: lstm. Choose from auto, bg-nbd"),
        ({"candidates": []}, "unknown candidates: none given"),
    ],
)
def test_what_cannot_be_meant(options: dict[str, Any], message: str, sample_orders: forecast.Orders) -> None:
    with pytest.raises(forecast.ArgumentError, match=message):
        backtest(sample_orders, **options)


def test_when_nothing_can_be_fitted_it_says_so() -> None:
    frame = pd.DataFrame({"customer_id": [f"c{i}" for i in range(50)], "value": 9.0})
    frame["order_date"] = pd.date_range("2023-01-01", periods=50, freq="7D")
    orders = forecast.read_orders(frame)
    with pytest.raises(
        forecast.FitError, match=r"no candidate could be fitted.*no customer has a repeat purchase"
    ):
        backtest(orders, 30, 1, candidates="bg-nbd")
    assert len(backtest(orders, 30, 1, candidates="bg-nbd,naive").notes) == 1


def test_candidates_are_known_names() -> None:
    assert check_candidates(None)[:2] == ["auto", "bg-nbd"]
    assert check_candidates(["naive", "naive"]) == ["naive"]


def test_a_frame_is_no_orders() -> None:
    frame = forecast.cdnow()
    model = forecast.load(Path(__file__).parents[2] / "models" / "cdnow")
    for call in (
        lambda: forecast.fit(frame),
        lambda: forecast.backtest(frame),
        lambda: forecast.historical_clv(frame),
        lambda: forecast.purchase_histories(frame),
        lambda: model.score(frame),
    ):
        with pytest.raises(
            forecast.ArgumentError, match=r"orders are needed, not DataFrame\. Read them first"
        ):
            call()
