"""Settings of frameworks: the options of ``configure()`` in upper case, checked."""

from __future__ import annotations

import difflib
import importlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from .. import _process
from .._arguments import KNOWN
from .._aws.secrets import told
from .._fork import importing
from .._options import Options, check_options
from .._publisher import Publisher
from .._spooling import Spool
from ..services import names
from ._health import Limits, limits

#: The settings' names, and the options that they stand for.
OPTIONS = {option.name.upper(): option.name for option in fields(Options)}
CLIENT = "CLIENT"
BACKEND = "BACKEND"
BACKENDS = ("aws", "console", "local")
HEALTH = "HEALTH"
NAMES = (*OPTIONS, CLIENT, BACKEND, HEALTH)

UNKNOWN, VALUE, HOOK, CONNECTIONS = "unknown", "value", "hook", "connections"
REFUSED, REGION = "refused", "region"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a setting, and how to put it right.

    Attributes:
        kind: UNKNOWN, VALUE, HOOK, REFUSED, REGION (there is none: calls may still name one) or, a
            warning only, CONNECTIONS.
        text: names the setting and says the rule.
        hint: what to do.
    """

    kind: str
    text: str
    hint: str


class Settings:
    """The settings of one publisher.

    Attributes:
        options: keyword arguments of ``configure()``, those that are in order.
        client: keyword arguments of ``client()``.
        health: from what share of lost messages on the health view says 503.
        backend: "aws"; "console" prints messages and sends nothing; "local" refuses other machines.
        problems: what is not in order.

    Args:
        values: by setting's name, without the prefix.
        prefix: how the framework's own names begin, for the problems' texts.
    """

    def __init__(self, values: Mapping[str, Any], prefix: str) -> None:
        self.options: dict[str, Any] = {}
        self.client: dict[str, Any] = {}
        self.backend = "aws"
        self.health = Limits()
        self.problems: list[Problem] = []
        self._prefix = prefix
        for name, value in values.items():
            self.problems += self._read(name, value, prefix)
        self.problems += self._compare(prefix)

    @property
    def errors(self) -> list[Problem]:
        """The problems that are more than warnings."""
        return [problem for problem in self.problems if problem.kind != CONNECTIONS]

    def refusals(self) -> list[Problem]:
        """What ``client()`` would refuse now: of these settings, and of boto3's own.

        Only what it refuses for every service. Which ones will be used is not known here.
        """
        imports = importing().stretch()
        try:
            imports.begin()
            from .._aws.refusals import check
        finally:
            imports.over = True

        sends = self.backend != "console" and _process.sends_to_aws(_process.factory())
        said: list[Problem] = []
        for service in names():
            try:
                check(service, None, self.client, needs_region=sends)
            except Exception as error:  # noqa: BLE001 - whatever boto3 says
                said.append(self._refusal(error))
            else:
                return []
        return said[:1]

    def _refusal(self, error: Exception) -> Problem:
        name, text = type(error).__name__, told(error).rstrip(".")
        missing = name == "NoRegionError"
        return Problem(
            REGION if missing else REFUSED,
            f"{self._prefix}{CLIENT}: {name}: {text}.",
            f"Set region_name in {CLIENT}, AWS_DEFAULT_REGION, or region in ~/.aws/config."
            if missing
            else "boto3.client() refuses it too: correct the setting, or the environment.",
        )

    def _read(self, name: Any, value: Any, prefix: str) -> Iterator[Problem]:
        if name == CLIENT:
            yield from self._read_client(value, prefix)
        elif name == BACKEND:
            if value in BACKENDS:
                self.backend = value
            else:
                text = f"{prefix}{BACKEND} must be one of {', '.join(map(repr, BACKENDS))}."
                yield Problem(VALUE, text, "Correct or remove the setting.")
        elif name == HEALTH:
            yield from self._read_health(value, prefix)
        elif name not in OPTIONS:
            close = difflib.get_close_matches(str(name).upper(), NAMES, n=1)
            meant = f"Did you mean {prefix}{close[0]}? " if close else ""
            known = ", ".join(NAMES)
            yield Problem(
                UNKNOWN,
                f"{prefix}{name} is not a known setting.",
                f"{meant}The names are {known}, each after {prefix!r}." if prefix else meant,
            )
        else:
            yield from self._read_option(name, value, prefix)

    def _read_option(self, name: str, value: Any, prefix: str) -> Iterator[Problem]:
        try:
            if name == "HOOKS":
                value = _loaded(value)
            elif name == "SPOOL":
                value = _spool(value)
            check_options(Options(), {OPTIONS[name]: value})
        except (TypeError, ValueError) as error:
            yield Problem(VALUE, f"{prefix}{name}: {error}.", "Correct or remove the setting.")
        except ImportError as error:
            yield Problem(
                HOOK,
                f"{prefix}{name}: {error}.",
                "Each hook is an object, or the dotted path of one or of its class.",
            )
        else:
            self.options[OPTIONS[name]] = value

    def _read_health(self, value: Any, prefix: str) -> Iterator[Problem]:
        try:
            self.health = limits(value)
        except (TypeError, ValueError) as error:
            text = f"{prefix}{HEALTH}: {error}."
            yield Problem(VALUE, text, 'For example {"share": 0.5, "minimum": 5, "window": 60}.')

    def _read_client(self, value: Any, prefix: str) -> Iterator[Problem]:
        if not isinstance(value, Mapping):
            kind = type(value).__name__
            yield Problem(
                VALUE,
                f"{prefix}{CLIENT} must be a dict of boto3.client's arguments, not {kind}.",
                'For example {"region_name": "eu-west-1"}.',
            )
            return
        for name in value:
            if name not in KNOWN:
                yield Problem(
                    UNKNOWN,
                    f"{prefix}{CLIENT} has the unknown argument {name!r}.",
                    f"boto3.client takes {', '.join(sorted(KNOWN))}.",
                )
            else:
                self.client[name] = value[name]

    def _compare(self, prefix: str) -> Iterator[Problem]:
        given = getattr(self.client.get("config"), "_user_provided_options", {})
        connections = given.get("max_pool_connections")
        workers = self.options.get("max_workers", Options().max_workers)
        if isinstance(connections, int) and connections < workers:
            yield Problem(
                CONNECTIONS,
                f"{prefix}{CLIENT}: max_pool_connections={connections} is below"
                f" max_workers={workers}, and will be raised to it.",
                "Set it to max_workers at least, or leave it out: bursts would open and drop"
                " connections.",
            )


class Backends:
    """Where the messages of one framework's publishers go: to AWS, or where ``BACKEND`` says."""

    def __init__(self) -> None:
        self._guard: Any = None

    def apply(self, publisher: Publisher, backend: str) -> None:
        """Set up one publisher; what it had before is undone.

        One that a test captures stays captured until that is over.
        """
        if backend == "console":
            from ..testing import console

            console().put_on(publisher)
            return
        publisher._run_on(None)
        if backend == "local" and self._guard is None:
            from ..testing import local_only

            self._guard = local_only().start()

    def reset(self) -> None:
        """Undo it before the settings are read again: other machines may be reached."""
        if self._guard is not None:
            self._guard.stop()
            self._guard = None


