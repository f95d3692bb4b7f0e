"""Writes docs/faults.md: what a user sees of each fault, from the data that the tests check.

python -m tests.fault_table
"""

from __future__ import annotations

from pathlib import Path

from tests.faults import FAULTS, Fault

PATH = Path(__file__).parent.parent / "docs" / "faults.md"
SERVICES = {
    "sns": "SNS",
    "sqs": "SQS",
    "kinesis": "Kinesis",
    "firehose": "Firehose",
    "events": "EventBridge",
}
HEAD = """\
# What a fault looks like

Each row is a fault that the tests provoke, on a live server behind a proxy, with three messages in
one request and other destinations beside it. In every case each future ends by `delivery_timeout`
plus `connect_timeout` plus `read_timeout`, the other destinations are not held up, the ledger
balances, and once the fault is over the next message is delivered.

- **While it lasts**: the class of the exception on the future, here with a policy of two tries. An
  exception after retries is also a `publisher.RetriesExhausted`; with the default policy, which
  never gives up by itself, it is a `publisher.DeliveryTimeout` that has it as its `__cause__`.
- **Once it passes**: `future.attempts`, by error code. Final errors are not retried.
- **Duplicates**: whether the service may hold a message twice after the retry. "No, not known" is a
  try that was not stored, but nobody on this side can tell: `attempt.outcome_unknown` is true.

A destination that hangs, from its first outage on, keeps no other waiting: one worker more than
`max_workers` serves only those that have nothing in flight. Where nothing has gone out or come back
for a quarter of a second there are more of these, up to twice `max_workers` in all; so it is with
credentials that hang, too. Those that have timed out hold at most half the workers together, and
each has one request in flight until one succeeds. `x-amz-retry-after` and `Retry-After` in an
answer keep all messages of its destination back for that time, up to 20 s.

"""
TAIL = """
This page is generated: `python -m tests.fault_table` writes it, and a test compares.
"""


def render() -> str:
    """The whole page."""
    lines = [
        "| Fault | Service | While it lasts | Once it passes | Duplicates |",
        "|---|---|---|---|---|",
    ]
    for fault in FAULTS:
        rows: dict[tuple[str, str, str], list[str]] = {}
        for service in fault.services:
            rows.setdefault(_row(fault, service), []).append(SERVICES[service])
        for (stays, passes, duplicates), names in rows.items():
            name = fault.name + (f"; {fault.note}" if fault.note else "")
            lines.append(f"| {name} | {', '.join(names)} | {stays} | {passes} | {duplicates} |")
    return HEAD + "\n".join(lines) + "\n" + TAIL


def _row(fault: Fault, service: str) -> tuple[str, str, str]:
    ends, code = fault.of(fault.ends, service), fault.of(fault.code, service)
    concerned = "" if len(fault.hit) == 3 else " for the entry concerned, the others are delivered"
    if not ends:
        return "delivered at the first try", "the same", "no"
    stays = f"`{ends}`" if fault.raises(service) else f"no exception: `ErrorCode` `{code}`"
    if code and fault.raises(service) and ends == "ClientError":
        stays += f" with the code `{code}`"
    if fault.tries == 1:
        passes = "final: not retried"
    elif fault.tries == 0:
        passes = "no answer to decide on, so not retried"
    else:
        passes = f"`{code}`, then delivered"
    if fault.twice:
        duplicates = "yes" if fault.tries == 2 else "only if you send it again: it is stored"
    else:
        duplicates = "no, not known" if fault.careful else "no"
    return stays + concerned, passes, duplicates


def main() -> None:
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(render())
    print(f"wrote {PATH}")


if __name__ == "__main__":
    main()
