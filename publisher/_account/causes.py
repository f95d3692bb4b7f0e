"""What an error code means to the person on call: a few words each, for the logs and ``doctor``.

The words are ours. The service's own text may quote the message or a phone number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

ACCESS = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "AuthorizationErrorException",
        "NotAuthorized",
        "UnauthorizedOperation",
    }
)
#: The credentials have expired, or AWS does not know them. Others may have been configured since.
STALE = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
    }
)
#: The clocks disagree, or a long time lay between signing and sending.
CLOCK = frozenset({"RequestExpired", "RequestInTheFuture", "RequestTimeTooSkewed"})
#: The secret is wrong, or the clock is: only the text of the answer tells which.
SIGNATURE = frozenset({"InvalidSignatureException", "SignatureDoesNotMatch"})
CREDENTIALS = frozenset(
    {
        *STALE,
        *CLOCK,
        *SIGNATURE,
        "CredentialRetrievalError",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "NoCredentialsError",
        "PartialCredentialsError",
        "StillFetching",
        "TokenRetrievalError",
    }
)
MISSING = frozenset({"NotFound", "NotFoundException", "ResourceNotFoundException"})
#: A later try may pass, whoever the answer blames; see also `is_throttled`.
THROTTLED = frozenset(
    {
        "BandwidthLimitExceeded",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "SlowDown",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
LATE = frozenset({"expired", "DeliveryTimeout"})
SILENT = frozenset({"ReadTimeoutError", "DeliveryTimeout"})
UNREACHABLE = frozenset(
    {
        "ConnectTimeoutError",
        "ConnectionClosedError",
        "ConnectionError",
        "EndpointConnectionError",
        "ProxyConnectionError",
        "SSLError",
    }
)
REFUSED_ARGUMENT = frozenset(
    {"InvalidParameter", "InvalidParameterValue", "ParameterValueInvalid", "ValidationException"}
)

#: Codes that the account always counts under their own names, however many others come.
KNOWN = frozenset().union(
    ACCESS,
    CREDENTIALS,
    MISSING,
    THROTTLED,
    SILENT,
    UNREACHABLE,
    REFUSED_ARGUMENT,
    {
        "InternalFailure",
        "MalformedResponse",
        "ServiceUnavailable",
        "Throttled",
        "Throttling",
        "ThrottlingException",
    },
)


#: What AWS says of a signature, and of a token, that was good at another time.
_OLD_SIGNATURE = re.compile(
    "signature (has )?expired|signature not yet current|request (has )?expired", re.IGNORECASE
)
_OLD_TOKEN = re.compile("token (included in the request )?(is|has) expired", re.IGNORECASE)


@dataclass(frozen=True)
class Scene:
    """What is known about a destination when a cause is looked for.

    Attributes:
        permission: the IAM action that sending there needs; empty if unknown.
        region: of the client; empty while it is not known.
        home: the region that the destination's ARN names; empty where there is none.
        shards: failed tries by shard.
        bounds: of the buffer, as text.
        stood: for how many seconds the process stood still lately.
        own: the service's own codes: what lies behind each, and what to do about it.
    """

    permission: str = ""
    region: str = ""
    home: str = ""
    shards: Mapping[str, int] = field(default_factory=dict)
    bounds: str = ""
    stood: float = 0.0
    own: Mapping[str, tuple[str, str]] = field(default_factory=dict)


_CLOCK = "the clock of this machine is wrong"
_SIMPLE: tuple[tuple[frozenset[str], str], ...] = (
    (CLOCK, f"{_CLOCK}, or the process stood still"),
    (SIGNATURE, f"the secret key is wrong, or {_CLOCK}"),
    (CREDENTIALS, "the credentials are missing, wrong or expired"),
    (frozenset({"NoRegionError"}), "no region is set"),
    (SILENT, "the endpoint accepts requests and does not answer in time"),
    (UNREACHABLE, "the endpoint cannot be reached"),
    (REFUSED_ARGUMENT, "the service refuses an argument: a wrong destination or message"),
    (
        frozenset({"expired"}),
        "waited for its turn until delivery_timeout: too much for what is sent",
    ),
    (frozenset({"closed", "PublisherClosed"}), "closed before everything was delivered"),
    (frozenset({"log_line"}), "a logging handler published what requests log: OutsideRequests()"),
)


def is_throttled(code: str) -> bool:
    """Whether ``code`` says that a service, or its KMS key, takes no more for the moment."""
    return code in THROTTLED or "throttl" in code.lower()


def is_stale(code: str, text: str) -> bool:
    """Whether the credentials have run out or are unknown: others may have been configured."""
    return code in STALE or (code in CREDENTIALS | ACCESS and bool(_OLD_TOKEN.search(text)))


def is_out_of_time(code: str, text: str) -> bool:
    """Whether a signature or token was good at another time: a new one may be good now."""
    if code in CLOCK or (code in STALE and code.startswith("Expired")):
        return True
    old = _OLD_SIGNATURE.search(text) or _OLD_TOKEN.search(text)
    return code in CREDENTIALS | ACCESS and old is not None


def cause(code: str, scene: Scene) -> str:
    """What probably lies behind ``code``, in a few words; empty where only the code can tell."""
    operation, _, rest = code.rpartition(":")
    if operation:
        return _cause_of_another(operation, rest)
    found = _cause_in(code, scene) or _cause_of(code)
    if scene.stood and code in LATE:
        return f"{found}; the process stood still for {scene.stood:.0f} s, which does not count"
    return found


def _cause_in(code: str, scene: Scene) -> str:
    """The cause, where it depends on the destination and not on the code alone."""
    if code in ACCESS:
        return f"the role lacks the permission {scene.permission or 'to send there'}"
    if code in MISSING | REFUSED_ARGUMENT and scene.home and scene.region not in ("", scene.home):
        return f"wrong region: the destination is in {scene.home}, the client in {scene.region}"
    if code in MISSING:
        where = f"in {scene.region}" if scene.region else "there"
        return f"no such destination {where}: wrong region, name or account"
    if code == "buffer_full":
        bounds = f" ({scene.bounds})" if scene.bounds else ""
        return f"the buffer is too small, or nothing drains it{bounds}"
    if code in scene.own:
        return (is_throttled(code) and hot_shard(scene.shards)) or scene.own[code][0]
    return ""


def remedy(code: str, scene: Scene) -> str:
    """What the service's own words advise against ``code``; empty where they say nothing."""
    return scene.own.get(code, ("", ""))[1]


