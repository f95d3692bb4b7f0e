"""The light future.

A standard ``Future`` weighs 1.6 KB, nearly all of it the ``Condition`` that each one carries. Here
one lock serves them all and a future makes something to wait on only when somebody waits:
``concurrent.futures.wait``, ``as_completed`` and ``asyncio.wrap_future`` work on it as on any
other.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import logging
import os
import threading
from collections.abc import Callable, Generator
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

from .._account.events import Response
from .._callables import runs_nothing
from .._fork import on_fork, take_note
from ..errors import ForkedProcess

if TYPE_CHECKING:
    from typing_extensions import TypeVar as _TypeVar

    #: The response; any where nothing is known of it.
    R = _TypeVar("R", default=Any)
else:
    R = TypeVar("R")

logger = logging.getLogger("publisher")

# The phases carry the standard library's own names, because ``wait`` and ``as_completed`` compare
# against them.
PENDING = "PENDING"  # accepted, no request has carried it yet: can be cancelled
RUNNING = "RUNNING"  # handed to a worker at least once
CANCELLED = "CANCELLED_AND_NOTIFIED"
FINISHED = "FINISHED"
_LIVE = (PENDING, RUNNING)

#: What a finished future keeps until it is read: the exception, the response, or ``(build, a, b)``
#: to make one from.
Outcome: TypeAlias = (
    "BaseException | Response | tuple[Callable[[Any, Any], BaseException | Response], Any, Any]"
)
Callback: TypeAlias = "tuple[Callable[[PublishFuture], object], PublishFuture]"


class _Lock:
    """Guards every transition of every future's phase, and its watchers.

    Held for moments, never across user code.

    Re-entrant, because a signal handler may publish on the thread that it interrupted here; each
    transition is a compare and a store, so what it finds is whole.
    """

    def __init__(self) -> None:
        self.pid = 0
        self.renew()

    def renew(self) -> None:
        """A new lock, in the child of a fork.

        Another thread of the parent may have held the old one.
        """
        if self.pid == os.getpid():
            return
        self.pid = os.getpid()
        self.rlock = threading.RLock()
        # A leaf, for whoever makes a watch without holding the other.
        self.making = threading.RLock()
        # For the futures that a fork left behind: nobody of this process ends them.
        self.condition = threading.Condition()


LOCK = _Lock()
on_fork(LOCK.renew)


class _Watch:
    """Who waits for a future; made with the first of them.

    ``condition`` is what wait() and as_completed() lock, together with those of other futures in
    the order of their ids; so each future needs its own, made when they first ask. Under ``LOCK``
    a future with one is ended while holding it. They never want ``LOCK`` while they hold one.
    """

    __slots__ = ("callbacks", "condition", "lock", "waiters")

    def __init__(self) -> None:
        #: The condition's. Its own ``__enter__`` is Python: Ctrl-C in it would leave it locked.
        self.lock = threading.RLock()
        self.condition: threading.Condition | None = None
        self.waiters: list[Any] = []
        self.callbacks: list[Callable[[PublishFuture], object]] = []


class _Waiter:
    """One thread in ``result()``; answers to the names that the standard library's waiters have."""

    __slots__ = ("gate",)

    def __init__(self) -> None:
        self.gate = threading.Lock()
        self.gate.acquire()

    def add_result(self, future: Any) -> None:
        self.gate.release()

    add_exception = add_cancelled = add_result


