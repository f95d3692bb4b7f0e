"""No clock that a test can freeze is read for a wait, a deadline or a linger."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path
from typing import Any

import freezegun
import pytest
import time_machine

import publisher
from publisher import _clock
from tests.servers import Answer, Endpoint
from tests.support import SOON, TOPIC, client, client_of, publishing

ROOT = Path(__file__).parent.parent
FREEZES: dict[str, Callable[[], Any]] = {
    "freezegun": lambda: freezegun.freeze_time("2020-01-01"),
    "time-machine": lambda: time_machine.travel("2020-01-01", tick=False),
}


@pytest.fixture(params=sorted(FREEZES))
def freeze(request: pytest.FixtureRequest) -> Callable[[], Any]:
    return FREEZES[request.param]


@pytest.mark.every_python("what freezes time replaces other functions from one Python to the next")
def test_messages_go_out_while_time_stands_still(
    endpoint: Endpoint, freeze: Callable[[], Any]
) -> None:
    """botocore signs with the frozen time, as it does without us."""
    with publishing(linger=0.05) as made, freeze():
        sns = client_of(made, "sns", endpoint.url)
        futures = [sns.publish(TopicArn=TOPIC, Message=str(n)) for n in range(3)]
        assert made.flush(SOON) == 0
        assert all(future.done() for future in futures)
        sns.publish(TopicArn=TOPIC, Message="waited for").result(SOON)
    assert endpoint.count("sns") == 4


@pytest.mark.every_python("what freezes time replaces other functions from one Python to the next")
def test_a_wait_ends_in_real_time(endpoint: Endpoint, freeze: Callable[[], Any]) -> None:
    hold = threading.Event()
    endpoint.script(Answer(hold=hold))
    began = time.monotonic()
    with client("sns", endpoint.url, linger=0) as sns:
        with freeze():
            future = sns.publish(TopicArn=TOPIC, Message="x")
            with pytest.raises(FutureTimeoutError):
                future.result(0.3)
            assert sns._publisher.flush(0.3) == 1
            assert sns.close(0.3) == 1
        assert 0.8 < time.monotonic() - began < SOON
        hold.set()
        future.result(SOON)


@pytest.mark.every_python("what freezes time replaces other functions from one Python to the next")
def test_a_deadline_comes_in_real_time(endpoint: Endpoint, freeze: Callable[[], Any]) -> None:
    hold = threading.Event()
    endpoint.script(Answer(hold=hold))
    options = {"delivery_timeout": 0.5, "connect_timeout": 0.2, "read_timeout": 0.2}
    with client("sns", endpoint.url, linger=0, **options) as sns:
        with freeze():
            error = sns.publish(TopicArn=TOPIC, Message="x").exception(SOON)
        assert isinstance(error, publisher.DeliveryTimeout)
        hold.set()


SCRIPTS = {
    "imported inside": """
        with freezegun.freeze_time("2020-01-01"):
            import publisher
            sns = client()
            inside = sns.publish(TopicArn=TOPIC, Message="inside")
            inside.result(20)
        sns.publish(TopicArn=TOPIC, Message="after").result(20)
        assert publisher.close(20).delivered == 2
    """,
    "first client inside": """
        import publisher
        with freezegun.freeze_time("2020-01-01"):
            sns = client()
            sns.publish(TopicArn=TOPIC, Message="inside").result(20)
            assert publisher.flush(20) == 0
        sns.publish(TopicArn=TOPIC, Message="after").result(20)
        assert publisher.close(20).delivered == 2
    """,
    "exit inside": """
        import publisher
        freezegun.freeze_time("2020-01-01").start()
        client().publish(TopicArn=TOPIC, Message="one")
        client().publish(TopicArn=TOPIC, Message="two")
    """,
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=list(SCRIPTS))
def test_the_first_use_of_a_process_inside_a_freeze(endpoint: Endpoint, script: str) -> None:
    head = f"""
import freezegun
TOPIC = {TOPIC!r}
def client():
    import publisher
    return publisher.client("sns", endpoint_url={endpoint.url!r})
"""
    command = [sys.executable, "-c", head + textwrap.dedent(script)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert endpoint.count("sns") == 2


SUITE = """
import boto3, freezegun, moto, publisher

@moto.mock_aws
@freezegun.freeze_time("2020-01-01")
def test_first():
    topic = boto3.client("sns").create_topic(Name="orders")["TopicArn"]
    publisher.client("sns").publish(TopicArn=topic, Message="x").result(20)

def test_second():
    assert publisher.flush(20) == 0
"""


@pytest.mark.heavy  # a run of pytest
@pytest.mark.parametrize("options", [[], ["-n", "1"]], ids=["", "xdist"])
def test_a_frozen_mock_as_the_first_test_of_a_run(tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "test_suite.py").write_text(SUITE)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", *options, "test_suite.py"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_only_one_module_asks_the_system_what_time_it_is() -> None:
    asked = re.compile(r"\btime\.(monotonic|perf_counter)|from time import")
    for path in (ROOT / "publisher").rglob("*.py"):
        if path.name != "_clock.py" and "demo" not in path.parts:
            assert not asked.search(path.read_text()), path


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere both clocks are the same object")
def test_the_clock_for_who_is_in_a_hurry_is_the_other_one() -> None:
    quick = _clock.QUICK[0]
    assert quick is not _clock.now
    assert _clock.now() <= quick() <= _clock.now()


def test_a_freeze_replaces_neither_clock(freeze: Callable[[], Any]) -> None:
    clocks = _clock.now, *_clock.QUICK
    with freeze():
        assert (_clock.now, *_clock.QUICK) == clocks
        before = [clock() for clock in clocks]
        assert all(clock() > read for clock, read in zip(clocks, before, strict=True))
