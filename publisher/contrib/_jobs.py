"""What a job of a data engine is to do: its options, checked on the driver before any task starts.

A :class:`Job` is plain data that goes to every task. Credentials are no part of it: each task finds
its own, as boto3 does everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .. import services
from .._aws.secrets import told
from .._engine.contract import Service
from .._options import Options, check_options
from .._publisher import Publisher
from .._text import masked
from ..errors import InvalidMessage
from ._columns import OptionError, names, option_of, parameters
from ._job import Job, kind_of

#: Arguments of ``client()`` that a job may have. Credentials are left out on purpose.
CLIENT = ("region_name", "endpoint_url", "use_ssl", "verify", "api_version")
#: Options of the publisher of each task.
PUBLISHER = (
    "max_workers",
    "max_messages",
    "max_bytes",
    "linger",
    "delivery_timeout",
    "connect_timeout",
    "read_timeout",
)
OWN = ("service", "max_rate", "tasks", "dead_letters")
SECRETS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
#: Nobody waits for a message of a job, and a throttled stream may take its time: longer than the
#: default of 120 s.
DELIVERY_TIMEOUT = 300.0


def job_of(options: Mapping[str, Any]) -> Job:
    """What ``options`` ask for; their values may be text, as Spark's are.

    Raises:
        OptionError: one of them cannot be, or is missing.
    """
    left = dict(options)
    for name in SECRETS:
        if name in left:
            raise OptionError(
                name,
                "credentials are not shipped with a job; let each executor find its own, by a"
                " role, its environment or a profile",
            )
    service = _service(left)
    destination = _destination(left, service)
    client = _client(left, service, service.address(destination))
    job = Job(
        service=service.name,
        destination=destination,
        client=client,
        publisher=_publisher(left),
        max_rate=_positive(left, "max_rate"),
        tasks=None if (tasks := _positive(left, "tasks", whole=True)) is None else int(tasks),
        dead_letters=_text(left, "dead_letters"),
        given=_given(left, service, destination),
    )
    if left:
        raise _unknown(next(iter(left)), service, destination)
    return job


# -- one option after the other; each takes from ``left`` what is its own


def _service(left: dict[str, Any]) -> Service:
    known = ", ".join(services.names())
    name = _text(left, "service")
    if name is None:
        raise OptionError("service", f"it is needed; one of {known}")
    if name not in services.names():
        raise OptionError("service", f"{name!r} is none of {known}")
    return services.load(name)


def _destination(left: dict[str, Any], service: Service) -> dict[str, str]:
    option = service.option
    for other in services.by_option():
        if other != option and other in left:
            raise OptionError(other, f"service {service.name} sends to a {kind_of(service)}")
    name = _text(left, option)
    if name is None:
        raise OptionError(option, f"it is needed: {service.option_help}")
    try:
        destination = service.named(name)
        service.check_address(service.address(destination))
    except InvalidMessage as error:
        raise OptionError(option, _report(error)) from None
    return destination


def _client(left: dict[str, Any], service: Service, address: Any) -> dict[str, Any]:
    given = {each: left.pop(each) for each in CLIENT if each in left}
    for flag in ("use_ssl", "verify"):
        if str(given.get(flag, "")).lower() in ("true", "false"):
            given[flag] = str(given[flag]).lower() == "true"
    # A region of the executors' own is not known here; any will do to check the others with.
    for each, value in given.items():
        service_name: Any = service.name
        try:
            with Publisher() as checking:
                checking.client(service_name, **{"region_name": "us-east-1", each: value})
        except Exception as error:  # noqa: BLE001 - boto3's own, of several kinds
            raise OptionError(each, masked(told(error))) from None
    if region := service.home(address)[0]:
        given.setdefault("region_name", region)
    return given


def _publisher(left: dict[str, Any]) -> dict[str, Any]:
    given: dict[str, Any] = {"delivery_timeout": DELIVERY_TIMEOUT}
    for name in PUBLISHER:
        if name in left:
            value = _number(left, name)
            try:
                check_options(Options(), {name: value})
            except (TypeError, ValueError) as error:
                raise OptionError(name, str(error)) from None
            given[name] = value
    return given


def _given(
    left: dict[str, Any], service: Service, destination: Mapping[str, str]
) -> dict[str, str]:
    found: dict[str, str] = {}
    for parameter in ("", *parameters(service, destination)):
        spellings = names(parameter) if parameter else ("data", "message")
        for option in (each + end for each in spellings for end in ("", "_column")):
            if option not in left:
                continue
            if parameter in found:
                raise OptionError(option, f"column {found[parameter]!r} was named for the same")
            column = _text(left, option)
            assert column is not None
            found[parameter] = column
    return found


def _unknown(name: str, service: Service, destination: Mapping[str, str]) -> OptionError:
    for each in map(services.load, services.names()):
        if name.removesuffix("_column") in (
            short for parameter in each.words[each.single][1] for short in names(parameter)
        ):
            return OptionError(name, f"a {kind_of(service)} of {service.name} takes no such column")
    columns = [option_of(each) for each in parameters(service, destination)]
    known = [*OWN, service.option, "data", *columns, *CLIENT, *PUBLISHER]
    return OptionError(name, f"it is unknown; there are {', '.join(known)}")


def _text(left: dict[str, Any], name: str) -> str | None:
    value = left.pop(name, None)
    if value is None or (isinstance(value, str) and value):
        return None if value is None else str(value)
    raise OptionError(name, f"it must be a text that is not empty, not {type(value).__name__}")


def _number(left: dict[str, Any], name: str) -> Any:
    value = left.pop(name)
    if not isinstance(value, str):
        return value
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    raise OptionError(name, "it must be a number")


def _positive(left: dict[str, Any], name: str, *, whole: bool = False) -> float | None:
    if name not in left:
        return None
    value = _number(left, name)
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        raise OptionError(name, f"it must be a {'whole ' * whole}number above 0")
    if not 0 < value < math.inf:
        raise OptionError(name, f"it must be a {'whole ' * whole}number above 0, not {value}")
    return float(value)


def _report(error: InvalidMessage) -> str:
    return str(error.kwargs["report"])
