"""Detects when the event loop stands still, measures how long, and logs what ran.

One event loop serves all clients of both listeners, so one slow callback delays all of them.
asyncio measures callbacks only in its debug mode, and uvloop never does. To measure each callback
would also slow down every request. So two parts share the work:

- **The beat** is a timer in the loop, every 10 ms. It records how late it is, and how much CPU time
  the loop's thread has used since the last beat. The smaller of the two is *computing*: a busy loop
  with short turns is never late, and a loop that gets no processor uses no CPU time.
- **The watcher** is a thread that checks every 35 ms whether the beat came. If it did not, the
  watcher records the stack of the loop's thread, repeatedly, until the loop turns. Then it counts
  the stall and writes the log line, so that the loop need not.

*Waiting* is the time in which the loop neither computed nor waited for a processor (Linux counts
the latter in `schedstat`). The loop was then in a blocking call, or waited for a thread that held
the interpreter. Computing and waiting both delay clients. Delays that the machine's load causes are
neither, and are left out.

A stall begins between two beats, so the real stall may be up to 10 ms longer than the figure. The
log names functions, files and lines, never values, so it contains no text of a request.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sidecar.event_loop.stacks import describe_stack, other_stacks, read_frames

_log: Final = logging.getLogger(__name__)

BEAT_S: Final = 0.010
FLOOR_S: Final = 0.010
"""Shorter stalls are not counted."""

LOG_S: Final = 0.050
"""Stalls of at least this length are logged."""

_LOOK_S: Final = 0.035
"""Silence after which the watcher records a stack: before a stall is long enough for the log."""

_STILL_S: Final = 5.0
"""A stall of this length is logged before it ends, and again each time its length doubles."""

_QUIET_S: Final = 1.0
"""At most one line is logged in this time, so that a client that causes many stalls cannot fill the
disk."""

_STACKS: Final = 50
"""Maximum number of different stacks that are recorded for one stall."""


@dataclass(frozen=True, slots=True)
class Stall:
    """A time in which the loop did not turn; in seconds."""

    lasted: float
    computing: float
    """CPU time of the loop's thread."""

    waiting: float
    """Time in a blocking call, or for a thread that held the interpreter."""

    ran: str
    """The stack that was recorded most often; empty if the stall was too short for a record."""

    others: str
    """What other threads did during the stall."""

    collected: bool
    """Whether a full garbage collection ended during the stall."""


@dataclass(frozen=True, slots=True)
class _LateBeat:
    """A beat that came late. `since`: the time of the beat before it."""

    since: float
    late: float
    computing: float


@dataclass(frozen=True, slots=True)
class _Totals:
    """Totals since the start at one moment: seconds without a processor, garbage collections."""

    at: float
    run_delay: float
    collections: int


class LoopWatch:
    """Watches one event loop from `start` to `stop`; both are called in it.

    `on_stall` is called in the watcher's thread. The figures are exact to `beat_s`. `cpu_clock`
    returns the CPU time of the calling thread.
    """

    def __init__(
        self,
        on_stall: Callable[[Stall], None],
        beat_s: float = BEAT_S,
        floor_s: float = FLOOR_S,
        cpu_clock: Callable[[], float] = time.thread_time,
    ) -> None:
        self._on_stall = on_stall
        self._beat_s = beat_s
        self._floor_s = floor_s
        self._cpu_clock = cpu_clock
        self._late: deque[_LateBeat] = deque()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start to watch the running loop."""
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._run_delay = _RunDelay(threading.get_native_id())
        self._cpu = self._cpu_clock()
        self._beat_at = time.monotonic()
        self._schedule()
        self._thread = threading.Thread(target=self._watch, name="loop-watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop watching; stalls up to this moment are reported before it returns."""
        if self._thread is None:
            return
        self._timer.cancel()
        self._beat(last=True)
        self._stopping.set()
        self._thread.join()
        self._thread = None
        self._run_delay.close()

    def _schedule(self) -> None:
        self._due = self._beat_at + self._beat_s
        self._timer = self._loop.call_later(self._beat_s, self._beat)

    def _beat(self, last: bool = False) -> None:
        now = time.monotonic()
        cpu = self._cpu_clock()
        late = now - self._due
        if late > self._floor_s:
            self._late.append(_LateBeat(self._beat_at, late, min(late, cpu - self._cpu)))
        self._cpu = cpu
        self._beat_at = now
        if not last:
            self._schedule()

    def _watch(self) -> None:
        record = _Record(self._run_delay, self._loop_thread)
        pause = 0.0
        while not self._stopping.wait(pause):
            since = self._beat_at
            silence = time.monotonic() - since
            if silence >= _LOOK_S:
                record.add_stack(since, silence)
                pause = min(0.02 + silence / 50, 1.0)
            else:
                self._report(record)
                pause = _LOOK_S - silence
        self._report(record)

    def _report(self, record: _Record) -> None:
        while self._late:
            self._on_stall(record.finish(self._late.popleft()))
        record.in_time()


