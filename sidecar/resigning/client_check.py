"""Verifies who sent a request, before anything of it counts.

The signature covers the method, the target, the body, and the fields that it names. Somebody on the
way could have changed every other field. So of those only the ones count that describe the message
and its transport.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import Final

from sidecar.aws.json import AwsError
from sidecar.aws.sigv4 import SignedRequest, read_claim, tidy_target, verify_signature
from sidecar.config.resigning import Resign
from sidecar.relay.field_lines import FRAMING, HOP_BY_HOP, OUR_STARTS
from sidecar.relay.front import Request
from sidecar.relay.heads import Fields
from sidecar.resigning.credentials import ClientSecret
from sidecar.resigning.signer import CALLER, SIGNATURE_FIELDS, read_text, replace_head

_LOOPBACK: Final = b"loopback"

_ABOUT_THE_MESSAGE: Final = FRAMING | {
    *(b"accept", b"accept-charset", b"accept-encoding", b"content-type", b"content-encoding"),
    *(b"expect", b"user-agent", b"x-opaque-id", b"x-request-id", b"traceparent", b"tracestate"),
}
"""Fields that count although they are not signed. Most signing clients do not sign them."""


def verify_client(
    request: Request, resign: Resign, secrets: Mapping[str, ClientSecret], now: float
) -> Request:
    """The request as its sender meant it: without a signature, and with the sender's name (CALLER).

    Only signed fields are left, and those about the message. `now` is in epoch seconds. Raises
    AwsError.
    """
    head = request.head
    if not head.target.startswith(b"/"):
        raise AwsError("InvalidSignatureException", "The request's target must be a path.", 403)
    target = read_text(head.target)
    if resign.clients.accept == "loopback":
        if head.get(b"origin") is not None:
            # A page of any site, in a browser on this machine, may send requests to loopback.
            raise AwsError("AccessDeniedException", "Requests of browsers are not accepted.", 403)
        return _without_signature(request, target, _LOOPBACK, None)
    signed_request = SignedRequest(
        read_text(head.method),
        target,
        [(read_text(name), read_text(line.partition(b":")[2])) for name, line in head.fields],
        request.body,
    )
    keys = {name: secret.secret for name, secret in secrets.items()}
    access_key = verify_signature(
        signed_request, keys, resign.service, resign.region, now, exact=True
    )
    signed = frozenset(read_claim(signed_request).signed_fields.encode().split(b";"))
    _check_token(signed_request, signed, secrets[access_key].token)
    _check_digest(signed_request, signed)
    return _without_signature(request, target, access_key.encode(), signed)


def _check_token(request: SignedRequest, signed: frozenset[bytes], expected: str | None) -> None:
    token = request.field("x-amz-security-token") or ""
    same = hmac.compare_digest(token.encode("utf-8", "surrogateescape"), (expected or "").encode())
    if not same or (token and b"x-amz-security-token" not in signed):
        raise AwsError(
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
            403,
        )


def _check_digest(request: SignedRequest, signed: frozenset[bytes]) -> None:
    stated = request.field("x-amz-content-sha256")
    if stated is None:
        return
    digest = hashlib.sha256(request.body).hexdigest()
    if b"x-amz-content-sha256" not in signed or not hmac.compare_digest(
        stated.encode("utf-8", "surrogateescape"), digest.encode()
    ):
        raise AwsError(
            "InvalidSignatureException",
            "X-Amz-Content-Sha256 must be signed, and be the SHA-256 of the body.",
            403,
        )


def _without_signature(
    request: Request, target: str, caller: bytes, signed: frozenset[bytes] | None
) -> Request:
    head = request.head
    dropped = HOP_BY_HOP | head.connection_names | SIGNATURE_FIELDS - {b"host"}
    fields: Fields = tuple(
        (name, line)
        for name, line in head.fields
        if name not in dropped
        and name != CALLER
        and not name.startswith(OUR_STARTS[:1])
        and (signed is None or name in signed or name in _ABOUT_THE_MESSAGE)
    )
    length = len(request.body)
    framing = tuple(field for field in fields if field[0] in FRAMING)
    if framing:
        content_length = (b"content-length", b"Content-Length: %d" % length)
        fields = (*(field for field in fields if field not in framing), content_length)
    fields = (*fields, (CALLER, CALLER + b": " + caller))
    return Request(replace_head(head, tidy_target(target), fields, length), request.body)


def current_time() -> float:
    """Epoch seconds."""
    return time.time()
