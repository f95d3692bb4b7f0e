"""The exceptions that futures raise: boto3's own, a new instance for each, without secrets."""

from __future__ import annotations

import copy
from typing import Any

from botocore import exceptions as boto

from .._account.events import Failure
from ..errors import InvalidMessage
from .secrets import without_secrets

REFUSED = "botocore refuses the parameters; its own text is left out because it quotes their values"


def quotes_values(error: BaseException) -> bool:
    return isinstance(error, boto.ParamValidationError) and not isinstance(error, InvalidMessage)


def kept(error: BaseException | None) -> BaseException | None:
    """What a failure keeps of an error: neither frames nor secrets nor values of parameters."""
    if error is None or isinstance(error, boto.ClientError):
        return error
    return boto.ParamValidationError(report=REFUSED) if quotes_values(error) else _own(error)


def _own(error: BaseException) -> BaseException:
    try:
        own = copy.copy(error)
    except Exception:  # noqa: BLE001 - a class that cannot be copied: shared is better than lost
        own = error
    own.__cause__ = own.__context__ = None
    return without_secrets(own.with_traceback(None))


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
    if quotes_values(error):  # of a credential provider's operation it keeps its name
        return (
            boto.ParamValidationError(report=REFUSED)
            if failure.no_credentials
            else InvalidMessage(REFUSED)
        )
    if isinstance(error, boto.ClientError):
        response = copy.deepcopy(dict(error.response))
        # botocore's text would say "(reached max retries: 0)": the attempts say how often it was
        # tried
        response.get("ResponseMetadata", {}).pop("MaxAttemptsReached", None)
        response.setdefault("Error", {"Code": failure.code, "Message": failure.text})
        return type(error)(response, error.operation_name if failure.operation else operation)
    return _own(error)
