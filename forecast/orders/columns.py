"""Which column plays which role: asked for by name, or found by its header."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from forecast.errors import ArgumentError, InputError
from forecast.orders.dialect import REQUIRED, ROLES, Dialect

# Columns of the orders table; an extra column of such a name gets a trailing underscore.
CANONICAL = ("customer_id", "order_day", "value", "order_id", "items", "source_file", "source_row")


def normalise(header: str) -> str:
    """A header without case, spaces and punctuation.

    Examples
    --------
    >>> normalise("Customer ID"), normalise("order_date")
    ('customerid', 'orderdate')
    """
    return re.sub(r"[^a-z0-9]+", "", header.casefold())


def map_columns(
    columns: Sequence[str], mapping: Mapping[str, str | None] | None, dialect: Dialect, where: str
) -> dict[str, str]:
    """The column of each role that the data have.

    Parameters
    ----------
    columns : sequence of str
        Headers as they stand in the data.
    mapping : mapping of role to header, optional
        What the user asked for; ``None`` as header means "there is none, do not look for one".
    dialect : Dialect
        Known headers.
    where : str
        File or frame, for messages.

    Raises
    ------
    ArgumentError
        When the mapping names an unknown role, or one column for two roles.
    InputError
        When an asked-for column is missing, or a needed one is missing or ambiguous.

    Examples
    --------
    >>> from forecast.orders.dialect import GENERIC
    >>> map_columns(["Customer ID", "Date", "Amount"], None, GENERIC, "a.csv")
    {'customer_id': 'Customer ID', 'order_date': 'Date', 'value': 'Amount'}
    """
    asked = check_mapping(mapping)
    _refuse_duplicates(columns, where)
    found: dict[str, str] = {}
    for role, name in asked.items():
        if name is not None:
            found[role] = _asked_column(role, name, columns, where)
    for role in ROLES:
        if role in asked:
            continue
        free = [column for column in columns if column not in found.values()]
        candidates = _candidates(free, dialect.headers.get(role, ()))
        if len(candidates) == 1:
            found[role] = candidates[0]
        elif len(candidates) > 1 and role in REQUIRED:
            raise InputError(
                f"{len(candidates)} columns could be the {role}: {', '.join(candidates)}",
                where=where,
                advice=_how_to_map(role, candidates[0], columns),
            )
    for role in REQUIRED:
        if role in found or (role == "value" and "value" in asked):
            continue
        advice = _how_to_map(role, "COLUMN", columns)
        if role == "value":
            advice += " For a log without money: --map value= or mapping={'value': None}."
        raise InputError(f"no column looks like the {role}", where=where, advice=advice)
    return {role: found[role] for role in ROLES if role in found}


def check_mapping(mapping: Mapping[str, str | None] | None) -> dict[str, str | None]:
    """The mapping as a plain dict, its roles checked.

    Raises
    ------
    ArgumentError
        When a role is unknown, a needed role is None, or two roles share a column.

    Examples
    --------
    >>> check_mapping({"value": "Total"})
    {'value': 'Total'}
    """
    if mapping is None:
        return {}
    if not isinstance(mapping, Mapping):
        raise ArgumentError(
            f"mapping is a {type(mapping).__name__}", advice="Give a dict such as {'value': 'Total'}."
        )
    asked = dict(mapping)
    for role, name in asked.items():
        if role not in ROLES:
            raise ArgumentError(f"mapping has no role {role!r}", advice=f"Roles: {', '.join(ROLES)}.")
        if name is None and role in ("customer_id", "order_date"):
            raise ArgumentError(f"mapping says there is no {role}", advice="Orders cannot do without it.")
        if name is not None and not isinstance(name, str):
            raise ArgumentError(f"mapping of {role} is not a column name: {name!r}")
    names = [name for name in asked.values() if name is not None]
    for name in names:
        if names.count(name) > 1:
            raise ArgumentError(
                f"column {name!r} is mapped to two roles",
                advice="Give each role its own column, or map the other to nothing (--map ROLE= or None).",
            )
    return asked


def extra_names(extras: Sequence[str]) -> list[str]:
    """Names of the other columns in the orders table: unique, none of them canonical.

    Examples
    --------
    >>> extra_names(["channel", "items", "Channel", ""])
    ['channel', 'items_', 'Channel_', 'column_4']
    """
    taken = set(CANONICAL)
    names = []
    for number, header in enumerate(extras, start=1):
        name = header.strip() or f"column_{number}"
        while name.casefold() in taken:
            name += "_"
        taken.add(name.casefold())
        names.append(name)
    return names


def _refuse_duplicates(columns: Sequence[str], where: str) -> None:
    doubles = sorted({name for name in columns if name.strip() and list(columns).count(name) > 1})
    if doubles:
        raise InputError(
            f"column names occur more than once: {', '.join(doubles)}",
            where=where,
            advice="Rename or remove the duplicates; which one is meant cannot be known.",
        )


def _asked_column(role: str, name: str, columns: Sequence[str], where: str) -> str:
    if name in columns:
        return name
    alike = [column for column in columns if column.strip().casefold() == name.strip().casefold()]
    if len(alike) == 1:
        return alike[0]
    raise InputError(
        f"the column mapped to {role} is not there: {name!r}",
        where=where,
        advice=f"Columns found: {listed(columns)}.",
    )


def _candidates(columns: Sequence[str], tiers: Sequence[Sequence[str]]) -> list[str]:
    for tier in tiers:
        found = [column for column in columns if normalise(column) in tier]
        if found:
            return found
    return []


def listed(columns: Sequence[str]) -> str:
    """Names of columns for a message, not too many of them."""
    shown = [repr(name) for name in columns[:40]]
    return ", ".join(shown) + (f" and {len(columns) - 40} more" if len(columns) > 40 else "")


def _how_to_map(role: str, example: str, columns: Sequence[str]) -> str:
    return (
        f"Columns found: {listed(columns)}. Say which one it is: --map {role}={example} "
        f"or mapping={{{role!r}: {example!r}}}."
    )
