"""What a firewall, a proxy or a broken answer means for the entries of a request."""

from __future__ import annotations

import concurrent.futures
import functools
import gc
import http.server
import pickle
import socket
import ssl
import threading
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import botocore.credentials
import botocore.exceptions
import botocore.session
import pytest
import tenacity
from botocore.config import Config

import publisher
from publisher.services._texts import Rich
from tests.gate import certificate
from tests.servers import Answer, Endpoint, Error, Failure, Request
from tests.servers.recording import make_client
from tests.support import (
    SOON,
    TOPIC,
    Watch,
    client,
    client_of,
    codes,
    publish,
    publish_together,
    publishing,
    texts,
    tries,
    until,
)

pytestmark = pytest.mark.every_python(
    "what http.client and botocore make of a broken answer differs by version"
)

SERVICES = ("sns", "kinesis")
PAGES = {
    "html": b"<html><head><title>403 Forbidden</title></head><body>no</body></html>",
    "text": b"blocked",
    "nothing": b"",
}
CULPRIT = "3"


def when_in(answer: Answer, body: str = CULPRIT) -> Callable[[Request], Answer | None]:
    """Answers requests that carry `body` like this, the others normally."""

    def script(request: Request) -> Answer | None:
        return answer if body in texts(request.entries) else None

    return script


def together(ours: publisher.Client, count: int = 10) -> dict[str, publisher.PublishFuture]:
    names = [f"{i}" for i in range(count)]
    futures = dict(zip(names, publish_together(ours, names), strict=True))
    concurrent.futures.wait(futures.values(), SOON)
    return futures


# A 4xx that no table knows


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("status", [400, 403, 413])
def test_what_a_firewall_refuses_is_one_entry_not_its_neighbours(
    endpoint: Endpoint, service: str, status: int, page: str
) -> None:
    endpoint.script(when_in(Answer(status=status, body=PAGES[page], store=False)))
    with client(service, endpoint.url, retry=tries(2)) as ours:
        futures = together(ours)
        failed = {body for body, future in futures.items() if future.exception(0)}
        assert failed == {CULPRIT}
        error = futures[CULPRIT].exception(0)
        assert not getattr(error, "outcome_unknown", False)
        assert codes(futures[CULPRIT])[-1] == f"{status}"
    assert Counter(texts(endpoint.stored())) == Counter(set(futures) - {CULPRIT})


@pytest.mark.parametrize("service", SERVICES)
def test_a_4xx_code_that_no_table_knows(endpoint: Endpoint, service: str) -> None:
    endpoint.script(when_in(Answer(error=Error(400, "NeverHeardOf"))))
    with client(service, endpoint.url, retry=tries(2)) as ours:
        futures = together(ours)
        assert [body for body, future in futures.items() if future.exception(0)] == [CULPRIT]


@pytest.mark.parametrize("service", SERVICES)
def test_the_culprit_goes_alone_from_then_on(endpoint: Endpoint, service: str) -> None:
    """It is tried again, for nobody knows; whoever comes later is not split for it."""
    endpoint.script(when_in(Answer(status=403, body=PAGES["html"], store=False)))
    slow = publisher.retry_policy(wait=tenacity.wait_fixed(0.05))
    with client(service, endpoint.url, retry=slow) as ours:
        culprit = publish_together(ours, [f"{i}" for i in range(10)])[int(CULPRIT)]
        until(lambda: culprit.attempts and not culprit.attempts[-1].split)
        for number in range(20):
            later = publish_together(ours, [f"later {number} {i}" for i in range(5)])
            for future in later:
                future.result(SOON)
                assert codes(future) == [None]
        endpoint.script(None)
        assert culprit.result(SOON)


@pytest.mark.parametrize("service", SERVICES)
def test_a_firewall_that_refuses_everything_for_a_while_loses_nothing(
    endpoint: Endpoint, service: str
) -> None:
    waited = threading.Event()

    def wait(state: tenacity.RetryCallState) -> float:
        if state.attempt_number >= 2:
            endpoint.script(None)
            waited.set()
        return 0.02

    endpoint.script(Answer(status=403, body=PAGES["text"], store=False))
    with client(service, endpoint.url, retry=publisher.retry_policy(wait=wait)) as ours:
        for future in together(ours).values():
            assert future.result(SOON)
    assert waited.is_set()
    assert Counter(texts(endpoint.stored())) == Counter(f"{i}" for i in range(10))


# Answers that cannot be read


def unreadable(service: str) -> Answer:
    if service == "kinesis":
        return Answer(body=b'{"Records": [{"ErrorMessage": "a\x01b"}]}', store=True)
    member = b"<member><Id>0</Id><Code>X</Code><Message>a\x01b</Message></member>"
    return Answer(
        body=b"<PublishBatchResponse><PublishBatchResult><Failed>%b</Failed>"
        b"</PublishBatchResult></PublishBatchResponse>" % member,
        content_type="text/xml",
        store=True,
    )


