"""The sums of a Spark table of orders: by customer and day, by customer, and the histories of customers."""

from __future__ import annotations

import datetime as dt
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from forecast.errors import InputError
from forecast.summary.spark_reading import CODES, LOW_BITS, Reading, judged, quoted

DERIVED = {
    "first_quarter": "concat(year(first_purchase), 'Q', quarter(first_purchase))",
    "first_month": "date_format(first_purchase, 'yyyy-MM')",
}
_LOOK = 20_000
HEAVY = 0.05  # a share of the rows that one task had better not carry alone
_AFTER = CODES.index("after_as_of")


@contextmanager
def quiet() -> Iterator[None]:
    """PySpark warns of pandas 3 wherever Arrow is used; what is used here does not touch pandas."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas")
        yield


def grouped(frame: Any, keys: Sequence[str], found: Sequence[str]) -> Any:
    """One row for each of the keys with what is asked for, all in Spark's SQL."""
    from pyspark.sql import functions

    return frame.groupBy(*map(functions.expr, keys)).agg(*map(functions.expr, found))


def fetched(frame: Any) -> Any:
    """A frame as an Arrow table."""
    with quiet():
        return frame.toArrow()


def is_even(rows: Any) -> bool:
    """Whether no customer stands out among the first rows, of which hashes of the ids are looked at."""
    first = fetched(rows.selectExpr("code", "xxhash64(c) AS h").limit(_LOOK))
    used = first["h"].to_numpy()[first["code"].to_numpy() == 0]
    return not len(used) or int(np.unique(used, return_counts=True)[1].max()) <= HEAVY * len(used)


def purchases_of(orders: Any, reading: Reading) -> Any:
    """Customer by customer and day by day: ``c, d, code, s, n, hi, lo, g0`` ..., and ``lines`` of orders.

    Rows of one customer are brought together at once, which spares the sums a second journey; unless some
    customer has so many that one task would have to carry them all. Then each task adds up what it has first.
    """
    found = ["sum(hi) AS hi", "sum(lo) AS lo"] if reading.has_value else []
    found += [f"min(g{place}) AS g{place}" for place in range(len(reading.by))]
    rows, keys = judged(orders, reading), ["c", "d", "code", "s"]
    if is_even(rows):
        rows = rows.repartition("c", "s")
    if "order_id" not in reading.roles:
        return grouped(rows, keys, ["count(*) AS n", *found])
    # Rows without a number are orders of their own.
    merged = grouped(rows, [*keys, "o"], ["count(*) AS lines", *found])
    return grouped(merged, keys, ["sum(IF(o IS NULL, lines, 1)) AS n", "sum(lines) AS lines", *found])


def customers_of(purchases: Any, reading: Reading, day: dt.date | None) -> Any:
    """Customers, those of orders after ``as_of`` apart, and few rows a reason of rejected rows."""
    keys = ["c", "code", "s"]
    if day is not None:
        keys[1] = f"IF(d > DATE'{day}', {_AFTER}, code) AS code"
    found = [
        "min(d) AS first_purchase", "max(d) AS last_purchase", "count(*) AS purchases", "sum(n) AS orders",
    ]  # fmt: skip
    if "order_id" in reading.roles:
        found.append("sum(lines) AS lines")
    if reading.has_value:
        found += [
            "sum(hi) AS hi", "sum(lo) AS lo", "min_by(hi, d) AS first_hi", "min_by(lo, d) AS first_lo",
            "count(IF(hi > 0 OR lo > 0, 1, NULL)) AS paid",
        ]  # fmt: skip
    for place in range(len(reading.by)):
        label = f"trim(g{place})"
        found.append(f"min_by(IF({label} > '', {label}, 'unknown'), d) AS g{place}")
    return grouped(purchases, keys, found)


def _money(high: str, low: str) -> str:
    """Millionths in two parts as a number of the currency, rounded once."""
    scale = 2**LOW_BITS
    whole = f"(CAST({high} AS DECIMAL(38, 0)) * {scale} + {low}) / 1000000"
    return (
        f"IF(abs({high}) < {2 ** (52 - LOW_BITS)} AND abs({low}) < {2**52}, "
        f"CAST({high} * {scale} + {low} AS DOUBLE) / 1000000D, CAST({whole} AS DOUBLE))"
    )


def histories_of_customers(
    customers: Any, reading: Reading, as_of: dt.date, by: Sequence[str], strip: bool
) -> Any:
    """The columns of :data:`COLUMNS` and ``by``, from the customers."""
    nothing = "CAST('NaN' AS DOUBLE)"
    mean, count, first, total = nothing, "CAST(0 AS BIGINT)", nothing, nothing
    rows = customers.where("code = 0")
    if reading.has_value:
        rows = rows.selectExpr("*", "paid - IF(first_hi > 0 OR first_lo > 0, 1, 0) AS paid_repeats")
        rest = _money("(hi - first_hi)", "(lo - first_lo)")
        mean = f"IF(paid_repeats > 0, {rest} / paid_repeats, {nothing})"
        count, first, total = "paid_repeats", _money("first_hi", "first_lo"), _money("hi", "lo")
    return rows.selectExpr(
        f"{'substring(c, 1, length(c) - 2)' if strip else 'c'} AS customer_id",
        "first_purchase",
        "last_purchase",
        "purchases - 1 AS frequency",
        "CAST(datediff(last_purchase, first_purchase) AS BIGINT) AS recency",
        f"CAST(datediff(DATE'{as_of}', first_purchase) AS BIGINT) AS T",
        f"{mean} AS monetary_value",
        f"{count} AS monetary_count",
        f"{first} AS first_value",
        f"{total} AS historical_value",
        "orders",
        "purchases",
        *(
            f"{f'g{reading.by.index(name)}' if name in reading.by else DERIVED[name]} AS {quoted(name)}"
            for name in by
        ),
    )


def currencies_of(orders: Any, column: str) -> list[tuple[str | None, int]]:
    """Currencies with their rows, the commonest first; of a column that is read for this alone."""
    code = f"upper(trim(CAST({quoted(column)} AS STRING)))"
    found = grouped(orders, [f"IF({code} > '', {code}, NULL) AS c"], ["count(*) AS n"])
    rows = fetched(found.orderBy("n", ascending=False).limit(20)).to_pylist()
    return [(row["c"], row["n"]) for row in rows]


def open_session(master: str | None) -> Any:
    """The Spark session at work, else a new one."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName("forecast")
    return (builder if master is None else builder.master(master)).getOrCreate()


def read_files(session: Any, files: Sequence[str], kind: str) -> Any:
    """Files as a table; of CSV every cell is a text.

    Raises
    ------
    InputError
        When Spark cannot read them.
    """
    from pyspark.errors import AnalysisException

    try:
        if kind == "csv":
            return session.read.csv(list(files), header=True, escape='"', multiLine=True)
        return session.read.parquet(*files)
    except AnalysisException as error:
        told = str(error).strip().splitlines()[0]
        raise InputError(f"Spark cannot read the files: {told[:200]}", advice="Check the paths.") from None
