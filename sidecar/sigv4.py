"""AWS Signature Version 4, verified: who signed a request, and whether it arrived unchanged.

Source: "Authenticating Requests: AWS Signature Version 4" of the AWS General Reference. A service
that only verifies needs the request as it came: its target, its fields and its body's bytes.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from posixpath import normpath
from urllib.parse import quote, unquote

from sidecar.aws_json import AwsError

ALGORITHM = "AWS4-HMAC-SHA256"
SKEW_SECONDS = 15 * 60

_AUTHORIZATION = re.compile(
    rf"{ALGORITHM}\s+Credential=(?P<credential>[^\s,]+)\s*,\s*"
    r"SignedHeaders=(?P<headers>[^\s,]+)\s*,\s*Signature=(?P<signature>[0-9a-f]{64})\s*"
)


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request as it came. `target`: path and query, not decoded; `fields`: all, in order."""

    method: str
    target: str
    fields: Sequence[tuple[str, str]]
    body: bytes

    def field(self, name: str) -> str | None:
        """The value of a field by its lower-case name: trimmed, and several joined, as signed."""
        values = [" ".join(value.split()) for key, value in self.fields if key.lower() == name]
        return ",".join(values) if values else None


@dataclass(frozen=True, slots=True)
class _Claim:
    """What an Authorization field says."""

    access_key: str
    date: str
    region: str
    service: str
    signed_fields: str
    signature: str

    @property
    def scope(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


def verify_signature(
    request: SignedRequest,
    secrets: Mapping[str, str],
    service: str,
    region: str | None,
    now: float,
) -> str:
    """Return the access key that signed the request; `secrets` has each key's secret.

    `service` and, unless it is None, `region` must be those of the signature's scope; `now` is
    in epoch seconds. Raises AwsError with the name that AWS services use for each refusal.
    """
    claim = _read_claim(request)
    secret = secrets.get(claim.access_key)
    if secret is None:
        raise AwsError(
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
            403,
            403,
        )
    if claim.service != service:
        raise _invalid(f"Credential should be scoped to correct service: '{service}'.")
    if region is not None and claim.region != region:
        raise _invalid(f"Credential should be scoped to a valid region, '{region}'.")
    moment = _read_moment(request)
    if moment.strftime("%Y%m%d") != claim.date:
        raise _invalid("Date in Credential scope does not match the date of the request.")
    if abs(moment.timestamp() - now) > SKEW_SECONDS:
        raise AwsError(
            "RequestExpired",
            f"The request was signed at {moment:%Y%m%dT%H%M%SZ}, more than 15 minutes from the "
            "time here; set the client's clock.",
        )
    key = _signing_key(secret, claim)
    if not any(
        hmac.compare_digest(_sign(key, canonical, moment, claim), claim.signature)
        for canonical in _canonical_requests(request, claim.signed_fields)
    ):
        raise _invalid(
            "The request signature we calculated does not match the signature you provided. Check "
            "your AWS Secret Access Key and signing method."
        )
    return claim.access_key


def _read_claim(request: SignedRequest) -> _Claim:
    authorization = request.field("authorization")
    if authorization is None:
        raise AwsError(
            "MissingAuthenticationToken",
            "The request is not signed; sign it with AWS Signature Version 4.",
            403,
            403,
        )
    match = _AUTHORIZATION.fullmatch(authorization)
    parts = match["credential"].rsplit("/", 4) if match else []
    if not match or len(parts) != 5 or parts[4] != "aws4_request":
        raise _incomplete(
            f"The Authorization header must be {ALGORITHM} with Credential, SignedHeaders and "
            "Signature."
        )
    signed = match["headers"].split(";")
    # The target chooses the operation: unsigned, one request could be made into another.
    needed = {"host", "x-amz-target"} if request.field("x-amz-target") else {"host"}
    if missing := needed.difference(signed):
        raise _incomplete(f"SignedHeaders must have {' and '.join(sorted(missing))}.")
    return _Claim(parts[0], parts[1], parts[2], parts[3], match["headers"], match["signature"])


def _read_moment(request: SignedRequest) -> datetime:
    stamp, date = request.field("x-amz-date"), request.field("date")
    try:
        if stamp is not None:
            return datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if date is not None:
            return parsedate_to_datetime(date).astimezone(UTC)
    except ValueError:
        pass
    raise _incomplete("The date of the request must be there as X-Amz-Date: YYYYMMDDTHHMMSSZ.")


def _canonical_requests(request: SignedRequest, signed_fields: str) -> Iterator[str]:
    """What may have been signed: clients differ in whether they tidy a path up before."""
    path, _, query = request.target.partition("?")
    names = signed_fields.split(";")
    fields = [f"{name}:{request.field(name) or ''}" for name in names]
    digest = hashlib.sha256(request.body).hexdigest()
    raw = path or "/"
    tidy = normpath(raw).replace("//", "/")
    if raw.endswith("/") and tidy != "/":
        tidy += "/"
    for spelling in dict.fromkeys((raw, tidy)):
        # Encoded as it came, once more: so all services but S3 have it.
        encoded = quote(spelling, safe="/-_.~")
        lines = [request.method, encoded, _canonical_query(query), *fields, "", signed_fields]
        yield "\n".join([*lines, digest])


def _canonical_query(query: str) -> str:
    pairs = []
    for pair in filter(None, query.split("&")):
        name, _, value = pair.partition("=")
        pairs.append((quote(unquote(name), safe="-_.~"), quote(unquote(value), safe="-_.~")))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _sign(key: bytes, canonical: str, moment: datetime, claim: _Claim) -> str:
    digest = hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
    text = "\n".join([ALGORITHM, f"{moment:%Y%m%dT%H%M%SZ}", claim.scope, digest])
    return hmac.new(key, text.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()


def _signing_key(secret: str, claim: _Claim) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (claim.date, claim.region, claim.service, "aws4_request"):
        key = hmac.new(key, part.encode("utf-8", "surrogateescape"), hashlib.sha256).digest()
    return key


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidSignatureException", message, 403, 403)


def _incomplete(message: str) -> AwsError:
    return AwsError("IncompleteSignature", message)
