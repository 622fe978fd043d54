"""One request that the front took out of the stream: its whole body, then the front's answer."""

from __future__ import annotations

import asyncio
import logging
from typing import Final, Protocol

from sidecar.relay.body import unframe
from sidecar.relay.forwarded_request import Client
from sidecar.relay.front import Answer, Forward, Request, Take
from sidecar.relay.heads import RequestHead
from sidecar.relay.shared import Shared

_log: Final = logging.getLogger("sidecar.relay")

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class ForwardingClient(Client, Protocol):
    """A client connection that can also send a held request on its ordinary way."""

    @property
    def must_close(self) -> bool:
        """Whether the connection ends with this answer, whatever the answer is."""
        ...

    def forward(
        self,
        head: RequestHead,
        body: bytes,
        complete: bool,
        *,
        add: tuple[bytes, ...],
        drop: tuple[bytes, ...],
    ) -> None:
        """Forward the request in place of the taken one; `body` is what was held, raw."""
        ...


class TakenRequest:
    """A request that waits for its body and then for its Take.

    The raw bytes of the body are kept: if it is forwarded after all, it goes as it came.
    """

    __slots__ = ("_body", "_cancelled", "_client", "_head", "_shared", "_size", "_take", "_task")

    def __init__(
        self, client: ForwardingClient, shared: Shared, head: RequestHead, take: Take
    ) -> None:
        self._client = client
        self._shared = shared
        self._head = head
        self._take = take
        self._body: list[bytes] = []
        self._size = 0
        self._cancelled = False
        self._task: asyncio.Task[None] | None = None

    @property
    def answer_has_started(self) -> bool:
        """Never: the answer is written at once, as the last thing."""
        return False

    def start(self, body: bytes, complete: bool) -> None:
        """Hold the first raw bytes of the body; ask for the rest if the client waits for that."""
        too_large = max(self._head.framing, len(body)) > self._shared.body_limit
        if too_large:
            self._forward(self._too_large(), body, complete, drop=())
            return
        expects = (self._head.get(b"expect") or b"").lower() == b"100-continue"
        if expects and not body and not complete and not self._head.http_1_0:
            self._client.write(_CONTINUE)
        self.body_received(body, complete)

    def body_received(self, data: bytes, complete: bool) -> None:
        """More raw bytes of the request's body."""
        self._body.append(data)
        self._size += len(data)
        if self._size > self._shared.body_limit:
            held = b"".join(self._body)
            self._forward(self._too_large(), held, complete)
        elif complete:
            self._task = self._shared.start(self._run(b"".join(self._body)))

    def pause_answer(self) -> None:
        """Nothing to pause: the answer comes at once or not at all."""

    def resume_answer(self) -> None:
        """Nothing was paused."""

    def cancel(self) -> None:
        """Nobody waits for the answer."""
        self._cancelled = True
        if self._task is not None:
            self._task.cancel()

    async def _run(self, raw: bytes) -> None:
        request = Request(self._head, unframe(raw, self._head.framing))
        try:
            outcome = await self._take(request)
        except asyncio.CancelledError:
            # Cancelled by something inside the take: the client is still there and waits.
            if self._cancelled:
                raise
            outcome = self._front_failed()
        except Exception:
            outcome = self._front_failed()
        if self._cancelled:
            return
        if isinstance(outcome, Forward):
            self._forward(outcome, raw, True)
        else:
            self._answer(outcome)

    def _too_large(self) -> Forward:
        try:
            return self._shared.front.too_large(self._head)
        except Exception:
            return self._front_failed()

    def _front_failed(self) -> Forward:
        _log.exception("rescoring failed; the search is forwarded as it came")
        self._shared.counts.failed("front")
        return Forward()

    def _forward(
        self,
        outcome: Forward,
        body: bytes,
        complete: bool,
        drop: tuple[bytes, ...] = (b"expect",),
    ) -> None:
        """Dropped is Expect, which was answered here already."""
        self._client.forward(self._head, body, complete, add=outcome.add, drop=drop)

    def _answer(self, answer: Answer) -> None:
        close = self._client.must_close
        connection = b""
        if close:
            connection = b"Connection: close\r\n"
        elif self._head.http_1_0:
            connection = b"Connection: keep-alive\r\n"
        body = b"" if self._head.method == b"HEAD" else answer.body
        self._shared.counts.answered(int(answer.head[9:12]))
        self._client.write(answer.head[:-2] + connection + b"\r\n" + body)
        self._client.request_ended(close=close)
