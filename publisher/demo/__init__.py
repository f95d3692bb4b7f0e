"""The demo behind `make demo`: the same lines sent the plain boto3 way and through `publisher`.

It needs no AWS account: SNS, SQS and Kinesis are moto's, in a process of their own on 127.0.0.1.
"""

LATENCY = 0.02
"""Seconds that every publishing request takes beside the server's own work."""

FAULT_EVERY = 25
"""One entry in this many fails when it passes, counted for each operation."""

COUNT_PATH = "/demo/requests"
"""Where the server tells how many publishing requests came in so far."""
