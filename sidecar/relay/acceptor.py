"""The proxy's listening sockets, which accept a few connections at a time.

An event loop's own server accepts all waiting connections in one turn, and cannot refuse any.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Final

from sidecar.relay.descriptors import ShortageLog, are_short

_log: Final = logging.getLogger("sidecar.relay")

ACCEPTS_AT_ONCE: Final = 16
"""Connections accepted in one turn of the event loop; each takes up to 0.1 ms."""

_BACKLOG: Final = 1024
_PAUSE_S: Final = 0.1

Accepted = Callable[[socket.socket, str], None]


class Acceptor:
    """Listens on one address; calls `accepted` with each connection and its client's address."""

    def __init__(self, accepted: Accepted, failed: Callable[[], None]) -> None:
        """Create it within the event loop that it runs in.

        It calls `failed` if no descriptor is left for a connection.
        """
        self._loop = asyncio.get_running_loop()
        self._accepted = accepted
        self._failed = failed
        self._sockets: list[socket.socket] = []
        self._timers: dict[socket.socket, asyncio.TimerHandle] = {}
        self._shortage = ShortageLog()

    async def open(
        self, host: str, port: int, inherited: Sequence[socket.socket] = ()
    ) -> socket.socket:
        """Listen on all addresses of a host; return the first socket. Raises OSError.

        `inherited`: sockets that listen there already, which are used instead.
        """
        if inherited:
            self._sockets += inherited
            return self._begin()
        addresses = await self._loop.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        try:
            for family, _, _, _, address in dict.fromkeys(addresses):
                self._sockets.append(listen_on(family, address))
        except OSError:
            self.close()
            raise
        return self._begin()

    def _begin(self) -> socket.socket:
        for sock in self._sockets:
            self._loop.add_reader(sock, self._accept, sock)
        return self._sockets[0]

    def close(self) -> None:
        """Accept no more connections."""
        for timer in self._timers.values():
            timer.cancel()
        for sock in self._sockets:
            self._loop.remove_reader(sock)
            sock.close()
        self._sockets.clear()

    def _accept(self, sock: socket.socket) -> None:
        for _ in range(ACCEPTS_AT_ONCE):
            try:
                connection, address = sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._pause(sock, error)
                return
            connection.setblocking(False)
            self._accepted(connection, address[0])

    def _pause(self, sock: socket.socket, error: OSError) -> None:
        """Accept nothing for a while: it failed, and would fail again at once."""
        if are_short(error):
            self._failed()
            self._shortage.warn("client connections wait to be accepted")
        else:
            _log.error("cannot accept a connection: %s", error)
        self._loop.remove_reader(sock)
        self._timers[sock] = self._loop.call_later(
            _PAUSE_S, self._loop.add_reader, sock, self._accept, sock
        )


async def serve_accepted(
    connection: socket.socket,
    protocol: asyncio.BaseProtocol,
    tls: ssl.SSLContext | None,
    handshake_s: float,
) -> bool:
    """Hand an accepted connection to its protocol; return False if the TLS handshake fails."""
    loop = asyncio.get_running_loop()
    try:
        await loop.connect_accepted_socket(
            lambda: protocol,
            connection,
            ssl=tls,
            ssl_handshake_timeout=handshake_s if tls else None,
        )
    except OSError:
        connection.close()
        return False
    except BaseException:
        connection.close()
        raise
    return True


def listen_on(family: socket.AddressFamily, address: tuple[object, ...]) -> socket.socket:
    """A socket that listens on one address and does not block. Raises OSError."""
    # With the protocol named, the event loop switches Nagle's algorithm off on each connection:
    # else the second of two small writes waits for the client's acknowledgement, 40 ms.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock
