"""An OpenSearch that answers at once, in a thread of its own: many requests in little time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from tests.traps.scripted import json_answer, search_answer

_SEARCHED = search_answer(20)
_DONE = json_answer(b'{"took":1,"errors":false,"items":[]}')


class _Connection(asyncio.Protocol):
    """Answers requests with a Content-Length or no body."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n") + 4) > 3:
            head = self._buffer[:end].lower()
            length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
            end += int(length or 0)
            if len(self._buffer) < end:
                return
            self._buffer = self._buffer[end:]
            self._transport.write(_SEARCHED if b"/_search" in head else _DONE)


@contextmanager
def running_busy_node() -> Iterator[str]:
    """Start it; gives its URL."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="busy-node")
    thread.start()

    async def start() -> asyncio.Server:
        return await loop.create_server(_Connection, "127.0.0.1", 0)

    async def stop() -> None:
        # Its clients have closed their connections by now.
        server.close()

    server = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
