"""A Redis in pure Python, for RQ: it says its port, and serves until it is ended."""

from __future__ import annotations

from typing import Any

from fakeredis import TcpFakeServer

from tests.hosts.app import say


class Server(TcpFakeServer):
    def finish_request(self, request: Any, client_address: Any) -> None:
        base: Any = self.RequestHandlerClass

        class Handler(base):  # type: ignore[misc]
            def setup(self) -> None:
                super().setup()
                # It shows addresses as tuples, with a space that Redis's own clients cannot read.
                known = self.current_client.get_socket()._client_info
                for name in ("addr", "laddr"):
                    known[name] = "{}:{}".format(*known[name])

        Handler(request, client_address, self)


server = Server(("127.0.0.1", 0))
say("port", server.server_address[1])
server.serve_forever()
