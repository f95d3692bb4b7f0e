"""What an exception of boto3's means for a message, decided in one place."""

from __future__ import annotations

import http.client
from dataclasses import replace
from typing import Any

from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from .._account.causes import is_out_of_time, is_stale, is_throttled
from .._account.events import Failure
from .._engine.contract import EntryError, Service, Verdict
from .._text import printable
from ..errors import InvalidMessage
from .codes import verdict as verdict_of
from .connection import NoSuchPortError, NotMadeError, StillFetching
from .exceptions import REFUSED, kept, quotes_values
from .reached import NOWHERE, Reached, Stage, inner_errors
from .secrets import told

#: Raised before anything was sent, unless the traceback says otherwise.
_NOT_SENT = (
    boto.EndpointConnectionError,
    boto.ConnectTimeoutError,
    boto.ProxyConnectionError,
    boto.CredentialRetrievalError,
    boto.MetadataRetrievalError,
)
#: Raised before a request was signed.
_OF_CREDENTIALS = (
    boto.NoAuthTokenError,
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.SSOError,
    boto.TokenRetrievalError,
)
#: Raised where the source of credentials exists, and what it holds cannot be read (yet).
_UNREAD = (boto.ConfigParseError, StillFetching)
#: botocore wraps faults of the network in these, and all else that is raised in its HTTP session.
_OF_THE_SESSION = (boto.HTTPClientError, boto.ConnectionError)
_PASSING = (408, 429)  # HTTP's own words for "later"
_WRONG_HEADER = (
    "a header of the request has a character that no header may have, a line break perhaps: look at"
    " the session token, and at user_agent_extra; its value is left out"
)
_UNBUILT = (
    "the request could not be built from this message; the text of the error is left out because it"
    " may quote it"
)


def whole_failure(
    error: BaseException,
    service: Service,
    count: int,
    *,
    unknown_passes: bool,
    operation: str = "",
    reached: Reached = NOWHERE,
) -> tuple[Failure, Verdict]:
    """What a request of ``count`` entries met, and what that means for them.

    Args:
        error: what the call raised.
        service: whose codes they are.
        count: how many entries the request carried.
        unknown_passes: an error code that no table knows may be gone at the next try.
        operation: boto3's method name of the operation, where it is not one of the service's two.
        reached: how far the request got.
    """
    failure, verdict = _judged(error, service, count, unknown_passes, operation, reached)
    # Attempts show it: their owners may look at it, log it and pickle it.
    return replace(failure, error=kept(failure.error)), verdict


def _judged(
    error: BaseException,
    service: Service,
    count: int,
    unknown_passes: bool,
    operation: str,
    reached: Reached,
) -> tuple[Failure, Verdict]:
    if isinstance(error, NotMadeError) and error.__cause__ is not None:
        return _of_making(error.__cause__)
    if _is_of_another(error, service, operation) or reached.stage is Stage.CREDENTIALS:
        return _of_another(error)
    if isinstance(error, _OF_CREDENTIALS):
        return _of_another(error)
    if isinstance(error, boto.ClientError):
        return _refused(error, service, count, unknown_passes)
    if reached.unreadable or isinstance(error, ResponseParserError):
        return _unreadable(error, service, count, unknown_passes, reached)
    return _unanswered(error, count, reached)


def _unanswered(error: BaseException, count: int, reached: Reached) -> tuple[Failure, Verdict]:
    if not reached.left and not reached.building and _is_wrong(error):
        inner = _unwrapped(error)
        code = type(inner if isinstance(inner, BaseException) else error).__name__
        if "header" in str(inner):  # Python's text quotes it, and it may be a session token
            error = boto.HTTPClientError(error=_WRONG_HEADER)
        return Failure(code, told(error), final=True, error=error), Verdict.FINAL
    if _is_of_the_network(error):
        return _of_the_network(error, reached), Verdict.RETRY
    if isinstance(error, boto.BotoCoreError) and not isinstance(error, _OF_THE_SESSION):
        # no region, a bad parameter, a stubber: not sent, and nothing changes by itself
        split = isinstance(error, boto.ParamValidationError) and count > 1
        text = REFUSED if quotes_values(error) else told(error)
        failure = Failure(type(error).__name__, text, final=True, error=error)
        return failure, Verdict.SPLIT if split else Verdict.FINAL
    return _of_this_process(error, count, reached)


def _of_making(error: BaseException) -> tuple[Failure, Verdict]:
    """The boto3 client could not be made."""
    if not isinstance(error, NoSuchPortError):
        return _of_another(error)
    return Failure(type(error).__name__, told(error), final=True, error=error), Verdict.FINAL


def _is_of_another(error: BaseException, service: Service, operation: str) -> bool:
    """Whether it answers another operation: a credential provider's, or an event handler's."""
    if not isinstance(error, boto.ClientError):
        return False
    own = (service.single, service.batch, operation)
    named = str(error.operation_name).replace("_", "").lower()
    return named not in [each.replace("_", "") for each in own]


def _of_another(error: BaseException) -> tuple[Failure, Verdict]:
    """The failure where another operation was answered with an error, so that nothing was sent.

    It says nothing about the entries, and its code is none of the service's. A source of
    credentials that failed, or cannot be read, is asked again until the deadline; one that said no,
    for a while.
    """
    if isinstance(error, boto.ClientError):
        code, text, status, metadata = _described(error)
        passing = status >= 500 or status in _PASSING or is_throttled(code)
        failure = Failure(
            code,
            text,
            error=error,
            metadata=metadata,
            operation=printable(error.operation_name),
            no_credentials=not passing,
        )
    else:
        failed = (*_NOT_SENT, *_OF_THE_SESSION, *_UNREAD, ResponseParserError)
        text = REFUSED if quotes_values(error) else told(error)
        # A class of botocore's is a "no"; one of Python's means that the source was not readable.
        no = isinstance(error, boto.BotoCoreError) and not isinstance(error, failed)
        failure = Failure(type(error).__name__, text, error=error, no_credentials=no)
    return failure, Verdict.RETRY


