"""The numbers of historical CLV, for everybody or group by group, computed in the database."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pandas as pd

from forecast.periods import DAYS_PER_YEAR
from forecast.summary.histories import MONEY, Histories, OrderTable, ident

LTV_DAYS = (0, 30, 60, 90, 180, 365, 730)
TOP_SHARES = (1, 10, 20)

DEFINITIONS: dict[str, tuple[str, str]] = {
    "customers": ("customers who have bought by the end of as_of", "count"),
    "orders": ("orders by the end of as_of", "count"),
    "purchases": ("customer-days with at least one order", "count"),
    "revenue": ("sum of all order values, before margin", "currency"),
    "value": ("margin x revenue", "currency"),
    "aov": ("average order value: value / orders, on margin", "currency"),
    "purchase_frequency": (
        "orders / observed customer-years; a customer is observed from the day of the first purchase "
        "to as_of, both included",
        "orders per customer per year",
    ),
    "lifespan_years": (
        "mean of (last - first purchase) over customers with a repeat purchase; it grows with the length of "
        "the history and leaves out one-time buyers",
        "years of 365.25 days",
    ),
    "formula_clv": (
        "aov x purchase_frequency x lifespan_years; it can be below the value already seen, for it is a "
        "yearly rate times the mean lifespan observed so far, not a total",
        "currency per customer",
    ),
    "value_per_customer": ("value / customers", "currency per customer"),
    "repeat_customers": ("customers with purchases on two or more days", "count"),
    "repeat_rate": ("repeat_customers / customers", "share, 0 to 1"),
    "days_between_mean": ("mean days between consecutive purchases of a customer, over all gaps", "days"),
    "days_between_median": ("median of the same gaps", "days"),
    "items_per_order": ("items / orders that say their items", "items"),
    "top_1_share": ("share of value from the top 1 % of customers (rounded up)", "share, 0 to 1"),
    "top_10_share": ("share of value from the top 10 % of customers (rounded up)", "share, 0 to 1"),
    "top_20_share": ("share of value from the top 20 % of customers (rounded up)", "share, 0 to 1"),
    "gini": ("Gini coefficient of value over customers: 0 all alike, 1 all from one", "0 to 1"),
    "cohort_ltv": (
        "mean value from the first purchase to that many days later (included), over the customers whose "
        "first purchase is at least so long before as_of; customers says how many",
        "currency per customer",
    ),
}

INTEGERS = ("customers", "orders", "purchases", "repeat_customers")


def metric_frame(
    orders: OrderTable, histories: Histories, as_of: dt.date, margin: float, by: str | None = None
) -> pd.DataFrame:
    """One row per group (one in all when ``by`` is None), in the order of the labels.

    Columns: ``group``, the scalar numbers of ``DEFINITIONS``, and ``cohort_ltv_N`` with
    ``cohort_ltv_N_customers`` for each N of ``LTV_DAYS``.
    """
    group = "'all'" if by is None else ident(by)
    connection = orders.connection
    customers = f"SELECT customer_id, {group} AS g FROM {histories.table}"
    main = connection.execute(_totals_sql(histories.table, group)).df()
    for extra in (
        connection.execute(_concentration_sql(histories.table, group)).df(),
        connection.execute(_gaps_sql(orders.table, as_of, customers)).df(),
        connection.execute(_items_sql(orders.table, as_of, customers)).df(),
        connection.execute(_ltv_sql(orders.table, as_of, histories.table, group)).df(),
    ):
        main = main.merge(extra, on="group", how="left")
    money = ["aov", "value_per_customer", *(f"cohort_ltv_{n}" for n in LTV_DAYS)]
    main["value"] = main["revenue"]
    for name in ("value", *money):
        main[name] = main[name].astype("float64") * margin
    main["formula_clv"] = main["aov"] * main["purchase_frequency"] * main["lifespan_years"]
    counts = [*INTEGERS, *(f"cohort_ltv_{n}_customers" for n in LTV_DAYS)]
    main = main.astype(dict.fromkeys(counts, "int64"))
    scalars = [name for name in DEFINITIONS if name != "cohort_ltv"]
    main = main.astype({name: "float64" for name in scalars if name not in INTEGERS})
    ltv = [name for n in LTV_DAYS for name in (f"cohort_ltv_{n}", f"cohort_ltv_{n}_customers")]
    return main[["group", *scalars, *ltv]].sort_values("group", ignore_index=True)


def _totals_sql(table: str, group: str) -> str:
    # Money comes from the table as doubles; as decimals again, the sum is the same in any order.
    total = f"sum(CAST(CASE WHEN isnan(historical_value) THEN NULL ELSE historical_value END AS {MONEY}))"
    return (
        f'SELECT {group} AS "group", count(*) AS customers, sum(orders) AS orders, '
        "sum(purchases) AS purchases, "
        f"CAST({total} AS DOUBLE) AS revenue, CAST({total} AS DOUBLE) / sum(orders) AS aov, "
        f"CAST({total} AS DOUBLE) / count(*) AS value_per_customer, "
        f"sum(orders) * {DAYS_PER_YEAR} / sum(T + 1) AS purchase_frequency, "
        f"sum(recency) / nullif(count(*) FILTER (frequency > 0), 0) / {DAYS_PER_YEAR} AS lifespan_years, "
        "count(*) FILTER (frequency > 0) AS repeat_customers, "
        "count(*) FILTER (frequency > 0) / count(*) AS repeat_rate, "
        "sum(recency) / nullif(sum(frequency), 0) AS days_between_mean "
        f'FROM {table} GROUP BY "group"'
    )


def _concentration_sql(table: str, group: str) -> str:
    shares = ", ".join(
        f"CAST(sum(v) FILTER (place <= ceil(n * {share} / 100)) AS DOUBLE) "
        f"/ nullif(CAST(sum(v) AS DOUBLE), 0) AS top_{share}_share"
        for share in TOP_SHARES
    )
    gini = (
        "(2 * fsum(CAST(n + 1 - place AS DOUBLE) * CAST(v AS DOUBLE)) / "
        "nullif(any_value(n) * CAST(sum(v) AS DOUBLE), 0) - (any_value(n) + 1.0) / any_value(n))"
    )
    return (
        f'SELECT g AS "group", {shares}, round({gini}, 12) AS gini FROM ('
        "SELECT g, v, row_number() OVER (PARTITION BY g ORDER BY v DESC) AS place, "
        f"count(*) OVER (PARTITION BY g) AS n FROM (SELECT {group} AS g, "
        f"CAST(historical_value AS {MONEY}) AS v FROM {table} WHERE NOT isnan(historical_value))) GROUP BY g"
    )


def _gaps_sql(table: str, as_of: dt.date, customers: str) -> str:
    return (
        'SELECT g AS "group", CAST(median(gap) AS DOUBLE) AS days_between_median FROM ('
        "SELECT g, day - lag(day) OVER (PARTITION BY customer_id ORDER BY day) AS gap FROM "
        f"(SELECT DISTINCT customer_id, order_day AS day FROM {table} WHERE order_day <= DATE '{as_of}') "
        f"JOIN ({customers}) USING (customer_id)) GROUP BY g"
    )


def _items_sql(table: str, as_of: dt.date, customers: str) -> str:
    return (
        f'SELECT g AS "group", CAST(sum(CAST(items AS {MONEY})) AS DOUBLE) / nullif(count(items), 0) '
        f"AS items_per_order FROM (SELECT * FROM {table} WHERE order_day <= DATE '{as_of}') "
        f"JOIN ({customers}) USING (customer_id) GROUP BY g"
    )


def _ltv_sql(table: str, as_of: dt.date, histories: str, group: str) -> str:
    counts = ", ".join(f"count(*) FILTER (T >= {n}) AS cohort_ltv_{n}_customers" for n in LTV_DAYS)
    sums = ", ".join(f"CAST(sum(v) FILTER (T >= {n} AND age <= {n}) AS DOUBLE) AS s{n}" for n in LTV_DAYS)
    means = ", ".join(
        f"s{n} / nullif(cohort_ltv_{n}_customers, 0) AS cohort_ltv_{n}, cohort_ltv_{n}_customers"
        for n in LTV_DAYS
    )
    # Few distinct (age, T) remain, so the many conditional sums run over a small table.
    spent = (
        f"SELECT {group} AS g, T, order_day - first_purchase AS age, sum(CAST(value AS {MONEY})) AS v "
        f"FROM (SELECT customer_id, order_day, value FROM {table} WHERE order_day <= DATE '{as_of}') "
        f"JOIN {histories} USING (customer_id) GROUP BY ALL"
    )
    return (
        f'SELECT g AS "group", {means} FROM (SELECT {group} AS g, {counts} FROM {histories} GROUP BY g) '
        f"LEFT JOIN (SELECT g, {sums} FROM ({spent}) GROUP BY g) USING (g)"
    )


def as_plain(row: pd.Series) -> dict[str, Any]:
    """One row of a metric frame as plain numbers; what is not a number becomes None."""
    plain: dict[str, Any] = {}
    for name in DEFINITIONS:
        if name == "cohort_ltv":
            continue
        value = row[name]
        plain[name] = int(value) if name in INTEGERS else (None if value != value else float(value))
    ltv = {}
    for n in LTV_DAYS:
        value, count = row[f"cohort_ltv_{n}"], int(row[f"cohort_ltv_{n}_customers"])
        ltv[str(n)] = {"value": None if value != value else float(value), "customers": count}
    plain["cohort_ltv"] = ltv
    return plain
