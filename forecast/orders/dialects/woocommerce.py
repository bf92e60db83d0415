"""WooCommerce: REST API, order tables (HPOS), CSV of the common plug-ins, and why Analytics will not do."""

from __future__ import annotations

from forecast.orders.dialects.platform import Join, Memos, Platform, RefundList, Table, json_list

_STATUSES = {
    prefix + status: meaning
    for prefix in ("", "wc-")
    for status, meaning in {
        "completed": "completed",
        "processing": "completed",
        "on-hold": "pending",
        "on hold": "pending",
        "pending": "pending",
        "pending payment": "pending",
        "checkout-draft": "cancelled",
        "draft": "cancelled",
        "auto-draft": "cancelled",
        "cancelled": "cancelled",
        "failed": "cancelled",
        "trash": "cancelled",
        "refunded": "refunded",
    }.items()
}

REST = Platform(
    name="woocommerce-rest",
    title="WooCommerce, JSON of the REST API (v3)",
    table=Table(
        tells=(("datecreatedgmt", "billing"), ("datecreated", "billing", "lineitems")),
        fields={
            "order_id": ("number", "id"),
            "unique_id": ("id",),
            "entity_id": ("id",),
            "account_id": ("customer_id",),
            "email": ("billing/email",),
            "phone": ("billing/phone",),
            "status": ("status",),
            "currency": ("currency",),
            "ordered_at": ("date_created",),
            "updated_at": ("date_modified_gmt",),
            "total": ("total",),
            "tax": ("total_tax",),
            "shipping": ("shipping_total",),
            "discount": ("discount_total",),
            "payment_method": ("payment_method",),
            "channel": ("created_via",),
            "coupon": ("coupon_lines/0/code",),
            "country": ("billing/country",),
            "first_product": ("line_items/0/name",),
            "items": ("line_items",),
            "fee_lines": ("fee_lines",),
        },
        required=("order_id", "ordered_at", "total"),
        json=True,
    ),
    columns={
        "total": "total",
        "net": "total - coalesce(tax, 0) - coalesce(shipping, 0) - coalesce(list_sum(list_transform("
        "CAST(fee_lines AS JSON[]), lambda t: TRY_CAST(json_extract_string(t, '/total') AS DOUBLE))), 0)",
        "discount": "coalesce(discount, 0)",
        "shipping": "coalesce(shipping, 0)",
        "tax": "coalesce(tax, 0)",
        "cost": "cost",
    },
    statuses=_STATUSES,
    refund_list=RefundList(
        items=json_list("/refunds"), amount="abs(TRY_CAST(json_extract_string(r, '/total') AS DOUBLE))"
    ),
    memos=Memos(
        table=Table(
            tells=(("parentid", "amount", "refundedby"),),
            fields={
                "parent_id": ("parent_id",),
                "refunded_at": ("date_created",),
                "total": ("amount",),
                "order_id": ("id",),
            },
            required=("parent_id", "refunded_at", "total"),
            json=True,
        ),
        on="entity_id",
        amount="abs(total)",
    ),
)

TABLES = Platform(
    name="woocommerce-tables",
    title="WooCommerce, order tables (HPOS: wc_orders)",
    table=Table(
        tells=(
            ("id", "status", "type", "totalamount", "datecreatedgmt"),
            ("id", "totalamount", "datecreatedgmt", "parentorderid"),
        ),
        fields={
            "order_id": ("id",),
            "entity_id": ("id",),
            "parent_id": ("parentorderid",),
            "kind": ("type",),
            "account_id": ("customerid",),
            "email": ("billingemail",),
            "phone": ("billingphone", "phone"),
            "status": ("status",),
            "currency": ("currency",),
            "ordered_at": ("datecreatedgmt",),
            "updated_at": ("dateupdatedgmt",),
            "total": ("totalamount",),
            "tax": ("taxamount",),
            "shipping": ("shippingtotalamount",),
            "discount": ("discounttotalamount",),
            "payment_method": ("paymentmethod",),
            "country": ("billingcountry",),
        },
        required=("order_id", "ordered_at", "total"),
    ),
    clock="utc",
    order_rows="coalesce(kind, 'shop_order') IN ('shop_order', 'shop_order_refund')",
    refund_rows="kind = 'shop_order_refund'",
    joins=(
        Join(
            table=Table(
                tells=(("orderid", "nettotal", "shippingtotal"),),
                fields={
                    "order_id": ("orderid",),
                    "net_total": ("nettotal",),
                    "freight": ("shippingtotal",),
                    "quantity": ("numitemssold",),
                },
                required=("order_id", "net_total"),
            ),
            on="entity_id",
            take={"net_total": "max(net_total)", "freight": "max(freight)", "quantity": "max(quantity)"},
        ),
        Join(
            table=Table(
                tells=(("orderid", "shippingtotalamount", "discounttotalamount"),),
                fields={
                    "order_id": ("orderid",),
                    "shipping": ("shippingtotalamount",),
                    "discount": ("discounttotalamount",),
                    "channel": ("createdvia",),
                },
                required=("order_id", "shipping"),
            ),
            on="entity_id",
            take={"shipping": "max(shipping)", "discount": "max(discount)", "channel": "max(channel)"},
        ),
    ),
    columns={
        "total": "total",
        "net": "coalesce(net_total, total - tax - shipping)",
        "discount": "discount",
        "shipping": "coalesce(shipping, freight)",
        "tax": "tax",
    },
    statuses=_STATUSES,
    hints={
        "policy": "wc_orders alone does not hold shipping: add wc_order_stats or wc_order_operational_data"
    },
)

