"""The way in, where there is a store, of what cannot simply enter and of the entries of one call.

The messages of a call are written down first, as far as nothing has to be waited for; then the disk
has them, once for all of them; then each goes into memory if it has a permit, or ends as one that
stays. Whoever has to wait, for space or for room, goes by itself, after those.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from .._account.telling import Teller
from .._log_lines import is_line
from ..errors import BufferFull, PublisherError, SpoolFull, SpoolUnavailable
from .admission import Admission, Part
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
from .message import Message
from .patience import Patience
from .reentrance import reentered
from .settle import Settler
from .state import RUNNING, is_live
from .store import Store
from .tracker import Tracker

_LOOK_AGAIN = 0.05  # seconds after which a caller who waits for space asks whether it may
_AT_ONCE = 1_000  # units of one call are written down before the first of them is sent


class Unit:
    """Messages of one call that come in together or not at all.

    Args:
        parts: they, by their routes; those that stand in their inbox are taken out.

    Attributes:
        ticket: their permits.
        accepted: whatever is raised from here on, they go their way.
        error: why the store did not take them.
        undone: what the store knew them by, and is to be settled.
    """

    __slots__ = ("accepted", "error", "messages", "parts", "sizes", "ticket", "undone")

    def __init__(self, parts: list[Part]) -> None:
        self.parts = parts
        self.messages = [message for _, made, _ in parts for message in made]
        self.sizes = [size for _, _, sizes in parts for size in sizes]
        self.ticket = Ticket(sum(self.sizes), len(self.messages))
        self.accepted = False
        self.error: PublisherError | None = None
        self.undone: set[Any] = set()

    @property
    def is_behind(self) -> bool:
        """Whether what stays in the store goes before any of them."""
        return any(one.route.lane.is_behind_with(one.entry) for one in self.messages)

    def __iter__(self) -> Iterator[tuple[Message, int]]:
        return zip(self.messages, self.sizes, strict=True)


class KeptAdmission:
    """Lets in what a store keeps; where there is no room, ``on_full`` says what becomes of it.

    Args:
        store: keeps the messages.
        on_full: of the options; what becomes of a message for which the store has no room. Dropping
            an older one gives no room back there, so it is the newest that is dropped.
        clock: seconds, never going back.
        flow: hands out permits.
        teller: of the hooks.
        tracker: knows what waits in a lane.
        settler: ends what does not go into memory.
        patience: how long a caller may be held.
        runtime: runs what a signal handler may not.
        admission: the way in of what no store keeps.
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
        admission: Admission,
    ) -> None:
        self._store = store
        self._on_full = on_full
        self._clock = clock
        self._flow = flow
        self._teller = teller
        self._tracker = tracker
        self._settler = settler
        self._patience = patience
        self._runtime = runtime
        self._admission = admission

    def accept(self, message: Message, size: int, *, tried: bool = False) -> None:
        """Let one message in, or end it; ``tried``: it could not be written down just now."""
        if sys.is_finalizing() or is_line(closed=self._flow.closed):
            self._admission.accept(message, size)
            return
        self._admission.check_size(size)
        self.accept_units([Unit([(message.route, [message], [size])])], tried=tried)

    def accept_units(self, units: Sequence[Unit], *, tried: bool = False) -> None:
        """Let in what one call has, or end it, in its order; ``tried``: as for :meth:`accept`.

        Raises:
            PublisherClosed: after close().
            BufferFull: nothing of the call has come in, and on_full="raise".
            SpoolUnavailable: nothing of it has come in, and the options say so.
        """
        left = deque(units)
        try:
            while left:
                some: list[Unit] = []
                while not tried and left and len(some) < _AT_ONCE:
                    if not self._write(left[0], later=True):
                        break
                    some.append(left.popleft())
                if self._store.commit([message for unit in some for message in unit.messages]):
                    for unit in some:
                        self._let_in(unit)
                else:
                    for unit in some:
                        self._undo(unit)
                    for unit in some:
                        self._take_in(unit, tried=False, first=unit is units[0])
                if left and len(some) < _AT_ONCE:
                    unit, tried = left.popleft(), False
                    self._take_in(unit, tried=True, first=unit is units[0])
        except BaseException:
            self._rescue(units)
            raise

    # -- details

    def _write(self, unit: Unit, *, later: bool) -> bool:
        """Get permits, if there are any, and have it written down, without waiting for either.

        Whether that is enough for it to come in. If not, ``unit.error`` has what the store says.

        Args:
            unit: what is to come in.
            later: the disk is to have it when all of the call is written down.
        """
        store, ticket, unit.error = self._store, unit.ticket, None
        if self._flow.closed:
            return False
        if store.only_overflow or not store.hands_over:
            if not ticket.granted:
                self._flow.take(ticket.size, ticket.count, ticket)
            if ticket.granted and store.only_overflow and not unit.is_behind:
                store.begin()
                return True
        try:
            if len(unit.messages) > 1:
                store.check_room(unit.messages)
            written = [store.keep(message, later=later) for message in unit.messages]
        except (SpoolFull, SpoolUnavailable) as error:
            unit.error = error
        else:
            if ticket.granted or all(written):
                return True
        self._unwrite(unit)
        return False

    def _take_in(self, unit: Unit, *, tried: bool, first: bool) -> None:
        """Let it in, held as ``on_full`` says, or end it.

        ``tried``: it could not be written down just now. ``first``: nothing has come in yet.
        """
        if self._wait(unit, tried):
            self._let_in(unit)
            return
        self._undo(unit)
        error = unit.error
        if first and error is None and self._flow.closed:
            raise refusal()
        raises = first and (self._on_full == "raise" or type(error) is SpoolUnavailable)
        if raises and error is not None:
            raise error
        for message, size in unit:
            if error is None:
                self._admission.turn_away(message, size)
            else:
                self._end(message, partial(self._end_full, message, error, size))

    def _wait(self, unit: Unit, tried: bool) -> bool:
        """Have it written down, or get permits for what goes on in memory alone; whether it is."""
        left, route = None, unit.messages[0].route
        while tried or not self._write(unit, later=False):
            tried = False
            if unit.error is None:
                if not self._flow.closed:
                    try:
                        self._admission.ask(unit.ticket, route)
                    except BufferFull as error:
                        unit.error = error
                return unit.ticket.granted
            if type(unit.error) is not SpoolFull or self._on_full != "block":
                return False
            if reentered() or not self._runtime.may_hold():
                return False
            left = left or self._patience.at_the_bound(route.delivery.timeout)
            if (seconds := left()) <= 0:
                return False
            if self._store.wait_for_space(min(seconds, _LOOK_AGAIN)):
                self._patience.note_answer()  # the disk moves, as a service may not
        return True

    def _let_in(self, unit: Unit) -> None:
        """Let in what has permits; what has none is written down, and ends."""
        unit.accepted = True
        for message, size in unit:
            if self._teller.watches:
                self._teller.accepted(message, size)
            message.accepted = self._clock()  # it may have been held, by hooks too
        if unit.ticket.granted:
            self._admission.place(unit.parts)
        else:
            for message, size in unit:
                self._end(message, partial(self._end_kept, message, size))

    def _rescue(self, units: Sequence[Unit]) -> None:
        """An exception goes through a call: what is accepted, or has permits, goes its way."""
        for unit in units:
            if not unit.ticket.granted and not unit.accepted:
                self._unwrite(unit)
            elif not unit.ticket.granted:
                ends = [(partial(self._end_kept, *pair), None) for pair in unit if is_live(pair[0])]
                self._runtime.call(ends)
            elif unit.parts:
                self._admission.place(unit.parts)

    def _undo(self, unit: Unit) -> None:
        """It has not come in: nothing of it is left."""
        self._unwrite(unit)
        if unit.ticket.granted:
            self._flow.give_back(unit.ticket)

    def _unwrite(self, unit: Unit) -> None:
        """It may be on disk, and is not to be sent from there. It may be called again."""
        for message in unit.messages:
            if message.kept is not None:
                unit.undone.add(message.kept)
                message.kept = None
        if unit.undone:
            self._runtime.call([(self._settle, unit.undone)])

    def _settle(self, undone: set[Any]) -> None:
        while undone:
            self._store.settle([undone.pop()])

    def _end(self, message: Message, end: Callable[[object], None]) -> None:
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
            value, reason = (build_staying, message, "the memory was full"), OVERFLOWED
            if message.route.lane.keeps_order and message.entry is not None:
                self._tracker.overflow(message, store.overflow)
            else:
                store.overflow(message)
        self._settler.settle([message], [value], SPOOLED, reason, permits=False, size=size)
        message.entry = None  # what goes through an ordered lane keeps it; this one did not
