"""What each kind of fault does to one request."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError

from .._engine.contract import EntryError, Service
from ._answers import answered


@dataclass
class Plan:
    """What is to happen to one request.

    Attributes:
        model: botocore's, of its operation.
        service: whose operation it is.
        is_batch: whether it carries entries that may fail one by one.
        config: the client's.
        let_pass: takes seconds; ``really=False`` where only a clock of ours has to follow.
        entries: what it carries; a single operation carries one.
        failures: which of them fail, by their place.
        rule: what happens to the request as a whole.
    """

    model: Any
    service: Service
    is_batch: bool
    config: Any
    let_pass: Callable[..., None]
    entries: list[Any]
    failures: dict[int, EntryError] = field(default_factory=dict)
    rule: Rule | None = None
    url: str = ""

    @property
    def kept(self) -> list[Any]:
        """The entries that are to be sent."""
        return [entry for index, entry in enumerate(self.entries) if index not in self.failures]

    def before(self, request: dict[str, Any]) -> Any:
        """An answer in place of the service's, or None."""
        self.url = request["url"]
        answer = None if self.rule is None else self.rule.before(self, request)
        if answer is None and self.failures and not self.kept:  # nothing is left to send
            if self.is_batch:
                return answered(request, 200, {})
            failure = self.failures[0]
            return error_answer(self.model, request, failure, None)
        return answer

    def after(self, parsed: dict[str, Any]) -> None:
        """Have the failed entries in the answer, and do to it what the rule says."""
        if "Error" in parsed:
            return
        if self.failures and self.is_batch:
            parsed.update(self.service.with_failures(parsed, self.entries, self.failures))
        if self.rule is not None:
            self.rule.after(self, parsed)


@dataclass
class Rule:
    """A fault of whole requests; ``left`` of them are still to come."""

    left: float
    service: str | None

    def take(self, plan: Plan) -> bool:
        """Apply to the request if it can; True if the next rule may apply to it as well."""
        if not plan.failures:
            plan.rule = self
            self.left -= 1
        return False

    def before(self, plan: Plan, request: dict[str, Any]) -> Any:
        """Before it is sent: an answer in its place, or None."""

    def after(self, plan: Plan, parsed: dict[str, Any]) -> None:
        """After the service has answered: raise, or change the answer."""


@dataclass
class Messages(Rule):
    """Messages fail one by one; ``left`` counts messages."""

    failure: EntryError

    def take(self, plan: Plan) -> bool:
        for index in range(len(plan.entries)):
            if self.left >= 1 and index not in plan.failures:
                plan.failures[index] = self.failure
                self.left -= 1
        return not self.left >= 1


@dataclass
class Positions(Rule):
    """Entries of one batch fail, by their place in it."""

    failure: EntryError
    positions: tuple[int, ...]

    def take(self, plan: Plan) -> bool:
        if not plan.failures and len(plan.entries) > max(self.positions):
            plan.failures = dict.fromkeys(sorted(self.positions), self.failure)
            self.left = 0
        return False


@dataclass
class Refused(Rule):
    """Requests are refused as a whole."""

    failure: EntryError
    status: int | None

    def before(self, plan: Plan, request: dict[str, Any]) -> Any:
        return error_answer(plan.model, request, self.failure, self.status)


@dataclass
class Throttled(Rule):
    """Requests are throttled; some services say so of every entry of a batch."""

    def take(self, plan: Plan) -> bool:
        if plan.is_batch and plan.service.throttles_entries and not plan.failures:
            text = "Rate exceeded for shard shardId-000000000000"
            failure = EntryError(plan.service.throttled, text, False)
            plan.failures = dict.fromkeys(range(len(plan.entries)), failure)
            self.left -= 1
            return False
        return super().take(plan)

    def before(self, plan: Plan, request: dict[str, Any]) -> Any:
        failure = EntryError(plan.service.throttled, "Rate exceeded", True)
        return error_answer(plan.model, request, failure, None)


@dataclass
class TimedOut(Rule):
    """No answer comes; with ``stored`` the service has taken the messages."""

    stored: bool

    def before(self, plan: Plan, request: dict[str, Any]) -> Any:
        if not self.stored:
            plan.let_pass(plan.config.connect_timeout, really=False)
            raise ConnectTimeoutError(endpoint_url=plan.url)

    def after(self, plan: Plan, parsed: dict[str, Any]) -> None:
        plan.let_pass(plan.config.read_timeout, really=False)
        raise ReadTimeoutError(endpoint_url=plan.url)


@dataclass
class Slow(Rule):
    """The answer takes ``seconds``, or as long as the client waits for it."""

    seconds: float

    def after(self, plan: Plan, parsed: dict[str, Any]) -> None:
        limit = plan.config.read_timeout or math.inf
        plan.let_pass(min(self.seconds, limit), really=True)
        if self.seconds > limit:
            raise ReadTimeoutError(endpoint_url=plan.url)


@dataclass
class Short(Rule):
    """The answer to a batch leaves out its last entry."""

    def take(self, plan: Plan) -> bool:
        return super().take(plan) if plan.is_batch else False

    def after(self, plan: Plan, parsed: dict[str, Any]) -> None:
        lists = [each for each in parsed.values() if isinstance(each, list) and each]
        if lists:
            lists[0].pop()


def error_answer(
    model: Any, request: dict[str, Any], failure: EntryError, status: int | None
) -> Any:
    """The answer to a request that is refused; the status is what the service's model says."""
    shape = model.service_model.shape_for_error_code(failure.code)
    if status is None:
        found = {} if shape is None else shape.metadata.get("error", {})
        status = int(found.get("httpStatusCode", 400))
    error: dict[str, Any] = {"Code": failure.code, "Message": failure.message}
    answer: dict[str, Any] = {"Error": error}
    if model.service_model.metadata["protocol"] == "query":
        error["Type"] = "Receiver" if status >= 500 else "Sender"
    elif shape is not None and "message" in shape.members:
        answer["message"] = failure.message
    return answered(request, status, answer)
