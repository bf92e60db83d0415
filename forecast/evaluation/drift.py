"""Whether the shop has moved away from its forecasts: checks with published rules, each with a light.

Green: nothing to do. Amber: look. Red: the next forecast should not be issued with this model.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

GREEN, AMBER, RED = "green", "amber", "red"
RULES: dict[str, str] = {
    "last quarters": "how many of the last two settled quarters were outside their widest interval; amber "
    "from one, red when both were, on the same side",
    "bias": "tracking signal: errors added up over their mean size, last eight quarters; amber from 3, red "
    "from 5",
    "known customers": "population stability index of customers by repeat purchases, against the first "
    "forecast with this model, or the one before if it is new; amber from 0.1, red from 0.25",
    "new customers": "those won in the last settled quarter, over the forecast, less 1; amber when outside "
    "the narrowest interval, red when outside the widest",
    "parameters": "largest relative change of a parameter since the model before, of those that moved by "
    "four standard errors or more; amber from 0.25: the shop has changed, which is no fault of the model",
    "age of the model": "days between its last order and the forecast; amber from 185, red from 370",
}
_LAST = 8
_FLOOR = 1e-4


def stability_index(before: pd.Series, after: pd.Series) -> float:
    """Population stability index of two distributions over the same classes, given as counts.

    Examples
    --------
    >>> stability_index(pd.Series({"a": 50, "b": 50}), pd.Series({"a": 500, "b": 500}))
    0.0
    >>> round(stability_index(pd.Series({"a": 50, "b": 50}), pd.Series({"a": 80, "b": 20})), 3)
    0.416
    """
    both = pd.concat([before, after], axis=1).fillna(0.0).to_numpy(dtype=float)
    share = np.maximum(both / np.maximum(both.sum(axis=0), 1e-12), _FLOOR)
    return float(((share[:, 1] - share[:, 0]) * np.log(share[:, 1] / share[:, 0])).sum())


def drift_table(
    record: pd.DataFrame,
    classes: Sequence[pd.Series],
    parameters: Sequence[Mapping[str, Mapping[str, float]]],
    fitted_on: dt.date,
    issued_from: dt.date,
) -> pd.DataFrame:
    """Checks of inputs, parameters and errors.

    Parameters
    ----------
    record : DataFrame
        The track record, all targets and groups.
    classes : sequence of Series
        Known customers by repeat purchases at the first forecast with the model in use, and at the last.
    parameters : sequence of mapping
        ``{name: {"estimate", "standard_error"}}`` of the model before, where there is one, and of the last.
    fitted_on, issued_from : datetime.date
        Last order day of the model in use, and of the last forecast.

    Returns
    -------
    DataFrame
        ``check, value, light, rule``; a check that cannot be made has no value and no light.

    Examples
    --------
    >>> day = dt.date(2026, 9, 30)
    >>> same = pd.Series({"0": 70, "1+": 30})
    >>> found = drift_table(pd.DataFrame({"group": [], "target": []}), [same, same], [], day, day)
    >>> found[["check", "light"]].dropna().to_dict("list")
    {'check': ['known customers', 'age of the model'], 'light': ['green', 'green']}
    """
    rows: list[tuple[str, float | None, str | None]] = []
    # Where nobody was to be won, those who came all the same are no fault of the forecast.
    whole = record[record["group"] == ("known" if _closed(record) else "all")]
    whole = whole[whole["target"] == ("value" if (whole["target"] == "value").any() else "purchases")]
    rows += [("last quarters", *_misses(whole)), ("bias", *_bias(whole))]
    index = stability_index(classes[0], classes[-1]) if classes else None
    rows.append(("known customers", index, None if index is None else _light(index, 0.1, 0.25)))
    rows.append(("new customers", *_arrivals(record)))
    moved = _moved(parameters)
    rows.append(("parameters", moved, None if moved is None else _light(moved, 0.25, np.inf)))
    age = float((issued_from - fitted_on).days)
    rows.append(("age of the model", age, _light(age, 185.0, 370.0)))
    found = pd.DataFrame(rows, columns=["check", "value", "light"])
    return found.assign(value=found["value"].astype(float), rule=found["check"].map(RULES))


def advice(found: pd.DataFrame) -> str:
    """What to do, in a sentence.

    Examples
    --------
    >>> advice(pd.DataFrame({"check": ["bias", "age of the model"], "light": ["green", "red"]}))
    'Refit before the next forecast is issued (red: age of the model).'
    """
    for light, words in (
        (RED, "Refit before the next forecast is issued"),
        (AMBER, "No need to refit at once; look before the next forecast is issued"),
    ):
        checks = found.loc[found["light"] == light, "check"].tolist()
        if checks:
            return f"{words} ({light}: {', '.join(checks)})."
    return "No need to refit: every check that could be made is green."


def _closed(record: pd.DataFrame) -> bool:
    own = record[(record["group"] == "new") & (record["target"] == "acquired")].tail(1)
    return bool(len(own)) and float(own["forecast"].iloc[0]) <= 0.0


def _light(value: float, amber: float, red: float) -> str:
    return RED if value >= red else AMBER if value >= amber else GREEN


def _levels(record: pd.DataFrame) -> list[str]:
    return sorted((str(name)[4:] for name in record if str(name).startswith("hit-")), key=float)


def _misses(whole: pd.DataFrame) -> tuple[float | None, str | None]:
    if whole.empty:
        return None, None
    last = whole.tail(2)
    missed = ~last[f"hit-{_levels(whole)[-1]}"].astype(bool)
    above = last["actual"] > last["forecast"]
    same = len(last) == 2 and above.nunique() == 1
    light = RED if missed.sum() == 2 and same else AMBER if missed.any() else GREEN
    return float(missed.sum()), light


def _bias(whole: pd.DataFrame) -> tuple[float | None, str | None]:
    if len(whole) < 2:
        return None, None
    errors = (whole["forecast"] - whole["actual"]).tail(_LAST)
    signal = float(errors.sum() / max(float(errors.abs().mean()), 1e-12))
    return signal, _light(abs(signal), 3.0, 5.0)


def _arrivals(record: pd.DataFrame) -> tuple[float | None, str | None]:
    own = record[(record["group"] == "new") & (record["target"] == "acquired")].tail(1)
    if own.empty or own["forecast"].iloc[0] <= 0.0:
        return None, None
    line = own.iloc[0]
    levels = _levels(record)
    light = GREEN if line[f"hit-{levels[0]}"] else AMBER if line[f"hit-{levels[-1]}"] else RED
    return float(line["actual"] / max(line["forecast"], 1e-12) - 1.0), light


def _moved(parameters: Sequence[Mapping[str, Mapping[str, float]]]) -> float | None:
    if len(parameters) < 2:
        return None
    before, after = parameters[-2:]
    moves: list[Any] = [0.0]
    for name in after:
        one, other = before.get(name), after[name]
        if one is None or not one["standard_error"] or not one["estimate"]:
            continue
        change = abs(other["estimate"] - one["estimate"])
        if change >= 4.0 * one["standard_error"]:
            moves.append(change / abs(one["estimate"]))
    return float(max(moves))
