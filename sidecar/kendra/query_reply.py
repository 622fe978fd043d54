"""The reply to a Query: blocks of results in their order, cut to the page, then written.

ANSWER comes before QUESTION_ANSWER before DOCUMENT, and they are paged as one list. Only what is on
the page gets an excerpt and highlights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sidecar.kendra.answers import Answer
from sidecar.kendra.collapse import Collapsed, collapse
from sidecar.kendra.confidence import never_rising
from sidecar.kendra.excerpts import cut_excerpt
from sidecar.kendra.facets import read_facet_results
from sidecar.kendra.faq import FaqEntry, FaqResult
from sidecar.kendra.found_documents import Found, FoundDocument
from sidecar.kendra.items import Item, ItemWriter
from sidecar.kendra.marking import Marker, learn_marker
from sidecar.kendra.query_syntax import WARNING_CODE
from sidecar.kendra.ranking import Ranking
from sidecar.kendra.request import Asked, count_documents
from sidecar.kendra.sorting import break_ties
from sidecar.kendra.spelling import write_spell_corrected
from sidecar.kendra.word_terms import Analyze, WordTerms
from sidecar.opensearch.exchange import off_loop

# What a facet's value takes, in characters of text that would take as long.
_FACET_VALUE = 20


@dataclass(frozen=True, slots=True)
class Gathered:
    """What one exchange gave: the main answer, its documents, and the other searches' results."""

    answer: Mapping[str, Any]
    found: Found
    entries: list[FaqEntry]
    featured: list[FoundDocument]


@dataclass(frozen=True, slots=True)
class QueryResults:
    """Everything that a Query found. `features`: ids of the documents that the query features."""

    gathered: Gathered
    ranking: Ranking
    answers: Sequence[Answer]
    questions: Sequence[FaqResult]
    features: frozenset[str]


Result = Answer | FaqResult | Collapsed[FoundDocument]


async def write_query_reply(
    asked: Asked,
    results: QueryResults,
    writer: ItemWriter,
    words: WordTerms,
    analyze: Analyze,
) -> dict[str, Any]:
    """The whole reply."""
    gathered, settings = results.gathered, writer.index.settings
    documents = _order(asked, results, writer) if asked.wants("DOCUMENT") else []
    # A featured document stands above all results, so it is none of them.
    answers = [each for each in results.answers if each.document.id not in results.features]
    blocks: list[Result] = [*answers, *results.questions, *documents]
    page = asked.page.cut(blocks)
    shown = [
        *gathered.featured,
        *(each for result in page for each in _documents(result)),
    ]
    excerpts = await _cut_excerpts(asked, results, writer, shown)
    bodies = [
        *excerpts.values(),
        *(result.text for result in page if isinstance(result, Answer)),
        *(result.entry.question for result in page if isinstance(result, FaqResult)),
    ]
    titles = [document.title for document in shown]
    titles += [result.document.title for result in page if isinstance(result, Answer)]
    marker = await learn_marker(settings, words, analyze, asked.words, titles, bodies)
    likely = _probabilities(asked, results)
    total = len(answers) + len(results.questions)
    if asked.wants("DOCUMENT"):
        total += count_documents(asked, gathered.answer, writer.index)

    def write() -> dict[str, Any]:
        return {
            "QueryId": writer.query_id,
            "ResultItems": [
                _write(result, writer, marker, excerpts, likely, first=result in answers[:1])
                for result in page
            ],
            "FacetResults": read_facet_results(
                asked.facets, gathered.answer.get("aggregations", {}), settings
            ),
            "TotalNumberOfResults": total,
            "FeaturedResultsItems": [
                writer.featured(document, excerpts[_key(document)], marker)
                for document in gathered.featured
            ],
        }

    values = sum(facet.most * (facet.nested.most if facet.nested else 1) for facet in asked.facets)
    reply = await off_loop(sum(map(len, bodies)) + _FACET_VALUE * values, write)
    if asked.warning is not None:
        reply["Warnings"] = [{"Message": asked.warning, "Code": WARNING_CODE}]
    if asked.spelling:
        suggest = gathered.answer.get("suggest", {})
        corrected = write_spell_corrected(
            asked.query_text, asked.spelling, suggest, settings.highlight_offsets
        )
        if corrected:
            reply["SpellCorrectedQueries"] = corrected
    return reply


def _order(
    asked: Asked, results: QueryResults, writer: ItemWriter
) -> list[Collapsed[FoundDocument]]:
    """The DOCUMENT block: sorted or by relevance, without featured ones, collapsed."""
    documents, ranking = results.gathered.found.documents, results.ranking
    if asked.sort:
        places = {number: place for place, number in enumerate(ranking.order)}
        ordered = break_ties(
            documents,
            asked.sort,
            lambda document: document.sort,
            lambda document: places[document.number],
        )
    else:
        ordered = [documents[number] for number in ranking.order]
    ordered = [document for document in ordered if document.id not in results.features]
    if asked.collapse is None:
        return [Collapsed(document) for document in ordered]
    return collapse(
        ordered, asked.collapse, writer.index.settings, lambda document: document.fields
    )


def _probabilities(asked: Asked, results: QueryResults) -> dict[int, float | None]:
    """What the documents' confidence is made of, by their numbers.

    In an order of relevance it does not rise; where sorting or tuning has a say, it may.
    """
    order = results.ranking.order
    likely = [results.ranking.probability(number) for number in order]
    if not asked.sort and not asked.tuning.lifts:
        likely = never_rising(likely)
    return dict(zip(order, likely, strict=True))


async def _cut_excerpts(
    asked: Asked,
    results: QueryResults,
    writer: ItemWriter,
    documents: Sequence[FoundDocument],
) -> dict[tuple[str, int], str]:
    most = writer.index.settings.passages_per_document
    featured = {id(document) for document in results.gathered.featured}

    def cut() -> dict[tuple[str, int], str]:
        excerpts = {}
        for document in documents:
            # A featured document has been found by another search, so its number is not ours.
            read = () if id(document) in featured else results.ranking.passages.get(document.number)
            excerpts[_key(document)] = cut_excerpt(
                document, read[0] if read else None, asked.words, most
            )
        return excerpts

    return await off_loop(sum(len(document.body) for document in documents), cut)


def _documents(result: Result) -> list[FoundDocument]:
    """The documents of a result that need an excerpt."""
    if isinstance(result, Collapsed):
        return [result.primary, *result.expanded]
    return []


def _write(
    result: Result,
    writer: ItemWriter,
    marker: Marker,
    excerpts: Mapping[tuple[str, int], str],
    likely: Mapping[int, float | None],
    *,
    first: bool,
) -> Item:
    if isinstance(result, Answer):
        return writer.answer(result, marker, first=first)
    if isinstance(result, FaqResult):
        return writer.question(result, marker)
    document = result.primary
    item = writer.document(document, excerpts[_key(document)], likely[document.number], marker)
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
