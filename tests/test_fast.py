"""The hand-made bodies are botocore's own, byte for byte, and the readers read what it reads.

.ci/run repeats this with the oldest botocore of the supported range.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote_plus

import boto3
import botocore.awsrequest
import pytest
from botocore.stub import Stubber
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import publisher
from publisher._aws import fast as _fast
from publisher._engine.contract import Service
from publisher.services import load, names
from publisher.services._events import Event
from publisher.services._keys import needs_key
from publisher.services._messages import form_quote
from tests.servers import Answer, Endpoint
from tests.support import QUEUE, SESSION, tries

pytestmark = pytest.mark.every_python(
    "bodies and readers stand in for botocore's own, whatever its version"
)

TOPIC = "arn:aws:sns:us-east-1:123456789012:orders"


class _SentError(Exception):
    """The request is complete; it goes nowhere."""


def make(service: str, *, fast: bool) -> Any:
    # Not of the default session: made before moto is imported it would stay outside every mock.
    client = boto3.Session().client(  # type: ignore[call-overload]
        service,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=boto3.session.Config(parameter_validation=False),
    )
    if fast:
        assert _fast.install(client, load(service)).listeners
    return client


def has_its_protocol(name: str) -> bool:
    """Whether this botocore speaks what the body is made for: older ones speak query with SQS."""
    path = load(name).fast
    model = make(name, fast=False).meta.service_model
    spoken = getattr(model, "resolved_protocol", model.metadata.get("protocol"))
    return path is not None and path.protocol == spoken


SERVICES: dict[str, Service] = {name: load(name) for name in names() if has_its_protocol(name)}
CLIENTS = {(name, fast): make(name, fast=fast) for name in SERVICES for fast in (0, 1)}
#: An address and an entry of each.
EXAMPLES: dict[str, tuple[Any, Any]] = {
    "sns": (TOPIC, "m"),
    "kinesis": ("clicks", (b"d", "k")),
    "firehose": ("clicks", b"d"),
    "sqs": (QUEUE, "m"),
    "events": ("default", Event(1, {"Source": "s"})),
}


def body(client: Any, operation: str, params: dict[str, Any]) -> bytes:
    """The body of the request that would go out."""
    sent: list[bytes] = []

    def stop(request: Any, **_: Any) -> None:
        sent.append(request.body if isinstance(request.body, bytes) else request.body.encode())
        raise _SentError

    events = client.meta.events
    events.register_first("before-send", stop)
    try:
        with pytest.raises(_SentError):
            getattr(client, operation)(**params)
    finally:
        events.unregister("before-send", stop)
    return sent[0]


def bodies(name: str, address: Any, entries: list[Any]) -> tuple[bytes, bytes]:
    """Ours, and botocore's own."""
    service = SERVICES[name]
    fast = _fast.encode(service, address, entries)
    plain = service.batch_request(address, entries)
    return (
        body(CLIENTS[name, True], service.batch, fast),
        body(CLIENTS[name, False], service.batch, plain),
    )


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
some_names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
keys = {"PartitionKey": some_names}
hash_keys = {"ExplicitHashKey": st.integers(0, 2**128 - 1).map(str)}
data = {"Data": st.binary(max_size=60)}
records = (
    st.fixed_dictionaries({**data, **keys}, optional=hash_keys)
    if needs_key()
    else st.fixed_dictionaries(data, optional={**keys, **hash_keys})
)
addresses = st.one_of(
    st.just({"StreamName": "clicks"}),
    st.just({"StreamARN": "arn:aws:kinesis:us-east-1:123456789012:stream/clicks"}),
)
attributes = st.dictionaries(
    some_names,
    st.one_of(
        st.fixed_dictionaries({"DataType": st.just("String"), "StringValue": texts}),
        st.fixed_dictionaries(
            {"DataType": st.just("Binary"), "BinaryValue": st.binary(max_size=20)}
        ),
    ),
    min_size=1,
    max_size=3,
)
messages = st.fixed_dictionaries(
    {"Message": texts},
    optional={
        "Subject": st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=100),
        "MessageStructure": st.just("json"),
        "MessageGroupId": some_names,
        "MessageDeduplicationId": some_names,
        "MessageAttributes": attributes,
    },
)
bare_messages = st.fixed_dictionaries({"Message": texts})
xml_texts = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Cn"], include_characters="\t\n\r"),
    min_size=1,
    max_size=60,
)
bare_queued = st.fixed_dictionaries({"MessageBody": xml_texts})
ids = st.text("abcXYZ!~_", min_size=1, max_size=20)
relaxed = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)


