"""One contract for every service: limits, entry, request, extractor, batch twin, verdicts."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any

import boto3
import botocore.validate
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import publisher
from publisher import services
from publisher._aws.codes import COMMON_VERDICTS, verdict
from publisher._engine.contract import EntryError, Service, Verdict
from publisher.services._stored import NAMES as LISTED_NAMES
from tests import service_table
from tests.made_up import Parcels
from tests.servers import Answer, Endpoint, Entry
from tests.support import QUEUE, SESSION, SOON, STREAM, TOPIC, client

pytestmark = pytest.mark.every_python(
    "each service is compared with botocore's model, which differs by version"
)

ACCESS = ("AccessDenied", "AccessDeniedException", "ExpiredToken", "SignatureDoesNotMatch")


@dataclasses.dataclass(frozen=True)
class Sample:
    """What the contract needs to know of a service to try it: calls, and how they arrive."""

    address: Mapping[str, str]
    singles: Sequence[Mapping[str, Any]]  # arguments of the single operation beside the address
    id: str | None  # the parameter that names an entry, where entries are matched by it
    by_hand: Sequence[int]  # the bytes of each of `singles`, counted by hand
    final: str  # a code of the service's own that ends a message
    split: str  # one that splits a request
    throttled: str
    inside: str = ""  # the parameter of the single operation that holds an entry of the batch

    def entry(self, single: Mapping[str, Any], name: str = "") -> dict[str, Any]:
        """A single call's arguments as an entry of the batch twin."""
        found = single[self.inside] if self.inside else single
        (found,) = found if isinstance(found, list) else [found]
        return {**found, **({self.id: name} if self.id and name else {})}

    def call(self, service: Service, single: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments with the address."""
        return service.addressed(self.address, single)

    def batch(self, service: Service, entries: Sequence[Any]) -> dict[str, Any]:
        """The batch twin's arguments."""
        return service.addressed(self.address, {service.entries_parameter: entries})


SAMPLES = {
    "sns": Sample(
        {"TopicArn": TOPIC},
        [
            {"Message": "plain"},
            {"Message": "\u00e9\U0001f600"},
            {
                "Message": "m",
                "Subject": "s\u00e9",
                "MessageAttributes": {
                    "n\u00e9": {"DataType": "String", "StringValue": "v\u00e9"},
                    "b": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
                },
            },
            {"Message": "m", "MessageGroupId": "g", "MessageDeduplicationId": "d"},
        ],
        "Id",
        [5, 6, 1 + 3 + (3 + 6 + 3) + (1 + 6 + 2), 1],
        "NotFound",
        "InvalidParameter",
        "Throttled",
    ),
    "sqs": Sample(
        {"QueueUrl": QUEUE},
        [
            {"MessageBody": "plain"},
            {"MessageBody": "\u00e9\U0001f600\n"},
            {
                "MessageBody": "m",
                "MessageAttributes": {
                    "n": {"DataType": "String.x", "StringValue": "v\u00e9"},
                    "b": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
                },
                "DelaySeconds": 900,
            },
            {
                "MessageBody": "m",
                "MessageGroupId": "g",
                "MessageDeduplicationId": "d",
                "MessageSystemAttributes": {
                    "AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-2-3"}
                },
            },
        ],
        "Id",
        [5, 7, 1 + (1 + 8 + 3) + (1 + 6 + 2), 1],
        "AWS.SimpleQueueService.NonExistentQueue",
        "InvalidMessageContents",
        "RequestThrottled",
    ),
    "kinesis": Sample(
        {"StreamName": STREAM},
        [
            {"Data": b"plain", "PartitionKey": "key"},
            {"Data": b"", "PartitionKey": "\u00e9\U0001f600"},
            {"Data": "\u00e9", "PartitionKey": "k", "ExplicitHashKey": "123"},
        ],
        None,
        [8, 6, 3],
        "ResourceNotFoundException",
        "InvalidArgumentException",
        "ProvisionedThroughputExceededException",
    ),
    "firehose": Sample(
        {"DeliveryStreamName": STREAM},
        [
            {"Record": {"Data": b"plain"}},
            {"Record": {"Data": b""}},
            {"Record": {"Data": "\u00e9"}},
        ],
        None,
        [5, 0, 2],
        "InvalidKMSResourceException",
        "InvalidArgumentException",
        "ServiceUnavailableException",
        inside="Record",
    ),
    "events": Sample(
        {"EventBusName": "orders"},
        [
            {"Entries": [{"Source": "shop", "DetailType": "paid", "Detail": "{}"}]},
            {
                "Entries": [
                    {
                        "Time": dt.datetime(2026, 11, 29, 20, 15, tzinfo=dt.timezone.utc),
                        "Source": "s\u00e9",
                        "DetailType": "d",
                        "Detail": '{"\U0001f600": 1}',
                        "Resources": ["arn:\u00e9", "b"],
                        "TraceHeader": "Root=1",
                    }
                ]
            },
            {"Entries": [{"Detail": "no more than this"}]},
        ],
        None,
        [10, 14 + 3 + 1 + 11 + 6 + 1, 17],
        "MalformedDetail",
        "ValidationException",
        "ThrottlingException",
        inside="Entries",
    ),
    "parcels": Sample(
        {"Depot": "harbour"},
        [{"Data": b"plain"}, {"Data": b""}, {"Data": "\u00e9"}],
        None,
        [5, 0, 2],
        "KeyGone",
        "OddParcel",
        "ServiceUnavailableException",
    ),
}


