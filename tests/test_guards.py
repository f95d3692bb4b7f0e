"""What a test's guard, a cassette, a mock or a handler raises inside botocore is no network."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import botocore.exceptions
import pook
import pytest
import pytest_socket
import vcr
from botocore.awsrequest import AWSResponse

import publisher
from tests.servers import Endpoint
from tests.support import (
    SOON,
    Watch,
    client_of,
    close_what_vcr_left,
    codes,
    publish,
    publishing,
    texts,
)

pytestmark = pytest.mark.every_python(
    "guards and mocks reach into botocore, urllib3 and sockets, which differ by version"
)

SERVICES = ("sns", "kinesis")
Guard = Callable[[Path], AbstractContextManager[Any]]


def cassette(folder: Path) -> AbstractContextManager[Any]:
    made: AbstractContextManager[Any] = vcr.use_cassette(
        str(folder / "nothing.yaml"), record_mode="none"
    )
    return made


@contextmanager
def pooked(folder: Path) -> Iterator[None]:
    pook.on()
    try:
        yield
    finally:
        pook.off()


@contextmanager
def no_sockets(folder: Path) -> Iterator[None]:
    pytest_socket.disable_socket()
    try:
        yield
    finally:
        pytest_socket.enable_socket()


@contextmanager
def no_hosts(folder: Path) -> Iterator[None]:
    own = socket.socket.connect  # the suite's guard; pytest-socket knows only Python's
    pytest_socket.socket_allow_hosts(["192.0.2.1"])
    try:
        yield
    finally:
        pytest_socket._remove_restrictions()
        socket.socket.connect = own  # type: ignore[method-assign]


GUARDS: list[tuple[Guard, str, str]] = [
    (cassette, "CannotOverwriteExistingCassetteException", "assette"),
    (pooked, "PookNoMatches", "Cannot match any mock"),
    (no_sockets, "SocketBlockedError", "A test tried to use socket"),
    (no_hosts, "SocketConnectBlockedError", "192.0.2.1"),
]


@pytest.mark.filterwarnings("ignore:A test tried to use socket")
@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(("guard", "code", "text"), GUARDS, ids=[code for _, code, _ in GUARDS])
def test_a_guard_is_tried_three_times_at_most(
    endpoint: Endpoint, tmp_path: Path, service: str, guard: Guard, code: str, text: str
) -> None:
    # As users have it: the default policy and delivery_timeout.
    with publishing(retry=publisher.retry_policy(), delivery_timeout=120) as made:
        ours = client_of(made, service, endpoint.url)
        ours.meta  # noqa: B018 - the boto3 client is made before the guard comes
        with guard(tmp_path):
            watch = Watch()
            futures = [publish(ours, f"{i}") for i in range(3)]
            errors = [future.exception(SOON) for future in futures]
            assert watch.seconds < SOON / 2
        for future, error in zip(futures, errors, strict=True):
            assert isinstance(error, botocore.exceptions.HTTPClientError)
            assert not isinstance(error, publisher.PublisherError)
            assert text in str(error)
            assert codes(future) == [code] * 3
            assert not any(attempt.outcome_unknown for attempt in future.attempts)
        # Nothing goes out once the block has ended; the next message does.
        assert made.flush(0) == 0
        assert publish(ours, "next").result(SOON)
    assert texts(endpoint.stored()) == ["next"]


# On Python 3.10 the VCR.py there is leaves the connection open that it recorded from: with plain
# boto3 as well.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("service", SERVICES)
def test_what_a_cassette_has_is_delivered(endpoint: Endpoint, tmp_path: Path, service: str) -> None:
    path = str(tmp_path / "recorded.yaml")
    for mode, body in (("once", "recorded"), ("none", "another")):
        with publishing() as made, vcr.use_cassette(path, record_mode=mode):
            assert publish(client_of(made, service, endpoint.url), body).result(SOON)
    assert texts(endpoint.stored()) == ["recorded"]
    close_what_vcr_left()


# Handlers

BEFORE = ["provide-client-params", "before-call", "before-sign", "before-send", "request-created"]
AFTER = ["response-received", "after-call", "needs-retry"]


class NoError(Exception):
    """Of the application."""


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("event", BEFORE + AFTER)
def test_a_handler_that_raises(endpoint: Endpoint, service: str, event: str) -> None:
    with publishing(retry=publisher.retry_policy(), delivery_timeout=120) as made:
        ours = client_of(made, service, endpoint.url)

        def refuse(**_: Any) -> None:
            raise NoError("not today")

        name = {"sns": "sns.PublishBatch", "kinesis": "kinesis.PutRecords"}[service]
        ours.meta.events.register(f"{event}.{name}", refuse)
        future = publish(ours, "m")
        error = future.exception(SOON)
        assert isinstance(error, NoError)
        assert str(error) == "not today"
        assert codes(future) == ["NoError"] * 3
        stored = len(endpoint.stored())
        assert stored == (3 if event in AFTER else 0)
        assert [attempt.outcome_unknown for attempt in future.attempts] == [event in AFTER] * 3
        ours.meta.events.unregister(f"{event}.{name}", refuse)
        assert publish(ours, "next").result(SOON)
    assert Counter(texts(endpoint.stored()))["next"] == 1


def test_a_handler_that_raises_once_costs_nothing(endpoint: Endpoint) -> None:
    with publishing(retry=publisher.retry_policy()) as made:
        sns = client_of(made, "sns", endpoint.url)
        odd = iter([NoError("once")])

        def refuse(**_: Any) -> AWSResponse | None:
            for error in odd:
                raise error
            return None

        sns.meta.events.register("before-send.sns.PublishBatch", refuse)
        future = publish(sns, "m")
        assert future.result(SOON)
        assert codes(future) == ["NoError", None]
