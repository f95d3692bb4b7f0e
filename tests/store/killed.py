"""A process that writes, reads or keeps house in a spool, and kills itself where it is told to.

It is started by ``test_kills``. Each message that is accepted, and each that is about to be
settled, is told on standard output before anything else happens.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from publisher._store.directory import Directory, prepare
from publisher._store.log import Log
from publisher._store.source import adopt

WHERE = b"where"


class Holder:
    """Who is told its number."""

    kept: int = -1


def say(word: str, *entries: str) -> None:
    """Write in one piece, past every buffer."""
    os.write(1, f"{word} {' '.join(entries)}\n".encode())


def die() -> None:
    """As kill -9 from outside."""
    os.kill(os.getpid(), signal.SIGKILL)


def dying(call: Callable[..., Any], at: int, when: str) -> Callable[..., Any]:
    """The call; the n-th one is the last: ``before`` it, ``after`` it or, of a write, ``half``."""
    count = 0

    def dies(*arguments: Any) -> Any:
        nonlocal count
        count += 1
        if count == at:
            try:
                if when == "after":
                    call(*arguments)
                elif when == "half":
                    descriptor, data = arguments
                    os.write(descriptor, data[: len(data) // 2])
            finally:  # there may have been nothing to unlink
                die()
        return call(*arguments)

    return dies


def arm(directory: Directory, point: str) -> None:
    """``unlink:3:before``: die before the third unlinking. An empty point: do not."""
    if point:
        name, at, when = point.split(":")
        setattr(directory, name, dying(getattr(directory, name), int(at), when))


def write(directory: Directory, name: str, count: int, mode: str) -> None:
    """Append, settle most of it where no relay does, and keep house, as a publisher does."""
    log = Log(directory, mode, segment_bytes=1500)
    pending: list[tuple[int, str]] = []
    for index in range(count):
        holder, entry = Holder(), f"{name}-{index}"
        log.append(holder, WHERE, 1.0, entry.encode().ljust(60), False)
        say("accepted", entry)
        pending.append((holder.kept, entry))
        if mode == "h" and index % 7 == 6:
            gone, pending = pending[:-2], pending[-2:]
            gone, pending = gone[1:], gone[:1] + pending  # one is stuck
            say("settled", *(one for _, one in gone))
            log.settle([ticket for ticket, _ in gone])
        if index % 5 == 4:
            log.tend(10 * index)
    if mode == "h":
        say("settled", *(one for _, one in pending))
        log.settle([ticket for ticket, _ in pending])
    log.close()


def write_on_threads(directory: Directory, name: str, count: int, mode: str) -> None:
    """Append on four threads while this one keeps house."""
    log = Log(directory, mode, segment_bytes=4000)

    def work(number: int) -> None:
        for index in range(count):
            holder, entry = Holder(), f"{name}-{number}-{index}"
            log.append(holder, WHERE, 1.0, entry.encode().ljust(60), False)
            say("accepted", entry)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        log.tend(0)
        threads[0].join(0.001)
    log.close()


def read(directory: Directory, name: str, count: int, mode: str) -> None:
    """Take over what dead processes have left, and settle it."""
    for owner in directory.dead_owners(mode):
        source = adopt(directory, owner)
        if source is None:
            continue
        source.clock = itertools.count(0, 10).__next__
        while kepts := source.take(11):
            say("settled", *(kept.entry.decode().strip() for kept in kepts))
            source.settle(kepts)
        source.close()


if __name__ == "__main__":
    what, path, name, count, mode, point = sys.argv[1:]
    place = prepare(path)
    arm(place, point)
    {"write": write, "threads": write_on_threads, "read": read}[what](place, name, int(count), mode)
    say("over")