#: Those of the package, and one that is made up outside of it.
EVERY = (*services.names(), Parcels.name)


def load(name: str) -> Service:
    return Parcels() if name == Parcels.name else services.load(name)


@pytest.fixture(params=EVERY)
def service(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Service:
    if request.param == Parcels.name:
        row = services.Row("tests.made_up", "Parcels", linger=0.02)
        monkeypatch.setitem(services.REGISTRY, Parcels.name, row)
    return load(request.param)


@pytest.fixture
def sample(service: Service) -> Sample:
    return SAMPLES[service.name]  # a new service brings a sample of its own


def boto_client(service: Service) -> Any:
    return SESSION.client(service.name, region_name="us-east-1")


def input_shape(service: Service, operation: str) -> Any:
    boto = boto_client(service)
    name = boto.meta.method_to_api_mapping[operation]
    return boto.meta.service_model.operation_model(name).input_shape


def accepted(service: Service, sample: Sample) -> tuple[Any, list[Any]]:
    """The address and the entries of the sample's single calls."""
    made = [service.accept(sample.call(service, single)) for single in sample.singles]
    assert None not in made
    (address,) = {one[0] for one in made if one}
    return address, [one[1] for one in made if one]


def test_the_services_are_those_that_are_named() -> None:
    assert set(SAMPLES) == set(EVERY)
    assert set(services.default_linger()) == set(services.names())
    for name in services.names():
        assert name in boto3.Session().get_available_services()
        assert services.load(name).name == name


def test_the_page_about_them_is_what_the_registry_says() -> None:
    assert service_table.PATH.read_text() == service_table.render(), (
        "docs/services.md is not what the registry says: run `python -m tests.service_table`"
    )


def test_the_readme_has_their_default_linger() -> None:
    readme = service_table.PATH.parent.parent / "README.md"
    shown = ", ".join(f'"{name}": {each:g}' for name, each in services.default_linger().items())
    assert f"| `linger` | `{{{shown}}}` |" in readme.read_text()


# The batch twin


def test_operations_and_their_parameters_are_boto3s(service: Service, sample: Sample) -> None:
    single, batch = (input_shape(service, name) for name in (service.single, service.batch))
    entries = batch.members[service.entries_parameter]
    assert entries.type_name == "list"
    members = entries.member.members
    for each in sample.singles:
        assert set(sample.entry(each)) <= set(members)
        assert set(sample.call(service, each)) <= set(single.members)
    assert set(sample.batch(service, [])) <= set(batch.members)
    assert (
        service.permission.partition(":")[0] == boto_client(service).meta.service_model.signing_name
    )
    if sample.id:
        assert sample.id in members


def test_limits_are_those_of_botocores_model(service: Service) -> None:
    shape = input_shape(service, service.batch)
    most = shape.members[service.entries_parameter].metadata.get("max")
    assert most in (None, service.limits.entries)
    assert service.limits.entries > 0
    assert 0 < service.limits.bytes <= max(service.max_message, service.limits.bytes)
    assert service.max_message_source.startswith("https://docs.aws.amazon.com/")


# The entry


def test_an_entry_is_measured_as_the_service_counts(service: Service, sample: Sample) -> None:
    for single, size in zip(sample.singles, sample.by_hand, strict=True):
        made = service.accept(sample.call(service, single))
        assert made is not None
        address, entry, counted = made
        assert counted == service.measure(entry) == size
        hash(address)


def test_an_entry_goes_out_as_the_caller_gave_it(service: Service, sample: Sample) -> None:
    address, entries = accepted(service, sample)
    for single, entry in zip(sample.singles, entries, strict=True):
        request = service.single_request(address, entry)
        validate(service, service.single, request)
        assert as_bytes(request) == as_bytes(sample.call(service, single))


def test_what_the_table_does_not_know_goes_as_it_is(service: Service, sample: Sample) -> None:
    unknown = {**sample.call(service, sample.singles[0]), "SomethingNew": 1}
    assert service.accept(unknown) is None
    entries = [sample.entry(sample.singles[0], "a")]
    batch = {**sample.batch(service, entries), "SomethingNew": 1}
    assert service.accept_batch(batch) is None


def test_an_address_is_required_and_checked(service: Service, sample: Sample) -> None:
    if service.single != service.batch:  # the address of a call, not of each entry
        with pytest.raises(publisher.InvalidMessage):
            service.accept(dict(sample.singles[0]))
    address, _ = accepted(service, sample)
    service.check_address(address)
    for parameter, value in sample.address.items():
        with pytest.raises(publisher.InvalidMessage, match=parameter):
            service.check_address("")
        for wrong in (7, b"bytes", ["list"], None, {"a": 1}):
            with pytest.raises(publisher.InvalidMessage):
                service.accept(service.addressed({parameter: wrong}, sample.singles[0]))
        assert value.endswith(service.label(address))
        assert ":" not in service.label(address)


def test_plain_messages_make_the_same_entries_together(service: Service, sample: Sample) -> None:
    for bodies in ([b"{}", b'{"a": 1}'], ["{}", '{"\u00e9": 1}']):
        keys = ["k", "key"]
        each = [
            service.accept(sample.call(service, service.message(body, key)))
            for body, key in zip(bodies, keys, strict=True)
        ]
        together = service.plain(bodies, keys)
        if type(service).plain is Service.plain:
            assert together is None
            continue
        assert together is not None
        entries, sizes = together
        assert [(e, s) for _, e, s in each if e is not None] == list(
            zip(entries, sizes, strict=True)
        )
    for odd in ([b"a", "a"], [b"a", None], [b"a", 1], ["a", "\udc80"]):
        assert service.plain(odd, ["k", "k"]) is None
    assert service.plain([bytes(service.max_message + 1)], ["k"]) is None


def test_the_highest_limit_holds_to_the_byte(service: Service, sample: Sample) -> None:
    first = sample.entry(sample.singles[0])
    (text,) = [key for key in ("Message", "MessageBody", "Data", "Detail") if key in first]

    def accept(size: int) -> Any:
        grown = {**first, text: first[text][:1] * size}
        grown = [grown] if service.single == service.batch else grown
        single = {sample.inside: grown} if sample.inside else grown
        return service.accept(sample.call(service, single))

    room = service.max_message - (sample.by_hand[0] - len(first[text]))
    assert accept(room)[2] == service.max_message
    with pytest.raises(publisher.InvalidMessage, match=f"{service.max_message:,}"):
        accept(room + 1)


# Outside the process


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
NAMES = st.text("abcXYZ019_-", min_size=1, max_size=80)
ATTRIBUTES = st.dictionaries(
    NAMES,
    st.fixed_dictionaries({"DataType": st.just("String"), "StringValue": TEXTS.filter(bool)})
    | st.fixed_dictionaries(
        {"DataType": st.just("Binary"), "BinaryValue": st.binary(min_size=1, max_size=300)}
    ),
    max_size=4,
)


def _xml_has(text: str) -> bool:
    """Whether XML 1.0 has every character of it, and there is one."""
    return bool(text) and all(
        char in "\t\n\r" or " " <= char < "\ufffe" or char > "\uffff" for char in text
    )


EVENTS = st.fixed_dictionaries(
    {},
    optional={
        "Source": TEXTS,
        "DetailType": TEXTS,
        "Detail": TEXTS,
        "Resources": st.lists(TEXTS, max_size=3),
        "TraceHeader": TEXTS.filter(bool),
        "Time": st.integers(0, 2**31)
        | st.integers(0, 2**31).map(lambda each: dt.datetime.fromtimestamp(each, dt.timezone.utc))
        | st.just("2026-11-29T20:15:00Z"),
    },
)
#: Calls as they may be, by service: the parameters beside the address.
CALLS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "sns": st.fixed_dictionaries(
        {"Message": TEXTS},
        optional={
            "Subject": st.text("ab \u00e9", max_size=100),
            "MessageStructure": st.just("json"),
            "MessageGroupId": NAMES,
            "MessageDeduplicationId": NAMES,
            "MessageAttributes": ATTRIBUTES,
        },
    ),
    "sqs": st.fixed_dictionaries(
        {"MessageBody": TEXTS.filter(_xml_has)},
        optional={
            "DelaySeconds": st.integers(0, 900),
            "MessageGroupId": NAMES,
            "MessageDeduplicationId": NAMES,
            "MessageAttributes": st.dictionaries(
                st.text("abcXYZ019_-", min_size=1, max_size=80),
                st.fixed_dictionaries(
                    {"DataType": st.just("String"), "StringValue": TEXTS.filter(_xml_has)}
                )
                | st.fixed_dictionaries(
                    {"DataType": st.just("Binary"), "BinaryValue": st.binary(min_size=1)}
                ),
                max_size=4,
            ),
            "MessageSystemAttributes": st.just(
                {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1"}}
            ),
        },
    ),
    "kinesis": st.fixed_dictionaries(
        {"Data": st.binary(max_size=600) | TEXTS, "PartitionKey": TEXTS.filter(bool)},
        optional={"ExplicitHashKey": st.integers(0, 2**128 - 1).map(str)},
    ).filter(lambda call: len(call["PartitionKey"]) <= 256),
    "firehose": st.fixed_dictionaries(
        {"Record": st.fixed_dictionaries({"Data": st.binary(max_size=600) | TEXTS})}
    ),
    "events": st.fixed_dictionaries({"Entries": EVENTS.map(lambda event: [event])}),
    "parcels": st.fixed_dictionaries({"Data": st.binary(max_size=600) | TEXTS}),
}


@pytest.mark.parametrize("name", EVERY)
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_an_entry_comes_back_from_bytes_as_it_was(name: str, data: st.DataObject) -> None:
    service = load(name)
    made = service.accept(SAMPLES[name].call(service, data.draw(CALLS[name])))
    assert made is not None
    kept = service.dump(made[1])
    loaded = service.load(kept)
    assert loaded == made[1]
    assert type(loaded) is type(made[1])
    assert service.dump(loaded) == kept
    assert service.measure(loaded) == made[2]
    request = service.single_request(made[0], made[1])
    assert repr(service.single_request(made[0], loaded)) == repr(request)  # order and all


def test_bytes_of_an_entry_are_few_more_than_its_content(service: Service, sample: Sample) -> None:
    for single in sample.singles:
        made = service.accept(sample.call(service, single))
        assert made is not None
        content, values = weight(service.params(made[1]))  # type: ignore[attr-defined]
        assert len(service.dump(made[1])) <= content + 3 * values  # a name, a kind and a length


def weight(value: Any) -> tuple[int, int]:
    """The bytes of all texts in it, names of its own included, and how many values there are."""
    if isinstance(value, Mapping):
        inside = [weight(each) for each in value.values()]
        unlisted = sum(2 + len(name.encode()) for name in value if name not in LISTED_NAMES)
        return sum(one for one, _ in inside) + unlisted, 1 + sum(many for _, many in inside)
    if isinstance(value, list):
        inside = [weight(each) for each in value]
        return sum(one for one, _ in inside), 1 + sum(many for _, many in inside)
    return len(value if isinstance(value, bytes) else str(value).encode()), 1


def test_an_address_comes_back_from_its_parameters(service: Service, sample: Sample) -> None:
    address, _ = accepted(service, sample)
    place = service.place(address)
    assert json.loads(json.dumps(place)) == place == sample.address
    assert service.address(place) == address
    hostile: tuple[Any, ...] = ({}, dict.fromkeys(place, 7), {"Else": "x"})
    for each in hostile:
        with pytest.raises(publisher.InvalidMessage):
            service.address(each)


@pytest.mark.parametrize("name", EVERY)
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damaged_bytes_are_no_entry_or_one_that_could_be_sent(
    name: str, data: st.DataObject
) -> None:
    """Whatever they hold: ValueError, or an entry that has passed the checks of a call."""
    service = load(name)
    made = service.accept(SAMPLES[name].call(service, data.draw(CALLS[name])))
    assert made is not None
    kept = bytearray(service.dump(made[1]))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(kept)))
        damage = data.draw(st.sampled_from(["cut", "flip", "put"]))
        if damage == "cut":
            del kept[at:]
        elif damage == "put":
            kept[at:at] = data.draw(st.binary(max_size=8))
        elif at < len(kept):
            kept[at] ^= 1 << data.draw(st.integers(0, 7))
    for hostile in (bytes(kept), data.draw(st.binary(max_size=40).map(b"\x01".__add__))):
        try:
            entry = service.load(hostile)
        except ValueError:
            continue
        validate(service, service.single, service.single_request(made[0], entry))
        assert service.load(service.dump(entry)) == entry


