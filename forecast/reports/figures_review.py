"""Figures of a quarter's review: from forecast to actual, and the track record. Black is what happened."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from forecast.reports.canvas import BLACK, BLUE, MARKERS, ORANGE, PALETTE, QUIET, canvas, head, nothing, safe

_TITLE = "From forecast to actual value"


def bridge_data(lines: pd.DataFrame) -> pd.DataFrame:
    """Steps from forecast to actual value: ``step, start, change``; the first and last stand on the floor.

    Examples
    --------
    >>> rows = [("total", "all", "value", 100.0, 90.0), ("bridge", "retention", "value", np.nan, -10.0)]
    >>> lines = pd.DataFrame(rows, columns=["scope", "group", "target", "forecast", "actual"])
    >>> bridge_data(lines).to_dict("list")
    {'step': ['forecast', 'retention', 'actual'], 'start': [0.0, 100.0, 0.0], 'change': [100.0, -10.0, 90.0]}
    """
    whole = lines[(lines["scope"] == "total") & (lines["target"] == "value") & (lines["group"] == "all")]
    total = whole.iloc[0]
    parts = lines[lines["scope"] == "bridge"]
    begin = total["forecast"] + np.concatenate([[0.0], np.cumsum(parts["actual"])])[:-1]
    return pd.DataFrame(
        {
            "step": ["forecast", *parts["group"], "actual"],
            "start": [0.0, *begin, 0.0],
            "change": [total["forecast"], *parts["actual"], total["actual"]],
        }
    )


def bridge(lines: pd.DataFrame, currency: str | None = None, ax: Axes | None = None) -> Axes:
    """What each factor adds to the forecast of value until it is the actual one.

    Parameters
    ----------
    lines : DataFrame
        As in ``Comparison.lines``.
    currency : str, optional
    """
    with canvas(ax) as axes:
        if lines[lines["scope"] == "bridge"].empty:
            return nothing(axes, _TITLE, "A total is not positive: there is no bridge.")
        data = bridge_data(lines)
        place = np.arange(len(data))
        ends = {0: BLUE, len(data) - 1: BLACK}
        both = np.sort([data["start"], data["start"] + data["change"]], axis=0)
        low, high = both[0], both[1]
        floor = float(low[1:-1].min()) if len(data) > 2 else 0.0
        top = float(high.max())
        floor = max(0.0, floor - 0.35 * (top - floor)) if floor > 0 else floor
        for k, row in data.iterrows():
            colour = ends.get(int(str(k)), ORANGE if row["change"] < 0 else "#009e73")
            hatch = "//" if row["change"] < 0 else None
            axes.barh(int(str(k)), row["change"], left=row["start"], height=0.62, color=colour, hatch=hatch,
                      edgecolor="white", linewidth=0.8)  # fmt: skip
        axes.hlines(place, floor, np.maximum(low, floor), color=QUIET, linewidth=0.6, linestyle=":")
        signs = ["", *["+"] * (len(data) - 2), ""]
        for y, end, change, sign in zip(place, high, data["change"], signs, strict=True):
            axes.annotate(f"{change:{sign},.0f}".replace("-", "\u2212"), (end, y), ha="left", va="center",
                          xytext=(4, 0), textcoords="offset points", fontsize=9.5)  # fmt: skip
        axes.set_xlim(floor, top + 0.22 * (top - floor))
        axes.set_yticks(place, [safe(name) for name in data["step"]])
        axes.invert_yaxis()
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.set_xlabel(f"value, {safe(currency)}" if currency else "value")
        head(axes, _TITLE)
    return axes


def track_record(record: pd.DataFrame, target: str, ax: Axes | None = None) -> Axes:
    """Quarter by quarter what was forecast, with its widest interval, and what happened.

    Parameters
    ----------
    record : DataFrame
        As from ``forecast.track_record``.
    target : str
        ``purchases, active`` or ``value``.
    """
    title = f"Track record: {target}"
    with canvas(ax) as axes:
        own = record[record["target"] == target].sort_values(["quarter", "as_of"])
        if own.empty:
            return nothing(axes, title, "No quarter has been settled yet.")
        place = np.arange(len(own))
        level = max((str(name)[3:] for name in own if str(name).startswith("lo-")), key=float)
        middle = own["forecast"].to_numpy(dtype=float)
        sides = [middle - own[f"lo-{level}"].to_numpy(), own[f"hi-{level}"].to_numpy() - middle]
        axes.errorbar(
            place, middle, yerr=np.maximum(sides, 0.0), fmt="o", color=BLUE, capsize=5, elinewidth=2
        )
        axes.plot(place, own["actual"], linestyle="none", marker="D", color=BLACK, markersize=6)
        restated = ((own["restated"] - own["actual"]).abs() > 0.005).to_numpy()
        hollow: dict[str, Any] = {"linestyle": "none", "marker": "D", "color": QUIET, "fillstyle": "none"}
        axes.plot(place[restated], own["restated"].to_numpy()[restated], **hollow)
        axes.set_xlim(-0.6, len(own) - 0.4)
        axes.set_ylim(0.0, None)
        many = len(own) > 6
        axes.set_xticks(place, [safe(label) for label in own["quarter"]])
        axes.tick_params("x", rotation=45 if many else 0)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.set_ylabel(f"{target} of all customers")
        said = Line2D([], [], color=BLUE, marker="o", linewidth=2)
        came = Line2D([], [], color=BLACK, marker="D", linestyle="none")
        again = Line2D([], [], **hollow)
        handles, labels = [said, came], [f"forecast, {level} %", "happened"]
        if restated.any():
            handles, labels = [*handles, again], [*labels, "restated"]
        head(axes, title, handles, labels)
    return axes


def cohort_projection(curves: pd.DataFrame, currency: str | None = None, ax: Axes | None = None) -> Axes:
    """Cumulative value per customer by age: lines are what was observed, dashes what was projected then.

    Parameters
    ----------
    curves : DataFrame
        As in ``Comparison.cohorts``, or the table ``cohorts`` of an issue.
    currency : str, optional
    """
    title = "Value of a customer by age"
    with canvas(ax) as axes:
        if curves.empty:
            return nothing(axes, title, "no values in the orders")
        names = list(dict.fromkeys(curves["cohort"]))
        if len(names) > len(PALETTE):  # the youngest, evenly spread back to the oldest
            names = [names[k] for k in np.linspace(0, len(names) - 1, len(PALETTE)).round().astype(int)]
        low = next(str(name) for name in curves if str(name).startswith("lo-"))
        handles = []
        for place, name in enumerate(names):
            own = curves[curves["cohort"] == name]
            colour, mark = PALETTE[place], MARKERS[place]
            known, ahead = own[~own["projected"]], own[own["projected"]]
            value = "cumulative_value_per_customer"
            (line,) = axes.plot(known["age"], known[value], color=colour, marker=mark, markersize=4)
            handles.append(line)
            joined = pd.concat([known.tail(1), ahead])
            axes.plot(joined["age"], joined[value], color=colour, linestyle=(0, (4, 2)), marker=mark,
                      markersize=4, markerfacecolor="white")  # fmt: skip
            axes.fill_between(
                ahead["age"].to_numpy(dtype=float), ahead[low].to_numpy(dtype=float),
                ahead[low.replace("lo", "hi")].to_numpy(dtype=float), color=colour, alpha=0.18, linewidth=0,
            )  # fmt: skip
            if "actual" in own and own["actual"].notna().any():
                axes.plot(own["age"], own["actual"], color=BLACK, marker="D", linestyle="none", markersize=5)
        if "actual" in curves and curves["actual"].notna().any():
            handles.append(Line2D([], [], color=BLACK, marker="D", linestyle="none"))
            names = [*names, "happened"]
        head(axes, title, handles, [safe(name) for name in names], ncols=4)
        axes.set_xlabel("age: quarters since the quarter of the first purchase")
        axes.set_ylabel("value per customer" + (f" ({safe(currency)})" if currency else ""))
        axes.set_ylim(bottom=0.0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return axes
