"""A process that writes to a spool: `python -m tests.spool.writer DIRECTORY URL`.

Each line of its standard input is a call: a service, a group and a range of numbers. It says `done`
when the calls have returned, and ends when its input does, as a process does or, at the line
`die`, by SIGKILL.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import sys
from pathlib import Path

import publisher
from tests.support import FIFO_QUEUE, STREAM, TOPIC


def main() -> None:
    directory, url, *options = sys.argv[1:]
    more = json.loads(options[0]) if options else {}
    if "key" in more:
        more["key"] = base64.b64decode(more["key"])
    spool = publisher.Spool(Path(directory), **{"send": "relay", **more})
    made = publisher.Publisher(spool=spool, max_block=20)
    arguments = {"endpoint_url": url, "region_name": "us-east-1"}
    sns = made.client("sns", **arguments)
    kinesis = made.client("kinesis", **arguments)
    sqs = made.client("sqs", **arguments)
    print("ready", flush=True)
    for line in sys.stdin:
        if line.strip() == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if line.strip() == "bytes":
            found = made.stats().spool
            print("bytes", 0 if found is None else found.bytes, flush=True)
            continue
        service, group, first, last = line.split()
        futures = []
        for number in range(int(first), int(last)):
            text = f"{group}-{number}"
            if service == "kinesis":
                futures.append(
                    kinesis.put_record(StreamName=STREAM, Data=text.encode(), PartitionKey=group)
                )
            elif service == "sns":
                futures.append(sns.publish(TopicArn=TOPIC, Message=text))
            else:
                futures.append(
                    sqs.send_message(
                        QueueUrl=FIFO_QUEUE,
                        MessageBody=text,
                        MessageGroupId=group,
                        MessageDeduplicationId=text,
                    )
                )
        if spool.send == "relay":
            assert all("SpoolId" in future.result(0) for future in futures)
        print("done", flush=True)
    made.close(1)


if __name__ == "__main__":
    main()
