"""A request that is made on the direct way is botocore's own, header by header, for all inputs.

.ci/run repeats this with the oldest botocore of the supported range.
"""

from __future__ import annotations

import datetime as dt
import os
import uuid
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st

from publisher import _fork
from publisher._aws.direct.request import NotKnownError, Template
from publisher._aws.direct.signing import Keys

pytestmark = pytest.mark.every_python(
    "signatures stand in for botocore's own, whatever its version"
)

STAMP = "%Y%m%dT%H%M%SZ"
visible = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40)
keys = st.builds(
    Keys,
    st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", min_size=16, max_size=20),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60),
    st.one_of(st.none(), visible, st.text("AZaz09+/=", min_size=300, max_size=900)),
)
regions = st.sampled_from(
    [
        "us-east-1",
        "eu-west-1",
        "cn-north-1",
        "us-gov-west-1",
        "us-iso-east-1",
        "us-isob-east-1",
        "ap-southeast-7",
        "local",
    ]
)
hosts = st.sampled_from(
    [
        "sns.us-east-1.amazonaws.com",
        "kinesis.cn-north-1.amazonaws.com.cn",
        "sns-fips.us-gov-west-1.api.aws",
        "vpce-0123456789abcdef0-abcdefgh.sns.us-east-1.vpce.amazonaws.com",
        "127.0.0.1:4566",
        "[::1]:4566",
        "localhost:443",
        "localhost:80",
        "LocalStack.example:8080",
    ]
)
moments = st.integers(946_684_800, 4_102_444_799).map(  # of this century
    lambda seconds: dt.datetime.fromtimestamp(seconds, dt.timezone.utc)
)
values = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=60
).filter(lambda text: text.strip() == text)
others = st.fixed_dictionaries(
    {"Content-Type": values, "User-Agent": values},
    optional={"X-Amz-Target": values, "x-amzn-query-mode": st.just("true")},
)


def botocores(
    url: str, headers: dict[str, str], body: bytes, made: Keys, scope: tuple[str, str], stamp: str
) -> Any:
    """The request as botocore signs and prepares it, at a given time."""
    signer: Any = SigV4Auth(ReadOnlyCredentials(*made), *reversed(scope))
    request: Any = AWSRequest("POST", url, dict(headers), body)
    request.context["timestamp"] = stamp
    signer._modify_request_before_signing(request)
    canonical = signer.canonical_request(request)
    text = signer.string_to_sign(request, canonical)
    signer._inject_signature_to_request(request, signer.signature(text, request))
    # botocore's handlers add these when it is signed.
    request.headers["amz-sdk-invocation-id"] = "7a0e6f2c-0000-4000-8000-000000000000"
    request.headers["amz-sdk-request"] = "attempt=1; max=1"
    return request.prepare()


def shown(headers: Any) -> dict[str, str]:
    return {
        name: value.decode() if isinstance(value, bytes) else value
        for name, value in headers.items()
        if name != "amz-sdk-invocation-id"
    }


@given(
    st.sampled_from(["https", "http"]),
    hosts,
    st.sampled_from(["", "/", "/prefix", "/a/b_c/"]),
    others,
    st.tuples(keys, st.binary(min_size=1, max_size=200), moments),
    st.tuples(keys, st.binary(min_size=1, max_size=200), moments),
    regions,
    st.sampled_from(["sns", "kinesis", "sqs", "firehose", "events"]),
)
def test_a_request_made_here_is_botocores_header_by_header(
    scheme: str,
    host: str,
    path: str,
    headers: dict[str, str],
    first: tuple[Keys, bytes, dt.datetime],
    second: tuple[Keys, bytes, dt.datetime],
    region: str,
    service: str,
) -> None:
    """The first is learnt from; the second has other keys, another body, and is of another day."""
    url = f"{scheme}://{host}{path}"
    template = Template(
        botocores(url, headers, first[1], first[0], (region, service), first[2].strftime(STAMP)),
        first[0],
    )
    others, body, moment = second
    if bool(others.token) is not template.has_token:
        others = others._replace(token=first[0].token)
    made = template.made(others, moment.strftime(STAMP), body)
    wanted = botocores(url, headers, body, others, (region, service), moment.strftime(STAMP))
    assert shown(made.headers) == shown(wanted.headers)
    assert list(made.headers) == list(wanted.headers)
    assert (made.method, made.url) == (wanted.method, wanted.url)


