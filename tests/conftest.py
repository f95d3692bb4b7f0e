"""What every test gets: dummy credentials, no way out of this machine, and the servers."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, TypeVar

import boto3
import pytest
from hypothesis import settings

from tests.servers import Endpoint, FaultProxy, Kinesalite, Moto, UnavailableError, processes

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_DATA_PATH": str(Path(__file__).parent / "models"),  # that of the service made up for tests
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "NO_PROXY": "127.0.0.1,localhost,.invalid",  # a proxy of the machine has no part in a test
    "no_proxy": "127.0.0.1,localhost,.invalid",
}


def _set_environment() -> None:
    for name in list(os.environ):  # AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL_SNS, ...
        if name.startswith("AWS_") or name == "BOTO_CONFIG":
            del os.environ[name]
    os.environ.update(ENVIRONMENT)


# How long an example takes says more about the machine's other work than about the code.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")

# A shell starts what it puts in the background with Ctrl-C ignored, and so would be every process
# that a test starts: none of them would end at SIGINT.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_set_environment()  # at import: test modules may make clients when they are collected


class OutsideConnectionError(RuntimeError):
    """A test tried to connect to another machine."""


_outside: list[str] = []  # attempts; botocore turns the exception into one of its own


def _is_local(family: int, address: Any) -> bool:
    if family not in (socket.AF_INET, socket.AF_INET6):
        return True
    host = address[0]
    if host in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:  # another name
        return False


def _guard(original: Callable[..., Any]) -> Callable[..., Any]:
    def connect(self: socket.socket, address: Any) -> Any:
        if not _is_local(self.family, address):
            message = f"a test tried to connect to {address!r}, which is not this machine"
            _outside.append(message)
            raise OutsideConnectionError(message)
        return original(self, address)

    return connect


@pytest.fixture(scope="session", autouse=True)
def _this_machine_only() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", _guard(socket.socket.connect))
        patch.setattr(socket.socket, "connect_ex", _guard(socket.socket.connect_ex))
        yield


@pytest.fixture(autouse=True)
def outside_connections() -> Iterator[list[str]]:
    """The attempts to connect to other machines during the test, which fails if any are left."""
    _outside.clear()
    yield _outside
    assert not _outside, _outside


@pytest.fixture(autouse=True)
def _own_default_session() -> Iterator[None]:
    """boto3's default session ends with the test: one from before moto's import is in no mock."""
    yield
    boto3.DEFAULT_SESSION = None


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """A recording endpoint. For one with options: `with Endpoint(strict=True) as endpoint`."""
    with Endpoint() as server:
        yield server


@pytest.fixture
def proxy() -> Iterator[Callable[..., FaultProxy]]:
    """Makes fault proxies: `proxy(moto_server.url, **options)`; they end with the test."""
    with ExitStack() as stack:
        yield lambda url, **options: stack.enter_context(FaultProxy(url, **options))


T = TypeVar("T")


def _available(server: AbstractContextManager[T], stack: ExitStack) -> T:
    try:
        return stack.enter_context(server)
    except UnavailableError as error:
        if os.environ.get("CI"):
            pytest.fail(f"{error}; nothing is skipped in CI")
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def moto_server() -> Iterator[Moto]:
    """moto's server in a process of its own."""
    with ExitStack() as stack:
        yield _available(processes.moto(), stack)


@pytest.fixture(scope="session")
def kinesalite() -> Iterator[Kinesalite]:
    """kinesalite in a process of its own."""
    with ExitStack() as stack:
        yield _available(processes.kinesalite(), stack)
