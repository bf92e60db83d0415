"""Forecast vs actual of one quarter, line by line, and what a miss consists of.

Value of known customers is customers who bought × their mix × purchases of one × value of a purchase, that of
new ones customers won × value of one. The logarithmic mean weights of the factors' ratios split a miss
without a rest (Ang 2004, Energy Policy 32(9), LMDI-I).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from forecast.periods import level_label

TARGETS = ("purchases", "active", "value")
KNOWN_FACTORS = ("retention", "mix", "frequency", "value per purchase")
NEW_FACTORS = ("acquisition", "value per new customer")
FACTORS = (*KNOWN_FACTORS, *NEW_FACTORS)
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
        A row a customer: ``purchases, value`` as they happened, ``acquired`` (0 or 1: first bought in the
        quarter), ``who`` (``known`` or ``new``) and the scopes' columns.
    scopes : list of str
        Columns of ``customers`` that lines were issued by.
    levels : sequence of float

    Returns
    -------
    DataFrame
        ``scope, group, target, forecast, lo-80, hi-80, …, actual, error, hit-80, …``; ``error`` is
        (forecast − actual) / actual, NaN where nothing happened. A group that nobody forecast has a line
        with forecast 0, so that every scope adds up to the total.

    Examples
    --------
    >>> issued = pd.DataFrame({"target": "purchases", "scope": "total", "group": "all",
    ...     "output_type": ["mean", "quantile", "quantile"], "output_type_id": [np.nan, 0.1, 0.9],
    ...     "value": [12.0, 8.0, 15.0]})
    >>> happened = pd.DataFrame({"purchases": [4, 6], "value": [10.0, 20.0], "acquired": 0, "who": "known"})
    >>> settle_lines(issued, happened, [], [80]).round(2).to_dict("records")
    [{'scope': 'total', 'group': 'all', 'target': 'purchases', 'forecast': 12.0, 'lo-80': 8.0, 'hi-80': 15.0,
      'actual': 10.0, 'error': 0.2, 'hit-80': True}]
    """
    keys = ["scope", "group", "target"]
    means = totals[totals["output_type"] == "mean"].set_index(keys)["value"].rename("forecast")
    each = customers[["purchases", "value", "acquired"]].astype(float)
    each["active"] = (each["purchases"] > 0).astype(float)
    actual: dict[tuple[str, str, str], float] = {}
    issued = set(totals["target"])
    for target in ("purchases", "active", "value", "acquired"):
        if target not in issued:
            continue
        actual["total", "all", target] = float(each[target].sum())
        for scope in ("who", *scopes):
            for group, value in each.groupby(customers[scope].to_numpy())[target].sum().items():
                if value != 0.0 or ("total" if scope == "who" else scope, str(group), target) in means.index:
                    actual["total" if scope == "who" else scope, str(group), target] = float(value)
    unforeseen = [key for key in actual if key not in means.index and key[0] != "total"]
    found = means.to_frame()
    if unforeseen:
        nothing = pd.DataFrame({"forecast": 0.0}, pd.MultiIndex.from_tuples(unforeseen, names=keys))
        found = pd.concat([found, nothing])
    ends = totals[totals["output_type"] == "quantile"]
    for name, share in level_columns(levels):
        own = ends[np.isclose(ends["output_type_id"], share)].set_index(keys)["value"]
        found[name] = own.reindex(found.index).fillna(0.0)
    found["actual"] = [actual.get((str(s), str(g), str(t)), 0.0) for s, g, t in found.index]
    found["error"] = relative_error(found["forecast"], found["actual"])
    for level in levels:
        label = level_label(level)
        found[f"hit-{label}"] = found["actual"].between(found[f"lo-{label}"], found[f"hi-{label}"])
    return found.reset_index()


def relative_error(forecast: pd.Series, actual: pd.Series) -> pd.Series:
    """(forecast − actual) / actual, NaN where nothing happened."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return ((forecast - actual) / actual).where(actual != 0.0)


def bridge(lines: pd.DataFrame) -> dict[str, float]:
    """From forecast to actual value: what each factor adds; the parts add up.

    Parameters
    ----------
    lines : DataFrame
        As :func:`settle_lines` gives them: known customers by ``repeat_purchases``, whose classes are
        the mix, and ``total`` for new ones.

    Returns
    -------
    dict
        :data:`KNOWN_FACTORS` and, where new customers were forecast or came, :data:`NEW_FACTORS`. Classes of
        which nothing was forecast or came are taken together, at the price of the mix; empty where the total
        of known customers is not positive.

    Examples
    --------
    >>> rows = [("repeat_purchases", "0", target, said, came) for target, said, came in
    ...         [("active", 100.0, 90.0), ("purchases", 200.0, 200.0), ("value", 4000.0, 4400.0)]]
    >>> parts = bridge(pd.DataFrame(rows, columns=["scope", "group", "target", "forecast", "actual"]))
    >>> {name: round(v) for name, v in parts.items()}, round(sum(parts.values()), 6)
    ({'retention': -442, 'mix': 0, 'frequency': 442, 'value per purchase': 400}, 400.0)
    """
    classes = lines[(lines["scope"] == "repeat_purchases") & (lines["group"] != "new")]
    said, came = (
        classes.pivot(index="group", columns="target", values=name)[list(TARGETS)]
        for name in ("forecast", "actual")
    )
    if (said <= 0.0).any(axis=None) or (came <= 0.0).any(axis=None):
        said, came = (own.sum().to_frame().T for own in (said, came))
    if (said <= 0.0).any(axis=None) or (came <= 0.0).any(axis=None):
        return {}
    weight = _logarithmic_mean(said["value"].to_numpy(), came["value"].to_numpy())

    def factors(own: pd.DataFrame) -> list[np.ndarray]:
        buyers = own["active"].sum()
        return [
            np.full(len(own), buyers), (own["active"] / buyers).to_numpy(),
            (own["purchases"] / own["active"]).to_numpy(), (own["value"] / own["purchases"]).to_numpy(),
        ]  # fmt: skip

    pairs = zip(KNOWN_FACTORS, factors(said), factors(came), strict=True)
    found = {name: float(weight @ np.log(after / before)) for name, before, after in pairs}
    return {**found, **_bridge_of_new(lines)}


def _bridge_of_new(lines: pd.DataFrame) -> dict[str, float]:
    new = lines[(lines["scope"] == "total") & (lines["group"] == "new")].set_index("target")
    if new.empty or not new.loc[["active", "value"], ["forecast", "actual"]].to_numpy().any():
        return {}
    ends = new.loc[["active", "value"], ["forecast", "actual"]].to_numpy(dtype=float)
    (said, came), (said_value, came_value) = ends
    if min(said, said_value, came, came_value) <= 0.0:
        return dict(zip(NEW_FACTORS, (came_value - said_value, 0.0), strict=True))
    by_number = float(_logarithmic_mean(ends[1, :1], ends[1, 1:])[0] * np.log(came / said))
    return dict(zip(NEW_FACTORS, (by_number, came_value - said_value - by_number), strict=True))


def _logarithmic_mean(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    logs = np.log(after / before)
    near = np.abs(logs) < 1e-9
    mean: np.ndarray = np.where(near, before, (after - before) / np.where(near, 1.0, logs))
    return mean


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
