"""Searches whose answer does not carry the text, end to end with a real OpenSearch.

Two claims: whatever the client keeps out of his answer, the order is the same as if he had kept
it in; and with an order that changes nothing his answer is the direct one to the byte.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

from sidecar.metrics import Metrics
from sidecar.models.backends.base import FloatArray
from sidecar.models.pair_scorer import CrossEncoderScorer
from sidecar.models.scorers import Models
from tests.nodes.node import Node
from tests.raw_http import RawResponse, mask_content_length, mask_took
from tests.running import Sidecar, request, running_sidecar

INDEX = "fetched"
OTHER = "fetched-other"
MATCH = {"match": {"body": "copper kettle handle"}}
PLAN = {
    "rescore_window": 12,
    "deadline_ms": 20_000,
    "fusion": {"method": "replace"},
    "scores": "positional",
}
# Many repetitions are what BM25 likes, many of the query's words what the fake model likes.
KINDS = (
    "kettle " * 9,
    "copper " * 30,
    "copper handle " * 6,
    "copper kettle handle" + " and more" * 40,
)
BODIES = [KINDS[number % 4] + " word" * number for number in range(20)]


class Constant:
    """A cross-encoder to which all texts are the same."""

    def score_pairs(self, query_text: str, texts: Sequence[str]) -> FloatArray:
        return np.ones(len(texts), np.float32)


@pytest.fixture(scope="module", params=["opensearch_3", "opensearch_2"])
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    """A node with an index of 20 documents, and a second one that has the first three ids too."""
    found: Node = request.getfixturevalue(request.param)
    settings = {
        "settings": {"number_of_shards": 2, "number_of_replicas": 0},
        "mappings": {"properties": {"price": {"type": "float", "store": True}}},
        "aliases": {"both": {}},
    }
    for index in (INDEX, OTHER):
        assert ask(found, "PUT", f"/{index}", settings).status == 200
    for number, body in enumerate(BODIES):
        put(found, INDEX, f"é{number}", {"title": f"t{number}", "body": body, "price": number / 4})
    for number in range(3):
        put(found, OTHER, f"é{number}", {"title": "other", "body": "copper handle " + BODIES[9]})
    ask(found, "POST", "/_refresh")
    yield found
    ask(found, "DELETE", f"/{INDEX},{OTHER}")


@pytest.fixture(scope="module")
def sidecar(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    """Gives the order of the fake model."""
    folder = tmp_path_factory.mktemp("sidecar")
    routes = dict.fromkeys((INDEX, OTHER, "both"), "plan")
    plans = {"plan": PLAN, "grouped": {**PLAN, "group_by": "title"}}
    with running_sidecar(folder, node.url, plans, routes) as running:
        yield running


@pytest.fixture(scope="module")
def identity(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    """Gives the original order."""
    models = Models({"words": CrossEncoderScorer("words", Constant(), Metrics())})
    folder = tmp_path_factory.mktemp("identity")
    routes = dict.fromkeys((INDEX, "both"), "plan")
    with running_sidecar(folder, node.url, {"plan": PLAN}, routes, models) as running:
        yield running


def ask(node: Node, method: str, target: str, body: object = None) -> RawResponse:
    return request((node.host, node.port), method, target, body)


def put(node: Node, index: str, key: str, source: object, routing: str = "") -> None:
    suffix = f"?routing={routing}" if routing else ""
    assert ask(node, "PUT", f"/{index}/_doc/{quote(key)}{suffix}", source).status == 201


def outcome(response: RawResponse) -> str:
    (value,) = response.values("X-Rescore")
    return value


def ids(response: RawResponse) -> list[tuple[str, str]]:
    assert response.status == 200, response.body
    return [(hit["_index"], hit["_id"]) for hit in json.loads(response.body)["hits"]["hits"]]


WHOLE = "_shards,timed_out,"
IDS = WHOLE + "hits.hits._index,hits.hits._id,hits.hits._score"

# (query string, members of the body beside the query)
FORMS: list[tuple[str, dict[str, Any]]] = [
    ("", {}),
    # _source in the body
    ("", {"_source": True}),
    ("", {"_source": False}),
    ("", {"_source": "title"}),
    ("", {"_source": "*"}),
    ("", {"_source": ["price", "t*"]}),
    ("", {"_source": ["nothing"]}),
    ("", {"_source": {"includes": ["title", "body"]}}),
    ("", {"_source": {"includes": "price", "excludes": "title"}}),
    ("", {"_source": {"excludes": ["b*"]}}),
    # _source in the URL
    ("?_source=false", {}),
    ("?_source=true", {"_source": False}),
    ("?_source=title,price", {}),
    ("?_source_includes=price", {"_source": ["title", "body"]}),
    ("?_source_excludes=body", {}),
    ("?_source=false&pretty", {}),
    # what switches the source off, and what stands beside it
    ("", {"stored_fields": ["price"]}),
    ("", {"stored_fields": "*"}),
    ("", {"stored_fields": ["_source"]}),
    ("?stored_fields=price,_source", {}),
    ("?stored_fields=price", {"_source": ["title"]}),
    ("", {"stored_fields": []}),
    ("", {"docvalue_fields": ["price"], "_source": False}),
    ("?docvalue_fields=price", {}),
    ("", {"fields": ["title", "p*"], "_source": False}),
    ("", {"script_fields": {"twice": {"script": "doc['price'].value * 2"}}}),
    ("", {"script_fields": {"twice": {"script": "doc['price'].value * 2"}}, "_source": "title"}),
    # filter_path
    ("?filter_path=" + IDS, {}),
    ("?filter_path=" + WHOLE + "hits", {"_source": ["title"]}),
    ("?filter_path=" + WHOLE + "hits.hits", {}),
    ("?filter_path=" + IDS + ",hits.hits._source.title", {}),
    ("?filter_path=-hits.hits._source", {}),
    ("?filter_path=-hits.hits._source.body,-hits.total,-took", {}),
    ("?filter_path=-hits.max_score&pretty", {}),
    # pages, and what else is told of a hit
    ("?_source=false", {"from": 4, "size": 4}),
    ("?_source=false&size=15", {}),
    ("?_source=false&routing=a%2Cb&preference=_local", {}),
    ("?_source=false&ignore_unavailable=true&expand_wildcards=open&allow_no_indices=false", {}),
    ("?_source=false&rest_total_hits_as_int=true", {"version": True, "track_scores": True}),
    ("", {"_source": False, "highlight": {"fields": {"body": {}}}, "explain": True}),
    ("", {"_source": False, "aggs": {"a": {"top_hits": {"size": 1}}}}),
]


@pytest.mark.parametrize("index", [INDEX, "both"])
def test_with_the_original_order_the_answer_is_the_direct_one(
    node: Node, identity: Sidecar, index: str
) -> None:
    for query, members in FORMS:
        target, body = f"/{index}/_search{query}", {"query": MATCH, **members}
        direct = ask(node, "POST", target, body)
        through = request(identity.proxy, "POST", target, body)
        assert direct.status == 200, (query, members, direct.body)
        assert outcome(through).startswith("applied; "), (query, members, outcome(through))
        assert mask_took(through.body) == mask_took(direct.body), (query, members)
        head = re.sub(rb"X-Rescore: [^\r]*\r\n", b"", through.head)
        assert sorted(mask_content_length(head).lower().split(b"\r\n")) == sorted(
            mask_content_length(direct.head).lower().split(b"\r\n")
        )


@pytest.mark.parametrize("index", [INDEX, "both"])
def test_the_order_does_not_depend_on_what_is_shown(sidecar: Sidecar, index: str) -> None:
    target = f"/{index}/_search"
    shown = request(sidecar.proxy, "POST", target + "?size=12", {"query": MATCH})
    hidden = request(sidecar.proxy, "POST", target + "?size=12&_source=false", {"query": MATCH})
    assert outcome(shown).startswith("applied; plan=plan; window=12; scored=12; ")
    assert outcome(hidden).startswith("applied; plan=plan; window=12; scored=12; ")
    assert ids(shown) == ids(hidden)
    assert b"_source" not in hidden.body


def test_the_order_is_another_than_opensearchs(node: Node, sidecar: Sidecar) -> None:
    target = f"/{INDEX}/_search?_source=false"
    direct = ask(node, "POST", target, {"query": MATCH})
    through = request(sidecar.proxy, "POST", target, {"query": MATCH})
    assert ids(direct) != ids(through)


def test_a_field_to_group_by_is_fetched_too(sidecar: Sidecar) -> None:
    target = f"/{INDEX}/_search?_source=body"
    plan = {"X-Rescore-Plan": "grouped"}
    response = request(sidecar.proxy, "POST", target, {"query": MATCH}, plan)
    assert outcome(response).startswith("applied; plan=grouped; ")


def test_equal_ids_under_different_routing_have_no_text(node: Node, sidecar: Sidecar) -> None:
    targets = [f"/{OTHER}/_doc/twin?routing={routing}" for routing in "abcd"]
    try:
        for target in targets:
            ask(node, "PUT", target, {"title": "x", "body": "copper kettle"})
        ask(node, "POST", f"/{OTHER}/_refresh")
        target = f"/{OTHER}/_search?size=12"
        shown = request(sidecar.proxy, "POST", target, {"query": MATCH})
        hidden = request(sidecar.proxy, "POST", target + "&_source=false", {"query": MATCH})
        # Four routings are spread over two shards.
        assert ids(shown).count((OTHER, "twin")) == 2
        assert outcome(shown).startswith("applied; plan=plan; window=12; scored=5; ")
        assert outcome(hidden).startswith("applied; plan=plan; window=12; scored=3; ")
    finally:
        for target in targets:
            ask(node, "DELETE", target)
        ask(node, "POST", f"/{OTHER}/_refresh")


def test_an_index_with_a_pipeline_of_its_own(node: Node, identity: Sidecar) -> None:
    """The pipeline works on the client's search as it would, and not on the fetching."""
    # It fails where a hit has no price, as those that are fetched have not.
    rename = {"rename_field": {"field": "price", "target_field": "cost"}}
    pipeline = {"response_processors": [rename]}
    assert ask(node, "PUT", "/_search/pipeline/rename", pipeline).status == 200
    setting = {"index.search.default_pipeline": "rename"}
    assert ask(node, "PUT", f"/{INDEX}/_settings", setting).status == 200
    try:
        target = f"/{INDEX}/_search?_source=price"
        direct = ask(node, "POST", target, {"query": MATCH})
        through = request(identity.proxy, "POST", target, {"query": MATCH})
        assert outcome(through).startswith("applied; plan=plan; window=12; scored=12; ")
        assert b'"cost"' in direct.body
        assert mask_took(through.body) == mask_took(direct.body)
    finally:
        ask(node, "PUT", f"/{INDEX}/_settings", {"index.search.default_pipeline": None})
        ask(node, "DELETE", "/_search/pipeline/rename")


