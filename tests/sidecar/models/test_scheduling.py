"""Deadlines, callers who leave, overload, turns and failures, with a model that tests hold back."""

import asyncio
import gc
import itertools
import logging
import threading
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import BadScores, ModelFailed, Overloaded
from sidecar.metrics import Metrics
from sidecar.models import scheduling
from sidecar.models.scheduling import CHUNK_TEXTS, QUEUE_JOBS, Schedule, cut_chunks


class HeldModel:
    """Reads a chunk only when the test lets it, and tells the test when it has begun."""

    def __init__(self) -> None:
        self.began: asyncio.Queue[list[str]] = asyncio.Queue()
        self.read_so_far: list[list[str]] = []
        self._loop = asyncio.get_running_loop()
        self._permits = threading.Semaphore(0)

    def let(self, chunks: int) -> None:
        self._permits.release(chunks)

    def read(self, texts: Sequence[str]) -> list[int]:
        self.read_so_far.append(list(texts))
        self._loop.call_soon_threadsafe(self.began.put_nowait, list(texts))
        assert self._permits.acquire(timeout=60), "the test never let this chunk go"
        return lengths(texts)

    def first_letters(self) -> str:
        """One letter a chunk: which search was read when."""
        return "".join(chunk[0][0] for chunk in self.read_so_far)


def lengths(texts: Sequence[str]) -> list[int]:
    return [len(text) for text in texts]


def texts_of(name: str, chunks: int) -> list[str]:
    """Texts of one length, so that they are read as they stand."""
    return [f"{name}{n:03}" for n in range(chunks * CHUNK_TEXTS)]


def metric(metrics: Metrics, name: str) -> float | None:
    return metrics.registry.get_sample_value(name, {"model": "m"})


async def in_line(jobs: int, metrics: Metrics) -> None:
    """Let the tasks created so far take their first step, which puts their jobs in line."""
    await asyncio.sleep(0)
    assert metric(metrics, "rescore_model_queue") == jobs


class Unwritable:
    """A value that must not be written out: for vectors that takes milliseconds."""

    def __repr__(self) -> str:
        raise AssertionError("somebody wrote out a job's values")


@pytest.fixture
async def schedule(metrics: Metrics) -> AsyncIterator[Schedule]:
    schedule = Schedule("m", metrics)
    yield schedule
    await asyncio.to_thread(schedule.close)


