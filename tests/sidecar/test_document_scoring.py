"""Documents to scores, by the plans and models of the proxy."""

from collections.abc import Callable, Sequence

import pytest

from pipelines.errors import NoText, Overloaded
from pipelines.plan import Plan
from sidecar.document_scoring import DocumentScoring, GivenDocument, NotReady
from tests.one_scorer import OneScorer

Numbers = Sequence[float | None]


class Reads:
    """A scorer that gives each text what `score` says of it."""

    def __init__(self, score: Callable[[str, str], float | None]) -> None:
        self._score = score

    async def score(self, model: str, query_text: str, texts: Sequence[str]) -> Numbers:
        return [self._score(model, text) for text in texts]


def plan_of(*stages: dict[str, object], **keys: object) -> Plan:
    return Plan.model_validate({"document": {"body": "other"}, "stages": list(stages), **keys})


def scoring(score: Callable[[str, str], float | None]) -> DocumentScoring:
    return DocumentScoring(lambda: OneScorer(Reads(score)))


def length(_: str, text: str) -> float:
    return float(len(text))


DOCUMENTS = [GivenDocument("aa"), GivenDocument("bbbb"), GivenDocument(" "), GivenDocument("c")]


async def test_each_document_gets_the_models_score() -> None:
    plan = plan_of({"model": "m", "take": 1}, fusion={"method": "rrf"}, rescore_window=1)
    assert await scoring(length).score(plan, "q", DOCUMENTS, 5) == [2, 4, None, 1]
    assert await scoring(length).score(plan, "q", DOCUMENTS, 5, whole=True) == [2, 4, None, 1]


async def test_the_documents_of_a_group_share_its_score() -> None:
    documents = [
        GivenDocument("a", group="g"),
        GivenDocument("bbb"),
        GivenDocument("cc", group="g"),
    ]
    scores = await scoring(length).score(plan_of({"model": "m"}), "q", documents, 5)
    assert scores == [2, 3, 2]


async def test_a_later_stage_is_laid_on_the_range_of_the_one_before() -> None:
    def score(model: str, text: str) -> float:
        return len(text) if model == "first" else -1000.0 * len(text)

    plan = plan_of({"model": "first"}, {"model": "second", "take": 2})
    # The second model turns the two best around.
    assert await scoring(score).score(plan, "q", DOCUMENTS, 5) == [4, 2, None, 1]


async def test_what_is_not_read_is_left_out_or_refused() -> None:
    def score(_: str, text: str) -> float | None:
        return None if text == "bbbb" else 1.0

    plan = plan_of({"model": "m"})
    assert await scoring(score).score(plan, "q", DOCUMENTS, 5) == [1, None, None, 1]
    with pytest.raises(Overloaded):
        await scoring(score).score(plan, "q", DOCUMENTS, 5, whole=True)


async def test_nothing_to_score() -> None:
    plan = plan_of({"model": "m"})
    assert await scoring(length).score(plan, "q", [], 5) == []
    with pytest.raises(NoText):
        await scoring(length).score(plan, "q", [GivenDocument(" ")], 5)
    with pytest.raises(NotReady):
        await DocumentScoring(lambda: None).score(plan, "q", DOCUMENTS, 5)
