"""Purchase histories: the published numbers of CDNOW, their definitions, and what must not change them."""

from __future__ import annotations

import datetime as dt
import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import forecast
from forecast.errors import ArgumentError, InputError
from forecast.orders import read_orders
from forecast.summary import daily_purchases, holdout, new_customers, purchase_histories

AS_OF, END = dt.date(1997, 9, 30), dt.date(1998, 6, 30)


@pytest.fixture(scope="module")
def cdnow():
    spec = importlib.util.find_spec("lifetimes")
    path = Path(spec.origin).parent / "datasets" / "CDNOW_sample.txt"
    names = ["master_id", "customer_id", "date", "cds", "dollars"]
    frame = pd.read_csv(
        path, sep=r"\s+", header=None, names=names, dtype={"customer_id": str, "master_id": str}
    )
    return read_orders(frame, mapping={"value": "dollars", "items": "cds"})


@pytest.fixture(scope="module")
def histories(cdnow):
    return purchase_histories(cdnow, AS_OF)


def test_cdnow_has_its_published_totals(cdnow, histories):
    frame = histories.to_frame()
    account = cdnow.reconciliation.by_code()
    assert (cdnow.n_orders, account["used"][0]) == (6919, 6696)
    assert len(frame) == len(histories) == 2357
    assert frame["frequency"].sum() == 2457
    assert frame["recency"].sum() / 7 == pytest.approx(16135.5714, abs=1e-3)
    assert frame["T"].sum() / 7 == pytest.approx(77111.2857, abs=1e-3)
    assert (frame["frequency"] == 0).sum() == 1411
    assert frame["historical_value"].sum() == pytest.approx(173_115.55, abs=1e-6)
    assert histories.after_as_of == {"rows": 1959, "value": 70_976.39}


def test_cdnow_spend_has_its_published_mean(histories):
    count, mean, weight = histories.spend_counts()
    assert weight.sum() == 946
    assert np.average(mean, weights=weight) == pytest.approx(35.0778, abs=1e-4)
    assert count.min() >= 1
    valued = histories.to_frame()["monetary_count"]
    assert (count * weight).sum() == valued.sum()


def test_cdnow_holdout(cdnow, histories):
    actual = holdout(cdnow, histories, END)
    assert actual["actual_purchases"].sum() == 1882
    assert actual["actual_value"].sum() == pytest.approx(70_976.39, abs=1e-6)
    assert actual["customer_id"].tolist() == histories.to_frame()["customer_id"].tolist()
    assert actual.dtypes.astype(str).tolist()[1:] == ["int64", "float64"]
    days = daily_purchases(cdnow, histories)
    assert len(days) == 546
    assert days["repeat_purchases"].sum() == 2457 + 1882
    assert days["value"].sum() == pytest.approx(244_091.94, abs=1e-6)
    new = new_customers(cdnow, "1997-02-28", AS_OF)
    assert new.customers + purchase_histories(cdnow, "1997-02-28").__len__() == 2357
    assert new.repeat_purchases == new.purchases - new.customers


def test_statistics_agree_with_the_customers(histories):
    frame = histories.to_frame()
    x, t_x, age, weight = histories.purchase_counts()
    assert weight.sum() == 2357
    assert {array.dtype.name for array in (x, t_x, age, weight)} == {"int64"}
    counted = frame.groupby(["frequency", "recency", "T"]).size().reset_index(name="n")
    assert np.array_equal(np.column_stack([x, t_x, age, weight]), counted.to_numpy())
    day, count = histories.repeat_days()
    assert day.dtype == "datetime64[D]"
    assert count.sum() == 2457
    assert day.max() <= np.datetime64(AS_OF)
    assert (count > 0).all()
    assert histories.paid_share == frame["monetary_count"].sum() / 2457


def test_batches_are_the_frame_in_pieces(histories):
    pieces = list(histories.batches(rows=500))
    assert [len(piece) for piece in pieces] == [500, 500, 500, 500, 357]
    assert pd.concat(pieces).equals(histories.to_frame())
    assert histories.to_arrow().num_rows == 2357
    with pytest.raises(ArgumentError, match="rows is 0"):
        next(histories.batches(rows=0))


LOG = pd.DataFrame(
    {
        "customer_id": ["a", "a", "a", "a", "b", "b", "c", "d"],
        "order_date": pd.to_datetime(
            [
                "2024-01-01",
                "2024-01-01",
                "2024-01-11",
                "2024-01-31",
                "2024-01-05",
                "2024-01-20",
                "2024-01-07",
                "2024-02-09",
            ]
        ),
        "value": [10.0, 5.0, 0.0, 30.0, 0.0, 8.0, 3.0, 1.0],
        "channel": ["web", "app", "web", "web", None, "app", "  ", "web"],
    }
)


