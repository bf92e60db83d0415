"""Numbers in words and cells, with no more digits than they are worth."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Sequence
from typing import Any

import pandas as pd

NONE = "–"


def missing(value: Any) -> bool:
    """Whether there is nothing to print.

    Examples
    --------
    >>> missing(None), missing(float("nan")), missing(0)
    (True, True, False)
    """
    return value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and value != value)


def count(value: Any) -> str:
    """A whole number with thousands separators.

    Examples
    --------
    >>> count(23570.0), count(None)
    ('23,570', '–')
    """
    return NONE if missing(value) else minus(f"{float(value):,.0f}")


def money(value: Any) -> str:
    """An amount: cents below 100, whole units above.

    Examples
    --------
    >>> money(35.8936), money(2500315.63)
    ('35.89', '2,500,316')
    """
    if missing(value):
        return NONE
    return minus(f"{float(value):,.2f}" if abs(float(value)) < 100 else f"{float(value):,.0f}")


def percent(value: Any, signed: bool = False) -> str:
    """A share as percent: one decimal below 10 %, none above.

    Examples
    --------
    >>> percent(0.0853), percent(-0.431, signed=True), percent(1.8064, signed=True)
    ('8.5 %', '−43 %', '+181 %')
    """
    if missing(value):
        return NONE
    number = float(value) * 100
    digits = 1 if abs(round(number, 1)) < 10 else 0
    if round(number, digits) == 0:
        return "0 %"
    return minus(f"{number:{'+' if signed else ''},.{digits}f} %")


def chance(value: Any) -> str:
    """A probability as percent; what is not certain is not printed as if it were.

    Examples
    --------
    >>> chance(0.9998), chance(0.64), chance(0.002), chance(1.0)
    ('> 99 %', '64 %', '< 1 %', '100 %')
    """
    if missing(value):
        return NONE
    if 0.995 <= float(value) < 1.0:
        return "> 99 %"
    return "< 1 %" if 0.0 < float(value) < 0.005 else f"{float(value) * 100:.0f} %"


def signed_percent(value: Any) -> str:
    """An error as percent with its sign.

    Examples
    --------
    >>> signed_percent(0.0429)
    '+4.3 %'
    """
    return percent(value, signed=True)


def figures(value: Any, digits: int = 3) -> str:
    """A number with so many significant figures; what is nearly 0 is 0.

    Examples
    --------
    >>> figures(0.201776), figures(1.4e-13), figures(33.5226, 4)
    ('0.202', '0', '33.52')
    """
    if missing(value):
        return NONE
    number = float(value)
    if not math.isfinite(number) or abs(number) < 1e-9:
        return "0" if math.isfinite(number) else minus(str(number))
    places = max(digits - 1 - math.floor(math.log10(abs(number))), 0)
    return minus(f"{round(number, places):,.{places}f}")


def about(value: Any) -> str:
    """A number for a sentence: three figures, thousands separated.

    Examples
    --------
    >>> about(642322.03), about(58.2058)
    ('642,000', '58.2')
    """
    if missing(value):
        return NONE
    number = float(value)
    if number == 0 or not math.isfinite(number):
        return figures(number)
    places = 2 - math.floor(math.log10(abs(number)))
    return minus(f"{round(number, places):,.{max(places, 0)}f}")


def day(value: Any) -> str:
    """A day as 2026-09-30.

    Examples
    --------
    >>> day(pd.Timestamp("2026-09-30"))
    '2026-09-30'
    """
    return NONE if missing(value) else f"{pd.Timestamp(value):%Y-%m-%d}"


def plain(value: Any) -> str:
    """Anything as text; nothing is a dash, a mapping is written out.

    Examples
    --------
    >>> plain({"customer_id": "Email", "items": None}), plain(12000), plain(None)
    ('customer_id = Email', '12,000', '–')
    """
    if missing(value) or value == "":
        return NONE
    if isinstance(value, dict):
        return ", ".join(f"{key} = {plain(item)}" for key, item in value.items() if not missing(item)) or NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return figures(value)
    if isinstance(value, dt.date):
        return day(value)
    if isinstance(value, (list, tuple)):
        return ", ".join(plain(item) for item in value) or NONE
    return str(value)


def name_in_words(name: str) -> str:
    """The name of a number as it is said.

    Examples
    --------
    >>> name_in_words("formula_clv"), name_in_words("aov x purchase_frequency"), name_in_words("top_10_share")
    ('formula CLV', 'AOV × purchase frequency', 'top 10 % share')
    """
    said = re.sub(r"^days_between_(mean|median)$", r"days between purchases, \1", name)
    said = re.sub(r"top_(\d+)_share", r"top \1 % share", said).replace("_", " ").replace(" x ", " × ")
    said = re.sub(r"\b(aov|clv)\b", lambda match: match.group().upper(), said)
    return re.sub(r"\bas of\b", "the last day known", re.sub(r"^gini$", "Gini", said))


def minus(text: str) -> str:
    """With a true minus sign."""
    return text.replace("-", "−")


def listed(names: Sequence[str]) -> str:
    """Names in a sentence.

    Examples
    --------
    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else list(names))
