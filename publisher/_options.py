"""The options of a publisher: their defaults, checked once, with a message that states the rule."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from types import FunctionType, MethodType
from typing import Any

from ._checks import at_least_one, one_of, positive_seconds, seconds
from ._engine.retry import Policy, check_policy
from ._spooling import Spool, check_spool
from .hooks import check_hook
from .services import default_linger

ON_FULL = ("block", "drop", "drop_oldest", "raise")


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a client view may change for its own messages.

    Attributes:
        linger: longest wait for company, seconds; at most half of the timeout.
        timeout: from acceptance to an outcome, seconds.
        policy: asked whether and when to retry.
        spooled: messages are on disk before the call returns.
    """

    linger: float
    timeout: float
    policy: Policy
    spooled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Every option of ``configure()`` and ``Publisher()``, checked.

    Times in seconds, sizes in bytes.
    """

    max_workers: int = 10
    linger: float | Mapping[str, float] = field(default_factory=default_linger)
    max_messages: int = 10_000
    max_bytes: int = 64 * 1024 * 1024
    on_full: str = "block"
    max_block: float | None = 1.0
    delivery_timeout: float = 120.0
    retry: Any = None
    connect_timeout: float = 3.0
    read_timeout: float = 10.0
    close_timeout: float = 5.0
    hooks: tuple[Any, ...] = ()
    spool: Spool | None = None

    @property
    def grace(self) -> float:
        """For so many seconds past its deadline a message may stay live while it is in flight."""
        return self.connect_timeout + self.read_timeout

    def delivery(self, service: str, **changes: Any) -> Delivery:
        """The delivery options of a client of ``service``, with the changes of ``with_options``."""
        spooled = self._spooled(changes.pop("spool", True))
        changed = check_options(self, changes) if changes else self
        linger = changed.linger
        if isinstance(linger, Mapping):
            linger = linger.get(service, 0.0)
        # A message that lingered up to its deadline would be lost without having been sent.
        linger = min(linger, changed.delivery_timeout / 2)
        return Delivery(linger, changed.delivery_timeout, Policy(changed.retry), spooled)

    def _spooled(self, wanted: Any) -> bool:
        """What a client's view is told of the spool: True, as for all messages, or False."""
        if not isinstance(wanted, bool):
            raise TypeError(f"spool must be True or False here, not {type(wanted).__name__}")
        return wanted and self.spool is not None


def check_options(base: Options, changes: Mapping[str, Any]) -> Options:
    """``base`` with ``changes``, each checked.

    Raises:
        TypeError: an unknown option, or a value of the wrong type.
        ValueError: a value that is not allowed.
    """
    known = [option.name for option in fields(Options)]
    for name in changes:
        if name not in known:
            raise TypeError(f"unknown option {name!r}; the options are {', '.join(known)}")
    return replace(base, **{name: _CHECKS[name](name, value) for name, value in changes.items()})


def check_timeout(timeout: Any) -> None:
    """Raise for what a wait cannot take: it takes None or a number, below 0 as 0.

    Raises:
        TypeError: it is neither.
        ValueError: it is NaN.
    """
    if timeout is None:
        return
    rule = "timeout must be a number of seconds, or None"
    if not isinstance(timeout, numbers.Real):
        raise TypeError(f"{rule}, not {type(timeout).__name__}")
    if math.isnan(timeout):
        raise ValueError(f"{rule}, not nan")


def _linger(name: str, value: Any) -> float | Mapping[str, float]:
    if not isinstance(value, Mapping):
        return seconds(name, value)
    default = default_linger()
    for service in value:
        if service not in default:
            known = ", ".join(default)
            raise ValueError(
                f"{name} has the unknown service {service!r}; the services are {known}"
            )
    return {
        **default,
        **{key: seconds(f"{name}[{key!r}]", wait) for key, wait in value.items()},
    }


def _on_full(name: str, value: Any) -> str:
    return one_of(name, value, ON_FULL)


def _max_block(name: str, value: Any) -> float | None:
    return None if value is None else seconds(name, value)


def _retry(_name: str, value: Any) -> Any:
    if value is not None:
        check_policy(value)
    return value


def _hooks(name: str, value: Any) -> tuple[Any, ...]:
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise TypeError(
            f"{name} must be a sequence of objects with hook methods, not {type(value).__name__}"
        )
    hooks = tuple(value)
    for hook in hooks:
        check_hook(hook)
    return hooks


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "max_workers": at_least_one,
    "linger": _linger,
    "max_messages": at_least_one,
    "max_bytes": at_least_one,
    "on_full": _on_full,
    "max_block": _max_block,
    "delivery_timeout": positive_seconds,
    "retry": _retry,
    "connect_timeout": positive_seconds,
    "read_timeout": positive_seconds,
    "close_timeout": seconds,
    "hooks": _hooks,
    "spool": check_spool,
}


def same(one: Any, other: Any) -> bool:
    """Whether two values of options mean the same; a policy counts by its parts."""
    if type(one) is not type(other):
        return False
    if isinstance(one, (tuple, list)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, MethodType):  # of a policy's part, which is compared itself
        return one.__func__ is other.__func__
    if isinstance(one, FunctionType):  # tenacity 9.0 makes one for each part
        return one is other or (one.__code__ == other.__code__ and _holds(one) == _holds(other))
    if isinstance(one, Options) or type(one).__module__.split(".")[0] == "tenacity":
        mine, theirs = _parts(one), _parts(other)
        return mine.keys() == theirs.keys() and all(same(mine[k], theirs[k]) for k in mine)
    return bool(one == other)


def _holds(function: FunctionType) -> tuple[Any, ...]:
    """What a function depends on beside its code: globals, defaults, closure."""
    cells: list[Any] = []
    for cell in function.__closure__ or ():
        try:
            cells.append(cell.cell_contents)
        except ValueError:  # it is empty
            cells.append(cell)
    return id(function.__globals__), function.__defaults__, function.__kwdefaults__, cells


def _parts(whole: Any) -> dict[str, Any]:
    if isinstance(whole, Options):
        return {each.name: getattr(whole, each.name) for each in fields(whole)}
    return {
        name: part for name, part in vars(whole).items() if name not in ("_local", "statistics")
    }
