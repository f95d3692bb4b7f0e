"""A port in front of a server, with the faults of a network: it refuses, swallows, stalls."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


class Gate:
    """Passes connections on to `port` once `open` was called; until then, what `fault` says.

    `fault` is "refuse" (nobody listens), "swallow" (no SYN is answered) or "stall" (connections
    are accepted, and nothing is ever said). With `tls`, the client's side of it speaks TLS.
    """

    def __init__(self, port: int, fault: str, tls: ssl.SSLContext | None = None) -> None:
        self._upstream = port
        self._fault = fault
        self._tls = tls
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()  # guards the two below
        self._sockets: list[socket.socket] = []
        self._closed = False
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        if fault == "swallow":
            self._listener.listen(0)
            for _ in range(4):  # the queue of connections is full: Linux drops further SYNs
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", self.port))
                self._sockets.append(filler)
        elif fault == "stall":
            self._listener.listen(64)  # the system accepts them, nobody answers

    def open(self) -> None:
        """End the fault."""
        if self._threads:
            return
        self._listener.listen(64)
        self._start(self._accept)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            self._closed = True
        for sock in self._sockets:  # it grows no more, and who waits for one of them goes on
            _shut(sock)
        for thread in self._threads:
            thread.join(5)
        for sock in self._sockets:
            sock.close()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _keep(self, sock: socket.socket) -> None:
        """Have it closed in the end.

        Raises:
            OSError: this is the end.
        """
        with self._lock:
            if not self._closed:
                self._sockets.append(sock)
                return
        sock.close()
        raise OSError("the gate is closed")

    def _start(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, name="Gate", daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self._keep(sock)
                self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            client = self._tls.wrap_socket(sock, server_side=True) if self._tls else sock
            self._keep(client)
            server = socket.create_connection(("127.0.0.1", self._upstream))
            self._keep(server)
            self._start(_copy, server, client)
            _copy(client, server)


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    _shut(sink)


def _shut(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def certificate(folder: Path) -> tuple[ssl.SSLContext, str]:
    """A server's context for 127.0.0.1, and the path of the certificate that vouches for it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.timezone.utc)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "certificate.pem", folder / "key.pem"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return context, str(public)
