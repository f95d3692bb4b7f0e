"""A request out and its answer in, over a connection of botocore's own pool.

Connections are made by botocore and urllib3 alone: addresses, TLS, proxies, time-outs and their
errors are theirs. Only on one that is open and idle is a request written and its answer read here.
"""

from __future__ import annotations

import errno
import http.client
import socket
import ssl
from typing import Any

import botocore.awsrequest
from botocore import exceptions as boto

from .answer import Answer, read_answer
from .request import Request

#: Up to so many bytes of body go out in one piece with the head.
_TOGETHER = 1 << 17
#: The other side has closed while the request goes out; it may have answered before.
_CLOSED = frozenset({errno.EPIPE, errno.ECONNRESET, errno.ESHUTDOWN, errno.EPROTOTYPE})
_CONNECTIONS = (botocore.awsrequest.AWSHTTPConnection, botocore.awsrequest.AWSHTTPSConnection)
_SOCKETS = (socket.socket, ssl.SSLSocket)


class Transport:
    """Sends the requests of one boto3 client to one address.

    Args:
        session: botocore's HTTP session of that client.
        url: the address.

    Raises:
        AttributeError: this botocore's session is another.
    """

    def __init__(self, session: Any, url: str) -> None:
        self._send = session.send
        self._proxy_for = session._proxy_config.proxy_url_for
        self._pool_for = session._manager.connection_from_url
        self._url = url
        self._pool: Any = None  # urllib3's, replaced where it has been closed

    def send(self, request: Request) -> Answer:
        """Send ``request``, once.

        Raises:
            botocore.exceptions.HTTPClientError: as botocore's session raises it.
        """
        found = self._idle()
        if found is not None:
            return exchange(*found, request)
        response = self._send(request)
        headers = {str(name): str(value) for name, value in response.headers.items()}
        return Answer(response.status_code, headers, response.content, reusable=True)

    def _idle(self) -> tuple[Any, Any, float | None] | None:
        """An open connection that nobody uses, its pool and its read time-out, seconds.

        None where there is none, it is a stranger's, or a proxy stands before the address. At most
        one that has died, or holds bytes that nobody asked for, is thrown away: the next is
        botocore's to make.
        """
        try:
            pool = self._pool
            if pool is None or pool.pool is None:
                if self._proxy_for(self._url) is not None:
                    return None
                self._pool = pool = self._pool_for(self._url)
            read_timeout = pool.timeout.read_timeout
            connection = pool._get_conn()  # closes it where the other side has
        except Exception:  # noqa: BLE001 - closed meanwhile, or another urllib3: botocore's session says
            return None
        sock = connection.sock
        if sock is not None and type(connection) in _CONNECTIONS and type(sock) in _SOCKETS:
            if not _holds_more(sock):
                return pool, connection, read_timeout
            connection.close()
        pool._put_conn(connection)
        return None


def exchange(pool: Any, connection: Any, read_timeout: float | None, request: Request) -> Answer:
    """Write ``request`` on an open connection and read its answer; errors as botocore's session."""
    reusable = written = False
    try:
        sock = connection.sock
        if sock.gettimeout() != read_timeout:
            sock.settimeout(read_timeout)
        _write(sock, request)
        written = True
        answer = read_answer(sock)
        reusable = answer.reusable and not _holds_more(sock)
        return answer
    except (OSError, http.client.HTTPException) as error:
        url = request.url
        if written and isinstance(error, TimeoutError):
            raise boto.ReadTimeoutError(endpoint_url=url, error=error) from error
        if isinstance(error, ssl.SSLError):
            raise boto.SSLError(endpoint_url=url, error=error) from error
        raise boto.ConnectionClosedError(error=error, request=request, endpoint_url=url) from error
    finally:
        if not reusable:
            connection.close()
        pool._put_conn(connection)


def _holds_more(sock: Any) -> bool:
    """Whether TLS has bytes that were not asked for: the next request would take them for its own.

    urllib3 does not see them. What lies in the system's buffer it does see.
    """
    return isinstance(sock, ssl.SSLSocket) and sock.pending() > 0


def _write(sock: Any, request: Request) -> None:
    try:
        if len(request.body) <= _TOGETHER:
            sock.sendall(request.head + request.body)
        else:
            sock.sendall(request.head)
            sock.sendall(request.body)
    except ssl.SSLError:
        raise
    except OSError as error:
        if error.errno not in _CLOSED:
            raise
