"""Historical CLV: definitions by hand, sums that agree, blanks for what has not happened yet."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from forecast.errors import ArgumentError, InputError
from forecast.history import historical_clv
from forecast.orders import read_orders

LOG = pd.DataFrame(
    {
        "customer_id": ["a", "a", "a", "b", "b", "c", "d"],
        "order_date": [
            "2024-01-01",
            "2024-01-11",
            "2024-03-01",
            "2024-01-31",
            "2024-01-31",
            "2024-02-10",
            "2024-03-15",
        ],
        "value": [10.0, 20.0, 30.0, 5.0, 15.0, 40.0, 80.0],
        "items": [1, 2, 3, 1, 1, None, 2],
        "channel": ["web", "app", "app", "web", "web", None, "app"],
    }
)


@pytest.fixture(scope="module")
def orders():
    return read_orders(LOG, currency="EUR")


@pytest.fixture(scope="module")
def history(orders):
    return historical_clv(orders, "2024-03-15", by="channel")


def test_the_numbers_by_hand(history):
    summary = history.summary
    assert (summary["customers"], summary["orders"], summary["purchases"]) == (4, 7, 6)
    assert (summary["revenue"], summary["aov"]) == (200.0, 200 / 7)
    assert (summary["repeat_customers"], summary["repeat_rate"]) == (1, 0.25)
    # Customer a alone came back: gaps of 10 and 50 days.
    assert (summary["days_between_mean"], summary["days_between_median"]) == (30.0, 30.0)
    assert summary["lifespan_years"] == pytest.approx(60 / 365.25)
    observed = (74 + 1) + (44 + 1) + (34 + 1) + (0 + 1)
    assert summary["purchase_frequency"] == pytest.approx(7 / (observed / 365.25))
    product = summary["aov"] * summary["purchase_frequency"] * summary["lifespan_years"]
    assert summary["formula_clv"] == pytest.approx(product)
    assert summary["items_per_order"] == pytest.approx(10 / 6)
    assert summary["value_per_customer"] == 50.0


def test_ten_orders_of_60_in_two_years_are_600():
    days = pd.date_range("2022-01-01", periods=10, freq="73D")
    history = historical_clv(
        read_orders(pd.DataFrame({"customer_id": "a", "order_date": days, "value": 60.0}))
    )
    assert history.customers["value"].tolist() == [600.0]
    assert history.summary["revenue"] == 600.0


def test_the_definitions_stand_beside_the_numbers(history):
    summary = history.summary
    described = summary["definitions"]
    assert set(described) <= set(summary)
    assert described["aov"]["unit"] == "EUR"
    assert "repeat purchase" in described["lifespan_years"]["definition"]
    assert "customer-years" in described["purchase_frequency"]["definition"]
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert (summary["as_of"], summary["currency"], summary["value_policy"]) == ("2024-03-15", "EUR", "value")


def test_value_by_age_counts_only_customers_who_are_old_enough(history):
    ltv = history.summary["cohort_ltv"]
    assert ltv["0"] == {"value": (10 + 20 + 40 + 80) / 4, "customers": 4}
    assert ltv["30"] == {"value": (30 + 20 + 40) / 3, "customers": 3}
    assert ltv["60"] == {"value": 60.0, "customers": 1}
    assert ltv["90"] == {"value": None, "customers": 0}


def test_concentration(history):
    summary = history.summary
    # Values 80, 60, 40, 20: the top 20 % are one customer.
    assert summary["top_20_share"] == summary["top_1_share"] == 0.4
    assert summary["gini"] == pytest.approx(0.25)
    alike = LOG.assign(customer_id=list("abcdefg"), value=3.0)
    assert historical_clv(read_orders(alike)).summary["gini"] == pytest.approx(0.0, abs=1e-12)


def test_customers(history):
    frame = history.customers
    assert frame.columns.tolist() == [
        "customer_id",
        "orders",
        "purchases",
        "value",
        "aov",
        "first_purchase",
        "last_purchase",
        "days_between_mean",
        "days_between_median",
        "cohort",
    ]
    assert frame["value"].tolist() == [60.0, 20.0, 40.0, 80.0]
    assert frame["cohort"].tolist() == ["2024-01", "2024-01", "2024-02", "2024-03"]
    assert frame["days_between_median"].tolist()[0] == 30.0
    assert frame["days_between_mean"].isna().tolist() == [False, True, True, True]
    assert frame["aov"].tolist() == [20.0, 10.0, 40.0, 80.0]


def test_cohorts_are_blank_where_nothing_was_seen_yet(history):
    frame = history.cohorts
    assert frame.columns.tolist() == [
        "cohort",
        "age",
        "customers",
        "active",
        "orders",
        "value",
        "cumulative_value_per_customer",
        "partial",
    ]
    assert len(frame) == 9
    first = frame[frame["cohort"] == "2024-01"]
    assert first["active"].tolist() == [2, 0, 1]
    assert first["value"].tolist() == [50.0, 0.0, 30.0]
    assert first["cumulative_value_per_customer"].tolist() == [25.0, 25.0, 40.0]
    assert first["partial"].tolist() == [False, False, True]
    last = frame[frame["cohort"] == "2024-03"]
    assert last["active"].isna().tolist() == [False, True, True]
    assert last["value"].isna().tolist() == [False, True, True]
    assert last["partial"].tolist() == [True, False, False]


def test_a_finished_month_is_not_partial(orders):
    frame = historical_clv(orders, "2024-03-31").cohorts
    assert not frame["partial"].any()
    quarters = historical_clv(orders, "2024-03-31", cohort="Q").cohorts
    assert quarters["cohort"].tolist() == ["2024Q1"]
    assert not quarters["partial"].any()
    assert historical_clv(orders, "2024-03-30", cohort="Q").cohorts["partial"].tolist() == [True]


def test_groups_come_from_the_first_order(history):
    frame = history.by.set_index("channel")
    assert frame.index.tolist() == ["app", "unknown", "web"]
    assert frame["customers"].tolist() == [1, 1, 2]
    assert frame["revenue"].tolist() == [80.0, 40.0, 80.0]
    assert frame["cohort_ltv_30_customers"].tolist() == [0, 1, 2]
    assert historical_clv(read_orders(LOG)).by is None


def test_sums_agree_to_the_cent():
    rng = np.random.default_rng(1)
    n = 5000
    frame = pd.DataFrame(
        {
            "customer_id": rng.integers(0, 900, n).astype(str),
            "order_date": pd.Timestamp("2023-01-05") + pd.to_timedelta(rng.integers(0, 500, n), "D"),
            "value": rng.gamma(2, 20, n).round(2),
            "channel": rng.choice(["web", "app"], n),
        }
    )
    orders = read_orders(frame)
    for cohort in ("M", "Q"):
        history = historical_clv(orders, "2024-03-10", by="channel", cohort=cohort)
        revenue = frame.loc[frame["order_date"] <= "2024-03-10", "value"].sum()
        assert history.summary["revenue"] == pytest.approx(revenue, abs=0.005)
        assert history.customers["value"].sum() == pytest.approx(revenue, abs=0.005)
        assert history.cohorts["value"].sum() == pytest.approx(revenue, abs=0.005)
        assert history.by["revenue"].sum() == pytest.approx(revenue, abs=0.005)
        assert history.cohorts["orders"].sum() == history.summary["orders"] == history.by["orders"].sum()
        size = history.cohorts.drop_duplicates("cohort")["customers"].sum()
        assert size == history.summary["customers"] == len(history.customers)


def test_margin_applies_to_all_money_but_revenue(orders, history):
    thin = historical_clv(orders, "2024-03-15", margin=0.25)
    assert thin.summary["revenue"] == 200.0
    for name in ("value", "aov", "formula_clv", "value_per_customer"):
        assert thin.summary[name] == pytest.approx(0.25 * history.summary[name])
    assert thin.customers["value"].sum() == pytest.approx(50.0)
    assert thin.cohorts["value"].sum() == pytest.approx(50.0)
    assert thin.summary["top_1_share"] == history.summary["top_1_share"]


def test_a_log_without_money():
    history = historical_clv(read_orders(LOG, mapping={"value": None}), by="channel")
    summary = history.summary
    assert summary["customers"] == 4
    for name in ("revenue", "value", "aov", "formula_clv", "gini", "top_1_share"):
        assert summary[name] is None
    assert summary["cohort_ltv"]["0"] == {"value": None, "customers": 4}
    assert history.customers["value"].isna().all()
    assert history.cohorts["value"].isna().all()
    assert history.cohorts["orders"].sum() == 7


def test_only_one_time_buyers():
    summary = historical_clv(read_orders(LOG.drop_duplicates("customer_id"))).summary
    assert summary["repeat_rate"] == 0.0
    for name in ("lifespan_years", "formula_clv", "days_between_mean", "days_between_median"):
        assert summary[name] is None


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"margin": 30}, "write 0.3 for 30 %"),
        ({"cohort": "W"}, "cohort is 'W'"),
        ({"by": "country"}, "no column 'country'"),
        ({"by": ["channel"]}, "Give one column name"),
    ],
)
def test_refused_options(orders, options, match):
    with pytest.raises(ArgumentError, match=match):
        historical_clv(orders, **options)


def test_as_of_before_the_data(orders):
    with pytest.raises(InputError, match="before the first order"):
        historical_clv(orders, "2020-01-01")
