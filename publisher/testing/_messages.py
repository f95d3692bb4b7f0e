"""What was published, and what tests say about it."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .. import services
from .._engine.future import PublishFuture
from ._network import service_parameters

_MAX_SHOWN = 20  # messages in the text of a failure
_MAX_VALUE = 300  # characters of one value


@dataclass(frozen=True, eq=False)
class Sent:
    """One message that was handed to a publisher; each entry of a batch is one.

    Attributes:
        service: boto3's name of it, such as ``"sns"``.
        operation: boto3's name of the call; an entry of a batch counts as ``publish``,
            ``put_record``.
        params: the call's arguments as the service gets them: Data is bytes, and a TargetArn that
            is a topic's is a TopicArn.
        future: what the caller got; that of the entry, where it came in a batch.
    """

    service: str
    operation: str
    params: Mapping[str, Any]
    future: PublishFuture = field(repr=False)

    def __getitem__(self, parameter: str) -> Any:
        """The value of one argument."""
        return self.params[parameter]

    @property
    def delivered(self) -> bool:
        """Whether the service has taken it."""
        return self.future.done() and not self.future.cancelled() and not self.future.exception()

    def json(self) -> Any:
        """The message or the record's data, read as JSON."""
        return json.loads(services.load(self.service).body(self.params))


def call(service: str, operation: str | None = None, /, **params: Any) -> Expected:
    """A message as :meth:`Messages.assert_sent` describes it, for those that take several."""
    return Expected(service, operation, params)


@dataclass(frozen=True, eq=False)
class Expected:
    """What a test says of one message."""

    service: str
    operation: str | None
    params: Mapping[str, Any]

    def __post_init__(self) -> None:
        # Nothing is ever published under a misspelt name: count=0 would always hold.
        operations = service_parameters(self.service)
        if self.operation is not None and self.operation not in operations:
            raise ValueError(f"{self.service} has no operation {self.operation!r}")
        known = operations.get(self.operation or "", set().union(*operations.values()))
        if unknown := sorted(set(self.params) - known):
            of = f"{self.service}.{self.operation}" if self.operation else self.service
            raise ValueError(f"{of} has no parameter {', '.join(unknown)}")

    def differences(self, message: Sent) -> list[str]:
        """How ``message`` differs from it, a line for each difference."""
        found = []
        if message.service != self.service:
            found.append(f"to {message.service}, not {self.service}")
        if self.operation not in (None, message.operation):
            found.append(f"by {message.operation}(), not {self.operation}()")
        for name, value in self.params.items():
            if name not in message.params:
                found.append(f"{name} is missing, not {_shown(value)}")
            elif not _equal(value, message.params[name]):
                found.append(f"{name} is {_shown(message.params[name])}, not {_shown(value)}")
        return found

    def __str__(self) -> str:
        operation = f".{self.operation}" if self.operation else ""
        return f"{self.service}{operation}({_arguments(self.params)})"


