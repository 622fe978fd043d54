"""Reads the bodies of all requests to the api listener, within bounds of time, size and coding.

Every fault raises BodyError, which each door answers in its own form, and is logged in one line.
While a body arrives, these bounds hold:

- Silence may last `limits.body_timeout_ms`. A body that takes longer altogether must arrive at 500
  bytes a second on average, the rate that Apache's mod_reqtimeout asks for.
- Chunks must have 64 bytes on average, unless there are few: each costs work, however small it is.
- All bodies together must fit into `limits.api_unfinished_mb`. If they do not, the oldest
  incomplete one is given up, so that slow senders cannot keep fast ones out. A body counts until
  its request is answered.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol, cast

from aiohttp import web
from prometheus_client import Counter

from sidecar.event_loop.off_loop import Busy, off_loop
from sidecar.relay.content_coding import DecodedTooLarge, UndecodableBody, decode_content
from sidecar.relay.silence_timer import SilenceTimer

BodyCause = Literal[
    "too_large",
    "broken",  # the framing or the coding is damaged, or the body ended early
    "coding",  # an unknown content coding
    "late",
    "crowded",  # the bodies of other requests fill the memory
]

_LEAST_RATE: Final = 500
_FREE_CHUNKS: Final = 1024
_CHUNK_BYTES: Final = 64
_TURN_CHUNKS: Final = 128
_MOST_CODINGS: Final = 2
_MOST_RATIO: Final = 1032
"""Bytes that deflate can make from one byte, at most."""

_log = logging.getLogger(__name__)

_BODY_BYTES: Final = web.RequestKey("body_bytes", int)
"""Bytes of a request's body that count towards the memory limit."""


class BodyError(Exception):
    """A body that cannot be read; the message is for the client."""

    def __init__(self, cause: BodyCause, message: str) -> None:
        super().__init__(message)
        self.cause: BodyCause = cause
        self.message = message


class BodyConnection(Protocol):
    """The part of a connection that reading a body needs."""

    body_error: BodyError | None

    def end_body(self, error: BodyError) -> None:
        """End the body here, for this reason; later bytes are discarded."""
        ...


@dataclass(eq=False, slots=True)
class _IncompleteBody:
    """An incomplete body. `size`: its bytes that count towards the memory limit."""

    connection: BodyConnection
    size: int = 0


