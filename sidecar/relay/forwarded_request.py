"""One request on its way up as it comes, and its answer on the way back as it comes."""

from __future__ import annotations

import asyncio
from typing import Protocol

from sidecar.relay.body import CHUNKED, UNTIL_CLOSE
from sidecar.relay.errors import UpstreamError
from sidecar.relay.heads import RequestHead, ResponseHead
from sidecar.relay.shared import Shared
from sidecar.relay.upstream_connection import UpstreamConnection


class Client(Protocol):
    """The client connection, as the request that is being answered sees it."""

    def write(self, *pieces: bytes | memoryview) -> None:
        """Send bytes of an answer, which lie in one place or in several."""
        ...

    def answer_error(self, status: int, error_type: str, reason: str) -> None:
        """Answer with an error of the relay's own, and end the request."""
        ...

    def hold_body(self, hold: bool) -> None:
        """Stop reading the request's body for a while, or read on."""
        ...

    def request_ended(self, *, close: bool) -> None:
        """The whole answer is written."""
        ...

    def break_off(self, *, reset: bool) -> None:
        """The rest of the answer will not come: close, so that the client sees it cut.

        `reset`: an ordinary close would look like the answer's end.
        """
        ...


class ForwardedRequest:
    """A request without any task of its own, but for the time a new connection takes.

    `add`: header lines for the answer's head.
    """

    __slots__ = (
        "_add",
        "_answer_framing",
        "_answer_paused",
        "_client",
        "_close",
        "_complete",
        "_connecting",
        "_head",
        "_pending",
        "_shared",
        "_upstream",
    )

    def __init__(
        self, client: Client, shared: Shared, head: RequestHead, add: tuple[bytes, ...] = ()
    ) -> None:
        self._client = client
        self._shared = shared
        self._head = head
        self._add = add
        self._complete = False
        self._close = False
        self._answer_framing: int | None = None  # of an answer that has started
        self._answer_paused = False
        self._upstream: UpstreamConnection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._pending: list[bytes] = []

    @property
    def answer_has_started(self) -> bool:
        """Whether the client has the answer's head already."""
        return self._answer_framing is not None

    def start(self, data: bytes, complete: bool) -> None:
        """Send the written head and the first raw bytes of the body, or wait for a connection."""
        self._complete = complete
        connection = self._shared.pool.take_idle()
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
        if self._upstream is None:
            self._pending.append(data)
        else:
            self._upstream.write(data, complete=complete)

    def pause_answer(self) -> None:
        """The client takes the answer slower than it comes."""
        self._answer_paused = True
        if self._upstream is not None:
            self._upstream.pause_answer()

    def resume_answer(self) -> None:
        """The client is ready for more."""
        self._answer_paused = False
        if self._upstream is not None:
            self._upstream.resume_answer()

    def cancel(self) -> None:
        """Nobody waits for the answer: close the upstream connection, which cancels a search."""
        if self._connecting is not None:
            self._connecting.cancel()
        if self._upstream is not None:
            self._upstream.abandon(self)

    # From upstream: AnswerReceiver

    def answer_interim(self, raw: bytes) -> None:
        # HTTP/1.0 has no 1xx answers.
        if not self._head.http_1_0:
            self._client.write(raw)

    def answer_started(self, head: ResponseHead, received: bytes, ended: bool) -> None:
        self._shared.counts.answered(head.status)
        self._answer_framing = head.framing
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
            # A large answer is not copied for the sake of a few lines in its head.
            body = memoryview(received)[head.length :]
            self._client.write(head.write_client(add=add), body)
        else:
            self._client.write(received)
        if ended:
            self._client.request_ended(close=self._close or not self._complete)

    def answer_continued(self, body: bytes, ended: bool) -> None:
        if body:
            self._client.write(body)
        if ended:
            self._client.request_ended(close=self._close or not self._complete)

    def answer_failed(self, error: UpstreamError) -> None:
        self._shared.counts.failed(error.reason)
        if not self.answer_has_started:
            self._client.answer_error(error.status, error.reason, str(error))
        else:
            self._client.break_off(reset=self._answer_framing == UNTIL_CLOSE)

    def pause_request(self) -> None:
        self._client.hold_body(True)

    def resume_request(self) -> None:
        self._client.hold_body(False)

    # Inside

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
            connection.pause_answer()

    async def _connect(self) -> None:
        try:
            connection = await self._shared.pool.connect()
        except UpstreamError as error:
            self.answer_failed(error)
            return
        self._client.hold_body(False)
        self._begin(connection, b"".join(self._pending))
        self._pending.clear()
