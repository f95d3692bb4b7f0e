"""Publish to AWS (SNS, Kinesis and others) from synchronous code without waiting for it.

``publisher.client("sns").publish(...)`` takes boto3's arguments and returns a
``concurrent.futures.Future`` at once. Behind it one bounded thread pool sends what was published in
batches, retries only what failed, and keeps an account of every message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._account.events import Attempt, Event
from ._account.ledger import LATENCY_BOUNDS, Ledger, SpoolStats, Stats
from ._engine.future import PublishFuture
from ._engine.retry import retry_policy
from ._publisher import Publisher
from ._spooling import Spool
from ._threads.signals import install_signal_handlers
from ._version import __version__ as __version__
from .errors import (
    BufferFull,
    DeliveryError,
    DeliveryTimeout,
    ForkedProcess,
    InvalidMessage,
    PublisherClosed,
    PublisherError,
    RetriesExhausted,
    SpoolFull,
    SpoolUnavailable,
    StillSpooled,
)
from .hooks import Hook, LoggingHook
from .types._clients import makes_clients as _makes_clients

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._client import Client
    from .types import PublisherOptions


__all__ = [
    "LATENCY_BOUNDS",
    "Attempt",
    "BufferFull",
    "Client",
    "DeliveryError",
    "DeliveryTimeout",
    "Event",
    "ForkedProcess",
    "Hook",
    "InvalidMessage",
    "Ledger",
    "LoggingHook",
    "PublishFuture",
    "Publisher",
    "PublisherClosed",
    "PublisherError",
    "RetriesExhausted",
    "Spool",
    "SpoolFull",
    "SpoolStats",
    "SpoolUnavailable",
    "Stats",
    "StillSpooled",
    "client",
    "close",
    "configure",
    "flush",
    "install_signal_handlers",
    "retry_policy",
    "stats",
]

_default = Publisher()


if not TYPE_CHECKING:  # for a type checker every name would be known

    def __getattr__(name: str) -> Any:
        if name == "Client":  # the other half of the package: programs import it when they use it
            from ._client import Client

            return Client
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@_makes_clients
def client(service_name: Any, region_name: str | None = None, **kwargs: Any) -> Client:
    """A client of one AWS service, of the process-wide publisher; see :meth:`Publisher.client`."""
    made: Client = _default.client(service_name, region_name, **kwargs)
    return made


def configure(**options: Unpack[PublisherOptions]) -> None:
    """Set the options of the process-wide publisher, before its first message.

    After ``close()`` it makes a new one.

    Clients made earlier use the new options too. Calling it again replaces all options.

    Args:
        **options: ``max_workers``, ``linger``, ``max_messages``, ``max_bytes``, ``on_full``,
            ``max_block``, ``delivery_timeout``, ``retry``, ``connect_timeout``, ``read_timeout``,
            ``close_timeout``, ``hooks``, ``spool``; the README has their meaning.

    Raises:
        RuntimeError: a message was accepted already, and these are other options. Equal ones
            change nothing: a notebook's cell may run twice.
        TypeError, ValueError: an unknown option or a value that is not allowed; nothing is changed.
    """
    global _default  # noqa: PLW0603 - the process-wide publisher is replaced after close()
    if _default._closed_in is not None:
        made = Publisher(**options)
        made._run_on(_default._backend)  # a console's stays
        _default = made
    elif _default._started:
        if not _default._has(options):
            raise RuntimeError(
                "configure() must be called before the first message is published, unless with the"
                " options that are set already; or close() first"
            )
    else:
        _default._reconfigure(options)


def _put_back(default: Publisher) -> None:
    """Make ``default`` the process-wide publisher again; where its messages go stays as it is."""
    global _default  # noqa: PLW0603 - as above
    default._backend = _default._backend
    _default = default


def flush(timeout: float | None = None) -> int:
    """Send what lingers and wait; see :meth:`Publisher.flush`."""
    return _default.flush(timeout)


def close(timeout: float | None = None) -> Ledger:
    """Close the process-wide publisher; see :meth:`Publisher.close`."""
    return _default.close(timeout)


def stats() -> Stats:
    """The account of the process-wide publisher; see :meth:`Publisher.stats`."""
    return _default.stats()
