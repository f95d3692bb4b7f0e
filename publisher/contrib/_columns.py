"""The columns of a job's rows: which of them is which of boto3's parameters.

Nothing here knows a service: its own words for ``help()`` say which parameters it has, and its
check of a message says which of them travel in batches.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from .. import services
from .._engine.contract import Service
from ..errors import InvalidMessage

if TYPE_CHECKING:
    from ._job import Job

#: The body's column, where no option names it: the first of these that there is.
BODY = ("data", "message", "value")
#: Shorter names of boto3's parameters, beside their own in snake case.
SHORT = {
    "PartitionKey": "key",
    "MessageGroupId": "group",
    "MessageDeduplicationId": "dedup",
    "MessageAttributes": "attributes",
}


class OptionError(ValueError):
    """An option of a job that cannot be; the text names it."""

    def __init__(self, name: str, wrong: str) -> None:
        super().__init__(f"option {name!r}: {wrong}")


def with_columns(job: Job, kinds: Mapping[str, str]) -> Job:
    """The job with its parameters' columns, found among those of ``kinds``.

    Args:
        job: what :func:`job_of` made.
        kinds: column -> "text", "binary", "simple" (has one text), "map", "other", or
            "any" where it is not known yet.

    Raises:
        OptionError: a column that an option names is not there or is of a kind that no parameter
            can be made of, or there is none for a parameter that the destination needs.
    """
    service = services.load(job.service)
    for name, column in job.given.items():
        if column not in kinds:
            there = ", ".join(kinds) or "none"
            raise OptionError(option_of(name), f"there is no column {column!r}; there are {there}")
    columns = {
        name: job.given.get(name) or next((each for each in names(name) if each in kinds), "")
        for name in parameters(service, job.destination)
    }
    columns = {name: column for name, column in columns.items() if column}
    body = job.given.get("") or next((each for each in BODY if each in kinds), "")
    if not body:
        there = ", ".join(kinds) or "none"
        raise OptionError(
            "data", f"which column is the body? None is called {', '.join(BODY)}; there are {there}"
        )
    _check_kind("data", body, kinds[body], ("text", "binary"))
    for name, column in columns.items():
        is_map = name == service.attributes
        usual = ("map",) if is_map else ("text", "simple")
        if is_text(service, name) or is_map:
            _check_kind(option_of(name), column, kinds[column], usual)
    address = service.address(job.destination)
    if service.is_ordered(address) and "MessageGroupId" not in columns:
        raise OptionError(
            "group", f"a FIFO {service.option} needs a column for the message group of each row"
        )
    return replace(job, body=body, columns=columns)


def parameters(service: Service, destination: Mapping[str, str]) -> list[str]:
    """boto3's parameters, beside destination and body, that travel in this service's batches."""
    one, other = service.message("x", "x"), service.message("y", "x")
    fixed = {*destination, *(name for name in one if one[name] != other[name])}
    address = service.address(destination)
    found = list(service.details)
    for name in service.words[service.single][1]:
        if name in fixed:
            continue
        try:
            accepted = service.accept(service.addressed(destination, {**one, name: "x"}))
        except InvalidMessage:  # it is looked at, and is no plain text
            found.append(name)
        else:
            if accepted is not None and accepted[0] == address:
                found.append(name)
    return found


def is_text(service: Service, parameter: str) -> bool:
    """Whether boto3 takes text for ``parameter``."""
    words = service.words[service.single][1]
    return parameter in service.details or words[parameter].startswith("str")


def names(parameter: str) -> tuple[str, ...]:
    """What options and columns for ``parameter`` are called."""
    snake = re.sub(r"(?<!^)(?=[A-Z])", "_", parameter).lower()
    return (SHORT[parameter], snake) if parameter in SHORT else (snake,)


def option_of(parameter: str) -> str:
    """The option for ``parameter``, in errors."""
    return "data" if not parameter else names(parameter)[-1]


def _check_kind(option: str, column: str, kind: str, usual: tuple[str, ...]) -> None:
    if kind not in (*usual, "any"):
        allowed = " or ".join(_KINDS[each] for each in usual)
        raise OptionError(option, f"column {column!r} is {_KINDS[kind]}; it must be {allowed}")


_KINDS = {
    "text": "text",
    "binary": "binary",
    "simple": "a number, a boolean or a time",
    "map": "a map",
    "other": "nested or of another type",
}
