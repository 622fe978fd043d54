"""What the parent tells the template by its environment, and a worker its parent by a connection.

The control connection has lines from the worker: `listening`, then `ready`. The parent sends
nothing; when it ends, the worker reads the end of the stream and stops.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

VARIABLE: Final = "RESCORE_SIDECAR_WORKER"
"""The environment variable that makes `sidecar serve` the template; only the parent sets it."""


@dataclass(frozen=True, slots=True)
class WorkerPart:
    """One worker's part. `proxy`, `api` and `control` are inherited descriptors.

    `folder` has the socket on which each worker answers the others. An `early` worker loads no
    models: it relays while the template loads them, and then another one takes its place.
    """

    number: int
    count: int
    proxy: list[int]
    api: list[int]
    control: int
    folder: str
    early: bool = False

    def to_text(self) -> str:
        """The value of the environment variable."""
        return json.dumps(asdict(self))

    def socket_of(self, number: int) -> Path:
        """Where this worker, or another one, answers."""
        return Path(self.folder) / f"{number}.sock"


def read_part(environment: Mapping[str, str]) -> WorkerPart | None:
    """The part of the template, which its workers' are made of; None in another process."""
    text = environment.get(VARIABLE)
    return None if text is None else WorkerPart(**json.loads(text))


def _inherit(descriptors: list[int]) -> list[socket.socket]:
    """Listening sockets of the parent, not blocking."""
    sockets = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    for sock in sockets:
        sock.setblocking(False)
        sock.set_inheritable(False)
    return sockets


def inherit_listening(
    part: WorkerPart | None,
) -> tuple[list[socket.socket], list[socket.socket]]:
    """The proxy's and the api listener's sockets; none if this process is no worker."""
    return (_inherit(part.proxy), _inherit(part.api)) if part is not None else ([], [])


class ParentLink:
    """A worker's end of the control connection."""

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        self._socket = socket.socket(fileno=descriptor)
        self._socket.setblocking(False)

    def tell(self, state: str) -> None:
        """Tell the parent a state; nothing if the parent has ended."""
        try:
            self._socket.send(state.encode() + b"\n")
        except OSError:
            return

    def watch(self, ended: Callable[[], None]) -> None:
        """Call `ended` when the parent ends."""
        loop = asyncio.get_running_loop()

        def read() -> None:
            loop.remove_reader(self._socket)
            ended()

        loop.add_reader(self._socket, read)
