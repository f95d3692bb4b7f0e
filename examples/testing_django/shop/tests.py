"""Written from docs/testing.md and nothing else."""

import urllib.request

from django.conf import settings
from django.test import LiveServerTestCase, TestCase

import publisher
from publisher.testing import ALWAYS, as_json, call, capture, contains

from .models import Order


class PayTest(TestCase):
    """Paying announces the order, once it is committed."""

    def setUp(self) -> None:
        self.order = Order.objects.create(item="lamp")
        self.published = capture().start()
        self.addCleanup(self.published.stop)

    def pay(self) -> None:
        with self.captureOnCommitCallbacks(execute=True):
            response = self.client.post(f"/orders/{self.order.pk}/pay")
        self.assertEqual(response.status_code, 202)

    def test_the_order_is_announced(self) -> None:
        self.pay()

        (message,) = self.published.assert_sent(
            "sns",
            TopicArn=settings.ORDERS_TOPIC,
            Message=as_json({"order": self.order.pk, "item": "lamp"}),
            MessageAttributes=contains({"event": contains({"StringValue": "paid"})}),
        )
        self.published.assert_sent(
            "kinesis", StreamName=settings.AUDIT_STREAM, Data=contains(f"paid {self.order.pk}")
        )
        self.published.assert_nothing_else()
        self.published.assert_all_delivered()
        self.assertEqual(message.json()["item"], "lamp")

    def test_the_announcement_comes_before_the_trace(self) -> None:
        self.pay()

        self.published.assert_in_order(call("sns"), call("kinesis"))

    def test_nothing_is_said_before_the_commit(self) -> None:
        with self.captureOnCommitCallbacks(execute=False):
            self.client.post(f"/orders/{self.order.pk}/pay")

        self.published.assert_nothing_sent()

    def test_an_unknown_order_is_not_announced(self) -> None:
        response = self.client.post("/orders/999/pay")

        self.assertEqual(response.status_code, 404)
        self.published.assert_nothing_sent()

    def test_a_throttled_announcement_arrives_later(self) -> None:
        self.published.faults.throttle(3, service="sns")

        self.pay()

        future = self.published.find("sns")[0].future
        codes = [attempt.error_code for attempt in future.attempts]
        self.assertEqual(codes, ["Throttled"] * 3 + [None])
        self.published.assert_all_delivered()

    def test_after_two_minutes_it_is_given_up(self) -> None:
        self.published.faults.time_out(ALWAYS)

        self.pay()

        error = self.published.messages[0].future.exception()
        self.assertIsInstance(error, publisher.DeliveryTimeout)
        self.assertTrue(error.outcome_unknown)


class ReceiptTest(TestCase):
    """A receipt is confirmed, or it is not."""

    def test_confirmed(self) -> None:
        with capture():
            response = self.client.post("/orders/1/receipt")

        self.assertEqual(response.status_code, 200)
        self.assertTrue(response.json()["message"])

    def test_not_confirmed_in_time(self) -> None:
        with capture() as published:
            published.hold()
            response = self.client.post("/orders/1/receipt")
            self.assertEqual(response.status_code, 202)
            published.resolve()

        published.assert_all_delivered()

    def test_no_such_topic(self) -> None:
        with capture() as published:
            published.faults.reject(1, "NotFound")
            response = self.client.post("/orders/1/receipt")

        self.assertEqual(response.status_code, 503)


class LiveTest(LiveServerTestCase):
    """The capture is for all threads."""

    def test_what_the_server_publishes(self) -> None:
        order = Order.objects.create(item="chair")
        with capture() as published:
            request = urllib.request.Request(
                f"{self.live_server_url}/orders/{order.pk}/pay", method="POST"
            )
            with urllib.request.urlopen(request, timeout=10) as response:
                self.assertEqual(response.status, 202)

        published.assert_sent("sns", count=1, Message=contains("chair"))
        published.assert_sent("kinesis", count=1)
        published.assert_nothing_else()
