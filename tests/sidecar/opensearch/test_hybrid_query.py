"""`hybrid` queries, from the shapes in OpenSearch's documentation and recorded-style answers.

The neural-search plugin is no part of the nodes that the tests start, so OpenSearch is a list of
answers here.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipelines.fusion_methods import RelativeFusion, ScoredGroups
from pipelines.original_scores import read_original_scores
from pipelines.plan import Plan
from pipelines.scoring import Scorer
from sidecar.config.limits import Limits
from sidecar.opensearch.hybrid_query import are_normalised
from sidecar.opensearch.multi_search import FollowUps, search_all_and_rescore
from sidecar.opensearch.rescore_section import NO_SECTION
from sidecar.opensearch.search import search_and_rescore
from sidecar.opensearch.search_request import SearchRequest, read_search_request, widen_window
from sidecar.opensearch.skip_reasons import Skip
from sidecar.opensearch_rules.request_headers import SearchHeaders
from sidecar.relay.front import Answer, Request
from tests.sidecar.opensearch.test_search import Scripted, a_plan, ids, request_for, response
from tests.sidecar.opensearch.test_search import search as context_for

JSON = SearchHeaders(content_type=b"application/json")
MATCH = {"match": {"body": {"query": "wild west"}}}
NEURAL = {"neural": {"embedding": {"query_text": "wild west", "model_id": "m", "k": 5}}}
KNN = {"knn": {"embedding": {"vector": [0.1, 0.2], "k": 5}}}


def hybrid(*queries: Any, **settings: Any) -> dict[str, Any]:
    return {"query": {"hybrid": {"queries": list(queries) or [MATCH, NEURAL], **settings}}}


def read(body: object, plan: Plan, target: bytes = b"/i/_search") -> SearchRequest | Skip:
    return read_search_request(target, json.dumps(body).encode(), JSON, plan, Limits())


def taken(body: object, plan: Plan, target: bytes = b"/i/_search") -> SearchRequest:
    search_request = read(body, plan, target)
    assert isinstance(search_request, SearchRequest), search_request
    return search_request


def sent(search_request: SearchRequest) -> Any:
    return json.loads(widen_window(search_request)[1])


OFF, WIDEN = a_plan(rescore_window=50), a_plan(rescore_window=50, hybrid="widen")


def test_off_may_be_written_without_quotes() -> None:
    # YAML reads a bare `off` as false.
    assert a_plan(hybrid=False).hybrid == "off"


@pytest.mark.parametrize("plan", [OFF, WIDEN], ids=["off", "widen"])
@pytest.mark.parametrize("depth", [50, 51, 10_000])
def test_a_depth_that_covers_the_window_stays(plan: Plan, depth: int) -> None:
    body = {**hybrid(pagination_depth=depth), "from": 20, "size": 10}
    search_request = taken(body, plan)
    assert search_request.query_text == "wild west"
    assert sent(search_request) == {**body, "from": 0, "size": 50}
    # Not even a page that straddles the window's end asks for more than the depth gives.
    assert search_request.fetch_limit == depth


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (hybrid(), "hybrid"),
        (hybrid(pagination_depth=49), "hybrid"),
        ({**hybrid(pagination_depth=50), "size": 51}, "hybrid"),
        ({**hybrid(pagination_depth=50), "rescore": {"window_size": 100}}, "hybrid"),
        ({**hybrid(pagination_depth=50), "collapse": {"field": "a"}}, "hybrid"),
        *((hybrid(pagination_depth=depth), "hybrid") for depth in (0, -1, "50", 50.0, True, None)),
        (hybrid(pagination_depth=50, unknown=1), "hybrid"),
        ({"query": {**hybrid(pagination_depth=50)["query"], **MATCH}}, "hybrid"),
        ({"query": {"hybrid": []}}, "hybrid"),
        ({"query": {"hybrid": {"queries": MATCH, "pagination_depth": 50}}}, "hybrid"),
        (hybrid({"template": {}}, pagination_depth=50), "pipeline_query"),
        (hybrid({"agentic": {}}, MATCH, pagination_depth=50), "pipeline_query"),
        (hybrid(KNN, pagination_depth=50), "no_query_text"),
        ({**hybrid(pagination_depth=50), "sort": "price"}, "sort"),
    ],
)
def test_what_is_left_alone(body: object, reason: str) -> None:
    assert read(body, OFF) == Skip(reason)


def test_a_query_in_the_url_replaces_the_hybrid_one() -> None:
    assert read(hybrid(pagination_depth=50), WIDEN, b"/i/_search?q=x") == Skip("hybrid")


@pytest.mark.parametrize("space", ["", " \n"])
def test_a_plan_may_widen(space: str) -> None:
    text = '{%s"query":{"hybrid"%s:{%s"queries":[{"match":{"body":"wild west"}}]}}}'
    body = (text % (space, space, space)).encode()
    search_request = read_search_request(b"/i/_search", body, JSON, WIDEN, Limits())
    assert isinstance(search_request, SearchRequest)
    _, edited = widen_window(search_request)
    assert json.loads(edited) == {**json.loads(body), "size": 50} | {
        "query": {"hybrid": {"pagination_depth": 50, "queries": [{"match": {"body": "wild west"}}]}}
    }
    # A narrowed window needs less.
    depth = sent(replace(search_request, fetch=30))["query"]["hybrid"]["pagination_depth"]
    assert depth == 30


def test_a_depth_below_the_window_is_raised_and_never_lowered() -> None:
    body = {**hybrid(pagination_depth=20, filter={"term": {"a": 1}}), "from": 10}
    search_request = taken(body, WIDEN)
    expected = hybrid(pagination_depth=50, filter={"term": {"a": 1}})
    assert sent(search_request) == {**expected, "size": 50, "from": 0}
    narrowed = sent(replace(search_request, fetch=15))
    assert narrowed["query"]["hybrid"]["pagination_depth"] == 20


def test_a_later_page_without_a_depth_keeps_its_error() -> None:
    assert read({**hybrid(), "from": 10}, WIDEN) == Skip("hybrid")
    assert read(hybrid(), WIDEN, b"/i/_search?from=10") == Skip("hybrid")


@pytest.mark.parametrize(
    ("queries", "expected"),
    [
        # The same text counts once.
        ([MATCH, NEURAL], "wild west"),
        # Of different texts, the longest one on the plan's fields, or on a vector.
        ([{"match": {"body": "west"}}, NEURAL], "wild west"),
        ([{"match": {"other": "a longer text elsewhere"}}, NEURAL], "wild west"),
        ([{"match": {"body": "the wild west of old"}}, NEURAL], "the wild west of old"),
        ([KNN, {"bool": {"should": [MATCH], "filter": {"match": {"body": "x y z"}}}}], "wild west"),
        ([{"neural_sparse": {"tokens": {"query_text": "wild west"}}}], "wild west"),
    ],
)
def test_the_query_text(queries: list[Any], expected: str) -> None:
    assert taken(hybrid(*queries, pagination_depth=50), OFF).query_text == expected


def test_orders_of_their_own() -> None:
    by_field = {"function_score": {"field_value_factor": {"field": "rank"}}}
    assert read(hybrid(by_field, by_field, pagination_depth=50), OFF) == Skip("no_query_text")
    body = {**hybrid(by_field, pagination_depth=50)}
    headers = replace(JSON, x_rescore_query=b"wild%20west")
    skip = read_search_request(b"/i/_search", json.dumps(body).encode(), headers, OFF, Limits())
    assert skip == Skip("own_order")
    assert taken(hybrid(by_field, MATCH, pagination_depth=50), OFF).query_text == "wild west"


def test_scores_without_a_normalization_processor() -> None:
    assert are_normalised([1.0, 0.5, 0.001, 0.0, None])
    assert are_normalised([1 / 61 + 1 / 61, 1 / 62])
    for odd in (-9549511920.4881596475, -4422440593.9791198149, -0.5, 7.3):
        assert not are_normalised([0.9, odd])


def answer(scores: list[float], texts: list[str] | None = None) -> dict[str, Any]:
    hits = [
        {"_index": "i", "_id": str(number), "_score": score, "_source": {"body": "text"}}
        for number, score in enumerate(scores)
    ]
    shards = {"total": 1, "successful": 1, "skipped": 0, "failed": 0}
    found = {"total": {"value": len(hits), "relation": "eq"}, "max_score": max(scores, default=0)}
    return {"took": 1, "timed_out": False, "_shards": shards, "hits": {**found, "hits": hits}}


async def test_the_order_is_neither_opensearchs_nor_the_models() -> None:
    """`relative`, with its own weight, on scores of `min_max` and `arithmetic_mean`."""
    scores = [1.0, 0.93, 0.9, 0.52, 0.5, 0.49, 0.31, 0.1, 0.05, 0.0005]
    opinions = [0.40, 0.15, 0.38, 0.52, 0.30, 0.10, 0.44, 0.58, 0.2, 0.45]

    class Opinions(Scorer):
        async def score(self, model: str, query_text: str, texts: Any) -> list[float]:
            return opinions

    upstream = Scripted(response(answer(scores)))
    plan = a_plan(fusion={"method": "relative"}, hybrid="widen", rescore_window=10)
    context = context_for(upstream, plan)
    object.__setattr__(context.models, "own", Opinions())
    reply, outcome = await search_and_rescore(request_for(hybrid()), context)
    assert outcome.status == "applied"
    new = [int(one) for one in ids(reply)]
    assert sorted(new) == list(range(10))
    assert new != list(range(10))
    assert new != sorted(range(10), key=lambda number: -opinions[number])
    assert isinstance(reply, Answer)
    shown = [hit["_score"] for hit in json.loads(reply.body)["hits"]["hits"]]
    assert shown == sorted(shown, reverse=True)
    assert (shown[0], shown[-1]) == (1.0, 0.0005)
    _, body = upstream.sent[0]
    assert json.loads(body)["query"]["hybrid"]["pagination_depth"] == 10


@pytest.mark.parametrize("depth", [None, 50])
@pytest.mark.parametrize("odd", [[-9549511920.48816, -4422440593.97912, 7.1], [7.1, 3.3], [-0.1]])
async def test_odd_scores_are_opensearchs_matter(odd: list[float], depth: int | None) -> None:
    """The client's own search is sent, because raw hits of a large page differ from a small one."""
    body = hybrid() if depth is None else hybrid(pagination_depth=depth)
    upstream = Scripted(response(answer(odd)))
    reply, outcome = await search_and_rescore(request_for(body), context_for(upstream, WIDEN))
    assert (outcome.status, outcome.reason) == ("skipped", "hybrid_scores")
    assert not isinstance(reply, Answer)


