"""The drop-in client: boto3's operations and arguments, a future in place of the wait."""

from __future__ import annotations

import itertools
import mmap
import os
from collections.abc import Callable, Mapping, Sequence
from types import MethodType
from typing import TYPE_CHECKING, Any

from ._aws.connection import Connection
from ._aws.parameters import check_params
from ._aws.targets import Call, call_size
from ._counting import counted
from ._engine.contract import Service
from ._engine.core import Core
from ._engine.future import PublishFuture
from ._engine.lane import Lane
from ._engine.message import BatchFuture, Message, Route
from ._fork import HERE
from ._lanes import MAX_ROUTES, Binding, batch_response, losses
from ._log_lines import is_line
from ._options import Delivery, check_timeout
from .errors import InvalidMessage
from .services._checks import check_str, utf8_size
from .services._help import described

if TYPE_CHECKING:
    from tenacity import Retrying
    from typing_extensions import Self

    from ._process import Publishing


class Client:
    """A client of one AWS service.

    Every operation of the boto3 client is here and returns a :class:`PublishFuture`.

    The service's operations that publish (``publish`` and ``publish_batch``, ``put_record`` and
    ``put_records`` ...) travel in batches; every other operation, and a call that no batch can
    carry (an SMS, a mobile endpoint), runs as it is on the pool.
    ``exceptions``, ``meta``, ``can_paginate``, ``get_paginator``, ``get_waiter`` and the like are
    the boto3 client's own, which is made for them if need be.

    Made by :func:`publisher.client` and :meth:`Publisher.client`; calling those again with equal
    arguments returns the same object.
    """

    # Set for operations and passed-through attributes as they are first used.
    _publisher: Publishing
    _routes: dict[Any, Route]

    def __init__(
        self,
        publisher: Publishing,
        service: Service,
        connect: Callable[[], Connection],
        changes: Mapping[str, Any],
    ) -> None:
        self._publisher = publisher
        self._service = service
        self._connect = connect
        self._changes = changes
        self._views = self  # the client that this is a view of
        self._binding: Binding | None = None
        self._routes = {}
        self._core: Core | None = None
        self._accept: Callable[[Mapping[str, Any]], Any] = service.accept
        # The batch last: a service without a single operation has that alone.
        for operation, call in ((service.single, _ONE), (service.batch, _MANY)):
            setattr(self, operation, MethodType(described(service, operation, call), self))

    # -- the coalesced operations

    def _publish_one(self, *args: Any, **params: Any) -> PublishFuture:
        if args:
            raise _positional(self._service.single)
        core = self._core
        try:
            if core is None or core is not self._publisher._core or not HERE[0]:
                core = self._bind()
        except TypeError:
            if HERE is None:  # the interpreter has cleared this module at its end
                raise RuntimeError(
                    "the interpreter has ended: nothing can be published any more"
                ) from None
            raise
        accepted = self._accept(params)
        if accepted is None:
            return self._call(self._service.single, params)
        address, entry, size = accepted
        route = self._routes.get(address)
        if route is None:
            route = self._route(address)
        return core.accept(route, entry, size)

    def _publish_many(self, *args: Any, **params: Any) -> PublishFuture:
        if args:
            raise _positional(self._service.batch)
        core = self._bind()
        service = self._service
        accepted = service.accept_batch(core.teller.prepare(service, service.batch, params))
        if accepted is None:
            return self._call(self._service.batch, params)
        address, entries, sizes, context = accepted
        if type(address) is list:  # one for each entry
            runs = [(one, sum(1 for _ in same)) for one, same in itertools.groupby(address)]
        else:
            runs = [(address, len(entries))]
        try:
            ways = [(self._routes.get(one) or self._route(one), count) for one, count in runs]
        except InvalidMessage as error:
            raise error.about("", service.batch) from None
        core.check_size(max(sizes))

        def build(batch: BatchFuture) -> Any:
            return batch_response(service, context, batch)

        whole = service.single == service.batch
        return core.accept_batch(ways, entries, sizes, build, whole=whole)

    def _publish_accepted(
        self, address: Any, entries: Sequence[Any], sizes: Sequence[int]
    ) -> BatchFuture:
        """Publish entries that the service has accepted already, all to one address.

        Its result has of each entry that was lost, by its place, why.
        """
        core = self._bind()
        route = self._routes.get(address) or self._route(address)
        return core.accept_batch([(route, len(entries))], entries, sizes, losses)

    def _check(self, operation: str, params: Mapping[str, Any]) -> None:
        """Raise what this call would raise for its arguments, and accept nothing."""
        core = self._bind()
        service = self._service
        sizes: tuple[int, ...] | None = None
        if operation == service.batch:
            many = service.accept_batch(dict(params))
            if many is not None:
                for address in many[0] if type(many[0]) is list else [many[0]]:
                    service.check_address(address)
                sizes = tuple(many[2])
        elif operation == service.single and (one := service.accept(dict(params))) is not None:
            service.check_address(one[0])
            sizes = (one[2],)
        if sizes is None:
            assert self._binding is not None
            check_params(self._binding.connection.get(), operation, params)
            sizes = (call_size(_copied(params)),)
        core.check_size(max(sizes))

    def _on_callbacks_thread(self, function: Callable[[Any], object], argument: Any) -> None:
        """Have the publisher's thread of callbacks call ``function(argument)``.

        Raises:
            PublisherClosed: after close().
        """
        self._publisher._current().runtime.call([(function, argument)])

    # -- every other operation

    def _call(self, operation: str, params: Mapping[str, Any]) -> Message:
        core = self._bind()
        binding = self._binding
        assert binding is not None
        if not is_line():  # the log line may be about the making of this very client
            check_params(binding.connection.get(), operation, params)
        params = _copied(params)
        size = call_size(params)
        core.check_size(size)
        route = self._routes.get((operation,))
        if route is None:
            # No other call can share its request, so it has nothing to linger for.
            delivery = core.delivery(self._service.name, {**self._changes, "linger": 0.0})
            route = self._remember((operation,), binding.call_lane(operation), delivery)
        return core.accept(route, Call(size, params), size)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self._bind()
        binding = self.__dict__["_binding"]
        if name in ("get_paginator", "get_waiter"):
            return getattr(binding.connection.get_retrying(), name)
        boto_client = binding.connection.get()
        attribute = getattr(boto_client, name)
        if name not in boto_client.meta.method_to_api_mapping:
            return attribute
        model = boto_client.meta.service_model.operation_model(
            boto_client.meta.method_to_api_mapping[name]
        )
        streams = (
            model.has_streaming_output
            or model.has_event_stream_output
            or model.has_event_stream_input
        )

        def operation(*args: Any, **params: Any) -> PublishFuture:
            if args:
                raise _positional(name)
            if streams:
                raise NotImplementedError(
                    f"{name}() streams its answer, which a future cannot hold: call it on a boto3"
                    " client"
                )
            return self._call(name, params)

        operation.__name__ = operation.__qualname__ = name
        operation.__doc__ = attribute.__doc__
        operation.__self__ = self  # type: ignore[attr-defined]  # as a bound method has it
        self.__dict__[name] = operation
        return operation

    def __dir__(self) -> list[str]:
        binding = self._binding
        made = None if binding is None else binding.connection.made
        return sorted({*super().__dir__(), *(dir(made) if made is not None else ())})

    # -- the client itself

    def with_options(
        self,
        *,
        delivery_timeout: float | None = None,
        linger: float | None = None,
        retry: Retrying | None = None,
        spool: bool | None = None,
    ) -> Self:
        """A cheap view of this client, with other delivery options for what goes through it.

        Args:
            delivery_timeout: seconds from acceptance to an outcome.
            linger: longest wait for company, seconds; 0 sends at once.
            retry: a tenacity policy; see :func:`publisher.retry_policy`.
            spool: False: these messages are in memory alone, where the publisher has a spool.

        Raises:
            TypeError, ValueError: as :func:`publisher.configure`.
        """
        given = {
            "delivery_timeout": delivery_timeout,
            "linger": linger,
            "retry": retry,
            "spool": spool,
        }
        changes = {
            **self._changes,
            **{name: value for name, value in given.items() if value is not None},
        }
        self._publisher._options.delivery(self._service.name, **changes)  # checks them
        view = type(self)(self._publisher, self._service, self._connect, changes)
        view._views = self._views
        return view

    def close(self, timeout: float | None = None) -> int:
        """Flush what was published through this client and its views.

        Nothing is torn down, it can be used again.

        Returns:
            how many of those messages are still unresolved after ``timeout`` seconds.
        """
        check_timeout(timeout)
        binding = self._views._binding
        if binding is None or binding.core.pid != os.getpid():
            return 0
        return binding.core.flush(timeout, list(binding.lanes.values()))

    def is_idle(self) -> bool:
        """True when nothing that was published through this client or its views is unresolved."""
        binding = self._views._binding
        lanes = [] if binding is None else list(binding.lanes.values())
        return all(lane.is_idle() and not lane.is_behind for lane in lanes)

    def __repr__(self) -> str:
        binding = self._views._binding
        state = "not used yet" if binding is None else counted(len(binding.lanes), "destination")
        return f"<publisher client {self._service.name!r}, {state}>"

    def __reduce__(self) -> Any:
        raise TypeError(
            "a publisher client cannot be pickled: make it where it is used, with"
            " publisher.client()"
        )

    # -- details

    def _bind(self) -> Core:
        """The publisher's core in this process. Where that is another one, routes are made anew."""
        core = self._publisher._current()
        if core is not self._core:
            owner = self._views
            binding = owner._binding
            if binding is None or binding.core is not core:
                # Two threads at once may each make one: the loser's connection is never used.
                binding = core.bindings.setdefault(
                    owner, Binding(core, self._service, self._connect())
                )
                owner._binding = binding
            self._binding = binding
            binding.join(self)
            self._routes = {}
            self._accept = core.teller.accept(self._service)
            self._core = core
        return core

    def _route(self, address: Any) -> Route:
        core = self._bind()
        assert self._binding is not None
        return self._remember(address, self._binding.batch_lane(address), self._delivery(core))

    def _remember(self, key: Any, lane: Lane, delivery: Delivery) -> Route:
        routes = self._routes
        if len(routes) >= MAX_ROUTES:
            routes = self._routes = {}
        return routes.setdefault(key, lane.route(delivery))

    def _delivery(self, core: Core) -> Delivery:
        return core.delivery(self._service.name, self._changes)


_ONE: Any = Client._publish_one
_MANY: Any = Client._publish_many


def _positional(operation: str) -> TypeError:
    return TypeError(f"{operation}() only accepts keyword arguments, as boto3's does")


def _copied(params: Mapping[str, Any]) -> dict[str, Any]:
    """A copy, which does not change with the caller's lists, dicts and bytearrays.

    Text becomes plain ``str``. Of an ``Enum`` member botocore would write the name, not the text.

    Raises:
        InvalidMessage: text that has no UTF-8.
    """

    def copied(value: Any, where: str) -> Any:
        if isinstance(value, str):
            utf8_size(value, where)
            return check_str(where, value)
        if isinstance(value, Mapping):
            return {
                copied(key, f"a key in {where}"): copied(item, where) for key, item in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [copied(item, where) for item in value]
        if isinstance(value, (bytearray, memoryview, mmap.mmap)):
            return bytes(value)
        return value

    return {name: copied(value, name) for name, value in params.items()}
