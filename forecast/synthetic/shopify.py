"""A synthetic shop as Shopify exports it: the orders' CSV, a bulk query's JSONL, the REST answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

import forecast.synthetic.writing as writing
from forecast.synthetic.people import column, joined
from forecast.synthetic.writing import amounts, cents, coded, decimals, pick

if TYPE_CHECKING:
    from forecast.synthetic.shop import SyntheticShop

HEADER = [
    "Name", "Email", "Financial Status", "Paid at", "Fulfillment Status", "Fulfilled at", "Accepts Marketing",
    "Currency", "Subtotal", "Shipping", "Taxes", "Total", "Discount Code", "Discount Amount",
    "Shipping Method", "Created at", "Lineitem quantity", "Lineitem name", "Lineitem price",
    "Lineitem compare at price", "Lineitem sku", "Lineitem requires shipping", "Lineitem taxable",
    "Lineitem fulfillment status", "Billing Name", "Billing Street", "Billing Address1", "Billing Address2",
    "Billing Company", "Billing City", "Billing Zip", "Billing Province", "Billing Country", "Billing Phone",
    "Shipping Name", "Shipping Street", "Shipping Address1", "Shipping Address2", "Shipping Company",
    "Shipping City", "Shipping Zip", "Shipping Province", "Shipping Country", "Shipping Phone", "Notes",
    "Note Attributes", "Cancelled at", "Payment Method", "Payment Reference", "Refunded Amount", "Vendor",
    "Outstanding Balance", "Employee", "Location", "Device ID", "Id", "Tags", "Risk Level", "Source",
    "Lineitem discount", "Tax 1 Name", "Tax 1 Value", "Tax 2 Name", "Tax 2 Value", "Tax 3 Name",
    "Tax 3 Value", "Tax 4 Name", "Tax 4 Value", "Tax 5 Name", "Tax 5 Value", "Phone", "Receipt Number",
    "Duties", "Billing Province Name", "Shipping Province Name", "Payment ID", "Payment Terms Name",
    "Next Payment Due At", "Payment References",
]  # fmt: skip
_STATUS = {
    "completed": "paid", "pending": "pending", "refunded": "refunded", "failed": "expired",
    "partially_refunded": "partially_refunded", "cancelled": "voided",
}  # fmt: skip
_METHODS = {
    "card": "Shopify Payments", "ideal": "iDEAL", "paypal": "PayPal Express Checkout", "bogus": "bogus",
    "cash_on_delivery": "Cash on Delivery (COD)", "bank_transfer": "Bank Deposit", "cash": "Cash",
    "amazon_marketplace": "amazon_marketplace",
}  # fmt: skip
_MONEY = {
    "Subtotal", "Shipping", "Taxes", "Total", "Discount Amount", "Refunded Amount", "Lineitem price",
    "Outstanding Balance", "Lineitem discount", "Tax 1 Value",
}  # fmt: skip
_FIRST_ID = 5_500_000_000_000


def _status(orders: pd.DataFrame) -> np.ndarray:
    # Half of the cancelled orders stay "paid": the stamp alone says it.
    found = orders["status"].map(_STATUS).to_numpy(dtype=object)
    number = orders["order_id"].astype("int64").to_numpy()
    found[(found == "voided") & (number % 2 == 0)] = "paid"
    return found


def _source(orders: pd.DataFrame) -> np.ndarray:
    return np.select(
        [orders["is_marketplace"], orders["is_subscription"], orders["payment_method"] == "cash"],
        ["sell-on-amazon", "subscription_contract", "pos"],
        "web",
    ).astype(object)


def _export_csv(shop: SyntheticShop, folder: Path) -> list[Path]:
    lines, orders = shop.lines, shop.orders
    start = np.flatnonzero(lines["line"].to_numpy() == 1)
    count = orders["lines"].to_numpy()

    def batches() -> Iterator[pa.RecordBatch]:
        for end in range(len(orders), 0, -writing.CHUNK):
            begin = max(end - writing.CHUNK, 0)
            # Newest order first, its lines in their order.
            chosen = np.arange(end - 1, begin - 1, -1)
            order = np.repeat(np.arange(len(chosen)), count[chosen])
            within = np.arange(len(order)) - np.repeat(
                np.cumsum(count[chosen]) - count[chosen], count[chosen]
            )
            part = lines.take(start[chosen][order] + within)
            yield _sheet(shop, orders.take(chosen).reset_index(drop=True), part, order, within == 0)

    schema = pa.schema([(name, _type(name)) for name in HEADER])
    return [writing.write_batches(folder / "orders_export_1.csv", schema, batches())]


def _type(name: str) -> pa.DataType:
    return pa.decimal128(18, 2) if name in _MONEY else pa.string()


def _sheet(
    shop: SyntheticShop, orders: pd.DataFrame, part: pd.DataFrame, order: np.ndarray, first: np.ndarray
) -> pa.RecordBatch:
    size = len(orders)
    wall = shop.wall(orders["order_ts"])
    status, method = _status(orders), coded(orders["payment_method"], _METHODS)
    created = writing.stamped(orders["order_ts"], wall, "%Y-%m-%d %H:%M:%S ")
    paid = ~np.isin(status, ["pending", "voided", "expired"])
    cancelled = orders["cancelled_ts"]
    some = cancelled.fillna(orders["order_ts"])
    gone = pick(cancelled.notna(), writing.stamped(some, shop.wall(some), "%Y-%m-%d %H:%M:%S "))
    person = shop.buyers(orders)
    named = orders["person"].notna().to_numpy()
    number = orders["order_id"].astype("int64").to_numpy()
    name = pick(named, joined(person["first_name"], " ", person["last_name"]))
    street = pick(named, joined("Fountain Street ", 1 + number % 90))
    nothing, total = np.zeros(size, dtype=np.int64), cents(orders["total"])
    sent = paid & (number % 20 != 0)
    percent = f"VAT {shop.settings.tax_rate:.0%}"
    address = {
        "Name": name, "Street": street, "Address1": street, "City": pick(named, column(person["city"])),
        # Shopify guards postal codes from a spreadsheet's arithmetic.
        "Zip": pick(named, joined("'", 10_000 + number % 80_000)), "Country": orders["country"],
        "Phone": orders["phone"],
    }  # fmt: skip
    of_order: dict[str, Any] = {
        "Financial Status": status, "Paid at": pick(paid, created),
        "Fulfillment Status": pick(sent, "fulfilled", "unfulfilled"), "Fulfilled at": pick(sent, created),
        "Accepts Marketing": pick(number % 3 == 0, "yes", "no"), "Currency": orders["currency"],
        "Subtotal": decimals(cents(orders["shown_subtotal"])),
        "Shipping": decimals(cents(orders["shown_shipping"])), "Taxes": decimals(cents(orders["tax"])),
        "Total": decimals(total), "Discount Code": orders["coupon"],
        "Discount Amount": decimals(cents(orders["shown_discount"])),
        "Shipping Method": pick(orders["payment_method"] != "cash", "Standard"),
        **{f"{kind} {field}": cells for kind in ("Billing", "Shipping") for field, cells in address.items()},
        "Notes": pick(number % 97 == 0, 'Please ring "twice",\nthe bell is weak'), "Cancelled at": gone,
        "Payment Method": method, "Payment Reference": joined("c", number, ".1"),
        "Refunded Amount": decimals(cents(orders["refunded"])),
        "Outstanding Balance": decimals(np.where(status == "pending", total, nothing)),
        "Id": column(_FIRST_ID + number), "Risk Level": pick(np.ones(size, dtype=bool), "Low"),
        "Tags": pick(orders["is_test"], "test", pick(orders["is_wholesale"], "wholesale")),
        "Source": _source(orders), "Tax 1 Name": pick(orders["tax"] > 0, percent),
        "Tax 1 Value": pick(orders["tax"] > 0, decimals(cents(orders["tax"]))),
    }  # fmt: skip
    sent_line = sent[order]
    of_line: dict[str, Any] = {
        "Name": joined("#", orders["order_id"]).take(order), "Email": column(orders["email"]).take(order),
        "Created at": created.take(order), "Lineitem quantity": part["quantity"].to_numpy(),
        "Lineitem name": part["product"], "Lineitem price": decimals(cents(part["unit_price"])),
        "Lineitem sku": part["sku"], "Lineitem requires shipping": pa.repeat("true", len(part)),
        "Lineitem taxable": pa.repeat("true", len(part)),
        "Lineitem fulfillment status": pick(sent_line, "fulfilled", "pending"),
        "Vendor": pa.repeat("Example Goods", len(part)),
        # The discount is the order's; its lines say 0.
        "Lineitem discount": decimals(np.zeros(len(part), dtype=np.int64)),
        "Phone": column(orders["phone"]).take(order),
    }  # fmt: skip
    where = pc.if_else(pa.array(first), pa.array(order), pa.scalar(None, pa.int64()))
    cells = {key: writing.arrow(values).take(where) for key, values in of_order.items()}
    cells |= {key: writing.arrow(values) for key, values in of_line.items()}
    blank = pa.nulls(len(part), pa.string())
    return pa.record_batch([cells.get(key, blank) for key in HEADER], names=HEADER)


def _stamps(shop: SyntheticShop, moments: pd.Series, layout: str) -> list[str | None]:
    known = moments.fillna(shop.orders["order_ts"].iloc[0])
    text = writing.stamped(known, shop.wall(known), layout, ":")
    return pick(moments.notna(), text).to_pylist()


def _zulu(moments: Iterable[Any]) -> list[str | None]:
    return [None if pd.isna(m) else f"{m:%Y-%m-%dT%H:%M:%SZ}" for m in moments]


def _newest_first(shop: SyntheticShop, orders: dict[str, Any]) -> Iterator[tuple[dict[str, Any], Any, Any]]:
    """Orders as records, each with its lines and its refunds."""
    lines = writing.by_order(shop.lines)
    refunds = writing.by_order(shop.refunds)
    names = list(orders)
    for row in reversed(list(zip(*orders.values(), strict=True))):
        order = dict(zip(names, row, strict=True))
        yield order, lines[order["order_id"]], refunds.get(order["order_id"], [])


def _records(shop: SyntheticShop) -> dict[str, Any]:
    orders = shop.orders
    shown = orders["shown_subtotal"] + orders["shown_discount"]
    money = {name: amounts(orders[name]) for name in ("shown_subtotal", "shown_discount", "shown_shipping",
                                                      "tax", "total", "refunded")}  # fmt: skip
    plain = {
        name: writing.known(orders[name])
        for name in ("order_id", "account_id", "email", "phone", "currency", "coupon", "country", "is_test",
                     "is_wholesale")
    }  # fmt: skip
    return plain | money | {
        "price_of_lines": amounts(shown), "financial": _status(orders).tolist(),
        "source": _source(orders).tolist(),
        "method": coded(orders["payment_method"], _METHODS).to_pylist(),
    }  # fmt: skip


def _export_graphql(shop: SyntheticShop, folder: Path) -> list[Path]:
    records = _records(shop)
    records["created"], records["cancelled"] = (
        _zulu(shop.orders[name]) for name in ("order_ts", "cancelled_ts")
    )

    def bag(amount: str, currency: str) -> dict[str, Any]:
        money = {"amount": amount, "currencyCode": currency}
        return {"shopMoney": money, "presentmentMoney": money}

    def documents() -> Iterator[dict[str, Any]]:
        for order, lines, refunds in _newest_first(shop, records):
            number, currency = int(order["order_id"]), order["currency"]
            gid = f"gid://shopify/Order/{_FIRST_ID + number}"
            account = order["account_id"]
            yield {
                "id": gid, "name": f"#{number}", "createdAt": order["created"],
                "updatedAt": _zulu([r["refund_ts"] for r in refunds])[-1] if refunds else order["created"],
                "cancelledAt": order["cancelled"], "test": order["is_test"], "email": order["email"],
                "phone": order["phone"], "currencyCode": currency,
                "taxesIncluded": shop.settings.tax_inclusive,
                "displayFinancialStatus": order["financial"].upper(), "sourceName": order["source"],
                "customer": None if account is None else
                {"id": f"gid://shopify/Customer/{account}", "email": order["email"].lower()},
                "subtotalPriceSet": bag(order["shown_subtotal"], currency),
                "totalDiscountsSet": bag(order["shown_discount"], currency),
                "totalShippingPriceSet": bag(order["shown_shipping"], currency),
                "totalTaxSet": bag(order["tax"], currency), "totalPriceSet": bag(order["total"], currency),
                "totalRefundedSet": bag(order["refunded"], currency),
                "discountCodes": [order["coupon"]] if order["coupon"] else [],
                "paymentGatewayNames": [order["method"]],
                "tags": ["test"] if order["is_test"] else ["wholesale"] if order["is_wholesale"] else [],
                "shippingAddress": {"countryCodeV2": order["country"]},
                "refunds": [
                    {"id": f"gid://shopify/Refund/{number}{i}", "createdAt": _zulu([refund["refund_ts"]])[0],
                     "totalRefundedSet": bag(refund["amount"], currency)}
                    for i, refund in enumerate(refunds)
                ],
            }  # fmt: skip
            for line in lines:
                yield {
                    "id": f"gid://shopify/LineItem/{number}{line['line']:02d}", "name": line["product"],
                    "sku": line["sku"], "quantity": line["quantity"],
                    "originalUnitPriceSet": bag(line["unit_price"], currency), "__parentId": gid,
                }  # fmt: skip

    return [writing.write_lines(folder / "orders.jsonl", documents())]


def _export_rest(shop: SyntheticShop, folder: Path) -> list[Path]:
    records = _records(shop)
    layout = "%Y-%m-%dT%H:%M:%S"
    for name, column_name in (("created", "order_ts"), ("cancelled", "cancelled_ts")):
        records[name] = _stamps(shop, shop.orders[column_name], layout)
    found = []
    for order, lines, refunds in _newest_first(shop, records):
        number, account = int(order["order_id"]), order["account_id"]
        given = [_stamps(shop, pd.Series([r["refund_ts"]]).dt.as_unit("s"), layout)[0] for r in refunds]
        codes = [{"code": order["coupon"], "amount": order["shown_discount"], "type": "percentage"}]
        found.append(
            {
                "id": _FIRST_ID + number, "name": f"#{number}", "order_number": number,
                "email": order["email"] or "",
                "phone": order["phone"], "created_at": order["created"], "cancelled_at": order["cancelled"],
                "updated_at": given[-1] if given else order["cancelled"] or order["created"],
                "test": order["is_test"], "currency": order["currency"],
                "financial_status": order["financial"],
                "gateway": order["method"], "payment_gateway_names": [order["method"]],
                "source_name": order["source"], "taxes_included": shop.settings.tax_inclusive,
                "total_line_items_price": order["price_of_lines"], "subtotal_price": order["shown_subtotal"],
                "total_discounts": order["shown_discount"], "total_tax": order["tax"],
                "total_price": order["total"], "tags": "test" if order["is_test"] else
                "wholesale" if order["is_wholesale"] else "",
                "discount_codes": codes if order["coupon"] else [],
                "shipping_lines": [{"title": "Standard", "price": order["shown_shipping"]}],
                "shipping_address": {"country_code": order["country"]},
                "customer": None if account is None else {"id": account, "email": order["email"].lower()},
                "line_items": [
                    {"id": number * 100 + line["line"], "name": line["product"], "sku": line["sku"],
                     "quantity": line["quantity"], "price": line["unit_price"], "total_discount": "0.00"}
                    for line in lines
                ],
                # Amounts given back for no line in particular.
                "refunds": [
                    {"id": number * 10 + i, "created_at": given[i], "refund_line_items": [],
                     "order_adjustments": [],
                     "transactions": [{"kind": "refund", "status": "success", "amount": refund["amount"]}]}
                    for i, refund in enumerate(refunds)
                ],
            }
        )  # fmt: skip
    return [writing.write_json(folder / "orders.json", {"orders": found})]


EXPORTS: dict[str, Callable[[SyntheticShop, Path], list[Path]]] = {
    "shopify-csv": _export_csv,
    "shopify-graphql": _export_graphql,
    "shopify-rest": _export_rest,
}
