"""Local development prints; a suite's guard keeps everything on this machine."""

from __future__ import annotations

import io
import subprocess
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from moto import mock_aws

import publisher
from publisher.testing import RealEndpointRefused, capture, console, local_only
from tests.servers import Endpoint
from tests.support import SOON, STREAM, TOPIC, Watch, client_of, publish, publishing, texts

SERVICES = ("sns", "kinesis")


def test_messages_are_printed_and_nothing_is_sent(endpoint: Endpoint) -> None:
    out = io.StringIO()
    with publishing() as made, console(out) as printed:
        sns = client_of(made, "sns", endpoint.url)
        kinesis = client_of(made, "kinesis", endpoint.url)
        assert sns.publish(TopicArn=TOPIC, Message="a\nb\x1b[31m").result(0)["MessageId"]
        records = [{"Data": b"r%d" % n, "PartitionKey": "k"} for n in range(2)]
        answer = kinesis.put_records(StreamName=STREAM, Records=records).result(0)
        assert answer["FailedRecordCount"] == 0
        assert printed.messages == []  # it would grow for as long as the process lives
        assert made.stats().total.delivered == 3
        with pytest.raises(publisher.InvalidMessage):
            sns.publish(TopicArn=TOPIC)
    assert out.getvalue().splitlines() == [
        rf"sns:us-east-1:orders publish(TopicArn='{TOPIC}', Message='a\nb\x1b[31m')",
        "kinesis:us-east-1:clicks put_record(StreamName='clicks', Data=b'r0', PartitionKey='k')",
        "kinesis:us-east-1:clicks put_record(StreamName='clicks', Data=b'r1', PartitionKey='k')",
    ]
    assert not endpoint.requests


class Cut(io.TextIOBase):
    """A pipe that nobody reads any more."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


def closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("make", [Cut, closed])
def test_a_stream_that_takes_nothing_costs_no_message(make: Callable[[], Any]) -> None:
    with publishing() as made, console(make()):
        sns = made.client("sns", "us-east-1")
        assert sns.publish(TopicArn=TOPIC, Message="paid").result(0)["MessageId"]
        assert made.stats().total.outstanding == 0


def test_what_a_stream_has_no_character_for_is_escaped() -> None:
    raw = io.BytesIO()
    with publishing() as made, console(io.TextIOWrapper(raw, "latin-1")):
        sns = made.client("sns", "us-east-1")
        entries = [{"Id": f"{i}", "Message": text} for i, text in enumerate(["caf\xe9", "\u2713"])]
        answer = sns.publish_batch(TopicArn=TOPIC, PublishBatchRequestEntries=entries).result(0)
        assert len(answer["Successful"]) == 2
        assert made.stats().total.outstanding == 0
        printed = raw.getvalue()
    assert b"Message='caf\xe9'" in printed
    assert b"Message='\\u2713'" in printed


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=SOON, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


USE = f"sns.publish(TopicArn={TOPIC!r}, Message='paid').result(5)"
SHOWN = f"sns:us-east-1:orders publish(TopicArn={TOPIC!r}, Message='paid')\n"
DJANGO = """
import django
from django.conf import settings
aliases = {"default": {"BACKEND": BACKEND}, "other": {"BACKEND": BACKEND}}
settings.configure(INSTALLED_APPS=["publisher.contrib.django"], AWS_PUBLISHER=aliases)
django.setup()
from publisher.contrib.django import client
"""
FLASK = """
from flask import Flask
from publisher.contrib.flask import FlaskPublisher
flask = FlaskPublisher()
app = Flask("shop")
app.config["PUBLISHER_BACKEND"] = BACKEND
flask.init_app(app)
app.app_context().push()
"""
MAKERS = {
    "script": (
        """
import publisher
from publisher.testing import console, local_only
(console if BACKEND == "console" else local_only)().start()
""",
        "publisher.client('sns', 'eu-west-1')",
    ),
    "Django": (DJANGO, "client('sns', 'eu-west-1')"),
    "another alias": (DJANGO, "client('sns', 'eu-west-1', using='other')"),
    "Flask": (FLASK, "flask.client('sns', 'eu-west-1')"),
}


@pytest.mark.parametrize("host", MAKERS)
def test_a_setting_prints_for_the_life_of_the_process(host: str) -> None:
    set_up, made = MAKERS[host]
    assert run(f"BACKEND = 'console'\n{set_up}\nsns = {made}\n{USE}\n{USE}") == SHOWN * 2


@pytest.mark.parametrize("host", MAKERS)
def test_a_setting_keeps_everything_on_this_machine(host: str) -> None:
    set_up, made = MAKERS[host]
    refused = f"sns = {made}\nfuture = sns.publish(TopicArn={TOPIC!r}, Message='paid')"
    shown = "print(type(future.exception(5)).__name__, future.exception(5))"
    text = run(f"BACKEND = 'local'\n{set_up}\n{refused}\n{shown}")
    assert text.startswith("RealEndpointRefused local_only() keeps requests on this machine")
    assert "sns.eu-west-1.amazonaws.com" in text


CHANGE = """
from django.test import override_settings
def setting(backend):
    return override_settings(AWS_PUBLISHER={"default": {"BACKEND": backend, "MAX_WORKERS": 3}})
