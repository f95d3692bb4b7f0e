"""The only file with threads: dispatcher, executor, callbacks; through forks and exits too.

Nothing starts before the first message. Then one daemon thread, ``publisher-dispatcher``, owns time
and hands due requests to one bounded ``ThreadPoolExecutor``, whose workers it starts all together;
``publisher-callbacks`` starts with the first callback. Being started from a daemon thread the
workers are daemons themselves: a process can end while one is stuck in a request.
"""

from __future__ import annotations

import atexit
import concurrent.futures.thread as _pool
import contextlib
import logging
import os
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from ._batching import NEVER, Request

if TYPE_CHECKING:
    from ._core import Core

logger = logging.getLogger("publisher")

WORKERS = "publisher-worker"
_SLOW_CALLBACK = 1.0  # seconds


class Threads:
    """Runs one core's sender half in threads."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._executor: ThreadPoolExecutor | None = None
        # A lock used as an alarm clock: the dispatcher waits to acquire it, anybody may release it,
        # from a signal handler or a finaliser too. One token each, popped by whoever starts the
        # thread: list.pop is whole where a lock could block.
        self._alarm = _locked()
        self._calls: deque[tuple[Callable[[Any], object], Any]] = deque()
        self._calls_alarm = _locked()
        self._start_dispatcher = [self._dispatch]
        self._start_callbacks = [self._run_callbacks]
        self._threads: list[threading.Thread] = []
        self._local = threading.local()
        self._stopping = False
        self._ending = False  # the callbacks' thread may end
        self._threadless = False  # no thread can be started any more: the callers do the work

    # -- the dispatcher and the workers

    def wake(self) -> None:
        """Have the dispatcher look now; starts it with the first message. Never blocks."""
        if self._start_dispatcher:
            self._start(self._start_dispatcher, "publisher-dispatcher")
        if self._threadless:
            self._pump()
        _ring(self._alarm)

    def wake_if_started(self) -> None:
        """The same, but where nothing has started there is nothing to look at."""
        if not self._start_dispatcher:
            self.wake()

    def _start(self, token: list[Callable[[], None]], name: str) -> None:
        try:
            run = token.pop()
        except (
            IndexError
        ):  # another thread, or the code that this signal handler interrupted, is at it
            return
        thread = threading.Thread(target=run, name=name, daemon=True)
        try:
            _register_exit(self)
            thread.start()
        except RuntimeError:  # the interpreter is on its way out, or the system has no threads left
            self._threadless = True
        else:
            self._threads.append(thread)

    def _dispatch(self) -> None:
        # Whoever starts this thread rings when its message is in. To wait for that hands the GIL
        # straight back to a caller who is in a hurry; to start the workers first would keep it for
        # milliseconds.
        self._alarm.acquire(timeout=1)
        self._local.own = True
        core = self._core
        self._executor = executor = ThreadPoolExecutor(
            core.options.max_workers, thread_name_prefix=WORKERS
        )
        self._start_workers(executor)
        while not self._stopping:
            try:
                requests, alarm = core.step()
            except Exception:
                logger.critical("the dispatcher met an error and goes on", exc_info=True)
                requests, alarm = [], core.clock() + 0.1
            for request in requests:
                self._submit(executor, request)
            wait = alarm - core.clock()
            if wait > 0:
                self._alarm.acquire(timeout=min(wait, threading.TIMEOUT_MAX))
        executor.shutdown(wait=True)  # stop() does not wait for this longer than it may

    @staticmethod
    def _start_workers(executor: ThreadPoolExecutor) -> None:
        # All together and now: at interpreter exit Python 3.12 refuses new threads just when the
        # last batches need them. An executor starts a thread where no other is idle, so none may be
        # until the last has started.
        everybody = threading.Event()
        with contextlib.suppress(RuntimeError):
            for _ in range(executor._max_workers):
                executor.submit(everybody.wait, 10)
        everybody.set()

    def _submit(self, executor: ThreadPoolExecutor, request: Request) -> None:
        once = [
            request
        ]  # a refused submit may leave its item in the queue: whoever pops the request sends it

        def job() -> None:
            with contextlib.suppress(IndexError):
                self._work(once.pop())

        try:
            executor.submit(job)
        except RuntimeError:
            job()

    def _work(self, request: Request) -> None:
        self._local.own = True
        following: Request | None = request
        try:
            while following is not None:
                following = self._core.work(following)
        except BaseException:
            self._core.scheduler.release_worker()
            logger.critical("a worker met an error", exc_info=True)
            raise

    def _pump(self) -> None:
        """Where no thread can be started: take the dispatcher's and the worker's turns here."""
        if getattr(self._local, "pumping", False):
            return
        self._local.pumping = True
        try:
            while True:
                self._core.scheduler.flush(self._core.clock())
                requests, _ = self._core.step()
                if not requests:
                    return
                for request in requests:
                    self._work(request)
        finally:
            self._local.pumping = False
            self._local.own = False

    # -- user code

    def call(self, calls: Sequence[tuple[Callable[[Any], object], Any]]) -> None:
        """Hand user code to its thread, ``(function, argument)`` each; one wake-up for all of them.

        Never blocks.
        """
        self._calls.extend(calls)
        if self._start_callbacks:
            self._start(self._start_callbacks, "publisher-callbacks")
        if self._threadless:
            self._run_calls()
        _ring(self._calls_alarm)

    def _run_callbacks(self) -> None:
        self._local.own = True
        while True:
            self._run_calls()
            if self._ending and not self._calls:
                return
            self._calls_alarm.acquire()

    def _run_calls(self) -> None:
        while True:
            try:
                function, argument = self._calls.popleft()
            except IndexError:
                return
            began = time.monotonic()
            try:
                function(argument)
            except BaseException:  # SystemExit too: user code does not end our thread
                logger.exception("%s raised", _name(function))
            took = time.monotonic() - began
            if took > _SLOW_CALLBACK:
                logger.warning(
                    "%s took %.1f s: other callbacks and hooks waited for it", _name(function), took
                )
            del function, argument

    # -- waiting, and the end

    def is_own_thread(self) -> bool:
        """True on a thread of ours, where nothing may wait for the others."""
        return getattr(self._local, "own", False)

    def wait(self, gate: threading.Lock, timeout: float | None) -> None:
        """Wait for ``gate`` to be released, at most ``timeout`` seconds.

        Not at all on a thread of ours.
        """
        if self.is_own_thread():
            return
        deadline = NEVER if timeout is None else time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            if self._threadless:
                self._pump()
                left = min(left, max(self._core.scheduler.alarm - self._core.clock(), 0.001))
            patience = -1 if left == NEVER else min(max(left, 0), threading.TIMEOUT_MAX)
            if gate.acquire(timeout=patience) or time.monotonic() >= deadline:
                return

    def wait_for_room(self, size: int, timeout: float | None) -> bool:
        """Wait for flow control's permit."""
        return self._core.flow.wait(size, timeout)

    def spawn(self, function: Callable[[], object]) -> None:
        """Run ``function`` on a thread of its own."""
        threading.Thread(target=function, name="publisher-close", daemon=True).start()

    def stop(self, timeout: float | None) -> None:
        """End the threads, callbacks first run; at most ``timeout`` seconds.

        A worker stuck in a request is left to it.
        """
        self._stopping = True
        _ring(self._alarm)
        if not self._start_callbacks and not self.is_own_thread():
            done = _locked()
            self.call([(lambda _: _ring(done), None)])
            self.wait(done, timeout)
        self._ending = True
        _ring(self._calls_alarm)
        deadline = time.monotonic() + (5.0 if timeout is None else timeout)
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(deadline - time.monotonic(), 0))
        _live.discard(self)

    def __repr__(self) -> str:
        alive = sum(thread.is_alive() for thread in self._threads)
        return f"<Threads alive={alive} calls={len(self._calls)} stopping={self._stopping}>"


