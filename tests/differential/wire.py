"""Connections that are kept open, so that thousands of requests cost no more than themselves."""

from __future__ import annotations

import select
import socket

from tests.raw_http import RawResponse, read_response

_SECONDS = 20


class KeptConnection:
    """One connection to a server, made anew whenever the server has closed it. One thread's."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._socket: socket.socket | None = None

    def exchange(self, raw: bytes) -> RawResponse | str:
        """Send one request and read the answer; a text says why there is no whole one."""
        try:
            connection = self._open()
            connection.sendall(raw)
            # No byte of a next answer can be swallowed here: one request, one answer at a time.
            with connection.makefile("rb") as stream:
                response = read_response(stream, method=raw.split(b" ", 1)[0])
        except (OSError, EOFError, ValueError) as error:
            self.close()
            return f"{type(error).__name__}: {error}"
        asked = raw.partition(b"\r\n\r\n")[0].lower()
        if b"connection: close" in asked + response.head.lower():
            self.close()  # it may be gone in a moment, and OpenSearch does not say so
        return response

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _open(self) -> socket.socket:
        if self._socket is not None:
            # Readable while nothing is expected: the server has closed it, or sent too much.
            readable, _, _ = select.select([self._socket], [], [], 0)
            if not readable:
                return self._socket
            left = self._socket.recv(100)
            self.close()
            if left:
                raise ValueError(f"bytes behind the last answer: {left!r}")
        self._socket = socket.create_connection(self._address, _SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._socket