@pytest.mark.parametrize(
    ("query", "members", "reason"),
    [
        ("", {"stored_fields": "_none_"}, "stored_fields"),
        ("?filter_path=hits.hits._source", {}, "filter_path"),
        ("?filter_path=hits", {}, "filter_path"),
        ("?filter_path=-hits.hits._id", {}, "filter_path"),
        ("?filter_path=took", {"_source": False}, "filter_path"),
    ],
)
def test_what_is_left_alone(
    node: Node, identity: Sidecar, query: str, members: dict[str, Any], reason: str
) -> None:
    target, body = f"/{INDEX}/_search{query}", {"query": MATCH, **members}
    direct = ask(node, "POST", target, body)
    through = request(identity.proxy, "POST", target, body)
    assert outcome(through) == f"skipped; reason={reason}; plan=plan"
    assert mask_took(through.body) == mask_took(direct.body)


@pytest.mark.parametrize(
    "members",
    [
        {"_source": {"includes": []}},
        {"_source": []},
        {"_source": {"includes": ["title"], "excludes": ["title"]}},
        {"_source": {"wrong": ["title"]}},
        {"_source": 7},
        {"stored_fields": {"a": 1}},
        {"script_fields": {"x": {"script": "no such thing"}}},
    ],
)
def test_the_clients_own_mistakes_show_themselves(
    node: Node, identity: Sidecar, members: dict[str, Any]
) -> None:
    target, body = f"/{INDEX}/_search", {"query": MATCH, **members}
    direct = ask(node, "POST", target, body)
    through = request(identity.proxy, "POST", target, body)
    assert through.status == direct.status
    assert mask_took(through.body) == mask_took(direct.body)
