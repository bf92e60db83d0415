"""Shopify: the admin's orders CSV (since 2012), bulk JSON lines of the GraphQL API, JSON of the REST API."""

from __future__ import annotations

from forecast.orders.dialects.platform import Platform, RefundList, Table, json_list

_STATUSES = {
    "paid": "completed",
    "partially_paid": "completed",
    "authorized": "completed",
    "partially_refunded": "completed",
    "pending": "pending",
    "refunded": "refunded",
    "voided": "cancelled",
    "expired": "cancelled",
}

ORDERS_CSV = Platform(
    name="shopify-csv",
    title="Shopify, Orders > Export (CSV)",
    table=Table(
        tells=(
            ("name", "financialstatus", "lineitemquantity"),
            ("name", "financialstatus", "total", "createdat"),
            ("name", "lineitemquantity", "lineitemprice", "createdat"),
        ),
        fields={
            "order_id": ("name",),
            "unique_id": ("id",),
            "email": ("email",),
            "phone": ("phone",),
            "phone2": ("billingphone",),
            "phone3": ("shippingphone",),
            "status": ("financialstatus",),
            "ordered_at": ("createdat",),
            "cancelled_at": ("cancelledat", "canceledat"),
            "currency": ("currency",),
            "subtotal": ("subtotal",),
            "shipping": ("shipping",),
            "tax": ("taxes",),
            "duties": ("duties",),
            "total": ("total",),
            "discount": ("discountamount",),
            "refunded": ("refundedamount",),
            "coupon": ("discountcode",),
            "payment_method": ("paymentmethod",),
            "channel": ("source",),
            "tags": ("tags",),
            "country": ("shippingcountry",),
            "country2": ("billingcountry",),
            "first_product": ("lineitemname",),
            "quantity": ("lineitemquantity",),
        },
        required=("order_id", "ordered_at", "total"),
    ),
    lines=True,
    columns={
        "total": "total",
        "net": "subtotal",
        "discount": "coalesce(discount, 0)",
        "shipping": "coalesce(shipping, 0)",
        "tax": "coalesce(tax, 0)",
        "refunded": "refunded",
        "cost": "cost",
    },
    inclusive=True,
    statuses=_STATUSES,
    hints={
        "identity": "The file has neither Email nor Phone. In Shopify choose Orders > Export > Export as CSV "
        "with all columns; an app that trims columns may have dropped them.",
        "order_id": "Name is the order's number; without it its lines cannot be put together.",
        "total": "Total is missing; export the orders again with all columns.",
    },
)

_SHOP_MONEY = "/shopMoney/amount"

GRAPHQL = Platform(
    name="shopify-graphql",
    title="Shopify, bulk operation of the GraphQL API (JSON lines)",
    table=Table(
        tells=(("id", "createdat", "totalpriceset"), ("id", "createdat", "currenttotalpriceset")),
        fields={
            "order_id": ("name", "id"),
            "unique_id": ("id",),
            "parent_id": ("__parentId",),
            "account_id": ("customer/id", "customer/legacyResourceId"),
            "email": ("email", "customer/email"),
            "phone": ("phone", "customer/phone"),
            "phone2": ("billingAddress/phone",),
            "status": ("displayFinancialStatus",),
            "ordered_at": ("createdAt",),
            "cancelled_at": ("cancelledAt",),
            "updated_at": ("updatedAt",),
            "test": ("test",),
            "currency": ("totalPriceSet/shopMoney/currencyCode", "currencyCode"),
            "subtotal": ("subtotalPriceSet" + _SHOP_MONEY,),
            "shipping": ("totalShippingPriceSet" + _SHOP_MONEY,),
            "tax": ("totalTaxSet" + _SHOP_MONEY,),
            "total": ("totalPriceSet" + _SHOP_MONEY, "currentTotalPriceSet" + _SHOP_MONEY),
            "discount": ("totalDiscountsSet" + _SHOP_MONEY,),
            "refunded": ("totalRefundedSet" + _SHOP_MONEY,),
            "tax_included": ("taxesIncluded",),
            "payment_method": ("paymentGatewayNames",),
            "channel": ("sourceName", "channelInformation/channelDefinition/handle"),
            "coupon": ("discountCode", "discountCodes/0"),
            "tags": ("tags",),
            "country": ("shippingAddress/countryCodeV2", "billingAddress/countryCodeV2"),
            "first_product": ("lineItems/edges/0/node/name", "lineItems/nodes/0/name"),
            "quantity": ("quantity",),
        },
        required=("unique_id", "ordered_at", "total"),
        json=True,
    ),
    clock="utc",
    key="unique_id",
    lines=True,
    line_rows="parent_id IS NOT NULL",
    columns=dict(ORDERS_CSV.columns),
    inclusive=True,
    statuses=_STATUSES,
    refund_list=RefundList(
        items=json_list("/refunds"),
        amount="TRY_CAST(json_extract_string(r, '/totalRefundedSet/shopMoney/amount') AS DOUBLE)",
        at="coalesce(json_extract_string(r, '/createdAt'), json_extract_string(r, '/processedAt'))",
    ),
    hints={"total": "Ask for totalPriceSet { shopMoney { amount currencyCode } } in the bulk query."},
)

