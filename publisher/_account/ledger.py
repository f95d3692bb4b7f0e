"""The account of every message.

What was accepted and what became of it, per destination and in total.
"""

from __future__ import annotations

import re
import shutil
import threading
from bisect import bisect_left
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from .._pickling import outlives_fields
from . import tables as _tables
from .causes import KNOWN
from .recent import Recent

#: Upper bounds of the latency buckets, seconds; a last bucket holds what took longer.
LATENCY_BOUNDS: tuple[float, ...] = tuple(0.001 * 2**power for power in range(18))
#: So many destinations are counted by name; the rest is counted together as ``other``.
MAX_DESTINATIONS = 1_000
REASONS = ("buffer_full", "expired", "closed")
#: One reason more, shown once it has occurred: a logging handler published a log line that a
#: request of ours had caused.
LOG_LINE = "log_line"
#: Of one destination so many unknown error codes, and so many shards, are counted by name; the rest
#: is counted as ``other``.
MAX_CODES = 50
MAX_SHARDS = 200
OTHER = "other"
_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,80}")
_MAPPINGS = ("dropped_by_reason", "failed_by_code", "errors_by_code", "errors_by_shard")


@outlives_fields
@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Counts of messages since the publisher was made.

    ``accepted`` is always the sum of ``delivered``, ``failed``, ``dropped``, ``cancelled``,
    ``spooled`` and ``outstanding``. Other operations (``ListTopics``) are
    no messages and stand in no ledger.

    Attributes:
        accepted: calls that returned a future (entries, for a batch call such as ``put_records``).
        delivered: stored by the service.
        failed: sent at least once and given up.
        dropped: never sent; ``dropped_by_reason`` has ``buffer_full``, ``expired`` and ``closed``,
            and ``log_line`` where a logging handler published a line that a request of ours had
            caused.
        cancelled: withdrawn by ``future.cancel()``.
        outstanding: accepted and not resolved yet.
        retries: times a message was sent again.
        requests: requests that went out.
        bytes_sent: bytes of the messages in those requests, as the service counts them.
        outstanding_bytes: bytes of the outstanding messages.
        oldest_age: seconds since the oldest outstanding message was accepted; 0.0 if there is none.
        latency: counts of resolved messages by seconds from acceptance to outcome; bucket i holds
            those up to ``LATENCY_BOUNDS[i]``, the last one the rest.
        latency_sum: what those latencies add up to, seconds.
        failed_by_code: the failed messages, by the error code of their last try.
        errors_by_code: tries that failed, retried or not, by error code; a request of ten messages
            that meets an error counts ten.
        errors_by_shard: those of them whose error names a shard of the stream, by shard.
        spooled: on disk, and no more this process's to wait for: the future ended with
            ``StillSpooled``, or the message was left to the relay. 0 without a spool.
        replayed: part of ``accepted``: messages offered again that had been on disk. 0 without a
            spool.
    """

    accepted: int = 0
    delivered: int = 0
    failed: int = 0
    dropped: int = 0
    cancelled: int = 0
    outstanding: int = 0
    dropped_by_reason: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(REASONS, 0))
    retries: int = 0
    requests: int = 0
    bytes_sent: int = 0
    outstanding_bytes: int = 0
    oldest_age: float = 0.0
    latency: tuple[int, ...] = (0,) * (len(LATENCY_BOUNDS) + 1)
    latency_sum: float = 0.0
    failed_by_code: Mapping[str, int] = field(default_factory=dict)
    errors_by_code: Mapping[str, int] = field(default_factory=dict)
    errors_by_shard: Mapping[str, int] = field(default_factory=dict)
    spooled: int = 0
    replayed: int = 0

    def __add__(self, other: Ledger) -> Ledger:
        sums: dict[str, Any] = {
            item.name: getattr(self, item.name) + getattr(other, item.name)
            for item in fields(self)
            if item.name not in (*_MAPPINGS, "oldest_age", "latency")
        }
        for name in _MAPPINGS:
            sums[name] = _added(getattr(self, name), getattr(other, name))
        return Ledger(
            **sums,
            oldest_age=max(self.oldest_age, other.oldest_age),
            latency=tuple(map(sum, zip(self.latency, other.latency, strict=True))),
        )

    def __str__(self) -> str:
        spooled = f" + spooled {self.spooled:,}" if self.spooled else ""
        replayed = f", {self.replayed:,} replayed" if self.replayed else ""
        return (
            f"accepted {self.accepted:,} = delivered {self.delivered:,} + failed {self.failed:,}"
            f" + dropped {self.dropped:,} + cancelled {self.cancelled:,}{spooled} + outstanding"
            f" {self.outstanding:,}"
            f" ({self.requests:,} requests, {self.retries:,} retries{replayed})"
        )


@outlives_fields
@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolStats:
    """What a spool's directory holds, as far as this process knows.

    Attributes:
        waiting: messages on disk that have not ended.
        bytes: of the files, in which ended messages stay until their file is removed as a whole.
        oldest_age: seconds since the oldest waiting message was accepted; 0.0 if there is none.
        orphans: processes that have died and whose messages nobody has taken over yet.
        skipped: records that were passed over because they are damaged.
        unwritten: messages that were kept in memory alone because the disk failed.
    """

    waiting: int = 0
    bytes: int = 0
    oldest_age: float = 0.0
    orphans: int = 0
    skipped: int = 0
    unwritten: int = 0

    def __add__(self, other: SpoolStats) -> SpoolStats:
        """Those of two publishers; where they share a directory, they see the same orphans."""
        sums = {
            item.name: getattr(self, item.name) + getattr(other, item.name) for item in fields(self)
        }
        sums["oldest_age"] = max(self.oldest_age, other.oldest_age)
        sums["orphans"] = max(self.orphans, other.orphans)
        return SpoolStats(**sums)


@outlives_fields
@dataclass(frozen=True, slots=True)
class Stats:
    """One look at the account.

    Attributes:
        total: of all destinations.
        destinations: a ledger for each, by ``"service:region:name"``.
        spool: what is on disk; None without a spool.
    """

    total: Ledger
    destinations: Mapping[str, Ledger]
    spool: SpoolStats | None = None

    def __str__(self) -> str:
        columns = shutil.get_terminal_size((80, 24)).columns  # 80 where there is no terminal
        return _tables.text(self._rows(), LATENCY_BOUNDS, columns, self.spool)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return _tables.html(self._rows(), LATENCY_BOUNDS, self.spool)

    def _rows(self) -> list[tuple[str, Ledger]]:
        return [*self.destinations.items(), ("total", self.total)]


def _added(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    if not other:
        return dict(one)
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}


class Counters:
    """The running counts of one destination.

    Callers raise ``accepted``, ``accepted_bytes``, ``handed_over`` and ``handed_bytes`` without a
    lock: each is one statement, during which the GIL lets no other thread run. All else is changed
    under the account's lock.

    Attributes:
        handed_over: left to the relay at once, by their callers; ``handed_bytes`` are theirs.
            Beside ``spooled``, so that a caller needs no lock.
        of_messages: False for an operation that is no message (``ListTopics``). Nobody sums these
            up or shows them, and what ends there is no loss.
    """

    __slots__ = (
        "accepted",
        "accepted_bytes",
        "bytes_sent",
        "cancelled",
        "delivered",
        "dropped",
        "errors",
        "failed",
        "failed_by_code",
        "handed_bytes",
        "handed_over",
        "key",
        "known",
        "latency",
        "latency_sum",
        "names",
        "of_messages",
        "replayed",
        "requests",
        "resolved_bytes",
        "retries",
        "shards",
        "spooled",
    )

    def __init__(
        self,
        key: Callable[[], str],
        *,
        of_messages: bool = True,
        known: Container[str] = (),
    ) -> None:
        self.key = key
        self.known = known  # the service's own codes
        self.of_messages = of_messages
        self.accepted = 0
        self.accepted_bytes = 0
        self.resolved_bytes = 0
        self.handed_over = 0
        self.handed_bytes = 0
        self.delivered = 0
        self.failed = 0
        self.cancelled = 0
        self.spooled = 0
        self.replayed = 0
        self.dropped = dict.fromkeys(REASONS, 0)
        self.retries = 0
        self.requests = 0
        self.bytes_sent = 0
        self.latency = [0] * (len(LATENCY_BOUNDS) + 1)
        self.latency_sum = 0.0
        self.failed_by_code: dict[str, int] = {}
        self.errors: dict[str, int] = {}
        self.shards: dict[str, int] = {}
        self.names: set[str] = set()  # of codes that no table knows

    def named(self, code: str) -> str:
        """The name under which an error code is counted, logged and shown: itself, or ``other``.

        A service may answer anything, and names become keys and labels: they are short, plain and
        few.
        """
        if code in KNOWN or code in self.known or code in self.names or code == OTHER:
            return code
        if len(self.names) >= MAX_CODES or not _NAME.fullmatch(code):
            return OTHER
        self.names.add(code)  # threads that come at once may each add one more
        return code

    def note_failed(self, codes: Mapping[str, int]) -> None:
        """Messages failed, so many with each error code."""
        for code, count in codes.items():
            _add(self.failed_by_code, self.named(code), count)

    def note_errors(self, codes: Mapping[str, int], shards: Mapping[str, int]) -> None:
        """Tries failed, so many with each error code, and of so many the error names a shard."""
        for code, count in codes.items():
            _add(self.errors, self.named(code), count)
        for shard, count in shards.items():
            known = shard in self.shards or len(self.shards) < MAX_SHARDS
            _add(self.shards, shard if known and _NAME.fullmatch(shard) else OTHER, count)

    def with_latency(
        self, now: float, accepted: list[float], count: int
    ) -> tuple[list[int], float]:
        """``latency`` and ``latency_sum`` with ``count`` messages more.

        ``accepted`` has one time of acceptance for all of them, or one for each. The messages of a
        batch mostly fall into one bucket, which is then looked up once.
        """
        each = count // len(accepted)
        latency = self.latency.copy()
        low = bisect_left(LATENCY_BOUNDS, now - max(accepted))
        high = bisect_left(LATENCY_BOUNDS, now - min(accepted))
        if low == high:
            latency[low] += count
        else:
            for since in accepted:
                latency[bisect_left(LATENCY_BOUNDS, now - since)] += 1
        return latency, self.latency_sum + count * now - each * sum(accepted)

    def ledger(self, oldest_age: float) -> Ledger:
        # The ends are read first and `accepted` last: a message that comes in between counts as
        # outstanding. The other way round there could be a negative number of those.
        delivered, failed, cancelled = self.delivered, self.failed, self.cancelled
        handed_over, handed_bytes = self.handed_over, self.handed_bytes
        spooled, replayed = self.spooled + handed_over, self.replayed
        by_reason = dict(self.dropped)
        dropped = sum(by_reason.values())
        resolved_bytes = self.resolved_bytes + handed_bytes
        shortest, *longer = self.latency
        latency = (shortest + handed_over, *longer)
        accepted_bytes = self.accepted_bytes
        accepted = self.accepted
        return Ledger(
            accepted=accepted,
            delivered=delivered,
            failed=failed,
            dropped=dropped,
            cancelled=cancelled,
            outstanding=accepted - delivered - failed - dropped - cancelled - spooled,
            dropped_by_reason=by_reason,
            retries=self.retries,
            requests=self.requests,
            bytes_sent=self.bytes_sent,
            outstanding_bytes=accepted_bytes - resolved_bytes,
            oldest_age=oldest_age,
            latency=latency,
            latency_sum=self.latency_sum,
            failed_by_code=dict(self.failed_by_code),
            errors_by_code=dict(self.errors),
            errors_by_shard=dict(self.shards),
            spooled=spooled,
            replayed=replayed,
        )


def _add(counts: dict[str, int], name: str, count: int) -> None:
    counts[name] = counts.get(name, 0) + count


class Account:
    """All counters of one publisher, and the table of destinations.

    ``lock`` guards the counters, but not the table of destinations. A signal handler may publish to
    a new destination on a thread that holds a lock for which the holder of this one waits; so
    nobody may need this lock to add a row. Each step on the table is one call of ``dict``'s, during
    which no other thread runs.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.recent = Recent()
        #: Says what the spool's directory holds; None without a spool.
        self.on_disk: Callable[[], SpoolStats] | None = None
        self._counters: dict[str, Counters] = {}
        self._other = Counters(lambda: OTHER)
        self._owners: dict[str, str] = {}  # whose destination each key is, by account id

    def is_owner(self, key: str, owner: str) -> bool:
        """Whether ``key`` is the destination of this AWS account, the first that asks for it."""
        if key not in self._owners and len(self._owners) >= MAX_DESTINATIONS:
            return True  # counted as "other" anyway
        return self._owners.setdefault(key, owner) == owner

    def counters(
        self, identity: str, key: Callable[[], str], known: Container[str] = ()
    ) -> Counters:
        """The counters of the destination that ``identity`` stands for.

        Beyond 1,000 of them those of ``other``; threads that come at once may each add one more.

        Args:
            identity: of the destination in one client.
            key: says its name.
            known: the codes of its service, which keep their names.
        """
        found = self._counters.get(identity)
        if found is None:
            if len(self._counters) >= MAX_DESTINATIONS:
                return self._other
            found = self._counters.setdefault(identity, Counters(key, known=known))
        return found

    def stats(self, oldest: Mapping[Counters, float]) -> Stats:
        """A look at all counters, in which every ledger balances.

        Args:
            oldest: the age in seconds of the oldest message, of those counters that have one.
        """
        with self.lock:
            destinations: dict[str, Ledger] = {}
            counters = [*self._counters.copy().values()]
            if self._other.accepted:
                counters.append(self._other)
            for each in counters:
                key, ledger = each.key(), each.ledger(oldest.get(each, 0.0))
                destinations[key] = destinations[key] + ledger if key in destinations else ledger
        total = Ledger()
        for ledger in destinations.values():
            total += ledger
        return Stats(total, destinations, None if self.on_disk is None else self.on_disk())
