"""A Query or Retrieve as it was asked, checked against the index's schema, and its search body.

Filters, user context, facets, sorting, counts and spelling all go into the one body, so that what
a caller may not see is left out of all of them by the same filter.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from pipelines.documents import replace_surrogates
from sidecar.aws_errors import invalid
from sidecar.config_kendra import KendraIndex
from sidecar.kendra.attribute_filter import ReadFilter, read_filter
from sidecar.kendra.collapse import Collapse, count_groups_by, read_collapse, read_group_count
from sidecar.kendra.facets import Facet, read_facets, write_aggregations
from sidecar.kendra.found_documents import ANSWERS, source_fields, value_fields
from sidecar.kendra.paging import Page, read_page
from sidecar.kendra.query_syntax import parse_query
from sidecar.kendra.schema import Dsl, ask_for_values, find_attribute, write_value_fields
from sidecar.kendra.served_index import ServedIndex
from sidecar.kendra.sorting import SortKey, read_sorting, write_sort
from sidecar.kendra.spelling import find_words, write_suggest
from sidecar.kendra.text_query import write_text_query
from sidecar.kendra.token_words import TokenWord, cut_query_text
from sidecar.kendra.tuning import Tuning, read_tuning, write_lifts
from sidecar.kendra.user_context import Caller, write_caller_filter

_LANGUAGE = "_language_code"
_COUNT = "total:documents"


@dataclass(frozen=True, slots=True)
class Asked:
    """What one request asks for.

    `query_text` is what counts of the text as it was typed, empty for browsing; `words` what the
    model reads of it. `query` is what documents match by, without filters. `visible` leaves the
    documents that the caller may see, None: all; `filters` are all that hold, that one included.
    `shown`: the attributes of the result items, sorted by name. `kind`: the one kind of results
    that is asked for. `copies` is the same for all pages of one request.
    """

    query_text: str
    words: str
    query: Dsl
    filter: ReadFilter
    visible: Dsl | None
    filters: tuple[Dsl, ...]
    tuning: Tuning
    page: Page
    shown: tuple[str, ...]
    copies: str
    facets: tuple[Facet, ...] = ()
    sort: tuple[SortKey, ...] = ()
    collapse: Collapse | None = None
    kind: str | None = None
    spelling: tuple[TokenWord, ...] = ()
    warning: str | None = None

    def wants(self, kind: str) -> bool:
        """Whether results of this kind are asked for."""
        return self.kind in (None, kind)


def read_query(members: Mapping[str, Any], index: KendraIndex, caller: Caller | None) -> Asked:
    """Read a Query; raises AwsError. Its members have their shapes already."""
    query_text = _read_text(members, index)
    if not query_text and not members.get("AttributeFilter") and not members.get("Facets"):
        raise invalid("Give a QueryText, or an AttributeFilter or Facets to browse.")
    spelling = members.get("SpellCorrectionConfiguration", {})
    corrected = index.spell_field and spelling.get("IncludeQuerySpellCheckSuggestions")
    return _read(
        members,
        index,
        caller,
        query_text,
        facets=read_facets(members.get("Facets"), index),
        sort=read_sorting(members, index),
        collapse=read_collapse(members.get("CollapseConfiguration"), index),
        kind=members.get("QueryResultTypeFilter"),
        spelling=tuple(find_words(query_text)) if corrected else (),
    )


def read_retrieve(members: Mapping[str, Any], index: KendraIndex, caller: Caller | None) -> Asked:
    """Read a Retrieve; raises AwsError. Its members have their shapes already."""
    query_text = _read_text(members, index)
    if not query_text:
        raise invalid("QueryText must not be empty or blank.")
    return _read(members, index, caller, query_text)


def write_search_body(asked: Asked, index: ServedIndex) -> Dsl:
    """The body of the one search of a request."""
    settings = index.settings
    tuned = [*asked.tuning.names, *(asked.collapse.names if asked.collapse else ())]
    language = [_LANGUAGE] if _LANGUAGE in settings.attributes else []
    # What is compared comes first: of very many values, the last are read in another way.
    values = ask_for_values(settings, [*tuned, *language, *asked.shown])
    body: Dsl = {
        "size": _count_hits(asked, index),
        "track_total_hits": True,
        "query": write_lifts(_write_query(asked), asked.tuning, settings),
        "_source": source_fields(index),
        **write_value_fields([*value_fields(settings), *values]),
        **write_sort(asked.sort, settings),
    }
    aggregations = write_aggregations(asked.facets, settings)
    if settings.fields.shared_id:
        aggregations[_COUNT] = {"cardinality": {"field": settings.fields.document_id}}
    if asked.collapse is not None and settings.collapsed_total:
        aggregations |= count_groups_by(asked.collapse, settings)
    if aggregations:
        body["aggs"] = aggregations
    if asked.spelling and settings.spell_field:
        body["suggest"] = write_suggest(asked.spelling, settings.spell_field, asked.visible)
    return body


def count_documents(asked: Asked, answer: Mapping[str, Any], index: ServedIndex) -> int:
    """How many documents, or groups of them, match in all."""
    aggregations = answer.get("aggregations", {})
    if asked.collapse is not None and index.settings.collapsed_total:
        return read_group_count(asked.collapse, aggregations)
    if _COUNT in aggregations:
        return int(aggregations[_COUNT]["value"])
    return int(answer["hits"]["total"]["value"])


def _read(
    members: Mapping[str, Any],
    index: KendraIndex,
    caller: Caller | None,
    query_text: str,
    *,
    sort: tuple[SortKey, ...] = (),
    **more: Any,
) -> Asked:
    parsed = parse_query(query_text, index)
    tuning = read_tuning(members.get("DocumentRelevanceOverrideConfigurations"), index)
    query: Dsl = {"match_all": {}}
    if query_text:
        query = write_text_query(parsed.root, tuning.fields, index.text_match, tight=bool(sort))
    read = read_filter(members.get("AttributeFilter"), index)
    visible = _both(
        write_caller_filter(caller, index.user_context),
        write_caller_filter(read.caller, index.user_context),
    )
    filters = [read.documents, visible, _language_filter(read, index)]
    return Asked(
        query_text=query_text,
        words=parsed.words,
        query=query,
        filter=read,
        visible=visible,
        filters=tuple(each for each in filters if each is not None),
        tuning=tuning,
        page=read_page(members),
        shown=_read_shown(members, index),
        copies=_copies(query_text, filters),
        sort=sort,
        warning=parsed.warning,
        **more,
    )


def _read_text(members: Mapping[str, Any], index: KendraIndex) -> str:
    text = replace_surrogates(members.get("QueryText", "")).strip()
    if len(text) > index.max_query_characters:
        raise invalid(
            f"QueryText has {len(text)} characters, of {index.max_query_characters} allowed."
        )
    return cut_query_text(text, index.query_token_words)


def _read_shown(members: Mapping[str, Any], index: KendraIndex) -> tuple[str, ...]:
    displayed = {name for name, attribute in index.attributes.items() if attribute.is_shown}
    asked = members.get("RequestedDocumentAttributes")
    if asked is None:
        return tuple(sorted(displayed))
    for name in asked:
        find_attribute(index, name, "RequestedDocumentAttributes")
    # A date that is asked for by name is no surprise to whoever asked.
    wanted = {name for name in asked if index.attributes[name].displayable}
    return tuple(sorted(wanted))


def _count_hits(asked: Asked, index: ServedIndex) -> int:
    """How many hits are fetched: all that paging reaches, or the plan's window where it will do.

    Behind the window there is OpenSearch's order, so an early page needs nothing of it, whatever
    is left out of the window as featured or repeated. Groups and tuning compare all that is found.
    """
    if asked.kind == "QUESTION_ANSWER":
        return 0
    window = index.plan.rescore_window
    early = asked.page.start + asked.page.size <= window // 2
    alone = asked.collapse is None and not asked.tuning.lifts
    return window if early and alone else index.window


def _write_query(asked: Asked) -> Dsl:
    if not asked.filters and asked.filter.answers is None:
        return asked.query
    query: Dsl = {"must": [asked.query], "filter": list(asked.filters)}
    if asked.filter.answers is not None:
        named = {"filter": [asked.filter.answers], "boost": 0, "_name": ANSWERS}
        query["should"] = [{"bool": named}]
    return {"bool": query}


def _language_filter(read: ReadFilter, index: KendraIndex) -> Dsl | None:
    if not index.filter_language or _LANGUAGE in read.names or _LANGUAGE not in index.attributes:
        return None
    return {"term": {index.field_of(_LANGUAGE): index.language}}


def _both(one: Dsl | None, other: Dsl | None) -> Dsl | None:
    kept = [each for each in (one, other) if each is not None]
    return {"bool": {"filter": kept}} if len(kept) == 2 else next(iter(kept), None)


def _copies(query_text: str, filters: list[Dsl | None]) -> str:
    content = json.dumps([query_text, filters]).encode("utf-8", "surrogatepass")
    return blake2b(content, digest_size=8).hexdigest()
