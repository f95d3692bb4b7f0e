"""The demo's course: start a local AWS, send the plain way, send through publisher, check both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from rich.console import Console

import publisher

from . import FAULT_EVERY, LATENCY
from .aws import SHARDS, Sink, running_server
from .report import Arrival, bars, comparison, ledger
from .ways import Run, Send, Step, one_by_one, to_stream, to_topic, with_futures

PLAIN_AT_MOST = 300
"""Lines sent the plain way: each takes a round trip, so a long input would take many minutes."""

Way = Callable[[Send, Sequence[str], Step], Run]


def run(lines: Sequence[str], console: Console) -> bool:
    """Send `lines` both ways and show what it cost; return whether every one arrived.

    Raises `aws.DemoError` if the local server does not start.
    """
    console.print(
        f"{len(lines):,} lines to a topic with a queue behind it and a stream of {SHARDS} shards,\n"
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
            sns = publisher.client("sns", endpoint_url=url)
            kinesis = publisher.client("kinesis", endpoint_url=url)
            few = lines[:PLAIN_AT_MOST]
            with bars(console) as progress:
                for way, send, sent, name in (
                    (one_by_one, to_topic(sink.sns, sink.topic), few, ("topic", "boto3")),
                    (one_by_one, to_stream(sink.kinesis, sink.stream), few, ("stream", "boto3")),
                    (with_futures, to_topic(sns, sink.topic), lines, ("topic", "publisher")),
                    (with_futures, to_stream(kinesis, sink.stream), lines, ("stream", "publisher")),
                ):
                    title = "{}, {}".format(*name)
                    before = sink.requests()
                    cost = way(send, sent, progress.add(title, len(sent)))
                    runs[name] = replace(cost, requests=sink.requests() - before)
                    read = sink.read_queue if name[0] == "topic" else sink.read_stream
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
