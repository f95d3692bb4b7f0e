"""Findings about the publishers of this process, or about the metrics of another one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from .._account.causes import Scene, cause, remedy
from .._account.ledger import LOG_LINE, Ledger, SpoolStats
from .._aws.direct.way import DIRECT
from .._counting import counted
from .._process import publishers
from ..errors import InvalidMessage
from ..services import flag, load, names
from .finding import ERROR, NOTE, OK, WARNING, Finding
from .spooling import directory

_LOCAL = ("127.0.0.1", "localhost", "::1")
_OLD = 30.0  # seconds
_OLD_ON_DISK = 300.0
#: Tries that botocore makes where nobody has set their number, by mode: DEFAULT_MAX_ATTEMPTS in its
#: retries/standard.py, which adaptive builds upon, and __default__ in its data/_retry.json.
_BOTOCORE_TRIES = {"standard": 3, "adaptive": 3, "legacy": 5}
#: What requests can be sent to.
ENDPOINT_RULE = "it takes http:// or https://, a host and, if need be, a port up to 65535"
_TODO = {
    "buffer_full": "raise max_messages and max_bytes, publish less, or see why so little leaves",
    "expired": "see what the destination's errors are; raise delivery_timeout or max_workers",
    "closed": "close() with more time, or raise close_timeout",
    LOG_LINE: "handler.addFilter(publisher.contrib.log_filter.OutsideRequests())",
}


def findings() -> Iterator[Finding]:
    """What the live publishers' settings and accounts say."""
    for publisher in publishers():
        core = publisher._core
        if core is None or core.pid != os.getpid() or core.flow.closed:
            continue
        for binding in list(core.bindings.values()):
            yield from connection(binding.connection, core.options.max_workers)
        bounds = (core.options.max_messages, core.options.max_bytes)
        stats = core.stats()
        yield from accounts(stats.destinations, bounds)
        yield from directory(core.options.spool)
        yield from spool(stats.spool)


def connection(found: Any, workers: int) -> Iterator[Finding]:
    """One boto3 client that is in use."""
    client = found.made
    if client is None:
        return
    about = f"{found.service} client"
    config = client.meta.config
    pool = config.max_pool_connections
    if pool < workers:
        yield Finding(
            WARNING,
            about,
            f"{counted(pool, 'connection')} for {counted(workers, 'worker')}: bursts open and drop"
            " connections",
            f"make it with Config(max_pool_connections={workers})",
        )
    else:
        yield Finding(OK, about, f"{counted(pool, 'connection')} for {counted(workers, 'worker')}")
    retries = config.retries or {}
    mode = retries.get("mode", "legacy")  # a botocore without modes has only that one
    tries = retries.get("total_max_attempts", _BOTOCORE_TRIES.get(mode, 1))
    if tries > 1:
        yield Finding(
            WARNING,
            about,
            f"boto3 retries up to {tries} times beneath the publisher's own retries",
            "make it with Config(retries={'total_max_attempts': 1})",
        )
    yield from ways(about, found.ways)
    yield from endpoint(about, client.meta.endpoint_url)
    if getattr(client._endpoint.http_session, "_verify", True) is False:
        yield Finding(
            ERROR,
            about,
            "verify=False: anybody on the way can read and change what is sent",
            "remove it; verify='/path/to/ca.pem' trusts a proxy's own certificate",
        )


def ways(about: str, counts: Mapping[str, int]) -> Iterator[Finding]:
    """Which way the batches went, and why not the direct one; a batch costs three times as much."""
    total, direct = sum(counts.values()), counts.get(DIRECT, 0)
    others = [(count, why) for why, count in counts.items() if why != DIRECT]
    told = "; ".join(f"{count:,} not: {why}" if count else why for count, why in sorted(others))
    if direct:
        text = f"{direct:,} of {total:,} batches went the direct way"
        yield Finding(OK, about, f"{text}; {told}" if told else text)
    elif told:
        yield Finding(NOTE, about, f"batches go botocore's own way, not the direct one: {told}")


