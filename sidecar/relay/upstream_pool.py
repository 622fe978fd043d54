"""The pool: chooses a node and a connection for each request, and makes whole exchanges.

Requests go to the available nodes in turn. A request is sent once. Only if a node accepts no
connection is the next node tried: a node whose connection broke midway may have done the work.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Sequence
from io import BytesIO
from typing import Final

from sidecar.relay.body import CHUNKED, Pieces
from sidecar.relay.counts import Counts
from sidecar.relay.errors import ResponseTooLarge, UpstreamError, UpstreamUnavailable
from sidecar.relay.front import Response
from sidecar.relay.heads import ResponseHead
from sidecar.relay.upstream_connection import TimeLimits, UpstreamConnection
from sidecar.relay.upstream_node import UpstreamNode

_DEFAULT_LIMITS: Final = TimeLimits()


class UpstreamPool:
    """Connections to the nodes of one cluster. Call all methods in the event loop's thread."""

    def __init__(
        self,
        urls: Sequence[str],
        counts: Counts,
        *,
        ssl_context: ssl.SSLContext | None = None,
        limits: TimeLimits = _DEFAULT_LIMITS,
    ) -> None:
        """`urls`: `http://host:port` or `https://...`; the latter need the `ssl_context`."""
        self._nodes = [UpstreamNode(url, ssl_context, limits, counts) for url in urls]
        self._turn = 0
        self.watch(counts)

    def watch(self, counts: Counts) -> None:
        """Let the metric of connections show those of this pool."""
        counts.watch_upstream(
            lambda: sum(node.busy for node in self._nodes),
            lambda: sum(node.idle for node in self._nodes),
        )

    def take_idle(self) -> UpstreamConnection | None:
        """An idle connection to the node whose turn it is; None if it has none."""
        nodes = self._nodes
        node = nodes[0] if len(nodes) == 1 else self._in_turn()[0]
        connection = node.take_idle()
        if connection is not None:
            self._turn += 1
        return connection

    async def connect(self) -> UpstreamConnection:
        """Open a connection to the node whose turn it is, or else to the next that accepts one.

        Raises UpstreamUnavailable if no node does, and OutOfDescriptors.
        """
        nodes = self._in_turn()
        self._turn += 1
        for node in nodes:
            with contextlib.suppress(OSError):
                return await node.connect()
        raise UpstreamUnavailable("no OpenSearch node accepts a connection; is it running?")

    async def exchange(self, head: bytes, body: bytes = b"", *, limit: int) -> Response:
        """Send one request and return the whole answer, without chunks, still content-coded.

        `head` and `body` as `RequestHead.write_with_body` returns them. `limit`: the maximum bytes
        of raw body in the answer. Cancelling closes the connection.

        Raises UpstreamUnavailable or OutOfDescriptors (nothing was sent), UpstreamBroken,
        UpstreamTimeout or ResponseTooLarge.
        """
        connection = self.take_idle() or await self.connect()
        collector = _Collector(connection, limit)
        connection.begin(
            collector,
            head + body,
            complete=True,
            to_head=head.startswith(b"HEAD "),
            payload=collector.payload,
        )
        try:
            return await collector.whole
        finally:
            connection.abandon(collector)
            # It has the error, whose traceback refers to this frame, so the two would be kept until
            # a full garbage collection.
            del collector

    def close(self) -> None:
        """Close every connection."""
        for node in self._nodes:
            node.close()

    def _in_turn(self) -> list[UpstreamNode]:
        """The nodes that are up, the one whose turn it is first; all nodes if none is up."""
        first = self._turn % len(self._nodes)
        nodes = self._nodes[first:] + self._nodes[:first]
        now = asyncio.get_running_loop().time()
        return [node for node in nodes if node.is_up(now)] or nodes


class _Collector:
    """An AnswerReceiver that collects a whole answer; `payload`: the content of a chunked one."""

    def __init__(self, connection: UpstreamConnection, limit: int) -> None:
        self.whole: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._connection = connection
        self._left = limit
        self._head: ResponseHead
        self._pieces = Pieces()
        self.payload = BytesIO()

    def answer_interim(self, raw: bytes) -> None:
        pass

    def answer_started(self, head: ResponseHead, received: bytes, ended: bool) -> None:
        self._head = head
        if head.framing > self._left:
            self._refuse()
        else:
            self.answer_continued(received[head.length :], ended)

    def answer_continued(self, body: bytes, ended: bool) -> None:
        self._left -= len(body)
        if self._left < 0:
            self._refuse()
            return
        chunked = self._head.framing == CHUNKED
        if not chunked:
            self._pieces.add(body)
        if ended and not self.whole.done():
            content = self.payload.getvalue() if chunked else self._pieces.take()
            self.whole.set_result(Response(self._head, content))

    def answer_failed(self, error: UpstreamError) -> None:
        if not self.whole.done():
            self.whole.set_exception(error)

    def pause_request(self) -> None:
        pass

    def resume_request(self) -> None:
        pass

    def _refuse(self) -> None:
        self._connection.abandon(self)
        if not self.whole.done():
            self.whole.set_exception(
                ResponseTooLarge("the answer is larger than the proxy may hold in memory")
            )
