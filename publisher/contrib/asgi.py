"""ASGI: what was accepted is delivered before the server ends its process.

Servers end by the signal that stopped them, or by ``os._exit``: what Python runs at exit does not
run there. The last thing that they do ask is the lifespan protocol.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from .._threads.signals import install_signal_handlers
from . import _everywhere

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


class PublisherMiddleware:
    """Wraps an ASGI application: its process ends once its messages are delivered.

    ``app = PublisherMiddleware(app)``, or ``add_middleware(PublisherMiddleware)`` in Starlette and
    FastAPI. At the lifespan's end, when the server has answered its last request, every publisher
    of the process is drained; the event loop is not held. An application that does not speak the
    lifespan protocol (Django's) is spoken for; one that has heard its startup or shutdown and then
    raises is believed, once its messages are delivered. Where SIGTERM has its default handler,
    :func:`publisher.install_signal_handlers` is called at the lifespan's beginning.

    Not promised: anything where the server is told not to speak the protocol
    (``uvicorn --lifespan off``), or is killed.

    Args:
        app: an ASGI 3 application.
        timeout: seconds that the drain may take; None: the publishers' ``close_timeout``. Keep it
            below the server's own graceful time-out.

    Raises:
        TypeError: ``app`` cannot be called, or the timeout is no number.
        ValueError: the timeout is negative.
    """

    def __init__(self, app: App, timeout: float | None = None) -> None:
        if not callable(app):
            raise TypeError(f"app must be an ASGI application, not {type(app).__name__}")
        self.app = app
        self.timeout = _everywhere.checked_timeout(timeout)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Pass a connection on to the application; see to the lifespan."""
        if scope["type"] == "lifespan":
            await _Lifespan(self, receive, send).run(scope)
        else:
            await self.app(scope, receive, send)


class _Lifespan:
    """One lifespan, and how far its conversation has come, whoever speaks for the application."""

    def __init__(self, middleware: PublisherMiddleware, receive: Receive, send: Send) -> None:
        self._middleware = middleware
        self._receive = receive
        self._send = send
        self._heard: set[str] = set()
        self._said: set[str] = set()

    async def run(self, scope: MutableMapping[str, Any]) -> None:
        """Let the application speak, and say what it leaves unsaid."""
        try:
            await self._middleware.app(scope, self._hear, self._say)
        except Exception:
            if self._said or self._heard:  # it speaks the protocol, and has failed
                if not any(word.startswith("lifespan.shutdown") for word in self._said):
                    await _off_the_loop(self._drain)
                raise
        if any(word.endswith(".failed") for word in self._said):
            return
        for what in ("startup", "shutdown"):
            if f"lifespan.{what}.complete" not in self._said:
                if f"lifespan.{what}" not in self._heard:
                    await self._hear()
                await self._say({"type": f"lifespan.{what}.complete"})

    async def _hear(self) -> Message:
        message = await self._receive()
        self._heard.add(message["type"])
        return message

    async def _say(self, message: Message) -> None:
        self._said.add(message["type"])
        if message["type"] == "lifespan.startup.complete":
            with contextlib.suppress(ValueError):  # not in the main thread
                install_signal_handlers()
        elif message["type"].startswith("lifespan.shutdown"):
            await _off_the_loop(self._drain)
        await self._send(message)

    def _drain(self) -> None:
        timeout = self._middleware.timeout
        _everywhere.flush(_everywhere.close_timeout() if timeout is None else timeout)


async def _off_the_loop(work: Callable[[], None]) -> None:
    """Run ``work`` on a thread, whatever event loop this is."""
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_run():
        await trio.to_thread.run_sync(work)
        return
    await asyncio.to_thread(work)
