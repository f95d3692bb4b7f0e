"""What an inline core connects to: nothing, moto's mock, or one local server; never AWS.

Out of the box an in-process client answers. It is botocore's own client with the transport cut off:
parameters are validated and serialised, and errors are raised, by the code that does it for AWS.
"""

from __future__ import annotations

import functools
import itertools
import os
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import botocore.config
import botocore.session
from botocore import xform_name
from botocore.exceptions import NoRegionError

from .. import services
from .._aws import mocks
from .._aws.connection import Connection
from ._answers import answered, publishing

if TYPE_CHECKING:
    from ._core import InlineCore
    from ._faults import Faults

DEFAULT_REGION = "us-east-1"
_PARAMS = "publisher_testing_params"  # in botocore's request context
_session = threading.Lock()  # a botocore session is not thread-safe while it makes a client
_sessions: list[Any] = []
_idle: dict[
    tuple[Any, ...], list[Any]
] = {}  # a client takes tens of milliseconds to make, so they are used again
_sequence = itertools.count(1)


class InlineConnection:
    """Stands in for a :class:`Connection`, deciding anew for each request where it may go.

    Args:
        core: whose messages go this way.
        original: what they would connect to outside of the capture.
        renew: makes another such, with a new boto3 client.
        faults: put on every client that is used.
        endpoint_url: the local server they go to, or None.
    """

    def __init__(
        self,
        core: InlineCore,
        original: Connection,
        renew: Callable[[], Connection],
        faults: Faults,
        endpoint_url: str | None,
    ) -> None:
        self.core = core
        self.service = original.service
        #: The client's region, or the one that the environment would give it.
        self.region: str = (
            original.region
            or os.environ.get("AWS_REGION")
            or os.environ.get("AWS_DEFAULT_REGION")
            or DEFAULT_REGION
        )
        self.fast = False
        self.direct = None
        self._original = original
        self._renew = renew
        self._faults = faults
        self._endpoint_url = endpoint_url
        self._mocked: tuple[int, Any] | None = None
        self._inside: Any = None
        self._lock = threading.Lock()  # guards what stands above

    @property
    def made(self) -> Any:
        """The client of the next request."""
        return self.get()

    def get(self) -> Any:
        """The client of the next request: moto's while a mock is active."""
        with self._lock:
            if self._endpoint_url is None and mocks.is_active():
                return self._inside_mock()
            if self._inside is None:
                options = self.core.options
                timeouts = (options.connect_timeout, options.read_timeout)
                client = borrow(self.service, self.region, timeouts, self._endpoint_url)
                _share_exceptions(client, self._original)
                self._faults.attach(client)
                self._inside = client
            return self._inside

    get_for_work = get_retrying = get  # nothing is made here that could take long

    def ask_guard(self) -> None:
        """No ready client is used here."""

    def _inside_mock(self) -> Any:
        if self._mocked is None or self._mocked[0] != mocks.mocks_ended():
            connection = self._renew()
            try:
                client = connection.get()
            except NoRegionError:
                connection = self._renew()
                connection._kwargs["region_name"] = DEFAULT_REGION
                client = connection.get()
            self._faults.attach(client)
            self._mocked = mocks.mocks_ended(), client
        return self._mocked[1]

    def close(self) -> None:
        """Give back what was borrowed."""
        with self._lock:
            if self._inside is not None:
                self._faults.detach(self._inside)
                give_back(self._inside)
                self._inside = None
            if self._mocked is not None:
                self._faults.detach(self._mocked[1])
                self._mocked = None


def borrow(
    service: str, region: str, timeouts: tuple[float, float], endpoint_url: str | None
) -> Any:
    """A client for the caller alone, offline or of a local server; it reads no profile, no keys."""
    key = (service, region, timeouts, endpoint_url)
    with _session:
        if _idle.get(key):
            return _idle[key].pop()
        client = _session_locked().create_client(
            service,
            region_name=region,
            endpoint_url=endpoint_url,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",  # noqa: S106 - never checked by anybody
            config=botocore.config.Config(
                retries={"total_max_attempts": 1},
                connect_timeout=timeouts[0],
                read_timeout=timeouts[1],
            ),
        )
        client.publisher_testing_key = key
    if endpoint_url is None:
        events = client.meta.events
        events.register("before-parameter-build", _keep_params)
        events.register_last("before-call", _answer)
        events.register_first("before-send", _refuse)
    return client


def _share_exceptions(client: Any, original: Connection) -> None:
    """Have ``client`` raise the classes that production would: an application may hold them.

    botocore makes exception classes for each session anew.
    """
    session = original._session or getattr(sys.modules.get("boto3"), "DEFAULT_SESSION", None)
    factory = getattr(original.made, "_exceptions_factory", None)
    inner = getattr(session, "_session", None)
    if factory is None and isinstance(inner, botocore.session.Session):
        factory = inner._get_internal_component("exceptions_factory")  # type: ignore[attr-defined]
    client._exceptions_factory = factory or client._exceptions_factory
    client._exceptions = None  # the client keeps the classes of the test before


def _session_locked() -> Any:
    if not _sessions:
        _sessions.append(botocore.session.Session())
    return _sessions[0]


@functools.cache
def service_parameters(service: str) -> dict[str, set[str]]:
    """The names of the parameters of each of a service's operations.

    Raises:
        ValueError: this package has no such service.
    """
    if service not in services.names():
        raise ValueError(f"no service {service!r}; known are {', '.join(services.names())}")
    with _session:
        model = _session_locked().get_service_model(service)
    shapes = {name: model.operation_model(name).input_shape for name in model.operation_names}
    return {
        xform_name(name): set(shape.members) if shape else set() for name, shape in shapes.items()
    }


def give_back(client: Any) -> None:
    """Give a client back, for the next who asks for one like it."""
    with _session:
        _idle.setdefault(client.publisher_testing_key, []).append(client)


def _keep_params(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    context[_PARAMS] = params


def _refuse(**_: Any) -> None:
    raise RuntimeError("nothing leaves the process inside publisher.testing.capture()")


def _answer(model: Any, params: dict[str, Any], context: dict[str, Any], **_: Any) -> Any:
    """What AWS would answer to a request in which nothing is wrong."""
    return answered(params, 200, _stored(model, context.get(_PARAMS, {})))


def _stored(model: Any, params: dict[str, Any]) -> dict[str, Any]:
    found = publishing(model)
    if found is None:
        return {}
    service, is_batch = found
    first = next(_sequence)
    if not is_batch:
        return service.stored(params, first)
    for _ in params[service.entries_parameter][1:]:
        next(_sequence)
    return service.stored_batch(params, first)
