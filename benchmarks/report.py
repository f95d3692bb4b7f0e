"""The results of a run: one table, JSON and plots in `benchmarks/results/`."""

from __future__ import annotations

import json
import os
import platform
import sys
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.harness import Bench, Goal, Part
from benchmarks.peers import all_peers

RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- results -->", "<!-- end of results -->"
VERDICTS = {True: "met", False: "NOT met", None: "not measured"}
PACKAGES = [
    "boto3-publisher",
    "boto3",
    "botocore",
    "urllib3",
    "tenacity",
    "aiobotocore",
    "aiohttp",
    "async-kinesis",
    "aiokpl",
    "aws-sdk-sns",
    "kinesis_producer",
]


SHOWN = {
    "throughput": "Messages per second of this package, of boto3 by hand and of other libraries, "
    "SNS and Kinesis",
    "caller_latency": "p50, p99 and p99.9 of the time a call holds its caller, idle and with all "
    "workers busy",
    "view_slowdown": "How much longer a CPU-bound view takes beside this package, beside a shared "
    "pool and beside nothing",
    "memory_by_backlog": "Bytes above its payload of a waiting message, of this package and of a "
    "pool, by the number that wait",
    "cost_by_backlog": "CPU of a message of this package, SNS and Kinesis, by the number that wait",
}
"""The plots of a run, and what each shows: for people who cannot see it."""


def number(value: float) -> str:
    """Return a number with as many digits as are worth reading."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def limit(part: Part) -> str:
    """Return the limit of a part in words."""
    if part.limit is None:
        return ""
    return f"{'>=' if part.at_least else '<='} {number(part.limit)}"


def rows(goals: list[Goal]) -> list[tuple[str, ...]]:
    """Return the lines of the table: goal, what, limit, measured, spread, verdict."""
    lines: list[tuple[str, ...]] = []
    for goal in goals:
        for part in goal.parts:
            measured = number(part.median) if part.values else "-"
            few = len(part.values) < 2
            spread = "" if few else f"{number(min(part.values))} .. {number(max(part.values))}"
            verdict = "" if part.limit is None else VERDICTS[part.met]
            lines.append((goal.title, part.label, limit(part), measured, spread, verdict))
    return lines


HEADINGS = ("goal", "measured", "limit", "median", "lowest .. highest round", "")


def table(goals: list[Goal]) -> str:
    """Return the goals as a text table."""
    lines = [line[1:] for line in rows(goals)]
    widths = [max(len(line[at]) for line in [HEADINGS[1:], *lines]) for at in range(5)]
    text, last = [], ""
    for goal, (title, *_) in zip(lines, rows(goals), strict=True):
        if title != last:
            text.append(f"\n{title}")
            last = title
        cells = (cell.ljust(width) for cell, width in zip(goal, widths, strict=True))
        text.append(f"  {'  '.join(cells)}".rstrip())
    met = sum(goal.met is True for goal in goals)
    missed = [goal.name for goal in goals if goal.met is False]
    text.append(f"\n{met} of {len(goals)} goals met; missed: {', '.join(missed) or 'none'}")
    return "\n".join(text)


def markdown(goals: list[Goal]) -> str:
    """Return the goals as a Markdown table."""
    lines = ["| " + " | ".join((*HEADINGS[:-1], "verdict")) + " |", "|" + " --- |" * 6]
    last = ""
    for title, *cells in rows(goals):
        lines.append("| " + " | ".join(("" if title == last else title, *cells)) + " |")
        last = title
    return "\n".join(lines)


def peers_markdown(bench: Bench, service: str) -> str:
    """Return throughput and CPU of every peer of `service` as a Markdown table."""
    found = bench.tables.get(f"throughput {service}", {})
    lines = ["| per message | msg/s | CPU µs per message |", "| --- | ---: | ---: |"]
    for name, results in found.items():
        rates = sorted(result["rate"] for result in results)
        costs = sorted(result["cpu_us"] for result in results)
        middle = len(rates) // 2
        lines.append(f"| {name} | {number(rates[middle])} | {number(costs[middle])} |")
    return "\n".join(lines)


def environment() -> dict[str, Any]:
    """Return what the numbers depend on: interpreter, packages, processors."""
    packages = {}
    for name in PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = "not installed"
    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "packages": packages,
    }


def write(bench: Bench, goals: list[Goal], partial: bool) -> None:
    """Write `results.json`, `goals.md` and the plots; partial runs have their own folder."""
    kind = "partial" if partial else "quick" if bench.quick else "results"
    folder = RESULTS if kind == "results" else RESULTS / kind
    folder.mkdir(parents=True, exist_ok=True)
    about = environment()
    data = {
        "about": {**about, "rounds": bench.rounds, "share": bench.share},
        "goals": [
            {
                "name": goal.name,
                "title": goal.title,
                "met": goal.met,
                "seconds": round(goal.seconds, 1),
                "parts": [
                    {
                        "label": part.label,
                        "limit": part.limit,
                        "at_least": part.at_least,
                        "met": part.met,
                        "median": part.median if part.values else None,
                        "values": part.values,
                    }
                    for part in goal.parts
                ],
            }
            for goal in goals
        ],
        "tables": bench.tables,
        "missing": bench.missing,
        "errors": bench.errors,
    }
    (folder / "results.json").write_text(json.dumps(data, indent=1) + "\n")
    packages = ", ".join(f"{name} {at}" for name, at in about["packages"].items())
    text = [
        "# Results\n",
        f"Python {about['python']}, {about['cpus']} processors, {about['date']}.\n",
        f"Rounds: {bench.rounds}; {packages}.\n",
        markdown(goals),
        "\n## SNS\n",
        peers_markdown(bench, "sns"),
        "\n## Kinesis\n",
        peers_markdown(bench, "kinesis"),
    ]
    for title, found in (("Not measured", bench.missing), ("Failed", bench.errors)):
        if found:
            text.append(f"\n## {title}\n")
            text += [f"- {what}: {(why.splitlines() or [''])[-1]}" for what, why in found.items()]
    (folder / "goals.md").write_text("\n".join(text) + "\n")
    if folder == RESULTS:
        fill_readme(f"{text[1]}\n{markdown(goals)}")
    try:
        from benchmarks import plots
    except ImportError as error:
        print(f"no plots: {error}", file=sys.stderr)
        return
    plots.draw(data, folder, {name: each.kind for name, each in all_peers().items()})


def fill_readme(text: str) -> None:
    """Put the goals and the plots of a full run between the marks in the README."""
    pictures = "\n\n".join(f"![{words}](results/{name}.png)" for name, words in SHOWN.items())
    before, _, rest = README.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    README.write_text(f"{before}{BEGIN}\n\n{text}\n\n{pictures}\n\n{END}{after}")
