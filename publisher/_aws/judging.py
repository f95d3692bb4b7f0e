"""What a request met that failed as a whole: one answer for the engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._account.events import Failure
from .._engine.contract import Judgement, Service, Verdict
from .errors import whole_failure
from .lightening import lighten
from .reached import reached
from .secrets import told


class MalformedAnswer(ValueError):
    """An answer that does not say what became of the entries."""

    def __init__(self, text: str, response: Mapping[str, Any]) -> None:
        super().__init__(text)
        self.response = response


def judge(
    error: BaseException,
    service: Service,
    count: int,
    *,
    unknown_passes: bool,
    operation: str = "",
) -> Judgement:
    """What ``error`` means for a request of ``count`` entries.

    The error is made light: from here on it keeps no frames and no bodies.

    Args:
        error: as it was caught, with its traceback.
        service: whose codes they are.
        count: how many entries the request carried.
        unknown_passes: an error code that no table knows may be gone at the next try.
        operation: boto3's method name of the operation, where it is not one of the service's two.
    """
    so_far = reached(error)  # the frames say it
    lighten(error)
    if isinstance(error, MalformedAnswer):
        metadata = dict(error.response.get("ResponseMetadata") or {})
        return Judgement(malformed(error, metadata), Verdict.RETRY, is_answer(error))
    failure, verdict = whole_failure(
        error,
        service,
        count,
        unknown_passes=unknown_passes,
        operation=operation,
        reached=so_far,
    )
    return Judgement(failure, verdict, is_answer(error))


def is_answer(error: BaseException) -> bool:
    """Whether a service said so, not the network or this process."""
    response = getattr(error, "response", None)
    return isinstance(response, dict) and "ResponseMetadata" in response


def malformed(error: Exception, metadata: dict[str, Any]) -> Failure:
    """An answer that does not say what became of the entries."""
    return Failure(
        "MalformedResponse", told(error), unknown=True, metadata=metadata, unreadable=True
    )
