"""Given histories: what a team sends instead of orders, checked, with the face of :class:`Histories`."""

from __future__ import annotations

import copy
import datetime as dt
import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from forecast.errors import ArgumentError, InputError
from forecast.periods import parse_day
from forecast.summary.histories import check_orders, purchase_histories
from forecast.summary.spark import SparkHistories
from forecast.summary.table import DERIVED, HistoryTable

HISTORIES = "histories"  # what stands in place of a dialect
NEEDED = ("customer_id", "frequency", "recency", "T")
DAYS = ("first_purchase", "last_purchase")
MONEY_COLUMNS = ("monetary_value", "monetary_count", "first_value", "historical_value")


class GivenHistories(HistoryTable):
    """Purchase histories that were given, as :func:`forecast.read_histories` reads them.

    Columns are those of :class:`forecast.Histories`; money is NaN and ``monetary_count`` 0 where none was
    given, ``orders`` is blank where it was not given.

    Attributes
    ----------
    by : tuple of str
        The other columns of the file, as texts.
    currency : str or None
    paths : tuple of Path
        The files that were read, so that no output overwrites them.
    sources : tuple of str
        Their short names.
    dialect : str
        ``histories``.
    timezone, value_policy, zero_value : None
        Histories do not tell how their days and values were made.
    """

    dialect = HISTORIES
    timezone = value_policy = zero_value = None

    def __init__(
        self, connection: Any, table: str, as_of: dt.date, by: Sequence[str], *, currency: str | None = None,
        daily: str | None = None, paths: Sequence[Path] = (), sources: Sequence[str] = (),
        notes: Sequence[str] = (),
    ) -> None:  # fmt: skip
        super().__init__(connection, table, as_of, by, notes)
        self.currency = currency
        self.paths = tuple(paths)
        self.sources = tuple(sources)
        self._daily = daily
        self._extras = self.by
        self._shared = False
        self.first_day: dt.date
        self.last_day: dt.date
        self.first_day, self.last_day = connection.execute(
            f"SELECT min(first_purchase), max(last_purchase) FROM {table}"
        ).fetchall()[0]

    def __repr__(self) -> str:
        return f"<GivenHistories: {len(self):,} customers as of {self.as_of}>"

    @property
    def has_days(self) -> bool:
        """Whether the days of repeat purchases are known, which a seasonal clock needs."""
        return self._daily is not None

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of what a model may learn from, whatever the order of the rows and the other columns."""
        of = "customer_id, first_purchase, frequency, recency, " + ", ".join(MONEY_COLUMNS)
        total = self._hashed(self.table, of)
        days = "" if self._daily is None else self._hashed(self._daily, "day, n")
        return hashlib.sha256(f"histories:{self.as_of}:{len(self)}:{total}:{days}".encode()).hexdigest()

    def received(self) -> dict[str, Any]:
        """What stands in place of a reconciliation: every row that was read is used."""
        rows = len(self)
        return {"files": list(self.sources), "rows_in": rows, "used": rows, "notes": list(self.notes)}

    def _hashed(self, table: str, columns: str) -> int:
        found = self.connection.execute(
            f"SELECT sum(CAST(md5_number_lower(concat_ws(chr(31), {columns})) AS HUGEINT)) FROM {table}"
        ).fetchall()
        return int(found[0][0] or 0)

    def group(self, by: str | None) -> str:
        """A ``by`` column as an expression over the table; one group of all for None.

        Raises
        ------
        ArgumentError
            When it is not among those asked for.
        """
        own = super().group(by)
        return DERIVED[by] if by in DERIVED and by not in self._extras else own

    def asked(self, as_of: Any = None, by: str | Sequence[str] | None = ()) -> GivenHistories:
        """The same histories with some of the other columns.

        Parameters
        ----------
        as_of : date or ISO string, optional
            Their own day, or nothing: they cannot be moved to another.
        by : str or sequence of str
            Columns to keep; also ``first_quarter`` and ``first_month``, of the first purchase.

        Raises
        ------
        ArgumentError
            When they are of another day, or have no such column.
        """
        if as_of is not None and (day := parse_day(as_of)) != self.as_of:
            raise ArgumentError(
                f"the histories are as of {self.as_of}, not {day}",
                advice="Leave as_of out, or make the histories anew as of that day.",
            )
        names = (by,) if isinstance(by, str) else tuple(by or ())
        for name in names:
            if name not in self._extras and name not in DERIVED:
                raise ArgumentError(
                    f"there is no column {name!r} to group by",
                    advice=f"Columns beside the histories: {', '.join([*self._extras, *DERIVED])}.",
                )
            if names.count(name) > 1:
                raise ArgumentError(f"column {name!r} cannot group", advice="Choose one other column, once.")
        found = copy.copy(self)
        found.by, found._shared = names, True
        return found

    def close(self) -> None:
        """Give the tables' memory back; what :meth:`asked` returns leaves them to the whole."""
        if not self._shared:
            super().close()
            if self._daily is not None:
                self.connection.execute(f"DROP TABLE IF EXISTS {self._daily}")

    def repeat_days(self) -> tuple[np.ndarray, np.ndarray]:
        """Repeat purchases of each day up to ``as_of``, days without any left out.

        Raises
        ------
        InputError
            When they were not given.
        """
        if self._daily is None:
            raise InputError(
                "the histories come without the days of repeat purchases, which a season needs",
                advice="Give them, a row a day: read_histories(..., daily=FILE), on the command line --daily "
                "FILE; or do without a season.",
            )
        found = self.connection.execute(f"SELECT day, n FROM {self._daily} WHERE n > 0 ORDER BY day")
        columns = found.fetchnumpy()
        return np.asarray(columns["day"]).astype("datetime64[D]"), np.asarray(columns["n"], dtype=np.int64)


# Histories that stand in place of orders, with their own day and face of orders.
GIVEN = (GivenHistories, SparkHistories)


def histories_of(source: Any, as_of: Any = None, by: str | Sequence[str] | None = ()) -> HistoryTable:
    """The histories of orders, or those that are given.

    Raises
    ------
    InputError, ArgumentError
        As :func:`forecast.purchase_histories` and :meth:`GivenHistories.asked`.
    """
    if isinstance(source, GIVEN):
        return source.asked(as_of, by)
    return purchase_histories(source, as_of, by)


def check_source(source: Any) -> None:
    """Refuse what is neither orders nor given histories.

    Raises
    ------
    ArgumentError
    """
    if not isinstance(source, GIVEN):
        check_orders(source)