async def test_a_page_behind_the_last_hit_keeps_opensearchs_error() -> None:
    body = {**hybrid(pagination_depth=50), "from": 2}
    upstream = Scripted(response(answer([1.0, 0.5])))
    reply, outcome = await search_and_rescore(request_for(body), context_for(upstream, OFF))
    assert (outcome.status, outcome.reason) == ("skipped", "no_hits")
    assert not isinstance(reply, Answer)


async def test_before_pagination_depth_the_clients_own_search_is_sent() -> None:
    error = {"type": "parsing_exception", "reason": "[hybrid] unknown field [pagination_depth]"}
    refusal = response({"error": {**error, "root_cause": [error]}, "status": 400}, status=400)
    own = response(answer([1.0, 0.5]))
    upstream = Scripted(refusal, own)
    request = request_for(hybrid())
    reply, outcome = await search_and_rescore(request, context_for(upstream, WIDEN))
    assert (outcome.status, outcome.reason) == ("failed", "upstream_status")
    assert isinstance(reply, Answer)
    assert reply.body == own.body
    assert upstream.sent[1][1] == request.body


async def test_items_of_a_multi_search() -> None:
    own = {"responses": [{**answer([7.0, 1.0]), "status": 200}]}
    both = [{**answer([1.0, 0.5]), "status": 200}, {**answer([7.0, 1.0]), "status": 200}]
    upstream = Scripted(response({"responses": both}), response(own))
    lines = [{"index": "i"}, hybrid(), {"index": "i"}, hybrid()]
    content = "".join(json.dumps(line) + "\n" for line in lines).encode()
    request = request_for({})
    head = request.head.replace(target=b"/_msearch")
    context = context_for(upstream, WIDEN)
    reply, outcomes = await search_all_and_rescore(
        Request(head, content),
        (),
        lambda names, section=NO_SECTION: context,
        Limits(),
        FollowUps(),
    )
    assert [(one.status, one.reason) for one in outcomes] == [
        ("applied", None),
        ("skipped", "hybrid_scores"),
    ]
    depths = [
        json.loads(line)["query"]["hybrid"]["pagination_depth"]
        for line in upstream.sent[0][1].splitlines()[1::2]
    ]
    assert depths == [50, 50]
    assert upstream.sent[1][1].splitlines()[1] == json.dumps(hybrid()).encode()


