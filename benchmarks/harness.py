"""Runs measurements in subprocesses, interleaved, and judges goals on the ratios within a round."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from benchmarks.load import ENVIRONMENT
from benchmarks.stub import Stub
from benchmarks.worker import MARK

Rows = dict[str, list[dict[str, Any]]]
"""Results by variant: one dict a round, in the order of the rounds."""
T = TypeVar("T")


@dataclass
class Variant:
    """One measurement: a function of a row's module, its arguments, the stub's settings meanwhile.

    `expect` is the number of records that the stub must have seen more than in the warm-up; 0 does
    not check.
    """

    function: Callable[..., dict[str, Any]]
    arguments: dict[str, Any] = field(default_factory=dict)
    stub: dict[str, Any] = field(default_factory=dict)
    expect: int = 0


@dataclass
class Part:
    """One number of a goal: the median over rounds, its spread, and the limit it is held to."""

    label: str
    values: list[float]
    limit: float | None = None
    at_least: bool = False
    note: str = ""

    @property
    def median(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.values)

    @property
    def met(self) -> bool | None:
        """Whether the median is within the limit; None without a limit or a measurement."""
        if self.limit is None or not self.values:
            return None
        return self.median >= self.limit if self.at_least else self.median <= self.limit


@dataclass
class Goal:
    """A row of the goals: its parts, and whether it is met."""

    title: str
    parts: list[Part] = field(default_factory=list)
    name: str = ""
    seconds: float = 0.0

    @property
    def met(self) -> bool | None:
        """Met when every judged part is; None when nothing could be judged."""
        judged = [part.met for part in self.parts if part.limit is not None]
        if not judged or None in judged:
            return False if False in judged else None
        return all(judged)

    def add(self, label: str, values: list[float], limit: float | None = None, **more: Any) -> None:
        """Add a part from ready values, one a round; no values: not measured."""
        self.parts.append(Part(label, values, limit, **more))

    def ratio(self, rows: Rows, top: str, bottom: str, key: str) -> list[float]:
        """Return `top` over `bottom` round by round; empty when one of them is missing."""
        pairs = zip(rows.get(top, ()), rows.get(bottom, ()), strict=False)
        return [above[key] / below[key] for above, below in pairs]

    def at_least(
        self, label: str, rows: Rows, top: str, bottom: str, key: str, limit: float
    ) -> None:
        """Judge a ratio that should be large."""
        self.add(label, self.ratio(rows, top, bottom, key), limit, at_least=True)

    def at_most(
        self, label: str, rows: Rows, top: str, bottom: str, key: str, limit: float
    ) -> None:
        """Judge a ratio that should be small."""
        self.add(label, self.ratio(rows, top, bottom, key), limit)

    def value(
        self, label: str, rows: Rows, name: str, key: str, limit: float, scale: float = 1.0
    ) -> None:
        """Judge a number of one variant, over `scale`, that should be large."""
        values = [row[key] / scale for row in rows.get(name, ())]
        self.add(label, values, limit, at_least=True)

    @staticmethod
    def best(rows: Rows, families: tuple[str, ...], key: str) -> str:
        """Return the variant of these families with the largest median."""
        names = [name for name in rows if name.startswith(families)]
        return max(names, key=lambda name: median(rows[name], key), default="")


def median(results: list[dict[str, Any]], key: str) -> float:
    """Return the median of one number over the rounds."""
    return float(statistics.median(result[key] for result in results))


class Bench:
    """One run of the benchmarks: the stub, the number of rounds, and everything measured so far."""

    def __init__(
        self, stub: Stub, rounds: int = 5, share: float = 1.0, verbose: bool = True
    ) -> None:
        self.stub = stub
        self.rounds = rounds
        self.share = share
        self.quick = share < 1
        self.tables: dict[str, Rows] = {}
        self.missing: dict[str, str] = {}
        self.errors: dict[str, str] = {}
        self._verbose = verbose
        self._started = time.monotonic()

    def scale(self, count: int, least: int = 1) -> int:
        """Return the work of a quick run for the `count` of a full one."""
        return max(least, int(count * self.share))

    def absent(self, what: str, why: str) -> None:
        """Note that something is not measured, and why."""
        self.missing[what] = why

    def once(self, name: str, run: Callable[[], Rows]) -> Rows:
        """Return the table `name`, measuring it when it is first asked for."""
        if name not in self.tables:
            self.tables[name] = run()
        return self.tables[name]

    def interleave(
        self, name: str, variants: dict[str, Variant], rounds: int | None = None
    ) -> Rows:
        """Measure each variant once a round, each round starting with another one."""
        rows: Rows = {each: [] for each in variants}
        order = list(variants)
        for turn in range((rounds or self.rounds) if order else 0):
            for each in order[turn % len(order) :] + order[: turn % len(order)]:
                if each not in rows:
                    continue
                try:
                    rows[each].append(self.run(variants[each]))
                except Exception as error:  # noqa: BLE001
                    # A peer that fails is a finding of the run, not the end of it.
                    self.errors[f"{name}: {each}"] = str(error)[-2000:]
                    del rows[each]
                    self.say(f"  {name}: {each}: FAILED: {str(error)[-600:]}")
        self.tables[name] = rows
        for each, results in rows.items():
            self.say(f"  {name}: {each}: {brief(results)}")
        return rows

    def run(self, variant: Variant) -> dict[str, Any]:
        """Measure once, in a fresh process."""
        self.stub.reset(**variant.stub)
        endpoint = self.stub.url
        result = run_worker(variant.function, {**variant.arguments, "endpoint": endpoint})
        seen = self.stub.stats()
        if variant.expect and seen["records"] < variant.expect:
            raise RuntimeError(
                f"{seen['records']} of {variant.expect} records reached the endpoint"
            )
        result["stub"] = seen
        return result

    def say(self, text: str) -> None:
        """Report progress."""
        if self._verbose:
            print(f"[{time.monotonic() - self._started:5.0f} s]{text}", file=sys.stderr, flush=True)


def run_worker(
    function: Callable[..., dict[str, Any]], arguments: dict[str, Any], timeout: float = 900
) -> dict[str, Any]:
    """Call `function(**arguments)` in a fresh process; raises with its error output."""
    target = f"{function.__module__}:{function.__name__}"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.worker", target, json.dumps(arguments)],
        check=False,
        env={**os.environ, **ENVIRONMENT},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    last = done.stdout.rstrip().rpartition("\n")[2]
    if done.returncode or not last.startswith(MARK):
        raise RuntimeError(f"{target} {arguments}: exit {done.returncode}\n{done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(last[len(MARK) :])
    return result


def brief(results: list[dict[str, Any]]) -> str:
    """Return the medians of the plain numbers of a variant, for the log."""
    if not results:
        return "nothing"
    keys = [key for key, value in results[0].items() if isinstance(value, (int, float))]
    return ", ".join(f"{key} {median(results, key):.4g}" for key in keys)
