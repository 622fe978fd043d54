"""The parent's end of its template: starts that process, and asks it for workers."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sidecar.workers.sharing import VARIABLE, WorkerPart
from sidecar.workers.template import CLOSE, FORK, LOAD, Order


class TemplateEnded(Exception):
    """The template ended before it had forked the worker."""


class ForkedWorker:
    """A process that a template has forked. It can be signalled until it has ended."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.ended: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        """Its exit status (negative: the signal); None if the template ended before it."""

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if not self.ended.done():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return


class Forking:
    """A running template. Belongs to one event loop; `ended` is its exit status."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        control: socket.socket,
        loaded: asyncio.Event,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.has_loaded = False
        self.ended: asyncio.Future[int] = loop.create_future()
        self._process = process
        self._loaded = loaded
        self._orders = control.dup()
        self._ordering = asyncio.Lock()
        self._started: asyncio.Future[ForkedWorker] | None = None
        self._workers: dict[int, ForkedWorker] = {}
        self._following = loop.create_task(self._follow(control))

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        part: WorkerPart,
        environment: Mapping[str, str],
        loaded: asyncio.Event,
    ) -> Forking:
        """Run `command` as the template of workers with this part; its control is replaced.

        `loaded` is set while it runs and has loaded what workers share.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            part = replace(part, control=theirs.fileno())
            process = await asyncio.create_subprocess_exec(
                *command,
                env={**environment, VARIABLE: part.to_text()},
                pass_fds=(*part.proxy, *part.api, part.control),
                stdin=asyncio.subprocess.DEVNULL,
            )
        return cls(process, ours, loaded)

    async def fork(self, number: int, early: bool, control: socket.socket) -> ForkedWorker:
        """A new worker, which gets `control` as its control connection; raises TemplateEnded."""
        async with self._ordering:
            if self._following.done():
                raise TemplateEnded
            started: asyncio.Future[ForkedWorker] = asyncio.get_running_loop().create_future()
            self._started = started
            self._send(Order(FORK, number, early), control.fileno())
            await asyncio.wait((started, self._following), return_when=asyncio.FIRST_COMPLETED)
            if not started.done():
                raise TemplateEnded
            return started.result()

    async def wait_for_end(self, worker: ForkedWorker, connected: asyncio.Task[None]) -> int | None:
        """A worker's exit status; None if this template has ended before it.

        `connected` ends with the worker's control connection.
        """
        await asyncio.wait((connected, worker.ended), return_when=asyncio.FIRST_COMPLETED)
        if not worker.ended.done():
            ends = (worker.ended, self._following)
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if not worker.ended.done():
            worker.ended.set_result(None)
        await connected  # what it said before it ended
        return worker.ended.result()

    def load(self) -> None:
        """Let it load what workers share. It reads no other order meanwhile."""
        self._send(Order(LOAD))

    async def close_listening(self) -> None:
        """Let it close its listening sockets; one that is still loading is killed."""
        if self.has_loaded:
            async with self._ordering:
                self._send(Order(CLOSE))
        elif not self.ended.done():
            self._process.kill()

    async def end(self) -> None:
        """End it, once no worker is left."""
        if not self._following.done():
            self._orders.shutdown(socket.SHUT_WR)
        await self._following

    def _send(self, order: Order, *descriptors: int) -> None:
        try:
            socket.send_fds(self._orders, [order.to_line()], descriptors)
        except OSError:  # it has ended
            return

    async def _follow(self, control: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=control)
        try:
            while line := await reader.readline():
                match line.decode().split():
                    case ["started", pid]:
                        worker = self._workers[int(pid)] = ForkedWorker(int(pid))
                        assert self._started is not None
                        self._started.set_result(worker)
                    case ["ended", pid, status]:
                        self._workers.pop(int(pid)).ended.set_result(int(status))
                    case ["loaded"]:
                        self.has_loaded = True
                        self._loaded.set()
        except OSError:  # it was killed
            pass
        finally:
            self._loaded.clear()
            writer.close()
            self._orders.close()
            self.ended.set_result(await self._process.wait())