@relaxed
@given(addresses, st.lists(records, min_size=1, max_size=4))
def test_put_records_is_botocores_byte_for_byte(address: Any, given_records: Any) -> None:
    accepted = [SERVICES["kinesis"].accept({**address, **record}) for record in given_records]
    made = [one for one in accepted if one is not None]
    ours, botocores = bodies("kinesis", made[0][0], [entry for _, entry, _ in made])
    assert ours == botocores


@relaxed
@given(st.lists(st.binary(max_size=60), min_size=1, max_size=4))
def test_put_record_batch_is_botocores_byte_for_byte(datas: list[bytes]) -> None:
    ours, botocores = bodies("firehose", "clicks", datas)
    assert ours == botocores


times = st.one_of(
    st.datetimes(dt.datetime(1970, 1, 2), dt.datetime(2400, 1, 1)),  # noqa: DTZ001 - naive ones too
    st.datetimes(
        dt.datetime(1970, 1, 2),  # noqa: DTZ001
        dt.datetime(2400, 1, 1),  # noqa: DTZ001
        timezones=st.integers(-12, 12).map(lambda hours: dt.timezone(dt.timedelta(hours=hours))),
    ),
    st.integers(0, 2**31),
    st.sampled_from(["2026-11-29T20:15:00Z", "2026-11-29T20:15:00+02:00", "1700000000"]),
)
events = st.fixed_dictionaries(
    {},
    optional={
        "Source": texts,
        "DetailType": texts,
        "Detail": texts,
        "Resources": st.lists(texts, max_size=3),
        "EventBusName": st.just("orders"),
        "TraceHeader": some_names,
        "Time": times,
    },
)


@relaxed
@given(st.lists(events, min_size=1, max_size=4))
def test_put_events_is_botocores_byte_for_byte(given_events: Any) -> None:
    made = SERVICES["events"].accept_batch({"Entries": given_events})
    assert made is not None
    ours, botocores = bodies("events", "orders", list(made[1]))
    assert ours == botocores


@relaxed
@given(st.lists(st.one_of(messages, bare_messages), min_size=1, max_size=10))
def test_publish_batch_is_botocores_byte_for_byte(given_messages: Any) -> None:
    accepted = [SERVICES["sns"].accept({"TopicArn": TOPIC, **one}) for one in given_messages]
    made = [one for one in accepted if one is not None]
    ours, botocores = bodies("sns", TOPIC, [entry for _, entry, _ in made])
    assert ours == botocores


