"""The simple rules, on CDNOW's known numbers and on shops small enough to reckon by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.datasets import CDNOW_AS_OF, cdnow
from forecast.errors import ArgumentError, InputError
from forecast.evaluation import baselines
from forecast.evaluation.baselines import (
    BASELINES,
    formula_clv,
    global_mean,
    hiatus,
    naive_last_period,
    same_period_last_year,
)
from forecast.evaluation.metrics import bias, mae, normalised_gini, rmse, top_share_capture

H = 273
AS_OF = pd.Timestamp(CDNOW_AS_OF)


@pytest.fixture(scope="module")
def shop() -> pd.DataFrame:
    orders = cdnow()
    by_day = orders.groupby(["customer_id", "order_date"], as_index=False).agg(
        value=("value", "sum"), orders=("value", "size")
    )
    known = by_day[by_day["order_date"] <= AS_OF]
    by = known.groupby("customer_id")
    frame = pd.DataFrame(
        {
            "purchases": by.size(),
            "orders": by["orders"].sum(),
            "historical_value": by["value"].sum(),
            "first_value": by["value"].first(),
        }
    )
    first, last = by["order_date"].min(), by["order_date"].max()
    frame["frequency"] = frame["purchases"] - 1
    frame["recency"] = (last - first).dt.days
    frame["T"] = (AS_OF - first).dt.days
    frame["actual"] = by_day[by_day["order_date"] > AS_OF].groupby("customer_id").size()
    frame["actual"] = frame["actual"].fillna(0.0)
    repeats = known[by.cumcount() > 0]
    window = repeats[repeats["order_date"] > AS_OF - pd.Timedelta(days=H)].groupby("customer_id")["value"]
    frame["previous_purchases"] = window.size()
    frame["previous_value"] = window.sum()
    return frame.fillna({"previous_purchases": 0.0, "previous_value": 0.0})


def test_the_hiatus_row_of_cdnow(shop: pd.DataFrame) -> None:
    """Known numbers: 2,592.2 forecast of 1,882, +37.7 %, MAE .939, RMSE 2.187, Gini .645, top tenth .463."""
    forecast = hiatus(shop, H).expected_purchases
    actual = shop["actual"]
    assert forecast.sum() == pytest.approx(2592.2, abs=0.05)
    assert bias(forecast.sum(), actual.sum()) == pytest.approx(0.377, abs=5e-4)
    assert mae(actual, forecast) == pytest.approx(0.939, abs=5e-4)
    assert rmse(actual, forecast) == pytest.approx(2.187, abs=5e-4)
    assert normalised_gini(actual, forecast) == pytest.approx(0.645, abs=5e-4)
    assert top_share_capture(actual, forecast) == pytest.approx(0.463, abs=2e-3)


def test_the_naive_row_of_cdnow_without_first_purchases(shop: pd.DataFrame) -> None:
    forecast = BASELINES["naive"](shop, H).expected_purchases.sum()
    assert forecast == 2457
    assert bias(forecast, 1882) == pytest.approx(0.306, abs=1e-3)
    # With the first purchases it would be the known +155.8 %.
    assert bias(forecast + len(shop), 1882) == pytest.approx(1.558, abs=1e-3)


def test_global_mean_and_formula_on_cdnow(shop: pd.DataFrame) -> None:
    forecast = global_mean(shop, H)
    assert np.ptp(forecast.expected_purchases) == np.ptp(forecast.expected_value) == 0
    total_age = shop["T"].sum()
    assert forecast.expected_purchases.sum() == pytest.approx(len(shop) * 2457 / total_age * H)
    repeat_value = (shop["historical_value"] - shop["first_value"]).sum()
    assert forecast.expected_value.sum() == pytest.approx(len(shop) * repeat_value / total_age * H)
    formula = formula_clv(shop, H)
    aov = shop["historical_value"].sum() / shop["orders"].sum()
    per_year = shop["orders"].sum() / (total_age / 365.25)
    assert formula.expected_value[0] == pytest.approx(aov * per_year * H / 365.25)
    assert formula.expected_purchases[0] == pytest.approx(shop["purchases"].sum() / total_age * H)
    assert normalised_gini(shop["actual"], formula.expected_value) == pytest.approx(0.0, abs=1e-9)


def test_the_formula_by_hand() -> None:
    """Two orders of 100 and 50 in two customer-years: AOV 75, one order a year, half a year: 37.5."""
    shop = {"orders": [2, 0], "purchases": [2, 0], "T": [365.25, 365.25], "historical_value": [150.0, 0.0]}
    half = formula_clv(shop, 183)
    assert half.expected_value == pytest.approx(np.full(2, 75 * 183 / 365.25))
    assert half.expected_purchases == pytest.approx(np.full(2, 183 / 365.25))


def test_the_hiatus_border_and_newcomers() -> None:
    shop = {
        "frequency": [1, 1, 0, 0],
        "recency": [19, 18, 0, 0],
        "T": [200, 200, 0, 100],
        "historical_value": [30.0, 30.0, 5.0, 5.0],
        "first_value": [10.0, 10.0, 5.0, 5.0],
    }
    forecast = hiatus(shop, 100)  # last purchase 181 and 182 days ago; on as_of itself; never again
    assert forecast.expected_purchases.tolist() == [0.5, 0.0, 0.0, 0.0]
    assert forecast.expected_value.tolist() == [10.0, 0.0, 0.0, 0.0]
    assert hiatus(shop, 100, days=183).expected_purchases.tolist() == [0.5, 0.5, 0.0, 0.0]


def test_last_year_exists_after_a_year() -> None:
    assert same_period_last_year([1, 2], [5.0, 6.0], 365, 91).expected_purchases.tolist() == [1.0, 2.0]
    assert np.isnan(same_period_last_year([1, 2], [5.0, 6.0], 364, 91)).all()
    assert np.isnan(same_period_last_year([1, 2], [5.0, 6.0], 800, 366)).all()
    rule = BASELINES["last-year"]
    young = pd.DataFrame({"T": [100, 200]})
    assert np.isnan(rule(young, 91)).all()
    old = pd.DataFrame({"T": [100, 365], "last_year_purchases": [0, 3], "last_year_value": [0.0, 9.0]})
    assert rule(old, 91).expected_value.tolist() == [0.0, 9.0]
    with pytest.raises(InputError, match="columns are missing: last_year_purchases, last_year_value"):
        rule(old[["T"]], 91)


@pytest.mark.parametrize("name", BASELINES)
def test_every_rule_names_what_it_reads(name: str, shop: pd.DataFrame) -> None:
    rule = BASELINES[name]
    assert rule.name == name
    assert rule.description.endswith(".")
    full = shop.assign(T=shop["T"] + 365, last_year_purchases=0.0, last_year_value=0.0)
    forecast = rule(full[list(rule.columns)], "91D")
    assert all(part.shape == (len(shop),) and np.isfinite(part).all() for part in forecast)
    for column in rule.columns:
        with pytest.raises(InputError, match=f"columns are missing: {column}"):
            rule(full[list(rule.columns)].drop(columns=column), 91)
        with pytest.raises(InputError, match=f"values are missing, in {column}"):
            rule(full.assign(**{column: np.nan}), 91)
    with pytest.raises(ArgumentError, match="horizon is not positive"):
        rule(full, 0)


def test_results_are_copies() -> None:
    counts = np.array([1.0, 2.0])
    naive_last_period(counts, counts).expected_purchases[0] = 9
    assert counts[0] == 1.0


@pytest.mark.parametrize("rule", [global_mean, formula_clv])
def test_no_time_observed(rule: Any) -> None:
    columns = ["frequency", "recency", "orders", "purchases", "historical_value", "first_value"]
    shop = pd.DataFrame({**{name: [1.0, 1.0] for name in columns}, "T": [0.0, 0.0]})
    with pytest.raises(InputError, match="no time was observed"):
        rule(shop, 91)
    with pytest.raises(InputError, match="T is negative"):
        rule(shop.assign(T=[-1.0, 5.0]), 91)


def test_no_orders() -> None:
    shop = {"orders": [0], "purchases": [0], "T": [10.0], "historical_value": [0.0]}
    with pytest.raises(InputError, match="there are no orders"):
        formula_clv(shop, 91)


def test_the_registry_is_complete() -> None:
    assert list(BASELINES) == ["global-mean", "naive", "last-year", "hiatus", "formula"]
    assert baselines.HIATUS_DAYS == 26 * 7
