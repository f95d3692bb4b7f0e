"""The end of a message: one function resolves, whatever the cause."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any

from .._account.ledger import LOG_LINE, Account
from .._account.losses import Losses, code_of
from .._account.telling import Teller
from .barrier import Barrier
from .commit import Ended
from .ends import (
    DELIVERED,
    DROPPED,
    FAILED,
    HANDED_OVER,
    OVERFLOWED,
    SPOOLED,
    WITHDRAWN,
    build_full,
    build_staying,
    closed,
    closed_in_flight,
)
from .flow import FlowControl
from .message import Chunk, Holder, Message
from .reentrance import ENTRIES, entered
from .state import CANCELLED, FINISHED, LOCK, PENDING, RUNNING
from .store import Store
from .tracker import Tracker

_HOOK_OF = {
    DELIVERED: "on_delivered",
    FAILED: "on_failed",
    DROPPED: "on_dropped",
    SPOOLED: "on_spooled",
}


class Settler:
    """Sees each message to its one end.

    Args:
        clock: seconds, never going back.
        flow: where permits go back.
        account: where ends are counted.
        teller: of the hooks.
        losses: the log lines about what is lost.
        tracker: told of what has ended.
        barrier: who waits for ends.
        runtime: runs callbacks and hooks, and wakes the dispatcher.
        store: learns what became of what it keeps; None without one.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        flow: FlowControl,
        account: Account,
        teller: Teller,
        losses: Losses,
        tracker: Tracker,
        barrier: Barrier,
        runtime: Any,
        store: Store | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._flow = flow
        self._account = account
        self._teller = teller
        self._losses = losses
        self._tracker = tracker
        self._barrier = barrier
        self._runtime = runtime
        #: What callers ended and leave to the dispatcher to tell; appended to under ``LOCK``.
        self._untold: deque[Ended] = deque()
        self.stopped = False  # nothing is sent any more

    def settle(
        self,
        messages: Sequence[Message],
        values: Sequence[Any],
        end: str,
        reason: str | None = None,
        *,
        permits: bool = True,
        size: int | None = None,
    ) -> int:
        """End messages of one lane, whatever the cause.

        Those that have ended already are left alone.

        Returns flow control's permits, counts, sets the futures, hands callbacks and hooks to their
        thread: exactly once each. An exception that a signal handler raises in a caller meanwhile
        finds all of it done, or will have been, or nothing.

        Args:
            messages: of one lane.
            values: what each future keeps.
            end: DELIVERED, FAILED, DROPPED, SPOOLED or WITHDRAWN (which ends only what was never
                handed to a worker).
            reason: why it was dropped, or HANDED_OVER, or OVERFLOWED.
            permits: False for messages that never got one, and are accepted only to be dropped.
            size: of the messages together, where it is known.

        Returns:
            how many were ended by this call.
        """
        if not messages:
            return 0
        safe = self._runtime.is_safe()
        with LOCK.rlock:
            if Chunk in set(map(type, messages)):
                messages, values = _taken_apart_locked(messages, values, end)
            phases = (PENDING,) if end == WITHDRAWN else (RUNNING, PENDING)
            live = [message for message in messages if message._phase in phases]
            if not live:
                return 0
            if len(live) < len(messages):
                size, kept = None, set(map(id, live))
                pairs = zip(messages, values, strict=True)
                values = [value for message, value in pairs if id(message) in kept]
            if size is None:
                measure = messages[0].route.lane.measure
                size = sum([measure(message.entry) for message in live])
            phase = CANCELLED if end == WITHDRAWN else FINISHED
            failed = end in (FAILED, DROPPED, SPOOLED) and reason != HANDED_OVER
            ended = Ended(live, phase, values, failed=failed)
            # Who hands a message over has its future not yet, and the dispatcher may never run.
            is_silent = reason == HANDED_OVER and not self._teller.wants(_HOOK_OF[end])
            if not safe and not is_silent:  # first: somebody has to tell it, whatever happens here
                self._untold.append(ended)
            self._commit(ended, end, reason, permits, size)
        if safe:
            self._tell(ended)
        elif not is_silent:
            self._flow.admit()
            self._runtime.wake_if_started()
            if self._runtime.is_safe():  # the dispatcher has just ended
                self.finish_for_callers()
        return ended.count

    def _commit(self, ended: Ended, end: str, reason: str | None, permits: bool, size: int) -> None:
        counters, now, count = ended.live[0].route.lane.counters, self._clock(), ended.count
        ended.tell = (self._told(ended, end, reason), end, reason, now)
        accepted = [message.accepted for message in ended.live]

        def count_locked() -> dict[str, Any]:
            if end == DROPPED:
                why = reason or "closed"
                counts: dict[str, Any] = {
                    "dropped": {**counters.dropped, why: counters.dropped.get(why, 0) + count}
                }
            else:
                counts = {end: getattr(counters, end) + count}
            counts["latency"], counts["latency_sum"] = counters.with_latency(now, accepted, count)
            return counts

        ended.commit(self._flow, self._account, counters, size, count_locked, permits=permits)

    def _told(self, ended: Ended, end: str, reason: str | None) -> list[tuple[Message, Any, int]]:
        """Each with its entry and size, where a hook wants to know.

        Hooks are not told of a log line that was dropped: what they write of it would make others.
        """
        lane = ended.live[0].route.lane
        if reason == LOG_LINE or not lane.counters.of_messages:
            return []
        if not self._teller.wants(_HOOK_OF.get(end)):
            return []
        measure = lane.measure
        return [(message, message.entry, measure(message.entry)) for message in ended.live]

    def _tell(self, ended: Ended) -> None:
        """Messages have ended: tell whoever waits for that. Not for a thread of a caller."""
        self._flow.admit()
        self._tell_ended(ended, *ended.tell)
        self._barrier.answer()

    def _tell_ended(
        self,
        ended: Ended,
        told: list[tuple[Message, Any, int]],
        end: str,
        reason: str | None,
        now: float,
    ) -> None:
        lane = ended.live[0].route.lane
        if self._store is not None and reason not in (HANDED_OVER, OVERFLOWED):
            self._tell_store(self._store, ended.live, end)
        calls: list[tuple[Callable[..., Any], Any]] = list(ended.tell_watchers())
        named = lane.counters.named
        codes = [named(code_of(value)) for value in ended.values] if end == FAILED else []
        if told:
            calls += self._teller.ended(_HOOK_OF.get(end), told, codes, reason, now)
        if lane.counters.of_messages and end not in (WITHDRAWN, SPOOLED) and reason != LOG_LINE:
            delivered = ended.count if end == DELIVERED else 0
            with self._account.lock:
                self._account.recent.note(now, delivered, ended.count - delivered)
        if end in (FAILED, DROPPED):
            counts = Counter(codes) if codes else {reason or "closed": ended.count}
            if codes:
                with self._account.lock:
                    lane.counters.note_failed(counts)
            calls.append((self._losses.note, (lane.target, lane.counters, end, counts)))
        if end == SPOOLED and reason != HANDED_OVER:
            counts = Counter(named(code_of(value)) for value in ended.values)
            calls.append((self._losses.note, (lane.target, lane.counters, end, counts)))
        if calls:
            self._runtime.call(calls)

    @staticmethod
    def _tell_store(store: Store, ended: Sequence[Message], end: str) -> None:
        kept = [message.kept for message in ended if message.kept is not None]
        if kept:
            (store.stay if end == SPOOLED else store.settle)(kept)

    @property
    def has_untold(self) -> bool:
        """Whether callers have left something to the dispatcher."""
        return bool(self._untold)

    def finish_for_callers(self) -> None:
        """The dispatcher's: what callers ended and did not tell, or were kept from ending."""
        while self._untold:
            with LOCK.rlock:  # whoever is at it now is through then
                ended = self._untold.popleft() if self._untold else None
            if ended is not None and ended.done:
                self._tell(ended)
        if left := self._tracker.left_by_callers():
            if self.stopped:
                self.abandon()
            else:
                self.settle_each(left, self.dropped)
                self._tracker.settled(left)

    def dropped(self, message: Message) -> tuple[Any, str, str | None]:
        """What :meth:`settle_each` makes of a message that has to give way to others."""
        if message.kept is not None:
            return (build_staying, message, "the memory was full"), SPOOLED, None
        return (build_full, self._flow.full_text(), None), DROPPED, "buffer_full"

    def settle_each(
        self, messages: Sequence[Message], build: Callable[[Message], tuple[Any, str, str | None]]
    ) -> int:
        """End messages of any lanes; ``build`` gives each one's value, end and reason."""
        grouped: dict[tuple[Holder, str, str | None], tuple[list[Message], list[Any]]] = {}
        for message in messages:
            value, end, reason = build(message)
            group = grouped.setdefault((message.route.lane, end, reason), ([], []))
            group[0].append(message)
            group[1].append(value)
        return sum(
            self.settle(ended, values, end, reason)
            for (_, end, reason), (ended, values) in grouped.items()
        )

    def withdraw(self, message: Message) -> bool:
        """What ``future.cancel()`` does."""
        if entered():
            # A signal handler or finaliser: it interrupted an end, perhaps this one, or what holds
            # something that another thread waits for under LOCK.
            return False
        return bool(self.settle([message], [None], WITHDRAWN))

    def abandon(self) -> int:
        """End everything that is unresolved, with PublisherClosed; what comes later ends at once.

        Returns how many messages were ended by this call.
        """
        self.stopped = True
        waiting, carried = self._tracker.drain()
        ended = self.settle_each(waiting, closed) + self.settle_each(carried, closed_in_flight)
        self._tracker.settled(waiting)
        self._tracker.settled(carried)
        self._barrier.answer()
        return ended


def _taken_apart_locked(
    messages: Sequence[Message], values: Sequence[Any], end: str
) -> tuple[Sequence[Message], Sequence[Any]]:
    """Messages and values with a chunk replaced by its entries, unless it was delivered as one."""
    if end == DELIVERED and len(messages) == 1 and messages[0].parts is None:
        return messages, values
    parted: list[tuple[Message, Any]] = []
    for message, value in zip(messages, values, strict=True):
        if type(message) is not Chunk:
            parted.append((message, value))
        elif end != WITHDRAWN or message._phase == PENDING or message.parts is not None:
            parted += [(part, value) for part in message.apart_locked()]
    return [message for message, _ in parted], [value for _, value in parted]


ENTRIES.add(Settler.settle.__code__)
