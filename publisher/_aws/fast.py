"""The services' hand-made bodies and readers, put in place by botocore's events.

botocore spends most of a large batch in its serialiser, its validation and its response parser,
which are made for every operation there is. Here the body of a batch is made for that one
operation, and its answer read for that one shape; credentials, endpoint, signing, transport and
modelled errors stay botocore's. Only on clients that this package makes: a client that the user
passed in is not touched.

What these do not know falls through to botocore's own path: another protocol than the one they were
written for, an answer that is no success or larger than its request can have, or any body that
looks unusual. So does everything while somebody listens to a request or wraps it (``listeners``).
``BOTO3_PUBLISHER_FAST=0`` in the environment turns them off.

Reading costs time linear in the answer's size, whatever it holds: it may come from anybody.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .._engine.contract import Fast, Service
from .._text import printable
from .direct.way import Direct
from .listeners import Listeners

#: Under this key the body waits in botocore's request context, between the events.
_CONTEXT = "boto3_publisher_body"


class Body(list):  # type: ignore[type-arg]  # botocore passes on what it is given: nobody looks inside
    """Stands in for the entries in boto3's parameters until our handler exchanges it."""

    __slots__ = ("answered", "encoded", "learn")

    encoded: bytes
    #: is given the request that botocore makes of it
    learn: Callable[[Any], None] | None
    #: the answer, where it is there already: botocore's response, and it parsed
    answered: Callable[[], tuple[Any, Any]] | None


class Ways(NamedTuple):
    """How a client's batches may go.

    Attributes:
        listeners: who looks at them, to be asked before each; None where botocore makes the bodies.
        direct: the direct way; None where there is none.
        why_not: in words, why there is none.
    """

    listeners: Listeners | None
    direct: Direct | None
    why_not: str = ""


def install(client: Any, service: Service, guards: Sequence[Callable[[str], None]] = ()) -> Ways:
    """Put the fast path of ``service`` on a boto3 client.

    Args:
        client: one that this package made.
        service: what its batches are.
        guards: asked with the address before the direct way is taken.
    """
    path = service.fast
    if path is None:
        return Ways(None, None, "there is none for this service")
    if os.environ.get("BOTO3_PUBLISHER_FAST", "1") == "0":
        return Ways(None, None, "BOTO3_PUBLISHER_FAST=0 turns the direct way off")
    model = client.meta.service_model
    if getattr(model, "resolved_protocol", model.metadata.get("protocol")) != path.protocol:
        return Ways(None, None, "this botocore speaks another protocol to the service")
    operation = client.meta.method_to_api_mapping[service.batch]
    listeners = _put_on(client, operation, service, path)
    try:
        return Ways(listeners, Direct(client, service, operation, guards))
    except AttributeError as error:  # a botocore that has another way, or somebody stands on it
        return Ways(listeners, None, printable(str(error)))


def _put_on(client: Any, operation: str, service: Service, path: Fast) -> Listeners:
    """Register what exchanges the bodies, reads the answers, and shows what was signed."""
    parameter = service.entries_parameter

    def exchange(
        params: dict[str, Any], context: dict[str, Any], **_: Any
    ) -> dict[str, Any] | None:
        entries = params.get(parameter)
        if type(entries) is not Body:
            return None
        context[_CONTEXT] = entries
        return {**params, parameter: path.stub}

    def put_body(params: dict[str, Any], context: dict[str, Any], **_: Any) -> Any:
        entries = context.get(_CONTEXT)
        if entries is None:
            return None
        params["body"] = entries.encoded
        return None if entries.answered is None else entries.answered()

    def learn(request: Any, **_: Any) -> None:
        entries = request.context.pop(_CONTEXT, None)
        if entries is not None and entries.learn is not None:
            entries.learn(request)

    def read(
        response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any
    ) -> None:
        body: Any = response_dict.get("body")
        plain = type(body) is bytes and len(body) <= path.largest and listeners.nobody()
        if plain and response_dict.get("status_code") == 200:
            found = path.read(body)
            if found is not None:
                response, response_dict["body"] = found
                customized_response_dict.update(response)

    events = client.meta.events
    service_id = client.meta.service_model.service_id.hyphenize()
    events.register(f"provide-client-params.{service_id}.{operation}", exchange)
    events.register(f"before-call.{service_id}.{operation}", put_body)
    events.register(f"before-parse.{service_id}.{operation}", read)
    # Last of all, where botocore's own handlers are: what it is shown is signed and complete.
    events.register_last("request-created", learn)
    listeners = Listeners(client, operation, service.batch)
    return listeners


def encode(
    service: Service,
    address: Any,
    entries: Sequence[Any],
    learn: Callable[[Any], None] | None = None,
    answered: Callable[[], tuple[Any, Any]] | None = None,
) -> dict[str, Any]:
    """boto3's parameters with the body in place of the entries, where there is a fast path.

    Args:
        service: what the batch is.
        address: of its destination.
        entries: all of it.
        learn: is given the request that botocore makes of it.
        answered: the answer, where it is there already; botocore sends nothing then.
    """
    assert service.fast is not None
    rest, encoded = service.fast.encode(address, entries)
    body = Body()
    body.encoded, body.learn, body.answered = encoded, learn, answered
    return {service.entries_parameter: body, **rest}
