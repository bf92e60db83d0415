"""A synthetic shop keeps what it promises: its process, its cents, and files that hold them."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import forecast
from forecast.errors import ArgumentError
from forecast.maths import bgprocess, paretoprocess
from forecast.synthetic.shopify import HEADER

NOTHING_ELSE = {
    "same_day_share": 0.0, "anonymous_share": 0.0, "test_share": 0.0,
}  # fmt: skip
EVERYTHING = {"subscription_share": 0.05, "wholesale_share": 0.05, "cash_on_delivery_share": 0.1}


@pytest.fixture(scope="module")
def shop() -> forecast.SyntheticShop:
    return forecast.synthetic_shop(600, seed=3, **EVERYTHING)


@pytest.fixture(scope="module", params=[True, False], ids=["with tax", "without tax"])
def either(request: pytest.FixtureRequest) -> forecast.SyntheticShop:
    return forecast.synthetic_shop(600, seed=3, tax_inclusive=request.param, **EVERYTHING)


def cents(values: Any) -> np.ndarray:
    return np.rint(np.asarray(values, dtype=float) * 100).astype(int)


def test_one_seed_one_shop() -> None:
    one, same, other = (forecast.synthetic_shop(80, 200, seed=seed) for seed in (5, 5, 6))
    for name in ("customers", "orders", "lines", "refunds"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(same, name))
    assert len(one.orders) != len(other.orders) or (one.orders["total"] != other.orders["total"]).any()


def test_one_shop_one_file(tmp_path: Path) -> None:
    shop = forecast.synthetic_shop(40, 200, seed=5)
    for dialect in shop.dialects:
        first = [path.read_bytes() for path in shop.export(dialect, tmp_path / "a")]
        assert first == [path.read_bytes() for path in shop.export(dialect, tmp_path / "a")], dialect


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"customers": 0}, "customers is a whole number"),
        ({"days": 1.5}, "days is a whole number"),
        ({"process": "nbd"}, "there is no process"),
        ({"refund_rate": 1.2}, "refund_rate is a share"),
        ({"guest_share": 0.6, "marketplace_share": 0.6}, "more than 1 together"),
        ({"tax_rate": -0.1}, "tax_rate is a number from 0"),
        ({"lines_per_order": 0.5}, "lines_per_order is a number from 1"),
        ({"timezone": "Mars/Olympus"}, "there is no time zone"),
        ({"purchases": {"s": 1.0}}, "purchases are r, alpha, a, b"),
        ({"spend": {"q": 0.5}}, "q must be above 1"),
        ({"channels": {"web": (0.0,)}}, "channels is"),
        ({"start": "soon"}, "start is a day"),
        ({"seasonality": [1.0, 2.0]}, "seasonality is the height"),
    ],
)
def test_what_cannot_be_meant(arguments: dict[str, Any], what: str) -> None:
    with pytest.raises(ArgumentError, match=what):
        forecast.synthetic_shop(**{"customers": 10, "days": 30, **arguments})


def test_unknown_exports_and_policies(shop: forecast.SyntheticShop, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="there is no export 'prestashop'"):
        shop.export("prestashop", tmp_path)
    with pytest.raises(ArgumentError, match="magento-grid does not carry 'net_sales'"):
        shop.expected("magento-grid", "net_sales")


def test_cents_add_up(either: forecast.SyntheticShop) -> None:
    orders, lines, refunds = either.orders, either.lines, either.refunds
    c = {name: cents(orders[name]) for name in orders if pd.api.types.is_float_dtype(orders[name])}
    assert (c["gross"] - c["discount"] == c["net"]).all()
    assert (c["net"] + c["shipping"] + c["tax"] + c["other"] == c["total"]).all()
    assert min(values.min() for values in c.values()) == 0
    shown = c["shown_subtotal"] + c["shown_shipping"]
    assert (shown + (0 if either.settings.tax_inclusive else c["tax"]) == c["total"]).all()
    rate = either.settings.tax_rate
    assert (np.abs(c["tax"] - (c["total"] - c["tax"]) * rate) <= 1.3).all()

    assert (cents(lines["unit_price"]) * lines["quantity"] == cents(lines["line_total"])).all()
    by_order = lines.groupby("order_id")[["line_total", "line_discount", "gross", "net"]].sum()
    by_order = by_order.loc[orders["order_id"]]
    assert (cents(by_order["line_total"]) == c["shown_subtotal"] + c["shown_discount"]).all()
    for name, total in (("line_discount", "shown_discount"), ("gross", "gross"), ("net", "net")):
        assert (cents(by_order[name]) == c[total]).all()
    assert (lines.groupby("order_id").size().loc[orders["order_id"]].to_numpy() == orders["lines"]).all()

    parts = cents(refunds["net"]) + cents(refunds["shipping"]) + cents(refunds["tax"])
    assert (parts == cents(refunds["amount"])).all()
    back = refunds.groupby("order_id")["amount"].sum().reindex(orders["order_id"]).fillna(0.0)
    assert (cents(back) == c["refunded"]).all()
    assert (c["refunded"] <= c["total"]).all()


def test_every_state_is_there_and_hangs_together(shop: forecast.SyntheticShop) -> None:
    orders, refunds = shop.orders.set_index("order_id"), shop.refunds
    assert set(orders["status"]) == {
        "completed", "pending", "cancelled", "failed", "refunded", "partially_refunded"
    }  # fmt: skip
    whole = orders["status"] == "refunded"
    assert (orders.loc[whole, "refunded"] == orders.loc[whole, "total"]).all()
    part = orders.loc[orders["status"] == "partially_refunded"]
    assert ((part["refunded"] > 0) & (part["refunded"] < part["total"] - 0.01)).all()
    assert (orders.loc[~whole & (orders["status"] != "partially_refunded"), "refunded"] == 0).all()
    assert (orders["cancelled_ts"].notna() == (orders["status"] == "cancelled")).all()
    gone = orders.dropna(subset="cancelled_ts")
    assert (gone["cancelled_ts"] > gone["order_ts"]).all()
    of_order = orders.loc[refunds["order_id"]].reset_index()
    assert (refunds["refund_ts"] >= of_order["order_ts"]).all()
    assert refunds["refund_day"].max().date() <= shop.last_day
    assert orders["order_day"].max().date() <= shop.last_day
    assert orders["order_day"].min().date() == shop.first_day

    # A refund shares a day with no order of the same customer but its own.
    bought = set(zip(orders["person"], orders["order_day"], strict=True))
    later = refunds["refund_day"] > of_order["order_day"]
    named = later & of_order["person"].notna()
    days = zip(of_order.loc[named, "person"], refunds.loc[named, "refund_day"], strict=True)
    assert not bought & set(days)

    for name in ("is_guest", "is_test", "is_subscription", "is_wholesale", "is_marketplace", "is_same_day"):
        assert orders[name].any(), name
    assert (orders["total"] == 0).any()
    assert (orders["person"].isna() & orders["email"].isna() & orders["phone"].isna()).any()
    assert (orders["person"].notna() & orders["email"].isna()).any(), "a phone alone"
    waiting = orders[orders["status"] == "pending"]
    assert {"cash_on_delivery"} < set(waiting["payment_method"])


def test_guests_have_the_account_s_address_in_other_letters(shop: forecast.SyntheticShop) -> None:
    orders = shop.orders
    own = orders["person"].map(shop.customers.set_index("person")["account_id"])
    as_guest = orders[orders["is_guest"] & own.notna()]
    assert len(as_guest)
    email = as_guest["person"].map(shop.customers.set_index("person")["email"])
    assert (as_guest["email"].str.lower() == email).all()
    assert (as_guest["email"] != email).any()
    assert shop.customers["email"].dropna().is_unique
    assert shop.customers["email"].dropna().str.contains(r"@(?:example\.|marketplace\.)").all()


def test_days_are_the_shop_s_own() -> None:
    shop = forecast.synthetic_shop(20_000, 365, seed=1)
    orders = shop.orders
    wall = orders["order_ts"].dt.tz_convert(shop.timezone).dt.tz_localize(None)
    assert (wall.dt.normalize() == orders["order_day"]).all()
    utc_day = orders["order_ts"].dt.tz_localize(None).dt.normalize()
    assert (utc_day != orders["order_day"]).any()
    # The hour that comes twice has orders of both kinds; the missing one has none.
    autumn = orders[orders["order_day"] == "2023-10-29"]
    twice = autumn[wall.loc[autumn.index].dt.hour == 2]["order_ts"].dt.hour
    assert set(twice) == {0, 1}
    spring = wall[orders["order_day"] == "2023-03-26"]
    assert not (spring.dt.hour == 2).any()
    assert (spring.dt.hour < 4).any()


@pytest.mark.parametrize("process", ["bg-nbd", "pareto-nbd"])
def test_purchases_follow_the_process(process: str) -> None:
    shop = forecast.synthetic_shop(20_000, seed=2, process=process, **NOTHING_ELSE)
    orders, customers = shop.orders, shop.customers
    assert orders["person"].notna().all()
    found = orders.groupby("person").size().reindex(customers["person"]).to_numpy() - 1.0
    clock = np.concatenate([[0.0], shop.intensity.cumsum()])
    first = (customers["first_day"] - pd.Timestamp(shop.first_day)).dt.days.to_numpy()
    room = clock[-1] - clock[first]
    given = shop.parameters["purchases"]
    formula = {"bg-nbd": bgprocess.expectation, "pareto-nbd": paretoprocess.expectation}[process]
    for name, channel in shop.parameters["channels"].items():
        mine = (customers["channel"] == name).to_numpy()
        assert mine.mean() == pytest.approx(channel["share"], abs=0.015)
        r, alpha, *drop = given.values()
        ages, which = np.unique(room[mine], return_inverse=True)
        by_age = [
            float(np.squeeze(formula([r], [alpha / channel["rate"]], *([d] for d in drop), age)))
            for age in ages
        ]
        expected = np.array(by_age)[which]
        error = found[mine].std() / np.sqrt(mine.sum())
        assert abs(found[mine].mean() - expected.mean()) < 3.5 * error, name
    # Nobody buys after leaving, and a BG/NBD customer leaves with a purchase.
    last = orders.groupby("person")["order_day"].max()
    gone = customers.dropna(subset="left")
    assert (last.loc[gone["person"]].to_numpy() <= gone["left"].to_numpy()).all()
    if process == "bg-nbd":
        assert (last.loc[gone["person"]].to_numpy() == gone["left"].to_numpy()).all()


def test_spend_follows_gamma_gamma_and_the_channel() -> None:
    shop = forecast.synthetic_shop(20_000, seed=2, tax_inclusive=False, **NOTHING_ELSE)
    p, q, gamma = shop.parameters["spend"].values()
    mean = p * gamma / (q - 1.0)
    by_channel = shop.customers.groupby("channel")["spend"].mean()
    for name, channel in shop.parameters["channels"].items():
        assert by_channel[name] == pytest.approx(mean * channel["spend"], rel=0.05)
    orders = shop.orders[~shop.orders["is_marketplace"]]
    own = orders["person"].map(shop.customers.set_index("person")["spend"]).astype(float)
    ratio = orders["gross"] / own
    assert ratio.mean() == pytest.approx(1.0, abs=0.01)
    assert ratio.var() == pytest.approx(1.0 / p, rel=0.05)


def test_the_season_is_seen() -> None:
    ratio = []
    for height in (0.0, 0.8):
        day = forecast.synthetic_shop(5000, 1461, seed=2, seasonality=height).orders["order_day"]
        month = day.dt.month.value_counts()
        ratio.append(month[12] / month[5])
    assert ratio[1] / ratio[0] > 1.5
    curve = np.r_[np.full(200, 0.5), np.full(200, 1.5)]
    shop = forecast.synthetic_shop(2000, 400, seed=2, seasonality=curve, growth=0.0)
    assert shop.intensity.mean() == pytest.approx(1.0)
    first = shop.customers["first_day"] < pd.Timestamp(shop.first_day) + pd.Timedelta(days=200)
    assert first.mean() == pytest.approx(0.25, abs=0.03)


# The files, read by nothing but csv and json.


def rows_of(path: Path, encoding: str = "utf-8") -> list[dict[str, str]]:
    with path.open(encoding=encoding, newline="") as file:
        return list(csv.DictReader(file))


def total(values: Any) -> Decimal:
    return sum((Decimal(value) for value in values if value), Decimal(0))


def euros(values: Any) -> Decimal:
    return Decimal(int(cents(values).sum())) / 100


def test_shopify_csv(either: forecast.SyntheticShop, tmp_path: Path) -> None:
    (path,) = either.export("shopify-csv", tmp_path)
    found, orders = rows_of(path), either.orders
    assert path.read_text("utf-8").splitlines()[0].split(",") == HEADER
    assert len(HEADER) == 79
    assert len(found) == len(either.lines)
    first = [row for row in found if row["Financial Status"]]
    assert [row["Name"] for row in first] == ("#" + orders["order_id"][::-1]).tolist()
    filled = {"Name", "Email", "Created at", "Vendor", "Phone"}
    for row in found:
        if not row["Financial Status"]:
            assert {name for name, cell in row.items() if cell and not name.startswith("Lineitem")} <= filled
    for column, name in {
        "Total": "total", "Subtotal": "shown_subtotal", "Shipping": "shown_shipping", "Taxes": "tax",
        "Discount Amount": "shown_discount", "Refunded Amount": "refunded",
    }.items():  # fmt: skip
        assert total(row[column] for row in found) == euros(orders[name]), column
    sold = sum(Decimal(row["Lineitem price"]) * int(row["Lineitem quantity"]) for row in found)
    assert sold == euros(either.lines["line_total"])
    stamps = [pd.Timestamp(row["Created at"]).tz_convert("UTC") for row in first]
    assert stamps == orders["order_ts"][::-1].tolist()
    assert {row["Created at"][-5:] for row in first} == {"+0100", "+0200"}
    assert sum(bool(row["Cancelled at"]) for row in first) == orders["cancelled_ts"].notna().sum()
    assert any(row["Cancelled at"] and row["Financial Status"] == "paid" for row in first)
    assert any("\n" in row["Notes"] for row in first)
    assert all(row["Billing Zip"].startswith("'") for row in first if row["Billing Zip"])


def test_shopify_files_in_chunks_are_one_file(
    shop: forecast.SyntheticShop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (whole,) = shop.export("shopify-csv", tmp_path / "whole")
    monkeypatch.setattr("forecast.synthetic.writing.CHUNK", 100)
    (parts,) = shop.export("shopify-csv", tmp_path / "parts")
    assert whole.read_bytes() == parts.read_bytes()


def test_shopify_graphql(shop: forecast.SyntheticShop, tmp_path: Path) -> None:
    (path,) = shop.export("shopify-graphql", tmp_path)
    documents = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    orders = [d for d in documents if "__parentId" not in d]
    assert [d["name"] for d in orders] == ("#" + shop.orders["order_id"][::-1]).tolist()
    assert len(documents) - len(orders) == len(shop.lines)
    assert {d["__parentId"] for d in documents if "__parentId" in d} == {d["id"] for d in orders}
    for field, name in {
        "totalPriceSet": "total",
        "totalRefundedSet": "refunded",
        "totalTaxSet": "tax",
    }.items():
        assert total(d[field]["shopMoney"]["amount"] for d in orders) == euros(shop.orders[name])
    given = [r for d in orders for r in d["refunds"]]
    assert total(r["totalRefundedSet"]["shopMoney"]["amount"] for r in given) == euros(shop.refunds["amount"])
    assert [pd.Timestamp(d["createdAt"]) for d in orders] == shop.orders["order_ts"][::-1].tolist()
    assert sum(d["test"] for d in orders) == shop.orders["is_test"].sum()


def test_shopify_rest(shop: forecast.SyntheticShop, tmp_path: Path) -> None:
    (path,) = shop.export("shopify-rest", tmp_path)
    found = json.loads(path.read_text("utf-8"))["orders"]
    assert len(found) == len(shop.orders)
    assert total(d["total_price"] for d in found) == euros(shop.orders["total"])
    assert sum(len(d["line_items"]) for d in found) == len(shop.lines)
    paid_back = [t["amount"] for d in found for r in d["refunds"] for t in r["transactions"]]
    assert total(paid_back) == euros(shop.refunds["amount"])
    assert all(isinstance(d["total_price"], str) for d in found)
    assert [pd.Timestamp(d["created_at"]).tz_convert("UTC") for d in found] == shop.orders["order_ts"][
        ::-1
    ].tolist()
    assert sum(d["customer"] is None for d in found) == shop.orders["is_guest"].sum()


def test_magento_grid(shop: forecast.SyntheticShop, tmp_path: Path) -> None:
    (path,) = shop.export("magento-grid", tmp_path)
    found = rows_of(path)
    assert [row["ID"] for row in found] == shop.orders["order_id"].str.zfill(9)[::-1].tolist()
    assert total(row["Grand Total (Base)"] for row in found) == euros(shop.orders["total"])
    assert total(row["Total Refunded"] for row in found) == euros(shop.orders["refunded"])
    wall = shop.wall(shop.orders["order_ts"])[::-1]
    assert [row["Purchase Date"] for row in found] == [f"{w:%b} {w.day}, {w:%Y %I:%M:%S %p}" for w in wall]
    assert "Complete" in {row["Status"] for row in found}


def test_magento_tables(either: forecast.SyntheticShop, tmp_path: Path) -> None:
    paths = either.export("magento-tables", tmp_path)
    assert [path.name for path in paths] == ["sales_order.csv", "sales_creditmemo.csv"]
    found, memos = map(rows_of, paths)
    orders = either.orders
    assert [row["created_at"] for row in found] == orders["order_ts"].dt.strftime(
        "%Y-%m-%d %H:%M:%S"
    ).tolist()
    for column, name in {
        "base_grand_total": "total", "base_subtotal": "gross", "base_tax_amount": "tax",
        "base_shipping_amount": "shipping", "base_total_refunded": "refunded",
    }.items():  # fmt: skip
        assert total(row[column] for row in found) == euros(orders[name]), column
    for row in found:
        parts = ("base_subtotal", "base_discount_amount", "base_shipping_amount", "base_tax_amount")
        assert total(row[name] for name in parts) == total([row["base_grand_total"]])
    for row in memos:
        parts = ("base_subtotal", "base_discount_amount", "base_shipping_amount", "base_tax_amount")
        assert total(row[name] for name in parts) == total([row["base_grand_total"]])
    number = {row["entity_id"]: row["increment_id"] for row in found}
    assert [number[row["order_id"]] for row in memos] == either.refunds["order_id"].str.zfill(9).tolist()
    assert sum(not row["customer_id"] for row in found) == orders["is_guest"].sum()


def test_magento_rest(shop: forecast.SyntheticShop, tmp_path: Path) -> None:
    (path,) = shop.export("magento-rest", tmp_path)
    answer = json.loads(path.read_text("utf-8"))
    assert answer["total_count"] == len(answer["items"]) == len(shop.orders)
    assert sum(cents([d["base_grand_total"] for d in answer["items"]])) == cents(shop.orders["total"]).sum()
    assert sum("customer_id" not in d for d in answer["items"]) == shop.orders["is_guest"].sum()
    assert sum(len(d["items"]) for d in answer["items"]) == len(shop.lines)


def test_magento_lines(shop: forecast.SyntheticShop, tmp_path: Path) -> None:
    (path,) = shop.export("magento-lines", tmp_path)
    found = rows_of(path)
    filled = [row for row in found if any(row.values())]
    assert (len(filled), len(found) - len(filled)) == (len(shop.lines), 25)
    once = {row["increment_id"]: row["grand_total"] for row in filled}
    assert len({(row["increment_id"], row["grand_total"]) for row in filled}) == len(once) == len(shop.orders)
    assert total(once.values()) == euros(shop.orders["total"])
    day = shop.orders["order_day"].iloc[0]
    assert filled[0]["created_at"] == f"{day.month}/{day.day}/{day.year}"


def test_woocommerce_tables(either: forecast.SyntheticShop, tmp_path: Path) -> None:
    paths = either.export("woocommerce-tables", tmp_path)
    found, stats = map(rows_of, paths)
    assert len(found) == len(stats) == len(either.orders) + len(either.refunds)
    assert len({row["id"] for row in found}) == len(found)
    placed = [row for row in found if row["type"] == "shop_order"]
    back = [row for row in found if row["type"] == "shop_order_refund"]
    assert total(row["total_amount"] for row in placed) == euros(either.orders["total"])
    assert total(row["total_amount"] for row in back) == -euros(either.refunds["amount"])
    assert [row["parent_order_id"] for row in back] == either.refunds["order_id"].tolist()
    assert {row["status"][:3] for row in found} == {"wc-"}
    for row in stats:
        assert total([row["net_total"], row["tax_total"], row["shipping_total"]]) == total(
            [row["total_sales"]]
        )
    kept = euros(either.orders["net"]) - euros(either.refunds["net"])
    assert total(row["net_total"] for row in stats) == kept


def test_woocommerce_rest(either: forecast.SyntheticShop, tmp_path: Path) -> None:
    (path,) = either.export("woocommerce-rest", tmp_path)
    found = json.loads(path.read_text("utf-8"))
    assert total(d["total"] for d in found) == euros(either.orders["total"])
    assert total(r["total"] for d in found for r in d["refunds"]) == -euros(either.refunds["amount"])
    for d in found:
        net = total(line["total"] for line in d["line_items"])
        assert net + total([d["shipping_total"], d["total_tax"]]) == total([d["total"]])
        assert total([d["cart_tax"], d["shipping_tax"]]) == total([d["total_tax"]])
        assert total(line["subtotal"] for line in d["line_items"]) - net == total([d["discount_total"]])
    wall = either.wall(either.orders["order_ts"])
    assert [d["date_created"] for d in found] == wall.dt.strftime("%Y-%m-%dT%H:%M:%S").tolist()
    assert sum(d["customer_id"] == 0 for d in found) == either.orders["is_guest"].sum()


def test_woocommerce_csv(shop: forecast.SyntheticShop, tmp_path: Path) -> None:
    (path,) = shop.export("woocommerce-csv", tmp_path)
    found = rows_of(path)
    assert len(found) == len(shop.orders)
    assert total(row["order_total"] for row in found) == euros(shop.orders["total"])
    packed = [cell for row in found for name, cell in row.items() if name.startswith("line_item_") and cell]
    assert len(packed) == len(shop.lines)
    given = [part.split("|")[0][7:] for row in found for part in row["refund_items"].split(";") if part]
    assert total(given) == euros(shop.refunds["amount"])


def test_woocommerce_lines(shop: forecast.SyntheticShop, tmp_path: Path) -> None:
    (path,) = shop.export("woocommerce-lines", tmp_path)
    found = rows_of(path)
    assert len(found) == len(shop.lines)
    once = {row["Order Number"]: row for row in found}
    assert total(row["Order Total Amount"] for row in once.values()) == euros(shop.orders["total"])
    assert total(row["Order Refund Amount"] for row in once.values()) == euros(shop.orders["refunded"])
    assert total(row["Order Line Total"] for row in found) == euros(shop.orders["net"])


def test_online_retail(shop: forecast.SyntheticShop, tmp_path: Path) -> None:
    (path,) = shop.export("online-retail", tmp_path)
    with pytest.raises(UnicodeDecodeError, match="codec can't decode"):
        path.read_text("utf-8")
    found = rows_of(path, "latin-1")
    worth: dict[str, Decimal] = defaultdict(Decimal)
    for row in found:
        worth[row["InvoiceNo"]] += int(row["Quantity"]) * Decimal(row["UnitPrice"])
    sold = shop.orders[~shop.orders["status"].isin(["cancelled", "failed"])]
    placed = {number: value for number, value in worth.items() if not number.startswith("C")}
    shown = cents(sold["shown_subtotal"] + sold["shown_shipping"]).tolist()
    assert list(placed.values()) == [Decimal(value) / 100 for value in shown]
    assert sum(worth.values()) - sum(placed.values()) == -euros(shop.refunds["amount"])
    assert len(worth) - len(placed) == len(shop.refunds)
    assert {"D", "POST"} < {row["StockCode"] for row in found}


def test_olist(either: forecast.SyntheticShop, tmp_path: Path) -> None:
    found, items, customers = map(rows_of, either.export("olist", tmp_path))
    assert len({row["customer_id"] for row in found}) == len(found) == len(customers) == len(either.orders)
    assert total(row["price"] for row in items) == euros(either.orders["shown_subtotal"])
    assert total(row["freight_value"] for row in items) == euros(either.orders["shown_shipping"])
    assert len(items) == either.lines["quantity"].sum()
    people = either.orders["person"].nunique() + either.orders["person"].isna().sum()
    assert len({row["customer_unique_id"] for row in customers}) == people


def test_generic(shop: forecast.SyntheticShop, tmp_path: Path) -> None:
    (path,) = shop.export("generic", tmp_path)
    found, expected = rows_of(path), shop.expected("generic")
    assert len(found) == len(expected)
    assert sum(not row["customer_id"] for row in found) == expected["code"].notna().sum()
    assert total(row["value"] for row in found if row["customer_id"]) == euros(expected["value"].dropna())


@pytest.mark.parametrize("policy", ["gross_sales", "net_sales", "total_sales"])
def test_expected_values_are_the_truth_s(either: forecast.SyntheticShop, policy: str) -> None:
    truth = either.orders
    kept = 1.0 - truth["refunded"] / truth["total"].where(truth["total"] > 0, 1.0)
    value = {"gross_sales": truth["gross"], "net_sales": truth["net"] * kept,
             "total_sales": truth["total"] - truth["refunded"]}[policy]  # fmt: skip
    for dialect in ("shopify-csv", "magento-tables", "woocommerce-rest"):
        found = either.expected(dialect, policy)
        used = found["code"].isna()
        # Tax taken out by its share differs from tax rounded line by line by a cent at most.
        assert (np.abs(found["value"] - value)[used] < 0.0151).all(), dialect
        assert found[~used][["customer_id", "value", "order_day"]].isna().all().all()


def test_expected_customers(shop: forecast.SyntheticShop) -> None:
    found = shop.expected("woocommerce-rest").set_index(shop.orders["person"])
    used = found[found["code"].isna()]
    # An e-mail and a phone name one person each, and an account gathers its holder's guest orders.
    assert (used.groupby("customer_id").apply(lambda part: part.index.nunique()) == 1).all()
    assert (used.groupby(level=0)["customer_id"].nunique() == 1).all()


def test_until_the_last_day_nothing_changes_and_before_it_less_is_known(shop: forecast.SyntheticShop) -> None:
    same = shop.until(shop.last_day)
    for name in ("customers", "orders", "lines", "refunds"):
        pd.testing.assert_frame_equal(getattr(shop, name), getattr(same, name))
    day = pd.Timestamp("2024-03-01")
    then = shop.until(day.date())
    assert then.last_day == day.date()
    assert max(then.orders["order_day"].max(), then.refunds["refund_day"].max()) <= day
    open_then = shop.orders.set_index("order_id").loc[then.orders["order_id"]]["status"].to_numpy()
    changed = then.orders["status"].to_numpy() != open_then
    assert set(open_then[changed]) <= {"refunded", "partially_refunded", "cancelled"}
    assert changed.any()
    with pytest.raises(ArgumentError, match="is not a day of the shop"):
        shop.until("2030-01-01")


def test_sheets_quote_only_what_needs_it(shop: forecast.SyntheticShop, tmp_path: Path) -> None:
    (path,) = shop.export("woocommerce-lines", tmp_path)
    text = path.read_text("utf-8")
    assert '"' not in text
    assert next(csv.reader(io.StringIO(text)))[0] == "Order Number"


def test_the_guide_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    guide = (Path(__file__).parent.parent / "docs" / "synthetic-shop.md").read_text("utf-8")
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```", guide, re.MULTILINE | re.DOTALL):
        exec(compile(block, "synthetic-shop.md", "exec"), scope)  # noqa: S102 - our own text
    assert "orders_export_1.csv" in capsys.readouterr().out
    truth, found = scope["calm"].parameters["purchases"], scope["model"].purchases.parameters
    assert found["r"] == pytest.approx(truth["r"], rel=0.15)
    assert found["alpha"] == pytest.approx(truth["alpha"], rel=0.2)