class PublishFuture(Future[R]):
    """What ``publish()`` returns: a ``concurrent.futures.Future`` of boto3's response dict.

    ``result`` returns the response or raises what boto3 would have raised. ``cancel`` succeeds
    until the first request that carries the message is handed to a worker. Callbacks run on the
    thread ``publisher-callbacks``, or in the caller when they are added after the end.
    """

    # _condition, _state and _waiters, which the standard library reads, are properties;
    # Future.__init__ is not called.
    __slots__ = ("_phase", "_value", "_watch")

    _phase: str
    _value: Any
    _watch: _Watch | None

    def __init__(self) -> None:
        self._phase = PENDING
        self._value = None
        self._watch = None

    @property
    def attempts(self) -> tuple[Any, ...]:
        """The tries so far, oldest first, one :class:`Attempt` each."""
        return ()

    def cancel(self) -> bool:
        """Withdraw the message if no request has carried it yet.

        True if it is (or was already) cancelled.
        """
        return (not self._is_foreign() and self._withdraw()) or self._phase == CANCELLED

    def cancelled(self) -> bool:
        return self._phase == CANCELLED

    def running(self) -> bool:
        return self._state == RUNNING

    def done(self) -> bool:
        return self._state not in _LIVE

    def result(self, timeout: float | None = None) -> R:
        """The response, in the shape boto3 gives it.

        Args:
            timeout: seconds to wait; None waits until the message's own deadline ends it.

        Raises:
            concurrent.futures.TimeoutError: not resolved yet; the message is still on its way.
            concurrent.futures.CancelledError: it was cancelled.
            Exception: what boto3 would have raised, or one of :mod:`publisher.errors`.
        """
        value = self._outcome(timeout)
        if isinstance(value, BaseException):
            try:
                raise value.with_traceback(None)
            finally:
                del self, value  # break the cycle through the traceback's frame
        return cast("R", value)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """The exception, or None for a delivered message.

        Waits and raises as :meth:`result` does.
        """
        value = self._outcome(timeout)
        return value if isinstance(value, BaseException) else None

    def __await__(self) -> Generator[Any, None, R]:
        """Wait in asyncio; returns and raises as :meth:`result` does.

        A cancelled wait leaves the message on its way.

        Raises:
            RuntimeError: no asyncio event loop runs here.
        """
        import asyncio

        loop = asyncio.get_running_loop()
        if not self.done():
            ended: asyncio.Future[None] = loop.create_future()

            def end() -> None:
                if not ended.done():  # the waiting task was cancelled
                    ended.set_result(None)

            def tell(_: PublishFuture) -> None:
                with contextlib.suppress(RuntimeError):  # that loop is closed
                    loop.call_soon_threadsafe(end)

            self.add_done_callback(tell)
            self._hurry()
            yield from ended
        return self.result(0)

    def add_done_callback(self, fn: Callable[[PublishFuture[R]], object]) -> None:
        """Call ``fn(future)`` on the thread ``publisher-callbacks`` when the future ends.

        Here and now if it has.

        Raises:
            TypeError: a call of ``fn`` would only make a coroutine or generator.
        """
        if made := runs_nothing(fn):
            raise TypeError(
                f"the done callback only makes {made}, which nobody would run: make it a plain"
                " function, or await the future"
            )
        if not self._is_foreign():
            with LOCK.rlock:
                if self._phase in _LIVE:
                    self._watching().callbacks.append(fn)
                    return
        try:
            fn(self)
        except Exception:
            logger.exception("a done callback raised")

    def set_result(self, result: Any) -> None:
        raise concurrent.futures.InvalidStateError("the publisher alone resolves this future")

    def set_exception(self, exception: BaseException | None) -> None:
        raise concurrent.futures.InvalidStateError("the publisher alone resolves this future")

    def set_running_or_notify_cancel(self) -> bool:
        raise concurrent.futures.InvalidStateError("the publisher alone resolves this future")

    def __reduce__(self) -> Any:
        raise TypeError(
            "a PublishFuture cannot be pickled: its outcome is known only in the process that"
            " accepted the message;"
            " pass on result()'s response instead"
        )

    def __copy__(self) -> Any:
        raise TypeError("a PublishFuture cannot be copied")

    def __deepcopy__(self, memo: Any) -> Any:
        raise TypeError("a PublishFuture cannot be copied")

    if not TYPE_CHECKING:  # a type checker is to refuse it

        def __getitem__(self, key: object) -> Any:
            raise TypeError(
                "this is a future of the response, not the response: call .result() for that, as in"
                ' future.result(timeout=5)["MessageId"]'
            )

    def __repr__(self) -> str:
        state = "cancelled" if self._phase == CANCELLED else self._state.lower()
        if self._phase == FINISHED:
            value = self._outcome(0)
            state = (
                f"failed {type(value).__name__}"
                if isinstance(value, BaseException)
                else "delivered"
            )
        return f"<PublishFuture {self._addressed_to()} {state}>"

    def _addressed_to(self) -> str:
        """Where the message goes, as the account names it."""
        return "without destination"

    # -- what the standard library's wait(), as_completed() and wrap_future() use

    if not TYPE_CHECKING:  # which knows them as the attributes of the base class

        @property
        def _condition(self) -> threading.Condition:
            if self._is_foreign():
                take_note()  # of a fork that Python was not told of: a lock may be held for ever
                return LOCK.condition
            watch = self._watching()
            if watch.condition is None:
                with LOCK.making:
                    watch.condition = watch.condition or threading.Condition(watch.lock)
            return watch.condition

        @property
        def _state(self) -> str:
            return FINISHED if self._phase in _LIVE and self._is_foreign() else self._phase

        @property
        def _waiters(self) -> list[Any]:
            return self._watching().waiters

    # -- ours

    def _is_foreign(self) -> bool:
        """True where another process accepted it, and it was live when this one was forked."""
        return False

    def _withdraw(self) -> bool:
        """Cancel it if no request has carried it yet; True if that was done."""
        return False

    def _outcome(self, timeout: float | None) -> BaseException | Response:
        if self._phase in _LIVE:
            if self._is_foreign():
                return ForkedProcess()
            self._wait(timeout)
        if self._phase == CANCELLED:
            raise CancelledError
        value = self._value
        if type(value) is tuple:
            take_note()
            with LOCK.rlock:  # built once, so that every reader gets the same object
                value = self._value
                if type(value) is tuple:
                    build, first, second = value
                    value = self._value = build(first, second)
        return value  # type: ignore[no-any-return]  # _value is untyped to keep the slot free of wrappers

    def _watching(self) -> _Watch:
        with LOCK.making:
            watch = self._watch
            if watch is None:
                watch = self._watch = _Watch()
            return watch

    def _wait(self, timeout: float | None) -> None:
        with LOCK.rlock:
            if self._phase not in _LIVE:
                return
            waiter = _Waiter()
            self._watching().waiters.append(waiter)
        try:
            if timeout is None or timeout > 0:  # to look is not to wait
                self._hurry()
            if not self._acquire(waiter.gate, timeout) and self._phase in _LIVE:
                raise FutureTimeoutError
        finally:
            with LOCK.rlock:
                self._watching().waiters.remove(waiter)

    def _hurry(self) -> None:
        """Somebody waits for it: it lingers no longer."""

    def _acquire(self, gate: threading.Lock, timeout: float | None) -> bool:
        return acquire(gate, timeout)


