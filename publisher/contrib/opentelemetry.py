"""OpenTelemetry: metrics and traces by the semantic conventions for messaging.

::

    from publisher.contrib.opentelemetry import MetricsHook, TracingHook, observe

    publisher.configure(hooks=[MetricsHook(), TracingHook()])
    observe()

``MetricsHook`` records each request (``messaging.client.operation.duration`` and
``messaging.client.sent.messages``); ``observe`` shows the account; ``TracingHook`` makes a span for
each message, a child of the caller's, and one for each request, linked to those of its messages.
Conventions: https://opentelemetry.io/docs/specs/semconv/messaging/
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextvars import Context, ContextVar
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import metrics, trace
from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, TracerProvider

import publisher

from .._account.events import Event
from .._account.ledger import Ledger, SpoolStats
from .._engine.contract import Service
from .._publisher import Publisher
from ..errors import InvalidMessage
from ..hooks import Hook
from ..services import load, names
from ._watching import named, on_disk, together

_NAME = "publisher"
_TRACEPARENT = "traceparent"
_UNSET = "00-" + "0" * 32 + "-" + "0" * 16 + "-00"
#: Upper bounds that the conventions advise for durations, seconds.
_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)

_span_of_message: ContextVar[Span] = ContextVar("publisher_span_of_message")


def _system(service: str) -> str:
    return load(service).system if service in names() else f"aws.{service}"


def _attributes(service: str, region: str, name: str) -> dict[str, str]:
    found = {
        "messaging.system": _system(service),
        "messaging.destination.name": name,
    }
    return {**found, "cloud.region": region} if region else found


def _of(destination: str) -> dict[str, str]:
    service, _, rest = destination.partition(":")
    region, _, name = rest.partition(":")
    return _attributes(service, region, name or service)


# -- metrics


class MetricsHook(Hook):
    """Records each request.

    Args:
        meter_provider: default: the global one.
    """

    caller_context = False

    def __init__(self, meter_provider: MeterProvider | None = None) -> None:
        meter = metrics.get_meter(_NAME, publisher.__version__, meter_provider)
        self._sent = meter.create_counter(
            "messaging.client.sent.messages",
            unit="{message}",
            description="Messages that requests carried to the service.",
        )
        self._duration = meter.create_histogram(
            "messaging.client.operation.duration",
            unit="s",
            description="Duration of requests to the service.",
            explicit_bucket_boundaries_advisory=_BOUNDS,
        )

    def on_sent(self, event: Event) -> None:
        """Record the request's duration and what became of its messages."""
        attributes: dict[str, Any] = {
            **_of(event.destination),
            "messaging.operation.name": event.operation,
            "messaging.operation.type": "send",
        }
        failed = {"error.type": event.error_code} if event.error_code else {}
        self._duration.record(event.duration or 0.0, {**attributes, **failed})
        if not event.messages:  # an operation that sends none
            return
        if good := event.messages - sum(event.errors.values()):
            self._sent.add(good, {**attributes, **failed})
        for code, count in event.errors.items():
            self._sent.add(count, {**attributes, "error.type": code})


_Counts = Callable[[Ledger], "Mapping[str, float] | float"]
_COUNTERS: tuple[tuple[str, str, str, str, _Counts], ...] = (
    ("publisher.accepted", "{message}", "Messages accepted.", "", lambda one: one.accepted),
    ("publisher.delivered", "{message}", "Messages stored.", "", lambda one: one.delivered),
    (
        "publisher.failed",
        "{message}",
        "Messages lost after a try.",
        "error.type",
        lambda one: one.failed_by_code,
    ),
    (
        "publisher.dropped",
        "{message}",
        "Messages never sent.",
        "publisher.reason",
        lambda one: one.dropped_by_reason,
    ),
    ("publisher.spooled", "{message}", "Messages left on disk.", "", lambda one: one.spooled),
    (
        "publisher.replayed",
        "{message}",
        "Messages offered again from disk.",
        "",
        lambda one: one.replayed,
    ),
    ("publisher.retries", "{message}", "Messages sent again.", "", lambda one: one.retries),
    ("publisher.sent.size", "By", "Bytes of what was sent.", "", lambda one: one.bytes_sent),
)
_GAUGES: tuple[tuple[str, str, str, _Counts], ...] = (
    ("publisher.outstanding", "{message}", "Messages waiting.", lambda one: one.outstanding),
    ("publisher.outstanding.size", "By", "Their bytes.", lambda one: one.outstanding_bytes),
    ("publisher.oldest.age", "s", "Age of the oldest.", lambda one: one.oldest_age),
)
#: What is on disk; without attributes, and without values where no publisher has a spool.
_SPOOL: tuple[tuple[str, str, str, Callable[[SpoolStats], float]], ...] = (
    ("publisher.spool.waiting", "{message}", "Messages on disk.", lambda one: one.waiting),
    ("publisher.spool.size", "By", "Bytes of the files.", lambda one: one.bytes),
    ("publisher.spool.oldest.age", "s", "Age of the oldest.", lambda one: one.oldest_age),
    (
        "publisher.spool.orphans",
        "{process}",
        "Dead processes whose files nobody has.",
        lambda one: one.orphans,
    ),
    ("publisher.spool.skipped", "{record}", "Damaged records.", lambda one: one.skipped),
    (
        "publisher.spool.unwritten",
        "{message}",
        "Messages kept in memory alone because the disk failed.",
        lambda one: one.unwritten,
    ),
)