# The request


def test_a_batch_request_satisfies_botocores_model(service: Service, sample: Sample) -> None:
    address, entries = accepted(service, sample)
    many = (entries * service.limits.entries)[: service.limits.entries]
    request = service.batch_request(address, many)
    validate(service, service.batch, request)
    sent = request[service.entries_parameter]
    assert len(sent) == len(many)
    for index, one in enumerate(sent):
        wanted = sample.entry(sample.singles[index % len(sample.singles)])
        if service.single == service.batch:  # each entry says where to
            wanted |= sample.address
        found = {key: value for key, value in one.items() if key != sample.id}
        assert as_bytes(found) == as_bytes(wanted)
    if sample.id:
        assert len({one[sample.id] for one in sent}) == len(sent)


def test_the_callers_own_batch_makes_the_same_entries(service: Service, sample: Sample) -> None:
    address, entries = accepted(service, sample)
    given_entries = [sample.entry(single, f"mine-{i}") for i, single in enumerate(sample.singles)]
    made = service.accept_batch(sample.batch(service, given_entries))
    assert made is not None
    assert made[0] in (address, [address] * len(entries))
    assert list(made[1]) == entries
    assert list(made[2]) == list(sample.by_hand)


# The extractor


def answers(service: Service, endpoint: Endpoint, count: int) -> Any:
    """A real answer of the endpoint to a batch of `count`, through boto3."""
    sample = SAMPLES[service.name]
    address, entries = accepted(service, sample)
    many = (entries * count)[:count]
    boto = endpoint.client(service.name)
    return getattr(boto, service.batch)(**service.batch_request(address, many))


