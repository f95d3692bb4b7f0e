"""Tasks that publish: celery -A tasks worker."""

import os
import tempfile
from pathlib import Path

from celery import Celery

import publisher
from publisher.contrib import celery as publisher_celery

# A broker without a server, for the example; yours is in BROKER_URL.
folder = Path(os.environ.get("BROKER_DIR") or Path(tempfile.gettempdir()) / "publisher-example")
for name in ("queue", "control"):
    (folder / name).mkdir(parents=True, exist_ok=True)

app = Celery("shop", broker=os.environ.get("BROKER_URL", "filesystem://"))
if app.conf.broker_url == "filesystem://":
    app.conf.broker_transport_options = {
        "data_folder_in": str(folder / "queue"),
        "data_folder_out": str(folder / "queue"),
        "control_folder": str(folder / "control"),
    }

publisher_celery.install()


@app.task
def ship(order):
    """Tell the topic that an order is on its way."""
    sns = publisher.client("sns", endpoint_url=os.environ.get("AWS_ENDPOINT_URL"))
    sns.publish(TopicArn=os.environ["TOPIC_ARN"], Message=f"order {order} shipped")
