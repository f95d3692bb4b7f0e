"""``python -m publisher doctor``: findings, each with what to do; the worst is the exit code."""

from __future__ import annotations

import argparse
from typing import Any

from .. import doctor
from ..services import by_option, flag
from ._console import InputError, check_endpoint, put

EXIT_CODES = {doctor.OK: 0, doctor.NOTE: 0, doctor.WARNING: 1, doctor.ERROR: 3}


def add_to(commands: Any) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser(
        "doctor",
        help="what is wrong here, and what to do",
        description="Look at this process and machine and, if asked, at the way to a"
        " destination: reachability and permission. Nothing is published and no secret shown.",
        epilog="exit code: 0 all well, 1 warnings, 3 errors, 2 bad input",
    )
    for name, service in by_option().items():
        parser.add_argument(flag(name), metavar="NAME", help=f"try it: {service.option_help}")
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
    from ._destination import Destination, named_in

    asked = named_in(options)
    for service, name in asked:
        Destination(service, name.removesuffix(".fifo"))
    check_endpoint(options.endpoint_url)
    findings: list[doctor.Finding] = []
    if options.metrics is not None:
        from .._doctoring import metrics

        try:
            findings += metrics.findings(options.metrics)
        except metrics.MetricsError as error:
            raise InputError(str(error)) from None
    findings += doctor.examine(
        region=options.region,
        endpoint_url=options.endpoint_url,
        **{service.option: name for service, name in asked},
    )
    put(doctor.report(findings))  # of which each finding is escaped
    return EXIT_CODES[doctor.worst(findings)]
