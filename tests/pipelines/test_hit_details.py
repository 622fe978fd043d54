"""The details of rescored hits: scores, passages and their places, and which scores are too low."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import ValidationError

from pipelines.hit_details import HitDetails, TextPlace, list_details
from pipelines.hits import Hit
from pipelines.plan import Plan
from pipelines.relevance import rate_relevance
from pipelines.rescore import choose_passages, rescore
from pipelines.scoring import Scorer


class ByLastWord(Scorer):
    """A scorer that reads the score at the end of each text; `model` says which of several."""

    async def score(
        self, model: str, query_text: str, texts: Sequence[str]
    ) -> Sequence[float | None]:
        place = int(model) if model.isdigit() else 0
        scores = [text.split()[-1].split("/")[place] for text in texts]
        return [None if score == "none" else float(score) for score in scores]


def a_plan(*models: str, **keys: Any) -> Plan:
    stages = [{"model": model} for model in models or ("m",)]
    return Plan.model_validate({"document": {"body": "body"}, "stages": stages, **keys})


async def details_of(
    plan: Plan, *sources: dict[str, Any], min_score: float | None = None, top: float = 5.0
) -> tuple[HitDetails, ...]:
    scores = [top, *(4.0 - place / 10 for place in range(1, len(sources)))]
    hits = [Hit(place, scores[place], source) for place, source in enumerate(sources)]
    chosen = choose_passages(plan, "red shoes", hits)
    rescoring = await rescore(plan, "red shoes", chosen, ByLastWord())
    return list_details(plan, hits, chosen, rescoring, min_score)


def bodies(*scores: str) -> list[dict[str, str]]:
    return [{"body": f"text says {score}"} for score in scores]


async def test_a_hit_has_the_score_and_the_passage_of_its_group() -> None:
    plan = a_plan(document={"title": "t", "body": ["a", "b"]})
    (one, two) = await details_of(plan, {"t": "T", "b": "red 1"}, {"t": "only 2"})
    assert one == HitDetails(1.0, "m", None, "red 1", TextPlace("b", 0, 5), True)
    assert two == HitDetails(2.0, "m", None, "only 2", TextPlace("t", 0, 6), True)


async def test_lexical_evidence_is_there_if_the_plan_uses_it() -> None:
    plan = a_plan(fusion={"method": "relative", "lexical": 0.3})
    one, two = await details_of(plan, {"body": "red shoes 1"}, {"body": "blue 2"})
    assert one.lexical is not None
    assert one.lexical > (two.lexical or 0)


async def test_the_place_of_a_passage_is_in_the_fields_own_text() -> None:
    body = "\n First  sentence of it.\n\n\tThe second one,\u00a0red, has the score 9 "
    plan = a_plan(passages={"words": 8, "overlap": 0, "per_group": 1})
    (one,) = await details_of(plan, {"body": body})
    assert one.passage == "The second one, red, has the score 9"
    assert one.place is not None
    found = body[one.place.start : one.place.end]
    assert found.split() == one.passage.split()
    assert found.startswith("The")
    assert found.endswith("9")


async def test_a_passage_of_several_values_has_no_place() -> None:
    (one,) = await details_of(a_plan(), {"body": ["red", "shoes 1"]})
    assert (one.passage, one.place) == ("red shoes 1", None)


async def test_a_passage_belongs_to_one_hit_of_its_group() -> None:
    plan = a_plan(group_by="g")
    one, two, three = await details_of(
        plan, {"g": "x", "body": "low 1"}, {"g": "x", "body": "high 2"}, {"body": "other 0"}
    )
    assert (one.passage, one.own, one.place) == ("high 2", False, None)
    assert (two.passage, two.own, two.place) == ("high 2", True, TextPlace("body", 0, 6))
    assert three.own


async def test_scores_below_are_too_low() -> None:
    found = await details_of(a_plan(), *bodies("0.2", "0.5", "0.7"), min_score=0.5, top=4.1)
    assert [one.too_low for one in found] == [True, False, False]
    found = await details_of(a_plan(), *bodies("0.2", "0.5", "0.7"), top=4.1)
    assert not any(one.too_low for one in found)


async def test_hits_without_a_score_are_not_too_low() -> None:
    sources = [*bodies("0.2", "none"), {}]
    found = await details_of(a_plan(), *sources, min_score=1, top=4.1)
    assert [one.too_low for one in found] == [True, False, False]
    assert [one.score for one in found] == [0.2, None, None]


async def test_pinned_hits_are_not_too_low() -> None:
    found = await details_of(a_plan(), *bodies("0.1", "0.2", "0.3", "0.4"), min_score=1, top=1e6)
    assert [one.too_low for one in found] == [False, True, True, True]


@pytest.mark.parametrize(
    ("scores", "too_low"),
    [
        # The last stage reads two hits. What it did not take is too low, whatever it got before.
        (["0.9/0.8", "0.8/0.1", "0.7/0"], [False, True, True]),
        # The deadline cut the last stage off: it may have been about to read the third hit.
        (["0.9/0.8", "0.8/none", "0.7/0"], [False, False, False]),
    ],
)
async def test_the_last_stage_decides(scores: list[str], too_low: list[bool]) -> None:
    plan = a_plan(stages=[{"model": "0"}, {"model": "1", "take": 2}], fusion={"method": "replace"})
    found = await details_of(plan, *bodies(*scores), min_score=0.5, top=4.1)
    assert [one.too_low for one in found] == too_low


async def test_no_hit_is_too_low_if_the_last_stage_failed() -> None:
    plan = a_plan("0", "1", fusion={"method": "replace"})
    found = await details_of(plan, *bodies("0.1/none", "0.2/none"), min_score=0.5, top=4.1)
    assert [(one.too_low, one.model) for one in found] == [(False, "0"), (False, "0")]


LEVELS = {"low": 0.1, "medium": 0.4, "high": 0.6, "very_high": 2}


@pytest.mark.parametrize(
    ("level", "too_low"),
    [("low", [False] * 3), ("medium", [True, False, False]), ("high", [True, True, False])],
)
async def test_hits_that_are_not_relevant_enough_are_too_low(
    level: str, too_low: list[bool]
) -> None:
    plan = a_plan(min_relevance=level, relevance_levels=LEVELS)
    found = await details_of(plan, *bodies("0.2", "0.5", "0.7"), top=4.1)
    assert [one.too_low for one in found] == too_low


def test_under_additive_fusion_relevance_is_the_mean_of_what_was_read() -> None:
    stages = [{"model": "0", "weight": 1}, {"model": "1", "weight": 3, "take": 1}]
    plan = a_plan(stages=stages, fusion={"method": "additive"})
    assert rate_relevance(plan, (0.4, 0.1), (2.0, 0.1)) == pytest.approx((0.2 + 3 * 1) / 4)
    assert rate_relevance(plan, (0.4, None), (2.0, 0.1)) == pytest.approx(0.2)
    assert rate_relevance(plan, (None, None), (2.0, 0.1)) is None
    replaced = a_plan("0", "1", fusion={"method": "replace"})
    assert rate_relevance(replaced, (0.4, 0.1), (2.0, 0.1)) == 0.1
    assert rate_relevance(replaced, (0.4,), (2.0, 0.1)) is None


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"min_relevance": "high"}, "run `sidecar tune`"),
        ({"relevance_levels": {**LEVELS, "high": 0.2}}, "must not fall"),
        ({"min_relevance": "some", "relevance_levels": LEVELS}, "'low', 'medium', 'high' or"),
    ],
)
def test_levels_that_mean_nothing_are_a_mistake(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        a_plan(**keys)
