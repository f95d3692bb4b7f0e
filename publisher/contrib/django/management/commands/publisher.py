"""manage.py publisher check | stats | send."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from publisher.contrib import _commands
from publisher.contrib.django._publishers import DEFAULT, client, publishers
from publisher.contrib.django.checks import TAG
from publisher.services import by_option, flag


class Command(BaseCommand):
    """Looks at publishers and tries them."""

    help = "Check the settings and destinations of AWS_PUBLISHER, see the account, send a message."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the three subcommands."""
        actions = parser.add_subparsers(dest="action", required=True)
        check = actions.add_parser("check", help="settings and destinations; sends nothing")
        for name, service in by_option().items():
            check.add_argument(flag(name), action="append", default=[], help=service.option_help)
        stats = actions.add_parser("stats", help="the account of a running server")
        stats.add_argument("url", nargs="?", help="of its health view; default: this process's own")
        send = actions.add_parser("send", help="send one message and wait until it is stored")
        send.add_argument("message")
        for name, service in by_option().items():
            send.add_argument(flag(name), help=service.option_help)
        send.add_argument("--key", default="test", help="the message's key, where it has one")
        for each in (check, send):
            each.add_argument("--using", default=DEFAULT, help="alias in AWS_PUBLISHER")
            each.add_argument("--timeout", type=float, default=10.0, help="seconds to wait")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        """Run one of them.

        Raises:
            CommandError: what is wrong.
        """
        try:
            getattr(self, f"_{action}")(**options)
        except (_commands.CommandFailedError, ImproperlyConfigured) as error:
            raise CommandError(str(error)) from error

    def _check(self, *, using: str, timeout: float, **destinations: Any) -> None:
        call_command("check", "--tag", TAG, stdout=self.stdout, stderr=self.stderr)
        make = partial(client, using=using)
        for line in _commands.check(make, destinations, timeout):
            self.stdout.write(line)

    def _stats(self, *, url: str | None, **_: Any) -> None:
        if url is not None:
            for line in _commands.fetched(url):
                self.stdout.write(line)
        else:
            for alias in publishers:
                self.stdout.write(f"{alias}: {publishers[alias].stats()}")

    def _send(
        self, *, message: str, key: str, using: str, timeout: float, **destinations: Any
    ) -> None:
        make = partial(client, using=using)
        line = _commands.send(
            make, destinations=destinations, text=message, key=key, timeout=timeout
        )
        self.stdout.write(line)
