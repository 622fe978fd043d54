from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from pipelines.errors import BadScores, DeadlinePassed, ModelFailed, NoText, RescoreError
from pipelines.fusion import Ranked
from pipelines.plan import Plan
from pipelines.rescore import HitReport, Rescoring, StageReport, choose_passages, rescore
from pipelines.scoring import Scorer
from tests.pipelines.windows import a_plan, hits_of


class Numbers(Scorer):
    """Scores a text by the number that ends it; reaches the first `reach` texts of a call."""

    def __init__(self, sign: float = 1.0, reach: int | None = None) -> None:
        self.sign = sign
        self.reach = reach
        self.calls: list[tuple[str, str, list[str]]] = []

    async def score(
        self, model: str, query_text: str, texts: Sequence[str]
    ) -> Sequence[float | None]:
        self.calls.append((model, query_text, list(texts)))
        reach = len(texts) if self.reach is None else self.reach
        scores = [self.sign * float(text.split()[-1]) for text in texts]
        return [score if i < reach else None for i, score in enumerate(scores)]


class ByModel(Scorer):
    """Hands each call to the scorer of its model, or raises what stands there."""

    def __init__(self, **models: Scorer | RescoreError) -> None:
        self.models = models

    async def score(
        self, model: str, query_text: str, texts: Sequence[str]
    ) -> Sequence[float | None]:
        scorer = self.models[model]
        if isinstance(scorer, RescoreError):
            raise scorer
        return await scorer.score(model, query_text, texts)


def bodies(*numbers: int | None) -> list[dict[str, Any]]:
    return [{} if number is None else {"body": f"says {number}"} for number in numbers]


async def run(plan: Plan, sources: list[dict[str, Any]], scorer: Scorer) -> Rescoring:
    return await rescore(plan, "query", choose_passages(plan, "query", hits_of(sources)), scorer)


def positions(rescoring: Rescoring) -> list[int]:
    return [hit.position for hit in rescoring.ranking]


replace = {"fusion": {"method": "replace"}}
two_stages = {"stages": [{"model": "first"}, {"model": "second", "take": 2}]}


async def test_hits_are_read_scored_and_put_in_their_new_order() -> None:
    rescoring = await run(a_plan(**replace), bodies(1, 3, 2), Numbers())
    assert rescoring == Rescoring(
        ranking=(Ranked(1, 10.0), Ranked(2, 9.0), Ranked(0, 8.0)),
        scored=3,
        stages=(StageReport("m", 3, 3, None),),
        hits=(
            HitReport(0, "says 1", (1.0,), 1.0),
            HitReport(1, "says 3", (3.0,), 3.0),
            HitReport(2, "says 2", (2.0,), 2.0),
        ),
    )


async def test_texts_go_to_the_model_in_the_original_order_with_the_query_text() -> None:
    scorer = Numbers()
    plan = a_plan()
    chosen = choose_passages(plan, "a \ud800 query", hits_of(bodies(1, None, 2)))
    await rescore(plan, "a \ud800 query", chosen, scorer)
    assert scorer.calls == [("m", "a \ufffd query", ["says 1", "says 2"])]


async def test_a_hit_without_text_keeps_its_place() -> None:
    rescoring = await run(a_plan(**replace), bodies(1, None, 3, 2), Numbers())
    assert positions(rescoring) == [2, 1, 3, 0]
    assert rescoring.scored == 3
    assert rescoring.hits[1] == HitReport(1, None, (None,), None)


async def test_what_the_deadline_cut_off_keeps_its_place() -> None:
    rescoring = await run(a_plan(**replace), bodies(1, 2, 3, 9), Numbers(reach=3))
    assert positions(rescoring) == [2, 1, 0, 3]
    assert rescoring.scored == 3
    assert rescoring.stages == (StageReport("m", 4, 3, None),)


async def test_a_stage_may_read_the_best_groups_only() -> None:
    plan = a_plan(stages=[{"model": "m", "take": 2}], **replace)
    assert positions(await run(plan, bodies(1, 2, 9), Numbers())) == [1, 0, 2]


