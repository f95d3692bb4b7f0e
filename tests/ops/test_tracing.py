"""Spans: one for each message, one for each request, linked; the caller's context in hooks."""

from __future__ import annotations

import contextvars
import threading
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

import publisher
from publisher.contrib.opentelemetry import TracingHook, _span_of_message
from tests.servers import Answer, Endpoint, Error
from tests.support import QUEUE, SOON, STREAM, TOPIC, client_of, publishing, tries


class Spans:
    def __init__(self, **options: Any) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(**options)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def of(self, operation: str) -> list[ReadableSpan]:
        return [
            span
            for span in self._exporter.get_finished_spans()
            if (span.attributes or {}).get("messaging.operation.type") == operation
        ]

    @property
    def all(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()


def test_a_span_for_each_message_and_one_for_their_request(endpoint: Endpoint) -> None:
    spans = Spans()
    tracer = spans.provider.get_tracer("test")
    with publishing(hooks=[TracingHook(spans.provider)]) as made:
        sns = client_of(made, "sns", endpoint.url).with_options(linger=60)
        with tracer.start_as_current_span("view") as view:
            futures = [sns.publish(TopicArn=TOPIC, Message=str(n)) for n in range(3)]
        made.close(SOON)
    created, sent = spans.of("create"), spans.of("send")
    assert len(created) == 3
    assert len(sent) == 1
    for span in created:
        assert span.parent is not None
        assert span.parent.span_id == view.get_span_context().span_id
    linked = {link.context.span_id for link in sent[0].links}
    assert linked == {span.context.span_id for span in created}
    assert sent[0].parent is None
    ids = {(span.attributes or {})["messaging.message.id"] for span in created}
    assert ids == {future.result(0)["MessageId"] for future in futures}
    assert (sent[0].attributes or {})["messaging.batch.message_count"] == 3
    assert (sent[0].attributes or {})["messaging.system"] == "aws.sns"


def test_the_span_of_a_lost_message_names_the_error(endpoint: Endpoint) -> None:
    endpoint.script(Answer(error=Error(403, "AccessDeniedException")))
    spans = Spans()
    with publishing(hooks=[TracingHook(spans.provider)]) as made:
        kinesis = client_of(made, "kinesis", endpoint.url)
        kinesis.put_record(StreamName=STREAM, Data=b"secret", PartitionKey="hidden")
        made.close(SOON)
    (created,) = spans.of("create")
    assert (created.attributes or {})["error.type"] == "AccessDeniedException"
    assert not created.status.is_ok
    for span in spans.all:
        assert "secret" not in span.to_json()
        assert "hidden" not in span.to_json()


def test_what_is_not_sampled_is_neither_exported_nor_linked(endpoint: Endpoint) -> None:
    spans = Spans(sampler=ALWAYS_OFF)
    with publishing(hooks=[TracingHook(spans.provider)]) as made:
        client_of(made, "sns", endpoint.url).publish(TopicArn=TOPIC, Message="x").result(SOON)
    assert spans.all == ()


@pytest.mark.parametrize("many", [False, True])
def test_traceparent_is_injected_when_asked(endpoint: Endpoint, many: bool) -> None:
    spans = Spans()
    with publishing(hooks=[TracingHook(spans.provider, inject=True)]) as made:
        sns = client_of(made, "sns", endpoint.url)
        if many:
            entries = [{"Id": str(n), "Message": str(n)} for n in range(2)]
            sns.publish_batch(TopicArn=TOPIC, PublishBatchRequestEntries=entries).result(SOON)
        else:
            for n in range(2):
                sns.publish(TopicArn=TOPIC, Message=str(n))
        made.close(SOON)
    carried = {entry.attributes["traceparent"][1].decode() for entry in endpoint.stored("sns")}
    wanted = {
        f"00-{trace.format_trace_id(span.context.trace_id)}"
        f"-{trace.format_span_id(span.context.span_id)}-01"
        for span in spans.of("create")
    }
    assert carried == wanted
    assert len(wanted) == 2


def test_traceparent_reaches_a_queue(endpoint: Endpoint) -> None:
    spans = Spans()
    with publishing(hooks=[TracingHook(spans.provider, inject=True)]) as made:
        sqs = client_of(made, "sqs", endpoint.url)
        sqs.send_message(QueueUrl=QUEUE, MessageBody="m").result(SOON)
        made.close(SOON)
    (span,) = spans.of("create")
    (entry,) = endpoint.stored("sqs")
    kind, value = entry.attributes["traceparent"]
    assert kind == "String"
    assert value.decode().split("-")[1] == trace.format_trace_id(span.context.trace_id)
    assert span.attributes["messaging.system"] == "aws_sqs"
    assert span.attributes["messaging.destination.name"] == "jobs"


def test_traceparent_keeps_to_the_ten_attributes_and_to_the_callers_own(endpoint: Endpoint) -> None:
    def attributes(count: int) -> dict[str, Any]:
        return {f"a{n}": {"DataType": "String", "StringValue": "v"} for n in range(count)}

    own = {"traceparent": {"DataType": "String", "StringValue": "mine"}}
    with publishing(hooks=[TracingHook(Spans().provider, inject=True)]) as made:
        sns = client_of(made, "sns", endpoint.url)
        given = attributes(9)
        sns.publish(TopicArn=TOPIC, Message="nine", MessageAttributes=given)
        sns.publish(TopicArn=TOPIC, Message="ten", MessageAttributes=attributes(10))
        sns.publish(TopicArn=TOPIC, Message="own", MessageAttributes=own)
        made.close(SOON)
    assert len(given) == 9  # the caller's dict is not touched
    found = {entry.data.decode(): entry.attributes for entry in endpoint.stored("sns")}
    assert len(found["nine"]) == 10
    assert "traceparent" not in found["ten"]
    assert found["own"]["traceparent"][1] == b"mine"


def test_without_inject_nothing_is_added(endpoint: Endpoint) -> None:
    with publishing(hooks=[TracingHook(Spans().provider)]) as made:
        client_of(made, "sns", endpoint.url).publish(TopicArn=TOPIC, Message="x").result(SOON)
    assert not endpoint.stored("sns")[0].attributes


@pytest.mark.every_python("the instrumentation wraps botocore's methods, which differ by version")
def test_spans_of_the_botocore_instrumentation_are_children_of_ours(endpoint: Endpoint) -> None:
    from opentelemetry.instrumentation.botocore import BotocoreInstrumentor

    spans = Spans()
    instrumentor = BotocoreInstrumentor()
    instrumentor.instrument(tracer_provider=spans.provider)
    try:
        with publishing(hooks=[TracingHook(spans.provider)]) as made:
            kinesis = client_of(made, "kinesis", endpoint.url)
            kinesis.put_record(StreamName=STREAM, Data=b"x", PartitionKey="k").result(SOON)
    finally:
        instrumentor.uninstrument()
    (sent,) = spans.of("send")
    theirs = [span for span in spans.all if span.name == "Kinesis.PutRecords"]
    assert theirs
    for span in theirs:
        assert span.parent is not None
        assert span.parent.span_id == sent.context.span_id


def test_the_span_of_a_message_that_stays_on_disk_ends_and_is_no_error() -> None:
    spans = Spans()
    hook = TracingHook(spans.provider)
    event = publisher.Event(service="sns", operation="publish", destination="d")
    hook.on_spooled(event)  # of a message that was published outside of any span
    span = spans.provider.get_tracer("test").start_span("publish")
    context = contextvars.copy_context()
    context.run(_span_of_message.set, span)
    context.run(hook.on_spooled, event)
    (ended,) = spans.all
    assert ended.attributes == {"publisher.spooled": True}
    assert ended.status.is_unset


_request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="none")


