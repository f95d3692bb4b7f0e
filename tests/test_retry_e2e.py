"""Only what failed is sent again: partial failures, odd answers, splits, and users' policies."""

from __future__ import annotations

import concurrent.futures
import gc
import logging
import threading
import time
import types
from collections import Counter
from collections.abc import Callable
from typing import Any

import botocore.exceptions
import pytest
import tenacity

import publisher
from tests.servers import Answer, Endpoint, Error, Failure, Request
from tests.support import (
    FIFO_TOPIC,
    SOON,
    STREAM,
    TOPIC,
    Watch,
    client,
    client_of,
    codes,
    count_codes,
    publish,
    publish_all,
    publish_together,
    publishing,
    texts,
    tries,
)

pytestmark = pytest.mark.every_python("what botocore makes of an odd answer differs by version")

SERVICES = ("sns", "kinesis")
TRANSIENT = {"sns": "InternalError", "kinesis": "ProvisionedThroughputExceededException"}


def bodies(request: Request) -> list[str]:
    return texts(request.entries)


def first(answer: Answer) -> Callable[[Request], Answer | None]:
    """The answer to the first request; the rest are answered normally."""
    return lambda request: answer if request.number == 1 else None


def rejecting(*poison: str, code: str, status: int = 400) -> Callable[[Request], Answer | None]:
    """Rejects every request that carries one of these."""

    def script(request: Request) -> Answer | None:
        bad = set(bodies(request)) & set(poison)
        return Answer(error=Error(status, code)) if bad else None

    return script


# Entries that fail inside a 200 answer


@pytest.mark.parametrize("service", SERVICES)
def test_only_the_failed_entries_are_sent_again(endpoint: Endpoint, service: str) -> None:
    seen: Counter[str] = Counter()
    lock = threading.Lock()

    def script(request: Request) -> Answer:
        with lock:
            failing = {}
            for index, body in enumerate(bodies(request)):
                seen[body] += 1
                if seen[body] <= int(body) % 4:
                    failing[index] = Failure(TRANSIENT[service], "later")
        return Answer(failures=failing)

    endpoint.script(script)
    with client(service, endpoint.url) as ours:
        futures = [publish(ours, f"{i}") for i in range(100)]
        for i, future in enumerate(futures):
            future.result(SOON)
            assert codes(future) == [TRANSIENT[service]] * (i % 4) + [None]
        stats = ours._publisher.stats().total
    assert sorted(texts(endpoint.stored()), key=int) == [f"{i}" for i in range(100)]
    assert all(seen[f"{i}"] == 1 + i % 4 for i in range(100))
    assert stats.retries == 25 * (1 + 2 + 3)
    assert stats.requests == endpoint.request_count


@pytest.mark.parametrize("service", SERVICES)
def test_a_batch_call_retries_only_what_failed_and_reports_the_rest(
    endpoint: Endpoint, service: str
) -> None:
    def script(request: Request) -> Answer:
        found = {}
        for index, body in enumerate(bodies(request)):
            if body == "final":
                found[index] = Failure("AccessDeniedException", "no")
            elif body == "once" and request.number == 1:
                found[index] = Failure(TRANSIENT[service], "later")
        return Answer(failures=found)

    endpoint.script(script)
    with client(service, endpoint.url) as ours:
        future = publish_all(ours, ["a", "once", "final", "b"])
        response = future.result(SOON)
    if service == "sns":
        assert [entry["Id"] for entry in response["Successful"]] == ["0", "1", "3"]
        assert [(entry["Id"], entry["Code"]) for entry in response["Failed"]] == [
            ("2", "AccessDeniedException")
        ]
    else:
        assert response["FailedRecordCount"] == 1
        assert [record.get("ErrorCode") for record in response["Records"]] == [
            None,
            None,
            "AccessDeniedException",
            None,
        ]
    assert Counter(texts(endpoint.entries)) == {"a": 1, "once": 2, "final": 1, "b": 1}
    last = endpoint.requests[-1]
    assert bodies(last) == ["once"]
    assert len({attempt.started for attempt in future.attempts}) == 2


