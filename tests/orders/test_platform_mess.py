"""Exports full of nonsense: every row and every cent stays accounted for, or one clear error is raised."""

from __future__ import annotations

import csv
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.errors import ForecastError
from forecast.orders import Orders, read_orders

# A read takes a third of a second, so examples are few and full.
EXAMPLES = 6

MONEY = st.one_of(
    st.integers(0, 50_000).map(lambda cents: f"{cents / 100:.2f}"),
    st.sampled_from(
        ["", "0.00", "0", "-5.00", "junk", "nan", "inf", "1e300", "€5", "1,50", "1,234.50", " 7.5 ", "NULL"]
    ),
)
GOOD_MONEY = st.integers(0, 50_000).map(lambda cents: f"{cents / 100:.2f}")
STAMPS = st.one_of(
    st.tuples(
        st.integers(1, 28), st.integers(0, 23), st.sampled_from(["-0500", "-0400", "+0100", "+0545"])
    ).map(lambda at: f"2024-03-{at[0]:02} {at[1]:02}:30:00 {at[2]}"),
    st.sampled_from(
        [
            "",
            "soon",
            "2024-02-30 10:00:00 -0500",
            "1970-01-01 00:00:00 +0000",
            "2999-01-01 00:00:00 +0000",
            "45384.5",
            "2024-03-05",
            "2024-03-05T10:00:00Z",
        ]
    ),
)
WHO = st.sampled_from(
    [
        "ada@example.com",
        " ADA@Example.com ",
        "bo@example.com",
        "zoë@example.com",
        "noreply@example.com",
        "1a@marketplace.amazon.com",
        "no address",
        "nan",
        "",
        "",
    ]
)
TEXTS = st.sampled_from(
    [
        "",
        'two\nlines, "quoted"',
        "\r\nstarts late",
        "#1,ada@example.com,paid",
        "名前 🎁",
        "a\u2028b\u00a0c",
        "'=1+1",
        "\\N",
        ";;|\t",
    ]
)
SHOPIFY = [
    "Name",
    "Email",
    "Financial Status",
    "Currency",
    "Subtotal",
    "Shipping",
    "Taxes",
    "Total",
    "Discount Amount",
    "Created at",
    "Lineitem quantity",
    "Lineitem name",
    "Lineitem price",
    "Billing Phone",
    "Notes",
    "Cancelled at",
    "Payment Method",
    "Refunded Amount",
    "Id",
    "Source",
]
SHOPIFY_ORDER = st.fixed_dictionaries(
    {
        "Email": WHO,
        "Financial Status": st.sampled_from(
            [
                "paid",
                "paid",
                "PENDING",
                "voided",
                "refunded",
                "partially_refunded",
                "expired",
                "",
                "on the moon",
            ]
        ),
        "Subtotal": st.one_of(GOOD_MONEY, MONEY),
        "Shipping": st.one_of(GOOD_MONEY, MONEY),
        "Taxes": st.one_of(GOOD_MONEY, MONEY),
        "Total": st.one_of(GOOD_MONEY, MONEY),
        "Discount Amount": st.one_of(GOOD_MONEY, MONEY),
        "Created at": STAMPS,
        "Billing Phone": st.sampled_from(["", "'+31 20 000 0000", "0031200000000", "none", "12"]),
        "Notes": TEXTS,
        "Cancelled at": st.one_of(st.just(""), st.just(""), STAMPS),
        "Payment Method": st.sampled_from(
            ["", "Cash on Delivery (COD)", "Shopify Payments", "amazon_marketplace"]
        ),
        "Refunded Amount": st.one_of(st.just("0.00"), MONEY),
        "Id": st.sampled_from(["", "5550000000001", "5.55E+12"]),
        "Source": st.sampled_from(["web", "pos", "sell-on-amazon", "subscription_contract", "580111", ""]),
        "lines": st.lists(
            st.tuples(st.sampled_from(["1", "-1", "", "x"]), TEXTS, MONEY), min_size=1, max_size=3
        ),
    }
)
SHOPIFY_ORDERS = st.lists(SHOPIFY_ORDER, min_size=1, max_size=8)
# Always there, so that most files can be read at all.
GOOD = {
    "Email": "good@example.com",
    "Financial Status": "paid",
    "Subtotal": "10.00",
    "Shipping": "1.00",
    "Taxes": "2.00",
    "Total": "13.00",
    "Discount Amount": "0.00",
    "Created at": "2024-03-15 12:00:00 -0400",
    "Billing Phone": "",
    "Notes": "",
    "Cancelled at": "",
    "Payment Method": "Shopify Payments",
    "Refunded Amount": "0.00",
    "Id": "5550000000999",
    "Source": "web",
    "lines": [("1", "Mug", "10.00")],
}


