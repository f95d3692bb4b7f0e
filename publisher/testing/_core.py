"""A core of production whose messages are sent in the thread that publishes them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

from .._engine.core import Core
from .._engine.future import PublishFuture
from .._engine.message import BatchFuture, Message, Route
from .._engine.state import is_live
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
        super().__init__(options, lambda core: Inline(core, clock), clock, clock.wall)
        self.bindings = _Bindings(connect)
        self._record = record

    takes_chunks = False  # a test looks at each entry

    def accept(self, route: Route, entry: Any, size: int) -> Message:
        target = route.lane.target
        params = target.params(entry)  # now: the entry is gone once the message has ended
        message = super().accept(route, entry, size)
        message.__class__ = InlineMessage
        self._record(target.service.name, target.operation, params, message)
        self.runtime.accepted()
        return message

    def accept_batch(
        self,
        route: Route,
        entries: Sequence[Any],
        sizes: Sequence[int],
        build: Callable[[BatchFuture], Any],
    ) -> BatchFuture:
        target = route.lane.target
        params = [target.params(entry) for entry in entries]
        batch = super().accept_batch(route, entries, sizes, build)
        batch.__class__ = InlineBatch
        for one, message in zip(params, batch.entries, strict=True):
            self._record(target.service.name, target.operation, one, message)
        self.runtime.accepted()
        return batch


class _Bindings(dict[Any, Any]):
    """The bindings of a core's clients, each with its connection exchanged before it is used."""

    def __init__(self, connect: Callable[[Any, Any], None]) -> None:
        super().__init__()
        self._connect = connect

    def setdefault(self, client: Any, binding: Any = None) -> Any:
        if client not in self:
            self._connect(client, binding)
        return super().setdefault(client, binding)


class _Waits(PublishFuture):
    """While messages are held, the waiting of the thread that holds them is time that passes."""

    __slots__ = ()

    def _runtime(self) -> Inline:
        raise NotImplementedError

    def _wait(self, timeout: float | None) -> None:
        runtime = self._runtime()
        if runtime.held_by != threading.get_ident():
            super()._wait(timeout)
            return
        runtime.wait_unanswered(lambda _: not is_live(self), timeout)
        if is_live(self):
            raise FutureTimeoutError


class InlineMessage(_Waits, Message):
    """One message of an inline core."""

    __slots__ = ()

    def _runtime(self) -> Inline:
        return self.route.lane.target.connection.core.runtime  # type: ignore[no-any-return]


class InlineBatch(_Waits, BatchFuture):
    """One ``put_records`` or ``publish_batch`` of an inline core."""

    __slots__ = ()

    def _runtime(self) -> Inline:
        return self.entries[0].route.lane.target.connection.core.runtime  # type: ignore[no-any-return]
