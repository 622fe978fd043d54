"""Puts the sidecar's signature on a request to the managed OpenSearch.

All fields are signed except those that HTTP itself changes on the way. The target is written in its
tidy spelling, and the host is the upstream's.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from sidecar.aws.sigv4 import Scope, SignedRequest, tidy_target, write_authorization
from sidecar.config.main_file import Upstream
from sidecar.config.resigning import Resign
from sidecar.event_loop.off_loop import ON_THE_LOOP, off_loop
from sidecar.relay.field_lines import FRAMING, HOP_BY_HOP, OUR_STARTS
from sidecar.relay.front import Request
from sidecar.relay.heads import Fields, RequestHead
from sidecar.resigning.credentials import Credentials, Refreshed, find_credentials

SIGNATURE_FIELDS: Final = frozenset(
    (
        *(b"authorization", b"x-amz-date", b"x-amz-content-sha256", b"x-amz-security-token"),
        *(b"date", b"host"),
    )
)
"""The fields that belong to one signature, and the host that it is for."""

CALLER: Final = b"x-rescore-caller"
"""Names the verified client to the fronts. It is never sent to OpenSearch, nor taken from a client.
"""

# Proxies and load balancers may change them; botocore does not sign them either.
_UNSIGNED: Final = frozenset(
    (*FRAMING, b"user-agent", b"x-amzn-trace-id", b"expect", CALLER),
)
_DROPPED: Final = HOP_BY_HOP | FRAMING | SIGNATURE_FIELDS | {b"expect", b"x-amzn-trace-id"}
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Signer:
    """Signs requests for one endpoint with the sidecar's credentials."""

    def __init__(self, url: str, resign: Resign, folder: Path) -> None:
        """`url`: the endpoint. Relative paths start at `folder`. Raises BadCredentials."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        host = f"[{host}]" if ":" in host else host
        standard = parts.port in (None, _DEFAULT_PORTS[parts.scheme])
        self.host = host if standard else f"{host}:{parts.port}"
        self._resign = resign
        self.read_credentials = find_credentials(resign.credentials, folder)
        self._credentials = Refreshed(self.read_credentials)

    async def sign(self, request: Request) -> Request:
        """The request with the sidecar's signature, in a thread if its body is large.

        Raises Busy.
        """
        credentials = await self._credentials.current()
        size = len(request.body) + request.head.length
        head = await off_loop(
            size, lambda: self._sign_head(request.head, request.body, credentials), ON_THE_LOOP
        )
        return Request(head, request.body)

    async def sign_own(self, method: str, target: str, body: bytes) -> dict[str, str]:
        """The fields that sign a request of the sidecar itself; it may have more, unsigned."""
        return self.write_own(method, target, body, await self._credentials.current())

    def write_own(
        self, method: str, target: str, body: bytes, credentials: Credentials
    ) -> dict[str, str]:
        """As `sign_own`, with these credentials."""
        fields, moment = self._start(body, credentials)
        signed = {name.lower(): value for name, value in fields.items()}
        authorization = self._authorize(method, target, signed, body, credentials, moment)
        return {**fields, "Authorization": authorization}

    def _start(self, body: bytes, credentials: Credentials) -> tuple[dict[str, str], datetime]:
        moment = datetime.fromtimestamp(time.time(), UTC)
        fields = {
            "Host": self.host,
            "X-Amz-Date": f"{moment:%Y%m%dT%H%M%SZ}",
            "X-Amz-Content-Sha256": hashlib.sha256(body).hexdigest(),
        }
        if credentials.token is not None:
            fields["X-Amz-Security-Token"] = credentials.token
        return fields, moment

    def _authorize(
        self,
        method: str,
        target: str,
        fields: Mapping[str, str] | list[tuple[str, str]],
        body: bytes,
        credentials: Credentials,
        moment: datetime,
    ) -> str:
        pairs = fields if isinstance(fields, list) else list(fields.items())
        return write_authorization(
            SignedRequest(method, target, pairs, body),
            credentials.access_key,
            credentials.secret,
            Scope(f"{moment:%Y%m%d}", self._resign.region, self._resign.service),
            moment,
        )

    def _sign_head(self, head: RequestHead, body: bytes, credentials: Credentials) -> RequestHead:
        dropped = _DROPPED | head.connection_names
        kept = tuple(
            (name, line)
            for name, line in head.fields
            if name == CALLER or not (name in dropped or name.startswith(OUR_STARTS))
        )
        added, moment = self._start(body, credentials)
        pairs = [
            (name.decode("latin-1"), read_text(line.partition(b":")[2]))
            for name, line in kept
            if name not in _UNSIGNED
        ]
        target = tidy_target(read_text(head.target))
        added["Authorization"] = self._authorize(
            read_text(head.method), target, [*pairs, *added.items()], body, credentials, moment
        )
        if body or head.framing:
            added["Content-Length"] = str(len(body))
        lines = tuple(
            (name.lower().encode(), f"{name}: {value}".encode()) for name, value in added.items()
        )
        # The host stands first, as in most requests.
        return replace_head(head, target, (*lines[:1], *kept, *lines[1:]), len(body))


def replace_head(head: RequestHead, target: str, fields: Fields, length: int) -> RequestHead:
    """The head of the same client's request, with this target, these fields and a body's length."""
    raw = target.encode("utf-8", "surrogateescape")
    version = b"HTTP/1.0" if head.http_1_0 else b"HTTP/1.1"
    replaced = head.replace(
        start_line=b" ".join((head.method, raw, version)),
        target=raw,
        fields=fields,
        framing=length or (0 if head.framing == 0 else length),
    )
    # Otherwise a client could list a field of the signature in Connection, and it would be dropped.
    replaced.connection_names = frozenset()
    return replaced


def read_text(raw: bytes) -> str:
    """Bytes of a head as text, without loss."""
    return raw.decode("utf-8", "surrogateescape")


def build_signer(upstream: Upstream, folder: Path) -> Signer | None:
    """The signer for the cluster; None unless `upstream.resign` is configured.

    Raises BadCredentials.
    """
    if upstream.resign is None:
        return None
    return Signer(upstream.urls[0], upstream.resign, folder)