def listed(response: Mapping[str, Any]) -> list[Any]:
    """The outcomes in an answer that is matched by position."""
    return next(value for value in response.values() if isinstance(value, list))


def test_each_entry_has_its_own_outcome(service: Service, endpoint: Endpoint) -> None:
    endpoint.script(Answer(failures={0: "InternalFailure", 4: "Odd"}))
    response = answers(service, endpoint, 6)
    outcomes = service.read(response, 6)
    failed = {i: one.code for i, one in enumerate(outcomes) if isinstance(one, EntryError)}
    assert failed == {0: "InternalFailure", 4: "Odd"}
    for outcome in outcomes:
        if not isinstance(outcome, EntryError):
            single = service.single_response(response, outcome)
            assert single["ResponseMetadata"] == response["ResponseMetadata"]
            assert "Id" not in single
            assert "ErrorCode" not in single


def test_matching_is_by_position_or_by_id(service: Service, endpoint: Endpoint) -> None:
    response = answers(service, endpoint, 5)
    outcomes = service.read(response, 5)
    if SAMPLES[service.name].id is None:
        listed(response).reverse()
        assert service.read(response, 5) == outcomes[::-1]
    else:
        response["Successful"].reverse()
        assert service.read(response, 5) == outcomes


def test_an_answer_of_the_wrong_length_says_nothing_or_marks_the_missing(
    service: Service, endpoint: Endpoint
) -> None:
    response = answers(service, endpoint, 5)
    if SAMPLES[service.name].id is None:
        for count in (4, 6):
            with pytest.raises(ValueError, match=rf"5 (records|entries|parcels) for {count}"):
                service.read(response, count)
    else:
        outcomes = service.read(response, 6)
        assert [isinstance(one, EntryError) for one in outcomes] == [False] * 5 + [True]
        assert len(service.read(response, 4)) == 4
    with pytest.raises(ValueError, match="answer has n"):
        service.read({"ResponseMetadata": {}}, 5)


