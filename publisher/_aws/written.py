"""What may be written down of a connection, for another process to make it again."""

from __future__ import annotations

from typing import Any

from .connection import Connection

#: The arguments of a client that are written; with any other it cannot be made from them.
PLAIN = frozenset({"region_name", "endpoint_url", "api_version", "use_ssl", "verify"})


def written(connection: Connection) -> tuple[dict[str, Any], bool]:
    """Those of its client's arguments that are no secret; whether they are all of them.

    A session, a client and a config are not written, nor an address that has more than scheme,
    host, port and path.
    """
    given = {name: value for name, value in connection._kwargs.items() if value is not None}
    if connection.region:
        given["region_name"] = connection.region
    said = {
        name: value
        for name, value in given.items()
        if name in PLAIN and isinstance(value, (str, bool))
    }
    if any(mark in str(said.get("endpoint_url", "")) for mark in "@?#"):
        del said["endpoint_url"]
    is_all = len(said) == len(given) and connection._session is None and not connection._given
    return said, is_all
