"""The handle on cleaned orders: a table in a database and all that has to travel with it."""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from forecast.errors import ArgumentError, InputError
from forecast.orders.codes import SOLD
from forecast.orders.reconciliation import Reconciliation
from forecast.orders.sql import MONEY
from forecast.orders.writing import write_frame
from forecast.periods import parse_day

_numbers = itertools.count(1)


def stamp_of(path: Path) -> tuple[int, int]:
    """Size and time of the last change of a file; (-1, -1) when it is gone."""
    try:
        found = path.stat()
    except OSError:
        return -1, -1
    return found.st_size, found.st_mtime_ns


class Spread(NamedTuple):
    """How ids and values are spread over the rows of a log.

    Where ids are whole numbers they are given as such, and ``numbers`` names a view of the same rows with
    them.
    """

    rows: int
    valued: int
    lowest_id: str | int
    highest_id: str | int
    longest_id: int
    largest_value: float
    some_ids: list[Any]
    numbers: str | None


@dataclass(frozen=True, eq=False)
class Orders:
    """Cleaned orders: a handle on a database table, not a frame; frames are made on request.

    Attributes
    ----------
    connection : duckdb.DuckDBPyConnection
        Where the orders lie. Handles made by ``until`` share it.
    table : str
        One row per order: ``customer_id`` (text), ``order_day`` (date), ``value`` (double, NULL in a log
        without money), ``order_id``, ``items``, ``source_file``, ``source_row``, and the ``extras``.
    canonical_table, versions_table : str, optional
        Of a platform's export: every order record, used or not; and the orders that changed on a known day
        (refunds, cancellations, a later load), as they were known from one day to the next.
    refusal : str, optional
        Why no customer can be told from another; only totals can then be had.
    account : Reconciliation, or a function that makes it
        Of a large log it is made when somebody asks.
    reconciliation : Reconciliation
        Where every row and every euro went, for all that was read.
    mapping : dict of role to column name
    dialect, value_policy, zero_value : str
    currency, timezone : str or None
    extras : tuple of str
        The other columns.
    paths : tuple of Path
        The files that were read, so that no output overwrites them.
    stamps : tuple of (size, time of the last change)
        Of those files, where ``table`` is a view that reads them as it is needed.
    facts : tuple of orders, first and last day, optional
    spread : Spread, optional
        Both where reading has found them out already.

    Examples
    --------
    >>> import pandas as pd
    >>> from forecast.orders import read_orders
    >>> log = pd.DataFrame({"customer_id": ["a", "a", "b"], "order_date": ["2024-01-01", "2024-03-01",
    ...                     "2024-02-01"], "value": [10.0, 20.0, 30.0], "channel": ["web", "app", "web"]})
    >>> orders = read_orders(log)
    >>> orders
    <Orders: 3 orders of 2 customers, 2024-01-01 to 2024-03-01, currency unknown>
    >>> len(orders.until("2024-02-29"))
    2
    """

    connection: Any
    orders_table: str
    rejects_table: str
    account: Reconciliation | Callable[[], Reconciliation]
    mapping: dict[str, str]
    dialect: str
    currency: str | None
    timezone: str | None
    value_policy: str
    zero_value: str
    extras: tuple[str, ...]
    paths: tuple[Path, ...] = ()
    canonical_table: str | None = None
    versions_table: str | None = None
    refusal: str | None = None
    stamps: tuple[tuple[int, int], ...] = ()
    facts: tuple[int, dt.date, dt.date] | None = None
    spread: Spread | None = None

    @cached_property
    def reconciliation(self) -> Reconciliation:
        """Where every row and every euro went, for all that was read."""
        return self.account if isinstance(self.account, Reconciliation) else self.account()

    @property
    def table(self) -> str:
        """The table of orders, for whoever counts customers.

        Raises
        ------
        InputError
            When the source does not say who bought, or is read as it is needed and has changed meanwhile.
        """
        for path, stamp in zip(self.paths, self.stamps, strict=False):
            if stamp != stamp_of(path):
                raise InputError(
                    "the file is gone or has changed since it was read",
                    where=path.name,
                    advice="Read the orders again.",
                )
        if self.refusal is not None:
            raise InputError(
                self.refusal, where=self.dialect, advice="Use its totals: orders.sales(), or forecast check."
            )
        return self.orders_table

    @cached_property
    def _facts(self) -> tuple[int, dt.date | None, dt.date | None]:
        if self.facts is not None:
            return self.facts
        row: tuple[int, dt.date | None, dt.date | None] = self.connection.execute(
            f"SELECT count(*), min(order_day), max(order_day) FROM {self.orders_table}"
        ).fetchall()[0]
        return row

    @property
    def n_orders(self) -> int:
        """Number of orders."""
        return self._facts[0]

    @cached_property
    def customers(self) -> int:
        """Number of customers."""
        counted = f"SELECT count(DISTINCT customer_id) FROM {self.orders_table}"
        return int(self.connection.execute(counted).fetchall()[0][0])

    @property
    def first_day(self) -> dt.date:
        """Day of the first order."""
        return self._day(self._facts[1])

    @property
    def last_day(self) -> dt.date:
        """Day of the last order."""
        return self._day(self._facts[2])

    @staticmethod
    def _day(day: dt.date | None) -> dt.date:
        if day is None:
            raise InputError("there are no orders", advice="Choose a later as_of.")
        return day

    def __len__(self) -> int:
        return self.n_orders

    def __repr__(self) -> str:
        return (
            f"<Orders: {self.n_orders:,} orders of {self.customers:,} customers, "
            f"{self._facts[1]} to {self._facts[2]}, currency {self.currency or 'unknown'}>"
        )

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of what was bought: customers, days and values of the purchases.

        It does not change with the order of rows, with how they are split into lines or files, with other
        columns, or with the version of the database.
        """
        total, rows, customers = self.connection.execute(
            "SELECT sum(CAST(md5_number_lower(concat_ws(chr(31), customer_id, CAST(day AS VARCHAR), "
            "coalesce(CAST(v AS VARCHAR), 'NULL'))) AS HUGEINT)), count(*), count(DISTINCT customer_id) "
            f"FROM (SELECT customer_id, order_day AS day, sum(CAST(value AS {MONEY})) AS v "
            f"FROM {self.orders_table} GROUP BY ALL)"
        ).fetchall()[0]
        return hashlib.sha256(f"purchases:{rows}:{customers}:{total or 0}".encode()).hexdigest()

    def until(self, as_of: Any) -> Orders:
        """The orders up to and including a day as they were known that day, on the same connection.

        Refunds and cancellations that have a date are not seen before it.

        Parameters
        ----------
        as_of : date or ISO string
            Last day, inclusive.

        Raises
        ------
        ArgumentError
            When ``as_of`` is not a day.
        InputError
            When no order is that old.
        """
        day = parse_day(as_of)
        if day < self.first_day:
            raise InputError(
                f"as_of {day} is before the first order", advice=f"Orders begin on {self.first_day}."
            )
        view = f"{self.table.split('_until_')[0]}_until_{next(_numbers)}"
        source = self.table
        if self.versions_table is not None:
            place = "(source_file, source_row)"
            source = (
                f"(SELECT * FROM {source} WHERE {place} NOT IN (SELECT {place} FROM {self.versions_table}) "
                f"UNION ALL SELECT * EXCLUDE (known_from, known_to) FROM {self.versions_table} "
                f"WHERE known_from <= DATE '{day}' AND (known_to IS NULL OR known_to > DATE '{day}'))"
            )
        self.connection.execute(
            f"CREATE VIEW {view} AS SELECT * FROM {source} WHERE order_day <= DATE '{day}'"
        )
        return replace(
            self, orders_table=view, versions_table=None, canonical_table=None, facts=None, spread=None
        )

    def some(self, customers: int, seed: int = 0, as_of: Any = None) -> Orders:
        """The orders of about so many customers, drawn by their ids; all where there are no more.

        The same customers are drawn whenever they are asked for, whatever else the log holds.

        Parameters
        ----------
        customers : int
            Of those known at ``as_of``; customers won later are drawn with the same chance.
        seed : int
        as_of : date or ISO string, optional
            The last day by default.
        """
        known = self.customers if as_of is None else self.until(as_of).customers
        if known <= customers:
            return self
        share = int(1_000_000 * customers / known)
        table = f"{self.table.split('_until_')[0]}_some_{next(_numbers)}"
        self.connection.execute(
            f"CREATE TEMP TABLE {table} AS SELECT * FROM {self.table} "
            f"WHERE md5_number_lower(customer_id || ':{int(seed)}') % 1000000 < {share}"
        )
        versions = None
        if self.versions_table is not None:
            versions = f"{table}_versions"
            self.connection.execute(
                f"CREATE TEMP TABLE {versions} AS SELECT * FROM {self.versions_table} "
                f"WHERE md5_number_lower(customer_id || ':{int(seed)}') % 1000000 < {share}"
            )
        return replace(
            self, orders_table=table, versions_table=versions, canonical_table=None, facts=None, spread=None
        )

    def _part(self, table: str, versions: str | None) -> Orders:
        return replace(
            self, orders_table=table, versions_table=versions, canonical_table=None, facts=None, spread=None
        )

    def relation(self) -> Any:
        """The orders as a relation of the database, for queries of your own."""
        return self.connection.table(self.table)

    def _sorted(self) -> Any:
        return self.connection.sql(
            f"SELECT * FROM {self.table} ORDER BY order_day, customer_id, source_file, source_row"
        )

    def canonical(self) -> pd.DataFrame:
        """Every order record of a platform's export, used or not, with its ``code`` and its money in parts.

        Columns: ``source_file, source_row, lines, order_id, store, customer_id, order_ts`` (the shop's wall
        time), ``order_day, currency, gross, discount, net, shipping, tax, other, total, refunded, value,
        status, code`` and the attributes. E-mails and phones stand in it only as ``customer_id``.

        Raises
        ------
        ArgumentError
            When the orders come from the generic reader, which knows no more than ``to_frame`` shows, or
            from ``until`` or ``some``.
        """
        if self.canonical_table is None:
            raise ArgumentError(
                "only orders as read from a platform's export have a canonical table, not a log, nor "
                "until() or "
                "some()",
                advice="Use to_frame().",
            )
        frame: pd.DataFrame = self.connection.execute(
            "SELECT source_file, row AS source_row, lines, order_id, store, customer_id, order_ts, "
            "order_day, "
            "currency, gross, discount, net, shipping, tax, other, total, back AS refunded, value, "
            "state AS status, code, "
            "channel, country, coupon, first_product, payment_method, is_guest, is_subscription, "
            "is_marketplace, "
            f"is_wholesale, is_employee FROM {self.canonical_table} ORDER BY file, row"
        ).df()
        return frame.astype({"order_day": "datetime64[s]"})

    def sales(self) -> pd.DataFrame:
        """Sales by month, whoever bought: ``month, orders, value, aov``; also of orders no model may use.

        Orders that came through marketplaces, or without any identity, count here.
        """
        source = f"SELECT order_day, value, NULL AS code FROM {self.orders_table}"
        if self.canonical_table is not None:
            codes = ", ".join(f"'{code}'" for code in SOLD)
            source = (
                f"SELECT order_day, value FROM {self.canonical_table} "
                f"WHERE NOT is_refund AND (code IS NULL OR code IN ({codes}))"
            )
        frame: pd.DataFrame = self.connection.execute(
            "SELECT CAST(date_trunc('month', order_day) AS DATE) AS month, count(*) AS orders, "
            f"CAST(sum(CAST(value AS {MONEY})) AS DOUBLE) AS value FROM ({source}) GROUP BY 1 ORDER BY 1"
        ).df()
        frame["aov"] = frame["value"] / frame["orders"]
        return frame.astype({"month": "datetime64[s]"})

    def to_arrow(self) -> Any:
        """The orders as an Arrow table, by day and customer."""
        return self._sorted().to_arrow_table()

    def to_frame(self) -> pd.DataFrame:
        """The orders as a pandas frame, by day and customer; ``order_day`` is ``datetime64[s]``."""
        frame: pd.DataFrame = self._sorted().df()
        return frame.astype({"order_day": "datetime64[s]"})

    def rejects(self) -> pd.DataFrame:
        """Rejected rows ``source_file, source_row, code, value``; no customer ids.

        ``source_row`` counts records; in delimited files the header is record 1.
        """
        frame: pd.DataFrame = self.connection.execute(
            f"SELECT * FROM {self.rejects_table} ORDER BY source_file, source_row, code"
        ).df()
        return frame

    def write_rejects(self, path: Any) -> Path:
        """Write the rejected rows as ``.csv``, ``.parquet`` or ``.json``, all or nothing.

        Cells that a spreadsheet would run as a formula get an apostrophe in front.

        Raises
        ------
        ArgumentError
            When the ending is none of these.
        """
        return write_frame(self.rejects(), path)
