"""The servers that the tests run against; nothing here listens on more than 127.0.0.1."""

from tests.servers.endpoint import Endpoint
from tests.servers.limits import ShardLimit
from tests.servers.processes import Kinesalite, Message, Moto, Topic, UnavailableError
from tests.servers.proxy import FaultProxy
from tests.servers.wire import HTML, Answer, Entry, Error, Failure, Request

__all__ = [
    "HTML",
    "Answer",
    "Endpoint",
    "Entry",
    "Error",
    "Failure",
    "FaultProxy",
    "Kinesalite",
    "Message",
    "Moto",
    "Request",
    "ShardLimit",
    "Topic",
    "UnavailableError",
]
