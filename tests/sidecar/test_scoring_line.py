"""Who is admitted to the line, who reads next, and who is refused: on a clock of the test's."""

import asyncio
import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from pipelines.errors import BadScores, DeadlinePassed, ModelFailed
from pipelines.scoring import Scorer
from sidecar.metrics import Metrics
from sidecar.scoring_line import (
    MOST_PLACES,
    LineFull,
    ScorerInLine,
    ScoringLine,
    count_work,
)

TEXT_BYTES = 100
"""Each text of these tests is one unit of work, and takes a second."""


@dataclass
class Clock:
    """Starts with the event loop's time, which ends waiting at a deadline; goes on when told."""

    now: float = field(default_factory=lambda: asyncio.get_running_loop().time())

    def __call__(self) -> float:
        return self.now


@dataclass
class SlowModel(Scorer):
    """Takes a second for each text, and records who read; the clock's seconds, not real ones."""

    clock: Clock
    seconds: float = 1.0
    reads: list[str] = field(default_factory=list)
    error: Exception | None = None

    async def score(self, model: str, query_text: str, texts: Sequence[str]) -> list[float | None]:
        # Others get into the line meanwhile.
        await asyncio.sleep(0)
        self.clock.now += self.seconds * len(texts)
        if self.error is not None:
            raise self.error
        self.reads += [query_text] * len(texts)
        return [float(text.split()[1]) for text in texts]


@pytest.fixture
async def clock() -> Clock:
    return Clock()


@pytest.fixture
async def model(clock: Clock) -> SlowModel:
    return SlowModel(clock)


@pytest.fixture
async def line(clock: Clock) -> ScoringLine:
    return ScoringLine(Metrics(), clock)


def texts_of(count: int) -> list[str]:
    """Texts that differ and have `TEXT_BYTES` of work each."""
    return [f"t {n:034}" for n in range(count)]


async def ask(line: ScoringLine, model: SlowModel, name: str, texts: int, seconds: float) -> float:
    """A request that must be whole in so many seconds. Returns how long it took."""
    started = line.clock()
    wanted = texts_of(texts)
    with line.enter(started + seconds, {"m": count_work(wanted)}) as place:
        scorer = ScorerInLine(model, line, place, {"m": frozenset(wanted)})
        scores = await scorer.score("m", name, wanted)
    if None in scores:
        raise DeadlinePassed("not whole")
    assert scores == [float(n) for n in range(texts)]
    return line.clock() - started


def refused(line: ScoringLine, when: str) -> float:
    return (
        line.metrics.registry.get_sample_value("rescore_scoring_refused_total", {"when": when}) or 0
    )


def length(line: ScoringLine) -> float | None:
    return line.metrics.registry.get_sample_value("rescore_scoring_line")


async def learn(line: ScoringLine, model: SlowModel) -> None:
    """Let the line measure the model."""
    await ask(line, model, "learn", 30, 1000)
    model.reads.clear()


def test_each_text_of_these_tests_is_as_long_as_they_say() -> None:
    assert count_work(texts_of(3)) == 3 * TEXT_BYTES


def test_work_is_bounded_by_what_models_read() -> None:
    assert count_work(["a" * 1_000_000]) == count_work(["a" * 5000])
    assert count_work(["ab", "é", "\ud800"]) == 3 * count_work([""]) + 2 + 2 + 3


async def test_at_many_times_the_load_the_capacity_is_used_and_the_rest_refused_at_once(
    line: ScoringLine, model: SlowModel
) -> None:
    await learn(line, model)
    outcomes = await asyncio.gather(
        *(ask(line, model, str(n), 30, 301) for n in range(40)), return_exceptions=True
    )
    answered = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    # Ten requests of 30 seconds go into 301.
    assert len(answered) == 10
    assert max(answered) <= 301
    assert refused(line, "entry") == 30
    assert refused(line, "waiting") == 0
    assert all(isinstance(one, LineFull) for one in outcomes if isinstance(one, BaseException))
    # First come, first served, each one whole.
    assert model.reads == [str(n) for n in range(10) for _ in range(30)]


async def test_a_refusal_says_when_the_request_would_be_admitted(
    line: ScoringLine, model: SlowModel
) -> None:
    await learn(line, model)
    first = asyncio.ensure_future(ask(line, model, "first", 30, 31))
    await asyncio.sleep(0)
    with pytest.raises(LineFull) as caught:
        await ask(line, model, "second", 10, 35)
    assert 5 <= caught.value.retry_after_s <= 6
    # More than its own time: once the line is empty, it is tried.
    with pytest.raises(LineFull) as caught:
        await ask(line, model, "third", 100, 35)
    assert 29 <= caught.value.retry_after_s <= 31
    await first


async def test_a_request_alone_is_always_tried(line: ScoringLine, model: SlowModel) -> None:
    await learn(line, model)
    assert await ask(line, model, "too long", 100, 50) >= 100


async def test_nobody_is_refused_before_the_speed_is_known(
    line: ScoringLine, model: SlowModel
) -> None:
    outcomes = await asyncio.gather(
        *(ask(line, model, str(n), 30, 300) for n in range(40)), return_exceptions=True
    )
    answered = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    assert 9 <= len(answered) <= 10
    assert refused(line, "entry") == 0
    # As soon as it is known, all that are too late by far are refused.
    assert refused(line, "waiting") == 40 - len(answered)
    late = sum(isinstance(outcome, DeadlinePassed) for outcome in outcomes)
    assert late == 0


