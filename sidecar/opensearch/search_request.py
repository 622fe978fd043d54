"""Reads a search request, and widens its window.

A search is rescored only if it is certain how OpenSearch reads it. Otherwise the result is a Skip
with a reason, and the request is forwarded unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from pipelines.plan import Plan
from sidecar.config.limits import Limits
from sidecar.config.upstream_values import PipelineUse
from sidecar.opensearch.filter_path import keeps_fields
from sidecar.opensearch.hybrid_query import HybridDepth, read_hybrid_depth
from sidecar.opensearch.own_order import has_own_order
from sidecar.opensearch.pipelines import find_pipeline_key
from sidecar.opensearch.query_text import (
    TooManyClauses,
    read_q_words,
    read_query_text,
    read_text_at,
    tidy,
)
from sidecar.opensearch.search_parameters import count_size_independent_hits, find_blocking_reason
from sidecar.opensearch.skip_reasons import Skip
from sidecar.opensearch.source_filter import includes_fields
from sidecar.opensearch_rules.limits import MAX_RESULT_WINDOW
from sidecar.opensearch_rules.request_headers import SearchHeaders, find_forbidding_header
from sidecar.spans.json_amounts import has_more_objects, has_more_values, is_deeper
from sidecar.spans.json_spans import (
    NestingTooDeep,
    NotJson,
    Spanned,
    TooMany,
    read_document,
    read_object,
    read_unique_value,
    replace_spans,
)
from sidecar.spans.url_parameters import (
    BadUrl,
    Parameter,
    TooManyParameters,
    read_url_parameters,
)

MAX_KEYS = 100
"""Maximum number of keys in a body; a search may have 40 different ones."""

_NO_PIPELINES: Final[Mapping[str, PipelineUse]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A search that can be rescored.

    `start` and `size` are the page that the client requested; `fetch` is the number of hits to
    fetch to rescore it. `parameters` are the URL's parameters, with their spans in `target`.
    `text` is the body, empty if there is none; `members` are its top-level members, with their
    spans in `text`. If `text_in_response` is false, the plan's fields must be fetched separately.
    `fetch_limit` is the largest `fetch` that leaves the first hits the same as in the client's own
    search. `hybrid` is the depth of a `hybrid` query; None for any other query.
    """

    query_text: str
    start: int
    size: int
    fetch: int
    target: bytes
    text: str
    parameters: tuple[Parameter, ...]
    members: Mapping[str, Spanned]
    text_in_response: bool = True
    fetch_limit: int = MAX_RESULT_WINDOW
    hybrid: HybridDepth | None = None


