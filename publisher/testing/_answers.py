"""What stands in for an answer of AWS."""

from __future__ import annotations

import uuid
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from .. import services
from .._aws.targets import api_name
from .._engine.contract import Service


def publishing(model: Any) -> tuple[Service, bool] | None:
    """The service of an operation that publishes, and whether it is the batch twin; else None."""
    name = model.service_model.service_name
    if name not in services.names():
        return None
    service = services.load(name)
    known = {api_name(service.single): False, api_name(service.batch): True}
    return (service, known[model.name]) if model.name in known else None


def answered(request: dict[str, Any], status: int, answer: dict[str, Any]) -> Any:
    """A parsed answer, in the form in which botocore takes one from its ``before-call`` event."""
    metadata = {
        "RequestId": str(uuid.uuid4()),
        "HTTPStatusCode": status,
        "HTTPHeaders": {},
        "RetryAttempts": 0,
    }
    http = AWSResponse(request.get("url", ""), status, HTTPHeaders(), None)
    return http, {**answer, "ResponseMetadata": metadata}
