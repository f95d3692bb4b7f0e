"""The values that a service says something with: limits, verdicts, errors of entries, packers."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may carry; sizes in bytes as the service counts them.

    An entry of more than ``together`` bytes goes alone.
    """

    entries: int
    bytes: int
    together: int = 2**63


class Verdict(enum.Enum):
    """What an error code means for a message."""

    RETRY = enum.auto()  # transient: the policy decides
    FINAL = enum.auto()  # sending the same again cannot succeed
    SPLIT = enum.auto()  # of a whole request: one of its entries may be the cause


class EntryError(NamedTuple):
    """One failed entry of an answered batch."""

    code: str
    message: str
    sender_fault: bool = False


class Fast(NamedTuple):
    """The batch twin's body made, and its answer read, by hand; botocore does the rest.

    Attributes:
        protocol: botocore's name of the one that it is made for.
        stub: entries that botocore serialises in their place.
        encode: address and entries -> the other parameters, and the body.
        read: an answer's body -> the parsed answer, and what is left for botocore to parse; None
            for one that botocore has to read.
        largest: bytes of an answer at most; a larger one is botocore's too.
    """

    protocol: str
    stub: Any
    encode: Callable[[Any, Sequence[Any]], tuple[dict[str, Any], bytes]]
    read: Callable[[bytes], tuple[dict[str, Any], bytes] | None]
    largest: int


#: Packs the entries of a request's messages into fewer that travel: each with the places of the
#: messages that it stands for. Every message has its place in exactly one. ``Target.limits`` count
#: messages, and what they allow fits into a request when it is packed.
Packer: TypeAlias = Callable[[Sequence[Any]], Sequence[tuple[Any, Sequence[int]]]]

#: A call that goes into a batch: its address (hashable; equal for messages that may share a
#: request), its entry (immutable, what the batch request is built from), and its bytes as the
#: service counts them.
Accepted: TypeAlias = tuple[Any, Any, int]

#: Of each operation: what it does; boto3's parameters, with type and words; and the response.
Words: TypeAlias = Mapping[str, tuple[str, Mapping[str, str], str]]