class Remembers:
    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str]] = []

    def _note(self, name: str) -> None:
        self.seen.append((name, _request_id.get(), threading.current_thread().name))

    def on_accepted(self, event: publisher.Event) -> None:
        self._note("accepted")

    def on_retry(self, event: publisher.Event) -> None:
        self._note("retry")

    def on_delivered(self, event: publisher.Event) -> None:
        self._note("delivered")

    def on_failed(self, event: publisher.Event) -> None:
        self._note("failed")

    def on_dropped(self, event: publisher.Event) -> None:
        self._note("dropped")


def test_hooks_run_in_the_context_of_whoever_published(endpoint: Endpoint) -> None:
    gate = threading.Event()
    endpoint.script(Answer(hold=gate, error=Error(503, "ServiceUnavailable")))
    hook = Remembers()
    with publishing(hooks=[hook], retry=tries(2), max_messages=1, on_full="drop") as made:
        sns = client_of(made, "sns", endpoint.url)
        for number in ("one", "two"):
            contextvars.copy_context().run(
                lambda number=number: (
                    _request_id.set(number),
                    sns.publish(TopicArn=TOPIC, Message="x"),
                )
            )
        gate.set()
        made.close(SOON)
    seen = [(name, request) for name, request, _ in hook.seen]
    assert seen.count(("accepted", "one")) == 1
    assert sorted(seen[1:]) == [("dropped", "two"), ("failed", "one"), ("retry", "one")]
    threads = {thread for name, _, thread in hook.seen if name != "accepted"}
    assert threads == {"publisher-callbacks"}
    core = made._core
    assert core is not None
    assert core.teller._contexts == {}  # nothing is kept beyond the end


def test_a_hook_may_do_without_the_context(endpoint: Endpoint) -> None:
    hook = Remembers()
    hook.caller_context = False  # type: ignore[attr-defined]
    with publishing(hooks=[hook]) as made:
        token = _request_id.set("mine")
        try:
            client_of(made, "sns", endpoint.url).publish(TopicArn=TOPIC, Message="x")
        finally:
            _request_id.reset(token)
        made.close(SOON)
    assert ("delivered", "none") in [(name, request) for name, request, _ in hook.seen]


def test_a_raising_hook_does_not_keep_others_from_being_told(
    endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    class Raises(publisher.Hook):
        def on_delivered(self, event: publisher.Event) -> None:
            raise RuntimeError("no")

    after = Remembers()
    with publishing(hooks=[Raises(), after]) as made:
        client_of(made, "sns", endpoint.url).publish(TopicArn=TOPIC, Message="x")
        made.close(SOON)
    assert "delivered" in [name for name, *_ in after.seen]
    assert "on_delivered raised" in caplog.text
