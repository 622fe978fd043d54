"""All parameters of a search, in the URL and in the body, and what they decide."""

from typing import Any

import pytest

from sidecar.opensearch.search_parameters import BODY_KEYS, URL_PARAMETERS, find_blocking_reason
from sidecar.opensearch.skip_reasons import SKIP_REASONS

URL: list[tuple[str, str, str | None]] = [
    *((name, "1", None) for name in ("from", "size", "track_total_hits", "terminate_after")),
    *((name, "x", None) for name in ("q", "df", "analyzer", "default_operator", "routing")),
    *((name, "true", None) for name in ("analyze_wildcard", "lenient", "explain", "version")),
    *((name, "true", None) for name in ("seq_no_primary_term", "include_named_queries_score")),
    *((name, "true", None) for name in ("track_scores", "rest_total_hits_as_int", "typed_keys")),
    *((name, "x", None) for name in ("suggest_field", "suggest_mode", "suggest_size")),
    *((name, "x", None) for name in ("suggest_text", "docvalue_fields", "preference", "stats")),
    *((name, "5s", None) for name in ("timeout", "cancel_after_time_interval")),
    *((name, "5", None) for name in ("batched_reduce_size", "pre_filter_shard_size")),
    *((name, "5", None) for name in ("max_concurrent_shard_requests", "phase_took")),
    *((name, "true", None) for name in ("ccs_minimize_roundtrips", "request_cache")),
    *((name, "true", None) for name in ("allow_partial_search_results", "ignore_unavailable")),
    *((name, "true", None) for name in ("allow_no_indices", "ignore_throttled")),
    *((name, "", None) for name in ("pretty", "human", "error_trace", "filter_path")),
    ("search_type", "dfs_query_then_fetch", None),
    ("expand_wildcards", "all", None),
    ("_source", "title", None),
    ("_source_includes", "title", None),
    ("_source_excludes", "price", None),
    ("sort", "_score", None),
    ("sort", "_score:desc", None),
    ("sort", "_score:asc", "sort"),
    ("sort", "price:asc", "sort"),
    ("sort", "_score,price", "sort"),
    ("sort", "", "sort"),
    ("stored_fields", "price", None),
    ("stored_fields", "_none_", "stored_fields"),
    ("scroll", "1m", "scroll"),
    ("source", "{}", "source_parameter"),
    ("source_content_type", "application/json", "source_parameter"),
    ("search_pipeline", "_none", None),
    ("search_pipeline", "mine", "search_pipeline"),
    ("verbose_pipeline", "false", None),
    ("verbose_pipeline", "true", "search_pipeline"),
    ("filter_path", "hits.hits", "filter_path"),
    ("filter_path", "_shards,timed_out,hits.hits", None),
    ("format", "json", None),
    ("format", "yaml", "reply_format"),
    ("stream_scoring_mode", "x", "streaming"),
    ("streaming_mode", "x", "streaming"),
    ("index", "other", "unknown_parameter"),
    ("Size", "5", "unknown_parameter"),
    ("pit", "x", "unknown_parameter"),
]

BODY: list[tuple[str, Any, str | None]] = [
    *((name, 5, None) for name in ("from", "size", "terminate_after", "min_score")),
    *((name, {}, None) for name in ("query", "post_filter", "aggs", "aggregations", "suggest")),
    *((name, {}, None) for name in ("highlight", "script_fields", "derived", "rescore", "ext")),
    *((name, [], None) for name in ("fields", "docvalue_fields", "indices_boost", "stats")),
    *((name, True, None) for name in ("explain", "profile", "version", "seq_no_primary_term")),
    *((name, True, None) for name in ("include_named_queries_score", "track_scores")),
    ("track_total_hits", False, None),
    ("timeout", "5s", None),
    ("_source", False, None),
    ("sort", [], None),
    ("sort", "_score", None),
    ("sort", ["_score"], None),
    ("sort", {"_score": "desc"}, None),
    ("sort", [{"_score": {"order": "DESC"}}], None),
    ("sort", {"_score": {}}, None),
    ("sort", {"_score": {"order": "asc"}}, "sort"),
    ("sort", {"_score": {"order": "desc", "mode": "max"}}, "sort"),
    ("sort", [{"_score": "asc"}], "sort"),
    ("sort", ["_score", "price"], "sort"),
    ("sort", [["_score"]], "sort"),
    ("sort", {"_score": "desc", "price": "asc"}, "sort"),
    ("sort", "price", "sort"),
    ("sort", None, "sort"),
    ("sort", 7, "sort"),
    ("stored_fields", ["price"], None),
    ("stored_fields", "_none_", "stored_fields"),
    ("stored_fields", ["_none_"], "stored_fields"),
    ("search_after", [1], "search_after"),
    ("pit", {"id": "x"}, "pit"),
    ("slice", {"id": 0, "max": 2}, "slice"),
    ("collapse", {"field": "brand"}, None),
    ("collapse", {"field": "brand", "inner_hits": {"name": "x"}}, "collapse"),
    ("collapse", "brand", "collapse"),
    ("search_pipeline", "_none", None),
    ("search_pipeline", "mine", "search_pipeline"),
    ("search_pipeline", {"response_processors": []}, "search_pipeline"),
    ("verbose_pipeline", False, None),
    ("verbose_pipeline", True, "search_pipeline"),
    ("query", {"hybrid": {"queries": []}}, "hybrid"),
    ("query", {"agentic": {"query_text": "x"}}, "pipeline_query"),
    ("query", {"template": {}}, "pipeline_query"),
    ("query", {"neural": {}}, None),
    ("query", None, None),
    ("ext", {"rerank": {"query_context": {"query_text": "x"}}}, None),
    ("ext", {"search_configuration": {}}, "plugin_ext"),
    ("ext", {"mmr": {}}, "ext"),
    ("ext", {"generative_qa_parameters": {}}, "ext"),
    ("ext", {"personalize_request_parameters": {}}, "ext"),
    ("ext", [], "ext"),
    ("scroll", "1m", "unknown_key"),
    ("q", "x", "unknown_key"),
    ("Size", 5, "unknown_key"),
]


@pytest.mark.parametrize(("name", "value", "reason"), URL)
def test_a_parameter_of_the_url(name: str, value: str, reason: str | None) -> None:
    assert reason == find_blocking_reason({name: value}, {})


@pytest.mark.parametrize(("name", "value", "reason"), BODY, ids=str)
def test_a_key_of_the_body(name: str, value: Any, reason: str | None) -> None:
    assert reason == find_blocking_reason({}, {name: value})


def test_every_known_parameter_is_in_the_tables_above() -> None:
    assert URL_PARAMETERS.keys() <= {name for name, _, _ in URL}
    assert BODY_KEYS.keys() <= {name for name, _, _ in BODY}


def test_every_reason_is_explained() -> None:
    reasons = {reason for _, _, reason in [*URL, *BODY] if reason is not None}
    assert reasons <= SKIP_REASONS.keys()


def test_sorts_of_url_and_body_add_up() -> None:
    assert find_blocking_reason({"sort": "_score"}, {"sort": "_score"}) == "sort"
    assert find_blocking_reason({"sort": "_score"}, {"sort": []}) is None
