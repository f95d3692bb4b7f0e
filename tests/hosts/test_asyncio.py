"""An application of asyncio's: its loop is never held."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from tests.hosts.process import Process, assert_stored, expected
from tests.servers import Answer, Endpoint

pytestmark = pytest.mark.every_python("the event loop, and what wakes it, differs by version")

Start = Callable[..., Process]


def test_futures_are_awaited_and_the_loop_is_not_held(endpoint: Endpoint, start: Start) -> None:
    hold = threading.Event()
    endpoint.script(Answer(hold=hold))
    process = start(
        """
import asyncio
configure(max_messages=50, max_block=60)

async def main():
    sns = client()
    sns.meta  # the boto3 client is made: its CPU time is not the loop's
    longest = last = 0
    futures = []
    for i in range(100):  # beyond 50 there is no room, and the loop must not wait for it
        began = time.monotonic()
        futures.append(sns.publish(TopicArn=TOPIC, Message=f'm-{i}'))
        longest = max(longest, time.monotonic() - began)
    say('published')
    ended = await asyncio.gather(*map(asyncio.wrap_future, futures), return_exceptions=True)
    full = sum(isinstance(one, publisher.BufferFull) for one in ended)
    delivered = sum(isinstance(one, dict) for one in ended)
    say('delivered', delivered, 'full', full, 'held', longest < 30)

asyncio.run(main())
""",
        endpoint.url,
    )
    process.read_until("published")
    hold.set()
    assert process.read_until("delivered") == "delivered 50 full 50 held True"
    assert process.end() == 0, process.log
    assert_stored(endpoint, expected(m=50))
