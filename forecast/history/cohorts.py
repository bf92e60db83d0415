"""Acquisition cohorts: what the customers of one month or quarter did in each period since."""

from __future__ import annotations

import datetime as dt

import pandas as pd

from forecast.summary.histories import MONEY, Histories, OrderTable

_PERIOD = {"M": "month", "Q": "quarter"}


def cohort_label(day: str, cohort: str) -> str:
    """Expression of a cohort's name: ``2026-03`` or ``2026Q1``.

    Examples
    --------
    >>> cohort_label("d", "M")
    "strftime(d, '%Y-%m')"
    """
    if cohort == "M":
        return f"strftime({day}, '%Y-%m')"
    return f"(CAST(year({day}) AS VARCHAR) || 'Q' || CAST(quarter({day}) AS VARCHAR))"


def cohort_frame(
    orders: OrderTable, histories: Histories, as_of: dt.date, margin: float, cohort: str
) -> pd.DataFrame:
    """Every cohort at every age up to that of the oldest; empty cells where nothing could be seen yet."""
    period = _PERIOD[cohort]
    start = f"CAST(date_trunc('{period}', {{}}) AS DATE)"
    end = f"(period + INTERVAL 1 {period.upper()})"
    now = f"DATE '{as_of}'"
    sql = (
        f"WITH c AS (SELECT customer_id, {start.format('first_purchase')} AS born FROM {histories.table}), "
        "size AS (SELECT born, count(*) AS customers FROM c GROUP BY born), "
        "seen AS (SELECT born, "
        f"date_diff('{period}', born, order_day) AS age, count(DISTINCT customer_id) AS active, "
        f"count(*) AS orders, sum(CAST(value AS {MONEY})) AS v FROM (SELECT * FROM {orders.table} "
        f"WHERE order_day <= {now}) JOIN c USING (customer_id) GROUP BY born, age), "
        f"ages AS (SELECT unnest(generate_series(0, (SELECT date_diff('{period}', min(born), {now}) "
        "FROM size))) AS age), "
        "grid AS (SELECT born, customers, age, "
        f"CAST(born + age * INTERVAL 1 {period.upper()} AS DATE) AS period FROM size, ages), "
        "full_grid AS (SELECT g.*, s.active, s.orders, s.v, "
        f"period <= {now} AS observed, period <= {now} AND {end} > {now} + INTERVAL 1 DAY AS partial "
        "FROM grid g LEFT JOIN seen s USING (born, age)) "
        f"SELECT {cohort_label('born', cohort)} AS cohort, age, customers, "
        "CASE WHEN observed THEN coalesce(active, 0) END AS active, "
        "CASE WHEN observed THEN coalesce(orders, 0) END AS orders, "
        f"CASE WHEN observed THEN CAST(coalesce(v, {_none(orders)}) AS DOUBLE) END AS value, "
        f"CASE WHEN observed THEN CAST(sum(coalesce(v, {_none(orders)})) OVER "
        "(PARTITION BY born ORDER BY age) AS DOUBLE) / customers END AS cumulative_value_per_customer, "
        "partial FROM full_grid ORDER BY born, age"
    )
    frame = orders.connection.execute(sql).df()
    for name in ("value", "cumulative_value_per_customer"):
        frame[name] = frame[name].astype("float64") * margin
    return frame.astype(
        {"age": "int64", "customers": "int64", "active": "Int64", "orders": "Int64", "partial": "bool"}
    )


def _none(orders: OrderTable) -> str:
    """What a period without orders is worth: 0, or nothing known in a log without money."""
    some = orders.connection.execute(
        f"SELECT 1 FROM {orders.table} WHERE value IS NOT NULL LIMIT 1"
    ).fetchall()
    return "0" if some else "NULL"
