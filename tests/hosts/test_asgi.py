"""ASGI servers: what was accepted is delivered, though they end by the signal that stopped them."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

import publisher
from publisher.contrib.asgi import PublisherMiddleware
from tests.hosts.load import Load, listening
from tests.hosts.process import Process, bodies
from tests.servers import Answer, Endpoint
from tests.support import SOON, TOPIC, client_of, publishing

pytestmark = pytest.mark.every_python(
    "the servers end by signals and event loops, which differ by version"
)

Start = Callable[..., Process]
REQUESTS = 60

SERVERS: dict[str, tuple[str, list[str]]] = {
    "uvicorn": ("uvicorn", ["--fd", "{fd}"]),
    "uvicorn, two workers": ("uvicorn", ["--fd", "{fd}", "--workers", "2"]),
    "hypercorn, two workers": ("hypercorn", ["-b", "fd://{fd}", "-w", "2"]),
    "gunicorn with uvicorn's worker": (
        "gunicorn",
        [
            *("-k", "uvicorn_worker.UvicornWorker", "-w", "2", "-b", "fd://{fd}"),
            "--no-control-socket",
        ],
    ),
}


@pytest.mark.parametrize("name", ["bare", "framework", "wrapped"])
@pytest.mark.parametrize(
    "server",
    [pytest.param(name, marks=[pytest.mark.heavy] if "two" in name else []) for name in SERVERS],
)
def test_nothing_is_lost_at_sigterm(
    endpoint: Endpoint, start: Start, need: Callable[..., str], server: str, name: str
) -> None:
    module, options = SERVERS[server]
    need(module)
    endpoint.script(Answer(latency=0.02))
    with listening() as listener:
        arguments = [option.format(fd=listener.fileno()) for option in options]
        command = [sys.executable, "-m", module, *arguments, f"tests.hosts.web_asgi:{name}"]
        process = start(command, endpoint.url, fd=listener)
        load = Load(listener.getsockname()[1], REQUESTS, lambda: None, parts=1)
        process.signal(signal.SIGTERM)
        process.end(60)
    assert not load.broken, process.log
    found = bodies(endpoint)
    lost = [path for path in load.answered if found[path] != 1]
    assert not lost, (lost, process.log)
    if name != "bare":  # what the application publishes as it ends
        assert any(body.startswith("end-") for body in found), process.log


def run(app: Any, conversation: list[str], said: list[str] | None = None) -> list[str]:
    """Hold a lifespan's conversation; what the application said, also in ``said``."""
    said = [] if said is None else said
    heard = iter(conversation)

    async def receive() -> Any:
        return {"type": f"lifespan.{next(heard)}"}

    async def send(message: Any) -> None:
        said.append(message["type"].removeprefix("lifespan."))

    asyncio.run(asyncio.wait_for(app({"type": "lifespan"}, receive, send), SOON))
    return said


async def refuses(scope: Any, receive: Any, send: Any) -> None:
    raise ValueError


async def ignores(scope: Any, receive: Any, send: Any) -> None:
    return


async def begins_only(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})


async def speaks(scope: Any, receive: Any, send: Any) -> None:
    await begins_only(scope, receive, send)
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


@pytest.mark.parametrize("app", [refuses, ignores, begins_only, speaks])
def test_an_application_that_leaves_something_unsaid_is_spoken_for(
    app: Any, endpoint: Endpoint
) -> None:
    with publishing(linger=60) as made:
        future = client_of(made, "sns", endpoint.url).publish(TopicArn=TOPIC, Message="m")
        said = run(PublisherMiddleware(app), ["startup", "shutdown"])
        assert said == ["startup.complete", "shutdown.complete"]
        assert future.done()


def test_an_application_that_fails_is_believed() -> None:
    async def fails(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no"})

    async def raises(scope: Any, receive: Any, send: Any) -> None:
        await begins_only(scope, receive, send)
        raise ZeroDivisionError

    assert run(PublisherMiddleware(fails), ["startup"]) == ["startup.failed"]
    with pytest.raises(ZeroDivisionError):
        run(PublisherMiddleware(raises), ["startup"])


async def fails_to_begin(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    raise ZeroDivisionError


async def fails_to_end(scope: Any, receive: Any, send: Any) -> None:
    await begins_only(scope, receive, send)
    await receive()
    raise ZeroDivisionError


async def says_that_it_fails_to_end(scope: Any, receive: Any, send: Any) -> None:
    await begins_only(scope, receive, send)
    await receive()
    await send({"type": "lifespan.shutdown.failed", "message": "no"})
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("app", "words"),
    [
        (fails_to_begin, []),
        (fails_to_end, ["startup.complete"]),
        (says_that_it_fails_to_end, ["startup.complete", "shutdown.failed"]),
    ],
)
def test_what_was_accepted_is_delivered_before_a_failure_goes_on(
    app: Any, words: list[str], endpoint: Endpoint
) -> None:
    with publishing(linger=60) as made:
        future = client_of(made, "sns", endpoint.url).publish(TopicArn=TOPIC, Message="m")
        said: list[str] = []
        with pytest.raises(ZeroDivisionError):
            run(PublisherMiddleware(app), ["startup", "shutdown"], said)
        assert said == words
        assert future.done()


def test_the_event_loop_goes_on_while_it_drains(endpoint: Endpoint) -> None:
    hold = threading.Event()
    endpoint.script(Answer(hold=hold))
    with publishing(linger=60) as made:
        future = client_of(made, "sns", endpoint.url).publish(TopicArn=TOPIC, Message="m")

        async def serve() -> None:
            words = iter(["startup", "shutdown"])

            async def receive() -> Any:
                return {"type": f"lifespan.{next(words)}"}

            async def send(message: Any) -> None: ...

            app = PublisherMiddleware(speaks, timeout=SOON)
            end = asyncio.ensure_future(app({"type": "lifespan"}, receive, send))
            await asyncio.to_thread(endpoint.wait_for, lambda: endpoint.request_count)
            assert not end.done()
            hold.set()
            await asyncio.wait_for(end, SOON)

        asyncio.run(serve())
        assert future.done()


def test_the_timeout_bounds_it(endpoint: Endpoint) -> None:
    hold = threading.Event()
    endpoint.script(Answer(hold=hold))
    with publishing(linger=60) as made:
        future = client_of(made, "sns", endpoint.url).publish(TopicArn=TOPIC, Message="m")
        run(PublisherMiddleware(speaks, timeout=0.1), ["startup", "shutdown"])
        assert not future.done()
        hold.set()
        assert future.result(SOON)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [((3,), TypeError), ((speaks, "5"), TypeError), ((speaks, -1), ValueError)],
)
def test_what_cannot_be_meant_raises(arguments: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        PublisherMiddleware(*arguments)
    assert publisher.flush(0) == 0
