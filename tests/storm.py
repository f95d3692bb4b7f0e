"""Exceptions rain on callers at random moments, and nothing is left behind.

An alarm's handler raises in the main thread, PyThreadState_SetAsyncExc in others, at most once a
call. Where :mod:`tests.interrupts` strikes each point of one call, this strikes any point of all of
them while real threads of ours are at work.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import itertools
import random
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import publisher
from publisher._engine.state import is_live
from tests.support import FAST, FIFO_TOPIC, SESSION, STREAM, TOPIC, Watch, balance

CALLERS = 3  # beside the main thread
BOUND = 40  # messages: a buffer that is full again and again
ENDS_WITHIN = 20  # seconds
_ON_FULL = ("block", "drop", "drop_oldest", "raise")
_LONGEST = 0.004  # seconds from the beginning of a call to the exception


class Struck(BaseException):
    """What the alarm, or another thread, raises."""


class Caller:
    """One thread's calls: each is struck or not, and what it returned is kept until it ends."""

    def __init__(self, url: str, publishers: list[publisher.Publisher], seed: int) -> None:
        self._random = random.Random(seed)
        self._url = url
        self._publishers = publishers
        self._numbers = itertools.count()
        self.futures: deque[Any] = deque()
        self.wrong: list[str] = []
        self.strikes = 0
        #: Popped by who strikes, or by the caller once its call is over.
        self.exposed: list[None] = []

    def client(self, made: publisher.Publisher, service: str) -> Any:
        return made.client(service, "us-east-1", endpoint_url=self._url, session=SESSION)

    def call(self) -> None:
        """One call, chosen at random, of a publisher chosen at random."""
        made = self._random.choice(self._publishers)
        calls = (self.publish, self.fifo, self.cancel, self.many, self.cancel_many, self.flush)
        with contextlib.suppress(publisher.BufferFull):
            self._random.choice(calls)(made)

    def publish(self, made: publisher.Publisher) -> None:
        for _ in range(self._random.choice((1, 1, 2 * BOUND))):
            future = self.client(made, "sns").publish(TopicArn=TOPIC, Message="m")
            self.futures.append(future)

    def fifo(self, made: publisher.Publisher) -> None:
        number = next(self._numbers)
        future = self.client(made, "sns").publish(
            TopicArn=FIFO_TOPIC,
            Message=str(number),
            MessageGroupId=str(number % 3),
            MessageDeduplicationId=f"{id(self)} {number}",
        )
        self.futures.append(future)

    def cancel(self, made: publisher.Publisher) -> None:
        self.publish(made)
        self.futures[-1].cancel()

    def many(self, made: publisher.Publisher) -> None:
        records = [{"Data": b"m", "PartitionKey": "k"}] * self._random.choice((3, 20, 2 * BOUND))
        future = self.client(made, "kinesis").put_records(StreamName=STREAM, Records=records)
        self.futures.append(future)

    def cancel_many(self, made: publisher.Publisher) -> None:
        self.many(made)
        self.futures[-1].cancel()

    def flush(self, made: publisher.Publisher) -> None:
        self.publish(made)
        made.flush(0.01)

    def calls(
        self, over: Callable[[], bool], *, first: bool = False
    ) -> Iterator[Callable[[], object]]:
        """What is called until an exception strikes; between two of these nothing does.

        ``first``: now and then the first call of a publisher, which starts threads.
        """
        while not over():
            while self.futures and not is_live(self.futures[0]):
                self.futures.popleft()
            if first and self._random.random() < 0.1:
                made = new("block")
                yield functools.partial(self.publish, made)
                self.wrong += ended(made)
            else:
                yield self.go_on

    def go_on(self) -> None:
        """One call after the other; some of them long, for they wait for room."""
        for _ in range(1_000):
            self.call()

    def run_under_alarms(self, seconds: float) -> None:
        """On the main thread."""
        watch = Watch()
        for call in self.calls(lambda: watch.seconds > seconds, first=True):
            try:
                try:
                    signal.setitimer(signal.ITIMER_REAL, self._random.uniform(1e-6, _LONGEST))
                    call()
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            except Struck:
                self.strikes += 1

    def run_exposed(self, over: threading.Event) -> None:
        """On any thread, for another one to strike.

        Not where it starts a thread: Python may raise in that one, before it runs, what was meant
        for the one that starts it.
        """
        for call in self.calls(over.is_set):
            try:
                self.exposed.append(None)
                call()
                try:
                    self.exposed.pop()
                except IndexError:  # it is on its way
                    self.go_on()
            except Struck:
                self.strikes += 1


