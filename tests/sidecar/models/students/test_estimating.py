"""Estimates and their error, and what happens while the table is replaced."""

import asyncio
import threading
from collections.abc import Sequence

import numpy as np
import pytest

from sidecar.metrics import Metrics
from sidecar.models.backends.base import Pieces
from sidecar.models.passage_store import passage_digest
from sidecar.models.students.estimating import PROBE_TEXTS, USELESS, Estimator
from sidecar.models.students.student import Student
from tests.sidecar.models.students.conftest import DIMENSIONS, WordsWithPieces, make_texts

TEXTS = make_texts(100)
QUERY = np.eye(1, DIMENSIONS, dtype=np.float32)[0]
DIGESTS = [passage_digest(text) for text in TEXTS]


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def estimator(metrics: Metrics, student: Student) -> Estimator:
    estimator = Estimator("m", WordsWithPieces().read_pieces, 2**20, metrics)
    estimator.use(student)
    return estimator


async def test_what_was_computed_is_remembered_as_it_is(estimator: Estimator) -> None:
    assert not estimator.look_up(DIGESTS)[0].any()
    first = await estimator.estimate(QUERY, [*TEXTS, *TEXTS])
    assert first is not None
    assert first[:100] == first[100:]
    assert estimator.look_up(DIGESTS)[0].all()
    assert await estimator.estimate(QUERY, TEXTS) == first[:100]
    assert await estimator.estimate(QUERY, TEXTS * 3) == first[:100] * 3


async def test_what_there_is_no_time_for_has_no_estimate(
    metrics: Metrics, student: Student
) -> None:
    reader = WordsWithPieces()
    texts = [f"{text} new{number}" for number, text in enumerate(TEXTS)]
    reads = 0

    def read_and_wait(texts: Sequence[str]) -> Sequence[Pieces]:
        # Whole texts, then their words; the words of the second block take too long.
        nonlocal reads
        reads += 1
        if reads > 2:
            over.wait(60)
        return reader.read_pieces(texts)

    over = threading.Event()
    slow = Estimator("m", read_and_wait, 2**20, metrics)
    slow.use(student)
    deadline = asyncio.get_running_loop().time() + 1
    try:
        estimates = await slow.estimate(QUERY, texts, deadline)
    finally:
        over.set()
    assert asyncio.get_running_loop().time() < deadline
    assert estimates is not None
    known = [estimate is not None for estimate in estimates]
    assert any(known)
    assert not all(known)
    assert known == sorted(known, reverse=True)


async def test_without_a_student_nothing_is_known(metrics: Metrics) -> None:
    empty = Estimator("m", WordsWithPieces().read_pieces, 2**20, metrics)
    assert await empty.estimate(QUERY, TEXTS) is None
    assert not empty.look_up(DIGESTS)[0].any()
    assert not empty.is_useful
    assert empty.error is None


async def test_the_memory_is_bounded(metrics: Metrics, student: Student) -> None:
    small = Estimator("m", WordsWithPieces().read_pieces, 10 * (16 + 4 + 190), metrics)
    small.use(student)
    assert await small.estimate(QUERY, TEXTS) is not None
    assert small.look_up(DIGESTS)[0].sum() == 10


def test_the_error_is_that_within_a_search(estimator: Estimator, metrics: Metrics) -> None:
    generator = np.random.default_rng(1)
    for height in range(40):
        cosines = generator.normal(size=10)
        wrong = generator.normal(size=10)
        # Another height of all estimates of one search changes no order.
        estimator.measure((cosines + 0.5 * wrong + height).tolist(), cosines.tolist())
    error = estimator.error
    assert error is not None
    assert 0.4 < error < 0.6
    assert estimator.is_useful
    assert metrics.registry.get_sample_value("rescore_student_error", {"model": "m"}) == error


async def test_estimates_are_as_far_apart_as_the_cosines(estimator: Estimator) -> None:
    before = await estimator.estimate(QUERY, TEXTS)
    generator = np.random.default_rng(1)
    for _ in range(40):
        cosines = generator.normal(size=10)
        estimator.measure((2 * cosines + 1).tolist(), cosines.tolist())
    assert estimator.slope == pytest.approx(0.5)
    assert estimator.error == pytest.approx(0, abs=1e-6)
    after = await estimator.estimate(QUERY, TEXTS)
    assert before is not None
    assert after is not None
    first, second = np.array(before, np.float64), np.array(after, np.float64)
    assert second.std() == pytest.approx(first.std() / 2)
    assert second.mean() == pytest.approx(first.mean())


async def test_estimates_that_say_nothing_are_not_used_until_they_do(estimator: Estimator) -> None:
    generator = np.random.default_rng(1)
    for _ in range(40):
        estimator.measure(generator.normal(size=10).tolist(), generator.normal(size=10).tolist())
    assert (estimator.error or 0) > USELESS
    assert not estimator.is_useful
    assert await estimator.estimate(QUERY, TEXTS) is None
    assert estimator.look_up(DIGESTS)[0].sum() == PROBE_TEXTS, "a few are still measured"
    for _ in range(200):
        cosines = generator.normal(size=10).tolist()
        estimator.measure(cosines, cosines)
    assert estimator.is_useful


async def test_a_new_table_forgets_vectors_and_error(
    estimator: Estimator, student: Student
) -> None:
    await estimator.estimate(QUERY, TEXTS)
    for _ in range(40):
        estimator.measure([1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0])
    assert not estimator.is_useful
    estimator.use(student)
    assert not estimator.look_up(DIGESTS)[0].any()
    assert estimator.is_useful


async def test_a_table_may_be_replaced_while_a_search_estimates(
    metrics: Metrics, student: Student
) -> None:
    inside, replaced = threading.Event(), threading.Event()
    reader = WordsWithPieces()

    def read_slowly(texts: Sequence[str]) -> list[Pieces]:
        inside.set()
        assert replaced.wait(60)
        return reader.read_pieces(texts)

    estimator = Estimator("m", read_slowly, 2**20, metrics)
    estimator.use(student)
    async with asyncio.TaskGroup() as group:
        search = group.create_task(estimator.estimate(QUERY, TEXTS))
        assert await asyncio.to_thread(inside.wait, 60)
        estimator.use(student)
        replaced.set()
    estimates = search.result()
    assert estimates is not None
    assert None not in estimates
    assert not estimator.look_up(DIGESTS)[0].any(), "an old vector must not enter the new memory"


async def test_what_a_model_has_read_is_compared(estimator: Estimator) -> None:
    await estimator.estimate(QUERY, TEXTS)
    for start in 4 * list(range(0, 80, 10)):
        scores = dict(zip(DIGESTS[start:], (0.1, 0.9, 0.2, 0.8, 0.3), strict=False))
        estimator.compare(QUERY, {**scores, b"not estimated": 0.5})
    assert estimator.error is not None


async def test_the_clock_is_looked_at_between_blocks_of_bounded_size(
    metrics: Metrics, student: Student
) -> None:
    blocks: list[list[int]] = []
    reader = WordsWithPieces()

    def read(texts: Sequence[str]) -> Sequence[Pieces]:
        blocks.append([len(text) for text in texts])
        return reader.read_pieces(texts)

    estimator = Estimator("m", read, 2**20, metrics)
    estimator.use(student)
    long = ["w1 " * 10_000 + str(number) for number in range(3)]
    assert await estimator.estimate(QUERY, [*TEXTS, *long, "w2 " * 1_000_000]) is not None
    assert sum(map(len, blocks)) == len(TEXTS) + 4
    assert max(map(len, blocks)) == 32
    assert all(len(block) == 1 or sum(block) <= 2**16 for block in blocks)
