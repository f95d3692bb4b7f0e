"""Credentials are boto3's at each request; nothing secret is shown, whatever happens."""

from __future__ import annotations

import datetime as dt
import logging
import pickle
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import botocore.auth
import botocore.session
import freezegun
import pytest
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import CredentialRetrievalError

import publisher
from tests.direct.test_connections import FAULTS
from tests.direct.ways import DIRECT, WAYS, count, opened, sent, session_of, take, went
from tests.servers.raw import RawServer, usual
from tests.support import SOON, codes, publish, publishing, tries

pytestmark = pytest.mark.every_python(
    "credentials and clocks are botocore's, which change by version"
)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    take(request.param, monkeypatch)
    return str(request.param)


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer() as one:
        yield one


def url(server: RawServer) -> str:
    return f"http://127.0.0.1:{server.port}"


class Source:
    """Credentials that are new at each refresh, which is due when `old` is set."""

    def __init__(self) -> None:
        self.number = 0
        self.token = True
        self.meanwhile: Callable[[], Any] = lambda: None
        inner = botocore.session.Session()
        self.made = RefreshableCredentials.create_from_metadata(
            self.fetch(), refresh_using=self.fetch, method="a-test"
        )
        inner._credentials = self.made  # type: ignore[attr-defined]
        self.session = session_of(inner)

    def fetch(self) -> dict[str, Any]:
        self.meanwhile()
        self.number += 1
        later = dt.datetime.now(dt.timezone.utc) + dt.timedelta(hours=1)
        return {
            "access_key": f"AKIA{self.number}",
            "secret_key": f"secret-{self.number}",
            "token": f"token-{self.number}",
            "expiry_time": later.isoformat(),
        }

    def run_out(self) -> None:
        self.made._expiry_time = dt.datetime(2020, 1, 1, tzinfo=dt.timezone.utc)


def signed_with(server: RawServer) -> list[tuple[str, str]]:
    """Key and token of each request."""
    found = []
    for heard in server.heard:
        lines = dict(line.split(": ", 1) for line in heard.head.decode().split("\r\n")[1:])
        key = lines["Authorization"].partition("Credential=")[2].partition("/")[0]
        found.append((key, lines["X-Amz-Security-Token"]))
    return found


def test_credentials_that_run_out_between_two_requests(way: str, server: RawServer) -> None:
    source = Source()
    with publishing(linger=0) as made:
        client = opened(made, "sns", url(server), session=source.session)
        sent(client, "with the same")
        source.run_out()
        assert codes(sent(client, "with the next")) == [None]
        assert went(client) == (2 if way == DIRECT else 0)
    first, next_ = ("AKIA1", "token-1"), ("AKIA2", "token-2")
    assert signed_with(server) == [first, first, next_]


def test_a_refresh_that_blocks(way: str, server: RawServer) -> None:
    """Who waits for it goes on when it is through; nobody sends with what has run out."""
    source, begun, go_on = Source(), threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        go_on.wait(SOON)

    with publishing(linger=0, max_workers=3) as made:
        client = opened(made, "sns", url(server), session=source.session)
        source.meanwhile = wait
        source.run_out()
        futures = [publish(client, f"{i}", f"arn:aws:sns:us-east-1:000000000000:{i}") for i in "ab"]
        assert begun.wait(SOON)
        assert len(server.heard) == 1
        go_on.set()
        assert [codes_of(future) for future in futures] == [[None], [None]]
    assert {key for key, _ in signed_with(server)[1:]} == {"AKIA2"}


def codes_of(future: publisher.PublishFuture) -> list[str | None]:
    future.result(SOON)
    return codes(future)


