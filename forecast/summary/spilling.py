"""Orders on their way to ranges of ids: blocks in memory, and in a file where they would take too much."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from forecast.errors import StoreError

# Ranges that are let go together.
PIECE = 16
# Money is kept in hundredths where they say it all, else in millionths.
MONEY_KINDS = ((np.dtype(np.int32), 10_000), (np.dtype(np.int64), 1))


class Spill:
    """Arrays in a file without a name, made when the first one comes."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._lock, self._end = folder, Lock(), 0
        self._file: Any = None

    def write(self, array: np.ndarray) -> int:
        """Append; where it begins."""
        with self._lock:
            begin, rest = self._end, memoryview(array.tobytes())
            try:
                if self._file is None:
                    # It has to outlive this block; close() ends it.
                    self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115
                self._file.seek(begin)
                while rest:
                    rest = rest[self._file.write(rest) :]
            except OSError as error:
                raise StoreError(
                    f"temporary files cannot be written: {error.strerror or type(error).__name__}",
                    where=str(self._folder),
                    advice="Make room there, raise memory_limit, or set temp_directory (in a shell TMPDIR).",
                ) from error
            self._end += array.nbytes
        return begin

    def close(self) -> None:
        """Give the file back."""
        if self._file is not None:
            self._file.close()

    def read(self, begin: int, size: int) -> bytes:
        """So many bytes from there."""
        with self._lock:
            self._file.seek(begin)
            found: bytes = self._file.read(size)
        return found


class Block:
    """Rows of a block of orders, range after range: words, days since 1970, and money in units if any."""

    def __init__(self, arrays: list[np.ndarray], unit: int, begins: np.ndarray) -> None:
        self.unit = unit
        self.size = sum(array.nbytes for array in arrays)
        self._begins = begins
        # In pieces, so that what has been grouped need not be held until the last range.
        self._starts = begins[:-1:PIECE].tolist()
        ends = [*self._starts[1:], int(begins[-1])]
        self._pieces: list[list[np.ndarray]] = [
            [array[start:end].copy() for array in arrays]
            for start, end in zip(self._starts, ends, strict=True)
        ]
        self._kinds = [(array.dtype, array.shape[1:]) for array in arrays]
        self._spill: Spill | None = None
        self._places: list[list[int]] = []

    def put_away(self, spill: Spill) -> None:
        """Write the rows to a file and give back their memory."""
        self._spill = spill
        self._places = [[spill.write(array) for array in piece] for piece in self._pieces]
        self._pieces = []

    def rows_of(self, number: int) -> list[np.ndarray]:
        """The rows of a range."""
        piece = number // PIECE
        start = self._starts[piece]
        begin, end = int(self._begins[number]) - start, int(self._begins[number + 1]) - start
        if self._spill is None:
            return [array[begin:end] for array in self._pieces[piece]]
        found = []
        for (kind, shape), place in zip(self._kinds, self._places[piece], strict=True):
            wide = kind.itemsize * math.prod(shape)
            read = self._spill.read(place + begin * wide, (end - begin) * wide)
            found.append(np.frombuffer(read, kind).reshape(-1, *shape))
        return found

    def let_go(self, number: int) -> None:
        """No range below this one is asked for again."""
        for piece in range(number // PIECE if self._pieces else 0):
            self._pieces[piece] = []


class Blocks:
    """Blocks in memory, and in a file where they would take more than allowed."""

    def __init__(self, spill: Spill, allowed: float) -> None:
        self._spill, self._left = spill, allowed
        self.blocks: list[Block] = []

    def add(self, block: Block | None) -> bool:
        """Take a block; False where there is none to take."""
        if block is None:
            return False
        if block.size > self._left:
            block.put_away(self._spill)
        else:
            self._left -= block.size
        self.blocks.append(block)
        return True

    def rows_of(self, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        """Words, days and money of all rows of a range, and the millionths that money is counted in."""
        words, day, *money = zip(*(block.rows_of(number) for block in self.blocks), strict=True)
        value = money[0] if money else [np.zeros(0, MONEY_KINDS[0][0])]
        units = {block.unit for block in self.blocks}
        if len(units) > 1:
            value = [own.astype(np.int64) * block.unit for own, block in zip(value, self.blocks, strict=True)]
        unit = units.pop() if len(units) == 1 else 1
        return np.concatenate(words), np.concatenate(day), np.concatenate(value), unit
