"""The caller's half: a message gets its permit, is counted, and stands in the inbox of its lane."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from .._account.ledger import LOG_LINE
from .._account.telling import Teller
from .._log_lines import LINES, is_line
from .admission import Admission
from .ends import refusal
from .flow import FlowControl
from .lane import NEVER, Lane
from .message import BatchEntry, BatchFuture, Chunk, Message, Route
from .reentrance import ENTRIES, reentered
from .scheduler import Scheduler

_lines = LINES.get  # the name costs less than the attribute

#: Messages accepted within so many seconds of each other have the same time of acceptance, where no
#: order depends on it.
_MOMENT = 2e-4


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
        if now - (moment := self._moment) < _MOMENT and not route.lane.keeps_order:
            now = moment
        else:
            self._moment = now
        message = Message(route, entry, now)
        # The usual way in: nothing is full, closed, or wants to be told. Under the GIL nothing
        # comes between the comparison and the extension of the inbox, for there is no call between
        # them: no lock, and no state in which a signal handler or Ctrl-C could leave a permit
        # without its message.
        flow = self._flow
        if not _lines() and flow.messages < flow.limit and flow.bytes + size <= flow.max_bytes:
            counters = route.lane.counters
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
        route: Route,
        entries: Sequence[Any],
        sizes: Sequence[int],
        build: Callable[[BatchFuture], Any],
    ) -> BatchFuture:
        """Accept the entries of one call, holding the caller until all are in.

        Each is a message, or part of a :class:`Chunk`.

        Entries for which there is no room within delivery_timeout end with BufferFull.
        """
        refused = is_line(closed=self._flow.closed)
        if (self._flow.closed and not refused) or sys.is_finalizing():
            raise refusal()
        batch = BatchFuture(build)
        batch.remaining = len(entries)
        if refused:
            batch.chunks += [BatchEntry(route, entry, self._clock(), batch) for entry in entries]
            for message, size in zip(batch.entries, sizes, strict=True):
                self._admission.turn_away(message, size, LOG_LINE)
            return batch
        left = self._admission.patience.until_late(route.delivery.timeout)
        limits = route.lane.limits
        at_once = limits.entries  # more would be long without a look at flow control
        chunks = self._takes_chunks and at_once > 1
        chunks = chunks and not (route.lane.keeps_order or self._teller.hooks)
        for start in range(0, len(entries), at_once):
            now = self._clock()  # it may have been held
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
                if self._admission.accept_chunk(chunk, left):
                    continue
                batch.chunks.pop()
                now = self._clock()
            made = [BatchEntry(route, entry, now, batch) for entry in some]
            batch.chunks += made
            if not self._enter(route, route.inbox, made, len(made), total):
                for message, size in zip(made, made_sizes, strict=True):
                    self._accept_entry(message, size, left)
        return batch

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


ENTRIES.update(
    call.__code__ for call in (Entrance.accept, Entrance.accept_batch, Entrance.hurry_one)
)
