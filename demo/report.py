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
    table = Table(title="The same lines, two ways", title_justify="left")
    for column in ("", "sent with"):
        table.add_column(column, no_wrap=True)
    for column in (
        "lines",
        "caller held",
        "delivered in",
        "a second",
        "requests",
        "retries",
        "CPU",
    ):
        table.add_column(column, justify="right")
    for destination in dict.fromkeys(destination for destination, _ in runs):
        ways = {way: run for (place, way), run in runs.items() if place == destination}
        base = next(iter(ways.values()))
        for way, run in ways.items():
            faster = "" if run is base else f" ({run.per_second / base.per_second:,.0f}x)"
            table.add_row(
                destination if run is base else "",
                way,
                f"{run.messages:,}",
                _seconds(run.held),
                _seconds(run.total),
                f"{run.per_second:,.0f}{faster}",
                f"{run.requests:,}",
                f"{run.retries:,}",
                _seconds(run.cpu),
            )
        table.add_section()
    return table


LEDGER = (
    "accepted",
    "delivered",
    "failed",
    "dropped",
    "cancelled",
    "outstanding",
    "retries",
    "requests",
)


def ledger(stats: Any) -> Table:
    """The publisher's own account, destination by destination."""
    table = Table(title="The ledger: publisher.stats()", title_justify="left")
    table.add_column("")
    for column in LEDGER:
        table.add_column(column, justify="right")
    for name, account in (*stats.destinations.items(), ("total", stats.total)):
        table.add_row(name, *(f"{getattr(account, column):,}" for column in LEDGER))
    return table


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 0.1 else f"{seconds * 1000:.1f} ms"
