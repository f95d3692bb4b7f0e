"""What strangers wrote, shown: no forged line, no secret of an address or a credentials error."""

from __future__ import annotations

import json
import pickle
import socket
import sys
import time
import unicodedata
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import exceptions as boto
from hypothesis import given
from hypothesis import strategies as st

from publisher._aws.secrets import told, without_secrets
from publisher._counting import counted
from publisher._text import escaped, masked, masked_address, printable
from tests.support import client_of, publish, publishing, tries

pytestmark = pytest.mark.every_python(
    "the exceptions that are shown are botocore's, and differ by version"
)

SECRET = "hunter2"


@given(st.text())
def test_escaped_text_has_no_control_or_direction_characters(text: str) -> None:
    shown = escaped(text)
    assert not [each for each in shown if unicodedata.category(each) in ("Cc", "Cs", "Zl", "Zp")]
    assert not [
        each
        for each in shown
        if unicodedata.bidirectional(each)
        in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    ]
    assert len(shown.splitlines()) <= 1


@given(st.text())
def test_printable_text_is_escaped_and_has_an_end(text: str) -> None:
    shown = printable(text)
    assert shown == escaped(shown)
    assert len(shown) <= 503


def test_printable_text_is_otherwise_left_alone() -> None:
    assert printable("größe 🎈") == "größe 🎈"
    assert printable("a\nb\x1b[2J\u202e") == r"a\nb\x1b[2J\u202e"
    assert printable("x" * 1000) == "x" * 500 + "..."
    assert printable("why?because: 3 @ 4") == "why?because: 3 ***@ 4"


ADDRESSES = [
    (f"http://user:{SECRET}@host:1/path", "http://***@host:1/path"),
    (f"http//user:{SECRET}@host", "http//***@host"),
    (f"http:/user:{SECRET}@host", "***@host"),
    (f"user:{SECRET}@host:8080", "***@host:8080"),
    (f"http://user:p/{SECRET}@@host/", "http://***@host/"),
    (f"https://host/path?X-Amz-Signature={SECRET}", "https://host/path?***"),
    (f"localhost:4566?token={SECRET}", "localhost:4566?***"),
    ("http://host:1/path", "http://host:1/path"),
    ("arn:aws:sns:us-east-1:000000000000:orders", "arn:aws:sns:us-east-1:000000000000:orders"),
]


@pytest.mark.parametrize(("address", "shown"), ADDRESSES)
def test_user_info_and_query_of_addresses_are_hidden(address: str, shown: str) -> None:
    assert masked_address(address) == shown
    assert masked(address) == shown
    quoted = masked(f'Could not connect to "{address}", said ({address})')
    assert SECRET not in quoted
    assert "host" in quoted or "orders" in quoted


def test_an_address_with_blanks_in_it_is_hidden_where_it_is_known_to_be_one() -> None:
    assert masked_address(f"http://us er:{SECRET} x@host/") == "http://***@host/"


def test_a_secret_is_hidden_before_the_text_is_cut() -> None:
    text = "x" * 480 + f" http://user:{SECRET}" + "y" * 400 + "@host"
    assert SECRET[:3] not in printable(text)


@pytest.mark.parametrize("character", list("@/?:\"'( "))
def test_masking_takes_linear_time(character: str) -> None:
    for text in (character * 1_000_000, (character + "a") * 500_000, f"a/{character}?" * 250_000):
        assert len(printable(text)) <= 503  # a quadratic one would not be back for hours


