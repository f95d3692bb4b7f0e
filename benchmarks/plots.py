"""The plots of a run, from its JSON: `python -m benchmarks.plots` draws the last full run again."""

from __future__ import annotations

import itertools
import json
import statistics
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmarks import style

Tables = dict[str, dict[str, list[dict[str, Any]]]]
SERVICES = {"sns": "SNS", "kinesis": "Kinesis"}
ROW = 0.2  # inches


def median(results: list[dict[str, Any]], key: str) -> float:
    """Return the median of one number over the rounds."""
    return float(statistics.median(result[key] for result in results))


def rows(axes: Axes, names: list[str], kinds: list[str]) -> None:
    """Name the rows of a panel, from its top; ours stand out."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="x", labelbottom=True)
    axes.tick_params(axis="y", length=0)
    for text, kind in zip(axes.get_yticklabels(), kinds, strict=True):
        if kind == "ours":
            text.set_fontweight("bold")
            text.set_color(style.VERMILLION)


def above_one_another(figure: Figure, counts: list[int]) -> list[Axes]:
    """Return panels for so many rows each, on one horizontal axis."""
    ratios = [count + 1 for count in counts]
    panels = figure.subplots(len(counts), sharex=True, squeeze=False, height_ratios=ratios)
    return list(panels[:, 0])


def throughput(tables: Tables, kinds: dict[str, str], rounds: str) -> Figure | None:
    """Messages a second by peer, one panel a service."""
    found = {
        service: sorted(
            (
                (name, [result["rate"] for result in results])
                for name, results in tables[f"throughput {service}"].items()
                if results and "no-op" not in name
            ),
            key=lambda row: -statistics.median(row[1]),
        )
        for service in SERVICES
        if tables.get(f"throughput {service}")
    }
    if not found:
        return None
    counts = [len(each) for each in found.values()]
    figure = style.page(
        ROW * sum(counts) + 0.6 * len(counts) + 0.9,
        "Throughput: messages per second of one process\n",
        f"Marks and numbers: median{rounds}. Lines: lowest to highest round. Right is better.",
    )
    panels = above_one_another(figure, counts)
    for axes, (service, measured) in zip(panels, found.items(), strict=True):
        for place, (name, rates) in enumerate(measured):
            middle, looks = statistics.median(rates), style.KINDS[kinds.get(name, "library")][1]
            axes.plot([min(rates), max(rates)], [place] * 2, color=looks["color"], linewidth=2.5)
            axes.plot(middle, place, linestyle="none", **looks)
            axes.annotate(
                f"{middle:,.0f}",
                (max(rates), place),
                (8, 0),
                textcoords="offset points",
                va="center",
            )
        shown = [name for name, _ in measured]
        rows(axes, shown, [kinds.get(name, "library") for name in shown])
        axes.set_title(SERVICES[service])
        style.logarithmic(axes.xaxis, "messages per second" if axes is panels[-1] else "")
    panels[0].set_xlim(right=max(max(rates) for each in found.values() for _, rates in each) * 3)
    style.legend(
        figure, {kinds.get(name, "library") for each in found.values() for name, _ in each}
    )
    return figure


CALLS = {
    "publish": ("ours", "publish"),
    "submit": ("boto3", "pool.submit"),
    "boto3": ("boto3", "boto3, waiting"),
    "aiokpl": ("library", "aiokpl"),
    "no-op": ("control", "a no-op"),
}


def callers(tables: Tables, rounds: str) -> Figure | None:
    """Percentiles of the call in the caller's thread: idle and under load."""
    titles = {
        "caller idle": "An idle process, one thread calls",
        "caller saturated": "Eight threads call, all workers busy",
    }
    found = {
        name: sorted(
            ((each, results) for each, results in tables[name].items() if results),
            key=lambda row: "sns" not in row[0],
        )
        for name in titles
        if tables.get(name)
    }
    if not found:
        return None
    counts = [len(each) for each in found.values()]
    figure = style.page(
        ROW * sum(counts) + 0.6 * len(counts) + 0.9,
        "How long a call holds its caller\n",
        f"Medians{rounds}. Left is better.",
    )
    panels = above_one_another(figure, counts)
    percentiles = (("p50", "o", "p50"), ("p99", "s", "p99"), ("p999", "D", "p99.9"))
    shown: set[str] = set()
    for axes, (name, measured) in zip(panels, found.items(), strict=True):
        names, row_kinds = [], []
        for place, (each, results) in enumerate(measured):
            call, *_, service = each.split()
            kind, words = CALLS[call]
            if name == "caller idle" and call in ("publish", "submit"):
                words += ", one each 5 ms" if "singly" in each else ", ten in a row"
            names.append(f"{SERVICES[service]}: {words}")
            row_kinds.append(kind)
            color = style.KINDS[kind][1]["color"]
            values = [median(results, key) for key, _, _ in percentiles]
            axes.plot(values, [place] * len(values), color=color)
            for value, (_, marker, _) in zip(values, percentiles, strict=True):
                axes.plot(value, place, marker, color=color, markeredgecolor="white")
        shown |= set(row_kinds)
        rows(axes, names, row_kinds)
        axes.set_title(titles[name])
        style.logarithmic(axes.xaxis, "µs in the caller" if axes is panels[-1] else "")
    style.legend(
        figure,
        shown,
        [
            Line2D([], [], linestyle="none", marker=marker, color=style.INK, label=label)
            for _, marker, label in percentiles
        ],
    )
    return figure


