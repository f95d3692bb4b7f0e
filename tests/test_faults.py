"""Every fault of tests/faults.py, provoked on a live server, for each service."""

from __future__ import annotations

import concurrent.futures
import json
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import tenacity
from botocore.config import Config
from botocore.exceptions import ClientError

import publisher
from tests.direct.ways import BOTOCORE, DIRECT, count, take, went
from tests.faults import BATCHES, BRIEF, FAULTS, Fault, Stage, delivery
from tests.servers import Answer, Endpoint, FaultProxy, Kinesalite, Moto
from tests.support import (
    SOON,
    Watch,
    client_of,
    codes,
    publish,
    publishing,
    texts,
    tries,
    until,
)

NEIGHBOURS = 5
#: What a network does is the same for all: with two services it is tried every time.
OFTEN = ("sns", "kinesis")
CASES = [(fault, service) for fault in FAULTS for service in fault.services]
PASSING = [(fault, service) for fault, service in CASES if not fault.final]


def named(cases: list[tuple[Fault, str]]) -> list[Any]:
    return [
        pytest.param(
            fault,
            service,
            id=f"{service}: {fault.name}",
            marks=() if service in OFTEN else pytest.mark.heavy,
        )
        for fault, service in cases
    ]


# The direct way is the one that is taken; botocore's own meets the same faults.
@pytest.fixture(params=[DIRECT, pytest.param(BOTOCORE, marks=pytest.mark.heavy)])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    take(request.param, monkeypatch)
    return str(request.param)


def forget_delivery(server: Any, name: str) -> None:
    with suppress(ClientError):  # it may have been the fault that it was gone
        server.client("firehose").delete_delivery_stream(DeliveryStreamName=name)


@pytest.fixture
def stage(
    request: pytest.FixtureRequest,
    proxy: Callable[..., FaultProxy],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Callable[[str], Stage]]:
    with ExitStack() as stack:

        def make(service: str) -> Stage:
            server: Any = request.getfixturevalue(
                "kinesalite" if service == "kinesis" else "moto_server"
            )
            front = proxy(server.url, shards=1)
            destination = f"name-{uuid.uuid4().hex}"
            if service == "sns":
                destination = server.client("sns").create_topic(Name=destination)["TopicArn"]
            elif service == "sqs":
                destination = server.client("sqs").create_queue(QueueName=destination)["QueueUrl"]
            elif service == "firehose":
                delivery(server, destination)
                stack.callback(forget_delivery, server, destination)  # moto has room for 50
            elif service == "events":
                server.client("events").create_event_bus(Name=destination)
            else:
                destination = server.stream()
            return Stage(
                service, server, front, destination, monkeypatch, tmp_path, stack, front.url
            )

        yield make


def send(ours: publisher.Client, stage: Stage, text: str) -> publisher.PublishFuture:
    if stage.service == "sns":
        return ours.publish(TopicArn=stage.destination, Message=text)
    if stage.service == "sqs":
        return ours.send_message(QueueUrl=stage.destination, MessageBody=text)
    if stage.service == "firehose":
        record = {"Data": text.encode()}
        return ours.put_record(DeliveryStreamName=stage.destination, Record=record)
    if stage.service == "events":
        event = {"Source": "s", "DetailType": "d", "Detail": json.dumps({"text": text})}
        return ours.put_events(Entries=[{**event, "EventBusName": stage.destination}])
    return ours.put_record(StreamName=stage.destination, Data=text.encode(), PartitionKey=text)


class Play:
    """Three messages in one request while the fault is on, neighbours beside them."""

    def __init__(self, made: publisher.Publisher, stage: Stage, healthy: Endpoint) -> None:
        self.made = made
        self.stage = stage
        self.before = 0  # messages that went before the fault
        self.ours = client_of(made, stage.service, stage.url, **stage.arguments)
        # The fault's own short times are not theirs.
        patient = Config(connect_timeout=SOON, read_timeout=SOON)
        self.beside = client_of(made, stage.service, healthy.url, config=patient).with_options(
            delivery_timeout=SOON
        )

    def open(self, fault: Fault) -> None:
        """Let a message through before the fault comes: the direct way of the rest is open then.

        Only where the fault is in the answers; a gate that is shut has let nothing through.
        """
        if self.stage.url == self.stage.proxy.url and not self.stage.arguments:
            self.stage.heal()
            # Nor is it for the client to be made.
            before = send(self.ours.with_options(delivery_timeout=SOON), self.stage, "before")
            self.made.flush(0)
            before.result(SOON)
            fault.start(self.stage)
            self.before = 1

    def run(self) -> list[publisher.PublishFuture]:
        watch = Watch()
        futures = [send(self.ours, self.stage, f"message {i}") for i in range(3)]
        self.made.flush(0)  # all three, now
        self.neighbours = [publish(self.beside, f"neighbour {i}") for i in range(NEIGHBOURS)]
        self.made.flush(0)
        concurrent.futures.wait(futures, SOON)
        self.seconds = watch.seconds
        for future in self.neighbours:
            future.result(SOON)
            assert codes(future) == [None]
        return futures

    def check_next_message(self) -> None:
        future = send(self.ours, self.stage, "the next message")
        self.made.flush(0)
        future.result(SOON)
        assert "the next message" in bodies(self.stage)

    def check_way(self, way: str) -> None:
        """What was sent after the first request went this way."""
        first = 1  # or another, after credentials that were refused: of another client
        assert (went(self.ours) > 0) == (way == DIRECT), count(self.ours)
        assert sum(count(self.ours).values()) - went(self.ours) <= first


