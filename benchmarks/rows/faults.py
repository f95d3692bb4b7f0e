"""Failing entries, and a throttled or stalled stream beside a healthy one."""

from __future__ import annotations

import threading
import time
from typing import Any

from benchmarks.harness import Bench, Goal, Rows, Variant, median
from benchmarks.load import REGION, STREAM, TOPIC, call_single, messages, package
from benchmarks.rows.throughput import table
from benchmarks.worker import peak_rss, rss

READ_TIMEOUT = 2.0
ROOM = {"max_messages": 10**6, "max_bytes": 10**10}


def failing(service: str, endpoint: str, count: int) -> dict[str, float]:
    """Deliver `count` messages while entries fail; the peak of memory and the bytes offered."""
    import tenacity

    import publisher

    # Short waits: the bytes and the memory are the question, not the patience.
    retry = publisher.retry_policy(wait=tenacity.wait_random(0.05, 0.2))
    ours = package(**ROOM, retry=retry)
    client = ours.client(service, endpoint_url=endpoint, region_name=REGION)
    work = messages(service, count)
    offered = sum(len(each) if service == "sns" else len(each[0]) + len(each[1]) for each in work)
    before = rss()
    for message in work:
        call_single(client, service, message)
    left = ours.flush(timeout=110)
    total = ours.stats().total
    return {
        "offered": offered,
        "peak": peak_rss(),
        "growth": peak_rss() - before,
        "unresolved": left,
        "delivered": total.delivered,
        "retries": total.retries,
    }


def goal_failing(bench: Bench) -> Goal:
    """10 % and 50 % of entries failing: bytes re-sent, peak memory."""
    variants = {}
    for service, full in (("kinesis", 40_000), ("sns", 8_000)):
        for rate in (0.0, 0.5) if bench.quick else (0.0, 0.1, 0.5):
            work = {"service": service, "count": bench.scale(full, 1_000)}
            variants[f"{service} {rate:.0%}"] = Variant(failing, work, {"failure_rate": rate})
    rows = bench.interleave("failing", variants)
    goal = Goal("10 % and 50 % of entries failing")
    for service in ("kinesis", "sns"):
        for share in ("50%",) if bench.quick else ("10%", "50%"):
            results = rows.get(f"{service} {share}", [])
            # What the stub failed, it must see again, and nothing else.
            off = [
                abs(row["stub"]["entry_bytes"] - row["offered"] - row["stub"]["failed_bytes"])
                / row["stub"]["failed_bytes"]
                for row in results
            ]
            goal.add(f"{service} {share}: bytes re-sent off bytes failed", off, 0)
            own, base = f"{service} {share}", f"{service} 0%"
            goal.at_most(f"{service} {share}: peak memory", rows, own, base, "peak", 1.1)
            goal.add(f"{service} {share}: growth of memory", goal.ratio(rows, own, base, "growth"))
    return goal


def _names(service: str) -> dict[str, str]:
    """Return the argument that names the destination, for each part in a measurement."""
    if service == "sns":
        return {"healthy": TOPIC, "slow": TOPIC.replace("bench", "slow"), "late": TOPIC + "-late"}
    return {"healthy": STREAM, "slow": "slow", "late": f"{STREAM}-late"}


def _call(client: Any, service: str, name: str, message: Any) -> Any:
    if service == "sns":
        return client.publish(TopicArn=name, Message=message)
    return client.put_record(StreamName=name, Data=message[1], PartitionKey=message[0])


def _offer(rate: float, seconds: float, call: Any, work: list[Any]) -> int:
    """Call for `rate` messages a second, every 5 ms all that are due; return how many."""
    pause, started, sent = threading.Event(), time.perf_counter(), 0
    while (now := time.perf_counter() - started) < seconds:
        while sent < now * rate:
            call(work[sent % len(work)])
            sent += 1
        pause.wait(0.005)
    return sent


