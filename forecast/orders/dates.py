"""From whatever stands in the date column to one store-local day.

The whole column decides how it is read. Cells are reduced to shapes (digits become 9), a handful of
which cover millions of rows; what the shapes leave open (day or month first, seconds or days since
when, whose midnight) is asked for instead of guessed.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import Any

import duckdb

from forecast.errors import ArgumentError, InputError
from forecast.orders.sql import BLANK_TEXTS, text, texts
from forecast.orders.stamps import aware_stamp, excel_stamp, named_stamp, written_stamp

_TIME = r"9{1,2}:99(:99([.]9+)?)?"
FAMILIES = {
    "iso": re.compile(rf"9999([-/])9{{1,2}}\1(?:9{{1,2}})([ T]{_TIME})?"),
    "aware": re.compile(rf"9999-9{{1,2}}-9{{1,2}}[ T]{_TIME} ?(Z|z|UTC|GMT|[+-]99(:?99)?)"),
    "compact": re.compile(r"9{8}"),
    "dmy": re.compile(r"9{1,2}([/.-])9{1,2}\1(?:9999)( 9{1,2}:99(:99)?( ?[AaPp][Mm])?)?"),
    "short_year": re.compile(r"9{1,2}([/.-])9{1,2}\1(?:99)( 9{1,2}:99(:99)?)?"),
    "epoch_s": re.compile(r"9{9,10}([.]9+)?"),
    "epoch_ms": re.compile(r"9{12,13}"),
    "epoch_ns": re.compile(r"9{16}|9{19}"),
    "excel": re.compile(r"9{5}([.]9+)?"),
    "named": re.compile(r"[A-Za-z]{3,9}[.]? 9{1,2},? 9999(,? 9{1,2}:99(:99)?( ?[AaPp][Mm])?)?"),
}
_READABLE = ("iso", "aware", "compact", "dmy", "named")
_REFUSED = {
    "epoch_s": ("seconds since 1970", "Pass date_format='epoch_s' if they are."),
    "epoch_ms": ("milliseconds since 1970", "Pass date_format='epoch_ms' if they are."),
    "epoch_ns": ("micro- or nanoseconds since 1970", "Write dates such as 2024-05-31 instead."),
    "excel": ("serial day numbers of a spreadsheet", "Pass date_format='excel' if they are."),
    "short_year": ("years of two digits", "Pass date_format, for example '%d/%m/%y'."),
}
_WORDS = {
    "iso": "ISO dates",
    "compact": "YYYYMMDD",
    "aware": "stamps with their offset from UTC",
    "named": "dates with the name of the month",
    "excel": "serial day numbers of a spreadsheet",
}
_NUMERIC = re.compile(r"(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|DOUBLE|FLOAT|REAL|DECIMAL.*)")
_MOST_SHAPES = 5000
FIRST_PLAUSIBLE_DAY = dt.date(1990, 1, 1)


@dataclass(frozen=True)
class DayReading:
    """How the day of a row is computed: expressions over the staged relation.

    ``stamp`` is the shop's wall time, a timestamp without zone.
    """

    day: str
    blank: str
    shape: str | None
    note: str
    stamp: str = "CAST(NULL AS TIMESTAMP)"


@dataclass(frozen=True)
class Clock:
    """What a column's stamps mean: ``ask`` when they do not say, ``wall`` time of the shop, or ``utc``.

    Platforms are known to write ``wall`` or ``utc``; there a column of spreadsheet serials can only come from
    a spreadsheet, and ``month_first`` settles dates that could be read both ways.
    """

    kind: str = "ask"
    timezone: str | None = None
    month_first: bool = False


def read_days(
    connection: Any,
    relation: str,
    cell: str,
    kind: str,
    timezone: str | None,
    date_format: str | None,
    header: str,
    clock: Clock | None = None,
) -> DayReading:
    """Decide how a date column is read.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        Where the relation lies.
    relation, cell : str
        Relation and expression of the column.
    kind : str
        Database type of the column.
    timezone : str, optional
        Name of the store's zone, already checked.
    date_format : str, optional
        A strptime format, ``"epoch_s"``, ``"epoch_ms"`` or ``"excel"``.
    header : str
        The column's own name, for messages.
    clock : Clock, optional
        What stamps mean where a platform is known to have written them.

    Raises
    ------
    InputError
        When the column does not decide how it is to be read, or needs a time zone.
    ArgumentError
        When ``date_format`` cannot be meant.
    """
    column = f"column {header!r}"
    clock = Clock(timezone=timezone) if clock is None else clock
    native = kind == "DATE" or kind.startswith("TIMESTAMP")
    if native and date_format is not None:
        raise ArgumentError(
            f"date_format is given, but {column} holds dates already",
            advice="Leave date_format (--date-format) out.",
        )
    if native:
        blank = f"{cell} IS NULL"
        if kind == "DATE":
            return DayReading(cell, blank, None, "dates", f"CAST({cell} AS TIMESTAMP)")
        aware = kind == "TIMESTAMP WITH TIME ZONE"
        stamp = cell if aware else f"CAST({cell} AS TIMESTAMP)"
        wall, note = _wall_time(connection, relation, stamp, aware, clock, column)
        return DayReading(f"CAST({wall} AS DATE)", blank, None, note, wall)
    if _NUMERIC.fullmatch(kind):
        txt = _digits(cell, kind)
    elif kind == "VARCHAR":
        txt = cell
    else:
        raise InputError(f"the dates are of type {kind}", where=column, advice="Give dates or texts.")
    blank = f"({txt} IS NULL OR lower({txt}) IN ({texts(BLANK_TEXTS)}))"
    shape = _shape(txt)
    if date_format is not None:
        wall, note = _formatted(connection, relation, txt, blank, date_format, clock, column)
    else:
        wall, note = _detected(connection, relation, txt, blank, shape, clock, column)
    return DayReading(f"CAST({wall} AS DATE)", blank, shape, note, wall)


def _shape(txt: str) -> str:
    """A cell with every digit as 9; the two commonest forms by a match, which is much faster."""
    stamp = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
    return (
        f"(CASE WHEN regexp_full_match({txt}, '{stamp}') THEN '9999-99-99' "
        f"WHEN regexp_full_match({txt}, '{stamp} [0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}') "
        "THEN '9999-99-99 99:99:99' "
        f"ELSE translate(substr({txt}, 1, 40), '0123456789', '9999999999') END)"
    )


def _digits(cell: str, kind: str) -> str:
    """A number as the text it would have in a file, whole numbers without a point."""
    if not re.match("DOUBLE|FLOAT|REAL|DECIMAL", kind):
        return f"CAST({cell} AS VARCHAR)"
    number = f"CAST({cell} AS DOUBLE)"
    return (
        f"(CASE WHEN isnan({number}) THEN NULL WHEN {number} = floor({number}) AND abs({number}) < 1e18 "
        f"THEN CAST(CAST({cell} AS BIGINT) AS VARCHAR) ELSE CAST({cell} AS VARCHAR) END)"
    )


def bad_date_error(connection: Any, relation: str, reading: DayReading, rows: int, header: str) -> InputError:
    """The error for a column in which most cells are no dates; shows shapes, never the cells."""
    examples: list[str] = []
    if reading.shape is not None:
        masks = connection.execute(
            f"SELECT regexp_replace({reading.shape}, '[[:alpha:]]', 'a', 'g') AS mask, count(*) "
            f"FROM {relation} WHERE NOT {reading.blank} AND {reading.day} IS NULL "
            "GROUP BY mask ORDER BY 2 DESC, 1 LIMIT 3"
        ).fetchall()
        examples = [f"like {mask!r}: {count:,}" for mask, count in masks]
    return InputError(
        "most cells are no dates that are known",
        where=f"column {header!r}",
        count=rows,
        examples=examples,
        advice="9 stands for a digit, a for a letter. Map the right column to order_date, "
        "or give date_format (--date-format), for example '%d %b %Y'.",
    )


def _detected(
    connection: Any, relation: str, txt: str, blank: str, shape: str, clock: Clock, column: str
) -> tuple[str, str]:
    counted = connection.execute(
        f"SELECT {shape} AS shape, count(*) AS n FROM {relation} WHERE NOT {blank} "
        f"GROUP BY shape ORDER BY n DESC, shape LIMIT {_MOST_SHAPES}"
    ).fetchall()
    cells = sum(n for _, n in counted)
    families: dict[str, dict[str, int]] = {}
    for one, n in counted:
        families.setdefault(_family(one), {})[one] = n
    totals = {name: sum(shapes.values()) for name, shapes in families.items()}
    readable = _READABLE if clock.kind == "ask" else (*_READABLE, "excel")
    for name, (what, advice) in _REFUSED.items():
        if name not in readable and totals.get(name, 0) * 2 > cells:
            raise InputError(f"the dates look like {what}", where=column, count=totals[name], advice=advice)
    present = [name for name in readable if name in families]
    if not present:
        # Left to the count of bad dates, which knows how many there are.
        return "CAST(NULL AS TIMESTAMP)", "no readable dates"
    if "aware" in present and len(present) > 1 and clock.kind != "wall":
        others = sum(totals[name] for name in present if name != "aware")
        raise InputError(
            f"{totals['aware']:,} stamps say their offset from UTC and {others:,} do not",
            where=column,
            advice="Export the column in one form; which zone the others are in cannot be known.",
        )
    stamps = {
        "iso": f"TRY_CAST({txt} AS TIMESTAMP)",
        "compact": f"try_strptime({txt}, '%Y%m%d')",
        "aware": aware_stamp(txt),
        "named": named_stamp(txt),
        "excel": excel_stamp(txt),
    }
    if clock.kind == "wall" and clock.timezone is not None and "aware" in present:
        stamps["aware"] = f"({stamps['aware']} AT TIME ZONE {text(clock.timezone)})"
    elif clock.kind == "wall":
        stamps["aware"] = written_stamp(txt)
    note = " and ".join(_WORDS.get(name, name) for name in present)
    if "dmy" in present:
        stamps["dmy"], order = _slashes(connection, relation, txt, shape, families["dmy"], column, clock)
        note = note.replace("dmy", order)
    if len(present) == 1 and len(families) == 1:
        stamp = stamps[present[0]]
    else:
        arms = " ".join(f"WHEN {shape} IN ({texts(sorted(families[f]))}) THEN {stamps[f]}" for f in present)
        stamp = f"CASE {arms} END"
    if clock.kind == "wall":
        converted = "aware" in present and clock.timezone is not None
        return stamp, f"{note}, days {f'of {clock.timezone}' if converted else 'as they are written'}"
    if present == ["aware"] and clock.timezone is None:
        # Whole days written with an offset keep the day that is written.
        return _wall_time(connection, relation, written_stamp(txt), True, clock, column, local=True)
    timed = "aware" in present or any(":" in one for name in present for one in families[name])
    if not timed:
        return stamp, note
    wall, zone_note = _wall_time(connection, relation, stamp, "aware" in present, clock, column)
    return wall, f"{note}, {zone_note}"


def _family(shape: str) -> str:
    for name, pattern in FAMILIES.items():
        if pattern.fullmatch(shape):
            return name
    return "other"


def _slashes(
    connection: Any,
    relation: str,
    txt: str,
    shape: str,
    shapes: dict[str, int],
    column: str,
    clock: Clock,
) -> tuple[str, str]:
    """Day or month first: some number above 12 has to decide."""
    parts = f"regexp_extract({txt}, '^([0-9]+).([0-9]+).', "
    first, second = f"CAST({parts}1) AS INTEGER)", f"CAST({parts}2) AS INTEGER)"
    day_first, month_first, rows = connection.execute(
        f"SELECT count(*) FILTER (a BETWEEN 13 AND 31 AND b <= 12), "
        f"count(*) FILTER (b BETWEEN 13 AND 31 AND a <= 12), count(*) "
        f"FROM (SELECT {first} AS a, {second} AS b FROM {relation} "
        f"WHERE {shape} IN ({texts(sorted(shapes))}))"
    ).fetchall()[0]
    advice = "Say which it is: date_format (--date-format) '%d/%m/%Y' or '%m/%d/%Y'."
    if day_first and month_first:
        raise InputError(
            f"{day_first:,} dates have the day first and {month_first:,} the month",
            where=column,
            advice="Export the column in one form, for example 2024-05-31.",
        )
    if not day_first and not month_first and clock.month_first:
        month_first = rows
    elif not day_first and not month_first:
        raise InputError("ambiguous day and month", where=column, count=rows, advice=advice)
    date = "%d/%m/%Y" if day_first else "%m/%d/%Y"
    times = ["", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", " %I:%M%p", " %I:%M:%S%p"]
    formats = "[" + texts(date + time for time in times) + "]"
    return f"try_strptime(translate({txt}, '.-', '//'), {formats})", date


def _formatted(
    connection: Any, relation: str, txt: str, blank: str, date_format: str, clock: Clock, column: str
) -> tuple[str, str]:
    number = f"TRY_CAST({txt} AS DOUBLE)"
    if date_format in ("epoch_s", "epoch_ms"):
        scale = 1_000_000 if date_format == "epoch_s" else 1000
        guarded = f"CASE WHEN abs({number}) * {scale} < 4e15 THEN {number} END"
        stamp = f"make_timestamptz(CAST({guarded} * {scale} AS BIGINT))"
        return _wall_time(connection, relation, stamp, True, clock, column)
    if date_format == "excel":
        return excel_stamp(txt), "serial day numbers"
    if "%" not in date_format:
        raise ArgumentError(
            f"date_format is not understood: {date_format!r}",
            advice="Give a pattern such as '%d/%m/%Y', or epoch_s, epoch_ms or excel.",
        )
    stamp = f"try_strptime({txt}, {text(date_format)})"
    try:
        kind = connection.execute(f"SELECT typeof(try_strptime('', {text(date_format)}))").fetchall()[0]
    except duckdb.Error:
        raise ArgumentError(
            f"date_format is not understood: {date_format!r}", advice="Give a pattern such as '%d/%m/%Y'."
        ) from None
    aware = kind[0] == "TIMESTAMP WITH TIME ZONE"
    wall, note = _wall_time(connection, relation, stamp, aware, clock, column)
    return wall, f"{date_format}, {note}"


def _wall_time(
    connection: Any,
    relation: str,
    stamp: str,
    aware: bool,
    clock: Clock,
    column: str,
    local: bool = False,
) -> tuple[str, str]:
    """The shop's own time of a stamp; a time of day needs a zone unless the platform wrote wall time."""
    zone = clock.timezone
    if aware and zone is not None:
        return f"({stamp}) AT TIME ZONE {text(zone)}", f"days of {zone}"
    if not aware and zone is not None and clock.kind == "utc":
        return f"(({stamp}) AT TIME ZONE 'UTC') AT TIME ZONE {text(zone)}", f"UTC, days of {zone}"
    plain = f"({stamp}) AT TIME ZONE 'UTC'" if aware and not local else f"({stamp})"
    if zone is not None:
        return plain, f"wall time of {zone}"
    if clock.kind == "wall" and not aware:
        return plain, "days as they are written"
    timed = connection.execute(
        f"SELECT count(*) FROM {relation} WHERE CAST({plain} AS TIME) <> TIME '00:00:00'"
    ).fetchall()[0][0]
    if timed:
        what = "stamps say their offset from UTC" if aware else "stamps carry a time of day"
        if clock.kind == "utc":
            what = "stamps are in UTC"
        raise InputError(
            f"{what}, and no time zone of the shop is given",
            where=column,
            count=timed,
            advice="The day is the shop's own day: pass --timezone Europe/Amsterdam "
            "(timezone='Europe/Amsterdam'), or 'UTC' if that is meant.",
        )
    return plain, "whole days"


def is_implausible(day: str) -> str:
    """Condition of a day that no order can be of: before 1990, or after tomorrow.

    Examples
    --------
    >>> is_implausible("d").split(" OR ")[0]
    "d < DATE '1990-01-01'"
    """
    last = dt.date.today() + dt.timedelta(days=1)
    return f"{day} < DATE '{FIRST_PLAUSIBLE_DAY}' OR {day} > DATE '{last}'"


def check_timezone(connection: Any, timezone: str | None) -> str | None:
    """The zone's own spelling.

    Raises
    ------
    ArgumentError
        When no such zone is known.
    """
    if timezone is None:
        return None
    found = connection.execute(
        "SELECT name FROM pg_timezone_names() WHERE lower(name) = lower(?) ORDER BY name LIMIT 1",
        [str(timezone)],
    ).fetchall()
    if not found:
        raise ArgumentError(
            f"timezone {timezone!r} is not known", advice="Give a name such as Europe/Amsterdam or UTC."
        )
    return str(found[0][0])