async def test_hits_of_a_group_are_scored_as_one_and_counted_each() -> None:
    sources = [{"body": f"says {n}", "sku": sku} for n, sku in ((1, "a"), (5, "b"), (9, "a"))]
    rescoring = await run(a_plan(group_by="sku", **replace), sources, Numbers())
    assert positions(rescoring) == [0, 2, 1]
    assert rescoring.scored == 3
    assert [hit.passage for hit in rescoring.hits] == ["says 9", "says 5", "says 9"]


async def test_a_later_stage_re_orders_the_best_of_the_one_before_and_nothing_else() -> None:
    plan = a_plan(**two_stages, **replace)
    second = Numbers(sign=-1)
    rescoring = await run(plan, bodies(1, 4, 3, 2), ByModel(first=Numbers(), second=second))
    assert second.calls[0][2] == ["says 4", "says 3"]
    assert positions(rescoring) == [2, 1, 3, 0]
    assert rescoring.stages == (StageReport("first", 4, 4, None), StageReport("second", 2, 2, None))
    assert [hit.scores for hit in rescoring.hits] == [
        (1.0, None),
        (4.0, -4.0),
        (3.0, -3.0),
        (2.0, None),
    ]
    # The pair takes the range that it held after the first stage: values 4 and 3.
    assert [hit.fused for hit in rescoring.hits] == [1.0, 3.0, 4.0, 2.0]
    assert rescoring.ranking[0].score == 10.0
    assert rescoring.ranking[-1].score == 7.0


async def test_the_model_score_shown_is_the_last_one_a_group_got() -> None:
    plan = a_plan(**two_stages, **replace, scores="model")
    scorer = ByModel(first=Numbers(), second=Numbers(sign=-1))
    rescoring = await run(plan, bodies(1, 4, 3, None), scorer)
    assert rescoring.ranking == (Ranked(2, -3.0), Ranked(1, -4.0), Ranked(0, 1.0), Ranked(3, None))


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (ModelFailed("gone"), "model"),
        (DeadlinePassed("late"), "deadline"),
        (Numbers(reach=0), "deadline"),
        (Numbers(sign=float("inf")), "scores"),
    ],
    ids=["failed", "late", "nothing reached", "not finite"],
)
async def test_the_stage_before_stands_when_a_later_one_fails(
    second: Scorer | RescoreError, reason: str
) -> None:
    plan = a_plan(**two_stages, **replace)
    rescoring = await run(plan, bodies(1, 4, 3), ByModel(first=Numbers(), second=second))
    assert positions(rescoring) == [1, 2, 0]
    assert rescoring.stages[1] == StageReport("second", 2, 0, reason)
    assert rescoring.hits[1] == HitReport(1, "says 4", (4.0, None), 4.0)


async def test_a_later_stage_that_is_cut_off_moves_what_it_reached() -> None:
    plan = a_plan(stages=[{"model": "first"}, {"model": "second", "take": 3}], **replace)
    scorer = ByModel(first=Numbers(), second=Numbers(sign=-1, reach=2))
    rescoring = await run(plan, bodies(1, 2, 3, 4), scorer)
    assert positions(rescoring) == [2, 3, 1, 0]
    assert rescoring.stages[1] == StageReport("second", 3, 2, None)


@pytest.mark.parametrize("error", [ModelFailed("gone"), DeadlinePassed("late")])
async def test_the_first_stages_error_is_the_rescorings(error: RescoreError) -> None:
    with pytest.raises(type(error)):
        await run(a_plan(), bodies(1, 2), ByModel(m=error))


async def test_nothing_reached_is_a_passed_deadline() -> None:
    with pytest.raises(DeadlinePassed):
        await run(a_plan(), bodies(1, 2), Numbers(reach=0))


def test_hits_without_any_text_are_refused_with_advice() -> None:
    with pytest.raises(NoText, match="check their names"):
        choose_passages(a_plan(), "query", hits_of([{"other": "text"}, {}]))


