"""One connection of the api listener, with the bounds that aiohttp lacks.

aiohttp (3.14) limits the time for a head only by its keep-alive timer, and the time for a body not
at all. If the framing of a body breaks, the code that reads the body does not learn of it. Here

- a head must be complete `limits.header_timeout_ms` after its first byte, within 64 KiB;
- a body that breaks or ends early ends with a reason (`body_error`), so that its door can answer;
- an idle connection is closed after three minutes;
- at most `limits.api_connections` are open. A new one closes the one that has waited longest for
  its client, whether it is idle or in the middle of a request.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from aiohttp import StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import _ErrInfo

from sidecar.api.request_body import BodyError
from sidecar.metrics import Metrics

IDLE_SECONDS: Final = 180.0
"""Longer than clients and load balancers keep idle connections open (60 to 90 s are common)."""

LINE_LIMIT: Final = 32 << 10
"""Bytes of a request line. RunRerank's GET form has its documents there."""

HEAD_LIMIT: Final = 64 << 10

_LINGER_SECONDS = 2.0
# Small, so that the event loop handles a body in small pieces.
_READ_BYTES = 16 << 10
_FIELDS = 100

_HEAD_END = b"\r\n\r\n"
_LATE = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_TOO_LARGE = b"HTTP/1.1 431 Head Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

_log = logging.getLogger(__name__)


class OpenConnections:
    """The open connections of a listener, `most` at most. `header_timeout_s` 0: no time-out."""

    def __init__(self, most: int, header_timeout_s: float, metrics: Metrics) -> None:
        self.header_timeout_s = header_timeout_s
        self.most = most
        self._metrics = metrics
        self._open: set[ApiConnection] = set()

    def admit(self, connection: ApiConnection) -> bool:
        """Whether the connection may stay open; another one may be closed for it."""
        if len(self._open) >= self.most:
            waiting = [other for other in self._open if other.is_waiting]
            self.give_up("connections")
            if not waiting:
                return False
            longest = min(waiting, key=lambda other: other.since)
            self.remove(longest)
            longest.drop()
        self._open.add(connection)
        self._metrics.api_connections.set(len(self._open))
        return True

    def remove(self, connection: ApiConnection) -> None:
        """Forget a connection that is closed or about to be closed."""
        self._open.discard(connection)
        self._metrics.api_connections.set(len(self._open))

    def give_up(self, reason: str) -> None:
        """Count a connection or request that was given up, by reason."""
        self._metrics.api_given_up.labels(reason).inc()


class ApiConnection(web.RequestHandler):
    """aiohttp's connection with bounds. Call `begin` when each request begins.

    `since`: when the connection began to wait for its client, or to answer. `body_error`: why the
    body of the current request ended early, or None.
    """

    __slots__ = (
        *("_answering", "_content", "_deaf", "_failure", "_gone", "_head_bytes", "_open", "_timer"),
        *("body_error", "since"),
    )

    def __init__(self, server: web.Server, open_connections: OpenConnections) -> None:
        self._open = open_connections
        self._answering = False
        self._content: StreamReader | None = None
        self._deaf = False
        self._failure: BodyError | None = None
        self._gone = asyncio.Event()
        self._head_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self.body_error: BodyError | None = None
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]
            max_line_size=LINE_LIMIT,
            max_headers=_FIELDS,
            read_bufsize=_READ_BYTES,
            lingering_time=_LINGER_SECONDS,
            # The doors decode bodies, outside the event loop, and answer if that fails.
            auto_decompress=False,
        )
        self.since = self._loop.time()

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for its client: for a request, or for the rest of one."""
        return not self._messages and not (self._answering and self._has_body)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not self._open.admit(self):
            self._deaf = True
            transport.close()
            return
        super().connection_made(transport)
        self._wait(IDLE_SECONDS, self.drop)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._open.remove(self)
        self._stop_waiting()
        self._gone.set()

    def data_received(self, data: bytes) -> None:
        # aiohttp's parser would drop the head together with a body whose first bytes are broken, so
        # the head is fed alone.
        end = 0 if self._answering or not self._has_body else data.find(_HEAD_END) + 1
        if end:
            self._feed(data[: end + 3])
            data = data[end + 3 :]
        if data or not end:
            self._feed(data)

    def _feed(self, data: bytes) -> None:
        if self._deaf:
            return
        super().data_received(data)
        if self._messages and isinstance(self._messages[-1][0], _ErrInfo):
            # aiohttp answers this after earlier requests. The broken bytes may be the body of one.
            self.end_body(BodyError("broken", "the framing of the body is broken"))
        elif data and not self._messages and not self._answering and self._has_body:
            self._take_head(len(data))

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client sends no more; True keeps the connection open for the answer."""
        super().eof_received()
        self._gone.set()
        whole = self._messages[-1][1].is_eof() if self._messages else self._has_body
        if whole or self.transport is None or not self.transport.can_write_eof():
            return False
        self.end_body(BodyError("broken", "the body ended before its length"))
        return True

    def begin(self, content: StreamReader) -> None:
        """A request begins to be answered; `content` is its body."""
        self._stop_waiting()
        self._answering = True
        self._content = content
        self._head_bytes = 0
        self.body_error = None
        self.since = self._loop.time()
        if self._failure is not None:
            self.end_body(self._failure)

    def end_body(self, error: BodyError) -> None:
        """Stop reading: the current body ends here, and the connection ends after the answer."""
        self._deaf = True
        # The request of this body may not have begun.
        self._failure = error
        if self._content is not None and not self._content.is_eof():
            self.body_error = error
            self._content.feed_eof()

    def drop(self) -> None:
        """Close the connection now."""
        self._deaf = True
        self.force_close()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the answer; see `aiohttp.web.RequestHandler`."""
        if self._deaf and isinstance(resp, web.StreamResponse):
            resp.force_close()
        sent = await super().finish_response(request, resp, start_time)
        self._answering = False
        self.since = self._loop.time()
        if self._deaf:
            await self._close_politely()
        else:
            self._wait(IDLE_SECONDS, self.drop)
        return sent

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log one line without a traceback for errors that only the client causes."""
        error = kw.get("exc_info")
        if isinstance(error, HttpProcessingError):
            words = " ".join(error.message.split())
            _log.info("a request to the api listener is not HTTP: %s", words[:200])
        else:
            super().log_exception(*args, **kw)

    @property
    def _has_body(self) -> bool:
        """Whether the body of the latest request is complete."""
        return self._content is None or self._content.is_eof()

    def _take_head(self, size: int) -> None:
        seconds = self._open.header_timeout_s
        if not self._head_bytes and seconds:
            self._wait(seconds, self._head_is_late)
        self._head_bytes += size
        if self._head_bytes > HEAD_LIMIT:
            self._answer_and_close(_TOO_LARGE)

    def _head_is_late(self) -> None:
        self._open.give_up("header_timeout")
        self._answer_and_close(_LATE)

    def _answer_and_close(self, answer: bytes) -> None:
        if self.transport is not None:
            self.transport.write(answer)
        self.drop()

    def _wait(self, seconds: float, then: Callable[[], None]) -> None:
        self._stop_waiting()
        if not self._gone.is_set():
            self._timer = self._loop.call_later(seconds, then)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _close_politely(self) -> None:
        """Let the client read the answer first. If the connection were closed at once, while bytes
        from the client are unread, the client's system would discard the answer."""
        transport = self.transport
        if transport is None or not transport.can_write_eof():
            return
        with suppress(OSError, RuntimeError):
            transport.write_eof()
        with suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_SECONDS):
                await self._gone.wait()
