"""Figures of what customers have been worth: cohorts and concentration."""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, PercentFormatter

from forecast.reports.canvas import (
    BLACK,
    BLUE,
    DASHES,
    MARKERS,
    PALETTE,
    QUIET,
    canvas,
    head,
    nothing,
    safe,
)
from forecast.reports.wording import percent

MEAN = "all cohorts"
_FEW = 6


def cohort_curves_data(cohorts: pd.DataFrame) -> pd.DataFrame:
    """Cumulative value per customer by age, and the mean over cohorts weighted by their customers.

    Parameters
    ----------
    cohorts : DataFrame
        ``cohort, age, customers, cumulative_value_per_customer, partial`` as in ``History.cohorts``.

    Returns
    -------
    DataFrame
        ``cohort, age, customers, value, partial``, observed cells only. The rows of cohort ``all cohorts``
        are the mean over the cohorts whose period of that age is over, as long as these hold half of the
        customers; beyond, the mean would be of other people.

    Examples
    --------
    >>> cohorts = pd.DataFrame({"cohort": ["a", "b"], "age": [0, 0], "customers": [1, 3],
    ...     "cumulative_value_per_customer": [10.0, 20.0], "partial": [False, False]})
    >>> cohort_curves_data(cohorts)["value"].tolist()
    [10.0, 20.0, 17.5]
    """
    names = ["cohort", "age", "customers", "value", "partial"]
    frame = cohorts[["cohort", "age", "customers", "cumulative_value_per_customer", "partial"]]
    frame = frame.set_axis(names, axis="columns")
    frame = frame[frame["value"].notna()].astype({"value": "float64", "cohort": "object"})
    frame["partial"] = frame["partial"].fillna(False).astype(bool)
    whole = frame[~frame["partial"]]
    if whole["cohort"].nunique() > 1:
        sizes = whole.drop_duplicates("cohort")["customers"]
        weighed = whole.assign(weight=whole["value"] * whole["customers"]).groupby("age", as_index=False)
        mean = weighed.agg(customers=("customers", "sum"), weight=("weight", "sum"))
        mean = mean[mean["customers"] * 2 >= sizes.sum()]
        mean = mean.assign(cohort=MEAN, value=mean["weight"] / mean["customers"], partial=False)
        frame = pd.concat([frame, mean[names]])
    return frame.reset_index(drop=True)


def cohort_curves(
    cohorts: pd.DataFrame, ax: Axes | None = None, *, currency: str | None = None, period: str = "month"
) -> Axes:
    """Cumulative value per customer by age, a line a cohort.

    Read the steepness, not only the height: a line that still climbs belongs to customers who still buy.
    Compare cohorts at the same age. A younger cohort that runs below an older one is worth less so far.
    Lines end where the cohort's life ends today; the dashed last step with a hollow mark is the running
    period, which will still grow.

    Parameters
    ----------
    cohorts : DataFrame
        As in ``History.cohorts``.
    ax : Axes, optional
    currency : str, optional
    period : str
        What one step of age is: ``"month"`` or ``"quarter"``.
    """
    data = cohort_curves_data(cohorts)
    title = "What a customer has been worth, by age"
    with canvas(ax) as axes:
        if data.empty:
            return nothing(axes, title, "no values in the orders")
        names = [name for name in dict.fromkeys(data["cohort"]) if name != MEAN]
        shades = matplotlib.colormaps["cividis"](np.linspace(0.0, 0.85, len(names)))
        handles: dict[str, Line2D] = {}
        for place, name in enumerate(names):
            few = len(names) <= _FEW
            look: dict[str, Any] = {
                "color": PALETTE[place] if few else shades[place],
                "marker": MARKERS[place] if few else "",
                "markersize": 4,
            }
            dashes = DASHES[place] if few else "-"
            lines = data[data["cohort"] == name]
            whole = lines[~lines["partial"]]
            (handles[name],) = axes.plot(
                whole["age"], whole["value"], **look, linestyle=dashes, linewidth=1.8 if few else 1.0
            )
            if lines["partial"].any():
                running = pd.concat([whole.tail(1), lines[lines["partial"]]])
                # Only the running period is hollow, not the whole one it starts from.
                look |= {"marker": MARKERS[place] if few else "o", "markerfacecolor": "white"}
                look["markevery"] = [len(running) - 1]
                axes.plot(running["age"], running["value"], **look, linestyle=":", linewidth=1.2)
        shown = names if len(names) <= _FEW else [names[0], names[-1]]
        mean = data[data["cohort"] == MEAN]
        if len(mean):
            (handles[MEAN],) = axes.plot(
                mean["age"], mean["value"], color=BLACK, linewidth=2.4 if len(names) > _FEW else 1.2
            )
            shown = [*shown, MEAN]
        head(axes, title, [handles[name] for name in shown], shown, ncols=4)
        axes.set_xlabel(f"age: {period}s since the {period} of the first purchase")
        axes.set_ylabel("value per customer" + (f" ({safe(currency)})" if currency else ""))
        axes.set_ylim(bottom=min(0.0, float(data["value"].min())))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return axes


