"""Signatures as botocore makes them, verified; and every way in which one can be wrong."""

import hashlib
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from sidecar.aws.json import AwsError
from sidecar.aws.sigv4 import SignedRequest, verify_signature

SECRETS = {"KEY": "secret/+with=signs", "OTHER": "another"}
SERVICE = "kendra-ranking"


def sign(
    method: str = "POST",
    target: str = "/",
    body: bytes = b'{"a": 1}',
    fields: dict[str, str] | None = None,
    secret: str = SECRETS["KEY"],
    service: str = SERVICE,
    token: str | None = None,
) -> SignedRequest:
    """A request signed now, by the library that boto3 and the AWS CLI sign with."""
    request = AWSRequest(method, f"http://host:8123{target}", fields, body)
    SigV4Auth(Credentials("KEY", secret, token), service, "eu-west-1").add_auth(request)
    return SignedRequest(method, target, [("Host", "host:8123"), *request.headers.items()], body)


def now() -> float:
    return datetime.now(UTC).timestamp()


def verify(request: SignedRequest, at: float | None = None, region: str | None = None) -> str:
    return verify_signature(request, SECRETS, SERVICE, region, now() if at is None else at)


def refusal(request: SignedRequest, at: float | None = None, region: str | None = None) -> str:
    with pytest.raises(AwsError) as caught:
        verify(request, at, region)
    for secret in SECRETS.values():
        assert secret not in str(caught.value)
    return f"{caught.value.name} {caught.value.status}"


def change(request: SignedRequest, name: str, value: str | None) -> SignedRequest:
    """The request with another value of one field, or without it."""
    fields = [(key, text) for key, text in request.fields if key.lower() != name]
    if value is not None:
        fields.append((name, value))
    return SignedRequest(request.method, request.target, fields, request.body)


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"body": b""},
        {"fields": {"X-Amz-Target": "Service.Operation", "Content-Type": "text/x;  a=b"}},
        {"method": "GET", "target": "/rescore-execution-plans?nextToken=a%2Fb%3D&maxResults=5"},
        {"target": "/rescore-execution-plans/abc/rescore/"},
        {"method": "PUT", "target": "/a%20b/c~d/e%2Ff"},
        {"target": "//rescore-execution-plans/abc/rescore/"},
        {"target": "/base/../path/./x"},
        {"token": "session"},
    ],
    ids=str,
)
def test_a_signed_request_is_its_keys(parts: dict[str, Any]) -> None:
    assert verify(sign(**parts)) == "KEY"


def test_a_path_signed_as_it_is_sent_counts_too() -> None:
    # The Java SDK of OpenSearch's plugin does not tidy up the double slash.
    plain = sign(target="/x/")
    path = "//x/"
    raw = AWSRequest("POST", "http://host:8123/", None, plain.body)
    auth = SigV4Auth(Credentials("KEY", SECRETS["KEY"]), SERVICE, "eu-west-1")
    auth._normalize_url_path = lambda _: path
    auth.add_auth(raw)
    signed = SignedRequest("POST", path, [("Host", "host:8123"), *raw.headers.items()], plain.body)
    assert verify(signed) == "KEY"


def test_the_values_of_fields_are_compared_without_their_extra_blanks() -> None:
    signed = sign(fields={"X-Amz-Meta": "a b"})
    assert verify(change(signed, "x-amz-meta", "  a   b ")) == "KEY"


def test_an_unsigned_request_is_told_to_sign() -> None:
    assert refusal(change(sign(), "authorization", None)) == "MissingAuthenticationToken 403"