def beside(
    service: str, endpoint: str, rate: float, slow_rate: float, seconds: float
) -> dict[str, float]:
    """Offer `rate` to the healthy and `slow_rate` to the slow one; the share the former got."""
    names, work = _names(service), messages(service, 2_000)
    ours = package(**ROOM, read_timeout=READ_TIMEOUT)
    client = ours.client(service, endpoint_url=endpoint, region_name=REGION)
    for message in work:
        _call(client, service, names["healthy"], message)
    ours.flush(timeout=30)

    def delivered() -> int:
        found = ours.stats().destinations
        return next(int(found[key].delivered) for key in found if key.endswith(":bench"))

    slow = threading.Thread(
        target=_offer,
        args=(slow_rate, seconds, lambda each: _call(client, service, names["slow"], each), work),
    )
    before = delivered()
    slow.start()
    offered = _offer(
        rate, seconds, lambda each: _call(client, service, names["healthy"], each), work
    )
    kept = delivered() - before
    slow.join()
    return {"share": kept / offered, "offered": offered}


def late(service: str, endpoint: str, backlog: int) -> dict[str, float]:
    """A stalled destination with a backlog, then another becomes active: its times (s)."""
    names, work = _names(service), messages(service, 2_000)
    ours = package(**ROOM, read_timeout=READ_TIMEOUT)
    client = ours.client(service, endpoint_url=endpoint, region_name=REGION)
    call_single(client, service, work[0]).result(timeout=10)
    for number in range(backlog):
        _call(client, service, names["slow"], work[number % len(work)])
    time.sleep(0.5)  # every worker that the stalled one may hold is held
    taken = []
    for number in range(20):
        before = time.perf_counter()
        _call(client, service, names["late"], work[number]).result(timeout=60)
        taken.append(time.perf_counter() - before)
        time.sleep(0.1)  # the messages of one that has become active, over a few seconds
    return {"first": taken[0], "worst_after": max(taken[1:])}


def goal_stalled(bench: Bench) -> Goal:
    """One throttled or stalled stream beside a healthy one."""
    stalled = {"destinations": {"slow": {"latency": 60.0}}}
    throttled = {"destinations": {"slow": {"shard_records": 100.0}}}
    seconds = bench.scale(8, 3)
    variants = {}
    for service in ("kinesis", "sns"):
        known = table(bench, service, only=("publisher",) if bench.quick else ()).get("publisher")
        if not known:
            continue
        rate = median(known, "rate") / 2
        slow_rate = 1_000 if service == "kinesis" else 200
        load = {"service": service, "rate": rate, "slow_rate": slow_rate, "seconds": seconds}
        if not bench.quick:
            variants[f"{service} beside nothing"] = Variant(beside, {**load, "slow_rate": 0})
            variants[f"{service} beside throttled"] = Variant(beside, load, throttled)
        variants[f"{service} beside stalled"] = Variant(beside, load, stalled)
        backlog = 20_000 if service == "kinesis" else 2_000
        variants[f"{service} late"] = Variant(
            late, {"service": service, "backlog": backlog}, stalled
        )
    rows: Rows = bench.interleave("stalled", variants)
    goal = Goal("one throttled or stalled stream beside a healthy one")
    for service in ("kinesis", "sns"):
        for fault, limit in (("nothing", None), ("stalled", 0.95), ("throttled", 0.95)):
            if bench.quick and fault != "stalled":
                continue
            values = [row["share"] for row in rows.get(f"{service} beside {fault}", ())]
            label = f"{service}: share of half the maximum kept beside {fault}"
            goal.add(label, values, limit, at_least=True)
        for key, label, limit in (
            ("first", "first message after the stall", 1.0),
            ("worst_after", "any later one", 0.5),
        ):
            # Linger and round trip are no part of the wait.
            base = 0.1 + (0.05 if service == "kinesis" else 0.01)
            values = [(row[key] - base) / READ_TIMEOUT for row in rows.get(f"{service} late", ())]
            goal.add(f"{service}: {label}, in request time-outs", values, limit)
    return goal
