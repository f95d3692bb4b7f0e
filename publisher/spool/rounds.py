"""The thread of a spool: it looks after the files in turns, and writes marks between them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from .._threads.crew import LazyThread
from .._threads.primitives import join, locked, pop, ring, tell_error

if TYPE_CHECKING:
    from .._engine.core import Core

_THREAD = "publisher-spool"
_IDLE = 5.0  # seconds between two looks at whether close() has come, which rings
_AGAIN = 1.0  # seconds after a turn that raised
_ENDS = 1.0  # seconds that the end of a publisher waits at most for a disk


class Rounds:
    """Makes turns, from the first call of :meth:`begin` to :meth:`close`.

    Args:
        core: to whose threads it belongs.
        turn: one turn; returns seconds until the next one.
        write: writes down what has ended; it raises nothing.
        let_go: of everything, at the end, once.

    Attributes:
        thread: it.
        runner: what runs, once it does.
    """

    def __init__(
        self,
        core: Core,
        *,
        turn: Callable[[], float],
        write: Callable[[], None],
        let_go: Callable[[], None],
    ) -> None:
        self.thread: LazyThread = LazyThread(core.runtime.crew, _THREAD, self._run)
        self.runner: threading.Thread | None = None
        self._core = core
        self._turn = turn
        self._write = write
        self._let_go = let_go
        self._to_let_go: list[None] = [None]  # a token
        self._alarm = locked()
        self._due = False  # whether a turn is to be made at once
        self._stopping = False
        self._closed = False

    def begin(self) -> None:
        """Make turns from now on."""
        if self.thread.to_start:
            self.thread.start()

    def write_soon(self) -> None:
        """Something has ended."""
        self.begin()
        ring(self._alarm)

    def look_soon(self) -> None:
        """Make a turn at once."""
        self._due = True
        self.write_soon()

    def stop(self) -> None:
        """Make no turn from here on."""
        self._stopping = True
        self._leave_crew()
        ring(self._alarm)

    def close(self) -> None:
        """Have the thread let go of everything, so that a disk that hangs holds nobody for long."""
        if self._closed:
            return
        self._closed = True
        self.stop()
        if self.runner is None:
            self._end()
        else:
            join(self.runner, _ENDS)

    def forget(self) -> None:
        """In the child of a fork: there is no such thread."""
        self._stopping = self._closed = True

    # -- the thread's

    def _run(self) -> None:
        self.runner = threading.current_thread()
        while not self._stopping:
            self._due = False
            try:
                pause = self._turn()
            except BaseException:  # noqa: BLE001 - logged; nobody else would do its work
                tell_error("the spool met an error and goes on")
                pause = _AGAIN
            self._wait(pause)
        self._leave_crew()  # it may have begun a moment after stop()
        while not self._closed:
            self._alarm.acquire(timeout=_IDLE)
            self._write()
        self._end()

    def _leave_crew(self) -> None:
        """Have close() wait for the thread, and nobody else: what ends until then is written down.

        Whoever stops it does so: the others are waited for at once.
        """
        if self.runner is not None:
            self._core.runtime.crew.threads.pop(self.runner, None)

    def _wait(self, pause: float) -> None:
        """Wait for the next turn; what ends meanwhile is written down without one."""
        clock = self._core.clock
        until = clock() + pause
        while not (self._due or self._stopping) and (left := until - clock()) > 0:
            self._alarm.acquire(timeout=left)
            self._write()

    def _end(self) -> None:
        if pop(self._to_let_go):
            self._let_go()
