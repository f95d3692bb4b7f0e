"""The lane of a FIFO topic: order is kept within a message group. Pure.

At most one entry of a group is on the wire until its request has really come back: two in one
batch, the first refused and the second accepted, would be a reordering. Groups do not wait for each
other. What expired, was dropped, cancelled or refused leaves a gap, never a reordering.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from .._account.ledger import Counters
from .contract import Limits
from .groups import Group, Held, take_kept, unsent
from .lane import NEVER, Lane
from .message import Message, Owner
from .resend import Pieces, oldest_live
from .split import Remainder, Split
from .state import LOCK, PENDING, RUNNING, is_live
from .staying import Staying


class OrderedLane(Lane):
    """A lane that keeps the order within each group; see :class:`Lane`.

    ``group_of`` gives an entry's group. A group stands in ``_runnable``, in ``_held`` while its
    head backs off, or is busy.
    """

    def __init__(
        self,
        limits: Limits,
        measure: Callable[[Any], int],
        counters: Counters,
        core: Owner,
        target: Any,
        group_of: Callable[[Any], str],
    ) -> None:
        super().__init__(limits, measure, counters, core, target)
        self.keeps_order = True
        self.keeps_entries = True  # they say which group a late answer frees
        self._group_of = group_of
        self._groups: dict[str, Group] = {}
        self._runnable: deque[Group] = deque()
        self._held = Held()
        #: Heads that were sent before and wait to be sent again, by identity.
        self._resent: dict[int, Message] = {}
        self._resent_deadline = NEVER  # none of these heads expires before this
        self._pieces = Pieces()
        self.staying: Staying = Staying()

    def is_idle(self) -> bool:
        return self.is_clear() and not self.staying.later

    def is_clear(self) -> bool:
        waits = self._groups or self._pieces.queue or self.staying.fresh
        return not (self.in_flight or waits or any(route.inbox for route in self.routes))

    def is_empty(self) -> bool:
        self._admit()
        waits = self._pieces.queue or self.staying.fresh or self.staying.later
        return not waits and not any(group.queue for group in self._groups.values())

    def capacity(self) -> float:
        # With many groups each request carries few entries of each: more requests than this would
        # be near-empty ones.
        return min(super().capacity(), max(1, math.ceil(len(self._groups) / self.limits.entries)))

    def due(self, now: float) -> float:
        if self.staying.halted:
            return NEVER
        if self._pieces.queue and self._pieces.may_go():
            return now
        self._admit()
        self._runnable.extend(self._held.release(now))
        if len(self._runnable) > self.limits.entries:
            return now
        due = self._held.due
        for group in list(self._runnable):
            head = self._head(group)
            if head is None:
                self._runnable.remove(group)
                del self._groups[group.key]
                continue
            if id(head) in self._resent or head.accepted <= self.flush_until:
                return now
            due = min(due, head.accepted + head.route.delivery.linger)
        return due

    def next_deadline(self) -> float:
        if self.staying.fresh:
            return -NEVER  # they are taken out at the next look
        deadline = min(self._resent_deadline, self._pieces.deadline)
        return min([deadline, *(queue[0].deadline for queue in unsent(self.routes))])

    def take(self, now: float) -> tuple[list[Message], Split | None]:
        if self.staying.halted:
            return [], None
        if self._pieces.queue and (piece := self._pieces.take(self._let_go)) is not None:
            return piece
        self._admit()
        self._runnable.extend(self._held.release(now))
        batch: list[Message] = []
        room = self.limits.bytes
        with LOCK.rlock:
            while self._runnable and len(batch) < self.limits.entries:
                group = self._runnable[0]
                message = self._head(group)
                if message is not None:
                    room -= self.measure(message.entry)
                    if batch and (room < 0 or message.goes_alone or batch[0].goes_alone):
                        break
                    group.queue.popleft()
                    group.busy = True
                    group.due = -NEVER
                    self._resent.pop(id(message), None)
                    message._phase = RUNNING
                    batch.append(message)
                self._runnable.popleft()
                if message is None:
                    del self._groups[group.key]
        return batch, None

    def take_back(self, groups: list[str] | None, remainder: Remainder) -> None:
        assert groups is not None
        if remainder.stays:
            self.staying.halt()
        self._pieces.push(remainder)
        for message, due in remainder.retries:
            if not is_live(message):
                continue
            group = self._groups[self._group_of(message.entry)]
            group.queue.appendleft(message)
            group.due = due
            self._resent[id(message)] = message
            self._resent_deadline = min(self._resent_deadline, message.deadline)
        # The groups of its pieces stay busy: their entries are on their way still.
        busy = {self._group_of(message.entry) for piece in remainder.pieces for message in piece}
        self._free([key for key in groups if key not in busy])

    def groups_of(self, messages: list[Message]) -> list[str] | None:
        return [self._group_of(message.entry) for message in messages]

    def _free(self, keys: list[str]) -> None:
        """No entry of these groups is on the wire any more: the next one may go when it is due."""
        for key in keys:
            group = self._groups[key]
            group.busy = False
            if not group.queue:
                del self._groups[key]
            elif group.due > -NEVER:
                self._held.push(group)
            else:
                self._runnable.append(group)

    def expire(self, now: float) -> list[Message]:
        expired = []
        self._admit()
        with LOCK.rlock:
            for route in self.routes:
                backlog = route.backlog
                while backlog and (backlog[0]._phase != PENDING or backlog[0].deadline <= now):
                    message = backlog.popleft()
                    if message._phase == PENDING:
                        message._phase = RUNNING  # claimed: _head() passes over it from here on
                        expired.append(message)
            if now >= self._resent_deadline:
                for message in [m for m in self._resent.values() if m.deadline <= now]:
                    del self._resent[id(message)]
                    expired.append(message)
                left = (message.deadline for message in self._resent.values())
                self._resent_deadline = min(left, default=NEVER)
            if now >= self._pieces.deadline:
                late = self._pieces.expire(now)
                self._let_go(late)
                expired += late
            expired = [message for message in expired if is_live(message)]
            if any(message.kept is not None for message in expired):
                self.staying.halt()
            return expired + self._stay_locked()

    def _stay_locked(self) -> list[Message]:
        """What stays in the store along with others, taken out; the caller holds ``LOCK``."""
        found: list[Message] = []
        if self.staying.halted:
            if all(message.kept is not None for message in self._pieces):
                found = [*filter(is_live, pieces := self._pieces.expire(NEVER))]
                self._let_go(pieces)
            found += take_kept(self._groups, self._resent, self.staying.later)
            self._runnable = deque(group for group in self._runnable if group.queue)
            self._held.forget_empty()
        fresh, self.staying.fresh = self.staying.fresh, []
        found += [message for message in fresh if message._phase == PENDING]
        for message in found:
            message._phase = RUNNING  # claimed, as in expire()
        return found

    def evict_oldest(self, taken: dict[Message, None]) -> Message | None:
        with LOCK.rlock:
            oldest = min(unsent(self.routes), key=lambda queue: queue[0].accepted, default=None)
            if oldest is None:
                return None
            message = oldest[0]
            # No call in between, for Ctrl-C.
            taken[message] = None
            message._phase = RUNNING  # claimed, as in expire()
            oldest.popleft()
            return message

    def drain(self) -> list[Message]:
        self._admit()
        left = [message for message in self.waiting() if is_live(message)]
        for route in self.routes:
            route.backlog.clear()
            route.wake_at = 1  # who has a permit and no message here yet is to look after it
        for group in list(self._groups.values()):
            group.queue.clear()
            if not group.busy:
                del self._groups[group.key]
        self._runnable.clear()
        self._held.clear()
        self._pieces.clear()
        self.staying.clear()
        self._resent.clear()
        self._resent_deadline = NEVER
        return left

    def waiting(self) -> Iterator[Message]:
        for route in self.routes:
            yield from list(route.inbox)
        for group in self._groups.values():
            for message in group.queue:
                if message._phase == PENDING or id(message) in self._resent:
                    yield message
        yield from self._pieces
        yield from (m for m in (*self.staying.fresh, *self.staying.later) if is_live(m))

    def oldest(self) -> float:
        others = itertools.chain(self._resent.values(), self._pieces, self.staying.fresh)
        return min(self.oldest_unsent(), oldest_live(others))

    def oldest_unsent(self) -> float:
        return min((queue[0].accepted for queue in unsent(self.routes)), default=NEVER)

    # -- details

    def _admit(self) -> None:
        """Move what callers appended to the groups, in the order of acceptance."""
        staying = self.staying
        while (inbox := self._oldest_inbox()) is not None:
            message = inbox.popleft()
            if message._phase != PENDING:
                continue
            if staying.keeps_out(message):
                staying.fresh.append(message)
                continue
            message.route.backlog.append(message)
            if staying.holds_back(message):
                staying.later.append(message)
                continue
            if not message.replayed:  # those go first
                self._join_later()
            self._join(message)
        self._join_later()

    def _join_later(self) -> None:
        while self.staying.later and not self.staying.behind:
            self._join(self.staying.later.popleft())

    def _join(self, message: Message) -> None:
        """Have a message stand behind those of its group."""
        key = self._group_of(message.entry)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(key)
            self._runnable.append(group)
        group.queue.append(message)

    def _head(self, group: Group) -> Message | None:
        """The group's next message to send; what has ended or was taken out is passed over."""
        while group.queue:
            head = group.queue[0]
            if head._phase == PENDING or (head._phase == RUNNING and id(head) in self._resent):
                return head
            gone = group.queue.popleft()
            if not is_live(gone):  # expired or evicted a moment ago, it needs its entry to be ended
                gone.entry = None
        return None

    def _let_go(self, messages: list[Message]) -> None:
        """Messages of a piece will not be sent again, whoever ended them."""
        self._free([self._group_of(message.entry) for message in messages])
