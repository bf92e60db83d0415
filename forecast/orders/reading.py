"""From files, frames, stores or databases to orders: one call, whatever the shop runs on."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from forecast.errors import ArgumentError
from forecast.orders.currencies import read_rates
from forecast.orders.databases.opening import is_url, open_database
from forecast.orders.dates import check_timezone
from forecast.orders.dialects import Look, choose_platform, platforms_named, wanted_columns
from forecast.orders.dialects.platform import Platform
from forecast.orders.generic import read_log
from forecast.orders.handle import Orders
from forecast.orders.platforms.exports import Entries, read_export
from forecast.orders.platforms.identities import read_salt
from forecast.orders.platforms.judging import check_exclude
from forecast.orders.platforms.settling import settle
from forecast.orders.progress import Progress, watched
from forecast.orders.sources import Source, close_sources, open_sources
from forecast.orders.stores.opening import is_store, read_store, refuse_options


def read_orders(
    source: Any,
    *,
    mapping: Mapping[str, str | None] | None = None,
    dialect: str = "auto",
    timezone: str | None = None,
    currency: str | None = None,
    value_policy: str | None = None,
    zero_value: str | None = None,
    date_format: str | None = None,
    rates: Mapping[str, float] | Any = None,
    exclude: Sequence[str] | str = ("marketplace",),
    statuses: Mapping[str, str] | None = None,
    hash_ids: Any = None,
    query: str | None = None,
    progress: Progress | None = None,
    duckdb_config: Mapping[str, Any] | None = None,
) -> Orders:
    """Read and clean order exports; every rejected row keeps its reason.

    Parameters
    ----------
    source : path, glob, frame, URL, or list of paths or frames
        CSV, TSV, Parquet, JSON or JSON lines (text also as ``.gz``); pandas, polars or Arrow frames; the
        folder of an order store, see :func:`forecast.add_orders`; an SQLAlchemy URL of a database.
    mapping : mapping of role to column name, optional
        Roles are ``customer_id``, ``order_date``, ``value``, ``order_id``, ``currency`` and ``items``. Roles
        that are left out are found by their headers; ``None`` says that there is no such column. For a
        platform's export also its fields (``total``, ``email``, ``cost``, ``channel``, ...); ``value`` in it
        asks for the generic reader.
    dialect : str
        ``"auto"`` is told by the header; ``"generic"``; a platform such as ``"shopify"``, ``"magento"`` or
        ``"woocommerce"``, or one kind of its exports such as ``"shopify-csv"``.
    timezone : str, optional
        The shop's zone, for example ``"Europe/Amsterdam"``. Needed as soon as a stamp carries a time of day:
        stamps without offset are wall time of the shop, those with one are converted.
    currency : str, optional
        Three-letter code. A currency column must agree with it.
    value_policy : {"net_sales", "gross_sales", "total_sales", "contribution", "value"}, optional
        What an order is worth. Platforms give ``net_sales`` where their columns carry it, else
        ``total_sales``; the generic reader takes the value column as it is (``value``).
    zero_value : {"keep", "drop"}, optional
        Whether orders of value 0 count as purchases: dropped for platforms, kept in a generic log.
    date_format : str, optional
        A strptime pattern such as ``"%d/%m/%Y"``, or ``"epoch_s"``, ``"epoch_ms"``, ``"excel"``.
    rates : mapping of currency to rate, or path of a CSV with ``currency,rate``, optional
        What one unit of each currency is worth; the one with rate 1 is converted to.
    exclude : sequence of str
        Kinds of orders to leave out: ``marketplace``, ``wholesale``, ``employee``, ``subscription``.
    statuses : mapping of label to meaning, optional
        What statuses of your own mean: ``completed, pending, cancelled, refunded`` or ``test``.
    hash_ids : path, optional
        File of a salt; e-mails and phones (all ids of a generic log) are replaced by pseudonyms.
    query : str, optional
        One SELECT, with a database's URL.
    progress : callable, optional
        Called as ``progress(what, done, total)`` while a large source is read.
    duckdb_config : mapping, optional
        Settings of the database that does the work, for example ``{"memory_limit": "4GB", "threads": 2}``.

    Returns
    -------
    Orders
        A handle on the cleaned orders, with their reconciliation.

    Raises
    ------
    InputError
        When the data are missing, unreadable, ambiguous, of several currencies, or leave no usable order.
    ArgumentError
        When an option cannot be meant.

    Examples
    --------
    >>> import pandas as pd
    >>> log = pd.DataFrame({"customer": ["007", "7", None], "date": ["2024-01-31", "2024-02-01",
    ...                     "2024-02-02"], "amount": [10.0, 20.0, 30.0]})
    >>> orders = read_orders(log, currency="EUR")
    >>> len(orders), orders.customers, orders.mapping["value"]
    (2, 2, 'amount')
    >>> orders.rejects()[["source_row", "code"]].to_dict("records")
    [{'source_row': 3, 'code': 'missing_customer_id'}]
    """
    left_out = check_exclude(exclude)
    if is_store(source):
        refuse_options(
            mapping=mapping, date_format=date_format, rates=rates, statuses=statuses, hash_ids=hash_ids,
            query=query
        )  # fmt: skip
        return read_store(
            connect(duckdb_config), source, dialect=dialect, timezone=timezone, currency=currency,
            value_policy=value_policy, zero_value=zero_value, exclude=left_out, progress=progress,
        )  # fmt: skip
    rates = read_rates(rates)
    salt = None if hash_ids is None else read_salt(hash_ids)
    opened = open_source(
        source, mapping=mapping, dialect=dialect, timezone=timezone, query=query, progress=progress,
        duckdb_config=duckdb_config,
    )  # fmt: skip
    if opened.platform is None:
        orders = opened.log(
            mapping=mapping, date_format=date_format, currency=currency, value_policy=value_policy,
            zero_value=zero_value, rates=rates, statuses=statuses, salt=salt,
        )  # fmt: skip
    else:
        if progress is not None:
            progress("putting orders together", 0, 0)
        entries = opened.entries(
            mapping=mapping, date_format=date_format, currency=currency, rates=rates, statuses=statuses,
            salt=salt
        )  # fmt: skip
        if progress is not None:
            progress("accounting for every row", 0, 0)
        orders = settle(
            opened.connection, entries, timezone=opened.timezone, value_policy=value_policy,
            zero_value=zero_value, exclude=left_out, paths=opened.paths,
        )  # fmt: skip
    close_sources(opened.connection, opened.sources)
    return orders


@dataclass
class Opened:
    """Sources that are open and of a known kind; ``platform`` is None for a generic log."""

    connection: Any
    sources: list[Source]
    platform: Platform | None
    timezone: str | None
    notes: list[str]

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files among the sources."""
        return tuple(one.path for one in self.sources if one.path is not None)

    def entries(self, *, rates: Any, **options: Any) -> Entries:
        """Order records of a platform, read but not judged, see :func:`read_export`."""
        assert self.platform is not None
        return read_export(
            self.connection, self.sources, self.platform, timezone=self.timezone, rates=read_rates(rates),
            notes=self.notes, **options,
        )  # fmt: skip

    def log(self, *, rates: Any, statuses: Any, **options: Any) -> Orders:
        """Orders of a generic log, see :func:`read_log`."""
        if rates or statuses:
            raise ArgumentError(
                "rates and statuses are for platforms' exports, and this is read as a generic log",
                advice="Convert the amounts and leave out cancelled orders first.",
            )
        return read_log(
            self.connection, self.sources, timezone=self.timezone, paths=self.paths, notes=self.notes,
            **options,
        )  # fmt: skip