queued = st.fixed_dictionaries(
    {"MessageBody": xml_texts},
    optional={
        "DelaySeconds": st.integers(0, 900),
        "MessageGroupId": ids,
        "MessageDeduplicationId": ids,
        "MessageAttributes": st.dictionaries(
            st.text("abcXYZ019_-", min_size=1, max_size=20),
            st.one_of(
                st.fixed_dictionaries({"DataType": st.just("String"), "StringValue": xml_texts}),
                st.fixed_dictionaries(
                    {"DataType": st.just("Binary"), "BinaryValue": st.binary(min_size=1)}
                ),
            ),
            max_size=3,
        ),
        "MessageSystemAttributes": st.just(
            {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-2-3"}}
        ),
    },
)


@relaxed
@given(st.lists(st.one_of(queued, bare_queued), min_size=1, max_size=10))
def test_send_message_batch_is_botocores_byte_for_byte(given_messages: Any) -> None:
    sqs = load("sqs")
    accepted = [sqs.accept({"QueueUrl": QUEUE, **one}) for one in given_messages]
    made = [one for one in accepted if one is not None]
    entries = [entry for _, entry, _ in made]
    if "sqs" in SERVICES:
        ours, botocores = bodies("sqs", QUEUE, entries)
        assert ours == botocores
    else:  # botocore's own way: with its query protocol there is no body of ours
        assert _fast.install(make("sqs", fast=False), sqs).listeners is None


@relaxed
@given(st.lists(texts, max_size=5))
def test_form_quote_is_quote_plus(given_texts: list[str]) -> None:
    expected = [quote_plus(text).encode() for text in given_texts]
    assert form_quote([text.encode() for text in given_texts]) == (expected or [b""])


def test_form_quote_knows_every_character_of_one_byte() -> None:
    few = "".join(map(chr, range(32, 128)))
    for text in (few, few + "naïve 😀 +%", "".join(map(chr, range(256))), *map(chr, range(256))):
        assert form_quote([text.encode(), b"a"]) == [quote_plus(text).encode(), b"a"]


def answered(client: Any, operation: str, params: dict[str, Any], status: int, text: bytes) -> Any:
    """What the client makes of an answer: its response, or its exception's."""

    class Raw:
        def stream(self, *_: Any, **__: Any) -> Any:
            return iter([text])

    def answer(request: Any, **_: Any) -> Any:
        headers = {"x-amzn-requestid": "of-the-header", "content-length": str(len(text))}
        return botocore.awsrequest.AWSResponse(request.url, status, headers, Raw())

    events = client.meta.events
    events.register_first("before-send", answer)
    try:
        return getattr(client, operation)(**params)
    except client.exceptions.ClientError as error:
        return type(error).__name__, error.response
    except Exception as error:  # noqa: BLE001 - whatever botocore raises for such an answer
        return type(error).__name__
    finally:
        events.unregister("before-send", answer)


def both_read(name: str, status: int, text: bytes) -> None:
    service = SERVICES[name]
    address, entry = EXAMPLES[name]
    plain = service.batch_request(address, [entry])
    fast = _fast.encode(service, address, [entry])
    ours = answered(CLIENTS[name, True], service.batch, fast, status, text)
    botocores = answered(CLIENTS[name, False], service.batch, plain, status, text)
    assert ours == botocores


RECORD = {"SequenceNumber": "495903", "ShardId": "shardId-000000000000"}
FAILED = {"ErrorCode": "InternalFailure", "ErrorMessage": "no"}


@dataclasses.dataclass(frozen=True)
class Listed:
    """An answer in JSON with an outcome for each entry, by position."""

    outcomes: str
    failed: str
    stored: dict[str, str]
    more: dict[str, Any]  # what an answer may have beside these

    def text(self, outcomes: Any, **more: Any) -> str:
        return json.dumps({self.failed: 0, self.outcomes: outcomes, **more})


LISTED = {
    "kinesis": Listed("Records", "FailedRecordCount", RECORD, {"EncryptionType": "KMS"}),
    "firehose": Listed(
        "RequestResponses", "FailedPutCount", {"RecordId": "a1"}, {"Encrypted": True}
    ),
    "events": Listed("Entries", "FailedEntryCount", {"EventId": "a1"}, {}),
}


@pytest.mark.parametrize("name", LISTED)
@pytest.mark.parametrize(
    ("status", "make_text"),
    [
        (200, lambda of: of.text([of.stored, of.stored])),
        (200, lambda of: of.text([of.stored, FAILED], **{of.failed: 1})),
        (200, lambda of: of.text([of.stored], **of.more)),
        (200, lambda of: of.text([{**of.stored, "ErrorCode": None}])),
        (200, lambda of: json.dumps({of.outcomes: []})),
        (200, lambda of: of.text([1])),
        (200, lambda of: of.text("x")),
        (200, lambda of: of.text([of.stored])[:-9]),
        (200, lambda _: "{}"),
        (200, lambda _: "[]"),
        (200, lambda _: "<html>hello</html>"),
        (200, lambda _: ""),
        (400, lambda _: json.dumps({"__type": "ResourceNotFoundException", "message": "no"})),
        (500, lambda _: "oops"),
    ],
)
def test_an_answer_in_json_is_read_as_botocore_reads_it(
    name: str, status: int, make_text: Callable[[Listed], str]
) -> None:
    both_read(name, status, make_text(LISTED[name]).encode())


QUEUED = {"Id": "0", "MessageId": "a-b", "MD5OfMessageBody": "5d41"}
LEFT = {"Id": "0", "SenderFault": True, "Code": "InternalError", "Message": "no"}


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (200, {"Successful": [QUEUED], "Failed": []}),
        (200, {"Successful": [{**QUEUED, "SequenceNumber": "1", "MD5OfMessageAttributes": "9"}]}),
        (200, {"Successful": [{**QUEUED, "MD5OfMessageSystemAttributes": None, "New": 1}]}),
        (200, {"Successful": [QUEUED], "Failed": [LEFT], "New": 1}),
        (200, {"Successful": None, "Failed": [LEFT]}),
        (200, {"Successful": [], "Failed": None}),
        (200, {"Failed": [LEFT]}),
        (200, {"Successful": "x"}),
        (200, {"Successful": [1]}),
        (200, {"Successful": [QUEUED], "Failed": [[]]}),
        (200, {}),
        (200, []),
        (200, "text"),
        (400, {"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "none"}),
        (500, {}),
    ],
)
def test_an_answer_of_sqs_is_read_as_botocore_reads_it(status: int, answer: Any) -> None:
    if "sqs" in SERVICES:
        both_read("sqs", status, json.dumps(answer).encode())
        both_read("sqs", status, json.dumps(answer).encode()[:-1])
    else:
        assert _fast.install(make("sqs", fast=False), load("sqs")).listeners is None


def xml(inside: str, request: str = "of-the-body") -> str:
    return (
        '<PublishBatchResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/">\n'
        f"  <PublishBatchResult>{inside}</PublishBatchResult>\n"
        f"  <ResponseMetadata><RequestId>{request}</RequestId></ResponseMetadata>\n"
        "</PublishBatchResponse>"
    )


def member(number: int, more: str = "") -> str:
    return (
        f"<member><MessageId>{number:08d}-aaaa-bbbb-cccc-1234567890ab</MessageId>"
        f"<Id>{number}</Id>{more}</member>"
    )


REFUSED = (
    "<Failed><member><Id>1</Id><Code>InternalError</Code><Message>no</Message>"
    "<SenderFault>false</SenderFault></member></Failed>"
)


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (200, xml(f"<Failed/><Successful>{member(0)}{member(1)}</Successful>")),
        (200, xml(f"<Successful>{member(0)}</Successful><Failed></Failed>")),
        (200, xml(f"<Successful>{member(0)}</Successful>")),
        (200, xml(f"<Successful>{member(0, '<SequenceNumber>17</SequenceNumber>')}</Successful>")),
        (200, xml(f"\n <Successful>\n  {member(0)}\n {member(1)}\n</Successful>\n <Failed />\n")),
        (
            200,
            xml("<Successful><member><Id>0</Id><MessageId>aa-11</MessageId></member></Successful>"),
        ),
        (200, xml(f"{REFUSED}<Successful>{member(0)}</Successful>")),
        (200, xml(f"{REFUSED}<Successful/>")),
        (200, xml("")),
        (
            200,
            xml(
                "<Successful><member><MessageId>x&amp;y</MessageId><Id>0</Id></member></Successful>"
            ),
        ),
        (200, xml(f"<Successful>{member(0)}<other/></Successful>")),
        (200, "<html>hello</html>"),
        (200, xml(f"<Successful>{member(0)}")[:-30]),
        (
            400,
            (
                "<ErrorResponse><Error><Type>Sender</Type><Code>NotFound</Code>"
                "<Message>no</Message></Error><RequestId>r</RequestId></ErrorResponse>"
            ),
        ),
        (503, "oops"),
    ],
)
def test_an_answer_of_sns_is_read_as_botocore_reads_it(status: int, text: str) -> None:
    both_read("sns", status, text.encode())