def test_the_day_of_a_signature_changes_at_midnight_utc() -> None:
    made = Keys("AKIDEXAMPLE", "secret", None)
    scope = ("us-east-1", "sns")
    before, after = "20261231T235959Z", "20270101T000000Z"
    template = Template(botocores("https://host", HEADERS, b"1", made, scope, before), made)
    for stamp in (before, after, before):
        wanted = botocores("https://host", HEADERS, b"2", made, scope, stamp)
        assert shown(template.made(made, stamp, b"2").headers) == shown(wanted.headers)


@pytest.mark.parametrize("size", [0, 2047, 2048, 4094, 1 << 15, (1 << 15) + 1, 1 << 17])
def test_a_body_of_any_size_is_signed(size: int) -> None:
    """Small ones are hashed in pieces."""
    made = Keys("AKIDEXAMPLE", "secret", None)
    stamp, scope, body = "20261231T235959Z", ("us-east-1", "sns"), bytes(range(256)) * (size // 256)
    body += b"x" * (size - len(body))
    wanted = botocores("https://host", HEADERS, body, made, scope, stamp)
    assert shown(Template(plain(), made).made(made, stamp, body).headers) == shown(
        {**wanted.headers, "Content-Length": str(size)}
    )


def invocation() -> str:
    keys_ = Keys("AKIDEXAMPLE", "secret", None)
    headers = Template(plain(), keys_).made(keys_, "20261231T235959Z", b"1").headers
    return headers["amz-sdk-invocation-id"]


def test_each_request_has_an_id_of_its_own_in_forked_processes_too() -> None:
    assert {uuid.UUID(invocation()).version for _ in range(2)} == {4}
    read, write = os.pipe()
    pid = os.fork()
    if not pid:  # pragma: no cover - another process
        _fork.take_note()
        os.write(write, invocation().encode())
        os._exit(0)
    os.close(write)
    ours = invocation()
    with os.fdopen(read) as theirs:
        assert len({ours, theirs.read(), invocation()}) == 3
    os.waitpid(pid, 0)


HEADERS = {"Content-Type": "text/plain", "User-Agent": "one"}


def plain(url: str = "https://host/", **changed: str) -> Any:
    made = Keys("AKIDEXAMPLE", "secret", None)
    request = botocores(url, HEADERS, b"1", made, ("us-east-1", "sns"), "20261231T235959Z")
    for name, value in changed.items():
        request.headers[name.replace("_", "-")] = value
    return request


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (plain(X_New="1"), "the header x-new"),
        (plain(Transfer_Encoding="chunked"), "the header transfer-encoding"),
        (plain(Expect="100-continue"), "the header expect"),
        (plain(X_Amzn_Trace_Id="Root=1"), "the header x-amzn-trace-id"),
        (plain(User_Agent="two\r\nHost: other"), "unusual characters"),
        (plain(User_Agent="zwei \u00fc"), "unusual characters"),
        (plain(Content_Type="text/html"), "another than the one made here"),
        (plain(Authorization="Bearer x"), "signed in another way"),
        (plain(amz_sdk_request="attempt=2; max=3"), "amz-sdk-request"),
        (plain("https://host/?a=b"), "more than a host and a path"),
        (plain("https://host/a%20b"), "path is unusual"),
        (plain("https://host//a"), "path is unusual"),
    ],
)
def test_what_is_not_known_is_left_to_botocore(request_: Any, said: str) -> None:
    with pytest.raises(NotKnownError, match=said):
        Template(request_, Keys("AKIDEXAMPLE", "secret", None))


@pytest.mark.parametrize(
    "made", [Keys("AKIDEXAMPLE", "other", None), Keys("AKOTHER", "secret", None)]
)
def test_a_request_that_was_signed_with_other_keys_is_not_learnt_from(made: Keys) -> None:
    with pytest.raises(NotKnownError, match="another than the one made here"):
        Template(plain(), made)


def test_nothing_that_signs_is_shown() -> None:
    made = Keys("AKIDEXAMPLE", "private secret", "private token")
    request = botocores(
        "https://host/", HEADERS, b"private body", made, ("r", "sns"), "20261231T235959Z"
    )
    template = Template(request, made)
    sent = template.made(made, "20261231T235959Z", b"private body")
    for one in (made, template, template._signer, template._signer._day, sent):
        text = f"{one!r} {one!s} {[one]}"
        assert "private" not in text
        assert "AKIDEXAMPLE" not in text
        assert "Signature" not in text
