"""Payloads of saved models as JSON that gives every number back exactly.

Floats are written in Python's shortest form, which reads back to the same bits; NaN and the infinities as
``{"__float__": "nan"}``, ``"inf"``, ``"-inf"``, so that they differ from ``null``. Arrays and tuples become
lists, days ISO text.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from forecast.errors import ArgumentError

FLOAT = "__float__"
_NAMED = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def encode(value: Any, where: str = "payload") -> Any:
    """A payload as nested plain values without NaN.

    Raises
    ------
    ArgumentError
        When something has no plain form; the message names its place.

    Examples
    --------
    >>> encode({"r": np.float64(0.1), "draws": np.array([1.0, np.inf])})
    {'r': 0.1, 'draws': [1.0, {'__float__': 'inf'}]}
    """
    if isinstance(value, np.generic | np.ndarray):
        if value.dtype.kind not in "biufU":
            raise ArgumentError(
                f"an array of {value.dtype} cannot be saved", where=where, advice="Save numbers or text."
            )
        value = value.tolist()
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        if not value.isascii() and value != value.encode("utf-8", "replace").decode("utf-8"):
            raise ArgumentError("a text is not valid Unicode", where=where, advice="Repair the text.")
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return {FLOAT: "nan" if value != value else ("inf" if value > 0 else "-inf")}
    if isinstance(value, dt.date) and value == value:  # NaT differs from itself
        return value.isoformat()
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str) or key == FLOAT:
                raise ArgumentError(f"a key cannot be saved: {key!r}", where=where, advice="Use text keys.")
        return {key: encode(item, f"{where}[{key!r}]") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item, f"{where}[{place}]") for place, item in enumerate(value)]
    raise ArgumentError(
        f"a {type(value).__name__} cannot be saved",
        where=where,
        advice="Save numbers, text, days, lists, arrays and mappings.",
    )


def decode(value: Any) -> Any:
    """The payload back from its encoded form.

    Raises
    ------
    ValueError
        When a marked float has an unknown name.

    Examples
    --------
    >>> decode({"a": [1.5, {"__float__": "-inf"}]})
    {'a': [1.5, -inf]}
    """
    if isinstance(value, list):
        return [decode(item) for item in value]
    if isinstance(value, dict):
        if FLOAT in value:
            name = value[FLOAT]
            if len(value) != 1 or name not in _NAMED:
                raise ValueError(f"a float is written as {value!r}")
            return _NAMED[name]
        return {key: decode(item) for key, item in value.items()}
    return value


def parse_strict(text: str) -> Any:
    """JSON read without leniency: no repeated keys, no bare NaN.

    Raises
    ------
    ValueError
        When the text is not such JSON.

    Examples
    --------
    >>> parse_strict('{"a": 1, "a": 2}')
    Traceback (most recent call last):
    ValueError: the key 'a' is repeated
    """

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key, item in items:
            if key in mapping:
                raise ValueError(f"the key {key!r} is repeated")
            mapping[key] = item
        return mapping

    def constant(name: str) -> None:
        raise ValueError(f"a bare {name}")

    try:
        return json.loads(text, object_pairs_hook=pairs, parse_constant=constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def fingerprint(content: Mapping[str, Any]) -> str:
    """SHA-256 of a mapping's canonical JSON: sorted keys, no spaces, UTF-8.

    Layout does not count, so a reformatted file still verifies; every value does.

    Raises
    ------
    ValueError
        When the mapping holds a bare NaN.

    Examples
    --------
    >>> fingerprint({"b": 1, "a": 2}) == fingerprint({"a": 2, "b": 1})
    True
    """
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
