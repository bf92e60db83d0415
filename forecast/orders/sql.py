"""How names and texts are written inside a query."""

from __future__ import annotations

from typing import Any

# Sums of money are decimal, so that no order of rows or threads changes a digit.
MONEY = "DECIMAL(38, 6)"

# Texts that stand for "nothing here" in exports; compared in lower case after trimming.
BLANK_TEXTS = ("", "null", "none", "\\n", "<na>", "nat", "#n/a")


def ident(name: str) -> str:
    """A column or table name, quoted.

    Examples
    --------
    >>> ident("order date")
    '"order date"'
    """
    return '"' + name.replace('"', '""') + '"'


def text(value: Any) -> str:
    """A text literal, quoted.

    Examples
    --------
    >>> text("it's")
    "'it''s'"
    """
    return "'" + str(value).replace("'", "''") + "'"


def texts(values: Any) -> str:
    """A comma-separated list of text literals.

    Examples
    --------
    >>> texts(["a", "b"])
    "'a', 'b'"
    """
    return ", ".join(text(value) for value in values)


def trimmed(cell: str) -> str:
    """A cell as text without white space around it (also tabs and no-break spaces)."""
    return f"trim(CAST({cell} AS VARCHAR), ' ' || chr(9) || chr(10) || chr(13) || chr(160))"
