"""The template of the workers: a process that loads what all of them need, and forks them.

A fork shares the memory of its template until one of them writes to it. So Python's modules, the
compiled models and their tokenizers are in memory once for all workers, and a worker that ended is
there again in a moment. The template has one thread, serves nothing and runs no search, so there is
nothing in it that a fork could copy half done.

It reads one order at a time from its parent, a line of JSON, and answers with lines: `started PID`,
`ended PID STATUS`, `loaded`. When the parent ends, it ends too.
"""

from __future__ import annotations

import gc
import json
import os
import selectors
import signal
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Final, NamedTuple, TypeVar

from sidecar.workers.sharing import WorkerPart

T = TypeVar("T")

FORK, LOAD, CLOSE = "fork", "load", "close"
"""The orders: fork a worker, whose control connection comes along; load what workers share; close
the listening sockets."""

_MOST_BYTES: Final = 4096
_SIGNALS: Final = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


class Order(NamedTuple):
    """What the parent asks for. `number` and `early` are of the worker to fork."""

    order: str
    number: int = 0
    early: bool = False

    def to_line(self) -> bytes:
        """The line on the control connection."""
        return json.dumps(self).encode() + b"\n"


def fork_workers(part: WorkerPart, load: Callable[[], T]) -> tuple[WorkerPart, T | None]:
    """Follow the parent's orders. Returns in each worker: its part, and what `load` has returned.

    `part` is the template's own. `load` may raise, which ends the template. The signals that end or
    reload a process are blocked in a worker until it calls `take_signals`.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    return _Template(part).follow(load)


def take_signals() -> None:
    """Let a worker receive the signals that came since it was forked; set the handlers before."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


class _Template:
    def __init__(self, part: WorkerPart) -> None:
        self._part = part
        os.set_inheritable(part.control, False)
        self._control = socket.socket(fileno=part.control)
        self._children: set[int] = set()
        # A byte for each signal SIGCHLD.
        self._wakes, self._wake = socket.socketpair()
        for sock in (self._wakes, self._wake):
            sock.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)

    def follow(self, load: Callable[[], T]) -> tuple[WorkerPart, T | None]:
        loaded: T | None = None
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ)
            selector.register(self._wakes, selectors.EVENT_READ)
            while True:
                ready = [key.fileobj for key, _ in selector.select()]
                if self._wakes in ready:
                    self._wakes.recv(_MOST_BYTES)
                    self._report_ended()
                if self._control not in ready:
                    continue
                line, descriptors, _, _ = socket.recv_fds(self._control, _MOST_BYTES, 1)
                if not line:
                    raise SystemExit(0)
                order = Order(*json.loads(line))
                if order.order == LOAD:
                    loaded = load()
                    gc.collect()
                    # A collection in a worker would otherwise write to each object it looks at.
                    gc.freeze()
                    self._say("loaded")
                elif order.order == CLOSE:
                    for descriptor in (*self._part.proxy, *self._part.api):
                        os.close(descriptor)
                elif (worker := self._fork(order, *descriptors)) is not None:
                    return worker, loaded

    def _fork(self, order: Order, control: int) -> WorkerPart | None:
        """The worker's part, in the worker."""
        if pid := os.fork():
            os.close(control)
            self._children.add(pid)
            self._say(f"started {pid}")
            return None
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for sock in (self._control, self._wakes, self._wake):
            sock.close()
        return replace(self._part, number=order.number, control=control, early=order.early)

    def _report_ended(self) -> None:
        for pid in tuple(self._children):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                self._children.discard(pid)
                self._say(f"ended {pid} {os.waitstatus_to_exitcode(status)}")

    def _say(self, line: str) -> None:
        try:
            self._control.sendall(line.encode() + b"\n")
        except OSError:  # the parent is gone; the next order is the end of the stream
            return