def acquire(gate: threading.Lock, timeout: float | None) -> bool:
    """Acquire ``gate`` within ``timeout`` seconds; None: without bound."""
    return gate.acquire(
        timeout=-1 if timeout is None else min(max(timeout, 0), threading.TIMEOUT_MAX)
    )


def finish_locked(
    future: PublishFuture, phase: str, value: Any, *, failed: bool = False
) -> list[Callback]:
    """End one future; the caller holds ``LOCK`` and has checked that it is live.

    Returns the callbacks to hand on.
    """
    watch = future._watch
    if watch is None or watch.condition is None:
        # No call since the look: under the GIL nobody of the standard library has begun to watch.
        future._value = value
        future._phase = phase
        return [] if watch is None else _tell(future, watch, failed)
    with watch.condition:
        future._value = value
        future._phase = phase
        return _tell(future, watch, failed)


def _tell(future: PublishFuture, watch: _Watch, failed: bool) -> list[Callback]:
    phase = future._phase
    for waiter in watch.waiters:
        if phase == CANCELLED:
            waiter.add_cancelled(future)
        elif failed:
            waiter.add_exception(future)
        else:
            waiter.add_result(future)
    callbacks = [(callback, future) for callback in watch.callbacks]
    watch.callbacks = []
    return callbacks


def is_live(future: PublishFuture) -> bool:
    """True while the future has not ended."""
    return future._phase in _LIVE


def is_waited_for(future: PublishFuture) -> bool:
    """True where the standard library's ``wait`` or ``as_completed`` looks at it."""
    return future._watch is not None and future._watch.condition is not None
