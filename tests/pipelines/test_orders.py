"""What the original scores' offset, scale and outliers do to an order: nothing. The whole core."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.plan import Plan
from pipelines.rescore import Rescoring, choose_passages, rescore
from pipelines.scoring import Scorer
from tests.pipelines.windows import a_plan, hits_of

FUSIONS = [
    {"method": "relative", "weight": 5},
    {"method": "relative", "weight": 5, "lexical": 0.3, "short_query_words": 6},
    {"method": "weighted", "weight": 0.5},
    {"method": "rrf", "weight": 2},
    {"method": "replace"},
]
fusions = st.sampled_from(FUSIONS)
# Sums and products of these are exact, so that equal is equal.
# Beside ties a hit stands apart by how many times their score it has, which a constant changes: so
# there are ties among small scores, and none among large ones.
originals = st.one_of(
    st.lists(st.integers(0, 2**12).map(float), min_size=1, max_size=30, unique=True),
    st.lists(st.integers(64, 99).map(float), min_size=1, max_size=30),
).map(lambda scores: sorted(scores, reverse=True))
models = st.lists(st.integers(-8, 8), min_size=60, max_size=60)


class Given(Scorer):
    """Scores the text that says N by the N-th number; reaches so many texts of a call."""

    def __init__(self, numbers: Sequence[int], reach: int = 1000) -> None:
        self._numbers, self._reach = numbers, reach

    async def score(
        self, model: str, query_text: str, texts: Sequence[str]
    ) -> Sequence[float | None]:
        scores = [self._numbers[int(text.split()[1])] / 8 for text in texts]
        return [score if i < self._reach else None for i, score in enumerate(scores)]


def run(
    plan: Plan, scores: Sequence[float], numbers: Sequence[int], reach: int = 1000
) -> Rescoring:
    sources: list[dict[str, Any]] = [
        {"body": f"says {n} {'copper ' * (n % 4)}{'kettle ' * (n % 3)}"} for n in range(len(scores))
    ]
    chosen = choose_passages(plan, "copper kettle", hits_of(sources, scores))
    return asyncio.run(rescore(plan, "copper kettle", chosen, Given(numbers, reach)))


def positions(rescoring: Rescoring) -> list[int]:
    return [ranked.position for ranked in rescoring.ranking]


@given(fusions, originals, models, st.integers(0, 2**20), st.sampled_from([0.25, 1, 16]))
def test_neither_a_constant_nor_a_factor_moves_a_hit(
    fusion: dict[str, Any], scores: list[float], numbers: list[int], constant: int, factor: float
) -> None:
    plan = a_plan(fusion=fusion)
    plain = run(plan, scores, numbers)
    moved = run(plan, [score * factor + constant for score in scores], numbers)
    assert positions(moved) == positions(plain)
    assert [hit.fused for hit in moved.hits] == pytest.approx([hit.fused for hit in plain.hits])


levels = st.lists(st.sampled_from([1e3, 1e4, 1e5, 1e6]), min_size=1, max_size=6)
texts = st.lists(st.floats(0, 20), min_size=12, max_size=40).map(lambda some: [*some, 21.0, 0.0])


@given(fusions, levels, texts, models, st.integers(1, 60), st.sampled_from(["fused", "positional"]))
def test_pinned_hits_keep_their_order_and_the_others_are_ranked_as_without_them(
    fusion: dict[str, Any],
    pins: list[float],
    rest: list[float],
    numbers: list[int],
    reach: int,
    show: str,
) -> None:
    # The texts of a window weigh one another's words, pinned or not: no part of this.
    fusion = {**fusion, "lexical": 0} if "lexical" in fusion else fusion
    plan = a_plan(fusion=fusion, scores=show)
    pins, rest = sorted(pins, reverse=True), sorted(rest, reverse=True)
    # A pinned hit's text counts as well.
    pins = sorted((pin + rest[number] for number, pin in enumerate(pins)), reverse=True)
    count = len(pins)
    rescoring = run(plan, [*pins, *rest], numbers, reach)
    assert positions(rescoring)[:count] == list(range(count))
    assert [hit.score for hit in rescoring.ranking[:count]] == pins
    shown = [hit.score for hit in rescoring.ranking if hit.score is not None]
    assert shown == sorted(shown, reverse=True)
    if show == "fused":
        assert max(shown[count:]) <= max(rest)
    if reach > count:
        alone = run(plan, rest, numbers[count:], reach - count)
        # The texts of `alone` count from 0, and so do their numbers.
        assert [place - count for place in positions(rescoring)[count:]] == positions(alone)


def test_a_later_stage_leaves_pinned_hits_where_they_are() -> None:
    plan = a_plan(stages=[{"model": "a"}, {"model": "b", "take": 4}], fusion={"method": "replace"})
    scores = [1e5, 1e4, 9.0, 8.0, 7.0, 6.0, 5.0]
    rescoring = run(plan, scores, [0, 1, 2, 3, 4, 5, 6])
    assert positions(rescoring) == [0, 1, 6, 5, 4, 3, 2]
    assert [stage.scored for stage in rescoring.stages] == [7, 4]
    assert [hit.score for hit in rescoring.ranking][:3] == [1e5, 1e4, 9.0]