def test_batch_responses_are_in_the_callers_order(service: Service, endpoint: Endpoint) -> None:
    endpoint.script(Answer(failures={1: "Odd"}))
    response = answers(service, endpoint, 3)
    outcomes = service.read(response, 3)
    sample = SAMPLES[service.name]
    given_entries = [sample.entry(sample.singles[0], name) for name in "xyz"]
    made = service.accept_batch(sample.batch(service, given_entries))
    assert made is not None
    metadata = {"ResponseMetadata": response["ResponseMetadata"]}
    found = service.batch_response(made[3], outcomes, metadata)
    assert set(found) == set(response) | {"ResponseMetadata"}
    if sample.id:
        assert [one["Id"] for one in found["Successful"]] == ["x", "z"]
        assert [(one["Id"], one["Code"]) for one in found["Failed"]] == [("y", "Odd")]
    else:
        (count,) = [value for value in found.values() if isinstance(value, int)]
        assert count == 1
        assert [one.get("ErrorCode") for one in listed(found)] == [None, "Odd", None]


ODDITIES = st.sampled_from(
    [None, True, 0, 1, 2.5, "0", "1", "2", "01", "", "x", [], [1], {}, {"Id": "0"}, [{"Id": "1"}]]
)
FIELDS = st.sampled_from(
    [
        *("Id", "MessageId", "SequenceNumber", "ShardId", "RecordId", "EventId"),
        *("ErrorCode", "Code", "Message", "SenderFault"),
    ]
)
MEMBERS = st.lists(st.dictionaries(FIELDS, ODDITIES, max_size=4) | ODDITIES, max_size=4)
LISTS = ["Records", "RequestResponses", "Entries", "Successful", "Failed", "FailedRecordCount"]
RESPONSES = st.dictionaries(st.sampled_from(LISTS), MEMBERS | ODDITIES)


