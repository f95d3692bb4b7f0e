"""A check for django-health-check 4: ``"publisher.contrib.django.health_check.AwsPublisher"``."""

from __future__ import annotations

import dataclasses

from health_check.base import HealthCheck  # type: ignore[import-untyped]
from health_check.exceptions import ServiceUnavailable  # type: ignore[import-untyped]

from .. import _health
from ._publishers import DEFAULT, publishers


@dataclasses.dataclass
class AwsPublisher(HealthCheck):  # type: ignore[misc]
    """Messages get through: there is room, none has waited too long, few were lost of late.

    Args:
        using: an alias in ``AWS_PUBLISHER``.
    """

    using: str = DEFAULT

    async def run(self) -> None:
        """Look at this process's account; no request is made.

        Raises:
            ServiceUnavailable: with what is wrong.
        """
        found, read = publishers[self.using], publishers.settings()[self.using]
        if problems := _health.problems(found, read.health):
            raise ServiceUnavailable("; ".join(problems))
