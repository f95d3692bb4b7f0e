"""Whether botocore's way from a client's method to the socket is just what botocore made it.

The direct way leaves that way out. Whoever stands on it must be met: an event handler, a wrapped or
replaced function, an instrumentation, a mock. An application may put one there at any time, so this
is asked again at each request; it costs a few microseconds.
"""

from __future__ import annotations

import http.client
import os
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any, NamedTuple

import botocore.auth
import botocore.awsrequest
import botocore.endpoint
import botocore.httpsession
import botocore.signers

from ..listeners import Listeners

#: All that botocore emits for a request.
_EVENTS = (
    "provide-client-params.{service}.{operation}",
    "before-parameter-build.{service}.{operation}",
    "before-endpoint-resolution.{service}",
    "before-call.{service}.{operation}",
    "request-created.{service}.{operation}",
    "choose-signer.{service}.{operation}",
    "before-sign.{service}.{operation}",
    "before-send.{service}.{operation}",
    "response-received.{service}.{operation}",
    "before-parse.{service}.{operation}",
    "needs-retry.{service}.{operation}",
    "after-call.{service}.{operation}",
    "after-call-error.{service}.{operation}",
)
#: Of these botocore has no handler of its own that may be left out: its rate limit is one.
_BARE = ("before-send.{service}.{operation}", "response-received.{service}.{operation}")
_HOMES = ("botocore.", "urllib3.", "http.client")
_CLIENT = (
    "_make_api_call",
    "_emit_api_params",
    "_resolve_endpoint_ruleset",
    "_convert_to_request_dict",
    "_make_request",
)
_ENDPOINT = (
    "make_request",
    "create_request",
    "prepare_request",
    "_encode_headers",
    "_send_request",
    "_get_response",
    "_do_get_response",
    "_needs_retry",
    "_send",
)
_SIGNER = ("handler", "sign", "_choose_signer", "get_auth_instance")
_SESSION = ("send", "_get_connection_manager", "_setup_ssl_cert", "_get_request_target")
_AUTH = (
    "add_auth",
    "canonical_request",
    "canonical_headers",
    "headers_to_sign",
    "payload",
    "string_to_sign",
    "signature",
    "_inject_signature_to_request",
    "_modify_request_before_signing",
)
_POOL = ("urlopen", "_make_request", "_get_conn", "_put_conn")
_CONNECTION = (
    "request",
    "_send_request",
    "putrequest",
    "putheader",
    "endheaders",
    "send",
    "getresponse",
)
_RESPONSE = ("begin", "read")
#: Named by all botocores; the private ones may go, and then the direct way is not taken.
_NEEDED = frozenset(
    {"_make_api_call", "_do_get_response", "sign", "send", "_get_conn", "_put_conn"}
)


class Refusal(NamedTuple):
    """Why a request goes botocore's way."""

    reason: str


LISTENED = Refusal("somebody listens to, wraps or replaces a part of botocore's way")
DEBUGGED = Refusal("botocore's log is at DEBUG")
TRACED = Refusal("AWS Lambda's trace id goes with each request")