def bodies(stage: Stage) -> list[str]:
    """The texts that were stored."""
    found = texts(stage.proxy.stored())
    return [json.loads(text)["text"] for text in found] if stage.service == "events" else found


def counted(future: publisher.PublishFuture) -> list[str | None]:
    """The error codes of the tries that the policy counts."""
    return [attempt.error_code for attempt in future.attempts if not attempt.split]


def options(fault: Fault, **more: Any) -> dict[str, Any]:
    return {
        "connect_timeout": fault.connect_timeout,
        "read_timeout": fault.read_timeout,
        "delivery_timeout": fault.delivery_timeout,
        "linger": 60,
        **more,
    }


@pytest.mark.parametrize(("fault", "service"), named(CASES))
def test_a_fault_that_stays(
    stage: Callable[[str], Stage], endpoint: Endpoint, fault: Fault, service: str, way: str
) -> None:
    on = stage(service)
    fault.start(on)
    code = fault.of(fault.code, service)
    with publishing(**options(fault, retry=tries(2))) as made:
        play = Play(made, on, endpoint)
        play.open(fault)
        futures = play.run()
        assert play.seconds <= fault.within + SOON / 2  # a busy machine
        for index, future in enumerate(futures):
            assert future.done()
            if index not in fault.hit or not fault.of(fault.ends, service):
                assert future.result(0)
                assert counted(future) == [None]
                continue
            if not fault.raises(service):
                (entry,) = future.result(0)["Entries"]
                assert entry["ErrorCode"] == code
                assert counted(future) == [code] * fault.tries
                continue
            error = future.exception(0)
            assert error is not None
            names = {each.__name__ for each in type(error).__mro__}
            assert fault.of(fault.ends, service) in names, names
            assert counted(future) == [code] * fault.tries
            if fault.final and fault.tries:
                assert not isinstance(error, publisher.DeliveryError)
            else:
                assert isinstance(error, publisher.DeliveryError)
                assert error.outcome_unknown == (fault.twice or fault.careful)
        on.heal()
        if fault.name == "no credentials":  # asked for again after a second
            until(lambda: not isinstance(once_more(play), Exception))
        play.check_next_message()
        play.check_way(way)
        assert made.flush(SOON) == 0
        ended = [future.exception(0) for future in futures]
        total = made.stats().total
        assert total.failed + total.dropped >= len(ended) - ended.count(None)


def once_more(play: Play) -> Any:
    future = send(play.ours, play.stage, "once more")
    play.made.flush(0)
    return future.exception(SOON)


@pytest.mark.parametrize(("fault", "service"), named(PASSING))
def test_a_fault_that_passes(
    stage: Callable[[str], Stage], endpoint: Endpoint, fault: Fault, service: str, way: str
) -> None:
    on = stage(service)
    fault.start(on)
    code = fault.of(fault.code, service)

    def wait(state: tenacity.RetryCallState) -> float:
        on.heal()
        return fault.pause

    with publishing(**options(fault, retry=publisher.retry_policy(wait=wait))) as made:
        play = Play(made, on, endpoint)
        play.open(fault)
        for index, future in enumerate(play.run()):
            assert future.result(0)["ResponseMetadata"]["HTTPStatusCode"] == 200
            wanted = [code, None] if code and index in fault.hit else [None]
            assert counted(future) == wanted
            assert fault.splits or counted(future) == codes(future)
            for attempt in future.attempts[:-1]:
                assert attempt.outcome_unknown == (fault.twice or fault.careful)
        on.heal()
        play.check_next_message()
        play.check_way(way)
        assert made.flush(SOON) == 0
        ledger = made.stats().total
        assert ledger.delivered == ledger.accepted == 3 + NEIGHBOURS + 1 + play.before
        assert fault.splits or ledger.retries == (len(fault.hit) if code else 0)
    copies = Counter(bodies(on))
    for index in range(3):
        again = fault.twice and index in fault.hit
        assert copies[f"message {index}"] == (2 if again else 1)


# What takes more than one message to show


