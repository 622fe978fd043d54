"""What a turn of the event loop costs while clients and nodes send as much as they like.

Clients and nodes run in threads of their own, so that the loop's thread has the relay alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import threading
import time

TURN_LIMIT_S = 0.02
"""CPU time that one turn may take."""


class TurnMeter:
    """The most CPU time that this thread took between two turns of its event loop."""

    def __init__(self) -> None:
        self.worst_s = 0.0
        self.total_s = 0.0
        self._loop = asyncio.get_running_loop()
        self._last = 0.0
        self._handle: asyncio.Handle | None = None

    def __enter__(self) -> TurnMeter:
        # A whole test run's objects are looked through in one turn otherwise.
        gc.collect()
        gc.disable()
        self._last = time.thread_time()
        self._handle = self._loop.call_soon(self._tick)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._handle is not None
        self._handle.cancel()
        gc.enable()

    def _tick(self) -> None:
        now = time.thread_time()
        self.worst_s = max(self.worst_s, now - self._last)
        self.total_s += now - self._last
        self._last = now
        self._handle = self._loop.call_soon(self._tick)


class ThreadedNode:
    """An OpenSearch that sends the same answer whenever `marker` has come."""

    def __init__(self, answer: bytes, marker: bytes) -> None:
        self._answer = answer
        self._marker = marker
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        behind = b""
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(1 << 20):
                data = behind + data
                for _ in range(data.count(self._marker)):
                    connection.sendall(self._answer)
                behind = data[len(data) - len(self._marker) + 1 :]


def ask(port: int, pieces: list[bytes], answers: int = 1, marker: bytes = b"HTTP/1.1 ") -> bytes:
    """Send the pieces and read until so many markers, or the end, have come; returns it all."""
    received = bytearray()
    with socket.create_connection(("127.0.0.1", port), 30) as connection:

        def read() -> None:
            with contextlib.suppress(ConnectionError):
                while received.count(marker) < answers and (data := connection.recv(1 << 20)):
                    received.extend(data)

        reader = threading.Thread(target=read)
        reader.start()
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                connection.sendall(piece)
        reader.join(30)
        assert not reader.is_alive(), bytes(received[-200:])
    return bytes(received)
