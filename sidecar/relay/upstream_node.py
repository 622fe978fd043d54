"""One OpenSearch node: its connections, and whether it gets requests."""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import Final
from urllib.parse import urlsplit

from sidecar.relay.counts import Counts
from sidecar.relay.descriptors import ShortageLog, are_short
from sidecar.relay.errors import OutOfDescriptors
from sidecar.relay.known_heads import response_reader
from sidecar.relay.upstream_connection import TimeLimits, UpstreamConnection

_log: Final = logging.getLogger("sidecar.relay")

IDLE_LIMIT: Final = 128
"""Maximum number of idle connections to one node; the number in use has no limit."""

_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 30.0


class UpstreamNode:
    """A node, identified by its URL. Times are those of the event loop's clock."""

    def __init__(
        self,
        url: str,
        ssl_context: ssl.SSLContext | None,
        limits: TimeLimits,
        counts: Counts,
    ) -> None:
        parts = urlsplit(url)
        self.url = url
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._ssl = ssl_context if parts.scheme == "https" else None
        self._limits = limits
        self._counts = counts
        self._read_head = response_reader()
        self._connections: set[UpstreamConnection] = set()
        self._idle: list[UpstreamConnection] = []
        self._pause_s = 0.0
        self._out_until = 0.0
        self._shortage = ShortageLog()
        counts.node_up(url, True)

    @property
    def idle(self) -> int:
        """Connections that wait for a request."""
        return len(self._idle)

    @property
    def busy(self) -> int:
        """Connections that carry a request."""
        return len(self._connections) - len(self._idle)

    def is_up(self, now: float) -> bool:
        """Whether the node gets requests: it accepts connections, or it is time to try again."""
        return now >= self._out_until

    def take_idle(self) -> UpstreamConnection | None:
        """The idle connection used last, so that surplus ones time out; None if there is none."""
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
        return None

    async def connect(self) -> UpstreamConnection:
        """Open a connection. If that fails, raise OSError and leave the node out for a while.

        The while is one second at first and doubles with each further failure, up to thirty.
        Raises OutOfDescriptors if this process may open no more files; the node then stays in use.
        """
        loop = asyncio.get_running_loop()
        if self._pause_s:
            # One request tries the node; meanwhile, other requests go to the other nodes.
            self._out_until = loop.time() + self._limits.connect
        try:
            async with asyncio.timeout(self._limits.connect):
                _, connection = await loop.create_connection(
                    self._new_connection,
                    self._host,
                    self._port,
                    ssl=self._ssl,
                    server_hostname=self._host if self._ssl else None,
                )
            if not connection.usable:
                raise ConnectionResetError("the node closed the new connection at once")
        except OSError as error:
            if are_short(error):
                self._out_until = 0.0
                self._shortage.warn("a request gets no connection to OpenSearch")
                raise OutOfDescriptors("the proxy may open no more files") from error
            self._leave_out(error)
            raise
        if self._pause_s:
            _log.info("%s accepts connections again", self.url)
            self._pause_s = self._out_until = 0.0
            self._counts.node_up(self.url, True)
        self._connections.add(connection)
        return connection

    def close(self) -> None:
        """Close all connections, including those in use."""
        for connection in list(self._connections):
            connection.close()

    def _leave_out(self, error: OSError) -> None:
        if not self._pause_s:
            _log.warning(
                "%s is left out for a while: %s", self.url, str(error) or "no connection in time"
            )
        self._pause_s = min(max(_FIRST_PAUSE_S, 2 * self._pause_s), _LONGEST_PAUSE_S)
        self._out_until = asyncio.get_running_loop().time() + self._pause_s
        self._counts.node_up(self.url, False)
        # They may still look usable if the host vanished.
        for connection in self._idle.copy():
            connection.close()

    def _new_connection(self) -> UpstreamConnection:
        return UpstreamConnection(self._released, self._lost, self._read_head, self._limits)

    def _released(self, connection: UpstreamConnection) -> None:
        if len(self._idle) < IDLE_LIMIT:
            self._idle.append(connection)
        else:
            connection.close()

    def _lost(self, connection: UpstreamConnection) -> None:
        self._connections.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
