"""The one step in which messages end: whole, whatever strikes the thread that takes it.

A signal handler, Ctrl-C or PyThreadState_SetAsyncExc may raise in a caller's thread at any call
that returns, any function that begins and any loop that turns, but nowhere else. So everything is
worked out first; then, in :meth:`Ended.commit`, two permits and two counts change in statements
with no call between them, and one call into C stores the rest. An exception comes before all of it
or after all of it. What is left to be told afterwards is kept in the :class:`Ended` itself, for
whoever comes next; see :meth:`publisher._engine.settle.Settler.settle`.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, repeat
from typing import Any

from .._account.ledger import Account, Counters
from .flow import FlowControl
from .future import PublishFuture
from .message import BatchEntry, BatchFuture, Chunk, Message
from .state import CANCELLED, FINISHED, LOCK, Callback, is_waited_for
from .store import ReplayedMessage, StoredMessage

#: Has an iterator of assignments carried out, without a look at signals in between.
_carry_out: Callable[[Iterator[None]], None] = deque[None](maxlen=0).extend
_OF_BATCHES = (BatchEntry, Chunk)
_NOT_OF_BATCHES = frozenset({Message, StoredMessage, ReplayedMessage})
_NO_LOCK = contextlib.nullcontext()


class Ended:
    """Messages of one lane that end together. The caller holds ``LOCK``.

    Args:
        live: they.
        phase: of their futures from now on.
        values: what each future keeps.
        failed: that is an exception.
    """

    __slots__ = (
        "_batches",
        "_failed",
        "_of_batches",
        "_watchers",
        "count",
        "done",
        "live",
        "phase",
        "tell",
        "values",
    )

    def __init__(
        self, live: Sequence[Message], phase: str, values: Sequence[Any], *, failed: bool
    ) -> None:
        self._failed = failed
        self.live = live
        self.phase = phase
        self.values = values
        # A chunk that ends as one is alone.
        self.count = live[0].count if len(live) == 1 else len(live)
        self.done = False  # carried out: what remains is to tell
        #: What hooks and the log are told, for who tells it. No callable, which would know this
        #: object: of a cycle the messages would stay until the garbage collector comes.
        self.tell: tuple[Any, ...] = ()
        #: Mostly none: then nothing below looks for them.
        self._of_batches = not _NOT_OF_BATCHES.issuperset(map(type, live))
        self._batches = list(self._batches_of(live)) if self._of_batches else []
        #: Who was watching at the end. Who looks later sees that it has come.
        self._watchers: list[tuple[PublishFuture, list[Any]]] = []

    def commit(
        self,
        flow: FlowControl,
        account: Account,
        counters: Counters,
        size: int,
        count_locked: Callable[[], dict[str, Any]],
        *,
        permits: bool,
    ) -> None:
        """End them.

        Who waits for one of them may hold its lock for long, and be interrupted by a signal handler
        that wants any other: so those locks come first, and nothing but ``LOCK`` is held meanwhile.

        Args:
            flow: where the permits go back.
            account: whose lock guards the counters.
            counters: of the lane.
            size: bytes, of all of them.
            count_locked: gives what the counters are from now on; called under the account's lock.
            permits: False for messages that never got one; they are counted as accepted here.
        """
        futures: Sequence[PublishFuture] = self.live
        if self._batches:
            futures = [*futures, *(batch for batch, _, end in self._batches if end)]
        given, given_size = (self.count, size) if permits else (0, 0)
        taken, taken_size = (0, 0) if permits else (self.count, size)
        watched: list[PublishFuture] = []
        while True:
            with _Locks(watched) if len(watched) > 1 else _lock(watched), LOCK.making:
                known = len(watched)
                watched = [future for future in futures if future._watch is not None]
                if len(watched) == known:
                    self._watchers = [(one, [*one._watching().waiters]) for one in watched]
                    with account.lock:
                        counts = count_locked()
                        counts["resolved_bytes"] = counters.resolved_bytes + size
                        stores = self._stores(counters, counts)
                        with flow.lock:
                            # From here on no call, nor a branch, but the last.
                            flow.messages -= given
                            flow.bytes -= given_size
                            counters.accepted += taken
                            counters.accepted_bytes += taken_size
                            self.done = True
                            _carry_out(stores)
                    return
            watched.sort(key=id)  # as the standard library locks them

    def tell_watchers(self) -> list[Callback]:
        """Wake who waits; returns the callbacks to hand on."""
        callbacks: list[Callback] = []
        if not self._watchers:
            return callbacks
        with LOCK.rlock:  # what follows a future may count on that
            for future, waiters in self._watchers:
                failed = self._failed
                # Of a batch only somebody who wants to know at once is told.
                if (
                    isinstance(future, BatchFuture)
                    and is_waited_for(future)
                    and not future.cancelled()
                ):
                    failed = isinstance(future._outcome(0), BaseException)
                for waiter in waiters:
                    if future.cancelled():
                        waiter.add_cancelled(future)
                    elif failed:
                        waiter.add_exception(future)
                    else:
                        waiter.add_result(future)
                watch = future._watching()  # waiters may have added to its callbacks
                callbacks += [(callback, future) for callback in watch.callbacks]
                watch.callbacks = []
        return callbacks

    def _stores(self, counters: Counters, counts: dict[str, Any]) -> Iterator[None]:
        """The assignments that end them, each made as the iterator comes to it."""
        live, batches = self.live, self._batches
        stores = [
            map(setattr, repeat(counters), counts, counts.values()),
            map(setattr, live, repeat("_value"), self.values),
            map(setattr, live, repeat("_phase"), repeat(self.phase)),
        ]
        if self._of_batches:
            parts = [message for message in live if isinstance(message, _OF_BATCHES)]
            # No reference cycle: thousands of them would cost the garbage collector.
            stores.append(map(setattr, parts, repeat("batch"), repeat(None)))
        if batches:
            ended = [batch for batch, _, end in batches if end]
            values = [
                (build_batch, batch, None) if end == FINISHED else None
                for batch, _, end in batches
                if end
            ]
            left = [remaining for _, remaining, _ in batches]
            ends = [end for _, _, end in batches if end]
            stores += [
                map(setattr, [batch for batch, _, _ in batches], repeat("remaining"), left),
                map(setattr, ended, repeat("_value"), values),
                map(setattr, ended, repeat("_phase"), ends),
            ]
        if not live[0].route.lane.keeps_entries:
            stores.append(map(setattr, live, repeat("entry"), repeat(None)))
        return chain.from_iterable(stores)

    def _batches_of(self, live: Sequence[Message]) -> Iterator[tuple[BatchFuture, int, str | None]]:
        """The batches that these are part of, what then remains of each, and how it ends."""
        remaining: dict[BatchFuture, int] = {}
        for message in live:
            if isinstance(message, _OF_BATCHES) and (batch := message.batch) is not None:
                remaining[batch] = remaining.get(batch, batch.remaining) - message.count
        for batch, left in remaining.items():
            yield batch, left, None if left else self._phase_of(batch)

    def _phase_of(self, batch: BatchFuture) -> str:
        """Cancelled where all of its entries are."""
        if self.phase != CANCELLED:
            return FINISHED
        ending = set(map(id, self.live))
        entries = batch.entries
        cancelled = all(one._phase == CANCELLED or id(one) in ending for one in entries)
        return CANCELLED if cancelled else FINISHED


def build_batch(batch: BatchFuture, _: None) -> Any:
    return batch.build(batch)


def _lock(watched: Sequence[PublishFuture]) -> Any:
    return watched[0]._watching().lock if watched else _NO_LOCK


class _Locks(contextlib.ExitStack):
    """The locks of several watched futures; not for a thread that may be interrupted."""

    def __init__(self, watched: Sequence[PublishFuture]) -> None:
        super().__init__()
        for future in watched:
            self.enter_context(future._watching().lock)
