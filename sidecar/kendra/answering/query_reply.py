"""Writes the reply to a Query.

The results are one list: first ANSWER, then QUESTION_ANSWER, then DOCUMENT. The list is cut to the
page, and only results on the page get an excerpt and highlights. If a model should have read one of
the page's documents and has not, no result of the page has a confidence. Otherwise a client that
filters by confidence would drop documents only because the model was late.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sidecar.event_loop.off_loop import off_loop
from sidecar.kendra.answering.answers import DocumentAnswer
from sidecar.kendra.answering.excerpts import cut_excerpt
from sidecar.kendra.answering.faq_choice import FaqResult
from sidecar.kendra.answering.items import ItemWriter, ResultItem
from sidecar.kendra.answering.marking import Marker, learn_marker
from sidecar.kendra.answering.ranking import Ranking
from sidecar.kendra.answering.text_passages import SENTENCES_ON_THE_LOOP
from sidecar.kendra.answering.word_terms import Analyze, WordTerms
from sidecar.kendra.asking.collapse import Collapsed, collapse_results
from sidecar.kendra.asking.facets import read_facet_results
from sidecar.kendra.asking.faq import FaqEntry
from sidecar.kendra.asking.request import KendraRequest, count_documents
from sidecar.kendra.asking.sorting import break_ties
from sidecar.kendra.indexes.found_documents import DocumentSet, FoundDocument
from sidecar.kendra.query_text.query_syntax import WARNING_CODE
from sidecar.kendra.query_text.spelling import write_spell_corrected

# The time to write a value of a facet, in characters of text that take as long.
_FACET_VALUE_COST = 20


@dataclass(frozen=True, slots=True)
class UpstreamResults:
    """The results of one exchange with OpenSearch.

    `answer`: to the main search; `document_set`: its documents. `entries` and `featured`: the
    results of the other searches.
    """

    answer: Mapping[str, Any]
    document_set: DocumentSet
    entries: list[FaqEntry]
    featured: list[FoundDocument]


@dataclass(frozen=True, slots=True)
class QueryResults:
    """All results of a Query.

    `probabilities`: of each document, by number, from which its confidence is made, whatever item
    shows it. `features`: the ids of the documents that are featured for the query.
    """

    upstream: UpstreamResults
    ranking: Ranking
    probabilities: Mapping[int, float | None]
    answers: Sequence[DocumentAnswer]
    questions: Sequence[FaqResult]
    features: frozenset[str]


BlockResult = DocumentAnswer | FaqResult | Collapsed[FoundDocument]


async def write_query_reply(
    kendra_request: KendraRequest,
    results: QueryResults,
    writer: ItemWriter,
    words: WordTerms,
    analyze: Analyze,
) -> dict[str, Any]:
    """The whole reply, for the page that is requested."""
    upstream, settings = results.upstream, writer.index.settings
    documents = _order(kendra_request, results, writer) if kendra_request.wants("DOCUMENT") else []
    # A featured document is shown above all results, so it is left out of them.
    answers = [each for each in results.answers if each.document.id not in results.features]
    blocks: list[BlockResult] = [*answers, *results.questions, *documents]
    page = kendra_request.page.cut(blocks)
    primary = [result.primary for result in page if isinstance(result, Collapsed)]
    unread = results.ranking.unread
    writer = writer.rate(all(document.number not in unread for document in primary))
    shown = [
        *upstream.featured,
        *(each for result in page for each in _documents(result)),
    ]
    excerpts = await _cut_excerpts(kendra_request, results, writer, shown)
    bodies = [
        *excerpts.values(),
        *(result.text for result in page if isinstance(result, DocumentAnswer)),
        *(result.entry.question for result in page if isinstance(result, FaqResult)),
    ]
    titles = [document.title for document in shown]
    titles += [result.document.title for result in page if isinstance(result, DocumentAnswer)]
    marker = await learn_marker(settings, words, analyze, kendra_request.words, titles, bodies)
    total = len(answers) + len(results.questions)
    if kendra_request.wants("DOCUMENT"):
        total += count_documents(kendra_request, upstream.answer, writer.index)

    def write() -> dict[str, Any]:
        return {
            "QueryId": writer.query_id,
            "ResultItems": [
                _write(
                    result,
                    writer,
                    marker,
                    excerpts,
                    results.probabilities,
                    first=result in answers[:1],
                )
                for result in page
            ],
            "FacetResults": read_facet_results(
                kendra_request.facets, upstream.answer.get("aggregations", {}), settings
            ),
            "TotalNumberOfResults": total,
            "FeaturedResultsItems": [
                writer.featured(document, excerpts[_key(document)], marker)
                for document in upstream.featured
            ],
        }

    values = sum(
        facet.most * (facet.nested.most if facet.nested else 1) for facet in kendra_request.facets
    )
    size = sum(map(len, bodies)) + _FACET_VALUE_COST * values + writer.size(len(page) + len(shown))
    reply = await off_loop(size, write)
    if kendra_request.warning is not None:
        reply["Warnings"] = [{"Message": kendra_request.warning, "Code": WARNING_CODE}]
    if kendra_request.spelling:
        suggest = upstream.answer.get("suggest", {})
        corrections = write_spell_corrected(
            kendra_request.query_text, kendra_request.spelling, suggest, settings.highlight_offsets
        )
        if corrections:
            reply["SpellCorrectedQueries"] = corrections
    return reply


def _order(
    kendra_request: KendraRequest, results: QueryResults, writer: ItemWriter
) -> list[Collapsed[FoundDocument]]:
    """The DOCUMENT block: sorted or by relevance, without featured documents, collapsed."""
    documents, ranking = results.upstream.document_set.documents, results.ranking
    if kendra_request.sort:
        places = {number: place for place, number in enumerate(ranking.order)}
        ordered = break_ties(
            documents,
            kendra_request.sort,
            lambda document: document.sort,
            lambda document: places[document.number],
        )
    else:
        ordered = [documents[number] for number in ranking.order]
    ordered = [document for document in ordered if document.id not in results.features]
    if kendra_request.collapse is None:
        return [Collapsed(document) for document in ordered]
    return collapse_results(
        ordered, kendra_request.collapse, writer.index.settings, lambda document: document.fields
    )


async def _cut_excerpts(
    kendra_request: KendraRequest,
    results: QueryResults,
    writer: ItemWriter,
    documents: Sequence[FoundDocument],
) -> dict[tuple[str, int], str]:
    most = writer.index.settings.passages_per_document
    featured = {id(document) for document in results.upstream.featured}

    def cut() -> dict[tuple[str, int], str]:
        excerpts = {}
        for document in documents:
            # A featured document comes from another search, so its number means nothing here.
            passages = (
                () if id(document) in featured else results.ranking.passages.get(document.number)
            )
            excerpts[_key(document)] = cut_excerpt(
                document, passages[0] if passages else None, kendra_request.words, most
            )
        return excerpts

    size = sum(len(document.body) for document in documents)
    return await off_loop(size, cut, SENTENCES_ON_THE_LOOP)


def _documents(result: BlockResult) -> list[FoundDocument]:
    """The documents of a result that get an excerpt."""
    if isinstance(result, Collapsed):
        return [result.primary, *result.expanded]
    return []


def _write(
    result: BlockResult,
    writer: ItemWriter,
    marker: Marker,
    excerpts: Mapping[tuple[str, int], str],
    probabilities: Mapping[int, float | None],
    *,
    first: bool,
) -> ResultItem:
    if isinstance(result, DocumentAnswer):
        return writer.answer(result, marker, first=first)
    if isinstance(result, FaqResult):
        return writer.question(result, marker)
    document = result.primary
    item = writer.document(
        document, excerpts[_key(document)], probabilities[document.number], marker
    )
    if result.detail is not None:
        item["CollapsedResultDetail"] = {
            "DocumentAttribute": result.detail,
            "ExpandedResults": [
                writer.expanded(each, excerpts[_key(each)], marker) for each in result.expanded
            ],
        }
    return item


def _key(document: FoundDocument) -> tuple[str, int]:
    return (document.id, document.number)
