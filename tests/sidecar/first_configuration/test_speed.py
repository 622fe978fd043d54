"""Window and deadline by the measured speed."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.first_configuration.speed import Speed, choose_bounds, measure_speed
from sidecar.metrics import Metrics
from sidecar.models.backends.fake import FakeBiEncoder
from sidecar.models.passage_store import PassageStore
from sidecar.models.scorers import BiEncoderScorer


@pytest.mark.parametrize(
    ("passages_per_second", "deadline"),
    [
        (10_000, 200),  # 20 ms for a window: the default is enough
        (1000, 300),  # 205 ms, with a third more
        (100, 500),  # 2 s: too long to wait for, so `warm` is for it
    ],
)
def test_a_slower_machine_gets_more_time(passages_per_second: float, deadline: int) -> None:
    bounds = choose_bounds(Speed(passages_per_second, query_ms=5), 2, 30_000, "")
    assert (bounds.rescore_window, bounds.deadline_ms) == (100, deadline)
    if passages_per_second == 100:
        assert (
            "`sidecar warm` reads all documents in advance, in about 5 min" in bounds.why_deadline
        )
    else:
        assert "sidecar warm" not in bounds.why_deadline


@pytest.mark.parametrize(("passages_per_second", "window"), [(100, 100), (30, 50), (1, 25)])
def test_an_index_too_large_to_read_in_advance_gets_a_smaller_window(
    passages_per_second: float, window: int
) -> None:
    bounds = choose_bounds(Speed(passages_per_second, query_ms=5), 2, 50_000_000, "")
    assert bounds.rescore_window == window
    assert "in advance would take" in bounds.why_window


def test_without_a_measurement_the_defaults_say_so() -> None:
    bounds = choose_bounds(None, 2, 1000, "the model is not on this machine yet")
    assert (bounds.rescore_window, bounds.deadline_ms) == (100, 200)
    assert bounds.why_window == "the default; the model is not on this machine yet"


def test_a_measurement_reads_new_passages_each_time() -> None:
    async def measure() -> tuple[Speed | None, Speed | None]:
        backend = FakeBiEncoder()
        store = PassageStore(backend.dimensions, 1 << 22)
        scorer = BiEncoderScorer("fake", backend, store, Metrics())
        try:
            passages = ["a ship in the port", "a pilot on board"]
            nothing = await measure_speed(scorer, [], [], 0.01)
            return nothing, await measure_speed(scorer, ["ship"], passages, 0.01)
        finally:
            scorer.close()

    nothing, speed = asyncio.run(measure())
    assert nothing is None
    assert speed is not None
    assert speed.passages_per_second > 0
    assert speed.query_ms > 0
