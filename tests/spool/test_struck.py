"""An exception raised in the caller at any point of a publish leaves nothing in the spool."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest

import publisher
from tests.interrupts import Point, strike
from tests.servers import Endpoint
from tests.support import SOON, STREAM, client_of, publishing


@pytest.mark.parametrize(
    ("options", "of_the_spool", "size"),
    [
        ({}, {}, 10),
        ({}, {"send": "relay"}, 10),
        ({"on_full": "drop"}, {"max_bytes": 2_000}, 1_900),  # the store is full
        ({"on_full": "raise"}, {"max_bytes": 2_000}, 1_900),
    ],
    ids=["here", "relay", "full", "full, raised"],
)
def test_no_permit_and_no_file_is_left(
    tmp_path: Path, options: dict[str, Any], of_the_spool: dict[str, Any], size: int
) -> None:
    met: set[Point] = set()
    relay = "send" in of_the_spool
    spool = publisher.Spool(tmp_path / "spool", **of_the_spool)
    with Endpoint() as server, publishing(spool=spool, linger=10, **options) as made:
        kinesis = client_of(made, "kinesis", server.url)

        def put() -> None:
            with contextlib.suppress(publisher.SpoolFull):
                kinesis.put_record(StreamName=STREAM, Data=b"x" * size, PartitionKey="k")

        put()
        struck = 0
        # Traced by opcode, a caller is not whole between two calls as it is otherwise: nothing else
        # is to count meanwhile.
        assert made.flush(SOON) == 0
        while strike(put, met):
            struck += 1
            assert made.flush(SOON) == 0
        assert struck > 50
        put()
        assert made.flush(SOON) == 0
        if not relay:
            server.wait_for(lambda: made.stats().spool.waiting == 0, SOON)  # type: ignore[union-attr]
        flow = made._core.flow  # type: ignore[union-attr]
        assert (flow.messages, flow.bytes) == (0, 0)
        total = made.stats().total
        assert total.outstanding == total.failed == 0
        if relay:
            assert total.spooled == total.accepted
    if not relay:
        assert list((tmp_path / "spool").iterdir()) == []
