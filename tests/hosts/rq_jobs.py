"""Jobs for RQ that publish; a third of them fail, and a third run out of time.

Nothing is sent while a process lives (the linger is a minute): what arrives, its end has delivered.
"""

from __future__ import annotations

import signal

from tests.hosts import app

app.configure(linger=60)


def publish_one(number: int) -> None:
    app.client().publish(TopicArn=app.TOPIC, Message=f"job-{number}")
    if number % 3 == 1:
        raise ValueError("this job fails")
    if number % 3 == 2:
        signal.setitimer(signal.ITIMER_REAL, 0.01)  # RQ's time limit, brought forward
        app.wait_for_signals()
