"""Assertions about what was published, and what they say when they fail."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from unittest.mock import ANY

import pytest

import publisher
from publisher.testing import ALWAYS, Capture, as_json, call, capture, contains, matching

TOPIC = "arn:aws:sns:us-east-1:123456789012:orders"


@pytest.fixture
def published() -> Iterator[Capture]:
    """Three messages; not the plugin's fixture, which has a test of its own."""
    with capture() as captured:
        sns, kinesis = publisher.client("sns"), publisher.client("kinesis")
        sns.publish(TopicArn=TOPIC, Message='{"order": 17, "paid": true}', Subject="paid")
        kinesis.put_records(StreamName="clicks", Records=[{"Data": b"click", "PartitionKey": "1"}])
        sns.publish(PhoneNumber="+49123", Message="hello")
        yield captured


def said(error: pytest.ExceptionInfo[AssertionError]) -> str:
    return str(error.value)


def test_what_holds(published: Capture) -> None:
    (order,) = published.assert_sent("sns", TopicArn=TOPIC, Subject="paid")
    assert order["Subject"] == "paid"
    assert order.json() == {"order": 17, "paid": True}
    assert order.delivered
    (record,) = published.assert_sent("kinesis", count=1, StreamName="clicks", Data=b"click")
    assert record.operation == "put_record"
    assert record.future.result()["SequenceNumber"]
    published.assert_sent("sns", "publish", PhoneNumber=ANY)
    published.assert_nothing_else()
    published.assert_in_order(call("sns", TopicArn=TOPIC), call("sns", PhoneNumber="+49123"))
    published.assert_sent("sns", count=0, Message="none")
    published.assert_all_delivered()
    assert published.find("sns", Message="none") == []
    assert len(published) == 3
    published.clear()
    published.assert_nothing_sent()


@pytest.mark.parametrize(
    ("matcher", "fits", "fits_not"),
    [
        (contains("paid"), ["unpaid", b"paid"], ["pai", 3, None]),
        (contains(b"\xc3\xa9"), ["é", b"\xc3\xa9"], ["e"]),
        (contains({"a": 1}), [{"a": 1, "b": 2}], [{"a": 2}, {"b": 1}, "a"]),
        (contains({"a": contains("x")}), [{"a": "xy"}], [{"a": "y"}]),
        (contains(1), [[1, 2], {1: 2}], [[2], 1]),
        (matching(r"^order \d+$"), ["order 17", b"order 1"], ["order", 17]),
        (as_json({"a": [1]}), ['{"a": [1]}', b'{"a":[1]}'], ['{"a": [2]}', "{", 1]),
        (as_json(contains({"a": 1})), ['{"a": 1, "b": 2}'], ['{"b": 2}']),
    ],
)
def test_matchers(matcher: object, fits: list[object], fits_not: list[object]) -> None:
    assert [value for value in fits if value != matcher or matcher != value] == []
    assert [value for value in fits_not if value == matcher or matcher == value] == []


def test_no_such_message(published: Capture) -> None:
    with pytest.raises(AssertionError) as error:
        published.assert_sent("sns", TopicArn=TOPIC, Message=contains("unpaid"), Subject="x")
    assert said(error) == textwrap.dedent(
        """\
        no such message was published: sns(TopicArn='{0}', Message=contains('unpaid'), Subject='x')
          3 were published:
          1. sns.publish(TopicArn='{0}', Message='{{"order": 17, "paid": true}}', Subject='paid')
             - Message is '{{"order": 17, "paid": true}}', not contains('unpaid')
             - Subject is 'paid', not 'x'
          2. kinesis.put_record(StreamName='clicks', Data=b'click', PartitionKey='1')
             - to kinesis, not sns
             - TopicArn is missing, not '{0}'
             - Message is missing, not contains('unpaid')
             - Subject is missing, not 'x'
          3. sns.publish(PhoneNumber='+49123', Message='hello')
             - TopicArn is missing, not '{0}'
             - Message is 'hello', not contains('unpaid')
             - Subject is missing, not 'x'"""
    ).format(TOPIC)


