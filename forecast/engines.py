"""The other engine behind the commands: Spark in place of DuckDB."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from forecast.errors import ArgumentError, InputError
from forecast.model import load
from forecast.spark import read, summarise
from forecast.store.artifacts import parse_reference
from forecast.summary import SparkHistories


def read_with_spark(
    paths: Sequence[str],
    *,
    master: str | None = None,
    model: str | None = None,
    models: Any = "models",
    columns: Sequence[str] = (),
    mapping: Mapping[str, str | None] | None = None,
    max_rejected: float | None = None,
    **options: Any,
) -> SparkHistories:
    """Histories of Parquet or CSV files, made by Spark.

    Parameters
    ----------
    paths : sequence of str
    master : str, optional
        Spark's address of a cluster.
    model : str, optional
        A saved model in ``models`` whose traits are needed.
    columns : sequence of str
        Further columns to keep.
    mapping, **options
        As :func:`forecast.spark.summarise`.
    max_rejected : float, optional
        Highest share of rejected rows.

    Raises
    ------
    InputError
        When more rows are rejected than allowed, or as :func:`forecast.spark.summarise`.
    ArgumentError
        When an option cannot be meant.
    ForecastError
        When PySpark or Java is missing.
    """
    if max_rejected is not None and not 0 <= max_rejected <= 1:
        raise ArgumentError(f"max_rejected is {max_rejected:g}", advice="Give a share: 0.05 for 5 %.")
    if model is not None:
        parse_reference(model)
        columns = load(Path(models) / model).columns(columns)
    by = list(dict.fromkeys(columns))
    found = summarise(read(paths, master=master), mapping=mapping, by=by, **options)
    found.paths = tuple(Path(path) for path in paths if Path(path).exists())
    if max_rejected is not None and found.lost_share > max_rejected:
        raise InputError(
            f"{found.lost_share:.2%} of the rows were rejected, more than the {max_rejected:.2%} allowed",
            advice="See forecast check --rejects for each of them.",
        )
    return found
