"""What is wrong with this process, this machine, and the way to a destination; and what to do.

``python -m publisher doctor`` prints it for a process of its own. Inside an application (a Django
shell, a debug view) ``print(doctor.report())`` looks at the publishers that live there: their
connections, and what their accounts say about losses.
"""

from __future__ import annotations

from collections.abc import Iterator

from ._doctoring.finding import ERROR, NOTE, OK, SEVERITIES, WARNING, Finding
from .services import by_option

__all__ = [
    "ERROR",
    "NOTE",
    "OK",
    "SEVERITIES",
    "WARNING",
    "Finding",
    "examine",
    "report",
    "worst",
]


def examine(
    *,
    topic: str | None = None,
    stream: str | None = None,
    region: str | None = None,
    endpoint_url: str | None = None,
    **others: str | None,
) -> list[Finding]:
    """Look at everything.

    Args:
        topic: ARN of a topic to try to reach, or None.
        stream: name or ARN of a stream to try to reach, or None.
        region: in place of boto3's own.
        endpoint_url: in place of AWS's own.
        others: destinations of other services, by the option of ``doctor`` that names them.

    Raises:
        TypeError: no service has such a destination.

    Nothing is published: the permission to publish is tried with a request that no service stores.
    """
    from ._doctoring import aws, live, process

    if unknown := others.keys() - by_option().keys():
        known = ", ".join(by_option())
        raise TypeError(f"examine() has no {', '.join(sorted(unknown))}; destinations are {known}")
    named = {"topic": topic, "stream": stream, **others}
    destinations = {option: name for option, name in named.items() if name is not None}

    def all_of_them() -> Iterator[Finding]:
        yield from process.findings()
        yield from live.findings()
        yield from aws.findings(destinations, region, endpoint_url)

    return list(all_of_them())


def report(findings: list[Finding] | None = None) -> str:
    """The findings as text, the worst first; those of :func:`examine` if none are given."""
    if findings is None:
        findings = examine()
    ranked = sorted(findings, key=lambda finding: -SEVERITIES.index(finding.severity))
    return "\n".join(map(str, ranked))


def worst(findings: list[Finding]) -> str:
    """The highest severity among the findings."""
    return max((finding.severity for finding in findings), key=SEVERITIES.index, default=OK)