CSV = Platform(
    name="woocommerce-csv",
    title="WooCommerce, order export plug-in (CSV, a row an order)",
    table=Table(
        tells=(
            ("orderid", "ordernumber", "billingemail"),
            ("orderid", "ordernumber", "customeremail"),
            ("ordernumber", "orderdate", "billingemail", "ordertotal"),
        ),
        fields={
            "order_id": ("ordernumber", "ordernumberformatted", "orderid"),
            "unique_id": ("orderid",),
            "account_id": ("customerid", "customeruser"),
            "email": ("billingemail",),
            "email2": ("customeremail",),
            "phone": ("billingphone",),
            "status": ("status", "orderstatus"),
            "currency": ("ordercurrency", "currency"),
            "ordered_at": ("orderdate", "date"),
            "total": ("ordertotal",),
            "tax": ("taxtotal", "ordertax", "totaltax"),
            "shipping": ("shippingtotal",),
            "fee": ("feetotal",),
            "discount": ("discounttotal",),
            "refunded": ("refundedtotal", "totalrefunded", "refundtotal", "orderrefunded"),
            "refund_items": ("refunditems",),
            "payment_method": ("paymentmethod", "paymentmethodtitle"),
            "coupon": ("coupons", "couponitems"),
            "country": ("billingcountry",),
            "first_product": ("lineitem1",),
        },
        required=("order_id", "ordered_at", "total"),
    ),
    columns={
        "total": "total",
        "net": "total - coalesce(tax, 0) - coalesce(shipping, 0) - coalesce(fee, 0)",
        "discount": "coalesce(discount, 0)",
        "shipping": "coalesce(shipping, 0)",
        "tax": "coalesce(tax, 0)",
        "refunded": "refunded",
        "cost": "cost",
        "first_product": "coalesce("
        "nullif(regexp_extract(first_product, 'name:([^|]*)', 1), ''), first_product)",
        "coupon": "coalesce(nullif(regexp_extract(coupon, 'code:([^|;]*)', 1), ''), coupon)",
    },
    statuses=_STATUSES,
    refund_list=RefundList(
        items="string_split(record, ';')",
        amount="TRY_CAST(regexp_extract(r, '(?:amount|total):-?([0-9]+[.]?[0-9]*)', 1) AS DOUBLE)",
        at="nullif(regexp_extract(r, 'date:([0-9][0-9T: +-]*[0-9])', 1), '')",
        field="refund_items",
    ),
)

LINES = Platform(
    name="woocommerce-lines",
    title="WooCommerce, Advanced Order Export (CSV, a row a line)",
    table=Table(
        tells=(("emailbilling", "ordernumber"), ("emailbilling", "ordertotalamount")),
        fields={
            "order_id": ("ordernumber", "orderid"),
            "account_id": ("customeruserid", "customerid", "userid"),
            "email": ("emailbilling",),
            "phone": ("phonebilling",),
            "status": ("orderstatus",),
            "currency": ("ordercurrency", "currency"),
            "ordered_at": ("orderdate",),
            "total": ("ordertotalamount",),
            "tax": ("ordertaxamount", "ordertotaltaxamount", "ordertotaltax"),
            "shipping": ("ordershippingamount",),
            "subtotal": ("ordersubtotalamount",),
            "discount": ("cartdiscountamount", "orderdiscountamount", "discountamount"),
            "refunded": ("orderrefundamount", "ordertotalrefundamount"),
            "payment_method": ("paymentmethodtitle", "paymentmethod"),
            "coupon": ("couponcode",),
            "country": ("countrycodebilling", "countrynamebilling", "countrybilling"),
            "first_product": ("itemname", "productname", "orderlinetitle", "orderlinename"),
            "quantity": ("quantityrefund", "quantity", "orderlinequantity", "itemquantity"),
        },
        required=("order_id", "ordered_at", "total"),
    ),
    lines=True,
    columns={
        "total": "total",
        "net": "total - coalesce(tax, 0) - coalesce(shipping, 0)",
        "discount": "coalesce(discount, "
        "greatest(subtotal - (total - coalesce(tax, 0) - coalesce(shipping, 0)), 0), 0)",
        "shipping": "coalesce(shipping, 0)",
        "tax": "coalesce(tax, 0)",
        "refunded": "abs(refunded)",
        "cost": "cost",
    },
    statuses=_STATUSES,
)

ANALYTICS = Platform(
    name="woocommerce-analytics",
    title="WooCommerce, Analytics > Orders > Download",
    table=Table(
        tells=(("nrevenueformatted",), ("order", "customertype", "netsales", "itemssold")),
        fields={},
    ),
    refuses="the file of WooCommerce Analytics names customers without e-mail or id, so that nobody can be "
    "told from a namesake; use the REST API, the tables wc_orders, or an order export plug-in",
)

ALL = (REST, TABLES, CSV, LINES, ANALYTICS)