def join(*lists: list[float]) -> list[float]:
    """Scores that `min_max` normalises, each list alone, and `arithmetic_mean` joins; list k has
    every k-th document."""
    joined: dict[int, float] = {}
    for step, scores in enumerate(lists, start=1):
        low, high = min(scores), max(scores)
        for place, score in enumerate(scores):
            share = (score - low) / (high - low) / len(lists)
            joined[place * step] = joined.get(place * step, 0.0) + share
    return sorted(joined.values(), reverse=True)


BM25 = [float(score) for score in 4 + 12 / np.sqrt(np.arange(1, 41))]
OTHER_BM25 = [float(score) for score in 2 + 7 * np.exp(-np.arange(40) / 9)]
COSINES = [float(score) for score in 0.71 - 0.002 * np.arange(40)]


@pytest.mark.parametrize(
    "scores",
    [BM25, join(BM25, OTHER_BM25), join(BM25, COSINES)],
    ids=["match", "match+match", "match+knn"],
)
def test_relative_fusion_needs_no_scale(scores: list[float]) -> None:
    """Normalised scores weigh as much as BM25 scores: 0.2 between two hits, on average."""
    originals = read_original_scores(scores)
    assert all(map(originals.hold, scores))
    groups = ScoredGroups(scores, [0.0] * len(scores), [], originals, 5)
    terms = np.array(RelativeFusion().fuse(groups))
    upper = np.triu_indices(len(terms), 1)
    assert np.abs(terms[:, None] - terms)[upper].mean() == pytest.approx(0.2)
    assert terms.min() == 0
    assert 0.5 < terms.max() < 1.5