def test_definitions_by_hand():
    histories = purchase_histories(read_orders(LOG), "2024-02-01", by=["channel"])
    frame = histories.to_frame().set_index("customer_id")
    assert frame.index.tolist() == ["a", "b", "c"]
    a = frame.loc["a"]
    # The first purchase (15) is left out of the mean, the free one says nothing about spend.
    assert (a["frequency"], a["recency"], a["T"], a["orders"], a["purchases"]) == (2, 30, 31, 4, 3)
    assert (a["monetary_value"], a["monetary_count"], a["first_value"], a["historical_value"]) == (
        30.0,
        1,
        15.0,
        45.0,
    )
    assert (frame.loc["b", "monetary_value"], frame.loc["b", "first_value"]) == (8.0, 0.0)
    assert np.isnan(frame.loc["c", "monetary_value"])
    assert frame["channel"].tolist() == ["app", "unknown", "unknown"]
    assert histories.after_as_of == {"rows": 1, "value": 1.0}
    assert histories.paid_share == pytest.approx(2 / 3)
    assert frame.dtypes.astype(str)[["frequency", "recency", "T", "monetary_count"]].unique().tolist() == [
        "int64"
    ]
    assert frame["first_purchase"].dtype == "datetime64[s]"


def test_groups_add_up_to_the_whole():
    histories = purchase_histories(read_orders(LOG), by="channel")
    *_, weight, labels = histories.purchase_counts(by="channel")
    assert {label: int(weight[labels == label].sum()) for label in set(labels)} == {
        "app": 1,
        "unknown": 2,
        "web": 1,
    }
    assert weight.sum() == len(histories)
    assert histories.spend_counts(by="channel")[3].tolist() == ["app", "unknown"]
    with pytest.raises(ArgumentError, match="no column 'country'"):
        histories.purchase_counts(by="country")


def test_orders_on_the_last_day_count_and_those_after_do_not():
    frame = pd.DataFrame(
        {"customer_id": "a", "value": 1.0, "ts": ["2024-01-01 23:59:59", "2024-01-02 23:59:59"]}
    )
    orders = read_orders(frame.rename(columns={"ts": "timestamp"}), timezone="UTC")
    early = purchase_histories(orders, "2024-01-01")
    assert early.to_frame()["frequency"].tolist() == [0]
    assert holdout(orders, early, "2024-01-02")["actual_purchases"].tolist() == [1]
    late = purchase_histories(orders, "2024-01-02")
    assert late.to_frame()["frequency"].tolist() == [1]
    assert holdout(orders, late, "2024-01-03")["actual_purchases"].tolist() == [0]


def test_as_of_before_inside_and_after():
    orders = read_orders(LOG)
    with pytest.raises(InputError, match="as_of 2023-12-31 is before the first order"):
        purchase_histories(orders, "2023-12-31")
    with pytest.raises(ArgumentError, match="not a day"):
        purchase_histories(orders, "soon")
    assert purchase_histories(orders).as_of == dt.date(2024, 2, 9)
    aged = purchase_histories(orders, "2024-02-19")
    assert aged.to_frame()["T"].tolist() == [49, 45, 43, 10]
    assert aged.notes == ()
    far = purchase_histories(orders, "2026-02-19")
    assert "741 days after the last order" in far.notes[0]


def test_as_of_is_the_same_as_cutting_the_orders():
    orders = read_orders(LOG)
    cut = purchase_histories(orders.until("2024-01-20"), "2024-01-20").to_frame()
    assert cut.equals(purchase_histories(orders, "2024-01-20").to_frame())


@pytest.mark.parametrize(
    ("by", "match"), [("country", "no column 'country'"), ("value", None), (["channel"] * 2, "cannot group")]
)
def test_by_is_checked(by, match):
    orders = read_orders(LOG)
    if match is None:
        assert purchase_histories(orders, by=by).to_frame()["value"].tolist() == ["10.0", "0.0", "3.0", "1.0"]
        return
    with pytest.raises(ArgumentError, match=match):
        purchase_histories(orders, by=by)


def test_columns_with_awkward_names():
    frame = LOG.rename(columns={"channel": 'day"'}).assign(v="x", n="y", day="z")
    orders = read_orders(frame, mapping={"order_date": "order_date"})
    found = purchase_histories(orders, by=['day"', "v", "n", "day"]).to_frame()
    assert found['day"'].tolist() == ["app", "unknown", "unknown", "web"]
    assert found["day"].unique().tolist() == ["z"]


def test_a_log_without_money():
    orders = read_orders(LOG, mapping={"value": None})
    histories = purchase_histories(orders, "2024-01-15")
    frame = histories.to_frame()
    assert frame[["monetary_value", "first_value", "historical_value"]].isna().all(axis=None)
    assert frame["monetary_count"].sum() == 0
    assert all(len(array) == 0 for array in histories.spend_counts())
    assert holdout(orders, histories, "2024-02-20")["actual_value"].isna().all()
    assert daily_purchases(orders)["value"].isna().all()


