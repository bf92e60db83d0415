"""Shops in databases: their tables, filled, and what the reader makes of them."""

from __future__ import annotations

import datetime as dt

import duckdb
from sqlalchemy import URL

from forecast.orders.databases.opening import open_database
from forecast.orders.sources import Source

ORDERS = 2_000
FIRST = dt.datetime(2023, 1, 1, 22, 30)
SALES_ORDER = """CREATE TABLE {name} (
    entity_id INTEGER PRIMARY KEY, increment_id VARCHAR(50), store_id INTEGER, store_name VARCHAR(255),
    customer_id BIGINT, customer_email VARCHAR(128), state VARCHAR(32), base_currency_code VARCHAR(3),
    base_grand_total DECIMAL(20,4), base_subtotal DECIMAL(20,4), base_discount_amount DECIMAL(20,4),
    base_total_refunded DECIMAL(20,4), created_at {stamp}, updated_at {stamp}, remote_ip VARCHAR(45))"""
CREDITMEMO = """CREATE TABLE {name} (entity_id INTEGER PRIMARY KEY, increment_id VARCHAR(50), order_id INTEGER,
    base_grand_total DECIMAL(20,4), base_subtotal DECIMAL(20,4), created_at {stamp}, customer_note VARCHAR(200))"""
WC_ORDERS = """CREATE TABLE {name} (id BIGINT PRIMARY KEY, status VARCHAR(20), currency VARCHAR(10), type VARCHAR(20),
    tax_amount DECIMAL(26,8), total_amount DECIMAL(26,8), customer_id BIGINT, billing_email VARCHAR(320),
    date_created_gmt {stamp}, parent_order_id BIGINT, payment_method VARCHAR(100), ip_address VARCHAR(100))"""


def read(url: URL, **options) -> tuple[dict[str, Source], list[str], duckdb.DuckDBPyConnection]:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    sources, notes = open_database(connection, url.render_as_string(hide_password=False), **options)
    return {source.label: source for source in sources}, notes, connection


def rows_of(connection: duckdb.DuckDBPyConnection, source: Source) -> list[dict]:
    found = connection.execute(
        f"SELECT {', '.join(source.cells)} FROM {source.relation} ORDER BY {source.row}"
    )
    return [dict(zip(source.columns, row, strict=True)) for row in found.fetchall()]


def types_of(source: Source) -> dict[str, str]:
    return dict(zip(source.columns, source.types, strict=True))


def magento_rows(count: int = ORDERS) -> list[tuple]:
    """Newest first, as no primary key is: the order must come from the reader."""
    made = []
    for i in range(count, 0, -1):
        stamp = (FIRST + dt.timedelta(hours=7 * i)).isoformat(" ")
        guest = i % 5 == 0
        made.append(
            (
                i, f"{i:09d}", 1, "Main Website\nDefault Store View", None if guest else 9_007_199_254_740_993 + i % 300,
                f"Käufer{i % 300}@例え.example", "complete", "EUR", f"{i}.1250", f"{i}.0000",
                "-0.1000" if i % 2 else None, None if i % 10 else "5.5555", stamp, stamp, "10.0.0.1",
            )
        )  # fmt: skip
    return made


def fill_magento(execute, url: URL, prefix: str = "", count: int = ORDERS) -> None:
    kind = url.get_backend_name()
    stamp = "TIMESTAMP NULL" if kind == "mysql" else "TIMESTAMP"
    mark = "?" if kind == "sqlite" else "%s"
    execute(
        url,
        SALES_ORDER.format(name=prefix + "sales_order", stamp=stamp),
        CREDITMEMO.format(name=prefix + "sales_creditmemo", stamp=stamp),
        f"CREATE TABLE {prefix}sales_order_payment (entity_id INTEGER PRIMARY KEY, parent_id INTEGER, method VARCHAR(128))",
        f"INSERT INTO {prefix}sales_order_payment VALUES (1, 1, 'checkmo'), (2, 1, 'checkmo'), (3, 2, 'paypal')",
        f"INSERT INTO {prefix}sales_creditmemo VALUES (1, '000000001', 10, 5.5555, 5, '2024-01-01 08:00:00', 'private')",
        # The zone in which the stamps are meant.
        *(["SET time_zone = '+00:00'"] if kind == "mysql" else []),
        f"INSERT INTO {prefix}sales_order VALUES ({', '.join([mark] * 15)})",
        rows=magento_rows(count),
    )


def fill_woocommerce(execute, url: URL, prefix: str = "wp_") -> None:
    stamp = "DATETIME" if url.get_backend_name() == "mysql" else "TIMESTAMP"
    execute(
        url,
        WC_ORDERS.format(name=prefix + "wc_orders", stamp=stamp),
        f"INSERT INTO {prefix}wc_orders VALUES "
        "(12, 'wc-completed', 'EUR', 'shop_order_refund', -1.05, -6.05, 0, NULL, '2024-03-02 10:00:00', 11, '', NULL), "
        "(11, 'wc-completed', 'EUR', 'shop_order', 21, 121, 3, 'Ann@shop.example', '2024-03-01 23:30:00', 0, 'cod', '::1')",
        f"CREATE TABLE {prefix}wc_order_stats (order_id BIGINT PRIMARY KEY, parent_id BIGINT, num_items_sold INTEGER, "
        "net_total DOUBLE PRECISION, shipping_total DOUBLE PRECISION, customer_id BIGINT)",
        f"INSERT INTO {prefix}wc_order_stats VALUES (11, 0, 2, 95.5, 4.5, 77), (12, 11, 0, -5, 0, 77)",
        f"CREATE TABLE {prefix}wc_order_operational_data (id BIGINT PRIMARY KEY, order_id BIGINT, created_via VARCHAR(100), "
        "shipping_total_amount DECIMAL(26,8), discount_total_amount DECIMAL(26,8), order_key VARCHAR(100))",
        f"INSERT INTO {prefix}wc_order_operational_data VALUES (1, 11, 'checkout', 4.5, 2.5, 'key')",
        f"CREATE TABLE {prefix}wc_order_addresses (id BIGINT PRIMARY KEY, order_id BIGINT, address_type VARCHAR(20), "
        "phone VARCHAR(100), country VARCHAR(100))",
        f"INSERT INTO {prefix}wc_order_addresses VALUES (1, 11, 'billing', '+31 6 1234', 'NL'), "
        "(2, 11, 'shipping', '000', 'BE'), (3, 11, 'billing', '+31 6 1234', 'NL')",
    )


def two(found) -> tuple[duckdb.DuckDBPyConnection, Source]:
    sources, _, connection = found
    return connection, sources["query"]
