"""How much CPU time the callbacks of an event loop take, one by one.

By CPU time of the loop's thread, so that a busy machine changes nothing. Collections of garbage are
left out, as in loop_stalls.py.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.loop_stalls import CpuClock


@dataclass
class LoopCpu:
    """The longest callback since the last `reset`, in seconds of CPU time."""

    longest: float = 0.0
    ran: str = ""

    def reset(self) -> None:
        self.longest = 0.0
        self.ran = ""


@contextmanager
def measured_loop(thread: str) -> Iterator[LoopCpu]:
    """Measure every callback that asyncio's own loop runs in the thread of this name."""
    measured = LoopCpu()
    run = asyncio.Handle._run
    clock = CpuClock()

    def measure(handle: Any) -> None:
        started = clock()
        run(handle)
        took = clock() - started
        if took > measured.longest and threading.current_thread().name == thread:
            measured.longest = took
            measured.ran = repr(handle)[:300]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio.Handle, "_run", measure)
        try:
            yield measured
        finally:
            clock.close()
