"""Documents in, one logit each: plans, failures and what has no text."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from pipelines.errors import BadScores, ModelFailed, Overloaded
from pipelines.plan import Plan
from pipelines.scoring import Scorer
from sidecar.config.rerank import RerankApis
from sidecar.document_scoring import DocumentModels, DocumentScoring
from sidecar.logits import NO_TEXT
from sidecar.metrics import Metrics
from sidecar.models.scorers import Models
from sidecar.rerank.refusals import Refusal
from sidecar.rerank.reranker import Reranker, build_reranker
from sidecar.scoring_line import ScoringLine
from tests.one_scorer import OneScorer
from tests.sidecar.rerank.conftest import plan_of

DOCUMENTS = ["green pear", "red apple", "", "red"]


class Answers(Scorer):
    """A scorer that gives what it is told to, or raises it."""

    def __init__(self, answer: Sequence[float | None] | Exception) -> None:
        self._answer = answer

    async def score(
        self, model: str, query_text: str, texts: Sequence[str]
    ) -> Sequence[float | None]:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def reranker(
    models: DocumentModels | None,
    plans: dict[str, Plan] | None = None,
    **settings: Any,
) -> Reranker:
    return build_reranker(
        RerankApis.model_validate(settings),
        plans or {"only": plan_of("words")},
        frozenset({"vectors"}),
        DocumentScoring(lambda: models, ScoringLine(Metrics())),
    )


async def cause_of(answer: Sequence[float | None] | Exception) -> str:
    with pytest.raises(Refusal) as caught:
        await reranker(OneScorer(Answers(answer))).score("q", ["a", "b"])
    return caught.value.cause


def test_which_plan_is_used(fake_plans: dict[str, Plan]) -> None:
    assert reranker(None, fake_plans).plan_name == "fused"
    assert reranker(None, fake_plans, plan="vectors").plan_name == "vectors"
    assert reranker(None, {"b": plan_of("words"), "a": plan_of("words")}).plan_name == "a"
    with pytest.raises(ValueError, match="there is no plan 'x'; the plans are: fused"):
        reranker(None, fake_plans, plan="x")
    with pytest.raises(ValueError, match="a plan is needed; the plans are: none"):
        build_reranker(
            RerankApis(), {}, frozenset(), DocumentScoring(lambda: None, ScoringLine(Metrics()))
        )


async def test_a_plans_order_of_search_results_does_not_count(fake_models: Models) -> None:
    plan = plan_of("words", fusion={"method": "weighted", "weight": 0}, rescore_window=1)
    scored = await reranker(fake_models, {"only": plan}).score("red apple", DOCUMENTS)
    assert scored.logits == (0.0, 1.0, NO_TEXT, 0.5)


async def test_cosines_are_spread(fake_models: Models, fake_plans: dict[str, Plan]) -> None:
    scored = await reranker(fake_models, fake_plans, plan="vectors").score("red apple", DOCUMENTS)
    assert [round(logit, 5) for logit in scored.logits] == [-4.0, 6.0, NO_TEXT, 3.07107]


async def test_a_later_stage_is_laid_on_the_range_of_the_first(fake_models: Models) -> None:
    stages = [{"model": "vectors", "take": 1}, {"model": "words", "take": 2}]
    documents = ["pear", "red apple tree red red", "red apple", "red"]
    only = {"only": plan_of("vectors", stages=stages[:1])}
    before = await reranker(fake_models, only).score("red apple", documents)
    both = {"only": plan_of("vectors", stages=stages)}
    after = await reranker(fake_models, both).score("red apple", documents)
    # The two best are read again, and share their old numbers in the new order.
    best = sorted(before.logits)[-2:]
    assert sorted(after.logits)[-2:] == best
    assert after.logits[0] == before.logits[0]


async def test_only_blank_documents(fake_models: Models) -> None:
    scored = await reranker(fake_models).score("red", ["", " \n", "\u3000"])
    assert scored.logits == (NO_TEXT,) * 3


async def test_a_document_counts_by_its_best_passage(fake_models: Models) -> None:
    padding = "Nothing of interest stands here. " * 300
    scored = await reranker(fake_models).score("red apple", [padding + "A red apple."])
    assert scored.logits == (1.0,)


async def test_causes_of_the_core() -> None:
    assert await cause_of(ModelFailed("model 'words' failed: ValueError")) == "model"
    assert await cause_of(Overloaded("the line is full")) == "overload"
    assert await cause_of(BadScores("nan")) == "model"
    assert await cause_of([None, None]) == "deadline"
    assert await cause_of([1.0]) == "model"


async def test_some_documents_alone_are_no_answer() -> None:
    assert await cause_of([1.0, None]) == "overload"

    async def late(model: str, query_text: str, texts: Sequence[str]) -> Sequence[float | None]:
        await asyncio.sleep(0.002)
        return [1.0, None]

    answers = Answers([])
    answers.score = late  # type: ignore[method-assign]
    with pytest.raises(Refusal) as caught:
        await reranker(OneScorer(answers), deadline_ms=1).score("q", ["a", "b"])
    assert caught.value.cause == "deadline"


async def test_before_the_models_are_there() -> None:
    with pytest.raises(Refusal) as caught:
        await reranker(None).score("q", ["a"])
    assert (caught.value.cause, caught.value.retry_after_s) == ("starting", 2)
