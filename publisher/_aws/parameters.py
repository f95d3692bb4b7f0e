"""Checking a call's arguments against botocore's model, with errors that quote no value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import botocore.validate

from ..errors import InvalidMessage


def check_params(client: Any, operation: str, params: Mapping[str, Any]) -> None:
    """Check a call's arguments against botocore's model; the error quotes none of their values.

    Args:
        client: a boto3 client.
        operation: boto3's method name.
        params: the caller's.

    Raises:
        InvalidMessage: what botocore would have raised ParamValidationError for.
    """
    model = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[operation])
    shape = model.input_shape
    if shape is None:
        if params:
            raise InvalidMessage(
                f"{operation}() takes no parameters, not {', '.join(sorted(params))}"
            )
        return
    report = botocore.validate.ParamValidator().validate(dict(params), shape)
    if not report.has_errors():
        return
    problems = []
    for reason, where, details in getattr(report, "_errors", []):
        place = where.lstrip(".") or "the parameters"
        if reason == "missing required field":
            inside = f" in {place}" if where else ""
            problems.append(f"the parameter {details.get('required_name')} is missing{inside}")
        elif reason == "unknown field":
            known = ", ".join(details.get("valid_names", ()))
            problems.append(
                f"unknown parameter {details.get('unknown_param')!r} in {place}; known are {known}"
            )
        elif reason == "invalid type":  # botocore names the types as repr() does: <class 'str'>
            wanted = " or ".join(details.get("valid_types", ())).replace("<class '", "")
            found = type(details.get("param")).__name__
            problems.append(f"{place} must be {wanted.replace(chr(39) + '>', '')}, not {found}")
        elif reason == "invalid length":
            problems.append(
                f"{place} has length {details.get('param')}; at least {details.get('min_allowed')}"
                " is needed"
            )
        else:
            problems.append(f"{place}: {reason}")
    raise InvalidMessage(
        f"{operation}(): " + "; ".join(problems or ["botocore refuses the parameters"])
    )
