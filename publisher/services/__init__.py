"""What differs from one AWS service to the next.

Limits, entries, requests, and how an answer is read.

A service is one small file with one :class:`Service` of its own, and a line in ``_MODULES``.
Nothing else in the package knows the name of a service.
"""

from __future__ import annotations

import contextlib
import enum
import importlib
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, TypeAlias

from .._account.causes import ACCESS, CREDENTIALS, MISSING, REFUSED_ARGUMENT, is_throttled
from .._engine.request import Limits
from ..errors import InvalidMessage, RefusedMessage

_MODULES = {"sns": "SNS", "kinesis": "Kinesis"}
#: Longest wait for company by default, seconds. Kinesis requests are fifty times larger: they are
#: worth waiting for.
DEFAULT_LINGER: Mapping[str, float] = {"sns": 0.01, "kinesis": 0.05}


_SHOWN = 300  # characters of an address
#: What answers, also those of single operations, say of an entry.
ABOUT_ENTRIES = {
    *("Records", "FailedRecordCount", "Successful", "Failed"),
    *("MessageId", "SequenceNumber", "ShardId"),
}


class Verdict(enum.Enum):
    """What an error code means for a message."""

    RETRY = enum.auto()  # transient: the policy decides
    FINAL = enum.auto()  # sending the same again cannot succeed
    SPLIT = enum.auto()  # of a whole request: one of its entries may be the cause


class NotMadeError(Exception):
    """The boto3 client could not be made, for its cause; nothing was sent."""


class NoSuchPortError(ValueError):
    """The address of an endpoint has a port that there is none of; no try can change that."""


class EntryError(NamedTuple):
    """One failed entry of an answered batch."""

    code: str
    message: str
    sender_fault: bool


#: A call that goes into a batch: its address (hashable; equal for messages that may share a
#: request), its entry (immutable, what the batch request is built from), and its bytes as the
#: service counts them.
Accepted: TypeAlias = tuple[Any, Any, int]


#: Codes that mean the same in every AWS service. (alone, in a request of many)
COMMON_VERDICTS: Mapping[str, tuple[Verdict, Verdict]] = {
    **dict.fromkeys(
        # https://docs.aws.amazon.com/general/latest/gr/CommonErrors.html: access and signature
        (
            *ACCESS,
            *CREDENTIALS,
            *MISSING,
            "IncompleteSignature",
            "InvalidAction",
            "InvalidSecurity",
            "OptInRequired",
            "UnknownOperationException",
            # https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html#API_PutRecords_Errors
            "KMSAccessDenied",
            "KMSAccessDeniedException",
            "KMSDisabled",
            "KMSDisabledException",
            "KMSNotFound",
            "KMSNotFoundException",
            "KMSOptInRequired",
        ),
        (Verdict.FINAL, Verdict.FINAL),
    ),
    **dict.fromkeys(
        (
            *REFUSED_ARGUMENT,
            "ValidationError",
            "SerializationException",
            "MalformedQueryString",
        ),
        (Verdict.FINAL, Verdict.SPLIT),
    ),
    **dict.fromkeys(
        ("RequestEntityTooLarge", "RequestEntityTooLargeException", "413"),
        (Verdict.FINAL, Verdict.SPLIT),
    ),
    **dict.fromkeys(
        (
            "InternalError",
            "InternalErrorException",
            "InternalFailure",
            "InternalFailureException",
            "InternalServerError",
            "InternalServiceError",
            "ServiceUnavailable",
            "ServiceUnavailableException",
        ),
        (Verdict.RETRY, Verdict.RETRY),
    ),
}


