"""What a future's state stands on: the lock that guards it, who watches it, and how it ends."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from .._fork import on_fork

# The phases carry the standard library's own names, because ``wait`` and ``as_completed`` compare
# against them.
PENDING = "PENDING"  # accepted, no request has carried it yet: can be cancelled
RUNNING = "RUNNING"  # handed to a worker at least once
CANCELLED = "CANCELLED_AND_NOTIFIED"
FINISHED = "FINISHED"
LIVE = (PENDING, RUNNING)

#: Who changes a state, and to what. Everything is under ``LOCK`` but the beginnings, and what the
#: admissions and the ways in do: there nobody else has the message yet. What is not here does not
#: happen: nothing leaves ``CANCELLED`` or ``FINISHED``, and a message that waits for another try
#: stays ``RUNNING``.
MOVES: dict[tuple[str | None, str], frozenset[str]] = {
    # The call: a message, or the future of a batch.
    (None, PENDING): frozenset(
        {
            "Message.__init__",
            "PublishFuture.__init__",
            "Entrance.accept",
            "KeptEntrance._accept_kept",
        }
    ),
    # Handed to a worker; or taken out by a caller who makes room, or at its deadline, to be ended.
    (PENDING, RUNNING): frozenset(
        {
            "UnorderedLane._take_chunk",
            "UnorderedLane._take_each",
            "UnorderedLane._take_whole",
            "UnorderedLane.evict_oldest",
            "OrderedLane.take",
            "OrderedLane.expire",
            "OrderedLane.evict_oldest",
            "Staying.taken_out_locked",
            "Admission.turn_away",
            "KeptAdmission._end",
            "Chunk.apart_locked",  # a part is made as what the chunk is
        }
    ),
    # Withdrawn before a request carried it.
    (PENDING, CANCELLED): frozenset({"Ended.commit", "finish_locked"}),
    # Delivered, failed, dropped, expired or closed; or a chunk was taken apart.
    (PENDING, FINISHED): frozenset(
        {
            "Ended.commit",
            "finish_locked",
            "Chunk.apart_locked",
            "Admission._drop_at_finalization",
            "KeptEntrance._hand_over",
        }
    ),
    (RUNNING, FINISHED): frozenset({"Ended.commit", "Chunk.apart_locked"}),
}

#: A done callback, and the future that it is called with.
Callback: TypeAlias = tuple[Callable[[Any], object], Any]


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


class Watch:
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
        self.callbacks: list[Callable[[Any], object]] = []


class Stateful(Protocol):
    """A future, as far as its state is concerned."""

    _phase: str
    _value: Any
    _watch: Watch | None


class Waiter:
    """One thread in ``result()``; answers to the names that the standard library's waiters have."""

    __slots__ = ("gate",)

    def __init__(self) -> None:
        self.gate = threading.Lock()
        self.gate.acquire()

    def add_result(self, future: Any) -> None:
        self.gate.release()

    add_exception = add_cancelled = add_result


def acquire(gate: threading.Lock, timeout: float | None) -> bool:
    """Acquire ``gate`` within ``timeout`` seconds; None: without bound."""
    return gate.acquire(
        timeout=-1 if timeout is None else min(max(timeout, 0), threading.TIMEOUT_MAX)
    )


def finish_locked(
    future: Stateful, phase: str, value: Any, *, failed: bool = False
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


def _tell(future: Stateful, watch: Watch, failed: bool) -> list[Callback]:
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


def is_live(future: Stateful) -> bool:
    """True while the future has not ended."""
    return future._phase in LIVE


def is_waited_for(future: Stateful) -> bool:
    """True where the standard library's ``wait`` or ``as_completed`` looks at it."""
    return future._watch is not None and future._watch.condition is not None