def read_search_request(
    target: bytes,
    body: bytes,
    headers: SearchHeaders,
    plan: Plan,
    limits: Limits,
    max_result_window: int = MAX_RESULT_WINDOW,
    pipelines: Mapping[str, PipelineUse] = _NO_PIPELINES,
) -> SearchRequest | Skip:
    """Read a search of an index with a route; `body` is decompressed.

    `pipelines` are the search pipelines that the configuration names.

    Never raises. Returns a Skip with a reason if it is not certain how OpenSearch reads the search.
    """
    reason = find_forbidding_header(headers, has_body=bool(body))
    if reason is not None:
        return Skip(reason)
    try:
        parameters = read_url_parameters(target, limits.url_parameters)
    except TooManyParameters:
        return Skip("limits.url_parameters")
    except BadUrl:
        return Skip("url_syntax")
    url = {parameter.name: parameter.value for parameter in parameters}
    if has_more_values(body, limits.search_values):
        return Skip("limits.search_values")
    try:
        text = body.decode()
        members = read_document(text, _read_body) if body else {}
    except NestingTooDeep:
        return Skip("limits.nesting")
    except TooMany:
        return Skip("unknown_key")
    except (UnicodeDecodeError, NotJson):
        return Skip("body_syntax")
    values = {key: member.value for key, member in members.items()}

    reason = _find_exceeded_limit(text, values, limits) or find_blocking_reason(
        url, values, pipelines
    )
    if reason == "search_pipeline":
        return Skip(reason, find_pipeline_key((url, values), pipelines))
    if reason is not None:
        return Skip(reason)
    page = _read_page(url, values)
    if page is None:
        return Skip("bad_number")
    start, size = page
    if size == 0:
        return Skip("size_zero")
    if start >= plan.rescore_window:
        return Skip("beyond_window")
    if start + size > max_result_window:
        return Skip("result_window")
    limit = max_result_window
    same_hits = count_size_independent_hits(values)
    if same_hits is not None:
        # Only whole pages are rescored; a page that crosses the limit keeps OpenSearch's order.
        first = start % size
        limit = min(limit, first + (same_hits - first) // size * size)
        if start + size > limit:
            return Skip("rescore")
    hybrid = read_hybrid_depth(url, text, members, plan, page)
    if isinstance(hybrid, Skip):
        return hybrid
    if hybrid is not None and hybrid.span is None:
        limit = min(limit, hybrid.own)
    query_text = _find_query_text(url, values, headers.x_rescore_query, plan, limits)
    if isinstance(query_text, Skip):
        return query_text
    if "q" not in url and has_own_order(values.get("query")):
        return Skip("own_order")
    fields = list_plan_fields(plan)
    return SearchRequest(
        query_text,
        start,
        size,
        min(max(plan.rescore_window, start + size), limit),
        target,
        text,
        parameters,
        members,
        text_in_response=includes_fields(fields, url, values)
        and keeps_fields(url.get("filter_path", ""), fields),
        fetch_limit=limit,
        hybrid=hybrid,
    )


def _find_exceeded_limit(text: str, body: Mapping[str, Any], limits: Limits) -> str | None:
    """The reason for a limit that the parsed body exceeds, or None."""
    openings = text.count("{")
    if openings + text.count("[") > limits.nesting and is_deeper(body, limits.nesting):
        return "limits.nesting"
    if openings > limits.query_clauses and has_more_objects(
        body.get("query"), limits.query_clauses
    ):
        return "limits.query_clauses"
    return None


def list_plan_fields(plan: Plan) -> tuple[str, ...]:
    """The fields of `_source` that the plan reads, as the plan writes them."""
    fields = plan.document.names
    return fields if plan.group_by is None else (*fields, plan.group_by)


def widen_window(search_request: SearchRequest) -> tuple[bytes, bytes]:
    """The request target and body that fetch the first `search_request.fetch` hits.

    `from` and `size` are replaced in the URL if they are there, because the URL wins; else in the
    body. A missing `size` is added to the body, or to the URL if there is no body. A missing `from`
    means 0 already. A `hybrid` query may get a `pagination_depth`. All other bytes stay.
    """
    page = {"from": "0", "size": str(search_request.fetch)}
    in_url = [parameter for parameter in search_request.parameters if parameter.name in page]
    target = search_request.target.decode("latin-1")
    target = replace_spans(target, ((one.start, one.end, page[one.name]) for one in in_url))
    in_body = page.keys() - {parameter.name for parameter in in_url}
    edits = [
        (member.start, member.end, page[name])
        for name, member in search_request.members.items()
        if name in in_body
    ]
    if search_request.hybrid is not None:
        edits += search_request.hybrid.write(search_request.fetch)
    text = replace_spans(search_request.text, edits)
    if "size" in in_body and "size" not in search_request.members:
        if search_request.text:
            brace_end = text.index("{") + 1
            comma = "," if search_request.members else ""
            size = f'"size":{search_request.fetch}{comma}'
            text = text[:brace_end] + size + text[brace_end:]
        else:
            joint = "?" if "?" not in target else "" if target.endswith(("?", "&")) else "&"
            target = f"{target}{joint}size={search_request.fetch}"
    return target.encode("latin-1"), text.encode()


def _read_body(text: str, start: int) -> tuple[dict[str, Spanned], int]:
    return read_object(text, start, other=read_unique_value, most=MAX_KEYS)


def _read_page(url: Mapping[str, str], body: Mapping[str, Any]) -> tuple[int, int] | None:
    """`from` and `size` as OpenSearch reads them; the URL wins. None if that is not certain."""
    numbers = []
    for name, default in (("from", 0), ("size", 10)):
        value = url[name] if name in url else body.get(name, default)
        # In a body the number may be a string, or have a fraction of zero.
        fraction = "" if name in url else r"(?:\.0*)?"
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int | str):
            return None
        if not re.fullmatch(rf"[0-9]{{1,9}}{fraction}", str(value)):
            return None
        numbers.append(int(float(value)))
    return numbers[0], numbers[1]


def _find_query_text(
    url: Mapping[str, str],
    body: Mapping[str, Any],
    header: bytes | None,
    plan: Plan,
    limits: Limits,
) -> str | Skip:
    """The query text, from the most explicit place that has one.

    These are, in order: the request's header; `ext.rerank`, the section of neural-search; `q`,
    which replaces the body's query; the plan's path, or the body's query.
    """
    path, fields = plan.query_path, plan.document.names
    try:
        if header:
            query_text: str | None = tidy(unquote_to_bytes(header).decode())
        else:
            query_text = _read_ext_text(body)
            if query_text is None and "q" in url:
                query_text = read_q_words(url["q"], url.get("df"), fields)
            elif query_text is None and path != "auto":
                query_text = read_text_at(body, path)
            elif query_text is None:
                query_text = read_query_text(body.get("query"), fields, limits.query_clauses)
    except UnicodeDecodeError:
        return Skip("query_header")
    except TooManyClauses:
        return Skip("limits.query_clauses")
    return query_text or Skip("no_query_text")


def _read_ext_text(body: Mapping[str, Any]) -> str | None:
    text = read_text_at(body, "ext.rerank.query_context.query_text")
    if text is not None:
        return text
    path = read_text_at(body, "ext.rerank.query_context.query_text_path")
    return None if path is None else read_text_at(body, path)
