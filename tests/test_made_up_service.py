"""A short service that no cloud has: whatever must know it asks the registry.

botocore reads its model in ``tests/models``.
"""

from __future__ import annotations

import dataclasses
import io
import json
import logging
import os
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry

from publisher import doctor, services
from publisher._cli import main
from publisher._doctoring import live
from publisher.contrib import _commands, _health
from publisher.contrib.emf import EmfHook
from publisher.contrib.opentelemetry import TracingHook, observe
from publisher.contrib.prometheus import PrometheusHook, PublisherCollector
from publisher.testing import capture
from tests import service_table
from tests.servers import Endpoint
from tests.support import SOON, client_of, publishing, texts, tries

NAME = "parcels"


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    row = services.Row("tests.made_up", "Parcels", linger=0.02)
    monkeypatch.setitem(services.REGISTRY, NAME, row)


def parcel(text: str) -> dict[str, Any]:
    return {"Depot": "harbour", "Data": text.encode()}


def test_it_is_short() -> None:
    source = Path(__file__).with_name("made_up.py").read_text()
    assert sum(1 for line in source.splitlines() if line.strip()) < 60


def test_its_messages_travel_in_batches(endpoint: Endpoint) -> None:
    with publishing() as made:
        ours = client_of(made, NAME, endpoint.url)
        sent = [ours.put_parcel(**parcel(f"{index}")) for index in range(30)]
        assert all(future.result(SOON)["ParcelId"] for future in sent)
        answer = ours.put_parcels(Depot="harbour", Parcels=[{"Data": b"x"}] * 600).result(SOON)
        assert (answer["FailedCount"], len(answer["Outcomes"])) == (0, 600)
        total = made.stats().destinations[KEY]
        assert (total.delivered, total.outstanding) == (630, 0)
        assert total.requests < 10
    found = Counter(texts(endpoint.stored(NAME)))
    assert found == {"x": 600, **{f"{index}": 1 for index in range(30)}}


def test_the_test_kit_answers_for_it() -> None:
    with publishing(retry=tries(3)) as made, capture() as published:
        parcels = made.client(NAME)
        published.faults.fail(1, code="ServiceUnavailableException")
        future = parcels.put_parcel(**parcel("a"))
        assert future.result(SOON)["ParcelId"]
        assert [attempt.error_code for attempt in future.attempts] == [
            "ServiceUnavailableException",
            None,
        ]
        published.faults.throttle(1)
        batch = parcels.put_parcels(Depot="harbour", Parcels=[{"Data": b"b"}, {"Data": b"c"}])
        assert batch.result(SOON)["FailedCount"] == 0
        assert not published.faults.pending
        published.assert_sent(NAME, Data=b"a")


def test_a_lost_message_is_explained(caplog: pytest.LogCaptureFixture) -> None:
    with publishing() as made, capture() as published:
        published.faults.reject(2, code="AccessDeniedException")  # of the single operation too
        with caplog.at_level(logging.ERROR, "publisher"):
            future = made.client(NAME).put_parcel(**parcel("a"))
            assert isinstance(future.exception(SOON), ClientError)
        assert made.stats().total.failed == 1
    assert "parcels:PutParcels" in caplog.text


