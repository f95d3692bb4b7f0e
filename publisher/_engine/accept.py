"""The caller's half: a message gets its permit, is counted, and stands in the inbox of its lane."""

from __future__ import annotations

import logging
import sys
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from .._account.ledger import LOG_LINE
from .._account.losses import can_log
from .._log_lines import LINES, is_line
from .._options import Options
from .._threads.hosts import runs_event_loop
from ..errors import BufferFull, InvalidMessage, PublisherClosed
from .ends import DROPPED, build_full, build_line
from .flow import Ticket
from .lane import NEVER, Lane
from .message import BatchEntry, BatchFuture, Chunk, Message, Route
from .reentrance import ENTRIES, reentered
from .settle import Ending
from .standing import Standing
from .state import FINISHED, PENDING, RUNNING

logger = logging.getLogger("publisher")
_lines = LINES.get  # the name costs less than the attribute

#: Messages accepted within so many seconds of each other have the same time of acceptance, where no
#: order depends on it.
_MOMENT = 2e-4
_CHUNK_WAITS = 0.05  # seconds; a request takes about as long
_LOOK_AGAIN = 0.05  # seconds after which a held caller looks whether a client has been made


class Accepting(Ending):
    """What a core needs to accept messages; see :class:`Core`."""

    options: Options
    standing: Standing
    started: bool  # a message was accepted
    moment = -NEVER  # the last time of acceptance
    finalization_told = False  # the one line about messages of finalisers was written
    answered = -NEVER  # when a service last said anything
    quiet_since = -NEVER  # when callers began to be held, or a client was last being made
    gave_up = -NEVER  # when a caller was last sent away because no service says anything
    takes_chunks = True  # entries that share their fate need no future each

    def accept(self, route: Route, entry: Any, size: int) -> Message:
        """Accept one message.

        Returns its future, which has ended already if there was no room for it.

        Raises:
            PublisherClosed: after close().
            BufferFull: at the bound, with on_full="raise".
        """
        now = self.clock()
        # With a float of its own a message would weigh 24 bytes more.
        if now - (moment := self.moment) < _MOMENT and not route.lane.keeps_order:
            now = moment
        else:
            self.moment = now
        message = Message(route, entry, now)
        # The usual way in: nothing is full, closed, or wants to be told. Under the GIL nothing
        # comes between the comparison and the extension of the inbox, for there is no call between
        # them: no lock, and no state in which a signal handler or Ctrl-C could leave a permit
        # without its message.
        flow = self.flow
        if not _lines() and flow.messages < flow.limit and flow.bytes + size <= flow.max_bytes:
            counters = route.lane.counters
            flow.messages += 1
            flow.bytes += size
            counters.accepted += 1
            counters.accepted_bytes += size
            try:
                route.inbox.append(message)
                if len(route.inbox) >= route.wake_at:
                    self._touch(route)
            except BaseException:  # Ctrl-C: somebody has to look at it all the same
                self._touch(route)
                raise
        else:
            self._accept_slowly(message, size)
        return message

    def accept_batch(
        self,
        route: Route,
        entries: Sequence[Any],
        sizes: Sequence[int],
        build: Callable[[BatchFuture], Any],
    ) -> BatchFuture:
        """Accept the entries of one call, holding the caller until all are in.

        Each is a message, or part of a :class:`Chunk`.

        Entries for which there is no room within delivery_timeout end with BufferFull.
        """
        refused = is_line(closed=self.flow.closed)
        if (self.flow.closed and not refused) or sys.is_finalizing():
            raise self._closed_error()
        batch = BatchFuture(build)
        batch.remaining = len(entries)
        if refused:
            batch.chunks += [BatchEntry(route, entry, self.clock(), batch) for entry in entries]
            for message, size in zip(batch.entries, sizes, strict=True):
                self._turn_away(message, size, LOG_LINE)
            return batch
        left = self._left(route.delivery.timeout)
        limits = route.lane.limits
        at_once = limits.entries  # more would be long without a look at flow control
        chunks = self.takes_chunks and at_once > 1
        chunks = chunks and not (route.lane.keeps_order or self.teller.hooks)
        for start in range(0, len(entries), at_once):
            now = self.clock()  # it may have been held
            some = entries[start : start + at_once]
            made_sizes = sizes[start : start + at_once]
            total = sum(made_sizes)
            fits = total <= limits.bytes
            fits = fits and (total <= limits.together or max(made_sizes) <= limits.together)
            if chunks and len(some) == at_once and fits:
                chunk = Chunk(route, some, total, now, batch)
                batch.chunks.append(chunk)  # first: it may end before this call goes on
                if self._enter(route, route.chunks, (chunk,), len(some), total):
                    continue
                if self._enter_chunk_slowly(route, chunk, left):
                    continue
                batch.chunks.pop()
                now = self.clock()
            made = [BatchEntry(route, entry, now, batch) for entry in some]
            batch.chunks += made
            if not self._enter(route, route.inbox, made, len(made), total):
                for message, size in zip(made, made_sizes, strict=True):
                    self._accept_entry(message, size, left)
        return batch

    def _accept_entry(self, message: Message, size: int, left: Callable[[], float]) -> None:
        """One entry where not all of them got in together."""
        route = message.route
        if self._enter(route, route.inbox, (message,), 1, size):
            return
        ticket = Ticket(size)

        def ask() -> None:
            if not self.flow.take(size, 1, ticket):
                self._wait_for_room(ticket, left)

        if not self._come_in(route.inbox, message, ticket, ask):
            self._turn_away(message, size)

    def hurry(self, lanes: list[Lane] | None = None) -> float:
        """What was accepted up to now lingers no longer: in these lanes, or in all; returns now."""
        now = self.clock()
        self.moment = -NEVER  # what comes from here on was accepted later
        self.scheduler.hurry(now, lanes)
        return now

    def hurry_one(self, message: Message) -> None:
        """Somebody waits for this message: its batch goes with what has come so far.

        That is at once while its destination has few requests in flight; otherwise a moment later,
        or with the next worker that is free, so that many who wait share their requests.
        """
        # A signal handler or a finaliser that waits: what it interrupted may hold the lock.
        if not reentered() and self.scheduler.hurry_one(message, self.clock()):
            self.runtime.wake()

    def _touch(self, route: Route) -> None:
        route.wake_at = NEVER
        self.started = True
        self.scheduler.touched.append((route,))
        if self.stopped:  # closed between the permit and the inbox
            self._abandon()
        else:
            self.runtime.wake()

    def _enter(
        self, route: Route, inbox: deque[Any], messages: Sequence[Message], count: int, size: int
    ) -> bool:
        """The same usual way in as in accept(), for what has to go in together.

        False if something is unusual; then none of the messages, ``count`` of them and ``size``
        bytes together, is in.
        """
        flow = self.flow
        counters = route.lane.counters
        if flow.messages + count <= flow.limit and flow.bytes + size <= flow.max_bytes:
            flow.messages += count
            flow.bytes += size
            counters.accepted += count
            counters.accepted_bytes += size
            try:
                inbox.extend(messages)
                if max(count, len(route.inbox)) >= route.wake_at:
                    self._touch(route)
            except BaseException:
                self._touch(route)
                raise
            return True
        return False

    def _enter_chunk_slowly(self, route: Route, chunk: Chunk, left: Callable[[], float]) -> bool:
        """Wait a moment for room for all of it; False leaves it to its entries, one by one.

        Whole requests come back one after the other, so that is mostly enough; and for longer
        nobody else is to be kept from room that is too small for a chunk.
        """
        flow = self.flow
        count, size = chunk.count, chunk.total
        if count * 2 > flow.max_messages or size * 2 > flow.max_bytes:
            return False
        ticket = Ticket(size, count)
        until = self.clock() + min(_CHUNK_WAITS, left())

        def ask() -> None:
            self._wait_for_room(ticket, lambda: until - self.clock())

        return self._come_in(route.chunks, chunk, ticket, ask)

    def _accept_slowly(self, message: Message, size: int) -> None:
        """Full, closed, or a hook wants to know: what ``on_full`` says."""
        if sys.is_finalizing():
            self._drop_at_finalization(message, size)
            return
        if is_line(closed=self.flow.closed):
            self._turn_away(message, size, LOG_LINE)
            return
        self.check_size(size)
        ticket = Ticket(size)
        ask = partial(self._ask, ticket, message.route)
        if self._come_in(message.route.inbox, message, ticket, ask):
            return
        if self.flow.closed:
            raise self._closed_error()
        self._turn_away(message, size)

    def _ask(self, ticket: Ticket, route: Route) -> None:
        """Get a permit as ``on_full`` says."""
        flow, size = self.flow, ticket.size
        if flow.take(size, 1, ticket) or flow.closed:
            return
        on_full = self.options.on_full
        if on_full == "raise":
            raise BufferFull(self._full_text())
        if on_full == "drop_oldest" and flow.waiting and not reentered():
            # Callers of put_records are held: each permit that is given back would go to them.
            flow.take_by_force(ticket, self._drop_oldest)
        elif on_full == "drop_oldest":
            while not flow.take(size, 1, ticket) and self._drop_oldest():
                pass
        elif on_full == "block":
            self._wait_for_room(ticket, self._patience(route))

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
        message._value = self._closed_error()
        message._phase = FINISHED
        if not self.finalization_told and can_log(logger):
            self.finalization_told = True
            logger.error(
                "%s %s was dropped: it was published while the interpreter ends",
                "a message to" if counters.of_messages else "a call of",
                message.route.lane.target.key,
                extra={"event": "publisher.lost", "messages": int(counters.of_messages)},
            )

    def check_size(self, size: int) -> None:
        """Raise InvalidMessage for a message that the buffer could never hold."""
        if size > self.flow.max_bytes:
            raise InvalidMessage(
                f"the message has {size:,} bytes; the buffer's bound"
                f" max_bytes={self.flow.max_bytes:,} could never hold it"
            )

    def _come_in(
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
                message.accepted = self.clock()
                if self.teller.watches:
                    self.teller.accepted(message, ticket.size)
                    message.accepted = self.clock()
        finally:
            # As in accept(): no call comes between.
            if ticket.granted:
                counters.accepted += ticket.count
                counters.accepted_bytes += ticket.size
                try:
                    inbox.append(message)
                    if max(ticket.count, len(route.inbox)) >= route.wake_at:
                        self._touch(route)
                except BaseException:
                    self._touch(route)
                    raise
        return ticket.granted

    def look(self) -> float:
        """The time, where deadlines are judged by it."""
        now = self.clock()
        self.standing.look(now)
        return now

    def stood_since(self, began: float) -> float:
        """For how many seconds after ``began`` the process stood still."""
        return self.standing.since(began)

    def _left(self, timeout: float) -> Callable[[], float]:
        """How many of ``timeout`` seconds are left, asked again and again."""
        began = self.clock()
        return lambda: began + timeout - self.look() + self.standing.since(began)

    def _wait_for_room(self, ticket: Ticket, left: Callable[[], float]) -> None:
        if not _may_block() or left() <= 0:
            return
        self.hurry()  # with the buffer full there is no better company to wait for
        self.runtime.wake()
        self.runtime.wait_for_room(ticket, left)

    def _patience(self, route: Route) -> Callable[[], float]:
        """How many seconds a caller may still be held at the bound, asked again and again.

        Until its message could not be delivered in time; but ``max_block`` after the last word of
        any service, or after the first caller was held, all are sent away, and whoever comes then
        at once, until a service speaks again. While a boto3 client is made nobody could have.
        """
        until = self._left(route.delivery.timeout)
        max_block = self.options.max_block
        if not self.flow.waiting:
            self.quiet_since = self.clock()

        def left() -> float:
            if max_block is None:
                return until()
            now = self.look()
            if self.gave_up > self.answered:
                return 0.0
            if max_block and self._is_making():
                self.quiet_since = now
                return min(until(), max_block, _LOOK_AGAIN)
            since = max(self.quiet_since, self.answered)
            quiet = now - since - self.standing.since(since)
            if quiet >= max_block:
                self.gave_up = now
                return 0.0
            return min(until(), max_block - quiet)

        return left

    def _is_making(self) -> bool:
        with self.scheduler.lock:
            return any(request.lane.target.making for request in self.scheduler.in_flight)

    def _turn_away(self, message: Message, size: int, reason: str = "") -> None:
        """End a message that never got a permit; why, if not for want of room.

        It counts as accepted all the same: its caller has a future.
        """
        value: Any
        if reason == LOG_LINE:
            value = (build_line, None, None)
        elif self.flow.closed:  # while the entries of a batch waited for room
            value, reason = self._closed_error(), "closed"
        else:
            value, reason = (build_full, self._full_text(), None), "buffer_full"

        def end(_: object = None) -> None:
            self.settle([message], [value], DROPPED, reason, permits=False, size=size)

        try:
            if self.teller.watches and reason != LOG_LINE:
                self.teller.accepted(message, size, entered=False)
            if reentered():  # what it interrupted may hold what another thread waits for under LOCK
                message._phase = RUNNING  # not to be cancelled: it has no permit to give back
                self.runtime.call([(end, None)])
            else:
                end()
        except BaseException:
            if message._phase == PENDING:
                self.teller.forget(message)
            raise

    def _drop_oldest(self) -> bool:
        if reentered():
            return False
        message = self.scheduler.evict_oldest()
        if message is None:
            return False
        # Where Ctrl-C hits, the dispatcher does this.
        self.settle_each([message], self._dropped)
        self.scheduler.settled([message])
        return True

    def _closed_error(self) -> PublisherClosed:
        return PublisherClosed(
            "the publisher is closed; publisher.configure() or publisher.Publisher() makes a new"
            " one"
        )


# -- where a caller may be held


def _may_block() -> bool:
    """Whether this caller may be held.

    Not on a thread with a running event loop, nor inside a call of ours (a signal handler, a
    finaliser).
    """
    return not (runs_event_loop() or reentered())


ENTRIES.update(
    call.__code__
    for call in (
        Accepting.accept,
        Accepting.accept_batch,
        Accepting.hurry_one,
        Accepting.settle,
    )
)
