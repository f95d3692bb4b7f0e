"""The way in where there is a store: admission, then the store, then the inbox.

Nobody is held at the bound of the memory: what finds it full is written down and stays, and so does
what another process is to send. Where the store is full, ``on_full`` says what becomes of it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from .._account.telling import Teller
from .._log_lines import LINES, is_line
from ..errors import SpoolFull
from .accept import Entrance, Way, slices
from .admission import Admission, Part
from .ends import answer_handed_over
from .flow import FlowControl, Ticket
from .kept_admission import KeptAdmission, Unit
from .message import BatchFuture, Message, Route
from .reentrance import ENTRIES
from .settle import Settler
from .state import FINISHED, PENDING
from .store import ReplayedMessage, Store, StoredEntry, StoredMessage

_lines = LINES.get  # the name costs less than the attribute
_new = StoredMessage.__new__
_HELD = Ticket(0)  # stands for a permit that was taken without one
_HELD.granted = True


class KeptEntrance:
    """Where messages enter that a store keeps.

    Args:
        store: keeps them.
        clock: seconds, never going back.
        flow: hands out permits.
        settler: ends what is not offered again.
        runtime: runs what a signal handler may not.
        teller: of the hooks.
        entrance: the way in of what no store keeps.
        admission: the way in of all that is unusual there.
        kept_admission: the way in of all that is unusual here.
    """

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], float],
        flow: FlowControl,
        settler: Settler,
        runtime: Any,
        teller: Teller,
        entrance: Entrance,
        admission: Admission,
        kept_admission: KeptAdmission,
    ) -> None:
        self._store = store
        self._usual = not store.only_overflow and not store.hands_over  # into memory, and to disk
        #: To disk alone, and nobody wants to be told of it.
        self._leaves = store.hands_over and not store.only_overflow and not teller.hooks
        self._clock = clock
        self._flow = flow
        self._settler = settler
        self._runtime = runtime
        self._entrance = entrance
        self._admission = admission
        self._kept_admission = kept_admission

    def accept(self, route: Route, entry: Any, size: int) -> Message:
        """Accept one message; as :meth:`Entrance.accept`, and what the store raises."""
        # No entry for itself: what goes on from here to one would be taken for a signal handler's.
        if route.delivery.spooled and route.lane.target.storable:
            return self._accept_kept(route, entry, size)
        return self._entrance.accept(route, entry, size)

    def _accept_kept(self, route: Route, entry: Any, size: int) -> Message:
        # What StoredMessage.__init__ does, as Entrance.accept() has it.
        message = _new(StoredMessage)
        message._phase = PENDING
        message._value = None
        message._watch = None
        message.route = route
        message.entry = entry
        message.accepted = self._clock()
        message.history = ()
        message.kept = None
        if self._leaves and self._hand_over(message, size):
            return message
        flow = self._flow
        if (
            not self._usual
            or _lines()
            or flow.messages >= flow.limit
            or flow.bytes + size > flow.max_bytes
        ):
            self._kept_admission.accept(message, size)
            return message
        # The usual way in, as Entrance.accept() has it: the permit, with no call before ``try``.
        ticket = _HELD  # until the permit is to be given back
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
            # Whatever is raised meanwhile: with a permit it goes in. Python 3.10 looks for signals
            # at each jump, so on the usual way there is none.
            if ticket.granted:
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
        if not ticket.granted:  # the store is full
            self._kept_admission.accept(message, size)
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
        return self._accept_batch_kept(ways, entries, sizes, build, whole=whole)

    def _accept_batch_kept(
        self,
        ways: Sequence[Way],
        entries: Sequence[Any],
        sizes: Sequence[int],
        build: Callable[[BatchFuture], Any],
        *,
        whole: bool,
    ) -> BatchFuture:
        batch = BatchFuture(build)
        batch.remaining = len(entries)
        parts: list[Part] = []
        for route, some, made_sizes in slices(ways, entries, sizes):
            made = [StoredEntry(route, entry, self._clock(), batch) for entry in some]
            batch.chunks += made
            parts.append((route, made, made_sizes))
        if (
            whole
            and len(entries) <= ways[0][0].lane.limits.entries
            and self._flow.could_hold(sum(sizes), len(entries))
        ):
            units = [Unit(parts)]
        else:
            units = [
                Unit([(route, [message], [size])])
                for route, made, made_sizes in parts
                for message, size in zip(made, made_sizes, strict=True)
            ]
        self._kept_admission.accept_units(units)
        return batch

    def replay(
        self, route: Route, entries: Sequence[Any], sizes: Sequence[int], kepts: Sequence[Any]
    ) -> bool:
        """Let in messages that stayed, all of them; False if there is no room for them now.

        Called on a thread of ours.
        """
        if not self._flow.take(sum(sizes), len(sizes), replayed=True):
            return False
        now, made = self._clock(), []
        for entry, kept in zip(entries, kepts, strict=True):
            message = ReplayedMessage(route, entry, now)
            message.kept = kept
            made.append(message)
        if route.keeps_order:
            for message in made:
                message.since = self._store.since(message.kept)
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

    def _hand_over(self, message: StoredMessage, size: int) -> bool:
        """Write one down that another process sends, and end it; False where that is not usual.

        It is what ``KeptAdmission`` does, for a message that nobody else knows of yet: no permit,
        no lock, and nobody to be told.
        """
        flow = self._flow
        if flow.limit < 0 or _lines() or sys.is_finalizing() or size > flow.max_bytes:
            return False
        try:
            if not self._store.keep(message):  # it goes on in memory alone
                self._kept_admission.accept(message, size, tried=True)
                return True
            value: Any = (answer_handed_over, {}, self._store.receipt(message.kept))
            counters = message.route.lane.counters
            # From here on no call, as in Entrance.accept(), and no jump out of ``try``, at which
            # Python 3.10 looks for signals: whatever is raised finds all or nothing.
            counters.accepted += 1
            counters.accepted_bytes += size
            counters.handed_over += 1
            counters.handed_bytes += size
            message.entry = None
            message._value = value
            message._phase = FINISHED
            return True
        except SpoolFull:
            return False
        except BaseException:
            if message._phase == PENDING:
                self._settle_unaccepted(message)
            raise

    def _settle_unaccepted(self, message: Message) -> None:
        """It may be on disk, and its caller has been told that it is not accepted."""
        if message.kept is not None:
            self._runtime.call([(self._store.settle, [message.kept])])


ENTRIES.update(
    call.__code__ for call in (KeptEntrance._accept_kept, KeptEntrance._accept_batch_kept)
)