"""
REFUSED = f"""
future = client("sns", "eu-west-1").publish(TopicArn={TOPIC!r}, Message="paid")
print(type(future.exception(5)).__name__)
"""


@pytest.mark.parametrize(
    ("before", "inside"),
    [("local", "with setting('local'): pass"), ("aws", "setting('local').enable()")],
)
def test_a_guard_set_inside_a_capture_holds_after_it(before: str, inside: str) -> None:
    capturing = f"from publisher.testing import capture\nwith capture():\n    {inside}"
    text = run(f"BACKEND = {before!r}\n{DJANGO}\n{CHANGE}\n{capturing}\n{REFUSED}")
    assert text == "RealEndpointRefused\n"


@pytest.mark.parametrize("host", ["Django", "Flask"])
def test_a_console_set_inside_a_capture_prints_after_it(host: str) -> None:
    set_up, made = MAKERS[host]
    capturing = "from publisher.testing import capture\nheld = capture().start()"
    after = f"held.stop()\nsns = {made}\n{USE}"
    assert run(f"BACKEND = 'console'\n{capturing}\n{set_up}\n{after}") == SHOWN


def test_a_console_set_over_another_backend_inside_a_capture_prints_after_it() -> None:
    capturing = "from publisher.testing import capture\nheld = capture().start()"
    use = f"client('sns', 'eu-west-1').publish(TopicArn={TOPIC!r}, Message='paid').result(5)"
    code = f"{capturing}\n{use}\nsetting('console').enable()\n{use}\nheld.stop()\n{use}"
    assert run(f"BACKEND = 'local'\n{DJANGO}\n{CHANGE}\n{code}") == SHOWN


def test_a_console_ends_with_its_setting() -> None:
    use = f"client('sns', 'eu-west-1').publish(TopicArn={TOPIC!r}, Message='paid').result(5)"
    code = f"{use}\nwith setting('local'):\n{textwrap.indent(REFUSED, '    ')}\n{use}"
    text = run(f"BACKEND = 'console'\n{DJANGO}\n{CHANGE}\n{code}")
    assert text == f"{SHOWN}RealEndpointRefused\n{SHOWN}"


def test_an_unknown_backend_is_refused() -> None:
    flask = pytest.importorskip("flask")
    from publisher.contrib.flask import FlaskPublisher

    app = flask.Flask("shop")
    app.config["PUBLISHER_BACKEND"] = "memory"
    with pytest.raises(ValueError, match="must be one of 'aws', 'console', 'local'"):
        FlaskPublisher(app)


@pytest.mark.parametrize("service", SERVICES)
def test_a_suite_s_guard(endpoint: Endpoint, service: str) -> None:
    with publishing(delivery_timeout=120) as made, local_only():
        assert publish(client_of(made, service, endpoint.url), "here").result(SOON)
        watch = Watch()
        future = publish(made.client(service, "eu-west-1"), "there")  # type: ignore[call-overload]
        error = future.exception(SOON)
        assert watch.seconds < SOON / 2
        assert isinstance(error, RealEndpointRefused)
        assert "paid" not in str(error)
        assert not any(attempt.outcome_unknown for attempt in future.attempts)
        with capture() as published:
            assert publish(made.client(service, "eu-west-1"), "kept").result(0)  # type: ignore[call-overload]
        assert len(published.messages) == 1


@pytest.mark.parametrize("service", SERVICES)
def test_a_suite_s_guard_and_a_ready_client_used_before_it(
    endpoint: Endpoint, service: str
) -> None:
    # The name ends at the test's server: what left would be seen there.
    ready = boto3.client(service, region_name="eu-west-1", endpoint_url=endpoint.url)
    with publishing(delivery_timeout=120) as made:
        with pytest.warns(UserWarning, match="used as it is"):
            given = made.client(service, client=ready)  # type: ignore[call-overload]
        assert publish(given, "before").result(SOON)
        ready.meta._endpoint_url = "https://sns.eu-west-1.amazonaws.com"
        with local_only():
            watch = Watch()
            error = publish(given, "there").exception(SOON)
            assert watch.seconds < SOON / 2
            assert isinstance(error, RealEndpointRefused)
            with pytest.raises(RealEndpointRefused):
                given.get_paginator("list_topics" if service == "sns" else "list_streams")
        assert publish(given, "after").result(SOON)
    assert texts(endpoint.stored()) == ["before", "after"]


def test_a_suite_s_guard_and_moto() -> None:
    with mock_aws(), publishing() as made, local_only():
        topic = boto3.client("sns").create_topic(Name="orders")["TopicArn"]
        assert made.client("sns").publish(TopicArn=topic, Message="paid").result(SOON)


def test_a_host_that_is_allowed() -> None:
    with local_only("LocalStack") as guard:
        assert guard.allows("localstack")
        assert guard.allows("LOCALSTACK")
        assert guard.allows("LOCALHOST")
        assert guard.allows("::1")
        assert guard.allows("127.0.0.1")
        assert guard.allows("s3.localhost")
        for host in ("10.0.0.1", "sns.eu-west-1.amazonaws.com", "localhost.evil.example", ""):
            assert not guard.allows(host)
        with pytest.raises(RuntimeError, match="started already"):
            guard.start()
