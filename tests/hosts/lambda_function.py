"""A Lambda function that publishes and returns."""

from __future__ import annotations

from typing import Any

from publisher.contrib.aws_lambda import flush_on_return
from tests.hosts import app

app.configure(linger=30)
sns = app.client()


@flush_on_return(margin=5)
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    name, count = event["name"], event["count"]
    futures = [sns.publish(TopicArn=app.TOPIC, Message=f"{name}-{i}") for i in range(count)]
    return {"published": len(futures)}
