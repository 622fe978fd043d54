"""Every parameter of a search, in the URL and in the body, and whether it allows a new order.

Most do: they say what is found or what is shown. What makes the order a cursor, changes it
elsewhere, or takes away what has to be read blocks. A parameter that is not listed blocks too;
OpenSearch answers it with its own error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from sidecar.opensearch.filter_path import order_is_left
from sidecar.opensearch.plugin_ext import SECTION
from sidecar.opensearch.source_filter import names

_Check = Callable[[Any], str | None]
"""Gives the reason why this value blocks, or None."""


def _allowed(value: Any) -> str | None:
    return None


def _blocks(reason: str) -> _Check:
    return lambda value: reason


def _blocks_unless(reason: str, *harmless: object) -> _Check:
    return lambda value: None if value in harmless else reason


def _check_stored_fields(value: Any) -> str | None:
    return "stored_fields" if "_none_" in names(value) else None


def _check_filter_path(value: Any) -> str | None:
    return None if order_is_left(value) else "filter_path"


def _check_collapse(value: Any) -> str | None:
    return None if isinstance(value, dict) and "inner_hits" not in value else "collapse"


def _check_query(value: Any) -> str | None:
    kinds = value.keys() if isinstance(value, dict) else ()
    if "hybrid" in kinds:
        return "hybrid"
    return "pipeline_query" if "agentic" in kinds or "template" in kinds else None


_ORDERING_SECTIONS = frozenset(
    {"mmr", "generative_qa_parameters", "personalize_request_parameters"}
)


def _check_ext(value: Any) -> str | None:
    if isinstance(value, dict) and SECTION in value:
        return "plugin_ext"
    return None if isinstance(value, dict) and _ORDERING_SECTIONS.isdisjoint(value) else "ext"


def _is_false(reason: str) -> _Check:
    return _blocks_unless(reason, False, "false")


# The page, the text, `sort` and `_source` have readers of their own.
# fmt: off
_HARMLESS_IN_URL = (
    "from", "size", "sort", "_source", "_source_includes", "_source_excludes", "q", "df",
    "analyzer", "analyze_wildcard", "lenient", "default_operator", "docvalue_fields", "explain",
    "version", "seq_no_primary_term", "include_named_queries_score", "track_scores",
    "track_total_hits", "rest_total_hits_as_int", "typed_keys", "suggest_field", "suggest_mode",
    "suggest_size", "suggest_text", "timeout", "terminate_after", "cancel_after_time_interval",
    "batched_reduce_size", "pre_filter_shard_size", "max_concurrent_shard_requests",
    "ccs_minimize_roundtrips", "allow_partial_search_results", "request_cache", "routing",
    "preference", "search_type", "ignore_unavailable", "allow_no_indices", "expand_wildcards",
    "ignore_throttled", "stats", "phase_took", "pretty", "human", "error_trace",
)
_HARMLESS_IN_BODY = (
    "from", "size", "sort", "_source", "post_filter", "rescore", "min_score", "indices_boost",
    "aggs", "aggregations", "suggest", "highlight", "fields", "docvalue_fields", "script_fields",
    "derived", "explain", "profile", "version", "seq_no_primary_term",
    "include_named_queries_score", "track_scores", "track_total_hits", "timeout",
    "terminate_after", "stats",
)
# fmt: on

URL_PARAMETERS: Mapping[str, _Check] = MappingProxyType(
    {
        **dict.fromkeys(_HARMLESS_IN_URL, _allowed),
        "stored_fields": _check_stored_fields,
        "scroll": _blocks("scroll"),
        "source": _blocks("source_parameter"),
        "source_content_type": _blocks("source_parameter"),
        "search_pipeline": _blocks_unless("search_pipeline", "_none"),
        "verbose_pipeline": _is_false("search_pipeline"),
        "filter_path": _check_filter_path,
        "format": _blocks_unless("reply_format", "json"),
        "stream_scoring_mode": _blocks("streaming"),
        "streaming_mode": _blocks("streaming"),
    }
)

BODY_KEYS: Mapping[str, _Check] = MappingProxyType(
    {
        **dict.fromkeys(_HARMLESS_IN_BODY, _allowed),
        "query": _check_query,
        "stored_fields": _check_stored_fields,
        "search_after": _blocks("search_after"),
        "pit": _blocks("pit"),
        "slice": _blocks("slice"),
        "collapse": _check_collapse,
        "search_pipeline": _blocks_unless("search_pipeline", "_none"),
        "verbose_pipeline": _is_false("search_pipeline"),
        "ext": _check_ext,
    }
)


def blocking_reason(parameters: Mapping[str, str], body: Mapping[str, Any]) -> str | None:
    """The word of the first parameter that forbids a new order, or None.

    `parameters` are the URL's, decoded; `body` is the parsed search body, empty for none.
    """
    for given, known, unknown in (
        (parameters, URL_PARAMETERS, "unknown_parameter"),
        (body, BODY_KEYS, "unknown_key"),
    ):
        for name, value in given.items():
            reason = known.get(name, _blocks(unknown))(value)
            if reason is not None:
                return reason
    # OpenSearch appends the URL's sort to the body's. Only a single sort by falling score is
    # the same as none; a second one makes hits carry sort values.
    sorts = _sorts_of_url(parameters.get("sort")) + _sorts_of_body(body.get("sort", []))
    return None if not sorts or sorts == [("_score", "desc")] else "sort"


def _sorts_of_url(value: str | None) -> list[tuple[str, object]]:
    if value is None:
        return []
    keys = (key.partition(":") for key in value.split(","))
    return [(field, order or "desc") for field, _, order in keys]


def _sorts_of_body(value: object) -> list[tuple[str, object]]:
    sorts: list[tuple[str, object]] = []
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict):
            sorts += [(field, _order(setting)) for field, setting in item.items()]
        else:
            sorts.append((item if isinstance(item, str) else "", "desc"))
    return sorts


def _order(setting: object) -> object:
    if isinstance(setting, dict) and setting.keys() <= {"order"}:
        setting = setting.get("order", "desc")
    return setting.lower() if isinstance(setting, str) else setting
