"""What every kind of search shares on the way to OpenSearch and back.

Bodies are read and sent here without their content coding; whatever cannot be read or fetched
ends in AsItCame, and the client's request goes on as it came.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from sidecar.opensearch.outcome import Status
from sidecar.opensearch.search_request import SearchHeaders
from sidecar.relay.content_coding import (
    DecodedTooLarge,
    UndecodableBody,
    decode_content,
    encode_content,
)
from sidecar.relay.errors import ResponseTooLarge, UpstreamError
from sidecar.relay.front import Exchanger, Request, Response
from sidecar.relay.heads import RequestHead

BODY_LIMIT: Final = 32 << 20
"""Bytes of a widened answer that are held."""

_ON_THE_LOOP: Final = 16 << 10
"""Bytes of an answer that are worked through in less than a millisecond. More goes to a thread,
so that the relay's other connections do not wait."""

READ_ON_THE_LOOP: Final = 128 << 10
"""The same for reading hits, of which JSON's own decoder does most."""

_T = TypeVar("_T")


class AsItCame(Exception):
    """This request is to be forwarded as it came."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def read_headers(head: RequestHead) -> SearchHeaders:
    """The header values that decide whether a search may be changed."""
    return SearchHeaders(
        content_type=b", ".join(head.get_all(b"content-type")) or None,
        accept=b", ".join(head.get_all(b"accept")) or None,
        authorization=head.get(b"authorization"),
        x_amz_content_sha256=head.get(b"x-amz-content-sha256"),
        x_rescore_query=head.get(b"x-rescore-query"),
    )


def decoded_body(request: Request) -> bytes:
    """The request's body without its content coding; raises AsItCame."""
    try:
        return request.content
    except UndecodableBody:
        raise AsItCame("skipped", "content_encoding") from None
    except DecodedTooLarge:
        raise AsItCame("skipped", "body_too_large") from None


async def fetch(head: RequestHead, target: bytes, body: bytes, upstream: Exchanger) -> Response:
    """The answer to an edited request; `head` is the client's. Raises AsItCame without one."""
    written = head.write_upstream(
        target=target,
        content_length=len(body) if body else None,
        drop=(b"content-encoding", b"accept-encoding", b"expect"),
        add=_accept_encoding(head.get_all(b"accept-encoding")),
    )
    try:
        return await upstream.exchange(written, body, limit=BODY_LIMIT)
    except ResponseTooLarge:
        raise AsItCame("failed", "too_large") from None
    except UpstreamError:
        raise AsItCame("failed", "upstream") from None


def _accept_encoding(values: list[bytes]) -> tuple[bytes, ...]:
    """The client's `Accept-Encoding` without codings that cannot be undone here."""
    codings = [coding.strip() for value in values for coding in value.split(b",")]
    known = (b"gzip", b"deflate", b"identity")
    kept = [coding for coding in codings if coding.partition(b";")[0].strip().lower() in known]
    return (b"Accept-Encoding: " + b", ".join(kept),) if kept else ()


def decode_answer(response: Response) -> tuple[bytes, bytes]:
    """The answer's body without its content coding, and the coding."""
    coding = response.head.get(b"content-encoding") or b"identity"
    media_type = (response.head.get(b"content-type") or b"").partition(b";")[0].strip().lower()
    if not media_type.endswith(b"json"):
        raise AsItCame("failed", "unreadable")
    try:
        return decode_content(response.body, coding, limit=BODY_LIMIT), coding
    except DecodedTooLarge:
        raise AsItCame("failed", "too_large") from None
    except UndecodableBody:
        raise AsItCame("failed", "unreadable") from None


async def encode(content: bytes, coding: bytes) -> bytes:
    """The answer's body in its content coding."""
    if coding.lower() == b"identity":
        return content
    return await off_loop(len(content), lambda: encode_content(content, coding))


async def off_loop(size: int, work: Callable[[], _T], most: int = _ON_THE_LOOP) -> _T:
    """Do the work here, or in a thread when it is on more bytes than the event loop should."""
    return work() if size <= most else await asyncio.to_thread(work)