def test_no_hits_have_no_text() -> None:
    with pytest.raises(NoText):
        choose_passages(a_plan(), "query", [])


@pytest.mark.parametrize("score", [float("nan"), float("inf"), 1e301])
def test_an_original_score_that_is_not_finite_is_refused(score: float) -> None:
    with pytest.raises(BadScores, match="not a finite number"):
        choose_passages(a_plan(), "query", hits_of(bodies(1), [score]))


def test_only_the_best_passages_of_a_long_document_are_kept() -> None:
    words = "Filler" + " filler" * 8
    body = " ".join([f"{words}. ", f"The needle {words}. ", f"{words}."])
    plan = a_plan(passages={"words": 12, "overlap": 0, "per_group": 1})
    (group,) = choose_passages(plan, "needle", hits_of([{"title": "Hay", "body": body}])).passages
    assert [passage.text for passage in group] == [f"Hay. The needle {words}."]


LONG = [
    {"body": "Nothing of it is 1. The query query is 2. One query more is 3."},
    {"body": "The query alone is 4."},
    {},
    {"body": "Another query here is 5. Nothing of it is 6."},
]


class Reached(Numbers):
    """Reads a number as the score, though a full stop follows."""

    async def score(
        self, model: str, query_text: str, texts: Sequence[str]
    ) -> Sequence[float | None]:
        scores = await super().score(model, query_text, [text.rstrip(".") for text in texts])
        self.calls[-1] = (model, query_text, list(texts))
        return scores


async def run_breadth_first(plan: Plan, scorer: Scorer) -> Rescoring:
    chosen = choose_passages(plan, "query", hits_of(LONG))
    return await rescore(plan, "query", chosen, scorer, breadth_first=True)


async def test_breadth_first_reads_the_best_passage_of_each_group_first() -> None:
    scorer = Reached()
    plan = a_plan(**replace, passages={"words": 8, "overlap": 0, "per_group": 2})
    await run_breadth_first(plan, scorer)
    [(_, _, texts)] = scorer.calls
    assert [text.split()[-1] for text in texts] == ["2.", "4.", "5.", "3.", "6."]


@pytest.mark.parametrize(
    ("reach", "scores"),
    [
        (1, [2.0, None, None, None]),
        (3, [2.0, 4.0, None, 5.0]),
        (4, [3.0, 4.0, None, 5.0]),
        (9, [3.0, 4.0, None, 6.0]),
    ],
)
async def test_a_group_has_the_score_of_its_passages_that_were_reached(
    reach: int, scores: list[float | None]
) -> None:
    plan = a_plan(**replace, passages={"words": 8, "overlap": 0, "per_group": 2})
    rescoring = await run_breadth_first(plan, Reached(reach=reach))
    assert [hit.scores[0] for hit in rescoring.hits] == scores
    assert rescoring.scored == sum(score is not None for score in scores)


@pytest.mark.parametrize("aggregate", ["max", "mean", "first", "mean_of_best"])
async def test_breadth_first_changes_nothing_if_everything_is_read(aggregate: str) -> None:
    stages = [{"model": "m", "aggregate": aggregate}]
    fusion = {"method": "relative", "weight": 2, "lexical": 0.5}
    passages = {"words": 8, "overlap": 0, "per_group": 3}
    plan = a_plan(stages=stages, fusion=fusion, passages=passages)
    chosen = choose_passages(plan, "query", hits_of(LONG))
    in_depth = await rescore(plan, "query", chosen, Reached())
    assert await run_breadth_first(plan, Reached()) == in_depth


async def test_passages_that_the_plan_does_not_compare_are_read_in_their_order() -> None:
    scorer = Reached()
    plan = a_plan(**replace, passages={"words": 8, "overlap": 0, "per_group": 3})
    await run_breadth_first(plan, scorer)
    [(_, _, texts)] = scorer.calls
    assert [text.split()[-1] for text in texts] == ["1.", "4.", "5.", "2.", "6.", "3."]
