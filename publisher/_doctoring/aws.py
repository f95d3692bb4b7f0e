"""Region, credentials, the way to a destination. Nothing is published, no secret shown."""

from __future__ import annotations

import datetime as dt
import email.utils
import os
import socket
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import SplitResult

from .._account.causes import ACCESS, CREDENTIALS, MISSING, Scene, cause, remedy
from .._aws.connection import Connection
from .._aws.refusals import check
from .._aws.secrets import told
from .._aws.targets import api_name
from .._engine.contract import Service
from ..services import by_option, names
from .finding import ERROR, OK, WARNING, Finding
from .live import ENDPOINT_RULE, endpoint, parts_of

_TIMEOUT = 5  # seconds
_MAX_SKEW = 240  # seconds; AWS refuses signatures that are 300 off


def findings(
    destinations: Mapping[str, str], region: str | None, endpoint_url: str | None
) -> Iterator[Finding]:
    """Everything that has to do with AWS. Requests are made for ``destinations`` only."""
    import boto3

    try:
        session = boto3.Session()
        found = region or session.region_name
    except Exception as error:  # noqa: BLE001 - a broken profile is a finding
        yield Finding(ERROR, "settings", _short(error), "mend ~/.aws/config or AWS_PROFILE")
        return
    yield from _region(found, next(iter(destinations.values()), None))
    yield from _refused(found, endpoint_url)
    yield from _credentials(session)
    for name in sorted(os.environ):
        # boto3 takes an empty one for none.
        if name.startswith("AWS_ENDPOINT_URL") and endpoint_url is None and os.environ[name]:
            yield from _configured(name, os.environ[name])
    known = by_option()
    for option, target in destinations.items():
        yield from _destination(session, known[option], target, found, endpoint_url)


def _refused(region: str | None, endpoint_url: str | None) -> Iterator[Finding]:
    """What ``client()`` refuses here, without the network."""
    kwargs = {"region_name": region, "endpoint_url": endpoint_url}
    said: dict[str, list[str]] = {}
    for service in names():
        try:
            check(service, None, kwargs, needs_region=False)
        except Exception as error:  # noqa: BLE001 - whatever boto3 says is the finding
            said.setdefault(f"{type(error).__name__}: {_short(error)}", []).append(service)
    for text, services in said.items():
        yield Finding(
            ERROR,
            f"client({', '.join(services)})",
            text,
            "boto3.client() refuses it too: correct it in the environment or ~/.aws/config",
        )


def _configured(name: str, url: str) -> Iterator[Finding]:
    parts = parts_of(url)
    if parts is None:
        yield _no_endpoint("endpoint", name)
        return
    shown = f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}"
    yield Finding(OK, "endpoint", f"{name} is set: {shown}")  # without a password in it
    yield from endpoint("endpoint", url)


def _no_endpoint(about: str, name: str) -> Finding:
    text = f"{name} is nothing that requests can be sent to: {ENDPOINT_RULE}"
    return Finding(ERROR, about, text, "set it to one such as http://localhost:4566, or remove it")


def _region(region: str | None, target: str | None) -> Iterator[Finding]:
    if region:
        yield Finding(OK, "region", region)
    elif target is None or not target.startswith("arn:"):
        yield Finding(
            ERROR, "region", "none is set", "set AWS_DEFAULT_REGION, or region in ~/.aws/config"
        )


def _credentials(session: Any) -> Iterator[Finding]:
    try:
        credentials = session.get_credentials()
    except Exception as error:  # noqa: BLE001 - a broken profile is a finding
        yield Finding(ERROR, "credentials", _short(error), "mend ~/.aws/credentials")
        return
    if credentials is None:
        yield Finding(
            ERROR,
            "credentials",
            "none were found",
            "give the process a role, set AWS_PROFILE, or AWS_ACCESS_KEY_ID and its secret",
        )
    else:
        yield Finding(OK, "credentials", f"found, by {credentials.method}")


