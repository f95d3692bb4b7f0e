"""What the command lines of the frameworks share: ``check``, ``stats`` and ``send``."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from .._aws.secrets import told
from .._client import Client
from .._counting import counted
from .._engine.future import PublishFuture
from .._options import Options, check_options
from .._text import escaped, masked_address
from ..services import by_option, flag

#: Such answers only say that this role may not read about the destination.
_DENIED = ("AccessDenied", "AccessDeniedException", "AuthorizationError")

_ENDS = ("delivered", "failed", "dropped", "cancelled")

MakeClient = Callable[[str], Client]


class CommandFailedError(Exception):
    """A command failed; the text is for the person at the terminal."""


def check(
    client: MakeClient, destinations: Mapping[str, Sequence[str]], timeout: float
) -> Iterator[str]:
    """Ask AWS for each destination, without sending anything; a line on each.

    Args:
        client: makes a client of a service.
        destinations: names or ARNs, by the option of their service, such as ``"topic"``.
        timeout: seconds for each.

    Raises:
        CommandFailedError: at the end, if one of them cannot be published to; at once for a
            timeout that is not allowed.
    """
    failed = 0
    asked = [
        (service, name)
        for option, service in by_option().items()
        for name in destinations.get(option, ())
    ]
    for service, name in asked:
        _check_timeout(timeout)
        try:
            patient = _patient(client, service.name, timeout)
            if patient._publisher._backend is not None:
                yield f"{escaped(name)}: not asked, BACKEND 'console' sends nothing"
                continue
            _outcome(patient, service.look, service.look_at(service.named(name)))
        except CommandFailedError as error:
            if any(code in str(error) for code in _DENIED):
                yield f"{escaped(name)}: not known, this role may not read it"
            else:
                failed += 1
                yield f"{escaped(name)}: {error}"
        else:
            yield f"{escaped(name)}: ok"
    if failed:
        of = counted(len(asked), "destination")
        raise CommandFailedError(f"{failed} of {of} cannot be published to")


def send(
    client: MakeClient,
    *,
    destinations: Mapping[str, str | None],
    text: str,
    key: str,
    timeout: float,
) -> str:
    """Send one message and wait; returns a line that says where it is stored.

    Args:
        client: makes a client of a service.
        destinations: a name or ARN, or None, by the service's option.
        text: the message.
        key: the message's, where the service has keys: Kinesis's partition key.
        timeout: seconds.

    Raises:
        CommandFailedError: not delivered, not exactly one destination, or a timeout that is not
            allowed.
    """
    given = [
        (service, name)
        for option, service in by_option().items()
        if (name := destinations.get(option)) is not None
    ]
    if len(given) != 1:
        raise CommandFailedError(f"give one of {', '.join(map(flag, by_option()))}")
    ((service, name),) = given
    patient = _patient(client, service.name, timeout, linger=0)
    message = service.addressed(service.named(name), service.message(text, key))
    response = _outcome(patient, service.single, message)
    try:
        return f"delivered: {service.receipt_of(response)}"
    except ValueError as error:
        raise CommandFailedError(told(error)) from error


def _patient(make: MakeClient, service: str, timeout: float, **options: Any) -> Client:
    from .._aws.refusals import KINDS

    _check_timeout(timeout)
    try:
        client = make(service)
    except KINDS as error:
        raise CommandFailedError(f"{type(error).__name__}: {told(error)}") from error
    return client.with_options(delivery_timeout=timeout, **options)


def _check_timeout(timeout: float) -> None:
    try:
        check_options(Options(), {"delivery_timeout": timeout})
    except ValueError as error:
        raise CommandFailedError(f"--timeout: {error}") from error


def _outcome(client: Client, operation: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        # The look-up of the operation is in here too: mostly it makes the boto3 client, which fails
        # where no region is set. delivery_timeout bounds the wait, and so do the time-outs of a
        # request that is in flight by then.
        future: PublishFuture[Mapping[str, Any]] = getattr(client, operation)(**params)
        return future.result()
    except Exception as error:  # InvalidMessage among them, which quotes no message
        raise CommandFailedError(f"{type(error).__name__}: {told(error)}") from error


def fetched(url: str, timeout: float = 10.0) -> Iterator[str]:
    """The account of a running server, read from its health view: a line for each destination.

    Raises:
        CommandFailedError: there is no such view.
    """
    if not url.startswith(("http://", "https://")):
        raise CommandFailedError("the address of the health view begins with http:// or https://")
    shown = escaped(masked_address(url))
    try:
        body = _body(url, timeout)
    except (
        OSError,
        ValueError,
        http.client.HTTPException,
    ) as error:  # none of these is a subclass of another
        raise CommandFailedError(f"{shown} cannot be read: {told(error)}") from error
    try:
        yield from _lines(json.loads(body))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CommandFailedError(f"{shown} is not a publisher's health view") from error


def _body(url: str, timeout: float) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=timeout) as response:  # noqa: S310  # http, by now
            return bytes(response.read())
    except urllib.error.HTTPError as error:
        return error.read()  # 503 is how the view says that something is wrong


def _lines(views: Mapping[str, Any]) -> Iterator[str]:
    for alias, view in views.items():
        state = "healthy" if view["healthy"] else "; ".join(view["problems"])
        degraded = "".join(f"; degraded: {text}" for text in view.get("degraded", ()))
        yield escaped(f"{alias}: {state}{degraded}")
        for name, ledger in {"total": view["total"], **view["destinations"]}.items():
            spooled = ("spooled",) if ledger.get("spooled") else ()
            ends = ("accepted", *_ENDS, *spooled, "outstanding")
            yield escaped(f"  {name}: " + ", ".join(f"{end} {ledger[end]:,}" for end in ends))
