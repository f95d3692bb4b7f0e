"""A job of a data engine: plain data, which goes to every task."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .. import services
from .._engine.contract import Service


@dataclass(frozen=True)
class Job:
    """Where the rows of a job go, and how.

    Attributes:
        service: of the destination.
        destination: boto3's parameters that name it.
        given: boto3's parameter -> the column that an option names for it; "" is the body.
        body: the body's column.
        columns: boto3's parameter -> the column that it is taken from.
        client: arguments of ``client()``.
        publisher: options of the publisher of each task.
        max_rate: rows a second of the whole job.
        tasks: how many of them write at once.
        dead_letters: the folder that lost rows are written to.
        run: a name of this run.
    """

    service: str
    destination: Mapping[str, str]
    given: Mapping[str, str]
    client: Mapping[str, Any]
    publisher: Mapping[str, Any]
    max_rate: float | None = None
    tasks: int | None = None
    dead_letters: str | None = None
    body: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    run: str = field(default_factory=lambda: uuid.uuid4().hex[:12])

    def share(self, tasks: float) -> float | None:
        """Rows a second of each task; ``tasks`` of them are taken to write at once.

        An option says it better. None: there is no bound.
        """
        return None if self.max_rate is None else self.max_rate / (self.tasks or max(1.0, tasks))

    @property
    def name(self) -> str:
        """The service and its destination, for people."""
        service = services.load(self.service)
        return (
            f"{self.service} {kind_of(service)} {service.label(service.address(self.destination))}"
        )


def kind_of(service: Service) -> str:
    """What its destinations are, for people."""
    return service.option.replace("_", " ")
