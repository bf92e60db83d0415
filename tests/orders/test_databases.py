"""Orders from real databases: MariaDB and PostgreSQL servers, and SQLite files."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from forecast.errors import ArgumentError, InputError
from forecast.orders.databases import opening as databases
from forecast.orders.sources import close_sources
from tests.shop_databases import ORDERS, fill_magento, fill_woocommerce, read, rows_of, two, types_of

MONEY = {"base_grand_total", "base_subtotal", "base_discount_amount", "base_total_refunded"}


# The tables of shops


def test_magento_tables_come_whole_and_typed(database, execute) -> None:
    fill_magento(execute, database)
    sources, notes, connection = read(database)
    assert list(sources) == ["sales_order", "sales_creditmemo"]
    assert notes == ["read from the database: sales_order, sales_creditmemo"]
    rows = rows_of(connection, sources["sales_order"])
    assert [row["entity_id"] for row in rows] == list(range(1, ORDERS + 1))
    assert [row["increment_id"] for row in rows[:2]] == ["000000001", "000000002"]
    assert rows[6]["customer_id"] == 9_007_199_254_740_993 + 7
    assert rows[4]["customer_id"] is None
    assert rows[6]["customer_email"] == "Käufer7@例え.example"
    assert rows[0]["store_name"] == "Main Website\nDefault Store View"
    assert sum(row["base_total_refunded"] is not None for row in rows) == ORDERS // 10
    assert [row["payment_method"] for row in rows[:3]] == ["checkmo", "paypal", None]
    assert not {"remote_ip", "customer_note"} & {c for source in sources.values() for c in source.columns}
    memo = rows_of(connection, sources["sales_creditmemo"])
    assert [(row["order_id"], str(row["base_grand_total"])) for row in memo] == [(10, "5.5555")]
    types = types_of(sources["sales_order"])
    assert types["entity_id"] == types["customer_id"] == "BIGINT"
    if database.get_backend_name() == "sqlite":
        assert types["base_grand_total"] == "DOUBLE"
        assert rows[2]["created_at"] == "2023-01-02 19:30:00"
    else:
        assert {types[column] for column in MONEY} == {"DECIMAL(20,4)"}
        assert sum(row["base_grand_total"] for row in rows) == Decimal("2001250.0000")
        assert types["created_at"] == "TIMESTAMP"
        assert rows[2]["created_at"] == dt.datetime(2023, 1, 2, 19, 30)
    assert [row[0] for row in connection.execute(
        f"SELECT {sources['sales_order'].row} FROM {sources['sales_order'].relation} LIMIT 2"
    ).fetchall()] == [1, 2]  # fmt: skip
    close_sources(connection, list(sources.values()))
    assert connection.execute("SELECT count(*) FROM duckdb_tables()").fetchall() == [(0,)]


def test_tables_with_a_prefix_are_found(database, execute) -> None:
    fill_magento(execute, database, prefix="mage_", count=3)
    execute(database, "CREATE TABLE presales_order (id INTEGER)")
    for dialect in ("auto", "magento", "magento-tables"):
        sources, _, _ = read(database, dialect=dialect)
        assert list(sources) == ["mage_sales_order", "mage_sales_creditmemo"]


def test_a_table_of_refunds_without_rows_is_left_out(sqlite, execute) -> None:
    fill_magento(execute, sqlite, count=3)
    execute(sqlite, "DELETE FROM sales_creditmemo")
    assert list(read(sqlite)[0]) == ["sales_order"]
    execute(sqlite, "DELETE FROM sales_order")
    with pytest.raises(InputError, match="there are no rows, in sales_order"):
        read(sqlite)


def test_woocommerce_orders_come_with_refunds_and_addresses(database, execute) -> None:
    fill_woocommerce(execute, database)
    sources, _, connection = read(database)
    assert list(sources) == ["wp_wc_orders", "wp_wc_order_stats", "wp_wc_order_operational_data"]
    order, refund = rows_of(connection, sources["wp_wc_orders"])
    assert (order["id"], order["type"], order["billing_email"]) == (11, "shop_order", "Ann@shop.example")
    assert (order["billing_phone"], order["billing_country"]) == ("+31 6 1234", "NL")
    assert (refund["id"], refund["parent_order_id"], refund["billing_phone"]) == (12, 11, None)
    assert float(refund["total_amount"]) == -6.05
    assert "ip_address" not in order
    stats = rows_of(connection, sources["wp_wc_order_stats"])
    assert [row["net_total"] for row in stats] == [95.5, -5.0]
    # There customer_id is the number of a lookup table, not that of the account.
    assert "customer_id" not in stats[0]
    assert (
        float(rows_of(connection, sources["wp_wc_order_operational_data"])[0]["discount_total_amount"]) == 2.5
    )
    if database.get_backend_name() == "mysql":
        assert types_of(sources["wp_wc_orders"])["total_amount"] == "DECIMAL(26,8)"
        assert order["date_created_gmt"] == dt.datetime(2024, 3, 1, 23, 30)


def test_what_is_not_certain_is_refused(database, execute) -> None:
    with pytest.raises(
        InputError,
        match=r"no table of orders \(sales_order or wc_orders\) .* \(no table at all\)\. .*--query",
    ):
        read(database)
    execute(database, "CREATE TABLE visits (id INTEGER)")
    with pytest.raises(InputError, match=r"\(1 table: visits\)"):
        read(database)
    fill_magento(execute, database, count=2)
    with pytest.raises(InputError, match=r"no table of orders \(wc_orders\)"):
        read(database, dialect="woocommerce")
    fill_woocommerce(execute, database)
    with pytest.raises(
        InputError, match=r"magento: sales_order; woocommerce: wp_wc_orders.*magento or woocommerce"
    ):
        read(database)
    assert "sales_order" in read(database, dialect="magento")[0]
    fill_woocommerce(execute, database, prefix="wp_2_")
    with pytest.raises(
        InputError, match=r"2 tables could be the one of orders.*wp_2_wc_orders, wp_wc_orders"
    ):
        read(database, dialect="woocommerce-tables")
    with pytest.raises(ArgumentError, match=r"no tables are known for dialect 'shopify'.*--query"):
        read(database, dialect="shopify")


def test_views_are_read_as_tables(database, execute) -> None:
    fill_magento(execute, database, prefix="kept_", count=3)
    execute(
        database,
        "CREATE TABLE other (id INTEGER)",
        "CREATE VIEW live_sales_order AS SELECT * FROM kept_sales_order",
    )
    with pytest.raises(InputError, match="kept_sales_order, live_sales_order"):
        read(database)


# Queries


def test_any_query_is_read(database, execute) -> None:
    mark = "`" if database.get_backend_name() == "mysql" else '"'
    execute(
        database,
        f"CREATE TABLE log ({mark}order{mark} VARCHAR(20), {mark}group{mark} VARCHAR(20), day DATE, amount DECIMAL(10,2))",
        "INSERT INTO log VALUES ('007', 'a 100% :b', '2024-02-29', 10.10), ('8', 'ünï; --x', NULL, 0.00)",
    )
    query = f"""-- what was sold; by order
        SELECT {mark}order{mark}, {mark}group{mark}, day, amount /* in EUR; net */ FROM log
        WHERE {mark}group{mark} <> ';' AND {mark}group{mark} NOT LIKE '%:zzz%' ORDER BY {mark}order{mark};"""
    sources, notes, connection = read(database, query=query, dialect="generic")
    assert (list(sources), notes) == (["query"], [])
    assert sources["query"].columns == ["order", "group", "day", "amount"]
    first, second = rows_of(connection, sources["query"])
    assert (first["order"], second["order"]) == ("007", "8")
    assert (first["group"], second["group"]) == ("a 100% :b", "ünï; --x")
    assert (str(first["day"]), second["day"]) == ("2024-02-29", None)
    assert (float(first["amount"]), float(second["amount"])) == (10.1, 0.0)
    with pytest.raises(InputError, match="there are no rows, in query"):
        read(database, query="SELECT amount FROM log WHERE amount > 1000")


@pytest.mark.parametrize("count", [99, 100, 101, 350])
def test_no_row_is_lost_between_batches(database, execute, monkeypatch, count) -> None:
    monkeypatch.setattr(databases, "BATCH_ROWS", 100)
    fill_magento(execute, database, count=count)
    sources, _, connection = read(database)
    rows = rows_of(connection, sources["sales_order"])
    assert [row["entity_id"] for row in rows] == list(range(1, count + 1))


def test_only_one_batch_is_held(server, execute, monkeypatch) -> None:
    monkeypatch.setattr(databases, "BATCH_ROWS", 100)
    fill_magento(execute, server, count=450)
    sizes = []
    load = databases.load_batches

    def watched(connection, table, declared, batches):
        return load(connection, table, declared, (sizes.append(len(batch)) or batch for batch in batches))

    monkeypatch.setattr(databases, "load_batches", watched)
    read(server, query="SELECT * FROM sales_order")
    assert sizes == [100, 100, 100, 100, 50]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("DELETE FROM log", "no SELECT"),
        ("", "no SELECT"),
        ("/* SELECT */ UPDATE log SET id = 1", "no SELECT"),
        ("EXPLAIN SELECT 1", "no SELECT"),
        ("SELECT 1; DROP TABLE log", "more than one statement"),
        ("SELECT ';'; COMMIT", "more than one statement"),
    ],
)
def test_only_one_select_is_let_through(database, query, said) -> None:
    with pytest.raises(ArgumentError, match=said):
        read(database, query=query)


def test_mariadb_writes_nothing(mariadb, execute, tmp_path) -> None:
    execute(mariadb, "CREATE TABLE log (id INT)", "INSERT INTO log VALUES (1)",
            "CREATE FUNCTION remove_all() RETURNS INT BEGIN DELETE FROM log; RETURN 1; END")  # fmt: skip
    with pytest.raises(ArgumentError, match="writes a file"):
        read(mariadb, query=f"SELECT * FROM log INTO OUTFILE '{tmp_path}/x'")
    with pytest.raises(ArgumentError, match="writes a file"):
        read(mariadb, query=f"SELECT * FROM log /*! INTO DUMPFILE '{tmp_path}/x' */")
    with pytest.raises(InputError, match="would change the database"):
        read(mariadb, query="SELECT remove_all()")
    assert len(rows_of(*two(read(mariadb, query="SELECT id FROM log")))) == 1


def test_postgresql_writes_nothing(postgres, execute) -> None:
    execute(postgres, "CREATE TABLE log (id INT)", "INSERT INTO log VALUES (1)",
            "CREATE FUNCTION remove_all() RETURNS INT LANGUAGE sql AS 'DELETE FROM log RETURNING 1'")  # fmt: skip
    with pytest.raises(InputError, match="would change the database"):
        read(postgres, query="SELECT remove_all()")
    with pytest.raises(InputError, match="refuses the query"):
        read(postgres, query="WITH gone AS (DELETE FROM log RETURNING id) SELECT * FROM gone")
    with pytest.raises(InputError, match="refuses the query"):
        read(postgres, query="SELECT * INTO copy FROM log")
    assert len(rows_of(*two(read(postgres, query="SELECT id FROM log")))) == 1
