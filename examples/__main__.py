"""python -m examples django | flask | celery | lambda.

Starts one example on a local AWS (moto), and prints what arrives in the queue behind its topic and
in its FIFO queue.
Ctrl-C ends it.
"""

import argparse
import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import boto3

from publisher.demo.aws import isolate, running_server

FOLDER = Path(__file__).parent
#: What each example imports beside what all of them do, and what pip installs it by.
NEEDS = {
    "django": ("django", "-e '.[django]'"),
    "flask": ("flask", "-e '.[flask]'"),
    "celery": ("celery", "-e '.[celery]'"),
    "lambda": ("awslambdaric", "awslambdaric"),
}
CURL = {
    "django": """\
try:  curl -d item=book http://127.0.0.1:{port}/orders
then: curl -d step=packed http://127.0.0.1:{port}/orders/1/steps""",
    "flask": "try:  curl -d item=book http://127.0.0.1:{port}/orders",
}


def main() -> None:
    """Start what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m examples", description=__doc__)
    parser.add_argument("example", choices=["django", "flask", "celery", "lambda"])
    parser.add_argument("--port", type=int, default=8000, help="of the web server")
    asked = parser.parse_args()
    for module, install in (("moto", "-e '.[demo]'"), NEEDS[asked.example]):
        if importlib.util.find_spec(module) is None:
            pip = f"{sys.executable} -m pip install {install}"
            parser.exit(2, f"this example needs {module}, which is not installed: {pip}\n")
    isolate()
    ended = []

    def end(*_):
        ended.append(True)  # the exception may be raised where a library drops it
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    with contextlib.suppress(KeyboardInterrupt), contextlib.ExitStack() as stack:
        url = stack.enter_context(running_server())
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        sqs, queue, topic = make_queue(url)
        steps = make_fifo_queue(sqs)
        os.environ.update(
            AWS_ENDPOINT_URL=url,
            TOPIC_ARN=topic,
            QUEUE_URL=steps,
            DATABASE=str(Path(folder) / "db.sqlite3"),
            BROKER_DIR=folder,
        )
        process = stack.enter_context(started(asked.example, asked.port))
        while process.poll() is None and not ended:
            show(sqs, queue, wait=1)
            show(sqs, steps, wait=0)
        show(sqs, queue, wait=0)
        show(sqs, steps, wait=0)


def make_queue(url):
    """A topic with a queue behind it: the SQS client, the queue's address and the topic's ARN."""
    sns, sqs = (boto3.client(name, endpoint_url=url) for name in ("sns", "sqs"))
    topic = sns.create_topic(Name="orders")["TopicArn"]
    queue = sqs.create_queue(QueueName="orders")["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    sns.subscribe(
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=attributes["Attributes"]["QueueArn"],
        Attributes={"RawMessageDelivery": "true"},
    )
    return sqs, queue, topic


def make_fifo_queue(sqs):
    """A queue that keeps the order within each message group: its address."""
    return sqs.create_queue(QueueName="steps.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]


@contextlib.contextmanager
def started(example, port):
    """The example's own server or worker."""
    python = sys.executable
    folder = FOLDER / f"{example}_app"
    if example == "django":
        subprocess.run([python, "manage.py", "migrate", "-v0"], cwd=folder, check=True)
        command = [python, "manage.py", "runserver", str(port)]
    elif example == "flask":
        command = [python, "-m", "flask", "run", "--port", str(port)]
    elif example == "celery":
        call = [python, "-m", "celery", "-A", "tasks", "call", "tasks.ship", "--args", "[42]"]
        subprocess.run(call, cwd=folder, check=True)
        command = [python, "-m", "celery", "-A", "tasks", "worker", "--concurrency", "2"]
    else:
        command = [python, "local.py", '{"orders": [1, 2, 3]}']
    if example in CURL:
        print(CURL[example].format(port=port), flush=True)
    # A group of its own: a reloader's two processes are told to end together, as by Ctrl-C.
    process = subprocess.Popen(command, cwd=folder, start_new_session=True)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        process.wait(30)


def show(sqs, queue, wait):
    """Print and remove what is in the queue."""
    received = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=wait)
    for message in received.get("Messages", []):
        print(f"queue: {message['Body']}", flush=True)
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])


if __name__ == "__main__":
    main()
