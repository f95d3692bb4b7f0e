"""The spool of one publisher in one process: what is written down, and what is offered again."""

from __future__ import annotations

import logging
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
from .._store.directory import Directory
from .._store.log import Full, Log
from .._store.source import Source, adopt
from .._threads.crew import LazyThread
from .._threads.primitives import locked, ring, tell_error
from ..errors import SpoolFull, spool_unavailable
from .destinations import Destinations
from .feeder import Feeder

if TYPE_CHECKING:
    from .._engine.core import Core
    from .._engine.message import Message
    from .._spooling import Spool

logger = logging.getLogger("publisher")

_THREAD = "publisher-spool"
_ADOPTS = 5.0  # seconds between two looks for what dead owners left
_LOOKS = 1.0  # seconds between two looks while there is something
_WARNS = 10.0  # seconds between two lines about a disk that fails
_TEND = 4 << 20  # bytes after which the files are looked after at once
_OWN = 1 << 60  # the rank of what this process wrote: the last

_keepers: weakref.WeakSet[Keeper] = weakref.WeakSet()


class Keeper:
    """Keeps the messages of one core on disk.

    Args:
        core: whose.
        spool: of the options.
        directory: of that, which is safe.
    """

    def __init__(self, core: Core, spool: Spool, directory: Directory) -> None:
        self._core = core
        self._spool = spool
        self._directory = directory
        self._codec = Codec(spool.keys) if spool.keys else None
        self.only_overflow = spool.when == "overflow"
        self.hands_over = spool.send == "relay"
        mode = "r" if self.hands_over else "h"
        self._log = Log(directory, mode, spool.sync, spool.max_bytes, self._codec)
        self._log.rank = _OWN
        self._destinations = Destinations(spool.clients or {})
        self._feeder = Feeder(core, self._destinations, spool.max_age, core.wall)
        self._adopted: dict[str, Source] = {}  # by their owner
        self._orphans = 0  # owners that have died and could not be taken over
        self._adopts_at = 0.0
        self._rank = 0
        self._alarm = locked()
        self._thread: LazyThread = LazyThread(core.runtime.crew, _THREAD, self._run)
        self._stopping = False
        self._closed = False
        self._turning = False
        self._spaces: deque[threading.Lock] = deque()  # who waits for space
        self._since = 0  # bytes written since the files were looked after
        self._unwritten = 0
        self._warned_at = -_WARNS
        _keepers.add(self)

    def use(self, publisher: Any) -> None:
        """The publisher that makes the clients of what is offered again; it is not kept alive."""
        self._destinations.use(publisher)

    # -- what the engine asks; see _engine/store.py

    def keep(self, message: Message) -> bool:
        """Write a message down, in its caller's thread."""
        if mocks.is_active():  # what is published to a mock ends with it
            return False
        lane = message.route.lane
        try:
            where = lane.written or self._destinations.write(lane)
            entry = lane.target.service.dump(message.entry)
            wait = self._spool.sync == "disk" and not reentered() and self._core.runtime.may_hold()
            self._log.append(message, where, self._core.wall(), entry, wait)
        except Full as error:
            self._look_soon()
            raise SpoolFull(f"{error}; the bound is max_bytes of the spool") from None
        except (OSError, ValueError) as error:
            self._fail(error)
            return False
        self._since += len(entry)
        if self._thread.to_start:
            self._thread.start()
        if self._since > _TEND:
            self._since = 0
            ring(self._alarm)
        return True

    def _fail(self, error: Exception) -> None:
        """A message could not be written; what is done about it.

        Raises:
            SpoolUnavailable: the options say so.
        """
        told = spool_unavailable(
            self._directory.path, error if isinstance(error, OSError) else OSError(str(error))
        )
        if self._spool.on_unavailable == "raise":
            raise told
        self._unwritten += 1
        now = self._core.clock()
        if now - self._warned_at >= _WARNS:
            self._warned_at = now
            logger.warning(
                "%s: messages are sent from memory alone, and a crash would lose them; %d so far",
                told,
                self._unwritten,
                extra={"event": "publisher.spool_unavailable", "messages": self._unwritten},
            )

    def wait_for_space(self, timeout: float) -> bool:
        """Wait until files were removed, at most ``timeout`` seconds; whether some were."""
        alarm = locked()
        self._spaces.append(alarm)
        self._look_soon()
        return alarm.acquire(timeout=timeout)

    def receipt(self, kept: Any) -> Mapping[str, Any]:
        """What the caller is answered for a message that is left to the relay."""
        return {"SpoolId": f"{self._log.owner}-{kept:x}"}

    def settle(self, kept: Sequence[Any]) -> None:
        """These have ended for good."""
        own = [one for one in kept if type(one) is int]
        if own:
            self._log.settle(own)
        if len(own) < len(kept):
            self._feeder.ended(one for one in kept if type(one) is not int)
            ring(self._alarm)

    def stay(self, kept: Sequence[Any]) -> None:
        """These have ended here, and are offered again."""
        own = [one for one in kept if type(one) is int]
        if own:
            self._log.stay(own)
            self._feeder.look()
        self._feeder.stay(one for one in kept if type(one) is not int)
        self._look_soon()

    def stop(self) -> None:
        """Offer nothing from here on."""
        self._stopping = True
        ring(self._alarm)

    def close(self) -> None:
        """Let go of everything: what still stays is the next process's."""
        if self._closed:
            return
        self._closed = True
        self.stop()
        self._thread.join(_LOOKS)
        if not self._turning:  # else its disk hangs, and the process will let go for it
            self._feeder.take_news(self._core.clock())
            for source in self._adopted.values():
                source.close()
        self._log.close()

    def forget(self) -> None:
        """In the child of a fork: the files are the parent's."""
        self._stopping = self._closed = True
        self._log.forget()

    def stats(self) -> SpoolStats:
        """What is on disk, as far as this process knows."""
        log, sources = self._log, list(self._adopted.values())
        ages = [self._feeder.oldest, log.oldest, *[source.oldest for source in sources]]
        oldest = min((age for age in ages if age is not None), default=None)
        return SpoolStats(
            waiting=log.waiting + sum(source.waiting for source in sources),
            bytes=log.bytes + sum(source.bytes for source in sources),
            oldest_age=0.0 if oldest is None else max(self._core.wall() - oldest, 0.0),
            orphans=self._orphans,
            skipped=self._feeder.skipped + log.damaged + sum(one.damaged for one in sources),
            unwritten=self._unwritten,
        )

    # -- the thread

    def _look_soon(self) -> None:
        if self._thread.to_start:
            self._thread.start()
        ring(self._alarm)

    def _run(self) -> None:
        while not self._stopping:
            self._turning = True
            try:
                pause = self._turn()
            except BaseException:  # noqa: BLE001 - logged; nobody else would do its work
                tell_error("the spool met an error and goes on")
                pause = _LOOKS
            self._turning = False
            if pause > 0:
                self._alarm.acquire(timeout=pause)

    def _turn(self) -> float:
        """Look after the files, and offer what stays; returns seconds until the next turn."""
        core, log = self._core, self._log
        before = log.bytes
        log.tend(core.clock())
        if log.bytes < before:
            while self._spaces:
                ring(self._spaces.popleft())
        now = core.clock()
        if now >= self._adopts_at:
            self._adopts_at = now + _ADOPTS
            self._adopt()
            self._feeder.wake_up()
        at = self._feeder.feed([*self._adopted.values(), *self._own()], now)
        for owner, source in list(self._adopted.items()):
            if source.finished:
                del self._adopted[owner]
        busy = self._feeder.waiting or log.waiting or self._spaces
        soonest = min(at, self._adopts_at, now + (_LOOKS if busy else _ADOPTS))
        return max(soonest - core.clock(), 0.0)

    def _own(self) -> list[Any]:
        return [] if self.hands_over else [self._log]

    def _adopt(self) -> None:
        """Take over the files of owners that have died."""
        self._orphans = 0
        try:
            owners = self._directory.owners("h")
        except OSError:  # not even a look at it is possible: who publishes is told
            return
        for owner in owners:
            try:
                source = adopt(self._directory, owner, self._codec)
            except OSError:
                self._orphans += 1
                continue
            if source is not None and not source.finished:
                self._rank += 1
                source.rank = self._rank
                self._adopted[owner] = source


def _forget() -> None:
    for keeper in list(_keepers):
        keeper.forget()


on_fork(_forget)