class BodyReader:
    """Reads bodies for all doors of one listener. Belongs to one event loop."""

    def __init__(self, timeout_s: float, memory: int, given_up: Counter) -> None:
        """`timeout_s` 0: no time-out. `memory`: bytes of all bodies together, at most.
        `given_up` counts bodies by reason."""
        self._timeout_s = timeout_s
        self._memory = memory
        self._given_up = given_up
        self._bytes_held = 0
        self._incomplete: dict[_IncompleteBody, None] = {}

    def replace_limits(self, timeout_s: float, memory: int) -> None:
        """Use these limits from now on; as in the constructor."""
        self._timeout_s = timeout_s
        self._memory = memory

    async def read(self, request: web.Request, most: int) -> bytes:
        """The complete, decoded body; it counts towards the memory limit until `release`.

        `most`: maximum bytes, both as sent and as decoded. Raises BodyError.
        """
        try:
            return await self._read(request, most)
        except BodyError as error:
            # Without the path, which may be any text.
            _log.info("a request body on the api listener is refused: %s", error)
            raise

    async def _read(self, request: web.Request, most: int) -> bytes:
        codings = _read_codings(request.headers.getall("Content-Encoding", ()))
        if (request.content_length or 0) > most:
            raise _too_large(most)
        body = await self._receive(request, most)
        if not body or not codings:
            return body
        try:
            # A few bytes can become very many within a millisecond.
            decoded = await off_loop(len(body) * _MOST_RATIO, lambda: _decode(body, codings, most))
        except Busy:
            raise self._refuse_crowded() from None
        # The compressed bytes are freed, so only the difference needs room.
        more = max(0, len(decoded) - len(body))
        if not self._make_room(more, None):
            raise self._refuse_crowded()
        self._bytes_held += more
        request[_BODY_BYTES] += more
        return decoded

    def release(self, request: web.Request) -> None:
        """The request is answered: its body no longer counts."""
        self._bytes_held -= request.get(_BODY_BYTES, 0)
        request[_BODY_BYTES] = 0

    def give_up_all(self) -> None:
        """End every incomplete body."""
        for body in tuple(self._incomplete):
            body.connection.end_body(BodyError("crowded", "the server is stopping"))

    async def _receive(self, request: web.Request, most: int) -> bytes:
        connection = cast(BodyConnection, request.protocol)
        incomplete = _IncompleteBody(connection)
        self._incomplete[incomplete] = None
        silence = None
        if self._timeout_s:
            silence = SilenceTimer(self._timeout_s, lambda: connection.end_body(self._late()))
        try:
            return await self._receive_parts(request, incomplete, silence, most)
        except ConnectionError:
            raise BodyError("broken", "the body ended before its length") from None
        finally:
            if silence is not None:
                silence.close()
            self._incomplete.pop(incomplete, None)
            request[_BODY_BYTES] = incomplete.size

    async def _receive_parts(
        self,
        request: web.Request,
        incomplete: _IncompleteBody,
        silence: SilenceTimer | None,
        most: int,
    ) -> bytes:
        loop = asyncio.get_running_loop()
        started = loop.time()
        content, connection = request.content, incomplete.connection
        body = bytearray()
        chunks = 0
        while not content.at_eof():
            if silence is not None:
                silence.restart()
            part, ends_chunk = await content.readchunk()
            if connection.body_error is not None:
                break
            chunks += ends_chunk
            body += part
            if len(body) > most:
                raise _too_large(most)
            if chunks > _FREE_CHUNKS + len(body) // _CHUNK_BYTES:
                why = f"the body has {chunks} chunks of a few bytes each"
                connection.end_body(BodyError("broken", why))
                break
            if ends_chunk and chunks % _TURN_CHUNKS == 0:
                # Chunks that arrived together do not wait, so let other tasks run in between.
                await asyncio.sleep(0)
            if silence is not None and loop.time() > self._latest(started, len(body)):
                connection.end_body(self._late())
                break
            if not self._make_room(len(part), incomplete):
                connection.end_body(self._refuse_crowded())
                break
            incomplete.size += len(part)
            self._bytes_held += len(part)
        if connection.body_error is not None:
            raise connection.body_error
        return bytes(body)

    def _latest(self, started: float, size: int) -> float:
        """When a body with `size` bytes so far is late, on the event loop's clock."""
        return started + self._timeout_s + size / _LEAST_RATE

    def _make_room(self, size: int, own: _IncompleteBody | None) -> bool:
        """Whether `size` more bytes fit, after giving up incomplete bodies older than `own`."""
        while self._bytes_held + size > self._memory:
            oldest = next(iter(self._incomplete), None)
            if oldest is None or oldest is own:
                return False
            self._bytes_held -= oldest.size
            oldest.size = 0
            del self._incomplete[oldest]
            oldest.connection.end_body(self._refuse_crowded())
        return True

    def _late(self) -> BodyError:
        self._given_up.labels("body_timeout").inc()
        return BodyError("late", "the body did not arrive in time")

    def _refuse_crowded(self) -> BodyError:
        self._given_up.labels("memory").inc()
        return BodyError("crowded", "too many other requests are arriving; try again later")


def _read_codings(fields: Sequence[str]) -> list[str]:
    """The codings in the order in which the client applied them; raises BodyError."""
    names = [name.strip().lower() for field in fields for name in field.split(",")]
    codings = [name for name in names if name not in ("", "identity")]
    for name in codings:
        if name not in ("gzip", "x-gzip", "deflate"):
            raise BodyError("coding", "the content coding is not gzip, deflate or identity")
    if len(codings) > _MOST_CODINGS:
        raise BodyError("coding", f"the body has more than {_MOST_CODINGS} content codings")
    return codings


def _decode(body: bytes, codings: Sequence[str], most: int) -> bytes:
    try:
        for coding in reversed(codings):
            body = decode_content(body, coding.encode(), limit=most)
    except UndecodableBody as error:
        raise BodyError("broken", f"{error}") from None
    except DecodedTooLarge:
        raise _too_large(most) from None
    return body


def _too_large(most: int) -> BodyError:
    return BodyError("too_large", f"the body has more than {most} bytes")
