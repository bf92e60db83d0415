"""Delimited text, record by record: the careful way, for files that the fast reader refuses.

Blank lines, records with too few or too many cells, and other encodings than UTF-8 pass through here,
so that each record keeps its number and its fate.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from forecast.errors import InputError
from forecast.orders.files import open_binary, read_head

DELIMITERS = (",", ";", "\t", "|")
BATCH = 100_000
_BLANKS = (b"\n\n", b"\r\r", b"\n\r")
# A record over more lines than this is an unclosed quote, not an address with line breaks.
MOST_LINES = 1000
# What Excel writes and reads before the header.
_SEP_LINE = re.compile('\ufeff?"?sep=([,;\t|])"?\r?\n', re.IGNORECASE)


@dataclass(frozen=True)
class Layout:
    """How a delimited file is written; ``skip`` lines stand before the header."""

    header: tuple[str, ...]
    delimiter: str
    encoding: str
    skip: int = 0


def layout_of(path: Path) -> Layout:
    """Header, delimiter and encoding of a delimited file.

    Raises
    ------
    InputError
        When the file is no text, is empty, or no delimiter gives two columns.
    """
    head = read_head(path)
    encoding = _encoding_of(head)
    text = head.decode(encoding, errors="replace")
    told = _SEP_LINE.match(text)
    if told is not None:
        text = text[told.end() :]
    best: tuple[float, int, str, list[str]] | None = None
    for delimiter in _delimiters_for(path) if told is None else (told.group(1),):
        records = _sample(text, delimiter)
        if not records or len(records[0]) < 2:
            continue
        header = records[0]
        alike = sum(len(record) == len(header) for record in records) / len(records)
        score = (round(alike, 1), len(header), delimiter, header)
        if best is None or score[:2] > best[:2]:
            best = score
    if best is None:
        raise InputError(
            "no delimiter found (comma, semicolon, tab or pipe)",
            where=path.name,
            advice="The first line must be a header with at least two columns.",
        )
    return Layout(tuple(name.strip() for name in best[3]), best[2], encoding, int(told is not None))


def _delimiters_for(path: Path) -> tuple[str, ...]:
    name = path.name.lower().removesuffix(".gz")
    if name.endswith((".tsv", ".tab")):
        return ("\t", *(d for d in DELIMITERS if d != "\t"))
    return DELIMITERS


def _encoding_of(head: bytes) -> str:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if head.startswith(b"\xef\xbb\xbf"):
        return "utf-8-sig"
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        # A character cut by the end of the block is no sign of another encoding.
        if error.start < len(head) - 4:
            return "cp1252"
    return "utf-8"


def _sample(text: str, delimiter: str) -> list[list[str]]:
    records = []
    try:
        for record in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            if record:
                records.append(record)
            if len(records) == 200:
                break
    except csv.Error:
        pass
    return records


def has_blank_lines(path: Path) -> bool:
    """Whether two line ends follow each other outside quotes (also at the very start)."""
    return _follow_each_other(path) and _outside_quotes(path)


def _follow_each_other(path: Path) -> bool:
    """A quick look: in most files no two line ends follow each other anywhere."""
    tail = b"\n"
    with open_binary(path) as file:
        while block := file.read(1 << 20):  # fits the cache
            codes = np.frombuffer(tail + block, dtype=np.uint8)
            ends = codes == 10
            if (ends[1:] & ends[:-1]).any():
                return True
            returns = codes == 13
            if returns.any() and (
                (returns[1:] & returns[:-1]).any() or (ends[2:] & returns[1:-1] & ends[:-2]).any()
            ):
                return True
            tail = block[-2:]
    return False


def _outside_quotes(path: Path) -> bool:
    tail, inside = b"\n", False
    with open_binary(path) as file:
        while block := file.read(1 << 24):
            joined = tail + block.replace(b"\r\n", b"\n") if b"\r" in block else tail + block
            if any(blank in joined for blank in _BLANKS):
                # Every second piece between quotes is inside a cell, where an empty line is text.
                for piece in joined.split(b'"')[inside::2]:
                    if any(blank in piece for blank in _BLANKS):
                        return True
            inside ^= bool(block.count(b'"') % 2)
            tail = b"" if joined[-1:] == b'"' else joined[-1:]
    return False


def load_carefully(connection: Any, path: Path, layout: Layout, table: str, broken: str) -> list[str]:
    """Fill ``table`` (cells and ``row``) and ``broken`` (``row, code``) from a delimited file.

    Returns
    -------
    list of str
        Notes for the reconciliation.

    Raises
    ------
    InputError
        When a quote is never closed, or the file is in none of the encodings that are tried.
    """
    names = [f"c{i}" for i in range(len(layout.header))]
    encodings = [layout.encoding] + (["cp1252"] if layout.encoding.startswith("utf-8") else [])
    for encoding in encodings:
        cells = ", ".join(f"{name} VARCHAR" for name in names)
        connection.execute(f"CREATE OR REPLACE TABLE {table} ({cells}, row BIGINT)")
        connection.execute(f"CREATE OR REPLACE TABLE {broken} (row BIGINT, code VARCHAR)")
        try:
            for good, bad in _batches(path, layout, encoding):
                _insert(connection, table, names, good)
                _insert(connection, broken, ["row", "code"], bad)
        except UnicodeError:
            continue
        return [] if encoding.startswith("utf-8") else [f"{path.name} was read as {encoding}"]
    raise InputError(
        f"the text is not in {' or '.join(encodings)}",
        where=path.name,
        advice="Save it as UTF-8.",
    )


def _insert(connection: Any, table: str, names: list[str], rows: list[tuple[Any, ...]]) -> None:
    if not rows:
        return
    columns = list(zip(*rows, strict=True))
    batch = pa.table(
        {f"f{i}": pa.array(column) for i, column in enumerate(columns)}
        if table.endswith("broken")
        else {
            f"f{i}": pa.array(column, type=pa.int64() if i == len(names) else pa.string())
            for i, column in enumerate(columns)
        }
    )
    connection.register("incoming", batch)
    connection.execute(f"INSERT INTO {table} SELECT * FROM incoming")
    connection.unregister("incoming")


class _Lines:
    """The lines of a file, the last one remembered."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.last = ""

    def __iter__(self) -> Iterator[str]:
        for line in self.file:
            self.last = line
            yield line