@pytest.mark.parametrize("name", EVERY)
@settings(max_examples=150, deadline=None)
@given(response=RESPONSES, count=st.integers(1, 4))
def test_whatever_a_service_answers_each_entry_gets_one_outcome(
    name: str, response: dict[str, Any], count: int
) -> None:
    service = load(name)
    try:
        outcomes = service.read(response, count)
    except (ValueError, TypeError, AttributeError):  # "the answer does not say"
        return
    assert len(outcomes) == count
    for outcome in outcomes:
        if isinstance(outcome, EntryError):
            assert isinstance(outcome.code, str)
            assert outcome.code
            hash(outcome)
        else:
            single = service.single_response({}, outcome)
            (single,) = single.get("Entries", [single])
            assert single.get(service.receipt)


# The verdicts


def test_verdicts(service: Service, sample: Sample) -> None:
    for code in (sample.final, *ACCESS):
        assert verdict(service, code, whole=False) is Verdict.FINAL
        assert verdict(service, code, whole=True) is Verdict.FINAL
    for code in (sample.split, "ValidationException"):
        assert verdict(service, code, whole=False) is Verdict.FINAL
        assert verdict(service, code, whole=True) is Verdict.SPLIT
    for whole in (False, True):
        for code in (sample.throttled, "InternalFailure", "ServiceUnavailable"):
            assert verdict(service, code, whole=whole) is Verdict.RETRY
        for code in ("NeverHeardOf", ""):
            assert verdict(service, code, whole=whole) is None