def open_source(
    source: Any,
    *,
    mapping: Mapping[str, str | None] | None,
    dialect: str,
    timezone: str | None,
    query: str | None,
    progress: Progress | None,
    duckdb_config: Mapping[str, Any] | None,
) -> Opened:
    """Open files, frames or a database and tell their kind.

    Raises
    ------
    InputError
        When one is missing, unreadable, or of another kind than the others.
    ArgumentError
        When an option cannot be meant.
    """
    if query is not None and not is_url(source):
        raise ArgumentError(
            "a query is given without a database", advice="Give the database's URL as source."
        )
    platforms_named(dialect)
    asked = mapping if isinstance(mapping, Mapping) else {}
    named = "generic" if dialect == "auto" and "value" in asked else dialect
    connection = connect(duckdb_config)
    zone = check_timezone(connection, timezone)
    with watched(connection, progress, "reading orders"):
        if is_url(source):
            sources, notes = open_database(connection, source, query, dialect)
        else:
            sources, notes = open_sources(
                connection,
                source,
                lambda label, header: wanted_columns(Look(label, tuple(header)), named, asked),
            )
    looks = [Look(s.label, tuple(s.columns), s.record is not None) for s in sources]
    return Opened(connection, sources, choose_platform(looks, named), zone, notes)


def connect(config: Mapping[str, Any] | None) -> Any:
    """A database in memory, with the settings asked for.

    Raises
    ------
    ArgumentError
        When it does not know one of them.
    """
    settings = {
        "temp_directory": str(Path(tempfile.gettempdir()) / f"forecast-{uuid.uuid4().hex}"),
        "autoinstall_known_extensions": "false",
        **(config or {}),
    }
    try:
        connection = duckdb.connect(":memory:", config=settings)
    except (duckdb.Error, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ArgumentError(
            f"duckdb_config is refused: {reason}", advice="Give for example {'memory_limit': '4GB'}."
        ) from None
    connection.execute("SET TimeZone = 'UTC'")
    # In a notebook without ipywidgets the bar is off and cannot even be switched off.
    if connection.execute("SELECT current_setting('enable_progress_bar')").fetchall()[0][0]:
        connection.execute("SET enable_progress_bar = false")
    connection.execute("SET preserve_insertion_order = true")
    return connection
