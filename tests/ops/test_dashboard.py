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
    assert len(dashboard["panels"]) == 15
    for query in queries:
        assert asked(query)
        assert asked(query) <= exposed, query
    assert all(panel["description"] for panel in dashboard["panels"])


PANELS = json.loads((OPS / "dashboard.json").read_text())["panels"]
OKABE_ITO = {"#0072b2", "#d55e00", "#009e73", "#e69f00", "#cc79a7", "#56b4e9", "#f0e442"}
BOUND = "#7f7f7f"


def test_colours_are_for_every_kind_of_eye_and_no_two_names_share_one() -> None:
    for panel in PANELS:
        field = panel["fieldConfig"]
        steps = [each["color"] for each in field["defaults"].get("thresholds", {}).get("steps", ())]
        assert set(steps) <= OKABE_ITO, panel["title"]
        fixed = [
            (override["matcher"]["options"], each["value"]["fixedColor"])
            for override in field["overrides"]
            for each in override["properties"]
            if each["id"] == "color"
        ]
        colours = [colour for _, colour in fixed]
        assert set(colours) <= OKABE_ITO | {BOUND}, panel["title"]
        assert len(set(colours)) == len(colours), panel["title"]
        if panel["type"] == "timeseries" and len(panel["targets"]) > 2:
            names = {each["legendFormat"] for each in panel["targets"]}
            assert names == {name for name, _ in fixed}, panel["title"]  # each has one of its own


def test_a_number_is_a_total_of_the_range_or_of_now_and_says_which() -> None:
    for panel in PANELS:
        if panel["type"] == "stat":
            assert panel["title"].endswith(("in this range", "now")), panel["title"]
            (query,) = (each["expr"] for each in panel["targets"])
            assert ("$__range" in query) == panel["title"].endswith("in this range")
            assert "$__rate_interval" not in query


def test_every_panel_has_its_unit() -> None:
    for panel in PANELS:
        unit = panel["fieldConfig"]["defaults"]["unit"]
        rate = any("rate(" in each["expr"] for each in panel["targets"])
        quantile = any("histogram_quantile" in each["expr"] for each in panel["targets"])
        assert (unit in ("mps", "cps")) == (rate and not quantile), panel["title"]
        assert ("per second" in panel["title"]) == (unit in ("mps", "cps")), panel["title"]


def test_every_alert_asks_for_what_is_exposed(exposed: set[str]) -> None:
    rules = (OPS / "alerts.yml").read_text()
    assert rules.count("- alert:") == 6
    assert asked(rules) <= exposed


LOST = {
    'publisher_failed_total{destination="orders",code="Throttling"}': "5x20 5+1x3 8x60",  # 3
    'publisher_failed_total{destination="orders",code="NotFound"}': "_x30 7x60",  # 7: all
    'publisher_failed_total{destination="orders",code="Old"}': "4x90",
    'publisher_dropped_total{destination="orders",reason="expired"}': "0x25 2x60",  # 2
}
DELIVERED = {
    'publisher_delivered_total{destination="orders"}': "50x20 50+10x3 80x60",  # 30 in the range
    'publisher_delivered_total{destination="new"}': "_x30 70x60",  # 70: the first sample counts
    'publisher_delivered_total{destination="old"}': "40x90",
}


@pytest.mark.parametrize(
    ("title", "kinds", "series", "values"),
    [
        ("Lost in this range", 2, LOST, {"": 12, "NotFound": 7, "dropped": 2, "Old": 0}),
        ("Delivered in this range", 1, DELIVERED, {"": 100, "new": 70, "old": 0}),
    ],
)
def test_the_first_message_of_a_series_is_in_the_sum(
    tmp_path: Path, title: str, kinds: int, series: dict[str, str], values: dict[str, int]
) -> None:
    """A series begins with its first message, which increase() alone does not see."""
    (query,) = (panel["targets"][0]["expr"] for panel in PANELS if panel["title"] == title)
    assert query.count("or vector(0)") == kinds  # a process that lost nothing has no such series
    for name in ("job", "service", "destination"):
        query = query.replace(f"${name}", ".*")
    query = query.replace("$__range", "10m")
    cases = tmp_path / "cases.yml"
    cases.write_text(
        json.dumps(
            {
                "evaluation_interval": "15s",
                "tests": [
                    {
                        "interval": "15s",
                        "input_series": [
                            {"series": name, "values": samples}
                            for name, samples in series.items()
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
                    for chosen, value in values.items()
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
