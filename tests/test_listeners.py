"""Who listens to the boto3 client, or wraps it, sees the real entries and may change them."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import botocore.client
import botocore.history
import pytest
import wrapt
from opentelemetry.instrumentation.botocore import BotocoreInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import publisher
from tests.servers import Endpoint
from tests.support import SOON, STREAM, TOPIC, client_of, publishing

pytestmark = pytest.mark.every_python(
    "who listens to a client or wraps it reaches into botocore, whatever its version"
)

SERVICES = ["sns", "kinesis"]
OPERATIONS = {"sns": "PublishBatch", "kinesis": "PutRecords"}
PARAMETERS = {"sns": "PublishBatchRequestEntries", "kinesis": "Records"}


def publish(client: Any, text: str) -> None:
    if client._service.name == "sns":
        client.publish(TopicArn=TOPIC, Message=text).result(SOON)
    else:
        client.put_record(StreamName=STREAM, Data=text.encode(), PartitionKey="k").result(SOON)


def shown(service: str, text: str) -> list[dict[str, Any]]:
    """The entries as boto3 would show them for a request of this one message."""
    if service == "sns":
        return [{"Id": "0", "Message": text}]
    return [{"Data": text.encode(), "PartitionKey": "k"}]


def stored(endpoint: Endpoint, service: str) -> list[bytes]:
    return [entry.data for entry in endpoint.stored(service)]


def bodies(service: str, entries: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    """The entries with another text: what an encrypting or enriching handler does."""
    name = "Message" if service == "sns" else "Data"
    value: Any = text if service == "sns" else text.encode()
    return [{**entry, name: value} for entry in entries]


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def made() -> Iterator[publisher.Publisher]:
    with publishing() as one:
        yield one


@pytest.mark.parametrize("early", [True, False], ids=["of the session", "after a message"])
@pytest.mark.parametrize("event", ["provide-client-params", "before-parameter-build"])
def test_a_handler_sees_and_changes_the_entries(
    service: str, early: bool, event: str, endpoint: Endpoint, made: publisher.Publisher
) -> None:
    seen: list[Any] = []

    def change(params: dict[str, Any], **_: Any) -> dict[str, Any]:
        entries = params[PARAMETERS[service]]
        seen.append([*entries])
        changed = bodies(service, entries, "changed")
        params[PARAMETERS[service]] = changed
        return params

    session = boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing")
    name = f"{event}.{service}.{OPERATIONS[service]}"
    if early:
        session.events.register(name, change)
    client = client_of(made, service, endpoint.url, session=session)
    if not early:
        publish(client, "before")
        client.meta.events.register(name, change)
    publish(client, "private")
    assert seen == [shown(service, "private")]
    expected = [b"changed"] if early else [b"before", b"changed"]
    assert stored(endpoint, service) == expected


@pytest.mark.parametrize("early", [True, False], ids=["of the session", "after a message"])
def test_a_handler_of_before_call_has_the_last_word_on_the_body(
    service: str, early: bool, endpoint: Endpoint, made: publisher.Publisher
) -> None:
    def encrypt(params: dict[str, Any], **_: Any) -> None:
        body = params["body"]
        if isinstance(body, dict):  # a form, which botocore encodes later
            params["body"] = {
                key: value.replace("plain", "cipher") if isinstance(value, str) else value
                for key, value in body.items()
            }
        else:
            params["body"] = body.replace(b"cGxhaW4=", b"Y2lwaGVy")  # base64 of plain, of cipher

    session = boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing")
    if early:
        session.events.register("before-call", encrypt)
    client = client_of(made, service, endpoint.url, session=session)
    if not early:
        publish(client, "before")
        client.meta.events.register("before-call", encrypt)
    publish(client, "plain")
    assert stored(endpoint, service)[-1] == b"cipher"


def test_a_handler_that_leaves_makes_way_again(
    endpoint: Endpoint, made: publisher.Publisher
) -> None:
    client = client_of(made, "kinesis", endpoint.url)
    publish(client, "one")
    binding = client._binding
    assert binding is not None
    assert binding.connection.fast

    def listen(**_: Any) -> None: ...

    client.meta.events.register("before-call", listen)
    assert not binding.connection.fast
    client.meta.events.unregister("before-call", listen)
    assert binding.connection.fast
    publish(client, "two")
    assert stored(endpoint, "kinesis") == [b"one", b"two"]


def wrapped_by_wrapt(see: Callable[[Any], None]) -> Any:
    """As OpenTelemetry, X-Ray, Datadog and New Relic do it."""

    def wrapper(call: Any, _: Any, args: Any, kwargs: Any) -> Any:
        see(args[1])
        return call(*args, **kwargs)

    return wrapt.FunctionWrapper(botocore.client.BaseClient._make_api_call, wrapper)  # type: ignore[attr-defined]


def wrapped_by_a_function(see: Callable[[Any], None]) -> Any:
    """As tests do it."""
    call = botocore.client.BaseClient._make_api_call  # type: ignore[attr-defined]

    @functools.wraps(call)
    def wrapper(self: Any, name: str, params: Any) -> Any:
        see(params)
        return call(self, name, params)

    return wrapper


@pytest.mark.parametrize("wrap", [wrapped_by_wrapt, wrapped_by_a_function])
def test_a_patched_make_api_call_sees_the_entries(
    service: str,
    wrap: Any,
    endpoint: Endpoint,
    made: publisher.Publisher,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = client_of(made, service, endpoint.url)
    publish(client, "before")
    seen: list[Any] = []
    with monkeypatch.context() as patch:
        patch.setattr(botocore.client.BaseClient, "_make_api_call", wrap(seen.append))
        publish(client, "seen")
    publish(client, "after")
    assert [params[PARAMETERS[service]] for params in seen] == [shown(service, "seen")]
    assert stored(endpoint, service) == [b"before", b"seen", b"after"]


def test_a_wrapped_client_method_sees_the_entries(
    service: str, endpoint: Endpoint, made: publisher.Publisher
) -> None:
    """New Relic replaces the methods as the client's class is made."""
    seen: list[Any] = []
    method = {"sns": "publish_batch", "kinesis": "put_records"}[service]

    def replace(class_attributes: dict[str, Any], **_: Any) -> None:
        call = class_attributes[method]

        def traced(self: Any, **params: Any) -> Any:
            seen.append(params)
            return call(self, **params)

        class_attributes[method] = traced

    session = boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing")
    session.events.register(f"creating-client-class.{service}", replace)
    publish(client_of(made, service, endpoint.url, session=session), "seen")
    assert [params[PARAMETERS[service]] for params in seen] == [shown(service, "seen")]


