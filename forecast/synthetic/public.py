"""A synthetic shop in the shape of two public data sets, and as a plain table of sales."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

import forecast.synthetic.writing as writing
from forecast.synthetic.expecting import ABILITIES, INVOICES, expected_orders, persons
from forecast.synthetic.people import column
from forecast.synthetic.selling import shares
from forecast.synthetic.writing import cents, coded, decimals, pick

if TYPE_CHECKING:
    from forecast.synthetic.shop import SyntheticShop

_COUNTRIES = {"NL": "Netherlands", "DE": "Germany", "BE": "Belgium", "FR": "France"}


def _export_online_retail(shop: SyntheticShop, folder: Path) -> list[Path]:
    """Lines of invoices, discounts and carriage as lines of their own, returns as invoices with a C."""
    orders, lines = shop.orders, shop.lines
    number = orders["order_id"].astype("int64").to_numpy() + INVOICES
    order = np.repeat(np.arange(len(orders)), orders["lines"])
    invoices = pd.DataFrame(
        {
            "row": order, "StockCode": lines["sku"].str.replace("SKU-", "2", regex=False),
            "Description": lines["product"].str.upper(), "Quantity": lines["quantity"],
            "UnitPrice": lines["unit_price"],
        }
    )  # fmt: skip
    extra = []
    for code, text, sign, name in (
        ("D", "Discount", -1, "shown_discount"),
        ("POST", "POSTAGE", 1, "shown_shipping"),
    ):
        row = np.flatnonzero(orders[name].to_numpy() > 0)
        extra.append(
            pd.DataFrame({"row": row, "StockCode": code, "Description": text, "Quantity": sign,
                          "UnitPrice": orders[name].to_numpy()[row]})
        )  # fmt: skip
    sold = pd.concat([invoices, *extra], ignore_index=True)
    sold = sold[~orders["status"].isin(["cancelled", "failed"]).to_numpy()[sold["row"]]]
    moment = shop.wall(orders["order_ts"])
    sold["when"], sold["InvoiceNo"] = moment.to_numpy()[sold["row"]], number[sold["row"]].astype(str)

    position = pd.Series(np.arange(len(orders)), index=orders["order_id"])
    refunds = shop.refunds
    row = position.loc[refunds["order_id"]].to_numpy()
    whole = (orders["status"] == "refunded").to_numpy()[row]
    note = np.char.add("C", (int(number[-1]) + 1 + np.arange(len(refunds))).astype(str))
    given = pd.DataFrame({"row": row, "InvoiceNo": note, "when": shop.wall(refunds["refund_ts"]),
                          "amount": refunds["amount"]})  # fmt: skip
    # What came back whole is listed line by line; a part is one piece at the price given back.
    back = sold.drop(columns=["InvoiceNo", "when"]).merge(given[whole], on="row")
    back["Quantity"] = -back["Quantity"]
    piece = given[~whole].merge(sold.drop_duplicates("row")[["row", "StockCode", "Description"]], on="row")
    piece = piece.assign(Quantity=-1, UnitPrice=piece["amount"])
    file = pd.concat([sold, back, piece], ignore_index=True)
    file = file.sort_values(["when", "InvoiceNo"], kind="stable", ignore_index=True)
    row = file["row"].to_numpy()
    sheet = pd.DataFrame(
        {
            "InvoiceNo": file["InvoiceNo"], "StockCode": file["StockCode"],
            "Description": file["Description"],
            "Quantity": file["Quantity"],
            "InvoiceDate": writing.american(file["when"], padded=False).to_pandas(),
            "UnitPrice": writing.amounts(file["UnitPrice"]),
            "CustomerID": orders["account_id"].to_numpy()[row],
            "Country": orders["country"].map(_COUNTRIES).to_numpy()[row],
        }
    )  # fmt: skip
    path = folder / "online_retail.csv"
    sheet.to_csv(path, index=False, encoding="latin-1", lineterminator="\n")
    return [path]


def _export_olist(shop: SyntheticShop, folder: Path) -> list[Path]:
    """Orders, their items piece by piece, and customers: a new customer_id for every order."""
    orders, lines = shop.orders, shop.lines
    number = orders["order_id"].astype("int64")
    order_id = pa.array(number.map("{:032x}".format))
    customer = pa.array((number + 2**40).map("{:032x}".format))
    states = {
        "completed": "delivered", "partially_refunded": "delivered", "refunded": "delivered",
        "cancelled": "canceled", "failed": "canceled", "pending": "created",
    }  # fmt: skip
    when = writing.clock(shop.wall(orders["order_ts"]))
    done = orders["status"].isin(["completed", "partially_refunded", "refunded"])
    promised = writing.clock(orders["order_day"] + pd.Timedelta(days=14))
    table = {
        "order_id": order_id, "customer_id": customer, "order_status": coded(orders["status"], states),
        "order_purchase_timestamp": when, "order_approved_at": pick(done, when),
        "order_delivered_carrier_date": pick(done, when), "order_delivered_customer_date": pick(done, when),
        "order_estimated_delivery_date": promised,
    }  # fmt: skip

    # One row a piece; cents of prices and of carriage add up over them.
    line_order = np.repeat(np.arange(len(orders)), orders["lines"])
    pieces = np.repeat(np.arange(len(lines)), lines["quantity"])
    order = line_order[pieces]
    count = np.bincount(order, minlength=len(orders))
    start = np.cumsum(count) - count
    weight = cents(lines["unit_price"])[pieces]
    items = {
        "order_id": order_id.take(pa.array(order)), "order_item_id": np.arange(len(order)) - start[order] + 1,
        "product_id": column(lines["sku"]).take(pa.array(pieces)), "seller_id": "0" * 31 + "1",
        "shipping_limit_date": promised.take(pa.array(order)),
        "price": decimals(shares(cents(orders["shown_subtotal"]), weight, start, order)),
        "freight_value": decimals(shares(cents(orders["shown_shipping"]), weight, start, order)),
    }  # fmt: skip
    who = shop.buyers(orders)
    customers = {
        "customer_id": customer, "customer_unique_id": persons(shop),
        "customer_zip_code_prefix": column(10_000 + number.to_numpy() % 80_000),
        "customer_city": who["city"].str.lower(), "customer_state": "SP",
    }  # fmt: skip
    return [
        writing.write_csv(folder / "olist_orders_dataset.csv", table, len(orders)),
        writing.write_csv(folder / "olist_order_items_dataset.csv", items, len(order)),
        writing.write_csv(folder / "olist_customers_dataset.csv", customers, len(orders)),
    ]


def _export_generic(shop: SyntheticShop, folder: Path) -> list[Path]:
    found = expected_orders(shop, "generic", ABILITIES["generic"].policies[0])
    truth = shop.orders.set_index("order_id").loc[found["order_id"]]
    worth = np.where(found["code"].notna(), truth["net"] * 1.0, found["value"])
    columns = {
        "customer_id": column(found["customer_id"]),
        "order_date": writing.clock(truth["order_day"], "%Y-%m-%d"),
        "value": decimals(cents(worth)),
        "order_id": found["order_id"],
    }
    return [writing.write_csv(folder / "orders.csv", columns, len(found))]


EXPORTS: dict[str, Callable[[SyntheticShop, Path], list[Path]]] = {
    "online-retail": _export_online_retail,
    "olist": _export_olist,
    "generic": _export_generic,
}
