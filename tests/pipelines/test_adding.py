"""Additive fusion: stages add up, unread groups are compared fairly, students stand in."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.adding import correct_estimates
from pipelines.errors import DeadlinePassed, ModelFailed
from pipelines.rescore import Rescoring, choose_passages, rescore
from pipelines.scoring import Scorer
from tests.pipelines.windows import a_plan, hits_of

TWO = [{"model": "first", "weight": 0.5}, {"model": "second", "weight": 2, "take": 2}]


class Known(Scorer):
    """Models with a fixed score of each text, of which each reads the first `reach` ones.

    Their students expect `expected`, by model.
    """

    def __init__(
        self,
        scores: Mapping[str, Mapping[str, float]],
        reach: int = 1000,
        expected: Mapping[str, Mapping[str, float]] | None = None,
        spreads: Mapping[str, float] | None = None,
    ) -> None:
        self.scores, self.reach = scores, reach
        self.expected, self.spreads = expected or {}, spreads or {}
        self.asked: list[list[str]] = []

    async def score(
        self, model: str, query_text: str, texts: Sequence[str]
    ) -> Sequence[float | None]:
        self.asked.append(list(texts))
        if not self.reach:
            raise DeadlinePassed("nothing was read")
        return [self.scores[model][t] if i < self.reach else None for i, t in enumerate(texts)]

    def spread(self, model: str) -> float:
        return self.spreads.get(model, 1.0)

    async def estimate(
        self, model: str, query_text: str, texts: Sequence[str]
    ) -> Sequence[float | None] | None:
        expected = self.expected.get(model)
        return None if expected is None else [expected.get(text) for text in texts]


class Recalled(Known):
    """Models that read all texts before: a stage can do without `score`."""

    async def recall(
        self, model: str, query_text: str, texts: Sequence[str]
    ) -> Sequence[float | None] | None:
        return [self.scores[model][text] for text in texts]


def run(scorer: Scorer, count: int, originals: Sequence[float] = (), **keys: Any) -> Rescoring:
    """Rescore hits with the texts a, b, c, ..."""
    fusion = {"method": "additive", "guard": {"short_query_words": 1}, **keys.pop("fusion", {})}
    plan = a_plan(fusion=fusion, **{"student": "auto", **keys})
    hits = hits_of([{"body": chr(97 + number)} for number in range(count)], originals)
    return asyncio.run(rescore(plan, "query", choose_passages(plan, "query", hits), scorer))


def order(rescoring: Rescoring) -> str:
    return "".join(chr(97 + ranked.position) for ranked in rescoring.ranking)


def test_a_later_stage_adds_to_the_earlier_one() -> None:
    scores = {"first": {"a": 0.0, "b": 3.0, "c": 2.0}, "second": {"a": 0.0, "b": 0.1, "c": 0.2}}
    rescoring = run(Known(scores, spreads={"first": 0.5}), 3, [1, 1, 1], stages=TWO)
    assert order(rescoring) == "bca"  # 3 + 0.2 against 2 + 0.4
    report = rescoring.hits[1]
    assert (report.lexical, report.added, report.estimates) == (0.0, (3.0, 0.2), (None, None))
    assert rescoring.parts is not None
    assert [part.weight for part in rescoring.parts.stages] == [0.5, 2]
    assert rescoring.parts.stages[0].spread == 0.5


def test_what_a_later_stage_did_not_read_keeps_its_place_below() -> None:
    scores = {"first": {"a": 3.0, "b": 2.0, "c": 1.0}, "second": {"a": -9.0, "b": -8.0}}
    rescoring = run(Known(scores), 3, [1, 1, 1], stages=TWO)
    assert order(rescoring) == "bac"


def test_without_a_student_the_mean_stands_for_what_was_not_read() -> None:
    scores = {"a": 0.9, "b": 0.1, "c": 0.2, "d": 0.8, "e": 7.0, "f": 7.0}
    scorer = Known({"m": scores}, reach=4, spreads={"m": 0.1})
    stages = [{"model": "m", "weight": 0.1}]
    rescoring = run(scorer, 6, [1] * 6, stages=stages)
    assert scorer.asked == [["a", "b", "c", "d", "e", "f"]]
    assert order(rescoring) == "adefcb"  # the mean 0.5, less half a spread
    assert [hit.estimates[0] for hit in rescoring.hits[4:]] == pytest.approx([0.45, 0.45])
    assert (rescoring.scored, rescoring.estimated) == (4, 0)
    assert [hit.scores for hit in rescoring.hits][4:] == [(None,)] * 2

    few = run(Known({"m": scores}, reach=3, spreads={"m": 0.1}), 6, [1] * 6, stages=stages)
    assert order(few) == "acbdef"


def test_the_hits_that_the_words_promise_most_of_are_read_first() -> None:
    scorer = Known({"m": dict.fromkeys(["tea", "a kettle", "kettle query"], 0.0)})
    plan = a_plan(fusion={"method": "additive", "lexical": 1.0})
    hits = hits_of([{"body": text} for text in ("tea", "a kettle", "kettle query")], [1, 1, 1])
    chosen = choose_passages(plan, "kettle query", hits)
    asyncio.run(rescore(plan, "kettle query", chosen, scorer))
    assert scorer.asked == [["kettle query", "a kettle", "tea"]]


def test_swapping_models_of_another_scale_changes_nothing() -> None:
    scores = {"a": 0.1, "b": 0.5, "c": 0.3}
    tenfold = {text: 10 * score for text, score in scores.items()}
    small = run(Known({"m": scores}, spreads={"m": 0.1}), 3)
    large = run(Known({"m": tenfold}, spreads={"m": 1.0}), 3)
    assert order(small) == order(large)
    assert [hit.fused for hit in small.hits] == pytest.approx([hit.fused for hit in large.hits])


def test_a_student_chooses_what_is_read_first_and_stands_in_for_the_rest() -> None:
    scores = {"a": 0.0, "b": 0.9, "c": 0.2, "d": 0.7, "e": 0.6}
    scorer = Known({"m": scores}, reach=3, expected={"m": scores}, spreads={"m": 0.1})
    rescoring = run(scorer, 5, [1] * 5)
    assert scorer.asked == [["b", "d", "e", "c", "a"]]
    assert order(rescoring) == "bdeca"
    assert (rescoring.scored, rescoring.estimated) == (3, 2)
    assert rescoring.stages[0].scored == 3
    assert rescoring.stages[0].estimated == 2
    assert rescoring.hits[0].scores == (None,)
    assert list(rescoring.hits[0].estimates) == pytest.approx([-0.012])


def test_a_student_alone_orders_what_the_model_did_not_reach() -> None:
    expected = {"m": {"a": 0.0, "b": 1.0}}
    rescoring = run(Known({}, reach=0, expected=expected), 2, [1, 1])
    assert order(rescoring) == "ba"
    assert (rescoring.scored, rescoring.estimated) == (0, 2)
    assert rescoring.stages[0].reason == "deadline"
    with pytest.raises(DeadlinePassed):
        run(Known({}, reach=0, expected=expected), 2, student="off")


def test_a_model_that_fails_fails_with_a_student_too() -> None:
    class Fails(Known):
        async def score(
            self, model: str, query_text: str, texts: Sequence[str]
        ) -> Sequence[float | None]:
            raise ModelFailed("no")

    with pytest.raises(ModelFailed):
        run(Fails({}, expected={"m": {"a": 0.0}}), 1)


def test_estimates_are_moved_by_the_mean_error_of_three_and_more() -> None:
    estimates = {0: 0.1, 1: 0.2, 2: 0.3, 3: 0.4}
    two = correct_estimates(estimates, {0: 0.5, 1: 0.6}, 0.1)
    assert two == {2: 0.3, 3: 0.4}
    three = correct_estimates(estimates, {0: 0.5, 1: 0.6, 2: 0.7}, 0.1)
    assert three == {3: pytest.approx(0.4 + 0.4 - 0.012)}


def test_identifiers_give_the_hits_that_contain_them_precedence() -> None:
    scores = dict.fromkeys(("pump ax410 manual", "pump ax500 manual", "ax410 spare part"), 0.0)
    scores["pump ax500 manual"] = 0.5
    hits = hits_of([{"body": text} for text in scores], [1.0, 1.0, 1.0])

    def first(identifiers: float) -> int:
        guard = {"short_query_words": 1, "identifiers": identifiers}
        plan = a_plan(fusion={"method": "additive", "lexical": 0, "guard": guard})
        chosen = choose_passages(plan, "pump ax410", hits)
        rescoring = asyncio.run(rescore(plan, "pump ax410", chosen, Known({"m": scores})))
        return rescoring.ranking[0].position

    assert first(0.0) == 1
    assert first(0.5) == 0


def test_few_and_very_many_words_lower_the_weight() -> None:
    plan = a_plan(
        fusion={"method": "additive", "guard": {"short_query_words": 4, "long_query_words": 10}}
    )
    guard = plan.fusion.guard  # type: ignore[union-attr]
    assert [guard.factor(words) for words in (1, 2, 4, 10, 20, 100)] == [0.25, 0.5, 1, 1, 0.5, 0.1]


def test_stems_make_forms_of_a_word_equal() -> None:
    hits = hits_of([{"body": "a teapot"}, {"body": "two copper kettles"}], [1.0, 1.0])

    def evidence(stems: str) -> Mapping[int, float]:
        plan = a_plan(fusion={"method": "additive", "stems": stems})
        return choose_passages(plan, "kettle", hits).evidence.groups

    assert evidence("none") == {}
    assert evidence("english")[1] > evidence("english")[0]


numbers = st.floats(-1, 1)


@given(
    st.lists(st.tuples(numbers, numbers, st.floats(0, 20)), min_size=1, max_size=12),
    st.integers(1, 12),
    st.booleans(),
)
def test_each_hit_is_ranked_once_and_the_same_each_time(
    rows: list[tuple[float, float, float]], reach: int, student: bool
) -> None:
    texts = [chr(97 + number) for number in range(len(rows))]
    scores = {text: row[0] for text, row in zip(texts, rows, strict=True)}
    second = {text: row[1] for text, row in zip(texts, rows, strict=True)}
    originals = sorted((row[2] for row in rows), reverse=True)
    expected = {"first": second} if student else {}

    def once() -> Rescoring:
        return run(
            Known({"first": scores, "second": second}, reach, expected),
            len(rows),
            originals,
            stages=TWO,
        )

    rescoring = once()
    assert sorted(order(rescoring)) == texts
    assert once() == rescoring
    shown = [ranked.score for ranked in rescoring.ranking]
    assert shown == sorted(shown, key=lambda score: -(score or 0.0))


@given(st.lists(st.integers(-100, 100), min_size=4, max_size=12), st.integers(3, 12))
def test_with_a_perfect_student_nothing_that_is_read_is_too_low(
    values: list[int], reach: int
) -> None:
    """The groups that were read stand in their true order, and above all that promise less."""
    scores = {chr(97 + number): value / 100 for number, value in enumerate(values)}
    scorer = Known({"m": scores}, reach, {"m": scores})
    placed = order(run(scorer, len(values), [1.0] * len(values)))
    assert placed == order(run(Known({"m": scores}), len(values), [1.0] * len(values)))


@pytest.mark.parametrize("take", [None, 4, 2])
@pytest.mark.parametrize("student", ["off", "auto"])
def test_what_is_recalled_ranks_like_what_is_read(take: int | None, student: str) -> None:
    scores = {"m": dict(zip("abcd", (0.4, 0.9, 0.1, 0.6), strict=True))}
    stages = [{"model": "m", **({} if take is None else {"take": take})}]
    read, recalled = (
        kind(scores, expected={"m": dict.fromkeys("abcd", 0.5)}, spreads={"m": 0.1})
        for kind in (Known, Recalled)
    )
    given = [4.0, 3.0, 2.0, 1.0]
    by_reading = run(read, 4, given, stages=stages, student=student)
    by_recall = run(recalled, 4, given, stages=stages, student=student)
    assert by_recall == by_reading
    best = [{g: p.text for g, p in one.best_passages.items()} for one in (by_recall, by_reading)]
    assert best[0] == best[1]
    # Which groups a stage takes may depend on its student, so then it is asked as ever.
    assert recalled.asked == ([] if take in (None, 4) else read.asked)
