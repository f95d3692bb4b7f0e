"""Ctrl-C and SIGTERM, told apart by how far a command is."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

_ENDING = (signal.SIGINT, signal.SIGTERM)


class Stopped(BaseException):
    """Raised by the handler of a signal alone: no more is to be read."""


class Signals:
    """Counts Ctrl-C and SIGTERM inside ``with``; only the first interrupts, and only ``reading``.

    From the second on they mean again what they meant before. A signal that is ignored (by
    ``nohup``, for instance) stays so. Not in the main thread, it does nothing: Python has no
    handlers elsewhere.

    Attributes:
        count: how many have come.
        code: the exit code that says so; 0 before the first.
        reading: a signal raises Stopped; set it back before anything that must not be interrupted.
    """

    def __init__(self) -> None:
        self.count = 0
        self.code = 0
        self.reading = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Signals:  # noqa: PYI034 - typing has no Self in Python 3.10
        if threading.current_thread() is threading.main_thread():
            for number in _ENDING:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self.count += 1
        self.code = self.code or 128 + number
        if self.count > 1:
            self._restore()
        if self.reading:
            self.reading = False
            raise Stopped

    def _restore(self) -> None:
        while self._before:
            number, handler = self._before.popitem()
            signal.signal(number, handler)
