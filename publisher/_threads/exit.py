"""How a process ends and forks: what was accepted is delivered within ``close_timeout``.

At a normal exit Python runs ``threading._shutdown`` (its own callbacks, last registered first,
among them the executors' endless join of their workers), waits for threads that are no daemons, and
then runs ``atexit``. We drain in a callback that runs before that join, and take our workers out of
the register of threads to join, for one of them may be stuck in a request. Both names are private;
without them ``atexit`` does it all. Threads that live on may publish after that: ``atexit`` drains
again, and whoever publishes later still (another ``atexit`` handler) waits for its own message.

The child of a fork runs what its parent had arranged. Where Python is not told of the fork, and the
child never uses the package, these callbacks are the first to take note of it.
"""

from __future__ import annotations

import atexit
import concurrent.futures.thread as _pool
import logging
import math
import os
import sys
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from .. import _clock
from .._account.losses import lost, lost_text
from .._counting import counted
from .._fork import on_fork, take_note
from .hosts import end_undisturbed, in_subinterpreter

if TYPE_CHECKING:
    from .._engine.core import Core

logger = logging.getLogger("publisher")

WORKERS = "publisher-worker"
#: Beyond ``close_timeout``, callbacks and hooks of abandoned messages may take so many seconds.
_LAST_CALLBACKS = 0.3


class Threads(Protocol):
    """The threads of one core, as far as the end of the process is concerned."""

    core: Core


class _Process:
    """What this process has arranged for its end, and how far it has come with it."""

    def __init__(self) -> None:
        self.inherited = False  # a forked child runs the exit handlers of its parent too
        self.begin()

    def begin(self) -> None:
        """Start from scratch: nothing is arranged yet."""
        self.pid = os.getpid()
        self.registered = False
        self.live: weakref.WeakSet[Threads] = weakref.WeakSet()
        self.spent = 0.0  # seconds that draining has taken so far
        self.draining = 0  # how many threads do it now
        self.late = False  # nothing of ours runs after this: who publishes has to wait
        self.lock = threading.Lock()  # guards the start of workers, and ``joining``
        self.joining = False  # Python joins the executors' workers from here on


_process = _Process()


def _after_fork_in_child() -> None:
    # The parent's threads do not exist here; what they had accepted is the parent's to deliver.
    if _process.pid != os.getpid():
        _process.inherited = _process.inherited or _process.registered
        _process.begin()


on_fork(_after_fork_in_child)


def register(threads: Threads) -> None:
    """Have the end of this process drain ``threads``. Called before the first thread starts."""
    process = _process
    process.live.add(threads)
    if process.registered:
        return
    process.registered = True
    if not process.inherited:
        add = getattr(threading, "_register_atexit", None)
        if add is not None:
            try:
                add(_before_threads_are_joined)
            except RuntimeError:  # the shutdown has begun; atexit will not come back for us
                process.late = threading.current_thread() is threading.main_thread()
        # Those of ``weakref`` are run by a callback that the first of them arranges. Ours, arranged
        # later, runs before: urllib3's would wait for locks that a fork has left held.
        weakref.finalize(process, int).detach()
        atexit.register(_at_exit)
    # The children of multiprocessing leave through os._exit: only its own finalizers run there. Not
    # imported for this: 10 ms.
    util = sys.modules.get("multiprocessing.util")
    parent = getattr(sys.modules.get("multiprocessing.process"), "parent_process", None)
    if util is not None and parent is not None and parent() is not None:
        util.Finalize(None, _at_exit, exitpriority=100)


def forget(threads: Threads) -> None:
    """They have stopped."""
    _process.live.discard(threads)


def is_draining() -> bool:
    """True while the main thread drains because the process ends."""
    return bool(_process.draining) and _process.pid == os.getpid()


def deliver_late(core: Core) -> None:
    """At the very end of the process, wait for the message that was just accepted.

    Before that it returns at once: another part of the exit waits.
    """
    if sys.is_finalizing():  # no other thread runs any more, so there is nothing to wait for
        return
    if _process.late and _process.pid == os.getpid():
        _drain(lambda: [core])
        _abandon([core])


def _cores() -> list[Core]:
    if _process.pid != os.getpid():
        return []
    return [threads.core for threads in list(_process.live)]


