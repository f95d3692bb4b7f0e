"""Hooks are told once of each thing, on the right thread, and cannot do harm."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from botocore.exceptions import ClientError

from publisher import Event, Hook, LoggingHook, Publisher, StillSpooled
from publisher._engine.contract import EntryError
from publisher.hooks import HOOK_METHODS, check_hook, hook_methods

from .hand import Bench, Wire

THROTTLED = EntryError("Throttling", "slow down", False)


class Recorder:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Event]] = []

    def __getattr__(self, name: str) -> Any:
        if name not in HOOK_METHODS:
            raise AttributeError(name)
        return lambda event: self.events.append((name, event))

    def told(self, name: str) -> list[Event]:
        return [event for told, event in self.events if told == name]


def bench_with(*hooks: Any, **options: Any) -> Bench:
    return Bench(hooks=hooks, **options)


def throttled_once() -> Wire:
    wire = Wire()
    answers = iter([THROTTLED, None])
    wire.reply = lambda wire, entries: [next(answers) or {"MessageId": e.name} for e in entries]
    return wire


def test_a_delivered_message() -> None:
    recorder = Recorder()
    bench = bench_with(recorder)
    wire = Wire()

    def reply(wire: Wire, entries: Any) -> Any:
        bench.clock.now += 0.5
        return [{"MessageId": entry.name} for entry in entries]

    wire.reply = reply
    future = bench.publish(bench.route(wire), "m", 7)
    assert [name for name, _ in recorder.events] == ["on_accepted"]
    bench.hand.settle()
    assert [name for name, _ in recorder.events] == ["on_accepted", "on_sent", "on_delivered"]
    accepted, sent, delivered = (event for _, event in recorder.events)
    assert accepted.params == delivered.params == {"Message": "m"}
    assert accepted.size == sent.size == delivered.size == 7
    assert (accepted.operation, sent.operation) == ("publish", "publish_batch")
    assert sent.messages == 1
    assert sent.duration == delivered.duration == 0.5
    assert sent.params == {}
    assert delivered.response == future.result(0)
    assert delivered.attempts == future.attempts
    assert {event.destination for _, event in recorder.events} == {"sns:test-region:topic"}
    assert {event.service for _, event in recorder.events} == {"sns"}


def test_a_retry_and_its_delay() -> None:
    recorder = Recorder()
    bench = bench_with(recorder)
    future = bench.publish(bench.route(throttled_once()), "m")
    bench.hand.settle()
    [retry] = recorder.told("on_retry")
    assert isinstance(retry.exception, ClientError)
    assert retry.exception.response["Error"]["Code"] == "Throttling"
    assert retry.delay == future.attempts[1].delay
    assert [event.errors for event in recorder.told("on_sent")] == [{"Throttling": 1}, {}]


def test_what_is_told_late_was_true_when_it_happened() -> None:
    recorder = Recorder()
    bench = bench_with(recorder)
    future = bench.publish(bench.route(throttled_once()), "m", 7)
    bench.hand.run_calls = lambda: None  # type: ignore[method-assign]  # that thread is busy
    bench.hand.run(None, future.done)
    del bench.hand.run_calls  # type: ignore[method-assign]
    bench.hand.settle()
    first, second = future.attempts
    [retry] = recorder.told("on_retry")
    assert retry.attempts == (first,)
    assert (retry.params, retry.size) == ({"Message": "m"}, 7)
    sent = recorder.told("on_sent")
    assert [event.attempts for event in sent] == [(first,), (second,)]
    assert [event.errors for event in sent] == [{"Throttling": 1}, {}]


@pytest.mark.parametrize(
    ("how", "told", "reason"),
    [
        ("refused", "on_failed", None),
        ("expired", "on_dropped", "expired"),
        ("full", "on_dropped", "buffer_full"),
        ("closed", "on_dropped", "closed"),
        ("cancelled", None, None),
    ],
)
def test_what_is_not_delivered_is_told_once(how: str, told: str | None, reason: str | None) -> None:
    recorder = Recorder()
    places = 3 if how == "expired" else 1
    options = {"linger": 5, "delivery_timeout": 10, "max_messages": places, "max_workers": 1}
    bench = bench_with(recorder, on_full="drop", **options)
    if how == "expired":
        for _ in range(2):  # the worker, and the one in reserve
            bench.publish(bench.route(linger=0), "holds a worker")
            bench.hand.step()
    wire = Wire()
    wire.reply = lambda wire, entries: [EntryError("InvalidParameter", "no", True)]
    route = bench.route(wire)
    future = bench.publish(route, "m")
    if how == "refused":
        bench.core.flush(None)
    elif how == "expired":
        bench.hand.pass_time(11)
    elif how == "full":
        future = bench.publish(route, "other")
    elif how == "closed":
        bench.hand.wait = lambda *_: None  # type: ignore[method-assign]  # no time to send it
        bench.core.close(0)
    else:
        future.cancel()
    bench.hand.run_calls()
    ends = [
        (name, event)
        for name, event in recorder.events
        if name in ("on_delivered", "on_failed", "on_dropped")
    ]
    assert [name for name, _ in ends] == ([told] if told else [])
    for _, event in ends:
        assert event.reason == reason
        assert event.exception is future.exception(0)


def test_what_stays_on_disk_is_told_with_its_size_and_its_exception() -> None:
    recorder = Recorder()
    bench = bench_with(recorder)
    message = bench.publish(bench.route(), "m", 7)
    held = message.entry
    late = StillSpooled("kept on disk", last_code="Throttling")
    bench.core.settler.settle([message], [late], "dropped", "expired")
    for call, telling in bench.core.teller.ended("on_spooled", [(message, held, 7)], [], None, 3.0):
        call(telling)
    [event] = recorder.told("on_spooled")
    assert (event.params, event.size, event.operation) == ({"Message": "m"}, 7, "publish")
    assert event.exception is late
    assert event.duration == 3.0 - message.accepted
    assert (event.reason, event.error_code, event.response) == (None, None, None)
    assert bench.core.teller.wants("on_spooled")


def test_a_hook_that_raises_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def fail(self, event: Event) -> None:
            raise ZeroDivisionError

        on_accepted = on_sent = on_delivered = fail

    recorder = Recorder()
    bench = bench_with(Broken(), recorder)
    with caplog.at_level(logging.ERROR, "publisher"):
        future = bench.publish(bench.route(), "m")
        bench.hand.settle()
    assert future.result(0)["MessageId"] == "m"
    assert [name for name, _ in recorder.events] == ["on_accepted", "on_sent", "on_delivered"]
    assert "raised" in caplog.text
    bench.assert_at_rest()


def test_only_what_a_class_overrides_is_called() -> None:
    class Own(Hook):
        def on_failed(self, event: Event) -> None:
            pass

    own = Own()
    assert hook_methods((own, Hook()), "on_failed") == (own.on_failed,)
    assert hook_methods((own,), "on_sent") == ()
    for name in HOOK_METHODS:
        assert getattr(Hook(), name)(Event(service="", operation="", destination="")) is None


def test_a_misspelt_method_is_told_where_the_hook_is_passed() -> None:
    class Misspelt(Hook):
        def on_failed(self, event: Event) -> None: ...
        def on_delivred(self, event: Event) -> None: ...
        def on_startup(self) -> None: ...  # of somebody else's: nothing like ours

    with pytest.warns(UserWarning, match=r"Misspelt\.on_delivred is never .* on_delivered") as told:
        Publisher(hooks=[Misspelt()]).close()
    assert [each.filename for each in told] == [__file__]


@pytest.mark.parametrize("wrong", [object(), Hook, 3, None, type("Odd", (), {"on_sent": 1})()])
def test_what_is_no_hook_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError):
        check_hook(wrong)
    with pytest.raises(TypeError):
        bench_with(wrong)


class TestTheLoggingHook:
    def test_it_logs_no_content(self, caplog: pytest.LogCaptureFixture) -> None:
        bench = bench_with(LoggingHook(), delivery_timeout=1)
        wire = Wire()
        wire.reply = lambda wire, entries: [THROTTLED for _ in entries]
        with caplog.at_level(logging.DEBUG, "publisher.events"):
            bench.publish(bench.route(wire), "secret-body")
            bench.hand.settle()
        lines = [record for record in caplog.records if record.name == "publisher.events"]
        assert {record.levelno for record in lines} == {logging.INFO, logging.WARNING}
        assert {record.event for record in lines} == {"publisher.retry", "publisher.failed"}
        assert {record.error_code for record in lines} == {"Throttling"}
        assert "secret" not in caplog.text

    def test_its_lines_are_limited(self, caplog: pytest.LogCaptureFixture) -> None:
        hook = LoggingHook(logging.getLogger("mine"), logging.ERROR)
        event = Event(service="sns", operation="publish", destination="d", reason="closed")
        with caplog.at_level(logging.DEBUG, "mine"):
            for _ in range(5):
                hook.on_dropped(event)
            LoggingHook(logging.getLogger("mine"), interval=0).on_dropped(event)
        assert [record.name for record in caplog.records] == ["mine"] * 2

    def test_what_stays_on_disk_is_no_loss(self, caplog: pytest.LogCaptureFixture) -> None:
        hook = LoggingHook(logging.getLogger("mine"))
        relayed = Event(service="sns", operation="publish", destination="d", response={})
        late = Event(
            service="sns", operation="publish", destination="d", exception=StillSpooled("kept")
        )
        with caplog.at_level(logging.DEBUG, "mine"):
            hook.on_spooled(relayed)
            hook.on_spooled(late)
        [line] = caplog.records
        assert line.levelno == logging.INFO
        assert line.getMessage().startswith("spooled d: StillSpooled after 0 tries")
