"""TLS, proxies and addresses are boto3's, on the direct way as on botocore's own."""

from __future__ import annotations

import base64
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.config import Config

import publisher
from tests.direct.certificates import Authority
from tests.direct.test_connections import FAULTS
from tests.direct.ways import DIRECT, WAYS, count, opened, sent, session_of, take, went
from tests.servers.raw import Heard, RawServer, Tunnel, answer, usual
from tests.support import SESSION, codes, publishing, tries

pytestmark = pytest.mark.every_python("connections are urllib3's, whose two series differ")

CREDENTIALS = "user:p%40ss"  # the password has an at sign


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    take(request.param, monkeypatch)
    return str(request.param)


@pytest.fixture(params=["sns", "kinesis"])
def service(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def made() -> Iterator[publisher.Publisher]:
    with publishing(linger=0, max_workers=2, retry=tries(2)) as one:
        yield one


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def check(way: str, client: publisher.Client, server: RawServer, connections: int = 1) -> None:
    """Three messages were delivered on one connection, all but the first this way."""
    for text in ("the second", "the third"):
        assert codes(sent(client, text)) == [None]
    assert went(client) == (2 if way == DIRECT else 0), count(client)
    assert (len(server.heard), server.connections) == (3, connections)


def url(server: RawServer, scheme: str = "https") -> str:
    return f"{scheme}://127.0.0.1:{server.port}"


@pytest.mark.parametrize("by", ["verify=", "AWS_CA_BUNDLE"])
def test_an_authority_of_ones_own(
    way: str,
    by: str,
    made: publisher.Publisher,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session = SESSION
    if by == "AWS_CA_BUNDLE":
        monkeypatch.setenv(by, authority.path)
        session = session_of(botocore.session.Session())
    verify = authority.path if by == "verify=" else None
    with RawServer(tls=authority.context("127.0.0.1")) as server:
        client = opened(made, "sns", url(server), verify=verify, session=session)
        check(way, client, server)


@pytest.mark.parametrize("what", ["a wrong name", "an unknown authority"])
def test_a_certificate_that_is_not_trusted_is_refused(
    way: str, what: str, made: publisher.Publisher, authority: Authority, tmp_path: Path
) -> None:
    """Also for the connection that is made when the way is open already."""
    address = "127.0.0.2" if what == "a wrong name" else "127.0.0.1"
    (tmp_path / "other").mkdir()
    other = authority if what == "a wrong name" else Authority(tmp_path / "other")
    with RawServer(tls=authority.context("127.0.0.1")) as server:
        client = opened(made, "sns", url(server), verify=authority.path)
        server._tls = other.context(address)
        server.sockets[0].shutdown(socket.SHUT_RDWR)
        future = sent(client, "the second")
        assert codes(future) == ["SSLError", "SSLError"]
        assert not any(attempt.outcome_unknown for attempt in future.attempts)
        assert len(server.heard) == 1
        assert went(client) == (2 if way == DIRECT else 0), count(client)


@pytest.mark.parametrize("fault", ["no answer", "reset", "half a head", "half a body", "garbage"])
def test_a_bad_answer_over_tls_means_the_same_on_both_ways(
    fault: str, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for way in WAYS:
        take(way, monkeypatch)
        with (
            RawServer(tls=authority.context("127.0.0.1")) as server,
            publishing(linger=0, max_workers=2, retry=tries(2)) as made,
        ):
            client = opened(made, "sns", url(server), verify=authority.path)
            server.handler = FAULTS[fault]
            future = sent(client, "concerned")
            server.handler = usual
            assert went(client) == (2 if way == DIRECT else 0), count(client)
            unknown = [attempt.outcome_unknown for attempt in future.attempts]
            found.append((codes(future), unknown, type(future.exception(0)).__mro__[1:]))
            assert codes(sent(client, "afterwards")) == [None]
    assert found[0][:2] == found[1][:2]
    assert [each.__name__ for each in found[0][2]] == [each.__name__ for each in found[1][2]]


def in_one_record_with_another(sock: Any, heard: Heard) -> None:
    head, end, body = answer(heard).partition(b"\r\n\r\n")
    sock.sendall(head + end)
    sock.sendall(body + answer(heard))


def test_what_follows_an_answer_over_tls_is_no_answer_to_the_next_request(
    way: str, service: str, made: publisher.Publisher, authority: Authority
) -> None:
    """It is not in the system's buffer, where urllib3 would see it."""
    with RawServer(tls=authority.context("127.0.0.1")) as server:
        client = opened(made, service, url(server), verify=authority.path)
        server.handler = in_one_record_with_another
        sent(client, "answered twice").result(0)
        server.handler = FAULTS["500 with HTML"]
        assert codes(sent(client, "never stored")) == ["500"] * 2
        server.handler = usual
        assert codes(sent(client, "the next")) == [None]
        # As over a plain connection.
        assert server.connections == (2 if way == DIRECT else 1)
        assert went(client) == (4 if way == DIRECT else 0), count(client)


def test_bytes_that_botocores_way_left_are_no_answer_either(
    made: publisher.Publisher, authority: Authority
) -> None:
    """The first request goes that way, and its connection is used again."""

    def far_from_another(sock: Any, heard: Heard) -> None:  # http.client reads 8 KiB at a time
        sock.sendall(answer(heard).ljust(8192) + answer(heard))

    with RawServer(far_from_another, authority.context("127.0.0.1")) as server:
        client = opened(made, "sns", url(server), verify=authority.path)
        server.handler = FAULTS["500 with HTML"]
        assert codes(sent(client, "never stored")) == ["500"] * 2
        assert went(client) == 2, count(client)


def test_a_certificate_of_the_client(
    way: str, made: publisher.Publisher, authority: Authority
) -> None:
    context = authority.context("127.0.0.1", asks=True)
    config = Config(client_cert=authority.issue("client", "127.0.0.1"))
    with RawServer(tls=context) as server:
        client = opened(made, "sns", url(server), verify=authority.path, config=config)
        check(way, client, server)
        bare = opened(made, "sns", url(server), verify=authority.path)
        future = sent(bare, "refused")
        assert set(codes(future)) <= {"SSLError", "ConnectionClosedError"}
        assert len(server.heard) == 3


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_verification_that_is_switched_off(
    way: str, made: publisher.Publisher, authority: Authority
) -> None:
    with RawServer(tls=authority.context("127.0.0.2")) as server:
        client = opened(made, "sns", url(server), verify=False)
        check(way, client, server)


def test_ipv6(way: str, made: publisher.Publisher) -> None:
    with RawServer(family=socket.AF_INET6) as server:
        client = opened(made, "kinesis", f"http://[::1]:{server.port}")
        check(way, client, server)
        assert f"Host: [::1]:{server.port}".encode() in server.heard[-1].head


def test_a_proxy_for_http(way: str, made: publisher.Publisher) -> None:
    """It is given the whole address, and its own credentials."""
    with Tunnel(0) as proxy:
        config = Config(proxies={"http": f"http://{CREDENTIALS}@127.0.0.1:{proxy.port}"})
        client = opened(made, "sns", "http://sns.nowhere.invalid:81", config=config)
        check(way, client, proxy)
        for heard in proxy.heard:
            assert heard.head.startswith(b"POST http://sns.nowhere.invalid:81/ HTTP/1.1\r\n")
            assert _authorization() in heard.head


def test_a_proxy_for_https(way: str, made: publisher.Publisher, authority: Authority) -> None:
    """A tunnel leads through it, and only it is given its credentials."""
    with RawServer(tls=authority.context("127.0.0.1")) as server, Tunnel(server.port) as proxy:
        config = Config(proxies={"https": f"http://{CREDENTIALS}@127.0.0.1:{proxy.port}"})
        client = opened(made, "sns", url(server), verify=authority.path, config=config)
        check(way, client, server)
        (connect,) = proxy.heard
        assert connect.head.startswith(f"CONNECT 127.0.0.1:{server.port} ".encode())
        assert _authorization() in connect.head
        for heard in server.heard:
            assert b"Proxy-Authorization" not in heard.head
            assert heard.head.startswith(b"POST / HTTP/1.1\r\n")


def test_a_proxy_that_is_gone(way: str, made: publisher.Publisher) -> None:
    with Tunnel(0) as proxy:
        config = Config(proxies={"http": f"http://{CREDENTIALS}@127.0.0.1:{proxy.port}"})
        client = opened(made, "sns", "http://sns.nowhere.invalid:81", config=config)
    future = sent(client, "the second")
    assert codes(future) == ["ProxyConnectionError"] * 2
    assert not any(attempt.outcome_unknown for attempt in future.attempts)
    assert (
        "p%40ss"
        not in f"{future.exception(0)!r} {[each.error_message for each in future.attempts]}"
    )
    assert went(client) == (2 if way == DIRECT else 0), count(client)


@pytest.mark.parametrize("direct", [True, False], ids=["NO_PROXY", "HTTP_PROXY"])
def test_the_environment_says_where_proxies_are(
    way: str, direct: bool, made: publisher.Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RawServer() as server, Tunnel(server.port) as proxy:
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.setenv(name, "127.0.0.1" if direct else "other.invalid")
        client = opened(made, "sns", url(server, "http"))
        check(way, client, server if direct else proxy)


def _authorization() -> bytes:
    return b"Proxy-Authorization: Basic " + base64.b64encode(b"user:p@ss")
