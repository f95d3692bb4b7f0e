"""Flask: an extension that gives each application a publisher of its own.

::

    publisher = FlaskPublisher()
    publisher.init_app(app)  # reads PUBLISHER_*, starts nothing, raises for settings that are wrong

    @app.post("/orders")
    def order():
        publisher.client("sns").publish(TopicArn=ARN, Message="paid")
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import click
from flask import Flask, Response, current_app, jsonify
from flask.cli import AppGroup

from .._client import Client
from .._publisher import Publisher
from ..services import by_option, flag
from ..types._clients import makes_clients
from . import _commands, _health
from ._settings import NAMES, REGION, VALUE, Backends, Problem, Settings, server_problems

logger = logging.getLogger("publisher")

_PREFIX = "PUBLISHER_"
_EXTENSION = "publisher"
_backends = Backends()


class FlaskPublisher:
    """The extension; one object may serve several applications.

    The settings are the options of :func:`publisher.configure` in upper case after ``PUBLISHER_``
    (``PUBLISHER_MAX_WORKERS``), and ``PUBLISHER_CLIENT``, a dict of ``boto3.client``'s arguments.
    Nothing is closed when an application context ends: the exit of the process delivers the rest.

    Args:
        app: the same as calling :meth:`init_app` with it.
    """

    def __init__(self, app: Flask | None = None) -> None:
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Read the settings of ``app``, give it a publisher and the command ``flask publisher``.

        Raises:
            ValueError: a setting is unknown, its value not allowed or refused by boto3; the text
                has all of them.
            RuntimeError: it was called for this application before.
        """
        if _EXTENSION in app.extensions:
            raise RuntimeError("this application has a publisher already: call init_app() once")
        values = {
            name.removeprefix(_PREFIX): value
            for name, value in app.config.items()
            if name.startswith(_PREFIX)
        }
        settings = Settings(values, _PREFIX)
        refusals = settings.refusals()
        # Without a region of its own an application may still do: its calls may name one.
        wrong = [each for each in refusals if each.kind != REGION]
        wrong = [*_misplaced(app.config), *settings.errors, *wrong]
        if wrong:
            raise ValueError(" ".join(f"{each.text} {each.hint}" for each in wrong))
        for problem in [*settings.problems, *refusals, *server_problems()]:
            logger.warning("%s %s", problem.text, problem.hint)
        made = Publisher(**settings.options)
        _backends.apply(made, settings.backend)
        app.extensions[_EXTENSION] = (made, settings)
        app.cli.add_command(_group)

    @property
    def publisher(self) -> Publisher:
        """The current application's publisher. Raises RuntimeError outside of its context."""
        return _current()[0]

    @makes_clients
    def client(self, service_name: Any, region_name: str | None = None, **kwargs: Any) -> Client:
        """A client of the current application's publisher; the same object for equal arguments.

        Args:
            service_name: as in :func:`publisher.client`.
            region_name: as in :func:`publisher.client`.
            **kwargs: as in :func:`publisher.client`; they win over ``PUBLISHER_CLIENT``.

        Raises:
            RuntimeError: outside of an application context.
        """
        if region_name is not None:
            kwargs["region_name"] = region_name
        return _client(service_name, **kwargs)

    def health(self) -> tuple[Response, int]:
        """A view: the account as JSON, and 503 where messages do not get through."""
        found, settings = _current()
        report = _health.report(found, settings.health)
        return jsonify({"default": report}), 200 if report["healthy"] else 503


def _misplaced(config: Mapping[str, Any]) -> Iterator[Problem]:
    """Options in a dict of their own, as Django has them: nobody would read it."""
    for name in ("PUBLISHER", "AWS_PUBLISHER"):
        given = config.get(name)
        if not isinstance(given, Mapping):  # an application may mean something else by it
            continue
        within = [given, *(each for each in given.values() if isinstance(each, Mapping))]
        found = [str(key) for each in within for key in each if str(key).upper() in NAMES]
        if found:
            yield Problem(
                VALUE,
                f"{name} is a dict with {found[0]}, which is not read.",
                f"In Flask each option is a setting of its own: {_PREFIX}{found[0].upper()} = ...",
            )


def _current() -> tuple[Publisher, Settings]:
    try:
        found = current_app.extensions[_EXTENSION]
    except KeyError:
        raise RuntimeError("this application has no publisher: call init_app(app)") from None
    return cast("tuple[Publisher, Settings]", found)


def _client(service_name: Any, **kwargs: Any) -> Client:
    publisher, settings = _current()
    if "client" not in kwargs:  # a ready client is used as it is
        kwargs = {**settings.client, **kwargs}
    made: Client = publisher.client(service_name, **kwargs)
    return made


# -- flask publisher

_group = AppGroup("publisher", help="Look at and try this application's publisher.")
_timeout = click.option("--timeout", default=10.0, show_default=True, help="Seconds to wait.")


def _destinations(*, multiple: bool) -> Callable[[Any], Any]:
    """An option for each service's destinations."""

    def add(command: Any) -> Any:
        for name, service in reversed(by_option().items()):
            help_ = f"{service.option_help}."
            command = click.option(flag(name), multiple=multiple, help=help_)(command)
        return command

    return add


def _close(timeout: float) -> None:
    # The command may have failed because it is no number of seconds.
    _current()[0].close(max(0, timeout))


@_group.command("check")
@_destinations(multiple=True)
@_timeout
def _check(timeout: float, **destinations: tuple[str, ...]) -> None:
    """Ask AWS for destinations, without sending anything."""
    for problem in _current()[1].refusals():
        raise click.ClickException(f"{problem.text} {problem.hint}")
    click.echo("settings: ok")  # or init_app had raised
    try:
        for line in _commands.check(_client, destinations, timeout):
            click.echo(line)
    except _commands.CommandFailedError as error:
        raise click.ClickException(str(error)) from error
    finally:
        _close(timeout)


@_group.command("stats")
@click.argument("url")
def _stats(url: str) -> None:
    """Print the account of a running server, from the URL of its health view."""
    try:
        for line in _commands.fetched(url):
            click.echo(line)
    except _commands.CommandFailedError as error:
        raise click.ClickException(str(error)) from error


@_group.command("send")
@click.argument("message")
@_destinations(multiple=False)
@click.option("--key", default="test", show_default=True, help="The message's key, if it has one.")
@_timeout
def _send(message: str, key: str, timeout: float, **destinations: str | None) -> None:
    """Send one message and wait until it is stored."""
    try:
        click.echo(
            _commands.send(
                _client, destinations=destinations, text=message, key=key, timeout=timeout
            )
        )
    except _commands.CommandFailedError as error:
        raise click.ClickException(str(error)) from error
    finally:
        _close(timeout)
