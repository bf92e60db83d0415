"""Small tables beside the orders: how many customers are planned, and what was spent to win them.

    period,channel,customers          period,channel,spend
    2026Q4,search,1200                2026-07,search,18500
    2026Q4,social,800                 2026-07,social,9200

A period is a quarter (``2026Q4``, or ``FY2027Q1`` where fiscal years start in another month), a month
(``2026-10``) or a day. The column in the middle is optional.
"""

from __future__ import annotations

import calendar
import datetime as dt
import re
from pathlib import Path
from typing import Any

import pandas as pd

from forecast.errors import InputError
from forecast.periods import quarter_of

_QUARTER = re.compile(r"(FY)?(\d{4})[- ]?Q([1-4])", re.IGNORECASE)
_MONTH = re.compile(r"(\d{4})-(\d{1,2})")
_NUMBER = re.compile(r"\d+([.]\d+)?|\d{1,3}(,\d{3})+([.]\d+)?")
_DECIMAL_COMMA = re.compile(r"\d+,\d{1,2}")
WHOLE = "all"


def read_plan(source: Any, by: str | None = None, fiscal_year_start: int = 1) -> pd.DataFrame:
    """How many customers are planned: ``start, end, group, customers, period``, in the order of the file.

    Parameters
    ----------
    source : path or DataFrame
        ``period``, ``customers`` and, for a plan by group, a column called ``by`` or ``group``.
    by : str, optional
        What groups are groups of.
    fiscal_year_start : int
        Month.

    Raises
    ------
    InputError
        When a column is missing or a cell cannot be read; the message names file, row and column.

    Examples
    --------
    >>> read_plan(pd.DataFrame({"period": ["2026Q4"], "customers": [500]})).to_dict("records")
    [{'start': datetime.date(2026, 10, 1), 'end': datetime.date(2026, 12, 31), 'group': 'all',
      'customers': 500.0, 'period': '2026Q4'}]
    """
    return _read(source, "customers", by, fiscal_year_start)


def read_spend(source: Any, by: str | None = None, fiscal_year_start: int = 1) -> pd.DataFrame:
    """What was spent to win customers: ``start, end, group, spend, period``; as :func:`read_plan`.

    Examples
    --------
    >>> spend = pd.DataFrame({"period": ["2026-02"], "channel": ["ads"], "spend": ["1,250.50"]})
    >>> read_spend(spend, "channel").to_dict("records")
    [{'start': datetime.date(2026, 2, 1), 'end': datetime.date(2026, 2, 28), 'group': 'ads', 'spend': 1250.5,
      'period': '2026-02'}]
    """
    return _read(source, "spend", by, fiscal_year_start)


def _read(source: Any, amount: str, by: str | None, fiscal_year_start: int) -> pd.DataFrame:
    frame, where, first_row = _frame(source)
    frame.columns = [str(name).strip().lower() for name in frame.columns]
    group = next((name for name in ((by or "").lower(), "group") if name and name in frame), None)
    missing = [name for name in ("period", amount) if name not in frame]
    if missing:
        raise InputError(
            f"there is no column {missing[0]!r}", where=where,
            examples=[f"found: {', '.join(frame.columns)}"],
            advice=f"Give the columns period, {amount} and, where wanted, a group.",
        )  # fmt: skip
    others = [name for name in frame if name not in ("period", amount, group)]
    if others:
        raise InputError(
            f"the column {others[0]!r} is neither the period, the group nor {amount!r}", where=where,
            advice=f"Groups are in a column called {by!r} or 'group'." if by else
            f"If it is a group, name it: --by {others[0]}; newcomers have the groups that the model was "
            "fitted by. Else leave it out.",
        )  # fmt: skip
    if frame.empty:
        raise InputError("there are no rows", where=where, advice="Give one line a period.")
    rows = []
    for number, cells in enumerate(frame.to_dict("records"), first_row):
        at = f"{where}, row {number}"
        start, end = _period(str(cells["period"]).strip(), fiscal_year_start, at)
        name = WHOLE if group is None else str(cells[group]).strip()
        if not name or name == "nan":
            raise InputError("the group is blank", where=at, advice="Name it as the orders do.")
        label = str(cells["period"]).strip()
        size = _amount(cells[amount], at, amount)
        if amount == "customers" and size != int(size):
            raise InputError(f"customers is {cells[amount]!r}", where=at, advice="Give whole customers.")
        rows.append((start, end, name, _amount(cells[amount], at, amount), label))
    return pd.DataFrame(rows, columns=["start", "end", "group", amount, "period"])


def _frame(source: Any) -> tuple[pd.DataFrame, str, int]:
    """Cells as text, what to call the table, and the number of its first row as a reader would count."""
    if isinstance(source, pd.DataFrame):
        return source.copy(), "the frame", 0
    path = Path(source)
    if not path.is_file():
        raise InputError("the file does not exist", where=str(path), advice="Check the path.")
    try:
        if path.suffix.lower() == ".parquet":
            return pd.read_parquet(path), path.name, 0
        text = path.read_text(encoding="utf-8-sig")
        lines = [line for line in text.splitlines() if line.strip()]
        marks = {mark: lines[0].count(mark) if lines else 0 for mark in (",", ";", "\t")}
        mark = max(marks, key=lambda own: marks[own])
        return (
            pd.read_csv(path, sep=mark, dtype=str, keep_default_na=False, encoding="utf-8-sig"),
            path.name,
            2,
        )
    except (OSError, ValueError) as problem:
        raise InputError(
            f"the table cannot be read: {problem}", where=path.name, advice="Give a CSV file with a header."
        ) from None


def _period(text: str, fiscal_year_start: int, at: str) -> tuple[dt.date, dt.date]:
    quarter = _QUARTER.fullmatch(text)
    if quarter:
        label = f"{(quarter[1] or '').upper()}{quarter[2]}Q{quarter[3]}"
        year = int(quarter[2])
        for month in range(1, 13):
            for own in (year - 1, year):
                found = quarter_of(dt.date(own, month, 15), fiscal_year_start)
                if found.label == label:
                    return found.start, found.end
        kind = quarter_of(dt.date(year, 6, 15), fiscal_year_start).label
        raise InputError(
            f"{text!r} is no quarter of a year that starts in {calendar.month_name[fiscal_year_start]}",
            where=at, advice=f"Write quarters as {kind}.",
        )  # fmt: skip
    month_match = _MONTH.fullmatch(text)
    try:
        if month_match:
            start = dt.date(int(month_match[1]), int(month_match[2]), 1)
            return start, start.replace(day=calendar.monthrange(start.year, start.month)[1])
        day = dt.date.fromisoformat(text[:10]) if len(text) in (10, 19) else None
    except ValueError:
        day = None
    if day is None:
        raise InputError(f"{text!r} is no period", where=at, advice="Write 2026Q4, 2026-10 or 2026-10-05.")
    return day, day


def _amount(cell: Any, at: str, name: str) -> float:
    """A number from 0 up."""
    if not isinstance(cell, str):
        found = float(cell) if cell is not None else float("nan")
    elif _NUMBER.fullmatch(cell.strip()):
        found = float(cell.replace(",", ""))
    elif _DECIMAL_COMMA.fullmatch(cell.strip()):
        found = float(cell.replace(",", "."))
    else:
        found = float("nan")
    if not 0.0 <= found < 1e15:
        raise InputError(
            f"{name} is {cell!r}", where=at, advice="Give a number from 0 up, without a currency sign."
        )
    return found
