"""Services whose messages are texts with attributes, matched by Id: SNS and its like."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

from ._attributes import copied_attributes
from ._by_id import ById
from ._checks import check_str, utf8_size
from ._stored import dump_text


class Rich(NamedTuple):
    """An entry with more than a message: boto3's own parameters, and their size in bytes."""

    size: int
    params: Mapping[str, Any]


class Rule(NamedTuple):
    """Of a text beside the message.

    Attributes:
        pattern: of all of it.
        words: what that says, after "must have".
        source: where AWS documents it.
        counts: its bytes are part of the message's size.
    """

    pattern: re.Pattern[str]
    words: str = ""
    source: str = ""
    counts: bool = False


#: Any text.
ANY = Rule(re.compile(".*", re.DOTALL))


class Texts(ById):
    """An entry is the message alone, or a :class:`Rich`; an address is one text.

    The message of an entry is a str where it is ASCII, otherwise its UTF-8: a str with one emoji
    takes four bytes a character while it waits.
    """

    #: the parameter with the message, and those with other texts
    text: ClassVar[str]
    texts: ClassVar[Mapping[str, Rule]]
    #: those that do not count and are no texts, and how each is checked and copied
    others: ClassVar[Mapping[str, Callable[[Any], Any]]] = {}

    #: where AWS documents a message's attributes
    attributes_source: ClassVar[str]

    def check_text(self, text: str) -> None:
        """Raise InvalidMessage for a message that the service does not take."""

    def copied(self, given: Any) -> tuple[dict[str, Any], int]:
        """A copy of a message's attributes, and their bytes. Raises InvalidMessage."""
        return copied_attributes(given, self.attributes_source)

    def entry(self, params: Mapping[str, Any]) -> tuple[Any, int]:
        name = self.text
        message = check_str(name, params[name])
        size = utf8_size(message, name)
        self.check_text(message)
        kept: dict[str, Any] = {name: message if size == len(message) else message.encode()}
        for parameter, rule in self.texts.items():
            if parameter in params:
                kept[parameter] = text = check_str(parameter, params[parameter])
                counted = utf8_size(text, parameter)
                if not rule.pattern.fullmatch(text):
                    raise self.refused(
                        f"{parameter} (str of {len(text)} characters) must have {rule.words}"
                        f" ({rule.source})"
                    )
                if rule.counts:
                    size += counted
        if "MessageAttributes" in params:
            kept["MessageAttributes"], counted = self.copied(params["MessageAttributes"])
            size += counted
        for parameter, checked in self.others.items():
            if parameter in params:
                kept[parameter] = checked(params[parameter])
        if size > self.max_message:
            raise self.too_large(f"{name} has {size:,} bytes with its attributes")
        return (kept[name] if len(kept) == 1 else Rich(size, kept)), size

    def params(self, entry: Any) -> dict[str, Any]:
        params = dict(entry.params) if type(entry) is Rich else {self.text: entry}
        if isinstance(params[self.text], bytes):
            params[self.text] = params[self.text].decode()
        return params

    def dump(self, entry: Any) -> bytes:
        return super().dump(entry) if type(entry) is Rich else dump_text(self.text, entry)

    def measure(self, entry: Any) -> int:
        return entry.size if type(entry) is Rich else len(entry)

    def is_ordered(self, address: Any) -> bool:
        return bool(address.endswith(".fifo"))

    def group(self, entry: Any) -> str:
        return entry.params.get("MessageGroupId", "") if type(entry) is Rich else ""

    def message(self, text: bytes | str, key: str, **details: str) -> dict[str, Any]:
        return {self.text: text if isinstance(text, str) else text.decode()}

    def body(self, params: Mapping[str, Any]) -> bytes:
        return str(params[self.text]).encode()

    def stored(self, params: Mapping[str, Any], number: int) -> dict[str, Any]:
        stored = {self.receipt: str(uuid.uuid4())}
        if self.is_ordered(params.get(self.places[0], "")):
            stored["SequenceNumber"] = f"1{number:019}"
        return stored
