"""Texts of exceptions about endpoints and credentials, without what must not be shown."""

from __future__ import annotations

import json
from typing import Any

from botocore import exceptions as boto

from .._text import masked, printable

#: Their texts quote what a program or server of somebody else's wrote: perhaps the secret itself.
_QUOTING = (
    boto.CredentialRetrievalError,
    boto.MetadataRetrievalError,
    getattr(boto, "TokenRetrievalError", boto.CredentialRetrievalError),
)
_LEFT_OUT = (
    "the source of the credentials failed; what it wrote is left out because it may hold a secret:"
    " run `aws sts get-caller-identity` as this user to see it"
)


def told(error: BaseException) -> str:
    """An exception's text in one line, safe to show. Errors about credentials have ours instead."""
    return _LEFT_OUT if isinstance(error, _QUOTING) else printable(" ".join(str(error).split()))


def without_secrets(error: BaseException) -> BaseException:
    """The exception given, changed so that its text says no more than :func:`told` does.

    Nor do its attributes, or its pickle. The exception that botocore caught becomes a masked text.
    """
    quoting = isinstance(error, _QUOTING)
    if isinstance(error, boto.BotoCoreError) and type(getattr(error, "kwargs", None)) is dict:
        kept = {name: _masked(value) for name, value in error.kwargs.items()}
        # Pickling makes the text anew, of these.
        error.kwargs = {**kept, "error_msg": _LEFT_OUT} if quoting else kept
    if isinstance(error, json.JSONDecodeError):
        error.doc = ""  # what a credential_process wrote
    if isinstance(error, UnicodeDecodeError):
        error.object = b""  # the same
        error.args = (error.encoding, b"", error.start, error.end, error.reason)
    error.args = (_LEFT_OUT,) if quoting else tuple(map(_masked_if_text, error.args))
    return error


def _masked(value: Any) -> Any:
    return value if value is None or isinstance(value, (int, float)) else masked(value)


def _masked_if_text(value: Any) -> Any:
    return masked(value) if isinstance(value, str) else value