class Service:
    """One AWS service. Subclasses fill in the class attributes and the methods.

    None of them has state.
    """

    name: ClassVar[str]
    #: boto3's method names: the single operation that is coalesced, its batch twin, and the
    #: parameter that holds the entries
    single: ClassVar[str]
    batch: ClassVar[str]
    entries_parameter: ClassVar[str]
    #: for ``help()``, of both: what it does, boto3's parameters, with type and words, and the
    #: response
    words: ClassVar[Mapping[str, tuple[str, Mapping[str, str], str]]]
    #: what a stored entry's answer has
    receipt: ClassVar[str]
    #: the permissions that the batch twin and the single operation need
    permission: ClassVar[str]
    single_permission: ClassVar[str]
    limits: ClassVar[Limits]
    #: a single message up to this many bytes is sent, alone if it is over ``limits.bytes``; above,
    #: it is refused at the call
    max_message: ClassVar[int]
    max_message_source: ClassVar[str]
    #: the code of its answer to a parameter that it does not take
    refusal: ClassVar[str]
    #: this service's own codes: (alone, in a request of many)
    verdicts: ClassVar[Mapping[str, tuple[Verdict, Verdict]]]

    # -- at the call; raises InvalidMessage

    def accept(self, params: Mapping[str, Any]) -> Accepted | None:
        """The single operation's arguments as an entry.

        None if they are to be sent as they are, alone.
        """
        raise NotImplementedError

    def accept_batch(
        self, params: Mapping[str, Any]
    ) -> tuple[Any, Sequence[Any], Sequence[int], Any] | None:
        """The batch twin's arguments.

        The address, an entry each, and what ``batch_response`` needs; None as above.
        """
        raise NotImplementedError

    def check_address(self, address: Any) -> None:
        """Raise for an address that no request could be sent to; called once for each."""

    def refused(self, report: str, code: str = "") -> RefusedMessage:
        """The error for what boto3 would send and the service refuse."""
        return RefusedMessage(report, code or self.refusal, self.single)

    # -- in a request

    def measure(self, entry: Any) -> int:
        """Bytes of an entry, as the service counts them."""
        raise NotImplementedError

    def measure_all(self, entries: Sequence[Any]) -> int:
        """Bytes of several entries together."""
        return sum(map(self.measure, entries))

    def group(self, entry: Any) -> str:
        """The group within which an ordered destination keeps the order."""
        return ""

    def is_ordered(self, address: Any) -> bool:
        """Whether the destination keeps the order within groups."""
        return False

    def label(self, address: Any) -> str:
        """The destination's name, for people and metrics."""
        raise NotImplementedError

    def shard_in(self, text: str) -> str:
        """The part of a destination that an error's text names, where a service has such parts."""
        return ""

    def single_request(self, address: Any, entry: Any) -> dict[str, Any]:
        """boto3's keyword arguments of the single operation."""
        raise NotImplementedError

    def batch_request(self, address: Any, entries: Sequence[Any]) -> dict[str, Any]:
        """boto3's keyword arguments of the batch twin."""
        raise NotImplementedError

    # -- of an answer

    def read(self, response: Mapping[str, Any], count: int) -> list[Mapping[str, Any] | EntryError]:
        """One outcome for each of the ``count`` entries, in their order.

        Raises:
            ValueError: the answer does not say what became of the entries; its text says what is
                wrong with it.
        """
        raise NotImplementedError

    def single_response(
        self, response: Mapping[str, Any], outcome: Mapping[str, Any]
    ) -> dict[str, Any]:
        """A delivered entry's response in the shape of the single operation."""
        raise NotImplementedError

    def batch_response(
        self, context: Any, outcomes: Sequence[Any], metadata: Any
    ) -> dict[str, Any]:
        """All entries' outcomes (mapping or EntryError), in order, in the batch twin's shape."""
        raise NotImplementedError

    def verdict(self, code: str, *, whole: bool) -> Verdict | None:
        """What ``code`` means for one entry, or for a ``whole`` request of several.

        None for a code that no table knows.
        """
        verdicts = self.verdicts.get(code) or COMMON_VERDICTS.get(code)
        if verdicts is None:
            return Verdict.RETRY if is_throttled(code) else None
        return verdicts[whole]


def names() -> tuple[str, ...]:
    """The supported services."""
    return tuple(_MODULES)


def load(name: str) -> Service:
    """The service called ``name``, one of :func:`names`."""
    module = importlib.import_module(f".{name}", __name__)
    service: Service = getattr(module, _MODULES[name])()
    return service


# -- what the services' checks share


def missing(parameter: str, operation: str) -> InvalidMessage:
    """The error for a parameter that is not there."""
    return InvalidMessage(f"{operation}() needs the parameter {parameter}")


def shown_address(address: str) -> str:
    """A bad address for an error's text: itself where it is harmless, else its size.

    Harmless is a printable ARN that is no mobile endpoint's.
    """
    harmless = address.startswith("arn:") and address.isascii() and address.isprintable()
    if harmless and "endpoint/" not in address and len(address) <= _SHOWN:
        return repr(address)
    return f"str of {len(address)} characters"


def wrong_type(parameter: str, value: Any, expected: str) -> InvalidMessage:
    """The error for a value that is not ``expected``; names its type, never the value."""
    return InvalidMessage(f"{parameter} must be {expected}, not {type(value).__name__}")


def check_str(parameter: str, value: Any) -> str:
    """``value`` as a plain str: of a subclass, an ``Enum`` member say, its content.

    Raises InvalidMessage for anything else.
    """
    if not isinstance(value, str):
        raise wrong_type(parameter, value, "str")
    return value if type(value) is str else str.__str__(value)


def as_bytes(parameter: str, value: Any) -> bytes:
    """``value`` as bytes: what boto3 sends for a blob, and a memoryview.

    A copy: what the caller does to a bytearray afterwards does not change what is sent. Raises
    InvalidMessage for anything else.
    """
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, str):
        utf8_size(value, parameter)
        return value.encode()
    if hasattr(value, "read"):  # botocore's own test; what it then sends has the buffer of an mmap
        with contextlib.suppress(TypeError, ValueError, BufferError):
            return bytes(memoryview(value))
    raise wrong_type(parameter, value, "bytes, bytearray, memoryview, mmap or str")


def utf8_size(text: str, parameter: str) -> int:
    """Bytes of ``text`` in UTF-8.

    Raises InvalidMessage for lone surrogates, which have no UTF-8.
    """
    if text.isascii():
        return len(text)
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        place = error.start
    # raised out here, for the other exception carries the text
    raise InvalidMessage(
        f"{parameter} (str of {len(text)} characters) has a lone surrogate at {place}: it cannot be"
        " sent as UTF-8"
    )
