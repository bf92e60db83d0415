"""Every dialect there and back: a shop of known truth is exported, read, and found again order by order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import forecast
from forecast.synthetic.expecting import ABILITIES

# Everything a shop can have, in one where prices include tax and in one where they do not.
SHOPS: dict[str, dict[str, Any]] = {
    "with tax": {"tax_inclusive": True, "seed": 11},
    "without tax": {"tax_inclusive": False, "seed": 12, "timezone": "America/New_York", "currency": "USD"},
}
EVERYTHING = {
    "refund_rate": 0.15, "cancelled_share": 0.06, "pending_share": 0.05, "test_share": 0.01,
    "zero_value_share": 0.02, "guest_checkout_share": 0.15, "phone_only_share": 0.05,
    "anonymous_share": 0.03, "cash_on_delivery_share": 0.15, "same_day_share": 0.06,
    "subscription_share": 0.05, "wholesale_share": 0.05, "marketplace_share": 0.05,
}  # fmt: skip
# Rows that are merged or are no order, and the parts that money is taken apart into: no order's code.
NO_CODE = {
    "used", "line_merged", "same_day_merged", "refund_netted", "refund_unmatched", "blank_row",
    "joined", "discount", "shipping", "tax", "other", "refund",
}  # fmt: skip
CASES = [
    pytest.param(dialect, policy, id=f"{dialect}-{policy}")
    for dialect, ability in ABILITIES.items()
    for policy in ability.policies
]


@pytest.fixture(scope="module", params=SHOPS)
def shop(request: pytest.FixtureRequest) -> forecast.SyntheticShop:
    return forecast.synthetic_shop(400, 500, **EVERYTHING, **SHOPS[request.param])


def read(
    shop: forecast.SyntheticShop, dialect: str, policy: str | None, folder: Path, **options: Any
) -> forecast.Orders:
    files = [str(path) for path in shop.export(dialect, folder)]
    if dialect == "generic":
        policy = None
    # Files without a column of currency are told it.
    return forecast.read_orders(
        files, timezone=shop.timezone, currency=shop.currency, value_policy=policy, **options
    )


def found_and_expected(orders: forecast.Orders, expected: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    found = orders.to_frame().set_index("order_id")[["customer_id", "order_day", "value"]].sort_index()
    used = expected[expected["code"].isna()].set_index("order_id").drop(columns="code").sort_index()
    return found, used


@pytest.mark.parametrize(("dialect", "policy"), CASES)
def test_there_and_back(shop: forecast.SyntheticShop, dialect: str, policy: str, tmp_path: Path) -> None:
    orders = read(shop, dialect, policy, tmp_path)
    assert orders.dialect == dialect
    expected = shop.expected(dialect, policy)
    found, used = found_and_expected(orders, expected)
    assert found.index.is_unique
    assert sorted(set(found.index) - set(used.index)) == []
    assert sorted(set(used.index) - set(found.index)) == []
    days = pd.to_datetime(found["order_day"]).dt.strftime("%Y-%m-%d")
    assert (days == used["order_day"].dt.strftime("%Y-%m-%d")).all()
    assert found["customer_id"].astype(str).tolist() == used["customer_id"].tolist()
    # A cent for tax that is taken out by its share, and for refunds by theirs.
    worst = (found["value"] - used["value"]).abs()
    assert worst.max() < 0.0151, worst[worst > 0.0151]

    codes = {code: rows for code, (rows, _) in orders.reconciliation.by_code().items() if code not in NO_CODE}
    assert codes == expected["code"].value_counts().to_dict()
    assert orders.customers == used["customer_id"].nunique()
    assert orders.reconciliation.balances()
    if dialect != "generic":
        every = orders.canonical().drop_duplicates("order_id").set_index("order_id")["code"]
        told = expected.set_index("order_id")["code"]
        wrong = pd.DataFrame({"expected": told, "found": every.reindex(told.index)})
        wrong = wrong[wrong["expected"].fillna("") != wrong["found"].fillna("")]
        assert wrong.empty, wrong.value_counts(dropna=False)


@pytest.mark.parametrize("dialect", ["shopify-csv", "woocommerce-rest", "magento-tables"])
def test_the_default_policy_is_net_sales(dialect: str, tmp_path: Path) -> None:
    assert read(forecast.synthetic_shop(40, 200), dialect, None, tmp_path).value_policy == "net_sales"


def test_the_grid_refuses_net_sales_and_gives_totals(shop: forecast.SyntheticShop, tmp_path: Path) -> None:
    assert read(shop, "magento-grid", None, tmp_path).value_policy == "total_sales"
    with pytest.raises(forecast.ForecastError, match="net_sales"):
        read(shop, "magento-grid", "net_sales", tmp_path)


# Dialects whose refunds and cancellations all have days, and those whose cancellations have none.
@pytest.mark.parametrize(
    "dialect", ["shopify-graphql", "shopify-rest", "magento-tables", "woocommerce-tables"]
)
def test_an_earlier_day_sees_no_later_refund_or_cancellation(dialect: str, tmp_path: Path) -> None:
    shop = forecast.synthetic_shop(
        400, 500, **{**EVERYTHING, "pending_share": 0.0, "cash_on_delivery_share": 0.0}, seed=21
    )
    gone = shop.wall(shop.orders["cancelled_ts"]).dt.normalize()
    late = shop.orders.loc[gone > shop.orders["order_day"], "order_day"]
    day = late.iloc[len(late) // 2].date()
    expected = shop.until(day).expected(dialect)
    if not dialect.startswith("shopify"):
        undated = shop.expected(dialect).set_index("order_id")["code"] == "cancelled"
        expected = expected[~expected["order_id"].isin(undated.index[undated])]
    orders = read(shop, dialect, None, tmp_path).until(day)
    found, used = found_and_expected(orders, expected)
    assert found.index.tolist() == used.index.tolist()
    assert (found["value"] - used["value"]).abs().max() < 0.0151


def test_overlapping_exports_are_one(shop: forecast.SyntheticShop, tmp_path: Path) -> None:
    early = shop.until(shop.intensity.index[400].date())
    files = [*early.export("shopify-csv", tmp_path / "early"), *shop.export("shopify-csv", tmp_path / "late")]
    orders = forecast.read_orders([str(file) for file in files], timezone=shop.timezone)
    found, used = found_and_expected(orders, shop.expected("shopify-csv"))
    assert found.index.tolist() == used.index.tolist()
    assert (found["value"] - used["value"]).abs().max() < 0.0151
    assert orders.reconciliation.by_code()["duplicate_order"][0] == len(early.orders)
    assert orders.reconciliation.balances()
