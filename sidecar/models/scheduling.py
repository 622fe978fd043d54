"""Many searches, one model: a thread that reads a few texts at a time, in turn for each search.

A job is a search's texts, best first, cut into chunks. The thread takes one chunk of the first
job in line and puts the job back at the end, so that a long search does not hold up the others.
Query texts go before passages: they are short, and nothing can be scored without them. What no
search waits for is read last, when the thread has nothing else to do, and with pauses as long as
the reading, so that it takes no more than half of what the model can do from everyone else.

Measured on two cores (all-MiniLM-L6-v2 by torch, passages of 210 tokens): chunks of 1, 4, 8 and 16
texts take 28, 27, 26 and 30 ms a text, and merging several searches into one chunk gains nothing.
So a chunk belongs to one search and is small, and smaller still where a model is slow, which keeps
waits short and deadlines fine.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from pipelines.errors import ModelFailed, Overloaded, RescoreError
from sidecar.metrics import Metrics

CHUNK_TEXTS = 8
"""The most texts that a model is given at once; fewer are one of the powers of two below it."""

QUEUE_JOBS = 64

_CHUNK_SECONDS = 0.05
_LATER_TEXTS = 2
_SORTED_CHUNKS = 4
_NEWEST_SHARE = 0.2

Value = TypeVar("Value")
LaneName = Literal["queries", "passages"]

_log = logging.getLogger(__name__)


def cut_chunks(texts: Sequence[str], size: int = CHUNK_TEXTS) -> list[list[int]]:
    """Positions of the texts in the order they are read, at most `size` of them together.

    The first chunk is the best texts, whatever their length. After it, runs of a few chunks are
    sorted by length, shortest first: a model pads each text of a chunk to the longest one.
    """
    chunks = [list(range(min(size, len(texts))))]
    run = size * _SORTED_CHUNKS
    for start in range(size, len(texts), run):
        by_length = sorted(
            range(start, min(start + run, len(texts))), key=lambda position: len(texts[position])
        )
        chunks += [by_length[i : i + size] for i in range(0, len(by_length), size)]
    return chunks


@dataclass(slots=True, eq=False)
class _Job(Generic[Value]):
    """One search's texts in one model. The thread writes it; `left` is set by the search."""

    read: Callable[[Sequence[str]], Sequence[Value]]
    texts: Sequence[str]
    chunks: deque[list[int]]
    deadline: float | None
    values: list[Value | None]
    done: asyncio.Future[None] | None
    """None for a job that nobody waits for."""

    error: RescoreError | None = None
    left: bool = False


@dataclass(slots=True)
class _Lane:
    jobs: deque[_Job[Any]] = field(default_factory=deque)
    searches: int = 0
    """How many wait for an answer: their jobs are in line, in hand, or just done."""

    text_seconds: float = 0.0
    """What one text of a chunk took, a moving average; 0 until the first chunk."""

    not_before: float = 0.0
    """When the next chunk may be read, in seconds of the monotonic clock."""

    def chunk_texts(self, seconds_left: float) -> int:
        """The texts of a new job's chunks.

        A chunk does not take much longer than it should; and where many searches wait, it is so
        small that each of them gets one before its deadline.
        """
        most = min(_CHUNK_SECONDS, seconds_left / (len(self.jobs) + 2))
        size = CHUNK_TEXTS
        while size > 1 and size * self.text_seconds > most:
            size //= 2
        return size


