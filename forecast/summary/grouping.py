"""Histories of many millions of orders: rows shared out by ranges of ids, then grouped range by range.

A range fits the processor's cache; what exceeds the memory allowed waits in temporary files. The result does
not depend on how rows are shared out, nor on the number of threads, and comes in the order of ids.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import math
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from forecast.summary.spilling import MONEY_KINDS, Block, Blocks, Spill
from forecast.summary.table import BOUGHT, ORDERED, PAID, compact_columns

# Below this many rows the database is as fast.
FEWEST_ROWS = 500_000
# Rows of a range, and of a block of orders on their way to them.
RANGE_ROWS = 65_536
BLOCK_ROWS = 1 << 20
MOST_RANGES = 2_048
# One customer in so many tells where ranges begin.
SAMPLED = 1_024
# Histories written at once: two of the database's own row groups.
WRITTEN = 245_760
# Numbers that an id may take, behind what all ids begin with.
MOST_WORDS = 6
# Ranges grouped ahead of those written.
AHEAD = 8
LARGEST_VALUE = 9e12
_UNITS = {"bytes": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40, "pib": 2**50}


def grouped_histories(
    connection: Any, table: str, as_of: dt.date, name: str, spread: Sequence[Any] | None = None
) -> bool:
    """Make the table ``name`` of purchase histories, in the order of ``customer_id``.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
    table : str
        ``customer_id`` (text), ``order_day``, ``value``.
    as_of : datetime.date
        Last day that counts.
    name : str
        Of the temporary table; its columns are those of :func:`compact_columns`.
    spread : sequence, optional
        Rows, rows with a value, smallest and largest id, length of the longest, largest value, some ids,
        and the name of a view of the same rows where ids are whole numbers, as all ids here then are.
        Found out when left out.

    Returns
    -------
    bool
        False, and no table, where the database has to do it: few rows, long ids, values that are huge or
        partly missing.

    Raises
    ------
    StoreError
        When temporary files are needed and cannot be written.
    """
    source = f"FROM {table} WHERE order_day <= DATE '{as_of}'"
    if spread is not None:
        *spread, numbers = spread
        source = f"FROM {numbers or table} WHERE order_day <= DATE '{as_of}'"
    else:
        spread = connection.execute(
            "SELECT count(*), count(value), min(customer_id), max(customer_id), max(strlen(customer_id)), "
            f"max(abs(value)), list(customer_id) FILTER (hash(customer_id) % {SAMPLED} = 0) {source}"
        ).fetchall()[0]
    rows, valued, low, high, longest, largest, sample = spread
    if rows < FEWEST_ROWS or valued not in (0, rows) or (valued and not largest < LARGEST_VALUE):
        return False
    ids = _Ids(low, high, longest)
    if ids.width > MOST_WORDS:
        return False
    threads = int(_setting(connection, "threads"))
    splitters = ids.splitters(sample or [], rows)
    near = ids.near(splitters)
    with (
        ThreadPoolExecutor(threads) as pool,
        contextlib.closing(Spill(_scratch(connection))) as spill,
        _sharing_memory(connection) as allowed,
    ):
        blocks = Blocks(spill, allowed)
        reader = connection.sql(
            f"SELECT customer_id, order_day, CAST(value AS DOUBLE) AS value {source}"
        ).to_arrow_reader(BLOCK_ROWS)
        running: list[Future[Block | None]] = []
        for batch in reader:
            running.append(pool.submit(_shared_out, batch, ids, splitters, near, bool(valued)))
            if len(running) > threads and not blocks.add(running.pop(0).result()):
                return False
        for future in running:
            if not blocks.add(future.result()):
                return False
        return _write(connection, pool, blocks, len(splitters) + 1, ids, as_of, name)


def _setting(connection: Any, name: str) -> str:
    return str(connection.execute(f"SELECT current_setting('{name}')").fetchall()[0][0])


def _allowed(connection: Any) -> float:
    """Bytes for blocks in memory: a third of what the database may take."""
    return _memory_limit(connection) / 3


def _memory_limit(connection: Any) -> float:
    """In bytes; the database tells but one digit behind the point and cuts off the rest."""
    found = re.fullmatch(r"([0-9.]+) (\w+)", _setting(connection, "memory_limit"))
    return math.inf if found is None else (float(found[1]) + 0.05) * _UNITS[found[2].lower()]


@contextlib.contextmanager
def _sharing_memory(connection: Any) -> Iterator[float]:
    """Bytes for blocks, which the database does without meanwhile."""
    allowed, whole = _allowed(connection), _memory_limit(connection)
    shared = False
    # It keeps what it has where there is no third to spare, no limit, or its settings are locked.
    with contextlib.suppress(duckdb.Error):
        connection.execute(f"SET memory_limit = '{whole - allowed:.0f}B'")
        shared = True
    try:
        yield allowed
    finally:
        if shared:
            connection.execute(f"SET memory_limit = '{whole:.0f}B'")


def _scratch(connection: Any) -> Path:
    """The folder of the database's own temporary files, or the nearest above it that is there."""
    own = Path(_setting(connection, "temp_directory") or tempfile.gettempdir()).absolute()
    return next(folder for folder in (own, *own.parents) if folder.is_dir())


