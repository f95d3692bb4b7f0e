"""The rows: each file holds measurements (run in a worker) and the goals that judge them."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.harness import Bench, Goal

MODULES = (
    "throughput",
    "floor",
    "caller",
    "confirm",
    "startup",
    "view",
    "memory",
    "faults",
    "durable",
    "stalled_disk",
    "relay",
)


def _goals() -> dict[str, Callable[[Bench], Goal]]:
    found = {}
    for module in MODULES:
        for name, value in vars(import_module(f"benchmarks.rows.{module}")).items():
            if name.startswith("goal_"):
                found[name.removeprefix("goal_")] = value
    return found


def __getattr__(name: str) -> dict[str, Callable[[Bench], Goal]]:
    # On demand: a worker imports one row, and must not pay for the others.
    if name == "GOALS":
        return _goals()
    raise AttributeError(name)