class Way:
    """botocore's way of one operation of one client.

    Made when the client is new: what stands on the way at that moment, and is botocore's or this
    package's own, is taken as nobody.

    Args:
        client: a boto3 client that this package made.
        operation: the operation's name in the API: ``PutRecords``.
        method: boto3's name of it.

    Raises:
        AttributeError: this botocore has another way.
    """

    def __init__(self, client: Any, operation: str, method: str) -> None:
        self._client = client
        self.endpoint = client._endpoint
        self.session = self.endpoint.http_session
        self.signer = client._request_signer
        _ = self.signer._credentials
        self.listeners = Listeners(client, operation, method, _EVENTS, _BARE)
        emitter = client.meta.events._emitter
        awsrequest = botocore.awsrequest
        parts: list[tuple[type, tuple[str, ...]]] = [
            (type(client), (method, *_CLIENT)),
            (botocore.endpoint.Endpoint, _ENDPOINT),
            (botocore.signers.RequestSigner, _SIGNER),
            (botocore.auth.SigV4Auth, _AUTH),
            (botocore.httpsession.URLLib3Session, _SESSION),
            (awsrequest.AWSHTTPConnectionPool, _POOL),
            (awsrequest.AWSHTTPSConnectionPool, _POOL),
            (awsrequest.AWSHTTPConnection, _CONNECTION),
            (awsrequest.AWSHTTPSConnection, _CONNECTION),
            # urllib3's own functions call these, which instrumentations of HTTP wrap.
            (http.client.HTTPConnection, _CONNECTION),
            (http.client.HTTPResponse, _RESPONSE),
            (type(emitter), ("emit", "emit_until_response")),
        ]
        #: Owner, name, and what has to stand there.
        self._functions: list[tuple[Any, str, Any]] = [
            (owner, name, _plain(owner, name))
            for owner, names in parts
            for name in names
            if name in _NEEDED or hasattr(owner, name)
        ]
        self._functions += [
            (awsrequest.AWSHTTPConnectionPool, "ConnectionCls", awsrequest.AWSHTTPConnection),
            (awsrequest.AWSHTTPSConnectionPool, "ConnectionCls", awsrequest.AWSHTTPSConnection),
            (client, "_endpoint", self.endpoint),
            (client, "_request_signer", self.signer),
            (self.endpoint, "http_session", self.session),
        ]
        self._are_there = _comparison(self._functions)
        kinds = (
            (self.endpoint, botocore.endpoint.Endpoint, _ENDPOINT),
            (self.session, botocore.httpsession.URLLib3Session, _SESSION),
            (self.signer, botocore.signers.RequestSigner, _SIGNER),
            (client, type(client), (method, *_CLIENT)),
        )
        if any(type(one) is not kind for one, kind, _ in kinds):
            raise AttributeError("a part of botocore's way is of another class than botocore's own")
        #: Instances, and names that they may not have of their own.
        self._instances = [(vars(one), frozenset(names)) for one, _, names in kinds]

    def refusal(self) -> Refusal | None:
        """Why the next request has to go botocore's way; None where nothing is on it."""
        if not self._is_bare():
            return LISTENED
        if botocore.endpoint.logger.isEnabledFor(10):
            return DEBUGGED
        if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
            return TRACED
        return None

    def _is_bare(self) -> bool:
        try:
            if not self._are_there():
                return False
            for own, names in self._instances:
                if not names.isdisjoint(own):
                    return False
            return (
                botocore.auth.AUTH_TYPE_MAPS["v4"] is botocore.auth.SigV4Auth
                and self.listeners.nobody_listens()
            )
        except (AttributeError, KeyError):
            return False


def _comparison(functions: Sequence[tuple[Any, str, Any]]) -> Callable[[], bool]:
    """What tells whether each owner still has, by its name, the very part that it is given with.

    One expression, ``owner0.name is part0 and ...``: Python keeps beside each attribute in it where
    it was found, which ``getattr`` has to find again: a fifth of the time.
    """
    given: dict[str, Any] = {}
    for index, (owner, _, part) in enumerate(functions):
        given |= {f"owner{index}": owner, f"part{index}": part}
    text = " and ".join(
        f"owner{index}.{name} is part{index}" for index, (_, name, _) in enumerate(functions)
    )
    made: Callable[[], bool] = eval(f"lambda: {text}", given)  # noqa: S307 - of names in this file
    return made


def _plain(owner: type, name: str) -> Any:
    """A class's function, whose code is in botocore's, urllib3's or ``http.client``'s own files."""
    function = getattr(owner, name)
    home = function.__globals__["__name__"] if type(function) is FunctionType else ""
    if not home.startswith(_HOMES):
        raise AttributeError(f"{owner.__name__}.{name} is wrapped")
    return function
