"""Figures of totals over time: tracking, errors by cut-off, and whether intervals held."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from forecast.evaluation.baselines import BASELINES
from forecast.evaluation.candidates import LEVEL
from forecast.periods import level_label
from forecast.reports.canvas import BLACK, QUIET, canvas, head, looks, nothing, safe

WHAT_IT_COUNTS = {"orders": "purchases", "value": "value"}
_EDGE = 100.0
_MANY_CUTS = 8


def chosen(frame: pd.DataFrame, models: str | Sequence[str] | None) -> list[str]:
    """The models asked for, or all of the frame, in the order of the frame.

    Examples
    --------
    >>> chosen(pd.DataFrame({"model": ["b", "a", "b"]}), None)
    ['b', 'a']
    """
    if isinstance(models, str):
        return [models]
    return list(dict.fromkeys(frame["model"] if models is None else models))


def tracking_data(tracking_frame: pd.DataFrame, models: str | Sequence[str] | None = None) -> pd.DataFrame:
    """Cumulative repeat purchases by week: ``cutoff, model, day, expected, actual``.

    Parameters
    ----------
    tracking_frame : DataFrame
        As in ``Backtest.tracking``.
    models : str or sequence of str, optional
        All by default.

    Examples
    --------
    >>> tracking_data(pd.DataFrame({"cutoff": [], "model": [], "day": [], "expected": [], "actual": []}))
    Empty DataFrame
    Columns: [cutoff, model, day, expected, actual]
    Index: []
    """
    kept = tracking_frame[tracking_frame["model"].isin(chosen(tracking_frame, models))]
    return kept[["cutoff", "model", "day", "expected", "actual"]].reset_index(drop=True)


def tracking(
    tracking_frame: pd.DataFrame, models: str | Sequence[str] | None = None, ax: Axes | None = None
) -> Axes:
    """Repeat purchases so far, expected and actual, week by week; the cut is marked.

    Left of the cut the model has seen the data, right of it not. A line that leaves the black one after the
    cut expects too many or too few from then on; one that never fitted has the wrong shape.
    """
    data = tracking_data(tracking_frame, models)
    title = "Repeat purchases so far, expected and actual"
    with canvas(ax) as axes:
        if data.empty:
            return nothing(axes, title, "no fitted model to track")
        _timeline(axes, data, title)
        axes.set_ylabel("cumulative repeat purchases")
    return axes


def weekly_data(tracking_frame: pd.DataFrame, models: str | Sequence[str] | None = None) -> pd.DataFrame:
    """Repeat purchases of each week: the steps of the cumulative lines.

    Returns
    -------
    DataFrame
        ``cutoff, model, day`` (last day of the week), ``expected, actual, days``; a last week that is not
        whole is left out, since its height means something else.

    Examples
    --------
    >>> frame = pd.DataFrame({"cutoff": ["2026-02-01"] * 2, "model": ["m"] * 2, "expected": [1.0, 3.0],
    ...     "day": pd.to_datetime(["2026-01-08", "2026-01-15"]), "actual": [2.0, 2.0]})
    >>> weekly_data(frame)["expected"].tolist()
    [1.0, 2.0]
    """
    data = tracking_data(tracking_frame, models)
    each = data.groupby(["cutoff", "model"], sort=False)
    steps = {name: each[name].diff().fillna(data[name]) for name in ("expected", "actual")}
    before = pd.to_datetime(each["day"].shift())
    days = (pd.to_datetime(data["day"]) - before).dt.days.fillna(7)
    data = data.assign(**steps, days=days.astype("int64"))
    return data[data["days"] == 7].reset_index(drop=True)


def weekly(
    tracking_frame: pd.DataFrame, models: str | Sequence[str] | None = None, ax: Axes | None = None
) -> Axes:
    """Repeat purchases of each week, expected and actual; the cut is marked.

    Weeks swing; look for the level after the cut and for seasons, which these models do not know.
    """
    data = weekly_data(tracking_frame, models)
    title = "Repeat purchases a week, expected and actual"
    with canvas(ax) as axes:
        if data.empty:
            return nothing(axes, title, "no fitted model to track")
        _timeline(axes, data, title)
        axes.set_ylabel("repeat purchases a week")
    return axes


def _timeline(axes: Axes, data: pd.DataFrame, title: str) -> None:
    names = chosen(data, None)
    own = looks(names)
    first = data[data["model"] == names[0]]
    (actual,) = axes.plot(first["day"], first["actual"], color=BLACK, linewidth=1.8)
    handles = [actual]
    for name in names:
        lines = data[data["model"] == name]
        (line,) = axes.plot(
            lines["day"], lines["expected"], color=own[name].colour, linestyle=own[name].dashes,
            marker=own[name].marker, markevery=max(len(lines) // 8, 1), markersize=4.5, linewidth=1.6,
        )  # fmt: skip
        handles.append(line)
    axes.set_ylim(bottom=0)
    cut = pd.Timestamp(data["cutoff"].iloc[0])
    axes.axvline(float(date2num(cut)), color=QUIET, linewidth=1.0, linestyle=(0, (4, 3)))
    axes.annotate(
        f"cut {cut:%Y-%m-%d}",
        (float(date2num(cut)), 0.02),
        xycoords=("data", "axes fraction"),
        xytext=(-5, 2),
        textcoords="offset points",
        ha="right",
        color=QUIET,
        fontsize="small",
    )
    locator = AutoDateLocator(maxticks=8)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    head(axes, title, handles, ["actual", *names], ncols=4)


def error_by_quarter_data(
    board: pd.DataFrame, target: str = "orders", models: str | Sequence[str] | None = None
) -> pd.DataFrame:
    """Signed error of each candidate's total at each cut-off.

    Parameters
    ----------
    board : DataFrame
        As in ``Backtest.board``.
    target : {"orders", "value"}
    models : str or sequence of str, optional
        All by default.

    Returns
    -------
    DataFrame
        ``cutoff, model, rule`` (True for a simple rule), ``error_percent``: 10 means 10 % too high.

    Examples
    --------
    >>> board = pd.DataFrame({"cutoff": ["2026-03-31"], "model": ["naive"], "scope": ["portfolio"],
    ...     "group": ["orders"], "metric": ["bias"], "value": [0.1]})
    >>> error_by_quarter_data(board)["error_percent"].tolist()
    [10.0]
    """
    kept = board[(board["scope"] == "portfolio") & (board["group"] == target) & (board["metric"] == "bias")]
    kept = kept[kept["model"].isin(chosen(kept, models))]
    return pd.DataFrame(
        {
            "cutoff": pd.to_datetime(kept["cutoff"]),
            "model": kept["model"],
            "rule": kept["model"].isin(list(BASELINES)),
            "error_percent": kept["value"].astype(float) * 100,
        }
    ).reset_index(drop=True)


def error_by_quarter(
    board: pd.DataFrame,
    target: str = "orders",
    ax: Axes | None = None,
    *,
    models: str | Sequence[str] | None = None,
) -> Axes:
    """Signed error of every model and rule at every cut-off, in percent of what happened.

    Nearer to the line at 0 is better; above it the forecast was too high. Fitted models are joined by a line,
    simple rules are marks only. One that is always on the same side is biased. Errors beyond ±100 % sit at
    the edge with their number.
    """
    data = error_by_quarter_data(board, target, models)
    title = f"Error of total {WHAT_IT_COUNTS.get(target, target)}, by cut-off"
    with canvas(ax, (5.4, 3.9 if data["model"].nunique() <= 6 else 4.5)) as axes:
        if data.empty:
            return nothing(axes, title, "nothing happened, so nothing can be a share of it")
        names, own = chosen(data, None), looks(chosen(data, None))
        cuts = sorted(data["cutoff"].unique())
        place = {cut: float(i) for i, cut in enumerate(cuts)}
        handles = []
        small = 0.0 if len(cuts) <= _MANY_CUTS else 3.0
        for turn, name in enumerate(names):
            lines = data[data["model"] == name].sort_values("cutoff")
            shift = (turn - (len(names) - 1) / 2) * 0.7 / len(names)
            x = lines["cutoff"].map(place).to_numpy() + shift
            error = lines["error_percent"].to_numpy()
            fitted = not bool(lines["rule"].iloc[0])
            (line,) = axes.plot(
                x, np.clip(error, -_EDGE, _EDGE), color=own[name].colour, marker=own[name].marker,
                markeredgecolor="#333333", markeredgewidth=0.5, markersize=(7.5 if fitted else 6.5) - small,
                linestyle=own[name].dashes if fitted else "", linewidth=1.3, clip_on=False, zorder=3,
            )  # fmt: skip
            handles.append(line)
            widest = np.abs(error) == np.abs(error).max()  # with many cuts only the largest is written out
            for at, value in zip(x[widest | (small == 0)], error[widest | (small == 0)], strict=True):
                if abs(value) > _EDGE:
                    axes.annotate(
                        f"{value:+,.0f} %", (at, np.sign(value) * _EDGE), xytext=(0, -14 if value > 0 else 9),
                        textcoords="offset points", ha="center", fontsize="small", color=QUIET,
                    )  # fmt: skip
        axes.axhline(0, color=BLACK, linewidth=1.0)
        reach = min(max(float(data["error_percent"].abs().max()) * 1.15, 10.0), _EDGE)
        low = -reach if (data["error_percent"] < -0.3 * reach).any() else -0.4 * reach
        axes.set_ylim(low, reach)
        _cuts(axes, cuts)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+.0f} %" if value else "0 %"))
        axes.set_ylabel("too low  ←  error  →  too high")
        head(axes, title, handles, names, ncols=3)
    return axes


def _cuts(axes: Axes, cuts: Sequence[pd.Timestamp]) -> None:
    step = -(-len(cuts) // 5)
    axes.set_xticks(range(0, len(cuts), step), [f"{pd.Timestamp(cut):%Y-%m-%d}" for cut in cuts[::step]])
    axes.set_xlim(-0.6, len(cuts) - 0.4)
    axes.set_xlabel("cut-off: the last day the forecast knew")


def interval_hits_data(
    board: pd.DataFrame, target: str = "orders", models: str | Sequence[str] | None = None
) -> pd.DataFrame:
    """Total forecast with its interval beside what happened.

    Returns
    -------
    DataFrame
        ``cutoff, horizon_days, model, forecast, lo, hi, actual, hit`` of the candidates with an interval.

    Examples
    --------
    >>> board = pd.DataFrame([("2026-03-31", 91, "m", "portfolio", "orders", name, value) for name, value in
    ...     {"forecast": 5.0, "lo-90": 3.0, "hi-90": 7.0, "hit-90": 1.0, "actual": 6.0}.items()],
    ...     columns=["cutoff", "horizon_days", "model", "scope", "group", "metric", "value"])
    >>> interval_hits_data(board)["hit"].tolist()
    [True]
    """
    label = level_label(LEVEL)
    wanted = {
        "forecast": "forecast",
        f"lo-{label}": "lo",
        f"hi-{label}": "hi",
        "actual": "actual",
        f"hit-{label}": "hit",
    }
    lines = board[(board["scope"] == "portfolio") & (board["group"] == target)]
    lines = lines[lines["metric"].isin(list(wanted)) & lines["model"].isin(chosen(lines, models))]
    wide = lines.pivot(index=["cutoff", "horizon_days", "model"], columns="metric", values="value")
    order = {name: place for place, name in enumerate(chosen(lines, None))}
    wide = wide.reindex(columns=list(wanted)).rename(columns=wanted).dropna().reset_index()
    wide = wide.assign(order=wide["model"].map(order), hit=wide["hit"] > 0.5)
    wide = wide.sort_values(["cutoff", "order"], ignore_index=True).drop(columns="order")
    return wide.rename_axis(columns=None).assign(cutoff=lambda f: pd.to_datetime(f["cutoff"]))


def interval_hits(
    board: pd.DataFrame,
    target: str = "orders",
    ax: Axes | None = None,
    *,
    models: str | Sequence[str] | None = None,
    currency: str | None = None,
) -> Axes:
    """Totals of the fitted models with their 90 % interval, and what happened.

    A black bar within the coloured whisker is a hit. Nine of ten should be; when fewer are, the intervals are
    too narrow to plan with. Those of plain models hold chance and the uncertainty of the parameters; those of
    ``auto`` and of candidates with a level hold how far earlier totals were off, too.
    """
    data = interval_hits_data(board, target, models)
    title = f"Total {WHAT_IT_COUNTS.get(target, target)}: 90 % interval and actual"
    with canvas(ax, (5.4, 3.9)) as axes:
        if data.empty:
            return nothing(axes, title, "no fitted model with an interval")
        names, own = chosen(data, None), looks(chosen(data, None))
        cuts = sorted(data["cutoff"].unique())
        place = {cut: float(i) for i, cut in enumerate(cuts)}
        handles: list[ErrorbarContainer | Line2D] = []
        labels: list[str] = []
        width, few = 0.6 / len(names), len(names) * len(cuts) <= 3 * _MANY_CUTS
        for turn, name in enumerate(names):
            lines = data[data["model"] == name]
            x = lines["cutoff"].map(place).to_numpy() + (turn - (len(names) - 1) / 2) * width
            below, above = lines["forecast"] - lines["lo"], lines["hi"] - lines["forecast"]
            shown = axes.errorbar(
                x, lines["forecast"], yerr=np.maximum([below, above], 0.0), fmt=own[name].marker,
                color=own[name].colour, markersize=5 if few else 3,
                capsize=5 if few else 1.5, elinewidth=2 if few else 1.2, capthick=1.5 if few else 1.0,
            )  # fmt: skip
            handles.append(shown)
            labels.append(f"{name}: {int(lines['hit'].sum())} of {len(lines)} inside")
        seen = data.drop_duplicates("cutoff")
        at = seen["cutoff"].map(place).to_numpy()
        axes.hlines(seen["actual"], at - 0.38, at + 0.38, color=BLACK, linewidth=2)
        handles.append(Line2D([], [], color=BLACK, linewidth=2))
        labels.append("actual")
        axes.set_ylim(bottom=0)
        _cuts(axes, cuts)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        unit = f" ({safe(currency)})" if currency and target == "value" else ""
        axes.set_ylabel(f"total {WHAT_IT_COUNTS.get(target, target)}{unit}")
        head(axes, title, handles, labels, ncols=2)
    return axes
