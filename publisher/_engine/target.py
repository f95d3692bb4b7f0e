"""What a target is to the engine: one destination of one client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from .._account.events import Attempt, Failure
from .service import Service
from .terms import EntryError, Limits, Packer, Verdict


class Judgement(NamedTuple):
    """What a whole request met.

    Attributes:
        failure: for each of its messages.
        verdict: what is done with them.
        answered: a service said so, not the network or this process.
    """

    failure: Failure
    verdict: Verdict
    answered: bool


class Target(Protocol):
    """Where a lane's messages go: one destination of one client."""

    service: Service
    permission: str  # the IAM action that sending needs
    region: str  # the client's region
    home: str  # the region that the destination's ARN names; empty where there is none
    operation: str  # boto3's method name that the caller called
    making: bool  # the client is not there yet, or is being made anew
    storable: bool  # its entries can be written down and come back: ``Service.dump`` and ``load``
    packer: Packer | None  # of what travels as one entry; None: each message travels as its own

    def sends(self, count: int) -> str:
        """boto3's name of the operation that goes out, for so many entries."""

    @property
    def limits(self) -> Limits:
        """Of one request."""

    @property
    def key(self) -> str:
        """``"service:region:name"``."""

    def send(
        self, entries: Sequence[Any], operation: str
    ) -> tuple[list[Mapping[str, Any] | EntryError], Mapping[str, Any]]:
        """Make the blocking call; one outcome for each entry, and the response.

        Args:
            entries: one or more, of this destination.
            operation: what :meth:`sends` said.

        Raises:
            Exception: whatever the call met; :meth:`judge` knows what it means.
        """

    def judge(self, error: BaseException, count: int) -> Judgement:
        """What :meth:`send` raised for a request of ``count`` entries; asked once for each."""

    def entry_failure(self, error: EntryError, metadata: Mapping[str, Any]) -> Failure:
        """What one failed entry of an answered request met."""

    def change_to_single(self, code: str) -> bool:
        """The batch twin was refused with ``code``: send single operations for a while.

        False if that is no help.
        """

    def error(self, failure: Failure) -> BaseException:
        """A new instance of what boto3 would have raised."""

    def error_of(self, attempt: Attempt) -> BaseException | None:
        """A new instance for what an attempt met; None for one that delivered."""

    def response(self, reply: Mapping[str, Any], outcome: Mapping[str, Any]) -> dict[str, Any]:
        """A delivered entry's response, in the shape of the operation the caller called."""

    def params(self, entry: Any) -> dict[str, Any]:
        """boto3's keyword arguments of the operation the caller called."""

    def named(self, operation: str) -> Target:
        """This target, for errors that are to name another operation."""
