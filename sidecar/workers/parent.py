"""The parent of the workers. It serves nothing itself and loads no model.

It opens the listening sockets and starts the template, which forks the workers. The first one is
forked at once and relays while the template loads the models: so models are prepared once, and a
mistake is said once. When the others are ready, one with models takes its place. A worker that ends
is started again, after a pause that doubles; so is the template, which the workers outlive. One
that ends `MOST_FAILURES` times in a row before it is ready stops them all, with its exit status,
unless a worker is ready.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from sidecar.config.main_file import Address
from sidecar.cores import WORKERS_VARIABLE
from sidecar.process_secret import VARIABLE as SECRET_VARIABLE
from sidecar.process_secret import create_secret
from sidecar.relay.acceptor import listen_on
from sidecar.workers.forking import ForkedWorker, Forking, TemplateEnded
from sidecar.workers.sharing import WorkerPart

_log: Final = logging.getLogger("sidecar.workers")

MOST_FAILURES: Final = 5
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0

_AFTER_GRACE_S: Final = 15.0
"""Time that a worker has after the grace for closing its models and files."""


def open_listening(address: Address) -> list[socket.socket]:
    """Listen on all addresses of a host, with one port. Raises OSError."""
    found = socket.getaddrinfo(
        *address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE, family=socket.AF_UNSPEC
    )
    sockets: list[socket.socket] = []
    port = address.port
    try:
        for family, _, _, _, place in dict.fromkeys(found):
            sockets.append(listen_on(family, (place[0], port, *place[2:])))
            port = sockets[0].getsockname()[1]
    except OSError:
        close_all(sockets)
        raise
    return sockets


def close_all(sockets: Sequence[socket.socket]) -> None:
    """Close listening sockets."""
    for sock in sockets:
        sock.close()


@dataclass(slots=True)
class _Worker:
    number: int
    process: ForkedWorker | None = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    failures: int = 0
    listens: bool = False
    """Whether it has started so far that it handles signals."""

    was_ready: bool = False
    """Whether its last process was ready before it ended."""

    postponed: set[signal.Signals] = field(default_factory=set)


class Parent:
    """Runs `command`, the template, and `count` workers. Belongs to one event loop.

    `listening` and `all_ready` are called once each: when the first worker accepts connections, and
    when all workers are ready. `grace_s` is what each worker gives its requests.
    """

    def __init__(
        self,
        command: Sequence[str],
        count: int,
        proxy: Sequence[socket.socket],
        api: Sequence[socket.socket],
        grace_s: float,
        listening: Callable[[], None],
        all_ready: Callable[[], None],
    ) -> None:
        self._command = command
        self._proxy, self._api = proxy, api
        self._grace_s = grace_s
        self._listening, self._all_ready = listening, all_ready
        self._workers = [_Worker(number) for number in range(count)]
        self._stopping = asyncio.Event()
        self._status = 0
        self._folder = ""
        self._forking: Forking | None = None
        self._loaded = asyncio.Event()
        """Whether the template has loaded what workers share, and forks them."""

        self._early: asyncio.Task[None] | None = None
        self._early_over = asyncio.Event()
        """Whether a worker with models may take the place of the early one."""

        # Workers digest callers and documents alike, so that one finds what another has cached.
        self._common = {
            SECRET_VARIABLE: create_secret(),
            "PYTHONHASHSEED": str(secrets.randbelow(2**32 - 1) + 1),
            # A worker has a core or less for its models, and threads do not outlive a fork.
            "TOKENIZERS_PARALLELISM": "false",
        }

    async def run(self) -> int:
        """Run until `stop`, or until a worker cannot start; returns the exit status."""
        self._folder = tempfile.mkdtemp(prefix="rescore-sidecar-")  # of mode 0700
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keep_template(group))
                working = group.create_task(self._start_workers())
                await self._stopping.wait()
                if self._forking is not None:
                    await self._forking.close_listening()
                await working
                if self._early is not None:
                    await self._early
                if self._forking is not None:
                    await self._forking.end()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)
        return self._status

    def stop(self, status: int = 0) -> None:
        """Let all workers finish their requests and end; new connections are refused."""
        if self._stopping.is_set():
            return
        self._status = status
        self._stopping.set()
        self._early_over.set()
        close_all((*self._proxy, *self._api))

    def signal_all(self, number: signal.Signals) -> None:
        """Send a signal to each worker that runs; to one that starts, when it handles signals."""
        for worker in self._workers:
            if worker.process is not None and worker.listens:
                worker.process.send_signal(number)
            else:
                worker.postponed.add(number)

    async def _keep_template(self, group: asyncio.TaskGroup) -> None:
        """Start the template again and again."""
        failures = 0
        while not self._stopping.is_set():
            part = WorkerPart(
                0,
                len(self._workers),
                [sock.fileno() for sock in self._proxy],
                [sock.fileno() for sock in self._api],
                -1,
                self._folder,
            )
            environment = {**os.environ, **self._common, WORKERS_VARIABLE: str(part.count)}
            environment.pop("NOTIFY_SOCKET", None)  # the parent speaks for all
            forking = await Forking.start(self._command, part, environment, self._loaded)
            self._forking = forking
            if self._early is None:
                begun = asyncio.Event()
                self._early = group.create_task(self._run_early(forking, begun))
                await begun.wait()
            if self._stopping.is_set():
                await forking.close_listening()
            forking.load()
            status = await forking.ended
            if self._stopping.is_set():
                return
            failures = 0 if forking.has_loaded else failures + 1
            mistaken = failures == 1 and status == 2
            if (mistaken or failures >= MOST_FAILURES) and not self._any_ready():
                self.stop(status if status > 0 else 1)
                return
            pause = min(FIRST_PAUSE_S * 2**failures, LONGEST_PAUSE_S)
            _log.error(
                "the template of the workers ended with status %d; it starts again in %g s",
                *(status, pause),
            )
            await self._unless_stopped(asyncio.Event(), pause)

    async def _start_workers(self) -> None:
        """Start the second worker, and when it is ready the others; returns when all have ended."""
        first, *others = self._workers
        async with asyncio.TaskGroup() as group:
            if not await self._unless_stopped(self._loaded):
                return
            for worker in others[:1]:
                group.create_task(self._keep(worker))
                if not await self._unless_stopped(worker.ready):
                    return
            self._early_over.set()
            for worker in others[1:]:
                group.create_task(self._keep(worker))
            group.create_task(self._keep(first))
            for worker in self._workers:
                if not await self._unless_stopped(worker.ready):
                    return
            self._all_ready()

    async def _unless_stopped(self, event: asyncio.Event, seconds: float | None = None) -> bool:
        """Wait for an event, or some seconds; False if everything stops."""
        waits = [
            asyncio.get_running_loop().create_task(one.wait()) for one in (event, self._stopping)
        ]
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        return not self._stopping.is_set()

    async def _run_early(self, forking: Forking, begun: asyncio.Event) -> None:
        """The first worker until there are models. If it ends before, its place stays empty."""
        try:
            status = await self._run_once(self._workers[0], forking, self._early_over, begun)
        except TemplateEnded:
            return
        finally:
            begun.set()
        if self._early_over.is_set():
            return
        if status == 2:
            self.stop(status)
            return
        _log.error("worker 0 ended with status %s; it starts again with its models", status)

    async def _keep(self, worker: _Worker) -> None:
        """Start a worker again and again."""
        if worker is self._workers[0] and self._early is not None:
            await self._early
        ever_ready = False
        while await self._unless_stopped(self._loaded):
            assert self._forking is not None
            try:
                status = await self._run_once(worker, self._forking, self._stopping)
            except TemplateEnded:
                continue
            if self._stopping.is_set():
                return
            was_ready, worker.was_ready = worker.was_ready, False
            worker.failures = 0 if was_ready else worker.failures + 1
            ever_ready = ever_ready or was_ready
            mistaken = not ever_ready and status == 2
            if (mistaken or worker.failures >= MOST_FAILURES) and not self._any_ready():
                self.stop(status if status is not None and status > 0 else 1)
                return
            pause = min(FIRST_PAUSE_S * 2**worker.failures, LONGEST_PAUSE_S)
            _log.error(
                "worker %d ended with status %s; it starts again in %g s",
                *(worker.number, "unknown" if status is None else status, pause),
            )
            await self._unless_stopped(asyncio.Event(), pause)

    def _any_ready(self) -> bool:
        return any(worker.ready.is_set() for worker in self._workers)

    async def _run_once(
        self,
        worker: _Worker,
        forking: Forking,
        until: asyncio.Event,
        begun: asyncio.Event | None = None,
    ) -> int | None:
        """A worker's exit status (negative: the signal), or None if the template ended before it.

        It is ended when `until` is set. With `begun`, which is set once it is forked, it is an
        early worker. Raises TemplateEnded if it was not forked.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = await forking.fork(worker.number, begun is not None, theirs)
            except TemplateEnded:
                ours.close()
                raise
        if begun is not None:
            begun.set()
        worker.process = process
        reader, writer = await asyncio.open_connection(sock=ours)
        loop = asyncio.get_running_loop()
        listening = loop.create_task(self._follow(worker, process, reader))
        ending = loop.create_task(forking.wait_for_end(process, listening))
        stopping = loop.create_task(until.wait())
        try:
            await asyncio.wait((ending, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not ending.done():
                process.send_signal(signal.SIGTERM)
                await asyncio.wait((ending,), timeout=self._grace_s + _AFTER_GRACE_S)
                if not ending.done():
                    _log.error("worker %d does not end, so it is killed", worker.number)
                    process.send_signal(signal.SIGKILL)
            return await ending
        finally:
            stopping.cancel()
            worker.process = None
            worker.listens = False
            worker.was_ready = worker.ready.is_set()
            worker.ready.clear()
            writer.close()

    async def _follow(
        self, worker: _Worker, process: ForkedWorker, reader: asyncio.StreamReader
    ) -> None:
        try:
            while line := await reader.readline():
                if line == b"ready\n":
                    worker.ready.set()
                    worker.failures = 0
                elif line == b"listening\n":
                    worker.listens = True
                    for number in worker.postponed:
                        process.send_signal(number)
                    worker.postponed.clear()
                    self._listening()
        except OSError:  # it was killed
            return


def worker_command(arguments: Sequence[str]) -> list[str]:
    """The command that runs this program again, with other arguments."""
    return [sys.executable, "-m", "sidecar", *arguments]
