"""What is written of a destination, and the way to it from what was written.

Bytes of JSON: the service, boto3's parameters of the address, and those arguments of the client
that are no secret. What is read back is anybody's data: it is bounded and checked, and an endpoint
in it is used only where this process is set up with it too.
"""

from __future__ import annotations

import json
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .. import services
from .._aws.written import PLAIN, written
from .._text import printable
from ..errors import InvalidMessage

if TYPE_CHECKING:
    from .._engine.contract import Service
    from .._engine.lane import Lane
    from .._engine.message import Route

MAX_SIZE = 16 * 1024  # bytes; the longest address of any service has 2 KiB


class Unreachable(Exception):
    """No client can be made here for what was written."""


class Destinations:
    """The destinations of one publisher in one process, by what is written of each.

    Args:
        named: of the options: for ``"service:region"``, the arguments of a client whose messages
            could not be offered again otherwise.
        endpoints: that may be used beside those of the publisher's own clients.
    """

    def __init__(
        self, named: Mapping[str, Mapping[str, Any]], endpoints: frozenset[str] = frozenset()
    ) -> None:
        self._named = named
        self._endpoints = endpoints
        self._publisher: Any = lambda: None
        #: Lanes that were written of, by any thread, until the feeding one has noted them; and
        #: whether each is to be held.
        self._new: deque[tuple[bytes, Any, bool]] = deque()
        self._lanes: dict[bytes, list[weakref.ref[Lane]]] = {}
        #: Lanes that could not be made again from what is written, until nothing of them stays.
        self._held: dict[Lane, bytes] = {}

    def use(self, publisher: Any) -> None:
        """The publisher that makes the clients; it is not kept alive."""
        self._publisher = weakref.ref(publisher)

    def write(self, lane: Any) -> bytes:
        """What is written of the destination of a lane; the same bytes each time."""
        target = lane.target
        client, is_all = written(target.connection)
        said = {
            "service": target.service.name,
            "place": target.service.place(target.address),
            "client": client,
        }
        if not is_all:  # only in this process it can be found again
            said["number"] = target.connection.number
        where = json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
        self._new.append((where, lane, not is_all or "endpoint_url" in client))
        lane.written = where
        return where

    # -- the feeding thread's

    def lanes(self, where: bytes) -> list[Lane]:
        """The lanes of this process to what was written, the first one first.

        Clients with different arguments may be written alike.
        """
        while self._new:
            text, lane, is_held = self._new.popleft()
            self._note(text, lane)
            if is_held:
                self._held[lane] = text
        publisher = self._publisher()
        core = None if publisher is None else publisher._core
        lanes = [ref() for ref in self._lanes.get(where, ())]
        return [lane for lane in lanes if lane is not None and lane.core is core]

    @staticmethod
    def grouping(where: bytes) -> Callable[[bytes], str] | None:
        """What tells the group of an entry on disk, for what was written of its destination.

        None where that keeps no order. What is no entry is of the group without a name.
        """
        try:
            name, place, _, _ = read(where)
            service = services.load(name)
            if not service.is_ordered(service.address(place)):
                return None
        except ValueError:  # who looks for the way there says what is wrong
            return None
        return partial(_group_of, service)

    def behind(self) -> Iterator[tuple[bytes, Lane]]:
        """The lanes of which something stays that keep an order, with what is written of them."""
        for where in list(self._lanes):
            for lane in self.lanes(where):
                if lane.is_behind:
                    yield where, lane

    def let_go(self, is_over: Callable[[Lane, bytes], bool]) -> None:
        """Hold no lane any more of which nothing stays, and forget those that are gone."""
        for lane, where in list(self._held.items()):
            if is_over(lane, where):
                lane.written = None  # the next message has it be held again
                del self._held[lane]
        for where, refs in list(self._lanes.items()):
            if not any(ref() is not None for ref in refs):
                del self._lanes[where]

    def _note(self, where: bytes, lane: Lane) -> None:
        refs = self._lanes.setdefault(where, [])
        if not any(ref() is lane for ref in refs):
            refs.append(weakref.ref(lane))

    def route(self, where: bytes) -> Route:
        """The way to what was written.

        Raises:
            Unreachable: there is none from here; the text says why.
            ValueError: it was not written by this package, or is damaged.
        """
        publisher = self._publisher()
        if publisher is None:
            raise Unreachable("the publisher is gone")
        for lane in self.lanes(where):
            core: Any = lane.core
            return lane.route(core.delivery(lane.target.service.name, {}))
        name, place, arguments, complete = read(where)
        key = f"{name}:{arguments.get('region_name', '')}"
        if key in self._named:
            arguments = dict(self._named[key])
        elif not complete:
            raise Unreachable(
                f"its client has a session, a client, a config or credentials of its own, which are"
                f" never written: name its arguments as Spool(clients={{{key!r}: {{...}}}})"
            )
        elif not self._is_known(endpoint := arguments.get("endpoint_url"), publisher):
            raise Unreachable(
                f"its endpoint {printable(_host(endpoint))} is not one of this process: an endpoint"
                " that is read from disk is used only where a client here has it too"
            )
        client = publisher.client(name, **arguments)
        service = services.load(name)
        try:
            address = service.address(place)
            service.check_address(address)
        except InvalidMessage as error:
            raise ValueError(str(error)) from None
        route: Route = client._routes.get(address) or client._route(address)
        made: Any = route.lane
        self._note(where, made)
        made.written = where
        return route

    def _is_known(self, endpoint: str | None, publisher: Any) -> bool:
        if endpoint is None or endpoint in self._endpoints:
            return True
        named = [arguments.get("endpoint_url") for arguments in self._named.values()]
        return endpoint in (*named, *publisher._clients.endpoints())


def _group_of(service: Service, entry: bytes) -> str:
    try:
        return service.group(service.load(entry))
    except Exception:  # noqa: BLE001 - these bytes may be anybody's
        return ""


def read(where: bytes) -> tuple[str, dict[str, str], dict[str, Any], bool]:
    """Service, place, client arguments, and whether these are all.

    Raises:
        ValueError: that is not what :meth:`Destinations.write` writes.
    """
    wrong = ValueError(f"{len(where):,} bytes that describe no destination")
    if len(where) > MAX_SIZE:
        raise wrong
    try:
        said = json.loads(where)
    except (ValueError, RecursionError):
        raise wrong from None
    if not isinstance(said, dict):
        raise wrong
    name, place, client = said.get("service"), said.get("place"), said.get("client")
    if (
        name not in services.names()
        or not isinstance(place, dict)
        or not isinstance(client, dict)
        or not all(isinstance(value, str) for value in place.values())
        or not all(isinstance(value, (str, bool)) for value in client.values())
        or not client.keys() <= PLAIN
    ):
        raise wrong
    return name, place, client, not said.get("number")


def _host(endpoint: Any) -> str:
    try:
        return urlsplit(str(endpoint)).hostname or ""
    except ValueError:
        return ""
