"""What is seen while ``send`` runs: a bar on a terminal, and a line where tries fail."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from .. import _clock
from .._account.causes import Scene, cause
from .._account.ledger import Ledger
from .._account.losses import Limiter
from .._counting import counted
from .._engine.contract import Service
from ._console import say

if TYPE_CHECKING:
    from rich.progress import ProgressColumn

_EVERY = 0.2  # seconds between two looks
_LINE_EVERY = 10.0  # seconds between two lines about the same error code
_RECENT = 6.0  # seconds for which an error is on the bar: tries are at most 5 s apart


@contextlib.contextmanager
def watching(
    stats: Callable[[], Ledger], total: int | None, service: Service, *, quiet: bool
) -> Iterator[None]:
    """Show the account while the block runs, however seldom a line comes or goes.

    Args:
        stats: the account of now.
        total: how many messages there will be; None: nobody knows.
        service: of the destination, to name causes.
        quiet: no bar.
    """
    ended = threading.Event()
    with contextlib.nullcontext(_nothing) if quiet else _bar(total) as show:
        troubles = _Troubles(service)

        def look() -> None:
            ledger = stats()
            show(ledger, troubles.of(ledger))

        def watch() -> None:
            while not ended.wait(_EVERY):
                look()

        thread = threading.Thread(target=watch, name="publisher-send-progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            look()


class _Troubles:
    """Knows which tries fail now, and says the cause of each error code now and then."""

    def __init__(self, service: Service) -> None:
        self._scene = Scene(service.permission, own=service.causes)
        self._limiter = Limiter(_clock.now, _LINE_EVERY)
        self._seen: Mapping[str, int] = {}
        self._last = ""
        self._until = 0.0

    def of(self, ledger: Ledger) -> str:
        """The last error code that tries met, as long as that is recent."""
        for code, count in ledger.errors_by_code.items():
            more = count - self._seen.get(code, 0)
            if more <= 0:
                continue
            self._last, self._until = code, _clock.now() + _RECENT
            before = self._limiter.suppressed(code, more)
            if before is not None:
                why = cause(code, self._scene)
                tries = counted(more + before, "try")
                say(
                    f"send: {tries} failed: {code}{', ' if why else ''}{why}"
                    f" ({ledger.delivered:,} delivered so far)",
                    error=True,
                )
        self._seen = ledger.errors_by_code
        return self._last if _clock.now() < self._until else ""


def _nothing(_ledger: Ledger, _trouble: str) -> None:
    """Stands in for the bar where there is none."""


@contextlib.contextmanager
def _bar(total: int | None) -> Iterator[Callable[[Ledger, str], None]]:
    """A bar on a terminal, where rich is installed (the extra ``cli``); elsewhere nothing."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield _nothing
        return
    try:
        from rich.console import Console
        from rich.progress import Progress
    except ModuleNotFoundError:
        say("send: no progress bar without rich: pip install 'boto3-publisher[cli]'", error=True)
        yield _nothing
        return
    with Progress(*_columns(), console=Console(stderr=True), expand=True) as progress:
        task = progress.add_task("", total=total, counts="")

        def show(ledger: Ledger, trouble: str) -> None:
            lost = ledger.failed + ledger.dropped
            counts = f"{ledger.delivered:,} delivered, {lost:,} lost, {ledger.retries:,} retries"
            progress.update(
                task,
                completed=ledger.delivered + lost,
                counts=f"{counts}: {trouble}" if trouble else counts,
            )

        yield show


def _columns() -> tuple[ProgressColumn, ...]:
    from rich.progress import (
        BarColumn,
        ProgressColumn,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    class Rate(ProgressColumn):
        def render(self, task: Any) -> Any:
            return TaskProgressColumn.render_speed(task.finished_speed or task.speed)

    return (
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        TextColumn("{task.fields[counts]}", markup=False),
        Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