@pytest.mark.parametrize("service", SERVICES)
def test_a_batch_call_raises_only_when_nothing_could_be_sent(
    endpoint: Endpoint, service: str
) -> None:
    endpoint.script(Answer(failures={0: "AccessDeniedException", 1: "AccessDeniedException"}))
    with client(service, endpoint.url) as ours:
        response = publish_all(ours, ["a", "b"]).result(SOON)
        assert len(response.get("Failed", response.get("Records"))) == 2
        endpoint.script(Answer(error=Error(400, "OptInRequired")))
        with pytest.raises(botocore.exceptions.ClientError) as raised:
            publish_all(ours, ["a", "b"]).result(SOON)
        assert raised.value.operation_name in ("PublishBatch", "PutRecords")


def test_a_fault_of_the_sender_is_final(endpoint: Endpoint) -> None:
    endpoint.script(Answer(failures={0: Failure("NeverHeardOf", "yours", sender_fault=True)}))
    with client("sns", endpoint.url) as sns:
        bad, good = publish_together(sns, ["bad", "good"])
        error = bad.exception(SOON)
        assert good.result(SOON)["MessageId"]
    assert isinstance(error, botocore.exceptions.ClientError)
    assert not isinstance(error, publisher.RetriesExhausted)
    assert error.response["Error"]["Code"] == "NeverHeardOf"
    assert codes(bad) == ["NeverHeardOf"]


@pytest.mark.parametrize("service", SERVICES)
def test_an_unknown_code_is_neither_fatal_nor_endless(endpoint: Endpoint, service: str) -> None:
    endpoint.script(Answer(failures={0: "NeverHeardOf"}))
    with client(service, endpoint.url, retry=tries(3)) as ours:
        future = publish(ours, "m")
        error = future.exception(SOON)
    assert codes(future) == ["NeverHeardOf"] * 3
    assert isinstance(error, publisher.RetriesExhausted)
    assert isinstance(error, botocore.exceptions.ClientError)
    assert error.last_code == "NeverHeardOf"
    assert not error.outcome_unknown
    assert "3 tries" in str(error)
    assert isinstance(error.__cause__, botocore.exceptions.ClientError)


# Answers that do not say what became of the entries


@pytest.mark.parametrize("results", [0, 1, 4, 50])
def test_a_wrong_number_of_records(endpoint: Endpoint, results: int) -> None:
    endpoint.script(first(Answer(results=results)))
    with client("kinesis", endpoint.url) as kinesis:
        futures = publish_together(kinesis, ["0", "1", "2"])
        for future in futures:
            future.result(SOON)
            assert codes(future) == ["MalformedResponse", None]
            assert future.attempts[0].outcome_unknown
            assert future.attempts[0].request_id
            assert f"{results} records for 3" in (future.attempts[0].error_message or "")
    assert Counter(texts(endpoint.stored())) == {"0": 2, "1": 2, "2": 2}  # at least once


@pytest.mark.parametrize("answer", [Answer(unknown_ids={1}), Answer(omit={1})])
def test_an_entry_that_sns_does_not_mention_has_failed(endpoint: Endpoint, answer: Answer) -> None:
    endpoint.script(first(answer))
    with client("sns", endpoint.url) as sns:
        futures = publish_together(sns, ["0", "1", "2"])
        for future in futures:
            future.result(SOON)
    assert [codes(future) for future in futures] == [[None], ["MalformedResponse", None], [None]]
    assert futures[1].attempts[0].outcome_unknown
    assert Counter(texts(endpoint.entries)) == {"0": 1, "1": 2, "2": 1}


@pytest.mark.parametrize("claimed", [0, 3, 100, -1])
def test_the_codes_are_counted_not_failed_record_count(endpoint: Endpoint, claimed: int) -> None:
    endpoint.script(first(Answer(failures={1: "InternalFailure"}, failed_count=claimed)))
    with client("kinesis", endpoint.url) as kinesis:
        future = publish_all(kinesis, ["0", "1", "2"])
        response = future.result(SOON)
        assert response["FailedRecordCount"] == 0
        endpoint.script(Answer(failed_count=claimed))
        single = publish(kinesis, "3")
        assert single.result(SOON)["SequenceNumber"]
        assert codes(single) == [None]
    assert Counter(texts(endpoint.stored())) == {"0": 1, "1": 1, "2": 1, "3": 1}


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"null",
        b"[]",
        b'{"Records": null}',
        b'{"Records": [null]}',
        b'{"Records": [7]}',
        b'{"Records": {"0": 1}}',
        b'{"Records": [{}]}',
        b'{"Records": [{"SequenceNumber": null, "ShardId": null}]}',
        b"<html>busy</html>",
        b"<a/>",
        b"\xff\xfe\x00",
    ],
)
def test_whatever_is_answered_with_200_is_retried(
    endpoint: Endpoint, service: str, body: bytes
) -> None:
    endpoint.script(first(Answer(body=body, content_type="text/plain")))
    with client(service, endpoint.url) as ours:
        future = publish(ours, "m")
        future.result(SOON)
        assert len(future.attempts) == 2
        assert future.attempts[0].error_code
        assert future.attempts[0].outcome_unknown


