"""Purchase histories made by Spark where the orders lie; what comes back is grouped."""

from __future__ import annotations

import copy
import datetime as dt
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forecast.errors import ArgumentError, InputError
from forecast.periods import parse_day
from forecast.summary.spark_account import endings, fates, nothing_left, refuse
from forecast.summary.spark_queries import (
    DERIVED,
    customers_of,
    fetched,
    grouped,
    histories_of_customers,
    purchases_of,
)
from forecast.summary.spark_reading import CODES, LOW_BITS, UNDOTTED, Reading, literal, quoted
from forecast.summary.table import COLUMNS, HistoryTable, check_batch, grouping_names


def spark_histories(
    orders: Any,
    roles: Mapping[str, str],
    *,
    as_of: Any = None,
    by: str | Sequence[str] | None = (),
    timezone: str | None = None,
    currency: str | None = None,
    zero_value: str = "keep",
    notes: Sequence[str] = (),
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
    currency : str, optional
        Three-letter code of the values, already checked.
    zero_value : {'keep', 'drop'}
        What becomes of orders of value 0.
    notes : sequence of str
        What was noticed before.

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
    One pass over the orders: rows are judged, added up by customer and day, then by customer. Where one has
    so many rows that a single task would carry most of them, tasks add up what they have before anything
    moves. Rejected rows go through the same sums: a task that runs twice cannot count twice.
    Customers are kept in the executors' memory, or on their disks, until :meth:`SparkHistories.close`.
    """
    names = grouping_names(by, [name for name in orders.columns if name not in roles.values()])
    day = None if as_of is None else parse_day(as_of)
    if timezone is not None:
        _check_zone(orders.sparkSession, timezone)
    types = dict(orders.dtypes)
    stored = tuple(name for name in names if name in types)
    reading = Reading(roles, types, stored, timezone, zero_value)
    purchases = purchases_of(orders, reading)
    customers = customers_of(purchases, reading, day).persist()
    try:
        return SparkHistories(reading, purchases, customers, day, names, currency, notes)
    except BaseException:
        customers.unpersist()
        raise


def _check_zone(session: Any, timezone: str) -> None:
    try:
        session.sql(f"SELECT from_utc_timestamp(TIMESTAMP'2024-01-01', {literal(timezone)})").collect()
    except Exception as error:
        if "zone" not in str(error).lower():
            raise
        raise ArgumentError(
            f"timezone {timezone!r} is not known", advice="Give a name such as Europe/Amsterdam or UTC."
        ) from None


class SparkHistories(HistoryTable):
    """Purchase histories in Spark; what a fit needs of them comes back grouped, through Arrow.

    Attributes
    ----------
    histories : pyspark.sql.DataFrame
        The columns of :class:`forecast.Histories`, one row a customer, in no order.
    as_of, first_day, last_day : datetime.date
    by : tuple of str
    codes : dict of str to (int, Decimal)
        Rows and money of every fate: ``used`` (purchases), ``line_merged``, ``same_day_merged`` and reasons.
    n_orders : int
        Orders that are used, those after ``as_of`` with them.
    after_as_of : dict
        ``rows`` and ``value`` of the orders after ``as_of``, which are left out.
    currency, timezone : str or None
    value_policy, zero_value, dialect : str
    notes : tuple of str
    """

    dialect, value_policy = "generic", "value"
    paths: tuple[Path, ...] = ()

    def __init__(
        self, reading: Reading, purchases: Any, customers: Any, day: dt.date | None, by: Sequence[str],
        currency: str | None, notes: Sequence[str],
    ) -> None:  # fmt: skip
        self.by = tuple(by)
        self.currency, self.timezone, self.zero_value = currency, reading.timezone, reading.zero_value
        self.mapping = dict(reading.roles)
        self._purchases, self._customers = purchases, customers
        self._shared = False
        rows = self._tally(reading)
        refuse(rows, reading)
        self.codes = fates(rows, "order_id" in reading.roles)
        kept = [row for row in rows if row["code"] in ("used", "after_as_of")]
        if not kept:
            raise nothing_left(self.codes)
        self.first_day: dt.date = min(row["first"] for row in kept)
        self.last_day: dt.date = max(row["last"] for row in kept)
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
        strip, told = endings(rows, reading)
        silent = (self.as_of - self.last_day).days
        more = [f"as_of {self.as_of} is {silent:,} days after the last order"] if silent > 366 else []
        self.notes = (*notes, *told, *more)
        self.histories = histories_of_customers(customers, reading, self.as_of, by, strip)

    def _tally(self, reading: Reading) -> list[dict[str, Any]]:
        """One row a code and ending of ids; it makes the customers, and all that follows finds them made."""
        lines = "sum(lines)" if "order_id" in reading.roles else "sum(orders)"
        paid, high, low = "CAST(0 AS BIGINT)", "CAST(0 AS BIGINT)", "CAST(0 AS BIGINT)"
        if reading.has_value:
            paid, high, low = "sum(paid - IF(first_hi > 0 OR first_lo > 0, 1, 0))", "sum(hi)", "sum(lo)"
        dotted = reading.dotted or "false"
        found = fetched(
            grouped(
                self._customers,
                [f"code % {UNDOTTED} AS code", f"code >= {UNDOTTED} AS undotted"],
                [
                    "count(c) AS filled", f"count(IF({dotted}, 1, NULL)) AS dotted",
                    "count(*) AS customers", "sum(purchases) AS purchases", "sum(orders) AS orders",
                    f"{lines} AS lines", f"{high} AS high", f"{low} AS low", f"{paid} AS paid",
                    "min(first_purchase) AS first", "max(last_purchase) AS last",
                ],
            )
        ).to_pylist()  # fmt: skip
        for row in found:
            row["code"] = CODES[row["code"]]
            units = ((row["high"] or 0) << LOW_BITS) + (row["low"] or 0)
            row["value"] = Decimal(units).scaleb(-6)
        return list(found)

    def __repr__(self) -> str:
        return f"<SparkHistories: {self._count:,} customers as of {self.as_of}>"

    @property
    def rows(self) -> int:
        """Rows that were read."""
        return sum(rows for rows, _ in self.codes.values())

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of what a model may learn from, whatever the order and partitions of the orders.

        It differs from that of the same orders read by DuckDB, which is one of purchases.
        """
        cells = ", ".join(quoted(name) for name in self._customers.columns)
        hashes = self._customers.where("code = 0").selectExpr(
            f"CAST(xxhash64({cells}) AS DECIMAL(20, 0)) AS h"
        )
        total = fetched(grouped(hashes, [], ["sum(h) AS h"]))["h"][0].as_py()
        return hashlib.sha256(f"spark:{self.as_of}:{len(self)}:{total}".encode()).hexdigest()

    def received(self) -> dict[str, Any]:
        """Plain numbers of where rows and money went, as :meth:`forecast.Reconciliation.summary`."""
        rows = {code: rows for code, (rows, _) in self.codes.items()}
        merged = rows.get("line_merged", 0) + rows["same_day_merged"]
        rejected = self.rows - rows["used"] - merged
        return {
            "files": ["the Spark table"],
            "rows_in": self.rows,
            "value_in": float(sum((value for _, value in self.codes.values()), Decimal(0))),
            "used": rows["used"],
            "merged": merged,
            "rejected": rejected,
            "rejected_share": rejected / self.rows,
            "codes": {c: {"rows": n, "value": float(v)} for c, (n, v) in self.codes.items() if n or v},
            "value_policy": self.value_policy,
            "bridge": {},
            "currency": self.currency,
            "balances": True,
            "notes": list(self.notes),
        }

    @property
    def lost_share(self) -> float:
        """Rejected rows as a share of the rows that hold anything."""
        blank = self.codes.get("blank_row", (0, Decimal(0)))[0]
        filled = self.rows - blank
        return (self.received()["rejected"] - blank) / filled if filled else 0.0

    def asked(self, as_of: Any = None, by: str | Sequence[str] | None = ()) -> SparkHistories:
        """The same histories with some of their ``by`` columns.

        Parameters
        ----------
        as_of : date or ISO string, optional
            Their own day, or nothing.
        by : str or sequence of str

        Raises
        ------
        ArgumentError
            When they are of another day, or were made without such a column.
        """
        if as_of is not None and (day := parse_day(as_of)) != self.as_of:
            raise ArgumentError(
                f"the histories are as of {self.as_of}, not {day}", advice=f"Summarise with as_of={day}."
            )
        names = (by,) if isinstance(by, str) else tuple(by or ())
        for name in names:
            self.group(name)
        found = copy.copy(self)
        found.by, found._shared = names, True
        found.histories = self.histories.selectExpr(*COLUMNS, *map(quoted, names))
        return found

    def close(self) -> None:
        """Give the executors' memory back; the histories are made anew where they are still used."""
        if not self._shared:
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
        check_batch(rows)
        frame = self.to_frame()
        for start in range(0, len(frame), rows):
            yield frame.iloc[start : start + rows]

    def purchase_counts(self, by: str | None = None) -> tuple[np.ndarray, ...]:
        """Distinct histories with the number of customers, as :meth:`forecast.Histories.purchase_counts`."""
        found = self._grouped(by, {"x": "frequency", "t_x": "recency", "age": "T"})
        arrays = tuple(found[name].to_numpy() for name in ("x", "t_x", "age", "w"))
        return arrays if by is None else (*arrays, _labels(found))

    def spend_counts(self, by: str | None = None, *, first: bool = False) -> tuple[np.ndarray, ...]:
        """Distinct spending histories of customers, as :meth:`forecast.Histories.spend_counts`."""
        count, mean = "monetary_count", "monetary_value"
        if first:
            begun = "CASE WHEN first_value > 0 AND NOT isnan(first_value) THEN"
            count = f"(monetary_count + {begun} 1 ELSE 0 END)"
            repeats = "CASE WHEN monetary_count > 0 THEN monetary_count * monetary_value ELSE 0D END"
            mean = f"({repeats} + {begun} first_value ELSE 0D END) / {count}"
        found = self._grouped(by, {"c": count, "m": mean}, f"{count} > 0")
        arrays = tuple(found[name].to_numpy() for name in ("c", "m", "w"))
        return arrays if by is None else (*arrays, _labels(found))

    def repeat_days(self) -> tuple[np.ndarray, np.ndarray]:
        """Repeat purchases of each day up to ``as_of``, days without any left out; reads the orders again.

        Returns
        -------
        day : ndarray of datetime64[D], shape (days,)
        count : ndarray of int64, shape (days,)
        """
        known = self._purchases.where(f"code = 0 AND d <= DATE'{self.as_of}'")
        every = grouped(known, ["d AS day"], ["count(*) AS n"])
        firsts = grouped(self.histories, ["first_purchase AS day"], ["-count(*) AS n"])
        net = grouped(every.unionAll(firsts), ["day"], ["sum(n) AS n"]).where("n > 0")
        found = fetched(net).sort_by("day")
        return found["day"].to_numpy().astype("datetime64[D]"), found["n"].to_numpy()

    def first_values(self, by: str | None = None) -> tuple[np.ndarray, np.ndarray | None]:
        """Value of each customer's first purchase, sorted, as :meth:`forecast.Histories.first_values`."""
        found = self._grouped(by, {"v": "first_value"})
        times = found["w"].to_numpy()
        labels = None if by is None else np.asarray(found["g"].to_pylist(), dtype=str).repeat(times)
        return found["v"].to_numpy().repeat(times), labels

    def arrivals(self, by: str | None = None) -> list[tuple[str, str, int]]:
        """Customers won by group and month, as :meth:`forecast.Histories.arrivals`."""
        found = self._grouped(by, {"m": DERIVED["first_month"]}).to_pylist()
        return [(row.get("g", "all"), row["m"], row["w"]) for row in found]

    def _grouped(self, by: str | None, keys: Mapping[str, str], where: str | None = None) -> Any:
        """Distinct values of the keys with the number of customers ``w``, sorted."""
        self.group(by)
        picked = {**({} if by is None else {"g": quoted(by)}), **keys}
        rows = self.histories if where is None else self.histories.where(where)
        found = grouped(rows, [f"{key} AS {name}" for name, key in picked.items()], ["count(*) AS w"])
        return fetched(found).sort_by([(name, "ascending") for name in picked])


def _labels(found: Any) -> np.ndarray:
    return np.asarray(found["g"].to_pylist(), dtype=object)
