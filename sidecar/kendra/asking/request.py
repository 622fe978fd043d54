"""Parses a Query or Retrieve, checks it against the index's schema, and writes its search body.

Filters, user context, facets, sorting, counts and spelling all go into one body. So one filter
keeps documents that the caller may not see out of all of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from pipelines.texts import replace_surrogates
from sidecar.aws.errors import invalid
from sidecar.config.kendra import KendraIndex
from sidecar.kendra.asking.attribute_filter import ParsedFilter, read_filter
from sidecar.kendra.asking.collapse import (
    Collapse,
    count_groups_by,
    read_collapse,
    read_group_count,
)
from sidecar.kendra.asking.facets import Facet, read_facets, write_aggregations
from sidecar.kendra.asking.paging import ResultPage, read_page
from sidecar.kendra.asking.sorting import SortKey, read_sorting, write_sort
from sidecar.kendra.asking.tuning import RelevanceTuning, read_tuning, write_lifts
from sidecar.kendra.indexes.found_documents import ANSWERS, source_fields, value_fields
from sidecar.kendra.indexes.schema import Dsl, ask_for_values, find_attribute, write_value_fields
from sidecar.kendra.indexes.served_index import ServedIndex
from sidecar.kendra.indexes.user_context import Caller, write_caller_filter
from sidecar.kendra.query_text.query_syntax import parse_query
from sidecar.kendra.query_text.spelling import find_words, write_suggest
from sidecar.kendra.query_text.text_query import write_text_query
from sidecar.kendra.query_text.token_words import TokenWord, cut_query_text

_LANGUAGE = "_language_code"
_COUNT = "total:documents"


@dataclass(frozen=True, slots=True)
class KendraRequest:
    """A parsed Query or Retrieve.

    `query_text` is the text that the user typed, up to the last word that counts; it is empty for
    browsing. `words` are its words for the models. `query` matches documents, without filters.
    `visible` is the filter for the documents that the caller may see; None allows all documents.
    `filters` are all filters, with `visible` among them. `shown_attributes` are the attributes of
    the result items, sorted by name. `preference` is the same for all pages of one request.
    `kind` is the requested type of results; None stands for all types. `spelling` are the words to
    check.
    """

    query_text: str
    words: str
    query: Dsl
    filter: ParsedFilter
    visible: Dsl | None
    filters: tuple[Dsl, ...]
    tuning: RelevanceTuning
    page: ResultPage
    shown_attributes: tuple[str, ...]
    preference: str
    facets: tuple[Facet, ...] = ()
    sort: tuple[SortKey, ...] = ()
    collapse: Collapse | None = None
    kind: str | None = None
    spelling: tuple[TokenWord, ...] = ()
    warning: str | None = None

    def wants(self, kind: str) -> bool:
        """Whether the request asks for results of this kind."""
        return self.kind in (None, kind)


def read_query(
    members: Mapping[str, Any], index: KendraIndex, caller: Caller | None
) -> KendraRequest:
    """Parse a Query whose members have the right shapes. Raises AwsError."""
    query_text = _read_text(members, index)
    if not query_text and not members.get("AttributeFilter") and not members.get("Facets"):
        raise invalid("Give a QueryText, or an AttributeFilter or Facets to browse.")
    spelling = members.get("SpellCorrectionConfiguration", {})
    check_spelling = index.spell_field and spelling.get("IncludeQuerySpellCheckSuggestions")
    return _read(
        members,
        index,
        caller,
        query_text,
        facets=read_facets(members.get("Facets"), index),
        sort=read_sorting(members, index),
        collapse=read_collapse(members.get("CollapseConfiguration"), index),
        kind=members.get("QueryResultTypeFilter"),
        spelling=tuple(find_words(query_text)) if check_spelling else (),
    )


def read_retrieve(
    members: Mapping[str, Any], index: KendraIndex, caller: Caller | None
) -> KendraRequest:
    """Parse a Retrieve whose members have the right shapes. Raises AwsError."""
    query_text = _read_text(members, index)
    if not query_text:
        raise invalid("QueryText must not be empty or blank.")
    return _read(members, index, caller, query_text)


def write_search_body(request: KendraRequest, index: ServedIndex) -> Dsl:
    """The body of the search for documents."""
    settings = index.settings
    compared = [*request.tuning.names, *(request.collapse.names if request.collapse else ())]
    language = [_LANGUAGE] if _LANGUAGE in settings.attributes else []
    # Attributes that are compared come first, so that they are doc values: beyond OpenSearch's
    # limit on these, the rest is read from the documents.
    values = ask_for_values(settings, [*compared, *language, *request.shown_attributes])
    body: Dsl = {
        "size": _count_hits(request, index),
        "track_total_hits": True,
        "query": write_lifts(_write_query(request), request.tuning, settings),
        "_source": source_fields(index),
        **write_value_fields([*value_fields(settings), *values], settings),
        **write_sort(request.sort, settings),
    }
    aggregations = write_aggregations(request.facets, settings)
    if settings.fields.shared_id:
        aggregations[_COUNT] = {"cardinality": {"field": settings.fields.document_id}}
    if request.collapse is not None and settings.collapsed_total:
        aggregations |= count_groups_by(request.collapse, settings)
    if aggregations:
        body["aggs"] = aggregations
    if request.spelling and settings.spell_field:
        body["suggest"] = write_suggest(request.spelling, settings.spell_field, request.visible)
    return body


def count_documents(request: KendraRequest, answer: Mapping[str, Any], index: ServedIndex) -> int:
    """The total number of documents, or of groups of documents, that match."""
    aggregations = answer.get("aggregations", {})
    if request.collapse is not None and index.settings.collapsed_total:
        return read_group_count(request.collapse, aggregations)
    if _COUNT in aggregations:
        return int(aggregations[_COUNT]["value"])
    return int(answer["hits"]["total"]["value"])


def _read(
    members: Mapping[str, Any],
    index: KendraIndex,
    caller: Caller | None,
    query_text: str,
    **more: Any,
) -> KendraRequest:
    parsed_query = parse_query(query_text, index)
    tuning = read_tuning(members.get("DocumentRelevanceOverrideConfigurations"), index)
    query: Dsl = {"match_all": {}}
    if query_text:
        query = write_text_query(
            parsed_query.root, tuning.fields, index.text_match, index.spell_field
        )
    attribute_filter = read_filter(members.get("AttributeFilter"), index)
    visible = _both(
        write_caller_filter(caller, index.user_context),
        write_caller_filter(attribute_filter.caller, index.user_context),
    )
    filters = [attribute_filter.documents, visible, _language_filter(attribute_filter, index)]
    return KendraRequest(
        query_text=query_text,
        words=parsed_query.words,
        query=query,
        filter=attribute_filter,
        visible=visible,
        filters=tuple(each for each in filters if each is not None),
        tuning=tuning,
        page=read_page(members),
        shown_attributes=_read_shown_attributes(members, index),
        preference=_digest(query_text, filters),
        warning=parsed_query.warning,
        **more,
    )


def _read_text(members: Mapping[str, Any], index: KendraIndex) -> str:
    text = replace_surrogates(members.get("QueryText", "")).strip()
    if len(text) > index.max_query_characters:
        raise invalid(
            f"QueryText has {len(text)} characters; {index.max_query_characters} are allowed."
        )
    return cut_query_text(text, index.query_token_words)


def _read_shown_attributes(members: Mapping[str, Any], index: KendraIndex) -> tuple[str, ...]:
    requested = members.get("RequestedDocumentAttributes")
    if requested is None:
        # Dates are not among these unless the configuration says so: LangChain's retriever fails
        # on dates.
        names = {name for name, attribute in index.attributes.items() if attribute.is_shown}
    else:
        for name in requested:
            find_attribute(index, name, "RequestedDocumentAttributes")
        # A client that names a date can read it.
        names = {name for name in requested if index.attributes[name].displayable}
    return tuple(sorted(names))


def _count_hits(request: KendraRequest, index: ServedIndex) -> int:
    """The number of hits to fetch: the plan's rescore window, or else all that paging reaches.

    The window suffices for a page in its first half, even if some of its hits are featured or
    repeated: hits beyond it keep OpenSearch's order. Collapsing and tuning compare all hits.
    """
    if request.kind == "QUESTION_ANSWER":
        return 0
    window = index.plan.rescore_window
    early = request.page.start + request.page.size <= window // 2
    alone = request.collapse is None and not request.tuning.lifts
    return window if early and alone else index.window


def _write_query(request: KendraRequest) -> Dsl:
    if not request.filters and request.filter.answers is None:
        return request.query
    query: Dsl = {"must": [request.query], "filter": list(request.filters)}
    if request.filter.answers is not None:
        clause = {"filter": [request.filter.answers], "boost": 0, "_name": ANSWERS}
        query["should"] = [{"bool": clause}]
    return {"bool": query}


def _language_filter(attribute_filter: ParsedFilter, index: KendraIndex) -> Dsl | None:
    if not index.filter_language or _LANGUAGE not in index.attributes:
        return None
    if _LANGUAGE in attribute_filter.names:
        return None
    return {"term": {index.field_of(_LANGUAGE): index.language}}


def _both(one: Dsl | None, other: Dsl | None) -> Dsl | None:
    filters = [each for each in (one, other) if each is not None]
    return {"bool": {"filter": filters}} if len(filters) == 2 else next(iter(filters), None)


def _digest(query_text: str, filters: list[Dsl | None]) -> str:
    content = json.dumps([query_text, filters]).encode("utf-8", "surrogatepass")
    return blake2b(content, digest_size=8).hexdigest()
