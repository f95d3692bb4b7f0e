"""Connections and answers as no server should be, on the direct way and on botocore's own.

Whatever happens, the outcome, its error's class, the tries and what is known of them are the same.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

import publisher
from tests.direct.ways import DIRECT, WAYS, opened, sent, take, went
from tests.servers.raw import Heard, RawServer, answer, end_idle, reset, stored, usual
from tests.support import SOON, codes, publish, publishing, tries, until

pytestmark = pytest.mark.every_python("connections are urllib3's, whose two series differ")


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    take(request.param, monkeypatch)
    return str(request.param)


@pytest.fixture(params=["sns", "kinesis"])
def service(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer() as one:
        yield one


@pytest.fixture
def made() -> Iterator[publisher.Publisher]:
    with publishing(linger=0, max_workers=2, retry=tries(2)) as one:
        yield one


def url(server: RawServer) -> str:
    return f"http://127.0.0.1:{server.port}"


def check(way: str, client: publisher.Client, count: int) -> None:
    assert went(client) == (count if way == DIRECT else 0)


def test_the_bytes_are_botocores(
    service: str, server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = {}
    for way in WAYS:
        take(way, monkeypatch)
        with publishing(linger=0) as made:
            client = opened(made, service, url(server))
            sent(client, "the second")
            check(way, client, 1)
        heard[way] = server.heard[-1]
    first, second = (heard[way] for way in WAYS)
    changing = (b"X-Amz-Date:", b"Authorization:", b"amz-sdk-invocation-id:")

    def shown(one: Heard) -> list[bytes]:
        lines = one.head.split(b"\r\n")
        return [line.split(b" ")[0] if line.startswith(changing) else line for line in lines]

    assert shown(first) == shown(second)
    assert first.body == second.body


@pytest.mark.parametrize("end", ["by FIN", "by RST"])
def test_a_connection_that_died_idle_is_made_anew(
    way: str, service: str, server: RawServer, made: publisher.Publisher, end: str
) -> None:
    client = opened(made, service, url(server))
    for sock in server.sockets:
        end_idle(sock, abruptly=end == "by RST")
    future = sent(client, "the next")
    assert codes(future) == [None]
    assert (len(server.heard), server.connections) == (2, 2)
    check(way, client, 1)


def test_at_most_one_dead_connection_is_tried(
    way: str, server: RawServer, made: publisher.Publisher
) -> None:
    """Those that die without a word are found by writing on them; the second try connects anew."""
    both = threading.Barrier(2)

    def together(sock: Any, heard: Heard) -> None:
        both.wait(SOON)
        usual(sock, heard)

    client = opened(made, "sns", url(server))
    server.handler = together
    futures = [publish(client, f"{i}", f"arn:aws:sns:us-east-1:000000000000:t{i}") for i in (1, 2)]
    for future in futures:
        future.result(SOON)
    assert server.connections == 2
    heard = len(server.heard)

    def cut(sock: Any, _: Heard) -> None:
        reset(sock)
        server.handler = usual

    server.handler = cut
    future = sent(client, "met by a reset")
    assert codes(future) == ["ConnectionClosedError", None]
    assert [attempt.outcome_unknown for attempt in future.attempts] == [True, False]
    assert len(server.heard) == heard + 2


def close_with_a_word(sock: Any, heard: Heard) -> None:
    sock.sendall(answer(heard, "Connection: close"))
    sock.close()


def close_without_a_word(sock: Any, heard: Heard) -> None:
    sock.sendall(answer(heard))
    sock.close()


def old(sock: Any, heard: Heard) -> None:
    sock.sendall(answer(heard, version="1.0"))
    sock.close()


def until_the_end(sock: Any, heard: Heard) -> None:
    _, body = stored(heard)
    sock.sendall(b"HTTP/1.1 200 OK\r\nx-amzn-RequestId: an-id\r\n\r\n" + body)
    sock.close()


def chunked(sock: Any, heard: Heard) -> None:
    _, body = stored(heard)
    sock.sendall(
        b"HTTP/1.1 200 OK\r\nx-amzn-RequestId: an-id\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    for at in range(0, len(body), 50):
        piece = body[at : at + 50]
        sock.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
    sock.sendall(b"0\r\n\r\n")


def continued(sock: Any, heard: Heard) -> None:
    sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" + answer(heard))


def in_bytes(sock: Any, heard: Heard) -> None:
    for byte in answer(heard):
        sock.sendall(bytes([byte]))


def odd_headers(sock: Any, heard: Heard) -> None:
    sock.sendall(
        answer(heard, "X-Twice: 1", "x-twice: 2", "X-Empty:", "X-Space:  a b ", "X-Latin: \xe9")
    )


def folded(sock: Any, heard: Heard) -> None:
    sock.sendall(answer(heard, "X-Folded: one", "  two"))


KINDS = {
    "usual": (usual, 1),
    "closes, and says so": (close_with_a_word, 4),
    "closes, and does not say so": (close_without_a_word, 4),
    "HTTP/1.0": (old, 4),
    "until the connection ends": (until_the_end, 4),
    "chunked": (chunked, 1),
    "100 Continue": (continued, 1),
    "byte by byte": (in_bytes, 1),
    "odd headers": (odd_headers, 1),
    "folded headers": (folded, 1),
}


@pytest.mark.parametrize("kind", KINDS)
def test_any_good_answer_is_read(
    kind: str, service: str, server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.handler, connections = KINDS[kind]
    found = []
    for way in WAYS:
        take(way, monkeypatch)
        server.heard.clear()
        with publishing(linger=0, max_workers=2, retry=tries(2)) as made:
            client = opened(made, service, url(server))
            futures = []
            for text in ("one", "two", "three"):
                if connections > 1:  # the end is there before the next request
                    until(lambda: all(sock.fileno() == -1 for sock in server.sockets))
                futures.append(sent(client, text))
            check(way, client, 3)
        assert [codes(future) for future in futures] == [[None]] * 3
        assert (len(server.heard), server.connections) == (4, connections)
        results = [future.result(0) for future in futures]
        for result in results:  # which only the newest urllib3 makes one line
            headers = result["ResponseMetadata"]["HTTPHeaders"]
            headers.update({name: " ".join(value.split()) for name, value in headers.items()})
        found.append(results)
    assert found[0] == found[1]


def test_a_length_of_thousands_of_digits(
    way: str, service: str, server: RawServer, made: publisher.Publisher
) -> None:
    """Python refuses to read such a number; then the end of the connection is that of the body."""

    def long_length(sock: Any, heard: Heard) -> None:
        _, body = stored(heard)
        sock.sendall(b"HTTP/1.1 200 OK\r\nx-amzn-RequestId: an-id\r\n")
        sock.sendall(b"Content-Length: %05000d\r\n\r\n" % len(body) + body)
        sock.close()

    client = opened(made, service, url(server))
    server.handler = long_length
    assert codes(sent(client, "the second")) == [None]
    assert len(server.heard) == 2
    check(way, client, 1)


INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"


@pytest.mark.parametrize("size", [10_000, 27, 1], ids=["at once", "one by one", "byte by byte"])
def test_an_interim_answer_is_not_the_answer(
    size: int,
    service: str,
    server: RawServer,
    made: publisher.Publisher,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """botocore takes it for the answer, and the message is sent again."""

    def hints(sock: Any, heard: Heard) -> None:
        data = b"HTTP/1.1 102 Processing\r\n\r\n" + INTERIM + answer(heard)
        for at in range(0, len(data), size):
            sock.sendall(data[at : at + size])

    take(DIRECT, monkeypatch)
    client = opened(made, service, url(server))
    server.handler = hints
    for text in ("one", "two"):
        assert codes(sent(client, text)) == [None]
    assert (len(server.heard), server.connections) == (3, 1)
    check(DIRECT, client, 2)


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 101 Switching Protocols\r\n\r\n", b"HTTP/1.1  103\r\n\r\n"]
)
def test_after_an_unusual_interim_answer_the_connection_is_closed(
    head: bytes,
    server: RawServer,
    made: publisher.Publisher,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who knows what follows: it would be taken for the answer to the next request."""

    def unusual(sock: Any, _: Heard) -> None:
        sock.sendall(head)
        server.handler = usual

    take(DIRECT, monkeypatch)
    client = opened(made, "sns", url(server))
    server.handler = unusual
    assert codes(sent(client, "concerned")) == ["ResponseParserError", None]
    assert (len(server.heard), server.connections) == (3, 2)


