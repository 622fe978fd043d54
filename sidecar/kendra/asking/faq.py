"""The search for FAQ entries: questions with their answers, in an index of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.documents import join_values
from pipelines.texts import replace_surrogates
from sidecar.config.kendra import KendraFaq
from sidecar.kendra.asking.attribute_filter import ParsedFilter
from sidecar.kendra.indexes.schema import Dsl

_CANDIDATES = 20


@dataclass(frozen=True, slots=True)
class FaqEntry:
    """One question with its answer."""

    id: str
    question: str
    answer: str
    uri: str


def write_faq_search(
    faq: KendraFaq, query_text: str, filter_: ParsedFilter, visible: Dsl | None
) -> Dsl | None:
    """The body of the search for candidates; None if the filter can match no entry.

    `visible` is the filter for the entries that the caller may see; None allows all entries.
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
    """The hits of OpenSearch's answer that have both a question and an answer."""
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
