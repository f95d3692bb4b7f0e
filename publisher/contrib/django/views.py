"""A plain health view."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from .. import _health
from ._publishers import publishers


@never_cache
@require_safe
def health(request: HttpRequest) -> JsonResponse:  # noqa: ARG001  # Django passes it
    """The account of each alias in this process as JSON; 503 where messages do not get through.

    It names destinations, never a message's content: decide who may read it.
    """
    reports = {
        alias: _health.report(publishers[alias], read.health)
        for alias, read in publishers.settings().items()
    }
    healthy = all(report["healthy"] for report in reports.values())
    return JsonResponse(reports, status=200 if healthy else 503)
