"""How every picture of this repository looks.

Okabe and Ito's colours, which people with any kind of colour vision tell apart; in place of their
black a dark grey (a middle one and the green are alike to some). Each kind of thing that is
compared has a marker of its own as well. A picture is an opaque white card with a border, so it
reads the same on a light page and on a dark one. It is as wide as a page of the repository shows it
(`WIDTH` inches at 100 pixels each), so text keeps the size it is given here; it is saved at twice
that.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, NullFormatter

BLUE, VERMILLION, GREEN, ORANGE = "#0072b2", "#d55e00", "#009e73", "#e69f00"
PURPLE, SKY, GREY = "#cc79a7", "#56b4e9", "#4d4d4d"
SERIES = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY, GREY)
DASHED = (0, (4, 2))
INK, FAINT, BORDER = "#1f2328", "#59636e", "#d0d7de"
WIDTH, SHARPNESS = 8.3, 200

KINDS = {
    "ours": ("this package", {"color": VERMILLION, "marker": "o"}),
    "bound": (
        "its bound: bare calls with our bodies",
        {"color": VERMILLION, "marker": "o", "markerfacecolor": "white"},
    ),
    "boto3": ("boto3 by hand", {"color": BLUE, "marker": "s"}),
    "library": ("other libraries", {"color": GREEN, "marker": "D"}),
    "control": ("a no-op", {"color": GREY, "marker": "^"}),
}
"""What is compared: its words in a legend and its looks. `ours` is this package everywhere."""

STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e7eb",
    "grid.linewidth": 0.8,
    "xtick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.color": FAINT,
    "ytick.labelcolor": INK,
    "lines.linewidth": 1.6,
    "lines.markersize": 6,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.facecolor": "white",
    "figure.edgecolor": BORDER,
}


def page(height: float, title: str, note: str = "") -> Figure:
    """Return an empty figure `height` inches high, with a title above and a note below.

    A title that ends with empty lines leaves room under it, such as `legend` needs.
    """
    mpl.rcParams.update(STYLE)
    figure = plt.figure(figsize=(WIDTH, height), layout="constrained")
    figure.patch.set_linewidth(2)
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.09, hspace=0.03)
    figure.suptitle(title, x=0.015, ha="left", fontsize=11.5, fontweight="bold")
    if note:
        figure.supxlabel(note, x=0.015, ha="left", fontsize=8, color=FAINT)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write one picture and forget it."""
    figure.savefig(
        path,
        dpi=SHARPNESS,
        edgecolor=figure.get_edgecolor(),
        metadata={"Software": None},
    )
    plt.close(figure)


PLAIN = FuncFormatter(lambda value, _: f"{value:,.10g}")
"""Numbers on an axis as text has them: 10,000."""


def logarithmic(axis: Axis, label: str) -> None:
    """Make an axis logarithmic, write its numbers out, and say so where it has a label."""
    axis._set_axes_scale("log")
    axis.set_major_formatter(PLAIN)
    axis.set_minor_formatter(NullFormatter())
    if label:
        axis.set_label_text(f"{label} (log scale)")


def legend(figure: Figure, kinds: Iterable[str], extra: Sequence[Line2D] = ()) -> None:
    """Say under the title what the colours mean, of the kinds that are shown.

    Where `extra` handles say what the markers mean, the kinds have none of their own.
    """
    shown = set(kinds)
    handles: list[Any] = [
        Patch(color=looks["color"], label=words)
        if extra
        else Line2D([], [], linestyle="none", label=words, **looks)
        for kind, (words, looks) in KINDS.items()
        if kind in shown
    ]
    handles += extra
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0.0135, 1 - 0.33 / figure.get_figheight()),
        ncols=len(handles),
        handlelength=1.2,
        handletextpad=0.4,
        columnspacing=1.4,
        borderaxespad=0,
    )


def series_looks() -> Iterator[dict[str, Any]]:
    """Looks for any number of lines in one panel: no two have the same colour and dashes."""
    dashes = ("-", DASHED, (0, (1, 1.5)), (0, (6, 2, 1, 2)))
    for number in itertools.count():
        dash = dashes[number // len(SERIES) % len(dashes)]
        yield {"color": SERIES[number % len(SERIES)], "linestyle": dash}