class _Record:
    """What the watcher has recorded since the loop last turned in time."""

    def __init__(self, run_delay: _RunDelay, thread: int) -> None:
        self._run_delay = run_delay
        self._thread = thread
        self._since = 0.0
        self._stacks: Counter[str] = Counter()
        self._others: Counter[str] = Counter()
        self._still_s = _STILL_S
        self._last = self._totals()
        self._before = self._last

    def in_time(self) -> None:
        """The loop turns, or has not stood still for long."""
        self._before, self._last = self._last, self._totals()

    def add_stack(self, since: float, silence: float) -> None:
        """Record what runs now; `since` identifies the stall."""
        if since != self._since:
            self._since = since
            self._still_s = _STILL_S
            self._stacks.clear()
            self._others.clear()
        frames = read_frames()
        self._count(self._stacks, describe_stack(frames.get(self._thread)))
        self._count(self._others, other_stacks(frames, self._thread))
        if silence >= self._still_s:
            self._still_s *= 2
            _log.warning("the event loop has not turned for %.0f s: %s", silence, self._ran())

    def finish(self, late: _LateBeat) -> Stall:
        """Return the stall that this beat shows, with the stacks that were recorded."""
        seen = late.since == self._since
        if not seen and late.late >= LOG_S:
            # The watcher could not run either: a thread has only now released the interpreter.
            self._others = Counter((other_stacks(read_frames(), self._thread),))
        # The last totals may already be from within the stall.
        start = self._last if self._last.at <= late.since else self._before
        end = self._totals()
        delay = end.run_delay - start.run_delay
        return Stall(
            late.late,
            late.computing,
            max(0.0, late.late - late.computing - delay),
            self._ran() if seen else "",
            _most(self._others) if seen or late.late >= LOG_S else "",
            end.collections != start.collections,
        )

    def _totals(self) -> _Totals:
        collections = int(gc.get_stats()[2]["collections"])
        return _Totals(time.monotonic(), self._run_delay.seconds(), collections)

    def _ran(self) -> str:
        return _most(self._stacks)

    @staticmethod
    def _count(counter: Counter[str], text: str) -> None:
        if text in counter or len(counter) < _STACKS:
            counter[text] += 1


class _RunDelay:
    """How long a thread was ready to run without a processor; 0 if the system does not count it."""

    def __init__(self, native_id: int) -> None:
        try:
            self._file: int | None = os.open(
                f"/proc/self/task/{native_id}/schedstat", os.O_RDONLY | os.O_CLOEXEC
            )
        except OSError:
            self._file = None

    def seconds(self) -> float:
        if self._file is None:
            return 0.0
        return int(os.pread(self._file, 64, 0).split()[1]) / 1e9

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


class StallLog:
    """Logs long stalls, at most one line a second. Belongs to one thread."""

    def __init__(self) -> None:
        self._next = 0.0
        self._left_out = 0

    def write(self, stall: Stall) -> None:
        """Log the stall if it is long enough."""
        if max(stall.computing, stall.waiting) < LOG_S:
            return
        now = time.monotonic()
        if now < self._next:
            self._left_out += 1
            return
        more = f" ({self._left_out} more since the last such line)" if self._left_out else ""
        self._next = now + _QUIET_S
        self._left_out = 0
        _log.warning("%s%s", describe_stall(stall), more)


def describe_stall(stall: Stall) -> str:
    """One line: how long, which kind, and what ran."""
    line = (
        f"the event loop stood still for {stall.lasted * 1000:.0f} ms: "
        f"{stall.computing * 1000:.0f} ms computing, {stall.waiting * 1000:.0f} ms waiting"
    )
    if stall.collected:
        line += ", including a full garbage collection"
    if stall.ran:
        line += f"; it ran {stall.ran}"
    # A thread that holds the interpreter makes the loop wait.
    if stall.others and stall.waiting > stall.computing:
        line += f"; other threads: {stall.others}"
    return line


def _most(counter: Counter[str]) -> str:
    return counter.most_common(1)[0][0] if counter else ""
