"""A message's attributes: checked, counted, and copied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import InvalidMessage
from ._checks import as_bytes, check_str, utf8_size, wrong_type

_PARTS = {"DataType", "StringValue", "BinaryValue"}


def copied_attributes(
    attributes: Any, source: str, parameter: str = "MessageAttributes"
) -> tuple[dict[str, dict[str, Any]], int]:
    """A copy that the caller cannot change, and its bytes: names, types and values.

    Args:
        attributes: what the caller gave.
        source: where AWS documents them.
        parameter: the name of theirs.

    Raises:
        InvalidMessage: they are not in boto3's form. Which names and values a service takes it says
            itself.
    """
    if not isinstance(attributes, Mapping):
        raise wrong_type(parameter, attributes, "a dict")
    size, kept = 0, {}
    for given, attribute in attributes.items():
        name = check_str(f"a name in {parameter}", given)
        where = f"{parameter}[{_shown(name)}]"
        size += utf8_size(name, where)
        kept[name], more = _copied(where, attribute, source)
        size += more
    return kept, size


def _copied(where: str, attribute: Any, source: str) -> tuple[dict[str, Any], int]:
    if not isinstance(attribute, Mapping):
        raise wrong_type(where, attribute, "a dict")
    if unknown := attribute.keys() - _PARTS:
        raise InvalidMessage(
            f"{where} has unknown parameters: {', '.join(sorted(map(str, unknown)))}"
        )
    if "DataType" not in attribute:
        raise InvalidMessage(f"{where} needs the parameter DataType ({source})")
    kind = check_str(f"{where}.DataType", attribute["DataType"])
    copied: dict[str, Any] = {"DataType": kind}
    size = utf8_size(kind, f"{where}.DataType")
    if "StringValue" in attribute:
        text = check_str(f"{where}.StringValue", attribute["StringValue"])
        copied["StringValue"] = text
        size += utf8_size(text, f"{where}.StringValue")
    if "BinaryValue" in attribute:
        copied["BinaryValue"] = as_bytes(f"{where}.BinaryValue", attribute["BinaryValue"])
        size += len(copied["BinaryValue"])
    return copied, size


def _shown(name: str) -> str:
    return (
        repr(name) if len(name) <= 64 and name.isprintable() else f"name of {len(name)} characters"
    )
