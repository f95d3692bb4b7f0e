"""Publisher: composes the parts, and knows which of its cores belongs to this process."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from . import _process
from ._account.ledger import Ledger, Stats
from ._arguments import key_of
from ._aws.forked import free
from ._clients import Clients, make_client
from ._counting import counted
from ._fork import take_note
from ._options import Options, check_options, check_timeout, same
from ._threads import hosts as _hosts  # noqa: F401 - it notes who had patched the threads by now
from .errors import PublisherClosed
from .types._clients import makes_clients

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._client import Client
    from ._engine.core import Core
    from .types import PublisherOptions

#: What a publisher is given back when it was lent.
_LENT = ("_make_core", "_core", "_cores", "_options", "_clients", "_closed_in")


class Publisher:
    """Sends messages in the background, with an executor and a lifetime of its own.

    Most programs need only the process-wide one behind :func:`publisher.client`. The options are
    those of :func:`publisher.configure`. As a context manager it is closed, and everything
    delivered, at the end of the block.

    Raises:
        TypeError: an unknown option, or a value of the wrong type.
        ValueError: a value that is not allowed.
    """

    def __init__(self, **options: Unpack[PublisherOptions]) -> None:
        self._options = check_options(Options(), options)
        self._clients = Clients()
        self._closed_in: int | None = None
        self._make_core: Callable[[Options], Core] = _process.factory()
        #: What makes its cores while no test captures it; None: threads, which send.
        self._backend: Callable[[Options], Core] | None = None
        self._cores: dict[int, Core] = {}
        self._core: Core | None = None
        _process.note(self)

    # -- clients

    @makes_clients
    def client(
        self,
        service_name: Any,
        region_name: str | None = None,
        *,
        session: Any = None,
        client: Any = None,
        **kwargs: Any,
    ) -> Client:
        """A client of one AWS service; the same object for equal arguments, cheaply.

        Args:
            service_name: as in ``boto3.client``; for one that is not supported the error lists
                those that are.
            region_name: as in ``boto3.client``.
            session: a ``boto3.Session`` to make the boto3 client with.
            client: a ready boto3 client, used as it is; nothing else may be given with it.
            **kwargs: ``boto3.client``'s own: ``endpoint_url``, ``config``,
                credentials ...

        Raises:
            ValueError: an unknown service, or ``client=`` together with other arguments or of
                another service.
            TypeError: an unknown argument.
            Exception: boto3's own (``NoRegionError``, ``InvalidRegionError``, ``ValueError`` ...)
                for whatever ``boto3.client`` refuses without the network. No boto3 client is made
                for it.
        """
        if region_name is not None:
            kwargs["region_name"] = region_name
        try:
            found = self._clients.get(key_of(service_name, session, client, kwargs))
        except TypeError:  # an argument without a hash: it is looked at more closely
            found = None
        return found or make_client(self, self._clients, service_name, session, client, kwargs)

    # -- lifetime

    def flush(self, timeout: float | None = None) -> int:
        """Send what lingers and wait until what was accepted before the call has ended.

        Backoffs are not shortened.

        Args:
            timeout: seconds; None: until the messages' own deadlines.

        Returns:
            how many of those messages are still unresolved.

        Raises:
            TypeError, ValueError: ``timeout`` is no number, or not a number.
        """
        check_timeout(timeout)
        core = self._mine()
        return 0 if core is None else core.flush(timeout)

    def close(self, timeout: float | None = None) -> Ledger:
        """Refuse messages, wait until every future has ended and callbacks have run, stop.

        It can be called again, and then only waits for what is left.

        Args:
            timeout: seconds; what is left then is abandoned with :class:`PublisherClosed`. None:
                without bound. 0: nothing more is sent, and hooks are not waited for.

        Returns:
            the final total; on a thread of ours (in a callback or hook) closing has only begun, and
            it is not final.

        Raises:
            TypeError, ValueError: ``timeout`` is no number, or not a number.
        """
        check_timeout(timeout)
        self._closed_in = os.getpid()
        core = self._mine()
        if core is None:
            return Ledger()
        core.close(timeout)
        return core.stats().total

    def stats(self) -> Stats:
        """The account of every message accepted in this process."""
        core = self._mine()
        return Stats(Ledger(), {}) if core is None else core.stats()

    def __enter__(self) -> Publisher:  # noqa: PYI034 - typing has no Self in Python 3.10
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        core = self._mine() if "_core" in self.__dict__ else None
        if core is not None and core.started and not core.flow.closed and not sys.is_finalizing():
            text = f"unclosed {self!r}: use close() or with"
            core.flow.close()
            core.runtime.spawn(core.close_quietly)
            # Last: where warnings are errors it raises.
            warnings.warn(text, ResourceWarning, source=self, stacklevel=1)

    def __reduce__(self) -> Any:
        raise TypeError(
            "a Publisher cannot be pickled or copied: it owns threads and connections of this"
            " process; make one in each process that needs it"
        )

    def __repr__(self) -> str:
        core = self._mine()
        if core is None:
            return "<Publisher, nothing published>"
        state = "closed" if core.flow.closed else "open"
        return (
            f"<Publisher {state}, {counted(core.flow.messages, 'message')} unresolved,"
            f" {counted(core.scheduler.shares.busy, 'worker')} busy>"
        )

    # -- details

    @property
    def _started(self) -> bool:
        core = self._mine()
        return core is not None and core.started

    @property
    def _sends_to_aws(self) -> bool:
        """Whether its messages leave the process."""
        return _process.sends_to_aws(self._make_core)

    def _mine(self) -> Core | None:
        """The core of this process, if there is one."""
        take_note()
        return self._core

    def _has(self, options: Mapping[str, Any]) -> bool:
        """Whether it is set up with equal options."""
        return same(check_options(Options(), options), self._options)

    def _reconfigure(self, options: Mapping[str, Any]) -> None:
        self._options = check_options(Options(), options)
        self._core = None
        self._cores = {}

    def _forget_parent(self) -> None:
        """In the child of a fork: what was accepted before is the parent's to deliver."""
        if len(self._clients):
            free(self._clients.passed_in())
        self._cores = {pid: core for pid, core in self._cores.items() if pid == os.getpid()}
        self._core = None

    def _current(self) -> Core:
        """The core of this process: in the child of a fork, a new one.

        Raises:
            PublisherClosed: after close().
        """
        core = self._mine()
        if core is not None:
            return core
        if self._closed_in is not None:
            raise PublisherClosed(
                "the publisher is closed; publisher.configure() or publisher.Publisher() makes a"
                " new one"
            )
        # No lock: another thread may have held it at the fork. One of several cores made at once is
        # used, the others never.
        core = self._cores.setdefault(os.getpid(), self._make_core(self._options))
        if core.store is not None:
            core.store.use(self)
        self._core = core
        return core

    def _begin_anew(self) -> None:
        """Deliver what it holds, in the time of a process exit; what comes next finds it new."""
        core = self._core
        self._core = None
        self._cores = {}
        if core is not None and core.pid == os.getpid() and not core.stopped:
            core.close_quietly()

    def _lend(self, make_core: Callable[[Options], Core]) -> Callable[[bool], None]:
        """Have ``make_core`` make its cores, until what is returned gives back all that it had.

        That takes whether to deliver what it held, and begin anew. Where the backend has changed
        meanwhile it does so in any case.
        """
        had = {name: self.__dict__[name] for name in _LENT}
        backend = self._backend
        self._make_core = make_core
        self._core = None
        self._cores = {}
        self._clients = self._clients.copy()

        def give_back(anew: bool) -> None:
            self.__dict__.update(had)
            if anew or self._backend is not backend:
                self._begin_anew()
            if self._backend is not backend:
                self._take_backend()

        return give_back

    def _run_on(self, backend: Callable[[Options], Core] | None) -> None:
        """From here on ``backend`` makes its cores; inside a capture once that is over."""
        if backend is not self._backend:
            self._backend = backend
            if _process.sends_to_aws(_process.factory()):  # no capture
                self._take_backend()

    def _take_backend(self) -> None:
        """Begin anew with what makes its cores now: a capture, the backend, or threads."""
        make_core = _process.factory()
        captured = not _process.sends_to_aws(make_core)
        self._make_core = make_core if captured else self._backend or make_core
        self._core = None
        self._cores = {}
