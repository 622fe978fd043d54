"""What all client connections of one listener share."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Coroutine
from typing import Any, Final, Protocol

from sidecar.relay.counts import Counts
from sidecar.relay.known_heads import request_reader
from sidecar.relay.serving import Serving

_LOOKED_AT: Final = 64
"""How many connections one search for an idle one examines; the next search goes on from there."""


class OpenConnection(Protocol):
    """A client connection, as the listener sees it when it stops."""

    def drain(self) -> None:
        """Close as soon as the current request is answered."""
        ...

    def abort(self) -> None:
        """Close now."""
        ...

    def close_if_idle(self) -> bool:
        """Close if there is no request on the connection; return whether it was closed."""
        ...


class SharedState:
    """What new requests are served with, the counts, the open connections and the running tasks.

    `unfinished`: how many bytes it holds of bodies that are not yet whole, for requests that the
    front takes.
    """

    def __init__(self, serving: Serving, counts: Counts) -> None:
        self.serving = serving
        self.counts = counts
        self.unfinished = 0
        self.read_head = request_reader()
        self.loop = asyncio.get_running_loop()
        self.draining = False
        self.connections: OrderedDict[OpenConnection, None] = OrderedDict()
        self.no_connections = asyncio.Event()
        self.no_connections.set()
        self.tasks: set[asyncio.Task[None]] = set()

    def opened(self, connection: OpenConnection) -> None:
        """Register a client connection."""
        self.connections[connection] = None
        self.no_connections.clear()

    def closed(self, connection: OpenConnection) -> None:
        """Remove a client connection."""
        self.connections.pop(connection, None)
        if not self.connections:
            self.no_connections.set()

    def close_an_idle_one(self) -> bool:
        """Close one of the oldest idle client connections; return False if none was found."""
        for _ in range(min(_LOOKED_AT, len(self.connections))):
            connection = next(iter(self.connections))
            self.connections.move_to_end(connection)
            if connection.close_if_idle():
                return True
        return False

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run work in a task, and hold a reference to the task until it ends."""
        task = self.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task