def test_one_switch_turns_them_off(monkeypatch: pytest.MonkeyPatch, endpoint: Endpoint) -> None:
    monkeypatch.setenv("BOTO3_PUBLISHER_FAST", "0")
    with publisher.Publisher() as mine:
        client = mine.client("kinesis", endpoint_url=endpoint.url, region_name="us-east-1")
        client.put_record(StreamName="clicks", Data=b"x", PartitionKey="k").result(20)
        binding = client._binding
        assert binding is not None
        assert not binding.connection.fast
    assert [entry.data for entry in endpoint.stored("kinesis")] == [b"x"]


def test_another_protocol_falls_through_to_botocore() -> None:
    client = make("sns", fast=False)
    model = client.meta.service_model
    model.__dict__["resolved_protocol"] = "json"
    model.metadata = {**model.metadata, "protocol": "json"}
    assert _fast.install(client, load("sns"))[:2] == (None, None)


def test_a_passed_in_client_is_not_touched(endpoint: Endpoint) -> None:
    theirs = endpoint.client("sns")
    seen: list[Any] = []
    theirs.meta.events.register(
        "provide-client-params.sns.PublishBatch", lambda params, **_: seen.append(params)
    )
    with publisher.Publisher() as mine:
        with pytest.warns(UserWarning, match="used as it is"):
            client = mine.client("sns", client=theirs)
        client.publish(TopicArn=TOPIC, Message="seen").result(20)
    (params,) = seen
    assert params["PublishBatchRequestEntries"] == [{"Id": "0", "Message": "seen"}]


