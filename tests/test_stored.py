"""boto3's parameters as bytes: what they hold, how far they go, what they have always been."""

from __future__ import annotations

import contextlib
import datetime as dt
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from publisher import services
from publisher.services._stored import (
    MAX_DEPTH,
    MAX_SIZE,
    NAMES,
    UnknownVersion,
    dump,
    dump_keyed,
    load,
    load_keyed,
)

TIMES = st.datetimes(timezones=st.none() | st.just(dt.timezone.utc)).map(
    lambda time: time.replace(fold=0)
)
LEAVES = (
    st.text(st.characters(exclude_categories=["Cs"]), max_size=400)
    | st.binary(max_size=400)
    | st.integers()
    | st.floats(allow_nan=False)
    | st.booleans()
    | st.none()
    | TIMES
)
PARAMETERS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(NAMES)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PARAMETERS, inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(PARAMETERS, VALUES, max_size=5))
def test_what_is_dumped_is_loaded(params: dict[str, Any]) -> None:
    assert repr(load(dump(params))) == repr(params)


KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)


@settings(max_examples=300, deadline=None)
@given(st.binary(min_size=200, max_size=300), KEYS)
def test_a_record_is_dumped_and_loaded_the_short_way_as_the_long_one(data: bytes, key: str) -> None:
    params = {"Data": data, "PartitionKey": key}
    dumped = dump_keyed(data, key)
    assert dumped == dump(params)
    assert load(dumped) == params
    if len(data) >= 255 and len(key.encode()) < 255:
        assert load_keyed(dumped) == (data, key)


@settings(max_examples=500, deadline=None)
@given(
    st.binary(min_size=255, max_size=260),
    KEYS,
    st.integers(0, 600),
    st.binary(max_size=3),
    st.integers(0, 3),
)
def test_anybodys_bytes_are_a_record_by_the_short_way_as_by_the_long_one_or_none(
    data: bytes, key: str, at: int, other: bytes, gone: int
) -> None:
    dumped = dump_keyed(data, key)
    hostile = dumped[:at] + other + dumped[at + gone :]
    try:
        found = load_keyed(hostile)
    except ValueError:
        return
    assert load(hostile) == {"Data": found[0], "PartitionKey": found[1]}


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=60))
def test_anybodys_bytes_raise_a_value_error_at_most(data: bytes) -> None:
    for hostile in (data, b"\x01" + data):
        with contextlib.suppress(ValueError):
            assert type(load(hostile)) is dict


def test_size_and_nesting_are_bounded() -> None:
    for large in (MAX_SIZE, MAX_SIZE + 1):
        with pytest.raises(ValueError, match="bytes"):
            dump({"Data": b"x" * large})
    with pytest.raises(ValueError, match="no entry"):
        load(b"\x01" * (MAX_SIZE + 1))
    deep: Any = "leaf"
    for _ in range(MAX_DEPTH - 1):
        deep = [deep]
    assert load(dump({"a": deep})) == {"a": deep}
    with pytest.raises(ValueError, match="levels"):
        dump({"a": [[deep]]})
    hostile = b""
    for _ in range(5_000):  # lists in lists: the parser must not follow them all
        hostile = bytes([5, 255]) + len(hostile).to_bytes(4, "big") + hostile
    with pytest.raises(ValueError, match="levels"):
        load(b"\x01\x00" + hostile)
    with pytest.raises(ValueError, match="int"):
        load(b"\x01\x00\x02\xff" + (5_000).to_bytes(4, "big") + b"9" * 5_000)


def test_what_cannot_come_back_is_not_dumped() -> None:
    for odd in ({1}, object(), 1j, bytearray(b"x")):
        with pytest.raises(ValueError, match=type(odd).__name__):
            dump({"a": odd})


def test_another_version_is_told_apart() -> None:
    for data in (b"", b"\x00"):
        with pytest.raises(ValueError, match="no entry") as caught:
            load(data)
        assert type(caught.value) is ValueError
    with pytest.raises(UnknownVersion, match="no entry of this version"):  # of a later one
        load(b"\x02\x00\x00\x00")
    assert load(b"\x01") == {}


