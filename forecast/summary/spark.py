"""Purchase histories made by Spark where the orders lie; what comes back is grouped."""

from __future__ import annotations

import datetime as dt
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from forecast.errors import ArgumentError, InputError
from forecast.periods import parse_day
from forecast.summary.histories import COLUMNS
from forecast.summary.spark_reading import (
    CODES,
    LOW_BITS,
    ORDERS,
    REFUSED,
    REJECTED,
    UNDOTTED,
    Reading,
    literal,
    quoted,
    rows_sql,
)

DERIVED = {
    "first_quarter": "concat(year(first_purchase), 'Q', quarter(first_purchase))",
    "first_month": "date_format(first_purchase, 'yyyy-MM')",
}
_AFTER = CODES.index("after_as_of")


@contextmanager
def quiet() -> Iterator[None]:
    """PySpark warns of pandas 3 wherever Arrow is used; what is used here does not touch pandas."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas")
        yield


def select(session: Any, query: str, table: Any) -> Any:
    """The frame of a query over one table, which the query calls :data:`ORDERS`."""
    text = query.replace("{", "{{").replace("}", "}}").replace(ORDERS, "{table}")
    return session.sql(text, table=table)


def fetched(frame: Any) -> Any:
    """A frame as an Arrow table."""
    with quiet():
        return frame.toArrow()


def spark_histories(
    orders: Any,
    roles: Mapping[str, str],
    *,
    as_of: Any = None,
    by: str | Sequence[str] | None = (),
    timezone: str | None = None,
    zero_value: str = "keep",
) -> SparkHistories:
    """The history of every customer of a Spark table of orders who has bought by the end of ``as_of``.

    Parameters
    ----------
    orders : pyspark.sql.DataFrame
        One row an order, or a line of one.
    roles : dict of role to column
        ``customer_id, order_date`` and, where there are any, ``value, order_id``.
    as_of : date or ISO string, optional
        Last day that counts, inclusive; the latest order day when left out.
    by : str or sequence of str
        Columns to keep, as in :func:`forecast.summary.purchase_histories`.
    timezone : str, optional
        The shop's zone; stamps with a time of day need it.
    zero_value : {'keep', 'drop'}
        What becomes of orders of value 0.

    Returns
    -------
    SparkHistories

    Raises
    ------
    InputError
        When a column cannot be read, no order is usable, or ``as_of`` is before the first order.
    ArgumentError
        When an option cannot be meant.

    Notes
    -----
    One pass over the orders: rows are judged, added up by customer and day, then by customer; partial sums are
    made before anything moves, so a customer with most of the orders is no burden. Rejected rows travel as
    one row a reason and task through the same sums, which a task that runs twice cannot count twice.
    Customers are kept in the executors' memory, or on their disks, until :meth:`SparkHistories.close`.
    """
    session = orders.sparkSession
    names = _by_columns(orders, roles, by)
    day = None if as_of is None else parse_day(as_of)
    if timezone is not None:
        _check_zone(session, timezone)
    types = dict(orders.dtypes)
    stored = tuple(name for name in names if name not in DERIVED or name in types)
    reading = Reading(roles, types, stored, timezone, zero_value)
    purchases = select(session, _purchases_sql(reading), orders)
    customers = select(session, _customers_sql(reading, day), purchases).persist()
    try:
        return SparkHistories(reading, purchases, customers, day, names)
    except BaseException:
        customers.unpersist()
        raise


def _by_columns(orders: Any, roles: Mapping[str, str], by: str | Sequence[str] | None) -> tuple[str, ...]:
    names = (by,) if isinstance(by, str) else tuple(by or ())
    present = [name for name in orders.columns if name not in roles.values()]
    for name in names:
        if name not in present and name not in DERIVED:
            raise ArgumentError(
                f"there is no column {name!r} to group by",
                advice=f"Columns: {', '.join(present)}; and {', '.join(DERIVED)}.",
            )
        if name in COLUMNS or names.count(name) > 1:
            raise ArgumentError(f"column {name!r} cannot group", advice="Choose one other column, once.")
    return names


def _check_zone(session: Any, timezone: str) -> None:
    try:
        session.sql(f"SELECT from_utc_timestamp(TIMESTAMP'2024-01-01', {literal(timezone)})").collect()
    except Exception as error:
        if "zone" not in str(error).lower():
            raise
        raise ArgumentError(
            f"timezone {timezone!r} is not known", advice="Give a name such as Europe/Amsterdam or UTC."
        ) from None


def _purchases_sql(reading: Reading) -> str:
    """Customer by customer and day by day: ``c, d, code, n, rows, hi, lo`` and ``g0`` ..."""
    groups = "".join(f", min(g{place}) AS g{place}" for place in range(len(reading.by)))
    money = ", sum(hi) AS hi, sum(lo) AS lo" if reading.has_value else ""
    rows = rows_sql(reading)
    if "order_id" not in reading.roles:
        return f"SELECT c, d, code, count(*) AS n{money}{groups} FROM ({rows}) GROUP BY c, d, code"
    lines = (
        f"SELECT c, d, code, o, count(*) AS rows, IF(o IS NULL, count(*), 1) AS n{money}{groups} "
        f"FROM ({rows}) GROUP BY c, d, code, o"
    )
    return f"SELECT c, d, code, sum(n) AS n, sum(rows) AS rows{money}{groups} FROM ({lines}) GROUP BY c, d, code"


def _customers_sql(reading: Reading, day: dt.date | None) -> str:
    """Customers, one row a reason of rejected rows, and one of all orders after ``as_of``."""
    customer, code = "c", "code"
    if day is not None:
        late, dotted = f"d > DATE'{day}'", reading.dotted
        customer = f"IF({late}, NULL, c) AS c"
        after = str(_AFTER) if dotted is None else f"IF({dotted}, {_AFTER}, {_AFTER + UNDOTTED})"
        code = f"IF({late}, {after}, code) AS code"
    found = [
        "min(d) AS first_purchase", "max(d) AS last_purchase", "count(*) AS purchases", "sum(n) AS orders",
    ]  # fmt: skip
    if "order_id" in reading.roles:
        found.append("sum(rows) AS rows")
    if reading.has_value:
        found += [
            "sum(hi) AS hi", "sum(lo) AS lo", "min_by(hi, d) AS first_hi", "min_by(lo, d) AS first_lo",
            "count(IF(hi > 0 OR lo > 0, 1, NULL)) AS paid",
        ]  # fmt: skip
    for place in range(len(reading.by)):
        found.append(f"min_by(IF(trim(g{place}) > '', trim(g{place}), 'unknown'), d) AS g{place}")
    inner = "*" if day is None else f"* EXCEPT (c, code), {customer}, {code}"
    return f"SELECT c, code, {', '.join(found)} FROM (SELECT {inner} FROM {ORDERS}) GROUP BY c, code"


def _money(high: str, low: str) -> str:
    """Millionths in two parts as a number of the currency, rounded once."""
    scale = 2**LOW_BITS
    whole = f"(CAST({high} AS DECIMAL(38, 0)) * {scale} + {low}) / 1000000"
    return (
        f"IF(abs({high}) < {2 ** (52 - LOW_BITS)} AND abs({low}) < {2**52}, "
        f"CAST({high} * {scale} + {low} AS DOUBLE) / 1000000D, CAST({whole} AS DOUBLE))"
    )


def _histories_sql(reading: Reading, as_of: dt.date, by: Sequence[str], strip: bool) -> str:
    """The columns of :data:`COLUMNS` and ``by``, from the customers."""
    groups = "".join(
        f", {f'g{reading.by.index(name)}' if name in reading.by else DERIVED[name]} AS {quoted(name)}"
        for name in by
    )
    nothing = "CAST('NaN' AS DOUBLE)"
    mean, count, first, total = nothing, "CAST(0 AS BIGINT)", nothing, nothing
    source = f"SELECT * FROM {ORDERS} WHERE code = 0"
    if reading.has_value:
        source = (
            f"SELECT *, paid - IF(first_hi > 0 OR first_lo > 0, 1, 0) AS paid_repeats FROM {ORDERS} WHERE code = 0"
        )
        rest = _money("(hi - first_hi)", "(lo - first_lo)")
        mean = f"IF(paid_repeats > 0, {rest} / paid_repeats, {nothing})"
        count, first, total = "paid_repeats", _money("first_hi", "first_lo"), _money("hi", "lo")
    return (
        f"SELECT {'left(c, length(c) - 2)' if strip else 'c'} AS customer_id, first_purchase, last_purchase, "
        "purchases - 1 AS frequency, CAST(datediff(last_purchase, first_purchase) AS BIGINT) AS recency, "
        f"CAST(datediff(DATE'{as_of}', first_purchase) AS BIGINT) AS T, {mean} AS monetary_value, "
        f"{count} AS monetary_count, {first} AS first_value, {total} AS historical_value, "
        f"orders, purchases{groups} FROM ({source})"
    )


class SparkHistories:
    """Purchase histories in Spark; statistics come back grouped, through Arrow.

    The face of :class:`forecast.summary.Histories`, as far as a fit needs it.

    Attributes
    ----------
    histories : pyspark.sql.DataFrame
        The columns of :class:`forecast.summary.Histories`, one row a customer, in no order.
    as_of, first_day, last_day : datetime.date
    by : tuple of str
    codes : dict of str to (int, Decimal)
        Rows and money of every fate: ``used`` (purchases), ``line_merged``, ``same_day_merged`` and reasons.
    n_orders : int
        Orders that are used, those after ``as_of`` with them.
    after_as_of : dict
        ``rows`` and ``value`` of the orders after ``as_of``, which are left out.
    notes : tuple of str
    """

    def __init__(
        self, reading: Reading, purchases: Any, customers: Any, day: dt.date | None, by: tuple[str, ...]
    ) -> None:
        self.by = by
        self._session = customers.sparkSession
        self._purchases, self._customers = purchases, customers
        rows = self._tally(reading)
        _refuse(rows, reading)
        self.codes = _codes(rows, "order_id" in reading.roles)
        kept = [row for row in rows if row["code"] in ("used", "after_as_of")]
        if not kept:
            raise _nothing_left(self.codes)
        self.first_day = min(row["first"] for row in kept)
        self.last_day = max(row["last"] for row in kept)
        self.as_of = self.last_day if day is None else day
        if self.as_of < self.first_day:
            raise InputError(
                f"as_of {day} is before the first order", advice=f"Orders begin on {self.first_day}."
            )
        after = [row for row in rows if row["code"] == "after_as_of"]
        self.n_orders = sum(row["orders"] for row in kept)
        self.after_as_of: dict[str, float] = {
            "rows": sum(row["orders"] for row in after),
            "value": float(sum((row["value"] for row in after), Decimal(0))),
        }
        used = [row for row in rows if row["code"] == "used"]
        self._count = sum(row["customers"] for row in used)
        self._repeats = sum(row["purchases"] for row in used) - self._count
        self._paid = sum(row["paid"] for row in used)
        silent = (self.as_of - self.last_day).days
        notes = [f"as_of {self.as_of} is {silent:,} days after the last order"] if silent > 366 else []
        strip, told = _endings(rows, reading)
        self.notes: tuple[str, ...] = (*notes, *told)
        self.histories = select(self._session, _histories_sql(reading, self.as_of, by, strip), customers)

    def _tally(self, reading: Reading) -> list[dict[str, Any]]:
        """One row a code and ending of ids; it makes the customers, and all that follows finds them made."""
        lines = "sum(rows)" if "order_id" in reading.roles else "sum(orders)"
        paid, high, low = "CAST(0 AS BIGINT)", "CAST(0 AS BIGINT)", "CAST(0 AS BIGINT)"
        if reading.has_value:
            paid, high, low = "sum(paid - IF(first_hi > 0 OR first_lo > 0, 1, 0))", "sum(hi)", "sum(lo)"
        dotted = "false" if reading.dotted is None else f"code = 0 AND ({reading.dotted})"
        found = fetched(
            select(
                self._session,
                f"SELECT code % {UNDOTTED} AS code, code >= {UNDOTTED} AS undotted, count(c) AS filled, "
                f"count(IF({dotted}, 1, NULL)) AS dotted, count(*) AS customers, sum(purchases) AS purchases, "
                f"sum(orders) AS orders, {lines} AS lines, {high} AS high, {low} AS low, {paid} AS paid, "
                f"min(first_purchase) AS first, max(last_purchase) AS last FROM {ORDERS} GROUP BY 1, 2",
                self._customers,
            )
        ).to_pylist()
        for row in found:
            row["code"] = CODES[row["code"]]
            units = ((row["high"] or 0) << LOW_BITS) + (row["low"] or 0)
            row["value"] = Decimal(units).scaleb(-6)
        return found

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        return f"<SparkHistories: {self._count:,} customers as of {self.as_of}>"

    @property
    def paid_share(self) -> float:
        """Share of the repeat purchases with a value above 0; NaN without repeat purchases."""
        return self._paid / self._repeats if self._repeats else float("nan")

    def close(self) -> None:
        """Give the executors' memory back; the histories are made anew where they are still used."""
        self._customers.unpersist()

    def to_arrow(self) -> Any:
        """All histories as an Arrow table, by ``customer_id``; each customer travels to the driver."""
        return fetched(self.histories).sort_by("customer_id")

    def to_frame(self) -> pd.DataFrame:
        """All histories as a pandas frame, by ``customer_id``; days are ``datetime64[s]``."""
        frame: pd.DataFrame = self.to_arrow().to_pandas(date_as_object=False)
        return frame.astype({"first_purchase": "datetime64[s]", "last_purchase": "datetime64[s]"})

    def batches(self, rows: int = 65536) -> Iterator[pd.DataFrame]:
        """Frames of at most ``rows`` customers, by ``customer_id``; the index counts through.

        Raises
        ------
        ArgumentError
            When ``rows`` is below 1.
        """
        if rows < 1:
            raise ArgumentError(f"rows is {rows}", advice="Ask for at least 1 customer a batch.")
        frame = self.to_frame()
        for start in range(0, len(frame), rows):
            yield frame.iloc[start : start + rows]

    def purchase_counts(self, by: str | None = None) -> tuple[np.ndarray, ...]:
        """Distinct histories with the number of customers, as :meth:`Histories.purchase_counts`."""
        keys = {"x": "frequency", "t_x": "recency", "age": "T"}
        found = self._grouped(by, keys)
        arrays = tuple(found[name].to_numpy() for name in ("x", "t_x", "age", "w"))
        return arrays if by is None else (*arrays, _labels(found))

    def spend_counts(self, by: str | None = None, *, first: bool = False) -> tuple[np.ndarray, ...]:
        """Distinct spending histories of customers, as :meth:`Histories.spend_counts`."""
        count, mean = "monetary_count", "monetary_value"
        if first:
            begun = "CASE WHEN first_value > 0 AND NOT isnan(first_value) THEN"
            count = f"(monetary_count + {begun} 1 ELSE 0 END)"
            repeats = "CASE WHEN monetary_count > 0 THEN monetary_count * monetary_value ELSE 0D END"
            mean = f"({repeats} + {begun} first_value ELSE 0D END) / {count}"
        found = self._grouped(by, {"c": count, "m": mean}, f"WHERE {count} > 0")
        arrays = tuple(found[name].to_numpy() for name in ("c", "m", "w"))
        return arrays if by is None else (*arrays, _labels(found))

    def repeat_days(self) -> tuple[np.ndarray, np.ndarray]:
        """Repeat purchases of each day up to ``as_of``, days without any left out; reads the orders again.

        Returns
        -------
        day : ndarray of datetime64[D], shape (days,)
        count : ndarray of int64, shape (days,)
        """
        every = select(
            self._session,
            f"SELECT d AS day, count(*) AS n FROM {ORDERS} WHERE code = 0 AND d <= DATE'{self.as_of}' GROUP BY d",
            self._purchases,
        )
        firsts = select(
            self._session,
            f"SELECT first_purchase AS day, -count(*) AS n FROM {ORDERS} WHERE code = 0 GROUP BY first_purchase",
            self._customers,
        )
        net = f"SELECT day, sum(n) AS n FROM {ORDERS} GROUP BY day HAVING sum(n) > 0"
        found = fetched(select(self._session, net, every.unionAll(firsts))).sort_by("day")
        return found["day"].to_numpy().astype("datetime64[D]"), found["n"].to_numpy()

    def _grouped(self, by: str | None, keys: Mapping[str, str], where: str = "") -> Any:
        """Distinct values of the keys with the number of customers ``w``, sorted."""
        if by is not None and by not in self.by:
            raise ArgumentError(f"the histories have no column {by!r}", advice=f"Make them with by={by!r}.")
        picked = {**({} if by is None else {"g": quoted(by)}), **keys}
        columns = ", ".join(f"{key} AS {name}" for name, key in picked.items())
        inner = f"SELECT {columns} FROM {ORDERS} {where}"
        names = ", ".join(picked)
        found = select(
            self._session, f"SELECT {names}, count(*) AS w FROM ({inner}) GROUP BY {names}", self.histories
        )
        return fetched(found).sort_by([(name, "ascending") for name in picked])