def views(tables: Tables) -> Figure | None:
    """The view beside a load, each round a point, relative to the same view beside none."""
    kinds = {"control": "control", "publisher": "ours", "shared pool": "boto3"}
    found: dict[str, list[tuple[str, list[dict[str, Any]]]]] = {}
    for load, wanted in itertools.product(("500", "5,000"), SERVICES):
        for each, results in tables.get(f"view beside {load}", {}).items():
            kind, _, service = each.rpartition(" ")
            if results and service == wanted:
                title = f"{load} {SERVICES[service]} messages per second"
                found.setdefault(title, []).append((kind, results))
    if not found:
        return None
    counts = [len(each) for each in found.values()]
    figure = style.page(
        ROW * 1.2 * sum(counts) + 0.6 * len(counts) + 0.9,
        "Slow-down of a CPU-bound view beside a thread that publishes",
        "Each round a mark, relative to the same view beside a thread that calls nothing; the line "
        "is the median.\nIn brackets: how much of the load was delivered. Left is better.",
    )
    panels = above_one_another(figure, counts)
    for axes, (title, measured) in zip(panels, found.items(), strict=True):
        names = []
        for place, (kind, results) in enumerate(measured):
            values = [(result["mean"] - 1) * 100 for result in results]
            looks = style.KINDS[kinds[kind]][1]
            axes.plot(values, [place] * len(values), linestyle="none", alpha=0.55, **looks)
            middle = statistics.median(values)
            axes.plot([middle] * 2, [place - 0.38, place + 0.38], color=style.INK)
            delivered = median(results, "delivered")
            names.append("calls nothing" if kind == "control" else f"{kind} ({delivered:.0%})")
        rows(axes, names, [kinds[kind] for kind, _ in measured])
        axes.axvline(0, color=style.FAINT, linewidth=0.8)
        axes.set_title(title)
    panels[-1].set_xlabel("the view takes longer by, %")
    return figure


def by_backlog(
    measured: dict[str, list[dict[str, Any]]],
    key: str,
    lines: dict[str, tuple[str, dict[str, Any]]],
    title: str,
    unit: str,
    note: str,
) -> Figure | None:
    """One number by the size of the backlog, a line a variant: `lines` has its words and looks."""
    found: dict[str, list[tuple[int, float]]] = {}
    for name, results in measured.items():
        kind, _, size = name.rpartition(" ")
        if results:
            found.setdefault(kind, []).append((int(size), median(results, key)))
    if not found:
        return None
    figure = style.page(3.1, title, note)
    axes = figure.subplots()
    for kind, points in found.items():
        words, looks = lines[kind]
        axes.plot(*zip(*sorted(points), strict=True), **looks)
        for place, (size, value) in enumerate(sorted(points)):
            axes.annotate(
                f"{words}: {value:,.0f}" if place == 0 else f"{value:,.0f}",
                (size, value),
                (-4 if place == 0 else 0, 8),
                textcoords="offset points",
                ha="left" if place == 0 else "center",
                color=looks["color"],
            )
    axes.set_ylim(0, 1.15 * max(value for points in found.values() for _, value in points))
    axes.set_ylabel(unit)
    axes.yaxis.set_major_formatter(style.PLAIN)
    style.logarithmic(axes.xaxis, "messages waiting")
    return figure


def pictures(data: dict[str, Any], kinds: dict[str, str]) -> dict[str, Figure]:
    """Return every plot that the tables have numbers for; `kinds` are the peers', by name."""
    tables, count = data["tables"], data["about"]["rounds"]
    rounds = f" of {count} rounds" if count > 1 else ""
    ours, pool = style.KINDS["ours"][1], style.KINDS["boto3"][1]
    made = {
        "throughput": throughput(tables, kinds, rounds),
        "caller_latency": callers(tables, rounds),
        "view_slowdown": views(tables),
        "memory_by_backlog": by_backlog(
            tables.get("memory by backlog", {}),
            "above",
            {"publisher": ("this package", ours), "submit": ("a pool's work item", pool)},
            "Memory of a waiting message, by the number that wait",
            "bytes above the payload",
            "Kinesis, messages of 1 KB. Lower is better.",
        ),
        "cost_by_backlog": by_backlog(
            tables.get("cost by backlog", {}),
            "cpu_us",
            {
                "sns": ("SNS, batches of 10", {**ours, "linestyle": "--"}),
                "kinesis": ("Kinesis, batches of 500", ours),
            },
            "CPU of a message, by the number that wait",
            "CPU per message, µs",
            f"This package, from acceptance to the last outcome; median{rounds}. Level is good.",
        ),
    }
    return {name: figure for name, figure in made.items() if figure is not None}


def draw(data: dict[str, Any], folder: Path, kinds: dict[str, str]) -> None:
    """Write every plot of a run to a folder."""
    for name, figure in pictures(data, kinds).items():
        style.save(figure, folder / f"{name}.png")


if __name__ == "__main__":
    from benchmarks.peers import all_peers

    results = Path(__file__).parent / "results"
    draw(
        json.loads((results / "results.json").read_text()),
        results,
        {name: each.kind for name, each in all_peers().items()},
    )
