"""Public order logs that many try first: UCI's Online Retail and Olist."""

from __future__ import annotations

from forecast.orders.dialects.platform import Join, Platform, Table

# Stock codes of the wholesaler that are no goods.
_POSTAGE = "upper(stock_code) IN ('POST', 'DOT', 'C2', 'C3')"
_FEES = (
    "(upper(stock_code) IN ('M', 'B', 'S', 'BANK CHARGES', 'AMAZONFEE', 'CRUK', 'GIFT', 'SP1002', 'PADS') "
    "OR upper(stock_code) LIKE 'ADJUST%' OR upper(stock_code) LIKE 'GIFT%')"
)

ONLINE_RETAIL = Platform(
    name="online-retail",
    title="UCI Online Retail (I and II), invoice lines",
    table=Table(
        tells=(("invoice", "stockcode"), ("invoiceno", "stockcode")),
        fields={
            "order_id": ("invoice", "invoiceno"),
            "account_id": ("customerid",),
            "ordered_at": ("invoicedate",),
            "stock_code": ("stockcode",),
            "first_product": ("description",),
            "quantity": ("quantity",),
            "price": ("price", "unitprice"),
            "country": ("country",),
        },
        required=("order_id", "ordered_at", "quantity", "price", "account_id"),
    ),
    lines=True,
    refund_rows="order_id ILIKE 'C%'",
    line_sums={
        "total": "quantity * price",
        "shipping": f"CASE WHEN {_POSTAGE} THEN quantity * price ELSE 0 END",
        "discount": "CASE WHEN upper(stock_code) = 'D' THEN -quantity * price ELSE 0 END",
        "fee": f"CASE WHEN {_FEES} THEN quantity * price ELSE 0 END",
    },
    columns={
        "total": "total",
        "net": "total - shipping - fee",
        "discount": "discount",
        "shipping": "shipping",
        "tax": "0",
    },
    month_first=True,
)

OLIST = Platform(
    name="olist",
    title="Olist, Brazilian e-commerce (orders, customers, payments or items)",
    table=Table(
        tells=(("orderid", "customerid", "orderstatus", "orderpurchasetimestamp"),),
        fields={
            "order_id": ("orderid",),
            "person_key": ("customerid",),
            "account_id": ("customeruniqueid",),
            "status": ("orderstatus",),
            "ordered_at": ("orderpurchasetimestamp",),
            "total": ("paymentvalue",),
        },
        required=("order_id", "ordered_at"),
    ),
    lines=True,
    joins=(
        Join(
            table=Table(
                tells=(("customeruniqueid", "customerid"),),
                fields={
                    "order_id": ("customerid",),
                    "account_id": ("customeruniqueid",),
                    "country": ("customerstate",),
                },
                required=("order_id", "account_id"),
            ),
            on="person_key",
            take={"account_id": "min(account_id)", "country": "min(country)"},
            needed=True,
        ),
        Join(
            table=Table(
                tells=(("orderid", "paymentvalue", "paymenttype"),),
                fields={
                    "order_id": ("orderid",),
                    "total": ("paymentvalue",),
                    "payment_method": ("paymenttype",),
                },
                required=("order_id", "total"),
            ),
            on="order_id",
            take={"total": "sum(total)", "payment_method": "min(payment_method)"},
        ),
        Join(
            table=Table(
                tells=(("orderid", "orderitemid", "price", "freightvalue"),),
                fields={
                    "order_id": ("orderid",),
                    "price": ("price",),
                    "freight": ("freightvalue",),
                    "first_product": ("productid",),
                },
                required=("order_id", "price"),
            ),
            on="order_id",
            take={"price": "sum(price)", "freight": "sum(freight)", "quantity": "count(*)"},
        ),
    ),
    columns={
        "total": "coalesce(total, price + coalesce(freight, 0))",
        "net": "price",
        "shipping": "coalesce(freight, total - price)",
        "discount": "CASE WHEN price IS NOT NULL THEN 0 END",
        "tax": "CASE WHEN price IS NOT NULL THEN 0 END",
    },
    statuses={
        "delivered": "completed",
        "shipped": "completed",
        "invoiced": "completed",
        "processing": "completed",
        "approved": "completed",
        "created": "pending",
        "unavailable": "cancelled",
        "canceled": "cancelled",
    },
    hints={
        "policy": "Olist's goods without freight stand in olist_order_items_dataset.csv: read it too",
        "identity": "customer_id is new for every order; the person is customer_unique_id in "
        "olist_customers_dataset.csv: read both files together.",
        "total": "No amounts: read olist_order_payments_dataset.csv (or olist_order_items_dataset.csv) too.",
    },
)

ALL = (ONLINE_RETAIL, OLIST)
