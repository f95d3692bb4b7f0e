"""``client()`` refuses what ``boto3.client`` refuses without the network, and as it does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import botocore.exceptions
import pytest
from botocore import UNSIGNED
from botocore.config import Config

import publisher
from publisher.services import names
from publisher.testing import capture
from tests.servers import Endpoint
from tests.support import SOON, TOPIC, publish, publishing, tries

pytestmark = pytest.mark.every_python("what boto3.client refuses, and how, differs by version")

HERE = {"region_name": "us-east-1"}
ARGUMENTS: list[dict[str, Any]] = [
    {},
    HERE,
    *(
        {"region_name": name}
        for name in ("", "eu west", "eu-west-1.", "a" * 64, "123", "-x", "a\n")
    ),
    *({"region_name": name} for name in (123, b"us-east-1", ["x"], "aws-global", "fips-us-east-1")),
    {"config": Config(region_name="eu-west-1")},
    {"config": Config(region_name="eu west")},
    {"config": Config(region_name="eu-west-1"), "region_name": ""},
    {"region_name": "", "endpoint_url": "http://localhost:4566"},
    {"endpoint_url": "http://localhost:4566"},
    *(
        {**HERE, "endpoint_url": url}
        for url in ("localhost:4566", "", "http://", "http://a b", "x")
    ),
    *({**HERE, "endpoint_url": url} for url in ("//localhost", "http://[::1]:80", "http://[::1")),
    *({**HERE, "endpoint_url": url} for url in ("http://localhost:99999", "http://bad_host", "/x")),
    *({**HERE, "endpoint_url": url} for url in (5, b"http://localhost")),
    *({**HERE, "config": config} for config in ({}, {"retries": {}}, "x", 5, False)),
    {**HERE, "aws_access_key_id": "x"},
    {**HERE, "aws_secret_access_key": "x"},
    {**HERE, "aws_secret_access_key": "x", "config": Config(signature_version=UNSIGNED)},
    {**HERE, "aws_session_token": "x"},
    {**HERE, "aws_access_key_id": "x", "aws_secret_access_key": "x"},
    {**HERE, "aws_access_key_id": "", "aws_secret_access_key": ""},
    *({**HERE, "api_version": version} for version in ("2010-03-31", "2013-12-02", "2000-01-01")),
    *({**HERE, "api_version": version} for version in ("", 5)),
    {**HERE, "config": Config(connect_timeout="soon")},  # type: ignore[arg-type]
    {**HERE, "config": Config(read_timeout=-1)},
    {**HERE, "config": Config(retries={"mode": "standard"})},
    {**HERE, "verify": "/nonexistent", "use_ssl": False},
]
ENVIRONMENTS: list[dict[str, str]] = [
    {},
    {"AWS_DEFAULT_REGION": ""},
    {"AWS_DEFAULT_REGION": "eu west"},
    {"AWS_REGION": "us-east-1"},
    {"AWS_DEFAULT_REGION": "x", "AWS_ENDPOINT_URL": "localhost:4566"},
    {"AWS_DEFAULT_REGION": "x", "AWS_ENDPOINT_URL": ""},
    {"AWS_DEFAULT_REGION": "x", "AWS_ENDPOINT_URL_SNS": "http://user:hunter2@bad_host"},
    {
        "AWS_DEFAULT_REGION": "x",
        "AWS_ENDPOINT_URL": "localhost:4566",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
    },
    {"AWS_DEFAULT_REGION": "x", "AWS_PROFILE": "nobody"},
    {"AWS_DEFAULT_REGION": "x", "AWS_RETRY_MODE": "often"},
    {"AWS_DEFAULT_REGION": "x", "AWS_MAX_ATTEMPTS": "many"},
    {"AWS_DEFAULT_REGION": "x", "AWS_SECRET_ACCESS_KEY": ""},
    {"AWS_DEFAULT_REGION": "x", "AWS_ACCESS_KEY_ID": ""},
]


#: Reading the services' models takes longest by far.
LOADER = boto3.Session()._session.get_component("data_loader")


def fresh(**options: Any) -> boto3.Session:
    """A session that has asked for nothing yet."""
    session = boto3.Session(**options)
    session._session.register_component("data_loader", LOADER)
    return session


def met(call: Callable[[], Any]) -> Exception | None:
    try:
        call()
    except Exception as error:  # noqa: BLE001 - the error is what is asked for
        return error
    return None


def assert_alike(service: str, kwargs: dict[str, Any], session: Any) -> None:
    wanted = met(lambda: (session or fresh()).client(service, **kwargs))
    with publisher.Publisher() as made:
        found = met(lambda: made.client(service, session=session, **kwargs))
    if wanted is None:
        assert found is None
    else:
        assert type(found) is type(wanted), (found, wanted)
        assert "hunter2" not in str(found)
    if isinstance(wanted, (botocore.exceptions.BotoCoreError, ValueError)):
        assert str(found) in (str(wanted), f"Invalid endpoint: {kwargs.get('endpoint_url')}") or (
            "***" in str(found) or "\\n" in str(found)
        )


@pytest.mark.parametrize("service", names())
@pytest.mark.parametrize("kwargs", ARGUMENTS, ids=range(len(ARGUMENTS)))
def test_arguments(service: str, kwargs: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert_alike(service, kwargs, None)
    assert_alike(service, kwargs, fresh())
    if "region_name" not in kwargs:
        assert_alike(service, kwargs, fresh(region_name="eu-west-1"))


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=range(len(ENVIRONMENTS)))
def test_the_environment(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for service in names():
        assert_alike(service, {}, None)
        assert_alike(service, HERE, None)
        pair = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
        assert_alike(service, {**HERE, **pair}, None)


HALF, OTHER_HALF = "aws_access_key_id = x\n", "aws_secret_access_key = y\n"
FILES: list[tuple[str, str, dict[str, str]]] = [
    (f"[default]\n{HALF}", "", {}),
    (f"[default]\n{OTHER_HALF}", "", {}),
    (f"[default]\n{HALF}{OTHER_HALF}", "", {}),
    (f"[other]\n{HALF}[default]\n{HALF}{OTHER_HALF}", "", {}),
    (f"[other]\n{HALF}[default]\n{HALF}{OTHER_HALF}", "", {"AWS_PROFILE": "other"}),
    ("", f"[default]\n{HALF}", {}),
    ("", f"[profile other]\n{HALF}", {"AWS_PROFILE": "other"}),
    (f"[default]\n{HALF}", "", {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}),
    (
        f"[default]\n{HALF}[rest]\n{HALF}{OTHER_HALF}",
        "[default]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = rest\n",
        {},
    ),
]


@pytest.mark.parametrize(("credentials", "config", "environment"), FILES)
@pytest.mark.parametrize("kwargs", [HERE, {**HERE, "aws_access_key_id": "x"}])
def test_half_a_key_pair_in_the_files(
    credentials: str,
    config: str,
    environment: dict[str, str],
    kwargs: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    given = {"SHARED_CREDENTIALS_FILE": credentials, "CONFIG_FILE": config}
    for name, text in given.items():
        (tmp_path / name).write_text(text)
        monkeypatch.setenv(f"AWS_{name}", str(tmp_path / name))
    for name, value in {"AWS_EC2_METADATA_DISABLED": "true", **environment}.items():
        monkeypatch.setenv(name, value)
    assert_alike("sns", kwargs, fresh())


def test_a_default_config_of_the_session_counts() -> None:
    session = fresh()
    session._session.set_default_client_config(Config(region_name="eu west"))
    assert_alike("sns", {}, session)
    session._session.set_default_client_config(Config(region_name="eu-west-1"))
    assert_alike("sns", {}, session)
    assert_alike("sns", {"config": Config(region_name="eu west")}, session)


def test_the_default_session_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", boto3.Session(region_name="eu-west-1"))
    with publisher.Publisher() as made:
        assert made.client("sns")._connect().region == "eu-west-1"


def test_a_missing_region_is_none_in_a_capture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(botocore.exceptions.NoRegionError):
        publisher.client("sns")
    with publishing(retry=tries(1)) as made:
        with capture() as published:
            inside = made.client("sns")
            assert publish(inside, "m").result(SOON)
            published.assert_sent("sns", TopicArn=TOPIC)
            with pytest.raises(ValueError, match="Invalid endpoint"):
                made.client("sns", endpoint_url="localhost:4566")
        with pytest.raises(botocore.exceptions.NoRegionError):
            made.client("sns")
        # One that was made inside sends nothing to whatever region afterwards.
        assert isinstance(publish(inside, "m").exception(SOON), botocore.exceptions.NoRegionError)


PROGRAM = """
import socket, sys, threading
def refuse(*_): raise AssertionError("a socket was opened")
socket.socket.connect = refuse
import publisher
for service in {services!r}:
    publisher.client(service, "eu-west-1", endpoint_url="http://localhost:1")
