"""Whoever stands on botocore's way is met there, before the first message and after it."""

from __future__ import annotations

import functools
import http.client
import logging
import threading
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.endpoint
import botocore.httpsession
import botocore.session
import moto
import pytest
import vcr
import wrapt
from botocore.stub import Stubber

import publisher
from publisher._aws.direct import deciding
from publisher._aws.direct.deciding import Refusal
from publisher._aws.direct.way import DIRECT, Direct
from publisher._doctoring import live
from tests.direct.ways import DIRECT as WAY
from tests.direct.ways import count, opened, sent, session_of, take, went
from tests.servers.raw import RawServer
from tests.support import TOPIC, client_of, close_what_vcr_left, codes, publishing

pytestmark = pytest.mark.every_python("botocore's and urllib3's functions differ by version")

EVENTS = [event.split(".")[0] for event in deciding._EVENTS]


@pytest.fixture(autouse=True)
def _open(monkeypatch: pytest.MonkeyPatch) -> None:
    take(WAY, monkeypatch)


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer() as one:
        yield one


@pytest.fixture
def made() -> Iterator[publisher.Publisher]:
    with publishing(linger=0, max_workers=2) as one:
        yield one


def url(server: RawServer) -> str:
    return f"http://127.0.0.1:{server.port}"


def boto3s(client: publisher.Client) -> Any:
    binding = client._binding
    assert binding is not None
    return binding.connection.made


def parts(client: publisher.Client) -> list[tuple[Any, str]]:
    """All that the direct way leaves out or stands in for: owner and name."""
    binding = client._binding
    assert binding is not None
    direct = binding.connection.direct
    assert direct is not None
    return [
        (owner, name)
        for owner, name, part in direct._way._functions
        if isinstance(part, types.FunctionType)
    ]


def test_every_part_of_botocores_way_that_is_wrapped_is_seen(
    server: RawServer, made: publisher.Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = opened(made, "sns", url(server))
    gone = 0
    for owner, name in parts(client):
        function = getattr(owner, name)

        @functools.wraps(function)
        def wrapper(*args: Any, _function: Any = function, **kwargs: Any) -> Any:
            return _function(*args, **kwargs)

        for kind in (wrapper, wrapt.FunctionWrapper(function, lambda f, _, a, k: f(*a, **k))):
            with monkeypatch.context() as patch:
                patch.setattr(owner, name, kind)
                assert codes(sent(client, f"{name} is wrapped")) == [None]
            assert went(client) == gone, name
        sent(client, "not any more")
        gone += 1
        assert went(client) == gone, name
    assert gone > 40
    reasons = count(client)
    assert reasons.pop(DIRECT) == gone
    assert reasons[deciding.LISTENED.reason] == 2 * gone


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("", "_make_api_call"),
        ("", "_endpoint"),
        ("", "_request_signer"),
        ("_endpoint", "http_session"),
        ("_endpoint", "_send"),
        ("_endpoint.http_session", "send"),
        ("_request_signer", "sign"),
    ],
)
def test_a_part_of_the_client_that_is_replaced_is_seen(
    path: str, name: str, server: RawServer, made: publisher.Publisher
) -> None:
    client = opened(made, "sns", url(server))
    owner = boto3s(client)
    for each in filter(None, path.split(".")):
        owner = getattr(owner, each)
    part = getattr(owner, name)
    used: list[str] = []

    class Other:
        def __getattr__(self, asked: str) -> Any:
            used.append(asked)
            return getattr(part, asked)

    def other(*args: Any, **kwargs: Any) -> Any:
        used.append(name)
        return part(*args, **kwargs)

    setattr(owner, name, other if callable(part) else Other())
    assert codes(sent(client, "replaced")) == [None]
    assert used or name == "_request_signer"  # botocore goes on to sign with the one it began with
    assert went(client) == 0


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (botocore.awsrequest.AWSHTTPConnectionPool, "_get_conn"),
        (http.client.HTTPConnection, "putrequest"),
        (botocore.endpoint.Endpoint, "_do_get_response"),
    ],
)
def test_what_is_wrapped_before_the_client_is_made_is_on_its_way_for_good(
    owner: Any, name: str, server: RawServer, made: publisher.Publisher, monkeypatch: Any
) -> None:
    function, called = getattr(owner, name), []

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        called.append(name)
        return function(*args, **kwargs)

    monkeypatch.setattr(owner, name, wrapper)
    client = opened(made, "sns", url(server))
    sent(client, "the second")
    assert len(called) > 1
    assert count(client) == {}
    binding = client._binding
    assert binding is not None
    assert [f"{name} is wrapped" in why for why in binding.connection.ways] == [True]


