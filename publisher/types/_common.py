"""What the types of all services are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal, TypeAlias, TypedDict, TypeVar

    from typing_extensions import NotRequired, ParamSpec

    from .._engine.future import PublishFuture

    #: The services that ``publisher.client`` knows.
    ServiceName: TypeAlias = Literal["sns", "sqs", "kinesis", "firehose", "events"]

    R = TypeVar("R")
    P = ParamSpec("P")

    Answer: TypeAlias = PublishFuture[R]

    # The type of an operation, made from the type of boto3's own.
    def later(call: Callable[P, R]) -> Callable[P, Answer[R]]: ...

    class ResponseMetadata(TypedDict):
        """What boto3 says of every answer."""

        RequestId: str
        HTTPStatusCode: int
        HTTPHeaders: dict[str, str]
        RetryAttempts: int
        HostId: NotRequired[str]
