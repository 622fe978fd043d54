"""What all kinds of searches share: decoding bodies, and sending edited requests to OpenSearch.

If a body cannot be decoded or an answer cannot be fetched, ForwardUnchanged is raised, and the
client's request is forwarded unchanged.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, TypeVar

from sidecar.config.limits import Limits
from sidecar.event_loop.off_loop import LINE, NEW, ON_THE_LOOP, Busy, off_loop
from sidecar.opensearch.outcome import Status
from sidecar.relay.content_coding import (
    DecodedTooLarge,
    UndecodableBody,
    decode_content,
    encode_content,
)
from sidecar.relay.errors import (
    ResponseTooLarge,
    UpstreamError,
    UpstreamTimeout,
    error_answer,
)
from sidecar.relay.front import Answer, Exchanger, Request, Response
from sidecar.relay.heads import RequestHead, parse_response_head

BODY_LIMIT: Final = 32 << 20
"""The largest widened answer that is held in memory, in bytes."""

READ_ON_THE_LOOP: Final = 128 << 10
"""Bytes of hits that are read in less than a millisecond. Python's JSON decoder does most of it."""

READ_REQUEST_ON_THE_LOOP: Final = 8 << 10
"""Bytes of a search request, its target included, that are read in about a millisecond at worst."""

_CODED_ON_THE_LOOP: Final = 4 << 10
"""Bytes of a compressed body that the event loop itself decompresses, as long as the result is
small. 4 KiB can hold 200 gzip members."""

_LONGEST_ACCEPT: Final = 1000  # the names of all codings together have about 100 letters

_T = TypeVar("_T")


class ForwardUnchanged(Exception):
    """The client's request must be forwarded unchanged; `status`, `reason` and `key` are the
    outcome's."""

    def __init__(self, status: Status, reason: str, key: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.key = key


class FinalAnswer(Exception):
    """The client must get this answer to the edited request, and no other request may be sent: it
    would do harm, or get the same answer."""

    def __init__(self, response: Response, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.response = response
        self.status = status
        self.reason = reason


async def decode_body(request: Request, limits: Limits) -> bytes:
    """The request's body without its content coding. Raises ForwardUnchanged."""
    if not request.decoded:
        try:
            request.decoded.append(await _decode(request, limits.search_bytes))
        except ForwardUnchanged as error:
            request.decoded.append(error)
    body = request.decoded[0]
    if isinstance(body, Exception):
        raise body
    return body


async def _decode(request: Request, limit: int) -> bytes:
    coding = request.head.get(b"content-encoding")
    decode = partial(decode_content, request.body, coding)
    try:
        if (coding or b"").strip().lower() in (b"", b"identity"):
            return decode(limit=limit)
        # The size of compressed content is unknown until it is decompressed. The content of a small
        # body is nearly always small too, so that is tried first.
        if len(request.body) <= _CODED_ON_THE_LOOP:
            with suppress(DecodedTooLarge):
                return decode(limit=min(limit, ON_THE_LOOP))
        return await run_unless_busy(limit, lambda: decode(limit=limit), 0, NEW)
    except UndecodableBody:
        raise ForwardUnchanged("skipped", "content_encoding") from None
    except DecodedTooLarge:
        raise ForwardUnchanged("skipped", "limits.search_bytes") from None


async def read_request(request: Request, limits: Limits, read: Callable[[bytes], _T]) -> _T:
    """The result of `read` for the decoded body, computed in a thread if that may take long.

    Raises ForwardUnchanged, and everything that `read` raises.
    """
    body = await decode_body(request, limits)
    head = request.head
    size = len(body) + len(head.target) + len(head.get(b"x-rescore-query") or b"")
    return await run_unless_busy(size, lambda: read(body), READ_REQUEST_ON_THE_LOOP, NEW)


async def run_unless_busy(
    size: int, work: Callable[[], _T], most: int = ON_THE_LOOP, line: int = LINE
) -> _T:
    """`off_loop`, but raises ForwardUnchanged if the line is full."""
    try:
        return await off_loop(size, work, most, line)
    except Busy:
        raise ForwardUnchanged("skipped", "busy") from None


async def fetch(head: RequestHead, target: bytes, body: bytes, upstream: Exchanger) -> Response:
    """Send an edited request and return the answer; `head` is the client's.

    Raises ForwardUnchanged if there is no answer, and FinalAnswer after a timeout.
    """
    written = head.write_with_body(
        body,
        target=target,
        drop=(b"content-encoding", b"accept-encoding", b"expect"),
        add=_accept_encoding(head.get_all(b"accept-encoding")),
    )
    try:
        return await upstream.exchange(*written, limit=BODY_LIMIT)
    except ResponseTooLarge:
        raise ForwardUnchanged("failed", "too_large") from None
    except UpstreamTimeout as error:
        error_head, content = error_answer(error.status, error.reason, str(error))
        response = Response(parse_response_head(error_head), content)
        raise FinalAnswer(response, "failed", "upstream") from None
    except UpstreamError:
        raise ForwardUnchanged("failed", "upstream") from None


def hand_on(response: Response, header: bytes) -> Answer:
    """OpenSearch's answer, with one more header line."""
    # A correct Content-Length stays in its place.
    length = None if response.head.framing == len(response.body) else len(response.body)
    return Answer(response.head.write_client(content_length=length, add=(header,)), response.body)


def _accept_encoding(values: list[bytes]) -> tuple[bytes, ...]:
    """The client's `Accept-Encoding`, without the codings that this process cannot decode."""
    if sum(map(len, values)) > _LONGEST_ACCEPT:
        return ()
    codings = [coding.strip() for value in values for coding in value.split(b",")]
    known = (b"gzip", b"deflate", b"identity")
    accepted = [one for one in codings if one.partition(b";")[0].strip().lower() in known]
    return (b"Accept-Encoding: " + b", ".join(accepted),) if accepted else ()


async def decode_answer(response: Response) -> tuple[bytes, bytes]:
    """The answer's body without its content coding, and the coding. Raises ForwardUnchanged."""
    coding = response.head.get(b"content-encoding") or b"identity"
    media_type = (response.head.get(b"content-type") or b"").partition(b";")[0].strip().lower()
    if not media_type.endswith(b"json"):
        raise ForwardUnchanged("failed", "unreadable")
    body = response.body
    decode = partial(decode_content, body, coding)
    try:
        if coding.strip().lower() == b"identity":
            return decode(limit=BODY_LIMIT), coding
        if len(body) <= ON_THE_LOOP:
            with suppress(DecodedTooLarge):
                return decode(limit=READ_ON_THE_LOOP), coding
        return await run_unless_busy(len(body), lambda: decode(limit=BODY_LIMIT), 0), coding
    except DecodedTooLarge:
        raise ForwardUnchanged("failed", "too_large") from None
    except UndecodableBody:
        raise ForwardUnchanged("failed", "unreadable") from None


async def encode(content: bytes, coding: bytes) -> bytes:
    """The answer's body in this content coding. Raises ForwardUnchanged."""
    if coding.lower() == b"identity":
        return content
    return await run_unless_busy(len(content), lambda: encode_content(content, coding))