@given(st.lists(st.text(max_size=30), max_size=120))
def test_chunks_hold_every_text_once_and_the_best_first(texts: list[str]) -> None:
    chunks = cut_chunks(texts)
    assert list(range(len(texts))) == sorted(position for chunk in chunks for position in chunk)
    assert all(len(chunk) <= CHUNK_TEXTS for chunk in chunks)
    assert list(range(min(CHUNK_TEXTS, len(texts)))) == chunks[0]
    for number, chunk in enumerate(chunks):
        assert all(abs(position // CHUNK_TEXTS - number) <= 4 for position in chunk)


def test_later_chunks_hold_texts_of_like_length() -> None:
    texts = ["best"] * CHUNK_TEXTS + ["long" * 50, "short"] * CHUNK_TEXTS
    _, short, long = cut_chunks(texts)
    assert {"short"} == {texts[position] for position in short}
    assert {"long" * 50} == {texts[position] for position in long}


async def test_no_job_is_written_out(schedule: Schedule) -> None:
    values = await schedule.run(lambda texts: [Unwritable() for _ in texts], ["a", "b"], None)
    assert len(values) == 2


async def test_values_come_back_in_the_order_of_the_texts(schedule: Schedule) -> None:
    texts = ["x" * (n * 7 % 50) for n in range(100)]
    assert lengths(texts) == await schedule.run(lengths, texts, None)
    assert await schedule.run(lengths, [], None) == []


async def test_at_the_deadline_the_chunks_that_are_done_come_back(schedule: Schedule) -> None:
    model = HeldModel()
    texts = texts_of("a", 4)
    deadline = asyncio.get_running_loop().time() + 0.3
    search = asyncio.ensure_future(schedule.run(model.read, texts, deadline))
    await model.began.get()
    model.let(1)
    await model.began.get()
    assert await search == [4] * CHUNK_TEXTS + [None] * (3 * CHUNK_TEXTS)
    model.let(1)
    # The thread is free again and the rest of the late search is never read.
    assert await schedule.run(lengths, ["b"], None) == [1]
    assert len(model.read_so_far) == 2


async def test_a_passed_deadline_costs_no_reading(schedule: Schedule) -> None:
    model = HeldModel()
    assert await schedule.run(model.read, ["a", "b"], time.monotonic() - 1) == [None, None]
    assert await schedule.run(lengths, ["c"], None) == [1]
    assert model.read_so_far == []


async def test_a_caller_who_left_costs_nothing(schedule: Schedule, metrics: Metrics) -> None:
    model = HeldModel()
    in_hand = asyncio.ensure_future(schedule.run(model.read, texts_of("a", 3), None))
    await model.began.get()
    waiting = asyncio.ensure_future(schedule.run(model.read, texts_of("b", 3), None))
    await in_line(2, metrics)
    for search in (waiting, in_hand):
        search.cancel()
        with pytest.raises(asyncio.CancelledError):
            await search
    model.let(1)
    assert await schedule.run(lengths, ["c"], None) == [1]
    assert [texts_of("a", 1)] == model.read_so_far
    assert metric(metrics, "rescore_model_queue") == 0


async def test_a_full_line_refuses_at_once(schedule: Schedule, metrics: Metrics) -> None:
    model = HeldModel()
    async with asyncio.TaskGroup() as searches:
        for _ in range(QUEUE_JOBS):
            searches.create_task(schedule.run(model.read, ["a"], None))
        await in_line(QUEUE_JOBS, metrics)
        with pytest.raises(Overloaded):
            await schedule.run(model.read, ["b"], None)
        query = searches.create_task(schedule.run(lengths, ["query"], None, lane="queries"))
        model.let(QUEUE_JOBS)
    assert query.result() == [5], "cold searches do not fill the line of the warm ones"
    assert await schedule.run(lengths, ["c"], None) == [1]


async def test_a_wait_beyond_the_deadline_refuses_at_once(
    schedule: Schedule, metrics: Metrics
) -> None:
    def slow(texts: Sequence[str]) -> list[int]:
        time.sleep(0.05)
        return lengths(texts)

    loop = asyncio.get_running_loop()
    await schedule.run(slow, ["measured"], None)
    model = HeldModel()
    async with asyncio.TaskGroup() as searches:
        searches.create_task(schedule.run(model.read, ["in hand"], None))
        await model.began.get()
        searches.create_task(schedule.run(model.read, ["waits for 50 ms"], None))
        await in_line(2, metrics)
        with pytest.raises(Overloaded, match="beyond the deadline"):
            await schedule.run(model.read, ["late"], loop.time() + 0.02)
        patient = searches.create_task(schedule.run(lengths, ["patient"], loop.time() + 60))
        model.let(2)
    assert patient.result() == [7]


async def test_searches_take_turns(schedule: Schedule, metrics: Metrics) -> None:
    model = HeldModel()
    async with asyncio.TaskGroup() as searches:
        searches.create_task(schedule.run(model.read, ["first"], None))
        await model.began.get()
        for number, (name, chunks) in enumerate([("a", 3), ("b", 1), ("c", 2)]):
            searches.create_task(schedule.run(model.read, texts_of(name, chunks), None))
            await in_line(2 + number, metrics)
        model.let(7)
    assert model.first_letters() == "fabcaca"


async def test_query_texts_go_before_passages(schedule: Schedule, metrics: Metrics) -> None:
    model = HeldModel()
    async with asyncio.TaskGroup() as searches:
        searches.create_task(schedule.run(model.read, texts_of("a", 2), None))
        await model.began.get()
        searches.create_task(schedule.run(model.read, texts_of("b", 1), None))
        searches.create_task(schedule.run(model.read, ["query"], None, lane="queries"))
        await in_line(3, metrics)
        model.let(4)
    assert model.first_letters() == "aqba"


async def test_what_nobody_waits_for_is_read_last(schedule: Schedule, metrics: Metrics) -> None:
    model = HeldModel()
    async with asyncio.TaskGroup() as searches:
        searches.create_task(schedule.run(model.read, texts_of("a", 2), None))
        await model.began.get()
        schedule.read_later(model.read, ["later 1", "later 2", "later 3"])
        searches.create_task(schedule.run(model.read, texts_of("b", 2), None))
        await in_line(2, metrics)
        model.let(6)
    for _ in range(5):
        await model.began.get()
    assert model.first_letters() == "ababll"


async def test_too_much_for_later_is_forgotten(schedule: Schedule) -> None:
    model = HeldModel()
    search = asyncio.ensure_future(schedule.run(model.read, ["a"], None))
    await model.began.get()
    for n in range(QUEUE_JOBS + 3):
        schedule.read_later(model.read, [f"later {n}"])
    schedule.read_later(model.read, [])
    model.let(1 + QUEUE_JOBS)
    await search
    for _ in range(QUEUE_JOBS):
        last = await model.began.get()
    assert last == [f"later {QUEUE_JOBS + 2}"]
    assert model.read_so_far[1] == ["later 3"]


async def test_a_failure_is_its_callers_alone(
    schedule: Schedule, metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(texts: Sequence[str]) -> list[int]:
        raise MemoryError("no room")

    with caplog.at_level(logging.ERROR), pytest.raises(ModelFailed, match="MemoryError"):
        await schedule.run(failing, texts_of("a", 3), None)
    [record] = caplog.records
    assert record.exc_info is not None
    assert await schedule.run(lengths, ["b"], None) == [1]
    assert metric(metrics, "rescore_model_queue") == 0


async def test_a_short_answer_is_a_failure(schedule: Schedule) -> None:
    with pytest.raises(ModelFailed):
        await schedule.run(lambda texts: lengths(texts)[1:], ["a", "b"], None)


async def test_a_reason_of_our_own_is_handed_on(schedule: Schedule) -> None:
    def not_finite(texts: Sequence[str]) -> list[int]:
        raise BadScores("nan")

    with pytest.raises(BadScores, match="nan"):
        await schedule.run(not_finite, ["a"], None)


async def test_how_long_a_new_job_would_wait(schedule: Schedule, metrics: Metrics) -> None:
    assert schedule.wait_s("queries") == 0
    model = HeldModel()
    schedule._lanes["queries"].text_seconds = 30.0
    schedule._lanes["passages"].text_seconds = 10.0
    in_hand = asyncio.ensure_future(schedule.run(model.read, ["a"], None, lane="queries"))
    await model.began.get()
    ahead = asyncio.ensure_future(schedule.run(model.read, ["b"], None, lane="queries"))
    passage = asyncio.ensure_future(schedule.run(model.read, ["c"], None))
    await in_line(3, metrics)
    assert 50 < schedule.wait_s("queries") <= 60
    assert 60 < schedule.wait_s("passages") <= 70
    model.let(3)
    await asyncio.gather(in_hand, ahead, passage)


async def test_close_fails_those_who_wait(schedule: Schedule, metrics: Metrics) -> None:
    model = HeldModel()
    in_hand = asyncio.ensure_future(schedule.run(model.read, texts_of("a", 2), None))
    last_chunk = asyncio.ensure_future(schedule.run(model.read, ["b"], None))
    await model.began.get()
    await in_line(2, metrics)
    closing = asyncio.ensure_future(asyncio.to_thread(schedule.close))
    with pytest.raises(ModelFailed, match="closing"):
        await last_chunk
    model.let(1)
    with pytest.raises(ModelFailed, match="closing"):
        await in_hand
    await closing
    with pytest.raises(ModelFailed, match="closed"):
        await schedule.run(lengths, ["c"], None)
    assert len(model.read_so_far) == 1


async def test_what_is_read_is_counted(schedule: Schedule, metrics: Metrics) -> None:
    await schedule.run(lengths, texts_of("a", 3), None)
    assert metric(metrics, "rescore_model_texts_total") == 3 * CHUNK_TEXTS
    assert metric(metrics, "rescore_model_seconds_count") == 3


async def test_a_slow_model_is_given_fewer_texts_at_once(schedule: Schedule) -> None:
    sizes = []

    def slow(texts: Sequence[str]) -> list[int]:
        sizes.append(len(texts))
        time.sleep(0.02 * len(texts))
        return lengths(texts)

    await schedule.run(slow, ["x"] * CHUNK_TEXTS, None)
    assert sizes == [CHUNK_TEXTS]
    await schedule.run(slow, ["x"] * 7, None)
    assert sizes[1:] == [2, 2, 2, 1]


async def test_reading_for_later_leaves_as_much_time_as_it_takes(schedule: Schedule) -> None:
    spans = []
    done = threading.Event()

    def slow(texts: Sequence[str]) -> list[int]:
        started = time.monotonic()
        time.sleep(0.05)
        spans.append((started, time.monotonic()))
        if len(spans) == 3:
            done.set()
        return lengths(texts)

    schedule.read_later(slow, [f"{n}" for n in range(6)])
    assert await asyncio.to_thread(done.wait, 60)
    for (_, ended), (started, _) in itertools.pairwise(spans):
        assert started - ended > 0.04


async def test_a_search_does_not_wait_for_the_pause_of_what_is_read_for_later(
    schedule: Schedule,
) -> None:
    began = threading.Event()

    def slow(texts: Sequence[str]) -> list[int]:
        began.set()
        time.sleep(0.3)
        return lengths(texts)

    schedule.read_later(slow, [f"{n}" for n in range(20)])
    assert await asyncio.to_thread(began.wait, 60)
    # The first chunk is in hand; the second could only come after a pause as long.
    started = time.monotonic()
    assert await schedule.run(lengths, ["a"], None) == [1]
    assert time.monotonic() - started < 0.5


async def test_a_search_that_has_enough_leaves_the_rest_unread(
    schedule: Schedule, metrics: Metrics
) -> None:
    model, asked, again = HeldModel(), list[int](), asyncio.Event()

    def enough(values: Sequence[int | None]) -> bool:
        asked.append(len(values) - values.count(None))
        again.set()
        return len(asked) == 2

    texts = texts_of("a", 5)
    async with asyncio.TaskGroup() as group:
        search = group.create_task(schedule.run(model.read, texts, None, enough=enough))
        await in_line(1, metrics)
        model.let(1)
        await again.wait()
        model.let(1)
        values = await search
        assert asked == [CHUNK_TEXTS, 2 * CHUNK_TEXTS]
        assert values[: 2 * CHUNK_TEXTS] == lengths(texts[: 2 * CHUNK_TEXTS])
        # The thread had begun a third chunk by then, and begins no other.
        assert values[2 * CHUNK_TEXTS :] == [None] * (3 * CHUNK_TEXTS)
        group.create_task(schedule.run(model.read, texts_of("b", 1), None))
        model.let(2)
    assert model.first_letters() == "aaab"


async def test_a_search_is_not_asked_after_its_last_chunk(schedule: Schedule) -> None:
    asked: list[int] = []

    def enough(values: Sequence[int | None]) -> bool:
        asked.append(values.count(None))
        return False

    texts = texts_of("a", 2)
    assert await schedule.run(lengths, texts, None, enough=enough) == lengths(texts)
    assert len(asked) <= 1


class Texts(list[str]):
    """Texts of which one can tell whether they are still kept."""


def never(values: Sequence[int | None]) -> bool:
    return False


async def finish(schedule: Schedule, texts: Texts) -> None:
    await schedule.run(lengths, texts, None, enough=never)


async def have_enough(schedule: Schedule, texts: Texts) -> None:
    model = HeldModel()
    model.let(1)
    try:
        await schedule.run(model.read, texts, None, enough=lambda values: values[0] is not None)
    finally:
        model.let(100)


async def be_late(schedule: Schedule, texts: Texts) -> None:
    model = HeldModel()
    try:
        await schedule.run(model.read, texts, time.monotonic() + 0.05, enough=never)
    finally:
        model.let(100)


async def get_bad_scores(schedule: Schedule, texts: Texts) -> None:
    def read(some: Sequence[str]) -> list[int]:
        raise BadScores("not a number")

    with pytest.raises(BadScores):
        await schedule.run(read, texts, None, enough=never)


async def fail(schedule: Schedule, texts: Texts) -> None:
    def read(some: Sequence[str]) -> list[int]:
        raise MemoryError("no room")

    with pytest.raises(ModelFailed, match="MemoryError"):
        await schedule.run(read, texts, None, enough=never)


async def be_refused(schedule: Schedule, texts: Texts) -> None:
    schedule._lanes["passages"].text_seconds = 10.0
    model = HeldModel()
    in_hand = asyncio.ensure_future(schedule.run(model.read, ["a"], None))
    await model.began.get()
    with pytest.raises(Overloaded, match="beyond the deadline"):
        await schedule.run(lengths, texts, time.monotonic() + 1, enough=never)
    model.let(1)
    await in_hand


async def come_too_late(schedule: Schedule, texts: Texts) -> None:
    await asyncio.to_thread(schedule.close)
    with pytest.raises(ModelFailed, match="closed"):
        await schedule.run(lengths, texts, None, enough=never)


async def leave(schedule: Schedule, texts: Texts) -> None:
    model = HeldModel()
    task = asyncio.ensure_future(schedule.run(model.read, texts, None, enough=never))
    await model.began.get()
    task.cancel()
    model.let(100)
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    "end",
    [finish, have_enough, be_late, get_bad_scores, fail, be_refused, come_too_late, leave],
)
async def test_a_job_that_has_ended_is_freed_without_a_garbage_collection(
    metrics: Metrics,
    monkeypatch: pytest.MonkeyPatch,
    end: Callable[[Schedule, Texts], Awaitable[None]],
) -> None:
    # pytest keeps errors that are logged, and so all that their tracebacks refer to.
    monkeypatch.setattr(scheduling._log, "disabled", True)
    schedule = Schedule("m", metrics)
    gc.disable()
    try:
        texts = Texts(texts_of("a", 3))
        kept = weakref.ref(texts)
        await end(schedule, texts)
        del texts
        await asyncio.to_thread(schedule.close)
        for _ in range(3):  # what the thread has sent to the event loop
            await asyncio.sleep(0)
        assert kept() is None
    finally:
        gc.enable()