def test_what_was_written_before_is_read() -> None:
    """These bytes lie on disks: names and kinds may be added, never moved."""
    params = {
        "Data": b"\x00x",
        "PartitionKey": "k\u00e9",
        "Other": [1, -2.5, True, None, {"Time": "t"}],
    }
    written = (
        b"\x01\x00\x00\x02\x00x\x01\x01\x03k\xc3\xa9\xff\x01\x05Other\x05"
        b"\x13\x02\x011\x03\x04-2.5\x07\x00\t\x00\x06\x04\x10\x01\x01t"
    )
    assert dump(params) == written
    assert load(written) == params
    assert NAMES[:23] == (
        "Data", "PartitionKey", "ExplicitHashKey", "Message", "MessageBody", "Subject",
        "MessageStructure", "MessageDeduplicationId", "MessageGroupId", "MessageAttributes",
        "DataType", "StringValue", "BinaryValue", "DelaySeconds", "MessageSystemAttributes",
        "AWSTraceHeader", "Time", "Source", "Resources", "DetailType", "Detail", "EventBusName",
        "TraceHeader",
    )  # fmt: skip


def test_every_cut_and_every_longer_length_is_refused() -> None:
    whole = dump({"Data": b"x" * 300, "PartitionKey": "key", "Message": "text"})
    assert len(load(whole)) == 3
    for size in range(1, len(whole)):
        cut = whole[:size]
        with contextlib.suppress(ValueError):
            assert len(load(cut)) < 3  # it ends where a value does
    for place, longer in ((7, whole[7] + 1), (310, whole[310] + 200)):
        with pytest.raises(ValueError, match="an entry"):
            load(whole[:place] + bytes([longer % 256]) + whole[place + 1 :])


@pytest.mark.parametrize("name", services.names())
def test_many_are_loaded_as_each_of_them_is_or_left_to_that(name: str) -> None:
    service = services.load(name)
    usual = [(b"data", "key"), (b"", "other")] if name == "kinesis" else [b"data", b"more"]
    if name not in ("kinesis", "firehose"):  # it is no quicker
        assert service.load_all([b"\x01"]) is None
        return
    datas = list(map(service.dump, usual))
    assert service.load_all(datas) == (usual, list(map(service.measure, usual)))
    for other in (b"", b"\x02", datas[0][:-1], dump({"Data": "text"}), dump({"Date": b""})):
        assert service.load_all([*datas, other]) is None
    with_hash = dump({"Data": b"d", "PartitionKey": "k", "ExplicitHashKey": "1"})
    too_long = dump({"Data": b"d", "PartitionKey": "k" * 257})
    for other in (with_hash, too_long):
        assert service.load_all([datas[0], other]) is None


@pytest.mark.parametrize("size", [0, 254, 255, 70_000])
@pytest.mark.parametrize("key", ["k", "ké", "k" * 254, "k" * 255, "é" * 200, ""])
def test_a_record_is_written_as_its_parameters_are(size: int, key: str) -> None:
    service = services.load("kinesis")
    for entry in ((b"\xf7" * size, key), (b"\xf7" * size, key, "12")):
        written = service.dump(entry)
        assert written == dump(service.params(entry))
        if key:
            assert service.load(written) == entry


@pytest.mark.parametrize("name", ["sns", "sqs"])
@pytest.mark.parametrize("text", ["p", "é" * 127, "é" * 128, "x" * 254, "x" * 255])
def test_a_text_is_written_as_its_parameters_are(name: str, text: str) -> None:
    service = services.load(name)
    alone, _ = service.entry({service.text: text})
    rich, _ = service.entry({service.text: text, "MessageGroupId": "g"})
    for entry in (alone, rich):
        assert service.dump(entry) == dump(service.params(entry))
        assert service.load(service.dump(entry)) == entry
