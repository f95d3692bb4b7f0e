"""A hundred thousand messages from sixteen threads, one entry in ten refused at first.

Each arrives once, and none that had succeeded is sent again.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest

from tests.servers import Answer, Endpoint, Request
from tests.support import QUEUE, client_of, publishing

pytestmark = pytest.mark.heavy

THREADS, EACH = 16, 6_250
PATIENCE = 300  # seconds


def put_record(firehose: Any, text: str) -> None:
    firehose.put_record(DeliveryStreamName="clicks", Record={"Data": text})


def send_message(sqs: Any, text: str) -> None:
    sqs.send_message(QueueUrl=QUEUE, MessageBody=text)


def put_events(events: Any, text: str) -> None:
    events.put_events(Entries=[{"Source": "s", "DetailType": "d", "Detail": text}])


#: By service: how a message of a text is sent, and the error code of an entry that is refused.
WAYS = {
    "firehose": (put_record, "ServiceUnavailableException"),
    "sqs": (send_message, "InternalError"),
    "events": (put_events, "InternalFailure"),
}


@pytest.mark.parametrize("name", WAYS)
def test_each_arrives_once(name: str) -> None:
    send, code = WAYS[name]
    refused_once: set[bytes] = set()  # each thread of the server adds what only it carries

    def script(request: Request) -> Answer | None:
        refused = {
            index: code
            for index, entry in enumerate(request.entries)
            if b'0"' in entry.data + b'"' and entry.data not in refused_once
        }
        refused_once.update(request.entries[index].data for index in refused)
        return Answer(failures=refused, failed_count=0)

    with (
        Endpoint(strict=True) as endpoint,
        publishing(delivery_timeout=PATIENCE, max_block=None) as made,
    ):
        endpoint.script(script)
        client = client_of(made, name, endpoint.url)

        def publish(thread: int) -> None:
            for index in range(EACH):
                send(client, f"{thread}-{index}")

        threads = [threading.Thread(target=publish, args=(n,)) for n in range(THREADS)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert made.flush(PATIENCE) == 0
        total = made.stats().total
        arrived = Counter(entry.data for entry in endpoint.stored())
        carried = Counter(entry.data for entry in endpoint.entries)
    assert total.accepted == total.delivered == len(arrived) == THREADS * EACH
    assert set(arrived.values()) == {1}
    assert len(refused_once) == total.retries == THREADS * EACH // 10
    assert {data for data, count in carried.items() if count > 1} == refused_once
    assert max(carried.values()) == 2
