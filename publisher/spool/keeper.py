"""The spool of one publisher in one process: what is written down, and what is offered again."""

from __future__ import annotations

import contextlib
import sys
import threading
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .._account.ledger import SpoolStats
from .._aws import mocks
from .._engine.reentrance import reentered
from .._fork import on_fork
from .._store.crypt import Codec
from .._store.directory import Directory, prepare
from .._store.log import Full, Log
from .._store.source import Source
from .._store.writing import writer
from .._threads.primitives import locked, ring
from ..errors import SpoolFull
from .destinations import Destinations
from .feeder import Feeder
from .figures import Finder
from .notes import Notes
from .owners import Owners
from .queues import READS
from .rounds import Rounds
from .unwritten import Unwritten, let_handlers_through

if TYPE_CHECKING:
    from .._engine.core import Core
    from .._engine.message import Message
    from .._spooling import Spool

_IDLE = 5.0  # seconds between two looks while there is nothing
_LOOKS = 1.0  # seconds between two looks while there is something
_SHARE = 0.25  # of its time that the thread spends at most on looks at a large directory
_TEND = 4 << 20  # bytes after which the files are looked after at once; less in a small spool
#: Until something was delivered so much of what others left is read at one look, and the
#: thread then rests for so many times as long: the first message shares the GIL with it.
_FIRST, _RESTS = 1_000, 3
_OWN = 1 << 60  # the rank of what this process wrote: the last

_keepers: weakref.WeakSet[Keeper] = weakref.WeakSet()


