"""Short links and orders: a Flask application and a Celery task that publish."""

import json
from concurrent.futures import TimeoutError as NotYet

from celery import Celery
from flask import Flask

import publisher

ORDERS = "arn:aws:sns:us-east-1:123456789012:orders"
REMINDERS = "arn:aws:sns:us-east-1:123456789012:reminders.fifo"

app = Flask(__name__)
tasks = Celery("shop", broker="memory://")


@app.get("/go/<int:link>")
def go(link: int) -> tuple[str, int]:
    """Follow a short link; the click is recorded."""
    click = json.dumps({"link": link}).encode()
    publisher.client("kinesis").put_record(StreamName="clicks", Data=click, PartitionKey=str(link))
    return "", 302


@app.post("/orders/<int:number>/pay")
def pay(number: int) -> tuple[str, int]:
    """Pay for an order; two things are said about it, in this order."""
    sns = publisher.client("sns")
    sns.publish(TopicArn=ORDERS, Message=f"order {number} paid", Subject="paid")
    sns.publish(TopicArn=ORDERS, Message=f"order {number} packed", Subject="packed")
    return "", 202


@app.post("/import/<int:count>")
def load(count: int) -> dict[str, int]:
    """Record many clicks at once, and say how many could not be."""
    records = [
        {"Data": json.dumps({"link": link}).encode(), "PartitionKey": str(link)}
        for link in range(count)
    ]
    kinesis = publisher.client("kinesis")
    response = kinesis.put_records(StreamName="clicks", Records=records).result()
    return {"failed": response["FailedRecordCount"]}


@app.post("/orders/<int:number>/confirm")
def confirm(number: int) -> tuple[str, int]:
    """Answer only when the message has arrived."""
    future = publisher.client("sns").publish(TopicArn=ORDERS, Message=f"order {number} confirmed")
    try:
        return future.result(timeout=2)["MessageId"], 200
    except NotYet:
        return "", 202


@tasks.task
def remind(number: int) -> None:
    """Remind the customer of an order; reminders of one order stay in order."""
    publisher.client("sns").publish(
        TopicArn=REMINDERS,
        Message=f"remember order {number}",
        MessageGroupId=str(number),
        MessageDeduplicationId=f"reminder-{number}",
    )
