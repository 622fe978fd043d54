"""Scores that are not a relevance, in all notations; and scores that still contain one."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.plan import Plan
from sidecar.config.limits import Limits
from sidecar.opensearch.own_order import has_own_order
from sidecar.opensearch.search_request import read_search_request
from sidecar.opensearch.skip_reasons import Skip
from sidecar.opensearch_rules.request_headers import SearchHeaders

Query = dict[str, Any]

MATCH: Query = {"match": {"body": "garden hose"}}
ALL: Query = {"match_all": {}}
TERM_FILTER: Query = {"bool": {"filter": [{"term": {"kind": "a"}}]}}
RANK: Query = {"rank_feature": {"field": "rank"}}
NEAR: Query = {"distance_feature": {"field": "at", "pivot": "7d", "origin": "now"}}
BY_FIELD = {"field_value_factor": {"field": "rank"}}
DECAY = {"gauss": {"at": {"origin": "now", "scale": "7d"}}}
CHANCE = {"random_score": {"seed": 7, "field": "rank"}}


def function_score(query: Query | None = None, **setting: Any) -> Query:
    return {"function_score": {**({"query": query} if query else {}), **setting}}


def script_score(script: object, query: Query = MATCH) -> Query:
    return {"script_score": {"query": query, "script": script}}


def constant(boost: float) -> Query:
    return {"constant_score": {"filter": MATCH, "boost": boost}}


def bool_(**clauses: Any) -> Query:
    return {"bool": clauses}


OWN: dict[str, Query] = {
    "replaced by a field": function_score(MATCH, **BY_FIELD, boost_mode="replace"),
    "replaced, in capitals": function_score(MATCH, **BY_FIELD, boost_mode="REPLACE"),
    "replaced by a decay": function_score(MATCH, functions=[DECAY], boost_mode="replace"),
    "replaced by a script": function_score(
        MATCH, script_score={"script": "doc['rank'].value"}, boost_mode="replace"
    ),
    "replaced by weights of some": function_score(
        MATCH, functions=[{"filter": ALL, "weight": 3}, {"weight": 1}], boost_mode="replace"
    ),
    "functions over all": function_score(ALL, **BY_FIELD),
    "functions over nothing named": function_score(**BY_FIELD, boost_mode="sum"),
    "functions over a filter": function_score(TERM_FILTER, functions=[DECAY, {"weight": 2}]),
    "functions over a constant": function_score(constant(3), **BY_FIELD, boost_mode="multiply"),
    "chance": function_score(MATCH, **CHANCE),
    "chance alone": function_score(**CHANCE),
    "a script of a field": script_score({"source": "doc['rank'].value"}),
    "a script as text": script_score("doc['rank'].value"),
    "a script that names the score in a comment": script_score("doc['rank'].value // _score"),
    "a script that names the score between stars": script_score("1 /* _score */ + 2"),
    "a script with a name like it": script_score("params.my_score + params._score + x_score"),
    "a script that scores a constant": script_score("_score + doc['rank'].value", ALL),
    "a stored script": script_score({"id": "popular"}),
    "a distance": NEAR,
    "a rank": RANK,
    "ranks and distances": bool_(must=[ALL], should=[RANK, NEAR]),
    "a rank beside a filter": bool_(filter=[MATCH], should=[RANK]),
    "levels of constants": bool_(should=[constant(3), constant(2)]),
    "a level above a filter": bool_(filter=[MATCH], should=[constant(3)]),
    "the higher of two constants": {"dis_max": {"queries": [constant(3), constant(2)]}},
    "a constant that is lowered": {
        "boosting": {"positive": ALL, "negative": MATCH, "negative_boost": 0.5}
    },
    "a relevance that counts nothing": bool_(
        must=[{"match": {"body": {"query": "hose", "boost": 0}}}], should=[RANK]
    ),
    "in a nested query": {
        "nested": {"path": "a", "query": function_score(MATCH, **BY_FIELD, boost_mode="replace")}
    },
    "in a dis_max": {"dis_max": {"queries": [RANK, constant(2)]}},
    "in the positive part": {
        "boosting": {"positive": RANK, "negative": MATCH, "negative_boost": 0.5}
    },
    "in a function_score": function_score(script_score("doc['rank'].value"), weight=2),
    "in bools": bool_(must=[bool_(must=bool_(should=[RANK]))], filter=MATCH),
    "pinned": {"pinned": {"ids": ["1"], "organic": MATCH}},
    "encoded": {"wrapper": {"query": "eyJtYXRjaF9hbGwiOnt9fQ=="}},
}

RELEVANCE: dict[str, Query] = {
    "a match": MATCH,
    "a term": {"term": {"body": "hose"}},
    "vectors": {"knn": {"v": {"vector": [1, 2], "k": 3}}},
    "a kind that is not known": {"sparkle": {"field": "a"}},
    "times a field": function_score(MATCH, **BY_FIELD),
    "plus a field": function_score(MATCH, functions=[DECAY, BY_FIELD], boost_mode="sum"),
    "plus a little chance": function_score(MATCH, **CHANCE, boost_mode="sum"),
    "weighted": function_score(MATCH, weight=5),
    "no function": function_score(MATCH, boost_mode="replace"),
    "replaced by a script of the score": function_score(
        MATCH, script_score={"script": {"source": "_score * 2"}}, boost_mode="replace"
    ),
    "a script of the score": script_score({"source": "Math.log(1+_score) + doc['rank'].value"}),
    "a script of vectors": script_score("1.0 + cosineSimilarity(params.v, doc['v'])", ALL),
    "a script of the knn language": script_score({"lang": "knn", "source": "knn_score"}, ALL),
    "a rank beside a match": bool_(must=[MATCH], should=[RANK, NEAR]),
    "a match among others": bool_(should=[constant(1000), MATCH]),
    "the best of a match": {"dis_max": {"queries": [RANK, MATCH]}},
    "lowered": {"boosting": {"positive": MATCH, "negative": ALL, "negative_boost": 0.5}},
    "nested": {"nested": {"path": "a", "query": MATCH}},
}

NO_ORDER: dict[str, Query] = {
    "nothing": {},
    "all": ALL,
    "a filter": TERM_FILTER,
    "a constant": constant(3),
    "constants of all hits": bool_(must=[constant(3), ALL]),
    "one constant that is needed": bool_(
        filter=[MATCH], should=[constant(3)], minimum_should_match=1
    ),
    "a weight": function_score(MATCH, weight=2, boost_mode="replace"),
    "children that are not scored": {"has_child": {"type": "a", "query": RANK}},
    "a parent that is not scored": {"has_parent": {"parent_type": "a", "query": RANK}},
    "objects that are not scored": {"nested": {"path": "a", "query": RANK, "score_mode": "none"}},
}


@pytest.mark.parametrize("query", OWN.values(), ids=OWN)
def test_orders_of_their_own(query: Query) -> None:
    assert has_own_order(query)


@pytest.mark.parametrize("query", RELEVANCE.values(), ids=RELEVANCE)
def test_a_relevance_is_no_order_of_its_own(query: Query) -> None:
    assert not has_own_order(query)


@pytest.mark.parametrize("query", NO_ORDER.values(), ids=NO_ORDER)
def test_equal_scores_are_no_order(query: Query) -> None:
    assert not has_own_order(query)


@pytest.mark.parametrize("own", OWN.values(), ids=OWN)
@pytest.mark.parametrize("outer", ["must", "should"])
def test_a_match_beside_it_is_a_relevance(own: Query, outer: str) -> None:
    assert not has_own_order({"bool": {outer: [own, MATCH]}})
    assert has_own_order({"bool": {outer: [own], "must_not": [MATCH]}})


def read(query: object, url: str = "", header: bytes | None = None) -> Any:
    plan = Plan.model_validate({"document": {"body": "body"}, "stages": [{"model": "m"}]})
    headers = SearchHeaders(content_type=b"application/json", x_rescore_query=header)
    body = json.dumps({"query": query}).encode()
    return read_search_request(b"/i/_search" + url.encode(), body, headers, plan, Limits())


def test_the_search_is_left_alone_also_where_a_text_is_named() -> None:
    query = OWN["replaced by a field"]
    assert read(query) == Skip("own_order")
    assert read(RANK, header=b"hose") == Skip("own_order")
    assert read(RANK) == Skip("no_query_text")
    # Equal scores have no order that a new order could disturb.
    assert read(ALL, header=b"hose").query_text == "hose"
    # `q` replaces the body's query.
    assert read(query, "?q=hose").query_text == "hose"


def test_what_is_too_deep_to_be_read_may_be_an_order_of_its_own() -> None:
    query = MATCH
    for _ in range(5000):
        query = {"bool": {"must": [query]}}
    assert has_own_order(query)
    assert not has_own_order({"bool": {"must": [query, MATCH]}})


@pytest.mark.parametrize(
    "query",
    [
        script_score("/*" * 100_000),
        script_score("_score" + "x" * 200_000),
        bool_(should=[RANK] * 100_000),
        function_score(functions=[BY_FIELD] * 100_000),
    ],
    ids=["comments", "name", "clauses", "functions"],
)
def test_the_time_grows_with_the_length_alone(query: Query) -> None:
    started = time.process_time()
    assert has_own_order(query)
    assert time.process_time() - started < 2


kinds = st.sampled_from(
    [
        *("bool", "must", "should", "filter", "query", "function_score", "functions", "boost"),
        *("script_score", "script", "source", "boost_mode", "dis_max", "queries", "boosting"),
        *("positive", "nested", "match", "weight", "random_score", "constant_score", "wrapper"),
    ]
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(kinds, inner, max_size=3),
    max_leaves=20,
)


@given(json_values)
def test_any_value_is_read(query: object) -> None:
    assert has_own_order(query) in (True, False)