def _labels(found: Any) -> np.ndarray:
    return np.asarray(found["g"].to_pylist(), dtype=object)


def _codes(rows: list[dict[str, Any]], has_order_id: bool) -> dict[str, tuple[int, Decimal]]:
    """Rows and money of each fate, in the order in which rows are judged."""
    kept = [row for row in rows if row["code"] in ("used", "after_as_of")]
    purchases, orders, lines = (sum(row[name] for row in kept) for name in ("purchases", "orders", "lines"))
    found = {"used": (purchases, sum((row["value"] for row in kept), Decimal(0)))}
    if has_order_id:
        found["line_merged"] = (lines - orders, Decimal(0))
    found["same_day_merged"] = (orders - purchases, Decimal(0))
    for code in REJECTED:
        own = [row for row in rows if row["code"] == code]
        if own:
            found[code] = (sum(row["lines"] for row in own), sum((row["value"] for row in own), Decimal(0)))
    return found


def _refuse(rows: list[dict[str, Any]], reading: Reading) -> None:
    """Columns that are not read, and those in which most cells are nothing that can be."""
    counts = dict.fromkeys(CODES, 0)
    for row in rows:
        counts[row["code"]] += row["lines"]
    where = {role: f"column {name!r}" for role, name in reading.roles.items()}
    zone = "The day is the shop's own day: pass timezone='Europe/Amsterdam', or 'UTC' if that is meant."
    day, value = where["order_date"], where.get("value")
    told = {
        "odd_id": ("ids are numbers with decimals, or too long for a number", where["customer_id"],
                   "Read that column as text, so that every digit of an id survives."),
        "timed_day": ("stamps carry a time of day, and no time zone of the shop is given", day, zone),
        "timed_stamp": ("stamps say their offset from UTC, and no time zone of the shop is given", day, zone),
        "other_date": ("dates are written in a form that the Spark engine does not read", day,
                       "Make them dates with to_date or stamps with to_timestamp first, or read the file "
                       "with the duckdb engine."),
        "other_value": ("amounts have commas, which the Spark engine does not read", value,
                        "Make them numbers first, or read the file with the duckdb engine."),
    }  # fmt: skip
    for code in REFUSED:
        if counts[code]:
            what, place, advice = told[code]
            raise InputError(what, where=place, count=counts[code], advice=advice)
    dated = sum(counts.values()) - sum(counts[c] for c in ("blank_row", "missing_customer_id", "missing_date"))
    if counts["bad_date"] * 2 > dated:
        raise InputError(
            "most cells are no dates that are known", where=day, count=counts["bad_date"],
            advice="Map the right column to order_date, or make it a column of dates with to_date first.",
        )  # fmt: skip
    valued = dated - sum(counts[c] for c in ("bad_date", "implausible_date", "missing_value"))
    if counts["bad_value"] * 2 > valued:
        raise InputError(
            "most amounts are no finite plain numbers", where=value, count=counts["bad_value"],
            advice="Make them numbers first, or map the column of money to value.",
        )  # fmt: skip


def _nothing_left(codes: Mapping[str, tuple[int, Decimal]]) -> InputError:
    counts = {code: rows for code, (rows, _) in codes.items() if code in REJECTED}
    return InputError(
        "no usable orders are left",
        count=sum(counts.values()),
        examples=[f"{code}: {rows:,}" for code, rows in sorted(counts.items())],
        advice="Check the mapping of the columns.",
    )


def _endings(rows: list[dict[str, Any]], reading: Reading) -> tuple[bool, list[str]]:
    """Whether every id ends in .0, as a spreadsheet or frame leaves it, and what is told of endings."""
    header = reading.roles["customer_id"]
    if reading.dotted is None:
        return False, []
    dotted = sum(row["dotted"] for row in rows)
    others = any(row["undotted"] for row in rows) or any(row["filled"] > row["dotted"] for row in rows)
    if dotted and not others:
        return True, [f"{header}: every id ends in .0, as a spreadsheet or frame leaves it; the ending was taken off"]
    if dotted:
        return False, [f"{header}: ids of {dotted:,} customers end in .0; others do not, so all were left"]
    return False, []
