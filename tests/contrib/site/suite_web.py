"""Views, the command, and health."""

from __future__ import annotations

import concurrent.futures
import io
import json
import threading
import time
from typing import Any

from django.core.management import CommandError, call_command
from django.test import AsyncClient, LiveServerTestCase, TestCase, override_settings

import publisher
import tests.contrib.site.suite  # noqa: F401
from publisher.contrib.django import client
from tests.servers import Answer, Endpoint
from tests.support import SOON, STREAM, TOPIC


def command(*arguments: str) -> str:
    out = io.StringIO()
    call_command("publisher", *arguments, stdout=out)
    return out.getvalue()


class Case:
    settings_of: dict[str, Any] = {}

    def setUp(self) -> None:
        self.endpoint = Endpoint()
        self.addCleanup(self.endpoint.close)
        options = {"CLIENT": {"endpoint_url": self.endpoint.url}, **self.settings_of}
        override = override_settings(AWS_PUBLISHER={"default": options})
        override.enable()
        self.addCleanup(override.disable)


class CommandTests(Case, TestCase):
    def test_send_to_a_topic(self) -> None:
        text = command("send", "hello", "--topic", TOPIC)
        self.assertRegex(text, r"^delivered: MessageId \S+\n$")
        self.assertEqual([entry.data for entry in self.endpoint.stored()], [b"hello"])

    def test_send_to_a_stream(self) -> None:
        text = command("send", "hello", "--stream", STREAM, "--key", "k")
        self.assertRegex(text, r"^delivered: shardId-\d+, SequenceNumber \d+\n$")
        self.assertEqual(self.endpoint.stored()[0].partition_key, "k")

    def test_send_that_fails_is_an_error_of_the_command(self) -> None:
        self.endpoint.client("sns").delete_topic(TopicArn=TOPIC)
        with self.assertRaisesRegex(CommandError, "NotFound"):
            command("send", "hello", "--topic", TOPIC)
        with self.assertRaisesRegex(CommandError, "give one of --topic, "):
            command("send", "hello")
        with self.assertRaisesRegex(CommandError, "TopicArn"):
            command("send", "hello", "--topic", "not an ARN")

    def test_check(self) -> None:
        arn = self.endpoint.client("sns").create_topic(Name="there")["TopicArn"]
        text = command("check", "--topic", arn)
        self.assertIn(f"{arn}: ok\n", text)
        self.assertEqual(self.endpoint.stored(), [])

    def test_check_of_what_is_not_there(self) -> None:
        self.endpoint.client("sns").delete_topic(TopicArn=TOPIC)
        out = io.StringIO()
        with self.assertRaisesRegex(CommandError, "1 of 1 destination"):
            call_command("publisher", "check", "--topic", TOPIC, stdout=out)
        self.assertIn("NotFound", out.getvalue())

    def test_stats_of_this_process(self) -> None:
        client("sns").publish(TopicArn=TOPIC, Message="x").result(SOON)
        shown = r"default: destination +sns:us-east-1:orders +total\naccepted +1 +1\n"
        self.assertRegex(command("stats"), shown)

    def test_stats_of_what_is_no_health_view(self) -> None:
        with self.assertRaisesRegex(CommandError, "begins with http"):
            command("stats", "file:///etc/passwd")
        with self.assertRaisesRegex(CommandError, "cannot be read|health view"):
            command("stats", f"{self.endpoint.url}/nothing")


class LiveTests(Case, LiveServerTestCase):
    def test_stats_of_a_running_server(self) -> None:
        client("sns").publish(TopicArn=TOPIC, Message="x").result(SOON)
        text = command("stats", f"{self.live_server_url}/health/publisher")
        self.assertRegex(text, "default: healthy\n  total: accepted 1, delivered 1, failed 0")
        self.assertIn("sns:us-east-1:orders: accepted 1", text)


