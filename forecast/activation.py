"""Scores as files that Klaviyo and Shopify read: properties of profiles, tags and metafields of customers.

Frames only; the command writes them as CSV with every cell of text disarmed (see ``forecast.store.writing``).
Formats as documented in 2026: Klaviyo's upload of profiles (help article 115005078967), where each header
that is no property of Klaviyo's own becomes a custom property, and Matrixify's ``Customers`` sheet for
Shopify, whose metafields are headed ``Metafield: namespace.key [type]``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from forecast.errors import ArgumentError, InputError
from forecast.predict.timing import OVERDUE_FROM

EMAIL, NUMBER, OTHER = "email", "number", "other"
_PATTERNS = {EMAIL: r"[^@\s,;]+@[^@\s,;]+\.[^@\s,;]+", NUMBER: r"[1-9][0-9]*"}
_KLAVIYO_IDS = {EMAIL: "Email", NUMBER: "External ID", OTHER: "External ID"}
_SHOPIFY_IDS = {EMAIL: "Email", NUMBER: "ID", OTHER: "Customer ID"}

# Column of the scores, Klaviyo's property, Shopify's metafield.
_PROPERTIES = (
    ("expected_value", "Predicted CLV", "predicted_clv [number_decimal]"),
    ("expected_purchases", "Expected Orders", "expected_orders [number_decimal]"),
    ("p_purchase", "Churn Risk", "churn_risk [number_decimal]"),
    ("next_purchase_median", "Expected Next Order", "expected_next_order [date]"),
    ("tier", "CLV Tier", "clv_tier [single_line_text_field]"),
    ("rfm_group", "RFM Group", "rfm_group [single_line_text_field]"),
    ("overdue", "Overdue", "overdue [number_decimal]"),
)


def identity_of(parts: Iterable[pd.Series]) -> str:
    """What customer ids are: ``email`` or ``number`` when all of them are, else ``other``.

    Parameters
    ----------
    parts : iterable of pandas.Series
        Customer ids, in parts.

    Returns
    -------
    {'email', 'number', 'other'}
        A number is as Shopify's: digits that do not begin with 0.

    Examples
    --------
    >>> identity_of([pd.Series(["ann@example.com"]), pd.Series(["bob@example.com"])])
    'email'
    >>> identity_of([pd.Series(["44920047631"])]), identity_of([pd.Series(["00123"])])
    ('number', 'other')
    """
    possible = list(_PATTERNS)
    for ids in parts:
        text = ids.astype("str")
        possible = [kind for kind in possible if bool(text.str.fullmatch(_PATTERNS[kind]).all())]
        if not possible:
            break
    return possible[0] if possible else OTHER


def klaviyo(scores: pd.DataFrame, identity: str | None = None) -> pd.DataFrame:
    """Profiles with properties for an upload to Klaviyo.

    Parameters
    ----------
    scores : pandas.DataFrame
        As :meth:`forecast.Model.score` gives.
    identity : {'email', 'number', 'other'}, optional
        What customer ids are; seen in ``scores`` by default.

    Returns
    -------
    pandas.DataFrame
        ``Email`` (or ``External ID``, to be mapped at the upload), ``Predicted CLV`` (expected value in the
        horizon of the scores, left out without money), ``Expected Orders``, ``Churn Risk`` (the chance to buy
        nothing in the horizon), ``Expected Next Order`` (day by which an order is as likely as not; blank
        beyond the horizon), ``CLV Tier``, ``RFM Group``, ``Overdue`` (a probability). Two decimals.

    Raises
    ------
    InputError
        When a column of scores is missing.

    Notes
    -----
    An upload adds profiles that Klaviyo does not have; it is no consent to be written to. Klaviyo does not
    clear a property where a cell is blank.

    Examples
    --------
    >>> scores = pd.DataFrame({"customer_id": ["ann@example.com"], "expected_value": [81.237],
    ...     "expected_purchases": [1.4142], "p_purchase": [0.751], "tier": ["gold"], "rfm_group": ["loyal"],
    ...     "next_purchase_median": pd.to_datetime(["2026-05-01"]), "overdue": [0.2]})
    >>> klaviyo(scores)[["Email", "Predicted CLV", "Churn Risk", "CLV Tier"]]
                 Email  Predicted CLV  Churn Risk CLV Tier
    0  ann@example.com          81.24        0.25     gold
    """
    _check(scores)
    found = pd.DataFrame({_KLAVIYO_IDS[_identity(scores, identity)]: scores["customer_id"]})
    for column, name, _ in _PROPERTIES:
        if column in scores:
            found[name] = _shown(scores, column)
    return found.reset_index(drop=True)


def shopify(scores: pd.DataFrame, identity: str | None = None) -> pd.DataFrame:
    """Customers with tags and metafields for an import to Shopify with Matrixify.

    Parameters
    ----------
    scores : pandas.DataFrame
        As :meth:`forecast.Model.score` gives.
    identity : {'email', 'number', 'other'}, optional
        What customer ids are; seen in ``scores`` by default.

    Returns
    -------
    pandas.DataFrame
        ``ID`` (ids that are Shopify's numbers), ``Email`` or, for ids of neither kind, ``Customer ID``, which
        is to be replaced by one of these; ``Command`` (``UPDATE``: nobody is added); ``Tags``
        (``clv-tier-gold, rfm-champions`` and, from a probability of 0.9, ``overdue``); ``Tags Command``
        (``MERGE``: other tags stay); metafields ``Metafield: custom.predicted_clv [number_decimal]`` and so
        on, as :func:`klaviyo` has them.

    Raises
    ------
    InputError
        When a column of scores is missing.

    Notes
    -----
    Merged tags stay when a customer's tier changes: take last quarter's ``clv-tier-`` and ``rfm-`` tags away
    first, or build segments on the metafields, which are replaced.

    Examples
    --------
    >>> scores = pd.DataFrame({"customer_id": ["44920047631"], "expected_purchases": [1.4142],
    ...     "p_purchase": [0.751], "tier": ["gold"], "rfm_group": ["at risk"], "overdue": [0.93],
    ...     "next_purchase_median": pd.to_datetime(["2026-05-01"])})
    >>> shopify(scores).iloc[0].tolist()[:4]
    ['44920047631', 'UPDATE', 'clv-tier-gold, rfm-at-risk, overdue', 'MERGE']
    """
    _check(scores)
    found = pd.DataFrame({_SHOPIFY_IDS[_identity(scores, identity)]: scores["customer_id"]})
    # Few combinations: each is written once.
    late = scores["overdue"] >= OVERDUE_FROM
    place, kinds = pd.factorize(pd.MultiIndex.from_arrays([scores["tier"], scores["rfm_group"], late]))
    tags = pd.array([_tags(*kind) for kind in kinds], dtype="str")
    found["Command"] = "UPDATE"
    found["Tags"] = tags.take(place)
    found["Tags Command"] = "MERGE"
    for column, _, name in _PROPERTIES:
        if column in scores:
            found[f"Metafield: custom.{name}"] = _shown(scores, column)
    return found.reset_index(drop=True)


def check_list(path: Any) -> None:
    """Refuse a list in a format that nobody imports.

    Raises
    ------
    ArgumentError

    Examples
    --------
    >>> check_list("klaviyo.csv")
    """
    if not str(path).lower().endswith(".csv"):
        raise ArgumentError(f"a list for an import is CSV, not {path}", advice="Give a name with .csv.")


def _check(scores: pd.DataFrame) -> None:
    needed = ["customer_id", *(name for name, _, _ in _PROPERTIES if name != "expected_value")]
    missing = [name for name in needed if name not in scores]
    if missing:
        raise InputError(
            f"the scores lack {', '.join(missing)}", advice="Give the table that model.score returns."
        )


def _identity(scores: pd.DataFrame, identity: str | None) -> str:
    return identity_of([scores["customer_id"]]) if identity is None else identity


def _shown(scores: pd.DataFrame, column: str) -> Any:
    values = scores[column]
    if column == "p_purchase":
        values = 1.0 - values
    return np.round(values, 2) if pd.api.types.is_float_dtype(values.dtype) else values


def _tags(tier: Any, group: Any, late: Any) -> str:
    named = [f"{start}{name.replace(' ', '-')}" for start, name in (("clv-tier-", tier), ("rfm-", group))
             if isinstance(name, str)]  # fmt: skip
    return ", ".join([*named, "overdue"] if late else named)