def _loaded(hooks: Any) -> Any:
    """The hooks themselves, where dotted paths or classes stand for them."""
    if not isinstance(hooks, (list, tuple)):
        return hooks  # the option's own check says what is wrong with it
    found = [_imported(hook) if isinstance(hook, str) else hook for hook in hooks]
    return [hook() if isinstance(hook, type) else hook for hook in found]


def _spool(value: Any) -> Any:
    """The spool itself, where its directory or a dict of its arguments stands for it."""
    if isinstance(value, (str, os.PathLike)):
        return Spool(value)
    if not isinstance(value, Mapping):
        return value  # the option's own check says what is wrong with it
    known = [each.name for each in fields(Spool)]
    for name in value:
        if name not in known:
            raise TypeError(f"unknown argument {name!r}; those of Spool are {', '.join(known)}")
    if "directory" not in value:
        raise TypeError("the argument directory is missing")
    return Spool(**value)


def _imported(path: str) -> Any:
    module, _, name = path.rpartition(".")
    if not module:
        raise ImportError(f"{path!r} is not a dotted path")
    try:
        return getattr(importlib.import_module(module), name)
    except AttributeError as error:
        raise ImportError(f"module {module!r} has no {name!r}") from error


def server_problems() -> list[Problem]:
    """Flags of the server that this process runs in which stop threads, or cut off their end."""
    try:
        import uwsgi  # type: ignore[import-not-found,import-untyped,unused-ignore]  # there inside it only
    except ImportError:
        return []
    flags = {key.decode() if isinstance(key, bytes) else key: uwsgi.opt[key] for key in uwsgi.opt}
    problems = []
    threads = flags.get("threads", b"1")
    if "enable-threads" not in flags and threads in (b"1", "1", True):
        problems.append(
            Problem(
                "server",
                "uWSGI runs without enable-threads: messages are sent only while a request is"
                " being handled, if at all.",
                "Add enable-threads = true to uWSGI's configuration.",
            )
        )
    if "skip-atexit" in flags:
        problems.append(
            Problem(
                "server",
                "uWSGI runs with skip-atexit: what is not sent when a worker ends is lost.",
                "Remove skip-atexit from uWSGI's configuration.",
            )
        )
    return problems
