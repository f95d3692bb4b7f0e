"""Every snippet of docs/testing.md runs, in an application of the kind that it speaks of."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

CHAPTER = Path(__file__).parent.parent / "docs" / "testing.md"

SHOP = '''
"""What the chapter takes for granted."""

import json

import django
from celery import Celery
from django.conf import settings as django_settings
from django.http import HttpResponse
from django.urls import path
from flask import Flask

import publisher

ORDERS = "arn:aws:sns:us-east-1:123456789012:orders"
sns = publisher.client("sns", region_name="us-east-1")
app = Flask(__name__)
tasks = Celery(broker="memory://")
tasks.conf.task_always_eager = True


def place_order(number):
    return sns.publish(TopicArn=ORDERS, Message=f"order {number}")


def view(request, number):
    place_order(number)
    return HttpResponse()


urlpatterns = [path("orders/<int:number>/pay", view)]
django_settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    ORDERS_TOPIC=ORDERS,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
)
django.setup()


@app.post("/orders/<int:number>/pay")
def flask_pay(number):
    place_order(number)
    return "", 202


@app.get("/go/<int:link>")
def go(link):
    data = json.dumps({"link": link})
    publisher.client("kinesis").put_record(StreamName="clicks", Data=data, PartitionKey="1")
    return ""


@tasks.task
def pay(number):
    place_order(number)
'''

PREAMBLE = """
import boto3
import pytest
from django.conf import settings
from django.test import Client

import publisher
from publisher.testing import as_json, capture, contains
from shop.orders import ORDERS, app, pay, place_order


@pytest.fixture
def client():
    return Client()
"""


def test_the_snippets_run(tmp_path: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", CHAPTER.read_text(), re.DOTALL | re.MULTILINE)
    expected = sum(block.count("def test_") for block in blocks)
    assert expected >= 9
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / "shop" / "orders.py").write_text(SHOP)
    for number, block in enumerate(blocks):
        (tmp_path / f"test_{number}.py").write_text(PREAMBLE + block)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "publisher_pytest", tmp_path],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONPATH": str(tmp_path),
        },
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{expected} passed" in done.stdout
