"""The option ``spool``: plain data, checked once, that never shows a key."""

from __future__ import annotations

import os
import pickle
import warnings
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import boto3
import pytest

import publisher
from publisher import Spool
from publisher._options import Options, check_options

SECRET = b"0123456789abcdef"


def test_the_defaults_are_those_that_are_documented() -> None:
    assert Spool("/spool") == Spool(
        "/spool",
        send="here",
        sync="kernel",
        when="always",
        max_bytes=1024**3,
        max_age=4 * 24 * 60 * 60,
        key=None,
        on_unavailable="memory",
        clients=None,
    )


@pytest.mark.parametrize("directory", ["spool", Path("spool"), "there/../spool"])
def test_the_directory_is_absolute_from_the_start(
    directory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = Spool(directory)
    monkeypatch.chdir("/")
    assert made.path == made.directory == str(tmp_path / "spool")
    assert list(tmp_path.iterdir()) == []  # it is looked at where it is used


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    assert Spool(tmp_path / "link").path == str(tmp_path / "link")


class Bytes(os.PathLike[bytes]):
    def __fspath__(self) -> bytes:
        return b"/spool"


@pytest.mark.parametrize(
    ("name", "value", "error", "rule"),
    [
        ("directory", None, TypeError, "directory must be a str or os.PathLike"),
        ("directory", b"/spool", TypeError, "not bytes"),
        ("directory", Bytes(), TypeError, "not Bytes"),
        ("directory", 3, TypeError, "not int"),
        ("directory", "", ValueError, "not ''"),
        ("directory", "a\0b", ValueError, "directory must be"),
        ("send", "there", ValueError, "send must be one of 'here', 'relay', not 'there'"),
        ("send", None, ValueError, "send must be one of"),
        ("sync", "fsync", ValueError, "sync must be one of 'kernel', 'disk', not 'fsync'"),
        ("when", "full", ValueError, "when must be one of 'always', 'overflow', not 'full'"),
        ("on_unavailable", "drop", ValueError, "must be one of 'memory', 'raise', not 'drop'"),
        ("max_bytes", 0, ValueError, "max_bytes must be an integer of at least 1, not 0"),
        ("max_bytes", 1e9, TypeError, "max_bytes must be an integer of at least 1, not float"),
        ("max_age", 0, ValueError, "max_age must be a number of seconds above 0, not 0"),
        ("max_age", None, TypeError, "max_age must be a number of seconds above 0, not NoneType"),
        ("max_age", float("inf"), ValueError, "max_age must be a number of seconds above 0"),
        ("key", "0123456789abcdef", TypeError, "key must be 16, 24 or 32 bytes"),
        ("key", 16, TypeError, "not int"),
        ("key", SECRET + b"x", ValueError, "not 17 bytes"),
        ("key", [], ValueError, "not an empty sequence"),
        ("key", [SECRET, "0123456789abcdef"], TypeError, "not a sequence with str"),
        ("key", [SECRET, b"short"], ValueError, "not 5 bytes"),
        ("clients", "sns:eu-west-1", TypeError, 'clients must be a mapping of "service:region"'),
        ("clients", {"sns": {}}, ValueError, "it has the key 'sns'"),
        ("clients", {3: {}}, ValueError, "it has the key 3"),
        ("clients", {"sqz:eu-west-1": {}}, ValueError, "unknown service 'sqz'"),
        ("clients", {"sns:eu-west-1": None}, TypeError, "clients['sns:eu-west-1'] must be"),
        ("clients", {"sns:a": {"endpoint": "x"}}, TypeError, "unknown argument 'endpoint'"),
        ("clients", {"sns:a": {"region_name": "a"}}, ValueError, "leave region_name out"),
        ("clients", {"sns:a": {"session": 3}}, TypeError, "session= must be a boto3.Session"),
    ],
)
def test_an_impossible_value_raises_and_states_the_rule(
    name: str, value: Any, error: type[Exception], rule: str
) -> None:
    arguments: dict[str, Any] = {"directory": "/spool", name: value}
    with pytest.raises(error) as caught:
        Spool(**arguments)
    assert rule in str(caught.value)
    assert "0123456789abcdef" not in str(caught.value)


def test_one_key_or_several() -> None:
    other = b"f" * 32
    assert Spool("/spool").keys == ()
    assert Spool("/spool", key=SECRET).keys == (SECRET,)
    assert Spool("/spool", key=[other, SECRET]).keys == (other, SECRET)
    assert Spool("/spool", key=SECRET) == Spool("/spool", key=[SECRET])


def test_no_key_and_no_credential_is_shown() -> None:
    made = Spool(
        "/spool", key=SECRET, clients={"sns:eu-west-1": {"aws_secret_access_key": "hidden"}}
    )
    for shown in (repr(made), str(made), repr(check_options(Options(), {"spool": made}))):
        assert "0123456789abcdef" not in shown
        assert "hidden" not in shown
        assert "/spool" in shown


def test_a_client_may_have_a_session_or_a_client_of_the_callers() -> None:
    session = boto3.Session(region_name="eu-west-1")
    sns = session.client("sns")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what client() warns of is warned of there
        made = Spool(
            "/spool",
            clients={"sns:eu-west-1": {"client": sns}, "kinesis:eu-west-1": {"session": session}},
        )
    assert made.clients == {
        "sns:eu-west-1": {"client": sns},
        "kinesis:eu-west-1": {"session": session},
    }
    with pytest.raises(ValueError, match="client of 'sns', not of 'kinesis'"):
        Spool("/spool", clients={"kinesis:eu-west-1": {"client": sns}})


def test_it_is_plain_data() -> None:
    clients: dict[str, Any] = {"sns:eu-west-1": {"endpoint_url": "http://127.0.0.1:1"}}
    made = Spool("/spool", send="relay", when="overflow", key=SECRET, clients=clients)
    clients.clear()
    assert made.clients == {"sns:eu-west-1": {"endpoint_url": "http://127.0.0.1:1"}}
    assert pickle.loads(pickle.dumps(made)) == made
    assert made != Spool("/spool", send="relay", when="overflow", key=SECRET)
    with pytest.raises(FrozenInstanceError):
        made.send = "here"  # type: ignore[misc]
    with pytest.raises(TypeError):
        Spool("/spool", "relay")  # type: ignore[misc]


def test_the_option_takes_it_as_it_is() -> None:
    made = Spool("/spool")
    assert check_options(Options(), {"spool": made}).spool is made
    assert check_options(Options(spool=made), {"spool": None}).spool is None
    with pytest.raises(TypeError, match=r"spool must be a publisher.Spool\(directory\) or None"):
        publisher.Publisher(spool="/spool")  # type: ignore[arg-type]
