"""An exception raised in the caller at any point of any public call leaves nothing behind."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from typing import Any

import pytest

import publisher
from publisher._engine.contract import Limits
from publisher._engine.message import Route
from publisher._engine.state import is_live
from tests.hand import Bench, Hand, Wire
from tests.interrupts import Point, strike

pytestmark = pytest.mark.heavy
Scene = Callable[[Bench, list[Any]], Callable[[], Any]]


BOUND = 6
#: Where other threads do their work, not the caller.
OTHERS = {call.__code__ for call in (Hand.run, Hand.run_calls, Hand.step, Hand.work)}


def small(bench: Bench, label: str = "topic", **options: Any) -> Route:
    """The way into a lane whose requests have at most two entries."""
    return bench.route(Wire(label, Limits(2, 100)), **options)


def cancel(bench: Bench, futures: list[Any]) -> Callable[[], Any]:
    futures.append(bench.publish(small(bench, linger=50), "m"))
    return futures[0].cancel


def cancel_watched(bench: Bench, futures: list[Any]) -> Callable[[], Any]:
    futures.append(bench.publish(small(bench, linger=50), "m"))
    futures[0].add_done_callback(lambda _: None)
    assert futures[0]._condition
    return futures[0].cancel


def cancel_many(bench: Bench, futures: list[Any]) -> Callable[[], Any]:
    route = small(bench, linger=50)
    futures.append(bench.publish_many(route, [f"m{number}" for number in range(3)]))
    return futures[0].cancel


def cancel_ordered(bench: Bench, futures: list[Any]) -> Callable[[], Any]:
    route = small(bench, ordered=True, linger=50)
    futures += [bench.publish(route, f"m{number}", group="g") for number in range(3)]
    bench.hand.step()
    return futures[1].cancel


def publish(bench: Bench, futures: list[Any]) -> Callable[[], Any]:
    route = small(bench)
    return lambda: futures.append(bench.publish(route, "m"))


def publish_many(bench: Bench, futures: list[Any]) -> Callable[[], Any]:
    route = small(bench)
    names = [f"m{number}" for number in range(5)]
    return lambda: futures.append(bench.publish_many(route, names))


def publish_ordered(bench: Bench, futures: list[Any]) -> Callable[[], Any]:
    route = small(bench, ordered=True)
    futures.append(bench.publish(route, "before", group="g"))
    return lambda: futures.append(bench.publish(route, "m", group="g"))


def publish_full(bench: Bench, futures: list[Any]) -> Callable[[], Any]:
    route = small(bench)
    futures += [bench.publish(route, f"m{number}") for number in range(6)]
    return lambda: futures.append(bench.publish(route, "newest"))


def publish_full_ordered(bench: Bench, futures: list[Any]) -> Callable[[], Any]:
    route = small(bench, ordered=True)
    futures += [bench.publish(route, f"m{number}", group=f"{number % 3}") for number in range(6)]
    return lambda: futures.append(bench.publish(route, "newest", group="g"))


def publish_full_of_chunks(bench: Bench, futures: list[Any]) -> Callable[[], Any]:
    route = small(bench)
    futures.append(bench.publish_many(route, [f"m{number}" for number in range(6)]))
    return lambda: futures.append(bench.publish(route, "newest"))


def publish_many_full(bench: Bench, futures: list[Any]) -> Callable[[], Any]:
    route = small(bench)
    futures += [bench.publish(route, f"m{number}") for number in range(4)]
    names = [f"n{number}" for number in range(5)]
    return lambda: futures.append(bench.publish_many(route, names))


def publish_whole(bench: Bench, futures: list[Any]) -> Callable[[], Any]:
    route = small(bench)
    return lambda: futures.append(bench.publish_whole(route, route))


def publish_whole_apart(bench: Bench, futures: list[Any]) -> Callable[[], Any]:
    routes = small(bench), small(bench, "other")
    return lambda: futures.append(bench.publish_whole(*routes))


def publish_whole_full(bench: Bench, futures: list[Any]) -> Callable[[], Any]:
    routes = small(bench), small(bench, "other")
    futures += [bench.publish(routes[0], f"m{number}") for number in range(5)]
    return lambda: futures.append(bench.publish_whole(*routes))


def flush(bench: Bench, futures: list[Any]) -> Callable[[], Any]:
    for ordered in (False, True):
        route = small(bench, f"{ordered}", ordered=ordered, linger=50)
        futures += [bench.publish(route, f"{ordered}{n}", group=f"{n % 2}") for n in range(4)]
        futures.append(bench.publish_many(small(bench, f"many {ordered}"), ["a", "b", "c"]))
    return lambda: bench.core.flush(5)


def close(bench: Bench, futures: list[Any]) -> Callable[[], Any]:
    flush(bench, futures)
    bench.hand.step()
    return lambda: bench.core.close(0)


def result(bench: Bench, futures: list[Any]) -> Callable[[], Any]:
    futures.append(bench.publish(small(bench, linger=50), "m"))
    return lambda: futures[0].exception(0.0001)


def stats(bench: Bench, futures: list[Any]) -> Callable[[], Any]:
    flush(bench, futures)
    return bench.core.stats


ON_FULL = ("block", "drop", "drop_oldest", "raise")
SCENES = [
    *[pytest.param(scene, {}, id=scene.__name__) for scene in (cancel, cancel_watched)],
    *[pytest.param(one, {}, id=one.__name__) for one in (cancel_many, cancel_ordered, publish)],
    *[pytest.param(one, {}, id=one.__name__) for one in (publish_many, publish_ordered, flush)],
    *[pytest.param(one, {}, id=one.__name__) for one in (close, result, stats)],
    *[pytest.param(one, {}, id=one.__name__) for one in (publish_whole, publish_whole_apart)],
    *[
        pytest.param(one, {"on_full": on_full}, id=f"{one.__name__}-{on_full}")
        for one in (
            publish_full,
            publish_full_ordered,
            publish_full_of_chunks,
            publish_many_full,
            publish_whole_full,
        )
        for on_full in ON_FULL
    ],
]


class Hook:
    """Wants to know everything."""

    def on_accepted(self, event: publisher.Event) -> None:
        pass

    on_dropped = on_failed = on_delivered = on_accepted


@pytest.mark.parametrize("hooks", [(), (Hook(),)], ids=["", "hooks"])
@pytest.mark.parametrize(("scene", "options"), SCENES)
def test_an_exception_at_any_point_leaves_nothing_behind(
    scene: Scene, options: dict[str, Any], hooks: tuple[Any, ...]
) -> None:
    met: set[Point] = set()
    struck = True
    while struck:
        bench = Bench(max_messages=BOUND, delivery_timeout=40, hooks=hooks, **options)
        bench.hand.safe = False
        futures: list[Any] = []
        call = scene(bench, futures)
        try:
            struck = strike(call, met, OTHERS)
        except (publisher.BufferFull, TimeoutError, concurrent.futures.TimeoutError):
            struck = False
        bench.hand.step()
        bench.hand.settle()
        bench.hand.step()
        bench.hand.run_calls()
        live = [future for future in futures if is_live(future)]
        assert not live, f"{len(met)} points: {live} never end"
        bench.assert_at_rest()
        assert bench.core.tracker.oldest() == float("inf")
    assert len(met) > 3