def test_opentelemetrys_instrumentation_sees_the_entries_and_adds_to_them(
    endpoint: Endpoint, made: publisher.Publisher
) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    client = client_of(made, "sns", endpoint.url)
    publish(client, "before")
    instrumentor = BotocoreInstrumentor()  # type: ignore[no-untyped-call]
    instrumentor.instrument(tracer_provider=provider)
    try:
        publish(client, "seen")
    finally:
        instrumentor.uninstrument()
    publish(client, "after")
    assert [span.attributes["rpc.method"] for span in exporter.get_finished_spans()] == [  # type: ignore[index]
        "PublishBatch"
    ]
    assert stored(endpoint, "sns") == [b"before", b"seen", b"after"]
    first, second, third = endpoint.stored("sns")
    assert "traceparent" in second.attributes
    assert "traceparent" not in first.attributes
    assert "traceparent" not in third.attributes


def test_botocores_history_records_the_entries(
    endpoint: Endpoint, made: publisher.Publisher
) -> None:
    seen: list[Any] = []

    class Recorder(botocore.history.BaseHistoryHandler):
        def emit(self, event_type: str, payload: Any, source: str) -> None:
            if event_type == "API_CALL":
                seen.append(payload["params"]["Records"])

    client = client_of(made, "kinesis", endpoint.url)
    publish(client, "before")
    recorder = botocore.history.get_global_history_recorder()
    recorder.add_handler(Recorder())
    recorder.enable()
    try:
        publish(client, "seen")
    finally:
        recorder.disable()
        recorder._handlers.clear()  # type: ignore[attr-defined]
    assert seen == [shown("kinesis", "seen")]


def test_who_reads_the_answer_finds_all_of_it(
    service: str, endpoint: Endpoint, made: publisher.Publisher
) -> None:
    client = client_of(made, service, endpoint.url)
    publish(client, "before")
    read: list[bytes] = []

    def listen(response_dict: Any, **_: Any) -> None:
        read.append(response_dict["body"])

    client.meta.events.register("before-parse", listen)
    publish(client, "seen")
    answer = {"sns": b"<Successful>", "kinesis": b'"SequenceNumber"'}[service]
    # The oldest botocore of the range has no such event.
    assert all(answer in body for body in read)
    parsed: list[Any] = []
    client.meta.events.register("after-call", lambda parsed, **_: results.append(parsed))
    results: list[Any] = parsed
    publish(client, "parsed")
    name = {"sns": "Successful", "kinesis": "Records"}[service]
    assert len(parsed[0][name]) == 1


def test_many_threads_ask_while_one_registers(
    endpoint: Endpoint, made: publisher.Publisher
) -> None:
    """Whoever registers between two questions is seen by the second."""
    client = client_of(made, "kinesis", endpoint.url)
    publish(client, "one")
    binding = client._binding
    assert binding is not None
    connection = binding.connection
    begin, wrong = threading.Barrier(3), []

    def ask() -> None:
        begin.wait(SOON)
        for _ in range(2_000):
            connection.fast  # noqa: B018 - asked for what it remembers

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    begin.wait(SOON)
    for _ in range(200):

        def listen(**_: Any) -> None: ...

        client.meta.events.register("before-call", listen)
        if connection.fast:
            wrong.append("listened to")
        client.meta.events.unregister("before-call", listen)
        if not connection.fast:
            wrong.append("left")
    for thread in threads:
        thread.join(SOON)
    assert not wrong