# Whole requests that fail


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "Throttling"),
        (400, "ThrottlingException"),
        (429, "Throttled"),
        (400, "LimitExceededException"),
        (400, "KMSThrottlingException"),
        (500, "InternalFailure"),
        (503, "ServiceUnavailable"),
        (502, "BadGateway"),
    ],
)
def test_a_whole_call_that_may_succeed_later(
    endpoint: Endpoint, service: str, status: int, code: str
) -> None:
    endpoint.script(first(Answer(error=Error(status, code))))
    with client(service, endpoint.url) as ours:
        futures = publish_together(ours, [f"{i}" for i in range(10)])
        for future in futures:
            future.result(SOON)
    assert count_codes(futures) == {(code, None): 10}
    assert sorted(texts(endpoint.stored())) == [f"{i}" for i in range(10)]
    assert futures[0].attempts[0].outcome_unknown == (status >= 500)
    assert [len(request.entries) for request in endpoint.requests] == [10, 10]


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    "code",
    [
        "AccessDenied",
        "OptInRequired",
        # Tried again for ten seconds: credentials may be renewed meanwhile.
        pytest.param("InvalidClientTokenId", marks=pytest.mark.heavy),
    ],
)
def test_a_whole_call_that_never_will(endpoint: Endpoint, service: str, code: str) -> None:
    endpoint.script(Answer(error=Error(403, code)))
    policy = tenacity.Retrying(wait=tenacity.wait_fixed(0), retry=tenacity.retry_always)
    with client(service, endpoint.url, retry=policy) as ours:
        futures = publish_together(ours, [f"{i}" for i in range(10)])
        errors = [future.exception(SOON) for future in futures]
    for error in errors:
        assert isinstance(error, botocore.exceptions.ClientError)
        assert error.response["Error"]["Code"] == code
        assert not isinstance(error, publisher.DeliveryError)
    assert all(codes(future)[-1] == code for future in futures)


# Splits and poison


@pytest.mark.parametrize(
    ("service", "code", "count"),
    [
        ("sns", "InvalidParameter", 10),
        ("sns", "ValidationException", 10),
        ("kinesis", "ValidationException", 500),
        ("kinesis", "InvalidArgumentException", 500),
        ("kinesis", "SerializationException", 3),
    ],
)
@pytest.mark.parametrize("poison", [{0}, {2}, {-1}, {0, -1}])
def test_a_poison_entry_never_sinks_its_neighbours(
    endpoint: Endpoint, service: str, code: str, count: int, poison: set[int]
) -> None:
    bad = {f"{range(count)[index]}" for index in poison}
    endpoint.script(rejecting(*bad, code=code))
    with client(service, endpoint.url) as ours:
        names = [f"{i}" for i in range(count)]
        futures = dict(zip(names, publish_together(ours, names), strict=True))
        concurrent.futures.wait(futures.values(), SOON)
        failed = {body for body, future in futures.items() if future.exception(0)}
        for body in bad:
            error = futures[body].exception()
            assert isinstance(error, botocore.exceptions.ClientError)
            assert error.response["Error"]["Code"] == code
            assert not isinstance(error, publisher.RetriesExhausted)
            # the splits show; the policy did not count them, and there was no backoff
            assert [attempt.split for attempt in futures[body].attempts][-1] is False
            assert all(attempt.split for attempt in futures[body].attempts[:-1])
            assert all(attempt.delay == 0 for attempt in futures[body].attempts)
    assert failed == bad
    stored = Counter(texts(endpoint.stored()))
    assert stored == Counter({body: 1 for body in futures if body not in bad})
    assert endpoint.request_count <= 4 + len(bad) * 2 * count.bit_length()


