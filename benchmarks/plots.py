"""The plots of a run, from its JSON: `python -m benchmarks.plots` draws the last full run again."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

OURS, POOL, GREY = "#d62728", "#1f77b4", "#8c8c8c"
CALLERS = {"publish": OURS, "submit": POOL, "boto3": "#2ca02c", "aiokpl": "#8c564b"}
Tables = dict[str, dict[str, list[dict[str, Any]]]]


def median(results: list[dict[str, Any]], key: str) -> float:
    """Return the median of one number over the rounds."""
    return float(statistics.median(result[key] for result in results))


def save(figure: Any, folder: Path, name: str) -> None:
    """Write one plot and forget it."""
    figure.tight_layout()
    figure.savefig(folder / f"{name}.png", dpi=110, metadata={"Software": None})
    plt.close(figure)


def throughput(tables: Tables, folder: Path, colors: dict[str, str]) -> None:
    """Messages a second by peer, one panel a service, on a log scale."""
    services = [each for each in ("sns", "kinesis") if tables.get(f"throughput {each}")]
    if not services:
        return
    figure, panels = plt.subplots(1, len(services), figsize=(7 * len(services), 5), squeeze=False)
    for axes, service in zip(panels[0], services, strict=True):
        found = tables[f"throughput {service}"]
        names = sorted(
            (name for name, results in found.items() if results and "no-op" not in name),
            key=lambda name: median(found[name], "rate"),
        )
        rates = [median(found[name], "rate") for name in names]
        axes.barh(names, rates, color=[colors.get(name, GREY) for name in names])
        for place, rate in enumerate(rates):
            axes.text(rate, place, f" {rate:,.0f}", va="center", fontsize=8)
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlim(right=max(rates) * 4)
        axes.set_title(f"{service.upper() if service == 'sns' else 'Kinesis'}: messages a second")
    save(figure, folder, "throughput")


def callers(tables: Tables, folder: Path) -> None:
    """Percentiles of the call in the caller's thread: idle and under load."""
    panels = [name for name in ("caller idle", "caller saturated") if tables.get(name)]
    if not panels:
        return
    figure, drawn = plt.subplots(1, len(panels), figsize=(7 * len(panels), 5), squeeze=False)
    keys = ("p50", "p99", "p999")
    for axes, name in zip(drawn[0], panels, strict=True):
        found = {each: results for each, results in tables[name].items() if results}
        width = 0.8 / len(found)
        for place, (each, results) in enumerate(found.items()):
            at = [number + place * width for number in range(len(keys))]
            kind, dark = each.split(" ")[0], 1.0 if "sns" in each else 0.6
            heights = [median(results, key) for key in keys]
            axes.bar(at, heights, width, label=each, color=CALLERS.get(kind, GREY), alpha=dark)
        axes.set_yscale("log")
        axes.set_xticks([number + 0.4 for number in range(len(keys))], ["p50", "p99", "p99.9"])
        axes.set_ylabel("µs in the caller")
        axes.set_title(name.replace("saturated", "8 threads, pool saturated"))
        axes.legend(fontsize=7)
    save(figure, folder, "caller_latency")


def views(tables: Tables, folder: Path) -> None:
    """The view beside a load, each round a point, relative to the same view beside none."""
    figure, axes = plt.subplots(figsize=(9, 4.5))
    labels: list[str] = []
    for name in ("view beside 500", "view beside 5,000"):
        found = tables.get(name, {})
        for each, results in found.items():
            kind, _, service = each.rpartition(" ")
            if not results:
                continue
            values = [(result["mean"] - 1) * 100 for result in results]
            color = {"publisher": OURS, "shared pool": POOL}.get(kind, GREY)
            axes.plot([len(labels)] * len(values), values, "o", color=color, alpha=0.6)
            labels.append(f"{kind}\n{service}\n{name.removeprefix('view beside ')}/s")
    if labels:
        axes.set_xticks(range(len(labels)), labels, fontsize=7)
        axes.set_ylabel("view slower by, %")
        axes.axhline(0, color=GREY, linewidth=0.5)
        save(figure, folder, "view_slowdown")
    plt.close(figure)


def by_backlog(tables: Tables, table: str, key: str, axes: Axes) -> bool:
    """Draw one number by the size of the backlog, a line a variant; whether there was any."""
    lines: dict[str, list[tuple[int, float]]] = {}
    for name, results in tables.get(table, {}).items():
        kind, _, size = name.rpartition(" ")
        if results:
            lines.setdefault(kind, []).append((int(size), median(results, key)))
    for kind, points in lines.items():
        color = {"publisher": OURS, "kinesis": OURS, "submit": POOL}.get(kind)
        axes.plot(*zip(*sorted(points), strict=True), "o-", label=kind, color=color)
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("messages waiting")
    if lines:
        axes.legend()
    return bool(lines)


def backlogs(tables: Tables, folder: Path) -> None:
    """Memory above the payload, and CPU a message, by backlog."""
    for name, table, key, label in (
        ("memory", "memory by backlog", "above", "bytes above 1 KB payload, each"),
        ("cost", "cost by backlog", "cpu_us", "CPU µs per message"),
    ):
        figure, axes = plt.subplots(figsize=(6.5, 4.5))
        axes.set_ylabel(label)
        if by_backlog(tables, table, key, axes):
            save(figure, folder, f"{name}_by_backlog")
        plt.close(figure)


def draw(data: dict[str, Any], folder: Path, colors: dict[str, str]) -> None:
    """Draw every plot that the tables have numbers for."""
    tables = data["tables"]
    throughput(tables, folder, colors)
    callers(tables, folder)
    views(tables, folder)
    backlogs(tables, folder)


if __name__ == "__main__":
    from benchmarks.peers import all_peers

    results = Path(__file__).parent / "results"
    draw(
        json.loads((results / "results.json").read_text()),
        results,
        {name: each.color for name, each in all_peers().items()},
    )