def new(on_full: str) -> publisher.Publisher:
    options = {"max_messages": BOUND, "max_block": 0.05, "max_workers": 3, "linger": 0.002}
    return publisher.Publisher(**{**FAST, **options}, on_full=on_full)


def ended(made: publisher.Publisher) -> list[str]:
    """Close it; what is not as it should be then."""
    wrong = []
    if left := made.flush(ENDS_WITHIN):
        wrong.append(f"{left} messages do not end: {made!r}")
    core = made._core
    total = made.stats().total
    if core is not None and core.flow.messages != total.outstanding:
        wrong.append(f"flow control has {core.flow.messages}, the account {total.outstanding}")
    watch = Watch()
    total = made.close(ENDS_WITHIN)
    if watch.seconds > ENDS_WITHIN / 2:
        wrong.append(f"close() took {watch.seconds:.0f} s")
    if total.outstanding or total.outstanding_bytes or total.accepted != balance(total):
        wrong.append(f"the account at the end: {total}, {total.outstanding_bytes} bytes")
    if core is not None:
        flow = core.flow
        if flow.messages or flow.bytes or flow.waiting:
            wrong.append(f"flow control at the end: {flow.messages}, {flow.bytes}, {flow.waiting}")
        core.runtime.wait_for_end(ENDS_WITHIN)
        alive = [thread.name for thread in core.runtime.crew.threads if thread.is_alive()]
        if alive:
            wrong.append(f"still running: {alive}")
    return wrong


@contextlib.contextmanager
def _alarms() -> Iterator[None]:
    def strike(*_: object) -> None:
        raise Struck

    before = signal.signal(signal.SIGALRM, strike)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _strike(threads: dict[Caller, threading.Thread], over: threading.Event) -> None:
    """Raise in one of the threads now and then, while it is in a call."""
    chance = random.Random(0)
    while not over.wait(chance.uniform(0, _LONGEST)):
        caller = chance.choice(list(threads))
        with contextlib.suppress(IndexError):
            caller.exposed.pop()
            thread = ctypes.c_ulong(threads[caller].ident or 0)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(Struck))


def storm(seconds: float, url: str, seed: int = 1) -> tuple[list[str], int]:
    """Calls and exceptions for so many seconds, on the main thread and others.

    Returns what did not hold, and how many exceptions struck.
    """
    publishers = [new(on_full) for on_full in _ON_FULL]
    # An exception at a wrong moment of an import leaves that module locked for ever: it is Python's
    # own fault, and not what is looked for here.
    callers = [Caller(url, publishers, seed + number) for number in range(CALLERS + 1)]
    main, *others = callers
    for made in publishers:
        main.publish(made)
        main.client(made, "kinesis")
        made.flush(ENDS_WITHIN)
    over = threading.Event()
    threads = {
        caller: threading.Thread(target=caller.run_exposed, args=(over,), daemon=True)
        for caller in others
    }
    striker = threading.Thread(target=_strike, args=(threads, over), daemon=True)
    with _alarms():
        for thread in (*threads.values(), striker):
            thread.start()
        main.run_under_alarms(seconds)
        over.set()
    wrong = []
    for thread in (*threads.values(), striker):
        thread.join(ENDS_WITHIN * 2)
        if thread.is_alive():
            wrong.append(f"{thread.name} never came back")
    wrong += [line for made in publishers for line in ended(made)]
    for caller in callers:
        wrong += caller.wrong
        live = [future for future in caller.futures if is_live(future)]
        if live:
            wrong.append(f"{len(live)} futures never end: {live[:3]}")
    return wrong, sum(caller.strikes for caller in callers)


def main() -> None:
    """python -m tests.storm SECONDS [SEED]: by itself."""
    import sys

    from tests.servers import Endpoint

    with Endpoint(keep=False) as endpoint:
        wrong, strikes = storm(float(sys.argv[1]), endpoint.url, *map(int, sys.argv[2:]))
    print(strikes, "strikes", *wrong, sep="\n")


if __name__ == "__main__":
    main()
