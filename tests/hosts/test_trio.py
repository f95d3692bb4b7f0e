"""An application of trio's: its loop is never held."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from tests.hosts.process import Process, assert_stored, expected
from tests.servers import Answer, Endpoint

pytestmark = pytest.mark.every_python(
    "trio stands on each Python's own way to wake a loop and to interrupt it"
)

PROGRAM = """
import trio
configure(max_messages=50, max_block=60)

async def main():
    sns = client()
    sns.meta  # the boto3 client is made: its CPU time is not the loop's
    longest = 0
    futures = []
    for i in range(100):  # beyond 50 there is no room, and the loop must not wait for it
        began = time.monotonic()
        futures.append(sns.publish(TopicArn=TOPIC, Message=f'm-{i}'))
        longest = max(longest, time.monotonic() - began)
    began = time.monotonic()
    batch = sns.publish_batch(TopicArn=TOPIC, PublishBatchRequestEntries=[
        dict(Id=str(i), Message=f'batch-{i}') for i in range(25)])
    longest = max(longest, time.monotonic() - began)
    assert isinstance(batch.exception(0), publisher.BufferFull)
    say('published')
    result = lambda future: future.exception(20)
    ended = [await trio.to_thread.run_sync(result, future) for future in futures]
    full = sum(isinstance(one, publisher.BufferFull) for one in ended)
    say('full', full, 'delivered', ended.count(None), 'held', longest > 30)

trio.run(main)
"""


def test_the_loop_is_not_held(endpoint: Endpoint, start: Callable[..., Process]) -> None:
    hold = threading.Event()
    endpoint.script(Answer(hold=hold))
    process = start(PROGRAM, endpoint.url)
    process.read_until("published")
    hold.set()
    assert process.read_until("full") == "full 50 delivered 50 held False"
    assert process.end() == 0, process.log
    assert_stored(endpoint, expected(m=50))
