"""The threads that send: the workers of one bounded executor.

All of them start together, and each stays: it takes the requests that the dispatcher hands out.
Started from a daemon thread they are daemons too, so that a process can end while one is stuck in a
request.
"""

from __future__ import annotations

import contextlib
import importlib
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from .._engine.request import Request
from .._fork import importing
from . import exit as _exit
from .crew import Crew
from .handover import Handover, Seat
from .primitives import tell_error

if TYPE_CHECKING:
    from .._engine.core import Core

#: Signals for an error of the thread itself: they must reach it (faulthandler needs that).
_OF_THE_THREAD = {
    getattr(signal, name)
    for name in ("SIGSEGV", "SIGFPE", "SIGBUS", "SIGILL", "SIGABRT")
    if hasattr(signal, name)
}
#: The signals that an idle thread of ours leaves to others. One that the system hands to it would
#: not wake a main thread that waits in a system call: multiprocessing's pools hung in terminate()
#: over that. The callbacks' thread, which runs user code all the time, leaves none.
_OTHERS = tuple(sorted(map(int, signal.valid_signals() - _OF_THE_THREAD)))
_NONE: tuple[int, ...] = ()
#: ``signal.pthread_sigmask`` makes an enum of each signal, a tenth of a millisecond in all.
_set_mask = getattr(sys.modules.get("_signal", signal), "pthread_sigmask", None)
#: The first request (it encodes the name of a host) and the first retry would import these.
_NEEDED = ("encodings.idna", "tenacity")


class Workers:
    """The workers of one core.

    Args:
        core: whose requests they send.
        crew: that they belong to.
    """

    def __init__(self, core: Core, crew: Crew) -> None:
        self._core = core
        self._crew = crew
        self._handover = Handover()
        self._executor: ThreadPoolExecutor | None = None
        self.count = 0  # workers that serve; without any, the dispatcher sends
        self._masks = False  # signals are blocked in idle threads of ours

    # -- for the dispatcher

    def start(self, *, masks: bool) -> None:
        """Start them all; on the dispatcher.

        Args:
            masks: block signals here and in them while idle; not where threads are green.
        """
        self._masks = masks
        if masks:
            _mask(_OTHERS)  # the workers inherit that
        imports = importing().stretch()
        with contextlib.suppress(Exception):  # whoever needs it will raise
            imports.begin()
            for name in _NEEDED:
                importlib.import_module(name)
        imports.over = True
        most = 2 * self._core.options.max_workers  # so many serve where the others hang
        executor = ThreadPoolExecutor(most, thread_name_prefix=_exit.WORKERS)
        # All together and now: at interpreter exit Python 3.12 refuses new threads just when the
        # last batches need them, and every executor refuses work.
        self._hire(executor, self._core.options.max_workers + 1)
        self._executor = executor

    def hire(self, wanted: int) -> None:
        """Have so many workers, if they were started at all and the system has threads left."""
        if self._executor is not None:
            self._hire(self._executor, wanted)

    def _hire(self, executor: ThreadPoolExecutor, wanted: int) -> None:
        def hire() -> None:
            with contextlib.suppress(RuntimeError):
                while self.count < wanted:
                    executor.submit(self._serve)
                    self.count += 1

        if self.count < wanted:
            _exit.start_workers(hire)

    def put(self, request: Request) -> bool:
        """Hand a request to one of them; False where there are none."""
        return self.count > 0 and self._handover.put(request)

    def release(self) -> None:
        """Let them end when they are idle; from here on :meth:`put` refuses."""
        self._handover.close()

    def join(self) -> None:
        """After :meth:`release`: wait until they have ended, without bound."""
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=True)

    # -- the work

    def _serve(self) -> None:
        self._crew.enter()
        while True:
            try:
                self._serve_at(Seat())
                return
            except BaseException:  # noqa: BLE001 - logged; others may wait for this one
                tell_error("a worker met an error and goes on")

    def _serve_at(self, seat: Seat) -> None:
        while (request := self._handover.get(seat)) is not None:
            self.work(request)
            del request

    def work(self, request: Request) -> None:
        """Send a request and those that follow it; on a worker, or where there is none."""
        # What a request starts (a credential_process, what a handler of the user's runs) inherits
        # the signals that are blocked here: none.
        if self._masks:
            _mask(_NONE)
        try:
            self._work_through(request)
        finally:
            if self._masks:
                _mask(_OTHERS)

    def _work_through(self, request: Request) -> None:
        following: Request | None = request
        try:
            while following is not None:
                following = self._core.work(following)
        except BaseException:  # noqa: BLE001 - it is logged
            self._core.scheduler.release_worker()
            tell_error("a worker met an error and goes on")

    def leave_signals(self) -> None:
        """Callers do the work from here on, and keep their signals as they are."""
        self._masks = False


def _mask(signals: tuple[int, ...]) -> None:
    """Block these signals in the current thread, which is a real one of ours, and no others."""
    if _set_mask is not None:
        _set_mask(signal.SIG_SETMASK, signals)