def test_a_stubber_on_a_passed_in_client_works() -> None:
    theirs = make("sns", fast=False)
    with Stubber(theirs) as stubber:
        stubber.add_response(
            "publish_batch",
            {"Successful": [{"Id": "0", "MessageId": "m"}], "Failed": []},
            {"TopicArn": TOPIC, "PublishBatchRequestEntries": [{"Id": "0", "Message": "hello"}]},
        )
        with publisher.Publisher() as mine:
            with pytest.warns(UserWarning, match="used as it is"):
                client = mine.client("sns", client=theirs)
            future = client.publish(TopicArn=TOPIC, Message="hello")
            assert future.result(20)["MessageId"] == "m"


def test_a_malformed_answer_is_a_failure_with_both(endpoint: Endpoint) -> None:
    endpoint.script(
        lambda request: Answer(body=b'{"Records": []}') if request.number == 1 else None
    )
    with publisher.Publisher() as mine:
        client = mine.client(
            "kinesis",
            endpoint_url=endpoint.url,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )
        future = client.put_record(StreamName="clicks", Data=b"x", PartitionKey="k")
        future.result(20)
    assert [attempt.error_code for attempt in future.attempts] == ["MalformedResponse", None]


# -- hostile answers

#: What stands in the place of blanks, or of anything else, in a hostile answer.
RUNS = [
    " ",
    "\n",
    "\t ",
    "<",
    ">",
    "</",
    "><",
    "&",
    "\\",
    '"',
    "[",
    "{",
    "0",
    "-",
    "<member>",
    "\ufeff",
]


