"""QUESTION_ANSWER results: entries of the index's questions and answers that fit the query."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.documents import join_values, replace_surrogates
from pipelines.errors import RescoreError
from pipelines.scoring import Scorer
from sidecar.config_kendra import KendraFaq
from sidecar.kendra.attribute_filter import ReadFilter
from sidecar.kendra.confidence import calibrate
from sidecar.kendra.schema import Dsl
from sidecar.kendra.served_index import ServedIndex

MOST_ENTRIES = 4

_CANDIDATES = 20

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FaqEntry:
    """One question with its answer."""

    id: str
    question: str
    answer: str
    uri: str


@dataclass(frozen=True, slots=True)
class FaqResult:
    """An entry that fits, and how likely it is."""

    entry: FaqEntry
    probability: float


def write_faq_search(
    faq: KendraFaq, query_text: str, filter_: ReadFilter, visible: Dsl | None
) -> Dsl | None:
    """The body of the search for candidates; None when the filter leaves no entries.

    `visible`: the filter of what the caller may see, None when he sees all.
    """
    if not filter_.names <= set(faq.attributes):
        return None
    filters = [filter_.documents, visible if faq.acl else None]
    return {
        "size": _CANDIDATES,
        "query": {
            "bool": {
                "must": [{"match": {faq.question: query_text}}],
                "filter": [each for each in filters if each is not None],
            }
        },
        "_source": [faq.question, faq.answer, *filter(None, [faq.uri])],
    }


def read_faq_entries(answer: Mapping[str, Any], faq: KendraFaq) -> list[FaqEntry]:
    """The candidates of an answer that have a question and an answer."""
    entries = []
    for hit in answer["hits"]["hits"]:
        source = hit.get("_source") or {}
        question, text, uri = (
            replace_surrogates(join_values(source, (name,))) if name else ""
            for name in (faq.question, faq.answer, faq.uri)
        )
        if question and text:
            entries.append(FaqEntry(str(hit["_id"]), question, text, uri))
    return entries


async def choose_faq(
    index: ServedIndex, query_text: str, entries: list[FaqEntry], scorer: Scorer | None
) -> list[FaqResult]:
    """The entries whose question the model finds likely enough: best first, four at most.

    Without a model there are none: that words are shared makes no answer.
    """
    faq = index.settings.faq
    if faq is None or not entries or scorer is None:
        return []
    model = index.plan.stages[-1].model
    try:
        scores = await scorer.score(model, query_text, [entry.question for entry in entries])
    except RescoreError as error:
        _log.info("no questions and answers: %s", error.reason)
        return []
    least = max(faq.threshold, index.settings.confidence.medium)
    results = [
        FaqResult(entry, calibrate(score, model in index.cosines, index.settings.confidence))
        for entry, score in zip(entries, scores, strict=True)
        if score is not None
    ]
    likely = [result for result in results if result.probability >= least]
    return sorted(likely, key=lambda result: -result.probability)[:MOST_ENTRIES]
