"""Verifies Tencent Cloud's request signatures: TC3-HMAC-SHA256, HmacSHA256 and HmacSHA1.

Source: Tencent Cloud's "Signature v3" and "Signature" (v1) documents. TC3 is verified over
the headers that the client signed, because SDKs sign different ones.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sidecar.config.rerank import TencentKey
from sidecar.rerank.refusals import Refusal
from sidecar.rerank.tencent import TencentError

_SERVICE = "lkeap"
_ALGORITHM = "TC3-HMAC-SHA256"
_UNSIGNED = "UNSIGNED-PAYLOAD"
_SKEW_SECONDS = 300
_MUST_BE_SIGNED = frozenset(("content-type", "host"))


@dataclass(frozen=True, slots=True)
class SignatureInput:
    """What a signature covers. Header names are in lower case; `query` is not decoded."""

    method: str
    query: str
    headers: Mapping[str, str]
    body: bytes


def verify_tc3(request: SignatureInput, keys: Mapping[str, TencentKey], now: float) -> str:
    """Verify a TC3 signature at `now` (seconds since 1970); returns the key's name.

    Raises Refusal `missing` or `malformed` for the timestamp, else TencentError `AuthFailure.*`.
    """
    headers = request.headers
    scheme, _, rest = headers.get("authorization", "").strip().partition(" ")
    if scheme != _ALGORITHM:
        raise _invalid(f"The Authorization header must begin with {_ALGORITHM}.")
    parts = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    scope = parts.get("Credential", "").split("/")
    names = parts.get("SignedHeaders", "").split(";")
    host = headers.get("host", "")
    # The SDK for Node.js takes the service from the first part of the address.
    services = (_SERVICE, host.split(".")[0])
    if len(scope) != 4 or scope[2] not in services or scope[3] != "tc3_request":
        raise _invalid(f"Credential must be SecretId/date/{_SERVICE}/tc3_request.")
    if not _MUST_BE_SIGNED.issubset(names) or not all(name in headers for name in names):
        raise _invalid("SignedHeaders must name content-type and host, and headers that were sent.")
    # This also keeps the signed text shorter than the request.
    if len(set(names)) < len(names):
        raise _invalid("SignedHeaders must have each name once.")
    secret_id, date = scope[:2]
    name, key = _find_key(keys, secret_id)
    timestamp = headers.get("x-tc-timestamp", "")
    _check_time(timestamp, "X-TC-Timestamp", now)
    if date != datetime.fromtimestamp(int(timestamp), UTC).strftime("%Y-%m-%d"):
        raise _failure("The date in Credential is not that of X-TC-Timestamp.")

    unsigned = headers.get("x-tc-content-sha256") == _UNSIGNED
    payload = _UNSIGNED.encode() if unsigned else request.body
    secret = ("TC3" + key.secret).encode()
    for step in scope[1:]:
        secret = hmac.digest(secret, step.encode("utf-8", "replace"), "sha256")

    def sign(signed_host: str) -> str:
        signed = {**headers, "host": signed_host}
        fields = "".join(f"{field}:{signed[field].strip().lower()}\n" for field in names)
        canonical = "\n".join(
            (request.method, "/", request.query, fields, ";".join(names), _sha256(payload))
        )
        digest = _sha256(canonical.encode("utf-8", "replace"))
        to_sign = "\n".join((_ALGORITHM, timestamp, "/".join(scope[1:]), digest))
        return hmac.digest(secret, to_sign.encode("utf-8", "replace"), "sha256").hex()

    # The SDK for Node.js signs the host without its port.
    _compare((sign(host), sign(host.partition(":")[0])), parts.get("Signature", ""))
    _check_token(key, headers.get("x-tc-token"))
    return name


def verify_old(
    request: SignatureInput,
    parameters: Mapping[str, str],
    keys: Mapping[str, TencentKey],
    now: float,
) -> str:
    """Verify a signature that is a parameter; returns the key's name.

    Raises the same errors as `verify_tc3`.
    """
    name, key = _find_key(keys, parameters.get("SecretId", ""))
    _check_time(parameters.get("Timestamp", ""), "Timestamp", now)
    digests = {"HmacSHA1": "sha1", "HmacSHA256": "sha256"}
    digest = digests.get(parameters.get("SignatureMethod", "HmacSHA1"))
    if digest is None:
        raise _failure("SignatureMethod must be HmacSHA1 or HmacSHA256.")
    pairs = "&".join(
        f"{field.replace('_', '.')}={parameters[field]}"
        for field in sorted(parameters)
        if field != "Signature"
    )
    to_sign = f"{request.method}{request.headers.get('host', '')}/?{pairs}"
    computed = hmac.digest(key.secret.encode(), to_sign.encode("utf-8", "replace"), digest)
    _compare((b64encode(computed).decode(),), parameters.get("Signature", ""))
    _check_token(key, parameters.get("Token"))
    return name


def _find_key(keys: Mapping[str, TencentKey], secret_id: str) -> tuple[str, TencentKey]:
    for name, key in keys.items():
        if key.id == secret_id:
            return name, key
    raise TencentError("AuthFailure.SecretIdNotFound", "The SecretId is not found.")


def _check_time(timestamp: str, name: str, now: float) -> None:
    if not timestamp:
        raise Refusal("missing", f"The required parameter {name} is missing.")
    # Twelve digits are enough for any date, and clock functions accept them.
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise Refusal("malformed", f"{name} must be in seconds since 1970.")
    if abs(now - int(timestamp)) > _SKEW_SECONDS:
        raise TencentError(
            "AuthFailure.SignatureExpire",
            f"{name} is more than {_SKEW_SECONDS} seconds from the server's time.",
        )


def _check_token(key: TencentKey, token: str | None) -> None:
    if key.token is not None and not hmac.compare_digest(
        key.token.encode(), (token or "").encode("utf-8", "replace")
    ):
        raise TencentError("AuthFailure.TokenFailure", "The token is not valid.")


def _compare(expected: Sequence[str], signature: str) -> None:
    sent = signature.encode("utf-8", "replace")
    if not any(hmac.compare_digest(one.encode(), sent) for one in expected):
        raise _failure("The signature does not match the request and the SecretKey.")


def _invalid(message: str) -> TencentError:
    return TencentError("AuthFailure.InvalidAuthorization", message)


def _failure(message: str) -> TencentError:
    return TencentError("AuthFailure.SignatureFailure", message)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