def test_commands_know_its_option(
    endpoint: Endpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = tmp_path / "lines"
    lines.write_text("first\nsecond\n")
    where = ["--endpoint-url", endpoint.url, "--region", "us-east-1", "--depot", "harbour"]
    assert main(["send", *where, str(lines)]) == 0, capsys.readouterr()
    assert texts(endpoint.stored(NAME)) == ["first", "second"]
    with publishing() as made:

        def make(service: str) -> Any:
            return client_of(made, service, endpoint.url)

        assert list(_commands.check(make, {"depot": ["harbour"]}, SOON)) == ["harbour: ok"]
        told = _commands.send(
            make, destinations={"depot": "harbour"}, text="third", key="", timeout=SOON
        )
        assert told.startswith("delivered: ParcelId ")


def test_the_doctor_tries_it(endpoint: Endpoint) -> None:
    found = doctor.examine(depot="harbour", region="us-east-1", endpoint_url=endpoint.url)
    about = [each.text for each in found if each.about == f"{NAME} harbour"]
    assert any("accepts connections" in text for text in about), about
    assert any("publishing is permitted" in text for text in about), about
    with pytest.raises(TypeError, match="has no depots; destinations are"):
        doctor.examine(depots="x", region="us-east-1")


KEY = f"{NAME}:us-east-1:harbour"
CAUSE, REMEDY = "the depot's key is deleted", "give the depot another key"


def test_its_own_codes_keep_their_names_and_have_causes(caplog: pytest.LogCaptureFixture) -> None:
    with publishing(retry=tries(1)) as made, capture() as published:
        parcels = made.client(NAME)
        for number in range(60):  # more codes than the account names
            published.faults.fail(1, code=f"Unheard{number}")
            parcels.put_parcel(**parcel("a"))
        published.faults.fail(1, code="KeyGone")
        with caplog.at_level(logging.ERROR, "publisher"):
            parcels.put_parcel(**parcel("a"))
        ledger = made.stats().destinations[KEY]
        assert ledger.failed_by_code["KeyGone"] == 1
        assert ledger.failed_by_code["other"] > 0
        assert f"KeyGone, {CAUSE}" in caplog.text
        (found,) = [one for one in live.accounts({KEY: ledger}, None) if "KeyGone" in one.text]
        assert (CAUSE in found.text, "--depot harbour" in found.todo) == (True, True)


def test_the_doctor_says_what_to_do_about_its_codes() -> None:
    with publishing(retry=tries(3)) as made, capture() as published:
        published.faults.fail(1, code="ServiceUnavailableException")
        made.client(NAME).put_parcel(**parcel("a")).result(SOON)
        ledger = made.stats().destinations[KEY]
        ledger = dataclasses.replace(ledger, errors_by_code={"KeyGone": 1})
        (found,) = [one for one in live.accounts({KEY: ledger}, None) if "KeyGone" in one.text]
    assert (found.severity, found.todo) == (doctor.WARNING, REMEDY)


def test_health_has_its_destinations() -> None:
    with publishing() as made, capture():
        made.client(NAME).put_parcel(**parcel("a")).result(SOON)
        report = _health.report(made, _health.Limits())
    assert report["healthy"]
    assert report["destinations"][KEY]["delivered"] == 1


def test_metrics_and_traces_name_it() -> None:
    registry, lines, reader = CollectorRegistry(), io.StringIO(), InMemoryMetricReader()
    spans, tracers = InMemorySpanExporter(), TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    emf = EmfHook(stream=lines)
    hooks = [PrometheusHook(registry), emf, TracingHook(tracers, inject=True)]
    with publishing(hooks=hooks) as made, capture() as published:
        observe(made, MeterProvider([reader]))
        made.client(NAME).put_parcel(**parcel("a")).result(SOON)
        emf.emit()
        shown = CollectorRegistry()
        shown.register(PublisherCollector(made))
        metrics: Any = reader.get_metrics_data()
        labels = {"service": NAME, "region": "us-east-1", "destination": "harbour"}
        for each in (shown, registry):
            assert each.get_sample_value("publisher_delivered_total", labels) == 1
    line = json.loads(lines.getvalue().splitlines()[0])
    assert (line["Service"], line["Destination"], line["Delivered"]) == (NAME, "harbour", 1)
    attributes = {
        dict(point.attributes)["messaging.system"]
        for metric in metrics.resource_metrics[0].scope_metrics[0].metrics
        for point in metric.data.data_points
    }
    assert attributes == {"aws.parcels"}
    assert {span.name for span in spans.get_finished_spans()} == {"create harbour", "send harbour"}
    published.assert_sent(NAME, count=1, Data=b"a")  # nothing is injected


def test_the_page_about_services_has_it() -> None:
    page = service_table.render()
    assert "| `parcels` | `put_parcel` | `PutParcels` | 500 | 4,194,304 | 1,024,000" in page
    assert "`--depot`: name of a depot |" in page


#: The options of the frameworks' commands are read when those are imported or run.
FRAMEWORKS = """
    import sys
    import django, flask
    from django.conf import settings
    from django.core.management import call_command
    from publisher import services

    services.REGISTRY["parcels"] = services.Row("tests.made_up", "Parcels", linger=0.02)
    from publisher.contrib.flask import FlaskPublisher

    client = {"region_name": "us-east-1", "endpoint_url": sys.argv[1]}
    where = ["--depot", "harbour"]
    settings.configure(
        INSTALLED_APPS=["publisher.contrib.django"],
        AWS_PUBLISHER={"default": {"CLIENT": client}},
    )
    django.setup()
    call_command("publisher", "check", *where)
    call_command("publisher", "send", "by Django", *where)
    for command in (["send", "by Flask"], ["check"]):
        app = flask.Flask("shop")
        app.config["PUBLISHER_CLIENT"] = client
        FlaskPublisher(app)
        print(app.test_cli_runner().invoke(args=["publisher", *command, *where]).output)
"""


def test_the_commands_of_frameworks_know_its_option(endpoint: Endpoint) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FRAMEWORKS), endpoint.url],
        env={**os.environ, "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("harbour: ok") == 2, done.stdout
    assert done.stdout.count("delivered: ParcelId ") == 2, done.stdout
    assert texts(endpoint.stored(NAME)) == ["by Django", "by Flask"]
