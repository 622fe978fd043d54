"""Signs what the sidecar itself sends to the managed OpenSearch.

Widened searches and text fetches go through `SigningExchanger`, the sidecar's own calls through
aiohttp (`sign_session`) or opensearch-py (`sign_blocking`).
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from aiohttp import ClientHandlerType, ClientRequest, ClientResponse
from aiohttp.client_middlewares import ClientMiddlewareType
from yarl import URL

from sidecar.aws.sigv4 import tidy_target
from sidecar.event_loop.off_loop import Busy
from sidecar.relay.errors import UpstreamUnavailable
from sidecar.relay.front import Exchanger, Request, Response
from sidecar.relay.heads import parse_request_head
from sidecar.resigning.signer import Signer


class SigningExchanger:
    """Signs each request and hands it to another exchanger; a `relay.front.Exchanger`."""

    def __init__(self, behind: Exchanger, signer: Signer) -> None:
        self._behind = behind
        self._signer = signer

    async def exchange(self, head: bytes, body: bytes = b"", *, limit: int) -> Response:
        """As `Exchanger.exchange`. Raises UpstreamUnavailable if there is no time to sign."""
        try:
            signed = await self._signer.sign(Request(parse_request_head(head), body))
        except Busy:
            raise UpstreamUnavailable("there is too much to sign at the moment") from None
        return await self._behind.exchange(signed.head.write_upstream(), body, limit=limit)


def sign_session(signer: Signer) -> ClientMiddlewareType:
    """A middleware for an aiohttp session, whose requests it signs."""

    async def sign(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        body = request.body
        content = body if isinstance(body, bytes) else await body.as_bytes()
        # The service may compare the encoding as well, so the signed spelling is sent.
        target = tidy_target(request.url.raw_path_qs)
        request.url = URL(f"{request.url.origin()}{target}", encoded=True)
        fields = await signer.sign_own(request.method, target, content)
        request.headers.update(fields)
        return await handler(request)

    return sign


def sign_blocking(signer: Signer) -> Callable[[str, str, object], dict[str, str]]:
    """The `http_auth` of an opensearch-py client, whose requests it signs."""

    def sign(method: str, url: str, body: object) -> dict[str, str]:
        parts = urlsplit(url)
        target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        content = body.encode() if isinstance(body, str) else body or b""
        assert isinstance(content, bytes)
        return signer.write_own(method, target, content, signer.read_credentials())

    return sign
