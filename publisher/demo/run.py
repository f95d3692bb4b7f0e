"""The demo's course: start a local AWS, send the plain way, send through publisher, check both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from rich.console import Console

import publisher

from . import FAULT_EVERY, LATENCY
from .aws import SHARDS, Sink, running_server
from .report import Arrival, bars, comparison, ledger
from .ways import Run, Send, Step, one_by_one, to_queue, to_stream, to_topic, with_futures

PLAIN_AT_MOST = 300
"""Lines sent the plain way: each takes a round trip, so a long input would take many minutes."""

Way = Callable[[Send, Sequence[str], Step], Run]


_PLACES = {"sns": ("topic", "a topic with a queue behind it"), "sqs": ("queue", "a queue")}


def _sender(service: str, sink: Sink) -> Callable[[Any], Send]:
    """Makes a sender to the topic or the queue of a client's."""
    if service == "sqs":
        return lambda client: to_queue(client, sink.queue)
    return lambda client: to_topic(client, sink.topic)


def run(lines: Sequence[str], console: Console, service: str = "sns") -> bool:
    """Send `lines` both ways and show what it cost; return whether every one arrived.

    With `service` "sqs" a queue stands in the place of the topic. Raises `aws.DemoError` if the
    local server does not start.
    """
    place, what = _PLACES[service]
    console.print(
        f"{len(lines):,} lines to {what} and a stream of {SHARDS} shards,\n"
        f"on this machine. A round trip takes {LATENCY * 1000:.0f} ms, and one entry in "
        f"{FAULT_EVERY} fails on the way.\n",
        highlight=False,
    )
    runs: dict[tuple[str, str], Run] = {}
    arrivals: dict[tuple[str, str], Arrival] = {}
    with running_server() as url:
        sink = Sink(url)
        # A script would rather wait for room in the buffer than lose a message.
        publisher.configure(max_block=None)
        try:
            few = lines[:PLAIN_AT_MOST]
            to_place = _sender(service, sink)
            plain = getattr(sink, service)
            ours = publisher.client(service, endpoint_url=url)  # type: ignore[call-overload]
            kinesis = publisher.client("kinesis", endpoint_url=url)
            with bars(console) as progress:
                for way, send, sent, name in (
                    (one_by_one, to_place(plain), few, (place, "boto3")),
                    (one_by_one, to_stream(sink.kinesis, sink.stream), few, ("stream", "boto3")),
                    (with_futures, to_place(ours), lines, (place, "publisher")),
                    (with_futures, to_stream(kinesis, sink.stream), lines, ("stream", "publisher")),
                ):
                    title = "{}, {}".format(*name)
                    before = sink.requests()
                    cost = way(send, sent, progress.add(title, len(sent)))
                    runs[name] = replace(cost, requests=sink.requests() - before)
                    read = sink.read_stream if name[0] == "stream" else sink.read_queue
                    arrived = progress.reading("  read back", len(sent), read())
                    arrivals[name] = Arrival.compare(sent, arrived)
            account = publisher.stats()
        finally:
            publisher.close(timeout=0)  # at the end nothing is left; interrupted, nobody waits
    console.print("", comparison(runs), "", ledger(account), "", sep="\n")
    if len(few) < len(lines):
        console.print(f"boto3 sent only the first {len(few):,} lines: it takes a call for each.\n")
    for (destination, sender), arrival in arrivals.items():
        style = "green" if arrival.complete else "bold red"
        console.print(f"{destination}, {sender}: {arrival}", style=style, highlight=False)
    return all(arrival.complete for arrival in arrivals.values())
