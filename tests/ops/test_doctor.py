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
import botocore.exceptions
import pytest
from prometheus_client import CollectorRegistry, generate_latest

import publisher
from publisher import _process, doctor, services
from publisher._cli import main
from publisher._doctoring import aws, live, process, spooling
from publisher.contrib.prometheus import PublisherCollector
from tests.servers import Answer, Endpoint, Error
from tests.support import SOON, STREAM, TOPIC, client_of, publishing

ALL = ", ".join(services.names())


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "_TIMEOUT", 20)
    monkeypatch.setattr(_process, "_publishers", weakref.WeakSet())  # none of other tests'


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


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"AWS_DEFAULT_REGION": "eu west"}, f"client({ALL}): InvalidRegionError: "),
        ({"AWS_SECRET_ACCESS_KEY": ""}, f"client({ALL}): PartialCredentialsError: "),
        ({"AWS_RETRY_MODE": "often"}, f"client({ALL}): InvalidRetryModeError: "),
    ],
)
def test_what_boto3_refuses_is_a_finding(
    environment: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert run() == 3
    assert f"error    {said}" in capsys.readouterr().out


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
        (["--stream", ""], "StreamName"),
        (["--metrics", "http://localhost:abc/"], "cannot read http://localhost:abc/: nonnumeric"),
        (["--metrics", "http://localhost/a b"], "cannot read http://localhost/a b: URL can't"),
        (["--stream", STREAM, "--endpoint-url", "http://localhost:99999"], "up to 65535"),
        (["--stream", STREAM, "--endpoint-url", "localhost:4566"], "http:// or https://"),
        (["--stream", STREAM, "--endpoint-url", "http://[::1"], "--endpoint-url"),
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


@pytest.mark.parametrize("value", ["NaN", "+Inf"])
@pytest.mark.parametrize(
    "metric",
    [
        'publisher_failed_total{service="sns",region="r",destination="d",code="X"}',
        'publisher_accepted_total{service="sns",region="r",destination="d"}',
        'publisher_outstanding_messages{service="sns",region="r",destination="d"}',
        "publisher_buffer_limit_messages",
    ],
)
def test_metrics_that_count_nothing(tmp_path: Path, capsys: Any, metric: str, value: str) -> None:
    path = tmp_path / "metrics"
    path.write_text(f"{metric} {value}\n")
    assert run("--metrics", str(path)) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"{path}: {metric.partition('{')[0]} is " in error


OLD = publisher.SpoolStats(
    waiting=1_200, bytes=4096, oldest_age=301, orphans=2, skipped=1, unwritten=5
)


def test_what_is_on_disk() -> None:
    assert list(live.spool(None)) == []
    (well,) = live.spool(publisher.SpoolStats(waiting=1, bytes=90, oldest_age=2))
    assert (well.severity, well.text) == (doctor.OK, "1 message on disk, 90 bytes")
    old, orphans, skipped, unwritten = live.spool(OLD)
    assert old.severity == skipped.severity == unwritten.severity == doctor.WARNING
    assert old.text == "1,200 messages on disk, 4,096 bytes; the oldest has waited for 301 s"
    assert "relay" in old.todo
    assert (orphans.severity, orphans.text[:6]) == (doctor.NOTE, "2 dead")
    assert skipped.text == "1 damaged record was passed over"
    assert unwritten.text == "5 messages were kept in memory alone: the disk failed"


def test_a_live_publisher_with_a_spool(endpoint: Endpoint) -> None:
    with publishing() as made:
        client_of(made, "sns", endpoint.url).publish(TopicArn=TOPIC, Message="x").result(SOON)
        assert not [each for each in live.findings() if each.about == "spool"]
        assert made._core is not None
        made._core.account.on_disk = lambda: OLD
        texts = [each.text for each in live.findings() if each.about == "spool"]
    assert "1 damaged record was passed over" in texts


def test_the_directory_of_a_spool(
    tmp_path: Path, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def about(made: publisher.Publisher) -> list[tuple[str, str]]:
        found = [each for each in live.findings() if each.about == "spool's directory"]
        assert made._core is not None
        return [(each.severity, each.text) for each in found]

    folder = tmp_path / "spool"
    with publishing(spool=publisher.Spool(folder)) as made:
        client_of(made, "sns", endpoint.url).publish(TopicArn=TOPIC, Message="x").result(SOON)
        ((severity, text),) = about(made)
        assert severity == doctor.OK
        assert "is private and can be written" in text
        folder.chmod(0o750)
        ((severity, text),) = about(made)
        assert severity == doctor.ERROR
        assert "open to others (mode 0750)" in text
        folder.chmod(0o700)
        monkeypatch.setattr(spooling, "mounts", lambda: "1 1 0:1 / / rw - tmpfs tmpfs rw")
        assert (
            doctor.WARNING,
            f"{folder} is in memory (tmpfs): its messages end with the machine",
        ) in (about(made))


@pytest.mark.parametrize(
    ("folder", "severity", "text"),
    [
        ("spool", doctor.OK, "is made at the first message"),
        ("no/spool", doctor.ERROR, "cannot be made"),
    ],
)
def test_a_spool_that_is_not_there_yet(
    tmp_path: Path, folder: str, severity: str, text: str
) -> None:
    (found,) = spooling.directory(publisher.Spool(tmp_path / folder))
    assert found.severity == severity
    assert text in found.text


def test_a_disk_with_little_room(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (_, found) = spooling.directory(publisher.Spool(tmp_path, max_bytes=1 << 60))
    assert found.severity == doctor.NOTE
    assert "less than max_bytes" in found.text


def test_metrics_of_a_process_with_a_spool(tmp_path: Path, endpoint: Endpoint, capsys: Any) -> None:
    path, registry = tmp_path / "metrics", CollectorRegistry()
    with publishing() as made:
        registry.register(PublisherCollector(made))
        client_of(made, "sns", endpoint.url).publish(TopicArn=TOPIC, Message="x").result(SOON)
        path.write_bytes(generate_latest(registry))
        assert run("--metrics", str(path)) == 0
        assert "on disk" not in capsys.readouterr().out
        assert made._core is not None
        made._core.account.on_disk = lambda: OLD
        path.write_bytes(generate_latest(registry))
    assert run("--metrics", str(path)) != 0
    out = capsys.readouterr().out
    for finding in live.spool(OLD):
        assert str(finding) in out


def test_metrics_with_a_reason_of_another_release(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "metrics"
    labels = 'service="sns",region="r",destination="d",reason="new"'
    path.write_text(f"publisher_dropped_total{{{labels}}} 3\n")
    assert run("--metrics", str(path)) == 3
    assert "3 messages were dropped: new" in capsys.readouterr().out


@pytest.mark.parametrize("url", ["localhost:4566", "http://localhost:99999", "http://[::1", "/x"])
@pytest.mark.parametrize("target", [[], ["--stream", STREAM]])
def test_an_endpoint_in_the_environment_that_is_none(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, url: str, target: list[str]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    assert run(*target) == 3
    out = capsys.readouterr().out
    assert "error    endpoint: AWS_ENDPOINT_URL is nothing that requests can be sent to" in out
    assert "-> set it to one such as http://localhost:4566, or remove it" in out
    assert "None" not in out


def test_an_empty_endpoint_in_the_environment_is_none_at_all(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "")
    assert run() == 0
    assert "endpoint" not in capsys.readouterr().out


def test_an_endpoint_that_is_none_is_a_finding() -> None:
    findings = doctor.examine(stream=STREAM, endpoint_url="http://localhost:99999")
    assert found(findings, "up to 65535") == doctor.ERROR


@pytest.mark.every_python("where botocore keeps its retries differs by version")
@pytest.mark.parametrize("mode", [None, "standard", "adaptive", "legacy"])
def test_the_retries_that_nobody_asked_for(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, mode: Any
) -> None:
    config = botocore.config.Config(retries={"mode": mode}) if mode else None
    theirs = boto3.client("sns", endpoint_url=endpoint.url, config=config)
    endpoint.script(Answer(error=Error(500, "InternalError")))
    monkeypatch.setattr("botocore.endpoint.time", types.SimpleNamespace(sleep=lambda _: None))
    with pytest.raises(botocore.exceptions.ClientError):
        theirs.publish(TopicArn=TOPIC, Message="x")
    assert endpoint.request_count > 1
    findings = live.connection(types.SimpleNamespace(made=theirs, service="sns", ways={}), 10)
    assert found(findings, f"retries up to {endpoint.request_count} times") == doctor.WARNING


@pytest.mark.every_python("where botocore keeps its retries differs by version")
@pytest.mark.parametrize(
    ("retries", "tries"),
    [(None, 5), ({}, 5), ({"mode": "standard", "total_max_attempts": 1}, 1), ({"mode": "?"}, 1)],
)
def test_retries_as_botocore_may_keep_them(endpoint: Endpoint, retries: Any, tries: int) -> None:
    theirs = boto3.client("sns", endpoint_url=endpoint.url)
    theirs.meta.config.retries = retries
    findings = list(live.connection(types.SimpleNamespace(made=theirs, service="sns", ways={}), 10))
    said = [each.text for each in findings if "retries up to" in each.text]
    assert said == [
        f"boto3 retries up to {tries} times beneath the publisher's own retries"
        for _ in range(tries > 1)
    ]


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
    assert "1 message failed: AuthorizationError, the role lacks the permission" in text
    assert text.splitlines()[0].startswith("error")


def test_a_broken_profile_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    monkeypatch.delenv("AWS_DATA_PATH")  # with one of its own boto3 finds out later
    findings = doctor.examine(stream=STREAM)
    assert found(findings, "settings", "nobody") == doctor.ERROR
