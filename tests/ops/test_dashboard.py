"""The dashboard and the alert rules ask for metrics that exist; promtool agrees with the rules."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from publisher.contrib.prometheus import PublisherCollector
from tests.ops.test_metrics import parsed, work
from tests.servers import Endpoint
from tests.support import publishing

OPS = Path(__file__).parents[2] / "ops"


@pytest.fixture
def exposed(endpoint: Endpoint) -> set[str]:
    registry = CollectorRegistry()
    with publishing() as made:
        registry.register(PublisherCollector(made))
        work(made, endpoint)
        return set(parsed(generate_latest(registry).decode()))


def asked(text: str) -> set[str]:
    return set(re.findall(r"publisher_[a-z_]+", text))


def test_every_panel_asks_for_what_is_exposed(exposed: set[str]) -> None:
    dashboard = json.loads((OPS / "dashboard.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(dashboard["panels"]) == 12
    for query in queries:
        assert asked(query)
        assert asked(query) <= exposed, query
    assert all(panel["description"] for panel in dashboard["panels"])


def test_every_alert_asks_for_what_is_exposed(exposed: set[str]) -> None:
    rules = (OPS / "alerts.yml").read_text()
    assert rules.count("- alert:") == 4
    assert asked(rules) <= exposed


def test_promtool_agrees() -> None:
    promtool = shutil.which("promtool")
    if promtool is not None:  # a check on top, where Prometheus is installed
        for arguments in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]):
            done = subprocess.run(
                [promtool, *arguments], cwd=OPS, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr
    cases = (OPS / "alerts_test.yml").read_text()
    for alert in re.findall(r"- alert: (\w+)", (OPS / "alerts.yml").read_text()):
        assert f"alertname: {alert}" in cases
