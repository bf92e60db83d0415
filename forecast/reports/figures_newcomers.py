"""Figures of customers who are not won yet: what one is worth by age, beside what winning one cost."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from forecast.predict.payback import ValueByAge
from forecast.reports.canvas import BLACK, MARKERS, PALETTE, canvas, head, safe

_MOST = 5


def value_by_age(
    values: ValueByAge,
    costs: pd.DataFrame | None = None,
    *,
    level: float = 80.0,
    currency: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Cumulative value of a newcomer by age with limits of the mean; crosses mark when the cost is paid back.

    Parameters
    ----------
    values : ValueByAge
    costs : DataFrame, optional
        ``group, cac``.
    level : float
        Percent, of the band.
    currency : str, optional
    ax : Axes, optional
    """
    low, high = values.limits(level)
    known = {} if costs is None else dict(zip(costs["group"], costs["cac"], strict=True))
    # The whole, then groups with a cost, then the others; one not seen is left out.
    places = sorted(range(len(values.groups)), key=lambda g: (g > 0, values.groups[g] not in known, g))
    places = [g for g in places if not values.groups[g].startswith("(")][:_MOST]
    with canvas(ax) as axes:
        handles, names = [], []
        for number, g in enumerate(places):
            colour = BLACK if g == 0 else PALETTE[number - 1]
            (line,) = axes.plot(
                values.months, values.mean[:, g], color=colour, linewidth=2.2 if g == 0 else 1.6,
                marker=MARKERS[number], markersize=4,
            )  # fmt: skip
            axes.fill_between(values.months, low[:, g], high[:, g], color=colour, alpha=0.12, linewidth=0)
            handles.append(line)
            names.append(safe(values.groups[g]))
            cac = known.get(values.groups[g], np.nan)
            if cac == cac:
                axes.axhline(cac, color=colour, linestyle=":", linewidth=1.2)
                reached = np.flatnonzero(values.mean[:, g] >= cac)
                if len(reached):
                    axes.plot(values.months[reached[0]], cac, marker="X", color=colour, markersize=9)
        if known:
            handles.append(Line2D([], [], color=BLACK, linestyle=":", marker="X"))
            names.append("cost, paid back")
        head(axes, "Value of a newcomer by age", handles, names, ncols=3)
        axes.set_xlabel("months since the first order")
        axes.set_ylabel("value per newcomer" + (f" ({safe(currency)})" if currency else ""))
        axes.set_ylim(bottom=0.0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return axes
