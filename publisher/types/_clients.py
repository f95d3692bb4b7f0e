"""Which client a service's name stands for: the one place where type checkers are told.

``@makes_clients`` stands above every function that makes clients. A type checker reads such a
function as a :class:`ClientMaker`; at run time the function is left as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal, Protocol, overload

    from typing_extensions import ParamSpec, Unpack

    from .._client import Client
    from ._events import EventBridgeClient
    from ._firehose import FirehoseClient
    from ._kinesis import KinesisClient
    from ._settings import ClientArguments
    from ._sns import SNSClient
    from ._sqs import SQSClient

    P = ParamSpec("P")

    class ClientMaker(Protocol[P]):
        """``publisher.client`` and its like; ``P`` has what they take beside these two."""

        @overload
        def __call__(
            self,
            service_name: Literal["sns"],
            region_name: str | None = ...,
            *args: P.args,
            **kwargs: P.kwargs,
        ) -> SNSClient: ...
        @overload
        def __call__(
            self,
            service_name: Literal["sqs"],
            region_name: str | None = ...,
            *args: P.args,
            **kwargs: P.kwargs,
        ) -> SQSClient: ...
        @overload
        def __call__(
            self,
            service_name: Literal["kinesis"],
            region_name: str | None = ...,
            *args: P.args,
            **kwargs: P.kwargs,
        ) -> KinesisClient: ...

        @overload
        def __call__(
            self,
            service_name: Literal["firehose"],
            region_name: str | None = ...,
            *args: P.args,
            **kwargs: P.kwargs,
        ) -> FirehoseClient: ...

        @overload
        def __call__(
            self,
            service_name: Literal["events"],
            region_name: str | None = ...,
            *args: P.args,
            **kwargs: P.kwargs,
        ) -> EventBridgeClient: ...

    def _taking(
        _example: Callable[P, None],
    ) -> Callable[[Callable[..., Client]], ClientMaker[P]]: ...
    def _of_one_publisher(**kwargs: Unpack[ClientArguments]) -> None: ...
    def _of_several(*, using: str = ..., **kwargs: Unpack[ClientArguments]) -> None: ...

    makes_clients = _taking(_of_one_publisher)
    makes_clients_of_several = _taking(_of_several)

else:

    def makes_clients(function: Any) -> Any:
        """Tell type checkers that ``function`` takes what ``publisher.client`` takes."""
        return function

    #: The function takes ``using`` as well: an alias of one of several publishers.
    makes_clients_of_several = makes_clients