def test_a_batch_that_the_service_calls_too_long_is_split(endpoint: Endpoint) -> None:
    def script(request: Request) -> Answer | None:
        if len(request.entries) > 3:
            return Answer(error=Error(400, "BatchRequestTooLong"))
        return None

    endpoint.script(script)
    with client("sns", endpoint.url) as sns:
        futures = publish_together(sns, [f"{i}" for i in range(10)])
        for future in futures:
            assert future.result(SOON)["MessageId"]
    assert Counter(texts(endpoint.stored())) == Counter(f"{i}" for i in range(10))


@pytest.mark.parametrize("service", SERVICES)
def test_where_everything_is_rejected_alike_the_splitting_stops(
    endpoint: Endpoint, service: str
) -> None:
    endpoint.script(Answer(error=Error(400, "ValidationException")))
    count = {"sns": 10, "kinesis": 500}[service]
    with client(service, endpoint.url) as ours:
        futures = publish_together(ours, [f"{i}" for i in range(count)])
        for future in futures:
            error = future.exception(SOON)
            assert isinstance(error, botocore.exceptions.ClientError)
            assert error.response["Error"]["Code"] == "ValidationException"
    # of the order of log(n) at most, far from n
    assert endpoint.request_count <= 10


def test_a_split_of_a_fifo_batch_keeps_groups_apart(endpoint: Endpoint) -> None:
    endpoint.script(rejecting("3-0", code="InvalidParameter"))
    with client("sns", endpoint.url) as sns:
        futures = {
            f"{group}-{i}": sns.publish(
                TopicArn=FIFO_TOPIC,
                Message=f"{group}-{i}",
                MessageGroupId=f"{group}",
                MessageDeduplicationId=f"{group}-{i}",
            )
            for i in range(3)
            for group in range(10)
        }
        concurrent.futures.wait(futures.values(), SOON)
    assert [body for body, future in futures.items() if future.exception(0)] == ["3-0"]
    for group in range(10):
        wanted = [f"{group}-{i}" for i in range(3) if (group, i) != (3, 0)]
        assert [body for body in texts(endpoint.stored()) if body[0] == f"{group}"] == wanted


# The user's policies


def test_a_plain_tenacity_policy_is_taken_at_its_word(endpoint: Endpoint) -> None:
    endpoint.script(Answer(error=Error(500, "InternalFailure")))
    with client(
        "sns", endpoint.url, retry=tenacity.Retrying(stop=tenacity.stop_after_attempt(4))
    ) as sns:
        future = publish(sns, "m")
        error = future.exception(SOON)
    assert isinstance(error, publisher.RetriesExhausted)
    assert error.outcome_unknown
    assert [attempt.delay >= 0.01 for attempt in future.attempts] == [False, True, True, True]


def test_a_policy_may_choose_what_it_retries(endpoint: Endpoint) -> None:
    def is_throttled(error: BaseException) -> bool:
        assert isinstance(error, botocore.exceptions.ClientError)
        return error.response["Error"]["Code"] == "Throttled"

    endpoint.script(
        lambda request: (
            Answer(error=Error(429, "Throttled"))
            if request.number <= 2
            else Answer(error=Error(500, "InternalFailure"))
        )
    )
    policy = publisher.retry_policy(
        wait=tenacity.wait_none(), retry=tenacity.retry_if_exception(is_throttled)
    )
    with client("sns", endpoint.url, retry=policy) as sns:
        future = publish(sns, "m")
        assert isinstance(future.exception(SOON), publisher.RetriesExhausted)
    assert codes(future) == ["Throttled", "Throttled", "InternalFailure"]


