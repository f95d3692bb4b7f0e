"""What a call costs the thread that makes it: idle, and with eight callers at a saturated pool."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.harness import Bench, Goal, Rows, Variant
from benchmarks.load import (
    LATENCY,
    REGION,
    STREAM,
    TOPIC,
    WORKERS,
    boto3_client,
    call_single,
    messages,
    package,
)
from benchmarks.stub import control
from benchmarks.worker import quantile

Call = Callable[[Any], object]
Made = tuple[Call, Callable[[], int]]
"""A call to time, and a function that says how many messages still wait."""


def publish_calls(service: str, endpoint: str) -> Made:
    """`publish` or `put_record` of this package, with room for the whole backlog."""
    ours = package(max_messages=10**7, max_bytes=10**11)
    client = ours.client(service, endpoint_url=endpoint, region_name=REGION)

    def waiting() -> int:
        return int(ours.stats().total.outstanding)

    if service == "sns":
        return lambda message: client.publish(TopicArn=TOPIC, Message=message), waiting
    return (
        lambda each: client.put_record(StreamName=STREAM, Data=each[1], PartitionKey=each[0]),
        waiting,
    )


def submit_calls(service: str, endpoint: str) -> Made:
    """`ThreadPoolExecutor.submit` of the blocking call."""
    client = boto3_client(service, endpoint)
    pool = ThreadPoolExecutor(WORKERS)
    if service == "sns":
        publish = client.publish
        call: Call = lambda message: pool.submit(publish, TopicArn=TOPIC, Message=message)  # noqa: E731
    else:
        put = client.put_record
        call = lambda each: pool.submit(  # noqa: E731
            put, StreamName=STREAM, Data=each[1], PartitionKey=each[0]
        )
    return call, pool._work_queue.qsize


def check_calls(service: str, endpoint: str) -> Made:
    """The check of a call's arguments alone, beside a client that publishes nothing."""
    client = package().client(service, endpoint_url=endpoint, region_name=REGION)
    accept = client._service.accept
    if service == "sns":
        return lambda message: accept({"TopicArn": TOPIC, "Message": message}), lambda: 1
    return (
        lambda each: accept({"StreamName": STREAM, "Data": each[1], "PartitionKey": each[0]}),
        lambda: 1,
    )


def no_calls(service: str, endpoint: str) -> Made:  # noqa: ARG001 - as the others
    """Nothing."""
    return lambda _: None, lambda: 1


def boto3_calls(service: str, endpoint: str) -> Made:
    """The blocking boto3 call itself."""
    client = boto3_client(service, endpoint)
    return lambda message: call_single(client, service, message), lambda: 1


def aiokpl_calls(
    service: str,  # noqa: ARG001 - as the others
    endpoint: str,
) -> Made:
    """`put_record` of aiokpl's facade for sync callers."""
    from aiokpl import SyncProducer

    from benchmarks.peers.aiokpl_ import config

    producer = SyncProducer(config(endpoint, aggregate=True)).__enter__()
    return (
        lambda each: producer.put_record(stream=STREAM, partition_key=each[0], data=each[1]),
        lambda: 1,
    )


KINDS = {
    "publish": publish_calls,
    "submit": submit_calls,
    "boto3": boto3_calls,
    "check": check_calls,
    "nothing": no_calls,
    "aiokpl": aiokpl_calls,
}


def spin(loops: int) -> None:
    """Work that calls nothing: a no-op of settable cost."""
    for _ in range(loops):
        pass


def loops_for(seconds: float) -> int:
    """Return how many loops of `spin` take `seconds` on this machine, undisturbed."""
    clock, best = time.perf_counter, 1.0
    for _ in range(20):
        before = clock()
        spin(10_000)
        best = min(best, (clock() - before) / 10_000)
    return max(1, int(seconds / best))


def paced(
    calls: int, pace: float, call: Call, work: list[Any], durations: list[float], burst: int = 1
) -> None:
    """Make `calls` calls, `burst` of them each `pace` seconds, and note how long each took."""
    clock = time.perf_counter
    due = clock()
    for number in range(calls):
        message = work[number % len(work)]
        due += 0 if number % burst else pace
        wait = due - clock()
        if wait > 0:
            time.sleep(wait)  # the pace of the offered load, not a synchronisation
        before = clock()
        call(message)
        durations.append(clock() - before)