def test_holdout_from_another_log():
    earlier, later = read_orders(LOG.iloc[:6]), read_orders(LOG)
    histories = purchase_histories(earlier, "2024-01-15")
    assert holdout(later, histories, "2024-02-20")["actual_purchases"].tolist() == [1, 1]
    assert daily_purchases(later, histories)["purchases"].sum() == 5
    with pytest.raises(ArgumentError, match="not after as_of"):
        holdout(later, histories, "2024-01-15")
    with pytest.raises(ArgumentError, match="before start"):
        daily_purchases(later, start="2024-02-01", end="2024-01-01")


def test_days_without_purchases_are_there():
    days = daily_purchases(read_orders(LOG), start="2024-01-01", end="2024-01-11")
    assert days["purchases"].tolist() == [1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1]
    assert days["first_purchases"].sum() == 3
    assert days["value"].iloc[0] == 15.0


def test_closing_gives_the_table_back():
    histories = purchase_histories(read_orders(LOG))
    histories.close()
    tables = histories.connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
    assert histories.table not in {name for (name,) in tables}


def test_one_customer_one_day():
    histories = purchase_histories(read_orders(LOG.iloc[:2]))
    assert np.isnan(histories.paid_share)
    assert [array.tolist() for array in histories.purchase_counts()] == [[0], [0], [0], [1]]
    assert [array.tolist() for array in histories.repeat_days()] == [[], []]


ORDERS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c", "007", "7"]),
        st.integers(0, 40),
        st.integers(0, 100_000).map(lambda cents: cents / 100),
        st.sampled_from(["web", "app", None]),
    ),
    min_size=1,
    max_size=30,
)


def frame_of(orders) -> pd.DataFrame:
    days = [(dt.date(2024, 1, 1) + dt.timedelta(days=day)).isoformat() for _, day, _, _ in orders]
    return pd.DataFrame(
        {
            "customer_id": [order[0] for order in orders],
            "order_date": days,
            "value": [order[2] for order in orders],
            "channel": pd.array([order[3] for order in orders], dtype="str"),
        }
    )


def outcome(source) -> tuple[pd.DataFrame, str]:
    orders = read_orders(source)
    assert orders.reconciliation.balances()
    return purchase_histories(orders, "2024-01-31", by="channel").to_frame(), orders.fingerprint


@given(ORDERS, st.randoms(use_true_random=False))
def test_row_order_changes_nothing(orders, random):
    orders = [("z", 0, 1.0, "web"), *orders]
    shuffled = random.sample(orders, len(orders))
    (left, one), (right, two) = outcome(frame_of(orders)), outcome(frame_of(shuffled))
    pd.testing.assert_frame_equal(left, right, check_exact=True)
    assert one == two


@given(ORDERS, st.integers(1, 5))
def test_splitting_an_order_into_lines_of_the_day_changes_no_purchase(orders, parts):
    orders = [("z", 0, 1.0, "web"), *orders]
    split = []
    for customer, day, value, channel in orders:
        cents = round(value * 100)
        share = cents // parts
        amounts = [share] * (parts - 1) + [cents - share * (parts - 1)]
        split += [(customer, day, amount / 100, channel) for amount in amounts]
    (left, one), (right, two) = outcome(frame_of(orders)), outcome(frame_of(split))
    assert (right["orders"] == parts * left["orders"]).all()
    pd.testing.assert_frame_equal(left.drop(columns="orders"), right.drop(columns="orders"), check_exact=True)
    assert one == two


@given(ORDERS, st.integers(0, 31))
def test_splitting_the_files_changes_nothing(orders, at):
    frame = frame_of([("z", 0, 1.0, "web"), *orders])
    pieces = [piece for piece in (frame.iloc[:at], frame.iloc[at:]) if len(piece)]
    (left, one), (right, two) = outcome(frame), outcome(pieces)
    pd.testing.assert_frame_equal(left, right, check_exact=True)
    assert one == two


def test_the_quarter_of_the_first_purchase_is_a_group(sample_orders: forecast.Orders) -> None:
    found = forecast.purchase_histories(
        sample_orders, "1997-12-31", ("first_quarter", "first_month")
    ).to_frame()
    assert set(found["first_quarter"]) == {"1997Q1"}
    assert (found["first_month"] == found["first_purchase"].dt.strftime("%Y-%m")).all()
    model = forecast.fit(sample_orders, "1997-12-31", purchases="bg-nbd", by="first_month")
    assert model.newcomers()["group"].tolist() == ["all", "1997-01", "1997-02", "1997-03", "(any other)"]
    with pytest.raises(ArgumentError, match=r"no column 'nothing' to group by.*first_quarter, first_month"):
        forecast.purchase_histories(sample_orders, by="nothing")
