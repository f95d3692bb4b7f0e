"""A process that publishes numbered messages into a spool: `python -m publisher.demo.spooling`.

Arguments: the server's address, the stream, the spool's directory, the first number, how many, and
how many messages of an earlier process are to be offered again before it ends. It prints the number
of each message once the call that published it has returned.
"""

from __future__ import annotations

import os
import sys
import threading

import publisher

WAITS_FOR_EACH = 250
"""One message in so many is waited for, so that some arrive while others are published."""
_WAITS = 30.0  # seconds that it, or what an earlier process left, may take


class _Told(publisher.Hook):
    """Says when one more message has arrived."""

    def __init__(self) -> None:
        self.arrived = threading.Event()

    def on_delivered(self, event: publisher.Event) -> None:
        self.arrived.set()


def main(url: str, stream: str, directory: str, first: int, count: int, replayed: int) -> None:
    """Publish, wait for what an earlier process left, and deliver everything."""
    told = _Told()
    spool = publisher.Spool(directory)
    with publisher.Publisher(spool=spool, hooks=[told]) as made:
        kinesis = made.client("kinesis", endpoint_url=url)
        for number in range(first, first + count):
            future = kinesis.put_record(
                StreamName=stream, Data=b"%d" % number, PartitionKey=str(number)
            )
            os.write(1, b"%d\n" % number)
            if number % WAITS_FOR_EACH == 0:
                future.result(_WAITS)
        while made.stats().total.replayed < replayed and told.arrived.wait(_WAITS):
            told.arrived.clear()


if __name__ == "__main__":
    main(*sys.argv[1:4], *map(int, sys.argv[4:]))  # type: ignore[arg-type]
