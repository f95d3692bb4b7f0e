"""Credentials: asked for once, asked again while they may come, and never the message's fault."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import boto3
import botocore.exceptions
import pytest
import tenacity
from botocore.config import Config

import publisher
from publisher import _clients
from publisher._aws import connection as _connection
from publisher._engine import outcomes as _outcomes
from tests.servers import Answer, Endpoint, Error
from tests.support import SOON, STREAM, TOPIC, publishing, tries

pytestmark = pytest.mark.every_python(
    "botocore's providers, their refresh and their errors differ by version"
)

#: Answers on order: `credentials.txt` says what the program does, `asked.txt` counts its runs.
PROGRAM = """
import json, os, sys, time
folder = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(folder, "asked.txt"), "a") as file:
    file.write("x")
asked = os.path.getsize(os.path.join(folder, "asked.txt"))
with open(os.path.join(folder, "orders.json")) as file:
    orders = json.load(file)
deadline = time.monotonic() + 30
while os.path.exists(os.path.join(folder, "wait")) and time.monotonic() < deadline:
    time.sleep(0.02)
if asked <= orders["fail"]:
    if orders["garbage"] is None:
        sys.exit("not now: hunter2")
    print(orders["garbage"])
    sys.exit()
answer = {"Version": 1, "AccessKeyId": f"AKIA{asked}", "SecretAccessKey": "s"}
answer["SessionToken"] = "t"
answer["Expiration"] = "2099-01-01T00:00:00Z"
print(json.dumps(answer))
"""


class Source:
    """A `credential_process` of the default profile."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "program.py").write_text(PROGRAM)
        (folder / "config").write_text(
            f"[default]\ncredential_process = {sys.executable} {folder}/program.py\n"
        )
        self.order()

    def order(self, fail: int = 0, garbage: str | None = None) -> None:
        orders = {"fail": fail, "garbage": garbage}
        (self.folder / "orders.json").write_text(json.dumps(orders))

    def hold(self) -> None:
        (self.folder / "wait").touch()

    def go_on(self) -> None:
        (self.folder / "wait").unlink()

    @property
    def asked(self) -> int:
        path = self.folder / "asked.txt"
        return path.stat().st_size if path.exists() else 0


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    made = Source(tmp_path)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    yield made
    if (tmp_path / "wait").exists():
        made.go_on()


def publish(client: Any, text: str = "m") -> Any:
    return client.publish(TopicArn=TOPIC, Message=text)


def test_a_source_that_fails_at_first_loses_nothing(endpoint: Endpoint, source: Source) -> None:
    source.order(fail=2)
    with publishing(delivery_timeout=60) as made:
        sns = made.client("sns", endpoint_url=endpoint.url)
        futures = [publish(sns, str(n)) for n in range(30)]
        for future in futures:
            assert future.result(SOON)
        assert source.asked == 3
    assert endpoint.count("sns") == 30


def test_a_source_that_goes_on_failing_is_asked_to_the_deadline(
    endpoint: Endpoint, source: Source
) -> None:
    source.order(fail=1_000)
    with publishing(delivery_timeout=2.5) as made:
        future = publish(made.client("sns", endpoint_url=endpoint.url))
        error = future.exception(SOON)
    assert isinstance(error, publisher.DeliveryTimeout)
    assert not error.outcome_unknown
    assert error.last_code == "CredentialRetrievalError"
    assert "hunter2" not in str(error) + repr(error.__cause__) + repr(future.attempts)
    assert 2 <= source.asked <= 4  # at most once a second
    assert not endpoint.request_count


