"""Figures of a model's check: what it would have shown beside what was seen. Black is what was seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, MonthLocator
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from forecast.evaluation.modelcheck_words import whole_weeks
from forecast.reports.canvas import BLACK, BLUE, ORANGE, QUIET, canvas, head, nothing, safe
from forecast.reports.wording import figures

_BAND = 0.22
_LABELS = ["seen", "expected", "90 % interval"]


def repeat_counts(counts: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Customers by number of repeat purchases, seen and expected, on a square-root scale.

    On this scale the same distance means about the same surprise in every class. Each customer is expected
    at its own age.

    Parameters
    ----------
    counts : DataFrame
        As in ``ModelCheck.counts``.
    """
    with canvas(ax) as axes:
        place = np.arange(len(counts))
        expected = counts["expected"].to_numpy(dtype=float)
        below, above = expected - counts["lo-90"], counts["hi-90"] - expected
        axes.set_yscale("function", functions=(_root, np.square))
        axes.bar(place, counts["observed"], width=0.72, color="#c9c9c9", edgecolor=BLACK, linewidth=0.9)
        axes.errorbar(
            place, expected, yerr=np.maximum([below, above], 0.0), fmt="o", color=BLUE, capsize=4,
            elinewidth=2, capthick=1.5, markersize=5,
        )  # fmt: skip
        top = float(max(counts["hi-90"].max(), counts["observed"].max()))
        axes.set_ylim(0, top * 1.06)
        axes.set_yticks(_ticks(top))
        axes.set_xticks(place, [str(name) for name in counts["repeat_purchases"]])
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.set_xlabel("repeat purchases of a customer")
        axes.set_ylabel("customers (square-root scale)")
        seen = Patch(facecolor="#c9c9c9", edgecolor=BLACK, linewidth=0.9)
        mean = Line2D([], [], color=BLUE, marker="o", markersize=5, linewidth=2)
        head(axes, "How often customers came back", [seen, mean], ["seen", "expected, 90 % interval"])
    return axes


def _root(values: Any) -> np.ndarray:
    return np.sqrt(np.maximum(values, 0.0))


def _ticks(top: float) -> list[float]:
    """Round numbers that stand about evenly on a square-root scale."""
    step = top / 25.0
    size = 10.0 ** np.floor(np.log10(max(step, 1.0)))
    unit = size * (1 if step < 2 * size else 2 if step < 5 * size else 5)
    return [0.0, *(unit * k**2 for k in range(1, 8) if unit * k**2 <= top * 1.05)]


