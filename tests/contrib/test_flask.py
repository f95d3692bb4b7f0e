"""Flask: the extension, its settings and its commands."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import NoRegionError

import publisher
from publisher.contrib import _commands
from publisher.contrib._settings import Settings
from tests.servers import Endpoint
from tests.support import SESSION, SOON, STREAM, TOPIC


@pytest.fixture(autouse=True)
def _flask(need: Callable[[str], Path]) -> None:
    need("flask")


@pytest.fixture
def make(endpoint: Endpoint) -> Iterator[Callable[..., Any]]:
    """Makes applications with these settings; their publishers are closed at the end."""
    from flask import Flask, request

    from publisher.contrib.flask import FlaskPublisher

    made: list[Any] = []

    def make(extension: Any = None, **settings: Any) -> Any:
        app = Flask("shop")
        own = extension or FlaskPublisher()
        app.config.update(
            {"PUBLISHER_CLIENT": {"endpoint_url": endpoint.url, "region_name": "us-east-1"}}
        )
        app.config.update(settings)
        own.init_app(app)
        app.extensions["under test"] = own
        app.add_url_rule("/health", view_func=own.health)

        @app.post("/send")
        def send() -> dict[str, str]:
            own.client("sns", session=SESSION).publish(TopicArn=TOPIC, Message=request.form["text"])
            return {}

        made.append(app)
        return app

    yield make
    for app in made:
        with app.app_context():
            app.extensions["under test"].publisher.close(SOON)


def bodies(endpoint: Endpoint) -> list[str]:
    return sorted(entry.data.decode() for entry in endpoint.stored())


def test_a_view_publishes_and_does_not_wait(make: Callable[..., Any], endpoint: Endpoint) -> None:
    app = make(PUBLISHER_LINGER=60)
    assert app.test_client().post("/send", data={"text": "hello"}).status_code == 200
    with app.app_context():
        own = app.extensions["under test"].publisher
        assert own.stats().total.outstanding == 1  # the end of the context closed nothing
        assert own.flush(SOON) == 0
    assert bodies(endpoint) == ["hello"]


def test_several_applications_each_have_their_own(
    make: Callable[..., Any], endpoint: Endpoint
) -> None:
    from publisher.contrib.flask import FlaskPublisher

    shared = FlaskPublisher()
    first = make(shared, PUBLISHER_MAX_WORKERS=1)
    second = make(shared, PUBLISHER_MAX_WORKERS=2)
    found = []
    for app in (first, second):
        with app.app_context():
            found.append(shared.publisher)
            assert shared.client("sns") is shared.client("sns")
        app.test_client().post("/send", data={"text": "x"})
    assert [each._options.max_workers for each in found] == [1, 2]
    for each in found:
        each.flush(SOON)
        assert each.stats().total.delivered == 1
    assert found[0] is not publisher._default


def test_settings_are_the_options(make: Callable[..., Any]) -> None:
    app = make(
        PUBLISHER_MAX_WORKERS=3,
        PUBLISHER_LINGER={"sns": 0.5},
        PUBLISHER_HOOKS=["publisher.LoggingHook"],
        PUBLISHER_ON_FULL="drop",
    )
    with app.app_context():
        options = app.extensions["under test"].publisher._options
    assert (options.max_workers, options.linger["sns"], options.on_full) == (3, 0.5, "drop")
    assert isinstance(options.hooks[0], publisher.LoggingHook)


@pytest.mark.parametrize(
    "value",
    [
        "/spool/shop",
        Path("/spool/shop"),
        {"directory": "/spool/shop"},
        publisher.Spool("/spool/shop"),
    ],
)
def test_a_spool_may_be_a_directory_or_its_arguments(value: Any) -> None:
    made = Settings({"SPOOL": value, "ON_FULL": "drop"}, "PUBLISHER_")
    assert made.problems == []
    assert made.options == {"spool": publisher.Spool("/spool/shop"), "on_full": "drop"}
    of_all = Settings({"SPOOL": {"directory": "/spool", "sync": "disk"}}, "").options["spool"]
    assert of_all == publisher.Spool("/spool", sync="disk")
    assert Settings({"SPOOL": None}, "").options == {"spool": None}


def test_settings_from_the_environment(
    make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from flask import Flask

    from publisher.contrib.flask import FlaskPublisher

    monkeypatch.setenv("FLASK_PUBLISHER_MAX_WORKERS", "4")
    app = Flask("shop")
    app.config.from_prefixed_env()
    extension = FlaskPublisher(app)
    with app.app_context():
        assert extension.publisher._options.max_workers == 4


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"PUBLISHER_MAX_WORKER": 1}, "PUBLISHER_MAX_WORKER is not a known.*PUBLISHER_MAX_WORKERS"),
        ({"PUBLISHER_MAX_WORKERS": 0}, "PUBLISHER_MAX_WORKERS: .*at least 1, not 0"),
        ({"PUBLISHER_HOOKS": ["nowhere.Hook"]}, "PUBLISHER_HOOKS: .*nowhere"),
        ({"PUBLISHER_CLIENT": {"region": "x"}}, "unknown argument 'region'"),
        ({"PUBLISHER_HEALTH": {"share": 0}}, "share must be more than 0 and at most 1, not 0"),
        ({"PUBLISHER_SPOOL": 3}, "PUBLISHER_SPOOL: spool must be a publisher.Spool.* not int"),
        ({"PUBLISHER_SPOOL": ""}, "PUBLISHER_SPOOL: directory must be"),
        ({"PUBLISHER_SPOOL": {"sync": "disk"}}, "PUBLISHER_SPOOL: .*directory is missing"),
        ({"PUBLISHER_SPOOL": {"directory": "/s", "size": 1}}, "argument 'size'.* max_bytes"),
        ({"PUBLISHER_SPOOL": {"directory": "/s", "sync": "no"}}, "sync must be one of 'kernel'"),
        ({"PUBLISHER_LINGER": -1, "PUBLISHER_ON_FULL": "?"}, "LINGER.*ON_FULL"),
    ],
)
def test_bad_settings_raise_at_init_app(
    settings: dict[str, Any], text: str, make: Callable[..., Any]
) -> None:
    with pytest.raises(ValueError, match=text):
        make(**settings)


def test_fewer_connections_than_workers_is_a_warning(
    make: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "publisher"):
        make(PUBLISHER_CLIENT={"config": Config(max_pool_connections=2)})
    assert "max_pool_connections=2 is below max_workers=10" in caplog.text


def test_twice_for_one_application_raises(make: Callable[..., Any]) -> None:
    app = make()
    with pytest.raises(RuntimeError, match="once"):
        app.extensions["under test"].init_app(app)


def test_outside_of_an_application_raises(make: Callable[..., Any]) -> None:
    from flask import Flask

    extension = make().extensions["under test"]
    with pytest.raises(RuntimeError, match="application context"):
        extension.client("sns")
    with Flask("other").app_context(), pytest.raises(RuntimeError, match="init_app"):
        extension.client("sns")


def test_the_health_view(make: Callable[..., Any]) -> None:
    app = make(PUBLISHER_MAX_MESSAGES=1, PUBLISHER_LINGER=60)
    client = app.test_client()
    assert client.get("/health").status_code == 200
    client.post("/send", data={"text": "private"})
    full = client.get("/health")
    assert full.status_code == 503
    assert full.json["default"]["problems"] == ["the buffer is full: 1 message, 7 bytes"]
    assert "private" not in full.text


def test_the_health_view_of_a_spool_that_is_old_is_not_a_failure(make: Callable[..., Any]) -> None:
    app = make()
    client = app.test_client()
    client.post("/send", data={"text": "private"})
    with app.app_context():
        core = app.extensions["under test"].publisher._core
    well = client.get("/health").json["default"]
    assert (well["degraded"], well["spool"]) == ([], None)
    held = publisher.SpoolStats(waiting=2, bytes=90, oldest_age=301, skipped=1)
    core.account.on_disk = lambda: held
    view = client.get("/health")
    assert view.status_code == 200
    views = view.json
    found = views["default"]
    assert found["healthy"]
    assert found["degraded"] == ["the oldest of 2 messages on disk has waited for 301 s"]
    assert found["spool"] == asdict(held)
    shown = "\n".join(_commands._lines(views))
    assert shown.startswith("default: healthy; degraded: the oldest of 2 messages on disk has")
    assert "spooled" not in shown
    found["total"]["spooled"] = 7
    assert "cancelled 0, spooled 7, outstanding" in "\n".join(_commands._lines(views))


def test_the_health_view_while_messages_are_lost(
    make: Callable[..., Any], endpoint: Endpoint
) -> None:
    app = make()
    client = app.test_client()
    own = app.extensions["under test"]
    sns = endpoint.client("sns")
    sns.create_topic(Name="orders")

    def send(count: int) -> Any:
        for number in range(count):
            client.post("/send", data={"text": str(number)})
        with app.app_context():
            own.publisher.flush(SOON)
        return client.get("/health")

    assert send(5).status_code == 200
    sns.delete_topic(TopicArn=TOPIC)
    assert send(4).status_code == 200  # below the minimum
    lost = send(5)
    assert lost.status_code == 503
    problem = "9 of 14 messages of the last 60 s were lost"
    assert lost.json["default"]["problems"] == [problem]
    assert lost.json["default"]["recent"] == {"seconds": 60, "ended": 14, "lost": 9}
    sns.create_topic(Name="orders")
    until = time.monotonic() + SOON  # a second or so: those that are lost are no longer the latest
    while send(5).status_code != 200:
        assert time.monotonic() < until


def test_from_what_share_on_it_is_not_healthy_is_a_setting(
    make: Callable[..., Any], endpoint: Endpoint
) -> None:
    endpoint.client("sns").delete_topic(TopicArn=TOPIC)
    for limits, expected in (
        ({"minimum": 1}, 503),
        ({"minimum": 3}, 200),
        ({"minimum": 1, "share": None}, 200),
    ):
        app = make(PUBLISHER_HEALTH=limits)
        client = app.test_client()
        client.post("/send", data={"text": "x"})
        client.post("/send", data={"text": "y"})
        with app.app_context():
            app.extensions["under test"].publisher.flush(SOON)
        assert client.get("/health").status_code == expected


def test_the_command_sends(make: Callable[..., Any], endpoint: Endpoint) -> None:
    ran = make().test_cli_runner().invoke(args=["publisher", "send", "hello", "--topic", TOPIC])
    assert ran.output.startswith("delivered: MessageId "), ran.output
    ran = make().test_cli_runner().invoke(args=["publisher", "send", "hello", "--stream", STREAM])
    assert ran.output.startswith("delivered: shardId-"), ran.output
    assert bodies(endpoint) == ["hello", "hello"]


def test_the_command_checks(make: Callable[..., Any], endpoint: Endpoint) -> None:
    sns = endpoint.client("sns")
    there = sns.create_topic(Name="there")["TopicArn"]
    ran = make().test_cli_runner().invoke(args=["publisher", "check", "--topic", there])
    assert ran.output == f"settings: ok\n{there}: ok\n"
    sns.delete_topic(TopicArn=there)
    ran = make().test_cli_runner().invoke(args=["publisher", "check", "--topic", there])
    assert ran.exit_code == 1
    assert "1 of 1 destination cannot be published to" in ran.output
    assert bodies(endpoint) == []


def test_a_warning_about_a_client_shows_who_asked_for_it(
    make: Callable[..., Any], endpoint: Endpoint
) -> None:
    app = make()
    with app.app_context(), pytest.warns(UserWarning, match="used as it is") as caught:
        app.extensions["under test"].client("sns", client=endpoint.client("sns"))
    assert [each.filename for each in caught] == [__file__]


def test_the_command_does_not_say_that_all_is_well_where_nothing_is_asked(
    make: Callable[..., Any], endpoint: Endpoint
) -> None:
    app = make(PUBLISHER_BACKEND="console")
    ran = app.test_cli_runner().invoke(args=["publisher", "check", "--topic", TOPIC])
    assert ran.output == f"settings: ok\n{TOPIC}: not asked, BACKEND 'console' sends nothing\n"
    assert endpoint.requests == []


def test_the_command_says_what_is_wrong(make: Callable[..., Any]) -> None:
    for arguments, text in (
        (["send", "hello"], "give one of --topic, "),
        (["stats", "ftp://x"], "begins with http"),
        (["stats", "http://127.0.0.1:1/"], "cannot be read"),
    ):
        ran = make().test_cli_runner().invoke(args=["publisher", *arguments])
        assert ran.exit_code == 1
        assert text in ran.output
        assert "Traceback" not in ran.output


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["send", "x", "--topic", TOPIC, "--timeout", "0"], "--timeout: delivery_timeout must be"),
        (["send", "x", "--topic", TOPIC, "--timeout", "-1"], "above 0, not -1.0"),
        (["send", "x", "--stream", STREAM, "--timeout", "nan"], "above 0, not nan"),
        (["check", "--topic", TOPIC, "--timeout", "0"], "--timeout: delivery_timeout must be"),
        (["check", "--stream", ""], "StreamName has length 0"),
        (["send", "x", "--stream", ""], "StreamName"),
        (["send", "\udcff", "--stream", STREAM], "InvalidMessage: "),  # as a shell gives 0xFF
        (["send", "\udcff", "--topic", TOPIC], "InvalidMessage: "),
        (["stats", "http://localhost:abc/"], "cannot be read: nonnumeric port: 'abc'"),
        (["stats", "http://localhost/a b"], "cannot be read: URL can't contain"),
        (["stats", "http://[::1"], "cannot be read: Invalid IPv6 URL"),
    ],
)
def test_bad_input_to_the_command_is_one_line(
    make: Callable[..., Any], endpoint: Endpoint, arguments: list[str], text: str
) -> None:
    ran = make().test_cli_runner().invoke(args=["publisher", *arguments])
    assert isinstance(ran.exception, SystemExit), ran.exception
    assert ran.exit_code == 1
    assert text in ran.output
    assert "Parameter validation failed:\n" not in ran.output
    assert ran.output.splitlines()[-1].startswith("Error: ")
    assert endpoint.request_count == 0


def test_the_account_as_json_is_whole(make: Callable[..., Any]) -> None:
    app = make()
    app.test_client().post("/send", data={"text": "x"})
    with app.app_context():
        app.extensions["under test"].publisher.flush(SOON)
    report = json.loads(app.test_client().get("/health").data)["default"]
    assert report["total"]["accepted"] == report["total"]["delivered"] == 1
    assert list(report["destinations"]) == ["sns:us-east-1:orders"]


REFUSED = [
    ({"region_name": "eu west"}, "InvalidRegionError: Provided region_name 'eu west'"),
    (
        {"endpoint_url": "http://me:hunter2@bad_host"},
        "ValueError: Invalid endpoint: http://***@bad",
    ),
    ({"aws_secret_access_key": "hunter2"}, "PartialCredentialsError: Partial credentials found"),
    ({"config": {}}, "AttributeError: config must be a botocore.config.Config, not dict"),
]


@pytest.mark.parametrize(("arguments", "said"), REFUSED)
def test_what_boto3_refuses_is_refused(
    make: Callable[..., Any], arguments: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match="PUBLISHER_CLIENT: ") as caught:
        make(PUBLISHER_CLIENT={"region_name": "eu-west-1", **arguments})
    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_without_a_region_the_command_fails_and_the_application_is_warned(
    make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    app = make(PUBLISHER_CLIENT={})
    assert "PUBLISHER_CLIENT: NoRegionError" in caplog.text
    result = app.test_cli_runner().invoke(args=["publisher", "check"])
    assert result.exit_code == 1
    assert "NoRegionError: You must specify a region. Set region_name in CLIENT" in result.output
    with app.app_context(), pytest.raises(NoRegionError):
        app.extensions["under test"].client("sns")
    with app.app_context():
        assert app.extensions["under test"].client("sns", region_name="eu-west-1")


def test_what_boto3_refuses_of_one_service_is_no_traceback(
    make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make(PUBLISHER_CLIENT={"region_name": "eu-west-1", "api_version": "2010-03-31"})  # SNS's
    result = app.test_cli_runner().invoke(args=["publisher", "send", "m", "--stream", STREAM])
    assert result.exit_code == 1
    assert "Error: DataNotFoundError: Unable to load data for: kinesis" in result.output


@pytest.mark.parametrize("name", ["PUBLISHER", "AWS_PUBLISHER"])
@pytest.mark.parametrize(
    "value",
    [{"MAX_WORKERS": 3}, {"max_workers": 3}, {"default": {"CLIENT": {}}}, {"x": {}, "HOOKS": ()}],
)
def test_options_in_a_dict_of_their_own_are_refused(
    make: Callable[..., Any], name: str, value: Any
) -> None:
    with pytest.raises(
        ValueError, match=f"^{name} is a dict with .* which is not read. In Flask each"
    ):
        make(**{name: value})


@pytest.mark.parametrize("value", ["Penguin Books", {"name": "Penguin"}, None, {}, {"a": {"b": 1}}])
def test_what_an_application_means_by_that_name_is_its_own_affair(
    make: Callable[..., Any], value: Any
) -> None:
    assert make(PUBLISHER=value)
