"""The thread of user code: hooks, and the callbacks of futures.

``publisher-callbacks`` starts with the first of them and runs them in order. What they raise is
logged, and does not end the thread.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from .. import _clock
from .._log_lines import ALL, LINES
from .crew import Crew, LazyThread
from .primitives import locked, ring, tell_error

logger = logging.getLogger("publisher")

_NAME = "publisher-callbacks"
_SLOW = 1.0  # seconds


class Callbacks:
    """Runs one core's user code, each call a ``(function, argument)``.

    Args:
        crew: that its thread belongs to.
    """

    def __init__(self, crew: Crew) -> None:
        self._thread = LazyThread(crew, _NAME, self._run)
        self._calls: deque[tuple[Callable[[Any], object], Any]] = deque()
        self._alarm = locked()  # rung when there are calls, or when it may end
        #: How many calls have returned; written by the thread alone.
        self.calls_run = 0
        self.ending = False  # the thread may end

    def call(self, calls: Sequence[tuple[Callable[[Any], object], Any]]) -> None:
        """Hand calls over, and wake the thread once for all of them. Never blocks."""
        self._calls.extend(calls)
        if self._thread.to_start:
            self._thread.start()
            if self._thread.to_start:  # no thread can be started
                self._run_calls()
        ring(self._alarm)

    def start_if_left(self) -> None:
        """Start the thread, where Ctrl-C interrupted the one that was to do so."""
        if self._calls and self._thread.to_start:
            self._thread.start()

    def mark(self) -> threading.Lock | None:
        """An alarm that rings when what was handed over so far has run; None where it has."""
        if self._thread.to_start:
            return None
        done = locked()
        self.call([(ring, done)])
        return done

    def end(self) -> None:
        """Let the thread end when it has run what is left."""
        self.ending = True
        ring(self._alarm)

    def join(self, timeout: float) -> None:
        """After :meth:`end`: wait until it has, at most ``timeout`` seconds."""
        self._thread.join(timeout)

    def _run(self) -> None:
        LINES.set(ALL)  # a green thread has its starter's context
        while True:
            try:
                self._call_until_the_end()
                return
            except BaseException:  # noqa: BLE001 - it is logged
                tell_error("the thread of callbacks met an error and goes on")

    def _call_until_the_end(self) -> None:
        while True:
            self._run_calls()
            if not self.ending:
                self._alarm.acquire()
                continue
            self._thread.leave()
            # Where there is more already, and another thread is not at it:
            if not (self._calls and self._thread.stay()):
                return

    def _run_calls(self) -> None:
        while True:
            try:
                function, argument = self._calls.popleft()
            except IndexError:
                return
            began = _clock.now()
            try:
                function(argument)
            except BaseException:  # noqa: BLE001 - logged; SystemExit too: user code ends no thread
                tell_error("%s raised", _name(function), level=logging.ERROR)
            if function is not ring:  # that is a mark of ours
                self.calls_run += 1
            took = _clock.now() - began
            if took > _SLOW:
                text = "%s took %.1f s: other callbacks and hooks waited for it"
                with contextlib.suppress(BaseException):
                    logger.warning(text, _name(function), took)
            del function, argument


def _name(function: Any) -> str:
    return getattr(function, "__qualname__", None) or type(function).__qualname__
