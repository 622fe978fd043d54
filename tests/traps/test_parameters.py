"""Every parameter of a search, in the URL and in the body, asked of both real nodes.

The sidecar takes each search, and its model changes no order: so the answer is the node's own to
the byte, whether it was rescored or skipped, and `X-Rescore` says which.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.traps.conftest import INDEX
from tests.traps.pair import Pair

MATCH = {"match": {"body": "red shoes"}}
APPLIED = "applied"

# What comes after `?`, and what X-Rescore says.
URL = {
    "nothing": ("", APPLIED),
    "from": ("from=3", APPLIED),
    "size": ("size=4", APPLIED),
    "from and size": ("from=3&size=4", APPLIED),
    "the last duplicate": ("size=3&size=5", APPLIED),
    "an escaped name and value": ("%73ize=%35", APPLIED),
    "negative from": ("from=-1", "bad_number"),
    "no number": ("size=x", "bad_number"),
    "size 0": ("size=0", "size_zero"),
    "a large size": ("size=100", APPLIED),
    "beyond the window": ("from=20", "beyond_window"),
    "beyond the index's limit": ("from=1&size=10000", "result_window"),
    "q": ("q=red+shoes", APPLIED),
    "q with its settings": (
        "q=red&df=body&analyzer=standard&analyze_wildcard=true&lenient=true&default_operator=AND",
        APPLIED,
    ),
    "q without words": ("q=*", "no_query_text"),
    "sort by falling score": ("sort=_score", APPLIED),
    "sort by falling score, spelled out": ("sort=_score:desc", APPLIED),
    "sort by rising score": ("sort=_score:asc", "sort"),
    "sort by a field": ("sort=n:desc", "sort"),
    "sort by score and a field": ("sort=_score,n", "sort"),
    "scroll": ("scroll=1m", "scroll"),
    "explain": ("explain=true", APPLIED),
    "version": ("version=true", APPLIED),
    "seq_no_primary_term": ("seq_no_primary_term=true", APPLIED),
    "include_named_queries_score": ("include_named_queries_score=true", APPLIED),
    "docvalue_fields": ("docvalue_fields=n,kind", APPLIED),
    "track_scores": ("track_scores=true", APPLIED),
    "track_total_hits false": ("track_total_hits=false", APPLIED),
    "track_total_hits number": ("track_total_hits=5", APPLIED),
    "rest_total_hits_as_int": ("rest_total_hits_as_int=true", APPLIED),
    "typed_keys": ("typed_keys=true", APPLIED),
    "suggest": (
        "suggest_field=title&suggest_mode=always&suggest_size=2&suggest_text=rde",
        APPLIED,
    ),
    "timeout": ("timeout=10s", APPLIED),
    "terminate_after, reached": ("terminate_after=2", "timed_out"),
    "terminate_after, not reached": ("terminate_after=1000", APPLIED),
    "cancel_after_time_interval": ("cancel_after_time_interval=10s", APPLIED),
    "execution control": (
        "batched_reduce_size=2&pre_filter_shard_size=1&max_concurrent_shard_requests=1"
        "&ccs_minimize_roundtrips=true&allow_partial_search_results=true",
        APPLIED,
    ),
    "caches and copies": ("request_cache=false&preference=_local&routing=a", APPLIED),
    "search_type": ("search_type=dfs_query_then_fetch", APPLIED),
    "indices options": (
        "ignore_unavailable=true&allow_no_indices=true&expand_wildcards=open&ignore_throttled=false",
        APPLIED,
    ),
    "stats": ("stats=a,b", APPLIED),
    "phase_took": ("phase_took=true", APPLIED),
    "search_pipeline _none": ("search_pipeline=_none", APPLIED),
    "search_pipeline": ("search_pipeline=nope", "search_pipeline"),
    "verbose_pipeline": ("verbose_pipeline=true", "search_pipeline"),
    "pretty": ("pretty", APPLIED),
    "human and error_trace": ("human&error_trace=true", APPLIED),
    "format json": ("format=json", APPLIED),
    "format yaml": ("format=yaml", "reply_format"),
    "format cbor": ("format=cbor", "reply_format"),
    "format smile": ("format=smile", "reply_format"),
    "source": ("source={}&source_content_type=application/json", "source_parameter"),
    "unknown": ("nonsense=1", "unknown_parameter"),
    "semicolon": ("q=a;size=3", "url_syntax"),
    "a literal percent": ("q=100%%+red", APPLIED),
    "a broken escape": ("routing=%4", "url_syntax"),
}

# What stands in the body beside the query, and what X-Rescore says.
BODY: dict[str, tuple[dict[str, Any], str]] = {
    "from and size": ({"from": 3, "size": 4}, APPLIED),
    "numbers as strings": ({"from": "3", "size": "4"}, APPLIED),
    "numbers with a fraction of zero": ({"from": 3.0, "size": 4.0}, APPLIED),
    "negative from": ({"from": -1}, "bad_number"),
    "size 0": ({"size": 0}, "size_zero"),
    "beyond the window": ({"from": 20}, "beyond_window"),
    "beyond the index's limit": ({"from": 1, "size": 10_000}, "result_window"),
    "sort by score": ({"sort": "_score"}, APPLIED),
    "sort by score, as a list": ({"sort": [{"_score": {"order": "desc"}}]}, APPLIED),
    "sort by rising score": ({"sort": [{"_score": "asc"}]}, "sort"),
    "sort by a field": ({"sort": [{"n": "asc"}]}, "sort"),
    "sort by score and a field": ({"sort": ["_score", "n"]}, "sort"),
    "search_after": ({"sort": ["n"], "search_after": [3]}, "search_after"),
    "pit": ({"pit": {"id": "AAAA"}}, "pit"),
    "slice": ({"slice": {"id": 0, "max": 2}}, "slice"),
    "collapse": ({"collapse": {"field": "kind"}}, APPLIED),
    "collapse with inner_hits": (
        {"collapse": {"field": "kind", "inner_hits": {"name": "i"}}},
        "collapse",
    ),
    "rescore of fewer hits than the page": (
        {
            "rescore": {
                "window_size": 5,
                "query": {"rescore_query": {"match": {"title": "red"}}, "rescore_query_weight": 2},
            }
        },
        "rescore",
    ),
    "rescore of the window": (
        {
            "rescore": {
                "window_size": 20,
                "query": {"rescore_query": {"match": {"title": "red"}}, "rescore_query_weight": 2},
            }
        },
        APPLIED,
    ),
    "aggs with top_hits": (
        {
            "size": 3,
            "aggs": {"k": {"terms": {"field": "kind"}, "aggs": {"t": {"top_hits": {"size": 2}}}}},
        },
        APPLIED,
    ),
    "suggest": ({"suggest": {"s": {"prefix": "red", "completion": {"field": "suggest"}}}}, APPLIED),
    "highlight": ({"highlight": {"fields": {"body": {"number_of_fragments": 1}}}}, APPLIED),
    "explain": ({"explain": True}, APPLIED),
    "version and seq_no": ({"version": True, "seq_no_primary_term": True}, APPLIED),
    "docvalue_fields and fields": ({"docvalue_fields": ["n"], "fields": ["k*"]}, APPLIED),
    "track_scores": ({"track_scores": True}, APPLIED),
    "track_total_hits false": ({"track_total_hits": False}, APPLIED),
    "track_total_hits number": ({"track_total_hits": 5}, APPLIED),
    "min_score": ({"min_score": 0.0001}, APPLIED),
    "post_filter": ({"post_filter": {"range": {"n": {"lt": 9}}}}, APPLIED),
    "indices_boost": ({"indices_boost": [{INDEX: 2}]}, APPLIED),
    "timeout": ({"timeout": "10s"}, APPLIED),
    "terminate_after, reached": ({"terminate_after": 2}, "timed_out"),
    "stats": ({"stats": ["a"]}, APPLIED),
    "search_pipeline inline": (
        {"search_pipeline": {"response_processors": [{"rename_field": {"field": "a"}}]}},
        "search_pipeline",
    ),
    "unknown": ({"nonsense": 1}, "unknown_key"),
}

QUERIES: dict[str, tuple[dict[str, Any], str]] = {
    "bool": ({"bool": {"must": [MATCH], "filter": {"term": {"kind": "k1"}}}}, APPLIED),
    "dis_max": ({"dis_max": {"queries": [MATCH, {"match": {"title": "red"}}]}}, APPLIED),
    "function_score": (
        {"function_score": {"query": MATCH, "field_value_factor": {"field": "n"}}},
        APPLIED,
    ),
    "script_score": (
        {"script_score": {"query": MATCH, "script": {"source": "_score + doc['n'].value"}}},
        APPLIED,
    ),
    "script_score, without the score": (
        {"script_score": {"query": MATCH, "script": {"source": "doc['n'].value + 1"}}},
        "own_order",
    ),
    "function_score, replaced": (
        {
            "function_score": {
                "query": MATCH,
                "field_value_factor": {"field": "n"},
                "boost_mode": "replace",
            }
        },
        "own_order",
    ),
    "boosting": (
        {
            "boosting": {
                "positive": MATCH,
                "negative": {"term": {"kind": "k0"}},
                "negative_boost": 0.5,
            }
        },
        APPLIED,
    ),
    "match_phrase_prefix": ({"match_phrase_prefix": {"body": "red sh"}}, APPLIED),
    "query_string": ({"query_string": {"query": "body:(red AND shoes) -boots"}}, APPLIED),
    "named, with its score": ({"match": {"body": {"query": "red", "_name": "r"}}}, APPLIED),
    "match_all": ({"match_all": {}}, "no_query_text"),
    "only a filter": ({"bool": {"filter": [MATCH]}}, "no_query_text"),
    "hybrid": ({"hybrid": {"queries": [MATCH]}}, "hybrid"),
    "template": ({"template": {"match": {"body": "${x}"}}}, "pipeline_query"),
    "agentic": ({"agentic": {"query_text": "red"}}, "pipeline_query"),
}


@pytest.mark.parametrize("name", URL)
def test_url_parameter(either_pair: Pair, name: str) -> None:
    query, expected = URL[name]
    body = None if "q=" in query or "source=" in query else {"query": MATCH}
    said = either_pair.same_search(f"/{INDEX}/_search?{query}", body)
    assert said.startswith(_beginning(expected))


@pytest.mark.parametrize("name", BODY)
def test_body_key(either_pair: Pair, name: str) -> None:
    keys, expected = BODY[name]
    said = either_pair.same_search(f"/{INDEX}/_search", {"query": MATCH, **keys})
    assert said.startswith(_beginning(expected))


@pytest.mark.parametrize("name", QUERIES)
def test_query(either_pair: Pair, name: str) -> None:
    query, expected = QUERIES[name]
    said = either_pair.same_search(f"/{INDEX}/_search", {"query": query})
    assert said.startswith(_beginning(expected))


FIELDS = {
    "Accept yaml": ({"Accept": "application/yaml"}, "reply_format"),
    "Accept cbor": ({"Accept": "application/cbor"}, "reply_format"),
    "Accept anything": ({"Accept": "text/html, */*"}, APPLIED),
    "X-Opaque-Id": ({"X-Opaque-Id": "shop-1"}, APPLIED),
    "signed for AWS": ({"Authorization": "AWS4-HMAC-SHA256 Credential=x"}, "signed"),
    "another account": ({"Authorization": "Basic dTpw"}, APPLIED),
    "another origin": ({"Origin": "http://shop.example"}, APPLIED),
}


@pytest.mark.parametrize("name", FIELDS)
def test_header(pair: Pair, name: str) -> None:
    fields, expected = FIELDS[name]
    said = pair.same_search(f"/{INDEX}/_search", {"query": MATCH}, fields)
    assert said.startswith(_beginning(expected))


def _beginning(expected: str) -> str:
    return "applied; " if expected == APPLIED else f"skipped; reason={expected}; "
