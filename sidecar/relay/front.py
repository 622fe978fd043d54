"""The interface to the front: which requests it takes out of the stream, and what it returns."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from sidecar.relay.heads import RequestHead, ResponseHead

SEARCH_BYTES: Final = "limits.search_bytes"
UNFINISHED_MB: Final = "limits.unfinished_mb"


@dataclass(frozen=True, slots=True)
class Request:
    """A request that the front takes: its whole body, without chunks, still content-coded.

    `client_address` is the IP address of the connection's other end. The front stores the decoded
    body in `decoded`, or the error, so that it decodes only once.
    """

    head: RequestHead
    body: bytes
    client_address: str = ""
    decoded: list[bytes | Exception] = field(default_factory=list, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Response:
    """OpenSearch's whole answer: its body without chunks, still content-coded."""

    head: ResponseHead
    body: bytes


Ended = Callable[[int, str], object]
"""Gets the status of the client's answer, 0 if there is none, and why OpenSearch's whole answer did
not reach the client: a reason of `relay_errors_total`, empty if it did."""


@dataclass(frozen=True, slots=True)
class Forward:
    """Send the original request unchanged and stream the answer.

    `add`: whole header lines without CRLF for the answer's head, such as `X-Rescore: skipped`.
    `instead`: a request that is sent in place of the original one; its head has the body's length.
    `ended` is called once, however the request ends.
    """

    add: tuple[bytes, ...] = ()
    instead: Request | None = None
    ended: Ended | None = field(default=None, compare=False)

    def tell_end(self, status: int, error: str) -> None:
        """Call `ended`, if there is one."""
        if self.ended is not None:
            self.ended(status, error)


@dataclass(frozen=True, slots=True)
class Answer:
    """A ready answer: `head` as `ResponseHead.write_client` returns it, with its empty line.

    The head must have a `Content-Length` equal to the body's length; the relay adds `Connection`.
    """

    head: bytes
    body: bytes


Take = Callable[[Request], Awaitable[Forward | Answer]]
"""Answers one request. If it raises anything, the relay forwards the original request instead.

It is cancelled if the client leaves.
"""


class Front(Protocol):
    """The front, as the relay sees it; each method returns within microseconds."""

    def takes(self, head: RequestHead) -> Take | None:
        """What answers this request; None if the relay is to forward it."""
        ...

    def too_large(self, head: RequestHead, key: str) -> Forward | Answer:
        """What to add to the answer of a request that the front would take, but for its size, or
        the answer itself.

        `key`: the configuration key of the limit that its body exceeds.
        """
        ...

    def answered(self, head: RequestHead, status: int) -> None:
        """OpenSearch answered a forwarded request with this status.

        Called for every forwarded request, before its answer is sent on.
        """
        ...


class Exchanger(Protocol):
    """Makes whole exchanges with OpenSearch; the relay's implementation is `UpstreamPool`."""

    async def exchange(self, head: bytes, body: bytes = b"", *, limit: int) -> Response:
        """Send one request and return the whole answer; see `UpstreamPool.exchange`."""
        ...
