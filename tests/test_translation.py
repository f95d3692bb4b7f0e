"""Foreign errors: what they mean for a message, and what the caller gets of them."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore import exceptions as boto
from botocore.parsers import ResponseParserError
from botocore.retries import standard

from publisher import InvalidMessage
from publisher._account.causes import (
    ACCESS,
    CLOCK,
    CREDENTIALS,
    MISSING,
    REFUSED_ARGUMENT,
    STALE,
    Scene,
    cause,
    is_throttled,
)
from publisher._account.events import Failure
from publisher._aws.connection import NotMadeError, StillFetching
from publisher._aws.errors import (
    entry_failure,
    whole_failure,
)
from publisher._aws.exceptions import exception_for
from publisher._aws.judging import malformed
from publisher._aws.reached import NOWHERE, Reached, Stage
from publisher._aws.secrets import told
from publisher._engine.contract import EntryError, Verdict
from publisher.services import load

SNS, KINESIS = load("sns"), load("kinesis")
CLIENT = boto3.Session().client("sns", region_name="us-east-1")


def client_error(code: str, status: int = 400, text: str = "no") -> boto.ClientError:
    return boto.ClientError(
        {
            "Error": {"Code": code, "Message": text},
            "ResponseMetadata": {
                "RequestId": "r",
                "HTTPStatusCode": status,
                "MaxAttemptsReached": True,
            },  # type: ignore[typeddict-unknown-key]
        },
        "PublishBatch",
    )


NETWORK = [
    # error, unknown outcome, timed out
    (boto.EndpointConnectionError(endpoint_url="https://x"), False, False),
    (boto.ConnectTimeoutError(endpoint_url="https://x"), False, True),
    (boto.SSLError(endpoint_url="https://x", error="no"), True, False),  # or a handshake's, seen
    (boto.ProxyConnectionError(proxy_url="https://x"), False, False),
    (boto.ReadTimeoutError(endpoint_url="https://x"), True, True),
    (boto.ConnectionClosedError(endpoint_url="https://x"), True, False),
    (boto.HTTPClientError(error="broken"), True, False),
    (ResponseParserError("<html>"), True, False),
    (boto.CredentialRetrievalError(provider="x", error_msg="y"), False, False),
]


@pytest.mark.parametrize(("error", "unknown", "timed_out"), NETWORK)
@pytest.mark.parametrize("count", [1, 10])
def test_the_network_is_tried_again(
    error: Exception, unknown: bool, timed_out: bool, count: int
) -> None:
    failure, verdict = whole_failure(error, SNS, count, unknown_passes=True)
    assert verdict is Verdict.RETRY
    assert (failure.final, failure.unknown, failure.timed_out) == (False, unknown, timed_out)
    assert failure.code == type(error).__name__
    assert failure.request_id is None


@pytest.mark.parametrize(
    "error",
    [
        boto.NoRegionError(),
        boto.ProfileNotFound(profile="x"),
        boto.UnStubbedResponseError(operation_name="x", reason="y"),
    ],
)
def test_what_nothing_was_sent_for_is_final(error: Exception) -> None:
    failure, verdict = whole_failure(error, SNS, 10, unknown_passes=True)
    assert verdict is Verdict.FINAL
    assert failure.final
    assert not failure.unknown


@pytest.mark.parametrize(
    ("code", "status", "alone", "many"),
    [
        ("Throttling", 400, Verdict.RETRY, Verdict.RETRY),
        ("KMSThrottling", 400, Verdict.RETRY, Verdict.RETRY),
        ("InternalError", 500, Verdict.RETRY, Verdict.RETRY),
        ("NeverHeardOf", 400, Verdict.RETRY, Verdict.SPLIT),
        ("403", 403, Verdict.RETRY, Verdict.SPLIT),
        ("407", 407, Verdict.RETRY, Verdict.RETRY),
        ("307", 307, Verdict.RETRY, Verdict.RETRY),
        ("413", 413, Verdict.FINAL, Verdict.SPLIT),
        ("NeverHeardOf", 413, Verdict.FINAL, Verdict.SPLIT),
        ("AuthorizationError", 403, Verdict.FINAL, Verdict.FINAL),
        ("KMSDisabled", 400, Verdict.FINAL, Verdict.FINAL),
        ("KMSNotFound", 400, Verdict.FINAL, Verdict.FINAL),
        ("KMSAccessDenied", 400, Verdict.FINAL, Verdict.FINAL),
        ("KMSOptInRequired", 403, Verdict.FINAL, Verdict.FINAL),
        ("NotFound", 404, Verdict.FINAL, Verdict.FINAL),
        ("InvalidParameter", 400, Verdict.FINAL, Verdict.SPLIT),
        ("BatchRequestTooLong", 400, Verdict.FINAL, Verdict.SPLIT),
    ],
)
def test_codes_of_whole_requests(code: str, status: int, alone: Verdict, many: Verdict) -> None:
    for count, expected in ((1, alone), (10, many)):
        failure, verdict = whole_failure(
            client_error(code, status), SNS, count, unknown_passes=True
        )
        assert verdict is expected
        assert failure.final is (alone is Verdict.FINAL)
        assert failure.unknown is (status >= 500)
        assert (failure.code, failure.text, failure.request_id) == (code, "no", "r")


def test_an_unknown_code_of_a_single_operation_is_final_unless_it_passes() -> None:
    for code, status, expected in (
        ("NeverHeardOf", 400, Verdict.FINAL),
        ("NeverHeardOf", 503, Verdict.RETRY),
        ("NeverHeardOf", 429, Verdict.RETRY),
        ("Throttling", 400, Verdict.RETRY),
    ):
        _, verdict = whole_failure(client_error(code, status), SNS, 1, unknown_passes=False)
        assert verdict is expected


def test_an_answer_without_anything_in_it_is_unknown() -> None:
    failure, verdict = whole_failure(
        boto.ClientError({}, "PublishBatch"), SNS, 10, unknown_passes=True
    )
    assert (failure.code, verdict) == ("Unknown", Verdict.RETRY)


#: What botocore itself takes for throttling, and what services say of it.
PASSING = sorted(
    {
        *standard.ThrottledRetryableChecker._THROTTLED_ERROR_CODES,
        *("Throttled", "RequestThrottled", "KMSThrottling", "KMSThrottlingException"),
    }
)


@pytest.mark.parametrize("code", PASSING)
def test_what_is_called_throttled_is_retried_by_every_table(code: str) -> None:
    assert is_throttled(code)
    for service in (SNS, KINESIS):
        assert not entry_failure(EntryError(code, "", True), service, {}).final
        for count in (1, 10):
            for passes in (False, True):
                judged = whole_failure(client_error(code), service, count, unknown_passes=passes)
                assert judged[1] is Verdict.RETRY


@pytest.mark.parametrize("code", sorted(ACCESS | CREDENTIALS | MISSING | REFUSED_ARGUMENT))
def test_what_the_log_calls_a_fault_of_the_user_is_final(code: str) -> None:
    assert cause(code, Scene())
    for service in (SNS, KINESIS):
        assert entry_failure(EntryError(code, "", False), service, {}).final
        error = client_error(code)
        error.operation_name = {"sns": "PublishBatch", "kinesis": "PutRecords"}[service.name]
        failure, verdict = whole_failure(error, service, 1, unknown_passes=True)
        if code in STALE:  # for as long as others may be configured
            assert failure.no_credentials
            assert verdict is Verdict.RETRY
        elif code in CLOCK:  # signed anew, twice at most
            assert failure.out_of_time
            assert verdict is Verdict.RETRY
        else:
            assert failure.final


@pytest.mark.parametrize(
    "error", [boto.NoCredentialsError(), boto.PartialCredentialsError(provider="x", cred_var="y")]
)
def test_credentials_that_are_missing_are_asked_for_a_while(error: Exception) -> None:
    failure, verdict = whole_failure(error, SNS, 10, unknown_passes=True)
    assert verdict is Verdict.RETRY
    assert failure.no_credentials
    assert not failure.final
    assert not failure.unknown


@pytest.mark.parametrize(
    ("error", "no"),
    [
        (StillFetching(), False),
        (boto.ConfigParseError(path="x", error="y"), False),
        (boto.CredentialRetrievalError(provider="x", error_msg="y"), False),
        (boto.MetadataRetrievalError(error_msg="y"), False),
        (json.JSONDecodeError("no", "", 0), False),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no"), False),
        (AttributeError("'list' object has no attribute 'get'"), False),
        (PermissionError("no"), False),
        (boto.NoCredentialsError(), True),
        (boto.PartialCredentialsError(provider="x", cred_var="y"), True),
        (boto.ProfileNotFound(profile="x"), True),
        (boto.UnauthorizedSSOTokenError(), True),
        (boto.TokenRetrievalError(provider="x", error_msg="y"), True),
        (boto.InvalidConfigError(error_msg="y"), True),
        (boto.ParamValidationError(report="y"), True),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_only_who_says_no_is_asked_for_a_while_only(error: Exception, no: bool) -> None:
    made = NotMadeError()
    made.__cause__ = error
    for met, reached in ((made, NOWHERE), (error, Reached(Stage.CREDENTIALS))):
        failure, verdict = whole_failure(met, SNS, 10, unknown_passes=True, reached=reached)
        assert verdict is Verdict.RETRY
        assert (failure.final, failure.unknown, failure.no_credentials) == (False, False, no)


def test_entries() -> None:
    sender = entry_failure(EntryError("Odd\nCode", "a\x00b", True), SNS, {"RequestId": "r"})
    assert sender.final
    assert sender.sender_fault
    assert (sender.code, sender.text, sender.request_id) == (r"Odd\nCode", r"a\x00b", "r")
    for code in (*PASSING, "InternalFailure"):
        assert not entry_failure(EntryError(code, "", True), SNS, {}).final
    assert not entry_failure(EntryError("NeverHeardOf", "", False), SNS, {}).final
    assert entry_failure(EntryError("KMSDisabledException", "", False), KINESIS, {}).final
    throughput = EntryError("ProvisionedThroughputExceededException", "", False)
    assert not entry_failure(throughput, KINESIS, {}).final
    missing = entry_failure(EntryError("MalformedResponse", "", False), SNS, {})
    assert missing.unknown
    assert not missing.final
    assert malformed(ValueError("what?"), {}).unknown


class TestWhatTheCallerGets:
    def test_an_entrys_code_becomes_the_modelled_exception(self) -> None:
        failure = Failure("NotFound", "gone", True, metadata={"RequestId": "r"})
        error: Any = exception_for(failure, CLIENT.exceptions, "Publish")
        assert isinstance(error, CLIENT.exceptions.NotFoundException)
        assert error.response["Error"]["Code"] == "NotFound"
        assert error.response["ResponseMetadata"]["RequestId"] == "r"
        assert error.operation_name == "Publish"

    def test_a_whole_requests_error_names_the_callers_operation(self) -> None:
        met = client_error("Throttling")
        failure, _ = whole_failure(met, SNS, 10, unknown_passes=True)
        errors: list[Any] = [exception_for(failure, CLIENT.exceptions, "Publish") for _ in "ab"]
        assert errors[0] is not errors[1]
        assert str(errors[0]) == (
            "An error occurred (Throttling) when calling the Publish operation: no"
        )
        errors[0].response["Error"]["Code"] = "changed"
        assert errors[1].response["Error"]["Code"] == met.response["Error"]["Code"] == "Throttling"

    @pytest.mark.parametrize("met", [error for error, *_ in NETWORK])
    def test_each_gets_an_instance_without_our_frames(self, met: Exception) -> None:
        try:
            try:
                raise ValueError("inside")
            except ValueError:
                raise met from None
        except Exception as caught:  # noqa: BLE001
            error = caught
        failure, _ = whole_failure(error, SNS, 2, unknown_passes=True)
        made = exception_for(failure, None, "Publish")
        assert type(made) is type(met)
        assert made is not met
        assert str(made) == told(met)
        assert made.__traceback__ is made.__cause__ is made.__context__ is None

    def test_botocores_own_text_about_parameters_is_left_out(self) -> None:
        met = boto.ParamValidationError(report="Invalid type for Message, value: secret-body")
        failure, verdict = whole_failure(met, SNS, 1, unknown_passes=True)
        assert verdict is Verdict.FINAL
        assert whole_failure(met, SNS, 2, unknown_passes=True)[1] is Verdict.SPLIT
        made = exception_for(failure, None, "Publish")
        assert isinstance(made, InvalidMessage)
        assert "secret" not in str(made)
        assert "secret" not in failure.text
        assert "secret" not in f"{failure.error!r} {vars(failure.error)}"

    def test_an_exception_that_cannot_be_copied_is_shared(self) -> None:
        class StubbornError(Exception):
            def __copy__(self) -> Any:
                raise TypeError

        met = StubbornError("x")
        failure, _ = whole_failure(met, SNS, 1, unknown_passes=True)
        assert exception_for(failure, None, "Publish") is met
