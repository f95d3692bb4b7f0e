"""The dashboard as a picture: its panels, drawn from the answers to their queries.

Grafana itself is not needed. Of its overrides those are known that dashboard.json has: a fixed
colour and a dashed line, by a series' name or by a regular expression. Series that have no fixed
colour get one of the style's own.
"""

from __future__ import annotations

import re
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec

from benchmarks import style

UNITS = {
    "mps": "messages per second",
    "cps": "per second",
    "short": "messages",
    "s": "seconds",
}
Points = list[tuple[float, float]]
Answers = dict[int, list[tuple[str, Points]]]
"""By a panel's id: the names of its series and their points, (seconds since the start, value)."""


def shown(value: float, unit: str) -> str:
    """Return a value as a panel of one number shows it."""
    if unit == "percentunit":
        return f"{value:.0%}"
    text = f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.2g}"
    return f"{text} s" if unit == "s" else text


def fixed(panel: dict[str, Any], name: str) -> dict[str, Any]:
    """Return what the panel's overrides say about a series."""
    looks: dict[str, Any] = {}
    for override in panel["fieldConfig"]["overrides"]:
        matcher = override["matcher"]
        if matcher["id"] == "byName":
            matches = matcher["options"] == name
        else:
            matches = re.search(matcher["options"].strip("/"), name) is not None
        for each in override["properties"] if matches else ():
            if each["id"] == "color":
                looks["color"] = each["value"]["fixedColor"]
            else:
                looks["linestyle"] = style.DASHED
    return looks


def looks(panel: dict[str, Any], names: list[str]) -> list[dict[str, Any]]:
    """Return how each series of a panel is drawn: no two look the same."""
    own = [fixed(panel, name) for name in names]
    taken = {each["color"] for each in own if "color" in each}
    free = (each for each in style.series_looks() if each["color"] not in taken)
    return [each if "color" in each else {**next(free), **each} for each in own]


def stat(axes: Axes, panel: dict[str, Any], points: Points) -> None:
    """One number, on the colour of its threshold."""
    value = points[-1][1] if points else 0.0
    defaults = panel["fieldConfig"]["defaults"]
    color = style.GREY
    for step in defaults["thresholds"]["steps"]:
        if step["value"] is None or value >= step["value"]:
            color = step["color"]
    axes.set_facecolor(color)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.text(
        0.5,
        0.46,
        shown(value, defaults["unit"]),
        transform=axes.transAxes,
        ha="center",
        va="center",
        fontsize=18,
        fontweight="bold",
        color=style.INK if color == style.ORANGE else "white",
    )


def lines(
    axes: Axes, panel: dict[str, Any], series: list[tuple[str, Points]], began: list[float]
) -> None:
    """Draw the series of one panel, a gap where there was no answer, and the phases' beginnings."""
    names = [name for name, _ in series]
    for (name, points), look in zip(series, looks(panel, names), strict=True):
        x: list[float] = []
        y: list[float] = []
        for at, value in points:
            if x and at - x[-1] > 2:
                x.append(at)
                y.append(float("nan"))
            x.append(at)
            y.append(value)
        axes.plot(x, y, label=name, **look)
    for number, at in enumerate(began, 1):
        axes.axvline(at, color=style.FAINT, linewidth=0.7, linestyle=(0, (1, 2)))
        axes.annotate(
            str(number),
            (at, 1),
            (3, 0),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            fontsize=7.5,
            color=style.FAINT,
        )
    axes.set_ylim(bottom=0)
    axes.set_ylabel(UNITS[panel["fieldConfig"]["defaults"]["unit"]], fontsize=8)
    axes.yaxis.set_major_formatter(style.PLAIN)
    axes.tick_params(labelsize=8)
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(-0.13, -0.27),
        ncols=1 if any(len(name) > 20 for name in names) else 4,
        fontsize=7.5,
        borderaxespad=0,
        labelspacing=0.25,
        handlelength=2.2,
    )


def draw(
    dashboard: dict[str, Any],
    answers: Answers,
    phases: list[tuple[float, str]],
    end: float,
) -> Figure:
    """Return the dashboard's panels, where it has them.

    `phases` are the beginnings (seconds since the start) and the names of what the run went
    through.
    """
    panels = dashboard["panels"]
    rows = sorted({panel["gridPos"]["y"] for panel in panels})
    entries = {
        y: max(len(answers[panel["id"]]) for panel in panels if panel["gridPos"]["y"] == y)
        for y in rows
    }
    heights = [0.55 if y == 0 else 1.35 for y in rows]
    height = 1.2 + sum(heights) + sum(0.9 + 0.15 * entries[y] for y in rows if y)
    figure = style.page(
        height, f"{dashboard['title']}: {end:.0f} seconds under changing faults" + "\n" * 3
    )
    grid = GridSpec(len(rows), 24, figure, height_ratios=heights)
    for panel in panels:
        place = panel["gridPos"]
        axes = figure.add_subplot(
            grid[rows.index(place["y"]), place["x"] : place["x"] + place["w"]]
        )
        axes.set_title(panel["title"], pad=12 if panel["type"] == "timeseries" else 5, fontsize=9)
        series = answers[panel["id"]]
        if panel["type"] == "stat":
            stat(axes, panel, series[0][1] if series else [])
            continue
        lines(axes, panel, series, [at for at, _ in phases])
        axes.set_xlim(0, end)
        axes.set_xticks(range(0, int(end) + 1, 15))
        axes.set_xlabel("seconds since the start", fontsize=8)
    words = [f"{number} {name}" for number, (_, name) in enumerate(phases, 1)]
    for column in range(2):
        figure.text(
            0.015 + 0.5 * column,
            1 - 0.36 / height,
            "\n".join(words[column * 3 : column * 3 + 3]),
            va="top",
            fontsize=8.5,
            color=style.FAINT,
        )
    return figure
