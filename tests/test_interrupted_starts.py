"""The same of what only threads have: the first message, the boto3 client, the end."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import publisher
from publisher._engine.state import is_live
from publisher._fork import importing
from publisher._threads.runtime import Threads
from tests.interrupts import Point, strike
from tests.servers import Endpoint
from tests.support import FAST, SESSION, SOON, STREAM, TOPIC, Watch, assert_at_rest

pytestmark = pytest.mark.heavy
Scene = Callable[[publisher.Publisher, str, list[Any]], Callable[[], Any]]


def made_client(made: publisher.Publisher, url: str, service: str = "sns") -> Any:
    return made.client(service, endpoint_url=url, session=SESSION)


def client(made: publisher.Publisher, url: str, futures: list[Any]) -> Callable[[], Any]:
    return lambda: made_client(made, url)


def first_message(made: publisher.Publisher, url: str, futures: list[Any]) -> Callable[[], Any]:
    sns = made_client(made, url)
    return lambda: futures.append(sns.publish(TopicArn=TOPIC, Message="first"))


def first_batch(made: publisher.Publisher, url: str, futures: list[Any]) -> Callable[[], Any]:
    kinesis = made_client(made, url, "kinesis")
    records = [{"Data": b"m", "PartitionKey": "k"}] * 3
    return lambda: futures.append(kinesis.put_records(StreamName=STREAM, Records=records))


def other_operation(made: publisher.Publisher, url: str, futures: list[Any]) -> Callable[[], Any]:
    sns = made_client(made, url)
    return lambda: futures.append(sns.publish(PhoneNumber="+15550100", Message="m"))


def confirmed(made: publisher.Publisher, url: str, futures: list[Any]) -> Callable[[], Any]:
    sns = made_client(made, url).with_options(linger=30)
    futures.append(sns.publish(TopicArn=TOPIC, Message="first"))
    return lambda: futures[0].result(SOON)


def flush(made: publisher.Publisher, url: str, futures: list[Any]) -> Callable[[], Any]:
    first_message(made, url, futures)()
    return lambda: made.flush(SOON)


def close(made: publisher.Publisher, url: str, futures: list[Any]) -> Callable[[], Any]:
    first_message(made, url, futures)()
    return lambda: made.close(SOON)


def after_close(made: publisher.Publisher, url: str, futures: list[Any]) -> Callable[[], Any]:
    first_message(made, url, futures)()
    made.close(SOON)
    return lambda: made.close(SOON)


#: Run where an object dies, by whomever: an exception in them is nobody's.
FINALISERS = {weakref.finalize.__call__.__code__}
SCENES = [client, first_batch, other_operation, confirmed, flush, close, after_close]


class Hook:
    """Wants to know everything."""

    def on_accepted(self, event: publisher.Event) -> None:
        pass

    on_dropped = on_failed = on_delivered = on_sent = on_accepted


@pytest.mark.parametrize(
    ("scene", "hooks"),
    [
        *[pytest.param(scene, (), id=scene.__name__) for scene in SCENES],
        pytest.param(first_message, (Hook(),), id="first_message"),
    ],
)
def test_an_exception_at_any_point_leaves_it_all_usable(
    endpoint: Endpoint, scene: Scene, hooks: tuple[Any, ...]
) -> None:
    met: set[Point] = set()
    struck = True
    while struck:
        made = publisher.Publisher(**FAST, hooks=hooks, max_workers=1)
        futures: list[Any] = []
        call = scene(made, endpoint.url, futures)
        struck = strike(call, met, FINALISERS)
        where = f"{len(met)} points"
        assert not importing().has(threading.get_ident()), where
        if "close" not in scene.__name__:
            sns = made_client(made, endpoint.url)
            again = sns.publish(TopicArn=TOPIC, Message="second")
            assert again.result(SOON)["MessageId"], where
            sns.get_topic_attributes(TopicArn=TOPIC).exception(SOON)
        watch = Watch()
        made.close(SOON)
        assert watch.seconds < SOON / 2, where
        live = [future for future in futures if is_live(future)]
        assert not live, f"{where}: {live} never end"
        assert_at_rest(made)
        core = made._core
        if core is not None:
            core.runtime.wait_for_end(SOON)
            assert isinstance(core.runtime, Threads)
            alive = [thread for thread in core.runtime.crew.threads if thread.is_alive()]
            assert not alive, where
    assert len(met) > 3
    assert threading.active_count() < 100