def test_no_verdict_is_both_final_for_many_and_retried_alone(service: Service) -> None:
    for alone, many in {**COMMON_VERDICTS, **service.verdicts}.values():
        assert alone in (Verdict.FINAL, Verdict.RETRY)
        if alone is Verdict.RETRY:
            assert many is Verdict.RETRY


def test_kms_codes(service: Service) -> None:
    """Disabled, NotFound, AccessDenied and OptInRequired are final, throttling passes."""
    for name in ("Disabled", "NotFound", "AccessDenied"):
        for code in (f"KMS{name}", f"KMS{name}Exception"):
            assert verdict(service, code, whole=True) is Verdict.FINAL
    assert verdict(service, "KMSOptInRequired", whole=True) is Verdict.FINAL
    for code in ("KMSThrottling", "KMSThrottlingException"):
        assert verdict(service, code, whole=True) is Verdict.RETRY


def test_every_code_of_the_model_has_been_thought_of(service: Service) -> None:
    """What botocore's model says these operations may raise, and what is done about it."""
    boto = boto_client(service)
    found = {}
    for operation in (service.single, service.batch):
        model = boto.meta.service_model.operation_model(boto.meta.method_to_api_mapping[operation])
        for shape in model.error_shapes:
            code = shape.metadata.get("error", {}).get("code", shape.name)
            found[code] = verdict(service, code, whole=True)
    assert {code for code, verdict in found.items() if verdict in (Verdict.RETRY, None)} <= {
        *("InternalError", "Throttled", "KMSThrottling", "KMSThrottlingException"),
        *("ProvisionedThroughputExceededException", "InternalFailureException"),
        *("ServiceUnavailableException", "InternalException"),
        "EmptyBatchRequest",  # nothing sends one
        # it passes when the key is back
        *("KMSInvalidState", "KMSInvalidStateException", "KmsInvalidState"),
        *("KmsThrottled", "RequestThrottled"),
    }


# All of it together


def test_the_way_through_a_client(service: Service, sample: Sample, endpoint: Endpoint) -> None:
    with client(service.name, endpoint.url) as ours:
        singles = [
            getattr(ours, service.single)(**sample.call(service, single))
            for single in sample.singles
        ]
        entries = [sample.entry(single, f"mine-{i}") for i, single in enumerate(sample.singles)]
        whole = getattr(ours, service.batch)(**sample.batch(service, entries))
        for future in (*singles, whole):
            assert future.result(SOON)["ResponseMetadata"]["HTTPStatusCode"] == 200
    seen = sorted(map(content, endpoint.stored()))
    assert seen[::2] == seen[1::2]  # each twice: once by either operation
    assert len(seen) == 2 * len(sample.singles)
    assert sorted(entry.size for entry in endpoint.stored()) == sorted(
        [
            size - subject(single)
            for single, size in zip(sample.singles, sample.by_hand, strict=True)
        ]
        * 2
    )


def subject(single: Mapping[str, Any]) -> int:
    """Our count includes the subject, which the endpoint does not count."""
    return len(single.get("Subject", "").encode())


def content(entry: Entry) -> Any:
    more = entry.attributes or entry.event
    return entry.data, entry.partition_key or "", sorted((key, str(more[key])) for key in more)


def as_bytes(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, Mapping):
        return {key: as_bytes(item) for key, item in value.items()}
    return [as_bytes(item) for item in value] if isinstance(value, list) else value


def validate(service: Service, operation: str, params: Mapping[str, Any]) -> None:
    validator = botocore.validate.ParamValidator()
    report = validator.validate(dict(params), input_shape(service, operation))
    assert not report.has_errors(), report.generate_report()
