"""The picture of RESULTS.md: what a task costs as it grows, on two logarithmic axes."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

TITLES = {
    "fit": ("BG/NBD fit, from arrays", "customers"),
    "log": ("Orders in Parquet to histories", "orders"),
}
COLOURS = {"ours": "#0f6e6e", "lifetimes": "#b4552d"}
Curves = dict[str, dict[str, list[tuple[int, float]]]]


def draw(curves: Curves, path: Path) -> None:
    """One panel a task, one line a tool, named at its end."""
    figure, panels = plt.subplots(1, len(curves), figsize=(10, 4), layout="constrained")
    for panel, (task, lines) in zip(panels, curves.items(), strict=True):
        title, unit = TITLES[task]
        for name, points in lines.items():
            sizes, seconds = zip(*points, strict=True)
            panel.plot(sizes, seconds, "o-", color=COLOURS[name], linewidth=2, markersize=5)
            panel.annotate(
                f" {name}, {seconds[-1]:.3g} s", (sizes[-1], seconds[-1]), color=COLOURS[name],
                xytext=(4, 6), textcoords="offset points", ha="right", va="bottom",
            )  # fmt: skip
        panel.set(xscale="log", yscale="log", title=title, xlabel=unit, ylabel="seconds")
        panel.margins(0.1, 0.15)
        panel.grid(True, which="major", color="#dddddd")
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
