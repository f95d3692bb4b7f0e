"""Flow control: how many messages and bytes are accepted and not yet resolved.

A permit is taken here, or by the usual way in of :mod:`.accept`, and given back in the one step
in which messages end (:mod:`.commit`); :meth:`FlowControl.admit` then hands it on to the first
caller that waits, if there is one. Nothing else touches the counters.

The usual way is a comparison and two additions with no call between them, so that under the GIL
nothing can come between: no lock, nothing for a signal handler to be caught in. Whatever is unusual
(full, closed, somebody waiting already, no GIL) lowers ``limit`` and so sends every caller through
the lock.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable

#: A build without a GIL takes the lock every time.
HAS_GIL: bool = getattr(sys, "_is_gil_enabled", lambda: True)()


class Ticket:
    """One caller that wants room for ``count`` messages of ``size`` bytes together.

    ``granted`` is set in one go with the permits. A caller that an exception hits (Ctrl-C) finds
    here whether it has them, where the result of a call would be lost. ``gone`` says that this
    caller waits no longer: from then on nobody gives it any.

    Args:
        size: bytes.
        count: messages.
        yields: whoever wants room for fewer may go first. Without it nobody may, or whoever wants
            room for several would wait as long as others come.
    """

    __slots__ = ("count", "gate", "gone", "granted", "size", "yields")

    def __init__(self, size: int, count: int = 1, *, yields: bool = False) -> None:
        self.size = size
        self.count = count
        self.yields = yields
        self.granted = False
        self.gone = False
        self.gate: threading.Lock | None = None  # where it waits


_NOBODYS = Ticket(0)


class FlowControl:
    """Counts what is in flight and holds callers at the bound.

    Args:
        max_messages: bound on messages, at least 1.
        max_bytes: bound on bytes; a message alone larger than this never fits and is refused by the
            client.
        always_lock: send every caller through the lock (a hook wants to run at acceptance).
    """

    __slots__ = (
        "_always_lock",
        "_closed",
        "_queue",
        "bytes",
        "limit",
        "lock",
        "max_bytes",
        "max_messages",
        "messages",
        "shut",
    )

    def __init__(self, max_messages: int, max_bytes: int, *, always_lock: bool = False) -> None:
        self.max_messages = max_messages
        self.max_bytes = max_bytes
        self.messages = 0
        self.bytes = 0
        self._always_lock = always_lock or not HAS_GIL
        self._closed = False
        self.shut = False  # what stayed in a store does not come in any more either
        self._queue: deque[Ticket] = deque()
        # Guards _queue, _closed and limit, and every change of the counters but that of the usual
        # way in. Re-entrant: a signal handler that publishes may find it held by the thread it
        # interrupted.
        self.lock = threading.RLock()
        #: The usual way in is open while ``messages`` is below this; -1 sends everybody through
        #: it.
        self.limit = -1 if self._always_lock else max_messages

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def waiting(self) -> int:
        """How many callers wait for room."""
        return len(self._queue)

    def full_text(self) -> str:
        """That there is no room, for people."""
        return (
            f"{self.messages:,} messages and {self.bytes:,} bytes are waiting; the bounds are"
            f" {self.bounds_text()}"
        )

    def bounds_text(self) -> str:
        """The bounds, for people."""
        return f"max_messages={self.max_messages:,} and max_bytes={self.max_bytes:,}"

    def could_hold(self, size: int, count: int) -> bool:
        """Whether there is room for so much together when nothing else is in."""
        return count <= self.max_messages and size <= self.max_bytes

    def take(
        self, size: int, count: int = 1, ticket: Ticket = _NOBODYS, *, replayed: bool = False
    ) -> bool:
        """Take the permits of ``count`` messages of ``size`` bytes together, without waiting.

        False if there is no room or no entry. ``replayed``: they stayed in a store.
        """
        if self.messages + count <= self.limit and self.bytes + size <= self.max_bytes:
            self.messages += count
            self.bytes += size
            ticket.granted = True
            return True
        with self.lock:
            # Again no call in between the comparisons of the counters and their change: others may
            # be on the unlocked way meanwhile.
            if (
                not (self.shut if replayed else self._closed)
                and not any(
                    (not one.yields or one.count <= count) and not one.gone for one in self._queue
                )
                and self.messages + count <= self.max_messages
                and self.bytes + size <= self.max_bytes
            ):
                self.messages += count
                self.bytes += size
                ticket.granted = True
                return True
            return False

    def wait(self, ticket: Ticket, left: Callable[[], float]) -> bool:
        """Take the permits, waiting behind whoever came first.

        Whatever is raised meanwhile, the caller looks at ``ticket.granted``.

        Args:
            ticket: what there is to be room for.
            left: how many seconds this may still take; asked again when they have passed.
        """
        gate = ticket.gate = threading.Lock()
        gate.acquire()
        try:
            with self.lock:
                if self._closed:
                    return False
                if self.take(ticket.size, ticket.count, ticket):
                    return True
                self._queue.append(ticket)
                self._set_limit_locked()
            while (seconds := left()) > 0:
                if gate.acquire(timeout=min(seconds, threading.TIMEOUT_MAX)):
                    break
        finally:
            ticket.gone = True  # first, and no call: Ctrl-C may hit the next one
            self._leave(ticket)
        return ticket.granted

    def take_by_force(self, ticket: Ticket, make_room: Callable[[], bool]) -> bool:
        """Take the permit ahead of everybody who waits, calling ``make_room`` until it is there.

        ``make_room`` ends another message; it returns False where there is none to end.
        """
        try:
            with self.lock:
                if self._closed:
                    return False
                self._queue.appendleft(ticket)
                self._admit_locked()
            while not (ticket.granted or self._closed) and make_room():
                pass
        finally:
            ticket.gone = True  # first, and no call: Ctrl-C may hit the next one
            self._leave(ticket)
        return ticket.granted

    def give_back(self, ticket: Ticket) -> None:
        """Return the permits of what is not accepted after all."""
        with self.lock:
            # No call in between, for Ctrl-C.
            ticket.granted = False
            self.messages -= ticket.count
            self.bytes -= ticket.size
            self._admit_locked()

    def admit(self) -> None:
        """Permits came back: let in who waits, as far as there is room. Once more does no harm."""
        if self.limit < 0:
            with self.lock:
                self._admit_locked()

    def take_note_of_each(self) -> None:
        """From here on each message comes the slow way, full or not."""
        with self.lock:
            self._always_lock = True
            self._set_limit_locked()

    def close(self, *, replays: bool = False) -> None:
        """Let nobody in from here on; whoever waits for room is sent away.

        ``replays``: what stayed in a store comes in still, until it is called again.
        """
        with self.lock:
            self._closed = True
            self.shut = self.shut or not replays
            self._set_limit_locked()
            while self._queue:
                _open(self._queue[0])
                self._queue.popleft()

    def _leave(self, ticket: Ticket) -> None:
        with self.lock:
            if ticket in self._queue:
                self._queue.remove(ticket)
                self._admit_locked()  # it may have been a large one, before others that do fit

    def _admit_locked(self) -> None:
        """Let in who waits, first come first served, as far as there is room."""
        for ticket in list(self._queue):
            count, size = ticket.count, ticket.size
            # Ctrl-C hit somebody just then: who gave it the permits, or who waited for them.
            if ticket.granted or ticket.gone:
                _open(ticket)
                self._queue.remove(ticket)
            elif self.messages + count <= self.max_messages and self.bytes + size <= self.max_bytes:
                self.messages += count
                self.bytes += size
                ticket.granted = True
                _open(ticket)
                self._queue.remove(ticket)
            elif not ticket.yields:
                break
        self._set_limit_locked()

    def _set_limit_locked(self) -> None:
        busy = self._always_lock or self._closed or self._queue
        self.limit = -1 if busy else self.max_messages


def _open(ticket: Ticket) -> None:
    """Wake who waits; the caller holds the lock."""
    if ticket.gate is not None and ticket.gate.locked():
        ticket.gate.release()
