"""`python -m publisher doctor`: each finding with what to do, the exit code by severity."""

from __future__ import annotations

import socket
import sys
import types
import warnings
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.config
import pytest

from publisher import _publisher, doctor
from publisher._cli import main
from publisher._doctoring import aws, live, process
from tests.servers import Answer, Endpoint, Error
from tests.support import STREAM, TOPIC, client_of, publishing


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "_TIMEOUT", 20)
    monkeypatch.setattr(_publisher, "_publishers", weakref.WeakSet())  # none of other tests'


def run(*arguments: str) -> int:
    try:
        return main(["doctor", *arguments])
    except SystemExit as end:
        return int(end.code or 0)


def found(findings: Iterator[doctor.Finding] | list[doctor.Finding], *words: str) -> str:
    """The severity of the one finding whose text has all the words."""
    fitting = [each for each in findings if all(word in str(each) for word in words)]
    assert len(fitting) == 1, fitting
    return fitting[0].severity


def test_all_is_well(capsys: Any) -> None:
    assert run() == 0
    out = capsys.readouterr().out
    for word in ("boto3-publisher", "botocore", "tenacity", "CPython", "region", "credentials"):
        assert word in out
    assert "testing" not in out  # the credentials' value


def test_permission_is_tried_without_storing_anything(capsys: Any) -> None:
    with Endpoint(strict=True) as strict:
        assert run("--topic", TOPIC, "--endpoint-url", strict.url) == 0
        assert strict.request_count == 1
        assert strict.stored() == []
    assert "publishing is permitted" in capsys.readouterr().out


def test_moto_stores_nothing_of_it(moto_server: Any) -> None:
    topic = moto_server.topic()
    client = boto3.client("kinesis", endpoint_url=moto_server.url)
    client.create_stream(StreamName="doctored", ShardCount=1)
    url = ["--endpoint-url", moto_server.url]
    assert run("--topic", topic.arn, "--stream", "doctored", *url) == 0
    shard = client.describe_stream(StreamName="doctored")["StreamDescription"]["Shards"][0]
    iterator = client.get_shard_iterator(
        StreamName="doctored", ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    assert client.get_records(ShardIterator=iterator)["Records"] == []
    assert run("--stream", "missing", *url) == 3


def test_no_region_and_no_credentials(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    assert run() == 3
    out = capsys.readouterr().out
    assert "error    region: none is set" in out
    assert "error    credentials: none were found" in out


def test_nobody_listens(capsys: Any) -> None:
    with socket.socket() as taken:  # bound, so that nobody else gets the port
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        assert run("--topic", TOPIC, "--endpoint-url", f"http://127.0.0.1:{port}") == 3
    assert "cannot be reached" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--topic", "orders"], "TopicArn"),
        (["--metrics", "missing.txt"], "cannot read missing.txt"),
        (["--topic"], "expected one argument"),
    ],
)
def test_bad_input_is_one_line(capsys: Any, arguments: list[str], complaint: str) -> None:
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert complaint in captured.err
    assert captured.out == ""


def test_metrics_of_something_else(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "metrics"
    path.write_text("# TYPE up gauge\nup 1\n")
    assert run("--metrics", str(path)) == 1
    assert "has none of a publisher" in capsys.readouterr().out
    path.write_text("not { metrics")
    assert run("--metrics", str(path)) == 2


def test_a_client_that_was_passed_in(endpoint: Endpoint) -> None:
    config = botocore.config.Config(max_pool_connections=2, retries={"total_max_attempts": 5})
    theirs = boto3.client("sns", endpoint_url=endpoint.url, config=config, verify=False)
    with publishing() as made, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sns = made.client("sns", client=theirs)
        sns.publish(TopicArn=TOPIC, Message="x").result(20)
        findings = doctor.examine()
    assert found(findings, "2 connections for 10 workers") == doctor.WARNING
    assert found(findings, "retries up to 5 times") == doctor.WARNING
    assert found(findings, "verify=False") == doctor.ERROR
    assert found(findings, "plain http to 127.0.0.1") == doctor.NOTE


def test_plain_http_to_elsewhere() -> None:
    assert found(live.endpoint("x", "http://sns.example.com"), "in the clear") == doctor.ERROR
    assert list(live.endpoint("x", "https://sns.example.com")) == []


def test_a_clock_that_is_off() -> None:
    answer = {"ResponseMetadata": {"HTTPHeaders": {"date": "Mon, 23 Nov 2015 08:00:00 GMT"}}}
    assert found(aws._clock(answer), "clock") == doctor.WARNING
    assert list(aws._clock({})) == []


def test_uwsgi_without_threads() -> None:
    uwsgi = types.SimpleNamespace(opt={b"master": True, b"http": b":0"})
    findings = list(process._uwsgi(uwsgi))
    assert found(findings, "enable-threads = true") == doctor.ERROR
    assert found(findings, "lazy-apps = true") == doctor.NOTE
    uwsgi.opt[b"die-on-term"] = True
    assert found(process._uwsgi(uwsgi), "gracefully_kill_them_all") == doctor.WARNING
    del uwsgi.opt[b"die-on-term"]
    uwsgi.opt.update({b"enable-threads": True, b"lazy-apps": True})
    assert list(process._uwsgi(uwsgi)) == []


def test_half_patched_by_gevent(monkeypatch: pytest.MonkeyPatch) -> None:
    patched = {"socket", "ssl"}
    module: Any = types.ModuleType("gevent.monkey")
    module.is_module_patched = patched.__contains__
    monkeypatch.setitem(sys.modules, "gevent.monkey", module)
    assert found(process._patching(), "gevent", "only socket, ssl") == doctor.WARNING
    patched |= {"threading", "time"}
    assert found(process._patching(), "everything is patched") == doctor.NOTE


def test_losses_in_this_process_are_findings(endpoint: Endpoint) -> None:
    endpoint.script(Answer(error=Error(403, "AuthorizationError")))
    with publishing() as made:
        client_of(made, "sns", endpoint.url).publish(TopicArn=TOPIC, Message="x").exception(20)
        assert made.flush(20) == 0
        text = doctor.report()
    assert "1 messages failed: AuthorizationError, the role lacks the permission" in text
    assert text.splitlines()[0].startswith("error")


def test_a_broken_profile_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    findings = doctor.examine(stream=STREAM)
    assert found(findings, "settings", "nobody") == doctor.ERROR
