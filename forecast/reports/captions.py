"""One or two sentences a figure, made from the numbers that are drawn."""

from __future__ import annotations

import numpy as np
import pandas as pd

from forecast.reports.figures import (
    calibration_by_frequency_data,
    cohort_curves_data,
    decile_lift_data,
    error_by_quarter_data,
    interval_hits_data,
    pit_histogram_data,
    reliability_data,
    retention_heatmap_data,
    value_concentration_data,
    weekly_data,
)
from forecast.reports.figures_history import MEAN
from forecast.reports.figures_totals import WHAT_IT_COUNTS
from forecast.reports.wording import about, day, figures, listed, percent, signed_percent

EMPTY = "There is nothing to draw yet."


def side(share: float) -> str:
    """An error in words.

    Examples
    --------
    >>> side(0.039), side(-0.2), side(0.001)
    ('3.9 % too many', '20 % too few', 'right within half a percent')
    """
    if abs(share) < 0.005:
        return "right within half a percent"
    return f"{percent(abs(share))} too {'many' if share > 0 else 'few'}"


def cohorts(frame: pd.DataFrame, currency: str | None, period: str) -> str:
    """What the cohort curves say."""
    data = cohort_curves_data(frame)
    if data.empty:
        return EMPTY
    names = [name for name in dict.fromkeys(data["cohort"]) if name != MEAN]
    lines = data[(data["cohort"] == (MEAN if len(names) > 1 else names[0])) & ~data["partial"]]
    if len(lines) < 2:
        return f"The cohorts are too young to compare: no {period} after the first purchase is over."
    first, last = lines.iloc[0], lines.iloc[-1]
    unit = f" {currency}" if currency else ""
    text = (
        f"In the {period} of the first purchase a customer is worth {about(first['value'])}{unit} on "
        "average; "
        f"{last['age']} {period}s later {about(last['value'])}{unit}"
    )
    text += f", {figures(last['value'] / first['value'], 2)} times as much." if first["value"] > 0 else "."
    pair = [data[(data["cohort"] == name) & ~data["partial"]].set_index("age")["value"] for name in names]
    if len(names) > 1 and len(common := pair[0].index.intersection(pair[-1].index)):
        age = int(common.max())
        ratio = pair[-1][age] / pair[0][age] - 1 if pair[0][age] else float("nan")
        if age > 0 and ratio == ratio:
            text += (
                f" At age {age} the youngest cohort ({names[-1]}) is {percent(abs(ratio))} "
                f"{'above' if ratio > 0 else 'below'} the oldest ({names[0]})."
            )
    running = " The dashed last step is the running period." if data["partial"].any() else ""
    return text + running


def retention(frame: pd.DataFrame, period: str) -> str:
    """What the retention table says."""
    data = retention_heatmap_data(frame)
    whole = data[~data["partial"]].groupby("age")[["active", "customers"]].sum()
    if whole.empty:
        return EMPTY
    share = whole["active"] / whole["customers"]
    text = f"{percent(share.iloc[0])} of the customers bought again in the {period} after their first"
    if len(share) > 1:
        text += f"; {share.index[-1]} {period}s after it, {percent(share.iloc[-1])} bought"
    return text + ". Empty cells have not happened yet."


def concentration(values: object) -> str:
    """What the concentration curve says."""
    data = value_concentration_data(values)
    if data.empty:
        return EMPTY
    return (
        f"The best tenth of the customers brought {percent(data['value'].iloc[10])} of the value so far, "
        f"the best fifth {percent(data['value'].iloc[20])}."
    )


def followed(frame: pd.DataFrame, models: list[str]) -> str:
    """What the tracking plot says about the days after the cut."""
    parts = []
    for name in models:
        after = _after(frame, name)
        if after.empty:
            continue
        weeks = len(after)
        expected, actual = after["expected"].sum(), after["actual"].sum()
        missed = f", {side(expected / actual - 1)}" if actual else ""
        parts.append(f"{name} expected {about(expected)} of them{missed}")
    if not parts:
        return EMPTY
    return (
        f"In the {weeks} weeks after the week of the cut {about(actual)} repeat purchases came; "
        f"{listed(parts)}. "
        "The lines start from "
        "when customers were won, and use no customer's own history."
    )


def _after(frame: pd.DataFrame, model: str) -> pd.DataFrame:
    """Weeks that lie wholly after the cut: the one it falls in belongs to neither side."""
    data = weekly_data(frame, model)
    return data[pd.to_datetime(data["day"]) >= pd.to_datetime(data["cutoff"]) + pd.Timedelta(days=7)]


