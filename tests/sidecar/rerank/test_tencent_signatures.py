"""Signatures made by hand as Tencent Cloud documents them; the SDKs' own are in another file."""

import hashlib
import hmac
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from sidecar.config.rerank import TencentKey
from sidecar.rerank.refusals import Refusal
from sidecar.rerank.tencent import TencentError
from sidecar.rerank.tencent_signatures import SignatureInput, verify_old, verify_tc3

NOW = 1_732_000_000
KEYS = {
    "shop": TencentKey(id="AKID1", secret="s1"),
    "temporary": TencentKey(id="AKID2", secret="s2", token="t2"),
}
BODY = '{"Query":"naïve","Docs":["赤い"]}'.encode()


def signed(
    *,
    secret_id: str = "AKID1",
    secret: str = "s1",
    names: str = "content-type;host;x-tc-action",
    timestamp: int = NOW,
    date: str | None = None,
    service: str = "lkeap",
    body: bytes = BODY,
    **headers: str,
) -> SignatureInput:
    """A request signed as the Go and Java SDKs do, with the action among the signed headers."""
    fields = {
        "content-type": "application/json; charset=utf-8",
        "host": "127.0.0.1:9280",
        "x-tc-action": "RunRerank",
        "x-tc-timestamp": str(timestamp),
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    day = date or datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d")
    payload = b"UNSIGNED-PAYLOAD" if "x-tc-content-sha256" in fields else body
    lines = "".join(f"{name}:{fields.get(name, '').lower()}\n" for name in names.split(";"))
    canonical = f"POST\n/\n\n{lines}\n{names}\n{hashlib.sha256(payload).hexdigest()}"
    scope = f"{day}/{service}/tc3_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"TC3{secret}".encode()
    for step in scope.split("/"):
        key = hmac.new(key, step.encode(), hashlib.sha256).digest()
    text = f"TC3-HMAC-SHA256\n{timestamp}\n{scope}\n{digest}"
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    fields["authorization"] = (
        f"TC3-HMAC-SHA256 Credential={secret_id}/{scope}, SignedHeaders={names}, "
        f"Signature={signature}"
    )
    return SignatureInput("POST", "", fields, body)


def refused(request: SignatureInput, now: float = NOW) -> str:
    with pytest.raises((TencentError, Refusal)) as caught:
        verify_tc3(request, KEYS, now)
    error: Any = caught.value
    return error.code if isinstance(error, TencentError) else error.cause


def changed(request: SignatureInput, **headers: str) -> SignatureInput:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return replace(request, headers={**request.headers, **fields})


def test_a_good_signature_names_its_key() -> None:
    assert verify_tc3(signed(), KEYS, NOW) == "shop"
    assert verify_tc3(signed(names="content-type;host"), KEYS, NOW) == "shop"
    assert verify_tc3(signed(), KEYS, NOW + 300) == "shop"
    assert verify_tc3(signed(), KEYS, NOW - 300) == "shop"


def test_a_payload_that_is_not_signed() -> None:
    request = signed(x_tc_content_sha256="UNSIGNED-PAYLOAD")
    assert verify_tc3(replace(request, body=b"another"), KEYS, NOW) == "shop"
    claimed = changed(signed(), x_tc_content_sha256="UNSIGNED-PAYLOAD")
    assert refused(claimed) == "AuthFailure.SignatureFailure"


@pytest.mark.parametrize(
    "request_",
    [
        signed(secret="other"),
        replace(signed(), body=b"{}"),
        replace(signed(), query="a=b"),
        replace(signed(), method="GET"),
        changed(signed(), host="example.com"),
        changed(signed(), x_tc_action="GetEmbedding"),
        changed(signed(), x_tc_timestamp=str(NOW + 1)),
        signed(date="2020-01-01"),
    ],
)
def test_whatever_is_signed_must_be_as_it_was(request_: SignatureInput) -> None:
    assert refused(request_) == "AuthFailure.SignatureFailure"


def test_times() -> None:
    assert refused(signed(), NOW + 301) == "AuthFailure.SignatureExpire"
    assert refused(signed(), NOW - 301) == "AuthFailure.SignatureExpire"
    assert refused(changed(signed(), x_tc_timestamp="")) == "missing"
    for text in ("soon", "-1", "١٧", "9" * 13, "1e9"):
        assert refused(changed(signed(), x_tc_timestamp=text)) == "malformed"


def test_who_is_not_known() -> None:
    assert refused(signed(secret_id="AKID9")) == "AuthFailure.SecretIdNotFound"
    assert refused(signed(secret_id="")) == "AuthFailure.SecretIdNotFound"


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "SKIP",
        "Bearer k",
        "TC3-HMAC-SHA256",
        "TC3-HMAC-SHA256 Credential=AKID1",
        "TC3-HMAC-SHA256 Credential=AKID1/2024-11-19/cvm/tc3_request, "
        "SignedHeaders=content-type;host, Signature=0",
        "TC3-HMAC-SHA256 Credential=AKID1/2024-11-19/lkeap/tc3_request, "
        "SignedHeaders=host, Signature=0",
        "TC3-HMAC-SHA256 Credential=AKID1/2024-11-19/lkeap/tc3_request, "
        "SignedHeaders=content-type;host;x-other, Signature=0",
    ],
)
def test_an_authorization_that_cannot_be_read(authorization: str) -> None:
    request = changed(signed(), authorization=authorization)
    assert refused(request) == "AuthFailure.InvalidAuthorization"


def test_temporary_credentials_need_their_token() -> None:
    request = signed(secret_id="AKID2", secret="s2")
    assert verify_tc3(changed(request, x_tc_token="t2"), KEYS, NOW) == "temporary"
    assert refused(changed(request, x_tc_token="t3")) == "AuthFailure.TokenFailure"
    assert refused(request) == "AuthFailure.TokenFailure"


def test_an_old_signature_of_an_unknown_method() -> None:
    parameters = {"SecretId": "AKID1", "Timestamp": str(NOW), "SignatureMethod": "MD5"}
    with pytest.raises(TencentError) as caught:
        verify_old(SignatureInput("GET", "", {}, b""), parameters, KEYS, NOW)
    assert caught.value.code == "AuthFailure.SignatureFailure"
