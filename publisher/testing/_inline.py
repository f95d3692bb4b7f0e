"""A publisher's core without threads: the sender's turns are taken in the caller's thread.

What is published, retried, split, expired and counted is decided by the very code that production
runs; only the threads, the clock and the boto3 client's network are exchanged. Usually a message
has ended when ``publish()`` returns. While messages are held, the test says when time passes.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .._engine.flow import Ticket
from .._engine.lane import NEVER
from .._engine.reentrance import OUTSIDE
from .._engine.request import Request
from .._engine.state import acquire
from .._threads.hosts import runs_event_loop

if TYPE_CHECKING:
    from .._engine.core import Core

logger = logging.getLogger("publisher")

_TICK = 1e-6  # no two readings are alike, so that "before" and "after" are never in doubt


class Clock:
    """A clock whose time passes when somebody says so."""

    def __init__(self) -> None:
        self._now = 0.0
        self._began = time.time()
        self._lock = threading.Lock()  # guards _now

    def __call__(self) -> float:
        with self._lock:
            self._now += _TICK
            return self._now

    def wall(self) -> float:
        """Seconds since the epoch."""
        return self._began + self()

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        with self._lock:
            self._now += seconds

    def advance_to(self, moment: float) -> None:
        """Let time pass up to ``moment``; none if that is over."""
        with self._lock:
            self._now = max(self._now, moment)


class Inline:
    """Runs one core's sender half in whatever thread publishes, as ``Threads`` does in its own."""

    def __init__(self, core: Core, clock: Clock) -> None:
        self._core = core
        self._clock = clock
        self._turn = threading.Lock()  # held by the thread that takes the sender's turns
        self._local = threading.local()
        self._calls: deque[tuple[Callable[[Any], object], Any]] = deque()
        self._spawned: deque[Callable[[], object]] = deque()
        self._unanswered: list[Request] = []  # sent while messages are held; guarded by _turn
        self.held_by: int | None = None  # the thread whose waiting is time that passes
        self.ended = False

    # -- the sender's turns

    def accepted(self) -> None:
        """A message is in: see it to its end, unless messages are held."""
        if self._core.stopped:
            self._core.close(0)  # accepted while the capture ended
        elif self.held_by is None:
            self.run()

    def run(self) -> None:
        """Go on until nothing is unresolved: send what lingers, and let time pass as needed."""
        self._take_turns(NEVER, flush=True)

    def advance_to(self, moment: float) -> None:
        """Let time pass: what falls due is sent and answered."""
        self._take_turns(moment)

    def _take_turns(self, until: float, *, flush: bool = False, answer: bool = True) -> None:
        if getattr(self._local, "sending", False):  # published from inside a request, or a logger
            return
        with self._turn:
            self._local.sending = True
            try:
                while not self.ended and self._take_turn(until, flush, answer):
                    pass
            finally:
                self._local.sending = False
        self._run_calls()

    def _take_turn(self, until: float, flush: bool, answer: bool) -> bool:
        """One turn; False if there is nothing left to do before ``until``."""
        core = self._core
        if flush:
            core.hurry()
        requests, alarm = core.step()
        self._unanswered += requests
        if answer and self._unanswered:
            requests, self._unanswered = self._unanswered, []
            for request in requests:
                following: Request | None = request
                while following is not None:
                    following = core.work(following)
            return True
        if until == NEVER and not core.flow.messages:
            return False
        if alarm <= until and alarm < NEVER:
            self._clock.advance_to(alarm)
            return True
        if until < NEVER:
            self._clock.advance_to(until)
        return False

    # -- what a core asks of its runtime

    calls_run = 0  # of user code

    def wake(self) -> None:
        """Nothing sleeps here."""

    wake_if_started = wake

    def call(self, calls: Sequence[tuple[Callable[[Any], object], Any]]) -> None:
        """Run user code after the turns, with no lock held."""
        self._calls.extend(calls)
        if not getattr(self._local, "sending", False):
            self._run_calls()

    def _run_calls(self) -> None:
        if self.is_own_thread():
            return
        self._local.own = True
        try:
            while self._calls:
                try:
                    function, argument = self._calls.popleft()
                except IndexError:  # another thread took the last one
                    break
                self.calls_run += 1
                try:
                    function(argument)
                except Exception:
                    logger.exception("%s raised", getattr(function, "__qualname__", function))
        finally:
            self._local.own = False
        while self._spawned:
            self._spawned.popleft()()

    def is_own_thread(self) -> bool:
        """True inside a callback or hook, where nothing of ours may wait."""
        return getattr(self._local, "own", False)

    def acquire(self, gate: threading.Lock, timeout: float | None) -> bool:
        """Wait for ``gate``. If this thread holds the messages, its waiting lets time pass."""
        if self.held_by != threading.get_ident():
            return acquire(gate, timeout)
        acquired = False

        def try_to(block: bool) -> bool:
            nonlocal acquired
            acquired = acquired or gate.acquire(block)
            return acquired

        self.wait_unanswered(try_to, timeout)
        return acquired

    def wait(self, gate: threading.Lock, timeout: float | None) -> None:
        """Wait for ``gate`` to be released, at most ``timeout`` seconds; not inside a callback."""
        if self.is_own_thread() or self.ended:
            return
        if self.held_by is None:
            self.run()
        elif self.held_by == threading.get_ident():
            self.wait_unanswered(gate.acquire, timeout)
        else:
            acquire(gate, timeout)

    def wait_unanswered(self, ended: Callable[[bool], bool], timeout: float | None) -> None:
        """Let time pass until ``ended(False)`` or for ``timeout`` seconds; nothing is answered."""
        until = NEVER if timeout is None else self._clock() + timeout
        self._take_turns(self._clock(), answer=False)
        while not ended(False):
            moment = min(self._core.scheduler.alarm, until)
            if moment == NEVER or self._clock() >= until:
                return
            self._take_turns(moment, answer=False)

    def is_safe(self) -> bool:
        """True: whatever there is to do, the thread that publishes does it."""
        return True

    def may_hold(self) -> bool:
        """Whether a caller on this thread may be held: not where an event loop runs."""
        return self.held_by is None or not runs_event_loop()

    def wait_for_room(self, ticket: Ticket, left: Callable[[], float]) -> None:
        """Wait for flow control's permit for as long as ``left()`` says."""
        flow = self._core.flow
        if self.held_by is None:
            self.run()
            flow.take(ticket.size, ticket.count, ticket)
        elif self.held_by != threading.get_ident():
            flow.wait(ticket, left)
        else:

            def take(_: bool) -> bool:
                granted = ticket.granted or flow.take(ticket.size, ticket.count, ticket)
                return granted or flow.closed

            while not (ticket.granted or flow.closed) and (seconds := left()) > 0:
                self.wait_unanswered(take, seconds)

    def wait_for_calls(self, timeout: float | None) -> None:
        """Run the user code handed over so far."""
        self._run_calls()

    def spawn(self, function: Callable[[], object]) -> None:
        """Run ``function`` as soon as this thread is out of user code."""
        self._spawned.append(function)
        if not self.is_own_thread():
            self._run_calls()

    def stop(self, timeout: float | None) -> None:
        """Run the last callbacks."""
        self._run_calls()

    def __repr__(self) -> str:
        return f"<Inline held={self.held_by is not None} ended={self.ended}>"


OUTSIDE.add(Inline._run_calls.__code__)
