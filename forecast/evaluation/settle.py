"""Forecast vs actual of one quarter, line by line, and what a miss consists of.

Value is active customers × purchases an active customer × value a purchase; the logarithmic mean weights of
the three factors' ratios split a miss of value without a rest (Ang 2004, Energy Policy 32(9), LMDI-I).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from forecast.periods import level_label

TARGETS = ("purchases", "active", "value")
FACTORS = ("retention", "frequency", "value per purchase")
DECILES = 10


def level_columns(levels: Any) -> list[tuple[str, float]]:
    """Names and shares of interval ends: ``[("lo-80", 0.1), ("hi-80", 0.9)]``."""
    found = []
    for level in levels:
        label = level_label(level)
        found += [(f"lo-{label}", 0.5 - level / 200.0), (f"hi-{label}", 0.5 + level / 200.0)]
    return found


def settle_lines(
    totals: pd.DataFrame, customers: pd.DataFrame, scopes: list[str], levels: Any
) -> pd.DataFrame:
    """Issued lines beside what happened.

    Parameters
    ----------
    totals : DataFrame
        Of one quarter: ``target, scope, group, output_type, output_type_id, value``.
    customers : DataFrame
        A row a known customer: ``purchases, value`` as they happened, and the scopes' columns.
    scopes : list of str
        Columns of ``customers`` that lines were issued by.
    levels : sequence of float

    Returns
    -------
    DataFrame
        ``scope, group, target, forecast, lo-80, hi-80, …, actual, error, hit-80, …``; ``error`` is
        (forecast − actual) / actual, NaN where nothing happened.

    Examples
    --------
    >>> issued = pd.DataFrame({"target": "purchases", "scope": "total", "group": "all",
    ...     "output_type": ["mean", "quantile", "quantile"], "output_type_id": [np.nan, 0.1, 0.9],
    ...     "value": [12.0, 8.0, 15.0]})
    >>> happened = pd.DataFrame({"purchases": [4, 6], "value": [10.0, 20.0]})
    >>> settle_lines(issued, happened, [], [80]).round(2).to_dict("records")
    [{'scope': 'total', 'group': 'all', 'target': 'purchases', 'forecast': 12.0, 'lo-80': 8.0, 'hi-80': 15.0,
      'actual': 10.0, 'error': 0.2, 'hit-80': True}]
    """
    keys = ["scope", "group", "target"]
    means = totals[totals["output_type"] == "mean"].set_index(keys)["value"].rename("forecast")
    found = means.to_frame()
    ends = totals[totals["output_type"] == "quantile"]
    for name, share in level_columns(levels):
        own = ends[np.isclose(ends["output_type_id"], share)].set_index(keys)["value"]
        found[name] = own.reindex(found.index)
    actual: dict[tuple[str, str, str], float] = {}
    active = (customers["purchases"] > 0).astype(float)
    each = pd.DataFrame(
        {"purchases": customers["purchases"].astype(float), "active": active, "value": customers["value"]}
    )
    for target in TARGETS:
        actual["total", "all", target] = float(each[target].sum())
        for scope in scopes:
            for group, value in each.groupby(customers[scope].to_numpy())[target].sum().items():
                actual[scope, str(group), target] = float(value)
    found["actual"] = [actual.get((str(s), str(g), str(t)), 0.0) for s, g, t in found.index]
    with np.errstate(divide="ignore", invalid="ignore"):
        error = (found["forecast"] - found["actual"]) / found["actual"]
    found["error"] = error.where(found["actual"] != 0.0)
    for level in levels:
        label = level_label(level)
        found[f"hit-{label}"] = found["actual"].between(found[f"lo-{label}"], found[f"hi-{label}"])
    return found.reset_index()


def bridge(forecast: dict[str, float], actual: dict[str, float]) -> dict[str, float]:
    """From forecast to actual value of known customers: what each factor adds; the parts add up.

    Parameters
    ----------
    forecast, actual : dict
        ``purchases, active, value``.

    Returns
    -------
    dict
        :data:`FACTORS`; empty where one of the totals is not positive.

    Examples
    --------
    >>> parts = bridge({"active": 100.0, "purchases": 200.0, "value": 4000.0},
    ...                {"active": 90.0, "purchases": 200.0, "value": 4400.0})
    >>> {name: round(v) for name, v in parts.items()}, round(sum(parts.values()), 6)
    ({'retention': -442, 'frequency': 442, 'value per purchase': 400}, 400.0)
    """
    if min(*(forecast[t] for t in TARGETS), *(actual[t] for t in TARGETS)) <= 0.0:
        return {}
    change = actual["value"] - forecast["value"]
    logs = np.log(actual["value"] / forecast["value"])
    weight = forecast["value"] if abs(logs) < 1e-9 else change / logs

    def factors(own: dict[str, float]) -> tuple[float, ...]:
        return own["active"], own["purchases"] / own["active"], own["value"] / own["purchases"]

    pairs = zip(FACTORS, factors(forecast), factors(actual), strict=True)
    return {name: float(weight * np.log(after / before)) for name, before, after in pairs}


def deciles(expected: pd.Series, actual: pd.Series) -> pd.DataFrame:
    """Customers in tenths of what was expected of them, the lowest first: ``group, forecast, actual``.

    Examples
    --------
    >>> deciles(pd.Series([1.0, 3.0]), pd.Series([0, 4]))["actual"].sum()
    np.float64(4.0)
    """
    order = np.argsort(expected.to_numpy(), kind="stable")
    tenth = np.empty(len(order), np.int64)
    tenth[order] = np.arange(len(order)) * DECILES // max(len(order), 1) + 1
    found = pd.DataFrame({"forecast": expected.to_numpy(), "actual": actual.to_numpy(dtype=float)})
    found = found.groupby(tenth).sum()
    return found.rename_axis("group").reset_index().astype({"group": str})
