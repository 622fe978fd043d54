"""Both ends of the relay as raw bytes: a client, and an OpenSearch that says what a test says."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from dataclasses import dataclass, field
from typing import Any, cast

from sidecar.metrics import Metrics
from sidecar.relay.client_limits import ClientLimits
from sidecar.relay.counts import Counts
from sidecar.relay.front import Forward, Take
from sidecar.relay.heads import RequestHead
from sidecar.relay.listener import Listener
from sidecar.relay.serving import Serving
from sidecar.relay.upstream_connection import TimeLimits
from sidecar.relay.upstream_pool import UpstreamPool

PATIENCE_S = 10
"""How long a test waits for bytes before it fails."""

_NO_LIMITS = TimeLimits()
_NO_CLIENT_LIMITS = ClientLimits()

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@dataclass
class Wire:
    """One end of a connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        async with asyncio.timeout(PATIENCE_S):
            await self.writer.drain()

    async def until(self, marker: bytes) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.readuntil(marker)

    async def exactly(self, size: int) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.readexactly(size)

    async def head(self) -> bytes:
        return await self.until(b"\r\n\r\n")

    async def expect(self, data: bytes) -> None:
        """The next bytes are these."""
        assert await self.exactly(len(data)) == data

    async def rest(self) -> bytes:
        """All bytes up to the end of the stream; raises ConnectionResetError on a reset."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.read()

    async def wait_closed(self) -> None:
        """The other side has gone, politely or not."""
        with contextlib.suppress(ConnectionError):
            assert await self.rest() == b""

    def read_nothing(self) -> None:
        """Leave what comes in where it is, as a slow program does."""
        cast(asyncio.Transport, self.writer.transport).pause_reading()

    def read_on(self) -> None:
        cast(asyncio.Transport, self.writer.transport).resume_reading()

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


@dataclass
class ScriptedUpstream:
    """Accepts connections; the test answers on them by hand."""

    port: int = 0
    wires: list[Wire] = field(default_factory=list)
    _accepted: asyncio.Queue[Wire] = field(default_factory=asyncio.Queue)
    _server: asyncio.Server | None = None

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", port, limit=1 << 21)
        self.port = self._server.sockets[0].getsockname()[1]

    async def accepted(self) -> Wire:
        async with asyncio.timeout(PATIENCE_S):
            return await self._accepted.get()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def none_waits(self) -> bool:
        return self._accepted.empty()

    def refuse(self) -> None:
        """Accept no more connections, and keep those that are open."""
        assert self._server is not None
        self._server.close()

    def stop(self) -> None:
        self.refuse()
        for wire in self.wires:
            wire.close()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = Wire(reader, writer)
        self.wires.append(wire)
        self._accepted.put_nowait(wire)


class TestFront:
    """A front that takes requests to paths that begin with `/taken`."""

    __test__ = False

    def __init__(self, take: Take | None = None) -> None:
        self.take = take
        self.asked = asyncio.Event()
        self.answers: list[tuple[bytes, int]] = []

    def takes(self, head: RequestHead) -> Take | None:
        self.asked.set()
        return self.take if head.target.startswith(b"/taken") else None

    def too_large(self, head: RequestHead, key: str) -> Forward:
        return Forward(add=(b"X-Rescore: skipped; reason=" + key.encode(),))

    def answered(self, head: RequestHead, status: int) -> None:
        self.answers.append((head.target, status))


class RunningRelay:
    """A listener and its pool, with the counts they make."""

    def __init__(
        self,
        front: TestFront,
        urls: list[str],
        limits: TimeLimits = _NO_LIMITS,
        clients: ClientLimits = _NO_CLIENT_LIMITS,
        **options: Any,
    ) -> None:
        self.metrics = Metrics()
        self.front = front
        counts = Counts(self.metrics)
        self.pool = UpstreamPool(urls, counts, limits=limits)
        self.listener = Listener(Serving(front, self.pool, clients, **options), counts)
        self.port = 0
        self._wires: list[Wire] = []

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        self.port = await self.listener.start("127.0.0.1", 0, tls)

    async def connect(self, tls: ssl.SSLContext | None = None) -> Wire:
        """A client's connection; with `tls`, to `localhost`."""
        host = "localhost" if tls else None
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, limit=1 << 21, ssl=tls, server_hostname=host
        )
        self._wires.append(wire := Wire(reader, writer))
        return wire

    def count(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    async def stop(self) -> None:
        await self.listener.stop(0)
        self.pool.close()
        for wire in self._wires:
            wire.close()