def test_a_refresh_that_fails(way: str, server: RawServer) -> None:
    """Nothing was sent, and what its source wrote is not shown."""
    source = Source()

    def fail() -> None:
        raise CredentialRetrievalError(provider="a-test", error_msg="private words")

    with publishing(linger=0, retry=tries(2)) as made:
        client = opened(made, "sns", url(server), session=source.session)
        sent(client, "the second")
        source.meanwhile = fail
        source.run_out()
        future = sent(client, "unsigned")
        assert codes(future) == ["CredentialRetrievalError"] * 2
        assert not any(attempt.outcome_unknown for attempt in future.attempts)
        error = future.exception(0)
        assert "private words" not in f"{error!r} {error} {future.attempts!r}"
        assert len(server.heard) == 2
        source.meanwhile = lambda: None
        assert codes(sent(client, "signed again")) == [None]


def test_other_credentials_with_a_token_or_without(
    server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What had a token and has none is learnt anew."""
    take(DIRECT, monkeypatch)
    source = Source()
    with publishing(linger=0) as made:
        client = opened(made, "sns", url(server), session=source.session)
        sent(client, "with a token")
        source.made._frozen_credentials = source.made._frozen_credentials._replace(token=None)  # type: ignore[attr-defined]
        sent(client, "without: botocore's")
        sent(client, "without")
        assert went(client) == 2
        assert sum(count(client).values()) == 4
    assert [b"X-Amz-Security-Token" in heard.head for heard in server.heard] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("token", ["a\r\nX-Other: b", "a\nb", "\u00fc", "a\x00"])
def test_a_token_that_no_header_may_have_is_left_to_botocore(
    token: str, server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for way in WAYS:
        take(way, monkeypatch)
        source = Source()
        with publishing(linger=0, retry=tries(2)) as made:
            client = opened(made, "sns", url(server), session=source.session)
            source.made._frozen_credentials = source.made._frozen_credentials._replace(token=token)  # type: ignore[attr-defined]
            found.append(codes(sent(client, "injected")))
            assert went(client) == 0
    assert found[0] == found[1]
    assert not any(b"X-Other" in heard.head for heard in server.heard)


def test_a_clock_that_is_frozen_signs_as_botocore_would(way: str, server: RawServer) -> None:
    with publishing(linger=0) as made:
        client = opened(made, "sns", url(server))
        with freezegun.freeze_time("2031-05-06 07:08:09", ignore=["tests", "publisher"]):
            stamp = now().strftime("%Y%m%dT%H%M%SZ").encode()
            sent(client, "frozen")
        assert went(client) == (1 if way == DIRECT else 0)
    assert b"X-Amz-Date: " + stamp in server.heard[-1].head


def now() -> Any:
    """The clock that botocore signs by."""
    current = getattr(botocore.auth, "get_current_datetime", None)
    return botocore.auth.datetime.datetime.utcnow() if current is None else current()  # type: ignore[attr-defined]


@pytest.mark.parametrize("service", ["sns", "kinesis"])
@pytest.mark.parametrize("fault", FAULTS)
def test_nothing_secret_is_shown(
    fault: str,
    service: str,
    server: RawServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No credential, signature or body: in no log line, exception, repr or pickle."""
    take(DIRECT, monkeypatch)
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.INFO, "botocore")  # whose own debugging shows them
    caplog.set_level(logging.INFO, "urllib3")
    source = Source()
    with publishing(linger=0, retry=tries(2)) as made:
        client = opened(made, service, url(server), session=source.session)
        server.handler = FAULTS[fault]
        future = sent(client, "private body")
        server.handler = usual
        assert went(client) == len(future.attempts)
        error = future.exception(0)
        assert error is not None
        shown = [
            caplog.text,
            *traceback.format_exception(error),
            repr(error),
            repr(future.attempts),
            repr(client),
            repr(made.stats()),
            repr(pickle.dumps(error)),
            repr(pickle.dumps(future.attempts)),
        ]
    text = "".join(shown)
    signature = server.heard[-1].head.partition(b"Signature=")[2][:64].decode()
    assert len(signature) == 64
    for secret in ("private body", "cHJpdmF0ZSBib2R5", "secret-1", "token-1", "AKIA1", signature):
        assert secret not in text
