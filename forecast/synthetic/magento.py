"""A synthetic shop as Magento exports it: admin grid, tables, REST answer, and a dump of order lines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

import forecast.synthetic.writing as writing
from forecast.synthetic.people import column, joined
from forecast.synthetic.selling import LATE
from forecast.synthetic.writing import cents, coded, decimals, pick

if TYPE_CHECKING:
    from forecast.synthetic.shop import SyntheticShop

_STATES = {
    "completed": "complete", "partially_refunded": "complete", "refunded": "closed", "cancelled": "canceled",
    "failed": "canceled", "waiting": "new", "pending": "pending_payment",
}  # fmt: skip
_STATUSES = {**{v: v for v in _STATES.values()}, "new": "pending"}
_LABELS = {
    "complete": "Complete", "closed": "Closed", "canceled": "Canceled", "new": "Pending",
    "pending_payment": "Pending Payment",
}  # fmt: skip
_METHODS = {
    "card": "adyen_cc", "ideal": "adyen_ideal", "paypal": "paypal_express", "bogus": "bogus",
    "cash_on_delivery": "cashondelivery", "bank_transfer": "banktransfer", "cash": "cash",
    "amazon_marketplace": "amazon_marketplace",
}  # fmt: skip
_METHOD_LABELS = {
    "card": "Credit Card", "ideal": "iDEAL", "paypal": "PayPal Express Checkout", "bogus": "Bogus",
    "cash_on_delivery": "Cash On Delivery", "bank_transfer": "Bank Transfer Payment", "cash": "Cash",
    "amazon_marketplace": "Amazon Marketplace",
}  # fmt: skip
_GROUPS = {0: "NOT LOGGED IN", 1: "General", 2: "Wholesale"}
_STORE_NAME = "Main Website\nMain Website Store\nDefault Store View"


def _state(orders: pd.DataFrame) -> np.ndarray:
    waiting = (orders["status"] == "pending") & orders["payment_method"].isin(LATE)
    return orders["status"].mask(waiting, "waiting").map(_STATES).to_numpy(dtype=object)


def _group(orders: pd.DataFrame) -> np.ndarray:
    return np.where(orders["account_id"].isna(), 0, np.where(orders["is_wholesale"], 2, 1))


def _increment(values: Any) -> pa.Array:
    return column(pd.Series(values).astype(str).str.zfill(9))


def _name(shop: SyntheticShop) -> pa.Array:
    orders = shop.orders
    person = shop.buyers(orders)
    return pick(orders["person"].notna(), joined(person["first_name"], " ", person["last_name"]), "Guest")


def _export_grid(shop: SyntheticShop, folder: Path) -> list[Path]:
    orders = shop.orders.iloc[::-1].reset_index(drop=True)
    name = _name(shop).take(pa.array(np.arange(len(orders))[::-1]))
    total = decimals(cents(orders["total"]), 4)
    place = joined("Fountain Street 1,Bloomburg,", orders["country"])
    columns = {
        "ID": _increment(orders["order_id"]), "Purchase Point": _STORE_NAME,
        "Purchase Date": writing.american(shop.wall(orders["order_ts"]), padded=True), "Bill-to Name": name,
        "Ship-to Name": name, "Grand Total (Base)": total, "Grand Total (Purchased)": total,
        "Status": coded(_state(orders), _LABELS), "Billing Address": place, "Shipping Address": place,
        "Shipping Information": "Flat Rate - Fixed", "Customer Email": orders["email"],
        "Customer Group": coded(_group(orders), _GROUPS), "Subtotal": decimals(cents(orders["gross"]), 4),
        "Shipping and Handling": decimals(cents(orders["shipping"]), 4), "Customer Name": name,
        "Payment Method": coded(orders["payment_method"], _METHOD_LABELS),
        "Total Refunded": decimals(cents(orders["refunded"]), 4), "Allocated sources": "Default Source",
        "Pickup Location Code": None, "Braintree Transaction Source": None, "Dispute State": None,
    }  # fmt: skip
    return [writing.write_csv(folder / "export.csv", columns, len(orders))]


def _refunded(shop: SyntheticShop) -> pd.DataFrame:
    """What every order gave back, by component; discounts as the share of what was discounted."""
    parts = shop.refunds.groupby("order_id")[["amount", "gross", "net", "shipping", "tax"]].sum()
    return parts.reindex(shop.orders["order_id"]).fillna(0.0).reset_index(drop=True)


def _sales_order(shop: SyntheticShop) -> dict[str, Any]:
    orders, back = shop.orders, _refunded(shop)
    state = _state(orders)
    money = {name: cents(orders[name]) for name in ("gross", "discount", "shipping", "tax", "total")}
    given = {name: cents(back[name]) for name in back}
    some = given["amount"] > 0

    def null(values: np.ndarray) -> pa.Array:
        return pick(some, decimals(values, 4))

    paid = ~np.isin(state, ["new", "pending_payment", "canceled"])
    number = orders["order_id"].astype("int64").to_numpy()
    return {
        "entity_id": number - 1000, "state": state, "status": coded(state, _STATUSES),
        "coupon_code": orders["coupon"], "store_id": "1", "store_name": _STORE_NAME,
        "customer_id": orders["account_id"], "customer_is_guest": orders["is_guest"].astype(int).to_numpy(),
        "customer_group_id": _group(orders), "customer_email": orders["email"],
        "increment_id": _increment(orders["order_id"]), "base_currency_code": shop.currency,
        "order_currency_code": shop.currency, "global_currency_code": shop.currency,
        "base_to_order_rate": "1.0000", "base_subtotal": decimals(money["gross"], 4),
        "base_discount_amount": decimals(-money["discount"], 4),
        "base_shipping_amount": decimals(money["shipping"], 4), "base_tax_amount": decimals(money["tax"], 4),
        "base_grand_total": decimals(money["total"], 4), "grand_total": decimals(money["total"], 4),
        "base_total_paid": pick(paid, decimals(money["total"], 4)),
        "base_total_canceled": pick(state == "canceled", decimals(money["total"], 4)),
        "base_total_refunded": null(given["amount"]), "base_subtotal_refunded": null(given["gross"]),
        "base_discount_refunded": null(given["net"] - given["gross"]),
        "base_shipping_refunded": null(given["shipping"]), "base_tax_refunded": null(given["tax"]),
        "total_item_count": orders["lines"].to_numpy(), "original_increment_id": None,
        "relation_parent_id": None, "created_at": writing.clock(orders["order_ts"].dt.tz_localize(None)),
        "updated_at": writing.clock(shop.changed.dt.tz_localize(None)),
    }  # fmt: skip


def _export_tables(shop: SyntheticShop, folder: Path) -> list[Path]:
    refunds = shop.refunds
    money = {name: cents(refunds[name]) for name in ("amount", "gross", "net", "shipping", "tax")}
    number = refunds["order_id"].astype("int64").to_numpy()
    memos = {
        "entity_id": 1 + np.arange(len(refunds)), "order_id": number - 1000, "store_id": "1",
        "increment_id": _increment(1 + np.arange(len(refunds))), "base_currency_code": shop.currency,
        "base_grand_total": decimals(money["amount"], 4), "base_subtotal": decimals(money["gross"], 4),
        "base_discount_amount": decimals(money["net"] - money["gross"], 4),
        "base_shipping_amount": decimals(money["shipping"], 4),
        "base_tax_amount": decimals(money["tax"], 4), "state": "2",
        "created_at": writing.clock(refunds["refund_ts"].dt.tz_localize(None)),
        "updated_at": writing.clock(refunds["refund_ts"].dt.tz_localize(None)),
    }  # fmt: skip
    return [
        writing.write_csv(folder / "sales_order.csv", _sales_order(shop), len(shop.orders)),
        writing.write_csv(folder / "sales_creditmemo.csv", memos, len(refunds)),
    ]


def _export_rest(shop: SyntheticShop, folder: Path) -> list[Path]:
    orders = shop.orders
    columns = _sales_order(shop)
    lists: dict[str, list[Any]] = {}
    for name, values in columns.items():
        if values is None or isinstance(values, str):
            lists[name] = [values] * len(orders)
            continue
        cells = writing.arrow(values) if isinstance(values, pa.Array) else pa.array(values, from_pandas=True)
        numbers = pa.types.is_decimal(cells.type)
        lists[name] = [float(v) if numbers and v is not None else v for v in cells.to_pylist()]
    lists["store_id"], lists["base_to_order_rate"] = [1] * len(orders), [1] * len(orders)
    methods = coded(orders["payment_method"], _METHODS).to_pylist()
    name = _name(shop).to_pylist()
    lines = writing.by_order(shop.lines)
    contacts = zip(*(writing.known(orders[key]) for key in ("order_id", "phone", "country")), strict=True)
    items = []
    cells = zip(zip(*lists.values(), strict=True), contacts, name, methods, strict=True)
    for values, (number, phone, country), who, method in cells:
        # A field without a value is left out.
        record = {key: value for key, value in zip(lists, values, strict=True) if value is not None}
        first, _, last = who.partition(" ")
        record["billing_address"] = {
            "firstname": first, "lastname": last, "country_id": country,
            **({} if phone is None else {"telephone": phone}),
        }  # fmt: skip
        record["payment"] = {"method": method}
        record["items"] = [
            {"sku": line["sku"], "name": line["product"], "qty_ordered": line["quantity"],
             "base_row_total": float(line["gross"])}
            for line in lines[number]
        ]  # fmt: skip
        items.append(record)
    answer = {"items": items, "search_criteria": {"filter_groups": []}, "total_count": len(items)}
    return [writing.write_json(folder / "orders.json", answer)]


def _export_lines(shop: SyntheticShop, folder: Path) -> list[Path]:
    lines, orders = shop.lines, shop.orders
    order = np.repeat(np.arange(len(orders)), orders["lines"])
    wall = pd.DatetimeIndex(shop.wall(orders["order_ts"]))
    month, year = wall.month.to_numpy(), wall.year.to_numpy()
    date = joined(month, "/", wall.day.to_numpy(), "/", year).take(order)
    states = {
        "completed": "complete", "partially_refunded": "complete", "refunded": "order_refunded",
        "cancelled": "canceled", "failed": "canceled", "pending": "pending",
    }  # fmt: skip
    methods = {**_METHODS, "card": "Payaxis", "ideal": "Easypay", "cash_on_delivery": "cod", "bogus": "cash"}
    worth = cents(lines["line_total"])
    first = orders["person"].map(shop.customers["first_day"])
    since = pd.DatetimeIndex(first.fillna(orders["order_day"]))
    columns = {
        "item_id": 211_131 + np.arange(len(lines)),
        "status": coded(orders["status"], states).take(order), "created_at": date, "sku": lines["sku"],
        "price": decimals(cents(lines["unit_price"])), "qty_ordered": lines["quantity"].to_numpy(),
        # The order's total, on every one of its lines.
        "grand_total": decimals(cents(orders["total"])[order]),
        "increment_id": column(orders["order_id"]).take(order), "category_name_1": "Home & Living",
        "sales_commission_code": r"\N", "discount_amount": decimals(cents(lines["line_discount"])),
        "payment_method": coded(orders["payment_method"], methods).take(order), "Working Date": date,
        "BI Status": coded(orders["status"], {"completed": "Net", "pending": "Valid"})
        .fill_null("Gross").take(order),
        " MV ": pa.array([f" {value // 100:,} " for value in worth.tolist()]), "Year": year[order],
        "Month": month[order], "Customer Since": joined(since.year, "-", since.month).take(order),
        "M-Y": joined(month, "-", year).take(order), "FY": joined("FY", year % 100).take(order),
        "Customer ID": column(orders["account_id"]).take(order),
        **{f"Unnamed: {i}": None for i in range(21, 26)},
    }  # fmt: skip
    path = writing.write_csv(folder / "order_lines.csv", columns, len(lines))
    # A spreadsheet once had these rows.
    with path.open("a", encoding="utf-8", newline="\n") as file:
        file.write(("," * (len(columns) - 1) + "\n") * 25)
    return [path]


EXPORTS: dict[str, Callable[[SyntheticShop, Path], list[Path]]] = {
    "magento-grid": _export_grid,
    "magento-tables": _export_tables,
    "magento-rest": _export_rest,
    "magento-lines": _export_lines,
}
