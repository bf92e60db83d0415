"""Scores by Spark: the kernels of local scoring run block by block where the histories lie."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache, partial
from typing import Any

import pandas as pd
import pyarrow as pa

from forecast.errors import InputError
from forecast.periods import check_discount_rate, check_levels, check_margin, level_label
from forecast.predict.payload import from_payload, to_payload
from forecast.predict.population import BLOCK, ClvModel
from forecast.predict.scores import SCORE_COLUMNS, score_table
from forecast.predict.segments import SEGMENT_COLUMNS
from forecast.store.plaindata import decode, encode
from forecast.summary.spark import SparkHistories
from forecast.summary.spark_queries import fetched, quiet
from forecast.summary.spark_reading import quoted

HISTORY = (
    "customer_id", "first_purchase", "last_purchase", "frequency", "recency", "T",
    "monetary_value", "monetary_count", "first_value", "historical_value",
)  # fmt: skip
_WORDS = ("customer_id", "spend_basis", "tier", "rfm", "rfm_group")
_DAYS = ("as_of", "first_purchase", "last_purchase", "next_purchase_median")
_COUNTS = ("horizon_days", "frequency", "recency", "T")
_MONEY = (
    "monetary_value", "historical_value", "expected_purchase_value", "spend_basis", "expected_value",
    "total_value",
)  # fmt: skip


def spark_scores(
    histories: Any,
    model: ClvModel,
    *,
    as_of: dt.date,
    days: int,
    levels: Any = (80.0, 95.0),
    margin: float = 1.0,
    discount_rate: float = 0.0,
    by: Sequence[str] = (),
) -> Any:
    """The score table as a Spark frame, one row a customer, in no order.

    Parameters
    ----------
    histories : pyspark.sql.DataFrame
        The columns of :class:`forecast.Histories`, with the traits that the model needs.
    model : ClvModel
        Travels as plain data and is built once a worker.
    as_of : datetime.date
    days, levels, margin, discount_rate
        As in :func:`forecast.predict.score_table`.
    by : sequence of str
        Columns of the histories to keep.

    Returns
    -------
    pyspark.sql.DataFrame
        The columns and types of :func:`forecast.predict.score_table`, days as days; then ``by``.

    Raises
    ------
    InputError
        When the histories lack a column.
    ArgumentError
        When a level, the margin or the rate cannot be meant.

    Notes
    -----
    No score depends on which customers share a block. The workers need this package.
    """
    needed = list(dict.fromkeys((*HISTORY, *model.traits, *by)))
    missing = [name for name in needed if name not in histories.columns]
    if missing:
        raise InputError(
            f"column{'s' if len(missing) > 1 else ''} missing: {', '.join(missing)}", where="the histories",
            advice="Make them with forecast.spark.summarise, with by= for further columns.",
        )  # fmt: skip
    options = {
        "as_of": as_of.isoformat(),
        "days": int(days),
        "levels": list(check_levels(levels)),
        "margin": check_margin(margin),
        "discount_rate": check_discount_rate(discount_rate),
    }
    fields = score_fields(model, check_levels(levels))
    columns = [*fields.items(), *((name, "string") for name in by)]
    task = partial(
        _scored, payload=json.dumps(encode(to_payload(model))), options=options, columns=columns, by=tuple(by)
    )
    picked = histories.selectExpr(*map(quoted, needed))
    with quiet():
        return picked.mapInArrow(task, ", ".join(f"{quoted(name)} {kind}" for name, kind in columns))


def score_frames(
    histories: SparkHistories, model: ClvModel, rows: int, **options: Any
) -> Iterator[pd.DataFrame]:
    """Scores made on the cluster, by ``customer_id``, in frames of at most ``rows`` customers.

    Parameters
    ----------
    histories : SparkHistories
    model : ClvModel
    rows : int
    **options
        As :func:`spark_scores` takes them.
    """
    scores = fetched(spark_scores(histories.histories, model, **options)).sort_by("customer_id")
    for start in range(0, scores.num_rows, rows):
        frame = scores.slice(start, rows).to_pandas(date_as_object=False)
        yield frame.astype(dict.fromkeys(_DAYS, "datetime64[s]"))


def score_fields(model: ClvModel, levels: Sequence[float]) -> dict[str, str]:
    """Columns of the score table and Spark's names of their types.

    Examples
    --------
    >>> from forecast.fitting import Fitted, purchase_model
    >>> nbd = Fitted.from_parameters(purchase_model("nbd"), dict(r=1.0, alpha=10.0), "given")
    >>> list(score_fields(ClvModel(nbd), [80.0]))[8:12]
    ['p_alive', 'p_purchase', 'expected_purchases', 'purchases-lo-80']
    """
    money = model.spend is not None
    names = [name for name in SCORE_COLUMNS if money or name not in _MONEY]
    for what in ("purchases", "value") if money else ("purchases",):
        names += [f"{what}-{end}-{level_label(level)}" for level in levels for end in ("lo", "hi")]
    return {name: _kind(name) for name in [*names, *SEGMENT_COLUMNS]}


def _kind(name: str) -> str:
    if name in _WORDS:
        return "string"
    if name in _DAYS:
        return "date"
    if name in _COUNTS:
        return "bigint"
    return "int" if name.startswith("purchases-") else "double"


_ARROW = {
    "string": pa.string(), "date": pa.date32(), "bigint": pa.int64(), "int": pa.int32(),
    "double": pa.float64(),
}  # fmt: skip


@lru_cache(maxsize=4)
def _model(payload: str) -> ClvModel:
    """The model of a worker; tasks of one process find it built."""
    return from_payload(decode(json.loads(payload)))


def _scored(
    batches: Iterable[pa.RecordBatch],
    *,
    payload: str,
    options: dict[str, Any],
    columns: Sequence[tuple[str, str]],
    by: tuple[str, ...],
) -> Iterator[pa.RecordBatch]:
    """What a worker does with the histories of its partition."""
    model = _model(payload)
    schema = pa.schema([(name, _ARROW[kind]) for name, kind in columns])
    chosen = {**options, "as_of": dt.date.fromisoformat(options["as_of"])}
    for block in _blocks(batches):
        frame: pd.DataFrame = block.to_pandas(date_as_object=False)
        frame = frame.astype({"first_purchase": "datetime64[s]", "last_purchase": "datetime64[s]"})
        table = score_table(model, frame, **chosen).assign(**{name: frame[name] for name in by})
        yield from pa.Table.from_pandas(table, preserve_index=False).cast(schema).to_batches()


def _blocks(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Batches together: Spark's are small, and what customers share is computed once a block."""
    held: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        if not batch.num_rows:
            continue
        held.append(batch)
        rows += batch.num_rows
        if rows >= BLOCK:
            yield pa.Table.from_batches(held)
            held, rows = [], 0
    if held:
        yield pa.Table.from_batches(held)