import gc
from botocore.client import BaseClient
made = [each for each in gc.get_objects() if isinstance(each, BaseClient)]
print(len(made), len(threading.enumerate()), "boto3" in sys.modules)
"""


def test_nothing_is_made_or_started_for_it() -> None:
    program = PROGRAM.format(services=names())
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "0 1 False\n", done


def test_a_refusal_costs_what_follows_nothing(endpoint: Endpoint) -> None:
    with publishing() as made:
        for _ in range(3):
            with pytest.raises(ValueError, match="Invalid endpoint"):
                made.client("sns", endpoint_url="localhost:4566")
        assert len(made._clients) == 0
        sns = made.client("sns", endpoint_url=endpoint.url)
        assert made.client("sns", endpoint_url=endpoint.url) is sns
        assert publish(sns, "m").result(SOON)


# One name for life


def test_a_region_stays_what_it_was(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the boto3 client is made, or made anew, after the environment has changed."""
    with publishing() as made:
        sns = made.client("sns", endpoint_url=endpoint.url)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        assert publish(sns, "m").result(SOON)
        assert sns.meta.region_name == "us-east-1"
        fips = made.client("sns", "fips-us-west-2", endpoint_url=endpoint.url)
        assert publish(fips, "m").result(SOON)
        assert fips.meta.region_name == fips._connect().region == "us-west-2"
