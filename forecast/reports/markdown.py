"""A page as Markdown: the same words, tables and definitions; pictures by what they show."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from forecast.reports.blocks import Gallery, Key, Lines, Picture, Section, Table, Terms
from forecast.reports.html import facts_in_words


def markdown_page(
    title: str,
    *,
    deck: str,
    sections: Sequence[Section],
    facts: Mapping[str, Any],
    keys: Sequence[Key] = (),
    lead: Sequence[Any] = (),
) -> str:
    """The Markdown twin of :func:`forecast.reports.html.html_page`.

    Parameters
    ----------
    title, deck, sections, facts, keys, lead
        As there.

    Returns
    -------
    str
        Whatever came from data is escaped.

    Examples
    --------
    >>> print(markdown_page("A|B", deck="", sections=[], facts={}, lead=[Lines(["2 * 3"])]))
    # A\\|B
    <BLANKLINE>
    2 \\* 3
    <BLANKLINE>
    """
    parts = [f"# {_text(title)}", _text(deck)]
    parts += ["\n".join(f"- **{_text(k.label)}** {_text(k.number)} ({_text(k.remark)})" for k in keys)]
    parts += [_block(block) for block in lead]
    for section in sections:
        parts += [f"## {_text(section.title)}", *(_block(block) for block in section.blocks)]
    told = facts_in_words(facts)
    if told:
        parts += ["## What the numbers rest on", _terms(told)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _block(block: Any) -> str:
    if isinstance(block, Gallery):
        return "\n\n".join(_block(part) for part in block.blocks)
    if isinstance(block, Lines):
        mark, gap = ("- ", "\n") if block.bullets else ("", "\n\n")
        return gap.join(mark + _text(line) for line in block.lines)
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Picture):
        return f"*{_text(block.alt)} {_text(block.caption)}*"
    if isinstance(block, Terms):
        return _terms(block.terms)
    raise TypeError(f"a page has no block of type {type(block).__name__}")


def _table(block: Table) -> str:
    heads = [_text(heading) for heading, _ in block.columns]
    rule = ["---:" if number else ":---" for _, number in block.columns]
    rows = [heads, rule, *([_text(cell) for cell in row] for row in block.rows)]
    text = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    note = f"\n\n{_text(block.note)}" if block.note else ""
    return f"**{_text(block.caption)}**\n\n{text}{note}"


def _terms(terms: Mapping[str, str]) -> str:
    return "\n".join(f"- **{_text(word)}**: {_text(meaning)}" for word, meaning in terms.items())


def _text(text: str) -> str:
    return re.sub(r"([\\`*_\[\]|<>#~])", r"\\\1", " ".join(str(text).split()))
