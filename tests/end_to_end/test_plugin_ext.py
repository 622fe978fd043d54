"""An application of the Kendra Intelligent Ranking plugin on a cluster without the plugin."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.nodes.node import Node
from tests.raw_http import RawResponse, mask_took, send
from tests.running import Sidecar, request, running_sidecar

INDEX = "plugged"
QUERY = {"multi_match": {"query": "reset copper kettle", "fields": ["name", "text"]}}
ROUTES_PLAN = {
    "rescore_window": 3,
    "deadline_ms": 20_000,
    "document": {"body": "no such field"},
    "fusion": {"method": "replace"},
    "scores": "model",
}


def section(**properties: Any) -> dict[str, Any]:
    whole = {"title_field": "name", "body_field": "text", "doc_limit": 25, **properties}
    ranking = {"kendra_intelligent_ranking": {"order": 1, "properties": whole}}
    return {"search_configuration": {"result_transformer": ranking}}


@pytest.fixture(scope="module", params=["opensearch_3", "opensearch_2"])
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    found: Node = request.getfixturevalue(request.param)
    assert ask(found, "PUT", f"/{INDEX}", {"settings": {"number_of_shards": 1}}).status == 200
    for number in range(30):
        text = "kettle " * (30 - number) + "reset copper " * (number % 3 == 2)
        source = {"name": f"n{number}", "text": text, "rank": number}
        assert ask(found, "PUT", f"/{INDEX}/_doc/{number}", source).status == 201
    ask(found, "POST", f"/{INDEX}/_refresh")
    yield found
    ask(found, "DELETE", f"/{INDEX}")


@pytest.fixture(scope="module")
def sidecar(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    folder = tmp_path_factory.mktemp("sidecar")
    with running_sidecar(folder, node.url, {"own": ROUTES_PLAN}, {INDEX: "own"}) as running:
        yield running


@pytest.fixture(scope="module")
def with_its_plan(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    """A sidecar that also has the plan for the plugin's applications."""
    plans = {"own": ROUTES_PLAN, "kendra-intelligent-ranking": ROUTES_PLAN}
    folder = tmp_path_factory.mktemp("sidecar")
    with running_sidecar(folder, node.url, plans, {INDEX: "own"}) as running:
        yield running


def ask(node: Node, method: str, target: str, body: object = None) -> RawResponse:
    return request((node.host, node.port), method, target, body)


def outcome(response: RawResponse) -> str:
    (value,) = response.values("X-Rescore")
    return value


def hits(response: RawResponse) -> list[dict[str, Any]]:
    assert response.status == 200, response.body
    found: list[dict[str, Any]] = json.loads(response.body)["hits"]["hits"]
    return found


def test_the_cluster_alone_refuses_it(node: Node) -> None:
    direct = ask(node, "POST", f"/{INDEX}/_search", {"query": QUERY, "ext": section()})
    assert direct.status == 400


def test_it_is_rescored_with_the_fields_and_the_window_that_it_names(
    node: Node, sidecar: Sidecar
) -> None:
    body = {"query": QUERY, "size": 30}
    direct = hits(ask(node, "POST", f"/{INDEX}/_search", body))
    response = request(
        sidecar.proxy, "POST", f"/{INDEX}/_search", {**body, "ext": section(doc_limit=26)}
    )
    assert outcome(response).startswith("applied; plan=own; window=26; scored=26; ")
    window = direct[:26]
    better = [hit for hit in window if hit["_source"]["rank"] % 3 == 2]
    others = [hit for hit in window if hit["_source"]["rank"] % 3 != 2]
    expected = [*better, *others, *direct[26:]]
    assert [hit["_id"] for hit in hits(response)] == [hit["_id"] for hit in expected]


@pytest.mark.parametrize("compressed", [False, True])
def test_a_default_page_has_ten_hits(sidecar: Sidecar, compressed: bool) -> None:
    """The plugin itself answers a search without `size` with all 25."""
    body = json.dumps({"ext": section(), "query": QUERY, "_source": False}).encode()
    coding = b"Content-Encoding: gzip\r\n" if compressed else b""
    body = gzip.compress(body) if compressed else body
    head = b"POST /plugged/_search HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n%s"
    raw = head % coding + b"Content-Length: %d\r\n\r\n" % len(body) + body
    response = send(*sidecar.proxy, raw)
    assert outcome(response).startswith("applied; plan=own; window=25; scored=25; ")
    assert len(hits(response)) == 10


@pytest.mark.parametrize(
    ("target", "members", "reason"),
    [
        ("", {"sort": ["rank"]}, "sort"),
        ("?scroll=1m", {"size": 2}, "scroll"),
        ("?format=yaml", {}, "reply_format"),
        ("", {"from": 25}, "beyond_window"),
        ("?pretty", {"query": {"match_all": {}}}, "no_query_text"),
    ],
)
def test_what_is_left_alone_is_answered_as_a_search_without_it(
    node: Node, sidecar: Sidecar, target: str, members: dict[str, Any], reason: str
) -> None:
    body = {"query": QUERY, **members}
    target = f"/{INDEX}/_search{target}"
    direct = ask(node, "POST", target, body)
    through = request(sidecar.proxy, "POST", target, {**body, "ext": section()})
    assert outcome(through) == f"skipped; reason={reason}; plan=own"
    assert (through.status, direct.status) == (200, 200)
    if reason != "scroll":  # the id of a scroll is drawn anew each time
        assert mask_took(through.body) == mask_took(direct.body)
    assert through.values("content-type") == direct.values("content-type")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "applied; plan=kendra-intelligent-ranking; window=25; "),
        ({"X-Rescore-Plan": "own"}, "applied; plan=own; window=25; "),
        ({"X-Rescore": "off"}, "skipped; reason=off; plan=own"),
        ({"X-Rescore-Plan": "none"}, "skipped; reason=unknown_plan; plan=own"),
    ],
)
def test_its_plan_is_taken_unless_the_request_says_otherwise(
    with_its_plan: Sidecar, fields: dict[str, str], expected: str
) -> None:
    body = {"query": QUERY, "ext": section()}
    response = request(with_its_plan.proxy, "POST", f"/{INDEX}/_search", body, fields)
    assert outcome(response).startswith(expected)
    assert len(hits(response)) == 10


@pytest.mark.parametrize("properties", [{"doc_limit": 10}, {"body_field": ["a", "b"]}])
def test_a_malformed_section_gets_the_clusters_own_error(
    node: Node, sidecar: Sidecar, properties: dict[str, Any]
) -> None:
    body = {"query": QUERY, "ext": section(**properties)}
    direct = ask(node, "POST", f"/{INDEX}/_search", body)
    through = request(sidecar.proxy, "POST", f"/{INDEX}/_search", body)
    assert outcome(through) == "skipped; reason=plugin_ext; plan=own"
    assert (through.status, through.body) == (400, direct.body)


def test_an_index_without_a_route_keeps_it(node: Node, sidecar: Sidecar) -> None:
    body = {"query": QUERY, "ext": section()}
    through = request(sidecar.proxy, "POST", "/plugged*/_search", body)
    assert (through.status, through.values("X-Rescore")) == (400, [])
