"""The sender's half: the dispatcher's turn, and that of a worker."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from .._account.describing import errors_of
from .._account.ledger import Account
from .._account.telling import Teller
from .._log_lines import OPENERS, quiet
from .barrier import Barrier
from .ends import DELIVERED, FAILED, SPOOLED, broken, expired, overdue
from .outcomes import Report
from .patience import Patience
from .reentrance import ENTRIES
from .request import Request
from .scheduler import Scheduler, Turn
from .send import perform
from .settle import Settler
from .split import Remainder
from .state import is_live
from .tracker import Tracker

logger = logging.getLogger("publisher")


class Sender:
    """Sends what is due, and sees what it carries to its end or back into its lane.

    Args:
        clock: seconds, never going back.
        look: that clock, where deadlines are judged by it.
        wall: seconds since the epoch, for people.
        account: where requests are counted.
        teller: of the hooks.
        tracker: told of what has ended.
        scheduler: says what is due.
        patience: told that a service has answered.
        settler: ends messages.
        barrier: told that messages have ended.
        runtime: runs hooks, and wakes the dispatcher.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        look: Callable[[], float],
        wall: Callable[[], float],
        account: Account,
        teller: Teller,
        tracker: Tracker,
        scheduler: Scheduler,
        patience: Patience,
        settler: Settler,
        barrier: Barrier,
        runtime: Any,
    ) -> None:
        self._clock = clock
        self._look = look
        self._wall = wall
        self._account = account
        self._teller = teller
        self._tracker = tracker
        self._scheduler = scheduler
        self._patience = patience
        self._settler = settler
        self._barrier = barrier
        self._runtime = runtime

    def step(self) -> tuple[list[Request], float]:
        """The dispatcher's turn.

        Returns:
            the requests to hand to workers, and when to look again, on the core's clock.
        """
        self._settler.finish_for_callers()
        turn = self._scheduler.step(self._look())
        self._end_late(turn)
        return turn.requests, self._scheduler.alarm

    def work(self, request: Request) -> Request | None:
        """A worker's turn: send one request, see its messages to their ends.

        Returns the worker's next request.
        """
        remainder = Remainder()
        try:
            with quiet():
                if self._teller.brackets:
                    report = self._teller.bracket(request, partial(self._perform, request))
                else:
                    report = self._perform(request)
            remainder = report.remainder
            if report.answered:
                self._patience.note_answer()
            self._count(request, report)
            ended = report.delivered
            # A chunk that is delivered as one is alone.
            delivered = ended[0].count if len(ended) == 1 else len(ended)
            late = delivered - self._settler.settle(
                report.delivered,
                report.values,
                DELIVERED,
                size=report.size if report.whole and delivered == report.count else None,
            )
            if late:
                self._runtime.call([(self._log_late, (request.lane.target.key, late))])
            if report.failed:
                failed, values = zip(*report.failed, strict=True)
                self._settler.settle(failed, values, FAILED)
            if report.staying:
                staying, values = zip(*report.staying, strict=True)
                remainder.stays = staying
                self._settler.settle(staying, values, SPOOLED)
        except BaseException:
            # A fault of ours must not leave a future hanging: end what the request carried and go
            # on.
            logger.critical("a request could not be handled; its messages fail", exc_info=True)
            remainder.retries.clear()
            remainder.pieces.clear()
            remainder.stays = [
                message
                for message in request.messages
                if message.kept is not None and is_live(message)
            ]
            self._settler.settle_each(request.messages, broken)
        turn = self._scheduler.complete(request, remainder, self._clock())
        self._end_late(turn)
        self._barrier.answer()
        if turn.wake:
            self._runtime.wake()
        return turn.requests[0] if turn.requests else None

    @staticmethod
    def _log_late(item: tuple[str, int]) -> None:
        logger.info("%s: %d messages were delivered after they had been given up", *item)

    def _perform(self, request: Request) -> Report:
        return perform(request, self._look, self._wall)

    def _count(self, request: Request, report: Report) -> None:
        if not report.sent_as:  # everything in it was given up before it went out
            return
        counters = request.lane.counters
        resent = len([1 for message in request.messages if len(message.history) > 1])
        with self._account.lock:
            counters.requests += 1
            counters.bytes_sent += report.size
            counters.retries += resent
            if report.failed or report.retried:
                counters.note_errors(*errors_of(report))
        if calls := self._teller.sent(request, report):
            self._runtime.call(calls)

    def _end_late(self, turn: Turn) -> None:
        """End what ran out of time."""
        for late, build in ((turn.expired, expired), (turn.overdue, overdue)):
            if late:
                try:
                    self._settler.settle_each(late, build)
                except Exception:  # the requests of this turn must go out all the same
                    logger.critical("messages could not be ended", exc_info=True)
                self._tracker.settled(late)
        if turn.expired or turn.overdue:
            self._barrier.answer()


OPENERS.add(Sender.work.__code__)
ENTRIES.update(call.__code__ for call in (Sender.step, Sender.work))
