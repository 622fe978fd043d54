"""Chooses the part of a document that a result shows: an exact substring of its text.

The passage that a model scored best is found again in the text, and is cut or widened to whole
sentences. In a document that no model has read, the passage that shares most words with the query
is taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from pipelines.lexical import count_words
from pipelines.words import read_query_words, read_words
from sidecar.kendra.answering.ranking import Ranking, ScoredPassage
from sidecar.kendra.answering.text_passages import (
    QUERY_WORDS,
    RETRIEVE_WORDS,
    NearDuplicates,
    PassageFinder,
    Span,
    find_passage,
    find_sentences,
    narrow_passage,
    split_sentences,
    split_text,
    widen_passage,
)
from sidecar.kendra.indexes.found_documents import DocumentSet, FoundDocument
from sidecar.kendra.indexes.served_index import MOST_RESULTS

_LEAST_SHARE = 3
"""Of a passage that overlaps better ones, the rest is shown if it is at least a third of it."""


@dataclass(frozen=True, slots=True)
class RetrievedPassage:
    """A passage of Retrieve.

    `number`: of its document. `start`: where it begins in the text, in code points. `probability`:
    that it is relevant; None if no model has read it.
    """

    number: int
    start: int
    text: str
    probability: float | None


def cut_excerpt(
    document: FoundDocument,
    passage: ScoredPassage | None,
    query_text: str,
    most_passages: int,
) -> str:
    """The excerpt of a document: at most 100 token words; empty if the document has no text.

    `passage`: the one that a model scored best. Without it, the first `most_passages` passages of
    the text are compared with the query.
    """
    body = document.body
    place = find_passage(body, passage.text) if passage else None
    if place is None:
        span = _best_by_words(body, query_text, QUERY_WORDS, most_passages)
        return body[span.start : span.end] if span else ""
    part = body[place[0] : place[1]]
    sentences = split_sentences(part, QUERY_WORDS)
    if sum(sentence.words for sentence in sentences) > QUERY_WORDS:
        span = narrow_passage(part, sentences, 0, len(part), query_text.split())
        return part[span.start : span.end]
    return part


def cut_retrieved(
    document_set: DocumentSet,
    ranking: Ranking,
    query_text: str,
    most_passages: int,
    limit: int = MOST_RESULTS,
) -> list[RetrievedPassage]:
    """The passages of Retrieve: best first, at most 100, each with at most 200 token words.

    The best passages of the documents are in the order of the documents. A further passage of a
    document ranks below its best one by the difference of their scores, converted to the scale of
    the fused values. Documents that no model has read give one passage each, after all others. A
    passage that repeats a better one is left out; of one that overlaps better ones of its document,
    the rest is returned. A document gives at most `most_passages`. Only the first `limit` passages
    are cut.
    """
    passages: list[RetrievedPassage] = []
    seen = NearDuplicates()
    for cut in _cut_in_order(document_set, ranking, query_text, most_passages):
        if len(passages) == min(limit, MOST_RESULTS):
            break
        # A title alone is often a name: "2 in. pipe" and "3 in. pipe" are two things.
        if not seen.repeats(cut.text, whole=not document_set.documents[cut.number].body):
            passages.append(cut)
    return passages


def _cut_in_order(
    document_set: DocumentSet, ranking: Ranking, query_text: str, most_passages: int
) -> Iterator[RetrievedPassage]:
    values = ranking.values
    scored = [n for n in ranking.order if n in values and ranking.passages.get(n)]
    spread = _spread([values[number] for number in scored])
    scores = _spread([p[0].score for p in ranking.passages.values() if p])
    scale = spread / scores if scores else 1.0
    cutters = {number: _Cutter(document_set.documents[number]) for number in scored}
    entries: list[tuple[float, int, ScoredPassage]] = []
    for number in scored:
        best = ranking.passages[number][0].score
        for passage in ranking.passages[number][:most_passages]:
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
        document = document_set.documents[number]
        span = _best_by_words(document.body, query_text, RETRIEVE_WORDS, most_passages)
        text = document.body[span.start : span.end] if span else document.title
        if text:
            yield RetrievedPassage(number, span.start if span else 0, text, None)


class _Cutter:
    """Widens the passages of one document so that none shows a sentence of an earlier one."""

    def __init__(self, document: FoundDocument) -> None:
        self._document = document
        self._finder = PassageFinder(document.body)
        self._places: dict[str, tuple[int, int] | None] = {}
        self._sentences: list[Span] | None = None
        self._shown: set[int] = set()
        self._title_shown = False

    def position(self, passage: ScoredPassage) -> int:
        """Where the passage begins in the text; 0 if it is not there."""
        place = self._find(passage.text)
        return place[0] if place else 0

    def widen(self, passage: ScoredPassage) -> RetrievedPassage | None:
        """The passage with the sentences around it that no earlier passage shows.

        None if earlier passages show most of it already.
        """
        document, body = self._document, self._document.body
        place = self._find(passage.text)
        if place is None and body:
            # The plan reads other fields than are shown.
            span = _best_by_words(body, passage.text, RETRIEVE_WORDS, most=1)
            place = (span.start, span.end) if span else None
        if place is None:
            if body or not document.title or self._title_shown:
                return None
            self._title_shown = True
            return RetrievedPassage(document.number, 0, document.title, passage.probability)
        if self._sentences is None:
            self._sentences = split_sentences(body)
        free = self._find_free(self._sentences, *place)
        if free is None:
            return None
        first, last = free
        begin, stop = first, last + 1
        while begin > 0 and begin - 1 not in self._shown:
            begin -= 1
        while stop < len(self._sentences) and stop not in self._shown:
            stop += 1
        around = self._sentences[begin:stop]
        span = widen_passage(around, self._sentences[first].start, self._sentences[last].end)
        first, last = find_sentences(around, span.start, span.end)
        self._shown.update(range(begin + first, begin + last + 1))
        text = body[span.start : span.end]
        return RetrievedPassage(document.number, span.start, text, passage.probability)

    def _find(self, text: str) -> tuple[int, int] | None:
        if text not in self._places:
            self._places[text] = self._finder.find(text)
        return self._places[text]

    def _find_free(self, sentences: Sequence[Span], start: int, end: int) -> tuple[int, int] | None:
        """The longest run of a passage's sentences that is not shown yet, as first and last.

        None if it has less than a third of the passage's words.
        """
        first, last = find_sentences(sentences, start, end)
        best: tuple[int, int] | None = None
        most = -1
        for is_shown, run in groupby(range(first, last + 1), self._shown.__contains__):
            places = list(run)
            words = sum(sentences[place].words for place in places)
            if not is_shown and words > most:
                best, most = (places[0], places[-1]), words
        whole = sum(sentence.words for sentence in sentences[first : last + 1])
        return best if most * _LEAST_SHARE >= whole else None


def _best_by_words(text: str, query_text: str, words: int, most: int) -> Span | None:
    spans = split_text(text, words, most)
    if len(spans) < 2:
        return spans[0] if spans else None
    scores = count_words(
        read_query_words(query_text), [read_words(text[span.start : span.end]) for span in spans]
    ).bm25()
    return spans[max(range(len(spans)), key=lambda index: (scores[index], -index))]


def _spread(values: list[float]) -> float:
    return max(values) - min(values) if values else 0.0