@pytest.mark.parametrize("service", ["sns", "kinesis"])
def test_every_future_ends_with_all_workers_stuck(endpoint: Endpoint, service: str) -> None:
    """Dripping answers outlast read_timeout and hold every worker."""
    timeout = 1
    endpoint.script(Answer(drip=BRIEF / 5))
    with publishing(
        connect_timeout=0.2,
        read_timeout=BRIEF,
        delivery_timeout=timeout,
        max_workers=3,
        linger=0,
        retry=tries(3),
    ) as made:
        ours = client_of(made, service, endpoint.url)
        futures: list[publisher.PublishFuture] = []
        for number in (1, 2, 3):
            futures.append(publish(ours, f"{number}"))
            endpoint.wait_for(lambda number=number: endpoint.request_count >= number)
        behind = [publish(ours, f"behind {i}") for i in range(50)]
        began = Watch()
        concurrent.futures.wait([*futures, *behind], SOON)
        assert began.seconds < timeout + 0.2 + BRIEF + SOON / 2
        for future in (*futures, *behind):
            error = future.exception(0)
            assert isinstance(error, publisher.DeliveryTimeout)
        for future in behind:  # no worker was left to carry it
            error = future.exception(0)
            assert isinstance(error, publisher.DeliveryTimeout)
            assert not error.outcome_unknown
        quick = Watch()
        assert made.flush(SOON) == 0  # nothing is unresolved, though workers are stuck
        assert quick.seconds < SOON / 2
        ledger = made.stats().total
        assert ledger.failed + ledger.dropped == ledger.accepted
        assert ledger.dropped_by_reason["expired"] == ledger.dropped
        endpoint.close()  # the connections end, the workers are free


def test_a_lookup_that_hangs_is_no_longer_waited_for(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """getaddrinfo knows no time-out: connect_timeout does not cover it."""
    import socket

    release, original = threading.Event(), socket.getaddrinfo

    def look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host == "sns.hangs.invalid":
            release.wait(SOON)
            host = "127.0.0.1"
        return original(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with publishing(
        connect_timeout=0.2, read_timeout=BRIEF, delivery_timeout=0.3, linger=0
    ) as made:
        stuck = publish(
            client_of(made, "sns", f"http://sns.hangs.invalid:{endpoint.port}"), "stuck"
        )
        healthy = client_of(made, "sns", endpoint.url).with_options(delivery_timeout=SOON)
        beside = publish(healthy, "beside")
        watch = Watch()
        assert beside.result(SOON)["MessageId"]
        assert isinstance(stuck.exception(SOON), publisher.DeliveryTimeout)
        assert watch.seconds < SOON / 2
        release.set()


@pytest.mark.parametrize("service", ["sns", "kinesis"])
def test_a_stalled_destination_leaves_workers_to_the_others(
    endpoint: Endpoint, service: str
) -> None:
    """While several are busy, none holds more than half the workers."""
    gate, start = threading.Event(), threading.Event()
    with Endpoint() as stalled:
        stalled.script(Answer(hold=gate))
        endpoint.script(lambda request: Answer(hold=start) if request.number == 1 else None)
        with publishing(max_workers=4, linger=0, read_timeout=SOON) as made:
            slow = client_of(made, service, stalled.url)
            quick = client_of(made, service, endpoint.url)
            good = [publish(quick, "first")]
            endpoint.wait_for(lambda: endpoint.request_count == 1)
            waiting = [publish(slow, f"{i}") for i in range(2_000)]
            stalled.wait_for(lambda: stalled.request_count == 2)
            good += [publish(quick, f"{i}") for i in range(2_000)]
            start.set()
            for future in good:
                assert future.result(SOON)
            gate.set()
            stalled.script(None)
            for future in waiting:
                future.result(SOON)


def test_a_fault_between_good_requests_harms_only_its_own(
    moto_server: Moto, kinesalite: Kinesalite, proxy: Callable[..., FaultProxy]
) -> None:
    """Every third request meets another fault; all is delivered in the end."""
    faults = [
        Answer(reset="before"),
        Answer(error=None, failures={0: "InternalFailure"}),
        Answer(reset="after"),
        Answer(truncate=10),
        Answer(body=b"<html>"),
    ]

    def script(request: Any) -> Answer | None:
        if request.operation not in BATCHES or request.number % 3:
            return None
        return faults[request.number // 3 % len(faults)]

    topic = moto_server.client("sns").create_topic(Name=f"t-{uuid.uuid4().hex}")["TopicArn"]
    stream = kinesalite.stream()
    fronts = proxy(moto_server.url), proxy(kinesalite.url)
    for front in fronts:
        front.script(script)
    with publishing(linger=0.01) as made:
        sns = client_of(made, "sns", fronts[0].url)
        kinesis = client_of(made, "kinesis", fronts[1].url)
        futures = []
        for i in range(200):
            futures.append(sns.publish(TopicArn=topic, Message=f"{i}"))
            futures.append(
                kinesis.put_record(StreamName=stream, Data=b"%d" % i, PartitionKey=f"{i}")
            )
        for future in futures:
            future.result(SOON)
    wanted = {f"{i}" for i in range(200)}
    for front in fronts:
        assert set(texts(front.stored())) == wanted
    assert {record["Data"].decode() for record in kinesalite.records(stream)} == wanted


def test_the_table_in_the_docs_is_up_to_date() -> None:
    from tests import fault_table

    assert fault_table.PATH.read_text() == fault_table.render(), (
        "docs/faults.md is not what the tests say: run `python -m tests.fault_table`"
    )


def test_the_names_of_the_faults_are_their_own() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
