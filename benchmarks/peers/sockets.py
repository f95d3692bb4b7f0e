"""The bound under any design in Python: this package's bodies on bare sockets, from ten threads.

What it leaves out is all that makes a client: credentials, time-outs, the look at who stands on the
way, futures, the account. What it has is what no client can do without: the body is made, its
SHA-256 taken for the signature, both go out, and the answer is read.
"""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from benchmarks.load import ADDRESSES, WORKERS, chunks, entries
from benchmarks.peers import Peer, Send
from benchmarks.peers.ours import NEEDS, WORK

SOCKETS = "bare sockets, our bodies"
_TARGETS = {
    "kinesis": "Kinesis_20131202.PutRecords",
    "firehose": "Firehose_20150804.PutRecordBatch",
    "sqs": "AmazonSQS.SendMessageBatch",
    "events": "AWSEvents.PutEvents",
}


def _head(service: str, host: str, length: int, digest: str) -> bytes:
    """About as many headers, and bytes of them, as botocore sends."""
    target = _TARGETS.get(service)
    kind = f"X-Amz-Target: {target}\r\n" if target else ""
    return (
        f"POST / HTTP/1.1\r\nHost: {host}\r\n{kind}Content-Length: {length}\r\n"
        f"Authorization: {digest}\r\nUser-Agent: {'.' * 300}\r\n\r\n"
    ).encode()


def _exchange(sock: socket.socket, request: bytes) -> bytes:
    sock.sendall(request)
    data = sock.recv(1 << 16)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r", 1)[0])
    while len(body) < length:
        piece = sock.recv(1 << 18)
        if not piece:
            raise RuntimeError("the answer ended early")
        body += piece
    return body


@contextmanager
def open_sockets(service: str, endpoint: str) -> Iterator[Send]:
    """Full batches, each on the socket of one of ten threads."""
    from publisher.services import load

    known = load(service)
    fast = known.fast
    assert fast is not None
    address, parts = ADDRESSES[service], urlsplit(endpoint)
    own = threading.local()
    opened: list[socket.socket] = []

    def connect() -> None:
        own.sock = socket.create_connection((parts.hostname, parts.port), timeout=60)
        own.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.append(own.sock)

    def call(batch: list[Any]) -> None:
        _, body = fast.encode(address, batch)
        digest = hashlib.sha256(body).hexdigest()
        found = fast.read(
            _exchange(own.sock, _head(service, parts.netloc, len(body), digest) + body)
        )
        if found is None or any(found[0].get(name) for name in found[0] if "Failed" in name):
            raise RuntimeError("an entry failed")

    with ThreadPoolExecutor(WORKERS, initializer=connect) as pool:

        def send(work: list[Any]) -> None:
            made = [(data, key) for key, data in work] if service == "kinesis" else work
            if service == "events":
                _, made, *_ = known.accept_batch({"Entries": entries("events", work)})
            list(pool.map(call, chunks(service, made)))

        yield send
    for sock in opened:
        sock.close()


PEERS = [Peer(SOCKETS, open_sockets, WORK, NEEDS, kind="bound")]
