"""The production core, but messages are sent in the thread that publishes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .._engine.accept import Way
from .._engine.core import Core
from .._engine.future import PublishFuture
from .._engine.message import BatchFuture, Message, Route
from .._options import Options
from ._inline import Clock, Inline


class InlineCore(Core):
    """A core whose messages are sent in the thread that publishes them.

    Args:
        options: checked already.
        clock: of the capture.
        connect: exchanges what a client would connect to.
        record: called with ``(service, operation, params, future)`` for each accepted message.
    """

    runtime: Inline

    def __init__(
        self,
        options: Options,
        clock: Clock,
        connect: Callable[[Any, Any], None],
        record: Callable[[str, str, dict[str, Any], PublishFuture], None],
    ) -> None:
        super().__init__(
            options,
            lambda core: Inline(core, clock),
            clock,
            clock.wall,
            takes_chunks=False,  # a test looks at each entry
        )
        self.bindings = _Bindings(connect)
        self._record = record
        self.accept = self._accept_recorded
        self.accept_batch = self._accept_batch_recorded

    def _accept_recorded(self, route: Route, entry: Any, size: int) -> Message:
        target = route.lane.target
        params = target.params(entry)  # now: the entry is gone once the message has ended
        message = self.entrance.accept(route, entry, size)
        self._record(target.service.name, target.operation, params, message)
        self.runtime.accepted()
        return message

    def _accept_batch_recorded(
        self,
        ways: Sequence[Way],
        entries: Sequence[Any],
        sizes: Sequence[int],
        build: Callable[[BatchFuture], Any],
        **how: Any,
    ) -> BatchFuture:
        targets = [route.lane.target for route, count in ways for _ in range(count)]
        params = [target.params(entry) for target, entry in zip(targets, entries, strict=True)]
        batch = self.entrance.accept_batch(ways, entries, sizes, build, **how)
        for target, one, message in zip(targets, params, batch.entries, strict=True):
            self._record(target.service.name, target.operation, one, message)
        self.runtime.accepted()
        return batch


class _Bindings(dict[Any, Any]):
    """The bindings of a core's clients; each one's connection is exchanged before its first use."""

    def __init__(self, connect: Callable[[Any, Any], None]) -> None:
        super().__init__()
        self._connect = connect

    def setdefault(self, client: Any, binding: Any = None) -> Any:
        if client not in self:
            self._connect(client, binding)
        return super().setdefault(client, binding)
