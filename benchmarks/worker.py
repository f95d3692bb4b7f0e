"""One measurement in a process of its own: `python -m benchmarks.worker MODULE:FUNCTION JSON`.

Calls the function with the JSON object as keyword arguments and prints the JSON of what it returns
as the last line.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
from pathlib import Path

MARK = "@result "


class Meter:
    """Wall clock and processor time (s) of this process from its making on."""

    def __init__(self) -> None:
        self._cpu = cpu()
        self._wall = time.perf_counter()

    def read(self) -> tuple[float, float]:
        """Return (wall, cpu) seconds since the start."""
        return time.perf_counter() - self._wall, cpu() - self._cpu


def cpu() -> float:
    """Return the user and system time of this process, all threads, in seconds."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak_rss() -> int:
    """Return the largest resident size of this process so far, in bytes (Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def rss() -> int:
    """Return the resident size of this process, in bytes (Linux)."""
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def quantile(ordered: list[float], share: float) -> float:
    """Return the value below which `share` of the sorted values lie (nearest rank)."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def main() -> None:
    """Run the function that the command line names, and end without teardown.

    Many measurements leave a backlog or a stalled request on purpose: draining those is no part of
    them.
    """
    module, _, name = sys.argv[1].partition(":")
    result = getattr(importlib.import_module(module), name)(**json.loads(sys.argv[2]))
    print(MARK + json.dumps(result), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
