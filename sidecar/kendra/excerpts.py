"""Which words of a document a result shows, as exact substrings of its text.

What the models liked best is found again in the text, and cut or widened to whole sentences. Of a
document that no model has read, the passage that shares most words with the query is taken.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.lexical import count_words
from pipelines.words import read_words
from sidecar.kendra.found_documents import Found, FoundDocument
from sidecar.kendra.ranking import Ranking, ReadPassage
from sidecar.kendra.served_index import MOST_RESULTS
from sidecar.kendra.text_passages import (
    QUERY_WORDS,
    RETRIEVE_WORDS,
    Span,
    find_near_duplicates,
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
    found: Found, ranking: Ranking, query_text: str, most_passages: int
) -> list[RetrievedPassage]:
    """Retrieve's passages, of at most 200 token words each: best first, a hundred at most.

    The best passages of documents come in the documents' own order. A document's further ones
    stand as far behind its best as the model's scores differ, on the scale of the fused values.
    Documents that no model has read give one passage each, behind all others. What repeats a
    better passage is left out.
    """
    values = ranking.values
    spread = _spread([values[n] for n in ranking.order if n in values and ranking.passages.get(n)])
    scores = _spread([p[0].score for p in ranking.passages.values() if p])
    scale = spread / scores if scores else 1.0
    ranked: list[tuple[float, int, RetrievedPassage]] = []
    unread: list[RetrievedPassage] = []
    for place, number in enumerate(ranking.order):
        document = found.documents[number]
        passages = ranking.passages.get(number)
        if not passages or number not in values:
            span = _best_by_words(document.body, query_text, RETRIEVE_WORDS, most_passages)
            text = document.body[span.start : span.end] if span else document.title
            if text:
                unread.append(RetrievedPassage(number, span.start if span else 0, text, None))
            continue
        best = passages[0].score
        for passage, cut in _widen_all(document, passages):
            value = values[number] - (best - passage.score) * scale
            ranked.append((-value, place, cut))
    ranked.sort(key=lambda entry: (entry[0], entry[1], entry[2].start))
    ordered = [cut for _, _, cut in ranked] + unread
    dropped = find_near_duplicates([cut.text for cut in ordered])
    kept = [cut for index, cut in enumerate(ordered) if index not in dropped]
    return kept[:MOST_RESULTS]


def _widen_all(
    document: FoundDocument, passages: tuple[ReadPassage, ...]
) -> list[tuple[ReadPassage, RetrievedPassage]]:
    """The passages of one document, widened, best first; none that another one covers."""
    body = document.body
    sentences: list[Span] | None = None
    taken: list[tuple[int, int]] = []
    widened: list[tuple[ReadPassage, RetrievedPassage]] = []
    for passage in passages:
        place = find_passage(body, passage.text)
        if place is None:
            # A document with a title only, or a plan that cuts its passages from other words.
            start, end, text = 0, 0, body or document.title
            if body:
                span = _best_by_words(body, passage.text, RETRIEVE_WORDS, most=1)
                start, end = (span.start, span.end) if span else (0, 0)
                text = body[start:end]
        else:
            sentences = split_sentences(body) if sentences is None else sentences
            span = widen_passage(sentences, *place)
            start, end = span.start, span.end
            text = body[start:end]
        if not text or any(begin < end and start < stop for begin, stop in taken):
            continue
        taken.append((start, end))
        cut = RetrievedPassage(document.number, start, text, passage.probability)
        widened.append((passage, cut))
    return widened


def _best_by_words(text: str, query_text: str, words: int, most: int) -> Span | None:
    spans = split_text(text, words, most)
    if len(spans) < 2:
        return spans[0] if spans else None
    scores = count_words(
        query_text, [read_words(text[span.start : span.end]) for span in spans]
    ).bm25()
    return spans[max(range(len(spans)), key=lambda index: (scores[index], -index))]


def _spread(values: list[float]) -> float:
    return max(values) - min(values) if values else 0.0
