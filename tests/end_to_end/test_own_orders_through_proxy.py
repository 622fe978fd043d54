"""Orders that a client made themselves: by a field, by a script, by boosts. A real OpenSearch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from opensearchpy import OpenSearch, helpers

from tests.nodes.node import Node
from tests.running import Sidecar, request, running_sidecar

INDEX = "own-orders"
KINDS = [
    *("garden hose", "hose reel", "hose connector", "watering can", "sprinkler"),
    *("pressure washer hose", "vacuum cleaner hose", "pool hose", "fire hose", "brake hose"),
]
FUSION = {"method": "relative", "weight": 5, "lexical": 0.3, "short_query_words": 6}
PLANS: dict[str, dict[str, Any]] = {
    "fused": {"rescore_window": 100, "deadline_ms": 20_000, "fusion": FUSION},
    "weighted": {"deadline_ms": 20_000, "fusion": {"method": "weighted", "weight": 0.9}},
    "rrf": {"deadline_ms": 20_000, "fusion": {"method": "rrf", "weight": 4}},
    "replace": {"deadline_ms": 20_000, "fusion": {"method": "replace"}, "scores": "positional"},
}
MATCH = {"multi_match": {"query": "garden hose connector", "fields": ["title", "body"]}}
HOSE = {"match": {"body": "garden hose"}}
BY_RANK = {"field_value_factor": {"field": "rank"}}


@pytest.fixture(scope="module")
def sidecar(opensearch_3: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    properties = {
        "title": {"type": "text"},
        "body": {"type": "text"},
        "rank": {"type": "double"},
        "fame": {"type": "rank_feature"},
    }
    with OpenSearch(opensearch_3.url) as cluster:
        cluster.indices.create(
            index=INDEX,
            body={"settings": {"number_of_shards": 1}, "mappings": {"properties": properties}},
        )
        actions = (
            {
                "_index": INDEX,
                "_id": f"p{number}",
                "title": f"{KINDS[number % 10]} {number}",
                # Long ones lose with OpenSearch and not with the model.
                "body": f"{KINDS[number % 10]} for home and garden use" + " metre" * (number % 41),
                "rank": number * 37 % 120 + 1,
                "fame": number * 37 % 120 + 1,
            }
            for number in range(120)
        )
        helpers.bulk(cluster, actions, refresh=True)
        folder = tmp_path_factory.mktemp("sidecar")
        with running_sidecar(folder, opensearch_3.url, PLANS, {INDEX: "fused"}) as running:
            yield running
        cluster.indices.delete(index=INDEX)


class Both:
    """One search at both addresses."""

    def __init__(self, node: Node, sidecar: Sidecar, plan: str = "fused") -> None:
        self._node, self._sidecar, self._plan = node, sidecar, plan

    def ask(self, query: dict[str, Any], size: int = 20) -> tuple[Any, Any, str]:
        """OpenSearch's hits, the sidecar's, and what became of the search."""
        body = {"query": query, "size": size}
        with OpenSearch(self._node.url) as cluster:
            direct = cluster.search(index=INDEX, body=body)["hits"]["hits"]
        fields = {"X-Rescore-Plan": self._plan}
        answer = request(self._sidecar.proxy, "POST", f"/{INDEX}/_search", body, fields)
        proxied = json.loads(answer.body)["hits"]["hits"]
        return direct, proxied, answer.values("X-Rescore")[0]


@pytest.fixture
def both(opensearch_3: Node, sidecar: Sidecar) -> Both:
    return Both(opensearch_3, sidecar)


def ids(hits: Any) -> list[str]:
    return [hit["_id"] for hit in hits]


def scores(hits: Any) -> list[float]:
    return [hit["_score"] for hit in hits]


def pin(name: str, boost: float) -> dict[str, Any]:
    return {"constant_score": {"filter": {"ids": {"values": [name]}}, "boost": boost}}


def scripted(source: str) -> dict[str, Any]:
    return {"script_score": {"query": HOSE, "script": {"source": source}}}


@pytest.mark.parametrize(
    "query",
    [
        {"function_score": {"query": HOSE, **BY_RANK, "boost_mode": "replace"}},
        {
            "function_score": {
                "query": HOSE,
                "script_score": {"script": "doc['rank'].value"},
                "boost_mode": "replace",
            }
        },
        {"function_score": {"query": {"bool": {"filter": HOSE}}, **BY_RANK, "boost_mode": "sum"}},
        scripted("doc['rank'].value"),
        {"bool": {"must": [scripted("doc['rank'].value")], "filter": HOSE}},
        {"bool": {"filter": HOSE, "should": [{"rank_feature": {"field": "fame"}}]}},
        {"rank_feature": {"field": "fame"}},
    ],
)
def test_an_order_by_a_field_is_left_alone(both: Both, query: dict[str, Any]) -> None:
    direct, proxied, outcome = both.ask(query)
    assert proxied == direct
    assert outcome.startswith(("skipped; reason=own_order", "skipped; reason=no_query_text"))


@pytest.mark.parametrize(
    "query",
    [
        scripted("_score * Math.log(1 + doc['rank'].value)"),
        {"function_score": {"query": HOSE, **BY_RANK}},
        {"bool": {"must": MATCH, "should": [{"rank_feature": {"field": "fame"}}]}},
    ],
)
def test_scores_that_hold_a_relevance_are_rescored(both: Both, query: dict[str, Any]) -> None:
    direct, proxied, outcome = both.ask(query)
    assert outcome.startswith("applied")
    assert ids(proxied) != ids(direct)


PINS = {
    "powers of ten": {"p3": 1e6, "p6": 1e5, "p4": 1e4, "p9": 1e3},
    "one": {"p9": 1e3},
    "one, very high": {"p9": 1e9},
    "all of one level": {"p3": 1e4, "p6": 1e4, "p4": 1e4},
    "steps of one": {"p3": 1003, "p13": 1002, "p6": 1001, "p4": 1000},
    "steps of a thousand": {"p4": 5000, "p6": 4000, "p3": 3000, "p9": 2000, "p8": 1000},
}


@pytest.mark.parametrize("pins", PINS.values(), ids=PINS)
@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("constant", [0, 500])
def test_pinned_hits_stay_in_their_order(
    opensearch_3: Node, sidecar: Sidecar, pins: dict[str, float], plan: str, constant: int
) -> None:
    clauses = [pin(name, boost) for name, boost in pins.items()]
    query: dict[str, Any] = {"bool": {"should": [*clauses, MATCH]}}
    if constant:
        query = {"bool": {"must": [query, {"match_all": {"boost": constant}}]}}
    direct, proxied, outcome = Both(opensearch_3, sidecar, plan).ask(query, size=100)
    count = len(pins)
    assert set(ids(direct[:count])) == set(pins)
    assert outcome.startswith("applied")
    assert ids(proxied[:count]) == ids(direct[:count])
    assert scores(proxied[:count]) == scores(direct[:count])
    # The others are rescored, on their own scale.
    assert ids(proxied) != ids(direct)
    assert proxied[count]["_score"] == direct[count]["_score"]
    assert scores(proxied) == sorted(scores(proxied), reverse=True)


def test_hits_that_are_sunk_stay_below(both: Both) -> None:
    sold = {"range": {"rank": {"gt": 25}}}
    there = {"constant_score": {"filter": sold, "boost": 1000}}
    direct, proxied, outcome = both.ask({"bool": {"must": MATCH, "should": there}}, size=100)
    assert outcome.startswith("applied")
    below = [hit["_id"] for hit in direct if hit["_score"] < 500]
    assert 0 < len(below) < 20
    assert ids(proxied)[-len(below) :] == below
    assert ids(proxied) != ids(direct)


@pytest.mark.parametrize("constant", [1, 10, 100, 1000])
def test_a_constant_added_to_all_scores_moves_nothing(both: Both, constant: int) -> None:
    _, plain, _ = both.ask(MATCH)
    for query in (
        {"function_score": {"query": MATCH, "weight": constant, "boost_mode": "sum"}},
        {"bool": {"must": [MATCH, {"match_all": {"boost": constant}}]}},
        {"bool": {"must": MATCH, "should": {"exists": {"field": "rank", "boost": constant}}}},
    ):
        _, proxied, outcome = both.ask(query)
        assert outcome.startswith("applied")
        assert ids(proxied) == ids(plain)


def test_multiplied_scores_move_nothing(both: Both) -> None:
    _, plain, _ = both.ask(MATCH)
    for factor in (0.25, 16, 4096):
        _, proxied, _ = both.ask({"function_score": {"query": MATCH, "weight": factor}})
        assert ids(proxied) == ids(plain)