def shopify_blocks(orders: list[dict[str, Any]], first: int = 1) -> list[list[dict[str, str]]]:
    """The rows of each order, named by its number."""
    blocks = []
    for number, order in enumerate([*orders, *[GOOD] * 3], start=first):
        fixed = {"Name": f"#{number}", "Email": order["Email"], "Created at": order["Created at"]}
        rows = []
        for i, (quantity, item, price) in enumerate(order["lines"]):
            row = {"Lineitem quantity": quantity, "Lineitem name": item, "Lineitem price": price, **fixed}
            if i == 0:
                row |= {key: value for key, value in order.items() if key != "lines"} | {"Currency": "EUR"}
            rows.append(row)
        blocks.append(rows)
    return blocks


def write(path: Path, header: list[str], rows: list[dict[str, str]], blank: int = 0) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, header, restval="")
        writer.writeheader()
        writer.writerows(rows)
        for _ in range(blank):
            file.write("," * (len(header) - 1) + "\r\n")
    return path


def check_invariants(orders: Orders) -> None:
    account = orders.reconciliation
    assert account.balances()
    by_code = account.by_code()
    assert sum(rows for rows, _ in by_code.values()) == sum(account.rows_in.values())
    gap = sum((value for _, value in by_code.values()), Decimal(0)) - sum(
        account.value_in.values(), Decimal(0)
    )
    assert abs(gap) < Decimal("0.005")
    for file, rows in account.rows_in.items():
        assert sum(line.rows for line in account.lines if line.file == file) == rows
    assert all(line.rows >= 0 for line in account.lines)
    frame = orders.to_frame()
    assert by_code["used"][0] == frame.groupby(["customer_id", "order_day"]).ngroups
    assert (frame["customer_id"].str.strip() != "").all()
    bridge = {line: float(value) for line, value in account.bridge.items()}
    if "gross_sales" not in bridge:
        # A shape without discounts or tax, or an order whose parts cannot be told apart.
        assert abs(bridge["before_returns"] + bridge["returns"] - bridge["total_sales"]) < 0.01
        return
    net = bridge["gross_sales"] + bridge["discounts"] + bridge["returns"]
    assert abs(net - bridge["net_sales"]) < 0.01
    rest = bridge["shipping"] + bridge["tax"] + bridge["other"]
    assert abs(bridge["net_sales"] + rest - bridge["total_sales"]) < 0.01


def outcome(source: Any, as_of: str | None = None, **options: Any) -> Any:
    """What was read, or the family of errors; any other exception passes through and fails the test."""
    try:
        orders = read_orders(source, **options)
    except ForecastError:
        return "refused"
    check_invariants(orders)
    if as_of is not None:
        check_cut(orders, as_of)
    rows = sorted(
        (row.order_id, row.customer_id, str(row.order_day), round(float(row.value), 6))
        for row in orders.to_frame().itertuples()
    )
    return rows, {code: rows for code, (rows, _) in orders.reconciliation.by_code().items() if rows}


def check_cut(orders: Orders, day: str) -> None:
    """A cut shows no later day, or says why it cannot be made."""
    try:
        before = orders.until(day).to_frame()
    except ForecastError:
        return
    assert (before["order_day"].astype(str) <= day).all()
    assert (before["value"] >= 0).all()


@settings(max_examples=EXAMPLES)
@given(
    SHOPIFY_ORDERS,
    st.integers(0, 3),
    st.sampled_from(["net_sales", "gross_sales", "total_sales"]),
    st.sampled_from([{}, {"timezone": "Europe/Amsterdam", "exclude": ()}]),
    st.integers(1, 31),
)
def test_shopify_mess_balances(orders, blank, policy, options, day):
    with tempfile.TemporaryDirectory() as folder:
        rows = [row for block in shopify_blocks(orders) for row in block]
        path = write(Path(folder) / "orders.csv", SHOPIFY, rows, blank)
        outcome(path, as_of=f"2024-03-{day:02}", value_policy=policy, **options)


@settings(max_examples=EXAMPLES)
@given(SHOPIFY_ORDERS, st.randoms(use_true_random=False), st.integers(0, 2))
def test_whole_shopify_orders_may_stand_in_any_order(orders, shuffle, blank):
    blocks = shopify_blocks(orders)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "orders.csv"
        one = outcome(write(path, SHOPIFY, [row for block in blocks for row in block], blank))
        mixed = shuffle.sample(blocks, len(blocks))
        two = outcome(write(path, SHOPIFY, [row for block in mixed for row in block], blank))
    assert one == two