def retention_heatmap_data(cohorts: pd.DataFrame) -> pd.DataFrame:
    """Share of each cohort that bought in each later period.

    Returns
    -------
    DataFrame
        ``cohort, age, customers, active, share, partial``; age 0, where everybody bought, is left out, and
        so is what has not happened yet.

    Examples
    --------
    >>> cohorts = pd.DataFrame({"cohort": ["a", "a"], "age": [0, 1], "customers": [4, 4],
    ...     "active": [4, 1], "partial": [False, False]})
    >>> retention_heatmap_data(cohorts)["share"].tolist()
    [0.25]
    """
    frame = cohorts[cohorts["active"].notna() & (cohorts["age"] > 0)]
    frame = frame[["cohort", "age", "customers", "active", "partial"]].astype({"active": "float64"})
    frame["partial"] = frame["partial"].fillna(False).astype(bool)
    frame.insert(4, "share", frame["active"] / frame["customers"])
    return frame.reset_index(drop=True)


def retention_heatmap(cohorts: pd.DataFrame, ax: Axes | None = None, *, period: str = "month") -> Axes:
    """Share of each acquisition cohort that bought in each later period, in percent.

    Read along a row how a cohort fades, down a column whether younger cohorts come back as often as older
    ones did. A diagonal that lights up is a season or a campaign. Empty cells have not happened yet; a dashed
    frame is the running period.
    """
    data = retention_heatmap_data(cohorts)
    title = "Share of a cohort that bought again, %"
    sizes = cohorts.drop_duplicates("cohort").set_index("cohort")["customers"]
    names = list(sizes.index)
    with canvas(ax, (5.4, min(1.5 + 0.32 * len(names), 9.0))) as axes:
        if data.empty:
            return nothing(axes, title, "no period after the first purchase yet")
        last = int(data["age"].max())
        cells = np.full((len(names), last), np.nan)
        rows = {name: place for place, name in enumerate(names)}
        ages = data["age"].astype(int).tolist()
        places = [rows[name] for name in data["cohort"]]
        shares = (data["share"] * 100).tolist()
        cells[places, np.array(ages) - 1] = shares
        top = max(float(np.nanmax(cells)), 1.0)
        colours = matplotlib.colormaps["Blues"]
        axes.pcolormesh(
            np.arange(last + 1) + 0.5,
            np.arange(len(names) + 1) - 0.5,
            np.ma.masked_invalid(cells),
            cmap=colours,
            vmin=0.0,
            vmax=top * 1.3,
            edgecolors="white",
            linewidth=0.8,
        )
        if last <= 18 and len(names) <= 24:
            for age, place, share in zip(ages, places, shares, strict=True):
                ink = "white" if share > 0.7 * top else BLACK
                axes.text(age, place, f"{share:.0f}", ha="center", va="center", fontsize=8.5, color=ink)
        for age, place, running in zip(ages, places, data["partial"], strict=True):
            if running:
                frame = Rectangle((age - 0.45, place - 0.45), 0.9, 0.9)
                frame.set(fill=False, linestyle=":", edgecolor=BLACK, linewidth=1.2)
                axes.add_patch(frame)
        axes.set_ylim(len(names) - 0.5, -0.5)
        step = -(-len(names) // 24)
        axes.set_yticks(
            range(0, len(names), step), [f"{safe(name)}  (n={sizes[name]:,})" for name in names[::step]]
        )
        axes.xaxis.set_major_locator(MaxNLocator(nbins=18, integer=True, min_n_ticks=1))
        axes.set_xlabel(f"{period}s since the {period} of the first purchase")
        axes.grid(False)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        head(axes, title)
    return axes


def value_concentration_data(values: Any) -> pd.DataFrame:
    """Share of the value that the best customers brought.

    Parameters
    ----------
    values : array_like, shape (customers,)
        Value of each customer; customers without one are left out.

    Returns
    -------
    DataFrame
        ``customers`` and ``value``, both shares, at each hundredth of the customers, the best first.

    Examples
    --------
    >>> value_concentration_data([3.0, 1.0])["value"].iloc[[0, 50, 100]].tolist()
    [0.0, 0.75, 1.0]
    """
    array = np.sort(pd.Series(values).dropna().to_numpy(dtype=float))[::-1]
    total = array.sum()
    if not total > 0:
        return pd.DataFrame({"customers": [], "value": []}, dtype=float)
    shares = np.linspace(0.0, 1.0, 101)
    captured = np.append(0.0, np.cumsum(array)) / total
    at = np.interp(shares * array.size, np.arange(array.size + 1), captured)
    return pd.DataFrame({"customers": shares, "value": at})


def value_concentration(values: Any, ax: Axes | None = None) -> Axes:
    """How much of the value the best customers brought.

    Read off the marks: the best tenth and the best fifth. On the grey diagonal all customers would be worth
    the same; the further the line is above it, the more a few customers decide the year.
    """
    data = value_concentration_data(values)
    title = "Value brought by the best customers"
    with canvas(ax) as axes:
        if data.empty:
            return nothing(axes, title, "no values in the orders")
        axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.9, linestyle=":")
        axes.plot(data["customers"], data["value"], color=BLUE, linewidth=2)
        for place in (10, 20):
            share, value = data.iloc[place]
            axes.plot([share], [value], marker="o", color=BLUE, markersize=5)
            axes.annotate(
                f"best {percent(share)}: {percent(value)} of the value",
                (share, value),
                xytext=(9, -11),
                textcoords="offset points",
            )
        axes.set(xlim=(0, 1), ylim=(0, 1.02))
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
        axes.set_xlabel("customers, the best first")
        axes.set_ylabel("share of all value")
        head(axes, title)
    return axes
