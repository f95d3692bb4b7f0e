"""`python -m benchmarks`: all goals; `--quick`: in two minutes; `--only NAME`: one row."""

from __future__ import annotations

import argparse
import sys
import time

from benchmarks import report
from benchmarks.harness import Bench, Goal
from benchmarks.rows import GOALS
from benchmarks.stub import Stub


def main() -> int:
    """Run the goals that the command line names; a missed goal is no error."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less work, one round, two minutes")
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="these rows alone"
    )
    parser.add_argument("--rounds", type=int, help="rounds of each measurement (default 5)")
    parser.add_argument("--list", action="store_true", help="print the names of the rows")
    parser.add_argument("--no-write", action="store_true", help="leave benchmarks/results alone")
    options = parser.parse_args()
    if options.list:
        print("\n".join(GOALS))
        return 0
    unknown = set(options.only) - set(GOALS)
    if unknown:
        parser.error(f"no such row: {', '.join(sorted(unknown))}; there are {', '.join(GOALS)}")
    rounds = options.rounds or (1 if options.quick else 5)
    with Stub() as stub:
        bench = Bench(stub, rounds, share=0.1 if options.quick else 1.0)
        goals = [run(bench, name) for name in options.only or GOALS]
    print(report.table(goals))
    if not options.no_write:
        report.write(bench, goals, partial=bool(options.only))
    return 0


def run(bench: Bench, name: str) -> Goal:
    """Measure one row; a row that cannot be measured says why instead of ending the run."""
    bench.say(f" {name}")
    started = time.monotonic()
    try:
        goal = GOALS[name](bench)
    except Exception as error:  # noqa: BLE001 - one row must not cost the others
        bench.errors[name] = str(error)
        goal = Goal((GOALS[name].__doc__ or name).splitlines()[0])
        print(f"{name}: {error!r}", file=sys.stderr)
    goal.name = name
    goal.seconds = time.monotonic() - started
    return goal


if __name__ == "__main__":
    sys.exit(main())
