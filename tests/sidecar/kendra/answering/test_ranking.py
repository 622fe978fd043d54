"""Documents in the plan's order with the models' scores of passages; tuning; answers; questions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from pipelines.errors import ModelFailed
from pipelines.plan import Plan
from pipelines.scoring import Scorer as ScorerSeam
from sidecar.config.kendra import KendraIndex
from sidecar.kendra.answering.answers import find_answers
from sidecar.kendra.answering.faq_choice import choose_faq
from sidecar.kendra.answering.ranking import (
    Ranking,
    RequestModels,
    ScoredPassage,
    lift,
    rank_documents,
)
from sidecar.kendra.asking.faq import FaqEntry
from sidecar.kendra.indexes.found_documents import DocumentSet, read_document_set
from sidecar.kendra.indexes.served_index import ServedIndex, adapt_plan
from sidecar.kendra.indexes.user_tokens import UserTokenReader
from sidecar.kendra.tables.text_tables import KnownTables
from sidecar.passage_cutter import PassageCutter

SETTINGS: dict[str, Any] = {"index": "docs", "fields": {"title": "title", "body": "body"}}


class Scorer(ScorerSeam):
    """Gives a text the score of the first of these words that is in it; None: not read in time."""

    def __init__(self, **scores: float | None) -> None:
        self.scores = scores

    async def score(self, model: str, query_text: str, texts: Sequence[str]) -> list[float | None]:
        return [
            next((score for word, score in self.scores.items() if word in text), 0.0)
            for text in texts
        ]


class Failing(Scorer):
    """Fails as a model does."""

    async def score(self, model: str, query_text: str, texts: Sequence[str]) -> list[float | None]:
        raise ModelFailed("out of memory")


def served(stages: Sequence[str] = ("m",), **settings: Any) -> ServedIndex:
    plan = Plan.model_validate(
        {
            "document": {"body": "another"},
            "rescore_window": 3,
            "stages": [{"model": name, "take": 1 if name == "late" else None} for name in stages],
            "fusion": {"method": "replace"},
            "passages": {"words": 8, "overlap": 0, "per_group": 3},
        }
    )
    index = KendraIndex.model_validate({**SETTINGS, **settings})
    tokens = UserTokenReader(index.user_context.tokens, Path())
    return ServedIndex("id", index, adapt_plan(plan, index), frozenset(), None, tokens)


def document_set(*bodies: str, ids: Sequence[str] = (), **settings: Any) -> DocumentSet:
    hits = [
        {
            "_index": "docs-1",
            "_id": str(number),
            "_score": 1.0,
            "_source": {"title": "T", "body": body},
            "fields": {"doc": [ids[number]]} if ids else {},
        }
        for number, body in enumerate(bodies)
    ]
    index = KendraIndex.model_validate({**SETTINGS, **settings})
    return read_document_set({"hits": {"hits": hits}}, index)


@pytest.fixture
def split() -> Iterator[PassageCutter]:
    documents = PassageCutter(1 << 20)
    yield documents
    documents.close()


def rank(index: ServedIndex, hits: DocumentSet, scorer: Scorer, split: PassageCutter) -> Ranking:
    models = RequestModels(scorer, time.monotonic() + 60)
    return asyncio.run(rank_documents(index, "query", hits, models, split))


def test_the_window_is_reordered_and_the_rest_follows(split: PassageCutter) -> None:
    hits = document_set("low", "high", "middle", "beyond")
    ranking = rank(served(), hits, Scorer(low=0.1, high=0.9, middle=0.5, beyond=1.0), split)
    assert ranking.order == (1, 2, 0, 3)
    assert ranking.values == {0: 0.1, 1: 0.9, 2: 0.5}
    assert ranking.reason is None
    assert [p.text for p in ranking.passages[1]] == ["high"]
    assert ranking.probability(1) == pytest.approx(1 / (1 + 2.718281828**-0.9))
    assert ranking.probability(3) is None


def test_the_passages_of_a_document_come_best_first(split: PassageCutter) -> None:
    text = "One two three four five six low. One two three four five six high. Last middle."
    scorer = Scorer(low=0.1, high=0.9, middle=0.5)
    ranking = rank(served(), document_set(text), scorer, split)
    assert [p.score for p in ranking.passages[0]] == [0.9, 0.5, 0.1]


def test_hits_that_share_an_id_are_one_document(split: PassageCutter) -> None:
    shared: dict[str, Any] = {
        "fields": {**SETTINGS["fields"], "document_id": "doc", "shared_id": True}
    }
    hits = document_set("low", "middle", "high", ids=["a", "b", "a"], **shared)
    assert [document.id for document in hits.documents] == ["a", "b"]
    assert hits.documents[0].body == "low high"
    scorer = Scorer(low=0.1, high=0.9, middle=0.5)
    ranking = rank(served(**shared), hits, scorer, split)
    assert ranking.order == (0, 1)
    assert [p.text for p in ranking.passages[0]] == ["high", "low"]


def test_the_last_stage_that_read_a_document_counts(split: PassageCutter) -> None:
    class Stages(Scorer):
        async def score(
            self, model: str, query_text: str, texts: Sequence[str]
        ) -> list[float | None]:
            scores = await super().score(model, query_text, texts)
            return [7.0 for _ in scores] if model == "late" else scores

    scorer = Stages(low=0.1, high=0.9)
    ranking = rank(served(("early", "late")), document_set("low", "high"), scorer, split)
    assert ranking.order == (1, 0)
    assert (ranking.passages[1][0].score, ranking.passages[0][0].score) == (7.0, 0.1)


def test_a_model_that_fails_leaves_the_order(split: PassageCutter) -> None:
    ranking = rank(served(), document_set("a", "b"), Failing(), split)
    assert (ranking.order, ranking.passages, ranking.reason) == ((0, 1), {}, "model")
    assert ranking.unread == {0, 1}


def test_a_document_not_read_in_time_follows_those_that_are(split: PassageCutter) -> None:
    hits = document_set("low", "late", "high", "beyond")
    ranking = rank(served(), hits, Scorer(low=0.1, late=None, high=0.9), split)
    assert ranking.order == (2, 0, 1, 3)
    assert ranking.reason == "deadline"
    assert ranking.probability(1) is None
    assert ranking.unread == {1}


def test_a_document_counts_as_read_with_some_of_its_passages(split: PassageCutter) -> None:
    text = "One two three four five six low. One two three four five six late."
    hits = document_set(text, "middle")
    ranking = rank(served(), hits, Scorer(low=0.1, middle=0.5, late=None), split)
    assert ranking.order == (1, 0)
    assert [passage.score for passage in ranking.passages[0]] == [0.1]
    assert (ranking.unread, ranking.reason) == (frozenset(), None)


def test_documents_that_no_stage_takes_are_not_unread(split: PassageCutter) -> None:
    hits = document_set("low", "", "middle", "high")
    scorer = Scorer(low=0.1, middle=None, T=0.5)
    assert rank(served(("late",)), hits, scorer, split).unread == frozenset()
    assert rank(served(), hits, scorer, split).unread == {2}


def test_a_lift_is_added_on_the_scale_of_the_fused_values() -> None:
    ranking = Ranking((2, 0, 1, 3), {0: 20.0, 1: 10.0, 2: 30.0})
    lifted = lift(ranking, [0.0, 1.0, 0.0, 1.0], 0.6)
    # Document 1 has 0 + 0.6, document 0 has 0.5; the one without a value keeps its place.
    assert lifted.order == (2, 1, 0, 3)
    assert lifted.values == pytest.approx({0: 0.5, 1: 0.6, 2: 1.0})
    assert lift(ranking, None, 0.6) is ranking
    unread = Ranking((0, 1))
    assert lift(unread, [0.0, 1.0], 0.6) is unread


def test_a_plan_that_reads_the_indexs_fields_reads_them_in_its_own_way() -> None:
    index = KendraIndex.model_validate(SETTINGS)

    def adapted(**document: Any) -> Plan:
        whole = {"document": document, "stages": [{"model": "m"}], "group_by": "family"}
        return adapt_plan(Plan.model_validate(whole), index)

    own = {"title": "title", "body": ["body", {"field": "tags", "label": "Tags"}]}
    assert adapted(**own).document.names == ("title", "body", "tags")
    assert adapted(**own).group_by == "family"
    assert adapted(body="content").document.names == ("title", "body")


def test_documents_of_a_family_have_the_same_score(split: PassageCutter) -> None:
    hits = document_set("low", "high", "middle")
    for hit, family in zip(hits.hits, ("a", "b", "a"), strict=True):
        cast(dict[str, object], hit.source)["family"] = family
    index = served()
    index = replace(index, plan=index.plan.model_copy(update={"group_by": "family"}))
    ranking = rank(index, hits, Scorer(low=0.1, high=0.9, middle=0.5), split)
    assert ranking.order == (1, 0, 2)
    assert ranking.probability(0) == ranking.probability(2)


TEXT = "The first sentence says little. The second sentence has the answer. The third is long."


def answers(scorer: Scorer | None, *probabilities: float) -> list[tuple[str, str]]:
    hits = document_set(*(TEXT for _ in probabilities))
    passages: dict[int, tuple[ScoredPassage, ...]] = {
        number: (ScoredPassage(TEXT, probability, probability),)
        for number, probability in enumerate(probabilities)
    }
    ranking = Ranking(tuple(range(len(probabilities))), dict.fromkeys(passages, 1.0), passages)
    chosen = asyncio.run(
        find_answers(served(), "third long", hits, ranking, scorer, KnownTables(), True)
    )
    return [(answer.document.id, answer.text[answer.start : answer.end]) for answer in chosen]


def test_an_answer_is_the_sentence_that_the_model_likes_best() -> None:
    scorer = Scorer(first=0.1, second=0.9, third=0.2)
    assert answers(scorer, 0.8) == [("0", "The second sentence has the answer.")]


def test_the_model_reads_a_sentence_with_the_title_before_it() -> None:
    class Recorder(Scorer):
        """Remembers what it is given."""

        texts: Sequence[str] = ()

        async def score(
            self, model: str, query_text: str, texts: Sequence[str]
        ) -> list[float | None]:
            self.texts = texts
            return await super().score(model, query_text, texts)

    recorder = Recorder(third=0.9)
    assert answers(recorder, 0.8) == [("0", "The third is long.")]
    assert recorder.texts == [
        "T. The first sentence says little.",
        "T. The second sentence has the answer.",
        "T. The third is long.",
    ]


def test_answers_are_of_medium_confidence_and_three_at_most() -> None:
    scorer = Scorer(first=0.9)
    assert [name for name, _ in answers(scorer, 0.9, 0.7, 0.6, 0.5, 0.4)] == ["0", "1", "2"]
    assert [name for name, _ in answers(scorer, 0.4, 0.39)] == ["0"]


def test_answers_are_in_the_order_of_documents_and_have_their_smooth_probabilities() -> None:
    scorer = Scorer(first=0.9)
    # 0.5, 0.39 and 0.9 rise down the order, so each of the three becomes their mean.
    assert [name for name, _ in answers(scorer, 0.5, 0.39, 0.9, 0.4, 0.6)] == ["0", "1", "2"]
    assert [name for name, _ in answers(scorer, 0.3, 0.49)] == []
    ranking = Ranking((1, 0), {}, {n: (ScoredPassage("", p, p),) for n, p in ((0, 0.8), (1, 0.2))})
    assert ranking.smooth_probabilities() == {1: 0.5, 0: 0.5}


@pytest.mark.parametrize("scorer", [None, Failing(), Scorer(first=None, second=0.9, third=None)])
def test_without_the_models_time_shared_words_choose_the_sentence(scorer: Scorer | None) -> None:
    assert answers(scorer, 0.8) == [("0", "The third is long.")]


def test_documents_that_may_not_answer_give_no_answer() -> None:
    passages: dict[int, tuple[ScoredPassage, ...]] = {0: (ScoredPassage(TEXT, 0.9, 0.9),)}
    ranking = Ranking((0,), {0: 1.0}, passages)
    assert not asyncio.run(
        find_answers(served(), "q", document_set(TEXT), ranking, None, KnownTables(), False)
    )


def questions(scorer: Scorer | None, **faq: Any) -> list[str]:
    entries = [FaqEntry(name, name, "An answer.", "") for name in ("low", "fair", "good")]
    index = served(faq={"index": "faq", **faq})
    chosen = asyncio.run(choose_faq(index, "query", entries, scorer))
    return [result.entry.id for result in chosen]


def test_questions_are_of_medium_confidence_and_beyond_their_threshold() -> None:
    scorer = Scorer(low=-2.0, fair=0.5, good=3.0)
    assert questions(scorer) == ["good", "fair"]
    assert questions(scorer, threshold=0.8) == ["good"]
    # Whatever the threshold, nothing below MEDIUM is a result.
    assert questions(scorer, threshold=0.05) == ["good", "fair"]


@pytest.mark.parametrize("scorer", [None, Failing()])
def test_without_a_model_there_are_no_questions(scorer: Scorer | None) -> None:
    assert questions(scorer) == []


def test_four_questions_at_most() -> None:
    entries = [FaqEntry(str(number), "good", "An answer.", "") for number in range(9)]
    index = served(faq={"index": "faq"})
    chosen = asyncio.run(choose_faq(index, "query", entries, Scorer(good=3.0)))
    assert [result.entry.id for result in chosen] == ["0", "1", "2", "3"]