def hostile(text: str, size: int, run: str) -> list[str]:
    """The answer with a run of about so many characters at each border between its parts."""
    filler = run * (size // len(run))
    borders = [found.start() for found in re.finditer(r'[<>{}\[\]:,"]|(?<=[>}\]])', text)]
    return [text[:border] + filler + text[border:] for border in sorted({0, *borders, len(text)})]


def answer_of(name: str) -> str:
    """A usual one."""
    if name == "sqs":
        return json.dumps({"Successful": [QUEUED], "Failed": []})
    if name in LISTED:
        return LISTED[name].text([LISTED[name].stored])
    return xml(f"<Failed/><Successful>{member(0)}</Successful>")


@pytest.mark.parametrize("run", RUNS, ids=repr)
@pytest.mark.parametrize("name", SERVICES)
def test_reading_costs_time_linear_in_the_answers_size(name: str, run: str) -> None:
    """2 s for 1 MB is far from both: linear takes milliseconds, quadratic hours."""
    path, text = SERVICES[name].fast, answer_of(name)
    assert path is not None
    read = path.read
    assert read(text.encode()) is not None
    for answer in hostile(text, 1_000_000, run):
        body = answer.encode()
        began = time.thread_time()
        read(body)
        assert time.thread_time() - began < 2


@pytest.mark.parametrize("name", ["sns", "kinesis"])
def test_a_hostile_answer_stops_no_other_thread(name: str, endpoint: Endpoint) -> None:
    """The longest stall of a thread beside the workers that read it, in CPU time of theirs."""
    inside = xml(" " * 1_000_000 + f"<Successful>{member(0)}</Successful>")
    text = inside if name == "sns" else "[" * 1_000_000
    endpoint.script(Answer(body=text.encode()))
    with publisher.Publisher(linger=0, delivery_timeout=2, retry=tries(2)) as mine:
        client = mine.client(name, endpoint_url=endpoint.url, session=SESSION)
        began = time.process_time()
        if name == "sns":
            future = client.publish(TopicArn=TOPIC, Message="x")
        else:
            future = client.put_record(StreamName="clicks", Data=b"x", PartitionKey="k")
        future.exception(20)
        # Making the client is the most of it.
        assert time.process_time() - began < 5
        assert future.done()


def test_a_larger_answer_than_its_request_can_have_is_botocores_to_read() -> None:
    padded = json.dumps({"FailedRecordCount": 0, "Records": [{**RECORD, "More": "x" * 2_000_000}]})
    both_read("kinesis", 200, padded.encode())
    both_read("sns", 200, xml(f"<Successful>{member(0)}</Successful>" + " " * 200_000).encode())


# -- readers are botocore's equal

json_values = st.none() | st.text(max_size=8) | st.integers(-9, 9) | st.booleans()


@pytest.mark.parametrize("name", LISTED)
@relaxed
@given(st.data(), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_any_answer_in_json_is_read_as_botocore_reads_it(
    name: str, drawn: st.DataObject, encoding: str
) -> None:
    of = LISTED[name]
    fields = st.sampled_from([*of.stored, "ErrorCode", "ErrorMessage", "More", "null"])
    outcomes = st.lists(st.dictionaries(fields, json_values, max_size=5), max_size=4)
    answers = st.fixed_dictionaries(
        {of.outcomes: outcomes | json_values},
        optional=dict.fromkeys([of.failed, *of.more, "Unknown"], json_values),
    )
    both_read(name, 200, json.dumps(drawn.draw(answers)).encode(encoding))


blanks = st.sampled_from(["", " ", "\n  "])
members = st.builds(
    lambda number, first, second, more, order: (
        f"<member>{first}"
        + second.join(
            [f"<MessageId>aa-{number}</MessageId>", f"<Id>{number}</Id>"][:: 1 if order else -1]
        )
        + f"{more}</member>"
    ),
    st.integers(0, 20),
    blanks,
    blanks,
    st.sampled_from(["", "<SequenceNumber>7</SequenceNumber>", "<SequenceNumber/>", "x", "<a/>"]),
    st.booleans(),
)
failed_lists = st.sampled_from(["", "<Failed/>", "<Failed />", "<Failed></Failed>", REFUSED])


@relaxed
@given(failed_lists, st.lists(members, max_size=4), blanks, failed_lists, st.booleans())
def test_any_answer_of_sns_is_read_as_botocore_reads_it(
    before: str, listed: list[str], between: str, after: str, declared: bool
) -> None:
    inside = between.join([before, "<Successful>", *listed, "</Successful>", after])
    text = xml(inside)
    both_read("sns", 200, (f"<?xml version='1.0'?>\n{text}\n" if declared else text).encode())
