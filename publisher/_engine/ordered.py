"""The lane of a FIFO topic: order is kept within a message group. Pure.

At most one entry of a group is on the wire until its request has really come back: two in one
batch, the first refused and the second accepted, would be a reordering. Groups do not wait for each
other. What expired, was dropped, cancelled or refused leaves a gap, never a reordering.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

from .._account.ledger import Counters
from .contract import Limits
from .groups import Groups, unsent
from .lane import NEVER, Lane
from .message import Message, Owner
from .resend import Pieces, oldest_live
from .split import Remainder, Split
from .state import LOCK, PENDING, RUNNING, is_live
from .staying import Staying


class OrderedLane(Lane):
    """A lane that keeps the order within each group; see :class:`Lane`.

    ``group_of`` gives an entry's group.
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
        self._groups = Groups()
        self._pieces = Pieces()
        self.staying: Staying = Staying(self._groups, group_of, self._admit)

    def is_idle(self) -> bool:
        waits = self._groups or self._pieces.queue or self.staying.fresh or self.staying.later
        return not (self.in_flight or waits or any(route.inbox for route in self.routes))

    def is_empty(self) -> bool:
        self._admit()
        waits = self._pieces.queue or self.staying.fresh or self.staying.later
        return not waits and not any(group.queue for group in self._groups)

    def capacity(self) -> float:
        # With many groups each request carries few entries of each: more requests than this would
        # be near-empty ones.
        return min(super().capacity(), max(1, math.ceil(len(self._groups) / self.limits.entries)))

    def due(self, now: float) -> float:
        if self._pieces.queue and self._pieces.may_go():
            return now
        self._admit()
        groups = self._groups
        due = groups.release(now)
        if len(groups.runnable) > self.limits.entries:
            return now
        for group in list(groups.runnable):
            head = groups.head(group)
            if head is None:
                groups.runnable.remove(group)
                groups.forget(group)
                continue
            if id(head) in groups.resent or head.accepted <= self.flush_until:
                return now
            due = min(due, head.accepted + head.route.delivery.linger)
        return due

    def next_deadline(self) -> float:
        if self.staying.fresh:
            return -NEVER  # they are taken out at the next look
        deadline = min(self._groups.resent_deadline, self._pieces.deadline)
        return min([deadline, *(queue[0].deadline for queue in unsent(self.routes))])

    def take(self, now: float) -> tuple[list[Message], Split | None]:
        if self._pieces.queue and (piece := self._pieces.take(self._let_go)) is not None:
            return piece
        self._admit()
        groups = self._groups
        groups.release(now)
        batch: list[Message] = []
        room = self.limits.bytes
        with LOCK.rlock:
            while groups.runnable and len(batch) < self.limits.entries:
                group = groups.runnable[0]
                message = groups.head(group)
                if message is not None:
                    room -= self.measure(message.entry)
                    if batch and (room < 0 or message.goes_alone or batch[0].goes_alone):
                        break
                    group.queue.popleft()
                    group.busy = True
                    group.due = -NEVER
                    groups.resent.pop(id(message), None)
                    message._phase = RUNNING
                    batch.append(message)
                groups.runnable.popleft()
                if message is None:
                    groups.forget(group)
        return batch, None

    def take_back(self, groups: list[str] | None, remainder: Remainder) -> None:
        assert groups is not None
        self.staying.note(remainder.stays)
        self._pieces.push(remainder)
        for message, due in remainder.retries:
            if is_live(message):
                self._groups.put_back(self._group_of(message.entry), message, due)
        # The groups of its pieces stay busy: their entries are on their way still.
        busy = {self._group_of(message.entry) for piece in remainder.pieces for message in piece}
        self._groups.free([key for key in groups if key not in busy])

    def groups_of(self, messages: list[Message]) -> list[str] | None:
        return [self._group_of(message.entry) for message in messages]

    def expire(self, now: float) -> list[Message]:
        expired = []
        self._admit()
        with LOCK.rlock:
            for route in self.routes:
                backlog = route.backlog
                while backlog and (backlog[0]._phase != PENDING or backlog[0].deadline <= now):
                    message = backlog.popleft()
                    if message._phase == PENDING:
                        message._phase = RUNNING  # claimed: nobody sends it from here on
                        expired.append(message)
            expired += self._groups.expire_resent(now)
            if now >= self._pieces.deadline:
                late = self._pieces.expire(now)
                self._let_go(late)
                expired += late
            expired = [message for message in expired if is_live(message)]
            self.staying.note(message for message in expired if message.kept is not None)
            return expired + self.staying.taken_out_locked()

    def evict_oldest(self, taken: dict[Message, None]) -> Message | None:
        with LOCK.rlock:
            oldest = min(unsent(self.routes), key=lambda queue: queue[0].accepted, default=None)
            if oldest is None:
                return None
            message = oldest[0]
            if message.kept is not None:
                self.staying.evicted.append(message)
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
        self._groups.clear()
        self._pieces.clear()
        self.staying.clear()
        return left

    def waiting(self) -> Iterator[Message]:
        for route in self.routes:
            yield from list(route.inbox)
        for group in self._groups:
            yield from filter(self._groups.waits, group.queue)
        yield from self._pieces
        yield from filter(is_live, self.staying.messages())

    def oldest(self) -> float:
        others = itertools.chain(
            self._groups.resent.values(), self._pieces, self.staying.messages()
        )
        return min(self.oldest_unsent(), oldest_live(others))

    def oldest_unsent(self) -> float:
        return min((queue[0].accepted for queue in unsent(self.routes)), default=NEVER)

    # -- details

    def _admit(self) -> None:
        """Move what callers appended to the groups, in the order of acceptance."""
        self.staying.note_evicted()
        while (inbox := self._oldest_inbox()) is not None:
            message = inbox.popleft()
            if message._phase != PENDING:
                continue
            key = self._group_of(message.entry)
            if self.staying.keeps_out(key, message):
                continue
            message.route.backlog.append(message)
            if not self.staying.holds_back(key, message):
                self.staying.let_before(key, message)
                self._groups.join(key, message)

    def _let_go(self, messages: list[Message]) -> None:
        """Messages of a piece will not be sent again, whoever ended them."""
        self._groups.free([self._group_of(message.entry) for message in messages])
