"""The capture: every publisher of the process keeps its messages in the process."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any

import publisher as _package

from .. import _publisher
from .._core import Core
from .._future import PublishFuture
from .._options import Options
from .._publisher import Publisher
from ._faults import Faults
from ._moto import discard_core, mocks_ended
from ._inline import Clock, InlineCore
from ._network import InlineConnection


class Capture:
    def __init__(self, endpoint_url: str | None = None) -> None:
        self._clock = Clock()
        self.faults = Faults(self._clock.advance)
        self._endpoint_url = endpoint_url
        self._lock = threading.Lock()
        self._cores: list[InlineCore] = []
        self._connections: list[InlineConnection] = []
        self._messages: list[Any] = []
        self._held_by: int | None = None
        self._state: _State | None = None

    def _record(
        self, service: str, operation: str, params: dict[str, Any], future: PublishFuture
    ) -> None:
        self._messages.append((service, operation, params, future))

    # -- the exchange

    def start(self) -> None:
        self._state = _State(self._make_core)

    def stop(self) -> None:
        state, self._state = self._state, None
        if state is None:
            return
        for core in self._cores:
            core.runtime.ended = True
            core.close(0)
        state.restore()
        for connection in self._connections:
            connection.close()

    def _make_core(self, options: Options) -> Core:
        core = InlineCore(options, self._clock, self._connect, self._record)
        core.runtime.held_by = self._held_by
        self._cores.append(core)
        return core

    def _connect(self, client: Any, line: Any) -> None:
        line.connection = InlineConnection(
            line.core, line.connection, client._connect, self.faults, self._endpoint_url
        )
        self._connections.append(line.connection)

    def __enter__(self) -> Capture:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


class _State:
    """What every publisher had before the capture, and gets back after it."""

    _NAMES = ("_make_core", "_core", "_cores", "_options", "_clients", "_closed_in", "_warned")

    def __init__(self, make_core: Any) -> None:
        self._mocks_ended = mocks_ended()
        self._factory = _publisher.core_factory
        self._default = _package._default
        self._kept = {
            one: {name: getattr(one, name) for name in self._NAMES}
            for one in list(_publisher._publishers)
        }
        _publisher.core_factory = make_core
        for one in self._kept:
            one._make_core = make_core
            one._core = None
            one._cores = {}
            one._clients = dict(one._clients)

    def restore(self) -> None:
        """Put everything back; publishers made meanwhile start anew."""
        _publisher.core_factory = self._factory
        _package._default = self._default
        for one in list(_publisher._publishers):
            kept = self._kept.get(one)
            if kept is None:
                one._make_core = self._factory
                one._core = None
                one._cores = {}
                continue
            for name, value in kept.items():
                setattr(one, name, value)
            if self._mocks_ended != mocks_ended():  # with what was accepted in it
                discard_core(one)


def capture(endpoint_url: str | None = None) -> Capture:
    return Capture(endpoint_url)
