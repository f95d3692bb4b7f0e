"""The relay: one process that sends what all processes of a host have left in a directory.

It reads the files of living writers as they grow, takes over those of dead ones, and offers what it
finds as any keeper does. A lock sees to it that there is one relay of a directory.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from .._engine.core import Core
from .._process import sends_to_aws
from .._publisher import Publisher
from .._store.directory import RELAY_LOCK, Lock, prepare
from .._store.source import Source
from .._threads.runtime import Threads
from .keeper import Keeper

if TYPE_CHECKING:
    from .._account.ledger import Ledger, SpoolStats
    from .._options import Options
    from .._spooling import Spool

#: Seconds between two looks at the files: while they grow, and at most while they do not.
_BUSY, _IDLE = 0.02, 0.25
_SLOWER = 1.5  # times, from one look without anything new to the next
#: Seconds in which ends of requests are gathered, while some are under way: there is enough of it
#: in memory to go on with.
_GATHERS = 0.005
#: Of the relay's publisher: it holds twenty requests of the most and largest messages.
_MESSAGES, _BYTES = 20_000, 128 << 20
_BODIES = 64 << 20  # bytes that are read ahead of what is offered, and kept


class AnotherRelay(Exception):
    """Another relay has that directory."""


class Follower(Keeper):
    """Offers what dead owners have left, and what living ones leave to a relay."""

    adopts_every = 1.0
    follows = True

    def __init__(self, core: Core, spool: Spool, endpoints: frozenset[str], once: bool) -> None:
        super().__init__(core, spool, endpoints)
        self.looked = threading.Event()  # once at everything
        self.over = threading.Event()  # all that was there has been sent, or stays
        self._once = once
        self._ends = False  # what comes from here on is left to the next one
        self._beat = _BUSY
        self._feeder.queues.bodies = _BODIES
        self._halted = threading.Event()
        self._asks_at = 0.0  # whether the directory was changed
        self._seen = -1  # when it was, at the last look

    @property
    def owners(self) -> int:
        """How many there are whose messages it sends."""
        return len(self._owners.sources)

    def stop(self) -> None:
        """Offer nothing from here on."""
        self._halted.set()
        super().stop()

    def _turn(self) -> float:
        self._look_at_the_directory()
        taken = self._feeder.queues.taken
        pause = super()._turn()
        waits = self._feeder.queues
        if not waits.may_go_on:
            self.looked.set()
        if self._once:
            stays = not waits.offered and waits.is_stuck
            if waits.has_all and not self._owners.may_go_on:
                has_tried = not self._owners.is_crowded or (stays and self._owners.tried_all)
                self._ends = self._ends or has_tried
            if self._ends and stays:
                self.over.set()
        self._beat = _BUSY if waits.taken > taken else min(self._beat * _SLOWER, _IDLE)
        if waits.offered:
            self._halted.wait(_GATHERS)
        return min(pause, self._beat)

    def _look_at_the_directory(self) -> None:
        """Have new owners be met at once: the directory says when files were made in it."""
        now = self._core.clock()
        if now < self._asks_at:
            return
        self._asks_at = now + _BUSY
        with contextlib.suppress(OSError):
            changed = os.stat(self._spool.path).st_mtime_ns  # noqa: PTH116
            if changed != self._seen:
                self._seen = changed
                self._looks_at = self._rests_until

    def _sources(self) -> list[Source]:
        return [] if self._ends else super()._sources()

    def _look(self) -> None:
        for source in self._owners.sources.values():
            with contextlib.suppress(OSError):
                # If its owner has died, the lock is ours from here on; its end is to be read.
                if not source.is_taken_over and not source.alive():
                    source.has_more = True
        if not self._ends:
            super()._look()

    def _take_over(self) -> None:
        if not self._ends:
            super()._take_over()


class Relay:
    """Sends what is in a directory, and what comes to it.

    Args:
        spool: the directory, with the keys, ``max_age`` and ``clients`` for what is in it.
        linger: seconds that messages wait for company; default: as for any publisher.
        endpoints: that messages may be sent to where those on disk name them.
        once: send what is there, and not what comes.

    Attributes:
        publisher: that sends.

    Raises:
        ValueError: the directory cannot be used safely.
        OSError: it cannot be made or looked at.
        AnotherRelay: there is one already.
        RuntimeError: a test keeps messages in this process.
    """

    def __init__(
        self,
        spool: Spool,
        *,
        linger: float | None = None,
        endpoints: Iterable[str] = (),
        once: bool = False,
    ) -> None:
        options: dict[str, Any] = {} if linger is None else {"linger": linger}
        self.publisher = Publisher(spool=spool, max_messages=_MESSAGES, max_bytes=_BYTES, **options)
        if not sends_to_aws(self.publisher._make_core):
            raise RuntimeError("a relay sends, and a test keeps all messages in this process")
        lock = prepare(spool.path).lock(RELAY_LOCK, create=True)
        if lock is None:
            raise AnotherRelay(f"another relay sends what is in {spool.path!r}")
        self._lock: Lock | None = lock
        allowed = frozenset(endpoints)

        def make_core(options: Options) -> Core:
            def follow(core: Core) -> Follower:
                return Follower(core, spool, allowed, once)

            return Core(options, Threads, store=follow)

        self.publisher._make_core = make_core
        store: Any = self.publisher._current().store
        self._follower: Follower = store
        self._follower.begin()

    @property
    def owners(self) -> int:
        """How many processes there are, or were, whose messages it sends."""
        return self._follower.owners

    @property
    def on_disk(self) -> SpoolStats:
        """What is on disk, as far as it has been read."""
        return self._follower.stats()

    def wait_for_look(self, timeout: float) -> bool:
        """Wait until it knows what there is, at most so many seconds; whether it does."""
        return self._follower.looked.wait(timeout)

    def wait(self, timeout: float) -> bool:
        """Wait, with ``once``, until all that was there was sent or stays; whether it is so."""
        return self._follower.over.wait(timeout)

    def close(self, timeout: float | None = None) -> Ledger:
        """Take no more, and finish what is on its way; the rest stays for the next one.

        Args:
            timeout: seconds; default: ``close_timeout`` of a publisher.
        """
        if timeout is None:
            timeout = self.publisher._options.close_timeout
        ledger = self.publisher.close(timeout)
        lock, self._lock = self._lock, None
        if lock is not None:
            with contextlib.suppress(OSError):
                lock.release(unlink=True)
        return ledger

    def __enter__(self) -> Relay:  # noqa: PYI034 - typing has no Self in Python 3.10
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
