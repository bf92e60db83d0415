"""Marketplaces: their reports do not say who bought, so they give totals and no customers."""

from __future__ import annotations

from forecast.orders.dialects.platform import Platform, Table

AMAZON = Platform(
    name="amazon",
    title="Amazon, All Orders report",
    table=Table(
        tells=(("amazonorderid", "purchasedate"),),
        fields={
            "order_id": ("amazonorderid",),
            "ordered_at": ("purchasedate",),
            "updated_at": ("lastupdateddate",),
            "status": ("orderstatus",),
            "currency": ("currency",),
            "price": ("itemprice",),
            "tax": ("itemtax",),
            "shipping": ("shippingprice",),
            "shipping_tax": ("shippingtax",),
            "discount": ("itempromotiondiscount",),
            "channel": ("saleschannel",),
            "country": ("shipcountry",),
            "first_product": ("sku", "asin"),
            "quantity": ("quantity",),
        },
        required=("order_id", "ordered_at", "price"),
    ),
    clock="utc",
    lines=True,
    line_sums={
        "price": "price",
        "tax": "tax",
        "shipping": "shipping",
        "discount": "abs(discount)",
    },
    columns={
        # Prices hold no tax in the United States and hold it elsewhere; the report does not say which.
        "total": "coalesce(price, 0) + coalesce(shipping, 0) - coalesce(discount, 0)",
    },
    statuses={
        "shipped": "completed",
        "unshipped": "completed",
        "partiallyshipped": "completed",
        "complete": "completed",
        "shipped - delivered to buyer": "completed",
        "shipped - picked up": "completed",
        "shipping": "completed",
        "pending": "pending",
        "cancelled": "cancelled",
        "canceled": "cancelled",
    },
    policies=("total_sales",),
    aggregate="Amazon's All Orders report has no buyer: only totals can be had, no customer-level model",
    hints={"policy": "Amazon's report does not say whether prices hold tax"},
)

BOL = Platform(
    name="bol",
    title="bol.com, orders of the retailer API",
    table=Table(
        tells=(("orderid", "orderplaceddatetime"),),
        fields={
            "order_id": ("orderId", "orderid"),
            "ordered_at": ("orderPlacedDateTime", "orderplaceddatetime"),
            "items": ("orderItems", "orderitems"),
        },
        required=("order_id", "ordered_at"),
        json=True,
    ),
    columns={
        "total": "list_sum(list_transform(CAST(items AS JSON[]), lambda t: "
        "TRY_CAST(json_extract_string(t, '/unitPrice') AS DOUBLE) "
        "* coalesce(TRY_CAST(json_extract_string(t, '/quantity') AS DOUBLE), 1)))",
    },
    policies=("total_sales",),
    aggregate="bol.com masks its buyers' addresses and forbids profiling them: only totals can be had, "
    "no customer-level model",
    hints={"policy": "bol.com's orders have one price a line"},
)

ZALANDO = Platform(
    name="zalando",
    title="Zalando zDirect, orders (JSON:API) or order items (CSV)",
    table=Table(
        tells=(("type", "id", "attributes"), ("ordernumber", "orderlineid", "priceamount")),
        fields={
            "order_id": ("attributes/order_number", "order_number"),
            "ordered_at": ("attributes/order_date", "order_date"),
            "price": ("attributes/order_lines_price_amount", "price_amount"),
            "currency": ("attributes/order_lines_price_currency", "price_currency"),
            "status": ("attributes/status", "status"),
            "channel": ("attributes/sales_channel_id", "sales_channel_id"),
        },
        required=("order_id", "ordered_at", "price"),
        json=True,
    ),
    clock="utc",
    lines=True,
    line_sums={"price": "price"},
    columns={"total": "price"},
    statuses={
        "approved": "completed",
        "shipped": "completed",
        "delivered": "completed",
        "returned": "refunded",
        "fulfilled": "completed",
        "initial": "pending",
        "on_hold": "pending",
        "assigned": "completed",
        "canceled": "cancelled",
        "cancelled": "cancelled",
    },
    policies=("total_sales",),
    aggregate="Zalando's orders name no buyer, and most of fashion comes back: only totals can be had, "
    "no customer-level model",
    hints={"policy": "Zalando's orders have one amount"},
)

ALL = (AMAZON, BOL, ZALANDO)