def more_than_announced(sock: Any, heard: Heard) -> None:
    sock.sendall(answer(heard) + answer(heard))


def test_what_follows_an_answer_is_no_answer_to_the_next_request(
    way: str, service: str, server: RawServer, made: publisher.Publisher
) -> None:
    client = opened(made, service, url(server))
    server.handler = more_than_announced
    sent(client, "answered twice").result(0)
    server.handler = usual
    heard = len(server.heard)
    assert codes(sent(client, "the next")) == [None]
    assert len(server.heard) == heard + 1  # its own
    # urllib3 forgets the rest; on the direct way the connection goes with it.
    assert server.connections == (2 if way == DIRECT else 1)
    check(way, client, 2)


def nothing(sock: Any, _: Heard) -> None:
    sock.close()


def garbage(sock: Any, _: Heard) -> None:
    sock.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")
    sock.close()


def half_a_head(sock: Any, heard: Heard) -> None:
    sock.sendall(answer(heard)[:30])
    sock.close()


def half_a_body(sock: Any, heard: Heard) -> None:
    sock.sendall(answer(heard)[:-20])
    sock.close()


def half_a_chunk(sock: Any, _: Heard) -> None:
    sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\nshort")
    sock.close()


def said(status: str, body: bytes, kind: str = "text/html") -> Any:
    def handler(sock: Any, _: Heard) -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        sock.sendall(head.encode() + body)

    return handler