def _destination(
    session: Any, service: Service, target: str, region: str | None, endpoint_url: str | None
) -> Iterator[Finding]:
    home = target.split(":")[3] if target.count(":") >= 5 else ""
    about = f"{service.name} {target.rpartition(':')[2].rpartition('/')[2]}"
    if home and region and home != region:
        yield Finding(
            ERROR,
            about,
            f"wrong region: its ARN says {home}, a client made here is for {region}",
            f"make the client with region_name={home!r}",
        )
    if endpoint_url is not None and parts_of(endpoint_url) is None:
        yield _no_endpoint(about, "the endpoint URL")
        return
    try:
        client = _client(session, service.name, region or home or None, endpoint_url)
    except Exception as error:  # noqa: BLE001 - whatever boto3 says is the finding
        yield Finding(ERROR, about, _short(error))
        return
    url = client.meta.endpoint_url
    parts = parts_of(url)
    if parts is None:  # boto3 looks less closely
        yield _no_endpoint(about, "the endpoint URL")
        return
    yield from endpoint(about, url)
    yield from _reach(about, parts)
    scene = Scene(service.permission, region or home, home, own=service.causes)
    yield from _try(about, client, service, target, scene)


def _client(session: Any, service: str, region: str | None, endpoint_url: str | None) -> Any:
    kwargs = {"region_name": region, "endpoint_url": endpoint_url}
    given = {name: value for name, value in kwargs.items() if value is not None}
    timeouts = {"connect_timeout": _TIMEOUT, "read_timeout": _TIMEOUT}
    return Connection(service, region, given, session, None, timeouts, 1).get()


def _reach(about: str, parts: SplitResult) -> Iterator[Finding]:
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY")):
        return  # only the request below can tell what a proxy reaches
    try:
        socket.create_connection((parts.hostname or "", port), timeout=_TIMEOUT).close()
    except OSError as error:
        yield Finding(
            ERROR,
            about,
            f"{parts.hostname}:{port} cannot be reached: {error.strerror or error}",
            "see to the network: DNS, security group, VPC endpoint, proxy",
        )
    else:
        yield Finding(OK, about, f"{parts.hostname}:{port} accepts connections")


def _try(about: str, client: Any, service: Service, target: str, scene: Scene) -> Iterator[Finding]:
    """Ask to publish what cannot be stored: AWS refuses who may not before it looks at that."""
    try:
        model = client.meta.service_model.operation_model(api_name(service.batch))
        probe = service.probe(model.input_shape.members)
        answer = getattr(client, service.batch)(**service.addressed(service.named(target), probe))
    except Exception as error:  # noqa: BLE001 - the error is what is asked for
        response = getattr(error, "response", None) or {}
        code = str(response.get("Error", {}).get("Code") or type(error).__name__)
        if code in service.probe_codes:
            yield Finding(OK, about, f"publishing is permitted ({scene.permission})")
        else:
            why = cause(code, scene)
            yield Finding(ERROR, about, f"{code}{', ' if why else ''}{why}", _todo(code, scene))
        answer = response
    else:
        yield Finding(OK, about, f"publishing is permitted ({scene.permission})")
    yield from _clock(answer)


def _todo(code: str, scene: Scene) -> str:
    if code in ACCESS:
        return f"allow {scene.permission} on it in the role's policy, and in its resource policy"
    if code in CREDENTIALS:
        return "renew the credentials; see that the machine's clock is right"
    if code in MISSING:
        return "see that name, region and account are those of a destination that exists"
    if code in ("ReadTimeoutError", "ConnectTimeoutError"):
        return "something on the way swallows requests: a firewall, a proxy, a dead VPC endpoint"
    return remedy(code, scene)


def _clock(answer: Any) -> Iterator[Finding]:
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}) if answer else {}
    try:
        theirs = email.utils.parsedate_to_datetime(headers["date"])
    except (KeyError, TypeError, ValueError):
        return
    if theirs.tzinfo is None:
        return
    skew = (dt.datetime.now(dt.timezone.utc) - theirs).total_seconds()
    if abs(skew) > _MAX_SKEW:
        yield Finding(
            WARNING,
            "clock",
            f"this machine's is {skew:+.0f} s off: signatures are refused beyond 300 s",
            "synchronise it (NTP)",
        )


def _short(error: Exception) -> str:
    return told(error)[:200] or type(error).__name__