class Keeper:
    """Keeps the messages of one core on disk.

    Args:
        core: whose.
        spool: of the options.
        endpoints: that may be used beside those of the publisher's own clients.
    """

    #: Seconds between two looks for what dead owners left.
    adopts_every = 5.0
    follows = False  # also what living ones leave to a relay

    def __init__(self, core: Core, spool: Spool, endpoints: frozenset[str] = frozenset()) -> None:
        self._core = core
        self._spool = spool
        self._epoch = core.wall() - core.clock()
        #: One item once the directory is there: it, and the log of this process in it.
        self._opened: dict[None, tuple[Directory, Log]] = {}
        self._log: Log | None = None  # that log
        self._failed: tuple[float, Exception] = (-_LOOKS, OSError())  # to open it, and when
        self._codec = Codec(spool.keys) if spool.keys else None
        self.only_overflow = spool.when == "overflow"
        self.hands_over = spool.send == "relay"
        self._destinations = Destinations(spool.clients or {}, endpoints)
        self._notes = Notes(self._open)
        self._feeder = Feeder(
            core, self._destinations, spool.max_age, self._wall, self._notes.unread
        )
        self._owners = Owners(self._codec, follows=self.follows)
        self._looks_at = 0.0  # at whose files are there
        self._rests_until = 0.0  # from looks
        self._answered = self.follows or self.hands_over  # something was delivered
        self._rounds = Rounds(
            core, turn=self._turn, write=self._notes.write_marks, let_go=self._let_go
        )
        self.begin = self._rounds.begin  # what others have left is offered from then on
        self._to_begin = self._rounds.thread.to_start  # empty once it has begun
        self._waits = spool.sync == "disk"
        self._figures = Finder(self._owners, self._feeder)
        self._spaces: deque[threading.Lock] = deque()  # who waits for space
        self._since = 0  # bytes written since the files were looked after
        self._tend = min(_TEND, spool.max_bytes // 8)
        self._unwritten = Unwritten(core, spool)
        _keepers.add(self)

    def use(self, publisher: Any) -> None:
        """The publisher that makes the clients of what is offered again; it is not kept alive."""
        self._destinations.use(publisher)

    def _wall(self) -> float:
        """Seconds since the epoch, which a clock that is set meanwhile does not change."""
        return self._epoch + self._core.clock()

    # -- what the engine asks; see _engine/store.py

    def keep(self, message: Message, *, later: bool = False) -> bool:
        """Write a message down, in its caller's thread; with ``later``, commit() follows."""
        if mocks.MODULE in sys.modules and mocks.is_active():
            return False  # what is published to a mock ends with it
        lane = message.route.lane
        try:
            where = lane.written or self._destinations.write(lane)
            entry = lane.target.service.dump(message.entry)
            wait: bool | None = False
            if self._waits and not reentered() and self._core.runtime.may_hold():
                wait = None if later else True
            when = self._epoch + message.accepted
            (self._log or self._open()).append(message, where, when, entry, wait)
        except Full as error:
            raise self._full(error) from None
        except (OSError, ValueError) as error:
            let_handlers_through(error)
            self._unwritten.note(error)
            return False
        self._since += len(entry)
        if self._to_begin:
            self.begin()
        if self._since > self._tend:
            self._since = 0
            self._rounds.look_soon()
        return True

    def commit(self, messages: Sequence[Message]) -> bool:
        """Have the disk keep what was written of these, once for all; whether it does."""
        kept = [message.kept for message in messages if message.kept is not None]
        try:
            if kept and self._waits:
                self._open().commit(kept)
        except OSError as error:
            let_handlers_through(error)
            return False
        return True

    def check_room(self, messages: Sequence[Message]) -> None:
        """Raise SpoolFull where there is no room for all of these."""
        try:
            dumps = [one.route.lane.target.service.dump(one.entry) for one in messages]
            self._open().check_room([len(dump) for dump in dumps])
        except Full as error:
            raise self._full(error) from None
        except (OSError, ValueError) as error:  # what the disk says is told when they are written
            let_handlers_through(error)

    def _full(self, error: Full) -> SpoolFull:
        self._rounds.look_soon()
        return SpoolFull(f"{error}; the bound is max_bytes of the spool")

    def _open(self) -> Log:
        """The log of this process; the directory is made for the first message.

        Raises:
            OSError, ValueError: it cannot be made, or is not safe any more. It is tried again a
                second later.
        """
        if self._log is None:
            when, error = self._failed
            if self._core.clock() - when < _LOOKS:
                raise error.with_traceback(None)  # each time that it is raised makes it longer
            spool = self._spool
            try:
                directory = prepare(spool.path)
            except (OSError, ValueError) as failure:
                self._failed = self._core.clock(), failure
                raise
            mode = "r" if self.hands_over else "h"
            log = Log(directory, mode, spool.sync, spool.max_bytes, self._codec, write=writer())
            log.rank = _OWN
            # Nothing of it is on disk yet: of several that come at once one is used.
            self._log = self._opened.setdefault(None, (directory, log))[1]
        return self._log

    def wait_for_space(self, timeout: float) -> bool:
        """Wait until files were removed, at most ``timeout`` seconds; whether some were."""
        alarm = locked()
        self._spaces.append(alarm)
        try:
            self._rounds.look_soon()
            return alarm.acquire(timeout=timeout)
        finally:
            with contextlib.suppress(ValueError):  # it is gone if it has rung
                self._spaces.remove(alarm)

    def receipt(self, kept: Any) -> Mapping[str, Any]:
        """What the caller is answered for a message that is left to the relay."""
        return {"SpoolId": f"{self._open().owner}-{kept:x}"}

    def since(self, kept: Any) -> float:
        """When a message was accepted, on the core's clock."""
        return float(kept.when - self._epoch)

    def settle(self, kept: Sequence[Any]) -> None:
        """These have ended for good. The thread writes it down: nobody else waits for the disk."""
        if not self._answered:
            self._answered = True
            if self._feeder.queues.may_go_on:
                self._rounds.look_soon()
        own = [one for one in kept if type(one) is int]
        if own:
            self._notes.settle(own)
            self._rounds.write_soon()
        if len(own) < len(kept):
            self._feeder.ended(one for one in kept if type(one) is not int)
            self._rounds.look_soon()

    def overflow(self, message: Message) -> None:
        """A message that is written down stays; it may be said twice."""
        self._notes.stays(message)
        self._rounds.look_soon()

    def stay(self, kept: Sequence[Any]) -> None:
        """These have ended here, and are offered again."""
        own = [one for one in kept if type(one) is int]
        self._notes.stay(own)
        self._feeder.stay(one for one in kept if type(one) is not int)
        self._rounds.look_soon()

    def stop(self) -> None:
        """Offer nothing from here on."""
        self._rounds.stop()

    def close(self) -> None:
        """Let go of everything: what still stays is the next process's."""
        self.stop()
        self._rounds.close()

    def _let_go(self) -> None:
        try:
            self._notes.write_marks()
            self._feeder.take_news(self._core.clock())
            self._figures.look(self._core.clock(), self._log)
        finally:
            self._owners.close()
            if (log := self._log) is not None:
                log.close()

    def forget(self) -> None:
        """In the child of a fork: the files are the parent's."""
        self._rounds.forget()
        if (log := self._log) is not None:
            log.forget()

    def stats(self) -> SpoolStats:
        """What is on disk, as far as this process knows.

        Of what others left it is what the thread found last: files are read there alone.
        """
        log, figures = self._log, self._figures.last
        own = 0 if log is None else max(log.waiting - self._notes.unmarked, 0)
        return SpoolStats(
            waiting=figures.waiting + own,
            bytes=figures.bytes + (0 if log is None else log.bytes),
            oldest_age=0.0 if figures.oldest is None else max(self._wall() - figures.oldest, 0.0),
            orphans=figures.orphans,
            skipped=figures.damaged + (0 if log is None else log.damaged),
            unwritten=self._unwritten.count,
        )

    # -- the thread's

    def _turn(self) -> float:
        """Look after the files, and offer what stays; returns seconds until the next turn."""
        core = self._core
        self._notes.write_marks()
        if mocks.is_active():  # what was accepted outside of a mock is not sent into it
            return _LOOKS
        try:
            log = self._open()
        except (OSError, ValueError):  # who publishes is told
            return _LOOKS
        before = log.bytes
        log.tend(core.clock())
        if log.bytes < before:
            while self._spaces:
                ring(self._spaces.popleft())
        now = core.clock()
        if now >= self._looks_at:
            self._look()
            self._rests_until = now + (core.clock() - now) / _SHARE
            self._looks_at = max(now + self.adopts_every, self._rests_until)
            self._feeder.wake_up()
        self._take_over()
        self._notes.tell_stays(log)
        own = None if self.hands_over else log
        self._feeder.queues.reads = READS if self._answered else _FIRST
        at = self._feeder.feed(self._sources(), own, now)
        self._owners.let_go()
        if self._owners.may_go_on:
            at = now
        self._figures.look(self._core.clock(), self._log)
        busy = self._feeder.queues.waiting or log.waiting or self._spaces
        soonest = min(at, self._looks_at, now + (_LOOKS if busy else _IDLE))
        ended = core.clock()
        return max(soonest - ended, 0.0 if self._answered else _RESTS * (ended - now))

    def _sources(self) -> list[Source]:
        """What others wrote, and is offered here."""
        return list(self._owners.sources.values())

    def _look(self) -> None:
        """See whose files are there."""
        self._owners.look(self._opened[None][0], self._feeder.queues)

    def _take_over(self) -> None:
        """Take over files of owners that have died."""
        self._owners.take_over(self._opened[None][0])


def _forget() -> None:
    for keeper in list(_keepers):
        keeper.forget()


on_fork(_forget)
