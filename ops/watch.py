"""Feed the dashboard: the demo's lines under changing faults, scraped by a real Prometheus.

`python -m ops.watch [--seconds 90] [--picture docs/img/dashboard.png]` needs `prometheus` (Debian
has it) and, for the picture, `matplotlib`. The panels of dashboard.json are drawn from the answers
to their own queries; Grafana itself is not needed.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import math
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from prometheus_client import REGISTRY, start_http_server

import publisher
from publisher.contrib.prometheus import PublisherCollector
from publisher.demo.aws import Sink, isolate, running_server
from publisher.demo.lines import read
from tests.servers import Answer, Error, FaultProxy, ShardLimit

HERE = Path(__file__).parent
RATE = 300  # lines a second, to the topic and to the stream each
WINDOW = "8s"  # in place of $__rate_interval: the run is short


class Weather:
    """What goes wrong, from phase to phase."""

    def __init__(self, proxy: FaultProxy) -> None:
        self._proxy = proxy
        self._hold = threading.Event()

    def phases(self) -> Iterator[str]:
        """Each step changes the faults and names them."""
        yield "all well"
        self._proxy.script(_throttled)
        yield "the topic throttles one message in three"
        self._proxy.script(None)
        self._proxy.shard_limit = ShardLimit(records=30)
        yield "the stream's shards take 30 records a second"
        self._proxy.shard_limit = None
        self._proxy.script(Answer(hold=self._hold))
        yield "nothing answers"
        self._hold.set()
        self._proxy.script(_refused)
        yield "the role may not publish to the topic"
        self._proxy.script(None)
        yield "all well again"


def _throttled(request: Any) -> Answer | None:
    if request.operation != "PublishBatch":
        return None
    return Answer(failures=dict.fromkeys(range(0, len(request.entries), 3), "Throttling"))


def _refused(request: Any) -> Answer | None:
    if request.operation not in ("PublishBatch", "Publish"):
        return None
    return Answer(error=Error(403, "AuthorizationError"))


def feed(url: str, seconds: float) -> list[tuple[float, str]]:
    """Publish at a steady rate while the weather changes. Returns when each phase began."""
    lines = itertools.cycle(read(None))
    began: list[tuple[float, str]] = []
    with FaultProxy(url, shards=4, keep=False) as proxy:
        weather = Weather(proxy)
        sink = Sink(url)
        publisher.configure(max_messages=2_000, on_full="drop", read_timeout=2, delivery_timeout=12)
        sns = publisher.client("sns", endpoint_url=proxy.url)
        kinesis = publisher.client("kinesis", endpoint_url=proxy.url)
        number, pace = 0, threading.Event()
        for name in weather.phases():
            print(name, flush=True)
            began.append((time.time(), name))
            end = time.monotonic() + seconds / 6
            while time.monotonic() < end:
                for line in itertools.islice(lines, RATE // 10):
                    number += 1
                    sns.publish(TopicArn=sink.topic, Message=line)
                    key = "the-hot-one" if number % 3 else str(number)
                    kinesis.put_record(StreamName="demo", Data=line.encode(), PartitionKey=key)
                pace.wait(0.1)
        publisher.flush(10)
    return began


@contextlib.contextmanager
def prometheus(target: int) -> Iterator[str]:
    """A Prometheus that scrapes `target`, a port of this machine, each second."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(HERE / "alerts.yml")],
        "scrape_configs": [
            {"job_name": "demo", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}
        ],
    }
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{port}",
                "--log.level=error",
            ]
        )
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=30)


def ask(server: str, path: str, **arguments: Any) -> Any:
    """One answer of Prometheus's API."""
    url = f"{server}/api/v1/{path}?{urllib.parse.urlencode(arguments)}"
    with urllib.request.urlopen(url, timeout=30) as response:
        return json.load(response)["data"]


def answers(
    server: str, dashboard: dict[str, Any], start: float, end: float
) -> dict[int, list[tuple[str, list[tuple[float, float]]]]]:
    """What Prometheus answers to the panels' queries: by panel, its series and their points."""
    found: dict[int, list[tuple[str, list[tuple[float, float]]]]] = {}
    for panel in dashboard["panels"]:
        series = found[panel["id"]] = []
        for target in panel["targets"]:
            query = target["expr"].replace("$__rate_interval", WINDOW)
            query = query.replace("$__range", f"{int(end - start)}s")
            for variable in ("$job", "$service", "$destination"):
                query = query.replace(variable, ".*")
            answer = ask(server, "query_range", query=query, start=start, end=end, step=1)
            for each in answer["result"]:
                label = target["legendFormat"]
                for name, value in each["metric"].items():
                    label = label.replace(f"{{{{{name}}}}}", value)
                points = [(at - start, float(value)) for at, value in each["values"]]
                series.append((label, [point for point in points if not math.isnan(point[1])]))
    return found


def main() -> int:
    """Run; 0 if every panel has shown something."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=90)
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    if shutil.which("prometheus") is None:
        print("prometheus is missing: apt-get install prometheus", file=sys.stderr)
        return 2
    if options.picture and find_spec("matplotlib") is None:
        print("matplotlib is missing: pip install matplotlib", file=sys.stderr)
        return 2
    isolate()
    REGISTRY.register(PublisherCollector())
    metrics, _ = start_http_server(0, "127.0.0.1")
    with running_server() as url, prometheus(metrics.server_port) as server:
        began = feed(url, options.seconds)
        end = time.time()
        dashboard = json.loads((HERE / "dashboard.json").read_text())
        dashboard["panels"] = [
            panel for panel in dashboard["panels"] if " on disk" not in panel["title"]
        ]  # this run has no spool
        series = answers(server, dashboard, began[0][0], end)
        fired = {each["labels"]["alertname"] for each in ask(server, "alerts")["alerts"]}
        print("alerts pending or firing at the end:", ", ".join(sorted(fired)) or "none")
        print(publisher.stats())
    if options.picture:
        from benchmarks import style
        from ops import picture

        start = began[0][0]
        options.picture.parent.mkdir(parents=True, exist_ok=True)
        phases = [(at - start, name) for at, name in began]
        style.save(picture.draw(dashboard, series, phases, end - start), options.picture)
    publisher.close(5)
    return 0


if __name__ == "__main__":
    sys.exit(main())
