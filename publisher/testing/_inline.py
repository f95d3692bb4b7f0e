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
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

from .._batching import NEVER, Request
from .._core import Core
from .._future import PublishFuture, is_live
from .._message import BatchFuture, Message, Route
from .._options import Options

logger = logging.getLogger("publisher")

_TICK = 1e-6  # no two readings are alike, so that "before" and "after" are never in doubt


class Clock:
    """Seconds that pass when somebody says so."""

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


class InlineCore(Core):
    """A core whose messages are sent in the thread that publishes them.

    Args:
        options: checked already.
        clock: of the capture.
        connect: exchanges what a line of a client would connect to.
        record: called with ``(service, operation, params, future)`` for each accepted message.
    """

    runtime: Inline

    def __init__(
        self,
        options: Options,
        clock: Clock,
        connect: Callable[[Any, Any], None],
        record: Callable[[str, str, dict[str, Any], PublishFuture], None],
    ) -> None:
        super().__init__(options, lambda core: Inline(core, clock), clock, clock.wall)
        self.lines = _Lines(connect)
        self._record = record

    def accept(self, route: Route, entry: Any, size: int) -> Message:
        target = route.lane.target
        params = target.params(entry)  # now: the entry is gone once the message has ended
        message = super().accept(route, entry, size)
        message.__class__ = InlineMessage
        self._record(target.service.name, target.operation, params, message)
        self.runtime.accepted()
        return message

    def accept_batch(
        self,
        route: Route,
        entries: Sequence[Any],
        sizes: Sequence[int],
        build: Callable[[BatchFuture], Any],
    ) -> BatchFuture:
        target = route.lane.target
        params = [target.params(entry) for entry in entries]
        batch = super().accept_batch(route, entries, sizes, build)
        batch.__class__ = InlineBatch
        for one, message in zip(params, batch.entries, strict=True):
            self._record(target.service.name, target.operation, one, message)
        self.runtime.accepted()
        return batch


class _Lines(dict[Any, Any]):
    """The lines of a core's clients, each with its connection exchanged before it is used."""

    def __init__(self, connect: Callable[[Any, Any], None]) -> None:
        super().__init__()
        self._connect = connect

    def setdefault(self, client: Any, line: Any = None) -> Any:
        if client not in self:
            self._connect(client, line)
        return super().setdefault(client, line)


class Inline:
    """Runs one core's sender half in whatever thread publishes; see ``_runtime.Threads``."""

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
        """Until nothing is unresolved: what lingers goes now, and time passes as it has to."""
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
            core.scheduler.flush(self._clock())
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

    def wait(self, gate: threading.Lock, timeout: float | None) -> None:
        """Wait for ``gate`` to be released, at most ``timeout`` seconds; not inside a callback."""
        if self.is_own_thread() or self.ended:
            return
        if self.held_by is None:
            self.run()
        elif self.held_by == threading.get_ident():
            self.wait_unanswered(gate.acquire, timeout)
        else:
            gate.acquire(timeout=-1 if timeout is None else min(timeout, threading.TIMEOUT_MAX))

    def wait_unanswered(self, ended: Callable[[bool], bool], timeout: float | None) -> None:
        """Let time pass until ``ended(False)`` or for ``timeout`` seconds; nothing is answered."""
        until = NEVER if timeout is None else self._clock() + timeout
        self._take_turns(self._clock(), answer=False)
        while not ended(False):
            moment = min(self._core.scheduler.alarm, until)
            if moment == NEVER or self._clock() >= until:
                return
            self._take_turns(moment, answer=False)

    def wait_for_room(self, size: int, timeout: float | None) -> bool:
        """Wait for flow control's permit."""
        flow = self._core.flow
        if self.held_by is None:
            self.run()
            return flow.take(size)
        if self.held_by != threading.get_ident():
            return flow.wait(size, timeout)
        taken: list[bool] = []

        def take(_: bool) -> bool:
            if flow.take(size):
                taken.append(True)
            return bool(taken) or flow.closed

        self.wait_unanswered(take, timeout)
        return bool(taken)

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


class _Waits(PublishFuture):
    """While messages are held, the waiting of the thread that holds them is time that passes."""

    __slots__ = ()

    def _runtime(self) -> Inline:
        raise NotImplementedError

    def _wait(self, timeout: float | None) -> None:
        runtime = self._runtime()
        if runtime.held_by != threading.get_ident():
            super()._wait(timeout)
            return
        runtime.wait_unanswered(lambda _: not is_live(self), timeout)
        if is_live(self):
            raise FutureTimeoutError


class InlineMessage(_Waits, Message):
    """One message of an inline core."""

    __slots__ = ()

    def _runtime(self) -> Inline:
        return self.route.lane.target.connection.core.runtime  # type: ignore[no-any-return]


class InlineBatch(_Waits, BatchFuture):
    """One ``put_records`` or ``publish_batch`` of an inline core."""

    __slots__ = ()

    def _runtime(self) -> Inline:
        return self.entries[0].route.lane.target.connection.core.runtime  # type: ignore[no-any-return]
