"""A real Redis server for tests, on a free port, that a test may kill, stop, fill and flush."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.debian_programs import find_program

_PACKAGES = ("redis-server", "redis-tools", "libjemalloc2", "liblzf1", "liblua5.1-0")
_STARTS = 20


class ValkeyServer:
    """A running server. `port` is the same after `kill` and `start`."""

    def __init__(self, folder: Path, options: Sequence[str], tls: bool) -> None:
        self._program = find_program("redis-server", _PACKAGES)
        self._folder = folder
        self._options = options
        self._tls = tls
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"{'rediss' if self._tls else 'redis'}://127.0.0.1:{self.port}"

    def client(self, **options: Any) -> Any:
        """A client of the test's own."""
        valkey = pytest.importorskip("valkey")
        return valkey.Valkey(port=self.port, **options)

    def start(self) -> None:
        """Start it, on the former port if it had one, and wait until it accepts connections."""
        for _ in range(_STARTS):
            port = self.port or free_port()
            ports = ["--port", "0", "--tls-port", str(port)] if self._tls else ["--port", str(port)]
            fixed = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
            self._process = subprocess.Popen(
                [self._program.path, *ports, *fixed, *self._options],
                cwd=self._folder,
                env=self._program.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            assert self._process.stdout is not None
            for line in self._process.stdout:
                if b"Ready to accept connections" in line:
                    self.port = port
                    return
            self._end()
        raise AssertionError("the server does not start")

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._end()

    def stop_answering(self) -> None:
        """Connections stay open, and nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def answer_again(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _end(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process.wait(timeout=60)

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()


def free_port() -> int:
    """A port that was free a moment ago; who uses it tries again with another."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def running_valkey(
    folder: Path, options: Sequence[str] = (), *, tls: bool = False
) -> Iterator[ValkeyServer]:
    """Start a server with these command line options."""
    pytest.importorskip("valkey")
    server = ValkeyServer(folder, options, tls)
    try:
        server.start()
        yield server
    finally:
        server.close()