def parts_of(url: str) -> SplitResult | None:
    """The parts of an endpoint's URL; None if it breaks ENDPOINT_RULE."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # the port is parsed, and refused, only when it is asked for
    except ValueError:
        return None
    return parts if parts.scheme in ("http", "https") and parts.hostname else None


def endpoint(about: str, url: str) -> Iterator[Finding]:
    """The address that requests go to."""
    parts = urlsplit(url)
    if parts.scheme != "http":
        return
    if parts.hostname in _LOCAL:
        yield Finding(NOTE, about, f"plain http to {parts.hostname}: an emulator, not AWS")
    else:
        yield Finding(
            ERROR,
            about,
            f"plain http to {parts.hostname}: messages and signatures travel in the clear",
            "use https: remove use_ssl=False, and http:// from endpoint_url and AWS_ENDPOINT_URL",
        )


def accounts(
    destinations: Mapping[str, Ledger], bounds: tuple[int, int] | None
) -> Iterator[Finding]:
    """What the ledgers say about losses.

    Args:
        destinations: ledgers by ``"service:region:name"``.
        bounds: of the buffer, messages and bytes; None if unknown.
    """
    waiting = [0, 0]
    for name, ledger in destinations.items():
        waiting[0] += ledger.outstanding
        waiting[1] += ledger.outstanding_bytes
        scene = _scene(name, ledger)
        yield from _losses(name, ledger, scene)
        yield from _troubles(name, ledger, scene)
    for kind, held, bound in zip(("messages", "bytes"), waiting, bounds or (), strict=False):
        if held > bound / 2:
            yield Finding(
                WARNING,
                "buffer",
                f"{held:,} {kind} of at most {bound:,} wait: more is published than is delivered",
                _TODO["buffer_full"],
            )
    if destinations and not any(each.failed + each.dropped for each in destinations.values()):
        yield Finding(OK, "account", "nothing was lost")


def _scene(name: str, ledger: Ledger) -> Scene:
    service, _, rest = name.partition(":")
    region = rest.partition(":")[0]
    if service not in names():
        return Scene(region=region, shards=ledger.errors_by_shard)
    found = load(service)
    return Scene(found.permission, region, "", ledger.errors_by_shard, own=found.causes)


def _losses(name: str, ledger: Ledger, scene: Scene) -> Iterator[Finding]:
    for code, count in ledger.failed_by_code.items():
        why = cause(code, scene)
        text = f"{counted(count, 'message')} failed: {code}{', ' if why else ''}{why}"
        yield Finding(ERROR, name, text, f"python -m publisher doctor {_option(name)}".strip())
    for reason, count in ledger.dropped_by_reason.items():
        if count:
            text = f"{counted(count, 'message', 'were')} dropped: {reason}, {cause(reason, scene)}"
            level = WARNING if reason == LOG_LINE else ERROR
            yield Finding(level, name, text, _TODO.get(reason, ""))


def _troubles(name: str, ledger: Ledger, scene: Scene) -> Iterator[Finding]:
    for code, count in ledger.errors_by_code.items():
        if code in ledger.failed_by_code:
            continue
        why = cause(code, scene)
        tries = counted(count, "try")
        text = f"{tries} failed, and nothing lost by that so far: {code}{', ' if why else ''}{why}"
        yield Finding(WARNING, name, text, remedy(code, scene))
    if ledger.oldest_age > _OLD:
        text = f"the oldest message has waited for {ledger.oldest_age:.0f} s"
        yield Finding(WARNING, name, text)


def spool(found: SpoolStats | None) -> Iterator[Finding]:
    """What is on disk; None without a spool."""
    if found is None:
        return
    waiting = f"{counted(found.waiting, 'message')} on disk, {found.bytes:,} bytes"
    if found.oldest_age > _OLD_ON_DISK:
        yield Finding(
            WARNING,
            "spool",
            f"{waiting}; the oldest has waited for {found.oldest_age:.0f} s",
            "see what the destinations' errors are; where a relay sends, see that it runs",
        )
    else:
        yield Finding(OK, "spool", waiting)
    if found.orphans:
        text = f"{found.orphans:,} dead, whose messages nobody has taken over yet"
        yield Finding(NOTE, "spool's processes", text)
    if found.skipped:
        yield Finding(
            WARNING,
            "spool",
            f"{counted(found.skipped, 'damaged record', 'were')} passed over",
            "look at the disk; their bytes are kept in damaged/, in the spool's directory",
        )
    if found.unwritten:
        yield Finding(
            WARNING,
            "spool",
            f"{counted(found.unwritten, 'message', 'were')} kept in memory alone: the disk failed",
            "the log has the error; such messages do not survive the process",
        )


def _option(name: str) -> str:
    name_of_service, _, rest = name.partition(":")
    if name_of_service not in names():
        return ""
    service = load(name_of_service)
    label = rest.partition(":")[2]
    named = service.named(label)
    try:
        service.check_address(service.address(named))
    except InvalidMessage:  # the label is less than what has to be given
        label = "ARN"
    return f"{flag(service.option)} {label}"