class Messages:
    """What was published so far, oldest first, and assertions about it.

    Parameters that are not named may have any value; the value of one that is may be a matcher. An
    assertion that fails shows each message and in what it is another.
    """

    def __init__(self) -> None:
        self._messages: list[Sent] = []
        self._asserted: set[int] = set()  # the id of each message that an assertion was about
        self._lock = threading.Lock()  # guards both

    @property
    def messages(self) -> list[Sent]:
        """All of them."""
        with self._lock:
            return list(self._messages)

    def clear(self) -> None:
        """Forget what was published so far."""
        with self._lock:
            self._messages.clear()
            self._asserted.clear()

    def find(self, service: str, operation: str | None = None, /, **params: Any) -> list[Sent]:
        """The messages that :meth:`assert_sent` would be about; none is no failure."""
        expected = Expected(service, operation, params)
        return [message for message in self.messages if not expected.differences(message)]

    def assert_sent(
        self,
        service: str,
        operation: str | None = None,
        /,
        *,
        count: int | None = None,
        **params: Any,
    ) -> list[Sent]:
        """Such a message was published; with ``count`` exactly so many.

        Args:
            service: boto3's name of it, such as ``"sns"``.
            operation: boto3's name of the call, where that matters (``"create_topic"``).
            count: how many; by default at least one.
            **params: arguments of the call.

        Returns:
            those messages.

        Raises:
            AssertionError: it was not.
            ValueError: there is no such service, operation or parameter.
        """
        __tracebackhide__ = True
        expected = Expected(service, operation, params)
        found = self.find(service, operation, **params)
        if (not found) if count is None else (len(found) != count):
            headline = (
                "no such message was published"
                if not found
                else f"{len(found)} such {'message was' if len(found) == 1 else 'messages were'}"
                f" published, not {count}"
            )
            raise AssertionError(self._report(f"{headline}: {expected}", expected))
        self._note(found)
        return found

    def assert_in_order(self, *expected: Expected) -> None:
        """Such messages (each by :func:`call`) were published in this order; others may be between.

        Each is looked for after the one before it.
        """
        __tracebackhide__ = True
        messages = self.messages
        at = 0
        found: list[Sent] = []
        for number, one in enumerate(expected, 1):
            while at < len(messages) and one.differences(messages[at]):
                at += 1
            if at == len(messages):
                elsewhere = any(not one.differences(message) for message in messages)
                after = "no such message was published"
                if number > 1:
                    last = messages.index(found[-1]) + 1
                    after += f" after message {last}"
                    after += ", only before it" if elsewhere else ""
                raise AssertionError(self._report(f"{after}: {one}", one))
            found.append(messages[at])
            at += 1
        self._note(found)

    def assert_nothing_else(self) -> None:
        """Every message published so far was in an assertion that held."""
        __tracebackhide__ = True
        with self._lock:
            rest = [one for one in self._messages if id(one) not in self._asserted]
        if rest:
            raise AssertionError(_listed(f"{_count(rest)} beside those asserted:", rest))

    def assert_nothing_sent(self) -> None:
        """Nothing was published."""
        __tracebackhide__ = True
        if messages := self.messages:
            raise AssertionError(_listed(f"{_count(messages)}, not none:", messages))

    def assert_all_delivered(self) -> None:
        """The service has taken every message published so far."""
        __tracebackhide__ = True
        lost = [message for message in self.messages if not message.delivered]
        if lost:
            raise AssertionError(_listed(f"{len(lost)} not delivered:", lost, outcome=True))

    def __len__(self) -> int:
        return len(self.messages)

    # -- details

    def _add(
        self, service: str, operation: str, params: Mapping[str, Any], future: PublishFuture
    ) -> None:
        with self._lock:
            self._messages.append(Sent(service, operation, params, future))

    def _note(self, found: list[Sent]) -> None:
        with self._lock:
            self._asserted.update(map(id, found))

    def _report(self, headline: str, expected: Expected) -> str:
        messages = self.messages
        if not messages:
            return f"{headline}\n  nothing was published"
        lines = [headline, f"  {_count(messages)}:"]
        for number, message in enumerate(messages[:_MAX_SHOWN], 1):
            differences = expected.differences(message)
            lines.append(f"  {number}. {_line(message)}")
            lines += [f"     - {difference}" for difference in differences]
        return "\n".join(lines + _more(messages))


def _equal(expected: Any, value: Any) -> bool:
    if isinstance(expected, str) and isinstance(value, bytes):
        expected = expected.encode()
    elif isinstance(expected, bytes) and isinstance(value, str):
        value = value.encode()
    return bool(expected == value)


def _count(messages: list[Sent]) -> str:
    return "1 message was published" if len(messages) == 1 else f"{len(messages)} were published"


def _listed(headline: str, messages: list[Sent], *, outcome: bool = False) -> str:
    lines = [headline]
    for number, message in enumerate(messages[:_MAX_SHOWN], 1):
        lines.append(f"  {number}. {_line(message)}")
        if outcome:
            lines.append(f"     - {message.future!r}")
    return "\n".join(lines + _more(messages))


def _more(messages: list[Sent]) -> list[str]:
    more = len(messages) - _MAX_SHOWN
    return [f"  and {more} more"] if more > 0 else []


def _line(message: Sent) -> str:
    return f"{message.service}.{message.operation}({_arguments(message.params)})"


def _arguments(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_shown(value)}" for name, value in params.items())


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_VALUE else f"{text[:_MAX_VALUE]}... ({len(text)} characters)"
