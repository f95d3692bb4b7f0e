"""Retries and the pieces of split requests, without a lane around them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from publisher._engine.contract import Limits
from publisher._engine.lane import NEVER
from publisher._engine.message import Message
from publisher._engine.resend import Pieces, Retries, oldest_live
from publisher._engine.split import Remainder, Split, cut
from publisher._engine.state import LOCK, is_live

from .hand import Bench


def sent(count: int = 1, **options: float) -> tuple[Bench, list[Message]]:
    """Messages that a request has carried."""
    bench = Bench(**{"delivery_timeout": 10, **options})
    route = bench.route()
    for index in range(count):
        bench.publish(route, f"m{index}")
    return bench, route.lane.take(bench.clock.now)[0]


def end(bench: Bench, messages: list[Message]) -> None:
    bench.core.settler.settle(messages, [{}] * len(messages), "delivered")


def taken(retries: Retries, now: float, limits: Limits) -> list[Message]:
    with LOCK.rlock:
        return retries.take_locked(now, limits, lambda entry: entry.size)[0]


class TestRetries:
    def test_they_go_when_their_backoff_is_over_the_first_due_first(self) -> None:
        _, messages = sent(3)
        retries = Retries()
        for message, due in zip(messages, (1003.0, 1001.0, 1002.0), strict=True):
            retries.push(message, due)
        assert taken(retries, 1000.9, Limits(10, 100)) == []
        assert taken(retries, 1002.0, Limits(10, 100)) == [messages[1], messages[2]]
        assert taken(retries, 1003.0, Limits(10, 100)) == [messages[0]]
        assert not retries.heap

    def test_those_of_the_same_time_keep_their_order(self) -> None:
        _, messages = sent(5)
        retries = Retries()
        for message in messages:
            retries.push(message, 1001.0)
        assert taken(retries, 1001.0, Limits(10, 100)) == messages

    def test_a_request_takes_what_it_may_carry_and_says_what_is_left(self) -> None:
        _, messages = sent(3)
        retries = Retries()
        for message in messages:
            retries.push(message, 1001.0)
        with LOCK.rlock:
            answer = retries.take_locked(1001.0, Limits(5, 2), lambda entry: entry.size)
        batch, _, most = answer
        assert (batch, most) == (messages[:2], 2)  # and nothing else: the next had no room
        with LOCK.rlock:
            answer = retries.take_locked(1001.0, Limits(5, 7), lambda entry: entry.size)
        assert answer == (messages[2:], 6, 5)

    def test_one_waits_for_company_unless_it_is_flushed_or_would_come_too_late(self) -> None:
        _, [message] = sent(linger=2)
        retries = Retries()
        assert retries.due(-NEVER) == NEVER
        retries.push(message, 1001.0)
        assert retries.due(-NEVER) == 1003.0
        assert retries.due(1000.0) == 1001.0
        late = Retries()
        late.push(message, 1009.0)
        assert late.due(-NEVER) == 1009.0  # its deadline is at 1010


class TestPieces:
    def test_each_goes_alone_and_those_of_a_piece_after_the_first_three(self) -> None:
        _, messages = sent(6)
        pieces = Pieces()
        first, split = cut([[each] for each in messages], None, "InvalidParameter")
        pieces.push(Remainder(pieces=first, split=split))
        deeper, below = cut([[each] for each in first[2]], split, "InvalidParameter")
        assert pieces.take() == (first[0], split)
        pieces.push(Remainder(pieces=deeper, split=below))
        assert [pieces.take(), pieces.take()] == [(first[1], split), (first[2], split)]
        assert not pieces.may_go()
        assert pieces.take() is None
        for _ in first:
            split.note_back()
        assert pieces.may_go()
        assert [pieces.take(), pieces.take()] == [(deeper[0], below), (deeper[1], below)]
        assert not pieces.queue

    def test_what_has_ended_is_passed_over_and_let_go(self) -> None:
        bench, messages = sent(4)
        pieces, split = Pieces(), Split("InvalidParameter", 2)
        pieces.push(Remainder(pieces=[messages[:1], messages[1:]], split=split))
        end(bench, messages[:2])
        gone: list[Message] = []
        assert pieces.take(gone.extend) == (messages[2:], split)
        assert gone == messages[:2]
        assert pieces.take() is None
        split.note_back()  # the second; the first one is known not to come
        assert split.deeper().may_go


@settings(max_examples=100)
@given(st.data())
def test_no_deadline_is_missed_whatever_waits(data: st.DataObject) -> None:
    bench = Bench()
    lane = bench.route().lane
    retries, pieces = Retries(), Pieces()
    waiting: list[Message] = []
    for turn in range(data.draw(st.integers(1, 20))):
        action = data.draw(st.sampled_from(["retry", "piece", "end", "pass", "expire"]))
        if action in ("retry", "piece"):
            timeout = data.draw(st.integers(1, 9))
            route = lane.route(bench.core.delivery("sns", {"delivery_timeout": float(timeout)}))
            bench.publish(route, f"m{turn}")
            [message] = lane.take(bench.clock.now)[0]
            waiting.append(message)
            if action == "retry":
                retries.push(message, bench.clock.now + data.draw(st.integers(0, 5)))
            else:
                pieces.push(Remainder(pieces=[[message]]))
        elif action == "end" and waiting:
            end(bench, [data.draw(st.sampled_from(waiting))])
        elif action == "pass":
            bench.clock.now += data.draw(st.integers(1, 4))
        elif action == "expire":
            due = [message for message in waiting if message.deadline <= bench.clock.now]
            bound = min(retries.deadline, pieces.deadline)
            assert not due or bound <= bench.clock.now
            expired = [*retries.expire(bench.clock.now), *pieces.expire(bench.clock.now)]
            assert sorted(map(id, expired)) == sorted(map(id, due))
            waiting = [message for message in waiting if message not in due]
        assert sorted(map(id, [*retries, *pieces])) == sorted(map(id, waiting))
        deadline = min((message.deadline for message in waiting), default=NEVER)
        assert min(retries.deadline, pieces.deadline) <= deadline
        live = [message.accepted for message in waiting if is_live(message)]
        assert oldest_live([*retries, *pieces]) == min(live, default=NEVER)
    retries.clear()
    pieces.clear()
    assert (*retries, *pieces) == ()
    assert min(retries.deadline, pieces.deadline) == NEVER
