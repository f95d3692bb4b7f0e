"""``python -m publisher doctor``: findings, each with what to do; the worst is the exit code."""

from __future__ import annotations

import argparse
from typing import Any

from .. import doctor
from . import InputError, check_endpoint, put

EXIT_CODES = {doctor.OK: 0, doctor.NOTE: 0, doctor.WARNING: 1, doctor.ERROR: 3}


def add_to(commands: Any) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser(
        "doctor",
        help="what is wrong here, and what to do",
        description="Look at this process and machine and, if asked, at the way to a topic or a"
        " stream: reachability and permission. Nothing is published and no secret shown.",
        epilog="exit code: 0 all well, 1 warnings, 3 errors, 2 bad input",
    )
    parser.add_argument("--topic", metavar="ARN", help="try to reach this SNS topic")
    parser.add_argument("--stream", metavar="NAME", help="try to reach this stream; or its ARN")
    parser.add_argument("--region", help="in place of boto3's own")
    parser.add_argument("--endpoint-url", metavar="URL", help="in place of AWS's own")
    parser.add_argument(
        "--metrics",
        metavar="URL",
        help="read the metrics of a running process there (publisher.contrib.prometheus), or in a"
        " file, and name the causes of its losses",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the findings, the worst first."""
    from ._destination import Destination

    if options.topic is not None:
        Destination(options.topic.removesuffix(".fifo"), None, None)
    if options.stream is not None:
        Destination(None, options.stream, None)
    check_endpoint(options.endpoint_url)
    findings: list[doctor.Finding] = []
    if options.metrics is not None:
        from .._doctoring import metrics

        try:
            findings += metrics.findings(options.metrics)
        except metrics.MetricsError as error:
            raise InputError(str(error)) from None
    findings += doctor.examine(
        topic=options.topic,
        stream=options.stream,
        region=options.region,
        endpoint_url=options.endpoint_url,
    )
    put(doctor.report(findings))  # of which each finding is escaped
    return EXIT_CODES[doctor.worst(findings)]
