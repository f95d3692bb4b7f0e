"""A guard for a test suite: whatever a test forgot, nothing leaves this machine."""

from __future__ import annotations

import ipaddress
from types import TracebackType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError

from .._aws import guards
from .._aws.mocks import is_active

if TYPE_CHECKING:
    from typing_extensions import Self

_guards: list[LocalOnly] = []


class RealEndpointRefused(BotoCoreError):
    """A request to an endpoint that is not on this machine, under :func:`local_only`."""

    fmt = (
        "local_only() keeps requests on this machine, and {host} is another: capture() the"
        " message, mock it, or give the client an endpoint_url of this machine"
    )


class LocalOnly:
    """What :func:`local_only` gives."""

    def __init__(self, *hosts: str) -> None:
        self._hosts = {host.lower() for host in hosts}

    def start(self) -> Self:
        """Begin, as ``with`` does."""
        if self in _guards:
            raise RuntimeError("this guard has started already")
        _guards.append(self)
        return self

    def stop(self) -> None:
        """End it. Idempotent."""
        if self in _guards:
            _guards.remove(self)

    def allows(self, host: str) -> bool:
        """Whether requests may go to ``host``."""
        host = host.lower()
        if host in self._hosts or host == "localhost" or host.endswith(".localhost"):
            return True
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:  # a name, not an address
            return False

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def refuse_real(url: str) -> None:
    """Raise RealEndpointRefused where a guard holds and ``url`` is on another machine."""
    if not _guards or is_active():  # moto answers in place of every endpoint
        return
    host = urlsplit(url).hostname or ""
    if not all(guard.allows(host) for guard in _guards):
        raise RealEndpointRefused(host=host)


guards.put_up(refuse_real)


def local_only(*hosts: str) -> LocalOnly:
    """Refuse every request that would leave this machine; for a whole test suite.

    ::

        @pytest.fixture(autouse=True, scope="session")
        def no_aws():
            with local_only():
                yield

    A message to a real endpoint then fails at once, with :class:`RealEndpointRefused` and a line
    in the log; nothing is sent. ``capture()``, moto and servers on this machine go on as ever. A
    ready boto3 client (``client=...``) is asked for its endpoint at each message, whenever it was
    made or passed in; but paginators and waiters that it gave before are its own. It is about what
    travels through this package, and else about clients made since ``publisher.testing`` was
    imported. Django and Flask have it as a setting, ``BACKEND``.

    Args:
        *hosts: that are allowed too, such as ``"localstack"`` in a network of containers; upper
            and lower case are the same.
    """
    return LocalOnly(*hosts)
