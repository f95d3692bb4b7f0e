"""Answers in JSON 1.1 to a batch whose entries are matched by position, read by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any


def reader(
    outcomes_in: str, members: Collection[str], answer: Collection[str]
) -> Callable[[bytes], tuple[dict[str, Any], bytes] | None]:
    """A reader of such answers: JSON's own objects are what boto3 returns.

    Like boto3 it leaves out what is null, and what the model does not know.

    Args:
        outcomes_in: the list of outcomes.
        members: of an outcome, in botocore's model.
        answer: members of the answer itself.
    """
    known = frozenset(members)

    def read(body: bytes) -> tuple[dict[str, Any], bytes] | None:
        try:
            found = json.loads(body.decode())
            outcomes = found[outcomes_in]
            if type(outcomes) is not list or set(map(type, outcomes)) - {dict}:
                return None
            if b"null" in body or not set().union(*outcomes) <= known:
                found[outcomes_in] = [_known(outcome, known) for outcome in outcomes]
            return _known(found, answer), b"{}"
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None

    return read


def _known(members: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: members[name] for name in names if members.get(name) is not None}
