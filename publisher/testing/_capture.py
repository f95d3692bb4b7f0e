"""The capture: every publisher of the process keeps its messages in the process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

import publisher as _package

from .. import _process
from .._aws.mocks import mocks_ended
from .._counting import counted
from .._engine.core import Core
from .._options import Options
from ._core import InlineCore
from ._faults import Faults
from ._inline import Clock
from ._messages import Messages
from ._network import InlineConnection

if TYPE_CHECKING:
    from typing_extensions import Self


class Capture(Messages):
    """What :func:`capture` gives: what was published, and control over what becomes of it.

    Attributes:
        faults: has the next requests fail; see :class:`Faults`.
    """

    def __init__(self, endpoint_url: str | None = None) -> None:
        super().__init__()
        self._clock = Clock()
        self.faults = Faults(self._clock)
        self._endpoint_url = endpoint_url
        self._cores: list[InlineCore] = []
        self._connections: list[InlineConnection] = []
        self._held_by: int | None = None
        self._exchanged: _Exchanged | None = None

    # -- time, and who says when

    @property
    def now(self) -> float:
        """Seconds on the capture's clock, which only moves where something has to wait."""
        return self._clock()

    def hold(self) -> None:
        """From here on messages wait until :meth:`resolve` or :meth:`advance`.

        Where the thread that called this waits itself, in ``result(timeout=5)`` or in
        ``publisher.flush(5)``, five seconds pass on the clock at once, and nothing is answered.
        Other threads really wait.
        """
        self._held_by = threading.get_ident()
        for core in self._cores:
            core.runtime.held_by = self._held_by

    @contextmanager
    def held(self) -> Iterator[None]:
        """:meth:`hold` for a ``with`` block; at its end everything is resolved."""
        self.hold()
        try:
            yield
        finally:
            self._held_by = None
            for core in self._cores:
                core.runtime.held_by = None
                core.runtime.run()

    def advance(self, seconds: float) -> None:
        """Let time pass while messages are held; what falls due meanwhile is sent and answered."""
        if not self._cores:
            self._clock.advance(seconds)
        until = self._clock() + seconds
        for core in list(self._cores):
            core.runtime.advance_to(until)

    def resolve(self) -> None:
        """See every held message to its end, retries included; later ones are held again."""
        for core in list(self._cores):
            core.runtime.run()

    # -- the exchange

    def start(self) -> Self:
        """Begin, as ``with`` does; for ``setUp()``, with ``addCleanup(captured.stop)``."""
        if self._exchanged is not None:
            raise RuntimeError("this capture has started already")
        self._exchanged = _Exchanged(self._make_core)
        return self

    def stop(self) -> None:
        """Give up what is unresolved, and give every publisher back what it had. Idempotent."""
        exchanged, self._exchanged = self._exchanged, None
        if exchanged is None:
            return
        try:
            for core in self._cores:
                core.runtime.ended = True
                core.close(0)
        finally:  # a logging handler of the test's may raise at what was lost
            exchanged.restore()
            for connection in self._connections:
                connection.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "over" if self._exchanged is None else "held" if self._held_by else "open"
        return f"<Capture {state}, {counted(len(self), 'message')}>"

    def _make_core(self, options: Options) -> Core:
        core = InlineCore(options, self._clock, self._connect, self._add)
        core.runtime.held_by = self._held_by
        core.runtime.ended = self._exchanged is None
        self._cores.append(core)
        return core

    def _connect(self, client: Any, binding: Any) -> None:
        binding.connection = InlineConnection(
            binding.core, binding.connection, client._connect, self.faults, self._endpoint_url
        )
        self._connections.append(binding.connection)


class _Exchanged:
    """What every publisher had before the capture, to be given back after it."""

    def __init__(self, make_core: Callable[[Options], Core]) -> None:
        self._mocks_ended = mocks_ended()
        self._default = _package._default
        self._lent = {one: one._lend(make_core) for one in _process.publishers()}
        self._factory = _process.exchange_factory(make_core)

    def restore(self) -> None:
        """Put everything back; publishers made meanwhile start anew.

        What a setting said meanwhile of where messages go holds from here on.
        """
        _process.exchange_factory(self._factory)
        _package._put_back(self._default)
        mock_ended = self._mocks_ended != mocks_ended()  # a mock around the capture
        for one in _process.publishers():
            if one in self._lent:
                self._lent[one](mock_ended)
            else:
                one._take_backend()


def capture(endpoint_url: str | None = None) -> Capture:
    """Keep everything in the process that is published inside, by whichever client.

    ::

        with capture() as published:
            place_order(17)
        published.assert_sent("sns", TopicArn=ORDERS, Message=contains("paid"))

    Arguments are checked, limits hold, batches are formed, errors are raised and retried as in
    production, by the same code; only threads, clock and network are exchanged, in every publisher
    of the process, for all its threads. Each message has ended when ``publish()`` returns, unless
    they are held (:meth:`Capture.hold`). Where something has to wait, that time passes at once.

    Inside moto's ``mock_aws`` messages go into the mock. At the end what is unresolved fails with
    :class:`publisher.PublisherClosed`, and nothing that was accepted inside ever leaves.

    Args:
        endpoint_url: of a local server (moto's, LocalStack) that gets the messages, whatever
            address the clients were made for; nothing goes anywhere else.
    """
    return Capture(endpoint_url)