def together(
    callers: int, calls: int, pace: float, call: Call, work: list[Any], burst: int
) -> list[float]:
    """Have `callers` threads make `calls` paced calls each; all durations."""
    durations: list[list[float]] = [[] for _ in range(callers)]
    threads = [
        threading.Thread(target=paced, args=(calls, pace, call, work, each, burst))
        for each in durations
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [each for every in durations for each in every]


def latencies(durations: list[float]) -> dict[str, float]:
    """Return the percentiles of call durations, in microseconds."""
    ordered = sorted(durations)
    named = {"p50": 0.5, "p99": 0.99, "p999": 0.999}
    result = {name: quantile(ordered, share) * 1e6 for name, share in named.items()}
    result["max"] = ordered[-1] * 1e6
    result["calls"] = len(ordered)
    return result


def measure(
    kind: str,
    service: str,
    endpoint: str,
    callers: int,
    calls: int,
    pace: float,
    backlog: int = 0,
    noop: bool = False,
    burst: int = 1,
) -> dict[str, float]:
    """Time `calls` calls of each of `callers` threads, `burst` of them each `pace` seconds.

    `backlog` messages are handed over before, so that all workers are busy to the end (checked).
    With `noop` the callers spin instead of calling, for the median of their calls just before,
    beside the same load.
    """
    work = messages(service, 2_000)
    call, waiting = KINDS[kind](service, endpoint)
    paced(200 if kind != "boto3" else 10, 0.003, call, work, [])
    if backlog:
        # With the endpoint slow for as long as that takes: one thread cannot outrun ten senders.
        control(endpoint, "reset", {"latency": 1.0})
        while waiting() < backlog:
            for message in work[:500]:
                call(message)
        control(endpoint, "reset", {"latency": LATENCY})
        time.sleep(1.0)  # the slow answers are in
    timed = call
    if noop:
        cost = quantile(sorted(together(callers, calls // 5, pace, call, work, burst)), 0.5)
        loops = loops_for(cost)
        timed = lambda _: spin(loops)  # noqa: E731
    durations = together(callers, calls, pace, timed, work, burst)
    if backlog and not waiting():
        raise RuntimeError("the backlog was gone before the callers were: not saturated")
    return latencies(durations)


def idle(bench: Bench) -> Rows:
    """One caller, nothing else: ten calls in a row each 0.1 s, as in a view; one each 5 ms."""

    def run() -> Rows:
        variants = {}
        calls = bench.scale(600, 60)
        loads = {
            "": {"callers": 1, "calls": calls, "pace": 0.1, "burst": 10},
            "singly ": {"callers": 1, "calls": calls, "pace": 0.005},
        }
        for service in ("sns", "kinesis"):
            for kind in ("publish", "submit"):
                for how, load in loads.items():
                    arguments = {"kind": kind, "service": service, **load}
                    variants[f"{kind} {how}{service}"] = Variant(measure, arguments)
            for kind in ("check", "nothing"):
                arguments = {"kind": kind, "service": service, **loads["singly "]}
                variants[f"{kind} singly {service}"] = Variant(measure, arguments)
        for kind, service in (("boto3", "sns"), ("boto3", "kinesis"), ("aiokpl", "kinesis")):
            arguments = {"kind": kind, "service": service, **loads["singly "], "calls": 100}
            if not bench.quick:
                variants[f"{kind} {service}"] = Variant(measure, arguments)
        return bench.interleave("caller idle", variants)

    return bench.once("caller idle", run)


def saturated(bench: Bench) -> Rows:
    """Eight callers beside a pool that is never idle."""

    def run() -> Rows:
        calls = bench.scale(2_500, 250)
        load = {"callers": 8, "calls": calls, "pace": 0.002}
        seconds = calls * 0.002 * 1.5 + 1.5
        variants = {}
        for service, rate in (("sns", 6_000), ("kinesis", 60_000)):
            own = {"kind": "publish", "service": service, **load, "backlog": int(rate * seconds)}
            pool = {"kind": "submit", "service": service, **load, "backlog": int(500 * seconds)}
            variants[f"publish {service}"] = Variant(measure, own)
            variants[f"no-op beside publish {service}"] = Variant(measure, {**own, "noop": True})
            variants[f"submit {service}"] = Variant(measure, pool)
        slow = {"kind": "aiokpl", "service": "kinesis", **load, "calls": min(calls, 500)}
        if not bench.quick:
            variants["aiokpl kinesis"] = Variant(measure, slow)
        return bench.interleave("caller saturated", variants)

    return bench.once("caller saturated", run)


def goal_caller_idle(bench: Bench) -> Goal:
    """`publish()` in the caller, idle: p50 against `ThreadPoolExecutor.submit`."""
    rows = idle(bench)
    goal = Goal("`publish()` in the caller, idle process: p50")
    for service, name in (("sns", "publish"), ("kinesis", "put_record")):
        # One each 5 ms, both find the caches cold.
        for how, said, limit in (("", "ten in a row", 0.6), ("singly ", "one each 5 ms", 1.0)):
            own, pool = f"publish {how}{service}", f"submit {how}{service}"
            goal.at_most(f"`{name}`, {said}: of `submit`'s", rows, own, pool, "p50", limit)
        for kind, said in (("check", "the check of its arguments alone"), ("nothing", "no call")):
            cold = goal.ratio(rows, f"{kind} singly {service}", f"submit singly {service}", "p50")
            goal.add(f"{said}, one each 5 ms: of `submit`'s", cold)
    return goal


def goal_caller_saturated(bench: Bench) -> Goal:
    """`publish()` in the caller, 8 callers, pool saturated: p99.9."""
    rows = saturated(bench)
    goal = Goal("`publish()` in the caller, 8 callers, pool saturated: p99.9")
    for service, name in (("sns", "publish"), ("kinesis", "put_record")):
        own, noop = f"publish {service}", f"no-op beside publish {service}"
        goal.at_most(f"`{name}`: of `submit`'s", rows, own, f"submit {service}", "p999", 1 / 50)
        goal.at_most(f"`{name}`: of a no-op's beside the same load", rows, own, noop, "p999", 2)
    return goal
