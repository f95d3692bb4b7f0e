"""An exception at any point of a call that writes to a spool leaves nothing behind, on disk too."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import publisher
from publisher._store.directory import prepare
from publisher._store.source import adopt
from publisher._threads.crew import LazyThread
from publisher.spool import keeper
from tests.interrupts import Point, strike
from tests.servers import Answer, Endpoint
from tests.support import FAST, SOON, STREAM, assert_at_rest, client_of, until

pytestmark = pytest.mark.heavy

#: Where other threads begin.
OTHERS = {LazyThread._begin.__code__}
#: What differs from one scene to the next; the rest is struck in the first ones.
WRITING = tuple(
    f"{os.sep}{name}.py"
    for name in (
        *("keeping", "kept_admission", "keeper", "rounds", "notes", "destinations"),
        *("log", "segments", "segment", "syncing"),
    )
)


class Bench(NamedTuple):
    """One publisher, and what a scene has made."""

    made: publisher.Publisher
    client: Any
    server: Endpoint
    futures: list[publisher.PublishFuture]
    release: threading.Event

    def publish(self, data: bytes = b"m", **options: Any) -> publisher.PublishFuture:
        client = self.client.with_options(**options) if options else self.client
        future: publisher.PublishFuture = client.put_record(
            StreamName=STREAM, Data=data, PartitionKey="k"
        )
        self.futures.append(future)
        return future

    def publish_batch(self) -> publisher.PublishFuture:
        future: publisher.PublishFuture = self.client.put_records(
            StreamName=STREAM, Records=[{"Data": b"m", "PartitionKey": "k"}] * 2
        )
        self.futures.append(future)
        return future

    def publish_events(self, count: int = 2) -> publisher.PublishFuture:
        event = {"Source": "s", "DetailType": "t", "Detail": "{}"}
        events = client_of(self.made, "events", self.server.url)
        future: publisher.PublishFuture = events.put_events(Entries=[event] * count)
        self.futures.append(future)
        return future


Scene = Callable[[Bench], Callable[[], Any]]


def second(bench: Bench) -> Callable[[], Any]:
    bench.publish().result(SOON)
    return bench.publish


def first(bench: Bench) -> Callable[[], Any]:
    """The files are made for it."""
    bench.publish(spool=False).result(SOON)
    return bench.publish


def batch(bench: Bench) -> Callable[[], Any]:
    bench.publish().result(SOON)
    return bench.publish_batch


def overflow(bench: Bench) -> Callable[[], Any]:
    """The memory is full."""
    bench.server.script(lambda _: Answer(hold=bench.release))
    bench.publish()
    return bench.publish


def batch_overflow(bench: Bench) -> Callable[[], Any]:
    """There is room in memory for one of them."""
    bench.server.script(lambda _: Answer(hold=bench.release))
    bench.publish()
    return bench.publish_batch


def events(bench: Bench) -> Callable[[], Any]:
    """They come in together; there is no room for them in memory."""
    bench.server.script(lambda _: Answer(hold=bench.release))
    bench.publish_events(1)
    return bench.publish_events


def cancel(bench: Bench) -> Callable[[], Any]:
    return bench.publish(linger=50).cancel


def full(bench: Bench) -> Callable[[], Any]:
    """There is no room for it on disk."""
    bench.server.script(lambda _: Answer(hold=bench.release))
    bench.publish(bytes(800))
    return lambda: bench.publish(bytes(800))


@pytest.mark.parametrize(
    ("scene", "spool", "options"),
    [
        pytest.param(second, {}, {}, id="second"),
        pytest.param(second, {"sync": "disk"}, {}, id="disk"),
        pytest.param(first, {}, {}, id="first"),
        pytest.param(batch, {"sync": "disk"}, {}, id="batch"),
        pytest.param(overflow, {"when": "overflow"}, {"max_messages": 1}, id="overflow"),
        pytest.param(batch_overflow, {"sync": "disk"}, {"max_messages": 2}, id="batch overflow"),
        pytest.param(events, {}, {"max_messages": 2}, id="events"),
        pytest.param(cancel, {}, {}, id="cancel"),
        pytest.param(
            full, {"max_bytes": 1200}, {"on_full": "drop_oldest", "max_block": 0.05}, id="full"
        ),
    ],
)
def test_an_exception_at_any_point_leaves_nothing_behind(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scene: Scene,
    spool: dict[str, Any],
    options: dict[str, Any],
) -> None:
    monkeypatch.setattr(keeper, "_LOOKS", 0.02)  # what stays is offered again sooner
    within = ("",) if scene in (second, cancel, full) else WRITING
    met: set[Point] = set()
    with Endpoint() as server:
        for number in itertools.count():
            folder = tmp_path / f"{number}"
            made = publisher.Publisher(
                **{**FAST, "linger": 0, "close_timeout": 1, **options},
                spool=publisher.Spool(folder, **spool),
            )
            server.script(None)
            bench = Bench(
                made, client_of(made, "kinesis", server.url), server, [], threading.Event()
            )
            try:
                struck = strike(scene(bench), met, OTHERS, within)
            except publisher.BufferFull:
                struck = False
            bench.release.set()
            assert made.flush(SOON) == 0
            if made.stats().spool is not None:
                until(lambda: made.stats().spool.waiting == 0)  # noqa: B023
            made.close(SOON)
            assert_at_rest(made)
            assert all(future.done() for future in bench.futures)
            assert not folder.exists() or not list(folder.iterdir()), f"after {len(met)} points"
            if not struck:
                break
    assert len(met) > 50


def test_what_is_left_to_a_relay_is_counted_or_gone(tmp_path: Path) -> None:
    met: set[Point] = set()
    for number in itertools.count():
        folder = tmp_path / f"{number}"
        made = publisher.Publisher(spool=publisher.Spool(folder, send="relay"), close_timeout=1)
        client = client_of(made, "kinesis", "http://127.0.0.1:1")
        bench = Bench(made, client, None, [], threading.Event())  # type: ignore[arg-type]
        bench.publish().result(0)
        struck = strike(bench.publish, met, OTHERS, WRITING)
        assert made.flush(SOON) == 0
        total = made.stats().total
        assert total.accepted == total.spooled >= len(bench.futures)
        until(lambda: made.stats().spool.waiting == total.accepted)  # noqa: B023
        made.close(SOON)
        assert_at_rest(made)
        (owner,) = prepare(folder).owners()
        source = adopt(prepare(folder), owner)
        assert source is not None
        assert len(source.take(10)) == total.accepted, f"after {len(met)} points"
        source.close()
        if not struck:
            break
    assert len(met) > 30
