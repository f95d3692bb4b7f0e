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
import threading
from collections.abc import Callable, Generator
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING, Any, TypeVar, cast

from .._account.events import Response
from .._callables import runs_nothing
from .._fork import take_note
from ..errors import ForkedProcess
from .state import CANCELLED, FINISHED, LIVE, LOCK, PENDING, RUNNING, Waiter, Watch, acquire

if TYPE_CHECKING:
    from typing_extensions import TypeVar as _TypeVar

    #: The response; any where nothing is known of it.
    R = _TypeVar("R", default=Any)
else:
    R = TypeVar("R")

logger = logging.getLogger("publisher")


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
    #: From its end on: the exception, the response, or, until it is read, ``(build, a, b)`` to make
    #: one from.
    _value: Any
    _watch: Watch | None

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
        return self._state not in LIVE

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
                if self._phase in LIVE:
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
            return FINISHED if self._phase in LIVE and self._is_foreign() else self._phase

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
        if self._phase in LIVE:
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

    def _watching(self) -> Watch:
        with LOCK.making:
            watch = self._watch
            if watch is None:
                watch = self._watch = Watch()
            return watch

    def _wait(self, timeout: float | None) -> None:
        with LOCK.rlock:
            if self._phase not in LIVE:
                return
            waiter = Waiter()
            self._watching().waiters.append(waiter)
        try:
            if timeout is None or timeout > 0:  # to look is not to wait
                self._hurry()
            if not self._acquire(waiter.gate, timeout) and self._phase in LIVE:
                raise FutureTimeoutError
        finally:
            with LOCK.rlock:
                self._watching().waiters.remove(waiter)

    def _hurry(self) -> None:
        """Somebody waits for it: it lingers no longer."""

    def _acquire(self, gate: threading.Lock, timeout: float | None) -> bool:
        return acquire(gate, timeout)