def observe(
    of: Publisher | Collection[Publisher] | None = None,
    meter_provider: MeterProvider | None = None,
) -> None:
    """Show a publisher's account as observable counters and gauges, read when they are collected.

    Call it once: OpenTelemetry ignores what comes second under the same names.

    Args:
        of: the publisher, or a collection of them, which is gone through at each collection and
            shown in sum; default: the process-wide one, whichever that is at the time.
        meter_provider: default: the global one.
    """
    meter = metrics.get_meter(_NAME, publisher.__version__, meter_provider)
    for name, unit, text, label, count in _COUNTERS:
        callback = _reader(of, label, count)
        meter.create_observable_counter(name, [callback], unit=unit, description=text)
    for name, unit, text, count in _GAUGES:
        callback = _reader(of, "", count)
        meter.create_observable_gauge(name, [callback], unit=unit, description=text)
    for name, unit, text, read in _SPOOL:
        callback = _spool_reader(of, read)
        meter.create_observable_gauge(name, [callback], unit=unit, description=text)


def _spool_reader(
    of: Publisher | Collection[Publisher] | None, value: Callable[[SpoolStats], float]
) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def read(_: CallbackOptions) -> Iterable[Observation]:
        found = on_disk(each.stats() for each in named(of))
        if found is not None:
            yield Observation(value(found))

    return read


def _reader(
    of: Publisher | Collection[Publisher] | None, label: str, count: _Counts
) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def read(_: CallbackOptions) -> Iterable[Observation]:
        for key, ledger in together(each.stats() for each in named(of)).items():
            found = count(ledger)
            if isinstance(found, Mapping):
                for value, amount in found.items():
                    yield Observation(amount, {**_of(key), label: value})
            else:
                yield Observation(found, _of(key))

    return read


# -- traces


