"""Fails a test in which one callback of an event loop takes too much CPU time.

Only CPU time counts, of the loop's own thread, and each callback for itself: on a busy machine many
requests become ready at once, and one turn of the loop then runs many callbacks, which says nothing
about any of them. Collections of garbage are left out: a test run has millions of objects, which
the served process has not.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

LONGEST_CALLBACK_S = 0.020
"""CPU time that one request may take of the loop in one go."""

_CHANCES = 2
"""Callbacks of a server that may take up to `_LONGEST_CHANCE_S`. Time in which a virtual machine
does not run counts as CPU time of what it was about to run: callbacks of 13 ms have taken 62 ms. A
request that really stalls the loop does so each time, or for longer."""

_LONGEST_CHANCE_S = 0.100

_CALLBACKS = (
    *("connection_made", "connection_lost", "data_received", "eof_received", "buffer_updated"),
    *("pause_writing", "resume_writing"),
)


class CpuClock:
    """The CPU time of the thread that calls it, without collections of garbage in any thread."""

    def __init__(self) -> None:
        self._collecting = 0.0
        self._began = 0.0
        gc.callbacks.append(self._collected)

    def __call__(self) -> float:
        return time.thread_time() - self._collecting

    def close(self) -> None:
        gc.callbacks.remove(self._collected)

    def _collected(self, phase: str, info: dict[str, int]) -> None:
        # A collection begins and ends in one thread, which holds the interpreter meanwhile.
        if phase == "start":
            self._began = time.thread_time()
        else:
            self._collecting += time.thread_time() - self._began


@dataclass
class LoopStalls:
    """Watches an event loop of asyncio's own; both calls are made in it."""

    most_s: float = LONGEST_CALLBACK_S
    long: list[str] = field(default_factory=list)
    chances: int = _CHANCES

    def start(self) -> None:
        """Begin to measure the callbacks of the running loop."""
        _measure_callbacks()
        _watched[threading.get_ident()] = self

    def stop(self) -> None:
        """May be called where `start` was not."""
        _watched.pop(threading.get_ident(), None)

    def check(self) -> None:
        """Fail when a callback was too long."""
        assert not self.long, "\n".join(self.long)

    def add(self, handle: asyncio.Handle, took: float) -> None:
        """Called for each callback that has run, with its CPU time."""
        if self.most_s < took <= _LONGEST_CHANCE_S and self.chances:
            self.chances -= 1
        elif took > self.most_s:
            test = os.environ.get("PYTEST_CURRENT_TEST", "")
            self.long.append(f"{handle!r} took {took * 1000:.0f} ms of CPU time (in {test})")


_watched: dict[int, LoopStalls] = {}
"""By the loop's thread."""


@functools.cache
def _measure_callbacks() -> None:
    """From now on, measure each callback that a loop of asyncio runs in a watched thread."""
    run = asyncio.Handle._run
    clock = CpuClock()

    def measured(handle: asyncio.Handle) -> None:
        stalls = _watched.get(threading.get_ident())
        if stalls is None:
            return run(handle)
        began = clock()
        run(handle)
        stalls.add(handle, clock() - began)
        return None

    asyncio.Handle._run = measured  # type: ignore[method-assign, assignment]


@contextmanager
def measured_callbacks(*protocols: type, most_s: float = LONGEST_CALLBACK_S) -> Iterator[None]:
    """Fail when one callback of these protocols takes too much CPU time.

    For a relay in the event loop of its test, where the test's own work must not count.
    """
    clock = CpuClock()
    long: list[str] = []

    def measured(callback: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(callback)
        def measure(*arguments: Any) -> Any:
            began = clock()
            try:
                return callback(*arguments)
            finally:
                if (took := clock() - began) > most_s:
                    long.append(f"{callback.__qualname__} took {took * 1000:.0f} ms of CPU time")

        return measure

    with pytest.MonkeyPatch.context() as patch:
        for protocol in protocols:
            for name in _CALLBACKS:
                if name in vars(protocol):
                    patch.setattr(protocol, name, measured(vars(protocol)[name]))
        try:
            yield
        finally:
            clock.close()
    assert not long, "\n".join(long)
