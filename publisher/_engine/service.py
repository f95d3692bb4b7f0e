"""What a service is to the engine: what differs from one AWS service to the next."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

from ..errors import RefusedMessage
from .terms import Accepted, EntryError, Fast, Limits, Packer, Verdict, Words


class Service:
    """One AWS service: limits, entries, requests, and how an answer is read.

    Subclasses fill in the class attributes and the methods. None of them has state.
    """

    name: ClassVar[str]
    #: boto3's method names: the single operation that is coalesced, its batch twin, and the
    #: parameter that holds the entries. Without a single operation both are the batch: calls of
    #: one request's entries at most are coalesced, and each let in whole, as a single message is.
    single: ClassVar[str]
    batch: ClassVar[str]
    entries_parameter: ClassVar[str]
    #: for ``help()``, of both
    words: ClassVar[Words]
    #: what a stored entry's answer has
    receipt: ClassVar[str]
    #: what an answer, also that of the single operation, says of its entries
    about_entries: ClassVar[frozenset[str]]
    #: in commands and the doctor: the option that names a destination, and what it takes
    option: ClassVar[str]
    option_help: ClassVar[str]
    #: what else :meth:`message` takes, by option: the default, and words for help
    details: ClassVar[Mapping[str, tuple[str, str]]] = {}
    #: whether a message has a key that spreads it over shards
    has_key: ClassVar[bool] = False
    #: boto3's name of the operation that reads about a destination and sends nothing
    look: ClassVar[str]
    #: what is answered to :meth:`probe` where publishing is permitted
    probe_codes: ClassVar[frozenset[str]]
    #: the code of a throttled request, and whether a batch is answered with it entry by entry
    throttled: ClassVar[str]
    throttles_entries: ClassVar[bool] = False
    #: the messaging system's name in OpenTelemetry's conventions
    system: ClassVar[str]
    #: the permissions that the batch twin and the single operation need
    permission: ClassVar[str]
    single_permission: ClassVar[str]
    limits: ClassVar[Limits]
    fast: ClassVar[Fast | None] = None
    #: a single message up to this many bytes is sent, alone if it is over ``limits.bytes``; above,
    #: it is refused at the call
    max_message: ClassVar[int]
    max_message_source: ClassVar[str]
    #: the code of its answer to a parameter that it does not take
    refusal: ClassVar[str]
    #: this service's own codes: (alone, in a request of many)
    verdicts: ClassVar[Mapping[str, tuple[Verdict, Verdict]]]
    #: for people, of its own codes: what lies behind it, and what to do
    causes: ClassVar[Mapping[str, tuple[str, str]]] = {}
    #: the parameter with a message's attributes, where it has such, and how many may be in it
    attributes: ClassVar[str] = ""
    max_attributes: ClassVar[int] = 0
    #: seconds for which an ordered destination remembers what it has stored: what is sent again
    #: later may be stored twice
    deduplication_window: ClassVar[float] = math.inf

    #: where several messages travel as one entry
    packer: ClassVar[Packer | None] = None

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

        The address, or a list with one for each entry; the entries, their bytes, and what
        ``batch_response`` needs. None as above.
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
        return str(address)

    def home(self, address: Any) -> tuple[str, str]:
        """The region and the account that an address names; empty what it does not.

        An address is a text, or pairs of parameter and text: the first ARN among them.
        """
        texts = (address,) if isinstance(address, str) else (text for _, text in address)
        for text in texts:
            if text.startswith("arn:") and text.count(":") >= 5:
                region, account = text.split(":")[3:5]
                return region, account
        return "", ""

    def shard_in(self, text: str) -> str:
        """The part of a destination that an error's text names, where a service has such parts."""
        return ""

    def single_request(self, address: Any, entry: Any) -> dict[str, Any]:
        """boto3's keyword arguments of the single operation."""
        raise NotImplementedError

    def batch_request(self, address: Any, entries: Sequence[Any]) -> dict[str, Any]:
        """boto3's keyword arguments of the batch twin."""
        raise NotImplementedError

    # -- outside the process

    def dump(self, entry: Any) -> bytes:
        """An entry as bytes, a few more than its content has.

        Raises:
            ValueError: it has something that :meth:`load` would not give back.
        """
        raise NotImplementedError

    def load(self, data: bytes) -> Any:
        """The entry that :meth:`dump` was given; later versions read what earlier ones wrote.

        The bytes may be damaged, or anybody's: an entry that comes back has passed the same checks
        as a call's, and size and nesting are bounded.

        Raises:
            ValueError: they are no entry of this service.
        """
        raise NotImplementedError

    def load_all(self, datas: Sequence[bytes]) -> tuple[Sequence[Any], Sequence[int]] | None:
        """What :meth:`load` and :meth:`measure` give for each, where all are as most are.

        None where one has to be looked at more closely, or where that is no quicker.
        """
        return None

    def place(self, address: Any) -> dict[str, str]:
        """boto3's parameters of an address, texts all: :meth:`address` makes the same of them."""
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

    # -- for the test kit, which answers in the service's place

    def stored(self, params: Mapping[str, Any], number: int) -> dict[str, Any]:
        """What the single operation answers to a message that it has stored.

        Args:
            params: boto3's, or those of an entry of the batch twin with its destination.
            number: of the message, one higher for each.
        """
        raise NotImplementedError

    def stored_batch(self, params: Mapping[str, Any], number: int) -> dict[str, Any]:
        """What the batch twin answers where it has stored all entries."""
        raise NotImplementedError

    def with_failures(
        self, answer: Mapping[str, Any], entries: Sequence[Any], failures: Mapping[int, EntryError]
    ) -> dict[str, Any]:
        """The batch twin's answer where ``failures``, by their place, have failed as well.

        Args:
            answer: to those of ``entries`` that have not.
            entries: all of them, as boto3's parameters.
            failures: the errors of the others.
        """
        raise NotImplementedError

    # -- for commands: ``send``, ``check`` and the doctor

    def named(self, text: str) -> dict[str, str]:
        """boto3's parameters for the destination that ``text`` names on a command line."""
        raise NotImplementedError

    def address(self, params: Mapping[str, Any]) -> Any:
        """The address in such parameters; they may be anybody's. Raises InvalidMessage."""
        raise NotImplementedError

    def look_at(self, named: Mapping[str, str]) -> dict[str, str]:
        """The parameters of ``look`` for the destination of :meth:`named`."""
        return dict(named)

    def addressed(self, named: Mapping[str, str], params: Mapping[str, Any]) -> dict[str, Any]:
        """``params``, of :meth:`message` or :meth:`probe`, with the destination in them."""
        return {**named, **params}

    def message(self, text: bytes | str, key: str, **details: str) -> dict[str, Any]:
        """boto3's parameters for a message of ``text``, beside those of its destination.

        Args:
            text: the message.
            key: where ``has_key``.
            details: some of ``details``.

        Raises:
            UnicodeDecodeError: the service takes text, and this is none.
        """
        raise NotImplementedError

    def plain(
        self, bodies: Sequence[Any], keys: Sequence[Any]
    ) -> tuple[Sequence[Any], Sequence[int]] | None:
        """Entries and their bytes for messages that have nothing but a body, and a key each.

        A quick look at all of them together; None where :meth:`accept` has to look at each.

        Args:
            bodies: one or more.
            keys: as many; where not ``has_key`` they do not matter.
        """
        return None

    def body(self, params: Mapping[str, Any]) -> bytes:
        """The text of such a message."""
        raise NotImplementedError

    def receipt_of(self, response: Mapping[str, Any]) -> str:
        """Where a message is stored, for people.

        Raises:
            ValueError: it is not; boto3 raises nothing for that.
        """
        return f"{self.receipt} {response[self.receipt]}"

    def probe(self, known: Collection[str]) -> dict[str, Any]:
        """Parameters of the batch twin, beside the destination, of which nothing is stored.

        Who may not publish is refused before they are looked at.

        Args:
            known: the parameters that botocore's model of the operation has.
        """
        raise NotImplementedError
