"""Django: its own test runner runs the project in tests/contrib/site."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.contrib.processes import run
from tests.support import STREAM, TOPIC

SETTINGS = "tests.contrib.site.settings"


@pytest.fixture
def django(need: Callable[[str], Path], tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """Runs Python with Django's settings in place."""
    need("health_check")
    python = need("django") / "python"

    def django(*arguments: str, **environment: str) -> tuple[int, str]:
        environment = {
            "DJANGO_SETTINGS_MODULE": SETTINGS,
            "SITE_FOLDER": str(tmp_path),
            **environment,
        }
        return run([python, *arguments], **environment)

    return django


@pytest.mark.heavy
def test_the_project(django: Callable[..., tuple[int, str]]) -> None:
    command = ("-W", "error", "-m", "django", "test", "-p", "suite_*.py", "tests.contrib.site")
    code, text = django(*command)
    assert code == 0, text
    ran = re.search(r"Ran (\d+) tests", text)
    assert ran, text
    assert int(ran.group(1)) > 40, text
    assert "skipped" not in text, text


@pytest.mark.every_python("Django is another release from Python 3.12 on")
def test_no_migration_is_missing(django: Callable[..., tuple[int, str]]) -> None:
    code, text = django("-m", "django", "makemigrations", "--check", "--dry-run")
    assert code == 0, text


@pytest.mark.every_python("Django is another release from Python 3.12 on")
def test_setting_up_starts_nothing(django: Callable[..., tuple[int, str]]) -> None:
    script = (
        "import threading, django; django.setup()\n"
        "from publisher.contrib.django import client; client('sns')\n"
        "import sys; print(len(threading.enumerate()), 'boto3' in sys.modules)"
    )
    assert django("-c", script) == (0, "1 False\n")


WRONG = json.dumps({"default": {"MAX_WORKER": 3, "LINGER": -1}})


def test_bad_settings_are_a_system_check_with_a_hint(
    django: Callable[..., tuple[int, str]],
) -> None:
    code, text = django("-m", "django", "check", AWS_PUBLISHER=WRONG)
    assert code == 1
    assert "(aws_publisher.E001) AWS_PUBLISHER['default'] MAX_WORKER is not a known" in text
    assert "HINT: Did you mean" in text
    assert "(aws_publisher.E002) AWS_PUBLISHER['default'] LINGER: linger must be" in text
    assert "Traceback" not in text


@pytest.mark.every_python("Django is another release from Python 3.12 on")
def test_servers_run_no_checks_and_refuse_to_start(django: Callable[..., tuple[int, str]]) -> None:
    code, text = django("-c", "import tests.contrib.site.wsgi", AWS_PUBLISHER=WRONG)
    assert code == 1
    error = "ImproperlyConfigured: AWS_PUBLISHER['default'] MAX_WORKER is not a known setting."
    assert error in text
    assert "LINGER: linger must be a number of seconds, 0 or more" in text


def test_what_is_published_before_set_up_is_named(django: Callable[..., tuple[int, str]]) -> None:
    script = (
        "import publisher\n"
        "sns = publisher.client('sns', endpoint_url='http://127.0.0.1:1')\n"
        "sns.publish(TopicArn='arn:aws:sns:us-east-1:000000000000:x', Message='x').cancel()\n"
        "from django.core.management import execute_from_command_line as run\n"
        "run(['manage.py', 'check'])"
    )
    code, text = django("-c", script)
    assert code == 1
    assert "(aws_publisher.E004) A message was published before Django was set up" in text


