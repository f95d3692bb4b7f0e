"""A Celery application whose tasks publish; its broker is a folder.

Nothing is sent while a process lives (the linger is a minute): what arrives, its end has delivered.
"""

from __future__ import annotations

import os
from pathlib import Path

from celery import Celery

from publisher.contrib import celery as wiring
from tests.hosts import app as hosts

hosts.configure(linger=60)
if os.environ.get("WIRING"):
    wiring.install()

folder = Path(os.environ["BROKER"])
for name in ("messages", "control"):
    (folder / name).mkdir(parents=True, exist_ok=True)
app = Celery("hosts", broker="filesystem://")
app.conf.update(
    broker_transport_options={
        "data_folder_in": str(folder / "messages"),
        "data_folder_out": str(folder / "messages"),
        "control_folder": str(folder / "control"),
        "polling_interval": 0.05,
    },
    broker_connection_retry_on_startup=False,
    task_ignore_result=True,
    worker_hijack_root_logger=False,
    worker_redirect_stdouts=False,
)


@app.task
def publish_one(number: int) -> None:
    hosts.client().publish(TopicArn=hosts.TOPIC, Message=f"task-{number}")
    os.write(1, b"done\n")
