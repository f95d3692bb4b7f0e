"""The way in of what cannot simply enter: the buffer is full or closed, or a hook wants to know."""

from __future__ import annotations

import logging
import sys
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

from .._account.ledger import LOG_LINE
from .._account.losses import can_log
from .._account.telling import Teller
from .._log_lines import is_line
from ..errors import BufferFull, InvalidMessage
from .ends import DROPPED, build_full, build_line, refusal
from .flow import FlowControl, Ticket
from .lane import NEVER
from .message import Chunk, Message, Route
from .patience import Patience
from .reentrance import reentered
from .settle import Settler
from .state import FINISHED, PENDING, RUNNING
from .tracker import Tracker

logger = logging.getLogger("publisher")

#: Messages that one call has for a route, and their sizes.
Part: TypeAlias = tuple[Route, Sequence[Message], Sequence[int]]

_CHUNK_WAITS = 0.05  # seconds; a request takes about as long


class Admission:
    """Does what ``on_full`` says where there is no room, and tells hooks who has come in.

    Args:
        on_full: of the options.
        clock: seconds, never going back.
        flow: hands out permits.
        teller: of the hooks.
        tracker: where messages wait.
        settler: ends what is turned away.
        patience: how long a caller may be held.
        runtime: holds callers, and wakes the dispatcher.
        hurry: has all that waits go now.
    """

    def __init__(
        self,
        on_full: str,
        *,
        clock: Callable[[], float],
        flow: FlowControl,
        teller: Teller,
        tracker: Tracker,
        settler: Settler,
        patience: Patience,
        runtime: Any,
        hurry: Callable[[], object],
    ) -> None:
        self._on_full = on_full
        self._clock = clock
        self._flow = flow
        self._teller = teller
        self._tracker = tracker
        self._settler = settler
        self.patience = patience
        self._runtime = runtime
        self._hurry = hurry
        self.started = False  # a message was accepted
        self._finalization_told = False  # the one line about messages of finalisers was written

    def accept(self, message: Message, size: int) -> None:
        """Full, closed, or a hook wants to know: what ``on_full`` says."""
        if sys.is_finalizing():
            self._drop_at_finalization(message, size)
            return
        if is_line(closed=self._flow.closed):
            self.turn_away(message, size, LOG_LINE)
            return
        self.check_size(size)
        ticket = Ticket(size)
        ask = partial(self.ask, ticket, message.route)
        if self.come_in(message.route.inbox, message, ticket, ask):
            return
        if self._flow.closed:
            raise refusal()
        self.turn_away(message, size)

    def accept_together(self, parts: Sequence[Part], size: int) -> None:
        """As :meth:`accept`, for all the entries of a call, ``size`` bytes together."""
        pairs = [pair for _, made, sizes in parts for pair in zip(made, sizes, strict=True)]
        ticket, left = Ticket(size, len(pairs)), list(parts)
        try:
            try:
                self.ask(ticket, parts[0][0])
                for message, each in pairs if ticket.granted else ():
                    message.accepted = self._clock()  # it may have been held
                    if self._teller.watches:
                        self._teller.accepted(message, each)
            finally:
                if ticket.granted:
                    self.place(left)
        finally:
            if ticket.granted and left:  # an exception came just before
                self.place(left)
        if self._flow.closed and not ticket.granted:
            raise refusal()
        for message, each in () if ticket.granted else pairs:
            self.turn_away(message, each)

    def accept_entry(self, message: Message, size: int, left: Callable[[], float]) -> None:
        """Let in one entry of a batch call, holding the caller for as long as ``left`` says."""
        ticket = Ticket(size)

        def ask() -> None:
            if not self._flow.take(size, 1, ticket):
                self._wait_for_room(ticket, left)

        if not self.come_in(message.route.inbox, message, ticket, ask):
            self.turn_away(message, size)

    def accept_chunk(self, chunk: Chunk, left: Callable[[], float]) -> bool:
        """Wait a moment for room for all of it; False leaves it to its entries, one by one.

        Whole requests come back one after the other, so that is mostly enough; and for longer
        nobody else is to be kept from room that is too small for a chunk.
        """
        flow = self._flow
        count, size = chunk.count, chunk.total
        if count * 2 > flow.max_messages or size * 2 > flow.max_bytes:
            return False
        ticket = Ticket(size, count, yields=True)
        until = self._clock() + min(_CHUNK_WAITS, left())

        def ask() -> None:
            self._wait_for_room(ticket, lambda: until - self._clock())

        return self.come_in(chunk.route.chunks, chunk, ticket, ask)

    def check_size(self, size: int) -> None:
        """Raise InvalidMessage for a message that the buffer could never hold."""
        if size > self._flow.max_bytes:
            raise InvalidMessage(
                f"the message has {size:,} bytes; the buffer's bound"
                f" max_bytes={self._flow.max_bytes:,} could never hold it"
            )

    def touch(self, route: Route) -> None:
        """Something stands in an inbox that somebody has to look at."""
        route.wake_at = NEVER
        self.started = True
        self._tracker.touched.append((route,))
        if self._settler.stopped:  # closed between the permit and the inbox
            self._settler.abandon()
        else:
            self._runtime.wake()

    # -- details

    def ask(self, ticket: Ticket, route: Route) -> None:
        """Get a permit as ``on_full`` says."""
        flow, size, count = self._flow, ticket.size, ticket.count
        if flow.take(size, count, ticket) or flow.closed:
            return
        if self._on_full == "raise":
            raise BufferFull(flow.full_text())
        if self._on_full == "drop_oldest" and flow.waiting and not reentered():
            # Callers of put_records are held: each permit that is given back would go to them.
            flow.take_by_force(ticket, self.drop_oldest)
        elif self._on_full == "drop_oldest":
            while not flow.take(size, count, ticket) and self.drop_oldest():
                pass
        elif self._on_full == "block":
            self._wait_for_room(ticket, self.patience.at_the_bound(route.delivery.timeout))

    def _wait_for_room(self, ticket: Ticket, left: Callable[[], float]) -> None:
        # A signal handler or a finaliser is never held, nor is who has an event loop to run.
        if reentered() or not self._runtime.may_hold() or left() <= 0:
            return
        self._hurry()  # with the buffer full there is no better company to wait for
        self._runtime.wake()
        self._runtime.wait_for_room(ticket, left)

    def come_in(
        self, inbox: deque[Any], message: Message, ticket: Ticket, ask: Callable[[], None]
    ) -> bool:
        """Let a message, or a chunk, in once ``ask`` got it a permit; whether it did.

        Whatever is raised meanwhile, here or in a hook: with a permit it goes in.
        """
        route = message.route
        counters = route.lane.counters
        try:
            ask()
            if ticket.granted:
                # It may have been held, and inboxes are in the order of acceptance.
                message.accepted = self._clock()
                if self._teller.watches:
                    self._teller.accepted(message, ticket.size)
                    message.accepted = self._clock()
        finally:
            # As in accept(): no call comes between.
            if ticket.granted:
                counters.accepted += ticket.count
                counters.accepted_bytes += ticket.size
                try:
                    inbox.append(message)
                    if max(ticket.count, len(route.inbox)) >= route.wake_at:
                        self.touch(route)
                except BaseException:
                    self.touch(route)
                    raise
        return ticket.granted

    def place(self, left: list[Part]) -> None:
        """Stand the messages of each part in their inbox, whatever is raised meanwhile."""
        route = left[-1][0]
        try:
            while left:
                route, messages, sizes = left[-1]
                counters, inbox, count = route.lane.counters, route.inbox, len(messages)
                size = sum(sizes)
                # As in accept(): no call comes between, up to where the part is done with.
                counters.accepted += count
                counters.accepted_bytes += size
                inbox += messages
                del left[-1]
                if max(count, len(inbox)) >= route.wake_at:
                    self.touch(route)
        except BaseException:
            self.touch(route)
            if left:
                self.place(left)
            raise

    def turn_away(self, message: Message, size: int, reason: str = "") -> None:
        """End a message that never got a permit; why, if not for want of room.

        It counts as accepted all the same: its caller has a future.
        """
        value: Any
        if reason == LOG_LINE:
            value = (build_line, None, None)
        elif self._flow.closed:  # while the entries of a batch waited for room
            value, reason = refusal(), "closed"
        else:
            value, reason = (build_full, self._flow.full_text(), None), "buffer_full"

        def end(_: object = None) -> None:
            self._settler.settle([message], [value], DROPPED, reason, permits=False, size=size)

        try:
            if self._teller.watches and reason != LOG_LINE:
                self._teller.accepted(message, size, entered=False)
            if reentered():  # what it interrupted may hold what another thread waits for under LOCK
                message._phase = RUNNING  # not to be cancelled: it has no permit to give back
                self._runtime.call([(end, None)])
            else:
                end()
        except BaseException:
            if message._phase == PENDING:
                self._teller.forget(message)
            raise

    def drop_oldest(self) -> bool:
        """Make room by ending the oldest message that was never sent; False if there is none."""
        if reentered():
            return False
        message = self._tracker.evict_oldest()
        if message is None:
            return False
        # Where Ctrl-C hits, the dispatcher does this.
        self._settler.settle_each([message], self._settler.dropped)
        self._tracker.settled([message])
        return True

    def _drop_at_finalization(self, message: Message, size: int) -> None:
        """A finaliser publishes while the interpreter ends: no thread of ours runs any more.

        Nothing is locked: the threads that stand still may hold any lock, and nobody else runs.
        """
        counters = message.route.lane.counters
        counters.accepted += 1
        counters.accepted_bytes += size
        counters.resolved_bytes += size
        counters.dropped["closed"] += 1
        counters.latency[0] += 1
        message._value = refusal()
        message._phase = FINISHED
        if not self._finalization_told and can_log(logger):
            self._finalization_told = True
            logger.error(
                "%s %s was dropped: it was published while the interpreter ends",
                "a message to" if counters.of_messages else "a call of",
                message.route.lane.target.key,
                extra={"event": "publisher.lost", "messages": int(counters.of_messages)},
            )
