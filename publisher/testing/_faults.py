"""Having requests fail: those of a capture or, through botocore's events, of any boto3 client.

Each method queues one fault, and requests meet them in that order. A fault does to a request what a
caller of boto3 would see of the real thing; everything above boto3 is the code of production.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from typing import Any

from .._engine.contract import EntryError
from ..services import names
from ._answers import publishing
from ._inline import Clock
from ._rules import (
    Messages,
    Plan,
    Positions,
    Refused,
    Rule,
    Short,
    Slow,
    Throttled,
    TimedOut,
)

#: For ``times=``: until :meth:`Faults.clear`.
ALWAYS = math.inf

_PLAN = "publisher_testing_plan"  # in botocore's request context


class Faults:
    """Has the next requests that publish something fail.

    ``published.faults`` belongs to the capture. On a boto3 client, or on one of ours, put them with
    :meth:`attach`::

        faults = Faults()
        faults.attach(client)
        faults.throttle(3)

    They sit above botocore's own retries, which therefore see nothing of them.

    In every method ``service``, by boto3's name of it, narrows the fault to one service, and
    ``times`` may be ``ALWAYS``.

    Args:
        clock: is moved on where a fault takes time. Without a clock only :meth:`slow` takes time.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock
        self._rules: deque[Rule] = deque()
        self._lock = threading.Lock()  # guards _rules

    # -- what is to happen

    def fail(
        self,
        times: float = 1,
        code: str = "InternalFailure",
        message: str = "made to fail",
        *,
        sender_fault: bool = False,
        service: str | None = None,
    ) -> None:
        """Fail the next ``times`` messages with ``code``, each inside an answer to its batch."""
        self._add(Messages(times, service, EntryError(code, message, sender_fault)))

    def fail_entries(
        self,
        *positions: int,
        code: str = "InternalFailure",
        message: str = "made to fail",
        service: str | None = None,
    ) -> None:
        """Fail the entries at these positions, from 0, of the next batch that is long enough."""
        if not positions or min(positions) < 0:
            raise ValueError("fail_entries() takes the positions in the batch, from 0")
        self._add(Positions(1, service, EntryError(code, message), positions))

    def reject(
        self,
        times: float = 1,
        code: str = "InternalFailure",
        message: str = "made to fail",
        *,
        status: int | None = None,
        service: str | None = None,
    ) -> None:
        """Refuse the next ``times`` requests as a whole: a missing topic, a missing permission.

        ``status`` is the HTTP status; by default what botocore's model says of the code, or 400.
        """
        self._add(Refused(times, service, EntryError(code, message), status))

    def throttle(self, times: float = 1, *, service: str | None = None) -> None:
        """Throttle the next ``times`` requests.

        Kinesis, for one, answers such a request, and says so of every record in it.
        """
        self._add(Throttled(times, service))

    def time_out(
        self, times: float = 1, *, stored: bool = True, service: str | None = None
    ) -> None:
        """Have no answer come to the next ``times`` requests.

        With ``stored`` the service has taken the messages, which is how duplicates come about;
        otherwise no connection is made.
        """
        self._add(TimedOut(times, service, stored))

    def slow(self, seconds: float, times: float = 1, *, service: str | None = None) -> None:
        """Have the next ``times`` requests take so long; beyond ``read_timeout`` they time out.

        On a capture this moves its clock; on any other client it really takes that long.
        """
        self._add(Slow(times, service, seconds))

    def wrong_length(self, times: float = 1, *, service: str | None = None) -> None:
        """Leave the last entry out of the next ``times`` answers to batches; it is stored."""
        self._add(Short(times, service))

    def clear(self) -> None:
        """Let everything through from here on."""
        with self._lock:
            self._rules.clear()

    @property
    def pending(self) -> bool:
        """True while a queued fault has not been met, or ``ALWAYS`` is."""
        with self._lock:
            return bool(self._rules)

    # -- where

    def attach(self, client: Any) -> None:
        """Put the faults on a boto3 client, or on one of ours, whose boto3 client is made now."""
        events = client.meta.events
        events.register_first("provide-client-params", self._take)
        events.register_first("before-call", self._before)
        events.register("after-call", self._after)

    def detach(self, client: Any) -> None:
        """Take them off again."""
        events = client.meta.events
        events.unregister("provide-client-params", self._take)
        events.unregister("before-call", self._before)
        events.unregister("after-call", self._after)

    # -- botocore's events, in their order

    def _take(self, params: Any, model: Any, context: Any, **_: Any) -> dict[str, Any] | None:
        """Decide what happens to this request; leave out the entries that are to fail."""
        found = publishing(model)
        if found is None:
            return None
        service, is_batch = found
        entries = params.get(service.entries_parameter) if is_batch else [params]
        if not isinstance(entries, (list, tuple)) or not entries:
            return None
        config = context["client_config"]
        plan = Plan(model, service, is_batch, config, self._let_pass, list(entries))
        with self._lock:
            for rule in self._rules:
                if rule.service in (None, service.name) and not rule.take(plan):
                    break
            self._rules = deque(rule for rule in self._rules if rule.left > 0)
        context[_PLAN] = plan
        if is_batch and plan.failures and plan.kept:
            return {**params, service.entries_parameter: plan.kept}
        return None

    def _before(self, params: Any, context: Any, **_: Any) -> Any:
        plan: Plan | None = context.get(_PLAN)
        return None if plan is None else plan.before(params)

    def _after(self, parsed: Any, context: Any, **_: Any) -> None:
        plan: Plan | None = context.get(_PLAN)
        if plan is not None:
            plan.after(parsed)

    # -- details

    def _let_pass(self, seconds: float, *, really: bool) -> None:
        if self._clock is not None:
            self._clock.advance(seconds)
        elif really:
            threading.Event().wait(seconds)

    def _add(self, rule: Rule) -> None:
        if not rule.left >= 1:
            raise ValueError("times must be at least 1")
        if rule.service not in (None, *names()):
            known = " or ".join(map(repr, names()))
            raise ValueError(f"service must be {known}, not {rule.service!r}")
        with self._lock:
            self._rules.append(rule)

    def __repr__(self) -> str:
        with self._lock:
            return f"<Faults {[type(rule).__name__ for rule in self._rules]}>"
