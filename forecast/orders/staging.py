"""All sources under one another, with the roles found and the cells still as they came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from forecast.errors import InputError
from forecast.orders.cells import is_nested
from forecast.orders.columns import extra_names, map_columns
from forecast.orders.dialect import Dialect
from forecast.orders.sources import Source
from forecast.orders.sql import ident, text, trimmed


@dataclass
class Staging:
    """One view over all sources: ``file, row, is_blank``, one column a role, and the extra columns.

    Parameters
    ----------
    view : str
        Name of the view; its role columns ``r:...`` are trimmed.
    mapping : dict of role to header
        As found in the first source.
    types : dict of role to database type
    extras : dict of str to str
        Name in the orders table, and in the data, of every other column.
    semicolons : bool
        Whether a source is separated by semicolons, as where the comma is decimal.
    """

    view: str
    mapping: dict[str, str]
    types: dict[str, str]
    extras: dict[str, str]
    semicolons: bool = False


def stage(
    connection: Any,
    sources: list[Source],
    mapping: Mapping[str, str | None] | None,
    dialect: Dialect,
    view: str,
) -> Staging:
    """Build the view; the first source decides the roles, all others must have the same columns.

    Raises
    ------
    InputError
        When a column is missing or ambiguous, or holds lists or structures.
    """
    first = sources[0]
    roles = map_columns(first.columns, mapping, dialect, first.label)
    places = [_places(source, roles, first.label) for source in sources]
    extras: list[str] = []
    for source, place in zip(sources, places, strict=True):
        taken = set(place.values())
        for i, column in enumerate(source.columns):
            if i not in taken and column not in extras:
                extras.append(column)
    names = dict(zip(extra_names(extras), extras, strict=True))
    columns: dict[str, list[int | None]] = {role: [place[role] for place in places] for role in roles}
    for name, header in names.items():
        columns[f"x:{name}"] = [
            source.columns.index(header) if header in source.columns else None for source in sources
        ]
    types = {key: _common_type(sources, at) for key, at in columns.items()}
    for role, header in roles.items():
        if is_nested(types[role]):
            raise InputError(
                f"column {header!r} holds {types[role]}",
                where=first.label,
                advice=f"Map a column of plain cells to {role}.",
            )
    arms = [
        _arm(number, source, {key: at[number] for key, at in columns.items()}, types)
        for number, source in enumerate(sources)
    ]
    everything = " UNION ALL ".join(arms)
    connection.execute(f"CREATE OR REPLACE VIEW {view} AS {everything}")
    padded = _padded(connection, view, [role for role in roles if types[role] == "VARCHAR"])
    if padded:
        clean = ", ".join(f"{trimmed(ident(f'r:{role}'))} AS {ident(f'r:{role}')}" for role in padded)
        connection.execute(f"CREATE OR REPLACE VIEW {view} AS SELECT * REPLACE ({clean}) FROM ({everything})")
    semicolons = any(source.delimiter == ";" for source in sources)
    return Staging(view, roles, {role: types[role] for role in roles}, names, semicolons)


def _places(source: Source, roles: dict[str, str], first: str) -> dict[str, int]:
    missing = [header for header in roles.values() if header not in source.columns]
    if missing:
        raise InputError(
            f"columns of {first} are missing here: {', '.join(map(repr, missing))}",
            where=source.label,
            advice="Files read together need the same column names; rename its columns.",
        )
    return {role: source.columns.index(header) for role, header in roles.items()}


def _padded(connection: Any, view: str, roles: list[str]) -> list[str]:
    """Roles with white space around some cell; trimming all others would only cost time."""
    if not roles:
        return []
    # A look at the first and the last character; whatever sorts before "!" is white or not printed.
    tests = ", ".join(
        f"coalesce(bool_or({cell} < '!' OR starts_with({cell}, chr(160)) OR right({cell}, 1) < '!' "
        f"OR suffix({cell}, chr(160))), false)"
        for cell in (ident(f"r:{role}") for role in roles)
    )
    found = connection.execute(f"SELECT {tests} FROM {view}").fetchall()[0]
    return [role for role, yes in zip(roles, found, strict=True) if yes]


def _common_type(sources: list[Source], at: list[int | None]) -> str:
    types = {source.types[i] for source, i in zip(sources, at, strict=True) if i is not None}
    return types.pop() if len(types) == 1 else "VARCHAR"


def _arm(number: int, source: Source, at: dict[str, int | None], types: dict[str, str]) -> str:
    picked = []
    for key, i in at.items():
        name = key if key.startswith("x:") else f"r:{key}"
        cell = "NULL" if i is None else source.cells[i]
        if i is None or source.types[i] != types[key]:
            cell = f"CAST({cell} AS {types[key]})"
        picked.append(f"{cell} AS {ident(name)}")
    blank = " AND ".join(f"{cell} IS NULL" for cell in source.cells)
    return (
        f"SELECT CAST({number} AS INTEGER) AS file, {text(source.label)} AS source_file, "
        f"CAST({source.row} AS BIGINT) AS row, ({blank}) AS is_blank, {', '.join(picked)} "
        f"FROM {source.relation}"
    )
