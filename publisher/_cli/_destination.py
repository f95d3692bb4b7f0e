"""Where ``send`` sends, and how a line becomes a message to it."""

from __future__ import annotations

import itertools
import json
import uuid
from typing import Any

from .._engine.contract import Service
from ..errors import InvalidMessage
from ..services import by_option
from ._console import InputError


class Destination:
    """Where lines go, and how a line becomes a message to it.

    Args:
        service: whose destination it is.
        name: of the destination, or its ARN.
        key_field: the field that holds the partition key; the lines are JSON objects then. None:
            keys of our own, which spread the records over the shards.
        details: what else the service's messages are given.

    Raises:
        InputError: there can be no such destination.
    """

    def __init__(
        self, service: Service, name: str, key_field: str | None = None, **details: str
    ) -> None:
        self.service = service
        self.name = name
        self._details = details
        self._address = service.named(name)
        address = service.address(self._address)
        self._key_field = key_field
        self._run = uuid.uuid4().hex[:8]
        self._numbers = itertools.count()
        try:
            self.service.check_address(address)
        except InvalidMessage as error:
            raise InputError(reason(error)) from None
        if self.service.is_ordered(address):
            raise InputError(
                f"a FIFO {service.option} needs a MessageGroupId, which lines do not have"
            )

    @property
    def region(self) -> str | None:
        """The region in the ARN; None for a plain name."""
        return self.name.split(":")[3] or None if self.name.count(":") >= 5 else None

    def params(self, line: bytes) -> dict[str, Any]:
        """The arguments that send ``line``. Raises InputError for one that cannot be sent."""
        key = self._key(line) if self.service.has_key else ""
        try:
            message = self.service.message(line, key, **self._details)
            return self.service.addressed(self._address, message)
        except UnicodeDecodeError as error:
            raise InputError(f"not UTF-8 (byte {error.start + 1} of the line)") from None

    def size(self, line: bytes) -> int:
        """Bytes of the message that ``line`` makes, as the service counts them.

        Raises:
            InputError: it cannot be sent.
        """
        try:
            accepted = self.service.accept(self.params(line))
        except InvalidMessage as error:
            raise InputError(reason(error)) from None
        assert accepted is not None
        size: int = accepted[2]
        return size

    def line(self, params: Any) -> bytes:
        """The line that a message was made of."""
        return self.service.body(params)

    def _key(self, line: bytes) -> str:
        if self._key_field is None:
            return f"{self._run}-{next(self._numbers)}"
        try:
            record = json.loads(line)
        except ValueError:
            raise InputError("not JSON, and --partition-key asks for a field of it") from None
        except RecursionError:
            raise InputError("JSON nested too deeply for a field of it to be read") from None
        if not isinstance(record, dict):
            raise InputError(f"a JSON {type(record).__name__}, not an object") from None
        if self._key_field not in record:
            raise InputError(f"no field {self._key_field!r}")
        key = record[self._key_field]
        if isinstance(key, bool) or not isinstance(key, (str, int, float)):
            raise InputError(f"the field {self._key_field!r} is no string or number")
        return str(key)


def named_in(options: Any) -> list[tuple[Service, str]]:
    """The destinations that a command line names, each with its service."""
    given = [(service, getattr(options, name)) for name, service in by_option().items()]
    return [(service, name) for service, name in given if name is not None]


def reason(error: InvalidMessage) -> str:
    """What is wrong, in one line."""
    return str(error.kwargs["report"])
