"""How far a request got before it failed, read from the traceback of its error.

Whether a service may have stored what a try carried decides what its owner is told, and botocore's
classes alone do not say: the same ``SSLError`` comes of a handshake and of an answer that broke
off, and whatever an event handler, a mock or a test's guard raises comes as an ``HTTPClientError``.
The frames that an exception came through know. They are looked at only when a request fails.
"""

from __future__ import annotations

import enum
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import Any

from botocore.exceptions import BotoCoreError


class Stage(enum.IntEnum):
    """How far a request got, as far as the frames prove it."""

    UNKNOWN = 0  # nothing is proved
    CREDENTIALS = 1  # while credentials were fetched; there may have been requests for those
    SESSION = 2  # it was about the address or the HTTP session; whether it went on is not seen
    CONNECTING = 3  # while a connection was made: nothing of the request has left
    SENT = 4  # on an open connection: bytes may have left
    ANSWERED = 5  # an answer was there


@dataclass(frozen=True)
class Reached:
    """What is known of a request that failed.

    Attributes:
        stage: how far it got.
        status: the HTTP status of its answer; 0 where there was none.
        headers: of its answer, in lower case.
        unreadable: its answer could not be parsed.
        building: the error arose in botocore's or this package's own code, before the request was
            handed to the HTTP session: the entries are to blame, or a fault in that code.
    """

    stage: Stage = Stage.UNKNOWN
    status: int = 0
    unreadable: bool = False
    building: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def never_left(self) -> bool:
        """Whether it is proved that nothing of the request left this process."""
        return self.stage in (Stage.CREDENTIALS, Stage.CONNECTING) or self.building

    @property
    def left(self) -> bool:
        """Whether bytes of the request may have left this process."""
        return self.stage >= Stage.SENT


NOWHERE = Reached()
_MAX_HEADER = 1_000  # characters

#: Events that botocore emits once an answer, or none, has come.
_AFTERWARDS = ("before-parse", "response-received", "needs-retry", "after-call")
_CREDENTIALS = ("botocore.credentials", "botocore.tokens")
#: Functions of urllib3, and of http.client below it, in which a connection is made or headers are
#: put together.
_CONNECTING = frozenset(
    {"_new_conn", "_prepare_proxy", "_validate_conn", "connect", "putheader", "putrequest"}
)
#: Functions of urllib.parse that take an address apart.
_OF_ADDRESSES = ("port", "_hostinfo", "urlsplit")
#: The direct way: its reader has an answer, and who exchanges has an open connection.
_READING, _SENDING = "publisher._aws.direct.reading", "publisher._aws.direct.sending"
_EXCHANGE = "exchange"
_OURS = ("botocore.", "publisher.")
_LIBRARIES = frozenset({"boto3", "botocore", "dateutil", "jmespath", "publisher", "urllib3"})


def reached(error: BaseException) -> Reached:
    """How far the request that met ``error`` got.

    Args:
        error: as it was caught, with its traceback.
    """
    found = _follow(error.__traceback__)
    if not Stage.SESSION <= found.stage <= Stage.SENT:
        return found
    # botocore and urllib3 wrap what they catch: the inner errors went further.
    for inner in inner_errors(error):
        deeper = _follow(inner.__traceback__)
        if deeper.stage is Stage.CONNECTING:
            return deeper
        if deeper.stage > found.stage:
            found = deeper
    return found


def inner_errors(error: BaseException) -> Iterator[BaseException]:
    """The exceptions within an exception: what botocore, urllib3 and Python caught before."""
    seen = {id(error)}
    left: list[object] = [error]
    while left:
        one = left.pop()
        if not isinstance(one, BaseException):
            continue
        if id(one) not in seen:
            seen.add(id(one))
            yield one
        kept = one.kwargs.get("error") if isinstance(one, BotoCoreError) else None
        left += [each for each in (kept, one.__cause__, one.__context__) if id(each) not in seen]


def _follow(trace: TracebackType | None) -> Reached:
    stage, unreadable, foreign, depth = Stage.UNKNOWN, False, False, 0
    answer: Mapping[str, Any] = {}
    while trace is not None:
        frame, trace = trace.tb_frame, trace.tb_next
        module = str(frame.f_globals.get("__name__", ""))
        if module in _CREDENTIALS:
            return Reached(Stage.CREDENTIALS)
        if module == "botocore.retryhandler":  # it raises again what was caught before
            stage = Stage.UNKNOWN
        here = _stage(module, frame)
        if here is Stage.CONNECTING:
            return Reached(here)
        stage = max(stage, here)
        answer = answer or _answer(module, frame)
        unreadable = unreadable or module == "botocore.parsers"
        # A wrapper that calls on botocore is not where it arose.
        foreign = (foreign or _is_foreign(module)) and not module.startswith(_OURS)
        depth += 1
    # One frame is the caller's own, which caught it.
    building = depth > 1 and stage is Stage.UNKNOWN and not foreign
    status = answer.get("status_code", 0)
    headers = {
        str(name).lower(): str(value)[:_MAX_HEADER]
        for name, value in dict(answer.get("headers") or {}).items()
    }
    return Reached(stage, status, unreadable, building, headers)


def _stage(module: str, frame: FrameType) -> Stage:
    name = frame.f_code.co_name
    if module == "botocore.hooks" and name == "_emit":
        event = str(frame.f_locals.get("event_name", ""))
        return Stage.ANSWERED if event.startswith(_AFTERWARDS) else Stage.UNKNOWN
    if module == "botocore.parsers" or _answer(module, frame) or module == _READING:
        return Stage.ANSWERED
    if module == "botocore.httpsession":
        return Stage.SESSION
    if module == "urllib.parse" and name in _OF_ADDRESSES:
        return Stage.SESSION
    if module.startswith(("urllib3.", _SENDING)) or module == "http.client":
        return _transport_stage(module, name, frame)
    return Stage.UNKNOWN


def _transport_stage(module: str, name: str, frame: FrameType) -> Stage:
    if name in _CONNECTING:
        return Stage.CONNECTING
    if name == "_make_request":
        # Of a stand-in for a connection (VCR's) it is not known whether it sent anything; where it
        # did, there are frames of a real one below.
        home = type(frame.f_locals.get("conn")).__module__
        return Stage.SENT if home.startswith(("urllib3.", "botocore.")) else Stage.SESSION
    if module in ("urllib3.connection", "urllib3.response", "http.client") or name == _EXCHANGE:
        return Stage.SENT
    return Stage.SESSION


def _answer(module: str, frame: FrameType) -> Mapping[str, Any]:
    """The dict that botocore has of an answer, where it has got so far."""
    if module != "botocore.endpoint" or frame.f_code.co_name != "_do_get_response":
        return {}
    answer = frame.f_locals.get("response_dict")
    known = isinstance(answer, dict) and isinstance(answer.get("status_code"), int)
    return answer if known and answer is not None else {}


def _is_foreign(module: str) -> bool:
    root = module.partition(".")[0]
    return root == "unittest" or not (root in _LIBRARIES or root in sys.stdlib_module_names)