def test_another_operation_and_another_number(published: Capture) -> None:
    with pytest.raises(AssertionError, match=r"by publish\(\), not create_topic\(\)"):
        published.assert_sent("sns", "create_topic", Name="x")
    with pytest.raises(AssertionError, match=r"^2 such messages were published, not 1: sns\(\)"):
        published.assert_sent("sns", count=1)
    published.clear()
    with pytest.raises(AssertionError, match=r"nothing was published$"):
        published.assert_sent("sns")


def test_another_order(published: Capture) -> None:
    with pytest.raises(AssertionError) as error:
        published.assert_in_order(call("kinesis"), call("sns", TopicArn=TOPIC))
    assert said(error).startswith(
        "no such message was published after message 2, only before it: sns(TopicArn="
    )
    with pytest.raises(AssertionError, match=r"^no such message was published after message 3: "):
        published.assert_in_order(call("sns"), call("sns"), call("sns", Message="third"))
    with pytest.raises(AssertionError, match=r"^no such message was published: sns.subscribe\(\)"):
        published.assert_in_order(call("sns", "subscribe"))


def test_what_does_not_exist_cannot_be_asserted(published: Capture) -> None:
    """`count=0` would hold for every misspelt name."""
    with pytest.raises(ValueError, match="no service 's3'; known are sns, "):
        published.assert_sent("s3", count=0)
    with pytest.raises(ValueError, match="sns has no operation 'publsh'"):
        published.assert_sent("sns", "publsh", count=0)
    with pytest.raises(ValueError, match=r"^sns has no parameter Topicarn$"):
        published.assert_sent("sns", count=0, Topicarn=TOPIC)
    with pytest.raises(ValueError, match=r"^kinesis.put_record has no parameter Message$"):
        published.find("kinesis", "put_record", Message="x")


def test_a_text_is_equal_to_its_bytes(published: Capture) -> None:
    publisher.client("kinesis", region_name="us-east-1").put_record(
        StreamName="clicks", Data="h\u00e9llo", PartitionKey="k"
    )
    published.assert_sent("kinesis", Data="h\u00e9llo")
    published.assert_sent("kinesis", Data="h\u00e9llo".encode())
    published.assert_sent("kinesis", count=0, Data="hello")


def test_something_else(published: Capture) -> None:
    published.assert_sent("sns", TopicArn=TOPIC)
    published.assert_sent("kinesis")
    with pytest.raises(AssertionError) as error:
        published.assert_nothing_else()
    assert said(error) == (
        "1 message was published beside those asserted:\n"
        "  1. sns.publish(PhoneNumber='+49123', Message='hello')"
    )
    with pytest.raises(AssertionError, match=r"^3 were published, not none:"):
        published.assert_nothing_sent()


def test_an_assertion_that_fails_is_about_nothing(published: Capture) -> None:
    with pytest.raises(AssertionError):
        published.assert_sent("sns", count=5)
    with pytest.raises(AssertionError, match=r"^3 were published beside"):
        published.assert_nothing_else()


def test_something_not_delivered(published: Capture) -> None:
    published.faults.reject(ALWAYS, "NotFound")
    publisher.client("sns").publish(TopicArn=TOPIC, Message="lost")
    published.hold()
    publisher.client("sns").publish(TopicArn=TOPIC, Message="waits")
    with pytest.raises(AssertionError) as error:
        published.assert_all_delivered()
    text = said(error)
    assert text.startswith("2 not delivered:\n")
    assert "NotFoundException" in text
    assert "pending" in text


def test_long_values_and_many_messages_are_cut_short() -> None:
    with capture() as captured:
        for _ in range(30):
            publisher.client("sns").publish(TopicArn=TOPIC, Message="x" * 10_000)
    with pytest.raises(AssertionError) as error:
        captured.assert_sent("sns", Message="y")
    assert len(said(error)) < 20_000
    assert said(error).endswith("and 10 more")
    assert "(10002 characters)" in said(error)