def _cause_of(code: str) -> str:
    if code.isdigit():
        return _cause_of_status(int(code))
    if is_throttled(code):
        return "throttled: more than the service takes for this account or destination"
    return next((words for codes, words in _SIMPLE if code in codes), "")


def _cause_of_another(operation: str, code: str) -> str:
    """The cause, where another call failed before the request (mostly one for credentials)."""
    if code in ACCESS:
        return (
            f"{operation} is refused, before anything was sent: allow sts:{operation} to who calls"
            " it, and look at the role's trust policy"
            if operation.startswith("AssumeRole")
            else f"{operation} is refused, before anything was sent: allow it"
        )
    return f"{operation} failed, before anything was sent"


def _cause_of_status(status: int) -> str:
    """The cause, where an answer has a status and no error code of the service's."""
    if 300 <= status < 400:
        return f"redirected with status {status}: the endpoint or region is wrong; nothing follows"
    if status == 407:
        return "the proxy wants a user and a password (status 407)"
    if 400 <= status < 500:
        return f"a firewall or proxy on the way refuses it with status {status}"
    return f"something on the way, or the service, is down: status {status} and no reason"


def hot_shard(shards: Mapping[str, int]) -> str:
    """The shard that nearly all refusals are about, as a text; empty if they are spread or few.

    Args:
        shards: refused tries by shard.
    """
    total = sum(shards.values())
    if total < 10:
        return ""
    shard, count = max(shards.items(), key=lambda pair: pair[1])
    if count < 0.8 * total:
        return ""
    share = f"{count / total:.0%}"
    return f"hot shard: {share} of the refusals are for {shard}; spread the keys or add shards"