HOSTILE = {
    "slashes": "/" * 3998 + '?"',
    "slashes and marks": ("/" * 39 + '?"') * 97,
    "marks": "/?" * 1999 + '"',
    "closed marks": '/?"' * 1333,
    "pairs of slashes": "//" * 1999 + "@",
    "quotes": "'" * 3998 + "@",
    "signs": "//@" * 1333,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_masking_a_hostile_text_takes_next_to_no_time(name: str) -> None:
    begun = time.process_time()
    printable(HOSTILE[name])
    assert time.process_time() - begun < 0.05


QUOTING = [
    boto.CredentialRetrievalError(provider="custom-process", error_msg=f"bad key {SECRET}"),
    boto.MetadataRetrievalError(error_msg=f'{{"SecretAccessKey": "{SECRET}"}}'),
    boto.TokenRetrievalError(provider="sso", error_msg=SECRET),
    boto.EndpointConnectionError(endpoint_url=f"http://u:{SECRET}@host/"),
    ValueError(f"Invalid endpoint: http//u:{SECRET}@host"),
    boto.HTTPClientError(error=ValueError(f"Failed to parse: http://u:{SECRET}@host")),
    boto.SSLError(endpoint_url="https://host", error=OSError(f"https://host/?q={SECRET}")),
    json.JSONDecodeError("Expecting value", f'{{"SecretAccessKey": "{SECRET}"', 0),
    UnicodeDecodeError("utf-8", b"\xff" + SECRET.encode(), 0, 1, "invalid start byte"),
]


@pytest.mark.parametrize("error", QUOTING, ids=lambda error: type(error).__name__)
def test_an_exception_that_quotes_a_secret_loses_it(error: Exception) -> None:
    assert SECRET not in told(error)
    mended = without_secrets(error)
    assert mended is error
    for shown in (
        str(mended),
        repr(mended),
        repr(vars(mended)),
        repr(vars(pickle.loads(pickle.dumps(mended)))),
        str(pickle.loads(pickle.dumps(mended))),
    ):
        assert SECRET not in shown


def _shown(future: Any, events: list[Any]) -> str:
    error = future.exception(20)
    texts = [str(error), repr(error), repr(vars(error)), repr(future.attempts), repr(future)]
    for attempt in future.attempts:
        met = attempt.failure.error
        texts += [str(met), repr(met), repr(vars(met)), str(pickle.loads(pickle.dumps(met)))]
    for event in events:
        texts += [repr(event), str(event.exception), repr(event.attempts)]
    return "\n".join(texts)


class Recording:
    def __init__(self) -> None:
        self.events: list[Any] = []

    def on_failed(self, event: Any) -> None:
        self.events.append(event)

    on_dropped = on_failed


@pytest.mark.parametrize("service", ["sns", "kinesis"])
def test_user_info_of_an_endpoint_is_in_no_exception_event_or_attempt(
    service: str, caplog: pytest.LogCaptureFixture
) -> None:
    hook = Recording()
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        url = f"http://user:{SECRET}@127.0.0.1:{taken.getsockname()[1]}"
        with publishing(retry=tries(2), hooks=[hook]) as made:
            future = publish(client_of(made, service, url), "text")
            future.exception(20)
    shown = _shown(future, hook.events)
    assert "EndpointConnectionError" in shown
    assert hook.events
    assert SECRET not in shown
    assert SECRET not in caplog.text


def test_user_info_of_a_malformed_endpoint_is_in_no_exception_event_or_attempt(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hook = Recording()
    with publishing(delivery_timeout=2, hooks=[hook]) as made:
        try:
            target = client_of(made, "sns", f"http//user:{SECRET}@127.0.0.1")
            shown = _shown(publish(target, "text"), hook.events)
        except ValueError as error:  # boto3's own, where it is refused at once
            shown = f"{error!r} {error.args}"
    assert "Invalid endpoint" in shown
    assert SECRET not in shown
    assert SECRET not in caplog.text


def test_what_a_credential_process_writes_is_in_no_exception_event_or_attempt(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture, endpoint: Any
) -> None:
    program = tmp_path / "vend.py"
    program.write_text(f"import sys\nsys.exit({json.dumps('denied for key ' + SECRET)})\n")
    config = tmp_path / "config"
    config.write_text(f"[default]\ncredential_process = {sys.executable} {program}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    hook = Recording()
    with publishing(delivery_timeout=2, hooks=[hook]) as made:
        target = client_of(made, "sns", endpoint.url, session=boto3.Session())
        future = publish(target, "text")
        future.exception(20)
    shown = _shown(future, hook.events)
    assert "CredentialRetrievalError" in shown
    assert "get-caller-identity" in shown
    assert SECRET not in shown
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    ("count", "noun", "verb", "text"),
    [
        (0, "message", "", "0 messages"),
        (1, "message", "", "1 message"),
        (1_200, "message", "", "1,200 messages"),
        (1, "try", "", "1 try"),
        (2, "try", "", "2 tries"),
        (1, "line", "were", "1 line was"),
        (3, "line", "were", "3 lines were"),
    ],
)
def test_a_count_agrees_with_what_is_counted(count: int, noun: str, verb: str, text: str) -> None:
    assert counted(count, noun, verb) == text
