"""Figures of forecasts customer by customer: calibration, lift and reliability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, PercentFormatter

from forecast.evaluation.metrics import decile_table, reliability_table, top_share_capture
from forecast.reports.canvas import BLACK, QUIET, canvas, head, looks, nothing, safe
from forecast.reports.figures_totals import chosen
from forecast.reports.wording import percent

COLUMNS = {"orders": ("expected_purchases", "actual_purchases"), "value": ("expected_value", "actual_value")}
_LAST_CLASS = 7


def _at(forecasts: pd.DataFrame, model: str, cutoff: Any, *columns: str) -> pd.DataFrame:
    own = forecasts[forecasts["model"] == model]
    day = own["cutoff"].max() if cutoff is None else pd.Timestamp(cutoff)
    return own[own["cutoff"] == day].dropna(subset=list(columns))


def calibration_by_frequency_data(forecasts: pd.DataFrame, model: str, cutoff: Any = None) -> pd.DataFrame:
    """Mean purchases after the cut by repeat purchases before it.

    Parameters
    ----------
    forecasts : DataFrame
        As in ``Backtest.forecasts``.
    model : str
    cutoff : date-like, optional
        The last one by default; cut-offs are not pooled, as their customers are the same people.

    Returns
    -------
    DataFrame
        ``frequency`` (0, 1, …, 6, 7+), ``customers, expected, actual`` (means per customer).

    Examples
    --------
    >>> frame = pd.DataFrame({"cutoff": pd.Timestamp("2026-03-31"), "model": "m", "frequency": [0, 9],
    ...     "expected_purchases": [0.1, 4.0], "actual_purchases": [0, 5]})
    >>> calibration_by_frequency_data(frame, "m")["frequency"].tolist()
    ['0', '7+']
    """
    own = _at(forecasts, model, cutoff, "expected_purchases", "actual_purchases")
    each = own.assign(place=np.minimum(own["frequency"].to_numpy(dtype=int), _LAST_CLASS)).groupby("place")
    found = each.agg(
        customers=("model", "size"),
        expected=("expected_purchases", "mean"),
        actual=("actual_purchases", "mean"),
    ).reset_index()
    names = [f"{p}+" if p == _LAST_CLASS else str(p) for p in found.pop("place")]
    found.insert(0, "frequency", pd.Series(names, dtype="object"))
    return found


def calibration_by_frequency(
    forecasts: pd.DataFrame, model: str, cutoff: Any = None, ax: Axes | None = None
) -> Axes:
    """Mean purchases in the holdout, expected and actual, by repeat purchases before the cut.

    Bars are what happened, marks what the model expected. Marks off the bars in one class mean that the model
    has those customers wrong, even when the total is right. The last classes hold few customers and swing.
    """
    data = calibration_by_frequency_data(forecasts, model, cutoff)
    title = "After the cut, by repeat purchases before"
    with canvas(ax) as axes:
        if data.empty:
            return nothing(axes, title, "no forecasts of this model")
        look = looks([model])[model]
        at = np.arange(len(data))
        axes.bar(at, data["actual"], width=0.62, color="#c4c4c4", edgecolor=QUIET, linewidth=0.6)
        (line,) = axes.plot(
            at, data["expected"], color=look.colour, marker=look.marker, linestyle=look.dashes, linewidth=1.4
        )
        axes.set_xticks(
            at,
            [f"{line.frequency}\n{line.customers:,}" for line in data.itertuples()],
            linespacing=1.4,
            fontsize=9,
        )
        axes.set_xlabel("repeat purchases before the cut, and customers in the class")
        axes.set_ylabel("mean purchases after the cut")
        axes.set_ylim(bottom=0)
        bars = Patch(facecolor="#c4c4c4", edgecolor=QUIET, linewidth=0.6)
        head(axes, title, [bars, line], ["actual", f"expected by {model}"])
    return axes


def decile_lift_data(
    forecasts: pd.DataFrame,
    models: str | Sequence[str] | None = None,
    target: str = "orders",
    cutoff: Any = None,
) -> pd.DataFrame:
    """Predicted and actual means by tenths of the customers, the highest forecasts first.

    Parameters
    ----------
    forecasts : DataFrame
        As in ``Backtest.forecasts``.
    models : str or sequence of str, optional
        All by default.
    target : {"orders", "value"}
    cutoff : date-like, optional
        Each model's last by default.

    Returns
    -------
    DataFrame
        ``model, decile`` (1 is highest), ``n, mean_predicted, mean_actual, lift`` and
        ``top_capture``, the share of the actual total that the highest tenth brought.

    Examples
    --------
    >>> frame = pd.DataFrame({"cutoff": pd.Timestamp("2026-03-31"), "model": "m",
    ...     "expected_purchases": [3.0, 1.0], "actual_purchases": [4, 0]})
    >>> decile_lift_data(frame)["mean_actual"].tolist()
    [4.0, 0.0]
    """
    expected, actual = COLUMNS[target]
    tables = []
    for model in chosen(forecasts, models):
        own = _at(forecasts, model, cutoff, expected, actual)
        if own.empty:
            continue
        table = decile_table(own[expected], own[actual], bins=min(10, len(own)))
        capture = top_share_capture(own[actual], own[expected], 0.1)
        tables.append(table.assign(top_capture=capture, model=model))
    names = ["model", "decile", "n", "mean_predicted", "mean_actual", "lift", "top_capture"]
    if not tables:
        return pd.DataFrame({name: [] for name in names})
    return pd.concat(tables, ignore_index=True)[names]


def decile_lift(
    forecasts: pd.DataFrame,
    models: str | Sequence[str] | None = None,
    target: str = "orders",
    cutoff: Any = None,
    ax: Axes | None = None,
    *,
    currency: str | None = None,
) -> Axes:
    """What the customers brought, in tenths by their forecast, the highest first.

    Solid marks are what happened, hollow ones on a dotted line what was forecast. A good ranking falls
    steeply from left to right; a good level has hollow and solid marks together. The legend says how much
    of the total the first tenth brought.
    """
    data = decile_lift_data(forecasts, models, target, cutoff)
    what = {"orders": "purchases", "value": "value"}[target]
    title = f"Mean {what}, by tenths of the forecast"
    with canvas(ax) as axes:
        if data.empty:
            return nothing(axes, title, f"no forecasts of {what}")
        names = chosen(data, None)
        own = looks(names)
        handles, labels = [], []
        for name in names:
            table, look = data[data["model"] == name], own[name]
            (line,) = axes.plot(
                table["decile"], table["mean_actual"], color=look.colour, marker=look.marker, linewidth=1.6
            )
            axes.plot(
                table["decile"], table["mean_predicted"], color=look.colour, marker=look.marker,
                markerfacecolor="white", linestyle=":", linewidth=1.2,
            )  # fmt: skip
            handles.append(line)
            capture = table["top_capture"].iloc[0]
            known = "" if np.isnan(capture) else f": first tenth holds {percent(capture)}"
            labels.append(f"{name}{known}")
        handles.append(Line2D([], [], color=QUIET, marker="o", markerfacecolor="white", linestyle=":"))
        labels.append("forecast")
        axes.set_xticks(sorted(data["decile"].unique()))
        axes.set_xlabel("tenth of the customers, highest forecast first")
        unit = f" ({safe(currency)})" if currency and target == "value" else ""
        axes.set_ylabel(f"mean {what} per customer{unit}")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axes.set_ylim(bottom=0)
        head(axes, title, handles, labels, ncols=2)
    return axes


def reliability_data(forecasts: pd.DataFrame, model: str, cutoff: Any = None) -> pd.DataFrame:
    """Promised and observed shares of customers who bought at least once.

    Returns
    -------
    DataFrame
        ``bin, n, mean_probability, observed_share``, see `forecast.evaluation.metrics.reliability_table`;
        empty for a candidate without probabilities.

    Examples
    --------
    >>> frame = pd.DataFrame({"cutoff": pd.Timestamp("2026-03-31"), "model": "m",
    ...     "p_purchase": [0.2, 0.9], "actual_purchases": [0, 3]})
    >>> reliability_data(frame, "m")["observed_share"].tolist()
    [0.0, 1.0]
    """
    own = _at(forecasts, model, cutoff, "p_purchase", "actual_purchases")
    if own.empty:
        names = ("bin", "n", "mean_probability", "observed_share")
        return pd.DataFrame({name: [] for name in names}, dtype=float)
    chance = own["p_purchase"].clip(0.0, 1.0)
    return reliability_table(chance, own["actual_purchases"] > 0, bins=min(10, len(own)))


def reliability(forecasts: pd.DataFrame, model: str, cutoff: Any = None, ax: Axes | None = None) -> Axes:
    """Chance of at least one purchase: promised against observed, by tenths of the customers.

    Marks on the diagonal keep their promise. Above it more customers came back than the model said, below it
    fewer.
    """
    data = reliability_data(forecasts, model, cutoff)
    title = "Chance to buy: promised and observed"
    with canvas(ax) as axes:
        if data.empty:
            return nothing(axes, title, "no probabilities from this model")
        look = looks([model])[model]
        (diagonal,) = axes.plot([0, 1], [0, 1], color=BLACK, linewidth=0.9, linestyle=":")
        (line,) = axes.plot(
            data["mean_probability"],
            data["observed_share"],
            color=look.colour,
            marker=look.marker,
            linewidth=1.4,
        )
        top = min(1.0, 1.15 * float(data[["mean_probability", "observed_share"]].to_numpy().max()) + 0.02)
        axes.set(xlim=(0, top), ylim=(0, top * 1.02))
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
        axes.set_xlabel("mean chance promised")
        axes.set_ylabel("share that bought")
        head(axes, title, [line, diagonal], [f"{model}, tenths of the customers", "promise kept"])
    return axes


def pit_histogram_data(pit: pd.DataFrame, models: str | Sequence[str] | None = None) -> pd.DataFrame:
    """Shares of customers by tenths of the probability integral transform, means over the cut-offs.

    Parameters
    ----------
    pit : DataFrame
        As in ``Backtest.pit``.
    models : str or sequence of str, optional
        All by default.

    Returns
    -------
    DataFrame
        ``model, bin`` (1 to 10, the lowest first), ``share``.

    Examples
    --------
    >>> pit_histogram_data(pd.DataFrame({"model": ["m", "m"], "bin": [1, 1], "share": [0.2, 0.1]}))
      model  bin  share
    0     m    1   0.15
    """
    kept = pit[pit["model"].isin(chosen(pit, models))]
    return kept.groupby(["model", "bin"], sort=False)["share"].mean().reset_index()


def pit_histogram(
    pit: pd.DataFrame, models: str | Sequence[str] | None = None, ax: Axes | None = None
) -> Axes:
    """Where outcomes fell in the customers' predicted distributions: flat when chances are right.

    Every tenth should hold a tenth of the customers. High at both ends: distributions are too narrow; high
    in the middle: too wide; high on the left: too many purchases expected; on the right: too few. The first
    model is drawn as bars.
    """
    data = pit_histogram_data(pit, models)
    title = "Where outcomes fell in what was predicted"
    with canvas(ax) as axes:
        if data.empty:
            return nothing(axes, title, "no predicted distributions")
        names = chosen(data, models)
        own = looks(names)
        handles: list[Any] = []
        for turn, name in enumerate(names):
            lines = data[data["model"] == name].sort_values("bin")
            at, size = lines["bin"].to_numpy(), len(lines)
            if turn == 0:
                colour = own[name].colour
                axes.bar(at, lines["share"], width=0.9, color=colour, alpha=0.35, edgecolor=colour)
                handles.append(Patch(facecolor=colour, alpha=0.35, edgecolor=colour))
                continue
            (line,) = axes.plot(
                at, lines["share"], color=own[name].colour, marker=own[name].marker,
                linestyle=own[name].dashes, linewidth=1.4, markersize=5,
            )  # fmt: skip
            handles.append(line)
        even = axes.axhline(1.0 / size, color=BLACK, linewidth=1.0, linestyle=(0, (4, 3)))
        axes.set_xticks(range(1, size + 1))
        axes.set_xlabel("tenth of the predicted distribution, the lowest first")
        axes.set_ylabel("share of the customers")
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
        axes.set_ylim(bottom=0)
        head(axes, title, [*handles, even], [*names, "right"])
    return axes