REST = Platform(
    name="shopify-rest",
    title="Shopify, JSON of the REST API",
    table=Table(
        tells=(
            ("id", "createdat", "totalprice", "financialstatus"),
            ("createdat", "totalprice", "lineitems"),
        ),
        fields={
            "order_id": ("name", "order_number", "id"),
            "unique_id": ("id",),
            "account_id": ("customer/id",),
            "email": ("email", "contact_email", "customer/email"),
            "phone": ("phone", "customer/phone"),
            "phone2": ("billing_address/phone",),
            "status": ("financial_status",),
            "ordered_at": ("created_at",),
            "cancelled_at": ("cancelled_at",),
            "updated_at": ("updated_at",),
            "test": ("test",),
            "currency": ("currency",),
            "subtotal": ("subtotal_price",),
            "shipping": ("total_shipping_price_set/shop_money/amount", "shipping_lines/0/price"),
            "tax": ("total_tax",),
            "total": ("total_price",),
            "discount": ("total_discounts",),
            "tax_included": ("taxes_included",),
            "payment_method": ("gateway", "payment_gateway_names/0"),
            "channel": ("source_name",),
            "coupon": ("discount_codes/0/code",),
            "tags": ("tags",),
            "country": ("shipping_address/country_code", "billing_address/country_code"),
            "first_product": ("line_items/0/title", "line_items/0/name"),
            "items": ("line_items",),
        },
        required=("order_id", "ordered_at", "total"),
        json=True,
    ),
    columns={key: text for key, text in ORDERS_CSV.columns.items() if key != "refunded"},
    inclusive=True,
    statuses=_STATUSES,
    refund_list=RefundList(
        items=json_list("/refunds"),
        amount="coalesce(list_sum(list_transform(CAST(json_extract(r, '/transactions') AS JSON[]), "
        "lambda t: CASE WHEN json_extract_string(t, '/kind') IN ('refund', 'void') "
        "AND coalesce(json_extract_string(t, '/status'), 'success') = 'success' "
        "THEN TRY_CAST(json_extract_string(t, '/amount') AS DOUBLE) ELSE 0 END)), "
        "list_sum(list_transform(CAST(json_extract(r, '/refund_line_items') AS JSON[]), "
        "lambda t: TRY_CAST(json_extract_string(t, '/subtotal') AS DOUBLE) "
        "+ coalesce(TRY_CAST(json_extract_string(t, '/total_tax') AS DOUBLE), 0))))",
        at="coalesce(json_extract_string(r, '/created_at'), json_extract_string(r, '/processed_at'))",
        # Where lines came back their own amounts are known; a refund of money alone is shared out.
        net="CASE WHEN json_array_length(json_extract(r, '/refund_line_items')) > 0 THEN "
        "list_sum(list_transform(CAST(json_extract(r, '/refund_line_items') AS JSON[]), "
        "lambda t: TRY_CAST(json_extract_string(t, '/subtotal') AS DOUBLE) - CASE WHEN tax_inside "
        "THEN coalesce(TRY_CAST(json_extract_string(t, '/total_tax') AS DOUBLE), 0) ELSE 0 END)) END",
        tax="CASE WHEN json_array_length(json_extract(r, '/refund_line_items')) > 0 THEN "
        "list_sum(list_transform(CAST(json_extract(r, '/refund_line_items') AS JSON[]), "
        "lambda t: coalesce(TRY_CAST(json_extract_string(t, '/total_tax') AS DOUBLE), 0))) END",
    ),
)

ALL = (GRAPHQL, REST, ORDERS_CSV)
