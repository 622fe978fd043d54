"""The seam to the front door: which requests it takes out of the stream, and what it returns."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Protocol

from sidecar.relay.content_coding import decode_content
from sidecar.relay.heads import RequestHead, ResponseHead

CONTENT_LIMIT: Final = 32 << 20
"""Bytes of a decoded request body that are held."""


@dataclass(frozen=True)
class Request:
    """A request taken out of the stream: its whole body, without chunks, still content-coded.

    Without slots, so that the body is decoded once, however often it is looked at.
    """

    head: RequestHead
    body: bytes

    @cached_property
    def content(self) -> bytes:
        """The body without its content coding; raises UndecodableBody or DecodedTooLarge."""
        coding = self.head.get(b"content-encoding")
        return decode_content(self.body, coding, limit=CONTENT_LIMIT)


@dataclass(frozen=True, slots=True)
class Response:
    """OpenSearch's whole answer: its body without chunks, still content-coded."""

    head: ResponseHead
    body: bytes


@dataclass(frozen=True, slots=True)
class Forward:
    """Send the original request as it came and stream the answer.

    `add`: whole header lines without CRLF for the answer's head, as `X-Rescore: skipped`.
    """

    add: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """A ready answer: `head` as `ResponseHead.write_client` gives it, with its empty line.

    Its framing must be a `Content-Length` equal to the body's; the relay adds `Connection`.
    """

    head: bytes
    body: bytes


Take = Callable[[Request], Awaitable[Forward | Answer]]
"""Answers one taken request. Whatever it raises, the original request is forwarded instead.

It is cancelled when the client goes away.
"""


class Front(Protocol):
    """The front door, as the relay sees it; each method answers within microseconds."""

    def takes(self, head: RequestHead) -> Take | None:
        """Who answers this request; None lets it pass through."""
        ...

    def too_large(self, head: RequestHead) -> Forward:
        """What to add to the answer of a taken request whose body is too large to hold."""
        ...


class Exchanger(Protocol):
    """A whole exchange with OpenSearch; the relay's is `UpstreamPool`."""

    async def exchange(self, head: bytes, body: bytes = b"", *, limit: int) -> Response:
        """Send one request and return the whole answer; see `UpstreamPool.exchange`."""
        ...
