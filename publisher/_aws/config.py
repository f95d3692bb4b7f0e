"""The botocore ``Config`` of the boto3 clients that this package makes."""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Mapping
from typing import Any

import botocore.config

from .._frames import outside

#: What a part of a user agent may not hold; as botocore replaces it.
_NO_TOKEN = re.compile(r"[^!#$%&'*+\-.^_`|~0-9A-Za-z]")


def config_of(user: Any, maker: Any, defaults: Mapping[str, Any], max_workers: int) -> Any:
    """The config of a client.

    Args:
        user: the caller's own, or None; it wins, but for what :func:`overridden` says.
        maker: the session that makes the client.
        defaults: options that the user's own may override.
        max_workers: threads that will use the client at once.
    """
    # Arguments are checked at the call; a user agent that is made once saves a tenth of a small
    # request.
    config = botocore.config.Config(
        parameter_validation=False,
        user_agent=_user_agent(_app_id(user, maker)),
        **defaults,
    )
    if user is not None:
        config = config.merge(user)
    return config.merge(botocore.config.Config(**overridden(config, max_workers)))


def overridden(config: Any, max_workers: int) -> dict[str, Any]:
    """The botocore options that are set whatever the user's ``Config`` says."""
    needed: dict[str, Any] = {"retries": {"total_max_attempts": 1}}
    # Where some hang, up to twice max_workers requests may be under way; see _engine/scheduler.py.
    if config.max_pool_connections < 2 * max_workers:
        needed["max_pool_connections"] = 2 * max_workers
    return needed


def check_config(user: Any, max_workers: int) -> None:
    """Warn once, in the caller, of what a user's ``Config`` asks for and does not get."""
    given = getattr(user, "_user_provided_options", {})
    retries = given.get("retries") or {}
    if any(retries.get(name, 1) != 1 for name in ("max_attempts", "total_max_attempts")):
        warnings.warn(
            "config= has retries of its own: botocore's are switched off (total_max_attempts=1),"
            " because this package retries only what failed; use retry= instead",
            stacklevel=outside(),
        )
    if retries.get("mode") == "adaptive":
        warnings.warn(
            "config= has retries of the mode adaptive: botocore's are switched off, and its rate"
            " limit with them; use retry= and max_workers= instead",
            stacklevel=outside(),
        )
    connections = given.get("max_pool_connections")
    if connections is not None and connections < max_workers:
        warnings.warn(
            f"config= has max_pool_connections={connections}: raised to max_workers={max_workers},"
            " or bursts would open and drop connections",
            stacklevel=outside(),
        )


def _user_agent(app_id: str) -> str:
    """What botocore would say of this process, and this package.

    Where a user agent is given, botocore leaves out the last two.
    """
    import boto3

    from .._version import __version__

    python = ".".join(map(str, sys.version_info[:3]))
    parts = [
        f"Boto3/{boto3.__version__} Botocore/{botocore.__version__} Python/{python}",
        f"boto3-publisher/{__version__}",
    ]
    if host := os.environ.get("AWS_EXECUTION_ENV"):
        parts.append(f"exec-env/{_NO_TOKEN.sub('-', host)}")
    if app_id:
        parts.append(f"app/{_NO_TOKEN.sub('-', app_id)}")
    return " ".join(parts)


def _app_id(user: Any, maker: Any) -> str:
    """The application's id: of the user's ``Config``, the environment or a configuration file."""
    if given := getattr(user, "user_agent_appid", None):
        return str(given)
    session: Any = getattr(maker, "_session", None)
    try:
        return str(session.get_config_variable("user_agent_appid") or "")
    except Exception:  # noqa: BLE001 - an old botocore, or no session of boto3's
        return ""
