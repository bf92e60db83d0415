"""Customer ids and amounts of money, cell by cell, as expressions for the database."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from forecast.errors import InputError
from forecast.orders.sql import BLANK_TEXTS, MONEY, text, texts

# Above this an amount is a mistake; sums of such amounts would leave the range of exact addition.
LARGEST_VALUE = 1e15
_FRACTIONAL = re.compile(r"DOUBLE|FLOAT|REAL|DECIMAL.*")
_INTEGRAL = re.compile(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?")
_NO_ID = (*BLANK_TEXTS, "nan")

_DECIMAL_COMMA = r"^-?([0-9]{1,3}([.][0-9]{3})+|[0-9]+),[0-9]{1,2}$"
_THREE_AFTER_POINT = r"^-?[0-9]{1,3}([.][0-9]{3})+$"
# Also grouped as in India: 1,23,456.78.
_THOUSANDS_COMMA = r"^-?[0-9]{1,3}((,[0-9]{3})+|(,[0-9]{2})+,[0-9]{3})([.][0-9]+)?$"


@dataclass(frozen=True)
class ValueReading:
    """How money is computed: expressions over the staged relation."""

    value: str
    blank: str
    shown: str
    notes: tuple[str, ...] = ()


def is_nested(kind: str) -> bool:
    """Whether a database type holds more than one cell."""
    return kind.startswith(("STRUCT", "MAP", "UNION")) or kind.endswith("]")


def read_ids(connection: Any, relation: str, cell: str, kind: str, header: str) -> tuple[str, list[str]]:
    """Expression of a customer id (or order number) as text, NULL where there is none; and notes.

    Raises
    ------
    InputError
        When numeric ids have decimals or more digits than the column can hold.
    """
    where = f"column {header!r}"
    if is_nested(kind):
        raise InputError(f"ids are of type {kind}", where=where, advice="Give texts or whole numbers.")
    if _FRACTIONAL.fullmatch(kind):
        number = f"CAST({cell} AS DOUBLE)"
        odd = connection.execute(
            f"SELECT count(*) FROM {relation} WHERE NOT isnan({number}) "
            f"AND (isinf({number}) OR {number} <> floor({number}) OR abs({number}) >= 9007199254740992)"
        ).fetchall()[0][0]
        if odd:
            raise InputError(
                "ids are numbers with decimals, or too long for a number",
                where=where,
                count=odd,
                advice="Read that column as text, so that every digit of an id survives.",
            )
        note = (
            f"{header}: whole numbers stored with decimals were read as texts without them (17850.0 is 17850)"
        )
        whole = f"CAST(CAST({cell} AS BIGINT) AS VARCHAR)"
        return f"CASE WHEN {cell} IS NOT NULL AND NOT isnan({number}) THEN {whole} END", [note]
    if _INTEGRAL.fullmatch(kind):
        return f"CAST({cell} AS VARCHAR)", []
    txt = cell if kind == "VARCHAR" else f"CAST({cell} AS VARCHAR)"
    # The words for nothing are short; longer cells need no look.
    longest = max(map(len, _NO_ID))
    plain = f"CASE WHEN strlen({txt}) > {longest} OR lower({txt}) NOT IN ({texts(_NO_ID)}) THEN {txt} END"
    if not connection.execute(f"SELECT bool_or(suffix({txt}, '.0')) FROM {relation}").fetchall()[0][0]:
        return plain, []
    dotted, filled = connection.execute(
        f"SELECT count(*) FILTER (suffix(id, '.0') AND regexp_full_match(id, '[0-9]+[.]0')), count(id) "
        f"FROM (SELECT {plain} AS id FROM {relation})"
    ).fetchall()[0]
    if dotted and dotted == filled:
        note = f"{header}: every id ends in .0, as a spreadsheet or frame leaves it; the ending was taken off"
        return f"regexp_replace({plain}, '[.]0$', '')", [note]
    if dotted:
        return plain, [
            f"{header}: {dotted:,} of {filled:,} ids end in .0; the others do not, so all were left"
        ]
    return plain, []


def read_values(
    connection: Any, relation: str, cell: str, kind: str, header: str, semicolons: bool = False
) -> ValueReading:
    """Decide how a column of money is read; ``semicolons`` says that points may well part thousands.

    Raises
    ------
    InputError
        When the column holds no amounts.
    """
    where = f"column {header!r}"
    if _FRACTIONAL.fullmatch(kind) or _INTEGRAL.fullmatch(kind):
        return ValueReading(_usable(f"CAST({cell} AS DOUBLE)"), f"{cell} IS NULL", f"CAST({cell} AS VARCHAR)")
    if kind != "VARCHAR":
        raise InputError(
            f"the amounts are of type {kind}", where=where, advice="Map the column of money to value."
        )
    txt = cell
    blank = f"({txt} IS NULL OR lower({txt}) IN ({texts(BLANK_TEXTS)}))"
    number = f"CASE WHEN NOT contains({txt}, '_') THEN TRY_CAST({txt} AS DOUBLE) END"
    if not semicolons:
        # Nearly always every cell is a plain number, and nothing has to be found out.
        odd = connection.execute(
            f"SELECT count(*) FILTER (({number}) IS NULL AND NOT {blank}) FROM {relation}"
        ).fetchall()[0][0]
        if not odd:
            return ValueReading(_usable(number), blank, txt)
    commas, decimal, thousands, both, points, threes, cells = connection.execute(
        "SELECT count(*) FILTER (comma), "
        f"count(*) FILTER (comma AND regexp_matches(t, {text(_DECIMAL_COMMA)})), "
        f"count(*) FILTER (comma AND regexp_matches(t, {text(_THOUSANDS_COMMA)})), "
        f"count(*) FILTER (comma AND contains(t, '.') AND regexp_matches(t, {text(_THOUSANDS_COMMA)})), "
        "count(*) FILTER (NOT comma AND contains(t, '.')), "
        f"count(*) FILTER (NOT comma AND regexp_matches(t, {text(_THREE_AFTER_POINT)})), count(*) "
        f"FROM (SELECT {txt} AS t, contains({txt}, ',') AS comma FROM {relation} WHERE NOT {blank})"
    ).fetchall()[0]
    notes: tuple[str, ...] = ()
    if commas and decimal == commas and not points:
        number = f"TRY_CAST(replace(replace({txt}, '.', ''), ',', '.') AS DOUBLE)"
        notes = (
            f"{header}: read with decimal commas (1.234,56 is 1234.56), in {commas:,} of {cells:,} cells",
        )
    elif commas and thousands == commas and both:
        number = f"TRY_CAST(replace({txt}, ',', '') AS DOUBLE)"
        notes = (
            f"{header}: read with commas between thousands (1,234.56), in {commas:,} of {cells:,} cells",
        )
    elif decimal and points:
        notes = (f"{header}: decimal commas and decimal points occur together; only points were read",)
    elif semicolons and points and threes == points:
        notes = (
            f"{header}: LOOK HERE: each of {points:,} points in {cells:,} cells has three digits after it, "
            "in a file separated by semicolons: 1.234 was read as 1.234, not as 1234. If the points part "
            "thousands, export the amounts without them",
        )
    return ValueReading(_usable(number), blank, txt, notes)


def _usable(number: str) -> str:
    return f"(CASE WHEN isfinite({number}) AND abs({number}) < {LARGEST_VALUE:.0f} THEN {number} END)"


def exact(value: str) -> str:
    """A value as a decimal, for sums that no order of rows can change.

    Examples
    --------
    >>> exact("value")
    'CAST(value AS DECIMAL(38, 6))'
    """
    return f"CAST({value} AS {MONEY})"
