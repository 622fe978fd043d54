"""One request that is streamed to a node, and its answer, which is streamed back."""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from typing import Final, Protocol

from sidecar.relay.body import CHUNKED, UNTIL_CLOSE
from sidecar.relay.errors import UpstreamError
from sidecar.relay.front import Ended
from sidecar.relay.heads import RequestHead, ResponseHead
from sidecar.relay.serving import Serving
from sidecar.relay.shared import SharedState
from sidecar.relay.upstream_connection import UpstreamConnection

_log: Final = logging.getLogger("sidecar.relay")


class Client(Protocol):
    """The client connection, as its current request sees it."""

    def write(self, *pieces: bytes | memoryview) -> None:
        """Send bytes of an answer, in one piece or several."""
        ...

    def answer_error(self, status: int, error_type: str, reason: str) -> None:
        """Answer with the relay's own error, and end the request."""
        ...

    def hold_body(self, hold: bool) -> None:
        """Stop reading the request's body for a while, or continue."""
        ...

    def request_ended(self, *, close: bool) -> None:
        """The whole answer is written; `close`: close the connection."""
        ...

    def break_off(self, *, reset: bool) -> None:
        """The rest of the answer will not come: close, so that the client sees that it is cut.

        `reset`: reset the connection, because an ordinary close would look like the answer's end.
        """
        ...


class ForwardedRequest:
    """A forwarded request. It needs a task only while a new connection is opened.

    `add`: header lines for the answer's head. `ended` is called once, however the request ends.
    """

    __slots__ = (
        "_add",
        "_answer_framing",
        "_answer_paused",
        "_client",
        "_close",
        "_complete",
        "_connecting",
        "_continued",
        "_ended",
        "_head",
        "_pending",
        "_shared",
        "_started",
        "_status",
        "_upstream",
        "serving",
    )

    def __init__(
        self,
        client: Client,
        shared: SharedState,
        serving: Serving,
        head: RequestHead,
        add: tuple[bytes, ...] = (),
        ended: Ended | None = None,
    ) -> None:
        self._client = client
        self._shared = shared
        self.serving = serving
        self._head = head
        self._started = monotonic()
        self._add = add
        self._ended = ended
        self._status = 0  # of the client's answer
        self._complete = False
        self._close = False
        self._continued = False  # more of the body came, or the node asked for it
        self._answer_framing: int | None = None  # None until the answer has started
        self._answer_paused = False
        self._upstream: UpstreamConnection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._pending: list[bytes] = []

    @property
    def answer_has_started(self) -> bool:
        """Whether the client already has the answer's head."""
        return self._answer_framing is not None

    @property
    def waits_for_node(self) -> bool:
        """Whether the client may be waiting for the node's 100 before it sends its body."""
        return not self._continued and self._head.get(b"expect") is not None

    def start(self, data: bytes, complete: bool) -> None:
        """Send the head and the first raw bytes of the body, or wait for a connection."""
        self._complete = complete
        connection = self.serving.pool.take_idle()
        if connection is not None:
            self._begin(connection, data)
            return
        self._pending.append(data)
        self._client.hold_body(True)
        self._connecting = self._shared.start(self._connect())

    # From the client

    def body_received(self, data: bytes, complete: bool) -> None:
        """More raw bytes of the request's body."""
        self._complete = complete
        self._continued = True
        if self._upstream is None:
            self._pending.append(data)
        else:
            self._upstream.write(data, complete=complete)

    def pause_answer(self) -> None:
        """The client reads the answer slower than it arrives."""
        self._answer_paused = True
        if self._upstream is not None:
            self._upstream.pause_answer(self)

    def resume_answer(self) -> None:
        """The client is ready for more."""
        self._answer_paused = False
        if self._upstream is not None:
            self._upstream.resume_answer(self)

    def cancel(self) -> None:
        """The client has left: close the upstream connection, which cancels a search."""
        if self._connecting is not None:
            self._connecting.cancel()
        if self._upstream is not None:
            self._upstream.abandon(self)
        self._tell_end("client_gone")

    # From upstream: AnswerReceiver

    def answer_interim(self, raw: bytes) -> None:
        self._continued = True
        # HTTP/1.0 has no 1xx answers.
        if not self._head.http_1_0:
            self._client.write(raw)

    def answer_started(self, head: ResponseHead, received: bytes, ended: bool) -> None:
        self._shared.counts.answered(head.status)
        self._answer_framing = head.framing
        self._status = head.status
        self.serving.front.answered(self._head, head.status)
        # An answer before the request's end closes the client's connection, unless it may be one
        # that is meant to be read while the request goes on.
        early = not self._complete and (ended or head.status >= 400)
        must_close = self._shared.draining or not self._head.keep_alive
        self._close = must_close or head.framing == UNTIL_CLOSE or early
        add = self._add
        if self._close:
            add += (b"Connection: close",)
        elif self._head.http_1_0:
            self._close = head.framing == CHUNKED
            add += (b"Connection: close" if self._close else b"Connection: keep-alive",)
        if add or not head.unchanged:
            # A change of a few lines in the head does not copy a large body.
            body = memoryview(received)[head.length :]
            self._client.write(head.write_client(add=add), body)
        else:
            self._client.write(received)
        if ended:
            self._answer_ended()

    def answer_continued(self, body: bytes, ended: bool) -> None:
        if body:
            self._client.write(body)
        if ended:
            self._answer_ended()

    def answer_failed(self, error: UpstreamError) -> None:
        self._shared.counts.failed(error.reason)
        if not self.answer_has_started:
            self._status = error.status
            self._client.answer_error(error.status, error.reason, str(error))
        else:
            self._client.break_off(reset=self._answer_framing == UNTIL_CLOSE)
        self._tell_end(error.reason)

    def pause_request(self) -> None:
        self._client.hold_body(True)

    def resume_request(self) -> None:
        self._client.hold_body(False)

    # Inside

    def _answer_ended(self) -> None:
        self._shared.counts.forwarded(monotonic() - self._started)
        self._client.request_ended(close=self._close or not self._complete)
        self._tell_end("")

    def _tell_end(self, error: str) -> None:
        ended, self._ended = self._ended, None
        if ended is None:
            return
        try:
            ended(self._status, error)
        except Exception:
            _log.exception("the front failed after a forwarded request; its client noticed nothing")
            self._shared.counts.failed("front")

    def _begin(self, connection: UpstreamConnection, data: bytes) -> None:
        self._upstream = connection
        connection.begin(
            self,
            data,
            complete=self._complete,
            to_head=self._head.method == b"HEAD",
            reusable=not self._head.http_1_0,
        )
        if self._answer_paused:
            connection.pause_answer(self)

    async def _connect(self) -> None:
        try:
            connection = await self.serving.pool.connect()
        except UpstreamError as error:
            self.answer_failed(error)
            return
        self._client.hold_body(False)
        self._begin(connection, b"".join(self._pending))
        self._pending.clear()
