"""What ``help()`` shows of the coalesced operations: boto3's parameters, and what comes back."""

from __future__ import annotations

import functools
import inspect
import textwrap
from collections.abc import Callable
from types import FunctionType
from typing import TYPE_CHECKING, Any

from .._engine.future import PublishFuture

if TYPE_CHECKING:
    from .._engine.contract import Service

_PAGE = (
    "https://boto3.amazonaws.com/v1/documentation/api/latest/reference/services/"
    "{service}/client/{operation}.html"
)
_TEXT = """\
{what}

Returns at once; all parameters have names, as with boto3.

Args:
{parameters}

Returns:
    a future of boto3's response, {response}.
    ``result(timeout)`` waits for it, and raises what boto3 would have raised.

Raises:
    InvalidMessage: a bad or missing argument, or one over the service's limit.
    PublisherClosed: the publisher is closed.
    BufferFull: with ``on_full="raise"`` only, where there is no room.

The words of AWS: {page}
"""


@functools.cache
def described(service: Service, operation: str, call: FunctionType) -> Callable[..., Any]:
    """A copy of ``call``, a method, with the name, parameters and words of ``operation``.

    A copy costs nothing when it is called.
    """
    what, parameters, response = service.words[operation]
    made = FunctionType(
        call.__code__, call.__globals__, operation, call.__defaults__, call.__closure__
    )
    made.__qualname__ = f"Client.{operation}"
    made.__doc__ = _TEXT.format(
        what=what,
        parameters=textwrap.indent("\n".join(_line(*one) for one in parameters.items()), "    "),
        response=response,
        page=_PAGE.format(service=service.name, operation=operation),
    )
    own = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)]
    for name, words in parameters.items():
        default = _LEFT_OUT if ", optional:" in words else inspect.Parameter.empty
        own.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default))
    made.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        own, return_annotation=PublishFuture
    )
    return made


def _line(name: str, words: str) -> str:
    kind, text = words.split(":", 1)
    return textwrap.fill(f"{name} ({kind}):{text}", 92, subsequent_indent="    ")


class _LeftOut:
    def __repr__(self) -> str:
        return "..."


_LEFT_OUT = _LeftOut()
