"""One publisher in one process: accepts messages, sees each to one end, keeps the account."""

from __future__ import annotations

import logging
import os
import sys
import threading
import weakref
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

from .. import _clock
from .._account.ledger import Account, Stats
from .._account.losses import Losses
from .._account.telling import Teller
from .._options import Delivery, Options
from .accept import Entrance
from .admission import Admission
from .barrier import Barrier
from .flow import FlowControl
from .keeping import KeptEntrance
from .kept_admission import KeptAdmission
from .lane import NEVER, Lane
from .patience import Patience
from .reentrance import ENTRIES
from .scheduler import Scheduler
from .sender import Sender
from .settle import Settler
from .standing import Standing
from .store import Store
from .tracker import Tracker

logger = logging.getLogger("publisher")

#: Sets of delivery options that are remembered, so that equal ones share their inboxes.
_MAX_DELIVERIES = 1_000


class Core:
    """The parts of a publisher, composed.

    The caller's half (:class:`Entrance`) and the sender's half (:class:`Sender`) meet
    only at the lanes; what ends goes through :class:`Settler`.

    Args:
        options: checked already.
        runtime: makes what runs the sender's half, from this core: threads, or a test's own hand.
        clock: seconds, never going back.
        wall: seconds since the epoch, for people.
        takes_chunks: whether entries of ``put_records`` may do without a future each.
        store: makes what keeps messages beyond the life of the process, for this core; None
            without.
    """

    def __init__(
        self,
        options: Options,
        runtime: Callable[[Core], Any],
        clock: Callable[[], float] = _clock.QUICK[0],
        wall: Callable[[], float] = _clock.wall,
        *,
        takes_chunks: bool = True,
        store: Callable[[Core], Store] | None = None,
    ) -> None:
        self.options = options
        self.pid = os.getpid()
        self.clock = clock
        self.wall = wall
        teller = self.teller = Teller(options.hooks)
        flow = self.flow = FlowControl(
            options.max_messages, options.max_bytes, always_lock=teller.watches
        )
        self.account = Account()
        tracker = self.tracker = Tracker(options.grace)
        scheduler = self.scheduler = Scheduler(options.max_workers, tracker)
        standing = self.standing = Standing()
        self.losses = Losses(clock, flow.bounds_text(), self._stood_lately)
        #: What the clients share of this core, by client. Weak: our threads keep the core alive,
        #: and a client that nobody holds any more must not be kept by that, nor its publisher.
        self.bindings: MutableMapping[Any, Any] = weakref.WeakKeyDictionary()
        self._deliveries: dict[Any, Delivery] = {}
        self.runtime = runtime(self)
        self.store = None if store is None else store(self)
        self.barrier = Barrier(tracker, self.runtime)
        self.settler = Settler(
            clock=clock,
            flow=flow,
            account=self.account,
            teller=teller,
            losses=self.losses,
            tracker=tracker,
            barrier=self.barrier,
            runtime=self.runtime,
            store=self.store,
        )
        self.patience = Patience(
            options.max_block, look=self.look, flow=flow, tracker=tracker, standing=standing
        )
        self.admission = Admission(
            options.on_full,
            clock=clock,
            flow=flow,
            teller=teller,
            tracker=tracker,
            settler=self.settler,
            patience=self.patience,
            runtime=self.runtime,
            hurry=self.hurry,
        )
        entrance = self.entrance = Entrance(
            clock=clock,
            flow=flow,
            teller=teller,
            scheduler=scheduler,
            admission=self.admission,
            runtime=self.runtime,
            takes_chunks=takes_chunks,
        )
        sender = Sender(
            clock=clock,
            look=self.look,
            wall=wall,
            account=self.account,
            teller=teller,
            tracker=tracker,
            scheduler=scheduler,
            patience=self.patience,
            settler=self.settler,
            barrier=self.barrier,
            runtime=self.runtime,
        )
        # What clients, messages and threads ask, without a call in between.
        self.accept = entrance.accept
        self.accept_batch = entrance.accept_batch
        if self.store is not None:
            self.account.on_disk = self.store.stats
            kept_admission = KeptAdmission(
                self.store,
                options.on_full,
                clock=clock,
                flow=flow,
                teller=teller,
                tracker=tracker,
                settler=self.settler,
                patience=self.patience,
                runtime=self.runtime,
                admission=self.admission,
            )
            kept = self.kept = KeptEntrance(
                self.store,
                clock=clock,
                flow=flow,
                settler=self.settler,
                runtime=self.runtime,
                teller=teller,
                entrance=entrance,
                admission=self.admission,
                kept_admission=kept_admission,
            )
            self.accept, self.accept_batch = kept.accept, kept.accept_batch
        self.check_size = self.admission.check_size
        self.hurry_one = entrance.hurry_one
        self.withdraw = self.settler.withdraw
        self.stood_since = standing.since
        self.step = sender.step
        self.work = sender.work

    @property
    def started(self) -> bool:
        """Whether a message was accepted."""
        return self.admission.started

    @property
    def stopped(self) -> bool:
        """Whether nothing is sent any more."""
        return self.settler.stopped

    def look(self) -> float:
        """The time, where deadlines are judged by it: stand-stills are taken note of."""
        now = self.clock()
        self.standing.look(now)
        return now

    def hurry(self, lanes: list[Lane] | None = None) -> float:
        """What was accepted up to now lingers no longer: in these lanes, or in all; returns now."""
        return self.entrance.hurry(lanes)

    def _stood_lately(self) -> float:
        """Seconds in which the process stood still, as far as what ends now can have met them."""
        longest = self.options.delivery_timeout + self.options.grace
        return self.standing.last(self.clock() - longest - 1)

    # -- barriers

    def acquire(self, gate: threading.Lock, timeout: float | None) -> bool:
        """Wait for ``gate`` at most ``timeout`` seconds; None: without bound."""
        return bool(self.runtime.acquire(gate, timeout))

    def flush(self, timeout: float | None, lanes: list[Lane] | None = None) -> int:
        """Send what lingers; wait until what was accepted before the call has ended.

        Args:
            timeout: seconds; None: until the messages' own deadlines.
            lanes: only these.

        Returns:
            how many of those messages are still unresolved.
        """
        if sys.is_finalizing():  # other threads stand still, and may hold any lock
            return self.flow.messages
        until = self.hurry(lanes)
        self.runtime.wake_if_started()
        # Of lanes there may be thousands.
        return self.barrier.wait(until, None if lanes is None else dict.fromkeys(lanes), timeout)

    def close(self, timeout: float | None) -> int:
        """Refuse, drain for at most ``timeout`` seconds, abandon the rest, stop the threads.

        Idempotent.

        Returns:
            how many messages were abandoned; 0 on a thread of ours, where another does this.
        """
        if sys.is_finalizing():
            return 0
        # What waits in memory behind what stays goes after that, or it would be lost.
        self.flow.close(replays=self.store is not None and self.tracker.waits_for_store())
        if self.runtime.is_own_thread():
            self.runtime.spawn(lambda: self.close(timeout))
            return 0
        if self.store is not None and self.flow.shut:
            self.store.stop()
        deadline = None if timeout is None else self.clock() + timeout
        if timeout is None or timeout > 0:  # what lingers is not sent just to be given up
            self.flush(timeout)
        self.flow.close()
        if self.store is not None:
            self.store.stop()
        abandoned = self.settler.abandon()
        left = None if deadline is None else max(deadline - self.clock(), 0)
        self.runtime.stop(left)
        if self.store is not None:
            self.store.close()
        self.losses.last_words(self.stats().total)
        return abandoned

    def give_up(self) -> None:
        """Refuse what comes, and end all that is unresolved: nothing can be sent any more."""
        self.flow.close()
        self.settler.abandon()

    def close_quietly(self) -> None:
        """Close with the time that a process exit would have."""
        self.close(self.options.close_timeout)

    def delivery(self, service: str, changes: Mapping[str, Any]) -> Delivery:
        """The delivery options of a client of ``service`` with ``changes``.

        The same object for equal ones.
        """
        key = (service, *sorted(changes.items(), key=lambda pair: pair[0]))
        found = self._deliveries.get(key)
        if found is None:
            if len(self._deliveries) >= _MAX_DELIVERIES:
                self._deliveries.clear()
            found = self._deliveries.setdefault(key, self.options.delivery(service, **changes))
        return found

    def recent(self, seconds: float) -> list[tuple[int, int]]:
        """How many messages were delivered and lost in each of the last seconds, latest first."""
        with self.account.lock:
            return list(self.account.recent.since(self.clock() - seconds))

    def stats(self) -> Stats:
        """The account, at this moment."""
        now = self.clock()
        ages = {
            counters: max(now - since, 0.0)
            for counters, since in self.tracker.oldest_by_counters().items()
            if since < NEVER
        }
        return self.account.stats(ages)

    def __repr__(self) -> str:
        return (
            f"<Core messages={self.flow.messages} busy={self.scheduler.shares.busy}"
            f" waiting={self.flow.waiting}>"
        )


ENTRIES.update(call.__code__ for call in (Core.flush, Core.close, Core.stats, Core.recent))
