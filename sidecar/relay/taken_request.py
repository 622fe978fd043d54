"""One request that the front answers: first its whole body is collected, then the front runs."""

from __future__ import annotations

import asyncio
import logging
from io import BytesIO
from time import monotonic
from typing import Final, Protocol

from sidecar.relay.body import Pieces
from sidecar.relay.forwarded_request import Client
from sidecar.relay.front import (
    SEARCH_BYTES,
    UNFINISHED_MB,
    Answer,
    Ended,
    Forward,
    Request,
    Take,
)
from sidecar.relay.heads import RequestHead
from sidecar.relay.serving import Serving
from sidecar.relay.shared import SharedState

_log: Final = logging.getLogger("sidecar.relay")

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_FRAMING_SHARE: Final = 4
"""A chunked body, with its size lines, may be this many times as large as its content may."""


class ForwardingClient(Client, Protocol):
    """A client connection that can also forward a request that the front was to answer."""

    @property
    def must_close(self) -> bool:
        """Whether the connection ends with this answer, whatever the answer is."""
        ...

    @property
    def address(self) -> str:
        """The IP address of the connection's other end."""
        ...

    def forward(
        self,
        serving: Serving,
        head: RequestHead,
        body: bytes,
        complete: bool,
        *,
        add: tuple[bytes, ...],
        drop: tuple[bytes, ...],
        ended: Ended | None,
    ) -> None:
        """Forward the request after all; `body`: the raw bytes that were collected.

        `ended` is called once, however the request ends.
        """
        ...


class TakenRequest:
    """A request that waits for its body and then for its Take.

    It keeps the body's raw bytes, so that it can still be forwarded unchanged.
    """

    __slots__ = (
        *("_body", "_cancelled", "_client", "_content", "_head", "_shared", "_take", "_task"),
        *("_started", "_unfinished", "serving"),
    )

    def __init__(
        self,
        client: ForwardingClient,
        shared: SharedState,
        serving: Serving,
        head: RequestHead,
        take: Take,
        content: BytesIO | None,
    ) -> None:
        """`content`: gets the content of a chunked body; None for any other body."""
        self._client = client
        self._shared = shared
        self.serving = serving
        self._head = head
        self._started = monotonic()
        self._take = take
        self._body = Pieces()
        self._content = content
        self._unfinished = 0  # its share of `shared.unfinished`
        self._cancelled = False
        self._task: asyncio.Task[None] | None = None

    @property
    def answer_has_started(self) -> bool:
        """Never: the whole answer is written at once, at the end."""
        return False

    @property
    def waits_for_node(self) -> bool:
        """Never: nothing was sent to a node yet."""
        return False

    def start(self, body: bytes, complete: bool) -> None:
        """Keep the first raw bytes of the body; send 100 Continue if the client waits for it."""
        expect = None if self._head.http_1_0 else self._head.get(b"expect")
        unknown = expect is not None and expect.lower() != b"100-continue"
        if unknown and not self.serving.only_replaced:
            # OpenSearch supports no other expectation, and answers so itself.
            self._forward(Forward(), body, complete, drop=())
            return
        if self._head.framing > self.serving.limits.body_bytes:
            self._end(self._too_large(SEARCH_BYTES), body, complete, drop=())
            return
        if expect is not None and not unknown and not body and not complete:
            self._client.write(_CONTINUE)
        self.body_received(body, complete)

    def body_received(self, data: bytes, complete: bool) -> None:
        """More raw bytes of the request's body."""
        self._body.add(data)
        key = self._exceeded()
        if key is None and not complete:
            key = self._count_unfinished()
        if key is not None or complete:
            self._count_no_more()
            raw = self._body.take()
            if key is not None:
                self._end(self._too_large(key), raw, complete)
            else:
                self._task = self._shared.start(self._run(raw))

    def _exceeded(self) -> str | None:
        limit, size = self.serving.limits.body_bytes, len(self._body)
        if self._content is not None:
            size = max(self._content.tell(), size // _FRAMING_SHARE)
        return SEARCH_BYTES if size > limit else None

    def _count_unfinished(self) -> str | None:
        """Update `shared.unfinished`; return the limit's key if all clients together exceed it."""
        held = len(self._body) + (self._content.tell() if self._content else 0)
        self._shared.unfinished += held - self._unfinished
        self._unfinished = held
        beyond = self._shared.unfinished > self.serving.limits.unfinished_bytes
        return UNFINISHED_MB if beyond else None

    def _count_no_more(self) -> None:
        self._shared.unfinished -= self._unfinished
        self._unfinished = 0

    def pause_answer(self) -> None:
        """Nothing to pause: the answer is written at once."""

    def resume_answer(self) -> None:
        """Nothing was paused."""

    def cancel(self) -> None:
        """The client has left."""
        self._count_no_more()
        self._cancelled = True
        if self._task is not None:
            self._task.cancel()
            # The error's traceback refers to this request, so the two would be kept until a full
            # garbage collection.
            self._task = None

    async def _run(self, raw: bytes) -> None:
        body = raw if self._content is None else self._content.getvalue()
        self._content = None
        request = Request(self._head, body, self._client.address)
        try:
            outcome = await self._take(request)
        except asyncio.CancelledError:
            # Something within the take cancelled it: the client is still there and waits.
            if self._cancelled:
                raise
            outcome = self._front_failed()
        except Exception:
            outcome = self._front_failed()
        if self._cancelled:
            if isinstance(outcome, Forward):
                outcome.tell_end(0, "client_gone")
            return
        self._end(outcome, raw, True)

    def _end(
        self,
        outcome: Forward | Answer,
        raw: bytes,
        complete: bool,
        drop: tuple[bytes, ...] = (b"expect",),
    ) -> None:
        if isinstance(outcome, Forward):
            self._forward(outcome, raw, complete, drop)
        else:
            self._answer(outcome, complete)

    def _too_large(self, key: str) -> Forward | Answer:
        try:
            return self.serving.front.too_large(self._head, key)
        except Exception:
            return self._front_failed()

    def _front_failed(self) -> Forward:
        _log.exception("rescoring failed; the search is forwarded unchanged")
        self._shared.counts.failed("front")
        return Forward()

    def _forward(
        self,
        outcome: Forward,
        body: bytes,
        complete: bool,
        drop: tuple[bytes, ...] = (b"expect",),
    ) -> None:
        """Forward the request, or the one in its place.

        By default without Expect, which was already answered here.
        """
        head = self._head
        if outcome.instead is None and self.serving.only_replaced:
            self._client.answer_error(500, "not_signed", "the request could not be signed")
            outcome.tell_end(500, "not_signed")
            return
        if outcome.instead is not None:
            head, body = outcome.instead.head, outcome.instead.body
        self._client.forward(
            self.serving, head, body, complete, add=outcome.add, drop=drop, ended=outcome.ended
        )

    def _answer(self, answer: Answer, complete: bool) -> None:
        close = self._client.must_close or not complete
        connection = b""
        if close:
            connection = b"Connection: close\r\n"
        elif self._head.http_1_0:
            connection = b"Connection: keep-alive\r\n"
        body = b"" if self._head.method == b"HEAD" else answer.body
        self._shared.counts.answered(int(answer.head[9:12]))
        self._shared.counts.answered_here(monotonic() - self._started)
        self._client.write(answer.head[:-2] + connection + b"\r\n" + body)
        self._client.request_ended(close=close)
