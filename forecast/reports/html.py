"""One self-contained HTML file of sections: no scripts, no network, whatever came from data escaped."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import jinja2

from forecast.reports.blocks import Key, Section
from forecast.reports.wording import NONE, plain

_WORDS = {
    "as_of": "last day known (as_of)",
    "first_day": "first order",
    "last_day": "last order",
    "timezone": "time zone of the shop",
    "value_policy": "value policy",
    "zero_value": "orders of value 0",
    "dialect": "dialect",
    "mapping": "columns used",
    "fingerprint": "fingerprint of the purchases",
}
_NOTHING_GIVEN = {"currency": "not given", "timezone": "not given: days as written in the log"}


def html_page(
    title: str,
    *,
    deck: str,
    sections: Sequence[Section],
    facts: Mapping[str, Any],
    keys: Sequence[Key] = (),
    lead: Sequence[Any] = (),
) -> str:
    """A page of sections as HTML.

    Parameters
    ----------
    title, deck : str
    sections : sequence of Section
    facts : mapping
        What the numbers rest on.
    keys : sequence of Key
    lead : sequence of blocks
        Before the sections.
    """
    shown = facts_in_words(facts)
    page = _environment().get_template("page.html.j2").render(
        title=title,
        deck=deck,
        keys=keys,
        lead=lead,
        facts=shown,
        sections=sections,
        footer="Made with clv-forecast from the orders described above. The same orders give the same page.",
    )  # fmt: skip
    # A number and its percent sign stay on one line.
    return re.sub(r"(\d) %", "\\1\u00a0%", page)


def facts_in_words(facts: Mapping[str, Any]) -> dict[str, str]:
    """What the numbers rest on, as it is said."""
    return {
        _WORDS.get(name, name.replace("_", " ")): _NOTHING_GIVEN.get(name, NONE)
        if plain(value) == NONE
        else plain(value)
        for name, value in facts.items()
    }


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("forecast.reports"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
