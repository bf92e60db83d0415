"""Histories and scores by Spark, for orders that lie on a cluster.

``pip install "clv-forecast[spark]"`` brings PySpark 4; it needs Java 17 or newer. The workers need this
package too, for scores.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from decimal import Decimal
from os import environ
from pathlib import Path
from typing import Any

from forecast.errors import ArgumentError, ForecastError
from forecast.model import Model
from forecast.orders.columns import map_columns
from forecast.orders.currencies import check_currency, one_currency
from forecast.orders.dialect import GENERIC, choose_zero
from forecast.orders.dialects import Look, choose_platform, title_of
from forecast.orders.reconciliation import Line, Reconciliation
from forecast.periods import horizon_days, parse_day
from forecast.predict.spark import spark_scores
from forecast.summary.spark import SparkHistories, spark_histories
from forecast.summary.spark_queries import currencies_of, open_session, read_files

__all__ = ["SparkHistories", "read", "reconciliation", "score", "session", "summarise"]

LABEL = "the Spark table"
INSTALL = 'pip install "clv-forecast[spark]"'


def summarise(
    df: Any,
    *,
    mapping: Mapping[str, str | None] | None = None,
    as_of: Any = None,
    by: str | Sequence[str] | None = (),
    timezone: str | None = None,
    currency: str | None = None,
    zero_value: str | None = None,
) -> SparkHistories:
    """Purchase histories of a Spark table of orders, made where it lies.

    Parameters
    ----------
    df : pyspark.sql.DataFrame
        One row an order, or a line of one: a customer, a day or stamp, and an amount. Texts of days are read
        in ISO form. Usual English names of columns are found.
    mapping : mapping of role to column, optional
        ``customer_id, order_date, value, order_id, currency``; ``{"value": None}`` for orders without money.
    as_of : date or ISO string, optional
        Last day that counts, inclusive; the latest order day when left out.
    by : str or sequence of str
        Columns to keep from the customer's first day; also ``first_quarter`` and ``first_month``.
    timezone : str, optional
        The shop's zone, such as Europe/Amsterdam; stamps with a time of day need it.
    currency : str, optional
        Three-letter code.
    zero_value : {'keep', 'drop'}, optional
        What becomes of orders of value 0; kept when left out.

    Returns
    -------
    SparkHistories
        Times in days, money in the currency of the orders; ``.histories`` is a Spark frame, one row a
        customer. What :func:`forecast.purchase_histories` says of the same orders.

    Raises
    ------
    InputError
        When a column is missing or cannot be read, there are several currencies, no order is usable, or
        ``as_of`` is before the first order.
    ArgumentError
        When an option cannot be meant.

    Examples
    --------
    >>> from forecast.spark import summarise
    >>> histories = summarise(spark.read.parquet("orders"), as_of="2026-09-30")  # doctest: +SKIP
    >>> forecast.fit(histories, purchases="bg-nbd")  # doctest: +SKIP
    """
    if not hasattr(df, "sparkSession") or not hasattr(df, "selectExpr"):
        raise ArgumentError(
            f"a Spark table of orders is needed, not {type(df).__name__}",
            advice="Give a pyspark.sql.DataFrame.",
        )
    _refuse_platforms(df.columns, mapping)
    roles = map_columns(df.columns, mapping, GENERIC, LABEL)
    code, notes = check_currency(currency), list[str]()
    if "currency" in roles:
        code = one_currency(
            currencies_of(df, roles["currency"]), code, unit="rows", header=roles["currency"], notes=notes,
            convert="convert the amounts first.",
            several="keep the rows of one currency, or map a converted column to value and currency to None.",
        )  # fmt: skip
    kept = {role: column for role, column in roles.items() if role not in ("currency", "items")}
    zero = choose_zero(zero_value, GENERIC.zero_value)
    return spark_histories(
        df, kept, as_of=as_of, by=by, timezone=timezone, currency=code, zero_value=zero, notes=notes
    )


def _refuse_platforms(columns: Sequence[str], mapping: Mapping[str, str | None] | None) -> None:
    """A platform's export needs rules of its own, for refunds and the like, that are not here."""
    if isinstance(mapping, Mapping) and "value" in mapping:
        return
    platform = choose_platform([Look(LABEL, tuple(columns))], "auto")
    if platform is not None:
        raise ArgumentError(
            f"these are the columns of {title_of(platform.name)}, whose refunds, tests and cancelled orders "
            "the Spark engine does not tell",
            advice="Read the export with the duckdb engine, or name the column of money: "
            "mapping={'value': 'Total'}, --map value=Total.",
        )


def reconciliation(histories: SparkHistories) -> Reconciliation:
    """Where every row and all money went.

    Parameters
    ----------
    histories : SparkHistories

    Returns
    -------
    Reconciliation
        Of one source, the Spark table. ``blank_row`` has nothing in the columns that are read.
    """
    lines = [Line(LABEL, code, rows, value) for code, (rows, value) in histories.codes.items()]
    whole = sum((line.value for line in lines), Decimal(0))
    return Reconciliation(
        {LABEL: histories.rows}, {LABEL: whole}, lines, histories.notes, histories.currency,
        "value" in histories.mapping,
    )  # fmt: skip


