"""What every figure shares: colours, style, safe text, and the way to a picture inside a page.

Figures are made without pyplot and without touching the caller's settings: our style holds only while we
draw on a figure of our own. On axes that are given to us, the caller's style stays.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

FONT = "DejaVu Sans"
INK, QUIET, GRID = "#1a1a1a", "#595959", "#dddddd"

# Okabe & Ito (2008): eight colours that people with any colour vision can tell apart. Black is what happened.
BLUE, VERMILLION, ORANGE, GREEN = "#0072B2", "#D55E00", "#E69F00", "#009E73"
SKY, PURPLE, YELLOW, BLACK = "#56B4E9", "#CC79A7", "#F0E442", "#000000"
PALETTE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, YELLOW)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p")
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.3)), (0, (5, 1.5, 1, 1.5)), (0, (8, 2)), (0, (3, 1)))

# One look for each known candidate in every figure of a report.
_KNOWN = {
    "bg-nbd": 0,
    "nbd": 1,
    "last-year": 2,
    "global-mean": 3,
    "naive": 4,
    "hiatus": 5,
    "formula": 6,
}
# Fitted candidates have their model's colour; what is done with the model shows in marker and dashes.
_FAMILY = {
    "bg-nbd": BLUE,
    "mbg-nbd": PURPLE,
    "pareto-nbd": ORANGE,
    "mbg-cnbd-2": SKY,
    "auto": GREEN,
    "hgb": VERMILLION,
    "average": YELLOW,
}
_DONE = {
    "": ("o", "-"),
    "+level": ("<", DASHES[1]),
    "+season": (">", DASHES[2]),
    "+season+level": ("p", DASHES[3]),
}

STYLE: dict[RcKeyType, Any] = {
    "font.family": [FONT],
    "font.size": 10.5,
    "axes.titlesize": 11.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "axes.labelcolor": QUIET,
    "axes.edgecolor": "#8a8a8a",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "xtick.major.size": 3.0,
    "ytick.major.size": 0.0,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "svg.fonttype": "path",
    "svg.hashsalt": "clv-forecast",
}

_LARGEST_SVG = 220_000
_LEGEND, _LETTER, _HANDLE = 345.0, 5.3, 34.0  # points: a legend's room, a letter of it, the line beside it


@dataclass(frozen=True)
class Look:
    """Colour, marker and dashes of one series: any one of them tells it from the others."""

    colour: str
    marker: str
    dashes: Any


def looks(names: Sequence[str]) -> dict[str, Look]:
    """A look for each name; known candidates look the same in every figure.

    Examples
    --------
    >>> looks(["nbd", "mine"])["nbd"].colour
    '#D55E00'
    >>> looks(["mbg-nbd"])["mbg-nbd"].colour == looks(["mbg-nbd+level"])["mbg-nbd+level"].colour
    True
    """
    taken = {_KNOWN[name] for name in names if name in _KNOWN}
    free = [place for place in range(max(len(names), 1) + len(_KNOWN)) if place not in taken]
    found = {}
    for name in dict.fromkeys(names):
        model, plus, done = name.partition("+")
        if model in _FAMILY and plus + done in _DONE:
            found[name] = Look(_FAMILY[model], *_DONE[plus + done])
            continue
        place = _KNOWN[name] if name in _KNOWN else free.pop(0)
        found[name] = Look(
            PALETTE[place % len(PALETTE)], MARKERS[place % len(MARKERS)], DASHES[place % len(DASHES)]
        )
    return found


@contextmanager
def house_style() -> Iterator[None]:
    """Our settings, whatever the caller's are; theirs come back afterwards."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


@contextmanager
def canvas(ax: Axes | None, size: tuple[float, float] = (5.4, 3.5)) -> Iterator[Axes]:
    """The given axes as they are, or new ones in the house style while they are drawn on."""
    if ax is not None:
        yield ax
        return
    with house_style():
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure.add_subplot()


@cache
def _glyphs() -> frozenset[int]:
    return frozenset(get_font(findfont(FONT)).get_charmap())


def safe(text: Any) -> str:
    r"""Text from data for a figure: no mathematics, no control characters, no missing glyphs.

    Examples
    --------
    >>> print(safe("$x$"), safe("_hidden"), safe("a\nb"))
    \$x\$  _hidden a b
    """
    shown = "".join(
        (c if ord(c) in _glyphs() else "\u25a1") if c.isprintable() else " " for c in str(text)
    ).replace("$", r"\$")
    # Matplotlib leaves series whose label begins with an underscore out of the legend.
    return f" {shown}" if shown.startswith("_") else shown


def head(
    ax: Axes, title: str, handles: Sequence[Any] = (), labels: Sequence[str] = (), ncols: int = 3
) -> None:
    """Title, and the legend under it, above the plot; long names get fewer columns."""
    rows = 0
    if handles:
        longest = max(len(str(label)) for label in labels)
        ncols = max(1, min(ncols, int(_LEGEND / (_LETTER * longest + _HANDLE))))
        rows = -(-len(handles) // ncols)
        ax.legend(
            handles,
            [safe(label) for label in labels],
            loc="lower left",
            bbox_to_anchor=(0.0, 1.0),
            ncols=min(ncols, len(handles)),
            borderaxespad=0.2,
            handlelength=2.2,
            columnspacing=1.4,
            borderpad=0.2,
            frameon=False,
        )
    ax.set_title(title, loc="left", pad=8 + rows * 15.5)


def nothing(ax: Axes, title: str, why: str) -> Axes:
    """Axes that say why there is nothing to see."""
    head(ax, title)
    ax.text(0.5, 0.5, safe(why), transform=ax.transAxes, ha="center", va="center", color=QUIET, wrap=True)
    ax.set_xticks([])
    ax.set_yticks([])
    return ax


def picture(ax: Axes) -> str:
    """The figure of these axes as a data URI: SVG, or PNG at double density when that is lighter.

    The same figure gives the same bytes: no date, no random identifiers.
    """
    figure = ax.get_figure(root=True)
    assert figure is not None
    with house_style():
        drawing = io.BytesIO()
        figure.savefig(drawing, format="svg", metadata={"Date": None, "Creator": None})
        kind, data = "svg+xml", drawing.getvalue()
        if len(data) > _LARGEST_SVG:
            drawing = io.BytesIO()
            figure.savefig(drawing, format="png", dpi=192, metadata={"Software": None})
            kind, data = "png", drawing.getvalue()
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
