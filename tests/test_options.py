"""Options are checked once, with a message that states the rule."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
import tenacity

import publisher
from publisher._options import Delivery, Options, check_options, same


def checked(**changes: Any) -> Options:
    return check_options(Options(), changes)


class Listener:
    def on_failed(self, event: publisher.Event) -> None:
        pass


def test_the_defaults_are_those_that_are_documented() -> None:
    options = Options()
    assert options == Options(
        max_workers=10,
        linger={"sns": 0.01, "sqs": 0.01, "kinesis": 0.05, "firehose": 0.05, "events": 0.01},
        max_messages=10_000,
        max_bytes=64 * 1024 * 1024,
        on_full="block",
        max_block=1.0,
        delivery_timeout=120,
        retry=None,
        connect_timeout=3,
        read_timeout=10,
        close_timeout=5,
        hooks=(),
        spool=None,
    )
    assert options.grace == 13


def test_the_defaults_pass_their_own_checks() -> None:
    defaults = {name: getattr(Options(), name) for name in Options.__dataclass_fields__}
    assert check_options(Options(), defaults) == Options()


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("max_workers", 0, ValueError),
        ("max_workers", -1, ValueError),
        ("max_workers", 1.5, TypeError),
        ("max_workers", True, TypeError),
        ("max_workers", None, TypeError),
        ("max_messages", 0, ValueError),
        ("max_messages", "10", TypeError),
        ("max_bytes", 0, ValueError),
        ("linger", -1, ValueError),
        ("linger", math.nan, ValueError),
        ("linger", math.inf, ValueError),
        ("linger", "0.1", TypeError),
        ("linger", {"s3": 1}, ValueError),
        ("linger", {"sns": -1}, ValueError),
        ("linger", {"sns": None}, TypeError),
        ("linger", 10**400, ValueError),
        ("on_full", "wait", ValueError),
        ("on_full", None, ValueError),
        ("on_full", ["block"], ValueError),
        ("max_block", -0.1, ValueError),
        ("max_block", math.inf, ValueError),
        ("delivery_timeout", 0, ValueError),
        ("delivery_timeout", None, TypeError),
        ("delivery_timeout", False, TypeError),
        ("connect_timeout", 0, ValueError),
        ("read_timeout", -1, ValueError),
        ("close_timeout", -1, ValueError),
        ("close_timeout", None, TypeError),
        ("retry", 3, TypeError),
        ("retry", tenacity.Retrying(sleep=print), ValueError),
        ("hooks", Listener(), TypeError),
        ("hooks", [Listener], TypeError),
        ("hooks", [object()], TypeError),
        ("hooks", "on_failed", TypeError),
        ("hooks", b"x", TypeError),
        ("hooks", [type("Odd", (), {"on_failed": 3})()], TypeError),
        ("spool", "/var/spool/shop", TypeError),
        ("spool", {"directory": "/var/spool/shop"}, TypeError),
        ("spool", True, TypeError),
    ],
)
def test_an_impossible_value_raises_and_names_the_option(
    name: str, value: Any, error: type[Exception]
) -> None:
    with pytest.raises(error, match="hook|on_failed" if name == "hooks" else name):
        checked(**{name: value})
    with pytest.raises(error):
        publisher.Publisher(**{name: value})


@pytest.mark.parametrize("name", ["workers", "max_worker", "timeout", ""])
def test_an_unknown_option_raises_and_lists_those_there_are(name: str) -> None:
    with pytest.raises(TypeError, match="delivery_timeout") as caught:
        checked(**{name: 1})
    assert repr(name) in str(caught.value)


def test_edges_that_are_allowed() -> None:
    assert checked(linger=0).linger == 0.0
    assert checked(max_block=0).max_block == 0.0
    assert checked(max_block=None).max_block is None
    assert checked(close_timeout=0).close_timeout == 0.0
    assert checked(max_workers=1, max_messages=1, max_bytes=1).max_bytes == 1
    assert checked(delivery_timeout=1e-6).delivery_timeout == 1e-6
    listener = Listener()
    assert checked(hooks=iter([listener])).hooks == (listener,)
    assert checked(hooks=[]).hooks == ()


def test_linger_by_service_keeps_the_others() -> None:
    options = checked(linger={"sns": 1})
    assert options.delivery("sns").linger == 1.0
    assert options.delivery("kinesis").linger == 0.05
    assert checked(linger=0.5).delivery("kinesis").linger == 0.5


def test_what_the_caller_does_to_a_mapping_later_changes_nothing() -> None:
    linger = {"sns": 1.0}
    options = checked(linger=linger)
    linger["sns"] = -1
    assert options.delivery("sns").linger == 1.0


def test_a_view_changes_its_own_delivery_alone() -> None:
    options = checked(delivery_timeout=9)
    view = options.delivery("sns", linger=0.2, delivery_timeout=2)
    assert (view.linger, view.timeout) == (0.2, 2.0)
    assert options.delivery("sns").timeout == 9.0
    assert isinstance(view, Delivery)
    with pytest.raises(ValueError, match="delivery_timeout"):
        options.delivery("sns", delivery_timeout=-1)


def test_options_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Options().max_workers = 3  # type: ignore[misc]


def test_a_linger_ends_well_before_the_deadline() -> None:
    options = check_options(Options(), {"linger": 60})
    assert options.delivery("kinesis", delivery_timeout=2).linger == 1
    assert options.delivery("kinesis").linger == 60


def test_functions_that_were_made_alike_mean_the_same() -> None:
    def make(number: int) -> Any:
        return lambda: number

    def endless() -> Any:
        def call() -> Any:
            return later

        if False:
            later = 1
        return call

    assert same(make(1), make(1))
    assert not same(make(1), make(2))
    assert not same(make(1), lambda: 1)
    assert same(endless(), endless())  # and does not raise
