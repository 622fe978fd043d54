"""All parameters of a search, in the URL and in the body, and whether they allow a new order.

Most parameters allow it: they select the hits or what is shown of them. A parameter forbids a new
order if it makes the order a cursor, changes the order elsewhere, or removes what must be read. A
parameter that is not listed forbids it too; OpenSearch answers it with an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from sidecar.config.upstream_values import PipelineUse
from sidecar.kendra_plugin.section import SECTION
from sidecar.opensearch.filter_path import keeps_order
from sidecar.opensearch.hybrid_query import find_faulty_form
from sidecar.opensearch.pipelines import find_pipeline_reason
from sidecar.opensearch.source_filter import read_names
from sidecar.opensearch.url_options import (
    COPY_OPTIONS,
    EXECUTION_OPTIONS,
    FORMAT_OPTIONS,
    INDEX_OPTIONS,
    SOURCE_OPTIONS,
)

_Check = Callable[[Any], str | None]
"""Returns the reason why a parameter's value forbids a new order, or None."""


def _allow(value: Any) -> str | None:
    return None


def _forbid(reason: str) -> _Check:
    return lambda value: reason


def _forbid_unless(reason: str, *harmless: object) -> _Check:
    return lambda value: None if value in harmless else reason


def _check_stored_fields(value: Any) -> str | None:
    return "stored_fields" if "_none_" in read_names(value) else None


def _check_filter_path(value: Any) -> str | None:
    return None if keeps_order(value) else "filter_path"


def _check_collapse(value: Any) -> str | None:
    return None if isinstance(value, dict) and "inner_hits" not in value else "collapse"


def _check_query(value: Any) -> str | None:
    kinds = value.keys() if isinstance(value, dict) else ()
    if "hybrid" in kinds:
        return find_faulty_form(value)
    return "pipeline_query" if "agentic" in kinds or "template" in kinds else None


_ORDERING_SECTIONS = frozenset(
    {"mmr", "generative_qa_parameters", "personalize_request_parameters"}
)


def _check_ext(value: Any) -> str | None:
    if isinstance(value, dict) and SECTION in value:
        return "plugin_ext"
    return None if isinstance(value, dict) and _ORDERING_SECTIONS.isdisjoint(value) else "ext"


_PIPELINE = "search_pipeline"


def _require_false(reason: str) -> _Check:
    return _forbid_unless(reason, False, "false")


# Other code reads the page, the query text, `sort` and `_source`.
# fmt: off
_HARMLESS_IN_URL = (
    *INDEX_OPTIONS, *COPY_OPTIONS, *EXECUTION_OPTIONS, *FORMAT_OPTIONS, *SOURCE_OPTIONS,
    "from", "size", "sort", "q", "df", "analyzer", "analyze_wildcard", "lenient",
    "default_operator", "docvalue_fields", "explain", "version", "seq_no_primary_term",
    "include_named_queries_score", "track_scores", "track_total_hits", "suggest_field",
    "suggest_mode", "suggest_size", "suggest_text", "timeout", "terminate_after", "stats",
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
        **dict.fromkeys(_HARMLESS_IN_URL, _allow),
        "stored_fields": _check_stored_fields,
        "scroll": _forbid("scroll"),
        "source": _forbid("source_parameter"),
        "source_content_type": _forbid("source_parameter"),
        "search_pipeline": _forbid_unless("search_pipeline", "_none"),
        "verbose_pipeline": _require_false("search_pipeline"),
        "filter_path": _check_filter_path,
        "format": _forbid_unless("reply_format", "json"),
        "stream_scoring_mode": _forbid("streaming"),
        "streaming_mode": _forbid("streaming"),
    }
)

BODY_KEYS: Mapping[str, _Check] = MappingProxyType(
    {
        **dict.fromkeys(_HARMLESS_IN_BODY, _allow),
        "query": _check_query,
        "stored_fields": _check_stored_fields,
        "search_after": _forbid("search_after"),
        "pit": _forbid("pit"),
        "slice": _forbid("slice"),
        "collapse": _check_collapse,
        "search_pipeline": _forbid_unless("search_pipeline", "_none"),
        "verbose_pipeline": _require_false("search_pipeline"),
        "ext": _check_ext,
    }
)


def find_blocking_reason(
    parameters: Mapping[str, str],
    body: Mapping[str, Any],
    pipelines: Mapping[str, PipelineUse] = MappingProxyType({}),
) -> str | None:
    """The reason of the first parameter that forbids a new order, or None.

    `parameters` are the URL's, decoded; `body` is the parsed search body, empty if there is none.
    `pipelines` are the search pipelines that the configuration names.
    """
    for given, known, unknown in (
        (parameters, URL_PARAMETERS, "unknown_parameter"),
        (body, BODY_KEYS, "unknown_key"),
    ):
        for name, value in given.items():
            reason = known.get(name, _forbid(unknown))(value)
            if reason == _PIPELINE == name:
                reason = find_pipeline_reason(value, pipelines)
            if reason is not None:
                return reason
    # OpenSearch appends the URL's sort to the body's. A single sort by descending score is the same
    # as no sort; after a second one, hits have sort values.
    sorts = _sorts_of_url(parameters.get("sort")) + _sorts_of_body(body.get("sort", []))
    return None if not sorts or sorts == [("_score", "desc")] else "sort"


def count_size_independent_hits(body: Mapping[str, Any]) -> int | None:
    """Up to which number of hits the first hits do not depend on `size`; None if they never do.

    OpenSearch collects `from` + `size` hits of each shard, or the largest `window_size` of the
    search's own `rescore` if that is more. `rescore` then moves hits within the collected ones: a
    hit that it lowers ends up behind 10 hits in a search for 10, and behind 100 in one for 100.
    """
    rescore = body.get("rescore", [])
    sizes = [_window_size(one) for one in (rescore if isinstance(rescore, list) else [rescore])]
    return max(sizes, default=None)


def _window_size(rescorer: object) -> int:
    size = rescorer.get("window_size", 10) if isinstance(rescorer, dict) else 0
    if isinstance(size, bool) or not re.fullmatch(r"[0-9]{1,9}", str(size)):
        return 0  # OpenSearch may accept the value, but it is not certain how
    return int(size)


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