def _locked() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


def _ring(lock: threading.Lock) -> None:
    if lock.locked():
        with contextlib.suppress(RuntimeError):  # somebody else rang in between
            lock.release()


def _name(function: Any) -> str:
    return getattr(function, "__qualname__", None) or type(function).__qualname__


# -- the end of the process
#
# At exit Python runs threading._shutdown (its own callbacks, last registered first, among them the
# executor's endless join of its workers), then atexit. We drain in a callback that runs before that
# join, and take our workers out of the register of threads to join, for one of them may be stuck in
# a request. Both names are private; without them atexit does it all.

_live: weakref.WeakSet[Threads] = weakref.WeakSet()
_registered: list[int] = []  # the pid for which the exit is arranged
_spent: list[float] = []  # seconds that the drain before atexit took


def _register_exit(threads: Threads) -> None:
    _live.add(threads)
    if _registered == [os.getpid()]:
        return
    forked = bool(_registered)
    _registered[:] = [os.getpid()]
    if not forked:
        register = getattr(threading, "_register_atexit", None)
        if register is not None:
            with contextlib.suppress(RuntimeError):  # the shutdown has begun
                register(_drain_at_exit)
        atexit.register(_close_at_exit)
    # The children of multiprocessing leave through os._exit: only its own finalizers run there. Not
    # imported for this: 10 ms.
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.Finalize(None, _close_at_exit, exitpriority=100)


def _drain_at_exit() -> None:
    began = time.monotonic()
    cores = [threads._core for threads in list(_live) if threads._core.pid == os.getpid()]
    try:
        for core in cores:
            core.scheduler.flush(core.clock())
        for core in cores:
            core.flush(max(began + core.options.close_timeout - time.monotonic(), 0))
    finally:
        _spent[:] = [time.monotonic() - began]
        queues = getattr(_pool, "_threads_queues", {})
        for thread in list(queues):
            if thread.name.startswith(WORKERS):
                queues.pop(thread, None)


def _close_at_exit() -> None:
    began = time.monotonic()
    spent = _spent[0] if _spent else 0.0
    for threads in list(_live):
        core = threads._core
        if core.pid != os.getpid():
            continue
        left = max(core.options.close_timeout - spent - (time.monotonic() - began), 0)
        abandoned = core.close(left)
        if abandoned:
            logger.error(
                "%d messages were abandoned at exit: close_timeout=%g s was not enough to deliver"
                " them",
                abandoned,
                core.options.close_timeout,
                extra={"event": "publisher.abandoned", "messages": abandoned},
            )
        _live.discard(threads)


def _after_fork_in_child() -> None:
    # The parent's threads do not exist here, and what they had accepted is the parent's to deliver.
    _live.clear()
    _spent.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
