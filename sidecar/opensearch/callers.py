"""Recognizes the caller of a request by its head.

A head has three kinds of fields: those that differ per request, those about the message, and all
others. The others may decide what OpenSearch shows: credentials, cookies, and anything that a
gateway adds. So all of them together identify the caller.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

from sidecar.process_secret import PROCESS_SECRET
from sidecar.relay.heads import RequestHead

OF_ONE_REQUEST: Final = frozenset(
    {
        *(b"content-length", b"expect", b"x-opaque-id", b"x-request-id"),
        *(b"traceparent", b"tracestate", b"baggage", b"b3"),
        *(b"x-b3-traceid", b"x-b3-spanid", b"x-b3-parentspanid", b"x-b3-sampled"),
    }
)
"""Fields that differ per request and do not affect the result. The body's length belongs to them
because it depends on the page's number."""

_ABOUT_THE_MESSAGE: Final = OF_ONE_REQUEST | {
    *(b"host", b"connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade"),
    *(b"http2-settings", b"content-type", b"content-encoding", b"content-md5", b"accept"),
    *(b"accept-encoding", b"accept-language", b"accept-charset", b"user-agent", b"date"),
    *(b"cache-control", b"pragma", b"priority", b"origin", b"referer", b"dnt"),
    *(b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port"),
    *(b"x-real-ip", b"forwarded", b"via", b"x-rescore", b"x-rescore-plan", b"x-rescore-query"),
    b"x-rescore-teams",
}


class Callers:
    """Digests of callers and of their requests. They are keyed by a secret, so a digest does not
    reveal its caller; the workers of one parent make the same digests."""

    def __init__(self, secret: bytes = PROCESS_SECRET) -> None:
        self._secret = secret

    def caller(self, head: RequestHead) -> bytes:
        """A digest that is the same for all requests of one caller."""
        return self.digest(line for name, line in head.fields if name not in _ABOUT_THE_MESSAGE)

    def digest(self, pieces: Iterable[bytes]) -> bytes:
        """A digest of all pieces and of where each one ends."""
        digest = hashlib.blake2b(key=self._secret, digest_size=16)
        for piece in pieces:
            digest.update(b"%d:" % len(piece) + piece)
        return digest.digest()
