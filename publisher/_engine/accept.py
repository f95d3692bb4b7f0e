"""The caller's half: a message gets its permit, is counted, and stands in the inbox of its lane."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

from .._account.ledger import LOG_LINE
from .._account.telling import Teller
from .._log_lines import LINES, is_line
from .admission import Admission, Part
from .ends import refusal
from .flow import FlowControl
from .lane import NEVER, Lane
from .message import BatchEntry, BatchFuture, Chunk, Message, Route
from .reentrance import ENTRIES, reentered
from .scheduler import Scheduler
from .state import PENDING

_lines = LINES.get  # the name costs less than the attribute
_new = Message.__new__

#: Messages accepted within so many seconds of each other have the same time of acceptance, where no
#: order depends on it.
_MOMENT = 2e-4


#: A route, and how many entries in a row take it.
Way: TypeAlias = tuple[Route, int]
#: Entries of one route, and their sizes.
Slice: TypeAlias = tuple[Route, Sequence[Any], Sequence[int]]


class Entrance:
    """Where a message enters: the usual way, in which nothing is full and nobody wants to be told.

    Args:
        clock: seconds, never going back.
        flow: hands out permits.
        teller: of the hooks.
        scheduler: told what lingers no longer.
        admission: the way in of what cannot enter here.
        runtime: wakes the dispatcher.
        takes_chunks: whether entries that share their fate may do without a future each.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        flow: FlowControl,
        teller: Teller,
        scheduler: Scheduler,
        admission: Admission,
        runtime: Any,
        takes_chunks: bool,
    ) -> None:
        self._clock = clock
        self._flow = flow
        self._teller = teller
        self._scheduler = scheduler
        self._admission = admission
        self._runtime = runtime
        self._takes_chunks = takes_chunks
        self._moment = -NEVER  # the last time of acceptance

    def accept(self, route: Route, entry: Any, size: int) -> Message:
        """Accept one message.

        Returns its future, which has ended already if there was no room for it.

        Raises:
            PublisherClosed: after close().
            BufferFull: at the bound, with on_full="raise".
        """
        now = self._clock()
        # With a float of its own a message would weigh 24 bytes more.
        if now - (moment := self._moment) < _MOMENT and not route.keeps_order:
            now = moment
        else:
            self._moment = now
        # What Message.__init__ does: a call of the class costs twice as much where caches are cold.
        message = _new(Message)
        message._phase = PENDING
        message._value = None
        message._watch = None
        message.route = route
        message.entry = entry
        message.accepted = now
        message.history = ()
        # The usual way in: nothing is full, closed, or wants to be told. Under the GIL nothing
        # comes between the comparison and the extension of the inbox, for there is no call between
        # them: no lock, and no state in which a signal handler or Ctrl-C could leave a permit
        # without its message.
        flow = self._flow
        if not _lines() and flow.messages < flow.limit and flow.bytes + size <= flow.max_bytes:
            counters = route.counters
            flow.messages += 1
            flow.bytes += size
            counters.accepted += 1
            counters.accepted_bytes += size
            try:
                route.inbox.append(message)
                if len(route.inbox) >= route.wake_at:
                    self._admission.touch(route)
            except BaseException:  # Ctrl-C: somebody has to look at it all the same
                self._admission.touch(route)
                raise
        else:
            self._admission.accept(message, size)
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
        """Accept the entries of one call, holding the caller until all are in.

        Each is a message, or part of a :class:`Chunk`.

        Entries for which there is no room within delivery_timeout end with BufferFull.

        Args:
            ways: the routes of the entries, and how many in a row take each.
            entries: in the caller's order.
            sizes: their bytes.
            build: makes the response of the call when they have ended.
            whole: one request's entries at most are let in all together or not at all, as a single
                message would be.

        Raises:
            PublisherClosed: after close().
            BufferFull: as a single message does, at the bound with on_full="raise".
        """
        refused = is_line(closed=self._flow.closed)
        if (self._flow.closed and not refused) or sys.is_finalizing():
            raise refusal()
        batch = BatchFuture(build)
        batch.remaining = len(entries)
        if refused:
            for route, some, _ in slices(ways, entries, sizes):
                batch.chunks += [BatchEntry(route, entry, self._clock(), batch) for entry in some]
            for message, size in zip(batch.entries, sizes, strict=True):
                self._admission.turn_away(message, size, LOG_LINE)
            return batch
        first, parts = ways[0][0], slices(ways, entries, sizes)
        if (
            whole
            and len(entries) <= first.lane.limits.entries
            and self._flow.could_hold(total := sum(sizes), len(entries))
        ):
            self._accept_whole(batch, parts, total)
        else:
            left = self._admission.patience.until_late(first.delivery.timeout)
            self._accept_each(batch, parts, left)
        return batch

    def _accept_each(
        self, batch: BatchFuture, parts: Iterable[Slice], left: Callable[[], float]
    ) -> None:
        """The entries of a call, each as soon as there is room for it."""
        for route, some, made_sizes in parts:
            now = self._clock()  # it may have been held
            total = sum(made_sizes)
            if self._takes_chunks and _fills(route, made_sizes, total) and not self._teller.hooks:
                chunk = Chunk(route, some, total, now, batch)
                batch.chunks.append(chunk)  # first: it may end before this call goes on
                if self._enter(route, route.chunks, (chunk,), len(some), total):
                    continue
                if self._admission.accept_chunk(chunk, left):
                    continue
                batch.chunks.pop()
                now = self._clock()
            made = [BatchEntry(route, entry, now, batch) for entry in some]
            batch.chunks += made
            if not self._enter(route, route.inbox, made, len(made), total):
                for message, size in zip(made, made_sizes, strict=True):
                    self._accept_entry(message, size, left)

    def _accept_whole(self, batch: BatchFuture, parts: Iterable[Slice], total: int) -> None:
        """The entries of a call, ``total`` bytes together, all of them or none."""
        now = self._clock()
        together: list[Part] = []
        for route, some, made_sizes in parts:
            made = [BatchEntry(route, entry, now, batch) for entry in some]
            batch.chunks += made
            together.append((route, made, made_sizes))
        route, first, _ = together[0]
        if len(together) > 1 or not self._enter(route, route.inbox, first, len(first), total):
            self._admission.accept_together(together, total)

    def _accept_entry(self, message: Message, size: int, left: Callable[[], float]) -> None:
        """One entry where not all of them got in together."""
        if not self._enter(message.route, message.route.inbox, (message,), 1, size):
            self._admission.accept_entry(message, size, left)

    def hurry(self, lanes: list[Lane] | None = None) -> float:
        """What was accepted up to now lingers no longer: in these lanes, or in all; returns now."""
        now = self._clock()
        self._moment = -NEVER  # what comes from here on was accepted later
        self._scheduler.hurry(now, lanes)
        return now

    def hurry_one(self, message: Message) -> None:
        """Somebody waits for this message: its batch goes with what has come so far.

        That is at once while its destination has few requests in flight; otherwise a moment later,
        or with the next worker that is free, so that many who wait share their requests.
        """
        # A signal handler or a finaliser that waits: what it interrupted may hold the lock.
        if not reentered() and self._scheduler.hurry_one(message, self._clock()):
            self._runtime.wake()

    def _enter(
        self, route: Route, inbox: deque[Any], messages: Sequence[Message], count: int, size: int
    ) -> bool:
        """The usual way in, as accept() has it, for what has to go in together.

        False if something is unusual; then none of the messages, ``count`` of them and ``size``
        bytes together, is in.
        """
        flow = self._flow
        counters = route.lane.counters
        if flow.messages + count <= flow.limit and flow.bytes + size <= flow.max_bytes:
            flow.messages += count
            flow.bytes += size
            counters.accepted += count
            counters.accepted_bytes += size
            try:
                inbox.extend(messages)
                if max(count, len(route.inbox)) >= route.wake_at:
                    self._admission.touch(route)
            except BaseException:
                self._admission.touch(route)
                raise
            return True
        return False


def slices(ways: Sequence[Way], entries: Sequence[Any], sizes: Sequence[int]) -> Iterator[Slice]:
    """What goes one way, a request's entries at most: more would be long without a look around."""
    start = 0
    for route, count in ways:
        end, at_once = start + count, route.lane.limits.entries
        while start < end:
            stop = min(start + at_once, end)
            yield route, entries[start:stop], sizes[start:stop]
            start = stop


def _fills(route: Route, sizes: Sequence[int], total: int) -> bool:
    """Whether entries of these sizes fill a request by themselves."""
    limits = route.lane.limits
    if not 1 < limits.entries == len(sizes) or route.lane.keeps_order or total > limits.bytes:
        return False
    return total <= limits.together or max(sizes) <= limits.together


ENTRIES.update(
    call.__code__ for call in (Entrance.accept, Entrance.accept_batch, Entrance.hurry_one)
)
