"""An answer as boto3 returns it: the usual one by hand, any other by botocore's own parser."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

from botocore.awsrequest import AWSResponse

from ..._engine.contract import Fast
from .answer import Answer
from .request import Request

#: Makes boto3's call; is given what has the answer in place of sending it.
Call: TypeAlias = Callable[[Callable[[], tuple[Any, Any]]], Any]
_REQUEST_ID = re.compile(rb"<RequestId>([^<>&]*)</RequestId>")


class Reader:
    """Reads the answers to one operation of one client.

    Args:
        client: the boto3 client.
        operation: the operation's name in the API.
        fast: how the service's usual answer is read.
    """

    def __init__(self, client: Any, operation: str, fast: Fast) -> None:
        self._client = client
        self._parser = client._response_parser
        self._model = client.meta.service_model.operation_model(operation)
        self._fast = fast
        #: Whether the metadata made here is known to be what botocore makes.
        self._alike = False

    def read(self, request: Request, answer: Answer, call: Call) -> Any:
        """The response to ``request``.

        Args:
            request: as it was sent.
            answer: to it.
            call: makes boto3's call of it, with an answer that is there already.

        Raises:
            Exception: what boto3 would raise for the answer.
        """
        response = self._usual(answer)
        return call(partial(self._by_botocore, request, answer)) if response is None else response

    def _usual(self, answer: Answer) -> dict[str, Any] | None:
        """None for an answer that botocore has to read."""
        if answer.status != 200 or len(answer.body) > self._fast.largest:
            return None
        found = self._fast.read(answer.body)
        if found is None:
            return None
        response, rest = found
        metadata = self._metadata(answer, rest) if self._alike else self._compared(answer, rest)
        return None if metadata is None else {"ResponseMetadata": metadata, **response}

    def _by_botocore(self, request: Request, answer: Answer) -> tuple[Any, Any]:
        """What botocore makes of the answer: its response, and it parsed."""
        endpoint = copy.copy(self._client._endpoint)
        endpoint._send = lambda _: _response(request.url, answer)
        found, error = endpoint._do_get_response(request, self._model, {})
        if error is not None:
            raise error
        found[1].setdefault("ResponseMetadata", {})["RetryAttempts"] = 0
        return found  # type: ignore[no-any-return]  # botocore's response, and it parsed

    def _metadata(self, answer: Answer, rest: bytes) -> dict[str, Any] | None:
        """None where it is not known what botocore would make."""
        headers = {name.lower(): value for name, value in answer.headers.items()}
        metadata: dict[str, Any] = {}
        if rest == b"{}":
            if "x-amzn-requestid" in headers:
                metadata["RequestId"] = headers["x-amzn-requestid"]
        else:
            found = _REQUEST_ID.search(rest)
            if found is None:
                return None
            metadata["RequestId"] = found[1].decode()
        metadata["HTTPStatusCode"] = answer.status
        metadata["HTTPHeaders"] = headers
        metadata["RetryAttempts"] = 0
        return metadata

    def _compared(self, answer: Answer, rest: bytes) -> dict[str, Any] | None:
        """The metadata that botocore makes of the first answer; are ours the same?"""
        response = _response("", answer)
        parsed = self._parser.parse(
            {
                "headers": response.headers,
                "status_code": answer.status,
                "body": rest,
                "context": {"operation_name": self._model.name},
            },
            self._model.output_shape,
        )
        metadata: dict[str, Any] = parsed["ResponseMetadata"]
        metadata["RetryAttempts"] = 0
        self._alike = self._metadata(answer, rest) == metadata
        return metadata


def _response(url: str, answer: Answer) -> Any:
    headers: Any = answer.headers
    response: Any = AWSResponse(url, answer.status, headers, None)
    response._content = answer.body
    return response