def test_who_says_no_is_asked_for_a_while(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    assert _outcomes._NO_CREDENTIALS_FOR == 10
    # Longer than it takes to make the boto3 client, on a busy machine too.
    monkeypatch.setattr(_outcomes, "_NO_CREDENTIALS_FOR", 2)
    with publishing() as made:
        sns = made.client("sns", endpoint_url=endpoint.url)
        future = publish(sns)
        error = future.exception(SOON)
        assert isinstance(error, botocore.exceptions.NoCredentialsError)
        assert len(future.attempts) > 1
        assert not any(attempt.outcome_unknown for attempt in future.attempts)
        monkeypatch.setattr(_outcomes, "_NO_CREDENTIALS_FOR", 10)
        later = publish(sns, "later")
        sns.close(0.3)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        assert later.result(SOON)


def test_destinations_of_one_client_wait_for_one_fetch(endpoint: Endpoint, source: Source) -> None:
    source.hold()
    with publishing(delivery_timeout=60, linger=0) as made:
        sns = made.client("sns", endpoint_url=endpoint.url)
        topics = [f"{TOPIC}{n}" for n in range(3)]
        futures = [sns.publish(TopicArn=topic, Message="m") for topic in topics]
        beside = made.client(
            "kinesis",
            endpoint_url=endpoint.url,
            aws_access_key_id="mine",
            aws_secret_access_key="s",
        )
        # Who has credentials is not held up by that, and workers are not held by it for long.
        assert beside.put_record(StreamName=STREAM, Data=b"d", PartitionKey="k").result(SOON)
        assert not any(future.done() for future in futures)
        source.go_on()
        for future in futures:
            assert future.result(SOON)
    assert source.asked == 1


def test_another_thread_that_takes_long_is_no_failure(
    endpoint: Endpoint, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_connection, "_ANOTHER_TAKES", 0.01)
    source.hold()
    with publishing(delivery_timeout=60, linger=0) as made:
        sns = made.client("sns", endpoint_url=endpoint.url)
        futures = [sns.publish(TopicArn=f"{TOPIC}{n}", Message="m") for n in range(3)]
        tried = threading.Event()

        def look() -> bool:
            return any(future.attempts for future in futures)

        for _ in range(SOON * 100):
            if look():
                break
            tried.wait(0.01)
        source.go_on()
        for future in futures:
            assert future.result(SOON)
    codes = {attempt.error_code for future in futures for attempt in future.attempts}
    assert codes == {"StillFetching", None}
    assert source.asked == 1


def test_a_fetch_that_takes_long_is_no_refusal(
    endpoint: Endpoint, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_connection, "_ANOTHER_TAKES", 0.01)
    monkeypatch.setattr(_outcomes, "_NO_CREDENTIALS_FOR", 0.05)
    source.hold()
    with publishing(delivery_timeout=60, linger=0) as made:
        sns = made.client("sns", endpoint_url=endpoint.url)
        futures = [sns.publish(TopicArn=f"{TOPIC}{n}", Message="m") for n in range(3)]
        looked = threading.Event()
        for _ in range(SOON * 100):
            if any(len(future.attempts) > 2 or future.done() for future in futures):
                break
            looked.wait(0.01)
        source.go_on()
        for future in futures:
            assert future.result(SOON)


@pytest.mark.parametrize(
    "garbage", ["", "<html>hunter2", '["hunter2"]', '{"Version": 1, "AccessKeyId": "hunter2"']
)
def test_a_source_that_cannot_be_read_is_asked_to_the_deadline(
    endpoint: Endpoint, source: Source, monkeypatch: pytest.MonkeyPatch, garbage: str
) -> None:
    monkeypatch.setattr(_outcomes, "_NO_CREDENTIALS_FOR", 0)
    source.order(fail=2, garbage=garbage)
    with publishing(delivery_timeout=60) as made:
        future = publish(made.client("sns", endpoint_url=endpoint.url))
        assert future.result(SOON)
        assert len(future.attempts) > 1
    assert endpoint.count("sns") == 1


def test_a_half_written_file_of_credentials_is_read_again(
    endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "credentials"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    monkeypatch.setattr(_outcomes, "_NO_CREDENTIALS_FOR", 0)
    whole = "[default]\naws_access_key_id = k\naws_secret_access_key = s\n"
    with publishing(delivery_timeout=60) as made:
        sns = made.client("sns", endpoint_url=endpoint.url)
        path.write_text(whole[:5])
        future = publish(sns)
        looked = threading.Event()
        for _ in range(SOON * 100):
            if future.attempts or future.done():
                break
            looked.wait(0.01)
        path.write_text(whole)
        assert future.result(SOON)
    assert {attempt.error_code for attempt in future.attempts} == {"ConfigParseError", None}


def test_clients_of_many_regions_ask_once(endpoint: Endpoint, source: Source) -> None:
    with publishing() as made:
        for turn in range(2):
            for n in range(20):
                sns = made.client("sns", f"eu-west-{n + 1}", endpoint_url=endpoint.url)
                assert publish(sns, f"{turn} {n}").result(SOON)
    assert source.asked == 1


def test_regions_in_turn_keep_their_clients(endpoint: Endpoint) -> None:
    with publishing() as made:
        where = [f"eu-west-{n}" for n in range(40)]
        first = [made.client("sns", region, endpoint_url=endpoint.url) for region in where]
        again = [made.client("sns", region, endpoint_url=endpoint.url) for region in where]
    assert [id(one) for one in first] == [id(one) for one in again]


def test_the_client_used_longest_ago_is_forgotten_first(
    endpoint: Endpoint, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(_clients.MAX_CLIENTS, "ours", 20)
    with publishing() as made:

        def client(n: int) -> Any:
            return made.client("sns", f"eu-west-{n}", endpoint_url=endpoint.url)

        first = [client(n) for n in range(20)]
        assert client(0) is first[0]  # used just now
        client(20)
        assert client(0) is first[0]
        assert client(1) is not first[1]
        assert len(made._clients) == 20
    (line,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "more than 20 clients" in line.message


def test_equal_arguments_are_one_client_at_any_moment_among_many_clients(
    endpoint: Endpoint,
) -> None:
    with publishing() as made:

        def client(n: int) -> Any:
            return made.client("sns", f"eu-west-{n}", endpoint_url=endpoint.url)

        kept = [client(n) for n in range(20)]
        found: list[Any] = []

        def meanwhile(frame: FrameType, event: str, _: object) -> Any:
            """Ask as another thread might, between any two instructions of a call."""
            if frame.f_code is not publisher.Publisher.client.__code__:
                return None
            frame.f_trace_opcodes = True
            if event in ("opcode", "line"):  # Python 3.12.1 tells of lines alone
                found.append(client(3))
            return meanwhile

        before = sys.gettrace()
        sys.settrace(meanwhile)
        try:
            found.append(client(3))
        finally:
            sys.settrace(before)
        assert len(found) > 3
        assert {id(one) for one in found} == {id(kept[3])}


def test_a_session_for_each_alert_is_bounded_and_told(
    endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    class Session(boto3.Session):
        """Cheap to make: what matters here is who keeps them."""

    with publishing() as made:
        for _ in range(40):
            made.client("sns", session=Session(region_name="us-east-1"), endpoint_url=endpoint.url)
        assert len(made._clients) == 32
        for n in range(40):  # those of ours are counted apart
            made.client("sns", f"eu-west-{n}", endpoint_url=endpoint.url)
        assert len(made._clients) == 72
    lines = [record.message for record in caplog.records if "more than" in record.message]
    assert len(lines) == 1
    assert "32 clients" in lines[0]


STALE = {
    "sns": Answer(error=Error(403, "ExpiredToken")),
    "kinesis": Answer(error=Error(400, "ExpiredTokenException")),
}


@pytest.mark.parametrize("service", ["sns", "kinesis"])
def test_expired_credentials_are_replaced_by_what_is_configured_now(
    endpoint: Endpoint, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint.script(
        lambda request: STALE[service] if "old-key" in request.headers["authorization"] else None
    )
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "old-key")
    with publishing(linger=0) as made:
        client = made.client(service, endpoint_url=endpoint.url)
        future = (
            publish(client)
            if service == "sns"
            else client.put_record(StreamName=STREAM, Data=b"m", PartitionKey="k")
        )
        endpoint.wait_for(lambda: endpoint.request_count)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "new-key")
        assert future.result(SOON)
    assert endpoint.count(service) == 1


def test_a_new_default_session_is_used_by_who_asks_again(endpoint: Endpoint) -> None:
    endpoint.script(
        lambda request: STALE["sns"] if "old-key" in request.headers["authorization"] else None
    )
    boto3.setup_default_session(aws_access_key_id="old-key", aws_secret_access_key="s")
    with publishing(retry=tries(1)) as made:
        old = made.client("sns", endpoint_url=endpoint.url)
        assert made.client("sns", endpoint_url=endpoint.url) is old
        assert publish(old).exception(SOON)
        boto3.setup_default_session(aws_access_key_id="new-key", aws_secret_access_key="s")
        new = made.client("sns", endpoint_url=endpoint.url)
        assert new is not old
        assert publish(new).result(SOON)


def test_a_wrong_token_file_is_a_credentials_error_by_its_own_name(
    endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("x")
    (tmp_path / "config").write_text(
        "[default]\nrole_arn = arn:aws:iam::123456789012:role/web\n"
        f"web_identity_token_file = {tmp_path}/token\n"
    )
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    with publishing(retry=tries(1)) as made:
        future = publish(made.client("sns", endpoint_url=endpoint.url))
        error = future.exception(SOON)
        assert isinstance(error, botocore.exceptions.ParamValidationError)
        assert not isinstance(error, publisher.InvalidMessage)
        assert made.stats().total.failed_by_code == {"ParamValidationError": 1}


@pytest.mark.parametrize("given", [True, False], ids=["a session", "ours"])
def test_paginators_and_waiters_have_botocores_own_retries(
    endpoint: Endpoint, given: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: Iterator[Answer] = iter([Answer(error=Error(503, "ServiceUnavailable"))])
    endpoint.script(lambda request: next(answers, None))
    more = {"session": boto3.Session()} if given else {}
    with publishing() as made:
        sns = made.client("sns", endpoint_url=endpoint.url, **more)
        pages = sns.get_paginator("list_topics").paginate()
        assert [page["ResponseMetadata"]["RetryAttempts"] for page in pages] == [1]
        assert sns.can_paginate("list_topics")
        # What travels through us has one layer of retries: ours.
        assert sns.meta.config.retries["total_max_attempts"] == 1


def test_adaptive_retries_are_not_dropped_without_a_word() -> None:
    config = boto3.session.Config(retries={"mode": "adaptive"})
    with publishing() as made, pytest.warns(UserWarning, match="adaptive"):
        made.client("sns", config=config)


def test_the_region_may_be_positional(endpoint: Endpoint) -> None:
    with publishing() as made:
        positional = made.client("sns", "us-west-2", endpoint_url=endpoint.url)
        assert positional is made.client("sns", region_name="us-west-2", endpoint_url=endpoint.url)
        assert positional.meta.region_name == "us-west-2"


def test_two_threads_that_renew_one_client_make_one(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_clients: list[Any] = []
    make: Callable[..., Any] = boto3.Session.client

    def count(self: Any, *args: Any, **kwargs: Any) -> Any:
        made_clients.append(args)
        return make(self, *args, **kwargs)

    endpoint.script(
        lambda request: STALE["sns"] if "old-key" in request.headers["authorization"] else None
    )
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "old-key")
    monkeypatch.setattr(boto3.Session, "client", count)
    with publishing(linger=0) as made:
        sns = made.client("sns", endpoint_url=endpoint.url)
        futures = [sns.publish(TopicArn=f"{TOPIC}{n}", Message="m") for n in range(8)]
        endpoint.wait_for(lambda: endpoint.request_count >= 2)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "new-key")
        for future in futures:
            assert future.result(SOON)
    assert len(made_clients) <= 4  # at most one a second


def test_what_boto3_says_of_itself_is_on_the_wire(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_EXECUTION_ENV", "AWS_Lambda_python3.11")
    monkeypatch.setenv("AWS_SDK_UA_APP_ID", "shop of ours")
    known = "user_agent_appid" in Config.OPTION_DEFAULTS  # an old botocore has no such thing
    mine = {"user_agent_appid": "mine"} if known else {}
    with publishing() as made:
        for config in (None, Config(user_agent_extra="extra/1", **mine)):
            sns = made.client("sns", endpoint_url=endpoint.url, config=config)
            sns.publish(TopicArn=TOPIC, Message="m").result(SOON)
    first, second = [request.headers["user-agent"] for request in endpoint.requests]
    for agent in (first, second):
        assert "exec-env/AWS_Lambda_python3.11" in agent
        assert "boto3-publisher/" in agent
    assert ("app/shop-of-ours" in first) == known
    assert ("app/mine" in second) == known
    assert "extra/1" in second


def test_equal_options_may_be_configured_again(endpoint: Endpoint) -> None:
    """A notebook's cell that runs twice."""

    def cell(**more: Any) -> None:
        policy = publisher.retry_policy(stop=tenacity.stop_after_attempt(3))
        publisher.configure(linger=0.0, retry=policy, **more)

    cell()
    try:
        sns = publisher.client("sns", endpoint_url=endpoint.url)
        sns.publish(TopicArn=TOPIC, Message="m").result(SOON)
        cell()
        with pytest.raises(RuntimeError, match="options that are set already"):
            cell(max_workers=3)
    finally:
        publisher.close(SOON)
        publisher.configure()
