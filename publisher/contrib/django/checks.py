"""System checks of ``AWS_PUBLISHER`` and of the server that the process runs in."""

from __future__ import annotations

from typing import Any

from django.core import checks

from .._settings import (
    CONNECTIONS,
    HOOK,
    REFUSED,
    REGION,
    UNKNOWN,
    VALUE,
    Problem,
    server_problems,
)
from ._publishers import publishers

TAG = "aws_publisher"
STARTED = "started"

_IDS = {
    UNKNOWN: "aws_publisher.E001",
    VALUE: "aws_publisher.E002",
    HOOK: "aws_publisher.E003",
    STARTED: "aws_publisher.E004",
    REFUSED: "aws_publisher.E005",
    REGION: "aws_publisher.E006",
    CONNECTIONS: "aws_publisher.W001",
    "server": "aws_publisher.W002",
}
NO_REGION = _IDS[REGION]
#: What was raised when the process-wide publisher was set up.
at_ready: list[Problem] = []


@checks.register(TAG)
def check_settings(**_: Any) -> list[checks.CheckMessage]:
    """Every problem, each with a hint."""
    found = [*publishers.problems(), *publishers.refusals(), *at_ready, *server_problems()]
    return [_message(problem) for problem in found]


def _message(problem: Problem) -> checks.CheckMessage:
    number = _IDS[problem.kind]
    kind = checks.Error if ".E" in number else checks.Warning
    return kind(problem.text, hint=problem.hint, id=number)
