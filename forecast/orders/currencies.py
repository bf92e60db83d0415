"""Codes of currencies, and rates of exchange as a mapping or from a small file."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from forecast.errors import ArgumentError, InputError


def check_currency(currency: Any) -> str | None:
    """A currency's code in capitals.

    Raises
    ------
    ArgumentError
        When it is no code of three letters.

    Examples
    --------
    >>> check_currency(" eur ")
    'EUR'
    """
    if currency is None:
        return None
    if not isinstance(currency, str) or len(currency.strip()) != 3 or not currency.strip().isalpha():
        raise ArgumentError(
            f"currency is {currency!r}", advice="Give the three-letter code, for example EUR."
        )
    return currency.strip().upper()


def one_currency(
    counted: Sequence[tuple[str | None, int]],
    currency: str | None,
    *,
    unit: str,
    header: str,
    notes: list[str],
    convert: str,
    several: str,
) -> str | None:
    """The currency that all amounts are in: the one found, else the one that was said.

    Parameters
    ----------
    counted : sequence of (code or None, rows)
    currency : str, optional
        As said by the user, already checked.
    unit, header : str
        What is counted, and the column's own name, for messages.
    notes : list of str
        Gets a note where some name no currency.
    convert, several : str
        Advice where the currency is another one, and where there are several.

    Raises
    ------
    InputError
        When there are several, or another than was said.

    Examples
    --------
    >>> one_currency([("EUR", 3)], None, unit="rows", header="cur", notes=[], convert="", several="")
    'EUR'
    """
    found = [(str(code)[:12], rows) for code, rows in counted if code is not None]
    blank = sum(rows for code, rows in counted if code is None)
    where = f"column {header!r}"
    if len(found) > 1:
        raise InputError(
            f"{len(found)} currencies: " + ", ".join(f"{code} {rows:,} {unit}" for code, rows in found),
            where=where,
            advice=f"Amounts of several currencies are never added: {several}",
        )
    if found and currency is not None and found[0][0] != currency:
        raise InputError(
            f"the currency is {found[0][0]}, not {currency}",
            where=where,
            count=found[0][1],
            advice=f"Leave currency (--currency) out, or {convert}",
        )
    if found and blank:
        notes.append(f"{blank:,} {unit} name no currency and were taken as {found[0][0]}")
    return found[0][0] if found else currency


def read_rates(rates: Any) -> dict[str, float] | None:
    """Rates as a mapping of currency to what one unit of it is worth.

    Parameters
    ----------
    rates : mapping, or path of a CSV with the columns ``currency`` and ``rate``; None for none

    Raises
    ------
    InputError
        When the file is missing or a line of it is no rate.
    ArgumentError
        When a rate is no positive number, or a currency occurs twice.

    Examples
    --------
    >>> read_rates({"usd": 0.92, "EUR": 1})
    {'USD': 0.92, 'EUR': 1.0}
    """
    if rates is None:
        return None
    pairs = list(rates.items()) if isinstance(rates, Mapping) else _from_file(Path(rates))
    found: dict[str, float] = {}
    for code, rate in pairs:
        currency = str(code).strip().upper()
        try:
            number = float(rate)
        except (TypeError, ValueError):
            number = float("nan")
        if not 0 < number < 1e9:
            raise ArgumentError(
                f"the rate of {currency} is {rate!r}",
                advice="Give what one unit of it is worth in your currency, for example 0.92.",
            )
        if currency in found:
            raise ArgumentError(
                f"the rate of {currency} is given twice", advice="One rate a currency; convert by date first."
            )
        found[currency] = number
    return found


def _from_file(path: Path) -> list[tuple[str, str]]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeError) as error:
        raise InputError(f"the rates cannot be read ({error})", where=path.name) from None
    pairs = []
    for number, row in enumerate(rows, start=2):
        cells = {str(key).strip().lower(): (value or "").strip() for key, value in row.items()}
        if not cells.get("currency") or not cells.get("rate"):
            raise InputError(
                "a line has no currency or no rate",
                where=f"{path.name}, row {number}",
                advice="Give the columns currency and rate.",
            )
        pairs.append((cells["currency"], cells["rate"]))
    return pairs
