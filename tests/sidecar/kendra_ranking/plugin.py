"""OpenSearch's Kendra Intelligent Ranking plugin, imitated with our own core.

This file builds the bytes that the plugin sends, and reads the answer as the plugin reads it
(opensearch-project/search-processor, KendraIntelligentRanker).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.kendra_text import (
    BODY_TOKENS,
    TITLE_TOKENS,
    choose_kendra_passages,
    split_kendra_passages,
    tokenise,
)

DOC_LIMIT = 25
TOP_PASSAGES = 3


@dataclass(frozen=True, slots=True)
class PageHit:
    """One hit of a page: `_id`, `_score` and the two fields of its source."""

    id: str
    score: float
    title: str | None
    body: str


def write_request(query_text: str, hits: Sequence[PageHit]) -> bytes:
    """The body of the plugin's POST: in its order of keys, with null titles and unescaped text."""
    query = tokenise(query_text)
    documents = []
    for hit in hits[:DOC_LIMIT]:
        passages = split_kendra_passages(hit.body)
        chosen = choose_kendra_passages(query, passages, TOP_PASSAGES)
        for number, index in enumerate(chosen, start=1):
            documents.append(
                {
                    "Id": f"{hit.id}@{number}",
                    "GroupId": hit.id,
                    "TokenizedTitle": tokenise(hit.title)[:TITLE_TOKENS] if hit.title else None,
                    "TokenizedBody": passages[index][:BODY_TOKENS],
                    "OriginalScore": hit.score,
                }
            )
    request = {"SearchQuery": query_text, "Documents": documents}
    return json.dumps(request, separators=(",", ":"), ensure_ascii=False).encode()


def read_answer(body: bytes, hits: Sequence[PageHit]) -> tuple[list[tuple[str, float]], float]:
    """The page that the plugin makes of an answer, and its max_score. Raises where it raises."""
    by_id = {hit.id: hit for hit in hits[:DOC_LIMIT]}
    items: list[dict[str, Any]] = json.loads(body)["ResultItems"]
    page = [(by_id[item["DocumentId"]].id, float(item["Score"])) for item in items]
    rest = [(hit.id, hit.score) for hit in hits[DOC_LIMIT:]]
    return page + rest, max([0.0, *(score for _, score in page)])
