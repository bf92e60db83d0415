"""Histories of many millions of orders: rows shared out by ranges of ids, then grouped range by range.

A range fits the processor's cache; what exceeds the memory allowed waits in temporary files. The result does
not depend on how rows are shared out, nor on the number of threads, and comes in the order of ids.
"""

from __future__ import annotations

import datetime as dt
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

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
# Of eight bytes, behind what all ids begin with.
MOST_WORDS = 6
# Ranges grouped ahead of those written, and ranges that are let go together.
AHEAD = 8
PIECE = 16
LARGEST_VALUE = 9e12
_EPOCH = dt.date(1970, 1, 1)
_UNITS = {"bytes": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}


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
        Of the temporary table; its columns are those of a history without ``by``.
    spread : sequence, optional
        Rows, rows with a value, smallest and largest id, length of the longest, largest value, some ids,
        and the name of a view of the same rows where ids are whole numbers, as all ids here then are.
        Found out when left out.

    Returns
    -------
    bool
        False, and no table, where the database has to do it: few rows, long ids, values that are huge or
        partly missing.
    """
    source = f"FROM {table} WHERE order_day <= DATE '{as_of}'"
    numbers = None
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
    if numbers is None:
        prefix = _shared_beginning(low.encode(), high.encode())
    else:
        prefix, longest = b"", max(len(str(low)), len(str(high)))
    width = max(1, -(-(longest - len(prefix)) // 8))
    if width > MOST_WORDS:
        return False
    threads = int(_setting(connection, "threads"))
    some = pa.array(sample or [], pa.string() if numbers is None else pa.int64())
    splitters = _splitters(some, prefix, width, rows)
    near = np.searchsorted(splitters[:, 0] >> np.uint64(48), np.arange(65_537, dtype=np.uint64))
    with (
        ThreadPoolExecutor(threads) as pool,
        tempfile.TemporaryDirectory(prefix="forecast-", dir=_scratch(connection)) as folder,
    ):
        blocks = _Blocks(Path(folder), _allowed(connection))
        reader = connection.sql(
            f"SELECT customer_id, order_day, CAST(value AS DOUBLE) AS value {source}"
        ).to_arrow_reader(BLOCK_ROWS)
        running: list[Future[_Block | None]] = []
        for batch in reader:
            running.append(pool.submit(_shared_out, batch, prefix, splitters, near, bool(valued)))
            if len(running) > threads and not blocks.add(running.pop(0).result()):
                return False
        for future in running:
            if not blocks.add(future.result()):
                return False
        return _write(connection, pool, blocks, len(splitters) + 1, prefix, as_of, name)


def _shared_beginning(low: bytes, high: bytes) -> bytes:
    """What the smallest and the largest id, and so all ids between them, begin with."""
    size = 0
    while size < min(len(low), len(high)) and low[size] == high[size]:
        size += 1
    return low[:size]


def _setting(connection: Any, name: str) -> str:
    return str(connection.execute(f"SELECT current_setting('{name}')").fetchall()[0][0])


def _allowed(connection: Any) -> float:
    """Bytes for blocks in memory: a quarter of what the database may take."""
    found = re.fullmatch(r"([0-9.]+) (\w+)", _setting(connection, "memory_limit"))
    return float("inf") if found is None else float(found[1]) * _UNITS[found[2].lower()] / 4


def _scratch(connection: Any) -> str | None:
    """The folder above the database's own temporary files."""
    above = Path(_setting(connection, "temp_directory")).absolute().parent
    return str(above) if above.is_dir() else None


