"""AWS Signature Version 4: verifies which key signed a request, and writes signatures.

Source: "Authenticating Requests: AWS Signature Version 4" of the AWS General Reference.
Verification needs the request as received: its target, its fields and the bytes of its body.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from posixpath import normpath
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

from sidecar.aws.json import AwsError

ALGORITHM = "AWS4-HMAC-SHA256"
SKEW_SECONDS = 15 * 60

_AUTHORIZATION = re.compile(
    rf"{ALGORITHM}\s+Credential=(?P<credential>[^\s,]+)\s*,\s*"
    r"SignedHeaders=(?P<headers>[^\s,]+)\s*,\s*Signature=(?P<signature>[0-9a-f]{64})\s*"
)

_BAD_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request as received. `target`: path and query, not decoded. `fields`: all, in order."""

    method: str
    target: str
    fields: Sequence[tuple[str, str]]
    body: bytes

    @property
    def size(self) -> int:
        """Bytes of target and body; the work on a request grows with them."""
        return len(self.target) + len(self.body)

    def field(self, name: str) -> str | None:
        """A field's value by its lower-case name; trimmed and joined as the signature has it."""
        values = [" ".join(value.split()) for key, value in self.fields if key.lower() == name]
        return ",".join(values) if values else None


class Scope(NamedTuple):
    """Where and when a signature is valid; `date` is YYYYMMDD."""

    date: str
    region: str
    service: str

    def __str__(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


@dataclass(frozen=True, slots=True)
class Claim:
    """What an Authorization field claims: who signed what."""

    access_key: str
    scope: Scope
    signed_fields: str
    signature: str


def verify_signature(
    request: SignedRequest,
    secrets: Mapping[str, str],
    service: str,
    region: str | None,
    now: float,
    *,
    exact: bool = False,
) -> str:
    """Return the access key that signed the request.

    `secrets`: the secret of each access key. The signature must be scoped to `service`, and to
    `region` unless it is None. `now` is in epoch seconds. `exact`: two targets that OpenSearch
    reads differently never fit the same signature, once `tidy_target` was applied to them. Raises
    AwsError with the names that AWS services use for each refusal.
    """
    claim = read_claim(request)
    secret = secrets.get(claim.access_key)
    if secret is None:
        raise AwsError(
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
            403,
            403,
        )
    if claim.scope.service != service:
        raise _invalid(f"Credential should be scoped to correct service: '{service}'.")
    if region is not None and claim.scope.region != region:
        raise _invalid(f"Credential should be scoped to a valid region, '{region}'.")
    moment = _read_moment(request)
    if moment.strftime("%Y%m%d") != claim.scope.date:
        raise _invalid("Date in Credential scope does not match the date of the request.")
    if abs(moment.timestamp() - now) > SKEW_SECONDS:
        raise AwsError(
            "RequestExpired",
            f"The request was signed at {moment:%Y%m%dT%H%M%SZ}, more than 15 minutes from the "
            "time here; set the client's clock.",
        )
    key = _signing_key(secret, claim.scope)
    if not any(
        hmac.compare_digest(_sign(key, canonical, moment, claim.scope), claim.signature)
        for canonical in _canonical_requests(request, claim.signed_fields, exact)
    ):
        raise _invalid(
            "The request signature we calculated does not match the signature you provided. Check "
            "your AWS Secret Access Key and signing method."
        )
    return claim.access_key


def tidy_path(path: str) -> str:
    """The path without empty segments and dot segments, as all services but S3 sign it."""
    raw = path or "/"
    tidy = normpath(raw).replace("//", "/")
    return tidy + "/" if raw.endswith("/") and tidy != "/" else tidy


def tidy_target(target: str) -> str:
    """The target in the one spelling whose signature is beyond doubt.

    Its path is tidy, and its parameters are spelled as they are signed. OpenSearch reads it like
    the original, except that it knows no dot segments.
    """
    path, mark, query = target.partition("?")
    if _BAD_ESCAPE.search(query):
        return target  # OpenSearch refuses it
    # `+` is a blank, and `;` separates parameters like `&`.
    pairs = query.replace("+", "%20").replace(";", "&").split("&")
    spelled = ("=".join(map(_encode, pair.split("=", 1))) for pair in pairs if pair)
    return tidy_path(path) + mark + "&".join(spelled)


def write_authorization(
    request: SignedRequest, access_key: str, secret: str, scope: Scope, moment: datetime
) -> str:
    """The value of `Authorization` that signs all fields of a request.

    The fields contain `host` and `x-amz-date`, and the target is tidy (`tidy_target`).
    """
    path, _, query = request.target.partition("?")
    names = sorted({name.lower() for name, _ in request.fields})
    signed = ";".join(names)
    fields = [f"{name}:{request.field(name)}" for name in names]
    digest = hashlib.sha256(request.body).hexdigest()
    canonical = _join(request.method, tidy_path(path), _encoded_query(query), fields, signed)
    signature = _sign(_signing_key(secret, scope), f"{canonical}\n{digest}", moment, scope)
    return (
        f"{ALGORITHM} Credential={access_key}/{scope}, SignedHeaders={signed}, "
        f"Signature={signature}"
    )


def read_claim(request: SignedRequest) -> Claim:
    """What the request's Authorization claims. Raises AwsError; nothing is verified yet."""
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
    # This also keeps the signed text shorter than the request.
    if len(set(signed)) < len(signed):
        raise _incomplete("SignedHeaders must have each name once.")
    # The target chooses the operation. If it were not signed, somebody could change it.
    needed = {"host", "x-amz-target"} if request.field("x-amz-target") else {"host"}
    if missing := needed.difference(signed):
        raise _incomplete(f"SignedHeaders must have {' and '.join(sorted(missing))}.")
    scope = Scope(*parts[1:4])
    return Claim(parts[0], scope, match["headers"], match["signature"])


def _read_moment(request: SignedRequest) -> datetime:
    stamp, date = request.field("x-amz-date"), request.field("date")
    try:
        if stamp is not None:
            return datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if date is not None:
            return parsedate_to_datetime(date).astimezone(UTC)
    except ValueError:
        pass
    raise _incomplete("The request needs a date in the form X-Amz-Date: YYYYMMDDTHHMMSSZ.")


def _canonical_requests(request: SignedRequest, signed_fields: str, exact: bool) -> Iterator[str]:
    """The texts that may have been signed."""
    path, _, query = request.target.partition("?")
    names = signed_fields.split(";")
    sent = {name.lower() for name, _ in request.fields}
    fields = [f"{name}:{request.field(name) if name in sent else ''}" for name in names]
    digest = hashlib.sha256(request.body).hexdigest()
    tidy = tidy_path(path)
    queries = [_encoded_query(query)]
    if exact:
        # Some clients sign a blank as they send it, as `+`. For OpenSearch `+` and `%2B` are
        # different texts, and `;` separates parameters, which `%3B` does not.
        plain = "&".join(f"{name}={value}" for name, value in sorted(_pairs(query)))
        queries = [plain] if "+" in query or ";" in query else [*queries, plain]
    # Only some clients normalize the path first.
    for spelling in dict.fromkeys((tidy,) if exact else (path or "/", tidy)):
        for canonical_query in dict.fromkeys(queries):
            canonical = _join(request.method, spelling, canonical_query, fields, signed_fields)
            yield f"{canonical}\n{digest}"


def _join(method: str, path: str, query: str, fields: Iterable[str], signed_fields: str) -> str:
    # The received path is encoded once more, as for all services but S3.
    encoded = quote(path.encode("utf-8", "surrogateescape"), safe="/-_.~")
    return "\n".join((method, encoded, query, *fields, "", signed_fields))


def _encoded_query(query: str) -> str:
    pairs = sorted((_encode(name), _encode(value)) for name, value in _pairs(query))
    return "&".join(f"{name}={value}" for name, value in pairs)


def _pairs(query: str) -> Iterator[tuple[str, str]]:
    for pair in filter(None, query.split("&")):
        name, _, value = pair.partition("=")
        yield name, value


def _encode(text: str) -> str:
    return quote(unquote_to_bytes(text.encode("utf-8", "surrogateescape")), safe="-_.~")


def _sign(key: bytes, canonical: str, moment: datetime, scope: Scope) -> str:
    digest = hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
    text = "\n".join([ALGORITHM, f"{moment:%Y%m%dT%H%M%SZ}", str(scope), digest])
    return hmac.new(key, text.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()


def _signing_key(secret: str, scope: Scope) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (*scope, "aws4_request"):
        key = hmac.new(key, part.encode("utf-8", "surrogateescape"), hashlib.sha256).digest()
    return key


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidSignatureException", message, 403, 403)


def _incomplete(message: str) -> AwsError:
    return AwsError("IncompleteSignature", message)