def _batches(path: Path, layout: Layout, encoding: str) -> Iterator[tuple[list[Any], list[Any]]]:
    width = len(layout.header)
    good: list[tuple[Any, ...]] = []
    bad: list[tuple[Any, ...]] = []
    before, number, header_seen = 0, 0, False
    with io.TextIOWrapper(open_binary(path), encoding=encoding, newline="") as file:
        lines = _Lines(file)
        reader = csv.reader(lines, delimiter=layout.delimiter)
        try:
            for record in reader:
                number += 1
                span, before = reader.line_num - before, reader.line_num
                if span > MOST_LINES:
                    raise _unclosed(path, number)
                if number <= layout.skip:
                    continue
                if not any(cell.strip() for cell in record):
                    bad.append((number, "blank_row"))
                elif not header_seen:
                    header_seen = True
                elif len(record) != width:
                    bad.append((number, "malformed_row"))
                else:
                    good.append((*(cell or None for cell in record), number))
                if len(good) + len(bad) >= BATCH:
                    yield good, bad
                    good, bad = [], []
        except csv.Error:
            raise _unclosed(path, number + 1) from None
        if number and span > 1 and not lines.last.rstrip().endswith('"') and lines.last.count('"') % 2 == 0:
            raise _unclosed(path, number)
    yield good, bad


def _unclosed(path: Path, number: int) -> InputError:
    return InputError(
        "a quote is opened and never closed",
        where=f"{path.name}, record {number:,}",
        advice="Mend that record, or export the file again with quotes doubled.",
    )
