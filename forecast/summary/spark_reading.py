"""The gate of a Spark table of orders: what each cell means, and the code of rows that cannot be used.

Only SQL expressions; they say what the generic reader of files says in DuckDB's words, row by row. Where the
reader would look at a whole column to find out how it is written, rows get a code that refuses the column.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from forecast.errors import ArgumentError, InputError

BLANK_TEXTS = ("", "null", "none", "\\n", "<na>", "nat", "#n/a")
LARGEST_VALUE = 1e15
FIRST_PLAUSIBLE_DAY = dt.date(1990, 1, 1)

REJECTED = (
    "blank_row",
    "missing_customer_id",
    "missing_date",
    "bad_date",
    "implausible_date",
    "missing_value",
    "bad_value",
    "negative_value",
    "zero_value",
)
# Rows that tell of a column that is not read here; one of them refuses all.
REFUSED = ("odd_id", "timed_day", "timed_stamp", "other_date", "other_value")
CODES = ("used", *REJECTED, *REFUSED, "after_as_of")
# Added to the code of a row whose id does not end in .0: only a column in which all do loses the ending.
UNDOTTED = 64
_PLACE = {code: place for place, code in enumerate(CODES)}

# Money is added in two whole numbers: millionths = high * 2**35 + low. No sum of 200 million orders leaves
# the range of either, no order of rows changes it, and it costs far less than a decimal of 38 digits.
LOW_BITS = 35
_LIMB = f"{2**LOW_BITS}D"
_PARTS = 64  # of the rejected rows
_LONGEST = 2**53  # whole numbers above are not all doubles

_WHOLE = ("tinyint", "smallint", "int", "bigint")
_BROKEN = ("float", "double")
_ISO = (
    "^[0-9]{4}(-[0-9]{1,2}-|/[0-9]{1,2}/)[0-9]{1,2}"
    "([ T]([01]?[0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]*)?)?)?$"
)
# Forms that the reader of files knows and this one does not.
_OTHER_DATE = (
    "^([0-9]{8}$|[0-9]{1,2}[/.-][0-9]{1,2}[/.-][0-9]{4}|[A-Za-z]{3,9}[.]? [0-9]{1,2},? [0-9]{4}"
    "|[0-9]{4}[-/][0-9]{1,2}[-/][0-9]{1,2}[ T](24:|.*(Z|z|UTC|GMT|[+-][0-9]{2}(:?[0-9]{2})?)$))"
)
_NUMBER = "^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?$"


@dataclass(frozen=True)
class Reading:
    """How rows are read: columns by role, and what they mean.

    Attributes
    ----------
    roles : dict of role to column
        ``customer_id, order_date`` and, where there are any, ``value, order_id``.
    types : dict of column to Spark's name of its type
    by : tuple of str
        Columns to group by.
    timezone : str, optional
    zero_value : str
        ``keep`` or ``drop``.
    """

    roles: Mapping[str, str]
    types: Mapping[str, str]
    by: tuple[str, ...] = ()
    timezone: str | None = None
    zero_value: str = "keep"

    @property
    def has_value(self) -> bool:
        return "value" in self.roles

    def kind(self, role: str) -> str:
        return self.types[self.roles[role]]

    @property
    def dotted(self) -> str | None:
        """Condition of an id ``c`` that ends in .0; None where ids cannot."""
        if not self.kind("customer_id").startswith("string"):
            return None
        return "endswith(c, '.0') AND c RLIKE '^[0-9]+[.]0$'"


def quoted(name: str) -> str:
    """A column's name, quoted for Spark.

    Examples
    --------
    >>> quoted("order`s day")
    '`order``s day`'
    """
    return "`" + name.replace("`", "``") + "`"


def literal(text: str) -> str:
    """A text for Spark, whatever stands in it.

    Examples
    --------
    >>> literal("Europe/Amsterdam"), literal("it's")
    ("'Europe/Amsterdam'", "decode(X'69742773', 'UTF-8')")
    """
    if re.fullmatch(r"[A-Za-z0-9 _.:/+<>#-]*", text):
        return f"'{text}'"
    return f"decode(X'{text.encode().hex().upper()}', 'UTF-8')"


def judged(orders: Any, reading: Reading) -> Any:
    """All rows with ``c, d, code, s`` and, where there are any, ``hi, lo``, the number ``o``, ``g0`` ...

    Rejected rows have neither customer nor day, so that they gather under their codes alone; ``s`` parts
    them, since there may be many.

    Raises
    ------
    InputError
        When a column is of a type that cannot be read.
    """
    cells = [f"{_id(reading, 'customer_id')} AS c", *_day_cells(reading)]
    if reading.has_value:
        cells += _value_cells(reading)
    if "order_id" in reading.roles:
        cells.append(f"{_id(reading, 'order_id')} AS o")
    cells += [f"{_group(reading, name)} AS g{place}" for place, name in enumerate(reading.by)]
    used = list(dict.fromkeys([*reading.roles.values(), *reading.by]))
    cells.append(" AND ".join(f"{quoted(name)} IS NULL" for name in used) + " AS is_blank")
    odd = " OR ".join(filter(None, (_odd_id(reading, role) for role in ("customer_id", "order_id"))))
    if odd:
        cells.append(f"({odd}) AS odd_id")
    rows = orders.selectExpr(*cells)
    parts = "c, d, v" if reading.has_value else "c, d"
    kept = ["IF(code = 0, c, NULL) AS c", "IF(code = 0, d, NULL) AS d"]
    kept.append(f"IF(code = 0, 0, CAST(pmod(xxhash64({parts}), {_PARTS}) AS INT)) AS s")
    if reading.has_value:
        # Millionths are cut in two before they are rounded, half up; both steps are exact for doubles.
        rows = rows.selectExpr("*", "v * 1000000D AS x").selectExpr("*", f"floor(x / {_LIMB}) AS hi")
        rows = rows.selectExpr("*", f"x - hi * {_LIMB} AS y")
        kept += ["hi", "floor(y) + IF(y - floor(y) >= 0.5D, 1, 0) AS lo"]
    if "order_id" in reading.roles:
        kept.append("IF(code = 0, o, NULL) AS o")
    kept += [f"g{place}" for place in range(len(reading.by))]
    if reading.dotted is None:
        kept.append("code")
    else:
        kept.append(f"IF(code = 0 OR c IS NULL OR ({reading.dotted}), code, code + {UNDOTTED}) AS code")
    return rows.selectExpr("*", _code(reading, bool(odd))).selectExpr(*kept)


def _trimmed(cell: str) -> str:
    return f"trim(BOTH concat(' ', chr(9), chr(10), chr(13), chr(160)) FROM {cell})"


def _in_blank(cell: str, *more: str) -> str:
    """Whether a trimmed text says that there is nothing; none of these texts is longer than 4 bytes."""
    words = ", ".join(literal(word) for word in (*BLANK_TEXTS, *more))
    return f"(octet_length({cell}) <= 4 AND lower({cell}) IN ({words}))"


def _id(reading: Reading, role: str) -> str:
    """An id as text, NULL where there is none."""
    name, kind = reading.roles[role], reading.kind(role)
    cell = quoted(name)
    if kind in _WHOLE:
        return f"CAST({cell} AS STRING)"
    if kind in _BROKEN or kind.startswith("decimal"):
        # A number that is none compares as the largest of all.
        return f"CASE WHEN abs({cell}) < {_LONGEST} THEN CAST(CAST({cell} AS BIGINT) AS STRING) END"
    if kind.startswith("string"):
        txt = _trimmed(_plain(cell, kind))
        return f"CASE WHEN NOT {_in_blank(txt, 'nan')} THEN {txt} END"
    raise InputError(
        f"ids are of type {kind}", where=f"column {name!r}", advice="Give texts or whole numbers."
    )


def _odd_id(reading: Reading, role: str) -> str | None:
    """Whether an id is a number with decimals, or too long for a number."""
    if role not in reading.roles:
        return None
    kind = reading.kind(role)
    if kind not in _BROKEN and not kind.startswith("decimal"):
        return None
    number = f"CAST({quoted(reading.roles[role])} AS DOUBLE)"
    return (
        f"({number} IS NOT NULL AND NOT isnan({number}) "
        f"AND (abs({number}) >= {_LONGEST} OR {number} <> floor({number})))"
    )


def _plain(cell: str, kind: str) -> str:
    """A text whose collation cannot make two of them equal."""
    return f"collate({cell}, 'UTF8_BINARY')" if "collate" in kind else cell


def _day_cells(reading: Reading) -> list[str]:
    """``d``, ``no_day`` and, where a column can do so, what refuses it: ``timed``, ``other_date``."""
    name, kind = reading.roles["order_date"], reading.kind("order_date")
    cell, zone = quoted(name), reading.timezone
    if kind == "date":
        return [f"{cell} AS d", f"{cell} IS NULL AS no_day"]
    if kind == "timestamp":
        wall = cell if zone is None else f"from_utc_timestamp({cell}, {literal(zone)})"
        micros = f"unix_micros({wall})"
        found = [
            f"date_from_unix_date(CAST({micros} div 86400000000 AS INT)) AS d",
            f"{cell} IS NULL AS no_day",
        ]
        return found if zone else [*found, f"pmod({micros}, 86400000000) <> 0 AS timed_stamp"]
    if kind == "timestamp_ntz":
        found = [f"CAST({cell} AS DATE) AS d", f"{cell} IS NULL AS no_day"]
        timed = f"{cell} <> CAST(CAST({cell} AS DATE) AS TIMESTAMP_NTZ)"
        return found if zone else [*found, f"{timed} AS timed_day"]
    if not kind.startswith("string"):
        raise InputError(
            f"the dates are of type {kind}",
            where=f"column {name!r}",
            advice="Give dates, stamps or ISO texts.",
        )
    txt = _trimmed(_plain(cell, kind))
    day = f"try_cast(replace(substring_index(substring_index({txt}, ' ', 1), 'T', 1), '/', '-') AS DATE)"
    found = [
        f"CASE WHEN {txt} RLIKE '{_ISO}' THEN {day} END AS d",
        f"{txt} IS NULL OR {_in_blank(txt)} AS no_day",
        f"{txt} RLIKE '{_OTHER_DATE}' AS other_date",
    ]
    timed = f"octet_length({txt}) > 10 AND {txt} RLIKE '{_ISO}' AND {txt} RLIKE ':' AND "
    timed += f"{txt} RLIKE '[ T][^1-9]*[1-9]'"
    return found if zone else [*found, f"{timed} AS timed_day"]


def _value_cells(reading: Reading) -> list[str]:
    """``v``, ``no_value`` and, for texts, ``other_value``."""
    name, kind = reading.roles["value"], reading.kind("value")
    cell = quoted(name)
    if kind in _WHOLE or kind in _BROKEN or kind.startswith("decimal"):
        number = cell if kind == "double" else f"CAST({cell} AS DOUBLE)"
        return [f"IF(abs({number}) < 1e15D, {number}, NULL) AS v", f"{cell} IS NULL AS no_value"]
    if not kind.startswith("string"):
        raise InputError(
            f"the amounts are of type {kind}",
            where=f"column {name!r}",
            advice="Map the column of money to value.",
        )
    txt = _trimmed(_plain(cell, kind))
    number = f"CASE WHEN {txt} RLIKE '{_NUMBER}' THEN try_cast({txt} AS DOUBLE) END"
    return [
        f"IF(abs({number}) < 1e15D, {number}, NULL) AS v",
        f"{txt} IS NULL OR {_in_blank(txt)} AS no_value",
        f"{txt} LIKE '%,%' AS other_value",
    ]


def _group(reading: Reading, name: str) -> str:
    kind, cell = reading.types[name], quoted(name)
    if kind.startswith("string"):
        return _plain(cell, kind)
    if kind in _WHOLE or kind in ("boolean", "date") or kind.startswith("decimal"):
        return f"CAST({cell} AS STRING)"
    raise ArgumentError(f"column {name!r} is of type {kind} and cannot group", advice="Make it a text first.")


def _code(reading: Reading, odd: bool) -> str:
    """What becomes of a row, the first that applies; what refuses a column comes before all."""
    kind, zone = reading.kind("order_date"), reading.timezone
    arms = [("odd_id", "odd_id")] if odd else []
    if kind.startswith("string"):
        arms.append(("other_date", "other_date"))
    if zone is None and kind == "timestamp":
        arms.append(("timed_stamp", "timed_stamp"))
    elif zone is None and kind != "date":
        arms.append(("timed_day", "timed_day"))
    if reading.has_value and reading.kind("value").startswith("string"):
        arms.append(("other_value", "other_value"))
    last = dt.date.today() + dt.timedelta(days=1)
    arms += [
        ("is_blank", "blank_row"),
        ("c IS NULL", "missing_customer_id"),
        ("no_day", "missing_date"),
        ("d IS NULL", "bad_date"),
        (f"d < DATE'{FIRST_PLAUSIBLE_DAY}' OR d > DATE'{last}'", "implausible_date"),
    ]
    if reading.has_value:
        arms += [("no_value", "missing_value"), ("v IS NULL", "bad_value"), ("v < 0D", "negative_value")]
        if reading.zero_value == "drop":
            arms.append(("v = 0D", "zero_value"))
    tests = " ".join(f"WHEN {test} THEN {_PLACE[code]}" for test, code in arms)
    return f"CASE {tests} ELSE 0 END AS code"