@settings(max_examples=EXAMPLES)
@given(SHOPIFY_ORDERS, SHOPIFY_ORDERS, st.integers(0, 5))
def test_overlapping_shopify_files_count_once(left, right, shift):
    with tempfile.TemporaryDirectory() as folder:
        # The second file begins somewhere inside the first: its numbers repeat, its cells may not.
        files = [
            write(
                Path(folder) / name,
                SHOPIFY,
                [row for block in shopify_blocks(orders, first) for row in block],
            )
            for name, orders, first in (("a.csv", left, 1), ("b.csv", right, 1 + shift))
        ]
        outcome(files)
        # The same file twice under two names: what is used does not change.
        copy = Path(folder) / "c.csv"
        copy.write_bytes(files[0].read_bytes())
        alone, twice = outcome(files[0]), outcome([files[0], copy])
    if "refused" not in (alone, twice):
        assert twice[0] == alone[0]


NULLS = st.sampled_from(["\\N", "NULL", ""])
UTC = st.one_of(
    st.tuples(st.integers(1, 28), st.integers(0, 23)).map(lambda at: f"2024-03-{at[0]:02} {at[1]:02}:30:00"),
    st.sampled_from(["0000-00-00 00:00:00", "2999-01-01 00:00:00", "soon"]),
    NULLS,
)
UTC_MONEY = st.one_of(
    st.integers(0, 50_000).map(lambda cents: f"{cents / 100:.4f}"),
    st.sampled_from(["-5.0000", "0.0000", "junk", "1e300"]),
    NULLS,
)
MAGENTO = [
    "entity_id",
    "state",
    "status",
    "store_id",
    "customer_id",
    "base_discount_amount",
    "base_grand_total",
    "base_shipping_amount",
    "base_subtotal",
    "base_subtotal_refunded",
    "base_tax_amount",
    "base_total_refunded",
    "customer_is_guest",
    "increment_id",
    "base_currency_code",
    "customer_email",
    "store_name",
    "created_at",
    "updated_at",
]
MAGENTO_ORDER = st.fixed_dictionaries(
    {
        "state": st.sampled_from(["complete", "complete", "closed", "canceled", "new", "holded", "", "\\N"]),
        "customer_id": st.one_of(st.sampled_from(["7", "8", "0"]), NULLS),
        "base_discount_amount": st.one_of(st.just("0.0000"), UTC_MONEY),
        "base_grand_total": UTC_MONEY,
        "base_shipping_amount": UTC_MONEY,
        "base_subtotal": UTC_MONEY,
        "base_subtotal_refunded": st.one_of(NULLS, UTC_MONEY),
        "base_tax_amount": UTC_MONEY,
        "base_total_refunded": st.one_of(NULLS, UTC_MONEY),
        "customer_is_guest": st.sampled_from(["0", "1", ""]),
        "customer_email": WHO,
        "store_name": TEXTS,
        "created_at": UTC,
        "updated_at": UTC,
    }
)
MEMO = st.tuples(st.integers(1, 8), UTC_MONEY, UTC)
MAGENTO_GOOD = {
    "state": "complete",
    "customer_id": "9",
    "base_discount_amount": "0.0000",
    "base_grand_total": "13.0000",
    "base_shipping_amount": "1.0000",
    "base_subtotal": "10.0000",
    "base_subtotal_refunded": "\\N",
    "base_tax_amount": "2.0000",
    "base_total_refunded": "\\N",
    "customer_is_guest": "0",
    "customer_email": "good@example.com",
    "store_name": "Main Website\nMain Website Store",
    "created_at": "2024-03-15 12:00:00",
    "updated_at": "2024-03-15 12:00:00",
}
MEMOS = [
    "entity_id",
    "store_id",
    "order_id",
    "base_grand_total",
    "base_subtotal",
    "base_tax_amount",
    "base_shipping_amount",
    "base_discount_amount",
    "increment_id",
    "created_at",
]


def magento_rows(orders: list[dict[str, str]]) -> list[dict[str, str]]:
    fixed = {"store_id": "1", "base_currency_code": "EUR"}
    return [
        {**order, **fixed, "status": order["state"], "entity_id": str(i), "increment_id": f"{i:09}"}
        for i, order in enumerate([*orders, *[MAGENTO_GOOD] * 3], start=1)
    ]


