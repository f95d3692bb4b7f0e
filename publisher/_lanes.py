"""What a client has in one process: a connection and lanes. And the answer to a batch call."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from ._account.ledger import Counters
from ._aws.connection import Connection
from ._aws.targets import BatchTarget, Call, CallTarget
from ._engine.contract import EntryError, Service
from ._engine.core import Core
from ._engine.ends import error_named, failure_of
from ._engine.lane import Lane
from ._engine.message import BatchFuture, Chunk, Message
from ._engine.ordered import OrderedLane
from ._engine.state import CANCELLED
from ._engine.unordered import UnorderedLane
from .errors import StillSpooled

#: Of one client so many destinations are kept; idle ones beyond are forgotten. Their counts stay.
MAX_ROUTES = 1_000


class Binding:
    """What a client's views share in one process: the boto3 client, the lanes to destinations."""

    def __init__(self, core: Core, service: Service, connection: Connection) -> None:
        self.core = core
        self.service = service
        self.connection = connection
        self.lanes: dict[Any, Lane] = {}
        self._forget_at = 0  # at so many lanes the next look for idle ones is due
        self._lock = threading.RLock()  # guards _views
        self._views: weakref.WeakSet[Any] = weakref.WeakSet()

    def join(self, view: Any) -> None:
        """Note a client, or a view of it, which forgets its routes when lanes are forgotten."""
        with self._lock:
            self._views.add(view)

    def lane(self, key: Any, make: Callable[[], Lane]) -> Lane:
        lane = self.lanes.get(key)
        if lane is None:
            if len(self.lanes) >= max(MAX_ROUTES, self._forget_at):
                for old, idle in list(self.lanes.items()):
                    # One of which messages stay on disk knows that later ones are not to overtake.
                    if idle.is_idle() and not idle.is_behind:
                        self.lanes.pop(old, None)
                # Who went on with a forgotten lane would send beside its successor: there would be
                # two lanes to one destination, and no order between them.
                with self._lock:
                    for view in self._views:
                        view._routes = {}
                # Not again for each one more, where all these are busy.
                self._forget_at = 2 * len(self.lanes)
            lane = self.lanes.setdefault(
                key, make()
            )  # two callers at once: one of the two lanes is used
        return lane

    def batch_lane(self, address: Any) -> Lane:
        """The lane of a destination that takes batches.

        Raises:
            InvalidMessage: for an address nothing could be sent to.
        """

        def make() -> Lane:
            self.service.check_address(address)
            target = BatchTarget(self.service, self.connection, address)
            if not self.core.account.is_owner(target.key, target.owner):
                target.name_owner()
            parts = (
                target.limits,
                self.service.measure,
                self._counters(target),
                self.core,
                target,
            )
            if self.service.is_ordered(address):
                return OrderedLane(*parts, group_of=self.service.group)
            return UnorderedLane(*parts, measure_all=self.service.measure_all)

        return self.lane(address, make)

    def call_lane(self, operation: str) -> Lane:
        """The lane of a single operation.

        One that publishes carries messages all the same: an SMS, a mobile endpoint.
        """
        of_messages = operation in (self.service.single, self.service.batch)

        def make() -> Lane:
            target = CallTarget(self.service, self.connection, operation)
            return UnorderedLane(
                target.limits,
                _size_of_call,
                self._counters(target)
                if of_messages
                else Counters(lambda: target.key, of_messages=False, known=self.service.verdicts),
                self.core,
                target,
            )

        return self.lane((operation,), make)

    def _counters(self, target: Any) -> Any:
        key = str(target.key)  # the account outlives a client: it must not keep its connections
        identity = f"{id(self.connection)}:{key}"
        return self.core.account.counters(identity, lambda: key, self.service.verdicts)


def _size_of_call(entry: Call) -> int:
    return entry.size


def batch_response(service: Service, context: Any, batch: BatchFuture) -> Any:
    """The whole call's response or, where nothing could be sent at all, its exception."""
    outcomes: list[Any] = []
    answered: dict[int, tuple[float, Mapping[str, Any]]] = {}  # by identity: each request's answer
    for entry in batch.entries:
        value = entry._value
        if type(entry) is Chunk:  # delivered as one: (build, answer, outcomes)
            outcomes += value[2]
            answered[id(value[1])] = (_last(entry), value[1])
            continue
        if type(value) is tuple and type(value[1]) is dict:  # delivered: (build, answer, outcome)
            outcomes.append(value[2])
            if id(value[1]) not in answered:
                answered[id(value[1])] = (_last(entry), value[1])
            continue
        failure = failure_of(value)
        if entry._phase == CANCELLED:
            outcomes.append(
                EntryError("Cancelled", "the entry was cancelled before it was sent", True)
            )
            answered.setdefault(0, (0.0, {}))
        elif failure is None:
            error = entry._outcome(0)
            outcomes.append(EntryError(type(error).__name__, str(error), False))
            if isinstance(error, StillSpooled):  # it is on its way, whatever became of the others
                answered.setdefault(0, (0.0, {}))
        else:
            outcomes.append(EntryError(failure.code, failure.text, failure.sender_fault))
            if failure.error is None and id(failure) not in answered:
                answer = {"ResponseMetadata": dict(failure.metadata)}
                answered[id(failure)] = (entry.history[-1].started, answer)
    if not answered:
        return error_named(batch.entries[0]._value, service.batch)
    _, latest = max(answered.values(), key=lambda item: item[0])
    kept = {key: value for key, value in latest.items() if key not in service.about_entries}
    return service.batch_response(context, outcomes, kept)


def _last(entry: Message) -> float:
    """When its last try began; it has none where it is left to another process."""
    return entry.history[-1].started if entry.history else 0.0


def losses(batch: BatchFuture) -> dict[int, str]:
    """Why entries of a call were lost, by their place: the error code, or the exception's name."""
    found: dict[int, str] = {}
    place = 0
    for entry in batch.entries:
        if type(entry) is Chunk:  # delivered as one
            place += entry.count
            continue
        value = entry._value
        if entry._phase == CANCELLED:
            found[place] = "Cancelled"
        elif not (type(value) is tuple and type(value[1]) is dict):
            failure = failure_of(value)
            found[place] = type(entry._outcome(0)).__name__ if failure is None else failure.code
        place += 1
    return found