def _described(error: boto.ClientError) -> tuple[str, str, int, dict[str, Any]]:
    """Code, text, status and metadata of an error answer.

    For an answer that is not in the service's protocol (the page of a firewall) botocore has no
    code, and the text "Unknown". Here the HTTP status is its code.
    """
    described = error.response.get("Error") or {}
    metadata: dict[str, Any] = dict(error.response.get("ResponseMetadata") or {})
    status = metadata.get("HTTPStatusCode", 0)
    code = described.get("Code") or (str(status) if status >= 300 else "Unknown")
    text = described.get("Message") or (_wordless(status) if not described else "")
    return printable(code), printable(text), status, metadata


def _wordless(status: int) -> str:
    return f"answered with status {status}, not in the service's own words"


def _refused(
    error: boto.ClientError, service: Service, count: int, unknown_passes: bool
) -> tuple[Failure, Verdict]:
    code, text, status, metadata = _described(error)
    old, stale = is_out_of_time(code, text), is_stale(code, text)
    if old or stale:  # where stale, another client is made meanwhile, from what is configured then
        failure = Failure(
            code, text, error=error, metadata=metadata, no_credentials=stale, out_of_time=old
        )
        return failure, Verdict.RETRY
    verdict, final = _judge(service, code, status, count, unknown_passes)
    failure = Failure(code, text, final, status >= 500, error=error, metadata=metadata)
    return failure, verdict


def _judge(
    service: Service, code: str, status: int, count: int, unknown_passes: bool
) -> tuple[Verdict, bool]:
    """What an error answer means for the request, and whether it is final for an entry alone."""
    known = verdict_of(service, code, whole=count > 1)
    if known is not None:
        return known, verdict_of(service, code, whole=False) is Verdict.FINAL
    if status == 413:
        return (Verdict.SPLIT if count > 1 else Verdict.FINAL), True
    if 400 <= status < 500 and status not in (*_PASSING, 407) and count > 1:
        return Verdict.SPLIT, False  # a firewall may have stopped it because of one entry
    if unknown_passes or status >= 500 or status in _PASSING:
        return Verdict.RETRY, False
    return Verdict.FINAL, True


def _unreadable(
    error: BaseException, service: Service, count: int, unknown_passes: bool, reached: Reached
) -> tuple[Failure, Verdict]:
    """An answer that botocore could not parse, by its status where that is an error's."""
    status = reached.status
    if status < 300:
        failure = Failure(
            type(error).__name__, told(error), unknown=True, error=error, unreadable=True
        )
        return failure, Verdict.RETRY
    verdict, final = _judge(service, str(status), status, count, unknown_passes)
    metadata = {"HTTPStatusCode": status, "HTTPHeaders": dict(reached.headers)}
    failure = Failure(
        str(status), _wordless(status), final, status >= 500, error=error, metadata=metadata
    )
    return failure, verdict


def _unwrapped(error: BaseException) -> Any:
    """What was raised inside botocore's HTTP session."""
    inner = getattr(error, "kwargs", {}).get("error")
    return error if inner is None or not isinstance(error, _OF_THE_SESSION) else inner


def _is_wrong(error: BaseException) -> bool:
    """Whether the address or a header is one that no request can have, at this or any other try."""
    from urllib3.exceptions import LocationValueError  # botocore has imported it

    wrong = (LocationValueError, http.client.InvalidURL, OverflowError)
    if any(isinstance(one, wrong) for one in (error, *inner_errors(error))):
        return True
    inner = _unwrapped(error)
    return isinstance(inner, ValueError) and not isinstance(inner, OSError)


def _is_of_the_network(error: BaseException) -> bool:
    from urllib3.exceptions import HTTPError

    # In a test's stand-in it may be a text, or not be there.
    known = (OSError, EOFError, MemoryError, HTTPError, http.client.HTTPException, str)
    return isinstance(error, _NOT_SENT) or isinstance(_unwrapped(error), (*known, *_OF_THE_SESSION))


def _of_the_network(error: BaseException, reached: Reached) -> Failure:
    never = reached.never_left or (isinstance(error, _NOT_SENT) and not reached.left)
    return Failure(
        type(error).__name__,
        told(error),
        unknown=not never,
        timed_out=isinstance(error, (boto.ReadTimeoutError, boto.ConnectTimeoutError)),
        error=error,
    )


def _of_this_process(error: BaseException, count: int, reached: Reached) -> tuple[Failure, Verdict]:
    """The failure where code of this process raised: a wrong entry, a test's guard, a handler."""
    inner = _unwrapped(error)
    code = type(inner).__name__
    if reached.building:
        failure = Failure(code, _UNBUILT, final=True, error=InvalidMessage(f"{code}: {_UNBUILT}"))
        return failure, Verdict.SPLIT if count > 1 else Verdict.FINAL
    failure = Failure(code, told(error), unknown=reached.left, local=True, error=error)
    return failure, Verdict.RETRY


def entry_failure(outcome: EntryError, service: Service, metadata: dict[str, Any]) -> Failure:
    """One failed entry of an answered batch."""
    verdict = verdict_of(service, outcome.code, whole=False)
    return Failure(
        printable(outcome.code),
        printable(outcome.message),
        # Throttling passes, whoever the answer says is to blame.
        final=outcome.sender_fault if verdict is None else verdict is Verdict.FINAL,
        unknown=outcome.code == "MalformedResponse",
        sender_fault=outcome.sender_fault,
        metadata=metadata,
    )
