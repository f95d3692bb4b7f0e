"""Runs moto's server on a free port of 127.0.0.1, says which, and ends when its standard input
does: the pipe's other end is the test process, so that it cannot be outlived.
"""

from __future__ import annotations

import logging
import sys
import time

import moto.sqs.models
from moto.moto_server.werkzeug_app import MotoRequestHandler
from moto.server import ThreadedMotoServer


def main() -> None:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    MotoRequestHandler.protocol_version = "HTTP/1.1"  # keep-alive; 1.0 is werkzeug's default
    # moto looks at all messages of a queue for every one sent or received, and asks a slow clock of
    # its own about each: with a plain one it takes a tenth of the time.
    setattr(moto.sqs.models, "unix_time", time.time)  # noqa: B010 - no public name
    setattr(moto.sqs.models, "unix_time_millis", lambda: time.time() * 1000)  # noqa: B010
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    print("port", server.get_host_and_port()[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
