"""Which words of a document a result shows, as exact substrings of its text.

What the models liked best is found again in the text, and cut or widened to whole sentences. Of a
document that no model has read, the passage that shares most words with the query is taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from pipelines.lexical import count_words
from pipelines.words import different_words, read_words
from sidecar.kendra.found_documents import Found, FoundDocument
from sidecar.kendra.ranking import Ranking, ReadPassage
from sidecar.kendra.served_index import MOST_RESULTS
from sidecar.kendra.text_passages import (
    QUERY_WORDS,
    RETRIEVE_WORDS,
    NearDuplicates,
    Span,
    find_passage,
    narrow_passage,
    split_sentences,
    split_text,
    widen_passage,
)


@dataclass(frozen=True, slots=True)
class RetrievedPassage:
    """A passage of Retrieve: the document's number, where it stands, and how likely it is."""

    number: int
    start: int
    text: str
    probability: float | None


def cut_excerpt(
    document: FoundDocument,
    passage: ReadPassage | None,
    query_text: str,
    most_passages: int,
) -> str:
    """The excerpt of a document, of at most 100 token words; empty without a text.

    `passage`: what a model liked best of it. `most_passages` are looked through without one.
    """
    body = document.body
    place = find_passage(body, passage.text) if passage else None
    if place is None:
        span = _best_by_words(body, query_text, QUERY_WORDS, most_passages)
        return body[span.start : span.end] if span else ""
    part = body[place[0] : place[1]]
    sentences = split_sentences(part, QUERY_WORDS)
    if sum(sentence.words for sentence in sentences) > QUERY_WORDS:
        span = narrow_passage(part, sentences, 0, len(part), query_words(query_text))
        return part[span.start : span.end]
    return part


def query_words(text: str) -> frozenset[str]:
    """The words of a query text as excerpts are searched for them."""
    return frozenset(text.lower().split())


def cut_retrieved(
    found: Found,
    ranking: Ranking,
    query_text: str,
    most_passages: int,
    wanted: int = MOST_RESULTS,
) -> list[RetrievedPassage]:
    """Retrieve's passages, of at most 200 token words each: best first, a hundred at most.

    The best passages of documents come in the documents' own order. A document's further ones
    stand as far behind its best as the model's scores differ, on the scale of the fused values.
    Documents that no model has read give one passage each, behind all others. What repeats a
    better passage is left out. Only the first `wanted` are cut.
    """
    kept: list[RetrievedPassage] = []
    seen = NearDuplicates()
    for cut in _cut_in_order(found, ranking, query_text, most_passages):
        if len(kept) == min(wanted, MOST_RESULTS):
            break
        # Titles alone are names: "2 in. pipe" and "3 in. pipe" are two things.
        if not seen.repeats(cut.text, whole=not found.documents[cut.number].body):
            kept.append(cut)
    return kept


def _cut_in_order(
    found: Found, ranking: Ranking, query_text: str, most_passages: int
) -> Iterator[RetrievedPassage]:
    values = ranking.values
    read = [n for n in ranking.order if n in values and ranking.passages.get(n)]
    spread = _spread([values[number] for number in read])
    scores = _spread([p[0].score for p in ranking.passages.values() if p])
    scale = spread / scores if scores else 1.0
    cutters = {number: _Cutter(found.documents[number]) for number in read}
    entries: list[tuple[float, int, ReadPassage]] = []
    for number in read:
        best = ranking.passages[number][0].score
        for passage in ranking.passages[number]:
            entries.append((values[number] - (best - passage.score) * scale, number, passage))
    # Sorting is stable: equal values stay in the documents' order.
    entries.sort(key=lambda entry: -entry[0])
    for (_, number), equal in groupby(entries, key=lambda entry: entry[:2]):
        cutter = cutters[number]
        for passage in sorted((entry[2] for entry in equal), key=cutter.position):
            if cut := cutter.widen(passage):
                yield cut
    for number in ranking.order:
        if number in cutters:
            continue
        document = found.documents[number]
        span = _best_by_words(document.body, query_text, RETRIEVE_WORDS, most_passages)
        text = document.body[span.start : span.end] if span else document.title
        if text:
            yield RetrievedPassage(number, span.start if span else 0, text, None)


class _Cutter:
    """Widens the passages of one document, none over another that came before."""

    def __init__(self, document: FoundDocument) -> None:
        self._document = document
        self._sentences: list[Span] | None = None
        self._taken: list[tuple[int, int]] = []

    def position(self, passage: ReadPassage) -> int:
        """Where the passage begins; 0 for one that is not found in the text."""
        place = find_passage(self._document.body, passage.text)
        return place[0] if place else 0

    def widen(self, passage: ReadPassage) -> RetrievedPassage | None:
        """The passage with the sentences around it; None where one before has these words."""
        body = self._document.body
        place = find_passage(body, passage.text)
        if place is None:
            # A document with a title only, or a plan that cuts its passages from other words.
            start, end, text = 0, 0, body or self._document.title
            if body:
                span = _best_by_words(body, passage.text, RETRIEVE_WORDS, most=1)
                start, end = (span.start, span.end) if span else (0, 0)
                text = body[start:end]
        else:
            if self._sentences is None:
                self._sentences = split_sentences(body)
            span = widen_passage(self._sentences, *place)
            start, end = span.start, span.end
            text = body[start:end]
        if not text or any(begin < end and start < stop for begin, stop in self._taken):
            return None
        self._taken.append((start, end))
        return RetrievedPassage(self._document.number, start, text, passage.probability)


def _best_by_words(text: str, query_text: str, words: int, most: int) -> Span | None:
    spans = split_text(text, words, most)
    if len(spans) < 2:
        return spans[0] if spans else None
    scores = count_words(
        different_words(query_text), [read_words(text[span.start : span.end]) for span in spans]
    ).bm25()
    return spans[max(range(len(spans)), key=lambda index: (scores[index], -index))]


def _spread(values: list[float]) -> float:
    return max(values) - min(values) if values else 0.0