BAD_INPUT = [
    (["send", "x", "--topic", TOPIC, "--timeout", "0"], "--timeout: delivery_timeout must be"),
    (["send", "x", "--stream", STREAM, "--timeout", "nan"], "--timeout: delivery_timeout must be"),
    (["check", "--topic", TOPIC, "--timeout", "0"], "--timeout: delivery_timeout must be"),
    (["send", "x", "--topic", TOPIC, "--using", "nope"], "AWS_PUBLISHER has no alias 'nope'"),
    (["check", "--topic", TOPIC, "--using", "nope"], "AWS_PUBLISHER has no alias 'nope'"),
    (["check", "--stream", ""], "1 of 1 destination cannot be published to"),
    (["send", "x", "--stream", ""], "StreamName"),
    (["stats", "http://localhost:abc/"], "cannot be read: nonnumeric port: 'abc'"),
    (["stats", "http://localhost/a b"], "cannot be read: URL can't contain"),
]


def test_bad_input_to_the_command_is_one_line(django: Callable[..., tuple[int, str]]) -> None:
    script = (
        "import json, sys, django; django.setup()\n"
        "from django.core.management import CommandError, call_command\n"
        "for arguments in json.loads(sys.argv[1]):\n"
        "    try: call_command('publisher', *arguments, stdout=sys.stderr)\n"
        "    except CommandError as error: print('error:', error)\n"
    )
    code, text = django("-c", script, json.dumps([arguments for arguments, _ in BAD_INPUT]))
    assert code == 0, text
    said = [line for line in text.splitlines() if line.startswith("error: ")]
    assert len(said) == len(BAD_INPUT), text
    for line, (arguments, complaint) in zip(said, BAD_INPUT, strict=True):
        assert complaint in line, arguments
    assert "StreamName has length 0" in text  # what is wrong with that destination


REFUSED = [
    ({"region_name": "eu west"}, "E005", "InvalidRegionError: Provided region_name 'eu west'"),
    ({"region_name": 123}, "E005", "TypeError: region_name must be str, not int."),
    ({"endpoint_url": "localhost:4566"}, "E005", "ValueError: Invalid endpoint: localhost:4566."),
    ({"aws_access_key_id": "AKIA"}, "E005", "PartialCredentialsError: Partial credentials found"),
    ({"config": {}}, "E005", "AttributeError: config must be a botocore.config.Config, not dict"),
    ({"api_version": "2000-01-01"}, "E005", "DataNotFoundError: Unable to load data for"),
    ({"region_name": None}, "E006", "NoRegionError: You must specify a region."),
]


@pytest.mark.parametrize(("arguments", "code", "said"), REFUSED)
def test_what_boto3_refuses_fails_the_check(
    django: Callable[..., tuple[int, str]],
    monkeypatch: pytest.MonkeyPatch,
    arguments: dict[str, Any],
    code: str,
    said: str,
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    region = {} if code == "E006" else {"region_name": "eu-west-1"}
    settings = json.dumps({"default": {"CLIENT": {**region, **arguments}}})
    ended, text = django("-m", "django", "check", AWS_PUBLISHER=settings)
    assert ended == 1
    assert f"(aws_publisher.{code}) AWS_PUBLISHER['default'] CLIENT: {said}" in text
    assert "Traceback" not in text
    ended, text = django("-c", "import tests.contrib.site.wsgi", AWS_PUBLISHER=settings)
    if code == "E006":  # a server may have clients that name their regions
        assert ended == 0
        assert "NoRegionError" in text
    else:
        assert ended == 1
        assert f"ImproperlyConfigured: AWS_PUBLISHER['default'] CLIENT: {said}" in text


def test_what_boto3_refuses_is_no_traceback(django: Callable[..., tuple[int, str]]) -> None:
    command = ("-m", "django", "publisher", "check", "--stream", STREAM)
    code, text = django(*command, ENDPOINT="localhost:4566")
    assert code == 1
    assert "CLIENT: ValueError: Invalid endpoint: localhost:4566." in text
    assert "Traceback" not in text
    # The settings are in order for SNS, whose version that is; for streams they are not.
    settings = {"default": {"CLIENT": {"api_version": "2010-03-31"}}}
    code, text = django(*command, AWS_PUBLISHER=json.dumps(settings))
    assert code == 1
    assert f"{STREAM}: DataNotFoundError: Unable to load data for: kinesis" in text
    assert "Traceback" not in text
