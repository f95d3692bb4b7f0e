"""flush, close, configure, the ledger, hooks and callbacks."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import copy
import dataclasses
import gc
import logging
import math
import pickle
import sys
import threading
import warnings
from typing import Any

import pytest
import tenacity

import publisher
from publisher._threads import callbacks as _callbacks
from publisher._threads import exit as _exit
from tests.servers import Answer, Endpoint, Error
from tests.support import (
    FAST,
    SOON,
    TOPIC,
    Watch,
    assert_at_rest,
    assert_balanced,
    client_of,
    publish,
    publish_all,
    publishing,
    texts,
    tries,
    until,
)

pytestmark = pytest.mark.every_python(
    "threads are started, interrupted and ended in each Python's own way"
)


@pytest.fixture
def gate() -> Any:
    event = threading.Event()
    yield event
    event.set()


# flush


@pytest.mark.parametrize("service", ["sns", "kinesis"])
def test_flush_sends_what_lingers_and_waits(endpoint: Endpoint, service: str) -> None:
    with publishing(linger=60) as made:
        assert made.flush() == 0  # nothing was ever published
        ours = client_of(made, service, endpoint.url)
        futures = [publish(ours, f"{i}") for i in range(25)]
        assert made.flush(SOON) == 0
        assert all(future.done() for future in futures)
        assert made.flush(0) == 0
        gate = threading.Event()
        endpoint.script(Answer(hold=gate))
        again = publish(ours, "again")  # it lingers as before
        assert made.flush(0) == 1
        gate.set()
        assert made.flush(SOON) == 0
        assert again.result(0)


def test_flush_is_a_barrier(endpoint: Endpoint, gate: threading.Event) -> None:
    """It waits for what was accepted before the call, not for what comes after it."""
    endpoint.script(lambda request: Answer(hold=gate) if "late" in texts(request.entries) else None)
    with publishing(linger=0) as made, concurrent.futures.ThreadPoolExecutor(1) as pool:
        sns = client_of(made, "sns", endpoint.url)
        early = [publish(sns, f"{i}") for i in range(10)]
        core = made._core
        assert core is not None
        waiting = pool.submit(made.flush, SOON)
        until(lambda: core.barrier.waiting or waiting.done())
        late = publish(sns, "late", TOPIC + "-other")
        assert waiting.result(SOON) == 0
        assert all(future.done() for future in early)
        assert made.flush(0) == 1
        assert not late.done()
        gate.set()


@pytest.mark.parametrize("used", [False, True])
def test_a_timeout_that_is_none_is_refused_by_name(endpoint: Endpoint, used: bool) -> None:
    with publishing() as made:
        sns = client_of(made, "sns", endpoint.url)
        if used:
            publish(sns, "m").result(SOON)
        for call in (made.flush, made.close, sns.close, publisher.flush):
            with pytest.raises(TypeError, match=r"timeout must be .* or None, not str"):
                call("x")
            with pytest.raises(ValueError, match="not nan"):
                call(math.nan)
            assert call == made.close or call(-1) == 0
        assert repr(made).startswith("<Publisher open" if used else "<Publisher, nothing")


def test_flush_says_how_many_are_unresolved(endpoint: Endpoint, gate: threading.Event) -> None:
    endpoint.script(Answer(hold=gate))
    with publishing(max_workers=1) as made:
        sns = client_of(made, "sns", endpoint.url)
        for i in range(25):
            publish(sns, f"{i}")
        watch = Watch()
        assert made.flush(0.1) == 25
        assert watch.seconds < 10
        gate.set()


def test_flush_does_not_shorten_backoffs(endpoint: Endpoint) -> None:
    endpoint.script(
        lambda request: Answer(error=Error(500, "InternalFailure")) if request.number == 1 else None
    )
    policy = publisher.retry_policy(wait=tenacity.wait_fixed(0.4))
    with publishing(retry=policy, linger=60) as made:
        sns = client_of(made, "sns", endpoint.url)
        future = publish(sns, "m")
        assert made.flush(SOON) == 0
        assert future.attempts[1].started - future.attempts[0].started >= 0.4


def test_many_flushes_at_once(endpoint: Endpoint) -> None:
    with publishing(linger=60) as made, concurrent.futures.ThreadPoolExecutor(8) as pool:
        sns = client_of(made, "sns", endpoint.url)

        def work(i: int) -> bool:
            future = publish(sns, f"{i}")
            return made.flush(SOON) == 0 and future.done()

        assert all(pool.map(work, range(64)))


# close


def test_close_refuses_drains_and_stops(endpoint: Endpoint) -> None:
    made = publisher.Publisher(**{**FAST, "linger": 60})
    sns = client_of(made, "sns", endpoint.url)
    done: list[Any] = []
    futures = [publish(sns, f"{i}") for i in range(25)]
    for future in futures:
        future.add_done_callback(done.append)
    ledger = made.close(SOON)
    assert isinstance(ledger, publisher.Ledger)
    assert (ledger.accepted, ledger.delivered, ledger.outstanding) == (25, 25, 0)
    assert sorted(map(id, done)) == sorted(map(id, futures))  # the callbacks have run
    for call in (
        lambda: publish(sns, "late"),
        lambda: publish_all(sns, ["late"]),
        sns.list_topics,
        lambda: publish(made.client("sns", region_name="eu-west-1"), "late"),
        lambda: publish(sns.with_options(linger=0), "late"),
    ):
        with pytest.raises(publisher.PublisherClosed, match="closed"):
            call()
    watch = Watch()
    assert made.close() == made.close(0) == ledger  # idempotent, and at once
    assert made.flush() == 0
    assert watch.seconds < 5
    core = made._core
    assert core is not None
    for thread in core.runtime.crew.threads:
        thread.join(SOON)
        assert not thread.is_alive()
    assert futures[3].result(0)["MessageId"]
    assert_at_rest(made)


def test_close_without_a_message() -> None:
    made = publisher.Publisher()
    assert made.close() == publisher.Ledger()
    with pytest.raises(publisher.PublisherClosed):
        publish(made.client("sns", region_name="us-east-1"), "m")


def test_close_abandons_after_its_timeout(endpoint: Endpoint, gate: threading.Event) -> None:
    endpoint.script(Answer(hold=gate))
    made = publisher.Publisher(**{**FAST, "max_workers": 1, "linger": 0})
    sns = client_of(made, "sns", endpoint.url)
    carried = [publish(sns, f"carried {i}") for i in range(1)]
    endpoint.wait_for(lambda: endpoint.request_count == 1)
    other = client_of(made, "sns", endpoint.url).with_options(linger=60)
    waiting = [publish(other, f"waits {i}") for i in range(5)]
    watch = Watch()
    ledger = made.close(0.3)
    assert 0.25 < watch.seconds < 10
    for future in carried + waiting:
        error = future.exception(0)
        assert isinstance(error, publisher.PublisherClosed)
        assert error.outcome_unknown == (future in carried)
    assert (ledger.failed, ledger.dropped) == (1, 5)
    assert ledger.dropped_by_reason["closed"] == 5
    gate.set()  # the late answer changes nothing
    assert_at_rest(made)


def test_a_late_answer_is_logged_and_never_resolved_twice(
    endpoint: Endpoint, gate: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint.script(lambda request: Answer(hold=gate) if texts(request.entries) == ["m"] else None)
    options = {"connect_timeout": 0.1, "read_timeout": 0.1, "max_workers": 1}
    with publishing(**options) as made, caplog.at_level(logging.INFO, "publisher"):
        # a time-out of its own, so that the request outlasts its message
        config = publishing_config(read_timeout=SOON, connect_timeout=SOON)
        sns = client_of(made, "sns", endpoint.url, config=config)
        publish(sns, "the worker and the client are there").result(SOON)
        future = publish(sns.with_options(delivery_timeout=1, linger=0), "m")
        error = future.exception(SOON)
        assert isinstance(error, publisher.DeliveryTimeout)
        assert error.outcome_unknown
        gate.set()
        until(lambda: "after they had been given up" in caplog.text)
        made.close(SOON)
        assert future.exception(0) is error
        assert made.stats().total.failed == 1


def publishing_config(**options: Any) -> Any:
    from botocore.config import Config

    return Config(**options)


def test_a_publisher_is_a_context_manager(endpoint: Endpoint) -> None:
    made = publisher.Publisher(**{**FAST, "linger": 60})
    sns = client_of(made, "sns", endpoint.url)
    with contextlib.suppress(ZeroDivisionError), made as entered:
        assert entered is made
        future = publish(sns, "m")
        assert 1 / 0
    assert future.result(0)["MessageId"]  # drained all the same
    with pytest.raises(publisher.PublisherClosed):
        publish(sns, "m")


def test_closing_from_two_threads(endpoint: Endpoint) -> None:
    made = publisher.Publisher(**{**FAST, "linger": 60})
    sns = client_of(made, "sns", endpoint.url)
    futures = [publish(sns, f"{i}") for i in range(100)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        ledgers = list(pool.map(lambda _: made.close(SOON), range(4)))
    assert {ledger.delivered for ledger in ledgers} == {100}
    assert all(future.done() for future in futures)


def _forget(last: list[publisher.Publisher]) -> None:
    last.clear()
    gc.collect()


def test_an_unclosed_publisher_says_so_and_still_delivers(endpoint: Endpoint) -> None:
    made = publisher.Publisher(**{**FAST, "linger": 60, "close_timeout": SOON})
    future = publish(client_of(made, "sns", endpoint.url), "m")
    last = [made]
    del made
    with pytest.warns(ResourceWarning, match="unclosed <Publisher"):
        _forget(last)
    assert future.result(SOON)["MessageId"]


def test_an_unclosed_publisher_is_closed_also_where_warnings_are_errors(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = publisher.Publisher(**{**FAST, "linger": 60, "close_timeout": SOON})
    future = publish(client_of(made, "sns", endpoint.url), "m")
    assert made._core is not None
    runtime = made._core.runtime
    last = [made]
    del made
    raised: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told: raised.append(told.exc_type))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _forget(last)
    assert raised == [ResourceWarning]
    assert future.result(SOON)["MessageId"]
    until(lambda: not any(thread.is_alive() for thread in runtime.crew.threads))


def test_a_publisher_refuses_to_be_copied_and_pickled(endpoint: Endpoint) -> None:
    with publishing() as made:
        future = publish(client_of(made, "sns", endpoint.url), "m")
        for copied in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError, match="a Publisher cannot be pickled or copied"):
                copied(made)
        gc.collect()
        assert future.result(SOON)["MessageId"]
        assert publish(client_of(made, "sns", endpoint.url), "still open").result(SOON)


# configure


def test_configure_until_the_first_message(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "_default", publisher.Publisher())
    early = publisher.client("sns", endpoint_url=endpoint.url)  # binds late
    publisher.configure(linger=60)
    publisher.configure(max_workers=1, linger=0, delivery_timeout=7)
    assert publisher.client("sns", endpoint_url=endpoint.url) is early
    with pytest.raises(ValueError, match="linger"):
        publisher.configure(linger=-1)
    future = publish(early, "m")
    assert future.result(SOON)["MessageId"]
    assert future.route.delivery.timeout == 7
    with pytest.raises(RuntimeError, match="before the first message"):
        publisher.configure(linger=1)
    assert publisher.flush(SOON) == 0
    assert set(publisher.stats().destinations) == {"sns:us-east-1:orders"}
    ledger = publisher.close(SOON)
    assert (ledger.accepted, ledger.delivered) == (1, 1)
    with pytest.raises(publisher.PublisherClosed):
        publish(early, "m")
    publisher.configure()
    assert publisher.stats().total == publisher.Ledger()
    new = publisher.client("sns", endpoint_url=endpoint.url)
    assert new is not early
    with pytest.raises(publisher.PublisherClosed):  # old clients raise
        publish(early, "m")
    assert publish(new, "m").result(SOON)["MessageId"]
    publisher.close(SOON)


# the ledger


def test_the_ledger_balances_at_every_look(endpoint: Endpoint) -> None:
    def script(request: Any) -> Answer | None:
        if request.number % 5 == 0:
            return Answer(error=Error(500, "InternalFailure"))
        if request.number % 7 == 0:
            return Answer(error=Error(403, "AccessDenied"))
        return Answer(failures=dict.fromkeys(range(0, len(request.entries), 3), "Throttled"))

    endpoint.script(script)
    stop = threading.Event()
    looks = []

    def look() -> None:
        while not stop.is_set():
            assert_balanced(made.stats())
            looks.append(1)

    with (
        publishing(retry=tries(3), max_messages=200, on_full="drop") as made,
        concurrent.futures.ThreadPoolExecutor(6) as pool,
    ):
        sns = client_of(made, "sns", endpoint.url)
        watching = pool.submit(look)

        def work(thread: int) -> int:
            count = 0
            for i in range(150):
                future = publish(sns, f"{thread}-{i}", f"{TOPIC}-{thread % 2}")
                count += 1
                if i % 11 == 0:
                    future.cancel()
            return count

        accepted = sum(pool.map(work, range(4)))
        assert made.flush(SOON) == 0
        stop.set()
        watching.result(SOON)
        stats = made.stats()
    assert looks
    ledger = stats.total
    assert ledger.accepted == accepted == 600
    assert ledger.outstanding == 0
    assert ledger.delivered == len(endpoint.stored())
    assert ledger.requests == endpoint.request_count
    assert min(ledger.failed, ledger.delivered) > 0
    assert set(stats.destinations) == {"sns:us-east-1:orders-0", "sns:us-east-1:orders-1"}


def test_what_the_ledger_counts_of_a_message_on_its_way(
    endpoint: Endpoint, gate: threading.Event
) -> None:
    endpoint.script(Answer(hold=gate))
    with publishing() as made:
        kinesis = client_of(made, "kinesis", endpoint.url)
        future = publish(kinesis, "12345")  # and a key of as many
        endpoint.wait_for(lambda: endpoint.request_count == 1)
        ledger = made.stats().destinations["kinesis:us-east-1:clicks"]
        assert (ledger.outstanding, ledger.outstanding_bytes) == (1, 10)
        assert ledger.oldest_age > 0
        assert "outstanding 1" in str(ledger)
        gate.set()
        future.result(SOON)
        assert made.flush(SOON) == 0  # the request is back, not only its answer
        ledger = made.stats().total
        assert (ledger.outstanding, ledger.outstanding_bytes, ledger.oldest_age) == (0, 0, 0)
        assert (ledger.requests, ledger.bytes_sent, ledger.retries) == (1, 10, 0)
        assert sum(ledger.latency) == 1
        assert len(ledger.latency) == len(publisher.LATENCY_BOUNDS) + 1


# hooks


class Recorder:
    """Remembers every event, and the thread that told it."""

    def __init__(self) -> None:
        self.events: list[tuple[str, publisher.Event, str]] = []

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("on_"):
            raise AttributeError(name)
        return lambda event: self.events.append((name, event, threading.current_thread().name))

    def named(self, name: str) -> list[publisher.Event]:
        return [event for found, event, _ in self.events if found == name]


def test_hooks_are_told_everything(endpoint: Endpoint) -> None:
    endpoint.script(
        lambda request: (
            Answer(failures={0: "Throttled", 1: "AccessDenied"}) if request.number == 1 else None
        )
    )
    recorder = Recorder()
    with publishing(hooks=[recorder], linger=60) as made:
        sns = client_of(made, "sns", endpoint.url)
        attributes = {"a": {"DataType": "String", "StringValue": "v"}}
        retried = publish(sns, "retried", MessageAttributes=attributes)
        refused, _ = publish(sns, "refused"), publish(sns, "good")
        made.flush(SOON)
        lingering = publish(sns.with_options(linger=60), "dropped")
        made.close(0)
        assert isinstance(lingering.exception(0), publisher.PublisherClosed)
    assert [event.params["Message"] for event in recorder.named("on_accepted")] == [
        "retried",
        "refused",
        "good",
        "dropped",
    ]
    (again,) = recorder.named("on_retry")
    assert again.params == {
        "TopicArn": TOPIC,
        "Message": "retried",
        "MessageAttributes": attributes,
    }
    assert again.delay is not None
    assert again.delay > 0
    assert "Throttled" in str(again.exception)
    assert len(again.attempts) == 1
    delivered = {event.params["Message"]: event for event in recorder.named("on_delivered")}
    assert set(delivered) == {"retried", "good"}
    assert delivered["retried"].response == retried.result(0)
    assert [attempt.error_code for attempt in delivered["retried"].attempts] == ["Throttled", None]
    assert delivered["good"].size == 4
    (failed,) = recorder.named("on_failed")
    assert failed.exception is refused.exception()
    assert failed.params["Message"] == "refused"
    (dropped,) = recorder.named("on_dropped")
    assert dropped.reason == "closed"
    first, second = recorder.named("on_sent")
    assert (first.operation, first.messages, first.size) == ("publish_batch", 3, 7 + 7 + 4 + 8)
    assert (second.messages, second.params) == (1, {})
    for name, event, thread in recorder.events:
        assert event.service == "sns"
        assert event.destination == "sns:us-east-1:orders"
        caller = threading.current_thread().name
        assert thread == (caller if name == "on_accepted" else "publisher-callbacks")
        assert "retried" not in repr(event)  # private: no body in a repr
        with pytest.raises(dataclasses.FrozenInstanceError):
            event.size = 1  # type: ignore[misc]


def test_hooks_and_callbacks_that_raise_are_contained(
    endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    class Bad(Recorder):
        def __getattr__(self, name: str) -> Any:
            super().__getattr__(name)

            def raises(event: Any) -> None:
                raise SystemExit if name == "on_sent" else ZeroDivisionError

            return raises

    good = Recorder()
    with publishing(hooks=[Bad(), good]) as made:
        sns = client_of(made, "sns", endpoint.url)
        futures = [publish(sns, f"{i}") for i in range(3)]
        called: list[Any] = []
        futures[0].add_done_callback(lambda _: 1 / 0)
        futures[0].add_done_callback(called.append)
        for future in futures:
            assert future.result(SOON)["MessageId"]
        made.close(SOON)
    assert called == [futures[0]]
    assert len(good.named("on_delivered")) == 3
    assert len(good.named("on_sent")) == len(endpoint.requests)
    assert sum("raised" in line for line in caplog.messages) >= 3 + 3 + 1


def test_user_code_on_our_thread_may_publish_flush_and_close(endpoint: Endpoint) -> None:
    found: dict[str, Any] = {}
    done = threading.Event()

    def callback(future: Any) -> None:
        found["thread"] = threading.current_thread().name
        found["again"] = publish(sns, "from the callback")
        found["flush"] = made.flush(SOON)  # at once: nobody could answer
        flushed.set()
        found["seconds"] = watch.seconds
        found["close"] = made.close(SOON)
        done.set()

    added, flushed = threading.Event(), threading.Event()
    endpoint.script(lambda request: Answer(hold=added if request.number == 1 else flushed))
    with publishing(linger=1) as made:
        sns = client_of(made, "sns", endpoint.url)
        future = publish(sns.with_options(linger=0), "first")
        watch = Watch()
        future.add_done_callback(callback)
        added.set()
        assert done.wait(SOON)
        assert found["thread"] == "publisher-callbacks"
        assert found["flush"] == 1
        assert found["seconds"] < SOON / 2
        assert found["again"].result(SOON)["MessageId"]
    assert texts(endpoint.stored()) == ["first", "from the callback"]


def test_a_callback_added_after_the_end_runs_in_the_caller(endpoint: Endpoint) -> None:
    threads = []
    with publishing() as made:
        future = publish(client_of(made, "sns", endpoint.url), "m")
        future.result(SOON)
        future.add_done_callback(lambda _: threads.append(threading.current_thread()))
    assert threads == [threading.current_thread()]


def test_a_slow_callback_is_named_and_delays_only_callbacks(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_callbacks, "_SLOW", 0.05)
    added, entered, release = threading.Event(), threading.Event(), threading.Event()
    endpoint.script(lambda request: Answer(hold=added) if request.number == 1 else None)

    def slow_one(future: Any) -> None:
        entered.set()
        release.wait(SOON)

    with publishing() as made:
        sns = client_of(made, "sns", endpoint.url)
        first = publish(sns, "first")
        first.add_done_callback(slow_one)
        added.set()
        first.result(SOON)
        assert entered.wait(SOON)
        for i in range(10):
            publish(sns, f"{i}").result(SOON)  # meanwhile
        threading.Timer(0.1, release.set).start()
        assert release.wait(SOON)
    assert any("slow_one took" in line for line in caplog.messages)


def test_the_logging_hook(endpoint: Endpoint, caplog: pytest.LogCaptureFixture) -> None:
    endpoint.script(
        lambda request: Answer(error=Error(500, "InternalFailure")) if request.number == 1 else None
    )
    lines = logging.getLogger("mine")
    with (
        caplog.at_level(logging.DEBUG, "mine"),
        publishing(hooks=[publisher.LoggingHook(lines)]) as made,
    ):
        sns = client_of(made, "sns", endpoint.url)
        publish(sns, "squirrel").result(SOON)
        endpoint.script(Answer(error=Error(403, "AccessDenied")))
        publish(sns, "squirrel").exception(SOON)
        publish(sns.with_options(linger=60), "squirrel")
        made.close(0)
    found = [record for record in caplog.records if record.name == "mine"]
    events = [getattr(record, "event", "") for record in found]
    assert sorted(events) == ["publisher.dropped", "publisher.failed", "publisher.retry"]
    levels = {getattr(record, "event", ""): record.levelno for record in found}
    assert levels["publisher.failed"] == levels["publisher.dropped"] == logging.WARNING
    assert levels["publisher.retry"] == logging.INFO
    assert "squirrel" not in caplog.text
    failed = next(record for record in found if record.event == "publisher.failed")  # type: ignore[attr-defined]
    assert "AccessDenied" in failed.getMessage()
    assert "sns:us-east-1:orders" in failed.getMessage()


def test_a_lost_message_is_logged_once_for_many(
    endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint.script(Answer(error=Error(403, "AccessDenied", "squirrel\n\x85")))
    with publishing() as made:
        sns = client_of(made, "sns", endpoint.url)
        for future in [publish(sns, f"body-{i}") for i in range(100)]:
            future.exception(SOON)
    lost = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(lost) <= 2
    assert "body-" not in caplog.text
    assert "\x85" not in caplog.text
    assert "AccessDenied" in lost[0].getMessage()


# what is raised where nobody expects it, and threads that cannot be had


class Interrupted(collections.deque):  # type: ignore[type-arg]
    """Ctrl-C hits just after something was appended, once."""

    hit = False

    def append(self, item: Any) -> None:
        super().append(item)
        self._interrupt()

    def extend(self, items: Any) -> None:
        super().extend(items)
        self._interrupt()

    def _interrupt(self) -> None:
        if not self.hit:
            self.hit = True
            raise KeyboardInterrupt


@pytest.mark.parametrize("call", [publish, lambda sns, text: publish_all(sns, [text, "b"])])
@pytest.mark.parametrize("where", ["inbox", "touched"])
def test_a_message_that_ctrl_c_found_on_its_way_in_is_delivered(
    endpoint: Endpoint, where: str, call: Any
) -> None:
    with publishing(linger=0) as made:
        sns = client_of(made, "sns", endpoint.url)
        publish(sns, "first").result(SOON)
        assert made.flush(SOON) == 0
        assert made._core is not None
        if where == "inbox":
            (route,) = sns._routes.values()
            route.inbox = Interrupted()
        else:
            made._core.tracker.touched = Interrupted()
        with pytest.raises(KeyboardInterrupt):
            call(sns, "interrupted")
        endpoint.wait_for(lambda: "interrupted" in texts(endpoint.stored()), SOON / 2)
        assert publish(sns, "next").result(SOON)["MessageId"]


def test_ctrl_c_while_the_first_message_starts_the_threads(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    register, hits = _exit.register, []

    def interrupted(threads: Any) -> None:
        if not hits:
            hits.append(threads)
            raise KeyboardInterrupt
        register(threads)

    monkeypatch.setattr(_exit, "register", interrupted)
    with publishing() as made:
        sns = client_of(made, "sns", endpoint.url)
        with pytest.raises(KeyboardInterrupt):
            publish(sns, "first")
        assert publish(sns, "second").result(SOON)["MessageId"]
        assert made.flush(SOON) == 0
    assert sorted(texts(endpoint.stored())) == ["first", "second"]


def test_where_only_some_workers_can_be_had_they_do_it_all(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit, started = concurrent.futures.ThreadPoolExecutor.submit, []

    def few(self: Any, *args: Any) -> Any:
        if self._thread_name_prefix == _exit.WORKERS:
            if len(started) == 2:
                raise RuntimeError("can't start new thread")
            started.append(args)
        return submit(self, *args)

    monkeypatch.setattr(concurrent.futures.ThreadPoolExecutor, "submit", few)
    with publishing(linger=0) as made:
        sns = client_of(made, "sns", endpoint.url)
        futures = [publish(sns, f"{i}", f"{TOPIC}-{i % 7}") for i in range(300)]
        for future in futures:
            assert future.result(SOON)["MessageId"]
        assert made._core is not None
        assert made._core.scheduler.shares.workers == 2


def test_a_message_that_comes_in_while_another_thread_closes_is_told_to_the_hooks(
    endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    reached, closed = threading.Event(), threading.Event()

    class Slow(Recorder):
        def on_accepted(self, event: publisher.Event) -> None:
            if event.params["Message"] == "slow":
                reached.set()
                closed.wait(SOON)

    recorder = Slow()
    made = publisher.Publisher(**FAST, hooks=[recorder])
    sns = client_of(made, "sns", endpoint.url)
    publish(sns, "first").result(SOON)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        slow = pool.submit(publish, sns, "slow")
        assert reached.wait(SOON)
        made.close(SOON)
        closed.set()
        future = slow.result(SOON)
    assert isinstance(future.exception(SOON), publisher.PublisherClosed)
    until(lambda: recorder.named("on_dropped"))
    until(lambda: "1 message to sns:us-east-1:orders dropped" in caplog.text)
