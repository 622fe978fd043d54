"""One thread per model, which reads a few texts of each search in turn.

A model behind a service has several threads, one for each call that may be under way at a time.

A job has the texts of one search, best first, cut into chunks. The thread takes one chunk of the
first job in the queue and puts the job back at the end, so a long search does not delay the others.
Query texts go before passages, because they are short and nothing can be scored without them. Texts
that no search waits for come last, when the thread has nothing else to do. After each of their
chunks the thread pauses for as long as the chunk took; so they use at most half of its time.

Measured on two cores (all-MiniLM-L6-v2 with torch, passages of 210 tokens): chunks of 1, 4, 8 and
16 texts take 28, 27, 26 and 30 ms a text, and a chunk with texts of several searches gains nothing.
So a chunk belongs to one search and is small. With a slow model it is smaller still: this keeps
waits short and deadlines exact.
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

from pipelines.errors import DeadlinePassed, ModelFailed, Overloaded, RescoreError
from sidecar.metrics import Metrics
from sidecar.models.backends.base import CALL_DEADLINE
from sidecar.tracing.steps import Step, current_step, record_step

CHUNK_TEXTS = 8
"""Most texts of one call of a model; smaller chunks are powers of two."""

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

    The first chunk has the best texts, whatever their length. After it, each run of a few chunks is
    sorted by length, shortest first, because a model pads each text of a chunk to the longest.
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
    """The texts of one search for one model. The thread writes it; the search sets `abandoned`."""

    read: Callable[[Sequence[str]], Sequence[Value]]
    texts: Sequence[str]
    chunks: deque[list[int]]
    deadline: float | None
    values: list[Value | None]
    done: asyncio.Future[None] | None
    """None for a job that no search waits for."""

    enough: Callable[[Sequence[Value | None]], bool] | None = None
    """Asked in the event loop of `done`, after each chunk but the last."""

    error: RescoreError | None = None
    abandoned: bool = False
    begun: float | None = None
    """When its first chunk began, in seconds of the monotonic clock."""


@dataclass(slots=True)
class _Lane:
    jobs: deque[_Job[Any]] = field(default_factory=deque)
    searches: int = 0
    """Searches that wait for an answer; their jobs are in the queue, being read, or just done."""

    text_seconds: float = 0.0
    """Moving average of the time for one text of a chunk; 0 before the first chunk."""

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
    """The threads of a model and its queue of jobs.

    `run` is called in event loops; the rest happens in the threads. One lock guards what both use.
    Neither holds it while the model reads.
    """

    def __init__(
        self,
        model: str,
        metrics: Metrics,
        *,
        threads: int = 1,
        batch: int | None = None,
        backend_logs: bool = False,
    ) -> None:
        """`batch`: texts of a chunk; if None, it follows from the time that the model takes.

        The time of a call over a network hardly depends on the number of its texts, so such a model
        needs a `batch`. `backend_logs`: whether the backend logs its RescoreErrors itself.
        """
        self._backend_logs = backend_logs
        self._model = model
        self._batch = batch
        self._seconds = metrics.model_seconds.labels(model)
        self._texts = metrics.model_texts.labels(model)
        self._queue = metrics.model_queue.labels(model)
        # In the order of their priority.
        self._lanes: dict[str, _Lane] = {
            "queries": _Lane(),
            "passages": _Lane(),
            "later": _Lane(deque(maxlen=QUEUE_JOBS)),
        }
        self._changed = threading.Condition(threading.Lock())
        # By thread: when it will have finished its chunk, as far as known.
        self._free_at = [0.0] * threads
        self._closed = False
        # Daemon threads: a schedule that was not closed must not keep the process alive.
        self._threads = [
            threading.Thread(target=self._work, args=(number,), name=f"model-{model}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    async def run(
        self,
        read: Callable[[Sequence[str]], Sequence[Value]],
        texts: Sequence[str],
        deadline: float | None,
        lane: LaneName = "passages",
        *,
        full_chunks: bool = False,
        enough: Callable[[Sequence[Value | None]], bool] | None = None,
    ) -> list[Value | None]:
        """Call `read` in the model's thread, chunk by chunk, and return one value for each text.

        Returns when all texts are read, at the latest at `deadline` (seconds on the monotonic
        clock, as `loop.time()`), with None for each text whose chunk is not finished then. If the
        call is cancelled, the thread only finishes the chunk that it is reading. `full_chunks`:
        chunks are as large as they can be, where no search waits: small ones take 1.15 of the time.
        `enough` is asked in the event loop after each chunk, with the values so far. If it returns
        True, so does this, while the thread finishes the chunk that it has begun meanwhile.

        Raises Overloaded at once if the queue is full or its wait is longer than the deadline
        allows. If `read` raises a RescoreError, this raises it; for another error, ModelFailed.
        """
        if not texts:
            return []
        done = asyncio.get_running_loop().create_future()
        job: _Job[Value] = _Job(
            read=read,
            texts=texts,
            chunks=deque(
                cut_chunks(texts, CHUNK_TEXTS if full_chunks else self._chunk_texts(lane, deadline))
            ),
            deadline=deadline,
            values=[None] * len(texts),
            done=done,
            enough=enough,
        )
        within, entered = current_step(), time.monotonic()
        self._enter(job, lane)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(deadline):
                    await done
        finally:
            self._leave(job, lane)
            if within is not None:
                _record(job, within, entered)
            # Its traceback refers to frames that refer to the job, so they would be kept until a
            # full garbage collection.
            error, job.error = job.error, None
        if error is None:
            return job.values
        try:
            raise error
        finally:
            del error  # its traceback refers to this frame

    def wait_s(self, lane: LaneName) -> float:
        """Seconds until the first texts of a new job are read, as far as known."""
        with self._changed:
            return self._wait(time.monotonic(), lane)

    def read_later(self, read: Callable[[Sequence[str]], object], texts: Sequence[str]) -> None:
        """Call `read` for the texts when nothing else waits; its results are not returned.

        The chunks are small, because a search that arrives waits for the current one. If there are
        too many such jobs, the oldest is dropped.
        """
        if not texts:
            return

        def read_texts(some: Sequence[str]) -> Sequence[None]:
            read(some)
            return [None] * len(some)

        job: _Job[None] = _Job(
            read=read_texts,
            texts=texts,
            chunks=deque(cut_chunks(texts, self._batch or _LATER_TEXTS)),
            deadline=None,
            values=[None] * len(texts),
            done=None,
        )
        with self._changed:
            self._lanes["later"].jobs.append(job)
            self._changed.notify()

    def close(self) -> None:
        """Fail the waiting jobs, finish the current chunk, and end the thread. Blocks."""
        with self._changed:
            self._closed = True
            waiting = [job for lane in self._lanes.values() for job in lane.jobs]
            for lane in self._lanes.values():
                lane.jobs.clear()
            self._changed.notify_all()
        for job in waiting:
            self._finish(job, ModelFailed(f"model {self._model!r} is closing"))
        for thread in self._threads:
            thread.join()

    def _chunk_texts(self, lane: LaneName, deadline: float | None) -> int:
        if self._batch is not None:
            return self._batch
        no_deadline = _CHUNK_SECONDS * QUEUE_JOBS
        seconds_left = no_deadline if deadline is None else deadline - time.monotonic()
        with self._changed:
            return self._lanes[lane].chunk_texts(seconds_left)

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
        """Seconds until a new job's first chunk: the current chunk, and one of each job ahead."""
        ahead = ("queries", "passages") if lane == "passages" else ("queries",)
        line = sum(
            len(job.chunks[0]) * self._lanes[name].text_seconds
            for name in ahead
            for job in self._lanes[name].jobs
        )
        return line / len(self._threads) + max(0.0, min(self._free_at) - now)

    def _leave(self, job: _Job[Any], lane: LaneName) -> None:
        with self._changed:
            job.abandoned = True
            self._lanes[lane].searches -= 1
            # If the job is not in the queue, the thread reads it now or has finished it. The test
            # comes first: the error of `remove` contains the job's values and takes milliseconds.
            if job in self._lanes[lane].jobs:
                self._lanes[lane].jobs.remove(job)
        self._queue.dec()

    def _work(self, thread: int) -> None:
        while (taken := self._take(thread)) is not None:
            self._read_chunk(*taken)
            del taken  # while it waits for the next job, it keeps nothing of this one

    def _take(self, thread: int) -> tuple[_Lane, _Job[Any]] | None:
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
                        seconds = len(job.chunks[0]) * lane.text_seconds
                        self._free_at[thread] = now + seconds
                        return lane, job
                self._free_at[thread] = 0.0
                self._changed.wait(pause)
        return None

    def _read_chunk(self, lane: _Lane, job: _Job[Any]) -> None:
        started = time.monotonic()
        if job.deadline is not None and started >= job.deadline:
            self._finish(job)
            return
        chunk = job.chunks.popleft()
        if job.begun is None:
            job.begun = started
        CALL_DEADLINE.set(job.deadline)
        try:
            values = job.read([job.texts[position] for position in chunk])
            if len(values) != len(chunk):
                raise ValueError(f"{len(values)} answers to {len(chunk)} texts")
        except DeadlinePassed:  # the search gets what was read before
            self._finish(job)
            return
        except Exception as error:
            if not (self._backend_logs and isinstance(error, RescoreError)):
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
            if job.abandoned:
                return
            for position, value in zip(chunk, values, strict=True):
                job.values[position] = value
            if job.chunks and not self._closed:
                lane.jobs.append(job)
                if job.done is not None and job.enough is not None:
                    with contextlib.suppress(RuntimeError):  # of a closed loop
                        job.done.get_loop().call_soon_threadsafe(_end_if_enough, job)
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

        # A closed loop raises RuntimeError; no search waits in it any more.
        with contextlib.suppress(RuntimeError):
            done.get_loop().call_soon_threadsafe(finish)


def _end_if_enough(job: _Job[Any]) -> None:
    done, enough = job.done, job.enough
    if done is not None and enough is not None and not done.done() and enough(job.values):
        done.set_result(None)


def _record(job: _Job[Any], within: Step, entered: float) -> None:
    """Record how long a search's texts waited, and from when to when they were read."""
    now = time.monotonic()
    begun = now if job.begun is None else job.begun
    record_step(within, "queue", entered, begun)
    if job.begun is not None:
        record_step(within, "compute", begun, now)
