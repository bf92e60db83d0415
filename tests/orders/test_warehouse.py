"""The statement for warehouses, run on a real PostgreSQL and on DuckDB: the numbers of ``purchase_histories``."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

import forecast
from forecast.errors import ArgumentError
from forecast.summary.warehouse import DATABASES

COLUMNS = ["customer_id", "order_day", "value", "channel"]
FIRST = dt.date(2024, 1, 1)
AS_OF = dt.date(2024, 2, 5)
TABLE = (
    "CREATE TABLE orders (customer_id VARCHAR(40), order_day DATE, value DECIMAL(30, 6), channel VARCHAR(40))"
)
Run = Callable[[str], pd.DataFrame]
Row = tuple[str | None, dt.date, Any, str | None]


MEMORY = duckdb.connect()
MEMORY.execute(TABLE)
# purchase_histories relies on a customer in every row, as the reader of orders sees to it.
MEMORY.execute("CREATE VIEW known AS SELECT * FROM orders WHERE customer_id IS NOT NULL")


@dataclass
class Table:
    """Orders as they lie in the database, also those that the reader would reject."""

    first_day: dt.date
    last_day: dt.date
    connection: Any = MEMORY
    table: str = "known"


def fill_duckdb(rows: list[Row]) -> None:
    MEMORY.execute("DELETE FROM orders")
    frame = pd.DataFrame(rows, columns=COLUMNS, dtype=object)
    MEMORY.register("frame", frame.astype({"customer_id": "str", "channel": "str"}))
    MEMORY.execute(
        "INSERT INTO orders SELECT customer_id, CAST(order_day AS DATE), CAST(value AS DECIMAL(30, 6)), "
        "channel FROM frame"
    )


class Engine:
    """A database with a table of orders that can be filled anew."""

    def __init__(self, fill: Callable[[list[Row]], None], run: Run) -> None:
        self.fill, self.run = fill, run


@pytest.fixture(params=["duckdb", "postgres"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    if request.param == "duckdb":
        yield Engine(fill_duckdb, lambda sql: MEMORY.execute(sql).df())
        MEMORY.execute('DROP TABLE IF EXISTS "Order Log"')
        return
    url = request.getfixturevalue("postgres")
    with create_engine(url, poolclass=NullPool).connect() as session:
        session.exec_driver_sql(TABLE)

        def fill(rows: list[Row]) -> None:
            session.exec_driver_sql("TRUNCATE orders")
            if rows:
                session.exec_driver_sql("INSERT INTO orders VALUES (%s, %s, %s, %s)", rows)

        def run(sql: str) -> pd.DataFrame:
            found = session.exec_driver_sql(sql, execution_options={"no_parameters": True})
            return pd.DataFrame(found.fetchall(), columns=list(found.keys())) if found.returns_rows else None

        yield Engine(fill, run)


def expected(rows: list[Row], as_of: dt.date = AS_OF) -> tuple[pd.DataFrame, tuple[np.ndarray, np.ndarray]]:
    fill_duckdb(rows)
    first = min(row[1] for row in rows)
    found = forecast.purchase_histories(Table(first, as_of), as_of, "channel")
    return found.to_frame(), found.repeat_days()


def shaped(frame: pd.DataFrame) -> pd.DataFrame:
    """What a database returned, with the types of histories and in their order."""
    frame = frame.rename(columns={"t": "T"})
    kinds = dict.fromkeys(["first_purchase", "last_purchase"], "datetime64[s]")
    kinds |= dict.fromkeys(["monetary_value", "first_value", "historical_value"], "float64")
    kinds |= dict.fromkeys(["frequency", "recency", "T", "monetary_count", "orders", "purchases"], "int64")
    kinds |= dict.fromkeys(["customer_id", "channel"], "str")
    return frame.astype(kinds).sort_values("customer_id").reset_index(drop=True)


def same(engine: Engine, rows: list[Row], as_of: dt.date = AS_OF) -> pd.DataFrame:
    engine.fill(rows)
    told = engine.run(forecast.histories_sql("orders", as_of, by="channel"))
    frame, (day, count) = expected(rows, as_of)
    found = shaped(told)
    pd.testing.assert_frame_equal(found, frame, check_exact=False, rtol=1e-12, atol=0.0)
    days = engine.run(forecast.daily_sql("orders", as_of)).sort_values("day")
    assert days["day"].to_numpy().astype("datetime64[D]").tolist() == day.tolist()
    assert days["repeat_purchases"].tolist() == count.tolist()
    return told


MONEY = st.one_of(
    st.none(), st.just(0), st.decimals(-50, 5000, places=2), st.decimals(-1, 1, places=6),
    st.decimals(1_000_000, 10_000_000, places=4),
)  # fmt: skip
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "A", "007", "7", "é", None]),
        st.integers(0, 40).map(lambda n: FIRST + dt.timedelta(days=n)),
        MONEY,
        st.sampled_from(["web", "app", "App", "", "  ", " web ", None]),
    ),
    max_size=40,
)
FIRST_ROW: Row = ("z", FIRST, 1, "web")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS)
@example(rows=[("a", FIRST, None, None), ("a", dt.date(2024, 1, 9), 5, "app")])
@example(rows=[("a", FIRST, -3, ""), ("a", FIRST, 3, "app"), ("a", dt.date(2024, 1, 9), 0, None)])
@example(
    rows=[("a", AS_OF, 2, "app"), ("a", dt.date(2024, 2, 6), 5, "app"), ("b", dt.date(2024, 2, 6), 5, "x")]
)
def test_whatever_the_table_holds_the_histories_are_the_same(engine: Engine, rows: list[Row]) -> None:
    same(engine, [FIRST_ROW, *rows])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS)
def test_what_it_returns_keeps_every_rule(engine: Engine, rows: list[Row]) -> None:
    engine.fill([FIRST_ROW, *(row for row in rows if row[2] is not None)])
    told = engine.run(forecast.histories_sql("orders", AS_OF, by="channel"))
    daily = engine.run(forecast.daily_sql("orders", AS_OF))
    found = forecast.read_histories(told, daily=daily if len(daily) else None)
    assert (found.as_of, found.by, len(found)) == (AS_OF, ("channel",), len(told))


def test_cdnow_comes_back_to_the_last_bit(engine: Engine, sample_orders: forecast.Orders) -> None:
    frame = sample_orders.to_frame()
    rows = [
        (customer, day.date(), f"{value:.2f}", "web" if int(customer) % 3 else "app")
        for customer, day, value in frame[["customer_id", "order_day", "value"]].itertuples(index=False)
    ]
    as_of = dt.date(1997, 9, 30)
    told = same(engine, rows, as_of)
    daily = engine.run(forecast.daily_sql("orders", as_of))
    given = forecast.read_histories(told, currency="USD", daily=daily)
    own = forecast.purchase_histories(sample_orders, as_of)
    pd.testing.assert_frame_equal(given.asked().to_frame(), own.to_frame(), check_exact=True)
    one = forecast.fit(given, method="mle")
    other = forecast.fit(sample_orders, as_of, purchases="bg-nbd", method="mle")
    assert one.purchases.parameters == other.purchases.parameters
    assert one.spend.parameters == other.spend.parameters


def test_without_money_there_is_none(engine: Engine) -> None:
    engine.fill([FIRST_ROW, ("z", AS_OF, 2, "web")])
    told = engine.run(forecast.histories_sql("orders", AS_OF, value=None))
    found = forecast.read_histories(told).to_frame()
    assert found["frequency"].tolist() == [1]
    assert found["historical_value"].isna().all()


def test_awkward_names_are_quoted(engine: Engine) -> None:
    engine.run('CREATE TABLE "Order Log" ("user" INTEGER, "Day" DATE, "order" NUMERIC, "a.b %s" TEXT)')
    engine.run("""INSERT INTO "Order Log" VALUES (7, DATE '2024-01-01', 2, 'x')""")
    names = {"customer_id": "user", "order_day": "Day"}
    told = engine.run(forecast.histories_sql("Order Log", AS_OF, value="order", by="a.b %s", **names))
    assert told["customer_id"].tolist() == ["7"]
    assert told["a.b %s"].tolist() == ["x"]
    assert engine.run(forecast.daily_sql('"Order Log"', AS_OF, **names)).empty


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"as_of": "soon"}, "as_of is not a day"),
        ({"database": "oracle"}, "database is 'oracle'. Choose standard, bigquery, spark"),
        ({"by": "recency"}, "column 'recency' cannot group"),
        ({"by": ["t"]}, "column 't' cannot group"),
        ({"by": ["x", "x"]}, "column 'x' cannot group"),
        ({"value": " "}, "' ' names no column or table"),
        ({"table": "shop..orders"}, "'' names no column or table"),
        ({"customer_id": 'x" FROM y --'}, "cannot be written safely"),
        ({"table": "orders; DROP TABLE orders"}, "cannot be written safely"),
        ({"customer_id": 5}, "5 names no column"),
    ],
)
def test_what_is_no_name_is_refused(options: dict, match: str) -> None:
    with pytest.raises(ArgumentError, match=match):
        forecast.histories_sql(**{"table": "orders", "as_of": AS_OF, **options})


def test_databases_differ_in_a_few_words_only() -> None:
    texts = {
        name: forecast.histories_sql("Shop.orders", AS_OF, by="channel", database=name) for name in DATABASES
    }
    assert "FROM `Shop`.orders" in texts["spark"]
    assert "DATE_DIFF(last_day, first_day, DAY) AS recency" in texts["bigquery"]
    for name, words in DATABASES.items():
        text = texts[name].replace(words.quote, '"').replace(words.text, "VARCHAR")
        text = text.replace(words.double, "DOUBLE PRECISION").replace(words.money, "DECIMAL(38, 6)")
        text = text.replace(words.whole, "BIGINT")
        for end, begin in (("last_day", "first_day"), ("DATE '2024-02-05'", "first_day")):
            text = text.replace(words.days.format(end=end, begin=begin), f"{end} - {begin}")
        assert text == texts["standard"], name