def memo_rows(memos: list[tuple[int, str, str]]) -> list[dict[str, str]]:
    return [
        {
            "entity_id": str(i),
            "store_id": "1",
            "order_id": str(order),
            "base_grand_total": money,
            "base_subtotal": money,
            "base_tax_amount": "0.0000",
            "base_shipping_amount": "0.0000",
            "base_discount_amount": "0.0000",
            "increment_id": f"{900 + i:09}",
            "created_at": created,
        }
        for i, (order, money, created) in enumerate(memos, start=1)
    ]


@settings(max_examples=EXAMPLES)
@given(
    st.lists(MAGENTO_ORDER, min_size=1, max_size=8),
    st.lists(MEMO, max_size=4),
    st.randoms(use_true_random=False),
    st.sampled_from(["net_sales", "gross_sales", "total_sales"]),
)
def test_magento_mess_balances_in_any_order(orders, memos, shuffle, policy):
    rows, credits = magento_rows(orders), memo_rows(memos)
    options = {"timezone": "Europe/Amsterdam", "dialect": "magento-tables", "value_policy": policy}
    with tempfile.TemporaryDirectory() as folder:
        table, memo = Path(folder) / "sales_order.csv", Path(folder) / "sales_creditmemo.csv"
        files: list[Path] = [table, memo] if credits else [table]
        outcomes = []
        for _ in range(2):
            write(table, MAGENTO, rows)
            write(memo, MEMOS, credits)
            outcomes.append(outcome(files, as_of="2024-03-15", **options))
            rows, credits = shuffle.sample(rows, len(rows)), shuffle.sample(credits, len(credits))
    assert outcomes[0] == outcomes[1]


WOO = [
    "id",
    "status",
    "currency",
    "type",
    "tax_amount",
    "total_amount",
    "customer_id",
    "billing_email",
    "date_created_gmt",
    "parent_order_id",
    "payment_method",
]
WOO_ORDER = st.fixed_dictionaries(
    {
        "status": st.sampled_from(
            ["wc-completed", "wc-processing", "wc-cancelled", "wc-pending", "wc-refunded", "trash", ""]
        ),
        "tax_amount": st.one_of(st.just("0.00000000"), UTC_MONEY),
        "total_amount": UTC_MONEY,
        "customer_id": st.sampled_from(["21", "22", "0", ""]),
        "billing_email": WHO,
        "date_created_gmt": UTC,
        "payment_method": st.sampled_from(["stripe", "bacs", "cod", ""]),
    }
)
WOO_REFUND = st.tuples(st.integers(1, 8), UTC_MONEY, UTC)


@settings(max_examples=EXAMPLES)
@given(
    st.lists(WOO_ORDER, min_size=1, max_size=8),
    st.lists(WOO_REFUND, max_size=4),
    st.randoms(use_true_random=False),
)
def test_woo_mess_balances_in_any_order(orders, refunds, shuffle):
    good = {
        "status": "wc-completed",
        "tax_amount": "2.00000000",
        "total_amount": "13.00000000",
        "customer_id": "23",
        "billing_email": "good@example.com",
        "date_created_gmt": "2024-03-15 12:00:00",
        "payment_method": "stripe",
    }
    rows = [
        {**order, "id": str(i), "currency": "EUR", "type": "shop_order", "parent_order_id": "0"}
        for i, order in enumerate([*orders, *[good] * 3], start=1)
    ]
    rows += [
        {
            "id": str(100 + i),
            "status": "wc-completed",
            "currency": "EUR",
            "type": "shop_order_refund",
            "tax_amount": "0.00000000",
            "total_amount": money if money.startswith("-") or not money[:1].isdigit() else f"-{money}",
            "customer_id": "0",
            "billing_email": "",
            "date_created_gmt": created,
            "parent_order_id": str(parent),
            "payment_method": "",
        }
        for i, (parent, money, created) in enumerate(refunds)
    ]
    options = {"timezone": "Europe/Amsterdam", "dialect": "woocommerce-tables", "value_policy": "total_sales"}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "wc_orders.csv"
        one = outcome(write(path, WOO, rows), as_of="2024-03-15", **options)
        two = outcome(write(path, WOO, shuffle.sample(rows, len(rows))), **options)
    assert one == two


def test_the_good_orders_of_the_mess_are_read():
    """Without this the tests above could pass by refusing everything."""
    with tempfile.TemporaryDirectory() as folder:
        rows = [row for block in shopify_blocks([]) for row in block]
        found = outcome(write(Path(folder) / "orders.csv", SHOPIFY, rows, blank=2))
        assert found[1] == {"used": 1, "same_day_merged": 2, "blank_row": 2}
        table = write(Path(folder) / "sales_order.csv", MAGENTO, magento_rows([]))
        found = outcome(table, timezone="UTC")
        assert found[1] == {"used": 1, "same_day_merged": 2}
