"""ASGI applications that publish one message for each request: its path.

Nothing is sent but full batches while a process lives (the linger is a minute): the rest its end
has delivered.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from publisher.contrib.asgi import PublisherMiddleware
from tests.hosts import app

app.configure(linger=60)
SNS = app.client()


async def silent(scope: Any, receive: Any, send: Any) -> None:
    """Like Django's, it does not speak the lifespan protocol."""
    if scope["type"] != "http":
        raise ValueError(f"no {scope['type']} here")
    SNS.publish(TopicArn=app.TOPIC, Message=scope["path"].lstrip("/"))
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


async def publish(request: Request) -> PlainTextResponse:
    SNS.publish(TopicArn=app.TOPIC, Message=request.url.path.lstrip("/"))
    return PlainTextResponse("ok")


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    os.write(1, b"begins\n")
    yield
    SNS.publish(TopicArn=app.TOPIC, Message=f"end-{os.getpid()}")


bare = PublisherMiddleware(silent)
framework = Starlette(
    routes=[Route("/{path}", publish)],
    lifespan=lifespan,
    middleware=[Middleware(PublisherMiddleware)],
)
wrapped = PublisherMiddleware(
    Starlette(routes=[Route("/{path}", publish)], lifespan=lifespan), timeout=20
)
