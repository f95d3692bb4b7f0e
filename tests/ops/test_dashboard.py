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


def test_no_loss_is_missing_from_the_sum(tmp_path: Path) -> None:
    """A series begins with its first loss, which increase() alone does not see."""
    panels = json.loads((OPS / "dashboard.json").read_text())["panels"]
    (query,) = (
        panel["targets"][0]["expr"] for panel in panels if panel["title"] == "Lost in this range"
    )
    assert query.count("or vector(0)") == 2  # a process that lost nothing has no series of failures
    for name in ("job", "service", "destination"):
        query = query.replace(f"${name}", ".*")
    query = query.replace("$__range", "10m")
    failed = 'publisher_failed_total{destination="orders",code="%s"}'
    series = {
        failed % "Throttling": "5x20 5+1x3 8x60",  # 3 in the range
        failed % "NotFound": "_x30 7x60",  # 7: its first sample is in the range
        failed % "Old": "4x90",
        'publisher_dropped_total{destination="orders",reason="expired"}': "0x25 2x60",  # 2
    }
    cases = tmp_path / "cases.yml"
    cases.write_text(
        json.dumps(
            {
                "evaluation_interval": "15s",
                "tests": [
                    {
                        "interval": "15s",
                        "input_series": [
                            {"series": name, "values": values}
                            for name, values in series.items()
                            if chosen in name
                        ],
                        "promql_expr_test": [
                            {
                                "expr": query,
                                "eval_time": "12m",
                                "exp_samples": [{"labels": "{}", "value": value}],
                            }
                        ],
                    }
                    for chosen, value in (("", 12), ("NotFound", 7), ("dropped", 2), ("Old", 0))
                ],
            }
        )
    )
    promtool = shutil.which("promtool")
    if promtool is not None:
        done = subprocess.run(
            [promtool, "test", "rules", str(cases)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


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
