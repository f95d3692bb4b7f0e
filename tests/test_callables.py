"""What a call would not run is refused at set-up: an ``async def``, a generator, wrapped or not."""

from __future__ import annotations

import asyncio
import functools
import types
from typing import Any
from unittest.mock import AsyncMock, MagicMock, Mock

import pytest
import tenacity

import publisher
from publisher._callables import runs_nothing
from publisher._engine.future import PublishFuture
from publisher.contrib.aws_lambda import flush_on_return

pytestmark = pytest.mark.every_python(
    "what counts as a coroutine function, wrapped or not, differs by version"
)


async def coroutine(*_: Any) -> None:
    raise AssertionError("nobody runs this")


async def async_generator(*_: Any) -> Any:
    yield 1


def generator(*_: Any) -> Any:
    yield 1


@types.coroutine
def old_coroutine(*_: Any) -> Any:
    yield 1


class Async:
    async def __call__(self, *_: Any) -> None:
        pass

    async def method(self, *_: Any) -> None:
        pass

    @staticmethod
    async def static(*_: Any) -> None:
        pass

    @classmethod
    async def of_class(cls, *_: Any) -> None:
        pass

    partial = functools.partialmethod(coroutine)


LATER = {
    "coroutine": coroutine,
    "async generator": async_generator,
    "generator": generator,
    "types.coroutine": old_coroutine,
    "partial": functools.partial(coroutine, 1),
    "partial of a partial": functools.partial(functools.partial(async_generator), 1),
    "callable object": Async(),
    "partial of an object": functools.partial(Async(), 1),
    "method": Async().method,
    "partial of a method": functools.partial(Async().method, 1),
    "static method": Async.static,
    "class method": Async.of_class,
    "partial method": Async().partial,
    "AsyncMock": AsyncMock(),
}


class Sync:
    def __call__(self, *_: Any) -> None:
        pass


@functools.wraps(coroutine)
def run_to_the_end(*args: Any) -> None:
    asyncio.run(coroutine(*args))


NOW = {
    "function": lambda *_: None,
    "wrapper that runs it": run_to_the_end,
    "object": Sync(),
    "class": Async,
    "built-in": [].append,
    "Mock": Mock(),
    "MagicMock": MagicMock(),
    "its method": MagicMock().on_failed,
    "partial": functools.partial(print, 1),
}


@pytest.mark.parametrize("function", LATER.values(), ids=LATER)
def test_a_hook_that_a_call_does_not_run_is_refused(function: Any) -> None:
    hook = types.SimpleNamespace(on_delivered=lambda event: None, on_failed=function)
    with pytest.raises(TypeError, match=r"on_failed only makes an? .*make it a plain function"):
        publisher.Publisher(hooks=[hook])


def test_an_async_method_of_a_hook_class_is_refused() -> None:
    class Watch(publisher.Hook):
        async def on_dropped(self, event: publisher.Event) -> None:  # type: ignore[override]
            pass

    with pytest.raises(TypeError, match=r"Watch\.on_dropped only makes a coroutine"):
        publisher.Publisher(hooks=[Watch()])


@pytest.mark.parametrize("function", LATER.values(), ids=LATER)
def test_so_are_done_callbacks_parts_of_policies_and_handlers(function: Any) -> None:
    with pytest.raises(TypeError, match="done callback only makes"):
        PublishFuture().add_done_callback(function)
    for part in ("stop", "wait", "retry"):
        with pytest.raises(TypeError, match=f"retry: its {part} only makes"):
            publisher.Publisher(retry=tenacity.Retrying(**{part: function}))
    with pytest.raises(TypeError, match="flush_on_return"):
        flush_on_return(function)


@pytest.mark.parametrize("function", NOW.values(), ids=NOW)
def test_what_a_call_runs_is_taken(function: Any) -> None:
    assert runs_nothing(function) == ""
    publisher.Publisher(hooks=[types.SimpleNamespace(on_failed=function)])
