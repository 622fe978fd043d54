"""Documents to scores, by the plans and models of the proxy."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack

import pytest

from pipelines.errors import NoText, Overloaded
from pipelines.plan import Plan
from pipelines.scoring import Scorer
from sidecar.document_scoring import DocumentScoring, GivenDocument, NotReady, is_blank
from sidecar.metrics import Metrics
from sidecar.scoring_line import MOST_PLACES, LineFull, ScoringLine
from tests.one_scorer import OneScorer

Numbers = Sequence[float | None]


class Reads(Scorer):
    """A scorer that gives each text what `score` says of it."""

    def __init__(self, score: Callable[[str, str], float | None]) -> None:
        self._score = score

    async def score(self, model: str, query_text: str, texts: Sequence[str]) -> Numbers:
        return [self._score(model, text) for text in texts]


def plan_of(*stages: dict[str, object], **keys: object) -> Plan:
    return Plan.model_validate({"document": {"body": "other"}, "stages": list(stages), **keys})


def scoring(score: Callable[[str, str], float | None]) -> DocumentScoring:
    return DocumentScoring(lambda: OneScorer(Reads(score)), ScoringLine(Metrics()))


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


class Stored(OneScorer):
    """Models that have read every text but those with an `x`."""

    def unread(self, model: str, texts: Sequence[str]) -> Sequence[str]:
        return [text for text in texts if "x" in text]


async def test_only_what_is_unread_needs_a_place_in_the_line() -> None:
    line = ScoringLine(Metrics())
    stored = DocumentScoring(lambda: Stored(Reads(length)), line)
    plan = plan_of({"model": "m"})
    with ExitStack() as places:
        for _ in range(MOST_PLACES):
            places.enter_context(line.enter(0.0, {"m": 1}))
        assert await stored.score(plan, "q", DOCUMENTS, 5, whole=True) == [2, 4, None, 1]
        with pytest.raises(LineFull):
            await stored.score(plan, "q", [*DOCUMENTS, GivenDocument("x")], 5, whole=True)
    documents = [*DOCUMENTS, GivenDocument("xxx"), GivenDocument("x x"), GivenDocument("xxx")]
    two = plan_of({"model": "m"}, {"model": "n", "take": 2})
    for each in (plan, two):
        scores = await stored.score(each, "q", documents, 5, whole=True)
        assert scores == [2, 4, None, 1, 3, 3, 3]
    assert line.metrics.registry.get_sample_value("rescore_scoring_line") == 0


async def test_nothing_to_score() -> None:
    plan = plan_of({"model": "m"})
    assert await scoring(length).score(plan, "q", [], 5) == []
    with pytest.raises(NoText):
        await scoring(length).score(plan, "q", [GivenDocument(" ")], 5)
    with pytest.raises(NotReady):
        await DocumentScoring(lambda: None, ScoringLine(Metrics())).score(plan, "q", DOCUMENTS, 5)


INVISIBLE = [
    "\u200b",
    "\0",
    "\ufeff",
    "\u200d\u2060",
    "\u00ad \u00a0",
    "\u3164",
    "\U000e0001",
    "\ufe0f",
]


@pytest.mark.parametrize("text", INVISIBLE, ids=ascii)
async def test_a_document_that_nobody_can_see_has_no_text(text: str) -> None:
    documents = [
        GivenDocument("aa"),
        GivenDocument(text),
        GivenDocument(text, title="bbb"),
        GivenDocument("c", title=text),
    ]
    scores = await scoring(length).score(plan_of({"model": "m"}), "q", documents, 5, whole=True)
    assert scores == [2, None, 3, 1]
    with pytest.raises(NoText):
        await scoring(length).score(plan_of({"model": "m"}), "q", [GivenDocument(text)], 5)


@pytest.mark.parametrize("text", ["a", "\u200bа", "5", "-", "\u0600", "\ufffd", "\U0001f600", "ไ"])
def test_what_can_be_seen_is_not_blank(text: str) -> None:
    assert not is_blank(text)
    assert not is_blank("\u200b" * 200_000 + text)
    assert is_blank("\u200b" * 200_000)