class HealthTests(Case, TestCase):
    settings_of = {"MAX_MESSAGES": 1, "LINGER": 60, "ON_FULL": "drop"}

    def test_healthy(self) -> None:
        answer = self.client.get("/health/publisher")
        self.assertEqual(answer.status_code, 200)
        self.assertEqual(answer.json()["default"]["problems"], [])
        self.assertIn("no-store", answer["Cache-Control"])
        self.assertEqual(self.client.post("/health/publisher").status_code, 405)

    def test_a_full_buffer_is_not(self) -> None:
        client("sns").publish(TopicArn=TOPIC, Message="private")
        answer = self.client.get("/health/publisher")
        self.assertEqual(answer.status_code, 503)
        self.assertIn("the buffer is full: 1 message", answer.json()["default"]["problems"][0])
        self.assertNotIn("private", answer.content.decode())

    def test_nor_is_a_closed_publisher(self) -> None:
        publisher.close(SOON)
        self.addCleanup(publisher.configure)
        answer = self.client.get("/health/publisher")
        self.assertEqual(answer.status_code, 503)
        self.assertEqual(answer.json()["default"]["problems"], ["the publisher is closed"])

    def test_django_health_check(self) -> None:
        healthy = self.client.get("/health/all?format=json")
        self.assertEqual(healthy.status_code, 200, healthy.content)
        client("sns").publish(TopicArn=TOPIC, Message="x")
        with self.assertLogs("health_check", "WARNING"):
            full = self.client.get("/health/all?format=json")
        self.assertEqual(full.status_code, 500)
        self.assertIn("the buffer is full", json.dumps(full.json()))


class LostTests(Case, TestCase):
    def publish(self, count: int) -> None:
        for number in range(count):
            client("sns").publish(TopicArn=TOPIC, Message=str(number))
        publisher.flush(SOON)

    def test_messages_that_are_lost_are_not_healthy(self) -> None:
        sns = self.endpoint.client("sns")
        sns.delete_topic(TopicArn=TOPIC)
        self.publish(20)
        answer = self.client.get("/health/publisher")
        self.assertEqual(answer.status_code, 503)
        lost = "20 of 20 messages of the last 60 s were lost"
        self.assertEqual(answer.json()["default"]["problems"], [lost])
        with self.assertLogs("health_check", "WARNING"):
            failing = self.client.get("/health/all?format=json")
        self.assertEqual(failing.status_code, 500)
        sns.create_topic(Name="orders")
        until = time.monotonic() + SOON
        while self.client.get("/health/publisher").status_code != 200:
            self.assertLess(time.monotonic(), until)
            self.publish(5)
        self.assertEqual(self.client.get("/health/all?format=json").status_code, 200)


class LimitsTests(Case, TestCase):
    settings_of = {"HEALTH": {"share": None}}

    def test_it_need_not_look_at_what_is_lost(self) -> None:
        self.endpoint.client("sns").delete_topic(TopicArn=TOPIC)
        for number in range(20):
            client("sns").publish(TopicArn=TOPIC, Message=str(number))
        publisher.flush(SOON)
        self.assertEqual(self.client.get("/health/publisher").status_code, 200)


class OldTests(Case, TestCase):
    settings_of = {"DELIVERY_TIMEOUT": 4, "CONNECT_TIMEOUT": 30, "READ_TIMEOUT": 30}

    def test_a_message_that_waits_too_long_is_not_healthy(self) -> None:
        held = threading.Event()
        self.endpoint.script(Answer(hold=held))
        future = client("sns").publish(TopicArn=TOPIC, Message="x")
        self.endpoint.wait_for(lambda: self.endpoint.request_count == 1)
        with self.assertRaises(concurrent.futures.TimeoutError):  # before 3.11 one of its own
            future.exception(2.1)  # more than half of it
        answer = self.client.get("/health/publisher")
        held.set()
        self.assertEqual(answer.status_code, 503)
        self.assertIn("the oldest message has waited", answer.json()["default"]["problems"][0])
        self.assertTrue(future.result(SOON))


class AsyncTests(Case, TestCase):
    async def test_an_async_view_awaits_the_future(self) -> None:
        form = {"endpoint": self.endpoint.url, "name": "awaited"}
        answer = await AsyncClient().post("/asend", form)
        self.assertEqual(answer.status_code, 200)
        self.assertTrue(answer.json()["id"])
        self.assertEqual([entry.data for entry in self.endpoint.stored()], [b"awaited"])
