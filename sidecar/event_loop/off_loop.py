"""Runs work that would hold the event loop for too long, in a few threads with a bounded queue.

A few threads are enough: such work only computes, so more threads would only compete with the event
loop for the interpreter. The queue is bounded so that requests cannot fill the memory or make
others wait for minutes.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from sidecar.event_loop.loop_turns import next_turn

ON_THE_LOOP: Final = 16 << 10
"""Work on this many bytes of an answer takes less than a millisecond."""

THREADS: Final = 2
LINE: Final = 64
"""Maximum number of jobs that are running or waiting; further jobs are refused."""

NEW: Final = 48
"""The maximum for a request's first job. The rest of the queue is for requests that OpenSearch has
already answered, because to refuse those would waste that work."""

_TURN_S: Final = 0.0005
_MOST_DIGITS: Final = 1000

_T = TypeVar("_T")


class Busy(Exception):
    """The queue is full: the work was not begun."""


class OffLoop:
    """A few threads with a bounded queue. Call `run` in one event loop only."""

    def __init__(self, threads: int = THREADS, line: int = LINE) -> None:
        self._executor = ThreadPoolExecutor(threads, "off-loop")
        self._line = line
        self._jobs = 0

    @property
    def jobs(self) -> int:
        """Jobs that are running or waiting."""
        return self._jobs

    async def run(self, work: Callable[[], _T], line: int | None = None) -> _T:
        """Do the work in a thread; raises Busy if the queue is full, or has `line` jobs.

        Cancelling removes a waiting job from the queue. A running job runs to its end, and counts
        until then.
        """
        if self._jobs >= (self._line if line is None else min(line, self._line)):
            raise Busy(f"{self._jobs} jobs are running or waiting")
        loop = asyncio.get_running_loop()
        self._jobs += 1
        waiting = _WaitingWork(work)
        job = self._executor.submit(waiting.run)
        # The executor removes a cancelled job only when its turn comes. Its work may hold a whole
        # request, so that is released at once.
        job.add_done_callback(lambda _: waiting.forget())
        job.add_done_callback(lambda _: _call_back(loop, self._ended))
        return await asyncio.wrap_future(job)

    def _ended(self) -> None:
        self._jobs -= 1


class _WaitingWork:
    """Work in the queue."""

    __slots__ = ("_work",)

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work: Callable[[], Any] | None = work

    def run(self) -> Any:
        assert self._work is not None
        return self._work()

    def forget(self) -> None:
        self._work = None


def _call_back(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(function)


_shared: Final = OffLoop()


async def off_loop(
    size: int, work: Callable[[], _T], most: int = ON_THE_LOOP, line: int = LINE
) -> _T:
    """Do the work here, in a turn of its own, or in a thread if it is on more than `most` bytes.

    Raises Busy.
    """
    if size > most:
        return await _shared.run(work, line)
    await next_turn()
    return work()


def share_the_interpreter() -> None:
    """Bound the time for which the event loop waits for a thread that computes.

    A thread hands over the interpreter after 0.5 ms instead of 5 ms. It cannot do so within one
    call into C. The only such call that takes more than linear time turns digits into a number, and
    it is refused for more than 1,000 digits, as in OpenSearch.
    """
    sys.setswitchinterval(_TURN_S)
    sys.set_int_max_str_digits(_MOST_DIGITS)
