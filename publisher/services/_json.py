"""Bodies and answers in AWS's JSON, made and read by hand as botocore makes and reads them."""

from __future__ import annotations

import json
from binascii import b2a_base64
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any


def reader(
    outcomes_in: str, members: Collection[str], answer: Collection[str]
) -> Callable[[bytes], tuple[dict[str, Any], bytes] | None]:
    """A reader of answers with one list; see :func:`reader_of_lists`.

    Args:
        outcomes_in: the list of outcomes.
        members: of an outcome, in botocore's model.
        answer: members of the answer itself.
    """
    return reader_of_lists({outcomes_in: members}, answer)


def reader_of_lists(
    lists: Mapping[str, Collection[str]], answer: Collection[str]
) -> Callable[[bytes], tuple[dict[str, Any], bytes] | None]:
    """A reader of answers with lists of outcomes: JSON's own objects are what boto3 returns.

    Like boto3 it leaves out what is null, and what the model does not know. An answer without any
    of the lists is botocore's to read.

    Args:
        lists: by the name of each, the members of an outcome in it, in botocore's model.
        answer: members of the answer itself.
    """
    known = {name: frozenset(members) for name, members in lists.items()}

    def read(body: bytes) -> tuple[dict[str, Any], bytes] | None:
        try:
            found = json.loads(body.decode())
            there = [name for name in known if found.get(name) is not None]
            for name in there:
                outcomes = found[name]
                if type(outcomes) is not list or set(map(type, outcomes)) - {dict}:
                    return None
                if b"null" in body or not set().union(*outcomes) <= known[name]:
                    found[name] = [_known(outcome, known[name]) for outcome in outcomes]
            return (_known(found, answer), b"{}") if there else None
        except (ValueError, TypeError, AttributeError, RecursionError):
            return None

    return read


def _known(members: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: members[name] for name in names if members.get(name) is not None}


def json_of(params: Any) -> str:
    """boto3's parameters in JSON, bytes in base64."""
    return json.dumps(_plain(params))


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return b2a_base64(value, newline=False).decode()
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return value
