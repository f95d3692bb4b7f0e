"""What the demo shows: bars while it works, tables at the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from .ways import Run, Step


class Bars:
    """The progress bars, one for each way and destination, with live counts."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def add(self, title: str, total: int) -> Step:
        """Start a bar for `total` messages and return what moves it on."""
        task = self._progress.add_task(title, total=total, counts="")
        sent = retried = failed = 0

        def step(more_sent: int, more_retried: int, more_failed: int) -> None:
            nonlocal sent, retried, failed
            sent, retried, failed = sent + more_sent, retried + more_retried, failed + more_failed
            counts = f"{sent:,} sent, {retried:,} retried, {failed:,} failed"
            self._progress.update(task, completed=sent + failed, counts=counts)

        return step

    def reading(self, title: str, total: int, lines: Iterable[Any]) -> Iterator[Any]:
        """Pass `lines` on, with a bar that counts them."""
        task = self._progress.add_task(title, total=total, counts="")
        for number, line in enumerate(lines, start=1):
            yield line
            self._progress.update(task, completed=number, counts=f"{number:,} read back")


@contextmanager
def bars(console: Console) -> Iterator[Bars]:
    """Show bars until the block ends."""
    columns = (
        TextColumn("{task.description:<17}"),
        BarColumn(bar_width=14),
        TimeElapsedColumn(),
        TextColumn("{task.fields[counts]}"),
    )
    with Progress(*columns, console=console) as progress:
        yield Bars(progress)


BALANCE = ("delivered", "failed", "dropped", "cancelled", "outstanding")  # they add up to accepted
LEDGER = ("accepted", *BALANCE, "retries", "requests")


@dataclass(frozen=True)
class Arrival:
    """What came out at the end, compared with what was sent."""

    sent: int
    missing: int
    altered: int
    twice: int
    unknown: int

    @classmethod
    def compare(cls, lines: Sequence[str], arrived: Iterable[tuple[int, bytes]]) -> Arrival:
        """Compare `arrived`, pairs of a line's number and bytes, with the `lines` sent."""
        times = [0] * len(lines)
        altered = unknown = 0
        for number, data in arrived:
            if not 0 <= number < len(lines):
                unknown += 1
                continue
            times[number] += 1
            altered += data != lines[number].encode()
        missing, twice = times.count(0), sum(n > 1 for n in times)
        return cls(len(lines), missing, altered, twice, unknown)

    @property
    def complete(self) -> bool:
        """Whether every line arrived as it was sent; arriving twice is no loss."""
        return not (self.missing or self.altered or self.unknown)

    def __str__(self) -> str:
        if self.complete:
            return f"all {self.sent:,} lines arrived unaltered, {self.twice:,} of them twice"
        return (
            f"{self.sent:,} lines sent, {self.missing:,} MISSING, {self.altered:,} altered, "
            f"{self.unknown:,} unknown, {self.twice:,} twice"
        )


def comparison(runs: dict[tuple[str, str], Run]) -> Table:
    """The table of what each way cost, for runs by (destination, way)."""
    table = _table("The same lines, two ways")
    headings = (
        "lines",
        "caller\nheld, s",
        "all\ndone, s",
        "lines a\nsecond",
        "faster",
        "calls",
        "retries",
        "CPU, s",
    )
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for destination in dict.fromkeys(destination for destination, _ in runs):
        table.add_row(destination)
        ways = {way: run for (place, way), run in runs.items() if place == destination}
        base = next(iter(ways.values()))
        for way, run in ways.items():
            table.add_row(
                f"  {way}",
                f"{run.messages:,}",
                f"{run.held:.3f}",
                f"{run.total:.3f}",
                f"{run.per_second:,.0f}",
                "" if run is base else f"{run.per_second / base.per_second:,.1f}x",
                f"{run.requests:,}",
                f"{run.retries:,}",
                f"{run.cpu:.3f}",
            )
    return table


def ledger(stats: Any) -> Table:
    """The publisher's own account, destination by destination."""
    accounts = {**stats.destinations, "total": stats.total}
    table = _table("The ledger, from publisher.stats()")
    for name in accounts:
        table.add_column(name, justify="right")
    for entry in LEDGER:
        counts = (f"{getattr(account, entry):,}" for account in accounts.values())
        table.add_row(entry, *counts)
    return table


def _table(title: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column("", no_wrap=True)
    return table
