"""What a page is made of: sections that hold text, tables, pictures and definitions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from forecast.reports.canvas import picture
from forecast.reports.wording import day, plain


@dataclass(frozen=True)
class Table:
    """A table as text: the first cell of a row names the row."""

    caption: str
    columns: Sequence[tuple[str, bool]]
    rows: Sequence[Sequence[str]]
    note: str = ""
    strong: frozenset[int] = frozenset()
    kind: str = "table"

    @property
    def classes(self) -> list[str]:
        """How each column is set: ``n`` a number, ``long`` a sentence, ``short`` a word."""
        widest = [max((len(row[i]) for row in self.rows), default=0) for i in range(len(self.columns))]
        return [
            "n" if number else "long" if width > 34 else "short"
            for width, (_, number) in zip(widest, self.columns, strict=True)
        ]


@dataclass(frozen=True)
class Picture:
    """A drawn figure: its data URI, what it shows, and what can be read in it."""

    source: str
    alt: str
    caption: str
    kind: str = "picture"


@dataclass(frozen=True)
class Terms:
    """Words and what they mean."""

    title: str
    terms: Mapping[str, str]
    kind: str = "terms"


@dataclass(frozen=True)
class Lines:
    """Paragraphs, or a list; ``caution`` stands in a box."""

    lines: Sequence[str]
    bullets: bool = False
    kind: str = "lines"


@dataclass(frozen=True)
class Gallery:
    """Pictures and small tables side by side where there is room."""

    blocks: Sequence[Any]
    kind: str = "gallery"


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    anchor: str
    title: str
    blocks: Sequence[Any] = field(default_factory=tuple)


@dataclass(frozen=True)
class Key:
    """One of the few numbers at the top of a page."""

    label: str
    number: str
    remark: str = ""


def table(
    frame: pd.DataFrame,
    caption: str,
    columns: Mapping[str, tuple[str, Callable[[Any], str]]],
    *,
    note: str = "",
    strong: frozenset[int] = frozenset(),
) -> Table:
    """A frame as a table: for each column its heading and how its cells are written.

    Columns written by anything but ``plain`` and ``day`` are numbers, and stand to the right.

    Examples
    --------
    >>> from forecast.reports.wording import count
    >>> shown = table(pd.DataFrame({"a": ["x"], "n": [1200]}), "T", {"a": ("A", plain), "n": ("N", count)})
    >>> shown.rows, shown.columns
    ([['x', '1,200']], [('A', False), ('N', True)])
    """
    kept = {name: shown for name, shown in columns.items() if name in frame}
    cells = [[write(value) for value in frame[name]] for name, (_, write) in kept.items()]
    heads = [(heading, write not in (plain, day)) for heading, write in kept.values()]
    return Table(caption, heads, [list(row) for row in zip(*cells, strict=True)], note, strong)


def drawn(ax: Axes, caption: str) -> Picture:
    """Axes as a picture; the alternative text is their title and what the axes measure."""
    title = ax.get_title(loc="left")
    labels = [label for label in (ax.get_xlabel(), ax.get_ylabel()) if label]
    described = f"Chart: {title}." + (f" Axes: {'; '.join(labels)}." if labels else "")
    return Picture(picture(ax), described.replace(r"\$", "$").replace("\n", " "), caption)