def cumulative_purchases(tracking: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Repeat purchases so far, seen and expected, week by week.

    Parameters
    ----------
    tracking : DataFrame
        As in ``ModelCheck.tracking``.
    """
    with canvas(ax) as axes:
        _band(axes, tracking, "cumulative")
        axes.set_ylabel("cumulative repeat purchases")
        head(axes, "Repeat purchases so far", _handles(), _LABELS)
    return axes


def weekly_purchases(tracking: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Repeat purchases of each whole week, seen and expected.

    Parameters
    ----------
    tracking : DataFrame
        As in ``ModelCheck.tracking``.
    """
    title = "Repeat purchases a week"
    with canvas(ax) as axes:
        weeks = whole_weeks(tracking)
        if weeks.empty:
            return nothing(axes, title, "no whole week has passed")
        _band(axes, weeks, "weekly")
        axes.set_ylabel("repeat purchases a week")
        head(axes, title, _handles(), _LABELS)
    return axes


def _band(axes: Axes, frame: pd.DataFrame, name: str) -> None:
    day = frame["day"]
    axes.fill_between(
        day, frame[f"{name}_lo-90"], frame[f"{name}_hi-90"], color=BLUE, alpha=_BAND, linewidth=0
    )
    axes.plot(day, frame[f"{name}_expected"], color=BLUE, linewidth=1.6, linestyle=(0, (5, 2)))
    axes.plot(day, frame[f"{name}_observed"], color=BLACK, linewidth=1.6)
    axes.set_ylim(bottom=0)
    locator = AutoDateLocator(minticks=4, maxticks=9)  # years from four on, and half years always fit below
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def season(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """How busy each day of the coming year is, as a multiple of the mean day.

    Parameters
    ----------
    frame : DataFrame
        As in ``ModelCheck.season``.
    """
    title = "The season in the year ahead"
    with canvas(ax, (10.8, 3.4)) as axes:
        if frame.empty:
            return nothing(axes, title, "the model has no seasonal clock")
        day = frame["day"]
        axes.fill_between(day, frame["lo-90"], frame["hi-90"], color=BLUE, alpha=_BAND, linewidth=0)
        axes.axhline(1.0, color=QUIET, linewidth=1.0)
        axes.plot(day, frame["intensity"], color=BLUE, linewidth=1.8)
        axes.set_xlim(day.iloc[0], day.iloc[-1])
        axes.set_ylim(bottom=0)
        locator = MonthLocator(interval=1 if ax is None else 2)  # a small panel has room for every other
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_ylabel("purchases (mean day = 1)")
        handles = [
            Line2D([], [], color=BLUE, linewidth=1.8),
            Patch(facecolor=BLUE, alpha=_BAND),
            Line2D([], [], color=QUIET, linewidth=1.0),
        ]
        head(axes, title, handles, ["season", "90 % interval", "mean day"])
    return axes


def _handles() -> list[Any]:
    return [
        Line2D([], [], color=BLACK, linewidth=1.6),
        Line2D([], [], color=BLUE, linewidth=1.6, linestyle=(0, (5, 2))),
        Patch(facecolor=BLUE, alpha=_BAND),
    ]


def spend_density_data(spend: pd.DataFrame) -> pd.DataFrame:
    """Customers in a class as densities: share of customers for a factor of e in mean spend.

    Returns
    -------
    DataFrame
        ``from, to, middle, observed, expected, lo-90, hi-90``.

    Examples
    --------
    >>> spend = pd.DataFrame({"from": [1.0], "to": [np.e], "observed": [4], "expected": [5.0],
    ...                       "lo-90": [2], "hi-90": [7]})
    >>> spend_density_data(spend)["expected"].tolist()
    [1.25]
    """
    width = np.log(spend["to"] / spend["from"])
    total = float(spend["observed"].sum()) or 1.0
    found = spend[["from", "to"]].assign(middle=np.sqrt(spend["from"] * spend["to"]))
    return found.assign(
        **{name: spend[name] / width / total for name in ("observed", "expected", "lo-90", "hi-90")}
    )


def spend_density(spend: pd.DataFrame, ax: Axes | None = None, *, currency: str | None = None) -> Axes:
    """Density of customers' mean spend, seen and expected, on a log scale.

    Parameters
    ----------
    spend : DataFrame
        As in ``ModelCheck.spend``.
    """
    title = "What customers spend per purchase"
    with canvas(ax, (10.8, 3.6)) as axes:
        if spend.empty:
            return nothing(axes, title, "there is no spend to check")
        data = spend_density_data(spend)
        edges = np.append(data["from"], data["to"].iloc[-1])
        axes.set_xscale("log")
        axes.fill_between(data["middle"], data["lo-90"], data["hi-90"], color=BLUE, alpha=_BAND, linewidth=0)
        axes.plot(data["middle"], data["expected"], color=BLUE, linewidth=1.6, linestyle=(0, (5, 2)))
        axes.stairs(data["observed"], edges, color=BLACK, linewidth=1.5)
        axes.set_ylim(bottom=0)
        axes.set_xlim(edges[0], edges[-1])
        _log_axis(axes, float(edges[-1] / edges[0]))
        unit = f" ({safe(currency)}" if currency else " ("
        axes.set_xlabel(
            f"customer's mean value of a repeat purchase{unit}{', ' if currency else ''}log scale)"
        )
        axes.set_ylabel("density")
        head(axes, title, _handles(), _LABELS)
    return axes


def _log_axis(axes: Axes, span: float) -> None:
    """Plain numbers at 1, 2 and 5 of each power of ten, or at the powers alone where there are many."""
    steps = (1.0, 2.0, 5.0) if span < 3000 else (1.0,)
    axes.xaxis.set_major_locator(LogLocator(subs=steps, numticks=20))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.7g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def prior_posterior(table: pd.DataFrame, ax: Axes | None = None, *, currency: str | None = None) -> Axes:
    """Each parameter's median and 90 % interval, before and after the data, on a log scale.

    Parameters
    ----------
    table : DataFrame
        As in ``ModelCheck.prior_posterior``.
    """
    title = "Parameters before and after the data"
    with canvas(ax) as axes:
        if table.empty:
            return nothing(axes, title, "maximum likelihood has neither prior nor posterior")
        place = np.arange(len(table))[::-1].astype(float)
        axes.set_xscale("log")
        for label, colour, marker, shift in (("prior", ORANGE, "s", 0.17), ("posterior", BLUE, "o", -0.17)):
            middle = table[f"{label}_median"].to_numpy(dtype=float)
            ends = np.array([middle - table[f"{label}_lo-90"], table[f"{label}_hi-90"] - middle], dtype=float)
            axes.errorbar(
                middle, place + shift, xerr=np.maximum(ends, 0.0), fmt=marker, color=colour, capsize=3,
                elinewidth=2, markersize=5,
            )  # fmt: skip
        units = {"alpha": " (days)", "gamma": f" ({safe(currency)})" if currency else " (currency)"}
        axes.set_yticks(place, [f"{name}{units.get(name, '')}" for name in table["parameter"]])
        axes.set_ylim(-0.6, len(table) - 0.4)
        axes.grid(axis="x")
        axes.grid(visible=False, axis="y")
        low, high = table["prior_lo-90"].min(), table["prior_hi-90"].max()
        _log_axis(axes, max(float(high / low), 3000.0))
        axes.set_xlabel("value (log scale)")
        handles = [
            Line2D([], [], color=colour, marker=marker, markersize=5, linewidth=2)
            for colour, marker in ((ORANGE, "s"), (BLUE, "o"))
        ]
        head(axes, title, handles, ["prior", "posterior"])
    return axes


def overlap_words(table: pd.DataFrame) -> str:
    """How much prior and posterior share, parameter by parameter.

    Examples
    --------
    >>> overlap_words(pd.DataFrame({"parameter": ["r", "b"], "overlap": [0.07, 0.34]}))
    'Shared area of prior and posterior: r 0.07, b 0.34.'
    """
    parts = [
        f"{row['parameter']} {figures(row['overlap'], 1 if row['overlap'] < 0.1 else 2)}"
        for row in table.to_dict("records")
    ]
    return f"Shared area of prior and posterior: {', '.join(parts)}."
