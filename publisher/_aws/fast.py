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
from collections.abc import Sequence
from typing import Any

from .._engine.contract import Service
from .listeners import Listeners

#: Under this key the body waits in botocore's request context, between the two events.
_CONTEXT = "boto3_publisher_body"


class Body(list):  # type: ignore[type-arg]  # botocore passes on what it is given: nobody looks inside
    """Stands in for the entries in boto3's parameters until our handler exchanges it."""

    __slots__ = ("encoded",)

    encoded: bytes


def install(client: Any, service: Service) -> Listeners | None:
    """Put the fast path of ``service`` on a boto3 client.

    Returns:
        who looks at its requests, to be asked before each; None where there is no fast path for the
        service, or it is turned off.
    """
    path, parameter = service.fast, service.entries_parameter
    if path is None or os.environ.get("BOTO3_PUBLISHER_FAST", "1") == "0":
        return None
    model = client.meta.service_model
    if getattr(model, "resolved_protocol", model.metadata.get("protocol")) != path.protocol:
        return None
    operation = client.meta.method_to_api_mapping[service.batch]

    def exchange(
        params: dict[str, Any], context: dict[str, Any], **_: Any
    ) -> dict[str, Any] | None:
        entries = params.get(parameter)
        if type(entries) is not Body:
            return None
        context[_CONTEXT] = entries.encoded
        return {**params, parameter: path.stub}

    def put_body(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        encoded = context.pop(_CONTEXT, None)
        if encoded is not None:
            params["body"] = encoded

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
    service_id = model.service_id.hyphenize()
    events.register(f"provide-client-params.{service_id}.{operation}", exchange)
    events.register(f"before-call.{service_id}.{operation}", put_body)
    events.register(f"before-parse.{service_id}.{operation}", read)
    listeners = Listeners(client, operation, service.batch)
    return listeners


def encode(service: Service, address: Any, entries: Sequence[Any]) -> dict[str, Any]:
    """boto3's parameters with the body in place of the entries, where there is a fast path."""
    assert service.fast is not None
    rest, encoded = service.fast.encode(address, entries)
    body = Body()
    body.encoded = encoded
    return {service.entries_parameter: body, **rest}
