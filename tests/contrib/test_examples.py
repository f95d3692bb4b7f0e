"""The example projects under every server that the documentation names, and what ends there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.contrib.processes import EXAMPLES, Running, run
from tests.servers import Endpoint, Moto, Topic

pytestmark = pytest.mark.heavy  # servers of the examples

UWSGI = r"bound to TCP address (127\.0\.0\.1:\d+)"
WEB = r"(http://127\.0\.0\.1:[1-9]\d*)"
GUNICORN = ["-m", "gunicorn", "--bind", "127.0.0.1:0"]


@pytest.fixture
def topic(moto_server: Moto) -> Topic:
    return moto_server.topic()


@pytest.fixture
def fifo(moto_server: Moto) -> Topic:
    """Of this only the queue is used."""
    return moto_server.topic(fifo=True)


def command(need: Callable[[str], Path], framework: str, server: str) -> list[Any]:
    python = need(framework) / "python"
    if server == "gunicorn":
        need("gunicorn")
        return [python, *GUNICORN, "shop.wsgi" if framework == "django" else "app:app"]
    if server == "uwsgi":
        need("pyuwsgi")
        # The interpreter is the wheel's own: it is told where the packages are.
        return [need("pyuwsgi") / "uwsgi", "--http-socket", "127.0.0.1:0", "--ini", "uwsgi.ini"]
    if framework == "django":
        return [python, "manage.py", "runserver", "127.0.0.1:0"]
    return [python, "-m", "flask", "run", "--port", "0"]


@pytest.mark.parametrize("server", ["runserver", "gunicorn", "uwsgi"])
def test_django(
    server: str,
    start: Callable[..., Running],
    need: Callable[[str], Path],
    moto_server: Moto,
    topic: Topic,
    fifo: Topic,
    tmp_path: Path,
) -> None:
    folder = EXAMPLES / "django_app"
    environment = {
        "AWS_ENDPOINT_URL": moto_server.url,
        "TOPIC_ARN": topic.arn,
        "QUEUE_URL": fifo.queue_url,
        "DATABASE": str(tmp_path / "db.sqlite3"),
    }
    code, text = run([sys.executable, "manage.py", "migrate", "-v0"], cwd=folder, **environment)
    assert code == 0, text
    process = start(command(need, "django", server), cwd=folder, **environment)
    process.listening(UWSGI if server == "uwsgi" else WEB)
    assert process.ask("/orders", {"item": "book"}) == (201, '{"order": 1}')
    assert process.ask("/orders", {"item": "unicorn"})[0] == 409  # rolled back: nothing is sent
    status, body = process.ask("/orders/confirmed", {"item": "pen"})
    assert status == 201, body
    assert json.loads(body)["message"]
    sent = sorted(json.loads(one.body)["item"] for one in topic.drain(2))
    assert sent == ["book", "pen"]
    # uWSGI runs two workers, and the order of a group is kept within a process: what has arrived is
    # waited for before the next step is asked for, which another worker may answer.
    for order in (1, 2):
        for step in ("packed", "shipped", "delivered"):
            assert process.ask(f"/orders/{order}/steps", {"step": step})[0] == 202
            (arrived,) = fifo.drain(1)
            assert json.loads(arrived.body) == {"order": order, "step": step}
    assert process.ask("/orders/99/steps", {"step": "packed"})[0] == 404
    assert process.ask("/health/publisher")[0] == 200
    if server == "runserver":
        # Both processes of the reloader, as Ctrl-C at a terminal does.
        os.killpg(process.popen.pid, signal.SIGINT)
        process.wait()
    else:
        assert process.end(signal.SIGTERM) == 0, process.text
    assert "Traceback" not in process.text, process.text


@pytest.mark.parametrize("server", ["run", "gunicorn", "uwsgi"])
def test_flask(
    server: str,
    start: Callable[..., Running],
    need: Callable[[str], Path],
    moto_server: Moto,
    topic: Topic,
) -> None:
    environment = {"AWS_ENDPOINT_URL": moto_server.url, "TOPIC_ARN": topic.arn}
    process = start(command(need, "flask", server), cwd=EXAMPLES / "flask_app", **environment)
    process.listening(UWSGI if server == "uwsgi" else WEB)
    for item in ("book", "pen"):
        status, _ = process.ask("/orders", {"item": item})
        assert status == 201
    sent = sorted(one.body.split(": ")[1] for one in topic.drain(2))
    assert sent == ["book", "pen"]
    assert process.ask("/health/publisher")[0] == 200
    process.end(signal.SIGINT if server == "run" else signal.SIGTERM)
    assert "Traceback" not in process.text, process.text


def test_one_command_starts_an_example_on_a_local_aws(
    start: Callable[..., Running], need: Callable[[str], Path]
) -> None:
    need("moto")
    need("flask")
    process = start([sys.executable, "-m", "examples", "flask", "--port", "0"])
    process.listening(r"Running on (http://127\.0\.0\.1:[1-9]\d*)")
    process.ask("/orders", {"item": "book"})
    process.until(r"queue: order \w+: book")
    assert process.end(signal.SIGINT) == 0, process.text


def test_the_demo_sends_to_a_queue(tmp_path: Path) -> None:
    (tmp_path / "few.log").write_text("".join(f"line {number}\n" for number in range(30)))
    demo = [sys.executable, "-m", "publisher", "demo", "--service", "sqs", "--input"]
    code, text = run([*demo, tmp_path / "few.log"])
    assert code == 0, text
    for sender in ("boto3", "publisher"):
        assert f"queue, {sender}: all 30 lines arrived unaltered, 0 of them twice" in text
    assert "sqs:us-east-1:demo" in text


# What the chapter on servers says: nothing that was accepted is lost when a worker ends.


@pytest.fixture
def site(
    start: Callable[..., Running], need: Callable[[str], Path], endpoint: Endpoint, tmp_path: Path
) -> Callable[..., Running]:
    """Starts a server whose messages linger for a minute: only a worker's end delivers them."""

    def site(*words: str | Path, pattern: str, **environment: str) -> Running:
        need("django")
        need("health_check")
        return start(
            words,
            SITE_FOLDER=str(tmp_path),
            DJANGO_SETTINGS_MODULE="tests.contrib.site.settings",
            ENDPOINT=endpoint.url,
            LINGER="60",
            **environment,
        ).listening(pattern)

    return site