async def test_a_short_request_does_not_wait_for_a_long_one(
    line: ScoringLine, model: SlowModel
) -> None:
    await learn(line, model)
    long = asyncio.ensure_future(ask(line, model, "long", 100, 200))
    await asyncio.sleep(0)
    assert await ask(line, model, "short", 3, 200) <= 5
    assert not long.done()
    assert await long <= 104


async def test_a_long_request_in_a_hurry_is_not_overtaken(
    line: ScoringLine, model: SlowModel
) -> None:
    await learn(line, model)
    long = asyncio.ensure_future(ask(line, model, "long", 100, 101))
    await asyncio.sleep(0)
    short = asyncio.ensure_future(ask(line, model, "short", 3, 200))
    assert await long <= 101
    assert not short.done()
    assert await short <= 105


async def test_an_earlier_deadline_reads_first_but_makes_nobody_late(
    line: ScoringLine, model: SlowModel
) -> None:
    await learn(line, model)
    patient = asyncio.ensure_future(ask(line, model, "patient", 100, 125))
    await asyncio.sleep(0)
    hurried = asyncio.ensure_future(ask(line, model, "hurried", 20, 25))
    await asyncio.sleep(0)
    with pytest.raises(LineFull):
        await ask(line, model, "one more", 20, 50)
    assert await hurried <= 25
    assert await patient <= 125


async def test_who_cannot_end_in_time_any_more_is_refused_while_waiting(
    line: ScoringLine, model: SlowModel
) -> None:
    await learn(line, model)
    requests = [asyncio.ensure_future(ask(line, model, str(n), 30, 100)) for n in range(3)]
    await asyncio.sleep(0)
    model.seconds = 3
    outcomes = await asyncio.gather(*requests, return_exceptions=True)
    assert not isinstance(outcomes[0], BaseException)
    assert all(isinstance(outcome, LineFull) for outcome in outcomes[1:])
    assert refused(line, "waiting") == 2
    # No text of theirs was read.
    assert set(model.reads) == {"0"}


async def test_a_client_who_leaves_gives_up_its_place(line: ScoringLine, model: SlowModel) -> None:
    await learn(line, model)
    requests = [asyncio.ensure_future(ask(line, model, str(n), 30, 65)) for n in range(2)]
    await asyncio.sleep(0)
    assert length(line) == 2
    with pytest.raises(LineFull):
        await ask(line, model, "third", 30, 65)
    requests[1].cancel()
    await asyncio.wait([requests[1]])
    assert length(line) == 1
    await ask(line, model, "third", 30, 65)
    await requests[0]
    requests[0] = asyncio.ensure_future(ask(line, model, "in hand", 30, 65))
    await asyncio.sleep(0)
    requests[0].cancel()
    await asyncio.wait([requests[0]])
    assert length(line) == 0
    assert await ask(line, model, "after it", 3, 65) == 3


async def test_a_model_that_fails_holds_up_nobody(line: ScoringLine, model: SlowModel) -> None:
    await learn(line, model)
    model.error = ModelFailed("broken")
    first = asyncio.ensure_future(ask(line, model, "first", 3, 50))
    second = asyncio.ensure_future(ask(line, model, "second", 3, 50))
    for request in (first, second):
        with pytest.raises(ModelFailed):
            await request
    model.error = None
    assert await ask(line, model, "third", 3, 50) == 3


async def test_the_line_has_an_end(line: ScoringLine) -> None:
    with ExitStack() as places:
        for _ in range(MOST_PLACES):
            places.enter_context(line.enter(math.inf, {"m": 1}))
        with pytest.raises(LineFull):
            places.enter_context(line.enter(math.inf, {"m": 1}))
    assert length(line) == 0


async def test_a_deadline_ends_the_wait(line: ScoringLine, model: SlowModel) -> None:
    with line.enter(line.clock() + 100, {"m": 1}) as reader, line.enter(0.0, {"m": 1}) as late:
        async with line.turn(reader, "m", 1):
            with pytest.raises(DeadlinePassed):
                async with line.turn(late, "m", 1):
                    raise AssertionError("two read at once")


async def test_texts_that_were_read_before_need_no_turn(
    line: ScoringLine, model: SlowModel
) -> None:
    texts = texts_of(3)
    with line.enter(math.inf, {"m": 1}) as reader, line.enter(math.inf, {"m": 0}) as other:
        scorer = ScorerInLine(model, line, other, {"m": frozenset()})
        async with line.turn(reader, "m", 1):
            assert await scorer.score("m", "q", [*texts, texts[0]]) == [0, 1, 2, 0]


async def test_equal_texts_are_read_once(line: ScoringLine, model: SlowModel) -> None:
    texts = texts_of(2)
    with line.enter(line.clock() + 100, {"m": count_work(texts)}) as place:
        scorer = ScorerInLine(model, line, place, {"m": frozenset(texts)})
        assert await scorer.score("m", "q", texts + texts) == [0, 1, 0, 1]
    assert len(model.reads) == 2


class Short(Scorer):
    """A scorer that leaves a text out."""

    async def score(self, model: str, query_text: str, texts: Sequence[str]) -> list[float | None]:
        return [1.0] * (len(texts) - 1)


async def test_a_wrong_number_of_scores_is_noticed(line: ScoringLine) -> None:
    with line.enter(math.inf, {"m": 1}) as place:
        for unread in (frozenset(["a"]), frozenset[str]()):
            scorer = ScorerInLine(Short(), line, place, {"m": unread})
            with pytest.raises(BadScores):
                await scorer.score("m", "q", ["a"])
