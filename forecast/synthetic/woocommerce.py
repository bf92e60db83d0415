"""A synthetic shop as WooCommerce exports it: order tables, REST answer, and the CSVs of two exporters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

import forecast.synthetic.writing as writing
from forecast.synthetic.people import column, joined
from forecast.synthetic.writing import amounts, cents, coded, decimals, pick

if TYPE_CHECKING:
    from forecast.synthetic.shop import SyntheticShop

_METHODS = {
    "card": "stripe", "ideal": "mollie_ideal", "paypal": "ppcp-gateway", "bogus": "bogus",
    "cash_on_delivery": "cod", "bank_transfer": "bacs", "cash": "pos_cash",
    "amazon_marketplace": "amazon_marketplace",
}  # fmt: skip
_TITLES = {
    "card": "Credit card (Stripe)", "ideal": "iDEAL", "paypal": "PayPal", "bogus": "Bogus",
    "cash_on_delivery": "Cash on delivery", "bank_transfer": "Direct bank transfer", "cash": "Cash",
    "amazon_marketplace": "Amazon Marketplace",
}  # fmt: skip
_LABELS = {
    "completed": "Completed", "processing": "Processing", "on-hold": "On hold", "pending": "Pending payment",
    "cancelled": "Cancelled", "refunded": "Refunded", "failed": "Failed",
}  # fmt: skip


def _status(orders: pd.DataFrame) -> np.ndarray:
    """An order to be paid at the door is being processed, one for a transfer is on hold."""
    found = orders["status"].replace("partially_refunded", "completed").to_numpy(dtype=object)
    pending = found == "pending"
    method = orders["payment_method"].to_numpy()
    found[pending & (method == "cash_on_delivery")] = "processing"
    found[pending & (method == "bank_transfer")] = "on-hold"
    return found


def _shipping_tax(shop: SyntheticShop) -> np.ndarray:
    shipping = cents(shop.orders["shipping"])
    if shop.settings.tax_inclusive:
        return cents(shop.orders["shown_shipping"]) - shipping
    return np.rint(shipping * shop.settings.tax_rate).astype(np.int64)


def _discount_tax(shop: SyntheticShop) -> np.ndarray:
    discount = cents(shop.orders["discount"])
    if shop.settings.tax_inclusive:
        return cents(shop.orders["shown_discount"]) - discount
    return np.rint(discount * shop.settings.tax_rate).astype(np.int64)


def _gmt(moments: pd.Series) -> pa.Array:
    return writing.clock(moments.dt.tz_localize(None))


def _refund_numbers(shop: SyntheticShop) -> np.ndarray:
    # Orders and refunds are numbered in one row.
    return int(shop.orders["order_id"].astype("int64").max()) + 1 + np.arange(len(shop.refunds))


def _customer(orders: pd.DataFrame) -> np.ndarray:
    return orders["account_id"].fillna(0).astype("int64").to_numpy()


def _export_tables(shop: SyntheticShop, folder: Path) -> list[Path]:
    orders, refunds = shop.orders, shop.refunds
    size, more = len(orders), len(refunds)
    number = np.concatenate([orders["order_id"].astype("int64"), _refund_numbers(shop)])
    parent = np.concatenate([np.zeros(size, dtype=np.int64), refunds["order_id"].astype("int64")])
    moments = pd.concat([orders["order_ts"], refunds["refund_ts"]], ignore_index=True)
    changed = pd.concat([shop.changed, refunds["refund_ts"]], ignore_index=True)
    status = joined("wc-", np.concatenate([_status(orders), np.full(more, "completed", dtype=object)]))

    def both(of_order: str, of_refund: str) -> np.ndarray:
        return np.concatenate([cents(orders[of_order]), -cents(refunds[of_refund])])

    nothing = [None] * more
    method = coded(orders["payment_method"], _METHODS).to_pylist() + nothing
    title = coded(orders["payment_method"], _TITLES).to_pylist() + nothing
    account = _customer(orders)
    kind = np.repeat(np.array(["shop_order", "shop_order_refund"], dtype=object), [size, more])
    table = {
        "id": number, "status": status, "currency": shop.currency, "type": kind,
        "tax_amount": decimals(both("tax", "tax"), 8), "total_amount": decimals(both("total", "amount"), 8),
        "customer_id": np.concatenate([account, np.zeros(more, dtype=np.int64)]),
        "billing_email": orders["email"].tolist() + nothing, "date_created_gmt": _gmt(moments),
        "date_updated_gmt": _gmt(changed), "parent_order_id": parent,
        "payment_method": pa.array(method, pa.string()), "payment_method_title": pa.array(title, pa.string()),
        "transaction_id": None, "ip_address": None, "user_agent": None, "customer_note": None,
    }  # fmt: skip
    quantity = shop.lines.groupby("order_id")["quantity"].sum().reindex(orders["order_id"]).to_numpy()
    person = orders["person"].fillna(0).astype("int64").to_numpy() + 1
    wall = writing.clock(shop.wall(moments))
    of_parent = pd.Series(person, index=orders["order_id"]).reindex(refunds["order_id"]).to_numpy()
    stats = {
        "order_id": number, "parent_id": parent, "date_created": wall, "date_created_gmt": _gmt(moments),
        "date_paid": wall, "date_completed": wall,
        "num_items_sold": np.concatenate([quantity, np.zeros(more, dtype=np.int64)]),
        "total_sales": decimals(both("total", "amount")), "tax_total": decimals(both("tax", "tax")),
        "shipping_total": decimals(both("shipping", "shipping")), "net_total": decimals(both("net", "net")),
        "returning_customer": "0", "status": status,
        # The number of a table of its own, neither the account's nor the user's.
        "customer_id": np.concatenate([person, of_parent]),
    }  # fmt: skip
    return [
        writing.write_csv(folder / "wc_orders.csv", table, size + more),
        writing.write_csv(folder / "wc_order_stats.csv", stats, size + more),
    ]


def _texts(shop: SyntheticShop) -> dict[str, list[Any]]:
    orders = shop.orders
    money = {name: amounts(orders[name]) for name in ("gross", "discount", "net", "shipping", "tax", "total")}
    person = shop.buyers(orders)
    named = orders["person"].notna()
    wall = shop.wall(orders["order_ts"])
    return money | {
        "number": orders["order_id"].tolist(), "status": _status(orders).tolist(),
        "account": _customer(orders).tolist(), "email": orders["email"].fillna("").tolist(),
        "phone": orders["phone"].fillna("").tolist(), "country": orders["country"].tolist(),
        "first_name": person["first_name"].where(named.to_numpy(), "").tolist(),
        "last_name": person["last_name"].where(named.to_numpy(), "").tolist(),
        "method": coded(orders["payment_method"], _METHODS).to_pylist(),
        "title": coded(orders["payment_method"], _TITLES).to_pylist(),
        # WooCommerce keeps codes in small letters.
        "coupon": writing.known(orders["coupon"].str.lower()),
        "shipping_tax": amounts(_shipping_tax(shop) / 100.0),
        "discount_tax": amounts(_discount_tax(shop) / 100.0),
        "cart_tax": amounts((cents(orders["tax"]) - _shipping_tax(shop)) / 100.0),
        "wall": writing.clock(wall, "%Y-%m-%dT%H:%M:%S").to_pylist(),
        "gmt": writing.clock(orders["order_ts"].dt.tz_localize(None), "%Y-%m-%dT%H:%M:%S").to_pylist(),
        "changed": writing.clock(shop.wall(shop.changed), "%Y-%m-%dT%H:%M:%S").to_pylist(),
        "subscription": orders["is_subscription"].tolist(),
        "counter": (orders["payment_method"] == "cash").tolist(),
    }  # fmt: skip


def _given(shop: SyntheticShop) -> dict[str, list[tuple[int, str, str]]]:
    found: dict[str, list[tuple[int, str, str]]] = {}
    refunds = shop.refunds
    dates = writing.clock(shop.wall(refunds["refund_ts"])).to_pylist()
    parts = zip(refunds["order_id"], _refund_numbers(shop), amounts(refunds["amount"]), dates, strict=True)
    for order, number, amount, date in parts:
        found.setdefault(order, []).append((int(number), amount, date))
    return found


def _export_rest(shop: SyntheticShop, folder: Path) -> list[Path]:
    cells, lines, given = _texts(shop), writing.by_order(shop.lines), _given(shop)
    found = []
    for row in zip(*cells.values(), strict=True):
        order = dict(zip(cells, row, strict=True))
        via = "subscription" if order["subscription"] else "pos" if order["counter"] else "checkout"
        found.append(
            {
                "id": int(order["number"]), "parent_id": 0, "number": order["number"], "created_via": via,
                "status": order["status"], "currency": shop.currency, "date_created": order["wall"],
                "date_created_gmt": order["gmt"], "date_modified": order["changed"],
                "discount_total": order["discount"], "discount_tax": order["discount_tax"],
                "shipping_total": order["shipping"], "shipping_tax": order["shipping_tax"],
                "cart_tax": order["cart_tax"], "total": order["total"], "total_tax": order["tax"],
                "prices_include_tax": shop.settings.tax_inclusive, "customer_id": order["account"],
                "billing": {"first_name": order["first_name"], "last_name": order["last_name"],
                            "country": order["country"], "email": order["email"], "phone": order["phone"]},
                "payment_method": order["method"], "payment_method_title": order["title"],
                "line_items": [
                    {"id": int(order["number"]) * 100 + line["line"], "name": line["product"],
                     "sku": line["sku"], "quantity": line["quantity"], "subtotal": line["gross"],
                     "total": line["net"]}
                    for line in lines[order["number"]]
                ],
                "shipping_lines": [{"method_title": "Flat rate", "total": order["shipping"]}],
                "fee_lines": [],
                "coupon_lines": [{"code": order["coupon"]}] if order["coupon"] else [],
                "refunds": [
                    {"id": number, "reason": "", "total": f"-{amount}"}
                    for number, amount, _ in given.get(order["number"], [])
                ],
            }
        )  # fmt: skip
    return [writing.write_json(folder / "orders.json", found)]


def _export_csv(shop: SyntheticShop, folder: Path) -> list[Path]:
    cells, lines, given = _texts(shop), writing.by_order(shop.lines), _given(shop)
    size = len(cells["number"])
    coupons = zip(cells["coupon"], cells["discount"], strict=True)
    packed: list[list[str | None]] = [
        [f"name:{line['product']}|product_id:|sku:{line['sku']}|quantity:{line['quantity']}"
         f"|total:{line['net']}|sub_total:{line['gross']}" for line in lines[number]]
        for number in cells["number"]
    ]  # fmt: skip
    most = max(len(items) for items in packed)
    columns = {
        "order_id": cells["number"], "order_number": cells["number"],
        "order_date": [text.replace("T", " ") for text in cells["wall"]], "paid_date": None,
        "status": cells["status"], "shipping_total": cells["shipping"],
        "shipping_tax_total": cells["shipping_tax"], "fee_total": "0", "fee_tax_total": "0",
        "tax_total": cells["tax"], "cart_discount": cells["discount"], "order_discount": "0.00",
        "discount_total": cells["discount"], "order_total": cells["total"], "order_subtotal": cells["gross"],
        "order_key": None, "order_currency": shop.currency, "payment_method": cells["method"],
        "payment_method_title": cells["title"], "transaction_id": None, "shipping_method": "Flat rate",
        "customer_id": cells["account"], "customer_user": cells["account"],
        "customer_email": _blank(cells["email"]), "billing_first_name": _blank(cells["first_name"]),
        "billing_last_name": _blank(cells["last_name"]), "billing_email": _blank(cells["email"]),
        "billing_phone": _blank(cells["phone"]), "billing_country": cells["country"],
        "coupon_items": [f"code:{c}|amount:{d}" if c else None for c, d in coupons],
        "refund_items": [
            ";".join(f"amount:{amount}|reason:|date:{date}" for _, amount, date in given.get(n, [])) or None
            for n in cells["number"]
        ],
        **{f"line_item_{i + 1}": pa.array([p[i] if i < len(p) else None for p in packed], pa.string())
           for i in range(most)},
    }  # fmt: skip
    return [writing.write_csv(folder / "order_export.csv", columns, size)]


def _blank(values: list[str]) -> list[str | None]:
    return [value or None for value in values]


def _export_lines(shop: SyntheticShop, folder: Path) -> list[Path]:
    lines, orders = shop.lines, shop.orders
    order = np.repeat(np.arange(len(orders)), orders["lines"])
    person = shop.buyers(orders)
    named = orders["person"].notna()

    def repeated(values: Any) -> pa.Array:
        return writing.arrow(values).take(pa.array(order))

    def money(name: str) -> pa.Array:
        return decimals(cents(orders[name])[order])

    columns = {
        "Order Number": repeated(orders["order_id"]),
        "Order Status": repeated(coded(_status(orders), _LABELS)),
        "Order Date": repeated(writing.clock(shop.wall(orders["order_ts"]), "%Y-%m-%d %H:%M")),
        "Customer Note": None,
        "First Name (Billing)": repeated(pick(named, column(person["first_name"]))),
        "Last Name (Billing)": repeated(pick(named, column(person["last_name"]))),
        "Country Code (Billing)": repeated(orders["country"]), "Email (Billing)": repeated(orders["email"]),
        "Phone (Billing)": repeated(orders["phone"]), "Order Currency": shop.currency,
        "Payment Method Title": repeated(coded(orders["payment_method"], _TITLES)),
        "Coupon Code": repeated(column(orders["coupon"].str.lower())), "SKU": lines["sku"],
        "Item Name": lines["product"], "Quantity": lines["quantity"].to_numpy(),
        "Order Line Total": decimals(cents(lines["net"])),
        "Order Line Total Refunded": decimals(np.zeros(len(lines), dtype=np.int64)),
        "Cart Discount Amount": money("discount"), "Order Subtotal Amount": money("gross"),
        "Order Tax Amount": money("tax"), "Order Shipping Amount": money("shipping"),
        "Order Refund Amount": money("refunded"), "Order Total Amount": money("total"),
    }  # fmt: skip
    return [writing.write_csv(folder / "orders.csv", columns, len(lines))]


EXPORTS: dict[str, Callable[[SyntheticShop, Path], list[Path]]] = {
    "woocommerce-tables": _export_tables,
    "woocommerce-rest": _export_rest,
    "woocommerce-csv": _export_csv,
    "woocommerce-lines": _export_lines,
}