def assert_all(endpoint: Endpoint, names: list[str]) -> None:
    stored = Counter(entry.data.decode() for entry in endpoint.stored())
    assert stored == Counter(f"{name}-{i}" for name in names for i in range(3))


def pids(process: Running, names: list[str]) -> set[int]:
    found = set()
    for name in names:
        status, body = process.ask("/send", {"name": name})
        assert status == 200, process.text
        found.add(json.loads(body)["pid"])
    return found


def test_gunicorn_loses_nothing(
    site: Callable[..., Running],
    need: Callable[[str], Path],
    endpoint: Endpoint,
) -> None:
    need("gunicorn")
    flags = ["--workers", "2", "--threads", "2", "--preload", "--max-requests", "3"]
    process = site(sys.executable, *GUNICORN, *flags, "tests.contrib.site.wsgi", pattern=WEB)
    names: list[str] = []
    workers: set[int] = set()
    while len(workers) < 3:  # until one was recycled; a busy machine takes its time with that
        assert len(names) < 200, process.text
        names.append(f"request{len(names)}")
        workers |= pids(process, names[-1:])
    assert process.end(signal.SIGTERM) == 0
    assert_all(endpoint, names)


def test_uwsgi_loses_nothing(
    site: Callable[..., Running],
    need: Callable[[str], Path],
    endpoint: Endpoint,
) -> None:
    configuration = EXAMPLES / "django_app" / "uwsgi.ini"
    own = ["--ini", configuration, "--wsgi", "tests.contrib.site.wsgi", "--max-requests", "3"]
    uwsgi = [need("pyuwsgi") / "uwsgi", "--http-socket", "127.0.0.1:0", *own]
    process = site(*uwsgi, "--min-worker-lifetime", "0", pattern=UWSGI)
    names = [f"request{i}" for i in range(8)]
    assert len(pids(process, names)) > 2
    # uWSGI has answered before it is done with a request, and runs nothing at the end of a worker
    # that it takes for busy: wait for its log.
    process.until(r"(?s)(POST /send.*){8}")
    process.end(signal.SIGTERM)
    assert_all(endpoint, names)


@pytest.mark.parametrize(
    ("flags", "text"),
    [([], "uWSGI runs without enable-threads"), (["--enable-threads", "--skip-atexit"], "is lost")],
)
def test_uwsgi_flags_known_to_break_threads_are_named(
    flags: list[str], text: str, site: Callable[..., Running], need: Callable[[str], Path]
) -> None:
    command = [need("pyuwsgi") / "uwsgi", "--http-socket", "127.0.0.1:0", "--master", *flags]
    process = site(*command, "--wsgi", "tests.contrib.site.wsgi", pattern=UWSGI)
    process.until(text)
    process.until(r"Add enable-threads = true|Remove skip-atexit")


WITHOUT = """
import runpy, sys
sys.modules[sys.argv.pop(1)] = None  # as where it is not installed
runpy.run_module("examples", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    ("example", "module", "install"),
    [
        ("django", "django", "-e '.[django]'"),
        ("flask", "flask", "-e '.[flask]'"),
        ("celery", "celery", "-e '.[celery]'"),
        ("lambda", "awslambdaric", "awslambdaric"),
        ("django", "moto", "-e '.[demo]'"),
    ],
)
def test_what_an_example_lacks_is_said_with_what_installs_it(
    example: str, module: str, install: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, module, example],
        cwd=EXAMPLES.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"needs {module}, which is not installed: {sys.executable} -m pip install" in done.stderr
    assert done.stderr.endswith(f"install {install}\n")
