"""The application: reads the settings, starts nothing."""

from __future__ import annotations

import logging
import sys
from typing import Any

from django.apps import AppConfig
from django.core.checks import Error
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from .._settings import Problem
from . import checks
from ._publishers import SETTING, publishers

logger = logging.getLogger("publisher")


class AwsPublisherConfig(AppConfig):
    """Its label leaves ``publisher`` free for an application of the user's own."""

    name = "publisher.contrib.django"
    label = "aws_publisher"
    verbose_name = "AWS publisher"

    def ready(self) -> None:
        """Hand the settings over. No thread, client or socket is made before the first message.

        Raises:
            ImproperlyConfigured: the settings are wrong and no system check will say so, because
                the process is not one of ``manage.py``'s.
        """
        setting_changed.connect(_reset, dispatch_uid=f"{self.label}.reset")
        try:
            publishers.configure()
        except RuntimeError:
            checks.at_ready[:] = [
                Problem(
                    checks.STARTED,
                    f"A message was published before Django was set up: {SETTING} has no effect.",
                    "Publish in views, tasks and commands, never at import.",
                )
            ]
        if _system_checks_follow():
            return
        messages = checks.check_settings()
        # A process without a region may still work: its calls may name one.
        wrong = [
            f"{each.msg} {each.hint}"
            for each in messages
            if isinstance(each, Error) and each.id != checks.NO_REGION
        ]
        if wrong:
            raise ImproperlyConfigured(" ".join(wrong))
        for message in messages:
            logger.warning("%s %s", message.msg, message.hint)


def _system_checks_follow() -> bool:
    """Whether this is a process of ``manage.py``: its commands run checks, servers do not."""
    management: Any = sys.modules.get("django.core.management")
    if management is None:
        return False
    execute = management.ManagementUtility.execute.__code__
    frame: Any = sys._getframe()
    while frame is not None and frame.f_code is not execute:
        frame = frame.f_back
    return frame is not None


def _reset(*, setting: str, **_: Any) -> None:
    if setting == SETTING:
        publishers.reset()
