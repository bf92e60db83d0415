"""Texts of moments, form by form, as timestamps of the database."""

from __future__ import annotations

from forecast.orders.sql import texts


def aware_stamp(txt: str) -> str:
    """A moment with its offset from UTC."""
    spelled = f"regexp_replace({txt}, '[ ]*(Z|z|UTC|GMT)$', '+00:00')"
    colon = f"regexp_replace({spelled}, '[ ]*([+-][0-9][0-9]):?([0-9][0-9])$', '\\1:\\2')"
    hours = f"regexp_replace({colon}, '(:[0-9.]+)[ ]*([+-][0-9][0-9])$', '\\1\\2:00')"
    return f"TRY_CAST({hours} AS TIMESTAMPTZ)"


def written_stamp(txt: str) -> str:
    """The wall time that is written, whatever offset follows it."""
    return f"TRY_CAST(regexp_extract({txt}, '^[0-9-]+[ T][0-9:.]+') AS TIMESTAMP)"


def named_stamp(txt: str) -> str:
    """Month names; older Magento writes 14:25:08 PM, where the hour of 24 is right and the PM is not."""
    plain = f"replace({txt}, '.', '')"
    bare = f"regexp_replace({plain}, ' ?[AaPp][Mm]$', '')"
    hour = f"TRY_CAST(regexp_extract({plain}, ' ([0-9]{{1,2}}):', 1) AS INTEGER)"
    times = ["", " %H:%M", " %H:%M:%S", ", %H:%M", ", %H:%M:%S"]
    full = "[" + texts(f"{m} %d{c} %Y{time}" for m in ("%b", "%B") for c in (",", "") for time in times) + "]"
    half = (
        "["
        + texts(
            f"{m} %d{c} %Y{time}"
            for m in ("%b", "%B")
            for c in (",", "")
            for time in (
                " %I:%M %p",
                " %I:%M:%S %p",
                ", %I:%M %p",
                ", %I:%M:%S %p",
                " %I:%M%p",
                " %I:%M:%S%p",
            )
        )
        + "]"
    )
    return (
        f"(CASE WHEN {hour} BETWEEN 1 AND 12 AND regexp_matches({plain}, '[AaPp][Mm]$') "
        f"THEN try_strptime({plain}, {half}) ELSE try_strptime({bare}, {full}) END)"
    )


def excel_stamp(txt: str) -> str:
    """A spreadsheet's serial number of days."""
    # Day 1 is 1900-01-01 and 1900 is taken for a leap year, so the count starts two days earlier.
    number = f"TRY_CAST({txt} AS DOUBLE)"
    guarded = f"CASE WHEN {number} BETWEEN 1 AND 100000 THEN {number} END"
    seconds = f"CAST(round(({guarded}) * 86400) AS BIGINT)"
    return f"(TIMESTAMP '1899-12-30' + to_seconds({seconds}))"