def score(
    df: Any,
    model: Model,
    horizon: Any = 365,
    level: Any = (80, 95),
    *,
    as_of: Any = None,
    margin: float = 1.0,
    discount_rate: float = 0.0,
    by: str | Sequence[str] | None = (),
) -> Any:
    """Forecast every customer on the cluster, with the numbers of :meth:`forecast.Model.score`.

    Parameters
    ----------
    df : SparkHistories or pyspark.sql.DataFrame
        As :func:`summarise` makes them, or a table with the columns of :class:`forecast.Histories`, all as of
        one day, which ``as_of`` then has to name.
    model : Model
    horizon : int or str
        Days, or quarters such as ``"4Q"``.
    level : float or sequence of float
        Percent.
    as_of : date or ISO string, optional
        Left out for what :func:`summarise` made.
    margin, discount_rate : float
        Shares; the rate is annual.
    by : str or sequence of str
        Columns of the histories to keep.

    Returns
    -------
    pyspark.sql.DataFrame
        One row a customer in no order, with the columns of :meth:`forecast.Model.score`; days are days.

    Raises
    ------
    ArgumentError
        When an option cannot be meant, or the orders have another currency or value policy than the model.
    InputError
        When a column is missing that the model needs.

    Examples
    --------
    >>> forecast.spark.score(histories, model, horizon=365).write.parquet("scores")  # doctest: +SKIP
    """
    kept = (by,) if isinstance(by, str) else tuple(by or ())
    if isinstance(df, SparkHistories):
        model.check(df)
        own = df.asked(as_of, model.columns(kept))
        day, histories = own.as_of, own.histories
    elif as_of is None:
        raise ArgumentError(
            "as_of is needed with a table of histories", advice="Name the day they were made for."
        )
    else:
        day, histories = parse_day(as_of), df
    return spark_scores(
        histories,
        model.clv,
        as_of=day,
        days=horizon_days(horizon, day),
        levels=level,
        margin=margin,
        discount_rate=discount_rate,
        by=kept,
    )


def session(master: str | None = None) -> Any:
    """A Spark session: the one at work, else a new one.

    Parameters
    ----------
    master : str, optional
        Spark's address of a cluster, such as ``spark://host:7077``, ``yarn`` or ``local[4]``; what Spark is
        configured for when left out, else all cores of this machine.

    Returns
    -------
    pyspark.sql.SparkSession

    Raises
    ------
    ForecastError
        When PySpark or Java is missing, or Spark does not start.
    """
    try:
        import importlib

        importlib.import_module("pyspark")
    except ImportError:
        raise ForecastError("the Spark engine needs PySpark 4", advice=f"Install it: {INSTALL}.") from None
    home = environ.get("JAVA_HOME")
    if not (home and (Path(home) / "bin" / "java").exists()) and shutil.which("java") is None:
        raise ForecastError(
            "Spark needs Java 17 or newer, and there is none on the path",
            advice="Install one (Debian: apt-get install openjdk-17-jre-headless), or set JAVA_HOME. "
            f"PySpark comes with {INSTALL}.",
        )
    try:
        return open_session(master)
    except Exception as error:
        if type(error).__module__.split(".")[0] not in ("pyspark", "py4j"):
            raise
        told = str(error).strip().splitlines() or [type(error).__name__]
        raise ForecastError(
            f"Spark does not start: {told[0][:200]}", advice="Check --master, and that java is 17 or newer."
        ) from error


def read(paths: str | Sequence[str], *, master: str | None = None) -> Any:
    """Parquet or CSV files as a Spark table; cells of CSV are texts.

    Parameters
    ----------
    paths : str or sequence of str
        Files, folders or globs of one kind, also on a distributed file system.
    master : str, optional
        As in :func:`session`.

    Returns
    -------
    pyspark.sql.DataFrame

    Raises
    ------
    ArgumentError
        When they are neither Parquet nor CSV, or both.
    InputError
        When Spark cannot read them.
    ForecastError
        As :func:`session`.
    """
    files = [paths] if isinstance(paths, str) else [str(path) for path in paths]
    text = [file.lower().endswith((".csv", ".csv.gz")) for file in files]
    known = [file.lower().endswith(".parquet") or not Path(file).suffix for file in files]
    if (any(text) and not all(text)) or not all(a or b for a, b in zip(text, known, strict=True)):
        raise ArgumentError(
            "the Spark engine reads Parquet, or CSV with commas", where=", ".join(files[:3]),
            advice="Use the duckdb engine for other files, order stores and databases.",
        )  # fmt: skip
    # The session may have been started in another folder.
    files = [str(Path(file).resolve()) if Path(file).exists() else file for file in files]
    return read_files(session(master), files, "csv" if all(text) else "parquet")