def test_another_signer_of_version_4_is_seen(
    server: RawServer, made: publisher.Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = opened(made, "sns", url(server))

    class Mine(botocore.auth.SigV4Auth):
        pass

    monkeypatch.setitem(botocore.auth.AUTH_TYPE_MAPS, "v4", Mine)
    sent(client, "signed by another")
    assert went(client) == 0


@pytest.mark.parametrize("early", [True, False], ids=["of the session", "after a message"])
@pytest.mark.parametrize("event", EVENTS)
def test_a_handler_of_any_event_is_called(
    event: str, early: bool, server: RawServer, made: publisher.Publisher
) -> None:
    called: list[str] = []

    def handler(event_name: str, **_: Any) -> None:
        called.append(event_name)

    session = session_of(botocore.session.Session())
    if early:
        session.events.register(event, handler)
    client = opened(made, "sns", url(server), session=session)
    if not early:
        sent(client, "nobody listens")
        boto3s(client).meta.events.register(event, handler)
    called.clear()
    assert codes(sent(client, "listened to")) == [None]
    there = {
        "before-parse": hasattr(botocore.endpoint, "handle_checksum_body")
        and "before-parse" in Path(botocore.endpoint.__file__).read_text(),
        "after-call-error": False,
    }
    assert bool(called) == there.get(event, True)
    assert went(client) == (0 if early else 1)


def test_a_handler_of_before_send_may_answer(server: RawServer, made: publisher.Publisher) -> None:
    client = opened(made, "sns", url(server))

    def answer(request: Any, **_: Any) -> Any:
        response: Any = botocore.awsrequest.AWSResponse(request.url, 503, {}, None)  # type: ignore[arg-type]
        response._content = b""
        return response

    events = boto3s(client).meta.events
    events.register("before-send", answer)
    future = client.with_options(delivery_timeout=0.3).publish(TopicArn=TOPIC, Message="held")
    assert future.exception(20)
    assert set(codes(future)) == {"503"}
    assert len(server.heard) == 1
    events.unregister("before-send", answer)
    assert codes(sent(client, "free")) == [None]


def test_a_stubber_answers(server: RawServer, made: publisher.Publisher) -> None:
    client = opened(made, "sns", url(server))
    with Stubber(boto3s(client)) as stubber:
        stubber.add_response(
            "publish_batch", {"Successful": [{"Id": "0", "MessageId": "stubbed"}], "Failed": []}
        )
        assert sent(client, "stubbed").result(0)["MessageId"] == "stubbed"
    assert len(server.heard) == 1
    sent(client, "real")
    assert went(client) == 1


def test_a_mock_of_moto_answers(server: RawServer, made: publisher.Publisher) -> None:
    """Its handler is on every client, and does nothing until a mock is on."""
    client = (
        opened(made, "sns", "http://sns.us-east-1.amazonaws.com:1", session=None) if False else None
    )
    with moto.mock_aws():
        sns = boto3.client("sns", region_name="us-east-1")
        topic = sns.create_topic(Name="orders")["TopicArn"]
        client = made.client("sns", region_name="us-east-1")
        for text in ("one", "two"):
            assert client.publish(TopicArn=topic, Message=text).result(20)
        backend = moto.backends.get_backend("sns")["123456789012"]["us-east-1"]
        assert [text for _, text, *_ in backend.topics[topic].sent_notifications] == ["one", "two"]
        assert went(client) == 0
    outside = opened(made, "sns", url(server))
    sent(outside, "direct")
    assert went(outside) == 1


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # by VCR, of urllib3 1
def test_a_cassette_of_vcr_records_and_plays(
    server: RawServer, made: publisher.Publisher, tmp_path: Path
) -> None:
    client = opened(made, "sns", url(server))
    sent(client, "direct")
    cassette = str(tmp_path / "cassette.yaml")
    with vcr.use_cassette(cassette, record_mode="once"):
        recorded = sent(client, "on tape").result(0)
    heard = len(server.heard)
    with vcr.use_cassette(cassette, record_mode="none"):
        played = sent(client, "on tape").result(0)
    assert recorded["MessageId"] == played["MessageId"]
    assert len(server.heard) == heard == 3
    assert went(client) == 1
    # VCR leaves a connection behind that knows no other request, as it does with boto3.
    assert sent(client, "direct again").result(0)
    assert went(client) > 1
    close_what_vcr_left()


def test_who_reads_botocores_log_finds_all_in_it(
    server: RawServer, made: publisher.Publisher, caplog: pytest.LogCaptureFixture
) -> None:
    client = opened(made, "sns", url(server))
    with caplog.at_level(logging.DEBUG, "botocore"):
        sent(client, "told")
        assert any("Making request" in record.getMessage() for record in caplog.records)
    sent(client, "quiet")
    assert count(client) == {
        deciding_first(): 1,
        deciding.DEBUGGED.reason: 1,
        DIRECT: 1,
    }


def deciding_first() -> str:
    from publisher._aws.direct import way

    return way._FIRST.reason


def test_a_trace_id_of_lambda_goes_with_each_request(
    server: RawServer, made: publisher.Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = opened(made, "sns", url(server))
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "f")
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-5759e988-bd862e3fe1be46a994272793")
    sent(client, "traced")
    assert b"X-Amzn-Trace-Id: Root=1-5759e988" in server.heard[-1].head
    assert went(client) == 0


def test_the_way_is_told_once_for_each_change(
    server: RawServer, made: publisher.Publisher, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "publisher"):
        client = opened(made, "sns", url(server))
        for text in ("one", "two"):
            sent(client, text)

        def listen(**_: Any) -> None: ...

        boto3s(client).meta.events.register("before-call", listen)
        for text in ("three", "four"):
            sent(client, text)
        boto3s(client).meta.events.unregister("before-call", listen)
        sent(client, "five")
    told = [
        record.getMessage() for record in caplog.records if "requests go" in record.getMessage()
    ]
    direct = "sns client: requests go the direct way"
    theirs = f"sns client: requests go botocore's way: {deciding.LISTENED.reason}"
    assert told == [direct, theirs, direct]


def test_the_doctor_tells_the_way(
    server: RawServer, made: publisher.Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said() -> str:
        binding = client._binding
        assert binding is not None
        return "\n".join(finding.text for finding in live.connection(binding.connection, 1))

    client = opened(made, "sns", url(server))
    assert f"not the direct one: 1 not: {deciding_first()}" in said()
    sent(client, "one")
    assert f"1 of 2 batches went the direct way; 1 not: {deciding_first()}" in said()
    monkeypatch.setenv("BOTO3_PUBLISHER_FAST", "0")
    client = opened(made, "sns", url(server), api_version="2010-03-31")
    assert "not the direct one: BOTO3_PUBLISHER_FAST=0 turns" in said()


def test_fast_0_turns_it_off(
    server: RawServer, made: publisher.Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOTO3_PUBLISHER_FAST", "0")
    client = opened(made, "sns", url(server))
    sent(client, "botocore's")
    assert count(client) == {}


def test_a_client_of_the_users_is_used_as_it_is(
    server: RawServer, made: publisher.Publisher
) -> None:
    theirs = boto3.client("sns", region_name="us-east-1", endpoint_url=url(server))
    with pytest.warns(UserWarning, match="used as it is"):
        client = made.client("sns", client=theirs)
    for text in ("one", "two"):
        client.publish(TopicArn=TOPIC, Message=text).result(20)
    assert count(client) == {}


def test_each_destination_is_learnt_once(server: RawServer, made: publisher.Publisher) -> None:
    client = client_of(made, "sns", url(server))
    topics = [f"arn:aws:sns:us-east-1:000000000000:topic-{i}" for i in range(3)]
    for _ in range(3):
        for topic in topics:
            client.publish(TopicArn=topic, Message="m").result(20)
    assert count(client) == {deciding_first(): 3, DIRECT: 6}
    binding = client._binding
    assert binding is not None
    direct = binding.connection.direct
    assert direct is not None
    assert len({id(template) for template in direct._templates.values()}) == 1  # what they share


def test_a_message_may_come_while_another_opens_the_way(
    server: RawServer, made: publisher.Publisher
) -> None:
    """At each line of what is learnt from the first request to a destination."""
    found: list[Any] = []

    def another(frame: types.FrameType, event: str, _: Any) -> Any:
        if frame.f_code is not Direct.learn.__code__:
            return None
        if event == "line":
            try:
                names = frame.f_locals
                found.append(names["self"]._made(names["address"], []))
            except KeyError as error:
                found.append(error)
        return another

    threading.settrace(another)  # of the threads that the first message starts
    try:
        client = opened(made, "sns", url(server))
    finally:
        threading.settrace(None)  # type: ignore[arg-type]
    assert {type(one) for one in found} == {Refusal, tuple}, found
    assert codes(sent(client, "the next")) == [None]
    assert went(client) == 1
