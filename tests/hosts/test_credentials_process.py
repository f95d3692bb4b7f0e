"""What a request of ours starts inherits no blocked signals."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hosts.process import Process, assert_stored, expected
from tests.servers import Endpoint

pytestmark = pytest.mark.every_python(
    "signal masks are inherited in subprocess's own way in each Python"
)

ANSWER = """
import json
print(json.dumps({"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "b"}))
"""
PROGRAMS = {
    "an alarm of its own": """
import signal, threading
def late(*_): raise TimeoutError
signal.signal(signal.SIGALRM, late)
signal.setitimer(signal.ITIMER_REAL, 0.2)
try:
    threading.Event().wait(10)
    raise SystemExit("the alarm did not come")
except TimeoutError:
    pass
""",
    "a child that it terminates": """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "print(1, flush=True); input()"],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE)
child.stdout.readline()
child.terminate()
child.wait(20)
""",
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=list(PROGRAMS))
def test_a_credential_process_has_its_signals(
    endpoint: Endpoint, start: Callable[..., Process], tmp_path: Path, program: str
) -> None:
    (tmp_path / "credentials.py").write_text(program + ANSWER)
    config = tmp_path / "config"
    config.write_text(
        f"[default]\ncredential_process = {sys.executable} {tmp_path}/credentials.py\n"
    )
    process = start(
        """
del os.environ['AWS_ACCESS_KEY_ID'], os.environ['AWS_SECRET_ACCESS_KEY']
configure(linger=0, delivery_timeout=15)
publish('m')[0].result()
publish('after')[0].result()
assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()
""",
        endpoint.url,
        AWS_CONFIG_FILE=str(config),
    )
    assert process.end() == 0, process.log
    assert_stored(endpoint, expected(m=1, after=1))
