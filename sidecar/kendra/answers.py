"""ANSWER results: what answers best in a document, a sentence within its passage or a table's row.

Nothing is generated: an answer stands in a document, and a model finds it likely enough.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.errors import RescoreError
from pipelines.scoring import Scorer
from sidecar.kendra.excerpts import cut_excerpt, query_words
from sidecar.kendra.found_documents import Found, FoundDocument
from sidecar.kendra.ranking import Ranking
from sidecar.kendra.served_index import ServedIndex
from sidecar.kendra.table_answers import find_table_answers
from sidecar.kendra.table_excerpts import TableExcerpt
from sidecar.kendra.text_passages import QUERY_WORDS, Span, split_sentences
from sidecar.kendra.text_tables import KnownTables

MOST_ANSWERS = 3

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: its document, the passage shown, and the sentence in it, half-open.

    An answer from a table has the excerpt, and its text and the best cell in it.
    """

    document: FoundDocument
    text: str
    start: int
    end: int
    probability: float
    table: TableExcerpt | None = None


async def find_answers(
    index: ServedIndex,
    query_text: str,
    found: Found,
    ranking: Ranking,
    scorer: Scorer | None,
    known: KnownTables,
    all_may_answer: bool,
) -> list[Answer]:
    """The answers that the documents give, the most likely first: one a document, three at most.

    A passage must be at least of MEDIUM confidence. The model chooses the sentence; where it has
    no time left, the words that the sentence shares with the query do. A table may answer instead.
    """
    read = [
        (probability, number)
        for number in ranking.order
        if (probability := ranking.probability(number)) is not None
        and (all_may_answer or found.documents[number].may_answer)
        and found.documents[number].body
    ]
    # Sorting is stable: of equally likely ones the better document.
    likely = sorted(read, key=lambda entry: -entry[0])
    chosen = [
        (probability, found.documents[number], ranking.passages[number][0])
        for probability, number in likely[:MOST_ANSWERS]
        if probability >= index.settings.confidence.medium
    ]
    most = index.settings.passages_per_document
    texts = [cut_excerpt(document, best, query_text, most) for _, document, best in chosen]
    spans = [split_sentences(text, QUERY_WORDS) for text in texts]
    best_spans = await _choose(index, query_text, texts, spans, scorer)
    answers = [
        Answer(document, text, span.start, span.end, probability)
        for (probability, document, _), text, span in zip(chosen, texts, best_spans, strict=True)
        if span is not None
    ]
    if scorer is None:
        return answers
    documents = [found.documents[number] for _, number in read]
    said = {
        each.document.number: each.document.body.find(each.text) + each.start for each in answers
    }
    found_in_tables = await find_table_answers(
        index, query_text, documents, ranking, scorer, known, said
    )
    tables = [
        Answer(each.document, *each.excerpt.write(), each.probability, each.excerpt)
        for each in found_in_tables
    ]
    instead = {answer.document.number for answer in tables}
    together = [answer for answer in answers if answer.document.number not in instead] + tables
    return sorted(together, key=lambda answer: -answer.probability)[:MOST_ANSWERS]


async def _choose(
    index: ServedIndex,
    query_text: str,
    texts: Sequence[str],
    spans: Sequence[Sequence[Span]],
    scorer: Scorer | None,
) -> list[Span | None]:
    """The best sentence of each text."""
    sentences = [
        text[span.start : span.end]
        for text, found in zip(texts, spans, strict=True)
        for span in found
    ]
    scores: Sequence[float | None] = [None] * len(sentences)
    if scorer is not None and sentences and any(len(found) > 1 for found in spans):
        try:
            scores = await scorer.score(index.plan.stages[-1].model, query_text, sentences)
        except RescoreError as error:
            _log.info("answers without the model: %s", error.reason)
    rest = iter(zip(sentences, scores, strict=True))
    chosen: list[Span | None] = []
    words = query_words(query_text)
    for found in spans:
        marked = [(next(rest), span) for span in found]
        whole = all(score is not None for (_, score), _ in marked)

        def rating(entry: tuple[tuple[str, float | None], Span], whole: bool = whole) -> float:
            (sentence, score), _ = entry
            if whole and score is not None:
                return score
            return len(words.intersection(sentence.lower().split()))

        chosen.append(max(marked, key=rating)[1] if marked else None)
    return chosen