@pytest.mark.parametrize("service", SERVICES)
def test_an_answer_that_one_entry_makes_unreadable(endpoint: Endpoint, service: str) -> None:
    endpoint.script(when_in(unreadable(service)))
    with client(service, endpoint.url, retry=tries(4)) as ours:
        futures = together(ours)
        failed = {body for body, future in futures.items() if future.exception(0)}
        assert failed == {CULPRIT}
        error = futures[CULPRIT].exception(0)
        assert isinstance(error, publisher.DeliveryError)
        assert error.outcome_unknown
    stored = Counter(texts(endpoint.stored()))
    # twice in company; then in ever smaller company until the culprit stands alone
    assert max(stored[body] for body in futures if body != CULPRIT) <= 5


@pytest.mark.parametrize("service", SERVICES)
def test_one_unreadable_answer_is_an_accident(endpoint: Endpoint, service: str) -> None:
    odd = iter([unreadable(service)])
    endpoint.script(lambda _: next(odd, None))
    with client(service, endpoint.url) as ours:
        for future in together(ours).values():
            assert future.result(0)
            assert [attempt.split for attempt in future.attempts] == [False, False]
    assert endpoint.request_count == 2


@pytest.mark.parametrize("service", SERVICES)
def test_where_every_answer_is_unreadable_the_splitting_stops(
    endpoint: Endpoint, service: str
) -> None:
    endpoint.script(unreadable(service))
    with client(service, endpoint.url, retry=tries(6)) as ours:
        for future in together(ours).values():
            error = future.exception(0)
            assert isinstance(error, publisher.RetriesExhausted)
            assert error.outcome_unknown
    # one look for a culprit, in at most three tiers; then each try in the pieces it left
    assert endpoint.request_count <= 2 + 3 + 4 + 8 + 3 * 4


# Throttling, whoever is said to be to blame


@pytest.mark.parametrize(
    "code", ["Throttled", "ThrottlingException", "RequestThrottled", "KMSThrottling"]
)
def test_throttling_with_sender_fault_is_retried(endpoint: Endpoint, code: str) -> None:
    answers = iter([Answer(failures={1: Failure(code, sender_fault=True)})])
    endpoint.script(lambda _: next(answers, None))
    with client("sns", endpoint.url) as sns:
        futures = together(sns, 3)
        assert codes(futures["1"]) == [code, None]
    assert Counter(texts(endpoint.stored())) == Counter(set(futures))


# What lies between


@pytest.mark.parametrize("status", [301, 307])
@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("service", SERVICES)
def test_a_redirect_is_known_not_to_be_stored(
    endpoint: Endpoint,
    caplog: pytest.LogCaptureFixture,
    service: str,
    status: int,
    page: str,
) -> None:
    endpoint.script(Answer(status=status, body=PAGES[page], store=False))
    with client(service, endpoint.url, delivery_timeout=0.5) as ours:
        future = publish(ours, "m")
        error = future.exception(SOON)
        assert isinstance(error, publisher.DeliveryTimeout)
        assert not error.outcome_unknown
        assert error.last_code == f"{status}"
        assert "may have stored" not in str(error)
    assert f"redirected with status {status}" in caplog.text


