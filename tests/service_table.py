"""Writes docs/services.md: what the registry says of each service, in two tables.

python -m tests.service_table
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from publisher import services
from publisher._aws.targets import api_name
from publisher._engine.contract import Service

PATH = Path(__file__).parent.parent / "docs" / "services.md"
HEAD = """\
# The services

What `publisher.client(name)` sends in batches. Every other operation of the boto3 client goes out
as it is, one request for each call. Sizes are bytes as the service counts them: a message between
the two limits goes alone, and the service decides; one over the highest raises at the call.
`linger` is the default, in seconds.

"""
MIDDLE = """
## Permissions and commands

Where the role lacks the permission of the batch operation but has that of the single one, messages
go one by one, with one warning. The option names a destination for `send`, `doctor` and the
commands of the frameworks.

"""
TAIL = """
This page is generated: `python -m tests.service_table` writes it, and a test compares.
"""


def render() -> str:
    """The whole page."""
    return HEAD + _batches() + MIDDLE + _permissions() + TAIL


def _batches() -> str:
    rows = []
    lingers = services.default_linger()
    for service in _services():
        limits = service.limits
        source = f"[AWS]({service.max_message_source})"
        rows.append(
            (
                f"`{service.name}`",
                f"`{service.single}`",
                f"`{api_name(service.batch)}`",
                f"{limits.entries:,}",
                f"{limits.bytes:,}",
                f"{service.max_message:,} ({source})",
                f"{lingers[service.name]:g}",
            )
        )
    names = ("client", "call", "travels in", "messages", "bytes", "one message", "linger")
    return _table(names, rows)


def _permissions() -> str:
    rows = [
        (
            f"`{service.name}`",
            f"`{service.permission}`",
            f"`{service.single_permission}`",
            f"`{services.flag(service.option)}`: {service.option_help}",
        )
        for service in _services()
    ]
    return _table(("client", "batch", "single", "option"), rows)


def _services() -> Iterable[Service]:
    return map(services.load, services.names())


def _table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [names, ["---"] * len(names), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    PATH.write_text(render())


if __name__ == "__main__":
    main()
