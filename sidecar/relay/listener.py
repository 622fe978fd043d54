"""The proxy listener: accepts applications' connections, and lets them finish when it stops."""

from __future__ import annotations

import asyncio
import ssl
from typing import Final

from sidecar.relay.client_connection import ClientConnection
from sidecar.relay.counts import Counts
from sidecar.relay.front import Front
from sidecar.relay.shared import Shared
from sidecar.relay.upstream_pool import UpstreamPool

BODY_LIMIT: Final = 8 << 20
"""Bytes of a taken request's body that are held by default."""

_BACKLOG: Final = 1024


class Listener:
    """One listening address. The pool is the caller's, who closes it after `stop`."""

    def __init__(
        self,
        front: Front,
        pool: UpstreamPool,
        counts: Counts,
        *,
        body_limit: int = BODY_LIMIT,
        idle_timeout: float | None = None,
        forwarded_for: bool = False,
    ) -> None:
        """To be made within the event loop that it will run in; the options as in Shared."""
        self._shared = Shared(
            front,
            pool,
            counts,
            body_limit=body_limit,
            idle_timeout=idle_timeout,
            forwarded_for=forwarded_for,
        )
        self._server: asyncio.Server | None = None
        counts.watch_clients(lambda: len(self._shared.connections))

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Accept connections; returns the port, which the system chooses for 0. Raises OSError."""
        self._server = await self._shared.loop.create_server(
            lambda: ClientConnection(self._shared), host, port, backlog=_BACKLOG, ssl=tls
        )
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self, grace_s: float) -> None:
        """Accept no more, close idle connections, let requests in flight finish, then abort."""
        shared = self._shared
        shared.draining = True
        if self._server is not None:
            self._server.close()
        for connection in list(shared.connections):
            connection.drain()
        try:
            async with asyncio.timeout(grace_s):
                await shared.no_connections.wait()
        except TimeoutError:
            for connection in list(shared.connections):
                connection.abort()
            await shared.no_connections.wait()
        if shared.tasks:
            await asyncio.wait(shared.tasks)