def test_a_policy_is_asked_once_for_each_number_of_tries_and_code(endpoint: Endpoint) -> None:
    asked: list[tuple[int, str]] = []

    def stop(state: tenacity.RetryCallState) -> bool:
        assert state.outcome is not None
        error = state.outcome.exception()
        assert isinstance(error, botocore.exceptions.ClientError)
        asked.append((state.attempt_number, error.response["Error"]["Code"]))
        return state.attempt_number >= 2

    failing = {i: ("Throttled" if i % 2 else "InternalFailure") for i in range(500)}
    endpoint.script(Answer(failures=failing))
    policy = publisher.retry_policy(wait=tenacity.wait_fixed(0.01), stop=stop)
    with client("kinesis", endpoint.url, retry=policy) as kinesis:
        response = publish_all(kinesis, [f"{i}" for i in range(500)]).result(SOON)
    assert response["FailedRecordCount"] == 500
    assert asked.count((1, "Throttled")) == asked.count((1, "InternalFailure")) == 1
    assert len(asked) <= 2 + 2 * (endpoint.request_count - 1)


def test_a_policy_that_raises_is_contained(
    endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    def stop(state: Any) -> bool:
        raise ZeroDivisionError

    endpoint.script(first(Answer(error=Error(500, "InternalFailure"))))
    with client("sns", endpoint.url, retry=publisher.retry_policy(stop=stop)) as sns:
        failed = publish(sns, "1")
        assert isinstance(failed.exception(SOON), publisher.RetriesExhausted)
        assert publish(sns, "2").result(SOON)["MessageId"]
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [
        ZeroDivisionError
    ]


def test_stop_after_delay_counts_from_acceptance(endpoint: Endpoint) -> None:
    endpoint.script(Answer(error=Error(500, "InternalFailure")))
    policy = publisher.retry_policy(wait=tenacity.wait_none(), stop=tenacity.stop_after_delay(0.2))
    watch = Watch()
    with client("sns", endpoint.url, retry=policy) as sns:
        assert isinstance(publish(sns, "m").exception(SOON), publisher.RetriesExhausted)
    assert 0.2 <= watch.seconds < SOON


def test_a_message_whose_next_try_would_come_too_late_fails_at_once(endpoint: Endpoint) -> None:
    endpoint.script(Answer(error=Error(429, "Throttled")))
    policy = publisher.retry_policy(wait=tenacity.wait_fixed(60))
    watch = Watch()
    with client("sns", endpoint.url, retry=policy, delivery_timeout=30) as sns:
        error = publish(sns, "m").exception(SOON)
    assert watch.seconds < 15
    assert isinstance(error, publisher.DeliveryTimeout)
    assert (error.last_code, error.outcome_unknown) == ("Throttled", False)


def test_delivery_timeout(endpoint: Endpoint, caplog: pytest.LogCaptureFixture) -> None:
    with client("sns", endpoint.url) as sns:
        publish(sns, "the workers and the client are there").result(SOON)
        endpoint.script(Answer(error=Error(500, "InternalFailure", "a\x85b\n")))
        watch = Watch()
        future = publish(sns.with_options(delivery_timeout=1), "m")
        error = future.exception(SOON)
        assert 0.9 < watch.seconds < SOON
    assert isinstance(error, publisher.DeliveryTimeout)
    assert not isinstance(error, (TimeoutError, concurrent.futures.TimeoutError))
    assert (error.last_code, error.outcome_unknown) == ("InternalFailure", True)
    assert isinstance(error.__cause__, botocore.exceptions.ClientError)
    assert error.__cause__.operation_name == "Publish"
    assert "\x85" not in str(error) + str(future.attempts[0])
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    (lost,) = [line for line in lines if line.startswith("1 message to sns:us-east-1:orders")]
    assert "failed: InternalFailure" in lost


def test_result_with_a_timeout_is_not_yet_rather_than_lost(endpoint: Endpoint) -> None:
    gate = threading.Event()
    endpoint.script(Answer(hold=gate))
    with client("sns", endpoint.url) as sns:
        future = publish(sns, "m")
        with pytest.raises(concurrent.futures.TimeoutError):
            future.result(0.01)
        gate.set()
        assert future.result(SOON)["MessageId"]


# Backoffs hold nothing


def test_a_backoff_holds_no_worker_and_no_other_destination(endpoint: Endpoint) -> None:
    endpoint.script(rejecting("throttled", code="Throttled", status=429))
    policy = publisher.retry_policy(wait=tenacity.wait_fixed(15))
    with publishing(retry=policy, max_workers=1, delivery_timeout=60) as made:
        sns = client_of(made, "sns", endpoint.url)
        waiting = publish(sns, "throttled")
        endpoint.wait_for(lambda: endpoint.requests and endpoint.requests[0].finished)
        watch = Watch()
        for i in range(5):
            publish(sns, f"{i}", TOPIC + "-other").result(SOON)
        publish(sns, "same destination").result(SOON)
        assert watch.seconds < 10
        assert not waiting.done()
        made.close(0)  # the backoff is not waited for
        error = waiting.exception(0)
    assert isinstance(error, publisher.PublisherClosed)
    assert (error.last_code, error.outcome_unknown) == ("Throttled", False)


def test_after_a_time_out_a_lane_has_one_request_in_flight(endpoint: Endpoint) -> None:
    gate = threading.Event()
    endpoint.script(Answer(hold=gate, store=False))
    with client("sns", endpoint.url, read_timeout=0.3, linger=0, delivery_timeout=30) as sns:
        futures = [publish(sns, f"{i}") for i in range(100)]
        endpoint.wait_for(lambda: endpoint.request_count >= 10)  # all workers, at first
        endpoint.wait_for(lambda: endpoint.request_count >= 12)
        (lane,) = sns._binding.lanes.values()  # type: ignore[union-attr]
        assert lane.in_flight <= 1
        gate.set()
        endpoint.script(None)
        for future in futures:
            assert future.result(SOON)["MessageId"]
            assert set(codes(future)) <= {"ReadTimeoutError", None}


# The history


@pytest.mark.parametrize("service", SERVICES)
def test_attempts_tell_the_whole_story(endpoint: Endpoint, service: str) -> None:
    endpoint.script(first(Answer(failures={0: Failure(TRANSIENT[service], "sl\now")})))
    policy = publisher.retry_policy(wait=tenacity.wait_fixed(0.05))
    before = time.time()
    with client(service, endpoint.url, retry=policy) as ours:
        future = publish(ours, "m")
        response = future.result(SOON)
    one, two = future.attempts
    assert before - 1 <= one.started <= two.started <= time.time() + 1
    assert two.started - one.started >= 0.04
    assert (one.delay, two.delay) == (0, 0.05)
    assert min(one.duration, two.duration) > 0
    assert (one.error_code, two.error_code) == (TRANSIENT[service], None)
    assert one.error_message is not None
    assert "\n" not in one.error_message
    assert two.error_message is None
    assert one.request_id
    assert two.request_id == response["ResponseMetadata"]["RequestId"]
    assert one.request_id != two.request_id
    assert not one.split
    assert not one.outcome_unknown
    assert "m" not in repr(one).split()


def test_two_streams_do_not_share_their_fate(endpoint: Endpoint) -> None:
    endpoint.script(
        lambda request: (
            Answer(error=Error(500, "InternalFailure")) if request.destination == "broken" else None
        )
    )
    with client("kinesis", endpoint.url, retry=tries(3)) as kinesis:
        pairs = [
            kinesis.put_record(StreamName=name, Data=b"d", PartitionKey="k")
            for _ in range(50)
            for name in ("broken", STREAM)
        ]
        broken, good = pairs[::2], pairs[1::2]
        for future in good:
            future.result(SOON)
            assert codes(future) == [None]
        for future in broken:
            assert isinstance(future.exception(SOON), publisher.RetriesExhausted)
            assert codes(future) == ["InternalFailure"] * 3


def test_a_failed_try_keeps_neither_the_body_nor_our_frames(endpoint: Endpoint) -> None:
    endpoint.script(Answer(reset="before"))
    with client("kinesis", endpoint.url, delivery_timeout=1) as kinesis:
        big = b"x" * 100_000
        future = kinesis.put_record(StreamName="clicks", Data=big, PartitionKey="k")
        error = future.exception(SOON)
    assert error is not None
    reached, left = set(), [error, *(attempt.failure for attempt in future.attempts)]
    while left:
        one = left.pop()
        if id(one) in reached or isinstance(one, (type, types.ModuleType, types.FunctionType)):
            continue
        reached.add(id(one))
        assert not isinstance(one, types.FrameType)
        assert not (isinstance(one, (bytes, bytearray, str)) and len(one) >= len(big))
        left += gc.get_referents(one)