class _Ids:
    """How ids become words, numbers that compare as the texts do, and texts again.

    Parameters
    ----------
    low, high : str or int
        Smallest and largest id; whole numbers where all ids are.
    longest : int
        Length of the longest text.
    """

    def __init__(self, low: str | int, high: str | int, longest: int) -> None:
        self.numbers = isinstance(low, int)
        ends = str(low).encode(), str(high).encode()
        self.prefix = b"" if self.numbers else _shared_beginning(*ends)
        # A sign of a number takes half a byte.
        size = -(-max(map(len, ends)) // 2) if self.numbers else longest - len(self.prefix)
        self.kind = np.dtype(np.uint32 if size <= 4 else np.uint64)
        self.width = max(1, -(-size // self.kind.itemsize))

    def pack(self, ids: Any) -> np.ndarray | None:
        """Words of an Arrow array, shape (n, width); None where a text holds a zero byte."""
        from forecast.summary.packing import pack_ids, pack_numbers

        words = np.empty((len(ids), self.width), self.kind)
        if self.numbers:
            pack_numbers(ids.to_numpy(), words)
            return words
        _, offsets, data = ids.buffers()
        kind = np.int64 if pa.types.is_large_string(ids.type) else np.int32
        begins = np.frombuffer(offsets, kind)[ids.offset : ids.offset + len(ids) + 1]
        letters = np.zeros(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)
        return words if pack_ids(begins, letters, len(self.prefix), words) else None

    def unpack(self, words: np.ndarray) -> pa.Array:
        """The texts."""
        from forecast.summary.packing import unpack_ids, unpack_numbers

        prefix = np.frombuffer(self.prefix, np.uint8)
        offsets, letters = unpack_numbers(words) if self.numbers else unpack_ids(words, prefix)
        return pa.LargeStringArray.from_buffers(len(words), pa.py_buffer(offsets), pa.py_buffer(letters))

    def splitters(self, sample: Sequence[Any], rows: int) -> np.ndarray:
        """Words that part all ids into ranges of about as many rows."""
        words = self.pack(pa.array(sample, pa.int64() if self.numbers else pa.string()))
        if words is None:
            return np.empty((0, self.width), self.kind)
        words = words[_ascending(words)]
        ranges = min(MOST_RANGES, -(-rows // RANGE_ROWS), len(words))
        chosen = words[np.arange(1, ranges) * len(words) // ranges]
        return np.unique(chosen, axis=0)

    def near(self, splitters: np.ndarray) -> np.ndarray:
        """How many splitters begin with fewer than each two bytes, shape (65537,)."""
        first = splitters[:, 0].astype(np.uint64) >> np.uint64(8 * self.kind.itemsize - 16)
        return np.searchsorted(first, np.arange(65_537, dtype=np.uint64)).astype(np.int16)


def _shared_beginning(low: bytes, high: bytes) -> bytes:
    """What the smallest and the largest id, and so all ids between them, begin with."""
    size = 0
    while size < min(len(low), len(high)) and low[size] == high[size]:
        size += 1
    return low[:size]


def _ascending(words: np.ndarray) -> np.ndarray:
    return np.argsort(words[:, 0]) if words.shape[1] == 1 else np.lexsort(words.T[::-1])


def _shared_out(batch: Any, ids: _Ids, splitters: np.ndarray, near: np.ndarray, valued: bool) -> Block | None:
    from forecast.summary.kernels import find_parts, share_out

    words = ids.pack(batch.column(0))
    if words is None:
        return None
    days = batch.column(1)
    day = np.frombuffer(days.buffers()[1], np.int32)[days.offset : days.offset + len(days)]
    value = batch.column(2).to_numpy() if valued else np.zeros(0)
    part, begins = find_parts(words, splitters, near)
    near_1970 = day.min() >= 0 and day.max() < 1 << 16
    own_words, own_day = np.empty_like(words), np.empty(len(day), np.uint16 if near_1970 else np.int32)
    for kind, unit in MONEY_KINDS:
        own_value = np.empty(len(value), kind)
        if share_out(part, begins, words, day, value, own_words, own_day, own_value, float(unit)):
            break
    return Block([own_words, own_day, own_value][: 2 + valued], unit, begins)


def _histories(
    words: np.ndarray, day: np.ndarray, value: np.ndarray, unit: int, ids: _Ids
) -> pa.Table | None:
    """The histories of a range; None where a sum of money would not be exact."""
    from forecast.summary.kernels import MILLIONTHS, count_histories, number_ids

    codes, distinct = number_ids(words)
    order = _ascending(distinct)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    days, money, exact = count_histories(codes, rank, day, value, unit)
    if not exact:
        return None
    first, last, purchases, orders, paid = days.T
    first_v, total, paid_total = money.T
    repeats = paid - (first_v > 0)
    mean = np.full(len(order), np.nan)
    np.divide((paid_total - np.maximum(first_v, 0)) / MILLIONTHS, repeats, out=mean, where=repeats > 0)
    gone = np.full(len(order), np.nan)
    columns = {
        "customer_id": ids.unpack(distinct[order]),
        "first_purchase": _dates(first),
        "last_purchase": _dates(last),
        BOUGHT: purchases,
        ORDERED: orders,
        PAID: repeats,
        "monetary_value": mean,
        "first_value": first_v / MILLIONTHS if len(value) else gone,
        "historical_value": total / MILLIONTHS if len(value) else gone,
    }
    return pa.table(columns)


def _dates(days: np.ndarray) -> Any:
    return pa.array(days).cast(pa.date32())


def _write(
    connection: Any,
    pool: ThreadPoolExecutor,
    blocks: Blocks,
    ranges: int,
    ids: _Ids,
    as_of: dt.date,
    name: str,
) -> bool:
    """Append the histories of one range after another; False, and no table, where one cannot be had."""
    view = f"{name}_part"
    connection.execute(f"CREATE TEMP TABLE {name} ({compact_columns(as_of)})")
    waiting: list[pa.Table] = []
    for number, found in enumerate(_in_turn(pool, ranges, lambda k: _histories(*blocks.rows_of(k), ids)), 1):
        if found is None:
            connection.execute(f"DROP TABLE {name}")
            return False
        waiting.append(found)
        for block in blocks.blocks:
            block.let_go(number)
        if sum(map(len, waiting)) >= WRITTEN or number == ranges:
            connection.register(view, pa.concat_tables(waiting))
            connection.execute(f"INSERT INTO {name} BY NAME SELECT * FROM {view}")
            connection.unregister(view)
            waiting = []
    return True


def _in_turn(pool: ThreadPoolExecutor, ranges: int, work: Callable[[int], Any]) -> Iterator[Any]:
    """Results in the order of their numbers, a few ahead."""
    running: list[Future[Any]] = []
    for number in range(ranges):
        running.append(pool.submit(work, number))
        if len(running) > AHEAD:
            yield running.pop(0).result()
    for future in running:
        yield future.result()
