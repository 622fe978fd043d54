"""A page that is sure is the page that reading everything gives."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import BadScores
from pipelines.plan import Plan
from pipelines.rescore import ChosenPassages, Rescoring, choose_passages, rescore
from pipelines.scoring import Enough, Scorer
from tests.pipelines.windows import a_plan, hits_of

QUERY = "tea kettle"
ADDITIVE = {"method": "additive", "lexical": 0.4, "guard": {"short_query_words": 5}}
RELATIVE = {"method": "relative", "weight": 2, "lexical": 0.3}


class Stopping(Scorer):
    """Knows some texts, reads others one by one until it is told to stop, `reach` at most.

    No score is above 1. Its student expects `expected`.
    """

    def __init__(
        self,
        scores: Mapping[str, float],
        known: frozenset[str] = frozenset(),
        reach: int = 1000,
        expected: Mapping[str, float] | None = None,
        bound: float | None = 1.0,
    ) -> None:
        self.scores, self.known, self.reach = scores, set(known), reach
        self.expected, self.bound = expected, bound
        self.reads = 0

    async def score(
        self, model: str, query_text: str, texts: Sequence[str]
    ) -> Sequence[float | None]:
        return await self.score_until(model, query_text, texts, lambda _: False)

    async def score_until(
        self, model: str, query_text: str, texts: Sequence[str], enough: Enough
    ) -> Sequence[float | None]:
        for text in texts:
            if enough(self._answer(texts)) or self.reads == self.reach:
                break
            self.reads += text not in self.known
            self.known.add(text)
        return self._answer(texts)

    def _answer(self, texts: Sequence[str]) -> list[float | None]:
        return [self.scores[text] if text in self.known else None for text in texts]

    def highest(self, model: str) -> float | None:
        return self.bound

    def spread(self, model: str) -> float:
        return 0.1

    async def estimate(
        self, model: str, query_text: str, texts: Sequence[str]
    ) -> Sequence[float | None] | None:
        return None if self.expected is None else [self.expected[text] for text in texts]


def run(plan: Plan, chosen: ChosenPassages, scorer: Scorer, places: int | None) -> Rescoring:
    return asyncio.run(rescore(plan, QUERY, chosen, scorer, breadth_first=True, places=places))


def draw_window(draw: random.Random, **keys: Any) -> tuple[Plan, ChosenPassages]:
    """A window of up to thirty hits, some in groups, some without text, some with equal scores."""
    words = ["tea", "kettle", "pot", "cup", "red", "blue"]
    sources = []
    for number in range(draw.randint(1, 30)):
        sentences = [
            f"{draw.choice(words)} {draw.choice(words)} n{draw.randint(0, 40)} of the same kind."
            for _ in range(draw.randint(0, 4))
        ]
        group = draw.choice(["g1", "g2", f"own{number}"]) if "group_by" in keys else "none"
        title = draw.choice(words) if draw.random() < 0.3 else ""
        sources.append({"body": " ".join(sentences), "title": title, "group": group})
    sources[0]["body"] = "Tea and kettle."
    originals = sorted((draw.choice([1, 2, 3, 3.5, 8]) * 1.0 for _ in sources), reverse=True)
    plan = a_plan(passages={"words": 8, "overlap": 0, "per_group": draw.randint(1, 3)}, **keys)
    return plan, choose_passages(plan, QUERY, hits_of(sources, originals))


def all_texts(chosen: ChosenPassages) -> list[str]:
    return sorted({one.text for passages in chosen.passages for one in passages})


@pytest.mark.parametrize("fusion", [ADDITIVE, RELATIVE], ids=["additive", "relative"])
@given(seed=st.integers(0, 2**32))
def test_a_sure_page_is_as_if_everything_was_read(fusion: dict[str, Any], seed: int) -> None:
    draw = random.Random(seed)
    keys: dict[str, Any] = {"group_by": "group"} if draw.random() < 0.3 else {}
    if draw.random() < 0.3:
        field = {"field": "body", "weight": draw.choice([0.5, 2])}
        keys["document"] = {"title": "title", "body": [field]}
    aggregate = draw.choice(["max", "max", "mean", "first", "mean_of_best"])
    stage: dict[str, Any] = {"model": "m", "aggregate": aggregate}
    if fusion is ADDITIVE:
        stage["weight"] = draw.choice([0, 0.01, 0.05, 0.4])
    else:
        fusion = {**fusion, "weight": draw.choice([0, 0.1, 0.5, 5])}
    plan, chosen = draw_window(draw, fusion=fusion, stages=[stage], student="auto", **keys)
    texts = all_texts(chosen)
    steps = draw.choice([2, 10, 1000])
    scores = {text: draw.randint(-steps, steps) / steps for text in texts}
    expected = {text: draw.uniform(-1, 1.5) for text in texts} if draw.random() < 0.5 else None
    known = frozenset(text for text in texts if draw.random() < draw.choice([0, 0.5, 0.95]))
    places = draw.randint(1, 12)
    reach = draw.choice([5, 1000])

    whole = run(plan, chosen, Stopping(scores, known, expected=expected), None)
    page = run(plan, chosen, Stopping(scores, known | {texts[0]}, reach, expected), places)
    assert sorted(one.position for one in page.ranking) == list(range(len(page.ranking)))
    if page.stages[0].sure:
        assert page.stages[0].sure == places
        positions = [one.position for one in page.ranking[:places]]
        assert positions == [one.position for one in whole.ranking[:places]]
        assert [page.hits[one].scores for one in positions] == [
            whole.hits[one].scores for one in positions
        ]
        assert [page.hits[one].passage for one in positions] == [
            whole.hits[one].passage for one in positions
        ]
    elif reach == 1000:
        assert page.ranking == whole.ranking


def window_of(count: int, **keys: Any) -> tuple[Plan, ChosenPassages]:
    """Hits with one passage each, whose original scores fall by one."""
    plan = a_plan(**{"fusion": ADDITIVE, "student": "auto", **keys})
    hits = hits_of([{"body": f"Tea n{number}."} for number in range(count)])
    return plan, choose_passages(plan, QUERY, hits)


LIGHT = [{"model": "m", "weight": 0.02}]


def test_the_model_stops_when_the_page_cannot_change() -> None:
    plan, chosen = window_of(10, stages=LIGHT)
    scorer = Stopping(dict.fromkeys(all_texts(chosen), 0.5))
    page = run(plan, chosen, scorer, 3)
    assert page.stages[0].sure == 3
    assert 3 <= scorer.reads < 10
    assert page.scored == scorer.reads
    # What was not read is behind the page, in the order that the words give.
    assert [one.position for one in page.ranking] == list(range(10))
    scores = [one.score for one in page.ranking if one.score is not None]
    assert scores == sorted(scores, reverse=True)


def test_a_page_of_known_passages_needs_no_model() -> None:
    plan, chosen = window_of(10, stages=LIGHT)
    texts = [passages[0].text for passages in chosen.passages]
    scorer = Stopping(dict.fromkeys(texts, 0.9), known=frozenset(texts[:6]))
    assert run(plan, chosen, scorer, 3).stages[0].sure == 3
    assert scorer.reads == 0


@pytest.mark.parametrize(
    "change",
    [
        {"places": None},
        {"bound": None},
        {"stages": [*LIGHT, {"model": "n", "weight": 0.02}]},
        {"stages": [{"model": "m", "weight": 0.02, "take": 9}]},
        {"fusion": {"method": "weighted", "weight": 0.1}, "stages": [{"model": "m"}]},
        {"fusion": {"method": "rrf", "weight": 0.1}, "stages": [{"model": "m"}]},
    ],
    ids=["whole order", "no bound", "two stages", "take", "weighted", "rrf"],
)
def test_everything_is_read_where_nothing_can_be_sure(change: dict[str, Any]) -> None:
    places, bound = change.pop("places", 3), change.pop("bound", 1.0)
    plan, chosen = window_of(10, **{"stages": LIGHT, **change})
    scorer = Stopping(dict.fromkeys(all_texts(chosen), 0.5), bound=bound)
    page = run(plan, chosen, scorer, places)
    assert {report.sure for report in page.stages} == {0}
    assert scorer.reads == (plan.stages[0].take or 10)


def test_a_hit_that_stands_apart_lets_nothing_be_sure() -> None:
    plan = a_plan(fusion=ADDITIVE, stages=LIGHT)
    hits = hits_of([{"body": f"Tea n{n}."} for n in range(8)], [9000, *range(17, 10, -1)])
    chosen = choose_passages(plan, QUERY, hits)
    scorer = Stopping(dict.fromkeys(all_texts(chosen), 0.5))
    assert run(plan, chosen, scorer, 2).stages[0].sure == 0
    assert scorer.reads == 8


def test_scores_that_are_no_numbers_are_refused_as_ever() -> None:
    plan, chosen = window_of(10, stages=LIGHT)
    scorer = Stopping(dict.fromkeys(all_texts(chosen), float("nan")))
    with pytest.raises(BadScores):
        run(plan, chosen, scorer, 3)


@pytest.mark.parametrize("uncut", [0, 3])
def test_no_page_is_sure_where_documents_were_not_cut(uncut: int) -> None:
    plan, chosen = window_of(10, stages=LIGHT)
    scorer = Stopping(dict.fromkeys(all_texts(chosen), 0.5))
    [report] = run(plan, replace(chosen, uncut=uncut), scorer, 3).stages
    assert report.groups == 10 + uncut
    assert report.sure == (0 if uncut else 3)
    assert report.scored == 10 or not uncut
