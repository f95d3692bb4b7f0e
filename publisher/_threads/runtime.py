"""The threads of one core: the dispatcher, the workers that send, and the one for user code.

Nothing starts before the first message. Then the daemon thread ``publisher-dispatcher`` starts the
workers, asks the core again and again what is due, and hands them the requests.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .. import _clock
from .._engine.flow import Ticket
from .._engine.lane import NEVER
from .._engine.state import acquire
from . import exit as _exit
from .callbacks import Callbacks
from .crew import Crew, LazyThread
from .hosts import check_host, runs_event_loop
from .primitives import locked, pop, ring, tell_error
from .workers import Workers

if TYPE_CHECKING:
    from .._engine.core import Core

logger = logging.getLogger("publisher")

_DISPATCHER = "publisher-dispatcher"
_ANOTHERS_WORK = 0.1  # seconds
_TURN = 0.1  # seconds that close() always has for the dispatcher's last turn
_LOOKS = 1.0  # seconds: while a message is unresolved the dispatcher looks at least so often
_PAUSE = 0.1  # seconds after an error of the dispatcher's,
_HOPELESS = 20  # and how many of them in a row are too many
_STUCK = 1.0  # seconds that close() waits for threads that have nothing left to do


class Threads:
    """Runs one core's sender half in threads.

    Raises:
        RuntimeError: threads could not run in this host as it is set up.
    """

    def __init__(self, core: Core) -> None:
        check_host()
        self.core = core
        self._alarm = locked()  # rung when the dispatcher is to look
        self.crew = Crew(self._before_start)
        self._dispatcher = LazyThread(self.crew, _DISPATCHER, self._dispatch)
        self._workers = Workers(core, self.crew)
        self._callbacks = Callbacks(self.crew)
        self._local = threading.local()  # whether this thread pumps
        self._stopping = False
        self._tells = True  # callers leave work to the dispatcher
        self._told = locked()  # released when they no longer can

    # -- the dispatcher

    def wake(self) -> None:
        """Have the dispatcher look now; starts it with the first message.

        Never blocks, but where no thread can be started and at the very end of the process.
        """
        if self._dispatcher.to_start:
            self._dispatcher.start()
        self._wake()
        if not self.is_own_thread():
            _exit.deliver_late(self.core)

    def wake_if_started(self) -> None:
        """Have the dispatcher look now, if it was ever started, or is needed."""
        dispatcher, core = self._dispatcher, self.core
        # Where there are messages and it is not, Ctrl-C hit the thread that was to start it. What
        # a store takes, or has no room for, ends before there is any.
        if dispatcher.to_start and (core.flow.messages or core.settler.has_untold):
            dispatcher.start()
        if dispatcher.denied or not (dispatcher.to_start and dispatcher.to_run):
            self._wake()

    def _wake(self) -> None:
        if self._dispatcher.denied:
            self._pump()
        ring(self._alarm)

    def _before_start(self) -> None:
        if not self._callbacks.ending:
            _exit.register(self)

    def _dispatch(self) -> None:
        # Whoever starts this thread rings when its message is in. To wait for that hands the GIL
        # straight back to a caller who is in a hurry; to start the workers first would keep it for
        # milliseconds.
        self.core.standing.expect(self.core.clock(), _LOOKS)
        self._alarm.acquire(timeout=_LOOKS)
        core = self.core
        workers = self._workers
        try:
            workers.start(masks=not self._dispatcher.is_green())
        except BaseException:  # noqa: BLE001 - it is logged
            tell_error("the dispatcher could not start all that it needs")
        shares = core.scheduler.shares
        shares.workers = max(min(workers.count, core.options.max_workers), 1)
        shares.reserve = max(workers.count - shares.workers, 0)
        failures = 0  # in a row
        while not self._stopping:
            try:
                self._take_turn()
                failures = 0
            except BaseException:  # noqa: BLE001 - logged; nobody else would do its work
                tell_error("the dispatcher met an error and goes on")
                failures += 1
                if failures == _HOPELESS:
                    self._give_up()
                    break
                with contextlib.suppress(BaseException):
                    self._alarm.acquire(timeout=_PAUSE)
        self._stop_telling()
        workers.release()
        workers.join()  # stop() does not wait for this longer than it may

    def _stop_telling(self) -> None:
        """From here on whoever ends a message tells it, and whoever waited for that is let go."""
        self._tells = False
        with contextlib.suppress(Exception):
            self.core.settler.finish_for_callers()
        ring(self._told)

    def _take_turn(self) -> None:
        core = self.core
        requests, alarm = core.step()
        self._callbacks.start_if_left()
        self._workers.hire(core.scheduler.shares.busy)
        for request in requests:
            if not self._workers.put(request):
                core.standing.expect(core.clock(), NEVER)  # that may take long
                self._workers.work(request)
        wait = alarm - core.clock()
        if core.flow.messages:  # whoever was to ring may have met Ctrl-C just then
            wait = min(wait, _LOOKS)
        if wait > 0:
            core.standing.expect(core.clock(), wait if core.flow.messages else NEVER)
            self._alarm.acquire(timeout=min(wait, threading.TIMEOUT_MAX))

    def _give_up(self) -> None:
        """Give up the dispatcher, which cannot run in this process; callers do its work."""
        with contextlib.suppress(Exception):
            self._tells = False
            self.core.give_up()

    def release_workers(self) -> None:
        """End the workers when they are idle; from here on the dispatcher sends by itself."""
        self._workers.release()

    def _pump(self) -> None:
        """Where no thread can be started: take the dispatcher's and the worker's turns here."""
        if getattr(self._local, "pumping", False):
            return
        self._local.pumping = True
        try:
            while True:
                self.core.hurry()
                requests, _ = self.core.step()
                if not requests:
                    return
                for request in requests:
                    self._workers.work(request)
        finally:
            self._local.pumping = False

    # -- user code

    def call(self, calls: Sequence[tuple[Callable[[Any], object], Any]]) -> None:
        """Hand calls of user code, each ``(function, argument)``, to its thread.

        Never blocks, and wakes the thread once for all of them.
        """
        self._callbacks.call(calls)

    @property
    def calls_run(self) -> int:
        """How many calls of user code have returned."""
        return self._callbacks.calls_run

    # -- waiting, and the end

    def is_own_thread(self) -> bool:
        """True on a thread of ours, where nothing may wait for the others."""
        return self.crew.is_own_thread()

    def is_safe(self) -> bool:
        """Whether this thread may do what takes several steps.

        A thread of ours may: no signal handler and no Ctrl-C can interrupt it. So may any thread
        where nobody else would do the work. Others leave it to the dispatcher.
        """
        return self.crew.is_own_thread() or self._dispatcher.denied or not self._tells

    def wait(self, gate: threading.Lock, timeout: float | None) -> None:
        """Wait for ``gate`` to be released, at most ``timeout`` seconds.

        Not at all on a thread of ours.
        """
        if not self.is_own_thread():
            self.acquire(gate, timeout)

    def acquire(self, gate: threading.Lock, timeout: float | None) -> bool:
        """Wait for ``gate``; where no thread can be started, do the threads' work meanwhile."""
        if sys.is_finalizing():  # at finalization no other thread runs that could release it
            return acquire(gate, 0)
        deadline = NEVER if timeout is None else _clock.now() + timeout
        while True:
            left = deadline - _clock.now()
            if self._dispatcher.denied:
                self._pump()
                due = self.core.scheduler.alarm - self.core.clock()
                # Another caller may have done the work, and a retry may be due later.
                left = min(left, max(due, 0.001), _ANOTHERS_WORK)
            if acquire(gate, None if left == NEVER else left):
                return True
            if _clock.now() >= deadline:
                return False

    def may_hold(self) -> bool:
        """Whether a caller on this thread may be made to wait: not where an event loop runs."""
        return not runs_event_loop()

    def wait_for_room(self, ticket: Ticket, left: Callable[[], float]) -> None:
        """Wait for permits for as long as ``left()`` says."""
        self.core.flow.wait(ticket, left)

    def wait_for_calls(self, timeout: float | None) -> bool:
        """Wait until the user code handed over so far has run; not at all on a thread of ours.

        Returns whether it has, as far as was waited for.
        """
        done = None if self.is_own_thread() else self._callbacks.mark()
        return done is None or self.acquire(done, timeout)

    def wait_for_end(self, timeout: float) -> None:
        """After :meth:`stop`: wait until the last of the user code has run."""
        deadline = _clock.now() + timeout
        self._wait_until_told(deadline)
        self._callbacks.join(max(deadline - _clock.now(), 0))

    def _wait_until_told(self, until: float) -> None:
        """Wait until the dispatcher has told what callers ended; not at all on a thread of ours."""
        while not self.is_own_thread() and (left := until - _clock.now()) > 0:
            if acquire(self._told, min(left, _LOOKS)):
                ring(self._told)  # for the next one who waits
                return
            if not self._tells:  # who was rung met Ctrl-C before it could pass that on
                return

    def spawn(self, function: Callable[[], object]) -> None:
        """Run ``function`` on a thread of its own; at the end of the process it is not needed."""
        with contextlib.suppress(RuntimeError):
            threading.Thread(target=function, name="publisher-close", daemon=True).start()

    def stop(self, timeout: float | None) -> None:
        """End the threads, callbacks first run; at most ``timeout`` seconds.

        A worker stuck in a request is left to it.
        """
        self._stopping = True
        ring(self._alarm)
        if self._tells and pop(self._dispatcher.to_run):  # it was not needed, or it never ran
            self._stop_telling()
        self._wait_until_told(NEVER if timeout is None else _clock.now() + max(timeout, _TURN))
        if not self._callbacks.ending:  # otherwise that thread may have ended: it is joined below
            self.wait_for_calls(timeout)
        self._callbacks.end()
        # Everything has ended: what a thread is still at is a request whose messages were given up.
        self.crew.join(_clock.now() + (_STUCK if timeout is None else min(timeout, _STUCK)))
        _exit.forget(self)

    def retire(self, timeout: float) -> None:
        """End the threads, wait for each, and start none any more: the callers do their work.

        Waits at most ``timeout`` seconds for all of them together: a request that was given up
        holds its worker for as long as its own time-outs.
        """
        deadline = _clock.now() + timeout
        self.crew.retired = True
        self.stop(timeout)
        self.crew.join(deadline)
        if self.crew.alive():
            logger.critical(
                "a thread is still in a call %g s after this interpreter should have ended;"
                " Python may abort the process over that",
                timeout,
            )
        self._dispatcher.deny()
        self._workers.leave_signals()

    def __repr__(self) -> str:
        return f"<Threads alive={self.crew.alive()} stopping={self._stopping}>"
