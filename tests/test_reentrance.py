"""Publishing from where nobody expects it: signal handlers, finalisers, logging handlers.

Each runs in a process of its own, publishes through the real threads to a server on this machine,
and must end by itself, with every message accounted for.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from tests.servers import Endpoint

pytestmark = pytest.mark.every_python(
    "where a signal handler or a finaliser comes in between differs by version"
)

COMMON = """
    import atexit, gc, logging, signal, sys, threading, time, warnings
    import publisher
    from publisher import BufferFull, PublisherClosed

    URL = {url!r}
    TOPIC = "arn:aws:sns:us-east-1:000000000000:orders"
    publisher.configure(linger=0.001, **{options!r})
    sns = publisher.client("sns", endpoint_url=URL, region_name="us-east-1")

    def publish(text):
        return sns.publish(TopicArn=TOPIC, Message=text)

    def check(futures):
        total = publisher.close(30)
        ends = total.delivered + total.failed + total.dropped + total.cancelled
        flow = publisher._default._core.flow
        assert total.accepted == ends + total.outstanding, total
        assert total.outstanding == 0, total
        left = (flow.messages, flow.bytes, flow.waiting)
        assert left == (0, 0, 0), left
        assert total.accepted == len(futures), (total, len(futures))
        assert all(future.done() for future in futures)
        kept = sum(not f.cancelled() and f.exception() is None for f in futures)
        assert kept == total.delivered, (kept, total)
        print(total.accepted, total.delivered, total.dropped)
"""


def run(url: str, script: str, **options: object) -> tuple[int, int, int]:
    """Run the script; how many messages were accepted, delivered and dropped."""
    whole = textwrap.dedent(COMMON).format(url=url, options=options) + textwrap.dedent(script)
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", whole],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    accepted, delivered, dropped = map(int, done.stdout.split())
    return accepted, delivered, dropped


@pytest.mark.parametrize(
    ("on_full", "max_messages"),
    [("block", 20), ("drop", 20), ("drop_oldest", 20), ("raise", 20), ("block", 100_000)],
)
def test_a_signal_handler_that_publishes_while_it_interrupts_publish(
    endpoint: Endpoint, on_full: str, max_messages: int
) -> None:
    script = """
        futures = []

        def handler(signum, frame):
            began = time.monotonic()
            try:
                futures.append(publish("from the handler"))
            except BufferFull:
                pass
            waits.append(time.monotonic() - began)
            # Armed anew each time: a timer that repeats could leave the program no time at all.
            if hammering:
                signal.setitimer(signal.ITIMER_REAL, 0.0003)

        waits, hammering = [], [True]
        publish_and_keep = lambda i: futures.append(publish(f"m{i}"))
        publish_and_keep(-1)
        futures[0].result(30)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.0005)
        until = time.monotonic() + 0.7
        i = 0
        while len(waits) <= 50 or len(futures) <= 100 or time.monotonic() < until:
            i += 1
            try:
                publish_and_keep(i)
            except BufferFull:
                pass
            if i % 50 == 0:
                publisher.stats()
                futures[-1].cancel()
            if i % 200 == 0:
                publisher.flush(0.01)
        hammering.clear()
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        assert len(waits) > 50, len(waits)
        check(futures)
    """
    accepted, delivered, _ = run(
        endpoint.url, script, on_full=on_full, max_messages=max_messages, max_block=0.05
    )
    assert accepted > 100
    assert delivered


def test_a_finaliser_that_publishes(endpoint: Endpoint) -> None:
    script = """
        futures, made = [], []

        class Dying:
            def __init__(self):
                self.circle = self  # so that the collector ends it, wherever it strikes
                made.append(None)
            def __del__(self):
                futures.append(publish("the last words"))

        gc.set_threshold(50, 2, 2)
        for i in range(3000):
            Dying()
            futures.append(publish(f"m{i}"))
        until = time.monotonic() + 30
        while len(futures) < 3000 + len(made) and time.monotonic() < until:
            gc.collect()  # does nothing while another thread collects
        assert len(futures) == 3000 + len(made)
        check(futures)
    """
    accepted, delivered, dropped = run(
        endpoint.url, script, on_full="drop_oldest", max_messages=500
    )
    assert accepted == 6000
    assert delivered + dropped == 6000


def test_a_logging_handler_that_publishes_what_is_logged(endpoint: Endpoint) -> None:
    script = """
        futures = []

        class Handler(logging.Handler):
            def emit(self, record):
                futures.append(publish(record.getMessage()))

        logging.getLogger().addHandler(Handler())
        logging.getLogger().setLevel(logging.INFO)  # each request writes DEBUG lines of its own

        class Hook:
            def on_dropped(self, event):
                raise ZeroDivisionError  # is logged in turn

        log = logging.getLogger("application")
        for i in range(2000):
            log.info("line %d", i)
        publisher.flush(30)
        count = -1
        while count != len(futures):  # our own lines are published too, and end by themselves
            count = len(futures)
            publisher.flush(30)
        logging.getLogger().handlers.clear()
        check(futures)
    """
    accepted, delivered, _ = run(endpoint.url, script, on_full="drop", max_messages=100)
    assert accepted >= 2000
    assert accepted < 20_000  # lines about lost lines do not multiply
    assert delivered


@pytest.mark.parametrize(
    ("on_full", "messages", "size"), [("drop", 100_000, 10**9), ("block", 60, 200)]
)
def test_threads_that_change_places_as_often_as_they_can(
    endpoint: Endpoint, on_full: str, messages: int, size: int
) -> None:
    """The way in without a lock against flow control and the ledger, both exact in the end."""
    script = """
        sys.setswitchinterval(1e-6)
        lists = [[] for _ in range(8)]
        start = threading.Barrier(8)
        worst = [0, 0]

        flow = publisher._default._current().flow

        def hammer(kept):
            start.wait(30)
            for i in range(700):
                kept.append(publish("x" * (i % 7)))
                worst[0] = max(worst[0], flow.messages)
                worst[1] = max(worst[1], flow.bytes)
                if i % 97 == 0:
                    kept[-1].cancel()
                if i % 300 == 0:
                    publisher.stats()

        threads = [threading.Thread(target=hammer, args=(kept,)) for kept in lists]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        sys.setswitchinterval(0.005)
        assert worst[0] <= flow.max_messages, worst
        assert worst[1] <= flow.max_bytes, worst
        check([future for kept in lists for future in kept])
    """
    accepted, delivered, dropped = run(
        endpoint.url,
        script,
        on_full=on_full,
        max_messages=messages,
        max_bytes=size,
        max_block=None,
    )
    assert accepted == 8 * 700
    assert dropped == 0
    assert delivered >= accepted - 8 * 8