def answering(handle: Callable[[socket.socket], None]) -> tuple[socket.socket, threading.Thread]:
    """A server that gives each connection to `handle`, one after the other."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with sock:
                try:
                    handle(sock)
                except OSError:
                    continue

    thread = threading.Thread(target=serve, name="answering", daemon=True)
    thread.start()
    return listener, thread


@pytest.fixture
def listening() -> Any:
    made: list[tuple[socket.socket, threading.Thread]] = []

    def listen(handle: Callable[[socket.socket], None]) -> int:
        made.append(answering(handle))
        port: int = made[-1][0].getsockname()[1]
        return port

    yield listen
    for listener, thread in made:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)
        assert not thread.is_alive()


def test_a_proxy_that_dies_at_connect(listening: Any) -> None:
    port = listening(lambda sock: sock.recv(65536))  # the CONNECT; then it hangs up
    proxied = Config(proxies={"https": f"http://127.0.0.1:{port}"})
    with publishing(retry=tries(2)) as made:
        sns = client_of(made, "sns", "https://sns.example.invalid", config=proxied)
        future = publish(sns, "m")
        error = future.exception(SOON)
        assert isinstance(error, publisher.RetriesExhausted)
        assert not error.outcome_unknown
        assert "may have stored" not in str(error)


def test_tls_that_breaks_after_the_request_is_unknown(listening: Any, tmp_path: Path) -> None:
    context, public = certificate(tmp_path)
    taken: list[bytes] = []

    def handle(sock: socket.socket) -> None:
        # The engine without its socket: so that what goes out can be spoilt.
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_side=True)

        def step(call: Callable[[], Any]) -> Any:
            while True:
                try:
                    return call()
                except ssl.SSLWantReadError:
                    if sent := outgoing.read():
                        sock.sendall(sent)
                    if not (received := sock.recv(65536)):
                        raise OSError from None
                    incoming.write(received)

        step(tls.do_handshake)
        taken.append(step(lambda: tls.read(65536)))
        sock.sendall(outgoing.read() + b"\x17\x03\x03\x00\x20" + b"\x00" * 32)  # no such record
        sock.recv(65536)

    port = listening(handle)
    with publishing(retry=tries(2)) as made:
        sns = client_of(made, "sns", f"https://127.0.0.1:{port}", verify=public)
        future = publish(sns, "m")
        error = future.exception(SOON)
        assert isinstance(error, publisher.RetriesExhausted)
        assert isinstance(error, botocore.exceptions.SSLError)
        assert error.outcome_unknown
    assert len(taken) == 2


def test_tls_that_breaks_in_the_handshake_is_known_not_to_be_stored(
    listening: Any, tmp_path: Path
) -> None:
    _, public = certificate(tmp_path)
    port = listening(lambda sock: sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n"))
    with publishing(retry=tries(2)) as made:
        sns = client_of(made, "sns", f"https://127.0.0.1:{port}", verify=public)
        error = publish(sns, "m").exception(SOON)
        assert isinstance(error, botocore.exceptions.SSLError)
        assert isinstance(error, publisher.RetriesExhausted)
        assert not error.outcome_unknown


# Addresses that no try could reach


@pytest.mark.parametrize("service", SERVICES)
def test_a_port_that_does_not_exist_is_final_at_once(service: str) -> None:
    with publishing(retry=publisher.retry_policy(), delivery_timeout=60) as made:
        ours = client_of(made, service, "http://127.0.0.1:99999")
        watch = Watch()
        futures = publish_together(ours, ["a", "b"])
        for future in futures:
            error = future.exception(SOON)
            assert error is not None
            assert not isinstance(error, publisher.PublisherError)
            assert "Port out of range" in str(error)
            assert isinstance(error, ValueError)
            assert codes(future) == ["NoSuchPortError"]
            assert not future.attempts[0].outcome_unknown
        assert watch.seconds < SOON / 2


def test_a_header_that_no_request_can_have_is_final_and_not_quoted(endpoint: Endpoint) -> None:
    with publishing(retry=publisher.retry_policy(), delivery_timeout=60) as made:
        keys = {"aws_access_key_id": "id", "aws_secret_access_key": "key"}
        token = {"aws_session_token": "secret\nsecret"}
        sns = client_of(made, "sns", endpoint.url, **keys, **token)
        future = publish(sns, "m")
        error = future.exception(SOON)
        assert isinstance(error, botocore.exceptions.HTTPClientError)
        assert codes(future) == ["ValueError"]
        assert not future.attempts[0].outcome_unknown
        assert "line break" in str(error)
        assert "secret" not in f"{error!r} {error} {error.kwargs} {future.attempts!r}"
    assert endpoint.request_count == 0


# What fails while a request is built


@pytest.mark.parametrize("given", [False, True])
def test_what_cannot_be_built_costs_only_the_entry_it_is_about(
    endpoint: Endpoint, given: bool
) -> None:
    with publishing(retry=publisher.retry_policy(), delivery_timeout=60) as made:
        if given:
            with pytest.warns(UserWarning, match="its own"):
                sns = made.client("sns", client=make_client("sns", endpoint.url))
        else:
            sns = client_of(made, "sns", endpoint.url)
        patient = sns.with_options(linger=60)
        good = [publish(patient, f"{i}") for i in range(4)]
        # Past the checks at the call, which do not know every field that there will ever be.
        broken = Rich(20, {"Message": CULPRIT, "Subject": "private \ud800"})
        assert patient._core is not None
        bad = patient._core.accept(patient._routes[TOPIC], broken, 20)
        made.flush(0)
        for future in good:
            assert future.result(SOON)
        error = bad.exception(SOON)
        assert isinstance(error, publisher.InvalidMessage)
        assert "private" not in str(error) + repr(error) + repr(bad.attempts)
        assert bad.attempts[-1].error_code == "UnicodeEncodeError"
        assert not any(attempt.outcome_unknown for attempt in bad.attempts)
    assert Counter(texts(endpoint.stored())) == Counter(f"{i}" for i in range(4))


# Errors of another operation


class STS:
    """Answers AssumeRole with an error."""

    def __init__(self, status: int, code: str) -> None:
        body = (
            "<ErrorResponse><Error><Type>Sender</Type>"
            f"<Code>{code}</Code><Message>not authorized to perform sts:AssumeRole</Message>"
            "</Error><RequestId>r</RequestId></ErrorResponse>"
        ).encode()
        sts = self
        self.asked = 0

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                sts.asked += 1
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(status)
                self.send_header("Content-Type", "text/xml")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Any:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join(SOON)
        self._server.server_close()

    def session(self) -> boto3.Session:
        """A session whose credentials come from here, as those of a profile with a role do."""
        inner = botocore.session.Session()
        source = botocore.credentials.Credentials("id", "secret")
        fetcher = botocore.credentials.AssumeRoleCredentialFetcher(
            client_creator=functools.partial(
                inner.create_client,
                region_name="us-east-1",
                endpoint_url=f"http://127.0.0.1:{self._server.server_port}",
                config=Config(retries={"total_max_attempts": 1}),
            ),
            source_credentials=source,
            role_arn="arn:aws:iam::000000000000:role/publisher",
        )
        inner._credentials = botocore.credentials.DeferredRefreshableCredentials(
            method="assume-role", refresh_using=fetcher.fetch_credentials
        )
        return boto3.Session(botocore_session=inner)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(("status", "code"), [(403, "AccessDenied"), (503, "ServiceUnavailable")])
def test_an_error_of_assume_role_is_no_answer_about_the_messages(
    endpoint: Endpoint, caplog: pytest.LogCaptureFixture, service: str, status: int, code: str
) -> None:
    with STS(status, code) as sts, publishing(delivery_timeout=2) as made:
        ours = client_of(made, service, endpoint.url, session=sts.session())
        futures = together(ours)
        for future in futures.values():
            error = future.exception(SOON)
            assert not getattr(error, "outcome_unknown", False)
            while isinstance(error, publisher.DeliveryTimeout):
                error = error.__cause__
            assert isinstance(error, botocore.exceptions.ClientError)
            assert error.operation_name == "AssumeRole"
            assert "when calling the AssumeRole operation" in str(error)
            assert "may have stored" not in str(future.exception(0))
            assert set(codes(future)) == {code}
            assert not any(each.split or each.outcome_unknown for each in future.attempts)
        failures = made.stats().total.failed_by_code | made.stats().total.errors_by_code
        assert set(failures) <= {f"AssumeRole:{code}", "DeliveryTimeout"}
    assert endpoint.request_count == 0
    assert "AssumeRole" in caplog.text
    for wrong in ("PutRecords", "PublishBatch", "sns:Publish", "single"):
        assert wrong not in caplog.text
    if code == "AccessDenied":
        assert "allow sts:AssumeRole" in caplog.text


# What an error leaves behind


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("readable", [True, False])
def test_long_texts_of_errors_are_not_kept(
    endpoint: Endpoint, service: str, readable: bool
) -> None:
    """Messages of 100 bytes, each tried some times against 500 KB of explanation."""
    long = "é" * 250_000
    if readable:
        made_answer = Answer(error=Error(503, "ServiceUnavailable", long))
    else:
        made_answer = Answer(status=503, body=long.encode(), content_type="text/xml", store=False)
    endpoint.script(made_answer)
    policy = publisher.retry_policy(wait=tenacity.wait_none(), stop=tenacity.stop_after_attempt(5))
    with publishing(retry=policy, delivery_timeout=60, linger=0) as made:
        ours = client_of(made, service, endpoint.url).with_options(linger=60)
        ours.meta  # noqa: B018 - makes the boto3 client, with its models
        tracemalloc.start()
        try:
            futures = [publish(ours, f"{i:0100}") for i in range(200)]
            made.flush(SOON * 3)
            gc.collect()
            kept, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert kept < 6_000_000  # most of it is what the server notes
        error: Any = futures[0].exception(0)
        assert len(str(error)) < 3_000
        assert len(pickle.dumps(error)) < 10_000
        for attempt in futures[0].attempts:
            assert attempt.error_message
            assert len(attempt.error_message) <= 1_000


@pytest.mark.parametrize("service", SERVICES)
def test_a_page_that_asks_to_stay_away_is_heard(endpoint: Endpoint, service: str) -> None:
    """A load balancer's 503: botocore reads neither the page nor, of SNS, its headers."""
    page = Answer(status=503, body=b"busy", headers={"Retry-After": "1"}, store=False)
    answers = iter([page])
    endpoint.script(lambda _: next(answers, None))
    with client(service, endpoint.url) as ours:
        future = publish(ours, "m")
        assert future.result(SOON)
        assert codes(future) == ["503", None]
    first, second = endpoint.requests
    assert second.arrived - first.arrived >= 0.9