def _splitters(ids: pa.Array, prefix: bytes, width: int, rows: int) -> np.ndarray:
    """Ids that part all ids into ranges of about as many rows."""
    words = _packed(ids, prefix, width)
    if words is None:
        return np.empty((0, width), np.uint64)
    words = words[np.lexsort(words.T[::-1])]
    ranges = min(MOST_RANGES, -(-rows // RANGE_ROWS), len(words))
    chosen = words[np.arange(1, ranges) * len(words) // ranges]
    return np.unique(chosen, axis=0)


def _packed(ids: Any, prefix: bytes, width: int) -> np.ndarray | None:
    """Ids as words; None where one holds a zero byte."""
    from forecast.summary.kernels import pack_ids, pack_numbers

    words = np.empty((len(ids), width), np.uint64)
    if pa.types.is_integer(ids.type):
        pack_numbers(ids.to_numpy(), words)
        return words
    _, offsets, data = ids.buffers()
    kind = np.int64 if pa.types.is_large_string(ids.type) else np.int32
    begins = np.frombuffer(offsets, kind)[ids.offset : ids.offset + len(ids) + 1]
    letters = np.zeros(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)
    return words if pack_ids(begins, letters, len(prefix), words) else None


class _Block:
    """Rows of a block of orders, range after range: words, days and, where there is money, millionths."""

    def __init__(self, arrays: list[np.ndarray], begins: np.ndarray) -> None:
        self.begins = begins
        self.path: Path | None = None
        self.size = sum(array.nbytes for array in arrays)
        self._kinds = [(array.dtype, array.shape[1:]) for array in arrays]
        # In pieces, so that what has been grouped need not be held until the last range.
        self._starts = begins[:-1:PIECE].tolist()
        ends = [*self._starts[1:], int(begins[-1])]
        self._pieces: list[list[np.ndarray]] = [
            [array[start:end].copy() for array in arrays]
            for start, end in zip(self._starts, ends, strict=True)
        ]

    def put_away(self, path: Path) -> None:
        """Write the rows to a file and give back their memory."""
        with path.open("wb") as file:
            for piece in self._pieces:
                for array in piece:
                    file.write(array.tobytes())
        self.path, self._pieces = path, []

    def rows_of(self, number: int) -> list[np.ndarray]:
        """The rows of a range."""
        piece = number // PIECE
        start = self._starts[piece]
        begin, end = int(self.begins[number]) - start, int(self.begins[number + 1]) - start
        if self.path is None:
            return [array[begin:end] for array in self._pieces[piece]]
        later = self._starts[piece + 1] if piece + 1 < len(self._starts) else int(self.begins[-1])
        rows, found = later - start, []
        at = start * sum(_wide(*kind) for kind in self._kinds)
        with self.path.open("rb") as file:
            for kind in self._kinds:
                file.seek(at + begin * _wide(*kind))
                read = np.frombuffer(file.read((end - begin) * _wide(*kind)), kind[0])
                found.append(read.reshape(-1, *kind[1]))
                at += rows * _wide(*kind)
        return found

    def let_go(self, number: int) -> None:
        """No range below this one is asked for again."""
        for piece in range(number // PIECE if self._pieces else 0):
            self._pieces[piece] = []


def _wide(dtype: Any, shape: tuple[int, ...]) -> int:
    return int(dtype.itemsize * np.prod(shape, dtype=np.int64))


def _shared_out(
    batch: Any, prefix: bytes, splitters: np.ndarray, near: np.ndarray, valued: bool
) -> _Block | None:
    from forecast.summary.kernels import share_out

    words = _packed(batch.column(0), prefix, splitters.shape[1])
    if words is None:
        return None
    days = batch.column(1)
    day = np.frombuffer(days.buffers()[1], np.int32)[days.offset : days.offset + len(days)]
    value = batch.column(2).to_numpy() if valued else np.zeros(0)
    words, day, value, begins = share_out(words, day, value, splitters, near)
    return _Block([words, day, value] if valued else [words, day], begins)


class _Blocks:
    """Blocks in memory, and in files of a folder where they would take more than allowed."""

    def __init__(self, folder: Path, allowed: float) -> None:
        self.folder, self.allowed = folder, allowed
        self.blocks: list[_Block] = []
        self.held = 0

    def add(self, block: _Block | None) -> bool:
        """Take a block; False where there is none to take."""
        if block is None:
            return False
        if self.held + block.size > self.allowed:
            block.put_away(self.folder / str(len(self.blocks)))
        self.held += block.size
        self.blocks.append(block)
        return True

    def rows_of(self, number: int) -> list[np.ndarray]:
        """All rows of a range."""
        parts = [block.rows_of(number) for block in self.blocks]
        return [np.concatenate(own) for own in zip(*parts, strict=True)]


def _histories(blocks: _Blocks, number: int, prefix: bytes, as_of: dt.date) -> pa.Table | None:
    """The histories of a range; None where a sum of money would not be exact."""
    from forecast.summary.kernels import MILLIONTHS, count_histories, number_ids, unpack_ids

    words, day, *rest = blocks.rows_of(number)
    value = rest[0] if rest else np.zeros(0, np.int64)
    codes, distinct = number_ids(words)
    order = np.lexsort(distinct.T[::-1])
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    days, money, exact = count_histories(codes, rank, day, value)
    if not exact:
        return None
    offsets, letters = unpack_ids(distinct[order], np.frombuffer(prefix, np.uint8))
    ids = pa.LargeStringArray.from_buffers(len(order), pa.py_buffer(offsets), pa.py_buffer(letters))
    first, last, purchases, orders, paid = (days[:, at].astype(np.int64) for at in range(5))
    first_v, total, paid_total = money.T
    repeats = paid - (first_v > 0)
    mean = np.full(len(order), np.nan)
    np.divide((paid_total - np.maximum(first_v, 0)) / MILLIONTHS, repeats, out=mean, where=repeats > 0)
    gone = np.full(len(order), np.nan)
    columns = {
        "customer_id": ids,
        "first_purchase": _dates(first),
        "last_purchase": _dates(last),
        "frequency": purchases - 1,
        "recency": last - first,
        "T": (as_of - _EPOCH).days - first,
        "monetary_value": mean,
        "monetary_count": repeats,
        "first_value": first_v / MILLIONTHS if rest else gone,
        "historical_value": total / MILLIONTHS if rest else gone,
        "orders": orders,
        "purchases": purchases,
    }
    return pa.table(columns)


def _dates(days: np.ndarray) -> Any:
    return pa.array(days.astype(np.int32)).cast(pa.date32())


def _write(
    connection: Any,
    pool: ThreadPoolExecutor,
    blocks: _Blocks,
    ranges: int,
    prefix: bytes,
    as_of: dt.date,
    name: str,
) -> bool:
    """Append the histories of one range after another; False, and no table, where one cannot be had."""
    view, head = f"{name}_part", f"CREATE TEMP TABLE {name} AS"
    waiting: list[pa.Table] = []
    for number, found in enumerate(_in_turn(pool, ranges, lambda k: _histories(blocks, k, prefix, as_of)), 1):
        if found is None:
            connection.execute(f"DROP TABLE IF EXISTS {name}")
            return False
        waiting.append(found)
        for block in blocks.blocks:
            block.let_go(number)
        if sum(map(len, waiting)) >= WRITTEN or number == ranges:
            connection.register(view, pa.concat_tables(waiting))
            connection.execute(f"{head} SELECT * FROM {view}")
            connection.unregister(view)
            head, waiting = f"INSERT INTO {name}", []
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
