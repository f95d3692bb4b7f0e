"""A signature or token that was good at another time is replaced at once; a wrong one is final."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import tenacity
from botocore.exceptions import ClientError

import publisher
from publisher._account.causes import Scene, cause, is_out_of_time, is_stale
from tests.servers import Answer, Endpoint, Error, Request
from tests.support import (
    FIFO_TOPIC,
    SOON,
    TOPIC,
    client,
    codes,
    count_codes,
    publish,
    publish_all,
    texts,
)

pytestmark = pytest.mark.every_python("the signing, and the clock it reads, are botocore's own")

EXPIRED = "Signature expired: 20261129T101500Z is now earlier than 20261129T102000Z (... - 5 min.)"
EARLY = "Signature not yet current: 20261129T103000Z is still later than 20261129T102500Z"
WRONG = "The request signature we calculated does not match the signature you provided."
TOO_OLD = [
    ("sns", 403, "SignatureDoesNotMatch", EXPIRED),
    ("sns", 403, "SignatureDoesNotMatch", EARLY),
    ("sns", 400, "RequestExpired", "Request has expired."),
    ("sns", 403, "AccessDenied", "The security token included in the request is expired"),
    ("kinesis", 400, "InvalidSignatureException", EXPIRED),
    ("kinesis", 400, "InvalidSignatureException", EARLY),
    ("kinesis", 403, "RequestTimeTooSkewed", "The difference between ... is too large."),
]
#: A backoff that no test waits for.
LONG = publisher.retry_policy(wait=tenacity.wait_fixed(300))


@pytest.mark.parametrize(("service", "status", "code", "text"), TOO_OLD)
def test_what_was_signed_before_a_pause_is_signed_anew_at_once(
    endpoint: Endpoint, service: str, status: int, code: str, text: str
) -> None:
    paused = threading.Event()

    def script(request: Request) -> Answer | None:
        if paused.is_set():
            return None
        return Answer(error=Error(status, code, text), hold=paused)

    endpoint.script(script)
    with client(service, endpoint.url, retry=LONG, delivery_timeout=600) as ours:
        futures = [publish(ours, f"{i}") for i in range(500)]
        endpoint.wait_for(lambda: endpoint.request_count >= (10 if service == "sns" else 1))
        paused.set()
        for future in futures:
            future.result(SOON)
        total = ours._publisher.stats().total
    assert total.delivered == 500
    assert sorted(texts(endpoint.stored()), key=int) == [f"{i}" for i in range(500)]
    assert (code, None) in count_codes(futures)
    assert set(count_codes(futures)) <= {(code, None), (None,)}
    assert {attempt.delay for future in futures for attempt in future.attempts} == {0.0}
    assert not any(attempt.outcome_unknown for one in futures for attempt in one.attempts)


@pytest.mark.parametrize(
    ("service", "status", "code", "text"), [each for each in TOO_OLD if "token" not in each[3]]
)
def test_a_clock_that_stays_wrong_costs_three_tries(
    endpoint: Endpoint, service: str, status: int, code: str, text: str
) -> None:
    endpoint.script(Answer(error=Error(status, code, text)))
    with client(service, endpoint.url, retry=LONG, delivery_timeout=600) as ours:
        future = publish(ours, "m")
        error: Any = future.exception(SOON)
        whole = publish_all(ours, ["a", "b"]).exception(SOON)
    for each in (error, whole):
        assert isinstance(each, ClientError)
        assert not isinstance(each, publisher.DeliveryError)
        assert each.response["Error"] == {"Code": code, "Message": text, **_type(each)}
    assert codes(future) == [code] * 3
    assert endpoint.request_count == 6


def _type(error: Any) -> dict[str, str]:
    return {key: value for key, value in error.response["Error"].items() if key == "Type"}


@pytest.mark.parametrize(
    ("service", "code"),
    [("sns", "SignatureDoesNotMatch"), ("kinesis", "InvalidSignatureException")],
)
def test_a_wrong_secret_is_final_at_once(endpoint: Endpoint, service: str, code: str) -> None:
    endpoint.script(Answer(error=Error(403, code, WRONG)))
    with client(service, endpoint.url) as ours:
        future = publish(ours, "m")
        assert isinstance(future.exception(SOON), ClientError)
    assert codes(future) == [code]


def test_a_policy_that_gives_up_is_taken_at_its_word(endpoint: Endpoint) -> None:
    endpoint.script(Answer(error=Error(403, "SignatureDoesNotMatch", EXPIRED)))
    once = publisher.retry_policy(stop=tenacity.stop_after_attempt(1))
    with client("sns", endpoint.url, retry=once) as ours:
        assert isinstance(publish(ours, "m").exception(SOON), publisher.RetriesExhausted)
    assert endpoint.request_count == 1


def test_a_run_of_them_ends_with_another_failure(endpoint: Endpoint) -> None:
    """Each pause of a laptop may cost a signature: only those in a row count."""
    old = Answer(error=Error(403, "SignatureDoesNotMatch", EXPIRED))
    busy = Answer(error=Error(503, "ServiceUnavailable"))
    answers = iter([old, old, busy, old, old])
    endpoint.script(lambda request: next(answers, None))
    with client("sns", endpoint.url) as ours:
        future = publish(ours, "m")
        assert future.result(SOON)
    assert len(future.attempts) == 6


def test_order_within_a_group_is_kept(endpoint: Endpoint) -> None:
    old = Answer(error=Error(403, "SignatureDoesNotMatch", EXPIRED))
    endpoint.script(lambda request: old if request.number % 3 == 1 else None)
    with client("sns", endpoint.url) as ours:
        more = {"MessageGroupId": "g"}
        futures = [
            publish(ours, f"{i}", FIFO_TOPIC, MessageDeduplicationId=f"{i}", **more)
            for i in range(12)
        ]
        for future in futures:
            future.result(SOON)
    assert texts(endpoint.stored()) == [f"{i}" for i in range(12)]


def test_a_single_operation_too(endpoint: Endpoint) -> None:
    old = Answer(error=Error(403, "SignatureDoesNotMatch", EXPIRED))
    endpoint.script(lambda request: old if request.number == 1 else None)
    with client("sns", endpoint.url, retry=LONG) as ours:
        future = ours.publish(PhoneNumber="+15550100", Message="m")
        assert future.result(SOON)["MessageId"]
    assert codes(future) == ["SignatureDoesNotMatch", None]


def test_an_expired_token_is_replaced_at_once_where_there_is_another(endpoint: Endpoint) -> None:
    old = Answer(error=Error(403, "ExpiredToken", "The security token ... is expired"))
    endpoint.script(lambda request: old if request.number == 1 else None)
    with client("sns", endpoint.url, retry=LONG, delivery_timeout=600) as ours:
        assert ours.publish(TopicArn=TOPIC, Message="m").result(SOON)


@pytest.mark.parametrize(
    ("code", "text", "old", "stale"),
    [
        ("SignatureDoesNotMatch", WRONG, False, False),
        (
            "InvalidSignatureException",
            "Credential should be scoped to a valid region",
            False,
            False,
        ),
        ("InvalidParameter", "Invalid parameter: Signature expired", False, False),
        ("ValidationException", "the token has expired", False, False),
        (
            "UnrecognizedClientException",
            "The security token included in ... is invalid",
            False,
            True,
        ),
        ("InvalidClientTokenId", "The security token included ... is invalid.", False, True),
        ("ExpiredTokenException", "", True, True),
        (
            "AccessDeniedException",
            "The security token included in the request is expired",
            True,
            True,
        ),
        ("RequestExpired", "", True, False),
    ],
)
def test_the_text_counts_only_with_a_code_about_credentials(
    code: str, text: str, old: bool, stale: bool
) -> None:
    assert (is_out_of_time(code, text), is_stale(code, text)) == (old, stale)


def test_the_cause_names_the_clock() -> None:
    for code in ("SignatureDoesNotMatch", "RequestTimeTooSkewed"):
        assert "the clock of this machine is wrong" in cause(code, Scene())