class Schedule:
    """The one thread of a model and the jobs that wait for it.

    `run` is called in event loops, the rest of the work happens in the thread; everything both
    touch is guarded by one lock, which nobody holds while a model reads.
    """

    def __init__(self, model: str, metrics: Metrics) -> None:
        self._model = model
        self._seconds = metrics.model_seconds.labels(model)
        self._texts = metrics.model_texts.labels(model)
        self._queue = metrics.model_queue.labels(model)
        # In the order of their right of way.
        self._lanes: dict[str, _Lane] = {
            "queries": _Lane(),
            "passages": _Lane(),
            "later": _Lane(deque(maxlen=QUEUE_JOBS)),
        }
        self._changed = threading.Condition(threading.Lock())
        self._free_at = 0.0
        self._closed = False
        # A daemon: a schedule that nobody closed must not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name=f"model-{model}", daemon=True)
        self._thread.start()

    async def run(
        self,
        read: Callable[[Sequence[str]], Sequence[Value]],
        texts: Sequence[str],
        deadline: float | None,
        lane: LaneName = "passages",
    ) -> list[Value | None]:
        """Call `read` in the model's thread, chunk by chunk, and gather one value a text.

        Returns when all are read, at the latest at `deadline` (seconds on the monotonic clock,
        as `loop.time()`), with None for each text whose chunk was not finished by then. A
        cancelled call is forgotten, and costs at most the chunk that is being read.

        Raises Overloaded at once when the line is full or its wait outlasts the deadline, and
        ModelFailed, or the RescoreError that it was, when `read` raises.
        """
        if not texts:
            return []
        done = asyncio.get_running_loop().create_future()
        job: _Job[Value] = _Job(
            read=read,
            texts=texts,
            chunks=deque(cut_chunks(texts, self._chunk_texts(lane, deadline))),
            deadline=deadline,
            values=[None] * len(texts),
            done=done,
        )
        self._enter(job, lane)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(deadline):
                    await done
        finally:
            self._leave(job, lane)
        if job.error is not None:
            raise job.error
        return job.values

    def read_later(self, read: Callable[[Sequence[str]], object], texts: Sequence[str]) -> None:
        """Call `read` for the texts whenever nothing else waits, for what it leaves behind.

        The chunks are small, as a search that comes in meanwhile waits for one of them. When too
        many such jobs are there, the oldest is forgotten.
        """
        if not texts:
            return

        def read_texts(some: Sequence[str]) -> Sequence[None]:
            read(some)
            return [None] * len(some)

        job: _Job[None] = _Job(
            read=read_texts,
            texts=texts,
            chunks=deque(cut_chunks(texts, _LATER_TEXTS)),
            deadline=None,
            values=[None] * len(texts),
            done=None,
        )
        with self._changed:
            self._lanes["later"].jobs.append(job)
            self._changed.notify()

    def close(self) -> None:
        """Fail the jobs that wait, let the chunk in hand finish, and end the thread. Blocks."""
        with self._changed:
            self._closed = True
            waiting = [job for lane in self._lanes.values() for job in lane.jobs]
            for lane in self._lanes.values():
                lane.jobs.clear()
            self._changed.notify_all()
        for job in waiting:
            self._finish(job, ModelFailed(f"model {self._model!r} is closing"))
        self._thread.join()

    def _chunk_texts(self, lane: LaneName, deadline: float | None) -> int:
        left = _CHUNK_SECONDS * QUEUE_JOBS if deadline is None else deadline - time.monotonic()
        with self._changed:
            return self._lanes[lane].chunk_texts(left)

    def _enter(self, job: _Job[Any], lane: LaneName) -> None:
        now = time.monotonic()
        with self._changed:
            if self._closed:
                raise ModelFailed(f"model {self._model!r} is closed")
            if self._lanes[lane].searches >= QUEUE_JOBS:
                raise Overloaded(f"{QUEUE_JOBS} searches wait for model {self._model!r}")
            wait = self._wait(now, lane)
            if job.deadline is not None and wait > 0 and now + wait >= job.deadline:
                raise Overloaded(
                    f"model {self._model!r} is busy for {wait * 1000:.0f} ms, beyond the deadline"
                )
            self._lanes[lane].jobs.append(job)
            self._lanes[lane].searches += 1
            self._changed.notify()
        self._queue.inc()

    def _wait(self, now: float, lane: LaneName) -> float:
        """Seconds until a new job's first chunk: the chunk in hand and one of each job ahead."""
        ahead = ("queries", "passages") if lane == "passages" else ("queries",)
        line = sum(
            len(job.chunks[0]) * self._lanes[name].text_seconds
            for name in ahead
            for job in self._lanes[name].jobs
        )
        return line + max(0.0, self._free_at - now)

    def _leave(self, job: _Job[Any], lane: LaneName) -> None:
        with self._changed:
            job.left = True
            self._lanes[lane].searches -= 1
            # If not, it is in hand, or all read. Asked first: `remove` would write the job with all
            # its values into its error, which takes milliseconds.
            if job in self._lanes[lane].jobs:
                self._lanes[lane].jobs.remove(job)
        self._queue.dec()

    def _work(self) -> None:
        while (taken := self._take()) is not None:
            self._read_chunk(*taken)

    def _take(self) -> tuple[_Lane, _Job[Any]] | None:
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                pause: float | None = None
                for lane in self._lanes.values():
                    if lane.jobs:
                        pause = max(0.0, lane.not_before - now)
                        if pause:
                            break
                        job = lane.jobs.popleft()
                        self._free_at = now + len(job.chunks[0]) * lane.text_seconds
                        return lane, job
                self._free_at = 0.0
                self._changed.wait(pause)
        return None

    def _read_chunk(self, lane: _Lane, job: _Job[Any]) -> None:
        started = time.monotonic()
        if job.deadline is not None and started >= job.deadline:
            self._finish(job)
            return
        chunk = job.chunks.popleft()
        try:
            values = job.read([job.texts[position] for position in chunk])
            if len(values) != len(chunk):
                raise ValueError(f"{len(values)} answers to {len(chunk)} texts")
        except Exception as error:
            _log.exception("model %s failed on %d texts", self._model, len(chunk))
            reason = ModelFailed(f"model {self._model!r} failed: {type(error).__name__}")
            self._finish(job, error if isinstance(error, RescoreError) else reason)
            return
        seconds = time.monotonic() - started
        self._seconds.observe(seconds)
        self._texts.inc(len(chunk))
        with self._changed:
            share = _NEWEST_SHARE if lane.text_seconds else 1.0
            lane.text_seconds += share * (seconds / len(chunk) - lane.text_seconds)
            if job.done is None:
                lane.not_before = time.monotonic() + seconds
            if job.left:
                return
            for position, value in zip(chunk, values, strict=True):
                job.values[position] = value
            if job.chunks and not self._closed:
                lane.jobs.append(job)
                return
        closing = ModelFailed(f"model {self._model!r} is closing") if job.chunks else None
        self._finish(job, closing)

    def _finish(self, job: _Job[Any], error: RescoreError | None = None) -> None:
        done = job.done
        if done is None:
            return

        def finish() -> None:
            if not done.done():
                job.error = error
                done.set_result(None)

        # A closed loop raises RuntimeError; whoever waited there is gone with it.
        with contextlib.suppress(RuntimeError):
            done.get_loop().call_soon_threadsafe(finish)
