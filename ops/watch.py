"""Feed the dashboard: the demo's lines under changing faults, scraped by a real Prometheus.

`python -m ops.watch [--seconds 90] [--picture docs/img/dashboard.png]` needs `prometheus` (Debian
has it) and, for the picture, `chromium`. The panels of dashboard.json are drawn from the answers to
their own queries; Grafana itself is not needed.
"""

from __future__ import annotations

import argparse
import contextlib
import html
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
COLORS = ("#73bf69", "#f2cc0c", "#5794f2", "#ff780a", "#e02f44", "#b877d9", "#8ab8ff", "#96d98d")


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


def drawn(server: str, began: list[tuple[float, str]]) -> str:
    """The dashboard as a page, its panels drawn from the answers to their queries."""
    dashboard = json.loads((HERE / "dashboard.json").read_text())
    start, end = began[0][0], time.time()
    panels = []
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        series = []
        for target in panel["targets"]:
            query = target["expr"].replace("$__rate_interval", WINDOW)
            query = query.replace("$__range", f"{int(end - start)}s")
            for variable in ("$job", "$service", "$destination"):
                query = query.replace(variable, ".*")
            answer = ask(server, "query_range", query=query, start=start, end=end, step=1)
            for found in answer["result"]:
                label = target["legendFormat"]
                for name, value in found["metric"].items():
                    label = label.replace(f"{{{{{name}}}}}", value)
                points = [(at, float(value)) for at, value in found["values"]]
                series.append((label, [(at, v) for at, v in points if not math.isnan(v)]))
        draw = _stat if panel["type"] == "stat" else _lines
        panels.append(
            f'<div style="grid-column:{place["x"] + 1}/span {place["w"]};'
            f'grid-row:{place["y"] + 1}/span {place["h"]}"><h2>{html.escape(panel["title"])}</h2>'
            f"{draw(panel, series, start, end, began)}</div>"
        )
    phases = "".join(f"<li>{at - start:.0f} s: {html.escape(name)}</li>" for at, name in began)
    return (
        "<!doctype html><meta charset=utf-8><style>body{background:#111217;color:#ccccdc;"
        "font:12px sans-serif;margin:8px}main{display:grid;grid-template-columns:repeat(24,1fr);"
        "grid-auto-rows:26px;gap:6px}main>div{background:#181b1f;border:1px solid #2a2d33;"
        "padding:4px 8px;overflow:hidden}h2{font-size:12px;margin:2px 0}ol{columns:3;margin:4px}"
        f"</style><ol>{phases}</ol><main>{''.join(panels)}</main>"
    )


def _shown(value: float, unit: str) -> str:
    if unit == "percentunit":
        return f"{value:.0%}"
    text = f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.2g}"
    return f"{text} s" if unit == "s" else text


def _stat(panel: Any, series: Any, *_: Any) -> str:
    value = series[0][1][-1][1] if series and series[0][1] else 0.0
    defaults = panel["fieldConfig"]["defaults"]
    color = "green"
    for step in defaults["thresholds"]["steps"]:
        if step["value"] is None or value >= step["value"]:
            color = step["color"]
    shades = {"green": "#2f7a35", "orange": "#b5651d", "red": "#b3232f", "blue": "#2d5f9e"}
    return (
        f'<p style="background:{shades[color]};font-size:30px;text-align:center;margin:0;'
        f'padding:14px">{_shown(value, defaults["unit"])}</p>'
    )


def _lines(panel: Any, series: Any, start: float, end: float, began: Any) -> str:
    unit = panel["fieldConfig"]["defaults"]["unit"]
    width, height = 640, 165
    top = max((v for _, points in series for _, v in points if v < 1e9), default=0) or 1
    across, up = (width - 50) / (end - start), (height - 20) / top
    parts = []
    for share in (0, 0.5, 1):
        y = height - 12 - share * top * up
        parts.append(
            f'<line x1=45 x2={width} y1={y:.1f} y2={y:.1f} stroke="#2a2d33"/>'
            f'<text x=40 y={y + 4:.1f} fill="#8e8e99" text-anchor=end>{_shown(share * top, unit)}'
            "</text>"
        )
    for at, _ in began:
        x = 45 + (at - start) * across
        parts.append(
            f'<line x1={x:.1f} x2={x:.1f} y1=4 y2={height - 12} stroke="#555" '
            'stroke-dasharray="2 3"/>'
        )
    legend = []
    for (label, points), color in zip(series, itertools.cycle(COLORS), strict=False):
        pieces: list[list[str]] = [[]]
        last = 0.0
        for at, value in points:
            if last and at - last > 2:
                pieces.append([])
            pieces[-1].append(f"{45 + (at - start) * across:.1f},{height - 12 - value * up:.1f}")
            last = at
        parts += [
            f'<polyline points="{" ".join(piece)}" fill=none stroke="{color}" stroke-width=1.5 />'
            for piece in pieces
        ]
        legend.append(f'<span style="color:{color}">■</span> {html.escape(label)}')
    chart = f'<svg viewBox="0 0 {width} {height}" width="100%" font-size=10>{"".join(parts)}</svg>'
    return f'{chart}<div style="font-size:10px">{" &nbsp; ".join(legend)}</div>'


def main() -> int:
    """Run; 0 if every panel has shown something."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=90)
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    for program in ("prometheus", *(["chromium"] if options.picture else [])):
        if shutil.which(program) is None:
            print(f"{program} is missing: apt-get install {program}", file=sys.stderr)
            return 2
    isolate()
    REGISTRY.register(PublisherCollector())
    metrics, _ = start_http_server(0, "127.0.0.1")
    with running_server() as url, prometheus(metrics.server_port) as server:
        began = feed(url, options.seconds)
        page = drawn(server, began)
        fired = {each["labels"]["alertname"] for each in ask(server, "alerts")["alerts"]}
        print("alerts pending or firing at the end:", ", ".join(sorted(fired)) or "none")
        print(publisher.stats())
    if options.picture:
        options.picture.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "page.html").write_text(page)
            subprocess.run(
                [
                    "chromium",
                    "--headless",
                    "--no-sandbox",
                    "--disable-gpu",
                    "--hide-scrollbars",
                    "--window-size=1320,1190",
                    f"--screenshot={options.picture.absolute()}",
                    f"file://{folder}/page.html",
                ],
                check=True,
                capture_output=True,
            )
    publisher.close(5)
    return 0


if __name__ == "__main__":
    sys.exit(main())
