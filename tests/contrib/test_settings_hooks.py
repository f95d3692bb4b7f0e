"""Hooks named in the settings of Django and Flask watch the publishers that are made from them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import publisher
from tests.contrib.processes import run
from tests.servers import Endpoint
from tests.support import SESSION, SOON, TOPIC

HOOK = "publisher.contrib.prometheus.PrometheusHook"


# Flask


@pytest.fixture
def make(endpoint: Endpoint, need: Callable[[str], Path]) -> Iterator[Callable[..., Any]]:
    """Makes applications with these settings and their extensions, which are closed at the end."""
    need("flask")
    from flask import Flask

    from publisher.contrib.flask import FlaskPublisher

    made: list[tuple[Any, FlaskPublisher]] = []

    def make(**settings: Any) -> tuple[Any, FlaskPublisher]:
        app = Flask("shop")
        app.config["PUBLISHER_CLIENT"] = {
            "endpoint_url": endpoint.url,
            "region_name": "us-east-1",
        }
        app.config.update(settings)
        made.append((app, FlaskPublisher(app)))
        return made[-1]

    yield make
    for app, own in made:
        with app.app_context():
            own.publisher.close(SOON)


def deliver(made: tuple[Any, Any], topic: str, count: int) -> publisher.Publisher:
    """From an application; at the end its hooks have been told of all messages."""
    app, own = made
    with app.app_context():
        sns = own.client("sns", session=SESSION)
        for number in range(count):
            sns.publish(TopicArn=topic, Message=str(number))
        found: publisher.Publisher = own.publisher
    assert found.flush(SOON) == 0
    found._current().runtime.wait_for_calls(SOON)
    return found


def shown(topic: str, name: str = "publisher_delivered_total") -> float | None:
    """In the registry of the whole process: each test has a topic of its own."""
    from prometheus_client import REGISTRY

    labels = {"service": "sns", "region": "us-east-1", "destination": topic.rpartition(":")[2]}
    return REGISTRY.get_sample_value(name, labels)


def test_the_hook_of_an_application_watches_its_publisher(make: Callable[..., Any]) -> None:
    topic = f"{TOPIC}-flask-one"
    deliver(make(PUBLISHER_HOOKS=[HOOK]), topic, 20)
    assert shown(topic) == 20
    assert shown(topic, "publisher_accepted_total") == 20
    assert shown(topic, "publisher_outstanding_messages") == 0
    assert shown(topic, "publisher_delivery_seconds_count") == 20


def test_a_second_application_names_the_same_hook(make: Callable[..., Any]) -> None:
    topic = f"{TOPIC}-flask-two"
    apps = [make(PUBLISHER_HOOKS=[HOOK]) for _ in range(2)]
    for app, count in zip(apps, (2, 5), strict=True):
        deliver(app, topic, count)
    assert shown(topic) == 7


def test_one_hook_object_of_two_applications_watches_both(make: Callable[..., Any]) -> None:
    from publisher.contrib.emf import EmfHook

    out = io.StringIO()
    hook = EmfHook(stream=out)
    apps = [make(PUBLISHER_HOOKS=[hook]) for _ in range(2)]
    kept = [deliver(app, TOPIC, count) for app, count in zip(apps, (2, 5), strict=True)]
    hook.emit()
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert sorted(line["Delivered"] for line in lines) == [2, 5]
    assert [each.stats().total.delivered for each in kept] == [2, 5]


def test_a_collector_reads_the_publisher_of_an_application(make: Callable[..., Any]) -> None:
    from prometheus_client import CollectorRegistry

    from publisher.contrib.prometheus import PublisherCollector

    app, own = made = make()
    registry = CollectorRegistry()
    with app.app_context():
        registry.register(PublisherCollector(of=own.publisher))
    deliver(made, TOPIC, 3)
    labels = {"service": "sns", "region": "us-east-1", "destination": "orders"}
    assert registry.get_sample_value("publisher_delivered_total", labels) == 3


# Django

PROJECT = f"""
import sys
import django
from django.conf import settings

