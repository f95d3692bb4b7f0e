"""A Lambda function that publishes what it is given; its handler is app.handler."""

import os

import publisher
from publisher.contrib.aws_lambda import flush_on_return

sns = publisher.client("sns", endpoint_url=os.environ.get("AWS_ENDPOINT_URL"))


@flush_on_return
def handler(event, context):
    """{"orders": [...]}: publish each; all are delivered before Lambda freezes the sandbox."""
    for order in event["orders"]:
        sns.publish(TopicArn=os.environ["TOPIC_ARN"], Message=f"order {order} paid")
    return {"published": len(event["orders"])}