def drain(find: Callable[[], list[Core]], left: Callable[[Core], float | None]) -> None:
    """Wait until all messages have ended, with those that callbacks and hooks publish meanwhile.

    Args:
        find: the cores of this process; there may be more each time.
        left: how many seconds one of them may still take; None: without bound.
    """
    ran: list[tuple[Core, int]] = []
    while True:
        cores = find()
        for core in cores:  # all of them at once: each goes on while we wait for another
            core.flush(0)
        for core in cores:
            core.flush(left(core))
        for core in cores:
            core.runtime.wait_for_calls(left(core))
        # Only what user code published on our own threads is followed. Whoever publishes without
        # end on a thread of the program's would never be finished with.
        ran, before = [(core, core.runtime.calls_run) for core in find()], ran
        if ran == before or not any(core.flow.messages for core, _ in ran):
            return
        if not any((seconds := left(core)) is None or seconds > 0 for core, _ in ran):
            return


def _drain(find: Callable[[], list[Core]]) -> None:
    """Wait until everything has been delivered, at most for what is left of ``close_timeout``."""
    process = _process
    began, spent = _clock.now(), process.spent

    def left(core: Core) -> float:
        return max(core.options.close_timeout - spent - (_clock.now() - began), 0)

    process.draining += 1
    try:
        drain(find, left)
    except BaseException:  # Ctrl-C: somebody will not wait any longer
        process.spent = math.inf
        raise
    finally:
        process.spent = max(process.spent, spent + _clock.now() - began)
        process.draining -= 1


def start_workers(start: Callable[[], None]) -> None:
    """Start the workers of an executor; where it is too late for Python to forget them, do not.

    Python joins them at its end, and they do not end by themselves.
    """
    with _process.lock:
        if not _process.joining:
            start()


def _is_at_rest(core: Core, until: float) -> bool:
    """Whether nothing is left, and no callback or hook runs that could publish more.

    The callback of a message that was delivered in the last moment may be about to publish. It is
    waited for until ``until``, not longer.
    """
    while (left := until - _clock.now()) > 0:
        ran = core.runtime.calls_run
        if core.flow.messages or core.flush(0):
            return False
        if core.runtime.wait_for_calls(left) and core.runtime.calls_run == ran:
            return True
    return False


def _abandon(cores: list[Core]) -> None:
    """Give up what is left where the time for it is over, and say so once.

    Callbacks and hooks that hang cost twice ``_LAST_CALLBACKS``, however many publishers there are.
    """
    until = _clock.now() + _LAST_CALLBACKS
    given_up = []
    for core in cores:
        if _process.spent < core.options.close_timeout or _is_at_rest(core, until):
            core.losses.last_words(core.stats().total)
            continue
        core.losses.silence()  # the line below has the counts
        before = core.stats()
        left = {name: one.outstanding for name, one in before.destinations.items()}
        core.close(0)
        total = core.stats().total
        # Counted by the ledger: the dispatcher may have ended some before this call could.
        abandoned = lost(total) - lost(before.total)
        if abandoned:
            logger.error(
                "%s abandoned at exit, close_timeout=%g s was not enough: %s%s",
                counted(abandoned, "message", "were"),
                core.options.close_timeout,
                ", ".join(f"{count} to {name}" for name, count in left.items() if count),
                f"; {lost_text(total)}" if lost(total) > abandoned else "",
                extra={"event": "publisher.abandoned", "messages": abandoned},
            )
        else:  # a callback was about to publish, and is told that it may not
            core.losses.silence(False)
            core.losses.last_words(total)
        given_up.append(core)
    until = _clock.now() + _LAST_CALLBACKS
    for core in given_up:
        core.runtime.wait_for_calls(max(until - _clock.now(), 0))


def _before_threads_are_joined() -> None:
    take_note()
    end_undisturbed()
    for core in _cores():
        # What waits in memory behind what stays goes after that, or it would be lost.
        if core.store is not None and not core.tracker.waits_for_store():
            core.store.stop()
    try:
        _drain(_cores)
    finally:
        for core in _cores():
            if core.store is not None:
                core.store.stop()
        queues = getattr(_pool, "_threads_queues", None)
        with _process.lock:
            _process.joining = True
            for thread in list(queues or ()):
                if thread.name.startswith(WORKERS):
                    queues.pop(thread, None)  # type: ignore[union-attr]  # there was one
        if queues is None:
            for core in _cores():
                core.runtime.release_workers()


def _at_exit() -> None:
    take_note()
    end_undisturbed()
    _process.late = True
    try:
        _drain(_cores)
    finally:
        cores = _cores()
        _abandon(cores)
        for core in cores:  # a finaliser that publishes later gets PublisherClosed
            core.flow.take_note_of_each()
            if core.store is not None:
                core.store.close()
        if in_subinterpreter():  # otherwise threads that wait do no harm, and may be needed yet
            for core in cores:
                core.runtime.retire(core.options.grace)