OWN = {{"CLIENT": {{"region_name": "us-east-1", "endpoint_url": sys.argv[1]}}, "HOOKS": [{HOOK!r}]}}
settings.configure(
    INSTALLED_APPS=["publisher.contrib.django"],
    DATABASES={{}},
    AWS_PUBLISHER={{"default": OWN, "audit": OWN}},
)
django.setup()

from django.test import override_settings
from prometheus_client import REGISTRY, CollectorRegistry
from publisher.contrib.django import client, publishers
from publisher.contrib.prometheus import PublisherCollector

LABELS = {{"service": "sns", "region": "us-east-1", "destination": "orders"}}

def deliver(alias, count):
    sns = client("sns", using=alias)
    for number in range(count):
        sns.publish(TopicArn={TOPIC!r}, Message=str(number))
    assert publishers[alias].flush({SOON}) == 0
    publishers[alias]._current().runtime.wait_for_calls({SOON})

def shown(name="publisher_delivered_total", registry=REGISTRY):
    return registry.get_sample_value(name, LABELS)
"""


@pytest.fixture
def project(need: Callable[[str], Path], endpoint: Endpoint) -> Callable[[str], str]:
    """Runs a script in a Django project with the hook in both of its aliases: what it prints."""
    python = need("django") / "python"

    def project(script: str) -> str:
        code, text = run([python, "-W", "error", "-c", PROJECT + script, endpoint.url])
        assert code == 0, text
        return text

    return project


def test_hooks_of_every_alias_watch_their_own_publisher(project: Callable[[str], str]) -> None:
    script = """
deliver("audit", 7)
assert publishers["default"].stats().total.accepted == 0
print(shown(), shown("publisher_delivery_seconds_count"))
deliver("default", 3)
print(shown(), shown("publisher_outstanding_messages"))
"""
    assert project(script) == "7.0 7.0\n10.0 0.0\n"


def test_one_hook_object_of_two_aliases_watches_both(project: Callable[[str], str]) -> None:
    script = """
from publisher.contrib.prometheus import PrometheusHook
registry = CollectorRegistry()
both = {**OWN, "HOOKS": [PrometheusHook(registry)]}
with override_settings(AWS_PUBLISHER={"default": both, "audit": both}):
    deliver("default", 2)
    deliver("audit", 3)
    print(shown(registry=registry))
with override_settings(AWS_PUBLISHER={"default": both}):  # the same object, other publishers
    deliver("default", 4)
    print(shown(registry=registry))
"""
    assert project(script) == "5.0\n9.0\n"


@pytest.mark.every_python("Django is another release from Python 3.12 on")
def test_settings_of_a_test_hold_for_the_test(project: Callable[[str], str]) -> None:
    script = """
deliver("default", 1)
with override_settings(AWS_PUBLISHER={"default": {**OWN, "MAX_MESSAGES": 50}}):
    deliver("default", 2)
    print(shown(), REGISTRY.get_sample_value("publisher_buffer_limit_messages"))
with override_settings(AWS_PUBLISHER={"default": {"CLIENT": OWN["CLIENT"]}}):
    deliver("default", 4)
    print(shown())
deliver("default", 8)
deliver("audit", 16)
print(shown(), REGISTRY.get_sample_value("publisher_buffer_limit_messages"))
"""
    assert project(script) == "3.0 50.0\n3.0\n27.0 20000.0\n"


def test_a_collector_reads_all_aliases(project: Callable[[str], str]) -> None:
    script = """
registry = CollectorRegistry()
registry.register(PublisherCollector(of=publishers.values()))
deliver("default", 2)
deliver("audit", 3)
print(shown(registry=registry))
with override_settings(AWS_PUBLISHER={"default": OWN, "other": OWN}):
    deliver("other", 1)
    print(shown(registry=registry))
"""
    assert project(script) == "5\n1\n"
