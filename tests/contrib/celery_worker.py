"""The Celery app of the tests: messages linger for a minute, so only a drain delivers them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from celery import Celery  # type: ignore[import-untyped]

import publisher
from publisher.contrib import celery as publisher_celery
from tests.support import TOPIC

LINGER = float(os.environ.get("LINGER", "60"))

folder = Path(os.environ["BROKER_DIR"])
app = Celery("tests", broker="filesystem://")
app.conf.update(
    broker_transport_options={
        "data_folder_in": str(folder),
        "data_folder_out": str(folder),
        "control_folder": str(folder),
    },
    worker_hijack_root_logger=False,
    worker_max_tasks_per_child=int(os.environ.get("MAX_TASKS", "1000")),
)
publisher.configure(linger=LINGER, close_timeout=30)
publisher_celery.install()
publisher_celery.install()  # a second call changes nothing


@app.task  # type: ignore[untyped-decorator]
def publish(name: str, count: int, hold: bool = False) -> None:
    """Publishes `name-0` and so on; with `hold` it then stays, as a long task does."""
    sns: Any = publisher.client("sns", endpoint_url=os.environ["ENDPOINT"])
    for i in range(count):
        sns.publish(TopicArn=TOPIC, Message=f"{name}-{i}")
    print(f"published {name} in {os.getpid()}", flush=True)
    if hold:
        time.sleep(3600)
