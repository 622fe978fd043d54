"""Every phase of a search that might depend on how many hits are asked for.

The plan reads a field that no document has, so that each search fails open and the client's page
is cut from the wider answer: it has to be what OpenSearch gives for the page alone.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opensearchpy import OpenSearch, helpers

from tests.nodes.node import Node
from tests.raw_http import mask_took
from tests.running import Sidecar, request, running_sidecar

ONE, THREE = "sizes-one", "sizes-three"
PLANS: dict[str, dict[str, Any]] = {
    "without_text": {
        "rescore_window": 50,
        "deadline_ms": 20_000,
        "document": {"title": "no_such", "body": "field"},
        "query_path": "query.match.t.query",
    },
    "words": {"rescore_window": 50, "deadline_ms": 20_000, "document": {"body": "t"}},
}
QUERY = {"match": {"t": {"query": "red fox"}}}


@pytest.fixture(scope="module", params=["3.8.0", "2.19.1"])
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    names = {"3.8.0": "opensearch_3", "2.19.1": "opensearch_2"}
    found: Node = request.getfixturevalue(names[request.param])
    chance = random.Random(1)
    properties = {"t": {"type": "text"}, "n": {"type": "integer"}, "k": {"type": "keyword"}}
    with OpenSearch(found.url) as client:
        for index, shards in ((ONE, 1), (THREE, 3)):
            given_settings = {"number_of_shards": shards, "number_of_replicas": 0}
            body = {"settings": given_settings, "mappings": {"properties": properties}}
            client.indices.create(index=index, body=body)
            actions = [
                {
                    "_index": index,
                    "_id": f"{number}",
                    "t": " ".join(
                        chance.choice(["red", "fox", "den", "cat"])
                        for _ in range(chance.randint(1, 25))
                    ),
                    "n": number,
                    "k": f"k{number % 30}",
                }
                for number in range(300)
            ]
            for half in (actions[:150], actions[150:]):  # some segments
                helpers.bulk(client, half, refresh=True)
        yield found
        client.indices.delete(index=f"{ONE},{THREE}")


@pytest.fixture(scope="module")
def sidecar(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    folder = tmp_path_factory.mktemp("sidecar")
    routes = {ONE: "without_text", THREE: "without_text"}
    main = {"window_cache_s": 0, "window_order_s": 0}
    with running_sidecar(folder, node.url, PLANS, routes, main=main) as running:
        yield running


def own_rescore(window: int | str | None, weight: float = -1.5) -> dict[str, Any]:
    query = {
        "rescore_query": {"match": {"t": "fox"}},
        "query_weight": 1,
        "rescore_query_weight": weight,
    }
    return {"query": query} if window is None else {"window_size": window, "query": query}


PHASES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "rescore of 5": {"rescore": own_rescore(5)},
    "rescore of the default": {"rescore": own_rescore(None)},
    "rescore of 12": {"rescore": own_rescore(12)},
    "rescore of 25": {"rescore": own_rescore("25")},
    "rescore of 50": {"rescore": own_rescore(50)},
    "rescore of 500": {"rescore": own_rescore(500)},
    "rescore of 50, then of 5": {"rescore": [own_rescore(50), own_rescore(5)]},
    "rescore of 5, then of 30": {"rescore": [own_rescore(5), own_rescore(30)]},
    "no rescore": {"rescore": []},
    "terminate_after": {"terminate_after": 40},
    "terminate_after without totals": {"terminate_after": 40, "track_total_hits": False},
    "terminate_after with few totals": {"terminate_after": 40, "track_total_hits": 7},
    "few totals": {"track_total_hits": 5},
    "no totals": {"track_total_hits": False},
    "collapse": {"collapse": {"field": "k"}},
    "min_score": {"min_score": 0.2},
    "post_filter": {"post_filter": {"range": {"n": {"gte": 100}}}},
    "sampler and top_hits": {
        "aggs": {"s": {"sampler": {"shard_size": 9}, "aggs": {"t": {"top_hits": {"size": 2}}}}}
    },
    "diversified_sampler": {
        "aggs": {
            "s": {
                "diversified_sampler": {"shard_size": 9, "field": "k"},
                "aggs": {"t": {"terms": {"field": "k"}}},
            }
        }
    },
    "suggest": {"suggest": {"s": {"text": "rad", "term": {"field": "t"}}}},
    "indices_boost": {"indices_boost": [{ONE: 2.0}]},
    "random_score": {
        "query": {
            "function_score": {
                "query": QUERY,
                "random_score": {"seed": 7, "field": "n"},
                "boost_mode": "sum",
            }
        },
    },
    "script_score": {
        "query": {"script_score": {"query": QUERY, "script": {"source": "_score + 1"}}}
    },
    "constant scores": {"query": {"constant_score": {"filter": QUERY}}},
    "explain": {"explain": True},
    "timeout": {"timeout": "30s"},
}
PAGES = [(0, 5), (5, 5), (20, 10), (3, 60)]


@pytest.mark.parametrize("search_type", ["query_then_fetch", "dfs_query_then_fetch"])
@pytest.mark.parametrize("phase", PHASES.values(), ids=PHASES.keys())
def test_a_page_of_the_wider_search_is_the_clients_own(
    node: Node, sidecar: Sidecar, phase: dict[str, Any], search_type: str
) -> None:
    for index in (ONE, THREE, f"{ONE},{THREE}"):
        for start, size in PAGES:
            body = {"query": QUERY, "from": start, "size": size, **phase}
            target = f"/{index}/_search?search_type={search_type}&preference=_local"
            words = {"X-Rescore-Query": "red%20fox"}
            direct = request((node.host, node.port), "POST", target, body)
            through = request(sidecar.proxy, "POST", target, body, words)
            assert (through.status, mask_took(through.body)) == (200, mask_took(direct.body))
            (said,) = through.values("X-Rescore")
            cut = ("no_text", "no_hits", "timed_out", "own_order")
            assert any(reason in said for reason in (*cut, "reason=rescore"))
            assert "reason=rescore" not in said or "rescore" in phase


@pytest.mark.parametrize(
    ("start", "size", "window", "said"),
    [
        (0, 5, 5, "failed; reason=no_text"),
        (0, 10, None, "failed; reason=no_text"),
        (0, 11, None, "skipped; reason=rescore"),
        (5, 5, 9, "skipped; reason=rescore"),
        (20, 10, 25, "skipped; reason=rescore"),
        (10, 10, "25", "failed; reason=no_text"),
        (0, 5, "x", "skipped; reason=rescore"),
        (0, 5, True, "skipped; reason=rescore"),
    ],
)
def test_the_reason(
    sidecar: Sidecar, start: int, size: int, window: int | str | None, said: str
) -> None:
    body = {"query": QUERY, "from": start, "size": size, "rescore": own_rescore(window)}
    answer = request(sidecar.proxy, "POST", f"/{ONE}/_search", body)
    assert answer.values("X-Rescore") == [f"{said}; plan=without_text"]


@given(
    window=st.integers(1, 70),
    size=st.integers(1, 30),
    pages=st.integers(1, 3),
    weight=st.sampled_from([-1.5, 0.0, 2.0]),
)
@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_with_a_model_the_pages_hold_the_same_hits(
    node: Node, sidecar: Sidecar, window: int, size: int, pages: int, weight: float
) -> None:
    body = {"query": QUERY, "rescore": own_rescore(window, weight)}

    def hits(address: Any, start: int, count: int) -> list[str]:
        asked = {**body, "from": start, "size": count}
        answer = request(address, "POST", f"/{THREE}/_search", asked, {"X-Rescore-Plan": "words"})
        return [hit["_id"] for hit in json.loads(answer.body)["hits"]["hits"]]

    # Those of the window, page by page: what is not changed lies behind.
    whole = min(window, 50) // size
    count = min(pages, whole) * size
    if not count or window < 50 and count < whole * size:
        return
    through = [one for start in range(0, count, size) for one in hits(sidecar.proxy, start, size)]
    assert len(set(through)) == count
    if count == whole * size and window <= 50:
        assert set(through) == set(hits((node.host, node.port), 0, count))