@pytest.mark.parametrize(
    "authorization",
    [
        *("", "Basic abc", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=KEY"),
        "AWS4-HMAC-SHA256 Credential=KEY, SignedHeaders=host, Signature=" + "0" * 64,
        "AWS4-HMAC-SHA256 Credential=KEY/1/2/3/4, SignedHeaders=host, Signature=" + "0" * 64,
        "AWS4-HMAC-SHA256 Credential=K/20260101/r/s/aws4_request, SignedHeaders=host, Signature=0",
        "AWS4-HMAC-SHA256 Credential=K/20260101/r/s/aws4_request, SignedHeaders=x-amz-date, "
        "Signature=" + "0" * 64,
    ],
)
def test_half_a_signature_is_incomplete(authorization: str) -> None:
    assert refusal(change(sign(), "authorization", authorization)) == "IncompleteSignature 400"


def test_two_authorizations_are_none() -> None:
    signed = sign()
    again = [(key, value) for key, value in signed.fields if key == "Authorization"]
    twice = SignedRequest("POST", "/", [*signed.fields, *again], signed.body)
    assert refusal(twice) == "IncompleteSignature 400"


def test_the_target_must_be_signed_for_it_chooses_the_operation() -> None:
    assert refusal(change(sign(), "x-amz-target", "Service.Delete")) == "IncompleteSignature 400"


@pytest.mark.parametrize("date", [None, "", "yesterday", "2026-01-01T00:00:00Z"])
def test_the_date_is_needed(date: str | None) -> None:
    assert refusal(change(sign(), "x-amz-date", date)) == "IncompleteSignature 400"


def test_an_unknown_key_is_refused() -> None:
    signed = sign()
    authorization = (signed.field("authorization") or "").replace("KEY/", "NOBODY/")
    changed = change(signed, "authorization", authorization)
    assert refusal(changed) == "InvalidClientTokenId 403"


def test_a_wrong_secret_is_refused() -> None:
    assert refusal(sign(secret="wrong")) == "InvalidSignatureException 403"


def test_another_keys_secret_is_refused() -> None:
    assert refusal(sign(secret=SECRETS["OTHER"])) == "InvalidSignatureException 403"


@pytest.mark.parametrize("minutes", [-14, 14])
def test_a_clock_may_be_a_little_off(minutes: int) -> None:
    assert verify(sign(), now() + 60 * minutes) == "KEY"


@pytest.mark.parametrize("minutes", [-16, 16])
def test_a_clock_that_is_further_off_is_refused(minutes: int) -> None:
    assert refusal(sign(), now() + 60 * minutes) == "RequestExpired 400"


def test_scope_and_date_must_agree() -> None:
    stale = change(sign(), "x-amz-date", "20200101T000000Z")
    assert refusal(stale) == "InvalidSignatureException 403"


def test_another_services_signature_is_refused() -> None:
    assert refusal(sign(service="kendra")) == "InvalidSignatureException 403"


def test_the_region_counts_only_where_one_is_configured() -> None:
    assert verify(sign(), region="eu-west-1") == "KEY"
    assert refusal(sign(), region="us-east-1") == "InvalidSignatureException 403"


@pytest.mark.parametrize("field", ["host", "content-type", "x-amz-target", "x-amz-security-token"])
def test_a_changed_field_is_found_out(field: str) -> None:
    signed = sign(fields={"Content-Type": "a", "X-Amz-Target": "S.A"}, token="t")
    assert verify(signed) == "KEY"
    assert refusal(change(signed, field, "other")) == "InvalidSignatureException 403"


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("GET", "/a?b=1", b"x"),
        ("POST", "/c?b=1", b"x"),
        ("POST", "/a?b=2", b"x"),
        ("POST", "/a?b=1", b"y"),
    ],
)
def test_a_changed_request_is_found_out(method: str, target: str, body: bytes) -> None:
    signed = sign(target="/a?b=1", body=b"x")
    assert verify(signed) == "KEY"
    changed = SignedRequest(method, target, signed.fields, body)
    assert refusal(changed) == "InvalidSignatureException 403"


def test_a_declared_digest_does_not_stand_in_for_the_bodys_own() -> None:
    digest = hashlib.sha256(b"x").hexdigest()
    signed = sign(body=b"x", fields={"X-Amz-Content-SHA256": digest})
    assert verify(signed) == "KEY"
    tampered = SignedRequest(signed.method, signed.target, signed.fields, b"y")
    assert refusal(tampered) == "InvalidSignatureException 403"