def without_a_length(sock: Any, _: Heard) -> None:
    sock.sendall(b"HTTP/1.1 503 Slow Down\r\n\r\n<html>later</html>")
    sock.close()


FAULTS = {
    "no answer": nothing,
    "reset": lambda sock, _: reset(sock),
    "garbage": garbage,
    "half a head": half_a_head,
    "half a body": half_a_body,
    "half a chunk": half_a_chunk,
    "200 with HTML": said("200 OK", b"<html>welcome</html>"),
    "200 with nothing": said("200 OK", b""),
    "200 with deep JSON": said("200 OK", b"[" * 2000, "application/x-amz-json-1.1"),
    "204": lambda sock, _: sock.sendall(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "302": said("302 Found", b""),
    "400": said("400 Bad Request", b"no"),
    "403 with HTML": said("403 Forbidden", b"<html>blocked</html>"),
    "413": said("413 Too Large", b""),
    "500 with HTML": said("500 Internal Server Error", b"<html>oh</html>"),
    "502 with nothing": said("502 Bad Gateway", b""),
    "503 without a length": without_a_length,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_answer_means_the_same_on_both_ways(
    fault: str, service: str, server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for way in WAYS:
        take(way, monkeypatch)
        with publishing(linger=0, max_workers=2, retry=tries(2)) as made:
            client = opened(made, service, url(server))
            server.handler = FAULTS[fault]
            future = sent(client, "concerned")
            server.handler = usual
            check(way, client, len(future.attempts))
            error = future.exception(0)
            assert error is not None
            texts = [attempt.error_message.replace(url(server), "") for attempt in future.attempts]
            unknown = [attempt.outcome_unknown for attempt in future.attempts]
            kinds = [each.__name__ for each in type(error).__mro__]
            response = getattr(error, "response", None)
            found.append((kinds, str(error), codes(future), texts, unknown, response))
            assert codes(sent(client, "afterwards")) == [None]
    assert found[0] == found[1]


@pytest.mark.parametrize("fault", ["slow", "dripping"])
def test_the_read_timeout_is_for_each_piece(fault: str, way: str, server: RawServer) -> None:
    """A dripping answer outlasts it; a silent one does not."""
    never = threading.Event()

    def drip(sock: Any, heard: Heard) -> None:
        data = answer(heard)
        for at in range(0, len(data), 40):
            never.wait(0.05)
            sock.sendall(data[at : at + 40])

    def silence(*_: Any) -> None:
        until(lambda: server.handler is usual)

    with publishing(linger=0, max_workers=2, read_timeout=0.4, retry=tries(1)) as made:
        client = opened(made, "kinesis", url(server))
        server.handler = drip if fault == "dripping" else silence
        future = sent(client, "concerned")
        server.handler = usual
        assert codes(future) == ([None] if fault == "dripping" else ["ReadTimeoutError"])
        assert [one.outcome_unknown for one in future.attempts] == [fault == "slow"]
        check(way, client, 1)
