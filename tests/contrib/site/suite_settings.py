"""AWS_PUBLISHER: aliases, checks with hints, and the settings of tests."""

from __future__ import annotations

import re
from typing import Any

from botocore.config import Config
from django.apps import apps
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.test import SimpleTestCase, override_settings

import publisher
import tests.contrib.site.suite  # noqa: F401
from publisher.contrib.django import client, publishers
from tests.servers import Endpoint
from tests.support import SOON, TOPIC


def messages(settings: Any) -> list[checks.CheckMessage]:
    with override_settings(AWS_PUBLISHER=settings):
        return checks.run_checks(tags=["aws_publisher"])


class ChecksTests(SimpleTestCase):
    def assert_one(self, settings: Any, number: str, text: str, hint: str) -> None:
        found = messages(settings)
        self.assertEqual([each.id for each in found], [f"aws_publisher.{number}"], found)
        self.assertRegex(found[0].msg, text)
        self.assertRegex(found[0].hint or "", hint)

    def test_settings_in_order(self) -> None:
        for settings in ({}, {"default": {}}, {"default": {"LINGER": {"sns": 0.5}}, "a": {}}):
            self.assertEqual(messages(settings), [])
        self.assertEqual(checks.run_checks(tags=["aws_publisher"]), [])

    def test_an_unknown_option(self) -> None:
        self.assert_one(
            {"default": {"MAX_WORKER": 3}},
            "E001",
            r"AWS_PUBLISHER\['default'\] MAX_WORKER is not a known setting",
            "Did you mean .*MAX_WORKERS?",
        )
        self.assert_one({"default": {"max_workers": 3}}, "E001", "max_workers", "MAX_WORKERS")

    def test_a_value_that_is_not_allowed(self) -> None:
        rule = re.escape("MAX_WORKERS: max_workers must be an integer of at least 1, not 0.")
        self.assert_one({"default": {"MAX_WORKERS": 0}}, "E002", rule, "Correct")
        rule = re.escape("SPOOL: directory must be a str or os.PathLike with the path of")
        self.assert_one({"default": {"SPOOL": ""}}, "E002", rule, "Correct")
        self.assert_one({"a": {"ON_FULL": "wait"}}, "E002", r"\['a'\] ON_FULL: .*'drop'", "Correct")

    def test_settings_of_the_wrong_shape(self) -> None:
        self.assert_one([], "E002", "must be a dict of aliases, not list", "default")
        self.assert_one({"MAX_WORKERS": 3}, "E001", "must be a dict of options", "alias")
        self.assert_one({"default": None}, "E002", "not NoneType", "alias")
        self.assert_one({"default": {"CLIENT": "x"}}, "E002", "CLIENT must be a dict", "region")

    def test_aliases_without_the_default_one(self) -> None:
        rule = r"no alias 'default', only 'other': publisher\.client\(\) uses it"
        self.assert_one({"other": {"MAX_WORKERS": 3}}, "E002", rule, r'\{"default": \{')
        self.assert_one({"Default": {}}, "E002", "no alias 'default', only 'Default'", "default")

    def test_an_unknown_argument_of_the_client(self) -> None:
        self.assert_one({"default": {"CLIENT": {"region": "x"}}}, "E001", "'region'", "region_name")

    def test_hooks_that_cannot_be_had(self) -> None:
        for path, text in (
            ("nowhere", "not a dotted path"),
            ("nowhere.Hook", "nowhere"),
            ("tests.contrib.site.hooks.Missing", "has no 'Missing'"),
        ):
            self.assert_one({"default": {"HOOKS": [path]}}, "E003", text, "dotted path")
        self.assert_one({"default": {"HOOKS": [3]}}, "E002", "is not a hook", "Correct")

    def test_fewer_connections_than_workers(self) -> None:
        config = Config(max_pool_connections=5)
        self.assert_one(
            {"default": {"MAX_WORKERS": 8, "CLIENT": {"config": config}}},
            "W001",
            "max_pool_connections=5 is below max_workers=8",
            "max_workers at least",
        )
        self.assertEqual(
            messages({"default": {"MAX_WORKERS": 5, "CLIENT": {"config": config}}}), []
        )

    def test_every_problem_is_reported_at_once(self) -> None:
        found = messages({"default": {"MAX_WORKER": 1, "LINGER": -1}, "a": {"HOOKS": ["x"]}})
        self.assertEqual(
            sorted(each.id or "" for each in found),
            ["aws_publisher.E001", "aws_publisher.E002", "aws_publisher.E003"],
        )


class AliasesTests(SimpleTestCase):
    def test_the_default_one_is_the_process_wide(self) -> None:
        self.assertIs(publishers["default"], publisher._default)
        self.assertEqual(publishers["default"].stats(), publisher.stats())

    def test_each_has_its_own_options(self) -> None:
        self.assertEqual(list(publishers), ["default", "audit"])
        self.assertEqual(len(publishers), 2)
        self.assertIs(publishers["audit"], publishers["audit"])
        self.assertEqual(publishers["audit"]._options.max_workers, 2)
        self.assertEqual(publishers["default"]._options.max_workers, 10)

    def test_clients(self) -> None:
        self.assertIs(client("sns"), client("sns"))
        self.assertIs(client("sns", using="audit"), publishers["audit"].client("sns"))
        self.assertIsNot(client("sns"), client("sns", using="audit"))

    def test_an_unknown_alias(self) -> None:
        with self.assertRaisesRegex(ImproperlyConfigured, "'audit'"):
            client("sns", using="nobody")

    def test_settings_that_are_wrong_say_so_when_used_too(self) -> None:
        wrong = {"default": {"MAX_WORKERS": 0}}
        with (
            override_settings(AWS_PUBLISHER=wrong),
            self.assertRaisesRegex(ImproperlyConfigured, "at least 1, not 0"),
        ):
            client("sns")

    def test_the_label_leaves_publisher_free(self) -> None:
        self.assertEqual(apps.get_app_config("aws_publisher").name, "publisher.contrib.django")
        self.assertEqual(apps.get_app_config("publisher").name, "tests.contrib.site.publisher")


class OverrideTests(SimpleTestCase):
    def test_settings_of_a_test_hold_for_the_test(self) -> None:
        with Endpoint() as endpoint:
            own = {"CLIENT": {"endpoint_url": endpoint.url}}
            with override_settings(AWS_PUBLISHER={"default": {"MAX_MESSAGES": 7, **own}, "b": own}):
                self.assertEqual(publishers["default"]._options.max_messages, 7)
                for alias in publishers:
                    client("sns", using=alias).publish(TopicArn=TOPIC, Message=alias)
                first = publishers["b"]
            # At the end of the override both publishers delivered what they had.
            self.assertEqual(sorted(e.data for e in endpoint.stored()), [b"b", b"default"])
            self.assertEqual(publishers["default"]._options.max_messages, 10_000)
            self.assertNotIn("b", publishers)
            with self.assertRaises(publisher.PublisherClosed):
                first.client("sns", endpoint_url=endpoint.url).publish(TopicArn=TOPIC, Message="x")
            future = client("sns", endpoint_url=endpoint.url).publish(TopicArn=TOPIC, Message="x")
            self.assertTrue(future.result(SOON)["MessageId"])
