"""Signals and hooks: told of what became of a message, on a thread that leaks no connection."""

from __future__ import annotations

import threading
from typing import Any

from django.db import connection
from django.test import TransactionTestCase

import publisher
import tests.contrib.site.suite  # noqa: F401
from publisher.contrib.django import client, delivered, dropped, failed, publishers, spooled
from publisher.contrib.django._hooks import SignalsHook
from tests.contrib.site import hooks
from tests.contrib.site.models import Note
from tests.servers import Endpoint
from tests.support import SOON, TOPIC


class Listener:
    """Collects what a signal sends."""

    def __init__(self, case: Any, signal: Any) -> None:
        self.told: list[dict[str, Any]] = []
        self._came = threading.Condition()
        self.__qualname__ = type(self).__qualname__  # Django names a receiver that raises
        signal.connect(self, weak=False)
        case.addCleanup(signal.disconnect, self)

    def __call__(self, **told: Any) -> None:
        self.act(told)
        with self._came:
            self.told.append(told)
            self._came.notify_all()

    def act(self, told: dict[str, Any]) -> None: ...

    def wait(self, count: int) -> None:
        with self._came:
            assert self._came.wait_for(lambda: len(self.told) >= count, SOON), self.told


class SignalsTests(TransactionTestCase):
    def setUp(self) -> None:
        self.endpoint = Endpoint()
        self.addCleanup(self.endpoint.close)
        self.sns = client("sns", endpoint_url=self.endpoint.url)
        self.addCleanup(self.sns.close)

    def publish(self, text: str = "x") -> Any:
        return self.sns.publish(TopicArn=TOPIC, Message=text)

    def test_delivered(self) -> None:
        listener = Listener(self, delivered)
        response = self.publish("told").result(SOON)
        listener.wait(1)
        (told,) = listener.told
        self.assertEqual(told["using"], "default")
        self.assertIs(told["sender"], publisher.Publisher)
        self.assertEqual(told["event"].response["MessageId"], response["MessageId"])
        self.assertEqual(told["event"].params["Message"], "told")

    def test_failed(self) -> None:
        listener, other = Listener(self, failed), Listener(self, delivered)
        self.endpoint.client("sns").delete_topic(TopicArn=TOPIC)
        self.assertIsInstance(self.publish().exception(SOON), Exception)
        listener.wait(1)
        self.assertIsInstance(
            listener.told[0]["event"].exception, self.sns.exceptions.NotFoundException
        )
        self.assertEqual(other.told, [])

    def test_dropped_and_the_alias(self) -> None:
        listener = Listener(self, dropped)
        with self.settings(
            AWS_PUBLISHER={"small": {"MAX_MESSAGES": 1, "ON_FULL": "drop", "LINGER": 60}}
        ):
            sns = client("sns", using="small", endpoint_url=self.endpoint.url)
            for _ in range(2):
                sns.publish(TopicArn=TOPIC, Message="x")
            listener.wait(1)
        self.assertEqual(listener.told[0]["event"].reason, "buffer_full")
        self.assertEqual(listener.told[0]["using"], "small")

    def test_spooled(self) -> None:
        listener = Listener(self, spooled)
        event = publisher.Event(service="sns", operation="publish", destination="d")
        SignalsHook("small").on_spooled(event)
        listener.wait(1)
        self.assertEqual((listener.told[0]["event"], listener.told[0]["using"]), (event, "small"))

    def test_a_receiver_that_raises_stops_no_other(self) -> None:
        class Raising(Listener):
            def act(self, told: Any) -> None:
                raise ValueError("the receiver's own")

        Raising(self, delivered)
        second = Listener(self, delivered)
        with self.assertLogs("django.dispatch", "ERROR"):
            self.publish().result(SOON)
            second.wait(1)

    def test_the_orm_in_receivers_leaks_no_connection(self) -> None:
        before: list[bool] = []

        class Writing(Listener):
            def act(self, told: Any) -> None:
                before.append(connection.connection is not None)
                Note.objects.create(text=told["event"].params["Message"])

        listener = Writing(self, delivered)
        for i in range(3):
            self.publish(f"signal {i}").result(SOON)
            listener.wait(i + 1)
        self.assertEqual(Note.objects.filter(text__startswith="signal").count(), 3)
        self.assertEqual(before, [False, False, False])

    def test_nor_in_hooks(self) -> None:
        listener = Listener(self, delivered)  # signals come after the hooks of the settings
        (hook,) = (each for each in hooks.seen if each.prepared is self.recorder().prepared)
        hook.open.clear()
        for i in range(3):
            self.publish(f"note {i}").result(SOON)
            listener.wait(i + 1)
        self.assertEqual(Note.objects.filter(text__startswith="note").count(), 3)
        self.assertEqual(hook.open, [False, False, False])

    def test_what_else_a_hook_has_is_kept(self) -> None:
        hook = self.recorder()
        hook.prepared.clear()
        self.publish().result(SOON)
        self.assertEqual(hook.prepared, ["publish"])

    @staticmethod
    def recorder() -> hooks.Recorder:
        found = publishers["default"]._options.hooks[0].hook
        assert isinstance(found, hooks.Recorder)
        return found
