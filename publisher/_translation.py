"""Foreign errors, translated in one place.

What boto3 raises into what to do, and back into what the caller gets.
"""

from __future__ import annotations

import copy
import re
from typing import Any

from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from ._causes import THROTTLED
from ._message import Failure
from .errors import InvalidMessage
from .services import EntryError, NotMadeError, Service, Verdict

#: The request never went out: it is known not to be stored.
_NOT_SENT = (
    boto.ConnectionError,  # refused, connect time-out, TLS, DNS, proxy
    boto.CredentialRetrievalError,
    boto.MetadataRetrievalError,
)
#: Trying again may help, and the service may have stored what was sent.
_TRANSIENT = (
    boto.HTTPClientError,  # connection closed, read time-out, broken body
    ResponseParserError,
)
_PASSING = (408, 429)  # HTTP's own words for "later"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_MAX_TEXT = 500
_REFUSED = (
    "botocore refuses the parameters; its own text is left out because it quotes their values"
)


def printable(text: object) -> str:
    """Text that a stranger sent, fit for a log line.

    Control characters escaped, at most 500 characters.
    """
    shown = str(text)[: _MAX_TEXT + 1]
    shown = _CONTROL.sub(lambda match: repr(match.group())[1:-1], shown)
    return shown if len(shown) <= _MAX_TEXT else shown[:_MAX_TEXT] + "..."


def _quotes_values(error: BaseException) -> bool:
    return isinstance(error, boto.ParamValidationError) and not isinstance(error, InvalidMessage)


def lighten(error: BaseException) -> None:
    """Let go of what an exception keeps alive: the frames it came through, and the request's body.

    A message keeps the error of each try until it ends; a body of a megabyte beside it is too much.
    """
    seen: set[int] = set()
    left: list[Any] = [error]
    while left:
        one = left.pop()
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        one.__traceback__ = None
        if isinstance(one, boto.HTTPClientError):
            for name in ("request", "response"):
                setattr(one, name, None)
        left += [one.__cause__, one.__context__]
        left += getattr(one, "kwargs", {}).values() if isinstance(one, boto.BotoCoreError) else ()


def is_answer(error: BaseException) -> bool:
    """Whether a service said so, not the network or this process."""
    response = getattr(error, "response", None)
    return isinstance(response, dict) and "ResponseMetadata" in response


def whole_failure(
    error: BaseException, service: Service, count: int, *, unknown_passes: bool
) -> tuple[Failure, Verdict]:
    """What a request of ``count`` entries met, and what that means for them.

    Args:
        error: what the call raised.
        service: whose codes they are.
        count: how many entries the request carried.
        unknown_passes: an error code that no table knows may be gone at the next try.
    """
    if isinstance(error, NotMadeError) and error.__cause__ is not None:
        cause = error.__cause__
        code, text = type(cause).__name__, printable(cause)
        return Failure(code, text, final=True, error=cause), Verdict.FINAL
    if isinstance(error, boto.ClientError):
        described = error.response.get("Error", {})
        metadata = error.response.get("ResponseMetadata", {})
        code = printable(described.get("Code") or "Unknown")
        status = metadata.get("HTTPStatusCode", 0)
        verdict = service.verdict(code, whole=count > 1)
        if verdict is Verdict.RETRY and status == 413:
            verdict = Verdict.SPLIT if count > 1 else Verdict.FINAL
        passing = unknown_passes or status >= 500 or status in _PASSING or code in THROTTLED
        if verdict is Verdict.RETRY and not passing:
            verdict = Verdict.FINAL
        text = printable(described.get("Message") or "")
        failure = Failure(
            code, text, verdict is Verdict.FINAL, status >= 500, error=error, metadata=metadata
        )
        return failure, verdict
    timed_out = isinstance(error, (boto.ReadTimeoutError, boto.ConnectTimeoutError))
    if isinstance(error, _NOT_SENT):
        verdict, unknown = Verdict.RETRY, False
    elif isinstance(error, _TRANSIENT) or not isinstance(error, boto.BotoCoreError):
        # An exception that is not botocore's comes from an answer it could not read (HTML for SNS
        # ends in a bare KeyError) or from an event handler: unknown, within the policy.
        verdict, unknown = Verdict.RETRY, True
    else:  # no credentials, no region, a bad parameter: not sent, and nothing changes by itself
        verdict, unknown = Verdict.FINAL, False
    if isinstance(error, boto.ParamValidationError) and count > 1:
        verdict = Verdict.SPLIT
    failure = Failure(
        type(error).__name__,
        _REFUSED if _quotes_values(error) else printable(error),
        verdict is Verdict.FINAL,
        unknown,
        timed_out,
        error=error,
    )
    return failure, verdict


def entry_failure(outcome: EntryError, service: Service, metadata: dict[str, Any]) -> Failure:
    """One failed entry of an answered batch."""
    final = outcome.sender_fault or service.verdict(outcome.code, whole=False) is Verdict.FINAL
    return Failure(
        printable(outcome.code),
        printable(outcome.message),
        final,
        unknown=outcome.code == "MalformedResponse",
        sender_fault=outcome.sender_fault,
        metadata=metadata,
    )


def malformed(error: Exception, metadata: dict[str, Any]) -> Failure:
    """An answer that does not say what became of the entries."""
    return Failure("MalformedResponse", printable(error), unknown=True, metadata=metadata)


def exception_for(failure: Failure, exceptions: Any, operation: str) -> BaseException:
    """The exception boto3 would have raised: a new instance, naming the caller's operation.

    Args:
        failure: what happened.
        exceptions: the boto3 client's ``exceptions``, or None where there is no client.
        operation: boto3's name of it (``"Publish"``).
    """
    error = failure.error
    if error is None:
        response: Any = {
            "Error": {
                "Code": failure.code,
                "Message": failure.text,
                "Type": "Sender" if failure.sender_fault else "Receiver",
            },
            "ResponseMetadata": dict(failure.metadata),
        }
        kind = boto.ClientError if exceptions is None else exceptions.from_code(failure.code)
        made: BaseException = kind(response, operation)
        return made
    if _quotes_values(error):
        return InvalidMessage(_REFUSED)
    if isinstance(error, boto.ClientError):
        response = copy.deepcopy(dict(error.response))
        # botocore's text would say "(reached max retries: 0)": the attempts say how often it was
        # tried
        response.get("ResponseMetadata", {}).pop("MaxAttemptsReached", None)
        return type(error)(response, operation)
    try:
        own = copy.copy(error)
    except Exception:  # noqa: BLE001 - a class that cannot be copied: shared is better than lost
        own = error
    own.__cause__ = own.__context__ = None
    return own.with_traceback(None)
