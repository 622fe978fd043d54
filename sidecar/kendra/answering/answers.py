"""Chooses the answers (ANSWER items): a sentence of a document, or a row of a table in it.

No text is generated: an answer stands in a document, and a model rates it as likely enough.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.errors import RescoreError
from pipelines.scoring import Scorer
from pipelines.sentence_passages import write_before
from pipelines.words import different_words
from sidecar.event_loop.off_loop import off_loop
from sidecar.kendra.answering.answer_sentences import find_answer_sentences
from sidecar.kendra.answering.excerpts import cut_excerpt
from sidecar.kendra.answering.ranking import Ranking
from sidecar.kendra.answering.table_answers import find_table_answers
from sidecar.kendra.answering.table_excerpts import TableExcerpt
from sidecar.kendra.answering.text_passages import (
    SENTENCES_ON_THE_LOOP,
    Span,
    count_shared,
)
from sidecar.kendra.indexes.found_documents import DocumentSet, FoundDocument
from sidecar.kendra.indexes.served_index import ServedIndex
from sidecar.kendra.tables.text_tables import KnownTables

MOST_ANSWERS = 3
"""Maximum ANSWER items for a query."""

MOST_DOCUMENTS = 10
"""Maximum documents, from the top of the order, in which answer sentences are looked for."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DocumentAnswer:
    """An answer from a document.

    `text` is the passage that is shown; `start` and `end` are the half-open range of the answer in
    it, in code points. If the answer is from a table, `table` is the excerpt, `text` is its text,
    and the range is that of its best cell. `probability`: that the answer is relevant; it is also
    the document's, so both items show the same confidence.
    """

    document: FoundDocument
    text: str
    start: int
    end: int
    probability: float
    table: TableExcerpt | None = None


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A document that may answer, its excerpt, and the sentences in it that can be an answer.

    `before`: the title as the model reads it before each sentence.
    """

    document: FoundDocument
    before: str
    text: str
    sentences: list[Span]


async def find_answers(
    index: ServedIndex,
    query_text: str,
    document_set: DocumentSet,
    ranking: Ranking,
    scorer: Scorer | None,
    known_tables: KnownTables,
    all_may_answer: bool,
) -> list[DocumentAnswer]:
    """The answers: at most three, and at most one for each document.

    They are in the order of the documents. An answer from a table comes before documents that are
    less likely, because the order says nothing about the table's row. The document or the row must
    have at least MEDIUM confidence. The model chooses the sentence; if it has no time left, the
    sentence that shares most words with the query is chosen. `all_may_answer`: ignore `may_answer`
    of the documents.
    """
    probabilities = ranking.smooth_probabilities()
    numbers = [
        number
        for number in ranking.order
        if probabilities[number] is not None
        and (all_may_answer or document_set.documents[number].may_answer)
        and document_set.documents[number].body
    ]
    medium = index.settings.confidence.medium
    likely = [n for n in numbers if (probabilities[n] or 0.0) >= medium][:MOST_DOCUMENTS]
    most_passages = index.settings.passages_per_document

    def find_candidates() -> list[_Candidate]:
        candidates: list[_Candidate] = []
        for number in likely:
            document = document_set.documents[number]
            best = ranking.passages[number][0]
            text = cut_excerpt(document, best, query_text, most_passages)
            if sentences := find_answer_sentences(text, document.title, query_text):
                before = write_before(document.title)
                candidates.append(_Candidate(document, before, text, sentences))
            if len(candidates) == MOST_ANSWERS:
                break
        return candidates

    read = (document_set.documents[number] for number in likely)
    size = sum(len(document.title) + len(document.body) for document in read)
    candidates = await off_loop(size, find_candidates, SENTENCES_ON_THE_LOOP)
    spans = await _choose(index, query_text, candidates, scorer)
    answers = [
        DocumentAnswer(
            candidate.document,
            candidate.text,
            span.start,
            span.end,
            probabilities[candidate.document.number] or 0.0,
        )
        for candidate, span in zip(candidates, spans, strict=True)
    ]
    if scorer is None:
        return answers
    documents = [document_set.documents[number] for number in numbers]
    sentence_starts = {
        each.document.number: each.document.body.find(each.text) + each.start for each in answers
    }
    table_answers = await find_table_answers(
        index, query_text, documents, ranking, scorer, known_tables, sentence_starts
    )
    from_tables = {
        each.document.number: DocumentAnswer(
            each.document, *each.excerpt.write(), each.probability, each.excerpt
        )
        for each in table_answers
    }
    sentences = [answer for answer in answers if answer.document.number not in from_tables]
    places = {number: place for place, number in enumerate(ranking.order)}
    # The smooth probability never rises down the order, so sentences stay in that order.
    return sorted(
        [*sentences, *from_tables.values()],
        key=lambda answer: (-answer.probability, places[answer.document.number]),
    )[:MOST_ANSWERS]


async def _choose(
    index: ServedIndex,
    query_text: str,
    candidates: Sequence[_Candidate],
    scorer: Scorer | None,
) -> list[Span]:
    """The best sentence of each candidate; each has at least one.

    The model reads a sentence with the title before it, as it reads passages, because a sentence
    often names its subject only as "he" or "it". If the relevant document is given, the judged
    sentence is chosen in 54 of 100 articles instead of 49 (wikiqa), and in 36 of 60 papers instead
    of 29 (covidqa); this form was chosen on the same questions.
    """
    sentences = [
        candidate.text[span.start : span.end]
        for candidate in candidates
        for span in candidate.sentences
    ]
    titled = [
        candidate.before + candidate.text[span.start : span.end]
        for candidate in candidates
        for span in candidate.sentences
    ]
    scores: Sequence[float | None] = [None] * len(sentences)
    if scorer is not None and any(len(candidate.sentences) > 1 for candidate in candidates):
        try:
            scores = await scorer.score(index.plan.stages[-1].model, query_text, titled)
        except RescoreError as error:
            _log.info("the model could not read answer sentences: %s", error.reason)
    rest = iter(zip(sentences, scores, strict=True))
    chosen: list[Span] = []
    words = different_words(query_text)
    for candidate in candidates:
        rated = [(next(rest), span) for span in candidate.sentences]
        whole = all(score is not None for (_, score), _ in rated)

        def rating(entry: tuple[tuple[str, float | None], Span], whole: bool = whole) -> float:
            (sentence, score), _ = entry
            if whole and score is not None:
                return score
            return count_shared(words, sentence)

        chosen.append(max(rated, key=rating)[1])
    return chosen
