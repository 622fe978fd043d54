"""The scores of a rescored window as JSON, from which the page fuses again without a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipelines.fusion_methods import AdditiveFusion, RelativeFusion
from pipelines.hit_details import list_details
from pipelines.passages import Passage, Splitter
from pipelines.plan import Plan
from pipelines.rescore import ChosenPassages, Rescoring, choose_passages
from pipelines.texts import replace_surrogates
from pipelines.words import Words, different_words
from sidecar.opensearch.search_response import SearchResponse
from sidecar.page.hit_texts import mark_words, show_passage, show_source
from sidecar.page.recording import RecordedSearch, ScoredTexts
from sidecar.page.requests import MOST_HITS, ShownFields

WITH_PASSAGES: Final = 200
"""Groups, best first, whose passages are all sent; the others have their best passage only."""

_MOST_PASSAGES: Final = 12


def describe_window(
    recorded: RecordedSearch, plan: Plan, shown: ShownFields | None, split: Splitter
) -> dict[str, Any] | None:
    """The window with its scores, and its texts if `shown`; None if it was not rescored.

    `groups` are in the original order: the positions of their hits, original score, lexical
    evidence, share of identifiers, and for each of `stages` one score, or the estimate that stands
    for it; None where there is none. `ranking` has the positions of the hits in the product's new
    order, `fused` the product's value of each group. Takes a few milliseconds per 100 hits, so it
    runs in a thread.
    """
    response, chosen, rescoring = recorded.response, recorded.chosen, recorded.rescoring
    if response is None or chosen is None or rescoring is None:
        return None
    query_words = different_words(replace_surrogates(recorded.query_text))
    evidence = _find_evidence(recorded, plan, chosen, split)
    ranking = [ranked.position for ranked in rescoring.ranking]
    return {
        "query_text": recorded.query_text,
        "query_words": chosen.evidence.query_words,
        "method": plan.fusion.method,
        "settings": plan.fusion.model_dump(mode="json"),
        "stages": _describe_stages(plan, rescoring),
        "groups": [
            {
                "hits": [document.position for document in group.documents],
                "original": group.original_score,
                "evidence": evidence.get(index),
                "exact": chosen.evidence.exact.get(index),
                "readable": bool(chosen.passages[index]),
                "scores": list(report.scores),
                "estimates": list(report.estimates),
                "fused": report.fused,
                "group": group.documents[0].group_value,
            }
            for index, group in enumerate(chosen.groups)
            for report in (rescoring.hits[group.documents[0].position],)
        ],
        "ranking": ranking,
        "scores": [ranked.score for ranked in rescoring.ranking],
        "passages": _show_passages(recorded.stages, chosen, ranking, query_words) if shown else {},
        "hits": _show_hits(recorded, plan, response, chosen, rescoring, shown, query_words),
    }


def _describe_stages(plan: Plan, rescoring: Rescoring) -> list[dict[str, Any]]:
    spreads = [part.spread for part in rescoring.parts.stages] if rescoring.parts else []
    return [
        {
            "weight": stage.added,
            "spread": spreads[number] if number < len(spreads) else 1.0,
            "model": report.model,
            "take": stage.take,
            "groups": report.groups,
            "scored": report.scored,
            "reason": report.reason,
        }
        for number, (stage, report) in enumerate(zip(plan.stages, rescoring.stages, strict=False))
    ]


def _find_evidence(
    recorded: RecordedSearch, plan: Plan, chosen: ChosenPassages, split: Splitter
) -> Mapping[int, float]:
    """Lexical evidence of each group, also if the plan does not use it."""
    if chosen.evidence.groups or not isinstance(plan.fusion, RelativeFusion | AdditiveFusion):
        return chosen.evidence.groups
    fusion = plan.fusion.model_copy(update={"lexical": 1.0})
    with_words = plan.model_copy(update={"fusion": fusion})
    again = choose_passages(with_words, recorded.query_text, recorded.hits, split)
    return again.evidence.groups


def _show_passages(
    stages: Sequence[ScoredTexts],
    chosen: ChosenPassages,
    ranking: Sequence[int],
    query_words: Words,
) -> dict[str, list[dict[str, Any]]]:
    """By group index: each passage that a model read, with its score in each stage."""
    group_of = {
        document.position: index
        for index, group in enumerate(chosen.groups)
        for document in group.documents
    }
    best_first = list(dict.fromkeys(group_of[position] for position in ranking))
    return {
        str(index): [
            _show_one(passage, stages, query_words)
            for passage in chosen.passages[index][:_MOST_PASSAGES]
        ]
        for index in best_first[:WITH_PASSAGES]
    }


def _show_one(
    passage: Passage, stages: Sequence[ScoredTexts], query_words: Words
) -> dict[str, Any]:
    return {
        "pieces": mark_words(passage.body or passage.text, query_words),
        "scores": [stage.scores.get(passage.text) for stage in stages],
        "weight": passage.weight,
    }


def _show_hits(
    recorded: RecordedSearch,
    plan: Plan,
    response: SearchResponse,
    chosen: ChosenPassages,
    rescoring: Rescoring,
    shown: ShownFields | None,
    query_words: Words,
) -> list[dict[str, Any]]:
    details = list_details(plan, recorded.hits, chosen, rescoring) if shown else ()
    hits = []
    for position, hit in enumerate(recorded.hits):
        answered = response.hits[position]
        entry: dict[str, Any] = {
            "id": answered.id,
            "index": answered.index_name,
            "score": answered.score,
        }
        if shown and position < MOST_HITS:
            entry |= show_source(hit.source, shown)
            entry["passage"] = show_passage(hit.source, details[position], query_words)
        hits.append(entry)
    return hits
