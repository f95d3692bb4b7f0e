"""publish_on_commit: sent when, and only when, the transaction is committed."""

from __future__ import annotations

import concurrent.futures
import threading
from typing import Any

from django.db import connections, transaction
from django.db.transaction import TransactionManagementError
from django.test import TestCase, TransactionTestCase

import publisher
import tests.contrib.site.suite  # noqa: F401
from publisher._engine.state import LOCK
from publisher.contrib.django import CommitFuture, client, publish_on_commit, publishers
from publisher.contrib.django._commit import _AtCommit
from tests.contrib.site.models import Note
from tests.servers import Answer, Endpoint
from tests.support import SOON, STREAM, TOPIC


class BrokenError(Exception):
    """What a view raises."""


class Case:
    databases = {"default", "other"}

    def setUp(self) -> None:
        self.endpoint = Endpoint()
        self.addCleanup(self.endpoint.close)
        self.sns = client("sns", endpoint_url=self.endpoint.url)
        self.addCleanup(self.sns.close)

    def later(self, text: str, **options: Any) -> Any:
        return publish_on_commit(self.sns.publish, TopicArn=TOPIC, Message=text, **options)

    def stored(self) -> list[str]:
        return sorted(entry.data.decode() for entry in self.endpoint.stored())


class CommitTests(Case, TransactionTestCase):
    def test_sent_after_the_commit(self) -> None:
        with transaction.atomic():
            Note.objects.create(text="saved")
            future = self.later("committed")
            self.assertFalse(future.done())
            self.assertEqual(self.sns.close(1), 0)  # nothing to flush
            self.assertEqual(self.stored(), [])
            self.assertEqual(future.attempts, ())
        self.assertIsInstance(future, publisher.PublishFuture)
        self.assertTrue(future.result(SOON)["MessageId"])
        self.assertEqual(len(future.attempts), 1)
        self.assertEqual(self.stored(), ["committed"])

    def test_a_rollback_cancels(self) -> None:
        called: list[Any] = []
        accepted = publisher.stats().total.accepted
        with self.assertRaises(BrokenError), transaction.atomic():
            future = self.later("rolled back")
            future.add_done_callback(called.append)
            raise BrokenError
        self.assertTrue(future.cancelled())
        self.assertEqual(called, [future])
        with self.assertRaises(concurrent.futures.CancelledError):
            future.result(SOON)
        self.assertEqual(publisher.stats().total.accepted, accepted)

    def test_a_savepoint_rolled_back_cancels_its_own(self) -> None:
        with transaction.atomic():
            outer = self.later("outer")
            with self.assertRaises(BrokenError), transaction.atomic():
                inner = self.later("inner")
                raise BrokenError
            self.assertTrue(inner.cancelled())
            self.assertFalse(outer.done())
        outer.result(SOON)
        self.assertEqual(self.stored(), ["outer"])

    def test_a_connection_lost_in_the_transaction_cancels(self) -> None:
        connection = connections["default"]
        connection.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
        connection.in_atomic_block = True
        future = self.later("lost")
        connection.in_atomic_block = False
        connection.close()
        self.assertTrue(future.cancelled())

    def test_a_callback_that_raises_is_told(self) -> None:
        """Django runs none after it, though the transaction is committed."""

        def stops_the_others() -> None:
            raise BrokenError

        with self.assertLogs("publisher", "WARNING") as logs:
            try:
                with transaction.atomic():
                    transaction.on_commit(stops_the_others)
                    future = self.later("lost")
            except BrokenError:
                with self.assertRaisesRegex(TransactionManagementError, "run its callbacks"):
                    future.result()  # would be for ever
        self.assertTrue(future.cancelled())
        self.assertEqual(len(logs.output), 1)
        self.assertIn("was not published: nobody ran its callback", logs.output[0])

    def test_a_callback_may_wait_for_another_message(self) -> None:
        """Callbacks have one thread: what ends futures must not stand behind them."""
        got: list[Any] = []
        ran = threading.Event()
        with transaction.atomic():
            one = self.later("one")
            other = self.later("other")
            one.add_done_callback(lambda _: got.append(other.result(SOON)))
            one.add_done_callback(lambda _: ran.set())
        self.assertTrue(ran.wait(SOON))
        self.assertEqual(got, [other.result()])

    def test_a_failure_is_that_of_the_message(self) -> None:
        self.endpoint.script(Answer(failures={0: "InvalidParameter"}))
        with transaction.atomic():
            future = self.later("refused")
            concurrent.futures.wait([future], 0)
        (done, _) = concurrent.futures.wait([future], SOON, "FIRST_EXCEPTION")
        self.assertEqual(done, {future})
        self.assertEqual(type(future.exception()).__name__, "InvalidParameterException")
        self.assertEqual(len(future.attempts), 1)

    def test_a_finaliser_may_come_while_the_futures_are_locked(self) -> None:
        future = self.later("kept")  # its own callback has run: this one is of no transaction
        waits = CommitFuture(None)
        called = threading.Event()
        waits.add_done_callback(lambda _: called.set())
        with LOCK.rlock:
            _AtCommit(waits, self.sns, self.sns.publish, {}).__del__()
            self.assertFalse(waits.cancel())
            self.assertFalse(waits.done())
        concurrent.futures.wait([waits], SOON)
        self.assertTrue(waits.cancelled())
        future.result(SOON)
        self.assertTrue(called.wait(SOON))

    def test_a_rollback_is_no_loss(self) -> None:
        with self.assertNoLogs("publisher"):
            with self.assertRaises(BrokenError), transaction.atomic():
                self.later("outer")
                with self.assertRaises(BrokenError), transaction.atomic():
                    self.later("inner")
                    raise BrokenError
                raise BrokenError
            with transaction.atomic():
                self.later("rolled back")
                transaction.set_rollback(True)

    def test_without_a_transaction_it_goes_at_once(self) -> None:
        self.assertTrue(self.later("at once").result(SOON)["MessageId"])

    def test_another_database(self) -> None:
        with transaction.atomic(using="other"):
            waits = self.later("other", using="other")
            self.later("default").result(SOON)  # the default database has no transaction
            self.assertFalse(waits.done())
        waits.result(SOON)
        self.assertEqual(self.stored(), ["default", "other"])

    def test_arguments_are_captured_at_the_call(self) -> None:
        attributes = {"kind": {"DataType": "String", "StringValue": "before"}}
        records = [{"Data": bytearray(b"before"), "PartitionKey": "k"}]
        kinesis = client("kinesis", endpoint_url=self.endpoint.url)
        with transaction.atomic():
            one = self.later("x", MessageAttributes=attributes)
            many = publish_on_commit(kinesis.put_records, StreamName=STREAM, Records=records)
            attributes["kind"]["StringValue"] = "after"
            records[0]["Data"][:] = b"after!"
            records.clear()
        one.result(SOON)
        self.assertEqual(many.result(SOON)["FailedRecordCount"], 0)
        (message,) = self.endpoint.stored("sns")
        self.assertEqual(message.attributes["kind"], ("String", b"before"))
        self.assertEqual([entry.data for entry in self.endpoint.stored("kinesis")], [b"before"])

    def test_bad_arguments_raise_at_the_call(self) -> None:
        kinesis = client("kinesis", endpoint_url=self.endpoint.url)
        with transaction.atomic():
            for method, params in (
                (self.sns.publish, {"TopicArn": TOPIC}),
                (self.sns.publish, {"TopicArn": TOPIC, "Message": 1}),
                (self.sns.publish, {"TopicArn": TOPIC, "Message": "x", "Topic": "y"}),
                (self.sns.publish, {"TopicArn": TOPIC, "Message": "x" * 2_000_000}),
                (kinesis.put_records, {"StreamName": STREAM, "Records": [{"PartitionKey": "x"}]}),
                (self.sns.publish, {"TopicArn": "", "Message": "x"}),
                (kinesis.put_record, {"StreamName": "a b", "Data": b"x", "PartitionKey": "k"}),
                (self.sns.create_topic, {"Title": "x"}),
            ):
                with self.assertRaises(publisher.InvalidMessage):
                    publish_on_commit(method, **params)
            self.assertEqual(transaction.get_connection().run_on_commit, [])

    def test_a_message_larger_than_the_buffer_raises_at_the_call(self) -> None:
        with publisher.Publisher(max_bytes=100) as small:
            sns = small.client("sns", endpoint_url=self.endpoint.url)
            with self.assertRaisesRegex(publisher.InvalidMessage, "max_bytes=100"):
                publish_on_commit(sns.publish, TopicArn=TOPIC, Message="x" * 200)

    def test_other_operations(self) -> None:
        with transaction.atomic():
            future = publish_on_commit(self.sns.create_topic, Name="made")
            self.assertEqual(self.endpoint.requests, [])
        self.assertTrue(future.result(SOON)["TopicArn"].endswith(":made"))

    def test_only_a_clients_operation_is_taken(self) -> None:
        for other in (print, lambda **_: None, self.stored):
            with self.assertRaisesRegex(TypeError, "takes an operation of a client"):
                publish_on_commit(other)

    def test_one_that_fails_at_the_commit_breaks_no_other(self) -> None:
        own = publisher.Publisher()
        closed = own.client("sns", endpoint_url=self.endpoint.url)
        with self.assertLogs("publisher", "ERROR") as logs, transaction.atomic():
            first = self.later("first")
            broken = publish_on_commit(closed.publish, TopicArn=TOPIC, Message="private")
            last = self.later("last")
            own.close()
        with self.assertRaises(publisher.PublisherClosed):
            broken.result(SOON)
        first.result(SOON)
        last.result(SOON)
        self.assertIn("refused at the commit", logs.output[0])
        self.assertNotIn("private", "".join(logs.output))

    def test_a_delivery_that_fails_is_on_the_future(self) -> None:
        self.endpoint.client("sns").delete_topic(TopicArn=TOPIC)
        with transaction.atomic():
            future = self.later("to nobody")
        with self.assertRaises(self.sns.exceptions.NotFoundException):
            future.result(SOON)
        self.assertIsInstance(future.exception(SOON), self.sns.exceptions.NotFoundException)

    def test_waiting_inside_the_transaction_raises_instead_of_hanging(self) -> None:
        with transaction.atomic():
            future = self.later("x")
            for wait in (future.result, future.exception):
                with self.assertRaises(TransactionManagementError):
                    wait()
            elsewhere: list[Any] = []
            other = threading.Thread(target=lambda: elsewhere.append(future.result(SOON)))
            other.start()  # another thread may wait
        other.join(SOON)
        self.assertTrue(elsewhere[0]["MessageId"])

    def test_cancelled_before_the_commit_it_is_not_sent(self) -> None:
        with transaction.atomic():
            future = self.later("cancelled")
            self.assertTrue(future.cancel())
            sent = self.later("sent")
        sent.result(SOON)
        self.assertTrue(future.cancelled())
        self.assertEqual(self.stored(), ["sent"])

    def test_cancelled_after_the_commit(self) -> None:
        patient = self.sns.with_options(linger=60)
        with transaction.atomic():
            future = publish_on_commit(patient.publish, TopicArn=TOPIC, Message="x")
        self.assertTrue(future.cancel())
        self.assertTrue(future.cancelled())
        delivered = self.later("y")
        delivered.result(SOON)
        self.assertFalse(delivered.cancel())

    def test_what_waits_for_futures_waits_for_these(self) -> None:
        with transaction.atomic():
            futures = [self.later(str(i)) for i in range(5)]
        done, pending = concurrent.futures.wait(futures, SOON)
        self.assertEqual((len(done), len(pending)), (5, 0))
        self.assertEqual(set(concurrent.futures.as_completed(futures, SOON)), set(futures))

    def test_a_held_answer_does_not_hold_the_commit(self) -> None:
        held = threading.Event()
        self.endpoint.script(Answer(hold=held))
        with transaction.atomic():
            future = self.later("x")
        self.assertFalse(future.done())
        held.set()
        future.result(SOON)


class InTestCases(Case, TestCase):
    """Django's own TestCase never commits."""

    def test_captured_callbacks_send(self) -> None:
        with self.captureOnCommitCallbacks(execute=True) as callbacks:
            future = self.later("captured")
        self.assertEqual(len(callbacks), 1)
        self.assertTrue(future.result(SOON)["MessageId"])

    def test_otherwise_nothing_is_sent(self) -> None:
        future = self.later("never")
        self.assertFalse(future.done())
        self.assertEqual(self.stored(), [])
        self.assertIs(publishers["default"], publisher._default)
