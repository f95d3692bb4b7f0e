"""Error codes that mean the same in every AWS service, and what a code means for a message."""

from __future__ import annotations

from collections.abc import Mapping

from .._account.causes import ACCESS, CREDENTIALS, MISSING, REFUSED_ARGUMENT, is_throttled
from .._engine.contract import Service, Verdict

#: Codes that mean the same in every AWS service. (alone, in a request of many)
COMMON_VERDICTS: Mapping[str, tuple[Verdict, Verdict]] = {
    **dict.fromkeys(
        # https://docs.aws.amazon.com/general/latest/gr/CommonErrors.html: access and signature
        (
            *ACCESS,
            *CREDENTIALS,
            *MISSING,
            "IncompleteSignature",
            "InvalidAction",
            "InvalidSecurity",
            "OptInRequired",
            "UnknownOperationException",
            # https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html#API_PutRecords_Errors
            "KMSAccessDenied",
            "KMSAccessDeniedException",
            "KMSDisabled",
            "KMSDisabledException",
            "KMSNotFound",
            "KMSNotFoundException",
            "KMSOptInRequired",
        ),
        (Verdict.FINAL, Verdict.FINAL),
    ),
    **dict.fromkeys(
        (
            *REFUSED_ARGUMENT,
            "ValidationError",
            "SerializationException",
            "MalformedQueryString",
        ),
        (Verdict.FINAL, Verdict.SPLIT),
    ),
    **dict.fromkeys(
        ("RequestEntityTooLarge", "RequestEntityTooLargeException", "413"),
        (Verdict.FINAL, Verdict.SPLIT),
    ),
    **dict.fromkeys(
        (
            "InternalError",
            "InternalErrorException",
            "InternalFailure",
            "InternalFailureException",
            "InternalServerError",
            "InternalServiceError",
            "ServiceUnavailable",
            "ServiceUnavailableException",
        ),
        (Verdict.RETRY, Verdict.RETRY),
    ),
}


def verdict(service: Service, code: str, *, whole: bool) -> Verdict | None:
    """What ``code`` means for one entry, or for a ``whole`` request of several.

    None for a code that no table knows.
    """
    verdicts = service.verdicts.get(code) or COMMON_VERDICTS.get(code)
    if verdicts is None:
        return Verdict.RETRY if is_throttled(code) else None
    return verdicts[whole]
