"""The way in where there is a store: admission, then the store, then the inbox.

Nobody is held at the bound of the memory: what finds it full is written down and stays, and so does
what another process is to send. Where the store is full, ``on_full`` says what becomes of it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from .._account.telling import Teller
from .._log_lines import LINES, is_line
from ..errors import PublisherError, SpoolFull, SpoolUnavailable
from .accept import Entrance, Way, slices
from .admission import Admission
from .ends import (
    DROPPED,
    HANDED_OVER,
    OVERFLOWED,
    SPOOLED,
    answer_handed_over,
    build_staying,
    refusal,
)
from .flow import FlowControl, Ticket
from .message import BatchFuture, Message, Route
from .patience import Patience
from .reentrance import ENTRIES, reentered
from .settle import Settler
from .state import RUNNING, is_live
from .store import ReplayedMessage, Store, StoredEntry, StoredMessage
from .tracker import Tracker

_lines = LINES.get  # the name costs less than the attribute
_LOOK_AGAIN = 0.05  # seconds after which a caller who waits for space asks whether it may
_FULL = "the memory was full"


class KeptEntrance:
    """Where messages enter that a store keeps.

    Args:
        store: keeps them.
        on_full: of the options; what becomes of a message for which the store has no room.
        clock: seconds, never going back.
        flow: hands out permits.
        teller: of the hooks.
        tracker: knows what waits in a lane.
        settler: ends what does not go into memory.
        patience: how long a caller may be held.
        runtime: runs what a signal handler may not.
        entrance: the way in of what no store keeps.
        admission: the way in of all that is unusual.
    """

    def __init__(
        self,
        store: Store,
        on_full: str,
        *,
        clock: Callable[[], float],
        flow: FlowControl,
        teller: Teller,
        tracker: Tracker,
        settler: Settler,
        patience: Patience,
        runtime: Any,
        entrance: Entrance,
        admission: Admission,
    ) -> None:
        self._store = store
        self._usual = not store.only_overflow and not store.hands_over  # into memory, and to disk
        self._on_full = on_full
        self._clock = clock
        self._flow = flow
        self._teller = teller
        self._tracker = tracker
        self._settler = settler
        self._patience = patience
        self._runtime = runtime
        self._entrance = entrance
        self._admission = admission

    def accept(self, route: Route, entry: Any, size: int) -> Message:
        """Accept one message; as :meth:`Entrance.accept`, and what the store raises."""
        if not (route.delivery.spooled and route.lane.target.storable):
            return self._entrance.accept(route, entry, size)
        message = StoredMessage(route, entry, self._clock())
        flow = self._flow
        if (
            not self._usual
            or _lines()
            or flow.messages >= flow.limit
            or flow.bytes + size > flow.max_bytes
        ):
            self._come_in(message, size)
            return message
        # The usual way in, as Entrance.accept() has it: the permit, with no call before ``try``.
        ticket: Ticket | None = None  # once the permit is to be given back
        flow.messages += 1
        flow.bytes += size
        try:
            self._store.keep(message)
            message.accepted = self._clock()  # inboxes are in the order of acceptance
        except Exception as error:
            back = Ticket(size)
            back.granted = True
            ticket = back  # from here on its permit is given back in one go
            flow.give_back(ticket)
            if not isinstance(error, SpoolFull):
                self._settle_unaccepted(message)
                raise
        finally:
            # Whatever is raised meanwhile: with a permit it goes in.
            if ticket is None or ticket.granted:
                counters = route.lane.counters
                counters.accepted += 1
                counters.accepted_bytes += size
                try:
                    route.inbox.append(message)
                    if len(route.inbox) >= route.wake_at:
                        self._admission.touch(route)
                except BaseException:
                    self._admission.touch(route)
                    raise
        if ticket is not None:  # the store is full
            self._come_in(message, size)
        return message

    def accept_batch(
        self,
        ways: Sequence[Way],
        entries: Sequence[Any],
        sizes: Sequence[int],
        build: Callable[[BatchFuture], Any],
        *,
        whole: bool = False,
    ) -> BatchFuture:
        """Accept the entries of one call; as :meth:`Entrance.accept_batch`."""
        if (
            self._flow.closed
            or is_line(closed=self._flow.closed)
            or sys.is_finalizing()
            or not ways[0][0].delivery.spooled
            or not ways[0][0].lane.target.storable
        ):
            return self._entrance.accept_batch(ways, entries, sizes, build, whole=whole)
        batch = BatchFuture(build)
        batch.remaining = len(entries)
        for route, some, made_sizes in slices(ways, entries, sizes):
            made = [StoredEntry(route, entry, self._clock(), batch) for entry in some]
            batch.chunks += made
            for message, size in zip(made, made_sizes, strict=True):
                self._come_in(message, size, batch)
        return batch

    def replay(
        self, route: Route, entries: Sequence[Any], sizes: Sequence[int], kepts: Sequence[Any]
    ) -> bool:
        """Let in messages that stayed, all of them; False if there is no room for them now.

        Called on a thread of ours.
        """
        if not self._flow.take(sum(sizes), len(sizes)):
            return False
        now, made = self._clock(), []
        for entry, kept in zip(entries, kepts, strict=True):
            message = ReplayedMessage(route, entry, now)
            message.kept = kept
            made.append(message)
        route.lane.counters.replayed += len(made)
        self._admission.place([(route, made, sizes)])
        return True

    def end_replayed(
        self, route: Route, entry: Any, size: int, kept: Any, end: tuple[Any, str, str | None]
    ) -> None:
        """End a message that stayed, and is not offered again: its value, end and reason."""
        message = ReplayedMessage(route, entry, self._clock())
        message.kept = kept
        route.lane.counters.replayed += 1
        value, how, reason = end
        self._settler.settle([message], [value], how, reason, permits=False, size=size)

    # -- details

    def _come_in(self, message: Message, size: int, batch: BatchFuture | None = None) -> None:
        flow, admission = self._flow, self._admission
        if sys.is_finalizing() or is_line(closed=flow.closed):
            admission.accept(message, size)
            return
        admission.check_size(size)
        full: list[PublisherError] = []
        if self._enter(message, size, full):
            return
        raises = self._on_full == "raise" or any(type(each) is SpoolUnavailable for each in full)
        if full and raises and (batch is None or batch.chunks[0] is message):
            raise full[0]  # no message of the call has come in
        if full:
            self._finish(message, partial(self._end_full, message, full[0], size))
        elif flow.closed and batch is None:
            raise refusal()
        else:
            admission.turn_away(message, size)

    def _enter(self, message: Message, size: int, full: list[PublisherError]) -> bool:
        """Let it in, or have it end as one that is written down; whether one of these was done."""
        ticket, entered = Ticket(size), None
        ask = partial(self._ask, message, ticket, full)
        end = partial(self._end_kept, message, size)
        try:
            entered = self._admission.come_in(message.route.inbox, message, ticket, ask)
            if not entered and message.kept is not None:
                if self._teller.watches:
                    self._teller.accepted(message, size)
                self._finish(message, end)
                return True
        except BaseException:
            if entered is False:
                if is_live(message):  # it goes its way all the same, as what has a permit
                    self._runtime.call([(end, None)])
            elif not ticket.granted:
                self._settle_unaccepted(message)
            raise
        return entered

    def _settle_unaccepted(self, message: Message) -> None:
        """It may be on disk, and its caller has been told that it is not accepted."""
        if message.kept is not None:
            self._runtime.call([(self._store.settle, [message.kept])])

    def _ask(self, message: Message, ticket: Ticket, full: list[PublisherError]) -> None:
        """Get a permit, if there is one, and have the message written down."""
        flow, store = self._flow, self._store
        if flow.closed:
            return
        if store.only_overflow or not store.hands_over:
            flow.take(ticket.size, 1, ticket)
            if ticket.granted and store.only_overflow and not message.route.lane.is_behind:
                store.begin()
                return
        try:
            kept = self._keep(message)
        except Exception as error:
            if ticket.granted:
                flow.give_back(ticket)
            if not isinstance(error, (SpoolFull, SpoolUnavailable)):
                raise
            full.append(error)
            return
        if not kept and not ticket.granted:  # it goes on in memory alone
            self._admission.ask(ticket, message.route)

    def _keep(self, message: Message) -> bool:
        """Write it down; wait for space where ``on_full`` says so."""
        left: Callable[[], float] | None = None
        while True:
            try:
                return self._store.keep(message)
            except SpoolFull:
                if self._on_full != "block" or reentered() or not self._runtime.may_hold():
                    raise
                left = left or self._patience.at_the_bound(message.route.delivery.timeout)
                if (seconds := left()) <= 0:
                    raise
                if self._store.wait_for_space(min(seconds, _LOOK_AGAIN)):
                    self._patience.note_answer()  # the disk moves, as a service may not

    def _finish(self, message: Message, end: Callable[[object], None]) -> None:
        """End a message that has no permit."""
        if reentered():  # what it interrupted may hold what another thread waits for under LOCK
            message._phase = RUNNING  # not to be cancelled: it has no permit to give back
            self._runtime.call([(end, None)])
        else:
            end(None)

    def _end_full(self, message: Message, error: PublisherError, size: int, _: object) -> None:
        """End a message that the store did not take."""
        self._settler.settle([message], [error], DROPPED, "buffer_full", permits=False, size=size)

    def _end_kept(self, message: Message, size: int, _: object) -> None:
        """End one that is written down and does not go into memory; it may be called again."""
        store = self._store
        value: Any
        if store.hands_over:
            value, reason = (answer_handed_over, {}, store.receipt(message.kept)), HANDED_OVER
        else:
            value, reason = (build_staying, message, _FULL), OVERFLOWED
            # In this order: whoever looks whether all was offered, under the tracker's lock, sees
            # this message, or is followed by what says that there is one.
            store.overflow(message)
            if message.route.lane.keeps_order:
                self._tracker.note_staying(message.route)
        self._settler.settle([message], [value], SPOOLED, reason, permits=False, size=size)


ENTRIES.update(call.__code__ for call in (KeptEntrance.accept, KeptEntrance.accept_batch))
