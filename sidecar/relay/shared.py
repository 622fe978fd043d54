"""What all client connections of one listener use together."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

from sidecar.relay.counts import Counts
from sidecar.relay.front import Front
from sidecar.relay.known_heads import request_reader
from sidecar.relay.upstream_pool import UpstreamPool


class OpenConnection(Protocol):
    """A client connection, as the listener sees it when it stops."""

    def drain(self) -> None:
        """Close as soon as the request in work is answered."""
        ...

    def abort(self) -> None:
        """Close now."""
        ...


class Shared:
    """The front, the pool, the counts; the open connections and the running tasks.

    `body_limit`: bytes of a taken request's raw body that are held; a larger one is forwarded.
    `idle_timeout`: seconds after which an idle client is closed, None for never.
    `forwarded_for`: whether nodes are told the clients' addresses.
    """

    def __init__(
        self,
        front: Front,
        pool: UpstreamPool,
        counts: Counts,
        *,
        body_limit: int,
        idle_timeout: float | None,
        forwarded_for: bool,
    ) -> None:
        self.front = front
        self.pool = pool
        self.counts = counts
        self.body_limit = body_limit
        self.idle_timeout = idle_timeout
        self.forwarded_for = forwarded_for
        self.read_head = request_reader()
        self.loop = asyncio.get_running_loop()
        self.draining = False
        self.connections: set[OpenConnection] = set()
        self.no_connections = asyncio.Event()
        self.no_connections.set()
        self.tasks: set[asyncio.Task[None]] = set()

    def opened(self, connection: OpenConnection) -> None:
        """Keep account of a client connection."""
        self.connections.add(connection)
        self.no_connections.clear()

    def closed(self, connection: OpenConnection) -> None:
        """The client connection is gone."""
        self.connections.discard(connection)
        if not self.connections:
            self.no_connections.set()

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run work beside the protocols, held until it ends."""
        task = self.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task
