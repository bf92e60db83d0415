"""Customers' traits as numbers: what a model learned about columns, kept so that new data are encoded alike.

A number is standardised, a column of zeros and ones is taken as it is, words become one column a level
with the most frequent level as reference. Columns of orders arrive as text: one whose every value reads as
a number is a number, unless it is named ``C(column)``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from forecast.errors import ArgumentError, InputError
from forecast.summary.statistics import distinct_traits

OTHER = "(any other)"
_MOST_LEVELS = 50
_FILL = "Fill it, or leave the column out."


@dataclass(frozen=True)
class Term:
    """One column and how it is encoded.

    Attributes
    ----------
    column : str
    kind : {'number', 'flag', 'category', 'group'}
    centre, spread : float
        Of a number.
    levels : tuple of str
        Of a category without its reference, or of a group.
    reference : str
        The level that a category's effects are relative to.
    """

    column: str
    kind: str
    centre: float = 0.0
    spread: float = 1.0
    levels: tuple[str, ...] = ()
    reference: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        if self.kind == "group":
            return (*self.levels, OTHER)
        return tuple(f"{self.column}={level}" for level in self.levels) or (self.column,)

    def encode(self, values: pd.Series, customers: np.ndarray | None = None) -> np.ndarray:
        """Rows of numbers, shape (n, len(names)); ``customers`` behind each row are counted in messages.

        Raises
        ------
        InputError
            When a value is missing or no number, or a category has a level that was not there before.
        """
        if self.kind in ("number", "flag"):
            numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=float)
            _refuse(~np.isfinite(numbers), self.column, "is blank or no number", _FILL, customers)
            return ((numbers - self.centre) / self.spread)[:, None]
        text = _text(values, self.column, customers)
        place = pd.Index(self.levels).get_indexer(pd.Index(text))
        if self.kind == "group":  # a group that was not there before is drawn from the population of groups
            place = np.where(place < 0, len(self.levels), place)
        else:
            unseen = (place < 0) & (text != self.reference).to_numpy()
            levels = ", ".join(sorted(set(text[unseen]))[:3])
            _refuse(
                unseen, self.column, f"has levels that the model has not seen ({levels})",
                "Fit again with them, or group them under a known level.", customers,
            )  # fmt: skip
        return (place[:, None] == np.arange(len(self.names))).astype(float)


def _refuse(
    bad: np.ndarray, column: str, what: str, advice: str, customers: np.ndarray | None = None
) -> None:
    if bad.any():
        count = bad.sum() if customers is None else customers[bad].sum()
        raise InputError(f"{column} {what}", where=f"column {column!r}", count=int(count), advice=advice)


def _text(values: pd.Series, column: str, customers: np.ndarray | None = None) -> pd.Series:
    advice = "Give blanks a name of their own, such as unknown."
    _refuse(values.isna().to_numpy(), column, "is blank", advice, customers)
    return values.astype(str)


@dataclass(frozen=True)
class Design:
    """Terms of a model, and the matrix they make of a table of customers."""

    terms: tuple[Term, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(term.column for term in self.terms)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for term in self.terms for name in term.names)

    def matrix(self, cells: pd.DataFrame, customers: np.ndarray | None = None) -> np.ndarray:
        """Encoded rows, shape (cells, len(names)); ``customers`` behind each are counted in messages.

        Raises
        ------
        InputError
            When a column is missing or holds what cannot be encoded.
        """
        missing = [column for column in self.columns if column not in cells]
        if missing:
            raise InputError(
                f"the model needs the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}",
                advice="Give the traits that the model was fitted with.",
            )
        parts = [term.encode(cells[term.column], customers) for term in self.terms]
        return np.concatenate(parts, axis=1)

    def to_dict(self) -> list[dict[str, Any]]:
        return [asdict(term) for term in self.terms]

    @classmethod
    def from_dict(cls, data: list[dict[str, Any]]) -> Design:
        return cls(tuple(Term(**{**term, "levels": tuple(term["levels"])}) for term in data))


@dataclass(frozen=True)
class Traits:
    """What a fit is told of its customers beside their histories.

    Attributes
    ----------
    cells : pandas.DataFrame
        Distinct rows of traits; the counts say which one each customer has.
    by : str, optional
        A column whose groups are partially pooled.
    covariates : dict of str to list of str
        Columns by what they act on; see :func:`check_covariates`.
    """

    cells: pd.DataFrame
    by: str | None
    covariates: dict[str, list[str]]


def read_traits(
    frame: pd.DataFrame,
    by: str | None,
    covariates: Mapping[str, str | Sequence[str]] | None,
    known: Sequence[str],
) -> tuple[np.ndarray | None, Traits | None]:
    """Each customer's cell and the traits of the cells; None where none are asked for.

    Raises
    ------
    ArgumentError
        When an effect is unknown.
    InputError
        When a column is missing.
    """
    checked = check_covariates(covariates, known)
    names = [covariate_column(name) for own in checked.values() for name in own]
    columns = list(dict.fromkeys([*([] if by is None else [by]), *names]))
    if not columns:
        return None, None
    missing = [column for column in columns if column not in frame]
    if missing:
        raise InputError(
            f"there is no column {', '.join(missing)}",
            advice=f"Columns: {', '.join(str(column) for column in frame.columns)}.",
        )
    cell, cells = distinct_traits(frame, columns)
    return cell, Traits(cells, by, checked)


def learn_groups(column: str, cells: pd.DataFrame) -> Term:
    """The groups of a column, sorted.

    Raises
    ------
    InputError
        When values are missing.
    """
    return Term(column, "group", levels=tuple(sorted(set(_text(cells[column], column)))))


def learn_covariate(name: str, cells: pd.DataFrame, weight: np.ndarray) -> Term:
    """How a column is to be encoded, from the customers it is fitted on.

    Parameters
    ----------
    name : str
        A column, or ``C(column)`` to take numbers as categories.
    cells : pandas.DataFrame
    weight : ndarray, shape (cells,)
        Customers behind each row.

    Raises
    ------
    InputError
        When values are missing, do not vary, or have more than 50 levels.

    Examples
    --------
    >>> cells = pd.DataFrame({"age": [20, 40], "country": ["DE", "NL"]})
    >>> learn_covariate("age", cells, np.array([1.0, 1.0])).spread
    10.0
    >>> learn_covariate("country", cells, np.array([3.0, 1.0])).names
    ('country=NL',)
    """
    column = covariate_column(name)
    if column not in cells:
        raise InputError(
            f"there is no column {column!r}", advice=f"Columns: {', '.join(map(str, cells.columns))}."
        )
    values = cells[column]
    _refuse(values.isna().to_numpy(), column, "is blank", _FILL)
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=float)
    fine = np.isfinite(numbers)
    if name == column and fine.mean() > 0.5 and not fine.all():
        advice = f"Fill it, or give C({column})."
        _refuse(~fine, column, "is a number for most customers but not for all", advice)
    if name == column and fine.all():
        if set(numbers) == {0.0, 1.0}:
            return Term(column, "flag")
        centre = float(np.average(numbers, weights=weight))
        spread = float(np.sqrt(np.average((numbers - centre) ** 2, weights=weight)))
        if spread > 1e-12 * (1.0 + abs(centre)):
            return Term(column, "number", centre, spread)
        raise InputError(f"{column} is the same for all customers", advice="Leave the column out.")
    customers = pd.Series(weight).groupby(values.astype(str).to_numpy()).sum()
    if len(customers) < 2:
        raise InputError(f"{column} is the same for all customers", advice="Leave the column out.")
    if len(customers) > _MOST_LEVELS:
        raise InputError(
            f"{column} has {len(customers)} levels, more than {_MOST_LEVELS}",
            advice=f"Use by={column!r}, which pools them, or merge rare levels.",
        )
    reference = str(customers.idxmax())  # ties: the first by name
    levels = tuple(str(level) for level in customers.index if level != reference)
    return Term(column, "category", levels=levels, reference=reference)


def covariate_column(name: str) -> str:
    """The column that a covariate names: ``C(zip)`` is ``zip``."""
    return name[2:-1] if name.startswith("C(") and name.endswith(")") else name


def check_covariates(
    covariates: Mapping[str, str | Sequence[str]] | None, known: Sequence[str]
) -> dict[str, list[str]]:
    """Covariates by what they act on, each column once.

    Raises
    ------
    ArgumentError
        When an effect is unknown.

    Examples
    --------
    >>> check_covariates({"rate": "channel"}, ["rate", "dropout"])
    {'rate': ['channel']}
    """
    found: dict[str, list[str]] = {}
    for effect, given in (covariates or {}).items():
        if effect not in known:
            raise ArgumentError(
                f"covariates cannot act on {effect!r}", advice=f"They act on {', '.join(known)}."
            )
        names = [given] if isinstance(given, str) else list(given)
        if names:
            found[effect] = list(dict.fromkeys(names))
    return found