class TracingHook(Hook):
    """A span for each message, from acceptance to its outcome, and one for each request.

    A message's span is a child of the caller's current span and sampled as that is; a request's
    span is the root of a trace of its own, linked to the sampled spans of its messages, and current
    while the request runs: the spans of the botocore instrumentation are its children. The span of
    a message that is cancelled is never exported.

    Args:
        tracer_provider: default: the global one.
        inject: put the ``traceparent`` of a message's span into its attributes, for consumers to go
            on with, where the service's messages have such, there is room for one more, and none
            of that name yet. It is part of what the message is billed for.
    """

    def __init__(
        self, tracer_provider: TracerProvider | None = None, *, inject: bool = False
    ) -> None:
        self._tracer = trace.get_tracer(_NAME, publisher.__version__, tracer_provider)
        if inject:
            self._publisher_prepare = self._inject

    # in the caller

    def _inject(
        self, service: Service, operation: str, params: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        # Room for it is made before the message is measured; on_accepted fills it in.
        if not service.attributes:
            return params
        if operation == service.single:
            return _with_room(service, params) if _has_address(service, params) else params
        entries = params.get(service.entries_parameter)
        if not isinstance(entries, (list, tuple)):
            return params
        made = [
            _with_room(service, each) if isinstance(each, Mapping) else each for each in entries
        ]
        return {**params, service.entries_parameter: made}

    def on_accepted(self, event: Event) -> None:
        """Start the message's span; it is current in the context that later hooks run in."""
        span = self._tracer.start_span(
            f"create {_of(event.destination)['messaging.destination.name']}",
            kind=SpanKind.PRODUCER,
            attributes={
                **_of(event.destination),
                "messaging.operation.name": event.operation,
                "messaging.operation.type": "create",
                "messaging.message.body.size": event.size,
            },
        )
        _span_of_message.set(span)
        otel_context.attach(trace.set_span_in_context(span))
        attributes = event.params.get(load(event.service).attributes) or {}
        room = attributes.get(_TRACEPARENT)
        if room is not None and room.get("StringValue") == _UNSET:
            room["StringValue"] = _traceparent(span)

    # on a worker

    def _publisher_sending(
        self, event: Event, contexts: Sequence[Context]
    ) -> Callable[[Event], None]:
        """Start a request's span and make it current; what is returned ends it."""
        spans = [context[_span_of_message] for context in contexts if _span_of_message in context]
        sampled = [span.get_span_context() for span in spans if span.is_recording()]
        span = self._tracer.start_span(
            f"send {_of(event.destination)['messaging.destination.name']}",
            context=otel_context.Context(),
            kind=SpanKind.CLIENT,
            links=[Link(each) for each in sampled],
            attributes={
                **_of(event.destination),
                "messaging.operation.name": event.operation,
                "messaging.operation.type": "send",
                **({"messaging.batch.message_count": event.messages} if event.messages else {}),
            },
        )
        token = otel_context.attach(trace.set_span_in_context(span))

        def finish(event: Event) -> None:
            otel_context.detach(token)
            if span.is_recording():
                _describe(span, event)
            span.end()

        return finish

    # on the thread of callbacks, in the message's context

    def on_retry(self, event: Event) -> None:
        """Note the try on the message's span."""
        span = _span_of_message.get(None)
        if span is not None:
            code, delay = event.error_code or "", event.delay or 0.0
            span.add_event("retry", {"error.type": code, "publisher.delay": delay})

    def on_delivered(self, event: Event) -> None:
        """End the message's span."""
        span = _span_of_message.get(None)
        if span is not None:
            response = event.response or {}
            found = response.get("MessageId") or response.get("SequenceNumber")
            if found and span.is_recording():
                span.set_attribute("messaging.message.id", str(found))
            span.end()

    def on_failed(self, event: Event) -> None:
        """End the message's span as an error."""
        self._lost(event, event.error_code or "")

    def on_dropped(self, event: Event) -> None:
        """End the message's span as an error."""
        self._lost(event, event.reason or "dropped")

    def on_spooled(self, event: Event) -> None:
        """End the message's span: it is on disk, and sent later without it."""
        span = _span_of_message.get(None)
        if span is not None:
            span.set_attribute("publisher.spooled", value=True)
            span.end()

    def _lost(self, event: Event, code: str) -> None:
        span = _span_of_message.get(None)
        if span is None and event.reason == "buffer_full":  # never let in: nothing has begun
            return
        if span is not None:
            span.set_attribute("error.type", code)
            span.set_status(Status(StatusCode.ERROR, code))
            span.end()


def _has_address(service: Service, params: Mapping[str, Any]) -> bool:
    """Whether it goes to a destination of the service, not to a telephone."""
    try:
        service.address(params)
    except InvalidMessage:
        return False
    return True


def _with_room(service: Service, params: Mapping[str, Any]) -> Mapping[str, Any]:
    attributes = params.get(service.attributes) or {}
    if not isinstance(attributes, Mapping) or _TRACEPARENT in attributes:
        return params
    if len(attributes) >= service.max_attributes:
        return params
    room = {_TRACEPARENT: {"DataType": "String", "StringValue": _UNSET}}
    return {**params, service.attributes: {**attributes, **room}}


def _traceparent(span: Span) -> str:
    found = span.get_span_context()
    trace_id = trace.format_trace_id(found.trace_id)
    span_id = trace.format_span_id(found.span_id)
    return f"00-{trace_id}-{span_id}-{found.trace_flags & 1:02x}"


def _describe(span: Span, event: Event) -> None:
    last = event.attempts[-1] if event.attempts else None
    if last is not None and last.request_id:
        span.set_attribute("aws.request_id", last.request_id)
    for code, count in event.errors.items():
        carried = {"messaging.batch.message_count": count} if event.messages else {}
        span.add_event("failed", {"error.type": code, **carried})
    if event.error_code is not None:
        span.set_attribute("error.type", event.error_code)
        span.set_status(Status(StatusCode.ERROR, event.error_code))
