"""What ``client()`` may be called with, and when two calls of it mean the same client."""

from __future__ import annotations

import hashlib
import os
import sys
import warnings
from typing import Any

from . import services
from ._frames import outside

_SECRETS = frozenset({"aws_secret_access_key", "aws_session_token", "aws_access_key_id"})
KNOWN = frozenset(
    # boto3.client's own
    {
        "region_name",
        "api_version",
        "use_ssl",
        "verify",
        "endpoint_url",
        "aws_access_key_id",
        "aws_secret_access_key",
        "aws_session_token",
        "aws_account_id",
        "config",
    }
)
_salt = os.urandom(16)


def check_arguments(service_name: str, session: Any, client: Any, kwargs: dict[str, Any]) -> None:
    """Raise for arguments that no client can be made of.

    Raises:
        ValueError: an unknown service, or ``client=`` with other arguments or of another service.
        TypeError: an unknown argument, or something that is no session or no client.
    """
    if service_name not in services.names():
        known = ", ".join(repr(name) for name in services.names())
        raise ValueError(f"unknown service {service_name!r}; the supported services are {known}")
    for name in kwargs:
        if name not in KNOWN:
            raise TypeError(
                f"unknown argument {name!r}; client() takes boto3.client's own, session= and"
                " client="
            )
    if client is not None:
        _check_client(service_name, session, client, kwargs)
    if session is not None and not callable(getattr(session, "client", None)):
        raise TypeError(f"session= must be a boto3.Session, not {type(session).__name__}")


def _check_client(service_name: str, session: Any, client: Any, kwargs: dict[str, Any]) -> None:
    if session is not None or kwargs:
        others = ", ".join(sorted([*kwargs, *(["session"] if session is not None else [])]))
        raise ValueError(f"client= is used as it is: {others} cannot be given with it")
    model = getattr(getattr(client, "meta", None), "service_model", None)
    if model is None:
        raise TypeError(f"client= must be a boto3 client, not {type(client).__name__}")
    if model.service_name != service_name:
        raise ValueError(f"client= is a client of {model.service_name!r}, not of {service_name!r}")


def warn_of_own_client() -> None:
    """Warn that a client that was given is used as it is."""
    warnings.warn(
        "client= is used as it is: its own retries and time-outs apply on top of this publisher's",
        stacklevel=outside(),
    )


def key_of(service_name: str, session: Any, client: Any, kwargs: dict[str, Any]) -> Any:
    """A key that is equal for calls of ``client()`` that mean the same client.

    Sessions and clients count by identity, and boto3's default session is one where it exists. A
    ``Config`` counts by its options. Secrets are only in it as hashes.
    """
    if session is None and client is None:
        session = default_session()
        if not kwargs and session is None:
            return service_name  # the quick way: people call it inside views
    return (service_name, *_key(session, client, kwargs))


def default_session() -> Any:
    """boto3's default session, where the application has set one up; else None."""
    return getattr(sys.modules.get("boto3"), "DEFAULT_SESSION", None)


def _key(session: Any, client: Any, kwargs: dict[str, Any]) -> tuple[Any, ...]:
    parts: list[Any] = [id(session), id(client)]
    for name in sorted(kwargs):
        value = kwargs[name]
        if name in _SECRETS and isinstance(value, str):
            value = hashlib.blake2b(value.encode(), key=_salt).digest()
        elif name == "config" and value is not None:
            value = _frozen(getattr(value, "_user_provided_options", None) or id(value))
        parts.append((name, _frozen(value)))
    return tuple(parts)


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return tuple(
            (key, _frozen(item))
            for key, item in sorted(value.items(), key=lambda pair: str(pair[0]))
        )
    if isinstance(value, (list, tuple)):
        return tuple(_frozen(item) for item in value)
    try:
        hash(value)
    except TypeError:
        return id(value)
    return value