def by_week(frame: pd.DataFrame, model: str) -> str:
    """What the weekly plot says."""
    after = _after(frame, model)
    if after.empty:
        return EMPTY
    return (
        f"In the {len(after)} weeks after the week of the cut {model} expected "
        f"{about(after['expected'].mean())} repeat "
        f"purchases a week on average, and {about(after['actual'].mean())} came. The model is smooth: it "
        "knows "
        "neither seasons nor campaigns."
    )


def calibration(forecasts: pd.DataFrame, model: str) -> str:
    """Which class of customers the error comes from."""
    data = calibration_by_frequency_data(forecasts, model)
    if data.empty:
        return EMPTY
    cutoff = day(forecasts.loc[forecasts["model"] == model, "cutoff"].max())
    gap = (data["expected"] - data["actual"]) * data["customers"]
    worst = int(gap.abs().to_numpy().argmax())
    line = data.iloc[worst]
    way = "too many" if gap.iloc[worst] > 0 else "too few"
    return (
        f"Cut-off {cutoff}. The largest part of {model}'s error comes from customers with "
        f"{line['frequency']} "
        f"repeat purchases: {figures(line['expected'], 2)} expected each, {figures(line['actual'], 2)} "
        "came, in "
        f"all about {about(abs(gap.iloc[worst]))} purchases {way}."
    )


def lift(forecasts: pd.DataFrame, models: list[str], target: str) -> str:
    """How well the highest tenth was picked."""
    data = decile_lift_data(forecasts, models, target)
    if data.empty:
        return EMPTY
    cutoff = day(forecasts.loc[forecasts["model"].isin(models), "cutoff"].max())
    tops = data.drop_duplicates("model")
    parts = [
        f"{percent(row.top_capture)} (by {row.model})"
        for row in tops.itertuples()
        if not np.isnan(float(str(row.top_capture)))
    ]
    if not parts:
        return EMPTY
    return (
        f"Cut-off {cutoff}. The tenth of the customers with the highest forecasts brought {listed(parts)} "
        "of all "
        f"{WHAT_IT_COUNTS[target]} after the cut."
    )


def promises(forecasts: pd.DataFrame, model: str) -> str:
    """Whether chances were kept."""
    data = reliability_data(forecasts, model)
    if data.empty:
        return EMPTY
    cutoff = day(forecasts.loc[forecasts["model"] == model, "cutoff"].max())
    top, low = data.iloc[-1], data.iloc[0]
    return (
        f"Cut-off {cutoff}. The most promising tenth was given a chance of "
        f"{percent(top['mean_probability'])}, and "
        f"{percent(top['observed_share'])} bought; the least promising {percent(low['mean_probability'])}, "
        "and "
        f"{percent(low['observed_share'])} bought."
    )


def errors(board: pd.DataFrame, target: str, model: str | None, shown: list[str] | None = None) -> str:
    """The range of errors of the leading model, the worst candidate, and how many are not drawn."""
    data = error_by_quarter_data(board, target)
    if data.empty:
        return EMPTY
    text = []
    if model is not None and len(own := data.loc[data["model"] == model, "error_percent"] / 100):
        text.append(f"Errors of {model} run from {signed_percent(own.min())} to {signed_percent(own.max())}.")
    widest = data.iloc[int(data["error_percent"].abs().to_numpy().argmax())]
    text.append(
        f"The largest error is {signed_percent(widest['error_percent'] / 100)}, by {widest['model']} at "
        f"{day(widest['cutoff'])}."
    )
    if shown is not None and (rest := data["model"].nunique() - len(shown)) > 0:
        text.append(f"Not drawn: {rest} more; the board above has them.")
    return " ".join(text)


def outcomes(pit: pd.DataFrame, model: str) -> str:
    """Where outcomes fell more often than they should."""
    data = pit_histogram_data(pit, model)
    if data.empty:
        return EMPTY
    worst = data.iloc[int((data["share"] - 1.0 / len(data)).abs().to_numpy().argmax())]
    return (
        f"Means over all cut-offs. Right chances would put {percent(1.0 / len(data))} of the customers in "
        f"each tenth; {model} is farthest off in tenth {worst['bin']:.0f}, with {percent(worst['share'])}."
    )


def hits(board: pd.DataFrame, target: str, models: list[str] | None = None) -> str:
    """How often the intervals held."""
    data = interval_hits_data(board, target, models)
    if data.empty:
        return EMPTY
    found = data.groupby("model", sort=False)["hit"].agg(["sum", "size"])
    parts = [f"{name} {row['sum']} of {row['size']}" for name, row in found.iterrows()]
    text = f"Actual totals inside the 90 % interval: {listed(parts)}."
    if (found["sum"] < 0.7 * found["size"]).any():
        text += (
            " Intervals that held less than seven times in ten are too narrow to plan with: those of plain "
            "models hold chance and unsure parameters, and no level that drifts."
        )
    return text
